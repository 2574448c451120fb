//! What is said of a cluster without its bundle: programs and images are not compared, and everything else is.

use hostler_core::health::status;
use hostler_core::manifest::Manifests;
use hostler_core::plan::{Goal, plan_for};
use hostler_core::step::{Stage, StepKind};

use crate::case::manifest;
use crate::simulation::{DRIFTS, inventory, manifests, name};
use crate::verified::converged;

/// Of a bundle that is not at hand: versions are known, programs and digests are not.
fn outline() -> Manifests {
    let mut outline = manifest();
    outline.files.clear();
    outline.images.iter_mut().for_each(|image| image.digest.clear());
    outline.into()
}

#[test]
fn every_difference_but_programs_and_images_is_seen_without_a_bundle() {
    let mut compared = 0;
    for control_planes in [1, 3] {
        let inventory = inventory(control_planes, false);
        let converged = converged(control_planes);
        for drift in std::iter::once(None).chain(DRIFTS.iter().map(Some)) {
            let mut world = converged.clone();
            drift.into_iter().for_each(|drift| drift.apply(&mut world, &name(1)));
            let seen = world.seen();
            let plan = |manifests: &Manifests| plan_for(&Goal::Up, &inventory, manifests, &seen).expect("templates fit");
            let (whole, known) = (plan(&manifests()), plan(&outline()));
            let differs = whole.steps.iter().any(|step| {
                !matches!(step.id.kind, StepKind::Programs | StepKind::Images(_) | StepKind::WithdrawVerification)
                    && step.stage != Stage::Verify
            });
            let status = status(&inventory, &seen, Some(&known), Some(0));
            assert!(!differs || !status.healthy, "{drift:?}: {:?}", status.problems);
            assert!(drift.is_some() || known.steps.is_empty(), "{:?}", known.steps);
            compared += usize::from(differs);
        }
    }
    assert!(compared > 20, "only {compared} differences");
}
