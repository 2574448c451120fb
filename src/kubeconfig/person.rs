//! A person's own access to a cluster: a key that is made on their computer and stays there, and a certificate that the cluster signs for a
//! year. What it allows is a ClusterRoleBinding of their name, which can be deleted: certificates can't be revoked.

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hostler_core::digest::sha256;
use hostler_core::facts::Certificate;
use hostler_core::template;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use serde_json::json;

use crate::home;

/// What the names of persons begin with in the cluster.
const PREFIX: &str = "hostler:";

/// Who it is for: `ada`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person(String);

impl Person {
    /// `None` unless it can be a part of the names of Kubernetes' objects: a-z, 0-9, `-` and `.`, with a letter or digit at both ends, at most
    /// 40 characters.
    pub fn new(name: &str) -> Option<Person> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let right =
            name.len() <= 40 && name.starts_with(plain) && name.ends_with(plain) && name.chars().all(|c| plain(c) || c == '-' || c == '.');
        let dots = name.contains("..") || name.contains(".-") || name.contains("-.");
        (right && !dots).then(|| Person(name.to_owned()))
    }

    /// The user of this computer; characters that can't be are left out.
    ///
    /// # Errors
    /// They have no name, or none of its characters can be.
    pub fn own() -> Result<Person> {
        let name = home::user()?;
        let plain: String = name.to_lowercase().chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit()).take(40).collect();
        Person::new(&plain)
            .with_context(|| format!("`{name}` can't be used as a user name in the cluster\nhint: pass another name with `--user NAME`"))
    }

    /// As [`user`](Person::user) has named them.
    pub fn of_user(user: &str) -> Option<Person> {
        Person::new(user.strip_prefix(PREFIX)?)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the user, and of the binding, in the cluster.
    pub fn user(&self) -> String {
        format!("{PREFIX}{}", self.0)
    }
}

/// A certificate and its key, both PEM in base64. It holds a private key, so it does not implement `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Identity {
    /// Whether it is `person`'s, and need not be renewed at `now`, in seconds since the epoch.
    pub fn serves(&self, person: &Person, now: i64) -> bool {
        Certificate::from_base64_pem(&self.certificate).is_some_and(|it| it.common_name == person.user() && !it.is_due(now))
    }
}

/// A new key, and the request for its certificate. It holds a private key, so it does not implement `Debug`.
pub struct Request {
    person: Person,
    key: KeyPair,
    /// PEM.
    csr: String,
}

impl Request {
    /// # Errors
    /// There are no random numbers.
    pub fn new(person: &Person) -> Result<Request> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("a key can't be generated")?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, person.user());
        let csr = params.serialize_request(&key).and_then(|csr| csr.pem()).context("the certificate request can't be created")?;
        Ok(Request { person: person.clone(), key, csr })
    }

    /// The script that has it signed on a control plane. It holds nothing secret.
    /// `grants`: whether it also gives the person access.
    ///
    /// # Errors
    /// Only a bug: the templates fit.
    pub fn script(&self, grants: bool) -> Result<String> {
        let request = format!("hostler-{}-{}", self.person.as_str(), &sha256(self.csr.as_bytes())[..10]);
        let csr = BASE64_STANDARD.encode(&self.csr);
        let (person, user) = (self.person.as_str(), self.person.user());
        let context = json!({ "request": request, "csr": csr, "person": person, "user": user, "grants": grants });
        let objects = template::render("kubernetes/user.yaml", context)?;
        template::render("kubernetes/sign-user.sh", json!({ "request": request, "objects": objects }))
    }

    /// The key with the certificate that was signed for it: PEM in base64, as the cluster answers.
    ///
    /// # Errors
    /// It is not one of this key.
    pub fn signed(&self, certificate: &str) -> Result<Identity> {
        let public = sha256(&self.key.subject_public_key_info());
        let signed = Certificate::from_base64_pem(certificate).context("the cluster returned no valid certificate")?;
        anyhow::ensure!(
            signed.public_key_sha256 == public && signed.common_name == self.person.user(),
            "the cluster returned a certificate for another key or another user"
        );
        Ok(Identity { certificate: certificate.to_owned(), key: BASE64_STANDARD.encode(self.key.serialize_pem()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_a_name_that_objects_can_have() {
        for right in ["ada", "a", "ada.lovelace", "0-9"] {
            assert!(Person::new(right).is_some(), "{right}");
        }
        for wrong in ["", "Ada", "a b", "system:masters", "-a", "a.", "a..b", "a/b", "a\nb", &"a".repeat(41)] {
            assert!(Person::new(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_was_signed_belongs_to_the_key() {
        let (ada, eve) = (Person::new("ada").unwrap(), Person::new("eve").unwrap());
        let request = Request::new(&ada).unwrap();
        let sign = |key: &KeyPair, person: &Person, days: i64| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, person.user());
            let now = jiff::Timestamp::now().as_second();
            let at = |days: i64| {
                let date = jiff::Timestamp::from_second(now + days * 86400).unwrap().in_tz("UTC").unwrap().date();
                rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
            };
            (params.not_before, params.not_after) = (at(days - 365), at(days));
            BASE64_STANDARD.encode(params.self_signed(key).unwrap().pem())
        };
        let identity = request.signed(&sign(&request.key, &ada, 365)).unwrap();
        let now = jiff::Timestamp::now().as_second();
        assert!(identity.serves(&ada, now) && !identity.serves(&eve, now));
        let old = request.signed(&sign(&request.key, &ada, 80)).unwrap();
        assert!(!old.serves(&ada, now));
        let other = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        for wrong in [sign(&other, &ada, 365), sign(&request.key, &eve, 365), String::new(), "Q0VSVA==".to_owned()] {
            assert!(request.signed(&wrong).is_err());
        }
    }
}
