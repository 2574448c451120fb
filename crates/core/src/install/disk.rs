//! Which disk of a machine is written to: a pure function of its disks. It never guesses: a machine about which it can't decide is refused,
//! with every disk and how to name it.

use std::fmt;

use super::content::Content;
use crate::inventory::DiskRule;
use crate::quantity::size;
use crate::visible::visible;
use crate::words::and;

/// A whole disk, as the kernel shows it in /sys/block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The kernel's name: `nvme0n1`. It may differ after the next start.
    pub name: String,
    /// Bytes.
    pub size: u64,
    pub bus: Bus,
    /// The kernel says that its medium can be taken out. USB disks often say that it can't.
    pub removable: bool,
    pub read_only: bool,
    pub serial: Option<String>,
    pub wwid: Option<String>,
    /// Its name in /dev/disk/by-path.
    pub path: Option<String>,
    /// The installer was started from it.
    pub is_boot_medium: bool,
    /// What uses it or a partition of it now: mount points, and names of devices of the device mapper or of RAID arrays.
    pub users: Vec<String>,
    pub content: Content,
}

/// How a disk is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    Nvme,
    Sata,
    Scsi,
    Virtio,
    /// Soldered to the board.
    Emmc,
    SdCard,
    Usb,
    /// Made by the kernel of something else: loop, ram, dm, md.
    Virtual,
    Unknown,
}

impl Bus {
    /// By the kernel's name and the folder in /sys/devices; `card` is the content of `device/type` of an MMC.
    pub fn of(name: &str, devices: &str, card: &str) -> Bus {
        let is = |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        // `.../pci0000:00/0000:00:14.0/usb2/2-1/...`: whatever the disk says about itself.
        let on_usb = |part: &str| part.strip_prefix("usb").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
        if devices.split('/').any(on_usb) {
            Bus::Usb
        } else if is("nvme") {
            // With several paths to it, the kernel has it below /sys/devices/virtual.
            Bus::Nvme
        } else if devices.split('/').any(|part| part == "virtual") || ["loop", "ram", "zram", "dm-", "md", "nbd"].into_iter().any(is) {
            Bus::Virtual
        } else if is("mmcblk") {
            if card.trim() == "MMC" { Bus::Emmc } else { Bus::SdCard }
        } else if devices.split('/').any(|part| part.strip_prefix("ata").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))) {
            Bus::Sata
        } else if name.starts_with("vd") {
            Bus::Virtio
        } else if name.starts_with("sd") {
            Bus::Scsi
        } else {
            Bus::Unknown
        }
    }
}

impl fmt::Display for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bus::Nvme => "NVMe",
            Bus::Sata => "SATA",
            Bus::Scsi => "SCSI",
            Bus::Virtio => "virtio",
            Bus::Emmc => "eMMC",
            Bus::SdCard => "SD card",
            Bus::Usb => "USB",
            Bus::Virtual => "virtual",
            Bus::Unknown => "unknown bus",
        })
    }
}

/// `0000:01:00.0`: domain, of four digits or, behind Intel's VMD, of more; bus, device and function.
fn is_pci_address(part: &str) -> bool {
    let hex =
        |text: &str, least: usize, most: usize| (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let Some((slot, function)) = part.rsplit_once('.') else { return false };
    match slot.split(':').collect::<Vec<_>>()[..] {
        [domain, bus, device] => hex(domain, 4, 8) && hex(bus, 2, 2) && hex(device, 2, 2) && hex(function, 1, 1),
        _ => false,
    }
}

/// The name in /dev/disk/by-path of an NVMe or SATA disk in this folder of /sys/devices, as udev's path_id makes it. `port` is the SATA
/// port's number on its controller, in `ata_port/ata*/port_no`.
pub fn by_path(devices: &str, port: Option<u32>) -> Option<String> {
    let name = devices.rsplit('/').next()?;
    // `pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0`: behind Intel's VMD, a controller has a domain of its own. udev names
    // the last device of each domain.
    let domains = devices.split("/pci").skip(1).filter_map(|domain| domain.split('/').rfind(|part| is_pci_address(part)));
    let address: Vec<String> = domains.map(|address| format!("pci-{address}")).collect();
    let address = Some(address.join("-")).filter(|address| !address.is_empty())?;
    if let Some(namespace) = name.strip_prefix("nvme").and_then(|rest| rest.rsplit_once('n')).map(|(_, namespace)| namespace) {
        return Some(format!("{address}-nvme-{namespace}"));
    }
    Some(format!("{address}-ata-{}", port?))
}

impl Disk {
    /// Why it is no built-in disk to install a system on, whatever it holds.
    fn unfit(&self) -> Option<Unfit> {
        if self.is_boot_medium {
            return Some(Unfit::BootMedium);
        }
        match self.bus {
            Bus::Usb => Some(Unfit::Usb),
            Bus::Virtual => Some(Unfit::Virtual),
            Bus::SdCard => Some(Unfit::Removable),
            Bus::Nvme | Bus::Sata | Bus::Scsi | Bus::Virtio | Bus::Emmc | Bus::Unknown if self.removable => Some(Unfit::Removable),
            Bus::Unknown => Some(Unfit::Unknown),
            Bus::Nvme | Bus::Sata | Bus::Scsi | Bus::Virtio | Bus::Emmc if self.size == 0 => Some(Unfit::NoMedium),
            Bus::Nvme | Bus::Sata | Bus::Scsi | Bus::Virtio | Bus::Emmc => None,
        }
    }

    /// A rule for this very disk, whichever others there are: by the best name that it has.
    pub fn own_rule(&self) -> Option<DiskRule> {
        let word = |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let by_number = word(&self.wwid).map(DiskRule::Wwid).or_else(|| word(&self.serial).map(DiskRule::Serial));
        by_number.or_else(|| word(&self.path).map(DiskRule::Path))
    }

    fn follows(&self, rule: &DiskRule) -> bool {
        // The kernel pads serial numbers with spaces.
        let is = |own: &Option<String>, given: &String| own.as_deref().is_some_and(|own| own.trim() == given);
        match rule {
            DiskRule::Only => self.unfit().is_none(),
            DiskRule::Serial(serial) => is(&self.serial, serial),
            DiskRule::Wwid(wwid) => is(&self.wwid, wwid),
            DiskRule::Path(path) => is(&self.path, path),
        }
    }
}

/// One line: `nvme0n1, 500 GB, NVMe, serial S4EW, wwid eui.00: Windows (ntfs)`.
impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.name, size(self.size), self.bus)?;
        for (what, value) in [("serial", &self.serial), ("wwid", &self.wwid), ("path", &self.path)] {
            if let Some(value) = value {
                write!(f, ", {what} {}", visible(value.trim()))?;
            }
        }
        match self.unfit() {
            Some(unfit) => write!(f, " ({unfit})"),
            None => write!(f, ": {}", self.content),
        }
    }
}

/// Why a disk is never written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    BootMedium,
    Usb,
    Virtual,
    Removable,
    NoMedium,
    Unknown,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unfit::BootMedium => "the installer was started from it",
            Unfit::Usb => "a USB disk is never written to",
            Unfit::Virtual => "it is not a physical disk",
            Unfit::Removable => "a removable disk is never written to",
            Unfit::NoMedium => "no medium is inserted",
            Unfit::Unknown => "hostler can't determine how the disk is connected",
        })
    }
}

/// What is required of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub rule: DiskRule,
    /// Bytes for the system; the disk must have as many.
    pub system_size: u64,
    /// Whether what is on it may be erased. A data partition of hostler's is kept anyway.
    pub wipe: bool,
}

/// Why no disk is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no built-in disk.
    NoDisk,
    /// The rule is `only`, and there are several built-in disks.
    Several(Vec<String>),
    /// No disk follows the rule.
    NotFound(DiskRule),
    /// Several disks follow the rule: serial numbers are not always unique.
    Ambiguous(DiskRule, Vec<String>),
    Unfit(String, Unfit),
    ReadOnly(String),
    /// Its size and the required one, in bytes.
    TooSmall(String, u64, u64),
    InUse(String, Vec<String>),
    /// It belongs to an array with other disks, and the rule is `only`.
    Member(String, String),
    /// It holds data, and the order does not allow to erase it.
    Holds(String, Content),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = |rule: &DiskRule| match rule {
            DiskRule::Only => "`disk: only`".to_owned(),
            DiskRule::Serial(serial) => format!("serial {}", visible(serial)),
            DiskRule::Wwid(wwid) => format!("wwid {}", visible(wwid)),
            DiskRule::Path(path) => format!("path {}", visible(path)),
        };
        match self {
            Refusal::NoDisk => write!(
                f,
                "no built-in disk was found: in the firmware setup, check that the disk is listed, and set the \
                SATA mode to AHCI"
            ),
            Refusal::Several(names) => {
                write!(
                    f,
                    "there are {} built-in disks ({}): choose one with `disk: {{serial: ...}}` in the inventory",
                    names.len(),
                    names.join(", ")
                )
            }
            Refusal::NotFound(given) => write!(f, "no disk has {}: correct `disk` in the inventory", rule(given)),
            Refusal::Ambiguous(given, names) => {
                let all = if names.len() == 2 { "both" } else { "all" };
                write!(f, "{} {all} have {}: choose one with `disk: {{path: ...}}` in the inventory", and(names), rule(given))
            }
            Refusal::Unfit(name, unfit) => write!(f, "{name} matches `disk`, but {unfit}: correct `disk` in the inventory"),
            Refusal::ReadOnly(name) => write!(f, "{name} is read-only: remove its write protection, or replace the disk"),
            Refusal::TooSmall(name, own, least) => {
                write!(f, "{name} has only {}, less than `systemSize` ({}): reduce `systemSize`", size(*own), size(*least))
            }
            Refusal::InUse(name, users) => {
                write!(f, "{name} is in use by {}: stop what uses it, or correct `disk` in the inventory", users.join(", "))
            }
            Refusal::Member(name, array) => {
                write!(
                    f,
                    "{name} belongs to {array}, which may span other disks: to use this disk anyway, set `disk: {{serial: ...}}` in the \
                     inventory"
                )
            }
            Refusal::Holds(name, content) => {
                write!(
                    f,
                    "{name} holds data, {content}: to erase it, make the stick again with `--wipe \
                    MACHINE`"
                )
            }
        }
    }
}

/// The disk to write to.
///
/// # Errors
/// Why there is none. Nothing may be written then.
pub fn choose<'a>(disks: &'a [Disk], wish: &Wish) -> Result<&'a Disk, Refusal> {
    let names = |disks: &[&Disk]| disks.iter().map(|disk| disk.name.clone()).collect();
    let following: Vec<&Disk> = disks.iter().filter(|disk| disk.follows(&wish.rule)).collect();
    let disk = match (following[..].first(), following.len(), &wish.rule) {
        (Some(disk), 1, _) => *disk,
        (None, _, DiskRule::Only) => return Err(Refusal::NoDisk),
        (None, _, rule) => return Err(Refusal::NotFound(rule.clone())),
        (_, _, DiskRule::Only) => return Err(Refusal::Several(names(&following))),
        (_, _, rule) => return Err(Refusal::Ambiguous(rule.clone(), names(&following))),
    };
    let name = || disk.name.clone();
    if let Some(unfit) = disk.unfit() {
        return Err(Refusal::Unfit(name(), unfit));
    }
    if disk.read_only {
        return Err(Refusal::ReadOnly(name()));
    }
    if disk.size < wish.system_size {
        return Err(Refusal::TooSmall(name(), disk.size, wish.system_size));
    }
    if !disk.users.is_empty() {
        return Err(Refusal::InUse(name(), disk.users.clone()));
    }
    if let (Some(array), DiskRule::Only) = (disk.content.array(), &wish.rule) {
        return Err(Refusal::Member(name(), array.to_owned()));
    }
    if disk.content.is_data() && !wish.wipe {
        return Err(Refusal::Holds(name(), disk.content.clone()));
    }
    Ok(disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bus_is_where_the_disk_hangs_not_what_it_says() {
        for (name, devices, card, bus) in [
            ("sda", "/sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sda", "", Bus::Usb),
            ("nvme1n1", "/sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/nvme/nvme1/nvme1n1", "", Bus::Usb),
            ("sda", "/sys/devices/pci0000:00/0000:00:17.0/ata3/host2/target2:0:0/2:0:0:0/block/sda", "", Bus::Sata),
            ("nvme0n1", "/sys/devices/pci0000:00/0000:00:1d.0/0000:01:00.0/nvme/nvme0/nvme0n1", "", Bus::Nvme),
            ("nvme0n1", "/sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1", "", Bus::Nvme),
            ("dm-0", "/sys/devices/virtual/block/dm-0", "", Bus::Virtual),
            ("md127", "/sys/devices/virtual/block/md127", "", Bus::Virtual),
            ("mmcblk0", "/sys/devices/pci0000:00/0000:00:1a.0/mmc_host/mmc0/mmc0:0001/block/mmcblk0", "MMC\n", Bus::Emmc),
            ("mmcblk1", "/sys/devices/pci0000:00/0000:00:1a.0/mmc_host/mmc1/mmc1:0001/block/mmcblk1", "SD\n", Bus::SdCard),
            ("vda", "/sys/devices/pci0000:00/0000:00:04.0/virtio1/block/vda", "", Bus::Virtio),
            ("fd0", "/sys/devices/platform/floppy.0/block/fd0", "", Bus::Unknown),
            ("usba", "/sys/devices/platform/usbless/block/usba", "", Bus::Unknown),
        ] {
            assert_eq!(Bus::of(name, devices, card), bus, "{name} {devices}");
        }
    }

    #[test]
    fn a_path_is_named_as_udev_names_it() {
        let sata = "/sys/devices/pci0000:00/0000:00:17.0/ata3/host2/target2:0:0/2:0:0:0/block/sda";
        for (devices, port, path) in [
            ("/sys/devices/pci0000:00/0000:00:1d.0/0000:01:00.0/nvme/nvme0/nvme0n1", None, Some("pci-0000:01:00.0-nvme-1")),
            (
                "/sys/devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0/nvme/nvme0/nvme0n1",
                None,
                Some("pci-0000:00:0e.0-pci-10000:e1:00.0-nvme-1"),
            ),
            (sata, Some(1), Some("pci-0000:00:17.0-ata-1")),
            (sata, None, None),
            ("/sys/devices/virtual/block/dm-0", None, None),
        ] {
            assert_eq!(by_path(devices, port).as_deref(), path, "{devices}");
        }
    }
}
