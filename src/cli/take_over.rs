//! `--take-over`: which machines of others the user gives away.

use anyhow::Result;
use clap::Args;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::{Inventory, MachineName};
use hostler_core::plan::Goal;

use super::arguments::machine_named;

#[derive(Debug, Clone, Default, Args)]
pub struct TakingOver {
    /// Wipe this machine first if it is in another cluster, or an earlier one left something; may be given several times
    #[arg(long, value_name = "NAME")]
    take_over: Vec<String>,
}

impl TakingOver {
    /// `goal`, for which the named machines are wiped. `only`: the machine that the goal is about, which no other may be wiped for.
    ///
    /// # Errors
    /// The inventory has no such machine, or the goal is about another.
    pub fn goal(&self, goal: Goal, only: Option<&MachineName>, inventory: &Inventory) -> Result<Goal> {
        if self.take_over.is_empty() {
            return Ok(goal);
        }
        let machines = self.take_over.iter().map(|said| machine_named(inventory, said)).collect::<Result<_>>()?;
        if let Some(only) = only
            && let Some(other) = self.take_over.iter().find(|said| *said != only.as_str())
        {
            let message = format!("this is about {only} alone: {other} is not taken over with it");
            return Err(Failure::new(ExitStatus::Usage, message, format!("`hostler add {other} --take-over {other}` does")).into());
        }
        Ok(Goal::TakeOver { machines, goal: Box::new(goal) })
    }
}
