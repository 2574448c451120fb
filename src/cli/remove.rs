//! `hostler remove`: one machine leaves the cluster.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use hostler_core::failure::ExitStatus;
use hostler_core::inventory::MachineName;
use hostler_core::plan::{Goal, Plan};

use super::arguments::{Planning, machine_named};
use super::length::length;
use crate::apply::{ApplyRequest, Consent, apply};
use crate::report::Reporter;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The machine; with `--dead`, a node that the inventory has no more
    machine: String,
    /// It never comes back: what must be done is done in the cluster
    #[arg(long)]
    dead: bool,
    /// Take its pods away after this time, whatever a PodDisruptionBudget says: 90s, 10m
    #[arg(long, value_name = "TIME", value_parser = length)]
    force_after: Option<Duration>,
    /// Take its line out of the inventory, too
    #[arg(long)]
    edit: bool,
    #[command(flatten)]
    planning: Planning,
    /// Carry the plan out without asking
    #[arg(long, short)]
    yes: bool,
}

/// # Errors
/// As [`apply`]; an inventory that can't be changed.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<(ExitStatus, Plan)> {
    let file = arguments.planning.inventory.load()?;
    let inventory = &file.inventory;
    let stranger = MachineName::new(&arguments.machine).filter(|name| arguments.dead && !inventory.machines.contains_key(name.as_str()));
    let listed = stranger.is_none();
    let name = stranger.map_or_else(|| machine_named(inventory, &arguments.machine), Ok)?;
    let goal = Goal::Remove { machine: name.clone(), dead: arguments.dead, force_after: arguments.force_after.map(|time| time.as_secs()) };
    let (status, plan) =
        apply(&ApplyRequest::new(goal, Consent::yes_if(arguments.yes)), &file, &arguments.planning.means(), reporter).await?;
    if status == ExitStatus::Done && listed {
        let path = file.path.display();
        if arguments.edit {
            file.without_machine(&name)?;
            reporter.result(&format!("{name} is out of {path}")).await;
        } else {
            reporter.result(&format!("now take {name} out of {path}: the next `hostler up` would bring it back")).await;
        }
    }
    Ok((status, plan))
}
