//! The image of a machine's system: Debian with its own kernel and every package that `up` would install, built once by mmdebstrap on this
//! computer. It belongs to no machine yet.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use hostler_core::digest::hex;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::Release;
use hostler_core::plan::wanted;
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::event::{Event, Events, Unit};
use crate::workstation::packages;
use crate::workstation::program::{program, stream};
use crate::workstation::task::{Task, task};
use crate::workstation::{apt, room};
use crate::{atomic, home, user_file};

/// What a Debian server has, what starts it, and what its installation and updates need. What `up` installs is added: [`wanted::all_packages`].
const PACKAGES: [&str; 27] = [
    "ca-certificates",
    "dbus",
    "dosfstools",
    "e2fsprogs",
    "efibootmgr",
    "gdisk",
    "grub-efi-amd64",
    "grub-efi-amd64-signed",
    "initramfs-tools",
    "iputils-ping",
    "kexec-tools",
    "less",
    "libseccomp2",
    "linux-image-amd64",
    "netbase",
    "openssh-server",
    "procps",
    "shim-signed",
    "sudo",
    "systemd",
    "systemd-resolved",
    "systemd-sysv",
    "systemd-timesyncd",
    "tzdata",
    "udev",
    "unattended-upgrades",
    "zstd",
];

const SCRIPT: &str = include_str!("../../templates/os/image.sh");
const MODULES: &str = include_str!("../../templates/os/modules");
/// What is in the finished folder, beside the files that the script makes.
const KNOWN: &str = "image.json";
/// Days after which there are many updates that an image lacks.
const OLD: i64 = 30;
/// The compressed file system.
pub const SYSTEM: &str = "system.img.zst";
/// Room while it is built: the archive, its files, the file system, and that compressed. Measured: 2.4 GB.
const ROOM: u64 = 3_000_000_000;

/// A finished image, in the cache.
#[derive(Debug, Clone)]
pub struct Image {
    pub folder: PathBuf,
    /// Of the file system.
    pub known: Known,
    /// When it was built, in seconds since the epoch.
    built: i64,
    /// Locked as long as somebody uses it: [`again`] replaces it only then.
    _held: Arc<File>,
}

/// The file system: bytes, and their sha256 in hex, before compression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub size: u64,
    pub sha256: String,
}

/// What is known of a finished folder.
#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    known: Known,
    /// Seconds since the epoch.
    built: i64,
    /// Bytes of each file.
    files: BTreeMap<String, u64>,
}

impl Image {
    /// The day on which it was built: `2026-03-01`.
    pub fn date(&self) -> String {
        let built = jiff::Timestamp::from_second(self.built).unwrap_or_default();
        jiff::tz::TimeZone::UTC.to_datetime(built).date().to_string()
    }

    /// Says it if the image is so old that what it installs lacks many updates.
    pub fn warn_of_age(&self, release: Release, events: &Events) {
        if let Some(days) = old(self.built, jiff::Timestamp::now().as_second()) {
            let line = format!(
                "the image of Debian {release} is {days} days old, and so are the packages that it installs: `hostler os create --again` \
                 builds a new one"
            );
            events.send(Event::Warning { line });
        }
    }
}

/// The days of its age, if these are many.
fn old(built: i64, now: i64) -> Option<i64> {
    let days = now.saturating_sub(built) / (24 * 60 * 60);
    (days > OLD).then_some(days)
}

/// The packages of the image.
fn all_packages() -> Vec<&'static str> {
    let mut all: Vec<&str> = PACKAGES.into_iter().chain(wanted::all_packages()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Its name in the cache. It changes with everything that it is made of, except for the versions of Debian's packages.
fn name(release: Release) -> String {
    let mut hash = Sha256::new();
    for text in [release.codename(), SCRIPT, MODULES].into_iter().chain(all_packages()) {
        hash.update(text);
        hash.update([0]);
    }
    format!("{release}-{}", hex(&hash.finalize()[..6]))
}

fn cache() -> Result<PathBuf> {
    Ok(home::cache()?.join("os"))
}

/// The image of a release in the cache, if it is complete.
pub fn at_hand(release: Release) -> Result<Option<Image>> {
    Ok(found(cache()?.join(name(release))))
}

/// `None`: it is not whole, or is being replaced.
fn found(folder: PathBuf) -> Option<Image> {
    let held = user_file::regular(&folder.join(KNOWN)).ok()?;
    if matches!(held.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return None;
    }
    let record = user_file::read_from(held.try_clone().ok()?, user_file::MOST_BYTES).ok()?;
    let Record { known, built, files } = serde_json::from_slice(&record).ok()?;
    let is_whole =
        |(name, size): (&String, &u64)| fs::metadata(folder.join(name)).is_ok_and(|found| found.is_file() && found.len() == *size);
    (files.contains_key(SYSTEM) && files.iter().all(is_whole)).then(|| Image { folder, known, built, _held: Arc::new(held) })
}

/// Writes down what the finished folder has.
fn finish(folder: &Path, known: Known, now: i64) -> Result<()> {
    let mut files = BTreeMap::new();
    sizes(folder, "", &mut files)?;
    files.remove(KNOWN);
    atomic::write(&folder.join(KNOWN), &serde_json::to_vec(&Record { known, built: now, files })?, 0o644)?;
    Ok(())
}

/// The sizes of all files below a folder, by their names there.
fn sizes(folder: &Path, within: &str, into: &mut BTreeMap<String, u64>) -> Result<()> {
    for entry in fs::read_dir(folder.join(within))? {
        let entry = entry?;
        let name = Path::new(within).join(entry.file_name()).to_string_lossy().into_owned();
        match entry.metadata()? {
            found if found.is_dir() => sizes(folder, &name, into)?,
            found => drop(into.insert(name, found.len())),
        }
    }
    Ok(())
}

/// The lock with which the image there may be replaced.
fn replaceable(folder: &Path) -> Result<Option<File>> {
    let Ok(held) = user_file::regular(&folder.join(KNOWN)) else { return Ok(None) };
    // Where a file system has no locks, nobody can say.
    if matches!(held.try_lock(), Err(TryLockError::WouldBlock)) {
        let message = format!("another hostler process is using the image in {}", folder.display());
        return Err(Failure::new(ExitStatus::Usage, message, "run this again when it has ended").into());
    }
    Ok(Some(held))
}

/// The image of a release of Debian, from the cache, or built now.
///
/// # Errors
/// This computer lacks programs, room or the way to Debian's packages.
pub async fn ready(release: Release, events: &Events) -> Result<Image> {
    match at_hand(release)? {
        Some(image) => Ok(image),
        None => make(release, false, events).await,
    }
}

/// The image, built now in place of the one in the cache, which stays if that fails.
///
/// # Errors
/// As [`ready`]; another process uses the one in the cache.
pub async fn again(release: Release, events: &Events) -> Result<Image> {
    make(release, true, events).await
}

async fn make(release: Release, again: bool, events: &Events) -> Result<Image> {
    packages::install("building the image of a machine's system", packages::SYSTEM_IMAGE, events).await?;
    let cache = cache()?;
    fs::create_dir_all(&cache).with_context(|| format!("{} can't be created", cache.display()))?;
    let need = room::Need { what: "the image of a machine's system".to_owned(), folder: cache.clone(), bytes: ROOM };
    room::check(&[need], "free up disk space, or set HOSTLER_CACHE to a folder on another disk")?;
    task(events, "os", &format!("build the image of Debian {release} that is installed on machines"), async |task| {
        let lock = File::create(cache.join("lock"))?;
        task.line("wait for another hostler process that is building the image");
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
        let folder = cache.join(name(release));
        let replaced = if again { replaceable(&folder)? } else { None };
        if let Some(image) = at_hand(release)?.filter(|_| !again) {
            return Ok(image);
        }
        remove_unfinished(&cache)?;
        let building = tempfile::Builder::new().prefix(BUILDING).tempdir_in(&cache)?;
        build(release, building.path(), &task).await?;
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::rename(building.path(), &folder).with_context(|| format!("{} can't be moved into place", folder.display()))?;
        // Moved, it is not removed with its guard.
        let _ = building.keep();
        drop((lock, replaced));
        at_hand(release)?.context("the finished image can't be read")
    })
    .await
}

const BUILDING: &str = ".building-";

/// Removes what a hostler that was killed left. Only with the lock.
fn remove_unfinished(cache: &Path) -> Result<()> {
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(BUILDING) {
            fs::remove_dir_all(entry.path()).with_context(|| format!("{} can't be removed", entry.path().display()))?;
        }
    }
    Ok(())
}

/// Namespaces in which programs and mounts end with hostler; for a user, one in which they are root.
fn isolated() -> Vec<&'static str> {
    let mut options = vec!["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    if !geteuid().is_root() {
        options.extend(["--user", "--map-root-user", "--map-auto"]);
    }
    options.push("--");
    options
}

async fn build(release: Release, folder: &Path, task: &Task) -> Result<()> {
    let archive = folder.join("root.tar");
    let mut command = match geteuid().is_root() {
        true => program("unshare", isolated().into_iter().chain(["mmdebstrap"])),
        // It makes namespaces of its own.
        false => program("mmdebstrap", ["--mode=unshare"]),
    };
    command
        .args(["--verbose", "--format=tar", "--variant=minbase"])
        .arg(format!("--include={}", all_packages().join(",")))
        .arg(release.codename())
        .arg(&archive)
        .env("DEBIAN_FRONTEND", "noninteractive");
    let mut progress = apt::Progress::default();
    stream(&mut command, |line| match line.strip_prefix("I: ") {
        // Lines of mmdebstrap itself; the many other lines are those of its programs.
        Some(phase) => task.line(phase),
        None => progress.report(line, task),
    })
    .await?;
    task.line("create the file system");
    let script = folder.join("image.sh");
    atomic::write(&script, SCRIPT.as_bytes(), 0o644)?;
    let modules = MODULES.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace);
    let mut command = program("unshare", isolated());
    command.arg("sh").arg(&script).arg(&archive).arg(folder).args(modules);
    stream(&mut command, |line| task.line(line)).await?;
    fs::remove_file(&archive)?;
    fs::remove_file(&script)?;
    let raw = folder.join("system.img");
    task.line("compress it");
    let known = compress(&raw, &folder.join(SYSTEM), |done, total| task.progress(done, total, Unit::Bytes))?;
    fs::remove_file(&raw)?;
    finish(folder, known, jiff::Timestamp::now().as_second())
}

/// Compresses a file, and says what it was.
fn compress(from: &Path, to: &Path, mut progress: impl FnMut(u64, u64)) -> Result<Known> {
    /// Of zstd: twice as fast as the stick is read.
    const LEVEL: i32 = 3;
    let mut input = BufReader::new(user_file::regular(from)?);
    let total = input.get_ref().metadata()?.len();
    let mut new = zstd::Encoder::new(BufWriter::new(atomic::New::beside(to)?), LEVEL)?;
    new.include_checksum(true)?;
    let (mut hash, mut size, mut piece) = (Sha256::new(), 0, vec![0; 4 << 20]);
    loop {
        let read = input.read(&mut piece)?;
        if read == 0 {
            break;
        }
        hash.update(&piece[..read]);
        new.write_all(&piece[..read]).with_context(|| format!("{} can't be written", to.display()))?;
        size += read as u64;
        progress(size, total);
    }
    let file = new.finish()?.into_inner().map_err(|error| error.into_error())?;
    file.finish(0o644).with_context(|| format!("{} can't be written", to.display()))?;
    Ok(Known { size, sha256: hex(&hash.finalize()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_that_up_may_install_is_in_the_image() {
        let all = all_packages();
        for (_, package) in wanted::PACKAGES.iter().chain(wanted::VIP_PACKAGES).chain(wanted::NFS_PACKAGES) {
            assert!(all.contains(package), "{package}");
        }
    }

    #[test]
    fn a_compressed_file_is_known_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a"), folder.path().join("b"));
        let bytes: Vec<u8> = (0..5_000_000_u32).map(|number| (number % 251) as u8).collect();
        fs::write(&from, &bytes).unwrap();
        let known = compress(&from, &to, |_, _| ()).unwrap();
        assert_eq!((known.size, known.sha256), (bytes.len() as u64, hostler_core::digest::sha256(&bytes)));
        assert_eq!(zstd::decode_all(File::open(&to).unwrap()).unwrap(), bytes);
    }

    #[test]
    fn an_image_counts_only_with_all_its_files_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let known = Known { size: 5, sha256: "a".repeat(64) };
        let files = [SYSTEM, "vmlinuz", "shim.efi"];
        let make = || {
            for name in files {
                fs::write(folder.path().join(name), name).unwrap();
            }
            fs::create_dir_all(folder.path().join("modules")).unwrap();
            fs::write(folder.path().join("modules/ext4.ko"), "x").unwrap();
            finish(folder.path(), known.clone(), 1_772_366_400).unwrap();
        };
        make();
        let image = found(folder.path().to_owned()).expect("it is whole");
        assert_eq!((&image.known, image.date().as_str()), (&known, "2026-03-01"));
        let other = found(folder.path().to_owned()).expect("several may use it");
        drop(image);
        let error = replaceable(folder.path()).expect_err("it is in use");
        assert!(error.to_string().starts_with("another hostler process is using the image"), "{error}");
        drop(other);
        let held = replaceable(folder.path()).expect("nobody uses it");
        assert!(held.is_some() && found(folder.path().to_owned()).is_none(), "it is being replaced");
        drop(held);
        let mut wrong = Vec::new();
        for name in files.into_iter().chain(["modules/ext4.ko"]) {
            for damage in [|file: &Path| fs::remove_file(file), |file: &Path| fs::write(file, "cut"), |file: &Path| fs::write(file, "")] {
                make();
                damage(&folder.path().join(name)).unwrap();
                wrong.extend(found(folder.path().to_owned()).map(|_| name));
            }
        }
        make();
        // Of an earlier hostler: nobody knows how old it is.
        atomic::write(&folder.path().join(KNOWN), &serde_json::to_vec(&known).unwrap(), 0o644).unwrap();
        wrong.extend(found(folder.path().to_owned()).map(|_| KNOWN));
        assert_eq!(wrong, [""; 0]);
    }

    #[test]
    fn an_image_is_old_after_a_month() {
        let day = 24 * 60 * 60;
        assert_eq!(
            [0, 30 * day, 31 * day - 1, 31 * day, 400 * day, -day].map(|age| old(day, day + age)),
            [None, None, None, Some(31), Some(400), None]
        );
    }
}
