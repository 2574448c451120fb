//! The pods of a control plane that kubelet starts from manifests on the disk.

use crate::protocol::path;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StaticPod {
    Etcd,
    ApiServer,
    ControllerManager,
    Scheduler,
}

impl StaticPod {
    pub const ALL: [StaticPod; 4] = [StaticPod::Etcd, StaticPod::ApiServer, StaticPod::ControllerManager, StaticPod::Scheduler];

    /// kubeadm's name of it: of its manifest, too.
    pub fn name(self) -> &'static str {
        match self {
            StaticPod::Etcd => "etcd",
            StaticPod::ApiServer => "kube-apiserver",
            StaticPod::ControllerManager => "kube-controller-manager",
            StaticPod::Scheduler => "kube-scheduler",
        }
    }

    /// Path of its manifest on a control plane.
    pub fn manifest(self) -> String {
        format!("{}/{}.yaml", path::MANIFESTS, self.name())
    }

    /// All names.
    pub fn names() -> [&'static str; 4] {
        StaticPod::ALL.map(StaticPod::name)
    }
}
