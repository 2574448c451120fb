//! `hostler up` and `hostler plan`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use hostler_core::failure::ExitStatus;
use hostler_core::plan::{Goal, Plan, plan_for};

use super::arguments::Planning;
use super::length::length;
use super::take_over::TakingOver;
use super::{Output, help};
use crate::apply::{ApplyRequest, Consent, KeepKubeconfig, Looked, Means, apply, fragments, look, status_of};
use crate::artifact::Missing;
use crate::event::Event;
use crate::inventory_file::InventoryFile;
use crate::kubeconfig;
use crate::lab::like;
use crate::report::Reporter;
use crate::snapshot;

/// Apply the inventory: create the cluster or repair drift
///
/// hostler inspects all machines, prints a plan, asks, and applies it. A run that was interrupted continues where it stopped. A machine
/// that holds state of another cluster is refused unless --take-over names it.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[
        ("Create the cluster of inventory.yaml", "hostler up"),
        ("Repair drift in another cluster without a prompt", "hostler up -i office.yaml --yes"),
    ],
    help::ALL,
))]
pub struct Arguments {
    #[command(flatten)]
    pub planning: Planning,
    #[command(flatten)]
    pub taking_over: TakingOver,
    /// Apply the plan without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Time to wait for machines that are being installed from a stick made by `hostler provision`, e.g. 1h
    #[arg(long, value_name = "TIME", value_parser = length, allow_hyphen_values = true, default_value = "15m")]
    pub within: Duration,
    /// Path of the kubeconfig to write [default: ~/.config/hostler/CLUSTER.kubeconfig]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// Show what `up` would do, and why
///
/// Inspects all machines and prints the plan. Nothing is changed, fetched or built. The exit status is 3 if something is refused, 4 if a
/// machine can't be reached, otherwise 0, even if there are steps.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[
        ("Preview a change to the inventory", "hostler plan"),
        ("Count the steps of the plan", "hostler plan --output json | jq '.steps | length'"),
    ],
    help::ALL,
))]
pub struct Show {
    #[command(flatten)]
    pub planning: Planning,
    #[command(flatten)]
    pub taking_over: TakingOver,
}

/// # Errors
/// As [`apply`].
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<(ExitStatus, Vec<Plan>)> {
    up(arguments, Missing::Fetch, reporter).await
}

/// As [`run`]; `missing`: what to do if there is no bundle.
///
/// # Errors
/// As [`apply`].
pub async fn up(arguments: &Arguments, missing: Missing, reporter: &Reporter) -> Result<(ExitStatus, Vec<Plan>)> {
    let file = arguments.planning.inventory.load()?;
    let goal = arguments.taking_over.goal(Goal::Up, None, &file.inventory)?;
    if let Some(path) = &arguments.kubeconfig {
        kubeconfig::destination(path, &file.inventory.cluster.name)?;
    }
    let kubeconfig = arguments.kubeconfig.clone().map_or(KeepKubeconfig::Default, KeepKubeconfig::At);
    let request = ApplyRequest { kubeconfig, installation: arguments.within, ..ApplyRequest::new(goal, Consent::yes_if(arguments.yes)) };
    let (status, plans) = apply(&request, &file, &Means { missing, ..arguments.planning.means() }, reporter).await?;
    if let ExitStatus::Done = status {
        warn_of_no_snapshot(&file, reporter)?;
    }
    Ok((status, plans))
}

/// Days after which a snapshot counts as old.
const OLD: i64 = 7;

/// If no schedule takes snapshots, the user has to. With several control planes one can be lost without a snapshot.
fn warn_of_no_snapshot(file: &InventoryFile, reporter: &Reporter) -> Result<()> {
    let inventory = &file.inventory;
    if inventory.snapshots.every.is_some() || inventory.control_planes().count() > 1 {
        return Ok(());
    }
    let name = &inventory.cluster.name;
    let newest = snapshot::newest(&like::snapshots(file)?, name);
    let oldest = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * OLD);
    let what = match &newest {
        None => "no snapshot".to_owned(),
        Some(file) if *file < file.with_file_name(snapshot::file_name(name, oldest, false)) => {
            format!("no snapshot from the last {OLD} days")
        }
        Some(_) => return Ok(()),
    };
    let line = format!(
        "the cluster {name} has only one control plane, and {what}: run `hostler snapshot create`, or set `snapshots:` in the \
            inventory"
    );
    reporter.events().send(Event::Warning { line });
    Ok(())
}

/// `hostler plan`: prints the same value that `up` applies.
///
/// # Errors
/// As [`look`].
pub async fn show(arguments: &Show, output: Output, reporter: &Reporter) -> Result<ExitStatus> {
    let file = arguments.planning.inventory.load()?;
    let goal = arguments.taking_over.goal(Goal::Up, None, &file.inventory)?;
    let Looked { seen, known } = look(&goal, &file.inventory, &arguments.planning.means(), reporter).await?;
    known.say_what_is_not_checked(&reporter.events());
    let plan = plan_for(&goal, &file.inventory, &known.manifests, &seen)?;
    fragments::check(&plan, &file, known.bundles.as_ref(), &reporter.events())?;
    match output {
        Output::Json => reporter.value(&plan).await?,
        Output::Text => reporter.plan(&plan).await,
    }
    Ok(status_of(&plan, &seen))
}
