//! A film in pieces through the real HandBrakeCLI: the number of each picture is in the picture, as sixteen black and white squares.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::shares::Shares;

/// Pieces of ten seconds at least.
const SETTINGS: &str = r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null, "split": 10}"#;

/// Square `n` of the first row of blocks is bit `n` of the picture's number; the sound is a beep each second.
fn coded(seconds: u32, rate: &str, arguments: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let squares = "geq=lum='if(lt(Y,16)*lt(X,256),if(bitand(N,pow(2,floor(X/16))),235,16),lum(X,Y))':cb='if(lt(Y,8)*lt(X,128),128,cb(X,Y))':\
        cr='if(lt(Y,8)*lt(X,128),128,cr(X,Y))',format=yuv420p";
    let words = format!(
        "-f lavfi -i testsrc2=s=320x176:r={rate}:d={seconds} -f lavfi -i \
         aevalsrc=0.4*sin(6283*t)*lt(mod(t\\,1)\\,0.05)+0.02*sin(1382*t):s=48000:d={seconds} -map 0 -map 1 -c:a ac3"
    );
    let mut command = Command::new("ffmpeg");
    command.current_dir(folder.path()).args(["-v", "error", "-nostdin", "-y"]).args(words.split_whitespace()).args(["-vf", squares]);
    let output = command.args(arguments.split_whitespace()).output().expect("ffmpeg is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let made = fs::read_dir(folder.path()).expect("a folder").next().expect("a film").expect("listed").path();
    fs::read(made).expect("read")
}

/// The numbers that are in the pictures of a film.
fn numbers(film: &Path) -> Vec<u32> {
    let (width, height) = (256, 16);
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-i"]).arg(film);
    command.args(["-map", "0:v:0", "-fps_mode", "passthrough", "-vf", "crop=256:16:0:0,format=gray", "-f", "rawvideo", "-"]);
    let pictures = command.output().expect("ffmpeg is there").stdout;
    let number = |picture: &[u8]| (0..16).filter(|bit| picture[8 * width + bit * 16 + 8] > 128).map(|bit| 1 << bit).sum();
    pictures.chunks_exact(width * height).map(number).collect()
}

/// Seconds from the beginning of a film's sound to its first picture.
fn picture_after_sound(film: &Path) -> f64 {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-of", "json", "-show_streams", "-i"]).arg(film);
    let value: Value = serde_json::from_slice(&command.output().expect("ffprobe is there").stdout).expect("JSON");
    let begins = |kind: &str| -> f64 {
        let stream = value["streams"].as_array().expect("a list").iter().find(|stream| stream["codec_type"] == kind).expect("one");
        stream["start_time"].as_str().expect("a time").parse().expect("a number")
    };
    begins("video") - begins("audio")
}

struct InWork {
    shares: Shares,
    id: String,
}

impl InWork {
    /// A film that is claimed; its encoder was told of so many idle machines.
    fn new(bytes: Vec<u8>, machines: u32) -> InWork {
        let shares = Shares::new(SETTINGS);
        let id = shares.claimed(bytes);
        shares.prepare(&id);
        let film = InWork { shares, id };
        film.change("task.json", |task| task["machines"] = machines.into());
        film
    }

    fn path(&self, file: &str) -> PathBuf {
        self.shares.inbox("work").join(&self.id).join(file)
    }

    fn read(&self, file: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))).expect("JSON")
    }

    fn change(&self, file: &str, with: impl FnOnce(&mut Value)) {
        let mut value = self.read(file);
        with(&mut value);
        fs::write(self.path(file), value.to_string()).expect("written");
    }

    fn encode(&self) -> Option<i32> {
        self.shares.encode(&self.id, "planner").ends()
    }

    fn part(&self, part: &str) -> Option<i32> {
        self.shares.encode_part(&self.id, &format!("who-{part}"), part).ends()
    }

    /// Plans the film, and encodes its parts.
    fn in_pieces(&self) -> usize {
        assert_eq!(self.encode(), Some(0));
        let pieces = self.read("split.json")["pieces"].as_array().expect("a list").len();
        assert!(!self.path("encoded.json").exists(), "nothing is encoded yet");
        // In any order.
        for number in (1..=pieces).rev() {
            assert_eq!(
                self.part(&format!("piece{number}")),
                Some(0),
                "{:?}",
                fs::read_to_string(self.path(&format!("piece{number}.failure.json")))
            );
        }
        assert_eq!(self.part("sound"), Some(0));
        pieces
    }

    fn film(&self) -> PathBuf {
        self.path(self.read("encoded.json")["file"].as_str().expect("a name"))
    }

    fn join(&self) {
        let status = self.part("join");
        assert_eq!(status, Some(0), "{}", fs::read_to_string(self.path("join.failure.json")).unwrap_or_default());
    }
}

fn all(pictures: u32) -> Vec<u32> {
    (0..pictures).collect()
}

/// Each picture once and in its order, and the sound where a film from one machine has it.
fn as_from_one_machine(bytes: Vec<u8>, pictures: u32, pieces: usize) {
    let film = InWork::new(bytes.clone(), 3);
    assert_eq!(film.in_pieces(), pieces);
    film.join();
    assert_eq!(numbers(&film.film()), all(pictures));
    assert!(!film.path("split.json").exists() && !film.path("who-piece1.piece1.mkv").exists(), "pieces are removed once they are joined");
    let whole = InWork::new(bytes, 1);
    assert_eq!(whole.encode(), Some(0));
    assert_eq!(numbers(&whole.film()), all(pictures));
    let (joined, expected) = (picture_after_sound(&film.film()), picture_after_sound(&whole.film()));
    assert!((joined - expected).abs() <= 0.005, "the picture begins {joined} s after the sound, expected {expected} s");
    let size = |film: &InWork| film.read("encoded.json")["size"].as_f64().expect("a number");
    assert!(size(&film) < 1.1 * size(&whole), "{} instead of {} bytes", size(&film), size(&whole));
}

#[test]
fn pieces_of_h264_with_open_gop_join_exactly() {
    let arguments = "-c:v libx264 -preset ultrafast -bf 2 -g 60 -x264-params open-gop=1 film.mkv";
    as_from_one_machine(coded(31, "24000/1001", arguments), 744, 3);
}

#[test]
fn pieces_of_h265_with_open_gop_join_exactly() {
    let arguments = "-c:v libx265 -preset ultrafast -x265-params open-gop=1:keyint=50:log-level=error film.mkv";
    as_from_one_machine(coded(31, "24000/1001", arguments), 744, 3);
}

#[test]
fn pieces_of_a_transport_stream_that_begins_late_join_exactly() {
    let arguments = "-c:v mpeg2video -q:v 4 -bf 2 -g 15 -output_ts_offset 5000 film.ts";
    as_from_one_machine(coded(31, "25", arguments), 775, 3);
}

#[test]
fn pieces_of_mp4_with_b_frames_join_exactly() {
    as_from_one_machine(coded(21, "30000/1001", "-c:v libx264 -preset ultrafast -bf 2 -g 250 film.mp4"), 630, 2);
}

/// After ten seconds, three pictures take as long as four did.
#[test]
fn a_film_whose_rate_varies_is_encoded_in_one_piece() {
    let arguments = "-c:v libx264 -preset ultrafast -bf 0 -bsf:v setts=ts=TS/max(N\\,1)*(N+max(N-240\\,0)/3) film.mp4";
    let film = InWork::new(coded(31, "24", arguments), 3);
    assert_eq!(film.encode(), Some(0));
    assert!(!film.path("split.json").exists() && film.path("encoded.json").exists());
    assert_eq!(film.read("progress.json")["note"], "in one piece: its frame rate varies");
}

/// The head of an MKV has a steady rate, whatever the times of its pictures are.
#[test]
fn a_film_whose_head_is_wrong_is_noticed_by_the_count_of_its_pictures() {
    // Three pictures take as long as four should.
    let arguments = "-c:v libx264 -preset ultrafast -bf 0 -bsf:v setts=ts=TS+if(gt(TS\\,10/TB)\\,(TS-10/TB)/3) film.mkv";
    let film = InWork::new(coded(31, "24", arguments), 3);
    assert_eq!(film.encode(), Some(0));
    assert_eq!(film.part("piece2"), Some(2), "another attempt would fail, too");
    let reason = film.read("piece2.failure.json")["reason"].as_str().expect("text").to_owned();
    assert!(reason.contains("frames were decoded and"), "{reason}");
    assert!(!film.path("piece2.json").exists());
}

#[test]
fn pieces_of_a_film_with_pictures_of_the_same_time_join_exactly() {
    let arguments = "-c:v libx264 -preset ultrafast -g 48 -bf 0 -bsf:v setts=ts=if(eq(mod(N\\,200)\\,100)\\,PREV_OUTPTS\\,TS) film.mkv";
    as_from_one_machine(coded(31, "24", arguments), 744, 3);
}

#[test]
fn a_picture_that_is_lost_at_a_border_is_noticed() {
    let film = InWork::new(coded(21, "25", "-c:v libx264 -preset ultrafast film.mkv"), 2);
    assert_eq!(film.encode(), Some(0));
    // The second piece begins one picture late; each piece is as it was planned.
    film.change("split.json", |plan| {
        let start = plan["pieces"][1]["start"].as_u64().expect("a number");
        plan["pieces"][1]["start"] = (start + 3600).into();
    });
    for part in ["piece1", "piece2", "sound"] {
        assert_eq!(film.part(part), Some(0));
    }
    assert_eq!(film.part("join"), Some(2));
    let reason = film.read("join.failure.json")["reason"].as_str().expect("text").to_owned();
    assert_eq!(reason, "the pieces have 524 frames of the original, expected 525");
    assert!(!film.path("encoded.json").exists());
}

#[test]
fn sound_that_is_late_is_noticed() {
    let film = InWork::new(coded(21, "25", "-c:v libx264 -preset ultrafast film.mkv"), 2);
    assert_eq!(film.in_pieces(), 2);
    // As if HandBrake had made it so: its pictures are 200 ms early, which hides it from all that counts packets.
    let (sound, late) = (film.path("who-sound.sound.mkv"), film.path("late.mkv"));
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y", "-i"]).arg(&sound).args(["-itsoffset", "0.2", "-i"]).arg(&sound);
    let status = command.args(["-map", "0:v", "-map", "1:a", "-c", "copy"]).arg(&late).status().expect("ffmpeg is there");
    assert!(status.success());
    fs::rename(&late, &sound).expect("renamed");
    let size = sound.metadata().expect("there").len();
    film.change("sound.json", |done| done["size"] = size.into());
    assert_eq!(film.part("join"), Some(2));
    let reason = film.read("join.failure.json")["reason"].as_str().expect("text").to_owned();
    assert!(reason.contains("its sound is") && reason.contains("ms late"), "{reason}");
}

/// A pod that is started again does nothing twice, and one that finds no plan says so.
#[test]
fn a_piece_is_encoded_once() {
    let film = InWork::new(coded(21, "25", "-c:v libx264 -preset ultrafast film.mkv"), 2);
    assert_eq!(film.part("piece1"), Some(1), "there is no plan");
    assert_eq!(film.encode(), Some(0));
    let plan = fs::read(film.path("split.json")).expect("a plan");
    assert_eq!(film.encode(), Some(0));
    assert_eq!(fs::read(film.path("split.json")).expect("a plan"), plan);
    assert_eq!(film.part("piece1"), Some(0));
    let done = fs::read(film.path("piece1.json")).expect("done");
    assert_eq!(film.shares.encode_part(&film.id, "again", "piece1").ends(), Some(0));
    assert_eq!(fs::read(film.path("piece1.json")).expect("done"), done);
    assert_eq!(film.part("piece9"), Some(2), "the plan has no such piece");
    assert_eq!(film.part("join"), Some(1), "a piece is missing");
}
