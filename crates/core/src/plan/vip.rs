//! The VIP: keepalived on control planes, and who else may have the address.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use anyhow::Result;
use ipnet::IpNet;

use super::hint::Hint;
use super::machine::differs;
use super::planner::Planner;
use super::wanted;
use crate::action::machine::{ConfigureUnit, DropUnit, StartUnit};
use crate::facts::{AtVip, Facts};
use crate::inventory::{Inventory, Machine, MachineName, Role};
use crate::record::InProgress;
use crate::step::{Need, StepKind};
use crate::trusted::trusted;
use crate::words::and;

/// Someone has the VIP who should not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// The machine that tells it, though hostler did not put it there.
    Itself { vip: IpAddr },
    /// `mac`: empty where it is not known.
    Device { vip: IpAddr, mac: String },
}

impl Taken {
    /// What to do about it where a cluster uses the VIP, or is about to.
    pub fn hint(&self, lives: bool) -> Hint {
        match self {
            Taken::Itself { .. } => Hint::GiveVipBack { itself: true },
            Taken::Device { .. } if lives => Hint::GiveVipBack { itself: false },
            Taken::Device { .. } => Hint::FreeVip,
        }
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Taken::Itself { vip } => write!(f, "the machine has the VIP {vip}, and hostler did not put it there"),
            Taken::Device { vip, mac } if mac.is_empty() => write!(f, "another device answers at the VIP {vip}"),
            Taken::Device { vip, mac } => write!(f, "another device, with the MAC address {mac}, answers at the VIP {vip}"),
        }
    }
}

/// Why a machine is refused: before the first control plane of a new cluster is given the VIP, someone else has it. `None` also while one of
/// the machines has it, or a control plane that may have it can't be asked. No machine joins that would keep the VIP to itself.
pub fn taken(planner: &Planner, name: &MachineName, facts: &Facts) -> Option<Taken> {
    let vip = planner.inventory.cluster.endpoint.vip()?;
    let (mac, also) = match facts.vip_answers.as_ref()? {
        AtVip::Itself => return (!planner.joined(name)).then_some(Taken::Itself { vip }),
        AtVip::Device { mac, also } => (mac, also),
    };
    wanted::moving_address(planner.inventory, planner.inventory.machines.get(name)?)?;
    if planner.api_via.is_some() || planner.facts.keys().any(|other| planner.joined(other)) {
        return None;
    }
    // One that had it when it was asked may have lost it since, so it is known by its hardware address, too.
    let is_had = planner.facts.values().any(|facts| facts.addresses.contains(&vip.to_string()));
    (!is_had && is_nobodys(planner.inventory, &planner.facts, mac, also)).then(|| Taken::Device { vip, mac: mac.clone() })
}

/// Who has the VIP of a living cluster beside its control planes, as this machine sees it. Who holds it may change while machines are asked, but
/// not their hardware addresses.
pub fn intruder(inventory: &Inventory, name: &MachineName, seen: &BTreeMap<&MachineName, &Facts>) -> Option<Taken> {
    let vip = inventory.cluster.endpoint.vip()?;
    let facts = seen.get(name)?;
    if !facts.kubernetes.joined {
        return None;
    }
    match facts.vip_answers.as_ref()? {
        // A control plane is given the service that puts it there and takes it away.
        AtVip::Itself => inventory.control_planes().all(|(other, _)| other != name).then_some(Taken::Itself { vip }),
        AtVip::Device { mac, also } => (!mac.is_empty() && is_nobodys(inventory, seen, mac, also) && !has_others(inventory, seen))
            .then(|| Taken::Device { vip, mac: mac.clone() }),
    }
}

/// Whether the hardware address is no control plane's; one that can't be asked may have it. Those of workers don't count: none of them is to answer
/// there, whatever it says of itself.
fn is_nobodys(inventory: &Inventory, seen: &BTreeMap<&MachineName, &Facts>, mac: &str, also: &BTreeSet<IpAddr>) -> bool {
    inventory
        .control_planes()
        .all(|(name, machine)| seen.get(name).is_some_and(|facts| !facts.macs.contains(mac)) && !also.contains(&machine.address))
}

/// Whether someone else of the cluster may hold the VIP: a node that is no machine of the inventory, or a control plane that does not tell its
/// hardware addresses, as in a container.
fn has_others(inventory: &Inventory, seen: &BTreeMap<&MachineName, &Facts>) -> bool {
    if inventory.control_planes().any(|(name, _)| seen.get(name).is_none_or(|facts| facts.macs.is_empty())) {
        return true;
    }
    let is_known = |node: &String| inventory.machines.contains_key(node.as_str());
    trusted(inventory, seen).answering().any(|api_via| !api_via.cluster.nodes.keys().all(is_known))
}

/// Warns of what nobody refuses: a cluster that lives.
pub fn warn(planner: &mut Planner) {
    for (name, _) in planner.machines().filter(|(name, _)| planner.concerns(name)).collect::<Vec<_>>() {
        if let Some(taken) = intruder(planner.inventory, name, &planner.facts) {
            planner.warn(Some(name), format!("{taken}: {}", taken.hint(true)));
        }
    }
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
