//! Requests of kubelets for serving certificates (CertificateSigningRequests), and the rule by which they are approved.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use x509_parser::prelude::{FromDer, ParsedExtension, X509CertificationRequest};

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
    /// Who signs reads the request with another program, which may find other names in it: it is taken only if writing down what was read gives
    /// the same bytes again, as then there is one way to read it.
    fn parse(pem: &[u8]) -> Option<AskedFor> {
        let der = plain(str::from_utf8(pem).ok()?)?;
        let (rest, request) = X509CertificationRequest::from_der(&der).ok()?;
        let info = &request.certification_request_info;
        let (common_name, organization) = (info.subject.iter_common_name().next()?, info.subject.iter_organization().next()?);
        let asked = (organization.as_str().ok()?, common_name.as_str().ok()?);
        let mut names = Vec::new();
        for extension in request.requested_extensions()? {
            let ParsedExtension::SubjectAlternativeName(listed) = extension else { return None };
            names.extend(names_in(listed).collect::<Option<Vec<String>>>()?);
        }
        if !rest.is_empty() || info.raw != der::request(asked, info.subject_pki.raw, &names) {
            return None;
        }
        Some(AskedFor { common_name: asked.1.to_owned(), organization: asked.0.to_owned(), names: names.into_iter().collect() })
    }
}

/// What is between the two lines of a PEM file that has nothing else.
fn plain(pem: &str) -> Option<Vec<u8>> {
    let base64 =
        pem.strip_prefix("-----BEGIN CERTIFICATE REQUEST-----\n")?.trim_end().strip_suffix("\n-----END CERTIFICATE REQUEST-----")?;
    BASE64_STANDARD.decode(base64.replace('\n', "")).ok()
}

/// The bytes of a request as kubelets write it. None of the crates in use writes them: rcgen, for one, signs what it writes.
mod der {
    use std::net::IpAddr;

    const SEQUENCE: u8 = 0x30;
    const SET: u8 = 0x31;
    const IDENTIFIER: u8 = 0x06;
    const OCTETS: u8 = 0x04;
    const PRINTABLE: u8 = 0x13;
    const ATTRIBUTES: u8 = 0xa0;
    const DNS_NAME: u8 = 0x82;
    const ADDRESS: u8 = 0x87;
    const VERSION: [u8; 3] = [0x02, 0x01, 0x00];
    /// 2.5.4.10 and 2.5.4.3.
    const ORGANIZATION: [u8; 3] = [0x55, 0x04, 0x0a];
    const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
    /// 2.5.29.17, subjectAltName.
    const NAMES: [u8; 3] = [0x55, 0x1d, 0x11];
    /// 1.2.840.113549.1.9.14, extensionRequest.
    const EXTENSIONS: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];

    fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = content.len().to_be_bytes();
        let length = &length[length.iter().take_while(|byte| **byte == 0).count()..];
        let mut bytes = vec![tag];
        match content.len() {
            0..128 => bytes.push(content.len() as u8),
            _ => {
                bytes.push(0x80 | length.len() as u8);
                bytes.extend(length);
            }
        }
        bytes.extend(content);
        bytes
    }

    /// CertificationRequestInfo of RFC 2986 for an organization and a common name, a key as it is, and names and addresses in this order.
    pub fn request((organization, common_name): (&str, &str), key: &[u8], names: &[String]) -> Vec<u8> {
        let part = |kind: &[u8], text: &str| {
            value(SET, &[&value(SEQUENCE, &[&value(IDENTIFIER, &[kind]), &value(PRINTABLE, &[text.as_bytes()])])])
        };
        let subject = value(SEQUENCE, &[&part(&ORGANIZATION, organization), &part(&COMMON_NAME, common_name)]);
        let name = |name: &String| match name.parse() {
            Ok(IpAddr::V4(address)) => value(ADDRESS, &[&address.octets()]),
            Ok(IpAddr::V6(address)) => value(ADDRESS, &[&address.octets()]),
            Err(_) => value(DNS_NAME, &[name.as_bytes()]),
        };
        let names: Vec<u8> = names.iter().flat_map(name).collect();
        let extension = value(SEQUENCE, &[&value(IDENTIFIER, &[&NAMES]), &value(OCTETS, &[&value(SEQUENCE, &[&names])])]);
        let extensions = value(SET, &[&value(SEQUENCE, &[&extension])]);
        let attribute = value(SEQUENCE, &[&value(IDENTIFIER, &[&EXTENSIONS]), &extensions]);
        value(SEQUENCE, &[&VERSION, &subject, key, &value(ATTRIBUTES, &[&attribute])])
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
        params.distinguished_name.push(DnType::CommonName, DnValue::PrintableString(user.try_into().expect("printable")));
        params
    }

    fn object(params: &CertificateParams) -> Value {
        with_request(&params.serialize_request(&KeyPair::generate().expect("a key")).expect("a request").pem().expect("PEM"))
    }

    fn with_request(pem: &str) -> Value {
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

    /// As Go's crypto/x509 writes it, which kubelet uses.
    const GO: &str = "-----BEGIN CERTIFICATE REQUEST-----\n\
        MIIBIjCBygIBADA5MRUwEwYDVQQKEwxzeXN0ZW06bm9kZXMxIDAeBgNVBAMTF3N5\n\
        c3RlbTpub2RlOnJhaW5ib3dkYXNoMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n\
        45WXYIpVTLas7ZbBEVa9HUslT3rXM5sJs0ohXK+PDeNDfIuuldSKiuAi/k9xh6sl\n\
        XfKzNa6f9UFp1OjmltSjQaAvMC0GCSqGSIb3DQEJDjEgMB4wHAYDVR0RBBUwE4IL\n\
        cmFpbmJvd2Rhc2iHBAoAAAIwCgYIKoZIzj0EAwIDRwAwRAIgfz+X/AchTDQwX6Jr\n\
        wYTVUI9IZIlagMRUNb254lGxwUICIF/ibH8PN5K3yHki7UuR+de3u/RjvVUQiETW\n\
        e1EiJkBV\n\
        -----END CERTIFICATE REQUEST-----\n";

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

    /// Wrapped in DER: what is in `parts`, with a length of one or two bytes.
    fn wrapped(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = content.len() as u8;
        if content.len() < 128 { [&[tag, length][..], &content].concat() } else { [&[tag, 0x81, length][..], &content].concat() }
    }

    /// Go skips an attribute whose set has nothing, or another tag, and takes the names of the next one.
    #[test]
    fn what_another_parser_reads_otherwise_is_not_in_the_form_of_kubelets() {
        let names =
            |listed: &[u8]| wrapped(0x30, &[&wrapped(0x30, &[&[6, 3, 0x55, 0x1d, 0x11], &wrapped(4, &[&wrapped(0x30, &[listed])])])]);
        let own = names(b"\x82\x0brainbowdash\x87\x04\x0a\x00\x00\x02");
        let others = names(b"\x82\x16kubernetes.default.svc");
        let kind: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];
        let attribute = |set: &[u8]| wrapped(0x30, &[kind, set]);
        let plain = attribute(&wrapped(0x31, &[&own]));
        let key: &[u8] = &wrapped(0x30, &[&[0x30, 5, 6, 3, 0x2b, 0x65, 0x70], &[3, 33, 0], &[7; 32]]);
        let subject = |common_name: &[u8]| {
            let part = |kind: u8, text: &[u8]| wrapped(0x31, &[&wrapped(0x30, &[&[6, 3, 0x55, 4, kind], text])]);
            wrapped(0x30, &[&part(10, b"\x13\x0csystem:nodes"), &part(3, common_name)])
        };
        let printable = subject(b"\x13\x17system:node:rainbowdash");
        let pem = |subject: &[u8], attributes: &[&[u8]], after: &[u8]| {
            let info = wrapped(0x30, &[&[2, 1, 0], subject, key, &wrapped(0xa0, attributes)]);
            let der = wrapped(0x30, &[&info, &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70], &[3, 65, 0], &[9; 64]]);
            let base64 = BASE64_STANDARD.encode([&der, after].concat());
            format!("-----BEGIN CERTIFICATE REQUEST-----\n{base64}\n-----END CERTIFICATE REQUEST-----\n")
        };
        assert_eq!(refused(&with_request(&pem(&printable, &[&plain], b""))), None);
        assert_eq!(refused(&with_request(GO)), None);
        let other = attribute(&wrapped(0x31, &[&others]));
        let request = pem(&printable, &[&plain], b"");
        for request in [
            // An empty set, then the names behind it.
            pem(&printable, &[&attribute(&[&[0x31, 0][..], &own].concat()), &other], b""),
            pem(&printable, &[&attribute(&wrapped(0x11, &[&own])), &other], b""),
            pem(&printable, &[&attribute(&wrapped(0xb1, &[&own])), &other], b""),
            pem(&printable, &[&plain, &other], b""),
            pem(&printable, &[&other, &plain], b""),
            pem(&printable, &[&plain, &plain], b""),
            // More in the set, behind it, in the list of extensions, behind the request.
            pem(&printable, &[&attribute(&wrapped(0x31, &[&own, &others]))], b""),
            pem(&printable, &[&attribute(&[&wrapped(0x31, &[&own])[..], &others].concat())], b""),
            pem(&printable, &[&plain], b"\x05\x00"),
            // The same name in another type, and a length in more bytes than it needs.
            pem(&subject(b"\x0c\x17system:node:rainbowdash"), &[&plain], b""),
            pem(&printable, &[&[&[0x30, 0x81, plain[1]][..], &plain[2..]].concat()], b""),
            format!("X: y\n{request}"),
            request.replacen("\n", "\nProc-Type: 4\n\n", 1),
            format!("{request}{request}"),
        ] {
            assert_eq!(refused(&with_request(&request)).as_deref(), Some("the request is not in the form that kubelets use"), "{request}");
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
