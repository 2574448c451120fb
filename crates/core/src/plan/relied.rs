//! What hostler relies on in the documents of other programs, checked in the documents as they are once the inventory's fragments are merged
//! into them: a list of forbidden spellings would always lack one.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_yaml::Value;

use super::documents;
use crate::inventory::{Inventory, KubeadmFragments, Role};
use crate::protocol::path as paths;

/// A setting that must stay as hostler renders it.
struct Relied {
    document: &'static str,
    at: At,
    /// What the program takes where nothing is written, as YAML: the same thing, said aloud. Empty: nothing may be written.
    default: &'static str,
    why: &'static str,
    /// The key of the inventory for the same purpose, or another way; empty if there is none.
    instead: &'static str,
}

/// Where a setting stands.
enum At {
    /// Keys from the document's top.
    Path(&'static [&'static str]),
    /// A flag of a program, in the list of arguments below these keys.
    Flag(&'static [&'static str], &'static str),
}

const CLUSTER: &str = "ClusterConfiguration";
const INIT: &str = "InitConfiguration";
const JOIN: &str = "JoinConfiguration";
const KUBELET: &str = "KubeletConfiguration";
const PROXY: &str = "KubeProxyConfiguration";

const API: &[&str] = &["apiServer", "extraArgs"];
const MANAGER: &[&str] = &["controllerManager", "extraArgs"];
const ETCD: &[&str] = &["etcd", "local", "extraArgs"];
const NODE: &[&str] = &["nodeRegistration", "kubeletExtraArgs"];

const DATA: &str = "etcd's data must be in the folder that kubeadm mounts, or a restart of etcd's pod would lose the data";
const MEMBERS: &str = "hostler identifies etcd members by name and peer URL, and reaches them on port 2379";
const FILES: &str = "hostler copies, repairs and restores the files that kubeadm names";
const SERVICES: &str = "all parts of the cluster must have the same Service subnet";
const PODS: &str = "all parts of the cluster must have the same pod subnet, with a /24 (IPv6: /64) for each machine";
const PORT: &str = "machines, kubeconfigs and checks use port 6443 of the machine's address";
const LOGIN: &str = "machines join with a bootstrap token, and kubelet's probes have no credentials";
const NAME: &str = "a node is always named after its machine";
const REGISTERS: &str = "a machine must register itself as a node";
const ADDRESS: &str = "a node always uses the address of its machine";
const TAINTS: &str = "hostler sets the taints of a node from its machine in the inventory";
const CONTAINERD: &str = "the value must match hostler's configuration of containerd";
const KUBELET_FILES: &str = "hostler reads, repairs and wipes the files that kubeadm names";
const SECURE: &str = "with another value, anyone who can reach port 10250 could run commands in pods";
const PHASES: &str = "hostler relies on all phases of kubeadm";
const DNS: &str = "pods send DNS queries to the address that CoreDNS has in the Service subnet";

const SERVICE_SUBNET: &str = "cluster.serviceSubnet";
const POD_SUBNET: &str = "cluster.podSubnet";
const MACHINE_TAINTS: &str = "machines.NAME.taints";

const fn path(
    document: &'static str,
    at: &'static [&'static str],
    default: &'static str,
    why: &'static str,
    instead: &'static str,
) -> Relied {
    Relied { document, at: At::Path(at), default, why, instead }
}

const fn flag(
    document: &'static str,
    list: &'static [&'static str],
    name: &'static str,
    why: &'static str,
    instead: &'static str,
) -> Relied {
    Relied { document, at: At::Flag(list, name), default: "", why, instead }
}

const RELIED: &[Relied] = &[
    path(CLUSTER, &["clusterName"], "", "hostler takes it from the inventory's own key", "cluster.name"),
    path(CLUSTER, &["kubernetesVersion"], "", "hostler takes it from the inventory's own key", "cluster.version"),
    path(CLUSTER, &["controlPlaneEndpoint"], "", "hostler takes it from the inventory's own key", "cluster.endpoint"),
    path(CLUSTER, &["networking", "podSubnet"], "", PODS, POD_SUBNET),
    path(CLUSTER, &["networking", "serviceSubnet"], "", SERVICES, SERVICE_SUBNET),
    path(CLUSTER, &["etcd", "external"], "", "hostler manages the etcd on the control planes", ""),
    path(CLUSTER, &["etcd", "local", "dataDir"], paths::ETCD, DATA, ""),
    path(CLUSTER, &["certificatesDir"], paths::PKI, FILES, ""),
    flag(CLUSTER, ETCD, "data-dir", DATA, ""),
    flag(CLUSTER, ETCD, "wal-dir", DATA, ""),
    flag(CLUSTER, ETCD, "name", MEMBERS, ""),
    flag(CLUSTER, ETCD, "listen-client-urls", MEMBERS, ""),
    flag(CLUSTER, ETCD, "listen-peer-urls", MEMBERS, ""),
    flag(CLUSTER, ETCD, "advertise-client-urls", MEMBERS, ""),
    flag(CLUSTER, ETCD, "initial-advertise-peer-urls", MEMBERS, ""),
    flag(CLUSTER, ETCD, "initial-cluster", MEMBERS, ""),
    flag(CLUSTER, ETCD, "initial-cluster-state", MEMBERS, ""),
    flag(CLUSTER, ETCD, "config-file", MEMBERS, ""),
    flag(CLUSTER, ETCD, "force-new-cluster", MEMBERS, ""),
    flag(CLUSTER, ETCD, "client-cert-auth", "without it, anyone who can reach port 2379 could read all Secrets", ""),
    flag(CLUSTER, ETCD, "cert-file", FILES, ""),
    flag(CLUSTER, ETCD, "key-file", FILES, ""),
    flag(CLUSTER, ETCD, "trusted-ca-file", FILES, ""),
    flag(CLUSTER, ETCD, "peer-client-cert-auth", "without it, anyone who can reach port 2380 could join etcd", ""),
    flag(CLUSTER, ETCD, "peer-cert-file", FILES, ""),
    flag(CLUSTER, ETCD, "peer-key-file", FILES, ""),
    flag(CLUSTER, ETCD, "peer-trusted-ca-file", FILES, ""),
    flag(CLUSTER, API, "service-cluster-ip-range", SERVICES, SERVICE_SUBNET),
    flag(CLUSTER, API, "secure-port", PORT, ""),
    flag(CLUSTER, API, "bind-address", PORT, ""),
    flag(CLUSTER, API, "advertise-address", PORT, ""),
    flag(CLUSTER, API, "etcd-servers", "each API server uses the etcd member on its own machine", ""),
    flag(CLUSTER, API, "etcd-prefix", "a restored snapshot has its data under the default prefix", ""),
    flag(CLUSTER, API, "etcd-cafile", FILES, ""),
    flag(CLUSTER, API, "etcd-certfile", FILES, ""),
    flag(CLUSTER, API, "etcd-keyfile", FILES, ""),
    flag(CLUSTER, API, "client-ca-file", FILES, ""),
    flag(CLUSTER, API, "tls-cert-file", FILES, ""),
    flag(CLUSTER, API, "tls-private-key-file", FILES, ""),
    flag(CLUSTER, API, "kubelet-client-certificate", FILES, ""),
    flag(CLUSTER, API, "kubelet-client-key", FILES, ""),
    flag(CLUSTER, API, "service-account-key-file", FILES, ""),
    flag(CLUSTER, API, "service-account-signing-key-file", FILES, ""),
    flag(CLUSTER, API, "enable-bootstrap-token-auth", LOGIN, ""),
    flag(CLUSTER, API, "anonymous-auth", LOGIN, ""),
    flag(CLUSTER, MANAGER, "cluster-cidr", PODS, POD_SUBNET),
    flag(CLUSTER, MANAGER, "service-cluster-ip-range", SERVICES, SERVICE_SUBNET),
    flag(CLUSTER, MANAGER, "allocate-node-cidrs", PODS, ""),
    flag(CLUSTER, MANAGER, "node-cidr-mask-size", PODS, ""),
    flag(CLUSTER, MANAGER, "node-cidr-mask-size-ipv4", PODS, ""),
    flag(CLUSTER, MANAGER, "node-cidr-mask-size-ipv6", PODS, ""),
    flag(CLUSTER, MANAGER, "cluster-signing-cert-file", FILES, ""),
    flag(CLUSTER, MANAGER, "cluster-signing-key-file", FILES, ""),
    flag(CLUSTER, MANAGER, "root-ca-file", FILES, ""),
    flag(CLUSTER, MANAGER, "service-account-private-key-file", FILES, ""),
    path(INIT, &["localAPIEndpoint"], "", PORT, ""),
    path(INIT, &["patches"], "", "hostler uses this folder for its own patch of CoreDNS", ""),
    path(INIT, &["skipPhases"], "[]", PHASES, "ignorePreflightErrors"),
    path(INIT, &["dryRun"], "false", PHASES, ""),
    path(JOIN, &["skipPhases"], "[]", PHASES, "ignorePreflightErrors"),
    path(JOIN, &["patches"], "", "the machines have no folder with patches for kubeadm", ""),
    path(JOIN, &["dryRun"], "false", PHASES, ""),
    path(JOIN, &["caCertPath"], "", KUBELET_FILES, ""),
    path(KUBELET, &["cgroupDriver"], "systemd", CONTAINERD, ""),
    path(KUBELET, &["containerRuntimeEndpoint"], "", CONTAINERD, ""),
    path(KUBELET, &["clusterDNS"], "", DNS, SERVICE_SUBNET),
    path(KUBELET, &["staticPodPath"], paths::MANIFESTS, KUBELET_FILES, ""),
    path(KUBELET, &["healthzPort"], "10248", "kubeadm waits until kubelet answers at 127.0.0.1:10248", ""),
    path(KUBELET, &["healthzBindAddress"], "127.0.0.1", "kubeadm waits until kubelet answers at 127.0.0.1:10248", ""),
    path(KUBELET, &["port"], "10250", "hostler checks that machines reach each other on port 10250", ""),
    path(KUBELET, &["readOnlyPort"], "0", SECURE, ""),
    path(KUBELET, &["authentication", "anonymous", "enabled"], "false", SECURE, ""),
    path(KUBELET, &["authentication", "webhook", "enabled"], "true", SECURE, ""),
    path(KUBELET, &["authentication", "x509", "clientCAFile"], "", KUBELET_FILES, ""),
    path(KUBELET, &["authorization", "mode"], "Webhook", SECURE, ""),
    path(KUBELET, &["rotateCertificates"], "true", "without it, a node's certificate would expire after a year", ""),
    path(KUBELET, &["registerNode"], "true", REGISTERS, ""),
    path(KUBELET, &["registerWithTaints"], "", TAINTS, MACHINE_TAINTS),
    path(KUBELET, &["podCIDR"], "", PODS, POD_SUBNET),
    path(PROXY, &["clusterCIDR"], "", PODS, POD_SUBNET),
    path(PROXY, &["hostnameOverride"], "", NAME, ""),
    path(PROXY, &["clientConnection", "kubeconfig"], "/var/lib/kube-proxy/kubeconfig.conf", KUBELET_FILES, ""),
];

/// Flags of kubelet, of either registration.
const NODE_FLAGS: &[(&str, &str, &str)] = &[
    ("node-ip", ADDRESS, "machines.NAME.address"),
    ("hostname-override", NAME, "the machine's name in `machines`"),
    ("register-with-taints", TAINTS, MACHINE_TAINTS),
    ("register-node", REGISTERS, ""),
    ("config", KUBELET_FILES, "kubeadm.KubeletConfiguration"),
    ("config-dir", KUBELET_FILES, "kubeadm.KubeletConfiguration"),
    ("kubeconfig", KUBELET_FILES, ""),
    ("bootstrap-kubeconfig", KUBELET_FILES, ""),
    ("cert-dir", KUBELET_FILES, ""),
    ("root-dir", KUBELET_FILES, ""),
    ("pod-manifest-path", KUBELET_FILES, ""),
    ("container-runtime-endpoint", CONTAINERD, ""),
    ("cgroup-driver", CONTAINERD, ""),
    ("cluster-dns", DNS, SERVICE_SUBNET),
    ("anonymous-auth", SECURE, ""),
    ("authorization-mode", SECURE, ""),
    ("read-only-port", SECURE, ""),
    ("client-ca-file", KUBELET_FILES, ""),
    ("rotate-certificates", "without it, a node's certificate would expire after a year", ""),
    ("healthz-port", "kubeadm waits until kubelet answers at 127.0.0.1:10248", ""),
    ("port", "hostler checks that machines reach each other on port 10250", ""),
];

/// A setting of the inventory that would break what hostler relies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deviation {
    /// Keys from the inventory's top to the setting, or to the list that it is in.
    pub place: Vec<String>,
    /// `data-dir`, `nodeRegistration.name`, `SystemdCgroup`.
    pub setting: String,
    pub why: &'static str,
    /// What to use instead; empty if there is nothing.
    pub instead: &'static str,
}

/// All settings in the inventory's fragments that differ, once merged, from what hostler relies on.
///
/// # Errors
/// A template that can't be filled in, which is a defect.
pub fn deviations(inventory: &Inventory) -> Result<Vec<Deviation>> {
    let plain = Inventory { kubeadm: KubeadmFragments::default(), containerd: Default::default(), ..inventory.clone() };
    let (own, merged) = (documents_of(&plain)?, documents_of(inventory)?);
    let mut found = Vec::new();
    for relied in RELIED {
        compare(relied, &own, &merged, &mut found);
    }
    for document in [INIT, JOIN] {
        for (name, why, instead) in NODE_FLAGS {
            compare(&flag(document, NODE, name, why, instead), &own, &merged, &mut found);
        }
    }
    containerd(inventory, &mut found);
    found.dedup();
    Ok(found)
}

/// The documents by their kinds: for the first control plane and, where there is one, a worker.
fn documents_of(inventory: &Inventory) -> Result<BTreeMap<&'static str, Vec<Value>>> {
    // Any version: none of the settings depends on it.
    let version = inventory.cluster.version.as_deref().unwrap_or("0.0.0");
    let mut texts = vec![
        (CLUSTER, documents::cluster(inventory, version)?),
        (KUBELET, documents::kubelet(inventory)?),
        (PROXY, documents::kube_proxy(inventory)?),
    ];
    let first = |role: Role| inventory.machines.iter().find(|(_, machine)| machine.role == role);
    if let Some((name, machine)) = first(Role::ControlPlane) {
        let all = documents::init(inventory, version, name, machine)?;
        texts.push((INIT, all.split("---\n").next().unwrap_or_default().to_owned()));
        texts.push((JOIN, documents::join(inventory, name, machine)?));
    }
    if let Some((name, machine)) = first(Role::Worker) {
        texts.push((JOIN, documents::join(inventory, name, machine)?));
    }
    let mut found: BTreeMap<&'static str, Vec<Value>> = BTreeMap::new();
    for (kind, text) in texts {
        found.entry(kind).or_default().push(serde_yaml::from_str(&text)?);
    }
    Ok(found)
}

fn compare(
    relied: &Relied,
    own: &BTreeMap<&'static str, Vec<Value>>,
    merged: &BTreeMap<&'static str, Vec<Value>>,
    found: &mut Vec<Deviation>,
) {
    let empty = Vec::new();
    let of = |documents: &BTreeMap<&'static str, Vec<Value>>| -> Vec<Vec<Value>> {
        documents.get(relied.document).unwrap_or(&empty).iter().map(|document| relied.at.values(document)).collect()
    };
    let default: Option<Value> = (!relied.default.is_empty()).then(|| serde_yaml::from_str(relied.default).ok()).flatten();
    let same = |(own, merged): (&Vec<Value>, &Vec<Value>)| {
        own == merged
            || matches!((merged.as_slice(), &default), ([one], Some(default)) if one == default)
            || merged.iter().all(are_addons) && !merged.is_empty()
    };
    if of(own).iter().zip(&of(merged)).all(same) {
        return;
    }
    let keys = match relied.at {
        At::Path(keys) | At::Flag(keys, _) => keys,
    };
    let place = ["kubeadm", relied.document].iter().chain(keys).map(|key| (*key).to_owned()).collect();
    let setting = match relied.at {
        At::Path(keys) => keys.join("."),
        At::Flag(_, name) => name.to_owned(),
    };
    found.push(Deviation { place, setting, why: relied.why, instead: relied.instead });
}

/// Whether the value is a list of phases that only add to a cluster that is up: someone may bring a DNS server of their own.
fn are_addons(value: &Value) -> bool {
    let phases = value.as_sequence().map(Vec::as_slice).unwrap_or_default();
    !phases.is_empty() && phases.iter().all(|phase| phase.as_str().is_some_and(|phase| phase.starts_with("addon/")))
}

impl At {
    /// The effective values in a document, in their order; none if it is not set.
    fn values(&self, document: &Value) -> Vec<Value> {
        let at = |keys: &[&str]| keys.iter().try_fold(document, |value, key| value.get(*key));
        match self {
            At::Path(keys) => at(keys).filter(|value| !value.is_null()).cloned().into_iter().collect(),
            At::Flag(keys, name) => {
                let list = at(keys).and_then(Value::as_sequence).map(Vec::as_slice).unwrap_or_default();
                list.iter().flat_map(flags).filter(|(flag, _)| flag == name).map(|(_, value)| Value::String(value)).collect()
            }
        }
    }
}

/// The flags that an argument becomes. Those of kubelet land in a file that is split at blanks, so one argument may hold several; and flags of
/// Kubernetes may be spelled with `_`.
fn flags(argument: &Value) -> Vec<(String, String)> {
    let text = |key: &str| argument.get(key).and_then(Value::as_str).unwrap_or_default();
    let whole = format!("{}={}", text("name"), text("value"));
    let flag = |word: &str| {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        (name.trim_matches(['-', '"', '\'']).replace('_', "-"), value.to_owned())
    };
    whole.split_whitespace().map(flag).collect()
}

/// Keys of containerd's configuration, for both names that its plugins have had.
const CRI: &[(&[&str], &str, &str)] = &[
    (
        &["io.containerd.cri.v1.runtime", "containerd", "runtimes", "runc", "options", "SystemdCgroup"],
        "true",
        "kubelet uses systemd's cgroups",
    ),
    (
        &["io.containerd.grpc.v1.cri", "containerd", "runtimes", "runc", "options", "SystemdCgroup"],
        "true",
        "kubelet uses systemd's cgroups",
    ),
    (&["io.containerd.cri.v1.runtime", "containerd", "runtimes", "runc", "options", "BinaryName"], "", RUNC),
    (&["io.containerd.grpc.v1.cri", "containerd", "runtimes", "runc", "options", "BinaryName"], "", RUNC),
    (&["io.containerd.cri.v1.runtime", "containerd", "runtimes", "runc", "runtime_type"], "\"io.containerd.runc.v2\"", RUNC),
    (&["io.containerd.grpc.v1.cri", "containerd", "runtimes", "runc", "runtime_type"], "\"io.containerd.runc.v2\"", RUNC),
    (&["io.containerd.cri.v1.images", "pinned_images", "sandbox"], "", SANDBOX),
    (&["io.containerd.grpc.v1.cri", "sandbox_image"], "", SANDBOX),
    (&["io.containerd.cri.v1.runtime", "cni", "bin_dirs"], "", CNI),
    (&["io.containerd.cri.v1.runtime", "cni", "bin_dir"], "", CNI),
    (&["io.containerd.cri.v1.runtime", "cni", "conf_dir"], "", CNI),
    (&["io.containerd.grpc.v1.cri", "cni", "bin_dir"], "", CNI),
    (&["io.containerd.grpc.v1.cri", "cni", "conf_dir"], "", CNI),
];

const RUNC: &str = "pods run with the bundle's runc";
const SANDBOX: &str = "the sandbox image must be the bundle's, because machines may not be able to pull another one";
const CNI: &str = "flannel's plugin and configuration are in the default folders";

/// containerd reads the pieces after hostler's own file, and what they say counts.
fn containerd(inventory: &Inventory, found: &mut Vec<Deviation>) {
    for (name, text) in &inventory.containerd {
        let Ok(piece) = text.parse::<toml::Table>() else { continue };
        let mut deviates = |setting: String, why| {
            found.push(Deviation { place: vec!["containerd".to_owned(), name.clone()], setting, why, instead: "" });
        };
        let disabled = piece.get("disabled_plugins").and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if disabled.iter().filter_map(toml::Value::as_str).any(|plugin| plugin.contains("cri") || plugin.contains("overlayfs")) {
            deviates("disabled_plugins".to_owned(), "kubelet starts pods through this plugin");
        }
        let plugins = piece.get("plugins");
        for (path, same, why) in CRI {
            let value = plugins.and_then(|plugins| path.iter().try_fold(plugins, |value, key| value.get(*key)));
            let Some(value) = value else { continue };
            let is = (!same.is_empty()).then(|| format!("x = {same}").parse::<toml::Table>().ok()).flatten();
            if is.and_then(|table| table.get("x").cloned()).as_ref() != Some(value) {
                deviates(path.last().map(|key| (*key).to_owned()).unwrap_or_default(), why);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::parse;

    const MACHINES: &str = "machines:\n  a: {address: 10.1.0.1, role: control-plane}\n  b: 10.1.0.2\n";

    fn inventory(more: &str) -> Inventory {
        parse(&format!("{MACHINES}{more}"), "inventory.yaml").unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// With this in the documents, past the reader, which knows some of it by name.
    fn with(document: &str, keys: &[&str], value: &str) -> Inventory {
        let mut inventory = inventory("");
        let mut value: Value = serde_yaml::from_str(value).expect("YAML");
        for key in keys.iter().rev() {
            value = Value::Mapping([(Value::from(*key), value)].into_iter().collect());
        }
        let Value::Mapping(fragment) = value else { panic!("no mapping") };
        let fragments = &mut inventory.kubeadm;
        *match document {
            CLUSTER => &mut fragments.cluster,
            INIT => &mut fragments.init,
            JOIN => &mut fragments.join,
            KUBELET => &mut fragments.kubelet,
            _ => &mut fragments.kube_proxy,
        } = fragment;
        inventory
    }

    fn settings(inventory: &Inventory) -> Vec<String> {
        deviations(inventory).expect("templates fit").into_iter().map(|found| found.setting).collect()
    }

    #[test]
    fn without_fragments_nothing_deviates() {
        assert_eq!(settings(&inventory("")), Vec::<String>::new());
    }

    /// Whatever is relied on, another value is found, however it comes into the document; what the program takes anyway is not.
    #[test]
    fn every_setting_is_found_with_another_value() {
        for relied in RELIED {
            match relied.at {
                At::Path(keys) => {
                    let found = settings(&with(relied.document, keys, "other"));
                    assert_eq!(found, [keys.join(".")], "{}", relied.document);
                    if !relied.default.is_empty() {
                        assert!(settings(&with(relied.document, keys, relied.default)).is_empty(), "{keys:?}");
                    }
                }
                At::Flag(keys, name) => {
                    for spelled in [name.to_owned(), name.replace('-', "_")] {
                        let found = settings(&with(relied.document, keys, &format!("[{{name: {spelled}, value: other}}]")));
                        assert_eq!(found, [name], "{spelled}");
                    }
                }
            }
        }
        for document in [INIT, JOIN] {
            for (name, _, _) in NODE_FLAGS {
                let hidden = format!("[{{name: v, value: \"2 --{name}=other\"}}]");
                for arguments in [format!("[{{name: {name}, value: other}}]"), hidden] {
                    assert_eq!(settings(&with(document, NODE, &arguments)), [*name], "{document} {arguments}");
                }
            }
        }
    }

    #[test]
    fn what_hostler_does_not_rely_on_is_the_users() {
        let free = "kubeadm:\n  ClusterConfiguration:\n    apiServer:\n      certSANs: [api.example.org]\n      extraArgs: [{name: v, value: \"4\"}]\n    etcd: {local: {extraArgs: [{name: quota-backend-bytes, value: \"8589934592\"}]}}\n  InitConfiguration: {skipPhases: [addon/coredns], nodeRegistration: {kubeletExtraArgs: [{name: v, value: \"2\"}]}}\n  JoinConfiguration: {nodeRegistration: {kubeletExtraArgs: [{name: v, value: \"2\"}]}}\n  KubeletConfiguration: {maxPods: 200, cgroupDriver: systemd, failSwapOn: false}\n  KubeProxyConfiguration: {mode: iptables}\n";
        assert_eq!(settings(&inventory(free)), Vec::<String>::new());
    }

    #[test]
    fn pieces_of_containerd_are_compared_by_what_they_set() {
        let piece = |text: &str| {
            let mut inventory = inventory("");
            inventory.containerd.insert("piece".to_owned(), text.to_owned());
            settings(&inventory)
        };
        let runc = "containerd.runtimes.runc.options";
        for plugin in ["io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"] {
            assert_eq!(piece(&format!("[plugins.'{plugin}'.{runc}]\nSystemdCgroup = false\n")), ["SystemdCgroup"]);
            assert_eq!(piece(&format!("[plugins.'{plugin}'.{runc}]\nSystemdCgroup = true\n")), Vec::<String>::new());
            assert_eq!(piece(&format!("plugins.'{plugin}'.{runc} = {{BinaryName = '/usr/bin/crun'}}\n")), ["BinaryName"]);
        }
        assert_eq!(piece("[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = 'k8s.gcr.io/pause:3'\n"), ["sandbox"]);
        assert_eq!(piece("[plugins.'io.containerd.grpc.v1.cri']\nsandbox_image = 'k8s.gcr.io/pause:3'\n"), ["sandbox_image"]);
        assert_eq!(piece("disabled_plugins = ['cri']\n"), ["disabled_plugins"]);
        assert_eq!(piece("version = 3\n[plugins.'io.containerd.cri.v1.runtime']\nrestrict_oom_score_adj = true\n"), Vec::<String>::new());
    }
}
