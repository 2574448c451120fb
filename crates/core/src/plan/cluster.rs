//! What the cluster itself keeps: kubeadm's documents, labels and taints, and nodes that are no machine of the inventory.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::planner::Planner;
use super::{add_ons, documents, encoders, kubelets, repair, wanted};
use crate::action::cluster::{ForgetNotify, Label, MakeEtcdSpace};
use crate::action::kubeadm::{RenewControlPlane, RenewKubelet, UploadConfig};
use crate::digest::sha256;
use crate::document::Document;
use crate::facts::{ClusterFacts, MemberFact, NodeFact};
use crate::inventory::{Inventory, Machine, MachineName, Role, Taint};
use crate::protocol::{configmap, namespaces};
use crate::record::{Applied, Record};
use crate::static_pod::StaticPod;
use crate::step::{Need, StepKind};
use crate::trusted::ApiVia;
use crate::words::and;

pub fn plan(planner: &mut Planner) -> Result<()> {
    if planner.cluster_refused {
        return Ok(());
    }
    let empty = ClusterFacts::default();
    let (api_via, cluster) = match planner.api_via {
        Some(ApiVia { machine, cluster, .. }) => (machine.clone(), cluster),
        // A cluster that this run makes: whoever begins it speaks for it.
        None if !planner.cluster_exists() => match planner.inventory.control_planes().next() {
            Some((first, _)) if planner.usable(first).is_some() => (first.clone(), &empty),
            _ => return Ok(()),
        },
        None => return Ok(()),
    };
    etcd_space(planner, &api_via, cluster);
    if planner.cluster_exists() {
        stored_documents(planner, &api_via, cluster)?;
        if planner.api_via.is_some() {
            add_ons::roles(planner, &api_via, &cluster.add_ons)?;
            add_ons::coredns(planner, &api_via, &cluster.add_ons)?;
        }
    }
    notifications(planner, &api_via, cluster);
    add_ons::tunnels(planner, &api_via, cluster);
    add_ons::strand(planner, &api_via);
    for (name, machine) in planner.machines() {
        if planner.concerns(name) && (planner.usable(name).is_some() || cluster.nodes.contains_key(name.as_str())) {
            managed_labels(planner, &api_via, cluster, name, machine);
        }
    }
    let known: BTreeSet<String> = planner.machines().filter_map(|(name, _)| other_name(planner, name)).collect();
    for (node, found) in cluster.nodes.iter().filter(|(node, _)| !known.contains(*node)) {
        if !planner.inventory.machines.contains_key(node.as_str()) {
            let when = if found.ready { ", once its machine is off and the node is NotReady" } else { "" };
            let text = format!(
                "node {node} ({}) is in the cluster but not in the inventory: `hostler remove {node} --dead` removes the node{when}",
                found.address
            );
            planner.warn(None, text);
        }
    }
    Ok(())
}

/// What notifications kept in the cluster goes with them, once no machine sends any.
fn notifications(planner: &mut Planner, api_via: &MachineName, cluster: &ClusterFacts) {
    let kept = cluster.add_ons.get("ConfigMap", namespaces::SYSTEM, configmap::NOTIFY).is_some();
    if kept && planner.inventory.notify.is_none() && planner.only.is_none() {
        let needs = planner.machines().map(|(name, _)| StepKind::Notify.of(name).if_planned());
        let needs: Vec<Need> = needs.collect();
        let reason = "the inventory no longer has `notify`";
        planner.step(StepKind::ForgetNotify.of(api_via), api_via, reason, ForgetNotify {}, needs);
    }
}

/// Whether all that is wrong with the member is that it has reached its quota.
pub fn is_full(member: &MemberFact) -> bool {
    member.error.contains("NOSPACE")
}

/// etcd that has reached its quota refuses every write, so that comes first.
pub fn etcd_space(planner: &mut Planner, api_via: &MachineName, cluster: &ClusterFacts) {
    if let Some(full) = cluster.members.values().find(|member| is_full(member)) {
        let reason = format!("etcd member {} refuses writes: {}", full.name, full.error);
        planner.step(StepKind::EtcdSpace.of(api_via), api_via, reason, MakeEtcdSpace {}, []);
    }
}

/// kubeadm's documents in the cluster, and what every machine made of them.
fn stored_documents(planner: &mut Planner, api_via: &MachineName, cluster: &ClusterFacts) -> Result<()> {
    let version = planner.manifests.kubernetes().to_owned();
    let mut sums = BTreeMap::new();
    for document in Document::ALL {
        let text = documents::stored(planner.inventory, planner.api_servers(&version), document)?;
        let sum = sha256(text.as_bytes());
        let id = StepKind::StoreDocument(document).of(api_via);
        let known = cluster.record.get(&Record::Document(document)) == Some(&sum);
        let live = match document {
            Document::KubeProxy => add_ons::kube_proxy_differs(planner, cluster, &text)?,
            Document::Cluster | Document::Kubelet => add_ons::document_differs(planner, &cluster.add_ons, document, &text)?,
        };
        let reason = match live {
            Some(live) => Some(live.into_owned()),
            // What concerns all machines is `up`'s: this one takes what the cluster has.
            None if !known && planner.only.is_some() => {
                if document == Document::Kubelet {
                    let kept = cluster.record.get(&Record::Document(document)).cloned();
                    sums.insert(document, (kept.unwrap_or(sum), id.if_planned()));
                }
                continue;
            }
            None if !known => Some(format!("{} in the cluster differs from the inventory", document.kind())),
            None => None,
        };
        if let Some(reason) = reason {
            // kubeadm's phases read the documents of one cluster together.
            let config = if document == Document::Cluster {
                text
            } else {
                documents::cluster(planner.inventory, planner.api_servers(&version))? + "---\n" + &text
            };
            // Nobody joins in a plan by which API servers come to verify kubelets' certificates.
            let begins = document == Document::Cluster && planner.verifies_kubelets && !cluster.verifies_kubelets;
            let needs = begins.then(|| StepKind::KubeletCertificates.of(api_via).if_planned());
            let replace = document == Document::KubeProxy && add_ons::kube_proxy_lacks_nodes(cluster).is_some();
            planner.step(id.clone(), api_via, reason, UploadConfig { document, config, sha256: sum.clone(), replace }, needs);
        }
        sums.insert(document, (sum, id.if_planned()));
    }
    // kubelets first: API servers come to verify their certificates once all have one.
    if let Some((sum, stored)) = sums.get(&Document::Kubelet) {
        renew_kubelets(planner, cluster, sum, stored);
    }
    if let Some((sum, stored)) = sums.get(&Document::Cluster) {
        renew_control_planes(planner, api_via, sum, stored)?;
    }
    Ok(())
}

/// Kubelets that do not run as KubeletConfiguration says, `sum`, which is in the cluster once `stored` is done.
fn renew_kubelets(planner: &mut Planner, cluster: &ClusterFacts, sum: &str, stored: &Need) {
    for (name, _) in planner.machines() {
        let Some(facts) = planner.usable(name).filter(|_| planner.joined(name)) else { continue };
        let on_disk = facts.files.get(wanted::KUBELET_CONFIG).map(|file| &file.sha256);
        // What repairs it or bootstraps it starts it, too.
        let starts = [StepKind::RepairControlPlane, StepKind::BootstrapKubelet].iter().any(|kind| planner.has_step(&kind.of(name)));
        // It asks for a certificate anew when it starts, and else perhaps not for a while.
        let lacks = kubelets::lacks(facts).filter(|_| cluster.nodes.contains_key(name.as_str()) && !starts);
        let reason = if facts.applied.get(&Applied::Document(Document::Kubelet)).map(String::as_str) != Some(sum) {
            "kubelet is not running with the current KubeletConfiguration".to_owned()
        } else if on_disk != facts.applied.get(&Applied::KubeletFile) {
            "kubelet's configuration was changed on the machine".to_owned()
        } else if repair::has_changed_flags(facts) {
            "kubelet's flags were changed on the machine".to_owned()
        } else if let Some(lacks) = lacks {
            lacks
        } else {
            continue;
        };
        let at = StepKind::RenewKubelet.of(name);
        let needs = runs(name).chain([stored.clone()]);
        planner.restart(at, name, reason, RenewKubelet { sha256: sum.to_owned() }, needs);
    }
}

/// Control planes whose static pods are not as ClusterConfiguration says, `sum`, which is in the cluster once `stored` is done.
fn renew_control_planes(planner: &mut Planner, api_via: &MachineName, sum: &str, stored: &Need) -> Result<()> {
    let version = planner.manifests.kubernetes().to_owned();
    for (name, machine) in planner.machines().filter(|(_, machine)| machine.role == Role::ControlPlane) {
        let Some(facts) = planner.usable(name).filter(|_| planner.joined(name)) else { continue };
        let names = documents::api_names(planner.inventory, &version, machine)?;
        let lacks: Vec<&String> = names.iter().filter(|name| !has_name(&facts.kubernetes.api_names, name)).collect();
        let changed = repair::changed_manifests(facts);
        let reason = if facts.applied.get(&Applied::Document(Document::Cluster)).map(String::as_str) != Some(sum) {
            "the static pods do not match the cluster's ClusterConfiguration".to_owned()
        } else if !facts.kubernetes.api_names.is_empty() && !lacks.is_empty() {
            format!("the API server's certificate is not valid for {}", and(&lacks))
        } else if !changed.is_empty() {
            let files: Vec<String> = changed.iter().map(|pod| pod.manifest()).collect();
            match changed.iter().any(|pod| facts.applied.contains_key(&Applied::Manifest(*pod))) {
                true => repair::changed_on_machine(&files),
                false => "hostler has no record of the manifests that kubeadm wrote".to_owned(),
            }
        } else {
            continue;
        };
        let config = documents::control_plane(planner.inventory, planner.api_servers(&version), name, machine)?;
        let etcd = changed.contains(&StaticPod::Etcd);
        let action = RenewControlPlane { config, names, etcd, sha256: sum.to_owned() };
        let needs = runs(name).chain([stored.clone(), StepKind::KubeletCertificates.of(api_via).if_planned()]);
        planner.restart(StepKind::RenewControlPlane.of(name), name, reason, action, needs);
    }
    Ok(())
}

/// Whether a certificate with these names is valid for `name`.
fn has_name(names: &BTreeSet<String>, name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// What a kubelet that is to start anything waits for on its machine.
pub fn runs(name: &MachineName) -> impl Iterator<Item = Need> {
    [StepKind::Swap, StepKind::Programs, StepKind::Containerd, StepKind::KubeletUnit].map(|kind| kind.of(name).if_planned()).into_iter()
}

/// What hostler put on a node, on record so that it can be taken off when the inventory says it no more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ManagedLabels {
    pub labels: BTreeSet<String>,
    pub taints: BTreeSet<String>,
}

impl ManagedLabels {
    fn wanted(machine: &Machine, labels: &BTreeMap<String, String>) -> ManagedLabels {
        ManagedLabels {
            labels: labels.keys().cloned().collect(),
            taints: wanted::taints(machine).iter().map(ToString::to_string).collect(),
        }
    }

    fn text(&self) -> String {
        // Two lists of strings can't fail to become JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn managed_labels(planner: &mut Planner, api_via: &MachineName, cluster: &ClusterFacts, name: &MachineName, machine: &Machine) {
    let recorded: ManagedLabels =
        cluster.record.get(&Record::Node(name.clone())).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let blank = NodeFact::default();
    let node = cluster.nodes.get(name.as_str()).unwrap_or(&blank);
    let asked_labels = encoders::labels(planner, name, machine, node);
    let wanted = ManagedLabels::wanted(machine, &asked_labels);
    let mut labels: BTreeMap<String, Option<String>> = asked_labels
        .iter()
        .filter(|(key, value)| node.labels.get(*key) != Some(*value))
        .map(|(key, value)| (key.clone(), Some(value.clone())))
        .collect();
    labels.extend(recorded.labels.difference(&wanted.labels).filter(|key| node.labels.contains_key(*key)).map(|key| (key.clone(), None)));
    labels.extend(encoders::stale_labels(planner.inventory, name, node).map(|key| (key.clone(), None)));
    let asked = wanted::taints(machine);
    let taints: Vec<Taint> = asked.iter().filter(|taint| !node.taints.contains(taint)).cloned().collect();
    let remove_taints: Vec<Taint> =
        node.taints.iter().filter(|taint| recorded.taints.contains(&taint.to_string()) && !asked.contains(taint)).cloned().collect();
    if labels.is_empty() && taints.is_empty() && remove_taints.is_empty() && recorded == wanted {
        return;
    }
    let reason = format!("labels and taints of node {name} differ from the inventory");
    let action = Label { node: name.clone(), labels, taints, remove_taints, record: wanted.text() };
    let needs = [StepKind::Join, StepKind::Init].map(|kind| kind.of(name).if_planned());
    let first = StepKind::Init.of(api_via).if_planned();
    planner.step(StepKind::Labels.of(name), api_via, reason, action, needs.into_iter().chain([first]));
}

/// The node of another name that the machine is: by its kubelet's own word, or by its address.
pub fn other_name(planner: &Planner, name: &MachineName) -> Option<String> {
    let cluster = planner.api_via?.cluster;
    let kubernetes = &planner.facts.get(name)?.kubernetes;
    let by_kubelet = kubernetes.node.as_ref().filter(|node| kubernetes.joined && node.as_str() != name.as_str());
    let by_address =
        || renamed(planner.inventory, cluster).into_iter().find(|(renamed, _)| *renamed == name).map(|(_, node)| node.to_owned());
    by_kubelet.filter(|node| cluster.nodes.contains_key(*node)).cloned().or_else(by_address)
}

/// Where a node of the cluster is known by another name than the machine at its address. A kubelet may report any address: nodes that are
/// machines of the inventory, and machines whose own nodes are in the cluster, are what their names say.
pub fn renamed<'a>(inventory: &'a Inventory, cluster: &'a ClusterFacts) -> Vec<(&'a MachineName, &'a str)> {
    let mut found = Vec::new();
    let unknown = |name: &MachineName| !cluster.nodes.contains_key(name.as_str());
    for (name, machine) in inventory.machines.iter().filter(|(name, _)| unknown(name)) {
        let address = machine.address.to_string();
        for (node, fact) in &cluster.nodes {
            if fact.address == address && !inventory.machines.contains_key(node.as_str()) {
                found.push((name, node.as_str()));
            }
        }
    }
    found
}
