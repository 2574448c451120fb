use super::super::content::{Content, PLACES, Sample};
use super::super::layout::MARKER;
use super::super::record::Stamp;
use super::*;
use hostler_core::digest::sha256;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

struct Shares {
    _folder: tempfile::TempDir,
    inbox: Inbox,
    library: Library,
}

impl Shares {
    fn new() -> Shares {
        let folder = tempfile::tempdir().expect("a folder");
        let (inbox, library) = (Inbox { root: folder.path().join("inbox") }, Library { root: folder.path().join("library") });
        for root in [&inbox.root, &library.root] {
            std::fs::create_dir(root).expect("made");
            std::fs::write(root.join(MARKER), "").expect("written");
        }
        inbox.prepare([&"Movies".to_owned()]).expect("made");
        Shares { _folder: folder, inbox, library }
    }

    /// A film that is encoded, its bytes being `content`.
    fn encoded(&self, path: &str, content: &str) -> FilmId {
        self.encoded_of(path, content, 100.0)
    }

    /// Films of the same length are the same film.
    fn encoded_of(&self, path: &str, content: &str, seconds: f64) -> FilmId {
        let stamp = Stamp { size: content.len() as u64, modified: 1 };
        let id = FilmId::new(Path::new(path), stamp.size, content.bytes().map(i128::from).sum());
        let film = Film {
            id: id.clone(),
            stamp,
            stage: Stage::Encoded,
            ..Film::dropped(path.into(), "Movies".to_owned(), stamp, Timestamp::UNIX_EPOCH)
        };
        write_json(&self.inbox.ledger(&id), &film).expect("written");
        let work = self.inbox.work(&id);
        std::fs::create_dir_all(&work).expect("made");
        std::fs::write(work.join("a.mkv"), content).expect("written");
        let samples = (0..PLACES.len()).map(|place| Sample::of(&[u8::try_from(place * 40).expect("a level"); 144], &[0; 800])).collect();
        let languages = vec!["eng".to_owned()];
        let content = Content { seconds, languages, samples };
        let film = Part {
            file: "a.mkv".to_owned(),
            size: stamp.size,
            sha256: None,
            duration: seconds,
            frames: 25,
            label: None,
            content: Some(content),
            measured: None,
        };
        let encoded = Encoded {
            film,
            more: Vec::new(),
            remarks: Vec::new(),
            original: false,
            source: stamp,
            machine: "rarity".to_owned(),
            took: 1.0,
            speed: None,
            at: Timestamp::UNIX_EPOCH,
        };
        write_json(&work.join(ENCODED), &encoded).expect("written");
        id
    }

    fn publish(&self, id: &FilmId) -> Result<Published> {
        let published = run(&self.inbox, &self.library, id, "one", 0, &Arc::default())?;
        let film: Film = read_json(&self.inbox.ledger(id))?.expect("there");
        record(&self.inbox, id, &Said::of(&film, &published), PUBLISHED)?;
        self.done(id, &published);
        Ok(published)
    }

    /// As the watcher records it.
    fn done(&self, id: &FilmId, published: &Published) {
        let film: Film = read_json(&self.inbox.ledger(id)).expect("read").expect("there");
        let stage = Stage::Done { published: published.clone(), machine: String::new(), took: 1.0 };
        write_json(&self.inbox.ledger(id), &Film { stage, ..film }).expect("written");
    }

    fn again(&self, id: &FilmId) {
        std::fs::remove_file(self.inbox.publish(id).join(PUBLISHED)).expect("removed");
        let film: Film = read_json(&self.inbox.ledger(id)).expect("read").expect("there");
        write_json(&self.inbox.ledger(id), &Film { stage: Stage::Encoded, ..film }).expect("written");
    }

    fn in_library(&self, path: &str) -> String {
        std::fs::read_to_string(self.library.root.join(path)).expect("a film")
    }

    /// Contents of all films in the trash.
    fn in_trash(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.inbox.trash()).expect("a folder");
        let films = entries.flat_map(|entry| std::fs::read_dir(entry.expect("listed").path()).expect("a folder"));
        let mut contents: Vec<String> = films.map(|film| std::fs::read_to_string(film.expect("listed").path()).expect("a film")).collect();
        contents.sort();
        contents
    }
}

fn encoded_in(work: &Path) -> Encoded {
    serde_json::from_slice(&std::fs::read(work.join(ENCODED)).expect("encoded")).expect("a record")
}

#[test]
fn what_changed_since_it_was_verified_is_not_published() {
    let shares = Shares::new();
    let id = shares.encoded("Movies/Up.mkv", "a film as");
    let work = shares.inbox.work(&id);
    let mut encoded = encoded_in(&work);
    encoded.film.sha256 = Some(sha256(b"a film as"));
    write_json(&work.join(ENCODED), &encoded).expect("written");
    std::fs::write(work.join("a.mkv"), "a film is").expect("written");
    let error = shares.publish(&id).expect_err("another film");
    assert!(format!("{error:#}").contains("changed since it was verified"), "{error:#}");
    assert_eq!(std::fs::read_dir(shares.library.root.join("Movies")).expect("listed").count(), 0);
    std::fs::write(work.join("a.mkv"), "a film as").expect("written");
    shares.publish(&id).expect("published");
}

/// A publisher may be killed at any moment, and another one may run beside it: what has a name that people and media servers see is whole
/// from its first moment to its last.
#[test]
fn nothing_but_a_whole_film_ever_has_a_visible_name() {
    let shares = Shares::new();
    let movies = shares.library.root.join("Movies");
    std::fs::create_dir(&movies).expect("made");
    let watch = Inotify::init(InitFlags::IN_NONBLOCK).expect("inotify");
    let changes = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_TO;
    watch.add_watch(&movies, changes).expect("watched");
    let id = shares.encoded("Movies/Up.mkv", "a film as");
    shares.publish(&id).expect("published");
    // The same again, a better one of it, and one whose name no file system takes.
    shares.again(&id);
    shares.publish(&id).expect("published");
    let better = shares.encoded("Movies/Up.mkv", "a better film as");
    shares.publish(&better).expect("published");
    let long = shares.encoded_of(&format!("Movies/{}.mkv", "x".repeat(251)), "another film", 50.0);
    shares.publish(&long).expect("published");
    let mut appeared = Vec::new();
    while let Ok(events) = watch.read_events() {
        for event in events {
            let name = event.name.unwrap_or_default().to_string_lossy().into_owned();
            if !name.starts_with('.') {
                assert_eq!(event.mask, AddWatchFlags::IN_MOVED_TO, "{name}");
                appeared.push(name);
            }
        }
    }
    assert_eq!(appeared.len(), 4, "{appeared:?}");
    let left: Vec<_> = std::fs::read_dir(&movies).expect("listed").map(|entry| entry.expect("listed").file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

/// Whatever an encoder says its film is, and whatever it puts in its place: nothing but a file of its own work folder is published.
#[test]
fn no_other_file_of_the_publisher_is_published() {
    let published = |file: &str, place: fn(&Path, &Path)| {
        let shares = Shares::new();
        let secret = shares.library.root.parent().expect("a folder").join("token");
        std::fs::write(&secret, "a secret").expect("written");
        let id = shares.encoded("Movies/Up.mkv", "a film as");
        let work = shares.inbox.work(&id);
        let mut encoded = encoded_in(&work);
        encoded.film.file = file.replace("SECRET", &secret.display().to_string());
        write_json(&work.join(ENCODED), &encoded).expect("written");
        place(&work, &secret);
        let error = shares.publish(&id).expect_err(file);
        assert!(!shares.library.root.join("Movies/Up.mkv").exists(), "{file}: {error:#}");
    };
    for file in ["SECRET", "../../token", "../a.mkv", "./a.mkv", "a.mkv/", "", ".", "..", "x/a.mkv"] {
        published(file, |_, _| {});
    }
    published("b.mkv", |work, secret| std::os::unix::fs::symlink(secret, work.join("b.mkv")).expect("a link"));
    published("b.mkv", |work, _| std::fs::create_dir(work.join("b.mkv")).expect("a folder"));
    published("b.mkv", |work, _| {
        nix::unistd::mkfifo(&work.join("b.mkv"), nix::sys::stat::Mode::from_bits_truncate(0o600)).expect("a pipe");
    });
    // The folder itself is a link to where a file of that name is.
    published("token", |work, secret| {
        let elsewhere = secret.parent().expect("a folder");
        std::fs::copy(work.join(ENCODED), elsewhere.join(ENCODED)).expect("copied");
        std::fs::remove_dir_all(work).expect("removed");
        std::os::unix::fs::symlink(elsewhere, work).expect("a link");
    });
}

#[test]
fn only_the_film_is_published() {
    let shares = Shares::new();
    let id = shares.encoded("Movies/Up (2009)/Up.iso", "film");
    let published = shares.publish(&id).expect("published");
    assert!(!published.film.replaced);
    assert_eq!(shares.in_library("Movies/Up (2009)/Up.mkv"), "film");
    assert_eq!(std::fs::read_dir(shares.library.root.join("Movies/Up (2009)")).expect("a folder").count(), 1);
    assert_eq!(shares.publish(&id).expect("again"), published, "a second pod changes nothing");
}

#[test]
fn an_earlier_version_is_replaced_and_kept_in_the_trash() {
    let shares = Shares::new();
    shares.publish(&shares.encoded("Movies/Up.mkv", "old")).expect("published");
    let newer = shares.encoded("Movies/Up.mkv", "newer");
    assert!(shares.publish(&newer).expect("published").film.replaced);
    assert_eq!(shares.in_library("Movies/Up.mkv"), "newer");
    assert_eq!(shares.in_trash(), ["old"]);
    // Killed after the rename: the next pod finds its own film in place, and does not trash it.
    shares.again(&newer);
    assert!(!shares.publish(&newer).expect("published").film.replaced);
    assert_eq!(shares.in_trash(), ["old"]);
}

/// A name says little: cameras and discs give the same one again and again.
#[test]
fn another_film_of_that_name_stays() {
    let shares = Shares::new();
    let first = shares.encoded_of("Movies/IMG_0001.mp4", "one", 8.0);
    shares.publish(&first).expect("published");
    let second = shares.encoded_of("Movies/IMG_0001.mov", "second", 5.0);
    let published = shares.publish(&second).expect("published");
    assert!(published.remarks[0].contains("is a different film"), "{published:?}");
    shares.again(&second);
    assert_eq!(shares.publish(&second).expect("again").film, published.film, "it finds itself");
    std::fs::write(shares.library.root.join("Movies/Up.mkv"), "its owner's").expect("written");
    shares.publish(&shares.encoded_of("Movies/Up.mkv", "up", 9.0)).expect("published");
    let films = ["IMG_0001.mkv", "IMG_0001 (2).mkv", "Up.mkv", "Up (2).mkv"].map(|name| shares.in_library(&format!("Movies/{name}")));
    assert_eq!(films, ["one", "second", "its owner's", "up"]);
    assert_eq!(shares.in_trash(), [""; 0]);
    // What was begun anew replaces what was made of it before, whatever that was.
    let film: Film = read_json(&shares.inbox.ledger(&second)).expect("read").expect("there");
    let longer = shares.encoded_of("Movies/IMG_0001.mov", "a longer one", 7.0);
    let anew: Film = read_json(&shares.inbox.ledger(&longer)).expect("read").expect("there");
    write_json(&shares.inbox.ledger(&longer), &Film { earlier: film.published().cloned(), ..anew }).expect("written");
    assert_eq!(shares.publish(&longer).expect("published").film.path, Path::new("Movies/IMG_0001 (2).mkv"));
    assert_eq!((shares.in_library("Movies/IMG_0001.mkv"), shares.in_trash()), ("one".into(), vec!["second".to_owned()]));
}

/// It is a fault of the disk, which is waited for, and the library is as it was.
#[test]
fn room_is_left_in_the_library() {
    let shares = Shares::new();
    let id = shares.encoded("Movies/Up.mkv", "film");
    let (_, all) = layout::space(&shares.library.root).expect("a disk");
    let mut encoded = encoded_in(&shares.inbox.work(&id));
    encoded.film.size = all;
    write_json(&shares.inbox.work(&id).join(ENCODED), &encoded).expect("written");
    let error = run(&shares.inbox, &shares.library, &id, "one", u64::MAX, &Arc::default()).expect_err("no room");
    assert!(error.to_string().contains("the library has too little space"), "{error:#}");
    assert!(error.downcast_ref::<super::super::name::Unfit>().is_none());
    assert_eq!(std::fs::read_dir(shares.library.root.join("Movies")).expect("listed").count(), 0);
}

/// The watcher's word for another attempt, or for an earlier round, is none for this one.
#[test]
fn what_may_be_played_is_replaced_only_with_the_watchers_word() {
    let shares = Shares::new();
    let id = shares.encoded("Movies/Up.mkv", "first");
    let first = shares.publish(&id).expect("published");
    shares.again(&id);
    let film: Film = read_json(&shares.inbox.ledger(&id)).expect("read").expect("there");
    let film = Film { original: Original::Published, earlier: Some(Published { original: true, ..first }), round: 2, ..film };
    write_json(&shares.inbox.ledger(&id), &film).expect("written");
    std::fs::write(shares.inbox.work(&id).join("a.mkv"), "again").expect("written");
    record(&shares.inbox, &id, &Said::of(&film, "another"), GO).expect("written");
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| run(&shares.inbox, &shares.library, &id, "one", 0, &Arc::default()));
        let copied = || said::<String>(&shares.inbox, &film, READY).expect("read");
        while copied().is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!((copied().as_deref(), shares.in_library("Movies/Up.mkv").as_str()), (Some("one"), "first"));
        record(&shares.inbox, &id, &Said::of(&film, "one"), GO).expect("written");
        publisher.join().expect("no panic").expect("published");
    });
    assert_eq!((shares.in_library("Movies/Up.mkv").as_str(), shares.in_trash()), ("again", vec!["first".to_owned()]));
}

#[test]
fn subtitles_get_the_films_name_and_keep_their_folder() {
    let shares = Shares::new();
    let id = shares.encoded("Movies/Up (2009)/Up.mkv", "up");
    let subs = shares.inbox.beside(&id).join("Subs");
    std::fs::create_dir_all(&subs).expect("made");
    std::fs::write(subs.join("2_English.srt"), "two").expect("written");
    for (name, text) in [("English.srt", "one"), ("movie.nfo", "about"), (".DS_Store", "index")] {
        std::fs::write(shares.inbox.beside(&id).join(name), text).expect("written");
    }
    assert_eq!(shares.publish(&id).expect("published").remarks, [""; 0]);
    let names = |folder: &str| {
        let listed = std::fs::read_dir(shares.library.root.join(folder)).expect("a folder");
        let mut names: Vec<_> = listed.map(|entry| entry.expect("listed").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    };
    assert_eq!(names("Movies/Up (2009)"), ["Subs", "Up.English.srt", "Up.mkv", "movie.nfo"]);
    assert_eq!(names("Movies/Up (2009)/Subs"), ["2_English.srt"]);
}

/// One has the film's name, and the other gets it.
#[test]
fn two_subtitles_of_one_name_both_go_along() {
    let shares = Shares::new();
    let id = shares.encoded("Movies/Up.mkv", "a film");
    std::fs::create_dir_all(shares.inbox.beside(&id)).expect("made");
    for name in ["English.srt", "Up.English.srt"] {
        std::fs::write(shares.inbox.beside(&id).join(name), name).expect("written");
    }
    let published = shares.publish(&id).expect("published");
    assert_eq!(published.remarks, [""; 0]);
    assert_eq!(shares.in_library("Movies/Up.English.srt"), "Up.English.srt");
    assert_eq!(shares.in_library("Movies/Up.English.2.srt"), "English.srt");
}

/// They are a part of the disc's folder, which is moved as a whole.
#[test]
fn what_lies_among_the_files_of_a_disc_goes_along() {
    let shares = Shares::new();
    let id = shares.encoded("Movies/Up (2009)", "a film");
    let film: Film = read_json(&shares.inbox.ledger(&id)).expect("read").expect("there");
    write_json(&shares.inbox.ledger(&id), &Film { flat: true, ..film }).expect("written");
    let disc = shares.inbox.claim(&id).join("VIDEO_TS");
    std::fs::create_dir_all(disc.join("Subs")).expect("made");
    for name in ["VIDEO_TS.IFO", "VTS_01_1.VOB", "poster.jpg", "Up (2009).nfo", "English.srt", "Subs/2_German.srt", "notes.txt"] {
        std::fs::write(disc.join(name), name).expect("written");
    }
    shares.publish(&id).expect("published");
    let listed = std::fs::read_dir(shares.library.root.join("Movies")).expect("a folder");
    let mut names: Vec<_> = listed.map(|entry| entry.expect("listed").file_name().into_string().expect("text")).collect();
    names.sort();
    let wanted = ["-poster.jpg", ".2_German.srt", ".English.srt", ".mkv", ".nfo"].map(|end| format!("Up (2009){end}"));
    assert_eq!(names, wanted, "other films are in the same folder");
    assert!(disc.join("poster.jpg").exists(), "the original stays as it was");
}

/// Subtitles that someone corrected in the library are their work.
#[test]
fn what_lies_beside_a_film_is_kept_in_the_trash_when_it_is_replaced() {
    let shares = Shares::new();
    let id = shares.encoded("Movies/Up.mkv", "up");
    let beside = shares.inbox.beside(&id);
    std::fs::create_dir_all(&beside).expect("made");
    std::fs::write(beside.join("Up.en.srt"), "subtitles").expect("written");
    shares.publish(&id).expect("published");
    let corrected = shares.library.root.join("Movies/Up.en.srt");
    std::fs::write(&corrected, "corrected").expect("written");
    let film: Film = read_json(&shares.inbox.ledger(&id)).expect("read").expect("there");
    shares.again(&id);
    let redone = Film { earlier: film.published().cloned(), stage: Stage::Encoded, round: 2, ..film };
    write_json(&shares.inbox.ledger(&id), &redone).expect("written");
    let run = || run(&shares.inbox, &shares.library, &id, "one", 0, &Arc::default());
    // Killed after the rename: the next publisher keeps nothing else.
    for _ in 0..2 {
        run().expect("published");
        assert_eq!(shares.in_library("Movies/Up.en.srt"), "subtitles");
        assert_eq!(shares.in_trash(), ["corrected"]);
    }
    // A folder of that name stays where it is.
    std::fs::remove_file(&corrected).expect("removed");
    std::fs::create_dir(&corrected).expect("made");
    assert!(run().expect("published").remarks[0].contains("was not replaced"));
    assert!(corrected.is_dir());
}

/// It stays with the original.
#[test]
fn what_lies_beside_a_film_and_can_not_be_copied_keeps_it_from_nothing() {
    let shares = Shares::new();
    let stem = "x".repeat(250);
    let id = shares.encoded(&format!("Movies/{stem}.mkv"), "up");
    let beside = shares.inbox.beside(&id);
    std::fs::create_dir_all(&beside).expect("made");
    std::os::unix::fs::symlink("/nowhere", beside.join("poster.jpg")).expect("a link");
    std::fs::write(beside.join("folder.jpg"), "picture").expect("written");
    let published = shares.publish(&id).expect("published");
    assert!(published.remarks.iter().any(|remark| remark.contains("poster.jpg")), "{published:?}");
    assert_eq!(shares.in_library("Movies/folder.jpg"), "picture");
    let names = || std::fs::read_dir(shares.library.root.join("Movies")).expect("a folder").map(|entry| entry.expect("listed").file_name());
    assert!(names().all(|name| !name.to_string_lossy().starts_with('.')), "nothing is left");
    assert!(beside.join("poster.jpg").is_symlink());
}

#[test]
fn each_title_of_a_disc_gets_a_name() {
    let shares = Shares::new();
    let id = shares.encoded("Series/Disc.iso", "episode one");
    let work = shares.inbox.work(&id);
    let mut encoded = encoded_in(&work);
    std::fs::write(work.join("b.mkv"), "two").expect("written");
    let second = Part { file: "b.mkv".to_owned(), size: 3, label: Some("title 02".to_owned()), ..encoded.film.clone() };
    encoded.film.label = Some("title 01".to_owned());
    encoded.more = vec![second];
    write_json(&work.join(ENCODED), &encoded).expect("written");
    assert_eq!(shares.publish(&id).expect("published").size(), 14);
    let films = ["01", "02"].map(|number| shares.in_library(&format!("Series/Disc - title {number}.mkv")));
    assert_eq!(films, ["episode one", "two"]);
}

#[test]
fn the_same_name_in_two_folders_stays_two_films() {
    let shares = Shares::new();
    for (path, content) in [("Movies/a/trailer.mkv", "one"), ("Movies/b/trailer.mkv", "two")] {
        shares.publish(&shares.encoded(path, content)).expect("published");
    }
    assert_eq!((shares.in_library("Movies/a/trailer.mkv"), shares.in_library("Movies/b/trailer.mkv")), ("one".into(), "two".into()));
    assert_eq!(shares.in_trash(), [""; 0]);
}

#[test]
fn a_disconnected_attempt_disturbs_no_other() {
    let shares = Shares::new();
    let id = shares.encoded("Movies/Up.mkv", "film");
    let folder = shares.library.root.join("Movies");
    std::fs::create_dir(&folder).expect("made");
    // Killed or disconnected in the middle of its copy.
    let part = folder.join(format!(".hostler-{id}.other.part"));
    std::fs::write(&part, "fi").expect("written");
    let mut disconnected = File::options().append(true).open(&part).expect("there");
    shares.publish(&id).expect("published");
    disconnected.write_all(b"xx").expect("it does not know");
    assert_eq!(shares.in_library("Movies/Up.mkv"), "film");
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 1);
    // It comes back, and the film is done.
    shares.again(&id);
    let ledger = shares.inbox.ledger(&id);
    let film: Film = read_json(&ledger).expect("readable").expect("there");
    write_json(&ledger, &Film { stage: Stage::Claimed, round: 2, ..film }).expect("written");
    assert!(shares.publish(&id).expect_err("too late").to_string().contains("another attempt"));
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 1);
}

#[test]
fn a_library_that_is_not_mounted_gets_nothing() {
    let shares = Shares::new();
    let id = shares.encoded("Movies/Up.mkv", "film");
    std::fs::remove_file(shares.library.root.join(MARKER)).expect("removed");
    assert!(shares.publish(&id).expect_err("no marker").to_string().contains("is not mounted"));
    assert!(!shares.library.root.join("Movies").exists());
}

#[test]
fn a_short_file_is_not_published() {
    let shares = Shares::new();
    let id = shares.encoded("Movies/Up.mkv", "film");
    std::fs::write(shares.inbox.work(&id).join("a.mkv"), "fi").expect("written");
    assert!(format!("{:#}", shares.publish(&id).expect_err("short")).contains("only 2 of 4 bytes were copied"));
    assert_eq!(std::fs::read_dir(shares.library.root.join("Movies")).expect("a folder").count(), 0);
}
