//! Films on plain folders through the real HandBrakeCLI: dropped, encoded, published, and looked at with ffprobe.

mod browser;
mod corpus;
mod films;
mod hardware;
mod link;
mod looks;
mod odd_shares;
mod page;
mod pieces;
mod shares;
mod stand_in;
mod taken_over;
mod tonight;
mod verbs;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use films::{Made, probe};
use shares::Shares;
use stand_in::StandIn;

#[test]
fn a_film_comes_out_verified_in_the_library() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "languages": ["eng"], "stableSeconds": 1, "reserve": 0, "minSaving": null}"#);
    let film = shares.drop("Movies/Up (2009)/Up.mkv", Made::Whole.bytes());
    let watcher = shares.watch();
    shares.wait("the film in the library", || shares.in_library("Movies/Up (2009)/Up.mkv").exists() && shares.is_idle());
    drop(watcher);

    let found = probe(&shares.in_library("Movies/Up (2009)/Up.mkv"));
    assert!((found.duration - 10.0).abs() < 0.2, "{found:?}");
    assert_eq!(found.chapters, 3);
    assert_eq!(found.streams, ["video h264 ", "audio aac eng", "audio ac3 eng", "subtitle subrip eng"], "the German track is left out");
    assert_eq!(shares.in_trash(), [film], "the original, byte for byte");
    assert_eq!(shares.left_over(), [""; 0]);
    assert_eq!(fs::read_dir(shares.in_library("Movies/Up (2009)")).expect("a folder").count(), 1, "no hidden copies stay");
}

#[test]
fn sound_that_is_no_ac3_becomes_aac_and_ac3() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null}"#);
    shares.drop("Movies/Up.mkv", Made::Dts.bytes());
    let _watcher = shares.watch();
    shares.wait("its end", || shares.is_idle() && !shares.log().is_empty());
    assert_eq!(shares.reasons(), [""; 0]);
    assert_eq!(probe(&shares.in_library("Movies/Up.mkv")).streams, ["video h264 ", "audio aac ", "audio ac3 "]);
}

#[test]
fn a_frame_rate_that_varies_is_no_damage_and_a_hole_is() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null}"#);
    let film = Made::Varying.bytes();
    let mut damaged = film.clone();
    let third = damaged.len() / 3;
    damaged[third..third + third / 2].fill(0);
    shares.drop("Movies/varies.mkv", film);
    shares.drop("Movies/damaged.mkv", damaged);
    let _watcher = shares.watch();
    shares.wait("their end", || shares.films_in_library().len() + shares.reasons().len() == 2 && shares.is_idle());
    assert_eq!(shares.films_in_library(), ["Movies/varies.mkv"], "{:?}", shares.reasons());
    let found = probe(&shares.in_library("Movies/varies.mkv"));
    assert!((found.duration - 9.0).abs() < 0.3, "{found:?}");
    assert!(shares.reasons()[0].contains("damaged or truncated"), "{:?}", shares.reasons());
}

#[test]
fn a_film_dropped_again_replaces_the_first() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 1, "reserve": 0, "minSaving": null}"#);
    let place = shares.in_library("Movies/Up.mkv");
    shares.drop("Movies/Up.mkv", Made::Short.bytes());
    let watcher = shares.watch();
    shares.wait("the first version", || place.exists() && shares.is_idle());
    let first = fs::read(&place).expect("a film");
    // The settings are read for each film anew.
    let preset = r#"{"VersionMajor": 50, "VersionMinor": 0, "PresetList": [{"PresetName": "Small", "Type": 1, "FileFormat": "av_mkv",
        "VideoEncoder": "x264", "VideoPreset": "ultrafast", "VideoQualitySlider": 40, "VideoQualityType": 2, "PictureWidth": 320,
        "AudioTrackSelectionBehavior": "first", "AudioList": [{"AudioEncoder": "av_aac", "AudioBitrate": 64}]}]}"#;
    shares.setting_file("small.json", preset);
    shares.settings(r#"{"folders": {"Movies": {"preset": {"file": "small.json", "name": "Small"}}}, "stableSeconds": 1, "reserve": 0, "minSaving": null}"#);
    let second = shares.drop("Movies/Up.mkv", Made::Short.bytes());
    shares.wait("the second version", || fs::read(&place).is_ok_and(|film| film != first) && shares.is_idle());
    drop(watcher);
    assert_eq!(probe(&place).width, 320);
    let trash = shares.in_trash();
    assert_eq!(trash.len(), 3, "two originals, and the first version");
    assert!(trash.contains(&first) && trash.contains(&second));
    assert_eq!(fs::read_dir(shares.in_library("Movies")).expect("a folder").count(), 1);
}

#[test]
fn what_is_no_film_goes_to_failed_with_the_reason() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 1, "reserve": 0, "minSaving": null}"#);
    let whole = Made::Whole.bytes();
    let mut corrupt = whole.clone();
    let middle = corrupt.len() / 3..corrupt.len() * 2 / 3;
    corrupt[middle].fill(0);
    let cases: [(&str, Vec<u8>, &str); 5] = [
        ("truncated.mkv", whole[..whole.len() / 3].to_vec(), "damaged or truncated"),
        ("corrupt.mkv", corrupt, "damaged or truncated"),
        ("empty.mkv", Vec::new(), "the file is empty"),
        ("text.mkv", b"Not a film at all.\n".repeat(1000), "the file is not a film"),
        ("sound.mkv", Made::Sound.bytes(), "the file has sound, but no picture"),
    ];
    for (name, bytes, _) in &cases {
        shares.drop(&format!("Movies/{name}"), bytes.clone());
    }
    symlink("/etc/passwd", shares.inbox("watch/Movies/link.mkv")).expect("linked");
    let watcher = shares.watch();
    shares.wait("all of them in failed/", || shares.reasons().len() == cases.len() + 1 && shares.is_idle());
    drop(watcher);
    for (name, bytes, words) in &cases {
        let (text, film) = shares.reason_of(name);
        assert!(text.contains(words), "{name}: {text}");
        assert_eq!(fs::read(film).expect("it is kept"), *bytes, "{name}");
    }
    let (text, link) = shares.reason_of("link.mkv");
    assert!(text.contains("symbolic link") && link.is_symlink(), "{text}");
    assert_eq!(shares.films_in_library(), [""; 0]);
    assert_eq!(shares.left_over(), [""; 0]);
}

#[test]
fn names_are_only_names() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 1, "reserve": 0, "minSaving": null}"#);
    let long = "x".repeat(246);
    let names = [
        "-rf.mkv",
        "Ocean's \"Eleven\".mkv",
        "$(reboot) `reboot` ; & | *.mkv",
        "two\nlines.mkv",
        "🎬 Amélie.mkv",
        "  spaces  .mkv",
        "(500) Days of Summer (2009)/film.mkv",
        "another/film.mkv",
        &format!("{long}.mkv"),
    ];
    for name in names {
        shares.drop(&format!("Movies/{name}"), Made::Short.bytes());
    }
    let watcher = shares.watch();
    shares.wait("all of them in the library", || shares.films_in_library().len() == names.len() && shares.is_idle());
    drop(watcher);
    let mut wanted: Vec<String> = names.iter().map(|name| format!("Movies/{name}")).collect();
    wanted.sort();
    assert_eq!(shares.films_in_library(), wanted);
    assert_eq!(shares.in_trash().len(), names.len());
    assert_eq!(shares.left_over(), [""; 0]);
}

#[test]
fn a_copy_that_stalls_is_taken_whole() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 1, "reserve": 0, "minSaving": null}"#);
    let whole = Made::Whole.bytes();
    let path = shares.inbox("watch/Movies/Up.mkv");
    let mut copy = fs::File::create(&path).expect("made");
    std::io::Write::write_all(&mut copy, &whole[..whole.len() / 2]).expect("written");
    let watcher = shares.watch();
    // The copier stops for so long that half the film is claimed, and found wanting.
    shares.wait("half the film in failed/", || shares.reasons().len() == 1 && shares.is_idle());
    std::io::Write::write_all(&mut copy, &whole[whole.len() / 2..]).expect("written");
    drop(copy);
    shares.wait("the film in the library", || shares.in_library("Movies/Up.mkv").exists() && shares.is_idle());
    drop(watcher);
    assert!((probe(&shares.in_library("Movies/Up.mkv")).duration - 10.0).abs() < 0.2);
    assert_eq!(shares.in_trash(), [whole]);
    assert_eq!(shares.reasons(), [""; 0]);
    assert_eq!(shares.left_over(), [""; 0]);
}

/// Recorders and disc copiers write streams that have no length in their head: half of one is a film, too.
#[test]
fn a_copy_that_continues_after_its_film_was_done_is_taken_whole() {
    let shares =
        Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 1, "reserve": 0, "minSaving": null, "originals": {"keepDays": 0}}"#);
    let whole = Made::Stream.bytes();
    let path = shares.inbox("watch/Movies/Up.ts");
    let mut copy = fs::File::create(&path).expect("made");
    // The trash is emptied when a watcher starts, and rarely after that: the original is still there when the copy continues.
    let watcher = shares.watch();
    std::io::Write::write_all(&mut copy, &whole[..whole.len() / 2]).expect("written");
    shares.wait("half the film in the library", || shares.in_library("Movies/Up.mkv").exists() && shares.is_idle());
    assert!(probe(&shares.in_library("Movies/Up.mkv")).duration < 6.0);
    drop(watcher);
    std::io::Write::write_all(&mut copy, &whole[whole.len() / 2..]).expect("written");
    drop(copy);
    // This one would empty the trash at once.
    let watcher = shares.watch();
    shares.wait("the whole film", || {
        shares.in_library("Movies/Up.mkv").exists() && probe(&shares.in_library("Movies/Up.mkv")).duration > 7.5
    });
    shares.wait("its end", || shares.is_idle());
    drop(watcher);
    assert!(shares.in_trash().contains(&whole), "the whole original");
    assert_eq!(shares.films_in_library(), ["Movies/Up.mkv"], "half a film is replaced by the whole");
}

/// A library that is away while films are encoded: they wait, and nothing is written where its mount point is.
#[test]
fn a_library_that_is_away_is_waited_for() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 1, "reserve": 0, "minSaving": null}"#);
    let marker = shares.in_library(".hostler-share");
    fs::remove_file(&marker).expect("removed");
    shares.drop("Movies/Up.mkv", Made::Short.bytes());
    let watcher = shares.watch();
    shares.wait("the reason on record", || shares.status().contains("is not mounted"));
    assert_eq!(fs::read_dir(shares.in_library("")).expect("a folder").count(), 0);
    fs::write(&marker, "").expect("written");
    shares.wait("the film in the library", || shares.in_library("Movies/Up.mkv").exists() && shares.is_idle());
    drop(watcher);
}

/// The watcher is killed again and again, and its encoders with it.
#[test]
fn a_watcher_that_is_killed_loses_nothing() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null}"#);
    let films: Vec<Vec<u8>> = (0..4).map(|number| shares.drop(&format!("Movies/{number}.mkv"), Made::Short.bytes())).collect();
    let (mut kills, mut life) = (0, 40.0);
    while shares.films_in_library().len() < films.len() || !shares.is_idle() {
        let mut watcher = shares.watch();
        watcher.kill_after(std::time::Duration::from_secs_f64(life / 1000.0));
        // Each life is a little longer than the one before, so that every state is met; what matters in longer ones takes longer, too.
        life += f64::max(35.0, life / 12.0);
        kills += 1;
        assert!(kills < 200, "no end: {:?}", shares.left_over());
    }
    assert!(kills > 5, "{kills} lives say little");
    assert_eq!(shares.films_in_library().len(), films.len());
    assert_eq!(shares.in_trash(), films);
    assert_eq!(shares.left_over(), [""; 0]);
}

#[test]
fn a_film_that_may_not_be_read_fails_with_that_reason() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 1, "reserve": 0, "minSaving": null}"#);
    shares.drop("Movies/Up.mkv", Made::Short.bytes());
    let path = shares.inbox("watch/Movies/Up.mkv");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("changed");
    if fs::File::open(&path).is_ok() {
        // Root may read anything: the case is another user's.
        shares.give_to_nobody();
    }
    let watcher = shares.watch();
    shares.wait("the reason", || shares.reasons().len() == 1 && shares.is_idle());
    drop(watcher);
    assert!(shares.reason_of("Up.mkv").0.contains("permission denied"));
    assert!(Path::new(&shares.reason_of("Up.mkv").1).exists());
}

/// Plex is asked for its sections, to look at the one folder, and whether it shows the film; a webhook hears of the film that failed.
#[test]
fn a_media_server_is_asked_to_look_at_the_folder() {
    let plex = StandIn::new(|request| match request.split(['?', ' ']).nth(1).unwrap_or_default() {
        "/library/sections" => r#"{"MediaContainer": {"Directory": [{"key": "7", "Location": [{"path": "/data/Movies"}]}]}}"#,
        "/library/sections/7/all" => r#"{"MediaContainer": {"Metadata": [{"Media": [{"Part": [{"file": "/data/Movies/a b/Up.mkv"}]}]}]}}"#,
        _ => "",
    });
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 1}"#);
    shares.setting_file("token", "s3cret\n");
    let token = shares.settings_folder().join("token");
    let server = serde_json::json!({"kind": "plex", "url": plex.address, "tokenFile": token});
    shares.setting_file("notify", &plex.address);
    let notify = shares.settings_folder().join("notify");
    let settings = serde_json::json!({"folders": {"Movies": {}}, "stableSeconds": 1, "reserve": 0, "minSaving": null, "mediaServers": [server], "notify": notify});
    shares.settings(&settings.to_string());
    shares.drop("Movies/a b/Up.mkv", Made::Short.bytes());
    shares.drop("Movies/text.mkv", b"Not a film at all.\n".repeat(1000));
    let watcher = shares.watch();
    shares.wait("both films' end", || shares.reasons().len() == 1 && shares.in_library("Movies/a b/Up.mkv").exists() && shares.is_idle());
    shares.wait("what Plex said on record", || shares.status().contains("Plex shows the film"));
    drop(watcher);
    let (mut asked, heads) = plex.requests();
    asked.sort();
    let all = "GET /library/sections/7/all?sort=addedAt%3Adesc&X-Plex-Container-Start=0&X-Plex-Container-Size=200";
    let refresh = "GET /library/sections/7/refresh?path=%2Fdata%2FMovies%2Fa%20b";
    assert_eq!(asked, ["GET /library/sections", all, refresh, "POST /"]);
    assert_eq!(heads.iter().filter(|head| head.contains("x-plex-token: s3cret")).count(), 3);
    assert!(!shares.log().contains("s3cret") && shares.log().contains("Plex shows the film"), "{}", shares.log());
}

/// A film that can't be moved to the trash, say, keeps the others from nothing.
#[test]
fn one_film_that_is_stuck_keeps_no_other_waiting() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null}"#);
    shares.drop("Movies/a.mkv", Made::Short.bytes());
    let watcher = shares.watch();
    shares.wait("the first film", || shares.is_idle() && shares.films_in_library().len() == 1);
    drop(watcher);
    // A file where the second film's folder in failed/ would be.
    shares.drop("Movies/b.mkv", b"Not a film at all.\n".repeat(1000));
    let watcher = shares.watch();
    shares.wait("its claim", || !shares.left_over().is_empty());
    let claimed = shares.left_over().into_iter().find(|path| path.contains("/claim/")).expect("claimed");
    let id = claimed.rsplit('/').next().expect("a name").to_owned();
    fs::write(shares.inbox("failed").join(&id), "in the way").expect("written");
    shares.wait("the trouble on record", || shares.status().contains("can't be moved to failed/"));
    shares.drop("Movies/c.mkv", Made::Short.bytes());
    shares.wait("the third film", || shares.films_in_library().len() == 2);
    fs::remove_file(shares.inbox("failed").join(&id)).expect("removed");
    shares.wait("the second film in failed/", || shares.is_idle() && shares.left_over().is_empty());
    drop(watcher);
    assert!(shares.reason_of("b.mkv").1.exists());
}

/// As a pod that is deleted, or a machine that is shut down: HandBrake ends with it, and nothing half done stays.
#[test]
fn an_encoder_that_is_stopped_takes_handbrake_with_it() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null}"#);
    let id = shares.claimed(Made::Whole.bytes());
    shares.prepare(&id);
    let mut encoder = shares.encode(&id, "one");
    let work = shares.inbox("work").join(&id);
    shares.wait("half a film", || work.join("one.part.mkv").exists());
    let processes: Vec<String> =
        fs::read_dir("/proc").expect("a folder").filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let is_ours = |pid: &String| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with(b"HandBrakeCLI\0") && String::from_utf8_lossy(&line).contains(work.to_str().expect("a path"))
    };
    let handbrake: Vec<&String> = processes.iter().filter(|pid| is_ours(pid)).collect();
    assert_eq!(handbrake.len(), 1, "HandBrake runs");
    encoder.terminate();
    assert_eq!(encoder.ends(), Some(143));
    assert!(!is_ours(handbrake[0]), "HandBrake has ended");
    assert!(!work.join("one.part.mkv").exists() && !work.join("encoded.json").exists() && !work.join("failure.json").exists());
}

/// A machine that was cut off, and comes back while the film is encoded elsewhere.
#[test]
fn two_attempts_at_once_do_not_disturb_each_other() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null}"#);
    let id = shares.claimed(Made::Whole.bytes());
    shares.prepare(&id);
    let (mut one, mut two) = (shares.encode(&id, "one"), shares.encode(&id, "two"));
    assert_eq!((one.ends(), two.ends()), (Some(0), Some(0)));
    fs::remove_file(shares.inbox("paused")).expect("removed");
    let watcher = shares.watch();
    shares.wait("the film", || shares.in_library("Movies/Up.mkv").exists() && shares.is_idle());
    drop(watcher);
    assert!((probe(&shares.in_library("Movies/Up.mkv")).duration - 10.0).abs() < 0.2);
    assert_eq!(shares.films_in_library().len(), 1);
    assert_eq!(shares.left_over(), [""; 0]);
}

/// As in the encoder's pod, which mounts two folders of the inbox and nothing else of it.
#[test]
fn an_encoder_needs_its_own_film_alone() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null}"#);
    let id = shares.claimed(Made::Short.bytes());
    assert_eq!(shares.encode(&id, "one").ends(), Some(1), "its folder is not there, as on a share that is not mounted");
    assert!(!shares.inbox("work").join(&id).exists(), "nothing is written where the share would be mounted");
    shares.prepare(&id);
    for other in ["ledger", "trash", "failed", "requests", "watch"] {
        fs::remove_dir_all(shares.inbox(other)).expect("removed");
    }
    fs::remove_file(shares.inbox(".hostler-share")).expect("removed");
    assert_eq!(shares.encode(&id, "two").ends(), Some(0));
    assert!(shares.inbox("work").join(&id).join("encoded.json").exists());
}

#[test]
fn what_lies_beside_a_film_goes_with_it_and_its_folder_goes() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 3, "reserve": 0, "minSaving": null}"#);
    for (path, text) in [("Up.en.srt", "subtitles"), ("Up.nfo", "about it"), ("poster.jpg", "a poster"), ("notes.txt", "mine")] {
        shares.drop(&format!("Movies/Up (2009)/{path}"), text.as_bytes().to_vec());
    }
    let film = shares.drop("Movies/Up (2009)/Up.mkv", Made::Whole.bytes());
    shares.drop("Movies/Alone/Season 1/One.mkv", Made::Short.bytes());
    shares.drop("Movies/#recycle/Deleted.mkv", Made::Short.bytes());
    shares.drop("Movies/.45 (2006)/.45.mkv", Made::Short.bytes());
    let watcher = shares.watch();
    shares.wait("both films", || shares.films_in_library().len() == 5 && shares.all_ended());
    let in_folder = ["poster.jpg", "Up.en.srt", "Up.mkv", "Up.nfo"].map(|name| format!("Movies/Up (2009)/{name}"));
    let mut wanted = vec!["Movies/Alone/Season 1/One.mkv".to_owned()];
    wanted.extend(in_folder);
    wanted.sort();
    assert_eq!(shares.films_in_library(), wanted);
    assert!(shares.inbox("watch/Movies/Up (2009)/notes.txt").exists(), "what is not known stays");
    assert!(!shares.inbox("watch/Movies/Alone").exists() && shares.inbox("watch/Movies").exists());
    assert!(shares.in_trash().contains(&film) && shares.in_trash().contains(&b"subtitles".to_vec()));
    assert!(shares.inbox("watch/Movies/#recycle/Deleted.mkv").exists());
    assert!(shares.status().contains("its name begins with a dot"), "{}", shares.status());
    drop(watcher);
    assert_eq!(shares.left_over(), [""; 0]);
}

/// A disc is copied file by file, with pauses that are longer than a film has to be unchanged.
#[test]
fn a_disc_is_never_taken_from_under_its_copier() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null}"#);
    let disc = films::disc();
    let to = shares.inbox("watch/Movies/Disc (1999)/VIDEO_TS");
    fs::create_dir_all(&to).expect("made");
    let watcher = shares.watch();
    let mut names: Vec<_> =
        fs::read_dir(disc.path().join("disc/VIDEO_TS")).expect("a disc").map(|entry| entry.expect("listed").file_name()).collect();
    names.sort();
    for (number, name) in names.iter().enumerate() {
        let bytes = fs::read(disc.path().join("disc/VIDEO_TS").join(name)).expect("read");
        let mut copy = fs::File::create(to.join(name)).expect("its folder is still there");
        for half in [&bytes[..bytes.len() / 2], &bytes[bytes.len() / 2..]] {
            std::io::Write::write_all(&mut copy, half).expect("written");
            if number + 1 < names.len() || half.len() < bytes.len() - bytes.len() / 2 {
                // Two rounds of the watcher.
                let at = || serde_json::from_str::<serde_json::Value>(&shares.status()).ok().map(|status| status["at"].clone());
                for _ in 0..2 {
                    let before = at();
                    shares.wait("a round", || at() != before);
                }
            }
        }
    }
    shares.wait("the film", || shares.in_library("Movies/Disc (1999)/Disc (1999).mkv").exists() && shares.is_idle());
    drop(watcher);
    assert_eq!(shares.reasons(), [""; 0]);
}

/// By an encoder that makes SDR of HDR: its owner is asked, and has the last word.
#[test]
fn a_film_that_was_accepted_is_published_although_it_is_no_longer_hdr() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null}"#);
    let script = r#"#!/bin/sh
        PATH=${PATH#*:}
        for word in "$@"; do
            shift
            case "$word" in x265_10bit) word=x265 ;; main10) word=main ;; esac
            set -- "$@" "$word"
        done
        exec HandBrakeCLI "$@"
        "#;
    shares.program("HandBrakeCLI", script);
    shares.drop("Movies/Up.mkv", Made::Hdr.bytes());
    let _watcher = shares.watch();
    shares.wait("the reason", || shares.reasons().len() == 1 && shares.is_idle());
    let (reason, film) = shares.reason_of("Up.mkv");
    assert!(reason.contains("no longer 10-bit HDR"), "{reason}");
    let id = film.parent().expect("a folder").file_name().expect("a name").to_str().expect("an id").to_owned();
    fs::write(shares.inbox("requests").join(format!("accept.{id}")), "").expect("written");
    shares.wait("the film", || shares.in_library("Movies/Up.mkv").exists() && shares.is_idle());
    let ledger = fs::read_to_string(shares.inbox("ledger").join(format!("{id}.json"))).expect("a record");
    assert!(ledger.contains("published as it is: its picture is no longer 10-bit HDR"), "{ledger}");
}
