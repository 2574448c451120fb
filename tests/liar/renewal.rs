//! A person's certificate that ends soon is renewed by whatever verb looks at the cluster.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{CertificateParams, DnType, KeyPair};

use crate::lab::{Lab, control_plane};

/// Facts for a question about facts, and the answers of a cluster that gives whoever is in `allowed` a certificate.
const SIGNS: &str = r#"#!/bin/sh
echo 'hostler begins'
echo 'hostler begins' >&2
read -r _ _ size
text=$(head -c "$size")
case $text in
*'hostler-facts 1'*) exec cat DIR/facts ;;
*'base64 -w 0'*)
    printf 'ca %s\n' "$(base64 -w 0 < DIR/ca.crt)"
    exec cat DIR/allowed
    ;;
*CertificateSigningRequest*)
    # She has access, or not: a renewal gives her none.
    case $text in *ClusterRoleBinding*) exit 1 ;; esac
    printf '%s\n' "$text" | sed -n 's/^  request: //p' | base64 -d > DIR/csr
    openssl x509 -req -in DIR/csr -CA DIR/ca.crt -CAkey DIR/ca.key -days 365 2> /dev/null | base64 -w 0
    exit
    ;;
esac
exit 1
"#;

/// A certificate of `name` that ends in so many days, after a year, and its key; each PEM in base64.
fn certificate(name: &str, days: i64) -> [String; 2] {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = jiff::Timestamp::now().as_second();
    let at = |days: i64| {
        let date = jiff::Timestamp::from_second(now + days * 86400).unwrap().in_tz("UTC").unwrap().date();
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    (params.not_before, params.not_after) = (at(days - 365), at(days));
    let pem = params.self_signed(&key).unwrap().pem();
    [pem, key.serialize_pem()].map(|pem| BASE64_STANDARD.encode(pem))
}

fn kubeconfig(ca: &str, [certificate, key]: &[String; 2]) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: office\n  cluster: {{server: https://office:6443}}\n- name: home\n  cluster: {{server: \
         https://localhost:7443, tls-server-name: home.lan, certificate-authority-data: {ca}}}\nusers:\n- name: home\n  user: \
         {{client-certificate-data: {certificate}, client-key-data: {key}}}\ncontexts:\n- name: home\n  context: {{cluster: home, user: home, \
         namespace: films}}\ncurrent-context: home\n"
    )
}

/// The parts of the only user's entry.
fn user(text: &str) -> [String; 2] {
    let root: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
    ["client-certificate-data", "client-key-data"].map(|field| root["users"][0]["user"][field].as_str().unwrap().to_owned())
}

#[test]
fn a_certificate_that_ends_soon_is_renewed_by_status_and_nothing_else_changes() {
    let mut lab = Lab::empty();
    lab.answering("one", "10.77.0.11", "control-plane", SIGNS);
    fs::write(lab.path("one/facts"), control_plane()).unwrap();
    let [ca, ca_key] = certificate("kubernetes", 3000);
    for (file, pem) in [("one/ca.crt", &ca), ("one/ca.key", &ca_key)] {
        fs::write(lab.path(file), BASE64_STANDARD.decode(pem).unwrap()).unwrap();
    }
    let allowed = |name: &str| {
        fs::write(lab.path("one/allowed"), format!("clusterrolebinding.rbac.authorization.k8s.io/{name}\n")).unwrap();
    };
    // The one that `up` writes, and kubectl's.
    let files = [lab.path("home/.config/hostler/home.kubeconfig"), lab.path("home/.kube/config")];
    let write = |text: &str| {
        for file in &files {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
            fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        }
    };
    let renewed = |before: &str| -> Vec<bool> {
        write(before);
        let ran = lab.hostler(&["status"]);
        let changed = |file: &PathBuf| {
            let after = fs::read_to_string(file).unwrap();
            let is_new = user(&after) != user(before);
            let value = |text: &str| serde_yaml::from_str::<serde_yaml::Value>(text).unwrap();
            let [certificate, key] = user(&after);
            let [was, its_key] = user(before);
            assert_eq!(value(&after.replace(&certificate, &was).replace(&key, &its_key)), value(before), "{}", ran.all());
            assert_eq!(ran.err.contains(&format!("renewed your certificate in {}", file.display())), is_new, "{}", ran.all());
            is_new
        };
        files.iter().map(changed).collect()
    };
    allowed("hostler:ada");
    let ends = |days| kubeconfig(&ca, &certificate("hostler:ada", days));
    assert_eq!(renewed(&ends(80)), [true, true]);
    assert_eq!(renewed(&ends(-5)), [true, true], "it has ended");
    assert_eq!(renewed(&ends(100)), [false, false]);
    // Of another cluster, or not hostler's.
    assert_eq!(renewed(&kubeconfig(&certificate("kubernetes", 3000)[0], &certificate("hostler:ada", 80))), [false, false]);
    assert_eq!(renewed(&kubeconfig(&ca, &certificate("ada", 80))), [false, false]);
    // Her access was revoked: she does not give it to herself.
    allowed("hostler:eve");
    assert_eq!(renewed(&ends(80)), [false, false]);
}
