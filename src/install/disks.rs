//! The machine's disks, as the kernel shows them in /sys/block.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result};
use hostler_core::install::content::{Content, HEAD, Partition, TAIL, of_disk};
use hostler_core::install::disk::{Bus, Disk, by_path};

use super::table;

const BLOCK: &str = "/sys/block";
/// Of sysfs, whatever a disk's sectors are.
const SECTOR: u64 = 512;

/// The kernel's names of all disks, sorted.
pub fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(BLOCK).context("disks can't be listed")? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        // Another path to a disk that has a name of its own; and parts of an eMMC that hold no data of users.
        let hidden = text(&name, "hidden").is_some_and(|hidden| hidden == "1");
        if !hidden && !name.contains("boot") && !name.ends_with("rpmb") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// A file of the disk's folder, without spaces around it; `None` if it is empty or not there.
fn text(disk: &str, file: &str) -> Option<String> {
    trimmed(&fs::read(Path::new(BLOCK).join(disk).join(file)).ok()?)
}

fn trimmed(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

/// The serial number of a SATA or SCSI disk: its vital product data, page 80h, behind four bytes.
fn product_data(disk: &str) -> Option<String> {
    let page = fs::read(Path::new(BLOCK).join(disk).join("device/vpd_pg80")).ok()?;
    trimmed(page.get(4..)?)
}

/// All disks, except those without a medium that the kernel makes in advance. `boot_medium`: the one that the installer was started from.
pub fn all(boot_medium: &str) -> Result<Vec<Disk>> {
    let mut disks = Vec::new();
    for name in names()? {
        let number = |file: &str| text(&name, file).and_then(|text| text.parse::<u64>().ok());
        let size = number("size").unwrap_or(0) * SECTOR;
        let folder = fs::canonicalize(Path::new(BLOCK).join(&name)).with_context(|| format!("{name} disappeared"))?;
        let devices = folder.display().to_string();
        let bus = Bus::of(&name, &devices, &text(&name, "device/type").unwrap_or_default());
        if size == 0 && bus == Bus::Virtual {
            continue;
        }
        let is_boot_medium = name == boot_medium;
        disks.push(Disk {
            size,
            bus,
            removable: number("removable") != Some(0),
            read_only: number("ro") != Some(0),
            serial: text(&name, "device/serial").or_else(|| text(&name, "serial")).or_else(|| product_data(&name)),
            wwid: text(&name, "wwid").or_else(|| text(&name, "device/wwid")),
            path: by_path(&devices, sata_port(&folder)),
            is_boot_medium,
            users: users(&name, &folder)?,
            // Whatever is on a disk that can't be read, it may be data.
            content: if is_boot_medium { Content::Empty } else { content(&name).unwrap_or_else(unreadable) },
            name,
        });
    }
    Ok(disks)
}

fn unreadable(error: anyhow::Error) -> Content {
    Content::Data { parts: vec![format!("unknown content, because reading failed ({error:#})")], array: None }
}

/// `.../ata3/host2/target2:0:0/2:0:0:0/block/sda` has its port in `.../ata3/ata_port/ata3/port_no`.
fn sata_port(folder: &Path) -> Option<u32> {
    let ata = folder.ancestors().find(|folder| folder.join("ata_port").is_dir())?;
    let name = ata.file_name()?;
    fs::read_to_string(ata.join("ata_port").join(name).join("port_no")).ok()?.trim().parse().ok()
}

/// What uses the disk or a partition of it: devices made of it, mount points, and swap.
fn users(disk: &str, folder: &Path) -> Result<Vec<String>> {
    let mut parts = vec![folder.to_owned()];
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.join("partition").exists() {
            parts.push(path);
        }
    }
    let mounts = fs::read_to_string("/proc/mounts").context("mounted file systems can't be listed")?;
    // A kernel without swap has no such file.
    let swaps = match fs::read_to_string("/proc/swaps") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        swaps => swaps.context("swap can't be listed")?,
    };
    let mut users = Vec::new();
    for part in parts {
        for holder in fs::read_dir(part.join("holders")).into_iter().flatten().flatten() {
            users.push(holder.file_name().to_string_lossy().into_owned());
        }
        let device = format!("/dev/{}", part.file_name().unwrap_or(disk.as_ref()).to_string_lossy());
        let of_device = |line: &&str| line.split_whitespace().next() == Some(device.as_str());
        users.extend(mounts.lines().filter(of_device).filter_map(|line| line.split(' ').nth(1)).map(str::to_owned));
        users.extend(swaps.lines().filter(of_device).map(|_| "swap".to_owned()));
    }
    Ok(users)
}

/// The first and last bytes of a disk or partition.
fn ends(device: &str) -> Result<(Vec<u8>, Vec<u8>)> {
    let mut file = File::open(device).with_context(|| format!("{device} can't be opened"))?;
    let size = file.seek(SeekFrom::End(0))?;
    let mut read = |from: u64, most: usize| -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        Read::by_ref(&mut file).take(most as u64).read_to_end(&mut bytes).with_context(|| format!("{device} can't be read"))?;
        Ok(bytes)
    };
    Ok((read(0, HEAD)?, read(size.saturating_sub(TAIL as u64), TAIL)?))
}

fn content(disk: &str) -> Result<Content> {
    let (head, tail) = ends(&format!("/dev/{disk}"))?;
    let known = table::read(disk)?;
    let entries: Vec<(String, u64, u32)> = match &known {
        Some(partitions) => partitions.iter().map(|(number, part)| (part.name.clone(), part.size, *number)).collect(),
        None => kernel_partitions(disk),
    };
    if known.is_none() && entries.is_empty() {
        return Ok(of_disk(&head, &tail, None));
    }
    let mut bytes = Vec::new();
    for (_, _, number) in &entries {
        bytes.push(ends(&table::partition_device(disk, *number))?);
    }
    let parts: Vec<Partition> =
        entries.iter().zip(&bytes).map(|((name, size, _), (head, tail))| Partition { name, size: *size, head, tail }).collect();
    Ok(of_disk(&head, &tail, Some(&parts)))
}

/// Name, bytes and number of the partitions that the kernel found, whatever the table is.
fn kernel_partitions(disk: &str) -> Vec<(String, u64, u32)> {
    let entries = fs::read_dir(Path::new(BLOCK).join(disk)).into_iter().flatten().flatten();
    let partition = |entry: fs::DirEntry| {
        let number = fs::read_to_string(entry.path().join("partition")).ok()?.trim().parse().ok()?;
        let sectors: u64 = fs::read_to_string(entry.path().join("size")).ok()?.trim().parse().ok()?;
        Some((String::new(), sectors * SECTOR, number))
    };
    entries.filter_map(partition).collect()
}
