//! Settings of KubeletConfiguration that are one of a few values, or have a form of their own, and that kubelet looks at only once it runs:
//! with another value it starts again and again.

use serde_yaml::Value;

use super::Deviation;
use super::quantities::{duration, quantity};
use super::settings::KUBELET;

/// A setting, and what it may be. A value of another type is its program's to reject.
struct Choice {
    key: &'static str,
    fits: fn(&Value) -> bool,
    why: &'static str,
}

/// Options of the policies: pkg/kubelet/cm/cpumanager and topologymanager of Kubernetes.
const CPU_OPTIONS: &[&str] = &[
    "full-pcpus-only",
    "distribute-cpus-across-numa",
    "align-by-socket",
    "distribute-cpus-across-cores",
    "strict-cpu-reservation",
    "prefer-align-cpus-by-uncorecache",
];
const TOPOLOGY_OPTIONS: &[&str] = &["prefer-closest-numa-nodes", NODES];
const NODES: &str = "max-allowable-numa-nodes";
/// cgroups that systemd has on every machine.
const SLICES: &[&str] = &["system.slice", "user.slice"];
/// Kernel settings that each pod has for itself, or their beginnings: those of other names kubelet refuses.
const OF_A_POD: &[&str] = &["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.", "net."];

const NO_CPU: &str = "kubelet would not start: the policy `static` needs CPUs that are reserved for the machine: set `cpu` in \
    `kubeReserved`, or set `reservedSystemCPUs`";

const NO_OPTIONS: &str = "kubelet would not start: the policy `none` has no options; these options are for `cpuManagerPolicy: static`";
const NO_MEMORY: &str = "kubelet would not start: the policy `Static` needs `reservedMemory`, with the same total as `kubeReserved`, `systemReserved` and \
     `evictionHard` reserve";
const NO_CGROUP: &str = "kubelet would not start if this cgroup does not exist, and hostler does not create it: systemd creates `/system.slice` and \
     `/user.slice`";
const PODS: i64 = 16;
const TOO_FEW_PODS: &str =
    "a machine could not run all of the cluster's own pods: with films, an upgrade and the verification, there are up to 16";
const PROCESSES: i64 = 256;
const TOO_FEW_PROCESSES: &str = "etcd, the API server and encoders have more threads than that: allow at least 256, or set -1 for no limit";
const TOO_FEW_FILES: &str = "kubelet would not start, or would fail later: it needs at least 4096 open files";
const NO_NAMESERVERS: &str = "CoreDNS would not start: write the absolute path of a file that exists on each machine and lists nameservers";
const NOT_PULLED: &str =
    "pods would not start: hostler sends the images itself, but with this policy kubelet would ask a registry for them first";
const TOO_SLOW_RUNTIME: &str = "kubelet would give up on requests that take containerd longer, such as starting a pod: allow at least 30s";
/// Bytes.
const SYSTEM: f64 = 1024.0 * 1024.0 * 1024.0;
const TOO_SMALL_A_SYSTEM: &str = "sshd, containerd and kubelet would together be limited to the memory that is reserved: reserve at least 1Gi, or leave \
     the reserve out of `enforceNodeAllocatable`";
const NEGATIVE: &str = "kubelet would not start, or would never wait: a duration can't be negative";

const CHOICES: &[Choice] = &[
    Choice {
        key: "cpuManagerPolicy",
        fits: |value| value.as_str().is_some_and(|text| ["none", "static"].contains(&text)),
        why: "kubelet would not start: the policy must be `none` or `static`",
    },
    Choice {
        key: "memoryManagerPolicy",
        fits: |value| value.as_str().is_some_and(|text| ["None", "Static"].contains(&text)),
        why: "kubelet would not start: the policy must be `None` or `Static`",
    },
    Choice {
        key: "cpuManagerPolicyOptions",
        fits: |value| has_only(value, CPU_OPTIONS) && all(value, |_, text| is_bool(text)),
        why: "kubelet would not start: the policy has no such option, or the option can't have this value",
    },
    Choice {
        key: "configMapAndSecretChangeDetectionStrategy",
        fits: |value| value.as_str().is_some_and(|text| ["Get", "Cache", "Watch"].contains(&text)),
        why: "kubelet would not start: the strategy must be `Get`, `Cache` or `Watch`",
    },
    Choice {
        key: "topologyManagerPolicyOptions",
        fits: |value| {
            has_only(value, TOPOLOGY_OPTIONS)
                && all(value, |key, text| if key == NODES { text.parse::<u8>().is_ok() } else { is_bool(text) })
        },
        why: "kubelet would not start: the policy has no such option, or the option can't have this value",
    },
    Choice {
        key: "containerLogMaxSize",
        fits: |value| value.as_str().is_some_and(|text| quantity(text).is_some()),
        why: "kubelet would not start: the size must be a quantity, such as `10Mi`",
    },
    Choice {
        key: "containerLogMaxFiles",
        fits: |value| value.as_i64().is_some_and(|count| count > 1),
        why: "kubelet would not start: the number of files must be at least 2",
    },
    Choice { key: "maxPods", fits: |value| value.as_i64().is_none_or(|count| count >= PODS), why: TOO_FEW_PODS },
    Choice { key: "podsPerCore", fits: |value| value.as_i64().is_none_or(|count| count == 0 || count >= PODS), why: TOO_FEW_PODS },
    Choice {
        key: "podPidsLimit",
        fits: |value| value.as_i64().is_none_or(|count| count == -1 || count >= PROCESSES),
        why: TOO_FEW_PROCESSES,
    },
    Choice { key: "maxOpenFiles", fits: |value| value.as_i64().is_none_or(|count| count >= 4096), why: TOO_FEW_FILES },
    Choice { key: RESOLV_CONF_KEY, fits: |value| value.as_str().is_none_or(|path| path.starts_with('/')), why: NO_NAMESERVERS },
    Choice {
        key: "imagePullCredentialsVerificationPolicy",
        fits: |value| value.as_str().is_some_and(|text| ["NeverVerify", "NeverVerifyPreloadedImages"].contains(&text)),
        why: NOT_PULLED,
    },
    Choice {
        key: "runtimeRequestTimeout",
        fits: |value| value.as_str().and_then(duration).is_none_or(|time| time == 0.0 || time >= 30.0),
        why: TOO_SLOW_RUNTIME,
    },
    Choice {
        key: "cgroupRoot",
        fits: |value| value.as_str().is_some_and(|text| ["", "/"].contains(&text)),
        why: "kubelet would not start if this cgroup does not exist, and hostler does not create it",
    },
    Choice {
        key: "allowedUnsafeSysctls",
        fits: |value| value.as_sequence().into_iter().flatten().filter_map(Value::as_str).all(is_of_a_pod),
        why: "kubelet would not start: only namespaced sysctls can be allowed, below `net.`, `kernel.shm`, `kernel.msg`, \
            `kernel.sem` and `fs.mqueue.`, such as `net.core.somaxconn` or `net.*`",
    },
];

/// The file with nameservers that kubelet passes on to pods.
pub const RESOLV_CONF_KEY: &str = "resolvConf";

/// Values in the merged document that kubelet would not start with.
pub fn deviations(document: &Value, found: &mut Vec<Deviation>) {
    let mut add = |key: &str, why| found.push(Deviation::of_value(KUBELET, &[key], key.to_owned(), why));
    for choice in CHOICES {
        if document.get(choice.key).is_some_and(|value| !value.is_null() && !(choice.fits)(value)) {
            add(choice.key, choice.why);
        }
    }
    let is = |key, text| document.get(key).and_then(Value::as_str) == Some(text);
    if is("cpuManagerPolicy", "static") && !reserves_cpu(document) {
        add("cpuManagerPolicy", NO_CPU);
    }
    let has_options = document.get("cpuManagerPolicyOptions").and_then(Value::as_mapping).is_some_and(|options| !options.is_empty());
    if has_options && !is("cpuManagerPolicy", "static") {
        add("cpuManagerPolicyOptions", NO_OPTIONS);
    }
    if is("memoryManagerPolicy", "Static") && document.get("reservedMemory").is_none() {
        add("memoryManagerPolicy", NO_MEMORY);
    }
    let enforced = document.get("enforceNodeAllocatable").and_then(Value::as_sequence);
    for (part, key) in [("kube-reserved", "kubeReservedCgroup"), ("system-reserved", "systemReservedCgroup")] {
        let group = document.get(key).and_then(Value::as_str).unwrap_or_default();
        // Also `kube-reserved-compressible`.
        let named = enforced.is_some_and(|parts| parts.iter().any(|other| other.as_str().is_some_and(|other| other.starts_with(part))));
        if named && !group.is_empty() && !SLICES.contains(&group.trim_start_matches('/')) {
            add(key, NO_CGROUP);
        }
        // Its name without `Cgroup`.
        let memory = key.strip_suffix("Cgroup").and_then(|reserve| document.get(reserve)?.get("memory")?.as_str()).and_then(quantity);
        let limits = enforced.is_some_and(|parts| parts.iter().any(|other| other.as_str() == Some(part)));
        if limits && !group.is_empty() && memory.is_some_and(|memory| memory < SYSTEM) {
            add(key, TOO_SMALL_A_SYSTEM);
        }
    }
    for (key, value) in document.as_mapping().into_iter().flatten() {
        let negative = |text: &str| text.strip_prefix('-').is_some_and(|rest| rest.starts_with(|digit: char| digit.is_ascii_digit()));
        if let (Some(key), true) = (key.as_str(), value.as_str().is_some_and(negative)) {
            add(key, NEGATIVE);
        }
    }
}

fn has_only(options: &Value, known: &[&str]) -> bool {
    let mut keys = options.as_mapping().into_iter().flatten().map(|(key, _)| key.as_str().unwrap_or_default());
    keys.all(|key| known.contains(&key))
}

fn all(options: &Value, fits: impl Fn(&str, &str) -> bool) -> bool {
    let mut each = options.as_mapping().into_iter().flatten();
    each.all(|(key, value)| fits(key.as_str().unwrap_or_default(), value.as_str().unwrap_or_default()))
}

/// As Go's strconv.ParseBool has it.
fn is_bool(text: &str) -> bool {
    ["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"].contains(&text)
}

fn is_of_a_pod(text: &str) -> bool {
    let name = text.replace('/', ".");
    let name = name.strip_suffix('*').unwrap_or(&name);
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte));
    plain && OF_A_POD.iter().any(|known| name.starts_with(known))
}

/// Whether something of the processors is kept for the machine itself.
fn reserves_cpu(document: &Value) -> bool {
    let amount = |key: &str| document.get(key).and_then(|of| of.get("cpu")).and_then(Value::as_str).and_then(quantity);
    let listed = document.get("reservedSystemCPUs").and_then(Value::as_str).is_some_and(|list| !list.is_empty());
    listed || ["kubeReserved", "systemReserved"].into_iter().filter_map(amount).any(|amount| amount > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_has_values_that_fit_and_others_that_do_not() {
        for (right, wrong) in [
            ("cpuManagerPolicy: none", "cpuManagerPolicy: fast"),
            ("{cpuManagerPolicy: static, kubeReserved: {cpu: 200m}}", "cpuManagerPolicy: static"),
            ("{cpuManagerPolicy: static, reservedSystemCPUs: '0'}", "{cpuManagerPolicy: static, kubeReserved: {cpu: '0'}}"),
            ("memoryManagerPolicy: None", "memoryManagerPolicy: static"),
            (
                "{cpuManagerPolicy: static, reservedSystemCPUs: '0', cpuManagerPolicyOptions: {full-pcpus-only: 'true'}}",
                "{cpuManagerPolicy: static, reservedSystemCPUs: '0', cpuManagerPolicyOptions: {full: 'true'}}",
            ),
            ("cpuManagerPolicyOptions: {}", "cpuManagerPolicyOptions: {full-pcpus-only: 'true'}"),
            (
                "topologyManagerPolicyOptions: {max-allowable-numa-nodes: '4'}",
                "topologyManagerPolicyOptions: {max-allowable-numa-nodes: 'abc'}",
            ),
            ("configMapAndSecretChangeDetectionStrategy: Get", "configMapAndSecretChangeDetectionStrategy: Sometimes"),
            ("{memoryManagerPolicy: Static, reservedMemory: []}", "memoryManagerPolicy: Static"),
            (
                "{enforceNodeAllocatable: [pods], kubeReservedCgroup: /kube}",
                "{enforceNodeAllocatable: [pods, kube-reserved-compressible], kubeReservedCgroup: /kube}",
            ),
            ("topologyManagerPolicyOptions: {prefer-closest-numa-nodes: 'true'}", "topologyManagerPolicyOptions: {prefer: 'true'}"),
            ("containerLogMaxSize: 10Mi", "containerLogMaxSize: 10MB"),
            ("containerLogMaxFiles: 2", "containerLogMaxFiles: 1"),
            ("maxPods: 16", "maxPods: 1"),
            ("podsPerCore: 0", "podsPerCore: 4"),
            ("podPidsLimit: -1", "podPidsLimit: 1"),
            ("maxOpenFiles: 1000000", "maxOpenFiles: 100"),
            ("resolvConf: /etc/resolv.pods", "resolvConf: ''"),
            ("imagePullCredentialsVerificationPolicy: NeverVerify", "imagePullCredentialsVerificationPolicy: AlwaysVerify"),
            ("runtimeRequestTimeout: 2m", "runtimeRequestTimeout: 1ms"),
            ("cgroupRoot: /", "cgroupRoot: /pods"),
            (
                "{enforceNodeAllocatable: [pods, system-reserved], systemReservedCgroup: /system.slice}",
                "{enforceNodeAllocatable: [pods, kube-reserved], kubeReservedCgroup: /kube}",
            ),
            (
                "{enforceNodeAllocatable: [pods, system-reserved], systemReservedCgroup: /system.slice, systemReserved: {memory: 2Gi}}",
                "{enforceNodeAllocatable: [pods, system-reserved], systemReservedCgroup: /system.slice, systemReserved: {memory: 50Mi}}",
            ),
            (
                "{enforceNodeAllocatable: [pods, kube-reserved-compressible], kubeReservedCgroup: /system.slice, kubeReserved: {memory: 50Mi}}",
                "{enforceNodeAllocatable: [pods, kube-reserved], kubeReservedCgroup: /system.slice, kubeReserved: {memory: 50Mi}}",
            ),
            ("{kubeReservedCgroup: /kube, syncFrequency: 1m}", "syncFrequency: -1s"),
            ("allowedUnsafeSysctls: [net.core.somaxconn, 'net/*', kernel.msg*]", "allowedUnsafeSysctls: [vm.swappiness]"),
        ] {
            let count = |text| {
                let mut found = Vec::new();
                deviations(&serde_yaml::from_str(text).expect("YAML"), &mut found);
                found.len()
            };
            assert_eq!([count(right), count(wrong)], [0, 1], "{right}, {wrong}");
        }
    }
}
