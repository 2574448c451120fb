//! What all connections of a run share: how far a stranger is trusted, who is asked, and what was answered.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use russh::keys::{PrivateKey, PublicKey, decode_secret_key};
use tokio::sync::Mutex;

use super::host_key::is_known_by;
use super::session::Session;
use super::target::Target;
use crate::report::{Asker, Redactor};

/// How often a password or passphrase may be wrong.
pub const ATTEMPTS: usize = 3;

/// How long the other side may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// To answer at all.
    pub connect: Duration,
    /// To exchange keys: a slow machine computes for some seconds.
    pub handshake: Duration,
    /// How long to come back to a machine that hangs up at once: sshd drops strangers at random when many come (MaxStartups).
    pub hang_up: Duration,
    /// Without a word for this long it is asked for one; after three unanswered ones it counts as gone.
    pub keepalive: Duration,
    /// To take a byte that is sent. Keepalives can't tell: they wait behind it.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        let seconds = Duration::from_secs;
        Limits { connect: seconds(10), handshake: seconds(30), hang_up: seconds(15), keepalive: seconds(15), stall: seconds(60) }
    }
}

/// What is done about a machine whose host key is not known yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NewHostKeys {
    /// A person is shown the key and asked; with nobody to ask, the connection is refused.
    #[default]
    Ask,
    /// It is taken as it is, and remembered.
    Accept,
}

pub struct Access {
    pub new_host_keys: NewHostKeys,
    pub asker: Asker,
    pub redactor: Arc<Redactor>,
    pub limits: Limits,
    /// The machines of the inventory: a key that is known as one's must not answer for another.
    pub neighbours: Vec<Target>,
    /// Host keys accepted in this run, by what known_hosts would call the host: known_hosts may be read-only.
    pub(super) accepted: Mutex<HashMap<String, PublicKey>>,
    /// Held while a person is asked about a host key.
    pub(super) asking: Mutex<()>,
    /// Keys that had a passphrase; `None`: nobody knew it.
    unlocked: Mutex<HashMap<PathBuf, Option<Arc<PrivateKey>>>>,
    /// Sudo's passwords with the machine where each was right (or is likely to be), the first one first.
    pub(super) sudo_passwords: Mutex<Vec<(String, String)>>,
    /// One connection a jump host, however many machines are behind it.
    pub(super) hops: Mutex<HashMap<String, Arc<Mutex<Weak<Session>>>>>,
}

impl Access {
    pub fn new(new_host_keys: NewHostKeys, asker: Asker, redactor: Arc<Redactor>) -> Access {
        Access {
            new_host_keys,
            asker,
            redactor,
            limits: Limits::default(),
            neighbours: Vec::new(),
            accepted: Mutex::default(),
            asking: Mutex::default(),
            unlocked: Mutex::default(),
            sudo_passwords: Mutex::default(),
            hops: Mutex::default(),
        }
    }

    /// The other machine of the inventory that is known by `key`, which `target` shows and is not known by. Keys accepted in this run don't
    /// count: machines from one image share theirs, and come in any order.
    pub(super) async fn neighbour(&self, target: &Target, key: &PublicKey) -> Option<String> {
        let accepted = self.accepted.lock().await;
        let others = self.neighbours.iter().filter(|other| other.name != target.name && other.known_as() != target.known_as());
        let mut new = others.filter(|other| accepted.get(&other.known_as()).is_none_or(|accepted| accepted.key_data() != key.key_data()));
        new.find(|other| is_known_by(other, key)).map(|other| other.name.clone())
    }

    /// The encrypted key in `file`, whose text is `text`; its passphrase is asked for once in a run. `Err`: why there is none.
    pub(super) async fn unlock(&self, file: &Path, text: &str) -> Result<Arc<PrivateKey>, String> {
        // Held while somebody is asked: others that need the same key wait for the answer.
        let mut unlocked = self.unlocked.lock().await;
        if let Some(known) = unlocked.get(file) {
            return known.clone().ok_or_else(|| "nobody knew its passphrase".to_owned());
        }
        for attempt in 0..ATTEMPTS {
            let again = if attempt == 0 { "" } else { ", which that was not" };
            let question = format!("passphrase of {}{again}", file.display());
            let passphrase = match self.asker.password(&question, "put the key into an agent: `ssh-add`").await {
                Ok(passphrase) => passphrase,
                Err(_) => break,
            };
            let text = text.to_owned();
            // Deriving the key takes a good part of a second, on purpose.
            let decoded = tokio::task::spawn_blocking(move || decode_secret_key(&text, Some(&passphrase))).await;
            if let Ok(Ok(key)) = decoded {
                let key = Arc::new(key);
                unlocked.insert(file.to_owned(), Some(key.clone()));
                return Ok(key);
            }
        }
        unlocked.insert(file.to_owned(), None);
        Err("nobody knew its passphrase".to_owned())
    }

    /// The place of the connection to a jump host.
    pub(super) async fn hop(&self, target: &Target) -> Arc<Mutex<Weak<Session>>> {
        self.hops.lock().await.entry(format!("{target:?}")).or_default().clone()
    }
}
