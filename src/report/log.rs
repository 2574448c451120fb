//! The log of a run: a file with everything that happened, however the run ended.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hostler_core::quantity;
use hostler_core::visible::visible_lines;
use jiff::Timestamp;

use super::running::waits;
use crate::event::Event;
use crate::home;

/// Number of logs to keep; older ones are removed when a new one is created.
const KEPT: usize = 50;

/// An open log, mode 0600. Each event is written at once, so that it survives a `kill -9`.
#[derive(Debug)]
pub struct RunLog {
    file: File,
    path: PathBuf,
}

/// `$XDG_STATE_HOME/hostler/runs`, by default `~/.local/state/hostler/runs`; `None` without a home.
pub fn default_folder() -> Option<PathBuf> {
    home::state().ok().map(|state| state.join("runs"))
}

impl RunLog {
    /// Creates a log in `folder` (created with mode 0700 if missing), named by `now` and `verb`, and removes all but the newest 50.
    pub fn create(folder: &Path, verb: &str, now: Timestamp) -> io::Result<RunLog> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let verb: String = verb.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let (file, path) = (1..)
            .map(|number| match number {
                1 => folder.join(format!("{time}-{verb}.log")),
                _ => folder.join(format!("{time}-{verb}-{number}.log")),
            })
            .find_map(|path| match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                // Another run in the same second.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                opened => Some(opened.map(|file| (file, path))),
            })
            .unwrap_or_else(|| Err(io::Error::other("no free name for the log file")))?;
        let mut log = RunLog { file, path };
        log.text(&format!("hostler {} {verb}, {now}, process {}", env!("CARGO_PKG_VERSION"), std::process::id()))?;
        remove_oldest(folder)?;
        Ok(log)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes an event; progress is left out.
    pub fn event(&mut self, now: Timestamp, event: &Event) -> io::Result<()> {
        let lines = lines(event);
        if lines.is_empty() {
            return Ok(());
        }
        let time = now.strftime("%H:%M:%S%.3f").to_string();
        let text: String = lines.iter().map(|line| format!("{time}  {line}\n")).collect();
        self.file.write_all(visible_lines(&text).as_bytes())
    }

    /// Writes `text` as it is: a plan, a result, the closing table.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(format!("{}\n", visible_lines(text.trim_end_matches('\n'))).as_bytes())
    }
}

/// Names start with the time, so their order is that of the runs.
fn remove_oldest(folder: &Path) -> io::Result<()> {
    let mut logs: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // Other files in the folder are the user's.
        let ours = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(".log") && is_named(name));
        if ours {
            logs.push(path);
        }
    }
    logs.sort();
    for old in &logs[..logs.len().saturating_sub(KEPT)] {
        match fs::remove_file(old) {
            // Another run was faster.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// `20261123T214029Z-`
fn is_named(name: &str) -> bool {
    let pattern = "00000000T000000Z-";
    name.len() > pattern.len()
        && name.bytes().zip(pattern.bytes()).all(|(byte, like)| if like == b'0' { byte.is_ascii_digit() } else { byte == like })
}

fn lines(event: &Event) -> Vec<String> {
    let took = |took| format!("done in {}", quantity::duration(took));
    let entry = |subject: &str, text: String| vec![format!("{subject}  {text}")];
    let failed = |subject: &str, how: &str, reason: &str, hint: &str| {
        let mut lines = marked(subject, &format!("{how}:"), reason);
        if !hint.is_empty() {
            lines.extend(marked(subject, "hint:", hint));
        }
        lines
    };
    match event {
        Event::TaskStarted { task, what } => entry(task, format!("started: {what}")),
        Event::TaskLine { task, line } => marked(task, ">", line),
        Event::TaskFinished { task, took: time } => entry(task, took(*time)),
        Event::TaskFailed { task, reason } => failed(task, "failed", reason, ""),
        Event::Gathering { machine } => entry(machine.as_str(), "gathering facts".to_owned()),
        Event::Gathered { machine, took: time } => entry(machine.as_str(), format!("facts {}", took(*time))),
        Event::Unreachable { reason, .. } if reason.is_empty() => Vec::new(),
        Event::Unreachable { machine, reason, hint } => failed(machine.as_str(), "unreachable", reason, hint),
        Event::StepStarted { step, line, .. } => entry(&step.to_string(), format!("started: {line}")),
        Event::StepScript { step, text } => marked(&step.to_string(), "|", text),
        Event::StepWaiting { step, what, limit } => entry(&step.to_string(), waits(what, *limit)),
        Event::StepOutput { step, line } => marked(&step.to_string(), ">", line),
        Event::StepExited { step, status } => entry(&step.to_string(), format!("exit status {status}")),
        Event::StepFinished { step, took: time } => entry(&step.to_string(), took(*time)),
        Event::StepFailed { step, reason, hint } => failed(&step.to_string(), "failed", reason, hint),
        Event::StepDeferred { step } => entry(&step.to_string(), "deferred: the machine was restarted".to_owned()),
        Event::StepBlocked { step, by } => entry(&step.to_string(), format!("blocked by {by}")),
        Event::Note { line } => vec![line.clone()],
        Event::Warning { line } => vec![format!("warning: {line}")],
        Event::TaskProgress { .. } | Event::StepProgress { .. } | Event::PlanStarted { .. } => Vec::new(),
    }
}

/// Each line of `text` after `subject` and `mark`, so that a search for the step finds every line.
fn marked(subject: &str, mark: &str, text: &str) -> Vec<String> {
    text.lines().map(|line| format!("{subject}  {mark} {line}").trim_end().to_owned()).collect()
}
