//! Machines that get a new system: a run that is interrupted anywhere is continued by the same command, which installs no system twice, and no
//! machine is erased that is in the cluster.

use std::collections::{BTreeMap, BTreeSet};

use hostler_core::action::Action;
use hostler_core::inventory::{Inventory, MachineName};
use hostler_core::plan::lint::reaches;
use hostler_core::plan::reinstall::Leaving;
use hostler_core::plan::{Goal, Plan, plan_for};
use hostler_core::record::InProgress;
use hostler_core::step::StepKind;
use serde_yaml::Value;

use crate::case::{installation, inventory, manifest, system_facts, world_of};
use crate::world::World;

const LEAVING: Leaving = Leaving { now: false, force_after: None };

/// Several machines with one control plane, and with three.
fn worlds() -> Vec<(Inventory, World)> {
    ["installed", "installed-three"].into_iter().map(|name| prepared(inventory(&Value::from(name)))).collect()
}

/// The cluster, on machines whose systems other orders installed.
fn prepared(inventory: Inventory) -> (Inventory, World) {
    let mut world = world_of(&inventory);
    for (number, (name, facts)) in world.machines.iter_mut().enumerate() {
        facts.system = Some(system_facts());
        facts.macs = [inventory.machines[name].mac.clone().unwrap_or_else(|| format!("1c:69:7a:00:01:0{number}"))].into();
    }
    (inventory, world)
}

fn all(inventory: &Inventory) -> Goal {
    let installations = inventory.machines.keys().map(|name| (name.clone(), installation())).collect();
    Goal::ReinstallAll { installations, leaving: LEAVING }
}

fn plan(goal: &Goal, inventory: &Inventory, world: &World) -> Plan {
    plan_for(goal, inventory, &manifest().into(), &world.seen()).expect("templates fit")
}

/// What a run does, until nothing is left to do or `cut` steps are done: which machines got a new system, and whether it came to its end. As with
/// real machines, what needs a machine's new system is planned again once that is there.
fn run(
    goal: &Goal,
    inventory: &Inventory,
    world: &mut World,
    mut cut: Option<usize>,
    installed: &mut Vec<MachineName>,
) -> Result<bool, String> {
    for _ in 0..20 {
        let plan = plan(goal, inventory, world);
        if !plan.refusals.is_empty() {
            return Err(format!("refused: {:?}", plan.refusals));
        }
        if plan.steps.is_empty() {
            return Ok(true);
        }
        let mut deferred = BTreeSet::new();
        for step in &plan.steps {
            if step.needs.iter().any(|need| deferred.contains(need)) {
                deferred.insert(step.id.clone());
                continue;
            }
            if cut == Some(0) {
                world.cut(step);
                return Ok(false);
            }
            cut = cut.map(|left| left - 1);
            world.apply(step)?;
            if let Action::Reinstall(_) = step.action {
                installed.push(step.machine.clone());
                deferred.insert(step.id.clone());
            }
        }
    }
    Err("it comes to no end".to_owned())
}

#[test]
fn all_machines_but_the_only_control_plane_get_a_new_system_one_at_a_time() {
    for (inventory, begin) in worlds() {
        let (mut world, mut installed) = (begin, Vec::new());
        assert_eq!(run(&all(&inventory), &inventory, &mut world, None, &mut installed), Ok(true));
        let expected: BTreeSet<&MachineName> =
            inventory.machines.keys().filter(|name| inventory.only_control_plane() != Some(name)).collect();
        assert_eq!(installed.len(), expected.len(), "each once: {installed:?}");
        assert_eq!(installed.iter().collect::<BTreeSet<_>>(), expected);
        let up = plan(&Goal::Up, &inventory, &world);
        assert!(up.steps.is_empty() && up.refusals.is_empty(), "{:?}", up.steps.iter().map(|step| step.id.to_string()).collect::<Vec<_>>());
        assert!(!world.machines.values().any(|facts| facts.in_progress.contains(&InProgress::Reinstall)));
        // It is done: the same command finds nothing to do.
        let before = installed.len();
        assert_eq!(run(&all(&inventory), &inventory, &mut world, None, &mut installed), Ok(true));
        assert_eq!(installed.len(), before);
    }
}

#[test]
fn a_run_that_is_interrupted_anywhere_is_continued_and_installs_no_system_twice() {
    let mut wrong = Vec::new();
    let mut cuts = 0;
    for (inventory, begin) in worlds() {
        for at in 0..400 {
            let (mut world, mut installed) = (begin.clone(), Vec::new());
            match run(&all(&inventory), &inventory, &mut world, Some(at), &mut installed) {
                Ok(true) => break,
                Ok(false) => cuts += 1,
                Err(why) => wrong.push(format!("cut {at}: {why}")),
            }
            let mut again = || run(&all(&inventory), &inventory, &mut world, None, &mut installed);
            // The first one waits for what an interrupted run began; a second one comes to the end.
            if let Err(why) = again() {
                wrong.push(format!("cut {at}, continued: {why}"));
                continue;
            }
            let mut times: BTreeMap<&MachineName, usize> = BTreeMap::new();
            installed.iter().for_each(|name| *times.entry(name).or_default() += 1);
            if let Some((name, times)) = times.into_iter().find(|(_, times)| *times > 1) {
                wrong.push(format!("cut {at}: {name} was installed {times} times"));
            }
            let up = plan(&Goal::Up, &inventory, &world);
            if !up.steps.is_empty() || !up.refusals.is_empty() {
                wrong.push(format!("cut {at}: `up` would do {:?}", up.steps.iter().map(|step| step.id.to_string()).collect::<Vec<_>>()));
            }
        }
    }
    assert!(cuts > 80, "only {cuts} cuts were tried");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_machine_is_erased_or_installed_only_after_it_has_left() {
    for (inventory, world) in worlds() {
        for name in inventory.machines.keys().filter(|name| inventory.only_control_plane() != Some(name)) {
            let installer = Box::new(installation().installer);
            let goals = [
                Goal::Erase { machine: name.clone(), installer, leaving: LEAVING },
                Goal::Reinstall { machine: name.clone(), installation: Box::new(installation()), leaving: LEAVING },
            ];
            for goal in goals {
                let plan = plan(&goal, &inventory, &world);
                let steps = plan.by_id();
                let last =
                    plan.steps.iter().find(|step| matches!(step.action, Action::Erase(_) | Action::Reinstall(_))).expect("it is planned");
                for kind in [StepKind::StageInstaller, StepKind::Drain, StepKind::Wipe, StepKind::DeleteNode] {
                    assert!(reaches(&steps, &last.id, &kind.of(name)), "{} does not need {}", last.id, kind.of(name));
                }
            }
        }
    }
}

/// Whether a path that the inventory names goes with the system, and with the disk: what goes is told before, and nothing else is. The file with
/// nameservers keeps no machine from its new system, whether it is there now or not.
#[test]
fn what_the_inventory_names_on_a_machine_is_told_before_it_is_erased() {
    let text = |folder: &str| {
        format!(
            "machines:\n  a: {{address: 192.168.1.11, role: control-plane, mac: '1c:69:7a:00:01:00'}}\n  \
             b: {{address: 192.168.1.12, role: control-plane, mac: '1c:69:7a:00:01:01'}}\n  \
             c: {{address: 192.168.1.13, role: control-plane, mac: '1c:69:7a:00:01:02'}}\n\
             os: {{authorizedKeys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1lfXZ0ajZUc6sVzpdXDKhNtDzhVFUaYjFk0j2kLhXh ada]}}\n\
             snapshots: {{to: {folder}/snapshots, every: 12h}}\n\
             kubeadm: {{KubeletConfiguration: {{resolvConf: {folder}/resolv.pods}}}}\n\
             transcode: {{inbox: 'path:{folder}/films', library: 'nfs://192.168.1.3/plex', owner: {{uid: 1000, gid: 100}}, folders: {{Movies: {{}}}}}}\n"
        )
    };
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    // Of this folder: whether it is on a partition that goes with the system, on hostler's data partition, or on another disk.
    for (folder, erased, on_data) in [("/data", true, false), ("/srv", true, false), ("/srv", false, true), ("/mnt/usb", false, false)] {
        for there in [true, false] {
            let (inventory, mut world) = prepared(inventory(&serde_yaml::from_str(&text(folder)).expect("YAML")));
            let name = inventory.machines.keys().nth(1).expect("a second").clone();
            let facts = world.machines.get_mut(&name).expect("it is there");
            facts.snapshot = Some(facts.clock - 3600);
            facts.own_nameservers = there.then(|| vec!["192.168.1.1".to_owned()]);
            let named = ["snapshots", "resolv.pods", "films"].map(|file| format!("{folder}/{file}"));
            let system = facts.system.as_mut().expect("it has one");
            for path in &named {
                if erased {
                    system.erased.insert(path.clone());
                } else if on_data {
                    system.on_data.insert(path.clone());
                }
            }
            let installer = Box::new(installation().installer);
            let goals = [
                (Goal::Reinstall { machine: name.clone(), installation: Box::new(installation()), leaving: LEAVING }, erased),
                (Goal::Erase { machine: name.clone(), installer, leaving: LEAVING }, erased || on_data),
            ];
            for (goal, goes) in goals {
                let installs = matches!(goal, Goal::Reinstall { .. });
                let plan = plan(&goal, &inventory, &world);
                let case = format!("{folder}, erased {erased}, on data {on_data}, there {there}, installs {installs}");
                if !plan.refusals.is_empty() {
                    wrong.push(format!("{case}: refused: {:?}", plan.refusals));
                }
                for (path, told) in named.iter().zip([goes, installs && (goes || !there), installs && goes]) {
                    let says = plan.warnings.iter().any(|warning| warning.text.contains(path.as_str()));
                    if says != told {
                        wrong.push(format!("{case}: {path} is {}told: {:?}", if says { "" } else { "not " }, plan.warnings));
                    }
                    seen.insert((installs, told));
                }
                // A folder that goes with the disk is no advice.
                if !installs && plan.warnings.iter().any(|warning| warning.text.contains("data partition")) {
                    wrong.push(format!("{case}: {:?}", plan.warnings));
                }
            }
        }
    }
    assert_eq!(seen.len(), 4, "each goal, with and without something to tell");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
