//! Certificates: public key, expiry and names.

use std::collections::BTreeSet;
use std::net::IpAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, SubjectAlternativeName, X509Certificate, parse_x509_pem};

use crate::protocol;

/// SHA-256 of the public key (SubjectPublicKeyInfo, RFC 7469) of the first certificate in `pem`, in hex: kubeadm's CA cert hash.
/// `None` if there is no certificate.
pub fn ca_public_key_sha256(pem: &[u8]) -> Option<String> {
    Certificate::from_pem(pem).map(|certificate| certificate.public_key_sha256)
}

/// The name for kubelet's client certificate, which kubeadm has none for.
pub const KUBELET_CLIENT: &str = "kubelet-client";
/// The name for kubelet's serving certificate, which kubeadm has none for.
pub const KUBELET_SERVER: &str = "kubelet-server";

/// Days before the end at which a certificate is renewed.
const EARLY: i64 = 90;

/// Seconds before the end at which a certificate is renewed that is valid for `life` seconds. Where that is less than a year, a third of it:
/// else a new one would be due at once.
pub fn early(life: i64) -> i64 {
    (EARLY * 24 * 60 * 60).min(life / 3)
}

/// From when to when a certificate is valid, in seconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Validity {
    pub begins: i64,
    pub ends: i64,
}

impl Validity {
    /// Whether kubelet should have renewed it by itself, which it does when 10% to 30% of its life are left: at `now`, in seconds since the epoch.
    pub fn is_overdue(&self, now: i64) -> bool {
        self.ends - now < (self.ends - self.begins) / 12
    }
}

/// What of a certificate is of use here.
pub struct Certificate {
    /// Lower-case hex.
    pub public_key_sha256: String,
    /// Names its key (SubjectKeyIdentifier), in hex; empty: nothing does.
    pub key: String,
    /// Names the key that signed it (AuthorityKeyIdentifier), in hex; empty: nothing does.
    pub signed_by: String,
    /// Seconds since the epoch.
    pub begins: i64,
    /// Seconds since the epoch.
    pub ends: i64,
    pub common_name: String,
    /// The DNS names and IP addresses that it is valid for.
    pub names: BTreeSet<String>,
}

impl Certificate {
    pub fn from_der(der: &[u8]) -> Option<Certificate> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let common_name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok()).unwrap_or_default();
        Some(Certificate {
            public_key_sha256: hexadecimal(&Sha256::digest(certificate.public_key().raw)),
            key: extension(&certificate, |extension| match extension {
                ParsedExtension::SubjectKeyIdentifier(key) => Some(key.0),
                _ => None,
            }),
            signed_by: extension(&certificate, |extension| match extension {
                ParsedExtension::AuthorityKeyIdentifier(authority) => authority.key_identifier.as_ref().map(|key| key.0),
                _ => None,
            }),
            begins: certificate.validity().not_before.timestamp(),
            ends: certificate.validity().not_after.timestamp(),
            common_name: common_name.to_owned(),
            names: names(&certificate),
        })
    }

    /// Whether it is to be renewed at `now`, in seconds since the epoch.
    pub fn is_due(&self, now: i64) -> bool {
        self.ends - now < early(self.ends - self.begins)
    }

    /// The first certificate of a PEM text.
    pub fn from_pem(pem: &[u8]) -> Option<Certificate> {
        let (_, pem) = parse_x509_pem(pem).ok()?;
        Certificate::from_der(&pem.contents)
    }

    /// PEM in base64, as in kubeconfigs.
    pub fn from_base64_pem(text: &str) -> Option<Certificate> {
        Certificate::from_pem(&BASE64_STANDARD.decode(text).ok()?)
    }

    pub fn from_base64_der(text: &str) -> Option<Certificate> {
        Certificate::from_der(&BASE64_STANDARD.decode(text).ok()?)
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes in hex that the first extension has in it for which `bytes` finds some.
fn extension<'a>(certificate: &'a X509Certificate, bytes: impl Fn(&'a ParsedExtension<'a>) -> Option<&'a [u8]>) -> String {
    certificate.extensions().iter().find_map(|extension| bytes(extension.parsed_extension())).map(hexadecimal).unwrap_or_default()
}

fn names(certificate: &X509Certificate) -> BTreeSet<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return BTreeSet::new() };
    names_in(names.value).flatten().collect()
}

/// The DNS names and IP addresses, as text; `None` for a name of another kind.
pub(super) fn names_in(names: &SubjectAlternativeName) -> impl Iterator<Item = Option<String>> {
    let address = |bytes: &[u8]| -> Option<IpAddr> {
        let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
        v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
    };
    let name = move |name: &GeneralName| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    };
    names.general_names.iter().map(name)
}

/// kubeadm's name (`kubeadm certs check-expiration`) for the certificate in the file at `path`.
pub fn name(path: &str) -> String {
    let below = |folder: &str| path.strip_prefix(folder)?.strip_prefix('/');
    match (below(protocol::path::KUBELET_PKI), below(protocol::path::PKI).and_then(|file| file.strip_suffix(".crt"))) {
        (Some("kubelet-client-current.pem"), _) => KUBELET_CLIENT.to_owned(),
        (Some("kubelet-server-current.pem"), _) => KUBELET_SERVER.to_owned(),
        (_, Some(file)) => file.replace('/', "-"),
        _ if path == protocol::path::KUBELET_KUBECONFIG => KUBELET_CLIENT.to_owned(),
        _ => below(protocol::path::KUBERNETES).unwrap_or(path).to_owned(),
    }
}
