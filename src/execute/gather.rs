//! Gathers facts on all machines in parallel: one connection and one round trip each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use hostler_core::facts::{self, Contact, Observation, Question, Unreachable};
use hostler_core::inventory::MachineName;
use hostler_core::template;
use hostler_core::visible::last_output;
use tokio::task::JoinSet;

use super::{Link, identity};
use crate::event::{Event, Events};
use crate::ssh::{Bounds, Exit, RunError};

/// Limit for gathering facts, a new connection included.
const LIMIT: Duration = Bounds::FACTS.time;

/// The present state of every linked machine. One that does not answer is [`Observation::Unreachable`].
///
/// # Errors
/// Only a bug: the script can't be rendered.
pub async fn gather(
    links: &BTreeMap<MachineName, Arc<Link>>,
    question: &Question,
    events: &Events,
) -> Result<BTreeMap<MachineName, Observation>> {
    let mut looking = JoinSet::new();
    for (name, link) in links {
        let (name, link, script, events) = (name.clone(), link.clone(), script(&question.of(name))?, events.clone());
        looking.spawn(async move {
            let seen = observe(&name, &link, &script, &events).await;
            (name, seen)
        });
    }
    Ok(looking.join_all().await.into_iter().collect())
}

/// The script that answers `question` on a machine.
///
/// # Errors
/// Only a bug: the script can't be rendered.
pub fn script(question: &Question) -> Result<Arc<str>> {
    Ok(template::render("facts.sh", question)?.into())
}

/// The present state of one machine, by `script`.
pub async fn observe(name: &MachineName, link: &Link, script: &str, events: &Events) -> Observation {
    events.send(Event::Gathering { machine: name.clone() });
    let start = Instant::now();
    match tokio::time::timeout(LIMIT, facts_of(link, script)).await {
        Ok(Ok(facts)) => {
            events.send(Event::Gathered { machine: name.clone(), took: start.elapsed() });
            link.awaited().inspect(|awaited| awaited.arrived());
            Observation::Facts(Box::new(facts))
        }
        Ok(Err(GatherError { reason, hint, contact })) => {
            // The reporter adds the machine's name; a jump host's name stays.
            let reason = reason.strip_prefix(&format!("{name}: ")).map_or(reason.clone(), str::to_owned);
            let why = Unreachable { reason, contact, hint };
            let why = link.awaited().map_or(why.clone(), |awaited| awaited.describe(why));
            events.send(Event::Unreachable { machine: name.clone(), reason: why.reason.clone(), hint: why.hint.clone() });
            Observation::Unreachable(why)
        }
        Err(_) => {
            let reason = format!("gathering the facts timed out after {} s", LIMIT.as_secs());
            let hint = format!("log in to {name} with `ssh`, and see what keeps it busy");
            events.send(Event::Unreachable { machine: name.clone(), reason: reason.clone(), hint: hint.clone() });
            // A connection has a limit of its own, and a shorter one.
            Observation::Unreachable(Unreachable { reason, contact: Contact::Answer, hint })
        }
    }
}

/// Why facts could not be gathered, and what to do about it.
struct GatherError {
    reason: String,
    hint: String,
    contact: Contact,
}

impl From<RunError> for GatherError {
    fn from(error: RunError) -> GatherError {
        let contact = match &error {
            RunError::Connect(error) => error.contact(),
            _ => Contact::Answer,
        };
        GatherError { reason: error.to_string(), hint: error.hint(), contact }
    }
}

/// The script itself is sound: it is the login shell or sudo that fails, or prints something of its own.
fn try_sudo(link: &Link) -> String {
    format!("log in to {} with `ssh` and run `sudo true`: it must succeed and print nothing", link.target().name)
}

async fn facts_of(link: &Link, script: &str) -> Result<facts::Facts, GatherError> {
    let mut output = String::new();
    let mut errors = String::new();
    let mut asked_at = 0;
    for attempt in 0.. {
        output.clear();
        errors.clear();
        let session = link.session().await?;
        asked_at = jiff::Timestamp::now().as_second();
        let result = session.read(Bounds::FACTS, script, &mut output, &mut errors).await;
        match result {
            Ok(Exit::Status(0)) => break,
            Ok(exit) => {
                let reason = format!("the facts script ended with {exit}: {}", last_output(&errors));
                return Err(GatherError { reason, hint: try_sudo(link), contact: Contact::Answer });
            }
            // A connection from an earlier round may have died since.
            Err(RunError::Lost(_)) if attempt == 0 => link.forget().await,
            Err(error) => return Err(error.into()),
        }
    }
    let mut facts =
        facts::parse(&output).map_err(|error| GatherError { reason: error.to_string(), hint: try_sudo(link), contact: Contact::Answer })?;
    facts.clock_ahead = Some(facts.clock.saturating_sub(asked_at));
    if let Some(lock) = &mut facts.lock {
        lock.left_behind = identity::is_over(&lock.run);
    }
    Ok(facts)
}
