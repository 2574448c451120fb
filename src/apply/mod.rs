//! Look, plan, show, ask, do, and look again until there is nothing left to do: what every verb that changes machines does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use hostler_core::facts::{ClusterFacts, Observation, Question};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::{Inventory, MachineName};
use hostler_core::plan::{Goal, Plan, plan_for, wanted};
use hostler_core::step::{Stage, StepId};

use crate::artifact::{self, Bundle, Missing};
use crate::connect::{self, login};
use crate::event::Event;
use crate::execute::{Link, Outcome, Run, execute, gather, identity};
use crate::inventory_file::InventoryFile;
use crate::kubeconfig::fetch;
use crate::report::{Reporter, row, table};
use crate::ssh::NewHostKeys;

mod closing;
pub mod fragments;

/// A plan that has not come to its end after so many rounds never will: each round makes one from fresh facts.
const ROUNDS: usize = 5;

/// What a run uses besides the inventory.
#[derive(Debug, Clone, Default)]
pub struct Means {
    /// A folder made by `hostler bundle create`; else the one in the cache.
    pub bundle: Option<PathBuf>,
    pub missing: Missing,
    pub new_host_keys: NewHostKeys,
}

/// What a verb wants done.
#[derive(Debug, Clone)]
pub struct ApplyRequest {
    pub goal: Goal,
    pub consent: Consent,
    pub kubeconfig: KeepKubeconfig,
}

impl ApplyRequest {
    /// Without a kubeconfig in the end.
    pub fn new(goal: Goal, consent: Consent) -> ApplyRequest {
        ApplyRequest { goal, consent, kubeconfig: KeepKubeconfig::No }
    }
}

/// What it takes before a plan is applied.
#[derive(Debug, Clone)]
pub enum Consent {
    /// Nothing more: `--yes`.
    Given,
    /// A yes.
    Asked,
    /// For the first plan this; for one that differs from it, a yes.
    Typed(Typed),
}

impl Consent {
    /// Given where the user passed `--yes`.
    pub fn yes_if(yes: bool) -> Consent {
        if yes { Consent::Given } else { Consent::Asked }
    }
}

/// Whether the cluster's kubeconfig is written once it is up, and where to.
#[derive(Debug, Clone)]
pub enum KeepKubeconfig {
    No,
    /// Where the user's configuration lives.
    Default,
    At(PathBuf),
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

/// The machines that a goal asks, and what they are like.
pub struct Observed {
    pub links: BTreeMap<MachineName, Arc<Link>>,
    pub seen: BTreeMap<MachineName, Observation>,
    pub bundle: Arc<Bundle>,
}

/// Looks at the machines that `goal` asks, and finds the bundle that fits what runs there.
///
/// # Errors
/// A connection that is not clear, or a bundle that can't be had.
pub async fn observe(goal: &Goal, inventory: &Inventory, means: &Means, reporter: &Reporter) -> Result<Observed> {
    for warning in &inventory.warnings {
        reporter.events().send(Event::Warning { line: warning.clone() });
    }
    let mut links = connect::links(inventory, means.new_host_keys, reporter)?;
    let asked = goal.asks(inventory);
    links.retain(|name, _| asked.contains(name));
    let seen = login::look(&links, &question(inventory)?, reporter).await?;
    // What runs decides: whether the inventory may want another version is for the planner to say.
    let version = running_version(&seen).or_else(|| inventory.cluster.version.clone());
    let encoder = inventory.transcode.as_ref().is_some_and(|films| films.image.is_none());
    let request = artifact::Request { bundle: means.bundle.clone(), version, arch: architecture(&seen), missing: means.missing, encoder };
    let bundle = Arc::new(artifact::locate(&request, &reporter.events()).await?);
    Ok(Observed { links, seen, bundle })
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
pub fn running_version(seen: &BTreeMap<MachineName, Observation>) -> Option<String> {
    let told = clusters(seen).map(|cluster| cluster.version.clone()).find(|version| !version.is_empty());
    let installed = |observation: &Observation| match observation {
        Observation::Facts(facts) if facts.kubernetes.joined => wanted::version_in_use(facts).map(str::to_owned),
        _ => None,
    };
    told.or_else(|| seen.values().find_map(installed))
}

pub fn architecture(seen: &BTreeMap<MachineName, Observation>) -> Option<String> {
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

/// Does what was requested: the exit status, and all that was done as one plan, for the closing table.
///
/// # Errors
/// As [`observe`]; a plan that was not approved, or a kubeconfig that can't be written. A step that failed is no error here: it is in the
/// status.
pub async fn apply(request: &ApplyRequest, file: &InventoryFile, means: &Means, reporter: &Reporter) -> Result<(ExitStatus, Plan)> {
    let inventory = &file.inventory;
    let Observed { links, mut seen, bundle } = observe(&request.goal, inventory, means, reporter).await?;
    left_behind(inventory, &links, &mut seen, reporter).await?;
    let run = Run::new(identity::run_id(), Some(bundle.clone()), links, reporter.events(), reporter.redactor());
    let mut goal = request.goal.clone();
    let mut done = Plan::default();
    let mut outcome = Outcome::default();
    let mut approved: BTreeSet<StepId> = BTreeSet::new();
    for round in 0..ROUNDS {
        let plan = plan_for(&goal, inventory, &bundle.manifest, &seen)?;
        let unapproved = plan.steps.iter().any(|step| !approved.contains(&step.id));
        if unapproved {
            fragments::check(&plan, file, &bundle, &reporter.events())?;
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
            approve(&request.consent, &plan, round, reporter).await?;
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
            goal = goal.next_goal();
        }
        if ended {
            break;
        }
        seen = gather::gather(&run.links, &question(inventory)?, &reporter.events()).await?;
    }
    let kubeconfig = match &request.kubeconfig {
        KeepKubeconfig::No => None,
        KeepKubeconfig::Default => Some(None),
        KeepKubeconfig::At(file) => Some(Some(file.as_path())),
    };
    if let Some(place) = kubeconfig
        && outcome.is_whole()
        && done.refusals.is_empty()
    {
        if let Some(cluster) = clusters(&seen).next() {
            reporter.result(&nodes(inventory, cluster)).await;
        }
        keep_kubeconfig(&run, inventory, place, reporter).await?;
        let films = closing::films(inventory).await;
        if !films.is_empty() {
            reporter.result(&films).await;
        }
    }
    Ok((status(&outcome, &done, &request.goal, &seen), done))
}

/// Fetches the kubeconfig and keeps it at `place`, or where the user's configuration lives. Only a warning says that it can't be had: the run
/// that ends with this has its own result.
async fn keep_kubeconfig(run: &Run, inventory: &Inventory, place: Option<&Path>, reporter: &Reporter) -> Result<()> {
    let name = &inventory.cluster.name;
    match fetch::access(inventory, &run.links, name, None).await {
        Ok(access) => fetch::keep(&access, name, place, reporter).await,
        Err(error) => {
            let line = format!("no kubeconfig was written: {}", error.to_string().lines().collect::<Vec<_>>().join("; "));
            reporter.events().send(Event::Warning { line });
            Ok(())
        }
    }
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

async fn approve(consent: &Consent, plan: &Plan, round: usize, reporter: &Reporter) -> Result<()> {
    let asker = reporter.asker();
    let approved = match consent {
        Consent::Given => true,
        Consent::Typed(typed) if round == 0 => {
            let text = format!("{}; type `{}` to go on", typed.what, typed.name);
            asker.typed(&text, &typed.name, typed.hint).await?
        }
        Consent::Asked | Consent::Typed(_) => {
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
