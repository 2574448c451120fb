//! Observes the inbox: dropped files, and the files of each film.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hostler_core::films::settings::Settings;
use jiff::{SignedDuration, Timestamp};

use super::film::FilmId;
use super::from_encoder;
use super::late::{Late, late};
use super::layout::{Inbox, read_json, require_marker, space};
use super::ledger::{Film, Priority, Stage};
use super::publish::{awaited, said};
use super::reconcile::{Dropped, Files, Request};
use super::record::{ENCODED, Encoded, FAILURE, Failure, GO, PUBLISHED, READY, RENAMED, Stamp, TASK, left_over, plain};
use super::split::{Done, PLAN, Plan, Work};
use super::trash;
use super::walk::{Watched, walk};
use crate::user_file;

/// The longest request that is read.
const MOST_BYTES: usize = 4 << 10;

/// The result of an observation.
#[derive(Debug, Default)]
pub struct Seen {
    pub dropped: Vec<Dropped>,
    /// Files that will not be processed where they are, and why.
    pub misplaced: Vec<(PathBuf, String)>,
    /// Files that belong to films which were claimed before they came, and what they are.
    pub late: Vec<(FilmId, Dropped)>,
    pub files: BTreeMap<FilmId, Files>,
    /// Films whose files can't be read, and why.
    pub unreadable: BTreeMap<FilmId, String>,
    pub unknown: BTreeSet<FilmId>,
    pub requests: Vec<Request>,
    pub paused: bool,
    /// Free and total bytes.
    pub space: (u64, u64),
}

/// Originals of films that were done this long ago are looked at in each round: a copy may continue.
const WATCHED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// `all`: also look at the originals of films that were done long ago.
///
/// # Errors
/// The share is not mounted, or its folders can't be read. Of a film whose files can't be read, nothing is known; other films go on.
pub fn observe(inbox: &Inbox, settings: &Settings, films: &BTreeMap<FilmId, Film>, all: bool) -> Result<Seen> {
    require_marker(&inbox.root)?;
    let mut seen = Seen { paused: inbox.paused().try_exists()?, ..Seen::default() };
    requests(inbox, &mut seen)?;
    let watched = walk(&inbox.watch(), settings).context("watch/ can't be read")?;
    let Late { files: late, too_late } = late(inbox, films, &watched);
    let Watched { dropped, misplaced, .. } = watched;
    (seen.dropped, seen.late) = (dropped, late);
    seen.misplaced.extend(misplaced.into_iter().chain(too_late));
    let now = Timestamp::now();
    let asked: BTreeSet<FilmId> = seen.requests.iter().map(|request| request.id().clone()).collect();
    for film in films.values() {
        let files = match &film.stage {
            Stage::Done { published, .. } if !asked.contains(&film.id) && film.rename.is_none() => {
                if !all && now.duration_since(published.at) > WATCHED_FOR {
                    continue;
                }
                trashed(inbox, film).map(|trashed| Files { trashed, ..Files::default() })
            }
            _ => files(inbox, film),
        };
        match files {
            Ok(files) => drop(seen.files.insert(film.id.clone(), files)),
            Err(error) => {
                let why = format!("the files of {} can't be read, so the film is left alone: {error}", film.id);
                seen.unreadable.insert(film.id.clone(), why);
            }
        }
    }
    for part in ["claim", "work", "publish"] {
        let folder = inbox.root.join(part);
        for entry in std::fs::read_dir(&folder).with_context(|| format!("{part}/ can't be read"))? {
            let id = entry?.file_name().to_str().and_then(FilmId::parse);
            seen.unknown.extend(id.filter(|id| !films.contains_key(id)));
        }
    }
    seen.space = space(&inbox.root)?;
    Ok(seen)
}

/// The records of films.
#[derive(Debug, Default)]
pub struct Ledger {
    pub films: BTreeMap<FilmId, Film>,
    /// Those that can't be read, and why: their films are not unknown.
    pub unreadable: BTreeMap<FilmId, String>,
}

/// # Errors
/// The share is not mounted, or the ledger can't be listed.
pub fn ledger(inbox: &Inbox) -> Result<Ledger> {
    require_marker(&inbox.root)?;
    let mut ledger = Ledger::default();
    for entry in std::fs::read_dir(inbox.root.join("ledger")).context("ledger/ can't be read")? {
        let file = entry?.path();
        if file.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        // The watcher wrote no other.
        let Some(id) = file.file_stem().and_then(OsStr::to_str).and_then(FilmId::parse) else { continue };
        match read_json::<Film>(&file) {
            Ok(None) => {}
            Ok(Some(film)) if film.id == id => drop(ledger.films.insert(id, film)),
            Ok(Some(_)) => drop(ledger.unreadable.insert(id.clone(), unreadable(&id, "it is the record of another film"))),
            Err(error) => drop(ledger.unreadable.insert(id.clone(), unreadable(&id, &error.to_string()))),
        }
    }
    Ok(ledger)
}

fn unreadable(id: &FilmId, why: &str) -> String {
    format!("ledger/{id}.json can't be read, so its film is left alone: {why}; move this file away to have the film moved to failed/")
}

fn requests(inbox: &Inbox, seen: &mut Seen) -> io::Result<()> {
    let requests = &mut seen.requests;
    for entry in std::fs::read_dir(inbox.requests())? {
        let entry = entry?;
        let name = entry.file_name();
        let Some((verb, id)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
        match (verb, FilmId::parse(id)) {
            ("retry", Some(id)) => requests.push(Request::Retry(id)),
            ("redo", Some(id)) => requests.push(Request::Redo(id)),
            ("accept", Some(id)) => requests.push(Request::Accept(id)),
            ("dismiss", Some(id)) => requests.push(Request::Dismiss(id)),
            ("now", Some(id)) => requests.push(Request::Now(id)),
            ("first", Some(id)) => requests.push(Request::Order(id, Priority::First)),
            ("normal", Some(id)) => requests.push(Request::Order(id, Priority::Normal)),
            ("later", Some(id)) => requests.push(Request::Order(id, Priority::Later)),
            ("skip", Some(id)) => requests.push(Request::Order(id, Priority::Skipped)),
            (verb @ ("name" | "titles"), Some(id)) => {
                let text = match user_file::read(&entry.path(), MOST_BYTES) {
                    Ok(text) => String::from_utf8_lossy(&text).into_owned(),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    // Whoever put it there: it keeps no film from anything.
                    Err(error) => {
                        let file = Path::new("../requests").join(&name);
                        seen.misplaced.push((file, format!("this request can't be read: {error}; delete it")));
                        continue;
                    }
                };
                let numbers = || text.split(',').filter_map(|number| number.trim().parse().ok()).collect();
                requests.push(if verb == "titles" { Request::Titles(id, numbers()) } else { Request::Name(id, text) });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The file that carries a request to the watcher.
pub fn request_file(inbox: &Inbox, request: &Request) -> PathBuf {
    let verb = match request {
        Request::Retry(_) => "retry",
        Request::Redo(_) => "redo",
        Request::Name(..) => "name",
        Request::Titles(..) => "titles",
        Request::Accept(_) => "accept",
        Request::Dismiss(_) => "dismiss",
        Request::Now(_) => "now",
        Request::Order(_, Priority::First) => "first",
        Request::Order(_, Priority::Normal) => "normal",
        Request::Order(_, Priority::Later) => "later",
        Request::Order(_, Priority::Skipped) => "skip",
    };
    inbox.requests().join(format!("{verb}.{}", request.id()))
}

fn files(inbox: &Inbox, film: &Film) -> io::Result<Files> {
    let id = &film.id;
    let (claim, work) = (inbox.claim(id), inbox.work(id));
    // One that can't be read is written again.
    let task = from_encoder::read::<Film>(&work, TASK)?.unwrap_or_default();
    let of_encoder = |name: &str| Ok::<_, io::Error>(from_encoder::read(&work, name)?.unwrap_or_else(|why| Some(unusable(why))));
    let mut files = Files {
        claimed: stamp(&claim.join(film.source_name()))?,
        failed: in_failed(inbox, film)?.map(|path| Stamp::of(&path)).transpose()?,
        reason: inbox.failed_reason(id).try_exists()?,
        published: said(inbox, film, PUBLISHED)?,
        renamed: said(inbox, film, RENAMED)?,
        failure: if film.stage == Stage::Encoded { said(inbox, film, FAILURE)? } else { of_encoder(FAILURE)? },
        prepared: task.as_ref().is_some_and(|task| {
            (task.stamp, task.round, task.original, &task.whole) == (film.stamp, film.round, film.original, &film.whole)
        }),
        machines: task.map_or(0, |task| task.machines),
        ready: ready(inbox, film)?,
        left_over: film.stage == Stage::Claimed && !left_over(&work)?.is_empty(),
        folders: [&claim, &work, &inbox.publish(id)].iter().any(|folder| folder.symlink_metadata().is_ok()),
        ..Files::default()
    };
    // Before the encoded film, whose encoder removes them: what is read here of either is never less than there is.
    if let Some(plan) = plan(&work, film) {
        files.done = done(&work, &plan)?.into_keys().collect();
        for part in plan.works().chain([Work::Join]) {
            files.failures.extend(of_encoder(&part.failure())?.map(|failure| (part, failure)));
        }
        files.plan = Some(plan);
    }
    files.planned = work.join(PLAN).symlink_metadata().is_ok();
    match from_encoder::read::<Encoded>(&work, ENCODED)? {
        Ok(Some(encoded)) => {
            let mut there = true;
            for part in encoded.parts() {
                let film = part.path(&work).ok().map(|path| stamp(&path)).transpose()?.flatten();
                there &= film.is_some_and(|film| film.size == part.size);
            }
            files.encoded = there.then_some(encoded);
        }
        Ok(None) => {}
        Err(why) if film.stage == Stage::Claimed && files.failure.is_none() => files.failure = Some(unusable(why)),
        Err(_) => {}
    }
    if files.claimed.is_none() {
        files.dropped = stamp(&inbox.watch().join(&film.path))?;
        files.trashed = trashed(inbox, film)?;
    }
    Ok(files)
}

/// The publisher's attempt that waits for the word to replace what is in the library.
fn ready(inbox: &Inbox, film: &Film) -> io::Result<Option<String>> {
    if film.stage != Stage::Encoded {
        return Ok(None);
    }
    let (ready, allowed): (Option<String>, Option<String>) = (awaited(inbox, film, READY)?, said(inbox, film, GO)?);
    Ok(ready.filter(|who| allowed.as_ref() != Some(who)))
}

/// What a record that can't be used comes to: another attempt may leave a better one.
fn unusable(reason: String) -> Failure {
    Failure {
        who: String::new(),
        permanent: false,
        outside: false,
        question: false,
        titles: Vec::new(),
        lacks: None,
        reason,
        tail: Vec::new(),
        at: Timestamp::now(),
    }
}

/// How a film is encoded in pieces; `None`: it is not, or an encoder wrote what is no plan for this original.
pub fn plan(work: &Path, film: &Film) -> Option<Plan> {
    from_encoder::read::<Plan>(work, PLAN).ok()?.ok()?.filter(|plan| plan.is_for(film.stamp, film.round))
}

/// What is done of a plan, and next to its record.
///
/// # Errors
/// The work folder can't be read.
pub fn done(work: &Path, plan: &Plan) -> io::Result<BTreeMap<Work, Done>> {
    let mut found = BTreeMap::new();
    for part in plan.works() {
        let done = from_encoder::read::<Done>(work, &part.result())?.unwrap_or_default();
        let Some(done) = done.filter(|done| done.plan == plan.who) else { continue };
        let file = plain(work, &done.file).ok().map(|path| stamp(&path)).transpose()?.flatten();
        if file.is_some_and(|file| file.size == done.size) {
            found.insert(part, done);
        }
    }
    Ok(found)
}

fn trashed(inbox: &Inbox, film: &Film) -> io::Result<Option<Stamp>> {
    in_trash(inbox, film)?.map(|path| stamp(&path)).transpose().map(Option::flatten)
}

fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    match Stamp::of(path) {
        Ok(stamp) => Ok(Some(stamp)),
        // A part of the path has become a file.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The film in `failed/`: the newest, if there are several.
///
/// # Errors
/// The folder can't be read: then it is not known whether it is there.
pub fn in_failed(inbox: &Inbox, film: &Film) -> io::Result<Option<PathBuf>> {
    trash::film_in(&inbox.failed(&film.id), film)
}

/// The original in the trash, of the latest round.
///
/// # Errors
/// The trash can't be read.
pub fn in_trash(inbox: &Inbox, film: &Film) -> io::Result<Option<PathBuf>> {
    for round in (1..=film.round).rev() {
        let folder = trash::folder(inbox, &film.id, round, trash::Kind::Original);
        if let Some(path) = trash::film_in(&folder, film)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// A disc that lacks a part is taken when it has not changed for this long: nobody copies it any more.
const INCOMPLETE: Duration = Duration::from_secs(6 * 60 * 60);

/// Which dropped files are complete: unchanged for some time by the watcher's own clock, whatever the times of the files say.
#[derive(Debug, Default)]
pub struct Settling {
    seen: HashMap<PathBuf, (Stamp, Instant)>,
}

impl Settling {
    /// Splits dropped files into complete ones and others, with the time for which they have been unchanged.
    pub fn split(&mut self, dropped: Vec<Dropped>, stable: Duration, now: Instant) -> (Vec<Dropped>, Vec<(Dropped, Duration)>) {
        let mut seen = HashMap::new();
        let (mut settled, mut moving) = (Vec::new(), Vec::new());
        for drop in dropped {
            let before = self.seen.get(&drop.path).filter(|(stamp, _)| *stamp == drop.stamp);
            let since = before.map_or(now, |(_, since)| *since);
            seen.insert(drop.path.clone(), (drop.stamp, since));
            let age = now.duration_since(since);
            let needed = if drop.lacks.is_some() { INCOMPLETE.max(stable) } else { stable };
            if age >= needed {
                settled.push(drop);
            } else {
                moving.push((drop, age));
            }
        }
        self.seen = seen;
        (settled, moving)
    }

    /// The complete ones of what came late, by their films.
    pub fn complete(&mut self, late: Vec<(FilmId, Dropped)>, stable: Duration) -> BTreeMap<FilmId, Vec<PathBuf>> {
        let films: BTreeMap<PathBuf, FilmId> = late.iter().map(|(id, drop)| (drop.path.clone(), id.clone())).collect();
        let (settled, _) = self.split(late.into_iter().map(|(_, drop)| drop).collect(), stable, Instant::now());
        let mut complete: BTreeMap<FilmId, Vec<PathBuf>> = BTreeMap::new();
        for drop in settled {
            if let Some(id) = films.get(&drop.path) {
                complete.entry(id.clone()).or_default().push(drop.path);
            }
        }
        complete
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::super::layout::MARKER;
    use super::*;

    fn inbox() -> (tempfile::TempDir, Inbox, Settings) {
        let folder = tempfile::tempdir().expect("a folder");
        let inbox = Inbox { root: folder.path().to_owned() };
        fs::write(folder.path().join(MARKER), "").expect("written");
        let settings: Settings = serde_json::from_str(r#"{"folders": {"Movies": {}, "Cartoons": {}}}"#).expect("valid");
        inbox.prepare(settings.folders.keys()).expect("made");
        (folder, inbox, settings)
    }

    #[test]
    fn films_are_distinguished_from_other_files() {
        let (_folder, inbox, settings) = inbox();
        let file = |path: &str| {
            let path = inbox.watch().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, "film").expect("written");
        };
        ["Movies/Up.MKV", "Movies/a/b/-rf $(x).iso", "Cartoons/\n.mp4", "Movies/Disc/VIDEO_TS/VTS_01_1.VOB"].into_iter().for_each(file);
        ["Movies/Up.nfo", "Movies/.hidden.mkv", "Movies/Up.mkv.part", "Movies/.sync/x.mkv", "notes.txt"].into_iter().for_each(file);
        ["loose.mkv", "Series/x.mkv"].into_iter().for_each(file);
        ["Movies/#recycle/a.mkv", "Movies/x/@eaDir/b.mp4", "Movies/_UNPACK_c/c.mkv", "lost+found/d.mkv"].into_iter().for_each(file);
        symlink("/etc", inbox.watch().join("Movies/link")).expect("linked");
        symlink("/etc/passwd", inbox.watch().join("Movies/link.mkv")).expect("linked");
        let seen = observe(&inbox, &settings, &BTreeMap::new(), false).expect("readable");
        let mut found: Vec<String> = seen.dropped.iter().map(|drop| drop.path.display().to_string()).collect();
        found.sort();
        assert_eq!(found, ["Cartoons/\n.mp4", "Movies/Disc/VIDEO_TS", "Movies/Up.MKV", "Movies/a/b/-rf $(x).iso", "Movies/link.mkv"]);
        let mut misplaced: Vec<String> = seen.misplaced.iter().map(|(path, _)| path.display().to_string()).collect();
        misplaced.sort();
        assert_eq!(misplaced, ["Movies/.hidden.mkv", "Movies/Up.mkv.part", "Movies/link", "Series", "loose.mkv"]);
        assert!(seen.space.0 > 0 && seen.space.1 >= seen.space.0);
    }

    /// A link in the place of a folder of the inventory, and one that leads nowhere.
    #[test]
    fn a_link_in_place_of_a_folder_is_listed() {
        let (folder, inbox, settings) = inbox();
        let elsewhere = folder.path().join("elsewhere");
        fs::create_dir(&elsewhere).expect("made");
        fs::write(elsewhere.join("Up.mkv"), "film").expect("written");
        for (name, target) in [("Movies", elsewhere.as_path()), ("Cartoons", Path::new("/nowhere"))] {
            fs::remove_dir(inbox.watch().join(name)).expect("removed");
            symlink(target, inbox.watch().join(name)).expect("linked");
        }
        inbox.prepare(settings.folders.keys()).expect("a link is no reason to wait");
        let seen = observe(&inbox, &settings, &BTreeMap::new(), false).expect("readable");
        let mut listed: Vec<_> = seen.misplaced.iter().map(|(path, why)| (path.to_str(), why.contains("not followed"))).collect();
        listed.sort_unstable();
        assert_eq!((listed, seen.dropped), (vec![(Some("Cartoons"), true), (Some("Movies"), true)], Vec::new()));
    }

    /// Its path is longer than the kernel takes: as on a disk that fails, an error that has nothing to do with permissions.
    #[test]
    fn a_folder_that_can_not_be_read_stops_no_other() {
        use nix::fcntl::{OFlag, openat};
        use nix::sys::stat::{Mode, mkdirat};
        let (folder, _, settings) = inbox();
        let inbox = Inbox { root: ["x"; 5].map(|x| x.repeat(240)).iter().fold(folder.path().to_owned(), |path, part| path.join(part)) };
        fs::create_dir_all(&inbox.root).expect("made");
        fs::write(inbox.root.join(MARKER), "").expect("written");
        inbox.prepare(settings.folders.keys()).expect("made");
        let mut at = std::os::fd::OwnedFd::from(fs::File::open(inbox.watch().join("Movies")).expect("opened"));
        for _ in 0..13 {
            let name = "d".repeat(250);
            mkdirat(&at, name.as_str(), Mode::S_IRWXU).expect("made");
            at = openat(&at, name.as_str(), OFlag::O_DIRECTORY, Mode::empty()).expect("opened");
        }
        fs::write(inbox.watch().join("Movies/Up.mkv"), "film").expect("written");
        let seen = observe(&inbox, &settings, &BTreeMap::new(), false).expect("the others are read");
        assert_eq!(seen.dropped.len(), 1);
        assert!(seen.misplaced.len() == 1 && seen.misplaced[0].1.contains("hostler can't read this folder"), "{:?}", seen.misplaced);
    }

    /// Its film is left alone, and every other film goes on. A link to itself fails for root, too.
    #[test]
    fn a_folder_of_failed_that_can_not_be_read_stops_its_own_film_alone() {
        let (_folder, inbox, settings) = inbox();
        let film = |path: &str| Film::dropped(path.into(), "Movies".into(), Stamp { size: 1, modified: 1 }, Timestamp::UNIX_EPOCH);
        let films = ["Movies/Up.mkv", "Movies/Down.mkv"].map(film);
        symlink(inbox.failed(&films[1].id), inbox.failed(&films[1].id)).expect("linked");
        let films: BTreeMap<FilmId, Film> = films.into_iter().map(|film| (film.id.clone(), film)).collect();
        let seen = observe(&inbox, &settings, &films, false).expect("readable");
        assert_eq!((seen.files.len(), seen.unreadable.len()), (1, 1));
        assert!(seen.unreadable.values().all(|why| why.contains("so the film is left alone")));
    }

    #[test]
    fn a_disc_takes_no_other_film_along() {
        let (_folder, inbox, settings) = inbox();
        let disc = inbox.watch().join("Movies/Up (2009)");
        fs::create_dir_all(disc.join("Extras")).expect("made");
        for name in ["VIDEO_TS.IFO", "VTS_01_0.IFO", "VTS_01_1.VOB", "Extras/Making of.mkv"] {
            fs::write(disc.join(name), "film").expect("written");
        }
        let observe = || observe(&inbox, &settings, &BTreeMap::new(), false).expect("readable");
        let dropped = |seen: Seen| seen.dropped.into_iter().map(|drop| (drop.path, drop.flat)).collect::<Vec<_>>();
        assert!(observe().misplaced[0].1.contains("while `Extras/Making of.mkv` is there"));
        assert_eq!(dropped(observe()), [(PathBuf::from("Movies/Up (2009)/Extras/Making of.mkv"), false)]);
        fs::remove_file(disc.join("Extras/Making of.mkv")).expect("removed");
        assert_eq!(dropped(observe()), [(PathBuf::from("Movies/Up (2009)"), true)]);
    }

    #[test]
    fn an_unmounted_share_is_not_an_empty_share() {
        let (_folder, inbox, settings) = inbox();
        fs::remove_file(inbox.root.join(MARKER)).expect("removed");
        assert!(observe(&inbox, &settings, &BTreeMap::new(), false).is_err());
        assert!(ledger(&inbox).is_err());
    }

    #[test]
    fn a_request_that_can_not_be_read_stops_no_other() {
        let (_folder, inbox, _) = inbox();
        let film = |path: &str| Film::dropped(path.into(), "Movies".into(), Stamp { size: 1, modified: 1 }, Timestamp::UNIX_EPOCH).id;
        let (good, bad) = (film("Movies/Up.mkv"), film("Movies/Down.mkv"));
        fs::create_dir_all(inbox.requests().join(format!("name.{bad}"))).expect("a folder");
        fs::write(inbox.requests().join(format!("retry.{good}")), "").expect("written");
        let mut seen = Seen::default();
        requests(&inbox, &mut seen).expect("listed");
        assert_eq!((seen.requests, seen.misplaced.len()), (vec![Request::Retry(good)], 1));
    }

    /// By itself, or under another film's name.
    #[test]
    fn a_record_that_can_not_be_read_stops_no_other() {
        let (_folder, inbox, _) = inbox();
        let film = |path: &str| Film::dropped(path.into(), "Movies".into(), Stamp { size: 1, modified: 1 }, Timestamp::UNIX_EPOCH);
        let (good, bad) = (film("Movies/Up.mkv"), film("Movies/Down.mkv"));
        super::super::layout::write_json(&inbox.ledger(&good.id), &good).expect("written");
        let huge = Film { whole: Some("x".repeat(20 << 20)), ..good.clone() };
        assert!(super::super::layout::write_json(&inbox.ledger(&good.id), &huge).is_err(), "it could not be read again");
        fs::write(inbox.ledger(&bad.id), "{").expect("written");
        let ledger = ledger(&inbox).expect("listed");
        assert_eq!((ledger.films.len(), ledger.unreadable.len()), (1, 1));
        assert!(ledger.films.contains_key(&good.id) && ledger.unreadable[&bad.id].contains("can't be read"));
    }

    #[test]
    fn a_film_is_complete_once_it_has_not_changed_for_some_time() {
        let drop = |size| Dropped {
            path: "Movies/Up.mkv".into(),
            folder: "Movies".into(),
            stamp: Stamp { size, modified: 1 },
            flat: false,
            lacks: None,
        };
        let mut settling = Settling::default();
        let start = Instant::now();
        let mut settled = |size, seconds| {
            let (settled, moving) = settling.split(vec![drop(size)], Duration::from_secs(30), start + Duration::from_secs(seconds));
            assert_eq!(settled.len() + moving.len(), 1);
            !settled.is_empty()
        };
        assert!(!settled(1, 0) && !settled(1, 29) && !settled(2, 31), "it grew");
        assert!(!settled(2, 60) && settled(2, 61));
    }
}
