//! Addresses and subnets, and conflicts between them.

use std::net::IpAddr;

use ipnet::IpNet;

use super::diagnostic::{Place, shown};
use super::name;
use super::read::{Problems, Text};
use crate::words::and;

/// The IP address of a computer; reports an error otherwise. `whose` is for the message.
pub fn address(text: Text, example: &str, whose: &str, problems: &mut Problems) -> Option<IpAddr> {
    let word = shown(text.text);
    let Ok(address) = text.text.parse::<IpAddr>() else {
        let why = if text.text.parse::<IpNet>().is_ok() {
            format!("`{word}` is a subnet: write only the address")
        } else if text.text.parse::<std::net::SocketAddr>().is_ok() {
            format!("`{word}` has a port: omit it, or set `port`")
        } else if let Some(address) = without_leading_zeros(text.text) {
            format!("`{word}` has leading zeros, so some programs read it as octal: did you mean `{address}`?")
        } else if name::is_host(&text.text.to_ascii_lowercase()) && !matches!(text.text, "true" | "false" | "yes" | "no" | "null") {
            format!(
                "`{word}` is a name, but {whose} needs an IP address, because certificates contain the address and it must not change; \
                 `getent hosts {word}` shows it"
            )
        } else {
            format!("`{word}` is not an IP address")
        };
        problems.add(text.place, why, example);
        return None;
    };
    let kind = match address {
        IpAddr::V4(v4) if v4.is_broadcast() => "the broadcast address",
        IpAddr::V4(v4) if v4.is_link_local() => "a link-local address, which can change",
        IpAddr::V6(v6) if v6.is_unicast_link_local() => "a link-local address, which needs an interface",
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => "an IPv4 address written as IPv6",
        _ if address.is_unspecified() => "the unspecified address",
        _ if address.is_loopback() => "a loopback address, which other machines can't reach",
        _ if address.is_multicast() => "a multicast address",
        _ => return Some(address),
    };
    problems.add(text.place, format!("`{word}` is {kind}"), example);
    None
}

fn without_leading_zeros(text: &str) -> Option<IpAddr> {
    let parts: Vec<String> = text.split('.').map(|part| part.parse::<u8>().map(|n| n.to_string())).collect::<Result<_, _>>().ok()?;
    parts.join(".").parse().ok()
}

/// A subnet for pods or Services with a size that Kubernetes supports; reports an error otherwise.
pub fn subnet(text: Text, key: &str, default: &str, problems: &mut Problems) -> Option<IpNet> {
    let example = format!("{key}: {default}");
    let word = shown(text.text);
    let Ok(net) = text.text.parse::<IpNet>() else {
        let message = if text.text.parse::<IpAddr>().is_ok() {
            format!("`{word}` is an address: append `/` and the prefix length")
        } else if text.text.contains(',') {
            format!("`{word}` is a list: write one subnet; hostler does not support dual-stack clusters")
        } else {
            format!("`{word}` is not a subnet: write an address, `/` and the prefix length")
        };
        problems.add(text.place, message, example);
        return None;
    };
    if net.addr() != net.network() {
        problems.add(text.place, format!("`{word}` has host bits set: did you mean `{}`?", net.trunc()), example);
        return None;
    }
    // Each machine gets a /24 (IPv6: /64) of the pod subnet. A Service subnet has at most 20 host bits, and its tenth address is the DNS
    // server's. From the checks of kube-controller-manager and kube-apiserver.
    let (least, most) = match (key, net) {
        ("podSubnet", IpNet::V4(_)) => (8, 24),
        ("podSubnet", IpNet::V6(_)) => (48, 64),
        (_, IpNet::V4(_)) => (12, 28),
        (_, IpNet::V6(_)) => (108, 124),
    };
    if !(least..=most).contains(&net.prefix_len()) {
        let size = if net.prefix_len() < least { "large" } else { "small" };
        problems.add(text.place, format!("`{word}` is too {size}: `{key}` must be from /{least} to /{most}"), example);
        return None;
    }
    Some(net)
}

/// Something that occupies addresses.
#[derive(Debug, Clone)]
pub struct Taken {
    pub net: IpNet,
    /// For messages: `` `podSubnet` ``, `twilightsparkle`.
    pub who: String,
    /// Its place; `None` for a default.
    pub place: Option<Place>,
}

impl Taken {
    pub fn address(address: IpAddr, who: impl Into<String>, place: Place) -> Taken {
        Taken { net: address.into(), who: who.into(), place: Some(place) }
    }
}

/// Reserved ranges.
const OF_ITS_OWN: &[(&str, &str)] = &[
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("224.0.0.0/3", "multicast"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
];

/// Reports overlapping subnets of pods and Services, addresses of `hosts` in one of them, and mixed address families.
pub fn clashes(pods: &Taken, services: &Taken, hosts: &[Taken], problems: &mut Problems) {
    let top = Place { line: 1, column: 1, length: 1 };
    let meet = |a: &IpNet, b: &IpNet| a.contains(b) || b.contains(a);
    for subnet in [pods, services] {
        for (net, name) in OF_ITS_OWN {
            if net.parse().is_ok_and(|net| meet(&subnet.net, &net)) {
                let message = format!("{} {} overlaps with the {name} range {net}: choose another subnet", subnet.who, subnet.net);
                problems.add(subnet.place.unwrap_or(top), message, "");
            }
        }
    }
    if meet(&pods.net, &services.net) {
        let place = pods.place.max(services.place).unwrap_or(top);
        let message = format!("{} {} and {} {} overlap", pods.who, pods.net, services.who, services.net);
        problems.add(place, message, "cluster:\n  podSubnet: 10.244.0.0/16\n  serviceSubnet: 10.96.0.0/12");
    }
    for subnet in [pods, services] {
        let inside: Vec<&Taken> = hosts.iter().filter(|host| subnet.net.contains(&host.net)).collect();
        let Some(first) = inside.first() else { continue };
        let place = subnet.place.or(first.place).unwrap_or(top);
        let default = if subnet.place.is_none() { ", the default," } else { "" };
        let which: Vec<String> = inside.iter().map(|host| format!("{} of {}", host.net.addr(), host.who)).collect();
        let addresses = if which.len() == 1 { "address" } else { "addresses" };
        let message = format!("{} {}{default} contains the {addresses} {}", subnet.who, subnet.net, and(&which));
        problems.add(place, message, elsewhere(subnet, hosts));
    }
    let family = |net: &IpNet| if matches!(net, IpNet::V4(_)) { "IPv4" } else { "IPv6" };
    if let Some(other) = hosts.iter().chain([services]).find(|other| family(&other.net) != family(&pods.net)) {
        let place = other.place.or(pods.place).unwrap_or(top);
        let message = format!(
            "{} has {} and {} has {}: hostler does not support dual-stack clusters",
            other.who,
            family(&other.net),
            pods.who,
            family(&pods.net)
        );
        let example = match family(&hosts.first().unwrap_or(other).net) {
            "IPv6" => "cluster:\n  podSubnet: fd00:244::/56\n  serviceSubnet: fd00:96::/112",
            _ => "cluster:\n  podSubnet: 10.244.0.0/16\n  serviceSubnet: 10.96.0.0/12",
        };
        problems.add(place, message, example);
    }
}

/// A subnet for the same purpose without the addresses.
fn elsewhere(subnet: &Taken, hosts: &[Taken]) -> String {
    let (key, nets) = match subnet.who.trim_matches('`') {
        "podSubnet" => ("podSubnet", ["10.244.0.0/16", "172.20.0.0/16", "192.168.0.0/16", "fd00:244::/56"]),
        _ => ("serviceSubnet", ["10.96.0.0/12", "172.30.0.0/16", "192.168.192.0/18", "fd00:96::/112"]),
    };
    let free = |net: &IpNet| {
        let same = matches!(net, IpNet::V4(_)) == matches!(subnet.net, IpNet::V4(_));
        same && !hosts.iter().any(|host| net.contains(&host.net))
    };
    let net = nets.iter().filter_map(|net| net.parse::<IpNet>().ok()).find(free);
    net.map_or_else(String::new, |net| format!("cluster:\n  {key}: {net}"))
}
