//! Erases the machine's disk, by the strongest way that the drive has, and shows what was done.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use hostler_core::install::content::{HEAD, TAIL};
use hostler_core::install::disk::{Bus, Disk, choose};
use hostler_core::install::erasure::{Erasure, Method, Report};

use super::kernel;
use super::medium::Medium;
use super::screen::Screen;
use super::{APPEARS_WITHIN, settled_disks, until};

/// How long the last screen is shown.
const SHOWN: Duration = Duration::from_secs(30);

/// Follows the order to erase, once: it is in memory.
pub fn follow(screen: &Screen, medium: &Medium, erasure: &Erasure) -> Result<()> {
    let name = &erasure.name;
    screen.line(&format!("erasure order {} for {name}", &erasure.id[..16]));
    let is_ours = || Ok(kernel::network_cards()?.contains(&erasure.mac).then_some(()));
    until(APPEARS_WITHIN, is_ours)?
        .with_context(|| format!("this computer is not {name}: it has no network card with the MAC address {}", erasure.mac))?;
    let found = settled_disks(medium)?;
    let disk = choose(&found, &erasure.wish()).map_err(|refusal| anyhow!("{name}: {refusal}"))?;
    screen.line(&format!("disk {disk}"));
    let report = erase(screen, disk).with_context(|| name.to_string())?;
    let mut lines = vec![format!("{}, {} of {name}:", disk.name, hostler_core::quantity::size(disk.size))];
    lines.extend(report.lines());
    lines.push(String::new());
    lines.push("The machine now powers off.".to_owned());
    screen.large("ERASED", &lines);
    sleep(SHOWN);
    Ok(())
}

fn erase(screen: &Screen, disk: &Disk) -> Result<Report> {
    let path = format!("/dev/{}", disk.name);
    let mut file = OpenOptions::new().read(true).write(true).open(&path).with_context(|| format!("{path} can't be opened"))?;
    let parts = partitions(&disk.name)?;
    let mut report = Report::default();
    // First: whatever happens then, nothing is started from it.
    screen.line("overwriting partition tables and file-system signatures");
    overwrite(&mut file, disk.size, &parts).with_context(|| format!("{path} can't be written"))?;
    let text = |error: anyhow::Error| format!("{error:#}");
    screen.line("asking the drive to erase itself: this may take minutes");
    let formatted = if disk.bus == Bus::Nvme { format(&file, &disk.name) } else { Err(anyhow!("not an NVMe drive")) };
    let is_formatted = formatted.is_ok();
    report.add(Method::Format, formatted.map_err(text));
    if !is_formatted {
        screen.line("discarding all blocks");
        report.add(Method::Discard, discard(&file, disk).map_err(text));
    }
    // Again: a drive may return anything for blocks that were discarded.
    overwrite(&mut file, disk.size, &parts).with_context(|| format!("{path} can't be written"))?;
    report.add(Method::Overwrite, Ok(()));
    Ok(report)
}

/// Where partitions begin, and their sizes, in bytes, as the kernel has them.
fn partitions(disk: &str) -> Result<Vec<(u64, u64)>> {
    /// Of sysfs, whatever a disk's sectors are.
    const SECTOR: u64 = 512;
    let mut found = Vec::new();
    for entry in fs::read_dir(Path::new("/sys/block").join(disk)).with_context(|| format!("{disk} disappeared"))? {
        let folder = entry?.path();
        let number = |file: &str| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
        if let (Some(_), Some(start), Some(size)) = (number("partition"), number("start"), number("size")) {
            found.push((start * SECTOR, size * SECTOR));
        }
    }
    Ok(found)
}

/// Writes zeros at the beginning and the end of the disk and of each partition: as much as is read of a disk to find out what is on it.
fn overwrite(file: &mut File, size: u64, parts: &[(u64, u64)]) -> Result<()> {
    for (start, size) in parts.iter().copied().chain([(0, size)]) {
        let (head, tail) = ((HEAD as u64).min(size), (TAIL as u64).min(size));
        for (at, length) in [(start, head), (start + size - tail, tail)] {
            file.seek(SeekFrom::Start(at))?;
            file.write_all(&vec![0; usize::try_from(length)?])?;
        }
    }
    file.sync_all()?;
    Ok(())
}

/// All blocks of the disk are discarded.
fn discard(file: &File, disk: &Disk) -> Result<()> {
    let most = fs::read_to_string(format!("/sys/block/{}/queue/discard_max_bytes", disk.name)).unwrap_or_default();
    ensure!(most.trim().parse::<u64>().is_ok_and(|most| most > 0), "not supported");
    nix::ioctl_write_ptr_bad!(discard, nix::request_code_none!(0x12, 119), [u64; 2]); // BLKDISCARD of the kernel's include/uapi/linux/fs.h.
    // SAFETY: the descriptor is open, and the kernel only reads the two numbers.
    unsafe { discard(file.as_raw_fd(), &[0, disk.size]) }?;
    Ok(())
}

/// `struct nvme_passthru_cmd` of the kernel's include/uapi/linux/nvme_ioctl.h.
#[repr(C)]
#[derive(Default)]
struct Command {
    opcode: u8,
    flags: u8,
    reserved: u16,
    namespace: u32,
    cdw2: u32,
    cdw3: u32,
    metadata: u64,
    address: u64,
    metadata_length: u32,
    length: u32,
    cdw10: u32,
    cdw11: u32,
    cdw12: u32,
    cdw13: u32,
    cdw14: u32,
    cdw15: u32,
    timeout_ms: u32,
    result: u32,
}

nix::ioctl_readwrite!(admin, b'N', 0x41, Command);
nix::ioctl_none!(namespace_id, b'N', 0x40);

/// Of the NVM Express Base Specification.
const IDENTIFY: u8 = 0x06;
const IDENTIFY_NAMESPACE: u32 = 0;
const IDENTIFY_CONTROLLER: u32 = 1;
const FORMAT: u8 = 0x80;
const USER_DATA_ERASE: u32 = 1;
/// A large drive without encryption may need as long.
const FORMAT_LIMIT_MS: u32 = 60 * 60 * 1000;

fn command(file: &File, mut command: Command) -> Result<()> {
    // SAFETY: the descriptor is open; the command's buffer, where it has one, outlives the call, and has the length that it says.
    let status = unsafe { admin(file.as_raw_fd(), &raw mut command) }?;
    ensure!(status == 0, "the drive answered with status {status:#x}");
    Ok(())
}

fn identify(file: &File, namespace: u32, what: u32) -> Result<Vec<u8>> {
    let mut answer = vec![0; 4096];
    let ask = Command {
        opcode: IDENTIFY,
        namespace,
        address: answer.as_mut_ptr() as u64,
        length: 4096,
        cdw10: what,
        timeout_ms: 10_000,
        ..Command::default()
    };
    command(file, ask)?;
    Ok(answer)
}

/// The drive erases the namespace, which keeps its format. Refused where other namespaces would be erased with it.
fn format(file: &File, disk: &str) -> Result<()> {
    // SAFETY: the descriptor is open, and the request has no argument.
    let namespace = u32::try_from(unsafe { namespace_id(file.as_raw_fd()) }?)?;
    let controller = identify(file, 0, IDENTIFY_CONTROLLER)?;
    // OACS and FNA.
    ensure!(controller[256] & 0b10 != 0, "not supported");
    let others = super::disks::names()?.into_iter().filter(|other| other != disk && controller_of(other) == controller_of(disk));
    if controller[524] & 0b11 != 0 && others.count() > 0 {
        bail!("it would erase other disks of the same drive");
    }
    let about = identify(file, namespace, IDENTIFY_NAMESPACE)?;
    // FLBAS: the number of the format, and whether metadata is part of the data. DPS: protection.
    let (format, protection) = (u32::from(about[26]), u32::from(about[29]));
    let keep =
        format & 0b1111 | (format >> 5 & 0b11) << 12 | (format >> 4 & 1) << 4 | (protection & 0b111) << 5 | (protection >> 3 & 1) << 8;
    let erase =
        Command { opcode: FORMAT, namespace, cdw10: keep | USER_DATA_ERASE << 9, timeout_ms: FORMAT_LIMIT_MS, ..Command::default() };
    command(file, erase)
}

/// `nvme0` of `nvme0n1`.
fn controller_of(disk: &str) -> Option<&str> {
    disk.strip_prefix("nvme")?;
    disk.rsplit_once('n').map(|(controller, _)| controller)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_ends_of_the_disk_and_of_its_partitions_are_zeros_afterwards() {
        const MIB: u64 = 1 << 20;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; 16 << 20]).unwrap();
        overwrite(&mut file, 16 * MIB, &[(4 * MIB, 5 * MIB), (12 * MIB, MIB / 2)]).unwrap();
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        let zeros: Vec<bool> = bytes.chunks(1 << 19).map(|chunk| chunk.iter().all(|byte| *byte == 0)).collect();
        let expected: Vec<bool> = (0..32).map(|half| [0, 1, 8, 9, 16, 17, 24, 30, 31].contains(&half)).collect();
        assert_eq!(zeros, expected);
        assert_eq!(bytes.len(), 16 << 20);
    }

    #[test]
    fn a_command_has_the_kernels_layout() {
        assert_eq!(size_of::<Command>(), 72);
        assert_eq!(controller_of("nvme10n2"), Some("nvme10"));
        assert_eq!(controller_of("sda"), None);
    }
}
