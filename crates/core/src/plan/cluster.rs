//! What the cluster itself keeps: kubeadm's documents, labels and taints, and nodes that are no machine of the inventory.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::planner::Planner;
use super::{documents, wanted};
use crate::action::{Action, Document};
use crate::digest::sha256;
use crate::facts::{ClusterFacts, NodeFact};
use crate::inventory::{Inventory, Machine, MachineName, Role, Taint};
use crate::step::{Stage, StepId};

pub fn plan(planner: &mut Planner) -> Result<()> {
    if planner.cluster_refused {
        return Ok(());
    }
    let empty = ClusterFacts::default();
    let (speaker, cluster) = match planner.speaker {
        Some((speaker, cluster)) => (speaker.clone(), cluster),
        // A cluster that this run makes: whoever begins it speaks for it.
        None if !planner.cluster_exists() => match planner.inventory.control_planes().next() {
            Some((first, _)) if planner.usable(first).is_some() => (first.clone(), &empty),
            _ => return Ok(()),
        },
        None => return Ok(()),
    };
    if planner.cluster_exists() {
        stored_documents(planner, &speaker, cluster)?;
    }
    for (name, machine) in planner.machines() {
        if planner.concerns(name) && (planner.usable(name).is_some() || cluster.nodes.contains_key(name.as_str())) {
            marks(planner, &speaker, cluster, name, machine);
        }
    }
    for (node, found) in &cluster.nodes {
        if !planner.inventory.machines.contains_key(node.as_str()) {
            planner.warn(
                None,
                format!(
                    "node {node} ({}) is in the cluster but not in the inventory: `hostler remove {node} --dead` takes it out",
                    found.address
                ),
            );
        }
    }
    Ok(())
}

/// kubeadm's documents in the cluster, and what every machine made of them.
fn stored_documents(planner: &mut Planner, speaker: &MachineName, cluster: &ClusterFacts) -> Result<()> {
    let version = planner.manifest.kubernetes.clone();
    let mut sums = BTreeMap::new();
    for document in [Document::Cluster, Document::Kubelet, Document::KubeProxy] {
        let text = documents::stored(planner.inventory, &version, document)?;
        let sum = sha256(text.as_bytes());
        let id = StepId::new(speaker, &format!("{}-config", document.record()));
        let known = cluster.record.get(document.record()) == Some(&sum);
        if !known && planner.only.is_some() {
            // What concerns all machines is `up`'s: this one takes what the cluster has.
            continue;
        }
        if !known {
            let reason = format!("{} in the cluster is not what the inventory says", document.kind());
            // kubeadm's phases read the documents of one cluster together.
            let config =
                if document == Document::Cluster { text } else { documents::cluster(planner.inventory, &version)? + "---\n" + &text };
            planner.step(
                (Stage::ControlPlanes, id.clone()),
                speaker,
                reason,
                Action::UploadConfig { document, config, sha256: sum.clone() },
                [],
            );
        }
        sums.insert(document.record(), (sum, id));
    }
    for (name, machine) in planner.machines() {
        let Some(facts) = planner.usable(name) else {
            continue;
        };
        if !planner.joined(name) {
            continue;
        }
        if let Some((sum, stored)) = sums.get("cluster")
            && machine.role == Role::ControlPlane
            && facts.applied.get("cluster") != Some(sum)
        {
            let config = documents::control_plane(planner.inventory, &version, name, machine)?;
            let action = Action::RenewControlPlane { node: name.to_string(), config, sha256: sum.clone() };
            let at = (Stage::ControlPlanes, StepId::new(name, "control-plane"));
            let needs = runs(name).chain([stored.clone()]);
            planner.restart(at, name, "its static pods are from another ClusterConfiguration", action, needs);
        }
        let Some((sum, stored)) = sums.get("kubelet") else {
            continue;
        };
        let on_disk = facts.files.get(wanted::KUBELET_CONFIG).map(|file| &file.sha256);
        let reason = if facts.applied.get("kubelet") != Some(sum) {
            "kubelet runs with another KubeletConfiguration"
        } else if on_disk != facts.applied.get(crate::protocol::recorded::KUBELET_FILE) {
            "kubelet's configuration was changed on the machine"
        } else {
            continue;
        };
        let at = (Stage::Workers, StepId::new(name, "kubelet"));
        let needs = runs(name).chain([stored.clone()]);
        planner.restart(at, name, reason, Action::RenewKubelet { sha256: sum.clone() }, needs);
    }
    Ok(())
}

/// What a kubelet that is to start anything waits for on its machine.
pub fn runs(name: &MachineName) -> impl Iterator<Item = StepId> {
    ["swap", "programs", "containerd", "kubelet-unit"].map(|what| StepId::new(name, what)).into_iter()
}

/// What hostler put on a node, on record so that it can be taken off when the inventory says it no more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Marks {
    pub labels: BTreeSet<String>,
    pub taints: BTreeSet<String>,
}

impl Marks {
    fn wanted(machine: &Machine) -> Marks {
        Marks {
            labels: machine.labels.keys().cloned().collect(),
            taints: wanted::taints(machine).iter().map(ToString::to_string).collect(),
        }
    }

    fn text(&self) -> String {
        // Two lists of strings can't fail to become JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn marks(planner: &mut Planner, speaker: &MachineName, cluster: &ClusterFacts, name: &MachineName, machine: &Machine) {
    let wanted = Marks::wanted(machine);
    let recorded: Marks = cluster
        .record
        .get(&format!("{}{name}", crate::protocol::recorded::NODE))
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let blank = NodeFact::default();
    let node = cluster.nodes.get(name.as_str()).unwrap_or(&blank);
    let mut labels: BTreeMap<String, Option<String>> = machine
        .labels
        .iter()
        .filter(|(key, value)| node.labels.get(*key) != Some(*value))
        .map(|(key, value)| (key.clone(), Some(value.clone())))
        .collect();
    labels.extend(recorded.labels.difference(&wanted.labels).filter(|key| node.labels.contains_key(*key)).map(|key| (key.clone(), None)));
    let asked = wanted::taints(machine);
    let taints: Vec<Taint> = asked.iter().filter(|taint| !node.taints.contains(taint)).cloned().collect();
    let remove_taints: Vec<Taint> =
        node.taints.iter().filter(|taint| recorded.taints.contains(&taint.to_string()) && !asked.contains(taint)).cloned().collect();
    if labels.is_empty() && taints.is_empty() && remove_taints.is_empty() && recorded == wanted {
        return;
    }
    let reason = format!("node {name} has not the labels and taints that the inventory says");
    let action = Action::Label { node: name.to_string(), labels, taints, remove_taints, record: wanted.text() };
    let needs = ["join", "init"].map(|what| StepId::new(name, what));
    let first = StepId::new(speaker, "init");
    planner.step((Stage::Labels, StepId::new(name, "labels")), speaker, reason, action, needs.into_iter().chain([first]));
}

/// Where a node of the cluster is known by another name than the machine at its address.
pub fn renamed<'a>(inventory: &'a Inventory, cluster: &'a ClusterFacts) -> Vec<(&'a MachineName, &'a str)> {
    let mut found = Vec::new();
    for (name, machine) in &inventory.machines {
        let address = machine.address.to_string();
        for (node, fact) in &cluster.nodes {
            if fact.address == address && node != name.as_str() {
                found.push((name, node.as_str()));
            }
        }
    }
    found
}
