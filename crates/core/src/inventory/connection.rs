//! Connections: `ssh`, and the same keys of a machine.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::Connection;
use super::diagnostic::shown;
use super::read::{Fields, Problems, Text};
use super::{name, os};

/// The keys that `ssh` and a machine share. `installs`: the inventory says how to install machines, which then have this user.
pub fn read(fields: &Fields, installs: bool, problems: &mut Problems) -> Connection {
    let key = |name: &str| fields.get(name, &mut Problems::default()).map_or_else(String::new, |field| field.key.shown());
    let user = fields.text("user", problems).and_then(|text| {
        let right = is_user(text.text);
        if !right {
            problems.add(text.place, format!("`{}` is not a valid user name", shown(text.text)), key("user"));
        } else if installs && os::is_debians_own(text.text) {
            problems.add(text.place, os::not_a_person(text.text), key("user"));
        }
        right.then(|| text.text.to_owned())
    });
    let port = fields.number("port", problems).and_then(|port| u16::try_from(port).ok());
    let identity = fields.text("identity", problems).and_then(|text| {
        let right = !text.text.is_empty() && !text.text.chars().any(char::is_control);
        if !right {
            problems.add(text.place, "`identity` must be the path of a private key", key("identity"));
        } else if text.text.ends_with(".pub") {
            let message = "`identity` must be the private key, but this is the public one: omit `.pub`";
            problems.add(text.place, message, format!("identity: {}", text.text.trim_end_matches(".pub")));
            return None;
        }
        right.then(|| PathBuf::from(text.text))
    });
    let jump = fields.text("jump", problems).and_then(|text| {
        let wrong = text.text.split(',').find(|hop| !is_hop(hop));
        if let Some(hop) = wrong {
            problems.add(text.place, format!("`{}` is not [USER@]HOST[:PORT]", shown(hop)), key("jump"));
        }
        wrong.is_none().then(|| text.text.to_owned())
    });
    let proxy_command = fields.text("proxyCommand", problems).and_then(|text| {
        let right = !text.text.trim().is_empty() && !text.text.trim().chars().any(char::is_control);
        if !right {
            problems.add(text.place, "`proxyCommand` must be a command on one line", key("proxyCommand"));
        }
        right.then(|| text.text.trim().to_owned())
    });
    if let (Some(_), Some(second)) = (&jump, fields.get("proxyCommand", &mut Problems::default())) {
        problems.add(second.place, "`jump` and `proxyCommand` conflict: keep one of them", "");
    }
    let sudo = fields.flag("become", problems);
    Connection { user, port, identity, jump, proxy_command, host_key: None, sudo }
}

/// The settings of `machine`, else those of `all`. A jump host or proxy command of the machine replaces both of `all`.
pub fn over(machine: Connection, all: &Connection) -> Connection {
    let (jump, proxy_command) = match (&machine.jump, &machine.proxy_command) {
        (None, None) => (all.jump.clone(), all.proxy_command.clone()),
        _ => (machine.jump, machine.proxy_command),
    };
    Connection {
        user: machine.user.or_else(|| all.user.clone()),
        port: machine.port.or(all.port),
        identity: machine.identity.or_else(|| all.identity.clone()),
        jump,
        proxy_command,
        host_key: machine.host_key,
        sudo: machine.sudo.or(all.sudo),
    }
}

/// Whether a user may be called so, as OpenSSH has it: nothing in it is more than a letter to a shell, as `%r` becomes a part of commands.
pub fn is_user(text: &str) -> bool {
    let wrong = |c: char| c.is_whitespace() || c.is_control() || "@:/'`\"$;&<>|(){}".contains(c);
    !text.is_empty() && !text.starts_with('-') && !text.ends_with('\\') && !text.chars().any(wrong)
}

/// `[USER@]HOST[:PORT]`, an IPv6 address in brackets.
fn is_hop(hop: &str) -> bool {
    let (user, host) = hop.rsplit_once('@').map_or((None, hop), |(user, host)| (Some(user), host));
    user.is_none_or(is_user) && host_and_port(host).is_some_and(|(_, port)| port.is_none_or(|port| port > 0))
}

/// The parts of `HOST[:PORT]`, where HOST is a DNS name, an address, or an IPv6 address in brackets.
pub fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return match port.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => port.is_empty().then_some((host, None)),
        };
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (text, None),
    };
    let named = name::is_host(&host.to_ascii_lowercase()) || host.parse::<std::net::Ipv4Addr>().is_ok();
    named.then_some((host, port))
}

/// A host key: [a public key](is_public_key), or `SHA256:` and the 32 bytes of the fingerprint.
pub fn host_key(text: Text, example: &str, problems: &mut Problems) -> Option<String> {
    let mut words = text.text.split_whitespace();
    let (first, second) = (words.next().unwrap_or(""), words.next());
    let why = match (first.split_once(':'), second) {
        (Some(("SHA256", sum)), None) => match STANDARD_NO_PAD.decode(sum.trim_end_matches('=')) {
            Ok(sum) if sum.len() == 32 => return Some(format!("SHA256:{}", STANDARD_NO_PAD.encode(sum))),
            _ => "a fingerprint has 43 characters of base64 after `SHA256:`",
        },
        (Some(("MD5", _)), _) => "MD5 fingerprints are not supported: write the fingerprint that begins with `SHA256:`",
        (None, Some(body)) if is_public_key(first, body) => return Some(format!("{first} {body}")),
        (None, Some(body)) if is_key_type(first) => match STANDARD.decode(body) {
            Ok(_) => "the host key does not match its type",
            Err(_) => "the host key is truncated or corrupted: it is not valid base64",
        },
        (None, Some(body)) if is_key_type(body) => "omit the host name: a host key begins with its type",
        _ => "a host key must be a line like the one in /etc/ssh/ssh_host_ed25519_key.pub, or a fingerprint",
    };
    problems.add(text.place, why, example);
    None
}

/// Whether `TYPE BASE64` is a public key: its bytes begin with the type (RFC 4253, 6.6).
pub fn is_public_key(kind: &str, body: &str) -> bool {
    is_key_type(kind) && STANDARD.decode(body).is_ok_and(|blob| begins_with(&blob, kind))
}

fn is_key_type(word: &str) -> bool {
    word.starts_with("ssh-") || word.starts_with("ecdsa-sha2-") || word.starts_with("sk-")
}

fn begins_with(blob: &[u8], kind: &str) -> bool {
    let length = (kind.len() as u32).to_be_bytes();
    blob.len() > 4 + kind.len() && blob.starts_with(&length) && blob[4..].starts_with(kind.as_bytes())
}
