//! Why no API server answers, as far as the control planes that were reached know it, and what fits that.

use std::collections::BTreeMap;

use super::hint::{Command, Hint, Unless};
use super::planner::{Planner, interrupted};
use super::refusal::Why;
use crate::facts::{Facts, Observation};
use crate::inventory::{Inventory, MachineName};
use crate::protocol::systemd;
use crate::trusted::trusted_of;

/// What etcd says, in its own words, when its data can't be read any more.
const BROKEN: [&str; 6] = ["crc mismatch", "walpb:", "snap: ", "failed to recover", "file: data", "corrupt"];

/// Seconds after the start of kubelet within which it is no wonder that its API server does not answer yet.
const STARTS_WITHIN: u64 = 180;

/// The control planes whose API server may still be starting, where none answers, and for how many seconds their kubelet has run.
pub fn starting<'a>(inventory: &'a Inventory, seen: &'a BTreeMap<MachineName, Observation>) -> BTreeMap<&'a MachineName, u64> {
    let trusted = trusted_of(inventory, seen);
    if trusted.answering().next().is_some() {
        return BTreeMap::new();
    }
    trusted.reached().filter_map(|(name, facts)| Some((name, just_started(facts)?))).collect()
}

/// For how many seconds kubelet has run, where that explains that the API server does not answer.
fn just_started(facts: &Facts) -> Option<u64> {
    let member = facts.kubernetes.control_plane && facts.kubernetes.joined && !interrupted(facts);
    let seconds = facts.units.get(systemd::KUBELET)?.active_for(facts)?;
    (member && facts.api_down.is_some() && broken(facts).is_none() && seconds < STARTS_WITHIN).then_some(seconds)
}

/// Said when nothing is to be repaired on a control plane: otherwise its API server may come back by that.
pub fn explain(planner: &mut Planner) {
    let control_planes = || planner.inventory.control_planes();
    if planner.api_via.is_some() || !planner.cluster_exists() || control_planes().any(|(name, _)| planner.works_on(name)) {
        return;
    }
    let alone = planner.inventory.only_control_plane();
    let alone_and_reached = alone.and_then(|name| Some((name, *planner.facts.get(name)?)));
    if let Some((name, words)) = alone_and_reached.and_then(|(name, facts)| Some((name, broken(facts)?))) {
        planner.refuse(
            None,
            Why::EtcdBroken { machine: name.clone(), words },
            Hint::RestoreCluster { restore: Command::Restore(name.clone()), unless: Unless::Broken },
        );
        return;
    }
    // Why it can't be used is why it does not answer.
    if alone.is_some_and(|name| planner.refused.contains(name)) {
        return;
    }
    let answers = answers(planner);
    let otherwise = match alone_and_reached {
        Some((name, _)) => Hint::LookAtControlPlane(name.clone()),
        None => Hint::BringControlPlanesBack { look: true },
    };
    let hint = hint(planner, otherwise);
    planner.refuse(None, Why::NoApi { answers }, hint);
}

/// What the control planes that were reached say instead.
pub fn answers(planner: &Planner) -> Vec<(MachineName, String)> {
    planner.inventory.control_planes().filter_map(|(name, _)| Some((name.clone(), answer(planner.facts.get(name)?)?))).collect()
}

/// What to do where no API server answers: wait, if one may still be starting.
pub fn hint(planner: &Planner, otherwise: Hint) -> Hint {
    let mut reached = planner.inventory.control_planes().filter_map(|(name, _)| Some((name, *planner.facts.get(name)?)));
    let started = reached.find_map(|(name, facts)| Some((name.clone(), just_started(facts)?)));
    started.map_or(otherwise, |(machine, seconds)| Hint::WaitForApi { machine, seconds })
}

/// What etcd said, where its data is damaged.
pub fn broken(facts: &Facts) -> Option<String> {
    let words = facts.kubernetes.last_words.get("etcd")?;
    BROKEN.iter().any(|sign| words.contains(sign)).then(|| words.clone())
}

/// What the machine says: the first that is wrong is what the others need.
fn answer(facts: &Facts) -> Option<String> {
    let words = &facts.kubernetes.last_words;
    let said = ["etcd", "kube-apiserver", "kubelet"].into_iter().find_map(|program| Some(format!("{program}: {}", words.get(program)?)));
    match (&facts.api_down, said) {
        (Some(down), Some(said)) => Some(format!("{down}, and {said}")),
        (down, said) => said.or_else(|| down.clone()),
    }
}

/// The address that the control plane was made with, where it has another now and nobody speaks for the cluster: etcd and the certificates
/// know no other.
pub fn moved(planner: &Planner, facts: &Facts) -> Option<String> {
    let made_with = facts.kubernetes.etcd_address.as_ref()?;
    let has = facts.addresses.is_empty() || facts.addresses.contains(made_with);
    (!has && facts.kubernetes.joined && planner.api_via.is_none()).then(|| made_with.clone())
}
