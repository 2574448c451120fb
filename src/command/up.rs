//! `hostler up` and `hostler plan`: look, plan, show, ask, do, and look again until there is nothing left to do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;

use crate::artifact::{self, Bundle};
use crate::execute::{Link, Outcome, Run, execute, gather};
use crate::facts::Observation;
use crate::inventory::{Inventory, MachineName};
use crate::plan::{Plan, StepId, plan, wanted};
use crate::report::{ExitStatus, Failure, Paint, Reporter, plan_text};

use super::connect::{self, Connecting};

/// A plan that has not come to its end after so many rounds never will: each round makes one from fresh facts.
const ROUNDS: usize = 5;

#[derive(Debug, Args)]
pub struct Up {
    #[command(flatten)]
    pub common: Common,
    /// Carry the plan out without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Where to write the cluster's kubeconfig [default: ~/.config/hostler/CLUSTER.kubeconfig]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

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

/// An inventory, the machines it names, and what they are like.
pub struct Scene {
    pub inventory: Inventory,
    pub links: BTreeMap<MachineName, Arc<Link>>,
    pub seen: BTreeMap<MachineName, Observation>,
    pub bundle: Arc<Bundle>,
}

/// Looks at every machine, and finds the bundle that fits what runs there.
pub async fn look(common: &Common, from_source: bool, reporter: &Reporter) -> Result<Scene> {
    let inventory = crate::inventory::load(&common.inventory)?;
    for warning in &inventory.warnings {
        reporter.events().send(crate::event::Event::Warning { line: warning.clone() });
    }
    let links = connect::links(&inventory, &common.connecting, reporter)?;
    let seen = gather::gather(&links, &wanted::question()?, &reporter.events()).await?;
    let version = inventory.cluster.version.clone().or_else(|| running_version(&seen));
    let request = artifact::Request { bundle: common.bundle.clone(), version, arch: architecture(&seen), from_source };
    let bundle = Arc::new(artifact::locate(&request, &reporter.events()).await?);
    Ok(Scene { inventory, links, seen, bundle })
}

/// The Kubernetes version of the cluster that the machines are in, if they are in one.
fn running_version(seen: &BTreeMap<MachineName, Observation>) -> Option<String> {
    seen.values().find_map(|observation| match observation {
        Observation::Facts(facts) => facts.cluster.as_ref().map(|cluster| cluster.version.clone()).filter(|version| !version.is_empty()),
        Observation::Unreachable(_) => None,
    })
}

fn architecture(seen: &BTreeMap<MachineName, Observation>) -> Option<String> {
    seen.values().find_map(|observation| match observation {
        Observation::Facts(facts) => Some(facts.arch.clone()),
        Observation::Unreachable(_) => None,
    })
}

/// `hostler plan`.
pub async fn show(common: &Common, json: bool, reporter: &Reporter) -> Result<ExitStatus> {
    let scene = look(common, false, reporter).await?;
    let plan = plan(&scene.inventory, &scene.bundle.manifest, &scene.seen)?;
    reporter.result(&if json { serde_json::to_string_pretty(&plan)? } else { plan_text(&plan, Paint::wanted(false)) }).await;
    Ok(ExitStatus::Done)
}

/// `hostler up`.
pub async fn up(arguments: &Up, from_source: bool, reporter: &Reporter) -> Result<(ExitStatus, Plan)> {
    let Scene { inventory, links, mut seen, bundle } = look(&arguments.common, from_source, reporter).await?;
    let run = Run::new(run_id(), Some(bundle.clone()), links, reporter.events(), reporter.redactor());
    let mut carried_out = Plan::default();
    let mut outcome = Outcome::default();
    let mut approved: BTreeSet<StepId> = BTreeSet::new();
    for round in 0..ROUNDS {
        let plan = plan(&inventory, &bundle.manifest, &seen)?;
        let unapproved = plan.steps.iter().any(|step| !approved.contains(&step.id));
        if round == 0 || unapproved || !plan.refusals.is_empty() {
            reporter.plan(&plan).await;
        }
        carried_out.refusals = plan.refusals.clone();
        if plan.steps.is_empty() {
            break;
        }
        if unapproved {
            approve(arguments.yes, &plan, round, reporter).await?;
            approved.extend(plan.steps.iter().map(|step| step.id.clone()));
        }
        let this = execute(&run, &plan).await;
        let stuck = this.done.is_empty();
        let failed = !this.failed.is_empty();
        carried_out.steps.extend(plan.steps);
        outcome.done.extend(this.done);
        outcome.failed.extend(this.failed);
        outcome.blocked.extend(this.blocked);
        if failed || stuck {
            break;
        }
        seen = gather::gather(&run.links, &wanted::question()?, &reporter.events()).await?;
    }
    let unreachable = seen.values().any(|observation| matches!(observation, Observation::Unreachable(_)));
    let status = ExitStatus::highest([
        if outcome.failed.is_empty() && outcome.blocked.is_empty() { ExitStatus::Done } else { ExitStatus::Failed },
        if carried_out.refusals.is_empty() { ExitStatus::Done } else { ExitStatus::Refused },
        if unreachable { ExitStatus::Unreachable } else { ExitStatus::Done },
    ]);
    if outcome.failed.is_empty() {
        super::kubeconfig::keep(&run, &inventory, arguments.kubeconfig.as_deref(), reporter).await?;
    }
    Ok((status, carried_out))
}

async fn approve(yes: bool, plan: &Plan, round: usize, reporter: &Reporter) -> Result<()> {
    if yes {
        return Ok(());
    }
    let question = if round == 0 { "carry this plan out?" } else { "this was not in the plan you approved; carry it out?" };
    if reporter.asker().yes_no(question, "pass --yes to carry the plan out without asking").await? {
        return Ok(());
    }
    let count = plan.steps.len();
    Err(Failure::new(ExitStatus::Failed, format!("nothing was changed: {count} steps were not approved"), "").into())
}

/// Names this run on machines and in the log: the time it began and this process.
fn run_id() -> String {
    format!("{}-{}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"), std::process::id())
}
