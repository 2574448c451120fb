//! What the cluster runs of its own: flannel, kube-proxy, CoreDNS. Compared is what the API server has, not what was applied once.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::documents;
use super::planner::Planner;
use super::restore::{comes_back, joined_since};
use crate::action::cluster::{ApplyFlannel, Drain, RestartFlannel, RestoreCoreDns};
use crate::digest::sha256;
use crate::facts::{AddOns, ClusterFacts, has, object_key};
use crate::inventory::{Cni, MachineName};
use crate::manifest::Component;
use crate::protocol::namespaces;
use crate::record::Record;
use crate::step::{Need, StepId, StepKind};
use crate::template;
use crate::trusted::ApiVia;

/// Objects of kubeadm's, by kind and name.
const KUBE_PROXY: [(&str, &str); 2] = [("DaemonSet", "kube-proxy"), ("ConfigMap", "kube-proxy")];
const COREDNS: [(&str, &str); 3] = [("Deployment", "coredns"), ("ConfigMap", "coredns"), ("Service", "kube-dns")];

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
    let manifest = template::render("network/flannel.yaml", json!({ "pod_subnet": pod_subnet, "backend": backend, "image": image }))?;
    let sha256 = sha256(manifest.as_bytes());
    let (machine, reason, needs) = match (init, planner.api_via) {
        (Some((machine, step)), _) => (machine.clone(), "pods have no network yet", vec![Need::Step(step.clone())]),
        (None, Some(ApiVia { machine: api_via, cluster, .. })) => {
            let reason = match differs(&cluster.add_ons, &manifest)? {
                Some(Difference::Gone) if cluster.record.contains_key(&Record::Flannel) => {
                    "some of flannel's objects are missing from the cluster"
                }
                Some(Difference::Gone) => "pods have no network yet",
                // A network that is there and not as it should be is `up`'s.
                _ if planner.only.is_some() => return Ok(()),
                None if cluster.record.get(&Record::Flannel) == Some(&sha256) => return Ok(()),
                _ => "flannel in the cluster differs from the desired manifest",
            };
            (api_via.clone(), reason, vec![])
        }
        (None, None) => return Ok(()),
    };
    planner.step(StepKind::Flannel.of(&machine), &machine, reason, ApplyFlannel { manifest, sha256 }, needs);
    Ok(())
}

/// How live objects differ from a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Difference {
    Gone,
    Changed,
}

/// Whether the ConfigMaps and DaemonSets of `manifest` are there, with all that it says of them.
fn differs(add_ons: &AddOns, manifest: &str) -> Result<Option<Difference>> {
    let mut difference = None;
    for (key, content) in compared(manifest)? {
        match add_ons.objects.get(&key) {
            None => return Ok(Some(Difference::Gone)),
            Some(live) if !has(&live.content, &content) => difference = Some(Difference::Changed),
            Some(_) => {}
        }
    }
    Ok(difference)
}

/// The ConfigMaps and DaemonSets of a manifest, as [`AddOns::objects`] has them.
///
/// # Errors
/// It is not YAML, which is a defect.
pub fn compared(manifest: &str) -> Result<Vec<(String, Value)>> {
    let mut found = Vec::new();
    for document in serde_yaml::Deserializer::from_str(manifest) {
        let object = Value::deserialize(document).context("the manifest is not valid YAML")?;
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let content = match text("/kind").as_str() {
            "ConfigMap" => object["data"].clone(),
            "DaemonSet" => object["spec"].clone(),
            _ => continue,
        };
        found.push((object_key(&text("/kind"), &text("/metadata/namespace"), &text("/metadata/name")), content));
    }
    Ok(found)
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
        Some(live) if live.desired == 0 => "CoreDNS is scaled to 0 replicas, so DNS names do not resolve",
        Some(live) if runs_another(planner, &live.content, image.as_deref()) => "CoreDNS runs a different image than the bundle's",
        _ => return Ok(()),
    };
    let Some(machine) = planner.inventory.machines.get(api_via.as_str()) else { return Ok(()) };
    let config = documents::control_plane(planner.inventory, planner.manifests.kubernetes(), api_via, machine)?;
    planner.step(StepKind::CoreDns.of(api_via), api_via, reason, RestoreCoreDns { config }, []);
    Ok(())
}

/// Why kube-proxy is not in the cluster as `document` says; `None`: it is.
pub fn kube_proxy_differs(planner: &Planner, add_ons: &AddOns, document: &str) -> Result<Option<&'static str>> {
    if is_skipped(planner, "kube-proxy") {
        return Ok(None);
    }
    if is_gone(add_ons, &KUBE_PROXY) {
        // Pod networks that replace it want it gone.
        return Ok((planner.inventory.cluster.cni != Cni::None).then_some("some of kube-proxy's objects are missing from the cluster"));
    }
    if planner.only.is_some() {
        return Ok(None);
    }
    let wanted: Value = serde_yaml::from_str(document).context("KubeProxyConfiguration is not valid YAML")?;
    let live = add_ons.get("ConfigMap", namespaces::SYSTEM, "kube-proxy").and_then(|map| map.content.get("config.conf")?.as_str());
    let live: Value = live.and_then(|text| serde_yaml::from_str(text).ok()).unwrap_or_default();
    if !has(&live, &wanted) {
        return Ok(Some("KubeProxyConfiguration in the cluster differs from the inventory"));
    }
    let image = planner.manifests.image(Component::KubeProxy).map(|image| image.reference.as_str());
    let daemon_set = add_ons.get("DaemonSet", namespaces::SYSTEM, "kube-proxy");
    let another = daemon_set.is_some_and(|live| runs_another(planner, &live.content, image));
    Ok(another.then_some("kube-proxy runs a different image than the bundle's"))
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
                format!("the snapshot may hold an outdated address of flannel's tunnel on {name}")
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
