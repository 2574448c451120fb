//! Whether pods get the network that they should: by the right configuration, and through a tunnel that nobody cuts.

use std::net::IpAddr;

use super::planner::Planner;
use crate::facts::{ClusterFacts, Facts};
use crate::inventory::{Cni, Inventory, MachineName};
use crate::protocol::path;
use crate::words::and;

/// Of flannel's VXLAN.
pub const TUNNEL_PORT: u16 = 8472;

/// What is wrong with the pod network of a machine, by its own word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// containerd takes this file of another program, as its name comes before flannel's.
    Other { file: String },
    /// Nodes that are Ready and answer nothing through flannel's tunnel.
    Silent { nodes: Vec<String> },
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // hostler deletes no file of others.
            Fault::Other { file } => write!(
                f,
                "new pods get their network from {file}, not from flannel: move that file away, then delete the pods that were started in \
                 the meantime"
            ),
            Fault::Silent { nodes } => write!(
                f,
                "no answer from {} over the pod network: if there is a firewall between the machines, open UDP port {TUNNEL_PORT} and \
                 allow ping",
                and(nodes)
            ),
        }
    }
}

/// What is wrong on a machine of this name.
pub fn faults(inventory: &Inventory, name: &MachineName, facts: &Facts, cluster: Option<&ClusterFacts>) -> Vec<Fault> {
    if inventory.cluster.cni == Cni::None || !facts.kubernetes.joined {
        return Vec::new();
    }
    let first = facts.kubernetes.cni.as_ref().filter(|file| file.as_str() < path::FLANNEL_CNI);
    let other = first.map(|file| Fault::Other { file: file.clone() });
    let nodes = cluster.map(|cluster| silent(name, facts, cluster)).unwrap_or_default();
    let silent = (!nodes.is_empty()).then_some(Fault::Silent { nodes });
    other.into_iter().chain(silent).collect()
}

/// Nodes that do not answer, and should: a machine that is away is told as that.
fn silent(name: &MachineName, facts: &Facts, cluster: &ClusterFacts) -> Vec<String> {
    if !cluster.nodes.get(name.as_str()).is_some_and(|node| node.ready) {
        return Vec::new();
    }
    let begins = |cidr: &str| cidr.split('/').next().and_then(|address| address.parse::<IpAddr>().ok());
    let ends = |cidr: &str| begins(cidr).is_some_and(|address| facts.kubernetes.silent.contains(&address));
    let others = cluster.nodes.iter().filter(|(node, fact)| node.as_str() != name.as_str() && fact.ready && ends(&fact.pod_cidr));
    others.map(|(node, _)| node.clone()).collect()
}

pub fn plan(planner: &mut Planner) {
    for (name, _) in planner.machines().filter(|(name, _)| planner.concerns(name)).collect::<Vec<_>>() {
        let Some(facts) = planner.facts.get(name) else { continue };
        for fault in faults(planner.inventory, name, facts, planner.api_via.map(|via| via.cluster)) {
            planner.warn(Some(name), fault.to_string());
        }
    }
}
