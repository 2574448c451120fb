//! Whether the API server allows admin.conf what hostler needs. Without that, nothing else can be known or done.

use std::collections::BTreeMap;

use anyhow::Result;

use super::hint::{Command, Hint};
use super::planner::Planner;
use super::refusal::{Refusal, Why};
use super::{add_ons, cluster, documents};
use crate::action::cluster::RestoreAdmins;
use crate::facts::Observation;
use crate::inventory::{Inventory, MachineName};
use crate::step::{Need, StepKind};
use crate::template;
use crate::trusted::{Trusted, trusted_of};

/// Whether the rights of admin.conf are not what kubeadm made them. What that needs is planned, or refused where it is for `up` to do.
///
/// # Errors
/// A template that can't be filled in or read back, which is a defect.
pub fn plan(planner: &mut Planner) -> Result<bool> {
    let manifest = manifest()?;
    let changed = match planner.api_via {
        Some(api_via) => add_ons::differs(&api_via.cluster.add_ons, &manifest)?.map(|_| api_via.machine),
        None => None,
    };
    let denied = denied(&planner.trusted);
    let Some(name) = denied.or(changed) else { return Ok(false) };
    if planner.only.is_some() {
        let why = Why::Denied { machine: name.clone(), changed: denied.is_none() };
        planner.refuse(None, why, Hint::Run(Command::Up));
        return Ok(true);
    }
    let Some((machine, _)) = planner.inventory.machines.get(name).zip(planner.usable(name)) else { return Ok(false) };
    let reason = match denied {
        Some(_) => "the API server denies admin.conf access",
        None => "the rights of admin.conf were changed in the cluster",
    };
    let config = documents::control_plane(planner.inventory, planner.api_servers(planner.manifests.kubernetes()), name, machine)?;
    // While etcd is full, nothing can be restored either.
    if let Some(via) = planner.api_via {
        cluster::etcd_space(planner, via.machine, via.cluster);
    }
    let needs = planner.step_of(StepKind::EtcdSpace).map(Need::Step);
    planner.step(StepKind::Admins.of(name), name, reason, RestoreAdmins { config, manifest }, needs);
    Ok(true)
}

/// Where every API server that answers denies what it is asked for, only `up` can go on.
pub fn refused(inventory: &Inventory, seen: &BTreeMap<MachineName, Observation>) -> Option<Refusal> {
    let machine = denied(&trusted_of(inventory, seen))?.clone();
    Some(Refusal { machine: None, why: Why::Denied { machine, changed: false }, hint: Hint::Run(Command::Up) })
}

/// A control plane whose API server denies what it is asked for, where no other allows it.
pub fn denied<'a>(trusted: &Trusted<'a>) -> Option<&'a MachineName> {
    let answers = trusted.answering().next().is_some();
    trusted.holders().find(|(_, facts)| facts.api_denied && !answers).map(|(name, _)| name)
}

/// What [`plan`] restores.
///
/// # Errors
/// As [`plan`].
pub fn manifest() -> Result<String> {
    template::render("kubernetes/admins.yaml", serde_json::json!({}))
}
