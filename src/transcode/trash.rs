//! The trash: originals of films that are in the library, and replaced versions.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use hostler_core::films::settings::Originals;

use super::disc::is_disc;
use super::film::FilmId;
use super::kind::is_film;
use super::layout::Inbox;
use super::ledger::{Film, Stage};
use super::record::Stamp;

/// Prefix of the name of an entry that is being deleted.
const GOING: &str = ".going-";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// An entry is not too old before this process has known it for so long, by its own clock: other clocks may be wrong. If entries are kept for a
/// shorter time, that counts.
const KNOWN_FOR: Duration = Duration::from_secs(60 * 60);

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
        // A file in its place holds no film, and must stop no other.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
        listed => listed?,
    };
    // Renamed by its owner. What else is there is not the film: subtitles may be all that is left.
    let disc = film.flat || film.path.file_name().is_some_and(is_disc);
    let mut found = Vec::new();
    for entry in listed {
        let path = entry?.path();
        let alike = if disc { path.symlink_metadata()?.is_dir() } else { is_film(&path) };
        if alike && Stamp::of(&path)? == film.stamp {
            found.push(path);
        }
    }
    Ok(if found.len() == 1 { found.pop() } else { None })
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
    let (kind, _, film) = named(&name, films);
    match (kind, film) {
        (Some("replaced" | "dismissed"), _) => Ok(false),
        (Some("original"), Some(film)) if matches!(film.stage, Stage::Done { .. }) => {
            let path = film_in(folder, film)?;
            Ok(path.map(|path| Stamp::of(&path)).transpose()? != Some(film.stamp))
        }
        _ => Ok(true),
    }
}

/// Kind, round and film of an entry of this name.
fn named<'a, 'f>(name: &'a str, films: &'f BTreeMap<FilmId, Film>) -> (Option<&'a str>, Option<u32>, Option<&'f Film>) {
    let mut parts = name.rsplit('.');
    let (kind, round, id) = (parts.next(), parts.next(), parts.next().and_then(FilmId::parse));
    (kind, round.and_then(|round| round.parse().ok()), id.and_then(|id| films.get(&id)))
}

/// Which entries this process knows, and since when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known(BTreeMap<PathBuf, Instant>);

/// An entry of the trash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub folder: PathBuf,
    /// When the film was moved there.
    pub since: SystemTime,
    /// For how long this process has known it.
    pub known: Duration,
    /// Bytes.
    pub size: u64,
    /// As [`is_odd`] says.
    pub odd: bool,
}

/// The entries that can be read, and of the others why not.
///
/// # Errors
/// The trash can't be read.
fn entries(inbox: &Inbox, films: &BTreeMap<FilmId, Film>, known: &mut Known) -> io::Result<(Vec<Entry>, Vec<anyhow::Error>)> {
    let (mut entries, mut troubles) = (Vec::new(), Vec::new());
    let mut seen = BTreeMap::new();
    for entry in std::fs::read_dir(inbox.trash())? {
        let folder = entry?.path();
        let since = known.0.get(&folder).copied().unwrap_or_else(Instant::now);
        match read(folder.clone(), films, since.elapsed()) {
            Ok(entry) => entries.extend(entry),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => troubles.push(anyhow::Error::from(error).context(format!("{} can't be read", folder.display()))),
        }
        seen.insert(folder, since);
    }
    known.0 = seen;
    Ok((entries, troubles))
}

fn read(folder: PathBuf, films: &BTreeMap<FilmId, Film>, known: Duration) -> io::Result<Option<Entry>> {
    let metadata = folder.symlink_metadata()?;
    if !metadata.is_dir() {
        return Ok(None);
    }
    // A rename into a folder sets the folder's time; the film keeps its own. The file server's clock may be wrong: what the record says counts,
    // too.
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let (_, round, film) = named(&name, films);
    let film = film.filter(|film| round == Some(film.round)).and_then(Film::published);
    let published = film.map_or(0, |published| u64::try_from(published.at.as_second()).unwrap_or_default());
    let since = metadata.modified()?.max(SystemTime::UNIX_EPOCH + Duration::from_secs(published));
    Ok(Some(Entry { since, known, size: Stamp::of(&folder)?.size, odd: is_odd(&folder, films)?, folder }))
}

/// The entries to delete: unfinished deletions, entries that are too old, then the oldest until the rest is small enough. Odd ones
/// stay.
pub fn expired(mut entries: Vec<Entry>, originals: &Originals, now: SystemTime) -> Vec<PathBuf> {
    entries.sort_by(|a, b| a.since.cmp(&b.since).then_with(|| a.folder.cmp(&b.folder)));
    let mut total: u64 = entries.iter().map(|entry| entry.size).sum();
    let mut gone = Vec::new();
    for entry in entries {
        let age = now.duration_since(entry.since).unwrap_or_default();
        let old = originals.keep_days.is_some_and(|days| age > DAY * days && entry.known >= KNOWN_FOR.min(DAY * days));
        let going = entry.folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(GOING.as_bytes()));
        let too_much = originals.at_most.is_some_and(|at_most| total > at_most);
        if !entry.odd && (going || old || too_much) {
            total -= entry.size;
            gone.push(entry.folder);
        }
    }
    gone
}

/// What is left after [`empty`].
#[derive(Debug)]
pub struct Emptied {
    /// Bytes that will be deleted in time.
    pub rest: u64,
    /// The first entry that could not be read or deleted: it keeps no other from anything.
    pub trouble: Option<anyhow::Error>,
}

/// Deletes what has expired.
///
/// # Errors
/// The trash can't be read.
pub fn empty(
    inbox: &Inbox,
    films: &BTreeMap<FilmId, Film>,
    originals: &Originals,
    known: &mut Known,
    now: SystemTime,
) -> anyhow::Result<Emptied> {
    let (found, mut troubles) = entries(inbox, films, known)?;
    for folder in expired(found, originals, now) {
        // Deleting others may have taken long.
        match is_odd(&folder, films).and_then(|odd| if odd { Ok(false) } else { delete(&folder).map(|()| true) }) {
            Ok(true) => tracing::info!("{} was deleted from the trash", folder.display()),
            Ok(false) => {}
            Err(error) => troubles.push(anyhow::Error::from(error).context(format!("{} can't be deleted", folder.display()))),
        }
    }
    let (left, _) = entries(inbox, films, known)?;
    let rest = left.iter().filter(|entry| !entry.odd).map(|entry| entry.size).sum();
    Ok(Emptied { rest, trouble: troubles.into_iter().next() })
}

/// Deletes an entry. It is renamed first, so that a partly deleted entry is never taken for a film.
///
/// # Errors
/// The trash can't be written to.
fn delete(folder: &Path) -> io::Result<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with(GOING) {
        return remove(folder);
    }
    let going = folder.with_file_name(format!("{GOING}{name}"));
    std::fs::rename(folder, &going)?;
    remove(&going)
}

/// A folder with all that is in it, also what was copied from a read-only medium.
fn remove(folder: &Path) -> io::Result<()> {
    // What can't be made writable, removing says.
    let _ = make_all_writable(folder);
    std::fs::remove_dir_all(folder)
}

fn make_all_writable(folder: &Path) -> io::Result<()> {
    make_writable(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_all_writable(&entry.path())?;
        }
    }
    Ok(())
}

/// Lets a folder's owner write to it; what was copied from a read-only medium could not be moved or deleted.
///
/// # Errors
/// It is no folder, but a link for example, or someone else's.
pub fn make_writable(folder: &Path) -> io::Result<()> {
    const OWNER: u32 = 0o700;
    let flags = nix::libc::O_DIRECTORY | nix::libc::O_NOFOLLOW;
    let opened = File::options().read(true).custom_flags(flags).open(folder)?;
    let mode = opened.metadata()?.permissions().mode();
    if mode & OWNER != OWNER {
        opened.set_permissions(Permissions::from_mode(mode & 0o7777 | OWNER))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::record::{InLibrary, Published};
    use super::*;

    fn entry(name: &str, days: u32, size: u64) -> Entry {
        Entry { folder: name.into(), since: SystemTime::UNIX_EPOCH + DAY * (100 - days), size, known: DAY, odd: name.starts_with("odd") }
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

    /// An inbox with a film that is done, and its original in the trash, moved there when the file server's clock said 2000.
    fn done() -> (tempfile::TempDir, Inbox, BTreeMap<FilmId, Film>, PathBuf) {
        let root = tempfile::tempdir().expect("a folder");
        let inbox = Inbox { root: root.path().to_owned() };
        std::fs::create_dir(inbox.trash()).expect("made");
        let file = root.path().join("Up.mkv");
        std::fs::write(&file, "film").expect("written");
        let film = Film::dropped("Movies/Up.mkv".into(), "Movies".into(), Stamp::of(&file).expect("read"), Timestamp::now());
        let path = "Movies/Up.mkv".into();
        let published = InLibrary { path, size: 4, sha256: "00".into(), replaced: false, label: None, content: None, measured: None };
        let published = Published {
            film: published,
            more: Vec::new(),
            remarks: Vec::new(),
            media_server: None,
            media_server_failed: false,
            renamed: None,
            original: false,
            speed: None,
            space: None,
            at: Timestamp::now(),
        };
        let film = Film { stage: Stage::Done { published, machine: String::new(), took: 1.0 }, ..film };
        let folder = folder(&inbox, &film.id, 1, Kind::Original);
        std::fs::create_dir(&folder).expect("made");
        std::fs::rename(file, folder.join("Up.mkv")).expect("moved");
        let long_ago = SystemTime::UNIX_EPOCH + DAY * 10957;
        std::fs::File::open(&folder).and_then(|folder| folder.set_modified(long_ago)).expect("set");
        (root, inbox, [(film.id.clone(), film)].into(), folder)
    }

    #[test]
    fn the_clock_of_the_file_server_alone_makes_no_entry_old() {
        let (_root, inbox, films, _) = done();
        let (mut entries, troubles) = entries(&inbox, &films, &mut Known::default()).expect("listed");
        assert!(!entries[0].odd && troubles.is_empty());
        entries[0].known = DAY;
        assert_eq!(expired(entries, &Originals { keep_days: Some(14), at_most: None }, SystemTime::now()), Vec::<PathBuf>::new());
    }

    /// Even if all clocks are wrong, or the watcher's own jumps.
    #[test]
    fn what_this_process_has_just_seen_is_not_too_old() {
        let gone = |known: Duration, keep_days| {
            let entries = vec![Entry { known, ..entry("old", 90, 10) }];
            expired(entries, &Originals { keep_days: Some(keep_days), at_most: None }, SystemTime::UNIX_EPOCH + DAY * 100).len()
        };
        assert_eq!((gone(Duration::ZERO, 14), gone(KNOWN_FOR, 14), gone(Duration::ZERO, 0)), (0, 1, 1));
        let mut known = Known::default();
        let (_root, inbox, films, folder) = done();
        entries(&inbox, &films, &mut known).expect("listed");
        let since = known.0[&folder];
        let (again, _) = entries(&inbox, &films, &mut known).expect("listed");
        assert_eq!((known.0[&folder], again.len()), (since, 1));
        std::fs::remove_dir_all(&folder).expect("removed");
        entries(&inbox, &films, &mut known).expect("listed");
        assert!(known.0.is_empty());
    }

    #[test]
    fn an_entry_that_can_not_be_deleted_keeps_no_other_from_it() {
        let (_root, inbox, films, good) = done();
        // Its name for the time of its deletion is taken.
        let bad = inbox.trash().join("AAAA.1.dismissed");
        std::fs::create_dir(&bad).expect("made");
        std::fs::create_dir_all(inbox.trash().join(".going-AAAA.1.dismissed/x")).expect("made");
        let originals = Originals { keep_days: None, at_most: Some(0) };
        std::fs::write(bad.join("film"), "film").expect("written");
        std::fs::File::open(&bad).and_then(|bad| bad.set_modified(SystemTime::UNIX_EPOCH)).expect("set");
        let mut known = Known::default();
        let mut emptied = || empty(&inbox, &films, &originals, &mut known, SystemTime::now()).expect("listed");
        let trouble = emptied().trouble.expect("one can't be deleted");
        assert!(trouble.to_string().contains("AAAA.1.dismissed can't be deleted"), "{trouble:#}");
        assert!(!good.exists());
        let again = emptied();
        assert!(again.trouble.is_none() && again.rest == 0 && !bad.exists(), "its name is free now: {again:?}");
    }

    #[test]
    fn subtitles_that_are_left_are_not_the_film() {
        let (_root, _inbox, films, folder) = done();
        let film = films.values().next().expect("one");
        let renamed = folder.join("Better.mkv");
        std::fs::rename(folder.join("Up.mkv"), &renamed).expect("renamed");
        assert_eq!(film_in(&folder, film).expect("read"), Some(renamed.clone()));
        std::fs::write(folder.join("Up.en.srt"), "text").expect("written");
        assert_eq!(film_in(&folder, film).expect("read"), Some(renamed.clone()), "it is still the only film");
        std::fs::remove_file(&renamed).expect("removed");
        assert_eq!(film_in(&folder, film).expect("read"), None);
        std::fs::write(&renamed, "another film").expect("written");
        assert_eq!(film_in(&folder, film).expect("read"), None, "nor is what is put there");
    }
}
