//! The watcher's record of each film: `ledger/<id>.json`. Only the watcher writes it, before it acts.

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
    /// The path where it was dropped, relative to `watch/`.
    #[serde(with = "path_json")]
    pub path: PathBuf,
    /// The folder in `watch/`, which determines preset and library folder.
    pub folder: String,
    /// Its stamp when it was complete.
    pub stamp: Stamp,
    /// How often the same file was dropped, from 1.
    pub round: u32,
    pub claimed: Timestamp,
    pub stage: Stage,
    /// Failed attempts in this stage, and the reason of the last one.
    #[serde(default)]
    pub attempts: u32,
    /// Those of them that count against the limit: the others waited for something external.
    #[serde(default)]
    pub counted: u32,
    #[serde(default)]
    pub last_reason: Option<String>,
    /// No attempt starts earlier.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum Stage {
    /// In `claim/`, or about to be moved there.
    Claimed,
    /// Encoded and verified, in `work/`.
    Encoded,
    /// In the library; the original is being moved to the trash.
    Published {
        published: Published,
        machine: String,
        /// Seconds.
        took: f64,
    },
    /// In the library, and nothing is left to do.
    Done {
        published: Published,
        machine: String,
        /// Seconds.
        took: f64,
    },
    /// Failed; the original is being moved to `failed/`.
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
    /// Its name in `claim/<id>/`: the folder of a disc keeps its name, which HandBrake needs.
    pub fn source_name(&self) -> &OsStr {
        self.path.file_name().filter(|name| is_disc(name)).unwrap_or(OsStr::new("source"))
    }

    /// Free space in the library after this film was published, and when that was.
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
