//! The disk that a machine's system is on, as the installer in memory is to find it, and what keeps it from working on that disk.

use std::borrow::Cow;
use std::fmt;

use crate::action::reinstall::{Loaders, SentFile, StageInstaller, Way};
use crate::arch::Arch;
use crate::facts::{Facts, SystemDisk, SystemFacts};
use crate::install::disk::{self, Wish, choose};
use crate::install::layout::{DATA, Extent, LEAST_SYSTEM, layout};
use crate::install::order::short_id;
use crate::inventory::{DiskRule, Inventory, MachineName};
use crate::quantity::size;
use crate::visible::visible;

/// The installer, as this computer has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installer {
    /// Of the order that it gets.
    pub id: String,
    pub kernel: SentFile,
    /// Without the order.
    pub initrd: SentFile,
    pub loaders: Loaders,
}

impl Installer {
    /// Brings it to a machine, with its order in `order_file`. `host_key`: as of [`StageInstaller`].
    pub fn stage(&self, way: Way, order: String, order_file: &'static str, host_key: Option<String>) -> StageInstaller {
        let Installer { id, kernel, initrd, loaders } = self.clone();
        StageInstaller { id: short_id(&id).to_owned(), kernel, installer: initrd, loaders, way, order, order_file, host_key }
    }
}

/// Why the installer can't do its work on a machine. Nothing is changed then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoInstaller {
    Architecture,
    /// What its system is on can't be found out, or it is several disks.
    SystemDisk,
    Legacy,
    /// Of LVM, RAID or LUKS below the system.
    Layered,
    Disk(disk::Refusal),
    /// Bytes that the data partition leaves for the system.
    Room(u64),
    SeveralData,
    /// There is no host key of type ed25519, or this computer does not know it.
    HostKey,
    /// hostler would not be let in afterwards.
    LoginKey,
    /// `mac` of the inventory is not written, and it has several network cards.
    NetworkCard,
    /// Something that the user keeps.
    Kept(String),
    /// The same, on disks that are not known.
    KeptSomewhere(String),
    /// MB.
    Memory {
        has: u64,
        least: u64,
    },
}

impl fmt::Display for NoInstaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoInstaller::Architecture => f.write_str("hostler has an installer only for machines with an x86-64 processor"),
            NoInstaller::SystemDisk => f.write_str("hostler can't determine the disk that the system is on"),
            NoInstaller::Legacy => {
                f.write_str("the machine was not started in UEFI mode, and hostler installs only systems that start with UEFI")
            }
            NoInstaller::Layered => f.write_str("the system is on LVM, RAID or LUKS, which may span other disks"),
            NoInstaller::Disk(why) => write!(f, "{why}"),
            NoInstaller::Room(room) => {
                write!(f, "the data partition leaves only {} for the system, which needs {}", size(*room), size(LEAST_SYSTEM))
            }
            NoInstaller::SeveralData => write!(f, "the disk has more than one partition named `{DATA}`"),
            NoInstaller::HostKey => {
                f.write_str("the machine's ed25519 host key, which the new system will keep, is not known to this computer")
            }
            NoInstaller::LoginKey => {
                f.write_str("the SSH key that hostler logs in with is not in `os.authorizedKeys`, so the new system would not accept it")
            }
            NoInstaller::NetworkCard => f.write_str("the machine has several network cards, and the inventory has no `mac` for it"),
            NoInstaller::Kept(path) => write!(f, "`keep:` lists {}, which is on a partition that would be erased", visible(path)),
            NoInstaller::KeptSomewhere(path) => {
                write!(
                    f,
                    "`keep:` lists {}, and hostler can't determine which disks it is on: the disk to erase may be among them",
                    visible(path)
                )
            }
            NoInstaller::Memory { has, least } => write!(f, "the machine has {has} MB of memory, but the installer needs {least} MB"),
        }
    }
}

impl NoInstaller {
    /// What to do where a system was to be installed.
    pub fn hint(&self, machine: &MachineName) -> Cow<'static, str> {
        match self {
            NoInstaller::Architecture => format!("install the system by hand, then run `hostler rebuild {machine}` without `--os`").into(),
            NoInstaller::SystemDisk | NoInstaller::Memory { .. } => {
                format!("run `hostler remove {machine}`, then install the machine from a stick: `hostler provision`").into()
            }
            NoInstaller::Legacy => format!(
                "run `hostler remove {machine}`, then switch the machine's firmware from Legacy Boot to UEFI, and install it from a stick: \
                 `hostler provision`"
            )
            .into(),
            NoInstaller::Layered => format!("choose the disk to install on, which will be erased: {NAME_DISK}").into(),
            NoInstaller::Disk(_) => {
                "`rebuild --os` installs the new system on the disk of the old one; `lsblk --nodeps --output NAME,SERIAL,SIZE` on the machine shows its disks".into()
            }
            NoInstaller::Room(_) => "move the data away and delete the data partition; the next installation creates a new one".into(),
            NoInstaller::SeveralData => "rename all of these partitions except for the one to keep, with `sgdisk --change-name`".into(),
            NoInstaller::HostKey => {
                "run `ssh-keygen -A` on the machine if it has no ed25519 key; then set `hostKey` in the inventory to the \
                fingerprint of /etc/ssh/ssh_host_ed25519_key.pub"
                    .into()
            }
            NoInstaller::LoginKey => {
                "add the public key to `os.authorizedKeys` in the inventory; `ssh -v` shows which key the machine accepts now".into()
            }
            NoInstaller::NetworkCard => {
                "set `mac` in the inventory to the MAC address of the network card that has the machine's address".into()
            }
            NoInstaller::Kept(_) | NoInstaller::KeptSomewhere(_) => {
                "move those files to hostler's data partition (/srv) or to another disk, and correct `keep:`".into()
            }
        }
    }

    /// What to do where the disk was to be erased.
    pub fn hint_to_erase(&self, machine: &MachineName) -> Cow<'static, str> {
        match self {
            NoInstaller::Disk(_) => "`remove --erase` erases the disk that the system is on: correct `disk` in the inventory".into(),
            NoInstaller::Kept(_) | NoInstaller::KeptSomewhere(_) => "move those files to another disk, and correct `keep:`".into(),
            NoInstaller::Layered => format!("choose the disk to erase: {NAME_DISK}").into(),
            NoInstaller::NetworkCard => self.hint(machine),
            _ => format!("run `hostler remove {machine}` without `--erase`, then erase the disk by hand").into(),
        }
    }
}

/// How to name a disk that hostler does not choose itself.
const NAME_DISK: &str =
    "set `disk: {serial: SERIAL}` for the machine in the inventory; `lsblk --nodeps --output NAME,SERIAL,SIZE` on the machine shows it";

/// What the installer is told of its machine.
pub(super) struct Target {
    /// For this very disk.
    pub rule: DiskRule,
    /// Of the network card by which it knows the machine.
    pub mac: String,
}

/// The facts that the installer's work depends on.
pub(super) fn system(facts: &Facts) -> Result<(&SystemFacts, &SystemDisk), NoInstaller> {
    let system = facts.system.as_ref().ok_or(NoInstaller::SystemDisk)?;
    match system.disks.as_slice() {
        [disk] => Ok((system, disk)),
        _ => Err(NoInstaller::SystemDisk),
    }
}

/// The disk that the system is on, by a rule that no other disk follows. `system_size`: bytes that it must have.
pub(super) fn target(inventory: &Inventory, name: &MachineName, facts: &Facts, system_size: u64) -> Result<Target, NoInstaller> {
    if facts.arch != Some(Arch::Amd64) {
        return Err(NoInstaller::Architecture);
    }
    let (system, disk) = system(facts)?;
    let machine = inventory.machines.get(name);
    let general = || inventory.os.as_ref().map_or(DiskRule::Only, |os| os.disk.clone());
    let written = machine.and_then(|machine| machine.disk.clone()).unwrap_or_else(general);
    if system.layered && written == DiskRule::Only {
        return Err(NoInstaller::Layered);
    }
    let found = disk.as_found();
    // `only` would be a guess: there may be other disks.
    let rule = if written == DiskRule::Only { found.own_rule().ok_or(NoInstaller::SystemDisk)? } else { written };
    choose(&[found], &Wish { rule: rule.clone(), system_size, wipe: true }).map_err(NoInstaller::Disk)?;
    let mac = match (machine.and_then(|machine| machine.mac.clone()), facts.macs.len()) {
        (Some(mac), _) => mac,
        (None, 1) => facts.macs.first().cloned().unwrap_or_default(),
        (None, _) => return Err(NoInstaller::NetworkCard),
    };
    Ok(Target { rule, mac })
}

/// Whether the data partition leaves room for a system of this size, in bytes.
pub(super) fn has_room(disk: &SystemDisk, system_size: u64) -> Result<(), NoInstaller> {
    let mut data = disk.partitions.iter().filter(|partition| partition.name == DATA);
    let kept = data.next().map(|partition| Extent { start: partition.start, size: partition.size });
    if data.next().is_some() {
        return Err(NoInstaller::SeveralData);
    }
    layout(disk.size, system_size, kept).map(|_| ()).map_err(NoInstaller::Room)
}

/// What the user keeps, if any of it is among `erased`, or may be.
pub(super) fn keeps<'a>(
    inventory: &Inventory,
    name: &MachineName,
    system: &SystemFacts,
    mut erased: impl Iterator<Item = &'a String>,
) -> Result<(), NoInstaller> {
    let keep = inventory.machines.get(name).map(|machine| machine.keep.as_slice()).unwrap_or_default();
    let somewhere = || system.unknown.iter().find(|path| keep.contains(*path));
    match erased.find(|path| keep.contains(*path)) {
        Some(kept) => Err(NoInstaller::Kept(kept.clone())),
        None => somewhere().map_or(Ok(()), |kept| Err(NoInstaller::KeptSomewhere(kept.clone()))),
    }
}

/// MiB that the installer itself needs, beside its files.
const OWN_MEMORY: u64 = 400;

/// Whether the installer has enough memory: for its files, and once more for what is unpacked of them.
pub(super) fn has_memory(facts: &Facts, installer: &Installer) -> Result<(), NoInstaller> {
    let least = 2 * (installer.kernel.size + installer.initrd.size) / (1 << 20) + OWN_MEMORY;
    let has = facts.memory / 1024;
    if has < least { Err(NoInstaller::Memory { has, least }) } else { Ok(()) }
}

/// Beside the installer's files: what FAT needs of them, and the order.
const SPARE: u64 = 4 << 20;

/// How the installer is started. By the firmware where it can be: whatever hangs then, the next start is that of the system that is there.
pub(super) fn way(system: &SystemFacts, installer: &Installer) -> Way {
    let Installer { kernel, initrd, loaders: Loaders { shim, grub, mok }, .. } = installer;
    let needed = [kernel, initrd, shim, grub, mok].into_iter().map(|file| file.size).sum::<u64>() + SPARE;
    match &system.esp {
        // The host key goes there with the order.
        Some(esp) if system.uefi && esp.private && esp.free >= needed => Way::BootNext { esp: esp.mounted.clone() },
        _ => Way::Kexec,
    }
}

/// `nvme0n1 (500 GB, serial S4EW)`.
pub(super) fn described(disk: &SystemDisk) -> String {
    let serial = disk.serial.as_ref().map(|serial| format!(", serial {}", visible(serial))).unwrap_or_default();
    format!("{} ({}{serial})", visible(&disk.name), size(disk.size))
}

/// What is on a disk: a text for each partition but hostler's data partition, and whether there is that.
pub(super) fn contents(disk: &SystemDisk) -> (Vec<String>, bool) {
    let shown = |text: &str| visible(text).into_owned();
    let (data, others): (Vec<_>, Vec<_>) = disk.partitions.iter().partition(|partition| partition.name == DATA);
    let others = others.into_iter().map(|partition| {
        let what = [&partition.name, &partition.kind]
            .into_iter()
            .find(|text| !text.is_empty())
            .map_or("a partition".to_owned(), |text| shown(text));
        let at = if partition.mounted.is_empty() { String::new() } else { format!(" at {}", shown(&partition.mounted)) };
        format!("{what}{at} ({})", size(partition.size))
    });
    (others.collect(), !data.is_empty())
}
