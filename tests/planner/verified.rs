//! A verification that failed or was interrupted is open until one passes: the record vouches for nothing else.

use hostler_core::facts::object_key;
use hostler_core::health::{Problem, status};
use hostler_core::inventory::Inventory;
use hostler_core::plan::{Goal, Step, plan_for};
use hostler_core::step::StepKind;

use crate::simulation::{DRIFTS, Drift, Scene, inventory, manifests, name, world};
use crate::world::World;

/// A run that changes something and whose verification then fails, or is interrupted: the cluster is open until it passes, whatever else is
/// wrong by then.
#[test]
fn a_verification_that_failed_is_open() {
    let inventory = inventory(3, false);
    let converged = converged(3);
    let rebuild = Goal::Rebuild { machine: name(4), force_after: None };
    let runs = DRIFTS.iter().map(|drift| (Some(*drift), Goal::Up)).chain([(None, rebuild), (Some(Drift::Program), Goal::Add(name(2)))]);
    for (drift, goal) in
        runs.filter(|(drift, _)| !matches!(drift, Some(Drift::Verified | Drift::EtcdFull | Drift::AdminsNarrower | Drift::Denied)))
    {
        let mut world = converged.clone();
        drift.into_iter().for_each(|drift| drift.apply(&mut world, &name(2)));
        let plan = plan_for(&goal, &inventory, &manifests(), &world.seen()).expect("templates fit");
        assert!(plan.steps.iter().any(|step| step.id.kind.is_verified()), "{drift:?}: nothing would change");
        for step in plan.steps.iter().filter(|step| !matches!(step.id.kind, StepKind::Probe | StepKind::RecordVerified)) {
            world.apply(step).unwrap_or_else(|what| panic!("{drift:?}: {what}"));
        }
        let seen = world.seen();
        let up = plan_for(&Goal::Up, &inventory, &manifests(), &seen).expect("templates fit");
        assert!(up.steps.iter().any(|step| step.id.kind == StepKind::Probe), "{drift:?}, {goal:?}: up does not verify");
        let status = status(&inventory, &seen, Some(&up), Some(0));
        assert!(status.problems.contains(&Problem::NotVerified), "{drift:?}, {goal:?}: {:?}", status.problems);
        for later in [Drift::Swap, Drift::KubeletFile, Drift::Label, Drift::FlannelChanged, Drift::ClusterDocument] {
            let mut world = world.clone();
            later.apply(&mut world, &name(1));
            let said = said(&inventory, &world);
            assert!(said.contains(&Problem::NotVerified), "{drift:?}, {goal:?}, then {later:?}: {said:?}");
            assert!(said.iter().any(|problem| matches!(problem, Problem::Drift { .. })), "{drift:?}, then {later:?}: {said:?}");
        }
    }
}

/// An add-on whose pods are not ready has the cluster verified, although nothing is changed. A run that is interrupted from its first step to
/// its last leaves a cluster that is known not to be verified, even once the pods are back by themselves; one that ends does not.
#[test]
fn an_interrupted_verification_is_open_where_nothing_was_changed() {
    let inventory = inventory(3, false);
    let converged = converged(3);
    assert!(!said(&inventory, &converged).contains(&Problem::NotVerified));
    for (kind, namespace, name) in [
        ("Deployment", "kube-system", "coredns"),
        ("DaemonSet", "kube-system", "kube-proxy"),
        ("DaemonSet", "kube-flannel", "kube-flannel-ds"),
    ] {
        let pods = |world: &mut World, ready: bool| {
            let objects = &mut world.cluster.as_mut().expect("there is a cluster").add_ons.objects;
            let live = objects.get_mut(&object_key(kind, namespace, name)).expect("it is there");
            live.ready = if ready { live.desired } else { 0 };
        };
        let mut down = converged.clone();
        pods(&mut down, false);
        let plan = plan_for(&Goal::Up, &inventory, &manifests(), &down.seen()).expect("templates fit");
        assert!(plan.steps.iter().all(|step| !step.id.kind.is_verified()), "{name}: something is changed");
        assert!(plan.steps.iter().any(|step| step.id.kind == StepKind::Probe), "{name} is not verified");
        for cut in 1..=plan.steps.len() {
            let mut world = down.clone();
            plan.steps.iter().take(cut).for_each(|step| apply(step, &mut world));
            pods(&mut world, true);
            let up = plan_for(&Goal::Up, &inventory, &manifests(), &world.seen()).expect("templates fit");
            let ends = cut == plan.steps.len();
            assert_eq!(said(&inventory, &world).contains(&Problem::NotVerified), !ends, "{name}, after {cut} steps");
            assert_eq!(up.steps.iter().any(|step| step.id.kind == StepKind::Probe), !ends, "{name}, after {cut} steps");
        }
    }
}

/// What `status` says is wrong.
fn said(inventory: &Inventory, world: &World) -> Vec<Problem> {
    let seen = world.seen();
    let up = plan_for(&Goal::Up, inventory, &manifests(), &seen).expect("templates fit");
    status(inventory, &seen, Some(&up), Some(0)).problems
}

fn apply(step: &Step, world: &mut World) {
    world.apply(step).unwrap_or_else(|what| panic!("{}: {what}", step.id));
}

/// Five machines in a verified cluster with so many control planes, with nothing left to do.
pub fn converged(control_planes: usize) -> World {
    let mut world = world(&Scene::converged(control_planes));
    // Whatever a random world is not yet.
    let plan = plan_for(&Goal::Up, &inventory(control_planes, false), &manifests(), &world.seen()).expect("templates fit");
    plan.steps.iter().for_each(|step| apply(step, &mut world));
    world
}

/// A verb for one machine withdraws the verification of the whole cluster. Where it is interrupted after that and run again, it ends as it
/// would have: `up` finds nothing to do.
#[test]
fn a_verb_for_one_machine_that_is_run_again_ends_with_a_verified_cluster() {
    let inventory = inventory(1, false);
    let plan = |goal: &Goal, world: &World| plan_for(goal, &inventory, &manifests(), &world.seen()).expect("templates fit");
    let converged = converged(1);
    for (drift, asked) in [(None, Goal::Rebuild { machine: name(4), force_after: None }), (Some(Drift::Program), Goal::Add(name(2)))] {
        let mut start = converged.clone();
        drift.into_iter().for_each(|drift| drift.apply(&mut start, &name(2)));
        for cut in 0..=plan(&asked, &start).steps.len() {
            let mut world = start.clone();
            plan(&asked, &world).steps.iter().take(cut).for_each(|step| apply(step, &mut world));
            let mut goal = asked.clone();
            loop {
                let plan = plan(&goal, &world);
                if plan.steps.is_empty() {
                    break;
                }
                plan.steps.iter().for_each(|step| apply(step, &mut world));
                goal = goal.next_goal();
            }
            let up: Vec<_> = plan(&Goal::Up, &world).steps.iter().map(Step::line).collect();
            assert!(up.is_empty(), "{asked:?}, interrupted after {cut} steps: {up:?}");
        }
    }
}
