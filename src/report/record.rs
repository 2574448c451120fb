//! The result of a run, built from its events.

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
    /// Of the present plan, in the order in which they were started.
    pub steps: IndexMap<StepId, Ran>,
    /// Of the plans before it. A step may be in several plans.
    pub earlier: Vec<IndexMap<StepId, Ran>>,
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
    pub action: String,
    pub begun: Duration,
    /// `None` while it runs; it stays so if the run is interrupted.
    pub ended: Option<Duration>,
    pub failed: bool,
}

impl Record {
    pub fn apply(&mut self, now: Duration, event: &Event) {
        match event {
            Event::PlanStarted { .. } if !self.steps.is_empty() => self.earlier.push(std::mem::take(&mut self.steps)),
            Event::StepStarted { step, stage, machine, line, action } => {
                let (machine, line, action) = (machine.clone(), line.clone(), action.clone());
                self.steps.insert(step.clone(), Ran { stage: *stage, machine, line, action, begun: now, ended: None, failed: false });
            }
            Event::StepFinished { step, .. } => {
                self.end(now, step, false);
                self.failed.shift_remove(step);
                self.blocked.shift_remove(step);
            }
            Event::StepFailed { step, reason, hint } => {
                self.end(now, step, true);
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

    /// The steps of each plan, in the order of the plans.
    pub fn plans(&self) -> impl Iterator<Item = &IndexMap<StepId, Ran>> {
        self.earlier.iter().chain([&self.steps])
    }

    /// How many steps succeeded, of all plans.
    pub fn done(&self) -> usize {
        self.plans().flat_map(IndexMap::values).filter(|ran| ran.ended.is_some() && !ran.failed).count()
    }

    fn end(&mut self, now: Duration, step: &StepId, failed: bool) {
        if let Some(ran) = self.steps.get_mut(step) {
            ran.ended = Some(now);
            ran.failed = failed;
        }
    }
}
