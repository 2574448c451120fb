//! The end of an interrupted run: what may still be running, and what was not started.

use hostler_core::plan::Plan;
use hostler_core::step::StepId;
use hostler_core::words::counted;
use serde::Serialize;

use super::paint::Paint;
use super::record::Record;

/// The last event of an interrupted run; `--output json` prints it as `interrupted`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Interrupted {
    /// `Ctrl-C`
    pub by: String,
    /// Steps that succeeded.
    pub done: usize,
    /// Steps that were started and have not ended: their scripts may still be running on their machines.
    pub running: Vec<RunningStep>,
    /// Steps of the plan that were not started.
    pub not_started: usize,
    pub log: Option<std::path::PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningStep {
    pub step: StepId,
    pub line: String,
}

impl Interrupted {
    /// `plan`: the last one that was shown.
    pub fn new(by: &str, plan: Option<&Plan>, record: &Record) -> Interrupted {
        let running = record.steps.iter().filter(|(_, ran)| ran.ended.is_none());
        let known = |id: &StepId| record.steps.contains_key(id) || record.blocked.contains_key(id);
        Interrupted {
            by: by.to_owned(),
            done: record.done(),
            running: running.map(|(step, ran)| RunningStep { step: step.clone(), line: ran.line.clone() }).collect(),
            not_started: plan.map_or(0, |plan| plan.steps.iter().filter(|step| !known(&step.id)).count()),
            log: record.log.clone(),
        }
    }

    /// For a person. Ends with a newline.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = format!("{} {}\n", paint.bad("interrupted:"), self.by);
        for running in &self.running {
            text.push_str(&format!("{} {}: {}\n", paint.odd("not finished:"), running.step, running.line));
        }
        let so_far = format!("{} done, {} not started", counted(self.done, "step"), self.not_started);
        text.push_str(&match (self.running.is_empty(), self.done) {
            (true, 0) => "nothing was started on any machine\n".to_owned(),
            (true, _) => format!("no step was running: {so_far}\n"),
            (false, _) => format!("{so_far}\n"),
        });
        if !self.running.is_empty() {
            let what = "run the same command again to continue; it waits for scripts that are still running on machines";
            text.push_str(&format!("{} {what}\n", paint.hint("hint:")));
        }
        if let Some(log) = &self.log {
            text.push_str(&format!("log: {}\n", log.display()));
        }
        text
    }
}
