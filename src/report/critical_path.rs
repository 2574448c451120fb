//! Which steps made the run as long as it was.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::plan::{Plan, StepId};

/// The longest path over `needs`, by the times that were measured: its steps in order, each with its time.
///
/// A step without a time (it did not run) takes none and is left out. Of two paths as long, that whose steps stand first in the
/// plan. Empty when nothing was measured.
pub fn critical_path(plan: &Plan, took: &BTreeMap<StepId, Duration>) -> Vec<(StepId, Duration)> {
    // The plan's order respects `needs`: one pass sees every step after those it needs.
    let mut longest: HashMap<&StepId, (Duration, Option<&StepId>)> = HashMap::new();
    let mut last: Option<(Duration, &StepId)> = None;
    for step in &plan.steps {
        let mut before: Option<(Duration, &StepId)> = None;
        for candidate in plan.steps.iter().map(|step| &step.id).filter(|id| step.needs.contains(id)) {
            if let Some((length, _)) = longest.get(candidate)
                && before.is_none_or(|(most, _)| *length > most)
            {
                before = Some((*length, candidate));
            }
        }
        let own = took.get(&step.id).copied().unwrap_or_default();
        let length = before.map_or(Duration::ZERO, |(length, _)| length) + own;
        longest.insert(&step.id, (length, before.map(|(_, id)| id)));
        if last.is_none_or(|(most, _)| length > most) {
            last = Some((length, &step.id));
        }
    }
    let mut path = Vec::new();
    let mut at = last.map(|(_, id)| id);
    while let Some(id) = at {
        if let Some(own) = took.get(id) {
            path.push((id.clone(), *own));
        }
        at = longest.get(id).and_then(|(_, before)| *before);
    }
    path.reverse();
    path
}
