//! What encoder and publisher leave in `work/<id>/` for the watcher and the page.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::layout::{path_json, read_json};

/// Written every few seconds while a film is worked on.
pub const PROGRESS: &str = "progress.json";
/// There once a verified film lies beside it.
pub const ENCODED: &str = "encoded.json";
/// There once the film is in the library.
pub const PUBLISHED: &str = "published.json";
/// There once an attempt has failed.
pub const FAILURE: &str = "failure.json";
/// HandBrake's own log of the last attempt.
pub const LOG: &str = "handbrake.log";

/// Size and time of a file: what changes when it is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Nanoseconds since 1970.
    pub modified: i128,
}

impl Stamp {
    /// Of a file; of a disc's folder: all bytes in it, and the newest time.
    ///
    /// # Errors
    /// It, or something in it, can't be looked at.
    pub fn of(path: &Path) -> std::io::Result<Stamp> {
        use std::os::unix::fs::MetadataExt;
        let metadata = path.symlink_metadata()?;
        let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        if !metadata.is_dir() {
            return Ok(Stamp { size: metadata.len(), modified });
        }
        let mut whole = Stamp { size: 0, modified };
        let entries = match path.read_dir() {
            // The encoder, which can't read it either, tells why this is no film.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(whole),
            entries => entries?,
        };
        for entry in entries {
            let part = Stamp::of(&entry?.path())?;
            whole = Stamp { size: whole.size + part.size, modified: whole.modified.max(part.modified) };
        }
        Ok(whole)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Which attempt: the pod's uid.
    pub who: String,
    /// The machine it runs on.
    pub machine: String,
    pub phase: Phase,
    /// 0 to 1, of this phase.
    pub done: f64,
    /// Frames a second; 0 while unknown.
    pub rate: f64,
    pub eta_seconds: Option<u64>,
    pub began: Timestamp,
    pub at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    Scanning,
    Encoding,
    Verifying,
    Publishing,
}

/// A film that was encoded and verified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Encoded {
    /// A name in the folder that this lies in.
    pub file: String,
    /// Bytes.
    pub size: u64,
    /// Seconds.
    pub duration: f64,
    pub frames: u64,
    /// Of the original, as it was when its encoding began.
    pub source: Stamp,
    pub machine: String,
    /// Seconds that the encoding took.
    pub took: f64,
    pub at: Timestamp,
}

impl Encoded {
    /// What a work folder says. `None`: nothing is encoded yet.
    ///
    /// # Errors
    /// It can't be read.
    pub fn of(work: &Path) -> std::io::Result<Option<Encoded>> {
        read_json(&work.join(ENCODED))
    }
}

/// A film that is in the library.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// Relative to the library.
    #[serde(with = "path_json")]
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Lower-case hex.
    pub sha256: String,
    /// Whether an earlier version went to the trash.
    pub replaced: bool,
    /// What the media server answered, in a person's words.
    pub media_server: Option<String>,
    /// Bytes free in the library afterwards, and all.
    #[serde(default)]
    pub space: Option<(u64, u64)>,
    pub at: Timestamp,
}

/// Why an attempt did not end in a film.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub who: String,
    /// Whether another attempt would end the same way.
    pub permanent: bool,
    /// Whether it is about something outside, as a full disk is, which is waited for however long.
    #[serde(default)]
    pub outside: bool,
    /// In plain words.
    pub reason: String,
    /// The end of HandBrake's log.
    #[serde(default)]
    pub tail: Vec<String>,
    pub at: Timestamp,
}
