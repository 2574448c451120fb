//! The state of the computer before its first lab: kernel settings, and whether named network namespaces were mounted. Machines share its
//! kernel, so what systemd and kubelet set there (kernel.panic, vm.overcommit_memory, kernel.pid_max) affects the whole computer: all values
//! are saved before the first lab starts, and restored after the last one. Settings below net/ belong to each network namespace and need no
//! care.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{mounts, namespace, state};

const SETTINGS: &str = "/proc/sys";
const FILE: &str = "/var/lib/hostler/computer.json";

/// Settings that change by themselves, belong to a namespace, or have an effect when written.
const LEFT_ALONE: [&str; 11] = [
    "fs/binfmt_misc",
    "fs/dentry-state",
    "kernel/domainname",
    "kernel/hostname",
    "kernel/msg_next_id",
    "kernel/ns_last_pid",
    "kernel/pty",
    "kernel/random",
    "kernel/sched_domain",
    "kernel/sem_next_id",
    "kernel/shm_next_id",
];

/// The systemd, containerd and kubelet of each machine watch files, and all machines share root's limits.
const RAISED: [(&str, u64); 2] = [("fs/inotify/max_user_instances", 8192), ("fs/inotify/max_user_watches", 1_048_576)];

#[derive(Debug, Serialize, Deserialize)]
struct Before {
    /// UUID of the computer's boot: a reboot undoes all changes.
    boot: String,
    /// iproute2 creates one mount for all named namespaces.
    namespaces_were_mounted: bool,
    settings: BTreeMap<PathBuf, String>,
}

fn boot() -> Result<String> {
    let file = "/proc/sys/kernel/random/boot_id";
    Ok(fs::read_to_string(file).with_context(|| format!("{file} can't be read"))?.trim().to_owned())
}

/// The state that was saved in this boot.
fn before() -> Result<Option<Before>> {
    let Ok(bytes) = fs::read(FILE) else { return Ok(None) };
    let before: Before = serde_json::from_slice(&bytes).with_context(|| format!("{FILE} is corrupted"))?;
    Ok((before.boot == boot()?).then_some(before))
}

/// Saves the state of the computer, if that was not done yet. Call it before a lab changes anything.
pub fn remember() -> Result<()> {
    if before()?.is_some() {
        return Ok(());
    }
    let now = Before { boot: boot()?, namespaces_were_mounted: mounts::is_mounted(Path::new(namespace::NAMED))?, settings: current() };
    state::write(Path::new(FILE), &serde_json::to_vec(&now)?, 0o600)
}

/// Raises limits for many machines.
pub fn raise() -> Result<()> {
    for (name, least) in RAISED {
        let setting = Path::new(SETTINGS).join(name);
        let value: u64 = fs::read_to_string(&setting)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .with_context(|| format!("{} can't be read", setting.display()))?;
        if value < least {
            fs::write(&setting, least.to_string()).with_context(|| format!("the kernel setting {} can't be raised", setting.display()))?;
        }
    }
    Ok(())
}

/// Restores settings that differ from the saved state, and deletes it. Returns a line for each. Only for the last lab.
pub fn restore() -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let before = before()?;
    for (setting, value) in before.iter().flat_map(|before| &before.settings) {
        let Ok(now) = fs::read_to_string(setting) else { continue };
        if now != *value {
            fs::write(setting, value).with_context(|| format!("{} can't be restored to {value}", setting.display()))?;
            let name = setting.strip_prefix(SETTINGS).unwrap_or(setting).display().to_string().replace('/', ".");
            lines.push(format!("restored {name} to {} (was {})", value.trim(), now.trim()));
        }
    }
    let named = Path::new(namespace::NAMED);
    let none_left = fs::read_dir(named).is_ok_and(|mut entries| entries.next().is_none());
    if none_left && before.is_some_and(|before| !before.namespaces_were_mounted) && mounts::is_mounted(named)? {
        nix::mount::umount(named).with_context(|| format!("{} can't be unmounted", named.display()))?;
    }
    match fs::remove_file(FILE) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).with_context(|| format!("{FILE} can't be removed")),
        _ => Ok(lines),
    }
}

fn current() -> BTreeMap<PathBuf, String> {
    let mut values = BTreeMap::new();
    for below in ["fs", "kernel", "vm"] {
        collect(&Path::new(SETTINGS).join(below), &mut values);
    }
    values
}

fn collect(folder: &Path, values: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if LEFT_ALONE.iter().any(|name| path == Path::new(SETTINGS).join(name)) {
            continue;
        }
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            collect(&path, values);
        } else if metadata.permissions().mode() & 0o600 == 0o600
            && let Ok(value) = fs::read_to_string(&path)
        {
            values.insert(path, value);
        }
    }
}
