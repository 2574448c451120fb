//! Presets whose encoder works on no machine.

use hostler_core::inventory::Inventory;
use hostler_core::plan::plan;
use hostler_core::protocol::label;

use crate::case::{self, manifest};
use crate::world::World;

/// Two machines that encode films with Quick Sync's encoder for H.265.
fn inventory() -> Inventory {
    let text = "
machines: {twilightsparkle: 192.168.1.11, rainbowdash: 192.168.1.12}
transcode:
  inbox: path:/srv/films
  library: path:/srv/library
  owner: {uid: 1000, gid: 100}
  folders: {Movies: {preset: qsv_h265.json}}
  encoder: auto
";
    case::inventory(&serde_yaml::from_str(text).expect("YAML"))
}

fn made(inventory: &Inventory, chip: Option<&str>) -> World {
    let machines = inventory.machines.keys().map(|name| (name.clone(), case::blank_with(chip.map(str::to_owned).as_ref()))).collect();
    World { machines, ..World::default() }
}

/// What is refused once nothing is left to do, or nothing else can be done.
fn refused(world: &mut World, inventory: &Inventory) -> Vec<String> {
    for _ in 0..4 {
        let plan = plan(inventory, &manifest().into(), &world.seen()).expect("templates fit");
        if plan.steps.is_empty() {
            return plan.refusals.iter().map(|refusal| format!("{}: {}", refusal.why.code(), refusal.why)).collect();
        }
        plan.steps.iter().for_each(|step| world.apply(step).unwrap_or_else(|what| panic!("{what}")));
    }
    panic!("there is always something left to do");
}

#[test]
fn a_preset_that_works_on_no_machine_is_refused_once_all_have_tried() {
    let inventory = inventory();
    let mut without = made(&inventory, None);
    let why = "no-encoder: films in `Movies` can't be encoded: their preset uses qsv_h265, which does not work on any machine";
    assert_eq!(refused(&mut without, &inventory), [why]);
    let mut with = made(&inventory, Some("8086:9a49"));
    assert_eq!(refused(&mut with, &inventory), [""; 0]);
    // One is enough; of one that is off, what it found out last counts.
    let cluster = with.cluster.as_mut().expect("a cluster");
    let labels = &mut cluster.nodes.get_mut("twilightsparkle").expect("a node").labels;
    labels.insert(label::ENCODERS.to_owned(), "x264.x265".to_owned());
    assert_eq!(refused(&mut with, &inventory), [""; 0]);
    with.off.insert(inventory.machines.keys().nth(1).expect("a machine").clone(), "no answer".to_owned());
    assert_eq!(refused(&mut with, &inventory), [""; 0]);
}

/// Control planes in several time zones: the films' hours are those of the first one, also while it is off.
#[test]
fn a_control_plane_that_is_off_does_not_move_the_films_to_another_time_zone() {
    let text = "
machines:
  twilightsparkle: {address: 192.168.1.11, role: control-plane}
  rainbowdash: {address: 192.168.1.12, role: control-plane}
  fluttershy: {address: 192.168.1.13, role: control-plane}
transcode: {inbox: path:/srv/films, library: path:/srv/library, owner: {uid: 1000, gid: 100}, folders: {Movies: {}}}
";
    for zones in [["Europe/Berlin", "Etc/UTC", "Etc/UTC"], ["", "Europe/Berlin", "Europe/Berlin"]] {
        let inventory = case::inventory(&serde_yaml::from_str(text).expect("YAML"));
        let mut world = made(&inventory, None);
        let first = inventory.machines.keys().next().expect("a machine").clone();
        for (name, zone) in inventory.machines.keys().zip(zones) {
            world.machines.get_mut(name).expect("it is there").time_zone = zone.to_owned();
        }
        assert_eq!(refused(&mut world, &inventory), [""; 0]);
        world.off.insert(first, "no answer".to_owned());
        let plan = plan(&inventory, &manifest().into(), &world.seen()).expect("templates fit");
        let steps: Vec<String> = plan.steps.iter().map(|step| format!("{}: {}", step.id, step.reason)).collect();
        assert_eq!(steps, [""; 0], "{zones:?}");
    }
}
