//! `--take-over`: a machine of another cluster, or with something of an earlier one, is wiped where the user named it, and then it is as if
//! it had been blank.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::check::{is_of_another, its_cluster};
use super::goal::steps_of;
use super::planner::{Planner, interrupted};
use super::wipe::{clear_wiped, wipe_step};
use super::{Goal, Plan, graph};
use crate::action::Action;
use crate::facts::{Facts, Observation};
use crate::inventory::{Inventory, MachineName};
use crate::manifest::Manifests;
use crate::protocol::wipe;
use crate::record::InProgress;
use crate::step::{StepId, StepKind};
use crate::words::and;

/// The wipes that `goal` takes, and the plan for it. A machine that has nothing of others, or that is out of reach, is `goal`'s alone; what
/// the goal will not bring in is not wiped.
///
/// # Errors
/// As [`plan_for`](super::plan_for).
pub fn plan(
    machines: &BTreeSet<MachineName>,
    goal: &Goal,
    inventory: &Inventory,
    manifests: &Manifests,
    seen: &BTreeMap<MachineName, Observation>,
) -> Result<Plan> {
    let mut planner = Planner::new(inventory, manifests, seen);
    let mut cleared = seen.clone();
    for (name, _) in planner.machines().filter(|(name, _)| machines.contains(*name)) {
        let Some(facts) = planner.facts.get(name).copied() else { continue };
        let Some(what) = what(&planner, facts) else { continue };
        if facts.kubernetes.control_plane {
            planner.warn(
                Some(name),
                format!("taking over this machine removes a control plane from the other cluster ({})", its_cluster(facts)),
            );
        }
        let reason = format!("`--take-over` names this machine, which {what}: everything in {} will be deleted", and(&wipe::FOLDERS));
        if wipe_step(&mut planner, name, reason, []).is_some()
            && let Some(Observation::Facts(facts)) = cleared.get_mut(name)
        {
            clear_wiped(facts);
        }
    }
    let wipes = planner.finish();
    let mut plan = steps_of(goal, inventory, manifests, &cleared)?;
    let comes: BTreeSet<MachineName> = plan
        .steps
        .iter()
        .filter(|step| matches!(step.action, Action::Init(_) | Action::Join(_) | Action::Restore(_)))
        .map(|step| step.machine.clone())
        .collect();
    let stays = |name: &MachineName| wipes.steps.iter().any(|step| step.machine == *name) && !comes.contains(name);
    let left: BTreeSet<StepId> = plan.steps.iter().filter(|step| stays(&step.machine)).map(|step| step.id.clone()).collect();
    plan.steps.retain(|step| !left.contains(&step.id));
    for step in &mut plan.steps {
        step.needs.retain(|need| !left.contains(need));
        let wipe = StepKind::Wipe.of(&step.machine);
        // The goal may have wipes of its own.
        if step.id != wipe {
            step.after.insert(wipe);
        }
    }
    // What the goal would have another verb do, that does only where it may take the machine over, too.
    for refusal in &mut plan.refusals {
        if let Some(name) = refusal.machine.as_ref().filter(|name| stays(name)) {
            refusal.hint = refusal.hint.clone().taking_over(name);
        }
    }
    plan.steps.splice(0..0, wipes.steps.into_iter().filter(|step| comes.contains(&step.machine)));
    graph::reduce(&mut plan.steps);
    graph::order(&mut plan.steps);
    // Why a machine is not wiped explains more than that it is as it is.
    let explained = |machine: &Option<MachineName>| wipes.refusals.iter().any(|refusal| refusal.machine == *machine);
    plan.refusals.retain(|refusal| !explained(&refusal.machine));
    plan.refusals.splice(0..0, wipes.refusals.iter().cloned());
    plan.warnings.extend(wipes.warnings.into_iter().filter(|warning| warning.machine.as_ref().is_none_or(|name| comes.contains(name))));
    Ok(plan)
}

/// What the machine has that is not this cluster's.
fn what(planner: &Planner, facts: &Facts) -> Option<String> {
    let kubernetes = &facts.kubernetes;
    if is_of_another(planner, facts) {
        let node = kubernetes.node.as_deref().map(|node| format!("is node {node} of ")).unwrap_or_else(|| "belongs to ".to_owned());
        Some(format!("{node}another cluster ({})", its_cluster(facts)))
    } else if facts.in_progress.contains(&InProgress::Wipe) {
        Some("has leftovers of an interrupted wipe".to_owned())
    } else if !kubernetes.joined && !kubernetes.leftovers.is_empty() && !interrupted(facts) {
        Some(format!("has leftovers of an earlier cluster ({})", kubernetes.leftovers.join(", ")))
    } else {
        None
    }
}
