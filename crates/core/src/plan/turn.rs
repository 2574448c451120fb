//! What every machine's turn begins with, whatever is done to it: films end there, and pods go elsewhere.

use super::planner::Planner;
use crate::action::cluster::{Drain, LetFilmsEnd};
use crate::facts::ClusterFacts;
use crate::inventory::{Inventory, MachineName};
use crate::step::{Need, StepKind};

/// Steps after which nothing is lost if the node's pods stop, as far as that can be had. Returns what the machine's own step waits for.
pub fn make_way(
    planner: &mut Planner,
    (api_via, cluster): (&MachineName, &ClusterFacts),
    name: &MachineName,
    reason: &str,
    before: Vec<Need>,
) -> Vec<Need> {
    let films = let_films_end(planner, api_via, name, reason, before.clone());
    let before = films.map_or(before, |films| vec![films]);
    if !has_elsewhere(planner, cluster, name) {
        return before;
    }
    let action = Drain { node: name.to_string(), force_after: planner.force_after, returns: true };
    vec![planner.step(StepKind::MakeWay.of(name), api_via, reason, action, before).into()]
}

/// No film begins on the node any more, and those that are being encoded there end. `None`: there are no films, or they are let go.
pub fn let_films_end(planner: &mut Planner, api_via: &MachineName, name: &MachineName, reason: &str, before: Vec<Need>) -> Option<Need> {
    if !planner.films_are_waited_for() {
        return None;
    }
    Some(planner.step(StepKind::LetFilmsEnd.of(name), api_via, reason, LetFilmsEnd { node: name.to_string() }, before).into())
}

/// Whether pods of the machine may run on another.
pub fn has_elsewhere(planner: &Planner, cluster: &ClusterFacts, name: &MachineName) -> bool {
    planner.inventory.machines.iter().any(|(other, machine)| {
        let node = cluster.nodes.get(other.as_str());
        // What hostler cordoned is uncordoned before this one's turn.
        other != name && !machine.dedicated && node.is_some_and(|node| !node.unschedulable || node.cordoned_by_hostler)
    })
}

/// Whether the machine may hold the endpoint's moving address while another control plane could.
pub fn yields_vip(inventory: &Inventory, name: &MachineName) -> bool {
    inventory.cluster.endpoint.vip().is_some()
        && inventory.control_planes().count() > 1
        && inventory.control_planes().any(|(control_plane, _)| control_plane == name)
}
