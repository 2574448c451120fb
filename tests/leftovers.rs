//! What a script leaves behind when it is cut off, as by a power failure, and who removes it: a trap does not.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use hostler_core::protocol::path;
use hostler_core::template::render;
use nix::fcntl::{Flock, FlockArg};
use serde_json::json;

fn dash(script: &str) -> Output {
    Command::new("dash").arg("-c").arg(script).output().expect("dash; apt-get install dash")
}

/// A file that was written so long ago.
fn planted(file: &Path, hours: u64) {
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    fs::write(file, "every key").expect("a file");
    let time = SystemTime::now() - Duration::from_secs(hours * 3600);
    File::options().write(true).open(file).and_then(|file| file.set_modified(time)).expect("our own file");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect();
    names.sort();
    names
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

/// Where scripts make files of a random name: in memory or in /tmp, which are cleared, or the script removes, before it makes one, what an earlier
/// run of it left.
#[test]
fn what_a_cut_off_run_left_is_removed_by_the_next() {
    let cleared = ["{{ path.own_admin }}"];
    assert!(path::OWN_ADMIN.starts_with("/run/"));
    let (mut left, mut count) = (Vec::new(), 0);
    for file in below(Path::new("templates")) {
        let text = fs::read_to_string(&file).expect("templates are text");
        for (number, line) in text.lines().enumerate() {
            let Some((_, made)) = line.split_once("$(mktemp") else { continue };
            count += 1;
            let made = made.trim_start_matches(" -d").trim();
            let made = made.rsplit_once(')').map_or(made, |(made, _)| made).trim_matches('"');
            if made.is_empty() || cleared.iter().any(|cleared| made.starts_with(cleared)) {
                continue;
            }
            // What comes before the random part may be more general.
            let begins = made.find("XXXXXX").expect("mktemp needs a random part");
            let glob = made[begins - 1..].replace('X', "?");
            let removes = |text: &&str| ["rm -f", "rm -rf", "-delete"].iter().any(|remove| text.contains(remove)) && text.contains(&glob);
            let before: Vec<&str> = text.lines().take(number).collect();
            // One that may be in use is looked at in a loop.
            let looped = before.windows(2).any(|lines| lines[0].contains(&glob) && lines[1].contains("rm -rf"));
            if !before.iter().any(removes) && !looped {
                left.push(format!("{}:{}: {made}", file.display(), number + 1));
            }
        }
    }
    assert!(count >= 8, "{count}");
    assert_eq!(left, [""; 0]);
}

/// It holds every secret of the cluster.
#[test]
fn a_snapshot_that_was_cut_off_does_not_stay() {
    let root = tempfile::tempdir().expect("a folder");
    let work = root.path().join("work");
    fs::create_dir(root.path().join("pki")).expect("a folder");
    fs::write(root.path().join("pki/ca.key"), "").expect("a file");
    planted(&work.join("snapshot.aB3dEf/snapshot/pki/ca.key"), 0);
    planted(&work.join("snapshot.living/snapshot/pki/ca.key"), 0);
    planted(&work.join("snapshot-copied"), 100);
    let living = File::open(work.join("snapshot.living")).expect("a folder");
    let living = Flock::lock(living, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error).expect("nobody holds it");
    let script = render("kubernetes/snapshot.sh", json!({})).expect("the template can be filled in");
    let script = script.replace(path::WORK, &work.display().to_string()).replace(path::PKI, &root.path().join("pki").display().to_string());
    let (begins, _) = script.split_once("what=$folder").expect("it makes a folder first");
    let script = format!("{begins}\necho made > \"$folder/made\"\n");
    let run = |then: &str| {
        let output = dash(&format!("{script}{then}\n"));
        (names(&work), output)
    };
    // One that is killed, and the next.
    let (after, output) = run("kill -9 $$");
    assert!(after.len() == 3 && !after.contains(&"snapshot.aB3dEf".to_owned()), "{after:?} {output:?}");
    let (after, output) = run("true");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(after, ["snapshot-copied", "snapshot.living"]);
    drop(living);
    let (after, _) = run("true");
    assert_eq!(after, ["snapshot-copied"]);
}

/// A folder of a share that is mounted on every control plane: several machines, and several clusters, write into it.
#[test]
fn parts_of_other_machines_and_clusters_are_theirs() {
    let root = tempfile::tempdir().expect("a folder");
    let to = root.path().join("to");
    fs::create_dir(&to).expect("a folder");
    fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).expect("it is ours");
    fs::write(root.path().join("archive"), "x").expect("a file");
    let theirs = [
        // Being written by others.
        (".home.applejack.aB3dEfGhIjKl.hostler-new", 1),
        (".home-aB3dEfGhIjKl.hostler-new", 1),
        // Of another cluster, whose machines remove it.
        (".home-two.rarity.aB3dEfGhIjKl.hostler-new", 100),
        (".home-two-aB3dEfGhIjKl.hostler-new", 100),
        // The user's own.
        (".home-notes.hostler-new", 100),
        (".home.rarity.notes.hostler-new", 100),
    ];
    let gone = [
        (".home.rarity.aB3dEfGhIjKl.hostler-new", 0),
        // Of a machine that is gone, and of an earlier hostler.
        (".home.applejack.zzzzzzzzzzzz.hostler-new", 25),
        (".home-zzzzzzzzzzzz.hostler-new", 25),
    ];
    for (name, hours) in theirs.iter().chain(&gone) {
        planted(&to.join(name), *hours);
    }
    let seal = root.path().join("hostler");
    let kept = |how: &str| {
        fs::write(&seal, format!("#!/bin/sh\n{how}\n")).expect("a file");
        fs::set_permissions(&seal, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let rendered = |name: &str| render(name, json!({ "recipients": [] })).expect("the template can be filled in");
        let text = rendered("machine/snapshot-names.sh") + "\n" + &rendered("machine/keep-snapshot.sh");
        let text = text.replace(&format!("{}/hostler", path::BIN), &seal.display().to_string());
        let (to, archive) = (to.display(), root.path().join("archive"));
        dash(&format!("set -eu\numask 077\nto={to}\ncluster=home\nmachine=rarity\nkeep=9\narchive={}\n{text}", archive.display()))
    };
    let mut expected: Vec<&str> = theirs.iter().map(|(name, _)| *name).collect();
    expected.sort_unstable();
    // Where it can't be written, the disk may be full of what was left.
    assert!(!kept("exit 1").status.success());
    assert_eq!(names(&to), expected);
    let output = kept("cat");
    assert!(output.status.success(), "{output:?}");
    let left: Vec<String> = names(&to).into_iter().filter(|name| name.starts_with('.')).collect();
    assert_eq!((left, names(&to).len()), (expected.iter().map(|name| (*name).to_owned()).collect(), expected.len() + 1));
}

#[test]
fn a_list_of_keys_that_was_cut_off_is_removed_and_the_users_files_are_not() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join(".ssh");
    planted(&folder.join(".authorized_keys.aB3dEfGhIj.hostler-new"), 1);
    planted(&folder.join("authorized_keys.backup"), 100);
    let script = render("ssh/authorize.sh", json!({ "key": "ssh-ed25519 AAAA ada" })).expect("the template can be filled in");
    let output = Command::new("dash").arg("-c").arg(script).env("HOME", home.path()).output().expect("dash; apt-get install dash");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(names(&folder), ["authorized_keys", "authorized_keys.backup"]);
}

/// A server may make another user of root: then what this machine wrote can't be told from what others did.
#[test]
fn snapshots_that_are_not_root_s_are_not_passed_over_in_silence() {
    let root = tempfile::tempdir().expect("a folder");
    let words = json!({ "to": root.path(), "cluster": "home", "known": "" });
    let script = render("kubernetes/send-newest-snapshot.sh", words).expect("the template can be filled in");
    let sent = |own: bool| {
        let script = if own { script.clone() } else { script.replace("$(id -u)", "4242") };
        let output = dash(&script);
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    assert_eq!(sent(false), (true, String::new(), String::new()), "there are none");
    fs::write(root.path().join("home-20260301T120000Z.tar.gz"), "x").expect("a file");
    let (success, _, why) = sent(false);
    assert!(!success && why.contains("no_root_squash"), "{why}");
    let (success, said, _) = sent(true);
    assert!(success && said.starts_with("home-20260301T120000Z.tar.gz\n"), "{said}");
}
