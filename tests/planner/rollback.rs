//! An upgrade that was interrupted anywhere can be rolled back until the first worker's turn, and a rollback that was interrupted anywhere
//! continues, or makes way for the upgrade again.

use std::collections::{BTreeMap, BTreeSet};

use hostler_core::action::rollback::{RollBackControlPlane, RollBackNode, RollBackShared};
use hostler_core::document::Document;
use hostler_core::facts::{BeforeUpgrade, ClusterFacts};
use hostler_core::inventory::{Inventory, MachineName, Role};
use hostler_core::manifest::Manifests;
use hostler_core::plan::lint::reaches;
use hostler_core::plan::rollback::version_before;
use hostler_core::plan::{Goal, Plan, plan_for, wanted};
use hostler_core::protocol::path;
use hostler_core::record::{Applied, InProgress, Record};
use hostler_core::step::StepKind;
use hostler_core::trusted::trusted_of;
use hostler_core::version::numbers;
use serde_yaml::Value;

use crate::case::{inventory, of_version, world_from};
use crate::files::{kubelet_config, manifests, switch, write};
use crate::system;
use crate::world::World;

const TO: &str = "1.36.3";

fn roll_back() -> Goal {
    Goal::RollBack { now: false, force_after: None, continues: false }
}

fn upgrade() -> Goal {
    Goal::Upgrade { to: TO.to_owned(), parallel: 1, now: false, force_after: None }
}

fn plan(goal: &Goal, inventory: &Inventory, world: &World, version: &str) -> Plan {
    let manifests: Manifests = of_version(version).into();
    plan_for(goal, inventory, &manifests, &world.seen()).expect("templates fit")
}

/// Plans and applies until nothing is left to do.
fn finish(mut goal: Goal, inventory: &Inventory, world: &mut World, version: &str) -> Result<(), String> {
    for _ in 0..4 {
        let plan = plan(&goal, inventory, world, version);
        if !plan.refusals.is_empty() {
            return Err(format!("refused: {:?}", plan.refusals));
        }
        if plan.steps.is_empty() {
            return Ok(());
        }
        for step in &plan.steps {
            world.apply(step)?;
        }
        goal = goal.next_goal();
    }
    Err("it comes to no end".to_owned())
}

/// What is not of `version` at the end, or left to do for `up`.
fn wrong_at_the_end(inventory: &Inventory, world: &World, version: &str) -> Option<String> {
    let cluster = world.cluster.as_ref()?;
    if cluster.version != version || cluster.stored_version != version || world.api_versions.values().any(|is| is != version) {
        return Some(format!("the control plane is {} and {}: {:?}", cluster.version, cluster.stored_version, world.api_versions));
    }
    if let Some((name, node)) =
        cluster.nodes.iter().find(|(_, node)| node.version != version || node.unschedulable || node.cordoned_by_hostler)
    {
        return Some(format!("node {name} is {}, cordoned: {}", node.version, node.unschedulable));
    }
    if let Some((name, _)) = world.machines.iter().find(|(_, facts)| facts.before_upgrade.is_some()) {
        return Some(format!("{name} keeps what a rollback would need"));
    }
    let up = plan(&Goal::Up, inventory, world, version);
    (!up.steps.is_empty() || !up.refusals.is_empty()).then(|| format!("`up` would do {:?}, and refuses {:?}", up.steps, up.refusals))
}

/// Every state in which an upgrade can be interrupted before the first worker's turn, with the step in which it was.
fn interrupted(inventory: &Inventory, from: &str) -> Vec<(String, World)> {
    let begin = world_from(inventory, from);
    let steps = plan(&upgrade(), inventory, &begin, TO).steps;
    let is_worker = |name: &MachineName| inventory.machines.get(name).is_some_and(|machine| machine.role == Role::Worker);
    let begun = steps.iter().position(|step| step.id.kind == StepKind::UpgradeControlPlane).expect("there is one");
    let end = steps.iter().position(|step| step.id.kind == StepKind::UpgradeNode && is_worker(&step.machine)).unwrap_or(steps.len() - 1);
    let at = |at: usize| {
        let mut world = begin.clone();
        steps[..at].iter().for_each(|step| world.apply(step).unwrap_or_else(|what| panic!("{what}")));
        // A worker's own turn is what can't be taken back.
        if at < end {
            world.cut(&steps[at]);
        }
        (steps[at].id.to_string(), world)
    };
    (begun..=end).map(at).collect()
}

#[test]
fn an_upgrade_that_is_interrupted_anywhere_is_rolled_back_and_so_is_its_rollback() {
    let (mut wrong, mut cuts) = (Vec::new(), 0);
    for name in ["home", "three", "vip"] {
        let inventory = inventory(&Value::from(name));
        for from in ["1.35.4", "1.36.1"] {
            for (upgraded, begin) in interrupted(&inventory, from) {
                let steps = plan(&roll_back(), &inventory, &begin, from).steps;
                if !steps.iter().any(|step| step.id.kind == StepKind::RollBackControlPlane) {
                    wrong.push(format!("{name} from {from}, cut in {upgraded}: {steps:?}"));
                }
                for at in 0..=steps.len() {
                    let mut world = begin.clone();
                    if let Some(what) = steps[..at].iter().find_map(|step| world.apply(step).err()) {
                        wrong.push(format!("{name} from {from}, cut in {upgraded}: {what}"));
                        break;
                    }
                    steps.get(at).into_iter().for_each(|step| world.cut(step));
                    cuts += 1;
                    let place = steps.get(at).map_or("the end".to_owned(), |step| step.id.to_string());
                    let mut again = world.clone();
                    let goal = match at == steps.len() {
                        true => roll_back().next_goal(),
                        false => roll_back(),
                    };
                    for (what, goal, world, version) in [("back", goal, &mut world, from), ("forth", upgrade(), &mut again, TO)] {
                        // The API server of the only control plane is down, and nothing but a rollback begins there.
                        let down = world
                            .seen()
                            .values()
                            .all(|seen| seen.facts().is_none_or(|facts| facts.api_down.is_some() || facts.cluster.is_none()));
                        if what == "forth" && down {
                            continue;
                        }
                        let end = finish(goal, &inventory, world, version).err().or_else(|| wrong_at_the_end(&inventory, world, version));
                        wrong.extend(end.map(|why| format!("{name} from {from}, cut in {upgraded} and {place}, {what}: {why}")));
                    }
                }
            }
        }
    }
    assert!(cuts > 300, "only {cuts} cuts were tried");
    assert!(wrong.is_empty(), "{} of {cuts}:\n{}", wrong.len(), wrong.join("\n"));
}

/// The steps of a plan but the last ones, which delete what was kept.
fn all_but_the_end(goal: &Goal, inventory: &Inventory, world: &mut World, version: &str) {
    for step in plan(goal, inventory, world, version).steps.iter().filter(|step| step.id.kind != StepKind::EndUpgrade) {
        world.apply(step).unwrap_or_else(|what| panic!("{what}"));
    }
}

/// What is kept of an upgrade that has come to its end, or was rolled back, is of a state that the cluster has left: `up` deletes it, and the next
/// upgrade keeps what is there then.
#[test]
fn what_an_upgrade_left_behind_comes_back_with_no_later_rollback() {
    for (name, from, ended, to) in
        [("home", "1.35.4", "1.35.4", "1.36.3"), ("three", "1.35.4", "1.35.4", "1.36.3"), ("vip", "1.36.1", "1.36.1", "1.36.3")]
            .into_iter()
            .chain(["home", "three", "vip"].map(|name| (name, "1.35.4", "1.36.1", "1.36.3")))
    {
        let inventory = inventory(&Value::from(name));
        let goal = |to: &str| Goal::Upgrade { to: to.to_owned(), parallel: 1, now: false, force_after: None };
        let mut world = world_from(&inventory, from);
        if from == ended {
            (_, world) = interrupted(&inventory, from).pop().expect("there is one");
            all_but_the_end(&roll_back(), &inventory, &mut world, from);
        } else {
            all_but_the_end(&goal(ended), &inventory, &mut world, ended);
        }
        assert!(world.machines.values().any(|facts| facts.before_upgrade.is_some()), "{name} from {from}");
        let mut ends = world.clone();
        let steps = plan(&Goal::Up, &inventory, &ends, ended).steps;
        assert!(steps.iter().all(|step| step.id.kind == StepKind::EndUpgrade), "{name} from {from}: {steps:?}");
        finish(Goal::Up, &inventory, &mut ends, ended).unwrap_or_else(|why| panic!("{name} from {from}: {why}"));
        assert_eq!(wrong_at_the_end(&inventory, &ends, ended), None, "{name} from {from}");
        // Weeks later.
        let later = |world: &mut World| {
            world.cluster.as_mut().expect("it runs").nodes.values_mut().for_each(|node| node.message = "later".to_owned())
        };
        later(&mut world);
        let steps = plan(&goal(to), &inventory, &world, to).steps;
        let begun = steps.iter().position(|step| step.id.kind == StepKind::UpgradeControlPlane).expect("there is one");
        for at in [begun, begun + 1] {
            let mut world = world.clone();
            steps[..at].iter().for_each(|step| world.apply(step).unwrap_or_else(|what| panic!("{what}")));
            world.cut(&steps[at]);
            let place = format!("{name} from {from} over {ended}, cut in {}", steps[at].id);
            let back = version_before(&trusted_of(&inventory, &world.seen()), &inventory).map(str::to_owned);
            assert_eq!(back.as_deref(), Some(ended), "{place}");
            finish(roll_back(), &inventory, &mut world, ended).unwrap_or_else(|why| panic!("{place}: {why}"));
            assert_eq!(wrong_at_the_end(&inventory, &world, ended), None, "{place}");
            let nodes = &world.cluster.as_ref().expect("it runs").nodes;
            assert!(nodes.values().all(|node| node.message == "later"), "{place}: older data came back");
        }
    }
}

/// No kubelet is newer than an API server, and no two machines are away at once.
#[test]
fn a_rollback_goes_one_machine_at_a_time_and_kubelets_go_first() {
    for name in ["three", "vip"] {
        let inventory = inventory(&Value::from(name));
        let (_, world) = interrupted(&inventory, "1.35.4").pop().expect("there is one");
        let plan = plan(&roll_back(), &inventory, &world, "1.35.4");
        let steps = plan.by_id();
        let of = |kinds: &[StepKind]| plan.steps.iter().filter(|step| kinds.contains(&step.id.kind)).collect::<Vec<_>>();
        assert_eq!((of(&[StepKind::RollBackNode]).len(), of(&[StepKind::RollBackControlPlane]).len()), (3, 3), "{name}");
        for (kubelet, pods) in of(&[StepKind::RollBackNode])
            .into_iter()
            .flat_map(|one| of(&[StepKind::RollBackControlPlane]).into_iter().map(move |other| (one, other)))
        {
            assert!(reaches(&steps, &pods.id, &kubelet.id), "{name}: {} may run before {}", pods.id, kubelet.id);
        }
        let alone = of(&[StepKind::RollBackNode, StepKind::RollBackShared, StepKind::RollBackControlPlane, StepKind::MakeWay]);
        for (number, one) in alone.iter().enumerate() {
            for other in &alone[..number] {
                assert!(reaches(&steps, &one.id, &other.id), "{name}: {} and {} may run side by side", other.id, one.id);
            }
        }
    }
}

/// From a worker's turn on, the way is forth.
#[test]
fn nothing_is_rolled_back_once_a_worker_is_upgraded() {
    for name in ["home", "three"] {
        let inventory = inventory(&Value::from(name));
        let mut world = world_from(&inventory, "1.36.1");
        let steps = plan(&upgrade(), &inventory, &world, TO).steps;
        let mut upgraded = BTreeSet::new();
        for step in &steps {
            world.cut(step);
            if step.id.kind == StepKind::UpgradeNode && !inventory.control_planes().any(|(other, _)| *other == step.machine) {
                upgraded.insert(&step.machine);
            }
            let back = plan(&roll_back(), &inventory, &world, "1.36.1");
            let refused: BTreeSet<_> =
                back.refusals.iter().filter(|one| one.why.code() == "worker-upgraded").filter_map(|one| one.machine.as_ref()).collect();
            assert_eq!(refused, upgraded, "{name}, cut in {}", step.id);
            assert!(refused.is_empty() || back.steps.is_empty(), "{name}, cut in {}: {:?}", step.id, back.steps);
            world.apply(step).unwrap_or_else(|what| panic!("{what}"));
        }
        assert!(!upgraded.is_empty(), "{name}");
    }
}

/// What is kept of a machine beside what its facts tell: its record, and what etcd held.
pub type Kept = (BTreeMap<Applied, String>, Option<ClusterFacts>);

impl World {
    /// What an upgrade of a control plane does first.
    pub fn keep_before_upgrade(&mut self, name: &MachineName, etcd: bool, new: &str) {
        let Some(facts) = self.machines.get_mut(name) else { return };
        let set = facts.links.get(wanted::CURRENT).and_then(|link| link.strip_prefix(path::CURRENT_BEGINS)).unwrap_or_default().to_owned();
        if !facts.in_progress.contains(&InProgress::Upgrade) {
            facts.before_upgrade.take_if(|kept| kept.back || kept.set != set && set != new);
        }
        if facts.before_upgrade.is_none() {
            self.kept.insert(name.clone(), (facts.applied.clone(), self.cluster.clone()));
        }
        let since = facts.clock;
        facts.before_upgrade.get_or_insert(BeforeUpgrade { set, since, etcd, back: false }).back = false;
    }

    /// containerd and kubelet are what they were before an upgrade.
    ///
    /// # Errors
    /// The programs are not there, or nothing was kept.
    pub fn roll_back_node(&mut self, name: &MachineName, action: &RollBackNode) -> Result<(), String> {
        let facts = self.machines.entry(name.clone()).or_default();
        if !facts.sets.contains(&action.set) || facts.before_upgrade.is_none() {
            return Err("what was kept is not there".to_owned());
        }
        switch(facts, &action.set, &action.programs);
        action.containerd.iter().for_each(|file| write(facts, file));
        facts.in_progress.remove(&InProgress::Containerd);
        let version = action.set.split('-').next().unwrap_or_default();
        kubelet_config(facts, version);
        let cluster = self.cluster.as_mut().ok_or("there is no cluster")?;
        cluster.nodes.get_mut(name.as_str()).into_iter().for_each(|node| node.version = version.to_owned());
        Ok(())
    }

    /// kube-proxy, CoreDNS and ClusterConfiguration are what they were.
    pub fn roll_back_shared(&mut self, action: &RollBackShared) {
        let Some(cluster) = &mut self.cluster else { return };
        cluster.stored_version.clone_from(&action.version);
        cluster.record.insert(Record::Document(Document::Cluster), action.sha256.clone());
        system::kube_proxy_image(&mut cluster.add_ons, &action.version);
        system::coredns(&mut cluster.add_ons, "10.96.0.10");
    }

    /// The static pods are what they were, and of the only control plane etcd's data, too.
    ///
    /// # Errors
    /// The programs are not there, nothing was kept, or a kubelet would be newer.
    pub fn roll_back_control_plane(&mut self, name: &MachineName, action: &RollBackControlPlane) -> Result<(), String> {
        let RollBackControlPlane { version, set, etcd, .. } = action;
        let facts = self.machines.entry(name.clone()).or_default();
        let Some(kept) = facts.before_upgrade.as_mut().filter(|kept| kept.etcd || etcd.is_none()) else {
            return Err("nothing was kept".to_owned());
        };
        kept.back = true;
        if !facts.sets.contains(set) {
            return Err("the programs are not there".to_owned());
        }
        facts.in_progress.remove(&InProgress::Upgrade);
        facts.kubernetes.missing.clear();
        facts.kubernetes.etcd_data = true;
        facts.units.entry("kubelet.service".to_owned()).or_default().active = true;
        let (applied, held) = self.kept.get(name).cloned().ok_or("nothing was kept")?;
        facts.applied = applied;
        kubelet_config(facts, version);
        manifests(facts, version);
        if etcd.is_some() {
            self.cluster = held;
            self.cluster.as_mut().map(|cluster| cluster.record.remove(&Record::Verified));
        }
        let control_planes: Vec<MachineName> =
            self.machines.iter().filter(|(_, facts)| facts.kubernetes.control_plane).map(|(name, _)| name.clone()).collect();
        let cluster = self.cluster.as_mut().ok_or("there is no cluster")?;
        if cluster.nodes.values().any(|node| numbers(&node.version) > numbers(version)) {
            return Err("a kubelet that is newer than an API server".to_owned());
        }
        for other in &control_planes {
            self.api_versions.entry(other.clone()).or_insert_with(|| cluster.version.clone());
        }
        self.api_versions.insert(name.clone(), version.clone());
        if control_planes.iter().all(|name| self.api_versions[name] == *version) {
            cluster.version.clone_from(version);
        }
        Ok(())
    }
}
