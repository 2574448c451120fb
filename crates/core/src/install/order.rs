//! What the installer is ordered to do: one file, for all machines that it may meet. It is read strictly: a wrong one is not followed in part.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::disk::Wish;
use crate::inventory::{self, DiskRule, MachineName, Updates};

/// Changes when older installers would misunderstand an order.
const VERSION: u32 = 1;
/// Bytes: much more than for a hundred machines.
pub const LONGEST: usize = 1 << 20;

/// How a private key in OpenSSH's format begins.
const PRIVATE_KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\n";

/// An order. Its image is in the same folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Order {
    version: u32,
    /// 32 hexadecimal digits: those of [`Image::id_begins`], and random ones, so that no two orders have the same.
    pub id: String,
    pub image: Image,
    /// By MAC address, in lower case with colons. Other machines are left alone.
    pub machines: BTreeMap<String, Machine>,
}

/// The file system of the new system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Image {
    /// Its name in the order's folder; compressed with zstd.
    pub file: String,
    /// Bytes, when it is not compressed.
    pub size: u64,
    /// Of those bytes, in hex.
    pub sha256: String,
}

impl Image {
    /// An order's id begins so: what it installs can be told from the [name](super::layout::installed_name) of the system's partition.
    pub fn id_begins(&self) -> &str {
        self.sha256.get(..8).unwrap_or(&self.sha256)
    }

    /// Whether the order of this [short id](short_id) installs this image.
    pub fn is_of(&self, order: &str) -> bool {
        !self.sha256.is_empty() && order.starts_with(self.id_begins())
    }
}

/// A machine to be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Machine {
    pub name: MachineName,
    /// Who logs in; may use sudo without a password.
    pub user: String,
    /// Lines of `authorized_keys`.
    pub authorized_keys: Vec<String>,
    /// The private host key (ed25519) in OpenSSH's format. Empty where the machine adds its own: [`Order::complete`].
    pub host_key: String,
    pub disk: DiskRule,
    /// Bytes.
    pub system_size: u64,
    pub wipe: bool,
    pub updates: Updates,
    pub network: Network,
}

/// How the new system gets its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum Network {
    /// By DHCP, with its MAC address.
    Dhcp,
    /// It sets it.
    Own {
        /// With the prefix length of its subnet.
        address: IpNet,
        gateway: IpAddr,
        /// Never empty.
        nameservers: Vec<IpAddr>,
    },
}

impl Network {
    fn is_whole(&self) -> bool {
        match self {
            Network::Dhcp => true,
            Network::Own { address, gateway, nameservers } => address.contains(gateway) && !nameservers.is_empty(),
        }
    }

    /// Of the machine with this address, as the inventory says.
    pub fn of(network: &inventory::Network, address: IpAddr) -> Network {
        match network {
            inventory::Network::Own(own) => {
                // The prefix length is that of another address of the same family.
                let address = IpNet::new(address, own.subnet.prefix_len()).unwrap_or(own.subnet);
                Network::Own { address, gateway: own.gateway, nameservers: own.nameservers.clone() }
            }
            inventory::Network::Dhcp => Network::Dhcp,
        }
    }
}

impl Machine {
    pub fn wish(&self) -> Wish {
        Wish { rule: self.disk.clone(), system_size: self.system_size, wipe: self.wipe }
    }
}

impl Order {
    pub fn new(id: String, image: Image, machines: BTreeMap<String, Machine>) -> Order {
        Order { version: VERSION, id, image, machines }
    }

    /// Parses an order.
    ///
    /// # Errors
    /// It is not one, or a value has not the form that the installer relies on.
    pub fn parse(bytes: &[u8]) -> Result<Order, String> {
        let order: Order = serde_json::from_slice(bytes).map_err(|error| format!("the installation order can't be read: {error}"))?;
        let line = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        let file = &order.image.file;
        let plain = !file.is_empty() && !file.starts_with('.') && file.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if order.version != VERSION {
            return Err("the installation order is from another version of hostler: make the stick again".to_owned());
        }
        let wrong = if !is_id(&order.id) {
            "id"
        } else if !plain || !is_hex(&order.image.sha256, 64) || order.image.size == 0 {
            "image"
        } else if !order.machines.keys().all(|mac| is_mac(mac)) {
            "MAC address of a machine"
        } else if !order.machines.values().all(|machine| MachineName::new(machine.name.as_str()).is_some()) {
            "name of a machine"
        } else if !order.machines.values().all(|machine| crate::inventory::is_user(&machine.user)) {
            "user of a machine"
        } else if !order
            .machines
            .values()
            .all(|machine| !machine.authorized_keys.is_empty() && machine.authorized_keys.iter().all(|key| line(key)))
        {
            "keys of a machine"
        } else if !order.machines.values().all(|machine| machine.network.is_whole()) {
            "network of a machine"
        } else {
            return Ok(order);
        };
        Err(format!("the installation order has no valid {wrong}"))
    }

    /// Gives the order's only machine the host key that never left it.
    ///
    /// # Errors
    /// The order is for another number of machines, it has a key, or this is none.
    pub fn complete(&mut self, host_key: &str) -> Result<(), &'static str> {
        let mut machines = self.machines.values_mut();
        match (machines.next(), machines.next()) {
            (Some(machine), None) if machine.host_key.is_empty() && host_key.starts_with(PRIVATE_KEY) => {
                machine.host_key = host_key.to_owned();
                Ok(())
            }
            (Some(machine), None) if machine.host_key.is_empty() => Err("the machine's host key is not a private key in OpenSSH's format"),
            _ => Err("the installation order is not for exactly one machine without a host key"),
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        // Texts, numbers and flags only.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    pub fn short_id(&self) -> &str {
        short_id(&self.id)
    }
}

/// Enough of an order's id to tell it from others, and short enough for the name of a partition.
pub fn short_id(id: &str) -> &str {
    id.get(..16).unwrap_or(id)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Whether it has the form of an order's id.
pub(super) fn is_id(text: &str) -> bool {
    is_hex(text, 32)
}

/// Whether it is a MAC address, in lower case with colons.
pub(super) fn is_mac(text: &str) -> bool {
    let pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    text.split(':').count() == 6 && text.split(':').all(pair)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn right() -> Value {
        json!({
            "version": 1,
            "id": "0123456789abcdef0123456789abcdef",
            "image": {"file": "system.img.zst", "size": 1_000_000, "sha256": "a".repeat(64)},
            "machines": {"52:54:00:12:34:56": {
                "name": "twilightsparkle", "user": "ada", "authorizedKeys": ["ssh-ed25519 AAAA ada"], "hostKey": "-----BEGIN", "disk": "only",
                "systemSize": 64_000_000_000_u64, "wipe": false, "updates": "security",
                "network": {"own": {"address": "192.168.1.11/24", "gateway": "192.168.1.1", "nameservers": ["192.168.1.1"]}},
            }},
        })
    }

    #[test]
    fn an_order_is_read_as_it_was_written() {
        let order = Order::parse(right().to_string().as_bytes()).unwrap();
        assert_eq!(Order::parse(order.to_json().as_bytes()).unwrap(), order);
        assert_eq!(order.machines["52:54:00:12:34:56"].wish().rule, DiskRule::Only);
    }

    #[test]
    fn an_order_is_completed_once_with_a_key() {
        let mut order = right();
        order["machines"]["52:54:00:12:34:56"]["hostKey"] = json!("");
        let mut order = Order::parse(order.to_string().as_bytes()).unwrap();
        for wrong in ["", "-----BEGIN RSA PRIVATE KEY-----\n", "ssh-ed25519 AAAA"] {
            assert!(order.complete(wrong).is_err());
        }
        let key = format!("{PRIVATE_KEY}b3Blb\n");
        order.complete(&key).unwrap();
        assert_eq!(order.machines["52:54:00:12:34:56"].host_key, key);
        assert!(order.complete(&key).is_err());
        let machine = order.machines["52:54:00:12:34:56"].clone();
        order.machines.insert("52:54:00:12:34:57".to_owned(), Machine { host_key: String::new(), ..machine });
        assert!(order.complete(&key).is_err());
    }

    #[test]
    fn a_wrong_order_is_not_followed() {
        let machine = "/machines/52:54:00:12:34:56";
        for (place, value) in [
            ("/version".to_owned(), json!(2)),
            ("/id".to_owned(), json!("0123")),
            ("/image/file".to_owned(), json!("../order.json")),
            ("/image/sha256".to_owned(), json!("")),
            ("/image/size".to_owned(), json!(0)),
            ("/machines".to_owned(), json!({"52-54-00-12-34-56": right()["machines"]["52:54:00:12:34:56"]})),
            (format!("{machine}/name"), json!("a b")),
            (format!("{machine}/user"), json!("ada;reboot")),
            (format!("{machine}/authorizedKeys"), json!([])),
            (format!("{machine}/authorizedKeys"), json!(["a\nb"])),
            (format!("{machine}/disk"), json!("any")),
            (format!("{machine}/disk"), json!({"serial": "a", "wwid": "b"})),
            (format!("{machine}/wipe"), json!("yes")),
            (format!("{machine}/network"), json!("static")),
            (format!("{machine}/network/own/address"), json!("192.168.1.11\nDHCP=yes")),
            (format!("{machine}/network/own/nameservers"), json!([])),
            (format!("{machine}/network/own/gateway"), json!("fd00::1")),
            (format!("{machine}/systemSize"), json!(-1)),
        ] {
            let mut order = right();
            *order.pointer_mut(&place).unwrap() = value.clone();
            assert!(Order::parse(order.to_string().as_bytes()).is_err(), "{place} {value}");
        }
        let mut order = right();
        order["machines"]["52:54:00:12:34:56"]["more"] = json!(1);
        assert!(Order::parse(order.to_string().as_bytes()).is_err());
        let text = right().to_string();
        assert!(Order::parse(&text.as_bytes()[..text.len() - 1]).is_err());
    }
}
