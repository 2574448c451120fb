//! `tests/films/*.yaml`: films by their recipes, and what is to come of each. `docs/films-tested.md` is made of them: `UPDATE=1` rewrites it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::shares::Shares;

/// One file: films that go through one watcher.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    settings: Value,
    /// Scripts that are found before the programs of these names.
    #[serde(default)]
    programs: BTreeMap<String, String>,
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
    /// It stays where it is, and is listed with a reason that has these words.
    #[serde(default)]
    listed: Option<String>,
    /// It stays where it is, and is not listed.
    #[serde(default)]
    ignored: bool,
    /// Further files in the library.
    #[serde(default)]
    beside: Vec<String>,
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

/// A test of its own, for what is not in a film itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Other {
    row: String,
    test: String,
}

/// A film's share of the time for all of its file, on a busy computer.
const FILM: Duration = Duration::from_secs(120);
const OTHERS: &str = "tests.yaml";

impl Film {
    fn stays(&self) -> bool {
        self.ignored || self.listed.is_some()
    }
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
    /// Whether it was compared with its original.
    measured: bool,
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
        let second = path.replace(".mkv", " (2).mkv");
        if shares.in_library(&second).exists() && !film.library.contains_key(&second) {
            wrong.push(format!("{second} is in the library, too"));
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
    let measured = |path: &str| {
        own.iter().any(|record| {
            let published = &record["stage"]["published"];
            std::iter::once(published).chain(published["more"].as_array().into_iter().flatten()).any(|file| {
                let here = file["path"].as_str().is_some_and(|known| known == path);
                here && file["measured"]["worst"].is_array() && file["measured"]["score"].is_number()
            })
        })
    };
    wrong.extend(
        film.library
            .iter()
            .filter(|(path, expected)| expected.measured && !measured(path))
            .map(|(path, _)| format!("{path} was not compared with its original")),
    );
    wrong.extend(film.beside.iter().filter(|path| !shares.in_library(path).exists()).map(|path| format!("{path} is not in the library")));
    if film.stays() {
        let status: Value = serde_json::from_str(&shares.status()).expect("JSON");
        let listed: Vec<&str> = status["arriving"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|entry| entry[0].as_str() == Some(film.drop[0].as_str()))
            .filter_map(|entry| entry[2].as_str())
            .collect();
        let fits = match &film.listed {
            Some(words) => listed.iter().any(|why| why.contains(words.as_str())),
            None => listed.is_empty(),
        };
        if !fits {
            wrong.push(format!("it is listed with {listed:?}, not {:?}", film.listed));
        }
        if !shares.inbox("watch").join(&film.drop[0]).exists() {
            wrong.push("it was taken".to_owned());
        }
    }
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
    let only = std::env::var("FILMS").unwrap_or_default();
    let mut wrongs = Vec::new();
    for (file, group) in groups().into_iter().filter(|(file, _)| file.contains(&only)) {
        let shares = Shares::new(&group.settings.to_string());
        for (name, preset) in &group.presets {
            shares.setting_file(name, &preset.to_string());
        }
        for (name, script) in &group.programs {
            shares.program(name, script);
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
        let limit = FILM * u32::try_from(group.films.len()).expect("few") + FILM;
        shares.wait_for("the end of all", limit, || {
            let taken = |film: &Film| film.drop.iter().all(|path| !shares.inbox("watch").join(path).exists());
            group.films.iter().filter(|film| !film.stays()).all(taken) && shares.all_ended()
        });
        for film in &group.films {
            wrongs.extend(wrong(&shares, film).into_iter().map(|what| format!("{file}: {}: {what}", film.row)));
        }
    }
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
}

/// A film of the corpus, by its file and row.
pub fn made(file: &str, row: &str) -> Vec<u8> {
    let groups = groups();
    let group = &groups[file];
    let film = group.films.iter().find(|film| film.row == row).expect("a row");
    let place = tempfile::tempdir().expect("a folder");
    shell(place.path(), &group.before);
    shell(place.path(), &film.make);
    fs::read(with_extension(place.path(), "film.")).expect("read")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/films")
}

/// All files but [`OTHERS`], by their names.
fn groups() -> BTreeMap<String, Group> {
    let names = fs::read_dir(folder()).expect("a folder").map(|entry| entry.expect("listed").file_name().into_string().expect("a name"));
    let read = |name: String| {
        let text = fs::read_to_string(folder().join(&name)).expect("read");
        let group = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, group)
    };
    names.filter(|name| name != OTHERS).map(read).collect()
}

/// A file's first line says what its rows are about.
fn heading(name: &str) -> String {
    let text = fs::read_to_string(folder().join(name)).expect("read");
    text.lines().next().and_then(|line| line.strip_prefix("# ")).expect("a comment comes first").to_owned()
}

/// For a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('`', "'")
}

fn result(film: &Film) -> String {
    let mut results = Vec::new();
    for (path, expected) in &film.library {
        let tracks = |what: &str, list: &Option<Vec<String>>| {
            list.as_ref().map(|list| if list.is_empty() { format!("no {what}") } else { format!("{what}: {}", list.join("; ")) })
        };
        let known = expected.length.map(|length| format!("{length} s")).into_iter();
        let known = known.chain(expected.picture.clone()).chain(tracks("sound", &expected.audio));
        let known = known.chain(tracks("subtitles", &expected.subtitles)).chain(expected.measured.then(|| "compared".to_owned()));
        let known = known.collect::<Vec<_>>().join(", ");
        results.push(if known.is_empty() { format!("`{}`", cell(path)) } else { format!("`{}` ({})", cell(path), cell(&known)) });
    }
    results.extend(film.beside.iter().map(|path| format!("`{}`", cell(path))));
    results.extend(film.says.iter().map(|words| format!("says: {}", cell(words))));
    results.extend(film.failed.iter().map(|words| format!("fails: {}", cell(words))));
    results.extend(film.held.iter().map(|words| format!("is held: {}", cell(words))));
    results.extend(film.listed.iter().map(|words| format!("is not taken, and listed: {}", cell(words))));
    results.extend(film.ignored.then(|| "is left alone".to_owned()));
    results.join("<br>")
}

#[test]
fn the_table_of_tested_films_is_made_of_their_recipes() {
    use std::fmt::Write as _;
    let groups = groups();
    let rows: usize = groups.values().map(|group| group.films.len()).sum();
    assert!(rows >= 80, "{rows} films");
    let mut text = format!(
        "# Films that were tested\n\nThis page lists {rows} films that a test makes, drops and compares with what is written here. Each is at most ten \
         seconds\nlong. It is made from `tests/films` by `tests/transcode/corpus.rs`: do not edit it.\n"
    );
    for (name, group) in &groups {
        let _ = write!(text, "\n## {}\n\n| film | dropped as | result |\n|---|---|---|\n", heading(name).trim_end_matches('.'));
        for film in &group.films {
            let dropped: Vec<String> = film.drop.iter().map(|path| format!("`{}`", cell(path))).collect();
            let _ = writeln!(text, "| {} | {} | {} |", cell(&film.row), dropped.join(", "), result(film));
        }
    }
    let others: Vec<Other> = serde_yaml::from_str(&fs::read_to_string(folder().join(OTHERS)).expect("read")).expect("valid");
    let _ = write!(text, "\n## {}\n\n| fault | test |\n|---|---|\n", heading(OTHERS).trim_end_matches('.'));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources: String = fs::read_dir(root.join("tests/transcode"))
        .expect("a folder")
        .map(|entry| fs::read_to_string(entry.expect("listed").path()).expect("read"))
        .collect();
    for Other { row, test } in others {
        assert!(sources.contains(&format!("fn {test}()")), "there is no test {test}");
        let _ = writeln!(text, "| {} | `{test}` |", cell(&row));
    }
    let page = root.join("docs/films-tested.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&page, &text).expect("written");
    }
    assert_eq!(fs::read_to_string(page).expect("read"), text, "UPDATE=1 rewrites docs/films-tested.md");
}

fn with_extension(folder: &Path, start: &str) -> PathBuf {
    let found = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("listed").path());
    found
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start)))
        .unwrap_or_else(|| panic!("no {start}"))
}
