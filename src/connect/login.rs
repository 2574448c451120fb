//! Getting in, before anything is asked of the machines: a person may be asked for passphrases and passwords here, and takes the time it
//! takes. A machine that does not know the user's key yet is given it, by one login with a password.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use hostler_core::facts::{Observation, Question};
use hostler_core::inventory::MachineName;
use tokio::task::JoinSet;

use crate::event::Event;
use crate::execute::{Link, Opened, gather};
use crate::report::Reporter;
use crate::ssh::{ATTEMPTS, ConnectError};

type Links = BTreeMap<MachineName, Arc<Link>>;

/// Opens every link. What can't be opened is told when it is used.
///
/// # Errors
/// Whoever was asked for a password went away.
pub async fn log_in(links: &Links, reporter: &Reporter) -> Result<()> {
    announce(links, reporter);
    let strangers = open(links.clone()).await;
    introduce_all(strangers, reporter).await
}

/// Opens every link, and looks at each machine as soon as somebody is in there: one that is slow holds up no other.
///
/// # Errors
/// As [`log_in`], and a defect: the script that looks can't be made.
pub async fn look(links: &Links, question: &Question, reporter: &Reporter) -> Result<BTreeMap<MachineName, Observation>> {
    announce(links, reporter);
    let script = gather::script(question)?;
    let mut opening = JoinSet::new();
    for (machine, link) in links.clone() {
        let (script, events) = (script.clone(), reporter.events());
        opening.spawn(async move {
            let seen = match link.open().await {
                Opened::TakesPassword => None,
                // What failed is told by the look.
                Opened::Open | Opened::Failed => Some(gather::observe(&machine, &link, &script, &events).await),
            };
            (machine, link, seen)
        });
    }
    let mut seen = BTreeMap::new();
    let mut strangers = Links::new();
    for (machine, link, observation) in opening.join_all().await {
        match observation {
            Some(observation) => drop(seen.insert(machine, observation)),
            None => drop(strangers.insert(machine, link)),
        }
    }
    introduce_all(strangers.clone(), reporter).await?;
    seen.extend(gather::gather(&strangers, question, &reporter.events()).await?);
    Ok(seen)
}

fn announce(links: &Links, reporter: &Reporter) {
    for machine in links.keys() {
        reporter.events().send(Event::Gathering { machine: machine.clone() });
    }
}

async fn introduce_all(strangers: Links, reporter: &Reporter) -> Result<()> {
    // Machines of one user have one password, as a rule.
    let mut users: BTreeMap<String, Links> = BTreeMap::new();
    for (machine, link) in strangers {
        users.entry(link.target().user.clone()).or_default().insert(machine, link);
    }
    for (user, strangers) in users {
        introduce(&user, strangers, reporter).await?;
    }
    Ok(())
}

/// Those that know none of the user's keys, and would take a password.
async fn open(links: Links) -> Links {
    let mut opening = JoinSet::new();
    for (machine, link) in links {
        opening.spawn(async move { (link.open().await == Opened::TakesPassword).then_some((machine, link)) });
    }
    opening.join_all().await.into_iter().flatten().collect()
}

/// Lets the user's key in on machines that don't know it, if a person wants that.
async fn introduce(user: &str, mut strangers: Links, reporter: &Reporter) -> Result<()> {
    let asker = reporter.asker();
    let question = format!("your key is not known on {}: let it in for good, by {user}'s password?", names(&strangers));
    // With nobody to ask, the machines' own errors say what to do.
    if !matches!(asker.yes_no(&question, "").await, Ok(true)) {
        return Ok(());
    }
    for attempt in 0..ATTEMPTS {
        let again = if attempt == 0 { "" } else { ", which that was not" };
        let password = asker.password(&format!("password of {user} on {}{again}", names(&strangers)), "run this on a terminal").await?;
        let mut installing = JoinSet::new();
        for (machine, link) in std::mem::take(&mut strangers) {
            let password = password.clone();
            installing.spawn(async move { (machine, link.install_key(&password).await, link) });
        }
        let mut introduced = Links::new();
        for (machine, installed, link) in installing.join_all().await {
            match installed {
                Ok(()) => {
                    introduced.insert(machine, link);
                }
                Err(error) if error.downcast_ref().is_some_and(ConnectError::takes_password) => {
                    strangers.insert(machine, link);
                }
                // It names the machine, and that it is not let in is told when it is used.
                Err(error) => reporter.events().send(Event::Warning { line: format!("{error:#}") }),
            }
        }
        open(introduced).await;
        if strangers.is_empty() {
            break;
        }
    }
    Ok(())
}

fn names(links: &Links) -> String {
    links.keys().map(MachineName::as_str).collect::<Vec<_>>().join(", ")
}
