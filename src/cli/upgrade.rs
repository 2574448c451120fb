//! `hostler upgrade`: a cluster becomes another version of Kubernetes.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use hostler_core::failure::ExitStatus;
use hostler_core::inventory::{VERSIONS, newest_of};
use hostler_core::plan::{Goal, Plan};
use hostler_core::words::{self, counted};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::arguments::Planning;
use super::help;
use super::length::length;
use crate::apply::{ApplyRequest, Consent, apply};
use crate::artifact::pins;
use crate::event::Event;
use crate::report::Reporter;

/// Upgrade Kubernetes, etcd and containerd to another version
///
/// Takes a snapshot, copies programs and images to all machines, and then upgrades control planes and workers one at a time: each one is
/// drained if its pods can run elsewhere, upgraded, and uncordoned once it is Ready. hostler waits for films that are being encoded. A run
/// upgrades by one minor version at most, and never downgrades. Every machine must be reachable, and every node Ready. After an
/// interruption, run the same command again to continue, or go back with --rollback: see docs/years.md.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[
        ("Upgrade to the version in the inventory, or to the newest version that hostler knows", "hostler upgrade"),
        ("Upgrade to a specific version without a prompt", "hostler upgrade --to 1.36.3 --yes"),
        ("Go back to the version before, after control planes were upgraded and no worker yet", "hostler upgrade --rollback"),
    ],
    help::ALL,
))]
pub struct Arguments {
    /// Version to upgrade to [default: the version in the inventory, else the newest that hostler knows]
    #[arg(long, value_name = "VERSION", value_parser = known)]
    to: Option<String>,
    /// Put back what an upgrade has changed so far, as long as no worker has been upgraded
    #[arg(long, conflicts_with_all = ["to", "parallel"])]
    rollback: bool,
    #[command(flatten)]
    planning: Planning,
    /// Number of workers to upgrade at once; control planes always go one at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    parallel: u16,
    /// Do not wait for films that are being encoded: they are encoded from the beginning afterwards
    #[arg(long)]
    now: bool,
    /// After this time delete pods that a PodDisruptionBudget still protects, e.g. 90s or 10m [default: fail after 5m]
    #[arg(long, value_name = "TIME", value_parser = length)]
    force_after: Option<Duration>,
    /// Apply the plan without asking
    #[arg(long, short)]
    yes: bool,
}

/// A version that hostler has bundles of.
fn known(text: &str) -> Result<String, String> {
    let plain = text.strip_prefix('v').unwrap_or(text);
    if let Some(version) = VERSIONS.iter().find(|version| **version == plain) {
        return Ok((*version).to_owned());
    }
    let near = newest_of(plain).or_else(|| words::nearest(plain, VERSIONS.iter().copied()));
    let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
    Err(format!("hostler knows the versions {}{hint}", words::and(VERSIONS)))
}

/// Which version the upgrade goes to, and how old the list is that `newest` is from.
fn which(to: &str, newest: &str, as_of: Date, today: Date) -> String {
    // A clock that is wrong says nothing of it.
    let days = usize::try_from((today - as_of).get_days()).map_or_else(|_| String::new(), |days| format!(", {} ago", counted(days, "day")));
    let list = format!("the newest in hostler's list of versions of {as_of}{days}");
    if to == newest { format!("the target is version {to}, {list}") } else { format!("the target is version {to}; {newest} is {list}") }
}

/// # Errors
/// As [`apply`]; a snapshot that can't be taken.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<(ExitStatus, Vec<Plan>)> {
    let file = arguments.planning.inventory.load()?;
    let force_after = arguments.force_after.map(|time| time.as_secs());
    if arguments.rollback {
        let goal = Goal::RollBack { now: arguments.now, force_after, continues: false };
        return apply(&ApplyRequest::new(goal, Consent::yes_if(arguments.yes)), &file, &arguments.planning.means(), reporter).await;
    }
    let to = arguments.to.clone().or_else(|| file.inventory.cluster.version.clone()).unwrap_or_else(|| VERSIONS[0].to_owned());
    if to != VERSIONS[0] || arguments.to.is_none() {
        let line = which(&to, VERSIONS[0], pins::AS_OF, TimeZone::UTC.to_datetime(Timestamp::now()).date());
        reporter.events().send(Event::Note { line });
    }
    let file = match &file.inventory.cluster.version {
        Some(version) if *version != to => file.with_version(&to)?,
        _ => file,
    };
    let goal = Goal::Upgrade { to, parallel: usize::from(arguments.parallel), now: arguments.now, force_after };
    apply(&ApplyRequest::new(goal, Consent::yes_if(arguments.yes)), &file, &arguments.planning.means(), reporter).await
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::which;

    #[test]
    fn the_newest_version_is_named_with_the_age_of_the_list_that_it_is_from() {
        let as_of = date(2026, 8, 21);
        let told = |to, today| which(to, "1.36.3", as_of, today);
        let list = "the newest in hostler's list of versions of 2026-08-21";
        assert_eq!(told("1.36.3", date(2026, 11, 29)), format!("the target is version 1.36.3, {list}, 100 days ago"));
        assert_eq!(told("1.35.4", date(2026, 8, 22)), format!("the target is version 1.35.4; 1.36.3 is {list}, 1 day ago"));
        assert_eq!(told("1.36.3", date(2020, 1, 1)), format!("the target is version 1.36.3, {list}"));
    }
}
