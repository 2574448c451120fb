//! Flags of kubelet, of either registration, that hostler relies on or that belong into kubelet's configuration.

use super::settings::*;

const NAME_KEY: &str = "the machine's name in `machines`";
const CONFIGURATION: &str = "kubeadm.KubeletConfiguration";
const HEALTH: &str = "kubeadm waits until kubelet answers at 127.0.0.1:10248";
const ENDS: &str = "kubelet would exit by itself";
const UNCHECKED: &str = "it would override kubelet's configuration without being checked";

/// A flag, why it may not be set, and what to use instead.
type Flag = (&'static str, &'static str, &'static str);

/// A flag that kubelet deprecates in favour of this key of its configuration.
macro_rules! configured {
    ($($flag:literal => $key:literal,)*) => {
        &[$(($flag, UNCHECKED, concat!("kubeadm.KubeletConfiguration.", $key)),)*]
    };
}

/// Flags with a reason of their own.
const RELIED: &[Flag] = &[
    ("node-ip", ADDRESS, "machines.NAME.address"),
    ("hostname-override", NAME, NAME_KEY),
    ("register-with-taints", TAINTS, MACHINE_TAINTS),
    ("register-node", REGISTERS, ""),
    ("config", KUBELET_FILES, CONFIGURATION),
    ("config-dir", KUBELET_FILES, CONFIGURATION),
    ("kubeconfig", KUBELET_FILES, ""),
    ("bootstrap-kubeconfig", KUBELET_FILES, ""),
    ("cert-dir", KUBELET_FILES, ""),
    ("root-dir", KUBELET_FILES, ""),
    ("pod-manifest-path", KUBELET_FILES, ""),
    ("container-runtime-endpoint", CONTAINERD, ""),
    ("cgroup-driver", CONTAINERD, ""),
    ("cluster-dns", DNS, SERVICE_SUBNET),
    ("pod-cidr", PODS, POD_SUBNET),
    ("anonymous-auth", SECURE, ""),
    ("authorization-mode", SECURE, ""),
    ("read-only-port", SECURE, ""),
    ("client-ca-file", KUBELET_FILES, ""),
    ("tls-cert-file", NOT_SENT, ""),
    ("tls-private-key-file", NOT_SENT, ""),
    ("image-credential-provider-config", NOT_SENT, ""),
    ("image-credential-provider-bin-dir", NOT_SENT, ""),
    ("rotate-server-certificates", SERVING, ""),
    ("rotate-certificates", ROTATED, ""),
    ("authentication-token-webhook", SECURE, ""),
    ("cluster-domain", DOMAIN, ""),
    ("image-service-endpoint", CONTAINERD, ""),
    ("healthz-bind-address", HEALTH, ""),
    ("healthz-port", HEALTH, ""),
    ("enable-server", KUBELET_PORT, ""),
    ("port", KUBELET_PORT, ""),
    ("address", REACHED, ""),
    ("protect-kernel-defaults", KERNEL, ""),
    ("cloud-provider", "nodes would keep a taint that only a cloud controller removes, and there is no cloud controller", ""),
    ("experimental-mounter-path", "volumes are mounted with the machine's own program", ""),
    ("runonce", ENDS, ""),
    ("exit-on-lock-contention", ENDS, ""),
    ("lock-file", ENDS, ""),
];

/// All others that `kubelet --help` deprecates in favour of its configuration.
#[rustfmt::skip]
const CONFIGURED: &[Flag] = configured! {
    "allowed-unsafe-sysctls" => "allowedUnsafeSysctls",
    "authentication-token-webhook-cache-ttl" => "authentication.webhook.cacheTTL",
    "authorization-webhook-cache-authorized-ttl" => "authorization.webhook.cacheAuthorizedTTL",
    "authorization-webhook-cache-unauthorized-ttl" => "authorization.webhook.cacheUnauthorizedTTL",
    "cgroup-root" => "cgroupRoot",
    "cgroups-per-qos" => "cgroupsPerQOS",
    "container-log-max-files" => "containerLogMaxFiles",
    "container-log-max-size" => "containerLogMaxSize",
    "contention-profiling" => "enableContentionProfiling",
    "cpu-cfs-quota" => "cpuCFSQuota",
    "cpu-cfs-quota-period" => "cpuCFSQuotaPeriod",
    "cpu-manager-policy" => "cpuManagerPolicy",
    "cpu-manager-policy-options" => "cpuManagerPolicyOptions",
    "cpu-manager-reconcile-period" => "cpuManagerReconcilePeriod",
    "enable-controller-attach-detach" => "enableControllerAttachDetach",
    "enable-debugging-handlers" => "enableDebuggingHandlers",
    "enforce-node-allocatable" => "enforceNodeAllocatable",
    "event-burst" => "eventBurst",
    "event-qps" => "eventRecordQPS",
    "eviction-hard" => "evictionHard",
    "eviction-max-pod-grace-period" => "evictionMaxPodGracePeriod",
    "eviction-minimum-reclaim" => "evictionMinimumReclaim",
    "eviction-pressure-transition-period" => "evictionPressureTransitionPeriod",
    "eviction-soft" => "evictionSoft",
    "eviction-soft-grace-period" => "evictionSoftGracePeriod",
    "fail-swap-on" => "failSwapOn",
    "feature-gates" => "featureGates",
    "file-check-frequency" => "fileCheckFrequency",
    "hairpin-mode" => "hairpinMode",
    "http-check-frequency" => "httpCheckFrequency",
    "image-gc-high-threshold" => "imageGCHighThresholdPercent",
    "image-gc-low-threshold" => "imageGCLowThresholdPercent",
    "kernel-memcg-notification" => "kernelMemcgNotification",
    "kube-api-burst" => "kubeAPIBurst",
    "kube-api-content-type" => "contentType",
    "kube-api-qps" => "kubeAPIQPS",
    "kube-reserved" => "kubeReserved",
    "kube-reserved-cgroup" => "kubeReservedCgroup",
    "kubelet-cgroups" => "kubeletCgroups",
    "local-storage-capacity-isolation" => "localStorageCapacityIsolation",
    "log-json-info-buffer-size" => "logging.options.json.infoBufferSize",
    "log-json-split-stream" => "logging.options.json.splitStream",
    "log-text-info-buffer-size" => "logging.options.text.infoBufferSize",
    "log-text-split-stream" => "logging.options.text.splitStream",
    "logging-format" => "logging.format",
    "make-iptables-util-chains" => "makeIPTablesUtilChains",
    "manifest-url" => "staticPodURL",
    "manifest-url-header" => "staticPodURLHeader",
    "max-open-files" => "maxOpenFiles",
    "max-pods" => "maxPods",
    "memory-manager-policy" => "memoryManagerPolicy",
    "minimum-image-ttl-duration" => "imageMinimumGCAge",
    "node-status-max-images" => "nodeStatusMaxImages",
    "node-status-update-frequency" => "nodeStatusUpdateFrequency",
    "oom-score-adj" => "oomScoreAdj",
    "pod-max-pids" => "podPidsLimit",
    "pods-per-core" => "podsPerCore",
    "qos-reserved" => "qosReserved",
    "registry-burst" => "registryBurst",
    "registry-qps" => "registryPullQPS",
    "reserved-cpus" => "reservedSystemCPUs",
    "reserved-memory" => "reservedMemory",
    "resolv-conf" => "resolvConf",
    "runtime-request-timeout" => "runtimeRequestTimeout",
    "serialize-image-pulls" => "serializeImagePulls",
    "streaming-connection-idle-timeout" => "streamingConnectionIdleTimeout",
    "sync-frequency" => "syncFrequency",
    "system-cgroups" => "systemCgroups",
    "system-reserved" => "systemReserved",
    "system-reserved-cgroup" => "systemReservedCgroup",
    "tls-cipher-suites" => "tlsCipherSuites",
    "tls-min-version" => "tlsMinVersion",
    "topology-manager-policy" => "topologyManagerPolicy",
    "topology-manager-policy-options" => "topologyManagerPolicyOptions",
    "topology-manager-scope" => "topologyManagerScope",
    "volume-plugin-dir" => "volumePluginDir",
    "volume-stats-agg-period" => "volumeStatsAggPeriod",
};

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Flag> {
    RELIED.iter().chain(CONFIGURED)
}
