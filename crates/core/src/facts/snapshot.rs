//! What is known of a snapshot.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

/// An archive on this computer's disk, and what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    pub file: PathBuf,
    /// Where the archive is read from: the same, or, of an encrypted one, this process's memory.
    #[serde(skip)]
    pub archive: PathBuf,
    /// Of the whole archive.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// When it was taken, by the control plane's clock: `2026-03-01T12:00:00Z`.
    pub taken: String,
    /// The nodes of the cluster then.
    pub nodes: BTreeSet<String>,
    /// Of the cluster's CA, as [`super::KubernetesFacts::ca`] has it.
    pub ca: String,
}
