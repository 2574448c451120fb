//! Who the control plane is comes from the machines: whatever the order of a file without roles, nothing dangerous is planned.

use hostler_core::facts::{Observation, Unreachable};
use hostler_core::inventory::{Inventory, MachineName, parse};
use hostler_core::plan::{Goal, plan_for};
use hostler_core::step::StepKind;

use crate::simulation::{blank, manifests};
use crate::world::World;

/// The first is the control plane; the last was never in the cluster.
const MACHINES: [(&str, &str); 4] =
    [("twilightsparkle", "192.168.1.11"), ("rainbowdash", "192.168.1.12"), ("fluttershy", "192.168.1.13"), ("applejack", "192.168.1.14")];

fn name(number: usize) -> MachineName {
    MachineName::new(MACHINES[number].0).expect("a name")
}

fn inventory(order: &[usize]) -> Inventory {
    let lines: String = order.iter().map(|number| format!("  {}: {}\n", MACHINES[*number].0, MACHINES[*number].1)).collect();
    parse(&format!("machines:\n{lines}"), "inventory.yaml").expect("it is one")
}

/// The cluster of the first three, as hostler made it.
fn cluster() -> World {
    let made = inventory(&[0, 1, 2]);
    let mut world = World { machines: (0..4).map(|number| (name(number), blank())).collect(), ..World::default() };
    for _ in 0..3 {
        let plan = plan_for(&Goal::Up, &made, &manifests(), &world.seen()).expect("templates fit");
        plan.steps.iter().for_each(|step| world.apply(step).unwrap_or_else(|what| panic!("{what}")));
    }
    world
}

/// All orders of some of the machines.
fn orders(of: &[usize]) -> Vec<Vec<usize>> {
    match of {
        [] => vec![vec![]],
        _ => of
            .iter()
            .flat_map(|first| {
                let rest: Vec<usize> = of.iter().copied().filter(|other| other != first).collect();
                orders(&rest).into_iter().map(|order| [vec![*first], order].concat()).collect::<Vec<_>>()
            })
            .collect(),
    }
}

fn goals() -> Vec<Goal> {
    let mut goals = vec![Goal::Up, Goal::Reset];
    for number in 0..4 {
        let machine = name(number);
        goals.push(Goal::Add(machine.clone()));
        goals.push(Goal::NewCluster(machine.clone()));
        goals.push(Goal::Rebuild { machine: machine.clone(), force_after: None });
        goals.push(Goal::Remove { machine, dead: true, force_after: None });
    }
    goals
}

#[test]
fn no_order_of_a_file_without_roles_makes_another_control_plane() {
    let up = cluster();
    let mut api_down = up.clone();
    api_down.machines.get_mut(&name(0)).expect("it is a machine").units.get_mut("kubelet.service").expect("a unit").active = false;
    for world in [&up, &api_down] {
        for order in orders(&[0, 1, 2]).into_iter().chain(orders(&[0, 1, 2, 3])).filter(|order| order[0] != 0) {
            let inventory = inventory(&order);
            for goal in goals() {
                let plan = plan_for(&goal, &inventory, &manifests(), &world.seen()).expect("templates fit");
                let codes: Vec<&str> = plan.refusals.iter().map(|refusal| refusal.why.code()).collect();
                assert!(plan.steps.is_empty() && codes == ["control-plane-elsewhere"], "{order:?} {goal:?}: {codes:?}");
                let hint = plan.refusals[0].hint.to_string();
                assert!(hint.contains("role: control-plane") && !hint.contains("--from") && !hint.contains("--new-cluster"), "{hint}");
            }
        }
    }
}

/// The control plane is off, and a worker says that it is the cluster's: its word alone gives it no role.
#[test]
fn no_machine_gets_the_role_of_one_that_cant_be_reached() {
    let mut seen = cluster().seen();
    let control_plane = seen[&name(0)].clone();
    seen.insert(name(0), Observation::Unreachable(Unreachable::silent("connection timed out")));
    seen.insert(name(1), control_plane);
    let text = "machines:\n  twilightsparkle: {address: 192.168.1.11, role: control-plane}\n  \
        rainbowdash: {address: 192.168.1.12, role: worker}\n  fluttershy: {address: 192.168.1.13, role: worker}\n";
    let inventory = parse(text, "inventory.yaml").expect("it is one");
    for goal in goals() {
        let plan = plan_for(&goal, &inventory, &manifests(), &seen).expect("templates fit");
        for refusal in &plan.refusals {
            assert!(!refusal.hint.to_string().contains("role:"), "{goal:?}: {}: {}", refusal.why, refusal.hint);
        }
    }
}

#[test]
fn a_control_plane_that_is_off_is_not_lost() {
    let mut world = cluster();
    world.off.insert(name(0), "connection timed out".to_owned());
    for order in orders(&[0, 1, 2]).into_iter().chain(orders(&[0, 1, 2, 3])) {
        let plan = plan_for(&Goal::Up, &inventory(&order), &manifests(), &world.seen()).expect("templates fit");
        assert!(!plan.refusals.is_empty(), "{order:?}");
        for refusal in &plan.refusals {
            let hint = refusal.hint.to_string();
            assert!(!hint.contains("--from") && !hint.contains("--new-cluster"), "{order:?}: {}: {hint}", refusal.why);
        }
        assert!(plan.steps.iter().all(|step| !matches!(step.id.kind, StepKind::Init | StepKind::Wipe)), "{order:?}");
    }
}

#[test]
fn no_cluster_begins_beside_one_that_may_be_switched_off() {
    for order in orders(&[0, 1, 2, 3]) {
        let inventory = inventory(&order);
        for off in 0..4 {
            let mut seen = World { machines: (0..4).map(|number| (name(number), blank())).collect(), ..World::default() }.seen();
            seen.insert(name(off), Observation::Unreachable(Unreachable::silent("connection timed out")));
            let plan = plan_for(&Goal::Up, &inventory, &manifests(), &seen).expect("templates fit");
            assert!(plan.steps.iter().all(|step| step.id.kind != StepKind::Init), "{order:?} without {off}");
        }
    }
}
