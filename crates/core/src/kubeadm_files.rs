//! The files that kubeadm and kubelet write on a machine that joins. It is a closed list: whatever else is in their folders is its owner's, and
//! neither damaged, nor missing, nor to be renewed.

use crate::protocol::{archive, path};
use crate::static_pod::StaticPod;

/// Certificates and keys, below the folder of kubeadm's PKI, that kubeadm makes from the cluster's own.
const MADE: [&str; 14] = [
    "apiserver.crt",
    "apiserver.key",
    "apiserver-kubelet-client.crt",
    "apiserver-kubelet-client.key",
    "front-proxy-client.crt",
    "front-proxy-client.key",
    "apiserver-etcd-client.crt",
    "apiserver-etcd-client.key",
    "etcd/server.crt",
    "etcd/server.key",
    "etcd/peer.crt",
    "etcd/peer.key",
    "etcd/healthcheck-client.crt",
    "etcd/healthcheck-client.key",
];

/// The kubeconfigs of a control plane's own programs, with certificates that kubeadm renews. Not super-admin.conf, which stays on no machine.
pub const KUBECONFIGS: [&str; 3] = [path::ADMIN, path::CONTROLLER_MANAGER, path::SCHEDULER];

/// kubelet's certificates, each with its key, below kubelet's folder for them.
const OF_KUBELET: [&str; 2] = ["kubelet-client-current.pem", "kubelet-server-current.pem"];

/// All certificates and keys of a control plane, below the folder of kubeadm's PKI.
pub fn pki() -> Vec<&'static str> {
    archive::PKI.into_iter().chain(MADE).collect()
}

fn in_pki(name: &str) -> String {
    format!("{}/{name}", path::PKI)
}

/// Files with a certificate that kubeadm renews: its own, without the authorities.
pub fn renewed() -> impl Iterator<Item = String> {
    renewed_pki().chain(KUBECONFIGS.map(str::to_owned))
}

/// Those of them in the folder of kubeadm's PKI.
pub fn renewed_pki() -> impl Iterator<Item = String> {
    MADE.into_iter().filter(|name| name.ends_with(".crt")).map(in_pki)
}

/// Whether kubeadm or kubelet writes the file on such a machine.
pub fn is_written(file: &str, control_plane: bool) -> bool {
    let kubelets = OF_KUBELET.iter().any(|name| file == format!("{}/{name}", path::KUBELET_PKI));
    kubelets
        || [path::KUBELET_KUBECONFIG, path::KUBELET_CONFIG, path::KUBELET_FLAGS].contains(&file)
        || file == in_pki("ca.crt")
        || control_plane
            && (KUBECONFIGS.contains(&file)
                || StaticPod::ALL.iter().any(|pod| file == pod.manifest())
                || pki().into_iter().any(|name| file == in_pki(name)))
}

/// Whether kubeadm can write the file of a control plane again: all of its own but what the whole cluster trusts.
pub fn is_made(file: &str) -> bool {
    is_written(file, true) && !archive::PKI.into_iter().any(|name| file == in_pki(name))
}
