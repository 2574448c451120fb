//! kubeadm's documents that are stored in the cluster.

use serde::Serialize;

use crate::inventory::Role;
use crate::protocol::recorded;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Document {
    Cluster,
    Kubelet,
    KubeProxy,
}

impl Document {
    pub const ALL: [Document; 3] = [Document::Cluster, Document::Kubelet, Document::KubeProxy];

    /// The documents that determine the files of a machine.
    pub fn of(role: Role) -> &'static [Document] {
        match role {
            Role::ControlPlane => &[Document::Cluster, Document::Kubelet],
            Role::Worker => &[Document::Kubelet],
        }
    }

    /// `kind` of the document.
    pub fn kind(self) -> &'static str {
        match self {
            Document::Cluster => "ClusterConfiguration",
            Document::Kubelet => "KubeletConfiguration",
            Document::KubeProxy => "KubeProxyConfiguration",
        }
    }

    /// Name of the document's record in the cluster and on machines.
    pub fn name(self) -> &'static str {
        match self {
            Document::Cluster => recorded::CLUSTER,
            Document::Kubelet => recorded::KUBELET,
            Document::KubeProxy => recorded::KUBE_PROXY,
        }
    }
}
