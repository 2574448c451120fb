//! Where the files and images of a version are published.

use super::{PinList, Pins};
use crate::arch::Arch;
use crate::manifest::Component;

/// A published file and its checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    pub address: String,
    /// Lower-case hex; `None`: the pins have no checksum of it.
    pub sha256: Option<String>,
    pub version: String,
    pub contents: Contents,
}

/// What to take from a published file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// The file is the program with that name.
    Program(&'static str),
    /// A gzipped tar with these programs, by the last part of their paths.
    Programs(&'static [&'static str]),
    /// A gzipped tar with these CNI plugins.
    CniPlugins(&'static [&'static str]),
}

/// CNI plugins of containernetworking that flannel and containerd use.
pub const CNI_PLUGINS: &[&str] = &["bandwidth", "bridge", "firewall", "host-local", "loopback", "portmap", "ptp", "tuning"];

/// Programs that Kubernetes itself publishes, each as one file.
pub const OF_KUBERNETES: [&str; 3] = ["kubelet", "kubeadm", "kubectl"];

impl Pins {
    /// Components and references of its images, without hostler's own.
    pub fn images(&self) -> Vec<(Component, String)> {
        let of_kubernetes = |name: &str| format!("registry.k8s.io/{name}:v{}", self.kubernetes);
        vec![
            (Component::KubeApiserver, of_kubernetes("kube-apiserver")),
            (Component::KubeControllerManager, of_kubernetes("kube-controller-manager")),
            (Component::KubeScheduler, of_kubernetes("kube-scheduler")),
            (Component::KubeProxy, of_kubernetes("kube-proxy")),
            (Component::Etcd, format!("registry.k8s.io/etcd:{}", self.etcd_image)),
            (Component::Coredns, format!("registry.k8s.io/coredns/coredns:v{}", self.coredns)),
            (Component::Pause, format!("registry.k8s.io/pause:{}", self.pause)),
            (Component::Flannel, format!("ghcr.io/flannel-io/flannel:v{}", self.flannel)),
        ]
    }
}

/// Where Kubernetes publishes one of its programs.
pub fn of_kubernetes(name: &str, version: &str, arch: Arch) -> String {
    format!("https://dl.k8s.io/release/v{version}/bin/linux/{arch}/{name}")
}

impl PinList {
    /// The files of the release sites for these pins and `arch`.
    pub fn releases(&self, pins: &Pins, arch: Arch) -> Vec<Release> {
        let Pins { kubernetes, etcd, crictl, containerd, runc, cni, .. } = pins;
        let sum = |name: &str, version: &str| self.sum(name, version).map(|sum| sum.of(arch).to_owned());
        let mut releases: Vec<Release> = OF_KUBERNETES
            .map(|name| Release {
                address: of_kubernetes(name, kubernetes, arch),
                sha256: sum(name, kubernetes),
                version: kubernetes.clone(),
                contents: Contents::Program(name),
            })
            .into();
        let mut add = |name, version: &str, path: String, contents| {
            let address = format!("https://github.com/{path}");
            releases.push(Release { address, sha256: sum(name, version), version: version.to_owned(), contents });
        };
        let archive = format!("containerd/containerd/releases/download/v{containerd}/containerd-{containerd}-linux-{arch}.tar.gz");
        add("containerd", containerd, archive, Contents::Programs(&["containerd", "containerd-shim-runc-v2", "ctr"]));
        add("runc", runc, format!("opencontainers/runc/releases/download/v{runc}/runc.{arch}"), Contents::Program("runc"));
        let archive = format!("kubernetes-sigs/cri-tools/releases/download/v{crictl}/crictl-v{crictl}-linux-{arch}.tar.gz");
        add("crictl", crictl, archive, Contents::Programs(&["crictl"]));
        let archive = format!("etcd-io/etcd/releases/download/v{etcd}/{}", etcd_archive(etcd, arch));
        add("etcd", etcd, archive, Contents::Programs(&["etcdctl", "etcdutl"]));
        let archive = format!("containernetworking/plugins/releases/download/v{cni}/cni-plugins-linux-{arch}-v{cni}.tgz");
        add("cni", cni, archive, Contents::CniPlugins(CNI_PLUGINS));
        releases
    }
}

/// The name of etcd's archive, as it is in its `SHA256SUMS`.
pub fn etcd_archive(version: &str, arch: Arch) -> String {
    format!("etcd-v{version}-linux-{arch}.tar.gz")
}

/// Where etcd publishes the checksums of a version.
pub fn etcd_sums(version: &str) -> String {
    format!("https://github.com/etcd-io/etcd/releases/download/v{version}/SHA256SUMS")
}
