//! One machine of a cluster says anything: what changes in a plan is about that machine, and nothing looks healthier.

use std::collections::{BTreeMap, BTreeSet};

use hostler_core::arch::Arch;
use hostler_core::facts::{
    ClusterFacts, Facts, FileFact, ImageFact, LockFact, MemberFact, NodeFact, Observation, ShareFact, ShareState, UnitFact, peer_url,
};
use hostler_core::health::{NodeStatus, Problem, Status, status};
use hostler_core::inventory::{Inventory, MachineName, parse};
use hostler_core::plan::{Goal, Plan, Step, plan_for};
use hostler_core::record::{Applied, InProgress, Record};
use hostler_core::step::StepKind;
use proptest::prelude::*;

use crate::simulation::{blank, manifests};
use crate::world::World;

const NAMES: [&str; 5] = ["twilightsparkle", "rarity", "applejack", "rainbowdash", "fluttershy"];

/// What a machine may say: of itself, of the cluster, of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    Blank,
    Arch,
    Words,
    Numbers,
    ClockBehind,
    ClockAhead,
    NotSystemd,
    Lock,
    LockImpossible,
    LockLeftBehind,
    Marks,
    ControlPlane,
    NotJoined,
    OtherCluster,
    SameCa,
    Damaged,
    Missing,
    Leftovers,
    EtcdData,
    Mounts,
    Foreign,
    Ports,
    Files,
    Images,
    Units,
    Applied,
    Shares,
    Expired,
    Snapshot,
    SnapshotInFuture,
    ReadOnly,
    OldVersion,
    Cluster,
    EmptyCluster,
    StolenAddress,
    OtherVersion,
}

const LIES: &[Lie] = &[
    Lie::Blank,
    Lie::Arch,
    Lie::Words,
    Lie::Numbers,
    Lie::ClockBehind,
    Lie::ClockAhead,
    Lie::NotSystemd,
    Lie::Lock,
    Lie::LockImpossible,
    Lie::LockLeftBehind,
    Lie::Marks,
    Lie::ControlPlane,
    Lie::NotJoined,
    Lie::OtherCluster,
    Lie::SameCa,
    Lie::Damaged,
    Lie::Missing,
    Lie::Leftovers,
    Lie::EtcdData,
    Lie::Mounts,
    Lie::Foreign,
    Lie::Ports,
    Lie::Files,
    Lie::Images,
    Lie::Units,
    Lie::Applied,
    Lie::Shares,
    Lie::Expired,
    Lie::Snapshot,
    Lie::SnapshotInFuture,
    Lie::ReadOnly,
    Lie::OldVersion,
    Lie::Cluster,
    Lie::EmptyCluster,
    Lie::StolenAddress,
    Lie::OtherVersion,
];

/// Not about one machine: the cluster is verified again whenever anything changes, and machines join with a token.
const OF_THE_CLUSTER: &[StepKind] = &[
    StepKind::WithdrawVerification,
    StepKind::Probe,
    StepKind::RecordVerified,
    StepKind::CreateToken,
    StepKind::DeleteToken,
    StepKind::KubeletCertificates,
];

fn word() -> String {
    "\u{1b}[2J../../../etc\u{202e} $(reboot)\n".to_owned()
}

/// A cluster in which everything is as the liar wants it.
fn wishes(world: &World) -> ClusterFacts {
    let truth = world.cluster.clone().unwrap_or_default();
    let node = |(name, node): (&String, &NodeFact)| (name.clone(), NodeFact { ready: true, message: String::new(), ..node.clone() });
    let member = |(id, member): (&String, &MemberFact)| (id.clone(), MemberFact { healthy: true, ..member.clone() });
    ClusterFacts { nodes: truth.nodes.iter().map(node).collect(), members: truth.members.iter().map(member).collect(), ..truth }
}

impl Lie {
    fn tell(self, facts: &mut Facts, world: &World) {
        let own = facts.kubernetes.node.clone().unwrap_or_default();
        let kubernetes = &mut facts.kubernetes;
        match self {
            Lie::Blank => *facts = blank(),
            Lie::Arch => (facts.arch, facts.machine) = (Some(Arch::Arm64).filter(|_| facts.cpus == 0), word()),
            Lie::Words => {
                (facts.os, facts.os_name, facts.hostname, facts.load) = (word(), word(), word(), word());
                (facts.hostname_at_boot, facts.time_zone) = (word(), word());
                (facts.container, facts.apt_lock) = (Some(word()), Some(word()));
                facts.swap.push(word());
                facts.hosts.push(word());
                facts.nameservers = vec![word()];
                facts.sysctls.insert("net.ipv4.ip_forward".to_owned(), word());
            }
            Lie::Numbers => {
                (facts.memory, facts.memory_available, facts.uptime) = (u64::MAX, u64::MAX, u64::MAX);
                (facts.disk_free, facts.disk_size, facts.cpus) = (u64::MAX, u64::MAX, u32::MAX);
                facts.temperature = Some(i32::MIN);
            }
            Lie::ClockBehind => (facts.clock, facts.clock_ahead) = (i64::MIN, Some(i64::MIN)),
            Lie::ClockAhead => (facts.clock, facts.clock_ahead) = (i64::MAX, Some(i64::MAX)),
            Lie::NotSystemd => facts.systemd = false,
            Lie::Lock | Lie::LockLeftBehind | Lie::LockImpossible => {
                let since = if self == Lie::LockImpossible { i64::MIN } else { facts.clock };
                let left_behind = self == Lie::LockLeftBehind;
                facts.lock = Some(LockFact { run: word(), step: "twilightsparkle/init".to_owned(), since, left_behind });
            }
            Lie::Marks => facts.in_progress.extend(InProgress::ALL),
            Lie::ControlPlane => (kubernetes.control_plane, kubernetes.etcd_data) = (true, true),
            Lie::NotJoined => kubernetes.joined = false,
            Lie::OtherCluster => (kubernetes.ca, kubernetes.server) = (Some("another".to_owned()), Some(word())),
            Lie::SameCa => kubernetes.ca = world.machines.values().find_map(|facts| facts.kubernetes.ca.clone()),
            Lie::Damaged => kubernetes.damaged.push("/etc/kubernetes/pki/ca.crt".to_owned()),
            Lie::Missing => kubernetes.missing.extend(["/etc/kubernetes/manifests/etcd.yaml".to_owned(), word()]),
            Lie::Leftovers => kubernetes.leftovers.push(word()),
            Lie::EtcdData => kubernetes.etcd_data = true,
            Lie::Mounts => facts.mounts.push("/var/lib/kubelet/pods".to_owned()),
            Lie::Foreign => facts.foreign.push(word()),
            Lie::Ports => facts.ports.extend([(6443, word()), (10250, word()), (2380, String::new())]),
            Lie::Files => {
                let fact = FileFact { sha256: word(), mode: word(), owner: word() };
                let paths = ["/etc/containerd/conf.d/../../../etc/passwd", "/opt/hostler/current/bin/kubelet", ""];
                facts.files.extend(paths.map(|path| (path.to_owned(), fact.clone())));
            }
            Lie::Images => drop(facts.images.insert(word(), ImageFact { digest: word(), pinned: true })),
            Lie::Units => facts.units.values_mut().for_each(|unit| *unit = UnitFact::default()),
            Lie::Applied => {
                facts.applied.insert(Applied::KubeletFile, word());
                facts.programs.clear();
            }
            Lie::Shares => {
                let share = ShareFact { state: ShareState::Writable, owner: word(), mode: word(), free: u64::MAX };
                facts.shares.insert(word(), share);
            }
            Lie::Expired => kubernetes.certificates.extend([("kubelet-client".to_owned(), i64::MIN), (word(), i64::MAX)]),
            Lie::Snapshot => facts.snapshot = Some(facts.clock.saturating_sub(60)),
            Lie::SnapshotInFuture => facts.snapshot = Some(i64::MAX),
            Lie::ReadOnly => drop(facts.read_only.insert(word())),
            Lie::OldVersion => drop(facts.links.insert("/opt/hostler/current".to_owned(), "sets/1.35.4-00000000".to_owned())),
            Lie::Cluster => (kubernetes.control_plane, facts.cluster) = (true, Some(wishes(world))),
            Lie::EmptyCluster => {
                let endpoint = "api.home.internal:6443".to_owned();
                (kubernetes.control_plane, facts.cluster) = (true, Some(ClusterFacts { endpoint, ..ClusterFacts::default() }));
            }
            Lie::StolenAddress => {
                let cluster = facts.cluster.get_or_insert_with(|| wishes(world));
                cluster.nodes.entry(own).or_default().address = "192.168.1.12".to_owned();
                cluster.members.values_mut().for_each(|member| member.peer = peer_url("192.168.1.15"));
                cluster.record.insert(Record::Verified, word());
            }
            Lie::OtherVersion => {
                let cluster = facts.cluster.get_or_insert_with(|| wishes(world));
                cluster.version = "1.35.4".to_owned();
                cluster.cluster_name = word();
            }
        }
    }
}

/// What the liar's kubelet may write about its own node, in the answers of every API server.
fn reach_the_api(seen: &mut BTreeMap<MachineName, Observation>, liar: &MachineName) {
    for observation in seen.values_mut() {
        let Observation::Facts(facts) = observation else { continue };
        let Some(node) = facts.cluster.as_mut().and_then(|cluster| cluster.nodes.get_mut(liar.as_str())) else { continue };
        node.address = "192.168.1.12".to_owned();
        node.version = "1.35.4".to_owned();
        node.labels.insert("number".to_owned(), word());
    }
}

fn name(number: usize) -> MachineName {
    MachineName::new(NAMES[number]).expect("a name")
}

/// `first`: the worker that stands first in the file.
fn inventory(control_planes: usize, first: Option<usize>) -> Inventory {
    let mut text = String::from("snapshots: {to: /srv/snapshots, every: 24h, keep: 3}\nmachines:\n");
    let mut order: Vec<usize> = (0..NAMES.len()).collect();
    order.sort_by_key(|number| (Some(*number) != first, *number));
    for (number, name) in order.into_iter().map(|number| (number, NAMES[number])) {
        let role = if number < control_planes { "control-plane" } else { "worker" };
        text.push_str(&format!("  {name}: {{address: 192.168.1.{}, role: {role}, labels: {{number: \"{number}\"}}}}\n", number + 11));
    }
    parse(&text, "inventory.yaml").unwrap_or_else(|problems| panic!("{problems}"))
}

/// The cluster of all five, with what is wrong with it: a worker's swap is on, another one is new, and `off` can't be reached.
fn world(inventory: &Inventory, off: Option<usize>) -> World {
    let mut world = World { machines: inventory.machines.keys().map(|name| (name.clone(), blank())).collect(), ..World::default() };
    for _ in 0..3 {
        let plan = plan_for(&Goal::Up, inventory, &manifests(), &world.seen()).expect("templates fit");
        plan.steps.iter().for_each(|step| world.apply(step).unwrap_or_else(|what| panic!("{what}")));
    }
    let first = world.machines.get_mut(&name(0)).expect("it is a machine");
    first.snapshot = Some(first.clock - 3600);
    let swap = &mut world.machines.get_mut(&name(3)).expect("it is a machine").swap;
    swap.push("/dev/sda2".to_owned());
    // A worker that has not joined yet.
    if inventory.workers().any(|(worker, _)| *worker == name(1)) && off.is_none() {
        world.machines.insert(name(1), blank());
        world.cluster.iter_mut().for_each(|cluster| drop(cluster.nodes.remove(name(1).as_str())));
    }
    off.map(|off| world.off.insert(name(off), "connection timed out".to_owned()));
    world
}

fn goal(verb: usize, machine: usize) -> Goal {
    let machine = name(machine);
    match verb {
        0 => Goal::Up,
        1 => Goal::Add(machine),
        2 => Goal::Rebuild { machine, force_after: None },
        3 => Goal::Remove { machine, dead: true, force_after: None },
        4 => Goal::Remove { machine, dead: false, force_after: None },
        _ => Goal::Reset,
    }
}

/// What differs between two plans and is not about `liar`.
fn others(truth: &Plan, lied: &Plan, liar: &MachineName) -> Vec<String> {
    let mut wrong = Vec::new();
    let about_others = |step: &&Step| step.id.machine != *liar && !OF_THE_CLUSTER.contains(&step.id.kind);
    let without = |plan: &Plan| -> BTreeMap<String, String> {
        plan.steps.iter().filter(about_others).map(|step| (step.id.to_string(), format!("{} {:?}", step.machine, step.action))).collect()
    };
    let (truth_steps, lied_steps) = (without(truth), without(lied));
    for (id, action) in &truth_steps {
        if lied_steps.get(id) != Some(action) {
            wrong.push(format!("{id} is {:?}, and was {action}", lied_steps.get(id)));
        }
    }
    wrong.extend(lied_steps.keys().filter(|id| !truth_steps.contains_key(*id)).map(|id| format!("{id} is new")));
    // A step for the cluster or the liar runs where it would run anyway: on the liar, or where hostler uses the API server.
    let places: BTreeSet<&MachineName> = truth.steps.iter().map(|step| &step.machine).collect();
    for step in lied.steps.iter().filter(|step| step.machine != *liar && step.id.machine == *liar) {
        let known = places.contains(&step.machine) || step.machine.as_str() == NAMES[0] || step.machine.as_str() == NAMES[1];
        if !known || matches!(step.id.kind, StepKind::RemoveMember) {
            wrong.push(format!("{} runs on {}", step.id, step.machine));
        }
    }
    let refused = |plan: &Plan| -> BTreeSet<String> {
        let others = plan.refusals.iter().filter(|refusal| refusal.machine.as_ref() != Some(liar));
        others.map(|refusal| format!("{:?} {}", refusal.machine, refusal.why)).collect()
    };
    let (truth_refused, lied_refused) = (refused(truth), refused(lied));
    wrong.extend(truth_refused.symmetric_difference(&lied_refused).map(|what| format!("refused, or no more: {what}")));
    wrong
}

/// Problems that are not the liar's own, and that no longer show.
fn hidden(truth: &Status, lied: &Status, liar: &MachineName) -> Vec<String> {
    // What `up` would do first may be about the liar now.
    let first = |problem: &Problem| matches!(problem, Problem::Drift { .. } | Problem::WouldRefuse { .. } | Problem::NotVerified);
    let told: BTreeSet<String> = lied.problems.iter().map(ToString::to_string).collect();
    let mut hidden: Vec<String> = truth
        .problems
        .iter()
        .filter(|problem| !first(problem))
        .map(ToString::to_string)
        .filter(|problem| !problem.contains(liar.as_str()) && !told.contains(problem))
        .collect();
    if lied.healthy && !truth.healthy {
        hidden.push("it is healthy".to_owned());
    }
    let nodes = |status: &Status| -> Vec<NodeStatus> { status.nodes.iter().filter(|node| node.name != liar.as_str()).cloned().collect() };
    if lied.snapshot != truth.snapshot || nodes(lied) != nodes(truth) || lied.members != truth.members {
        hidden.push(format!("nodes, members or snapshot: {:?} {:?} {:?}", lied.nodes, lied.members, lied.snapshot));
    }
    hidden
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::simulation::cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_lie_is_about_the_liar(
        control_planes in prop::sample::select(&[1_usize, 3]),
        liar in 3..5_usize,
        lies in prop::collection::vec(prop::sample::select(LIES), 0..6),
        verb in 0..6_usize,
        // Half of the time the verb is about the liar.
        machine in prop::option::of(0..5_usize),
        by_kubelet in prop::bool::weighted(0.3),
        off in prop::option::weighted(0.3, 2..5_usize),
        is_first in any::<bool>(),
    ) {
        let inventory = inventory(control_planes, is_first.then_some(liar));
        let world = world(&inventory, off.filter(|off| *off != liar));
        let goal = goal(verb, machine.unwrap_or(liar));
        let liar = name(liar);
        let (truth, mut lied) = (world.seen(), world.seen());
        if let Some(Observation::Facts(facts)) = lied.get_mut(&liar) {
            lies.iter().for_each(|lie| lie.tell(facts, &world));
        }
        if by_kubelet {
            reach_the_api(&mut lied, &liar);
        }
        let asked = |seen: &BTreeMap<MachineName, Observation>| {
            let asked = goal.asks(&inventory);
            seen.clone().into_iter().filter(|(name, _)| asked.contains(name)).collect::<BTreeMap<_, _>>()
        };
        let plan = |seen: &BTreeMap<MachineName, Observation>| plan_for(&goal, &inventory, &manifests(), &asked(seen)).expect("templates fit");
        let wrong = others(&plan(&truth), &plan(&lied), &liar);
        prop_assert!(wrong.is_empty(), "{wrong:#?}");
        let health = |seen: &BTreeMap<MachineName, Observation>| {
            let up = plan_for(&Goal::Up, &inventory, &manifests(), seen).expect("templates fit");
            status(&inventory, seen, Some(&up), None)
        };
        let hidden = hidden(&health(&truth), &health(&lied), &liar);
        prop_assert!(hidden.is_empty(), "{hidden:#?}");
    }
}
