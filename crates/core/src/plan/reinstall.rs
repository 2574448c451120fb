//! `rebuild --os`: a machine leaves the cluster, gets a new system on the disk of the old one, and joins again. With `--all` one machine after the
//! other.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

use super::goal::plan_for_machine;
use super::hint::Hint;
use super::leave::{away, facts_after_removal, plan_removal};
use super::planner::Planner;
use super::refusal::Why;
use super::system_disk::{Installer, NoInstaller, contents, described, has_memory, has_room, keeps, system, target, way};
use super::turn::let_films_end;
use super::wipe::to_wipe;
use super::{Plan, Warning, check, graph, wanted, workload};
use crate::action::reinstall::{Reinstall, Way};
use crate::arch::Arch;
use crate::facts::{Facts, Observation};
use crate::install::layout::{DATA_FOLDER, installed_name, order_of};
use crate::install::order::{self, Order};
use crate::inventory::{Inventory, MachineName, Network, Os, Release, Role};
use crate::manifest::Manifests;
use crate::protocol::{installer, path};
use crate::record::InProgress;
use crate::step::{Need, Stage, StepId, StepKind};
use crate::words::and;

/// What is installed, made before the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    pub installer: Installer,
    pub image: order::Image,
    /// The day on which that was built: `2026-03-01`.
    pub built: String,
    /// Who logs in: the same as now.
    pub user: String,
    /// Fingerprints, `SHA256:...`, of the ed25519 host keys by which this computer knows the machine.
    pub host_keys: BTreeSet<String>,
    /// The public key, `ssh-ed25519 AAAA...`, that the machine accepts of this computer now, if it is a key.
    pub login_key: Option<String>,
}

/// How machines leave for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaving {
    /// Films that are being encoded are let go.
    pub now: bool,
    /// Seconds after which no PodDisruptionBudget keeps the pods there; `None`: never.
    pub force_after: Option<u64>,
}

/// Whether the system of the machine is what this installation is about: installed by it, or by an earlier run for which the machine has not
/// joined since. Then nothing is installed.
fn is_installed(facts: &Facts, installation: &Installation) -> bool {
    let Some(system) = &facts.system else { return false };
    let by_this = system.partition == installed_name(order::short_id(&installation.installer.id));
    by_this || facts.in_progress.contains(&InProgress::Reinstall) && is_of_image(facts, installation)
}

/// Whether the machine's system was made from the image.
fn is_of_image(facts: &Facts, installation: &Installation) -> bool {
    let order = facts.system.as_ref().and_then(|system| order_of(&system.partition));
    order.is_some_and(|order| installation.image.is_of(order))
}

/// The plan: out of the cluster, a new system, and in again. Where the order has been carried out, only the last.
pub(super) fn plan(
    inventory: &Inventory,
    manifests: &Manifests,
    seen: &BTreeMap<MachineName, Observation>,
    name: &MachineName,
    installation: &Installation,
    leaving: Leaving,
) -> Result<Plan> {
    let mut planner = Planner::new(inventory, manifests, seen);
    (planner.force_after, planner.now) = (leaving.force_after, leaving.now);
    let facts = planner.facts.get(name).copied();
    if facts.is_some_and(|facts| is_installed(facts, installation)) {
        return plan_for_machine(inventory, manifests, seen, name);
    }
    let os = inventory.os.as_ref().context("the inventory has no section `os:`")?;
    let Some(facts) = facts else {
        return Ok(needs_machine(planner, name));
    };
    warn_of_snapshots(&mut planner, name, facts, false);
    warn_of_named(&mut planner, name, facts);
    let hint = check::take_over(&planner, name);
    if !check::other_cluster(&mut planner, name, facts, hint) {
        stage(&mut planner, name, os, installation);
        leave(&mut planner, seen, name);
    }
    if !planner.refusals.is_empty() {
        return Ok(Plan { steps: Vec::new(), ..planner.finish() });
    }
    let before = planner.all();
    let action = reinstall(facts, os, installation);
    let reason = format!("you asked for a new system on {name}");
    planner.step(StepKind::Reinstall.of(name), name, reason, action, before.into_iter().map(Into::into));
    let mut whole = after_staging(planner, name);
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
    let text = match os.network {
        Network::Dhcp => format!("the new system gets its address by DHCP: the router must assign it {address}"),
        Network::Own(_) => format!("the new system sets its address {address} itself: the router must assign it to no other machine"),
    };
    whole.warnings.push(Warning { machine: Some(name.clone()), text });
    Ok(whole)
}

/// The steps by which the machine leaves the cluster, after its films. One that is in no cluster, where there is none, has nothing to leave.
pub(super) fn leave<'a>(planner: &mut Planner<'a>, seen: &'a BTreeMap<MachineName, Observation>, name: &'a MachineName) {
    let facts = planner.facts.get(name).copied();
    if facts.is_some_and(|facts| !to_wipe(facts)) && !planner.cluster_exists() && planner.api_via.is_none() {
        return;
    }
    plan_removal(planner, seen, name, false);
    let api_via = planner.trusted.answering().map(|api_via| api_via.machine).find(|api_via| *api_via != name);
    if let (Some(api_via), true) = (api_via, planner.has_step(&StepKind::Drain.of(name))) {
        let_films_end(planner, api_via, name, &format!("{name} is about to leave the cluster"), Vec::<Need>::new());
    }
}

/// Nobody installs or erases a machine that can't be reached.
pub(super) fn needs_machine<'a>(mut planner: Planner<'a>, name: &'a MachineName) -> Plan {
    planner.refuse(Some(name), Why::Unreachable, Hint::TurnOn(vec![name.clone()]));
    Plan { steps: Vec::new(), ..planner.finish() }
}

/// Paths on machines that the inventory names. Only the machine knows what they are on, and whether that goes with its system: it is asked.
pub fn named_paths(inventory: &Inventory) -> Vec<String> {
    let folders = inventory.transcode.iter().flat_map(workload::folders).map(|(_, path)| path);
    let own = wanted::own_resolv_conf(inventory).filter(|path| path.starts_with('/'));
    let named = folders.chain([inventory.snapshots.folder()]).chain(own);
    named.map(str::to_owned).collect()
}

/// Whether the path goes with the system of the machine.
fn goes(facts: &Facts, path: &str) -> bool {
    facts.system.as_ref().is_some_and(|system| system.erased.contains(path))
}

/// Regular snapshots that go with the system, or with the whole disk if `all` of it is erased, unless they are on a server.
pub(super) fn warn_of_snapshots<'a>(planner: &mut Planner<'a>, name: &'a MachineName, facts: &Facts, all: bool) {
    let snapshots = &planner.inventory.snapshots;
    let folder = snapshots.folder();
    let on_data = facts.system.as_ref().is_some_and(|system| system.on_data.contains(folder));
    let stays = !(goes(facts, folder) || all && on_data);
    if facts.snapshot.is_none() || stays || facts.snapshot_copied >= facts.snapshot {
        return;
    }
    let copies = "`hostler snapshot list` shows those on this computer";
    let erased = format!("the snapshots in {folder} will be erased");
    let text = match snapshots.server() {
        Some(share) => format!("{erased}, and the newest one has not been copied to {share} yet; {copies}"),
        None if all => format!("{erased}; {copies}; to keep them, set `snapshots.to` to a share"),
        None => format!(
            "{erased}; {copies}; to keep them, set `snapshots.to` to a share, or to a folder of hostler's data partition ({DATA_FOLDER})"
        ),
    };
    planner.warn(Some(name), text);
}

/// What else the inventory names on the machine, and the new system does not have.
fn warn_of_named<'a>(planner: &mut Planner<'a>, name: &'a MachineName, facts: &Facts) {
    let snapshots = planner.inventory.snapshots.folder();
    let own = wanted::own_resolv_conf(planner.inventory).filter(|_| facts.own_nameservers.is_none());
    let mut lost = named_paths(planner.inventory);
    lost.retain(|path| path != snapshots && (goes(facts, path) || own == Some(path.as_str())) && !EVERY_SYSTEM.contains(&path.as_str()));
    if !lost.is_empty() {
        let text = format!(
            "the new system will not have {}, which the inventory names: create {} again once the system is installed, then run \
             `hostler up`",
            and(&lost),
            if lost.len() == 1 { "it" } else { "them" }
        );
        planner.warn(Some(name), text);
    }
}

/// Files with nameservers that every system has.
const EVERY_SYSTEM: [&str; 2] = [path::RESOLV_CONF, path::RESOLVED_CONFIG];

/// The plan in which a machine that can't start the installer does not even begin to leave, and its pods stay until its films have ended.
pub(super) fn after_staging(planner: Planner, name: &MachineName) -> Plan {
    let mut plan = planner.finish();
    let (staged, films) = (StepKind::StageInstaller.of(name), StepKind::LetFilmsEnd.of(name));
    let has_films = plan.steps.iter().any(|step| step.id == films);
    for step in plan.steps.iter_mut().filter(|step| step.id != staged) {
        step.needs.insert(staged.clone());
        if has_films && step.id != films {
            step.needs.insert(films.clone());
        }
    }
    graph::reduce(&mut plan.steps);
    graph::order(&mut plan.steps);
    plan
}

/// Brings the installer to the machine, or refuses.
fn stage<'a>(planner: &mut Planner<'a>, name: &'a MachineName, os: &Os, installation: &Installation) {
    let Some(facts) = planner.facts.get(name).copied() else { return };
    match order_for(planner.inventory, name, facts, os, installation) {
        Ok((order, host_key)) => {
            let way = own_way(facts, installation);
            let action = installation.installer.stage(way, order.to_json(), installer::ORDER, Some(host_key));
            planner.step(StepKind::StageInstaller.of(name), name, "the installer will run on the machine itself", action, []);
        }
        Err(why) => planner.refuse(Some(name), Why::NoReinstall(why.clone()), Hint::Reinstall { machine: name.clone(), why }),
    }
}

/// The order, without its host key, and the public part of that.
fn order_for(
    inventory: &Inventory,
    name: &MachineName,
    facts: &Facts,
    os: &Os,
    installation: &Installation,
) -> Result<(Order, String), NoInstaller> {
    let target = target(inventory, name, facts, os.system_size)?;
    let (system, disk) = system(facts)?;
    if !system.uefi {
        return Err(NoInstaller::Legacy);
    }
    has_room(disk, os.system_size)?;
    if fingerprint(&system.host_key).is_none_or(|fingerprint| !installation.host_keys.contains(&fingerprint)) {
        return Err(NoInstaller::HostKey);
    }
    // A line may have a comment behind the key.
    let same = |line: &&String, key: &str| line.split_whitespace().take(2).eq(key.split_whitespace());
    if installation.login_key.as_ref().is_none_or(|key| !os.authorized_keys.iter().any(|line| same(&line, key))) {
        return Err(NoInstaller::LoginKey);
    }
    keeps(inventory, name, system, system.erased.iter())?;
    has_memory(facts, &installation.installer)?;
    let machine = order::Machine {
        name: name.clone(),
        user: installation.user.clone(),
        authorized_keys: os.authorized_keys.clone(),
        host_key: String::new(),
        disk: target.rule,
        system_size: os.system_size,
        wipe: true,
        updates: os.updates,
        network: inventory.machines.get(name).map_or(order::Network::Dhcp, |machine| order::Network::of(&os.network, machine.address)),
    };
    let order = Order::new(installation.installer.id.clone(), installation.image.clone(), BTreeMap::from([(target.mac, machine)]));
    Ok((order, system.host_key.clone()))
}

/// `SHA256:...` of `ssh-ed25519 AAAA...`, as OpenSSH shows it.
fn fingerprint(key: &str) -> Option<String> {
    let body = key.strip_prefix("ssh-ed25519 ")?;
    Some(format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(Sha256::digest(BASE64_STANDARD.decode(body).ok()?))))
}

fn own_way(facts: &Facts, installation: &Installation) -> Way {
    facts.system.as_ref().map_or(Way::Kexec, |system| way(system, &installation.installer))
}

fn reinstall(facts: &Facts, os: &Os, installation: &Installation) -> Reinstall {
    let disk = facts.system.as_ref().and_then(|system| system.disks.first()).cloned().unwrap_or_default();
    let (erased, keeps_data) = contents(&disk);
    let id = order::short_id(&installation.installer.id).to_owned();
    let what = format!("Debian {} (image of {}) on {}", os.release, installation.built, described(&disk));
    Reinstall { id, way: own_way(facts, installation), what, erased, keeps_data }
}

/// `rebuild --os --all`: the plan for the next machine whose system is not of the image. The machines that have it are brought in order before.
pub(super) fn plan_all(
    inventory: &Inventory,
    manifests: &Manifests,
    seen: &BTreeMap<MachineName, Observation>,
    installations: &BTreeMap<MachineName, Installation>,
    leaving: Leaving,
) -> Result<Plan> {
    let os = inventory.os.as_ref().context("the inventory has no section `os:`")?;
    let mut planner = Planner::new(inventory, manifests, seen);
    let (mut done, mut left) = (Vec::new(), Vec::new());
    for name in turns(&planner) {
        let (Some(installation), facts) = (installations.get(name), planner.facts.get(name).copied()) else { continue };
        let Some(facts) = facts else {
            let hint = away(&planner, name);
            planner.refuse(Some(name), Why::Unreachable, hint);
            continue;
        };
        if is_installed(facts, installation) || facts.kubernetes.joined && is_of_image(facts, installation) {
            done.push(name);
        } else if facts.arch.is_some_and(|arch| arch != Arch::Amd64) {
            planner.warn(Some(name), "the system is not reinstalled: hostler has an installer only for machines with an x86-64 processor");
        } else if planner.cluster_exists() && inventory.only_control_plane() == Some(name) {
            planner.warn(Some(name), "the system is not reinstalled: the machine is the only control plane, and has the cluster's state");
        } else {
            // All are asked for before the first is changed.
            if let Err(why) = order_for(inventory, name, facts, os, installation) {
                planner.refuse(Some(name), Why::NoReinstall(why.clone()), Hint::Reinstall { machine: name.clone(), why });
            }
            left.push((name, installation));
        }
    }
    let about_all = planner.finish();
    let nothing = |plan: &Plan| plan.steps.is_empty() && plan.refusals.is_empty();
    let mut plan = Plan { steps: Vec::new(), refusals: Vec::new(), warnings: Vec::new(), ..about_all.clone() };
    // What has its new system is brought in order, whatever is wrong with others.
    for name in done {
        if !nothing(&plan) {
            break;
        }
        plan = plan_for_machine(inventory, manifests, seen, name)?;
    }
    if nothing(&plan) && !about_all.refusals.is_empty() {
        return Ok(about_all);
    }
    if nothing(&plan)
        && let Some((name, installation)) = left.first()
    {
        plan = self::plan(inventory, manifests, seen, name, installation, leaving)?;
        left.remove(0);
    }
    plan.warnings.extend(about_all.warnings);
    let later: Vec<String> = left.iter().map(|(name, _)| name.to_string()).collect();
    if !later.is_empty() {
        plan.warnings
            .push(Warning { machine: None, text: format!("new systems will be installed on {} afterwards, one at a time", and(&later)) });
    }
    Ok(plan)
}

/// Machines in the order in which they get a new system: workers first, as with reboots. Where there is no cluster yet, a control plane makes it.
fn turns<'a>(planner: &Planner<'a>) -> Vec<&'a MachineName> {
    let roles = if planner.cluster_exists() { [Role::Worker, Role::ControlPlane] } else { [Role::ControlPlane, Role::Worker] };
    roles.into_iter().flat_map(|role| planner.machines().filter(move |(_, machine)| machine.role == role)).map(|(name, _)| name).collect()
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
        // Whether the new system has the file is seen once it is there: this one's says nothing of it.
        let others = || facts.nameservers.iter().filter(|server| !wanted::is_loopback(server)).cloned().collect();
        let own = wanted::own_resolv_conf(inventory).map(|_| facts.own_nameservers.clone().unwrap_or_else(others));
        **facts = Facts { own_nameservers: own, ..fresh(facts, name, os.system_size, os.release) };
    }
    seen
}

/// A machine as the installer leaves it: its hardware, and what every image has. `system_size`: bytes.
pub fn fresh(facts: &Facts, name: &MachineName, system_size: u64, release: Release) -> Facts {
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
        // It is in UTC.
        time_zone: String::new(),
        disks: facts.disks.clone(),
        fsync: facts.fsync,
        ..Facts::default()
    }
}
