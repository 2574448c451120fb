//! What all connections of a run share: how to handle unknown host keys, prompts, and earlier answers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use russh::keys::{PrivateKey, PublicKey, decode_secret_key};
use tokio::sync::Mutex;

use super::host_key::is_known_by;
use super::session::Session;
use super::target::Target;
use crate::event::{Event, Events};
use crate::report::{Asker, Redactor};

/// Attempts at a password or passphrase.
pub const ATTEMPTS: usize = 3;

/// Timeouts for the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// To answer at all.
    pub connect: Duration,
    /// To exchange keys: a slow machine needs some seconds.
    pub handshake: Duration,
    /// For retries with a machine that closes connections at once: with many new connections, sshd drops some at random (MaxStartups).
    pub hang_up: Duration,
    /// After this time of silence a keepalive is sent; after three unanswered ones the machine counts as gone.
    pub keepalive: Duration,
    /// To accept a byte that is sent. Keepalives can't detect that: they are queued behind it.
    pub stall: Duration,
    /// For sudo to do nothing: with PAM, LDAP or a folder on a server behind it, it may never answer.
    pub sudo: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        let seconds = Duration::from_secs;
        Limits {
            connect: seconds(10),
            handshake: seconds(30),
            hang_up: seconds(15),
            keepalive: seconds(15),
            stall: seconds(60),
            sudo: seconds(30),
        }
    }
}

/// What to do about an unknown host key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NewHostKeys {
    /// Show it to the user and ask; without a terminal, refuse the connection.
    #[default]
    Ask,
    /// Accept it, and add it to known_hosts.
    Accept,
}

pub struct Access {
    pub new_host_keys: NewHostKeys,
    /// Where warnings go.
    pub events: Option<Events>,
    pub asker: Asker,
    pub redactor: Arc<Redactor>,
    pub limits: Limits,
    /// The machines of the inventory: the host key of one must not be accepted for another.
    pub neighbours: Vec<Target>,
    /// Host keys accepted in this run, by the host's name in known_hosts, which may be read-only.
    pub(super) accepted: Mutex<HashMap<String, PublicKey>>,
    /// Held during a prompt about a host key.
    pub(super) asking: Mutex<()>,
    /// Keys with a passphrase; `None`: the user did not know it.
    unlocked: Mutex<HashMap<PathBuf, Option<Arc<PrivateKey>>>>,
    /// sudo passwords that were given for a machine, by its name: none is tried on another machine.
    pub(super) sudo_passwords: Mutex<HashMap<String, String>>,
    /// One connection per jump host, however many machines are behind it.
    pub(super) hops: Mutex<HashMap<String, Arc<Mutex<Weak<Session>>>>>,
}

impl Access {
    pub fn new(new_host_keys: NewHostKeys, asker: Asker, redactor: Arc<Redactor>) -> Access {
        Access {
            new_host_keys,
            events: None,
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

    /// The other machine of the inventory that has the known host key `key`, which `target` presents. Keys accepted in this run don't count:
    /// machines from one image share a key, and connect in any order.
    pub(super) async fn neighbour(&self, target: &Target, key: &PublicKey) -> Option<String> {
        let accepted = self.accepted.lock().await;
        let others = self.neighbours.iter().filter(|other| other.name != target.name && other.known_as() != target.known_as());
        let mut new = others.filter(|other| accepted.get(&other.known_as()).is_none_or(|accepted| accepted.key_data() != key.key_data()));
        new.find(|other| is_known_by(other, key)).map(|other| other.name.clone())
    }

    /// The encrypted key in `file` with the content `text`; its passphrase is asked for once per run. `Err`: why there is none.
    pub(super) async fn unlock(&self, file: &Path, text: &str) -> Result<Arc<PrivateKey>, String> {
        // Held during the prompt: other connections that need the same key wait for the answer.
        let mut unlocked = self.unlocked.lock().await;
        if let Some(known) = unlocked.get(file) {
            return known.clone().ok_or_else(|| "no passphrase was given".to_owned());
        }
        for attempt in 0..ATTEMPTS {
            let wrong = if attempt == 0 { "" } else { "wrong passphrase; " };
            let question = format!("{wrong}passphrase for {}", file.display());
            let passphrase = match self.asker.password(&question, "add the key to your SSH agent with `ssh-add`").await {
                Ok(passphrase) => passphrase,
                Err(_) => break,
            };
            let text = text.to_owned();
            // Deriving the key takes a good part of a second, by design.
            let decoded = tokio::task::spawn_blocking(move || decode_secret_key(&text, Some(&passphrase))).await;
            if let Ok(Ok(key)) = decoded {
                let key = Arc::new(key);
                unlocked.insert(file.to_owned(), Some(key.clone()));
                return Ok(key);
            }
        }
        unlocked.insert(file.to_owned(), None);
        Err("no passphrase was given".to_owned())
    }

    /// Whether the host key of the machine was accepted in this run: whoever has it was never seen before.
    pub async fn is_new(&self, target: &Target) -> bool {
        self.accepted.lock().await.contains_key(&target.known_as())
    }

    pub(super) fn warn(&self, line: String) {
        if let Some(events) = &self.events {
            events.send(Event::Warning { line });
        }
    }

    /// The slot for the connection to a jump host.
    pub(super) async fn hop(&self, target: &Target) -> Arc<Mutex<Weak<Session>>> {
        self.hops.lock().await.entry(format!("{target:?}")).or_default().clone()
    }
}
