//! A control plane of which files are missing or truncated, or whose certificates have expired: kubeadm writes them again from what is there.
//! Absent is not never-there: nothing is wiped.

use std::net::SocketAddr;

use anyhow::Result;

use super::check::is_of_another;
use super::cluster::runs;
use super::documents;
use super::planner::{Planner, interrupted};
use crate::action::kubeadm::{RepairControlPlane, SetKubeletServer};
use crate::digest::sha256;
use crate::facts::{Facts, KUBELET_CLIENT, KubernetesFacts, certificate_name};
use crate::inventory::{Machine, MachineName, Role};
use crate::kubeadm_files::{self, is_made};
use crate::protocol::{path, port};
use crate::record::Applied;
use crate::static_pod::StaticPod;
use crate::step::StepKind;
use crate::words::{and, are};

/// Certificates of kubeadm's and kubelet's that have expired, and that kubeadm or a bootstrap renews; for its serving certificate kubelet asks by
/// itself. On a worker, kubeadm made none.
pub fn expired(facts: &Facts) -> Vec<String> {
    let signed = |name: &str| name == KUBELET_CLIENT || facts.kubernetes.control_plane && is_renewable(name);
    let ended = facts.kubernetes.certificates.iter().filter(|(name, ends)| signed(name) && **ends < facts.clock);
    ended.map(|(name, _)| name.clone()).collect()
}

/// Whether kubeadm renews the certificate of this name: its own, without the CAs. kubelet has its own renewed by itself.
pub fn is_renewable(certificate: &str) -> bool {
    kubeadm_files::renewed().any(|file| certificate_name(&file) == certificate)
}

/// Static pods whose manifests are not as kubeadm wrote them last on this machine, or of which nothing is on record.
pub fn changed_manifests(facts: &Facts) -> Vec<StaticPod> {
    let changed = |pod: &StaticPod| {
        facts.files.get(&pod.manifest()).is_some_and(|found| facts.applied.get(&Applied::Manifest(*pod)) != Some(&found.sha256))
    };
    StaticPod::ALL.into_iter().filter(changed).collect()
}

/// Why these files of a machine are written again.
pub fn changed_on_machine(files: &[String]) -> String {
    match files {
        [one] => format!("{one} was changed on the machine"),
        several => format!("{} were changed on the machine", and(several)),
    }
}

/// Whether kubelet's flags on the machine are not as kubeadm wrote them last. Where nothing is on record of them, nobody knows.
pub fn has_changed_flags(facts: &Facts) -> bool {
    let (found, recorded) = (facts.files.get(path::KUBELET_FLAGS), facts.applied.get(&Applied::KubeletFlags));
    found.zip(recorded).is_some_and(|(found, line)| found.sha256 != sha256(format!("{line}\n").as_bytes()))
}

/// The same of its configuration.
fn has_changed_config(facts: &Facts) -> bool {
    let (found, recorded) = (facts.files.get(path::KUBELET_CONFIG), facts.applied.get(&Applied::KubeletFile));
    found.zip(recorded).is_some_and(|(found, sum)| found.sha256 != *sum)
}

/// Whether a step of this plan writes kubelet's files again and starts kubelet, which may not start with what someone else made of them.
pub fn rewrites_kubelet(planner: &Planner, facts: &Facts) -> bool {
    (has_changed_config(facts) || has_changed_flags(facts)) && (planner.api_via.is_some() || !broken(facts).is_empty())
}

/// Files of kubeadm that were changed, where that may be why the machine's API server does not answer.
fn broken(facts: &Facts) -> Vec<String> {
    if facts.api_down.is_none() {
        return Vec::new();
    }
    let mut manifests = changed_manifests(facts);
    manifests.retain(|pod| facts.applied.contains_key(&Applied::Manifest(*pod)));
    let config = has_changed_config(facts).then_some(path::KUBELET_CONFIG);
    let flags = has_changed_flags(facts).then_some(path::KUBELET_FLAGS);
    let changed = manifests.into_iter().map(StaticPod::manifest).chain(config.into_iter().chain(flags).map(str::to_owned));
    changed.filter(|file| !facts.kubernetes.damaged.contains(file)).collect()
}

/// Whether what is missing on the machine can be made again there.
pub fn is_repairable(planner: &Planner, name: &MachineName, facts: &Facts) -> bool {
    let kubernetes = &facts.kubernetes;
    let role = planner.inventory.machines.get(name).map(|machine| machine.role);
    role == Some(Role::ControlPlane)
        && kubernetes.joined
        && kubernetes.control_plane
        && !(kubernetes.missing.is_empty() && kubernetes.damaged.is_empty() && expired(facts).is_empty() && broken(facts).is_empty())
        && kubernetes.missing.iter().chain(&kubernetes.damaged).all(|file| is_made(file))
        && !interrupted(facts)
        && !is_of_another(planner, facts)
}

/// The file with kubelet's serving certificate and its key, without which kubelet asks for another one.
pub fn kubelet_serving() -> String {
    format!("{}/kubelet-server-current.pem", path::KUBELET_PKI)
}

/// Whether a new bootstrap of a worker's kubelet makes this file again.
fn is_bootstrapped(file: &str) -> bool {
    let is = |folder: &str, name: &str| file.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) == Some(name);
    file == path::KUBELET_KUBECONFIG
        || is(path::KUBELET_PKI, "kubelet-client-current.pem")
        || is(path::PKI, "ca.crt")
        || file == kubelet_serving()
}

/// Whether the machine is a worker whose kubelet only needs another client certificate: it has ended, or is gone.
pub fn is_bootstrappable(planner: &Planner, name: &MachineName, facts: &Facts) -> bool {
    let kubernetes = &facts.kubernetes;
    let role = planner.inventory.machines.get(name).map(|machine| machine.role);
    let lacks = || kubernetes.missing.iter().chain(&kubernetes.damaged);
    role == Some(Role::Worker)
        && kubernetes.joined
        && !kubernetes.control_plane
        && (lacks().next().is_some() || !expired(facts).is_empty())
        && lacks().all(|file| is_bootstrapped(file))
        && !interrupted(facts)
        && !is_of_another(planner, facts)
}

/// kubelet asks the API server that its kubeconfig names. Where someone changed that, it goes on with the connection that it has, and loses the
/// cluster with its next start.
pub fn kubelet_servers(planner: &mut Planner) {
    // Only the cluster itself says that it is at this endpoint.
    if planner.api_via.is_none() || planner.endpoint_refused() {
        return;
    }
    let named = format!("https://{}", documents::endpoint(planner.inventory));
    for (name, machine) in planner.machines() {
        let Some(facts) = planner.usable(name).filter(|_| planner.joined(name)) else { continue };
        // A bootstrap writes the file again.
        if is_of_another(planner, facts) || is_bootstrappable(planner, name, facts) {
            continue;
        }
        // kubeadm has a control plane's kubelet ask the API server next to it.
        let own = facts.kubernetes.control_plane.then(|| format!("https://{}", SocketAddr::new(machine.address, port::API)));
        let found = facts.kubernetes.server.clone().filter(|found| *found != named && Some(found) != own.as_ref());
        let Some(found) = found else { continue };
        let server = own.unwrap_or_else(|| named.clone());
        let reason = format!("{} names the API server {found}", path::KUBELET_KUBECONFIG);
        // An API server may only then be valid for its address.
        let before = [StepKind::Hosts, StepKind::RepairControlPlane, StepKind::RenewControlPlane].map(|kind| kind.of(name).if_planned());
        planner.restart(StepKind::KubeletServer.of(name), name, reason, SetKubeletServer { server }, runs(name).chain(before));
    }
}

pub fn plan(planner: &mut Planner, name: &MachineName, machine: &Machine) -> Result<()> {
    let Some(facts) = planner.usable(name).filter(|facts| is_repairable(planner, name, facts)) else { return Ok(()) };
    let KubernetesFacts { missing, mut damaged, .. } = facts.kubernetes.clone();
    let (expired, broken) = (expired(facts), broken(facts));
    let config = documents::control_plane(planner.inventory, planner.api_servers(planner.manifests.kubernetes()), name, machine)?;
    let lacks = (!missing.is_empty()).then(|| format!("{} {} missing", and(&missing), are(missing.len())));
    let cut = (!damaged.is_empty()).then(|| format!("{} {} truncated", and(&damaged), are(damaged.len())));
    let ended = match expired.as_slice() {
        [] => None,
        [one] => Some(format!("the {one} certificate has expired")),
        several => Some(format!("{} certificates have expired", several.len())),
    };
    let other = (!broken.is_empty()).then(|| changed_on_machine(&broken));
    damaged.extend(broken);
    let reason = [lacks, cut, other, ended].into_iter().flatten().collect::<Vec<_>>().join("; ");
    let action = RepairControlPlane { config, missing, damaged, expired };
    planner.restart(StepKind::RepairControlPlane.of(name), name, reason, action, runs(name));
    Ok(())
}
