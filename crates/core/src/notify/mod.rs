//! What is reported without being asked: each machine looks at itself, and one control plane at a time at the cluster. Pure: what was found and what
//! was reported before become what is to be sent.

mod digest;
mod ledger;
mod look;
mod subject;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::inventory::MachineName;

pub use digest::{Films, digest};
pub use ledger::{Ledger, Message};
pub use look::{Finding, Scope, Seen, look, not_kept};

/// A file of settings is a few hundred bytes.
pub const MOST_BYTES: usize = 64 << 10;

/// [`NOTIFY_SETTINGS`](crate::protocol::path::NOTIFY_SETTINGS), as `templates/machine/notify.json` has it. After a rollback, it may be a newer hostler's.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// The cluster's name.
    pub cluster: String,
    /// The name of the machine that reads it.
    pub machine: MachineName,
    /// Both may be secrets.
    pub url: String,
    pub heartbeat: Option<String>,
    pub digest: bool,
    snapshots: Snapshots,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Snapshots {
    to: String,
    /// Seconds.
    every: Option<u64>,
}

impl Settings {
    /// # Errors
    /// It is not what hostler writes. Nothing of its content is in the message.
    pub fn parse(bytes: &[u8]) -> Result<Settings> {
        ensure!(bytes.len() <= MOST_BYTES, "it is too large");
        let settings: Settings = serde_json::from_slice(bytes).ok().context("it is not a settings file that hostler wrote")?;
        ensure!(
            MachineName::new(&settings.cluster).is_some() && MachineName::new(settings.machine.as_str()).is_some(),
            "it has no valid \
            name of the cluster or the machine"
        );
        Ok(settings)
    }

    /// The folder with regular snapshots.
    pub fn snapshots(&self) -> &str {
        &self.snapshots.to
    }

    /// The time between two of them; `None`: there are none.
    pub fn snapshots_every(&self) -> Option<Duration> {
        self.snapshots.every.map(Duration::from_secs)
    }
}
