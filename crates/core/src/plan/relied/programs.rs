//! Values that kubeadm and the control plane's programs accept, and with which a part of the cluster would not work.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_yaml::Value;

use super::least::{AUTHORITY_KEY, LIFE_KEY};
use super::quantities::duration;
use super::settings::{API, CLUSTER, ETCD, MANAGER, PROXY, SCHEDULER};
use super::{At, Deviation};
use crate::inventory::{Cni, Inventory};

const NOT_REACHED: &str =
    "API servers would not reach kubelets, as machines do not know each other's names: begin the list with `InternalIP`";
const NOT_OWN: &str = "no machine but one has this address: set 127.0.0.1, 0.0.0.0, ::1 or ::";
const NO_LEADER: &str = "the program would exit: the lease duration must be longer than the renew deadline, and that longer than 1.2 times the retry \
     period";
const NOBODY_WORKS: &str = "the controller would do nothing, or the program would exit: allow at least 1";
const NEVER_SMALLER: &str = "etcd's database would grow until it is full: nothing else removes old revisions from it";
const TOO_SHORT: &str = "kubelets' certificates would expire before they are approved, which is twice a day: allow at least 168h";
const NO_DNS: &str =
    "`hostler up` would try to restore CoreDNS each time: to leave it out, set `InitConfiguration: {skipPhases: [addon/coredns]}`";
const NO_PROXY: &str =
    "`hostler up` would try to restore kube-proxy each time: to leave it out, set `InitConfiguration: {skipPhases: [addon/kube-proxy]}`";
const NO_PAGE: &str = "the status page could not be reached at a machine's address: add those of the machines, or leave it out";
const OUTLIVED: &str = "the cluster's authorities would expire before the certificates that they sign, and nothing renews an authority";

const CONNECTIONS: &str =
    "the machine would drop connections, those of SSH too: allow at least 32768, or set 0 to leave the kernel's limit as it is";
const LATE: &str = "Services would lead to pods that are gone: the addresses of pods must be updated within a minute";

/// The least number of connections that the kernel must track.
const TRACKED: i64 = 32_768;

/// In seconds: ten times what kubelet leaves of a certificate at most is more than the time between two looks.
const WEEK: f64 = 7.0 * 86_400.0;
/// kubeadm's defaults, in seconds.
const YEAR: f64 = 365.0 * 86_400.0;
const TEN_YEARS: f64 = 10.0 * YEAR;

/// Of the merged ClusterConfiguration, and of the KubeProxyConfiguration.
pub fn deviations(cluster: &Value, proxy: &Value, inventory: &Inventory, found: &mut Vec<Deviation>) {
    let mut add = |document: &str, keys: &[&str], setting: String, why| found.push(Deviation::of_value(document, keys, setting, why));
    let flag = |list, flag| At::Flag(list, flag).last(cluster);
    let preferred = "kubelet-preferred-address-types";
    if let Some(types) = flag(API, preferred).filter(|types| types.split(',').next().map(str::trim) != Some("InternalIP")) {
        add(CLUSTER, API, format!("{preferred}: {types}"), NOT_REACHED);
    }
    for list in [MANAGER, SCHEDULER] {
        let is_everyones = |address: &str| address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback() || address.is_unspecified());
        if let Some(address) = flag(list, "bind-address").filter(|address| !is_everyones(address)) {
            add(CLUSTER, list, format!("bind-address: {address}"), NOT_OWN);
        }
    }
    for list in [MANAGER, SCHEDULER] {
        let seconds = |name: &'static str, default: f64| flag(list, name).and_then(|text| duration(&text)).unwrap_or(default);
        let (lease, deadline, retry) = (
            seconds("leader-elect-lease-duration", 15.0),
            seconds("leader-elect-renew-deadline", 10.0),
            seconds("leader-elect-retry-period", 2.0),
        );
        if lease <= deadline || deadline <= retry * 1.2 {
            add(CLUSTER, list, format!("leader-elect: {lease}s, {deadline}s, {retry}s"), NO_LEADER);
        }
    }
    let arguments = At::Path(MANAGER).values(cluster);
    for (name, value) in arguments.first().and_then(Value::as_sequence).into_iter().flatten().flat_map(super::flags) {
        if name.starts_with("concurrent-") && value.parse::<i64>().is_ok_and(|count| count < 1) {
            add(CLUSTER, MANAGER, format!("{name}: {value}"), NOBODY_WORKS);
        }
    }
    let compaction = "etcd-compaction-interval";
    if let Some(text) = flag(API, compaction).filter(|text| duration(text) == Some(0.0)) {
        add(CLUSTER, API, format!("{compaction}: {text}"), NEVER_SMALLER);
    }
    let metrics = "listen-metrics-urls";
    let is_one = |url: &str| {
        let host = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/').rsplit_once(':').map_or("", |(host, _)| host);
        host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| !address.is_loopback() && !address.is_unspecified())
    };
    let several = inventory.control_planes().count() > 1;
    if let Some(text) = flag(ETCD, metrics).filter(|text| several && text.split(',').any(is_one)) {
        add(CLUSTER, ETCD, format!("{metrics}: {text}"), NOT_OWN);
    }
    if let Some(text) =
        proxy.get("bindAddress").and_then(Value::as_str).filter(|text| text.parse::<IpAddr>().is_ok_and(|it| !it.is_unspecified()))
    {
        add(PROXY, &["bindAddress"], format!("bindAddress: {text}"), NOT_OWN);
    }
    let signed = "cluster-signing-duration";
    if let Some(text) = flag(MANAGER, signed).filter(|text| duration(text).is_some_and(|seconds| seconds < WEEK)) {
        add(CLUSTER, MANAGER, format!("{signed}: {text}"), TOO_SHORT);
    }
    let has = |part: &str| At::Path(&["disabled"]).values(cluster.get(part).unwrap_or(&Value::Null)) == [Value::Bool(true)];
    // A pod network of the user's own may replace kube-proxy.
    for (part, why) in [("dns", Some(NO_DNS)), ("proxy", Some(NO_PROXY).filter(|_| inventory.cluster.cni != Cni::None))] {
        if let Some(why) = why.filter(|_| has(part)) {
            add(CLUSTER, &[part, "disabled"], format!("{part}.disabled: true"), why);
        }
    }
    let period = |key: &str| cluster.get(key).and_then(Value::as_str).and_then(duration);
    let (authority, leaf) = (AUTHORITY_KEY, LIFE_KEY);
    if period(authority).unwrap_or(TEN_YEARS) < period(leaf).unwrap_or(YEAR) {
        let key = if cluster.get(authority).is_some() { authority } else { leaf };
        add(CLUSTER, &[key], key.to_owned(), OUTLIVED);
    }
    let tracked = |key: &str| proxy.get("conntrack").and_then(|part| part.get(key)).and_then(Value::as_i64);
    // The larger of the two counts; without the first, kube-proxy sets no limit.
    let (per_core, min) = (tracked("maxPerCore").unwrap_or(TRACKED), tracked("min").unwrap_or(4 * TRACKED));
    if per_core > 0 && per_core.max(min) < TRACKED {
        add(PROXY, &["conntrack"], format!("conntrack: {}", per_core.max(min)), CONNECTIONS);
    }
    for mode in ["iptables", "ipvs", "nftables"] {
        let least = proxy.get(mode).and_then(|part| part.get("minSyncPeriod")).and_then(Value::as_str);
        if let Some(text) = least.filter(|text| duration(text).is_some_and(|seconds| seconds > 60.0)) {
            add(PROXY, &[mode, "minSyncPeriod"], format!("{mode}.minSyncPeriod: {text}"), LATE);
        }
    }
    let ports = proxy.get("nodePortAddresses").and_then(Value::as_sequence).map(Vec::as_slice).unwrap_or_default();
    let holds = |network: &Value| {
        let Some(text) = network.as_str() else { return true };
        // `primary` is the address of the node.
        text == "primary" || text.parse::<IpNet>().is_ok_and(|network| inventory.machines.values().any(|it| network.contains(&it.address)))
    };
    if inventory.transcode.is_some() && !ports.is_empty() && !ports.iter().any(holds) {
        add(PROXY, &["nodePortAddresses"], "nodePortAddresses".to_owned(), NO_PAGE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::parse;

    #[test]
    fn each_value_that_would_not_work_is_found_and_its_neighbour_is_not() {
        let plain = "machines:\n  a: {address: 10.1.0.1, role: control-plane}\n";
        let films = "transcode: {inbox: 'nfs://10.1.0.9/films', library: 'nfs://10.1.0.9/plex', owner: {uid: 1000, gid: 100}, folders: {Movies: {}}}\n";
        let count = |cluster: &str, proxy: &str, more: &str| {
            let mut found = Vec::new();
            let inventory = parse(&format!("{plain}{more}"), "").unwrap_or_else(|problems| panic!("{problems}"));
            let yaml = |text: &str| serde_yaml::from_str(text).expect("YAML");
            deviations(&yaml(cluster), &yaml(proxy), &inventory, &mut found);
            found.len()
        };
        let flag = |program: &str, name: &str, value: &str| format!("{program}: {{extraArgs: [{{name: {name}, value: '{value}'}}]}}");
        for (right, wrong) in [
            (
                flag("apiServer", "kubelet-preferred-address-types", "InternalIP,Hostname"),
                flag("apiServer", "kubelet-preferred-address-types", "Hostname,InternalIP"),
            ),
            (flag("scheduler", "bind-address", "0.0.0.0"), flag("scheduler", "bind-address", "10.1.0.1")),
            (flag("controllerManager", "bind-address", "::1"), flag("controllerManager", "bind-address", "10.1.0.1")),
            (flag("controllerManager", "cluster-signing-duration", "8760h"), flag("controllerManager", "cluster-signing-duration", "24h")),
            (flag("scheduler", "leader-elect-renew-deadline", "12s"), flag("scheduler", "leader-elect-renew-deadline", "1s")),
            (
                flag("controllerManager", "leader-elect-lease-duration", "1m"),
                flag("controllerManager", "leader-elect-lease-duration", "5s"),
            ),
            (flag("controllerManager", "leader-elect-retry-period", "1s"), flag("controllerManager", "leader-elect-retry-period", "9s")),
            (flag("controllerManager", "concurrent-job-syncs", "1"), flag("controllerManager", "concurrent-job-syncs", "0")),
            (flag("apiServer", "etcd-compaction-interval", "10m"), flag("apiServer", "etcd-compaction-interval", "0s")),
            ("proxy: {disabled: false}".to_owned(), "proxy: {disabled: true}".to_owned()),
            ("dns: {}".to_owned(), "dns: {disabled: true}".to_owned()),
            ("caCertificateValidityPeriod: 43800h".to_owned(), "caCertificateValidityPeriod: 2h0m0s".to_owned()),
            ("certificateValidityPeriod: 8760h".to_owned(), "certificateValidityPeriod: 100000h".to_owned()),
            ("{}".to_owned(), "{certificateValidityPeriod: 100h, caCertificateValidityPeriod: 99h}".to_owned()),
        ] {
            assert_eq!([count(&right, "{}", ""), count(&wrong, "{}", "")], [0, 1], "{right}, {wrong}");
        }
        assert_eq!(count("proxy: {disabled: true}", "{}", "cluster: {cni: none}\n"), 0);
        for (text, expected) in [
            ("conntrack: {maxPerCore: 0, min: 0}", 0),
            ("conntrack: {maxPerCore: 1}", 0),
            ("conntrack: {min: 1}", 0),
            ("conntrack: {maxPerCore: 1, min: 1}", 1),
            ("nftables: {minSyncPeriod: 10s}", 0),
            ("bindAddress: '::'", 0),
            ("bindAddress: 10.1.0.1", 1),
            ("iptables: {minSyncPeriod: 1h}", 1),
            ("nftables: {minSyncPeriod: 1h}", 1),
        ] {
            assert_eq!(count("{}", text, ""), expected, "{text}");
        }
        let metrics = |url: &str| format!("etcd: {{local: {{extraArgs: [{{name: listen-metrics-urls, value: '{url}'}}]}}}}");
        let (everyones, one, two) =
            (metrics("http://0.0.0.0:2381"), metrics("http://10.1.0.1:2381"), "  b: {address: 10.1.0.2, role: control-plane}\n");
        assert_eq!([count(&everyones, "{}", two), count(&one, "{}", ""), count(&one, "{}", two)], [0, 0, 1]);
        let [right, wrong] = ["nodePortAddresses: [127.0.0.0/8, 10.1.0.0/16]", "nodePortAddresses: [127.0.0.0/8]"];
        assert_eq!([count("{}", right, films), count("{}", wrong, films), count("{}", wrong, "")], [0, 1, 0]);
        assert_eq!(count("{}", "nodePortAddresses: [primary]", films), 0);
    }
}
