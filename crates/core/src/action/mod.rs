//! What a step can do. An action is data: [`Display`](fmt::Display) is the plan's line, [`script`] what runs on the machine, and
//! [`effect`] what it changes in the facts.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::facts::Snapshot;
use crate::inventory::Taint;
use crate::step::StepId;

pub mod script;

/// One change to one machine, or through one control plane to the cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Action {
    /// Install operating system packages with apt.
    InstallPackages {
        packages: Vec<String>,
    },
    /// Turn swap off, now and at every start.
    SwapOff {
        active: Vec<String>,
        at_boot: Vec<String>,
    },
    /// Load kernel modules, now and at every start.
    LoadModules {
        modules: Vec<String>,
        file: File,
    },
    SetSysctls {
        file: File,
    },
    SetHostname {
        name: String,
    },
    /// hostler's block in /etc/hosts: `ADDRESS NAME` lines.
    WriteHosts {
        lines: Vec<String>,
    },
    SynchronizeClock,
    /// Send the programs the machine lacks, make a versioned set of all, and switch to it.
    InstallPrograms {
        set: String,
        programs: Vec<Program>,
        missing: Vec<Program>,
    },
    /// Write configuration and units of `unit`, drop `stale` files, and (re)start it.
    ConfigureUnit {
        unit: String,
        files: Vec<File>,
        stale: Vec<String>,
        restart: bool,
    },
    /// Send images, import and pin them.
    ImportImages {
        images: Vec<ImageName>,
    },
    /// `kubeadm init`. Outputs `token` (secret) and `ca`.
    Init {
        config: String,
        again: bool,
        record: BTreeMap<String, String>,
    },
    /// The only control plane anew, with the keys and the data of a snapshot: then `kubeadm init`. Outputs as [`Action::Init`].
    Restore {
        snapshot: Snapshot,
        /// The node, and its address as a member of etcd: the only one.
        node: String,
        address: String,
        config: String,
        record: BTreeMap<String, String>,
    },
    /// A bootstrap token that lives an hour. Outputs `token` (secret) and `ca`.
    CreateToken,
    DeleteToken {
        token: Input,
    },
    /// Certificates and keys that a further control plane needs. Outputs `pki` (secret).
    CollectPki,
    /// `kubeadm join`.
    Join {
        config: String,
        again: bool,
        token: Input,
        ca: Input,
        pki: Option<Input>,
        record: BTreeMap<String, String>,
    },
    /// Server-side apply of a manifest, recorded under `name` with the sha256 of what was rendered.
    Apply {
        name: String,
        manifest: String,
        sha256: String,
    },
    /// The transcoding workload: applied, and waited for until both shares are marked and its pods run.
    InstallWorkload {
        manifest: String,
        /// What is put on record in the cluster.
        record: BTreeMap<String, String>,
    },
    /// The media server's token, from this computer's file into a Secret of the workload.
    KeepMediaServerToken {
        file: PathBuf,
        /// Bytes.
        size: u64,
        sha256: String,
    },
    /// The workload's objects, which are no films: those stay where they are.
    RemoveWorkload,
    /// Bring a node's labels and taints to what the inventory says.
    Label {
        node: String,
        labels: BTreeMap<String, Option<String>>,
        taints: Vec<Taint>,
        remove_taints: Vec<Taint>,
        record: String,
    },
    /// Store a changed kubeadm document in the cluster.
    UploadConfig {
        document: Document,
        config: String,
        sha256: String,
    },
    /// Take KubeletConfiguration from the cluster and restart kubelet.
    RenewKubelet {
        sha256: String,
    },
    /// Write the static pods of a control plane anew, and wait until they answer.
    RenewControlPlane {
        node: String,
        config: String,
        sha256: String,
    },
    /// Start a unit that should run.
    StartUnit {
        unit: String,
    },
    /// Stop a unit for good, and take its files away.
    DropUnit {
        unit: String,
        files: Vec<String>,
    },
    Uncordon {
        node: String,
    },
    /// Move a node's pods elsewhere; PodDisruptionBudgets are honoured, for ever or for so many seconds.
    Drain {
        node: String,
        force_after: Option<u64>,
    },
    /// Take an etcd member out of the cluster; it is found by the machine's peer address, and removed by its ID.
    RemoveMember {
        node: String,
        address: String,
    },
    DeleteNode {
        node: String,
    },
    /// `kubeadm reset`, and what that leaves. Nothing at or below a path of `keep`, and nothing on another file system.
    Wipe {
        keep: Vec<String>,
    },
    /// These nodes become Ready, and pods on each of them find all others by name and through a Service. `spread_dns`: one of CoreDNS's pods
    /// moves, if all are on one machine.
    Probe {
        nodes: Vec<String>,
        manifest: String,
        spread_dns: bool,
    },
    /// Put on record in the cluster that what is there was verified.
    RecordVerified {
        sha256: String,
    },
}

/// A file that hostler writes whole. Never a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    pub path: String,
    /// Octal: `644`.
    pub mode: String,
    #[serde(skip)]
    pub content: String,
}

/// A program of the bundle, and its place in a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Program {
    /// Below the set: `bin/kubelet`, `cni/bridge`.
    pub path: String,
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageName {
    pub reference: String,
    pub digest: String,
}

/// A kubeadm document that the cluster keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Document {
    Cluster,
    Kubelet,
    KubeProxy,
}

/// Something an action needs: known when the plan is made, or the output of an earlier step of the same run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Input {
    Literal(String),
    Output { step: StepId, name: &'static str },
}

/// What a step hands on. A secret output is never printed, logged or written to this computer's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    pub name: &'static str,
    pub secret: bool,
}

impl Action {
    /// The documents that the step gives to kubeadm.
    pub fn kubeadm_config(&self) -> Option<&str> {
        match self {
            Action::Init { config, .. }
            | Action::Restore { config, .. }
            | Action::Join { config, .. }
            | Action::UploadConfig { config, .. }
            | Action::RenewControlPlane { config, .. } => Some(config),
            _ => None,
        }
    }

    /// What the step will hand on when it succeeded.
    pub fn outputs(&self) -> &'static [Output] {
        const TOKEN: Output = Output { name: "token", secret: true };
        const CA: Output = Output { name: "ca", secret: false };
        const PKI: Output = Output { name: "pki", secret: true };
        match self {
            Action::Init { .. } | Action::Restore { .. } | Action::CreateToken => &[TOKEN, CA],
            Action::CollectPki => &[PKI],
            _ => &[],
        }
    }

    /// Whether it takes something away that `up` could not bring back by itself: such steps are in the plans of `rebuild`, `remove`,
    /// `reset` and `--take-over` only.
    pub fn destroys(&self) -> bool {
        matches!(self, Action::Drain { .. } | Action::RemoveMember { .. } | Action::DeleteNode { .. } | Action::Wipe { .. })
    }

    /// What the action refers to, in no particular order.
    pub fn inputs(&self) -> Vec<&Input> {
        match self {
            Action::DeleteToken { token } => vec![token],
            Action::Join { token, ca, pki, .. } => [token, ca].into_iter().chain(pki).collect(),
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::InstallPackages { packages } => write!(f, "install {}", packages.join(", ")),
            Action::SwapOff { .. } => f.write_str("turn it off and keep it off"),
            Action::LoadModules { modules, .. } => {
                write!(f, "load {}, now and at every start", modules.join(", "))
            }
            Action::SetSysctls { file } => write!(f, "write {} and apply it", file.path),
            Action::SetHostname { name } => write!(f, "name it {name}"),
            Action::WriteHosts { lines } => {
                write!(f, "write {} in {}", counted(lines.len(), "line"), crate::protocol::path::HOSTS)
            }
            Action::SynchronizeClock => f.write_str("keep the clock right with a time service"),
            Action::InstallPrograms { set, missing, .. } if missing.is_empty() => write!(f, "switch to set {set}"),
            Action::InstallPrograms { set, missing, .. } => {
                let mut sums: Vec<_> = missing.iter().map(|program| (&program.sha256, program.size)).collect();
                sums.sort();
                sums.dedup();
                let bytes: u64 = sums.iter().map(|(_, size)| size).sum();
                write!(f, "send {} ({} MB) and switch to set {set}", counted(missing.len(), "program"), bytes.div_ceil(1_000_000))
            }
            Action::ConfigureUnit { unit, restart: true, .. } => write!(f, "write its configuration and start {unit}"),
            Action::ConfigureUnit { unit, .. } => write!(f, "write the unit {unit} and enable it"),
            Action::ImportImages { images } => {
                write!(f, "send, import and pin {}", counted(images.len(), "image"))
            }
            Action::Init { again: false, .. } => f.write_str("kubeadm init"),
            Action::Init { .. } => f.write_str("kubeadm reset of what the broken-off init left, then kubeadm init"),
            Action::Restore { snapshot, .. } => {
                write!(f, "restore the snapshot of {}, then kubeadm init with what it holds", snapshot.taken)
            }
            Action::CreateToken => f.write_str("make a bootstrap token that lives an hour"),
            Action::DeleteToken { .. } => f.write_str("delete the bootstrap token"),
            Action::CollectPki => f.write_str("read the cluster's certificate authorities for the joining control planes"),
            Action::Join { again, pki, .. } => {
                if *again {
                    f.write_str("kubeadm reset of what the broken-off join left, then ")?;
                }
                f.write_str(if pki.is_some() { "kubeadm join as control plane" } else { "kubeadm join as worker" })
            }
            Action::Apply { name, .. } => write!(f, "apply {name}"),
            Action::InstallWorkload { .. } => f.write_str("apply it, and wait until it runs"),
            Action::KeepMediaServerToken { file, .. } => write!(f, "send {} as a Secret", file.display()),
            Action::RemoveWorkload => f.write_str("remove what runs of it; films stay where they are"),
            Action::Label { node, labels, taints, remove_taints, .. } => {
                let mut parts: Vec<String> = labels
                    .iter()
                    .map(|(key, value)| match value {
                        Some(value) => format!("{key}={value}"),
                        None => format!("{key}-"),
                    })
                    .collect();
                parts.extend(taints.iter().map(|taint| format!("taint {taint}")));
                parts.extend(remove_taints.iter().map(|taint| format!("taint {taint}-")));
                if parts.is_empty() {
                    return write!(f, "put on record what node {node} was given");
                }
                write!(f, "mark node {node}: {}", parts.join(", "))
            }
            Action::UploadConfig { document, .. } => {
                write!(f, "store {} in the cluster", document.kind())
            }
            Action::RenewKubelet { .. } => f.write_str("write kubelet's configuration anew and restart it"),
            Action::RenewControlPlane { .. } => f.write_str("write the static pods anew and wait until they answer"),
            Action::StartUnit { unit } => write!(f, "start {unit}"),
            Action::DropUnit { unit, .. } => write!(f, "stop {unit} and remove it"),
            Action::Uncordon { node } => write!(f, "let node {node} take work again"),
            Action::Drain { force_after: None, .. } => f.write_str("move its pods elsewhere"),
            Action::Drain { force_after: Some(seconds), .. } => {
                write!(f, "move its pods elsewhere; after {seconds} s whatever a PodDisruptionBudget says")
            }
            Action::RemoveMember { .. } => f.write_str("remove its member from etcd, by ID"),
            Action::DeleteNode { node } => write!(f, "delete node {node}"),
            Action::Wipe { keep } if keep.is_empty() => f.write_str("kubeadm reset, and wipe what that leaves"),
            Action::Wipe { keep } => write!(f, "kubeadm reset, and wipe what that leaves; {} stays", keep.join(", ")),
            Action::Probe { nodes, spread_dns, .. } => {
                let (are, dns) =
                    (if nodes.len() == 1 { "it is" } else { "all are" }, if *spread_dns { ", let CoreDNS be on two" } else { "" });
                write!(f, "wait until {are} Ready{dns}, probe names and the network between {}", counted(nodes.len(), "machine"))
            }
            Action::RecordVerified { .. } => f.write_str("put on record that the cluster was verified"),
        }
    }
}

impl Document {
    /// `kind` of the document.
    pub fn kind(self) -> &'static str {
        match self {
            Document::Cluster => "ClusterConfiguration",
            Document::Kubelet => "KubeletConfiguration",
            Document::KubeProxy => "KubeProxyConfiguration",
        }
    }
}

/// `1 image`, `2 images`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
