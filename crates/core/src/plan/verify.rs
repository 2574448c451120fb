//! What is looked at last: nodes Ready, names resolved, pods of all machines in reach of each other.

use anyhow::Result;
use serde_json::json;

use super::planner::Planner;
use super::refusal::Why;
use super::restore::comes_back;
use super::withdraw::unvouched;
use super::{add_ons, documents};
use crate::action::cluster::{Probe, RecordVerified};
use crate::digest::sha256;
use crate::inventory::{Cni, MachineName};
use crate::manifest::Component;
use crate::protocol::namespaces;
use crate::record::Record;
use crate::step::{Need, StepKind};
use crate::template;
use crate::trusted::ApiVia;
use crate::words::and;

/// Bytes of an inventory that a ConfigMap, which holds at most 1 MiB, has room for in base64.
const MOST_TEXT: usize = 256 << 10;

pub fn plan(planner: &mut Planner) -> Result<()> {
    let no_network = |why: &Why| matches!(why, Why::NamespaceEnding { namespace: namespaces::FLANNEL, .. });
    if planner.cluster_refused || planner.refusals.iter().any(|refusal| no_network(&refusal.why)) {
        return Ok(());
    }
    let nodes: Vec<String> = planner
        .machines()
        .filter(|(name, _)| will_join(planner, name) || in_cluster(planner, name) || restored(planner, name))
        .map(|(name, _)| name.to_string())
        .collect();
    let Some(api_via) = api_via(planner) else {
        return Ok(());
    };
    let record = planner.api_via.and_then(|api_via| api_via.cluster.record.get(&Record::Verified));
    let wanted = expected(planner, |name| nodes.iter().any(|node| node == name.as_str()))?;
    // One that can't be reached now, or is refused, was verified with the others. An inventory that lists fewer machines than were verified is
    // another matter: a digest does not tell whether its machines were among them, so they are verified, and the inventory that lists all
    // verifies all again. That takes seconds, and the record never vouches for more than was probed.
    let away = |name: &MachineName| {
        (planner.unreachable.contains_key(name) || planner.refused.contains(name))
            && planner.api_via.is_some_and(|api_via| api_via.cluster.nodes.contains_key(name.as_str()))
    };
    let with_those_away = expected(planner, |name| away(name) || nodes.iter().any(|node| node == name.as_str()))?;
    let withdrawn = record.is_none() || !unvouched(planner).is_empty();
    let verified = (record == Some(&wanted) || record == Some(&with_those_away)) && !withdrawn;
    let others_verified = verified || withdrawn || others_verified(planner, &nodes, record)?;
    // What was verified before needs no second look when one machine comes or goes: that costs the same in a cluster of any size. Where an
    // earlier run withdrew the verification and did not end, all nodes are probed, so that this run ends as that one would have.
    let nodes: Vec<String> = match concerned(planner) {
        Some(only) if nodes.iter().all(|node| node != only.as_str()) => return Ok(()),
        Some(only) if !withdrawn => nodes.into_iter().filter(|node| node == only.as_str() || node == api_via.as_str()).collect(),
        _ => nodes,
    };
    let unready: Vec<&String> = match planner.api_via {
        Some(ApiVia { cluster, .. }) => nodes.iter().filter(|node| cluster.nodes.get(*node).is_none_or(|found| !found.ready)).collect(),
        None => nodes.iter().collect(),
    };
    let all: Vec<Need> = planner.all().into_iter().filter(|step| step.kind.is_verified()).map(Need::Step).collect();
    let down = planner.api_via.filter(|_| planner.only.is_none()).map_or(Vec::new(), |via| add_ons::down(&via.cluster.add_ons));
    // Where others were not verified as they should be now, that is `up`'s, and is not put on record here.
    if all.is_empty() && unready.is_empty() && down.is_empty() && (verified || !others_verified) {
        return Ok(());
    }
    let reason = match unready.as_slice() {
        [] if all.is_empty() && !down.is_empty() => format!("{} {} no ready pod", and(&down), if down.len() == 1 { "has" } else { "have" }),
        [] => "the cluster must be verified after every change".to_owned(),
        [one] => format!("node {one} is not Ready yet"),
        several => format!("{} nodes are not Ready yet", several.len()),
    };
    if planner.inventory.cluster.cni == Cni::None {
        planner.warn(
            None,
            "with `cni: none`, nodes become Ready only after you install a pod network; hostler does not verify that \
            network",
        );
        return Ok(());
    }
    // Every bundle of a cluster has it; machines can be prepared without.
    let Some(image) = planner.manifests.image(Component::Hostler) else {
        return Ok(());
    };
    let manifest = template::render("kubernetes/probe.yaml", json!({ "nodes": nodes, "image": image.reference }))?;
    // CoreDNS begins on the first machine, and would die with it.
    let spread_dns = nodes.len() > 1 && planner.restore.is_none() && planner.machines().any(|(name, _)| will_join(planner, name));
    let probe = planner.step(StepKind::Probe.of(&api_via), &api_via, reason, Probe { nodes, manifest, spread_dns }, all);
    if others_verified {
        let text = planner.inventory.text_without_addresses();
        if text.is_none() {
            planner.warn(
                None,
                "the cluster keeps no copy of the inventory for `hostler init --adopt`, because hostler can't find every URL of `notify` \
                 in the file to remove it from the copy: write these URLs without `\\` and `'`",
            );
        }
        let text = text.filter(|text| {
            let fits = text.len() <= MOST_TEXT;
            if !fits {
                let most = MOST_TEXT >> 10;
                let text =
                    format!("the inventory is longer than {most} KiB, so the cluster keeps no copy of it for `hostler init --adopt`");
                planner.warn(None, text);
            }
            fits
        });
        let action = RecordVerified { sha256: wanted, inventory: text };
        // Without its kubelet's certificate, nobody reads logs of a machine's pods.
        let needs = [probe.into(), StepKind::KubeletCertificates.of(&api_via).if_planned()];
        planner.step(StepKind::RecordVerified.of(&api_via), &api_via, "the cluster passed verification", action, needs);
    }
    Ok(())
}

/// Whether the machine has a node that is expected to be well: one that was reached, or that is no concern of this plan and is Ready.
fn in_cluster(planner: &Planner, name: &MachineName) -> bool {
    match planner.api_via.and_then(|api_via| api_via.cluster.nodes.get(name.as_str())) {
        Some(_) if planner.concerns(name) => planner.usable(name).is_some() && planner.joined(name),
        Some(node) => node.ready && !planner.unreachable.contains_key(name),
        None => false,
    }
}

fn restored(planner: &Planner, name: &MachineName) -> bool {
    planner.restore.is_some_and(|snapshot| comes_back(planner, snapshot, name))
        || planner.comes_back.is_some() && planner.usable(name).is_some() && planner.joined(name)
}

/// Whether the machine becomes a node in this plan.
pub fn will_join(planner: &Planner, name: &MachineName) -> bool {
    [StepKind::Init, StepKind::Join].iter().any(|kind| planner.has_step(&kind.of(name)))
}

/// The control plane through which the cluster is looked at, now or once this run has made it.
pub fn api_via(planner: &Planner) -> Option<MachineName> {
    let first = || planner.inventory.control_planes().map(|(name, _)| name).find(|name| planner.has_step(&StepKind::Init.of(name)));
    planner.api_via.map(|api_via| api_via.machine).or(planner.comes_back).or_else(first).cloned()
}

/// The only machine that comes or goes, in a cluster that lives.
fn concerned<'a>(planner: &Planner<'a>) -> Option<&'a MachineName> {
    planner.only.filter(|_| planner.api_via.is_some())
}

/// Whether the record says that all machines were verified which this plan does not concern: with the one that it concerns, or without it.
fn others_verified(planner: &Planner, nodes: &[String], record: Option<&String>) -> Result<bool> {
    let Some(only) = concerned(planner) else { return Ok(true) };
    let other = |name: &MachineName| name != only && nodes.iter().any(|node| node == name.as_str());
    let [without, with] = [expected(planner, other)?, expected(planner, |name| name == only || other(name))?];
    Ok(record.is_some_and(|record| *record == without || *record == with))
}

/// What was verified, in short: who is in the cluster, which versions, which network.
fn expected(planner: &Planner, is_in: impl Fn(&MachineName) -> bool) -> Result<String> {
    let nodes: Vec<String> = planner.machines().filter(|(name, _)| is_in(name)).map(|(name, _)| name.to_string()).collect();
    let documents = [
        documents::cluster(planner.inventory, planner.api_servers(planner.manifests.kubernetes()))?,
        documents::kubelet(planner.inventory)?,
        documents::kube_proxy(planner.inventory)?,
    ];
    Ok(sha256(format!("{nodes:?}{documents:?}{:?}", planner.inventory.cluster.cni).as_bytes()))
}
