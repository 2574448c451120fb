//! Checks arguments and feature gates in the inventory's fragments with the programs that would get them. kubeadm passes them on as they are,
//! and a program that does not know one does not start: after an upgrade, that is an API server that is down.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::Result;
use hostler_core::inventory::KubeadmFragments;
use hostler_core::manifest::Component;
use serde_yaml::{Mapping, Value};

use crate::artifact::Bundle;
use crate::scratch::Folder;

/// Programs of a control plane, their keys in ClusterConfiguration, and the images they are in.
const PROGRAMS: [(&str, &str, Component); 3] = [
    ("kube-apiserver", "apiServer", Component::KubeApiserver),
    ("kube-controller-manager", "controllerManager", Component::KubeControllerManager),
    ("kube-scheduler", "scheduler", Component::KubeScheduler),
];

/// Documents with `featureGates` of their own. All of Kubernetes' programs know the same gates.
const GATES: [&str; 2] = ["KubeletConfiguration", "KubeProxyConfiguration"];

/// What a program said about arguments.
#[derive(Debug, PartialEq, Eq)]
pub struct Objection {
    /// Where the arguments are, below `kubeadm:`.
    pub place: Vec<&'static str>,
    pub program: &'static str,
    /// `unknown flag: --no-such-flag`
    pub said: String,
}

/// The first objection that the programs of `bundle` have to arguments and feature gates in `fragments`.
///
/// # Errors
/// The bundle does not have a program, or it does not run on this computer.
pub fn objection(bundle: &Bundle, fragments: &KubeadmFragments) -> Result<Option<Objection>> {
    for (program, key, component) in PROGRAMS {
        let mut asked = Vec::new();
        let own = arguments(&fragments.cluster, key);
        if !own.is_empty() {
            asked.push((vec!["ClusterConfiguration", key, "extraArgs"], own));
        }
        if component == Component::KubeApiserver {
            for (kind, document) in GATES.into_iter().zip([&fragments.kubelet, &fragments.kube_proxy]) {
                let gates = gates(document);
                if !gates.is_empty() {
                    asked.push((vec![kind, "featureGates"], vec![format!("--feature-gates={}", gates.join(","))]));
                }
            }
        }
        if asked.is_empty() {
            continue;
        }
        let cache = crate::home::cache()?;
        std::fs::create_dir_all(&cache)?;
        let folder = Folder::new(&cache)?;
        let path = folder.program(program, &bundle.program_in_image(component, &format!("usr/local/bin/{program}"))?)?;
        for (place, arguments) in asked {
            let mut command = Command::new(&path);
            // It reads its arguments and feature gates, prints its version, and starts nothing.
            command.arg0(program).args(arguments).arg("--version").stdin(Stdio::null());
            let output = command.output()?;
            if !output.status.success() {
                return Ok(Some(Objection { place, program, said: in_short(&String::from_utf8_lossy(&output.stderr)) }));
            }
        }
    }
    Ok(None)
}

/// `extraArgs` of one program, as it gets them.
fn arguments(cluster: &Mapping, key: &str) -> Vec<String> {
    let listed = cluster.get(key).and_then(|program| program.get("extraArgs")).and_then(Value::as_sequence);
    let argument = |entry: &Value| Some(format!("--{}={}", entry.get("name")?.as_str()?, entry.get("value")?.as_str()?));
    listed.into_iter().flatten().filter_map(argument).collect()
}

/// `featureGates` of a document, as a flag has them.
fn gates(document: &Mapping) -> Vec<String> {
    let gates = document.get("featureGates").and_then(Value::as_mapping);
    gates.into_iter().flatten().filter_map(|(name, value)| Some(format!("{}={}", name.as_str()?, value.as_bool()?))).collect()
}

/// The error among what a program printed, without the time, the place in its source and its usage.
fn in_short(output: &str) -> String {
    let quoted = |line: &str| Some(line.split_once("err=\"")?.1.trim_end().strip_suffix('"')?.replace("\\\"", "\""));
    let plain = |line: &str| line.strip_prefix("Error: ").map(str::to_owned);
    let error = output.lines().rev().find_map(|line| plain(line).or_else(|| quoted(line)));
    error.unwrap_or_else(|| output.trim().lines().last().unwrap_or("it ended without a word").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(text: &str) -> Mapping {
        serde_yaml::from_str(text).expect("it is a mapping")
    }

    #[test]
    fn arguments_and_gates_are_as_a_program_gets_them() {
        let cluster = mapping("apiServer: {extraArgs: [{name: v, value: '4'}, {name: feature-gates, value: 'A=true,B=false'}]}");
        assert_eq!(arguments(&cluster, "apiServer"), ["--v=4", "--feature-gates=A=true,B=false"]);
        assert_eq!(arguments(&cluster, "scheduler"), Vec::<String>::new());
        assert_eq!(gates(&mapping("featureGates: {A: true, B: false}")), ["A=true", "B=false"]);
        assert_eq!(gates(&Mapping::new()), Vec::<String>::new());
    }

    #[test]
    fn the_error_is_found_in_what_a_program_prints() {
        for (said, error) in [
            ("Usage:\n  --v level   x\n\nError: unknown flag: --no-such\n", "unknown flag: --no-such"),
            (
                "E1129 08:17:30.2 6384 run.go:72] \"command failed\" err=\"unrecognized feature gate: NoSuch\"\n",
                "unrecognized feature gate: NoSuch",
            ),
            ("E1129 1] \"command failed\" err=\"invalid value \\\"x\\\"\"\n", "invalid value \"x\""),
            ("exec format error", "exec format error"),
            ("", "it ended without a word"),
        ] {
            assert_eq!(in_short(said), error);
        }
    }
}
