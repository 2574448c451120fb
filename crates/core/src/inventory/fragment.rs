//! Fragments of other programs' configuration: `kubeadm`, `containerd` and `ignorePreflightErrors`.

use indexmap::IndexMap;
use serde_yaml::{Mapping, Value};

use super::KubeadmFragments;
use super::diagnostic::{Place, shown};
use super::read::{Fields, Problems, at, text};
use super::schema::KUBEADM;
use super::tree::{Data, Key, Node, Scalar, Style};

/// A setting in kubeadm's documents that hostler depends on.
struct Own {
    document: &'static str,
    /// Keys from the document's top.
    path: &'static [&'static str],
    why: &'static str,
    /// The key of the inventory for the same purpose; empty if there is none.
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

const IMAGES: &str = "images come from hostler's bundle, under their registry.k8s.io names";
const NODE: &str = "a node is always named after its machine";
const CRI: &str = "hostler sets up containerd and its socket";
const ADDRESS: &str = "the API server listens on the machine's address";
const TOKEN: &str = "each run creates its own token and deletes it afterwards";
const CERTIFICATES: &str = "hostler copies certificates over its own connections, without a key in the cluster";
const TAINTS: &str = "hostler sets the taints of a node from its machine in the inventory";
const CHECKS: &str = "your list would replace hostler's own";

const OWN: &[Own] = &[
    own(CLUSTER, &["clusterName"], "hostler takes it from `cluster.name`", "cluster:\n  name: ponies"),
    own(CLUSTER, &["kubernetesVersion"], "hostler takes it from `cluster.version`", "cluster:\n  version: 1.36.3"),
    own(CLUSTER, &["controlPlaneEndpoint"], "hostler takes it from `cluster.endpoint`", "cluster:\n  endpoint: api.ponies.internal"),
    own(CLUSTER, &["networking", "podSubnet"], "hostler takes it from `cluster.podSubnet`", "cluster:\n  podSubnet: 10.244.0.0/16"),
    own(
        CLUSTER,
        &["networking", "serviceSubnet"],
        "hostler takes it from `cluster.serviceSubnet`",
        "cluster:\n  serviceSubnet: 10.96.0.0/12",
    ),
    own(CLUSTER, &["etcd", "local", "dataDir"], "hostler expects etcd's data in /var/lib/etcd", ""),
    own(CLUSTER, &["etcd", "local", "imageRepository"], IMAGES, ""),
    own(CLUSTER, &["etcd", "local", "imageTag"], IMAGES, ""),
    own(CLUSTER, &["etcd", "external"], "hostler manages the etcd on the control planes", ""),
    own(CLUSTER, &["dns", "imageRepository"], IMAGES, ""),
    own(CLUSTER, &["dns", "imageTag"], IMAGES, ""),
    own(CLUSTER, &["imageRepository"], IMAGES, ""),
    own(CLUSTER, &["certificatesDir"], "hostler expects certificates in /etc/kubernetes/pki", ""),
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
    own(KUBELET, &["staticPodPath"], "hostler expects the static pods in /etc/kubernetes/manifests", ""),
    own(KUBELET, &["containerRuntimeEndpoint"], CRI, ""),
    own(PROXY, &["clusterCIDR"], "hostler takes it from `cluster.podSubnet`", "cluster:\n  podSubnet: 10.244.0.0/16"),
];

/// Keys of all documents, which hostler writes.
const HEAD: [&str; 2] = ["apiVersion", "kind"];

/// The paths of the settings in a document that can't be set, each from the document's top.
pub fn owned(document: &str) -> impl Iterator<Item = &'static [&'static str]> {
    const EACH: [&[&str]; 2] = [&[HEAD[0]], &[HEAD[1]]];
    EACH.into_iter().chain(OWN.iter().filter(move |own| own.document == document).map(|own| own.path))
}

pub fn kubeadm(inventory: &Fields, problems: &mut Problems) -> KubeadmFragments {
    let section = inventory.get("kubeadm", problems).and_then(|field| Fields::read(field.node, field.place, &KUBEADM, problems));
    let Some(section) = section else { return KubeadmFragments::default() };
    let mut document = |name: &'static str| -> Mapping {
        let Some(field) = section.get(name, problems) else { return Mapping::new() };
        let Data::Mapping(entries) = &field.node.data else {
            let message = format!("`{name}` must be a mapping, but this is {}", field.node.what());
            problems.add(at(field.node, field.place), message, field.key.shown());
            return Mapping::new();
        };
        for (key, _) in entries.iter().filter(|(key, _)| HEAD.contains(&key.text.as_str())) {
            let message = format!("omit `{}`: hostler sets this key itself", key.text);
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

/// Reports an error if `entries` set something that hostler depends on, or remove the mapping that contains it.
fn overridden(own: &Own, mut entries: &[(Key, Node)], problems: &mut Problems) {
    for (depth, part) in own.path.iter().enumerate() {
        let Some((key, node)) = entries.iter().find(|(key, _)| key.text == *part) else { return };
        let path = own.path.join(".");
        let last = depth + 1 == own.path.len();
        match &node.data {
            Data::Mapping(inner) if !last => entries = inner,
            _ if last => return problems.add(key.place, format!("`{path}` can't be set here: {}", own.why), own.instead),
            _ => {
                // Of several settings below one key, the first one is reported.
                let message = format!("`{part}` must be a mapping with keys, because this value would remove `{path}`: {}", own.why);
                if !problems.found.iter().any(|problem| problem.place == key.place) {
                    problems.add(key.place, message, own.instead);
                }
                return;
            }
        }
    }
}

/// Reports arguments that are not a list: they were mappings before v1beta4.
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
            let message = format!("`{}` must be a list of entries that have only `name` and `value`", key.text);
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
        // The library that writes it decides whether plain text is a number, a boolean or null.
        Data::Scalar(Scalar { text, style: Style::Plain }) => match serde_yaml::from_str(text) {
            Ok(value @ (Value::Null | Value::Bool(_) | Value::Number(_))) => value,
            _ => Value::String(text.clone()),
        },
        Data::Scalar(Scalar { text, .. }) => Value::String(text.clone()),
        Data::Sequence(items) => Value::Sequence(items.iter().map(value).collect()),
        Data::Mapping(entries) => {
            let value = |key: &Key, node: &Node| match &node.data {
                // For kubeadm the value of an argument is always a string.
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

/// The place of the last existing key of `path`, from the top of an inventory's `text`.
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

/// Lists of arguments with `name` and `value`; before kubeadm.k8s.io/v1beta4 they were mappings.
const ARGUMENTS: [&str; 2] = ["extraArgs", "kubeletExtraArgs"];

/// Merges `fragment` into `base`: mappings are merged, and so are arguments, by name; everything else is replaced; `null` removes.
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
                // An argument may occur several times: those of the fragment replace all of hostler's with that name.
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

/// `value` as YAML for programs in Go, whose parser (sigs.k8s.io/yaml, from go-yaml 2) still reads `yes` as true and `1_000` as a number.
/// Such texts are quoted; by the rules of YAML 1.2 the library would omit the quotes.
///
/// # Errors
/// None known: everything that was read can be written.
pub fn to_yaml(value: &Value) -> Result<String, serde_yaml::Error> {
    let plain = serde_yaml::to_string(value)?;
    // A text that contains the mark is not quoted.
    if plain.contains(MARK) {
        return Ok(plain);
    }
    Ok(serde_yaml::to_string(&marked(value))?.replace(MARK, "'"))
}

/// A placeholder for a quote while the library writes; for the library it is an ordinary letter. From Unicode's private use plane.
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

/// Settings in containerd's configuration that hostler depends on.
const CONTAINERD_OWN: &[(&str, &str)] = &[
    ("root", "hostler keeps images in /var/lib/containerd"),
    ("state", "hostler's unit creates /run/containerd"),
    ("imports", "hostler's own configuration imports these fragments"),
    ("grpc", "kubelet and hostler use /run/containerd/containerd.sock"),
];

pub fn containerd(inventory: &Fields, problems: &mut Problems) -> IndexMap<String, String> {
    let mut fragments = IndexMap::new();
    for (name, node) in inventory.named("containerd", problems) {
        let example = "containerd:\n  oom-score: |\n    version = 3\n    [plugins.'io.containerd.cri.v1.runtime']\n      restrict_oom_score_adj = true";
        let letters = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let why = if name.text.ends_with(".toml") {
            "omit `.toml`: hostler appends it".to_owned()
        } else if !name.text.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.text.chars().all(letters) || name.text.len() > 100 {
            format!("`{}` is not a valid file name: use letters, digits, `-`, `_` and `.`, with a letter or digit first", shown(name.text))
        } else {
            String::new()
        };
        if !why.is_empty() {
            problems.add(name.place, why, example);
        }
        let Data::Scalar(scalar) = &node.data else {
            let message =
                format!("`{}` must be a string with TOML (`|` begins a multi-line string), but this is {}", shown(name.text), node.what());
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
                problems.add(place, format!("this is not valid TOML: {}", error.message().replace('\n', ", ")), "");
            }
        }
    }
    fragments
}

/// The place of byte `offset` of a scalar's text in the file: its line for a text with `|`, whose indentation is not kept, else the whole
/// scalar.
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
            let message = format!(
                "`{}` is not the name of a check: kubeadm prints the name in brackets, as `Swap` in `[ERROR Swap]`",
                shown(text.text)
            );
            problems.add(text.place, message, "ignorePreflightErrors: [Swap]");
            continue;
        }
        if text.text.eq_ignore_ascii_case("all") {
            problems.warnings.push(
                "`ignorePreflightErrors: [all]` hides all of kubeadm's preflight errors: list individual checks \
                instead"
                    .to_owned(),
            );
        }
        checks.push(text.text.to_owned());
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_go_reads_differently_are_quoted() {
        let read: Value =
            serde_yaml::from_str("{a: yes, b: [On, n, 1_000, -.5_0, 0x1_F], off: {c: nothing, d: true, e: 12, f: 'true'}, g: a_1}")
                .unwrap();
        let written =
            "a: 'yes'\nb:\n- 'On'\n- 'n'\n- '1_000'\n- '-.5_0'\n- '0x1_F'\n'off':\n  c: nothing\n  d: true\n  e: 12\n  f: 'true'\ng: a_1\n";
        assert_eq!(to_yaml(&read).unwrap(), written);
        assert_eq!(serde_yaml::from_str::<Value>(written).unwrap(), read);
    }
}
