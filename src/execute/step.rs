//! One step: its script is sent, its output read, and what failed is told apart: try again, wait for a name, or give up.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hostler_core::action::{RunOn, Script};
use hostler_core::plan::Step;
use hostler_core::protocol::{exit, said as said_as, say};
use hostler_core::step::{Input, StepId};
use tokio::time::sleep;

use super::Run;
use crate::event::Event;
use crate::ssh::{Exit, RunError};

/// How long a step may wait for things that others do: an apt that runs, an API server that starts, another hostler.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// How long a machine may be gone in the middle of a step: a restart takes a minute or two.
const ABSENCE: Duration = Duration::from_secs(5 * 60);

/// How a step ended that was not carried out.
pub enum Unfinished {
    Failed {
        reason: String,
        hint: String,
    },
    /// Its machine was restarted: what the plan was made from is not so any more.
    PutOff,
}

fn failed(reason: impl Into<String>, hint: impl Into<String>) -> Unfinished {
    Unfinished::Failed { reason: reason.into(), hint: hint.into() }
}

/// What a script said while it ran.
#[derive(Default)]
struct Said {
    outputs: BTreeMap<String, String>,
    wait: Option<String>,
    /// The last lines it printed, to explain a failure.
    tail: Vec<String>,
}

pub async fn carry_out(run: &Run, step: &Step) -> Result<(), Unfinished> {
    let inputs = run.inputs(step).await;
    let resolve = |input: &Input| inputs.get(input).cloned();
    let defect = |error: anyhow::Error| failed(format!("{error:#}"), "this is a defect of hostler: please report it");
    let begun = Instant::now();
    let mut pause = Duration::from_millis(500);
    let mut lost_since: Option<Instant> = None;
    loop {
        // Not while the lock is held that all steps share.
        let on = RunOn { run: &run.id, begun: run.begun().contains(&step.machine) };
        let script = step.action.script(on, &step.id, &resolve).map_err(defect)?;
        let limit = script.limit;
        let Some(link) = run.links.get(&step.machine) else {
            return Err(failed("there is no connection to it", "run again when it is reachable"));
        };
        let mut said = Said::default();
        let result = match tokio::time::timeout(limit, once(run, step, script, &mut said)).await {
            Ok(result) => result,
            Err(_) => {
                // The script may go on there and keeps its lock; another connection leaves it alone.
                link.forget().await;
                return Err(failed(format!("not done after {} minutes", limit.as_secs() / 60), "look at the machine; run again to go on"));
            }
        };
        if let Ok(Exit::Status(status)) = result {
            run.events.send(Event::StepExited { step: step.id.clone(), status: i32::try_from(status).unwrap_or(-1) });
            if status == exit::RESTARTED {
                return Err(Unfinished::PutOff);
            }
            // One that ended otherwise may not have come as far as its mark.
            if status == 0 {
                run.begun().insert(step.machine.clone());
            }
        }
        match result {
            Ok(Exit::Status(0)) => return keep_outputs(run, step, said).await,
            Ok(Exit::Status(exit::TRY_AGAIN)) => {
                let what = said.wait.unwrap_or_else(|| "the machine to be ready".to_owned());
                if begun.elapsed() > PATIENCE {
                    return Err(failed(format!("waited {} minutes for {what}", PATIENCE.as_secs() / 60), "run again when it is there"));
                }
                run.events.send(Event::StepWaiting { step: step.id.clone(), what, limit: PATIENCE });
            }
            Ok(Exit::Status(status)) => {
                return Err(failed(explain(&said, &format!("its script ended with status {status}")), "the run log has all it printed"));
            }
            Ok(Exit::Signal(signal)) => {
                return Err(failed(explain(&said, &format!("its script was ended by signal {signal}")), "the run log has all it printed"));
            }
            Err(RunError::Lost(why)) => {
                let since = *lost_since.get_or_insert_with(Instant::now);
                if since.elapsed() > ABSENCE {
                    return Err(failed(format!("lost the connection: {why}"), "run again when the machine is back"));
                }
                run.events.send(Event::StepWaiting {
                    step: step.id.clone(),
                    what: format!("the machine to come back ({why})"),
                    limit: ABSENCE,
                });
                link.forget().await;
            }
            Err(error) => return Err(failed(error.to_string(), error.hint())),
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

async fn once(run: &Run, step: &Step, script: Script, said: &mut Said) -> Result<Exit, RunError> {
    let link = run.links.get(&step.machine).ok_or_else(|| RunError::Lost("there is no connection".to_owned()))?;
    let session = link.session().await?;
    run.events.send(Event::StepScript { step: step.id.clone(), text: run.redactor.redact(&script.text) });
    let payload = super::link::payload(run, script.payload)?;
    let total = payload.iter().map(|part| part.len()).sum();
    let progress = |done: u64| run.events.send(Event::StepProgress { step: step.id.clone(), done, total });
    let listen = |line: &str| listen(run, &step.id, said, line);
    session.run(&script.text, payload, progress, listen).await
}

/// One line of a script's output: for a later step, for the wait, or for the log.
fn listen(run: &Run, step: &StepId, said: &mut Said, line: &str) {
    if let Some(output) = said_as(line, say::OUTPUT) {
        if let Some((name, value)) = output.split_once(' ') {
            said.outputs.insert(name.to_owned(), value.to_owned());
        }
    } else if let Some(what) = said_as(line, say::WAIT) {
        said.wait = Some(what.to_owned());
    } else if let Some(waiting) = said_as(line, say::WAITING) {
        if let Some((seconds, what)) = waiting.split_once(' ') {
            let limit = Duration::from_secs(seconds.parse().unwrap_or(0));
            run.events.send(Event::StepWaiting { step: step.clone(), what: what.to_owned(), limit });
        }
    } else {
        let line = run.redactor.redact(line);
        run.events.send(Event::StepOutput { step: step.clone(), line: line.clone() });
        if !line.trim().is_empty() {
            said.tail.push(line);
            if said.tail.len() > 6 {
                said.tail.remove(0);
            }
        }
    }
}

fn explain(said: &Said, otherwise: &str) -> String {
    match said.tail.as_slice() {
        [] => otherwise.to_owned(),
        lines => lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join("; "),
    }
}

/// Keeps what the step hands on. What is secret is known to the redactor before anything else can see it.
async fn keep_outputs(run: &Run, step: &Step, mut said: Said) -> Result<(), Unfinished> {
    for output in step.action.outputs() {
        let Some(value) = said.outputs.remove(output.name()) else {
            return Err(failed(format!("the script did not output `{}`", output.name()), "this is a defect of hostler: please report it"));
        };
        if output.secret() {
            run.redactor.add(&value);
        }
        run.outputs.lock().await.insert(Input { step: step.id.clone(), output: *output }, value);
    }
    Ok(())
}
