//! kubelets' serving certificates: the cluster signs them, hostler approves what kubelets ask for, and API servers verify them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::Result;

use super::cluster::runs;
use super::documents;
use super::planner::Planner;
use super::verify;
use crate::action::cluster::CertifyKubelets;
use crate::digest::sha256;
use crate::document::Document;
use crate::facts::{Facts, kubelet_addresses};
use crate::inventory::MachineName;
use crate::record::{Applied, Record};
use crate::step::{Need, StepKind};
use crate::trusted::ApiVia;
use crate::words::{and, in_days};

const DAY: i64 = 24 * 60 * 60;

/// Whether API servers are to verify the certificates that kubelets present. Those of a new cluster do; those of an older one once the kubelet of
/// every node has a certificate that the cluster signed, or gets it in this plan. Once they do, they keep to it.
///
/// # Errors
/// A template that can't be filled in, which is a defect.
pub fn are_verified(planner: &Planner) -> Result<bool> {
    let sum = |verifies: bool| -> Result<String> {
        let servers = documents::ApiServers { version: planner.manifests.kubernetes(), verify_kubelets: verifies };
        Ok(sha256(documents::cluster(planner.inventory, servers)?.as_bytes()))
    };
    match planner.api_via {
        Some(ApiVia { cluster, .. }) if cluster.verifies_kubelets => Ok(true),
        // Somebody deleted or changed what kubeadm stored.
        Some(ApiVia { cluster, .. }) if cluster.record.get(&Record::Document(Document::Cluster)) == Some(&sum(true)?) => Ok(true),
        // What joins needs the ClusterConfiguration that is there: after that.
        Some(ApiVia { cluster, .. }) => Ok(planner.only.is_none()
            && planner.machines().all(|(name, _)| planner.usable(name).is_none() || planner.joined(name))
            && cluster.nodes.keys().all(|node| {
                let machine = planner.inventory.machines.get_key_value(node.as_str());
                machine.is_some_and(|(name, _)| planner.usable(name).is_some() && planner.joined(name))
            })),
        None if !planner.cluster_exists() => Ok(true),
        // No API server can be asked: as it was when its static pods were written.
        None => {
            let without = sum(false)?;
            let is_without = |facts: &Facts| facts.applied.get(&Applied::Document(Document::Cluster)) == Some(&without);
            Ok(!planner.trusted.holders().any(|(_, facts)| is_without(facts)))
        }
    }
}

/// What is wrong with the serving certificate of the machine's kubelet, which must ask for another one.
pub fn lacks(facts: &Facts) -> Option<String> {
    match facts.kubernetes.serving {
        None => Some("kubelet has no serving certificate that the cluster signed".to_owned()),
        Some(validity) if validity.is_overdue(facts.clock) => {
            Some(format!("kubelet has not renewed its serving certificate, which expires {}", in_days((validity.ends - facts.clock) / DAY)))
        }
        Some(_) => None,
    }
}

pub fn plan(planner: &mut Planner) {
    let Some(api_via) = verify::api_via(planner).filter(|_| !planner.cluster_refused) else { return };
    let cluster = planner.api_via.map(|api_via| api_via.cluster);
    let known = kubelet_addresses(cluster.iter().flat_map(|cluster| &cluster.record));
    let is_node = |name: &MachineName| cluster.is_some_and(|cluster| cluster.nodes.contains_key(name.as_str()));
    let mut addresses: BTreeMap<MachineName, IpAddr> = BTreeMap::new();
    let (mut joining, mut without) = (Vec::new(), Vec::new());
    for (name, machine) in planner.machines().filter(|(name, _)| planner.concerns(name)) {
        let comes = verify::will_join(planner, name);
        let joined = planner.usable(name).filter(|_| planner.joined(name) && is_node(name));
        let away = planner.unreachable.contains_key(name) && is_node(name);
        if !comes && joined.is_none() && !away {
            continue;
        }
        // A node that this plan deletes takes its address with it.
        if comes || known.get(name) != Some(&machine.address) {
            addresses.insert(name.clone(), machine.address);
        }
        match joined {
            _ if comes => joining.push(name.clone()),
            Some(facts) if lacks(facts).is_some() => without.push(name.clone()),
            _ => {}
        }
    }
    let reason = match (without.as_slice(), joining.is_empty()) {
        ([], true) if addresses.is_empty() => return,
        ([], true) => "the cluster's record of its kubelets' addresses differs from the inventory".to_owned(),
        ([], false) => "joining kubelets request serving certificates".to_owned(),
        ([one], _) => format!("kubelet of {one} needs a serving certificate"),
        (several, _) => format!("kubelets of {} need serving certificates", and(several)),
    };
    let waited: Vec<Need> = planner
        .machines()
        .flat_map(|(name, _)| [StepKind::Join, StepKind::BootstrapKubelet, StepKind::RenewKubelet].map(|kind| kind.of(name).if_planned()))
        .chain([StepKind::Init, StepKind::RepairControlPlane].map(|kind| kind.of(&api_via).if_planned()))
        .chain(runs(&api_via))
        .collect();
    let action = CertifyKubelets { addresses, nodes: joining.into_iter().chain(without).collect() };
    planner.step(StepKind::KubeletCertificates.of(&api_via), &api_via, reason, action, waited);
}
