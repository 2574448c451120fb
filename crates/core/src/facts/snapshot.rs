//! Metadata of a snapshot.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

/// An archive on this computer's disk, and its metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    pub file: PathBuf,
    /// Where to read the archive from: the same file, or, if it is encrypted, this process's memory.
    #[serde(skip)]
    pub archive: PathBuf,
    /// Checksum of the whole archive.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// When it was taken, by the control plane's clock: `2026-03-01T12:00:00Z`.
    pub taken: String,
    /// The nodes of the cluster at that time.
    pub nodes: BTreeSet<String>,
    /// Fingerprint of the cluster's CA, as in [`super::KubernetesFacts::ca`].
    pub ca: String,
}
