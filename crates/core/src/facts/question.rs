//! What the planner asks machines for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Serialize;

use crate::inventory::MachineName;
use crate::kubeadm_files;

/// What `facts.sh` should gather in addition to the facts that it always gathers. No word may contain a line break.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Question {
    pub files: Vec<String>,
    /// What kubeadm and kubelet write on every machine, and on control planes in addition: looked for, and read for whether it is whole.
    pub node_files: Vec<String>,
    pub control_plane_files: Vec<String>,
    pub links: Vec<String>,
    pub units: Vec<String>,
    pub programs: Vec<String>,
    pub modules: Vec<String>,
    pub sysctls: Vec<String>,
    /// Of the cluster's own, outside of namespaces: `KIND/NAME`.
    pub cluster_objects: Vec<String>,
    /// The folder with regular snapshots; empty: none.
    pub snapshots: String,
    /// Whether to ask API servers for what the cluster runs of its own. Otherwise [`AddOns`](super::AddOns) has ConfigMaps alone.
    pub add_ons: bool,
    /// Whether to ask API servers for what runs of the transcoding workload.
    pub workload: bool,
    /// Whether to ask API servers which APIs clients have asked for that a later version does not serve.
    pub requests: bool,
    /// Whether to ask API servers for kubelets' requests for serving certificates.
    pub kubelet_requests: bool,
    /// The address that control planes have in turn, and that someone else may have.
    pub vip: BTreeMap<MachineName, IpAddr>,
    /// Machines whose disks are tried for how fast they are, where they are in no cluster yet.
    pub fsync: BTreeSet<MachineName>,
    /// Whether to ask containerd for its images.
    pub images: bool,
    /// Whether to ask the other ends of the machine's tunnel.
    pub tunnel: bool,
    /// Whether to ask for what an installation anew has to know.
    pub system: bool,
    /// Paths that the user keeps on some machine; where `system` is asked for, also those that the inventory names.
    pub keep: Vec<String>,
    /// A file with nameservers beside the machine's own; empty: none.
    pub resolv_conf: String,
    /// The host of the cluster's endpoint, in lower case, as /etc/hosts may name it; empty: nothing is looked for.
    pub endpoint: String,
    /// What hostler's programs are called.
    pub commands: Vec<String>,
    /// Folders that `uid` and `gid` must be able to write.
    pub shares: Vec<String>,
    pub uid: u32,
    pub gid: u32,
}

impl Question {
    /// Without these names, nothing of what kubeadm writes on a control plane is looked at: neither whether it is whole, nor when it expires.
    pub fn about_kubeadm() -> Question {
        Question { node_files: kubeadm_files::of_node(), control_plane_files: kubeadm_files::of_control_plane(), ..Question::default() }
    }
}

impl Question {
    /// What to ask this machine.
    pub fn of(&self, name: &MachineName) -> Question {
        let mut question = self.clone();
        question.fsync.retain(|asked| asked == name);
        question.vip.retain(|asked, _| asked == name);
        question
    }
}
