//! `tests/films/*.yaml`: films by their recipes, and what is to come of each.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use super::shares::Shares;

/// One file: films that go through one watcher.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    settings: Value,
    /// Files beside the settings.
    #[serde(default)]
    presets: BTreeMap<String, Value>,
    /// Shell commands that make what several recipes use.
    #[serde(default)]
    before: String,
    films: Vec<Film>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Film {
    /// What it shows.
    row: String,
    /// Shell commands that make what is dropped, under its path: `$F` is ffmpeg, `$V` and `$A` a picture and a tone.
    make: String,
    /// Where it is dropped, below `watch/`; several are dropped one after the other.
    drop: Vec<String>,
    #[serde(default)]
    library: BTreeMap<String, Expected>,
    /// Words of the reason in `failed/`.
    #[serde(default)]
    failed: Option<String>,
    /// Words of the question.
    #[serde(default)]
    held: Option<String>,
    /// Words that its line on the page has.
    #[serde(default)]
    says: Vec<String>,
    /// Paths that are there at the end, below the inbox.
    #[serde(default)]
    there: Vec<String>,
    /// Paths that are not.
    #[serde(default)]
    gone: Vec<String>,
}

/// What ffprobe finds; what is not given is not compared.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Expected {
    /// Seconds.
    length: Option<f64>,
    picture: Option<String>,
    audio: Option<Vec<String>>,
    subtitles: Option<Vec<String>>,
}

fn shell(folder: &Path, commands: &str) {
    let prelude = "set -eu; F='ffmpeg -hide_banner -loglevel error -nostdin -y'; export VIDEO_FORMAT=PAL\n\
        V='-f lavfi -i testsrc2=size=320x240:rate=25:duration=6'; A='-f lavfi -i sine=440:sample_rate=48000:duration=6'\n\
        X='-c:v libx264 -preset ultrafast -crf 28 -pix_fmt yuv420p'\n";
    let output = Command::new("bash").current_dir(folder).arg("-c").arg(format!("{prelude}{commands}")).output().expect("bash runs");
    assert!(output.status.success(), "{commands}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// `h264 320x240 1:1 yuv420p 25/1 L40 bt709` of a picture; `aac eng default "Title"` of a track.
fn described(film: &Path) -> (f64, Vec<String>, Vec<String>, Vec<String>) {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-of", "json", "-show_format", "-show_streams", "-i"]).arg(film);
    let value: Value = serde_json::from_slice(&command.output().expect("ffprobe runs").stdout).expect("JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (mut pictures, mut audio, mut subtitles) = (Vec::new(), Vec::new(), Vec::new());
    for stream in value["streams"].as_array().expect("a list") {
        let codec = text(&stream["codec_name"]);
        if stream["codec_type"] == "video" {
            let (width, height) = (&stream["width"], &stream["height"]);
            pictures.push(format!(
                "{codec} {width}x{height} {} {} {} L{} {}",
                text(&stream["sample_aspect_ratio"]),
                text(&stream["pix_fmt"]),
                text(&stream["r_frame_rate"]),
                stream["level"],
                text(&stream["color_transfer"]),
            ));
            continue;
        }
        let mut words = vec![codec, text(&stream["tags"]["language"])];
        let flags = stream["disposition"].as_object().into_iter().flatten();
        words.extend(flags.filter(|(_, set)| **set == 1).map(|(name, _)| name.clone()));
        let title = text(&stream["tags"]["title"]);
        if !title.is_empty() {
            words.push(format!("\"{title}\""));
        }
        words.retain(|word| !word.is_empty());
        if stream["codec_type"] == "audio" { &mut audio } else { &mut subtitles }.push(words.join(" "));
    }
    (text(&value["format"]["duration"]).parse().unwrap_or_default(), pictures, audio, subtitles)
}

/// All words in this order.
fn fits(found: &str, wanted: &str) -> bool {
    let mut found = found.split(' ');
    wanted.split(' ').all(|word| found.any(|known| known == word))
}

fn wrong(shares: &Shares, film: &Film) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, expected) in &film.library {
        let place = shares.in_library(path);
        if !place.exists() {
            wrong.push(format!("{path} is not in the library"));
            continue;
        }
        let (length, pictures, audio, subtitles) = described(&place);
        if expected.length.is_some_and(|wanted| (wanted - length).abs() > 0.3) {
            wrong.push(format!("{path} is {length} s long"));
        }
        if let Some(wanted) = &expected.picture
            && !pictures.first().is_some_and(|found| fits(found, wanted))
        {
            wrong.push(format!("{path} has the picture {pictures:?}, not {wanted}"));
        }
        for (found, wanted) in [(audio, &expected.audio), (subtitles, &expected.subtitles)] {
            if wanted.as_ref().is_some_and(|wanted| *wanted != found) {
                wrong.push(format!("{path} has {found:?}, not {wanted:?}"));
            }
        }
    }
    let ledger: Vec<Value> = fs::read_dir(shares.inbox("ledger"))
        .expect("a ledger")
        .map(|entry| serde_json::from_slice(&fs::read(entry.expect("listed").path()).expect("a record")).expect("JSON"))
        .collect();
    let own: Vec<&Value> = ledger
        .iter()
        .filter(|record| film.drop.iter().any(|path| record["path"].as_str().is_some_and(|known| Path::new(known).starts_with(path))))
        .collect();
    let stage = |is: &str, key: &str, words: &Option<String>| {
        let said: Vec<&str> =
            own.iter().filter(|record| record["stage"]["is"] == is).filter_map(|record| record["stage"][key].as_str()).collect();
        match words {
            Some(words) => {
                said.iter().any(|text| text.contains(words.as_str())).then_some(()).ok_or(format!("{is}: {said:?}, not {words}"))
            }
            None => said.is_empty().then_some(()).ok_or(format!("{is}: {said:?}")),
        }
    };
    wrong.extend(stage("failed", "reason", &film.failed).err());
    wrong.extend(stage("held", "question", &film.held).err());
    let remarks: Vec<&str> = own
        .iter()
        .flat_map(|record| {
            record["stage"]["remarks"]
                .as_array()
                .into_iter()
                .flatten()
                .chain(record["stage"]["published"]["remarks"].as_array().into_iter().flatten())
        })
        .filter_map(Value::as_str)
        .collect();
    for words in &film.says {
        if !remarks.iter().any(|remark| remark.contains(words.as_str())) {
            wrong.push(format!("it says {remarks:?}, not {words}"));
        }
    }
    wrong.extend(film.there.iter().filter(|path| !shares.inbox(path).exists()).map(|path| format!("{path} is gone")));
    wrong.extend(film.gone.iter().filter(|path| shares.inbox(path).exists()).map(|path| format!("{path} is still there")));
    wrong
}

#[test]
fn each_film_of_the_corpus_comes_out_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/films");
    let only = std::env::var("FILMS").unwrap_or_default();
    let mut wrongs = Vec::new();
    let mut files: Vec<PathBuf> = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("listed").path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.to_string_lossy().contains(&only)) {
        let group: Group =
            serde_yaml::from_str(&fs::read_to_string(file).expect("read")).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let shares = Shares::new(&group.settings.to_string());
        for (name, preset) in &group.presets {
            shares.setting_file(name, &preset.to_string());
        }
        let made = tempfile::tempdir().expect("a folder");
        shell(made.path(), &group.before);
        let _watcher = shares.watch();
        let mut unique = 0;
        for film in &group.films {
            shell(made.path(), &film.make);
            for (number, path) in film.drop.iter().enumerate() {
                unique += 1;
                let from = if film.drop.len() > 1 { format!("{}", number + 1) } else { String::new() };
                let source = made.path().join(format!("film{from}"));
                let source = if source.exists() { source } else { with_extension(made.path(), &format!("film{from}.")) };
                let to = shares.inbox("watch").join(path);
                fs::create_dir_all(to.parent().expect("a folder")).expect("made");
                fs::rename(&source, &to).expect("dropped");
                if number + 1 < film.drop.len() {
                    shares.wait("it to be taken", || !to.exists());
                    shares.wait("its end", || shares.all_ended());
                }
            }
        }
        assert!(unique > 0);
        shares.wait("the end of all", || {
            group.films.iter().all(|film| film.drop.iter().all(|path| !shares.inbox("watch").join(path).exists())) && shares.all_ended()
        });
        for film in &group.films {
            wrongs.extend(wrong(&shares, film).into_iter().map(|what| format!("{}: {what}", film.row)));
        }
    }
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
}

fn with_extension(folder: &Path, start: &str) -> PathBuf {
    let found = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("listed").path());
    found
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start)))
        .unwrap_or_else(|| panic!("no {start}"))
}
