//! Versions that belong together, and the published checksums of release files. Versions of etcd, CoreDNS and pause are those of
//! `kubeadm config images list` for that Kubernetes: other combinations are not tested by Kubernetes. The remaining versions work with both.

use hostler_core::arch::Arch;
use hostler_core::manifest::Component;

/// The versions in a bundle of one Kubernetes version, without `v`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pins {
    pub kubernetes: &'static str,
    pub etcd: &'static str,
    /// The tag of etcd's image: version and build number.
    pub etcd_image: &'static str,
    pub coredns: &'static str,
    pub pause: &'static str,
    pub crictl: &'static str,
    /// From the release site.
    pub containerd: &'static str,
    /// Built from Go modules.
    pub containerd_module: &'static str,
    pub runc: &'static str,
    pub cni: &'static str,
    /// flannel's CNI plugin was removed from that repository; this is the last version of the Go module with it.
    pub cni_flannel_module: &'static str,
    /// The tag of the image with flannel's CNI plugin.
    pub cni_flannel_image: &'static str,
    pub flannel: &'static str,
}

/// Of 1.36.3, and of what the others share with it.
const NEWEST: Pins = Pins {
    kubernetes: "1.36.3",
    etcd: "3.6.8",
    etcd_image: "3.6.8-0",
    coredns: "1.14.2",
    pause: "3.10.2",
    crictl: "1.36.0",
    containerd: "2.3.4",
    containerd_module: "2.3.7",
    runc: "1.4.3",
    cni: "1.9.1",
    cni_flannel_module: "0.9.1",
    cni_flannel_image: "v1.9.1-flannel3",
    flannel: "0.28.4",
};

/// When the lists below were made: what was released later is in none of them.
pub const AS_OF: jiff::civil::Date = jiff::civil::date(2026, 8, 21);

/// Newest first.
pub const ALL: [Pins; 3] = [
    NEWEST,
    Pins { kubernetes: "1.36.1", ..NEWEST },
    Pins { kubernetes: "1.35.4", etcd: "3.6.6", etcd_image: "3.6.6-0", coredns: "1.13.1", pause: "3.10.1", ..NEWEST },
];

/// The pins of a Kubernetes version.
pub fn of(kubernetes: &str) -> Option<&'static Pins> {
    ALL.iter().find(|pins| pins.kubernetes == kubernetes)
}

/// All versions, for messages.
pub fn versions() -> String {
    ALL.map(|pins| pins.kubernetes).join(", ")
}

/// A published file and its checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    pub address: String,
    /// Lower-case hex; `None`: no published checksum was known when this list was made.
    pub sha256: Option<&'static str>,
    pub version: &'static str,
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

    /// The files of the release sites for `arch`.
    pub fn releases(&self, arch: Arch) -> Vec<Release> {
        let Pins { kubernetes, etcd, crictl, containerd, runc, cni, .. } = self;
        let github = "https://github.com";
        let mut releases: Vec<Release> = ["kubelet", "kubeadm", "kubectl"]
            .map(|name| Release {
                address: format!("https://dl.k8s.io/release/v{kubernetes}/bin/linux/{arch}/{name}"),
                sha256: sum(name, kubernetes, arch),
                version: self.kubernetes,
                contents: Contents::Program(name),
            })
            .into();
        let mut add = |name, version: &'static str, path: String, contents| {
            releases.push(Release { address: format!("{github}/{path}"), sha256: sum(name, version, arch), version, contents });
        };
        let archive = format!("containerd/containerd/releases/download/v{containerd}/containerd-{containerd}-linux-{arch}.tar.gz");
        add("containerd", containerd, archive, Contents::Programs(&["containerd", "containerd-shim-runc-v2", "ctr"]));
        add("runc", runc, format!("opencontainers/runc/releases/download/v{runc}/runc.{arch}"), Contents::Program("runc"));
        let archive = format!("kubernetes-sigs/cri-tools/releases/download/v{crictl}/crictl-v{crictl}-linux-{arch}.tar.gz");
        add("crictl", crictl, archive, Contents::Programs(&["crictl"]));
        let archive = format!("etcd-io/etcd/releases/download/v{etcd}/etcd-v{etcd}-linux-{arch}.tar.gz");
        add("etcd", etcd, archive, Contents::Programs(&["etcdctl", "etcdutl"]));
        let archive = format!("containernetworking/plugins/releases/download/v{cni}/cni-plugins-linux-{arch}-v{cni}.tgz");
        add("cni", cni, archive, Contents::CniPlugins(CNI_PLUGINS));
        releases
    }
}

/// name, version, sum for amd64, sum for arm64. From kubespray's list, which its maintainers take from each project's own release page:
/// <https://github.com/kubernetes-sigs/kubespray/blob/master/roles/kubespray_defaults/vars/main/checksums.yml>, of [`AS_OF`].
const SUMS: &[(&str, &str, &str, &str)] = &[
    (
        "kubelet",
        "1.36.3",
        "46707a53209f826ad0f0d62371ac69cd00e78fd9a8176cf5f6f87f18f7f8b718",
        "57205a5daf5883873d87b4914e1e00bdd7707acd075714788cfb0fc1f60bc414",
    ),
    (
        "kubelet",
        "1.36.1",
        "7efa1780c73d9fb3a464002864e582eb2d15aa691e475eaae323093d08feae14",
        "bf274dd3affbf2543d20465dee1f763f668f78c6fbd56197794f81337a49d687",
    ),
    (
        "kubelet",
        "1.35.4",
        "983a6ba5a49823dcdd745c674e5e2416377dd27d6ad1b42d2befa0fb961a19f6",
        "d710eef03bb4ad164bb77af9be5b11b44f874e2fc08153c7d383420d685f73e8",
    ),
    (
        "kubeadm",
        "1.36.3",
        "bba1733c701bf70ec74ba1cc3fd5745404c1134a8a4b0a5f8560cc9832023421",
        "276cfbdc43b10fef663288cc1ed76abf77b1b7f700e9f1c053cb5dc3115484de",
    ),
    (
        "kubeadm",
        "1.36.1",
        "f35980333a4dae753807345ae359eca03f48f9945855e6a6a6708fe8b3b24038",
        "82fa5119d6687f721cd80cb278bac08f54cc5d3fd0320c66cef9394d42e153a9",
    ),
    (
        "kubeadm",
        "1.35.4",
        "0c0497da793f8897c14e45340da919534b615294a1aab69dc1998896c0f11145",
        "e8f6b5bee3e2c8b5965f4ae65c2ae04e3f9f426d2458a1e2f159e824d419d92c",
    ),
    (
        "kubectl",
        "1.36.3",
        "ebbd080e7c2e275093b55915722043257eb24004363e20acb3c4d71919f88336",
        "3d86f24401c41ae5a46ac50eef8865fe891d3647d324a0836f6c63757a126e62",
    ),
    (
        "kubectl",
        "1.36.1",
        "629d3f410e09bf49b64ae7079f7f0bda1191efed311f7d37fdbab0ad5b0ec2b7",
        "59f7ee8e477fae658447607dc3c8790ac17a1b016c01c622c12070e969e2d4e7",
    ),
    (
        "kubectl",
        "1.35.4",
        "b529430df69a688fd61b64ad2299edb5fd71cb58be2a4779dba624c7d3510efd",
        "6a5a4cc4e396d7626a7a693a3044b51c75520f81db30fe6816c2554e53be336f",
    ),
    (
        "containerd",
        "2.3.4",
        "9d68969855fbf676cdb8ed758e420fb048d61f984f61de3e53eddfebe484d168",
        "a985fbb7e18fc0362d31a055338f5d7b0e087a3e27f14c70d1c5965399a29f95",
    ),
    (
        "runc",
        "1.4.3",
        "f6ae8efc0fa40079e1475e97cbe9d1bd3f106a28d6af78a11d9f1bd565515e60",
        "633301e2e32f8a5ad54031aab4901eb00308bec677dd15faa2751e8f9dab5ca4",
    ),
    (
        "crictl",
        "1.36.0",
        "83855e114566a8a8c44c548d515670f51de3a5e1da8b2effb59870e2f10c25a3",
        "68328594ccf780a80ae2b092d9f6ce484eec7cf540c275242e8fd954bfd95332",
    ),
    (
        "etcd",
        "3.6.8",
        "cf9cfe91a4856cb90eed9c99e6aee4b708db2c7888b88a6f116281f04b0ea693",
        "438f56a700d17ce761510a3e63e6fa5c1d587b2dd4d7a22c179c09a649366760",
    ),
    (
        "etcd",
        "3.6.6",
        "887afaa4a99f22d802ccdfbe65730a5e79aa5c9ce2c8799c67e9d804c50ecedb",
        "8a15f5427c111ff4692753682374970fb68878401d946c2c28bdad6857db652f",
    ),
    (
        "cni",
        "1.9.1",
        "b98f74a0f8522f0a83867178729c1aa70f2158f90c45a2ca8fa791db1c76b303",
        "56171987d3947707c3563db2f4001bccaf50fd63468611b9f3cbecb1375ee7ec",
    ),
];

fn sum(name: &str, version: &str, arch: Arch) -> Option<&'static str> {
    let (_, _, amd64, arm64) = SUMS.iter().find(|(of, at, ..)| *of == name && *at == version)?;
    match arch {
        Arch::Amd64 => Some(amd64),
        Arch::Arm64 => Some(arm64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_release_has_a_published_checksum() {
        for pins in ALL {
            for arch in Arch::ALL {
                for release in pins.releases(arch) {
                    let sum = release.sha256.unwrap_or_else(|| panic!("{} is unpinned", release.address));
                    assert!(sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()), "{sum}");
                    assert!(release.address.contains(release.version) && release.address.contains(arch.name()), "{}", release.address);
                }
            }
        }
    }

    #[test]
    fn the_inventory_accepts_the_versions_of_the_pins() {
        assert_eq!(ALL.map(|pins| pins.kubernetes).as_slice(), hostler_core::inventory::VERSIONS);
    }
}
