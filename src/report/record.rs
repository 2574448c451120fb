//! The result of a run, built from its events.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use hostler_core::failure::ExitStatus;
use hostler_core::inventory::MachineName;
use hostler_core::step::{Stage, StepId};
use indexmap::IndexMap;

use crate::event::Event;

/// How long every step of a run took, and what went wrong. Times count from the start of the run.
#[derive(Debug, Clone, Default)]
pub struct Record {
    pub took: Duration,
    /// In the order in which they were started.
    pub steps: IndexMap<StepId, Ran>,
    /// With reason and hint. Steps that succeeded when retried are not in it.
    pub failed: IndexMap<StepId, (String, String)>,
    /// Steps that did not run, and the step that they needed.
    pub blocked: IndexMap<StepId, StepId>,
    pub unreachable: IndexMap<MachineName, String>,
    /// Path of the log, if one is written.
    pub log: Option<PathBuf>,
}

/// A step that was started.
#[derive(Debug, Clone)]
pub struct Ran {
    pub stage: Stage,
    pub machine: MachineName,
    pub line: String,
    pub begun: Duration,
    /// `None` while it runs; it stays so if the run is interrupted.
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
            Event::StepDeferred { step } => {
                // Not done, unless it is started once more.
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

    /// The exit status by the events; only the plan knows of refusals.
    pub fn exit_status(&self) -> ExitStatus {
        ExitStatus::highest([
            if self.failed.is_empty() { ExitStatus::Done } else { ExitStatus::Failed },
            if self.unreachable.is_empty() { ExitStatus::Done } else { ExitStatus::Unreachable },
        ])
    }

    /// The time that each finished step took.
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
