//! Work on this computer, as events.

use std::time::Instant;

use anyhow::Result;

use crate::event::{Event, Events, Unit};

/// Reports the progress of a running task.
#[derive(Debug, Clone)]
pub struct Task {
    events: Events,
    name: String,
}

impl Task {
    pub fn line(&self, line: &str) {
        self.events.send(Event::TaskLine { task: self.name.clone(), line: line.to_owned() });
    }

    pub fn progress(&self, done: u64, total: u64, unit: Unit) {
        self.events.send(Event::TaskProgress { task: self.name.clone(), done, total, unit });
    }
}

/// Does `work`, with events for its start and end.
pub async fn task<T>(events: &Events, name: &str, what: &str, work: impl AsyncFnOnce(Task) -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    let name = name.to_owned();
    events.send(Event::TaskStarted { task: name.clone(), what: what.to_owned() });
    let result = work(Task { events: events.clone(), name: name.clone() }).await;
    events.send(match &result {
        Ok(_) => Event::TaskFinished { task: name, took: begun.elapsed() },
        Err(error) => Event::TaskFailed { task: name, reason: format!("{error:#}") },
    });
    result
}
