//! What a step is called, and where in a bring-up it belongs.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::document::Document;
use crate::inventory::{MachineName, Role};

mod output;

pub use output::{Input, Output};

/// What a step is for, in the runbook's order. With the machine that it is for, it is the same for the same work in every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StepKind {
    /// The API server allows hostler what it needs.
    Admins,
    /// etcd takes writes again.
    EtcdSpace,
    /// The record of a verification goes before what it vouches for changes.
    WithdrawVerification,
    /// The installer of a new system is brought to the machine, and tried.
    StageInstaller,
    Drain,
    RemoveMember,
    Wipe,
    DeleteNode,
    /// The machine's system, anew.
    Reinstall,
    Erase,
    Packages,
    Swap,
    Modules,
    Sysctls,
    Hostname,
    CloudInit,
    /// hostler's lines in /etc/hosts.
    Hosts,
    Clock,
    /// The endpoint's moving address.
    Vip,
    /// The timer of regular snapshots.
    Snapshots,
    /// The timer by which a control plane renews its certificates.
    Renewal,
    /// The timer by which a machine sends notifications.
    Notify,
    /// What was reported of the cluster is forgotten.
    ForgetNotify,
    Programs,
    Containerd,
    KubeletUnit,
    Images(ImageGroup),
    Init,
    Roles,
    Flannel,
    CoreDns,
    RestartFlannel,
    StoreDocument(Document),
    /// Files of a control plane that are missing.
    RepairControlPlane,
    /// Certificates that end soon.
    RenewCertificates,
    /// Static pods of a control plane, from a changed ClusterConfiguration.
    RenewControlPlane,
    CollectPki,
    CreateToken,
    /// A worker's kubelet, whose client certificate has ended or is gone.
    BootstrapKubelet,
    Join,
    /// The cluster's name leads to the machine itself, once it has joined.
    HostsAfterJoin,
    /// kubelet asks the cluster's API server.
    KubeletServer,
    /// kubelet's configuration, from a changed KubeletConfiguration.
    RenewKubelet,
    /// The cluster signs what kubelets present to API servers.
    KubeletCertificates,
    DeleteToken,
    /// Programs of another version, beside those in use.
    StagePrograms,
    /// A control plane's static pods, by another version of kubeadm.
    UpgradeControlPlane,
    /// Of another machine than the only control plane, whose API server was away.
    ReconnectKubelet,
    /// The cluster remembers which machines are to be restarted or switched off, so that an interrupted run continues.
    RecordPower,
    /// No film begins on the node, and those that are being encoded there end.
    LetFilmsEnd,
    /// No pod begins on the node, as its machine is about to be switched off.
    Cordon,
    /// Pods go elsewhere while their node is upgraded or restarted.
    MakeWay,
    /// containerd and kubelet of another version.
    UpgradeNode,
    /// Packages of the operating system.
    UpgradePackages,
    /// The cluster remembers that they are upgraded: a machine that is restarted after that is done.
    RecordPackages,
    /// The machine itself.
    Reboot,
    /// The machine, until somebody switches it on.
    PowerOff,
    /// containerd and kubelet of a control plane, back to what they were before an upgrade.
    RollBackNode,
    /// What all machines share.
    RollBackShared,
    /// Static pods of a control plane.
    RollBackControlPlane,
    /// Pods may come back.
    Uncordon,
    Labels,
    RemoveWorkload,
    Workload,
    MediaServerToken,
    /// Which encoders work on the machine.
    Encoders,
    Probe,
    RecordVerified,
    /// The cluster no longer remembers that machines were to be restarted or switched off.
    ForgetPower,
    /// What a rollback would need goes.
    EndUpgrade,
}

/// Images are sent in the order in which they are needed: first what `kubeadm init` starts, then what makes a node Ready, then the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ImageGroup {
    ControlPlane,
    Node,
    Pods,
    Films,
}

impl ImageGroup {
    pub const ALL: [ImageGroup; 4] = [ImageGroup::ControlPlane, ImageGroup::Node, ImageGroup::Pods, ImageGroup::Films];
}

impl StepKind {
    /// The runbook: all kinds, in order.
    pub const ALL: [StepKind; 75] = [
        StepKind::Admins,
        StepKind::EtcdSpace,
        StepKind::WithdrawVerification,
        StepKind::StageInstaller,
        StepKind::Drain,
        StepKind::RemoveMember,
        StepKind::Wipe,
        StepKind::DeleteNode,
        StepKind::Reinstall,
        StepKind::Erase,
        StepKind::Packages,
        StepKind::Swap,
        StepKind::Modules,
        StepKind::Sysctls,
        StepKind::Hostname,
        StepKind::CloudInit,
        StepKind::Hosts,
        StepKind::Clock,
        StepKind::Vip,
        StepKind::Snapshots,
        StepKind::Renewal,
        StepKind::Notify,
        StepKind::ForgetNotify,
        StepKind::Programs,
        StepKind::Containerd,
        StepKind::KubeletUnit,
        StepKind::Images(ImageGroup::ControlPlane),
        StepKind::Images(ImageGroup::Node),
        StepKind::Images(ImageGroup::Pods),
        StepKind::Images(ImageGroup::Films),
        StepKind::Init,
        StepKind::Roles,
        StepKind::Flannel,
        StepKind::CoreDns,
        StepKind::RestartFlannel,
        StepKind::StoreDocument(Document::Cluster),
        StepKind::StoreDocument(Document::Kubelet),
        StepKind::StoreDocument(Document::KubeProxy),
        StepKind::RepairControlPlane,
        StepKind::RenewCertificates,
        StepKind::RenewControlPlane,
        StepKind::CollectPki,
        StepKind::CreateToken,
        StepKind::BootstrapKubelet,
        StepKind::Join,
        StepKind::HostsAfterJoin,
        StepKind::KubeletServer,
        StepKind::RenewKubelet,
        StepKind::KubeletCertificates,
        StepKind::DeleteToken,
        StepKind::StagePrograms,
        StepKind::UpgradeControlPlane,
        StepKind::ReconnectKubelet,
        StepKind::RecordPower,
        StepKind::LetFilmsEnd,
        StepKind::Cordon,
        StepKind::MakeWay,
        StepKind::UpgradeNode,
        StepKind::UpgradePackages,
        StepKind::RecordPackages,
        StepKind::Reboot,
        StepKind::PowerOff,
        StepKind::RollBackNode,
        StepKind::RollBackShared,
        StepKind::RollBackControlPlane,
        StepKind::Uncordon,
        StepKind::Labels,
        StepKind::RemoveWorkload,
        StepKind::Workload,
        StepKind::MediaServerToken,
        StepKind::Encoders,
        StepKind::Probe,
        StepKind::RecordVerified,
        StepKind::ForgetPower,
        StepKind::EndUpgrade,
    ];

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<StepKind> {
        StepKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name in the step's id.
    pub fn name(self) -> &'static str {
        match self {
            StepKind::Admins => "admins",
            StepKind::EtcdSpace => "etcd-space",
            StepKind::WithdrawVerification => "unverified",
            StepKind::StageInstaller => "installer",
            StepKind::Drain => "drain",
            StepKind::RemoveMember => "member",
            StepKind::Wipe => "wipe",
            StepKind::DeleteNode => "node-gone",
            StepKind::Reinstall => "reinstall",
            StepKind::Erase => "erase",
            StepKind::Packages => "packages",
            StepKind::Swap => "swap",
            StepKind::Modules => "modules",
            StepKind::Sysctls => "sysctls",
            StepKind::Hostname => "hostname",
            StepKind::CloudInit => "cloud-init",
            StepKind::Hosts => "hosts",
            StepKind::Clock => "clock",
            StepKind::Vip => "vip",
            StepKind::Snapshots => "snapshots",
            StepKind::Renewal => "renewal",
            StepKind::Notify => "notify",
            StepKind::ForgetNotify => "notify-gone",
            StepKind::Programs => "programs",
            StepKind::Containerd => "containerd",
            StepKind::KubeletUnit => "kubelet-unit",
            StepKind::Images(ImageGroup::ControlPlane) => "images-control-plane",
            StepKind::Images(ImageGroup::Node) => "images-node",
            StepKind::Images(ImageGroup::Pods) => "images-pods",
            StepKind::Images(ImageGroup::Films) => "images-films",
            StepKind::Init => "init",
            StepKind::Roles => "roles",
            StepKind::Flannel => "flannel",
            StepKind::StoreDocument(Document::Cluster) => "cluster-config",
            StepKind::StoreDocument(Document::Kubelet) => "kubelet-config",
            StepKind::StoreDocument(Document::KubeProxy) => "kube-proxy-config",
            StepKind::CoreDns => "coredns",
            StepKind::RestartFlannel => "flannel-restart",
            StepKind::RepairControlPlane => "repair",
            StepKind::RenewCertificates => "certificates",
            StepKind::RenewControlPlane => "control-plane",
            StepKind::CollectPki => "pki",
            StepKind::CreateToken => "token",
            StepKind::BootstrapKubelet => "bootstrap",
            StepKind::Join => "join",
            StepKind::HostsAfterJoin => "hosts-own",
            StepKind::KubeletServer => "kubelet-server",
            StepKind::RenewKubelet => "kubelet",
            StepKind::KubeletCertificates => "kubelet-certificates",
            StepKind::DeleteToken => "token-gone",
            StepKind::StagePrograms => "programs-next",
            StepKind::UpgradeControlPlane => "upgrade-control-plane",
            StepKind::ReconnectKubelet => "kubelet-reconnected",
            StepKind::RecordPower => "power-recorded",
            StepKind::LetFilmsEnd => "films-end",
            StepKind::Cordon => "cordon",
            StepKind::MakeWay => "make-way",
            StepKind::UpgradeNode => "upgrade-node",
            StepKind::UpgradePackages => "upgrade-packages",
            StepKind::RecordPackages => "packages-recorded",
            StepKind::Reboot => "reboot",
            StepKind::PowerOff => "power-off",
            StepKind::RollBackNode => "roll-back-node",
            StepKind::RollBackShared => "roll-back-shared",
            StepKind::RollBackControlPlane => "roll-back-control-plane",
            StepKind::Uncordon => "uncordon",
            StepKind::Labels => "labels",
            StepKind::RemoveWorkload => "workload-gone",
            StepKind::Workload => "workload",
            StepKind::MediaServerToken => "media-server-token",
            StepKind::Encoders => "encoders",
            StepKind::Probe => "probe",
            StepKind::RecordVerified => "verified",
            StepKind::ForgetPower => "power-done",
            StepKind::EndUpgrade => "upgrade-done",
        }
    }

    /// What it does, in short: `install packages`.
    pub fn title(self) -> &'static str {
        match self {
            StepKind::Admins => "restore the rights of admin.conf",
            StepKind::EtcdSpace => "free up space in etcd",
            StepKind::WithdrawVerification => "discard the last verification",
            StepKind::StageInstaller => "copy the installer",
            StepKind::Drain => "drain",
            StepKind::RemoveMember => "remove the etcd member",
            StepKind::Wipe => "wipe",
            StepKind::DeleteNode => "delete the node",
            StepKind::Reinstall => "install the system",
            StepKind::Erase => "erase the disk",
            StepKind::Packages => "install packages",
            StepKind::Swap => "turn off swap",
            StepKind::Modules => "load kernel modules",
            StepKind::Sysctls => "set sysctls",
            StepKind::Hostname => "set the host name",
            StepKind::CloudInit => "configure cloud-init",
            StepKind::Hosts | StepKind::HostsAfterJoin => "write host entries",
            StepKind::Clock => "synchronize the clock",
            StepKind::Vip => "configure the VIP",
            StepKind::Snapshots => "schedule snapshots",
            StepKind::Renewal => "schedule renewal of certificates",
            StepKind::Notify => "schedule notifications",
            StepKind::ForgetNotify => "delete the record of reported problems",
            StepKind::Programs => "install Kubernetes and containerd",
            StepKind::Containerd => "start containerd",
            StepKind::KubeletUnit => "set up kubelet",
            StepKind::Images(ImageGroup::ControlPlane) => "import control plane images",
            StepKind::Images(ImageGroup::Node) => "import node images",
            StepKind::Images(ImageGroup::Pods) => "import pod images",
            StepKind::Images(ImageGroup::Films) => "import the encoder",
            StepKind::Init => "kubeadm init",
            StepKind::Roles => "restore RBAC roles",
            StepKind::Flannel => "apply flannel",
            StepKind::StoreDocument(Document::Cluster) => "store ClusterConfiguration",
            StepKind::StoreDocument(Document::Kubelet) => "store KubeletConfiguration",
            StepKind::StoreDocument(Document::KubeProxy) => "apply kube-proxy",
            StepKind::CoreDns => "restore CoreDNS",
            StepKind::RestartFlannel => "restart flannel",
            StepKind::RepairControlPlane => "repair the control plane",
            StepKind::RenewCertificates => "renew certificates",
            StepKind::RenewControlPlane => "update static pods",
            StepKind::CollectPki => "read the cluster's CAs",
            StepKind::CreateToken => "create a bootstrap token",
            StepKind::BootstrapKubelet => "renew kubelet's client certificate",
            StepKind::Join => "kubeadm join",
            StepKind::KubeletServer => "connect kubelet to the API server",
            StepKind::RenewKubelet => "update kubelet's configuration",
            StepKind::KubeletCertificates => "approve kubelets' serving certificates",
            StepKind::DeleteToken => "delete the bootstrap token",
            StepKind::StagePrograms => "copy the new version",
            StepKind::UpgradeControlPlane => "upgrade the control plane",
            StepKind::ReconnectKubelet => "restart kubelet",
            StepKind::RecordPower => "record which machines are restarted or shut down",
            StepKind::LetFilmsEnd => "wait for films that are being encoded",
            StepKind::Cordon => "cordon",
            StepKind::MakeWay => "drain",
            StepKind::UpgradeNode => "upgrade kubelet and containerd",
            StepKind::UpgradePackages => "upgrade the system's packages",
            StepKind::RecordPackages => "record that the packages are upgraded",
            StepKind::Reboot => "reboot",
            StepKind::PowerOff => "power off",
            StepKind::RollBackNode => "roll back kubelet and containerd",
            StepKind::RollBackShared => "roll back kube-proxy and CoreDNS",
            StepKind::RollBackControlPlane => "roll back the control plane",
            StepKind::Uncordon => "uncordon",
            StepKind::Labels => "set labels and taints",
            StepKind::RemoveWorkload => "remove the workload",
            StepKind::Workload => "install the workload",
            StepKind::MediaServerToken => "send the media server's token",
            StepKind::Encoders => "test the encoders",
            StepKind::Probe => "wait for nodes and probe the network",
            StepKind::RecordVerified => "record the verification",
            StepKind::ForgetPower => "remove the record of restarts and shutdowns",
            StepKind::EndUpgrade => "delete the files kept for a rollback",
        }
    }

    /// The stage of the step; `role` is that of the machine it is for, and tells a control plane's join from a worker's.
    pub fn stage(self, role: Role) -> Stage {
        match self {
            StepKind::Admins | StepKind::EtcdSpace | StepKind::WithdrawVerification => Stage::Begin,
            StepKind::StageInstaller
            | StepKind::Drain
            | StepKind::RemoveMember
            | StepKind::Wipe
            | StepKind::DeleteNode
            | StepKind::Reinstall
            | StepKind::Erase => Stage::Leave,
            StepKind::Packages | StepKind::Swap | StepKind::Modules | StepKind::Sysctls | StepKind::Hostname | StepKind::CloudInit => {
                Stage::Prepare
            }
            StepKind::Hosts
            | StepKind::Clock
            | StepKind::Vip
            | StepKind::Snapshots
            | StepKind::Renewal
            | StepKind::Notify
            | StepKind::ForgetNotify => Stage::Prepare,
            StepKind::Programs => Stage::Programs,
            StepKind::Containerd | StepKind::KubeletUnit => Stage::Containerd,
            StepKind::Images(_) => Stage::Images,
            StepKind::Init => Stage::FirstControlPlane,
            StepKind::Roles | StepKind::Flannel | StepKind::CoreDns | StepKind::RestartFlannel => Stage::Network,
            StepKind::RenewCertificates
            | StepKind::RepairControlPlane
            | StepKind::StoreDocument(_)
            | StepKind::RenewControlPlane
            | StepKind::CollectPki => Stage::ControlPlanes,
            StepKind::Join if role == Role::ControlPlane => Stage::ControlPlanes,
            StepKind::HostsAfterJoin => Stage::ControlPlanes,
            StepKind::CreateToken | StepKind::BootstrapKubelet | StepKind::Join | StepKind::RenewKubelet | StepKind::KubeletServer => {
                Stage::Workers
            }
            StepKind::KubeletCertificates | StepKind::DeleteToken => Stage::Workers,
            StepKind::StagePrograms => Stage::Programs,
            StepKind::UpgradeControlPlane | StepKind::ReconnectKubelet => Stage::InTurn,
            StepKind::RecordPower | StepKind::LetFilmsEnd | StepKind::Cordon | StepKind::MakeWay => Stage::InTurn,
            StepKind::UpgradeNode | StepKind::UpgradePackages | StepKind::RecordPackages => Stage::InTurn,
            StepKind::Reboot | StepKind::PowerOff | StepKind::Uncordon => Stage::InTurn,
            StepKind::RollBackNode | StepKind::RollBackShared | StepKind::RollBackControlPlane => Stage::InTurn,
            StepKind::Labels => Stage::Labels,
            StepKind::RemoveWorkload | StepKind::Workload | StepKind::MediaServerToken | StepKind::Encoders => Stage::Workload,
            StepKind::Probe | StepKind::RecordVerified | StepKind::ForgetPower | StepKind::EndUpgrade => Stage::Verify,
        }
    }

    /// Whether the verification of a cluster vouches for what it changes. Films, their encoder, timers, a token that goes and kubelets' serving
    /// certificates, which are tried when they are there, are no part of that.
    pub fn is_verified(self) -> bool {
        !matches!(
            self,
            StepKind::Admins
                | StepKind::EtcdSpace
                | StepKind::WithdrawVerification
                | StepKind::StageInstaller
                | StepKind::CloudInit
                | StepKind::Snapshots
                | StepKind::Renewal
                | StepKind::Notify
                | StepKind::ForgetNotify
                | StepKind::Images(ImageGroup::Films)
                | StepKind::KubeletCertificates
                | StepKind::DeleteToken
                | StepKind::StagePrograms
                | StepKind::RecordPower
                | StepKind::LetFilmsEnd
                | StepKind::Cordon
                | StepKind::RecordPackages
                | StepKind::PowerOff
                | StepKind::RemoveWorkload
                | StepKind::Workload
                | StepKind::MediaServerToken
                | StepKind::Encoders
                | StepKind::Probe
                | StepKind::RecordVerified
                | StepKind::ForgetPower
                | StepKind::EndUpgrade
        )
    }

    /// The step of this kind for `machine`.
    pub fn of(self, machine: &MachineName) -> StepId {
        StepId { machine: machine.clone(), kind: self }
    }
}

/// `MACHINE/KIND`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId {
    /// The machine it is for, which need not be the one it runs on.
    pub machine: MachineName,
    pub kind: StepKind,
}

/// What a step waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// A step of the same plan: that there is none is a defect, which [`lint`](crate::plan::lint) finds.
    Step(StepId),
    /// A step that is in the plan only where there is something to do; where it is not, it is done already.
    IfPlanned(StepId),
}

impl StepId {
    /// Waited for where it is in the plan.
    pub fn if_planned(self) -> Need {
        Need::IfPlanned(self)
    }
}

impl From<StepId> for Need {
    fn from(id: StepId) -> Need {
        Need::Step(id)
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.machine, self.kind.name()))
    }
}

impl Serialize for StepId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The stages of a bring-up in the runbook's order. For the reader: a step waits for its `needs` only, not for a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Before anything changes.
    Begin,
    /// Only of `rebuild`, `remove` and `reset`.
    Leave,
    Prepare,
    Programs,
    Containerd,
    Images,
    FirstControlPlane,
    Network,
    ControlPlanes,
    Workers,
    /// Only of verbs that take one machine after the other: `upgrade`, `reboot`, `shutdown`, `start`.
    InTurn,
    Labels,
    Workload,
    Verify,
}

impl Stage {
    /// The runbook: all stages, in order.
    pub const ALL: &'static [(Stage, &'static str)] = &[
        (Stage::Begin, "begin"),
        (Stage::Leave, "leave the cluster"),
        (Stage::Prepare, "prepare machines"),
        (Stage::Programs, "install programs"),
        (Stage::Containerd, "containerd and kubelet"),
        (Stage::Images, "import images"),
        (Stage::FirstControlPlane, "first control plane"),
        (Stage::Network, "pod network and DNS"),
        (Stage::ControlPlanes, "control planes"),
        (Stage::Workers, "nodes"),
        (Stage::InTurn, "one machine at a time"),
        (Stage::Labels, "labels and taints"),
        (Stage::Workload, "workload"),
        (Stage::Verify, "verify"),
    ];

    pub fn title(self) -> &'static str {
        Stage::ALL.iter().find(|(stage, _)| *stage == self).map_or("", |(_, title)| title)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_stands_in_the_order_of_the_runbook() {
        for kind in StepKind::ALL {
            assert_eq!(StepKind::parse(kind.name()), Some(kind));
        }
        assert!(StepKind::ALL.is_sorted());
        assert_eq!(StepKind::parse("kubelt-unit"), None);
    }
}
