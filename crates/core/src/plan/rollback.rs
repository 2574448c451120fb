//! An upgrade that is taken back, before the first worker's turn: kubelets of control planes first, as none may be newer than an API server,
//! then their static pods. Of several control planes, each gets back what the upgrade kept of it, and etcd's data stays; the only one gets
//! etcd's data back, too.

use anyhow::Result;
use jiff::Timestamp;

use super::hint::{Command, Hint};
use super::leave::away;
use super::planner::Planner;
use super::refusal::Why;
use super::turn::{make_way, yields_vip};
use super::{Plan, check, documents, machine, silence, upgrade, verify, wanted};
use crate::action::cluster::Uncordon;
use crate::action::rollback::{RollBackControlPlane, RollBackNode, RollBackShared};
use crate::digest::sha256;
use crate::facts::{BeforeUpgrade, ClusterFacts, Facts};
use crate::inventory::{Inventory, Machine, MachineName, Role};
use crate::manifest::Component;
use crate::protocol::path;
use crate::record::InProgress;
use crate::static_pod::StaticPod;
use crate::step::{Need, StepKind};
use crate::trusted::{ApiVia, Trusted};
use crate::version::numbers;

/// The version that an upgrade which has not ended began at, by what it kept on control planes. `None`: there is none, or none of a version
/// that hostler has bundles of. The newest: control planes whose turn has not come may have something left of an upgrade before.
pub fn version_before<'a>(trusted: &Trusted, inventory: &'a Inventory) -> Option<&'a str> {
    let known = |version: &str| inventory.versions.known(version);
    let kept = trusted.holders().filter_map(|(_, facts)| known(facts.before_upgrade.as_ref()?.version()?));
    kept.max_by_key(|version| numbers(version))
}

/// A control plane whose upgrade has begun.
#[derive(Clone, Copy)]
struct Begun<'a> {
    name: &'a MachineName,
    machine: &'a Machine,
    facts: &'a Facts,
    kept: &'a BeforeUpgrade,
}

/// The plan that takes an upgrade back. `continues`: it is the rest of a rollback of this run.
///
/// # Errors
/// A template that can't be filled in, which is a defect.
pub fn plan(mut planner: Planner, continues: bool) -> Result<Plan> {
    check::look(&mut planner);
    // It is put back.
    planner.keep_refusals(|why| match why {
        Why::Missing { paths } | Why::Damaged { paths } => !paths.iter().all(|path| is_put_back(path)),
        // It concerns who joins.
        Why::HostsLine { .. } => false,
        _ => true,
    });
    let begun = begun(&planner);
    look(&mut planner, &begun, continues);
    if planner.cluster_refused || !planner.refused.is_empty() {
        return Ok(planner.finish());
    }
    let alone = planner.inventory.only_control_plane().is_some();
    let joined: Vec<_> = begun.iter().map(|begun| (begun.name, begun.machine)).collect();
    let mut before = upgrade::staged(&mut planner, &joined);
    if alone {
        before = the_only_one(&mut planner, &begun, before)?;
        planner.comes_back = begun.first().map(|begun| begun.name).filter(|_| planner.step_of(StepKind::RollBackControlPlane).is_some());
    } else if let Some(ApiVia { machine: api_via, cluster, .. }) = planner.api_via {
        before = kubelets(&mut planner, (api_via, cluster), &begun, before)?;
        before = shared(&mut planner, (api_via, cluster), before)?;
        before = static_pods(&mut planner, &begun, before);
    }
    verify::plan(&mut planner)?;
    // Also what others have left of an upgrade before.
    let kept: Vec<&MachineName> = upgrade::kept(&planner).into_iter().map(|(name, _)| name).collect();
    upgrade::end(&mut planner, "the rollback is complete", kept, before);
    Ok(planner.finish())
}

/// Whether it is among what an upgrade keeps.
fn is_put_back(file: &str) -> bool {
    StaticPod::ALL.iter().any(|pod| file == pod.manifest())
        || file.starts_with(path::ETCD)
        || [path::KUBELET_CONFIG, path::KUBELET_FLAGS].contains(&file)
}

fn begun<'a>(planner: &Planner<'a>) -> Vec<Begun<'a>> {
    let control_planes = planner.machines().filter(|(_, machine)| machine.role == Role::ControlPlane);
    let begun = |(name, machine)| {
        let facts = planner.usable(name).filter(|_| planner.joined(name))?;
        let kept = facts.before_upgrade.as_ref().filter(|kept| kept.version() == Some(planner.manifests.kubernetes()))?;
        Some(Begun { name, machine, facts, kept })
    };
    control_planes.filter_map(begun).collect()
}

/// What speaks against it.
fn look<'a>(planner: &mut Planner<'a>, begun: &[Begun<'a>], continues: bool) {
    let to = planner.manifests.kubernetes().to_owned();
    let cluster = planner.api_via.map(|api_via| api_via.cluster);
    for (name, machine) in planner.machines() {
        let node = cluster.and_then(|cluster| cluster.nodes.get(name.as_str()));
        if planner.unreachable.contains_key(name) {
            if machine.role == Role::ControlPlane {
                let hint = away(planner, name);
                planner.refuse(Some(name), Why::Unreachable, hint);
                continue;
            } else if node.is_none() {
                let hint = away(planner, name);
                planner.refuse(Some(name), Why::VersionUnknown, hint);
                continue;
            }
        }
        if machine.role == Role::ControlPlane || begun.is_empty() {
            continue;
        }
        let in_use = planner.usable(name).filter(|_| planner.joined(name)).and_then(wanted::version_in_use);
        let reported = node.map(|node| node.version.as_str());
        let newer = in_use.into_iter().chain(reported).find(|is| numbers(is) > numbers(&to)).map(str::to_owned);
        if let Some(is) = newer {
            let hint = Hint::Run(Command::Upgrade { to: Some(is.clone()) });
            planner.refuse(Some(name), Why::WorkerUpgraded { is, to: to.clone() }, hint);
        }
    }
    if begun.is_empty() && !continues && planner.refused.is_empty() {
        let is = cluster.map(|cluster| cluster.version.clone());
        planner.refuse(None, Why::NothingToRollBack { is }, Hint::KeptUntilDone);
    } else if !begun.is_empty() && planner.api_via.is_none() && planner.inventory.only_control_plane().is_none() {
        silence::explain(planner);
    }
}

/// The only control plane: first its kubelet, then all of it.
fn the_only_one(planner: &mut Planner, begun: &[Begun], mut before: Vec<Need>) -> Result<Vec<Need>> {
    for begun in begun {
        let cluster = planner.api_via.map(|api_via| api_via.cluster);
        if !is_back(planner, begun, cluster) {
            before = vec![kubelet(planner, begun, before, true)?];
        }
        if let Some(need) = control_plane(planner, begun, &before) {
            let since = Timestamp::from_second(begun.kept.since).map_or_else(|_| "the upgrade began".to_owned(), |since| since.to_string());
            planner.warn(
                None,
                format!(
                    "etcd's data is restored to its state from before the upgrade of {}: everything written to the cluster since {since} \
                     is lost, and the API is unavailable for about a minute",
                    begun.name
                ),
            );
            before = vec![need];
        }
    }
    Ok(before)
}

/// Kubelets of several control planes, the last upgraded first, each drained as for an upgrade.
fn kubelets(
    planner: &mut Planner,
    (api_via, cluster): (&MachineName, &ClusterFacts),
    begun: &[Begun],
    mut before: Vec<Need>,
) -> Result<Vec<Need>> {
    for begun in begun.iter().rev() {
        if !is_back(planner, begun, Some(cluster)) {
            let reason = format!("{} is about to be rolled back", begun.name);
            before = make_way(planner, (api_via, cluster), begun.name, &reason, before);
            before = vec![kubelet(planner, begun, before, false)?];
            before = vec![uncordon(planner, api_via, begun.name, before)];
        }
    }
    // Whose turn was broken off between drain and upgrade.
    for (name, _) in planner.machines() {
        let cordoned = cluster.nodes.get(name.as_str()).is_some_and(|node| node.cordoned_by_hostler);
        if cordoned && !planner.has_step(&StepKind::Uncordon.of(name)) {
            before = vec![uncordon(planner, api_via, name, before)];
        }
    }
    Ok(before)
}

fn uncordon(planner: &mut Planner, api_via: &MachineName, name: &MachineName, before: Vec<Need>) -> Need {
    let action = Uncordon { node: name.to_string(), version: planner.manifests.kubernetes().to_owned() };
    let reason = format!("{name} runs the version from before the upgrade");
    planner.step(StepKind::Uncordon.of(name), api_via, reason, action, before).into()
}

/// Whether containerd and kubelet of the machine are what they were.
fn is_back(planner: &Planner, begun: &Begun, cluster: Option<&ClusterFacts>) -> bool {
    let node = cluster.and_then(|cluster| cluster.nodes.get(begun.name.as_str()));
    wanted::uses(begun.facts, &upgrade::set_of(planner, begun.name))
        && !upgrade::is_half_switched(begun.facts)
        && node.is_none_or(|node| node.version == planner.manifests.kubernetes())
}

fn kubelet(planner: &mut Planner, begun: &Begun, before: Vec<Need>, alone: bool) -> Result<Need> {
    let Some(manifest) = planner.manifest_of(begun.name) else { anyhow::bail!("there is no bundle for {}", begun.name) };
    let (set, programs) = wanted::programs(manifest, begun.machine.role);
    let files = wanted::containerd_files(planner.inventory, manifest, begun.name, begun.facts)?;
    let containerd = files.into_iter().filter(|file| machine::differs(begun.facts, file)).collect();
    let yields_vip = yields_vip(planner.inventory, begun.name);
    let action = RollBackNode { arch: manifest.arch, set, programs, containerd, yields_vip, alone };
    let reason = match wanted::version_in_use(begun.facts) {
        Some(is) if is != manifest.kubernetes => format!("kubelet has version {is}"),
        _ => "a rollback of kubelet was interrupted".to_owned(),
    };
    Ok(planner.step(StepKind::RollBackNode.of(begun.name), begun.name, reason, action, before).into())
}

/// What all machines share, while the API servers that would mind are still the newer ones.
fn shared(planner: &mut Planner, (api_via, cluster): (&MachineName, &ClusterFacts), before: Vec<Need>) -> Result<Vec<Need>> {
    let version = planner.manifests.kubernetes().to_owned();
    if cluster.stored_version == version {
        return Ok(before);
    }
    let Some(machine) = planner.inventory.machines.get(api_via.as_str()) else { return Ok(before) };
    let action = RollBackShared {
        version: version.clone(),
        config: documents::control_plane(planner.inventory, planner.api_servers(&version), api_via, machine)?,
        sha256: sha256(documents::cluster(planner.inventory, planner.api_servers(&version))?.as_bytes()),
        coredns: planner.manifests.image(Component::Coredns).map(|image| image.reference.clone()),
    };
    let reason = format!("the cluster's ClusterConfiguration has version {}", cluster.stored_version);
    Ok(vec![planner.step(StepKind::RollBackShared.of(api_via), api_via, reason, action, before).into()])
}

/// Static pods of several control planes, one machine after the other: first those whose API server does not answer.
fn static_pods(planner: &mut Planner, begun: &[Begun], mut before: Vec<Need>) -> Vec<Need> {
    let mut order: Vec<&Begun> = begun.iter().rev().collect();
    order.sort_by_key(|begun| planner.trusted.answers(begun.name));
    for begun in order {
        if let Some(need) = control_plane(planner, begun, &before) {
            before = vec![need];
        }
    }
    before
}

/// Static pods of one control plane; `None`: they are back.
fn control_plane(planner: &mut Planner, begun: &Begun, before: &[Need]) -> Option<Need> {
    let version = planner.manifests.kubernetes().to_owned();
    let answering = planner.trusted.answering().find(|api_via| api_via.machine == begun.name);
    let interrupted = begun.facts.in_progress.contains(&InProgress::Upgrade);
    let another = answering.map(|api_via| &api_via.cluster.version).filter(|is| **is != version);
    if begun.kept.back && !interrupted && another.is_none() {
        return None;
    }
    let reason = match another {
        Some(is) => format!("the API server has version {is}"),
        None if interrupted => "an upgrade of the static pods was interrupted".to_owned(),
        None => "the static pods may have the newer version".to_owned(),
    };
    let action = RollBackControlPlane {
        version,
        set: upgrade::set_of(planner, begun.name),
        node: begun.name.to_string(),
        etcd: planner.inventory.only_control_plane().map(|_| begun.machine.address.to_string()),
        yields_vip: yields_vip(planner.inventory, begun.name),
    };
    Some(planner.step(StepKind::RollBackControlPlane.of(begun.name), begun.name, reason, action, before.to_vec()).into())
}
