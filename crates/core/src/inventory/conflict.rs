//! Values of different sections that contradict each other.

use std::net::IpAddr;

use ::url::{Host, Url};

use super::diagnostic::Place;
use super::fragment::key_place;
use super::read::Problems;
use super::{Endpoint, Inventory, Network, os, path};
use crate::share::Share;

pub fn check(inventory: &Inventory, problems: &mut Problems) {
    let place = |keys: &[&str]| key_place(&inventory.text, keys).unwrap_or(Place { line: 1, column: 1, length: 1 });
    if let Endpoint::Vip { address, .. } = &inventory.cluster.endpoint {
        let at = place(&["cluster", "endpoint", "vip"]);
        vip(inventory, *address, at, problems);
    }
    for (whose, films) in of_films(inventory) {
        if is_in(&inventory.snapshots.to, films) {
            let message =
                format!("snapshots would be in {whose} ({films}), whose owner could read and replace them: choose another folder");
            problems.add(place(&["snapshots", "to"]), message, "");
        }
    }
}

/// The shares of films.
fn of_films(inventory: &Inventory) -> impl Iterator<Item = (&'static str, &Share)> {
    inventory.transcode.iter().flat_map(|films| [("the inbox", &films.inbox), ("the library", &films.library)])
}

fn is_in(share: &Share, other: &Share) -> bool {
    match (share, other) {
        (Share::Path(path), Share::Path(other)) => path::within(path, other),
        (Share::Nfs { server, path }, Share::Nfs { server: same, path: other }) => server == same && path::within(path, other),
        _ => false,
    }
}

/// The VIP moves between machines, which would take it from whoever else has it.
fn vip(inventory: &Inventory, vip: IpAddr, place: Place, problems: &mut Problems) {
    let mut others: Vec<(String, IpAddr)> = Vec::new();
    for (whose, share) in of_films(inventory).chain([("the snapshots", &inventory.snapshots.to)]) {
        if let Share::Nfs { server, .. } = share {
            others.extend(server.parse().ok().map(|address| (format!("the server of {whose}"), address)));
        }
    }
    for server in inventory.transcode.iter().flat_map(|films| &films.settings.media_servers) {
        others.extend(host(&server.url).map(|address| ("the media server".to_owned(), address)));
    }
    if let Some(Network::Own(network)) = inventory.os.as_ref().map(|os| &os.network) {
        others.push(("the gateway".to_owned(), network.gateway));
        others.extend(network.nameservers.iter().map(|server| ("a DNS server".to_owned(), *server)));
        if !network.subnet.contains(&vip) {
            problems.add(place, format!("the VIP {vip} is not in the machines' subnet {}", network.subnet), "");
        }
        os::reserved(&network.subnet, vip, "the VIP", place, problems);
    }
    if let Some((whose, _)) = others.iter().find(|(_, address)| *address == vip) {
        let message = format!("the VIP {vip} is the address of {whose}: use a free address, because the VIP moves between machines");
        problems.add(place, message, "");
    }
}

fn host(url: &str) -> Option<IpAddr> {
    match Url::parse(url).ok()?.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}
