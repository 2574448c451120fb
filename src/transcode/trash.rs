//! The trash: originals of films that are in the library, and replaced versions.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hostler_core::films::settings::Originals;

use super::film::FilmId;
use super::layout::Inbox;
use super::ledger::{Film, Stage};
use super::record::Stamp;

/// Prefix of the name of an entry that is being deleted.
const GOING: &str = ".going-";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Original,
    Replaced,
    /// Its owner did not want it encoded.
    Dismissed,
}

/// The folder of one entry; the film in it keeps its name.
pub fn folder(inbox: &Inbox, id: &FilmId, round: u32, kind: Kind) -> PathBuf {
    let kind = match kind {
        Kind::Original => "original",
        Kind::Replaced => "replaced",
        Kind::Dismissed => "dismissed",
    };
    inbox.trash().join(format!("{id}.{round}.{kind}"))
}

/// The film in its folder in the trash: its latest version, if there are several.
///
/// # Errors
/// The folder can't be read.
pub fn film_in(folder: &Path, film: &Film) -> io::Result<Option<PathBuf>> {
    let name = film.path.file_name().unwrap_or_default();
    let is_there = |path: &PathBuf| path.symlink_metadata().is_ok();
    let versions = (2..).map(|number: u64| version(folder, number).join(name)).take_while(is_there);
    if let Some(path) = versions.last().or_else(|| Some(folder.join(name)).filter(is_there)) {
        return Ok(Some(path));
    }
    let listed = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        listed => listed?,
    };
    // Renamed by its owner.
    let mut paths = listed.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    Ok(if paths.len() == 1 { paths.pop() } else { None })
}

/// Where another film of the same name is kept, from 2.
pub fn version(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("version-{number}"))
}

/// Whether an entry may never be deleted: an original that differs from what was encoded, or whose film is not in the library.
///
/// # Errors
/// The entry can't be read.
pub fn is_odd(folder: &Path, films: &BTreeMap<FilmId, Film>) -> io::Result<bool> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with(GOING) {
        return Ok(false);
    }
    let mut parts = name.rsplit('.');
    let (kind, _round, id) = (parts.next(), parts.next(), parts.next().and_then(FilmId::parse));
    match (kind, id.and_then(|id| films.get(&id))) {
        (Some("replaced" | "dismissed"), _) => Ok(false),
        (Some("original"), Some(film)) if matches!(film.stage, Stage::Done { .. }) => {
            let path = film_in(folder, film)?;
            Ok(path.map(|path| Stamp::of(&path)).transpose()? != Some(film.stamp))
        }
        _ => Ok(true),
    }
}

/// An entry of the trash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub folder: PathBuf,
    /// When the film was moved there.
    pub since: SystemTime,
    /// Bytes.
    pub size: u64,
    /// As [`is_odd`] says.
    pub odd: bool,
}

/// # Errors
/// The trash can't be read.
pub fn entries(inbox: &Inbox, films: &BTreeMap<FilmId, Film>) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(inbox.trash())? {
        let folder = entry?.path();
        let metadata = folder.symlink_metadata()?;
        if metadata.is_dir() {
            // A rename into a folder sets the folder's time; the film keeps its own.
            entries.push(Entry { since: metadata.modified()?, size: Stamp::of(&folder)?.size, odd: is_odd(&folder, films)?, folder });
        }
    }
    Ok(entries)
}

/// The entries to delete: unfinished deletions, entries that are too old, then the oldest until the rest is small enough. Odd ones
/// stay.
pub fn expired(mut entries: Vec<Entry>, originals: &Originals, now: SystemTime) -> Vec<PathBuf> {
    entries.sort_by(|a, b| a.since.cmp(&b.since).then_with(|| a.folder.cmp(&b.folder)));
    let mut total: u64 = entries.iter().map(|entry| entry.size).sum();
    let mut gone = Vec::new();
    for entry in entries {
        let age = now.duration_since(entry.since).unwrap_or_default();
        let old = originals.keep_days.is_some_and(|days| age > DAY * days);
        let going = entry.folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(GOING.as_bytes()));
        let too_much = originals.at_most.is_some_and(|at_most| total > at_most);
        if !entry.odd && (going || old || too_much) {
            total -= entry.size;
            gone.push(entry.folder);
        }
    }
    gone
}

/// Deletes an entry. It is renamed first, so that a partly deleted entry is never taken for a film.
///
/// # Errors
/// The trash can't be written to.
pub fn delete(folder: &Path) -> io::Result<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with(GOING) {
        return std::fs::remove_dir_all(folder);
    }
    let going = folder.with_file_name(format!("{GOING}{name}"));
    std::fs::rename(folder, &going)?;
    std::fs::remove_dir_all(&going)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, days: u32, size: u64) -> Entry {
        Entry { folder: name.into(), since: SystemTime::UNIX_EPOCH + DAY * (100 - days), size, odd: name.starts_with("odd") }
    }

    fn gone(keep_days: Option<u32>, at_most: Option<u64>) -> Vec<String> {
        let entries = vec![entry("new", 1, 10), entry("old", 20, 10), entry("middle", 5, 30)];
        let now = SystemTime::UNIX_EPOCH + DAY * 100;
        let gone = expired(entries, &Originals { keep_days, at_most }, now);
        gone.iter().map(|folder| folder.display().to_string()).collect()
    }

    #[test]
    fn the_oldest_is_deleted_first() {
        assert_eq!(gone(None, None), [""; 0]);
        assert_eq!(gone(Some(14), None), ["old"]);
        assert_eq!(gone(None, Some(50)), [""; 0]);
        assert_eq!(gone(None, Some(40)), ["old"]);
        assert_eq!(gone(None, Some(39)), ["old", "middle"]);
        assert_eq!(gone(Some(14), Some(40)), ["old"]);
    }

    #[test]
    fn odd_entries_stay() {
        let entries = vec![entry("odd", 90, 100), entry("old", 90, 10)];
        let gone = expired(entries, &Originals { keep_days: Some(14), at_most: Some(50) }, SystemTime::UNIX_EPOCH + DAY * 100);
        assert_eq!(gone, [PathBuf::from("old")]);
    }

    #[test]
    fn unfinished_deletions_are_finished() {
        let gone = expired(vec![entry(".going-up", 1, 10)], &Originals { keep_days: None, at_most: None }, SystemTime::now());
        assert_eq!(gone, [PathBuf::from(".going-up")]);
    }
}
