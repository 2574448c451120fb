//! What a verb wants: `up` all that the inventory says; the others one machine in, anew, or out, or everything gone.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use super::check::{self, other_cluster};
use super::hint::{Command, Hint};
use super::leave::{facts_after_removal, plan_removal, plan_reset};
use super::planner::Planner;
use super::refusal::{Refusal, Why};
use super::reinstall::{Installation, Leaving};
use super::restore::{new_cluster, restore};
use super::system_disk::Installer;
use super::withdraw::withdraw;
use super::{
    Plan, Warning, admins, erase, everything, finding, graph, lint, plan, power, reinstall, relied, roles, rollback, take_over, upgrade,
};
use crate::action::power::OsPackages;
use crate::facts::{Observation, Snapshot};
use crate::inventory::{Inventory, MachineName};
use crate::manifest::Manifests;
use crate::step::{Stage, StepId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// Everything is as the inventory says.
    Up,
    /// One machine is in the cluster; the others stay as they are.
    Add(MachineName),
    /// One machine leaves the cluster as far as it is in it, is wiped as far as there is something to wipe, and joins anew.
    /// `force_after`: seconds after which no PodDisruptionBudget keeps its pods there; `None`: never.
    Rebuild { machine: MachineName, force_after: Option<u64> },
    /// One machine leaves the cluster, gets a new system, and joins anew.
    Reinstall { machine: MachineName, installation: Box<Installation>, leaving: Leaving },
    /// The same with all machines whose system is not of the image, one after the other.
    ReinstallAll { installations: BTreeMap<MachineName, Installation>, leaving: Leaving },
    /// One machine leaves the cluster, and the disk that its system is on is erased.
    Erase { machine: MachineName, installer: Box<Installer>, leaving: Leaving },
    /// The only control plane is made anew from a snapshot; nobody else is touched.
    Restore { machine: MachineName, snapshot: Snapshot },
    /// The cluster is lost for good: its machines begin a new one.
    NewCluster(MachineName),
    /// One machine leaves the cluster. `dead`: it will never be reached again. `force_after` as of [`Goal::Rebuild`].
    Remove { machine: MachineName, dead: bool, force_after: Option<u64> },
    /// The cluster runs this version of Kubernetes. `parallel`: how many workers may be away at once. `now`: films that are being encoded are
    /// let go. `force_after` as of [`Goal::Rebuild`].
    Upgrade { to: String, parallel: usize, now: bool, force_after: Option<u64> },
    /// What an upgrade that has not ended changed is put back. `continues`: what is left of a rollback of this run. `now` and `force_after` as of
    /// [`Goal::Upgrade`].
    RollBack { now: bool, force_after: Option<u64>, continues: bool },
    /// These machines are restarted, or those that need it if none is named. `now`: films that are being encoded are let go. `continues`: only
    /// those that this run has recorded. `packages`: these packages of the operating system are upgraded first; if no machine is named, on all.
    /// `force_after` as of [`Goal::Rebuild`].
    Reboot { machines: BTreeSet<MachineName>, packages: Option<OsPackages>, now: bool, force_after: Option<u64>, continues: bool },
    /// All machines are off. `now` as of [`Goal::Reboot`].
    Shutdown { now: bool },
    /// All machines are on, and the cluster does its work again.
    Start,
    /// No machine is in a cluster.
    Reset,
    /// Another goal, for which these machines are wiped of what is not this cluster's.
    TakeOver { machines: BTreeSet<MachineName>, goal: Box<Goal> },
}

impl Goal {
    /// Machines whose facts the goal needs; all for what concerns the whole cluster. For one machine: itself, and the control planes that stay.
    pub fn asks(&self, inventory: &Inventory) -> BTreeSet<MachineName> {
        let one = match self {
            Goal::Up
            | Goal::Upgrade { .. }
            | Goal::RollBack { .. }
            | Goal::Reset
            | Goal::Restore { .. }
            | Goal::NewCluster(_)
            | Goal::ReinstallAll { .. }
            | Goal::Reboot { .. }
            | Goal::Shutdown { .. }
            | Goal::Start => {
                return inventory.machines.keys().cloned().collect();
            }
            // What is gone for good is not asked, whoever answers in its place.
            Goal::Remove { machine: name, dead: true, .. } => {
                return inventory.control_planes().map(|(other, _)| other).filter(|other| *other != name).cloned().collect();
            }
            Goal::Add(name)
            | Goal::Rebuild { machine: name, .. }
            | Goal::Reinstall { machine: name, .. }
            | Goal::Erase { machine: name, .. }
            | Goal::Remove { machine: name, .. } => name,
            Goal::TakeOver { machines, goal } => return &goal.asks(inventory) | machines,
        };
        inventory.control_planes().map(|(name, _)| name).chain([one]).cloned().collect()
    }

    /// Whether it brings the machine in, or sees to it that it is as it should be.
    pub(super) fn changes(&self, name: &MachineName) -> bool {
        match self {
            Goal::Up | Goal::Upgrade { .. } | Goal::RollBack { .. } | Goal::NewCluster(_) => true,
            Goal::Add(machine) | Goal::Rebuild { machine, .. } | Goal::Restore { machine, .. } => machine == name,
            // What is unusual about the old system goes with it.
            Goal::Reinstall { .. } | Goal::ReinstallAll { .. } => false,
            Goal::Erase { .. } | Goal::Remove { .. } | Goal::Reset | Goal::Reboot { .. } | Goal::Shutdown { .. } | Goal::Start => false,
            Goal::TakeOver { machines, goal } => machines.contains(name) || goal.changes(name),
        }
    }

    /// The version of Kubernetes that it asks for, whichever runs.
    pub fn version(&self) -> Option<&str> {
        match self {
            Goal::Upgrade { to, .. } => Some(to),
            Goal::TakeOver { goal, .. } => goal.version(),
            _ => None,
        }
    }

    /// Whether its plan may bring programs or images to a machine, so that a bundle is needed for it.
    pub fn installs(&self) -> bool {
        match self {
            Goal::Remove { .. } | Goal::Erase { .. } | Goal::Reset | Goal::Reboot { .. } | Goal::Shutdown { .. } | Goal::Start => false,
            Goal::Up
            | Goal::Add(_)
            | Goal::Rebuild { .. }
            | Goal::Reinstall { .. }
            | Goal::ReinstallAll { .. }
            | Goal::Restore { .. }
            | Goal::NewCluster(_)
            | Goal::Upgrade { .. }
            | Goal::RollBack { .. } => true,
            Goal::TakeOver { goal, .. } => goal.installs(),
        }
    }

    /// What machines are asked for, beside what every verb asks for.
    pub fn questions(&self) -> Questions {
        match self {
            Goal::Reinstall { .. } | Goal::ReinstallAll { .. } | Goal::Erase { .. } => Questions { system: true, requests: false },
            Goal::Upgrade { .. } => Questions { system: false, requests: true },
            Goal::TakeOver { goal, .. } => goal.questions(),
            _ => Questions::default(),
        }
    }

    /// Whether nothing of the machines that it is about answers once it is reached.
    pub fn ends_off(&self) -> bool {
        matches!(self, Goal::Shutdown { .. } | Goal::Erase { .. })
    }

    /// Whether its plan may take away what `up` could not bring back by itself.
    pub fn may_destroy(&self) -> bool {
        !matches!(self, Goal::Up | Goal::Add(_))
    }

    /// Whether the record's verification must be withdrawn before a change. A removal needs it not: what is on record names the machines that
    /// were verified, and vouches for no fewer.
    fn withdraws(&self) -> bool {
        match self {
            Goal::Restore { .. } | Goal::NewCluster(_) | Goal::Reset | Goal::Remove { .. } | Goal::Erase { .. } | Goal::Shutdown { .. } => {
                false
            }
            Goal::TakeOver { goal, .. } => goal.withdraws(),
            Goal::Up
            | Goal::Add(_)
            | Goal::Rebuild { .. }
            | Goal::Reinstall { .. }
            | Goal::ReinstallAll { .. }
            | Goal::Upgrade { .. }
            | Goal::RollBack { .. }
            | Goal::Reboot { .. }
            | Goal::Start => true,
        }
    }

    /// Whether an API server that denies what it is asked for keeps it from nothing, or is mended by it.
    fn needs_no_api(&self) -> bool {
        match self {
            Goal::Up | Goal::Restore { .. } | Goal::NewCluster(_) | Goal::Reset => true,
            Goal::TakeOver { goal, .. } => goal.needs_no_api(),
            _ => false,
        }
    }

    /// What is left to want when the plan for the goal was carried out: a rebuilt machine is not rebuilt again.
    #[must_use]
    pub fn next_goal(self) -> Goal {
        match self {
            Goal::Rebuild { machine, .. } | Goal::Reinstall { machine, .. } | Goal::Restore { machine, .. } => Goal::Add(machine),
            Goal::NewCluster(_) => Goal::Up,
            Goal::Reboot { machines, packages, now, force_after, .. } => {
                Goal::Reboot { machines, packages, now, force_after, continues: true }
            }
            Goal::RollBack { now, force_after, .. } => Goal::RollBack { now, force_after, continues: true },
            Goal::TakeOver { goal, .. } => goal.next_goal(),
            goal => goal,
        }
    }
}

/// What only some goals ask machines for, as it takes time: fields of [`Question`](crate::facts::Question).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Questions {
    pub system: bool,
    pub requests: bool,
}

/// What it takes to reach `goal`. Pure, as [`plan`].
///
/// # Errors
/// Only a defect: a template that can't be filled in, or a plan that [`lint`] finds something wrong with.
pub fn plan_for(goal: &Goal, inventory: &Inventory, manifests: &Manifests, seen: &BTreeMap<MachineName, Observation>) -> Result<Plan> {
    let mut plan = steps_for(goal, inventory, manifests, seen)?;
    let texts = inventory.warnings.iter().cloned().chain(relied::warnings(inventory));
    let about_all = texts.map(|text| Warning { machine: None, text });
    plan.warnings.splice(0..0, about_all);
    let planner = Planner::new(inventory, manifests, seen);
    plan.findings = finding::findings(goal, &planner, &plan);
    plan.unreachable = planner.not_reached();
    let asked = goal.asks(inventory);
    plan.reached = asked.iter().filter(|name| seen.get(*name).is_some_and(|observation| observation.facts().is_some())).count();
    let wrong: Vec<String> = lint(goal, &plan).iter().map(ToString::to_string).collect();
    ensure!(wrong.is_empty(), "this plan is inconsistent: {}", wrong.join("; "));
    Ok(plan)
}

fn steps_for(goal: &Goal, inventory: &Inventory, manifests: &Manifests, seen: &BTreeMap<MachineName, Observation>) -> Result<Plan> {
    let mut refusals = check::at_work(inventory, seen);
    refusals.extend(roles::control_plane_elsewhere(inventory, seen));
    if !goal.needs_no_api() {
        refusals.extend(admins::refused(inventory, seen));
    }
    if !refusals.is_empty() {
        return Ok(Plan { schema: 1, refusals, ..Plan::default() });
    }
    let plan = steps_of(goal, inventory, manifests, seen)?;
    let plan = with_what_stops_up(goal, inventory, manifests, seen, plan)?;
    Ok(if goal.withdraws() { withdraw(&Planner::new(inventory, manifests, seen), plan) } else { plan })
}

/// Where a refusal sends to `hostler up`, and that would be refused, too: what it says is said here, so that nobody is sent from one to the
/// other.
fn with_what_stops_up(
    goal: &Goal,
    inventory: &Inventory,
    manifests: &Manifests,
    seen: &BTreeMap<MachineName, Observation>,
    mut plan: Plan,
) -> Result<Plan> {
    let sends = |refusal: &Refusal| refusal.hint.commands().first() == Some(&Command::Up);
    if *goal == Goal::Up || !plan.refusals.iter().any(sends) {
        return Ok(plan);
    }
    let mut up = steps_of(&Goal::Up, inventory, manifests, seen)?;
    // These manifests are of the version to upgrade to; `up` would take those of the running one.
    up.refusals.retain(|refusal| goal.version().is_none() || !matches!(refusal.why, Why::BundleVersion { .. }));
    if up.steps.is_empty() && !up.refusals.is_empty() {
        // The same reason once, with what helps.
        let same = |refusal: &Refusal| up.refusals.iter().any(|other| (&other.machine, &other.why) == (&refusal.machine, &refusal.why));
        plan.refusals.retain(|refusal| !(sends(refusal) && same(refusal)));
        plan.refusals.iter_mut().filter(|refusal| sends(refusal)).for_each(|refusal| refusal.hint = Hint::SolveTheRest);
        let stops: Vec<Refusal> = up.refusals.into_iter().filter(|refusal| !plan.refusals.contains(refusal)).collect();
        plan.refusals.splice(0..0, stops);
    }
    Ok(plan)
}

pub(super) fn steps_of(
    goal: &Goal,
    inventory: &Inventory,
    manifests: &Manifests,
    seen: &BTreeMap<MachineName, Observation>,
) -> Result<Plan> {
    match goal {
        Goal::Up => plan(inventory, manifests, seen),
        Goal::Add(name) => plan_for_machine(inventory, manifests, seen, name),
        Goal::Remove { machine, dead, force_after } => {
            let mut planner = Planner::new(inventory, manifests, seen);
            planner.force_after = *force_after;
            plan_removal(&mut planner, seen, machine, *dead);
            Ok(planner.finish())
        }
        Goal::Rebuild { machine, force_after } => rebuild(inventory, manifests, seen, machine, *force_after),
        Goal::Reinstall { machine, installation, leaving } => reinstall::plan(inventory, manifests, seen, machine, installation, *leaving),
        Goal::ReinstallAll { installations, leaving } => reinstall::plan_all(inventory, manifests, seen, installations, *leaving),
        Goal::Erase { machine, installer, leaving } => erase::plan(inventory, manifests, seen, machine, installer, *leaving),
        Goal::Upgrade { parallel, now, force_after, .. } => {
            let mut planner = Planner::new(inventory, manifests, seen);
            (planner.force_after, planner.now, planner.parallel, planner.upgrades) = (*force_after, *now, *parallel, true);
            upgrade::plan(planner)
        }
        Goal::RollBack { now, force_after, continues } => {
            let mut planner = Planner::new(inventory, manifests, seen);
            (planner.force_after, planner.now, planner.upgrades) = (*force_after, *now, true);
            rollback::plan(planner, *continues)
        }
        Goal::Reboot { machines, packages, now, force_after, continues } => {
            let mut planner = Planner::new(inventory, manifests, seen);
            (planner.force_after, planner.now) = (*force_after, *now);
            power::reboot(planner, machines, *packages, *continues)
        }
        Goal::Shutdown { now } => {
            let mut planner = Planner::new(inventory, manifests, seen);
            planner.now = *now;
            power::shutdown(planner)
        }
        Goal::Start => power::start(Planner::new(inventory, manifests, seen)),
        Goal::Restore { machine, snapshot } => restore(inventory, manifests, seen, machine, snapshot),
        Goal::NewCluster(name) => new_cluster(inventory, manifests, seen, name),
        Goal::Reset => {
            let mut planner = Planner::new(inventory, manifests, seen);
            plan_reset(&mut planner);
            Ok(planner.finish())
        }
        Goal::TakeOver { machines, goal } => take_over::plan(machines, goal, inventory, manifests, seen),
    }
}

fn rebuild(
    inventory: &Inventory,
    manifests: &Manifests,
    seen: &BTreeMap<MachineName, Observation>,
    name: &MachineName,
    force_after: Option<u64>,
) -> Result<Plan> {
    let mut planner = Planner::new(inventory, manifests, seen);
    planner.force_after = force_after;
    let hint = check::take_over(&planner, name);
    let another = planner.facts.get(name).copied().is_some_and(|facts| other_cluster(&mut planner, name, facts, hint));
    if !another {
        plan_removal(&mut planner, seen, name, true);
    }
    let mut whole = planner.finish();
    if !whole.refusals.is_empty() {
        return Ok(whole);
    }
    let left: BTreeSet<StepId> = whole.steps.iter().map(|step| step.id.clone()).collect();
    let mut back = plan_for_machine(inventory, manifests, &facts_after_removal(inventory, seen, name), name)?;
    // What can't come back is not taken out.
    if seen.get(name).is_some_and(|observation| observation.facts().is_some())
        && back.refusals.iter().any(|refusal| refusal.machine.as_ref() == Some(name))
    {
        return Ok(Plan { steps: Vec::new(), ..back });
    }
    for step in &mut back.steps {
        // The machine comes back only when nothing of it is left, here and in the cluster; and what is left is verified.
        if step.machine == *name || step.stage == Stage::Verify {
            step.needs.extend(left.iter().cloned());
        }
    }
    whole.steps.extend(back.steps);
    graph::reduce(&mut whole.steps);
    graph::order(&mut whole.steps);
    whole.refusals = back.refusals;
    whole.warnings.extend(back.warnings);
    if let Some(Observation::Unreachable(_)) = seen.get(name) {
        whole.warnings.retain(|warning| warning.machine.as_ref() != Some(name));
        let text = format!(
            "the machine can't be reached, so only the cluster is cleaned up now; once the machine is back, run `hostler rebuild {name}` again"
        );
        whole.warnings.push(Warning { machine: Some(name.clone()), text });
    }
    Ok(whole)
}

/// A plan that changes one machine alone; of the others it takes no more than the source to the cluster, and the verification.
pub(super) fn plan_for_machine(
    inventory: &Inventory,
    manifests: &Manifests,
    seen: &BTreeMap<MachineName, Observation>,
    name: &MachineName,
) -> Result<Plan> {
    let mut planner = Planner::new(inventory, manifests, seen);
    planner.only = Some(name);
    Ok(about_machine(everything(planner)?, name))
}

/// The plan without what is to be said of other machines.
pub(super) fn about_machine(mut plan: Plan, name: &MachineName) -> Plan {
    let concerns = |machine: &Option<MachineName>| machine.as_ref().is_none_or(|machine| machine == name);
    plan.refusals.retain(|refusal| concerns(&refusal.machine));
    plan.warnings.retain(|warning| concerns(&warning.machine));
    plan
}
