//! Encoders and publishers as Jobs of the cluster that the watcher runs in.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hostler_core::films::encoder::from_label;
use hostler_core::protocol::{films, label};
use k8s_openapi::api::batch::v1;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{
    Node, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodAffinityTerm, PreferredSchedulingTerm, Taint, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, MicroTime};
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, Config};

use super::jobs::{Listed, Machine, MachineState};
use super::machines::Place;
use super::reconcile::{Job, JobState, Task};
use super::split::Work;
use crate::user_file;

/// Ends of the names of taints with which Kubernetes itself marks a machine for a while.
const PASSING: [&str; 7] =
    ["unschedulable", "not-ready", "unreachable", "memory-pressure", "disk-pressure", "pid-pressure", "network-unavailable"];
/// The template of the encoder's Job.
const ENCODE: &str = "encode.yaml";
/// The label `transcode` of a pod that makes a film's sound.
const SOUND: &str = "sound";
const NAMESPACE: &str = hostler_core::protocol::namespaces::FILMS;
/// Label of the watcher's Jobs.
const OURS: &str = "app.kubernetes.io/part-of=transcode";
/// Annotation of a Job: the machines that it must never run on, separated by commas.
const NEVER: &str = "hostler/never-on";
/// Label of a pod: the name of its Job.
const JOB: &str = "batch.kubernetes.io/job-name";
/// Label of a node: its machine's name.
const MACHINE: &str = "kubernetes.io/hostname";
/// Field manager of server-side apply.
const MANAGER: &str = "hostler-transcode";
const LEASE: &str = "watcher";
/// A holder that has not renewed its lease for this long is gone.
const LEASE_SECONDS: u8 = 30;
const RENEW_EVERY: Duration = Duration::from_secs(8);
/// A holder that can't renew its lease stops this long before another may take over.
const STOPS_AFTER: Duration = Duration::from_secs(20);
/// Time after the API server marks a machine's state as unknown, which takes it another 40 s.
const UNHEARD: k8s_openapi::jiff::SignedDuration = k8s_openapi::jiff::SignedDuration::from_secs(20);
/// An API server that takes longer is unreachable.
const LIMIT: Duration = Duration::from_secs(10);

pub struct Cluster {
    jobs: Api<v1::Job>,
    pods: Api<Pod>,
    leases: Api<Lease>,
    nodes: Api<Node>,
    /// The folder with `encode.yaml` and `publish.yaml`.
    templates: PathBuf,
    who: String,
    renewed: Option<Instant>,
    /// The lease of another holder as last seen, and since when by this machine's clock: clocks of machines differ.
    seen: Option<(LeaseSpec, Instant)>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("who", &self.who).finish_non_exhaustive()
    }
}

impl Cluster {
    /// With the pod's service account; `who` is the identity of this watcher.
    ///
    /// # Errors
    /// There is no service account.
    pub async fn connect(templates: PathBuf, who: String) -> Result<Cluster> {
        let config = Config::incluster().context("there is no service account\nhint: pass `--here LIBRARY` to work without a cluster")?;
        let client = Client::try_from(config).context("the API client can't be created")?;
        let (jobs, pods) = (Api::namespaced(client.clone(), NAMESPACE), Api::namespaced(client.clone(), NAMESPACE));
        let leases = Api::namespaced(client.clone(), NAMESPACE);
        Ok(Cluster { jobs, pods, leases, nodes: Api::all(client), templates, who, renewed: None, seen: None })
    }

    /// Acquires or renews the lease. `false`: another watcher holds it.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn lead(&mut self) -> Result<bool> {
        if self.renewed.is_some_and(|renewed| renewed.elapsed() < RENEW_EVERY) {
            return Ok(true);
        }
        let asked = Instant::now();
        match self.try_to_lead().await {
            Ok(true) => self.renewed = Some(asked),
            Ok(false) => self.renewed = None,
            Err(error) => {
                // The lease is still valid for a while.
                if self.renewed.is_none_or(|renewed| renewed.elapsed() > STOPS_AFTER) {
                    return Err(error);
                }
            }
        }
        Ok(self.renewed.is_some())
    }

    async fn try_to_lead(&mut self) -> Result<bool> {
        let now = MicroTime(k8s_openapi::jiff::Timestamp::now());
        let mine = |before: Option<&LeaseSpec>| LeaseSpec {
            holder_identity: Some(self.who.clone()),
            lease_duration_seconds: Some(LEASE_SECONDS.into()),
            acquire_time: before
                .filter(|before| before.holder_identity.as_ref() == Some(&self.who))
                .map_or_else(|| Some(now.clone()), |before| before.acquire_time.clone()),
            renew_time: Some(now.clone()),
            ..LeaseSpec::default()
        };
        let Some(mut lease) = answer(self.leases.get_opt(LEASE)).await? else {
            let metadata = ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(mine(None)) };
            return won(answer(self.leases.create(&PostParams::default(), &lease)).await);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        if spec.holder_identity.as_ref() != Some(&self.who) {
            let since = match &self.seen {
                Some((seen, since)) if *seen == spec => *since,
                _ => Instant::now(),
            };
            self.seen = Some((spec.clone(), since));
            let free = spec.holder_identity.as_deref().unwrap_or_default().is_empty();
            if !free && since.elapsed() < Duration::from_secs(LEASE_SECONDS.into()) {
                return Ok(false);
            }
        }
        // With the resource version that was read: if two try, only one succeeds.
        lease.spec = Some(mine(Some(&spec)));
        won(answer(self.leases.replace(LEASE, &PostParams::default(), &lease)).await)
    }

    /// Releases the lease, so that the next watcher need not wait.
    pub async fn resign(&mut self) {
        if self.renewed.take().is_none() {
            return;
        }
        if let Ok(Some(mut lease)) = answer(self.leases.get_opt(LEASE)).await
            && let Some(spec) = &mut lease.spec
            && spec.holder_identity.as_ref() == Some(&self.who)
        {
            spec.holder_identity = None;
            let _ = answer(self.leases.replace(LEASE, &PostParams::default(), &lease)).await;
        }
    }

    /// All Jobs, where they ran, and where those must never run that may not run everywhere.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn list(&self) -> Result<Listed> {
        let listed = answer(self.jobs.list(&ListParams::default().labels(OURS))).await.context("the Jobs can't be listed")?;
        let (mut states, mut nevers) = (BTreeMap::new(), BTreeMap::new());
        for object in &listed.items {
            let Some(job) = object.metadata.name.as_deref().and_then(Job::parse) else { continue };
            if let Some(names) = object.metadata.annotations.as_ref().and_then(|annotations| annotations.get(NEVER)) {
                nevers.insert(job.clone(), names.split(',').map(str::to_owned).collect());
            }
            states.insert(job, state(object));
        }
        let pods = answer(self.pods.list(&ListParams::default().labels(OURS))).await.context("the pods can't be listed")?;
        Ok(Listed { states, nevers, hosts: hosts(&pods.items) })
    }

    /// The machines that encode: those that the template of the encoder's Job names, else all that take ordinary pods.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn machines(&self) -> Result<Vec<Machine>> {
        let listed = answer(self.nodes.list(&ListParams::default())).await.context("the nodes can't be listed")?;
        let template = user_file::text(&self.templates.join(ENCODE)).ok();
        let named = template.and_then(|text| serde_yaml::from_str(&text).ok()).map(|job| named(&job)).unwrap_or_default();
        let now = k8s_openapi::jiff::Timestamp::now();
        Ok(machines(&listed.items, &named, now))
    }

    /// Creates the Job, if it does not exist.
    ///
    /// # Errors
    /// Its template is missing or wrong, or the API server does not answer or refuses it.
    pub async fn begin(&self, job: &Job, place: &Place) -> Result<()> {
        let file = self.templates.join(match job.task {
            Task::Encode | Task::Original | Task::Part(_) => ENCODE,
            Task::Publish | Task::Rename => "publish.yaml",
        });
        let text = user_file::text(&file).with_context(|| format!("{} can't be read", file.display()))?;
        let wrong = || format!("{} is not a valid Job manifest", file.display());
        let object = object(&text, job, place).with_context(wrong)?;
        let apply = PatchParams::apply(MANAGER).force();
        answer(self.jobs.patch(&job.name(), &apply, &Patch::Apply(&object)))
            .await
            .with_context(|| format!("Job {} can't be created", job.name()))?;
        Ok(())
    }

    /// Deletes the Job and its pods.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn forget(&self, job: &Job) -> Result<()> {
        match answer(self.jobs.delete(&job.name(), &DeleteParams::background())).await {
            Err(error) if status_code(&error) == Some(404) => Ok(()),
            result => result.map(drop).with_context(|| format!("Job {} can't be deleted", job.name())),
        }
    }
}

/// The template as the Job of one film: with its name and `--id`, and with the film's own folders where the template mounts all of `claim` and
/// `work`.
fn object(template: &str, job: &Job, place: &Place) -> Result<v1::Job> {
    let mut object: v1::Job = serde_yaml::from_str(template)?;
    object.metadata.name = Some(job.name());
    confine(&mut object, place);
    let shares = match job.task {
        // Copying streams takes no cores, and sound few: it need not wait for a machine that encodes nothing.
        Task::Original => Some("original"),
        Task::Part(Work::Sound) => Some(SOUND),
        Task::Part(Work::Join) => Some("join"),
        Task::Encode | Task::Part(Work::Piece(_)) | Task::Publish | Task::Rename => None,
    };
    if let Some(label) = shares
        && let Some(template) = object.spec.as_mut().map(|spec| &mut spec.template)
    {
        template.metadata.get_or_insert_default().labels.get_or_insert_default().insert("transcode".to_owned(), label.to_owned());
        if let Some(affinity) = template.spec.as_mut().and_then(|pod| pod.affinity.as_mut()) {
            affinity.pod_anti_affinity = None;
        }
    }
    if let Task::Part(Work::Piece(number)) = job.task {
        beside_sound(&mut object, number == 1);
    }
    let containers = object.spec.as_mut().and_then(|spec| spec.template.spec.as_mut()).map(|pod| &mut pod.containers);
    let container = containers.and_then(|containers| containers.first_mut()).context("the Job has no container")?;
    let words = if container.args.is_some() { &mut container.args } else { &mut container.command };
    words.get_or_insert_default().extend(["--id".to_owned(), job.id.to_string()]);
    if let Task::Part(work) = job.task {
        words.get_or_insert_default().extend(["--part".to_owned(), work.to_string()]);
    }
    if job.task == Task::Rename {
        words.get_or_insert_default().push("--rename".to_owned());
    }
    for mount in container.volume_mounts.iter_mut().flatten() {
        if let Some(folder) = &mut mount.sub_path {
            *folder = format!("{folder}/{}", job.id);
            mount.mount_path = format!("{}/{}", mount.mount_path, job.id);
        }
    }
    Ok(object)
}

/// Where a piece had better run: the first one, which is smaller for it, on the machine that makes the sound, and the others elsewhere.
fn beside_sound(object: &mut v1::Job, first: bool) {
    let Some(pod) = object.spec.as_mut().and_then(|spec| spec.template.spec.as_mut()) else { return };
    let labels = BTreeMap::from([("transcode".to_owned(), SOUND.to_owned())]);
    let selector = LabelSelector { match_labels: Some(labels), ..LabelSelector::default() };
    let pod_affinity_term =
        PodAffinityTerm { label_selector: Some(selector), topology_key: MACHINE.to_owned(), ..PodAffinityTerm::default() };
    let preferred = Some(vec![WeightedPodAffinityTerm { weight: 50, pod_affinity_term }]);
    let affinity = pod.affinity.get_or_insert_default();
    match first {
        true => affinity.pod_affinity.get_or_insert_default().preferred_during_scheduling_ignored_during_execution = preferred,
        false => affinity.pod_anti_affinity.get_or_insert_default().preferred_during_scheduling_ignored_during_execution = preferred,
    }
}

/// Keeps a Job from machines that may not encode its film, and as far as others are free from slow ones.
fn confine(object: &mut v1::Job, Place { never, rather_not, hardware }: &Place) {
    let Some(pod) = object.spec.as_mut().and_then(|spec| spec.template.spec.as_mut()) else { return };
    if *hardware {
        pod.runtime_class_name = Some(films::RUNTIME.to_owned());
    }
    let other_than = |names: &BTreeSet<String>| NodeSelectorRequirement {
        key: MACHINE.to_owned(),
        operator: "NotIn".to_owned(),
        values: Some(names.iter().cloned().collect()),
    };
    if !never.is_empty() {
        let affinity = pod.affinity.get_or_insert_default().node_affinity.get_or_insert_default();
        let required = affinity.required_during_scheduling_ignored_during_execution.get_or_insert_default();
        if required.node_selector_terms.is_empty() {
            required.node_selector_terms.push(NodeSelectorTerm::default());
        }
        // Of several terms one has to hold.
        for term in &mut required.node_selector_terms {
            term.match_expressions.get_or_insert_default().push(other_than(never));
        }
        let names = never.iter().cloned().collect::<Vec<_>>().join(",");
        object.metadata.annotations.get_or_insert_default().insert(NEVER.to_owned(), names);
    }
    if !rather_not.is_empty() {
        let affinity = pod.affinity.get_or_insert_default().node_affinity.get_or_insert_default();
        let preference = NodeSelectorTerm { match_expressions: Some(vec![other_than(rather_not)]), ..NodeSelectorTerm::default() };
        let preferred = PreferredSchedulingTerm { weight: 100, preference };
        affinity.preferred_during_scheduling_ignored_during_execution.get_or_insert_default().push(preferred);
    }
}

async fn answer<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T> {
    match tokio::time::timeout(LIMIT, request).await {
        Ok(Err(error @ (kube::Error::Service(_) | kube::Error::HyperError(_)))) => {
            let mut cause: &dyn std::error::Error = &error;
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            bail!("the API server does not answer: {cause}")
        }
        Ok(result) => Ok(result?),
        Err(_) => bail!("the API server does not answer"),
    }
}

fn status_code(error: &anyhow::Error) -> Option<u16> {
    match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

/// A conflict means that another watcher was faster.
fn won<T>(result: Result<T>) -> Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if status_code(&error) == Some(409) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The machines that a Job may run on; empty: any.
fn named(job: &v1::Job) -> Vec<String> {
    let pod = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let affinity = pod.and_then(|pod| pod.affinity.as_ref()?.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    let terms = required.into_iter().flat_map(|required| &required.node_selector_terms);
    let expressions = terms.flat_map(|term| term.match_expressions.iter().flatten());
    expressions.flat_map(|expression| expression.values.iter().flatten().cloned()).collect()
}

fn machines(nodes: &[Node], named: &[String], now: k8s_openapi::jiff::Timestamp) -> Vec<Machine> {
    let mut machines = Vec::new();
    for node in nodes {
        let (Some(name), spec) = (&node.metadata.name, node.spec.clone().unwrap_or_default()) else { continue };
        let repels =
            |taint: &Taint| taint.effect != "PreferNoSchedule" && !PASSING.contains(&taint.key.rsplit('/').next().unwrap_or_default());
        let ordinary = !spec.taints.iter().flatten().any(repels);
        if !(named.contains(name) || named.is_empty() && ordinary) {
            continue;
        }
        let state = match (lost(node, now), spec.unschedulable) {
            (true, _) => MachineState::Lost,
            (false, Some(true)) => MachineState::Cordoned,
            _ => MachineState::Ready,
        };
        let labels = node.metadata.labels.as_ref();
        let working = labels.and_then(|labels| labels.get(label::ENCODERS)).map(|value| from_label(value)).unwrap_or_default();
        machines.push(Machine { working, ..Machine::new(name, state) });
    }
    machines.sort_by(|one, other| one.name.cmp(&other.name));
    machines
}

/// The machines that Jobs ran on, as the scheduler says, and no pod.
fn hosts(pods: &[Pod]) -> BTreeMap<Job, String> {
    let mut found: BTreeMap<Job, BTreeMap<bool, BTreeSet<&String>>> = BTreeMap::new();
    for pod in pods {
        let job = pod.metadata.labels.as_ref().and_then(|labels| Job::parse(labels.get(JOB)?));
        let Some((job, node)) = job.zip(pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref())) else { continue };
        let succeeded = pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Succeeded"));
        found.entry(job).or_default().entry(succeeded).or_default().insert(node);
    }
    let only = |nodes: &BTreeSet<&String>| nodes.first().filter(|_| nodes.len() == 1).map(|node| (*node).clone());
    found.into_iter().filter_map(|(job, nodes)| Some((job, only(nodes.get(&true).or(nodes.get(&false))?)?))).collect()
}

fn lost(node: &Node, now: k8s_openapi::jiff::Timestamp) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    // "False" is reported by the machine itself, e.g. while it starts.
    ready
        .filter(|ready| ready.status == "Unknown")
        .and_then(|ready| ready.last_transition_time.as_ref())
        .is_some_and(|since| now.duration_since(since.0) > UNHEARD)
}

fn state(job: &v1::Job) -> JobState {
    // While it is being deleted, its pods may still be running.
    if job.metadata.deletion_timestamp.is_some() {
        return JobState::Active;
    }
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let is = |kind: &str| conditions.iter().any(|condition| condition.type_ == kind && condition.status == "True");
    match (is("Complete"), is("Failed")) {
        (true, _) => JobState::Succeeded,
        (_, true) => JobState::Failed,
        _ if job.status.as_ref().and_then(|status| status.ready).unwrap_or_default() == 0 => JobState::Waiting,
        _ => JobState::Active,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcode::film::FilmId;

    #[test]
    fn a_job_mounts_the_folders_of_its_film() {
        let template = r#"{"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "spec": {"template": {"spec": {"containers": [{"name": "encoder",
            "command": ["encode"], "volumeMounts": [
                {"name": "inbox", "mountPath": "/inbox/claim", "subPath": "claim", "readOnly": true},
                {"name": "inbox", "mountPath": "/inbox/work", "subPath": "work"},
                {"name": "tmp", "mountPath": "/tmp"}]}]}}}}"#;
        let id = FilmId::parse("up-12345678").expect("an id");
        let job = Job { id, task: Task::Encode, round: 1, attempt: 0 };
        let object = object(template, &job, &Place::default()).expect("a Job");
        assert_eq!(object.metadata.name, Some(job.name()));
        let container = &object.spec.expect("a spec").template.spec.expect("a pod").containers[0];
        assert_eq!(container.command.as_deref().expect("one"), ["encode", "--id", "up-12345678"]);
        let mounts = container.volume_mounts.iter().flatten().map(|mount| (mount.mount_path.as_str(), mount.sub_path.as_deref()));
        let wanted = [
            ("/inbox/claim/up-12345678", Some("claim/up-12345678")),
            ("/inbox/work/up-12345678", Some("work/up-12345678")),
            ("/tmp", None),
        ];
        assert_eq!(mounts.collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn where_a_job_ran_is_known_if_it_is_one_machine() {
        let id = FilmId::parse("up-12345678").expect("an id");
        let job = |attempt| Job { id: id.clone(), task: Task::Encode, round: 1, attempt };
        let pod = |attempt, node: Option<&str>, phase: &str| -> Pod {
            let labels = serde_json::json!({"batch.kubernetes.io/job-name": job(attempt).name()});
            let pod = serde_json::json!({"metadata": {"labels": labels}, "spec": {"containers": [], "nodeName": node}, "status": {"phase": phase}});
            serde_json::from_value(pod).expect("a pod")
        };
        let pods = [
            pod(0, Some("rarity"), "Running"),
            pod(1, Some("rarity"), "Failed"),
            pod(1, Some("applejack"), "Succeeded"),
            pod(2, Some("rarity"), "Failed"),
            pod(2, Some("applejack"), "Running"),
            pod(3, None, "Pending"),
        ];
        assert_eq!(hosts(&pods), [(job(0), "rarity".to_owned()), (job(1), "applejack".to_owned())].into());
    }

    #[test]
    fn the_first_piece_is_made_where_the_sound_is_and_others_elsewhere() {
        let template = r#"{"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "spec": {"template": {"spec": {"affinity": {"podAntiAffinity":
            {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "kubernetes.io/hostname"}]}}, "containers": [{"name": "encoder",
            "command": ["encode"]}]}}}}"#;
        let affinity = |work| {
            let job = Job { id: FilmId::parse("up-12345678").expect("an id"), task: Task::Part(work), round: 1, attempt: 0 };
            let object = object(template, &job, &Place::default()).expect("a Job");
            object.spec.expect("a spec").template.spec.expect("a pod").affinity.expect("one")
        };
        let [first, second] = [1, 2].map(|number| affinity(Work::Piece(number)));
        let near = first.pod_affinity.expect("one").preferred_during_scheduling_ignored_during_execution.expect("some");
        let far = second.pod_anti_affinity.expect("one");
        assert_eq!(far.preferred_during_scheduling_ignored_during_execution.as_ref(), Some(&near));
        assert!(far.required_during_scheduling_ignored_during_execution.is_some(), "one film a machine");
        assert_eq!(
            near[0].pod_affinity_term.label_selector.as_ref().expect("one").match_labels.as_ref().expect("some")["transcode"],
            SOUND
        );
        assert_eq!(affinity(Work::Sound).pod_anti_affinity, None);
    }

    #[test]
    fn idle_machines_are_known_and_those_that_do_not_encode_are_not() {
        let text = r#"[{"metadata": {"name": "rarity"}}, {"metadata": {"name": "plane"}, "spec": {"taints": [{"key":
            "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]}}, {"metadata": {"name": "applejack"}, "spec": {"unschedulable": true,
            "taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]}}, {"metadata": {"name": "gone"}, "status":
            {"conditions": [{"type": "Ready", "status": "Unknown", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}]"#;
        let nodes: Vec<Node> = serde_json::from_str(text).expect("nodes");
        let of = |named: &[&str]| {
            let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
            let found = machines(&nodes, &named, k8s_openapi::jiff::Timestamp::now());
            found.into_iter().map(|machine| (machine.name, machine.state)).collect::<Vec<_>>()
        };
        let (applejack, gone) = (("applejack".to_owned(), MachineState::Cordoned), ("gone".to_owned(), MachineState::Lost));
        let rarity = ("rarity".to_owned(), MachineState::Ready);
        assert_eq!(of(&[]), [applejack, gone, rarity.clone()]);
        assert_eq!(of(&["rarity", "plane"]), [("plane".to_owned(), MachineState::Ready), rarity]);
    }

    /// Besides what the template says, and a slow machine only if no other one is free.
    #[test]
    fn a_job_keeps_away_from_machines_that_may_not_take_it() {
        let template = r#"{"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "spec": {"template": {"spec": {"affinity": AFFINITY,
            "containers": [{"name": "encoder", "command": ["encode"]}]}}}}"#;
        let named = r#"{"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "kubernetes.io/hostname", "operator": "In", "values": ["rarity", "old", "night"]}]}]}}}"#;
        let job = Job { id: FilmId::parse("up-12345678").expect("an id"), task: Task::Encode, round: 1, attempt: 0 };
        let place = Place { never: ["night".to_owned()].into(), rather_not: ["old".to_owned()].into(), hardware: false };
        for (affinity, expressions) in [(named, 2), ("null", 1)] {
            let object = object(&template.replace("AFFINITY", affinity), &job, &place).expect("a Job");
            assert_eq!(object.metadata.annotations.as_ref().expect("one")[NEVER], "night");
            let affinity = object.spec.expect("a spec").template.spec.expect("a pod").affinity.expect("one").node_affinity.expect("one");
            let required = affinity.required_during_scheduling_ignored_during_execution.expect("one").node_selector_terms;
            let [term] = &required[..] else { panic!("{required:?}") };
            let terms = term.match_expressions.as_deref().expect("some");
            let last = terms.last().expect("one");
            assert_eq!(
                (terms.len(), last.operator.as_str(), last.values.as_deref()),
                (expressions, "NotIn", Some(&["night".to_owned()][..]))
            );
            let preferred = affinity.preferred_during_scheduling_ignored_during_execution.expect("one");
            assert_eq!(
                preferred[0].preference.match_expressions.as_deref().expect("one")[0].values.as_deref(),
                Some(&["old".to_owned()][..])
            );
        }
        let plain = object(&template.replace("AFFINITY", "null"), &job, &Place::default()).expect("a Job");
        assert_eq!((plain.metadata.annotations, plain.spec.expect("one").template.spec.expect("one").affinity), (None, None));
    }

    #[test]
    fn a_job_with_quick_sync_gets_a_render_node_and_machines_say_what_works_there() {
        let template = r#"{"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "spec": {"template": {"spec": {"containers": [{"name":
            "encoder", "command": ["encode"]}]}}}}"#;
        let job = Job { id: FilmId::parse("up-12345678").expect("an id"), task: Task::Encode, round: 1, attempt: 0 };
        let class = |hardware| {
            let object = object(template, &job, &Place { hardware, ..Place::default() }).expect("a Job");
            object.spec.expect("a spec").template.spec.expect("a pod").runtime_class_name
        };
        assert_eq!([class(true), class(false)], [Some("hostler-films".to_owned()), None]);
        let text = r#"[{"metadata": {"name": "rarity", "labels": {"hostler/encoders": "x264.qsv_h264"}}}, {"metadata": {"name": "old"}}]"#;
        let nodes: Vec<Node> = serde_json::from_str(text).expect("nodes");
        let found = machines(&nodes, &[], k8s_openapi::jiff::Timestamp::now());
        let told: Vec<_> = found.iter().map(|machine| (machine.name.as_str(), machine.working.join(" "), machine.has_hardware())).collect();
        assert_eq!(told, [("old", String::new(), false), ("rarity", "x264 qsv_h264".to_owned(), true)]);
    }

    /// While all machines encode, the original of another film is published.
    #[test]
    fn a_job_for_an_original_shares_a_machine() {
        let template = r#"{"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "spec": {"template": {"metadata": {"labels": {"transcode":
            "encode"}}, "spec": {"affinity": {"podAntiAffinity": {}}, "containers": [{"name": "encoder", "command": ["encode"]}]}}}}"#;
        let pod = |task| {
            let job = Job { id: FilmId::parse("up-12345678").expect("an id"), task, round: 1, attempt: 0 };
            let template = object(template, &job, &Place::default()).expect("a Job").spec.expect("a spec").template;
            let label = template.metadata.expect("one").labels.expect("some")["transcode"].clone();
            (label, template.spec.expect("a pod").affinity.expect("one").pod_anti_affinity.is_some())
        };
        assert_eq!([pod(Task::Encode), pod(Task::Original)], [("encode".to_owned(), true), ("original".to_owned(), false)]);
    }
}
