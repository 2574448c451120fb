//! Verification of a machine's host key: by its pinned key, else by known_hosts, else by the user.

use anyhow::{Result, bail};
use russh::Preferred;
use russh::keys::ssh_key::{EcdsaCurve, Fingerprint};
use russh::keys::{Algorithm, HashAlg, PublicKey, PublicKeyOrCertificate};

use super::known_hosts::{Entry, KeyStatus, Known};
use super::target::Target;

/// Host key types, best first. No ssh-rsa with SHA-1.
const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

/// The only key that a machine may present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    Key(Box<PublicKey>),
    Fingerprint(Fingerprint),
}

impl Pin {
    /// `ssh-ed25519 AAAA... [comment]` or `SHA256:...`, as ssh-keyscan and `ssh-keygen -l` print them.
    ///
    /// # Errors
    /// It is neither of them.
    pub fn parse(text: &str) -> Result<Pin> {
        let text = text.trim();
        let parsed = if text.starts_with("SHA256:") {
            text.parse().ok().map(Pin::Fingerprint)
        } else {
            PublicKey::from_openssh(text).ok().map(|key| Pin::Key(Box::new(key)))
        };
        let Some(pin) = parsed else {
            bail!("host key {text:?} is neither a public key nor a fingerprint\nhint: write `ssh-ed25519 AAAA...` or `SHA256:...`");
        };
        Ok(pin)
    }

    pub fn is(&self, key: &PublicKey) -> bool {
        match self {
            Pin::Key(pinned) => pinned.key_data() == key.key_data(),
            Pin::Fingerprint(pinned) => *pinned == key.fingerprint(HashAlg::Sha256),
        }
    }

    /// `SHA256:...`
    pub fn fingerprint(&self) -> String {
        match self {
            Pin::Key(key) => fingerprint(key),
            Pin::Fingerprint(pinned) => pinned.to_string(),
        }
    }
}

/// Fingerprints of the keys by which `target` is known, that are of type ed25519 or may be.
pub fn known_ed25519(target: &Target) -> Vec<String> {
    let is_ed25519 = |key: &PublicKey| key.algorithm() == Algorithm::Ed25519;
    match &target.host_key {
        Some(Pin::Key(key)) => is_ed25519(key).then(|| fingerprint(key)).into_iter().collect(),
        Some(pin) => vec![pin.fingerprint()],
        None => Known::of(target).keys.iter().filter(|entry| is_ed25519(&entry.key)).map(Entry::fingerprint).collect(),
    }
}

/// `SHA256:...`, as OpenSSH shows it.
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Decides whether the key that a machine presents is trusted.
#[derive(Debug, Clone)]
pub struct HostKeyPolicy {
    pin: Option<Pin>,
    known: Known,
    target: Target,
}

/// The decision. Only a trusted key lets the connection continue.
#[derive(Debug, Clone)]
pub enum Verdict {
    Trusted(PublicKey),
    Unknown(PublicKey),
    /// `expected`: fingerprints; `entry`: the place in known_hosts, `None` for a pinned key.
    Changed {
        expected: String,
        entry: Option<Entry>,
        got: PublicKey,
    },
    Revoked {
        entry: Entry,
        got: PublicKey,
    },
}

impl HostKeyPolicy {
    /// `accepted`: a key that the user has accepted for this target in this run.
    pub fn new(target: &Target, accepted: Option<PublicKey>) -> HostKeyPolicy {
        let pin = target.host_key.clone().or(accepted.map(|key| Pin::Key(Box::new(key))));
        let known = Known::of(target);
        // Of a pinned host, known_hosts says only which keys must not be trusted any more.
        let known = if pin.is_some() { Known { revoked: known.revoked, ..Known::default() } } else { known };
        HostKeyPolicy { pin, known, target: target.clone() }
    }

    pub fn is_pinned_by_fingerprint(&self) -> bool {
        matches!(self.pin, Some(Pin::Fingerprint(_)))
    }

    /// Key types to offer: known ones first; for a pinned key only its type.
    pub fn preferred(&self) -> Preferred {
        let key = match &self.pin {
            Some(Pin::Key(pinned)) => ALGORITHMS.iter().filter(|kind| is_kind(pinned, kind)).cloned().collect(),
            Some(Pin::Fingerprint(_)) => ALGORITHMS.to_vec(),
            None => self.known.algorithms(&ALGORITHMS),
        };
        let certificates = if self.pin.is_none() && !self.known.authorities.is_empty() { ALGORITHMS.to_vec() } else { Vec::new() };
        Preferred { key: key.into(), host_key_certificates: certificates.into(), ..Preferred::DEFAULT }
    }

    pub fn check(&self, shown: &PublicKeyOrCertificate) -> Verdict {
        let key = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.clone(),
            PublicKeyOrCertificate::Certificate(certificate) => {
                let key = PublicKey::from(certificate.public_key().clone());
                match self.known.vouches_for(certificate, &self.target) {
                    Ok(()) => return Verdict::Trusted(key),
                    Err(why) => tracing::debug!("{}: its host certificate is ignored: {why}", self.target.name),
                }
                // As ssh: if the certificate is not accepted, its key may be.
                key
            }
        };
        if let Some(entry) = self.known.revocation(&key) {
            return Verdict::Revoked { entry, got: key };
        }
        if let Some(pin) = &self.pin {
            return if pin.is(&key) {
                Verdict::Trusted(key)
            } else {
                Verdict::Changed { expected: pin.fingerprint(), entry: None, got: key }
            };
        }
        match self.known.check(&key) {
            KeyStatus::Trusted => Verdict::Trusted(key),
            KeyStatus::Unknown => Verdict::Unknown(key),
            KeyStatus::Changed(entry) => Verdict::Changed { expected: entry.fingerprint(), entry: Some(entry), got: key },
            KeyStatus::Revoked(entry) => Verdict::Revoked { entry, got: key },
        }
    }
}

/// Whether the inventory or known_hosts has `key` for `target`.
pub fn is_known_by(target: &Target, key: &PublicKey) -> bool {
    match &target.host_key {
        Some(pin) => pin.is(key),
        None => Known::of(target).keys.iter().any(|entry| entry.key.key_data() == key.key_data()),
    }
}

/// Key types to try one by one for a machine pinned by a fingerprint, which does not contain the type.
pub fn kinds() -> [Vec<Algorithm>; 3] {
    let [ed25519, p256, p384, p521, rsa512, rsa256] = ALGORITHMS;
    [vec![ed25519], vec![p256, p384, p521], vec![rsa512, rsa256]]
}

/// Whether `key` is of this type; all RSA signature algorithms share one.
pub fn is_kind(key: &PublicKey, kind: &Algorithm) -> bool {
    match (key.algorithm(), kind) {
        (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
        (algorithm, kind) => algorithm == *kind,
    }
}
