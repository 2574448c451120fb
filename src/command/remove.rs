//! `hostler remove`: one machine leaves the cluster.

use anyhow::Result;
use clap::Args;
use hostler_core::failure::ExitStatus;
use hostler_core::inventory::{MachineName, edit};
use hostler_core::plan::{Goal, Plan};
use jiff::SignedDuration;

use super::rounds::{Common, Order, carry_out};
use super::{known, write_inventory};
use crate::inventory_file;
use crate::report::Reporter;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The machine; with `--dead`, a node that the inventory has no more
    machine: String,
    /// It never comes back: what must be done is done in the cluster
    #[arg(long)]
    dead: bool,
    /// Take its pods away after this time, whatever a PodDisruptionBudget says: 90s, 10m
    #[arg(long, value_name = "TIME", value_parser = crate::command::transcode::length)]
    force_after: Option<SignedDuration>,
    /// Take its line out of the inventory, too
    #[arg(long)]
    edit: bool,
    #[command(flatten)]
    common: Common,
    /// Carry the plan out without asking
    #[arg(long, short)]
    yes: bool,
}

/// # Errors
/// As [`carry_out`]; an inventory that can't be changed.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<(ExitStatus, Plan)> {
    let inventory = inventory_file::load(&arguments.common.inventory)?;
    let stranger = MachineName::new(&arguments.machine).filter(|name| arguments.dead && !inventory.machines.contains_key(name.as_str()));
    let listed = stranger.is_none();
    let name = stranger.map_or_else(|| known(&inventory, &arguments.machine), Ok)?;
    let goal = Goal::Remove {
        machine: name.clone(),
        dead: arguments.dead,
        force_after: arguments.force_after.map(|time| time.unsigned_abs().as_secs()),
    };
    let (status, plan) = carry_out(&Order::new(goal, arguments.yes), &arguments.common, false, reporter).await?;
    if status == ExitStatus::Done && listed {
        let file = &arguments.common.inventory;
        if arguments.edit {
            write_inventory(file, &edit::remove_machine(&std::fs::read_to_string(file)?, name.as_str())?)?;
            reporter.result(&format!("{name} is out of {}", file.display())).await;
        } else {
            reporter.result(&format!("now take {name} out of {}: the next `hostler up` would bring it back", file.display())).await;
        }
    }
    Ok((status, plan))
}
