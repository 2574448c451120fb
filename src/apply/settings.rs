//! Shows settings in the inventory's fragments to the programs that would get them. kubeadm passes them on as they are, and a program that
//! rejects one does not start: after an upgrade, that is an API server that is down.

use anyhow::Result;
use hostler_core::inventory::{Inventory, KubeadmFragments};
use hostler_core::plan::documents;
use serde_yaml::Value;

use super::validator::{API_SERVER, CONTROLLER_MANAGER, ETCD, KUBELET, PROXY, Program, SCHEDULER};
use crate::artifact::Bundle;
use crate::scratch::Folder;

/// Lists of arguments of ClusterConfiguration, and their programs.
const OF_CLUSTER: [(&Program, &[&str]); 4] = [
    (&API_SERVER, &["apiServer", "extraArgs"]),
    (&CONTROLLER_MANAGER, &["controllerManager", "extraArgs"]),
    (&SCHEDULER, &["scheduler", "extraArgs"]),
    (&ETCD, &["etcd", "local", "extraArgs"]),
];

/// Settings for one program, from one place in the inventory.
struct Trial {
    program: &'static Program,
    /// The fragment that is shown, and where it is below `kubeadm:`.
    fragment: Value,
    place: Vec<&'static str>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// The document that the program reads, with the inventory's fragment and without.
    document: Option<[String; 2]>,
}

/// What a program said about settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Objection {
    /// Where the setting is, below `kubeadm:`, as exactly as its program says.
    pub place: Vec<String>,
    pub program: &'static str,
    /// `unknown flag: --no-such-flag`
    pub said: String,
}

/// The first objection that the programs of `bundle` have to settings in the inventory's fragments. They are asked side by side: to unpack and
/// verify a program takes most of the time.
///
/// # Errors
/// The bundle does not have a program, or it does not run on this computer.
pub fn objection(bundle: &Bundle, inventory: &Inventory) -> Result<Option<Objection>> {
    let trials = trials(inventory)?;
    let of = |program: &Program| trials.iter().filter(|trial| trial.program.name == program.name).collect::<Vec<_>>();
    let asked = [&KUBELET, &API_SERVER, &CONTROLLER_MANAGER, &SCHEDULER, &ETCD, &PROXY].map(|program| (program, of(program)));
    std::thread::scope(|scope| {
        let asked = asked.into_iter().filter(|(_, trials)| !trials.is_empty());
        let answers: Vec<_> = asked.map(|(program, trials)| scope.spawn(move || tried(program, &trials, bundle))).collect();
        for answer in answers {
            let answer = answer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            if let Some(objection) = answer? {
                return Ok(Some(objection));
            }
        }
        Ok(None)
    })
}

/// The program's first objection.
fn tried(program: &Program, trials: &[&Trial], bundle: &Bundle) -> Result<Option<Objection>> {
    let cache = crate::home::cache()?;
    std::fs::create_dir_all(&cache)?;
    let folder = Folder::new(&cache)?;
    let path = program.unpack(bundle, &folder)?;
    for (number, trial) in trials.iter().enumerate() {
        let [merged, plain] = [0, 1].map(|which| -> Result<Option<String>> {
            let Some(text) = trial.document.as_ref().and_then(|documents| documents.get(which)) else { return Ok(None) };
            let file = folder.write(&format!("{number}-{which}.yaml"), 0o600, text.as_bytes())?;
            Ok(Some(format!("--config={}", file.display())))
        });
        let merged: Vec<String> = merged?.into_iter().chain(trial.arguments.iter().cloned()).collect();
        let said = program.objections(&path, &merged, &trial.environment)?;
        // Without the fragment it may have objections, too: to this computer.
        let usual = if said.is_empty() { Vec::new() } else { program.objections(&path, &Vec::from_iter(plain?), &[])? };
        let about: Vec<String> = said.into_iter().filter(|error| !usual.contains(error) && !is_about_this_computer(error)).collect();
        if !about.is_empty() {
            let said = about.join(", ");
            let place = trial.place.iter().map(|key| (*key).to_owned()).chain(named(&trial.fragment, &said)).collect();
            return Ok(Some(Objection { place, program: program.name, said }));
        }
    }
    Ok(None)
}

/// What is shown to which program.
fn trials(inventory: &Inventory) -> Result<Vec<Trial>> {
    let fragments = &inventory.kubeadm;
    let plain = Inventory { kubeadm: KubeadmFragments::default(), ..inventory.clone() };
    let kubelet = [documents::kubelet(inventory)?, documents::kubelet(&plain)?];
    let proxy = [documents::kube_proxy(inventory)?, documents::kube_proxy(&plain)?];
    let mut trials = Vec::new();
    for (program, kind, fragment, document) in [
        (&KUBELET, "KubeletConfiguration", &fragments.kubelet, &kubelet),
        (&PROXY, "KubeProxyConfiguration", &fragments.kube_proxy, &proxy),
    ] {
        if !fragment.is_empty() {
            let fragment = Value::Mapping(fragment.clone());
            let (arguments, environment) = (Vec::new(), Vec::new());
            trials.push(Trial { program, fragment, place: vec![kind], arguments, environment, document: Some(document.clone()) });
        }
    }
    let node: &[&str] = &["nodeRegistration", "kubeletExtraArgs"];
    let lists = OF_CLUSTER.map(|(program, keys)| (program, "ClusterConfiguration", &fragments.cluster, keys));
    let registrations = [(&KUBELET, "InitConfiguration", &fragments.init, node), (&KUBELET, "JoinConfiguration", &fragments.join, node)];
    for (program, kind, fragment, keys) in lists.into_iter().chain(registrations) {
        let place: Vec<&str> = [kind].into_iter().chain(keys.iter().copied()).collect();
        let mut below = keys.iter();
        let top = below.next().and_then(|key| fragment.get(*key));
        let Some(list) = top.and_then(|top| below.try_fold(top, |value, key| value.get(*key))) else { continue };
        let is_kubelet = program.name == KUBELET.name;
        let arguments = arguments(list, is_kubelet);
        if !arguments.is_empty() {
            let document = is_kubelet.then(|| [kubelet[1].clone(), kubelet[1].clone()]);
            trials.push(Trial { program, fragment: list.clone(), place, arguments, environment: Vec::new(), document });
        }
    }
    // etcd alone takes its settings from there, too.
    let etcd = fragments.cluster.get("etcd").and_then(|etcd| etcd.get("local"));
    if let Some(list) = etcd.and_then(|local| local.get("extraEnvs")) {
        let place = vec!["ClusterConfiguration", "etcd", "local", "extraEnvs"];
        let arguments = etcd.and_then(|local| local.get("extraArgs")).map_or_else(Vec::new, |list| arguments(list, false));
        let variable = |entry: &Value| Some((entry.get("name")?.as_str()?.to_owned(), entry.get("value")?.as_str()?.to_owned()));
        let environment: Vec<_> = list.as_sequence().into_iter().flatten().filter_map(variable).collect();
        trials.push(Trial { program: &ETCD, fragment: list.clone(), place, arguments, environment, document: None });
    }
    Ok(trials)
}

/// A list of arguments as its program gets them; those of kubelet are split at blanks.
fn arguments(list: &Value, split: bool) -> Vec<String> {
    let argument = |entry: &Value| Some(format!("--{}={}", entry.get("name")?.as_str()?, entry.get("value")?.as_str()?));
    let all = list.as_sequence().into_iter().flatten().filter_map(argument);
    if split {
        all.flat_map(|argument| argument.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
    } else {
        all.collect()
    }
}

/// Whether a program only lacks a file, or something of the kernel's, that the machines may have.
fn is_about_this_computer(error: &str) -> bool {
    ["no such file or directory", "not a directory", "permission denied", "cgroup v1"].iter().any(|reason| error.contains(reason))
}

/// The keys, from the fragment's top, that an error is about: the longest that it names.
fn named(fragment: &Value, error: &str) -> Vec<String> {
    let error = error.to_lowercase();
    let mut best: Vec<String> = Vec::new();
    let mut next: Vec<(Vec<String>, &Value)> = vec![(Vec::new(), fragment)];
    while let Some((keys, value)) = next.pop() {
        for (key, below) in value.as_mapping().into_iter().flatten() {
            let Some(name) = key.as_str() else { continue };
            let keys: Vec<String> = keys.iter().cloned().chain([name.to_owned()]).collect();
            if error.contains(&name.to_lowercase()) && best.last().is_none_or(|longest| longest.len() < name.len()) {
                best = keys.clone();
            }
            next.push((keys, below));
        }
    }
    if best.is_empty() { with_value(fragment, &error) } else { best }
}

/// The first key whose text an error names: TLS' versions and ciphers are told without their key.
fn with_value(fragment: &Value, error: &str) -> Vec<String> {
    let is_named = |value: &Value| value.as_str().is_some_and(|text| text.len() > 3 && error.contains(&text.to_lowercase()));
    let mut entries = fragment.as_mapping().into_iter().flatten();
    let found = entries.find(|(_, value)| is_named(value) || value.as_sequence().is_some_and(|texts| texts.iter().any(is_named)));
    found.and_then(|(key, _)| key.as_str()).map(str::to_owned).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(text: &str) -> Value {
        serde_yaml::from_str(text).expect("YAML")
    }

    #[test]
    fn arguments_are_as_a_program_gets_them() {
        let list = yaml("[{name: v, value: '4'}, {name: feature-gates, value: 'A=true --v=5'}]");
        assert_eq!(arguments(&list, false), ["--v=4", "--feature-gates=A=true --v=5"]);
        assert_eq!(arguments(&list, true), ["--v=4", "--feature-gates=A=true", "--v=5"]);
        assert_eq!(arguments(&yaml("{}"), true), Vec::<String>::new());
    }

    #[test]
    fn an_error_leads_to_the_key_that_it_names() {
        let fragment = yaml(
            "{mode: x, maxPods: -5, featureGates: {NoSuch: true}, logging: {format: xx}, tlsMinVersion: VersionTLS9,
            tlsCipherSuites: [TLS_NONE]}",
        );
        for (error, keys) in [
            ("invalid configuration: maxPods (--max-pods) -5 must not be a negative number", vec!["maxPods"]),
            ("unrecognized feature gate: NoSuch", vec!["featureGates", "NoSuch"]),
            ("logging.format: Invalid value: \"xx\"", vec!["logging"]),
            ("KubeProxyConfiguration.Mode.ProxyMode: Invalid value", vec!["mode"]),
            ("Unknown TLS version \"VersionTLS9\"", vec!["tlsMinVersion"]),
            ("Cipher suite TLS_NONE not supported", vec!["tlsCipherSuites"]),
            ("something else", vec![]),
        ] {
            assert_eq!(named(&fragment, error), keys, "{error}");
        }
    }
}
