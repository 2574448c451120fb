//! What hostler remembers: in the cluster in the ConfigMap `kube-system/hostler`, on a machine in `/etc/hostler/applied`, a file a name.
//!
//! What is there under another name is another version's, and is not looked at.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::document::Document;
use crate::inventory::MachineName;
use crate::protocol::{mark, recorded};
use crate::static_pod::StaticPod;

/// A name in the cluster's record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// sha256 of a document as it was rendered.
    Document(Document),
    /// The pod network that the cluster was made with, as the inventory names it.
    Cni,
    /// sha256 of flannel's manifest as it was applied.
    Flannel,
    /// What the last verification vouches for.
    Verified,
    /// The inventory with which the cluster was verified last: its text in base64.
    Inventory,
    /// Labels and taints that hostler put on a node, as JSON.
    Node(MachineName),
    /// The address of a machine: its kubelet gets serving certificates for that, and for the machine's name.
    Kubelet(MachineName),
    /// That a machine is to be restarted or switched off, and the boot in which it was to be.
    Power(MachineName),
    /// sha256 of the workload's manifest as it was applied.
    Workload,
    /// Where the workload's shares are.
    WorkloadShares,
    /// sha256 of the media server's token.
    WorkloadToken,
}

/// A name in a machine's record, of something that is in place. Where nothing else is said, the value is a sha256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Applied {
    /// The document that the machine's files follow from.
    Document(Document),
    /// KubeletConfiguration as kubeadm wrote it on this machine.
    KubeletFile,
    /// The line with flags for kubelet as kubeadm wrote it on this machine: the value is the line.
    KubeletFlags,
    /// The pod's manifest as kubeadm wrote it on this machine.
    Manifest(StaticPod),
}

/// A name in a machine's record that is there while a step changes something, and stays where that was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InProgress {
    Wipe,
    Restore,
    Init,
    Join,
    /// Programs are in place, but what runs may be from before. So are the units' files of the others.
    Programs,
    Containerd,
    Kubelet,
    Vip,
    Snapshots,
    /// The timer that renews certificates.
    Renewal,
    /// The timer that sends notifications.
    Notify,
    /// Something of the cluster changed while no API server answered.
    Unverified,
    /// The static pods of a control plane become those of another version.
    Upgrade,
    /// Packages of the operating system are upgraded.
    Packages,
    /// `rebuild --os` installed the system, and the machine has not joined since.
    Reinstall,
}

impl Record {
    /// `None` for a name that this version does not know.
    pub fn parse(name: &str) -> Option<Record> {
        let plain = [Record::Cni, Record::Flannel, Record::Verified, Record::Inventory];
        let workload = [Record::Workload, Record::WorkloadShares, Record::WorkloadToken];
        let mut known = Document::ALL.into_iter().map(Record::Document).chain(plain).chain(workload);
        known
            .find(|record| record.to_string() == name)
            .or_else(|| name.strip_prefix(recorded::NODE).and_then(MachineName::new).map(Record::Node))
            .or_else(|| name.strip_prefix(recorded::KUBELET_ADDRESS).and_then(MachineName::new).map(Record::Kubelet))
            .or_else(|| name.strip_prefix(recorded::POWER).and_then(MachineName::new).map(Record::Power))
    }

    /// Whether it goes with the workload.
    pub fn is_workload(&self) -> bool {
        matches!(self, Record::Workload | Record::WorkloadShares | Record::WorkloadToken)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Record::Document(document) => f.write_str(document.name()),
            Record::Cni => f.write_str(recorded::CNI),
            Record::Flannel => f.write_str(recorded::FLANNEL),
            Record::Verified => f.write_str(recorded::VERIFIED),
            Record::Inventory => f.write_str(recorded::INVENTORY),
            Record::Node(name) => write!(f, "{}{name}", recorded::NODE),
            Record::Kubelet(name) => write!(f, "{}{name}", recorded::KUBELET_ADDRESS),
            Record::Power(name) => write!(f, "{}{name}", recorded::POWER),
            Record::Workload => f.write_str(recorded::WORKLOAD),
            Record::WorkloadShares => f.write_str(recorded::WORKLOAD_SHARES),
            Record::WorkloadToken => f.write_str(recorded::WORKLOAD_TOKEN),
        }
    }
}

impl Applied {
    /// `None` for a name that this version does not know.
    pub fn parse(name: &str) -> Option<Applied> {
        Applied::all().find(|applied| applied.to_string() == name)
    }

    pub fn all() -> impl Iterator<Item = Applied> {
        let files = [Applied::KubeletFile, Applied::KubeletFlags].into_iter().chain(StaticPod::ALL.map(Applied::Manifest));
        Document::ALL.into_iter().map(Applied::Document).chain(files)
    }
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Applied::Document(document) => f.write_str(document.name()),
            Applied::KubeletFile => f.write_str(recorded::KUBELET_FILE),
            Applied::KubeletFlags => f.write_str(recorded::KUBELET_FLAGS),
            Applied::Manifest(pod) => write!(f, "{}{}", recorded::MANIFEST, pod.name()),
        }
    }
}

impl InProgress {
    pub const ALL: [InProgress; 15] = [
        InProgress::Wipe,
        InProgress::Restore,
        InProgress::Init,
        InProgress::Join,
        InProgress::Programs,
        InProgress::Containerd,
        InProgress::Kubelet,
        InProgress::Vip,
        InProgress::Snapshots,
        InProgress::Renewal,
        InProgress::Notify,
        InProgress::Unverified,
        InProgress::Upgrade,
        InProgress::Packages,
        InProgress::Reinstall,
    ];

    /// `None` for a name that this version does not know.
    pub fn parse(name: &str) -> Option<InProgress> {
        InProgress::ALL.into_iter().find(|mark| mark.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            InProgress::Wipe => mark::WIPE,
            InProgress::Restore => mark::RESTORE,
            InProgress::Init => mark::INIT,
            InProgress::Join => mark::JOIN,
            InProgress::Programs => mark::PROGRAMS,
            InProgress::Containerd => mark::CONTAINERD,
            InProgress::Kubelet => mark::KUBELET,
            InProgress::Vip => mark::VIP,
            InProgress::Snapshots => mark::SNAPSHOTS,
            InProgress::Renewal => mark::RENEWAL,
            InProgress::Notify => mark::NOTIFY,
            InProgress::Unverified => mark::UNVERIFIED,
            InProgress::Upgrade => mark::UPGRADE,
            InProgress::Packages => mark::PACKAGES,
            InProgress::Reinstall => mark::REINSTALL,
        }
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Applied {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for InProgress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        let node = MachineName::new("rarity").expect("a name");
        let records = [
            Record::Cni,
            Record::Flannel,
            Record::Verified,
            Record::Inventory,
            Record::Kubelet(node.clone()),
            Record::Node(node),
            Record::Workload,
        ];
        let records = records.into_iter().chain([Record::WorkloadShares, Record::WorkloadToken]);
        for record in records.chain(Document::ALL.map(Record::Document)) {
            assert_eq!(Record::parse(&record.to_string()), Some(record));
        }
        for mark in InProgress::ALL {
            assert_eq!(InProgress::parse(mark.name()), Some(mark));
            assert_eq!(Applied::parse(mark.name()), None);
        }
        for applied in Applied::all() {
            assert_eq!(Applied::parse(&applied.to_string()), Some(applied));
        }
        assert_eq!((Record::parse("node.UPPER"), Record::parse("later"), Applied::parse("later")), (None, None, None));
    }
}
