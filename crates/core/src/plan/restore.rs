//! A cluster whose only control plane is lost: from a snapshot, or begun again.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use jiff::Timestamp;

use super::check::{is_of_another, other_cluster};
use super::goal::about_machine;
use super::hint::{Command, Hint};
use super::leave::facts_after_removal;
use super::planner::{Planner, interrupted};
use super::refusal::Why;
use super::silence::broken;
use super::wipe::wipe_if_needed;
use super::{Plan, Warning, everything, graph};
use crate::facts::{Facts, Observation, Snapshot};
use crate::inventory::{Inventory, MachineName, Role};
use crate::manifest::Manifests;
use crate::step::StepId;

/// The only control plane anew from `snapshot`: what is left of it is wiped, and then it is as if there had never been any.
pub(super) fn restore(
    inventory: &Inventory,
    manifests: &Manifests,
    seen: &BTreeMap<MachineName, Observation>,
    name: &MachineName,
    snapshot: &Snapshot,
) -> Result<Plan> {
    let mut planner = Planner::new(inventory, manifests, seen);
    refuse_unless_lost(&mut planner, seen, name);
    for (machine, facts) in planner.facts.clone() {
        if facts.kubernetes.joined && !interrupted(facts) && facts.kubernetes.ca.as_ref() != Some(&snapshot.ca) {
            planner.refuse(Some(machine), Why::OtherSnapshot { file: snapshot.file.clone() }, Hint::RightSnapshot);
        }
    }
    wipe_if_needed(&mut planner, name);
    let whole = planner.finish();
    if !whole.refusals.is_empty() {
        return Ok(without_steps(whole));
    }
    let unknown = not_in_snapshot(snapshot, inventory, seen, name);
    let seen = facts_after_removal(inventory, seen, name);
    let mut planner = Planner::new(inventory, manifests, &seen);
    planner.only = Some(name);
    planner.restore = Some(snapshot);
    let mut plan = one_after_the_other(whole, about_machine(everything(planner)?, name), name);
    plan.warnings.extend(unknown);
    Ok(plan)
}

/// What a restored cluster will not know of.
fn not_in_snapshot(
    snapshot: &Snapshot,
    inventory: &Inventory,
    seen: &BTreeMap<MachineName, Observation>,
    lost: &MachineName,
) -> Vec<Warning> {
    let text = format!("changes since {} are not in the snapshot", snapshot.taken);
    let newer = inventory.machines.keys().filter(|name| *name != lost).filter_map(|name| {
        let facts = seen.get(name)?.facts().filter(|facts| facts.kubernetes.joined)?;
        let text = if !snapshot.nodes.contains(name.as_str()) {
            format!(
                "the snapshot does not contain node {name}, which joined later: after the restore, run `hostler rebuild {name}` to join it \
                again"
            )
        } else if joined_since(snapshot, Some(facts)) {
            format!("the machine was rejoined after the snapshot was taken: after the restore, run `hostler rebuild {name}`")
        } else {
            return None;
        };
        Some(Warning { machine: Some(name.clone()), text })
    });
    std::iter::once(Warning { machine: None, text }).chain(newer).collect()
}

/// A cluster that is lost for good is taken off every machine that can be reached, and made anew.
pub(super) fn new_cluster(
    inventory: &Inventory,
    manifests: &Manifests,
    seen: &BTreeMap<MachineName, Observation>,
    name: &MachineName,
) -> Result<Plan> {
    let mut planner = Planner::new(inventory, manifests, seen);
    refuse_unless_lost(&mut planner, seen, name);
    for machine in inventory.machines.keys() {
        if let Some(facts) = planner.facts.get(machine).copied()
            && !other_cluster(&mut planner, machine, facts, Hint::TakeOutOfEither)
        {
            wipe_if_needed(&mut planner, machine);
        }
    }
    let whole = planner.finish();
    if !whole.refusals.is_empty() {
        return Ok(without_steps(whole));
    }
    let mut blank = seen.clone();
    for machine in inventory.machines.keys() {
        blank = facts_after_removal(inventory, &blank, machine);
    }
    let mut anew = Planner::new(inventory, manifests, &blank);
    anew.begins_anew = true;
    Ok(one_after_the_other(whole, everything(anew)?, name))
}

/// A refusal blocks what depends on it only: here that is all, as nothing must be wiped for a cluster that will not come back.
fn without_steps(plan: Plan) -> Plan {
    Plan { steps: Vec::new(), ..plan }
}

/// Refuses unless `name` is the inventory's only control plane, can be reached, and speaks for no cluster that lives.
fn refuse_unless_lost<'a>(planner: &mut Planner<'a>, seen: &BTreeMap<MachineName, Observation>, name: &'a MachineName) {
    let rebuild = || Hint::RebuildPlain(Command::Rebuild { machine: name.clone(), take_over: false });
    let machine = &planner.inventory.machines[name.as_str()];
    if machine.role != Role::ControlPlane {
        planner.refuse(Some(name), Why::RestoreOfWorker, rebuild());
    } else if planner.inventory.control_planes().count() > 1 {
        planner.refuse(Some(name), Why::SeveralControlPlanes, rebuild());
    } else if let Some(Observation::Unreachable(_)) = seen.get(name) {
        planner.refuse(Some(name), Why::Unreachable, Hint::TurnOnOrReplace);
    } else if planner.api_via.is_some() {
        planner.refuse(Some(name), Why::ClusterLives, Hint::MendOrReset);
    } else if let Some(facts) = planner.facts.get(name)
        && facts.kubernetes.etcd_data
        && planner.joined(name)
        && broken(facts).is_none()
        && !is_of_another(planner, facts)
    {
        planner.refuse(Some(name), Why::DataThere, Hint::MoveDataAway);
    }
}

/// `next`, which begins on every machine only when all of `first` is done; nothing where `name`, without which there is no cluster, is
/// refused.
fn one_after_the_other(first: Plan, mut next: Plan, name: &MachineName) -> Plan {
    if next.refusals.iter().any(|refusal| refusal.machine.as_ref().is_none_or(|machine| machine == name)) {
        return without_steps(next);
    }
    let before: BTreeSet<StepId> = first.steps.iter().map(|step| step.id.clone()).collect();
    for step in &mut next.steps {
        step.needs.extend(before.iter().cloned());
    }
    next.steps.splice(0..0, first.steps);
    graph::reduce(&mut next.steps);
    next
}

/// Whether a cluster that is restored has the machine again, as it is: it joined before the snapshot was taken.
pub fn comes_back(planner: &Planner, snapshot: &Snapshot, name: &MachineName) -> bool {
    snapshot.nodes.contains(name.as_str()) && planner.joined(name) && !joined_since(snapshot, planner.facts.get(name).copied())
}

/// Whether the machine joined, or joined again, after the snapshot was taken.
pub fn joined_since(snapshot: &Snapshot, facts: Option<&Facts>) -> bool {
    let taken = snapshot.taken.parse::<Timestamp>().ok().map(Timestamp::as_second);
    let joined = facts.and_then(|facts| facts.kubernetes.joined_at);
    joined.zip(taken).is_some_and(|(joined, taken)| joined > taken)
}
