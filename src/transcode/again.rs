//! Encodes a film again without its original: the film in the library is copied back to `watch/`, as if it had been dropped.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use super::film::FilmId;
use super::layout::{self, Inbox, Library, read_json, require_marker, shown, space};
use super::ledger::{Film, Stage};
use super::publish;

/// Prefix of the name of an unfinished copy, in `requests/`, where it is not taken for a film or a request.
const PART: &str = "from-library.";

/// A copy that can be made.
#[derive(Debug, PartialEq, Eq)]
pub struct Again {
    from: PathBuf,
    part: PathBuf,
    to: PathBuf,
}

/// The copy for a film that is done; or why it is not possible, for the user.
///
/// # Errors
/// A share is missing or can't be read.
pub fn wanted(inbox: &Inbox, library: &Library, id: &FilmId) -> Result<Result<Again, &'static str>> {
    require_marker(&inbox.root)?;
    require_marker(&library.root)?;
    let film: Option<Film> = read_json(&inbox.ledger(id))?;
    let Some(Film { stage: Stage::Done { published, .. }, .. }) = film else {
        return Ok(Err("the film is not done yet"));
    };
    let from = library.root.join(&published.film.path);
    let size = match from.symlink_metadata() {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).context("the library can't be read"),
        _ => return Ok(Err("the film is no longer in the library under this name: copy the original into watch/ again\n")),
    };
    // Under the name of the published film, so that it replaces that.
    let to = inbox.watch().join(&published.film.path);
    let part = inbox.requests().join(format!("{PART}{id}"));
    if part.try_exists()? {
        return Ok(Err("the film is already being copied back"));
    }
    if to.symlink_metadata().is_ok() {
        return Ok(Err("watch/ already has a film with this name"));
    }
    if space(&inbox.root)?.0 < size {
        return Ok(Err("the inbox does not have enough space for the film"));
    }
    Ok(Ok(Again { from, part, to }))
}

impl Again {
    /// Copies the film. It appears in `watch/` only when it is complete.
    ///
    /// # Errors
    /// A share is missing or full; the copy is removed.
    pub fn copy(&self) -> Result<()> {
        self.try_copy().inspect_err(|_| {
            let _ = std::fs::remove_file(&self.part);
        })
    }

    fn try_copy(&self) -> Result<()> {
        let size = self.from.metadata()?.len();
        let (copied, _) = publish::copy(&self.from, &self.part, &Arc::default())?;
        ensure!(copied == size, "only {copied} of {size} bytes were copied");
        std::fs::create_dir_all(self.to.parent().unwrap_or(Path::new("/")))?;
        ensure!(self.to.symlink_metadata().is_err(), "a film with this name was dropped in the meantime");
        layout::rename(&self.part, &self.to).with_context(|| format!("{} can't be renamed to its final name", shown(&self.to)))
    }
}

/// Removes unfinished copies of an earlier process.
///
/// # Errors
/// The share is missing or can't be written to.
pub fn clear(inbox: &Inbox) -> Result<()> {
    require_marker(&inbox.root)?;
    let listed = match std::fs::read_dir(inbox.requests()) {
        // No watcher has run yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        listed => listed?,
    };
    for entry in listed {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(PART.as_bytes()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
