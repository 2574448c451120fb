//! Films whose originals are published before they are encoded.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::corpus::made;
use super::films::{Made, disc, probe};
use super::page::ask_with;
use super::shares::Shares;
use super::stand_in::StandIn;

/// While it is played, as the media server says, it stays as it is, also if someone begins to play it while the encoded film is copied; then that
/// is in its place. What is cut costs nothing.
#[test]
fn an_original_is_published_at_once_and_replaced_when_nobody_plays_it() {
    /// Answers until someone plays it: none, for as long as this is large.
    static FREE: AtomicU32 = AtomicU32::new(0);
    let jellyfin = StandIn::answering(|line, _| {
        let playing = json!([{"UserName": "ada"}, {"NowPlayingItem": {"Path": "/media/Movies/Up.mkv"}}]);
        if !line.starts_with("GET /Sessions") {
            return (200, String::new());
        }
        let free = FREE.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |free| free.checked_sub(1)).is_ok();
        (200, if free { json!([{"UserName": "ada"}]) } else { playing }.to_string())
    });
    let shares = Shares::new(r#"{"folders": {"Movies": {}}}"#);
    shares.setting_file("token", "s3cret");
    let server = json!({"kind": "jellyfin", "url": jellyfin.address, "tokenFile": shares.settings_folder().join("token")});
    let settings = json!({"folders": {"Movies": {"publish": "original"}}, "stableSeconds": 0, "reserve": 0, "minSaving": null,
        "mediaServers": [server]});
    shares.settings(&settings.to_string());
    let original = shares.drop("Movies/Up.mp4", Made::Whole.bytes());
    let place = shares.in_library("Movies/Up.mkv");
    let mut watcher = shares.watch();
    shares.wait("the original in the library", || place.exists());
    let first = fs::read(&place).expect("a film");
    assert_eq!(probe(&place).streams.len(), probe_of(&original).len(), "nothing is left out");
    let is_played = || shares.status().contains("waiting until no one plays the original: Jellyfin is playing it");
    shares.wait("the encoded film", is_played);
    watcher.kill_after(std::time::Duration::ZERO);
    assert!(fs::read(&place).expect("a film") == first && shares.in_trash().is_empty(), "somebody plays it");
    FREE.store(1, Ordering::SeqCst);
    let watcher = shares.watch();
    let copied = || fs::read_dir(shares.in_library("Movies")).expect("a folder").count() > 1;
    shares.wait("its copy beside the original", || copied() && FREE.load(Ordering::SeqCst) == 0);
    shares.wait("what the media server says once more", || copied() && is_played());
    assert!(fs::read(&place).expect("a film") == first && shares.in_trash().is_empty(), "somebody began to play it");
    FREE.store(u32::MAX, Ordering::SeqCst);
    shares.wait("the encoded film in its place", || fs::read(&place).is_ok_and(|film| film != first) && shares.is_idle());
    drop(watcher);
    assert_eq!(shares.films_in_library(), ["Movies/Up.mkv"]);
    let trash = shares.in_trash();
    assert!(trash.len() == 2 && trash.contains(&original) && trash.contains(&first), "{}", trash.len());
    assert_eq!(shares.left_over(), [""; 0]);
}

/// In no other form are its colors right: whoever accepts it gets its streams.
#[test]
fn a_film_in_dolby_vision_alone_is_published_as_it_is_once_it_is_accepted() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null}"#);
    shares.drop("Movies/Vision.mp4", made("failed.yaml", "Dolby Vision of profile 5, by its head"));
    let _watcher = shares.watch();
    shares.wait("the reason", || shares.reasons().len() == 1 && shares.is_idle());
    let (reason, film) = shares.reason_of("Vision.mp4");
    assert!(reason.contains("accept the film to keep it as it is"), "{reason}");
    let id = film.parent().expect("a folder").file_name().expect("a name").to_str().expect("an id").to_owned();
    fs::write(shares.inbox("requests").join(format!("accept.{id}")), "").expect("written");
    let place = shares.in_library("Movies/Vision.mkv");
    shares.wait("the film", || place.exists() && shares.is_idle());
    assert!(probe(&place).streams.iter().any(|stream| stream.contains("hevc")), "{:?}", probe(&place).streams);
    let ledger = fs::read_to_string(shares.inbox("ledger").join(format!("{id}.json"))).expect("a record");
    assert!(ledger.contains("the original streams were kept"), "{ledger}");
}

fn probe_of(bytes: &[u8]) -> Vec<String> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), bytes).expect("written");
    probe(file.path()).streams
}

/// What is broken is not published, and a disc is encoded first.
#[test]
fn only_what_is_whole_is_published_before_it_is_encoded() {
    let shares = Shares::new(
        r#"{"folders": {"Movies": {"publish": "original"}}, "stableSeconds": 0, "reserve": 0, "minSaving": null, "attempts": 1}"#,
    );
    let whole = Made::Whole.bytes();
    shares.drop("Movies/truncated.mkv", whole[..whole.len() / 3].to_vec());
    let made = disc();
    let folder = shares.inbox("watch/Movies/Disc/VIDEO_TS");
    fs::create_dir_all(&folder).expect("made");
    for entry in fs::read_dir(made.path().join("disc/VIDEO_TS")).expect("a disc") {
        let path = entry.expect("listed").path();
        fs::copy(&path, folder.join(path.file_name().expect("a name"))).expect("copied");
    }
    let watcher = shares.watch();
    shares.wait("both films' end", || shares.reasons().len() == 1 && shares.is_idle());
    drop(watcher);
    assert!(shares.reason_of("truncated.mkv").0.contains("damaged or truncated"));
    assert_eq!(shares.films_in_library(), ["Movies/Disc/Disc.mkv"]);
    assert_eq!(probe(&shares.in_library("Movies/Disc/Disc.mkv")).streams[0], "video h264 ", "encoded");
}

/// From the page: now, first, later, skip.
#[test]
fn the_order_is_changed_on_the_page() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null, "atOnce": 0}"#);
    let (_page, address) = shares.page();
    for name in ["a", "b", "c"] {
        shares.drop(&format!("Movies/{name}.mkv"), Made::Short.bytes());
    }
    let _watcher = shares.watch();
    let queue = || -> Vec<serde_json::Value> {
        let view: serde_json::Value = serde_json::from_str(&ask_with(&address, "GET /api/status", "", "").1).expect("JSON");
        view["queue"].as_array().expect("a list").clone()
    };
    shares.wait("three films that wait", || queue().iter().filter(|film| film["why"] == "waiting for a free machine").count() == 3);
    let id = |name: &str| {
        let film = queue().into_iter().find(|film| film["name"] == format!("Movies/{name}.mkv")).expect("it waits");
        film["id"].as_str().expect("an id").to_owned()
    };
    let post = |verb: &str, name: &str| {
        let answer = ask_with(&address, &format!("POST /{verb}/{}", id(name)), "X-Hostler: 1\r\nContent-Length: 0\r\n", "");
        assert!(answer.0.starts_with("HTTP/1.1 303"), "{answer:?}");
    };
    post("first", "c");
    post("skip", "a");
    let names = || queue().iter().map(|film| film["name"].as_str().expect("text").to_owned()).collect::<Vec<_>>();
    shares.wait("the new order", || names() == ["Movies/c.mkv", "Movies/b.mkv", "Movies/a.mkv"] && queue()[2]["why"] == "skipped");
    // No machine is needed for this.
    post("now", "b");
    shares.wait("its original", || shares.in_library("Movies/b.mkv").exists() && queue().iter().any(|film| film["published"] == true));
    let refused = ask_with(&address, &format!("POST /now/{}", id("b")), "X-Hostler: 1\r\nContent-Length: 0\r\n", "");
    assert!(refused.0.starts_with("HTTP/1.1 409") && refused.1.contains("in the library already"), "{refused:?}");
    // It gets its new name in the library, too.
    let body = "name=Better";
    let headers = format!("X-Hostler: 1\r\nContent-Length: {}\r\n", body.len());
    let named = ask_with(&address, &format!("POST /name/{}", id("b")), &headers, body);
    assert!(named.0.starts_with("HTTP/1.1 303"), "{named:?}");
    shares.wait("its new name", || names().contains(&"Movies/Better".to_owned()));
    shares.settings(r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null, "atOnce": 2}"#);
    shares.wait("the films that are not skipped", || {
        shares.films_in_library() == ["Movies/Better.mkv", "Movies/c.mkv"] && names() == ["Movies/a.mkv"]
    });
}
