//! The closing of a run: time per machine and stage, the critical path, what failed, what was not done, and where the log is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use hostler_core::inventory::MachineName;
use hostler_core::plan::Plan;
use hostler_core::quantity;
use hostler_core::step::{Stage, StepId};
use hostler_core::words::counted;
use indexmap::IndexMap;
use serde::Serialize;

use super::critical_path::critical_path;
use super::paint::Paint;
use super::record::{Ran, Record};
use super::table::table;

/// Machines per table; more get another table.
const COLUMNS: usize = 6;

/// Steps of the critical path that took less share one line.
const SHORT: Duration = Duration::from_millis(500);

/// One that took less is not worth a line: its time would be shown as 0.0 s.
const NOTHING: Duration = Duration::from_millis(50);

/// The end of a run; `--output json` prints it as its last event.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Closing {
    #[serde(serialize_with = "crate::event::seconds")]
    pub took: Duration,
    /// Steps that succeeded.
    pub done: usize,
    pub times: Vec<StageTime>,
    pub critical_path: Vec<PathStep>,
    pub unreachable: IndexMap<MachineName, String>,
    /// Those of them that were not known to be so when the run began: a person has not been told of them.
    #[serde(skip)]
    pub lost: Vec<MachineName>,
    pub failed: Vec<Failed>,
    pub not_done: Vec<NotDone>,
    pub log: Option<PathBuf>,
}

/// The time during which at least one step of a stage ran on a machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StageTime {
    pub machine: MachineName,
    pub stage: Stage,
    #[serde(serialize_with = "crate::event::seconds")]
    pub took: Duration,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PathStep {
    pub step: StepId,
    /// Where it ran.
    pub machine: MachineName,
    pub line: String,
    /// The part of the line that says what was done.
    pub action: String,
    #[serde(serialize_with = "crate::event::seconds")]
    pub took: Duration,
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failed {
    /// The step's id, or the task's name.
    pub what: String,
    pub reason: String,
    pub hint: String,
}

/// A step of the plan that was not done.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotDone {
    pub step: StepId,
    /// The step that blocks it in the first place. `None`: the run was interrupted.
    pub by: Option<StepId>,
}

impl Closing {
    /// `plans` are what should have been done, one after the other; without one, only the events count. What a plan did not do was planned
    /// again, so only the last one counts for what was not done.
    pub fn new(plans: &[Plan], record: &Record) -> Closing {
        let steps = plans.last().map_or(&[][..], |plan| &plan.steps);
        let mut not_done: Vec<NotDone> =
            record.blocked.keys().map(|id| NotDone { step: id.clone(), by: Some(root(record, id).clone()) }).collect();
        for step in steps {
            let ended = record.steps.get(&step.id).is_some_and(|ran| ran.ended.is_some());
            if !ended && !record.blocked.contains_key(&step.id) && !record.failed.contains_key(&step.id) {
                not_done.retain(|known| known.step != step.id);
                not_done.push(NotDone { step: step.id.clone(), by: None });
            }
        }
        let failed = record
            .failed
            .iter()
            .map(|(step, (reason, hint))| Failed { what: step.to_string(), reason: reason.clone(), hint: hint.clone() })
            .collect();
        // What no plan names as lost was lost during the run.
        let known = |name: &MachineName| plans.iter().any(|plan| plan.unreachable.iter().any(|lost| lost.machine == *name));
        Closing {
            took: record.took,
            done: record.done(),
            times: times(record),
            critical_path: plans.iter().zip(record.plans()).flat_map(|(plan, ran)| path(plan, ran)).collect(),
            unreachable: record.unreachable.clone().into_iter().collect(),
            lost: record.unreachable.keys().filter(|name| !known(name)).cloned().collect(),
            failed,
            not_done,
            log: record.log.clone(),
        }
    }

    /// For a person. Ends with a newline.
    pub fn text(&self, paint: Paint) -> String {
        let mut parts = Vec::new();
        if !self.times.is_empty() {
            parts.push(self.tables());
        }
        if !self.critical_path.is_empty() {
            parts.push(self.path_text(paint));
        }
        let mut troubles = String::new();
        for (machine, reason) in self.unreachable.iter().filter(|(machine, _)| self.lost.contains(machine)) {
            troubles.push_str(&format!("{} {machine}: {}\n", paint.bad("unreachable:"), first_line(reason)));
        }
        for failed in &self.failed {
            troubles.push_str(&format!("{} {}: {}\n", paint.bad("failed:"), failed.what, first_line(&failed.reason)));
            if !failed.hint.is_empty() {
                troubles.push_str(&format!("  {} {}\n", paint.hint("hint:"), failed.hint));
            }
        }
        troubles.push_str(&self.not_done_text(paint));
        if !troubles.is_empty() {
            parts.push(troubles);
        }
        let mut end = format!("{} done in {}\n", counted(self.done, "step"), quantity::duration(self.took));
        if let Some(log) = &self.log {
            end.push_str(&format!("log: {}\n", log.display()));
        }
        parts.push(end);
        parts.join("\n")
    }

    fn tables(&self) -> String {
        let mut machines: Vec<&MachineName> = Vec::new();
        for time in &self.times {
            if !machines.contains(&&time.machine) {
                machines.push(&time.machine);
            }
        }
        let tables = machines.chunks(COLUMNS).map(|machines| {
            let mut header = vec!["stage".to_owned()];
            header.extend(machines.iter().map(|machine| machine.to_string()));
            let mut rows = vec![header];
            for (stage, title) in Stage::ALL {
                let took = |machine: &MachineName| self.times.iter().find(|time| time.machine == *machine && time.stage == *stage);
                let cells: Vec<Option<Duration>> = machines.iter().map(|machine| took(machine).map(|time| time.took)).collect();
                if cells.iter().any(Option::is_some) {
                    let mut row = vec![(*title).to_owned()];
                    row.extend(cells.iter().map(|cell| cell.map_or_else(String::new, quantity::duration)));
                    rows.push(row);
                }
            }
            table(&rows)
        });
        tables.collect::<Vec<_>>().join("\n")
    }

    fn path_text(&self, paint: Paint) -> String {
        let whole: Duration = self.critical_path.iter().map(|step| step.took).sum();
        let mut text = format!("{} {}\n", paint.title("critical path:"), quantity::duration(whole));
        let path: Vec<&PathStep> = self.critical_path.iter().filter(|step| step.took >= NOTHING).collect();
        let short: Vec<&&PathStep> = path.iter().filter(|step| step.took < SHORT).collect();
        // One or two are listed rather than counted.
        let fold = short.len() > 2;
        for step in path.iter().filter(|step| !fold || step.took >= SHORT) {
            text.push_str(&format!("  {:>5}  {}: {}\n", quantity::duration(step.took), step.machine, step.action));
        }
        if fold {
            let took = quantity::duration(short.iter().map(|step| step.took).sum());
            text.push_str(&format!("  {took:>5}  {} shorter than 0.5s each\n", counted(short.len(), "step")));
        }
        text
    }

    fn not_done_text(&self, paint: Paint) -> String {
        let mut groups: IndexMap<Option<&StepId>, Vec<&StepId>> = IndexMap::new();
        for not_done in &self.not_done {
            groups.entry(not_done.by.as_ref()).or_default().push(&not_done.step);
        }
        let mut text = String::new();
        for (by, steps) in groups {
            let why = by.map_or_else(String::new, |by| format!(", blocked by {by}"));
            text.push_str(&format!("{} {}{why}\n", paint.odd("not done:"), counted(steps.len(), "step")));
            for step in steps {
                text.push_str(&format!("  {step}\n"));
            }
        }
        text
    }
}

/// The steps that determined how long one plan took.
fn path(plan: &Plan, steps: &IndexMap<StepId, Ran>) -> Vec<PathStep> {
    let durations = steps.iter().filter_map(|(id, ran)| Some((id.clone(), ran.ended? - ran.begun))).collect();
    let path = critical_path(plan, &durations).into_iter();
    path.filter_map(|(step, took)| {
        let Ran { machine, line, action, .. } = steps.get(&step)?.clone();
        Some(PathStep { step, machine, line, action, took })
    })
    .collect()
}

/// The step that blocks `step` in the first place.
fn root<'a>(record: &'a Record, step: &'a StepId) -> &'a StepId {
    let mut at = step;
    // Bounded by the number of blocked steps: a cycle, which no plan has, must not hang the closing.
    for _ in 0..record.blocked.len() {
        match record.blocked.get(at) {
            Some(by) => at = by,
            None => break,
        }
    }
    at
}

/// By machine, in the order of their first steps, and by stage.
fn times(record: &Record) -> Vec<StageTime> {
    type Spans = Vec<(Duration, Duration)>;
    let mut spans: IndexMap<&MachineName, BTreeMap<Stage, Spans>> = IndexMap::new();
    for ran in record.plans().flat_map(IndexMap::values) {
        let end = ran.ended.unwrap_or(record.took);
        spans.entry(&ran.machine).or_default().entry(ran.stage).or_default().push((ran.begun, end));
    }
    let mut times = Vec::new();
    for (machine, stages) in spans {
        for (stage, spans) in stages {
            times.push(StageTime { machine: machine.clone(), stage, took: covered(spans) });
        }
    }
    times
}

/// The time covered by at least one of `spans`.
fn covered(mut spans: Vec<(Duration, Duration)>) -> Duration {
    spans.sort();
    let mut sum = Duration::ZERO;
    let mut until = Duration::ZERO;
    for (begin, end) in spans {
        sum += end.saturating_sub(begin.max(until));
        until = until.max(end);
    }
    sum
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("")
}
