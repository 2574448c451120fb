//! An encoder that was taken over by a film: whatever it writes to the one folder that its pod may write to, it is believed for its own film alone.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::films::Made;
use super::page::ask_with;
use super::shares::Shares;

const SETTINGS: &str = r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null, "attempts": 1}"#;
const AT: &str = "2026-11-23T21:00:00Z";

/// A claimed film whose encoder may write what it likes.
struct TakenOver {
    shares: Shares,
    id: String,
}

impl TakenOver {
    fn new() -> TakenOver {
        let shares = Shares::new(SETTINGS);
        let id = shares.claimed(Made::Short.bytes());
        shares.prepare(&id);
        TakenOver { shares, id }
    }

    fn work(&self, name: &str) -> PathBuf {
        self.shares.inbox("work").join(&self.id).join(name)
    }

    fn write(&self, name: &str, record: &Value) {
        fs::write(self.work(name), record.to_string()).expect("written");
    }

    /// A film that is encoded, as far as its encoder says.
    fn encoded(&self) -> Value {
        let original = fs::metadata(self.shares.inbox("claim").join(&self.id).join("source")).expect("claimed");
        let modified = i128::from(original.mtime()) * 1_000_000_000 + i128::from(original.mtime_nsec());
        let modified: Value = serde_json::from_str(&modified.to_string()).expect("a number");
        let film = Made::Short.bytes();
        fs::write(self.work("a.mkv"), &film).expect("written");
        json!({"file": "a.mkv", "size": film.len(), "duration": 1.0, "frames": 25, "source": {"size": original.len(), "modified": modified},
            "machine": "rarity", "took": 1.0, "at": AT})
    }

    fn resume(&self) {
        fs::remove_file(self.shares.inbox("paused")).expect("it is paused");
    }

    fn record(&self) -> PathBuf {
        self.shares.inbox("ledger").join(format!("{}.json", self.id))
    }

    /// Drops another film, which nothing may keep from the library.
    fn another_film_comes_out(&self) {
        self.shares.drop("Movies/Another.mkv", Made::Short.bytes());
        self.shares.wait("another film in the library", || self.shares.in_library("Movies/Another.mkv").exists());
    }
}

fn failure(reason: &str) -> Value {
    json!({"who": "x", "permanent": true, "reason": reason, "at": AT})
}

#[test]
fn an_encoder_can_not_say_that_its_film_is_in_the_library() {
    for (path, original) in [("Movies/Never.mkv", false), ("/etc/hostname", false), ("../../x.mkv", false), ("Movies/Never.mkv", true)] {
        let film = TakenOver::new();
        film.write("encoded.json", &film.encoded());
        let published = json!({"path": path, "size": 1, "sha256": "00", "replaced": false, "original": original, "at": AT});
        film.write("published.json", &published);
        film.resume();
        let watcher = film.shares.watch();
        film.shares.wait("its end", || film.shares.is_idle());
        drop(watcher);
        assert_eq!(film.shares.films_in_library(), ["Movies/Up.mkv"], "{path}: its original is in the trash");
        let record = fs::read_to_string(film.record()).expect("a record");
        assert!(!record.contains("Never") && !record.contains("hostname") && !record.contains("../x"), "{record}");
    }
}

#[test]
fn an_encoder_chooses_no_place_in_the_library_or_elsewhere() {
    let long = "x".repeat(300);
    for label in ["x/../../loop", "../loop", "/loop", "loop", &long, "title 1/../../loop"] {
        let film = TakenOver::new();
        let mut encoded = film.encoded();
        encoded["label"] = json!(label);
        film.write("encoded.json", &encoded);
        film.resume();
        let watcher = film.shares.watch();
        film.shares.wait("its end", || film.shares.is_idle() && (film.shares.reasons().len() + film.shares.in_trash().len() > 0));
        film.another_film_comes_out();
        drop(watcher);
        let films = film.shares.films_in_library();
        assert!(films.iter().all(|film| ["Movies/Up.mkv", "Movies/Another.mkv"].contains(&film.as_str())), "{label}: {films:?}");
        assert!(film.shares.reasons().iter().all(|reason| reason.contains("what the encoder wrote can't be used")), "{label}");
    }
}

#[test]
fn no_text_of_an_encoder_is_longer_than_a_message() {
    let long = "x".repeat(9 << 20);
    let film = TakenOver::new();
    let mut failed = failure(&long[..300_000]);
    failed["tail"] = json!(vec![&long[..1000]; 300]);
    film.write("failure.json", &failed);
    film.write(
        "progress.json",
        &json!({"who": "x", "machine": &long[..500_000], "phase": "encoding", "done": 1e300, "rate": -1e300,
        "eta_seconds": u64::MAX, "note": &long[..400_000], "began": AT, "at": AT}),
    );
    // Else it is shown as one that waits.
    fs::remove_file(film.shares.inbox("status.json")).expect("removed");
    let (_page, address) = film.shares.page();
    let status = || ask_with(&address, "GET /api/status", "", "").1;
    film.shares.wait("the film on the page", || status().contains(&film.id));
    assert!(status().len() < 20_000, "{}", status().len());
    film.resume();
    let watcher = film.shares.watch();
    film.shares.wait("its end", || film.shares.reasons().len() == 1 && film.shares.is_idle());
    drop(watcher);
    let length = fs::metadata(film.record()).expect("a record").len();
    assert!(length < 10_000, "{length}");
    assert!(film.shares.reasons()[0].len() < 30_000);
    assert!(status().len() < 20_000);

    // What is longer than any record is none.
    let film = TakenOver::new();
    film.write("failure.json", &failure(&long));
    film.resume();
    let watcher = film.shares.watch();
    film.shares.wait("its end", || film.shares.reasons().len() == 1 && film.shares.is_idle());
    film.another_film_comes_out();
    drop(watcher);
    assert!(film.shares.reasons()[0].len() < 10_000);
}

/// Whatever an encoder leaves in the place of a record, its own film fails for it, or is encoded again; others go on.
#[test]
fn what_an_encoder_leaves_keeps_no_other_film_waiting() {
    type Leave = fn(&Path);
    let places: [(&str, Leave); 5] = [
        ("text", |path| fs::write(path, "not a record").expect("written")),
        ("a folder", |path| fs::create_dir_all(path.join("x")).expect("made")),
        ("a link to itself", |path| symlink(path, path).expect("linked")),
        ("a link", |path| symlink("../../ledger", path).expect("linked")),
        ("a pipe", |path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).expect("made")),
    ];
    let shares = Shares::new(SETTINGS);
    fs::write(shares.inbox("paused"), "").expect("written");
    let names = ["encoded.json", "failure.json", "split.json"];
    for number in 0..names.len() * places.len() {
        shares.drop(&format!("Movies/{number}.mkv"), Made::Short.bytes());
    }
    let claimed = || fs::read_dir(shares.inbox("claim")).into_iter().flatten().map(|entry| entry.expect("listed").file_name());
    let watcher = shares.watch();
    shares.wait("their claim", || claimed().count() == names.len() * places.len());
    drop(watcher);
    for (number, id) in claimed().enumerate() {
        let id = id.into_string().expect("an id");
        shares.prepare(&id);
        let (what, place) = places[number / names.len()];
        println!("{id}: {}: {what}", names[number % names.len()]);
        place(&shares.inbox("work").join(&id).join(names[number % names.len()]));
    }
    fs::remove_file(shares.inbox("paused")).expect("it is paused");
    let watcher = shares.watch();
    shares.wait("their end", || shares.is_idle() && shares.left_over().is_empty());
    shares.drop("Movies/Another.mkv", Made::Short.bytes());
    shares.wait("another film in the library", || shares.in_library("Movies/Another.mkv").exists());
    drop(watcher);
    let wrong = "what the encoder wrote can't be used";
    assert!(shares.reasons().iter().all(|reason| reason.contains(wrong)), "{:?}", shares.reasons());
    for file in ["x".repeat(300), "a\u{0}b".to_owned(), "../a.mkv".to_owned()] {
        let film = TakenOver::new();
        let mut encoded = film.encoded();
        encoded["file"] = json!(file);
        film.write("encoded.json", &encoded);
        film.resume();
        let watcher = film.shares.watch();
        film.another_film_comes_out();
        film.shares.wait("the film's end", || film.shares.is_idle());
        drop(watcher);
    }
}

/// It may be damaged by anything: its film is left alone, and named.
#[test]
fn a_record_that_can_not_be_read_keeps_no_other_film_waiting() {
    let film = TakenOver::new();
    fs::write(film.record(), "not a record").expect("written");
    film.resume();
    let (_page, address) = film.shares.page();
    let watcher = film.shares.watch();
    film.another_film_comes_out();
    let told = format!("ledger/{}.json can't be read", film.id);
    film.shares.wait("the record on the page", || ask_with(&address, "GET /api/status", "", "").1.contains(&told));
    assert_eq!(fs::read_to_string(film.record()).expect("a record"), "not a record");
    assert!(film.shares.inbox("claim").join(&film.id).join("source").exists(), "its film is where it was");
    // As the page says.
    fs::remove_file(film.record()).expect("removed");
    film.shares.wait("its film in failed/", || film.shares.left_over().iter().all(|path| !path.contains(&film.id)));
    drop(watcher);
    assert_eq!(film.shares.reasons().len(), 1);
}
