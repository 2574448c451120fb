//! The end of a run that is told to end: what is half done, and what was not begun.

use hostler_core::plan::Plan;
use hostler_core::step::StepId;
use hostler_core::words::counted;
use serde::Serialize;

use super::paint::Paint;
use super::record::Record;

/// The last event of a run that was broken off, as a value; `--output json` prints it as `brokenOff`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokenOff {
    /// `Ctrl-C`
    pub by: String,
    /// Steps that succeeded.
    pub done: usize,
    /// Steps that were begun, and whose scripts may go on on their machines.
    pub half_done: Vec<HalfDone>,
    /// Steps of the plan that were not begun.
    pub left: usize,
    pub log: Option<std::path::PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HalfDone {
    pub step: StepId,
    pub line: String,
}

impl BrokenOff {
    /// `plan`: the last one that was shown.
    pub fn new(by: &str, plan: Option<&Plan>, record: &Record) -> BrokenOff {
        let half_done = record.steps.iter().filter(|(_, ran)| ran.ended.is_none());
        let begun = |id: &StepId| record.steps.contains_key(id) || record.blocked.contains_key(id);
        BrokenOff {
            by: by.to_owned(),
            done: record.steps.iter().filter(|(id, ran)| ran.ended.is_some() && !record.failed.contains_key(*id)).count(),
            half_done: half_done.map(|(step, ran)| HalfDone { step: step.clone(), line: ran.line.clone() }).collect(),
            left: plan.map_or(0, |plan| plan.steps.iter().filter(|step| !begun(&step.id)).count()),
            log: record.log.clone(),
        }
    }

    /// For a person. Ends with a newline.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = format!("{} by {}\n", paint.bad("broken off"), self.by);
        for half in &self.half_done {
            text.push_str(&format!("{} {}: {}\n", paint.odd("half done:"), half.step, half.line));
        }
        let so_far = format!("{} done, {} not begun", counted(self.done, "step"), self.left);
        text.push_str(&match (self.half_done.is_empty(), self.done) {
            (true, 0) => "nothing is half done: nothing was begun on any machine\n".to_owned(),
            (true, _) => format!("nothing is half done: {so_far}\n"),
            (false, _) => format!("{so_far}\n"),
        });
        if !self.half_done.is_empty() {
            let what = "what runs on a machine comes to its end there, or stops for want of what it was to be sent; run again: that waits for it, and goes on";
            text.push_str(&format!("{} {what}\n", paint.hint("hint:")));
        }
        if let Some(log) = &self.log {
            text.push_str(&format!("log: {}\n", log.display()));
        }
        text
    }
}
