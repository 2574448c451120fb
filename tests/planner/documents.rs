//! The documents that kubeadm gets from a plan, and what a node becomes of them.

use std::net::Ipv4Addr;

use hostler_core::digest::sha256;
use hostler_core::facts::{ClusterFacts, MemberFact, NodeFact, peer_url};
use hostler_core::inventory::Taint;
use serde_yaml::Value;

/// What kubeadm reads, read.
pub struct Documents(Vec<Value>);

impl Documents {
    pub fn read(config: &str) -> Documents {
        Documents(config.split("---\n").filter_map(|text| serde_yaml::from_str(text).ok()).collect())
    }

    pub fn of(&self, kind: &str) -> &Value {
        self.0.iter().find(|document| document.get("kind").and_then(Value::as_str) == Some(kind)).unwrap_or(&Value::Null)
    }

    pub fn text(&self, kind: &str) -> String {
        serde_yaml::to_string(self.of(kind)).expect("it was YAML")
    }

    pub fn control_plane(&self) -> bool {
        !self.of("InitConfiguration").is_null() || self.of("JoinConfiguration").get("controlPlane").is_some()
    }

    /// The name of the machine that begins or joins.
    pub fn node(&self) -> String {
        let name = |kind| text(self.of(kind), &["nodeRegistration", "name"]);
        name("InitConfiguration") + &name("JoinConfiguration")
    }

    pub fn endpoint(&self) -> String {
        let begins = text(self.of("ClusterConfiguration"), &["controlPlaneEndpoint"]);
        begins + &text(self.of("JoinConfiguration"), &["discovery", "bootstrapToken", "apiServerEndpoint"])
    }

    /// Of the cluster's DNS: the tenth address of its Services.
    pub fn dns_address(&self) -> String {
        let subnet = text(self.of("ClusterConfiguration"), &["networking", "serviceSubnet"]);
        let first: Ipv4Addr = subnet.split('/').next().and_then(|address| address.parse().ok()).expect("a subnet of IPv4");
        Ipv4Addr::from(u32::from(first) + 10).to_string()
    }

    pub fn verifies_kubelets(&self) -> bool {
        let arguments = self.of("ClusterConfiguration").get("apiServer").and_then(|server| server.get("extraArgs"));
        let mut names = arguments.and_then(Value::as_sequence).into_iter().flatten().map(|argument| text(argument, &["name"]));
        names.any(|name| name == "kubelet-certificate-authority")
    }

    /// A joining machine takes KubeletConfiguration from the cluster.
    pub fn tolerate_swap(&self) -> bool {
        let kubelet = self.of("KubeletConfiguration");
        kubelet.is_null() || kubelet.get("failSwapOn") == Some(&Value::Bool(false))
    }

    /// The node and, on a control plane, the member of etcd that a machine becomes.
    pub fn register(&self, cluster: &mut ClusterFacts, kind: &str, control_plane: bool) {
        let document = self.of(kind);
        let name = text(document, &["nodeRegistration", "name"]);
        let taints: Vec<Taint> = document
            .get("nodeRegistration")
            .and_then(|registration| registration.get("taints"))
            .and_then(|taints| serde_yaml::from_value(taints.clone()).ok())
            .unwrap_or_default();
        let arguments = document.get("nodeRegistration").and_then(|registration| registration.get("kubeletExtraArgs"));
        let address = arguments
            .and_then(Value::as_sequence)
            .and_then(|arguments| arguments.iter().find(|argument| text(argument, &["name"]) == "node-ip"))
            .map(|argument| text(argument, &["value"]))
            .unwrap_or_default();
        if control_plane {
            let member = MemberFact { name: name.clone(), peer: peer_url(&address), healthy: true, ..MemberFact::default() };
            cluster.members.retain(|_, known| known.peer != member.peer);
            cluster.members.insert(sha256(name.as_bytes())[..16].to_owned(), member);
        }
        let version = cluster.version.clone();
        // kubeadm marks what it makes a control plane.
        let mark = ("node-role.kubernetes.io/control-plane".to_owned(), String::new());
        let labels = control_plane.then_some(mark).into_iter().collect();
        cluster.nodes.insert(name, NodeFact { version, address, labels, taints, ..NodeFact::default() });
    }
}

/// The text at `path`; empty where there is none.
pub fn text(value: &Value, path: &[&str]) -> String {
    let found = path.iter().try_fold(value, |value, key| value.get(key));
    found.and_then(Value::as_str).unwrap_or_default().to_owned()
}
