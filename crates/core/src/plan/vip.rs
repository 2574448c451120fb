//! The VIP: keepalived on control planes, and who else may have the address.

use std::net::IpAddr;

use anyhow::Result;
use ipnet::IpNet;

use super::machine::differs;
use super::planner::Planner;
use super::wanted;
use crate::action::machine::{ConfigureUnit, DropUnit, StartUnit};
use crate::facts::Facts;
use crate::inventory::{Inventory, Machine, MachineName, Role};
use crate::record::InProgress;
use crate::step::{Need, StepKind};
use crate::words::and;

/// The VIP, and the hardware address of another device that answers there, empty where that is not known, before the first control plane of
/// a new cluster is given it. `None` also while one of the machines has it, or a control plane that may have it can't be asked.
///
/// On a living cluster the VIP answers, whoever holds it at the time.
pub fn taken(planner: &Planner, name: &MachineName, facts: &Facts) -> Option<(IpAddr, String)> {
    let vip = wanted::moving_address(planner.inventory, planner.inventory.machines.get(name)?)?;
    let by = facts.vip_answers.as_ref()?;
    if planner.api_via.is_some() || planner.facts.keys().any(|other| planner.joined(other)) {
        return None;
    }
    // One that had it when it was asked may have lost it since, so it is known by its hardware address, too.
    let has = |facts: &&Facts| facts.addresses.contains(&vip.to_string()) || facts.macs.contains(by);
    let is_asked = planner.inventory.control_planes().all(|(other, _)| planner.facts.contains_key(other));
    (is_asked && !planner.facts.values().any(has)).then(|| (vip, by.clone()))
}

/// keepalived announces the VIP in the machine's own network: nobody asks for an address of another one there.
pub fn is_elsewhere(inventory: &Inventory, name: &MachineName, facts: &Facts) -> Option<String> {
    let vip = wanted::moving_address(inventory, inventory.machines.get(name)?)?;
    let pods = inventory.cluster.pod_subnet;
    let networks: Vec<&IpNet> = facts.networks.iter().filter(|network| !pods.contains(*network)).collect();
    if networks.is_empty() || networks.iter().any(|network| network.contains(&vip)) {
        return None;
    }
    let networks = and(&networks);
    Some(format!(
        "the VIP {vip} is not in any network of this machine ({networks}): other machines can reach the VIP only if a router forwards \
         their traffic to this machine"
    ))
}

/// The endpoint's moving address. One control plane after the other, so that somebody always holds it.
pub fn plan<'a>(planner: &mut Planner<'a>, name: &'a MachineName, machine: &Machine, facts: &Facts) -> Result<()> {
    if planner.endpoint_refused() {
        return Ok(());
    }
    let files = wanted::vip_files(planner.inventory, name, machine)?;
    let at = StepKind::Vip.of(name);
    if files.is_empty() {
        // A machine on which the cluster's name still leads there must not lose the cluster: first all have their new entries.
        let known = planner.only.is_none()
            && planner.unreachable.is_empty()
            && planner.machines().all(|(other, _)| planner.usable(other).is_some())
            && (planner.api_via.is_some() || !planner.joined(name));
        if known && facts.units.contains_key(wanted::VIP_UNIT) {
            let needs: Vec<Need> = planner.machines().map(|(other, _)| StepKind::Hosts.of(other).if_planned()).collect();
            let action = DropUnit { unit: wanted::VIP_UNIT.to_owned(), files: wanted::vip_paths()? };
            let reason =
                if machine.role == Role::ControlPlane { "the inventory no longer has a VIP" } else { "the VIP is configured on a worker" };
            planner.step(at, name, reason, action, needs);
        }
        return Ok(());
    }
    let needs = [StepKind::Packages.of(name).if_planned()];
    let unit = facts.units.get(wanted::VIP_UNIT).cloned().unwrap_or_default();
    let changed = files.iter().find(|file| differs(facts, file));
    if changed.is_some() || facts.in_progress.contains(&InProgress::Vip) {
        let known = files.iter().any(|file| facts.files.contains_key(&file.path));
        let reason = match changed {
            Some(file) if known => format!("{} is missing or differs", file.path),
            Some(_) => "keepalived is not configured for the VIP".to_owned(),
            None => "an update of the VIP's configuration was interrupted".to_owned(),
        };
        let action = ConfigureUnit { unit: wanted::VIP_UNIT.to_owned(), files, stale: Vec::new(), others: Vec::new(), restart: true };
        if planner.joined(name) {
            planner.restart(at, name, reason, action, needs);
        } else {
            planner.step(at, name, reason, action, needs);
        }
    } else if !unit.active || !unit.enabled {
        let reason = if unit.active { "hostler-vip is not enabled" } else { "hostler-vip is not running" };
        planner.step(at, name, reason, StartUnit { unit: wanted::VIP_UNIT.to_owned() }, needs);
    }
    Ok(())
}
