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
    let pair = Pair { original: (original, &one), film: (film, &other), crop, sound: Some(0), span: None };
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
    let pair = Pair { original: (&original, &one), film: (&folder.join("same.mkv"), &other), crop: none, sound: None, span: None };
    assert_eq!(compare(&pair, Duration::ZERO).await, None, "its time is limited");

    for (name, filter) in [
        // The picture before it stays for twice as long.
        ("doubled.mkv", "select='not(eq(n,70))'"),
        // All pictures after it are earlier.
        ("earlier.mkv", "select='not(eq(n,70))',setpts=N/25/TB"),
    ] {
        let dropped = compared(&original, &film(name, filter, "anull"), none).await;
        assert_eq!(dropped.remarks(), ["1 frame of the original is missing, the first at 0:00:02"], "{name}: {dropped:?}");
    }

    let black = compared(&original, &film("black.mkv", "drawbox=c=black:t=fill:enable='between(t,4,6)'", "anull"), none).await;
    let wrong = black.wrong(false).unwrap_or_default();
    assert!(wrong.contains("picture is empty for 2.") && wrong.contains("starting at 0:00:04"), "{black:?}");
    assert!(black.worst.is_some_and(|(at, worst)| (3.9..6.1).contains(&at) && worst < 0.3), "{black:?}");

    let grey = compared(&original, &film("grey.mkv", "drawbox=c=gray:t=fill:enable='gte(t,5)'", "anull"), none).await;
    let wrong = grey.wrong(false).unwrap_or_default();
    assert!(wrong.contains("picture is empty for 5.") || wrong.contains("picture is empty for 4."), "{grey:?}");

    let late = compared(&original, &film("late.mkv", "null", "adelay=200:all=1,atrim=end=10"), none).await;
    let wrong = late.wrong(false).unwrap_or_default();
    assert!(late.late.is_some_and(|(late, _)| (0.18..0.23).contains(&late)) && wrong.contains("ms late at 0:00:0"), "{late:?}");

    let silent = compared(&original, &film("silent.mkv", "null", "volume=0:enable='gte(t,5)'"), none).await;
    assert!(silent.wrong(false).unwrap_or_default().contains("sound is missing for 5.0 s, starting at 0:00:05"), "{silent:?}");

    let other = compared(&original, &film("other.mkv", "negate=enable='gte(t,6)'", "anull"), none).await;
    assert!(other.wrong(true).unwrap_or_default().contains("differs from the original's for 4.0 s, starting at 0:00:06"), "{other:?}");
    assert_eq!(other.wrong(false), None, "a preset of one's own may change the picture");
}

/// The container may still be as long as it should be.
#[tokio::test]
async fn a_picture_or_sound_that_breaks_off_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let original = made(folder, "original.mkv", None, "null", "anull");
    let film = |name: &str, picture: &str, sound: &str| made(folder, name, Some(&original), picture, sound);
    let none = Crop::default();
    let picture = compared(&original, &film("picture.mkv", "trim=end=4", "anull"), none).await;
    let wrong = picture.wrong(false).unwrap_or_default();
    assert!(wrong.contains("its picture ends early") && wrong.contains("for 6.0 s, starting at 0:00:04"), "{picture:?}");
    let sound = compared(&original, &film("sound.mkv", "null", "atrim=end=4"), none).await;
    assert!(sound.wrong(false).unwrap_or_default().contains("sound is missing for 6.0 s, starting at 0:00:04"), "{sound:?}");
    // HandBrake may end the sound with the picture.
    let longer = made(folder, "longer.mkv", Some(&original), "trim=end=5", "anull");
    let ended = compared(&longer, &made(folder, "ended.mkv", Some(&longer), "null", "atrim=end=5"), none).await;
    assert_eq!(ended.wrong(true), None, "{ended:?}");
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

/// Each piece is compared with its own part of the original, and places are told from the film's beginning on.
#[tokio::test]
async fn a_film_in_pieces_is_compared_piece_by_piece() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let original = made(folder, "original.mkv", None, "null", "anull");
    let stream = made(folder, "original.ts", None, "null", "anull");
    let probe = probed(&original);
    let compared = async |film: &Path, span: Span| {
        let other = probed(film);
        let pair = Pair { original: (&original, &probe), film: (film, &other), crop: Crop::default(), sound: None, span: Some(span) };
        compare(&pair, Duration::from_secs(60)).await.expect("they can be compared")
    };
    let cut = |place: &str, filter: &str| {
        made(folder, "piece.mkv", Some(&original), &format!("trim={place},setpts=PTS-STARTPTS,{filter}"), "atrim=end=0.01")
    };
    let first = compared(&cut("end_frame=100", "null"), Span { first: 0, pictures: Some(100) }).await;
    let second = Span { first: 100, pictures: Some(75) };
    let good = compared(&cut("start_frame=100:end_frame=175", "null"), second).await;
    let dark = "drawbox=c=black:t=fill:enable='between(t,1,2)'";
    let bad = compared(&cut("start_frame=100:end_frame=175", dark), second).await;
    let last = compared(&cut("start_frame=175", "null"), Span { first: 175, pictures: None }).await;

    for piece in [&first, &good, &last] {
        assert_eq!((piece.wrong(true), piece.remarks()), (None, Vec::<String>::new()), "{piece:?}");
        assert!(piece.score.is_none_or(|score| score > 0.9) && piece.worst.is_some_and(|(_, worst)| worst > 0.9), "{piece:?}");
    }
    assert!(last.worst.is_some_and(|(at, _)| (6.9..10.0).contains(&at)), "{last:?}");
    let film = |second: &Measured| Measured::joined(&[first.clone(), second.clone(), last.clone()], None, 0.0).expect("three pieces");
    let whole = film(&good);
    assert_eq!((whole.wrong(true), whole.remarks()), (None, Vec::<String>::new()), "{whole:?}");
    assert!((whole.compared - 10.0).abs() < 0.3, "{whole:?}");
    let wrong = film(&bad).wrong(true).unwrap_or_default();
    assert!(wrong.contains("picture is empty for 1.") && wrong.contains("starting at 0:00:05"), "{wrong}");
    assert_eq!(Measured::joined(&[], None, 0.0), None);
    // ffmpeg finds no place in a stream whose pictures all build on the first: such a film is compared as a whole.
    let (one, other) = (probed(&stream), probed(&folder.join("piece.mkv")));
    let span = Some(Span { first: 175, pictures: None });
    let pair = Pair { original: (&stream, &one), film: (&folder.join("piece.mkv"), &other), crop: Crop::default(), sound: None, span };
    assert_eq!(compare(&pair, Duration::from_secs(60)).await, None);
}

/// The sound of a film that was joined is compared as that of another.
#[tokio::test]
async fn sound_is_compared_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let original = made(folder, "original.mkv", None, "null", "anull");
    let compared = async |name: &str, sound: &str| {
        let film = made(folder, name, Some(&original), "null", sound);
        let (one, other) = (probed(&original), probed(&film));
        let pair = Pair { original: (&original, &one), film: (&film, &other), crop: Crop::default(), sound: Some(0), span: None };
        compare_sound(&pair, 10.0, Duration::from_secs(60)).await.expect("it can be compared")
    };
    let same = compared("same.mkv", "anull").await;
    assert!(same.silent.is_none() && same.late.is_none_or(|(late, _)| late.abs() < 0.03), "{same:?}");
    let late = compared("late.mkv", "adelay=200:all=1,atrim=end=10").await;
    assert!(late.late.is_some_and(|(late, _)| (0.18..0.23).contains(&late)), "{late:?}");
    let silent = compared("silent.mkv", "volume=0:enable='gte(t,5)'").await;
    assert!(silent.silent.is_some_and(|(length, at)| (length - 5.0).abs() < 0.1 && (at - 5.0).abs() < 0.1), "{silent:?}");
}
