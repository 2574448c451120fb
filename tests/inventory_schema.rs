//! `hostler schema` by a validator that knows nothing of hostler: what is read is valid, and what is wrong in a way that a schema can say
//! is not. `tests/inventory_schema.txt` names the cases that the schema takes and hostler refuses; UPDATE=1 rewrites it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hostler_core::digest::sha256;
use hostler_core::inventory::{parse, reference};
use hostler_core::pins;
use serde_json::{Value, json};

/// Reads `{schema, documents: {NAME: DOCUMENT}}` and prints the names of those that are valid.
const VALIDATE: &str = "
import json, sys
from jsonschema import Draft202012Validator
asked = json.load(sys.stdin)
Draft202012Validator.check_schema(asked['schema'])
validator = Draft202012Validator(asked['schema'])
json.dump([name for name, document in asked['documents'].items() if validator.is_valid(document)], sys.stdout)
";

fn valid(documents: &serde_json::Map<String, Value>) -> BTreeSet<String> {
    valid_by(&reference::json_schema(), documents)
}

fn valid_by(schema: &Value, documents: &serde_json::Map<String, Value>) -> BTreeSet<String> {
    let python = Command::new("python3").args(["-c", VALIDATE]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut python = python.unwrap_or_else(|error| panic!("python3: {error}; apt-get install python3-jsonschema"));
    let asked = json!({ "schema": schema, "documents": documents }).to_string();
    python.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}\nis jsonschema there? apt-get install python3-jsonschema");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn files() -> Vec<PathBuf> {
    let folders = ["tests/inventory", "inventory"].map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join(name));
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

#[test]
fn what_is_read_is_valid_and_what_is_wrong_is_not() {
    let mut documents = serde_json::Map::new();
    let mut read = BTreeSet::new();
    for file in files() {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let Ok(document) = serde_yaml::from_str(text.trim_start_matches('\u{feff}')) else { continue };
        if parse(&text, &name).is_ok() {
            read.insert(name.clone());
        }
        documents.insert(name, document);
    }
    let valid = valid(&documents);
    let refused: Vec<_> = read.difference(&valid).collect();
    assert!(refused.is_empty(), "read, and not valid: {refused:?}");
    let examples = ["minimal", "ponies", "three-control-planes", "every-key", "transcode-every-key"];
    assert!(examples.iter().all(|name| valid.contains(*name)), "{valid:?}");

    // The rest takes more than a schema: to compare, to look at files, to count addresses. What it can say, it goes on saying.
    let beyond: String =
        documents.keys().filter(|name| valid.contains(*name) && !read.contains(*name)).map(|name| format!("{name}\n")).collect();
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inventory_schema.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&expected, &beyond).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&expected).unwrap_or_default(), beyond, "UPDATE=1 cargo test --test inventory_schema");
}

/// What a schema can say of the values of each key, beside the cases: a machine, `cluster`, `ssh`, `transcode` and `kubeadm`, a line each.
#[test]
fn mistakes_that_a_schema_can_say_are_said() {
    let films = "inbox: 'nfs://nas/films', library: 'path:/srv/films', owner: {uid: 1, gid: 1}, folders: {Movies: {}}";
    let whole = |more: &str| format!("machines: {{a: 192.168.1.11}}\n{more}\n");
    let machine = |more: &str| format!("machines: {{a: {{address: 192.168.1.11, {more}}}}}\n");
    let address = |address: &str| format!("machines: {{a: '{address}'}}\n");
    let filmed = |more: &str| whole(&format!("transcode: {{{films}, {more}}}"));
    let server = "url: 'http://nas:32400', tokenFile: t";
    let wrong = [
        whole("machines: {}").replacen("machines: {a: 192.168.1.11}\n", "", 1),
        whole("").replace("a:", "localhost:"),
        address("192.168.1"),
        address("192.168.1.256"),
        address("192.168.1.11:22"),
        address("127.0.0.1"),
        address("0.0.0.0"),
        address("169.254.3.4"),
        address("224.0.0.1"),
        address("fe80::1"),
        address("::1"),
        machine("keep: [/srv/../x]"),
        machine("keep: [/srv//x]"),
        machine("keep: ['/srv/*']"),
        machine("keep: [srv]"),
        machine("labels: {a b: c}"),
        machine("labels: {/a: c}"),
        machine("labels: {kubernetes.io/os: linux}"),
        machine("taints: ['a:NoSchedule', 'a:NoSchedule']"),
        machine("taints: ['a b:NoSchedule']"),
        machine("taints: ['node.kubernetes.io/not-ready:NoSchedule']"),
        machine("role: worker, dedicated: true"),
        machine("jump: a, proxyCommand: b"),
        machine("user: -oProxyCommand=x"),
        machine("user: $(id)"),
        machine("mac: '01:00:5e:00:00:01'"),
        machine("mac: '00:00:00:00:00:00'"),
        machine("hostKey: 'SHA256:abc'"),
        machine("encode: never"),
        machine("encode: {encoders: []}"),
        machine("encode: {encoders: [x264, x264]}"),
        machine("encode: {encoders: [x266]}"),
        machine("encode: {hours: '22:00'}"),
        whole("cluster: {version: 1.37}"),
        whole("cluster: {version: v1.36.3}"),
        whole("cluster: {endpoint: {}}"),
        whole("cluster: {endpoint: {vip: 192.168.1.10, external: 'a:1'}}"),
        whole("cluster: {endpoint: 192.168.1.10}"),
        whole("cluster: {podSubnet: 10.244.0.0/30}"),
        whole("cluster: {podSubnet: 10.244.0.0/0}"),
        whole("cluster: {serviceSubnet: 10.96.0.0/8}"),
        whole("cluster: {serviceSubnet: 'fd00::/64'}"),
        whole("ssh: {jump: a, proxyCommand: b}"),
        whole("snapshots: {to: /srv, every: 9m}"),
        whole("containerd: {a.toml: x}"),
        whole("kubeadm: {ClusterConfiguration: {apiVersion: x}}"),
        whole("kubeadm: {ClusterConfiguration: {clusterName: x}}"),
        whole("kubeadm: {ClusterConfiguration: {networking: {podSubnet: x}}}"),
        whole("kubeadm: {KubeletConfiguration: {kind: x}}"),
        whole("kubeadm: {KubeProxyConfiguration: {clusterCIDR: x}}"),
        filmed("").replace("folders: {Movies: {}}", "folders: {}"),
        filmed("").replace("Movies", "'Movies '"),
        filmed("").replace("nfs://nas/films", "nfs://nas:2049/films"),
        filmed("").replace("nfs://nas/films", "nfs://localhost/films"),
        filmed("machines: []"),
        filmed("machines: [a, a]"),
        filmed("languages: [eng, eng]"),
        filmed("languages: [all]"),
        filmed("originals: {atMost: 0GB}"),
        filmed("hours: '22:00-22:00'"),
        filmed(&format!("plex: {{{server}}}").replace("//", "//ada:word@")),
        filmed(&format!("plex: {{{server}}}").replace("32400", "32400/?X-Plex-Token=1")),
        filmed(&format!("plex: {{{server}}}").replace("nas", "localhost")),
    ];
    let right = [
        whole(""),
        address("fd00::11") + "cluster: {podSubnet: 'fd00:244::/56', serviceSubnet: 'fd00:96::/112'}\n",
        machine("keep: [/srv/films/, /srv/a.b, '/srv/Ünïcode films'], labels: {gpu: intel, example.org/a_b.c: '', number: 1}"),
        machine("taints: ['films=only:NoSchedule', 'films:NoExecute'], user: ada_b.c, jump: 'ada@gate:22,[fd00::1]:22'"),
        machine("role: control-plane, dedicated: true, mac: 52-54-00-12-34-5A"),
        whole("cluster: {version: 1.36.3, endpoint: api.home.internal, podSubnet: 10.0.0.0/8, serviceSubnet: 11.0.0.0/28}"),
        whole("cluster: {endpoint: {external: 'api.example.org:6443'}}"),
        whole("snapshots: {to: /srv/share/snapshots/, every: 10m}"),
        whole("snapshots: {to: 'path:/srv/share/snapshots'}"),
        whole("snapshots: {to: 'nfs://nas/snapshots'}"),
        whole(
            "kubeadm: {ClusterConfiguration: {apiServer: {certSANs: [a]}, etcd: {local: {extraArgs: []}}}, InitConfiguration: {skipPhases: [addon/coredns]}}",
        ),
        whole("ignorePreflightErrors: [FileContent--proc-sys-net-ipv4-ip_forward]"),
        filmed(&format!(
            "plex: {{{server}}}, languages: [eng, deu], hours: '22:00 - 7:00', originals: {{keep: 014d, atMost: 400 GB}}, notify: {{url: 'https://ntfy.sh/a?b=c'}}"
        )),
    ];
    let named = |texts: &[String]| -> serde_json::Map<String, Value> {
        texts.iter().map(|text| (text.clone(), serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}")))).collect()
    };
    let taken: Vec<String> = valid(&named(&wrong)).into_iter().collect();
    assert!(taken.is_empty(), "not said:\n{}", taken.join("\n"));
    let taken = valid(&named(&right));
    let refused: Vec<&String> = right.iter().filter(|text| !taken.contains(*text)).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    // The schema says nothing that the reader does not say, too.
    for text in &wrong {
        assert!(parse(text, "it").is_err(), "only the schema refuses {text}");
    }
    for text in &right {
        if let Err(problems) = parse(text, "it") {
            panic!("{problems}");
        }
    }
}

#[test]
fn the_schema_of_pins_is_as_strict_as_their_reader() {
    let right = pins::to_yaml(pins::shipped());
    let wrong = [
        right.replacen("    etcd: 3.6.8\n", "", 1),
        right.replacen("    etcd: ", "    etdc: ", 1),
        right.replacen("3.6.8\n", "3.6\n", 1),
        right.replacen("  1.36.3:", "  v1.36.3:", 1),
        right.replacen("v1.9.1-flannel3", "../x", 1),
        right.replacen("amd64: 4670", "amd64: G670", 1),
        right.replacen("  runc:", "  rnc:", 1),
        right.replacen("asOf: 2026-08-21", "asOf: today", 1),
        right.replacen("'kubespray'", "''", 1),
        right.replacen("kubernetes:", "versions:", 1),
    ];
    for text in &wrong {
        assert!(*text != right && pins::parse(text, "it").is_err(), "{text}");
    }
    let document = |text: &String| (sha256(text.as_bytes()), serde_yaml::from_str(text).unwrap());
    let documents = wrong.iter().chain([&right]).map(document).collect();
    assert_eq!(valid_by(&pins::json_schema(), &documents), BTreeSet::from([sha256(right.as_bytes())]));
}

/// YAML reads `1000` as a number and `true` as a flag, but a user or a cluster may have that name: what is read must be valid, too.
#[test]
fn a_name_that_yaml_takes_for_a_number_is_valid_where_it_is_read() {
    let mut documents = serde_json::Map::new();
    for example in ["every-key", "transcode-every-key", "minimal"] {
        let folder = if example == "minimal" { "inventory" } else { "tests/inventory" };
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(format!("{example}.yaml"))).unwrap();
        let document: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        let mut leaves = Vec::new();
        collect_texts(&document, &mut Vec::new(), &mut leaves);
        for (at, value) in leaves.iter().flat_map(|at| ["1000", "1.5", "1e3", "true", "null"].map(|value| (at, value))) {
            let mut changed = document.clone();
            *at.iter().fold(&mut changed, |value, step| match step {
                Step::Key(key) => value.get_mut(key).unwrap(),
                Step::Index(index) => value.get_mut(index).unwrap(),
            }) = serde_yaml::from_str(value).unwrap();
            let text = serde_yaml::to_string(&changed).unwrap();
            if parse(&text, "it").is_ok() {
                documents.insert(format!("{example}: {at:?} is {value}"), serde_json::to_value(&changed).unwrap());
            }
        }
    }
    assert!(documents.len() > 20, "only {} are read", documents.len());
    let valid = valid(&documents);
    let refused: Vec<&String> = documents.keys().filter(|name| !valid.contains(*name)).collect();
    assert!(refused.is_empty(), "read, and not valid: {refused:#?}");
}

#[derive(Debug, Clone)]
enum Step {
    Key(serde_yaml::Value),
    Index(usize),
}

/// Where the document has texts.
fn collect_texts(value: &serde_yaml::Value, at: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    match value {
        serde_yaml::Value::String(_) => found.push(at.clone()),
        serde_yaml::Value::Mapping(mapping) => {
            for (key, value) in mapping {
                at.push(Step::Key(key.clone()));
                collect_texts(value, at, found);
                at.pop();
            }
        }
        serde_yaml::Value::Sequence(items) => {
            for (index, value) in items.iter().enumerate() {
                at.push(Step::Index(index));
                collect_texts(value, at, found);
                at.pop();
            }
        }
        _ => {}
    }
}
