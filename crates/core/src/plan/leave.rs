//! How a machine leaves the cluster, and how all of them do.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::api_host;
use super::check::{is_of_another, its_cluster, name_as, other_cluster};
use super::cluster::{etcd_space, other_name};
use super::hint::{Command, Hint};
use super::planner::{Planner, interrupted};
use super::refusal::Why;
use super::silence;
use super::wipe::{self, clear_wiped, to_wipe, wipe_blocked, wipe_step};
use crate::action::cluster::{DeleteNode, Drain, RemoveMember};
use crate::facts::{ClusterFacts, Contact, Facts, MemberFact, Observation, peer_address, peer_url};
use crate::inventory::{Inventory, MachineName, Role};
use crate::protocol::systemd;
use crate::record::Record;
use crate::step::{Need, StepKind};
use crate::trusted::ApiVia;
use crate::words::and;

/// The steps by which `name` leaves the cluster. `dead`: it need not be reachable.
pub(super) fn plan_removal<'a>(planner: &mut Planner<'a>, seen: &'a BTreeMap<MachineName, Observation>, name: &'a MachineName, dead: bool) {
    let facts = planner.facts.get(name).copied();
    let another = facts.is_some_and(|facts| is_of_another(planner, facts));
    let wipe = facts.filter(|facts| to_wipe(facts) && !another);
    let machine = planner.inventory.machines.get(name);
    let control_plane =
        machine.is_some_and(|machine| machine.role == Role::ControlPlane) || facts.is_some_and(|facts| facts.kubernetes.control_plane);
    let others = planner.inventory.control_planes().filter(|(other, _)| *other != name).count();
    let api_via = planner.trusted.answering().find(|api_via| api_via.machine != name);
    if facts.is_none() && !dead {
        let hint = away(planner, name);
        planner.refuse(Some(name), Why::Unreachable, hint);
        return;
    }
    if let Some(facts) = facts.filter(|_| another) {
        if !dead {
            let ready = api_via.is_some_and(|api_via| api_via.cluster.nodes.get(name.as_str()).is_some_and(|node| node.ready));
            let forget = Command::Remove { node: name.to_string(), dead: true };
            // Its node is this cluster's as long as it is Ready, whatever the machine says.
            let hint = if ready { Hint::TakeOutOfInventory } else { Hint::ForgetOnly(forget) };
            other_cluster(planner, name, facts, hint);
            return;
        }
        planner.warn(Some(name), format!("the machine now belongs to another cluster ({}), so it is not changed", its_cluster(facts)));
    }
    // Under this name the cluster has nothing that could leave, and what the machine is would be lost to it.
    if let Some(node) = other_name(planner, name).filter(|_| !another) {
        planner.refuse(Some(name), Why::NodeName { node: node.clone() }, name_as(name, node));
        return;
    }
    let Some(ApiVia { machine: api_via, cluster, .. }) = api_via else {
        if control_plane && others == 0 {
            planner.refuse(Some(name), Why::LastControlPlane, Hint::LoseOnlyControlPlane { restore: Command::Restore(name.clone()) });
        } else {
            planner.refuse(None, Why::NoApiToLeave, silence::hint(planner, Hint::BringControlPlanesBack { look: false }));
        }
        return;
    };
    // Nobody takes a machine that lives out of the cluster behind its back.
    if facts.is_none() {
        let ready = cluster.nodes.get(name.as_str()).is_some_and(|node| node.ready);
        let found = match seen.get(name) {
            Some(Observation::Unreachable(why)) if why.contact != Contact::Silence => {
                Some((why.reason.clone(), Hint::MakeReachable(name.clone())))
            }
            _ if !ready => None,
            Some(Observation::Unreachable(why)) => {
                Some((format!("the node is Ready, but SSH fails: {}", why.reason), Hint::WaitUntilNotReady(name.clone())))
            }
            // Who says that it is dead has it left in peace.
            _ => Some(("the node is Ready".to_owned(), Hint::WaitUntilNotReady(name.clone()))),
        };
        if let Some((reason, hint)) = found {
            planner.refuse(Some(name), Why::Lives { reason }, hint);
            return;
        }
    }
    let keep = machine.map(|machine| machine.keep.clone()).unwrap_or_default();
    if wipe_blocked(planner, name, &keep) {
        return;
    }
    let member = match member_of(planner.inventory, cluster, name) {
        Ok(member) => member,
        Err(why) => {
            planner.refuse(Some(name), why, Hint::SettleMember { node: name.clone() });
            return;
        }
    };
    if member.is_some_and(|member| !keeps_quorum(planner, cluster, name, member)) {
        return;
    }
    if api_host::api_host(planner) == Some(name) {
        let host = planner.inventory.cluster.endpoint.host();
        planner.warn(
            Some(name),
            format!(
                "{host} resolves to this machine: while it is down, no other machine can reach the API by that name; if it is gone for \
                 good, remove it from the inventory and run `hostler up`"
            ),
        );
    }
    etcd_space(planner, api_via, cluster);
    removal_steps(planner, (api_via, cluster), name, member, wipe, keep);
}

/// What to do about a machine that can't be reached, where a verb can't do without it.
pub(super) fn away(planner: &Planner, name: &MachineName) -> Hint {
    let alone = planner.inventory.only_control_plane() == Some(name);
    if planner.unreachable.get(name).is_some_and(|why| why.contact != Contact::Silence) {
        return if alone { Hint::FixAccess(name.clone()) } else { Hint::MakeReachable(name.clone()) };
    }
    if alone {
        return Hint::TurnOnOrReplace;
    }
    // The cluster can forget no machine while nobody speaks for it.
    match planner.trusted.answering().any(|api_via| api_via.machine != name) {
        true => Hint::TurnOnOrRemove(Command::Remove { node: name.to_string(), dead: true }),
        false => silence::hint(planner, Hint::TurnOnOnly),
    }
}

/// The steps themselves, where nothing speaks against them.
fn removal_steps(
    planner: &mut Planner,
    (api_via, cluster): (&MachineName, &ClusterFacts),
    name: &MachineName,
    member: Option<&MemberFact>,
    wipe: Option<&Facts>,
    keep: Vec<String>,
) {
    let node = cluster.nodes.get(name.as_str());
    let mut before: Vec<Need> = Vec::new();
    // A kubelet that does not run ends no pods.
    let ends_pods = wipe.is_some_and(|facts| facts.units.get(systemd::KUBELET).is_some_and(|unit| unit.active));
    if node.is_some_and(|node| node.ready) && ends_pods {
        before.push(Need::Step(planner.step(
            StepKind::Drain.of(name),
            api_via,
            format!("{name} leaves the cluster"),
            Drain { node: name.to_string(), force_after: planner.force_after, returns: false },
            [],
        )));
    }
    if let Some(MemberFact { name: member, peer, .. }) = member {
        let action = RemoveMember { node: name.to_string(), member: member.clone(), peer: peer.clone() };
        before.push(Need::Step(planner.step(
            StepKind::RemoveMember.of(name),
            api_via,
            format!("{name} is an etcd member"),
            action,
            before.clone(),
        )));
    }
    if wipe.is_some() {
        let wipe = wipe::wipe(planner, name, keep);
        before.push(Need::Step(planner.step(StepKind::Wipe.of(name), name, "cluster state is left on the machine", wipe, before.clone())));
    }
    // A kubelet that still has its certificate may have registered a node again since the cluster was asked: only after the wipe is none left
    // that could, and `kubeadm join` refuses a name that is there and Ready.
    if node.is_some() || wipe.is_some() {
        let reason =
            if node.is_some() { format!("the cluster has a node {name}") } else { format!("{name} may have registered its node again") };
        let action = DeleteNode { node: name.clone() };
        planner.step(StepKind::DeleteNode.of(name), api_via, reason, action, before);
    }
}

/// The etcd member that `name` is. Only a control plane is one, by the inventory or by a label that no kubelet may set, and the member has its
/// name and its address. The address that a node reports decides alone about nothing: its kubelet may write any.
///
/// # Errors
/// What is known does not fit together, so the wrong member could go.
fn member_of<'a>(inventory: &Inventory, cluster: &'a ClusterFacts, name: &MachineName) -> Result<Option<&'a MemberFact>, Why> {
    let machine = inventory.machines.get(name);
    let node = cluster.nodes.get(name.as_str());
    let labelled = node.is_some_and(|node| node.labels.contains_key(CONTROL_PLANE_LABEL));
    let control_plane = match machine {
        Some(machine) => machine.role == Role::ControlPlane || labelled,
        // What is left of a machine that is in the inventory no more.
        None => labelled || node.is_none(),
    };
    if !control_plane {
        return Ok(None);
    }
    let expected = machine.map(|machine| machine.address);
    let reported = node.and_then(|node| node.address.parse().ok());
    let at = |member: &MemberFact, address: Option<IpAddr>| address.is_some() && peer_address(&member.peer) == address;
    // One that never started has no name yet.
    let unnamed = || cluster.members.values().find(|member| member.name.is_empty() && at(member, expected));
    let Some(member) = cluster.members.values().find(|member| member.name == name.as_str()).or_else(unnamed) else {
        return match cluster.members.values().find(|member| at(member, expected)) {
            Some(other) => Err(not_certain(other, expected, reported)),
            None => Ok(None),
        };
    };
    let agreed = match (expected, reported) {
        (Some(expected), Some(reported)) if expected != reported => at(member, Some(reported)),
        (None, None) => true,
        (expected, reported) => at(member, expected.or(reported)),
    };
    if agreed { Ok(Some(member)) } else { Err(not_certain(member, expected, reported)) }
}

/// Of every node that kubeadm made a control plane. NodeRestriction lets no kubelet set or remove it.
const CONTROL_PLANE_LABEL: &str = "node-role.kubernetes.io/control-plane";

fn not_certain(member: &MemberFact, expected: Option<IpAddr>, reported: Option<IpAddr>) -> Why {
    Why::MemberNotCertain { member: member.name.clone(), peer: member.peer.clone(), expected, reported }
}

/// Whether etcd can do without `member`; refuses otherwise.
fn keeps_quorum<'a>(planner: &mut Planner<'a>, cluster: &ClusterFacts, name: &'a MachineName, member: &MemberFact) -> bool {
    if may_leave(cluster, member) {
        return true;
    }
    let left: Vec<_> = cluster.members.values().filter(|other| !other.learner && *other != member).collect();
    let then = left.iter().filter(|member| member.healthy).count();
    let sick: Vec<String> = left.iter().filter(|member| !member.healthy).map(|member| member.called().to_owned()).collect();
    let why = Why::Quorum { healthy: then, members: left.len(), down: sick.clone() };
    planner.refuse(Some(name), why, Hint::MendMembers(sick));
    false
}

/// Whether more than half of etcd's members are healthy, now and once this one has left.
pub(super) fn may_leave(cluster: &ClusterFacts, member: &MemberFact) -> bool {
    let voters: Vec<_> = cluster.members.values().filter(|member| !member.learner).collect();
    let now = voters.iter().filter(|member| member.healthy).count();
    let left: Vec<_> = voters.iter().filter(|other| **other != member).collect();
    now > voters.len() / 2 && left.iter().filter(|member| member.healthy).count() > left.len() / 2
}

/// The facts as they will be when `name` has left.
pub(super) fn facts_after_removal(
    inventory: &Inventory,
    seen: &BTreeMap<MachineName, Observation>,
    name: &MachineName,
) -> BTreeMap<MachineName, Observation> {
    let mut seen = seen.clone();
    let peer = inventory.machines.get(name).map(|machine| peer_url(&machine.address.to_string())).unwrap_or_default();
    for (machine, observation) in &mut seen {
        let Observation::Facts(facts) = observation else { continue };
        if machine == name {
            if to_wipe(facts) {
                clear_wiped(facts);
            }
            facts.forget_cluster();
        } else {
            facts.change_cluster(|cluster| {
                cluster.nodes.remove(name.as_str());
                cluster.members.retain(|_, member| member.name != name.as_str() && !(member.name.is_empty() && member.peer == peer));
                cluster.record.remove(&Record::Node(name.clone()));
                // What is full has room by then.
                cluster.members.values_mut().for_each(|member| member.error.clear());
            });
        }
    }
    seen
}

pub(super) fn plan_reset(planner: &mut Planner) {
    // Workers first: while the control planes stand, kubeadm reset can end their pods in order.
    let mut before = Vec::new();
    for role in [Role::Worker, Role::ControlPlane] {
        let mut these: Vec<Need> = Vec::new();
        for (name, _) in planner.machines().filter(|(_, machine)| machine.role == role) {
            let Some(facts) = planner.facts.get(name).copied() else {
                continue;
            };
            if !to_wipe(facts) && facts.kubernetes.leftovers.is_empty() {
                continue;
            }
            if other_cluster(planner, name, facts, Hint::LeaveAsItIs) {
                continue;
            }
            let leftovers = &facts.kubernetes.leftovers;
            // It may be another cluster's, of which nobody has spoken.
            if !to_wipe(facts) && facts.kubernetes.etcd_data && !interrupted(facts) {
                let why = Why::NotBlank { leftovers: leftovers.clone() };
                planner.refuse(Some(name), why, Hint::KeepEtcd { machine: name.clone() });
                continue;
            }
            let reason = match to_wipe(facts) {
                true => "cluster state is left on the machine".to_owned(),
                false => format!("the machine has {}", and(leftovers)),
            };
            these.extend(wipe_step(planner, name, reason, before.clone()).map(Need::Step));
        }
        before = these;
    }
}
