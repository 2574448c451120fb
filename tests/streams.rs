//! Standard output and standard error that can't be written: a full disk, a reader that is gone. Results that are lost are a failure, a reader
//! that has seen enough is none, and nothing of it is a panic.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What each verb ends with where its streams work. No machine can be reached.
const VERBS: [(&str, i32); 15] = [
    ("--help", 0),
    ("--version", 0),
    ("up --help", 0),
    ("help bundle", 0),
    ("schema", 0),
    ("schema --output json", 0),
    ("render", 0),
    ("snapshot list", 0),
    ("snapshot list --output json", 0),
    ("status", 4),
    ("status --output json", 4),
    ("nonsense", 2),
    ("render -i none.yaml", 2),
    ("kubeconfig", 4),
    ("render --output json", 2),
];

fn start(folder: &Path, verb: &str, output: Stdio, errors: Stdio) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostler"));
    command.args(verb.split(' ')).current_dir(folder).env("HOME", folder).env("HOSTLER_CACHE", folder.join("cache"));
    command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn().expect("it starts")
}

/// Its status, if it ends soon.
fn status(mut child: Child, what: &str) -> i32 {
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        if let Some(status) = child.try_wait().expect("a child") {
            return status.code().unwrap_or_else(|| panic!("{what}: {status}"));
        }
        std::thread::yield_now();
    }
    child.kill().expect("it runs");
    panic!("{what} does not end");
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("inventory.yaml"), "ssh: {proxyCommand: \"false\"}\nmachines: {one: 192.0.2.1}\n").expect("a file");
    folder
}

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").expect("every Linux has it").into()
}

/// A pipe whose reader is gone.
fn unread() -> Stdio {
    let (reader, writer) = nix::unistd::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

#[test]
fn lost_results_are_a_failure() {
    let folder = folder();
    for (verb, ends) in VERBS {
        let what = format!("hostler {verb} > /dev/full");
        let expected = if ends == 0 { 1 } else { ends };
        assert_eq!(status(start(folder.path(), verb, full(), Stdio::null()), &what), expected, "{what}");
    }
    let mut child = start(folder.path(), "schema", full(), Stdio::piped());
    let mut said = String::new();
    BufReader::new(child.stderr.take().expect("piped")).read_line(&mut said).expect("text");
    assert!(said.contains("can't write to standard output: No space left on device"), "{said}");
    assert_eq!(status(child, "schema"), 1);
}

#[test]
fn a_reader_that_is_gone_is_no_failure() {
    let folder = folder();
    for (verb, ends) in VERBS {
        let what = format!("hostler {verb} | true");
        assert_eq!(status(start(folder.path(), verb, unread(), Stdio::null()), &what), ends, "{what}");
    }
}

#[test]
fn errors_of_standard_error_change_nothing() {
    let folder = folder();
    for (verb, ends) in VERBS {
        for (name, errors) in [("/dev/full", full()), ("a closed pipe", unread())] {
            let what = format!("hostler {verb} 2> {name}");
            assert_eq!(status(start(folder.path(), verb, Stdio::null(), errors), &what), ends, "{what}");
        }
        let what = format!("hostler {verb} with both closed");
        assert_eq!(status(start(folder.path(), verb, unread(), unread()), &what), ends, "{what}");
    }
}

#[test]
fn a_watch_ends_with_its_reader() {
    let folder = folder();
    let mut child = start(folder.path(), "status --watch", Stdio::piped(), Stdio::null());
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("text");
    assert!(!line.is_empty());
    // The reader is gone now.
    assert_eq!(status(child, "hostler status --watch | head -1"), 4);
}
