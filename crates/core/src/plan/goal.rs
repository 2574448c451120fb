//! What a verb wants: `up` all that the inventory says; the others one machine in, anew, or out, or everything gone.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use super::check::{self, is_of_another, its_cluster, other_cluster};
use super::hint::{Command, Hint};
use super::planner::{Planner, interrupted};
use super::refusal::Why;
use super::wanted;
use super::{Plan, Warning, everything, finding, gate, graph, lint, plan, take_over};
use crate::action::cluster::{DeleteNode, Drain, RemoveMember};
use crate::action::machine::Wipe;
use crate::facts::Snapshot;
use crate::facts::{ClusterFacts, Facts, KubernetesFacts, Observation, peer_url};
use crate::inventory::{Inventory, MachineName, Role};
use crate::manifest::Manifest;
use crate::protocol::{self, wipe};
use crate::record::Record;
use crate::step::{Need, Stage, StepId, StepKind};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// Everything is as the inventory says.
    Up,
    /// One machine is in the cluster; the others stay as they are.
    Add(MachineName),
    /// One machine leaves the cluster as far as it is in it, is wiped as far as there is something to wipe, and joins anew.
    /// `force_after`: seconds after which no PodDisruptionBudget keeps its pods there; `None`: never.
    Rebuild { machine: MachineName, force_after: Option<u64> },
    /// The only control plane is made anew from a snapshot; nobody else is touched.
    Restore { machine: MachineName, snapshot: Snapshot },
    /// The cluster is lost for good: its machines begin a new one.
    NewCluster(MachineName),
    /// One machine leaves the cluster. `dead`: it will never be reached again. `force_after` as of [`Goal::Rebuild`].
    Remove { machine: MachineName, dead: bool, force_after: Option<u64> },
    /// No machine is in a cluster.
    Reset,
    /// Another goal, for which these machines are wiped of what is not this cluster's.
    TakeOver { machines: BTreeSet<MachineName>, goal: Box<Goal> },
}

/// Whether a wipe takes the file away.
pub fn wiped(path: &str) -> bool {
    goes(path).is_some()
}

/// What a wipe takes away that holds the path, or is below it.
fn goes(path: &str) -> Option<&'static str> {
    protocol::wiped().find(|wiped| overlap(path, wiped))
}

impl Goal {
    /// Machines whose facts the goal needs; all for what concerns the whole cluster. For one machine: itself, and the control planes that stay.
    pub fn asks(&self, inventory: &Inventory) -> BTreeSet<MachineName> {
        let one = match self {
            Goal::Up | Goal::Reset | Goal::Restore { .. } | Goal::NewCluster(_) => return inventory.machines.keys().cloned().collect(),
            Goal::Add(name) | Goal::Rebuild { machine: name, .. } | Goal::Remove { machine: name, .. } => name,
            Goal::TakeOver { machines, goal } => return &goal.asks(inventory) | machines,
        };
        inventory.control_planes().map(|(name, _)| name).chain([one]).cloned().collect()
    }

    /// Whether it brings the machine in, or sees to it that it is as it should be.
    pub(super) fn changes(&self, name: &MachineName) -> bool {
        match self {
            Goal::Up | Goal::NewCluster(_) => true,
            Goal::Add(machine) | Goal::Rebuild { machine, .. } | Goal::Restore { machine, .. } => machine == name,
            Goal::Remove { .. } | Goal::Reset => false,
            Goal::TakeOver { machines, goal } => machines.contains(name) || goal.changes(name),
        }
    }

    /// Whether its plan may take away what `up` could not bring back by itself.
    pub fn may_destroy(&self) -> bool {
        !matches!(self, Goal::Up | Goal::Add(_))
    }

    /// What is left to want when the plan for the goal was carried out: a rebuilt machine is not rebuilt again.
    #[must_use]
    pub fn then(self) -> Goal {
        match self {
            Goal::Rebuild { machine, .. } | Goal::Restore { machine, .. } => Goal::Add(machine),
            Goal::NewCluster(_) => Goal::Up,
            Goal::TakeOver { goal, .. } => goal.then(),
            goal => goal,
        }
    }
}

/// What it takes to reach `goal`. Pure, as [`plan`].
///
/// # Errors
/// Only a defect: a template that can't be filled in, or a plan that [`lint`] finds something wrong with.
pub fn plan_for(goal: &Goal, inventory: &Inventory, manifest: &Manifest, seen: &BTreeMap<MachineName, Observation>) -> Result<Plan> {
    let mut plan = steps_for(goal, inventory, manifest, seen)?;
    plan.findings = finding::findings(goal, &Planner::new(inventory, manifest, seen), &plan);
    let wrong: Vec<String> = lint(goal, &plan).iter().map(ToString::to_string).collect();
    ensure!(wrong.is_empty(), "this plan is wrong: {}", wrong.join("; "));
    Ok(plan)
}

pub(super) fn steps_for(
    goal: &Goal,
    inventory: &Inventory,
    manifest: &Manifest,
    seen: &BTreeMap<MachineName, Observation>,
) -> Result<Plan> {
    let refusals = check::at_work(inventory, seen);
    if !refusals.is_empty() {
        return Ok(Plan { schema: 1, refusals, ..Plan::default() });
    }
    match goal {
        Goal::Up => plan(inventory, manifest, seen),
        Goal::Add(name) => only(inventory, manifest, seen, name),
        Goal::Remove { machine, dead, force_after } => {
            let mut planner = Planner::new(inventory, manifest, seen);
            planner.force_after = *force_after;
            leave(&mut planner, seen, machine, *dead);
            Ok(planner.finish())
        }
        Goal::Rebuild { machine, force_after } => rebuild(inventory, manifest, seen, machine, *force_after),
        Goal::Restore { machine, snapshot } => restore(inventory, manifest, seen, machine, snapshot),
        Goal::NewCluster(name) => new_cluster(inventory, manifest, seen, name),
        Goal::Reset => {
            let mut planner = Planner::new(inventory, manifest, seen);
            reset(&mut planner);
            Ok(planner.finish())
        }
        Goal::TakeOver { machines, goal } => take_over::plan(machines, goal, inventory, manifest, seen),
    }
}

fn rebuild(
    inventory: &Inventory,
    manifest: &Manifest,
    seen: &BTreeMap<MachineName, Observation>,
    name: &MachineName,
    force_after: Option<u64>,
) -> Result<Plan> {
    let mut planner = Planner::new(inventory, manifest, seen);
    planner.force_after = force_after;
    let hint = check::take_over(&planner, name);
    let another = planner.facts.get(name).copied().is_some_and(|facts| other_cluster(&mut planner, name, facts, hint));
    if !another {
        leave(&mut planner, seen, name, true);
    }
    let mut whole = planner.finish();
    if !whole.refusals.is_empty() {
        return Ok(whole);
    }
    let left: BTreeSet<StepId> = whole.steps.iter().map(|step| step.id.clone()).collect();
    let mut back = only(inventory, manifest, &without(inventory, seen, name), name)?;
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
    if let Some(Observation::Unreachable(why)) = seen.get(name) {
        whole.warnings.retain(|warning| warning.machine.as_ref() != Some(name));
        whole.warnings.push(Warning {
            machine: Some(name.clone()),
            text: format!(
                "it can't be reached ({why}): only the cluster is cleaned up now; `hostler rebuild {name}` goes on when it is back"
            ),
        });
    }
    Ok(whole)
}

/// The only control plane anew from `snapshot`: what is left of it is wiped, and then it is as if there had never been any.
fn restore(
    inventory: &Inventory,
    manifest: &Manifest,
    seen: &BTreeMap<MachineName, Observation>,
    name: &MachineName,
    snapshot: &Snapshot,
) -> Result<Plan> {
    let mut planner = Planner::new(inventory, manifest, seen);
    lost(&mut planner, seen, name);
    for (machine, facts) in planner.facts.clone() {
        if facts.kubernetes.joined && !interrupted(facts) && facts.kubernetes.ca.as_ref() != Some(&snapshot.ca) {
            planner.refuse(Some(machine), Why::OtherSnapshot { file: snapshot.file.clone() }, Hint::RightSnapshot);
        }
    }
    wipe(&mut planner, name);
    let whole = planner.finish();
    if !whole.refusals.is_empty() {
        return Ok(nothing_of(whole));
    }
    let unknown = unknown_to(snapshot, inventory, seen, name);
    let seen = without(inventory, seen, name);
    let mut planner = Planner::new(inventory, manifest, &seen);
    planner.only = Some(name);
    planner.restore = Some(snapshot);
    let mut plan = after(whole, concerning(everything(planner)?, name), name);
    plan.warnings.extend(unknown);
    Ok(plan)
}

/// What a restored cluster will not know of.
fn unknown_to(snapshot: &Snapshot, inventory: &Inventory, seen: &BTreeMap<MachineName, Observation>, lost: &MachineName) -> Vec<Warning> {
    let text = format!("changes since {} are not in the snapshot", snapshot.taken);
    let newer = inventory.machines.keys().filter(|name| *name != lost && !snapshot.nodes.contains(name.as_str())).filter_map(|name| {
        let Some(Observation::Facts(facts)) = seen.get(name) else { return None };
        let text = format!("the snapshot has no node {name}, which joined later: `hostler rebuild {name}` joins it again afterwards");
        facts.kubernetes.joined.then(|| Warning { machine: Some(name.clone()), text })
    });
    std::iter::once(Warning { machine: None, text }).chain(newer).collect()
}

/// A cluster that is lost for good is taken off every machine that can be reached, and made anew.
fn new_cluster(inventory: &Inventory, manifest: &Manifest, seen: &BTreeMap<MachineName, Observation>, name: &MachineName) -> Result<Plan> {
    let mut planner = Planner::new(inventory, manifest, seen);
    lost(&mut planner, seen, name);
    for machine in inventory.machines.keys() {
        if let Some(facts) = planner.facts.get(machine).copied()
            && !other_cluster(&mut planner, machine, facts, Hint::TakeOutOfEither)
        {
            wipe(&mut planner, machine);
        }
    }
    let whole = planner.finish();
    if !whole.refusals.is_empty() {
        return Ok(nothing_of(whole));
    }
    let mut blank = seen.clone();
    for machine in inventory.machines.keys() {
        blank = without(inventory, &blank, machine);
    }
    Ok(after(whole, everything(Planner::new(inventory, manifest, &blank))?, name))
}

/// A refusal blocks what depends on it only: here that is all, as nothing must be wiped for a cluster that will not come back.
fn nothing_of(plan: Plan) -> Plan {
    Plan { steps: Vec::new(), ..plan }
}

/// Refuses unless `name` is the inventory's only control plane, can be reached, and speaks for no cluster that lives.
fn lost<'a>(planner: &mut Planner<'a>, seen: &BTreeMap<MachineName, Observation>, name: &'a MachineName) {
    let rebuild = || Hint::RebuildPlain(Command::Rebuild { machine: name.clone(), take_over: false });
    let machine = &planner.inventory.machines[name.as_str()];
    if machine.role != Role::ControlPlane {
        planner.refuse(Some(name), Why::RestoreOfWorker, rebuild());
    } else if planner.inventory.control_planes().count() > 1 {
        planner.refuse(Some(name), Why::SeveralControlPlanes, rebuild());
    } else if let Some(Observation::Unreachable(why)) = seen.get(name) {
        planner.refuse(Some(name), Why::Unreachable { reason: why.clone() }, Hint::TurnOnOrReplace);
    } else if planner.speaker.is_some() {
        planner.refuse(Some(name), Why::ClusterLives, Hint::MendOrReset);
    }
}

/// Whatever there is of a cluster on `name` is wiped, unless the user keeps some of it.
fn wipe<'a>(planner: &mut Planner<'a>, name: &'a MachineName) {
    if planner.facts.get(name).is_some_and(|facts| to_wipe(facts)) {
        blank(planner, name, "it holds state of a cluster", []);
    }
}

/// The wipe of a machine of the inventory. Nothing below what the user keeps, or what is mounted there, may go: refused, and `None`.
pub(super) fn blank<'a>(
    planner: &mut Planner<'a>,
    name: &'a MachineName,
    reason: impl Into<String>,
    needs: impl IntoIterator<Item = Need>,
) -> Option<StepId> {
    let keep = planner.inventory.machines.get(name).map(|machine| machine.keep.clone()).unwrap_or_default();
    if kept(planner, name, &keep) {
        return None;
    }
    Some(planner.step(StepKind::Wipe.of(name), name, reason, Wipe { keep }, needs))
}

/// Whether something is in the way of a wipe, which is refused then.
fn kept<'a>(planner: &mut Planner<'a>, name: &'a MachineName, keep: &[String]) -> bool {
    if let Some((kept, wiped)) = keep.iter().find_map(|kept| goes(kept).map(|wiped| (kept, wiped))) {
        planner.refuse(Some(name), Why::Keep { kept: kept.clone(), wiped }, Hint::MoveKept);
        return true;
    }
    let mounts: &[String] = planner.facts.get(name).map_or(&[], |facts| &facts.mounts);
    if let Some((mounted, wiped)) = mounts.iter().find_map(|path| goes(path).map(|wiped| (path, wiped))) {
        planner.refuse(Some(name), Why::Mounted { mounted: mounted.clone(), wiped }, Hint::Unmount { path: mounted.clone() });
        return true;
    }
    false
}

/// `next`, which begins on every machine only when all of `first` is done; nothing where `name`, without which there is no cluster, is
/// refused.
fn after(first: Plan, mut next: Plan, name: &MachineName) -> Plan {
    if next.refusals.iter().any(|refusal| refusal.machine.as_ref().is_none_or(|machine| machine == name)) {
        return nothing_of(next);
    }
    let before: BTreeSet<StepId> = first.steps.iter().map(|step| step.id.clone()).collect();
    for step in &mut next.steps {
        step.needs.extend(before.iter().cloned());
    }
    next.steps.splice(0..0, first.steps);
    graph::reduce(&mut next.steps);
    next
}

/// The facts as they will be when `name` has left.
fn without(inventory: &Inventory, seen: &BTreeMap<MachineName, Observation>, name: &MachineName) -> BTreeMap<MachineName, Observation> {
    let mut seen = seen.clone();
    let peer = inventory.machines.get(name).map(|machine| peer_url(&machine.address.to_string())).unwrap_or_default();
    for (machine, observation) in &mut seen {
        let Observation::Facts(facts) = observation else { continue };
        if machine == name {
            if to_wipe(facts) {
                forget(facts);
            }
            facts.cluster = None;
        } else if let Some(cluster) = &mut facts.cluster {
            cluster.nodes.remove(name.as_str());
            cluster.members.retain(|_, member| member.peer != peer && member.name != name.as_str());
            cluster.record.remove(&Record::Node(name.clone()));
        }
    }
    seen
}

/// The facts as they will be after a wipe.
pub(super) fn forget(facts: &mut Facts) {
    facts.kubernetes = KubernetesFacts::default();
    facts.cluster = None;
    facts.api_down = None;
    facts.applied.clear();
    facts.in_progress.clear();
    facts.files.retain(|path, _| !wiped(path));
    facts.units.retain(|unit, _| !wipe::UNITS.contains(&unit.as_str()));
    wanted::leave_ports(facts);
}

/// A plan that changes one machine alone; of the others it takes no more than the door to the cluster, and the verification.
fn only(inventory: &Inventory, manifest: &Manifest, seen: &BTreeMap<MachineName, Observation>, name: &MachineName) -> Result<Plan> {
    let mut planner = Planner::new(inventory, manifest, seen);
    planner.only = Some(name);
    Ok(concerning(everything(planner)?, name))
}

/// The plan without what is to be said of other machines.
fn concerning(mut plan: Plan, name: &MachineName) -> Plan {
    let concerns = |machine: &Option<MachineName>| machine.as_ref().is_none_or(|machine| machine == name);
    plan.refusals.retain(|refusal| concerns(&refusal.machine));
    plan.warnings.retain(|warning| concerns(&warning.machine));
    plan
}

/// The steps by which `name` leaves the cluster. `dead`: it need not be reachable.
fn leave<'a>(planner: &mut Planner<'a>, seen: &'a BTreeMap<MachineName, Observation>, name: &'a MachineName, dead: bool) {
    let facts = planner.facts.get(name).copied();
    let another = facts.is_some_and(|facts| is_of_another(planner, facts));
    let wipe = facts.filter(|facts| to_wipe(facts) && !another);
    let machine = planner.inventory.machines.get(name);
    let control_plane =
        machine.is_some_and(|machine| machine.role == Role::ControlPlane) || facts.is_some_and(|facts| facts.kubernetes.control_plane);
    let others = planner.inventory.control_planes().filter(|(other, _)| *other != name).count();
    let speaker = planner.speakers().find(|(other, _)| *other != name);
    if facts.is_none() && !dead {
        let why = match seen.get(name) {
            Some(Observation::Unreachable(why)) => why.as_str(),
            _ => "it was not asked",
        };
        let remove = Command::Remove { node: name.to_string(), dead: true };
        planner.refuse(Some(name), Why::Unreachable { reason: why.to_owned() }, Hint::TurnOnOrRemove(remove));
        return;
    }
    if let Some(facts) = facts.filter(|_| another) {
        if !dead {
            let hint = Hint::ForgetOnly(Command::Remove { node: name.to_string(), dead: true });
            other_cluster(planner, name, facts, hint);
            return;
        }
        planner.warn(Some(name), format!("it belongs to another cluster now ({}), and is left as it is", its_cluster(facts)));
    }
    let Some((speaker, cluster)) = speaker else {
        if control_plane && others == 0 {
            planner.refuse(Some(name), Why::LastControlPlane, Hint::LoseOnlyControlPlane);
        } else {
            planner.refuse(None, Why::NoApiToLeave, Hint::BringControlPlanesBack { look: false });
        }
        return;
    };
    let keep = machine.map(|machine| machine.keep.clone()).unwrap_or_default();
    if kept(planner, name, &keep) {
        return;
    }
    // The cluster knows best by which address it knows the machine.
    let address = (cluster.nodes.get(name.as_str()).map(|node| node.address.clone()))
        .filter(|address| !address.is_empty())
        .or_else(|| machine.map(|machine| machine.address.to_string()))
        .unwrap_or_default();
    let member = cluster.members.values().find(|member| member.peer == peer_url(&address));
    if member.is_some() && !quorum(planner, cluster, name, &address) {
        return;
    }
    if gate::gate(planner) == Some(name) {
        let host = planner.inventory.cluster.endpoint.host();
        planner.warn(Some(name), format!("{host} resolves to this machine: while it is down, no other machine reaches the API by that name; if it is gone for good, remove it from the inventory and run `hostler up`"));
    }
    out(planner, (speaker, cluster), name, &address, member.is_some(), wipe, keep);
}

/// Whether the machine has something of this cluster, or of one that hostler began on it.
fn to_wipe(facts: &Facts) -> bool {
    facts.kubernetes.joined || interrupted(facts)
}

/// The steps themselves, where nothing speaks against them.
fn out(
    planner: &mut Planner,
    (speaker, cluster): (&MachineName, &ClusterFacts),
    name: &MachineName,
    address: &str,
    member: bool,
    wipe: Option<&Facts>,
    keep: Vec<String>,
) {
    let node = cluster.nodes.get(name.as_str());
    let mut before: Vec<Need> = Vec::new();
    if node.is_some_and(|node| node.ready) && wipe.is_some() {
        before.push(Need::Step(planner.step(
            StepKind::Drain.of(name),
            speaker,
            format!("{name} leaves the cluster"),
            Drain { node: name.to_string(), force_after: planner.force_after },
            [],
        )));
    }
    if member {
        let action = RemoveMember { node: name.to_string(), address: address.to_owned() };
        before.push(Need::Step(planner.step(
            StepKind::RemoveMember.of(name),
            speaker,
            format!("{name} is an etcd member"),
            action,
            before.clone(),
        )));
    }
    if wipe.is_some() {
        before.push(Need::Step(planner.step(StepKind::Wipe.of(name), name, "it holds state of a cluster", Wipe { keep }, before.clone())));
    }
    // A kubelet that still has its certificate may have registered a node again since the cluster was asked: only after the wipe is none left
    // that could, and `kubeadm join` refuses a name that is there and Ready.
    if node.is_some() || wipe.is_some() {
        let reason =
            if node.is_some() { format!("the cluster has a node {name}") } else { format!("{name} may have registered its node again") };
        let action = DeleteNode { node: name.clone() };
        planner.step(StepKind::DeleteNode.of(name), speaker, reason, action, before);
    }
}

/// Whether etcd can do without the member at `address`; refuses otherwise.
fn quorum<'a>(planner: &mut Planner<'a>, cluster: &ClusterFacts, name: &'a MachineName, address: &str) -> bool {
    let voters: Vec<_> = cluster.members.values().filter(|member| !member.learner).collect();
    let healthy = |member: &&&crate::facts::MemberFact| member.healthy;
    let now = voters.iter().filter(healthy).count();
    let left: Vec<_> = voters.iter().filter(|member| member.peer != peer_url(address)).collect();
    let then = left.iter().filter(|member| member.healthy).count();
    if now > voters.len() / 2 && then > left.len() / 2 {
        return true;
    }
    let sick: Vec<String> = left.iter().filter(|member| !member.healthy).map(|member| member.name.clone()).collect();
    planner.refuse(Some(name), Why::Quorum { healthy: then, members: left.len(), down: sick }, Hint::MendMembers);
    false
}

fn overlap(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim_end_matches('/'), b.trim_end_matches('/'));
    a == b || a.starts_with(&format!("{b}/")) || b.starts_with(&format!("{a}/"))
}

fn reset(planner: &mut Planner) {
    // Workers first: while the control planes stand, kubeadm reset can end their pods in order.
    let mut before = Vec::new();
    for role in [Role::Worker, Role::ControlPlane] {
        let mut these: Vec<Need> = Vec::new();
        for (name, _) in planner.machines().filter(|(_, machine)| machine.role == role) {
            let Some(facts) = planner.facts.get(name).copied() else {
                planner.warn(Some(name), "can't be reached, left as it is");
                continue;
            };
            if !to_wipe(facts) && facts.kubernetes.leftovers.is_empty() {
                continue;
            }
            if other_cluster(planner, name, facts, Hint::LeaveAsItIs) {
                continue;
            }
            these.extend(blank(planner, name, "it holds state of a cluster", before.clone()).map(Need::Step));
        }
        before = these;
    }
}
