//! A stick: one file with a partition that UEFI starts, also with Secure Boot. It is made without root: FAT and its files are written by mtools.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use gpt::GptConfig;
use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition::Partition;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::install::order::Order;
use hostler_core::template;
use serde_json::json;
use uuid::Uuid;

use super::image::{Image, SYSTEM};
use super::initrd;
use crate::atomic;
use crate::workstation::program::run;

/// The folder of the stick with the order, the image and the marks.
pub const FOLDER: &str = "hostler";
pub const ORDER: &str = "order.json";
pub const MARKS: &str = "marks";

/// Of its partition.
const NAME: &str = "hostler-stick";
const SECTOR: u64 = 512;
const MEBIBYTE: u64 = 1 << 20;
/// Before the partition, and after it: the tables.
const EDGE: u64 = MEBIBYTE;
/// For marks, and for what FAT itself needs.
const SPARE: u64 = 32 * MEBIBYTE;

/// Writes the stick to `file`, which replaces what is there at the end. Only its owner can read it: it holds host keys.
///
/// # Errors
/// The file can't be written, or a program fails.
pub async fn write(file: &Path, image: &Image, order: &Order) -> Result<()> {
    let parts = tempfile::tempdir().context("a temporary folder can't be created")?;
    let part = |name: &str| parts.path().join(name);
    let medium = Uuid::new_v4();
    fs::write(part("grub.cfg"), template::render("os/grub.cfg", json!({ "medium": medium.to_string() }))?)?;
    atomic::write(&part(ORDER), order.to_json().as_bytes(), 0o600)?;
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
        (part(ORDER), format!("{FOLDER}/{ORDER}")),
        (from(SYSTEM), format!("{FOLDER}/{SYSTEM}")),
    ];
    let mut content = SPARE;
    for (from, _) in &files {
        content += from.metadata().with_context(|| format!("{} can't be read", from.display()))?.len();
    }
    let partition = content.next_multiple_of(MEBIBYTE);
    let new = atomic::New::beside(file).with_context(|| format!("{} can't be created", file.display()))?;
    new.as_file().set_len(EDGE + partition + EDGE)?;
    write_table(&new, medium, partition)?;
    let (path, offset) = (new.path().display().to_string(), (EDGE / SECTOR).to_string());
    let blocks = (partition / 1024).to_string();
    run("mkfs.vfat", ["-F", "32", "-n", "HOSTLER", "--offset", &offset, "-h", &offset, &path, &blocks]).await?;
    let inside = format!("{path}@@{EDGE}");
    let folders = ["EFI", "EFI/BOOT", "EFI/debian", FOLDER, &format!("{FOLDER}/{MARKS}")].map(|folder| format!("::{folder}"));
    run("mmd", ["-i".to_owned(), inside.clone()].into_iter().chain(folders)).await?;
    for (from, to) in &files {
        run("mcopy", ["-i", &inside, &from.display().to_string(), &format!("::{to}")]).await?;
    }
    new.finish(0o600).with_context(|| format!("{} can't be written", file.display()))
}

/// Whether `file` may be written: nothing is there, or an older stick.
///
/// # Errors
/// Refused: it is something else.
pub fn may_replace(file: &Path) -> Result<()> {
    let is_stick = || {
        let table = GptConfig::new().writable(false).open(file).ok()?;
        Some(file.is_file() && table.partitions().get(&1)?.name == NAME)
    };
    match file.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Ok(_) if is_stick() == Some(true) => Ok(()),
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
