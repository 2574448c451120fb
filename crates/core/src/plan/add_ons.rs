//! What the cluster runs of its own: flannel, kube-proxy, CoreDNS. Compared is what the API server has, not what was applied once.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::hint::Hint;
use super::planner::Planner;
use super::refusal::Why;
use super::restore::{comes_back, joined_since};
use super::{admins, documents};
use crate::action::cluster::{ApplyFlannel, Drain, RestartFlannel, RestoreCoreDns, RestoreRoles};
use crate::digest::sha256;
use crate::document::Document;
use crate::facts::{AddOns, ClusterFacts, LiveObject, NodeFact, content_of, has, object_key};
use crate::inventory::{Cni, Inventory, MachineName};
use crate::manifest::Component;
use crate::protocol::{configmap, films, namespaces};
use crate::record::Record;
use crate::step::{Need, StepId, StepKind};
use crate::template;
use crate::trusted::ApiVia;

/// Objects of kubeadm's, by kind and name.
const KUBE_PROXY: [(&str, &str); 3] = [("DaemonSet", "kube-proxy"), ("ConfigMap", "kube-proxy"), ("ServiceAccount", "kube-proxy")];
const COREDNS: [(&str, &str); 4] =
    [("Deployment", "coredns"), ("ConfigMap", "coredns"), ("Service", "kube-dns"), ("ServiceAccount", "coredns")];

/// What people call flannel, which a cluster may not have.
pub const FLANNEL: &str = "flannel";
/// What people call CoreDNS.
pub const CORE_DNS: &str = "CoreDNS";

/// The add-ons that have pods: what they are called, and kind, namespace and name of the object that makes them.
pub const WITH_PODS: [(&str, &str, &str, &str); 3] = [
    (FLANNEL, "DaemonSet", namespaces::FLANNEL, "kube-flannel-ds"),
    ("kube-proxy", "DaemonSet", namespaces::SYSTEM, "kube-proxy"),
    (CORE_DNS, "Deployment", namespaces::SYSTEM, "coredns"),
];

/// flannel, applied where the cluster does not have it as it should be. `init`: the machine and step that make the cluster in this run.
///
/// # Errors
/// A template that can't be filled in or read back, which is a defect.
pub fn flannel(planner: &mut Planner, init: Option<(&MachineName, &StepId)>) -> Result<()> {
    let backend = match planner.inventory.cluster.cni {
        Cni::None => return Ok(()),
        Cni::Flannel => "vxlan",
        Cni::FlannelHostGw => "host-gw",
    };
    let image = planner.manifests.image(Component::Flannel).map_or("", |image| &image.reference);
    let pod_subnet = planner.inventory.cluster.pod_subnet.to_string();
    let manifest = flannel_manifest(&pod_subnet, backend, image)?;
    let sha256 = sha256(manifest.as_bytes());
    let narrowed = planner.api_via.and_then(|via| lacks_nodes(via.cluster, namespaces::FLANNEL, "kube-flannel-ds"));
    let replace = narrowed.is_some();
    let (machine, reason, needs): (_, Cow<str>, _) = match (init, planner.api_via) {
        (Some((machine, step)), _) => (machine.clone(), "pods have no network yet".into(), vec![Need::Step(step.clone())]),
        (None, Some(ApiVia { machine: api_via, cluster, .. })) => {
            let reason = match differs(&cluster.add_ons, &manifest)? {
                Some(Difference::Gone) if cluster.record.contains_key(&Record::Flannel) => {
                    "some of flannel's objects are missing from the cluster".into()
                }
                Some(Difference::Gone) => "pods have no network yet".into(),
                // A network that is there and not as it should be is `up`'s.
                _ if planner.only.is_some() => return Ok(()),
                None if narrowed.is_some_and(|(pods, _)| pods == 0) => "flannel's DaemonSet matches no node".into(),
                None if let Some((pods, nodes)) = narrowed => format!("flannel's DaemonSet matches only {pods} of {nodes} nodes").into(),
                None if cluster.record.get(&Record::Flannel) == Some(&sha256) => return Ok(()),
                _ => "flannel in the cluster differs from the desired manifest".into(),
            };
            (api_via.clone(), reason, vec![])
        }
        (None, None) => return Ok(()),
    };
    // What is applied there would fail each time, until someone has looked at what remains.
    if planner.api_via.is_some_and(|via| refuse_ending(planner, &via.cluster.add_ons, namespaces::FLANNEL)) {
        return Ok(());
    }
    planner.step(StepKind::Flannel.of(&machine), &machine, reason, ApplyFlannel { manifest, sha256, replace }, needs);
    Ok(())
}

/// Whether the namespace is being deleted, which then is a refusal that keeps nothing but what would be created there, and its verification.
pub fn refuse_ending(planner: &mut Planner, add_ons: &AddOns, namespace: &'static str) -> bool {
    let Some(remains) = add_ons.ending.get(namespace) else { return false };
    planner.refuse_part(None, Why::NamespaceEnding { namespace, remains: remains.clone() }, Hint::FinishDeletion { namespace });
    true
}

/// How live objects differ from a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Difference {
    Gone,
    Changed,
}

/// Whether the objects of `manifest` are there, with all that it says of them.
pub(super) fn differs(add_ons: &AddOns, manifest: &str) -> Result<Option<Difference>> {
    Ok(difference(add_ons, compared(manifest)?))
}

fn difference(add_ons: &AddOns, wanted: impl IntoIterator<Item = (String, Value)>) -> Option<Difference> {
    let mut difference = None;
    for (key, content) in wanted {
        match add_ons.objects.get(&key) {
            None if is_outside(&key) && !add_ons.is_whole => {}
            None => return Some(Difference::Gone),
            Some(live) if !has(&live.content, &content) => difference = Some(Difference::Changed),
            Some(_) => {}
        }
    }
    difference
}

/// Whether something of the workload's `manifest` is gone or changed: of the kinds that facts have, which no Secret and no Job is.
///
/// # Errors
/// As [`compared`].
pub fn films_lack(add_ons: &AddOns, manifest: &str) -> Result<bool> {
    let kinds = ["deployment/", "service/", "configmap/", "serviceaccount/", "role/", "rolebinding/", "runtimeclass/"];
    let known = compared(manifest)?.into_iter().filter(|(key, _)| kinds.iter().any(|kind| key.starts_with(kind)));
    Ok(difference(add_ons, known).is_some())
}

/// The objects of a manifest, as [`AddOns::objects`] has them. Of a namespace, those in it tell.
///
/// # Errors
/// It is not YAML, which is a defect.
pub fn compared(manifest: &str) -> Result<Vec<(String, Value)>> {
    let mut found = Vec::new();
    for document in serde_yaml::Deserializer::from_str(manifest) {
        let object = Value::deserialize(document).context("the manifest is not valid YAML")?;
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        if text("/kind") != "Namespace" {
            found.push((object_key(&text("/kind"), &text("/metadata/namespace"), &text("/metadata/name")), content_of(&object)));
        }
    }
    Ok(found)
}

/// Whether an object of this key is in no namespace.
fn is_outside(key: &str) -> bool {
    key.contains("//")
}

/// The objects outside of namespaces that plans compare, and namespaces of hostler's own, as `kubectl get` takes them.
///
/// # Errors
/// A template that can't be filled in or read back, which is a defect.
pub fn outside_of_namespaces() -> Result<Vec<String>> {
    let manifests = [flannel_manifest("", "", "")?, roles_manifest(true, true)?, admins::manifest()?];
    let mut found = [namespaces::FLANNEL, namespaces::FILMS].map(|namespace| format!("namespace/{namespace}")).to_vec();
    found.push(format!("runtimeclass/{}", films::RUNTIME));
    for manifest in manifests {
        found.extend(compared(&manifest)?.into_iter().filter(|(key, _)| is_outside(key)).map(|(key, _)| key.replace("//", "/")));
    }
    Ok(found)
}

fn flannel_manifest(pod_subnet: &str, backend: &str, image: &str) -> Result<String> {
    template::render("network/flannel.yaml", json!({ "pod_subnet": pod_subnet, "backend": backend, "image": image }))
}

/// The roles that [`roles`] restores.
///
/// # Errors
/// As [`outside_of_namespaces`].
pub fn roles_manifest(kube_proxy: bool, coredns: bool) -> Result<String> {
    template::render("kubernetes/roles.yaml", json!({ "kube_proxy": kube_proxy, "coredns": coredns }))
}

/// What nodes, joining machines and kubeadm's add-ons may do in the cluster.
///
/// # Errors
/// As [`outside_of_namespaces`].
pub fn roles(planner: &mut Planner, api_via: &MachineName, add_ons: &AddOns) -> Result<()> {
    let manifest = roles_manifest(!is_skipped(planner, "kube-proxy"), !is_skipped(planner, "coredns"))?;
    let reason = match differs(add_ons, &manifest)? {
        Some(Difference::Gone) => "some RBAC roles of nodes and add-ons are missing from the cluster",
        // What is there and not as it should be is `up`'s.
        Some(Difference::Changed) if planner.only.is_none() => "the RBAC roles of nodes and add-ons were changed in the cluster",
        _ => return Ok(()),
    };
    planner.step(StepKind::Roles.of(api_via), api_via, reason, RestoreRoles { manifest }, []);
    Ok(())
}

/// CoreDNS, made again by kubeadm where something of it is gone or nothing of it runs. A Corefile that is there stays.
pub fn coredns(planner: &mut Planner, api_via: &MachineName, add_ons: &AddOns) -> Result<()> {
    if is_skipped(planner, "coredns") {
        return Ok(());
    }
    let image = planner.manifests.image(Component::Coredns).map(|image| image.reference.clone());
    let deployment = add_ons.get("Deployment", namespaces::SYSTEM, "coredns");
    let reason = match deployment {
        _ if is_gone(add_ons, &COREDNS) => "some of CoreDNS's objects are missing from the cluster",
        // What is there and not as it should be is `up`'s.
        _ if planner.only.is_some() => return Ok(()),
        _ if !has_dns_address(planner.inventory, add_ons) => {
            "the Service of CoreDNS does not have the address that pods ask, so DNS names do not resolve"
        }
        _ if !leads_to_coredns(add_ons) => "the Service of CoreDNS does not route to CoreDNS, so DNS names do not resolve",
        Some(live) if live.desired == 0 => "CoreDNS is scaled to 0 replicas, so DNS names do not resolve",
        Some(live) if runs_another(planner, &live.content, image.as_deref()) => "CoreDNS runs a different image than the bundle's",
        _ => return Ok(()),
    };
    let Some(machine) = planner.inventory.machines.get(api_via.as_str()) else { return Ok(()) };
    let config = documents::control_plane(planner.inventory, planner.api_servers(planner.manifests.kubernetes()), api_via, machine)?;
    planner.step(StepKind::CoreDns.of(api_via), api_via, reason, RestoreCoreDns { config, address: dns_address(planner.inventory) }, []);
    Ok(())
}

/// Why kube-proxy is not in the cluster as `document` says; `None`: it is.
pub fn kube_proxy_differs(planner: &Planner, cluster: &ClusterFacts, document: &str) -> Result<Option<Cow<'static, str>>> {
    if is_skipped(planner, "kube-proxy") {
        return Ok(None);
    }
    let add_ons = &cluster.add_ons;
    if is_gone(add_ons, &KUBE_PROXY) {
        // Pod networks that replace it want it gone.
        return Ok(
            (planner.inventory.cluster.cni != Cni::None).then_some("some of kube-proxy's objects are missing from the cluster".into())
        );
    }
    if planner.only.is_some() {
        return Ok(None);
    }
    match kube_proxy_lacks_nodes(cluster) {
        Some((0, _)) => return Ok(Some("kube-proxy's DaemonSet matches no node".into())),
        Some((pods, nodes)) => return Ok(Some(format!("kube-proxy's DaemonSet matches only {pods} of {nodes} nodes").into())),
        None => {}
    }
    let wanted: Value = serde_yaml::from_str(document).context("KubeProxyConfiguration is not valid YAML")?;
    let map = add_ons.get("ConfigMap", namespaces::SYSTEM, "kube-proxy").map(|live| &live.content);
    let read = |key: &str| -> Value {
        let text = map.and_then(|map| map.get(key)?.as_str());
        text.and_then(|text| serde_yaml::from_str(text).ok()).unwrap_or_default()
    };
    if !has(&read("config.conf"), &wanted) {
        return Ok(Some("KubeProxyConfiguration in the cluster differs from the inventory".into()));
    }
    let server = format!("https://{}", documents::endpoint(planner.inventory));
    let clusters = read("kubeconfig.conf").get("clusters").and_then(Value::as_array).cloned().unwrap_or_default();
    let asks = |cluster: &Value| cluster.pointer("/cluster/server").and_then(Value::as_str) == Some(&server);
    if clusters.is_empty() || !clusters.iter().all(asks) {
        return Ok(Some("kube-proxy's kubeconfig in the cluster does not point to the cluster's API server".into()));
    }
    let image = planner.manifests.image(Component::KubeProxy).map(|image| image.reference.as_str());
    let daemon_set = add_ons.get("DaemonSet", namespaces::SYSTEM, "kube-proxy");
    let another = daemon_set.is_some_and(|live| runs_another(planner, &live.content, image));
    Ok(another.then_some("kube-proxy runs a different image than the bundle's".into()))
}

/// Why a document is not in its ConfigMap as `text` says; `None`: it is.
pub fn document_differs(planner: &Planner, add_ons: &AddOns, document: Document, text: &str) -> Result<Option<Cow<'static, str>>> {
    let name = if document == Document::Cluster { configmap::KUBEADM } else { configmap::KUBELET };
    let key = if document == Document::Cluster { document.kind() } else { "kubelet" };
    let live = add_ons.get("ConfigMap", namespaces::SYSTEM, name).and_then(|map| map.content.get(key)?.as_str());
    let Some(live) = live else { return Ok(Some(format!("{} is missing from the cluster", document.kind()).into())) };
    if planner.only.is_some() {
        return Ok(None);
    }
    let mut wanted: Value = serde_yaml::from_str(text).with_context(|| format!("{} is not valid YAML", document.kind()))?;
    // An upgrade changes it.
    wanted.as_object_mut().and_then(|wanted| wanted.remove("kubernetesVersion"));
    let live: Value = serde_yaml::from_str(live).unwrap_or_default();
    Ok((!has(&live, &wanted)).then(|| format!("{} in the cluster differs from the inventory", document.kind()).into()))
}

/// The address of the cluster's DNS, as kubeadm and kubelet reckon it: the tenth of the Services'.
pub fn dns_address(inventory: &Inventory) -> IpAddr {
    match inventory.cluster.service_subnet.network() {
        IpAddr::V4(first) => Ipv4Addr::from(u32::from(first).wrapping_add(10)).into(),
        IpAddr::V6(first) => Ipv6Addr::from(u128::from(first).wrapping_add(10)).into(),
    }
}

fn dns_service(add_ons: &AddOns) -> Option<&Value> {
    add_ons.get("Service", namespaces::SYSTEM, "kube-dns").map(|live| &live.content)
}

/// Whether the Service of CoreDNS has the address that kubelets tell pods.
fn has_dns_address(inventory: &Inventory, add_ons: &AddOns) -> bool {
    let address = dns_service(add_ons).and_then(|service| service.get("clusterIP")?.as_str()?.parse::<IpAddr>().ok());
    address == Some(dns_address(inventory))
}

/// Whether what pods ask the Service arrives where CoreDNS listens.
fn leads_to_coredns(add_ons: &AddOns) -> bool {
    let Some(service) = dns_service(add_ons) else { return false };
    let ports = service.get("ports").and_then(Value::as_array);
    // A Corefile of one's own may have it listen elsewhere, and the Service lead there.
    let elsewhere = add_ons.get("ConfigMap", namespaces::SYSTEM, "coredns").is_some_and(|map| {
        let corefile = map.content.get("Corefile").and_then(Value::as_str).unwrap_or_default();
        !corefile.split([' ', '\n', '\t', ',', '{']).any(|word| word.ends_with(":53"))
    });
    let arrives = |target: Option<&Value>| elsewhere || target.is_none_or(|target| target.is_string() || *target == json!(53));
    let listens = |protocol: &str| {
        ports.into_iter().flatten().any(|port| has(port, &json!({ "port": 53, "protocol": protocol })) && arrives(port.get("targetPort")))
    };
    service.get("selector") == Some(&json!({ "k8s-app": "kube-dns" })) && listens("UDP") && listens("TCP")
}

/// Those of the add-ons that should have pods, and have none that is ready. What is missing altogether is another matter.
pub fn down(add_ons: &AddOns) -> Vec<&'static str> {
    let is_down = |live: &LiveObject| live.desired > 0 && live.ready == 0;
    let down = WITH_PODS.into_iter().filter(|(_, kind, namespace, object)| add_ons.get(kind, namespace, object).is_some_and(is_down));
    down.map(|(name, ..)| name).collect()
}

/// The label by which nodes tell their operating system, and what these DaemonSets run on.
const OS: (&str, &str) = ("kubernetes.io/os", "linux");

/// Seconds after which whatever counts a DaemonSet's pods has seen a new node, also where it is busy.
const NODE_SEEN: i64 = 60;

/// How many pods a DaemonSet is to have, and how many nodes there are, where it should have one on each and is to have fewer: someone narrowed
/// what it selects. A node that is not Ready counts as any other, since these DaemonSets tolerate all that keeps others off it; one that has just
/// registered does not, as nobody may have seen it, and neither do numbers of what the DaemonSet was before.
fn lacks_nodes(cluster: &ClusterFacts, namespace: &str, name: &str) -> Option<(u64, u64)> {
    let live = cluster.add_ons.get("DaemonSet", namespace, name).filter(|live| !live.unobserved)?;
    let is_new = |node: &NodeFact| node.age.is_some_and(|age| age < NODE_SEEN) || !node.ready && node.pod_cidr.is_empty();
    let nodes = cluster.nodes.values().filter(|node| !is_new(node) && node.labels.get(OS.0).is_none_or(|os| os == OS.1)).count() as u64;
    (live.desired < nodes).then_some((live.desired, nodes))
}

/// The same of kube-proxy's.
pub fn kube_proxy_lacks_nodes(cluster: &ClusterFacts) -> Option<(u64, u64)> {
    lacks_nodes(cluster, namespaces::SYSTEM, "kube-proxy")
}

fn is_gone(add_ons: &AddOns, objects: &[(&str, &str)]) -> bool {
    objects.iter().any(|(kind, name)| add_ons.get(kind, namespaces::SYSTEM, name).is_none())
}

/// Whether the inventory asks kubeadm not to make the add-on.
fn is_skipped(planner: &Planner, name: &str) -> bool {
    let skipped = planner.inventory.kubeadm.init.get("skipPhases").and_then(|phases| phases.as_sequence());
    let phase = format!("addon/{name}");
    skipped.into_iter().flatten().filter_map(|value| value.as_str()).any(|skipped| skipped == "addon" || skipped == phase)
}

/// Whether a workload's first container has another image than the bundle's. Where the inventory names images of its own, nobody knows.
fn runs_another(planner: &Planner, spec: &Value, image: Option<&str>) -> bool {
    let own = ["imageRepository", "dns"].iter().any(|key| planner.inventory.kubeadm.cluster.contains_key(*key));
    let live = spec.pointer("/template/spec/containers/0/image").and_then(Value::as_str);
    !own && image.is_some() && live != image
}

/// What runs on a machine that joined again since the snapshot was taken has other addresses than its node in the restored cluster: nothing
/// reaches it there, a CoreDNS among it least of all.
pub fn strand(planner: &mut Planner, api_via: &MachineName) {
    let Some(snapshot) = planner.restore else { return };
    for (name, _) in planner.machines() {
        let known = snapshot.nodes.contains(name.as_str()) && planner.joined(name);
        if known && joined_since(snapshot, planner.facts.get(name).copied()) {
            let reason = format!("{name} joined again after the snapshot was taken, so its pods can't be reached");
            let action = Drain { node: name.to_string(), force_after: Some(STRANDED), returns: false };
            planner.step(StepKind::Drain.of(name), api_via, reason, action, [StepKind::Init.of(api_via).if_planned()]);
        }
    }
}

/// Seconds after which pods that nothing reaches are evicted in spite of PodDisruptionBudgets.
const STRANDED: u64 = 30;

/// flannel begins anew on machines whose end of the tunnel is another than the one that other nodes know. What a restored cluster knows is
/// as old as its snapshot.
pub fn tunnels(planner: &mut Planner, api_via: &MachineName, cluster: &ClusterFacts) {
    if planner.inventory.cluster.cni == Cni::None {
        return;
    }
    for (name, _) in planner.machines() {
        let reason = match planner.restore {
            Some(snapshot) if comes_back(planner, snapshot, name) => {
                format!("the snapshot may contain an outdated address of flannel's tunnel on {name}")
            }
            None if planner.concerns(name) && planner.usable(name).is_some() && planner.joined(name) => {
                let own = planner.facts.get(name).and_then(|facts| facts.vtep_mac.as_ref());
                let known = cluster.nodes.get(name.as_str()).map(|node| &node.vtep_mac).filter(|known| !known.is_empty());
                match (own, known) {
                    (Some(own), Some(known)) if own != known => {
                        format!("node {name} is recorded with flannel's VTEP MAC {known}, but flannel.1 on the machine has {own}")
                    }
                    _ => continue,
                }
            }
            _ => continue,
        };
        let id = StepKind::RestartFlannel.of(name);
        let needs = [StepKind::Init, StepKind::Flannel].map(|kind| kind.of(api_via).if_planned());
        planner.step(id, api_via, reason, RestartFlannel { node: name.clone() }, needs);
    }
}
