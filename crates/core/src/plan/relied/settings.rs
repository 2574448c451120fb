//! The settings of kubeadm's documents that hostler relies on, one a line.

use super::{At, May, Relied};
use crate::protocol::path as paths;

pub const CLUSTER: &str = "ClusterConfiguration";
pub const INIT: &str = "InitConfiguration";
pub const JOIN: &str = "JoinConfiguration";
pub const KUBELET: &str = "KubeletConfiguration";
pub const PROXY: &str = "KubeProxyConfiguration";

pub const API: &[&str] = &["apiServer", "extraArgs"];
pub const MANAGER: &[&str] = &["controllerManager", "extraArgs"];
pub const SCHEDULER: &[&str] = &["scheduler", "extraArgs"];
pub const ETCD: &[&str] = &["etcd", "local", "extraArgs"];
pub const NODE: &[&str] = &["nodeRegistration", "kubeletExtraArgs"];

const DATA: &str = "etcd's data must be in the folder that kubeadm mounts into etcd's pod; otherwise, restarting the pod loses the data";
const MEMBERS: &str = "hostler identifies etcd members by name and peer URL, and reaches them on port 2379";
const FILES: &str = "hostler copies, repairs and restores the files that kubeadm names";
pub const SERVICES: &str = "all parts of the cluster must have the same Service subnet";
pub const PODS: &str = "all parts of the cluster must have the same pod subnet, with a /24 (IPv6: /64) for each machine";
const PORT: &str = "machines, kubeconfigs and checks use port 6443 at the machine's address";
const LOGIN: &str = "machines join with a bootstrap token, and kubelet's probes have no credentials";
pub const NAME: &str = "a node is always named after its machine";
pub const REGISTERS: &str = "a machine must register itself as a node";
pub const ADDRESS: &str = "a node always uses the address of its machine";
pub const TAINTS: &str = "hostler sets the taints of a node from its machine in the inventory";
pub const CONTAINERD: &str = "the value must match hostler's configuration of containerd";
pub const KUBELET_FILES: &str = "hostler reads, repairs and wipes the files that kubeadm names";
pub const SECURE: &str = "with another value, anyone who can reach port 10250 could run commands in pods";
const PHASES: &str = "hostler relies on all phases of kubeadm";
const ROLES: &str = "the modes Node and RBAC limit what kubelets and hostler's own roles may do";
const AGGREGATION: &str = "extension API servers identify kube-apiserver by the values that kubeadm sets";
const LEADER: &str = "several control planes must not act at the same time";
const LETS_IN: &str = "etcd would reject the certificates that kubeadm makes for API servers and members";
const LOGS: &str = "etcd's log file would grow without limit";
const PROBED: &str = "kubelet would keep restarting the program: its probes use kubeadm's port and path, without credentials";
const COLLECTED: &str = "without it, nothing deletes the pods of deleted objects";
pub const NOT_SENT: &str = "hostler sends no such file to machines, and kubelet would not start without it";
pub const KERNEL: &str = "kubelet must set the kernel settings that it needs: with another value, it would not start unless they are \
    already set";
pub const REACHED: &str = "API servers and hostler's checks reach kubelet at its machine's address";
pub const ROTATED: &str = "without it, a node's certificate would expire after a year";
pub const KUBELET_PORT: &str = "hostler checks that machines reach each other on port 10250";
pub const SERVING: &str = "API servers verify kubelets' certificates, which the cluster signs and hostler approves";
pub const DOMAIN: &str = "hostler verifies the cluster with names below `cluster.local`";
pub const DNS: &str = "pods send DNS queries to the address that CoreDNS has in the Service subnet";

pub const SERVICE_SUBNET: &str = "cluster.serviceSubnet";
pub const POD_SUBNET: &str = "cluster.podSubnet";
pub const MACHINE_TAINTS: &str = "machines.NAME.taints";

const fn path(
    document: &'static str,
    at: &'static [&'static str],
    default: &'static str,
    why: &'static str,
    instead: &'static str,
) -> Relied {
    let may = if default.is_empty() { May::Nothing } else { May::Be(default) };
    Relied { document, at: At::Path(at), may, why, instead }
}

pub const fn flag(
    document: &'static str,
    list: &'static [&'static str],
    name: &'static str,
    why: &'static str,
    instead: &'static str,
) -> Relied {
    Relied { document, at: At::Flag(list, name), may: May::Nothing, why, instead }
}

/// A flag that may be written with the value that the program takes anyway.
const fn same(list: &'static [&'static str], name: &'static str, value: &'static str, why: &'static str) -> Relied {
    Relied { document: CLUSTER, at: At::Flag(list, name), may: May::Be(value), why, instead: "" }
}

/// A flag whose value is a list, which may hold more.
const fn list(
    list: &'static [&'static str],
    name: &'static str,
    with: &'static [&'static str],
    without: &'static [&'static str],
    why: &'static str,
) -> Relied {
    Relied { document: CLUSTER, at: At::Flag(list, name), may: May::List { with, without }, why, instead: "" }
}

/// What kubelet asks the controller manager and the scheduler for.
const HEALTH: &[&str] = &["/healthz", "/readyz", "/livez"];

/// What an API server must serve, as `runtime-config` would turn it off.
const SERVED: &[&str] = &[
    "api/all=false",
    "api/ga=false",
    "v1=false",
    "apps/v1=false",
    "rbac.authorization.k8s.io/v1=false",
    "policy/v1=false",
    "coordination.k8s.io/v1=false",
    "certificates.k8s.io/v1=false",
    "discovery.k8s.io/v1=false",
    "scheduling.k8s.io/v1=false",
    "batch/v1=false",
    "authentication.k8s.io/v1=false",
    "authorization.k8s.io/v1=false",
    "apiregistration.k8s.io/v1=false",
    "networking.k8s.io/v1=false",
    "node.k8s.io/v1=false",
    "storage.k8s.io/v1=false",
];

/// Controllers without which machines do not join, pods do not run or Services have no addresses, as `controllers` would turn them off.
const CONTROLLERS: &[&str] = &[
    "-bootstrapsigner",
    "-tokencleaner",
    "-daemonset-controller",
    "-deployment-controller",
    "-replicaset-controller",
    "-endpointslice-controller",
    "-node-ipam-controller",
    "-node-lifecycle-controller",
    "-namespace-controller",
    "-garbage-collector-controller",
    "-pod-garbage-collector-controller",
    "-serviceaccount-controller",
    "-certificatesigningrequest-signing-controller",
    "-certificatesigningrequest-approving-controller",
    "-root-ca-certificate-publisher-controller",
    "-clusterrole-aggregation-controller",
    "-job-controller",
    "-disruption-controller",
    "-taint-eviction-controller",
    "-service-cidr-controller",
    "-persistentvolume-binder-controller",
    "-persistentvolume-protection-controller",
    "-persistentvolumeclaim-protection-controller",
    "-bootstrap-signer-controller",
    "-token-cleaner-controller",
    "-daemonset",
    "-deployment",
    "-replicaset",
    "-endpointslice",
    "-nodeipam",
    "-nodelifecycle",
    "-namespace",
    "-garbagecollector",
    "-podgc",
    "-serviceaccount",
    "-csrsigning",
    "-csrapproving",
    "-root-ca-cert-publisher",
    "-clusterrole-aggregation",
    "-job",
    "-disruption",
    "-persistentvolume-binder",
    "-pv-protection",
    "-pvc-protection",
];

pub const RELIED: &[Relied] = &[
    path(CLUSTER, &["clusterName"], "", "hostler takes it from `cluster.name`", "cluster.name"),
    path(CLUSTER, &["kubernetesVersion"], "", "hostler takes it from `cluster.version`", "cluster.version"),
    path(CLUSTER, &["controlPlaneEndpoint"], "", "hostler takes it from `cluster.endpoint`", "cluster.endpoint"),
    path(CLUSTER, &["networking", "podSubnet"], "", PODS, POD_SUBNET),
    path(CLUSTER, &["networking", "serviceSubnet"], "", SERVICES, SERVICE_SUBNET),
    path(CLUSTER, &["networking", "dnsDomain"], "cluster.local", DOMAIN, ""),
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
    flag(CLUSTER, ETCD, "unsafe-no-fsync", "with it, a power failure would destroy etcd's data", ""),
    Relied { document: CLUSTER, at: At::Flag(ETCD, "log-outputs"), may: May::Be("stderr"), why: LOGS, instead: "" },
    flag(CLUSTER, ETCD, "client-cert-allowed-hostname", LETS_IN, ""),
    flag(CLUSTER, ETCD, "peer-cert-allowed-cn", LETS_IN, ""),
    flag(CLUSTER, ETCD, "peer-cert-allowed-hostname", LETS_IN, ""),
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
    flag(CLUSTER, API, "etcd-servers-overrides", "objects in another etcd would not be in snapshots", ""),
    flag(CLUSTER, API, "etcd-prefix", "the data in snapshots is under the default prefix", ""),
    flag(CLUSTER, API, "etcd-cafile", FILES, ""),
    flag(CLUSTER, API, "etcd-certfile", FILES, ""),
    flag(CLUSTER, API, "etcd-keyfile", FILES, ""),
    flag(CLUSTER, API, "client-ca-file", FILES, ""),
    flag(CLUSTER, API, "tls-cert-file", FILES, ""),
    flag(CLUSTER, API, "tls-private-key-file", FILES, ""),
    flag(CLUSTER, API, "kubelet-client-certificate", FILES, ""),
    flag(CLUSTER, API, "kubelet-client-key", FILES, ""),
    flag(CLUSTER, API, "kubelet-certificate-authority", SERVING, ""),
    flag(CLUSTER, API, "service-account-key-file", FILES, ""),
    flag(CLUSTER, API, "service-account-signing-key-file", FILES, ""),
    flag(CLUSTER, API, "enable-bootstrap-token-auth", LOGIN, ""),
    flag(CLUSTER, API, "anonymous-auth", LOGIN, ""),
    flag(
        CLUSTER,
        API,
        "authentication-config",
        "hostler can't check whether such a file accepts requests from joining machines and kubelet's probes",
        "the flags `oidc-...`",
    ),
    list(API, "authorization-mode", &["Node", "RBAC"], &["AlwaysAllow", "AlwaysDeny"], ROLES),
    flag(CLUSTER, API, "authorization-config", "hostler can't check whether such a file sets the modes Node and RBAC", ""),
    list(
        API,
        "enable-admission-plugins",
        &["NodeRestriction"],
        &["AlwaysAdmit", "AlwaysDeny", "AlwaysPullImages", "ImagePolicyWebhook"],
        "NodeRestriction keeps one machine from acting as another node; and no plugin may reject all pods, or images that are in no registry",
    ),
    list(API, "disable-admission-plugins", &[], &["NodeRestriction", "ServiceAccount", "Priority"], "hostler relies on this plugin"),
    list(API, "runtime-config", &[], SERVED, "hostler and kubeadm use this API"),
    same(API, "enable-garbage-collector", "true", COLLECTED),
    same(
        API,
        "endpoint-reconciler-type",
        "lease",
        "pods reach API servers through the Service `kubernetes`, whose endpoints the lease reconciler maintains",
    ),
    same(API, "allow-privileged", "true", "the pod network and kube-proxy run as privileged pods"),
    flag(CLUSTER, API, "proxy-client-cert-file", FILES, ""),
    flag(CLUSTER, API, "proxy-client-key-file", FILES, ""),
    flag(CLUSTER, API, "requestheader-client-ca-file", FILES, ""),
    flag(CLUSTER, API, "requestheader-allowed-names", AGGREGATION, ""),
    flag(CLUSTER, API, "requestheader-username-headers", AGGREGATION, ""),
    flag(CLUSTER, API, "requestheader-group-headers", AGGREGATION, ""),
    flag(CLUSTER, API, "requestheader-extra-headers-prefix", AGGREGATION, ""),
    flag(CLUSTER, MANAGER, "cluster-cidr", PODS, POD_SUBNET),
    flag(CLUSTER, MANAGER, "service-cluster-ip-range", SERVICES, SERVICE_SUBNET),
    flag(CLUSTER, MANAGER, "allocate-node-cidrs", PODS, ""),
    flag(CLUSTER, MANAGER, "node-cidr-mask-size", PODS, ""),
    flag(CLUSTER, MANAGER, "node-cidr-mask-size-ipv4", PODS, ""),
    flag(CLUSTER, MANAGER, "node-cidr-mask-size-ipv6", PODS, ""),
    flag(CLUSTER, MANAGER, "cluster-signing-cert-file", FILES, ""),
    flag(CLUSTER, MANAGER, "cluster-signing-key-file", FILES, ""),
    flag(CLUSTER, MANAGER, "cluster-signing-kubelet-serving-cert-file", SERVING, ""),
    flag(CLUSTER, MANAGER, "cluster-signing-kubelet-serving-key-file", SERVING, ""),
    flag(CLUSTER, MANAGER, "root-ca-file", FILES, ""),
    flag(CLUSTER, MANAGER, "service-account-private-key-file", FILES, ""),
    flag(CLUSTER, MANAGER, "client-ca-file", FILES, ""),
    flag(CLUSTER, MANAGER, "requestheader-client-ca-file", FILES, ""),
    flag(CLUSTER, MANAGER, "kubeconfig", FILES, ""),
    flag(CLUSTER, MANAGER, "authentication-kubeconfig", FILES, ""),
    flag(CLUSTER, MANAGER, "authorization-kubeconfig", FILES, ""),
    flag(CLUSTER, MANAGER, "master", FILES, ""),
    flag(CLUSTER, MANAGER, "secure-port", PROBED, ""),
    list(MANAGER, "authorization-always-allow-paths", HEALTH, &[], PROBED),
    same(MANAGER, "cidr-allocator-type", "RangeAllocator", PODS),
    same(MANAGER, "enable-garbage-collector", "true", COLLECTED),
    list(MANAGER, "controllers", &["*", "bootstrapsigner", "tokencleaner"], CONTROLLERS, "hostler relies on this controller"),
    same(MANAGER, "use-service-account-credentials", "true", "each controller uses its own role"),
    same(MANAGER, "leader-elect", "true", LEADER),
    flag(CLUSTER, SCHEDULER, "kubeconfig", FILES, ""),
    flag(CLUSTER, SCHEDULER, "master", FILES, ""),
    flag(CLUSTER, SCHEDULER, "secure-port", PROBED, ""),
    list(SCHEDULER, "authorization-always-allow-paths", HEALTH, &[], PROBED),
    flag(CLUSTER, SCHEDULER, "write-config-to", "the scheduler would exit by itself", ""),
    flag(CLUSTER, SCHEDULER, "authentication-kubeconfig", FILES, ""),
    flag(CLUSTER, SCHEDULER, "authorization-kubeconfig", FILES, ""),
    same(SCHEDULER, "leader-elect", "true", LEADER),
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
    path(KUBELET, &["clusterDomain"], "cluster.local", DOMAIN, ""),
    path(KUBELET, &["tlsCertFile"], "", NOT_SENT, ""),
    path(KUBELET, &["tlsPrivateKeyFile"], "", NOT_SENT, ""),
    path(KUBELET, &["serverTLSBootstrap"], "true", SERVING, ""),
    path(KUBELET, &["featureGates", "RotateKubeletServerCertificate"], "true", SERVING, ""),
    path(KUBELET, &["imageServiceEndpoint"], "", CONTAINERD, ""),
    path(KUBELET, &["enableServer"], "true", KUBELET_PORT, ""),
    path(KUBELET, &["enableDebuggingHandlers"], "true", "logs of pods are read through kubelet", ""),
    path(KUBELET, &["staticPodPath"], paths::MANIFESTS, KUBELET_FILES, ""),
    path(KUBELET, &["podLogsDir"], "/var/log/pods", KUBELET_FILES, ""),
    path(KUBELET, &["healthzPort"], "10248", "kubeadm waits until kubelet answers at 127.0.0.1:10248", ""),
    path(KUBELET, &["healthzBindAddress"], "127.0.0.1", "kubeadm waits until kubelet answers at 127.0.0.1:10248", ""),
    path(KUBELET, &["port"], "10250", KUBELET_PORT, ""),
    path(KUBELET, &["address"], "0.0.0.0", REACHED, ""),
    path(KUBELET, &["readOnlyPort"], "0", SECURE, ""),
    path(KUBELET, &["authentication", "anonymous", "enabled"], "false", SECURE, ""),
    path(KUBELET, &["authentication", "webhook", "enabled"], "true", SECURE, ""),
    path(KUBELET, &["authentication", "x509", "clientCAFile"], "", KUBELET_FILES, ""),
    path(KUBELET, &["authorization", "mode"], "Webhook", SECURE, ""),
    path(KUBELET, &["rotateCertificates"], "true", ROTATED, ""),
    path(KUBELET, &["protectKernelDefaults"], "false", KERNEL, ""),
    path(KUBELET, &["registerNode"], "true", REGISTERS, ""),
    path(KUBELET, &["registerWithTaints"], "", TAINTS, MACHINE_TAINTS),
    path(KUBELET, &["podCIDR"], "", PODS, POD_SUBNET),
    path(PROXY, &["clusterCIDR"], "", PODS, POD_SUBNET),
    path(PROXY, &["hostnameOverride"], "", NAME, ""),
    path(PROXY, &["clientConnection", "kubeconfig"], "/var/lib/kube-proxy/kubeconfig.conf", KUBELET_FILES, ""),
];
