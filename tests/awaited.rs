//! Machines that a stick is to install: what `plan` says of them, and that `up` waits for them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::small_bundle::small_bundle;

mod small_bundle;

/// Nothing answers at its address, which shows at once.
const INVENTORY: &str = "ssh: {proxyCommand: \"false\"}\nos: {authorizedKeys: [ssh-ed25519 \
    AAAAC3NzaC1lZDI1NTE5AAAAIE1lfXZ0ajZUc6sVzpdXDKhNtDzhVFUaYjFk0j2kLhXh ada]}\nmachines:\n  one: {address: 192.0.2.1, role: \
    control-plane, mac: \"52:54:00:12:34:56\"}\n";

fn run(folder: &Path, arguments: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostler"));
    command.args(arguments.split_whitespace()).current_dir(folder).stdin(Stdio::null());
    command.env_clear().env("HOME", folder).env("PATH", "/usr/bin:/bin");
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_machine_with_a_stick_is_not_called_lost_and_up_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let bundle = small_bundle(home);
    let bundle = bundle.display();
    fs::write(home.join("inventory.yaml"), INVENTORY).unwrap();
    let (ended, said) = run(home, &format!("plan --bundle {bundle}"));
    assert!(ended == Some(4) && !said.contains("stick"), "{ended:?} {said}");
    // No one waits for it, either.
    let (ended, said) = run(home, &format!("up --yes --bundle {bundle}"));
    assert!(ended == Some(4) && !said.contains("waiting for"), "{ended:?} {said}");

    let keys = home.join(".local/share/hostler/host-keys/home");
    fs::create_dir_all(&keys).unwrap();
    fs::write(keys.join("one.awaited"), "Debian trixie on its only disk\u{1b}[31m").unwrap();
    for verb in ["plan", "up --yes --within 0s"] {
        let (ended, said) = run(home, &format!("{verb} --bundle {bundle}"));
        assert_eq!(ended, Some(4), "{verb}: {said}");
        assert!(said.contains("no answer since the stick was made"), "{verb}: {said}");
        assert!(said.contains("start the machine from the stick, which installs Debian trixie on its only disk"), "{verb}: {said}");
        assert!(!said.contains('\u{1b}'), "{verb}: {said:?}");
    }
    let start = Instant::now();
    let (ended, said) = run(home, &format!("up --yes --within 4s --bundle {bundle}"));
    assert!(ended == Some(4) && said.contains("waiting for one to be installed from the stick, at most 4s"), "{ended:?} {said}");
    assert!(start.elapsed().as_secs() >= 4, "{said}");
}
