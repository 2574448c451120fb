//! `hostler status`.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use hostler_core::facts::{Observation, Question};
use hostler_core::failure::ExitStatus;
use hostler_core::health::{Status, status};
use hostler_core::inventory::{Inventory, MachineName};
use hostler_core::plan::{Goal, plan_for};

use super::Output;
use super::arguments::{Connecting, InventoryArgument};
use super::help;
use crate::apply::{self, Means, fragments};
use crate::artifact::{self, Known};
use crate::connect::{self, login};
use crate::event::Event;
use crate::execute::{Link, gather};
use crate::inventory_file::InventoryFile;
use crate::lab::like;
use crate::report::{Paint, Reporter, status_text, wrap};
use crate::snapshot;
use crate::ssh::Limits;

/// Between two refreshes of `--watch`.
const PAUSE: Duration = Duration::from_secs(5);

/// Show the health of machines and cluster, and what to do next
///
/// Machines that don't answer within seconds count as unreachable. The exit status is 0 if all is healthy, 4 if a machine can't be
/// reached, and 1 if anything else is wrong.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = help::end(
    &[
        ("Watch a cluster come up", "hostler status --watch"),
        ("Use the status in a script", "hostler status --output json | jq .healthy"),
    ],
    help::REMOTE,
))]
pub struct Arguments {
    #[command(flatten)]
    pub inventory: InventoryArgument,
    /// Folder created by `hostler bundle create`, to compare machines with; repeat for each architecture [default: in the cache]
    #[arg(long = "bundle", value_name = "FOLDER")]
    pub bundles: Vec<PathBuf>,
    /// Refresh every 5 s, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
    #[command(flatten)]
    pub connecting: Connecting,
}

/// Shows the status. It ends with done if all is healthy, unreachable if a machine is, else failed.
///
/// # Errors
/// The inventory or the bundle is not valid.
pub async fn run(arguments: &Arguments, output: Output, reporter: &Reporter) -> Result<ExitStatus> {
    let file = arguments.inventory.load()?;
    let inventory = &file.inventory;
    for line in inventory.warnings.clone() {
        reporter.events().send(Event::Warning { line });
    }
    let links = connect::links_within(impatient(), inventory, arguments.connecting.new_host_keys(), reporter)?;
    login::log_in(&links, reporter).await?;
    let terminal = std::io::stdout().is_terminal();
    // Read from disk once; it does not change while `--watch` runs.
    let mut known = None;
    loop {
        let (status, rejected) = observe(arguments, &file, &links, &mut known, reporter).await?;
        let text = || status_text(&status, Paint::wanted(terminal), wrap::width(&console::Term::stdout()), reporter.commands());
        match output {
            Output::Json => reporter.value(&status).await?,
            Output::Text if arguments.watch && terminal => reporter.screen(&text()).await,
            Output::Text => reporter.result(&text()).await,
        }
        // Nobody reads it any more.
        if !arguments.watch || reporter.lost().error().is_some() {
            return rejected.map_or_else(|| Ok(exit_status(&status)), Err);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A status must come quickly: a machine that takes longer is shown as unreachable.
fn impatient() -> Limits {
    let seconds = Duration::from_secs;
    Limits { connect: seconds(2), handshake: seconds(5), hang_up: seconds(2), sudo: seconds(10), ..Limits::default() }
}

/// The status, and why the inventory can't be applied whatever it says.
async fn observe(
    arguments: &Arguments,
    file: &InventoryFile,
    links: &BTreeMap<MachineName, Arc<Link>>,
    known: &mut Option<Known>,
    reporter: &Reporter,
) -> Result<(Status, Option<anyhow::Error>)> {
    let inventory = &file.inventory;
    let question = Question { kubelet_requests: true, fsync: Default::default(), ..apply::question(&Goal::Up, inventory)? };
    let seen = gather::gather(links, &question, &reporter.events().without_unreachable()).await?;
    if !arguments.watch {
        apply::bring_home(file, &seen, links, &reporter.events()).await;
    }
    let known = match known {
        Some(known) => known,
        None => known.insert(at_hand(arguments, inventory, &seen, reporter).await?),
    };
    let plan = plan_for(&Goal::Up, inventory, &known.manifests, &seen)?;
    let mut status = status(inventory, &seen, Some(&plan), own_snapshot(file));
    // What `plan` and `up` would not begin with is no way out.
    let rejected = match arguments.watch {
        true => None,
        false => fragments::check(&plan, file, known.bundles.as_ref(), &reporter.events()).err(),
    };
    if rejected.is_some() {
        status.next = None;
    }
    Ok((status, rejected))
}

/// When the newest snapshot on this computer was taken, in seconds since the epoch.
fn own_snapshot(file: &InventoryFile) -> Option<i64> {
    let cluster = &file.inventory.cluster.name;
    snapshot::taken(&snapshot::newest(&like::snapshots(file).ok()?, cluster)?, cluster)
}

/// What is known of the bundles that `up` would use, as `plan` has it.
///
/// # Errors
/// As [`artifact::known`].
async fn at_hand(
    arguments: &Arguments,
    inventory: &Inventory,
    seen: &BTreeMap<MachineName, Observation>,
    reporter: &Reporter,
) -> Result<Known> {
    let means = Means { bundles: arguments.bundles.clone(), ..Means::default() };
    let known = artifact::known(&apply::bundles_for(&Goal::Up, inventory, seen, &means), &reporter.events()).await?;
    known.say_what_is_not_checked(&reporter.events());
    Ok(known)
}

fn exit_status(status: &Status) -> ExitStatus {
    match status.healthy {
        true => ExitStatus::Done,
        false if status.machines.iter().any(|machine| machine.unreachable.is_some()) => ExitStatus::Unreachable,
        false => ExitStatus::Failed,
    }
}
