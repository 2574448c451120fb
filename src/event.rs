//! What happens during a run, as values. Whoever does the work sends them; only [`crate::report`] decides how they look.
//!
//! Events never carry a secret: outputs that are secret do not appear, and output lines pass the redactor first.

use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;

use crate::inventory::MachineName;
use crate::plan::{Stage, StepId};

/// Where events go. Sending never waits and never fails the work: a reporter that is gone loses events only.
#[derive(Debug, Clone)]
pub struct Events(pub UnboundedSender<Event>);

impl Events {
    /// Sends `event` to whoever reports.
    pub fn send(&self, event: Event) {
        // A closed channel means the reporter has ended; the work goes on without it.
        let _ = self.0.send(event);
    }
}

/// One thing that happened. Serialized as one JSON object a line with `--output json`.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// Work on this computer began: making a bundle, a lab machine. `task` names it until it ends.
    TaskStarted {
        task: String,
        what: String,
    },
    /// Bytes (or other `unit`s) moved so far; `total` is 0 while it is not known.
    TaskProgress {
        task: String,
        done: u64,
        total: u64,
        unit: Unit,
    },
    /// Something worth a line while a task runs.
    TaskLine {
        task: String,
        line: String,
    },
    TaskFinished {
        task: String,
        took: Duration,
    },
    TaskFailed {
        task: String,
        reason: String,
    },

    /// A machine is being asked for its facts.
    Gathering {
        machine: MachineName,
    },
    Gathered {
        machine: MachineName,
        took: Duration,
    },
    Unreachable {
        machine: MachineName,
        reason: String,
        hint: String,
    },

    /// A step's script began on its machine. `line` is what the plan printed for it.
    StepStarted {
        step: StepId,
        stage: Stage,
        machine: MachineName,
        line: String,
    },
    /// Bytes of a step's payload that the machine has taken.
    StepProgress {
        step: StepId,
        done: u64,
        total: u64,
    },
    /// A step waits for something that is named, at most `limit`.
    StepWaiting {
        step: StepId,
        what: String,
        limit: Duration,
    },
    /// A line the script printed, for the log only.
    StepOutput {
        step: StepId,
        line: String,
    },
    StepFinished {
        step: StepId,
        took: Duration,
    },
    StepFailed {
        step: StepId,
        reason: String,
        hint: String,
    },
    /// A step that will not run in this run, because `by` did not succeed.
    StepBlocked {
        step: StepId,
        by: StepId,
    },
    /// A line for the person: not tied to a step.
    Note {
        line: String,
    },
    Warning {
        line: String,
    },
}

/// What a task counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    Bytes,
    Items,
}
