//! What actions do that go through an API server.

use hostler_core::action::Action;
use hostler_core::action::cluster::{
    ApplyFlannel, Cordon, DeleteNode, Drain, Label, LetFilmsEnd, Probe, RecordPower, RecordVerified, RemoveMember, RestoreCoreDns,
    RestoreRoles, Uncordon,
};
use hostler_core::action::kubeadm::UploadConfig;
use hostler_core::action::workload::{InstallWorkload, ProveEncoders};
use hostler_core::document::Document;
use hostler_core::facts::{AddOns, ClusterFacts};
use hostler_core::protocol::label;
use hostler_core::record::Record;

use crate::documents::Documents;
use crate::system;

/// Changes `cluster` as the action does. `told`: the cluster with what follows from its machines.
///
/// # Errors
/// Something that the action takes for granted is not so.
pub fn apply(action: &Action, cluster: &mut ClusterFacts, told: &ClusterFacts) -> Result<(), String> {
    match action {
        Action::WithdrawVerification(_) => drop(cluster.record.remove(&Record::Verified)),
        Action::ApplyFlannel(ApplyFlannel { sha256, manifest, replace }) => {
            system::renew(&mut cluster.add_ons, *replace, |add_ons| system::apply(add_ons, manifest));
            cluster.record.insert(Record::Flannel, sha256.clone());
        }
        Action::RestoreRoles(RestoreRoles { manifest }) => system::apply(&mut cluster.add_ons, manifest),
        Action::RestoreCoreDns(RestoreCoreDns { config, .. }) => {
            system::coredns(&mut cluster.add_ons, &Documents::read(config).dns_address());
        }
        Action::MakeEtcdSpace(_) => cluster.members.values_mut().for_each(|member| member.error.clear()),
        Action::InstallWorkload(InstallWorkload { record, manifest, .. }) => {
            system::apply(&mut cluster.add_ons, manifest);
            cluster.record.extend(record.clone());
        }
        Action::ProveEncoders(ProveEncoders { node, tried_with, hardware, .. }) => {
            let found = cluster.nodes.get_mut(node.as_str()).ok_or_else(|| format!("there is no node {node}"))?;
            let works = if *hardware { "x264.x265.svt_av1.qsv_h264.qsv_h265" } else { "x264.x265.svt_av1" };
            found
                .labels
                .extend([(label::ENCODERS, works), (label::TRIED_WITH, tried_with)].map(|(key, value)| (key.to_owned(), value.to_owned())));
        }
        Action::KeepSecrets(action) if action.is_empty() => drop(cluster.record.remove(&Record::WorkloadToken)),
        Action::KeepSecrets(action) => drop(cluster.record.insert(Record::WorkloadToken, action.sha256.clone())),
        Action::ForgetNotify(_) => drop(cluster.add_ons.objects.remove("configmap/kube-system/hostler-notify")),
        Action::RemoveWorkload(_) => {
            cluster.add_ons.objects.retain(|key, _| !key.contains("/transcode/"));
            cluster.record.retain(|name, _| !name.is_workload());
        }
        Action::UploadConfig(UploadConfig { document, sha256, config, replace }) => {
            let documents = Documents::read(config);
            if *document == Document::Cluster {
                cluster.verifies_kubelets = documents.verifies_kubelets();
            }
            let text = documents.text(document.kind());
            match document {
                Document::KubeProxy => {
                    let version = cluster.version.clone();
                    let make = |add_ons: &mut AddOns| system::kube_proxy(add_ons, &version, &text, &documents.endpoint());
                    system::renew(&mut cluster.add_ons, *replace, make);
                }
                Document::Cluster | Document::Kubelet => system::document(&mut cluster.add_ons, *document, &text),
            }
            cluster.record.insert(Record::Document(*document), sha256.clone());
        }
        Action::RecordVerified(RecordVerified { sha256, .. }) => drop(cluster.record.insert(Record::Verified, sha256.clone())),
        Action::Label(Label { node, labels, taints, remove_taints, record }) => {
            let found = cluster.nodes.get_mut(node.as_str()).ok_or_else(|| format!("there is no node {node}"))?;
            for (key, value) in labels {
                match value {
                    Some(value) => drop(found.labels.insert(key.clone(), value.clone())),
                    None => drop(found.labels.remove(key)),
                }
            }
            found.taints.retain(|taint| !remove_taints.contains(taint) && !taints.contains(taint));
            found.taints.extend(taints.iter().cloned());
            cluster.record.insert(Record::Node(node.clone()), record.clone());
        }
        Action::Drain(Drain { node, returns, .. }) => {
            if let Some(node) = cluster.nodes.get_mut(node) {
                node.cordoned_by_hostler |= *returns && !node.unschedulable;
                node.unschedulable = true;
            }
        }
        Action::RecordPower(RecordPower { machines }) => {
            for (name, value) in machines {
                match value {
                    Some(value) => drop(cluster.record.insert(Record::Power(name.clone()), value.clone())),
                    None => drop(cluster.record.remove(&Record::Power(name.clone()))),
                }
            }
        }
        Action::LetFilmsEnd(LetFilmsEnd { node }) | Action::Cordon(Cordon { node }) => {
            if let Some(node) = cluster.nodes.get_mut(node) {
                node.cordoned_by_hostler |= !node.unschedulable;
                node.unschedulable = true;
            }
        }
        Action::Uncordon(Uncordon { node, version }) => {
            let ready = told.nodes.get(node).is_some_and(|node| node.ready && node.version == *version);
            let node = cluster.nodes.get_mut(node).filter(|_| ready).ok_or_else(|| format!("node {node} is not Ready with {version}"))?;
            node.unschedulable &= !node.cordoned_by_hostler;
            node.cordoned_by_hostler = false;
        }
        Action::RemoveMember(RemoveMember { member, peer, .. }) => {
            cluster.members.retain(|_, known| known.name != *member || known.peer != *peer);
        }
        Action::DeleteNode(DeleteNode { node }) => {
            cluster.nodes.remove(node.as_str());
            cluster.record.remove(&Record::Node(node.clone()));
            cluster.record.remove(&Record::Kubelet(node.clone()));
        }
        Action::Probe(Probe { nodes, .. }) => {
            if let Some(node) = nodes.iter().find(|node| !told.nodes.get(*node).is_some_and(|node| node.ready)) {
                return Err(format!("node {node} is not Ready"));
            }
            // It waits for them.
            cluster.add_ons.objects.values_mut().for_each(|live| live.ready = live.desired);
        }
        _ => {}
    }
    Ok(())
}
