//! What is running at this moment, built from events. Times count from the start of the run.

use std::collections::BTreeMap;
use std::time::Duration;

use hostler_core::inventory::MachineName;
use hostler_core::quantity;
use hostler_core::step::StepId;
use indexmap::IndexMap;

use crate::event::{Event, Unit};

/// Everything that was started and has not ended.
#[derive(Debug, Default)]
pub struct Running {
    items: IndexMap<Key, Item>,
    /// Tasks and machines in the order in which they first appeared: the order of the lines on a terminal.
    subjects: Vec<String>,
    machines: BTreeMap<MachineName, Steps>,
    owners: BTreeMap<StepId, MachineName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    Task(String),
    Facts(MachineName),
    Step(StepId),
}

/// One thing that runs.
#[derive(Debug, Clone)]
pub struct Item {
    /// The machine, or the task.
    pub subject: String,
    pub what: String,
    pub since: Duration,
    /// Its number among the steps of its machine, and their count.
    pub place: Option<(usize, usize)>,
    moved: Option<Moved>,
    waiting: Option<(String, Duration)>,
}

#[derive(Debug, Clone)]
struct Moved {
    done: u64,
    total: u64,
    unit: Unit,
    /// Time and value of the first number: speed is computed from there.
    first: (Duration, u64),
    /// Time of the last increase.
    last: Duration,
}

/// After this time without progress, that is shown instead of the time left.
const STILL: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Default)]
struct Steps {
    started: usize,
    ended: usize,
    total: usize,
}

impl Running {
    /// Applies `event`. Returns the item that it ends, if any.
    pub fn apply(&mut self, now: Duration, event: &Event) -> Option<Item> {
        match event {
            Event::TaskStarted { task, what } => self.begin(now, Key::Task(task.clone()), task, what, None),
            Event::TaskProgress { task, done, total, unit } => self.moved(now, &Key::Task(task.clone()), *done, *total, *unit),
            Event::TaskFinished { task, .. } | Event::TaskFailed { task, .. } => {
                return self.items.shift_remove(&Key::Task(task.clone()));
            }
            Event::Gathering { machine } => {
                self.begin(now, Key::Facts(machine.clone()), machine.as_str(), "gather facts", None);
            }
            Event::Gathered { machine, .. } | Event::Unreachable { machine, .. } => {
                return self.items.shift_remove(&Key::Facts(machine.clone()));
            }
            Event::PlanStarted { steps } => {
                let steps = steps.iter().filter(|(_, total)| **total > 0);
                self.machines = steps.map(|(machine, &total)| (machine.clone(), Steps { total, ..Steps::default() })).collect();
            }
            Event::StepStarted { step, machine, action, .. } => {
                let place = self.machines.get_mut(machine).map(|steps| {
                    steps.started += 1;
                    (steps.started.min(steps.total), steps.total)
                });
                self.owners.insert(step.clone(), machine.clone());
                self.begin(now, Key::Step(step.clone()), machine.as_str(), action, place);
            }
            Event::StepProgress { step, done, total } => {
                self.moved(now, &Key::Step(step.clone()), *done, *total, Unit::Bytes);
            }
            Event::StepWaiting { step, what, limit } => {
                if let Some(item) = self.items.get_mut(&Key::Step(step.clone())) {
                    item.waiting = Some((what.clone(), *limit));
                }
            }
            Event::StepOutput { step, .. } => {
                if let Some(item) = self.items.get_mut(&Key::Step(step.clone())) {
                    item.waiting = None;
                }
            }
            Event::StepFinished { step, .. } | Event::StepFailed { step, .. } | Event::StepDeferred { step } => {
                let machine = self.owners.get(step).cloned();
                self.ended(machine.as_ref());
                return self.items.shift_remove(&Key::Step(step.clone()));
            }
            Event::StepBlocked { step, .. } => {
                // A step that was never started has no owner yet.
                self.ended(Some(&step.machine));
            }
            Event::TaskLine { .. } | Event::StepScript { .. } | Event::StepExited { .. } | Event::Note { .. } | Event::Warning { .. } => {}
        }
        None
    }

    /// In the order of the lines on a terminal.
    pub fn items(&self) -> Vec<&Item> {
        let mut items: Vec<&Item> = self.items.values().collect();
        items.sort_by_key(|item| self.subjects.iter().position(|subject| *subject == item.subject));
        items
    }

    /// Machines with steps left that are idle now, with the number of the next step and of all.
    pub fn idle(&self) -> impl Iterator<Item = (&MachineName, usize, usize)> {
        self.machines
            .iter()
            .filter(|(machine, steps)| steps.ended < steps.total && !self.items.values().any(|item| item.subject == machine.as_str()))
            .map(|(machine, steps)| (machine, (steps.started + 1).min(steps.total), steps.total))
    }

    pub fn step(&self, step: &StepId) -> Option<&Item> {
        self.items.get(&Key::Step(step.clone()))
    }

    /// The position at which `subject` first appeared; after all others if it never did.
    pub fn order(&self, subject: &str) -> usize {
        self.subjects.iter().position(|known| known == subject).unwrap_or(usize::MAX)
    }

    /// The width of the widest name of a task or machine so far.
    pub fn widest(&self) -> usize {
        let machines = self.machines.keys().map(|machine| machine.as_str());
        self.subjects.iter().map(String::as_str).chain(machines).map(console::measure_text_width).max().unwrap_or(0)
    }

    fn begin(&mut self, now: Duration, key: Key, subject: &str, what: &str, place: Option<(usize, usize)>) {
        if !self.subjects.iter().any(|known| known == subject) {
            self.subjects.push(subject.to_owned());
        }
        let item = Item { subject: subject.to_owned(), what: what.to_owned(), since: now, place, moved: None, waiting: None };
        self.items.insert(key, item);
    }

    fn moved(&mut self, now: Duration, key: &Key, done: u64, total: u64, unit: Unit) {
        let Some(item) = self.items.get_mut(key) else { return };
        item.waiting = None;
        // The count may restart: the next file of the same task.
        let before = item.moved.as_ref().filter(|moved| moved.done <= done && moved.unit == unit && moved.total == total);
        let first = before.map_or((now, done), |moved| moved.first);
        let last = before.filter(|moved| moved.done == done).map_or(now, |moved| moved.last);
        item.moved = Some(Moved { done, total, unit, first, last });
    }

    fn ended(&mut self, machine: Option<&MachineName>) {
        if let Some(steps) = machine.and_then(|machine| self.machines.get_mut(machine)) {
            steps.ended += 1;
        }
    }
}

/// `waiting for the apt lock, at most 5m00s`; a limit of zero is unknown.
pub fn waits(what: &str, limit: Duration) -> String {
    match limit {
        Duration::ZERO => format!("waiting for {what}"),
        _ => format!("waiting for {what}, at most {}", quantity::duration(limit)),
    }
}

impl Item {
    /// What it is waiting for, if it is.
    pub fn waits_for(&self) -> Option<&str> {
        self.waiting.as_ref().map(|(what, _)| what.as_str())
    }

    /// Its progress: `182 of 270 MB, 4s left`, `waiting for the apt lock, at most 5m00s`. Empty if only the time is known.
    pub fn state(&self, now: Duration) -> String {
        if let Some((what, limit)) = &self.waiting {
            return waits(what, *limit);
        }
        let Some(moved) = &self.moved else { return String::new() };
        let amount = match (moved.unit, moved.total) {
            (Unit::Bytes, _) => quantity::size_of(moved.done, moved.total),
            (Unit::Items, 0) => moved.done.to_string(),
            (Unit::Items, total) => format!("{} of {total}", moved.done),
        };
        let still = now.saturating_sub(moved.last);
        match self.left(now) {
            // An earlier speed means nothing now.
            Some(_) if still >= STILL => format!("{amount}, no progress for {}", quantity::whole(still)),
            Some(left) => format!("{amount}, {} left", quantity::whole(left)),
            None => amount,
        }
    }

    /// How much is done, from 0 to 1, if the total is known.
    pub fn share(&self) -> Option<f64> {
        let moved = self.moved.as_ref().filter(|moved| moved.total > 0 && self.waiting.is_none())?;
        Some((moved.done as f64 / moved.total as f64).min(1.0))
    }

    /// Time left at the speed so far, once there has been a second to measure it. Whole seconds.
    fn left(&self, now: Duration) -> Option<Duration> {
        let moved = self.moved.as_ref()?;
        let (since, from) = moved.first;
        let seconds = now.saturating_sub(since).as_secs_f64();
        let missing = moved.total.checked_sub(moved.done).filter(|missing| *missing > 0)?;
        if seconds < 1.0 || moved.done <= from {
            return None;
        }
        let left = (missing as f64 * seconds / (moved.done - from) as f64).ceil();
        // More than a day is not shown.
        (left < 86_400.0).then(|| Duration::from_secs(left as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Running};
    use crate::event::Unit;
    use std::time::Duration;

    #[test]
    fn no_time_left_is_shown_without_progress() {
        let key = Key::Task("bundle".to_owned());
        let mut running = Running::default();
        running.begin(Duration::ZERO, key.clone(), "bundle", "fetch kubelet", None);
        let mut state = |at: u64, done: u64| {
            running.moved(Duration::from_secs(at), &key, done, 100_000_000, Unit::Bytes);
            running.items[&key].state(Duration::from_secs(at))
        };
        assert_eq!([state(0, 0), state(10, 50_000_000)], ["0 of 100 MB", "50 of 100 MB, 10s left"]);
        assert_eq!([state(19, 50_000_000), state(32, 50_000_000)], ["50 of 100 MB, 19s left", "50 of 100 MB, no progress for 22s"]);
        assert_eq!([state(40, 80_000_000), state(60, 100_000_000)], ["80 of 100 MB, 10s left", "100 of 100 MB"]);
    }
}
