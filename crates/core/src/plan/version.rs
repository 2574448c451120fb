//! Which version of Kubernetes runs, and what a bundle of another one would do to it.

use super::hint::{Command, Hint};
use super::planner::Planner;
use super::power::PowerRecord;
use super::refusal::Why;
use super::wanted;
use crate::inventory::{Inventory, MachineName};
use crate::record::InProgress;
use crate::trusted::{ApiVia, Trusted};
use crate::version::numbers;

/// The version of the cluster that the machines are in: as its control planes report it or, if none answers, as it is installed on them.
/// `None`: there is none, or it is none of those that hostler has bundles of.
pub fn running<'a>(trusted: &Trusted, inventory: &'a Inventory) -> Option<&'a str> {
    let known = |version: &str| inventory.versions.known(version);
    let reported = trusted.answering().find_map(|api_via| known(&api_via.cluster.version));
    reported.or_else(|| trusted.holders().find_map(|(_, facts)| known(wanted::version_in_use(facts)?)))
}

/// The version that the cluster is of for certain, or that a new one is asked to be of, and who says so.
fn desired<'a>(planner: &Planner<'a>) -> Option<(String, Option<&'a MachineName>)> {
    let reported = planner.api_via.map(|ApiVia { machine, cluster, .. }| (machine, cluster.version.as_str()));
    let reported = reported.filter(|(_, version)| !version.is_empty());
    // Without an API server, what is installed on control planes decides.
    let installed = || planner.trusted.holders().find_map(|(name, facts)| Some((name, wanted::version_in_use(facts)?)));
    let inventory: &Inventory = planner.inventory;
    let asked = || inventory.cluster.version.clone().map(|version| (version, None));
    reported.or_else(installed).map(|(name, version)| (version.to_owned(), Some(name))).or_else(asked)
}

/// Machines of another version than the cluster: an upgrade that was not finished, which drains before it restarts and goes in order.
fn unfinished(planner: &mut Planner) {
    let Some(cluster) = planner.api_via.map(|api_via| api_via.cluster.version.clone()) else { return };
    for (name, _) in planner.machines() {
        let (Some(facts), true) = (planner.usable(name), planner.joined(name)) else { continue };
        let is = wanted::version_in_use(facts);
        let cordoned =
            planner.api_via.and_then(|api_via| api_via.cluster.nodes.get(name.as_str())).is_some_and(|node| node.cordoned_by_hostler);
        // One that was cordoned for a restart or a shutdown is of the right version.
        let power = planner.api_via.is_some_and(|api_via| PowerRecord::of(api_via.cluster, name).is_some());
        if (cordoned && !power) || facts.in_progress.contains(&InProgress::Upgrade) {
            planner.refuse(Some(name), Why::UpgradeInterrupted, Hint::Run(Command::Upgrade { to: None }));
        } else if let Some(is) = is.filter(|is| numbers(is) < numbers(&cluster)) {
            let why = Why::OlderVersion { is: is.to_owned(), cluster: cluster.clone() };
            planner.refuse(Some(name), why, Hint::Run(Command::Upgrade { to: Some(cluster.clone()) }));
        }
    }
}

/// Refuses programs and images of another version than the cluster's, or the one asked for: kubelet would be newer than its API server, or
/// older than kubeadm allows. A control plane that says something else than the others and the bundle blocks nobody.
pub fn check(planner: &mut Planner) {
    if planner.upgrades {
        return;
    }
    unfinished(planner);
    let bundle = planner.manifests.kubernetes();
    match desired(planner) {
        Some((version, machine)) if version != bundle => {
            let why = Why::BundleVersion { bundle: bundle.to_owned(), cluster: version.clone(), by: machine.cloned() };
            let known = planner.inventory.versions.known(&version).is_some();
            planner.refuse(None, why, Hint::BundleOf { version, known });
        }
        _ => {
            let others = planner.trusted.answering().filter(|api_via| api_via.cluster.version != bundle);
            for ApiVia { machine, cluster, .. } in others {
                planner.warn(
                    Some(machine),
                    format!("the API server on this machine reports Kubernetes {}, but the others report {bundle}", cluster.version),
                );
            }
        }
    }
}
