//! The files that an encoder writes to `work/<id>/`, and a publisher to `publish/<id>/`, for the watcher and the page. What an encoder wrote is
//! read by [`from_encoder`](super::from_encoder) alone.

use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

use super::content::Content;
use super::kind;
use super::layout::{NAME_MAX, Trusted, place_json};
use super::ledger::Film;
use super::measure::Measured;

/// The watcher's record of the film for its encoder, which sees no more of the inbox than the film and this folder. Where it is missing, the
/// share is not mounted, or the folder was emptied.
pub const TASK: &str = "task.json";
/// Written every few seconds while a film is processed.
pub const PROGRESS: &str = "progress.json";
/// Exists once a verified film is next to it.
pub const ENCODED: &str = "encoded.json";
/// Exists once the film is in the library. Never where an encoder could write it.
pub const PUBLISHED: &str = "published.json";
/// A publisher's word that it has copied a film which replaces one that may be played: the attempt's identity.
pub const READY: &str = "ready.json";
/// The watcher's word to that attempt that nobody plays it.
pub const GO: &str = "go.json";
/// What a publisher says of a new name.
pub const RENAMED: &str = "renamed.json";
/// Exists once an attempt has failed.
pub const FAILURE: &str = "failure.json";
/// HandBrake's own log of the last attempt.
pub const LOG: &str = "handbrake.log";

/// Size and time of a file, which change when it is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Nanoseconds since 1970.
    pub modified: i128,
}

impl Stamp {
    /// The stamp of a file; for the folder of a disc: the sum of all sizes, and the newest time. What indexers write into the folder does not
    /// count, and neither does the folder's own time, which they change.
    ///
    /// # Errors
    /// It, or something in it, can't be read.
    pub fn of(path: &Path) -> std::io::Result<Stamp> {
        use std::os::unix::fs::MetadataExt;
        let metadata = path.symlink_metadata()?;
        let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        if !metadata.is_dir() {
            return Ok(Stamp { size: metadata.len(), modified });
        }
        let mut whole = Stamp { size: 0, modified: 0 };
        let entries = match path.read_dir() {
            // The encoder can't read it either, and will report the reason.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(whole),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if kind::is_foreign(&entry.file_name()) {
                continue;
            }
            let part = Stamp::of(&entry.path())?;
            whole = Stamp { size: whole.size + part.size, modified: whole.modified.max(part.modified) };
        }
        Ok(whole)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The attempt: the pod's uid.
    pub who: String,
    /// The machine it runs on.
    pub machine: String,
    pub phase: Phase,
    /// 0 to 1, of this phase.
    pub done: f64,
    /// Frames per second; 0 while unknown.
    pub rate: f64,
    pub eta_seconds: Option<u64>,
    /// How it is encoded, for the user: `in 4 pieces, 2 done`.
    #[serde(default)]
    pub note: Option<String>,
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

/// One film that was encoded and verified: a file, or a title of a disc.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// A file name in the same folder.
    pub file: String,
    /// Bytes.
    pub size: u64,
    /// Of what was verified, in lower-case hex. `None`: an earlier hostler encoded it.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Seconds.
    pub duration: f64,
    pub frames: u64,
    /// What distinguishes it from the others of the same original: as [`label`] makes it.
    #[serde(default, deserialize_with = "only_label")]
    pub label: Option<String>,
    /// `None`: not known.
    #[serde(default)]
    pub content: Option<Content>,
    /// `None`: it was not compared with the original.
    #[serde(default)]
    pub measured: Option<Box<Measured>>,
}

/// What an encoder made of an original, verified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Encoded {
    /// The film, or the first of several.
    #[serde(flatten)]
    pub film: Part,
    /// Further titles of a disc.
    #[serde(default)]
    pub more: Vec<Part>,
    /// What its owner should know.
    #[serde(default)]
    pub remarks: Vec<String>,
    /// Whether these are the original's streams, to be published until the film is encoded.
    #[serde(default)]
    pub original: bool,
    /// The stamp of the original when its encoding started.
    pub source: Stamp,
    pub machine: String,
    /// Duration of the encoding, in seconds.
    pub took: f64,
    /// Pixels per second; `None`: it was too short to tell.
    #[serde(default)]
    pub speed: Option<f64>,
    pub at: Timestamp,
}

impl Encoded {
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        std::iter::once(&self.film).chain(&self.more)
    }

    /// Bytes of all parts.
    pub fn size(&self) -> u64 {
        self.parts().map(|part| part.size).sum()
    }
}

impl Part {
    /// The encoded film, in its work folder.
    ///
    /// # Errors
    /// `file` is not a plain name: the encoder, which reads what anyone may have made, could name any file that its reader can read.
    pub fn path(&self, work: &Path) -> std::io::Result<PathBuf> {
        plain(work, &self.file)
    }
}

/// The label of a disc's title, a part of its name in the library: `title 02`.
pub fn label(title: u32) -> String {
    format!("{TITLE}{title:02}")
}

const TITLE: &str = "title ";

/// A label becomes a part of a path.
fn only_label<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let label: Option<String> = Deserialize::deserialize(deserializer)?;
    let digits = |digits: &str| (2..=10).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    match label {
        Some(label) if !label.strip_prefix(TITLE).is_some_and(digits) => Err(D::Error::custom("the label is not that of a title")),
        label => Ok(label),
    }
}

/// A file in a work folder that a record names.
///
/// # Errors
/// As [`Part::path`].
pub fn plain(work: &Path, file: &str) -> std::io::Result<PathBuf> {
    let mut parts = Path::new(file).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(name)), None) if name == file && file.len() <= NAME_MAX && !file.contains('\0') => Ok(work.join(name)),
        _ => Err(std::io::Error::other("the name of the encoded film is not a plain file name")),
    }
}

/// Ends of the names of files that an encoder works on.
const UNFINISHED: [&str; 2] = [".part.mkv", ".srt"];

/// Files that attempts of an encoder work on, or have left there when they were killed.
///
/// # Errors
/// The folder can't be read.
pub fn left_over(work: &Path) -> std::io::Result<Vec<PathBuf>> {
    let listed = match std::fs::read_dir(work) {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry?;
        let name = entry.file_name();
        if UNFINISHED.iter().any(|end| name.as_encoded_bytes().ends_with(end.as_bytes())) && entry.file_type()?.is_file() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// A file in the library.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InLibrary {
    /// Relative to the library.
    #[serde(with = "place_json")]
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Lower-case hex.
    pub sha256: String,
    /// Whether an earlier version was moved to the trash.
    pub replaced: bool,
    /// As of [`Part`].
    #[serde(default, deserialize_with = "only_label")]
    pub label: Option<String>,
    #[serde(default)]
    pub content: Option<Content>,
    /// `None`: it was not compared with the original.
    #[serde(default)]
    pub measured: Option<Box<Measured>>,
}

/// What is in the library of an original.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Published {
    #[serde(flatten)]
    pub film: InLibrary,
    /// Further titles of a disc.
    #[serde(default)]
    pub more: Vec<InLibrary>,
    /// What its owner should know.
    #[serde(default)]
    pub remarks: Vec<String>,
    /// What media servers said, for the user; `None`: they were not told yet.
    #[serde(default)]
    pub media_server: Option<String>,
    /// Whether one of them did not do what it was asked for.
    #[serde(default)]
    pub media_server_failed: bool,
    /// When its files got another name: media servers are told of that as of a film that is new.
    #[serde(default)]
    pub renamed: Option<Timestamp>,
    /// As of [`Encoded`].
    #[serde(default)]
    pub original: bool,
    /// As of [`Encoded`].
    #[serde(default)]
    pub speed: Option<f64>,
    /// Free and total bytes of the library afterwards.
    #[serde(default)]
    pub space: Option<(u64, u64)>,
    pub at: Timestamp,
}

impl Published {
    pub fn files(&self) -> impl Iterator<Item = &InLibrary> {
        std::iter::once(&self.film).chain(&self.more)
    }

    /// When its files came to be called as they are.
    pub fn named(&self) -> Timestamp {
        self.renamed.unwrap_or(self.at)
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.files().map(|file| file.size).sum()
    }
}

/// What a publisher wrote, and of which original: of another one, or of an earlier round, it says nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said<T> {
    round: u32,
    source: Stamp,
    said: T,
}

impl<T: DeserializeOwned> Trusted for Said<T> {}

impl<T> Said<T> {
    pub fn of(film: &Film, said: T) -> Said<T> {
        Said { round: film.round, source: film.stamp, said }
    }

    /// `None`: it is about something else.
    pub fn about(self, film: &Film) -> Option<T> {
        ((self.round, self.source) == (film.round, film.stamp)).then_some(self.said)
    }
}

/// What became of a new name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renamed {
    /// As of the film's [`Rename`](super::ledger::Rename).
    pub asked: Timestamp,
    /// Why it is not possible, for the user; `None`: the film has it.
    pub refused: Option<String>,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub who: String,
    /// Whether another attempt would fail, too.
    pub permanent: bool,
    /// Whether the cause is external, e.g. a full disk: then it is waited for without a limit.
    #[serde(default)]
    pub outside: bool,
    /// Whether `reason` is a question that its owner must answer before the film can go on.
    #[serde(default)]
    pub question: bool,
    /// The numbers of titles that may be the answer; none: it is not about titles.
    #[serde(default)]
    pub titles: Vec<u32>,
    /// The family of encoders that the film needs, and this machine does not encode with.
    #[serde(default)]
    pub lacks: Option<String>,
    /// For the user.
    pub reason: String,
    /// The end of HandBrake's log.
    #[serde(default)]
    pub tail: Vec<String>,
    pub at: Timestamp,
}
