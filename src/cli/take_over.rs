//! `--take-over`: machines with state of another cluster that may be wiped.

use anyhow::Result;
use clap::Args;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::{Inventory, MachineName};
use hostler_core::plan::Goal;

use super::arguments::machine_named;

#[derive(Debug, Clone, Default, Args)]
pub struct TakingOver {
    /// Wipe this machine first if it belongs to another cluster or holds state of an earlier one; may be repeated
    #[arg(long, value_name = "NAME")]
    take_over: Vec<String>,
}

impl TakingOver {
    /// `goal`, with the named machines wiped for it. `only`: the goal concerns this machine, so no other one may be wiped.
    ///
    /// # Errors
    /// The inventory has no such machine, or the goal concerns another one.
    pub fn goal(&self, goal: Goal, only: Option<&MachineName>, inventory: &Inventory) -> Result<Goal> {
        if self.take_over.is_empty() {
            return Ok(goal);
        }
        let machines = self.take_over.iter().map(|given| machine_named(inventory, given)).collect::<Result<_>>()?;
        if let Some(only) = only
            && let Some(other) = self.take_over.iter().find(|given| *given != only.as_str())
        {
            let message = format!("this command can take over only {only}, not {other}");
            return Err(Failure::new(ExitStatus::Usage, message, format!("run `hostler add {other} --take-over {other}`")).into());
        }
        Ok(Goal::TakeOver { machines, goal: Box::new(goal) })
    }
}
