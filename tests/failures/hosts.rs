//! hosts.sh where it is interrupted.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use hostler_core::template::render;

/// A bind-mounted /etc/hosts can only be written, and is cut by a power failure: wherever that was, nothing of the user's is lost.
#[test]
fn hosts_that_were_cut_while_they_were_written_are_completed() {
    let user = "127.0.0.1 localhost\n10.0.0.1\tprinter\n10.0.0.2 scanner\n";
    let block = "192.168.1.12 rarity\n192.168.1.11 kubernetes.home\n";
    let whole = format!("{user}# hostler begin\n{block}# hostler end\n");
    let old = format!("# hostler begin\n192.168.1.99 kubernetes.home\n# hostler end\n{user}");
    let body = render("machine/hosts.sh", serde_json::json!({ "block": { "size": block.len() } })).expect("the template fits");
    for (before, mounted) in [(&old, true), (&user.to_owned(), true), (&old, false)] {
        for cut in 0..whole.len() {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("hosts");
            fs::write(&file, before).expect("it can be written");
            let run = |shims: &str| {
                let script = format!(
                    "set -eu\nfail() {{ echo \"$*\" >&2; exit 1; }}\n{shims}\n{}",
                    body.replace("/etc/hosts", &file.display().to_string())
                );
                let mut child =
                    Command::new("dash").args(["-c", &script]).stdin(Stdio::piped()).spawn().expect("dash; apt-get install dash");
                child.stdin.take().expect("it is piped").write_all(block.as_bytes()).expect("it reads");
                child.wait().expect("it ends").code()
            };
            let mount = r#"mv() { for to; do :; done; case $to in */hosts) return 1 ;; *) command mv "$@" ;; esac; }"#;
            let mount = if mounted { mount } else { "" };
            let killed =
                format!("cat() {{ case $1 in *hosts.hostler-new) head -c {cut} \"$1\"; exit 9 ;; *) command cat \"$@\" ;; esac; }}");
            assert_eq!(run(&format!("{mount}\n{killed}")), Some(if mounted { 9 } else { 0 }));
            assert_eq!(run(mount), Some(0));
            assert_eq!(fs::read_to_string(&file).expect("it is there"), whole, "cut after {cut} bytes");
            assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1, "nothing but the file is left");
        }
    }
    // What someone changed since is theirs: an old copy does not come back.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("hosts");
    fs::write(&file, "127.0.0.1 localhost\n10.0.0.7 new\n").expect("it can be written");
    fs::write(folder.path().join("hosts.hostler-new"), &whole).expect("it can be written");
    let script = format!("set -eu\n{}", body.replace("/etc/hosts", &file.display().to_string()));
    let mut child = Command::new("dash").args(["-c", &script]).stdin(Stdio::piped()).spawn().expect("dash");
    child.stdin.take().expect("it is piped").write_all(block.as_bytes()).expect("it reads");
    assert!(child.wait().expect("it ends").success());
    let made = fs::read_to_string(&file).expect("it is there");
    assert_eq!(made, format!("127.0.0.1 localhost\n10.0.0.7 new\n# hostler begin\n{block}# hostler end\n"));
}
