//! What a cluster has in its own namespaces: what kubeadm's add-on phases and hostler's flannel leave there, and how that may differ.

use hostler_core::document::Document;
use hostler_core::facts::{AddOns, LiveObject, object_key};
use hostler_core::plan::add_ons::{compared, roles_manifest};
use hostler_core::plan::admins;
use serde_json::{Value, json};

use crate::documents::Documents;

const NAMESPACE: &str = "kube-system";

fn put(add_ons: &mut AddOns, kind: &str, name: &str, content: Value, pods: u64) {
    let live = LiveObject { content, desired: pods, ready: pods, ..LiveObject::default() };
    add_ons.objects.insert(object_key(kind, NAMESPACE, name), live);
}

fn put_into(add_ons: &mut AddOns, map: &str, key: &str, text: &str) {
    add_ons.objects.get_mut(map).into_iter().for_each(|map| map.content[key] = json!(text));
}

fn of_image(image: &str) -> Value {
    json!({ "template": { "spec": { "containers": [{ "image": image }] } } })
}

/// `kubeadm init phase addon kube-proxy`, of a cluster of `version` with this KubeProxyConfiguration.
pub fn kube_proxy(add_ons: &mut AddOns, version: &str, document: &str, endpoint: &str) {
    let kubeconfig = kubeconfig(&format!("https://{endpoint}"));
    put(add_ons, "ConfigMap", "kube-proxy", json!({ "config.conf": document, "kubeconfig.conf": kubeconfig }), 0);
    put(add_ons, "ServiceAccount", "kube-proxy", json!({}), 0);
    kube_proxy_image(add_ons, version);
}

fn kubeconfig(server: &str) -> String {
    format!("clusters:\n- cluster:\n    server: {server}\n  name: default\ncurrent-context: default\n")
}

/// kube-proxy of a version.
pub fn kube_proxy_image(add_ons: &mut AddOns, version: &str) {
    put(add_ons, "DaemonSet", "kube-proxy", of_image(&format!("registry.k8s.io/kube-proxy:v{version}")), 1);
}

/// `kubeadm init phase addon coredns`.
pub fn coredns(add_ons: &mut AddOns, address: &str) {
    put(add_ons, "ConfigMap", "coredns", json!({ "Corefile": ".:53 {}" }), 0);
    let port = |name: &str, protocol: &str, port: u16| json!({ "name": name, "protocol": protocol, "port": port, "targetPort": port });
    let ports = [port("dns", "UDP", 53), port("dns-tcp", "TCP", 53), port("metrics", "TCP", 9153)];
    put(add_ons, "Service", "kube-dns", json!({ "selector": { "k8s-app": "kube-dns" }, "clusterIP": address, "ports": ports }), 0);
    put(add_ons, "ServiceAccount", "coredns", json!({}), 0);
    put(add_ons, "Deployment", "coredns", of_image("registry.k8s.io/coredns/coredns:v1.14.2"), 2);
}

/// `kubeadm init`, of a cluster of `version`.
pub fn init(add_ons: &mut AddOns, version: &str, documents: &Documents) {
    kube_proxy(add_ons, version, &documents.text("KubeProxyConfiguration"), &documents.endpoint());
    coredns(add_ons, &documents.dns_address());
    apply(add_ons, &roles_manifest(true, true).expect("it can be rendered"));
    apply(add_ons, &admins::manifest().expect("it can be rendered"));
    for kind in [Document::Cluster, Document::Kubelet] {
        document(add_ons, kind, &documents.text(kind.kind()));
    }
    (add_ons.is_whole, add_ons.has_films) = (true, true);
}

/// `kubeadm init phase upload-config`.
pub fn document(add_ons: &mut AddOns, document: Document, text: &str) {
    match document {
        Document::Cluster => put(add_ons, "ConfigMap", "kubeadm-config", json!({ "ClusterConfiguration": text }), 0),
        Document::Kubelet => put(add_ons, "ConfigMap", "kubelet-config", json!({ "kubelet": text }), 0),
        Document::KubeProxy => panic!("that is kubeadm's add-on"),
    }
}

/// What a manifest has, once it is applied.
pub fn apply(add_ons: &mut AddOns, manifest: &str) {
    for (key, content) in compared(manifest).expect("it is a manifest") {
        add_ons.objects.insert(key, LiveObject { content, desired: 1, ready: 1, ..LiveObject::default() });
    }
}

/// Whether pods have a network.
pub fn has_flannel(add_ons: &AddOns) -> bool {
    add_ons.get("DaemonSet", "kube-flannel", "kube-flannel-ds").is_some()
}

/// Something forbids the object's pods; so many of them are ready.
fn forbid(add_ons: &mut AddOns, key: &str, ready: u64) {
    let name = key.rsplit('/').next().unwrap_or_default();
    add_ons.objects.get_mut(key).into_iter().for_each(|live| {
        live.ready = ready;
        live.forbidden =
            format!("pods \"{name}-\" is forbidden: exceeded quota: no-pods, requested: pods=1, used: pods=0, limited: pods=0");
    });
}

fn kube_dns(add_ons: &mut AddOns, change: impl FnOnce(&mut Value)) {
    change(&mut add_ons.objects.get_mut("service/kube-system/kube-dns").expect("it is there").content);
}

/// The DaemonSet selects one node.
fn narrow(add_ons: &mut AddOns, key: &str) {
    let live = add_ons.objects.get_mut(key).expect("it is there");
    live.content["template"]["spec"]["nodeSelector"] = json!({ "disk": "fast" });
}

/// Makes add-ons again, as `make` does. What someone added to a DaemonSet stays, unless it is deleted before.
pub fn renew(add_ons: &mut AddOns, delete: bool, make: impl FnOnce(&mut AddOns)) {
    const ADDED: &str = "/template/spec/nodeSelector";
    let added = add_ons.objects.iter().filter_map(|(key, live)| Some((key.clone(), live.content.pointer(ADDED)?.clone())));
    let added: Vec<(String, Value)> = added.filter(|_| !delete).collect();
    make(add_ons);
    for (key, selector) in added {
        add_ons.objects.get_mut(&key).into_iter().for_each(|live| live.content["template"]["spec"]["nodeSelector"] = selector.clone());
    }
}

/// What the controller makes of DaemonSets in a cluster of so many nodes.
pub fn schedule(add_ons: &mut AddOns, nodes: usize) {
    for (_, live) in add_ons.objects.iter_mut().filter(|(key, live)| key.starts_with("daemonset/") && live.desired > 0) {
        let narrowed = live.content.pointer("/template/spec/nodeSelector/disk").is_some();
        let desired = if narrowed { 1 } else { nodes as u64 };
        live.ready = if live.ready == live.desired { desired } else { live.ready };
        live.desired = desired;
    }
}

/// Takes away, or changes, what `word` names.
pub fn spoil(add_ons: &mut AddOns, word: &str) {
    let flannel = "configmap/kube-flannel/kube-flannel-cfg";
    match word {
        "flannel-gone" => drop(add_ons.objects.remove("daemonset/kube-flannel/kube-flannel-ds")),
        "flannel-config-gone" => drop(add_ons.objects.remove(flannel)),
        "flannel-changed" => {
            add_ons.objects.get_mut(flannel).into_iter().for_each(|map| map.content["net-conf.json"] = json!("{}"));
        }
        "kube-proxy-gone" => drop(add_ons.objects.remove("daemonset/kube-system/kube-proxy")),
        "kube-proxy-changed" => put_into(add_ons, "configmap/kube-system/kube-proxy", "config.conf", "mode: ipvs\n"),
        "kube-proxy-elsewhere" => {
            put_into(add_ons, "configmap/kube-system/kube-proxy", "kubeconfig.conf", &kubeconfig("https://192.168.1.99:6443"));
        }
        "kube-proxy-kubeconfig-gone" => put_into(add_ons, "configmap/kube-system/kube-proxy", "kubeconfig.conf", ""),
        "kube-proxy-narrowed" => narrow(add_ons, "daemonset/kube-system/kube-proxy"),
        "flannel-narrowed" => narrow(add_ons, "daemonset/kube-flannel/kube-flannel-ds"),
        "kube-dns-moved" => kube_dns(add_ons, |service| service["clusterIP"] = json!("10.96.0.99")),
        "kube-dns-headless" => kube_dns(add_ons, |service| service["clusterIP"] = json!("None")),
        "kube-dns-other-port" => kube_dns(add_ons, |service| service["ports"][0]["port"] = json!(5353)),
        "kube-dns-other-target" => kube_dns(add_ons, |service| service["ports"][1]["targetPort"] = json!(5353)),
        "kube-dns-without-tcp" => kube_dns(add_ons, |service| drop(service["ports"].as_array_mut().map(|ports| ports.remove(1)))),
        // A person may have more ports, in any order, and name them as the pods do.
        "kube-dns-more" => kube_dns(add_ons, |service| {
            let ports = service["ports"].as_array_mut().expect("ports");
            ports.reverse();
            ports.push(json!({ "name": "tls", "protocol": "TCP", "port": 853, "targetPort": 853 }));
            service["ports"][1]["targetPort"] = json!("dns-tcp");
        }),
        "corefile-other-port" => {
            put(add_ons, "ConfigMap", "coredns", json!({ "Corefile": ".:5353 {}" }), 0);
            kube_dns(add_ons, |service| (0..2).for_each(|at| service["ports"][at]["targetPort"] = json!(5353)));
        }
        "kube-proxy-old" => add_ons.objects.get_mut("daemonset/kube-system/kube-proxy").into_iter().for_each(|live| {
            live.content = of_image("registry.k8s.io/kube-proxy:v1.0.0");
        }),
        "coredns-gone" => drop(add_ons.objects.remove("deployment/kube-system/coredns")),
        "kube-dns-gone" => drop(add_ons.objects.remove("service/kube-system/kube-dns")),
        "coredns-scaled" => {
            add_ons.objects.get_mut("deployment/kube-system/coredns").into_iter().for_each(|live| (live.desired, live.ready) = (0, 0));
        }
        "coredns-down" => add_ons.objects.get_mut("deployment/kube-system/coredns").into_iter().for_each(|live| live.ready = 0),
        "flannel-ending" => {
            add_ons.objects.retain(|key, _| !key.contains("/kube-flannel/"));
            let remains = "Some content in the namespace has finalizers remaining: example.org/hold in 1 resource instances";
            add_ons.ending.insert("kube-flannel".to_owned(), remains.to_owned());
        }
        "films-ending" => drop(add_ons.ending.insert("transcode".to_owned(), String::new())),
        "flannel-forbidden" => forbid(add_ons, "daemonset/kube-flannel/kube-flannel-ds", 0),
        "kube-proxy-forbidden" => forbid(add_ons, "daemonset/kube-system/kube-proxy", 1),
        "coredns-forbidden" => forbid(add_ons, "deployment/kube-system/coredns", 1),
        "unobserved" => add_ons.objects.values_mut().for_each(|live| live.unobserved = true),
        "flannel-nowhere" => {
            add_ons.objects.get_mut("daemonset/kube-flannel/kube-flannel-ds").into_iter().for_each(|live| live.desired = 0)
        }
        "kube-proxy-nowhere" => add_ons.objects.get_mut("daemonset/kube-system/kube-proxy").into_iter().for_each(|live| live.desired = 0),
        "flannel-role-gone" => drop(add_ons.objects.remove("clusterrolebinding//flannel")),
        "rotation-gone" => drop(add_ons.objects.remove("clusterrolebinding//kubeadm:node-autoapprove-certificate-rotation")),
        "admins-narrower" => {
            let binding = add_ons.objects.get_mut("clusterrolebinding//kubeadm:cluster-admins");
            binding.into_iter().for_each(|binding| binding.content["roleRef"]["name"] = json!("view"));
        }
        "role-wider" => {
            let role = add_ons.objects.get_mut("clusterrole//kubeadm:get-nodes");
            role.into_iter().for_each(|role| role.content["rules"] = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]));
        }
        "roles-unknown" => {
            add_ons.is_whole = false;
            add_ons.objects.retain(|key, _| !key.contains("//"));
        }
        "kube-dns-changed" => kube_dns(add_ons, |service| service["selector"]["k8s-app"] = json!("nothing")),
        "cluster-document-gone" => drop(add_ons.objects.remove("configmap/kube-system/kubeadm-config")),
        "kubelet-document-gone" => drop(add_ons.objects.remove("configmap/kube-system/kubelet-config")),
        "kubelet-document-changed" => put(add_ons, "ConfigMap", "kubelet-config", json!({ "kubelet": "maxPods: 5\n" }), 0),
        "notify-kept" => put(add_ons, "ConfigMap", "hostler-notify", json!({ "ledger": "{}" }), 0),
        "watcher-gone" => drop(add_ons.objects.remove("deployment/transcode/watcher")),
        "watcher-scaled" => {
            let watcher = add_ons.objects.get_mut("deployment/transcode/watcher");
            watcher.into_iter().for_each(|live| live.content["replicas"] = json!(0));
        }
        "settings-changed" => put_into(add_ons, "configmap/transcode/settings", "settings.json", "{}"),
        "corefile-changed" => put(add_ons, "ConfigMap", "coredns", json!({ "Corefile": ".:53 { log }" }), 0),
        word => panic!("nothing of the cluster's own is spoilt by {word}"),
    }
}
