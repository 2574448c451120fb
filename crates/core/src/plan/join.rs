//! The first control plane, the pod network, and everybody else's way into the cluster.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::json;

use super::cluster::runs;
use super::documents;
use super::gate;
use super::machine::prepared;
use super::planner::{INIT_BEGUN, Planner, RESTORE_BEGUN, begun};
use super::refusal::cni_name;
use super::wanted::ImageGroup;
use crate::action::{Action, Document, Input};
use crate::digest::sha256;
use crate::inventory::{Cni, Machine, MachineName, Role};
use crate::manifest::Component;
use crate::step::{Stage, StepId};
use crate::template;

/// The step that shuts the door behind the last who joined.
pub const TOKEN_GONE: &str = "token-gone";

/// Where joining machines get the token and the cluster's CA from.
struct Door {
    step: StepId,
    /// The control plane that opened it, and shuts it after the last join.
    machine: MachineName,
}

pub fn plan(planner: &mut Planner) -> Result<()> {
    if planner.cluster_refused {
        return Ok(());
    }
    gate::away(planner);
    let joining: Vec<(&MachineName, &Machine)> =
        planner.machines().filter(|(name, _)| planner.usable(name).is_some() && !planner.joined(name)).collect();
    let door = if planner.cluster_exists() {
        network(planner, None)?;
        // Without an API server that answers nobody can join; what would mend it is planned elsewhere.
        let Some((speaker, _)) = planner.speaker else {
            return Ok(());
        };
        if joining.is_empty() {
            return Ok(());
        }
        let id = StepId::new(speaker, "token");
        let machine = speaker.clone();
        planner.step((Stage::Workers, id.clone()), speaker, "machines are to join", Action::CreateToken, []);
        Door { step: id, machine }
    } else {
        let Some((first, machine)) = planner.inventory.control_planes().next() else {
            return Ok(());
        };
        if let Some(only) = planner.only.filter(|only| *only != first) {
            let reason = format!("there is no cluster yet that {only} could join");
            let way_out = match planner.facts.get(first) {
                Some(facts) if facts.applied.contains_key(RESTORE_BEGUN) => {
                    format!("`hostler rebuild {first} --from SNAPSHOT` ends the restore that was cut there")
                }
                _ => "`hostler up` makes it".to_owned(),
            };
            planner.refuse(None, "no-cluster", reason, way_out);
        }
        let Some(facts) = planner.usable(first) else {
            return Ok(());
        };
        let again = facts.applied.contains_key(INIT_BEGUN);
        let mut needs = prepared(planner, first);
        needs.push(StepId::new(first, ImageGroup::ControlPlane.step()));
        let id = StepId::new(first, "init");
        let config = documents::init(planner.inventory, &planner.manifest.kubernetes, first, machine)?;
        let reason = if planner.restore.is_some() {
            "the cluster's only control plane is lost"
        } else if again {
            "an earlier init was cut before its end"
        } else {
            "there is no cluster yet"
        };
        let mut record = record(planner, &DOCUMENTS)?;
        record.insert("cni".to_owned(), cni_name(planner.inventory.cluster.cni).to_owned());
        let action = match planner.restore {
            None => Action::Init { config, again, record },
            Some(snapshot) => {
                let (snapshot, node, address) = (snapshot.clone(), first.to_string(), machine.address.to_string());
                Action::Restore { snapshot, node, address, config, record }
            }
        };
        planner.step((Stage::FirstControlPlane, id.clone()), first, reason, action, needs);
        network(planner, Some((first, &id)))?;
        Door { step: id, machine: first.clone() }
    };
    let joins = joins(planner, &door, &joining)?;
    let delete = Action::DeleteToken { token: Input::Output { step: door.step.clone(), name: "token" } };
    let needs: Vec<StepId> = joins.into_iter().chain([door.step]).collect();
    let at = (Stage::Workers, StepId::new(&door.machine, TOKEN_GONE));
    planner.step(at, &door.machine, "nobody else joins in this run", delete, needs);
    Ok(())
}

fn joins(planner: &mut Planner, door: &Door, joining: &[(&MachineName, &Machine)]) -> Result<Vec<StepId>> {
    let output = |step: &StepId, name: &'static str| Input::Output { step: step.clone(), name };
    let mut steps = Vec::new();
    let mut before: Option<StepId> = None;
    let mut pki: Option<StepId> = None;
    for (name, machine) in joining {
        if **name == door.machine {
            continue;
        }
        let facts = planner.facts.get(name).copied();
        let again = facts.is_some_and(begun);
        let mut needs = prepared(planner, name);
        needs.extend([StepId::new(name, ImageGroup::Node.step()), door.step.clone()]);
        // It takes its configuration from the cluster.
        // It joins by the endpoint's name.
        needs.extend(gate::gate(planner).into_iter().flat_map(runs).chain(gate::opens(planner, name)));
        needs.extend(DOCUMENTS.map(|document| StepId::new(&door.machine, &format!("{}-config", document.record()))));
        let mut keys = None;
        if machine.role == Role::ControlPlane {
            let pki = pki.get_or_insert_with(|| {
                let id = StepId::new(&door.machine, "pki");
                let needs = [door.step.clone()];
                planner.step((Stage::ControlPlanes, id.clone()), &door.machine, "a further control plane joins", Action::CollectPki, needs);
                id
            });
            keys = Some(output(pki, "pki"));
            needs.extend([pki.clone(), StepId::new(name, ImageGroup::ControlPlane.step())]);
            // etcd takes one learner at a time.
            needs.extend(before.clone());
        }
        let id = StepId::new(name, "join");
        let action = Action::Join {
            config: documents::join(planner.inventory, name, machine)?,
            again,
            token: output(&door.step, "token"),
            ca: output(&door.step, "ca"),
            pki: keys,
            record: record(planner, Document::of(machine.role))?,
        };
        let stage = if machine.role == Role::ControlPlane { Stage::ControlPlanes } else { Stage::Workers };
        let reason = if again { "an earlier join was cut before its end" } else { "it is not in the cluster" };
        planner.step((stage, id.clone()), name, reason, action, needs);
        if gate::hosts_to_join(planner, name, machine).is_some() {
            let action = Action::WriteHosts { lines: gate::hosts(planner, name, machine) };
            let at = (Stage::ControlPlanes, StepId::new(name, "hosts-own"));
            planner.step(at, name, "the cluster's name leads to this machine, once it is in", action, [id.clone()]);
        }
        if machine.role == Role::ControlPlane {
            before = Some(id.clone());
        }
        steps.push(id);
    }
    Ok(steps)
}

/// flannel, applied where the cluster does not have it as it should be. `init`: the machine and step that make the cluster in this run.
fn network(planner: &mut Planner, init: Option<(&MachineName, &StepId)>) -> Result<()> {
    let backend = match planner.inventory.cluster.cni {
        Cni::None => return Ok(()),
        Cni::Flannel => "vxlan",
        Cni::FlannelHostGw => "host-gw",
    };
    let image = planner.manifest.image(Component::Flannel).map_or("", |image| &image.reference);
    let pod_subnet = planner.inventory.cluster.pod_subnet.to_string();
    let manifest = template::render("network/flannel.yaml", json!({ "pod_subnet": pod_subnet, "backend": backend, "image": image }))?;
    let sha256 = sha256(manifest.as_bytes());
    let (machine, reason, needs) = match (init, planner.speaker) {
        (Some((machine, step)), _) => (machine.clone(), "pods have no network yet", vec![step.clone()]),
        (None, Some((speaker, cluster))) => match cluster.record.get("flannel") {
            // A network that is there and not as it should be is `up`'s.
            Some(applied) if *applied == sha256 || planner.only.is_some() => return Ok(()),
            Some(_) => (speaker.clone(), "flannel in the cluster is not as it should be", vec![]),
            None => (speaker.clone(), "pods have no network yet", vec![]),
        },
        (None, None) => return Ok(()),
    };
    let action = Action::Apply { name: "flannel".to_owned(), manifest, sha256 };
    planner.step((Stage::Network, StepId::new(&machine, "flannel")), &machine, reason, action, needs);
    Ok(())
}

const DOCUMENTS: [Document; 3] = [Document::Cluster, Document::Kubelet, Document::KubeProxy];

/// What is remembered of kubeadm's documents: the sha256 of each as it was rendered. A machine that joins takes what the cluster keeps, which
/// a plan for that machine alone does not change.
fn record(planner: &Planner, documents: &[Document]) -> Result<BTreeMap<String, String>> {
    let kept = planner.speaker.filter(|_| planner.only.is_some()).map(|(_, cluster)| &cluster.record);
    documents
        .iter()
        .map(|&document| {
            if let Some(sum) = kept.and_then(|record| record.get(document.record())) {
                return Ok((document.record().to_owned(), sum.clone()));
            }
            let text = documents::stored(planner.inventory, &planner.manifest.kubernetes, document)?;
            Ok((document.record().to_owned(), sha256(text.as_bytes())))
        })
        .collect()
}
