//! What is wrong on the command line is reported before a machine is contacted.

use std::fs;
use std::process::{Command, Stdio};

use hostler_core::visible::is_unseen;

/// A verb with an argument that can't be right, and a part of the message.
const WRONG: &[(&[&str], &str)] = &[
    (&["kubeconfig", "--name", ""], "pass a name"),
    (&["kubeconfig", "--name", "../home"], "pass a name"),
    (&["kubeconfig", "--name", "a\nb"], "pass a name"),
    (&["kubeconfig", "--server", ""], "pass an address like localhost:6443"),
    (&["kubeconfig", "--server", "http://127.0.0.1:6443"], "pass an address like localhost:6443"),
    (&["kubeconfig", "--server", "x:99999"], "pass an address like localhost:6443"),
    (&["kubeconfig", "--server", "x:0"], "pass an address like localhost:6443"),
    (&["kubeconfig", "--server", "x/path"], "pass an address like localhost:6443"),
    (&["kubeconfig", "--out", "/etc/passwd"], "is not a kubeconfig"),
    (&["kubeconfig", "--out", "/no/folder"], "/no/folder"),
    (&["init", "--user", "a b", "192.168.1.11"], "`a b` is not a valid user name"),
    (&["init", "--user", "", "192.168.1.11"], "is not a valid user name"),
    (&["init", "--user", "a", "x=192.168.1.11", "x=192.168.1.12"], "the name `x` is given to both 192.168.1.11 and 192.168.1.12"),
    (&["plan", "--bundle", "/no/bundle"], "/no/bundle is not a bundle"),
    (&["up", "--bundle", "/etc"], "/etc is not a bundle"),
    (&["upgrade", "--to", "1.36"], "did you mean 1.36.3?"),
    (&["upgrade", "--to", "1.36.33"], "did you mean 1.36.3?"),
    (&["upgrade", "--to", "latest"], "hostler does not know Kubernetes `latest`, only 1.36.3, 1.36.1 and 1.35.4"),
    (&["upgrade", "--force-after=-5m"], "can't be negative"),
    (&["rebuild", "rainbowdash", "--host-key", "MD5:aa"], "SHA256:"),
    (&["rebuild", "rainbowdsh"], "did you mean `rainbowdash`?"),
    (&["rebuild", "rainbowdash", "--from", "/etc/passwd"], "/etc/passwd is not a valid snapshot"),
    (&["remove", "rainbow dash"], "the inventory has no machine"),
    (&["add", "pinkiepie", "--address", "192.168.1.11"], "is the address of twilightsparkle"),
    (&["add", "Pinkie", "--address", "192.168.1.13"], "is not a valid machine name"),
    (&["reset", "--yes-take-down", "office"], "is `home`, not `office`"),
    (&["snapshot", "create", "/"], "/ is a folder"),
    (&["snapshot", "create", "/no/folder/home.tar.gz"], "the folder /no/folder does not exist"),
    (&["snapshot", "verify", "/no/file"], "/no/file can't be read: No such file"),
    (&["snapshot", "verify", "/etc"], "/etc can't be read: is a directory"),
    (&["snapshot", "verify", "/dev/null"], "it is not a regular file"),
    (&["snapshot", "verify", "/etc/passwd"], "/etc/passwd is not a valid snapshot"),
    (&["snapshot", "list", "/no/folder"], "/no/folder is not a folder"),
    (&["snapshot", "create", "--encrypt", "--passphrase-file", "/no/file"], "/no/file can't be read: No such file"),
    (&["snapshot", "create", "--encrypt", "--passphrase-file", "/etc"], "/etc can't be read: is a directory"),
    (&["snapshot", "create", "--encrypt", "--passphrase-file", "/dev/null"], "it is not a regular file"),
    (&["rebuild", "twilightsparkle", "--from", "/no/file"], "/no/file can't be read: No such file"),
    (&["rebuild", "twilightsparkle", "--from", "/etc"], "/etc can't be read: is a directory"),
    (&["bundle", "create", "--pod-binary", "/no/file", "bundle"], "/no/file can't be read: No such file"),
    (&["bundle", "verify", "/no/bundle"], "/no/bundle is not a bundle"),
    (&["bundle", "show", "/etc"], "/etc is not a bundle"),
    (&["plan", "-i", "/no/file"], "/no/file can't be read: No such file"),
    (&["plan", "-i", "/etc"], "/etc can't be read: is a directory"),
    (&["provision", "--usb", "/no/folder/stick"], "the folder /no/folder does not exist"),
    (&["provision", "--usb", "/etc"], "/etc is a folder"),
    (&["provision", "--usb", "/dev/nosuchdisk"], "there is no device /dev/nosuchdisk"),
    (&["render", "--out", "/etc"], "/etc"),
    (&["transcode", "status"], "has no `transcode:` section"),
];

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1lfXZ0ajZUc6sVzpdXDKhNtDzhVFUaYjFk0j2kLhXh ada";

#[test]
fn a_wrong_argument_is_reported_before_a_machine_is_contacted() {
    let folder = tempfile::tempdir().expect("a folder");
    let contacted = folder.path().join("contacted");
    let inventory = format!(
        "ssh: {{proxyCommand: touch {}}}\nmachines:\n  twilightsparkle: {{address: 192.168.1.11, role: control-plane, mac: \"52:54:00:00:00:01\"}}\n  rainbowdash: \
         192.168.1.12\nos: {{authorizedKeys: [{KEY}]}}\n",
        contacted.display()
    );
    fs::write(folder.path().join("inventory.yaml"), inventory).expect("it can be written");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostler"));
        command
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .env_clear()
            .env("HOME", folder.path())
            .env("PATH", "/usr/bin:/bin");
        let output = command.output().expect("hostler runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (arguments, part) in WRONG {
        // `init` writes a file of its own.
        let own = folder.path().join("new.yaml").display().to_string();
        let end: &[&str] = if arguments[0] == "init" { &["-i", &own] } else { &[] };
        let (status, text) = run(&[*arguments, end].concat());
        assert_eq!(status, Some(2), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
        assert!(!contacted.exists(), "{arguments:?} contacted a machine: {text}");
    }
    // What the words, and files that they name, are made of is shown, and not obeyed.
    let bundle = folder.path().join("bundle");
    fs::create_dir(&bundle).expect("it can be made");
    fs::write(bundle.join("manifest.json"), "{\"schema\": 1, \"arch\": \"amd64\\u001b]0;evil\\u0007\"}").expect("it can be written");
    let bundle = bundle.display().to_string();
    let hostile = "x\u{1b}[31m\u{1b}]0;evil\u{7}\u{9b}2J\u{202e}y";
    for arguments in [
        vec!["plan", "--bundle", &bundle],
        vec!["plan", "--bundle", hostile],
        vec!["upgrade", "--to", hostile],
        vec!["kubeconfig", "--user", hostile],
        vec!["rebuild", hostile],
        vec!["init", "--user", hostile, "192.168.1.11", "-i", "new.yaml"],
        vec!["plan", "-i", hostile],
        vec!["snapshot", "list", hostile],
        vec![hostile],
    ] {
        let (status, text) = run(&arguments);
        assert_eq!(status, Some(2), "{arguments:?}: {text}");
        let obeyed = text.chars().find(|c| is_unseen(*c) && *c != '\n');
        assert_eq!(obeyed, None, "{arguments:?}: {text:?}");
        assert!(text.contains("U+001B"), "{arguments:?}: {text:?}");
    }
    // A secret in a word that is wrong is not shown.
    let url = "https://ada:S3CRETpw@server.example";
    for arguments in [
        vec!["bundle", "create", "--mirror", url],
        vec!["bundle", "create", "--mirror", "http://:S3CRETpw@127.0.0.1:9"],
        vec!["bundle", "create", "--mirror", "http://127.0.0.1:9/?token=S3CRETpw"],
        vec!["bundle", "pins", "--update", "--mirror", url],
        vec!["kubeconfig", "--server", url],
        vec!["kubeconfig", "--server=https://ada:S3CRETpw@server.example/path"],
        vec!["snapshot", "create", "--encrypt", "--passphrase-file", "S3CRETpw"],
        vec!["snapshot", "create", "--passphrase-file", "S3CRETpw"],
    ] {
        let (status, text) = run(&arguments);
        assert_eq!(status, Some(2), "{arguments:?}: {text}");
        assert!(!text.contains("S3CRET"), "{arguments:?}: {text}");
    }
    // The mark is one that a contact leaves.
    run(&["plan"]);
    assert!(contacted.exists());
}

/// Also where ~/.ssh/config says who logs in, and whatever installs the machine: before anything is built for it.
#[test]
fn no_system_is_installed_for_a_user_that_debian_has_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("home");
    fs::create_dir_all(home.join(".ssh")).expect("it can be made");
    fs::write(home.join(".ssh/config"), "Host rainbowdash\n  User operator\n").expect("it can be written");
    let inventory = "machines:\n  twilightsparkle: {address: 192.0.2.1, role: control-plane, user: ada, mac: '1c:69:7a:00:00:01'}\n  \
                     rainbowdash: {address: 192.0.2.2, mac: '1c:69:7a:00:00:02'}\nos: {authorizedKeys: [ssh-ed25519 \
                     AAAAC3NzaC1lZDI1NTE5AAAAIE1lfXZ0ajZUc6sVzpdXDKhNtDzhVFUaYjFk0j2kLhXh ada]}\n";
    fs::write(folder.path().join("inventory.yaml"), inventory).expect("it can be written");
    for words in ["provision --usb stick.img", "rebuild rainbowdash --os --yes", "rebuild --os --all --yes"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostler"));
        command.args(words.split(' ')).current_dir(folder.path()).env("HOME", &home).env("HOSTLER_CACHE", folder.path().join("cache"));
        let output = command.stdin(Stdio::null()).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words}: {said}");
        assert!(said.contains("rainbowdash: Debian has a user or a group `operator` of its own"), "{words}: {said}");
        assert!(said.contains("hint: set `user` of rainbowdash to a different name, or to root"), "{words}: {said}");
    }
}
