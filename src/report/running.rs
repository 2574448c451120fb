//! What runs at this moment: built from events, read by whoever shows it. Times count from the begin of the run.

use std::collections::BTreeMap;
use std::time::Duration;

use hostler_core::inventory::MachineName;
use hostler_core::quantity;
use hostler_core::step::StepId;
use indexmap::IndexMap;

use crate::event::{Event, Unit};

/// Everything that has begun and not ended.
#[derive(Debug, Default)]
pub struct Running {
    items: IndexMap<Key, Item>,
    /// Tasks and machines in the order they were first heard of: the order of the lines on a terminal.
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
    /// Which of its machine's steps it is, and of how many.
    pub place: Option<(usize, usize)>,
    moved: Option<Moved>,
    waiting: Option<(String, Duration)>,
}

#[derive(Debug, Clone)]
struct Moved {
    done: u64,
    total: u64,
    unit: Unit,
    /// When the first number came, and what it was: speed is counted from there.
    first: (Duration, u64),
    /// When the last came that was higher than the one before.
    last: Duration,
}

/// How long nothing may have moved until that is what there is to be told.
const STILL: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Default)]
struct Steps {
    begun: usize,
    ended: usize,
    total: usize,
}

impl Running {
    /// Takes in `event`. What it ends is returned, as it was.
    pub fn apply(&mut self, now: Duration, event: &Event) -> Option<Item> {
        match event {
            Event::TaskStarted { task, what } => self.begin(now, Key::Task(task.clone()), task, what, None),
            Event::TaskProgress { task, done, total, unit } => self.moved(now, &Key::Task(task.clone()), *done, *total, *unit),
            Event::TaskFinished { task, .. } | Event::TaskFailed { task, .. } => {
                return self.items.shift_remove(&Key::Task(task.clone()));
            }
            Event::Gathering { machine } => {
                self.begin(now, Key::Facts(machine.clone()), machine.as_str(), "look at the machine", None);
            }
            Event::Gathered { machine, .. } | Event::Unreachable { machine, .. } => {
                return self.items.shift_remove(&Key::Facts(machine.clone()));
            }
            Event::Begun { steps } => {
                let steps = steps.iter().filter(|(_, total)| **total > 0);
                self.machines = steps.map(|(machine, &total)| (machine.clone(), Steps { total, ..Steps::default() })).collect();
            }
            Event::StepStarted { step, machine, line, .. } => {
                let place = self.machines.get_mut(machine).map(|steps| {
                    steps.begun += 1;
                    (steps.begun.min(steps.total), steps.total)
                });
                self.owners.insert(step.clone(), machine.clone());
                self.begin(now, Key::Step(step.clone()), machine.as_str(), line, place);
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
            Event::StepFinished { step, .. } | Event::StepFailed { step, .. } | Event::StepPutOff { step } => {
                let machine = self.owners.get(step).cloned();
                self.ended(machine.as_ref());
                return self.items.shift_remove(&Key::Step(step.clone()));
            }
            Event::StepBlocked { step, .. } => {
                // A step that never began has no owner yet.
                self.ended(Some(&step.machine));
            }
            Event::TaskLine { .. } | Event::StepScript { .. } | Event::StepExited { .. } | Event::Note { .. } | Event::Warning { .. } => {}
        }
        None
    }

    /// In the order of the lines on a terminal: tasks and machines as they were first heard of.
    pub fn items(&self) -> Vec<&Item> {
        let mut items: Vec<&Item> = self.items.values().collect();
        items.sort_by_key(|item| self.subjects.iter().position(|subject| *subject == item.subject));
        items
    }

    /// Machines that have steps before them and nothing to do now, with the number of the next step and of all.
    pub fn idle(&self) -> impl Iterator<Item = (&MachineName, usize, usize)> {
        self.machines
            .iter()
            .filter(|(machine, steps)| steps.ended < steps.total && !self.items.values().any(|item| item.subject == machine.as_str()))
            .map(|(machine, steps)| (machine, (steps.begun + 1).min(steps.total), steps.total))
    }

    pub fn step(&self, step: &StepId) -> Option<&Item> {
        self.items.get(&Key::Step(step.clone()))
    }

    /// Where `subject` was first heard of; later than all when it never was.
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
        // Counting may begin anew: the next file of the same task.
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

/// `waits for the apt lock, at most 5m00s`; a limit of zero is one that isn't known.
pub fn waits(what: &str, limit: Duration) -> String {
    match limit {
        Duration::ZERO => format!("waits for {what}"),
        _ => format!("waits for {what}, at most {}", quantity::duration(limit)),
    }
}

impl Item {
    /// What it waits for, if it does.
    pub fn waits_for(&self) -> Option<&str> {
        self.waiting.as_ref().map(|(what, _)| what.as_str())
    }

    /// How far it is: `182 of 270 MB, 4s left`, `waits for the apt lock, at most 5m00s`. Empty when nothing is known but the time.
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
            // A speed of before says nothing any more.
            Some(_) if still >= STILL => format!("{amount}, nothing moved for {}", quantity::whole(still)),
            Some(left) => format!("{amount}, {} left", quantity::whole(left)),
            None => amount,
        }
    }

    /// How much is done, from 0 to 1, where the whole is known.
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
        // Nothing to be told from a day on.
        (left < 86_400.0).then(|| Duration::from_secs(left as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Running};
    use crate::event::Unit;
    use std::time::Duration;

    #[test]
    fn what_stands_still_has_no_time_left() {
        let key = Key::Task("bundle".to_owned());
        let mut running = Running::default();
        running.begin(Duration::ZERO, key.clone(), "bundle", "fetch kubelet", None);
        let mut state = |at: u64, done: u64| {
            running.moved(Duration::from_secs(at), &key, done, 100_000_000, Unit::Bytes);
            running.items[&key].state(Duration::from_secs(at))
        };
        assert_eq!([state(0, 0), state(10, 50_000_000)], ["0 of 100 MB", "50 of 100 MB, 10s left"]);
        assert_eq!([state(19, 50_000_000), state(32, 50_000_000)], ["50 of 100 MB, 19s left", "50 of 100 MB, nothing moved for 22s"]);
        assert_eq!([state(40, 80_000_000), state(60, 100_000_000)], ["80 of 100 MB, 10s left", "100 of 100 MB"]);
    }
}
