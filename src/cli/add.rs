//! `hostler add`: one machine of the inventory joins the cluster; the others stay as they are.

use std::net::IpAddr;

use anyhow::Result;
use clap::Args;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::plan::{Goal, Plan};

use super::arguments::{Planning, machine_named};
use super::help;
use super::take_over::TakingOver;
use crate::apply::{ApplyRequest, Consent, apply};
use crate::report::Reporter;

/// Join one machine of the inventory to the cluster
///
/// The other machines stay as they are. `hostler up` joins all machines that are missing.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[
        ("Join a machine that is in the inventory", "hostler add rainbowdash"),
        ("Add a machine to the inventory and join it to the cluster", "hostler add rainbowdash --address 192.168.1.13"),
    ],
    help::ALL,
))]
pub struct Arguments {
    /// Name of the machine in the inventory
    machine: String,
    /// Add the machine to the inventory first, with this address
    #[arg(long)]
    address: Option<IpAddr>,
    #[command(flatten)]
    taking_over: TakingOver,
    #[command(flatten)]
    planning: Planning,
    /// Apply the plan without asking
    #[arg(long, short)]
    yes: bool,
}

/// # Errors
/// As [`apply`]; an inventory that can't be changed.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<(ExitStatus, Vec<Plan>)> {
    let mut file = arguments.planning.inventory.load()?;
    if let Some(address) = arguments.address {
        file = file.with_machine(&arguments.machine, &address.to_string())?;
    }
    let name = machine_named(&file.inventory, &arguments.machine).map_err(|error| match error.downcast::<Failure>() {
        Ok(Failure { status, message, hint }) => {
            Failure::new(status, message, format!("{hint}; to add a new machine, pass `--address ADDRESS`")).into()
        }
        Err(error) => error,
    })?;
    let goal = arguments.taking_over.goal(Goal::Add(name.clone()), Some(&name), &file.inventory)?;
    apply(&ApplyRequest::new(goal, Consent::yes_if(arguments.yes)), &file, &arguments.planning.means(), reporter).await
}
