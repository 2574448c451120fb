//! What kubeadm does: init, join, and the documents that it keeps.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use super::machine::{ConfigureUnit, InstallPrograms, Program};
use super::rollback::kept_records;
use super::{Act, File, Left, Outputs, Part, Payload, minutes, output};
use crate::arch::Arch;
use crate::document::Document;
use crate::facts::{KUBELET_CLIENT, Snapshot, ca_public_key_sha256, peer_url};
use crate::inventory::Role;
use crate::protocol::{archive, path, placeholder, systemd};
use crate::record::{Applied, Record};
use crate::static_pod::StaticPod;
use crate::step::{Input, Output};
use crate::template::render;

/// What `kubeadm init` and a restore hand on.
const OF_INIT: &[Output] = &[Output::Token, Output::Ca];

/// `kubeadm init`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Init {
    /// The documents, with [`placeholder::TOKEN`] in them.
    pub config: String,
    /// What an init that was interrupted left goes first.
    pub again: bool,
    /// What the cluster's record begins with.
    pub record: BTreeMap<Record, String>,
}

impl Act for Init {
    fn line(&self) -> String {
        let first = if self.again { "clean up with kubeadm reset, then " } else { "" };
        format!("{first}run kubeadm init")
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        let context = json!({
            "config": payload.content(self.config.clone()), "coredns": payload.content(coredns()?), "again": self.again,
            "record": applied(&of_machine(&self.record)), "cluster_record": recorded(&self.record), "static_pods": StaticPod::names(),
        });
        render("kubernetes/init.sh", context)
    }

    fn limit(&self) -> Duration {
        minutes(10)
    }

    fn outputs(&self) -> &'static [Output] {
        OF_INIT
    }

    fn kubeadm_config(&self) -> Option<&str> {
        Some(&self.config)
    }

    fn leaves(&self) -> Result<Vec<Left>> {
        left_by_init(&self.config, &self.record)
    }
}

/// The only control plane anew, with the keys and the data of a snapshot: then `kubeadm init`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Restore {
    pub snapshot: Snapshot,
    /// The node, and its address as a member of etcd: the only one.
    pub node: String,
    pub address: String,
    /// As of [`Init`].
    pub config: String,
    pub record: BTreeMap<Record, String>,
}

impl Act for Restore {
    fn line(&self) -> String {
        format!("restore the snapshot taken at {}, then run kubeadm init with its keys and data", self.snapshot.taken)
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        payload.push(Part::Local { path: self.snapshot.archive.clone(), size: self.snapshot.size });
        let context = json!({
            "snapshot": self.snapshot, "node": self.node, "peer": peer_url(&self.address),
            "config": payload.content(self.config.clone()), "coredns": payload.content(coredns()?),
            "record": applied(&of_machine(&self.record)), "cluster_record": recorded(&self.record), "static_pods": StaticPod::names(),
        });
        render("kubernetes/restore.sh", context)
    }

    fn limit(&self) -> Duration {
        minutes(15)
    }

    fn outputs(&self) -> &'static [Output] {
        OF_INIT
    }

    fn kubeadm_config(&self) -> Option<&str> {
        Some(&self.config)
    }

    fn leaves(&self) -> Result<Vec<Left>> {
        left_by_init(&self.config, &self.record)
    }
}

/// A bootstrap token that lives an hour.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CreateToken {}

impl Act for CreateToken {
    fn line(&self) -> String {
        "create a bootstrap token (valid 1 h)".to_owned()
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        through_own_server("kubernetes/token.sh")
    }

    fn outputs(&self) -> &'static [Output] {
        OF_INIT
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeleteToken {
    pub token: Input,
}

impl Act for DeleteToken {
    fn line(&self) -> String {
        "delete the bootstrap token".to_owned()
    }

    fn body(&self, payload: &mut Payload, outputs: Outputs) -> Result<String> {
        payload.push(Part::Bytes(format!("{}\n", output(outputs, &self.token)?).into_bytes()));
        through_own_server("kubernetes/delete-token.sh")
    }

    fn inputs(&self) -> Vec<&Input> {
        vec![&self.token]
    }
}

/// Certificates and keys that a further control plane needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CollectPki {}

impl Act for CollectPki {
    fn line(&self) -> String {
        "read the cluster's certificate authorities for the joining control planes".to_owned()
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        render("kubernetes/pki.sh", json!({}))
    }

    fn outputs(&self) -> &'static [Output] {
        &[Output::Pki]
    }
}

/// `kubeadm join`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Join {
    /// The document, with [`placeholder::TOKEN`] and [`placeholder::CA_HASH`] in it.
    pub config: String,
    /// What a join that was interrupted left goes first.
    pub again: bool,
    pub token: Input,
    pub ca: Input,
    /// Of a control plane.
    pub pki: Option<Input>,
    /// What the machine's record begins with.
    pub record: BTreeMap<Applied, String>,
}

impl Act for Join {
    fn line(&self) -> String {
        let first = if self.again { "clean up with kubeadm reset, then " } else { "" };
        format!("{first}run kubeadm join as a {}", if self.pki.is_some() { "control plane" } else { "worker" })
    }

    fn body(&self, payload: &mut Payload, outputs: Outputs) -> Result<String> {
        let decoded = |input| {
            BASE64_STANDARD
                .decode(output(outputs, input)?)
                .context("the output of an earlier step was corrupted in transit: it is not valid base64")
        };
        let ca = decoded(&self.ca)?;
        let hash = ca_public_key_sha256(&ca).context("the cluster's CA is not a certificate")?;
        let config = self
            .config
            .replace(placeholder::TOKEN, &output(outputs, &self.token)?)
            .replace(placeholder::CA_HASH, &format!("sha256:{hash}"));
        let config = payload.content(config);
        let ca = payload.content(ca);
        let pki = match &self.pki {
            None => Value::Null,
            Some(pki) => {
                let archive = decoded(pki)?;
                let size = archive.len();
                payload.push(Part::Bytes(archive));
                json!({ "size": size })
            }
        };
        let context = json!({ "config": config, "ca": ca, "again": self.again, "pki": pki, "record": applied(&self.record),
            "static_pods": StaticPod::names(),
        });
        render("kubernetes/join.sh", context)
    }

    fn limit(&self) -> Duration {
        minutes(10)
    }

    fn inputs(&self) -> Vec<&Input> {
        [&self.token, &self.ca].into_iter().chain(&self.pki).collect()
    }

    fn kubeadm_config(&self) -> Option<&str> {
        Some(&self.config)
    }

    fn leaves(&self) -> Result<Vec<Left>> {
        Ok(left(&self.record, [(path::JOIN_CONFIG, self.config.clone())]))
    }
}

/// kubelet asks the cluster for a client certificate, as it did when its machine joined.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BootstrapKubelet {
    pub node: String,
    /// URL of the API server.
    pub server: String,
    pub token: Input,
    pub ca: Input,
    /// Whether its serving certificate is damaged, too.
    pub serving: bool,
}

impl Act for BootstrapKubelet {
    fn line(&self) -> String {
        "request a new client certificate for kubelet; pods keep running".to_owned()
    }

    fn body(&self, payload: &mut Payload, outputs: Outputs) -> Result<String> {
        let encoded = output(outputs, &self.ca)?;
        let ca =
            BASE64_STANDARD.decode(&encoded).context("the output of an earlier step was corrupted in transit: it is not valid base64")?;
        let token = output(outputs, &self.token)?;
        let config = render("kubelet/bootstrap.conf", json!({ "server": self.server, "ca": encoded, "token": token }))?;
        let (config, ca) = (payload.content(config), payload.content(ca));
        let context = json!({ "node": self.node, "config": config, "ca": ca, "serving": self.serving });
        render("kubernetes/bootstrap-kubelet.sh", context)
    }

    fn limit(&self) -> Duration {
        minutes(10)
    }

    fn inputs(&self) -> Vec<&Input> {
        vec![&self.token, &self.ca]
    }
}

/// kubelet asks the cluster's API server again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SetKubeletServer {
    /// URL of the API server.
    pub server: String,
}

impl Act for SetKubeletServer {
    fn line(&self) -> String {
        format!("set its server to {}, and restart kubelet", self.server)
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        render("machine/kubelet-server.sh", json!({ "server": self.server }))
    }
}

/// Store a changed kubeadm document in the cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UploadConfig {
    pub document: Document,
    /// What kubeadm reads: the document, and ClusterConfiguration before it.
    pub config: String,
    /// Of the document as it was rendered.
    pub sha256: String,
    /// Whether kube-proxy's DaemonSet is deleted first: kubeadm removes nothing that someone added, as a node selector.
    pub replace: bool,
}

impl Act for UploadConfig {
    fn line(&self) -> String {
        match self.document {
            Document::KubeProxy => "apply kube-proxy with kubeadm, and restart it".to_owned(),
            document => format!("store {} in the cluster", document.kind()),
        }
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        let config = payload.content(self.config.clone());
        let context = json!({ "document": self.document, "config": config, "sha256": self.sha256, "replace": self.replace });
        super::cluster::script("kubernetes/upload-config.sh", context)
    }

    fn kubeadm_config(&self) -> Option<&str> {
        Some(&self.config)
    }
}

/// Take KubeletConfiguration from the cluster and restart kubelet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RenewKubelet {
    /// Of the document as it was rendered.
    pub sha256: String,
}

impl Act for RenewKubelet {
    fn line(&self) -> String {
        "update kubelet's configuration from the inventory, and restart kubelet".to_owned()
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        render("kubernetes/renew-kubelet.sh", json!({ "sha256": self.sha256 }))
    }
}

/// Write the static pods of a control plane anew, and wait until they answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RenewControlPlane {
    pub config: String,
    /// What the API server's certificate must be valid for.
    pub names: Vec<String>,
    /// etcd's manifest is not as kubeadm wrote it, and is written anew. Otherwise it is only if it would become another.
    pub etcd: bool,
    /// Of ClusterConfiguration as it was rendered.
    pub sha256: String,
}

impl Act for RenewControlPlane {
    fn line(&self) -> String {
        "update the static pods and wait until they are healthy".to_owned()
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        let config = payload.content(self.config.clone());
        super::cluster::script(
            "kubernetes/renew-control-plane.sh",
            json!({
                "config": config, "names": self.names, "etcd": self.etcd, "sha256": self.sha256,
                "static_pods": StaticPod::names(),
            }),
        )
    }

    fn limit(&self) -> Duration {
        minutes(15)
    }

    fn kubeadm_config(&self) -> Option<&str> {
        Some(&self.config)
    }
}

/// Renew certificates of a control plane that have expired, and write files that are missing again, from the cluster's CA and documents, and wait until its API server answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RepairControlPlane {
    pub config: String,
    pub missing: Vec<String>,
    /// Files that end in the middle, as after a power failure, and manifests that are not as kubeadm wrote them: they are made again.
    pub damaged: Vec<String>,
    /// By kubeadm's names: `apiserver`, `kubelet-client`.
    pub expired: Vec<String>,
}

impl Act for RepairControlPlane {
    fn line(&self) -> String {
        let renew = if self.expired.is_empty() { "recreate the files" } else { "renew the certificates" };
        format!("{renew} with kubeadm, and wait until the API server answers")
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        let config = payload.content(self.config.clone());
        let trusted: Vec<String> = archive::PKI.iter().map(|name| format!("{}/{name}", path::PKI)).collect();
        let manifest = |file: &String| file.strip_prefix(path::MANIFESTS)?.strip_prefix('/')?.strip_suffix(".yaml").map(str::to_owned);
        let manifests: Vec<String> = self.missing.iter().chain(&self.damaged).filter_map(manifest).collect();
        render(
            "kubernetes/repair-control-plane.sh",
            json!({
                "config": config, "trusted": trusted, "missing_manifests": manifests, "damaged": self.damaged, "expired": self.expired,
                "kubelet_expired": self.expired.iter().any(|name| name == KUBELET_CLIENT),
            }),
        )
    }

    fn limit(&self) -> Duration {
        minutes(15)
    }

    fn kubeadm_config(&self) -> Option<&str> {
        Some(&self.config)
    }
}

/// The static pods of a control plane by the kubeadm of another version, which puts the old ones back itself where that fails.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UpgradeControlPlane {
    /// Without the `v`.
    pub version: String,
    /// Of the first control plane: what all share becomes new as well: ClusterConfiguration, CoreDNS, kube-proxy.
    pub first: bool,
    /// The set of programs with that kubeadm, which need not be in use.
    pub set: String,
    pub config: String,
    /// Of ClusterConfiguration as it was rendered, where what is stored is that of the inventory.
    pub sha256: Option<String>,
    /// The endpoint's moving address leaves the machine first.
    pub yields_vip: bool,
    /// The only control plane: what is kept for a rollback is etcd's data, too.
    pub alone: bool,
}

impl Act for UpgradeControlPlane {
    fn line(&self) -> String {
        let (verb, shared) = if self.first { ("apply", ", CoreDNS and kube-proxy") } else { ("node", "") };
        format!("run kubeadm upgrade {verb} to upgrade the static pods{shared} to {}", self.version)
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        let context = json!({
            "version": self.version, "first": self.first, "set": self.set, "sha256": self.sha256, "yields_vip": self.yields_vip,
            "config": payload.content(self.config.clone()), "coredns": payload.content(coredns()?),
            "alone": self.alone, "static_pods": StaticPod::names(), "applied": kept_records(),
        });
        Ok(super::cluster::script("kubernetes/local-admin.sh", json!({}))? + &render("kubernetes/upgrade-control-plane.sh", context)?)
    }

    fn limit(&self) -> Duration {
        minutes(30)
    }

    fn kubeadm_config(&self) -> Option<&str> {
        Some(&self.config)
    }
}

/// kubelet starts again, so that it asks an API server that was away at once.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReconnectKubelet {}

impl Act for ReconnectKubelet {
    fn line(&self) -> String {
        "restart kubelet, so that it reconnects to the API server at once".to_owned()
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        render("machine/reconnect-kubelet.sh", json!({}))
    }
}

/// containerd and kubelet of another version, whose programs are on the machine, and their configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UpgradeNode {
    pub arch: Arch,
    pub set: String,
    pub programs: Vec<Program>,
    /// Configuration of containerd that differs between the versions.
    pub containerd: Vec<File>,
    /// Of KubeletConfiguration as it was rendered.
    pub sha256: String,
    /// As of [`UpgradeControlPlane`]: a kubelet of another version starts the static pods again.
    pub yields_vip: bool,
}

impl Act for UpgradeNode {
    fn line(&self) -> String {
        format!("switch to program set {}, and restart containerd and kubelet", self.set)
    }

    fn body(&self, payload: &mut Payload, outputs: Outputs) -> Result<String> {
        let UpgradeNode { arch, set, programs, containerd, sha256, yields_vip } = self.clone();
        let mut script = if yields_vip { render("kubernetes/yield-vip.sh", json!({}))? } else { String::new() };
        script += &InstallPrograms { arch, set, programs, missing: Vec::new() }.body(payload, outputs)?;
        if !containerd.is_empty() {
            let unit = systemd::CONTAINERD.to_owned();
            let configure = ConfigureUnit { unit, files: containerd, stale: Vec::new(), others: Vec::new(), restart: true };
            script += &configure.body(payload, outputs)?;
        }
        script += &RenewKubelet { sha256 }.body(payload, outputs)?;
        Ok(script + &render("kubernetes/upgraded.sh", json!({}))?)
    }

    fn limit(&self) -> Duration {
        minutes(15)
    }
}

/// Certificates that end soon, signed anew by the cluster's own CA. The API server and etcd read theirs from the disk as they go.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RenewCertificates {
    /// kubeadm's documents.
    pub config: String,
}

impl Act for RenewCertificates {
    fn line(&self) -> String {
        "renew the certificates with kubeadm, and restart the controller manager and the scheduler".to_owned()
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        let config = payload.content(self.config.clone());
        render("kubernetes/renew-certificates.sh", json!({ "config": config }))
    }

    fn limit(&self) -> Duration {
        minutes(15)
    }

    fn kubeadm_config(&self) -> Option<&str> {
        Some(&self.config)
    }
}

/// What `kubeadm init` lays over its own Deployment of CoreDNS.
///
/// # Errors
/// A template that can't be filled in, which is a defect.
pub fn coredns() -> Result<String> {
    render("kubeadm/corednsdeployment.yaml", json!({}))
}

/// Of what the cluster remembers from its first moment: what its first control plane has to remember, too.
pub fn of_machine(record: &BTreeMap<Record, String>) -> BTreeMap<Applied, String> {
    let documents = Document::of(Role::ControlPlane).iter();
    let sum = |document: &Document| Some((Applied::Document(*document), record.get(&Record::Document(*document))?.clone()));
    documents.filter_map(sum).collect()
}

fn left_by_init(config: &str, record: &BTreeMap<Record, String>) -> Result<Vec<Left>> {
    let files = [(path::INIT_CONFIG, config.to_owned()), (path::COREDNS_PATCH, coredns()?)];
    Ok(left(&of_machine(record), files))
}

/// A machine's record, and the files that kubeadm read.
fn left<const N: usize>(record: &BTreeMap<Applied, String>, files: [(&str, String); N]) -> Vec<Left> {
    let recorded = record.iter().map(|(name, sum)| (format!("{}/{}", path::APPLIED, name), format!("{sum}\n")));
    let files = files.into_iter().map(|(path, content)| (path.to_owned(), content));
    recorded.chain(files).map(|(path, content)| Left::File { path, content }).collect()
}

fn applied(record: &BTreeMap<Applied, String>) -> Vec<Value> {
    record.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

/// Names and values of a record, as templates have them.
pub(super) fn recorded(record: &BTreeMap<Record, String>) -> Vec<Value> {
    record.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

/// A script that has kubeadm speak to this machine's own API server.
fn through_own_server(name: &str) -> Result<String> {
    Ok(render("kubernetes/local-admin.sh", json!({}))? + &render(name, json!({}))?)
}
