//! Addresses and subnets, and conflicts between them.

use std::net::IpAddr;

use ipnet::IpNet;

use super::diagnostic::{Place, shown};
use super::name;
use super::read::{Problems, Text};
use crate::words::and;

/// Why a machine or a VIP can't be given by name.
pub const CERTIFIED: &str = "an IP address, because certificates contain the address and it must not change";

/// The IP address of a computer; reports an error otherwise. `needs`, for the message about a name: as in "a VIP needs an IP address, because".
pub fn address(text: Text, example: &str, whose: &str, needs: &str, problems: &mut Problems) -> Option<IpAddr> {
    let word = shown(text.text);
    let Ok(address) = text.text.parse::<IpAddr>() else {
        let why = if text.text.parse::<IpNet>().is_ok() {
            format!("`{word}` is a subnet: write only the address")
        } else if text.text.parse::<std::net::SocketAddr>().is_ok() {
            format!("`{word}` has a port: omit it, or set `port`")
        } else if let Some(address) = without_leading_zeros(text.text) {
            format!("`{word}` has leading zeros, so some programs read it as octal: did you mean `{address}`?")
        } else if name::is_host(&text.text.to_ascii_lowercase()) && !matches!(text.text, "true" | "false" | "yes" | "no" | "null") {
            format!("`{word}` is a name, but {whose} needs {needs}; `getent hosts {word}` shows it")
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

/// The subnet of a local network; reports an error otherwise.
pub fn lan(text: Text, problems: &mut Problems) -> Option<IpNet> {
    const EXAMPLE: &str = "subnet: 192.168.1.0/24";
    let word = shown(text.text);
    let why = match text.text.parse::<IpNet>() {
        Err(_) if text.text.parse::<IpAddr>().is_ok() => "is an address: append `/` and the prefix length".to_owned(),
        Err(_) => "is not a subnet: write an address, `/` and the prefix length".to_owned(),
        Ok(net) if net.addr() != net.network() => format!("has host bits set: did you mean `{}`?", net.trunc()),
        Ok(net) if net.prefix_len() == 0 => "is every address: write the subnet of the machines' network".to_owned(),
        Ok(net) if net.max_prefix_len() - net.prefix_len() < 3 => {
            format!("is too small for machines and their router: the prefix length can be {} at most", net.max_prefix_len() - 3)
        }
        Ok(net) => return Some(net),
    };
    problems.add(text.place, format!("`{word}` {why}"), EXAMPLE);
    None
}

/// A subnet for pods or Services with a size that Kubernetes supports; reports an error otherwise.
pub fn subnet(text: Text, key: &str, room: &Room, problems: &mut Problems) -> Option<IpNet> {
    let example = |family: &IpNet| room.example(key, family);
    let word = shown(text.text);
    let Ok(net) = text.text.parse::<IpNet>() else {
        let message = if text.text.parse::<IpAddr>().is_ok() {
            format!("`{word}` is an address: append `/` and the prefix length")
        } else if text.text.contains(',') {
            format!("`{word}` is a list: write one subnet; hostler does not support dual-stack clusters")
        } else {
            format!("`{word}` is not a subnet: write an address, `/` and the prefix length")
        };
        problems.add(text.place, message, example(&room.family()));
        return None;
    };
    let (least, most) = sizes(key, &net);
    if !(least..=most).contains(&net.prefix_len()) {
        let size = if net.prefix_len() < least { "large" } else { "small" };
        problems.add(text.place, format!("`{word}` is too {size}: `{key}` must be from /{least} to /{most}"), example(&net));
        return None;
    }
    if net.addr() != net.network() {
        let near = net.trunc();
        let guess = if room.accepts(key, &near) { format!(": did you mean `{near}`?") } else { String::new() };
        problems.add(text.place, format!("`{word}` has host bits set{guess}"), example(&net));
        return None;
    }
    Some(net)
}

/// The shortest and the longest prefix of a subnet. Each machine gets a /24 (IPv6: /64) of the pod subnet. A Service subnet has at most 20
/// host bits, and its tenth address is the DNS server's. From the checks of kube-controller-manager and kube-apiserver.
fn sizes(key: &str, net: &IpNet) -> (u8, u8) {
    match (key, net) {
        ("podSubnet", IpNet::V4(_)) => (8, 24),
        ("podSubnet", IpNet::V6(_)) => (48, 64),
        (_, IpNet::V4(_)) => (12, 28),
        (_, IpNet::V6(_)) => (108, 124),
    }
}

fn is_v4(net: &IpNet) -> bool {
    matches!(net, IpNet::V4(_))
}

fn meet(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// The reserved range that a subnet overlaps with.
fn reserved(subnet: &IpNet) -> Option<(&'static str, &'static str)> {
    OF_ITS_OWN.iter().copied().find(|(net, _)| net.parse().is_ok_and(|net| meet(subnet, &net)))
}

/// How many machines have a part of the pod subnet, which is as long as this.
pub fn parts(pods: &IpNet) -> (usize, u8) {
    let part = if is_v4(pods) { 24u8 } else { 64 };
    (1usize << part.saturating_sub(pods.prefix_len()).min(20), part)
}

/// What is left for a subnet: a suggestion must itself be accepted.
pub struct Room<'a> {
    pub hosts: &'a [Taken],
    /// The other subnet, of pods or of Services.
    pub other: Option<IpNet>,
    pub machines: usize,
}

impl Room<'_> {
    /// Whether the subnet would have no error.
    pub fn accepts(&self, key: &str, net: &IpNet) -> bool {
        let (least, most) = sizes(key, net);
        (least..=most).contains(&net.prefix_len())
            && net.addr() == net.network()
            && reserved(net).is_none()
            && !self.other.is_some_and(|other| meet(net, &other) || is_v4(net) != is_v4(&other))
            && !self.hosts.iter().any(|host| net.contains(&host.net) || is_v4(net) != is_v4(&host.net))
            && (key != "podSubnet" || self.machines <= parts(net).0)
    }

    /// A subnet that would be accepted, near to `near` if possible.
    pub fn free(&self, key: &str, near: &IpNet) -> Option<IpNet> {
        let known: &[&str] = match key {
            "podSubnet" => {
                &["10.244.0.0/16", "172.20.0.0/16", "192.168.0.0/16", "10.0.0.0/12", "100.64.0.0/12", "fd00:244::/56", "fd01:244::/48"]
            }
            _ => &["10.96.0.0/12", "172.30.0.0/16", "192.168.192.0/18", "100.112.0.0/16", "fd00:96::/112", "fd01:96::/112"],
        };
        let (least, most) = sizes(key, near);
        let around =
            (least..=most).rev().filter(|length| *length <= near.prefix_len()).filter_map(|length| IpNet::new(near.addr(), length).ok());
        // One that is only too small is made larger.
        let around = around.map(|net| net.trunc()).filter(|_| key == "podSubnet" && self.machines > parts(near).0);
        let known = known.iter().filter_map(|net| net.parse().ok());
        around.chain(known).find(|net| self.accepts(key, net))
    }

    /// The family of the machines, as its network of everything.
    fn family(&self) -> IpNet {
        self.hosts.first().map(|host| host.net).or(self.other).unwrap_or_default()
    }

    /// `podSubnet: 10.244.0.0/16`; empty if no subnet would be accepted.
    pub fn example(&self, key: &str, near: &IpNet) -> String {
        self.free(key, near).map_or_else(String::new, |net| format!("{key}: {net}"))
    }
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
pub fn clashes(pods: &Taken, services: &Taken, hosts: &[Taken], machines: usize, problems: &mut Problems) {
    let top = Place { line: 1, column: 1, length: 1 };
    let both = [("podSubnet", pods, services), ("serviceSubnet", services, pods)];
    let example = |key: &str, subnet: &Taken, other: &Taken| {
        let example = Room { hosts, other: Some(other.net), machines }.example(key, &subnet.net);
        if example.is_empty() { example } else { format!("cluster:\n  {example}") }
    };
    for (key, subnet, other) in both {
        if let Some((net, name)) = reserved(&subnet.net) {
            let message = format!("{} {} overlaps with the {name} range {net}: choose another subnet", subnet.who, subnet.net);
            problems.add(subnet.place.unwrap_or(top), message, example(key, subnet, other));
        }
    }
    if meet(&pods.net, &services.net) {
        let place = pods.place.max(services.place).unwrap_or(top);
        let message = format!("{} {} and {} {} overlap", pods.who, pods.net, services.who, services.net);
        problems.add(place, message, two(&pods.net, hosts, machines));
    }
    for (key, subnet, other) in both {
        let inside: Vec<&Taken> = hosts.iter().filter(|host| subnet.net.contains(&host.net)).collect();
        let Some(first) = inside.first() else { continue };
        let place = subnet.place.or(first.place).unwrap_or(top);
        let default = if subnet.place.is_none() { ", the default," } else { "" };
        let which: Vec<String> = inside.iter().map(|host| format!("{} of {}", host.net.addr(), host.who)).collect();
        let addresses = if which.len() == 1 { "address" } else { "addresses" };
        let message = format!("{} {}{default} contains the {addresses} {}", subnet.who, subnet.net, and(&which));
        problems.add(place, message, example(key, subnet, other));
    }
    let family = |net: &IpNet| if is_v4(net) { "IPv4" } else { "IPv6" };
    if let Some(other) = hosts.iter().chain([services]).find(|other| family(&other.net) != family(&pods.net)) {
        let place = other.place.or(pods.place).unwrap_or(top);
        let message = format!(
            "{} has {} and {} has {}: hostler does not support dual-stack clusters",
            other.who,
            family(&other.net),
            pods.who,
            family(&pods.net)
        );
        problems.add(place, message, two(&hosts.first().unwrap_or(other).net, hosts, machines));
    }
}

/// Both subnets, of the family of `near`, as they would be accepted together; empty if none would.
fn two(near: &IpNet, hosts: &[Taken], machines: usize) -> String {
    let room = Room { hosts, other: None, machines };
    let found = room.free("podSubnet", near).and_then(|pods| {
        let services = Room { hosts, other: Some(pods), machines }.free("serviceSubnet", near)?;
        Some(format!("cluster:\n  podSubnet: {pods}\n  serviceSubnet: {services}"))
    });
    found.unwrap_or_default()
}
