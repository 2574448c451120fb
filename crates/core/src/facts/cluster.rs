//! Parses the answers of a control plane's API server and etcd to [`ClusterFacts`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::{AddOns, ClusterFacts, KubeletRequest, MemberFact, NodeFact, RequestedApi};
use crate::inventory::{Taint, is_node_name};
use crate::protocol::{annotation, configmap, namespaces};
use crate::record::Record;
use crate::version::three_numbers;
use crate::visible::last_output;

/// The flag of API servers with the authority that signs kubelets' serving certificates.
const KUBELET_AUTHORITY: &str = "kubelet-certificate-authority";

/// Raw answers: JSON, or an error message of kubectl or etcdctl.
#[derive(Default)]
pub(super) struct Answers<'a> {
    pub version: &'a str,
    pub nodes: &'a str,
    /// Of kube-system, and of flannel's namespace.
    pub system: &'a str,
    /// `None`: not asked for.
    pub flannel: Option<&'a str>,
    /// Of the workload's namespace; empty: not asked for.
    pub films: &'a str,
    /// Outside of namespaces.
    pub cluster: &'a str,
    /// Why pods were not created.
    pub events: &'a str,
    pub members: &'a str,
    pub health: &'a str,
    pub requested: BTreeSet<RequestedApi>,
    pub requests_unread: bool,
    /// Requests for serving certificates; empty: not asked for.
    pub kubelet_requests: &'a str,
}

impl Answers<'_> {
    /// The cluster, or why it is unknown. Members are empty if etcd did not answer. What later becomes a part of a plan or of a command that
    /// the user is shown has the form that Kubernetes and etcd give it, or the whole answer counts for none.
    /// `clock`: of the machine that gives the answers.
    pub fn facts(&self, clock: i64) -> Result<ClusterFacts, String> {
        let version: Version = read(self.version)?;
        let version = three_numbers(&version.git_version)
            .ok_or("the API server does not report a valid Kubernetes version, such as 1.36.3")?
            .to_owned();
        let nodes: List<Node> = listed(self.nodes, "the nodes")?;
        if nodes.items.iter().any(|node| !is_node_name(&node.metadata.name)) {
            return Err("the API server lists a node whose name is not valid".to_owned());
        }
        let system: List<Value> = listed(self.system, &objects_in(namespaces::SYSTEM))?;
        let flannel: Option<List<Value>> = self.flannel.map(|answer| listed(answer, &objects_in(namespaces::FLANNEL))).transpose()?;
        let flannel = flannel.unwrap_or_default();
        let films: Option<List<Value>> = read(self.films).ok();
        let has_films = films.is_some();
        let inside = system.objects().into_iter().chain(flannel.items).chain(films.unwrap_or_default().items);
        let cluster: Option<List<Value>> = read(self.cluster).ok();
        let is_whole = cluster.is_some();
        let outside = cluster.into_iter().flat_map(|list| list.items);
        let mut add_ons = AddOns::of(inside.chain(outside).collect());
        (add_ons.is_whole, add_ons.has_films) = (is_whole, has_films);
        add_ons.explain(read::<List<Value>>(self.events).unwrap_or_default().items);
        let data = |name: &str| add_ons.get("ConfigMap", namespaces::SYSTEM, name).and_then(|map| map.content.as_object());
        let configuration: ClusterConfiguration = data(configmap::KUBEADM)
            .and_then(|data| data.get("ClusterConfiguration")?.as_str())
            .and_then(|text| serde_yaml::from_str(text).ok())
            .unwrap_or_default();
        let recorded = data(configmap::RECORD).into_iter().flatten();
        let record = recorded.filter_map(|(name, value)| Some((Record::parse(name)?, value.as_str()?.to_owned()))).collect();
        Ok(ClusterFacts {
            version,
            stored_version: three_numbers(&configuration.kubernetes_version).unwrap_or_default().to_owned(),
            nodes: nodes.items.into_iter().map(|node| (node.metadata.name.clone(), node.fact(clock))).collect(),
            members: self.members()?,
            record,
            add_ons,
            requested: self.requested.clone(),
            requests_unread: self.requests_unread,
            kubelet_requests: read::<List<Value>>(self.kubelet_requests)
                .map_or_else(|_| Vec::new(), |list| list.items.iter().filter_map(KubeletRequest::parse).collect()),
            verifies_kubelets: verifies_kubelets(&configuration.api_server),
            pod_subnet: configuration.networking.pod_subnet,
            service_subnet: configuration.networking.service_subnet,
            endpoint: configuration.control_plane_endpoint,
            cluster_name: configuration.cluster_name,
        })
    }

    /// Whether any of the answers is that of an API server which does not allow it.
    pub fn denied(&self) -> bool {
        [self.nodes, self.system, self.flannel.unwrap_or_default(), self.films, self.cluster]
            .iter()
            .any(|answer| answer.contains("Error from server (Forbidden)"))
    }

    fn members(&self) -> Result<BTreeMap<String, MemberFact>, String> {
        let Ok(list) = read::<Members>(self.members) else {
            return Ok(BTreeMap::new());
        };
        // One that never started has no name.
        let is_valid =
            |member: &Member| (member.name.is_empty() || is_node_name(&member.name)) && member.peer_urls.iter().all(|url| is_peer(url));
        if !list.members.iter().all(is_valid) {
            return Err("etcd lists a member whose name or peer URL is not valid".to_owned());
        }
        let health: Vec<Health> = read(self.health).unwrap_or_default();
        let answer = |member: &Member| health.iter().find(|answer| member.client_urls.contains(&answer.endpoint));
        let members = list
            .members
            .into_iter()
            .map(|member| {
                // A learner answers only that it does not serve reads.
                let well = |answer: &Health| answer.health || (member.is_learner && answer.error.contains("not supported for learner"));
                let answer = answer(&member);
                let healthy = answer.is_some_and(well);
                let error = answer.filter(|_| !healthy).map(|answer| answer.error.trim().to_owned()).unwrap_or_default();
                let peer = member.peer_urls.into_iter().next().unwrap_or_default();
                (format!("{:x}", member.id), MemberFact { name: member.name, learner: member.is_learner, peer, healthy, error })
            })
            .collect();
        Ok(members)
    }
}

/// The peer URL of an etcd member at `address`.
pub fn peer_url(address: &str) -> String {
    match address.contains(':') {
        true => format!("https://[{address}]:2380"),
        false => format!("https://{address}:2380"),
    }
}

/// The address in an etcd member's peer URL, if it has one.
pub fn peer_address(url: &str) -> Option<IpAddr> {
    let (host, _) = url.strip_prefix("https://")?.rsplit_once(':')?;
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}

/// `https://ADDRESS:PORT`, or with a name for the address.
fn is_peer(url: &str) -> bool {
    let Some((host, port)) = url.strip_prefix("https://").and_then(|authority| authority.rsplit_once(':')) else { return false };
    port.parse::<u16>().is_ok() && (peer_address(url).is_some() || is_node_name(host))
}

fn objects_in(namespace: &str) -> String {
    format!("the objects in {namespace}")
}

/// A list of an API server that answers: `what` it is missing, in what hostler says of it.
fn listed<T: DeserializeOwned>(answer: &str, what: &str) -> Result<List<T>, String> {
    read(answer).map_err(|said| format!("no list of {what}: {said}"))
}

/// Parses the JSON in `answer`. It may be surrounded by warnings, which may be JSON themselves, as etcdctl's log. Without JSON, the answer is
/// an error message.
fn read<T: DeserializeOwned>(answer: &str) -> Result<T, String> {
    let mut rest = answer;
    while let Some(start) = rest.find(['{', '[']) {
        rest = &rest[start..];
        if let Some(Ok(value)) = serde_json::Deserializer::from_str(rest).into_iter().next() {
            return Ok(value);
        }
        let mut other = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        rest = match other.next() {
            Some(Ok(_)) => &rest[other.byte_offset()..],
            Some(Err(error)) if !error.is_eof() => &rest[1..],
            // It is truncated.
            _ => break,
        };
    }
    if answer.trim().is_empty() { Err("no answer".to_owned()) } else { Err(last_output(answer)) }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    git_version: String,
}

#[derive(Deserialize)]
struct List<T> {
    /// Of the list: `ConfigMapList`.
    #[serde(default)]
    kind: String,
    items: Vec<T>,
}

impl<T> Default for List<T> {
    fn default() -> List<T> {
        List { kind: String::new(), items: Vec::new() }
    }
}

impl List<Value> {
    /// Its items with their kind, which an API server leaves out, unlike kubectl.
    fn objects(mut self) -> Vec<Value> {
        if let Some(kind) = self.kind.strip_suffix("List").filter(|kind| !kind.is_empty()) {
            for item in self.items.iter_mut().filter_map(Value::as_object_mut) {
                item.entry("kind").or_insert_with(|| kind.into());
            }
        }
        self.items
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    creation_timestamp: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Node {
    metadata: Metadata,
    #[serde(default)]
    spec: NodeSpec,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct NodeSpec {
    #[serde(default, rename = "podCIDR")]
    pod_cidr: String,
    #[serde(default)]
    taints: Vec<Taint>,
    #[serde(default)]
    unschedulable: bool,
}

/// Conditions of a node that are wrong where they are true: pods are evicted, or do not start.
const PRESSURES: [&str; 4] = ["DiskPressure", "MemoryPressure", "PIDPressure", "NetworkUnavailable"];

/// flannel's annotation of a node with its end of the tunnel.
const BACKEND: &str = "flannel.alpha.coreos.com/backend-data";

#[derive(Deserialize)]
struct Backend {
    #[serde(rename = "VtepMAC")]
    vtep_mac: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct NodeStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
    #[serde(default)]
    addresses: Vec<Address>,
    #[serde(default)]
    node_info: NodeInfo,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Address {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

impl Address {
    fn internal(self) -> Option<IpAddr> {
        self.address.parse().ok().filter(|_| self.kind == "InternalIP")
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct NodeInfo {
    #[serde(default)]
    kubelet_version: String,
    #[serde(default, rename = "bootID")]
    boot: String,
}

impl Node {
    fn fact(self, clock: i64) -> NodeFact {
        let is_pressure = |condition: &&Condition| condition.status == "True" && PRESSURES.contains(&condition.kind.as_str());
        let pressures = self.status.conditions.iter().filter(is_pressure);
        let pressures = pressures.map(|condition| (condition.kind.clone(), condition.message.clone())).collect();
        let condition = self.status.conditions.into_iter().find(|condition| condition.kind == "Ready");
        let ready = condition.as_ref().is_some_and(|condition| condition.status == "True");
        let message = match condition {
            Some(condition) if !ready => condition.message,
            Some(_) => String::new(),
            None => "kubelet has not reported yet".to_owned(),
        };
        let backend = self.metadata.annotations.get(BACKEND).and_then(|text| serde_json::from_str::<Backend>(text).ok());
        let registered = self.metadata.creation_timestamp.as_ref().and_then(|time| time.parse::<Timestamp>().ok());
        NodeFact {
            ready,
            age: registered.map(|time| clock.saturating_sub(time.as_second())),
            message,
            version: three_numbers(&self.status.node_info.kubelet_version).unwrap_or_default().to_owned(),
            address: self.status.addresses.into_iter().find_map(Address::internal).map_or_else(String::new, |address| address.to_string()),
            labels: self.metadata.labels,
            taints: self.spec.taints,
            unschedulable: self.spec.unschedulable,
            pressures,
            cordoned_by_hostler: self.metadata.annotations.contains_key(annotation::CORDONED),
            pod_cidr: self.spec.pod_cidr,
            vtep_mac: backend.map(|backend| backend.vtep_mac.to_lowercase()).unwrap_or_default(),
            boot: self.status.node_info.boot,
        }
    }
}

/// The part of kubeadm's ClusterConfiguration that only an upgrade changes, or nothing.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ClusterConfiguration {
    kubernetes_version: String,
    cluster_name: String,
    control_plane_endpoint: String,
    networking: Networking,
    api_server: serde_yaml::Value,
}

/// Whether these settings of API servers name an authority for kubelets' certificates.
fn verifies_kubelets(api_server: &serde_yaml::Value) -> bool {
    let arguments = api_server.get("extraArgs").and_then(serde_yaml::Value::as_sequence);
    arguments.into_iter().flatten().any(|argument| argument.get("name").and_then(serde_yaml::Value::as_str) == Some(KUBELET_AUTHORITY))
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Networking {
    pod_subnet: String,
    service_subnet: String,
}

#[derive(Deserialize)]
struct Members {
    members: Vec<Member>,
}

/// A member that never started has neither name nor client URLs.
#[derive(Deserialize)]
struct Member {
    #[serde(rename = "ID")]
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(rename = "peerURLs", default)]
    peer_urls: Vec<String>,
    #[serde(rename = "clientURLs", default)]
    client_urls: Vec<String>,
    #[serde(rename = "isLearner", default)]
    is_learner: bool,
}

#[derive(Deserialize)]
struct Health {
    endpoint: String,
    health: bool,
    #[serde(default)]
    error: String,
}
