//! What the watcher knows of each film: `ledger/<id>.json`, written by it alone, before it acts.

use std::ffi::OsStr;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::film::FilmId;
use super::layout::{is_disc, path_json};
use super::record::{Published, Stamp};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Film {
    pub id: FilmId,
    /// Where it was dropped, relative to `watch/`.
    #[serde(with = "path_json")]
    pub path: PathBuf,
    /// The folder in `watch/`, which decides about preset and library.
    pub folder: String,
    /// As it is when it is settled.
    pub stamp: Stamp,
    /// How often the same file has been dropped, from 1.
    pub round: u32,
    pub claimed: Timestamp,
    pub stage: Stage,
    /// Attempts in this stage that have failed, and why the last one did.
    #[serde(default)]
    pub attempts: u32,
    /// Those of them that count: the others waited for something outside.
    #[serde(default)]
    pub counted: u32,
    #[serde(default)]
    pub last_reason: Option<String>,
    /// Nothing is begun before.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum Stage {
    /// In `claim/`, or about to be.
    Claimed,
    /// Encoded and verified, in `work/`.
    Encoded,
    /// In the library; the original is on its way to the trash.
    Published {
        published: Published,
        machine: String,
        /// Seconds.
        took: f64,
    },
    /// As before, and nothing is left to do.
    Done {
        published: Published,
        machine: String,
        /// Seconds.
        took: f64,
    },
    /// Given up; the original is on its way to `failed/`.
    Failing {
        reason: String,
        tail: Vec<String>,
        at: Timestamp,
    },
    Failed {
        reason: String,
        at: Timestamp,
    },
}

impl Film {
    /// Its name in `claim/<id>/`: a disc's folder keeps its own, which HandBrake looks for.
    pub fn source_name(&self) -> &OsStr {
        self.path.file_name().filter(|name| is_disc(name)).unwrap_or(OsStr::new("source"))
    }

    /// Room in the library after this film came into it, and when that was.
    pub fn library_space(&self) -> Option<(Timestamp, (u64, u64))> {
        match &self.stage {
            Stage::Published { published, .. } | Stage::Done { published, .. } => Some((published.at, published.space?)),
            _ => None,
        }
    }

    pub fn ended(&self) -> bool {
        matches!(self.stage, Stage::Done { .. } | Stage::Failed { .. })
    }
}
