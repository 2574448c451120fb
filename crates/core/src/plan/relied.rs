//! What hostler relies on in the documents of other programs, checked in the documents as they are once the inventory's fragments are merged
//! into them: a list of forbidden spellings would always lack one.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_yaml::Value;

use self::settings::{CLUSTER, ETCD, INIT, JOIN, KUBELET, NODE, PROXY, RELIED, flag};
use super::documents;
use crate::inventory::{Inventory, KubeadmFragments, Role};
use crate::visible::visible;

pub mod choices;
mod containerd;
mod files;
mod kubelet_flags;
mod least;
mod programs;
mod quantities;
pub mod reserves;
mod settings;

/// A setting that must stay as hostler renders it.
struct Relied {
    document: &'static str,
    at: At,
    may: May,
    why: &'static str,
    /// The key of the inventory for the same purpose, or another way; empty if there is none.
    instead: &'static str,
}

/// What a fragment may make of a setting.
enum May {
    /// Nothing may be written.
    Nothing,
    /// What the program takes where nothing is written, as YAML: the same thing, said aloud.
    Be(&'static str),
    /// A list with commas that has all of these and none of those.
    List { with: &'static [&'static str], without: &'static [&'static str] },
}

/// Where a setting stands.
enum At {
    /// Keys from the document's top.
    Path(&'static [&'static str]),
    /// A flag of a program, in the list of arguments below these keys; etcd takes it from its environment, too.
    Flag(&'static [&'static str], &'static str),
}

/// A setting of the inventory that would break what hostler relies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deviation {
    /// Keys from the inventory's top to the setting, or to the list that it is in.
    pub place: Vec<String>,
    /// `data-dir`, `nodeRegistration.name`, `SystemdCgroup`.
    pub setting: String,
    /// Whether only its value is wrong: another one may be set.
    pub value_only: bool,
    pub why: &'static str,
    /// What to use instead; empty if there is nothing.
    pub instead: &'static str,
}

impl Deviation {
    /// Of a setting below these keys of a document, of which only the value is wrong.
    fn of_value(document: &str, keys: &[&str], setting: String, why: &'static str) -> Deviation {
        let place = ["kubeadm", document].iter().chain(keys).map(|key| (*key).to_owned()).collect();
        Deviation { place, setting, value_only: true, why, instead: "" }
    }
}

/// All settings in the inventory's fragments that differ, once merged, from what hostler relies on.
///
/// # Errors
/// A template that can't be filled in, which is a defect.
pub fn deviations(inventory: &Inventory) -> Result<Vec<Deviation>> {
    let plain = Inventory { kubeadm: KubeadmFragments::default(), containerd: Default::default(), ..inventory.clone() };
    let (own, merged) = (documents_of(&plain)?, documents_of(inventory)?);
    let mut found = Vec::new();
    for relied in RELIED {
        compare(relied, &own, &merged, &mut found);
    }
    for document in [INIT, JOIN] {
        for (name, why, instead) in kubelet_flags::all() {
            compare(&flag(document, NODE, name, why, instead), &own, &merged, &mut found);
        }
    }
    for document in merged.get(CLUSTER).into_iter().flatten() {
        files::deviations(document, inventory, &mut found);
        least::lives(document, &mut found);
    }
    for (cluster, proxy) in merged.get(CLUSTER).into_iter().flatten().zip(merged.get(PROXY).into_iter().flatten()) {
        programs::deviations(cluster, proxy, inventory, &mut found);
    }
    containerd::deviations(inventory, &mut found);
    for (cluster, kubelet) in merged.get(CLUSTER).into_iter().flatten().zip(merged.get(KUBELET).into_iter().flatten()) {
        least::deviations(cluster, kubelet, &mut found);
    }
    for kind in [INIT, JOIN] {
        merged.get(kind).into_iter().flatten().for_each(|document| least::patience(kind, document, &mut found));
    }
    for document in merged.get(KUBELET).into_iter().flatten() {
        quantities::deviations(document, &mut found);
        choices::deviations(document, &mut found);
    }
    found.dedup();
    Ok(found)
}

/// What a user should know of settings that work, for the time when something is lost.
pub fn warnings(inventory: &Inventory) -> Vec<String> {
    let KubeadmFragments { cluster, .. } = &inventory.kubeadm;
    let keys = At::Flag(settings::API, "encryption-provider-config").last(&Value::Mapping(cluster.clone()));
    let warning = |file: String| {
        let file = visible(&file);
        format!(
            "no snapshot contains the keys in {file}: without them, a restored cluster can't read what they encrypted, so keep a copy of the file"
        )
    };
    keys.map(warning).into_iter().collect()
}

/// The documents by their kinds: for the first control plane and, where there is one, a worker.
fn documents_of(inventory: &Inventory) -> Result<BTreeMap<&'static str, Vec<Value>>> {
    // Any version: none of the settings depends on it.
    let version = inventory.cluster.version.as_deref().unwrap_or("0.0.0");
    let mut texts = vec![
        (CLUSTER, documents::cluster(inventory, documents::ApiServers::of_new(version))?),
        (KUBELET, documents::kubelet(inventory)?),
        (PROXY, documents::kube_proxy(inventory)?),
    ];
    let first = |role: Role| inventory.machines.iter().find(|(_, machine)| machine.role == role);
    if let Some((name, machine)) = first(Role::ControlPlane) {
        let all = documents::init(inventory, version, name, machine)?;
        texts.push((INIT, all.split("---\n").next().unwrap_or_default().to_owned()));
        texts.push((JOIN, documents::join(inventory, name, machine)?));
    }
    if let Some((name, machine)) = first(Role::Worker) {
        texts.push((JOIN, documents::join(inventory, name, machine)?));
    }
    let mut found: BTreeMap<&'static str, Vec<Value>> = BTreeMap::new();
    for (kind, text) in texts {
        found.entry(kind).or_default().push(serde_yaml::from_str(&text)?);
    }
    Ok(found)
}

fn compare(
    relied: &Relied,
    own: &BTreeMap<&'static str, Vec<Value>>,
    merged: &BTreeMap<&'static str, Vec<Value>>,
    found: &mut Vec<Deviation>,
) {
    let empty = Vec::new();
    let of = |documents: &BTreeMap<&'static str, Vec<Value>>| -> Vec<Vec<Value>> {
        documents.get(relied.document).unwrap_or(&empty).iter().map(|document| relied.at.values(document)).collect()
    };
    let same = |(own, merged): (&Vec<Value>, &Vec<Value>)| {
        own == merged || relied.may.be(merged, matches!(relied.at, At::Flag(..))) || merged.iter().all(are_addons) && !merged.is_empty()
    };
    if of(own).iter().zip(&of(merged)).all(same) {
        return;
    }
    let keys = match relied.at {
        At::Path(keys) | At::Flag(keys, _) => keys,
    };
    let place = ["kubeadm", relied.document].iter().chain(keys).map(|key| (*key).to_owned()).collect();
    let setting = match relied.at {
        At::Path(keys) => keys.join("."),
        At::Flag(_, name) => name.to_owned(),
    };
    found.push(Deviation { place, setting, value_only: false, why: relied.why, instead: relied.instead });
}

/// Whether the value is a list of phases that only add to a cluster that is up: someone may bring a DNS server of their own.
fn are_addons(value: &Value) -> bool {
    let phases = value.as_sequence().map(Vec::as_slice).unwrap_or_default();
    !phases.is_empty() && phases.iter().all(|phase| phase.as_str().is_some_and(|phase| phase.starts_with("addon/")))
}

impl May {
    /// Whether these values are what a fragment may say; those of a flag are text.
    fn be(&self, values: &[Value], is_flag: bool) -> bool {
        match self {
            May::Nothing => false,
            May::Be(default) if is_flag => values.iter().all(|value| value.as_str() == Some(*default)),
            May::Be(default) => matches!((values, serde_yaml::from_str::<Value>(default)), ([one], Ok(default)) if *one == default),
            May::List { with, without } => {
                let items: Vec<String> = values.iter().filter_map(Value::as_str).flat_map(|list| list.split(',')).map(item).collect();
                let has = |wanted: &&str| items.iter().any(|item| item == wanted);
                with.iter().all(has) && !without.iter().any(has)
            }
        }
    }
}

/// An item of a list; `apps/v1=f` is `apps/v1=false`, as Go's strconv.ParseBool has it.
fn item(text: &str) -> String {
    match text.trim().split_once('=') {
        Some((name, "0" | "f" | "F" | "FALSE" | "False")) => format!("{name}=false"),
        _ => text.trim().to_owned(),
    }
}

impl At {
    /// The value of a flag that counts: its last one.
    fn last(&self, document: &Value) -> Option<String> {
        self.values(document).last().and_then(Value::as_str).map(str::to_owned)
    }

    /// The effective values in a document, in their order; none if it is not set.
    fn values(&self, document: &Value) -> Vec<Value> {
        let at = |keys: &[&str]| keys.iter().try_fold(document, |value, key| value.get(*key));
        match self {
            At::Path(keys) => at(keys).filter(|value| !value.is_null()).cloned().into_iter().collect(),
            At::Flag(keys, name) => {
                let list = at(keys).and_then(Value::as_sequence).map(Vec::as_slice).unwrap_or_default();
                let arguments = list.iter().flat_map(flags).filter(|(flag, _)| flag == name).map(|(_, value)| Value::String(value));
                arguments.chain(environment(document, keys, name)).collect()
            }
        }
    }
}

/// What etcd takes for a flag from its environment: `ETCD_WAL_DIR`.
fn environment(document: &Value, keys: &[&str], name: &str) -> Vec<Value> {
    let [program @ .., _] = keys else { return Vec::new() };
    let variable = format!("ETCD_{}", name.replace('-', "_").to_uppercase());
    let listed = program.iter().try_fold(document, |value, key| value.get(*key)).filter(|_| keys == ETCD);
    let listed = listed.and_then(|program| program.get("extraEnvs")).and_then(Value::as_sequence).map(Vec::as_slice).unwrap_or_default();
    let of = |entry: &&Value| entry.get("name").and_then(Value::as_str) == Some(&variable);
    listed.iter().filter(of).map(|entry| entry.get("value").cloned().unwrap_or_default()).collect()
}

/// The flags that an argument becomes. Those of kubelet land in a file that is split at blanks, so one argument may hold several; and flags of
/// Kubernetes may be spelled with `_`.
fn flags(argument: &Value) -> Vec<(String, String)> {
    let text = |key: &str| argument.get(key).and_then(Value::as_str).unwrap_or_default();
    let whole = format!("{}={}", text("name"), text("value"));
    let flag = |word: &str| {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        (name.trim_matches(['-', '"', '\'']).replace('_', "-"), value.to_owned())
    };
    whole.split_whitespace().map(flag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::parse;

    const MACHINES: &str = "machines:\n  a: {address: 10.1.0.1, role: control-plane}\n  b: 10.1.0.2\n";

    fn inventory(more: &str) -> Inventory {
        parse(&format!("{MACHINES}{more}"), "inventory.yaml").unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// With this in the documents, past the reader, which knows some of it by name.
    fn with(document: &str, keys: &[&str], value: &str) -> Inventory {
        let mut inventory = inventory("");
        let mut value: Value = serde_yaml::from_str(value).expect("YAML");
        for key in keys.iter().rev() {
            value = Value::Mapping([(Value::from(*key), value)].into_iter().collect());
        }
        let Value::Mapping(fragment) = value else { panic!("no mapping") };
        let fragments = &mut inventory.kubeadm;
        *match document {
            CLUSTER => &mut fragments.cluster,
            INIT => &mut fragments.init,
            JOIN => &mut fragments.join,
            KUBELET => &mut fragments.kubelet,
            _ => &mut fragments.kube_proxy,
        } = fragment;
        inventory
    }

    fn settings(inventory: &Inventory) -> Vec<String> {
        deviations(inventory).expect("templates fit").into_iter().map(|found| found.setting).collect()
    }

    #[test]
    fn without_fragments_nothing_deviates() {
        assert_eq!(settings(&inventory("")), Vec::<String>::new());
    }

    /// Whatever is relied on, another value is found, however it comes into the document; what the program takes anyway is not.
    #[test]
    fn every_setting_is_found_with_another_value() {
        for relied in RELIED {
            let (wrong, right): (Vec<String>, Vec<String>) = match relied.may {
                May::Nothing => (vec!["other".to_owned()], vec![]),
                May::Be(default) => (vec!["other".to_owned()], vec![default.to_owned()]),
                May::List { with, without } => {
                    let lacks = with.iter().map(|item| with.iter().filter(|other| *other != item).copied().collect::<Vec<_>>().join(","));
                    let has = without.iter().map(|item| with.iter().chain([item]).copied().collect::<Vec<_>>().join(","));
                    (lacks.chain(has).collect(), vec![with.iter().chain(&["Other"]).copied().collect::<Vec<_>>().join(",")])
                }
            };
            match relied.at {
                At::Path(keys) => {
                    for value in wrong {
                        assert_eq!(settings(&with(relied.document, keys, &value)), [keys.join(".")], "{}", relied.document);
                    }
                    for value in right {
                        assert!(settings(&with(relied.document, keys, &value)).is_empty(), "{keys:?}");
                    }
                }
                At::Flag(keys, name) => {
                    let found = |spelled: &str, value: &str| {
                        settings(&with(relied.document, keys, &format!("[{{name: {spelled}, value: '{value}'}}]")))
                    };
                    for value in wrong {
                        for spelled in [name.to_owned(), name.replace('-', "_")] {
                            assert_eq!(found(&spelled, &value), [name], "{spelled}={value}");
                        }
                    }
                    for value in right {
                        assert!(found(name, &value).is_empty(), "{name}={value}");
                    }
                }
            }
        }
        let variable = "[{name: ETCD_WAL_DIR, value: /data}, {name: GOGC, value: '50'}]";
        assert_eq!(settings(&with(CLUSTER, &["etcd", "local", "extraEnvs"], variable)), ["wal-dir"]);
        assert_eq!(settings(&with(CLUSTER, &["apiServer", "extraEnvs"], variable)), Vec::<String>::new());
        for document in [INIT, JOIN] {
            for (name, _, _) in kubelet_flags::all() {
                let hidden = format!("[{{name: v, value: \"2 --{name}=other\"}}]");
                for arguments in [format!("[{{name: {name}, value: other}}]"), hidden] {
                    assert_eq!(settings(&with(document, NODE, &arguments)), [*name], "{document} {arguments}");
                }
            }
        }
    }

    #[test]
    fn keys_that_no_snapshot_has_are_told() {
        let keys = with(CLUSTER, settings::API, "[{name: encryption-provider-config, value: /etc/kube-apiserver/keys.yaml}]");
        assert!(warnings(&keys)[0].contains("/etc/kube-apiserver/keys.yaml"));
        assert!(warnings(&inventory("")).is_empty());
    }

    #[test]
    fn what_hostler_does_not_rely_on_is_the_users() {
        let free = "kubeadm:\n  ClusterConfiguration:\n    apiServer:\n      certSANs: [api.example.org]\n      extraArgs: [{name: v, value: \"4\"}]\n    etcd: {local: {extraArgs: [{name: quota-backend-bytes, value: \"8589934592\"}]}}\n  InitConfiguration: {skipPhases: [addon/coredns], nodeRegistration: {kubeletExtraArgs: [{name: v, value: \"2\"}]}}\n  JoinConfiguration: {nodeRegistration: {kubeletExtraArgs: [{name: v, value: \"2\"}]}}\n  KubeletConfiguration: {maxPods: 200, cgroupDriver: systemd, failSwapOn: false}\n  KubeProxyConfiguration: {mode: iptables}\n";
        assert_eq!(settings(&inventory(free)), Vec::<String>::new());
    }
}
