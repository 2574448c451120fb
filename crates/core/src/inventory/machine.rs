//! `machines`.

use std::collections::HashMap;
use std::net::IpAddr;

use indexmap::IndexMap;

use super::diagnostic::{Place, shown};
use super::name;
use super::path;
use super::read::{Fields, Problems, Text, at, text};
use super::schema::MACHINE;
use super::subnet::{self, Taken};
use super::tree::{Data, Node};
use super::{Connection, Machine, MachineName, Role, Taint, connection, encode, os};
use crate::films::settings::Encoding;
use crate::words::nearest;

/// All machines without errors.
#[derive(Debug, Default)]
pub struct Machines {
    pub machines: IndexMap<MachineName, Machine>,
    /// As [`super::Inventory::roles_written`].
    pub roles_written: bool,
    /// Their addresses, to detect conflicts.
    pub taken: Vec<Taken>,
    /// All names, as written.
    pub names: HashMap<String, Place>,
    /// Where the inventory says that a machine encodes, and how.
    pub encode: HashMap<MachineName, Place>,
}

/// A machine, as written.
struct Written {
    name: MachineName,
    name_place: Place,
    address: IpAddr,
    address_place: Place,
    role: Option<Role>,
    dedicated: Option<Place>,
    encode: Option<Place>,
    mac: Option<(String, Place)>,
    machine: Machine,
}

pub fn read(inventory: &Fields, ssh: &Connection, problems: &mut Problems) -> Machines {
    let named = inventory.named("machines", problems);
    if named.is_empty() {
        if let Some(field) = inventory.get("machines", &mut Problems::default())
            && matches!(&field.node.data, Data::Mapping(_))
        {
            problems.add(field.place, "`machines` is empty: an inventory needs at least one machine", field.key.shown());
        }
        return Machines::default();
    }
    let names = named.iter().map(|(name, _)| (name.text.to_owned(), name.place)).collect();
    let before = problems.found.len();
    // Its errors are those of its own reader.
    let has = |section: &str| inventory.get(section, &mut Problems::default()).is_some();
    let sections = Sections { os: has("os"), transcode: has("transcode") };
    let written: Vec<Written> = named.into_iter().filter_map(|(name, node)| one(name, node, &sections, problems)).collect();
    let whole = problems.found.len() == before;
    twice(&written, problems);
    let chosen = written.iter().any(|machine| machine.role == Some(Role::ControlPlane));
    let any = written.iter().any(|machine| machine.role.is_some());
    if any && !chosen && whole && written.iter().all(|machine| machine.role.is_some()) {
        let message = "no machine is a control plane: set `role: control-plane` for one of them";
        problems.add(written[0].name_place, message, "twilightsparkle:\n  address: 192.168.1.11\n  role: control-plane");
    }
    let roles_written = chosen || written.iter().filter(|machine| machine.role.is_none()).count() <= 1;
    let mut machines = Machines { names, roles_written, ..Machines::default() };
    let mut first = true;
    for written in written {
        // The first one that is not a worker explicitly.
        let falls_to_it = !chosen && first && written.role.is_none();
        first &= written.role == Some(Role::Worker);
        let role = written.role.unwrap_or(if falls_to_it { Role::ControlPlane } else { Role::Worker });
        if let (Some(place), Role::Worker) = (written.dedicated, role) {
            let message = format!("{} is a worker, but `dedicated` is for control planes: use `taints` for a worker", written.name);
            problems.add(place, message, "taints: [films=only:NoSchedule]");
        }
        if let Some(place) = written.encode {
            machines.encode.insert(written.name.clone(), place);
        }
        machines.taken.push(Taken::address(written.address, written.name.as_str(), written.address_place));
        let connection = connection::over(written.machine.connection, ssh);
        machines.machines.insert(written.name, Machine { role, connection, ..written.machine });
    }
    unwise(&machines.machines, problems);
    machines
}

/// Warnings about allowed but bad choices.
fn unwise(machines: &IndexMap<MachineName, Machine>, problems: &mut Problems) {
    let control_planes = machines.values().filter(|machine| machine.role == Role::ControlPlane).count();
    if control_planes > 0 && control_planes.is_multiple_of(2) {
        problems.warnings.push(format!(
            "{control_planes} control planes tolerate no more failures than {} would: etcd needs more than half of its members, so use \
             an odd number",
            control_planes - 1
        ));
    }
    if control_planes > 7 {
        problems.warnings.push(format!("{control_planes} control planes slow etcd down: use three or five"));
    }
    if !machines.is_empty() && machines.values().all(|machine| machine.dedicated || !machine.taints.is_empty()) {
        problems.warnings.push("every machine is dedicated or tainted, so ordinary pods can't run anywhere".to_owned());
    }
}

/// Reports duplicate addresses. (Names are keys, which are unique.)
fn twice(written: &[Written], problems: &mut Problems) {
    let mut addresses: HashMap<IpAddr, &Written> = HashMap::new();
    let mut macs: HashMap<&str, &Written> = HashMap::new();
    for machine in written {
        if let Some(other) = addresses.insert(machine.address, machine) {
            let message = format!("{} is already the address of {} (line {})", machine.address, other.name, other.address_place.line);
            problems.add(machine.address_place, message, "");
        }
        if let Some((mac, place)) = &machine.mac
            && let Some(other) = macs.insert(mac, machine)
        {
            problems.add(*place, format!("`{}` already has the MAC address {mac}", other.name), "");
        }
    }
}

/// Which sections the inventory has.
struct Sections {
    os: bool,
    transcode: bool,
}

fn one(name: Text, node: &Node, sections: &Sections, problems: &mut Problems) -> Option<Written> {
    let machine_name = name::label(name, "a machine", problems);
    if name.text == "localhost" {
        problems.add(name.place, "`localhost` can't be the name of a machine: choose another one", "");
    }
    if let Data::Scalar(_) = &node.data {
        let Some(text) = text(node) else {
            problems.add(name.place, format!("{} has no address", shown(name.text)), format!("{}: 192.168.1.11", shown(name.text)));
            return None;
        };
        let address = subnet::address(text, &format!("{}: 192.168.1.11", name.text), "a machine", subnet::CERTIFIED, problems)?;
        return Some(written(machine_name?, name.place, address, text.place));
    }
    let fields = Fields::read(node, name.place, &MACHINE, problems)?;
    let address = fields.text("address", problems);
    let address = address
        .and_then(|text| Some((subnet::address(text, "address: 192.168.1.11", "a machine", subnet::CERTIFIED, problems)?, text.place)));
    let role = fields.choice("role", problems).map(|word| if word == "worker" { Role::Worker } else { Role::ControlPlane });
    let mut host = connection::read(&fields, sections.os, problems);
    host.host_key = fields.get("hostKey", problems).and_then(|field| {
        let text = field.text(problems)?;
        connection::host_key(text, &field.key.shown(), problems)
    });
    let mac = fields.text("mac", problems).and_then(|text| mac(text, problems));
    let labels = labels(&fields, problems);
    let taints = taints(&fields, problems);
    let keep = fields.texts("keep", problems).into_iter().filter_map(|text| path::kept(text, problems)).collect();
    let disk = fields.get("disk", problems).and_then(|field| {
        if !sections.os {
            problems.add(
                field.place,
                "`disk` is only for machines that hostler installs: add the section `os`",
                "os:\n  authorizedKeys: [ssh-ed25519 AAAA... ada]",
            );
        }
        os::disk(field, problems)
    });
    let dedicated = fields.flag("dedicated", problems).unwrap_or(false);
    let dedicated_place = fields.get("dedicated", &mut Problems::default()).filter(|_| dedicated).map(|field| field.place);
    if let Some(field) = fields.get("encode", &mut Problems::default())
        && !sections.transcode
    {
        problems.add(field.place, "`encode` is only for machines that encode films: add the section `transcode`, or remove `encode`", "");
    }
    let (encode, encode_place) = encode::read(&fields, dedicated, problems);
    let (address, address_place) = address?;
    let plain = written(machine_name?, name.place, address, address_place);
    let machine =
        Machine { connection: host, mac: mac.clone().map(|(mac, _)| mac), labels, taints, keep, dedicated, encode, disk, ..plain.machine };
    Some(Written { role, dedicated: dedicated_place, encode: encode_place, mac, machine, ..plain })
}

/// A machine with only an address.
fn written(name: MachineName, name_place: Place, address: IpAddr, address_place: Place) -> Written {
    let machine = Machine {
        address,
        role: Role::Worker,
        connection: Connection::default(),
        mac: None,
        labels: IndexMap::new(),
        taints: Vec::new(),
        keep: Vec::new(),
        dedicated: false,
        encode: Some(Encoding::default()),
        disk: None,
    };
    Written { name, name_place, address, address_place, role: None, dedicated: None, encode: None, mac: None, machine }
}

/// In lower case with colons.
fn mac(text: Text, problems: &mut Problems) -> Option<(String, Place)> {
    let pairs: Vec<&str> = text.text.split([':', '-']).collect();
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|pair| u8::from_str_radix(pair, 16).ok().filter(|_| pair.len() == 2 && !pair.starts_with('+'))).collect();
    let why = match bytes {
        Some(bytes) if bytes.len() == 6 && bytes.iter().all(|&byte| byte == 0) => "is not the MAC address of a network card",
        Some(bytes) if bytes.len() == 6 && bytes[0] & 1 == 1 => "is a multicast address",
        Some(bytes) if bytes.len() == 6 => {
            let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            return Some((pairs.join(":"), text.place));
        }
        _ => "is not a MAC address: write six pairs of hexadecimal digits",
    };
    problems.add(text.place, format!("`{}` {why}", shown(text.text)), "mac: \"52:54:00:12:34:56\"");
    None
}

/// What Kubernetes sets itself, again and again: two of one mind would never come to rest.
const LABELS_OF_KUBERNETES: [&str; 6] = [
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "node-role.kubernetes.io/control-plane",
];
/// Taints whose keys begin so are set and removed by the node controller.
const TAINTS_OF_KUBERNETES: [&str; 2] = ["node.kubernetes.io/", "node.cloudprovider.kubernetes.io/"];

fn labels(fields: &Fields, problems: &mut Problems) -> IndexMap<String, String> {
    let mut labels = IndexMap::new();
    for (key, node) in fields.named("labels", problems) {
        let known = qualified(key, "a label", problems);
        if LABELS_OF_KUBERNETES.contains(&key.text) {
            problems.add(key.place, format!("Kubernetes sets the label `{}` itself: omit it", key.text), "labels: { gpu: intel }");
        }
        match text(node) {
            Some(value) if is_value(value.text) => drop(labels.insert(key.text.to_owned(), value.text.to_owned())),
            Some(value) => {
                problems.add(value.place, format!("`{}` is not a valid label value: {VALUE}", shown(value.text)), "labels: { gpu: intel }")
            }
            None if known => {
                let message = format!("the value of the label `{}` must be a string, but this is {}", shown(key.text), node.what());
                let example = if node.is_null() { format!("{}: \"\"", key.text) } else { format!("{}: intel", key.text) };
                problems.add(at(node, key.place), message, example);
            }
            None => {}
        }
    }
    labels
}

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

fn taints(fields: &Fields, problems: &mut Problems) -> Vec<Taint> {
    const EXAMPLE: &str = "taints: [films=only:NoSchedule]";
    let mut taints: Vec<Taint> = Vec::new();
    for text in fields.texts("taints", problems) {
        let word = shown(text.text);
        let Some((left, effect)) = text.text.rsplit_once(':') else {
            problems.add(text.place, format!("`{word}` is not a taint: write KEY:EFFECT or KEY=VALUE:EFFECT"), EXAMPLE);
            continue;
        };
        let (key, value) = left.split_once('=').unwrap_or((left, ""));
        if !EFFECTS.contains(&effect) {
            let near = nearest(effect, EFFECTS).map(|effect| format!("{left}:{effect}"));
            let guess = near.map_or_else(String::new, |near| format!(": did you mean `{}`?", shown(&near)));
            problems.add(
                text.place,
                format!("the effect of a taint must be one of {}, but this is `{}`{guess}", EFFECTS.join(", "), shown(effect)),
                EXAMPLE,
            );
        } else if key == "node-role.kubernetes.io/control-plane" {
            problems.add(text.place, format!("`{word}` can't be set here: use `dedicated` instead"), "dedicated: true");
        } else if TAINTS_OF_KUBERNETES.iter().any(|start| key.starts_with(start)) {
            problems.add(text.place, format!("Kubernetes sets and removes the taint `{word}` itself: omit it"), EXAMPLE);
        } else if !qualified(Text { text: key, ..text }, "a taint", problems) {
        } else if !is_value(value) {
            problems.add(text.place, format!("`{}` is not a valid taint value: {VALUE}", shown(value)), EXAMPLE);
        } else if taints.iter().any(|other| other.key == key && other.effect == effect) {
            problems.add(text.place, format!("duplicate taint {key} with effect {effect}"), "");
        } else {
            taints.push(Taint { key: key.to_owned(), value: value.to_owned(), effect: effect.to_owned() });
        }
    }
    taints
}

const VALUE: &str = "use at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends";

fn is_value(text: &str) -> bool {
    text.is_empty() || is_part(text)
}

fn is_part(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// Whether `text` is `[PREFIX/]NAME` as for labels and taints; reports an error otherwise.
fn qualified(text: Text, whose: &str, problems: &mut Problems) -> bool {
    let (prefix, name) = text.text.split_once('/').map_or((None, text.text), |(prefix, name)| (Some(prefix), name));
    let right = is_part(name)
        && prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(|label| MachineName::new(label).is_some()));
    if !right {
        let message = format!("`{}` is not a valid key of {whose}: write NAME or example.org/NAME, and {VALUE}", shown(text.text));
        problems.add(text.place, message, "");
    }
    right
}
