//! The graph that a plan's steps make by their needs.

use std::collections::{BTreeMap, BTreeSet};

use fixedbitset::FixedBitSet;

use super::Step;
use crate::step::{Stage, StepId, StepKind};

/// Settles what is waited for only if planned, and drops needs that other needs imply. A need that is no step of the plan stays, for
/// [`lint`](super::lint) to find.
pub fn reduce(steps: &mut [Step]) {
    let at: BTreeMap<StepId, usize> = steps.iter().enumerate().map(|(at, step)| (step.id.clone(), at)).collect();
    // Nothing can be written to the cluster while etcd is full.
    let full: Vec<StepId> = at.keys().filter(|id| id.kind == StepKind::EtcdSpace).cloned().collect();
    for step in steps.iter_mut() {
        step.needs.extend(full.iter().filter(|id| **id != step.id).cloned());
        let planned = std::mem::take(&mut step.after).into_iter().filter(|id| at.contains_key(id));
        step.needs.extend(planned);
    }
    let needs = needs(steps);
    let before = before(&needs);
    for (number, step) in steps.iter_mut().enumerate() {
        let implied = |need: usize| needs[number].iter().any(|other| *other != need && before[*other].contains(need));
        step.needs.retain(|need| at.get(need).is_none_or(|need| !implied(*need)));
    }
}

/// Puts the steps in an order that respects every need and, as far as that allows, is the order of the stages. Steps in a circle, which no
/// plan has, come last.
pub fn order(steps: &mut Vec<Step>) {
    let stages: Vec<Stage> = steps.iter().map(|step| step.stage).collect();
    let mut place = vec![usize::MAX; steps.len()];
    for (next, number) in sorted(&needs(steps), |number| (stages[number], number)).into_iter().enumerate() {
        place[number] = next;
    }
    let mut placed: Vec<(usize, Step)> = place.into_iter().zip(std::mem::take(steps)).collect();
    placed.sort_by_key(|(place, _)| *place);
    steps.extend(placed.into_iter().map(|(_, step)| step));
}

/// What each step needs of the others, by number.
fn needs(steps: &[Step]) -> Vec<BTreeSet<usize>> {
    let at: BTreeMap<&StepId, usize> = steps.iter().enumerate().map(|(at, step)| (&step.id, at)).collect();
    steps.iter().map(|step| step.needs.iter().filter_map(|need| at.get(need).copied()).collect()).collect()
}

/// Numbers in an order that respects every need; of those that are ready, the one with the least key first. Without those that are in a
/// circle, or behind one.
fn sorted<K: Ord>(needs: &[BTreeSet<usize>], key: impl Fn(usize) -> K) -> Vec<usize> {
    let mut open: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
    let mut needed_by = vec![Vec::new(); needs.len()];
    for (number, needs) in needs.iter().enumerate() {
        needs.iter().for_each(|need| needed_by[*need].push(number));
    }
    let mut ready: BTreeMap<K, usize> = (0..needs.len()).filter(|number| open[*number] == 0).map(|number| (key(number), number)).collect();
    let mut sorted = Vec::new();
    while let Some((_, number)) = ready.pop_first() {
        sorted.push(number);
        for next in &needed_by[number] {
            open[*next] -= 1;
            if open[*next] == 0 {
                ready.insert(key(*next), *next);
            }
        }
    }
    sorted
}

/// All that has to be done before each step, directly or not. Steps in a circle have nothing before them.
fn before(needs: &[BTreeSet<usize>]) -> Vec<FixedBitSet> {
    let mut before = vec![FixedBitSet::with_capacity(needs.len()); needs.len()];
    for number in sorted(needs, |number| number) {
        let mut own = FixedBitSet::with_capacity(needs.len());
        for need in &needs[number] {
            own.union_with(&before[*need]);
            own.insert(*need);
        }
        before[number] = own;
    }
    before
}
