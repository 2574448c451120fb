//! Machines that are restarted or switched off: a run that is interrupted anywhere goes on, restarts no machine twice, and never takes etcd's
//! quorum where there is one to keep.

use std::collections::{BTreeMap, BTreeSet};

use hostler_core::action::Action;
use hostler_core::action::power::{OsPackages, Reboot};
use hostler_core::inventory::{Inventory, MachineName};
use hostler_core::plan::lint::reaches;
use hostler_core::plan::{Goal, Plan, Step, plan_for};
use hostler_core::record::InProgress;
use hostler_core::step::StepKind;
use serde_yaml::Value;

use crate::case::{BOOT, inventory, manifest, world_of};
use crate::world::{World, restart};

const INVENTORIES: [&str; 5] = ["home", "three", "vip", "five", "films"];

fn all(inventory: &Inventory) -> Goal {
    Goal::Reboot { machines: inventory.machines.keys().cloned().collect(), packages: None, now: false, force_after: None, continues: false }
}

fn plan(goal: &Goal, inventory: &Inventory, world: &World) -> Plan {
    plan_for(goal, inventory, &manifest().into(), &world.seen()).expect("templates fit")
}

/// Plans and applies until nothing is left to do, as `apply` does.
fn finish(mut goal: Goal, inventory: &Inventory, world: &mut World) -> Result<(), String> {
    for _ in 0..4 {
        let plan = plan(&goal, inventory, world);
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

/// How often each machine was restarted.
fn restarts(world: &World) -> BTreeMap<&MachineName, u64> {
    let ticks = |boot: &str| boot.rsplit_once('-').and_then(|(_, ticks)| ticks.parse::<u64>().ok()).expect("a number");
    world.machines.iter().map(|(name, facts)| (name, (ticks(&facts.boot) - ticks(BOOT)) / 1000)).collect()
}

/// What is wrong at the end, unless every machine was restarted once.
fn wrong_at_the_end(inventory: &Inventory, world: &World) -> Option<String> {
    if let Some((name, times)) = restarts(world).into_iter().find(|(_, times)| *times != 1) {
        return Some(format!("{name} was restarted {times} times"));
    }
    let cordoned = |world: &World| world.cluster.iter().flat_map(|cluster| &cluster.nodes).any(|(_, node)| node.unschedulable);
    let up = plan(&Goal::Up, inventory, world);
    (cordoned(world) || !up.steps.is_empty() || !up.refusals.is_empty())
        .then(|| format!("`up` would do {:?}", up.steps.iter().map(|step| step.id.to_string()).collect::<Vec<_>>()))
}

#[test]
fn a_reboot_that_is_interrupted_anywhere_continues_and_restarts_no_machine_twice() {
    let mut wrong = Vec::new();
    let mut cuts = 0;
    for name in INVENTORIES {
        let inventory = inventory(&Value::from(name));
        let begin = world_of(&inventory);
        let steps = plan(&all(&inventory), &inventory, &begin).steps;
        assert_eq!(steps.iter().filter(|step| step.id.kind == StepKind::Reboot).count(), inventory.machines.len(), "{name}");
        for at in 0..=steps.len() {
            // In the middle of a restart: before the machine has gone down, and after.
            for goes_down in [false, true] {
                let mut world = begin.clone();
                for step in &steps[..at] {
                    world.apply(step).unwrap_or_else(|what| panic!("{name}: {what}"));
                }
                if goes_down {
                    steps.get(at).into_iter().for_each(|step| world.cut(step));
                }
                cuts += 1;
                // Once the record is empty the run has ended, and the same words ask for another.
                let ended = at == steps.len();
                let goal = if ended { all(&inventory).next_goal() } else { all(&inventory) };
                let what = || steps.get(at).map_or("the end".to_owned(), |step| step.id.to_string());
                let why = finish(goal, &inventory, &mut world).err().or_else(|| wrong_at_the_end(&inventory, &world));
                wrong.extend(why.map(|why| format!("{name}, cut in {}: {why}", what())));
            }
        }
    }
    assert!(cuts > 150, "only {cuts} cuts were tried");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong once all machines but the first had packages to upgrade: `named`, all are restarted, else those that were upgraded; `cut`
/// went down in the middle of it.
fn wrong_after_upgrades(inventory: &Inventory, world: &World, named: bool, cut: Option<&MachineName>) -> Option<String> {
    for (number, (name, times)) in restarts(world).into_iter().enumerate() {
        let is_first = inventory.machines.keys().next() == Some(name);
        let expected = u64::from(named || !is_first);
        if times != if cut == Some(name) { 2 } else { expected } {
            return Some(format!("{name} ({number}) was restarted {times} times"));
        }
    }
    let half = world.machines.values().any(|facts| facts.in_progress.contains(&InProgress::Packages));
    let left = half || !world.old_packages.is_empty() || !world.upgraded_packages.is_empty();
    let cordoned = world.cluster.iter().flat_map(|cluster| &cluster.nodes).any(|(_, node)| node.unschedulable);
    let up = plan(&Goal::Up, inventory, world);
    let what = format!("packages are left: {left}; cordoned: {cordoned}; `up` would do {} steps", up.steps.len());
    (left || cordoned || !up.steps.is_empty() || !up.refusals.is_empty()).then_some(what)
}

#[test]
fn an_upgrade_of_packages_that_is_interrupted_anywhere_is_finished_by_the_same_command() {
    let mut wrong = Vec::new();
    for name in INVENTORIES {
        let inventory = inventory(&Value::from(name));
        for named in [false, true] {
            let machines: BTreeSet<MachineName> = inventory.machines.keys().filter(|_| named).cloned().collect();
            let goal = Goal::Reboot { machines, packages: Some(OsPackages::All), now: false, force_after: None, continues: false };
            let mut begin = world_of(&inventory);
            begin.old_packages = inventory.machines.keys().skip(1).cloned().collect();
            let steps = plan(&goal, &inventory, &begin).steps;
            let upgrades = steps.iter().filter(|step| step.id.kind == StepKind::UpgradePackages).count();
            assert_eq!(upgrades, inventory.machines.len(), "{name}");
            for at in 0..=steps.len() {
                for goes_down in [false, true] {
                    let mut world = begin.clone();
                    for step in &steps[..at] {
                        world.apply(step).unwrap_or_else(|what| panic!("{name}: {what}"));
                    }
                    let step = steps.get(at).filter(|_| goes_down);
                    step.into_iter().for_each(|step| world.cut(step));
                    let cut = step.filter(|step| step.id.kind == StepKind::UpgradePackages).map(|step| &step.machine);
                    let goal = if at == steps.len() { goal.clone().next_goal() } else { goal.clone() };
                    let what = || steps.get(at).map_or("the end".to_owned(), |step| step.id.to_string());
                    let ended = finish(goal, &inventory, &mut world).err();
                    let why = ended.or_else(|| wrong_after_upgrades(&inventory, &world, named, cut));
                    wrong.extend(why.map(|why| format!("{name}, named: {named}, cut in {}, down: {goes_down}: {why}", what())));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The power of the whole shelf fails anywhere in the run, and a plain reboot was interrupted before it: each machine's packages are upgraded all
/// the same.
#[test]
fn no_machine_keeps_its_old_packages_because_it_was_restarted_by_something_else() {
    let mut wrong = Vec::new();
    for name in INVENTORIES {
        let inventory = inventory(&Value::from(name));
        for packages in [OsPackages::Security, OsPackages::All] {
            let goal = |packages| Goal::Reboot {
                machines: inventory.machines.keys().cloned().collect(),
                packages,
                now: false,
                force_after: None,
                continues: false,
            };
            let mut begin = world_of(&inventory);
            begin.old_packages = inventory.machines.keys().cloned().collect();
            for begun in [goal(None), goal(Some(packages))] {
                let steps = plan(&begun, &inventory, &begin).steps;
                for at in 0..=steps.len() {
                    let mut world = begin.clone();
                    steps[..at].iter().for_each(|step| world.apply(step).unwrap_or_else(|what| panic!("{name}: {what}")));
                    world.machines.values_mut().for_each(restart);
                    world.upgraded_packages.clear();
                    let ended = finish(goal(Some(packages)), &inventory, &mut world).err();
                    let old = (!world.old_packages.is_empty()).then(|| format!("{:?} keep their old packages", world.old_packages));
                    let why = ended.or(old);
                    wrong.extend(why.map(|why| format!("{name}, cut after {at} of {} steps of {begun:?}: {why}", steps.len())));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn packages_are_upgraded_between_the_drain_and_the_restart() {
    for name in INVENTORIES {
        let inventory = inventory(&Value::from(name));
        let machines = inventory.machines.keys().cloned().collect();
        let goal = Goal::Reboot { machines, packages: Some(OsPackages::Security), now: false, force_after: None, continues: false };
        let plan = plan(&goal, &inventory, &world_of(&inventory));
        let steps = plan.by_id();
        for step in plan.steps.iter().filter(|step| step.id.kind == StepKind::UpgradePackages) {
            let (drain, reboot) = (StepKind::MakeWay.of(&step.machine), StepKind::Reboot.of(&step.machine));
            assert!(!steps.contains_key(&drain) || reaches(&steps, &step.id, &drain), "{name}: {} before {drain}", step.id);
            assert!(reaches(&steps, &reboot, &step.id), "{name}: {reboot} before {}", step.id);
        }
    }
}

#[test]
fn one_machine_is_restarted_at_a_time_and_workers_come_first() {
    for name in INVENTORIES {
        let inventory = inventory(&Value::from(name));
        let plan = plan(&all(&inventory), &inventory, &world_of(&inventory));
        let steps = plan.by_id();
        let reboots: Vec<&Step> = plan.steps.iter().filter(|step| step.id.kind == StepKind::Reboot).collect();
        for (number, later) in reboots.iter().enumerate() {
            for earlier in &reboots[..number] {
                let back = StepKind::Uncordon.of(&earlier.machine);
                assert!(reaches(&steps, &later.id, &back), "{name}: {} does not wait for {back}", later.id);
            }
            let Action::Reboot(Reboot { quorum, .. }) = &later.action else { panic!("no reboot") };
            let control_planes = inventory.control_planes().count();
            let is_one = inventory.control_planes().any(|(machine, _)| *machine == later.machine);
            assert_eq!(*quorum, is_one && control_planes > 2, "{name}: {}", later.id);
            assert_eq!(is_one, number >= reboots.len() - control_planes, "{name}: {} is in the wrong place", later.id);
        }
    }
}

#[test]
fn no_member_of_etcd_is_restarted_where_that_takes_its_quorum() {
    for name in ["three", "vip", "five"] {
        let inventory = inventory(&Value::from(name));
        for (down, _) in inventory.control_planes() {
            let mut world = world_of(&inventory);
            world.off.insert(down.clone(), "no answer".to_owned());
            for (machine, _) in &inventory.machines {
                let goal =
                    Goal::Reboot { machines: [machine.clone()].into(), packages: None, now: false, force_after: None, continues: false };
                let plan = plan(&goal, &inventory, &world);
                let is_one = inventory.control_planes().any(|(other, _)| other == machine);
                let restarted = plan.steps.iter().any(|step| step.id.kind == StepKind::Reboot);
                assert_eq!(restarted, !is_one, "{name}, {down} down: {machine}: {:?}", plan.refusals);
            }
        }
    }
}

#[test]
fn a_shutdown_that_is_interrupted_anywhere_continues_and_start_puts_all_to_work() {
    let mut wrong = Vec::new();
    for name in INVENTORIES {
        let inventory = inventory(&Value::from(name));
        for now in [false, true] {
            let begin = world_of(&inventory);
            let steps = plan(&Goal::Shutdown { now }, &inventory, &begin).steps;
            for at in 0..=steps.len() {
                let mut world = begin.clone();
                for step in &steps[..at] {
                    world.apply(step).unwrap_or_else(|what| panic!("{name}: {what}"));
                }
                steps.get(at).into_iter().for_each(|step| world.cut(step));
                let again = plan(&Goal::Shutdown { now }, &inventory, &world);
                let failed = again.steps.iter().find_map(|step| world.apply(step).err());
                let on = inventory.machines.keys().find(|machine| !world.off.contains_key(*machine));
                wrong.extend(failed.or_else(|| on.map(|on| format!("{on} is still on"))).map(|why| format!("{name}, cut at {at}: {why}")));
                // Somebody switches all of them on.
                world.off.clear();
                let ended = finish(Goal::Start, &inventory, &mut world).err();
                let cordoned = || world.cluster.iter().flat_map(|cluster| &cluster.nodes).any(|(_, node)| node.unschedulable);
                let left = || world.cluster.iter().any(|cluster| cluster.record.keys().any(|key| key.to_string().starts_with("power.")));
                let why = ended.or_else(|| (cordoned() || left()).then(|| "something is left".to_owned()));
                wrong.extend(why.map(|why| format!("{name}, cut at {at}, started: {why}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_pod_begins_on_a_node_that_is_shut_down() {
    for name in INVENTORIES {
        let inventory = inventory(&Value::from(name));
        for now in [false, true] {
            let mut world = world_of(&inventory);
            let plan = plan(&Goal::Shutdown { now }, &inventory, &world);
            for step in &plan.steps {
                let cordoned = |world: &World| world.cluster.iter().flat_map(|cluster| &cluster.nodes).all(|(_, node)| node.unschedulable);
                assert!(step.id.kind != StepKind::PowerOff || cordoned(&world), "{name}, now: {now}: {}", step.id);
                world.apply(step).unwrap_or_else(|what| panic!("{name}: {what}"));
            }
        }
    }
}

#[test]
fn control_planes_go_off_after_every_worker_and_films_before_both() {
    for name in INVENTORIES {
        let inventory = inventory(&Value::from(name));
        let plan = plan(&Goal::Shutdown { now: false }, &inventory, &world_of(&inventory));
        let steps = plan.by_id();
        for (control_plane, _) in inventory.control_planes() {
            let last = StepKind::PowerOff.of(control_plane);
            for (worker, _) in inventory.machines.iter().filter(|(name, _)| !inventory.control_planes().any(|(other, _)| other == *name)) {
                assert!(reaches(&steps, &last, &StepKind::PowerOff.of(worker)), "{name}: {last} before {worker}");
            }
            let films = plan.steps.iter().filter(|step| step.id.kind == StepKind::LetFilmsEnd);
            films.for_each(|step| assert!(reaches(&steps, &last, &step.id), "{name}: {last} before {}", step.id));
        }
    }
}
