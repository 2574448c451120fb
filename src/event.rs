//! What happens during a run, as values. Whoever does the work sends them; only [`crate::report`] decides how they look.
//!
//! Events never carry a secret: outputs that are secret do not appear. What a secret got into all the same is caught by the
//! [redactor](crate::report::Redactor), which every event passes before it is shown or written anywhere.

use std::collections::BTreeMap;
use std::time::Duration;

use hostler_core::inventory::MachineName;
use hostler_core::step::{Stage, StepId};
use serde::{Serialize, Serializer};
use tokio::sync::mpsc::UnboundedSender;

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
        #[serde(serialize_with = "seconds")]
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
        #[serde(serialize_with = "seconds")]
        took: Duration,
    },
    Unreachable {
        machine: MachineName,
        reason: String,
        hint: String,
    },

    /// A plan is about to be carried out: how many steps each machine has in it. Optional; without it there is no `3/14`.
    Begun {
        steps: BTreeMap<MachineName, usize>,
    },
    /// A step's script began on its machine. `line` is what the plan printed for it: [`Step::line`](hostler_core::plan::Step::line).
    StepStarted {
        step: StepId,
        stage: Stage,
        machine: MachineName,
        line: String,
    },
    /// The script as it was rendered, for the log only. Its secrets come on stdin, so there are none in it.
    StepScript {
        step: StepId,
        text: String,
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
        #[serde(serialize_with = "seconds")]
        limit: Duration,
    },
    /// A line the script printed, for the log only.
    StepOutput {
        step: StepId,
        line: String,
    },
    /// The script's exit status, for the log only.
    StepExited {
        step: StepId,
        status: i32,
    },
    StepFinished {
        step: StepId,
        #[serde(serialize_with = "seconds")]
        took: Duration,
    },
    StepFailed {
        step: StepId,
        reason: String,
        hint: String,
    },
    /// A step that could not go on as planned, because its machine was restarted: the next plan has what is left of it.
    StepPutOff {
        step: StepId,
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

impl Event {
    /// Whether only the run log holds it.
    pub fn log_only(&self) -> bool {
        matches!(self, Event::StepScript { .. } | Event::StepOutput { .. } | Event::StepExited { .. })
    }

    /// Every text in it that somebody wrote: where a secret could be.
    pub fn texts_mut(&mut self) -> Vec<&mut String> {
        match self {
            Event::TaskStarted { task, what } => vec![task, what],
            Event::TaskLine { task, line } => vec![task, line],
            Event::TaskFailed { task, reason } => vec![task, reason],
            Event::TaskProgress { task, .. } | Event::TaskFinished { task, .. } => vec![task],
            Event::Unreachable { reason, hint, .. } | Event::StepFailed { reason, hint, .. } => vec![reason, hint],
            Event::StepStarted { line, .. } | Event::StepOutput { line, .. } => vec![line],
            Event::StepScript { text, .. } => vec![text],
            Event::StepWaiting { what, .. } => vec![what],
            Event::Note { line } | Event::Warning { line } => vec![line],
            Event::Gathering { .. }
            | Event::Gathered { .. }
            | Event::Begun { .. }
            | Event::StepProgress { .. }
            | Event::StepExited { .. }
            | Event::StepFinished { .. }
            | Event::StepPutOff { .. }
            | Event::StepBlocked { .. } => Vec::new(),
        }
    }
}

/// A duration as seconds: `3.214`.
pub fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_millis() as f64 / 1000.0)
}
