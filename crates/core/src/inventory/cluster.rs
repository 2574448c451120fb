//! `cluster` and `snapshots`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::connection::host_and_port;
use super::diagnostic::{Place, shown};
use super::machine::Machines;
use super::read::{Field, Fields, Problems, Text, at};
use super::schema::{CLUSTER, ENDPOINT, RECIPIENT_EXAMPLE, SNAPSHOTS, VERSION_EXAMPLE};
use super::subnet::{self, Room, Taken};
use super::tree::Data;
use super::{Cluster, Cni, Endpoint, Snapshots, name, path, share};
use crate::bech32;
use crate::share::Share;
use crate::version::{Versions, three_numbers};
use crate::words::{and, counted};

const POD_SUBNET: &str = "10.244.0.0/16";
const SERVICE_SUBNET: &str = "10.96.0.0/12";

/// `None` if it can't be determined because of errors. `versions`: as in [`super::parse_with`].
pub fn read(inventory: &Fields, machines: &Machines, versions: Option<&Versions>, problems: &mut Problems) -> Option<Cluster> {
    let section = inventory.get("cluster", problems).and_then(|field| Fields::read(field.node, field.place, &CLUSTER, problems));
    let field = |name: &str, problems: &mut Problems| section.as_ref()?.get(name, problems);
    let text = |name: &str, problems: &mut Problems| field(name, problems)?.text(problems);

    let label = text("name", problems).map(|text| (name::label(text, "the cluster", problems), text.place));
    let name = match label {
        Some((name, _)) => name?.as_str().to_owned(),
        None => "home".to_owned(),
    };
    let version = text("version", problems).and_then(|text| version(text, versions, problems));
    let endpoint = field("endpoint", problems).map(|field| endpoint(field, &name, machines, problems));
    let mut hosts = machines.taken.clone();
    let endpoint = match endpoint {
        Some(Some((endpoint, taken))) => {
            hosts.extend(taken);
            Some(endpoint)
        }
        Some(None) => None,
        None => Some(Endpoint::Name(default_endpoint(&name))),
    };
    let written = [text("podSubnet", problems), text("serviceSubnet", problems)];
    let [pods, services] = [("podSubnet", POD_SUBNET), ("serviceSubnet", SERVICE_SUBNET)].map(|(key, default)| (key, default.parse().ok()));
    let net = |(key, default): (&str, Option<IpNet>), text: Option<&Text>, other: Option<IpNet>, problems: &mut Problems| {
        let Some(text) = text else { return Some(Taken { net: default?, who: format!("`{key}`"), place: None }) };
        let room = Room { hosts: &hosts, other, machines: machines.machines.len() };
        let net = subnet::subnet(*text, key, &room, problems)?;
        Some(Taken { net, who: format!("`{key}`"), place: Some(text.place) })
    };
    // The other subnet, as far as it can be read.
    let other = |text: &Option<Text>, default: Option<IpNet>| match text {
        Some(text) => text.text.parse::<IpNet>().ok().or(default),
        None => default,
    };
    let pods_taken = net(pods, written[0].as_ref(), other(&written[1], services.1), problems);
    let services_taken = net(services, written[1].as_ref(), other(&written[0], pods.1), problems);
    let (pods, services) = (pods_taken, services_taken);
    let word = section.as_ref().and_then(|section| section.choice("cni", problems));
    let cni = match word {
        Some("flannel-host-gw") => Cni::FlannelHostGw,
        Some("none") => Cni::None,
        _ => Cni::Flannel,
    };
    if let (Some(pods), Some(services)) = (&pods, &services) {
        subnet::clashes(pods, services, &hosts, machines.machines.len(), problems);
        enough(pods, &Room { hosts: &hosts, other: Some(services.net), machines: machines.machines.len() }, problems);
    }
    Some(Cluster { name, version, endpoint: endpoint?, pod_subnet: pods?.net, service_subnet: services?.net, cni })
}

/// Checks that the pod subnet has a part for every machine.
fn enough(pods: &Taken, room: &Room, problems: &mut Problems) {
    let (parts, part) = subnet::parts(&pods.net);
    let machines = room.machines;
    if machines > parts {
        let enough = counted(parts, "machine");
        let message =
            format!("`podSubnet` {} is only large enough for {enough} with a /{part} each, but the inventory has {machines}", pods.net);
        let place = pods.place.unwrap_or(Place { line: 1, column: 1, length: 1 });
        problems.add(place, message, room.example("podSubnet", &pods.net));
    }
}

/// The name of an endpoint that nobody wrote.
pub fn default_endpoint(cluster: &str) -> String {
    format!("api.{cluster}.internal")
}

fn version(text: Text, versions: Option<&Versions>, problems: &mut Problems) -> Option<String> {
    let plain = text.text.trim_start_matches('v');
    let known = three_numbers(plain).is_some() && versions.is_none_or(|versions| versions.known(plain).is_some());
    if text.text == plain && known {
        return Some(plain.to_owned());
    }
    let word = shown(text.text);
    let message = if known {
        format!("the version must be written without `v`: {plain}")
    } else if let Some(whole) = versions.and_then(|versions| versions.newest_of(plain)) {
        format!("`{word}` is not a complete version: did you mean `{whole}`?")
    } else if let Some(versions) = versions {
        let known = and(versions.as_slice());
        let fetch = if three_numbers(plain).is_some() { format!(", or run `hostler bundle pins --update {plain}`") } else { String::new() };
        format!("hostler has no checksums for Kubernetes `{word}`, only for {known}: write one of these{fetch}")
    } else {
        format!("`{word}` is not a complete version of Kubernetes")
    };
    // Of the same minor version, else the newest.
    let minor = plain.rsplit_once('.').map_or(plain, |(minor, _)| minor);
    let near = versions.and_then(|versions| versions.newest_of(minor).or(versions.newest()));
    problems.add(text.place, message, format!("version: {}", near.unwrap_or(VERSION_EXAMPLE)));
    None
}

/// The endpoint, and the addresses it occupies.
fn endpoint(field: Field, cluster: &str, machines: &Machines, problems: &mut Problems) -> Option<(Endpoint, Vec<Taken>)> {
    let Data::Mapping(_) = &field.node.data else {
        let text = field.text(problems)?;
        return Some((Endpoint::Name(endpoint_name(text, &machines.names, problems)?), Vec::new()));
    };
    let before = problems.found.len();
    let fields = Fields::read(field.node, field.place, &ENDPOINT, problems)?;
    let (vip, external) = (fields.text("vip", problems), fields.text("external", problems));
    match (vip, external) {
        (Some(_), Some(external)) => {
            problems.add(external.place, "a cluster has one endpoint: write either `vip` or `external`", "");
            None
        }
        (Some(text), None) => {
            let address = subnet::address(text, "vip: 192.168.1.10", "a VIP", subnet::CERTIFIED, problems)?;
            if let Some(machine) = machines.taken.iter().find(|machine| machine.net.addr() == address) {
                let message = format!(
                    "the VIP {address} is the address of {}: use a free address, because the VIP moves between \
                    machines",
                    machine.who
                );
                problems.add(text.place, message, free_beside(address, machines).map_or_else(String::new, |free| format!("vip: {free}")));
                return None;
            }
            let taken = vec![Taken::address(address, "the VIP", text.place)];
            Some((Endpoint::Vip { name: default_endpoint(cluster), address }, taken))
        }
        (None, Some(text)) => {
            let parts = host_and_port(text.text).and_then(|(host, port)| Some((host, port.filter(|&port| port > 0)?)));
            let Some((host, port)) = parts else {
                let message = format!("`{}` is not HOST:PORT", shown(text.text));
                problems.add(text.place, message, "external: api.example.org:6443");
                return None;
            };
            let address: Option<IpAddr> = host.parse().ok();
            let host_text = Text { text: host, place: text.place };
            match address {
                Some(_) => drop(subnet::address(host_text, "external: 192.168.1.10:6443", "a load balancer", subnet::CERTIFIED, problems)?),
                // A machine's name may lead elsewhere for whoever asks the user's DNS.
                None if is_whoever_asks(&host.to_ascii_lowercase()) => {
                    let message = format!("`{}` is each machine itself: other machines can't reach the API server by it", shown(host));
                    problems.add(text.place, message, "external: api.example.org:6443");
                    return None;
                }
                None => {}
            }
            let taken = address.map(|address| Taken::address(address, "the load balancer", text.place));
            Some((Endpoint::External { host: host.to_ascii_lowercase(), port }, taken.into_iter().collect()))
        }
        (None, None) => {
            if problems.found.len() == before {
                problems.add(
                    at(field.node, field.place),
                    "`endpoint` must be a name, or a mapping with `vip` or `external`",
                    "endpoint: { vip: 192.168.1.10 }",
                );
            }
            None
        }
    }
}

fn endpoint_name(text: Text, machines: &HashMap<String, Place>, problems: &mut Problems) -> Option<String> {
    let word = shown(text.text);
    let (why, example) = if text.text.parse::<IpAddr>().is_ok() {
        ("is an address: specify a virtual IP as in the example, or a name", format!("endpoint: {{ vip: {word} }}"))
    } else if matches!(host_and_port(text.text), Some((_, Some(_)))) {
        ("has a port: specify a load balancer as in the example, or a name without a port", format!("endpoint: {{ external: \"{word}\" }}"))
    } else if !name::is_host(text.text) {
        ("is not a valid DNS name in lower case", "endpoint: api.ponies.internal".to_owned())
    } else if machines.contains_key(text.text) || is_whoever_asks(text.text) {
        (
            "names a single machine: choose another name, because the endpoint may move to another machine",
            "endpoint: api.ponies.internal".to_owned(),
        )
    } else {
        return Some(text.text.to_owned());
    };
    problems.add(text.place, format!("`{word}` {why}"), example);
    None
}

/// Whether each machine has the name for itself.
fn is_whoever_asks(name: &str) -> bool {
    ["localhost", "ip6-localhost", "ip6-loopback"].contains(&name)
}

/// A nearby address that no machine has, for an example.
fn free_beside(address: IpAddr, machines: &Machines) -> Option<IpAddr> {
    let IpAddr::V4(v4) = address else { return None };
    let [a, b, c, _] = v4.octets();
    let candidates = (10..=250).rev().map(|last| IpAddr::from([a, b, c, last]));
    candidates.into_iter().find(|free| !machines.taken.iter().any(|machine| machine.net.addr() == *free))
}

/// The value of `snapshots.every` with which there are none.
const NEVER: &str = "never";

pub fn snapshots(inventory: &Fields, pods: Option<IpNet>, problems: &mut Problems) -> Option<Snapshots> {
    let regular = Snapshots::regular();
    let Some(field) = inventory.get("snapshots", problems) else { return Some(regular) };
    let fields = Fields::read(field.node, field.place, &SNAPSHOTS, problems)?;
    let to = fields.text("to", problems).and_then(|text| destination(text, pods, problems));
    let every = fields.text("every", problems);
    let never = every.is_some_and(|text| text.text == NEVER);
    let every = every.filter(|_| !never).and_then(|text| interval(text, problems));
    let keep = fields.number("keep", problems).and_then(|keep| u32::try_from(keep).ok());
    let before = problems.found.len();
    let texts = fields.texts("recipients", problems);
    if texts.is_empty()
        && problems.found.len() == before
        && let Some(field) = fields.get("recipients", problems)
    {
        let example = format!("recipients: [{RECIPIENT_EXAMPLE}]");
        problems.add(
            field.place,
            "`recipients` is empty, so snapshots would not be encrypted: add a public key, or omit `recipients`",
            example,
        );
    }
    let recipients = texts.into_iter().filter_map(|text| recipient(text, problems)).collect();
    let every = if never { None } else { every.or(regular.every) };
    Some(Snapshots { to: to.unwrap_or(regular.to), every, keep: keep.unwrap_or(regular.keep), recipients })
}

/// A share, or a folder on the control planes without `path:` before it.
fn destination(text: Text, pods: Option<IpNet>, problems: &mut Problems) -> Option<Share> {
    const EXAMPLE: &str = "to: nfs://192.168.1.3/snapshots";
    match text.text.starts_with('/') {
        true => path::shared(text, EXAMPLE, problems).map(Share::Path),
        false => share::read(text, EXAMPLE, pods, problems),
    }
}

/// A public key of age.
fn recipient(text: Text, problems: &mut Problems) -> Option<String> {
    if bech32::key(bech32::RECIPIENT, text.text).is_some() {
        return Some(text.text.to_ascii_lowercase());
    }
    let example = format!("recipients: [{RECIPIENT_EXAMPLE}]");
    if text.text.to_ascii_lowercase().starts_with(bech32::IDENTITY) {
        // Not shown: whoever reads the message could open the snapshots.
        problems.add_secret(text.place, "this is a secret key: write the public key, which `age-keygen -y` prints", example);
        return None;
    }
    let length = text.text.chars().count();
    let why = if text.text.starts_with("ssh-") {
        "is an SSH key: write an age public key, which begins with `age1`".to_owned()
    } else if !text.text.to_ascii_lowercase().starts_with("age1") {
        "is not an age public key, which begins with `age1`".to_owned()
    } else if length != RECIPIENT_EXAMPLE.len() {
        format!("is not an age public key: it has {length} characters instead of {}", RECIPIENT_EXAMPLE.len())
    } else {
        "is not an age public key: its checksum is wrong, so a character was mistyped".to_owned()
    };
    problems.add(text.place, format!("`{}` {why}", shown(text.text)), example);
    None
}

/// `30m`, `24h`, `7d`; from ten minutes to 365 days.
fn interval(text: Text, problems: &mut Problems) -> Option<Duration> {
    let unit = |text: &str| match text {
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(24 * 3600),
        _ => None,
    };
    let digits = text.text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.text.split_at(digits);
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit(rest)?));
    let why = match seconds {
        Some(seconds) if seconds < 600 => "is too short: the minimum is 10 minutes",
        Some(seconds) if seconds > 365 * 24 * 3600 => "is too long: the maximum is 365 days",
        Some(seconds) => return Some(Duration::from_secs(seconds)),
        None => "is not a duration: write a number followed by `m`, `h` or `d`, or `never`",
    };
    problems.add(text.place, format!("`{}` {why}", shown(text.text)), "every: 24h");
    None
}
