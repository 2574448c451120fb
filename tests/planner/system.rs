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
pub fn kube_proxy(add_ons: &mut AddOns, version: &str, document: &str) {
    put(add_ons, "ConfigMap", "kube-proxy", json!({ "config.conf": document }), 0);
    put(add_ons, "ServiceAccount", "kube-proxy", json!({}), 0);
    kube_proxy_image(add_ons, version);
}

/// kube-proxy of a version.
pub fn kube_proxy_image(add_ons: &mut AddOns, version: &str) {
    put(add_ons, "DaemonSet", "kube-proxy", of_image(&format!("registry.k8s.io/kube-proxy:v{version}")), 1);
}

/// `kubeadm init phase addon coredns`.
pub fn coredns(add_ons: &mut AddOns) {
    put(add_ons, "ConfigMap", "coredns", json!({ "Corefile": ".:53 {}" }), 0);
    put(add_ons, "Service", "kube-dns", json!({ "selector": { "k8s-app": "kube-dns" } }), 0);
    put(add_ons, "ServiceAccount", "coredns", json!({}), 0);
    put(add_ons, "Deployment", "coredns", of_image("registry.k8s.io/coredns/coredns:v1.14.2"), 2);
}

/// `kubeadm init`, of a cluster of `version`.
pub fn init(add_ons: &mut AddOns, version: &str, documents: &Documents) {
    kube_proxy(add_ons, version, &documents.text("KubeProxyConfiguration"));
    coredns(add_ons);
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
        "kube-proxy-changed" => kube_proxy(add_ons, "1.36.3", "mode: ipvs\n"),
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
        "kube-dns-changed" => put(add_ons, "Service", "kube-dns", json!({ "selector": { "k8s-app": "nothing" } }), 0),
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
