//! Mounts and loop devices of the computer.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// One line of `/proc/self/mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    pub point: PathBuf,
    /// The file system's type: `ext4`, `cgroup`, `cgroup2`.
    pub kind: String,
}

/// Parses the kernel's list (proc_pid_mountinfo(5)), in the order of mounting.
pub fn parse(mountinfo: &str) -> Vec<Mount> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let point = before.split(' ').nth(4)?;
            let kind = after.split(' ').next()?;
            Some(Mount { point: PathBuf::from(unescaped(point)), kind: kind.to_owned() })
        })
        .collect()
}

/// Decodes space, tab, newline and backslash, which the kernel writes in octal.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// All present mounts.
pub fn all() -> Result<Vec<Mount>> {
    Ok(parse(&fs::read_to_string("/proc/self/mountinfo").context("/proc/self/mountinfo can't be read")?))
}

pub fn is_mounted(point: &Path) -> Result<bool> {
    Ok(all()?.iter().any(|mount| mount.point == point))
}

/// Loop devices whose file is below `folder`; a deleted file counts too.
pub fn loop_devices_below(folder: &Path) -> Vec<PathBuf> {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().filter_map(|entry| {
        let entry = entry.ok()?;
        let file = fs::read_to_string(entry.path().join("loop/backing_file")).ok()?;
        Path::new(file.trim_end()).starts_with(folder).then(|| Path::new("/dev").join(entry.file_name()))
    });
    devices.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_fields_and_escapes_are_parsed() {
        let text = "36 35 98:0 /mnt1 /mnt/a\\040b rw,noatime master:1 shared:7 - ext4 /dev/root rw\n\
                    26 1 0:22 / /sys/fs/cgroup/unified rw - cgroup2 cgroup rw\n";
        assert_eq!(
            parse(text),
            [
                Mount { point: "/mnt/a b".into(), kind: "ext4".into() },
                Mount { point: "/sys/fs/cgroup/unified".into(), kind: "cgroup2".into() }
            ]
        );
    }
}
