//! What the watcher may do next.

use std::path::PathBuf;

use super::super::film::FilmId;
use super::super::ledger::Film;
use super::super::machines::Place;
use super::{Job, Request};

#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Write to the ledger, synced before anything else is done.
    Record(Box<Film>),
    /// From `watch/` to `claim/`. With the names of films that were claimed from the same folder and are not done: what is theirs is not this
    /// one's.
    Claim(FilmId, Vec<String>),
    /// Moves what was dropped beside a film, at these paths, along with it, although it was claimed before.
    Along(FilmId, Vec<PathBuf>),
    /// From `failed/` or the trash to `claim/`.
    Reclaim(FilmId),
    /// Creates `work/<id>`, with what the encoder is to do, and the number of machines that would be idle besides. Its pod can't be started
    /// without this folder.
    Prepare(FilmId, usize),
    Begin(Job, Place),
    /// Deletes the Job.
    Forget(Job),
    /// Removes `failure.json`, and a result that can't be used, before the next attempt.
    ClearFailure(FilmId),
    /// Removes what attempts that were killed left in `work/<id>`.
    Sweep(FilmId),
    /// Lets this attempt of a publisher replace what is in the library.
    Allow(FilmId, String),
    /// Removes the encoded film.
    Discard(FilmId),
    TrashOriginal(FilmId),
    /// Removes what a publisher said of a new name.
    Renamed(FilmId),
    /// Move to `failed/`, with the reason.
    GiveUp(FilmId),
    /// Removes the folders in `claim/`, `work/` and `publish/`.
    Tidy(FilmId),
    /// A folder in `claim/`, `work/` or `publish/` without a record in the ledger: moves its film to `failed/`.
    TakeUp(FilmId),
    /// From `failed/` or `claim/` to the trash: its owner does not want it encoded.
    Dismiss(FilmId),
    /// Removes the record of a film that is nowhere any more.
    Erase(FilmId),
    /// The request is done, or impossible.
    Answered(Request),
}

impl Action {
    /// The film of an action.
    pub fn film(&self) -> &FilmId {
        match self {
            Action::Record(film) => &film.id,
            Action::Begin(job, _) | Action::Forget(job) => &job.id,
            Action::Answered(request) => request.id(),
            Action::Claim(id, _)
            | Action::Along(id, _)
            | Action::Reclaim(id)
            | Action::Sweep(id)
            | Action::Allow(id, _)
            | Action::Prepare(id, _)
            | Action::ClearFailure(id)
            | Action::Discard(id)
            | Action::TrashOriginal(id)
            | Action::Renamed(id)
            | Action::GiveUp(id)
            | Action::Tidy(id)
            | Action::TakeUp(id)
            | Action::Dismiss(id)
            | Action::Erase(id) => id,
        }
    }
}
