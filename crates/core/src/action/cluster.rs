//! What is done to the cluster, through the API server of the control plane that the script runs on.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Act, Left, Outputs, Payload, minutes};
use crate::inventory::{MachineName, Taint};
use crate::record::Record;
use crate::template::render;
use crate::words::and;

/// Compact and defragment etcd's database, and take back the alarm for which it refuses writes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MakeEtcdSpace {}

impl Act for MakeEtcdSpace {
    fn line(&self) -> String {
        "compact and defragment etcd's database, then disarm the alarm".to_owned()
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        render("kubernetes/etcd-space.sh", json!({}))
    }

    fn limit(&self) -> Duration {
        minutes(15)
    }
}

/// Take the verification off the cluster's record: what it vouches for is about to change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WithdrawVerification {
    /// No API server answers: the control plane keeps in mind that the record is no longer true.
    pub later: bool,
}

impl Act for WithdrawVerification {
    fn line(&self) -> String {
        let answers = if self.later { " as soon as an API server answers" } else { "" };
        format!("discard the result of the last verification{answers}")
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        if self.later {
            return render("kubernetes/withdraw-verification-later.sh", json!({}));
        }
        script("kubernetes/withdraw-verification.sh", json!({}))
    }
}

/// Server-side apply of flannel's manifest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ApplyFlannel {
    pub manifest: String,
    /// Of the manifest, for the cluster's record.
    pub sha256: String,
    /// Whether its DaemonSet is deleted first: applying a manifest removes nothing that someone added, as a node selector.
    pub replace: bool,
}

impl Act for ApplyFlannel {
    fn line(&self) -> String {
        "apply flannel".to_owned()
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        let manifest = payload.content(self.manifest.clone());
        script(
            "kubernetes/apply.sh",
            json!({ "name": Record::Flannel, "manifest": manifest, "sha256": self.sha256, "replace": self.replace }),
        )
    }

    fn leaves(&self) -> Result<Vec<Left>> {
        Ok(vec![Left::Objects { name: "flannel", content: self.manifest.clone() }])
    }
}

/// Roles and their bindings, as a manifest has them and no wider.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RestoreRoles {
    pub manifest: String,
}

impl Act for RestoreRoles {
    fn line(&self) -> String {
        "restore the RBAC roles of nodes and add-ons".to_owned()
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        script("kubernetes/roles.sh", json!({ "manifest": payload.content(self.manifest.clone()) }))
    }

    fn leaves(&self) -> Result<Vec<Left>> {
        Ok(vec![Left::Objects { name: "roles", content: self.manifest.clone() }])
    }
}

/// What kubeadm's administrators may do, by a kubeconfig that needs no role.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RestoreAdmins {
    /// Of kubeadm, for the kubeconfig.
    pub config: String,
    pub manifest: String,
}

impl Act for RestoreAdmins {
    fn line(&self) -> String {
        "restore the rights of admin.conf, with a certificate from the cluster's CA".to_owned()
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        let (config, manifest) = (payload.content(self.config.clone()), payload.content(self.manifest.clone()));
        render("kubernetes/admins.sh", json!({ "config": config, "manifest": manifest }))
    }

    fn kubeadm_config(&self) -> Option<&str> {
        Some(&self.config)
    }

    fn leaves(&self) -> Result<Vec<Left>> {
        Ok(vec![Left::Objects { name: "admins", content: self.manifest.clone() }])
    }
}

/// kubeadm makes CoreDNS again, keeps a Corefile that is there, and lets two pods run where none should.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RestoreCoreDns {
    pub config: String,
    /// Of its Service.
    pub address: IpAddr,
}

impl Act for RestoreCoreDns {
    fn line(&self) -> String {
        "restore CoreDNS with kubeadm, and keep its Corefile".to_owned()
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        let config = payload.content(self.config.clone());
        let patch = payload.content(super::kubeadm::coredns()?);
        script("kubernetes/coredns.sh", json!({ "config": config, "coredns": patch, "address": self.address }))
    }

    fn kubeadm_config(&self) -> Option<&str> {
        Some(&self.config)
    }
}

/// flannel's pod on one node begins anew, and tells the others its end of the tunnel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RestartFlannel {
    pub node: MachineName,
}

impl Act for RestartFlannel {
    fn line(&self) -> String {
        format!("restart flannel on {}", self.node)
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        script("kubernetes/restart-flannel.sh", json!({ "node": self.node }))
    }
}

/// Bring a node's labels and taints to what the inventory says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Label {
    pub node: MachineName,
    /// `None`: taken off.
    pub labels: BTreeMap<String, Option<String>>,
    pub taints: Vec<Taint>,
    pub remove_taints: Vec<Taint>,
    /// What the cluster remembers of it.
    pub record: String,
}

impl Label {
    /// As `kubectl label` takes them.
    fn labels(&self) -> impl Iterator<Item = String> {
        self.labels.iter().map(|(key, value)| value.as_ref().map_or_else(|| format!("{key}-"), |value| format!("{key}={value}")))
    }
}

impl Act for Label {
    fn line(&self) -> String {
        let label = |(key, value): (&String, &Option<String>)| match value {
            Some(value) => format!("set label {key}={value}"),
            None => format!("remove label {key}"),
        };
        let taints = self.taints.iter().map(|taint| format!("set taint {taint}"));
        let removed = self.remove_taints.iter().map(|taint| format!("remove taint {taint}"));
        let parts: Vec<String> = self.labels.iter().map(label).chain(taints).chain(removed).collect();
        if parts.is_empty() {
            return format!("record the labels and taints of node {}", self.node);
        }
        parts.join(", ")
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        let words = |taints: &[Taint]| taints.iter().map(ToString::to_string).collect::<Vec<_>>();
        let context = json!({
            "node": self.node, "labels": self.labels().collect::<Vec<_>>(), "taints": words(&self.taints),
            "remove_taints": words(&self.remove_taints), "record": self.record,
        });
        script("kubernetes/label.sh", context)
    }
}

/// Put on record in the cluster, all at once, which machines are to be restarted or switched off, or that they are no more.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordPower {
    /// By machine, [`PowerRecord`](crate::plan::power::PowerRecord) as text; `None`: it is done.
    pub machines: BTreeMap<MachineName, Option<String>>,
}

impl Act for RecordPower {
    fn line(&self) -> String {
        let names: Vec<&MachineName> = self.machines.keys().collect();
        match self.machines.values().any(Option::is_some) {
            true => format!("record the planned restart or shutdown of {} in the cluster", and(&names)),
            false => format!("remove {} from the cluster's record of planned restarts and shutdowns", and(&names)),
        }
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        let data: BTreeMap<String, &Option<String>> =
            self.machines.iter().map(|(name, value)| (Record::Power(name.clone()).to_string(), value)).collect();
        script("kubernetes/record-power.sh", json!({ "patch": json!({ "data": data }).to_string() }))
    }
}

/// Let no film begin on a node, and wait until those that are being encoded there have ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LetFilmsEnd {
    pub node: String,
}

impl Act for LetFilmsEnd {
    fn line(&self) -> String {
        format!("cordon node {}, and wait until no film is being encoded on it", self.node)
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        script("kubernetes/let-films-end.sh", json!({ "node": self.node }))
    }

    fn patience(&self) -> Duration {
        // A film in 4K takes a small machine most of a day.
        minutes(24 * 60)
    }
}

/// Let no pod begin on a node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cordon {
    pub node: String,
}

impl Act for Cordon {
    fn line(&self) -> String {
        format!("cordon node {}", self.node)
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        script("kubernetes/cordon-node.sh", json!({ "node": self.node }))
    }
}

/// Move a node's pods elsewhere; PodDisruptionBudgets are honoured, for ever or for so many seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    pub node: String,
    pub force_after: Option<u64>,
    /// They may come back: [`Uncordon`] follows.
    pub returns: bool,
}

impl Act for Drain {
    fn line(&self) -> String {
        let forced = self.force_after.map(|seconds| format!("; after {seconds} s, delete those that a PodDisruptionBudget still protects"));
        format!("evict the pods of node {}{}", self.node, forced.unwrap_or_default())
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        script("kubernetes/drain.sh", json!({ "node": self.node, "force_after": self.force_after, "returns": self.returns }))
    }

    fn limit(&self) -> Duration {
        minutes(15) + Duration::from_secs(self.force_after.unwrap_or_default())
    }

    fn destroys(&self) -> bool {
        true
    }
}

/// Let pods onto a node again that hostler cordoned, and wait until what was evicted from it runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Uncordon {
    pub node: String,
    /// The version that its kubelet must have by then, without the `v`.
    pub version: String,
}

impl Act for Uncordon {
    fn line(&self) -> String {
        format!(
            "wait until node {} is Ready with version {}, uncordon it, and wait until its evicted pods are Ready",
            self.node, self.version
        )
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        script("kubernetes/uncordon.sh", json!({ "node": self.node, "version": self.version }))
    }

    fn limit(&self) -> Duration {
        minutes(20)
    }
}

/// Take an etcd member out of the cluster; it is found by its name and peer URL together, and removed by its ID.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RemoveMember {
    pub node: String,
    /// Its name; empty if it never started.
    pub member: String,
    pub peer: String,
}

impl Act for RemoveMember {
    fn line(&self) -> String {
        match self.member.as_str() {
            "" => format!("remove the unnamed member at {} from etcd", self.peer),
            name => format!("remove member {name} ({}) from etcd", self.peer),
        }
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        render("kubernetes/remove-member.sh", json!({ "node": self.node, "member": self.member, "peer": self.peer }))
    }

    fn destroys(&self) -> bool {
        true
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeleteNode {
    pub node: MachineName,
}

impl Act for DeleteNode {
    fn line(&self) -> String {
        format!("delete node {}", self.node)
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        script("kubernetes/delete-node.sh", json!({ "node": self.node }))
    }

    fn destroys(&self) -> bool {
        true
    }
}

/// These nodes become Ready, and pods on each of them find all others by name and through a Service.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    pub nodes: Vec<String>,
    pub manifest: String,
    /// One of CoreDNS's pods moves, if all are on one machine.
    pub spread_dns: bool,
}

impl Act for Probe {
    fn line(&self) -> String {
        let are = match self.nodes.as_slice() {
            [node] => format!("node {node} is"),
            _ => "all nodes are".to_owned(),
        };
        let dns = if self.spread_dns { ", spread CoreDNS over two nodes" } else { "" };
        let network = if self.nodes.len() == 1 {
            "DNS and the pod network".to_owned()
        } else {
            format!("DNS and the network between {} nodes", self.nodes.len())
        };
        format!("wait until {are} Ready{dns}, then probe {network}")
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        let manifest = payload.content(self.manifest.clone());
        script("kubernetes/probe.sh", json!({ "nodes": self.nodes, "manifest": manifest, "spread_dns": self.spread_dns }))
    }

    fn leaves(&self) -> Result<Vec<Left>> {
        Ok(vec![Left::Objects { name: "probe", content: self.manifest.clone() }])
    }

    fn limit(&self) -> Duration {
        minutes(14)
    }
}

/// Delete what notifications kept in the cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ForgetNotify {}

impl Act for ForgetNotify {
    fn line(&self) -> String {
        "delete the record of reported problems".to_owned()
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        script("kubernetes/forget-notify.sh", json!({}))
    }
}

/// Approve kubelets' requests for serving certificates, and wait until they present them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CertifyKubelets {
    /// What is put on record: the address for which the machine's kubelet gets certificates.
    pub addresses: BTreeMap<MachineName, IpAddr>,
    /// Whose kubelets are waited for.
    pub nodes: Vec<MachineName>,
}

impl CertifyKubelets {
    /// How long it waits, in seconds.
    const WITHIN: u64 = 120;
}

impl Act for CertifyKubelets {
    fn line(&self) -> String {
        let record = match self.addresses.len() {
            0 => None,
            1 => Some("record the kubelet's address".to_owned()),
            several => Some(format!("record the addresses of {several} kubelets")),
        };
        let certify = match self.nodes.as_slice() {
            [] => None,
            [node] => Some(format!("approve the serving certificate of {node}'s kubelet")),
            several => Some(format!("approve the serving certificates of {} kubelets", several.len())),
        };
        record.into_iter().chain(certify).collect::<Vec<_>>().join(", and ")
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        let addresses = self.addresses.iter().map(|(name, address)| (Record::Kubelet(name.clone()).to_string(), address.to_string()));
        let addresses: Vec<String> = addresses.flat_map(|(name, address)| [name, address]).collect();
        script(
            "kubernetes/kubelet-certificates.sh",
            json!({ "addresses": addresses, "nodes": self.nodes, "seconds": CertifyKubelets::WITHIN }),
        )
    }
}

/// Put on record in the cluster that what is there was verified.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordVerified {
    /// Of all that the verification vouches for.
    pub sha256: String,
    /// The inventory's text, without addresses that may be secret, for another computer from which the cluster is to be managed. `None`: it is too large.
    #[serde(skip)]
    pub inventory: Option<String>,
}

impl Act for RecordVerified {
    fn line(&self) -> String {
        "record the verification, so that the next run can skip it".to_owned()
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        let inventory = self.inventory.as_ref().map(|text| BASE64_STANDARD.encode(text));
        script("kubernetes/record-verified.sh", json!({ "sha256": self.sha256, "inventory": inventory }))
    }
}

/// A script that speaks to the cluster begins with how to reach it.
pub(super) fn script(name: &str, context: Value) -> Result<String> {
    Ok(render("kubernetes/cluster.sh", json!({}))? + &render(name, context)?)
}
