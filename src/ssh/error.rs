//! Why a machine can't be reached, told apart by what a person has to do about it.

use std::fmt;
use std::path::PathBuf;

use russh::keys::PublicKey;

use super::host_key::fingerprint;
use super::target::Target;

/// A connection that did not come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectError {
    /// The machine's name, or the jump host's.
    pub machine: String,
    /// `host:port`
    pub address: String,
    pub user: String,
    pub reason: Box<Reason>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Nothing answers, or it stops answering before the connection is there.
    NoAnswer {
        seconds: u64,
    },
    /// There is a computer, and no sshd.
    Refused,
    /// The network says that there is no way.
    NoWay(String),
    Unresolvable(String),
    /// It answers and hangs up before a word: MaxStartups, a full sshd, a firewall.
    HungUp,
    ProxyFailed {
        command: String,
        status: Option<String>,
        stderr: String,
    },
    /// The jump host could be reached, and does not lead to the machine.
    JumpRefused {
        by: String,
        why: String,
    },
    UnknownHostKey {
        key: PublicKey,
    },
    /// `expected`: fingerprints; `place`: file and line of known_hosts, `None` for a key that the inventory pins.
    HostKeyChanged {
        expected: String,
        got: PublicKey,
        place: Option<(PathBuf, usize)>,
    },
    /// The key is another machine's of the inventory.
    NeighboursHostKey {
        neighbour: String,
        got: PublicKey,
    },
    Revoked {
        got: PublicKey,
        place: (PathBuf, usize),
    },
    /// `tried`: each key and what became of it; `offered`: what the machine would accept.
    AuthFailed {
        tried: Vec<String>,
        offered: Vec<String>,
    },
    Protocol(String),
}

impl ConnectError {
    pub fn new(target: &Target, reason: Reason) -> ConnectError {
        ConnectError { machine: target.name.clone(), address: target.address(), user: target.user.clone(), reason: Box::new(reason) }
    }

    /// Whether waiting may help: the machine may be starting, or be full.
    pub fn is_retryable(&self) -> bool {
        match &*self.reason {
            Reason::NoAnswer { .. }
            | Reason::Refused
            | Reason::NoWay(_)
            | Reason::HungUp
            | Reason::ProxyFailed { .. }
            | Reason::JumpRefused { .. } => true,
            Reason::Unresolvable(_)
            | Reason::UnknownHostKey { .. }
            | Reason::HostKeyChanged { .. }
            | Reason::NeighboursHostKey { .. }
            | Reason::Revoked { .. }
            | Reason::AuthFailed { .. }
            | Reason::Protocol(_) => false,
        }
    }

    /// Whether it let no key in, and would take a password.
    pub fn takes_password(&self) -> bool {
        let asks = |method: &String| method == "password" || method == "keyboard-interactive";
        matches!(&*self.reason, Reason::AuthFailed { offered, .. } if offered.iter().any(asks))
    }

    /// As ssh and ssh-copy-id want it on their command line.
    fn destination(&self) -> String {
        let (host, port) = self.address.rsplit_once(':').unwrap_or((&self.address, "22"));
        let host = host.trim_matches(['[', ']']);
        if port == "22" { format!("{}@{host}", self.user) } else { format!("-p {port} {}@{host}", self.user) }
    }

    /// As a line of known_hosts begins.
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
                format!("look whether {machine} is on and in the same network, and whether a firewall lets {address} through")
            }
            Reason::Refused => format!("{machine} is on, but no sshd listens there: start it, or give its `port`"),
            Reason::NoWay(_) => "look at this computer's network and the machine's address".to_owned(),
            Reason::Unresolvable(_) => "write the address itself, or make the name known (DNS, /etc/hosts)".to_owned(),
            Reason::HungUp => format!("sshd on {machine} may be full (MaxStartups) or keep this computer out: look at its journal"),
            Reason::ProxyFailed { command, .. } => format!("run it by hand: {command}"),
            Reason::JumpRefused { by, .. } => {
                format!("allow it on {by} (AllowTcpForwarding, PermitOpen), and see that it reaches {address}")
            }
            Reason::UnknownHostKey { .. } => {
                format!(
                    "compare it with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on {machine}, then pass `--accept-new-host-keys`, or pin it as `hostKey`"
                )
            }
            Reason::HostKeyChanged { place: Some((file, line)), .. } => format!(
                "if {machine} was installed anew, `hostler rebuild {machine}` or take out line {line} of {}; if not, somebody may be listening in",
                file.display()
            ),
            Reason::HostKeyChanged { place: None, .. } => {
                format!(
                    "if {machine} was installed anew, `hostler rebuild {machine}`, or correct its `hostKey` in the inventory; if not, somebody may be listening in"
                )
            }
            Reason::NeighboursHostKey { neighbour, .. } => format!(
                "write the addresses that the two have now into the inventory, or have the router give the old ones back; if the inventory is right, `ssh-keygen -R '{}'` forgets what was known of {machine}'s, and the same of {neighbour}'s",
                self.known_as()
            ),
            Reason::Revoked { place: (file, line), .. } => {
                format!("line {line} of {} revokes it: give {machine} a new host key", file.display())
            }
            Reason::AuthFailed { tried, .. } if tried.is_empty() => {
                format!("make a key with `ssh-keygen -t ed25519` and let {user} in with it: `ssh-copy-id {destination}`")
            }
            Reason::AuthFailed { tried, .. } if tried.len() > 5 => {
                "the machine gives up after some keys: name the right one as `identity`".to_owned()
            }
            Reason::AuthFailed { .. } if self.takes_password() => {
                format!("let your key in with `ssh-copy-id {destination}`, or run this on a terminal, where it is offered")
            }
            Reason::AuthFailed { .. } => {
                format!("see that ~{user}/.ssh/authorized_keys on {machine} holds one of these keys, or name another `identity`")
            }
            Reason::Protocol(_) => format!("try `ssh -v {destination}`"),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConnectError { machine, address, user, reason } = self;
        write!(f, "{machine}: ")?;
        match &**reason {
            Reason::NoAnswer { seconds } => write!(f, "no answer from {address} within {seconds} s"),
            Reason::Refused => write!(f, "{address} refuses connections"),
            Reason::NoWay(why) => write!(f, "no way to {address}: {why}"),
            Reason::Unresolvable(why) => write!(f, "{address} can't be resolved: {why}"),
            Reason::HungUp => write!(f, "{address} hung up at once"),
            Reason::ProxyFailed { command, status, stderr } => {
                write!(f, "the way to {address} failed: `{command}`")?;
                if let Some(status) = status {
                    write!(f, " ended with {status}")?;
                }
                if stderr.is_empty() { Ok(()) } else { write!(f, ": {stderr}") }
            }
            Reason::JumpRefused { by, why } => write!(f, "jump host {by} does not lead to {address}: {why}"),
            Reason::UnknownHostKey { key } => write!(f, "the host key of {address} is not known: {} {}", kind(key), fingerprint(key)),
            Reason::HostKeyChanged { expected, got, place } => {
                write!(f, "{address} shows another host key than expected: {} {}, expected {expected}", kind(got), fingerprint(got))?;
                match place {
                    Some((file, line)) => write!(f, " ({}:{line})", file.display()),
                    None => write!(f, " (the inventory's)"),
                }
            }
            Reason::NeighboursHostKey { neighbour, got } => {
                write!(
                    f,
                    "{neighbour}'s key answers at {machine}'s address {address} ({} {}): DHCP moved them?",
                    kind(got),
                    fingerprint(got)
                )
            }
            Reason::Revoked { got, place: (file, line) } => {
                write!(f, "the host key of {address} is revoked: {} {} ({}:{line})", kind(got), fingerprint(got), file.display())
            }
            Reason::AuthFailed { tried, offered } => {
                write!(f, "{address} does not let {user} in: ")?;
                if tried.is_empty() {
                    f.write_str("there is no key to offer")?;
                } else {
                    f.write_str(&tried.join(", "))?;
                }
                if offered.is_empty() { Ok(()) } else { write!(f, "; it would accept {}", offered.join(", ")) }
            }
            Reason::Protocol(what) => write!(f, "{address} and hostler don't understand each other: {what}"),
        }
    }
}

impl std::error::Error for ConnectError {}

/// `ED25519`, as OpenSSH calls a kind of key.
fn kind(key: &PublicKey) -> String {
    let name = key.algorithm().to_string();
    let name = name.trim_start_matches("ssh-");
    name.split("-sha2").next().unwrap_or(name).to_uppercase()
}
