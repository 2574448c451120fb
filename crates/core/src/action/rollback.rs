//! An upgrade that is taken back: what it kept of a control plane is put back.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::machine::{ConfigureUnit, InstallPrograms, Program};
use super::{Act, File, Outputs, Payload, minutes};
use crate::arch::Arch;
use crate::facts::peer_url;
use crate::protocol::systemd;
use crate::record::Applied;
use crate::static_pod::StaticPod;
use crate::template::render;

/// Names of a machine's record that go with the files that an upgrade keeps.
pub(super) fn kept_records() -> Vec<String> {
    Applied::all().map(|applied| applied.to_string()).collect()
}

/// containerd and kubelet of a control plane, as they were before its upgrade.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RollBackNode {
    pub arch: Arch,
    pub set: String,
    pub programs: Vec<Program>,
    /// Configuration of containerd that differs between the versions.
    pub containerd: Vec<File>,
    /// The endpoint's moving address leaves the machine first: a kubelet of another version starts the static pods again.
    pub yields_vip: bool,
    /// The only control plane: its API server may be what is wrong, and nobody waits for it.
    pub alone: bool,
}

impl Act for RollBackNode {
    fn line(&self) -> String {
        format!("switch back to program set {}, and restart containerd and kubelet", self.set)
    }

    fn body(&self, payload: &mut Payload, outputs: Outputs) -> Result<String> {
        let RollBackNode { arch, set, programs, containerd, yields_vip, alone } = self.clone();
        let mut script = if yields_vip { render("kubernetes/yield-vip.sh", json!({}))? } else { String::new() };
        script += &render("kubernetes/put-back-kubelet.sh", json!({}))?;
        script += &InstallPrograms { arch, set, programs, missing: Vec::new() }.body(payload, outputs)?;
        if !containerd.is_empty() {
            let unit = systemd::CONTAINERD.to_owned();
            let configure = ConfigureUnit { unit, files: containerd, stale: Vec::new(), others: Vec::new(), restart: true };
            script += &configure.body(payload, outputs)?;
        }
        Ok(script + &render("kubernetes/rolled-back.sh", json!({ "alone": alone }))?)
    }

    fn limit(&self) -> Duration {
        minutes(15)
    }
}

/// kube-proxy, CoreDNS and ClusterConfiguration, which all machines share, as they were before the upgrade.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RollBackShared {
    /// Without the `v`.
    pub version: String,
    /// kubeadm's documents of that version.
    pub config: String,
    /// Of ClusterConfiguration as it was rendered.
    pub sha256: String,
    /// CoreDNS's image, where the bundle has one.
    pub coredns: Option<String>,
}

impl Act for RollBackShared {
    fn line(&self) -> String {
        format!("roll kube-proxy, CoreDNS and ClusterConfiguration back to {}", self.version)
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        let config = payload.content(self.config.clone());
        let patch = payload.content(super::kubeadm::coredns()?);
        super::cluster::script(
            "kubernetes/roll-back-shared.sh",
            json!({ "config": config, "coredns": patch, "image": self.coredns, "sha256": self.sha256 }),
        )
    }

    fn kubeadm_config(&self) -> Option<&str> {
        Some(&self.config)
    }
}

/// Static pods of a control plane, as they were before its upgrade; of the only one etcd's data, too.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RollBackControlPlane {
    /// Without the `v`.
    pub version: String,
    /// The set of programs of that version.
    pub set: String,
    pub node: String,
    /// Its address, where it is the only member of etcd, whose data was kept.
    pub etcd: Option<String>,
    pub yields_vip: bool,
}

impl Act for RollBackControlPlane {
    fn line(&self) -> String {
        let data = if self.etcd.is_some() { " and etcd's data" } else { "" };
        format!("restore the static pods{data} of {}, and wait until the API server answers", self.version)
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        render(
            "kubernetes/roll-back-control-plane.sh",
            json!({
                "set": self.set, "node": self.node, "etcd": self.etcd.is_some(), "peer": self.etcd.as_deref().map(peer_url),
                "yields_vip": self.yields_vip, "static_pods": StaticPod::names(), "applied": kept_records(),
            }),
        )
    }

    fn limit(&self) -> Duration {
        minutes(20)
    }

    fn destroys(&self) -> bool {
        self.etcd.is_some()
    }
}

/// What was kept for a rollback goes: the upgrade succeeded, or was rolled back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EndUpgrade {}

impl Act for EndUpgrade {
    fn line(&self) -> String {
        "delete the files that were kept for a rollback".to_owned()
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        render("kubernetes/upgrade-done.sh", json!({}))
    }
}
