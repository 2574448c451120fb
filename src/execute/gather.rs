//! One look at every machine, side by side: one connection, one round trip.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use hostler_core::facts::{self, Observation, Question};
use hostler_core::inventory::MachineName;
use hostler_core::template;
use tokio::task::JoinSet;

use super::{Link, identity};
use crate::event::{Event, Events};
use crate::ssh::{Exit, RunError};

/// How long a machine may take to tell its facts. A loaded one needs a second; a slow one that has to read all of its programs, a minute.
const LIMIT: Duration = Duration::from_secs(180);

/// What every linked machine is like now. A machine that does not tell is [`Observation::Unreachable`].
///
/// # Errors
/// Only a defect: the script can't be made.
pub async fn gather(
    links: &BTreeMap<MachineName, Arc<Link>>,
    question: &Question,
    events: &Events,
) -> Result<BTreeMap<MachineName, Observation>> {
    let script = script(question)?;
    let mut looking = JoinSet::new();
    for (name, link) in links {
        let (name, link, script, events) = (name.clone(), link.clone(), script.clone(), events.clone());
        looking.spawn(async move {
            let seen = observe(&name, &link, &script, &events).await;
            (name, seen)
        });
    }
    Ok(looking.join_all().await.into_iter().collect())
}

/// What asks a machine `question`.
///
/// # Errors
/// Only a defect: the script can't be made.
pub fn script(question: &Question) -> Result<Arc<str>> {
    Ok(template::render("facts.sh", question)?.into())
}

/// What one machine is like now, told by `script`.
pub async fn observe(name: &MachineName, link: &Link, script: &str, events: &Events) -> Observation {
    events.send(Event::Gathering { machine: name.clone() });
    let begun = Instant::now();
    match tokio::time::timeout(LIMIT, look(link, script)).await {
        Ok(Ok(facts)) => {
            events.send(Event::Gathered { machine: name.clone(), took: begun.elapsed() });
            Observation::Facts(Box::new(facts))
        }
        Ok(Err(Untold { reason, hint })) => {
            // Whoever tells it names the machine; a jump host's name stays.
            let reason = reason.strip_prefix(&format!("{name}: ")).map_or(reason.clone(), str::to_owned);
            events.send(Event::Unreachable { machine: name.clone(), reason: reason.clone(), hint });
            Observation::Unreachable(reason)
        }
        Err(_) => {
            let reason = format!("it did not tell its facts within {} s", LIMIT.as_secs());
            let hint = "look whether it is on, and whether `ssh` reaches it".to_owned();
            events.send(Event::Unreachable { machine: name.clone(), reason: reason.clone(), hint });
            Observation::Unreachable(reason)
        }
    }
}

/// Why a machine does not tell its facts, and what to do about it.
struct Untold {
    reason: String,
    hint: String,
}

impl From<RunError> for Untold {
    fn from(error: RunError) -> Untold {
        Untold { reason: error.to_string(), hint: error.hint() }
    }
}

async fn look(link: &Link, script: &str) -> Result<facts::Facts, Untold> {
    let mut output = String::new();
    let mut said = String::new();
    let mut asked_at = 0;
    for attempt in 0.. {
        output.clear();
        said.clear();
        let session = link.session().await?;
        asked_at = jiff::Timestamp::now().as_second();
        let result = session.read(script, &mut output, &mut said).await;
        match result {
            Ok(Exit::Status(0)) => break,
            Ok(exit) => {
                let reason = format!("its facts script ended with {exit}: {}", said.trim());
                return Err(Untold { reason, hint: "see docs/troubleshooting.md".to_owned() });
            }
            // A connection kept from an earlier round may have died since.
            Err(RunError::Lost(_)) if attempt == 0 => link.forget().await,
            Err(error) => return Err(error.into()),
        }
    }
    let mut facts =
        facts::parse(&output).map_err(|error| Untold { reason: error.to_string(), hint: "see docs/troubleshooting.md".to_owned() })?;
    facts.clock_ahead = Some(facts.clock - asked_at);
    if let Some(lock) = &mut facts.lock {
        lock.left_behind = identity::is_over(&lock.run);
    }
    Ok(facts)
}
