//! `hostler provision`: a stick that installs the machines of an inventory.

use std::collections::BTreeSet;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::install::order::{self, Order};
use hostler_core::install::stick::{NoStick, choose};
use hostler_core::inventory::os::{is_debians_own, not_a_person};
use hostler_core::inventory::{DiskRule, Inventory, Machine, MachineName, Os};
use hostler_core::quantity;
use hostler_core::words::{and, counted, shell_word};
use russh::keys::PublicKeyBase64;

use super::arguments::{InventoryArgument, machine_named};
use super::help;
use crate::event::Event;
use crate::install::disks;
use crate::os::image::{self, Image};
use crate::os::order::new_id;
use crate::os::{awaited, host_key, stick};
use crate::report::Reporter;
use crate::ssh::{self, Target};
use crate::workstation::packages;
use crate::workstation::task::task;

/// Make a stick that installs Debian on the machines of the inventory
///
/// The stick installs each machine that has a `mac:` and an empty disk, once, and leaves every other machine alone. With names, the stick
/// installs only these machines. The machines' host keys are generated now and added to known_hosts. The stick contains their private host
/// keys: erase it afterwards.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[
        ("Make a stick for all machines", "hostler provision --usb /dev/sdX"),
        ("Make an image file, to copy it to a stick later", "hostler provision --usb stick.img"),
        (
            "Make a stick for one machine that also erases its disk, except for its data partition",
            "hostler provision rainbowdash --usb stick.img --wipe rainbowdash",
        ),
    ],
    help::CAREFUL,
))]
pub struct Arguments {
    /// Names of machines in the inventory [default: all that have a `mac`]
    #[arg(value_name = "MACHINE")]
    machines: Vec<String>,
    #[command(flatten)]
    inventory: InventoryArgument,
    /// USB stick to write to, `/dev/sdX`, or the path of an image file to copy to a stick later
    #[arg(long, value_name = "FILE|DEVICE")]
    usb: PathBuf,
    /// Erase what is on the USB stick
    #[arg(long)]
    wipe_stick: bool,
    /// Erase the disk of this machine, except for hostler's data partition; may be repeated
    #[arg(long, value_name = "MACHINE")]
    wipe: Vec<String>,
}

/// # Errors
/// The inventory does not say how to install machines, or the stick can't be made.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<()> {
    let inventory = arguments.inventory.load()?.inventory;
    let os = section(&inventory)?;
    let named = |given: &[String]| given.iter().map(|name| machine_named(&inventory, name)).collect::<Result<BTreeSet<_>>>();
    let (only, wipe) = (named(&arguments.machines)?, named(&arguments.wipe)?);
    let device = Device::of(&arguments.usb)?;
    let place = match &device {
        Some(device) => {
            device.check(0, arguments.wipe_stick)?;
            device.file.clone()
        }
        None if arguments.wipe_stick => {
            let message = format!("{} is not a device, so there is nothing for `--wipe-stick` to erase", arguments.usb.display());
            return Err(Failure::new(ExitStatus::Usage, message, "pass `--usb /dev/sdX`, or omit `--wipe-stick`").into());
        }
        None => stick::may_replace(&arguments.usb)?,
    };
    let planned = planned(&inventory, os, &chosen(&inventory, &only, &wipe)?, &wipe)?;
    let events = reporter.events();
    if let Some(line) = locked_out(&os.authorized_keys, &planned).await {
        events.send(Event::Warning { line });
    }
    packages::install("making a stick", packages::STICK, &events).await?;
    let image = image::ready(os.release, &events).await?;
    image.warn_of_age(os.release, &events);
    let known = order::Image::from(&image);
    let order = Order::new(new_id(&known)?, known, planned.iter().map(|one| (one.mac.clone(), one.order.clone())).collect());
    let what = format!("write the stick to {}, with the image of {}", arguments.usb.display(), image.date());
    let size = task(&events, "stick", &what, async |_| match &device {
        Some(device) => device.write(&image, &order, arguments.wipe_stick).await,
        None => {
            stick::write(&place, &image, &order).await?;
            Ok(place.metadata()?.len())
        }
    })
    .await?;
    let folder = host_key::folder(&inventory.cluster.name)?;
    // Last: a stick that was not made has no machine whose key could be expected.
    for one in &planned {
        ssh::remember(&one.target, &one.key)
            .with_context(|| format!("the host key of {} can't be added to known_hosts", one.order.name))?;
        awaited::expect(&folder, &one.order.name, &format!("Debian {} on {}", os.release, disk(&one.order.disk)))?;
    }
    reporter.result(summary(&arguments.usb, size, device.is_some(), &inventory, &planned).trim_end()).await;
    Ok(())
}

/// How the inventory says to install machines.
///
/// # Errors
/// It does not.
pub fn section(inventory: &Inventory) -> Result<&Os> {
    inventory.os.as_ref().ok_or_else(|| {
        let hint = "add the section `os:` to the inventory: docs/bare-metal.md has an example";
        Failure::new(ExitStatus::Usage, "the inventory has no section `os:`, which says how to install machines", hint).into()
    })
}

/// The USB stick that was named.
struct Device {
    file: PathBuf,
    /// The kernel's name.
    name: String,
}

impl Device {
    /// `None`: it is not a device.
    ///
    /// # Errors
    /// There is no such device.
    fn of(usb: &Path) -> Result<Option<Device>> {
        let kind = usb.metadata().map(|metadata| metadata.file_type());
        if kind.is_err() && usb.starts_with("/dev") && !usb.starts_with("/dev/shm") {
            let message = format!("there is no device {}", usb.display());
            return Err(Failure::new(ExitStatus::Usage, message, "plug the stick in; `lsblk` lists all disks").into());
        }
        if !kind.is_ok_and(|kind| kind.is_block_device()) {
            return Ok(None);
        }
        // A link, as those in /dev/disk/by-id are.
        let file = usb.canonicalize().with_context(|| format!("{} can't be read", usb.display()))?;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Some(Device { file, name }))
    }

    /// Refuses every disk that is not a free stick. `least`: bytes.
    fn check(&self, least: u64, erase: bool) -> Result<()> {
        let disks = disks::all("")?;
        let erase = erase || stick::is_stick(&self.file);
        let refused = |why: &NoStick| {
            let hint = match why {
                NoStick::Holds(..) => "if nothing on it is needed, pass `--wipe-stick`",
                _ => "`lsblk --nodeps --output NAME,SIZE,MODEL,TRAN` lists all disks",
            };
            Failure::new(ExitStatus::Refused, why.to_string(), hint)
        };
        // What is on it is another question: it can't be read without permission.
        choose(&disks, &self.name, least, true).map_err(|why| refused(&why))?;
        let open = std::fs::File::options().write(true).open(&self.file);
        if open.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied) {
            let file = self.file.display();
            let hint = format!("run `sudo chown $USER {file}`, which lasts until the stick is unplugged");
            return Err(Failure::new(ExitStatus::Usage, format!("you don't have permission to write to {file}"), hint).into());
        }
        choose(&disks, &self.name, least, erase).map_err(|why| refused(&why))?;
        Ok(())
    }

    /// Writes the stick, and returns its size in bytes.
    async fn write(&self, image: &Image, order: &Order, erase: bool) -> Result<u64> {
        let folder = tempfile::tempdir_in(&image.folder).context("a temporary folder can't be created in the cache")?;
        let file = folder.path().join("stick.img");
        stick::write(&file, image, order).await?;
        let size = file.metadata()?.len();
        // Minutes have passed: another one may have the name now.
        self.check(size, erase)?;
        let device = self.file.clone();
        tokio::task::spawn_blocking(move || stick::copy(&file, &device)).await??;
        Ok(size)
    }
}

/// A machine on the stick.
struct Planned {
    mac: String,
    order: order::Machine,
    target: Target,
    key: russh::keys::PublicKey,
}

/// The machines that the stick installs, with their MAC addresses. `only`: those that were named, if any were.
///
/// # Errors
/// One that was named can't be installed, or is to be wiped but not installed.
fn chosen<'a>(
    inventory: &'a Inventory,
    only: &BTreeSet<MachineName>,
    wipe: &BTreeSet<MachineName>,
) -> Result<Vec<(&'a MachineName, &'a Machine, &'a str)>> {
    if let Some(name) = wipe.iter().find(|name| !only.is_empty() && !only.contains(*name)) {
        let message = format!("`--wipe {name}` names a machine that the stick is not for");
        return Err(
            Failure::new(ExitStatus::Usage, message, format!("add {name} to the names of machines, or omit `--wipe {name}`")).into()
        );
    }
    if let Some(name) = only.union(wipe).find(|name| inventory.machines.get(*name).is_some_and(|machine| machine.mac.is_none())) {
        let message = format!("{name} has no `mac`, so the installer could not identify the machine");
        let hint = "add its `mac` to the inventory: the installer shows the MAC address on the machine's screen";
        return Err(Failure::new(ExitStatus::Usage, message, hint).into());
    }
    let all = inventory.machines.iter().filter(|(name, _)| only.is_empty() || only.contains(*name));
    Ok(all.filter_map(|(name, machine)| Some((name, machine, machine.mac.as_deref()?))).collect())
}

/// The user that an installed system gets, and hostler logs in as. It may come from ~/.ssh/config, which the inventory's own check does not see.
///
/// # Errors
/// Debian has one of that name.
pub fn installed_user(name: &MachineName, target: &Target) -> Result<String> {
    if is_debians_own(&target.user) {
        let hint = format!("set `user` of {name} to a different name, or to root");
        return Err(Failure::new(ExitStatus::Usage, format!("{name}: {}", not_a_person(&target.user)), hint).into());
    }
    Ok(target.user.clone())
}

fn planned(
    inventory: &Inventory,
    os: &Os,
    chosen: &[(&MachineName, &Machine, &str)],
    wipe: &BTreeSet<MachineName>,
) -> Result<Vec<Planned>> {
    let folder = host_key::folder(&inventory.cluster.name)?;
    let mut planned = Vec::new();
    for &(name, machine, mac) in chosen {
        let target = Target::new(name.as_str(), &machine.address.to_string(), &machine.connection)?;
        if let Some(why) = &target.misconfigured {
            return Err(Failure::new(
                ExitStatus::Usage,
                format!("{name}: {why}"),
                "correct its SSH settings in the inventory or in \
                ~/.ssh/config",
            )
            .into());
        }
        let user = installed_user(name, &target)?;
        let private = host_key::of(&folder, name)?;
        let key = private.public_key().clone();
        if target.host_key.as_ref().is_some_and(|pin| !pin.is(&key)) {
            let hint = format!(
                "remove `hostKey` of {name} from the inventory or, if it is not to be installed, pass the names of the other machines: \
                 `hostler provision MACHINE... --usb ...`"
            );
            return Err(Failure::new(
                ExitStatus::Refused,
                format!("{name}: `hostKey` in the inventory does not match the host key that the new system will have"),
                hint,
            )
            .into());
        }
        let order = order::Machine {
            name: name.clone(),
            user,
            authorized_keys: os.authorized_keys.clone(),
            host_key: host_key::text(&private)?,
            disk: machine.disk.clone().unwrap_or_else(|| os.disk.clone()),
            system_size: os.system_size,
            wipe: wipe.contains(name),
            updates: os.updates,
            network: order::Network::of(&os.network, machine.address),
        };
        planned.push(Planned { mac: mac.to_owned(), order, target, key });
    }
    Ok(planned)
}

/// A warning, if this computer has none of the keys that can log in: those of an example, for instance.
async fn locked_out(authorized: &[String], planned: &[Planned]) -> Option<String> {
    let mut without = Vec::new();
    for one in planned {
        let own: Vec<String> = ssh::own_keys(&one.target).await.iter().map(PublicKeyBase64::public_key_base64).collect();
        if !authorized.iter().any(|line| line.split(' ').nth(1).is_some_and(|body| own.iter().any(|key| key == body))) {
            without.push(one.order.name.to_string());
        }
    }
    let which = and(&without);
    (!without.is_empty()).then(|| format!("this computer has none of the keys in `authorizedKeys`, so hostler could not log in to {which}"))
}

fn disk(rule: &DiskRule) -> String {
    match rule {
        DiskRule::Only => "its only disk".to_owned(),
        DiskRule::Serial(serial) => format!("the disk with serial {serial}"),
        DiskRule::Wwid(wwid) => format!("the disk with wwid {wwid}"),
        DiskRule::Path(path) => format!("the disk at {path}"),
    }
}

fn summary(file: &Path, size: u64, is_device: bool, inventory: &Inventory, planned: &[Planned]) -> String {
    let size = quantity::size(size);
    let shown = file.display();
    let mut text = match planned {
        [] => format!(
            "the stick {shown} ({size}) installs nothing, because no machine in the inventory has a `mac`: a machine that is started from it \
             shows its MAC addresses and disks\n"
        ),
        [_] => format!("the stick {shown} ({size}) installs 1 machine, once:\n"),
        several => format!("the stick {shown} ({size}) installs {}, each of them once:\n", counted(several.len(), "machine")),
    };
    for one in planned {
        let disk = disk(&one.order.disk);
        let state = if one.order.wipe { "which is erased, except for hostler's data partition" } else { "only if it is empty" };
        let address = inventory.machines.get(&one.order.name).map(|machine| machine.address.to_string()).unwrap_or_default();
        let network = match one.order.network {
            order::Network::Dhcp => format!("your router must assign {address} to the machine"),
            order::Network::Own { .. } => format!("the machine sets its address {address}, which your router must assign to no other"),
        };
        text += &format!("  {} ({}): on {disk}, {state}; {network}\n", one.order.name, one.mac);
    }
    let is_planned = |name: &MachineName| planned.iter().any(|one| one.order.name == *name);
    for (name, machine) in inventory.machines.iter().filter(|(name, _)| !is_planned(name)) {
        text += &match machine.mac {
            None => format!("  {name}: not installed, because it has no `mac`\n"),
            Some(_) => format!("  {name}: not installed, because it was not named\n"),
        };
    }
    let file = file.display().to_string();
    if !is_device {
        let copy = format!("sudo dd if={} of=/dev/sdX bs=4M conv=fsync", shell_word(&file));
        text += &format!("Copy the file to a USB stick, which erases the stick: {copy}\n");
    }
    let (holder, it) = if is_device { ("The stick holds", "it") } else { ("The file and the stick hold", "both") };
    if !planned.is_empty() {
        text += &format!("{holder} the machines' private host keys: erase {it} when all machines are installed\n");
    }
    text
}
