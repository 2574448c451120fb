//! Why a machine can't be reached, distinguished by what the user can do about it.

use std::fmt;
use std::path::PathBuf;

use hostler_core::facts::Contact;
use russh::keys::PublicKey;

use super::host_key::fingerprint;
use super::target::Target;

/// A connection that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectError {
    /// The machine's name, or the jump host's.
    pub machine: String,
    /// As [`Target::in_inventory`].
    pub in_inventory: bool,
    /// `host:port`
    pub address: String,
    pub user: String,
    pub reason: Box<Reason>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Nothing answers, or it stops answering before the connection is established.
    NoAnswer {
        seconds: u64,
    },
    /// There is a computer, but no sshd.
    Refused,
    /// The network reports that there is no route.
    NoWay(String),
    Unresolvable(String),
    /// The inventory or ssh's configuration has a mistake about this machine.
    Misconfigured(String),
    /// It closes the connection before its banner: MaxStartups, an overloaded sshd, a firewall.
    HungUp,
    ProxyFailed {
        command: String,
        status: Option<String>,
        stderr: String,
    },
    /// The proxy is a hostler, and says itself what is wrong.
    ProxySays {
        why: String,
        hint: String,
    },
    /// The jump host was reached, but can't connect to the machine.
    JumpRefused {
        by: String,
        why: String,
    },
    UnknownHostKey {
        key: PublicKey,
    },
    /// It was accepted without asking, and can't be remembered.
    NotSaved {
        key: PublicKey,
        why: String,
    },
    /// `expected`: fingerprints; `place`: file and line of known_hosts, `None` for a key pinned in the inventory.
    HostKeyChanged {
        expected: String,
        got: PublicKey,
        place: Option<(PathBuf, usize)>,
    },
    /// The key belongs to another machine of the inventory.
    /// `pinned`: the inventory has the machine's host key, so known_hosts has no say.
    NeighboursHostKey {
        neighbour: String,
        got: PublicKey,
        pinned: bool,
    },
    Revoked {
        got: PublicKey,
        place: (PathBuf, usize),
    },
    /// `tried`: each key and its result; `offered`: methods that the machine accepts.
    AuthFailed {
        tried: Vec<String>,
        offered: Vec<String>,
    },
    Protocol(String),
}

impl ConnectError {
    /// What answered at the machine's address, as far as one can see.
    pub fn contact(&self) -> Contact {
        match &*self.reason {
            Reason::NoAnswer { .. }
            | Reason::NoWay(_)
            | Reason::Unresolvable(_)
            | Reason::ProxyFailed { .. }
            | Reason::ProxySays { .. }
            | Reason::JumpRefused { .. } => Contact::Silence,
            Reason::HostKeyChanged { .. } => Contact::OtherHostKey,
            Reason::Refused
            | Reason::Misconfigured(_)
            | Reason::HungUp
            | Reason::UnknownHostKey { .. }
            | Reason::NotSaved { .. }
            | Reason::NeighboursHostKey { .. }
            | Reason::Revoked { .. }
            | Reason::AuthFailed { .. }
            | Reason::Protocol(_) => Contact::Answer,
        }
    }

    pub fn new(target: &Target, reason: Reason) -> ConnectError {
        ConnectError {
            machine: target.name.clone(),
            in_inventory: target.in_inventory,
            address: target.address(),
            user: target.user.clone(),
            reason: Box::new(reason),
        }
    }

    /// Whether waiting may help: the machine may be starting or overloaded.
    pub fn is_retryable(&self) -> bool {
        match &*self.reason {
            Reason::NoAnswer { .. }
            | Reason::Refused
            | Reason::NoWay(_)
            | Reason::HungUp
            | Reason::ProxyFailed { .. }
            | Reason::ProxySays { .. }
            | Reason::JumpRefused { .. } => true,
            Reason::Unresolvable(_)
            | Reason::Misconfigured(_)
            | Reason::UnknownHostKey { .. }
            | Reason::NotSaved { .. }
            | Reason::HostKeyChanged { .. }
            | Reason::NeighboursHostKey { .. }
            | Reason::Revoked { .. }
            | Reason::AuthFailed { .. }
            | Reason::Protocol(_) => false,
        }
    }

    /// Whether the machine answers, and lets the user not in.
    pub fn is_login_refused(&self) -> bool {
        matches!(&*self.reason, Reason::AuthFailed { .. } | Reason::Protocol(_))
    }

    /// Whether it accepted no key, but would accept a password.
    pub fn takes_password(&self) -> bool {
        let asks = |method: &String| method == "password" || method == "keyboard-interactive";
        matches!(&*self.reason, Reason::AuthFailed { offered, .. } if offered.iter().any(asks))
    }

    /// As on the command line of ssh and ssh-copy-id.
    fn destination(&self) -> String {
        let (host, port) = self.address.rsplit_once(':').unwrap_or((&self.address, "22"));
        let host = host.trim_matches(['[', ']']);
        if port == "22" { format!("{}@{host}", self.user) } else { format!("-p {port} {}@{host}", self.user) }
    }

    /// As in known_hosts.
    fn known_as(&self) -> String {
        let (host, port) = self.address.rsplit_once(':').unwrap_or((&self.address, "22"));
        let host = host.trim_matches(['[', ']']);
        if port == "22" { host.to_owned() } else { format!("[{host}]:{port}") }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        let ConnectError { machine, address, user, .. } = self;
        let destination = self.destination();
        match &*self.reason {
            Reason::NoAnswer { .. } => {
                format!("check that {machine} is powered on and on the same network, and that no firewall blocks {address}")
            }
            Reason::Refused => format!(
                "check that sshd is running on {machine}, that its port is `port` in the inventory, and that no \
                firewall rejects connections"
            ),
            Reason::NoWay(_) => "check this computer's network, and the machine's address in the inventory".to_owned(),
            Reason::Misconfigured(_) => format!("correct the SSH configuration, then run `ssh {destination}` to test it"),
            Reason::Unresolvable(_) => "write an IP address, or make the name resolvable (DNS, /etc/hosts)".to_owned(),
            Reason::HungUp => format!(
                "check the journal of sshd on {machine}: it may be overloaded (MaxStartups), or block this \
                computer"
            ),
            Reason::ProxyFailed { command, .. } => format!("run the command by hand: {command}"),
            Reason::ProxySays { hint, .. } => hint.clone(),
            Reason::JumpRefused { by, .. } => {
                format!("allow forwarding on {by} (AllowTcpForwarding, PermitOpen), and check that {address} can be reached from there")
            }
            Reason::UnknownHostKey { .. } => {
                format!(
                    "compare the fingerprint with the output of `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on {machine}, then \
                     pass `--accept-new-host-keys`, or pin the key as `hostKey` in the inventory"
                )
            }
            Reason::NotSaved { .. } => {
                "make known_hosts writable, or pin the key as `hostKey`; without `--accept-new-host-keys`, hostler shows the key and asks"
                    .to_owned()
            }
            Reason::HostKeyChanged { place: Some((file, line)), .. } => {
                let rebuild = if self.in_inventory { format!("run `hostler rebuild {machine}` or ") } else { String::new() };
                format!(
                    "if {machine} was reinstalled, {rebuild}delete line {line} of {}; if not, someone may be intercepting the connection",
                    file.display()
                )
            }
            Reason::HostKeyChanged { place: None, .. } => {
                format!(
                    "if {machine} was reinstalled, run `hostler rebuild {machine}` or correct its `hostKey` in the inventory; if not, someone may be intercepting the connection"
                )
            }
            Reason::NeighboursHostKey { neighbour, pinned: true, .. } => format!(
                "set the new addresses of both machines in the inventory, or have the router assign the old ones; if the addresses in the \
                 inventory are right, correct `hostKey` of {machine} and {neighbour} there"
            ),
            Reason::NeighboursHostKey { neighbour, pinned: false, .. } => format!(
                "set the new addresses of both machines in the inventory, or have the router assign the old ones; if the inventory is \
                 right, remove the old host keys of {machine} (`ssh-keygen -R '{}'`) and those of {neighbour}",
                self.known_as()
            ),
            Reason::Revoked { place: (file, line), .. } => {
                format!("line {line} of {} marks this key as revoked: create a new host key on {machine}", file.display())
            }
            Reason::AuthFailed { tried, .. } if tried.is_empty() => {
                format!("create a key with `ssh-keygen -t ed25519`, and install it for {user}: `ssh-copy-id {destination}`")
            }
            Reason::AuthFailed { tried, .. } if tried.len() > 5 => {
                "set `identity` in the inventory to the right key: sshd accepts only a few keys per connection (MaxAuthTries)".to_owned()
            }
            Reason::AuthFailed { .. } if self.takes_password() => {
                format!(
                    "install your key with `ssh-copy-id {destination}`, or run this command in a terminal, where hostler offers to \
                    install it"
                )
            }
            Reason::AuthFailed { .. } => {
                format!("add one of these keys to ~{user}/.ssh/authorized_keys on {machine}, or set `identity` to another key")
            }
            Reason::Protocol(_) => format!("run `ssh -v {destination}` to see at which point the connection fails"),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConnectError { machine, address, user, reason, .. } = self;
        write!(f, "{machine}: ")?;
        match &**reason {
            Reason::NoAnswer { seconds } => write!(f, "no answer from {address} within {seconds} s"),
            Reason::Refused => write!(f, "{address} refuses connections"),
            Reason::NoWay(why) => write!(f, "cannot reach {address}: {why}"),
            Reason::Misconfigured(why) => f.write_str(why),
            Reason::Unresolvable(why) => write!(f, "{address} can't be resolved: {why}"),
            Reason::HungUp => write!(f, "{address} closed the connection immediately"),
            Reason::ProxySays { why, .. } => f.write_str(why),
            Reason::ProxyFailed { command, status, stderr } => {
                write!(f, "ProxyCommand for {address} failed: `{command}`")?;
                if let Some(status) = status {
                    write!(f, " ended with {status}")?;
                }
                if stderr.is_empty() { Ok(()) } else { write!(f, ": {stderr}") }
            }
            Reason::JumpRefused { by, why } => write!(f, "jump host {by} can't connect to {address}: {why}"),
            Reason::UnknownHostKey { key } => write!(f, "the host key of {address} is not known: {} {}", kind(key), fingerprint(key)),
            Reason::NotSaved { key, why } => {
                write!(f, "the new host key of {address} can't be saved: {} {}: {why}", kind(key), fingerprint(key))
            }
            Reason::HostKeyChanged { expected, got, place } => {
                write!(f, "the host key of {address} has changed: {} {}, expected {expected}", kind(got), fingerprint(got))?;
                match place {
                    Some((file, line)) => write!(f, " ({}:{line})", file.display()),
                    None => write!(f, " (from the inventory)"),
                }
            }
            Reason::NeighboursHostKey { neighbour, got, .. } => {
                write!(
                    f,
                    "{machine}'s address {address} answers with {neighbour}'s host key ({} {}): DHCP may have swapped the addresses of \
                     the two machines",
                    kind(got),
                    fingerprint(got)
                )
            }
            Reason::Revoked { got, place: (file, line) } => {
                write!(f, "the host key of {address} is revoked: {} {} ({}:{line})", kind(got), fingerprint(got), file.display())
            }
            Reason::AuthFailed { tried, offered } => {
                write!(f, "{address} rejected the login of {user}: ")?;
                if tried.is_empty() {
                    f.write_str("there is no key to offer")?;
                } else {
                    write!(f, "tried {}", tried.join(", "))?;
                }
                if offered.is_empty() { Ok(()) } else { write!(f, "; accepted methods: {}", offered.join(", ")) }
            }
            Reason::Protocol(what) => write!(f, "SSH protocol error with {address}: {what}"),
        }
    }
}

impl std::error::Error for ConnectError {}

/// `ED25519`: OpenSSH's name of a key type.
fn kind(key: &PublicKey) -> String {
    let name = key.algorithm().to_string();
    let name = name.trim_start_matches("ssh-");
    name.split("-sha2").next().unwrap_or(name).to_uppercase()
}
