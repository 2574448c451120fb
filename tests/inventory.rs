//! Inventories as data: `tests/inventory/NAME.yaml` is read, and `NAME.txt` has what comes of it: all that is wrong, or a summary.
//! `UPDATE=1 cargo test --test inventory` rewrites the summaries; read each before it is committed.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use hostler::cli::render::rendered;
use hostler::inventory_file::{InventoryFile, named_file};
use hostler_core::failure::ExitStatus;
use hostler_core::films::settings::Encoding;
use hostler_core::inventory::{Diagnostic, Inventory, Role, Snapshots, merge, parse, parse_with};
use hostler_core::pins::shipped;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The YAML files of a folder, in order.
fn files(name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(name)).expect("the folder is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry can be read").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

/// What `expected` should hold; UPDATE=1 makes it so.
fn compare(expected: &Path, text: &str, wrong: &mut Vec<String>) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(expected, text).expect("the file can be written");
    }
    let known = std::fs::read_to_string(expected).unwrap_or_default();
    if known != text {
        wrong.push(format!("{} has\n{known}\nand this is\n{text}", expected.display()));
    }
}

/// What the file leaves to defaults is left out, but for the cluster and the connections.
fn summary(inventory: &Inventory) -> String {
    let mut text = String::new();
    let Inventory {
        text: _,
        cluster,
        machines,
        roles_written: _,
        kubeadm,
        containerd,
        ignore_preflight_errors,
        snapshots,
        notify,
        transcode,
        os,
        versions: _,
        warnings,
    } = inventory;
    writeln!(text, "{cluster:?}").unwrap();
    for (name, machine) in machines {
        let role = if machine.role == Role::ControlPlane { "control plane" } else { "worker" };
        writeln!(text, "{name} {} {role}{}", machine.address, if machine.dedicated { " dedicated" } else { "" }).unwrap();
        writeln!(text, "  {:?}", machine.connection).unwrap();
        for (key, value) in &machine.labels {
            writeln!(text, "  label {key}={value}").unwrap();
        }
        for taint in &machine.taints {
            writeln!(text, "  taint {taint}").unwrap();
        }
        for path in &machine.keep {
            writeln!(text, "  keep {path}").unwrap();
        }
        match &machine.encode {
            None => writeln!(text, "  encodes nothing").unwrap(),
            Some(encoding) if *encoding != Encoding::default() => writeln!(text, "  encodes {encoding:?}").unwrap(),
            Some(_) => {}
        }
        if let Some(mac) = &machine.mac {
            writeln!(text, "  mac {mac}").unwrap();
        }
        if let Some(disk) = &machine.disk {
            writeln!(text, "  disk {disk:?}").unwrap();
        }
    }
    let documents = [
        ("ClusterConfiguration", &kubeadm.cluster),
        ("InitConfiguration", &kubeadm.init),
        ("JoinConfiguration", &kubeadm.join),
        ("KubeletConfiguration", &kubeadm.kubelet),
        ("KubeProxyConfiguration", &kubeadm.kube_proxy),
    ];
    for (name, fragment) in documents.iter().filter(|(_, fragment)| !fragment.is_empty()) {
        writeln!(text, "{name} {}", serde_json::to_string(fragment).unwrap()).unwrap();
    }
    for (name, toml) in containerd {
        writeln!(text, "containerd {name} {toml:?}").unwrap();
    }
    if !ignore_preflight_errors.is_empty() {
        writeln!(text, "ignore {}", ignore_preflight_errors.join(" ")).unwrap();
    }
    if *snapshots != Snapshots::regular() {
        writeln!(text, "{snapshots:?}").unwrap();
    }
    if let Some(notify) = notify {
        writeln!(text, "{notify:?}").unwrap();
    }
    if let Some(os) = os {
        writeln!(text, "{os:#?}").unwrap();
    }
    if let Some(transcode) = transcode {
        writeln!(text, "{transcode:#?}").unwrap();
    }
    for warning in warnings {
        writeln!(text, "warning: {warning}").unwrap();
    }
    text
}

#[test]
fn every_case_reads_as_its_text_says() {
    let cases = files("tests/inventory");
    assert!(cases.len() >= 60, "only {} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        let bytes = std::fs::read(case).unwrap();
        let text = match String::from_utf8(bytes) {
            Ok(text) => match parse_with(
                &text,
                name,
                Some(&|file, most| named_file(case.parent().expect("a folder"), file, most)),
                Some(&shipped().versions()),
            ) {
                Ok(inventory) => summary(&inventory),
                Err(diagnostics) => {
                    // A place outside the file would show nothing.
                    let lines = text.lines().count().max(1);
                    for problem in diagnostics.problems() {
                        assert!((1..=lines).contains(&problem.place.line) && problem.place.column >= 1, "{name}: {problem:?}");
                    }
                    diagnostics.to_string()
                }
            },
            Err(_) => InventoryFile::load(case).expect_err("no UTF-8").to_string().replace(&case.display().to_string(), name) + "\n",
        };
        compare(&case.with_extension("txt"), &text, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
}

/// What a message says to write in place of what it marks.
fn suggested(problem: &Diagnostic) -> Option<&str> {
    let marks = ["did you mean `", "write `"];
    let (_, rest) = marks.iter().find_map(|mark| problem.message.split_once(mark))?;
    let (word, _) = rest.split_once('`')?;
    // A value for a key that has none is written behind it.
    (!word.contains("...") && word != "{}" && problem.place.length < 1_000).then_some(word)
}

/// Whoever follows a suggestion gets no other error for it.
#[test]
fn a_suggested_word_is_itself_accepted() {
    let (mut tried, mut wrong) = (0, Vec::new());
    for case in files("tests/inventory") {
        let Ok(text) = String::from_utf8(std::fs::read(&case).unwrap()) else { continue };
        let name = case.file_name().unwrap().to_str().unwrap().to_owned();
        let read = |text: &str| {
            parse_with(
                text,
                &name,
                Some(&|file, most| named_file(case.parent().expect("a folder"), file, most)),
                Some(&shipped().versions()),
            )
        };
        let Err(found) = read(&text) else { continue };
        for problem in found.problems() {
            let Some(word) = suggested(problem) else { continue };
            let lines = text.lines().enumerate().map(|(number, line)| {
                let Some(column) = problem.place.column.checked_sub(1).filter(|_| number + 1 == problem.place.line) else {
                    return line.to_owned();
                };
                let before: String = line.chars().take(column).collect();
                let after: String = line.chars().skip(column + problem.place.length).collect();
                format!("{before}{word}{after}")
            });
            let followed = lines.collect::<Vec<_>>().join("\n");
            tried += 1;
            let left = read(&followed).err();
            let again = left.iter().flat_map(|left| left.problems()).find(|left| {
                let is_about_it = left.message.starts_with("duplicate") && left.message.contains(&format!("`{word}`"));
                (left.place.line, left.place.column) == (problem.place.line, problem.place.column)
                    || is_about_it && found.problems().iter().all(|known| known.message != left.message)
            });
            if let Some(again) = again {
                wrong.push(format!("{name}: {}\n  then: {}", problem.message, again.message));
            }
        }
    }
    assert!(tried > 20, "only {tried} suggestions");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Subnets of all sizes and forms, beside each other and around machines: what is proposed instead has no error.
#[test]
fn a_suggested_subnet_is_itself_accepted() {
    let mut nets: Vec<String> =
        ["", "10.244.0.0", "ten", "10.0.0.0/8,fd00::/48", "192.168.0.0/16", "172.16.0.0/12", "fd00:244::/56", "fd00:96::/112"]
            .map(str::to_owned)
            .to_vec();
    for base in ["10.0.0.0", "10.97.3.1", "127.0.0.1", "169.254.7.7", "240.0.0.1", "fd00::1", "fe80::1"] {
        let lengths = if base.contains(':') { [4, 40, 48, 64, 100, 120] } else { [4, 6, 11, 16, 25, 30] };
        nets.extend(lengths.map(|length| format!("{base}/{length}")));
    }
    let machines: [&[&str]; 5] = [
        &["192.168.1.11"],
        &["10.244.0.5", "172.20.1.1", "192.168.1.11"],
        &["fd00:244::5"],
        &["10.96.0.5", "172.30.0.1"],
        &["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"],
    ];
    let (mut tried, mut wrong) = (0, Vec::new());
    for addresses in machines {
        let text = |nets: &BTreeMap<String, String>| {
            let subnets: Vec<String> = nets.iter().map(|(key, net)| format!("{key}: '{net}'")).collect();
            let machines: Vec<String> = addresses.iter().enumerate().map(|(number, address)| format!("m{number}: '{address}'")).collect();
            format!("cluster: {{{}}}\nmachines: {{{}}}\n", subnets.join(", "), machines.join(", "))
        };
        for (pods, services) in nets.iter().flat_map(|pods| nets.iter().map(move |services| (pods, services))) {
            let both = [("podSubnet", pods), ("serviceSubnet", services)];
            let written: BTreeMap<String, String> =
                both.iter().filter(|(_, net)| !net.is_empty()).map(|(key, net)| ((*key).to_owned(), (*net).clone())).collect();
            let Err(found) = parse(&text(&written), "it") else { continue };
            for problem in found.problems() {
                let mut proposals: Vec<(String, String)> = Vec::new();
                if let Some((_, rest)) = problem.message.split_once("did you mean `") {
                    let key = if problem.place.column < 30 && written.contains_key("podSubnet") { "podSubnet" } else { "serviceSubnet" };
                    proposals.push((key.to_owned(), rest.trim_end_matches("`?").to_owned()));
                }
                let example: Vec<(String, String)> = problem
                    .example
                    .lines()
                    .filter_map(|line| line.trim().split_once(": "))
                    .map(|(key, net)| (key.to_owned(), net.to_owned()))
                    .collect();
                for changes in [proposals, example].into_iter().filter(|changes| !changes.is_empty()) {
                    tried += 1;
                    let mut followed = written.clone();
                    followed.extend(changes.clone());
                    let left = parse(&text(&followed), "it").err();
                    let mut left = left.iter().flat_map(|left| left.problems());
                    if let Some(left) = left.find(|left| changes.iter().any(|(_, net)| left.message.contains(net.as_str()))) {
                        wrong.push(format!("{}{}\n  proposed: {changes:?}\n  then: {}", text(&written), problem.message, left.message));
                    }
                }
            }
        }
    }
    assert!(tried > 5_000, "only {tried} proposals");
    assert!(wrong.is_empty(), "{} of {tried}\n{}", wrong.len(), wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n"));
}

#[test]
fn no_expectation_is_left_over() {
    for entry in std::fs::read_dir(folder("tests/inventory")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        assert!(path.with_extension("yaml").exists(), "{} has no case", path.display());
    }
}

#[test]
fn the_examples_are_right_and_without_a_warning() {
    let examples = files("inventory");
    assert_eq!(examples.len(), 3);
    for example in examples {
        let inventory = InventoryFile::load(&example).unwrap_or_else(|error| panic!("{error}")).inventory;
        assert_eq!(inventory.warnings, Vec::<String>::new(), "{}", example.display());
    }
    let ponies = InventoryFile::load(&folder("inventory").join("ponies.yaml")).unwrap().inventory;
    let names: Vec<&str> = ponies.machines.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["twilightsparkle", "rainbowdash", "fluttershy", "applejack", "pinkiepie"]);
    assert_eq!(ponies.machines["twilightsparkle"].address.to_string(), "192.168.1.11");
    assert!(!ponies.machines["twilightsparkle"].keep.is_empty());
    assert_eq!(InventoryFile::load(&folder("inventory").join("three-control-planes.yaml")).unwrap().inventory.control_planes().count(), 3);
}

#[test]
fn a_missing_inventory_is_a_usage_error() {
    for (path, hint) in [(folder("inventory/none.yaml"), "hostler init"), (folder("inventory"), "not of a folder")] {
        let error = InventoryFile::load(&path).unwrap_err();
        assert_eq!(ExitStatus::of(&error), ExitStatus::Usage);
        assert!(error.to_string().contains(hint), "{error}");
    }
}

#[test]
fn a_special_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // Nothing ever writes to the pipe: reading it would block forever.
    for path in [&pipe, Path::new("/dev/zero")] {
        let (opened, (done, is_done)) = (path.to_owned(), std::sync::mpsc::channel());
        std::thread::spawn(move || done.send(InventoryFile::load(&opened).unwrap_err()));
        let error = is_done.recv_timeout(std::time::Duration::from_secs(10)).expect("it is refused without being read");
        assert_eq!(ExitStatus::of(&error), ExitStatus::Usage);
        let why = if path == Path::new("/dev/zero") { "not a regular file" } else { "no program writes to it" };
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn a_file_that_is_too_large_is_not_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.yaml");
    // A terabyte without a block on the disk.
    std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let error = InventoryFile::load(&path).unwrap_err().to_string();
    assert!(error.contains("the maximum is 1048576 bytes"), "{error}");
}

#[test]
fn fragments_are_merged_deep_in_place() {
    let cases = [
        ("{a: 1, b: 2, c: 3}", "{b: 9}", "{a: 1, b: 9, c: 3}"),
        ("{a: {x: 1, y: 2}, b: 2}", "{a: {y: 3, z: 4}}", "{a: {x: 1, y: 3, z: 4}, b: 2}"),
        ("{a: [1, 2], b: 2}", "{a: [3]}", "{a: [3], b: 2}"),
        ("{a: 1, b: 2, c: 3}", "{a: null}", "{b: 2, c: 3}"),
        ("{a: 1}", "{b: {c: null, d: 1}}", "{a: 1, b: {d: 1}}"),
        ("{a: 1}", "{a: {b: null}}", "{a: {}}"),
        ("null", "{a: null, b: 1}", "{b: 1}"),
        // Arguments, by name, of which one may be there several times.
        (
            "{extraArgs: [{name: qps, value: '1'}, {name: v, value: '2'}, {name: v, value: '3'}, {name: w, value: '4'}]}",
            "{extraArgs: [{name: v, value: '5'}, {name: new, value: '6'}]}",
            "{extraArgs: [{name: qps, value: '1'}, {name: w, value: '4'}, {name: v, value: '5'}, {name: new, value: '6'}]}",
        ),
        (
            "{a: {kubeletExtraArgs: [{name: node-ip, value: x}]}}",
            "{a: {kubeletExtraArgs: []}}",
            "{a: {kubeletExtraArgs: [{name: node-ip, value: x}]}}",
        ),
        ("{a: {kubeletExtraArgs: [{name: node-ip, value: x}]}}", "{a: {kubeletExtraArgs: null}}", "{a: {}}"),
        ("{}", "{extraArgs: [{name: v, value: '1'}]}", "{extraArgs: [{name: v, value: '1'}]}"),
    ];
    for (base, fragment, expected) in cases {
        let merged = merge(serde_yaml::from_str(base).unwrap(), &serde_yaml::from_str(fragment).unwrap());
        let expected: serde_yaml::Value = serde_yaml::from_str(expected).unwrap();
        // As text, since mappings are equal in any order and the order of keys is to stay.
        assert_eq!(serde_yaml::to_string(&merged).unwrap(), serde_yaml::to_string(&expected).unwrap(), "{base} with {fragment}");
    }
}

#[test]
fn the_reference_is_what_is_read() {
    let mut wrong = Vec::new();
    compare(&folder("docs/inventory.md"), &hostler_core::inventory::reference::markdown(), &mut wrong);
    assert!(wrong.is_empty(), "UPDATE=1 cargo test --test inventory\n{}", wrong.join(""));
}

/// A generator of numbers that gives the same ones each time (Knuth's MMIX).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most.max(1)
    }
}

/// What mutations put in.
const ODD: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "!!int ",
    "\t",
    ": ",
    "- ",
    "# ",
    "\"",
    "'",
    "|",
    ">",
    "---\n",
    "...\n",
    "\u{202e}",
    "\u{0}",
    "\u{feff}",
    "\r",
    "99999999999999999999999",
    "<<: ",
    "? ",
];

fn mutated(text: &str, numbers: &mut Numbers) -> String {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    for _ in 0..=numbers.below(3) {
        let (at, other) = (numbers.below(lines.len()), numbers.below(lines.len()));
        match numbers.below(8) {
            _ if lines.is_empty() => lines.push(ODD[numbers.below(ODD.len())].to_owned()),
            0 => drop(lines.remove(at)),
            1 => lines.insert(other, lines[at].clone()),
            2 => lines.swap(at, other),
            3 => lines[at].insert_str(0, &" ".repeat(numbers.below(6))),
            4 => lines.truncate(at + 1),
            5 => {
                let cut = numbers.below(lines[at].chars().count());
                lines[at] = lines[at].chars().take(cut).collect();
            }
            _ => {
                let place = lines[at].char_indices().map(|(place, _)| place).nth(numbers.below(lines[at].chars().count())).unwrap_or(0);
                lines[at].insert_str(place, ODD[numbers.below(ODD.len())]);
            }
        }
    }
    lines.concat()
}

#[test]
fn ten_thousand_mutated_inventories_are_read_or_refused_in_their_place() {
    let mut numbers = Numbers(7);
    let sources: Vec<String> = [files("tests/inventory"), files("inventory")]
        .concat()
        .iter()
        .filter_map(|file| String::from_utf8(std::fs::read(file).unwrap()).ok())
        .collect();
    let manifest = serde_json::from_str(include_str!("render/manifest.json")).unwrap();
    let (mut read, mut refused) = (0, 0);
    for _ in 0..10_000 {
        let text = mutated(&sources[numbers.below(sources.len())], &mut numbers);
        match parse(&text, "mutated.yaml") {
            Ok(inventory) => {
                read += 1;
                assert!(inventory.control_planes().count() > 0, "{text}");
                // What can be read can be planned and written.
                rendered(&inventory, &manifest).unwrap_or_else(|error| panic!("{error:#}\n{text}"));
            }
            Err(diagnostics) => {
                refused += 1;
                let lines = text.lines().count().max(1);
                assert!(!diagnostics.problems().is_empty(), "{text}");
                for problem in diagnostics.problems() {
                    assert!((1..=lines).contains(&problem.place.line), "{problem:?}\n{text:?}");
                    let end = text.lines().nth(problem.place.line - 1).map_or(0, |line| line.chars().count()) + 1;
                    assert!((1..=end).contains(&problem.place.column), "{problem:?}\n{text:?}");
                }
                assert!(diagnostics.to_string().starts_with("mutated.yaml:"));
            }
        }
    }
    // Both happen often, or the mutations are too tame or too wild.
    assert!(read > 200 && refused > 2_000, "{read} read, {refused} refused");
}
