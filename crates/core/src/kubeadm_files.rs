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

/// The certificate of the cluster's authority, below the folder of kubeadm's PKI, which every machine has.
const CA: &str = "ca.crt";

/// kubelet's certificates, each with its key, below kubelet's folder for them.
const OF_KUBELET: [&str; 2] = ["kubelet-client-current.pem", "kubelet-server-current.pem"];

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

/// What kubeadm and kubelet write on every machine. kubelet's own certificates are last: the one for the API server may be in its kubeconfig, and
/// the other comes later.
pub fn of_node() -> Vec<String> {
    let files = [path::KUBELET_KUBECONFIG, path::KUBELET_CONFIG, path::KUBELET_FLAGS].map(str::to_owned);
    let certificates = OF_KUBELET.map(|name| format!("{}/{name}", path::KUBELET_PKI));
    files.into_iter().chain([in_pki(CA)]).chain(certificates).collect()
}

/// What they write on a control plane in addition.
pub fn of_control_plane() -> Vec<String> {
    let pki = archive::PKI.into_iter().chain(MADE).filter(|name| *name != CA).map(in_pki);
    KUBECONFIGS.map(str::to_owned).into_iter().chain(StaticPod::ALL.map(StaticPod::manifest)).chain(pki).collect()
}

/// Whether kubeadm or kubelet writes the file on such a machine.
pub fn is_written(file: &str, control_plane: bool) -> bool {
    let more = if control_plane { of_control_plane() } else { Vec::new() };
    of_node().into_iter().chain(more).any(|written| written == file)
}

/// Whether kubeadm can write the file of a control plane again: all of its own but what the whole cluster trusts.
pub fn is_made(file: &str) -> bool {
    is_written(file, true) && !archive::PKI.into_iter().any(|name| file == in_pki(name))
}
