//! The watcher's file operations on the inbox. Each is safe to repeat and to interrupt.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::film::FilmId;
use super::layout::{Inbox, rename, shown, write_json, write_whole};
use super::ledger::{Film, Stage};
use super::observe::{in_failed, in_trash, request_file};
use super::reconcile::Action;
use super::record::{ENCODED, FAILURE, TASK};
use super::trash;

/// Performs an action on files. `film`: its record in the ledger.
///
/// # Errors
/// An operation on the share failed; the next round will retry it.
pub fn perform(inbox: &Inbox, action: &Action, film: Option<&Film>) -> Result<()> {
    let known = || film.context("the film is not in the ledger");
    match action {
        Action::Record(film) => write_json(&inbox.ledger(&film.id), film).context("the ledger can't be written")?,
        Action::Claim(_) => {
            let film = known()?;
            to_claim(inbox, film, &inbox.watch().join(&film.path))?;
        }
        Action::Reclaim(id) => {
            let film = known()?;
            let from = in_failed(inbox, film).map_or_else(|| in_trash(inbox, film), |path| Ok(Some(path)))?;
            let from = from.with_context(|| format!("{id} is neither in failed/ nor in the trash"))?;
            to_claim(inbox, film, &from)?;
            remove(&inbox.failed_reason(id))?;
            if let Some(folder) = from.parent() {
                // It may be an older version.
                let _ = fs::remove_dir(folder);
            }
        }
        Action::Prepare(id) => {
            let (film, work) = (known()?, inbox.work(id));
            // An empty one is kubelet's, which makes missing folders for a pod: they belong to root, who alone may write there.
            let _ = fs::remove_dir(&work);
            fs::create_dir_all(&work)
                .and_then(|()| write_json(&work.join(TASK), film))
                .with_context(|| format!("work/{id} can't be written to"))?;
        }
        Action::ClearFailure(id) => remove(&inbox.work(id).join(FAILURE))?,
        Action::Discard(id) => {
            // The reason first: without it the film does not count as failed.
            remove(&inbox.work(id).join(ENCODED))?;
            remove_all(&inbox.work(id))?;
        }
        Action::TrashOriginal(id) => {
            let film = known()?;
            let folder = trash::folder(inbox, id, film.round, trash::Kind::Original);
            let from = inbox.claim(id).join(film.source_name());
            rename(&from, &unused(&folder, film)).with_context(|| format!("{} can't be moved to the trash", shown(&film.path)))?;
        }
        Action::GiveUp(id) => {
            let film = known()?;
            write_whole(&inbox.failed_reason(id), reason(film).as_bytes()).context("failed/ can't be written to")?;
            let from = inbox.claim(id).join(film.source_name());
            if from.symlink_metadata().is_ok() {
                let to = unused(&inbox.failed(id), film);
                rename(&from, &to).with_context(|| format!("{} can't be moved to failed/", shown(&film.path)))?;
            }
        }
        Action::Tidy(id) => {
            remove_all(&inbox.work(id))?;
            // Never with contents: those could only be a film.
            match fs::remove_dir(inbox.claim(id)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(error).with_context(|| format!("claim/{id} can't be removed"))?
                }
                _ => {}
            }
        }
        Action::TakeUp(id) => take_up(inbox, id)?,
        Action::Answered(request) => remove(&request_file(inbox, request))?,
        Action::Begin(_) | Action::Forget(_) => {}
    }
    Ok(())
}

fn to_claim(inbox: &Inbox, film: &Film, from: &Path) -> Result<()> {
    let to = inbox.claim(&film.id).join(film.source_name());
    ensure!(to.symlink_metadata().is_err(), "claim/{} already has a film", film.id);
    rename(from, &to).with_context(|| format!("{} can't be claimed", shown(&film.path)))
}

/// A free path in `folder` for the film: its own name, or a subfolder if that is taken. Nothing is ever replaced.
fn unused(folder: &Path, film: &Film) -> PathBuf {
    let name = film.path.file_name().unwrap_or_default();
    let plain = folder.join(name);
    if plain.symlink_metadata().is_err() {
        return plain;
    }
    let numbered = (2..).map(|number: u64| folder.join(format!("version-{number}")).join(name));
    numbered.into_iter().find(|path| path.symlink_metadata().is_err()).unwrap_or(plain)
}

/// The text next to a film in `failed/`.
fn reason(film: &Film) -> String {
    let mut text = format!("{}\n\ncould not be encoded: ", shown(&film.path));
    if let Stage::Failing { reason, tail, at } = &film.stage {
        let _ = writeln!(text, "{reason}\n\n{at}, film {}, {} bytes", film.id, film.stamp.size);
        let _ = writeln!(text, "to retry: hostler transcode retry {}", film.id);
        if !tail.is_empty() {
            let _ = writeln!(text, "\nThe end of HandBrake's log:\n\n{}", tail.join("\n"));
        }
    }
    text
}

fn take_up(inbox: &Inbox, id: &FilmId) -> Result<()> {
    remove_all(&inbox.work(id))?;
    let claim = inbox.claim(id);
    let Ok(listed) = fs::read_dir(&claim) else { return Ok(()) };
    let text = format!(
        "A film was found in claim/{id} that is not in the ledger; its record may have been deleted.\nDrop it again to have it encoded.\n"
    );
    write_whole(&inbox.failed_reason(id), text.as_bytes())?;
    for entry in listed {
        let from = entry?.path();
        let to = inbox.failed(id).join(from.file_name().unwrap_or_default());
        ensure!(to.symlink_metadata().is_err(), "failed/{id} already has a film");
        rename(&from, &to)?;
    }
    Ok(fs::remove_dir(&claim)?)
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn remove_all(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
