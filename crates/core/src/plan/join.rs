//! The first control plane, the pod network, and everybody else's way into the cluster.

use std::collections::BTreeMap;

use anyhow::Result;

use super::add_ons;
use super::api_host;
use super::check::cni_name;
use super::cluster::runs;
use super::documents;
use super::hint::{Command, Hint};
use super::machine::prepared;
use super::planner::{Planner, interrupted};
use super::refusal::Why;
use super::repair::{is_bootstrappable, kubelet_serving};
use crate::action::Action;
use crate::action::kubeadm::{BootstrapKubelet, CollectPki, CreateToken, DeleteToken, Init, Join, Restore};
use crate::action::machine::WriteHosts;
use crate::digest::sha256;
use crate::document::Document;
use crate::inventory::{Machine, MachineName, Role};
use crate::record::{Applied, InProgress, Record};
use crate::step::{ImageGroup, Input, Need, Output, StepId, StepKind};
use crate::trusted::ApiVia;
use crate::words::{and, are};

/// Where joining machines get the token and the cluster's CA from.
struct JoinSource {
    step: StepId,
    /// The control plane that opened it, and shuts it after the last join.
    machine: MachineName,
}

pub fn plan(planner: &mut Planner) -> Result<()> {
    if planner.cluster_refused {
        return Ok(());
    }
    api_host::refuse_if_down(planner);
    let joining: Vec<(&MachineName, &Machine)> =
        planner.machines().filter(|(name, _)| planner.usable(name).is_some() && !planner.joined(name)).collect();
    let ended = |name: &MachineName| planner.usable(name).is_some_and(|facts| is_bootstrappable(planner, name, facts));
    let bootstrapping: Vec<&MachineName> = planner.machines().map(|(name, _)| name).filter(|name| ended(name)).collect();
    let source = if planner.cluster_exists() {
        add_ons::flannel(planner, None)?;
        // Without an API server that answers nobody can join; what would mend it is planned elsewhere.
        let Some(ApiVia { machine: api_via, .. }) = planner.api_via else {
            return Ok(());
        };
        if joining.is_empty() && bootstrapping.is_empty() {
            return Ok(());
        }
        let id = StepKind::CreateToken.of(api_via);
        let machine = api_via.clone();
        let reason = if joining.is_empty() { "kubelets need a new certificate" } else { "machines will join" };
        planner.step(id.clone(), api_via, reason, CreateToken {}, []);
        JoinSource { step: id, machine }
    } else {
        let Some((first, machine)) = planner.inventory.control_planes().next() else {
            return Ok(());
        };
        if let Some(only) = planner.only.filter(|only| *only != first) {
            let hint = match planner.facts.get(first) {
                Some(facts) if facts.in_progress.contains(&InProgress::Restore) => {
                    Hint::FinishRestoreFirst(Command::Restore(first.clone()))
                }
                _ => Hint::MakeCluster,
            };
            planner.refuse(None, Why::NoCluster { joins: only.clone() }, hint);
        }
        // One of them may be the control plane of a cluster that is only switched off.
        let unreachable: Vec<MachineName> = planner.unreachable.keys().map(|name| (*name).clone()).collect();
        if !planner.inventory.roles_written && !planner.begins_anew && !unreachable.is_empty() {
            planner.refuse(None, Why::RolesUnknown { unreachable: unreachable.clone() }, Hint::WriteRoles { unreachable });
            return Ok(());
        }
        let Some(facts) = planner.usable(first) else {
            return Ok(());
        };
        let again = facts.in_progress.contains(&InProgress::Init);
        let mut needs = prepared(planner, first);
        needs.push(StepKind::Images(ImageGroup::ControlPlane).of(first).if_planned());
        let id = StepKind::Init.of(first);
        let config = documents::init(planner.inventory, planner.manifests.kubernetes(), first, machine)?;
        let reason = if planner.restore.is_some() {
            "the only control plane is lost"
        } else if again {
            "an earlier init was interrupted"
        } else {
            "there is no cluster yet"
        };
        let mut record: BTreeMap<Record, String> =
            record(planner, &Document::ALL)?.into_iter().map(|(document, sum)| (Record::Document(document), sum)).collect();
        record.insert(Record::Cni, cni_name(planner.inventory.cluster.cni).to_owned());
        let action = match planner.restore {
            None => Action::from(Init { config, again, record }),
            Some(snapshot) => {
                let (snapshot, node, address) = (snapshot.clone(), first.to_string(), machine.address.to_string());
                Restore { snapshot, node, address, config, record }.into()
            }
        };
        planner.step(id.clone(), first, reason, action, needs);
        add_ons::flannel(planner, Some((first, &id)))?;
        JoinSource { step: id, machine: first.clone() }
    };
    let mut joins = joins(planner, &source, &joining)?;
    joins.extend(bootstraps(planner, &source, &bootstrapping));
    let delete = DeleteToken { token: Input { step: source.step.clone(), output: Output::Token } };
    let needs: Vec<Need> = joins.into_iter().chain([source.step]).map(Need::Step).collect();
    let reason = if joining.is_empty() { "kubelets have their certificates" } else { "all joins are done" };
    planner.step(StepKind::DeleteToken.of(&source.machine), &source.machine, reason, delete, needs);
    Ok(())
}

/// The kubelets that get another client certificate.
fn bootstraps(planner: &mut Planner, source: &JoinSource, machines: &[&MachineName]) -> Vec<StepId> {
    let mut steps = Vec::new();
    for name in machines {
        let Some(facts) = planner.usable(name) else { continue };
        let input = |output: Output| Input { step: source.step.clone(), output };
        let action = BootstrapKubelet {
            node: name.to_string(),
            server: format!("https://{}", documents::endpoint(planner.inventory)),
            token: input(Output::Token),
            ca: input(Output::Ca),
            serving: facts.kubernetes.damaged.iter().any(|file| *file == kubelet_serving()),
        };
        let lacks: Vec<&String> = facts.kubernetes.missing.iter().chain(&facts.kubernetes.damaged).collect();
        let reason = match lacks.as_slice() {
            [] => "kubelet's client certificate has expired".to_owned(),
            lacks => format!("{} {} missing or damaged", and(lacks), are(lacks.len())),
        };
        let mut needs = prepared(planner, name);
        needs.push(source.step.clone().into());
        steps.push(planner.step(StepKind::BootstrapKubelet.of(name), name, reason, action, needs));
    }
    steps
}

fn joins(planner: &mut Planner, source: &JoinSource, joining: &[(&MachineName, &Machine)]) -> Result<Vec<StepId>> {
    let input = |step: &StepId, output: Output| Input { step: step.clone(), output };
    let mut steps = Vec::new();
    let mut before: Option<StepId> = None;
    let mut pki: Option<StepId> = None;
    for (name, machine) in joining {
        if **name == source.machine {
            continue;
        }
        let facts = planner.facts.get(name).copied();
        let again = facts.is_some_and(interrupted);
        let mut needs = prepared(planner, name);
        needs.extend([StepKind::Images(ImageGroup::Node).of(name).if_planned(), source.step.clone().into()]);
        // It joins by the endpoint's name.
        needs
            .extend(api_host::api_host(planner).into_iter().flat_map(runs).chain(api_host::join_of(planner, name).map(StepId::if_planned)));
        // It takes its configuration from the cluster.
        needs.extend(Document::ALL.map(|document| StepKind::StoreDocument(document).of(&source.machine).if_planned()));
        let mut keys = None;
        if machine.role == Role::ControlPlane {
            let pki = pki.get_or_insert_with(|| {
                let id = StepKind::CollectPki.of(&source.machine);
                let needs = [source.step.clone().into()];
                planner.step(id.clone(), &source.machine, "another control plane will join", CollectPki {}, needs);
                id
            });
            keys = Some(input(pki, Output::Pki));
            needs.extend([pki.clone().into(), StepKind::Images(ImageGroup::ControlPlane).of(name).if_planned()]);
            // etcd takes one learner at a time.
            needs.extend(before.clone().map(Need::Step));
        }
        let id = StepKind::Join.of(name);
        let action = Join {
            config: documents::join(planner.inventory, name, machine)?,
            again,
            token: input(&source.step, Output::Token),
            ca: input(&source.step, Output::Ca),
            pki: keys,
            record: record(planner, Document::of(machine.role))?
                .into_iter()
                .map(|(document, sum)| (Applied::Document(document), sum))
                .collect(),
        };
        let reason = if again { "an earlier join was interrupted" } else { "not in the cluster yet" };
        planner.step(id.clone(), name, reason, action, needs);
        if api_host::hosts_to_join(planner, name, machine).is_some() {
            let action = WriteHosts { lines: api_host::hosts(planner, name, machine) };
            let at = StepKind::HostsAfterJoin.of(name);
            planner.step(at, name, "once it has joined, the API endpoint must resolve to this machine", action, [id.clone().into()]);
        }
        if machine.role == Role::ControlPlane {
            before = Some(id.clone());
        }
        steps.push(id);
    }
    Ok(steps)
}

/// What is remembered of kubeadm's documents: the sha256 of each as it was rendered. A machine that joins takes what the cluster keeps, which
/// a plan for that machine alone does not change.
fn record(planner: &Planner, documents: &[Document]) -> Result<BTreeMap<Document, String>> {
    let kept = planner.api_via.filter(|_| planner.only.is_some()).map(|api_via| &api_via.cluster.record);
    documents
        .iter()
        .map(|&document| {
            if let Some(sum) = kept.and_then(|record| record.get(&Record::Document(document))) {
                return Ok((document, sum.clone()));
            }
            let text = documents::stored(planner.inventory, planner.api_servers(planner.manifests.kubernetes()), document)?;
            Ok((document, sha256(text.as_bytes())))
        })
        .collect()
}
