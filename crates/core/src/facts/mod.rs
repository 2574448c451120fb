//! The present state of a machine: everything that the planner needs, gathered in one round trip by `templates/facts.sh`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use crate::arch::Arch;
use crate::inventory::Taint;
use crate::record::{Applied, InProgress, Record};
use crate::version::three_numbers;

mod add_ons;
mod certificate;
mod cluster;
pub mod disk;
mod kubelet_request;
mod last_words;
mod parse;
mod question;
mod render;
mod snapshot;
mod system;
mod vip;

pub use add_ons::{AddOns, LiveObject, NOT_READY, PodFact, content_of, has, object_key};
pub use certificate::{Certificate, KUBELET_CLIENT, KUBELET_SERVER, Validity, ca_public_key_sha256, early, name as certificate_name};
pub use cluster::{peer_address, peer_url};
pub use disk::DiskFault;
pub use kubelet_request::{AskedFor, KubeletRequest, kubelet_addresses};
pub use parse::{FactsError, parse};
pub use question::Question;
pub use render::{Chip, RenderNode};
pub use snapshot::Snapshot;
pub use system::{EspFact, SystemDisk, SystemFacts, SystemPartition};
pub use vip::AtVip;

/// The result of observing one machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    Facts(Box<Facts>),
    Unreachable(Unreachable),
}

/// Why facts could not be gathered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    pub reason: String,
    pub contact: Contact,
    /// What to do about it; empty if that is not known.
    pub hint: String,
}

/// What answered at the address of a machine that could not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// Nothing: the machine may be off, or gone.
    Silence,
    /// Something: the machine is on, whatever else is wrong with it.
    Answer,
    /// An sshd with another host key than the known one: the machine was reinstalled, or it is not that machine.
    OtherHostKey,
}

impl Unreachable {
    pub fn silent(reason: impl Into<String>) -> Unreachable {
        Unreachable { reason: reason.into(), contact: Contact::Silence, hint: String::new() }
    }
}

impl Observation {
    /// `None` for a machine that could not be reached.
    pub fn facts(&self) -> Option<&Facts> {
        match self {
            Observation::Facts(facts) => Some(facts),
            Observation::Unreachable(_) => None,
        }
    }
}

/// The present state of a machine. Maps hold only what was found: requested items that are missing on the machine are absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// `ID` of /etc/os-release: `debian`.
    pub os: String,
    /// `PRETTY_NAME`.
    pub os_name: String,
    /// `None`: hostler has no programs for it.
    pub arch: Option<Arch>,
    /// `uname -m`: the machine's own word for its architecture, for messages alone.
    pub machine: String,
    pub hostname: String,
    /// First line of /etc/hostname; empty if there is none.
    pub hostname_at_boot: String,
    /// The container manager (`systemd-nspawn`), if the machine is a container.
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
    /// Seconds since it was started; in a container, since its host was started.
    pub uptime: u64,
    /// Which boot of the machine this is: the kernel's boot id, a dash, and when PID 1 began, in clock ticks since the kernel did. In a container
    /// the former is its host's, and the latter tells one start from the next. Empty: unknown.
    pub boot: String,
    /// Why the machine should be restarted, if it should.
    pub reboot_due: Option<RebootDue>,
    /// Degrees Celsius of the processor's hottest sensor, if there is one.
    pub temperature: Option<i32>,
    /// Seconds since the epoch by the machine's clock when facts were gathered.
    pub clock: i64,
    /// Seconds by which it was ahead of the clock of hostler's computer; negative if it was behind. `None`: not compared.
    pub clock_ahead: Option<i64>,
    /// Whether the clock is synchronized: by a running time service, by the kernel's status (`timedatectl` NTPSynchronized), or by the host of
    /// a container.
    pub clock_synchronized: bool,
    /// Whether PID 1 is systemd.
    pub systemd: bool,
    /// Whether its processes are in cgroups of version 1, or of both.
    pub cgroup_v1: bool,
    /// MAC addresses, `aa:bb:cc:dd:ee:ff`, without those of bridges and tunnels of container networks.
    pub macs: BTreeSet<String>,
    /// Addresses of all interfaces without prefix length, except loopback and link-local ones.
    pub addresses: BTreeSet<String>,
    /// Networks that it reaches without a router, as its routes say.
    pub networks: BTreeSet<IpNet>,
    /// Who has the VIP, where hostler's service has not put it on this machine. `None`: nobody, or it was not asked for.
    pub vip_answers: Option<AtVip>,
    /// MAC address of this machine's end of flannel's tunnel, where there is one.
    pub vtep_mac: Option<String>,
    /// Active swap devices and files.
    pub swap: Vec<String>,
    /// What would turn swap on at the next boot: `/etc/fstab: /dev/sda3`, names of units, `zram-generator`.
    pub swap_at_boot: Vec<String>,
    /// The requested kernel modules that are loaded or built in.
    pub modules: BTreeSet<String>,
    pub sysctls: BTreeMap<String, String>,
    /// The requested programs that are in the search path.
    pub programs: BTreeSet<String>,
    /// The requested files that exist, by path; also all of /etc/containerd/conf.d.
    pub files: BTreeMap<String, FileFact>,
    /// Mount points at or below the folders of a cluster, wherever these really are, without the volumes that kubelet mounts for pods.
    pub mounts: Vec<String>,
    /// Where the folders of a cluster, and what the user keeps, really are, if links lead elsewhere: by path.
    pub resolved: BTreeMap<String, String>,
    /// Names of the files in /etc/containerd/conf.d that are the inventory's. `None`: hostler has not configured containerd here.
    pub containerd_pieces: Option<BTreeSet<String>>,
    /// The requested symbolic links and their targets.
    pub links: BTreeMap<String, String>,
    /// Sets of programs that are installed, in use or not, each whole.
    pub sets: BTreeSet<String>,
    /// Lines of hostler's block in /etc/hosts.
    pub hosts: Vec<String>,
    /// Addresses that other lines of it give the cluster's endpoint. Some programs take the first line, others all of them.
    pub endpoint_elsewhere: BTreeSet<IpAddr>,
    /// Files in /usr/local/bin that are called as programs of hostler's, and are someone else's.
    pub other_commands: BTreeSet<String>,
    /// Nameservers of /etc/resolv.conf.
    pub nameservers: Vec<String>,
    /// Those that systemd-resolved asks, where it runs.
    pub resolved_nameservers: Vec<String>,
    /// Those of the file that was asked about. `None`: it is not there, or can't be read.
    pub own_nameservers: Option<Vec<String>>,
    /// What its owner told cloud-init is to write the host name or /etc/hosts at every start, whatever other files say.
    pub cloud_user_data: bool,
    /// kubelet delays a shutdown of the machine.
    pub delays_shutdown: bool,
    /// The requested systemd units that exist.
    pub units: BTreeMap<String, UnitFact>,
    /// Files with which systemd changes those units.
    pub drop_ins: BTreeSet<String>,
    /// Listening TCP ports, with the process's name where known.
    pub ports: BTreeMap<u16, String>,
    /// containerd's images in kubelet's namespace, by reference. Empty while containerd is down.
    pub images: BTreeMap<String, ImageFact>,
    /// Records of earlier runs about what is in place: sha256 of rendered files.
    pub applied: BTreeMap<Applied, String>,
    /// Operations that an earlier run did not finish, or that a present one has in progress.
    pub in_progress: BTreeSet<InProgress>,
    pub kubernetes: KubernetesFacts,
    /// The answer of the API server, on a control plane where it answers; any machine can say that it is one. Read by
    /// [`trusted`](crate::trusted) alone, which knows whose word counts.
    pub cluster: Option<ClusterFacts>,
    /// Why `cluster` is unknown on a control plane: the error message.
    pub api_down: Option<String>,
    /// Whether the API server answers, but denies admin.conf what it is asked for.
    pub api_denied: bool,
    /// The step that is running on the machine, started by this or another hostler.
    pub lock: Option<LockFact>,
    /// The requested folders, by path.
    pub shares: BTreeMap<String, ShareFact>,
    /// When the newest snapshot in the requested folder was taken, in seconds since the epoch.
    pub snapshot: Option<i64>,
    /// Whether the folder with snapshots did not answer.
    pub snapshots_unread: bool,
    /// Since when the machine takes regular snapshots as it does now, in seconds since the epoch.
    pub snapshots_since: Option<i64>,
    /// Whether the machine's last regular snapshot failed.
    pub snapshot_failed: bool,
    /// If the machine copies its snapshots to a server: the time of the newest one there, in seconds since the epoch; 0: there is none yet.
    pub snapshot_copied: Option<i64>,
    /// Whether that failed when it was tried last.
    pub snapshot_copy_failed: bool,
    /// Whether the machine's own renewal of certificates failed last time.
    pub renewal_failed: bool,
    /// Of which of these it is not known whether the last run failed: it runs now, or has not since the machine was started.
    pub undecided: BTreeSet<OwnService>,
    /// Whether the machine's last regular look for something to report failed, or it could not send what it found.
    pub notify_failed: bool,
    /// Since when the machine can't send its notifications, in seconds since the epoch.
    pub notify_unsent: Option<i64>,
    /// What an upgrade that has not ended keeps of a control plane, to put it back.
    pub before_upgrade: Option<BeforeUpgrade>,
    /// Through which programs use graphics chips, by their names.
    pub render_nodes: Vec<RenderNode>,
    /// From /etc/localtime: `Europe/Berlin`. Empty if unknown.
    pub time_zone: String,
    /// The holder of apt's or dpkg's lock: `unattended-upgr, process 812`. Not gathered on a machine that is in a cluster.
    pub apt_lock: Option<String>,
    /// Packages that dpkg did not finish configuring. Not gathered on a machine that is in a cluster.
    pub dpkg_half: Vec<String>,
    /// What is wrong with the disks that tell of their health, by the kernel's names: `nvme0n1`. It needs smartctl on the machine.
    pub disks: BTreeMap<String, Vec<DiskFault>>,
    /// How long 99 of 100 writes of etcd's size take at most until they are on the disk, in microseconds. Only of machines that are in no cluster.
    pub fsync: Option<u64>,
    /// What its installation anew has to know. Not always gathered.
    pub system: Option<SystemFacts>,
    /// Mount points of its system that are read-only: `/`, `/opt`.
    pub read_only: BTreeSet<String>,
    /// Other container platforms that conflict: `k3s`, `docker's containerd`.
    pub foreign: Vec<String>,
}

impl Facts {
    /// What the machine would say if it were in no cluster.
    pub(crate) fn forget_cluster(&mut self) {
        self.cluster = None;
    }

    /// What the machine would say if the cluster, as far as it knows it, were another.
    pub(crate) fn change_cluster(&mut self, change: impl FnOnce(&mut ClusterFacts)) {
        self.cluster.as_mut().map(change);
    }
}

/// What a machine does regularly by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnService {
    Renewal,
    Snapshot,
    SnapshotCopy,
}

impl OwnService {
    fn parse(text: &str) -> Option<OwnService> {
        match text {
            "renewal" => Some(OwnService::Renewal),
            "snapshot" => Some(OwnService::Snapshot),
            "snapshot-copy" => Some(OwnService::SnapshotCopy),
            _ => None,
        }
    }
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
    /// Whether its files changed since systemd loaded them.
    pub needs_reload: bool,
    /// Seconds after the start of the machine at which it became active. `None`: never.
    pub entered: Option<u64>,
}

impl UnitFact {
    /// Seconds for which it has been active on a machine with these facts. `None`: it is not active, or it can't be said.
    pub fn active_for(&self, facts: &Facts) -> Option<u64> {
        // A container may count from its own start, and systemd from the computer's.
        facts.uptime.checked_sub(self.entered.filter(|_| self.active)?)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageFact {
    pub digest: String,
    /// Whether kubelet's garbage collection spares it.
    pub pinned: bool,
}

/// A folder with films, as their owner sees it.
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
    /// Operations on it block: its server does not answer.
    Hangs,
    ReadOnly,
    Writable,
}

/// What an upgrade keeps of a control plane until it has succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BeforeUpgrade {
    /// The set of programs that was in use.
    pub set: String,
    /// When it was kept, in seconds since the epoch.
    pub since: i64,
    /// Whether etcd's data is among it, which only a single control plane needs.
    pub etcd: bool,
    /// Whether its static pods have been put back.
    pub back: bool,
}

impl BeforeUpgrade {
    /// The version of Kubernetes that the upgrade began at.
    pub fn version(&self) -> Option<&str> {
        three_numbers(self.set.rsplit_once('-')?.0)
    }
}

/// Something that was installed is in use only after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RebootDue {
    /// Seconds since the epoch.
    pub since: i64,
    /// What was installed, as far as that is known: `libc6, linux-image-amd64`, `kernel 6.12.41-amd64`.
    pub by: String,
}

/// Whether `text` has the form of [`Facts::boot`].
pub fn is_boot(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// State of kubeadm on the machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesFacts {
    /// The machine is or was a node of a cluster: kubelet.conf exists, or etcd's data with the CA's key.
    pub joined: bool,
    /// When kubelet.conf was written, in seconds since the epoch: at the join, or at a repair since.
    pub joined_at: Option<i64>,
    /// Something exists that only a control plane has: the CA's key, etcd's data, its manifest or the API server's.
    pub control_plane: bool,
    /// SHA-256 of the cluster CA's public key (SubjectPublicKeyInfo), hex, as in kubeadm's `caCertHashes`.
    pub ca: Option<String>,
    /// The server in kubelet.conf.
    pub server: Option<String>,
    /// The node's name in kubelet.conf.
    pub node: Option<String>,
    /// Files of an earlier cluster that block `kubeadm init` or `join`: manifests, pki, etcd data.
    pub leftovers: Vec<String>,
    /// Files of kubeadm or kubelet that can't be read: most likely truncated by a power failure.
    pub damaged: Vec<String>,
    /// Files that a machine which has joined must have, and that are missing.
    pub missing: Vec<String>,
    /// etcd's data exists.
    pub etcd_data: bool,
    /// The address that etcd's manifest was made with.
    pub etcd_address: Option<String>,
    /// The configuration of pod networks that containerd takes: the first by its name. `None`: there is none.
    pub cni: Option<String>,
    /// Ends of flannel's tunnel on other machines that answer no ping from here: each is the first address of its node's pod network.
    pub silent: BTreeSet<IpAddr>,
    /// What etcd, the API server and kubelet said last of what is wrong, where the API server does not answer.
    pub last_words: BTreeMap<String, String>,
    /// When certificates expire, in seconds since the epoch, by kubeadm's names: `apiserver`, `etcd-server`, `admin.conf`, `ca`; kubelet's own
    /// are `kubelet-client` and `kubelet-server`.
    pub certificates: BTreeMap<String, i64>,
    /// For how many seconds each of these is valid in all.
    pub lives: BTreeMap<String, i64>,
    /// Of the certificate that kubelet presents, if the cluster's authority signed it. `None`: kubelet has none of those.
    pub serving: Option<Validity>,
    /// The DNS names and IP addresses in the API server's certificate.
    pub api_names: BTreeSet<String>,
}

/// The state of the cluster by its API server and etcd.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterFacts {
    /// Version of the API server, without the `v`.
    pub version: String,
    /// The version in kubeadm's ClusterConfiguration, which an upgrade changes once its first control plane is done. Empty: not known.
    pub stored_version: String,
    pub nodes: BTreeMap<String, NodeFact>,
    /// By hexadecimal member ID.
    pub members: BTreeMap<String, MemberFact>,
    /// hostler's records.
    pub record: BTreeMap<Record, String>,
    pub add_ons: AddOns,
    /// What clients have asked this API server for since it started, though a later version does not serve it. Not always gathered.
    pub requested: BTreeSet<RequestedApi>,
    /// Whether `requested` was to be gathered, but the API server's metrics could not be read.
    pub requests_unread: bool,
    /// Requests of kubelets for serving certificates that nobody has decided about. Not always gathered.
    pub kubelet_requests: Vec<KubeletRequest>,
    /// Whether API servers verify the certificates that kubelets present, as the ClusterConfiguration that kubeadm stored says.
    pub verifies_kubelets: bool,
    /// From the ClusterConfiguration that kubeadm stored: the settings that can't be changed.
    pub pod_subnet: String,
    pub service_subnet: String,
    pub endpoint: String,
    pub cluster_name: String,
}

/// An API that is deprecated, and that clients use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestedApi {
    /// `flowcontrol.apiserver.k8s.io/v1beta3`
    pub api: String,
    /// `flowschemas`
    pub resource: String,
    /// The first minor version without it: 1.32.
    pub removed: [u32; 2],
}

impl RequestedApi {
    /// `None` for what is no API of Kubernetes'. `removed` is `1.32`.
    pub fn parse(api: &str, resource: &str, removed: &str) -> Option<RequestedApi> {
        let word =
            |text: &str| (1..=253).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
        let mut parts = api.splitn(2, '/');
        let (major, minor) = removed.split_once('.')?;
        let fine = parts.all(word) && word(resource);
        fine.then_some(RequestedApi {
            api: api.to_owned(),
            resource: resource.to_owned(),
            removed: [major.parse().ok()?, minor.parse().ok()?],
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeFact {
    pub ready: bool,
    /// Seconds since it registered, by the clock of the control plane that says so. `None`: not known.
    pub age: Option<i64>,
    /// Why not, from kubelet.
    pub message: String,
    pub version: String,
    pub address: String,
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<Taint>,
    pub unschedulable: bool,
    /// What it has too little of, in kubelet's words: `DiskPressure`, and why.
    pub pressures: BTreeMap<String, String>,
    /// hostler cordoned it for an upgrade, and has not uncordoned it since.
    pub cordoned_by_hostler: bool,
    /// Its part of the pod network: `10.244.1.0/24`. Empty: it has none yet.
    pub pod_cidr: String,
    /// MAC address of its end of flannel's tunnel, to which other nodes send. Empty: flannel has not said so yet.
    pub vtep_mac: String,
    /// The kernel's id of the boot in which its kubelet started last, with which [`Facts::boot`] begins. Empty: kubelet has not said so yet.
    pub boot: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberFact {
    pub name: String,
    pub learner: bool,
    pub peer: String,
    pub healthy: bool,
    /// Why not, in etcd's words: `Active Alarm(s): NOSPACE`.
    pub error: String,
}

impl MemberFact {
    /// Its name, or its peer URL: one that never started has no name yet.
    pub fn called(&self) -> &str {
        if self.name.is_empty() { &self.peer } else { &self.name }
    }
}

/// The holder of a machine's lock.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LockFact {
    pub run: String,
    pub step: String,
    /// Seconds since the epoch.
    pub since: i64,
    /// Its run was interrupted: the script ends by itself.
    pub left_behind: bool,
}

impl LockFact {
    /// A step that has held a lock for longer has lost its hostler long ago, or was never there: three times the longest limit of a step that
    /// does not wait for pods, in seconds.
    const LONGEST: i64 = 90 * 60;
    /// Seconds that a clock may have been set back while a step ran.
    const SET_BACK: i64 = 60;

    /// Seconds since the step began, by the machine's clock. `None`: that can't be, as it began in the future or too long ago.
    pub fn age(&self, facts: &Facts) -> Option<i64> {
        let age = facts.clock.saturating_sub(self.since);
        (-LockFact::SET_BACK..=LockFact::LONGEST).contains(&age).then_some(age.max(0))
    }
}
