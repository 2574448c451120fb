//! `hostler reboot`: machines are restarted, one after the other.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use hostler_core::failure::ExitStatus;
use hostler_core::plan::{Goal, Plan};

use super::arguments::{Planning, machine_named};
use super::help;
use super::length::length;
use crate::apply::{ApplyRequest, Consent, apply};
use crate::report::Reporter;

/// Reboot machines one at a time, drained
///
/// Without a name, it reboots the machines that need it; `hostler status` lists them. Workers go first, control planes last. Films that are
/// being encoded on a machine end first, its pods move to other nodes, and it must be Ready again before the next machine is drained. A machine
/// that does not come back stops the run. Run the same command again after an interruption: it continues with the machines that are left.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[
        ("Reboot the machines that need it", "hostler reboot"),
        ("Reboot one machine now, without waiting for the film that it is encoding", "hostler reboot rainbowdash --now --yes"),
    ],
    help::ALL,
))]
pub struct Arguments {
    /// Names of machines in the inventory [default: those that need a reboot]
    #[arg(value_name = "MACHINE")]
    machines: Vec<String>,
    #[command(flatten)]
    planning: Planning,
    /// Stop films that are being encoded; they start again from the beginning
    #[arg(long)]
    now: bool,
    /// After this time delete pods that a PodDisruptionBudget still protects, e.g. 90s or 10m [default: fail after 5m]
    #[arg(long, value_name = "TIME", value_parser = length)]
    force_after: Option<Duration>,
    /// Apply the plan without asking
    #[arg(long, short)]
    yes: bool,
}

/// # Errors
/// As [`apply`]; a machine that the inventory does not have.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<(ExitStatus, Vec<Plan>)> {
    let file = arguments.planning.inventory.load()?;
    let machines = arguments.machines.iter().map(|name| machine_named(&file.inventory, name)).collect::<Result<_>>()?;
    let force_after = arguments.force_after.map(|time| time.as_secs());
    let goal = Goal::Reboot { machines, now: arguments.now, force_after, continues: false };
    apply(&ApplyRequest::new(goal, Consent::yes_if(arguments.yes)), &file, &arguments.planning.means(), reporter).await
}
