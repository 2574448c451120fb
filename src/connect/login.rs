//! Login, before facts are gathered: the user may be asked for passphrases and passwords here, without a time limit. A machine that does not
//! accept the user's key gets it with one password login.

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

/// Opens every link. One that can't be opened is reported when it is used.
///
/// # Errors
/// A prompt was dismissed.
pub async fn log_in(links: &Links, reporter: &Reporter) -> Result<()> {
    announce(links, reporter);
    let Waiting { strangers, without_sudo } = open(links.clone()).await;
    give_sudo_passwords(without_sudo, reporter).await;
    introduce_all(strangers, reporter).await
}

/// Opens every link, and gathers a machine's facts as soon as its link is open: a slow one does not delay the others.
///
/// # Errors
/// As [`log_in`]; a bug: the script can't be rendered.
pub async fn observe(links: &Links, question: &Question, reporter: &Reporter) -> Result<BTreeMap<MachineName, Observation>> {
    announce(links, reporter);
    let mut opening = JoinSet::new();
    for (machine, link) in links.clone() {
        let (script, events) = (gather::script(&question.of(&machine))?, reporter.events());
        opening.spawn(async move {
            let opened = link.open().await;
            let seen = match opened {
                Opened::TakesPassword | Opened::NeedsSudoPassword => None,
                // A failure is reported when facts are gathered.
                Opened::Open | Opened::Failed => Some(gather::observe(&machine, &link, &script, &events).await),
            };
            (machine, link, opened, seen)
        });
    }
    let mut seen = BTreeMap::new();
    let mut waiting = Waiting::default();
    for (machine, link, opened, observation) in opening.join_all().await {
        match observation {
            Some(observation) => drop(seen.insert(machine, observation)),
            None => waiting.add(machine, link, opened),
        }
    }
    let Waiting { mut strangers, without_sudo } = waiting;
    give_sudo_passwords(without_sudo.clone(), reporter).await;
    introduce_all(strangers.clone(), reporter).await?;
    strangers.extend(without_sudo);
    seen.extend(gather::gather(&strangers, question, &reporter.events()).await?);
    Ok(seen)
}

fn announce(links: &Links, reporter: &Reporter) {
    for machine in links.keys() {
        reporter.events().send(Event::Gathering { machine: machine.clone() });
    }
}

async fn introduce_all(strangers: Links, reporter: &Reporter) -> Result<()> {
    // Machines with the same user usually have the same password. One whose host key was accepted in this run gets none but its own.
    let mut groups: BTreeMap<(String, Option<MachineName>), Links> = BTreeMap::new();
    for (machine, link) in strangers {
        let alone = link.is_new().await.then(|| machine.clone());
        groups.entry((link.target().user.clone(), alone)).or_default().insert(machine, link);
    }
    for ((user, _), strangers) in groups {
        introduce(&user, strangers, reporter).await?;
    }
    Ok(())
}

/// Machines for which the user is asked once all others were tried.
#[derive(Default)]
struct Waiting {
    /// They accept none of the user's keys but would accept a password.
    strangers: Links,
    /// Their sudo needs a password.
    without_sudo: Links,
}

impl Waiting {
    fn add(&mut self, machine: MachineName, link: Arc<Link>, opened: Opened) {
        match opened {
            Opened::TakesPassword => drop(self.strangers.insert(machine, link)),
            Opened::NeedsSudoPassword => drop(self.without_sudo.insert(machine, link)),
            Opened::Open | Opened::Failed => {}
        }
    }
}

async fn open(links: Links) -> Waiting {
    let mut opening = JoinSet::new();
    for (machine, link) in links {
        opening.spawn(async move {
            let opened = link.open().await;
            (machine, link, opened)
        });
    }
    let mut waiting = Waiting::default();
    for (machine, link, opened) in opening.join_all().await {
        waiting.add(machine, link, opened);
    }
    waiting
}

/// Asks for sudo's password, once for all machines with the same user, which the question names: no other machine gets it. A machine whose host
/// key was accepted in this run could be anybody's, so it is asked about alone, and so is one with another password.
async fn give_sudo_passwords(links: Links, reporter: &Reporter) {
    let mut users: BTreeMap<String, Links> = BTreeMap::new();
    for (machine, link) in &links {
        if !link.is_new().await {
            users.entry(link.target().user.clone()).or_default().insert(machine.clone(), link.clone());
        }
    }
    for (user, links) in users.into_iter().filter(|(_, links)| links.len() > 1) {
        for attempt in 0..ATTEMPTS {
            let wrong = if attempt == 0 { "" } else { "wrong password; " };
            let question = format!("{wrong}sudo password for {user} on {}", names(&links));
            // Without a terminal, the machines' own errors say what to do.
            let Ok(password) = reporter.asker().password(&question, "").await else { break };
            let mut offering = JoinSet::new();
            for link in links.values() {
                let (link, password) = (link.clone(), password.clone());
                offering.spawn(async move { link.offer_password(&password).await });
            }
            if offering.join_all().await.contains(&true) {
                break;
            }
        }
    }
    let mut asking = JoinSet::new();
    for link in links.into_values() {
        asking.spawn(async move { link.ask_for_password().await });
    }
    asking.join_all().await;
}

/// Installs the user's key on machines that don't accept it, if the user agrees.
async fn introduce(user: &str, mut strangers: Links, reporter: &Reporter) -> Result<()> {
    let asker = reporter.asker();
    let verb = if strangers.len() == 1 { "does" } else { "do" };
    let question = format!("{} {verb} not accept your SSH key. Install the key now with {user}'s password?", names(&strangers));
    // Without a terminal, the machines' own errors say what to do.
    if !matches!(asker.yes_no(&question, "").await, Ok(true)) {
        return Ok(());
    }
    for attempt in 0..ATTEMPTS {
        let wrong = if attempt == 0 { "" } else { "wrong password; " };
        let password =
            asker.password(&format!("{wrong}password for {user} on {}", names(&strangers)), "run this command in a terminal").await?;
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
                // The error names the machine; the failed login itself is reported when the link is used.
                Err(error) => reporter.events().send(Event::Warning { line: format!("{error:#}") }),
            }
        }
        let opened = open(introduced).await;
        give_sudo_passwords(opened.without_sudo, reporter).await;
        if strangers.is_empty() {
            break;
        }
    }
    Ok(())
}

fn names(links: &Links) -> String {
    links.keys().map(MachineName::as_str).collect::<Vec<_>>().join(", ")
}
