//! The graph that a plan's steps make by their needs.

use std::collections::{BTreeMap, BTreeSet};

use super::Step;
use crate::step::{Stage, StepId};

/// Settles what is waited for only if planned, and drops needs that other needs imply. A need that is no step of the plan stays, for
/// [`lint`](super::lint) to find.
pub fn reduce(steps: &mut [Step]) {
    let at: BTreeMap<StepId, usize> = steps.iter().enumerate().map(|(at, step)| (step.id.clone(), at)).collect();
    for step in steps.iter_mut() {
        let planned = std::mem::take(&mut step.after).into_iter().filter(|id| at.contains_key(id));
        step.needs.extend(planned);
    }
    let needs: Vec<BTreeSet<usize>> =
        steps.iter().map(|step| step.needs.iter().filter_map(|need| at.get(need).copied()).collect()).collect();
    let before = before(&needs);
    for (number, step) in steps.iter_mut().enumerate() {
        let implied = |need: usize| needs[number].iter().any(|other| *other != need && before[*other].contains(need));
        step.needs.retain(|need| at.get(need).is_none_or(|need| !implied(*need)));
    }
}

/// Puts the steps in an order that respects every need and, as far as that allows, is the order of the stages.
pub fn order(steps: &mut Vec<Step>) {
    let at: BTreeMap<&StepId, usize> = steps.iter().enumerate().map(|(at, step)| (&step.id, at)).collect();
    let mut open: Vec<usize> = steps.iter().map(|step| step.needs.iter().filter(|need| at.contains_key(need)).count()).collect();
    let mut needed_by = vec![Vec::new(); steps.len()];
    for (number, step) in steps.iter().enumerate() {
        step.needs.iter().filter_map(|need| at.get(need)).for_each(|need| needed_by[*need].push(number));
    }
    let mut ready: BTreeSet<(Stage, usize)> =
        (0..steps.len()).filter(|number| open[*number] == 0).map(|number| (steps[number].stage, number)).collect();
    let mut place = vec![usize::MAX; steps.len()];
    for next in 0.. {
        let Some((_, number)) = ready.pop_first() else { break };
        place[number] = next;
        for after in &needed_by[number] {
            open[*after] -= 1;
            if open[*after] == 0 {
                ready.insert((steps[*after].stage, *after));
            }
        }
    }
    let mut placed: Vec<(usize, Step)> = place.into_iter().zip(std::mem::take(steps)).collect();
    placed.sort_by_key(|(place, _)| *place);
    steps.extend(placed.into_iter().map(|(_, step)| step));
}

/// Steps by their number: a bit each.
#[derive(Clone)]
struct Numbers(Vec<u64>);

impl Numbers {
    fn none(of: usize) -> Numbers {
        Numbers(vec![0; of.div_ceil(64)])
    }

    fn insert(&mut self, number: usize) {
        self.0[number / 64] |= 1 << (number % 64);
    }

    fn contains(&self, number: usize) -> bool {
        self.0[number / 64] & (1 << (number % 64)) != 0
    }

    fn extend(&mut self, others: &Numbers) {
        self.0.iter_mut().zip(&others.0).for_each(|(own, other)| *own |= other);
    }
}

/// All that has to be done before each step, directly or not. Steps in a circle, which no plan has, have nothing before them.
fn before(needs: &[BTreeSet<usize>]) -> Vec<Numbers> {
    let mut before = vec![Numbers::none(needs.len()); needs.len()];
    let mut open: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
    let mut needed_by = vec![Vec::new(); needs.len()];
    for (number, needs) in needs.iter().enumerate() {
        needs.iter().for_each(|need| needed_by[*need].push(number));
    }
    let mut ready: Vec<usize> = (0..needs.len()).filter(|number| open[*number] == 0).collect();
    while let Some(number) = ready.pop() {
        let done = before[number].clone();
        for next in &needed_by[number] {
            before[*next].extend(&done);
            before[*next].insert(number);
            open[*next] -= 1;
            if open[*next] == 0 {
                ready.push(*next);
            }
        }
    }
    before
}
