//! THIN THREAD, to be replaced by the inventory branch.
use super::*;
use anyhow::Result;
use indexmap::IndexMap;
use serde::Deserialize;
use serde_yaml::{Mapping, Value};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    cluster: RawCluster,
    #[serde(default)]
    ssh: RawMachine,
    machines: IndexMap<String, RawMachine>,
    #[serde(default)]
    kubeadm: IndexMap<String, Mapping>,
    #[serde(default)]
    containerd: IndexMap<String, String>,
    #[serde(default)]
    ignore_preflight_errors: Vec<String>,
}
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawCluster {
    name: Option<String>,
    version: Option<String>,
}
#[derive(Deserialize, Default, Clone)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawMachine {
    address: Option<String>,
    role: Option<Role>,
    user: Option<String>,
    port: Option<u16>,
    identity: Option<PathBuf>,
    host_key: Option<String>,
    proxy_command: Option<String>,
    #[serde(default)]
    labels: IndexMap<String, String>,
}

pub fn load(path: &std::path::Path) -> Result<Inventory> {
    let raw: Raw = serde_yaml::from_str(&std::fs::read_to_string(path)?)?;
    let some_role = raw.machines.values().any(|machine| machine.role == Some(Role::ControlPlane));
    let name = raw.cluster.name.unwrap_or_else(|| "home".to_owned());
    let mut machines = IndexMap::new();
    for (i, (machine, m)) in raw.machines.into_iter().enumerate() {
        let role = m.role.unwrap_or(if !some_role && i == 0 { Role::ControlPlane } else { Role::Worker });
        machines.insert(
            MachineName::new(&machine).unwrap(),
            Machine {
                address: m.address.unwrap().parse()?,
                role,
                connection: Connection {
                    user: m.user.or(raw.ssh.user.clone()),
                    port: m.port,
                    identity: m.identity.or(raw.ssh.identity.clone()),
                    proxy_command: m.proxy_command.or(raw.ssh.proxy_command.clone()),
                    host_key: m.host_key,
                    ..Default::default()
                },
                mac: None,
                labels: m.labels,
                taints: vec![],
                keep: vec![],
                dedicated: false,
            },
        );
    }
    let take = |kind: &str| raw.kubeadm.get(kind).cloned().unwrap_or_default();
    Ok(Inventory {
        cluster: Cluster {
            endpoint: Endpoint::Name(format!("api.{name}.internal")),
            name,
            version: raw.cluster.version,
            pod_subnet: "10.244.0.0/16".parse()?,
            service_subnet: "10.96.0.0/12".parse()?,
            cni: Cni::Flannel,
        },
        machines,
        kubeadm: KubeadmFragments {
            cluster: take("ClusterConfiguration"),
            init: take("InitConfiguration"),
            join: take("JoinConfiguration"),
            kubelet: take("KubeletConfiguration"),
            kube_proxy: take("KubeProxyConfiguration"),
        },
        containerd: raw.containerd,
        ignore_preflight_errors: raw.ignore_preflight_errors,
        warnings: vec![],
    })
}

pub fn merge(base: Value, fragment: &Mapping) -> Value {
    let Value::Mapping(mut base) = base else { return Value::Mapping(fragment.clone()) };
    for (key, value) in fragment {
        match value {
            Value::Null => drop(base.remove(key)),
            Value::Mapping(inner) => {
                let old = base.remove(key).unwrap_or(Value::Mapping(Mapping::new()));
                base.insert(key.clone(), merge(old, inner));
            }
            other => drop(base.insert(key.clone(), other.clone())),
        }
    }
    Value::Mapping(base)
}
