//! What the planner will not do. Checked first, so that nothing is planned for what is refused.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::cluster::{is_full, other_name, renamed};
use super::documents;
use super::hint::{Command, Hint, Unless};
use super::leave::may_leave;
use super::planner::{Planner, interrupted};
use super::refusal::{Refusal, Unchangeable, Why};
use super::relied::reserves::{self, Shortage};
use super::repair::{is_bootstrappable, is_repairable};
use super::{api_host, silence, upgrade, version, vip, wanted};
use crate::facts::{ClusterFacts, Facts, LockFact, MemberFact, NodeFact, Observation, peer_url};
use crate::inventory::{Cni, Inventory, Machine, MachineName, Role, default_endpoint};
use crate::protocol::{path, systemd};
use crate::record::{InProgress, Record};
use crate::trusted::ApiVia;
use crate::version::numbers;

/// Seconds that clocks may differ before certificates and leases suffer.
pub const CLOCK_TOLERANCE: i64 = 60;
/// KiB of memory that kubeadm asks for on a control plane.
pub const LITTLE_MEMORY: u64 = 1700 * 1024;
/// Microseconds that 99 of 100 writes may take at most, as etcd's documentation says ("Hardware recommendations", "Disks").
const SLOW_FSYNC: u64 = 10_000;
/// MiB of disk below which nothing can be sent, or written reliably.
const NO_DISK: u64 = 20;
/// MiB that programs, images and what is unpacked of them take on a machine that has none of them yet.
const NEW_DISK: u64 = 1500;

pub fn look(planner: &mut Planner) {
    unreachable(planner);
    // All machines have the same one.
    let kubelet = documents::kubelet(planner.inventory).ok().and_then(|text| serde_yaml::from_str(&text).ok()).unwrap_or_default();
    for (name, _) in planner.machines() {
        if let Some(facts) = planner.facts.get(name).copied() {
            machine(planner, name, facts, &kubelet);
        }
    }
    membership(planner);
    newcomers(planner);
    clocks(planner);
    version::check(planner);
    if let Some(ApiVia { cluster, .. }) = planner.api_via {
        unchangeable(planner, cluster);
    }
}

fn unreachable(planner: &mut Planner) {
    let lost: Vec<MachineName> = planner
        .inventory
        .control_planes()
        .filter(|(name, _)| planner.unreachable.contains_key(name))
        .map(|(name, _)| name.clone())
        .collect();
    if !lost.is_empty() && !planner.cluster_exists() {
        let cluster = planner.facts.values().any(|facts| facts.kubernetes.joined);
        planner.refuse(None, Why::ControlPlaneUnknown { lost: lost.clone(), cluster }, Hint::TurnOn(lost));
    }
}

/// `kubelet`: the inventory's KubeletConfiguration.
fn machine<'a>(planner: &mut Planner<'a>, name: &'a MachineName, facts: &'a Facts, kubelet: &serde_yaml::Value) {
    let expected = planner.inventory.machines.get(name).and_then(|machine| machine.mac.clone());
    // What is wrong with a member of the cluster, and can't be repaired on it.
    let broken = planner.joined(name) && !is_repairable(planner, name, facts) && !is_bootstrappable(planner, name, facts);
    // A container may hide its hardware addresses: of none nothing is known.
    if let Some(expected) = expected.filter(|mac| !facts.macs.is_empty() && !facts.macs.contains(mac)) {
        let why = Why::OtherMachine { found: facts.macs.iter().cloned().collect(), expected };
        planner.refuse(Some(name), why, Hint::RightMachine(name.clone()));
    } else if !facts.systemd {
        let hint = if ["debian", "ubuntu"].contains(&facts.os.as_str()) { Hint::InstallSystemd } else { Hint::InstallDebian };
        planner.refuse(Some(name), Why::NoSystemd, hint);
    } else if let Some((why, hint)) = no_programs(planner, facts) {
        planner.refuse(Some(name), why, hint);
    } else if !facts.foreign.is_empty() {
        planner.refuse(Some(name), Why::Foreign { platforms: facts.foreign.clone() }, Hint::RemovePlatform(facts.foreign.clone()));
    } else if facts.in_progress.contains(&InProgress::Wipe) {
        let finish = if planner.inventory.only_control_plane() == Some(name) { Command::Restore(name.clone()) } else { rebuild(name) };
        planner.refuse(Some(name), Why::WipeInterrupted, Hint::FinishWipe(finish));
    } else if facts.in_progress.contains(&InProgress::Restore) {
        planner.refuse(Some(name), Why::RestoreInterrupted, Hint::FinishRestore(Command::Restore(name.clone())));
    } else if !facts.kubernetes.joined && !facts.kubernetes.leftovers.is_empty() && !interrupted(facts) {
        let hint = match facts.kubernetes.etcd_data {
            true => Hint::KeepEtcd { machine: name.clone() },
            false => Hint::WipeFirst { command: taken_over_by(planner, name), leave: false },
        };
        planner.refuse(Some(name), Why::NotBlank { leftovers: facts.kubernetes.leftovers.clone() }, hint);
    } else if !facts.read_only.is_empty() {
        planner.refuse(Some(name), Why::ReadOnly { paths: facts.read_only.iter().cloned().collect() }, Hint::FindReadOnly);
    } else if let Some(needed) = no_room(planner, name, facts) {
        planner.refuse(Some(name), Why::Disk { free: facts.disk_free / 1024, needed }, Hint::MakeRoom);
    } else if broken && !facts.kubernetes.damaged.is_empty() {
        damaged(planner, name, facts);
    } else if broken && !facts.kubernetes.missing.is_empty() {
        missing(planner, name, facts);
    } else if let Some(was) = silence::moved(planner, facts) {
        planner.refuse(Some(name), Why::AddressLost { was: was.clone() }, Hint::GiveAddressBack { was });
    } else if let Some((port, by)) = planner.inventory.machines.get(name).and_then(|machine| ports_taken(machine, facts).first().copied()) {
        planner.refuse(Some(name), Why::Port { port, by: by.to_owned() }, Hint::FreePort { port });
    } else if let Some(taken) = vip::taken(planner, name, facts) {
        let hint = taken.hint(false);
        planner.refuse(Some(name), Why::VipTaken(taken), hint);
    } else if let Some(Shortage { reserved, has, needed }) =
        planner.inventory.machines.get(name).and_then(|machine| reserves::shortage(kubelet, machine.role, facts))
    {
        planner.refuse(Some(name), Why::Reserves { reserved, has, needed }, Hint::LowerReserves);
    } else if facts.cgroup_v1 && rejects_cgroup_v1(planner.manifests.kubernetes(), kubelet) {
        planner.refuse(Some(name), Why::CgroupV1 { version: planner.manifests.kubernetes().to_owned() }, Hint::UseCgroupV2);
    } else if let Some((found, address)) = api_host::elsewhere(planner, facts) {
        let endpoint = planner.inventory.cluster.endpoint.host().to_owned();
        let why = Why::HostsLine { endpoint: endpoint.clone(), found, address };
        planner.refuse(Some(name), why, Hint::RemoveHostsLine { machine: name.clone(), endpoint, found });
    } else if let Some(path) = wanted::own_resolv_conf(planner.inventory).filter(|_| facts.own_nameservers.is_none()) {
        planner.refuse(Some(name), Why::NoResolvConf { path: path.to_owned() }, Hint::CreateResolvConf { path: path.to_owned() });
    }
    if planner.usable(name).is_some()
        && planner.inventory.machines.get(name).is_some_and(|machine| machine.role == Role::ControlPlane)
        && (1..LITTLE_MEMORY).contains(&facts.memory)
    {
        let least = LITTLE_MEMORY / 1024;
        let has = facts.memory / 1024;
        planner.warn(Some(name), format!("the machine has only {has} MB of memory, but kubeadm requires {least} MB for a control plane"));
    }
    if planner.usable(name).is_some()
        && !facts.kubernetes.joined
        && planner.inventory.machines.get(name).is_some_and(|machine| machine.role == Role::ControlPlane)
        && let Some(took) = facts.fsync.filter(|took| *took > SLOW_FSYNC)
    {
        let (took, most) = (took / 1000, SLOW_FSYNC / 1000);
        let text = format!(
            "the disk takes {took} ms to sync a write (99th percentile), but etcd needs less than {most} ms: the API will be slow, and may \
             fail under load; use an SSD"
        );
        planner.warn(Some(name), text);
    }
    if let Some(lock) = &facts.lock {
        lock_of(planner, name, facts, lock);
    }
    if planner.usable(name).is_some()
        && let Some(text) = vip::is_elsewhere(planner.inventory, name, facts)
    {
        planner.warn(Some(name), text);
    }
    if planner.usable(name).is_some() {
        undone_later(planner, name, facts);
    }
}

/// Why there are no programs for the machine, if so: its own word for its architecture counts for itself alone.
fn no_programs(planner: &Planner, facts: &Facts) -> Option<(Why, Hint)> {
    let Some(is) = facts.arch else {
        return Some((Why::UnknownArchitecture { machine: facts.machine.clone() }, Hint::KnownArchitecture));
    };
    let why = Why::Architecture { is, bundles: planner.manifests.archs().collect() };
    planner.manifests.of(is).is_none().then_some((why, Hint::BundleFor { arch: is }))
}

/// What hostler can't make last.
fn undone_later(planner: &mut Planner, name: &MachineName, facts: &Facts) {
    let (file, servers) = match (wanted::own_resolv_conf(planner.inventory), &facts.own_nameservers) {
        (Some(file), Some(servers)) => (file, servers),
        _ if wanted::resolv_conf(facts) == path::RESOLVED_CONFIG => (path::RESOLV_CONF, &facts.resolved_nameservers),
        _ => (path::RESOLV_CONF, &facts.nameservers),
    };
    if servers.is_empty() {
        planner.warn(
            Some(name),
            format!("{file} has no nameserver, so CoreDNS will not start on this machine: add a line `nameserver ADDRESS`"),
        );
    } else if let Some(server) = servers.iter().find(|server| wanted::is_loopback(server)) {
        let way_out = match file {
            path::RESOLV_CONF => {
                "list a nameserver of your network in another file, and set that file in `kubeadm: {KubeletConfiguration: {resolvConf: FILE}}`"
            }
            _ => "list a nameserver of your network there",
        };
        let text =
            format!("{file} lists the nameserver {server}, which pods can't reach, so CoreDNS will not start on this machine: {way_out}");
        planner.warn(Some(name), text);
    }
    if facts.cloud_user_data {
        let text = format!(
            "cloud-init's user data has manage_etc_hosts or preserve_hostname, so cloud-init resets the host name or {} at every boot: \
             run `touch /etc/cloud/cloud-init.disabled` on the machine once it is set up",
            path::HOSTS
        );
        planner.warn(Some(name), text);
    }
    // One that has only just started takes a moment.
    let kubelet = facts.units.get(systemd::KUBELET).is_some_and(|unit| unit.active) && wanted::shutdown_grace_period(planner.inventory) > 0;
    if planner.joined(name) && kubelet && !facts.delays_shutdown && facts.uptime > 300 && facts.files.contains_key(path::LOGIND) {
        planner.warn(
            Some(name),
            "kubelet does not delay a shutdown of the machine, so a shutdown kills its pods; `journalctl -u kubelet | grep shutdown` \
             shows why",
        );
    }
}

/// What another hostler's lock on the machine means for it.
fn lock_of<'a>(planner: &mut Planner<'a>, name: &'a MachineName, facts: &Facts, lock: &LockFact) {
    let Some(age) = lock.age(facts) else {
        let when = match facts.clock.saturating_sub(lock.since) {
            age if age < 0 => "in the future: check the clock",
            _ => "more than 90 min ago, and no step takes that long",
        };
        let text = format!("the lock of step {} of run {} is ignored: by the machine's clock, it was taken {when}", lock.step, lock.run);
        planner.warn(Some(name), text);
        return;
    };
    match at_work_on(facts) {
        Some(why) if planner.usable(name).is_some() => planner.refuse(Some(name), why, Hint::LetItEnd),
        // Something else is refused already.
        Some(_) => {}
        None => planner.warn(
            Some(name),
            format!("{}, although that run was interrupted: other steps on this machine wait until it ends", working(lock, age)),
        ),
    }
}

/// The step of another hostler that is running on the machine, if it can be.
fn at_work_on(facts: &Facts) -> Option<Why> {
    let lock = facts.lock.as_ref().filter(|lock| !lock.left_behind)?;
    Some(Why::AtWork { step: lock.step.clone(), run: lock.run.clone(), seconds: lock.age(facts)? })
}

/// The control planes on which another hostler is at work: nobody else plans for the cluster that it is just changing. A worker's lock is
/// about the worker alone.
pub fn at_work(inventory: &Inventory, seen: &BTreeMap<MachineName, Observation>) -> Vec<Refusal> {
    let refuse = |name: &MachineName| {
        let why = at_work_on(seen.get(name)?.facts()?)?;
        Some(Refusal { machine: Some(name.clone()), why, hint: Hint::LetItEnd })
    };
    inventory.control_planes().filter_map(|(name, _)| refuse(name)).collect()
}

/// Whose step works on the machine, and for how many seconds.
fn working(lock: &LockFact, seconds: i64) -> String {
    format!("step {} of run {} has been running on this machine for {seconds} s", lock.step, lock.run)
}

/// Whether kubelet of this version would not start on cgroup v1: since 1.35, unless it is told to.
fn rejects_cgroup_v1(version: &str, kubelet: &serde_yaml::Value) -> bool {
    let fails = kubelet.get("failCgroupV1").and_then(serde_yaml::Value::as_bool);
    fails.unwrap_or(numbers(version).is_some_and(|version| version >= [1, 35, 0]))
}

/// How many MiB of disk the machine needs, where it has less. An upgrade brings all programs and images once more; once one of both is there, it has
/// begun, and what it began must come to its end.
fn no_room(planner: &Planner, name: &MachineName, facts: &Facts) -> Option<u64> {
    let begun =
        |version: &str| facts.sets.contains(&upgrade::set_of(planner, name)) || facts.images.keys().any(|image| image.ends_with(version));
    let has_some = match planner.upgrades {
        true => facts.before_upgrade.is_some() || begun(&format!(":v{}", planner.manifests.kubernetes())),
        false => wanted::version_in_use(facts).is_some() || facts.kubernetes.joined,
    };
    let least = if has_some { NO_DISK } else { NEW_DISK };
    (facts.disk_size > 0 && facts.disk_free / 1024 < least).then_some(least)
}

/// Ports that Kubernetes will listen at on the machine, and who does now. Of a machine that is in a cluster, or half in one, nobody can say.
pub fn ports_taken<'a>(machine: &Machine, facts: &'a Facts) -> Vec<(u16, &'a str)> {
    if facts.kubernetes.joined || interrupted(facts) || !facts.kubernetes.leftovers.is_empty() {
        return Vec::new();
    }
    let needed = wanted::ports(machine.role == Role::ControlPlane);
    needed.iter().filter_map(|(port, _)| facts.ports.get_key_value(port)).map(|(port, who)| (*port, who.as_str())).collect()
}

/// A machine that is in the cluster, and whose kubelet or control plane can't read what kubeadm wrote for it.
fn damaged<'a>(planner: &mut Planner<'a>, name: &'a MachineName, facts: &Facts) {
    // What was damaged there is not this cluster's to bring back.
    if other_cluster(planner, name, facts, take_over(planner, name)) {
        return;
    }
    let hint = match planner.inventory.only_control_plane() == Some(name) {
        // Its data is whole: nothing that would take it away is a way out.
        true if facts.kubernetes.etcd_data => Hint::PutBack { files: facts.kubernetes.damaged.clone(), others: false },
        true => Hint::Undamage { command: Command::Restore(name.clone()), backup: true },
        false => Hint::Undamage { command: rebuild(name), backup: false },
    };
    planner.refuse(Some(name), Why::Damaged { paths: facts.kubernetes.damaged.clone() }, hint);
}

/// A machine that has joined, and lacks files that can't be made again on it.
fn missing<'a>(planner: &mut Planner<'a>, name: &'a MachineName, facts: &Facts) {
    if other_cluster(planner, name, facts, take_over(planner, name)) {
        return;
    }
    let kubernetes = &facts.kubernetes;
    let alone = planner.inventory.only_control_plane() == Some(name);
    let control_plane = kubernetes.control_plane && planner.inventory.machines.get(name).is_some_and(|it| it.role == Role::ControlPlane);
    let hint = match control_plane {
        false => Hint::Clean(rebuild(name)),
        true if !alone && planner.api_via.is_some_and(|api_via| api_via.machine != name) => Hint::Clean(rebuild(name)),
        true if !kubernetes.etcd_data && kubernetes.missing.iter().any(|file| file.starts_with(path::ETCD)) => {
            Hint::RestoreCluster { restore: Command::Restore(name.clone()), unless: Unless::Unmounted }
        }
        true => Hint::PutBack { files: kubernetes.missing.clone(), others: !alone },
    };
    planner.refuse(Some(name), Why::Missing { paths: kubernetes.missing.clone() }, hint);
}

fn rebuild(name: &MachineName) -> Command {
    Command::Rebuild { machine: name.clone(), take_over: false }
}

/// The certificate authority of the inventory's cluster, as its control planes have it.
pub fn authority(planner: &Planner) -> Option<String> {
    planner.trusted.ca().map(str::to_owned)
}

/// Whether the machine is in a cluster that is not the inventory's. Where no control plane tells its certificate authority, the server's
/// name decides.
pub fn is_of_another(planner: &Planner, facts: &Facts) -> bool {
    let ours = format!("https://{}", documents::endpoint(planner.inventory));
    let other = match authority(planner) {
        // What would tell was damaged, or is gone.
        Some(_) if facts.kubernetes.ca.is_none() && !(facts.kubernetes.damaged.is_empty() && facts.kubernetes.missing.is_empty()) => false,
        Some(authority) => facts.kubernetes.ca.as_ref() != Some(&authority),
        None => facts.kubernetes.server.as_ref().is_some_and(|server| *server != ours),
    };
    other && facts.kubernetes.joined && !interrupted(facts)
}

/// The other cluster that the machine is in, as a person would ask for it.
pub fn its_cluster(facts: &Facts) -> &str {
    facts.kubernetes.server.as_deref().unwrap_or("API server unknown")
}

/// Refuses the machine if it is in a cluster that is not the inventory's.
pub fn other_cluster<'a>(planner: &mut Planner<'a>, name: &'a MachineName, facts: &Facts, hint: Hint) -> bool {
    let other = is_of_another(planner, facts);
    if other {
        planner.refuse(Some(name), Why::OtherCluster { server: facts.kubernetes.server.clone() }, hint);
    }
    other
}

/// The way out where a machine of another cluster is to come in.
pub fn take_over(planner: &Planner, name: &MachineName) -> Hint {
    Hint::WipeFirst { command: taken_over_by(planner, name), leave: true }
}

/// The command that wipes the machine and brings it in. Where the cluster still has what the machine was before, that has to go, too.
fn taken_over_by(planner: &Planner, name: &MachineName) -> Command {
    let address = planner.inventory.machines.get(name).map(|machine| machine.address.to_string());
    let before = planner
        .api_via
        .and_then(|api_via| api_via.cluster.nodes.get(name.as_str()))
        .is_some_and(|node| Some(&node.address) == address.as_ref());
    if before { Command::Rebuild { machine: name.clone(), take_over: true } } else { Command::TakeOver(name.clone()) }
}

/// An address of the pod network that the machine has, and that is not of its node's part: both are of different ages, as after a restore.
fn strange_address(planner: &Planner, facts: &Facts, node: &NodeFact) -> Option<String> {
    let (network, part) = (planner.inventory.cluster.pod_subnet, node.pod_cidr.parse::<IpNet>().ok()?);
    let strange = |address: &&String| address.parse::<IpAddr>().is_ok_and(|address| network.contains(&address) && !part.contains(&address));
    facts.addresses.iter().find(strange).cloned()
}

/// Who belongs to which cluster, told by the certificate authority.
fn membership(planner: &mut Planner) {
    let known = authority(planner).is_some();
    let lost = planner.unreachable.keys().any(|lost| planner.inventory.machines[lost.as_str()].role == Role::ControlPlane);
    let mut orphans = Vec::new();
    for (name, machine) in planner.machines() {
        let Some(facts) = planner.usable(name) else {
            continue;
        };
        if !facts.kubernetes.joined || interrupted(facts) {
            continue;
        }
        if !known {
            orphans.push(name.clone());
            continue;
        }
        if other_cluster(planner, name, facts, take_over(planner, name)) {
            continue;
        }
        if facts.kubernetes.control_plane != (machine.role == Role::ControlPlane) {
            let is = if facts.kubernetes.control_plane { Role::ControlPlane } else { Role::Worker };
            planner.refuse(Some(name), Why::RoleChanged { is }, Hint::ChangeRole(name.clone()));
            continue;
        }
        let Some(ApiVia { cluster, .. }) = planner.api_via else {
            continue;
        };
        match cluster.nodes.get(name.as_str()) {
            // Said with the cluster's own.
            None if other_name(planner, name).is_some() => {}
            None => planner.refuse(Some(name), Why::NodeGone, Hint::Clean(rebuild(name))),
            Some(node) if machine.role == Role::Worker && strange_address(planner, facts, node).is_some() => {
                let has = strange_address(planner, facts, node).unwrap_or_default();
                let why = Why::PodNetwork { node: node.pod_cidr.clone(), has };
                planner.refuse(Some(name), why, Hint::Clean(rebuild(name)));
            }
            Some(node) if !node.address.is_empty() && node.address != machine.address.to_string() => {
                let why = Why::Address { node: node.address.clone(), machine: machine.address.to_string() };
                let hint = Hint::OldAddress { address: node.address.clone(), command: rebuild(name) };
                planner.refuse(Some(name), why, hint);
            }
            Some(_) => {}
        }
    }
    let unreachable: Vec<MachineName> = planner.unreachable.keys().map(|name| (*name).clone()).collect();
    if !orphans.is_empty() && !lost && !planner.inventory.roles_written && !unreachable.is_empty() {
        planner.refuse(None, Why::RolesUnknown { unreachable: unreachable.clone() }, Hint::WriteRoles { unreachable });
    } else if !orphans.is_empty() && !lost {
        let holder = planner.facts.iter().find(|(_, facts)| facts.kubernetes.etcd_data);
        let hint = match (holder, planner.inventory.control_planes().next()) {
            (Some((holder, _)), _) => Hint::KeepEtcd { machine: (*holder).clone() },
            (None, Some((first, _))) => Hint::RestoreCluster { restore: Command::Restore(first.clone()), unless: Unless::NotListed },
            (None, None) => return,
        };
        planner.refuse(None, Why::ControlPlaneLost { orphans }, hint);
    }
}

/// What keeps a machine that is in no cluster from joining this one.
fn newcomers(planner: &mut Planner) {
    let Some(ApiVia { cluster, .. }) = planner.api_via else {
        return;
    };
    for (name, machine) in planner.machines() {
        let Some(facts) = planner.usable(name) else {
            continue;
        };
        if planner.joined(name) {
            continue;
        }
        let own = peer_url(&machine.address.to_string());
        let take_place = || Hint::TakePlace(rebuild(name));
        if !interrupted(facts) {
            if let Some(node) = cluster.nodes.get(name.as_str()) {
                let hint = if node.address == machine.address.to_string() {
                    take_place()
                } else {
                    Hint::Rename(Command::Remove { node: name.to_string(), dead: true })
                };
                planner.refuse(Some(name), Why::NodeExists { node: name.clone(), address: node.address.clone() }, hint);
                continue;
            }
            if cluster.members.values().any(|member| member.peer == own) {
                planner.refuse(Some(name), Why::MemberExists, take_place());
                continue;
            }
        }
        if machine.role == Role::Worker {
            continue;
        }
        let others = || cluster.members.values().filter(|member| member.peer != own);
        // What `remove` finds the member by: its name or, if it has none yet, that of the machine at its address.
        let removable = |member: &MemberFact| match member.name.as_str() {
            "" => planner
                .machines()
                .find(|(_, machine)| peer_url(&machine.address.to_string()) == member.peer)
                .map(|(name, _)| name.to_string()),
            named => Some(named.to_owned()),
        };
        let remove = |node: String| {
            let dead = !cluster.nodes.get(&node).is_some_and(|node| node.ready);
            Command::Remove { node, dead }
        };
        if let Some(learner) = others().find(|member| member.learner) {
            let hint = removable(learner).map_or(Hint::WriteBack, |node| Hint::DropLearner(remove(node)));
            planner.refuse(Some(name), Why::Learner { member: learner.called().to_owned() }, hint);
        } else if let Some(sick) = others().find(|member| !member.healthy && !is_full(member)) {
            let member = sick.called().to_owned();
            // Its own API server may be the only one that answers, and can't see to its leaving.
            let other_speaks = planner.trusted.answering().any(|api_via| api_via.machine.as_str() != member);
            let hint = match (other_speaks && may_leave(cluster, sick), removable(sick)) {
                (true, Some(node)) => Hint::MendMember { member: member.clone(), command: remove(node) },
                (true, None) => Hint::WriteBack,
                (false, _) => Hint::MendMembers(vec![member.clone()]),
            };
            planner.refuse(Some(name), Why::MemberUnhealthy { member, joins: true }, hint);
        }
    }
}

fn clocks(planner: &mut Planner) {
    // Of one machine's clock, or of two, nobody knows that it is the wrong one.
    let compared = planner.facts.values().filter(|facts| facts.clock_ahead.is_some()).count() < 3;
    for (name, off) in wrong_clocks(planner) {
        planner.refuse(Some(name), Why::Clock { off }, Hint::SetClock { machine: name.clone(), compared });
    }
}

/// Machines with a wrong clock, and how wrong it is: `10 minutes ahead of the others`.
pub fn wrong_clocks<'a>(planner: &Planner<'a>) -> BTreeMap<&'a MachineName, String> {
    let known: Vec<(&MachineName, i64)> = planner.facts.iter().filter_map(|(name, facts)| Some((*name, facts.clock_ahead?))).collect();
    // Of many clocks the middle one is right. Of two nobody could say, so this computer's counts too, and against a single one it is right.
    let (mut ahead, others) = match known.as_slice() {
        [_] => (vec![0], "this computer's"),
        [(_, one), (_, other)] => (vec![*one, *other, 0], "the other machine's and this computer's"),
        many => (many.iter().map(|(_, ahead)| *ahead).collect(), "the others"),
    };
    ahead.sort_unstable();
    let Some(&middle) = ahead.get(ahead.len() / 2) else { return BTreeMap::new() };
    let off = known
        .into_iter()
        .map(|(name, ahead)| (name, ahead.saturating_sub(middle)))
        .filter(|(_, off)| off.unsigned_abs() > CLOCK_TOLERANCE.unsigned_abs());
    off.map(|(name, off)| (name, format!("{} {} {others}", span(off.unsigned_abs()), if off > 0 { "ahead of" } else { "behind" })))
        .collect()
}

/// Seconds in the largest unit of which there are two or more, rounded.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} minutes", (seconds + 30) / 60),
        7200..172_800 => format!("{} hours", (seconds + 1800) / 3600),
        _ => format!("{} days", seconds.saturating_add(43_200) / 86_400),
    }
}

/// What a cluster keeps for its whole life.
fn unchangeable(planner: &mut Planner, cluster: &ClusterFacts) {
    let wanted = &planner.inventory.cluster;
    let mut kept = vec![
        (Unchangeable::PodSubnet, cluster.pod_subnet.clone(), wanted.pod_subnet.to_string()),
        (Unchangeable::ServiceSubnet, cluster.service_subnet.clone(), wanted.service_subnet.to_string()),
        (Unchangeable::Endpoint, cluster.endpoint.clone(), documents::endpoint(planner.inventory)),
        (Unchangeable::ClusterName, cluster.cluster_name.clone(), wanted.name.clone()),
    ];
    // An endpoint that nobody wrote has the cluster's name in it: that it differs, too, is said with the name.
    let follows = documents::endpoint(planner.inventory).starts_with(&default_endpoint(&wanted.name))
        && cluster.endpoint.starts_with(&default_endpoint(&cluster.cluster_name));
    if follows && cluster.cluster_name != wanted.name {
        kept.retain(|(key, ..)| *key != Unchangeable::Endpoint);
    }
    kept.extend(cluster.record.get(&Record::Cni).map(|is| (Unchangeable::Cni, is.clone(), cni_name(wanted.cni).to_owned())));
    for (key, is, asked) in kept.into_iter().filter(|(_, is, asked)| !is.is_empty() && is != asked) {
        planner.refuse(None, Why::Unchangeable { key, is: is.clone(), asked }, Hint::KeepAsIs { key, is });
    }
    if let Some(version) =
        wanted.version.as_ref().filter(|version| !planner.upgrades && !cluster.version.is_empty() && cluster.version != **version)
    {
        let is = cluster.version.clone();
        let why = Why::Version { cluster: wanted.name.clone(), is: is.clone(), asked: version.clone() };
        let hint = match numbers(&is) < numbers(version) {
            true => Hint::Run(Command::Upgrade { to: Some(version.clone()) }),
            false => Hint::KeepVersion { is },
        };
        planner.refuse(None, why, hint);
    }
    let renamed: Vec<(MachineName, String)> =
        renamed(planner.inventory, cluster).into_iter().map(|(name, node)| (name.clone(), node.to_owned())).collect();
    for (name, node) in renamed {
        let machine = planner.inventory.machines.get_key_value(name.as_str()).map(|(name, _)| name);
        planner.refuse(machine, Why::NodeName { node: node.clone() }, name_as(&name, node));
    }
}

/// The way out for a machine that the cluster knows by another name.
pub fn name_as(machine: &MachineName, node: String) -> Hint {
    Hint::NameAsNode { machine: machine.clone(), node }
}

/// As the inventory and the cluster's record spell it.
pub fn cni_name(cni: Cni) -> &'static str {
    match cni {
        Cni::Flannel => "flannel",
        Cni::FlannelHostGw => "flannel-host-gw",
        Cni::None => "none",
    }
}
