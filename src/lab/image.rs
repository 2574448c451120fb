//! The disk that every machine starts from: a fresh Debian, made once, and the packages that machines will ask apt for.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::{name, process, state, wait};
use crate::computer::apt;
use crate::computer::program::{program, run, stream};
use crate::computer::task::{Task, task};
use crate::event::Events;

/// Debian 13.
const SUITE: &str = "trixie";

/// What a person's fresh Debian server has, as far as hostler could lean on it. What hostler must install by itself is left out, so
/// that the lab proves that it does: conntrack, socat, ethtool, keepalived, nfs-common, runc, chrony.
const PACKAGES: [&str; 20] = [
    "ca-certificates",
    "curl",
    "dbus",
    "iproute2",
    "iptables",
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

/// What the lab's apt repository serves, with all their dependencies that [`PACKAGES`] lacks.
const SERVED: [&str; 7] = ["chrony", "conntrack", "ethtool", "keepalived", "nfs-common", "runc", "socat"];

/// Size of a machine's disk in bytes. The image is sparse: it takes on the computer what the machine has written.
const DISK: u64 = 16 << 30;

/// The root file system while it is made, below [`building`].
const ROOT: &str = "root";

const HOOK: &str = include_str!("../../templates/lab/image.sh");
const SOURCES: &str = include_str!("../../templates/lab/hostler-lab.sources");
const MOUNTS: &str = include_str!("../../templates/lab/mounts.sh");
const MOUNTS_UNIT: &str = include_str!("../../templates/lab/lab-mounts.service");
const RESOLV_CONF: &str = include_str!("../../templates/lab/resolv.conf");

/// The finished image's file system, sparse.
pub fn disk(image: &Path) -> PathBuf {
    image.join("disk.img")
}

/// The folder that the lab serves by HTTP: a flat, signed apt repository.
pub fn repository(image: &Path) -> PathBuf {
    image.join("apt")
}

/// The name of what this recipe makes: another recipe, another name.
fn recipe_name() -> String {
    let mut hash = Sha256::new();
    let size = DISK.to_string();
    let texts = [SUITE, &size, HOOK, SOURCES, MOUNTS, MOUNTS_UNIT, RESOLV_CONF];
    for text in texts.iter().chain(&PACKAGES).chain(&SERVED) {
        hash.update(text);
        hash.update([0]);
    }
    let digest = hash.finalize();
    let digits: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{SUITE}-{digits}")
}

/// The finished image: from the cache, or made now (about a minute, 110 MB from Debian's mirror).
pub async fn ready(events: &Events) -> Result<PathBuf> {
    let finished = state::cache().join(recipe_name());
    if finished.is_dir() {
        return Ok(finished);
    }
    task(events, "image", &format!("make the machines' disk, Debian {SUITE}, once"), async |task| {
        remove_unfinished().await?;
        let building = building();
        fs::create_dir_all(building.join("image/apt")).with_context(|| format!("{} can't be made", building.display()))?;
        make_root(&task, &building).await?;
        let root = building.join(ROOT);
        add_lab_files(&root)?;
        task.line("write the disk image");
        let disk = disk(&building.join("image"));
        fs::File::create(&disk)?.set_len(DISK)?;
        // What mkfs leaves to the kernel's first mount is done by punching holes, so the image stays small.
        let options = ["-q", "-F", "-m", "1", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-d"];
        run("mkfs.ext4", options.iter().map(Path::new).chain([root.as_path(), disk.as_path()])).await?;
        fs::File::open(&disk)?.sync_all()?;
        // Another lab may have made the same meanwhile.
        if !finished.is_dir() {
            let moved = fs::rename(building.join("image"), &finished);
            moved.with_context(|| format!("{} can't be moved into place", finished.display()))?;
        }
        remove_unfinished().await?;
        Ok(finished.clone())
    })
    .await
}

fn building() -> PathBuf {
    state::cache().join(name::named("building"))
}

/// Removes what a hostler that was killed had half made. Only under the lab's lock.
pub async fn remove_unfinished() -> Result<()> {
    // It ends when hostler does, though not at once.
    let root = building().join(ROOT);
    let ended = || Ok(process::with_argument(&root).is_empty().then_some(()));
    wait::until(Duration::from_secs(20), "mmdebstrap of a hostler that was killed to end", ended).await?;
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

/// Runs mmdebstrap in mount and process namespaces of its own, so that all it mounts and starts ends with it.
async fn make_root(task: &Task, building: &Path) -> Result<()> {
    let hook = building.join("image.sh");
    state::write(&hook, HOOK.as_bytes(), 0o755)?;
    let isolated = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", "mmdebstrap"];
    let mut command = program("unshare", isolated);
    command
        .args(["--verbose", "--format=directory", "--variant=minbase"])
        .arg(format!("--include={}", PACKAGES.join(",")))
        .arg(format!("--customize-hook={}", hook.display()))
        .arg(SUITE)
        .arg(building.join(ROOT))
        .env("HOSTLER_REPOSITORY", building.join("image/apt"))
        .env("HOSTLER_PACKAGES", SERVED.join(" "))
        .env("DEBIAN_FRONTEND", "noninteractive");
    let mut progress = apt::Progress::default();
    stream(&mut command, |line| match line.strip_prefix("I: ") {
        // mmdebstrap's own words; the many other lines are its programs'.
        Some(phase) => task.line(phase),
        None => progress.tell(line, task),
    })
    .await
}

/// What is the lab's own in an otherwise fresh Debian.
fn add_lab_files(root: &Path) -> Result<()> {
    for (file, text) in [
        ("etc/apt/sources.list.d/hostler-lab.sources", SOURCES),
        ("etc/resolv.conf", RESOLV_CONF),
        ("etc/systemd/system/lab-mounts.service", MOUNTS_UNIT),
        ("usr/local/lib/hostler-lab/mounts", MOUNTS),
        // systemd writes a new one at a machine's first start.
        ("etc/machine-id", ""),
    ] {
        state::write(&root.join(file), text.as_bytes(), 0o644)?;
    }
    let wants = root.join("etc/systemd/system/sysinit.target.wants");
    fs::create_dir_all(&wants)?;
    symlink("../lab-mounts.service", wants.join("lab-mounts.service"))?;
    // It would ask the computer's kernel to announce all of the computer's devices again.
    symlink("/dev/null", root.join("etc/systemd/system/systemd-udev-trigger.service"))?;
    fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
