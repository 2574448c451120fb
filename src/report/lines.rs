//! Events as lines of text: printed if there is no terminal, and above the bars if there is one.

use std::collections::BTreeMap;
use std::time::Duration;

use hostler_core::inventory::MachineName;
use hostler_core::quantity;
use hostler_core::step::StepId;

use super::paint::Paint;
use super::running::{Item, Running, waits};
use crate::event::Event;

/// The longest time without a line while something is running, less half a second for the clock.
const SILENCE: Duration = Duration::from_millis(4500);

/// Lines for each event. Times count from the start of the run.
#[derive(Debug)]
pub struct Lines {
    pub running: Running,
    pub paint: Paint,
    /// Whether there are only lines: then starts are printed too, and what is running is repeated now and then.
    alone: bool,
    last_line: Duration,
    /// Why machines can't be reached, as it was printed last.
    lost: BTreeMap<MachineName, String>,
}

impl Lines {
    /// For a file, a pipe, a dumb terminal.
    pub fn alone(paint: Paint) -> Lines {
        Lines { running: Running::default(), paint, alone: true, last_line: Duration::ZERO, lost: BTreeMap::new() }
    }

    /// For a terminal that shows what is running with bars.
    pub fn above_bars(paint: Paint) -> Lines {
        Lines { alone: false, ..Lines::alone(paint) }
    }

    /// Applies `event` and returns the lines to print for it, without newlines.
    pub fn event(&mut self, now: Duration, event: &Event) -> Vec<String> {
        // What repeats itself is printed once: what a step waits for, and why a machine can't be reached.
        let known = match event {
            Event::StepWaiting { step, what, .. } => self.running.step(step).is_some_and(|item| item.waits_for() == Some(what)),
            Event::Unreachable { machine, reason, .. } => {
                reason.is_empty() || self.lost.insert(machine.clone(), reason.clone()).as_ref() == Some(reason)
            }
            _ => false,
        };
        if let Event::Gathered { machine, .. } = event {
            self.lost.remove(machine);
        }
        let ended = self.running.apply(now, event);
        let lines = if known { Vec::new() } else { self.lines_of(event, ended.as_ref()) };
        if !lines.is_empty() {
            self.last_line = now;
        }
        lines
    }

    /// What is running, if nothing was printed for too long.
    pub fn tick(&mut self, now: Duration) -> Vec<String> {
        if !self.alone || now.saturating_sub(self.last_line) < SILENCE {
            return Vec::new();
        }
        let items = self.running.items().into_iter();
        let lines: Vec<String> = items
            .map(|item| {
                let mut state = format!("running for {}", quantity::duration(now.saturating_sub(item.since)));
                if !item.state(now).is_empty() {
                    state = format!("{state}: {}", item.state(now));
                }
                self.line(&item.subject, &[&item.what, &self.paint.faint(&state)])
            })
            .collect();
        if !lines.is_empty() {
            self.last_line = now;
        }
        lines
    }

    fn lines_of(&self, event: &Event, ended: Option<&Item>) -> Vec<String> {
        let done = |took: &Duration| self.paint.good(&format!("done in {}", quantity::duration(*took)));
        let what = ended.map_or("", |item| item.what.as_str());
        match event {
            Event::TaskStarted { task, what } if self.alone => vec![self.line(task, &[what])],
            Event::StepStarted { machine, line, .. } if self.alone => vec![self.line(machine.as_str(), &[line])],
            Event::StepWaiting { step, what, limit } if self.alone => {
                vec![self.line(named(step, None).0, &[&self.paint.odd(&waits(what, *limit))])]
            }
            Event::TaskLine { task, line } => vec![self.line(task, &[line])],
            Event::TaskFinished { task, took } => vec![self.line(task, &[what, &done(took)])],
            Event::TaskFailed { task, reason } => self.failed(task, what, "failed", reason, ""),
            Event::Gathered { machine, took } => vec![self.line(machine.as_str(), &["gather facts", &done(took)])],
            Event::Unreachable { machine, reason, hint } => self.failed(machine.as_str(), "", "unreachable", reason, hint),
            Event::StepFinished { step, took } => {
                let (subject, what) = named(step, ended);
                vec![self.line(subject, &[what, &done(took)])]
            }
            Event::StepFailed { step, reason, hint } => {
                let (subject, what) = named(step, ended);
                self.failed(subject, what, "failed", reason, hint)
            }
            Event::StepDeferred { step } => {
                let (subject, what) = named(step, ended);
                vec![self.line(subject, &[what, &self.paint.odd("deferred: the machine was restarted; its facts are gathered again")])]
            }
            Event::StepBlocked { step, by } => {
                let blocked = self.paint.odd(&format!("not done: blocked by {by}"));
                let (subject, what) = named(step, None);
                vec![self.line(subject, &[what, &blocked])]
            }
            Event::Note { line } => vec![line.clone()],
            Event::Warning { line } => vec![format!("{} {line}", self.paint.odd("warning:"))],
            Event::TaskStarted { .. }
            | Event::TaskProgress { .. }
            | Event::Gathering { .. }
            | Event::PlanStarted { .. }
            | Event::StepStarted { .. }
            | Event::StepScript { .. }
            | Event::StepProgress { .. }
            | Event::StepWaiting { .. }
            | Event::StepOutput { .. }
            | Event::StepExited { .. } => Vec::new(),
        }
    }

    /// `SUBJECT  PART  PART`, with the subjects in a column; empty parts are left out.
    pub fn line(&self, subject: &str, parts: &[&str]) -> String {
        let subject = console::pad_str(subject, self.running.widest(), console::Alignment::Left, None);
        let parts = parts.iter().filter(|part| !part.is_empty()).copied();
        std::iter::once(subject.as_ref()).chain(parts).collect::<Vec<_>>().join("  ")
    }

    /// A failure, with its further lines indented below it, and its hint.
    fn failed(&self, subject: &str, what: &str, how: &str, reason: &str, hint: &str) -> Vec<String> {
        let mut reasons = reason.lines();
        let first = reasons.next().unwrap_or("unknown reason");
        let mut lines = vec![self.line(subject, &[what, &format!("{} {first}", self.paint.bad(&format!("{how}:")))])];
        lines.extend(reasons.map(|line| format!("    {line}")));
        if !hint.is_empty() {
            lines.push(format!("  {} {hint}", self.paint.hint("hint:")));
        }
        lines
    }
}

/// Machine and text of a step: from its start, or from its id if it was never started.
fn named<'a>(step: &'a StepId, started: Option<&'a Item>) -> (&'a str, &'a str) {
    match started {
        Some(item) => (&item.subject, &item.what),
        None => (step.machine.as_str(), step.kind.name()),
    }
}
