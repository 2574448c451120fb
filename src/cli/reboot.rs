//! `hostler reboot`: machines are restarted, one after the other.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use hostler_core::action::power::OsPackages;
use hostler_core::failure::ExitStatus;
use hostler_core::plan::{Goal, Plan};

use super::arguments::{Planning, machine_named};
use super::help;
use super::length::length;
use crate::apply::{ApplyRequest, Consent, apply};
use crate::report::Reporter;

/// Drain and reboot machines, one at a time
///
/// Without names, hostler reboots every machine that needs a reboot, as listed by `hostler status`: workers first, control planes last. On
/// each machine, hostler waits for films that are being encoded, moves the pods to other nodes, reboots, and waits until the node is Ready
/// before it drains the next one. If a machine does not come back, the run stops. After an interruption, run the same command again to
/// continue with the remaining machines.
///
/// With --os, apt upgrades each drained machine's packages before the reboot. Without names, all machines are upgraded, but a machine is
/// rebooted only if a package was upgraded or a reboot is due.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[
        ("Reboot the machines that need it", "hostler reboot"),
        ("Install security updates on all machines, and reboot those that had any", "hostler reboot --os security"),
        ("Reboot one machine now, without waiting for the film that it is encoding", "hostler reboot rainbowdash --now --yes"),
    ],
    help::ALL,
))]
pub struct Arguments {
    /// Names of machines in the inventory [default: those that need a reboot; with --os: all]
    #[arg(value_name = "MACHINE")]
    machines: Vec<String>,
    /// Upgrade packages of the operating system first: those of the distribution's security suites, or all
    #[arg(long, value_name = "WHICH", value_enum)]
    os: Option<Os>,
    #[command(flatten)]
    planning: Planning,
    /// Do not wait for films that are being encoded: they start over afterwards
    #[arg(long)]
    now: bool,
    /// After this time delete pods that a PodDisruptionBudget still protects, e.g. 90s or 10m [default: fail after 5m]
    #[arg(long, value_name = "TIME", value_parser = length, allow_hyphen_values = true)]
    force_after: Option<Duration>,
    /// Apply the plan without asking
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Os {
    Security,
    All,
}

impl From<Os> for OsPackages {
    fn from(os: Os) -> OsPackages {
        match os {
            Os::Security => OsPackages::Security,
            Os::All => OsPackages::All,
        }
    }
}

/// # Errors
/// As [`apply`]; a machine that the inventory does not have.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<(ExitStatus, Vec<Plan>)> {
    let file = arguments.planning.inventory.load()?;
    let machines = arguments.machines.iter().map(|name| machine_named(&file.inventory, name)).collect::<Result<_>>()?;
    let force_after = arguments.force_after.map(|time| time.as_secs());
    let packages = arguments.os.map(OsPackages::from);
    let goal = Goal::Reboot { machines, packages, now: arguments.now, force_after, continues: false };
    apply(&ApplyRequest::new(goal, Consent::yes_if(arguments.yes)), &file, &arguments.planning.means(), reporter).await
}
