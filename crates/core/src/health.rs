//! How the machines and their cluster are: a pure function of what was seen, and its result as a value.

mod add_ons;
mod next;
mod own;
mod problem;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::facts::{
    ClusterFacts, Contact, Facts, KUBELET_CLIENT, KUBELET_SERVER, KubeletRequest, Observation, RebootDue, kubelet_addresses,
};
use crate::inventory::{Inventory, MachineName, Role};
use crate::plan::Plan;
use crate::plan::add_ons::CORE_DNS;
use crate::plan::admins;
use crate::plan::check::CLOCK_TOLERANCE;
use crate::plan::hint::Hint;
use crate::plan::pod_network;
use crate::plan::power::{PowerChange, PowerRecord};
use crate::plan::vip;
use crate::step::{Stage, StepKind};
use crate::trusted::{Trusted, trusted};

pub use own::{has_enough_disk, own_problems};
pub use problem::Problem;

/// Days before its end from which an authority's certificate is shown: a new one takes a plan.
const AUTHORITY: i64 = 2 * 365;
const DAY: i64 = 24 * 60 * 60;

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Version of this value's JSON form; 1.
    pub schema: u32,
    pub healthy: bool,
    /// What is wrong, the worst first. Empty if and only if healthy.
    pub problems: Vec<Problem>,
    /// All of the inventory, in its order.
    pub machines: Vec<MachineStatus>,
    /// Why no API server answers, if none does, or answers only that it denies what it is asked for.
    pub api_down: Option<String>,
    /// All machines were reached, and none is in a cluster.
    #[serde(skip)]
    pub no_cluster: bool,
    /// An API server answers, but denies admin.conf what it is asked for.
    pub api_denied: bool,
    /// According to the API server; empty while it is down.
    pub nodes: Vec<NodeStatus>,
    /// Empty where etcd did not answer.
    pub members: Vec<MemberStatus>,
    /// Of every machine the certificate of each kind that ends first, the soonest first. Those of authorities only in their last two years.
    pub certificates: Vec<CertificateStatus>,
    /// When the newest snapshot that is known of was taken, in seconds since the epoch; `None`: there is none.
    pub snapshot: Option<i64>,
    /// Seconds since then, by the machines' clocks.
    pub snapshot_age: Option<i64>,
    /// `None`: not compared.
    pub drift: Option<Drift>,
    /// What to type, or do, next; `None` where all is well.
    pub next: Option<Hint>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineStatus {
    pub name: MachineName,
    /// `control-plane` or `worker`.
    pub role: &'static str,
    /// Why it can't be reached; `None`: it was.
    pub unreachable: Option<String>,
    /// What to do about that, where it is known.
    pub hint: Option<String>,
    pub facts: Option<MachineFacts>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineFacts {
    /// Of Kubernetes: what its node tells, or else what its pinned images are of. Empty where there is none.
    pub version: String,
    /// KiB, of the file system that holds /var/lib.
    pub disk_free: u64,
    pub disk_size: u64,
    /// KiB.
    pub memory_available: u64,
    pub memory: u64,
    /// One-minute load average.
    pub load: String,
    pub cpus: u32,
    /// Degrees Celsius of the hottest sensor, where there is one.
    pub temperature: Option<i32>,
    /// Seconds.
    pub uptime: u64,
    /// Why and since when the machine should be restarted, if it should.
    pub reboot_due: Option<RebootDue>,
    /// Seconds since then, by its clock.
    pub reboot_due_for: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    pub name: String,
    pub ready: bool,
    /// Why not, in kubelet's words.
    pub message: String,
    pub version: String,
    pub cordoned: bool,
    /// hostler cordoned it for this, and has not uncordoned it since.
    pub cordoned_for: Option<PowerChange>,
    pub in_inventory: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    pub name: String,
    pub healthy: bool,
    /// Why not, in etcd's words; empty where it does not answer.
    pub error: String,
    pub learner: bool,
}

/// What becomes of a certificate depends on who renews it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateKind {
    /// kubeadm's: of the API server, etcd, and those that speak to them.
    ControlPlane,
    /// Of a node; kubelet renews it.
    KubeletClient,
    /// That kubelet presents.
    KubeletServer,
    /// An authority, which signs the others, and which nothing renews.
    Authority,
}

impl CertificateKind {
    /// `name`: as kubeadm has it.
    fn of(name: &str) -> CertificateKind {
        match name {
            KUBELET_CLIENT => CertificateKind::KubeletClient,
            KUBELET_SERVER => CertificateKind::KubeletServer,
            "ca" => CertificateKind::Authority,
            name if name.ends_with("-ca") => CertificateKind::Authority,
            _ => CertificateKind::ControlPlane,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    pub machine: MachineName,
    pub kind: CertificateKind,
    /// By kubeadm's name: `apiserver`.
    pub name: String,
    /// Seconds since the epoch.
    pub ends: i64,
    /// Whole days left by the machine's clock; negative once it has ended.
    pub days: i64,
    /// Whether that is few: it should have been renewed.
    #[serde(skip)]
    pub soon: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// What `hostler up` would do, and `hostler plan` shows.
    pub steps: usize,
    /// What it would refuse.
    pub refusals: usize,
    /// Whether any of these steps changes something; the others verify the cluster.
    pub differs: bool,
    /// Whether the cluster was verified as it is; `None`: no API server answered.
    pub verified: Option<bool>,
    /// The first step's machine and reason, or else the first refusal's.
    pub first: Option<String>,
}

/// What `seen` amounts to. `plan`: what `up` would do about it; `None` where nothing is known of what should be installed.
///
/// Pure. A machine of the inventory that `seen` does not hold counts as unreachable. `own_snapshot`: when the newest one on the user's computer
/// was taken, in seconds since the epoch.
pub fn status(inventory: &Inventory, seen: &BTreeMap<MachineName, Observation>, plan: Option<&Plan>, own_snapshot: Option<i64>) -> Status {
    let facts: BTreeMap<&MachineName, &Facts> = seen.iter().filter_map(|(name, observation)| Some((name, observation.facts()?))).collect();
    let trusted = trusted(inventory, &facts);
    let cluster = trusted.answering().next().map(|api_via| api_via.cluster);
    let machines = machines(inventory, seen, cluster);
    // One that can't be reached may be in it.
    let no_cluster = facts.len() >= inventory.machines.len()
        && !facts.values().any(|facts| facts.kubernetes.joined)
        && trusted.reached().all(|(_, facts)| facts.api_down.is_none());
    let api_down = match cluster {
        Some(_) => None,
        None => Some(why_no_api(no_cluster, &trusted)),
    };
    let nodes = cluster.map(|cluster| nodes(inventory, cluster)).unwrap_or_default();
    // On the first control plane etcd may not answer.
    let known = trusted.answering().map(|api_via| api_via.cluster).find(|cluster| !cluster.members.is_empty());
    let members = known.map(members).unwrap_or_default();
    let certificates = certificates(&facts);
    let drift = plan.map(|plan| drift(plan, cluster.is_some()));
    let now = own_clock(&facts);
    let regular: Vec<_> = trusted.holders().filter_map(|(name, facts)| Some((name, taken(facts)?))).collect();
    let is_future = |taken: i64| now.is_some_and(|now| taken > now.saturating_add(CLOCK_TOLERANCE));
    let snapshot = regular.iter().map(|(_, taken)| *taken).chain(own_snapshot).filter(|taken| !is_future(*taken)).max();
    let future: Vec<&MachineName> = regular.iter().filter(|(_, taken)| is_future(*taken)).map(|(name, _)| *name).collect();
    let mut status = Status {
        schema: 1,
        healthy: false,
        problems: vec![],
        machines,
        api_down,
        no_cluster: no_cluster && cluster.is_none(),
        api_denied: admins::denied(&trusted).is_some(),
        nodes,
        members,
        certificates,
        snapshot,
        snapshot_age: now.zip(snapshot).map(|(now, taken)| now.saturating_sub(taken).max(0)),
        drift,
        next: None,
    };
    status.problems = at_work(inventory, &facts);
    status.problems.extend(plan.is_none().then_some(Problem::NotCompared));
    status.problems.extend(problems(&status, cluster.is_some()));
    if let Some(cluster) = cluster {
        let ready = |node: &str| cluster.nodes.get(node).is_none_or(|node| node.ready);
        let coredns = plan.and_then(|plan| plan.steps.iter().find(|step| step.id.kind == StepKind::CoreDns));
        let said = status.drift.as_ref().and_then(|drift| drift.first.as_ref());
        let is_said = coredns.is_some_and(|step| Some(&format!("{}: {}", step.machine, step.reason)) == said);
        let mut problems = add_ons::problems(inventory, &cluster.add_ons, ready, now.unwrap_or_default());
        problems.retain(|problem| !(is_said && matches!(problem, Problem::AddOnDown { name: CORE_DNS, .. })));
        // What has no pod can't be verified, and is named itself.
        if problems.iter().any(|problem| matches!(problem, Problem::AddOnDown { .. })) {
            status.problems.retain(|problem| !matches!(problem, Problem::NotVerified));
        }
        status.problems.extend(problems);
    }
    status.problems.extend(facts.iter().filter_map(|(name, facts)| own::renewal_failed(name, facts)));
    status.problems.extend(facts.iter().filter_map(|(name, facts)| own::not_notified(name, facts)));
    status.problems.extend(cluster.into_iter().flat_map(|cluster| kubelets(&facts, cluster)));
    for (node, fact) in cluster.into_iter().flat_map(|cluster| &cluster.nodes).filter(|(_, fact)| fact.ready) {
        let pressure = |(condition, message): (&String, &String)| Problem::Pressure {
            node: node.clone(),
            condition: condition.clone(),
            message: message.clone(),
        };
        status.problems.extend(fact.pressures.iter().map(pressure));
    }
    for name in facts.keys() {
        let taken = vip::intruder(inventory, name, &facts);
        status.problems.extend(taken.map(|taken| Problem::Vip { machine: (*name).clone(), taken }));
    }
    for (name, facts) in &facts {
        let faults = pod_network::faults(inventory, name, facts, cluster);
        status.problems.extend(faults.into_iter().map(|fault| Problem::PodNetwork { machine: (*name).clone(), fault }));
        status.problems.extend(own::failing_disks(name, facts));
    }
    status.problems.extend(no_snapshots(inventory, &facts, &trusted, &future, status.snapshot_age));
    status.healthy = status.problems.is_empty();
    let contact = |name: &MachineName| match seen.get(name) {
        Some(Observation::Unreachable(why)) => why.contact,
        _ => Contact::Silence,
    };
    status.next = next::next(inventory, &status, plan, contact);
    status
}

fn machines(inventory: &Inventory, seen: &BTreeMap<MachineName, Observation>, cluster: Option<&ClusterFacts>) -> Vec<MachineStatus> {
    inventory
        .machines
        .iter()
        .map(|(name, machine)| {
            let (unreachable, hint, facts) = match seen.get(name) {
                Some(Observation::Facts(facts)) => (None, "", Some(machine_facts(name, facts, cluster))),
                Some(Observation::Unreachable(why)) => (Some(why.reason.clone()), why.hint.as_str(), None),
                None => (Some("not contacted".to_owned()), "", None),
            };
            let hint = (!hint.is_empty()).then(|| hint.to_owned());
            let role = match machine.role {
                Role::ControlPlane => "control-plane",
                Role::Worker => "worker",
            };
            MachineStatus { name: name.clone(), role, unreachable, hint, facts }
        })
        .collect()
}

fn machine_facts(name: &MachineName, facts: &Facts, cluster: Option<&ClusterFacts>) -> MachineFacts {
    let told = cluster.and_then(|cluster| cluster.nodes.get(name.as_str())).map(|node| node.version.clone());
    // Every node has kube-proxy's image, of Kubernetes' own version.
    let by_image = || facts.images.keys().find_map(|image| image.split_once("/kube-proxy:v")).map(|(_, version)| version.to_owned());
    MachineFacts {
        version: told.or_else(by_image).unwrap_or_default(),
        disk_free: facts.disk_free,
        disk_size: facts.disk_size,
        memory_available: facts.memory_available,
        memory: facts.memory,
        load: facts.load.clone(),
        cpus: facts.cpus,
        temperature: facts.temperature,
        uptime: facts.uptime,
        reboot_due: facts.reboot_due.clone(),
        reboot_due_for: facts.reboot_due.as_ref().map(|due| facts.clock.saturating_sub(due.since).max(0)),
    }
}

/// Seconds since the epoch by this computer's clock when facts were gathered. Each machine's clock, and by how much that is ahead, come to it; of
/// several, the middle one counts, whatever one of them says.
fn own_clock(facts: &BTreeMap<&MachineName, &Facts>) -> Option<i64> {
    let mut clocks: Vec<i64> = facts.values().map(|facts| facts.clock.saturating_sub(facts.clock_ahead.unwrap_or_default())).collect();
    clocks.sort_unstable();
    clocks.get(clocks.len() / 2).copied()
}

/// When the newest regular snapshot on the machine was taken, by this computer's clock.
fn taken(facts: &Facts) -> Option<i64> {
    Some(facts.snapshot?.saturating_sub(facts.clock_ahead.unwrap_or_default()))
}

fn why_no_api(no_cluster: bool, trusted: &Trusted) -> String {
    let told = trusted.reached().find_map(|(name, facts)| facts.api_down.as_ref().map(|reason| format!("{name}: {reason}")));
    told.unwrap_or_else(|| match no_cluster {
        true => "there is no cluster yet".to_owned(),
        false => "no control plane can be reached".to_owned(),
    })
}

fn nodes(inventory: &Inventory, cluster: &ClusterFacts) -> Vec<NodeStatus> {
    cluster
        .nodes
        .iter()
        .map(|(name, node)| NodeStatus {
            name: name.clone(),
            ready: node.ready,
            message: node.message.clone(),
            version: node.version.clone(),
            cordoned: node.unschedulable,
            cordoned_for: MachineName::new(name)
                .and_then(|name| PowerRecord::of(cluster, &name))
                .filter(|_| node.cordoned_by_hostler)
                .map(|record| record.change()),
            in_inventory: inventory.machines.contains_key(name.as_str()),
        })
        .collect()
}

fn members(cluster: &ClusterFacts) -> Vec<MemberStatus> {
    let member = |member: &crate::facts::MemberFact| MemberStatus {
        name: member.called().to_owned(),
        healthy: member.healthy,
        error: member.error.clone(),
        learner: member.learner,
    };
    let mut members: Vec<_> = cluster.members.values().map(member).collect();
    members.sort_by(|a, b| a.name.cmp(&b.name));
    members
}

fn certificates(facts: &BTreeMap<&MachineName, &Facts>) -> Vec<CertificateStatus> {
    let mut certificates: Vec<CertificateStatus> = Vec::new();
    for (machine, facts) in facts {
        let mut first: BTreeMap<CertificateKind, CertificateStatus> = BTreeMap::new();
        for (name, &ends) in &facts.kubernetes.certificates {
            let kind = CertificateKind::of(name);
            let left = ends.saturating_sub(facts.clock);
            let days = left.div_euclid(DAY);
            let soon = own::is_soon(kind, left, facts.kubernetes.lives.get(name).copied());
            // Of a machine that is no control plane, only kubelet's own matter.
            let counts = facts.kubernetes.control_plane || name.starts_with("kubelet-");
            if counts && (kind != CertificateKind::Authority || days < AUTHORITY) && first.get(&kind).is_none_or(|other| ends < other.ends)
            {
                first.insert(kind, CertificateStatus { machine: (*machine).clone(), kind, name: name.clone(), ends, days, soon });
            }
        }
        certificates.extend(first.into_values());
    }
    certificates.sort_by_key(|certificate| certificate.ends);
    certificates
}

fn drift(plan: &Plan, api: bool) -> Drift {
    // That what changes is verified afterwards, and was before, is no difference.
    let steps: Vec<_> =
        plan.steps.iter().filter(|step| step.id.kind != StepKind::WithdrawVerification && step.stage != Stage::Verify).collect();
    // A step that only prepares a join says nothing of what differs.
    let prepares = [StepKind::CollectPki, StepKind::CreateToken, StepKind::DeleteToken];
    let step = steps.iter().find(|step| !prepares.contains(&step.id.kind)).map(|step| format!("{}: {}", step.machine, step.reason));
    let refusal = || {
        plan.refusals.first().map(|refusal| match &refusal.machine {
            Some(machine) => format!("{machine}: {}", refusal.why),
            None => refusal.why.to_string(),
        })
    };
    Drift {
        // What is about to change was verified before, unless a run withdrew that.
        verified: api.then_some(!plan.withdrawn && (!steps.is_empty() || plan.steps.is_empty())),
        differs: !steps.is_empty(),
        steps: plan.steps.len(),
        refusals: plan.refusals.len(),
        first: step.or_else(refusal),
    }
}

fn problems(status: &Status, api: bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    for machine in &status.machines {
        if let Some(reason) = &machine.unreachable {
            problems.push(Problem::Unreachable { machine: machine.name.clone(), reason: reason.clone() });
        }
    }
    let down = |reason: &String| match status.api_denied {
        true => Problem::ApiDenied { reason: reason.clone() },
        false => Problem::ApiDown { reason: reason.clone() },
    };
    problems.extend(status.api_down.as_ref().map(down));
    if api {
        for machine in &status.machines {
            match status.nodes.iter().find(|node| node.name == machine.name.as_str()) {
                None => problems.push(Problem::NotANode { machine: machine.name.clone() }),
                Some(node) if !node.ready => {
                    problems.push(Problem::NotReady { node: node.name.clone(), message: node.message.clone() });
                }
                Some(node) if node.cordoned => problems.push(Problem::Cordoned { node: node.name.clone() }),
                Some(_) => {}
            }
        }
        let left = status.nodes.iter().filter(|node| !node.in_inventory && !node.ready);
        problems.extend(left.map(|node| Problem::NodeLeft { node: node.name.clone() }));
        if status.members.is_empty() {
            problems.push(Problem::MembersUnknown);
        }
    }
    for member in &status.members {
        match member {
            MemberStatus { healthy: false, name, error, .. } => {
                problems.push(Problem::MemberUnhealthy { member: name.clone(), error: error.clone() });
            }
            MemberStatus { learner: true, name, .. } => problems.push(Problem::Learner { member: name.clone() }),
            _ => {}
        }
    }
    problems.extend(own::expiring(&status.certificates));
    let disks = status.machines.iter().filter_map(|machine| Some((&machine.name, machine.facts.as_ref()?)));
    problems.extend(disks.filter_map(|(name, facts)| own::disk_low(name, facts.disk_free, facts.disk_size)));
    if let Some(drift @ Drift { refusals, first, .. }) = &status.drift
        && (drift.differs || *refusals > 0 && status.api_down.is_none())
    {
        let first = first.clone().unwrap_or_default();
        problems.push(if drift.differs { Problem::Drift { first } } else { Problem::WouldRefuse { first } });
    }
    // A node that is not Ready is verified once it is.
    let unready = problems.iter().any(|problem| matches!(problem, Problem::NotReady { .. }));
    if status.drift.as_ref().is_some_and(|drift| drift.verified == Some(false)) && api && !unready {
        problems.push(Problem::NotVerified);
    }
    problems
}

/// Kubelets without a certificate that API servers accept, and requests for one that are not approved: of each user the first.
fn kubelets(facts: &BTreeMap<&MachineName, &Facts>, cluster: &ClusterFacts) -> Vec<Problem> {
    let lacks = |(name, facts): &(&&MachineName, &&Facts)| {
        cluster.nodes.contains_key(name.as_str()) && facts.kubernetes.joined && facts.kubernetes.serving.is_none()
    };
    let without = facts.iter().filter(|_| cluster.verifies_kubelets).filter(lacks);
    let mut problems: Vec<Problem> = without.map(|(name, _)| Problem::NoServingCertificate { machine: (*name).clone() }).collect();
    let addresses = kubelet_addresses(&cluster.record);
    let refused = cluster.kubelet_requests.iter().filter_map(|request| Some((request, request.refused(&addresses)?)));
    let first: BTreeMap<&String, (&KubeletRequest, String)> = refused.rev().map(|(request, why)| (&request.user, (request, why))).collect();
    problems.extend(first.into_iter().map(|(user, (request, why))| Problem::RequestLeft {
        request: request.name.clone(),
        user: user.clone(),
        why,
    }));
    problems
}

/// Machines on which a run is working.
fn at_work(inventory: &Inventory, facts: &BTreeMap<&MachineName, &Facts>) -> Vec<Problem> {
    let lock = |name: &MachineName| {
        let facts = facts.get(name)?;
        // One that can't be is ignored.
        let lock = facts.lock.as_ref().filter(|lock| lock.age(facts).is_some())?;
        Some((name.clone(), lock.step.clone()))
    };
    inventory.machines.keys().filter_map(lock).map(|(machine, step)| Problem::AtWork { machine, step }).collect()
}

/// What is wrong with regular snapshots. Whether there are any at all is `up`'s to say.
fn no_snapshots(
    inventory: &Inventory,
    facts: &BTreeMap<&MachineName, &Facts>,
    trusted: &Trusted,
    future: &[&MachineName],
    age: Option<i64>,
) -> Vec<Problem> {
    let Some(every) = inventory.snapshots.every else { return Vec::new() };
    let mut problems: Vec<Problem> = facts.iter().filter_map(|(name, facts)| own::snapshot_failed(name, facts)).collect();
    problems.extend(facts.iter().filter_map(|(name, facts)| own::snapshot_not_copied(name, facts)));
    problems.extend(future.iter().map(|name| Problem::SnapshotInFuture { machine: (*name).clone() }));
    match age {
        Some(age) => problems.extend(own::snapshot_old(age, every)),
        None if trusted.holders().any(|(_, facts)| own::is_overdue(facts)) => problems.push(Problem::NoSnapshot),
        None => {}
    }
    problems
}
