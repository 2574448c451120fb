//! What happens during a run, as values. The code that does the work sends them; [`crate::report`] alone decides how they look.
//!
//! Events should not carry secrets: secret outputs do not appear in them. If one gets into a text anyway, the
//! [redactor](crate::report::Redactor) masks it: every event passes it before it is shown or written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use hostler_core::inventory::MachineName;
use hostler_core::step::{Stage, StepId};
use hostler_core::visible::visible_lines;
use serde::{Serialize, Serializer};
use tokio::sync::mpsc::UnboundedSender;

/// Where events go. Sending never waits and never fails the work: without a reporter, events are lost and the work continues.
#[derive(Debug, Clone)]
pub struct Events {
    sender: UnboundedSender<Event>,
    tells_unreachable: bool,
}

impl Events {
    pub fn new(sender: UnboundedSender<Event>) -> Events {
        Events { sender, tells_unreachable: true }
    }

    /// Where events are lost.
    pub fn none() -> Events {
        let (sender, _) = tokio::sync::mpsc::unbounded_channel();
        Events::new(sender)
    }

    /// The same, for who says itself why a machine can't be reached.
    #[must_use]
    pub fn without_unreachable(&self) -> Events {
        Events { tells_unreachable: false, ..self.clone() }
    }

    /// Sends `event` to the reporter.
    pub fn send(&self, event: Event) {
        // A closed channel means that the reporter has ended; the work continues without it.
        let _ = self.sender.send(match event {
            Event::Unreachable { machine, .. } if !self.tells_unreachable => {
                Event::Unreachable { machine, reason: String::new(), hint: String::new() }
            }
            event => event,
        });
    }
}

/// One thing that happened. `--output json` prints one JSON object per event: docs/json.md describes them.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// Work on this computer started, e.g. on a bundle or on the lab. `task` names it until it ends.
    TaskStarted {
        task: String,
        what: String,
    },
    /// Bytes or items so far; `total` is 0 while it is unknown.
    TaskProgress {
        task: String,
        done: u64,
        total: u64,
        unit: Unit,
    },
    /// Output of a task.
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

    /// Facts are being gathered on a machine.
    Gathering {
        machine: MachineName,
    },
    Gathered {
        machine: MachineName,
        #[serde(serialize_with = "seconds")]
        took: Duration,
    },
    /// An empty reason: whoever asked says it.
    Unreachable {
        machine: MachineName,
        reason: String,
        hint: String,
    },

    /// A plan is about to be applied: its number of steps per machine. Optional; without it there is no `3/14`.
    PlanStarted {
        steps: BTreeMap<MachineName, usize>,
    },
    /// A step's script was started on its machine. `line` is its line of the plan: [`Step::line`](hostler_core::plan::Step::line); `action`
    /// the part of it that says what is done.
    StepStarted {
        step: StepId,
        stage: Stage,
        machine: MachineName,
        line: String,
        action: String,
    },
    /// The rendered script, for the log only. It contains no secrets: they are sent on stdin.
    StepScript {
        step: StepId,
        text: String,
    },
    /// Bytes of a step's payload that were sent.
    StepProgress {
        step: StepId,
        done: u64,
        total: u64,
    },
    /// A step waits for `what`, at most `limit`.
    StepWaiting {
        step: StepId,
        what: String,
        #[serde(serialize_with = "seconds")]
        limit: Duration,
    },
    /// A line of the script's output, for the log only.
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
    /// A step can't continue as planned because its machine was restarted: the next plan has the rest of it.
    StepDeferred {
        step: StepId,
    },
    /// A step will not run, because `by` did not succeed.
    StepBlocked {
        step: StepId,
        by: StepId,
    },
    /// A line for the user that does not belong to a step.
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

    /// As it may be shown and logged: whatever the machines' texts in it hold is [visible](hostler_core::visible).
    #[must_use]
    pub fn shown(mut self) -> Event {
        for text in self.texts_mut() {
            if let Cow::Owned(clean) = visible_lines(text) {
                *text = clean;
            }
        }
        self
    }

    /// Its messages for the user.
    pub fn messages_mut(&mut self) -> Vec<&mut String> {
        match self {
            Event::Unreachable { reason, hint, .. } | Event::StepFailed { reason, hint, .. } => vec![reason, hint],
            Event::TaskFailed { reason: line, .. } | Event::Note { line } | Event::Warning { line } => vec![line],
            _ => Vec::new(),
        }
    }

    /// Every free text in it, for the redactor and for [`shown`](Event::shown).
    pub fn texts_mut(&mut self) -> Vec<&mut String> {
        match self {
            Event::TaskStarted { task, what } => vec![task, what],
            Event::TaskLine { task, line } => vec![task, line],
            Event::TaskFailed { task, reason } => vec![task, reason],
            Event::TaskProgress { task, .. } | Event::TaskFinished { task, .. } => vec![task],
            Event::Unreachable { reason, hint, .. } | Event::StepFailed { reason, hint, .. } => vec![reason, hint],
            Event::StepStarted { line, action, .. } => vec![line, action],
            Event::StepOutput { line, .. } => vec![line],
            Event::StepScript { text, .. } => vec![text],
            Event::StepWaiting { what, .. } => vec![what],
            Event::Note { line } | Event::Warning { line } => vec![line],
            Event::Gathering { .. }
            | Event::Gathered { .. }
            | Event::PlanStarted { .. }
            | Event::StepProgress { .. }
            | Event::StepExited { .. }
            | Event::StepFinished { .. }
            | Event::StepDeferred { .. }
            | Event::StepBlocked { .. } => Vec::new(),
        }
    }
}

/// A duration as seconds: `3.214`.
pub fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_millis() as f64 / 1000.0)
}
