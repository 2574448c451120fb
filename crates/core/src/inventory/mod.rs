//! The desired state: the user's YAML file, validated.

mod cluster;
mod conflict;
mod connection;
mod diagnostic;
pub mod edit;
mod encode;
mod fragment;
mod load;
mod machine;
mod name;
mod notify;
pub mod os;
mod path;
mod preset;
pub(crate) mod read;
pub mod reference;
pub mod schema;
mod share;
mod size;
mod subnet;
mod token;
mod transcode;
pub(crate) mod tree;
mod url;

use std::borrow::Borrow;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::films::settings::Encoding;
use crate::protocol::path::SNAPSHOTS;
use crate::share::Share;
use crate::version::Versions;

pub use cluster::default_endpoint;
pub use connection::{host_and_port, is_user};
pub use diagnostic::{Diagnostic, Diagnostics, Place, shown};
pub use encode::encoder as encoder_of_preset;
pub use fragment::{key_place, merge, to_yaml};
pub use load::{NamedFile, ReadFile, Unread, not_utf8, parse, parse_with};
pub use name::is_host;
pub use notify::{Address, Notify};
pub use os::{DiskRule, Network, Os, OwnNetwork, Release, Updates};
pub use path::within;
pub use token::NoToken;
pub use transcode::{Token, TokenFile, Transcode};
pub use tree::MOST_BYTES;

/// A validated inventory: all values are filled in and consistent.
#[derive(Debug, Clone, PartialEq)]
pub struct Inventory {
    /// What it was read from, without the files that it names.
    pub text: String,
    pub cluster: Cluster,
    /// In the file's order, which is the order of the plan. Never empty, and at least one is a control plane.
    pub machines: IndexMap<MachineName, Machine>,
    /// Whether the file says who the control planes are, by their roles or by everybody else's. Where it does not, the first machine is one,
    /// which another order of the lines would change.
    pub roles_written: bool,
    pub kubeadm: KubeadmFragments,
    /// Name -> TOML text for `/etc/containerd/conf.d/NAME.toml`.
    pub containerd: IndexMap<String, String>,
    /// Names of kubeadm preflight checks to ignore, in addition to those that hostler ignores.
    pub ignore_preflight_errors: Vec<String>,
    pub snapshots: Snapshots,
    /// Where messages go, if anywhere.
    pub notify: Option<Notify>,
    /// The transcoding workload, if any.
    pub transcode: Option<Transcode>,
    /// How to install machines that have no system yet, if hostler does that.
    pub os: Option<Os>,
    /// The versions of Kubernetes that hostler can install, as far as the reader of the file was told.
    pub versions: Versions,
    /// Warnings about allowed but bad choices.
    pub warnings: Vec<String>,
}

/// The name of a machine, of its node, and of its host: a DNS label (RFC 1123: a-z, 0-9 and '-', at most 63).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MachineName(String);

/// One computer.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// The address that nodes use among each other, and SSH.
    pub address: IpAddr,
    pub role: Role,
    pub connection: Connection,
    /// MAC address. A machine with another one at the same address is refused.
    pub mac: Option<String>,
    pub labels: IndexMap<String, String>,
    pub taints: Vec<Taint>,
    /// Paths that no verb ever wipes, with everything below them.
    pub keep: Vec<String>,
    /// Keeps the control-plane taint, so that no ordinary pods run here.
    pub dedicated: bool,
    /// When and what it encodes, if the inventory has `transcode`; `None`: nothing.
    pub encode: Option<Encoding>,
    /// Which disk is written to when the machine is installed; `None`: as [`Os::disk`].
    pub disk: Option<DiskRule>,
}

/// How to reach a machine with SSH, by the inventory: keys of the machine, else of `ssh`. `None` leaves it to ~/.ssh/config and OpenSSH's
/// defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connection {
    pub user: Option<String>,
    pub port: Option<u16>,
    /// Private key file; a leading `~/` is the user's home.
    pub identity: Option<PathBuf>,
    /// `[user@]host[:port]`, several separated by commas, as ssh's `-J`.
    pub jump: Option<String>,
    /// As ssh's ProxyCommand, with %h, %p, %r and %%.
    pub proxy_command: Option<String>,
    /// The only accepted host key: an OpenSSH public key (`ssh-ed25519 AAAA...`) or a fingerprint (`SHA256:...`).
    pub host_key: Option<String>,
    /// Whether commands run through sudo. `None`: yes, unless the user is root.
    pub sudo: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    ControlPlane,
    Worker,
}

/// `KEY[=VALUE]:EFFECT` in the inventory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Taint {
    pub key: String,
    #[serde(default)]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// A DNS label; default `home`.
    pub name: String,
    /// Without the `v`. `None`: the running version, or for a new cluster the newest that hostler knows.
    pub version: Option<String>,
    pub endpoint: Endpoint,
    pub pod_subnet: IpNet,
    pub service_subnet: IpNet,
    pub cni: Cni,
}

impl Cluster {
    /// `HOST:PORT` of the API server as every machine uses it; an IPv6 address is in brackets.
    pub fn authority(&self) -> String {
        let (host, port) = (self.endpoint.host(), self.endpoint.port());
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

/// Snapshots: the regular ones, which the control planes take, and to whom all of them are encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshots {
    /// Where they go, besides this computer.
    pub to: Share,
    /// Whole minutes, at least ten; `None`: regular snapshots are not set up.
    pub every: Option<Duration>,
    /// How many to keep; at least one.
    pub keep: u32,
    /// Public keys of age that they are encrypted to; none: they are not encrypted.
    pub recipients: Vec<String>,
}

impl Snapshots {
    /// What is taken where the inventory says nothing.
    pub fn regular() -> Snapshots {
        Snapshots { to: Share::Path(SNAPSHOTS.to_owned()), every: Some(Duration::from_secs(24 * 3600)), keep: 7, recipients: Vec::new() }
    }

    /// The folder on the control planes that they are written to. What goes to a server is copied from there.
    pub fn folder(&self) -> &str {
        match &self.to {
            Share::Path(path) => path,
            Share::Nfs { .. } => SNAPSHOTS,
        }
    }

    /// The share that control planes copy them to, if it is on a server.
    pub fn server(&self) -> Option<&Share> {
        Some(&self.to).filter(|share| share.is_on_a_server())
    }
}

/// The address of the API server that every machine uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A name that /etc/hosts on every machine resolves to the first control plane.
    Name(String),
    /// A virtual IP that keepalived moves between the control planes, with the same kind of name.
    Vip { name: String, address: IpAddr },
    /// A load balancer that the user runs: host and port.
    External { host: String, port: u16 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cni {
    /// flannel with VXLAN: works on any network.
    Flannel,
    /// flannel with plain routes: faster, needs all machines on one link.
    FlannelHostGw,
    /// The user installs one.
    None,
}

/// YAML fragments merged (deep; lists replaced; null removes) over what hostler renders, by kubeadm document.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KubeadmFragments {
    pub cluster: serde_yaml::Mapping,
    pub init: serde_yaml::Mapping,
    pub join: serde_yaml::Mapping,
    pub kubelet: serde_yaml::Mapping,
    pub kube_proxy: serde_yaml::Mapping,
}

impl KubeadmFragments {
    /// Whether kubelet is configured to run with swap.
    pub fn tolerates_swap(&self) -> bool {
        self.kubelet.get("failSwapOn") == Some(&serde_yaml::Value::Bool(false))
    }
}

/// Whether a node of a cluster can have this name: a DNS subdomain (RFC 1123).
pub fn is_node_name(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(|label| MachineName::new(label).is_some())
}

impl MachineName {
    /// `None` unless `name` is a DNS label (RFC 1123).
    pub fn new(name: &str) -> Option<MachineName> {
        let bytes = name.as_bytes();
        let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let label = !bytes.is_empty()
            && bytes.len() <= 63
            && edge(bytes[0])
            && edge(bytes[bytes.len() - 1])
            && bytes.iter().all(|&byte| edge(byte) || byte == b'-');
        label.then(|| MachineName(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MachineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Borrow<str> for MachineName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Taint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.as_str() {
            "" => write!(f, "{}:{}", self.key, self.effect),
            value => write!(f, "{}={value}:{}", self.key, self.effect),
        }
    }
}

impl Inventory {
    /// Control planes in the inventory's order; a new cluster starts with the first one.
    pub fn control_planes(&self) -> impl Iterator<Item = (&MachineName, &Machine)> {
        self.machines.iter().filter(|(_, machine)| machine.role == Role::ControlPlane)
    }

    /// The control plane of a cluster that has no other.
    pub fn only_control_plane(&self) -> Option<&MachineName> {
        let mut names = self.control_planes().map(|(name, _)| name);
        names.next().filter(|_| names.next().is_none())
    }

    pub fn workers(&self) -> impl Iterator<Item = (&MachineName, &Machine)> {
        self.machines.iter().filter(|(_, machine)| machine.role == Role::Worker)
    }
}

impl Endpoint {
    /// The host name or address in certificates and kubeconfigs.
    pub fn host(&self) -> &str {
        match self {
            Endpoint::Name(name) | Endpoint::Vip { name, .. } => name,
            Endpoint::External { host, .. } => host,
        }
    }

    /// The address that moves between control planes, if one does.
    pub fn vip(&self) -> Option<IpAddr> {
        match self {
            Endpoint::Vip { address, .. } => Some(*address),
            Endpoint::Name(_) | Endpoint::External { .. } => None,
        }
    }

    pub fn port(&self) -> u16 {
        match self {
            Endpoint::Name(_) | Endpoint::Vip { .. } => 6443,
            Endpoint::External { port, .. } => *port,
        }
    }
}
