//! What `protocol.rs` holds is spelled out nowhere else: not in a template, as it stands or filled in, and not in Rust. What a wipe takes, and
//! what a snapshot holds, is what it says: the scripts are run on machines that are folders.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hostler_core::digest::sha256;
use hostler_core::protocol::{archive, configmap, exit, films, kubectl, literals, mark, path, recorded, say, systemd, wipe, wiped};
use hostler_core::template::render;
use scripts::{on_a_folder, scripts};
use serde_json::json;

mod scripts;

/// Words of the protocol that mean other things elsewhere, and where they would be the protocol's: what stands right before them then.
const GENERIC: &[(&str, &[&str])] = &[
    // Names in records, which are names of programs, too.
    (recorded::CLUSTER, RECORDS),
    (recorded::KUBELET, RECORDS),
    (recorded::KUBE_PROXY, RECORDS),
    (recorded::CNI, RECORDS),
    (recorded::FLANNEL, RECORDS),
    (recorded::VERIFIED, RECORDS),
    (recorded::NODE, &["record ", "remember ", "forget ", "\"", "'"]),
    // The variable $sets is a path.
    (path::CURRENT_BEGINS, &["\"", "'", " "]),
    // Said of the unit.
    (systemd::VIP_RUNTIME, &["RuntimeDirectory="]),
    // The verb, a label, and the namespace.
    (recorded::WORKLOAD, &["record ", "remember ", "forget ", "namespace ", "namespace: "]),
    // hostler itself, and the record in the cluster.
    (configmap::RECORD, &["configmap ", "--field-manager "]),
    // A volume's name and the Secret's.
    (films::MEDIA_SERVER, &["secretName: ", "secret generic "]),
    // In a snapshot, which the test below looks into.
    (archive::NODES, &["$what/"]),
    (archive::TAKEN, &["$what/"]),
    // kubeadm's files are named one by one where one is meant; lists of them are found by `no_list_of_the_clusters_keys`.
    (archive::PKI[0], &[]),
    (archive::PKI[1], &[]),
    (archive::PKI[2], &[]),
    (archive::PKI[3], &[]),
    (archive::PKI[4], &[]),
    (archive::PKI[5], &[]),
    (archive::PKI[6], &[]),
    (archive::PKI[7], &[]),
    // A ConfigMap, and a phase of `kubeadm upgrade node`.
    (configmap::KUBELET, &["configmap "]),
    // Numbers that may count anything.
    ("1", &[]),
    ("65", &["exit "]),
    ("75", &["exit "]),
    ("76", &["exit "]),
];
const RECORDS: &[&str] = &["record ", "remember ", "forget "];

/// Where a word may be spelled out all the same.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("templates/ssh/loader.sh", say::SCRIPT, "no template: what a login shell gets is read by eye; held to the protocol below"),
    ("templates/ssh/loader.sh", say::BEGINS, "as above"),
    ("templates/ssh/loader.sh", "65", "as above"),
    ("src/ssh/error.rs", path::HOSTS, "this computer's own"),
    ("src/lab/computer.rs", path::WORK, "this computer's own, where the lab remembers what it changed"),
    ("src/lab/state.rs", path::WORK, "as above"),
    ("crates/core/src/inventory/machine.rs", recorded::NODE, "taints of Kubernetes' own"),
    ("crates/core/src/plan/relied/settings.rs", recorded::NODE, "a group of Kubernetes' own"),
    ("crates/core/src/inventory/fragment.rs", "", "sentences for a user, in a table that the compiler makes"),
    ("crates/core/src/inventory/schema.rs", "", "as above"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `folder`, by its path from the root.
fn files(folder: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                found.insert(path.strip_prefix(root()).expect("it is below").display().to_string(), text);
            }
        }
    }
    found
}

/// Whether `word` stands in `text`, and is not a part of a longer one.
fn stands(text: &str, word: &str) -> bool {
    let part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(|letter| part(letter) || letter == '.');
        let after = text[at + word.len()..].chars().next().is_some_and(part);
        !(before && word.starts_with(part) || after && word.ends_with(part))
    })
}

/// What is spelled out in `text`, with the name that it has.
fn spelled(file: &str, text: &str, literals: &BTreeMap<String, String>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (literal, name) in literals {
        let there = match GENERIC.iter().find(|(generic, _)| generic == literal) {
            Some((_, before)) => before.iter().any(|before| stands(text, &format!("{before}{literal}"))),
            None => stands(text, literal),
        };
        let allowed = |(exception, word, _): &(&str, &str, &str)| file == *exception && (word == literal || word.is_empty());
        if there && !EXCEPTIONS.iter().any(allowed) {
            wrong.push(format!("{file}: `{literal}` is {name} of protocol.rs: {}", text.trim()));
        }
    }
    wrong
}

/// A line of a template without what is filled in, and without remarks, which are prose.
fn bare(line: &str) -> String {
    let line = if line.trim_start().starts_with('#') && !line.starts_with("#!") { "" } else { line };
    let mut bare = String::new();
    let mut rest = line;
    while let Some(start) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let end = if rest[start..].starts_with("{{") { "}}" } else { "%}" };
        let Some(length) = rest[start..].find(end) else { break };
        // What stands beside it is no part of a word.
        bare.push_str(&rest[..start]);
        bare.push('\u{fffd}');
        rest = &rest[start + length + 2..];
    }
    bare + rest
}

#[test]
fn no_template_spells_out_what_has_a_name() {
    let literals = literals();
    let mut wrong = Vec::new();
    for (file, text) in files("templates") {
        for line in text.lines() {
            wrong.extend(spelled(&file, &bare(line), &literals));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Inside `{{ }}` and `{% %}`, too, only names are: a text in quotes there is a template's name, a filter's argument or a piece of one.
#[test]
fn what_is_filled_in_is_filled_in_by_name() {
    let literals = literals();
    let mut wrong = Vec::new();
    for (file, text) in files("templates") {
        let quoted = text
            .split("{{")
            .skip(1)
            .filter_map(|piece| piece.split_once("}}"))
            .flat_map(|(inside, _)| inside.split('"').skip(1).step_by(2));
        let compared =
            text.split("{%").skip(1).filter_map(|piece| piece.split_once("%}")).filter(|(inside, _)| !inside.contains("include"));
        let compared = compared.flat_map(|(inside, _)| inside.split('"').skip(1).step_by(2));
        for word in quoted.chain(compared).filter(|word| literals.contains_key(*word)) {
            wrong.push(format!("{file}: \"{word}\" is {} of protocol.rs", literals[word]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_list_of_the_clusters_keys() {
    let mut wrong = Vec::new();
    for (file, text) in files("templates").into_iter().chain(files("src")).chain(files("crates/core/src")) {
        let lists = text.lines().filter(|line| archive::PKI.iter().filter(|name| stands(line, name)).count() > 2);
        wrong.extend(lists.filter(|_| !file.ends_with("/protocol.rs")).map(|line| format!("{file}: {}", line.trim())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The texts in quotes of a Rust source, without its tests and comments.
fn quoted(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut found = Vec::new();
    let letters: Vec<char> = source.chars().collect();
    let mut at = 0;
    while at < letters.len() {
        let next = |ahead: usize| letters.get(at + ahead).copied().unwrap_or(' ');
        match letters[at] {
            '/' if next(1) == '/' => at += letters[at..].iter().position(|letter| *letter == '\n').unwrap_or(letters.len()),
            // A letter in quotes, not a lifetime.
            '\'' if next(1) == '\\' => at += 2 + letters[at + 2..].iter().skip(1).position(|letter| *letter == '\'').unwrap_or(0) + 2,
            '\'' if next(2) == '\'' => at += 3,
            'r' if next(1) == '"' || next(1) == '#' && matches!(next(2), '"' | '#') => {
                let hashes = letters[at + 1..].iter().take_while(|letter| **letter == '#').count();
                let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                let start = at + 2 + hashes;
                let length = letters[start..].windows(end.len()).position(|window| window == end).unwrap_or(0);
                found.push(letters[start..start + length].iter().collect());
                at = start + length + end.len();
            }
            '"' => {
                let start = at + 1;
                at = start;
                while at < letters.len() && letters[at] != '"' {
                    at += if letters[at] == '\\' { 2 } else { 1 };
                }
                found.push(letters[start..at.min(letters.len())].iter().collect());
                at += 1;
            }
            _ => at += 1,
        }
    }
    found
}

#[test]
fn no_source_spells_out_what_has_a_name() {
    // A number is no text, and has other meanings.
    let literals: BTreeMap<String, String> = literals().into_iter().filter(|(literal, _)| literal.parse::<u32>().is_err()).collect();
    let mut wrong = Vec::new();
    for (file, text) in files("crates/core/src").into_iter().chain(files("src")) {
        if !file.ends_with(".rs") || file.ends_with("/tests.rs") || file == "crates/core/src/protocol.rs" {
            continue;
        }
        for text in quoted(&text) {
            // A template is named as its file is.
            if !root().join("templates").join(&text).is_file() {
                wrong.extend(spelled(&file, &format!("\"{text}\""), &literals));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn texts_are_found_in_a_source() {
    let source = "let a = \"one \\\"two\\\"\"; // \"no\"\nlet b: &'a str = r#\"th\"ree\"#; let c = ['\"', '\\'']; f(\"four\");\n#[cfg(test)]\nmod tests { \"no\" }";
    assert_eq!(quoted(source), ["one \\\"two\\\"", "th\"ree", "four"]);
}

#[test]
fn every_exception_is_one() {
    for (file, word, _) in EXCEPTIONS {
        let text = fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains(word), "{file} has no {word}");
    }
    let literals = literals();
    for (word, _) in GENERIC {
        assert!(literals.contains_key(*word), "{word} is not in protocol.rs");
    }
}

/// What only the loader says is what hostler listens for.
#[test]
fn the_loader_keeps_to_the_protocol() {
    let loader = fs::read_to_string(root().join("templates/ssh/loader.sh")).expect("it can be read");
    let loader = loader.lines().last().expect("it has lines");
    for words in [format!("\"{} \"*)", say::SCRIPT), format!("echo \"{}\"", say::BEGINS), format!("echo \"{}\" >&2", say::BEGINS)] {
        assert!(loader.contains(&words), "{words}");
    }
    assert_eq!(loader.matches(&format!("exit {}", exit::CUT)).count(), loader.matches("exit ").count());
}

/// The words of a script: a path is one, and so is what a variable is a part of, as far as it is.
fn words(script: &str) -> impl Iterator<Item = &str> {
    let part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '/' | '@' | '-');
    script.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(move |line| line.split(move |letter: char| !part(letter)))
}

/// Whether a path below one of hostler's folders is known, or is in a folder whose files are named as they come.
fn known_path(word: &str, literals: &BTreeMap<String, String>) -> bool {
    let roots = [path::ROOT, path::STATE, path::RUN, path::LIB];
    let word = word.trim_end_matches(['/', '.', '-']);
    if literals.contains_key(word) {
        return true;
    }
    let beside = [".hostler-new", ".hostler-known", ".hostler-doubted", ".XXXXXX", ".*"];
    let plain = beside.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
    let below = plain.rsplit_once('/').is_some_and(|(folder, _)| literals.contains_key(folder) && !roots.contains(&folder));
    literals.contains_key(plain) || below
}

#[test]
fn what_looks_like_hostlers_in_a_script_is_known() {
    let literals = literals();
    let (mut wrong, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for (name, script) in scripts() {
        let mut before = "";
        for word in words(&script).filter(|word| !word.is_empty()) {
            let last = word.rsplit('/').next().unwrap_or(word);
            let unknown = if word.ends_with("-begun") {
                !literals.contains_key(last)
            } else if let Some(at) = [path::ROOT, path::STATE, path::RUN, path::LIB, path::WORK].iter().find_map(|root| word.find(root)) {
                !known_path(&word[at..], &literals)
            } else if word.starts_with('@') && word.len() > 1 || before == "exit" && word.parse::<u32>().is_ok_and(|status| status > 2) {
                !literals.contains_key(word)
            } else {
                before = word;
                continue;
            };
            seen.insert(word.to_owned());
            if unknown {
                wrong.insert(format!("{name}: {before} {word}"));
            }
            before = word;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
    // Else this test looks at nothing.
    for word in [mark::INIT, path::BIN, say::WAITING, "75", "76"] {
        assert!(seen.iter().any(|seen| seen.ends_with(word)), "no script has {word}");
    }
}

/// A machine that is a folder, on which `programs` are.
fn machine(programs: &[(&str, &str)]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let name = folder.path().display().to_string();
    let bin = folder.path().join("opt/hostler/current/bin");
    for made in [bin.as_path(), &folder.path().join("run"), &folder.path().join("var/lib"), &folder.path().join("etc")] {
        fs::create_dir_all(made).expect("a folder");
    }
    for (program, text) in programs {
        let file = bin.join(program);
        fs::write(&file, format!("#!/bin/sh\n{}\n", text.replace("ROOT", &name))).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    (folder, name)
}

fn below(folder: &Path, path: &str) -> PathBuf {
    folder.join(path.trim_start_matches('/'))
}

fn put(folder: &Path, path: &str, text: &str) {
    let file = below(folder, path);
    fs::create_dir_all(file.parent().expect("it is below a folder")).and_then(|()| fs::write(file, text)).expect("a file");
}

/// The files of a machine, as paths on it.
fn there(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("the folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(format!("/{}", path.strip_prefix(folder).expect("it is below").display()));
            }
        }
    }
    found
}

/// The status of `script`, and what it said.
fn run(script: &str, payload: &[u8]) -> (Option<i32>, String) {
    let mut dash = Command::new("dash");
    dash.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = dash.spawn().expect("dash; apt-get install dash");
    // A script that ends before it reads is told by its status.
    let _ = child.stdin.take().expect("it is piped").write_all(payload);
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

/// The programs that a wipe calls, which do nothing; systemctl tells what was asked of it.
const BYSTANDERS: [(&str, &str); 8] = [
    ("systemctl", "echo \"$*\" >> ROOT/said"),
    ("kubeadm", "exit 0"),
    ("ip", "exit 0"),
    ("nft", "exit 0"),
    ("iptables-save", "exit 0"),
    ("ip6tables-save", "exit 0"),
    ("ctr", "exit 0"),
    ("umount", "exit 1"),
];

#[test]
fn a_wipe_takes_what_it_is_said_to_take() {
    let (folder, name) = machine(&BYSTANDERS);
    let folder = folder.path();
    for taken in wiped() {
        let is_file = taken.starts_with("/etc/systemd/");
        put(folder, &if is_file { taken.to_owned() } else { format!("{taken}/one") }, "x");
    }
    for deep in ["/etc/kubernetes/pki/etcd/ca.key", "/var/lib/etcd/member/snap/db", "/etc/hostler/applied/join-begun"] {
        put(folder, deep, "x");
    }
    let stay = [
        "/etc/cni/of-mine",
        "/etc/containerd/config.toml",
        "/etc/hosts",
        "/etc/kubernetes-of-mine/one",
        "/etc/systemd/system/containerd.service",
        "/etc/systemd/system/kubelet.service",
        "/etc/systemd/system/mine.service",
        "/opt/hostler/store/one",
        "/srv/films/one",
        "/usr/local/lib/of-mine",
        "/var/lib/containerd/one",
        "/var/lib/etcd-of-mine/one",
    ];
    for path in stay {
        put(folder, path, "x");
    }
    let before = there(folder);
    let script =
        on_a_folder(&name, "wipe", false, &render("machine/wipe.sh", json!({ "keep": [], "links": [] })).expect("the template fits"));
    let (status, said) = run(&script, b"");
    assert_eq!(status, Some(0), "{said}");
    let after = there(folder);
    let gone: BTreeSet<&str> = before.difference(&after).map(String::as_str).collect();
    let to_go = |path: &str| wiped().any(|taken| path.strip_prefix(taken).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    let right: BTreeSet<&str> = before.iter().map(String::as_str).filter(|path| to_go(path)).collect();
    assert_eq!(gone, right);
    for path in stay {
        assert!(after.contains(path), "{path} is gone");
    }
    for taken in wiped() {
        assert_eq!(below(folder, taken).exists(), wipe::EMPTIED.contains(&taken), "{taken}");
    }
    let asked = fs::read_to_string(folder.join("said")).expect("systemctl was called");
    for unit in wipe::UNITS {
        for order in [format!("disable --quiet {unit}"), format!("stop {unit}")] {
            assert!(asked.lines().any(|line| line == order), "{order}\n{asked}");
        }
    }
    assert!(asked.lines().any(|line| line == "daemon-reload"), "{asked}");
}

/// A folder of the cluster that the user put elsewhere: what the link leads to is emptied where the plan has said so, the link stays, and
/// nothing that is kept goes, however it is spelled.
#[test]
fn a_wipe_follows_links_only_as_the_plan_has_shown() {
    let wipe = |keep: &[&str], planned: bool| {
        let (folder, name) = machine(&BYSTANDERS);
        let folder = folder.path();
        let (data, kept) = (folder.join("data/kubelet"), folder.join("data/kubelet/mine"));
        fs::create_dir_all(&kept).expect("a folder");
        fs::write(kept.join("b.mkv"), "a film").expect("a file");
        std::os::unix::fs::symlink(&data, folder.join("var/lib/kubelet")).expect("a link");
        std::os::unix::fs::symlink(&kept, folder.join("films")).expect("a link");
        put(folder, "/etc/kubernetes/one", "x");
        let keep: Vec<String> = keep.iter().map(|kept| format!("{}{kept}", folder.display())).collect();
        // on_a_folder moves the path, and not what it leads to.
        let links = if planned { json!([{ "path": "/var/lib/kubelet", "real": data }]) } else { json!([]) };
        let text = render("machine/wipe.sh", json!({ "keep": keep, "links": links })).expect("the template fits");
        let (status, said) = run(&on_a_folder(&name, "wipe", false, &text), b"");
        (status, said, kept.join("b.mkv").exists(), folder.join("var/lib/kubelet").is_symlink(), folder.join("etc/kubernetes").exists())
    };
    let (status, said, film, link, config) = wipe(&[], true);
    assert_eq!((status, film, link, config), (Some(0), false, true, false), "{said}");
    let (status, said, film, link, config) = wipe(&[], false);
    assert_eq!((status, film, link, config), (Some(1), true, true, true), "{said}");
    assert!(said.contains("was not in the plan"), "{said}");
    for keep in ["/data", "/data/kubelet", "/data/kubelet/mine", "/films"] {
        let (status, said, film, link, config) = wipe(&[keep], true);
        assert_eq!((status, film, link, config), (Some(1), true, true, true), "{keep}: {said}");
        assert!(said.contains("must be kept"), "{keep}: {said}");
    }
}

/// The names in the archive, without folders, and its bytes.
fn snapshot() -> (BTreeSet<String>, Vec<u8>) {
    let etcdctl = "for file; do :; done\necho data > \"$file\"";
    let kubectl = "case \" $* \" in *' get configmap '*) echo 'kind: ConfigMap' ;; *) echo rainbowdash ;; esac";
    let (folder, name) = machine(&[("etcdctl", etcdctl), ("etcdutl", "echo '{}'"), ("kubectl", kubectl)]);
    for file in archive::PKI.iter().chain(&["apiserver.key", "etcd/peer.key"]) {
        put(folder.path(), &format!("{}/{file}", path::PKI), file);
    }
    let script = render("kubernetes/snapshot.sh", json!({})).expect("the template fits");
    // The prelude is not part of it.
    let places = ["/etc/", "/var/lib/", "/opt/hostler"];
    let script = places.iter().fold(script, |text, place| text.replace(place, &format!("{name}{place}")));
    let (status, said) = run(&format!("{script}cp \"$archive\" {name}/archive\n"), b"");
    assert_eq!(status, Some(0), "{said}");
    let bytes = fs::read(folder.path().join("archive")).expect("it is there");
    let mut plain = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
    let entries = plain.entries().expect("a tar").map(|entry| entry.expect("an entry").path().expect("a path").display().to_string());
    let names = entries.filter(|name| !name.ends_with('/')).collect();
    let left: Vec<_> = fs::read_dir(below(folder.path(), path::WORK)).expect("the folder").collect();
    assert!(left.is_empty(), "secrets stay: {left:?}");
    (names, bytes)
}

#[test]
fn a_snapshot_holds_what_it_is_said_to_hold() {
    let (names, _) = snapshot();
    let documents = archive::DOCUMENTS.map(|name| format!("{name}.yaml"));
    let others = [archive::ETCD, archive::ETCD_STATUS, archive::NODES, archive::TAKEN].map(str::to_owned);
    let right: BTreeSet<String> = archive::PKI.map(|name| format!("pki/{name}")).into_iter().chain(documents).chain(others).collect();
    assert_eq!(names, right);
    for needed in hostler_core::protocol::needed() {
        assert!(names.contains(&needed), "{needed}");
    }
}

#[test]
fn flags_for_kubelet_are_those_that_kubeadm_wrote_last() {
    let (folder, name) =
        machine(&[("kubeadm", "[ ! -e ROOT/next ] || cp ROOT/next ROOT/var/lib/kubelet/kubeadm-flags.env"), ("kubectl", "exit 0")]);
    let folder = folder.path();
    let context = json!({ "sha256": "0123" });
    let script = on_a_folder(&name, "kubelet", false, &render("kubernetes/renew-kubelet.sh", context).expect("the template fits"));
    let script = format!("systemctl() {{ :; }}\n{script}");
    let recorded = format!("{}/{}", path::APPLIED, recorded::KUBELET_FLAGS);
    let flags = |path: &str| fs::read_to_string(below(folder, path)).ok();
    put(folder, path::KUBELET_CONFIG, "kind: KubeletConfiguration");
    put(folder, path::KUBELET_FLAGS, "of an older hostler\n");
    assert_eq!(run(&script, &[]).0, Some(0));
    assert_eq!(
        (flags(path::KUBELET_FLAGS), flags(&recorded)),
        (Some("of an older hostler\n".to_owned()), None),
        "nobody knows what it was"
    );
    let line = |text: &str| Some(format!("{text}\n"));
    put(folder, &recorded, "made\n");
    put(folder, path::KUBELET_FLAGS, "edited\n");
    assert_eq!(run(&script, &[]).0, Some(0));
    assert_eq!((flags(path::KUBELET_FLAGS), flags(&recorded)), (line("made"), line("made")));
    put(folder, "/next", "another version\n");
    assert_eq!(run(&script, &[]).0, Some(0));
    assert_eq!((flags(path::KUBELET_FLAGS), flags(&recorded)), (line("another version"), line("another version")));
}

/// A machine on which restore.sh has run with `archive`, its status, and what it said.
fn restored(archive: &[u8]) -> (tempfile::TempDir, Option<i32>, String) {
    let kubeadm = "case $1 in
        token) echo abcdef.0123456789abcdef ;;
        init) mkdir -p ROOT/var/lib/kubelet; echo kind > ROOT/var/lib/kubelet/config.yaml
            echo FLAGS > ROOT/var/lib/kubelet/kubeadm-flags.env; cp \"$3\" ROOT/config-that-was ;;
        esac";
    let etcdutl =
        "case \" $* \" in *' status '*) echo 'a, 5, 1, 1' ;; *) mkdir -p ROOT/var/lib/etcd/member; cp \"$3\" ROOT/etcd-that-was ;; esac";
    let (folder, name) =
        machine(&[("kubeadm", kubeadm), ("etcdutl", etcdutl), ("kubectl", "cat > /dev/null < /dev/null"), ("ctr", "exit 0")]);
    let (config, coredns) = ("token: TOKEN-MADE-HERE\n", "spec: {}\n");
    let file = |bytes: &[u8]| json!({ "size": bytes.len(), "sha256": sha256(bytes) });
    let context = json!({
        "snapshot": file(archive), "node": "rainbowdash", "peer": "https://192.168.1.10:2380", "config": file(config.as_bytes()),
        "coredns": file(coredns.as_bytes()), "record": [], "cluster_record": [], "static_pods": ["etcd"],
    });
    let script = on_a_folder(&name, "init", false, &render("kubernetes/restore.sh", context).expect("the template fits"));
    let (status, said) = run(&script, &[archive, config.as_bytes(), coredns.as_bytes()].concat());
    (folder, status, said)
}

#[test]
fn a_restore_reads_what_a_snapshot_holds() {
    let (_, whole) = snapshot();
    let (folder, status, said) = restored(&whole);
    assert_eq!(status, Some(0), "{said}");
    let folder = folder.path();
    let pki = below(folder, path::PKI);
    let names: BTreeSet<String> = there(&pki).into_iter().map(|name| name.trim_start_matches('/').to_owned()).collect();
    assert_eq!(names, archive::PKI.map(str::to_owned).into());
    for name in archive::PKI {
        let file = pki.join(name);
        assert_eq!(fs::read_to_string(&file).expect("it is text"), name);
        let mode = fs::metadata(&file).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, if name.ends_with(".key") { 0o600 } else { 0o644 }, "{name}");
    }
    assert_eq!(fs::read_to_string(folder.join("etcd-that-was")).expect("it was read"), "data\n");
    assert_eq!(fs::read_to_string(folder.join("config-that-was")).expect("it was read"), "token: abcdef.0123456789abcdef\n");
    let output = format!("{} token abcdef.0123456789abcdef\n", say::OUTPUT);
    assert!(said.contains(&output), "{said}");
    let left: Vec<String> = there(&below(folder, path::STATE)).into_iter().collect();
    assert_eq!(left, [recorded::KUBELET_FILE, recorded::KUBELET_FLAGS].map(|name| format!("/applied/{name}")), "no mark stays");
    assert_eq!(there(&below(folder, path::WORK)), BTreeSet::new(), "no secret stays");

    // One that is not whole.
    let mut less = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for entry in tar::Archive::new(flate2::read::GzDecoder::new(whole.as_slice())).entries().expect("a tar") {
        let entry = entry.expect("an entry");
        let header = entry.header().clone();
        if !entry.path().expect("a path").ends_with("sa.key") {
            less.append(&header, entry).expect("it is copied");
        }
    }
    let less = less.into_inner().and_then(|gz| gz.finish()).expect("it is whole");
    let (_, status, said) = restored(&less);
    assert!(status != Some(0) && said.contains("sa.key"), "{status:?} {said}");
}

/// Machines may ask another control plane than their own only where it is said.
#[test]
fn a_script_that_asks_the_cluster_asks_its_own_api_server() {
    for (name, script) in scripts() {
        for line in script.lines().filter(|line| line.contains("--server ") && line.contains(path::ADMIN)) {
            assert!(line.contains(kubectl::OWN), "{name}: {line}");
        }
    }
}
