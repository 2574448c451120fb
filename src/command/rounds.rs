//! Look, plan, show, ask, do, and look again until there is nothing left to do: what every verb that changes machines does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use hostler_core::facts::{ClusterFacts, Observation, Question};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::{Inventory, MachineName};
use hostler_core::plan::{Goal, Plan, plan_for, wanted};
use hostler_core::step::{Stage, StepId};

use super::connect::{self, Connecting};
use super::{fragments, login, workload};
use crate::artifact::{self, Bundle};
use crate::event::Event;
use crate::execute::{Link, Outcome, Run, execute, gather, identity};
use crate::inventory_file;
use crate::report::{Reporter, table};
use crate::row;

/// A plan that has not come to its end after so many rounds never will: each round makes one from fresh facts.
const ROUNDS: usize = 5;

/// What all verbs that look at machines share.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The inventory
    #[arg(long, short, value_name = "FILE", default_value = "inventory.yaml")]
    pub inventory: PathBuf,
    /// A folder made by `hostler bundle create` [default: the one in the cache, or made now]
    #[arg(long, value_name = "FOLDER")]
    pub bundle: Option<PathBuf>,
    #[command(flatten)]
    pub connecting: Connecting,
}

/// How a verb wants its plan carried out.
#[derive(Debug, Clone)]
pub struct Order {
    pub goal: Goal,
    /// The plan is carried out without asking.
    pub yes: bool,
    /// What has to be typed in full instead of a yes.
    pub typed: Option<Typed>,
    /// Whether the cluster's kubeconfig is written afterwards.
    pub kubeconfig: bool,
    /// Where to; the user's configuration otherwise.
    pub kubeconfig_file: Option<PathBuf>,
}

/// A question that takes more than a yes.
#[derive(Debug, Clone)]
pub struct Typed {
    /// What cannot be undone.
    pub what: &'static str,
    /// The answer.
    pub name: String,
    /// What to do where nobody can be asked.
    pub hint: &'static str,
}

impl Order {
    pub fn new(goal: Goal, yes: bool) -> Order {
        Order { goal, yes, typed: None, kubeconfig: false, kubeconfig_file: None }
    }
}

/// An inventory, the machines that a goal asks, and what they are like.
pub struct Scene {
    pub inventory: Inventory,
    pub links: BTreeMap<MachineName, Arc<Link>>,
    pub seen: BTreeMap<MachineName, Observation>,
    pub bundle: Arc<Bundle>,
}

/// Looks at the machines that `goal` asks, and finds the bundle that fits what runs there.
///
/// # Errors
/// The inventory, a machine's name that is not in it, or a bundle that can't be had.
pub async fn look(common: &Common, goal: &Goal, from_source: bool, reporter: &Reporter) -> Result<Scene> {
    let inventory = inventory_file::load(&common.inventory)?;
    for warning in &inventory.warnings {
        reporter.events().send(Event::Warning { line: warning.clone() });
    }
    let mut links = connect::links(&inventory, &common.connecting, reporter)?;
    let asked = goal.asks(&inventory);
    links.retain(|name, _| asked.contains(name));
    let seen = login::look(&links, &question(&inventory)?, reporter).await?;
    // What runs decides: whether the inventory may want another version is for the planner to say.
    let version = running_version(&seen).or_else(|| inventory.cluster.version.clone());
    let encoder = inventory.transcode.as_ref().is_some_and(|films| films.image.is_none());
    let request = artifact::Request { bundle: common.bundle.clone(), version, arch: architecture(&seen), from_source, encoder };
    let bundle = Arc::new(artifact::locate(&request, &reporter.events()).await?);
    Ok(Scene { inventory, links, seen, bundle })
}

/// What machines are asked.
///
/// # Errors
/// Only a defect: a template that can't be filled in.
pub fn question(inventory: &Inventory) -> Result<Question> {
    wanted::question(inventory.transcode.as_ref(), inventory.snapshots.as_ref().map(|wanted| wanted.to.as_str()))
}

fn clusters(seen: &BTreeMap<MachineName, Observation>) -> impl Iterator<Item = &ClusterFacts> {
    seen.values().filter_map(|observation| match observation {
        Observation::Facts(facts) => facts.cluster.as_ref(),
        Observation::Unreachable(_) => None,
    })
}

/// The Kubernetes version of the cluster that the machines are in, if they are in one: as its API server tells it or, where none answers, as
/// it is installed.
pub(super) fn running_version(seen: &BTreeMap<MachineName, Observation>) -> Option<String> {
    let told = clusters(seen).map(|cluster| cluster.version.clone()).find(|version| !version.is_empty());
    let installed = |observation: &Observation| match observation {
        Observation::Facts(facts) if facts.kubernetes.joined => wanted::version_in_use(facts).map(str::to_owned),
        _ => None,
    };
    told.or_else(|| seen.values().find_map(installed))
}

pub(super) fn architecture(seen: &BTreeMap<MachineName, Observation>) -> Option<String> {
    seen.values().find_map(|observation| match observation {
        Observation::Facts(facts) => Some(facts.arch.clone()),
        Observation::Unreachable(_) => None,
    })
}

/// Between two looks at what a cut run left behind.
const PAUSE: Duration = Duration::from_secs(3);
/// The longest limit that a step has is 30 minutes; none of those that go on without their hostler takes half of it.
const LEFT_BEHIND: Duration = Duration::from_secs(15 * 60);

/// Waits until scripts have ended that a cut run left behind: while they work, what is seen is only half of what will be.
async fn left_behind(
    inventory: &Inventory,
    links: &BTreeMap<MachineName, Arc<Link>>,
    seen: &mut BTreeMap<MachineName, Observation>,
    reporter: &Reporter,
) -> Result<()> {
    let until = Instant::now() + LEFT_BEHIND;
    loop {
        let at_work: Vec<(MachineName, String)> = seen
            .iter()
            .filter_map(|(name, observation)| match observation {
                Observation::Facts(facts) => {
                    facts.lock.as_ref().filter(|lock| lock.left_behind).map(|lock| (name.clone(), lock.step.clone()))
                }
                Observation::Unreachable(_) => None,
            })
            .collect();
        let Some((_, step)) = at_work.first() else { return Ok(()) };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // The plan says so, and each step waits for it in turn.
            return Ok(());
        }
        let line = format!("{step} is still at work though its run was cut: waits for it, at most {} min", left.as_secs().div_ceil(60));
        reporter.events().send(Event::Note { line });
        tokio::time::sleep(PAUSE).await;
        let mut these = links.clone();
        these.retain(|name, _| at_work.iter().any(|(machine, _)| machine == name));
        seen.extend(gather::gather(&these, &question(inventory)?, &reporter.events()).await?);
    }
}

/// Carries an order out: the exit status, and all that was done as one plan, for the closing table.
///
/// # Errors
/// What [`look`] can't, a plan that was not approved, or a kubeconfig that can't be written. A step that failed is no error here: it is in
/// the status.
pub async fn carry_out(order: &Order, common: &Common, from_source: bool, reporter: &Reporter) -> Result<(ExitStatus, Plan)> {
    let Scene { inventory, links, mut seen, bundle } = look(common, &order.goal, from_source, reporter).await?;
    left_behind(&inventory, &links, &mut seen, reporter).await?;
    let run = Run::new(identity::run_id(), Some(bundle.clone()), links, reporter.events(), reporter.redactor());
    let mut goal = order.goal.clone();
    let mut done = Plan::default();
    let mut outcome = Outcome::default();
    let mut approved: BTreeSet<StepId> = BTreeSet::new();
    for round in 0..ROUNDS {
        let plan = plan_for(&goal, &inventory, &bundle.manifest, &seen)?;
        let unapproved = plan.steps.iter().any(|step| !approved.contains(&step.id));
        if unapproved {
            fragments::check(&plan, &inventory, &common.inventory, &bundle, &reporter.events())?;
        }
        if round == 0 || unapproved || !plan.refusals.is_empty() {
            reporter.plan(&plan).await;
        }
        done.refusals.clone_from(&plan.refusals);
        if plan.steps.is_empty() {
            // What was put off is not needed any more, or refused.
            outcome.put_off.clear();
            break;
        }
        if unapproved {
            approve(order, &plan, round, reporter).await?;
            approved.extend(plan.steps.iter().map(|step| step.id.clone()));
        }
        let this = execute(&run, &plan).await;
        let ended = !this.failed.is_empty() || this.done.is_empty() && this.put_off.is_empty();
        // What has not left yet has to leave still.
        let leaves = plan.steps.iter().any(|step| step.stage == Stage::Leave && this.put_off.contains(&step.id));
        done.steps.extend(plan.steps);
        outcome.done.extend(this.done);
        outcome.failed.extend(this.failed);
        outcome.blocked.extend(this.blocked);
        outcome.put_off = this.put_off;
        if !leaves {
            goal = goal.then();
        }
        if ended {
            break;
        }
        seen = gather::gather(&run.links, &question(&inventory)?, &reporter.events()).await?;
    }
    if order.kubeconfig && outcome.is_whole() && done.refusals.is_empty() {
        if let Some(cluster) = clusters(&seen).next() {
            reporter.result(&nodes(&inventory, cluster)).await;
        }
        super::kubeconfig::keep(&run, &inventory, order.kubeconfig_file.as_deref(), reporter).await?;
        let films = workload::closing(&inventory).await;
        if !films.is_empty() {
            reporter.result(&films).await;
        }
    }
    Ok((status(&outcome, &done, &order.goal, &seen), done))
}

/// The highest of what went wrong.
fn status(outcome: &Outcome, done: &Plan, goal: &Goal, seen: &BTreeMap<MachineName, Observation>) -> ExitStatus {
    // That a dead machine can't be reached is what was said of it.
    let dead = |name: &MachineName| matches!(goal, Goal::Remove { machine, dead: true, .. } if machine == name);
    let unreachable = seen.iter().any(|(name, observation)| matches!(observation, Observation::Unreachable(_)) && !dead(name));
    ExitStatus::highest([
        if outcome.is_whole() { ExitStatus::Done } else { ExitStatus::Failed },
        if done.refusals.is_empty() { ExitStatus::Done } else { ExitStatus::Refused },
        if unreachable { ExitStatus::Unreachable } else { ExitStatus::Done },
    ])
}

/// The nodes of a cluster as a table.
fn nodes(inventory: &Inventory, cluster: &ClusterFacts) -> String {
    let mut rows = vec![row!["NODE", "STATUS", "ROLE", "VERSION", "ADDRESS"]];
    for (name, node) in &cluster.nodes {
        let role = match inventory.machines.get(name.as_str()) {
            Some(machine) if machine.role == hostler_core::inventory::Role::ControlPlane => "control-plane",
            Some(_) => "worker",
            None => "not in the inventory",
        };
        let status = if node.ready { "Ready" } else { "NotReady" };
        rows.push(row![name, status, role, node.version, node.address]);
    }
    table(&rows)
}

async fn approve(order: &Order, plan: &Plan, round: usize, reporter: &Reporter) -> Result<()> {
    if order.yes {
        return Ok(());
    }
    let asker = reporter.asker();
    let approved = match &order.typed {
        Some(typed) if round == 0 => {
            let text = format!("{}; type `{}` to go on", typed.what, typed.name);
            asker.typed(&text, &typed.name, typed.hint).await?
        }
        _ => {
            let question = if round == 0 { "carry this plan out?" } else { "this was not in the plan you approved; carry it out?" };
            asker.yes_no(question, "pass --yes to carry the plan out without asking").await?
        }
    };
    if approved {
        return Ok(());
    }
    let count = plan.steps.len();
    Err(Failure::new(ExitStatus::Failed, format!("nothing was changed: {count} steps were not approved"), "").into())
}
