//! Where the cluster's name leads. Without a VIP or a load balancer of the user's, /etc/hosts of every machine gives the endpoint the address
//! of one control plane, the API host.

use std::net::IpAddr;

use super::hint::Hint;
use super::planner::Planner;
use super::refusal::Why;
use super::wanted;
use crate::facts::Facts;
use crate::inventory::{Endpoint, Machine, MachineName, default_endpoint};
use crate::step::{StepId, StepKind};

/// The first control plane of the inventory that is in the cluster, or will be when this run is done.
pub fn api_host<'a>(planner: &Planner<'a>) -> Option<&'a MachineName> {
    if !matches!(planner.inventory.cluster.endpoint, Endpoint::Name(_)) {
        return None;
    }
    let mut control_planes = planner.inventory.control_planes().map(|(name, _)| name);
    match planner.api_via {
        // Where the inventory has other names for all of them, the one that speaks for the cluster is one of them all the same: without an API
        // host, machines would lose the cluster's name.
        Some(api_via) => {
            let known = control_planes.find(|name| api_via.cluster.nodes.contains_key(name.as_str()) || comes(planner, name));
            known.or(Some(api_via.machine))
        }
        None => control_planes.next(),
    }
}

/// Whether the machine is to join in this run.
fn comes(planner: &Planner, name: &MachineName) -> bool {
    planner.usable(name).is_some() && !planner.joined(name)
}

/// hostler's lines of /etc/hosts for the machine, as they are to stay.
pub fn hosts(planner: &Planner, name: &MachineName, machine: &Machine) -> Vec<String> {
    wanted::hosts(planner.inventory, name, machine, address(planner))
}

/// The address that hostler gives the endpoint in /etc/hosts, if it does.
fn address(planner: &Planner) -> Option<IpAddr> {
    match &planner.inventory.cluster.endpoint {
        Endpoint::Name(_) => api_host(planner).map(|host| planner.inventory.machines[host.as_str()].address),
        Endpoint::Vip { address, .. } => Some(*address),
        Endpoint::External { .. } => None,
    }
}

/// Another address that the user's own lines of /etc/hosts give the endpoint, and the right one.
pub fn elsewhere(planner: &Planner, facts: &Facts) -> Option<(IpAddr, IpAddr)> {
    let right = address(planner)?;
    // A control plane's own address leads to its own API server: Debian's installer writes 127.0.1.1 for a machine's name.
    let own = |found: &IpAddr| facts.kubernetes.control_plane && (found.is_loopback() || facts.addresses.contains(&found.to_string()));
    facts.endpoint_elsewhere.iter().find(|found| **found != right && !own(found)).map(|found| (*found, right))
}

/// The lines by which the API host itself joins: through another control plane. `None` for every other machine.
pub fn hosts_to_join(planner: &Planner, name: &MachineName, machine: &Machine) -> Option<Vec<String>> {
    let api_via = planner.api_via.filter(|api_via| api_via.machine != name)?;
    if api_host(planner) != Some(name) || planner.joined(name) {
        return None;
    }
    let through: IpAddr = planner.inventory.machines[api_via.machine.as_str()].address;
    Some(wanted::hosts(planner.inventory, name, machine, Some(through)))
}

/// What a machine waits for before its name for the cluster leads to the API host: that this is in the cluster.
pub fn join_of(planner: &Planner, name: &MachineName) -> Option<StepId> {
    api_host(planner).filter(|host| *host != name).map(|host| StepKind::Join.of(host))
}

/// Refuses to let anybody join by an API host that is away and not mended in this run.
pub fn refuse_if_down(planner: &mut Planner) {
    let Some(host) = api_host(planner).filter(|_| planner.api_via.is_some()) else {
        return;
    };
    if planner.trusted.answers(host) || planner.works_on(host) || comes(planner, host) {
        return;
    }
    for (name, _) in planner.machines() {
        if name != host && comes(planner, name) {
            let endpoint = planner.inventory.cluster.endpoint.host();
            let why = Why::EndpointAway { endpoint: endpoint.to_owned(), leads_to: host.clone() };
            let vip = planner.inventory.cluster.endpoint.host() == default_endpoint(&planner.inventory.cluster.name);
            planner.refuse(Some(name), why, Hint::BringEndpointBack { machine: host.clone(), vip });
        }
    }
}
