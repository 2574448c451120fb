//! The computer's own kernel settings. Machines share its kernel, so what systemd and kubelet set there (kernel.panic,
//! vm.overcommit_memory, kernel.pid_max) is set for the whole computer: all values are remembered before the lab begins and put back
//! when it ends. Settings below net/ belong to each network namespace and need nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::state;

const ROOT: &str = "/proc/sys";
const FILE: &str = "sysctl.json";

/// What changes by itself, belongs to a namespace, or does something when written.
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

/// Each machine's systemd, containerd and kubelet watch files, and all machines draw on root's one allowance.
const RAISED: [(&str, u64); 2] = [("fs/inotify/max_user_instances", 8192), ("fs/inotify/max_user_watches", 1_048_576)];

/// Remembers all values, unless they are remembered already, and raises what many machines need more of.
pub fn raise() -> Result<()> {
    let file = state::path(FILE);
    if !file.exists() {
        state::write(&file, &serde_json::to_vec(&current())?, 0o600)?;
    }
    for (name, least) in RAISED {
        let setting = Path::new(ROOT).join(name);
        let value: u64 = fs::read_to_string(&setting)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .with_context(|| format!("{} can't be read", setting.display()))?;
        if value < least {
            fs::write(&setting, least.to_string()).with_context(|| format!("{} can't be raised", setting.display()))?;
        }
    }
    Ok(())
}

/// Puts back what differs from what was remembered; returns a line for each.
pub fn restore() -> Result<Vec<String>> {
    let file = state::path(FILE);
    let Ok(bytes) = fs::read(&file) else { return Ok(Vec::new()) };
    let before: BTreeMap<PathBuf, String> = serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", file.display()))?;
    let mut lines = Vec::new();
    for (setting, value) in before {
        let Ok(now) = fs::read_to_string(&setting) else { continue };
        if now != value {
            fs::write(&setting, &value).with_context(|| format!("{} can't be put back to {value}", setting.display()))?;
            let name = setting.strip_prefix(ROOT).unwrap_or(&setting).display().to_string().replace('/', ".");
            lines.push(format!("{name} is {} again (it was {})", value.trim(), now.trim()));
        }
    }
    Ok(lines)
}

fn current() -> BTreeMap<PathBuf, String> {
    let mut values = BTreeMap::new();
    for below in ["fs", "kernel", "vm"] {
        collect(&Path::new(ROOT).join(below), &mut values);
    }
    values
}

fn collect(folder: &Path, values: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if LEFT_ALONE.iter().any(|name| path == Path::new(ROOT).join(name)) {
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
