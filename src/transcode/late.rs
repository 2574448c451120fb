//! What belongs to a film and came after that was claimed: subtitles are downloaded for minutes, and a copier takes one file after the other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::film::FilmId;
use super::kind::{self, Beside};
use super::layout::Inbox;
use super::ledger::{Film, Stage};
use super::reconcile::Dropped;
use super::record::Stamp;
use super::walk::Watched;

const TOO_LATE: &str = "its film was published before this file came: copy it into the library, or drop the film again with it";

const OF_DISC: &str = "its disc was claimed before this file came: copy it into the library under the film's name";

const ALREADY_THERE: &str = "its film already has a file of this name: give this one another name";

/// What came late.
#[derive(Debug, Default)]
pub struct Late {
    /// Of films that are no longer in `watch/`, and can still take it along.
    pub files: Vec<(FilmId, Dropped)>,
    /// What can't go along, and why.
    pub too_late: Vec<(PathBuf, String)>,
}

/// What came after its film was claimed. What a film that is still in `watch/` takes along is left to it.
pub fn late(inbox: &Inbox, films: &BTreeMap<FilmId, Film>, watched: &Watched) -> Late {
    let mut late = Late::default();
    for path in &watched.beside {
        let Some(film) = film_of(path, films, watched) else { continue };
        if film.flat && path.starts_with(&film.path) {
            late.too_late.push((path.clone(), OF_DISC.to_owned()));
        } else if film.ended() || matches!(film.stage, Stage::Published { .. }) {
            late.too_late.push((path.clone(), TOO_LATE.to_owned()));
        } else if inbox.beside(&film.id).join(place(path)).symlink_metadata().is_ok() {
            late.too_late.push((path.clone(), ALREADY_THERE.to_owned()));
        } else if let Ok(stamp) = Stamp::of(&inbox.watch().join(path)) {
            let drop = Dropped { path: path.clone(), folder: film.folder.clone(), stamp, flat: false, lacks: None };
            late.files.push((film.id.clone(), drop));
        }
    }
    late
}

/// Where a file goes among what belongs to its film: a folder of subtitles stays one.
pub fn place(path: &Path) -> PathBuf {
    let folder = path.parent().and_then(Path::file_name).filter(|folder| kind::is_of_texts(folder)).unwrap_or_default();
    Path::new(folder).join(path.file_name().unwrap_or_default())
}

/// The film that a file belongs to, if that is not in `watch/` any more.
fn film_of<'a>(path: &Path, films: &'a BTreeMap<FilmId, Film>, watched: &Watched) -> Option<&'a Film> {
    let dropped = &watched.dropped;
    let (folder, name) = (path.parent()?, path.file_name()?);
    let of_texts = folder.file_name().is_some_and(kind::is_of_texts);
    let folder = if of_texts { folder.parent()? } else { folder };
    let as_film = |drop: &Dropped| Film {
        flat: drop.flat,
        ..Film::dropped(drop.path.clone(), drop.folder.clone(), drop.stamp, Timestamp::UNIX_EPOCH)
    };
    let there: Vec<String> = dropped.iter().filter(|drop| drop.path.parent() == Some(folder)).map(|drop| as_film(drop).stem()).collect();
    let coming = watched.misplaced.iter().map(|(path, _)| path).filter(|path| path.parent() == Some(folder) && kind::is_coming(path));
    let coming = coming.map(|path| path.with_extension("").file_stem().unwrap_or_default().to_string_lossy().into_owned());
    let is_failed = |film: &Film| matches!(film.stage, Stage::Failing { .. } | Stage::Failed { .. });
    let (failed, known): (Vec<&Film>, Vec<&Film>) =
        films.values().filter(|film| film.path.parent() == Some(folder)).partition(|film| is_failed(film));
    // What belongs to these stays for them: one may be tried again, the other is on its way.
    let of_others: Vec<String> = failed.iter().map(|film| film.stem()).chain(coming).collect();
    let disc = films.values().find(|film| film.flat && film.path == folder && !is_failed(film));
    let has = |stem: &String| {
        let known = known.iter().copied().chain(disc).map(Film::stem);
        let stems = known.chain(there.iter().chain(&of_others).cloned());
        let others: Vec<String> = stems.filter(|other| other != stem).collect();
        let beside = Beside { film: stem, others: &others, alone: others.is_empty() && folder.components().count() > 1 };
        if of_texts { beside.has_text(name) } else { beside.has(name) }
    };
    if there.iter().any(has) {
        return None;
    }
    // Of several with that name, the one that can still take it.
    let mut found: Vec<&Film> = known.iter().copied().filter(|film| has(&film.stem())).collect();
    found.sort_by_key(|film| film.ended());
    if found.is_empty() && !of_others.iter().any(has) {
        return disc;
    }
    found.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_comes_late_belongs_to_the_film_of_its_name() {
        let root = tempfile::tempdir().expect("a folder");
        let inbox = Inbox { root: root.path().to_owned() };
        let stamp = Stamp { size: 1, modified: 1 };
        let film = |path: &str| Film::dropped(path.into(), "Movies".into(), stamp, Timestamp::UNIX_EPOCH);
        let failed = Film { stage: Stage::Failed { reason: String::new(), at: Timestamp::UNIX_EPOCH }, ..film("Movies/Bad.mkv") };
        let failed_in = |path: &str| Film { stage: failed.stage.clone(), ..film(path) };
        let known = [
            film("Movies/Rocky.mkv"),
            film("Movies/Rocky.II.mkv"),
            film("Movies/Up (2009)/Up.mkv"),
            film("Movies/D/VIDEO_TS"),
            film("Movies/Half/One.mkv"),
            failed_in("Movies/Half/Two.mkv"),
            Film { flat: true, ..film("Movies/Flat") },
            film("Movies/Flat/Up.mkv"),
            failed.clone(),
        ];
        let films: BTreeMap<FilmId, Film> = known.into_iter().map(|film| (film.id.clone(), film)).collect();
        let of = |path: &str, dropped: &[&str]| {
            let file = inbox.watch().join(path);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            std::fs::write(&file, "text").expect("written");
            let drop = |path: &&str| Dropped { path: path.into(), folder: "Movies".into(), stamp, flat: false, lacks: None };
            let watched = Watched { dropped: dropped.iter().map(drop).collect(), beside: vec![path.into()], ..Watched::default() };
            let late = late(&inbox, &films, &watched);
            assert!(late.too_late.is_empty());
            late.files.first().map(|(id, _)| films[id].path.display().to_string()).unwrap_or_default()
        };
        for (path, wanted) in [
            ("Movies/Rocky.en.srt", "Movies/Rocky.mkv"),
            ("Movies/Flat/Up.en.srt", "Movies/Flat/Up.mkv"),
            ("Movies/Rocky.II.en.srt", "Movies/Rocky.II.mkv"),
            ("Movies/Up (2009)/poster.jpg", "Movies/Up (2009)/Up.mkv"),
            ("Movies/Up (2009)/Subs/2_English.srt", "Movies/Up (2009)/Up.mkv"),
            ("Movies/D/folder.jpg", "Movies/D/VIDEO_TS"),
            ("Movies/Bad.srt", ""),
            ("Movies/poster.jpg", ""),
            ("Movies/Other.srt", ""),
            ("Movies/Half/poster.jpg", ""),
        ] {
            assert_eq!(of(path, &[]), wanted, "{path}");
        }
        assert_eq!(of("Movies/Rocky.III.srt", &["Movies/Rocky.III.mkv"]), "", "its film takes it along");
        assert_eq!(of("Movies/Up (2009)/poster.jpg", &["Movies/Up (2009)/Extra.mkv"]), "", "the folder has two films");
        // One that is still being downloaded, and one that failed, have their own.
        let coming = |path: &str| {
            std::fs::write(inbox.watch().join(path), "text").expect("written");
            let misplaced = vec![("Movies/Up (2009)/Extra.mkv.part".into(), String::new())];
            let watched = Watched { misplaced, beside: vec![path.into()], ..Watched::default() };
            late(&inbox, &films, &watched).files.len()
        };
        assert_eq!((coming("Movies/Up (2009)/poster.jpg"), coming("Movies/Up (2009)/Up.en.srt")), (0, 1));
        let disc = Watched { beside: vec!["Movies/Flat/poster.jpg".into()], ..Watched::default() };
        let late_of_disc = late(&inbox, &films, &disc);
        assert!(late_of_disc.files.is_empty() && late_of_disc.too_late[0].1 == OF_DISC, "{late_of_disc:?}");
        // Another file of this name went along before.
        let rocky = films.values().find(|film| film.path == Path::new("Movies/Rocky.mkv")).expect("it is known");
        std::fs::create_dir_all(inbox.beside(&rocky.id)).expect("made");
        std::fs::write(inbox.beside(&rocky.id).join("Rocky.en.srt"), "the first").expect("written");
        let watched = Watched { beside: vec!["Movies/Rocky.en.srt".into()], ..Watched::default() };
        let late = late(&inbox, &films, &watched);
        assert!(late.files.is_empty() && late.too_late[0].1 == ALREADY_THERE, "{late:?}");
    }
}
