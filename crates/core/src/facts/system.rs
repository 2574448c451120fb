//! The system of a machine, as its installation anew has to know it: how it was started, and the disk that it is on.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::install::content::Content;
use crate::install::disk::{Bus, Disk, by_path};

/// What is gathered only where the inventory says how to install machines.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemFacts {
    /// It was started by UEFI.
    pub uefi: bool,
    /// The public host key of type ed25519, `ssh-ed25519 AAAA...`; empty if there is none.
    pub host_key: String,
    /// GPT's name of the partition that `/` is on; empty if it has none.
    pub partition: String,
    /// `/` is not on a partition itself, but on LVM, RAID or LUKS.
    pub layered: bool,
    /// The whole disks that `/` is on.
    pub disks: Vec<SystemDisk>,
    /// The file system from which the firmware starts the system.
    pub esp: Option<EspFact>,
    /// What the user keeps or the inventory names, and what would be erased with the system.
    pub erased: BTreeSet<String>,
    /// What the user keeps or the inventory names, and what is on hostler's data partition of the same disk.
    pub on_data: BTreeSet<String>,
    /// The same, on a file system that may be on several disks, this one among them.
    pub unknown: BTreeSet<String>,
}

/// An EFI system partition.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EspFact {
    /// Where it is mounted.
    pub mounted: String,
    /// Bytes.
    pub free: u64,
    /// Only root can read what is there.
    pub private: bool,
}

/// A whole disk, as the installer sees it, too.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemDisk {
    /// The kernel's name: `nvme0n1`.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Its folder in /sys/devices.
    pub devices: String,
    pub removable: bool,
    pub read_only: bool,
    pub serial: Option<String>,
    pub wwid: Option<String>,
    /// Of an MMC: what it is.
    pub card: String,
    /// Of SATA: the port's number on its controller.
    pub port: Option<u32>,
    /// Its partitions, in order.
    pub partitions: Vec<SystemPartition>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemPartition {
    /// GPT's; may be empty.
    pub name: String,
    /// Where it begins, and its size, in bytes.
    pub start: u64,
    pub size: u64,
    /// `ext4`; empty if unknown.
    pub kind: String,
    /// Where it is mounted, if it is.
    pub mounted: String,
}

impl SystemDisk {
    /// As the installer will find it, once nothing uses it any more.
    pub fn as_found(&self) -> Disk {
        Disk {
            name: self.name.clone(),
            size: self.size,
            bus: Bus::of(&self.name, &self.devices, &self.card),
            removable: self.removable,
            read_only: self.read_only,
            serial: self.serial.clone(),
            wwid: self.wwid.clone(),
            path: by_path(&self.devices, self.port),
            is_boot_medium: false,
            users: Vec::new(),
            content: Content::Empty,
        }
    }
}
