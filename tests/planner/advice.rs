//! What hostler advises goes through the planner: from any state, following it ends in health, or at something that only a person can do. It
//! is never refused, and never leads in a circle.

use std::collections::{BTreeMap, BTreeSet};

use hostler_core::facts::{Facts, Observation};
use hostler_core::health::{Status, status};
use hostler_core::inventory::{Inventory, MachineName};
use hostler_core::plan::hint::{Command, Hint};
use hostler_core::plan::{Goal, Plan, plan_for};
use hostler_core::record::InProgress;
use proptest::prelude::*;

use crate::simulation::{Scene, inventory, manifests, name, scene, world};
use crate::world::World;

/// The goal of a command, where it is one that the simulation can follow. A snapshot, another cluster's end and what a person has to look at
/// are a person's choice.
fn goal(command: &Command) -> Option<Goal> {
    match command {
        Command::Up => Some(Goal::Up),
        Command::Add(machine) => Some(Goal::Add(machine.clone())),
        Command::Rebuild { machine, take_over: false } => Some(Goal::Rebuild { machine: machine.clone(), force_after: None }),
        Command::Rebuild { machine, take_over: true } => {
            let goal = Goal::Rebuild { machine: machine.clone(), force_after: None };
            Some(Goal::TakeOver { machines: [machine.clone()].into(), goal: Box::new(goal) })
        }
        Command::Remove { node, dead } => Some(Goal::Remove { machine: MachineName::new(node)?, dead: *dead, force_after: None }),
        Command::TakeOver(machine) => Some(Goal::TakeOver { machines: [machine.clone()].into(), goal: Box::new(Goal::Up) }),
        Command::Upgrade { to } => {
            let to = to.clone().unwrap_or_else(|| manifests().kubernetes().to_owned());
            Some(Goal::Upgrade { to, parallel: 1, now: false, force_after: None })
        }
        Command::Reboot(machine) => {
            Some(Goal::Reboot { machines: [machine.clone()].into(), packages: None, now: false, force_after: None, continues: false })
        }
        Command::Start => Some(Goal::Start),
        Command::Restore(_) | Command::Reset | Command::Snapshot | Command::Plan | Command::BundleEncoder => None,
    }
}

/// What is seen by those who want `goal`.
fn seen(world: &World, inventory: &Inventory, goal: &Goal) -> BTreeMap<MachineName, Observation> {
    let mut seen = world.seen();
    let asked = goal.asks(inventory);
    seen.retain(|name, _| asked.contains(name));
    seen
}

fn plan(world: &World, inventory: &Inventory, goal: &Goal) -> Plan {
    plan_for(goal, inventory, &manifests(), &seen(world, inventory, goal)).expect("templates fit")
}

fn told(world: &World, inventory: &Inventory) -> (Status, Plan) {
    let plan = plan(world, inventory, &Goal::Up);
    (status(inventory, &world.seen(), Some(&plan), Some(0)), plan)
}

/// The commands of a hint of which each is to lead out; of those that are to be run one after the other, the first.
fn alternatives(hint: &Hint) -> Vec<Command> {
    let mut commands = hint.commands();
    if matches!(hint, Hint::ChangeRole(_) | Hint::KeepAsIs { .. }) {
        commands.truncate(1);
    }
    commands
}

/// The commands in the words of a hint about `machine`, but for those that are to be run after something else, and those of a condition.
fn named(hint: &Hint, machine: Option<&MachineName>) -> Vec<(String, Goal)> {
    let text = hint.to_string();
    let pieces: Vec<&str> = text.split('`').collect();
    let of = |at: usize| {
        let (before, command) = (pieces[at - 1].trim_end(), pieces[at]);
        let later = ["then", "then run", "and run", "then upgrade", "remove it with"].iter().any(|end| before.ends_with(end));
        let words: Vec<&str> = command.strip_prefix("hostler ")?.split(' ').collect();
        let goal = match words.as_slice() {
            ["up"] => Goal::Up,
            ["reset"] => Goal::Reset,
            ["start"] => Goal::Start,
            ["add", name] => Goal::Add(MachineName::new(name)?),
            ["rebuild", name] => Goal::Rebuild { machine: MachineName::new(name)?, force_after: None },
            ["remove", name] => Goal::Remove { machine: MachineName::new(name)?, dead: false, force_after: None },
            ["remove", name, "--dead"] => Goal::Remove { machine: MachineName::new(name)?, dead: true, force_after: None },
            ["remove"] => Goal::Remove { machine: machine?.clone(), dead: false, force_after: None },
            _ => return None,
        };
        (!later).then(|| (command.to_owned(), goal))
    };
    (1..pieces.len()).step_by(2).filter_map(of).collect()
}

/// Whether nothing of what was asked for is done.
fn is_refused(plan: &Plan) -> bool {
    plan.steps.is_empty() && !plan.refusals.is_empty()
}

/// What is wrong with the advice that is given from here on.
fn wrong_advice(mut world: World, inventory: &Inventory) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut followed = BTreeSet::new();
    for _ in 0..8 {
        let (status, up) = told(&world, inventory);
        // Each way out of a refusal is one.
        for refusal in &up.refusals {
            for command in alternatives(&refusal.hint) {
                let Some(goal) = goal(&command) else { continue };
                let then = plan(&world, inventory, &goal);
                if is_refused(&then) {
                    wrong.push(format!("{:?} hints at {command}, which is refused: {:?}", refusal.why, then.refusals));
                }
            }
        }
        if status.healthy {
            return wrong;
        }
        let Some(next) = &status.next else {
            wrong.push(format!("no way out of {:?}", status.problems));
            return wrong;
        };
        let ways: Vec<(Command, Goal)> =
            alternatives(next).into_iter().filter_map(|command| Some((command.clone(), goal(&command)?))).collect();
        for (command, goal) in &ways {
            let then = plan(&world, inventory, goal);
            if is_refused(&then) {
                wrong.push(format!("next: {next}; but {command} is refused: {:?}", then.refusals));
            }
        }
        let Some((command, goal)) = ways.into_iter().next() else { return wrong };
        if !followed.insert(format!("{command} {:?}", status.problems)) {
            wrong.push(format!("in a circle: {next} from {:?}", status.problems));
            return wrong;
        }
        let mut goal = goal;
        for _ in 0..3 {
            let plan = plan(&world, inventory, &goal);
            if plan.steps.is_empty() {
                break;
            }
            for step in &plan.steps {
                // What fails blocks what needs it; the next look tells.
                if world.apply(step).is_err() {
                    break;
                }
            }
            goal = goal.next_goal();
        }
    }
    wrong.push("no end of advice".to_owned());
    wrong
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn advice_leads_out_of_every_state(scene in scene()) {
        let inventory = inventory(scene.control_planes, scene.changed);
        let wrong = wrong_advice(world(&scene), &inventory);
        prop_assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// Every verb, of every machine where it concerns one.
fn goals(inventory: &Inventory) -> Vec<Goal> {
    let all = [
        Goal::Up,
        Goal::Upgrade { to: manifests().kubernetes().to_owned(), parallel: 1, now: false, force_after: None },
        Goal::RollBack { now: true, force_after: None, continues: false },
        Goal::Reboot {
            machines: inventory.machines.keys().cloned().collect(),
            packages: None,
            now: false,
            force_after: None,
            continues: false,
        },
        Goal::Shutdown { now: true },
        Goal::Start,
        Goal::Reset,
    ];
    let each = inventory.machines.keys().cloned().flat_map(|machine| {
        [
            Goal::Add(machine.clone()),
            Goal::Rebuild { machine: machine.clone(), force_after: None },
            Goal::Remove { machine: machine.clone(), dead: false, force_after: None },
            Goal::Remove { machine: machine.clone(), dead: true, force_after: None },
            Goal::Reboot { machines: [machine].into(), packages: None, now: false, force_after: None, continues: false },
        ]
    });
    all.into_iter().chain(each).collect()
}

/// The ways out of what the verbs refuse here that are refused, too.
fn dead_ends(world: &World, inventory: &Inventory) -> BTreeSet<String> {
    let mut wrong = BTreeSet::new();
    for asked in goals(inventory) {
        for refusal in plan(world, inventory, &asked).refusals {
            for command in alternatives(&refusal.hint) {
                let Some(goal) = goal(&command) else { continue };
                let then = plan(world, inventory, &goal);
                if is_refused(&then) {
                    let refused: Vec<String> = then.refusals.iter().map(|refusal| format!("{:?}", refusal.why)).collect();
                    wrong.insert(format!("{asked:?}: {:?} hints at {command}, which is refused: {}", refusal.why, refused.join("; ")));
                }
            }
            for (command, goal) in named(&refusal.hint, refusal.machine.as_ref()) {
                let then = plan(world, inventory, &goal);
                if is_refused(&then) {
                    let refused: Vec<String> = then.refusals.iter().map(|refusal| format!("{:?}", refusal.why)).collect();
                    wrong.insert(format!("{asked:?}: {:?} names {command}, which is refused: {}", refusal.why, refused.join("; ")));
                }
            }
        }
    }
    wrong
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_verb_hints_at_what_is_refused(scene in scene()) {
        let inventory = inventory(scene.control_planes, scene.changed);
        let wrong = dead_ends(&world(&scene), &inventory);
        prop_assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
    }
}

type Damage = (&'static str, fn(&mut Facts));

/// What can be wrong with one machine.
const DAMAGES: &[Damage] = &[
    ("its API server's manifest is missing", |facts| {
        facts.kubernetes.missing = vec!["/etc/kubernetes/manifests/kube-apiserver.yaml".to_owned()]
    }),
    ("admin.conf is missing", |facts| facts.kubernetes.missing = vec!["/etc/kubernetes/admin.conf".to_owned()]),
    ("kubelet's certificate is missing", |facts| {
        facts.kubernetes.missing = vec!["/var/lib/kubelet/pki/kubelet-client-current.pem".to_owned()]
    }),
    ("the CA's key is missing", |facts| facts.kubernetes.missing = vec!["/etc/kubernetes/pki/ca.key".to_owned()]),
    ("etcd's data is missing", |facts| facts.kubernetes.missing = vec!["/var/lib/etcd/member".to_owned()]),
    ("a file is cut", |facts| facts.kubernetes.damaged = vec!["/etc/kubernetes/kubelet.conf".to_owned()]),
    ("kubelet's certificate has expired", |facts| facts.kubernetes.certificates.extend([("kubelet-client".to_owned(), facts.clock - 1)])),
    ("the API server's certificate has expired", |facts| facts.kubernetes.certificates.extend([("apiserver".to_owned(), facts.clock - 1)])),
    ("a wipe was interrupted", |facts| facts.in_progress.extend([InProgress::Wipe])),
    ("a join was interrupted", |facts| facts.in_progress.extend([InProgress::Join])),
    ("its disk is read-only", |facts| facts.read_only.extend(["/".to_owned()])),
    ("its disk is full", |facts| (facts.disk_size, facts.disk_free) = (100 << 20, 1 << 10)),
    ("k3s is on it", |facts| facts.foreign.push("k3s".to_owned())),
    ("its clock is wrong", |facts| facts.clock_ahead = Some(4000)),
    ("it is of another cluster", |facts| {
        facts.kubernetes.ca = Some("another".to_owned());
        facts.kubernetes.server = Some("https://10.0.0.1:6443".to_owned());
    }),
    ("it has another role", |facts| facts.kubernetes.control_plane = !facts.kubernetes.control_plane),
    ("kubelet is down", |facts| facts.units.get_mut("kubelet.service").into_iter().for_each(|unit| unit.active = false)),
];

#[test]
fn advice_leads_out_of_every_damage() {
    let mut wrong = Vec::new();
    for control_planes in [1, 3] {
        let inventory = inventory(control_planes, false);
        let well = world(&Scene::converged(control_planes));
        for machine in [0, 4] {
            for (what, damage) in DAMAGES {
                let mut world = well.clone();
                damage(world.machines.get_mut(&name(machine)).expect("it is a machine"));
                let dead_ends = dead_ends(&world, &inventory);
                wrong.extend(
                    dead_ends.into_iter().map(|found| format!("{control_planes} control planes, {}: {what}: {found}", name(machine))),
                );
                let found = wrong_advice(world, &inventory);
                wrong.extend(found.into_iter().map(|found| format!("{control_planes} control planes, {}: {what}: {found}", name(machine))));
            }
            for why in ["connection timed out", "sudo failed"] {
                let mut world = well.clone();
                world.off.insert(name(machine), why.to_owned());
                let dead_ends = dead_ends(&world, &inventory);
                wrong.extend(
                    dead_ends.into_iter().map(|found| format!("{control_planes} control planes, {}: {why}: {found}", name(machine))),
                );
                let found = wrong_advice(world, &inventory);
                wrong.extend(found.into_iter().map(|found| format!("{control_planes} control planes, {}: {why}: {found}", name(machine))));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
