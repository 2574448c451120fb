//! Requests of kubelets for serving certificates (CertificateSigningRequests), and the rule by which they are approved.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use x509_parser::prelude::{FromDer, ParsedExtension, X509CertificationRequest, parse_x509_pem};

use super::certificate::names_in;
use crate::inventory::MachineName;
use crate::protocol::signer;
use crate::record::Record;
use crate::words::and;

/// What precedes a node's name in its user's name.
const USER: &str = "system:node:";
/// The groups of a kubelet, as the API server knows them.
const GROUPS: [&str; 2] = ["system:nodes", "system:authenticated"];
/// What the key is to be used for; an RSA key for one more thing.
const USAGES: [&str; 2] = ["digital signature", "server auth"];
const RSA_USAGE: &str = "key encipherment";

/// A request for a serving certificate that nobody has decided about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KubeletRequest {
    /// The object's.
    pub name: String,
    /// Who made the request, as the API server has authenticated them: `system:node:rainbowdash`.
    pub user: String,
    pub groups: BTreeSet<String>,
    pub usages: BTreeSet<String>,
    /// What is to be certified. `None`: it can't be read, or has something in it that no kubelet asks for.
    pub asked: Option<AskedFor>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AskedFor {
    pub common_name: String,
    pub organization: String,
    /// DNS names and IP addresses.
    pub names: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Listed {
    metadata: Metadata,
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    /// PEM in base64.
    request: String,
    signer_name: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    groups: BTreeSet<String>,
    #[serde(default)]
    usages: BTreeSet<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    conditions: Vec<Value>,
    certificate: Option<String>,
}

impl KubeletRequest {
    /// A CertificateSigningRequest as the API server has it. `None`: it is for another signer, or somebody has decided about it.
    pub fn parse(object: &Value) -> Option<KubeletRequest> {
        let Listed { metadata, spec, status } = Listed::deserialize(object).ok()?;
        let open = status.conditions.is_empty() && status.certificate.is_none();
        (open && spec.signer_name == signer::KUBELET_SERVING).then(|| KubeletRequest {
            name: metadata.name,
            user: spec.username,
            groups: spec.groups,
            usages: spec.usages,
            asked: BASE64_STANDARD.decode(&spec.request).ok().and_then(|pem| AskedFor::parse(&pem)),
        })
    }

    /// As whom the API server knows the kubelet of a node.
    pub fn user_of(node: &MachineName) -> String {
        format!("{USER}{node}")
    }

    /// The node whose kubelet made it, by its user.
    pub fn node(&self) -> Option<MachineName> {
        self.user.strip_prefix(USER).and_then(MachineName::new)
    }

    /// Why it is not approved; `None`: it is. Approved is only what a kubelet asks for by itself, for the one name and the one address that
    /// `addresses` has for its machine: what a node says of its own addresses does not count.
    pub fn refused(&self, addresses: &BTreeMap<MachineName, IpAddr>) -> Option<String> {
        let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<String>>();
        let Some(node) = self.node().filter(|_| self.groups == set(&GROUPS)) else {
            return Some(format!("{} is not a kubelet", self.user));
        };
        let Some(address) = addresses.get(&node) else {
            return Some(format!("{node} is not in the cluster's record of machines"));
        };
        let Some(asked) = &self.asked else {
            return Some("the request is not in the form that kubelets use".to_owned());
        };
        let subject = asked.common_name == self.user && asked.organization == GROUPS[0];
        let names = BTreeSet::from([node.to_string(), address.to_string()]);
        if !subject || asked.names != names {
            let asks: Vec<&str> = [&asked.common_name].into_iter().filter(|_| !subject).chain(&asked.names).map(String::as_str).collect();
            return Some(format!(
                "the request is for {}, but the cluster's record has {}",
                and(&asks),
                and(&names.iter().collect::<Vec<_>>())
            ));
        }
        if self.usages != set(&USAGES) && self.usages != set(&[&USAGES[..], &[RSA_USAGE]].concat()) {
            return Some(format!(
                "the request is for the key usages {}, but a serving certificate needs exactly {} (for an RSA key, also {RSA_USAGE})",
                and(&self.usages.iter().collect::<Vec<_>>()),
                and(&USAGES)
            ));
        }
        None
    }
}

impl AskedFor {
    fn parse(pem: &[u8]) -> Option<AskedFor> {
        let (_, pem) = parse_x509_pem(pem).ok().filter(|(_, pem)| pem.label == "CERTIFICATE REQUEST")?;
        let (_, request) = X509CertificationRequest::from_der(&pem.contents).ok()?;
        let subject = &request.certification_request_info.subject;
        let (common_name, organization) = (subject.iter_common_name().next()?, subject.iter_organization().next()?);
        // One of each, and nothing else.
        if subject.iter_attributes().count() != 2 {
            return None;
        }
        let mut names = BTreeSet::new();
        for extension in request.requested_extensions()? {
            let ParsedExtension::SubjectAlternativeName(listed) = extension else { return None };
            names.extend(names_in(listed).collect::<Option<Vec<String>>>()?);
        }
        Some(AskedFor { common_name: common_name.as_str().ok()?.to_owned(), organization: organization.as_str().ok()?.to_owned(), names })
    }
}

/// The addresses of kubelets in the cluster's record, where only administrators write.
pub fn kubelet_addresses<'a>(record: impl IntoIterator<Item = (&'a Record, &'a String)>) -> BTreeMap<MachineName, IpAddr> {
    let address = |(name, value): (&Record, &String)| match name {
        Record::Kubelet(machine) => Some((machine.clone(), value.parse().ok()?)),
        _ => None,
    };
    record.into_iter().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair, SanType};
    use serde_json::json;

    use super::*;

    /// As a kubelet of Kubernetes 1.36 asks.
    fn params(user: &str, names: &[&str]) -> CertificateParams {
        let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).expect("names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, DnValue::PrintableString("system:nodes".try_into().expect("printable")));
        params.distinguished_name.push(DnType::CommonName, user);
        params
    }

    fn object(params: &CertificateParams) -> Value {
        let pem = params.serialize_request(&KeyPair::generate().expect("a key")).expect("a request").pem().expect("PEM");
        json!({
            "metadata": {"name": "csr-7xk2p"},
            "spec": {
                "request": BASE64_STANDARD.encode(pem), "signerName": "kubernetes.io/kubelet-serving", "username": "system:node:rainbowdash",
                "groups": ["system:nodes", "system:authenticated"], "usages": ["digital signature", "server auth"],
            },
            "status": {},
        })
    }

    fn refused(object: &Value) -> Option<String> {
        let machine = |name: &str| MachineName::new(name).expect("a name");
        let record = [("rainbowdash", "10.0.0.2"), ("fluttershy", "10.0.0.3"), ("rarity", "not an address")];
        let record: Vec<(Record, String)> = record.map(|(name, address)| (Record::Kubelet(machine(name)), address.to_owned())).into();
        let addresses = kubelet_addresses(record.iter().map(|(name, value)| (name, value)));
        KubeletRequest::parse(object).expect("it is open").refused(&addresses)
    }

    const USER: &str = "system:node:rainbowdash";

    #[test]
    fn a_kubelet_gets_a_certificate_for_its_own_name_and_address_alone() {
        assert_eq!(refused(&object(&params(USER, &["rainbowdash", "10.0.0.2"]))), None);
        for (user, names, why) in [
            (
                USER,
                &["fluttershy", "10.0.0.2"][..],
                "the request is for 10.0.0.2 and fluttershy, but the cluster's record has 10.0.0.2 and rainbowdash",
            ),
            (USER, &["rainbowdash", "10.0.0.3"], "the request is for 10.0.0.3 and rainbowdash, but"),
            (USER, &["rainbowdash", "10.0.0.2", "kubernetes.default.svc"], "kubernetes.default.svc"),
            (USER, &["rainbowdash"], "the request is for rainbowdash, but"),
            (
                "system:node:fluttershy",
                &["rainbowdash", "10.0.0.2"],
                "the request is for system:node:fluttershy, 10.0.0.2 and rainbowdash, but",
            ),
        ] {
            let found = refused(&object(&params(user, names))).expect("it is not approved");
            assert!(found.contains(why), "{found}");
        }
    }

    #[test]
    fn who_asks_is_whom_the_api_server_knows_and_what_is_asked_is_what_kubelets_ask() {
        let own = object(&params(USER, &["rainbowdash", "10.0.0.2"]));
        for (at, value, why) in [
            ("username", json!("system:node:fluttershy"), "the request is for system:node:rainbowdash"),
            ("username", json!("system:node:rarity"), "rarity is not in the cluster's record of machines"),
            ("username", json!("system:node:applejack"), "applejack is not in the cluster's record of machines"),
            ("username", json!("rainbowdash"), "rainbowdash is not a kubelet"),
            ("groups", json!(["system:nodes"]), "is not a kubelet"),
            ("groups", json!(["system:nodes", "system:authenticated", "system:masters"]), "is not a kubelet"),
            ("usages", json!(["digital signature", "client auth"]), "for the key usages client auth and digital signature, but"),
            ("usages", json!(["digital signature", "server auth", "client auth"]), "the request is for the key usages"),
            ("request", json!("bm90IGEgcmVxdWVzdA=="), "the request is not in the form that kubelets use"),
        ] {
            let mut object = own.clone();
            object["spec"][at] = value;
            let found = refused(&object).expect("it is not approved");
            assert!(found.contains(why), "{found}");
        }
        let mut rsa = own.clone();
        rsa["spec"]["usages"] = json!(["key encipherment", "digital signature", "server auth"]);
        assert_eq!(refused(&rsa), None);
    }

    #[test]
    fn names_of_other_kinds_and_more_of_a_subject_are_no_kubelets() {
        let mut mail = params(USER, &["rainbowdash", "10.0.0.2"]);
        mail.subject_alt_names.push(SanType::Rfc822Name("root@rainbowdash".try_into().expect("an address")));
        let mut groups = params(USER, &["rainbowdash", "10.0.0.2"]);
        groups.distinguished_name.push(DnType::OrganizationalUnitName, "ponies");
        let mut authority = params(USER, &["rainbowdash", "10.0.0.2"]);
        authority.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        for params in [mail, groups, authority] {
            assert_eq!(refused(&object(&params)).as_deref(), Some("the request is not in the form that kubelets use"));
        }
    }

    #[test]
    fn what_somebody_has_decided_about_or_another_signer_signs_is_left_out() {
        let open = object(&params(USER, &["rainbowdash", "10.0.0.2"]));
        for (at, value) in [
            ("/status", json!({"conditions": [{"type": "Denied"}]})),
            ("/status", json!({"certificate": "LS0t"})),
            ("/spec/signerName", json!("kubernetes.io/kube-apiserver-client")),
            ("/spec", json!({})),
        ] {
            let mut object = open.clone();
            *object.pointer_mut(at).expect("it is there") = value;
            assert_eq!(KubeletRequest::parse(&object), None);
        }
    }
}
