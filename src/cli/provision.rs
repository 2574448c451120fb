//! `hostler provision`: a stick that installs the machines of an inventory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use hostler_core::digest::hex;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::install::order::{self, Order};
use hostler_core::inventory::{DiskRule, Inventory, MachineName, Os};
use hostler_core::quantity;
use hostler_core::words::{counted, shell_word};
use ring::rand::{SecureRandom, SystemRandom};

use super::arguments::{InventoryArgument, machine_named};
use super::help;
use crate::home;
use crate::os::image::{self, Image, SYSTEM};
use crate::os::{host_key, stick};
use crate::report::Reporter;
use crate::ssh::{self, Target};
use crate::workstation::packages;
use crate::workstation::task::task;

/// Make a stick that installs Debian on the machines of the inventory
///
/// It installs each machine that has a `mac:` and whose disk is empty, once, and leaves every other machine alone. The host keys of the
/// machines are made now and added to known_hosts. The stick holds their private host keys: erase it afterwards.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[
        ("Make a stick for all machines", "hostler provision --usb stick.img"),
        ("Also erase rainbowdash's disk, except for its data partition", "hostler provision --usb stick.img --wipe rainbowdash"),
    ],
    help::CAREFUL,
))]
pub struct Arguments {
    #[command(flatten)]
    inventory: InventoryArgument,
    /// Path of the image file to write, which is then copied to a USB stick
    #[arg(long, value_name = "FILE")]
    usb: PathBuf,
    /// Erase the disk of this machine, except for hostler's data partition; may be repeated
    #[arg(long, value_name = "MACHINE")]
    wipe: Vec<String>,
}

/// # Errors
/// The inventory does not say how to install machines, or the stick can't be made.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<()> {
    let inventory = arguments.inventory.load()?.inventory;
    let Some(os) = &inventory.os else {
        let hint = "add the section `os:` to the inventory: docs/bare-metal.md has an example";
        return Err(Failure::new(ExitStatus::Usage, "the inventory has no section `os:`, which says how to install machines", hint).into());
    };
    let wipe = arguments.wipe.iter().map(|name| machine_named(&inventory, name)).collect::<Result<Vec<_>>>()?;
    stick::may_replace(&arguments.usb)?;
    let planned = planned(&inventory, os, &wipe)?;
    let events = reporter.events();
    packages::install("making a stick", packages::STICK, &events).await?;
    let image = image::ready(&os.release, &events).await?;
    let order =
        Order::new(random_id()?, order::Image::from(&image), planned.iter().map(|one| (one.mac.clone(), one.order.clone())).collect());
    let what = format!("write the stick's image to {}", arguments.usb.display());
    task(&events, "stick", &what, async |_| stick::write(&arguments.usb, &image, &order).await).await?;
    // Last: a stick that was not made has no machine whose key could be expected.
    for one in &planned {
        ssh::remember(&one.target, &one.key)
            .with_context(|| format!("the host key of {} can't be added to known_hosts", one.order.name))?;
    }
    reporter.result(summary(&arguments.usb, &inventory, &planned)?.trim_end()).await;
    Ok(())
}

/// A machine on the stick.
struct Planned {
    mac: String,
    order: order::Machine,
    target: Target,
    key: russh::keys::PublicKey,
}

fn planned(inventory: &Inventory, os: &Os, wipe: &[MachineName]) -> Result<Vec<Planned>> {
    let folder = home::data()?.join("host-keys").join(&inventory.cluster.name);
    let mut planned = Vec::new();
    for (name, machine) in &inventory.machines {
        let Some(mac) = &machine.mac else {
            if wipe.contains(name) {
                let hint = "add its `mac` to the inventory: the installer shows the MAC address on the machine's screen";
                return Err(Failure::new(
                    ExitStatus::Usage,
                    format!("{name} has no `mac`, so the installer could not identify the machine"),
                    hint,
                )
                .into());
            }
            continue;
        };
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
        let private = host_key::of(&folder, name)?;
        let key = private.public_key().clone();
        if target.host_key.as_ref().is_some_and(|pin| !pin.is(&key)) {
            let hint = format!(
                "remove `hostKey` of {name} from the inventory, or remove its `mac` if the machine is not to be \
                reinstalled"
            );
            return Err(Failure::new(
                ExitStatus::Refused,
                format!(
                    "{name}: `hostKey` in the inventory is not the host key that the new system \
                    gets"
                ),
                hint,
            )
            .into());
        }
        let order = order::Machine {
            name: name.clone(),
            user: target.user.clone(),
            authorized_keys: os.authorized_keys.clone(),
            host_key: host_key::text(&private)?,
            disk: machine.disk.clone().unwrap_or_else(|| os.disk.clone()),
            system_size: os.system_size,
            wipe: wipe.contains(name),
            updates: os.updates,
        };
        planned.push(Planned { mac: mac.clone(), order, target, key });
    }
    if planned.is_empty() {
        let hint = "add `mac` to each machine that is to be installed: its MAC address is on a label of the machine or its box";
        return Err(Failure::new(ExitStatus::Usage, "no machine in the inventory has a `mac`", hint).into());
    }
    Ok(planned)
}

impl From<&Image> for order::Image {
    fn from(image: &Image) -> order::Image {
        order::Image { file: SYSTEM.to_owned(), size: image.known.size, sha256: image.known.sha256.clone() }
    }
}

fn random_id() -> Result<String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).ok().context("the kernel provided no random numbers")?;
    Ok(hex(&bytes))
}

fn summary(file: &Path, inventory: &Inventory, planned: &[Planned]) -> Result<String> {
    let size = quantity::size(file.metadata()?.len());
    let mut text = format!("the stick {} ({size}) installs {}, each of them once:\n", file.display(), counted(planned.len(), "machine"));
    for one in planned {
        let disk = match &one.order.disk {
            DiskRule::Only => "its only disk".to_owned(),
            DiskRule::Serial(serial) => format!("the disk with serial {serial}"),
            DiskRule::Wwid(wwid) => format!("the disk with wwid {wwid}"),
            DiskRule::Path(path) => format!("the disk at {path}"),
        };
        let state = if one.order.wipe { "which is erased, except for a data partition of hostler's" } else { "only if it is empty" };
        let address = inventory.machines.get(&one.order.name).map(|machine| machine.address.to_string()).unwrap_or_default();
        text += &format!("  {}: {} gets {address} from your router; {disk}, {state}\n", one.order.name, one.mac);
    }
    let others: BTreeMap<&MachineName, ()> =
        inventory.machines.iter().filter(|(_, machine)| machine.mac.is_none()).map(|(name, _)| (name, ())).collect();
    for name in others.keys() {
        text += &format!("  {name}: not installed, because it has no `mac`\n");
    }
    let file = file.display().to_string();
    text +=
        &format!("Copy the file to a USB stick, which erases the stick: sudo dd if={} of=/dev/sdX bs=4M conv=fsync\n", shell_word(&file));
    Ok(text)
}
