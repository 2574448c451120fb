//! The disk images of machines: a fresh Debian or Ubuntu, built once, and the packages that machines will install. Each system has an image
//! for machines that are containers; another one, with a kernel, is for a virtual machine.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use hostler_core::digest::hex;
use hostler_core::template;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::system::System;
use super::{name, process, state, wait};
use crate::event::Events;
use crate::workstation::apt;
use crate::workstation::program::{program, run, stream};
use crate::workstation::task::{Task, task};

/// Packages of a fresh Debian server that hostler may rely on. Packages that hostler must install are left out, so that the lab tests that:
/// conntrack, iptables, socat, ethtool, curl, keepalived, nfs-common, runc, chrony.
const PACKAGES: [&str; 18] = [
    "ca-certificates",
    "dbus",
    "iproute2",
    "iputils-ping",
    "kmod",
    "less",
    "libseccomp2",
    "mount",
    "netbase",
    "nftables",
    "openssh-server",
    "procps",
    "sudo",
    "systemd",
    "systemd-sysv",
    "tzdata",
    "udev",
    "util-linux",
];

/// Additional packages for a virtual machine.
const KERNEL_PACKAGES: [&str; 3] = ["e2fsprogs", "linux-image-cloud-amd64", "systemd-timesyncd"];

/// Packages of a fresh Ubuntu server: `ubuntu-minimal` is Ubuntu's own list, with netplan and udev; the others are of its server's. Left out
/// is what hostler must install, and what would use the computer's devices from a container: lvm2, multipath-tools, open-iscsi, snapd.
const UBUNTU_PACKAGES: [&str; 12] = [
    "apparmor",
    "ca-certificates",
    "cloud-init",
    "dbus-user-session",
    "libseccomp2",
    "needrestart",
    "nftables",
    "openssh-server",
    "systemd-resolved",
    "systemd-timesyncd",
    "ubuntu-minimal",
    "unattended-upgrades",
];

/// Ubuntu's archive, as a server of its has it in its list of sources.
const UBUNTU_ARCHIVE: [&str; 3] = [
    "http://archive.ubuntu.com/ubuntu noble main universe",
    "http://archive.ubuntu.com/ubuntu noble-updates main universe",
    "http://archive.ubuntu.com/ubuntu noble-security main universe",
];

/// Packages in the lab's apt repository, with all dependencies that an image lacks.
const SERVED: [&str; 10] =
    ["chrony", "conntrack", "curl", "ethtool", "iptables", "keepalived", "nfs-common", "nfs-kernel-server", "runc", "socat"];

/// Size of a machine's disk in bytes. The image is sparse: it occupies only what the machine has written.
const DISK: u64 = 16 << 30;

/// The root file system while the image is built, below [`building`].
const ROOT: &str = "root";

/// The template of the list of sources of all machines.
const SOURCES: &str = "lab/hostler-lab.sources";

/// How to build an image.
struct Recipe {
    /// For messages.
    what: &'static str,
    /// Prefix of its name in the cache.
    kind: &'static str,
    system: System,
    packages: Vec<&'static str>,
    /// Where its packages come from; none: from where mmdebstrap takes Debian's.
    archive: &'static [&'static str],
    /// Runs on the computer after the packages are installed.
    hook: &'static str,
    /// The packages that the hook fetches for the apt repository.
    served: &'static [&'static str],
    /// The lab's own files in an otherwise fresh system.
    files: Vec<(&'static str, &'static str)>,
    links: Vec<(&'static str, &'static str)>,
}

/// The finished image's file system, sparse.
pub fn disk(image: &Path) -> PathBuf {
    image.join("disk.img")
}

/// The folder that the lab serves over HTTP: a flat, signed apt repository.
pub fn repository(image: &Path) -> PathBuf {
    image.join("apt")
}

/// The public key of the repository's signature.
pub fn repository_key(image: &Path) -> PathBuf {
    repository(image).join("hostler-lab.asc")
}

/// The kernel of a virtual machine's image.
pub fn kernel(image: &Path) -> PathBuf {
    image.join("vmlinuz")
}

/// The image of machines that share the computer's kernel, with the apt repository for all machines of that system: from the cache, or
/// built now. Debian's takes about a minute, and 110 MB from its mirror; Ubuntu's took three minutes on a busy computer.
pub async fn ready(system: System, events: &Events) -> Result<PathBuf> {
    of_machines(system).ready(events).await
}

/// Whether that image is in the cache.
pub fn is_ready(system: System) -> bool {
    of_machines(system).finished().is_dir()
}

/// The image of a machine with a kernel of its own, from the cache or made now.
pub async fn ready_with_kernel(events: &Events) -> Result<PathBuf> {
    with_kernel().ready(events).await
}

/// Whether that image is in the cache.
pub fn is_ready_with_kernel() -> bool {
    with_kernel().finished().is_dir()
}

const RESOLV_CONF: (&str, &str) = ("etc/resolv.conf", include_str!("../../templates/lab/resolv.conf"));

fn of_machines(system: System) -> Recipe {
    let hook = include_str!("../../templates/lab/image.sh");
    let mut files = vec![
        ("etc/systemd/system/lab-mounts.service", include_str!("../../templates/lab/lab-mounts.service")),
        ("usr/local/lib/hostler-lab/mounts", include_str!("../../templates/lab/mounts.sh")),
    ];
    let mut links = vec![
        ("etc/systemd/system/sysinit.target.wants/lab-mounts.service", "../lab-mounts.service"),
        // It would make the computer's kernel announce all devices of the computer again.
        ("etc/systemd/system/systemd-udev-trigger.service", "/dev/null"),
    ];
    match system {
        System::Trixie => {
            files.push(RESOLV_CONF);
            let what = "the disk image of Debian machines";
            Recipe { what, kind: "trixie", system, packages: PACKAGES.into(), archive: &[], hook, served: &SERVED, files, links }
        }
        System::Noble => {
            // cloud-init gives a machine its name. Until then it has that of Ubuntu's own images.
            files.push(("etc/hostname", "ubuntu\n"));
            files.push(("etc/systemd/system/lab-link.service", include_str!("../../templates/lab/noble/lab-link.service")));
            files.push(("etc/systemd/network/10-lab.link", include_str!("../../templates/lab/noble/10-lab.link")));
            links.push(("etc/systemd/system/sysinit.target.wants/lab-link.service", "../lab-link.service"));
            let (what, packages) = ("the disk image of Ubuntu machines", UBUNTU_PACKAGES.into());
            Recipe { what, kind: "noble", system, packages, archive: &UBUNTU_ARCHIVE, hook, served: &SERVED, files, links }
        }
    }
}

fn with_kernel() -> Recipe {
    Recipe {
        what: "the disk image of the virtual machine",
        kind: "trixie-vm",
        system: System::Trixie,
        archive: &[],
        packages: PACKAGES.into_iter().chain(KERNEL_PACKAGES).collect(),
        hook: include_str!("../../templates/lab/vm-image.sh"),
        served: &[],
        files: vec![RESOLV_CONF, ("etc/fstab", include_str!("../../templates/lab/fstab"))],
        links: vec![(
            "etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
            "/usr/lib/systemd/system/systemd-networkd.service",
        )],
    }
}

impl Recipe {
    /// The name of the image. It changes with the recipe.
    fn name(&self) -> String {
        let mut hash = Sha256::new();
        let size = DISK.to_string();
        let texts = [self.system.codename(), &size, self.hook, SOURCES].into_iter();
        let own = self.files.iter().chain(&self.links).flat_map(|(path, text)| [*path, *text]);
        let names = [&self.packages, self.archive, self.served].into_iter().flatten().copied();
        for text in texts.chain(own).chain(names) {
            hash.update(text);
            hash.update([0]);
        }
        let digest = hash.finalize();
        let digits = hex(&digest[..6]);
        format!("{}-{digits}", self.kind)
    }

    /// Where what it makes is kept.
    fn finished(&self) -> PathBuf {
        state::cache().join(self.name())
    }

    async fn ready(&self, events: &Events) -> Result<PathBuf> {
        let finished = self.finished();
        if finished.is_dir() {
            return Ok(finished);
        }
        task(events, "image", &format!("build {}, {}, once", self.what, self.system.title()), async |task| {
            remove_unfinished().await?;
            let building = building();
            fs::create_dir_all(building.join("image")).with_context(|| format!("{} can't be created", building.display()))?;
            self.make_root(&task, &building).await?;
            let root = building.join(ROOT);
            self.add_lab_files(&root)?;
            task.line("write the disk image");
            let disk = disk(&building.join("image"));
            fs::File::create(&disk)?.set_len(DISK)?;
            // Lazy initialization keeps the image sparse.
            let options = ["-q", "-F", "-m", "1", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-d"];
            run("mkfs.ext4", options.iter().map(Path::new).chain([root.as_path(), disk.as_path()])).await?;
            fs::File::open(&disk)?.sync_all()?;
            // Another lab may have built the same image meanwhile.
            if !finished.is_dir() {
                let moved = fs::rename(building.join("image"), &finished);
                moved.with_context(|| format!("{} can't be moved into place", finished.display()))?;
            }
            remove_unfinished().await?;
            Ok(finished.clone())
        })
        .await
    }

    /// Runs mmdebstrap in its own mount and PID namespaces, so that its mounts and processes end with it.
    async fn make_root(&self, task: &Task, building: &Path) -> Result<()> {
        let hook = building.join("image.sh");
        state::write(&hook, self.hook.as_bytes(), 0o755)?;
        let isolated = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", "mmdebstrap"];
        let sources = self.sources(task, building).await?;
        let mut command = program("unshare", isolated);
        command
            .args(["--verbose", "--format=directory", "--variant=minbase"])
            .arg(format!("--include={}", self.packages.join(",")))
            .arg(format!("--customize-hook={}", hook.display()))
            .arg(self.system.codename())
            .arg(building.join(ROOT))
            .args(sources)
            .env("HOSTLER_IMAGE", building.join("image"))
            .env("HOSTLER_PACKAGES", self.served.join(" "))
            // Building an initrd takes minutes; this kernel has the driver of its disk built in.
            .env("INITRD", "No")
            .env("DEBIAN_FRONTEND", "noninteractive");
        let mut progress = apt::Progress::default();
        stream(&mut command, |line| match line.strip_prefix("I: ") {
            // Lines of mmdebstrap itself; the many other lines are those of its programs.
            Some(phase) => task.line(phase),
            None => progress.report(line, task),
        })
        .await
    }

    /// The lines of its sources.list, with the keys that its archive is verified with.
    async fn sources(&self, task: &Task, building: &Path) -> Result<Vec<String>> {
        if self.archive.is_empty() {
            return Ok(Vec::new());
        }
        task.line("fetch the keys of Ubuntu's archive");
        let (script, keys) = (building.join("keys.sh"), building.join("keys.gpg"));
        state::write(&script, include_bytes!("../../templates/lab/noble/keys.sh"), 0o755)?;
        run("sh", [&script, &keys]).await?;
        Ok(self.archive.iter().map(|archive| format!("deb [signed-by={}] {archive}", keys.display())).collect())
    }

    fn add_lab_files(&self, root: &Path) -> Result<()> {
        let sources = template::render(SOURCES, json!({ "system": self.system }))?;
        let all = [
            ("etc/apt/sources.list.d/hostler-lab.sources", sources.as_str()),
            // systemd creates a new one at a machine's first start.
            ("etc/machine-id", ""),
        ];
        for (file, text) in all.iter().chain(&self.files) {
            state::write(&root.join(file), text.as_bytes(), 0o644)?;
        }
        for (link, target) in &self.links {
            let link = root.join(link);
            fs::create_dir_all(link.parent().unwrap_or(root))?;
            symlink(target, &link).with_context(|| format!("the symbolic link {} can't be created", link.display()))?;
        }
        fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }
}

fn building() -> PathBuf {
    state::cache().join(name::named("building"))
}

/// Removes the unfinished image of a hostler that was killed. Only with the lab's lock.
pub async fn remove_unfinished() -> Result<()> {
    // mmdebstrap ends when hostler does, though not at once.
    let root = building().join(ROOT);
    let ended = || Ok(process::with_argument(&root).is_empty().then_some(()));
    wait::until(Duration::from_secs(20), "a leftover mmdebstrap process to end", ended).await?;
    remove_if_there(&building())
}

fn remove_if_there(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} can't be removed", folder.display()))
        }
        _ => Ok(()),
    }
}
