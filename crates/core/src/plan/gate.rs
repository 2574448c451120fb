//! Where the cluster's name leads. Without a VIP or a load balancer of the user's, /etc/hosts of every machine gives the endpoint the address
//! of one control plane, the gate.

use std::net::IpAddr;

use super::hint::Hint;
use super::planner::Planner;
use super::refusal::Why;
use super::wanted;
use crate::inventory::{Endpoint, Machine, MachineName};
use crate::step::{StepId, StepKind};

/// The first control plane of the inventory that is in the cluster, or will be when this run is done.
pub fn gate<'a>(planner: &Planner<'a>) -> Option<&'a MachineName> {
    if !matches!(planner.inventory.cluster.endpoint, Endpoint::Name(_)) {
        return None;
    }
    let mut control_planes = planner.inventory.control_planes().map(|(name, _)| name);
    match planner.speaker {
        Some((_, cluster)) => control_planes.find(|name| cluster.nodes.contains_key(name.as_str()) || comes(planner, name)),
        None => control_planes.next(),
    }
}

/// Whether the machine is to join in this run.
fn comes(planner: &Planner, name: &MachineName) -> bool {
    planner.usable(name).is_some() && !planner.joined(name)
}

/// hostler's lines of /etc/hosts for the machine, as they are to stay.
pub fn hosts(planner: &Planner, name: &MachineName, machine: &Machine) -> Vec<String> {
    let address = match &planner.inventory.cluster.endpoint {
        Endpoint::Name(_) => gate(planner).map(|gate| planner.inventory.machines[gate.as_str()].address),
        Endpoint::Vip { address, .. } => Some(*address),
        Endpoint::External { .. } => None,
    };
    wanted::hosts(planner.inventory, name, machine, address)
}

/// The lines by which the gate itself joins: through another control plane. `None` for every other machine.
pub fn hosts_to_join(planner: &Planner, name: &MachineName, machine: &Machine) -> Option<Vec<String>> {
    let (speaker, _) = planner.speaker.filter(|(speaker, _)| *speaker != name)?;
    if gate(planner) != Some(name) || planner.joined(name) {
        return None;
    }
    let door: IpAddr = planner.inventory.machines[speaker.as_str()].address;
    Some(wanted::hosts(planner.inventory, name, machine, Some(door)))
}

/// What a machine waits for before its name for the cluster leads to the gate: that this is in the cluster.
pub fn opens(planner: &Planner, name: &MachineName) -> Option<StepId> {
    gate(planner).filter(|gate| *gate != name).map(|gate| StepKind::Join.of(gate))
}

/// Refuses to let anybody join by a gate that is away and not mended in this run.
pub fn away(planner: &mut Planner) {
    let Some(gate) = gate(planner).filter(|_| planner.speaker.is_some()) else {
        return;
    };
    let serves = planner.facts.get(gate).is_some_and(|facts| facts.cluster.is_some());
    if serves || planner.works_on(gate) || comes(planner, gate) {
        return;
    }
    for (name, _) in planner.machines() {
        if name != gate && comes(planner, name) {
            let host = planner.inventory.cluster.endpoint.host();
            let why = Why::EndpointAway { endpoint: host.to_owned(), leads_to: gate.clone() };
            planner.refuse(Some(name), why, Hint::BringEndpointBack { machine: gate.clone() });
        }
    }
}
