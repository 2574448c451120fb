//! `hostler reset`: tears the cluster down to machines as they were before kubeadm.

use anyhow::Result;
use clap::Args;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::plan::{Goal, Plan};

use super::arguments::{OTHER_CLUSTER, Planning};
use super::help;
use crate::apply::{ApplyRequest, Consent, Typed, apply};
use crate::report::Reporter;

/// Delete the cluster
///
/// Deletes the cluster with all its objects and etcd's data, and removes Kubernetes' state from every machine in the inventory. Folders
/// under `keep:` are kept, and so is what the next `up` reuses: hostler's programs, containerd with its images, packages and system
/// settings. To confirm, you type the cluster's name.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[("Tear down the cluster `home` without a prompt", "hostler reset --yes-take-down home")],
    help::ALL,
))]
pub struct Arguments {
    #[command(flatten)]
    planning: Planning,
    /// Tear the cluster down without asking; NAME is the cluster's name
    #[arg(long, value_name = "NAME")]
    yes_take_down: Option<String>,
}

/// # Errors
/// As [`apply`]; a name that is not the cluster's.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<(ExitStatus, Vec<Plan>)> {
    let file = arguments.planning.inventory.load()?;
    let name = file.inventory.cluster.name.clone();
    if let Some(given) = arguments.yes_take_down.as_ref().filter(|given| **given != name) {
        let message = format!("the cluster of this inventory is `{name}`, not `{given}`");
        return Err(Failure::new(ExitStatus::Usage, message, OTHER_CLUSTER).into());
    }
    let hint = "pass `--yes-take-down NAME` to do this without asking";
    let typed = Typed { what: "this can't be undone", name, hint };
    let consent = if arguments.yes_take_down.is_some() { Consent::Given } else { Consent::Typed(typed) };
    apply(&ApplyRequest::new(Goal::Reset, consent), &file, &arguments.planning.means(), reporter).await
}
