//! Packages that hostler needs on this computer, from its distribution.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use hostler_core::failure::{ExitStatus, Failure};

use super::apt;
use super::program::{is_installed, program, stream};
use super::task::task;
use crate::event::Events;

/// Program or file -> its Debian and Ubuntu package.
pub type Needed = [(&'static str, &'static str)];

/// Debian's keys, to verify Debian's signatures: Ubuntu does not have them by default.
const DEBIAN_KEYS: (&str, &str) = ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring");

/// For the lab's machines.
pub const LAB: &Needed = &[
    ("systemd-nspawn", "systemd-container"),
    ("mmdebstrap", "mmdebstrap"),
    ("apt-ftparchive", "apt-utils"),
    ("gpg", "gnupg"),
    ("ip", "iproute2"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mount", "mount"),
    ("unshare", "util-linux"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    DEBIAN_KEYS,
];

/// For a virtual machine.
pub const VIRTUAL_MACHINE: &Needed =
    &[("qemu-system-x86_64", "qemu-system-x86"), ("fallocate", "util-linux"), ("mkswap", "util-linux"), ("nice", "coreutils")];

/// To build a bundle from Go modules and Debian packages. Go itself is not listed: that of Debian 12 and 13 is too old.
pub const SOURCE: &Needed =
    &[("gcc", "gcc"), ("/usr/include/stdlib.h", "libc6-dev"), ("mmdebstrap", "mmdebstrap"), ("xz", "xz-utils"), DEBIAN_KEYS];

/// To build the encoder's image.
pub const ENCODER: &Needed = &[("mmdebstrap", "mmdebstrap"), DEBIAN_KEYS];

/// To build the image of a machine's system.
pub const SYSTEM_IMAGE: &Needed =
    &[("mmdebstrap", "mmdebstrap"), ("mke2fs", "e2fsprogs"), ("tar", "tar"), ("unshare", "util-linux"), ("xz", "xz-utils"), DEBIAN_KEYS];

/// To make a stick.
pub const STICK: &Needed = &[("mkfs.vfat", "dosfstools"), ("mcopy", "mtools")];

/// The missing packages, in the order of the list.
fn missing(needed: &Needed, there: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let mut packages: Vec<_> = needed.iter().filter(|(name, _)| !there(name)).map(|(_, package)| *package).collect();
    packages.dedup();
    packages
}

/// Whether dpkg was killed while it changed its database: then apt refuses everything. The same check as apt's (debSystem::CheckUpdates).
fn is_dpkg_interrupted() -> bool {
    let is_number = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let entries = std::fs::read_dir("/var/lib/dpkg/updates").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).any(|name| is_number(&name))
}

/// How long apt may be in use by others.
const LOCK_LIMIT: Duration = Duration::from_secs(300);

/// Whether apt-get failed because another program holds one of its locks, as it says with `LC_ALL=C`.
fn is_locked(error: &anyhow::Error) -> bool {
    error.to_string().contains("E: Could not get lock ")
}

/// Installs what is missing of `needed` for `whom`, as a task.
///
/// # Errors
/// Refused without apt or without root; apt failed.
pub async fn install(whom: &str, needed: &Needed, events: &Events) -> Result<()> {
    let packages = missing(needed, |name| if name.starts_with('/') { Path::new(name).exists() } else { is_installed(name) });
    if packages.is_empty() {
        return Ok(());
    }
    if !is_installed("apt-get") {
        let what = format!("{whom} needs {}, but this computer has no `apt-get` to install them", packages.join(", "));
        return Err(Failure::new(ExitStatus::Refused, what, "install these packages with this computer's package manager").into());
    }
    if !nix::unistd::geteuid().is_root() {
        let hint = format!("run `sudo apt-get install {}`", packages.join(" "));
        return Err(Failure::new(ExitStatus::Refused, format!("{whom} needs {}", packages.join(", ")), hint).into());
    }
    let what = format!("install on this computer: apt-get install {}", packages.join(" "));
    task(events, "packages", &what, async |task| {
        let mut progress = apt::Progress::default();
        let waits_until = Instant::now() + LOCK_LIMIT;
        // Unlike `install`, `update` does not wait for who has the lock: a daily update of packages, or another run.
        while let Err(error) = stream(&mut program("apt-get", ["update"]), |line| progress.report(line, &task)).await {
            if !is_locked(&error) || Instant::now() >= waits_until {
                return Err(error);
            }
            task.line("waiting for another program that is using apt");
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        if is_dpkg_interrupted() {
            task.line("finish an earlier package installation that was interrupted");
            stream(&mut program("dpkg", ["--configure", "-a"]), |line| progress.report(line, &task)).await?;
        }
        let lock_limit = format!("DPkg::Lock::Timeout={}", LOCK_LIMIT.as_secs());
        let mut command = program("apt-get", ["--yes", "--no-install-recommends", "-o", &lock_limit, "install"]);
        command.args(&packages).env("DEBIAN_FRONTEND", "noninteractive");
        stream(&mut command, |line| progress.report(line, &task)).await
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As apt 2.6 says it.
    #[test]
    fn a_lock_of_another_program_is_waited_for_and_nothing_else() {
        let failed = |last: &str| anyhow::anyhow!("`apt-get update` failed (exit status: 100); its last output:\n  {last}");
        assert!(is_locked(&failed("E: Could not get lock /var/lib/apt/lists/lock. It is held by process 17898 (apt-get)")));
        assert!(!is_locked(&failed("E: Could not open lock file /var/lib/apt/lists/lock - open (13: Permission denied)")));
        assert!(!is_locked(&failed("E: Unable to locate package mmdebstrap")));
    }

    #[test]
    fn a_package_is_missing_once_however_many_of_its_programs_are() {
        assert_eq!(missing(LAB, |_| true), Vec::<&str>::new());
        assert_eq!(missing(LAB, |name| !name.starts_with("ssh")), ["openssh-client"]);
        assert_eq!(missing(LAB, |name| name.starts_with("ssh")).len(), LAB.len() - 2);
        assert_eq!(missing(LAB, |name| !name.starts_with('/')), ["debian-archive-keyring"]);
    }
}
