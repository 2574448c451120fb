//! From one version of Kubernetes to another: programs and images everywhere first, then one control plane after the other, then one kubelet
//! after the other. What is done already is seen on the machines, so that a run that was interrupted goes on.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::hint::{Command, Hint};
use super::leave::away;
use super::planner::Planner;
use super::refusal::Why;
use super::turn::{make_way, yields_vip};
use super::{Plan, documents, machine, silence, verify, wanted};
use crate::action::cluster::Uncordon;
use crate::action::kubeadm::{ReconnectKubelet, UpgradeControlPlane, UpgradeNode};
use crate::action::machine::StagePrograms;
use crate::action::rollback::EndUpgrade;
use crate::digest::sha256;
use crate::document::Document;
use crate::facts::{BeforeUpgrade, ClusterFacts, Facts, NodeFact, Observation, RequestedApi};
use crate::inventory::{Inventory, Machine, MachineName, Role};
use crate::record::{InProgress, Record};
use crate::step::{ImageGroup, Need, StepKind};
use crate::trusted::{ApiVia, trusted_of};
use crate::version::{Versions, numbers};

/// Minor versions that a kubelet may be older than its API server: <https://kubernetes.io/releases/version-skew-policy/>.
const KUBELET_SKEW: u32 = 3;

/// Measured on two cores: etcd 65 s, then the API server 47 s; 9 s when a kubelet of another minor version begins.
const AWAY: &str = "with one control plane, the API will be unavailable two or three times, for about a minute each; pods and Services keep running meanwhile";

/// The plan that makes the cluster the version of the planner's bundles.
pub fn plan(mut planner: Planner) -> Result<Plan> {
    super::check::look(&mut planner);
    look(&mut planner);
    let Some(ApiVia { machine: api_via, cluster, .. }) = planner.api_via.filter(|_| planner.refused.is_empty() && !planner.cluster_refused)
    else {
        return Ok(planner.finish());
    };
    let to = planner.manifests.kubernetes().to_owned();
    let joined: Vec<(&MachineName, &Machine)> = planner.machines().filter(|(name, _)| planner.joined(name)).collect();
    let mut before = staged(&mut planner, &joined);
    let control_planes = control_planes_to_upgrade(&planner, &joined, &to);
    if !control_planes.is_empty() && planner.inventory.only_control_plane().is_some() {
        planner.warn(None, AWAY);
    }
    for (turn, (name, _)) in control_planes.into_iter().enumerate() {
        let first = turn == 0 && cluster.stored_version != to;
        let config = documents::upgrade(planner.inventory, &to)?;
        let set = set_of(&planner, name);
        let action = UpgradeControlPlane {
            version: to.clone(),
            first,
            set,
            config,
            sha256: cluster_sum(&planner, cluster, &to)?,
            yields_vip: yields_vip(planner.inventory, name),
            alone: planner.inventory.only_control_plane().is_some(),
        };
        let reason = match planner.trusted.answering().find(|api_via| api_via.machine == name) {
            Some(api_via) if api_via.cluster.version != to => format!("the API server has version {}", api_via.cluster.version),
            _ => "an upgrade of the static pods was interrupted".to_owned(),
        };
        let id = planner.step(StepKind::UpgradeControlPlane.of(name), name, reason, action, before);
        before = vec![id.into()];
    }
    reconnect(&mut planner, &joined);
    // A kubelet is never newer than an API server that it may speak to.
    for (name, machine) in joined.iter().filter(|(_, machine)| machine.role == Role::ControlPlane) {
        before = node(&mut planner, (api_via, cluster), (name, machine), &to, before)?;
    }
    let workers: Vec<_> = joined.iter().filter(|(_, machine)| machine.role == Role::Worker).collect();
    let at_once = at_once(&mut planner, joined.len());
    // Each waits for the one that is so many places before it: then no more are away at once.
    let mut done = vec![before; at_once];
    for (turn, (name, machine)) in workers.into_iter().enumerate() {
        let before = done[turn % at_once].clone();
        done[turn % at_once] = node(&mut planner, (api_via, cluster), (name, machine), &to, before)?;
    }
    let before = done.concat();
    verify::plan(&mut planner)?;
    let left = kept(&planner);
    let kept = |name: &MachineName| planner.has_step(&StepKind::UpgradeControlPlane.of(name)) || left.iter().any(|(kept, _)| *kept == name);
    let kept: Vec<&MachineName> = joined.iter().map(|(name, _)| *name).filter(|name| kept(name)).collect();
    end(&mut planner, "the upgrade is complete", kept, before);
    Ok(planner.finish())
}

/// Kubelets to which the only API server was away for minutes ask it again only later, up to a minute, and until then no pod leaves their machines.
fn reconnect<'a>(planner: &mut Planner<'a>, joined: &[(&'a MachineName, &'a Machine)]) {
    let upgraded = planner.step_of(StepKind::UpgradeControlPlane).filter(|_| planner.inventory.only_control_plane().is_some());
    let Some(upgraded) = upgraded else { return };
    for (name, machine) in joined {
        if machine.role == Role::Worker && planner.usable(name).is_some() {
            let reason = "the API server was unavailable";
            planner.step(StepKind::ReconnectKubelet.of(name), name, reason, ReconnectKubelet {}, [upgraded.clone().into()]);
        }
    }
}

/// What was kept for a rollback of these machines goes once all is verified.
pub(super) fn end<'a>(planner: &mut Planner, reason: &str, kept: impl IntoIterator<Item = &'a MachineName>, before: Vec<Need>) {
    let verified = planner.step_of(StepKind::Probe);
    let before: Vec<Need> = verified.map_or(before, |probe| vec![probe.into()]);
    for name in kept {
        planner.step(StepKind::EndUpgrade.of(name), name, reason, EndUpgrade {}, before.clone());
    }
}

/// Machines that keep what a rollback would need.
pub(super) fn kept<'a>(planner: &Planner<'a>) -> Vec<(&'a MachineName, &'a BeforeUpgrade)> {
    let kept = |name| planner.usable(name).filter(|_| planner.joined(name))?.before_upgrade.as_ref();
    planner.machines().filter_map(|(name, _)| Some((name, kept(name)?))).collect()
}

/// What an upgrade has left that was interrupted after its last change, or a rollback: a later rollback must not go back to it.
pub(super) fn end_left(planner: &mut Planner) {
    let Some(ApiVia { cluster, .. }) = planner.api_via else { return };
    let is = &cluster.version;
    let over = cluster.stored_version == *is
        && planner.trusted.answering().all(|api_via| api_via.cluster.version == *is)
        && cluster.nodes.values().all(|node| node.version == *is && !node.cordoned_by_hostler)
        && planner.facts.values().all(|facts| !is_half_switched(facts) && !facts.in_progress.contains(&InProgress::Upgrade));
    let kept = kept(planner);
    // Of one that does not answer it is not known what it runs.
    if !over || !kept.iter().all(|(name, _)| planner.trusted.answers(name)) {
        return;
    }
    let reason = match kept.iter().any(|(_, kept)| kept.version() == Some(is)) {
        true if kept.iter().any(|(_, kept)| kept.back) => "the rollback is complete",
        true => "the upgrade changed nothing",
        false => "the upgrade is complete",
    };
    end(planner, reason, kept.into_iter().map(|(name, _)| name), Vec::new());
}

/// How many workers may be away at once: one node stays, so that pods have a place to go to.
fn at_once(planner: &mut Planner, nodes: usize) -> usize {
    let most = nodes.saturating_sub(1).max(1);
    if planner.parallel > most {
        planner.warn(None, format!("of {nodes} nodes, at most {most} can be upgraded at once: evicted pods need another node"));
    }
    planner.parallel.clamp(1, most)
}

/// What speaks against it.
fn look(planner: &mut Planner) {
    let to = planner.manifests.kubernetes().to_owned();
    let unreachable: Vec<_> = planner.unreachable.keys().copied().collect();
    for name in unreachable {
        let hint = away(planner, name);
        planner.refuse(Some(name), Why::Unreachable, hint);
    }
    let Some(ApiVia { cluster, .. }) = planner.api_via else {
        if !planner.cluster_refused {
            let (why, hint) = if planner.cluster_exists() {
                let hint = silence::hint(planner, Hint::BringControlPlanesBack { look: false });
                (Why::NoApi { answers: silence::answers(planner) }, hint)
            } else {
                (Why::NoClusterToUpgrade, Hint::MakeCluster)
            };
            planner.refuse(None, why, hint);
        }
        return;
    };
    versions(planner, &to);
    removed_apis(planner, &to);
    for (name, _) in planner.machines() {
        let (Some(node), true) = (cluster.nodes.get(name.as_str()), planner.joined(name)) else { continue };
        // One that is in the middle of it may be anything but Ready.
        let begun = planner.facts.get(name).is_some_and(|facts| is_switched(planner, name, facts));
        if !node.ready && !begun && planner.usable(name).is_some() {
            planner.refuse(Some(name), Why::NodeNotReady { message: node.message.clone() }, Hint::Repair);
        }
    }
    for member in cluster.members.values().filter(|member| !member.healthy) {
        let why = Why::MemberUnhealthy { member: member.called().to_owned(), joins: false };
        // That of a machine in the middle of it may be down: of the others, every one is needed.
        let begun =
            planner.facts.iter().any(|(name, facts)| member.name == name.as_str() && facts.in_progress.contains(&InProgress::Upgrade));
        if !begun {
            planner.refuse(None, why, Hint::MendMembers(vec![member.called().to_owned()]));
        }
    }
}

/// APIs that clients use, and that the new version does not serve. An API server counts from its own start, so that what is fixed since is
/// told, too: nothing is refused for it.
fn removed_apis(planner: &mut Planner, to: &str) {
    let Some([major, minor, _]) = numbers(to) else { return };
    if let Some(api_via) = planner.trusted.answering().find(|api_via| api_via.cluster.requests_unread) {
        let text = format!(
            "the metrics of the API server on {} can't be read, so it is unknown whether clients use APIs that Kubernetes {major}.{minor} \
             does not serve",
            api_via.machine
        );
        planner.warn(None, text);
    }
    let requested: BTreeSet<&RequestedApi> = planner.trusted.answering().flat_map(|api_via| &api_via.cluster.requested).collect();
    for RequestedApi { api, resource, removed } in requested.into_iter().filter(|requested| requested.removed <= [major, minor]) {
        let text = format!(
            "since the API server started, a client has requested {resource} of {api}, which Kubernetes {}.{} and later versions do not \
             serve: update that client first",
            removed[0], removed[1]
        );
        planner.warn(None, text);
    }
}

/// The version between that an upgrade has to go to first: the newest of the next minor version. `None`: `to` can be reached at once. Inside,
/// `None`: no such version is known.
fn between<'a>(is: &str, to: &str, versions: &'a Versions) -> Option<Option<&'a str>> {
    let (from, to) = (numbers(is)?, numbers(to)?);
    (from[0] != to[0] || from[1] + 1 < to[1]).then(|| versions.newest_of(&format!("{}.{}", from[0], from[1] + 1)))
}

/// The versions that an upgrade of the cluster goes through, one after the other, `to` last: only `to`, where that can be reached at once, or where
/// nothing is known of the cluster. A version between that is not known is left to the plan to refuse.
pub fn stages(inventory: &Inventory, seen: &BTreeMap<MachineName, Observation>, to: &str) -> Vec<String> {
    let trusted = trusted_of(inventory, seen);
    let reported = trusted.answering().map(|api_via| api_via.cluster.version.as_str());
    let mut stages = Vec::new();
    let mut is = reported.min_by_key(|version| numbers(version));
    while let Some(next) = is.and_then(|is| between(is, to, &inventory.versions)).flatten() {
        stages.push(next.to_owned());
        is = Some(next);
    }
    stages.push(to.to_owned());
    stages
}

/// Kubernetes goes up one minor version at a time, and never down.
fn versions<'a>(planner: &mut Planner<'a>, to: &str) {
    let Some(asked @ [_, minor, _]) = numbers(to) else { return };
    let running: Vec<(&'a MachineName, &'a str)> =
        planner.trusted.answering().map(|api_via| (api_via.machine, api_via.cluster.version.as_str())).collect();
    for (_, is) in running {
        let Some(from) = numbers(is) else { continue };
        if from > asked {
            let why = Why::Downgrade { is: is.to_owned(), asked: to.to_owned() };
            planner.refuse(None, why, Hint::NotOlder { is: is.to_owned() });
            return;
        }
        if let Some(next) = between(is, to, &planner.inventory.versions) {
            let why = Why::SkipsMinor { is: is.to_owned(), asked: to.to_owned() };
            let hint = match next {
                Some(next) => Hint::UpgradeFirst { next: next.to_owned() },
                None => Hint::AddVersion { minor: format!("{}.{}", from[0], from[1] + 1) },
            };
            planner.refuse(None, why, hint);
            return;
        }
    }
    let cluster = planner.api_via.map(|api_via| api_via.cluster);
    let old = |node: &NodeFact| numbers(&node.version).filter(|kubelet| kubelet[1] + KUBELET_SKEW < minor);
    let old: Vec<_> = planner
        .machines()
        .filter_map(|(name, _)| Some((name, cluster?.nodes.get(name.as_str()).filter(|node| old(node).is_some())?.version.clone())))
        .collect();
    for (name, is) in old {
        let rebuild = Command::Rebuild { machine: name.clone(), take_over: false };
        planner.refuse(Some(name), Why::KubeletTooOld { is, asked: to.to_owned() }, Hint::Clean(rebuild));
    }
}

/// Programs and images on every machine: kubeadm starts a pod of the new pause image on any of them before it begins.
pub(super) fn staged(planner: &mut Planner, joined: &[(&MachineName, &Machine)]) -> Vec<Need> {
    let mut staged = Vec::new();
    for (name, machine) in joined {
        let (Some(facts), Some(manifest)) = (planner.usable(name), planner.manifest_of(name)) else { continue };
        let (set, programs) = wanted::programs(manifest, machine.role);
        if !facts.sets.contains(&set) {
            let missing = machine::missing_programs(facts, &programs);
            let reason = format!("the binaries of Kubernetes {} are missing", manifest.kubernetes);
            let action = StagePrograms { arch: manifest.arch, set, programs, missing };
            staged.push(planner.step(StepKind::StagePrograms.of(name), name, reason, action, []).into());
        }
        machine::images(planner, name, machine, facts, manifest);
        staged.extend(ImageGroup::ALL.map(|group| StepKind::Images(group).of(name).if_planned()));
    }
    staged
}

/// Control planes whose static pods are not of the version yet, first the one that was interrupted.
fn control_planes_to_upgrade<'a>(
    planner: &Planner<'a>,
    joined: &[(&'a MachineName, &'a Machine)],
    to: &str,
) -> Vec<(&'a MachineName, &'a Machine)> {
    let begun = |name: &MachineName| planner.facts.get(name).is_some_and(|facts| facts.in_progress.contains(&InProgress::Upgrade));
    let runs: BTreeMap<&MachineName, &str> =
        planner.trusted.answering().map(|api_via| (api_via.machine, api_via.cluster.version.as_str())).collect();
    let mut left: Vec<_> = joined
        .iter()
        .filter(|(name, machine)| machine.role == Role::ControlPlane && (begun(name) || runs.get(name) != Some(&to)))
        .copied()
        .collect();
    left.sort_by_key(|(name, _)| !begun(name));
    left
}

/// The sum of ClusterConfiguration in the new version, where what the cluster has is what the inventory says of the old one. What differs
/// besides is `up`'s.
fn cluster_sum(planner: &Planner, cluster: &ClusterFacts, to: &str) -> Result<Option<String>> {
    let sum = |version: &str| -> Result<String> {
        Ok(sha256(documents::stored(planner.inventory, planner.api_servers(version), Document::Cluster)?.as_bytes()))
    };
    let (new, old) = (sum(to)?, sum(&cluster.stored_version)?);
    let known = cluster.record.get(&Record::Document(Document::Cluster));
    Ok((known == Some(&old) || known == Some(&new)).then_some(new))
}

/// The name of the machine's set in the new version; empty where there is no bundle for it.
pub(super) fn set_of(planner: &Planner, name: &MachineName) -> String {
    let role = planner.inventory.machines.get(name).map_or(Role::Worker, |machine| machine.role);
    planner.manifest_of(name).map(|manifest| wanted::programs(manifest, role).0).unwrap_or_default()
}

/// Whether the machine uses the new set.
fn is_switched(planner: &Planner, name: &MachineName, facts: &Facts) -> bool {
    wanted::uses(facts, &set_of(planner, name))
}

/// Whether a change of its programs, or of containerd's configuration, was interrupted.
pub(super) fn is_half_switched(facts: &Facts) -> bool {
    [InProgress::Programs, InProgress::Containerd].iter().any(|mark| facts.in_progress.contains(mark))
}

/// The steps of one machine's containerd and kubelet. Returns what the next machine waits for.
fn node(
    planner: &mut Planner,
    (api_via, cluster): (&MachineName, &ClusterFacts),
    (name, machine): (&MachineName, &Machine),
    to: &str,
    before: Vec<Need>,
) -> Result<Vec<Need>> {
    let (Some(facts), Some(manifest), Some(found)) = (planner.usable(name), planner.manifest_of(name), cluster.nodes.get(name.as_str()))
    else {
        return Ok(before);
    };
    let done = is_switched(planner, name, facts) && found.version == to && !is_half_switched(facts);
    if done && !found.cordoned_by_hostler {
        return Ok(before);
    }
    let mut before = before;
    before.push(StepKind::ReconnectKubelet.of(name).if_planned());
    if !done {
        before = make_way(planner, (api_via, cluster), name, &format!("{name} is about to be upgraded"), before);
        let (set, programs) = wanted::programs(manifest, machine.role);
        let files = wanted::containerd_files(planner.inventory, manifest, name, facts)?;
        let containerd = files.into_iter().filter(|file| machine::differs(facts, file)).collect();
        let document = documents::stored(planner.inventory, planner.api_servers(to), Document::Kubelet)?;
        let action = UpgradeNode {
            arch: manifest.arch,
            set,
            programs,
            containerd,
            sha256: sha256(document.as_bytes()),
            yields_vip: yields_vip(planner.inventory, name),
        };
        let reason = if found.version == to {
            "an upgrade of kubelet was interrupted".to_owned()
        } else {
            format!("kubelet has version {}", found.version)
        };
        before = vec![planner.step(StepKind::UpgradeNode.of(name), name, reason, action, before).into()];
    }
    let action = Uncordon { node: name.to_string(), version: to.to_owned() };
    let reason = format!("{name} has been upgraded");
    Ok(vec![planner.step(StepKind::Uncordon.of(name), api_via, reason, action, before).into()])
}
