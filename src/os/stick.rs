//! A stick: one file with a partition that UEFI starts, also with Secure Boot. It is made without root: FAT and its files are written by mtools.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use gpt::GptConfig;
use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition::Partition;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::install::order::{LONGEST, Order};
use hostler_core::protocol::installer;
use hostler_core::template;
use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};
use serde_json::json;
use uuid::Uuid;

use super::fat::{Entry, Fat};
use super::image::{Image, SYSTEM};
use super::{initrd, tables};
use crate::atomic;
use crate::user_file::{self, Destination};
use crate::workstation::program::run;

/// The folder of the stick with the order, the image and the marks.
pub const FOLDER: &str = "hostler";
pub const MARKS: &str = "marks";

/// Of its partition.
const NAME: &str = "hostler-stick";
/// Of its file system.
const LABEL: &str = "HOSTLER";
const SECTOR: u64 = 512;
const MEBIBYTE: u64 = 1 << 20;
/// Before the partition, and after it: the tables.
const EDGE: u64 = MEBIBYTE;
/// Read at once, in bytes.
const BLOCK: usize = 1 << 20;
/// For marks, and for what FAT itself needs.
const SPARE: u64 = 32 * MEBIBYTE;

/// Writes the stick to `file`, which replaces what is there at the end, and has its owner. Only that can read it: it holds host keys.
///
/// # Errors
/// The file can't be written, or a program fails.
pub async fn write(file: &Path, image: &Image, order: &Order) -> Result<()> {
    let parts = tempfile::tempdir().context("a temporary folder can't be created")?;
    let part = |name: &str| parts.path().join(name);
    let medium = Uuid::new_v4();
    fs::write(part("grub.cfg"), template::render("os/grub.cfg", json!({ "medium": medium.to_string() }))?)?;
    atomic::write(&part("order.json"), order.to_json().as_bytes(), 0o600)?;
    initrd::write(&image.folder, &part("initrd"))?;
    let from = |name: &str| image.folder.join(name);
    let files = [
        (from("shim.efi"), "EFI/BOOT/BOOTX64.EFI".to_owned()),
        (from("grub.efi"), "EFI/BOOT/grubx64.efi".to_owned()),
        (from("mm.efi"), "EFI/BOOT/mmx64.efi".to_owned()),
        // Debian's GRUB looks here, whatever it was started from.
        (part("grub.cfg"), "EFI/debian/grub.cfg".to_owned()),
        (from("vmlinuz"), format!("{FOLDER}/vmlinuz")),
        (part("initrd"), format!("{FOLDER}/initrd")),
        (part("order.json"), installer::ORDER.to_owned()),
        (from(SYSTEM), format!("{FOLDER}/{SYSTEM}")),
    ];
    let mut content = SPARE;
    for (from, _) in &files {
        content += from.metadata().with_context(|| format!("{} can't be read", from.display()))?.len();
    }
    let partition = content.next_multiple_of(MEBIBYTE);
    fs::create_dir_all(atomic::folder_of(file))?;
    let new = atomic::New::beside(file).with_context(|| format!("{} can't be created", file.display()))?;
    new.as_file().set_len(EDGE + partition + EDGE)?;
    write_table(&new, medium, partition)?;
    fill(new.path(), partition, &files).await?;
    new.finish_owned(0o600).with_context(|| format!("{} can't be written", file.display()))
}

/// Makes the file system in the partition of `size` bytes, with these files.
async fn fill(stick: &Path, size: u64, files: &[(PathBuf, String)]) -> Result<()> {
    let (path, offset) = (stick.display().to_string(), (EDGE / SECTOR).to_string());
    let blocks = (size / 1024).to_string();
    run("mkfs.vfat", ["-F", "32", "-n", LABEL, "--offset", &offset, "-h", &offset, &path, &blocks]).await?;
    let inside = format!("{path}@@{EDGE}");
    let folders = ["EFI", "EFI/BOOT", "EFI/debian", FOLDER, &format!("{FOLDER}/{MARKS}")].map(|folder| format!("::{folder}"));
    run("mmd", ["-i".to_owned(), inside.clone()].into_iter().chain(folders)).await?;
    for (from, to) in files {
        run("mcopy", ["-i", &inside, &from.display().to_string(), &format!("::{to}")]).await?;
    }
    Ok(())
}

/// Whether an older stick of hostler's is there: a file or a device. What makes another file system in its partition leaves that its name, so what
/// hostler wrote must still be there, too. Of what can't be read nobody knows.
pub fn is_stick(file: &Path) -> bool {
    let Ok(mut file) = user_file::seekable(file) else { return false };
    let start = tables::partitions(&mut file, LogicalBlockSize::Lb512).ok().flatten().and_then(|table| match table.get(&1) {
        Some(partition) if table.len() == 1 && partition.name == NAME => partition.first_lba.checked_mul(SECTOR),
        _ => None,
    });
    let Some(mut fat) = start.and_then(|start| Fat::at(&mut file, start)) else { return false };
    let (folder, order) = installer::ORDER.split_once('/').unwrap_or_default();
    let is_order = |entry: &Entry| entry.may_be(order) && (1..=LONGEST as u64).contains(&u64::from(entry.size));
    fat.is_labelled(LABEL) && fat.files_in(&folder.to_ascii_uppercase()).is_some_and(|files| files.iter().any(is_order))
}

/// Copies a stick's image to a device, and reads it back.
///
/// # Errors
/// The device is in use or can't be written, or what it returns differs from the image.
pub fn copy(image: &Path, device: &Path) -> Result<()> {
    let mut from = user_file::regular(image).with_context(|| format!("{} can't be opened", image.display()))?;
    // With O_EXCL the kernel refuses a device that is mounted, whatever this computer's tables say.
    let to = File::options().read(true).write(true).custom_flags(OFlag::O_EXCL.bits()).open(device);
    let mut to = to.with_context(|| format!("{} can't be opened", device.display()))?;
    let size = io::copy(&mut from, &mut to).and_then(|size| to.sync_all().map(|()| size));
    let size = size.with_context(|| format!("{} can't be written", device.display()))?;
    // Read from the device, not from the page cache.
    let _ = posix_fadvise(&to, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    compare(&mut from, &mut to, size).with_context(|| format!("{} can't be verified", device.display()))
}

/// # Errors
/// The first `size` bytes differ, or can't be read.
fn compare(image: &mut File, device: &mut File, size: u64) -> Result<()> {
    image.rewind()?;
    device.rewind()?;
    let (mut wanted, mut found) = (vec![0; BLOCK], vec![0; BLOCK]);
    let mut left = size;
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        image.read_exact(&mut wanted[..length])?;
        device.read_exact(&mut found[..length])?;
        ensure!(wanted[..length] == found[..length], "it returned different data than was written: the stick may be failing");
        left -= length as u64;
    }
    Ok(())
}

/// The file that `file` leads to, if it can and may be written: nothing is there, or an older stick.
///
/// # Errors
/// As [`Destination::of`]. Refused: it is something else.
pub fn may_replace(file: &Path) -> Result<PathBuf> {
    match Destination::of(file)? {
        Destination::New(place) => Ok(place),
        Destination::File(place) if is_stick(&place) => Ok(place),
        _ => {
            let message = format!("{} already exists, and is not a stick image that hostler made", file.display());
            Err(Failure::new(ExitStatus::Refused, message, "pass the path of a file that does not exist").into())
        }
    }
}

/// GPT with one partition of `size` bytes, which UEFI starts from.
fn write_table(new: &atomic::New, guid: Uuid, size: u64) -> Result<()> {
    let mut file = new.as_file();
    let sectors = (EDGE + size + EDGE) / SECTOR;
    ProtectiveMBR::with_lb_size(u32::try_from(sectors - 1).unwrap_or(u32::MAX)).overwrite_lba0(&mut file)?;
    let mut disk = GptConfig::new().writable(true).logical_block_size(LogicalBlockSize::Lb512).create_from_device(file, None)?;
    let partition = Partition {
        part_type_guid: gpt::partition_types::EFI,
        part_guid: guid,
        first_lba: EDGE / SECTOR,
        last_lba: (EDGE + size) / SECTOR - 1,
        flags: 0,
        name: NAME.to_owned(),
    };
    disk.update_partitions(BTreeMap::from([(1, partition)]))?;
    disk.write()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_compared_to_its_last_byte() {
        let folder = tempfile::tempdir().unwrap();
        let (image, device) = (folder.path().join("image"), folder.path().join("device"));
        let content: Vec<u8> = (0..BLOCK + 5).map(|number| (number % 251) as u8).collect();
        fs::write(&image, &content).unwrap();
        // A stick is larger than the image, and what is behind it stays.
        fs::write(&device, vec![7; BLOCK * 2]).unwrap();
        copy(&image, &device).unwrap();
        let written = fs::read(&device).unwrap();
        assert!(written[..content.len()] == content && written[content.len()..].iter().all(|byte| *byte == 7));
        assert!(copy(&image, Path::new("/dev/full")).unwrap_err().to_string().contains("can't be written"));
        let mut failing = content.clone();
        *failing.last_mut().unwrap() ^= 1;
        fs::write(&device, failing).unwrap();
        let [mut image, mut other] = [&image, &device].map(|file| File::open(file).unwrap());
        compare(&mut image, &mut other, content.len() as u64 - 1).unwrap();
        compare(&mut image, &mut other, content.len() as u64).unwrap_err();
        assert!(!is_stick(&device));
    }

    /// A stick as hostler writes it, with an order that is long enough for several clusters of its file system.
    async fn stick(file: &Path) {
        const SIZE: u64 = 48 * MEBIBYTE;
        let new = atomic::New::beside(file).unwrap();
        new.as_file().set_len(EDGE + SIZE + EDGE).unwrap();
        write_table(&new, Uuid::new_v4(), SIZE).unwrap();
        let order = tempfile::NamedTempFile::new().unwrap();
        fs::write(&order, format!("{{\"version\": 1,{}}}", " ".repeat(5000))).unwrap();
        let files = [(order.path().to_owned(), installer::ORDER.to_owned())];
        fill(new.path(), SIZE, &files).await.unwrap();
        new.finish(0o600).unwrap();
    }

    /// Programs that make file systems leave the partition's name as it was.
    #[tokio::test]
    async fn a_stick_that_its_owner_uses_for_something_else_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stick.img");
        let path = file.display().to_string();
        let (sectors, inside, blocks) = ((EDGE / SECTOR).to_string(), format!("{path}@@{EDGE}"), (48 << 10).to_string());
        let fat = |label: &str| ["-F", "32", "-n", label, "--offset", &sectors, &path, &blocks].map(str::to_owned).to_vec();
        let changes: [(&str, &str, Vec<String>); 7] = [
            ("ext4", "mkfs.ext4", ["-q", "-F", "-E", &format!("offset={EDGE}"), &path, "48m"].map(str::to_owned).to_vec()),
            ("another label", "mkfs.vfat", fat("FILMS")),
            ("the same label, and nothing else", "mkfs.vfat", fat(LABEL)),
            ("without the order", "mdel", vec!["-i".to_owned(), inside.clone(), format!("::{}", installer::ORDER)]),
            ("without the folder", "mdeltree", vec!["-i".to_owned(), inside.clone(), format!("::{FOLDER}")]),
            ("the label was changed", "mlabel", vec!["-i".to_owned(), inside.clone(), "::FILMS".to_owned()]),
            ("cut", "truncate", vec!["--size".to_owned(), (EDGE + 4096).to_string(), path.clone()]),
        ];
        let mut wrong = Vec::new();
        for (what, program, arguments) in changes {
            stick(&file).await;
            assert!(is_stick(&file), "it was just made");
            run(program, arguments).await.unwrap();
            if is_stick(&file) {
                wrong.push(what);
            }
        }
        assert_eq!(wrong, [""; 0]);
    }

    /// What is replaced is the older stick, wherever it is, not the link that leads to it.
    #[tokio::test]
    async fn a_link_to_an_older_stick_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().canonicalize().unwrap().join(name);
        stick(&path("stick.img")).await;
        std::os::unix::fs::symlink("stick.img", path("link")).unwrap();
        std::os::unix::fs::symlink("none.img", path("dangling")).unwrap();
        fs::write(path("film"), "precious").unwrap();
        assert_eq!(may_replace(&path("link")).unwrap(), path("stick.img"));
        assert_eq!(may_replace(&path("dangling")).unwrap(), path("none.img"));
        may_replace(&path("film")).unwrap_err();
    }
}
