//! The steps that determined how long a run took.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use hostler_core::plan::Plan;
use hostler_core::step::StepId;

/// The longest path over `needs`, by measured times: its steps in order, each with its time.
///
/// A step without a time (it did not run) is left out. Of two paths of equal length, the one whose steps come first in the plan wins. A
/// step that is in the plan twice, as after several rounds, counts at its last place. Empty if nothing was measured.
pub fn critical_path(plan: &Plan, took: &BTreeMap<StepId, Duration>) -> Vec<(StepId, Duration)> {
    let place: HashMap<&StepId, usize> = plan.steps.iter().enumerate().map(|(place, step)| (&step.id, place)).collect();
    // The length of the longest path that ends at this step, and the step before it on that path. The plan's order respects `needs`, so one
    // pass sees every step after those it needs.
    let mut longest: Vec<(Duration, Option<usize>)> = Vec::new();
    for (at, step) in plan.steps.iter().enumerate() {
        let mut before: Option<usize> = None;
        let mut needs: Vec<usize> = step.needs.iter().filter_map(|id| place.get(id).copied()).filter(|need| *need < at).collect();
        needs.sort();
        for need in needs {
            if before.is_none_or(|best: usize| longest[need].0 > longest[best].0) {
                before = Some(need);
            }
        }
        let own = took.get(&step.id).filter(|_| place.get(&step.id) == Some(&at)).copied().unwrap_or_default();
        longest.push((before.map_or(Duration::ZERO, |before| longest[before].0) + own, before));
    }
    let mut at = (0..longest.len()).rev().max_by_key(|at| longest[*at].0);
    let mut path = Vec::new();
    while let Some(now) = at {
        let id = &plan.steps[now].id;
        if let Some(own) = took.get(id).filter(|_| place.get(id) == Some(&now)) {
            path.push((id.clone(), *own));
        }
        at = longest[now].1;
    }
    path.reverse();
    path
}
