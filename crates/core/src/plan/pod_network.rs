//! Whose configuration gives pods their network.

use super::planner::Planner;
use crate::facts::Facts;
use crate::inventory::{Cni, Inventory};
use crate::protocol::path;

/// The file that containerd takes instead of flannel's, as its name comes first.
pub fn other<'a>(inventory: &Inventory, facts: &'a Facts) -> Option<&'a str> {
    let first = facts.kubernetes.cni.as_deref()?;
    (inventory.cluster.cni != Cni::None && facts.kubernetes.joined && first < path::FLANNEL_CNI).then_some(first)
}

/// What is to be said of it: hostler deletes no file of others.
pub fn sentence(file: &str) -> String {
    format!("pods that start get their network from {file}, not from flannel: move that file away, then delete pods that started meanwhile")
}

pub fn plan(planner: &mut Planner) {
    for (name, _) in planner.machines().filter(|(name, _)| planner.concerns(name)).collect::<Vec<_>>() {
        if let Some(file) = planner.facts.get(name).and_then(|facts| other(planner.inventory, facts)) {
            planner.warn(Some(name), sentence(file));
        }
    }
}
