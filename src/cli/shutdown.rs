//! `hostler shutdown` and `hostler start`: all machines off, and at work again.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use hostler_core::failure::ExitStatus;
use hostler_core::plan::{Goal, Plan};

use super::arguments::Planning;
use super::help;
use super::length::length;
use crate::apply::{ApplyRequest, Consent, apply};
use crate::report::Reporter;

/// Shut down all machines, control planes last
///
/// No new film is started, and hostler waits for those that are being encoded. Then it shuts the workers down, and once they are off, the
/// control planes. After the machines have been turned on again, run `hostler start`.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[
        ("Shut down when the films that are being encoded are finished", "hostler shutdown"),
        ("Shut down now", "hostler shutdown --now --yes"),
    ],
    help::ALL,
))]
pub struct Shutdown {
    #[command(flatten)]
    planning: Planning,
    /// Do not wait for films that are being encoded: they start over after the next `hostler start`
    #[arg(long)]
    now: bool,
    /// Apply the plan without asking
    #[arg(long, short)]
    yes: bool,
}

/// # Errors
/// As [`apply`].
pub async fn shutdown(arguments: &Shutdown, reporter: &Reporter) -> Result<(ExitStatus, Vec<Plan>)> {
    let file = arguments.planning.inventory.load()?;
    let goal = Goal::Shutdown { now: arguments.now };
    apply(&ApplyRequest::new(goal, Consent::yes_if(arguments.yes)), &file, &arguments.planning.means(), reporter).await
}

/// Resume work after `hostler shutdown`
///
/// Waits until you have turned all machines on, uncordons the nodes that `hostler shutdown` cordoned, and verifies the cluster. After a
/// power failure you do not need this command, because no node is cordoned.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(&[("Wait up to an hour for machines to be turned on", "hostler start --within 1h")], help::ALL))]
pub struct Start {
    #[command(flatten)]
    planning: Planning,
    /// Time to wait for machines that can't be reached yet, e.g. 10m
    #[arg(long, value_name = "TIME", value_parser = length, allow_hyphen_values = true, default_value = "15m")]
    within: Duration,
    /// Apply the plan without asking
    #[arg(long, short)]
    yes: bool,
}

/// # Errors
/// As [`apply`].
pub async fn start(arguments: &Start, reporter: &Reporter) -> Result<(ExitStatus, Vec<Plan>)> {
    let file = arguments.planning.inventory.load()?;
    let request = ApplyRequest { patience: arguments.within, ..ApplyRequest::new(Goal::Start, Consent::yes_if(arguments.yes)) };
    apply(&request, &file, &arguments.planning.means(), reporter).await
}
