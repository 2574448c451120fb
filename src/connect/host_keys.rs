//! Unknown host keys: shown in one table, and accepted with one yes.

use std::sync::Arc;

use anyhow::Result;
use hostler_core::failure::{ExitStatus, Failure};
use russh::keys::PublicKey;
use tokio::task::JoinSet;

use crate::event::Event;
use crate::report::{Asker, Reporter, row, table};
use crate::ssh::{self, Access, NewHostKeys, Reason, Session, Target, fingerprint};

/// Finds machines with unknown host keys, asks about all of them at once, and adds the keys to known_hosts. Machines that can't be reached
/// are reported later, by the connection itself.
///
/// # Errors
/// There is no terminal to ask on, or the answer is no.
pub async fn settle(targets: impl IntoIterator<Item = Target>, reporter: &Reporter) -> Result<()> {
    // Without a terminal, an unknown host key is an error that shows it.
    let access = Arc::new(Access::new(NewHostKeys::Ask, Asker::absent(), reporter.redactor()));
    let mut meeting = JoinSet::new();
    for (index, target) in targets.into_iter().enumerate() {
        let access = access.clone();
        meeting.spawn(async move { (index, stranger(&target, &access).await, target) });
    }
    let mut met = meeting.join_all().await;
    met.sort_by_key(|(index, _, _)| *index);
    let strangers: Vec<(Target, PublicKey)> = met.into_iter().filter_map(|(_, key, target)| Some((target, key?))).collect();
    if strangers.is_empty() {
        return Ok(());
    }
    reporter.result(&table(&rows(&strangers))).await;
    let question = match strangers.as_slice() {
        [(target, _)] => format!("is this the host key of {}?", target.name),
        several => format!("are these the host keys of your {} machines?", several.len()),
    };
    if !reporter.asker().yes_no(&question, "pass `--accept-new-host-keys`").await? {
        let hint = "on a machine, `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` shows the fingerprint of its host key";
        return Err(Failure::new(ExitStatus::Failed, "the host keys were not accepted", hint).into());
    }
    for (target, key) in &strangers {
        if let Err(why) = ssh::remember(target, key) {
            reporter.events().send(Event::Warning { line: format!("{}: the machine's host key can't be saved: {why:#}", target.name) });
        }
    }
    Ok(())
}

/// The machine's host key, if it is unknown.
async fn stranger(target: &Target, access: &Arc<Access>) -> Option<PublicKey> {
    match Session::connect(target, access).await {
        Err(error) => match *error.reason {
            Reason::UnknownHostKey { key } => Some(key),
            _ => None,
        },
        Ok(_) => None,
    }
}

fn rows(strangers: &[(Target, PublicKey)]) -> Vec<Vec<String>> {
    let mut rows = vec![row!["MACHINE", "ADDRESS", "KEY", "FINGERPRINT"]];
    rows.extend(strangers.iter().map(|(target, key)| row![target.name, target.address(), key.algorithm(), fingerprint(key)]));
    rows
}
