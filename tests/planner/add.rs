//! What it costs to add a machine: as many connections, and as many scripts over them, in a cluster of any size.

use std::collections::BTreeMap;

use hostler_core::arch::Arch;
use hostler_core::facts::Facts;
use hostler_core::inventory::{Inventory, MachineName, parse};
use hostler_core::manifest::Manifest;
use hostler_core::plan::{Goal, plan_for};

use crate::world::World;

fn manifest() -> Manifest {
    serde_json::from_str(include_str!("../render/manifest.json")).expect("it is a manifest")
}

/// One control plane, and workers; the last one is `new`.
fn inventory(machines: usize) -> Inventory {
    let mut text = String::from("machines:\n");
    for number in 1..=machines {
        let name = if number == machines { "new".to_owned() } else { format!("pony{number}") };
        text.push_str(&format!("  {name}: 10.0.{}.{}\n", number / 200, number % 200 + 1));
    }
    parse(&text, "inventory.yaml").unwrap_or_else(|problems| panic!("{problems}"))
}

fn blank() -> Facts {
    let sysctls = BTreeMap::from([("net.ipv4.ip_forward".to_owned(), "0".to_owned())]);
    Facts { arch: Some(Arch::Amd64), systemd: true, clock: 1_700_000_000, sysctls, ..Facts::default() }
}

/// A cluster of all machines but `new`, which is blank.
fn world(inventory: &Inventory) -> World {
    let mut before = inventory.clone();
    before.machines.retain(|name, _| name.as_str() != "new");
    let mut world = World { machines: before.machines.keys().map(|name| (name.clone(), blank())).collect(), ..World::default() };
    for _ in 0..3 {
        for step in &plan_for(&Goal::Up, &before, &manifest().into(), &world.seen()).expect("templates fit").steps {
            world.apply(step).unwrap_or_else(|what| panic!("{what}"));
        }
    }
    world.machines.insert(MachineName::new("new").expect("a name"), blank());
    world
}

/// Who is connected to, and how many scripts run there until nothing is left to do: each look is one, and each step.
fn cost(machines: usize) -> BTreeMap<MachineName, usize> {
    let inventory = inventory(machines);
    let goal = Goal::Add(MachineName::new("new").expect("a name"));
    let mut world = world(&inventory);
    let mut scripts = BTreeMap::new();
    for round in 0.. {
        let asked = goal.asks(&inventory);
        let mut seen = world.seen();
        seen.retain(|name, _| asked.contains(name));
        seen.keys().for_each(|name| *scripts.entry(name.clone()).or_default() += 1);
        let plan = plan_for(&goal, &inventory, &manifest().into(), &seen).expect("templates fit");
        assert_eq!(plan.refusals, []);
        if plan.steps.is_empty() {
            break;
        }
        assert!(round < 3, "it comes to no end");
        for step in &plan.steps {
            *scripts.entry(step.machine.clone()).or_default() += 1;
            world.apply(step).unwrap_or_else(|what| panic!("{what}"));
        }
    }
    let name = MachineName::new("new").expect("a name");
    assert!(world.machines[&name].kubernetes.joined, "it was added");
    scripts
}

#[test]
fn a_machine_costs_the_same_in_a_cluster_of_any_size() {
    let small = cost(3);
    let names: Vec<&str> = small.keys().map(MachineName::as_str).collect();
    assert_eq!(names, ["new", "pony1"], "nobody else is connected to");
    assert_eq!(cost(10), small);
    assert_eq!(cost(100), small);
}
