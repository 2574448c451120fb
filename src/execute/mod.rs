//! Carries a plan out: every step as soon as what it needs is done, machines side by side. Knows nothing about Kubernetes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hostler_core::inventory::MachineName;
use hostler_core::plan::{Plan, Step};
use hostler_core::step::{Input, StepId};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::artifact::Bundle;
use crate::event::{Event, Events};
use crate::report::Redactor;

pub mod gather;
pub mod identity;
pub mod link;
mod step;

pub use link::{Link, Opened};

/// What a run did, and what it did not.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// How long each step took, waits included.
    pub done: BTreeMap<StepId, Duration>,
    /// Why a step failed, in a person's words.
    pub failed: BTreeMap<StepId, String>,
    /// Steps that did not run because another did not succeed.
    pub blocked: BTreeMap<StepId, StepId>,
    /// Steps that wait for another plan, because a machine was restarted.
    pub put_off: BTreeSet<StepId>,
}

impl Outcome {
    /// Whether every step that was to be done is done.
    pub fn is_whole(&self) -> bool {
        self.failed.is_empty() && self.blocked.is_empty() && self.put_off.is_empty()
    }
}

/// What the steps of a run share.
pub struct Run {
    /// Names the run on machines, in their locks and in the log.
    pub id: String,
    pub bundle: Option<Arc<Bundle>>,
    pub links: BTreeMap<MachineName, Arc<Link>>,
    pub events: Events,
    pub redactor: Arc<Redactor>,
    /// Outputs of finished steps. Lives in memory only.
    outputs: Mutex<BTreeMap<Input, String>>,
    /// Machines on which a script of the plan that is carried out has run.
    begun: std::sync::Mutex<BTreeSet<MachineName>>,
}

impl Run {
    pub fn new(
        id: String,
        bundle: Option<Arc<Bundle>>,
        links: BTreeMap<MachineName, Arc<Link>>,
        events: Events,
        redactor: Arc<Redactor>,
    ) -> Arc<Run> {
        Arc::new(Run { id, bundle, links, events, redactor, outputs: Mutex::default(), begun: std::sync::Mutex::default() })
    }

    fn begun(&self) -> MutexGuard<'_, BTreeSet<MachineName>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Outputs that `step` refers to and that are there.
    async fn inputs(&self, step: &Step) -> BTreeMap<Input, String> {
        let outputs = self.outputs.lock().await;
        step.action.inputs().into_iter().filter_map(|input| Some((input.clone(), outputs.get(input)?.clone()))).collect()
    }
}

/// Runs every step of `plan` whose needs succeed. One machine's failure does not stop what does not depend on it.
pub async fn execute(run: &Arc<Run>, plan: &Plan) -> Outcome {
    let mut steps = BTreeMap::new();
    for step in &plan.steps {
        *steps.entry(step.machine.clone()).or_default() += 1;
    }
    run.events.send(Event::Begun { steps });
    // The plan was made from how machines are now, however often they were restarted before.
    run.begun().clear();
    let mut outcome = Outcome::default();
    let mut waiting: Vec<&Step> = plan.steps.iter().collect();
    let mut running: JoinSet<(StepId, Duration, Result<(), step::Unfinished>)> = JoinSet::new();
    loop {
        let failed: BTreeSet<StepId> = outcome.failed.keys().chain(outcome.blocked.keys()).cloned().collect();
        let mut left = Vec::new();
        // A step that does not run keeps others from running.
        let mut more = false;
        for step in waiting {
            if let Some(by) = step.needs.iter().find(|need| failed.contains(*need)) {
                run.events.send(Event::StepBlocked { step: step.id.clone(), by: by.clone() });
                outcome.blocked.insert(step.id.clone(), by.clone());
                more = true;
            } else if step.needs.iter().any(|need| outcome.put_off.contains(need)) {
                outcome.put_off.insert(step.id.clone());
                more = true;
            } else if step.needs.iter().all(|need| outcome.done.contains_key(need)) {
                start(run, step, &mut running);
            } else {
                left.push(step);
            }
        }
        waiting = left;
        if more {
            continue;
        }
        let Some(finished) = running.join_next().await else { break };
        // A task that panicked is a defect; its step stays unfinished and is reported as what is left.
        let Ok((id, took, result)) = finished else { continue };
        match result {
            Ok(()) => {
                run.events.send(Event::StepFinished { step: id.clone(), took });
                outcome.done.insert(id, took);
            }
            Err(step::Unfinished::PutOff) => {
                run.events.send(Event::StepPutOff { step: id.clone() });
                outcome.put_off.insert(id);
            }
            Err(step::Unfinished::Failed { reason, hint }) => {
                let reason = run.redactor.redact(&reason);
                run.events.send(Event::StepFailed { step: id.clone(), reason: reason.clone(), hint });
                outcome.failed.insert(id, reason);
            }
        }
    }
    outcome
}

fn start(run: &Arc<Run>, step: &Step, running: &mut JoinSet<(StepId, Duration, Result<(), step::Unfinished>)>) {
    run.events.send(Event::StepStarted { step: step.id.clone(), stage: step.stage, machine: step.machine.clone(), line: step.line() });
    let (run, step) = (run.clone(), step.clone());
    running.spawn(async move {
        let begun = Instant::now();
        let result = step::carry_out(&run, &step).await;
        (step.id, begun.elapsed(), result)
    });
}
