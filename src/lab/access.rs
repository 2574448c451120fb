//! Keys: the one that the lab's machines accept, and their host keys.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use super::roster::LabMachine;
use super::{name, state};
use crate::workstation::program::{run, run_here};

/// The private key for root on every machine, mode 0600.
pub fn key() -> PathBuf {
    state::path("key")
}

/// Creates the lab's key, if missing.
pub async fn make_key() -> Result<()> {
    if state::path("key.pub").exists() {
        return Ok(());
    }
    // The public key is renamed last: if it exists, the pair is complete.
    let (new, new_public) = (state::path("key.new"), state::path("key.new.pub"));
    for half in [&new, &new_public] {
        let _ = fs::remove_file(half);
    }
    let file = new.display().to_string();
    run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "hostler lab", "-f", &file]).await?;
    fs::rename(new, key()).and_then(|()| fs::rename(new_public, state::path("key.pub"))).context("the lab's key can't be moved into place")
}

/// Creates host keys in a machine's file system (mounted at `root` for this thread), and installs the lab's key.
pub fn install(root: &Path) -> Result<()> {
    run_here("ssh-keygen", ["-q", "-A", "-f", &root.display().to_string()])?;
    let public = fs::read(state::path("key.pub")).context("the lab's public key can't be read")?;
    let folder = root.join("root/.ssh");
    state::write(&folder.join("authorized_keys"), &public, 0o600)?;
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    Ok(())
}

/// A machine's public host key, as in the inventory and in known_hosts: `ssh-ed25519 AAAA...`.
pub fn host_key(root: &Path) -> Result<String> {
    let file = root.join("etc/ssh/ssh_host_ed25519_key.pub");
    let text = fs::read_to_string(&file).with_context(|| format!("{} can't be read", file.display()))?;
    Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

/// Records the present host key of a machine, for `lab ssh`. The inventory is not updated: a machine with a new disk has another key than
/// the inventory says, as in reality.
pub fn remember(machine: &LabMachine, key: &str) -> Result<()> {
    // Machines are installed in parallel: another one's key must not get lost between reading and writing.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut keys = host_keys();
    keys.insert(machine.address.to_string(), key.to_owned());
    let text: String = keys.iter().map(|(address, key)| format!("{address} {key}\n")).collect();
    state::write(&state::path("known_hosts"), text.as_bytes(), 0o600)
}

/// Address -> host key, for all machines with a disk.
pub fn host_keys() -> BTreeMap<String, String> {
    let text = fs::read_to_string(state::path("known_hosts")).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(address, key)| (address.to_owned(), key.to_owned())).collect()
}

/// OpenSSH's client for a machine: with its recorded host key and the lab's key only.
pub fn ssh(machine: &LabMachine, executable: &Path) -> Command {
    let mut command = Command::new("ssh");
    command.args(["-F", "none", "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR"]);
    // A machine whose power is cut is silent: without this, a session with it would last forever.
    command.args(["-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=6"]);
    command.arg("-o").arg(format!("UserKnownHostsFile={}", state::path("known_hosts").display()));
    command.arg("-o").arg(format!("ProxyCommand={}{} lab connect %h %p", name::command_prefix(), executable.display()));
    command.arg("-i").arg(key()).arg(format!("root@{}", machine.address));
    command
}
