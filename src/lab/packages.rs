//! What the lab needs on this computer, from its own distribution.

use std::path::Path;

use anyhow::Result;

use super::program::{is_installed, program, stream};
use super::task::task;
use super::{apt, refused};
use crate::event::Events;

/// Program or file -> the Debian and Ubuntu package that holds it.
const NEEDED: [(&str, &str); 11] = [
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
    // Ubuntu does not have it: mmdebstrap checks Debian's signatures with it.
    ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"),
];

/// Packages that are missing, in the order of the list.
fn missing(there: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let mut packages: Vec<_> = NEEDED.iter().filter(|(name, _)| !there(name)).map(|(_, package)| *package).collect();
    packages.dedup();
    packages
}

/// Installs what is missing, saying so.
///
/// # Errors
/// Refused where there is no apt; apt's own failure.
pub async fn install(events: &Events) -> Result<()> {
    let packages = missing(|name| if name.starts_with('/') { Path::new(name).exists() } else { is_installed(name) });
    if packages.is_empty() {
        return Ok(());
    }
    if !is_installed("apt-get") {
        let what = format!("the lab needs {}, and this computer has no apt", packages.join(", "));
        return Err(refused(&what, "install them with this computer's own package manager"));
    }
    let what = format!("install on this computer: apt-get install {}", packages.join(" "));
    task(events, "packages", &what, async |task| {
        let mut progress = apt::Progress::default();
        stream(&mut program("apt-get", ["update"]), |line| progress.tell(line, &task)).await?;
        let mut command = program("apt-get", ["--yes", "--no-install-recommends", "install"]);
        command.args(&packages).env("DEBIAN_FRONTEND", "noninteractive");
        stream(&mut command, |line| progress.tell(line, &task)).await
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_missing_once_however_many_of_its_programs_are() {
        assert_eq!(missing(|_| true), Vec::<&str>::new());
        assert_eq!(missing(|name| !name.starts_with("ssh")), ["openssh-client"]);
        assert_eq!(missing(|name| name.starts_with("ssh")).len(), NEEDED.len() - 2);
        assert_eq!(missing(|name| !name.starts_with('/')), ["debian-archive-keyring"]);
    }
}
