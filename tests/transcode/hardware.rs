//! Films whose encoder in hardware is not there: the real HandBrakeCLI says so, and the film is encoded anyway.

use std::fs;
use std::path::Path;

use hostler::transcode::encode::{self, Ended, Task};
use hostler::transcode::layout::{Inbox, write_json};
use hostler::transcode::ledger::Film;
use hostler::transcode::prove;
use hostler::transcode::record::{Stamp, TASK};
use hostler_core::films::settings::Settings;
use jiff::Timestamp;

use crate::films::{Made, probe};

/// Encodes a film as a pod with a render node does; its record, and what the video of the result is.
async fn encoded(folder: &Path, settings: &str) -> (Ended, Option<String>) {
    let inbox = Inbox { root: folder.join("inbox") };
    let settings = Settings::parse(settings).expect("settings");
    let unnamed = Film::dropped("Movies/Up.mkv".into(), "Movies".into(), Stamp { size: 0, modified: 0 }, Timestamp::now());
    fs::create_dir_all(inbox.claim(&unnamed.id)).expect("a folder");
    fs::create_dir_all(inbox.work(&unnamed.id)).expect("a folder");
    let source = inbox.claim(&unnamed.id).join(unnamed.source_name());
    fs::write(&source, Made::Short.bytes()).expect("written");
    let film = Film { stamp: Stamp::of(&source).expect("a stamp"), ..unnamed };
    write_json(&inbox.work(&film.id).join(TASK), &film).expect("written");
    let task = Task {
        inbox: inbox.clone(),
        settings,
        settings_folder: folder.to_owned(),
        id: film.id.clone(),
        who: "one".to_owned(),
        machine: "rarity".to_owned(),
        hardware: true,
        part: None,
    };
    let ended = encode::run(&task).await.expect("the share is there");
    let result = inbox.work(&film.id).join("one.mkv");
    (ended, result.exists().then(|| probe(&result).streams[0].clone()))
}

fn remarks(ended: &Ended) -> &[String] {
    match ended {
        Ended::Encoded(encoded) => &encoded.remarks,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_film_is_encoded_in_software_where_the_machine_lacks_quick_sync() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = r#"{"folders": {"Movies": {}}, "encoder": "auto", "minSaving": null}"#;
    let (ended, video) = encoded(folder.path(), settings).await;
    assert!(remarks(&ended).contains(&"encoded with x264: qsv_h264 does not work on rarity".to_owned()), "{ended:?}");
    assert_eq!(video.as_deref(), Some("video h264 "));
}

#[tokio::test]
async fn a_preset_with_quick_sync_is_encoded_in_software_with_the_same_format() {
    let folder = tempfile::tempdir().expect("a folder");
    let preset = r#"{"VersionMajor": 50, "VersionMinor": 0, "PresetList": [{"PresetName": "Fast", "Type": 1, "FileFormat": "av_mkv",
        "VideoEncoder": "qsv_h265", "VideoPreset": "speed", "VideoQualitySlider": 30, "VideoQualityType": 2,
        "AudioTrackSelectionBehavior": "first", "AudioList": [{"AudioEncoder": "av_aac", "AudioBitrate": 64}]}]}"#;
    fs::write(folder.path().join("fast.json"), preset).expect("written");
    let of = |encoder: &str, machines: &str| {
        format!(
            r#"{{"folders": {{"Movies": {{"preset": {{"file": "fast.json", "name": "Fast", "hardware": true}}}}}}, "encoder": "{encoder}",
                "minSaving": null{machines}}}"#
        )
    };
    let (ended, video) = encoded(folder.path(), &of("auto", "")).await;
    assert!(remarks(&ended).contains(&"encoded with x265: qsv_h265 does not work on rarity".to_owned()), "{ended:?}");
    assert_eq!(video.as_deref(), Some("video hevc "));
    let again = tempfile::tempdir().expect("a folder");
    fs::write(again.path().join("fast.json"), preset).expect("written");
    let (ended, _) = encoded(again.path(), &of("software", "")).await;
    assert!(remarks(&ended).contains(&"encoded with x265: rarity has no qsv_h265".to_owned()), "{ended:?}");
    // Where the machine may not use what stands in, another one has to.
    let elsewhere = tempfile::tempdir().expect("a folder");
    fs::write(elsewhere.path().join("fast.json"), preset).expect("written");
    let (ended, _) = encoded(elsewhere.path(), &of("auto", r#", "machines": {"rarity": {"encoders": ["x264", "qsv_h265"]}}"#)).await;
    let Ended::Failed(failure) = ended else { panic!("{ended:?}") };
    assert_eq!((failure.lacks.as_deref(), failure.permanent), (Some("x265"), false));
}

#[tokio::test]
async fn each_encoder_is_tried_with_two_seconds_of_a_film() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = ["x264", "x265", "qsv_h264", "no_such_encoder"].map(str::to_owned);
    let working = prove::working(folder.path(), &all).await.expect("HandBrake is there");
    assert_eq!(working, ["x264", "x265"]);
    assert_eq!(prove::last_line(&working), "encoders that work: x264.x265\n");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is left behind");
}
