//! `hostler reset`: everything down to machines that kubeadm has never seen.

use anyhow::Result;
use clap::Args;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::plan::{Goal, Plan};

use super::arguments::Planning;
use crate::apply::{ApplyRequest, Consent, Typed, apply};
use crate::report::Reporter;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    planning: Planning,
    /// Do it without asking; the name is the cluster's
    #[arg(long, value_name = "NAME")]
    yes_take_down: Option<String>,
}

/// # Errors
/// As [`apply`]; another name than the cluster's.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<(ExitStatus, Plan)> {
    let file = arguments.planning.inventory.load()?;
    let name = file.inventory.cluster.name.clone();
    if let Some(said) = arguments.yes_take_down.as_ref().filter(|said| **said != name) {
        let message = format!("the cluster of this inventory is `{name}`, not `{said}`");
        return Err(Failure::new(ExitStatus::Usage, message, "name the cluster you mean, or give its inventory with -i").into());
    }
    let hint = "pass --yes-take-down NAME to do it without asking";
    let typed = Typed { what: "this can't be undone", name, hint };
    let consent = if arguments.yes_take_down.is_some() { Consent::Given } else { Consent::Typed(typed) };
    apply(&ApplyRequest::new(Goal::Reset, consent), &file, &arguments.planning.means(), reporter).await
}
