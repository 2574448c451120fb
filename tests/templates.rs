//! Every script that hostler may run, as a machine would get it, is plain POSIX sh: shellcheck finds nothing in it and dash reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use hostler_core::template::render;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use scripts::{has_jinja, on_a_folder, scripts, templates};

mod scripts;
#[path = "templates/units.rs"]
mod units;

/// Runs a program of the system; without it the test fails and says how to get it.
fn checked(command: &mut Command, package: &str) -> Output {
    let program = command.get_program().to_string_lossy().into_owned();
    let spawned = command.stdin(Stdio::null()).output();
    spawned.unwrap_or_else(|error| panic!("{program} can't be run ({error})\nhint: apt-get install {package}"))
}

fn written(scripts: &BTreeMap<String, String>) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut paths = Vec::new();
    for (name, text) in scripts {
        let path = folder.path().join(name);
        fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes())).expect("the script can be written");
        paths.push(path);
    }
    (folder, paths)
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn shellcheck_finds_nothing() {
    let (folder, paths) = written(&scripts());
    let output = checked(Command::new("shellcheck").args(["-s", "sh", "-f", "gcc"]).args(&paths), "shellcheck");
    let found = text(&output).replace(&format!("{}/", folder.path().display()), "");
    assert!(output.status.success(), "{found}");
}

#[test]
fn dash_reads_all() {
    let (_folder, paths) = written(&scripts());
    let mut wrong = String::new();
    for path in &paths {
        let output = checked(Command::new("dash").arg("-n").arg(path), "dash");
        if !output.status.success() {
            wrong.push_str(&text(&output));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// A script is filled in whole; what looks like a template in it is a user's word.
#[test]
fn nothing_of_a_template_is_left_in_a_script() {
    let mut with_words = 0;
    for (name, text) in scripts() {
        for line in text.lines().filter(|line| has_jinja(line)) {
            assert!(line.contains("{{ a }} {% word %}"), "{name}: {line}");
            with_words += 1;
        }
    }
    assert!(with_words > 0);
}

/// The tests above see nothing of a template that no script of theirs is made of.
#[test]
fn every_template_is_in_a_script() {
    let all = scripts();
    for (name, text) in templates() {
        for line in text.lines().filter(|line| !line.is_empty() && !has_jinja(line)) {
            assert!(all.values().any(|script| script.contains(line)), "templates/{name}: no script has the line\n{line}");
        }
    }
}

/// What hosts.sh makes of a file that has `before` in it.
fn hosts(before: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("hosts");
    fs::write(&file, before).expect("it can be written");
    let block = "192.168.1.12 rarity\n192.168.1.11 kubernetes.home\n";
    let script = render("machine/hosts.sh", serde_json::json!({ "block": { "size": block.len() } })).expect("the template fits");
    let script = format!("set -eu\n{}", script.replace("/etc/hosts", &file.display().to_string()));
    let mut child = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().expect("sh runs");
    child.stdin.take().expect("it is piped").write_all(block.as_bytes()).expect("sh reads");
    assert!(child.wait().expect("sh ends").success());
    let left: Vec<PathBuf> = fs::read_dir(folder.path()).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(left, std::slice::from_ref(&file), "nothing but the file is left");
    fs::read_to_string(file).expect("it is there")
}

#[test]
fn what_is_the_users_in_etc_hosts_stays() {
    let block = "# hostler begin\n192.168.1.12 rarity\n192.168.1.11 kubernetes.home\n# hostler end\n";
    let user = "127.0.0.1 localhost\n# mine\n\n10.0.0.1\tprinter printer.home\n";
    assert_eq!(hosts(user), format!("{user}{block}"));
    assert_eq!(hosts(&hosts(user)), format!("{user}{block}"));
    assert_eq!(hosts(""), block);
    let old = "# hostler begin\n192.168.1.99 kubernetes.home\n192.168.1.98 gone\n# hostler end\n";
    assert_eq!(hosts(&format!("{old}{user}")), format!("{user}{block}"), "an old block goes, wherever it is");
    // The mark of its end is lost: what may be the user's stays.
    assert_eq!(hosts(&format!("# hostler begin\n192.168.1.99 kubernetes.home\n{user}")), format!("{user}{block}"));
    // It was cut while it was written.
    assert_eq!(hosts(&format!("{user}# hostler begin\n192.168.1.12 rarity\n")), format!("{user}{block}"));
    assert_eq!(hosts(&format!("{user}# hostler begin\n192.168.1.12 rarity\n{old}")), format!("{user}{block}"), "two begin, one ends");
}

/// Keeps a snapshot in a folder with this mode, where somebody has prepared files of the names it may take. `theirs`: the folder, or that above it, that
/// belongs to somebody else. The status, and what is there.
fn kept_snapshot(mode: u32, recipients: &[&str], content: &str, theirs: Option<&str>) -> (Output, Vec<(String, u32, String)>) {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("to");
    fs::create_dir(&to).expect("a folder");
    fs::set_permissions(&to, fs::Permissions::from_mode(mode)).expect("it is ours");
    if let Some(theirs) = theirs {
        std::os::unix::fs::chown(folder.path().join(theirs), Some(65534), None).expect("root may");
    }
    fs::write(folder.path().join("archive"), content).expect("a file");
    let seal = folder.path().join("hostler");
    fs::write(&seal, "#!/bin/sh\nread -r content\n[ \"$content\" = \"every key\" ] && printf %s \"$*: $content\"\n").expect("a file");
    fs::set_permissions(&seal, fs::Permissions::from_mode(0o755)).expect("it is ours");
    // As of each of the next seconds, and of earlier snapshots.
    let before = [
        "home-20260101T000000Z.tar.gz",
        "home-20260102T000000Z.tar.gz",
        "other-20260101T000000Z.tar.gz",
        ".home.rarity.aB3dEfGhIjKl.hostler-new",
    ];
    for name in before {
        fs::write(to.join(name), "old").expect("a file");
    }
    let rendered = |name: &str| render(name, serde_json::json!({ "recipients": recipients })).expect("the template can be filled in");
    let text = rendered("machine/snapshot-names.sh") + "\n" + &rendered("machine/keep-snapshot.sh");
    let text = text.replace("/opt/hostler/current/bin/hostler", &seal.display().to_string());
    let variables = format!(
        "set -eu\numask 077\nto={}\ncluster=home\nmachine=rarity\nkeep=9\narchive={}\n",
        to.display(),
        folder.path().join("archive").display()
    );
    let planted = "for s in 0 1 2 3; do n=$to/$cluster-$(date -u -d \"+$s seconds\" +%Y%m%dT%H%M%SZ).tar.gz; (umask 0; : > \"$n.hostler-new\"; ln \"$n.hostler-new\" \"$n\"); done\n";
    let output = Command::new("dash").arg("-c").arg(format!("{variables}{planted}{text}")).output().expect("dash; apt-get install dash");
    let mut found: Vec<_> = fs::read_dir(&to)
        .expect("a folder")
        .map(|entry| {
            let entry = entry.expect("an entry");
            let mode = entry.metadata().expect("it is there").permissions().mode() & 0o777;
            (entry.file_name().into_string().expect("a name"), mode, fs::read_to_string(entry.path()).unwrap_or_default())
        })
        .collect();
    found.sort();
    (output, found)
}

#[test]
fn a_snapshot_is_root_s_alone_whoever_may_write_beside_it() {
    let (output, found) = kept_snapshot(0o755, &[], "every key\n", None);
    assert!(output.status.success(), "{output:?}");
    let keys: Vec<_> = found.iter().filter(|(_, _, content)| content == "seal-snapshot: every key").collect();
    assert!(matches!(keys.as_slice(), [(_, 0o600, _)]), "{found:?}");
    assert!(
        found.iter().any(|(name, ..)| name.starts_with("other-")) && !found.iter().any(|(name, ..)| name.starts_with('.')),
        "{found:?}"
    );
    for mode in [0o777, 0o775, 0o757] {
        let (output, found) = kept_snapshot(mode, &[], "every key\n", None);
        assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("other users can write to"), "{output:?}");
        assert!(!found.iter().any(|(_, _, content)| content.contains("every key")), "{found:?}");
    }
    let (output, _) = kept_snapshot(0o1777, &[], "every key\n", None);
    assert_eq!(output.status.success(), nix::unistd::geteuid().is_root(), "{output:?}");
    // Whose folder it is, or one above it, can put another file in a file's place.
    if nix::unistd::geteuid().is_root() {
        for theirs in ["to", "."] {
            let (output, found) = kept_snapshot(0o755, &[], "every key\n", Some(theirs));
            assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("does not belong to root"), "{output:?}");
            assert!(!found.iter().any(|(_, _, content)| content.contains("every key")), "{found:?}");
        }
    }
}

#[test]
fn an_encrypted_snapshot_has_its_own_extension_and_one_that_is_not_whole_is_not_kept() {
    let (output, found) = kept_snapshot(0o755, &["age1abc", "age1def"], "every key\n", None);
    assert!(output.status.success(), "{output:?}");
    let kept: Vec<_> = found.iter().filter(|(name, ..)| name.ends_with(".tar.gz.age")).collect();
    assert!(
        matches!(kept.as_slice(), [(_, 0o600, content)] if content == "seal-snapshot --recipient age1abc --recipient age1def: every key"),
        "{found:?}"
    );
    let (output, found) = kept_snapshot(0o755, &["age1abc"], "half\n", None);
    assert!(!output.status.success(), "{output:?}");
    assert!(!found.iter().any(|(name, _, content)| name.ends_with(".age") || content.contains("seal")), "{found:?}");
    // Those of earlier days stay, as nothing replaces them.
    assert!(found.iter().any(|(name, ..)| name == "home-20260101T000000Z.tar.gz"), "{found:?}");
}

/// A machine whose clock was wrong when it started took some; now it is set.
#[test]
fn snapshots_of_a_time_to_come_neither_stop_new_ones_nor_displace_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let names = render("machine/snapshot-names.sh", serde_json::json!({})).expect("the template can be filled in");
    for name in [
        "home-20990101T000000Z.tar.gz",
        "home-20990102T000000Z.tar.gz.age",
        "home-20260101T000000Z.tar.gz.age",
        "home-20260102T000000Z.tar.gz",
    ] {
        fs::write(folder.path().join(name), "").expect("a file");
    }
    let script = format!("set -eu\ncluster=home\n{names}\nnewest_first {} | sed 's|.*/||'", folder.path().display());
    let output = Command::new("dash").arg("-c").arg(script).output().expect("dash; apt-get install dash");
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let listed: Vec<&str> = listed.lines().map(|name| &name[5..13]).collect();
    assert_eq!(listed, ["20260102", "20260101", "20990102", "20990101"], "{output:?}");
    // Whether one is due: of a file of a time to come, and of one just now.
    let is_due = |recipients: &[&str]| {
        let context = serde_json::json!({
            "to": folder.path(), "cluster": "home", "machine": "rarity", "every": 1440, "keep": 7, "recipients": recipients,
        });
        let service = render("machine/hostler-snapshot.sh", context).expect("the template can be filled in");
        let (looks, _) = service.split_once("# An upgrade stops etcd").expect("it looks at the last one first");
        let output = Command::new("dash").arg("-c").arg(format!("{looks}\necho due")).output().expect("dash; apt-get install dash");
        String::from_utf8_lossy(&output.stdout).contains("due")
    };
    let touch = |when: &str| Command::new("sh").arg("-c").arg(format!("touch -d '{when}' {}/home-*", folder.path().display())).status();
    for (when, due) in [("+1 year", true), ("-2 days", true), ("-1 hour", false), ("+10 seconds", false)] {
        assert!(touch(when).is_ok_and(|status| status.success()));
        assert_eq!(is_due(&[]), due, "{when}");
    }
    // With recipients, one that is not encrypted is not the last one.
    assert!(touch("-1 hour").is_ok_and(|status| status.success()) && !is_due(&["age1abc"]));
    let old = Command::new("sh").arg("-c").arg(format!("touch -d '-2 days' {}/home-*.age", folder.path().display())).status();
    assert!(old.is_ok_and(|status| status.success()) && is_due(&["age1abc"]) && !is_due(&[]));
}

/// What wipe.sh says before it begins, where `place` is mounted.
fn before_the_wipe(place: &str) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let mounts = folder.path().join("mounts");
    fs::write(&mounts, format!("/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 {place} ext4 rw 0 0\n")).expect("a file");
    let whole = render("machine/wipe.sh", serde_json::json!({ "keep": [], "links": [] })).expect("the template can be filled in");
    let (before, _) = whole.split_once("record wipe-begun").expect("it tells that it begins");
    let script = format!("set -eu\nfail() {{ echo \"$*\" >&2; exit 1; }}\n{before}").replace("/proc/mounts", &mounts.display().to_string());
    Command::new("dash").arg("-c").arg(script).output().expect("dash; apt-get install dash")
}

#[test]
fn nothing_is_wiped_where_somebody_mounted_something() {
    for mounted in ["/var/lib/etcd", "/var/lib/kubelet", "/var/lib/kubelet/pods", "/etc/kubernetes/pki", "/var/lib/cni/x"] {
        let output = before_the_wipe(mounted);
        assert!(!output.status.success(), "{mounted}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with(&format!("{mounted} is a mount point")), "{output:?}");
    }
    for others in ["/var/lib", "/var/lib/etcd-of-mine", "/var/lib/kubelet/pods/6f1c/volumes/kubernetes.io~projected/token"] {
        assert!(before_the_wipe(others).status.success(), "{others}");
    }
}

/// Its machine goes on with what it does, and with what follows, when hostler is gone.
#[test]
fn what_is_said_aloud_may_be_heard_by_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().display().to_string();
    fs::create_dir(folder.path().join("run")).expect("a folder");
    let run = |command: &str, heard: bool| {
        let body = format!("aloud sh -ec '{command}'\necho followed > /run/done\n");
        let mut script = Command::new("dash");
        script.args(["-c", &on_a_folder(&root, "init", false, &body)]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut script = script.spawn().expect("dash; apt-get install dash");
        if !heard {
            drop((script.stdout.take(), script.stderr.take()));
            fs::write(folder.path().join("deaf"), "").expect("a file");
        }
        let output = script.wait_with_output().expect("it ends");
        let followed = fs::remove_file(folder.path().join("run/done")).is_ok();
        (output.status.code(), text(&output), followed)
    };
    let says = "echo one; echo two >&2; printf three";
    assert_eq!(run(says, true), (Some(0), "one\ntwo\nthree\n".to_owned(), true));
    assert_eq!(run("echo one; exit 5", true), (Some(5), "one\n".to_owned(), false));
    let later = format!("until [ -e {root}/deaf ]; do sleep 0.05; done; echo one; /bin/echo two; echo three");
    assert_eq!(run(&later, false), (Some(0), String::new(), true));
}

#[test]
fn a_step_finds_that_its_machine_was_restarted() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().display().to_string();
    fs::create_dir(folder.path().join("run")).expect("a folder");
    let run = |begun: bool| {
        let script = on_a_folder(&root, "images-node", begun, "echo done");
        let output = Command::new("dash").args(["-c", &script]).output().expect("dash; apt-get install dash");
        (output.status.code(), text(&output))
    };
    assert_eq!(run(false), (Some(0), "done\n".to_owned()));
    assert_eq!(run(true), (Some(0), "done\n".to_owned()));
    // What is in memory is gone.
    fs::remove_dir_all(folder.path().join("run/hostler")).expect("it is there");
    assert_eq!(run(true), (Some(76), String::new()));
    assert_eq!(run(false), (Some(0), "done\n".to_owned()));
}

#[test]
fn programs_that_are_right_are_on_record_however_they_came() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().display().to_string();
    for made in ["opt/hostler/store", "run", "etc/hostler", "usr/local/bin"] {
        fs::create_dir_all(folder.path().join(made)).expect("a folder");
    }
    let sums = ["sent now", "sent before", "cut"].map(|text| hostler_core::digest::sha256(text.as_bytes()));
    let [sent, before, cut] = &sums;
    for (sum, text) in [(before, "sent before"), (cut, "cu")] {
        fs::write(folder.path().join("opt/hostler/store").join(sum), text).expect("a file");
    }
    // Other people's programs are kept; hostler's own links are not.
    let bin = folder.path().join("usr/local/bin");
    fs::write(bin.join("kubelet"), "mine").expect("a file");
    fs::write(bin.join("kubelet.before-hostler"), "kept earlier").expect("a file");
    symlink("/snap/bin/kubeadm", bin.join("kubeadm")).expect("a link");
    symlink(folder.path().join("opt/hostler/sets/old/bin/crictl"), bin.join("crictl")).expect("a link");
    fs::write(bin.join("other"), "mine, too").expect("a file");
    let program = |path: &str, sum: &str| serde_json::json!({ "path": path, "sha256": sum, "size": 8 });
    let programs = [program("bin/kubelet", sent), program("bin/kubeadm", before), program("bin/crictl", cut)];
    let context = serde_json::json!({ "set": "s1", "programs": programs, "payload": [program("", sent)], "use": true });
    let script = on_a_folder(&root, "programs", false, &render("machine/programs.sh", context).expect("the template fits"));
    let mut child = Command::new("dash").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.as_mut().expect("dash; apt-get install dash");
    child.stdin.take().expect("it is piped").write_all(b"sent now").expect("it reads");
    assert!(child.wait().expect("it ends").success());
    let recorded = fs::read_to_string(folder.path().join("opt/hostler/verified")).expect("the record");
    let mut recorded: Vec<&str> = recorded.lines().filter_map(|line| line.split(' ').next()).collect();
    let mut right = vec![sent.as_str(), before.as_str()];
    recorded.sort_unstable();
    right.sort_unstable();
    assert_eq!(recorded, right);
    for name in ["kubelet", "kubeadm", "crictl"] {
        assert_eq!(fs::read_link(bin.join(name)).expect("a link"), folder.path().join("opt/hostler/current/bin").join(name));
    }
    let mut names: Vec<String> =
        fs::read_dir(&bin).expect("a folder").map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    let kept = ["kubeadm.before-hostler", "kubelet", "kubelet.before-hostler", "kubelet.before-hostler.~1~", "other"];
    assert_eq!(names, [&["crictl", "kubeadm"], &kept[..]].concat());
    let contents: Vec<String> =
        ["kubelet.before-hostler", "kubelet.before-hostler.~1~"].map(|name| fs::read_to_string(bin.join(name)).expect("a file")).into();
    assert!(contents.contains(&"mine".to_owned()) && contents.contains(&"kept earlier".to_owned()), "{contents:?}");
    assert_eq!(fs::read_link(bin.join("kubeadm.before-hostler")).expect("a link"), PathBuf::from("/snap/bin/kubeadm"));
}

/// A machine made of a folder, on which `kubeadm` is the script given, runs join.sh: its status, what it said, and the marks it left.
fn join(kubeadm: &str, kubelet_conf: bool, again: bool) -> (Option<i32>, String, Vec<String>) {
    join_with(r#"[ "$3 $4" = "fd00::1 6443" ] || { echo "$3 $4: No route to host" >&2; exit 1; }"#, kubeadm, kubelet_conf, again)
}

/// `bash`: what connects.
fn join_with(bash: &str, kubeadm: &str, kubelet_conf: bool, again: bool) -> (Option<i32>, String, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().display().to_string();
    for made in ["opt/hostler/current/bin", "etc/kubernetes", "etc/hostler/applied", "run/hostler"] {
        fs::create_dir_all(folder.path().join(made)).expect("a folder");
    }
    // As on a machine that has just come back: containerd answers when it is asked again.
    let ctr = "[ -e ROOT/asked ] || { touch ROOT/asked; exit 1; }";
    // The token is known when somebody asks again, at the endpoint.
    let kubectl = r#"case "$*" in *" --server https://[fd00::1]:6443 "*) ;; *) exit 1 ;; esac
        [ -e ROOT/signed ] || { touch ROOT/signed; exit 1; }
        echo '{"jws-kubeconfig-abcdef":"ey"}'"#;
    for (name, text) in [("kubeadm", kubeadm), ("ctr", ctr), ("kubectl", kubectl), ("bash", bash)] {
        let program = folder.path().join("opt/hostler/current/bin").join(name);
        fs::write(&program, format!("#!/bin/sh\n{}\n", text.replace("ROOT", &root))).expect("a file");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    if kubelet_conf {
        fs::write(folder.path().join("etc/kubernetes/kubelet.conf"), "server").expect("a file");
    }
    if again {
        fs::write(folder.path().join("etc/hostler/applied/join-begun"), "run").expect("a file");
    }
    fs::create_dir_all(folder.path().join("var/lib/kubelet")).expect("a folder");
    fs::write(folder.path().join("var/lib/kubelet/config.yaml"), "kind: KubeletConfiguration").expect("a file");
    fs::write(folder.path().join("var/lib/kubelet/kubeadm-flags.env"), "KUBELET_KUBEADM_ARGS=\"\"\n").expect("a file");
    let config = "discovery:\n  bootstrapToken:\n    apiServerEndpoint: '[fd00::1]:6443'\n    token: abcdef.0123456789abcdef\n";
    let ca = "a certificate";
    let file = |text: &str| serde_json::json!({ "size": text.len(), "sha256": hostler_core::digest::sha256(text.as_bytes()) });
    let context =
        serde_json::json!({ "config": file(config), "ca": file(ca), "again": again, "pki": null, "record": [], "static_pods": ["etcd"] });
    let script = on_a_folder(&root, "join", false, &render("kubernetes/join.sh", context).expect("the template fits"));
    let mut child = Command::new("dash")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("dash; apt-get install dash");
    // A script that ends before it reads is no reason to fail here.
    let _ = child.stdin.take().expect("it is piped").write_all(format!("{config}{ca}").as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let marks = fs::read_dir(folder.path().join("etc/hostler/applied")).expect("the folder");
    let mut marks: Vec<String> = marks.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    marks.sort();
    (output.status.code(), text(&output), marks)
}

#[test]
fn a_join_that_somebody_else_made_is_not_taken_for_one_that_was_cut() {
    let (status, said, marks) = join("echo kubeadm must not run; exit 9", true, false);
    assert_eq!((status, marks), (Some(1), Vec::new()), "{said}");
    assert!(said.contains("the machine has joined a cluster since its facts were gathered"), "{said}");
}

#[test]
fn a_join_waits_until_the_old_node_is_known_to_be_gone() {
    let exists = r#"case $1 in
        join) echo 'a Node with name "rainbowdash" and status "Ready" already exists in the cluster.' >&2; exit 1 ;;
        reset) rm -f ROOT/etc/kubernetes/kubelet.conf ;;
        esac"#;
    for again in [false, true] {
        // What was cut had its certificate already.
        let (status, said, marks) = join(exists, again, again);
        assert_eq!((status, marks), (Some(75), vec!["join-begun".to_owned()]), "{said}");
        assert!(said.contains("@wait the cluster to notice that node "), "{said}");
        let reset_and_join = "if [ $1 = reset ]; then rm -f ROOT/etc/kubernetes/kubelet.conf; else echo This node has joined; fi";
        let (status, said, marks) = join(reset_and_join, again, again);
        assert_eq!((status, marks), (Some(0), vec!["kubelet-file".to_owned(), "kubelet-flags".to_owned()]), "{said}");
        assert!(said.contains("This node has joined"), "{said}");
        assert!(said.contains("@waiting 180 containerd to answer"), "{said}");
        assert!(said.contains("@waiting 20 the controller manager to sign the token"), "{said}");
        assert!(!said.contains("in vain"), "{said}");
    }
    let (status, said, _) = join("echo another trouble >&2; exit 7", false, false);
    assert_eq!(status, Some(7), "{said}");
}

/// A firewall that says nothing: told within seconds, with both ends, and kubeadm, which would wait for minutes, is not run.
#[test]
fn a_join_that_reaches_no_api_server_says_so() {
    let dial = |does: &str| join_with(does, "echo kubeadm runs", false, false);
    for (does, why) in [
        ("exit 124", "no answer within 5 s"),
        ("echo 'bash: line 1: /dev/tcp/fd00::1/6443: Connection timed out' >&2; exit 1", "Connection timed out"),
        ("echo 'bash: connect: No route to host\nbash: line 1: /dev/tcp/fd00::1/6443: No route to host' >&2; exit 1", "No route to host"),
        ("echo 'bash: api.lab.internal: Name or service not known' >&2; exit 1", "Name or service not known"),
    ] {
        let (status, words, _) = dial(does);
        assert!(status == Some(1) && !words.contains("kubeadm runs"), "{words}");
        assert!(words.contains(&format!("can't reach the API server at [fd00::1]:6443: {why}; a firewall in between")), "{words}");
    }
    // One that refuses answers; and where there is no bash, kubeadm finds out.
    for does in ["exit 0", "echo 'bash: line 1: /dev/tcp/fd00::1/6443: Connection refused' >&2; exit 1", "exit 127"] {
        let (status, words, _) = dial(does);
        assert!(status == Some(0) && words.contains("kubeadm runs"), "{words}");
    }
}

/// Every verification has a namespace with a name of its own; the next one finds by the label what an interrupted one left.
#[test]
fn a_probe_that_was_left_is_found_by_its_label() {
    let manifest = render("kubernetes/probe.yaml", serde_json::json!({ "nodes": ["apple"], "image": "probe" })).expect("the template fits");
    // As probe.sh does.
    let manifest = manifest.replace(hostler_core::protocol::namespaces::PROBE, "of-this-run");
    let namespace: serde_yaml::Value = serde_yaml::from_str(manifest.split("---\n").next().expect("a document")).expect("it is YAML");
    assert_eq!(namespace["metadata"]["name"], "of-this-run");
    let (key, value) = hostler_core::protocol::kubectl::PROBE_LABEL.split_once('=').expect("a label");
    assert_eq!(namespace["metadata"]["labels"][key], value, "{manifest}");
}

/// What flannel's container runs, with its arguments, in a folder that stands for the machine's, with another program as flanneld.
fn flannel(root: &Path, flanneld: &str) -> Child {
    let context = serde_json::json!({ "pod_subnet": "10.244.0.0/16", "backend": "vxlan", "image": "flannel" });
    let manifest = render("network/flannel.yaml", context).expect("the template fits");
    let daemon = manifest.split("---\n").last().expect("it has documents");
    let daemon: serde_yaml::Value = serde_yaml::from_str(daemon).expect("it is YAML");
    let command: Vec<String> =
        serde_yaml::from_value(daemon["spec"]["template"]["spec"]["containers"][0]["command"].clone()).expect("it is words");
    assert_eq!((command[0].as_str(), command[1].as_str()), ("sh", "-euc"));
    fs::create_dir_all(root.join("bin")).expect("a folder");
    for (name, does) in [("flanneld", flanneld), ("nc", "exit 0")] {
        fs::write(root.join("bin").join(name), format!("#!/bin/sh\n{does}")).expect("a file");
        fs::set_permissions(root.join("bin").join(name), PermissionsExt::from_mode(0o755)).expect("it is ours");
    }
    let script = command[2].replace("/opt/bin/flanneld", "flanneld");
    let script = ["/etc/", "/run/"].iter().fold(script, |script, place| script.replace(place, &format!("{}{place}", root.display())));
    let mut dash = Command::new("dash");
    dash.args(["-euc", &script, &command[3], "--ip-masq"]).env("ROOT", root);
    dash.envs([("KUBERNETES_SERVICE_HOST", "10.96.0.1"), ("KUBERNETES_SERVICE_PORT", "443")]);
    // kube-proxy leads somewhere.
    let path = std::env::var_os("PATH").unwrap_or_default();
    dash.env("PATH", std::env::join_paths(std::iter::once(root.join("bin")).chain(std::env::split_paths(&path))).expect("no colon in it"));
    dash.spawn().expect("dash; apt-get install dash")
}

#[test]
fn pods_begin_when_flannel_knows_its_subnet() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |path: &str| folder.path().join(path);
    for made in ["etc/kube-flannel", "etc/cni/net.d", "run/flannel"] {
        fs::create_dir_all(at(made)).expect("a folder");
    }
    let there = || -> Vec<(String, String)> {
        let entries = fs::read_dir(at("etc/cni/net.d")).expect("the folder").map(|entry| entry.expect("an entry"));
        entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path()).expect("text"))).collect()
    };
    let comes = |what: &dyn Fn() -> bool| {
        let limit = Instant::now() + Duration::from_secs(60);
        while !what() {
            assert!(Instant::now() < limit, "it does not come");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let is = |text: &str| vec![("10-flannel.conflist".to_owned(), text.to_owned())];
    fs::write(at("etc/kube-flannel/cni-conf.json"), "one").expect("a file");
    let status = flannel(folder.path(), "exit 7").wait().expect("it ends");
    assert_eq!((status.code(), there()), (Some(7), vec![]), "flanneld ends before it knows its subnet");

    // It writes down what it was told to do, and waits for its end.
    let runs = r#"echo "$@" > "$ROOT/begun"; trap 'echo > "$ROOT/ended"; exit 0' TERM; while :; do sleep 0.05; done"#;
    let mut container = flannel(folder.path(), runs);
    comes(&|| fs::read_to_string(at("begun")).is_ok_and(|words| words == "--ip-masq\n"));
    assert_eq!((container.try_wait().expect("it is ours"), there()), (None, vec![]), "too early");
    fs::write(at("run/flannel/subnet.env"), "FLANNEL_SUBNET=10.244.0.1/24\n").expect("a file");
    comes(&|| there() == is("one"));
    let process = Pid::from_raw(container.id().try_into().expect("a process"));
    kill(process, Signal::SIGTERM).expect("it runs");
    assert_eq!((container.wait().expect("it ends").code(), at("ended").exists()), (Some(0), true));

    // flanneld was started anew.
    let inode = || fs::metadata(at("etc/cni/net.d/10-flannel.conflist")).expect("it is there").ino();
    let before = inode();
    assert_eq!(flannel(folder.path(), "exit 7").wait().expect("it ends").code(), Some(7));
    assert_eq!((inode(), there()), (before, is("one")), "it was let be");
    fs::write(at("etc/kube-flannel/cni-conf.json"), "another").expect("a file");
    assert_eq!(flannel(folder.path(), "exit 7").wait().expect("it ends").code(), Some(7));
    assert_eq!(there(), is("another"));
}

#[test]
fn a_word_survives_a_shell() {
    for text in ["", "plain", "it's", "$(reboot)", "a\nb", "\\", "--x", "ünïcödé", "'''"] {
        let quoted = hostler_core::template::quote(text).expect("no NUL");
        let out = std::process::Command::new("sh").args(["-c", &format!("printf %s {quoted}")]).output().expect("sh runs");
        assert_eq!(String::from_utf8_lossy(&out.stdout), text);
    }
}

/// The API server must serve whatever hostler's manifests are made of.
#[test]
fn no_group_of_the_manifests_may_be_turned_off() {
    fn groups(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                groups(&path, found);
            } else {
                let text = fs::read_to_string(&path).expect("a template");
                let versions = text.lines().filter_map(|line| line.trim_start_matches(['-', ' ']).strip_prefix("apiVersion: "));
                found.extend(
                    versions.filter(|version| !version.contains("config.k8s.io") && !version.starts_with("kubeadm")).map(str::to_owned),
                );
            }
        }
    }
    let mut found = BTreeSet::new();
    groups(&Path::new(env!("CARGO_MANIFEST_DIR")).join("templates"), &mut found);
    assert!(found.len() > 4, "{found:?}");
    for group in found {
        for value in ["false", "0", "f"] {
            let text = format!(
                "machines: {{one: 10.0.0.1}}\nkubeadm: {{ClusterConfiguration: {{apiServer: {{extraArgs: [{{name: runtime-config, value: \"{group}={value}\"}}]}}}}}}\n"
            );
            let inventory = hostler_core::inventory::parse(&text, "inventory.yaml").unwrap_or_else(|problems| panic!("{problems}"));
            let said = hostler_core::plan::relied::deviations(&inventory).expect("templates fit");
            assert_eq!(said.len(), 1, "{group}={value}");
        }
    }
}
