use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::*;
use crate::transcode::ffmpeg::{self, FFMPEG, FFPROBE, Probe};

/// Makes a film of 10 s with ffmpeg, from `input` (a path, or nothing for a new one), with filters for picture and sound.
fn made(folder: &Path, name: &str, input: Option<&Path>, picture: &str, sound: &str) -> PathBuf {
    let path = folder.join(name);
    let mut command = Command::new(FFMPEG);
    command.args(["-v", "error", "-nostdin", "-y"]);
    match input {
        Some(input) => command.arg("-i").arg(input),
        None => command
            .args(["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=10", "-f", "lavfi", "-i"])
            .arg("aevalsrc=sin(880*t)*(0.2+0.7*abs(sin(7*t*t/3))):s=48000:d=10"),
    };
    command.args(["-vf", picture, "-af", sound, "-fps_mode", "cfr", "-c:v", "libx264", "-preset", "veryfast", "-crf", "24"]);
    command.args(["-pix_fmt", "yuv420p", "-c:a", "aac"]).arg(&path);
    let output = command.output().expect("ffmpeg is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

fn probed(path: &Path) -> Probe {
    let output = Command::new(FFPROBE).args(ffmpeg::probe(path)).output().expect("ffprobe is installed");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

async fn compared(original: &Path, film: &Path, crop: Crop) -> Measured {
    let (one, other) = (probed(original), probed(film));
    let pair = Pair { original: (original, &one), film: (film, &other), crop, sound: Some(0) };
    compare(&pair, Duration::from_secs(60)).await.expect("they can be compared")
}

#[tokio::test]
async fn what_is_wrong_with_a_film_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let original = made(folder, "original.mkv", None, "null", "anull");
    let film = |name: &str, picture: &str, sound: &str| made(folder, name, Some(&original), picture, sound);
    let none = Crop::default();

    let same = compared(&original, &film("same.mkv", "null", "anull"), none).await;
    assert_eq!((same.wrong(true), same.remarks()), (None, Vec::<String>::new()), "{same:?}");
    assert!(same.score.is_some_and(|score| score > 0.9) && same.worst.is_some_and(|(_, worst)| worst > 0.9), "{same:?}");
    assert!((same.compared - 10.0).abs() < 0.2, "{same:?}");

    let (one, other) = (probed(&original), probed(&folder.join("same.mkv")));
    let pair = Pair { original: (&original, &one), film: (&folder.join("same.mkv"), &other), crop: none, sound: None };
    assert_eq!(compare(&pair, Duration::ZERO).await, None, "its time is limited");

    for (name, filter) in [
        // The picture before it stays for twice as long.
        ("doubled.mkv", "select='not(eq(n,70))'"),
        // All pictures after it are earlier.
        ("earlier.mkv", "select='not(eq(n,70))',setpts=N/25/TB"),
    ] {
        let dropped = compared(&original, &film(name, filter, "anull"), none).await;
        assert_eq!(dropped.remarks(), ["1 picture of the original is missing, the first at 0:00:02"], "{name}: {dropped:?}");
    }

    let black = compared(&original, &film("black.mkv", "drawbox=c=black:t=fill:enable='between(t,4,6)'", "anull"), none).await;
    let wrong = black.wrong(false).unwrap_or_default();
    assert!(wrong.contains("picture is empty for 2.") && wrong.contains("from 0:00:04 on"), "{black:?}");
    assert!(black.worst.is_some_and(|(at, worst)| (3.9..6.1).contains(&at) && worst < 0.3), "{black:?}");

    let grey = compared(&original, &film("grey.mkv", "drawbox=c=gray:t=fill:enable='gte(t,5)'", "anull"), none).await;
    let wrong = grey.wrong(false).unwrap_or_default();
    assert!(wrong.contains("picture is empty for 5.") || wrong.contains("picture is empty for 4."), "{grey:?}");

    let late = compared(&original, &film("late.mkv", "null", "adelay=200:all=1,atrim=end=10"), none).await;
    let wrong = late.wrong(false).unwrap_or_default();
    assert!(late.late.is_some_and(|(late, _)| (0.18..0.23).contains(&late)) && wrong.contains("ms late at 0:00:0"), "{late:?}");

    let silent = compared(&original, &film("silent.mkv", "null", "volume=0:enable='gte(t,5)'"), none).await;
    assert!(silent.wrong(false).unwrap_or_default().contains("sound is missing for 5.0 s, from 0:00:05 on"), "{silent:?}");

    let other = compared(&original, &film("other.mkv", "negate=enable='gte(t,6)'", "anull"), none).await;
    assert!(other.wrong(true).unwrap_or_default().contains("differs from the original's for 4.0 s, from 0:00:06 on"), "{other:?}");
    assert_eq!(other.wrong(false), None, "a preset of one's own may change the picture");
}

/// Bars are cut off, a rate is changed, a picture begins later: that is not a fault.
#[tokio::test]
async fn what_is_right_with_a_film_is_not_held_against_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let original = made(folder, "original.mkv", None, "pad=640:480:0:60", "anull");
    let film = |name: &str, picture: &str, sound: &str| made(folder, name, Some(&original), picture, sound);
    let bars = Crop { top: 60, bottom: 60, left: 0, right: 0 };
    let cases = [
        (film("cropped.mkv", "crop=640:360:0:60,scale=320:180", "anull"), bars),
        (film("shifted.mkv", "setpts=PTS+0.2/TB", "adelay=200:all=1"), Crop::default()),
        (film("faster.mkv", "fps=50", "volume=0.3"), Crop::default()),
        (film("stream.ts", "null", "anull"), Crop::default()),
    ];
    for (film, crop) in cases {
        let found = compared(&original, &film, crop).await;
        assert_eq!((found.wrong(true), found.remarks()), (None, Vec::<String>::new()), "{film:?}: {found:?}");
        assert!(found.worst.is_some_and(|(_, worst)| worst > 0.85), "{film:?}: {found:?}");
        // ffmpeg finds no place in a stream whose pictures all build on the first.
        let scored = found.score.map_or(film.ends_with("stream.ts"), |score| score > 0.85);
        assert!(scored, "{film:?}: {found:?}");
    }
}

#[test]
fn what_handbrake_cut_off_is_in_its_log() {
    let line = "[03:48:04]        + source: 1920 * 1080, crop (140/138/2/4): 1914 * 802, scale: 1914 * 802";
    assert_eq!(Crop::parse(line), Some(Crop { top: 140, bottom: 138, left: 2, right: 4 }));
    assert_eq!(Crop::parse("[03:48:04]   + autocrop: 140/140/0/0"), None);
}
