//! An upgrade that is interrupted anywhere goes on, and no mix of versions on the way breaks the rules of
//! <https://kubernetes.io/releases/version-skew-policy/>: [`World`](crate::world::World) refuses a kubelet that is newer than an API server.

use std::collections::BTreeSet;

use hostler_core::action::Action;
use hostler_core::action::kubeadm::{UpgradeControlPlane, UpgradeNode};
use hostler_core::document::Document;
use hostler_core::inventory::{Inventory, MachineName};
use hostler_core::manifest::Manifests;
use hostler_core::plan::lint::reaches;
use hostler_core::plan::{Goal, Plan, Step, plan_for, upgrade};
use hostler_core::record::{Applied, InProgress, Record};
use hostler_core::step::{ImageGroup, Stage, StepKind};
use hostler_core::version::{Versions, numbers};
use serde_yaml::Value;

use crate::case::{inventory, of_version, world_from};
use crate::files::{kubelet_config, manifests, switch, write};
use crate::system;
use crate::world::World;

const TO: &str = "1.36.3";

fn goal() -> Goal {
    Goal::Upgrade { to: TO.to_owned(), parallel: 1, now: false, force_after: None }
}

fn plan(goal: &Goal, inventory: &Inventory, world: &World, version: &str) -> Plan {
    let manifests: Manifests = of_version(version).into();
    plan_for(goal, inventory, &manifests, &world.seen()).expect("templates fit")
}

/// Plans and applies until nothing is left to do.
fn finish(inventory: &Inventory, world: &mut World) -> Result<(), String> {
    for _ in 0..4 {
        let plan = plan(&goal(), inventory, world, TO);
        if !plan.refusals.is_empty() {
            return Err(format!("refused: {:?}", plan.refusals));
        }
        if plan.steps.is_empty() {
            return Ok(());
        }
        for step in &plan.steps {
            world.apply(step)?;
        }
    }
    Err("it comes to no end".to_owned())
}

/// What is wrong at the end: everything runs the new version, no node is cordoned, and `up` has nothing to do.
fn wrong_at_the_end(inventory: &Inventory, world: &World) -> Option<String> {
    let cluster = world.cluster.as_ref()?;
    if cluster.version != TO || cluster.stored_version != TO {
        return Some(format!("the control plane is {} and {}", cluster.version, cluster.stored_version));
    }
    if let Some((name, node)) = cluster.nodes.iter().find(|(_, node)| node.version != TO || node.unschedulable || node.cordoned_by_hostler)
    {
        return Some(format!("node {name} is {}, cordoned: {}", node.version, node.unschedulable));
    }
    let up = plan(&Goal::Up, inventory, world, TO);
    (!up.steps.is_empty() || !up.refusals.is_empty()).then(|| format!("`up` would do {:?}, and refuses {:?}", up.steps, up.refusals))
}

#[test]
fn an_upgrade_that_is_interrupted_anywhere_goes_on() {
    let mut wrong = Vec::new();
    let mut cuts = 0;
    for name in ["home", "three", "vip", "five"] {
        let inventory = inventory(&Value::from(name));
        for from in ["1.35.4", "1.36.1"] {
            let begin = world_from(&inventory, from);
            let steps = plan(&goal(), &inventory, &begin, TO).steps;
            assert!(steps.iter().any(|step| step.id.kind == StepKind::UpgradeControlPlane), "{name} from {from}: {steps:?}");
            for at in 0..=steps.len() {
                let mut world = begin.clone();
                for step in &steps[..at] {
                    world.apply(step).unwrap_or_else(|what| panic!("{name} from {from}: {what}"));
                }
                steps.get(at).into_iter().for_each(|step| world.cut(step));
                cuts += 1;
                let what = || steps.get(at).map_or("the end".to_owned(), |step| step.id.to_string());
                match finish(&inventory, &mut world) {
                    Err(why) => wrong.push(format!("{name} from {from}, cut in {}: {why}", what())),
                    Ok(()) => wrong
                        .extend(wrong_at_the_end(&inventory, &world).map(|why| format!("{name} from {from}, cut in {}: {why}", what()))),
                }
            }
        }
    }
    assert!(cuts > 100, "only {cuts} cuts were tried");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is between the versions is no drift that `up` mends by restarting what was not drained.
#[test]
fn up_leaves_an_unfinished_upgrade_alone() {
    let inventory = inventory(&Value::from("home"));
    let begin = world_from(&inventory, "1.35.4");
    let steps = plan(&goal(), &inventory, &begin, TO).steps;
    let begun = steps.iter().position(|step| step.stage == Stage::InTurn).expect("it has some");
    for at in begun..steps.len() {
        let mut world = begin.clone();
        for step in &steps[..at] {
            world.apply(step).unwrap_or_else(|what| panic!("{what}"));
        }
        world.cut(&steps[at]);
        let cluster = world.cluster.clone().expect("there is one");
        let up = plan(&Goal::Up, &inventory, &world, &cluster.version);
        let kinds: BTreeSet<StepKind> = up.steps.iter().map(|step| step.id.kind).collect();
        let harmful = [StepKind::Programs, StepKind::KubeletUnit, StepKind::RenewControlPlane];
        assert!(!harmful.iter().any(|kind| kinds.contains(kind)), "cut in {}: {kinds:?}", steps[at].id);
    }
}

/// What may run side by side is one order of many in the tests above: here it is the needs that count.
#[test]
fn one_machine_at_a_time_and_no_kubelet_before_the_last_api_server() {
    for name in ["home", "three", "vip", "five"] {
        let inventory = inventory(&Value::from(name));
        let plan = plan(&goal(), &inventory, &world_from(&inventory, "1.35.4"), TO);
        let steps = plan.by_id();
        let of = |kinds: &[StepKind]| plan.steps.iter().filter(|step| kinds.contains(&step.id.kind)).collect::<Vec<_>>();
        let before = |first: StepKind, later: StepKind| {
            for (one, other) in of(&[first]).into_iter().flat_map(|one| of(&[later]).into_iter().map(move |other| (one, other))) {
                assert!(reaches(&steps, &other.id, &one.id), "{name}: {} may run before {}", other.id, one.id);
            }
        };
        before(StepKind::StagePrograms, StepKind::UpgradeControlPlane);
        before(StepKind::Images(ImageGroup::Node), StepKind::UpgradeControlPlane);
        before(StepKind::UpgradeControlPlane, StepKind::MakeWay);
        before(StepKind::UpgradeControlPlane, StepKind::UpgradeNode);
        before(StepKind::Uncordon, StepKind::Probe);
        let alone = of(&[StepKind::UpgradeControlPlane, StepKind::MakeWay, StepKind::UpgradeNode, StepKind::Uncordon]);
        for (number, one) in alone.iter().enumerate() {
            for other in &alone[..number] {
                assert!(reaches(&steps, &one.id, &other.id), "{name}: {} and {} may run side by side", other.id, one.id);
            }
        }
    }
}

/// Of workers, as many at once as was asked for, and no more; control planes stay one at a time.
#[test]
fn no_more_workers_are_away_at_once_than_was_asked_for() {
    for (name, most) in [("home", 2), ("five", 2), ("five", 3)] {
        let inventory = inventory(&Value::from(name));
        let goal = Goal::Upgrade { to: TO.to_owned(), parallel: most, now: false, force_after: None };
        let plan = plan(&goal, &inventory, &world_from(&inventory, "1.35.4"), TO);
        let steps = plan.by_id();
        let nodes: Vec<_> = plan.steps.iter().filter(|step| step.id.kind == StepKind::UpgradeNode).collect();
        let back = |step: &Step| StepKind::Uncordon.of(&step.id.machine);
        let ordered = |one: &Step, other: &Step| reaches(&steps, &one.id, &back(other)) || reaches(&steps, &other.id, &back(one));
        let is_worker = |step: &&&Step| !inventory.control_planes().any(|(other, _)| *other == step.id.machine);
        for one in &nodes {
            let beside = nodes.iter().filter(|other| other.id != one.id && !ordered(one, other)).count();
            assert!(beside < most, "{name}: {beside} beside {}", one.id);
            assert!(is_worker(&one) || beside == 0, "{name}: {beside} beside {}", one.id);
        }
        let workers: Vec<_> = nodes.iter().filter(is_worker).collect();
        assert!(!ordered(workers[0], workers[1]), "{name}: one waits for the other");
    }
}

/// Versions that a cluster may be found in, newest last: what an upgrade, a hand or another tool has left.
const FOUND: [&str; 6] = ["1.32.9", "1.33.5", "1.34.2", "1.35.4", "1.36.1", "1.36.3"];

fn minor(version: &str) -> u32 {
    numbers(version).expect("three numbers")[1]
}

/// The rules of the policy that the world breaks: API servers within one minor version of each other, kubelets not newer than any of them and
/// at most three older.
fn broken_rules(world: &World) -> BTreeSet<String> {
    let apis: Vec<u32> = world.api_versions.values().map(|version| minor(version)).collect();
    let (low, high) = (apis.iter().min().expect("one"), apis.iter().max().expect("one"));
    let mut broken = BTreeSet::new();
    if high - low > 1 {
        broken.insert("API servers are more than one minor version apart".to_owned());
    }
    for (name, node) in &world.cluster.as_ref().expect("there is one").nodes {
        if minor(&node.version) > *low {
            broken.insert(format!("the kubelet of {name} is newer than an API server"));
        }
        if minor(&node.version) + 3 < *high {
            broken.insert(format!("the kubelet of {name} is too old for an API server"));
        }
    }
    broken
}

/// Whatever mix of versions is found, no step breaks a rule that was kept before it, and in the end all are kept. What no single step up could
/// mend is refused.
#[test]
fn no_step_breaks_the_version_skew_policy_from_any_mix() {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    let versions = || proptest::collection::vec(0..FOUND.len(), 9);
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let (upgraded, refused) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let names = ["home", "three", "vip", "five"];
    let begun: Vec<(Inventory, World)> = names
        .iter()
        .map(|name| {
            let inventory = inventory(&Value::from(*name));
            let world = world_from(&inventory, "1.35.4");
            (inventory, world)
        })
        .collect();
    let outcome = runner.run(&(0..names.len(), versions(), 1..4_usize), |(which, found, parallel)| {
        let (inventory, mut world) = begun[which].clone();
        let control_planes: Vec<MachineName> = inventory.control_planes().map(|(name, _)| name.clone()).collect();
        for (name, at) in control_planes.iter().zip(&found) {
            world.api_versions.insert(name.clone(), FOUND[*at].to_owned());
        }
        let oldest = world.api_versions.values().min_by_key(|version| numbers(version)).expect("there is one").clone();
        if let Some(cluster) = &mut world.cluster {
            cluster.version.clone_from(&oldest);
            cluster.stored_version.clone_from(&oldest);
            for (node, at) in cluster.nodes.values_mut().zip(&found[control_planes.len()..]) {
                node.version = FOUND[*at].to_owned();
            }
        }
        let goal = Goal::Upgrade { to: TO.to_owned(), parallel, now: false, force_after: None };
        let plan = plan(&goal, &inventory, &world, TO);
        if !plan.refusals.is_empty() {
            refused.set(refused.get() + 1);
            prop_assert!(plan.steps.is_empty(), "{:?} and {} steps", plan.refusals, plan.steps.len());
            return Ok(());
        }
        upgraded.set(upgraded.get() + 1);
        for step in &plan.steps {
            if let Action::UpgradeControlPlane(action) = &step.action {
                let is = minor(&world.api_versions[&step.machine]);
                prop_assert!(is + 1 >= minor(&action.version), "{}: from 1.{is}", step.id);
            }
            let before = broken_rules(&world);
            world.apply(step).map_err(TestCaseError::fail)?;
            let more: Vec<String> = broken_rules(&world).difference(&before).cloned().collect();
            prop_assert!(more.is_empty(), "{}: {}", step.id, more.join("; "));
        }
        prop_assert_eq!(broken_rules(&world), BTreeSet::new(), "at the end");
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert!(upgraded.get() > 20 && refused.get() > 20, "{} were upgraded, {} refused", upgraded.get(), refused.get());
}

impl World {
    /// kubeadm makes the static pods of a control plane those of another version.
    ///
    /// # Errors
    /// The programs of that version are not there.
    pub fn upgrade_control_plane(&mut self, name: &MachineName, action: &UpgradeControlPlane) -> Result<(), String> {
        let UpgradeControlPlane { version, first, set, sha256, alone, .. } = action;
        self.keep_before_upgrade(name, *alone, set);
        let facts = self.machines.entry(name.clone()).or_default();
        if !facts.sets.contains(set) {
            return Err("its kubeadm is not there".to_owned());
        }
        facts.in_progress.remove(&InProgress::Upgrade);
        facts.applied.extend(sha256.iter().map(|sum| (Applied::Document(Document::Cluster), sum.clone())));
        kubelet_config(facts, version);
        manifests(facts, version);
        self.api_versions.insert(name.clone(), version.clone());
        if let (true, Some(cluster)) = (*first, &mut self.cluster) {
            cluster.stored_version.clone_from(version);
            cluster.record.extend(sha256.iter().map(|sum| (Record::Document(Document::Cluster), sum.clone())));
            system::kube_proxy_image(&mut cluster.add_ons, version);
            system::coredns(&mut cluster.add_ons, "10.96.0.10");
        }
        // Those whose turn has not come keep their own.
        let others = self.cluster.as_ref().map(|cluster| cluster.version.clone()).unwrap_or_default();
        let control_planes: Vec<MachineName> =
            self.machines.iter().filter(|(_, facts)| facts.kubernetes.control_plane).map(|(name, _)| name.clone()).collect();
        for other in &control_planes {
            self.api_versions.entry(other.clone()).or_insert_with(|| others.clone());
        }
        if let (Some(cluster), true) = (&mut self.cluster, control_planes.iter().all(|name| self.api_versions[name] == *version)) {
            cluster.version.clone_from(version);
        }
        Ok(())
    }

    /// containerd and kubelet of another version run on the machine.
    ///
    /// # Errors
    /// The programs are not there, or an API server is older.
    pub fn upgrade_node(&mut self, name: &MachineName, action: &UpgradeNode) -> Result<(), String> {
        let UpgradeNode { set, programs, containerd, sha256: sum, .. } = action;
        let facts = self.machines.entry(name.clone()).or_default();
        if !facts.sets.contains(set) {
            return Err("its programs are not there".to_owned());
        }
        switch(facts, set, programs);
        containerd.iter().for_each(|file| write(facts, file));
        facts.in_progress.remove(&InProgress::Containerd);
        facts.applied.insert(Applied::Document(Document::Kubelet), sum.clone());
        kubelet_config(facts, sum);
        let version = set.split('-').next().unwrap_or_default();
        let cluster = self.cluster.as_mut().ok_or("there is no cluster")?;
        let oldest = self.api_versions.values().chain([&cluster.version]).filter_map(|version| numbers(version)).min();
        if numbers(version) > oldest {
            return Err("a kubelet that is newer than an API server".to_owned());
        }
        cluster.nodes.get_mut(name.as_str()).into_iter().for_each(|node| node.version = version.to_owned());
        Ok(())
    }
}

/// Two minor versions are two runs, and of a version between that nobody knows the plan says so.
#[test]
fn an_upgrade_goes_through_every_minor_version() {
    let mut inventory = inventory(&"home".into());
    let world = world_from(&inventory, "1.34.2");
    let mut stages = |known: &[&str], to: &str| {
        inventory.versions = Versions::of(known);
        upgrade::stages(&inventory, &world.seen(), to)
    };
    let known = ["1.34.2", "1.34.9", "1.35.1", "1.35.4", "1.36.3"];
    assert_eq!(stages(&known, "1.36.3"), ["1.35.4", "1.36.3"]);
    assert_eq!(stages(&known, "1.35.1"), ["1.35.1"]);
    assert_eq!(stages(&known, "1.34.9"), ["1.34.9"]);
    assert_eq!(stages(&["1.34.2", "1.36.3"], "1.36.3"), ["1.36.3"], "the plan refuses it");
    assert_eq!(upgrade::stages(&inventory, &Default::default(), "1.36.3"), ["1.36.3"], "nothing is known of the cluster");
}
