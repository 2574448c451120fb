//! The watcher's record of each film: `ledger/<id>.json`. Only the watcher writes it, before it acts.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::disc::is_disc;
use super::film::FilmId;
use super::layout::{self, Trusted, path_json};
use super::record::{Published, Stamp};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Film {
    pub id: FilmId,
    /// The path where it was dropped, relative to `watch/`.
    #[serde(with = "path_json")]
    pub path: PathBuf,
    /// The folder in `watch/`, which determines preset and library folder.
    pub folder: String,
    /// Whether it is a folder with the files of a disc, whatever it is called.
    #[serde(default)]
    pub flat: bool,
    /// What its owner called it.
    #[serde(default)]
    pub name: Option<String>,
    /// The name that its files in the library are to get.
    #[serde(default)]
    pub rename: Option<Rename>,
    /// The titles of a disc that its owner chose.
    #[serde(default)]
    pub titles: Option<Vec<u32>>,
    /// Whether its owner took it as it is, although it failed the verification.
    #[serde(default)]
    pub accepted: bool,
    /// Whether its original is published before it is encoded.
    #[serde(default)]
    pub original: Original,
    #[serde(default)]
    pub priority: Priority,
    /// The family of its encoder, if a machine without that one had to give it back.
    #[serde(default)]
    pub needs: Option<String>,
    /// Machines that would be idle if one of them encoded the whole film: with more than one, it may be encoded in pieces. Only an encoder is told.
    #[serde(default)]
    pub machines: usize,
    /// Why it is encoded in one piece, after it was begun in several.
    #[serde(default)]
    pub whole: Option<String>,
    /// The machine that encoded it in one piece, as the cluster says. `None`: not known.
    #[serde(default)]
    pub host: Option<String>,
    /// What was published of it before it was begun anew: that may be replaced.
    #[serde(default)]
    pub earlier: Option<Published>,
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

/// A name that a publisher is to give a film that is in the library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// Without an extension.
    pub name: String,
    /// What the publisher says of it has the same time.
    pub asked: Timestamp,
    /// Attempts that ended without a result.
    #[serde(default)]
    pub tries: u32,
    /// No attempt starts earlier.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
}

/// Whether the streams of a film's original are published before it is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Original {
    /// The film is published when it is encoded.
    #[default]
    No,
    Wanted,
    /// It is in the library, as `earlier` says, and the encoded film is to replace it.
    Published,
}

/// In which order films are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Priority {
    First,
    #[default]
    Normal,
    Later,
    /// It is not encoded until it has another priority.
    Skipped,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum Stage {
    /// In `claim/`, or about to be moved there.
    Claimed,
    /// Encoded and verified, in `work/`.
    Encoded,
    /// In `claim/`, until its owner has answered.
    Held {
        question: String,
        /// The numbers of titles that may be the answer; none: it is not about titles, or an earlier version of hostler asked.
        #[serde(default)]
        titles: Vec<u32>,
        at: Timestamp,
    },
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

impl Trusted for Film {}

impl Film {
    /// Its name in `claim/<id>/`: the folder of a disc keeps its name, which HandBrake needs.
    pub fn source_name(&self) -> &OsStr {
        if self.flat {
            return OsStr::new("VIDEO_TS");
        }
        self.path.file_name().filter(|name| is_disc(name)).unwrap_or(OsStr::new("source"))
    }

    /// Its name without an extension, which what belongs to it has, too. A disc has that of its folder.
    pub fn stem(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        let stem = match self.path.parent().and_then(Path::file_name) {
            Some(folder) if is_disc(name) => folder,
            _ if self.flat => name,
            _ => Path::new(name).file_stem().unwrap_or(name),
        };
        stem.to_string_lossy().into_owned()
    }

    /// Whether it was dropped in a folder below that of its preset: its own, if no other film is there.
    pub fn in_folder(&self) -> bool {
        self.path.components().count() > 2
    }

    /// Its place in the library, relative to that.
    ///
    /// # Errors
    /// Its path is not of the form folders/name.
    pub fn place(&self) -> Result<PathBuf> {
        let place = layout::place_of(&self.path, self.flat)?;
        Ok(match &self.name {
            Some(name) => place.parent().unwrap_or(Path::new("")).join(layout::with_mkv(OsStr::new(name), false)),
            None => place,
        })
    }

    /// Whether it is a disc: that has several titles, and its streams can't be copied as they are.
    pub fn is_disc(&self) -> bool {
        let image = self.path.extension().is_some_and(|end| ["iso", "img"].iter().any(|image| end.eq_ignore_ascii_case(image)));
        self.flat || image || self.path.file_name().is_some_and(is_disc)
    }

    /// What its owner calls it, for people: where it was dropped, or its name since.
    pub fn called(&self) -> String {
        let path = match &self.name {
            Some(name) => self.path.with_file_name(name),
            None => self.path.clone(),
        };
        layout::shown(&path)
    }

    /// The question for its owner, if nobody can tell by its name which film it is.
    pub fn unnamed(&self) -> Option<String> {
        let name = self.path.file_name().unwrap_or_default();
        let stem = if is_disc(name) || self.flat { name } else { Path::new(name).file_stem().unwrap_or(name) };
        let bare = self.path.components().count() == 2 && self.name.is_none();
        (bare && is_of_any_disc(&stem.to_string_lossy()))
            .then(|| format!("which film is this? Many discs are called `{}`, so give the film a name", stem.to_string_lossy()))
    }

    /// Free space in the library after this film was published, and when that was.
    pub fn library_space(&self) -> Option<(Timestamp, (u64, u64))> {
        match &self.stage {
            Stage::Published { published, .. } | Stage::Done { published, .. } => Some((published.at, published.space?)),
            _ => None,
        }
    }

    /// A film that was just dropped.
    pub fn dropped(path: PathBuf, folder: String, stamp: Stamp, now: Timestamp) -> Film {
        Film {
            id: FilmId::new(&path, stamp.size, stamp.modified),
            path,
            folder,
            flat: false,
            name: None,
            rename: None,
            titles: None,
            accepted: false,
            original: Original::default(),
            priority: Priority::default(),
            needs: None,
            machines: 0,
            whole: None,
            host: None,
            earlier: None,
            stamp,
            round: 1,
            claimed: now,
            stage: Stage::Claimed,
            attempts: 0,
            counted: 0,
            last_reason: None,
            not_before: None,
        }
    }

    /// What a new name renames in the library; `None`: nothing, or it is not the time for it.
    pub fn renamable(&self) -> Option<&Published> {
        self.published().filter(|_| self.ended() || matches!(self.stage, Stage::Claimed | Stage::Encoded))
    }

    /// What is in the library of it.
    pub fn published(&self) -> Option<&Published> {
        match &self.stage {
            Stage::Published { published, .. } | Stage::Done { published, .. } => Some(published),
            _ => self.earlier.as_ref(),
        }
    }

    /// As [`Film::published`].
    pub fn published_mut(&mut self) -> Option<&mut Published> {
        match &mut self.stage {
            Stage::Published { published, .. } | Stage::Done { published, .. } => Some(published),
            _ => self.earlier.as_mut(),
        }
    }

    pub fn ended(&self) -> bool {
        matches!(self.stage, Stage::Done { .. } | Stage::Failed { .. })
    }
}

/// Whether programs give this name to a part of every disc: `VIDEO_TS`, `title_t00`, `B1_t00`, `VTS_01_1`.
fn is_of_any_disc(stem: &str) -> bool {
    let stem = stem.to_ascii_lowercase();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let title = stem.strip_prefix("title").map(|rest| rest.trim_start_matches(['_', ' ', 't', '-']));
    let part = stem.rsplit_once("_t").is_some_and(|(before, rest)| digits(rest) && before.len() <= 2);
    let set = stem.strip_prefix("vts_").is_some_and(|rest| rest.split('_').all(digits));
    is_disc(OsStr::new(&stem)) || title.is_some_and(digits) || part || set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_every_disc_has_are_known() {
        for name in ["VIDEO_TS", "bdmv", "title_t00", "Title01", "title 3", "B1_t00", "VTS_01_1"] {
            assert!(is_of_any_disc(name), "{name}");
        }
        for name in ["Title", "00800", "1917", "2012", "IMG_0001", "title of a film", "Alien_t", "The_t1", "vts"] {
            assert!(!is_of_any_disc(name), "{name}");
        }
    }
}
