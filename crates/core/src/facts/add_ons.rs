//! What a cluster needs to be one, as its API server has it: the pod network, kube-proxy, CoreDNS; and pods of the system that fail.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::inventory::is_node_name;
use crate::visible::shortened;

/// A container that waits for one of these has only just begun.
const BEGINS: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// Why a pod fails that is just not ready.
pub const NOT_READY: &str = "NotReady";

/// Objects of kube-system, of flannel's namespace, and of the workload's where that is asked for.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddOns {
    /// DaemonSets, Deployments, Services, ConfigMaps, ServiceAccounts and roles with their bindings, by `KIND/NAMESPACE/NAME`.
    pub objects: BTreeMap<String, LiveObject>,
    /// Whether those outside of namespaces, which have no NAMESPACE, are among them: one that is missing then is not there.
    pub is_whole: bool,
    /// Whether those of the workload's namespace are among them.
    pub has_films: bool,
    /// Pods that are not as they should be, and have no Job to begin them anew.
    pub failing: Vec<PodFact>,
    /// Namespaces that are being deleted, and what keeps them; empty where that is not known. Nothing can be created in them.
    pub ending: BTreeMap<String, String>,
    /// Keys of objects that have fewer pods than they should, whether or not those are ready.
    #[serde(skip)]
    lacking: BTreeSet<String>,
}

/// An object as it is, without what the API server keeps about it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveObject {
    /// As [`content_of`].
    pub content: Value,
    /// Pods that it should have, and that are ready; 0 for what has none.
    pub desired: u64,
    pub ready: u64,
    /// These numbers are of an earlier form of it, or of none: whatever counts pods has not seen the present one yet.
    pub unobserved: bool,
    /// Why some of its pods are not created, in the words of what forbids them; empty where all exist, or nothing is known.
    pub forbidden: String,
}

/// Characters of what forbids pods, or keeps a namespace: Kubernetes limits the first to 1024 bytes, and the second not at all.
const MOST_WORDS: usize = 400;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodFact {
    pub namespace: String,
    pub name: String,
    /// Empty: it has not been scheduled.
    pub node: String,
    /// Kubernetes' word: `CrashLoopBackOff`, `ImagePullBackOff`, `Unschedulable`; `NotReady` where it gives none.
    pub reason: String,
    /// What its container said last, or why it can't begin; may be empty.
    pub message: String,
    /// When it became so, in seconds since the epoch; `None`: unknown.
    pub since: Option<i64>,
}

/// How an object is called in [`AddOns::objects`].
pub fn object_key(kind: &str, namespace: &str, name: &str) -> String {
    format!("{}/{namespace}/{name}", kind.to_lowercase())
}

/// What an object says, without what it is called and how it is: `spec`, a ConfigMap's `data`, what a role allows and to whom. A
/// ServiceAccount says nothing.
pub fn content_of(object: &Value) -> Value {
    let part = |name: &str| object.get(name).filter(|part| !part.is_null()).cloned();
    part("data").or_else(|| part("spec")).unwrap_or_else(|| {
        let parts = ["rules", "roleRef", "subjects"].into_iter().filter_map(|name| Some((name.to_owned(), part(name)?)));
        Value::Object(parts.collect())
    })
}

impl AddOns {
    /// From the items of kubectl's lists. What is no such object is left out.
    pub(super) fn of(items: Vec<Value>) -> AddOns {
        let mut add_ons = AddOns::default();
        for item in items {
            let content = content_of(&item);
            let Ok(object) = serde_json::from_value::<Object>(item) else { continue };
            let Metadata { namespace, name, .. } = &object.metadata;
            match object.kind.as_str() {
                // A name that no pod can have is no pod's: it would become a part of a command that the user is shown.
                "Pod" if is_node_name(name) && is_node_name(namespace) => add_ons.failing.extend(object.failing()),
                "Pod" => {}
                "Namespace" => add_ons.ending.extend(object.ending().map(|why| (name.clone(), why))),
                kind => {
                    let key = object_key(kind, namespace, name);
                    let status = |field: &str| object.status.get(field).and_then(Value::as_u64).unwrap_or_default();
                    let replicas = object.spec.get("replicas").and_then(Value::as_u64);
                    let live = LiveObject {
                        desired: replicas.unwrap_or_else(|| status("desiredNumberScheduled")),
                        ready: status("readyReplicas").max(status("numberReady")),
                        unobserved: status("observedGeneration") < object.metadata.generation,
                        content,
                        forbidden: String::new(),
                    };
                    if status("replicas").max(status("currentNumberScheduled")) < live.desired {
                        add_ons.lacking.insert(key.clone());
                    }
                    add_ons.objects.insert(key, live);
                }
            }
        }
        add_ons
    }

    /// What `events`, of pods that were not created, say about objects that lack some: the newest word about each.
    pub(super) fn explain(&mut self, events: Vec<Value>) {
        let mut newest: BTreeMap<String, (String, String)> = BTreeMap::new();
        for event in events.into_iter().filter_map(|event| serde_json::from_value::<Event>(event).ok()) {
            let Event { involved_object: about, message, last_timestamp, event_time } = event;
            // The name of a Deployment's ReplicaSet is longer than its own.
            let (kind, name) = match about.kind.as_str() {
                "ReplicaSet" => ("Deployment", about.name.rsplit_once('-').map_or(about.name.as_str(), |(name, _)| name)),
                kind => (kind, about.name.as_str()),
            };
            let key = object_key(kind, &about.namespace, name);
            let time = last_timestamp.or(event_time).unwrap_or_default();
            if self.lacking.contains(&key) && newest.get(&key).is_none_or(|(known, _)| *known <= time) {
                newest.insert(key, (time, message));
            }
        }
        for (key, (_, message)) in newest {
            // Kubernetes puts `(combined from similar events): ` before it where there are many.
            let message = message.split_once("Error creating: ").map_or(message.as_str(), |(_, message)| message).trim();
            self.objects.entry(key).and_modify(|live| live.forbidden = shortened(message, MOST_WORDS));
        }
    }

    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&LiveObject> {
        self.objects.get(&object_key(kind, namespace, name))
    }
}

/// Whether `live` has all that `wanted` says. What an API server adds, defaults above all, does not count; elements of lists are compared one
/// by one, as it adds none.
pub fn has(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| live.get(key).map_or(wanted.is_null(), |live| has(live, wanted)))
        }
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| has(live, wanted))
        }
        (Value::String(live), Value::String(wanted)) => live == wanted || same_duration(live, wanted),
        (live, wanted) => live == wanted,
    }
}

/// Kubernetes writes `60s` as `1m0s`.
fn same_duration(one: &str, other: &str) -> bool {
    let duration = |text: &str| text.parse::<SignedDuration>().ok();
    duration(one).is_some_and(|one| duration(other) == Some(one))
}

#[derive(Deserialize)]
struct Object {
    kind: String,
    metadata: Metadata,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
    /// Only what has a controller counts it: it is 0 elsewhere.
    #[serde(default)]
    generation: u64,
    #[serde(default)]
    owner_references: Vec<Owner>,
    #[serde(default)]
    deletion_timestamp: Option<String>,
}

#[derive(Deserialize)]
struct Owner {
    kind: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: String,
    reason: String,
    message: String,
    conditions: Vec<Condition>,
    init_container_statuses: Vec<ContainerStatus>,
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    last_transition_time: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ContainerStatus {
    state: States,
    last_state: States,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct States {
    waiting: Option<State>,
    terminated: Option<State>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct State {
    reason: String,
    message: String,
    exit_code: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    involved_object: Involved,
    #[serde(default)]
    message: String,
    #[serde(default)]
    last_timestamp: Option<String>,
    #[serde(default)]
    event_time: Option<String>,
}

#[derive(Deserialize)]
struct Involved {
    kind: String,
    name: String,
    #[serde(default)]
    namespace: String,
}

impl Object {
    /// What keeps a namespace that is being deleted.
    fn ending(&self) -> Option<String> {
        let status = PodStatus::deserialize(&self.status).ok().filter(|status| status.phase == "Terminating")?;
        let said = status.conditions.iter().filter(|condition| condition.status == "True").map(|condition| condition.message.trim());
        Some(shortened(&said.filter(|message| !message.is_empty()).collect::<Vec<_>>().join("; "), MOST_WORDS))
    }

    /// The pod, where it fails or is not ready.
    fn failing(&self) -> Option<PodFact> {
        let of_job = self.metadata.owner_references.iter().any(|owner| owner.kind == "Job");
        if of_job || self.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let status = PodStatus::deserialize(&self.status).ok()?;
        let condition = |kind: &str| status.conditions.iter().find(|condition| condition.kind == kind && condition.status != "True");
        let unready = condition("PodScheduled").or_else(|| condition("Ready"));
        let text = |name: &str| self.spec.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let fact = |reason: &str, message: &str| {
            let since = unready.and_then(|condition| condition.last_transition_time.as_ref()?.parse::<Timestamp>().ok());
            Some(PodFact {
                namespace: self.metadata.namespace.clone(),
                name: self.metadata.name.clone(),
                node: text("nodeName"),
                reason: reason.to_owned(),
                message: message.trim().to_owned(),
                since: since.map(Timestamp::as_second),
            })
        };
        let containers = || status.init_container_statuses.iter().chain(&status.container_statuses);
        let waits = containers().find_map(|container| {
            let waiting = container.state.waiting.as_ref().filter(|state| !BEGINS.contains(&state.reason.as_str()))?;
            Some((waiting, container.last_state.terminated.as_ref()))
        });
        match (&unready, waits) {
            (_, Some((waiting, last))) => {
                let said = last.map(|last| match (&last.message, last.exit_code) {
                    (message, _) if !message.trim().is_empty() => message.clone(),
                    (_, Some(code)) => format!("exit status {code}"),
                    _ => last.reason.clone(),
                });
                fact(&waiting.reason, &said.unwrap_or_else(|| waiting.message.clone()))
            }
            _ if status.phase == "Failed" => fact(if status.reason.is_empty() { "Failed" } else { &status.reason }, &status.message),
            (Some(condition), None) if status.phase != "Succeeded" => match condition.reason.as_str() {
                "ContainersNotReady" | "" => fact(NOT_READY, ""),
                reason => fact(reason, &condition.message),
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_api_server_adds_is_no_difference_and_what_it_lacks_is() {
        let wanted = json!({"template": {"containers": [{"name": "a", "args": ["x"]}]}});
        let live = json!({"template": {"containers": [{"name": "a", "args": ["x"], "imagePullPolicy": "IfNotPresent"}], "dnsPolicy": "x"}});
        assert!(has(&live, &wanted));
        assert!(has(&json!("1m0s"), &json!("60s")) && !has(&json!("1m0s"), &json!("61s")) && !has(&json!("a"), &json!("b")));
        for other in [
            json!({"template": {"containers": [{"name": "a", "args": ["y"]}]}}),
            json!({"template": {"containers": [{"name": "a", "args": ["x", "y"]}]}}),
            json!({"template": {"containers": []}}),
            json!({"template": {}}),
            json!({}),
            Value::Null,
        ] {
            assert!(!has(&other, &wanted), "{other}");
        }
    }

    fn pod(status: Value) -> Option<PodFact> {
        let item =
            json!({"kind": "Pod", "metadata": {"name": "p", "namespace": "kube-system"}, "spec": {"nodeName": "n"}, "status": status});
        AddOns::of(vec![item]).failing.pop()
    }

    /// The cause is told only of objects that lack pods, by the newest event, and shortened.
    #[test]
    fn why_pods_are_not_created_is_told_of_what_lacks_them() {
        let daemon_set = |name: &str, there: u64| {
            json!({"kind": "DaemonSet", "metadata": {"name": name, "namespace": "kube-flannel"}, "spec": {},
                   "status": {"desiredNumberScheduled": 3, "currentNumberScheduled": there, "numberReady": 0}})
        };
        let deployment = json!({"kind": "Deployment", "metadata": {"name": "coredns", "namespace": "kube-system"}, "spec": {"replicas": 2},
                                "status": {"replicas": 1, "readyReplicas": 1}});
        let event = |kind: &str, namespace: &str, name: &str, time: &str, message: &str| {
            json!({"involvedObject": {"kind": kind, "namespace": namespace, "name": name}, "lastTimestamp": time, "eventTime": null,
                   "message": format!("(combined from similar events): Error creating: {message}")})
        };
        let mut add_ons = AddOns::of(vec![daemon_set("ds", 1), daemon_set("whole", 3), deployment]);
        add_ons.explain(vec![
            event("DaemonSet", "kube-flannel", "ds", "2026-11-29T10:00:00Z", "pods \"ds-\" is forbidden: exceeded quota: q"),
            event("DaemonSet", "kube-flannel", "ds", "2026-11-29T09:00:00Z", "an older one"),
            event("DaemonSet", "kube-flannel", "whole", "2026-11-29T09:00:00Z", "not any more"),
            event("DaemonSet", "kube-flannel", "nobody", "2026-11-29T09:00:00Z", "x"),
            event("ReplicaSet", "kube-system", "coredns-76f75df574", "2026-11-29T09:00:00Z", &"long ".repeat(1000)),
            json!({"involvedObject": 1}),
        ]);
        let of = |kind: &str, namespace: &str, name: &str| add_ons.get(kind, namespace, name).expect("it is there").forbidden.clone();
        assert_eq!(of("DaemonSet", "kube-flannel", "ds"), "pods \"ds-\" is forbidden: exceeded quota: q");
        assert_eq!(of("DaemonSet", "kube-flannel", "whole"), "");
        let long = of("Deployment", "kube-system", "coredns");
        assert!(long.starts_with("long long") && long.chars().count() <= MOST_WORDS + 3, "{long}");
    }

    /// A DaemonSet that was just made, or changed, has numbers of nothing, or of what it was.
    #[test]
    fn numbers_of_an_earlier_form_are_known_as_such() {
        let unobserved = |generation: u64, status: Value| {
            let metadata = json!({"name": "ds", "namespace": "kube-flannel", "generation": generation});
            let add_ons = AddOns::of(vec![json!({"kind": "DaemonSet", "metadata": metadata, "spec": {}, "status": status})]);
            add_ons.get("DaemonSet", "kube-flannel", "ds").expect("it is there").unobserved
        };
        assert!(unobserved(1, json!({})));
        assert!(unobserved(3, json!({"observedGeneration": 2, "desiredNumberScheduled": 3})));
        assert!(!unobserved(3, json!({"observedGeneration": 3, "desiredNumberScheduled": 3})));
    }

    #[test]
    fn a_namespace_that_is_being_deleted_is_told_with_what_keeps_it() {
        let namespace = |phase: &str, conditions: Value| {
            let item = json!({"kind": "Namespace", "metadata": {"name": "kube-flannel"}, "spec": {"finalizers": ["kubernetes"]},
                              "status": {"phase": phase, "conditions": conditions}});
            AddOns::of(vec![item]).ending.remove("kube-flannel")
        };
        let remains = json!([
            {"type": "NamespaceDeletionContentFailure", "status": "False", "message": "All content successfully deleted"},
            {"type": "NamespaceContentRemaining", "status": "True", "message": "Some resources are remaining: configmaps. has 1 resource instances"},
            {"type": "NamespaceFinalizersRemaining", "status": "True", "message": "example.org/hold in 1 resource instances"},
        ]);
        assert_eq!(
            namespace("Terminating", remains).as_deref(),
            Some("Some resources are remaining: configmaps. has 1 resource instances; example.org/hold in 1 resource instances")
        );
        assert_eq!(namespace("Terminating", json!([])).as_deref(), Some(""));
        assert_eq!(namespace("Active", json!([])), None);
    }

    #[test]
    fn a_pod_fails_by_what_kubernetes_says_of_it() {
        let unready = |reason: &str, message: &str| {
            json!([{"type": "Ready", "status": "False", "reason": reason, "message": message,
                    "lastTransitionTime": "2026-11-28T09:00:00Z"}])
        };
        assert_eq!(pod(json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})), None);
        assert_eq!(pod(json!({"phase": "Succeeded", "conditions": unready("PodCompleted", "")})), None);
        let crashing = pod(json!({"phase": "Running", "conditions": unready("ContainersNotReady", ""), "containerStatuses": [
            {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 1, "message": "loop\n"}}}]}));
        let crashing = crashing.expect("it fails");
        assert_eq!(
            (crashing.reason.as_str(), crashing.message.as_str(), crashing.since),
            ("CrashLoopBackOff", "loop", Some(1_795_856_400))
        );
        let begins = pod(json!({"phase": "Pending", "conditions": unready("ContainersNotReady", ""), "containerStatuses": [
            {"state": {"waiting": {"reason": "ContainerCreating"}}}]}));
        assert_eq!(begins.expect("it is not ready").reason, "NotReady");
        let nowhere = pod(json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available"}]}));
        assert_eq!(nowhere.expect("it fails").reason, "Unschedulable");
        assert_eq!(pod(json!({"phase": "Failed", "reason": "Evicted"})).expect("it failed").reason, "Evicted");
    }
}
