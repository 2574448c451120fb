//! Machines that are restarted one after the other, or switched off together and on again. Which of them a run has begun with is on the cluster's
//! record, so that a run that was interrupted goes on with the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::Result;
use serde::Serialize;

use super::hint::{Command, Hint};
use super::planner::Planner;
use super::refusal::Why;
use super::turn::{has_elsewhere, let_films_end, make_way, yields_vip};
use super::{Plan, check, silence, verify};
use crate::action::cluster::{Cordon, RecordPower, Uncordon};
use crate::action::power::{OsPackages, PowerOff, Reboot, UpgradePackages};
use crate::facts::{ClusterFacts, Facts, NodeFact, is_boot};
use crate::inventory::{MachineName, Role};
use crate::record::{InProgress, Record};
use crate::step::{Need, StepKind};
use crate::trusted::ApiVia;
use crate::words;

const HALF_UPGRADED: &str = "an upgrade of the packages was interrupted";

/// What a machine is to do, and the boot in which it was to do it: [`Facts::boot`]. As the record has it: `reboot BOOT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PowerRecord {
    pub task: PowerTask,
    pub boot: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerTask {
    Reboot,
    /// Its packages are to be upgraded first.
    UpgradeAndReboot,
    /// They are upgraded, and the reboot is left.
    RebootUpgraded,
    Shutdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PowerChange {
    Reboot,
    Shutdown,
}

impl PowerTask {
    const ALL: [PowerTask; 4] = [PowerTask::Reboot, PowerTask::UpgradeAndReboot, PowerTask::RebootUpgraded, PowerTask::Shutdown];

    fn word(self) -> &'static str {
        match self {
            PowerTask::Reboot => "reboot",
            PowerTask::UpgradeAndReboot => "upgrade-and-reboot",
            PowerTask::RebootUpgraded => "reboot-upgraded",
            PowerTask::Shutdown => "shutdown",
        }
    }

    /// Whether a machine with this on record is one of a run that upgrades packages, or does not.
    fn is_of(self, upgrades: bool) -> bool {
        match self {
            PowerTask::Reboot => !upgrades,
            // Asked for again without packages, it is a reboot all the same.
            PowerTask::UpgradeAndReboot | PowerTask::RebootUpgraded => true,
            PowerTask::Shutdown => false,
        }
    }
}

impl PowerRecord {
    fn parse(text: &str) -> Option<PowerRecord> {
        let (word, boot) = text.split_once(' ')?;
        let task = PowerTask::ALL.into_iter().find(|task| task.word() == word)?;
        is_boot(boot).then(|| PowerRecord { task, boot: boot.to_owned() })
    }

    /// What the cluster has on record of the machine.
    pub fn of(cluster: &ClusterFacts, name: &MachineName) -> Option<PowerRecord> {
        PowerRecord::parse(cluster.record.get(&Record::Power(name.clone()))?)
    }

    pub fn change(&self) -> PowerChange {
        match self.task {
            PowerTask::Shutdown => PowerChange::Shutdown,
            PowerTask::Reboot | PowerTask::UpgradeAndReboot | PowerTask::RebootUpgraded => PowerChange::Reboot,
        }
    }
}

impl fmt::Display for PowerRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.task.word(), self.boot)
    }
}

/// What keeps a machine from being switched off, on or over: it is not that machine, or it can't be asked to.
fn is_another(why: &Why) -> bool {
    matches!(why, Why::OtherMachine { .. } | Why::OtherCluster { .. } | Why::NoSystemd)
}

/// What keeps a machine from being rebooted: an operation on it must come to its end first.
fn is_unfinished(why: &Why) -> bool {
    matches!(why, Why::WipeInterrupted | Why::RestoreInterrupted | Why::UpgradeInterrupted)
}

/// The machines that a reboot is about: those that an interrupted run has left, where any of `asked` is among them; else all of `asked`. If none
/// was named, those that need one, or all with `upgrades`: which of them have packages to upgrade is known only once they are asked. `continues`:
/// the run has recorded what it is about.
fn to_reboot(
    planner: &Planner,
    cluster: &ClusterFacts,
    asked: &BTreeSet<MachineName>,
    upgrades: bool,
    continues: bool,
) -> Vec<MachineName> {
    let begun = |name: &MachineName| PowerRecord::of(cluster, name).is_some_and(|record| record.task.is_of(upgrades));
    let due = |name: &MachineName| upgrades || planner.facts.get(name).is_some_and(|facts| facts.reboot_due.is_some());
    let is_asked = |name: &MachineName| if asked.is_empty() { due(name) || begun(name) } else { asked.contains(name) };
    // Workers first: a kernel that does not start is found out where that costs least.
    let in_order =
        [Role::Worker, Role::ControlPlane].into_iter().flat_map(|role| planner.machines().filter(move |(_, it)| it.role == role));
    let names: Vec<MachineName> = in_order.map(|(name, _)| name.clone()).filter(|name| is_asked(name)).collect();
    let left: Vec<MachineName> = names.iter().filter(|name| begun(name)).cloned().collect();
    if continues || !left.is_empty() { left } else { names }
}

/// The plan that restarts machines: [`to_reboot`] says which.
pub fn reboot(mut planner: Planner, asked: &BTreeSet<MachineName>, packages: Option<OsPackages>, continues: bool) -> Result<Plan> {
    check::look(&mut planner);
    planner.keep_refusals(|why| is_another(why) || is_unfinished(why));
    let no_cluster = ClusterFacts::default();
    let api_via = planner.api_via.map(|api_via| api_via.machine);
    if api_via.is_none() && planner.cluster_exists() {
        silence::explain(&mut planner);
        return Ok(planner.finish());
    }
    let cluster = planner.api_via.map_or(&no_cluster, |api_via| api_via.cluster);
    let machines = to_reboot(&planner, cluster, asked, packages.is_some(), continues);
    for (name, _) in planner.machines().filter(|(name, _)| !machines.contains(name)) {
        if PowerRecord::of(cluster, name).is_some_and(|record| record.change() == PowerChange::Reboot) {
            warn_of_reboot(&mut planner, name);
        }
    }
    refuse_unreachable(&mut planner, &machines);
    refuse_without_quorum(&mut planner, cluster, &machines, packages.is_some());
    if machines.iter().any(|name| planner.refused.contains(name)) {
        return Ok(planner.finish());
    }
    let upgrades = packages.is_some();
    let task = if upgrades { PowerTask::UpgradeAndReboot } else { PowerTask::Reboot };
    let mut before = api_via.map(|api_via| record(&mut planner, api_via, cluster, &machines, task)).unwrap_or_default();
    for name in &machines {
        let Some(facts) = planner.usable(name) else { continue };
        let node = cluster.nodes.get(name.as_str());
        let is_back = is_back(cluster, name, facts, upgrades);
        if !is_back {
            let half = is_half_upgraded(facts);
            // What an upgrade changed takes effect with a reboot, and where it changed nothing there is nothing to reboot for.
            let if_upgraded = upgrades && asked.is_empty() && facts.reboot_due.is_none() && !half;
            let reason = match (half, if_upgraded) {
                (true, _) => HALF_UPGRADED.to_owned(),
                (_, true) => "upgraded packages take effect after a reboot".to_owned(),
                _ => reason(facts, name),
            };
            match (api_via, node) {
                (Some(api_via), Some(node)) if node.ready => {
                    before = make_way(&mut planner, (api_via, cluster), name, &format!("{name} is about to be rebooted"), before);
                    if !has_elsewhere(&planner, cluster, name) {
                        planner.warn(Some(name), "the pods of this machine can't run on another node, so they stop during the reboot");
                    }
                }
                (_, Some(_)) => planner.warn(Some(name), "the node is not Ready, so the machine will be rebooted without a drain"),
                _ => {}
            }
            let control_plane = facts.kubernetes.control_plane && planner.joined(name);
            if control_plane && voters(cluster) < 3 {
                planner.warn(Some(name), "the API is unavailable during the reboot of this machine; pods on other machines keep running");
            }
            if upgrades || half {
                let reason = match half {
                    true => HALF_UPGRADED.to_owned(),
                    false => "you asked to upgrade the packages".to_owned(),
                };
                before = vec![planner.step(StepKind::UpgradePackages.of(name), name, reason, UpgradePackages { packages }, before).into()];
            }
            if let (Some(api_via), Some(_), true) = (api_via, node, upgrades) {
                let done = PowerRecord { task: PowerTask::RebootUpgraded, boot: facts.boot.clone() };
                let action = RecordPower { machines: [(name.clone(), Some(done.to_string()))].into() };
                let reason = format!("the packages of {name} have been upgraded");
                before = vec![planner.step(StepKind::RecordPackages.of(name), api_via, reason, action, before).into()];
            }
            let action = Reboot {
                boot: facts.boot.clone(),
                node: planner.joined(name).then(|| name.to_string()),
                quorum: control_plane && voters(cluster) > 2,
                yields_vip: control_plane && yields_vip(planner.inventory, name),
                if_upgraded,
            };
            before = vec![planner.step(StepKind::Reboot.of(name), name, reason, action, before).into()];
        }
        if let (Some(api_via), Some(node), false) = (api_via, node, is_back && node.is_some_and(is_at_work)) {
            let action = Uncordon { node: name.to_string(), version: node.version.clone() };
            before = vec![planner.step(StepKind::Uncordon.of(name), api_via, format!("{name} is running again"), action, before).into()];
        }
    }
    if api_via.is_some() && !machines.is_empty() {
        verify::plan(&mut planner)?;
    }
    if let Some(api_via) = api_via {
        forget(&mut planner, api_via, cluster, &machines);
    }
    Ok(planner.finish())
}

fn warn_of_reboot(planner: &mut Planner, name: &MachineName) {
    planner.warn(Some(name), format!("an earlier reboot was interrupted: {} continues it", Command::Reboot(name.clone())));
}

/// Says which nodes another verb has cordoned and left so: `up` does not uncordon them, as that verb has more to do than that.
pub fn remind(planner: &mut Planner) {
    let Some(ApiVia { cluster, .. }) = planner.api_via else { return };
    let cordoned = |name: &MachineName| cluster.nodes.get(name.as_str()).is_some_and(|node| node.cordoned_by_hostler);
    let mut off = Vec::new();
    for (name, _) in planner.machines().filter(|(name, _)| cordoned(name)) {
        match PowerRecord::of(cluster, name).map(|record| record.change()) {
            Some(PowerChange::Reboot) => warn_of_reboot(planner, name),
            Some(PowerChange::Shutdown) => off.push(name.as_str()),
            None => {}
        }
    }
    if !off.is_empty() {
        let (names, are) = (words::and(&off), words::are(off.len()));
        let text = format!("{names} {are} still cordoned for a shutdown: {} uncordons what the shutdown cordoned", Command::Start);
        planner.warn(None, text);
    }
}

/// Whether the machine was restarted since that was put on record. One that went down before its packages were upgraded, or in the middle of it,
/// is not done.
fn is_back(cluster: &ClusterFacts, name: &MachineName, facts: &Facts, upgrades: bool) -> bool {
    let recorded = PowerRecord::of(cluster, name).filter(|record| match record.task {
        PowerTask::Reboot | PowerTask::UpgradeAndReboot => !upgrades,
        PowerTask::RebootUpgraded => true,
        PowerTask::Shutdown => false,
    });
    recorded.is_some_and(|record| record.boot != facts.boot) && !is_half_upgraded(facts)
}

fn is_half_upgraded(facts: &Facts) -> bool {
    facts.in_progress.contains(&InProgress::Packages)
}

/// Whether pods may run on the node, as far as that is up to hostler.
fn is_at_work(node: &NodeFact) -> bool {
    node.ready && !node.cordoned_by_hostler
}

/// Why the machine is rebooted, for the reader.
fn reason(facts: &Facts, name: &MachineName) -> String {
    match &facts.reboot_due {
        Some(due) if due.by.is_empty() => "a reboot is due".to_owned(),
        Some(due) => format!("a reboot is due for {}", due.by),
        None => format!("you asked to reboot {name}"),
    }
}

fn refuse_unreachable(planner: &mut Planner, machines: &[MachineName]) {
    let lost: Vec<_> = planner.unreachable.keys().copied().filter(|name| machines.contains(name)).collect();
    for name in lost {
        planner.refuse(Some(name), Why::Unreachable, Hint::TurnOn(vec![name.clone()]));
    }
}

fn voters(cluster: &ClusterFacts) -> usize {
    cluster.members.values().filter(|member| !member.learner).count()
}

/// Restarting a member must leave more than half of them. Of one or two that can't be: the warning says what that means.
fn refuse_without_quorum(planner: &mut Planner, cluster: &ClusterFacts, machines: &[MachineName], upgrades: bool) {
    let names: Vec<_> = planner.machines().map(|(name, _)| name).filter(|name| machines.contains(name)).collect();
    for name in names {
        let is_back = planner.facts.get(name).is_some_and(|facts| is_back(cluster, name, facts, upgrades));
        let voters: Vec<_> = cluster.members.values().filter(|member| !member.learner).collect();
        if is_back || voters.len() < 3 || !voters.iter().any(|member| member.name == name.as_str()) {
            continue;
        }
        let others: Vec<_> = voters.iter().filter(|member| member.name != name.as_str()).collect();
        let down: Vec<String> = others.iter().filter(|member| !member.healthy).map(|member| member.name.clone()).collect();
        let healthy = others.len() - down.len();
        if healthy <= voters.len() / 2 {
            let why = Why::Quorum { healthy, members: voters.len(), down: down.clone() };
            planner.refuse(Some(name), why, Hint::MendMembers(down));
        }
    }
}

/// Puts on record what is to become of the machines, all at once, unless it is there already.
fn record(planner: &mut Planner, api_via: &MachineName, cluster: &ClusterFacts, names: &[MachineName], task: PowerTask) -> Vec<Need> {
    let mut machines = BTreeMap::new();
    for name in names {
        let known = PowerRecord::of(cluster, name).is_some_and(|record| match task {
            PowerTask::Shutdown => record.task == task,
            _ => record.task.is_of(task == PowerTask::UpgradeAndReboot),
        });
        if let (Some(facts), false, true) = (planner.usable(name), known, cluster.nodes.contains_key(name.as_str())) {
            machines.insert(name.clone(), Some(PowerRecord { task, boot: facts.boot.clone() }.to_string()));
        }
    }
    if machines.is_empty() {
        return Vec::new();
    }
    let reason = "an interrupted run needs this record to continue";
    vec![planner.step(StepKind::RecordPower.of(api_via), api_via, reason, RecordPower { machines }, []).into()]
}

/// Takes the machines off the record, once all of them are back and the cluster is verified: until then an interrupted run is not over.
fn forget(planner: &mut Planner, api_via: &MachineName, cluster: &ClusterFacts, names: &[MachineName]) {
    let on_record = |name: &&MachineName| cluster.nodes.contains_key(name.as_str());
    let machines: BTreeMap<MachineName, Option<String>> = names.iter().filter(on_record).map(|name| (name.clone(), None)).collect();
    if machines.is_empty() {
        return;
    }
    let uncordoned = machines.keys().map(|name| StepKind::Uncordon.of(name).if_planned());
    let verified = [StepKind::Probe, StepKind::RecordVerified].map(|kind| kind.of(api_via).if_planned());
    let needs: Vec<Need> = uncordoned.chain(verified).collect();
    planner.step(StepKind::ForgetPower.of(api_via), api_via, "the machines are running again", RecordPower { machines }, needs);
}

/// The plan that switches all machines off: workers first, as their kubelets end pods by the control planes; control planes last.
pub fn shutdown(mut planner: Planner) -> Result<Plan> {
    check::look(&mut planner);
    planner.keep_refusals(is_another);
    let lost: Vec<_> = planner.unreachable.keys().copied().collect();
    for name in lost {
        planner.warn(Some(name), "the machine can't be reached, so it is not shut down");
    }
    // Half of a cluster that stays on is nothing that anybody asked for.
    if !planner.refused.is_empty() {
        return Ok(planner.finish());
    }
    let reached: Vec<MachineName> =
        planner.machines().map(|(name, _)| name).filter(|name| planner.usable(name).is_some()).cloned().collect();
    let mut ready: Vec<Need> = Vec::new();
    if let Some(ApiVia { machine: api_via, cluster, .. }) = planner.api_via {
        let recorded = record(&mut planner, api_via, cluster, &reached, PowerTask::Shutdown);
        for name in reached.iter().filter(|name| cluster.nodes.get(name.as_str()).is_some_and(|node| node.ready)) {
            let reason = format!("{name} is about to be shut down");
            // Pods of a machine that goes down first, and those of a cluster that begins again, wait for all machines.
            ready.push(let_films_end(&mut planner, api_via, name, &reason, recorded.clone()).unwrap_or_else(|| {
                let action = Cordon { node: name.to_string() };
                planner.step(StepKind::Cordon.of(name), api_via, reason, action, recorded.clone()).into()
            }));
        }
        if ready.is_empty() {
            ready = recorded;
        }
    } else if planner.cluster_exists() && planner.films_are_waited_for() {
        planner.warn(None, "no API server answers, so hostler can't wait for films that are being encoded; they start over afterwards");
    }
    for role in [Role::Worker, Role::ControlPlane] {
        let mut off = Vec::new();
        for name in &reached {
            if planner.inventory.machines.get(name).is_some_and(|machine| machine.role == role) {
                let reason = if role == Role::Worker {
                    "the whole cluster is being shut down"
                } else {
                    "control planes are shut down \
                    last"
                };
                off.push(planner.step(StepKind::PowerOff.of(name), name, reason, PowerOff {}, ready.clone()).into());
            }
        }
        if !off.is_empty() {
            ready = off;
        }
    }
    Ok(planner.finish())
}

/// The plan that lets pods onto the nodes again that were cordoned for a shutdown, and verifies the cluster.
pub fn start(mut planner: Planner) -> Result<Plan> {
    check::look(&mut planner);
    planner.keep_refusals(is_another);
    let lost: Vec<_> = planner.unreachable.keys().copied().collect();
    for name in lost {
        planner.refuse(Some(name), Why::Unreachable, Hint::TurnOn(vec![name.clone()]));
    }
    let Some(ApiVia { machine: api_via, cluster, .. }) = planner.api_via else {
        silence::explain(&mut planner);
        return Ok(planner.finish());
    };
    let off = |name: &MachineName| PowerRecord::of(cluster, name).is_some_and(|record| record.change() == PowerChange::Shutdown);
    let machines: Vec<MachineName> =
        planner.machines().map(|(name, _)| name).filter(|name| off(name) && planner.usable(name).is_some()).cloned().collect();
    for name in &machines {
        if let Some(node) = cluster.nodes.get(name.as_str()) {
            let action = Uncordon { node: name.to_string(), version: node.version.clone() };
            planner.step(StepKind::Uncordon.of(name), api_via, "the machine was shut down with the cluster", action, []);
        }
    }
    verify::plan(&mut planner)?;
    forget(&mut planner, api_via, cluster, &machines);
    Ok(planner.finish())
}
