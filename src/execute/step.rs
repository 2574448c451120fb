//! One step: sends its script, reads its output, and decides after a failure whether to retry, wait or give up.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hostler_core::action::{PowerState, RunOn, Script, output};
use hostler_core::facts::Contact;
use hostler_core::plan::Step;
use hostler_core::protocol::{exit, said as value_of, say};
use hostler_core::step::{Input, StepId, StepKind};
use hostler_core::visible::{last_output, visible};
use tokio::time::sleep;

use super::Run;
use crate::event::Event;
use crate::ssh::{Exit, Payload, RunError, Turn};

/// How long a machine may be unreachable during a step: a restart takes a minute or two.
const ABSENCE: Duration = Duration::from_secs(5 * 60);
/// The same where the step restarts it: a server checks its memory before it starts.
const RESTART: Duration = Duration::from_secs(15 * 60);
/// How long a machine that shuts down may still answer: kubelet lets pods end for a minute, and systemd stops services for a minute and a half.
const SHUTDOWN: Duration = Duration::from_secs(10 * 60);

/// Why a step was not done.
pub enum StepEnd {
    Failed {
        reason: String,
        hint: String,
    },
    /// Its machine was restarted: the facts that the plan was made from no longer hold.
    Deferred,
}

fn failed(reason: impl Into<String>, hint: impl Into<String>) -> StepEnd {
    StepEnd::Failed { reason: reason.into(), hint: hint.into() }
}

/// The output of a script.
#[derive(Default)]
struct ScriptOutput {
    outputs: BTreeMap<String, String>,
    wait: Option<String>,
    /// Its last lines, to explain a failure.
    tail: Vec<String>,
}

/// `behind`: how many steps wait for it, one after the other.
pub async fn apply(run: &Run, step: &Step, behind: usize) -> Result<(), StepEnd> {
    let inputs = run.inputs(step).await;
    let resolve = |input: &Input| inputs.get(input).cloned();
    let bug = |error: anyhow::Error| failed(format!("{error:#}"), "this is a bug in hostler: report it with the run log");
    let start = Instant::now();
    let mut pause = Duration::from_millis(500);
    let mut lost_since: Option<Instant> = None;
    let (power, patience) = (step.action.power(), step.action.patience());
    loop {
        // A short lock: all steps share it. A restart that the step makes itself is no surprise.
        let on = RunOn { run: &run.id, begun: power == PowerState::StaysOn && run.started().contains(&step.machine) };
        let script = step.action.script(on, &step.id, &resolve).map_err(bug)?;
        let limit = script.limit;
        let Some(link) = run.links.get(&step.machine) else {
            return Err(failed("there is no connection to the machine", "run the same command again when the machine can be reached"));
        };
        let mut output = ScriptOutput::default();
        let result = match tokio::time::timeout(limit, once(run, step, behind, script, &mut output)).await {
            Ok(result) => result,
            Err(_) => {
                // The script may continue there and keeps its lock; a new connection does not disturb it.
                link.forget().await;
                return Err(failed(
                    format!("the step timed out after {} min", limit.as_secs() / 60),
                    "check what the machine is doing, then run the same command again to continue",
                ));
            }
        };
        if let Ok(Exit::Status(status)) = result {
            run.events.send(Event::StepExited { step: step.id.clone(), status: i32::try_from(status).unwrap_or(-1) });
            if status == exit::RESTARTED {
                return Err(StepEnd::Deferred);
            }
            // A script that failed may have ended before it wrote its mark.
            if status == 0 {
                run.started().insert(step.machine.clone());
            }
        }
        match result {
            Ok(Exit::Status(0)) => return keep_outputs(run, step, output).await,
            Ok(Exit::Status(exit::TRY_AGAIN)) => {
                let what = output.wait.unwrap_or_else(|| "the machine to become ready".to_owned());
                if start.elapsed() > patience {
                    return Err(failed(
                        format!("the step timed out after waiting {} min for {what}", patience.as_secs() / 60),
                        "run the same command again to continue waiting",
                    ));
                }
                run.events.send(Event::StepWaiting { step: step.id.clone(), what, limit: patience.saturating_sub(start.elapsed()) });
            }
            Ok(Exit::Status(status)) => {
                return Err(failed(
                    explain(&output, &format!("the step's script ended with exit status {status}")),
                    // Other verbs than `up` verify, too, and repair nothing.
                    match step.id.kind {
                        StepKind::Probe => {
                            "`hostler status` shows what is wrong, and `hostler up` repairs what it can; the run log has the full output"
                        }
                        _ => "the run log has the full output of the script",
                    },
                ));
            }
            Ok(Exit::Signal(signal)) => {
                return Err(failed(
                    explain(&output, &format!("the step's script was killed by signal {signal}")),
                    "the run log has the full output of the script",
                ));
            }
            Err(ref error) if power == PowerState::GoesOff && is_off(error) => return Ok(()),
            Err(ref error) if error.may_pass() || power == PowerState::Restarts && lost_since.is_some() && error.may_pass_at_boot() => {
                let since = *lost_since.get_or_insert_with(Instant::now);
                absent(step, power, since, error)?;
                let (what, limit) = match power {
                    PowerState::GoesOff => ("the machine to be off", SHUTDOWN),
                    PowerState::Restarts => ("the machine to come back", RESTART),
                    PowerState::StaysOn => ("the machine to come back", ABSENCE),
                };
                let what = format!("{what} ({})", reason(error));
                run.events.send(Event::StepWaiting { step: step.id.clone(), what, limit });
                link.forget().await;
            }
            Err(error) => return Err(failed(error.to_string(), error.hint())),
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// Nothing answers at the machine's address.
fn is_off(error: &RunError) -> bool {
    matches!(error, RunError::Connect(error) if error.contact() == Contact::Silence)
}

fn reason(error: &RunError) -> String {
    match error {
        RunError::Lost(why) => why.clone(),
        error => error.to_string(),
    }
}

/// # Errors
/// The machine has been unreachable, or has been shutting down, for too long.
fn absent(step: &Step, power: PowerState, since: Instant, error: &RunError) -> Result<(), StepEnd> {
    let (away, name, why) = (since.elapsed(), &step.machine, reason(error));
    let minutes = |limit: Duration| limit.as_secs() / 60;
    let (reason, hint) = match power {
        PowerState::StaysOn if away > ABSENCE => (
            format!("the machine did not come back within {} min: {why}", minutes(ABSENCE)),
            "run the same command again when the machine is back".to_owned(),
        ),
        PowerState::Restarts if away > RESTART => (
            format!("the machine did not come back within {} min: {why}", minutes(RESTART)),
            format!(
                "check the console of {name}; the machines that come after it were not changed; run the same command again when {name} \
                 is back"
            ),
        ),
        PowerState::GoesOff if away > SHUTDOWN => (
            format!("the machine still answers after {} min: {why}", minutes(SHUTDOWN)),
            format!("check the console of {name}, then run the same command again"),
        ),
        _ => return Ok(()),
    };
    Err(failed(reason, hint))
}

async fn once(run: &Run, step: &Step, behind: usize, script: Script, output: &mut ScriptOutput) -> Result<Exit, RunError> {
    let link = run.links.get(&step.machine).ok_or_else(|| RunError::Lost("there is no connection".to_owned()))?;
    let session = link.session().await?;
    run.events.send(Event::StepScript { step: step.id.clone(), text: run.redactor.redact(&script.text) });
    let parts = super::link::payload(run, script.payload)?;
    let total = parts.iter().map(|part| part.len()).sum();
    let payload = Payload { parts, turn: Some(Turn::new(&run.turns, behind)) };
    let progress = |done: u64| run.events.send(Event::StepProgress { step: step.id.clone(), done, total });
    let listen = |line: &str| listen(run, &step.id, output, line);
    session.run(&script.text, payload, progress, listen).await
}

/// Handles one line of a script's output: an output for a later step, a reason to wait, or a line for the log.
fn listen(run: &Run, step: &StepId, output: &mut ScriptOutput, line: &str) {
    if let Some(assignment) = value_of(line, say::OUTPUT) {
        if let Some((name, value)) = assignment.split_once(' ') {
            output.outputs.insert(name.to_owned(), value.to_owned());
        }
    } else if let Some(what) = value_of(line, say::WAIT) {
        output.wait = Some(visible(what).into_owned());
    } else if let Some(waiting) = value_of(line, say::WAITING) {
        if let Some((seconds, what)) = waiting.split_once(' ') {
            let limit = Duration::from_secs(seconds.parse().unwrap_or(0));
            run.events.send(Event::StepWaiting { step: step.clone(), what: visible(what).into_owned(), limit });
        }
    } else {
        let line = run.redactor.redact(line);
        run.events.send(Event::StepOutput { step: step.clone(), line: line.clone() });
        if !line.trim().is_empty() {
            output.tail.push(line);
            if output.tail.len() > 6 {
                output.tail.remove(0);
            }
        }
    }
}

fn explain(output: &ScriptOutput, otherwise: &str) -> String {
    match output.tail.as_slice() {
        [] => otherwise.to_owned(),
        lines => last_output(&lines.join("\n")),
    }
}

/// Keeps the outputs of a step. The redactor learns secrets before any other code sees them.
async fn keep_outputs(run: &Run, step: &Step, mut script: ScriptOutput) -> Result<(), StepEnd> {
    for output in step.action.outputs() {
        let Some(value) = script.outputs.remove(output.name()) else {
            return Err(failed(
                format!("the script did not output `{}`", output.name()),
                "this is a bug in hostler: report it with the \
                run log",
            ));
        };
        if output.secret() {
            run.redactor.add(&value);
        }
        // It goes to other machines.
        if let Err(what) = output::check(*output, &value) {
            let hint = format!(
                "check {}: hostler passes a machine's output to other machines only if the output has the expected form",
                step.machine
            );
            return Err(failed(format!("the script's output `{}` is not {what}", output.name()), hint));
        }
        run.outputs.lock().await.insert(Input { step: step.id.clone(), output: *output }, value);
    }
    Ok(())
}
