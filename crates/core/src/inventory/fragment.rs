//! Pieces of other programs' configuration: `kubeadm`, `containerd` and `ignorePreflightErrors`.

use indexmap::IndexMap;
use serde_yaml::{Mapping, Value};

use super::KubeadmFragments;
use super::diagnostic::{Place, shown};
use super::read::{Fields, Problems, at, text};
use super::schema::KUBEADM;
use super::tree::{Data, Key, Node, Scalar, Style};

/// What hostler depends on in kubeadm's documents.
struct Own {
    document: &'static str,
    /// Keys from the document's top.
    path: &'static [&'static str],
    why: &'static str,
    /// The key of the inventory for the same purpose; empty where there is none.
    instead: &'static str,
}

const fn own(document: &'static str, path: &'static [&'static str], why: &'static str, instead: &'static str) -> Own {
    Own { document, path, why, instead }
}

const CLUSTER: &str = "ClusterConfiguration";
const INIT: &str = "InitConfiguration";
const JOIN: &str = "JoinConfiguration";
const KUBELET: &str = "KubeletConfiguration";
const PROXY: &str = "KubeProxyConfiguration";

const IMAGES: &str = "images come from hostler's bundle, under the names of registry.k8s.io";
const NODE: &str = "a node has the name of its machine";
const CRI: &str = "hostler sets up containerd and its socket";
const ADDRESS: &str = "the API server listens where the machine's address is";
const TOKEN: &str = "the token is made for each run and deleted after it";
const CERTIFICATES: &str = "certificates travel through hostler's own connections, without a key in the cluster";
const TAINTS: &str = "hostler keeps the taints of a node as its machine has them";
const CHECKS: &str = "the list would replace hostler's own";

const OWN: &[Own] = &[
    own(CLUSTER, &["clusterName"], "it is the inventory's", "cluster:\n  name: ponies"),
    own(CLUSTER, &["kubernetesVersion"], "it has to fit the programs that hostler installs", "cluster:\n  version: 1.36.3"),
    own(CLUSTER, &["controlPlaneEndpoint"], "every machine and kubeconfig has it", "cluster:\n  endpoint: api.ponies.internal"),
    own(CLUSTER, &["networking", "podSubnet"], "the network between pods is set up by it", "cluster:\n  podSubnet: 10.244.0.0/16"),
    own(CLUSTER, &["networking", "serviceSubnet"], "hostler checks that it is in nobody's way", "cluster:\n  serviceSubnet: 10.96.0.0/12"),
    own(CLUSTER, &["etcd", "local", "dataDir"], "snapshots and rebuilding look for etcd's data in /var/lib/etcd", ""),
    own(CLUSTER, &["etcd", "local", "imageRepository"], IMAGES, ""),
    own(CLUSTER, &["etcd", "local", "imageTag"], IMAGES, ""),
    own(CLUSTER, &["etcd", "external"], "hostler tends the etcd that runs on the control planes", ""),
    own(CLUSTER, &["dns", "imageRepository"], IMAGES, ""),
    own(CLUSTER, &["dns", "imageTag"], IMAGES, ""),
    own(CLUSTER, &["imageRepository"], IMAGES, ""),
    own(CLUSTER, &["certificatesDir"], "hostler looks for certificates in /etc/kubernetes/pki", ""),
    own(INIT, &["nodeRegistration", "name"], NODE, "machines:\n  twilightsparkle: 192.168.1.11"),
    own(INIT, &["nodeRegistration", "criSocket"], CRI, ""),
    own(
        INIT,
        &["nodeRegistration", "taints"],
        TAINTS,
        "machines:\n  twilightsparkle:\n    address: 192.168.1.11\n    taints: [films=only:NoSchedule]",
    ),
    own(INIT, &["nodeRegistration", "ignorePreflightErrors"], CHECKS, "ignorePreflightErrors: [Swap]"),
    own(INIT, &["localAPIEndpoint"], ADDRESS, "machines:\n  twilightsparkle: 192.168.1.11"),
    own(INIT, &["bootstrapTokens"], TOKEN, ""),
    own(INIT, &["certificateKey"], CERTIFICATES, ""),
    own(JOIN, &["nodeRegistration", "name"], NODE, "machines:\n  twilightsparkle: 192.168.1.11"),
    own(JOIN, &["nodeRegistration", "criSocket"], CRI, ""),
    own(
        JOIN,
        &["nodeRegistration", "taints"],
        TAINTS,
        "machines:\n  twilightsparkle:\n    address: 192.168.1.11\n    taints: [films=only:NoSchedule]",
    ),
    own(JOIN, &["nodeRegistration", "ignorePreflightErrors"], CHECKS, "ignorePreflightErrors: [Swap]"),
    own(JOIN, &["controlPlane", "localAPIEndpoint"], ADDRESS, "machines:\n  twilightsparkle: 192.168.1.11"),
    own(JOIN, &["controlPlane", "certificateKey"], CERTIFICATES, ""),
    own(JOIN, &["discovery"], TOKEN, ""),
    own(KUBELET, &["staticPodPath"], "hostler looks for the control plane's pods in /etc/kubernetes/manifests", ""),
    own(KUBELET, &["containerRuntimeEndpoint"], CRI, ""),
    own(PROXY, &["clusterCIDR"], "it is the pods' subnet", "cluster:\n  podSubnet: 10.244.0.0/16"),
];

pub fn kubeadm(inventory: &Fields, problems: &mut Problems) -> KubeadmFragments {
    let section = inventory.get("kubeadm", problems).and_then(|field| Fields::read(field.node, field.place, &KUBEADM, problems));
    let Some(section) = section else { return KubeadmFragments::default() };
    let mut document = |name: &'static str| -> Mapping {
        let Some(field) = section.get(name, problems) else { return Mapping::new() };
        let Data::Mapping(entries) = &field.node.data else {
            let message = format!("`{name}` has keys with values, and this is {}", field.node.what());
            problems.add(at(field.node, field.place), message, field.key.shown());
            return Mapping::new();
        };
        for (key, _) in entries.iter().filter(|(key, _)| key.text == "apiVersion" || key.text == "kind") {
            let message = format!("hostler says `{}` itself: leave it out", key.text);
            problems.add(key.place, message, field.key.shown());
        }
        for own in OWN.iter().filter(|own| own.document == name) {
            overridden(own, entries, problems);
        }
        arguments(entries, problems);
        match value(field.node) {
            Value::Mapping(mapping) => mapping,
            _ => Mapping::new(),
        }
    };
    KubeadmFragments {
        cluster: document(CLUSTER),
        init: document(INIT),
        join: document(JOIN),
        kubelet: document(KUBELET),
        kube_proxy: document(PROXY),
    }
}

/// Complains when `entries` set what hostler depends on, or take away a mapping that it is in.
fn overridden(own: &Own, mut entries: &[(Key, Node)], problems: &mut Problems) {
    for (depth, part) in own.path.iter().enumerate() {
        let Some((key, node)) = entries.iter().find(|(key, _)| key.text == *part) else { return };
        let path = own.path.join(".");
        let last = depth + 1 == own.path.len();
        match &node.data {
            Data::Mapping(inner) if !last => entries = inner,
            _ if last => return problems.add(key.place, format!("`{path}` can't be set here: {}", own.why), own.instead),
            _ => {
                // Of several below one key, the first speaks for all.
                let message = format!("`{part}` without its keys takes `{path}` away: {}", own.why);
                if !problems.found.iter().any(|problem| problem.place == key.place) {
                    problems.add(key.place, message, own.instead);
                }
                return;
            }
        }
    }
}

/// Complains about arguments that are no list, as kubeadm's documents had them before v1beta4.
fn arguments(entries: &[(Key, Node)], problems: &mut Problems) {
    for (key, node) in entries {
        let wrong = match &node.data {
            _ if node.is_null() => None,
            Data::Sequence(items) if is_arguments(key) => items.iter().find(|item| !is_argument(item)),
            _ if is_arguments(key) => Some(node),
            Data::Mapping(inner) => {
                arguments(inner, problems);
                None
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            let message = format!("`{}` is a list whose entries have a `name` and a `value`, and nothing else", key.text);
            problems.add(at(wrong, key.place), message, format!("{}:\n  - name: v\n    value: \"4\"", key.text));
        }
    }
}

fn is_arguments(key: &Key) -> bool {
    ARGUMENTS.contains(&key.text.as_str())
}

fn is_argument(node: &Node) -> bool {
    let Data::Mapping(entries) = &node.data else { return false };
    let has = |wanted: &str| entries.iter().any(|(key, node)| key.text == wanted && text(node).is_some());
    entries.len() == 2 && has("name") && has("value")
}

/// The node as YAML's own values.
fn value(node: &Node) -> Value {
    match &node.data {
        // Whether plain text is a number, a truth value or nothing is left to the library that writes it again.
        Data::Scalar(Scalar { text, style: Style::Plain }) => match serde_yaml::from_str(text) {
            Ok(value @ (Value::Null | Value::Bool(_) | Value::Number(_))) => value,
            _ => Value::String(text.clone()),
        },
        Data::Scalar(Scalar { text, .. }) => Value::String(text.clone()),
        Data::Sequence(items) => Value::Sequence(items.iter().map(value).collect()),
        Data::Mapping(entries) => {
            let value = |key: &Key, node: &Node| match &node.data {
                // For kubeadm an argument's value is a text, no number and no truth value.
                Data::Sequence(items) if is_arguments(key) => Value::Sequence(items.iter().map(argument).collect()),
                _ => value(node),
            };
            Value::Mapping(entries.iter().map(|(key, node)| (Value::String(key.text.clone()), value(key, node))).collect())
        }
    }
}

fn argument(node: &Node) -> Value {
    let Data::Mapping(entries) = &node.data else { return Value::Null };
    let written = |node| Value::String(text(node).map_or_else(String::new, |text| text.text.to_owned()));
    Value::Mapping(entries.iter().map(|(key, node)| (Value::String(key.text.clone()), written(node))).collect())
}

/// The place of the last key of `path`, from the top of an inventory's `text`, or of the last that is there.
pub fn key_place(text: &str, path: &[&str]) -> Option<Place> {
    let mut node = &super::tree::parse(text).ok()?;
    let mut place = None;
    for wanted in path {
        let Data::Mapping(entries) = &node.data else { break };
        let Some((key, below)) = entries.iter().find(|(key, _)| key.text == *wanted) else { break };
        place = Some(key.place);
        node = below;
    }
    place
}

/// Lists of a program's arguments, `name` and `value`: kubeadm.k8s.io/v1beta4 made them of the mappings that earlier versions had.
const ARGUMENTS: [&str; 2] = ["extraArgs", "kubeletExtraArgs"];

/// `base` with `fragment` over it: mappings are merged, and so are arguments, by name; anything else is replaced, `null` removes.
pub fn merge(base: Value, fragment: &Mapping) -> Value {
    let mut merged = match base {
        Value::Mapping(mapping) => mapping,
        _ => Mapping::new(),
    };
    for (key, over) in fragment {
        match over {
            Value::Null => drop(merged.shift_remove(key)),
            Value::Mapping(inner) => {
                let below = merged.get_mut(key).map_or(Value::Null, std::mem::take);
                // Replacing keeps the key's position.
                merged.insert(key.clone(), merge(below, inner));
            }
            Value::Sequence(over) if key.as_str().is_some_and(|key| ARGUMENTS.contains(&key)) => {
                // An argument may be there several times: those of the fragment stand for all of hostler's of that name.
                let set = |argument: &Value| over.iter().any(|other| other.get("name") == argument.get("name"));
                let below = merged.get(key).and_then(Value::as_sequence).into_iter().flatten().filter(|argument| !set(argument));
                let arguments = below.chain(over).cloned().collect();
                merged.insert(key.clone(), Value::Sequence(arguments));
            }
            other => drop(merged.insert(key.clone(), other.clone())),
        }
    }
    Value::Mapping(merged)
}

/// `value` for programs in Go, whose YAML (sigs.k8s.io/yaml, from go-yaml 2) still reads `yes` as true and `1_000` as a number. Such
/// texts get quotes, which the library that writes the rest leaves out by the rules of YAML 1.2.
///
/// # Errors
/// None that is known: whatever was read can be written.
pub fn to_yaml(value: &Value) -> Result<String, serde_yaml::Error> {
    let plain = serde_yaml::to_string(value)?;
    // Who uses the mark itself goes without.
    if plain.contains(MARK) {
        return Ok(plain);
    }
    Ok(serde_yaml::to_string(&marked(value))?.replace(MARK, "'"))
}

/// Stands for a quote while the library writes, to which it is a letter like others. From Unicode's plane for private use.
const MARK: char = '\u{f8ff}';

fn marked(value: &Value) -> Value {
    match value {
        Value::String(text) if is_ambiguous(text) => Value::String(format!("{MARK}{text}{MARK}")),
        Value::Sequence(items) => Value::Sequence(items.iter().map(marked).collect()),
        Value::Mapping(mapping) => Value::Mapping(mapping.iter().map(|(key, value)| (marked(key), marked(value))).collect()),
        other => other.clone(),
    }
}

fn is_ambiguous(text: &str) -> bool {
    let word = ["y", "n", "yes", "no", "on", "off"].iter().any(|word| word.eq_ignore_ascii_case(text));
    let number = text.contains('_')
        && text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-._".contains(c));
    word || number
}

/// What hostler depends on in containerd's configuration.
const CONTAINERD_OWN: &[(&str, &str)] = &[
    ("root", "hostler keeps images in /var/lib/containerd"),
    ("state", "hostler's unit makes /run/containerd"),
    ("imports", "hostler's own configuration imports these pieces"),
    ("grpc", "kubelet and hostler talk to /run/containerd/containerd.sock"),
];

pub fn containerd(inventory: &Fields, problems: &mut Problems) -> IndexMap<String, String> {
    let mut fragments = IndexMap::new();
    for (name, node) in inventory.named("containerd", problems) {
        let example = "containerd:\n  oom-score: |\n    version = 3\n    [plugins.'io.containerd.cri.v1.runtime']\n      restrict_oom_score_adj = true";
        let letters = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let why = if name.text.ends_with(".toml") {
            "hostler appends `.toml` itself".to_owned()
        } else if !name.text.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.text.chars().all(letters) || name.text.len() > 100 {
            format!(
                "`{}` is no plain file name: it has letters, digits, `-`, `_` and `.`, and begins with a letter or digit",
                shown(name.text)
            )
        } else {
            String::new()
        };
        if !why.is_empty() {
            problems.add(name.place, why, example);
        }
        let Data::Scalar(scalar) = &node.data else {
            let message =
                format!("`{}` is TOML in a text (`|` begins one with several lines), and this is {}", shown(name.text), node.what());
            problems.add(at(node, name.place), message, example);
            continue;
        };
        if node.is_null() {
            problems.add(name.place, format!("`{}` is empty", shown(name.text)), example);
            continue;
        }
        let position = |offset: usize| within(scalar, node.place, offset);
        match scalar.text.parse::<toml::Table>() {
            Ok(table) => {
                for (key, why) in CONTAINERD_OWN.iter().filter(|(key, _)| table.contains_key(*key)) {
                    let offset = scalar.text.find(key).unwrap_or(0);
                    problems.add(position(offset), format!("`{key}` can't be set here: {why}"), "");
                }
                fragments.insert(name.text.to_owned(), scalar.text.clone());
            }
            Err(error) => {
                let place = error.span().map_or(node.place, |span| position(span.start));
                problems.add(place, format!("this is no TOML: {}", error.message().replace('\n', ", ")), "");
            }
        }
    }
    fragments
}

/// Where in the file byte `offset` of a scalar's text is: its line for a text with `|`, whose indentation nobody keeps, else the
/// scalar as a whole.
fn within(scalar: &Scalar, place: Place, offset: usize) -> Place {
    if scalar.style != Style::Literal {
        return place;
    }
    let before = scalar.text.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count();
    Place { line: place.line + before, column: 1, length: usize::MAX }
}

pub fn ignored(inventory: &Fields, problems: &mut Problems) -> Vec<String> {
    let mut checks = Vec::new();
    for text in inventory.texts("ignorePreflightErrors", problems) {
        if text.text.is_empty() || !text.text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            let message = format!("`{}` is no check's name: kubeadm prints it in brackets, as in `[ERROR Swap]`", shown(text.text));
            problems.add(text.place, message, "ignorePreflightErrors: [Swap]");
            continue;
        }
        if text.text.eq_ignore_ascii_case("all") {
            problems.warnings.push("`ignorePreflightErrors: [all]` hides every complaint of kubeadm: name the checks instead".to_owned());
        }
        checks.push(text.text.to_owned());
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_go_reads_otherwise_are_quoted() {
        let read: Value =
            serde_yaml::from_str("{a: yes, b: [On, n, 1_000, -.5_0, 0x1_F], off: {c: nothing, d: true, e: 12, f: 'true'}, g: a_1}")
                .unwrap();
        let written =
            "a: 'yes'\nb:\n- 'On'\n- 'n'\n- '1_000'\n- '-.5_0'\n- '0x1_F'\n'off':\n  c: nothing\n  d: true\n  e: 12\n  f: 'true'\ng: a_1\n";
        assert_eq!(to_yaml(&read).unwrap(), written);
        assert_eq!(serde_yaml::from_str::<Value>(written).unwrap(), read);
    }
}
