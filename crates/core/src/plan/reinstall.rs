//! `rebuild --os`: a machine leaves the cluster, gets a new system on the disk of the old one, and joins again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

use super::goal::plan_for_machine;
use super::hint::Hint;
use super::leave::{facts_after_removal, plan_removal};
use super::planner::Planner;
use super::refusal::Why;
use super::wipe::to_wipe;
use super::{Plan, Warning, check, graph, wanted};
use crate::action::reinstall::{Reinstall, SentFile, StageInstaller};
use crate::arch::Arch;
use crate::facts::{Facts, Observation};
use crate::install::disk::{self, Wish, choose};
use crate::install::layout::{DATA, installed_name};
use crate::install::order::{self, Order};
use crate::inventory::{DiskRule, Inventory, MachineName, Os};
use crate::manifest::Manifests;
use crate::quantity::size;
use crate::step::{Stage, StepId, StepKind};
use crate::visible::visible;

/// What is installed, made before the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Of the [order](Order::id).
    pub id: String,
    pub image: order::Image,
    pub kernel: SentFile,
    /// The initrd with the image, without the order.
    pub installer: SentFile,
    /// Who logs in: the same as now.
    pub user: String,
    /// Fingerprints, `SHA256:...`, of the ed25519 host keys by which this computer knows the machine.
    pub host_keys: BTreeSet<String>,
}

/// Why a system can't be installed anew. Nothing is changed then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoReinstall {
    Architecture,
    /// What its system is on can't be found out, or it is several disks.
    SystemDisk,
    Legacy,
    /// Of LVM, RAID or LUKS below the system.
    Layered,
    Disk(disk::Refusal),
    /// There is no host key of type ed25519, or this computer does not know it.
    HostKey,
    /// `mac` of the inventory is not written, and it has several network cards.
    NetworkCard,
    /// Something that the user keeps.
    Kept(String),
    /// MB.
    Memory {
        has: u64,
        least: u64,
    },
}

impl fmt::Display for NoReinstall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoReinstall::Architecture => f.write_str("hostler can install a system only on machines with an x86-64 processor"),
            NoReinstall::SystemDisk => f.write_str("hostler can't tell which single disk its system is on"),
            NoReinstall::Legacy => f.write_str("it was not started in UEFI mode, and hostler installs systems for UEFI only"),
            NoReinstall::Layered => f.write_str("its system is on LVM, RAID or LUKS, which may span other disks"),
            NoReinstall::Disk(why) => write!(f, "{why}"),
            NoReinstall::HostKey => f.write_str("this computer does not know its ed25519 host key, which the new system keeps"),
            NoReinstall::NetworkCard => f.write_str("it has several network cards, and the inventory has no `mac` for it"),
            NoReinstall::Kept(path) => write!(f, "`keep:` lists {}, but it is on a partition that is erased", visible(path)),
            NoReinstall::Memory { has, least } => write!(f, "it has {has} MB of memory, and the installer needs {least} MB"),
        }
    }
}

impl NoReinstall {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            NoReinstall::Architecture => "install its system by hand, then run `hostler rebuild` without `--os`",
            NoReinstall::SystemDisk | NoReinstall::Legacy | NoReinstall::Memory { .. } => {
                "install it with a stick, `hostler provision`, after `hostler remove`"
            }
            NoReinstall::Layered => "if everything on this disk may be erased, write `disk: {serial: ...}` at the machine in the inventory",
            NoReinstall::Disk(_) => {
                "`rebuild --os` installs the system on the disk that it is on: correct `disk` or `systemSize` in the inventory"
            }
            NoReinstall::HostKey => {
                "run `ssh-keygen -A` on the machine if it has no ed25519 key; then write the fingerprint of \
                 /etc/ssh/ssh_host_ed25519_key.pub as `hostKey` into the inventory"
            }
            NoReinstall::NetworkCard => "write `mac:` of the network card that has its address into the inventory",
            NoReinstall::Kept(_) => "move those files to a data partition of hostler's (/srv) or to another disk, and correct `keep:`",
        }
    }
}

/// MiB that the installer itself needs, beside its files.
const OWN_MEMORY: u64 = 400;

/// The plan: out of the cluster, a new system, and in again. Where the order has been carried out, only the last.
pub(super) fn plan(
    inventory: &Inventory,
    manifests: &Manifests,
    seen: &BTreeMap<MachineName, Observation>,
    name: &MachineName,
    installation: &Installation,
    force_after: Option<u64>,
) -> Result<Plan> {
    let mut planner = Planner::new(inventory, manifests, seen);
    planner.force_after = force_after;
    let facts = planner.facts.get(name).copied();
    let id = order::short_id(&installation.id);
    if facts.and_then(|facts| facts.system.as_ref()).is_some_and(|system| system.partition == installed_name(id)) {
        return plan_for_machine(inventory, manifests, seen, name);
    }
    let os = inventory.os.as_ref().context("the inventory has no section `os:`")?;
    let hint = check::take_over(&planner, name);
    if facts.is_none_or(|facts| !check::other_cluster(&mut planner, name, facts, hint)) {
        stage(&mut planner, name, os, installation);
        // A machine that is in no cluster, where there is none, has nothing to leave.
        let alone = facts.is_some_and(|facts| !to_wipe(facts)) && !planner.cluster_exists() && planner.api_via.is_none();
        if !alone {
            plan_removal(&mut planner, seen, name, false);
        }
    }
    if !planner.refusals.is_empty() {
        return Ok(Plan { steps: Vec::new(), ..planner.finish() });
    }
    let before = planner.all();
    if let Some(facts) = facts {
        let action = reinstall(facts, os, id);
        let reason = format!("you asked for a new system on {name}");
        planner.step(StepKind::Reinstall.of(name), name, reason, action, before.into_iter().map(Into::into));
    }
    let mut whole = planner.finish();
    let staged = StepKind::StageInstaller.of(name);
    // A machine that can't start the installer does not even begin to leave.
    for step in whole.steps.iter_mut().filter(|step| step.id != staged) {
        step.needs.insert(staged.clone());
    }
    let first: BTreeSet<StepId> = whole.steps.iter().map(|step| step.id.clone()).collect();
    let mut back = plan_for_machine(inventory, manifests, &facts_after(inventory, seen, name, os), name)?;
    if !back.refusals.is_empty() {
        return Ok(Plan { steps: Vec::new(), ..back });
    }
    for step in &mut back.steps {
        if step.machine == *name || step.stage == Stage::Verify {
            step.needs.extend(first.iter().cloned());
        }
    }
    whole.steps.extend(back.steps);
    graph::reduce(&mut whole.steps);
    graph::order(&mut whole.steps);
    whole.warnings.extend(back.warnings);
    let address = inventory.machines.get(name).map(|machine| machine.address.to_string()).unwrap_or_default();
    let text = format!("the new system asks for its address by DHCP: the router must give it {address}");
    whole.warnings.push(Warning { machine: Some(name.clone()), text });
    Ok(whole)
}

/// Brings the installer to the machine, or refuses.
fn stage<'a>(planner: &mut Planner<'a>, name: &'a MachineName, os: &Os, installation: &Installation) {
    let Some(facts) = planner.facts.get(name).copied() else { return };
    match order_for(planner.inventory, name, facts, os, installation) {
        Ok((order, host_key)) => {
            let Installation { kernel, installer, .. } = installation.clone();
            let action = StageInstaller { id: order.short_id().to_owned(), kernel, installer, order: order.to_json(), host_key };
            planner.step(StepKind::StageInstaller.of(name), name, "the machine installs itself", action, []);
        }
        Err(why) => planner.refuse(Some(name), Why::NoReinstall(why.clone()), Hint::Reinstall(why)),
    }
}

/// The order, without its host key, and the public part of that.
fn order_for(
    inventory: &Inventory,
    name: &MachineName,
    facts: &Facts,
    os: &Os,
    installation: &Installation,
) -> Result<(Order, String), NoReinstall> {
    if facts.arch != Some(Arch::Amd64) {
        return Err(NoReinstall::Architecture);
    }
    let system = facts.system.as_ref().ok_or(NoReinstall::SystemDisk)?;
    let [disk] = system.disks.as_slice() else { return Err(NoReinstall::SystemDisk) };
    if !system.uefi {
        return Err(NoReinstall::Legacy);
    }
    let machine = inventory.machines.get(name);
    let written = machine.and_then(|machine| machine.disk.clone()).unwrap_or_else(|| os.disk.clone());
    if system.layered && written == DiskRule::Only {
        return Err(NoReinstall::Layered);
    }
    let found = disk.as_found();
    // `only` would be a guess: there may be other disks.
    let rule = if written == DiskRule::Only { found.own_rule().ok_or(NoReinstall::SystemDisk)? } else { written };
    let wish = Wish { rule: rule.clone(), system_size: os.system_size, wipe: true };
    choose(&[found], &wish).map_err(NoReinstall::Disk)?;
    if fingerprint(&system.host_key).is_none_or(|fingerprint| !installation.host_keys.contains(&fingerprint)) {
        return Err(NoReinstall::HostKey);
    }
    let mac = match (machine.and_then(|machine| machine.mac.clone()), facts.macs.len()) {
        (Some(mac), _) => mac,
        (None, 1) => facts.macs.first().cloned().unwrap_or_default(),
        (None, _) => return Err(NoReinstall::NetworkCard),
    };
    let keep = machine.map(|machine| machine.keep.as_slice()).unwrap_or_default();
    if let Some(kept) = keep.iter().find(|kept| system.erased.contains(*kept)) {
        return Err(NoReinstall::Kept(kept.clone()));
    }
    // The installer's files, and once more what is unpacked of them.
    let least = 2 * (installation.kernel.size + installation.installer.size) / (1 << 20) + OWN_MEMORY;
    if facts.memory / 1024 < least {
        return Err(NoReinstall::Memory { has: facts.memory / 1024, least });
    }
    let machine = order::Machine {
        name: name.clone(),
        user: installation.user.clone(),
        authorized_keys: os.authorized_keys.clone(),
        host_key: String::new(),
        disk: rule,
        system_size: os.system_size,
        wipe: true,
        updates: os.updates,
    };
    let order = Order::new(installation.id.clone(), installation.image.clone(), BTreeMap::from([(mac, machine)]));
    Ok((order, system.host_key.clone()))
}

/// `SHA256:...` of `ssh-ed25519 AAAA...`, as OpenSSH shows it.
fn fingerprint(key: &str) -> Option<String> {
    let body = key.strip_prefix("ssh-ed25519 ")?;
    Some(format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(Sha256::digest(BASE64_STANDARD.decode(body).ok()?))))
}

fn reinstall(facts: &Facts, os: &Os, id: &str) -> Reinstall {
    let disk = facts.system.as_ref().and_then(|system| system.disks.first()).cloned().unwrap_or_default();
    let serial = disk.serial.as_ref().map(|serial| format!(", serial {}", visible(serial))).unwrap_or_default();
    let (kept, erased): (Vec<_>, Vec<_>) = disk.partitions.iter().partition(|partition| partition.name == DATA);
    let shown = |text: &str| visible(text).into_owned();
    let erased = erased.into_iter().map(|partition| {
        let what = [&partition.name, &partition.kind]
            .into_iter()
            .find(|text| !text.is_empty())
            .map_or("a partition".to_owned(), |text| shown(text));
        let at = if partition.mounted.is_empty() { String::new() } else { format!(" at {}", shown(&partition.mounted)) };
        format!("{what}{at} ({})", size(partition.size))
    });
    Reinstall {
        id: id.to_owned(),
        what: format!("Debian {} on {} ({}{serial})", os.release, shown(&disk.name), size(disk.size)),
        erased: erased.collect(),
        keeps_data: !kept.is_empty(),
    }
}

/// The facts as they will be when the machine has left, and has its new system.
fn facts_after(
    inventory: &Inventory,
    seen: &BTreeMap<MachineName, Observation>,
    name: &MachineName,
    os: &Os,
) -> BTreeMap<MachineName, Observation> {
    let mut seen = facts_after_removal(inventory, seen, name);
    if let Some(Observation::Facts(facts)) = seen.get_mut(name) {
        **facts = fresh(facts, name, os.system_size, &os.release);
    }
    seen
}

/// A machine as the installer leaves it: its hardware, and what every image has. `system_size`: bytes.
pub fn fresh(facts: &Facts, name: &MachineName, system_size: u64, release: &str) -> Facts {
    let programs = [wanted::PACKAGES, wanted::VIP_PACKAGES, wanted::NFS_PACKAGES];
    let room = system_size / 1024;
    Facts {
        os: "debian".to_owned(),
        os_name: format!("Debian {release}"),
        arch: facts.arch,
        machine: facts.machine.clone(),
        hostname: name.to_string(),
        hostname_at_boot: name.to_string(),
        cpus: facts.cpus,
        memory: facts.memory,
        memory_available: facts.memory,
        disk_free: room,
        disk_size: room,
        temperature: facts.temperature,
        clock: facts.clock,
        clock_ahead: facts.clock_ahead,
        clock_synchronized: true,
        systemd: true,
        macs: facts.macs.clone(),
        addresses: facts.addresses.clone(),
        networks: facts.networks.clone(),
        programs: programs.into_iter().flatten().map(|(program, _)| (*program).to_owned()).collect(),
        // For the plan, none of them is set yet.
        sysctls: facts.sysctls.keys().map(|key| (key.clone(), "0".to_owned())).collect(),
        nameservers: facts.nameservers.clone(),
        resolved_nameservers: facts.resolved_nameservers.clone(),
        shares: facts.shares.clone(),
        render_nodes: facts.render_nodes.clone(),
        time_zone: facts.time_zone.clone(),
        disks: facts.disks.clone(),
        fsync: facts.fsync,
        ..Facts::default()
    }
}
