//! What lay beside a film, and goes into the library with it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::super::kind::{self, Beside};
use super::super::layout::{self, Inbox, Library, shown};
use super::super::ledger::Film;
use super::super::record::InLibrary;
use super::super::trash;
use super::{copied, hash, keep_copy, make_folders, part_name};
use crate::user_file;

/// Copies what lay beside the film, under the name that the film got; a remark for each that could not be. That one stays with the original.
///
/// # Errors
/// The library is full, or what lay beside the film can't be listed.
pub(super) fn beside(inbox: &Inbox, library: &Library, film: &Film, published: &InLibrary, who: &str) -> Result<Vec<String>> {
    let place = library.root.join(&published.path);
    let mut remarks = Vec::new();
    let mut files = files_beside(&inbox.beside(&film.id), true)?;
    let disc = inbox.claim(&film.id).join(film.source_name());
    files.extend(in_flat_disc(film, &disc)?);
    // What has the film's name already keeps its own.
    let has_name = |file: &PathBuf| kind::rest(&file.file_name().unwrap_or_default().to_string_lossy(), &film.stem()).is_some();
    files.sort_by_key(|file| !has_name(file));
    let mut taken = BTreeSet::new();
    for from in files {
        let to = if from.starts_with(&disc) { target_of_disc(film, &from, &place) } else { target(film, &from, &place) };
        let Some(to) = to.map(|to| free(to, &taken)) else { continue };
        taken.insert(to.clone());
        match one_beside(inbox, film, &from, &to, &place, who) {
            Ok(remark) => remarks.extend(remark),
            // The film is waiting for the library, not for this file.
            Err(error) if is_full(&error) => return Err(error),
            Err(error) => remarks.push(format!("a file beside the film was not copied, and stays with the original: {error:#}")),
        }
    }
    Ok(remarks)
}

/// Its files, and those in a folder of subtitles in it.
fn files_beside(folder: &Path, deep: bool) -> io::Result<Vec<PathBuf>> {
    let Ok(listed) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for entry in listed {
        let entry = entry?;
        let name = entry.file_name();
        if deep && kind::is_of_texts(&name) && entry.file_type()?.is_dir() {
            files.extend(files_beside(&entry.path(), false)?);
        } else if !kind::is_index(&name) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// What a folder with the files of a disc has besides them. It is a part of the original, and stays one.
fn in_flat_disc(film: &Film, disc: &Path) -> io::Result<Vec<PathBuf>> {
    if !film.flat {
        return Ok(Vec::new());
    }
    let (stem, others) = (film.stem(), Vec::new());
    let beside = Beside { film: &stem, others: &others, alone: true };
    let belongs = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        beside.has(name) || path.parent().and_then(Path::file_name).is_some_and(kind::is_of_texts) && beside.has_text(name)
    };
    let found = files_beside(disc, true)?;
    Ok(found.into_iter().filter(|path| path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) && belongs(path)).collect())
}

/// Where a file goes. `place`: the film's, in the library.
fn target(film: &Film, from: &Path, place: &Path) -> Option<PathBuf> {
    let (folder, stem) = (place.parent()?, place.file_stem()?);
    let name = from.file_name()?;
    let of_texts = from.parent().and_then(Path::file_name).filter(|parent| kind::is_of_texts(parent));
    let folder = of_texts.map_or_else(|| folder.to_owned(), |texts| folder.join(texts));
    let mut target = stem.to_owned();
    Some(match kind::rest(&name.to_string_lossy(), &film.stem()) {
        Some(rest) => {
            target.push(rest);
            folder.join(target)
        }
        // Players look for the film's name.
        None if of_texts.is_none() && kind::is_text(Path::new(name)) => {
            target.push(".");
            target.push(name);
            folder.join(target)
        }
        None => folder.join(name),
    })
}

/// As [`target`], of what lay among the files of a disc: in the library the film has no folder of its own, so all has its name.
fn target_of_disc(film: &Film, from: &Path, place: &Path) -> Option<PathBuf> {
    let name = from.file_name()?;
    let mut target = place.file_stem()?.to_owned();
    match kind::rest(&name.to_string_lossy(), &film.stem()) {
        Some(rest) => target.push(rest),
        None if name.eq_ignore_ascii_case("movie.nfo") => target.push(".nfo"),
        None => {
            target.push(if kind::is_text(Path::new(name)) { "." } else { "-" });
            target.push(name);
        }
    }
    Some(place.with_file_name(target))
}

/// `Up.English.2.srt`, where another file of the film has the name without the number.
fn free(to: PathBuf, taken: &BTreeSet<PathBuf>) -> PathBuf {
    let (stem, extension) = (to.file_stem().unwrap_or_default().to_owned(), to.extension().unwrap_or_default().to_owned());
    let numbered = |number: u64| {
        let mut name = stem.clone();
        name.push(format!(".{number}."));
        name.push(&extension);
        to.with_file_name(name)
    };
    if taken.contains(&to) { (2..).map(numbered).find(|path| !taken.contains(path)).unwrap_or(to) } else { to }
}

fn is_full(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes
        .any(|cause| matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem))
}

/// `place`: the film's, in the library.
fn one_beside(inbox: &Inbox, film: &Film, from: &Path, to: &Path, place: &Path, who: &str) -> Result<Option<String>> {
    let folder = to.parent().unwrap_or(place);
    let of_texts = folder.file_name().filter(|parent| kind::is_of_texts(parent));
    make_folders(place.parent().unwrap_or(place), folder)?;
    let moved = Arc::default();
    let unread = || format!("{} can't be copied", shown(from));
    if let Ok(there) = to.symlink_metadata()
        && hash(to, &moved).ok() != Some(hash(from, &moved).with_context(unread)?)
    {
        if film.earlier.is_none() || !there.is_file() {
            return Ok(Some(format!("`{}` already existed in the library, and was not replaced", shown(to))));
        }
        // Someone may have changed it there.
        let kept = trash::folder(inbox, &film.id, film.round, trash::Kind::Replaced)
            .join(of_texts.unwrap_or_default())
            .join(to.file_name().unwrap_or_default());
        keep_copy(to, &kept).with_context(|| format!("{} can't be moved to the trash", shown(to)))?;
    }
    let hidden = folder.join(part_name(&film.id, who));
    let file = user_file::no_link(from).map_err(anyhow::Error::from);
    let copied = file.and_then(|file| copied(file, &hidden, &moved)).with_context(unread);
    let renamed =
        copied.and_then(|_| layout::rename(&hidden, to).with_context(|| format!("{} can't be renamed to its final name", shown(to))));
    renamed.inspect_err(|_| {
        let _ = std::fs::remove_file(&hidden);
    })?;
    Ok(None)
}
