//! Numbers of flags and settings that programs accept, and with which the cluster would not work: too small a limit, or a node's lease that is
//! renewed less often than the controller manager expects.

use serde_yaml::Value;

use super::quantities::{duration, quantity};
use super::settings::{API, CLUSTER, ETCD, KUBELET, MANAGER, SCHEDULER};
use super::{At, Deviation};

/// A flag with the least value that it may have; 0 stands for the program's own default.
struct Least {
    list: &'static [&'static str],
    flag: &'static str,
    read: fn(&str) -> Option<f64>,
    least: f64,
    why: &'static str,
}

const REQUESTS: &str = "the API server would reject requests from kubelets, controllers and hostler: allow at least 50";
const TIMEOUT: &str = "the API server would give up on requests from hostler, kubectl and controllers: allow at least 30s";
const QUOTA: &str = "etcd would soon be full, and would then accept no changes: allow at least 268435456 (256 MiB)";

const OBJECTS: &str = "etcd would reject the cluster's larger objects: allow at least 1572864 (1.5 MiB), as without this flag";

const STREAMS: &str = "API servers would wait for each other's requests to etcd: allow at least 100";
const RATE: &str = "controllers and pods would be minutes late: allow at least 5 requests per second, or set -1 for no limit";

const LEAST: &[Least] = &[
    Least { list: ETCD, flag: "max-concurrent-streams", read: quantity, least: 100.0, why: STREAMS },
    Least { list: MANAGER, flag: "kube-api-qps", read: quantity, least: 5.0, why: RATE },
    Least { list: MANAGER, flag: "kube-api-burst", read: quantity, least: 5.0, why: RATE },
    Least { list: SCHEDULER, flag: "kube-api-qps", read: quantity, least: 5.0, why: RATE },
    Least { list: SCHEDULER, flag: "kube-api-burst", read: quantity, least: 5.0, why: RATE },
    Least { list: ETCD, flag: "max-request-bytes", read: quantity, least: 1_572_864.0, why: OBJECTS },
    Least { list: API, flag: "max-requests-inflight", read: quantity, least: 50.0, why: REQUESTS },
    Least { list: API, flag: "max-mutating-requests-inflight", read: quantity, least: 50.0, why: REQUESTS },
    Least { list: API, flag: "request-timeout", read: duration, least: 30.0, why: TIMEOUT },
    Least { list: ETCD, flag: "quota-backend-bytes", read: quantity, least: 268_435_456.0, why: QUOTA },
];

/// Kubernetes' defaults, in seconds.
const LEASE: f64 = 40.0;
const GRACE: f64 = 50.0;
const LEASE_KEY: &str = "nodeLeaseDurationSeconds";
const GRACE_FLAG: &str = "node-monitor-grace-period";
const RENEWED_TOO_LATE: &str = "nodes would become NotReady again and again: kubelet renews its lease four times in \
    `nodeLeaseDurationSeconds`, and the controller manager's `node-monitor-grace-period` must be at least half of that duration";

/// Values in the merged documents that are too small.
pub fn deviations(cluster: &Value, kubelet: &Value, found: &mut Vec<Deviation>) {
    let value = |list, flag| At::Flag(list, flag).last(cluster);
    let mut add = |document: &str, keys: &[&str], setting: String, why| found.push(Deviation::of_value(document, keys, setting, why));
    for Least { list, flag, read, least, why } in LEAST {
        if let Some(text) = value(list, flag).filter(|text| read(text).is_some_and(|number| number > 0.0 && number < *least)) {
            add(CLUSTER, list, format!("{flag}: {text}"), *why);
        }
    }
    let lease = kubelet.get(LEASE_KEY).and_then(Value::as_f64).filter(|lease| *lease > 0.0);
    let grace = value(MANAGER, GRACE_FLAG);
    let least = lease.unwrap_or(LEASE) / 2.0;
    match (lease, grace.as_deref().and_then(duration)) {
        (_, Some(seconds)) if seconds < least => {
            add(CLUSTER, MANAGER, format!("{GRACE_FLAG}: {}", grace.unwrap_or_default()), RENEWED_TOO_LATE);
        }
        (Some(lease), None) if GRACE < least => add(KUBELET, &[LEASE_KEY], format!("{LEASE_KEY}: {lease}"), RENEWED_TOO_LATE),
        _ => {}
    }
}

/// How long kubeadm waits at least, in seconds: a small computer takes as long to start a program.
const PATIENCE: f64 = 30.0;
const IMPATIENT: &str = "kubeadm would give up on a machine that is only slow: allow at least 30s";

/// Timeouts of an InitConfiguration or a JoinConfiguration that are too short.
pub fn patience(kind: &'static str, document: &Value, found: &mut Vec<Deviation>) {
    for (key, value) in document.get("timeouts").and_then(Value::as_mapping).into_iter().flatten() {
        let (Some(key), Some(text)) = (key.as_str(), value.as_str()) else { continue };
        if duration(text).is_some_and(|seconds| seconds < PATIENCE) {
            found.push(Deviation::of_value(kind, &["timeouts", key], format!("timeouts.{key}: {text}"), IMPATIENT));
        }
    }
}

/// How long kubeadm's certificates live at least, in seconds: they are renewed in the last third of their life, by a timer and by verbs.
const LIFE: f64 = 900.0;
pub const LIFE_KEY: &str = "certificateValidityPeriod";
const SHORT_LIVED: &str = "certificates would expire before they are renewed: allow at least 15m";
/// A year, in seconds, of the authorities that nothing renews.
const AUTHORITY_LIFE: f64 = 365.0 * 24.0 * 3600.0;
pub const AUTHORITY_KEY: &str = "caCertificateValidityPeriod";
const SHORT_LIVED_AUTHORITY: &str = "the cluster would end with its certificate authorities, which nothing renews: allow at least 8760h";

/// Lives of certificates in a ClusterConfiguration that are too short.
pub fn lives(cluster: &Value, found: &mut Vec<Deviation>) {
    for (key, least, why) in [(LIFE_KEY, LIFE, SHORT_LIVED), (AUTHORITY_KEY, AUTHORITY_LIFE, SHORT_LIVED_AUTHORITY)] {
        if let Some(text) = cluster.get(key).and_then(Value::as_str).filter(|text| duration(text).is_some_and(|life| life < least)) {
            found.push(Deviation::of_value(CLUSTER, &[key], format!("{key}: {text}"), why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubeadm_waits_for_small_computers() {
        for (text, count) in [("{}", 0), ("timeouts: {kubernetesAPICall: 1m0s}", 0), ("timeouts: {etcdAPICall: 1s, discovery: 5m0s}", 1)] {
            let mut found = Vec::new();
            patience("InitConfiguration", &serde_yaml::from_str(text).expect("YAML"), &mut found);
            assert_eq!(found.len(), count, "{text}");
        }
    }

    #[test]
    fn certificates_live_until_they_are_renewed() {
        for (text, count) in [
            ("{}", 0),
            ("certificateValidityPeriod: 20m0s", 0),
            ("certificateValidityPeriod: 1m", 1),
            ("caCertificateValidityPeriod: 87600h0m0s", 0),
            ("{certificateValidityPeriod: 5m, caCertificateValidityPeriod: 24h}", 2),
        ] {
            let mut found = Vec::new();
            lives(&serde_yaml::from_str(text).expect("YAML"), &mut found);
            assert_eq!(found.len(), count, "{text}");
        }
    }

    #[test]
    fn too_small_a_number_is_found() {
        let count = |cluster: &str, kubelet: &str| {
            let mut found = Vec::new();
            let yaml = |text: &str| serde_yaml::from_str(text).expect("YAML");
            deviations(&yaml(cluster), &yaml(kubelet), &mut found);
            found.len()
        };
        let flag = |list: &[&str], flag: &str, value: &str| {
            let arguments = format!("[{{name: {flag}, value: \"{value}\"}}]");
            list.iter().rev().fold(arguments, |value, key| format!("{{{key}: {value}}}"))
        };
        for Least { list, flag: name, .. } in LEAST {
            let [right, wrong] = if *name == "request-timeout" { ["1m0s", "1ms"] } else { ["8589934592", "0.5"] };
            assert_eq!([count(&flag(list, name, right), "{}"), count(&flag(list, name, wrong), "{}")], [0, 1], "{name}");
            assert_eq!(count(&flag(list, name, "0"), "{}"), 0, "{name}");
        }
        let grace = |value: &str| flag(MANAGER, GRACE_FLAG, value);
        for (cluster, kubelet, expected) in [
            (grace("20s"), "{}", 0),
            (grace("16s"), "{}", 1),
            (grace("16s"), "nodeLeaseDurationSeconds: 20", 0),
            (grace("2m"), "nodeLeaseDurationSeconds: 200", 0),
            ("{}".to_owned(), "nodeLeaseDurationSeconds: 100", 0),
            ("{}".to_owned(), "nodeLeaseDurationSeconds: 3600", 1),
        ] {
            assert_eq!(count(&cluster, kubelet), expected, "{cluster} {kubelet}");
        }
    }
}
