//! kubeadm's certificates are renewed long before they end: a cluster that somebody looks at twice a year never has one that has expired. Kubelets
//! have theirs renewed by themselves: see [`super::kubelets`].

use anyhow::Result;
use jiff::SignedDuration;

use super::cluster::runs;
use super::planner::Planner;
use super::{documents, repair};
use crate::action::kubeadm::RenewCertificates;
use crate::facts::{self, Facts};
use crate::inventory::{Inventory, Machine, MachineName, Role};
use crate::step::StepKind;
use crate::words::in_days;

/// Days that kubeadm's certificates are valid, unless the inventory says otherwise.
const YEAR: i64 = 365;
const DAY: i64 = 24 * 60 * 60;

pub fn plan(planner: &mut Planner, name: &MachineName, machine: &Machine) -> Result<()> {
    let Some(facts) = planner.usable(name).filter(|_| planner.joined(name)) else { return Ok(()) };
    // What is missing or has expired is repaired first, and its certificates with it.
    if planner.has_step(&StepKind::RepairControlPlane.of(name)) {
        return Ok(());
    }
    if machine.role != Role::ControlPlane || !facts.kubernetes.control_plane {
        return Ok(());
    }
    let due: Vec<&str> = ending(facts, before_end(planner.inventory)).filter(|name| repair::is_renewable(name)).collect();
    if due.is_empty() {
        return Ok(());
    }
    let version = planner.manifests.kubernetes();
    let config = documents::control_plane(planner.inventory, planner.api_servers(version), name, machine)?;
    let soonest = due.iter().filter_map(|name| facts.kubernetes.certificates.get(*name)).min().copied().unwrap_or(facts.clock);
    let when = in_days((soonest - facts.clock) / DAY);
    let reason = match due.as_slice() {
        [one] => format!("the {one} certificate expires {when}"),
        several => format!("{} certificates expire soon, the first {when}", several.len()),
    };
    planner.restart(StepKind::RenewCertificates.of(name), name, reason, RenewCertificates { config }, runs(name));
    Ok(())
}

/// Names of certificates that end within so many seconds.
fn ending(facts: &Facts, seconds: i64) -> impl Iterator<Item = &str> {
    facts.kubernetes.certificates.iter().filter(move |(_, ends)| **ends - facts.clock < seconds).map(|(name, _)| name.as_str())
}

/// Seconds before the end at which kubeadm's certificates are renewed.
fn before_end(inventory: &Inventory) -> i64 {
    let asked = inventory.kubeadm.cluster.get("certificateValidityPeriod").and_then(|value| value.as_str()?.parse::<SignedDuration>().ok());
    facts::early(asked.map_or(YEAR * DAY, |period| period.as_secs()))
}
