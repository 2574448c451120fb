//! The entries of known_hosts files for one host (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): hashed names, wildcards, exclusions,
//! `[host]:port`, `@cert-authority`, `@revoked`.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey, parse_public_key_base64};

use super::host_key::fingerprint;
use super::pattern::{fits, fits_list};
use super::target::Target;
use crate::user_file;

/// A line that applies to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub file: PathBuf,
    /// Counted from 1, including comments.
    pub line: usize,
    pub key: PublicKey,
}

/// All that is known about one host.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub keys: Vec<Entry>,
    /// Keys for the host without its port: they prove trust in a key, but not distrust in another.
    pub without_port: Vec<Entry>,
    pub authorities: Vec<Entry>,
    pub revoked: Vec<Entry>,
}

/// What known_hosts says about a key that the host presents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyStatus {
    Trusted,
    /// Nothing is known about the host.
    Unknown,
    /// Other keys are known, this one first.
    Changed(Entry),
    Revoked(Entry),
}

impl Known {
    /// Reads the files of `target`. One that can't be read is ignored, as with ssh.
    pub fn of(target: &Target) -> Known {
        let mut known = Known::default();
        let name = target.known_as();
        let bare = target.host.to_lowercase();
        for file in target.known_hosts.iter().chain(&target.global_known_hosts) {
            let Ok(text) = user_file::read(file, user_file::MOST_BYTES) else { continue };
            for (number, line) in String::from_utf8_lossy(&text).lines().enumerate() {
                let Some(line) = Line::parse(line) else { continue };
                let (with_port, without) = (line.is_for(&name), name != bare && target.host_key_alias.is_none() && line.is_for(&bare));
                if !with_port && !without {
                    continue;
                }
                let Ok(key) = parse_public_key_base64(line.key) else { continue };
                let entry = Entry { file: file.clone(), line: number + 1, key };
                match line.marker {
                    Marker::Revoked => known.revoked.push(entry),
                    Marker::Authority => known.authorities.push(entry),
                    Marker::None if with_port => known.keys.push(entry),
                    Marker::None => known.without_port.push(entry),
                }
            }
        }
        known
    }

    /// The line that revokes `key`, if there is one.
    pub fn revocation(&self, key: &PublicKey) -> Option<Entry> {
        self.revoked.iter().find(|entry| entry.key.key_data() == key.key_data()).cloned()
    }

    /// Checks `key`.
    pub fn check(&self, key: &PublicKey) -> KeyStatus {
        let same = |entry: &&Entry| entry.key.key_data() == key.key_data();
        if let Some(revoked) = self.revocation(key) {
            return KeyStatus::Revoked(revoked);
        }
        if self.keys.iter().chain(&self.without_port).any(|entry| same(&entry)) {
            return KeyStatus::Trusted;
        }
        // An entry of the same type explains best; one of another type counts too, as the host was asked for that type.
        let kind = |entry: &&Entry| entry.key.algorithm() == key.algorithm();
        match self.keys.iter().find(kind).or(self.keys.first()) {
            Some(entry) => KeyStatus::Changed(entry.clone()),
            None => KeyStatus::Unknown,
        }
    }

    /// Whether an authority for this host has signed `certificate`, for this name and for the present time.
    pub fn vouches_for(&self, certificate: &Certificate, target: &Target) -> Result<(), String> {
        let of = |entries: &[Entry], key| entries.iter().any(|entry| entry.key.key_data() == key);
        if of(&self.revoked, certificate.public_key()) || of(&self.revoked, certificate.signature_key()) {
            return Err("the certificate or its authority is revoked".to_owned());
        }
        if certificate.cert_type() != CertType::Host {
            return Err("it is not a host certificate".to_owned());
        }
        let name = target.host_key_alias.as_deref().unwrap_or(&target.host).to_lowercase();
        let principals = certificate.valid_principals();
        if !principals.is_empty() && !principals.iter().any(|principal| fits(&principal.to_lowercase(), &name)) {
            return Err(format!("it is valid only for {}", principals.join(", ")));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let authorities: Vec<_> = self.authorities.iter().map(|entry| entry.key.fingerprint(HashAlg::Sha256)).collect();
        certificate.validate_at(now, &authorities).map_err(|_| {
            "no known certificate authority has signed it, or it has expired or is \
            not yet valid"
                .to_owned()
        })
    }

    /// Key types to ask the host for, known ones first, so that a host known by its ECDSA key is not taken for unknown.
    pub fn algorithms(&self, default: &[Algorithm]) -> Vec<Algorithm> {
        let known = |algorithm: &Algorithm| {
            self.keys.iter().chain(&self.without_port).any(|entry| match (entry.key.algorithm(), algorithm) {
                (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
                (known, algorithm) => known == *algorithm,
            })
        };
        let (mut first, rest): (Vec<_>, Vec<_>) = default.iter().cloned().partition(known);
        first.extend(rest);
        first
    }
}

/// Lines that still trust another key of the host than `key`: with wildcards, for several hosts, or in files that hostler never writes.
pub fn other_entries(target: &Target, key: &PublicKey) -> Vec<Entry> {
    Known::of(target).keys.into_iter().filter(|entry| entry.key.key_data() != key.key_data()).collect()
}

impl Entry {
    /// `SHA256:...`, as OpenSSH shows it.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.key)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    None,
    Authority,
    Revoked,
}

/// The parts of a line. Comments, empty lines and invalid lines have none.
pub(super) struct Line<'a> {
    pub marker: Marker,
    pub hosts: &'a str,
    /// Base64.
    pub key: &'a str,
}

impl<'a> Line<'a> {
    pub fn parse(line: &'a str) -> Option<Line<'a>> {
        let line = line.trim();
        if line.starts_with('#') {
            return None;
        }
        let mut words = line.split_ascii_whitespace();
        let mut hosts = words.next()?;
        let marker = match hosts {
            "@cert-authority" => Marker::Authority,
            "@revoked" => Marker::Revoked,
            unknown if unknown.starts_with('@') => return None,
            _ => Marker::None,
        };
        if marker != Marker::None {
            hosts = words.next()?;
        }
        let _algorithm = words.next()?;
        Some(Line { marker, hosts, key: words.next()? })
    }

    /// Whether the line applies to `name` (in lower case, see [`Target::known_as`]).
    pub fn is_for(&self, name: &str) -> bool {
        if self.hosts.starts_with('|') {
            return is_hash_of(self.hosts, name);
        }
        let lower = self.hosts.to_lowercase();
        fits_list(lower.split(','), name)
    }
}

/// `|1|salt|HMAC-SHA1 of the name`, both in base64.
pub(super) fn is_hash_of(hashed: &str, name: &str) -> bool {
    let Some((salt, hash)) = hashed.strip_prefix("|1|").and_then(|rest| rest.split_once('|')) else { return false };
    let (Ok(salt), Ok(hash)) = (BASE64_STANDARD.decode(salt), BASE64_STANDARD.decode(hash)) else { return false };
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
    hmac::verify(&key, name.as_bytes(), &hash).is_ok()
}

pub(super) fn hash_of(name: &str, salt: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
    let hash = hmac::sign(&key, name.as_bytes());
    format!("|1|{}|{}", BASE64_STANDARD.encode(salt), BASE64_STANDARD.encode(hash))
}

/// Where new keys of `target` are written; `None`: known_hosts is disabled.
pub(super) fn writable(target: &Target) -> Option<&Path> {
    target.known_hosts.first().map(PathBuf::as_path)
}
