//! `hostler remove`: one machine leaves the cluster.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use hostler_core::failure::ExitStatus;
use hostler_core::inventory::MachineName;
use hostler_core::plan::reinstall::Leaving;
use hostler_core::plan::{Goal, Plan};

use super::arguments::{Planning, machine_named};
use super::help;
use super::length::length;
use crate::apply::{ApplyRequest, Consent, apply};
use crate::os::reinstall::prepare;
use crate::report::Reporter;

/// Remove a machine from the cluster
///
/// Its pods are evicted, its node (and etcd member) leaves the cluster, and the machine is wiped: everything in /etc/kubernetes,
/// /var/lib/kubelet, /var/lib/etcd, /etc/cni/net.d and /var/lib/cni is deleted. Folders under `keep:` are kept. With --erase, the whole disk is erased; hostler refuses if a folder
/// under `keep:` is on it.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[
        ("Remove a machine and delete it from the inventory", "hostler remove rainbowdash --edit"),
        ("Clean up the cluster after a machine is gone permanently", "hostler remove rainbowdash --dead"),
        ("Remove a machine and erase its disk", "hostler remove rainbowdash --erase"),
    ],
    help::ALL,
))]
pub struct Arguments {
    /// Name of the machine in the inventory; with --dead, also a node that is no longer in it
    machine: String,
    /// Only clean up the cluster, for a machine that is gone permanently
    #[arg(long)]
    dead: bool,
    /// Afterwards erase the disk that its system is on, with all data on it, and power the machine off
    #[arg(long, conflicts_with = "dead")]
    erase: bool,
    /// With --erase: do not wait for films that are being encoded: they start over on another machine
    #[arg(long, requires = "erase")]
    now: bool,
    /// Time after which pods are deleted regardless of PodDisruptionBudgets, e.g. 90s or 10m
    #[arg(long, value_name = "TIME", value_parser = length, allow_hyphen_values = true)]
    force_after: Option<Duration>,
    /// Also delete the machine from the inventory
    #[arg(long)]
    edit: bool,
    #[command(flatten)]
    planning: Planning,
    /// Apply the plan without asking
    #[arg(long, short)]
    yes: bool,
}

/// # Errors
/// As [`apply`]; an inventory that can't be changed.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<(ExitStatus, Vec<Plan>)> {
    let file = arguments.planning.inventory.load()?;
    let inventory = &file.inventory;
    let unlisted = MachineName::new(&arguments.machine).filter(|name| arguments.dead && !inventory.machines.contains_key(name.as_str()));
    let listed = unlisted.is_none();
    let name = unlisted.map_or_else(|| machine_named(inventory, &arguments.machine), Ok)?;
    // Before anything is done: an edit that is impossible then would leave the next `hostler up` to join the machine again.
    let without = (arguments.edit && listed).then(|| file.without_machine(&name)).transpose()?;
    let force_after = arguments.force_after.map(|time| time.as_secs());
    // Its files are sent while the plan is carried out.
    let prepared = match arguments.erase {
        true => Some(prepare(inventory.os.as_ref().map(|os| os.release).unwrap_or_default(), false, &reporter.events()).await?),
        false => None,
    };
    let goal = match &prepared {
        Some(prepared) => Goal::Erase {
            machine: name.clone(),
            installer: Box::new(prepared.installer.clone()),
            leaving: Leaving { now: arguments.now, force_after },
        },
        None => Goal::Remove { machine: name.clone(), dead: arguments.dead, force_after },
    };
    let (status, plans) =
        apply(&ApplyRequest::new(goal, Consent::yes_if(arguments.yes)), &file, &arguments.planning.means(), reporter).await?;
    if status == ExitStatus::Done && listed {
        let path = file.path.display();
        if let Some(without) = without {
            without.save()?;
            reporter.result(&format!("deleted {name} from {path}")).await;
        } else {
            reporter.result(&format!("now delete {name} from {path}; otherwise the next `hostler up` joins it again")).await;
        }
    }
    Ok((status, plans))
}
