//! Runs a plan: every step as soon as the steps it needs are done, on all machines in parallel. It knows nothing about Kubernetes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hostler_core::inventory::MachineName;
use hostler_core::plan::{Plan, Step};
use hostler_core::step::{Input, StepId};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::artifact::Bundles;
use crate::event::{Event, Events};
use crate::report::Redactor;
use crate::ssh::Turns;

pub mod ask;
pub mod gather;
pub mod identity;
pub mod link;
mod step;

pub use link::{Link, Opened};

/// The result of a run.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// How long each step took, including waits.
    pub done: BTreeMap<StepId, Duration>,
    /// Why a step failed.
    pub failed: BTreeMap<StepId, String>,
    /// Steps that did not run because another did not succeed.
    pub blocked: BTreeMap<StepId, StepId>,
    /// Steps that need another plan, because a machine was restarted.
    pub deferred: BTreeSet<StepId>,
}

impl Outcome {
    /// Whether every step is done.
    pub fn is_whole(&self) -> bool {
        self.failed.is_empty() && self.blocked.is_empty() && self.deferred.is_empty()
    }
}

/// What the steps of a run share.
pub struct Run {
    /// Identifies the run in locks on machines and in the log.
    pub id: String,
    pub bundles: Option<Arc<Bundles>>,
    pub links: BTreeMap<MachineName, Arc<Link>>,
    pub events: Events,
    pub redactor: Arc<Redactor>,
    /// The payloads that are on their way.
    turns: Arc<Turns>,
    /// Outputs of finished steps, in memory only.
    outputs: Mutex<BTreeMap<Input, String>>,
    /// Machines on which a script of the current plan has run.
    started: std::sync::Mutex<BTreeSet<MachineName>>,
}

impl Run {
    pub fn new(
        id: String,
        bundles: Option<Arc<Bundles>>,
        links: BTreeMap<MachineName, Arc<Link>>,
        events: Events,
        redactor: Arc<Redactor>,
    ) -> Arc<Run> {
        Arc::new(Run {
            id,
            bundles,
            links,
            events,
            redactor,
            turns: Arc::default(),
            outputs: Mutex::default(),
            started: std::sync::Mutex::default(),
        })
    }

    fn started(&self) -> MutexGuard<'_, BTreeSet<MachineName>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The available outputs that `step` refers to.
    async fn inputs(&self, step: &Step) -> BTreeMap<Input, String> {
        let outputs = self.outputs.lock().await;
        step.action.inputs().into_iter().filter_map(|input| Some((input.clone(), outputs.get(input)?.clone()))).collect()
    }
}

/// Runs every step of `plan` whose needs succeed. A failure does not stop steps that don't depend on it.
pub async fn execute(run: &Arc<Run>, plan: &Plan) -> Outcome {
    let mut steps = BTreeMap::new();
    for step in &plan.steps {
        *steps.entry(step.machine.clone()).or_default() += 1;
    }
    run.events.send(Event::PlanStarted { steps });
    // The plan was made from the present state; earlier restarts don't matter.
    run.started().clear();
    let behind = behind(plan);
    let mut outcome = Outcome::default();
    let mut waiting: Vec<&Step> = plan.steps.iter().collect();
    let mut running: JoinSet<(StepId, Duration, Result<(), step::StepEnd>)> = JoinSet::new();
    loop {
        let failed: BTreeSet<StepId> = outcome.failed.keys().chain(outcome.blocked.keys()).cloned().collect();
        let mut left = Vec::new();
        // A step that does not run blocks others.
        let mut more = false;
        for step in waiting {
            if let Some(by) = step.needs.iter().find(|need| failed.contains(*need)) {
                run.events.send(Event::StepBlocked { step: step.id.clone(), by: by.clone() });
                outcome.blocked.insert(step.id.clone(), by.clone());
                more = true;
            } else if step.needs.iter().any(|need| outcome.deferred.contains(need)) {
                outcome.deferred.insert(step.id.clone());
                more = true;
            } else if step.needs.iter().all(|need| outcome.done.contains_key(need)) {
                start(run, step, behind[&step.id], &mut running);
            } else {
                left.push(step);
            }
        }
        waiting = left;
        if more {
            continue;
        }
        let Some(finished) = running.join_next().await else { break };
        // A panic in a task is a bug; its step is reported as not done.
        let Ok((id, took, result)) = finished else { continue };
        match result {
            Ok(()) => {
                run.events.send(Event::StepFinished { step: id.clone(), took });
                outcome.done.insert(id, took);
            }
            Err(step::StepEnd::Deferred) => {
                run.events.send(Event::StepDeferred { step: id.clone() });
                outcome.deferred.insert(id);
            }
            Err(step::StepEnd::Failed { reason, hint }) => {
                let reason = run.redactor.redact(&reason);
                run.events.send(Event::StepFailed { step: id.clone(), reason: reason.clone(), hint });
                outcome.failed.insert(id, reason);
            }
        }
    }
    outcome
}

/// How many steps wait for a step, one after the other: the payload of the one that most wait for goes first.
fn behind(plan: &Plan) -> BTreeMap<StepId, usize> {
    let mut behind: BTreeMap<StepId, usize> = plan.steps.iter().map(|step| (step.id.clone(), 0)).collect();
    // A step comes after all that it needs.
    for step in plan.steps.iter().rev() {
        let own = behind[&step.id];
        for need in &step.needs {
            if let Some(most) = behind.get_mut(need) {
                *most = (*most).max(own + 1);
            }
        }
    }
    behind
}

/// `behind`: how many steps wait for it.
fn start(run: &Arc<Run>, step: &Step, behind: usize, running: &mut JoinSet<(StepId, Duration, Result<(), step::StepEnd>)>) {
    let (id, machine) = (step.id.clone(), step.machine.clone());
    run.events.send(Event::StepStarted { step: id, stage: step.stage, machine, line: step.line(), action: step.action.to_string() });
    let (run, step) = (run.clone(), step.clone());
    running.spawn(async move {
        let start = Instant::now();
        let result = step::apply(&run, &step, behind).await;
        (step.id, start.elapsed(), result)
    });
}
