//! What is: everything the planner may ask about a machine, learned in one round trip by `templates/facts.sh`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::inventory::Taint;
use crate::record::{Applied, InProgress, Record};

mod certificate;
mod cluster;
mod parse;
mod snapshot;

pub use certificate::ca_public_key_sha256;
pub use cluster::peer_url;
pub use parse::{FactsError, parse};
pub use snapshot::Snapshot;

/// What was learned of one machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    Facts(Box<Facts>),
    /// Why no facts could be had, in a person's words.
    Unreachable(String),
}

/// A machine as it is. A map holds only what was found; what hostler asked for and is missing is absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// `ID` of /etc/os-release: `debian`.
    pub os: String,
    /// `PRETTY_NAME`.
    pub os_name: String,
    /// `amd64` or `arm64`.
    pub arch: String,
    pub hostname: String,
    /// First line of /etc/hostname; empty where there is none.
    pub hostname_at_boot: String,
    /// What kind of container the machine is (`systemd-nspawn`), if it is one.
    pub container: Option<String>,
    pub cpus: u32,
    /// KiB.
    pub memory: u64,
    /// KiB available now.
    pub memory_available: u64,
    /// Free KiB of the file system that holds /var/lib.
    pub disk_free: u64,
    /// Its whole size in KiB.
    pub disk_size: u64,
    /// One-minute load average.
    pub load: String,
    /// Seconds since it was started; in a container, since its host was.
    pub uptime: u64,
    /// Degrees Celsius of the hottest sensor of its processor, where there is one.
    pub temperature: Option<i32>,
    /// Seconds since the epoch by the machine's clock when the facts were taken.
    pub clock: i64,
    /// Seconds that it was ahead of the clock of hostler's computer then; negative where it was behind. `None`: nobody compared.
    pub clock_ahead: Option<i64>,
    /// Whether something keeps the clock right: a running time service, the kernel's word (`timedatectl` NTPSynchronized), or the host
    /// of a container.
    pub clock_synchronized: bool,
    /// Whether PID 1 is systemd.
    pub systemd: bool,
    /// Hardware addresses, `aa:bb:cc:dd:ee:ff`, without those of bridges and tunnels that container networks make.
    pub macs: BTreeSet<String>,
    /// Addresses of all interfaces, without prefix length, loopback and link-local ones.
    pub addresses: BTreeSet<String>,
    /// Devices and files swapped to now.
    pub swap: Vec<String>,
    /// What would turn swap on at the next start: `/etc/fstab: /dev/sda3`, names of units, `zram-generator`.
    pub swap_at_boot: Vec<String>,
    /// Of the kernel modules asked for, those loaded or built in.
    pub modules: BTreeSet<String>,
    pub sysctls: BTreeMap<String, String>,
    /// Of the programs asked for, those found in the search path.
    pub programs: BTreeSet<String>,
    /// Of the files asked for, those that are there, by path; also all of /etc/containerd/conf.d.
    pub files: BTreeMap<String, FileFact>,
    /// Mount points at or below the folders of a cluster, without the volumes that kubelet mounts for pods.
    pub mounts: Vec<String>,
    /// Of the symbolic links asked for, where they point.
    pub links: BTreeMap<String, String>,
    /// Lines of hostler's block in /etc/hosts.
    pub hosts: Vec<String>,
    /// Nameservers of /etc/resolv.conf.
    pub nameservers: Vec<String>,
    /// systemd units asked for, those that exist.
    pub units: BTreeMap<String, UnitFact>,
    /// Listening TCP ports, with the process's name where known.
    pub ports: BTreeMap<u16, String>,
    /// containerd's images in kubelet's namespace, by reference. Empty while containerd is down.
    pub images: BTreeMap<String, ImageFact>,
    /// What an earlier run put on record of what is in place: sha256 of what was rendered.
    pub applied: BTreeMap<Applied, String>,
    /// What an earlier run, or one that is at work, has not brought to its end.
    pub in_progress: BTreeSet<InProgress>,
    pub kubernetes: KubernetesFacts,
    /// What the API server says, on a control plane where it answers.
    pub cluster: Option<ClusterFacts>,
    /// Why `cluster` is not known on a control plane, in the words of whoever did not answer.
    pub api_down: Option<String>,
    /// The step that runs on the machine right now, started by this or another hostler.
    pub lock: Option<LockFact>,
    /// Of the folders asked for, by path: what is known of each.
    pub shares: BTreeMap<String, ShareFact>,
    /// When the newest snapshot in the folder that was asked for was taken, in seconds since the epoch.
    pub snapshot: Option<i64>,
    /// Whether the machine's last regular snapshot went wrong.
    pub snapshot_failed: bool,
    /// Of /etc/localtime: `Europe/Berlin`. Empty where it is not told.
    pub time_zone: String,
    /// Who holds apt's or dpkg's lock: `unattended-upgr (process 812)`. Not asked of a machine that is in a cluster.
    pub apt_lock: Option<String>,
    /// Packages that dpkg did not bring to their end. Not asked of a machine that is in a cluster.
    pub dpkg_half: Vec<String>,
    /// Mount points of its system that are read-only: `/`, `/opt`.
    pub read_only: BTreeSet<String>,
    /// Things of others that will be in the way: `k3s`, `docker's containerd`.
    pub foreign: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileFact {
    /// Lower-case hex; empty if the file could not be read.
    pub sha256: String,
    /// Octal, as `stat -c %a` prints it: `644`.
    pub mode: String,
    /// `root:root`
    pub owner: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitFact {
    pub active: bool,
    pub enabled: bool,
    /// Whether its files changed since systemd read them.
    pub needs_reload: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageFact {
    pub digest: String,
    /// Whether kubelet's garbage collection leaves it alone.
    pub pinned: bool,
}

/// A folder that films go through, as their owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShareFact {
    pub state: ShareState,
    /// `UID:GID`
    pub owner: String,
    /// Octal.
    pub mode: String,
    /// KiB.
    pub free: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShareState {
    #[default]
    Missing,
    /// Whoever looks at it waits: its server does not answer.
    Hangs,
    ReadOnly,
    Writable,
}

/// What kubeadm left on the machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesFacts {
    /// The machine is a node of some cluster, or was: kubelet.conf is there, or etcd's data with the CA's key.
    pub joined: bool,
    /// Something is there that only a control plane has: the CA's key, etcd's data, its manifest or the API server's.
    pub control_plane: bool,
    /// SHA-256 of the cluster CA's public key (SubjectPublicKeyInfo), hex, as in kubeadm's `caCertHashes`.
    pub ca: Option<String>,
    /// The server that kubelet.conf names.
    pub server: Option<String>,
    /// The node's name in kubelet.conf.
    pub node: Option<String>,
    /// Files of an earlier cluster that block `kubeadm init` or `join`: manifests, pki, etcd data.
    pub leftovers: Vec<String>,
    /// Files that kubeadm or kubelet wrote and nobody can read any more: cut by a power failure, most likely.
    pub damaged: Vec<String>,
    /// Files that a machine which has joined must have, and that are not there.
    pub missing: Vec<String>,
    /// etcd's data is there.
    pub etcd_data: bool,
    /// When certificates end, seconds since the epoch, by kubeadm's names: `apiserver`, `etcd-server`, `admin.conf`, `ca`; kubelet's
    /// own are `kubelet-client` and `kubelet-server`.
    pub certificates: BTreeMap<String, i64>,
}

/// The cluster as its API server and etcd tell it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterFacts {
    /// Of the API server, without the `v`.
    pub version: String,
    pub nodes: BTreeMap<String, NodeFact>,
    /// By hexadecimal member ID.
    pub members: BTreeMap<String, MemberFact>,
    /// What hostler put on record.
    pub record: BTreeMap<Record, String>,
    /// ClusterConfiguration as kubeadm stored it, where the planner compares what can't be changed.
    pub pod_subnet: String,
    pub service_subnet: String,
    pub endpoint: String,
    pub cluster_name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeFact {
    pub ready: bool,
    /// Why not, in kubelet's words.
    pub message: String,
    pub version: String,
    pub address: String,
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<Taint>,
    pub unschedulable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberFact {
    pub name: String,
    pub learner: bool,
    pub peer: String,
    pub healthy: bool,
}

/// Who holds a machine's lock.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LockFact {
    pub run: String,
    pub step: String,
    /// Seconds since the epoch.
    pub since: i64,
    /// Nobody stands behind it any more: its run was cut, and it comes to its end by itself.
    pub left_behind: bool,
}

/// What `facts.sh` is asked to look at, besides what it always tells. No word may hold a line break.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Question {
    pub files: Vec<String>,
    /// Names of a control plane's static pods.
    pub static_pods: Vec<String>,
    /// Certificates and keys of a control plane, below kubeadm's folder for them.
    pub pki: Vec<String>,
    pub links: Vec<String>,
    pub units: Vec<String>,
    pub programs: Vec<String>,
    pub modules: Vec<String>,
    pub sysctls: Vec<String>,
    /// The folder where regular snapshots are kept; empty: none.
    pub snapshots: String,
    /// Folders that `uid` and `gid` must be able to write.
    pub shares: Vec<String>,
    pub uid: u32,
    pub gid: u32,
}
