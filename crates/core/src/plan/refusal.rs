//! What hostler will not do, as values: why, with all that the sentence needs, and what to do instead.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::hint::Hint;
use super::system_disk::NoInstaller;
use super::vip::Taken;
use crate::arch::Arch;
use crate::films::Owner;
use crate::inventory::{MachineName, NoToken, Role};

mod text;

/// It blocks the steps that depend on it, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `None`: the whole cluster.
    pub machine: Option<MachineName>,
    pub why: Why,
    pub hint: Hint,
}

/// Why something is refused, in the order in which it is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    AtWork {
        step: String,
        run: String,
        seconds: i64,
    },
    /// `is`: the machine that is the control plane. `named`: the one that the inventory makes one.
    ControlPlaneElsewhere {
        is: MachineName,
        named: MachineName,
        written: bool,
    },
    /// Nobody wrote a role, and these machines, one of which may be the control plane, can't be reached.
    RolesUnknown {
        unreachable: Vec<MachineName>,
    },
    /// Control planes that could not be reached. `cluster`: a machine that was reached is in a cluster.
    ControlPlaneUnknown {
        lost: Vec<MachineName>,
        cluster: bool,
    },
    /// Hardware addresses that were found at the machine's address, and the one that the inventory gives it.
    OtherMachine {
        found: Vec<String>,
        expected: String,
    },
    NoSystemd,
    /// What `uname -m` says there.
    UnknownArchitecture {
        machine: String,
    },
    /// `bundles`: the architectures that there is a bundle for.
    Architecture {
        is: Arch,
        bundles: Vec<Arch>,
    },
    Foreign {
        platforms: Vec<String>,
    },
    WipeInterrupted,
    RestoreInterrupted,
    NotBlank {
        leftovers: Vec<String>,
    },
    ReadOnly {
        paths: Vec<String>,
    },
    /// MB.
    Disk {
        free: u64,
        needed: u64,
    },
    /// `by`: empty where it is not known.
    Port {
        port: u16,
        by: String,
    },
    /// Before the first control plane is given it.
    VipTaken(Taken),
    /// kubelet of this version does not start there.
    CgroupV1 {
        version: String,
    },
    /// Of the machine, for itself and kubelet: more than it has.
    Reserves {
        reserved: String,
        has: String,
        /// What the cluster's own pods need of it; empty if that makes no difference.
        needed: String,
    },
    /// A line of the user's in /etc/hosts gives the cluster's endpoint another address than hostler's.
    HostsLine {
        endpoint: String,
        found: IpAddr,
        address: IpAddr,
    },
    /// The file with nameservers for pods, as the inventory names it.
    NoResolvConf {
        path: String,
    },
    Damaged {
        paths: Vec<String>,
    },
    /// Files that a machine which has joined must have.
    Missing {
        paths: Vec<String>,
    },
    /// `server`: the other cluster's, where it is known.
    OtherCluster {
        server: Option<String>,
    },
    RoleChanged {
        is: Role,
    },
    NodeGone,
    /// It can't be reached, but it is on: nobody removes a machine that works, behind its back.
    Lives {
        reason: String,
    },
    /// `remains`: what keeps it, in Kubernetes' words; may be empty.
    NamespaceEnding {
        namespace: &'static str,
        remains: String,
    },
    /// Its pods have addresses of another part of the pod network than its node has.
    PodNetwork {
        /// The node's part.
        node: String,
        /// An address of the machine that is not in it.
        has: String,
    },
    Address {
        node: String,
        machine: String,
    },
    ControlPlaneLost {
        orphans: Vec<MachineName>,
    },
    NodeExists {
        node: MachineName,
        address: String,
    },
    MemberExists,
    /// `expected`: the machine's address by the inventory; `reported`: its node's.
    MemberNotCertain {
        member: String,
        peer: String,
        expected: Option<IpAddr>,
        reported: Option<IpAddr>,
    },
    Learner {
        member: String,
    },
    /// `joins`: a machine can't join because of it; otherwise the cluster can't be upgraded.
    MemberUnhealthy {
        member: String,
        joins: bool,
    },
    /// `name is ahead of the others by 10 minutes`.
    Clock {
        off: String,
    },
    /// `by`: the control plane that says so; `None`: the inventory does.
    BundleVersion {
        bundle: String,
        cluster: String,
        by: Option<MachineName>,
    },
    /// An upgrade.
    NoClusterToUpgrade,
    Downgrade {
        is: String,
        asked: String,
    },
    SkipsMinor {
        is: String,
        asked: String,
    },
    KubeletTooOld {
        is: String,
        asked: String,
    },
    /// Its static pods may be of two versions, or its node is still cordoned.
    UpgradeInterrupted,
    /// A rollback: no control plane keeps anything of an upgrade. `is`: what the cluster runs, if that is known.
    NothingToRollBack {
        is: Option<String>,
    },
    /// A rollback: the worker's programs are newer than what it would go back to.
    WorkerUpgraded {
        is: String,
        to: String,
    },
    /// A rollback: the machine can't be reached, and nothing says which version it has.
    VersionUnknown,
    /// Its programs; `cluster`: what its API server runs.
    OlderVersion {
        is: String,
        cluster: String,
    },
    NodeNotReady {
        /// kubelet's.
        message: String,
    },
    Unchangeable {
        key: Unchangeable,
        is: String,
        asked: String,
    },
    Version {
        cluster: String,
        is: String,
        asked: String,
    },
    NodeName {
        node: String,
    },
    /// What each control plane that was reached says.
    NoApi {
        answers: Vec<(MachineName, String)>,
    },
    /// Its API server answers, but denies admin.conf what it is asked for. `changed`: only something else, so far.
    Denied {
        machine: MachineName,
        changed: bool,
    },
    /// No API server answers, as the only etcd can't read its data.
    EtcdBroken {
        machine: MachineName,
        /// etcd's.
        words: String,
    },
    /// A control plane has another address than etcd and its certificates were made with.
    AddressLost {
        was: String,
    },
    /// etcd's data is on the control plane that is to be replaced, and nothing says that it can't be read.
    DataThere,
    NoApiToLeave,
    EndpointAway {
        endpoint: String,
        leads_to: MachineName,
    },
    NoCluster {
        joins: MachineName,
    },
    Unreachable,
    LastControlPlane,
    Quorum {
        healthy: usize,
        members: usize,
        down: Vec<String>,
    },
    /// `leads`: where one of them really is, if it is that which makes them overlap.
    Keep {
        kept: String,
        wiped: &'static str,
        leads: Option<String>,
    },
    Mounted {
        mounted: String,
        wiped: &'static str,
    },
    NoReinstall(NoInstaller),
    NoErasure(NoInstaller),
    RestoreOfWorker,
    SeveralControlPlanes,
    ClusterLives,
    OtherSnapshot {
        file: PathBuf,
    },
    NoEncoder,
    NoMachineEncodes {
        folder: String,
        encoder: String,
    },
    NoToken {
        file: PathBuf,
        why: NoToken,
    },
    ShareMissing {
        share: Share,
    },
    ShareHangs {
        share: Share,
    },
    ShareReadOnly {
        share: Share,
        films: Owner,
        owner: String,
        mode: String,
    },
}

/// What a cluster keeps for its whole life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unchangeable {
    PodSubnet,
    ServiceSubnet,
    Endpoint,
    ClusterName,
    Cni,
}

/// A folder of the workload, and what it is for: `inbox`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    pub what: &'static str,
    pub path: String,
}

impl Unchangeable {
    /// As the inventory spells it.
    pub fn key(self) -> &'static str {
        match self {
            Unchangeable::PodSubnet => "podSubnet",
            Unchangeable::ServiceSubnet => "serviceSubnet",
            Unchangeable::Endpoint => "endpoint",
            Unchangeable::ClusterName => "name",
            Unchangeable::Cni => "cni",
        }
    }
}

impl Why {
    /// Whether it is that no API server answers.
    pub fn is_no_api(&self) -> bool {
        matches!(self, Why::NoApi { .. } | Why::NoApiToLeave)
    }

    /// Stable, for scripts and tests: `other-cluster`.
    pub fn code(&self) -> &'static str {
        match self {
            Why::AtWork { .. } => "at-work",
            Why::ControlPlaneElsewhere { .. } => "control-plane-elsewhere",
            Why::RolesUnknown { .. } => "roles-unknown",
            Why::ControlPlaneUnknown { .. } => "control-plane-unknown",
            Why::OtherMachine { .. } => "other-machine",
            Why::NoSystemd => "no-systemd",
            Why::UnknownArchitecture { .. } => "unknown-architecture",
            Why::Architecture { .. } => "architecture",
            Why::Foreign { .. } => "foreign",
            Why::WipeInterrupted => "wipe-interrupted",
            Why::RestoreInterrupted => "restore-interrupted",
            Why::NotBlank { .. } => "not-blank",
            Why::ReadOnly { .. } => "read-only",
            Why::Disk { .. } => "disk",
            Why::Port { .. } => "port",
            Why::VipTaken(_) => "vip-taken",
            Why::CgroupV1 { .. } => "cgroup-v1",
            Why::Reserves { .. } => "reserves",
            Why::HostsLine { .. } => "hosts-line",
            Why::NoResolvConf { .. } => "no-resolv-conf",
            Why::Damaged { .. } => "damaged",
            Why::Missing { .. } => "missing",
            Why::OtherCluster { .. } => "other-cluster",
            Why::RoleChanged { .. } => "role-changed",
            Why::NodeGone => "node-gone",
            Why::Lives { .. } => "machine-lives",
            Why::NamespaceEnding { .. } => "namespace-terminating",
            Why::PodNetwork { .. } => "pod-network",
            Why::Address { .. } => "address",
            Why::ControlPlaneLost { .. } => "control-plane-lost",
            Why::NodeExists { .. } => "node-exists",
            Why::MemberExists => "member-exists",
            Why::MemberNotCertain { .. } => "member-not-certain",
            Why::Learner { .. } => "learner",
            Why::MemberUnhealthy { .. } => "member-unhealthy",
            Why::Clock { .. } => "clock",
            Why::BundleVersion { .. } => "bundle-version",
            Why::NoClusterToUpgrade => "no-cluster-to-upgrade",
            Why::Downgrade { .. } => "downgrade",
            Why::SkipsMinor { .. } => "skips-minor",
            Why::KubeletTooOld { .. } => "kubelet-too-old",
            Why::NodeNotReady { .. } => "node-not-ready",
            Why::UpgradeInterrupted => "upgrade-interrupted",
            Why::NothingToRollBack { .. } => "nothing-to-roll-back",
            Why::WorkerUpgraded { .. } => "worker-upgraded",
            Why::VersionUnknown => "version-unknown",
            Why::OlderVersion { .. } => "older-version",
            Why::Unchangeable { key: Unchangeable::PodSubnet, .. } => "pod-subnet",
            Why::Unchangeable { key: Unchangeable::ServiceSubnet, .. } => "service-subnet",
            Why::Unchangeable { key: Unchangeable::Endpoint, .. } => "endpoint",
            Why::Unchangeable { key: Unchangeable::ClusterName, .. } => "cluster-name",
            Why::Unchangeable { key: Unchangeable::Cni, .. } => "cni",
            Why::Version { .. } => "version",
            Why::NodeName { .. } => "node-name",
            Why::NoApi { .. } | Why::NoApiToLeave => "no-api",
            Why::Denied { .. } => "denied",
            Why::EtcdBroken { .. } => "etcd-broken",
            Why::DataThere => "data-there",
            Why::AddressLost { .. } => "address-lost",
            Why::EndpointAway { .. } => "endpoint-away",
            Why::NoCluster { .. } => "no-cluster",
            Why::Unreachable => "unreachable",
            Why::LastControlPlane => "last-control-plane",
            Why::Quorum { .. } => "quorum",
            Why::Keep { .. } => "keep",
            Why::Mounted { .. } => "mounted",
            Why::NoReinstall(_) => "no-reinstallation",
            Why::NoErasure(_) => "no-erasure",
            Why::RestoreOfWorker => "no-control-plane",
            Why::SeveralControlPlanes => "several-control-planes",
            Why::ClusterLives => "cluster-lives",
            Why::OtherSnapshot { .. } => "other-snapshot",
            Why::NoEncoder | Why::NoMachineEncodes { .. } => "no-encoder",
            Why::NoToken { .. } => "no-token",
            Why::ShareMissing { .. } | Why::ShareHangs { .. } | Why::ShareReadOnly { .. } => "share",
        }
    }
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut refusal = serializer.serialize_struct("Refusal", 4)?;
        refusal.serialize_field("machine", &self.machine)?;
        refusal.serialize_field("code", self.why.code())?;
        refusal.serialize_field("reason", &self.why.to_string())?;
        refusal.serialize_field("hint", &self.hint)?;
        refusal.end()
    }
}
