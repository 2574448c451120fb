//! kubeadm's documents: hostler's own from `templates/kubeadm`, with the inventory's fragments merged over them.

use std::net::IpAddr;

use anyhow::{Context, Result};
use serde_json::json;
use serde_yaml::{Mapping, Value};

use super::wanted;
use crate::document::Document;
use crate::inventory::{Endpoint, Inventory, Machine, MachineName, Role, is_host, merge, to_yaml};
use crate::protocol::placeholder;
use crate::template;

/// `HOST:PORT` of the API server as every machine uses it.
pub fn endpoint(inventory: &Inventory) -> String {
    inventory.cluster.authority()
}

/// The API servers that documents are for.
#[derive(Debug, Clone, Copy)]
pub struct ApiServers<'a> {
    pub version: &'a str,
    /// Whether they verify the certificates that kubelets present.
    pub verify_kubelets: bool,
}

impl<'a> ApiServers<'a> {
    /// Those of a new cluster, which do so from the beginning.
    pub fn of_new(version: &'a str) -> ApiServers<'a> {
        ApiServers { version, verify_kubelets: true }
    }
}

/// # Errors
/// A template that can't be filled in or read back, which is a defect.
pub fn cluster(inventory: &Inventory, servers: ApiServers) -> Result<String> {
    let cluster = &inventory.cluster;
    let mut names = vec![cluster.endpoint.host().to_owned()];
    if let Endpoint::Vip { address, .. } = &cluster.endpoint {
        names.push(address.to_string());
    }
    let context = json!({
        "name": cluster.name, "version": servers.version, "endpoint": endpoint(inventory), "names": names,
        "pod_subnet": cluster.pod_subnet.to_string(), "service_subnet": cluster.service_subnet.to_string(),
        "verifies_kubelets": servers.verify_kubelets,
    });
    let mut document = value("kubeadm/cluster.yaml", context, &inventory.kubeadm.cluster)?;
    // Names of the inventory's are beside hostler's own, by which machines and kubeconfigs reach the API server.
    if let Value::Mapping(document) = &mut document
        && let Value::Mapping(server) = document.entry("apiServer".into()).or_insert_with(|| Mapping::new().into())
        && let Value::Sequence(listed) = server.entry("certSANs".into()).or_insert_with(|| Vec::<Value>::new().into())
    {
        let lacks: Vec<Value> = names.iter().cloned().map(Value::from).filter(|name| !listed.contains(name)).collect();
        listed.extend(lacks);
    }
    Ok(to_yaml(&document)?)
}

/// # Errors
/// As [`cluster`].
pub fn kubelet(inventory: &Inventory) -> Result<String> {
    // kubelet does not start with both.
    let by_priority = inventory.kubeadm.kubelet.contains_key(wanted::BY_PRIORITY);
    merged("kubeadm/kubelet.yaml", json!({ "by_priority": by_priority }), &inventory.kubeadm.kubelet)
}

/// # Errors
/// As [`cluster`].
pub fn kube_proxy(inventory: &Inventory) -> Result<String> {
    let context = json!({ "pod_subnet": inventory.cluster.pod_subnet.to_string() });
    merged("kubeadm/kube-proxy.yaml", context, &inventory.kubeadm.kube_proxy)
}

/// One of the documents that the cluster keeps, alone.
///
/// # Errors
/// As [`cluster`].
pub fn stored(inventory: &Inventory, servers: ApiServers, document: Document) -> Result<String> {
    match document {
        Document::Cluster => cluster(inventory, servers),
        Document::Kubelet => kubelet(inventory),
        Document::KubeProxy => kube_proxy(inventory),
    }
}

/// The names and addresses that the certificate of the machine's API server must be valid for, as the inventory has it: kubeadm leaves out
/// what is neither.
///
/// # Errors
/// As [`cluster`].
pub fn api_names(inventory: &Inventory, version: &str, machine: &Machine) -> Result<Vec<String>> {
    let document: Value = serde_yaml::from_str(&cluster(inventory, ApiServers::of_new(version))?)?;
    let listed = document.get("apiServer").and_then(|server| server.get("certSANs")).and_then(Value::as_sequence);
    let listed = listed.into_iter().flatten().filter_map(Value::as_str);
    let own = [machine.address.to_string(), inventory.cluster.endpoint.host().to_owned()];
    let plain = |name: &str| match name.parse::<IpAddr>() {
        Ok(address) => Some(address.to_string()),
        Err(_) => is_host(name.strip_prefix("*.").unwrap_or(name)).then(|| name.to_owned()),
    };
    let mut names: Vec<String> = Vec::new();
    for name in own.iter().map(String::as_str).chain(listed).filter_map(plain) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// What `kubeadm init` reads: four documents. [`placeholder::TOKEN`] stands where the token goes. A new cluster's API servers verify kubelets'
/// certificates from the beginning.
///
/// # Errors
/// As [`cluster`].
pub fn init(inventory: &Inventory, version: &str, name: &MachineName, machine: &Machine) -> Result<String> {
    four(inventory, ApiServers::of_new(version), name, machine, Some(placeholder::TOKEN))
}

/// What a phase of kubeadm on a control plane reads: the same without a token, as nobody joins by it.
///
/// # Errors
/// As [`cluster`].
pub fn control_plane(inventory: &Inventory, servers: ApiServers, name: &MachineName, machine: &Machine) -> Result<String> {
    four(inventory, servers, name, machine, None)
}

fn four(inventory: &Inventory, servers: ApiServers, name: &MachineName, machine: &Machine, token: Option<&str>) -> Result<String> {
    let mut context = registration(inventory, name, machine);
    context["token"] = json!(token);
    let init = merged("kubeadm/init.yaml", context, &inventory.kubeadm.init)?;
    Ok([init, cluster(inventory, servers)?, kubelet(inventory)?, kube_proxy(inventory)?].join("---\n"))
}

/// What `kubeadm join` reads. [`placeholder::TOKEN`] and [`placeholder::CA_HASH`] stand where token and hash go.
///
/// # Errors
/// As [`cluster`].
pub fn join(inventory: &Inventory, name: &MachineName, machine: &Machine) -> Result<String> {
    let mut context = registration(inventory, name, machine);
    context["token"] = json!(placeholder::TOKEN);
    context["ca_hash"] = json!(placeholder::CA_HASH);
    context["endpoint"] = json!(endpoint(inventory));
    context["control_plane"] = json!(machine.role == Role::ControlPlane);
    merged("kubeadm/join.yaml", context, &inventory.kubeadm.join)
}

/// What `kubeadm upgrade` reads.
///
/// # Errors
/// As [`cluster`].
pub fn upgrade(inventory: &Inventory, version: &str) -> Result<String> {
    let ignored: Vec<&str> = inventory.ignore_preflight_errors.iter().map(String::as_str).collect();
    template::render("kubeadm/upgrade.yaml", json!({ "version": version, "ignore_preflight_errors": ignored }))
}

fn registration(inventory: &Inventory, name: &MachineName, machine: &Machine) -> serde_json::Value {
    let ignored: Vec<&str> = inventory.ignore_preflight_errors.iter().map(String::as_str).collect();
    json!({
        "node": name, "address": machine.address.to_string(), "taints": wanted::taints(machine),
        "ignore_preflight_errors": ignored,
    })
}

fn merged(name: &str, context: serde_json::Value, fragment: &Mapping) -> Result<String> {
    Ok(to_yaml(&value(name, context, fragment)?)?)
}

fn value(name: &str, context: serde_json::Value, fragment: &Mapping) -> Result<Value> {
    let text = template::render(name, context)?;
    let base: Value = serde_yaml::from_str(&text).with_context(|| format!("templates/{name} is not valid YAML once filled in"))?;
    Ok(merge(base, fragment))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::parse;

    /// Whatever a fragment makes of the list, machines and kubeconfigs reach the API server by the names that they have.
    #[test]
    fn the_certificate_keeps_the_names_that_hostler_uses() {
        let of = |fragment: &str| {
            let text = format!(
                "cluster: {{endpoint: {{vip: 192.168.1.10}}}}\nmachines: {{a: {{address: 192.168.1.11, role: control-plane}}}}\n\
                 kubeadm: {{ClusterConfiguration: {fragment}}}\n"
            );
            let inventory = parse(&text, "it").unwrap_or_else(|problems| panic!("{problems}"));
            let document: Value =
                serde_yaml::from_str(&cluster(&inventory, ApiServers::of_new("1.36.3")).expect("templates fit")).expect("YAML");
            let listed: Vec<String> = serde_yaml::from_value(document["apiServer"]["certSANs"].clone()).expect("a list");
            (listed, api_names(&inventory, "1.36.3", &inventory.machines["a"]).expect("templates fit"))
        };
        let own = ["api.home.internal", "192.168.1.10"];
        for (fragment, more) in [
            ("{}", &[][..]),
            ("{apiServer: {certSANs: [api.example.org, 192.168.1.10]}}", &["api.example.org"]),
            ("{apiServer: {certSANs: null}}", &[]),
            ("{apiServer: null}", &[]),
            ("{apiServer: {timeoutForControlPlane: 4m0s}}", &[]),
            ("{apiServer: {certSANs: ['*.example.org', not a name]}}", &["*.example.org"]),
        ] {
            let (listed, names) = of(fragment);
            for name in own.iter().chain(more) {
                assert!(
                    listed.iter().any(|known| known == name) && names.iter().any(|known| known == name),
                    "{fragment}: {listed:?} {names:?}"
                );
            }
            assert!(names.iter().any(|name| name == "192.168.1.11") && !names.iter().any(|name| name == "not a name"), "{names:?}");
        }
    }
}
