//! `hostler up` and `hostler plan`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use hostler_core::failure::ExitStatus;
use hostler_core::plan::{Goal, Plan, plan_for};

use super::fragments;
use super::rounds::{Common, Order, Scene, carry_out, look};
use super::take_over::TakingOver;
use crate::event::Event;
use crate::inventory_file;
use crate::report::{Paint, Reporter, plan_text};
use crate::snapshot;

#[derive(Debug, Args)]
pub struct Up {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub taking_over: TakingOver,
    /// Carry the plan out without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Where to write the cluster's kubeconfig [default: ~/.config/hostler/CLUSTER.kubeconfig]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub taking_over: TakingOver,
}

/// `hostler up`. `from_source`: a bundle that can't be fetched is built on this computer.
///
/// # Errors
/// As [`carry_out`].
pub async fn up(arguments: &Up, from_source: bool, reporter: &Reporter) -> Result<(ExitStatus, Plan)> {
    let goal = arguments.taking_over.goal(Goal::Up, None, &inventory_file::load(&arguments.common.inventory)?)?;
    let order = Order { kubeconfig: true, kubeconfig_file: arguments.kubeconfig.clone(), ..Order::new(goal, arguments.yes) };
    let (status, plan) = carry_out(&order, &arguments.common, from_source, reporter).await?;
    if let ExitStatus::Done = status {
        warn_of_no_snapshot(&arguments.common, reporter)?;
    }
    Ok((status, plan))
}

/// Days after which a snapshot is old.
const OLD: i64 = 7;

/// Where nothing takes snapshots by itself, the user has to; with several control planes one can be lost without any.
fn warn_of_no_snapshot(common: &Common, reporter: &Reporter) -> Result<()> {
    let inventory = inventory_file::load(&common.inventory)?;
    if inventory.snapshots.is_some() || inventory.control_planes().count() > 1 {
        return Ok(());
    }
    let name = &inventory.cluster.name;
    let newest = snapshot::newest(&snapshot::default_folder()?, name);
    let oldest = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * OLD);
    let what = match &newest {
        None => format!("there is no snapshot of {name}"),
        Some(file) if *file < file.with_file_name(snapshot::file_name(name, oldest, false)) => {
            format!("the newest snapshot of {name} is older than {OLD} days")
        }
        Some(_) => return Ok(()),
    };
    let line =
        format!("{what}, so its only control plane must not be lost: `hostler snapshot` takes one, `snapshots:` in the inventory many");
    reporter.events().send(Event::Warning { line });
    Ok(())
}

/// `hostler plan`: prints the very value that `up` executes.
///
/// # Errors
/// As [`look`].
pub async fn show(arguments: &Show, json: bool, reporter: &Reporter) -> Result<ExitStatus> {
    let goal = arguments.taking_over.goal(Goal::Up, None, &inventory_file::load(&arguments.common.inventory)?)?;
    let Scene { inventory, seen, bundle, .. } = look(&arguments.common, &goal, false, reporter).await?;
    let plan = plan_for(&goal, &inventory, &bundle.manifest, &seen)?;
    fragments::check(&plan, &inventory, &arguments.common.inventory, &bundle, &reporter.events())?;
    reporter.result(&if json { serde_json::to_string_pretty(&plan)? } else { plan_text(&plan, Paint::wanted(false)) }).await;
    Ok(ExitStatus::Done)
}
