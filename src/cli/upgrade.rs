//! `hostler upgrade`: a cluster becomes another version of Kubernetes.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::shown;
use hostler_core::plan::{Goal, Plan};
use hostler_core::version::{Versions, numbers, three_numbers};
use hostler_core::words::{self, counted};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::arguments::Planning;
use super::help;
use super::length::length;
use crate::apply::{self, ApplyRequest, Consent, apply};
use crate::event::Event;
use crate::pins;
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
        ("Go back to the previous version, as long as no worker has been upgraded", "hostler upgrade --rollback"),
    ],
    help::ALL,
))]
pub struct Arguments {
    /// Version to upgrade to [default: the version in the inventory, otherwise the newest that hostler knows]
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    /// Undo what an upgrade has changed so far, as long as no worker has been upgraded
    #[arg(long, conflicts_with_all = ["to", "parallel"])]
    rollback: bool,
    #[command(flatten)]
    planning: Planning,
    /// Number of workers to upgrade at once; control planes are always upgraded one at a time
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..))]
    parallel: u16,
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

/// The version that was asked for, if hostler has bundles of it.
fn known(text: &str, versions: &Versions) -> Result<String> {
    let plain = text.strip_prefix('v').unwrap_or(text);
    if let Some(version) = versions.known(plain) {
        return Ok(version.to_owned());
    }
    let of_minor = three_numbers(plain).and_then(|plain| plain.rsplit_once('.')).and_then(|(minor, _)| versions.newest_of(minor));
    let near = versions.newest_of(plain).or(of_minor).or_else(|| words::nearest(plain, versions.iter()));
    let meant = near.map(|near| format!("did you mean {near}?"));
    let fetch =
        three_numbers(plain).map(|version| format!("run `hostler bundle pins --update {version}` to fetch the checksums of {version}"));
    let hint = match (meant, fetch) {
        (Some(meant), Some(fetch)) => format!("{meant} Otherwise {fetch}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => "`hostler bundle pins` lists them".to_owned(),
    };
    let message = format!("hostler does not know Kubernetes `{}`, only {}", shown(text), words::and(versions.as_slice()));
    Err(Failure::new(ExitStatus::Usage, message, hint).into())
}

/// How long ago a day was: ` (3 days ago)`. A clock that is wrong says nothing of it.
pub(super) fn ago(day: Date, today: Date) -> String {
    usize::try_from((today - day).get_days()).map_or_else(|_| String::new(), |days| format!(" ({} ago)", counted(days, "day")))
}

/// The day that it is.
pub(super) fn today() -> Date {
    TimeZone::UTC.to_datetime(Timestamp::now()).date()
}

/// Which version the upgrade goes to, and how old the list is that `newest` is from.
fn which(to: &str, newest: &str, as_of: Option<Date>, today: Date) -> String {
    let list = match as_of {
        Some(day) => format!("the newest version in hostler's list from {day}{}", ago(day, today)),
        None => "the newest version in hostler's list".to_owned(),
    };
    if to == newest { format!("upgrading to {to}, {list}") } else { format!("upgrading to {to}; {newest} is {list}") }
}

/// # Errors
/// As [`apply`]; a snapshot that can't be taken.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<(ExitStatus, Vec<Plan>)> {
    let list = pins::list()?;
    let versions = list.versions();
    let asked = arguments.to.as_deref().map(|to| known(to, &versions)).transpose()?;
    let file = arguments.planning.inventory.load()?;
    let force_after = arguments.force_after.map(|time| time.as_secs());
    if arguments.rollback {
        let goal = Goal::RollBack { now: arguments.now, force_after, continues: false };
        return apply(&ApplyRequest::new(goal, Consent::yes_if(arguments.yes)), &file, &arguments.planning.means(), reporter).await;
    }
    let newest = pins::pins_of(None)?.kubernetes.clone();
    let to = asked.or_else(|| file.inventory.cluster.version.clone()).unwrap_or_else(|| newest.clone());
    if to != newest || arguments.to.is_none() {
        reporter.events().send(Event::Note { line: which(&to, &newest, list.as_of, today()) });
    }
    let goal = |to: String| Goal::Upgrade { to, parallel: usize::from(arguments.parallel), now: arguments.now, force_after };
    let means = arguments.planning.means();
    let mut stages = vec![to.clone()];
    // A patch of the oldest minor version that is known has none before it.
    if versions.iter().any(|version| minor(version) < minor(&to)) {
        stages = apply::stages(&to, &goal(to.clone()), &file.inventory, &means, reporter).await?;
    }
    if stages.len() > 1 {
        let several = stages.len();
        let line = format!("Kubernetes is upgraded one minor version at a time, so this takes {several} runs: to {}", words::and(&stages));
        reporter.events().send(Event::Note { line });
    }
    let (mut file, mut all) = (file, Vec::new());
    for to in stages {
        if file.is_changed() {
            // The run before has written its version.
            file = arguments.planning.inventory.load()?;
        }
        file = match &file.inventory.cluster.version {
            Some(version) if *version != to => file.with_version(&to)?,
            _ => file,
        };
        let (status, plans) = apply(&ApplyRequest::new(goal(to), Consent::yes_if(arguments.yes)), &file, &means, reporter).await?;
        all.extend(plans);
        if status != ExitStatus::Done {
            return Ok((status, all));
        }
    }
    Ok((ExitStatus::Done, all))
}

/// The first two numbers of a version.
fn minor(version: &str) -> Option<[u32; 2]> {
    numbers(version).map(|[major, minor, _]| [major, minor])
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::which;

    #[test]
    fn the_newest_version_is_named_with_the_age_of_the_list_that_it_is_from() {
        let as_of = Some(date(2026, 8, 21));
        let told = |to, today| which(to, "1.36.3", as_of, today);
        let list = "the newest version in hostler's list from 2026-08-21";
        assert_eq!(told("1.36.3", date(2026, 11, 29)), format!("upgrading to 1.36.3, {list} (100 days ago)"));
        assert_eq!(told("1.35.4", date(2026, 8, 22)), format!("upgrading to 1.35.4; 1.36.3 is {list} (1 day ago)"));
        assert_eq!(told("1.36.3", date(2020, 1, 1)), format!("upgrading to 1.36.3, {list}"));
    }
}
