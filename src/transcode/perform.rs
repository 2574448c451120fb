//! The watcher's file operations on the inbox. Each is safe to repeat and to interrupt.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::disc::{self, is_disc};
use super::film::FilmId;
use super::from_encoder;
use super::kind::{self, Beside};
use super::late;
use super::layout::{Inbox, rename, shown, write_json, write_whole};
use super::ledger::{Film, Stage};
use super::observe::{in_failed, in_trash, request_file};
use super::reconcile::Action;
use super::record::{ENCODED, Encoded, FAILURE, GO, LOG, RENAMED, Said, TASK, left_over};
use super::split;
use super::trash;

/// Performs an action on files. `film`: its record in the ledger.
///
/// # Errors
/// An operation on the share failed; the next round will retry it.
pub fn perform(inbox: &Inbox, action: &Action, film: Option<&Film>) -> Result<()> {
    let known = || film.context("the film is not in the ledger");
    match action {
        Action::Record(film) => write_json(&inbox.ledger(&film.id), film).context("the ledger can't be written")?,
        Action::Claim(_, others) => {
            let film = known()?;
            let from = inbox.watch().join(&film.path);
            make_writable(&inbox.watch(), &film.path);
            if film.flat
                && let Some(other) = disc::other_film(&from)?
            {
                bail!("{} is not claimed while another film is in its folder: {}", shown(&film.path), shown(&other));
            }
            beside(inbox, film, &from, others)?;
            to_claim(inbox, film, &from)?;
        }
        Action::Along(_, paths) => {
            for path in paths {
                along(inbox, known()?, &inbox.watch().join(path), &late::place(path))?;
            }
        }
        Action::Reclaim(id) => {
            let film = known()?;
            let from = in_failed(inbox, film)?.map_or_else(|| in_trash(inbox, film), |path| Ok(Some(path)))?;
            let from = from.with_context(|| format!("{id} is neither in failed/ nor in the trash"))?;
            to_claim(inbox, film, &from)?;
            // What went with it comes back with it.
            move_all(from.parent(), &inbox.beside(id))?;
            remove(&inbox.failed_reason(id))?;
            remove(&inbox.failed_log(id))?;
            if let Some(folder) = from.parent() {
                // It may be an older version.
                let _ = remove_folder(folder);
            }
        }
        Action::Prepare(id, machines) => {
            let (film, work) = (Film { machines: *machines, ..known()?.clone() }, inbox.work(id));
            // An empty one is kubelet's, which makes missing folders for a pod: they belong to root, who alone may write there.
            let _ = fs::remove_dir(&work);
            fs::create_dir_all(&work)
                .and_then(|()| write_json(&work.join(TASK), &film))
                .with_context(|| format!("work/{id} can't be written to"))?;
        }
        Action::ClearFailure(id) => {
            let work = inbox.work(id);
            remove(&inbox.publish(id).join(FAILURE))?;
            remove_all(&work.join(FAILURE))?;
            // Of a film in pieces, those of its parts.
            let listed = fs::read_dir(&work).into_iter().flatten().flatten().map(|entry| entry.path());
            for file in listed.filter(|file| file.to_string_lossy().ends_with(split::FAILURE)) {
                remove_all(&file)?;
            }
            if from_encoder::read::<Encoded>(&work, ENCODED)?.is_err() {
                remove_all(&work.join(ENCODED))?;
            }
        }
        Action::Sweep(id) => {
            for file in left_over(&inbox.work(id))? {
                remove(&file)?;
            }
        }
        Action::Allow(id, who) => {
            let said = Said::of(known()?, who);
            fs::create_dir_all(inbox.publish(id)).and_then(|()| write_json(&inbox.publish(id).join(GO), &said))?;
        }
        Action::Discard(id) => {
            // In this order: while there is an encoded film, this is done again.
            remove_all(&inbox.publish(id))?;
            remove_all(&inbox.work(id).join(ENCODED))?;
            remove_all(&inbox.work(id))?;
        }
        Action::TrashOriginal(id) => {
            let film = known()?;
            let folder = trash::folder(inbox, id, film.round, trash::Kind::Original);
            let from = inbox.claim(id).join(film.source_name());
            let to = unused(&folder, film);
            move_all(Some(&inbox.beside(id)), to.parent().unwrap_or(&folder))?;
            rename(&from, &to).with_context(|| format!("{} can't be moved to the trash", shown(&film.path)))?;
        }
        Action::Renamed(id) => {
            remove(&inbox.publish(id).join(RENAMED))?;
            // It may have the result of a film that is being published.
            let _ = fs::remove_dir(inbox.publish(id));
        }
        Action::GiveUp(id) => {
            let film = known()?;
            write_whole(&inbox.failed_reason(id), reason(film).as_bytes()).context("failed/ can't be written to")?;
            let log = inbox.work(id).join(LOG);
            // Its owner reads it: never what an encoder put a link to.
            if log.symlink_metadata().is_ok_and(|log| log.is_file()) {
                fs::rename(log, inbox.failed_log(id)).context("failed/ can't be written to")?;
            }
            let from = inbox.claim(id).join(film.source_name());
            if from.symlink_metadata().is_ok() {
                let to = unused(&inbox.failed(id), film);
                move_all(Some(&inbox.beside(id)), to.parent().unwrap_or(&to))?;
                rename(&from, &to).with_context(|| format!("{} can't be moved to failed/", shown(&film.path)))?;
            }
        }
        Action::Tidy(id) => {
            remove_all(&inbox.work(id))?;
            remove_all(&inbox.publish(id))?;
            if let Some(film) = film {
                remove_emptied(inbox, film);
            }
            let _ = remove_folder(&inbox.beside(id));
            // Never with contents: those could only be a film.
            match remove_folder(&inbox.claim(id)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(error).with_context(|| format!("claim/{id} can't be removed"))?
                }
                _ => {}
            }
        }
        Action::TakeUp(id) => take_up(inbox, id)?,
        Action::Dismiss(id) => {
            let film = known()?;
            let claimed = inbox.claim(id).join(film.source_name());
            let from = if claimed.symlink_metadata().is_ok() { Some(claimed) } else { in_failed(inbox, film)? };
            if let Some(from) = from {
                let folder = trash::folder(inbox, id, film.round, trash::Kind::Dismissed);
                let to = unused(&folder, film);
                let others = if from.starts_with(inbox.failed(id)) { inbox.failed(id) } else { inbox.beside(id) };
                rename(&from, &to).with_context(|| format!("{} can't be moved to the trash", shown(&film.path)))?;
                move_all(Some(&others), to.parent().unwrap_or(&folder))?;
            }
        }
        Action::Erase(id) => {
            remove(&inbox.failed_reason(id))?;
            remove(&inbox.failed_log(id))?;
            // Never with contents.
            let _ = remove_folder(&inbox.failed(id));
            remove(&inbox.ledger(id))?;
        }
        Action::Answered(request) => remove(&request_file(inbox, request))?,
        Action::Begin(..) | Action::Forget(_) => {}
    }
    Ok(())
}

/// Moves what belongs to a film along with it: subtitles, descriptions, pictures. `claimed`: as of [`Action::Claim`].
fn beside(inbox: &Inbox, film: &Film, from: &Path, claimed: &[String]) -> Result<()> {
    let (Some(folder), Some(name)) = (from.parent(), from.file_name()) else { return Ok(()) };
    // A folder for all films has nothing that belongs to a disc without a name.
    if film.path.file_name().is_some_and(is_disc) && !film.in_folder() {
        return Ok(());
    }
    let names: Vec<_> = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<_>>()?;
    let films = names.iter().map(Path::new).filter(|other| *other != name && (kind::is_film(other) || kind::is_coming(other)));
    let there = films.map(|other| other.file_stem().unwrap_or_default().to_string_lossy().into_owned());
    let others: Vec<String> = there.chain(claimed.iter().cloned()).collect();
    let stem = film.stem();
    let beside = Beside { film: &stem, others: &others, alone: film.in_folder() && others.is_empty() };
    for other in names.iter().filter(|other| *other != name) {
        let path = folder.join(other);
        if beside.has(other) {
            along(inbox, film, &path, Path::new(other))?;
        }
        if !kind::is_of_texts(other) || !path.symlink_metadata()?.is_dir() {
            continue;
        }
        for text in fs::read_dir(&path)? {
            let text = text?.file_name();
            if beside.has_text(&text) {
                along(inbox, film, &path.join(&text), &Path::new(other).join(&text))?;
            }
        }
        let _ = remove_folder(&path);
    }
    Ok(())
}

/// Moves one file that belongs to a film along with it. `place`: beside the film.
fn along(inbox: &Inbox, film: &Film, path: &Path, place: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
        rename(path, &inbox.beside(&film.id).join(place)).with_context(|| format!("{} can't be moved along with its film", shown(path)))?;
    }
    Ok(())
}

/// Moves all files of a folder, if it exists, to another one where they are not yet; so those in a folder of subtitles in it.
fn move_all(from: Option<&Path>, to: &Path) -> io::Result<()> {
    let Some(Ok(listed)) = from.map(fs::read_dir) else { return Ok(()) };
    for entry in listed {
        let (path, target) = (entry.as_ref().map(fs::DirEntry::path), entry.as_ref().map(|entry| to.join(entry.file_name())));
        let (Ok(path), Ok(target)) = (path, target) else { continue };
        if path.is_file() && target.symlink_metadata().is_err() {
            rename(&path, &target)?;
        } else if path.is_dir() && path.file_name().is_some_and(kind::is_of_texts) {
            move_all(Some(&path), &target)?;
            let _ = remove_folder(&path);
        }
    }
    Ok(())
}

/// Removes a folder that has nothing in it but what file servers and desktops write into every folder.
fn remove_folder(folder: &Path) -> io::Result<()> {
    let names: Vec<_> = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<_>>()?;
    if names.iter().all(|name| kind::is_index(name)) {
        // Folders are made by file servers alone: one that a Mac's file is called like is its owner's.
        let is_file = |name: &&std::ffi::OsString| name.as_encoded_bytes().starts_with(b"._");
        names.iter().try_for_each(|name| if is_file(&name) { remove(&folder.join(name)) } else { remove_all(&folder.join(name)) })?;
    }
    fs::remove_dir(folder)
}

/// A folder that was emptied this recently may be about to get another film.
const EMPTIED: Duration = Duration::from_secs(2);

/// Removes the folders in `watch/` that the film was in, if nothing is left in them.
fn remove_emptied(inbox: &Inbox, film: &Film) {
    for folder in film.path.ancestors().skip(1).filter(|folder| folder.components().count() >= 2) {
        let folder = inbox.watch().join(folder);
        let age = folder.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|modified| modified.elapsed().ok());
        // Only an empty folder can be removed.
        if age.is_none_or(|age| age < EMPTIED) || remove_folder(&folder).is_err() {
            return;
        }
        // Removing it has changed its parent.
        if let Some(parent) = folder.parent() {
            let _ = fs::File::open(parent).and_then(|parent| parent.set_modified(std::time::SystemTime::now() - EMPTIED));
        }
    }
}

/// Lets the owner of a film's folders below `watch/` write to them: what was copied from a read-only medium could not be moved. If that is not
/// possible, the rename says so.
fn make_writable(watch: &Path, film: &Path) {
    let mut path = watch.to_owned();
    for part in film.components() {
        path.push(part);
        // Never what a link leads to.
        if trash::make_writable(&path).is_err() {
            return;
        }
    }
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
    let numbered = (2..).map(|number: u64| trash::version(folder, number).join(name));
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
    // What the encoder was told of it has its name.
    let known = from_encoder::read::<Film>(&inbox.work(id), TASK)?.unwrap_or_default();
    let claim = inbox.claim(id);
    remove_all(&inbox.publish(id))?;
    let Ok(listed) = fs::read_dir(&claim) else { return Ok(remove_all(&inbox.work(id))?) };
    let text = format!(
        "The folder claim/{id} contains a film that is not in the ledger; its record may have been deleted.{}\nDrop the film again to \
         have it encoded.\n",
        known.as_ref().map(|film| format!("\nIt was dropped as {}.", shown(&film.path))).unwrap_or_default()
    );
    write_whole(&inbox.failed_reason(id), text.as_bytes())?;
    for entry in listed {
        let from = entry?.path();
        if from.file_name().is_some_and(kind::is_index) {
            continue;
        }
        let name = known.as_ref().filter(|film| from.file_name() == Some(film.source_name())).and_then(|film| film.path.file_name());
        let to = inbox.failed(id).join(name.or(from.file_name()).unwrap_or_default());
        ensure!(to.symlink_metadata().is_err(), "failed/{id} already has a film");
        rename(&from, &to)?;
    }
    remove_all(&inbox.work(id))?;
    Ok(remove_folder(&claim)?)
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// A folder with all that is in it, or whatever else is there.
fn remove_all(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => remove(path),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use jiff::Timestamp;

    use super::super::record::Stamp;
    use super::*;

    /// Copied from a medium that can't be written to: a folder that its owner may not write to can't be moved to another one.
    #[test]
    fn a_disc_that_is_read_only_is_claimed() {
        let root = tempfile::tempdir().expect("a folder");
        let inbox = Inbox { root: root.path().to_owned() };
        let disc = inbox.watch().join("Movies/Up/VIDEO_TS");
        fs::create_dir_all(&disc).expect("made");
        for folder in [&disc, disc.parent().expect("a folder")] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).expect("set");
        }
        let stamp = Stamp::of(&disc).expect("read");
        let film = Film::dropped("Movies/Up/VIDEO_TS".into(), "Movies".into(), stamp, Timestamp::UNIX_EPOCH);
        perform(&inbox, &Action::Claim(film.id.clone(), Vec::new()), Some(&film)).expect("claimed");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        let claimed = inbox.claim(&film.id).join("VIDEO_TS");
        assert_eq!((mode(&claimed), mode(&inbox.watch().join("Movies/Up"))), (0o755, 0o755));
        assert_eq!(Stamp::of(&claimed).expect("read"), stamp);
    }

    /// An inbox with these files in `watch/Movies`, and what makes a film of one of them.
    fn dropped(files: &[&str]) -> (tempfile::TempDir, Inbox, impl Fn(&str) -> Film) {
        let root = tempfile::tempdir().expect("a folder");
        let inbox = Inbox { root: root.path().to_owned() };
        for file in files {
            let file = inbox.watch().join("Movies").join(file);
            fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            fs::write(file, "text").expect("written");
        }
        let watch = inbox.watch();
        let film = move |path: &str| {
            let path = Path::new("Movies").join(path);
            let stamp = Stamp::of(&watch.join(&path)).expect("read");
            Film::dropped(path, "Movies".into(), stamp, Timestamp::UNIX_EPOCH)
        };
        (root, inbox, film)
    }

    /// All files below a folder, sorted.
    fn below(folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("listed").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            match path.is_dir() {
                true => found.extend(below(&path).into_iter().map(|file| format!("{name}/{file}"))),
                false => found.push(name),
            }
        }
        found.sort();
        found
    }

    #[test]
    fn a_film_takes_along_what_is_its_own() {
        let of = |files: &[&str], film: &str| {
            let (_root, inbox, of) = dropped(files);
            let film = of(film);
            perform(&inbox, &Action::Claim(film.id.clone(), Vec::new()), Some(&film)).expect("claimed");
            below(&inbox.beside(&film.id))
        };
        let two = ["Rocky.mkv", "Rocky.en.srt", "Rocky.II.mkv", "Rocky.II.en.srt", "Rocky.II.nfo", "poster.jpg"];
        assert_eq!(of(&two, "Rocky.mkv"), ["Rocky.en.srt"]);
        assert_eq!(of(&two, "Rocky.II.mkv"), ["Rocky.II.en.srt", "Rocky.II.nfo"]);
        let own = [
            "Up/Up.mkv",
            "Up/Subs/2_English.srt",
            "Up/Subs/.DS_Store",
            "Up/folder.jpg",
            "Up/English.srt",
            "Up/up.forced.srt",
            "Up/notes.txt",
        ];
        assert_eq!(of(&own, "Up/Up.mkv"), ["English.srt", "Subs/2_English.srt", "folder.jpg", "up.forced.srt"]);
        let (_root, inbox, of_last) = dropped(&["Two/Up.Extras.mkv", "Two/English.srt", "Two/Up.Extras.en.srt"]);
        let last = of_last("Two/Up.Extras.mkv");
        perform(&inbox, &Action::Claim(last.id.clone(), vec!["Up".to_owned()]), Some(&last)).expect("claimed");
        assert_eq!(below(&inbox.beside(&last.id)), ["Up.Extras.en.srt"], "another film of this folder was claimed before");
        let shared = ["Box/One.mkv", "Box/Two.mkv", "Box/Subs/One.en.srt", "Box/Subs/Two.en.srt", "Box/poster.jpg"];
        assert_eq!(of(&shared, "Box/One.mkv"), ["Subs/One.en.srt"]);
        let disc = ["Disc (1999)/VIDEO_TS/VIDEO_TS.IFO", "Disc (1999)/poster.jpg", "Disc (1999)/Disc (1999).nfo"];
        assert_eq!(of(&disc, "Disc (1999)/VIDEO_TS"), ["Disc (1999).nfo", "poster.jpg"]);
    }

    /// What indexers wrote keeps no folder, and never a film from its end.
    #[test]
    fn folders_with_an_index_alone_are_removed() {
        let (_root, inbox, of) = dropped(&["Up/Up.mkv", "Up/Thumbs.db", "Up/@eaDir/Up.mkv/SYNO@.fileindexdb", "Up/Subs/en.srt"]);
        let film = of("Up/Up.mkv");
        perform(&inbox, &Action::Claim(film.id.clone(), Vec::new()), Some(&film)).expect("claimed");
        fs::create_dir_all(inbox.claim(&film.id).join("@eaDir")).expect("made");
        fs::write(inbox.beside(&film.id).join(".DS_Store"), "index").expect("written");
        perform(&inbox, &Action::TrashOriginal(film.id.clone()), Some(&film)).expect("moved");
        let trash = trash::folder(&inbox, &film.id, 1, trash::Kind::Original);
        assert!(below(&trash).contains(&"Subs/en.srt".to_owned()), "{:?}", below(&trash));
        let old = std::time::SystemTime::now() - EMPTIED * 2;
        fs::File::open(inbox.watch().join("Movies/Up")).and_then(|folder| folder.set_modified(old)).expect("set");
        perform(&inbox, &Action::Tidy(film.id.clone()), Some(&film)).expect("tidied");
        assert!(!inbox.claim(&film.id).exists() && !inbox.watch().join("Movies/Up").exists() && inbox.watch().join("Movies").exists());
    }

    #[test]
    fn a_folder_called_like_a_file_of_a_mac_is_kept() {
        let (_root, inbox, _) = dropped(&["Up/._Up.mkv", "Up/._Films/Down.mkv"]);
        let folder = inbox.watch().join("Movies/Up");
        remove_folder(&folder).expect_err("it has a film");
        assert!(folder.join("._Films/Down.mkv").exists());
        fs::remove_dir_all(folder.join("._Films")).expect("removed");
        fs::write(folder.join("._Up.mkv"), "what a Mac knows of it").expect("written");
        remove_folder(&folder).expect("nothing else is there");
    }

    /// It was dropped into the disc's folder since that was seen.
    #[test]
    fn a_disc_is_not_claimed_with_another_film() {
        let (_root, inbox, of) = dropped(&["Up/VIDEO_TS.IFO", "Up/VTS_01_0.IFO", "Up/Bonus.mkv"]);
        let film = Film { flat: true, ..of("Up") };
        let error = perform(&inbox, &Action::Claim(film.id.clone(), Vec::new()), Some(&film)).expect_err("another film");
        assert!(error.to_string().contains("Bonus.mkv") && inbox.watch().join("Movies/Up/Bonus.mkv").exists(), "{error:#}");
    }

    #[test]
    fn what_an_encoder_left_is_removed_and_nothing_else() {
        let (_root, inbox, of) = dropped(&["Up.mkv"]);
        let (film, work) = (of("Up.mkv"), inbox.root.join("work"));
        let work = work.join(film.id.as_str());
        fs::create_dir_all(&work).expect("made");
        for name in ["one.part.mkv", "one.finished.part.mkv", "one.0.srt", "task.json", "one.mkv", "handbrake.log"] {
            fs::write(work.join(name), "x").expect("written");
        }
        perform(&inbox, &Action::Sweep(film.id.clone()), Some(&film)).expect("removed");
        assert_eq!(below(&work), ["handbrake.log", "one.mkv", "task.json"]);
    }
}
