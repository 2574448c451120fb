//! What can be wrong with machines and their cluster, and how it is said.

use std::fmt;

use serde::{Serialize, Serializer};

use super::own::LITTLE_DISK;
use crate::facts::DiskFault;
use crate::inventory::MachineName;
use crate::plan::pod_network::Fault;
use crate::plan::vip::Taken;
use crate::protocol::systemd;
use crate::words::{are, counted, for_seconds, in_days};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Problem {
    Unreachable {
        machine: MachineName,
        reason: String,
    },
    ApiDenied {
        reason: String,
    },
    ApiDown {
        reason: String,
    },
    NotANode {
        machine: MachineName,
    },
    NotReady {
        node: String,
        message: String,
    },
    /// A node of no machine in the inventory, which is not Ready.
    NodeLeft {
        node: String,
    },
    Cordoned {
        node: String,
    },
    /// Nothing is known of what should be installed.
    NotCompared,
    /// A run of this or another hostler.
    AtWork {
        machine: MachineName,
        step: String,
    },
    /// A part of the cluster without which it is none: `wanted` pods should be there, `ready` are.
    AddOnDown {
        name: &'static str,
        namespace: &'static str,
        ready: u64,
        wanted: u64,
    },
    /// What creates the pods of a part of the cluster may not, and says why.
    PodsForbidden {
        name: &'static str,
        namespace: &'static str,
        why: String,
    },
    /// A pod of the cluster's own.
    PodFails {
        namespace: String,
        pod: String,
        node: String,
        reason: String,
        message: String,
    },
    MembersUnknown,
    /// `error`: etcd's word about it; empty where it does not answer.
    MemberUnhealthy {
        member: String,
        error: String,
    },
    Learner {
        member: String,
    },
    /// `days`: left; negative once it has expired.
    CertificateExpires {
        certificate: String,
        machine: MachineName,
        days: i64,
    },
    /// API servers verify the certificates of kubelets, and this one has none.
    NoServingCertificate {
        machine: MachineName,
    },
    /// A request for a serving certificate that hostler does not approve. `request`: the object's name.
    RequestLeft {
        request: String,
        user: String,
        why: String,
    },
    /// The node's pods are evicted, or new ones do not start.
    Pressure {
        node: String,
        condition: String,
        message: String,
    },
    PodNetwork {
        machine: MachineName,
        fault: Fault,
    },
    /// As the machine sees it.
    Vip {
        machine: MachineName,
        taken: Taken,
    },
    /// Percent.
    DiskLow {
        machine: MachineName,
        free: u64,
    },
    /// The disk's own word, by the kernel's name of it.
    DiskFails {
        machine: MachineName,
        disk: String,
        fault: DiskFault,
    },
    Drift {
        first: String,
    },
    WouldRefuse {
        first: String,
    },
    /// The last verification failed, was interrupted, or is of another cluster than this has become.
    NotVerified,
    SnapshotFailed {
        machine: MachineName,
    },
    /// `since`: the age of the newest one on the server, in seconds; `None`: there is none.
    SnapshotNotCopied {
        machine: MachineName,
        since: Option<i64>,
    },
    RenewalFailed {
        machine: MachineName,
    },
    /// `since`: seconds for which it has not been able to send any; `None`: it can't even look at itself.
    NotNotified {
        machine: MachineName,
        since: Option<i64>,
    },
    /// By its name, its newest snapshot is of a time that has not come: it counts for none.
    SnapshotInFuture {
        machine: MachineName,
    },
    /// In seconds.
    SnapshotOld {
        age: i64,
    },
    NoSnapshot,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Unreachable { machine, reason } => write!(f, "{machine} can't be reached: {reason}"),
            Problem::ApiDenied { reason } => write!(f, "the API server denies admin.conf access: {reason}"),
            Problem::ApiDown { reason } => write!(f, "no API server answers: {reason}"),
            Problem::NotANode { machine } => write!(f, "{machine} is not a node of the cluster"),
            Problem::NotReady { node, message } => write!(f, "node {node} is not Ready: {message}"),
            Problem::NodeLeft { node } => write!(f, "node {node} is not Ready, and not in the inventory"),
            Problem::Cordoned { node } => write!(f, "node {node} is cordoned: no new pods are scheduled on it"),
            Problem::MembersUnknown => f.write_str("etcd's members are unknown: etcd did not answer"),
            Problem::NotCompared => f.write_str("the machines were not compared with the inventory"),
            Problem::AtWork { machine, step } => write!(f, "another run of hostler is running step {step} on {machine}"),
            Problem::AddOnDown { name, ready: 0, wanted: 0, .. } => write!(f, "{name} is scaled to 0 replicas"),
            Problem::AddOnDown { name, ready, wanted, .. } => {
                let wanted = *wanted as usize;
                write!(f, "{name}: {ready} of {} {} ready", counted(wanted, "pod"), are(wanted))
            }
            Problem::PodsForbidden { name, why, .. } => write!(f, "{name}: pods can't be created: {why}"),
            Problem::PodFails { pod, node, reason, message, .. } => {
                let on = if node.is_empty() { String::new() } else { format!(" on {node}") };
                let why = if message.is_empty() { String::new() } else { format!(": {message}") };
                write!(f, "pod {pod}{on}: {reason}{why}")
            }
            Problem::MemberUnhealthy { member, error } if error.is_empty() => write!(f, "etcd member {member} is unhealthy"),
            Problem::MemberUnhealthy { member, error } => write!(f, "etcd member {member} is unhealthy: {error}"),
            Problem::Learner { member } => write!(f, "etcd member {member} is still a learner and has no vote"),
            Problem::CertificateExpires { certificate, machine, days: ..0 } => {
                write!(f, "the {certificate} certificate of {machine} has expired")
            }
            Problem::CertificateExpires { certificate, machine, days } => {
                write!(f, "the {certificate} certificate of {machine} expires {}", in_days(*days))
            }
            Problem::NoServingCertificate { machine } => {
                write!(
                    f,
                    "kubelet on {machine} has no serving certificate signed by the cluster: `kubectl logs` and `kubectl exec` fail for its pods"
                )
            }
            Problem::RequestLeft { user, why, .. } => {
                write!(f, "hostler does not approve a request by {user} for a serving certificate: {why}")
            }
            Problem::Pressure { node, condition, message } => write!(f, "node {node} has {condition}: {message}"),
            Problem::PodNetwork { machine, fault } => write!(f, "{machine}: {fault}"),
            Problem::Vip { machine, taken } => write!(f, "{machine}: {taken}"),
            Problem::DiskLow { machine, free } => {
                write!(f, "{machine}: only {free}% of the disk is free; below {LITTLE_DISK}%, kubelet may evict pods")
            }
            Problem::DiskFails { machine, disk, fault } => write!(f, "disk {disk} of {machine} {fault}: replace the disk soon"),
            Problem::Drift { first } => write!(f, "`hostler up` would change: {first}"),
            Problem::WouldRefuse { first } => write!(f, "`hostler up` would refuse: {first}"),
            Problem::NotVerified => f.write_str("the cluster has not been verified since its last change"),
            Problem::SnapshotFailed { machine } => {
                write!(f, "the last snapshot on {machine} failed: `journalctl -u hostler-snapshot` on that machine shows why")
            }
            Problem::SnapshotNotCopied { machine, since } => {
                match since {
                    None => write!(f, "no snapshot on {machine} has been copied to the share yet")?,
                    Some(age) => {
                        let age = for_seconds(*age);
                        write!(f, "the newest snapshot on {machine} has not been copied to the share, where the newest copy is {age} old")?;
                    }
                }
                f.write_str(": `journalctl -u hostler-snapshot-copy` on that machine shows why")
            }
            Problem::RenewalFailed { machine } => write!(
                f,
                "the last scheduled renewal of certificates on {machine} failed: `journalctl -u hostler-renewal` on that machine shows why"
            ),
            Problem::NotNotified { machine, since } => {
                match since {
                    Some(since) => write!(f, "{machine} has not been able to send notifications for {}", for_seconds(*since))?,
                    None => write!(f, "the last scheduled run of {} on {machine} failed", systemd::NOTIFY)?,
                }
                write!(f, ": `journalctl -u {}` on that machine shows why", systemd::NOTIFY)
            }
            Problem::SnapshotInFuture { machine } => {
                write!(f, "the newest snapshot on {machine} is dated in the future, so it is ignored")
            }
            Problem::SnapshotOld { age } => write!(f, "the newest snapshot is {} old", for_seconds(*age)),
            Problem::NoSnapshot => f.write_str("there is no snapshot yet"),
        }
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
