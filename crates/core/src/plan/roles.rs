//! Who the control plane is comes from the machines, not from the order of an inventory without roles.

use std::collections::BTreeMap;

use super::documents;
use super::hint::Hint;
use super::planner::interrupted;
use super::refusal::{Refusal, Why};
use crate::facts::{Facts, Observation};
use crate::inventory::{Inventory, MachineName};
use crate::trusted::serves;

/// The control plane of the cluster that the inventory's machines are in, where the inventory takes it for a worker. Nothing must be planned
/// then: the cluster would be taken for another one, or for lost.
pub fn control_plane_elsewhere(inventory: &Inventory, seen: &BTreeMap<MachineName, Observation>) -> Option<Refusal> {
    let facts: BTreeMap<&MachineName, &Facts> = seen.iter().filter_map(|(name, observation)| Some((name, observation.facts()?))).collect();
    let is_control_plane = |name: &MachineName| facts.get(name).is_some_and(|facts| facts.kubernetes.control_plane && !interrupted(facts));
    if inventory.control_planes().any(|(name, _)| is_control_plane(name)) {
        return None;
    }
    let endpoint = documents::endpoint(inventory);
    let server = format!("https://{endpoint}");
    let (named, _) = inventory.control_planes().next()?;
    let ours = |name: &&MachineName| {
        let (all, facts) = (&facts, facts[*name]);
        let speaks = serves(facts, &endpoint);
        // Its API server may be down; the kubelets of the others say whose they are.
        let shares = |other: &Facts| other.kubernetes.server.as_ref() == Some(&server) && other.kubernetes.ca == facts.kubernetes.ca;
        is_control_plane(name) && (speaks || facts.kubernetes.ca.is_some() && all.values().any(|other| shares(other)))
    };
    let is = inventory.workers().map(|(name, _)| name).filter(|name| facts.contains_key(name)).find(ours)?;
    let why = Why::ControlPlaneElsewhere { is: is.clone(), named: named.clone(), written: inventory.roles_written };
    // One machine's word is not enough to take the role from another that can't object.
    let silent: Vec<MachineName> =
        inventory.control_planes().map(|(name, _)| name).filter(|name| !facts.contains_key(name)).cloned().collect();
    let hint = match inventory.roles_written {
        true if !silent.is_empty() => Hint::TurnOn(silent),
        true => Hint::MoveRole { to: is.clone(), from: named.clone() },
        false => Hint::WriteRole(is.clone()),
    };
    Some(Refusal { machine: None, why, hint })
}
