//! What a cluster may have that `up` did not leave so: how it is written in a case, and what it makes of the facts.

use std::collections::{BTreeMap, BTreeSet};

use hostler_core::digest::sha256;
use hostler_core::document::Document;
use hostler_core::facts::{AskedFor, KubeletRequest, MemberFact, NodeFact, PodFact, RequestedApi};
use hostler_core::inventory::{Inventory, MachineName, Taint};
use hostler_core::plan::documents;
use hostler_core::record::{Applied, Record};
use serde::Deserialize;

use super::BOOT;
use crate::system;
use crate::world::{OLD, World};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ClusterDeviation {
    version: Option<String>,
    /// Node -> label -> value, or nothing for a label that was taken off.
    labels: BTreeMap<String, BTreeMap<String, Option<String>>>,
    taints: BTreeMap<String, Vec<Taint>>,
    /// Nodes of no machine, and their addresses.
    nodes: BTreeMap<String, String>,
    nodes_deleted: Vec<String>,
    /// Seconds since nodes registered.
    ages: BTreeMap<String, i64>,
    /// Addresses that nodes report, which their kubelets may do as they like.
    addresses: BTreeMap<String, String>,
    /// Nodes that their kubelets register once the facts are known.
    pub(super) registered_late: Vec<String>,
    pub(super) not_ready: Vec<String>,
    /// Node -> what it has too little of.
    pressures: BTreeMap<String, String>,
    /// Nodes that report, though their machine can't be reached.
    pub(super) ready: Vec<String>,
    cordoned: Vec<String>,
    cordoned_by_hostler: Vec<String>,
    /// Machines that a run has begun to restart or switch off: `reboot`, `shutdown`.
    power: BTreeMap<String, String>,
    pub(super) unhealthy: Vec<String>,
    learners: Vec<String>,
    /// Members that never started.
    nameless: Vec<String>,
    /// Members that no machine is, and their addresses.
    members: BTreeMap<String, String>,
    members_deleted: Vec<String>,
    record: BTreeMap<String, Option<String>>,
    /// Of the cluster's own objects: words of [`system::spoil`].
    add_ons: Vec<String>,
    /// Pods of the cluster's own that fail, and why.
    pods: BTreeMap<String, String>,
    /// APIs that clients use, `GROUP/VERSION RESOURCE`, and the release that does not serve them any more.
    requested: BTreeMap<String, String>,
    requests_unread: bool,
    /// Versions of kubelets.
    kubelets: BTreeMap<String, String>,
    /// What members of etcd say is wrong with them.
    alarms: BTreeMap<String, String>,
    /// Ends of flannel's tunnel as nodes have them.
    tunnels: BTreeMap<String, String>,
    /// Parts of the pod network as nodes have them.
    pod_cidrs: BTreeMap<String, String>,
    /// It was made by a hostler that had kubelets sign their serving certificates themselves.
    pub(super) uncertified: bool,
    /// Requests for serving certificates: user -> names and addresses.
    kubelet_requests: BTreeMap<String, BTreeSet<String>>,
}

/// Makes of the cluster what a hostler left that had kubelets sign their serving certificates themselves.
pub(super) fn uncertify(world: &mut World, inventory: &Inventory) {
    let cluster = world.cluster.as_mut().expect("there is a cluster");
    let text =
        documents::cluster(inventory, documents::ApiServers { version: &cluster.version, verify_kubelets: false }).expect("templates fit");
    system::document(&mut cluster.add_ons, Document::Cluster, &text);
    cluster.verifies_kubelets = false;
    cluster.record.retain(|name, _| !matches!(name, Record::Kubelet(_)));
    let old = [(Document::Cluster, sha256(text.as_bytes())), (Document::Kubelet, OLD.to_owned())];
    cluster.record.extend(old.clone().map(|(document, sum)| (Record::Document(document), sum)));
    for facts in world.machines.values_mut().filter(|facts| facts.kubernetes.joined) {
        facts.kubernetes.serving = None;
        let old = old.clone().map(|(document, sum)| (Applied::Document(document), sum));
        facts.applied.extend(old.into_iter().filter(|(name, _)| facts.applied.contains_key(name)).collect::<Vec<_>>());
    }
}

impl ClusterDeviation {
    pub(super) fn apply(&self, world: &mut World) {
        let mut empty = Default::default();
        let cluster = world.cluster.as_mut().unwrap_or(&mut empty);
        cluster.version = self.version.clone().unwrap_or_else(|| cluster.version.clone());
        for (user, names) in &self.kubelet_requests {
            let set = |words: [&str; 2]| words.map(str::to_owned).into();
            cluster.kubelet_requests.push(KubeletRequest {
                name: format!("csr-{}", user.rsplit(':').next().unwrap_or_default()),
                user: user.clone(),
                groups: set(["system:nodes", "system:authenticated"]),
                usages: set(["digital signature", "server auth"]),
                asked: Some(AskedFor { common_name: user.clone(), organization: "system:nodes".to_owned(), names: names.clone() }),
            });
        }
        for (node, labels) in &self.labels {
            let node = cluster.nodes.get_mut(node).expect("the node is there");
            for (key, value) in labels {
                match value {
                    Some(value) => drop(node.labels.insert(key.clone(), value.clone())),
                    None => drop(node.labels.remove(key).expect("the label was there")),
                }
            }
        }
        for (node, taints) in &self.taints {
            cluster.nodes.get_mut(node).expect("the node is there").taints.clone_from(taints);
        }
        for (name, address) in &self.nodes {
            let node = NodeFact { ready: true, version: cluster.version.clone(), address: address.clone(), ..NodeFact::default() };
            cluster.nodes.insert(name.clone(), node);
        }
        for name in &self.cordoned {
            cluster.nodes.get_mut(name).expect("the node is there").unschedulable = true;
        }
        for name in &self.cordoned_by_hostler {
            let node = cluster.nodes.get_mut(name).expect("the node is there");
            (node.unschedulable, node.cordoned_by_hostler) = (true, true);
        }
        for (name, change) in &self.power {
            let name = MachineName::new(name).expect("a machine's name");
            cluster.record.insert(Record::Power(name), format!("{change} {BOOT}"));
        }
        cluster.nodes.retain(|name, _| !self.nodes_deleted.contains(name));
        for (name, address) in &self.addresses {
            cluster.nodes.get_mut(name).expect("the node is there").address.clone_from(address);
        }
        for (name, address) in &self.members {
            let peer = format!("https://{address}:2380");
            let member = MemberFact { name: name.clone(), peer, ..MemberFact::default() };
            cluster.members.insert(format!("id-of-{name}"), member);
        }
        for member in cluster.members.values_mut() {
            member.learner |= self.learners.contains(&member.name);
            if self.nameless.contains(&member.name) {
                member.name.clear();
            }
        }
        cluster.members.retain(|_, member| !self.members_deleted.contains(&member.name));
        self.add_ons.iter().for_each(|word| system::spoil(&mut cluster.add_ons, word));
        for (pod, reason) in &self.pods {
            let (reason, message) = reason.split_once(": ").unwrap_or((reason, ""));
            let (reason, message) = (reason.to_owned(), message.to_owned());
            cluster.add_ons.failing.push(PodFact {
                namespace: "kube-system".to_owned(),
                name: pod.clone(),
                node: "rainbowdash".to_owned(),
                reason,
                message,
                since: None,
            });
        }
        for (name, version) in &self.kubelets {
            cluster.nodes.get_mut(name).unwrap_or_else(|| panic!("there is no node {name}")).version.clone_from(version);
        }
        cluster.requests_unread = self.requests_unread;
        for (api, removed) in &self.requested {
            let (api, resource) = api.split_once(' ').expect("GROUP/VERSION RESOURCE");
            cluster.requested.extend(RequestedApi::parse(api, resource, removed));
        }
        for (name, error) in &self.alarms {
            cluster.members.values_mut().find(|member| member.name == *name).expect("it is a member").error.clone_from(error);
        }
        for (name, mac) in &self.tunnels {
            cluster.nodes.get_mut(name).expect("the node is there").vtep_mac.clone_from(mac);
        }
        for (name, condition) in &self.pressures {
            let node = cluster.nodes.get_mut(name).expect("the node is there");
            node.pressures.insert(condition.clone(), "kubelet says so".to_owned());
        }
        for (name, age) in &self.ages {
            cluster.nodes.get_mut(name).expect("the node is there").age = Some(*age);
        }
        for (name, cidr) in &self.pod_cidrs {
            cluster.nodes.get_mut(name).expect("the node is there").pod_cidr.clone_from(cidr);
        }
        for (name, value) in &self.record {
            let name = Record::parse(name).unwrap_or_else(|| panic!("nothing is recorded as {name}"));
            match value {
                Some(value) => drop(cluster.record.insert(name, value.clone())),
                None => drop(cluster.record.remove(&name)),
            }
        }
    }
}
