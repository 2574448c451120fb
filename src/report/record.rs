//! What came of a run: built from its events.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use hostler_core::failure::ExitStatus;
use hostler_core::inventory::MachineName;
use hostler_core::step::{Stage, StepId};
use indexmap::IndexMap;

use crate::event::Event;

/// What every step of a run took, and what went wrong. Times count from the begin of the run.
#[derive(Debug, Clone, Default)]
pub struct Record {
    pub took: Duration,
    /// In the order they began.
    pub steps: IndexMap<StepId, Ran>,
    /// With reason and hint. What succeeded when it was tried again is not in it.
    pub failed: IndexMap<StepId, (String, String)>,
    /// Steps that did not run, and what they needed.
    pub blocked: IndexMap<StepId, StepId>,
    pub unreachable: IndexMap<MachineName, String>,
    /// Where the log is, if one is written.
    pub log: Option<PathBuf>,
}

/// One step that began.
#[derive(Debug, Clone)]
pub struct Ran {
    pub stage: Stage,
    pub machine: MachineName,
    pub line: String,
    pub begun: Duration,
    /// `None` while it runs, and for ever if the run was broken off.
    pub ended: Option<Duration>,
}

impl Record {
    pub fn apply(&mut self, now: Duration, event: &Event) {
        match event {
            Event::StepStarted { step, stage, machine, line } => {
                let ran = Ran { stage: *stage, machine: machine.clone(), line: line.clone(), begun: now, ended: None };
                self.steps.insert(step.clone(), ran);
            }
            Event::StepFinished { step, .. } => {
                self.end(now, step);
                self.failed.shift_remove(step);
                self.blocked.shift_remove(step);
            }
            Event::StepFailed { step, reason, hint } => {
                self.end(now, step);
                self.failed.insert(step.clone(), (reason.clone(), hint.clone()));
            }
            Event::StepPutOff { step } => {
                // Not done, unless it begins once more.
                self.steps.shift_remove(step);
            }
            Event::StepBlocked { step, by } => {
                self.blocked.insert(step.clone(), by.clone());
            }
            Event::Unreachable { machine, reason, .. } => {
                self.unreachable.insert(machine.clone(), reason.clone());
            }
            Event::Gathered { machine, .. } => {
                self.unreachable.shift_remove(machine);
            }
            _ => {}
        }
        self.took = now;
    }

    /// What the events say the run should end with; refusals are known to the plan only.
    pub fn exit_status(&self) -> ExitStatus {
        ExitStatus::highest([
            if self.failed.is_empty() { ExitStatus::Done } else { ExitStatus::Failed },
            if self.unreachable.is_empty() { ExitStatus::Done } else { ExitStatus::Unreachable },
        ])
    }

    /// The time each step took that ended.
    pub fn durations(&self) -> BTreeMap<StepId, Duration> {
        let ended = self.steps.iter().filter_map(|(id, ran)| Some((id.clone(), ran.ended? - ran.begun)));
        ended.collect()
    }

    fn end(&mut self, now: Duration, step: &StepId) {
        if let Some(ran) = self.steps.get_mut(step) {
            ran.ended = Some(now);
        }
    }
}
