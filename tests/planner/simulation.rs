//! Where plans lead, without any machine: from random states, with steps in any order that their needs allow and runs cut at any step,
//! planning and carrying out comes to a point at which nothing is left to do.

use std::collections::BTreeSet;

use hostler_core::action::Action;
use hostler_core::action::kubeadm::Join;
use hostler_core::arch::Arch;
use hostler_core::facts::Facts;
use hostler_core::inventory::{Inventory, MachineName, Role, parse};
use hostler_core::manifest::{Manifest, Manifests};
use hostler_core::plan::lint::reaches;
use hostler_core::plan::wanted::images;
use hostler_core::plan::{Goal, Plan, Step, plan_for};
use hostler_core::record::{InProgress, Record};
use hostler_core::static_pod::StaticPod;
use hostler_core::step::{ImageGroup, StepId, StepKind};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::needs::{needless, restarts};
use crate::system;
use crate::world::World;

pub fn manifest() -> Manifest {
    serde_json::from_str(include_str!("../render/manifest.json")).expect("it is a manifest")
}

pub fn manifests() -> Manifests {
    manifest().into()
}

/// What the machine of a random state was before the run.
#[derive(Debug, Clone)]
pub enum Start {
    /// Freshly installed; in a cluster that exists, it never was in it.
    Blank,
    /// Blank, and an earlier run was cut after so many of its steps.
    Half(usize),
    /// In the cluster, as hostler made it.
    Converged,
    /// In the cluster, with so much of it undone.
    Drifted(Vec<Drift>),
}

#[derive(Debug, Clone, Copy)]
pub enum Drift {
    Swap,
    Sysctl,
    Module,
    Hostname,
    HostnameAtBoot,
    Hosts,
    Clock,
    Package,
    Program,
    Link,
    ContainerdFile,
    ContainerdFragment,
    ContainerdStopped,
    KubeletFile,
    Manifest,
    EtcdManifest,
    KubeletConfig,
    KubeletFlags,
    KubeletStopped,
    KubeletDisabled,
    Image,
    Label,
    Record,
    Verified,
    CutPrograms,
    CutContainerd,
    FlannelGone,
    FlannelChanged,
    KubeProxyGone,
    KubeProxyChanged,
    CoreDnsGone,
    CoreDnsScaled,
    DnsService,
    RoleGone,
    RoleWider,
    AdminsNarrower,
    Denied,
    ClusterDocument,
    KubeletDocument,
    EtcdFull,
    Tunnel,
}

pub const DRIFTS: &[Drift] = &[
    Drift::Swap,
    Drift::Sysctl,
    Drift::Module,
    Drift::Hostname,
    Drift::HostnameAtBoot,
    Drift::Hosts,
    Drift::Clock,
    Drift::Package,
    Drift::Program,
    Drift::Link,
    Drift::ContainerdFile,
    Drift::ContainerdFragment,
    Drift::ContainerdStopped,
    Drift::KubeletFile,
    Drift::Manifest,
    Drift::EtcdManifest,
    Drift::KubeletConfig,
    Drift::KubeletFlags,
    Drift::KubeletStopped,
    Drift::KubeletDisabled,
    Drift::Image,
    Drift::Label,
    Drift::Record,
    Drift::Verified,
    Drift::CutPrograms,
    Drift::CutContainerd,
    Drift::FlannelGone,
    Drift::FlannelChanged,
    Drift::KubeProxyGone,
    Drift::KubeProxyChanged,
    Drift::CoreDnsGone,
    Drift::CoreDnsScaled,
    Drift::DnsService,
    Drift::RoleGone,
    Drift::RoleWider,
    Drift::AdminsNarrower,
    Drift::Denied,
    Drift::ClusterDocument,
    Drift::KubeletDocument,
    Drift::EtcdFull,
    Drift::Tunnel,
];

#[derive(Debug, Clone)]
pub struct Scene {
    /// Of five machines.
    pub control_planes: usize,
    /// Whether a fragment changed since the cluster was made.
    pub changed: bool,
    pub starts: Vec<Start>,
    pub off: BTreeSet<usize>,
    /// In each round: which of the steps that may begin is next, and (modulo their number) after how many the run is cut.
    pub rounds: Vec<(u64, Option<usize>)>,
    pub goal: Verb,
}

#[derive(Debug, Clone, Copy)]
pub enum Verb {
    Up,
    Add(usize),
    Rebuild(usize),
    Remove(usize),
    Reset,
}

const NAMES: [&str; 5] = ["twilightsparkle", "rarity", "applejack", "rainbowdash", "fluttershy"];

pub fn name(number: usize) -> MachineName {
    MachineName::new(NAMES[number]).expect("a name")
}

fn drift() -> impl Strategy<Value = Drift> {
    prop::sample::select(DRIFTS)
}

fn start() -> impl Strategy<Value = Start> {
    prop_oneof![
        Just(Start::Blank),
        (0..14_usize).prop_map(Start::Half),
        Just(Start::Converged),
        vec(drift(), 1..5).prop_map(Start::Drifted),
    ]
}

fn verb() -> impl Strategy<Value = Verb> {
    prop_oneof![
        4 => Just(Verb::Up),
        1 => (0..5_usize).prop_map(Verb::Add),
        2 => (0..5_usize).prop_map(Verb::Rebuild),
        1 => (0..5_usize).prop_map(Verb::Remove),
        1 => Just(Verb::Reset),
    ]
}

pub fn scene() -> impl Strategy<Value = Scene> {
    let off = prop_oneof![3 => Just(BTreeSet::new()), 1 => prop::collection::btree_set(0..5_usize, 1..3)];
    let rounds = vec((any::<u64>(), prop::option::weighted(0.7, 0..60_usize)), 3);
    (prop::sample::select(&[1_usize, 3]), any::<bool>(), vec(start(), 5), off, rounds, verb())
        .prop_map(|(control_planes, changed, starts, off, rounds, goal)| Scene { control_planes, changed, starts, off, rounds, goal })
}

impl Scene {
    /// Five machines in the cluster, with nothing left to do.
    pub fn converged(control_planes: usize) -> Scene {
        Scene {
            control_planes,
            changed: false,
            starts: vec![Start::Converged; 5],
            off: BTreeSet::new(),
            rounds: Vec::new(),
            goal: Verb::Up,
        }
    }
}

pub fn inventory(control_planes: usize, changed: bool) -> Inventory {
    let mut text = String::from("machines:\n");
    for (number, name) in NAMES.iter().enumerate() {
        let role = if number < control_planes { "control-plane" } else { "worker" };
        text.push_str(&format!("  {name}: {{address: 192.168.1.{}, role: {role}, labels: {{number: \"{number}\"}}}}\n", number + 11));
    }
    if changed {
        text.push_str("kubeadm:\n  KubeletConfiguration: {maxPods: 50}\n  ClusterConfiguration: {certificateValidityPeriod: 1000h}\n");
        text.push_str("containerd: {films: \"version = 3\\n\"}\n");
    }
    parse(&text, "inventory.yaml").unwrap_or_else(|problems| panic!("{problems}"))
}

pub fn blank() -> Facts {
    Facts {
        arch: Some(Arch::Amd64),
        hostname: "debian".to_owned(),
        hostname_at_boot: "debian".to_owned(),
        systemd: true,
        clock: 1_700_000_000,
        nameservers: vec!["192.168.1.1".to_owned()],
        swap: vec!["/dev/sda2".to_owned()],
        sysctls: [("net.ipv4.ip_forward", "0"), ("fs.inotify.max_user_instances", "128")]
            .map(|(key, now)| (key.to_owned(), now.to_owned()))
            .into(),
        ..Facts::default()
    }
}

impl Drift {
    pub fn apply(self, world: &mut World, name: &MachineName) {
        if let (Some(cluster), Drift::Label | Drift::Record | Drift::Verified) = (&mut world.cluster, self) {
            match self {
                Drift::Label => cluster.nodes.get_mut(name.as_str()).into_iter().for_each(|node| node.labels.clear()),
                Drift::Record => drop(cluster.record.remove(&Record::Node(name.clone()))),
                _ => drop(cluster.record.remove(&Record::Verified)),
            }
        }
        if let (Some(cluster), Some(word)) = (&mut world.cluster, self.add_on()) {
            system::spoil(&mut cluster.add_ons, word);
        }
        if let (Some(cluster), Drift::EtcdFull) = (&mut world.cluster, self) {
            cluster.members.values_mut().take(1).for_each(|member| member.error = "Active Alarm(s): NOSPACE".to_owned());
        }
        // By what etcd holds: every API server does.
        for facts in world.machines.values_mut() {
            facts.api_denied |= matches!(self, Drift::Denied) && facts.kubernetes.control_plane;
        }
        let facts = world.machines.get_mut(name).expect("it is a machine");
        if let (Some(cluster), Drift::Tunnel) = (&mut world.cluster, self) {
            facts.vtep_mac = Some("2e:0b:00:00:00:01".to_owned());
            cluster.nodes.get_mut(name.as_str()).into_iter().for_each(|node| node.vtep_mac = "7e:86:00:00:00:01".to_owned());
        }
        let spoil = |facts: &mut Facts, path: &str| facts.files.entry(path.to_owned()).or_default().sha256 = "spoilt".to_owned();
        // A worker has none.
        let change = |facts: &mut Facts, pod: StaticPod| {
            facts.files.get_mut(&pod.manifest()).into_iter().for_each(|file| file.sha256 = "changed".to_owned());
        };
        match self {
            Drift::Swap => facts.swap.push("/dev/zram0".to_owned()),
            Drift::Sysctl => drop(facts.sysctls.insert("net.ipv4.ip_forward".to_owned(), "0".to_owned())),
            Drift::Module => facts.modules.clear(),
            Drift::Hostname => facts.hostname = "localhost".to_owned(),
            Drift::HostnameAtBoot => facts.hostname_at_boot = "locah".to_owned(),
            Drift::Hosts => facts.hosts.clear(),
            Drift::Clock => facts.clock_synchronized = false,
            Drift::Package => drop(facts.programs.remove("conntrack")),
            Drift::Program => spoil(facts, "/opt/hostler/current/bin/kubelet"),
            Drift::Link => drop(facts.links.insert("/opt/hostler/current".to_owned(), "sets/other".to_owned())),
            Drift::ContainerdFile => spoil(facts, "/etc/containerd/config.toml"),
            Drift::ContainerdFragment => {
                spoil(facts, "/etc/containerd/conf.d/no-more.toml");
                facts.containerd_pieces.get_or_insert_default().insert("no-more.toml".to_owned());
            }
            Drift::ContainerdStopped => facts.units.get_mut("containerd.service").into_iter().for_each(|unit| unit.active = false),
            Drift::KubeletFile => spoil(facts, "/etc/systemd/system/kubelet.service"),
            Drift::Manifest => change(facts, StaticPod::ApiServer),
            Drift::EtcdManifest => change(facts, StaticPod::Etcd),
            Drift::KubeletConfig => spoil(facts, "/var/lib/kubelet/config.yaml"),
            Drift::KubeletFlags => spoil(facts, "/var/lib/kubelet/kubeadm-flags.env"),
            Drift::KubeletStopped => facts.units.get_mut("kubelet.service").into_iter().for_each(|unit| unit.active = false),
            Drift::KubeletDisabled => facts.units.get_mut("kubelet.service").into_iter().for_each(|unit| unit.enabled = false),
            Drift::Image => drop(facts.images.pop_last()),
            Drift::CutPrograms => drop(facts.in_progress.insert(InProgress::Programs)),
            Drift::CutContainerd => drop(facts.in_progress.insert(InProgress::Containerd)),
            _ => {}
        }
    }

    /// What it spoils of the cluster's own.
    fn add_on(self) -> Option<&'static str> {
        Some(match self {
            Drift::FlannelGone => "flannel-gone",
            Drift::FlannelChanged => "flannel-changed",
            Drift::KubeProxyGone => "kube-proxy-gone",
            Drift::KubeProxyChanged => "kube-proxy-changed",
            Drift::CoreDnsGone => "coredns-gone",
            Drift::CoreDnsScaled => "coredns-scaled",
            Drift::DnsService => "kube-dns-changed",
            Drift::RoleGone => "rotation-gone",
            Drift::RoleWider => "role-wider",
            Drift::AdminsNarrower => "admins-narrower",
            Drift::ClusterDocument => "cluster-document-gone",
            Drift::KubeletDocument => "kubelet-document-gone",
            _ => return None,
        })
    }
}

/// The machines of the scene, and the cluster of those that are to be in one. The first is always, if any is.
pub fn world(scene: &Scene) -> World {
    let whole = inventory(scene.control_planes, false);
    let member = |number: usize| matches!(scene.starts[number], Start::Converged | Start::Drifted(_));
    let mut made = whole.clone();
    made.machines.retain(|machine, _| NAMES.iter().position(|name| *name == machine.as_str()).is_some_and(member));
    let mut world = World { machines: whole.machines.keys().map(|name| (name.clone(), blank())).collect(), ..World::default() };
    if member(0) {
        for _ in 0..3 {
            let plan = plan_for(&Goal::Up, &made, &manifests(), &world.seen()).expect("templates fit");
            plan.steps.iter().for_each(|step| world.apply(step).unwrap_or_else(|what| panic!("{what}")));
        }
    }
    for (number, start) in scene.starts.iter().enumerate() {
        let name = name(number);
        match start {
            Start::Half(count) if !member(0) || !member(number) => {
                let plan = plan_for(&Goal::Up, &whole, &manifests(), &world.seen()).expect("templates fit");
                let own = plan.steps.iter().filter(|step| step.machine == name && !joins(step) && prepares(step));
                let withdrawn =
                    plan.steps.iter().filter(|step| matches!(step.id.kind, StepKind::EtcdSpace | StepKind::WithdrawVerification));
                for step in withdrawn.chain(own.take(*count)) {
                    world.apply(step).unwrap_or_else(|what| panic!("{what}"));
                }
            }
            Start::Drifted(drifts) if member(0) => drifts.iter().for_each(|drift| drift.apply(&mut world, &name)),
            _ => {}
        }
    }
    for number in &scene.off {
        world.off.insert(name(*number), "connection timed out".to_owned());
    }
    world
}

fn joins(step: &Step) -> bool {
    matches!(step.id.kind, StepKind::Init | StepKind::Join)
}

fn prepares(step: &Step) -> bool {
    use hostler_core::step::Stage::{Containerd, Images, Prepare, Programs};
    matches!(step.stage, Prepare | Programs | Containerd | Images)
}

fn goal(verb: Verb) -> Goal {
    match verb {
        Verb::Up => Goal::Up,
        Verb::Add(number) => Goal::Add(name(number)),
        Verb::Rebuild(number) => Goal::Rebuild { machine: name(number), force_after: None },
        Verb::Remove(number) => Goal::Remove { machine: name(number), dead: true, force_after: None },
        Verb::Reset => Goal::Reset,
    }
}

/// Two steps that may run at the same time and must not: etcd takes one member at a time, and what all pods of a machine depend on is
/// restarted on one machine at a time.
fn side_by_side(plan: &Plan, world: &World) -> Vec<String> {
    let steps = plan.by_id();
    let member = |step: &&Step| matches!(&step.action, Action::Join(Join { pki: Some(_), .. }) | Action::RemoveMember(_) | Action::Init(_));
    let restart = |step: &&Step| restarts(&step.action, world.machines[step.machine.as_str()].kubernetes.joined);
    let mut found = Vec::new();
    for alone in [plan.steps.iter().filter(member).collect::<Vec<_>>(), plan.steps.iter().filter(restart).collect()] {
        for (number, one) in alone.iter().enumerate() {
            for other in alone[..number].iter().filter(|other| other.machine != one.machine) {
                if !reaches(&steps, &one.id, &other.id) && !reaches(&steps, &other.id, &one.id) {
                    found.push(format!("{} and {} may run side by side", one.id, other.id));
                }
            }
        }
    }
    found
}

/// What no fact holds: kubeadm init and join find the images they start.
fn images_missing(inventory: &Inventory, world: &World, step: &Step) -> Option<String> {
    if !joins(step) {
        return None;
    }
    let role = inventory.machines[step.machine.as_str()].role;
    let groups: &[ImageGroup] = match (role, step.id.kind == StepKind::Init) {
        (Role::ControlPlane, true) => &[ImageGroup::ControlPlane],
        (Role::ControlPlane, false) => &[ImageGroup::ControlPlane, ImageGroup::Node],
        (Role::Worker, _) => &[ImageGroup::Node],
    };
    let facts = &world.machines[step.machine.as_str()];
    let wanted = groups.iter().flat_map(|group| images(inventory, &manifest(), &step.machine, role, *group));
    wanted
        .into_iter()
        .find(|image| !facts.images.contains_key(&image.reference))
        .map(|image| format!("{} lacks {}", step.id, image.reference))
}

/// Carries steps out, the next one chosen by `choice` among those whose needs are met; after `cut` of them the run ends in the middle of the
/// next. A step that fails blocks those that need it.
fn carry_out(plan: &Plan, inventory: &Inventory, world: &mut World, mut choice: u64, cut: Option<usize>) -> Vec<String> {
    let mut failed = Vec::new();
    let mut done: BTreeSet<&StepId> = BTreeSet::new();
    let mut open: Vec<&Step> = plan.steps.iter().collect();
    for count in 0.. {
        let ready: Vec<usize> = (0..open.len()).filter(|at| open[*at].needs.iter().all(|need| done.contains(need))).collect();
        if ready.is_empty() {
            break;
        }
        // Knuth's multiplier: any choice will do, as long as it is the same every time.
        choice = choice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let step = open.remove(ready[(choice >> 33) as usize % ready.len()]);
        if cut == Some(count) {
            world.cut(step);
            break;
        }
        if let Some(what) = images_missing(inventory, world, step) {
            failed.push(what);
        }
        match world.apply(step) {
            Ok(()) => drop(done.insert(&step.id)),
            Err(what) => failed.push(what),
        }
    }
    failed
}

/// What is not as the verb promises, though nothing is left to do. What is refused, or can't be reached, may be otherwise.
fn end(scene: &Scene, world: &World, rest: &Plan) -> Vec<String> {
    let joined = |name: &MachineName| world.machines[name.as_str()].kubernetes.joined;
    let node = |name: &MachineName| world.cluster.as_ref().is_some_and(|cluster| cluster.nodes.contains_key(name.as_str()));
    let mut wrong = Vec::new();
    if scene.off.is_empty() && scene.goal.promises_all() && !rest.refusals.is_empty() {
        wrong.push("something is refused, though all can be reached".to_owned());
    }
    if !rest.refusals.is_empty() || !scene.off.is_empty() {
        return wrong;
    }
    let one = match scene.goal {
        Verb::Add(number) | Verb::Rebuild(number) | Verb::Remove(number) => Some(name(number)),
        Verb::Up | Verb::Reset => None,
    };
    for name in world.machines.keys().filter(|name| one.as_ref().is_none_or(|one| one == *name)) {
        let there = !matches!(scene.goal, Verb::Remove(_) | Verb::Reset);
        if joined(name) != there || node(name) != there {
            wrong.push(format!("{name}: joined {}, node {}", joined(name), node(name)));
        }
    }
    let members = world.cluster.iter().flat_map(|cluster| cluster.members.values()).count();
    if matches!(scene.goal, Verb::Up) && members != scene.control_planes {
        wrong.push(format!("etcd has {members} members"));
    }
    wrong
}

impl Verb {
    /// Whether the verb can be kept from nothing but what can't be reached.
    fn promises_all(self) -> bool {
        matches!(self, Verb::Up | Verb::Reset)
    }
}

/// PROPTEST_CASES says how many; without it, as many as take a few seconds.
pub fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(300)
}

/// Plans and carries out, at first in the scene's rounds, until nothing is left to do. An error says what is not as it has to be.
fn comes_to_rest(scene: &Scene) -> Result<(), String> {
    let holds = |condition: bool, what: &dyn Fn() -> String| if condition { Ok(()) } else { Err(what()) };
    let inventory = inventory(scene.control_planes, scene.changed);
    let mut world = world(scene);
    let mut goal = goal(scene.goal);
    let mut rounds = scene.rounds.iter().copied().chain(std::iter::repeat((7, None)));
    for round in 0.. {
        let (choice, cut) = rounds.next().expect("it has no end");
        let plan = plan_for(&goal, &inventory, &manifests(), &world.seen()).expect("templates fit");
        let wrong = [side_by_side(&plan, &world), needless(&plan)].concat();
        holds(wrong.is_empty(), &|| format!("round {round}: {wrong:?}"))?;
        if plan.steps.is_empty() {
            break;
        }
        let lines = || plan.steps.iter().map(Step::line).collect::<Vec<_>>();
        holds(round < 8, &|| format!("round {round} still has {:?}", lines()))?;
        let cut = cut.map(|cut| cut % plan.steps.len());
        let failed = carry_out(&plan, &inventory, &mut world, choice, cut);
        holds(failed.is_empty(), &|| format!("round {round}: {failed:?}, of {:#?}", lines()))?;
        // A run that was cut is run again as it was asked for.
        if cut.is_none() {
            goal = goal.next_goal();
        }
    }
    let again = plan_for(&goal, &inventory, &manifests(), &world.seen()).expect("templates fit");
    holds(again.steps.is_empty(), &|| "at rest there is nothing to do".to_owned())?;
    let up = plan_for(&Goal::Up, &inventory, &manifests(), &world.seen()).expect("templates fit");
    let vouched = !up.steps.is_empty() || !up.refusals.is_empty() || world.cluster.is_none() || !world.unverified;
    holds(vouched, &|| "nothing to do, though nobody verified what was changed".to_owned())?;
    let end = end(scene, &world, &again);
    holds(end.is_empty(), &|| format!("{end:?}; refused: {:?}", again.refusals))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_state_comes_to_rest(scene in scene()) {
        let rest = comes_to_rest(&scene);
        prop_assert!(rest.is_ok(), "{rest:?}");
    }
}

/// Scenes in which chance once found a defect.
#[test]
fn these_scenes_come_to_rest() {
    use Drift::{KubeletConfig, KubeletStopped};
    let starts = |drifts: &[Drift]| vec![Start::Converged, Start::Blank, Start::Blank, Start::Drifted(drifts.to_vec()), Start::Blank];
    // The drifted kubelet's configuration is not what the cluster has, which the verb does not renew.
    let stopped = |goal| Scene { changed: true, starts: starts(&[KubeletConfig, KubeletStopped]), goal, ..Scene::converged(1) };
    for scene in [stopped(Verb::Add(3)), stopped(Verb::Up)] {
        let rest = comes_to_rest(&scene);
        assert!(rest.is_ok(), "{scene:#?}: {}", rest.unwrap_err());
    }
}

/// Were needless needs not found, the test above would say nothing of them.
#[test]
fn a_needless_need_is_found() {
    let inventory = inventory(1, false);
    let world = World { machines: inventory.machines.keys().map(|name| (name.clone(), blank())).collect(), ..World::default() };
    let plan = plan_for(&Goal::Up, &inventory, &manifests(), &world.seen()).expect("templates fit");
    assert_eq!(needless(&plan), Vec::<String>::new());
    let with = |waits: (usize, StepKind), waited: (usize, StepKind)| {
        let mut plan = plan.clone();
        let id = waits.1.of(&name(waits.0));
        let step = plan.steps.iter_mut().find(|step| step.id == id).expect("it is in the plan");
        assert!(step.needs.insert(waited.1.of(&name(waited.0))), "{id}");
        plan
    };
    assert_eq!(needless(&with((1, StepKind::Join), (1, StepKind::Modules))).len(), 1);
    assert_eq!(needless(&with((0, StepKind::DeleteToken), (0, StepKind::Init))).len(), 1, "an output that is used is no exception");
    let circle = needless(&with((1, StepKind::Programs), (1, StepKind::Containerd)));
    assert!(circle.contains(&"rarity/programs waits for itself".to_owned()), "{circle:?}");
    let barriers = [
        (StepKind::Programs, 0, StepKind::Programs),
        (StepKind::Containerd, 1, StepKind::Containerd),
        (StepKind::Join, 1, StepKind::Join),
        (StepKind::Join, 0, StepKind::Flannel),
    ];
    for (waits, other, waited) in barriers {
        let told = needless(&with((2, waits), (other, waited)));
        assert!(told.iter().any(|what| what.ends_with("no reason is known")), "{waits:?} {waited:?}: {told:?}");
    }
}
