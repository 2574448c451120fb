//! GPT: read, and written for a new system. A data partition of hostler's stays where it is.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use gpt::disk::LogicalBlockSize;
use gpt::partition::Partition;
use gpt::partition_types::{self, Type};
use hostler_core::install::disk::Disk;
use hostler_core::install::layout::{DATA, ESP, Extent, NEW_DATA, UNFINISHED, installed_name, layout};
use hostler_core::quantity::size;
use uuid::Uuid;

use super::until;
use crate::os::tables;

const ESP_NUMBER: u32 = 1;
const SYSTEM_NUMBER: u32 = 2;
const DATA_NUMBER: u32 = 3;
/// Limit for the kernel to show the devices of new partitions.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);
/// As much of the beginning of an old ESP is erased: then no firmware starts anything from it.
const ERASED: usize = 1 << 20;

/// Devices of a machine's new partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partitions {
    pub esp: String,
    pub system: String,
    /// Bytes.
    pub system_size: u64,
    pub data: Option<String>,
    /// It was made now; otherwise it holds the data of an earlier installation.
    pub format_data: bool,
}

/// A partition, as its table has it.
pub struct Entry {
    pub name: String,
    /// Bytes.
    pub size: u64,
}

/// `nvme0n1p1`, `sda1`.
pub fn partition_device(disk: &str, number: u32) -> String {
    let between = if disk.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
    format!("/dev/{disk}{between}{number}")
}

fn sector(disk: &str) -> LogicalBlockSize {
    let text = std::fs::read_to_string(format!("/sys/block/{disk}/queue/logical_block_size")).unwrap_or_default();
    if text.trim() == "4096" { LogicalBlockSize::Lb4096 } else { LogicalBlockSize::Lb512 }
}

/// The partitions that are in use, by their numbers; `None`: the disk has no GPT. A disk that can't be read is an error, never one without
/// partitions: among them is the one to keep.
fn used(disk: &str) -> Result<Option<BTreeMap<u32, Partition>>> {
    let path = format!("/dev/{disk}");
    let mut file = File::open(&path).with_context(|| format!("{path} can't be opened"))?;
    let mut partitions = tables::partitions(&mut file, sector(disk)).with_context(|| format!("{path} can't be read"))?;
    if let Some(partitions) = &mut partitions {
        partitions.retain(|_, part| part.is_used());
    }
    Ok(partitions)
}

/// The device of the system's partition.
pub fn system_device(disk: &str) -> String {
    partition_device(disk, SYSTEM_NUMBER)
}

/// The partitions of a disk that has a GPT.
///
/// # Errors
/// The disk can't be read.
pub fn read(disk: &str) -> Result<Option<BTreeMap<u32, Entry>>> {
    let bytes = u64::from(sector(disk));
    let entry = |part: Partition| Entry { size: extent(&part, bytes).size, name: part.name };
    Ok(used(disk)?.map(|partitions| partitions.into_iter().map(|(number, part)| (number, entry(part))).collect()))
}

/// The number of the partition with this GUID; `None` also where the disk can't be read, such as a card reader without a card.
pub fn partition_number(disk: &str, guid: &str) -> Option<u32> {
    let guid: Uuid = guid.parse().ok()?;
    used(disk).ok()??.iter().find(|(_, part)| part.part_guid == guid).map(|(number, _)| *number)
}

fn extent(part: &Partition, sector: u64) -> Extent {
    let sectors = part.last_lba.saturating_add(1).saturating_sub(part.first_lba);
    Extent { start: part.first_lba.saturating_mul(sector), size: sectors.saturating_mul(sector) }
}

fn entry(name: &str, of: Extent, kind: Type, guid: Uuid, sector: u64) -> Partition {
    Partition {
        part_type_guid: kind,
        part_guid: guid,
        first_lba: of.start / sector,
        last_lba: of.end() / sector - 1,
        flags: 0,
        name: name.to_owned(),
    }
}

/// Writes the table of a new system. Afterwards nothing starts from this disk.
///
/// # Errors
/// The data partition leaves too little room, or the disk can't be written.
pub fn write(disk: &Disk, system_size: u64) -> Result<Partitions> {
    let name = &disk.name;
    let sector = u64::from(self::sector(name));
    let mut kept = used(name)?.unwrap_or_default().into_values().filter(|part| part.name == DATA);
    let data = kept.next();
    if kept.next().is_some() {
        bail!("{name} has more than one partition named `{DATA}`: rename all but the one to keep");
    }
    let layout = layout(disk.size, system_size, data.as_ref().map(|part| extent(part, sector)))
        .map_err(|room| anyhow!("{name}: the data partition leaves only {} for the system, which is not enough", size(room)))?;
    let path = format!("/dev/{name}");
    let mut file = OpenOptions::new().read(true).write(true).open(&path).with_context(|| format!("{path} can't be opened"))?;
    // First what the firmware would start: wherever the old ESP was, it is not found without its table.
    for extent in [layout.esp, layout.system] {
        file.seek(SeekFrom::Start(extent.start))?;
        file.write_all(&vec![0; ERASED]).with_context(|| format!("{path} can't be written"))?;
    }
    let mut table = BTreeMap::new();
    table.insert(ESP_NUMBER, entry(ESP, layout.esp, partition_types::EFI, Uuid::new_v4(), sector));
    table.insert(SYSTEM_NUMBER, entry(UNFINISHED, layout.system, partition_types::LINUX_FS, Uuid::new_v4(), sector));
    let format_data = data.is_none() && layout.data.is_some();
    match (data, layout.data) {
        (Some(kept), _) => drop(table.insert(DATA_NUMBER, kept)),
        (None, Some(new)) => {
            // What was there before must not be taken for its file system.
            file.seek(SeekFrom::Start(new.start))?;
            file.write_all(&vec![0; ERASED])?;
            table.insert(DATA_NUMBER, entry(NEW_DATA, new, partition_types::LINUX_FS, Uuid::new_v4(), sector));
        }
        (None, None) => {}
    }
    write_table(name, &mut file, table)?;
    nix::ioctl_none!(reread, 0x12, 95); // BLKRRPART of the kernel's include/uapi/linux/fs.h.
    // SAFETY: the descriptor is open, and the request has no argument.
    unsafe { reread(file.as_raw_fd()) }.with_context(|| format!("the kernel does not accept the new partition table of {name}"))?;
    let devices = Partitions {
        esp: partition_device(name, ESP_NUMBER),
        system: partition_device(name, SYSTEM_NUMBER),
        system_size: layout.system.size,
        data: layout.data.map(|_| partition_device(name, DATA_NUMBER)),
        format_data,
    };
    let all = [Some(&devices.esp), Some(&devices.system), devices.data.as_ref()];
    until(SHOWN_WITHIN, || Ok(all.iter().flatten().all(|device| Path::new(device).exists()).then_some(())))?
        .with_context(|| format!("the kernel does not show the new partitions of {name}"))?;
    Ok(devices)
}

/// Names the system's partition after the order that installed it, and the data partition as one to keep: from now on this disk may be started
/// from. Only names change, so the kernel need not read the table again.
pub fn finish(disk: &Disk, order: &str) -> Result<()> {
    let mut table = used(&disk.name)?.context("the new partition table can't be read")?;
    let Some(system) = table.get_mut(&SYSTEM_NUMBER) else { bail!("the new partition table has no partition for the system") };
    system.name = installed_name(order);
    if let Some(data) = table.get_mut(&DATA_NUMBER) {
        data.name = DATA.to_owned();
    }
    let mut file = OpenOptions::new().read(true).write(true).open(format!("/dev/{}", disk.name))?;
    write_table(&disk.name, &mut file, table)
}

fn write_table(name: &str, file: &mut File, table: BTreeMap<u32, Partition>) -> Result<()> {
    tables::write(file, sector(name), table).with_context(|| format!("the partition table of {name} can't be written"))
}
