//! `os`: the system that hostler installs on machines with an empty disk.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::diagnostic::{Place, shown};
use super::machine::Machines;
use super::read::{Field, Fields, Problems, Text, at, text};
use super::schema::{DISK, NETWORK, OS};
use super::tree::Data;
use super::{connection, size, subnet};
use crate::words::did_you_mean;

/// How to install Debian on machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Os {
    pub release: Release,
    /// Which disk is written to, unless the machine has a rule of its own.
    pub disk: DiskRule,
    /// Bytes of the disk for the system with its ESP; the rest is the data partition.
    pub system_size: u64,
    /// Lines of `authorized_keys`: type, key and comment. Never empty.
    pub authorized_keys: Vec<String>,
    pub updates: Updates,
    pub network: Network,
}

/// A release of Debian that hostler makes images of, and installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Release {
    #[default]
    Trixie,
}

impl Release {
    pub const ALL: [Release; 1] = [Release::Trixie];

    /// As Debian's archive calls it, and the inventory.
    pub const fn codename(self) -> &'static str {
        match self {
            Release::Trixie => "trixie",
        }
    }

    /// As people call it.
    pub const fn title(self) -> &'static str {
        match self {
            Release::Trixie => "Debian 13",
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.codename())
    }
}

/// How an installed system gets its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// The router assigns it, by MAC address.
    Dhcp,
    /// The system sets the one in the inventory.
    Own(OwnNetwork),
}

/// The network of machines that set their own addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnNetwork {
    /// All machines and the gateway are in it.
    pub subnet: IpNet,
    pub gateway: IpAddr,
    /// Never empty.
    pub nameservers: Vec<IpAddr>,
}

/// Which disk of a machine is written to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskRule {
    /// The only built-in disk.
    Only,
    /// With this serial number.
    Serial(String),
    /// With this worldwide name.
    Wwid(String),
    /// With this name in /dev/disk/by-path.
    Path(String),
}

/// What a machine installs by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Updates {
    /// Debian's security updates, by unattended-upgrades.
    Security,
    None,
}

const SYSTEM_SIZE: u64 = 64_000_000_000;
/// Images, logs and one upgrade of the system need about half of it.
const LEAST_SYSTEM_SIZE: u64 = 16_000_000_000;

pub fn read(inventory: &Fields, machines: &Machines, problems: &mut Problems) -> Option<Os> {
    let field = inventory.get("os", problems)?;
    let fields = Fields::read(field.node, field.place, &OS, problems)?;
    let release = fields.choice("release", problems);
    let release = Release::ALL.into_iter().find(|known| release == Some(known.codename())).unwrap_or_default();
    let disk = fields.get("disk", problems).map_or(Some(DiskRule::Only), |field| disk(field, problems));
    let system_size = fields.text("systemSize", problems).map_or(Some(SYSTEM_SIZE), |text| {
        size::read(text, LEAST_SYSTEM_SIZE, "the system needs at least 16 GB", "systemSize: 64GB", problems)
    });
    let keys = authorized_keys(&fields, problems);
    let updates = if fields.choice("updates", problems) == Some("none") { Updates::None } else { Updates::Security };
    let network = fields.get("network", problems).map_or(Some(Network::Dhcp), |field| network(field, machines, problems));
    Some(Os { release, disk: disk?, system_size: system_size?, authorized_keys: keys?, updates, network: network? })
}

/// Why a gateway or a DNS server can't be given by name.
const UNNAMED: &str = "an IP address, because no name can be looked up without it";

fn network(field: Field, machines: &Machines, problems: &mut Problems) -> Option<Network> {
    if !matches!(field.node.data, Data::Mapping(_)) {
        let word = text(field.node).map(|text| text.text);
        if word == Some("dhcp") {
            return Some(Network::Dhcp);
        }
        let is = word.map_or_else(|| field.node.what().to_owned(), |word| format!("`{}`{}", shown(word), did_you_mean(word, ["dhcp"])));
        let message = format!("`network` must be `dhcp`, or a mapping with `subnet` and `gateway`, but this is {is}");
        problems.add(at(field.node, field.place), message, field.key.shown());
        return None;
    }
    let fields = Fields::read(field.node, field.place, &NETWORK, problems)?;
    let subnet = fields.text("subnet", problems).and_then(|text| Some((subnet::lan(text, problems)?, text.place)));
    let gateway = fields
        .text("gateway", problems)
        .and_then(|text| Some((subnet::address(text, "gateway: 192.168.1.1", "the gateway", UNNAMED, problems)?, text.place)));
    let before = problems.found.len();
    let texts = fields.texts("nameservers", problems);
    let server = |text: &Text| subnet::address(*text, "nameservers: [192.168.1.1]", "a DNS server", UNNAMED, problems);
    let mut nameservers: Vec<IpAddr> = texts.iter().filter_map(server).collect();
    if let Some(field) = fields.get("nameservers", problems).filter(|_| texts.is_empty() && problems.found.len() == before) {
        problems.add(field.place, "`nameservers` is empty: add a DNS server, or omit the key to use the gateway", field.key.shown());
    }
    let ((subnet, subnet_place), (gateway, gateway_place)) = (subnet?, gateway?);
    if !subnet.contains(&gateway) {
        problems.add(gateway_place, format!("the gateway {gateway} is not in the subnet {subnet}"), "");
    }
    reserved(&subnet, gateway, "the gateway", gateway_place, problems);
    for (name, machine) in &machines.machines {
        reserved(&subnet, machine.address, &format!("the address of {name}"), subnet_place, problems);
        if !subnet.contains(&machine.address) {
            let message = format!(
                "the subnet {subnet} does not contain the address of {name}, {}: correct one of them, or write `network: dhcp`",
                machine.address
            );
            problems.add(subnet_place, message, "");
        } else if machine.address == gateway {
            problems.add(gateway_place, format!("the gateway has the address of {name}, {gateway}"), "");
        }
    }
    if nameservers.is_empty() {
        nameservers.push(gateway);
    }
    (problems.found.len() == before).then_some(Network::Own(OwnNetwork { subnet, gateway, nameservers }))
}

/// Reports an address that no computer of the subnet can have.
pub fn reserved(subnet: &IpNet, address: IpAddr, whose: &str, place: Place, problems: &mut Problems) {
    let IpNet::V4(subnet) = subnet else { return };
    let why = if address == subnet.network() {
        "the first address of the subnet, which no computer can have"
    } else if address == subnet.broadcast() {
        "the broadcast address of the subnet"
    } else {
        return;
    };
    problems.add(place, format!("{whose} is {address}, {why} ({subnet})"), "");
}

/// A rule for the disk: of `os`, or of a machine.
pub fn disk(field: Field, problems: &mut Problems) -> Option<DiskRule> {
    const EXAMPLE: &str = "disk: { serial: S4EWNX0R123456 }";
    if let Data::Mapping(entries) = &field.node.data {
        let before = problems.found.len();
        let fields = Fields::read(field.node, field.place, &DISK, problems)?;
        if let [_, second, ..] = entries.as_slice() {
            problems.add(second.0.place, "`disk` can have only one of these keys: omit the others", EXAMPLE);
            return None;
        }
        let rules = [
            fields.text("serial", problems).and_then(|text| one_line(text, EXAMPLE, problems).map(DiskRule::Serial)),
            fields
                .text("wwid", problems)
                .and_then(|text| one_line(text, "disk: { wwid: eui.0025385b01234567 }", problems).map(DiskRule::Wwid)),
            fields.text("path", problems).and_then(|text| path(text, problems).map(DiskRule::Path)),
        ];
        let rule = rules.into_iter().flatten().next();
        if rule.is_none() && problems.found.len() == before {
            problems.add(at(field.node, field.place), "`disk` must be `only`, or a mapping with `serial`, `wwid` or `path`", EXAMPLE);
        }
        return rule;
    }
    let text = field.text(problems)?;
    match text.text {
        "only" => Some(DiskRule::Only),
        word => {
            let guess = did_you_mean(word, ["only"]);
            let why = if word.starts_with("/dev/") {
                ": write `disk: { path: /dev/disk/by-path/... }`, or its serial number"
            } else if guess.is_empty() {
                ": write `only`, `{ serial: ... }`, `{ wwid: ... }` or `{ path: ... }`"
            } else {
                &guess
            };
            problems.add(text.place, format!("`{}` does not identify a disk{why}", shown(word)), EXAMPLE);
            None
        }
    }
}

/// At most so many characters: serial numbers of NVMe have 20, wwids of ATA about 70.
const LONGEST: usize = 128;

fn one_line(text: Text, example: &str, problems: &mut Problems) -> Option<String> {
    let word = text.text.trim();
    if word.is_empty() || word.chars().count() > LONGEST || word.chars().any(char::is_control) {
        let message = format!(
            "`{}` can't be the serial number or WWID of a disk: write the serial number that `lsblk --nodeps --output \
                name,serial` shows, or the content of the disk's `wwid` file below /sys/block",
            shown(text.text)
        );
        problems.add(text.place, message, example);
        return None;
    }
    Some(word.to_owned())
}

/// A link of udev's that says where a disk is plugged in.
fn path(text: Text, problems: &mut Problems) -> Option<String> {
    let name = text.text.strip_prefix("/dev/disk/by-path/").filter(|name| !name.is_empty() && !name.contains('/'));
    let plain = |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:+".contains(&byte)) && !name.contains("-part");
    let is_usb = name.is_some_and(|name| name.contains("-usb-") || name.contains("-usbv"));
    if let Some(name) = name.filter(plain).filter(|_| !is_usb).filter(|name| name.len() <= LONGEST) {
        return Some(name.to_owned());
    }
    let why = match text.text.strip_prefix("/dev/") {
        _ if is_usb => "is a USB disk: hostler installs only on built-in disks",
        Some(name) if !name.contains('/') => "may name a different disk after a reboot: write the disk's name in /dev/disk/by-path/",
        _ if text.text.contains("-part") => "is a partition: write the name of the whole disk",
        _ => "is not the name of a disk in /dev/disk/by-path/",
    };
    problems.add(text.place, format!("`{}` {why}", shown(text.text)), "disk: { path: /dev/disk/by-path/pci-0000:01:00.0-nvme-1 }");
    None
}

fn authorized_keys(fields: &Fields, problems: &mut Problems) -> Option<Vec<String>> {
    const EXAMPLE: &str = "authorizedKeys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1lfXZ0ajZUc6sVzpdXDKhNtDzhVFUaYjFk0j2kLhXh ada]";
    let before = problems.found.len();
    let texts = fields.texts("authorizedKeys", problems);
    let mut keys: Vec<String> = Vec::new();
    for text in &texts {
        let words: Vec<&str> = text.text.split_whitespace().collect();
        if text.text.contains("PRIVATE KEY") {
            problems.add_secret(text.place, "this is a private key: write the public key, which is in the `.pub` file", EXAMPLE);
            continue;
        }
        let why = match words[..] {
            _ if text.text.trim().chars().any(char::is_control) => "is more than one line: write an entry for each key",
            [kind, body, ..] if connection::is_public_key(kind, body) => {
                if keys.iter().any(|key| key.split(' ').nth(1) == Some(body)) {
                    problems.add(text.place, "duplicate key", "");
                } else {
                    keys.push(words.join(" "));
                }
                continue;
            }
            [file] if file.contains('/') || file.ends_with(".pub") => "is the path of a file: write the line that the file contains",
            _ => "is not a public key: write the line from a file like ~/.ssh/id_ed25519.pub",
        };
        problems.add(text.place, format!("`{}` {why}", shown(text.text)), EXAMPLE);
    }
    if texts.is_empty()
        && problems.found.len() == before
        && let Some(field) = fields.get("authorizedKeys", problems)
    {
        problems.add(field.place, "`authorizedKeys` is empty, so no one could log in to the machines: add your public key", EXAMPLE);
    }
    (!keys.is_empty()).then_some(keys)
}

/// Users and groups of Debian's base-passwd, and of packages of the image: none of them is made for a person, and a group of that name can't be
/// made.
const DEBIANS_OWN: &[&str] = &[
    "_apt",
    "_ssh",
    "adm",
    "audio",
    "backup",
    "bin",
    "cdrom",
    "crontab",
    "daemon",
    "dialout",
    "dip",
    "disk",
    "fax",
    "floppy",
    "games",
    "input",
    "irc",
    "kmem",
    "kvm",
    "list",
    "lp",
    "mail",
    "man",
    "messagebus",
    "netdev",
    "news",
    "nobody",
    "nogroup",
    "operator",
    "plugdev",
    "polkitd",
    "proxy",
    "render",
    "sasl",
    "sgx",
    "shadow",
    "src",
    "sshd",
    "staff",
    "statd",
    "sudo",
    "sync",
    "sys",
    "systemd-journal",
    "systemd-network",
    "systemd-resolve",
    "systemd-timesync",
    "tape",
    "tty",
    "users",
    "utmp",
    "uucp",
    "video",
    "voice",
    "www-data",
];

/// Whether Debian has a user or a group of this name, so that no person gets it on an installed system. root is a person's, too.
pub fn is_debians_own(user: &str) -> bool {
    DEBIANS_OWN.contains(&user)
}

/// Why a user of this name can't be made.
pub fn not_a_person(user: &str) -> String {
    format!("Debian has a user or a group `{user}` of its own, so it can't be a person's user name")
}
