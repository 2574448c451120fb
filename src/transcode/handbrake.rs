//! HandBrakeCLI: its arguments, and parsing of its output.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result};
use hostler_core::films::settings::Preset;
use serde::Deserialize;
use serde_json::Value;

pub const PROGRAM: &str = "HandBrakeCLI";

/// Useful output of `--json` on stdout.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// 0 to 1.
    Scanning(f64),
    Working(Working),
    Muxing,
    /// 0: no error.
    WorkDone(i64),
    Titles(Titles),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Working {
    /// 0 to 1, over all passes.
    pub done: f64,
    /// Frames per second.
    pub rate: f64,
    pub eta_seconds: Option<u64>,
}

/// `JSON Title Set`: the result of a scan.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Titles {
    /// Index of the main title of a disc; if unknown, 0 (HandBrake 1.6) or -1 (1.9).
    #[serde(default)]
    pub main_feature: i64,
    pub title_list: Vec<Title>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Title {
    pub index: u32,
    pub duration: Duration,
    #[serde(default)]
    pub audio_list: Vec<Track>,
    #[serde(default)]
    pub subtitle_list: Vec<Track>,
    #[serde(default)]
    pub chapter_list: Vec<Value>,
    /// The name in libavformat: `matroska,webm`.
    #[serde(default)]
    pub container: String,
    /// 0 DVD, 1 Blu-ray, 2 and 3 files.
    #[serde(default, rename = "Type")]
    pub kind: u32,
    #[serde(default)]
    pub interlace_detected: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Duration {
    /// 1/90000 of a second.
    pub ticks: u64,
}

/// An audio or subtitle track; its number is its position in the list, from 1.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Track {
    /// ISO 639-2; `und` if unknown.
    pub language_code: String,
    /// Of an audio track: `ac3`, `dca`, `aac`.
    #[serde(default)]
    pub codec_name: String,
}

impl Title {
    pub fn seconds(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "2^53 ticks are three thousand years")]
        let ticks = self.duration.ticks as f64;
        ticks / 90_000.0
    }

    /// Whether the container has the duration; for broadcast and MPEG streams HandBrake estimates it.
    pub fn exact(&self) -> bool {
        self.kind < 2 || self.container.contains("matroska") || self.container.contains("mp4")
    }
}

impl Titles {
    /// The film: the main title of the disc, else the longest title.
    pub fn film(&self) -> Option<&Title> {
        let main = self.title_list.iter().find(|title| i64::from(title.index) == self.main_feature);
        main.or_else(|| self.title_list.iter().max_by_key(|title| title.duration.ticks))
    }
}

/// Splits stdout into labeled objects (`Progress: {`, lines, `}`) as it arrives.
#[derive(Debug, Default)]
pub struct Reader {
    label: String,
    object: String,
    depth: usize,
}

impl Reader {
    /// Takes a line, and returns an answer if the line completes one.
    pub fn line(&mut self, line: &str) -> Option<Answer> {
        let mut text = line;
        if self.depth == 0 {
            // Other output may be on the same line, before the label.
            let (label, object) = line.split_once(": {")?;
            self.label = label.trim().to_owned();
            self.object.clear();
            text = &line[line.len() - object.len() - 1..];
        }
        self.object.push_str(text);
        self.object.push('\n');
        let mut in_string = false;
        let mut escaped = false;
        for byte in text.bytes() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                b'{' if !in_string => self.depth += 1,
                b'}' if !in_string => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        if self.depth > 0 {
            return None;
        }
        let value: Value = serde_json::from_str(&self.object).ok()?;
        match self.label.rsplit(' ').next()? {
            "Progress" => progress(&value),
            "Set" => Titles::deserialize(value).ok().map(Answer::Titles),
            _ => None,
        }
    }
}

fn progress(value: &Value) -> Option<Answer> {
    let number = |object: &Value, key: &str| object[key].as_f64().unwrap_or(0.0);
    Some(match value["State"].as_str()? {
        "SCANNING" => Answer::Scanning(number(&value["Scanning"], "Progress").clamp(0.0, 1.0)),
        "WORKING" => {
            let working = &value["Working"];
            let passes = number(working, "PassCount").max(1.0);
            let done = (number(working, "Pass").max(1.0) - 1.0 + number(working, "Progress")) / passes;
            let eta_seconds = working["ETASeconds"].as_u64().filter(|eta| *eta > 0);
            Answer::Working(Working { done: done.clamp(0.0, 1.0), rate: number(working, "Rate"), eta_seconds })
        }
        "MUXING" => Answer::Muxing,
        "WORKDONE" => Answer::WorkDone(value["WorkDone"]["Error"].as_i64().unwrap_or(-1)),
        _ => return None,
    })
}

/// From the log line `[12:00:00] sync: got 250 frames, 250 expected`: decoded frames, and frames expected by the duration.
pub fn frames(line: &str) -> Option<(u64, u64)> {
    let (_, counts) = line.split_once("sync: got ")?;
    let (got, expected) = counts.split_once(" frames, ")?;
    Some((got.parse().ok()?, expected.strip_suffix(" expected")?.parse().ok()?))
}

/// The rate of the decoded frames by their times, in frames per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// At the longest pause between two frames.
    pub slowest: f64,
    pub average: f64,
}

/// From HandBrake's log: `sync: framerate min 23.810 fps, max 29.970 fps, avg 25.996 fps`.
pub fn pace(line: &str) -> Option<Pace> {
    let (_, rates) = line.split_once("sync: framerate min ")?;
    let (slowest, rest) = rates.split_once(" fps, max ")?;
    let (_, average) = rest.split_once(" fps, avg ")?;
    Some(Pace { slowest: slowest.parse().ok()?, average: average.strip_suffix(" fps")?.parse().ok()? })
}

/// How to encode one title.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub arguments: Vec<OsString>,
    /// The number of audio and subtitle tracks of the result; `None` if a preset file decides.
    pub tracks: Option<(usize, usize)>,
}

/// Arguments that encode a title of `input` to `output`.
///
/// Without a preset file: x264, CRF 20, at most 1080p, constant frame rate (TV boxes stumble on a variable one), decomb, chapters; the first
/// audio track as AAC and as AC3 (copied if it is AC3), the others as AAC; subtitles unchanged.
///
/// # Errors
/// The preset's file can't be read, or has no preset of that name.
pub fn order(input: &Path, output: &Path, title: &Title, preset: Option<(&Preset, &Path)>, languages: &[String]) -> Result<Order> {
    let mut arguments: Vec<OsString> = vec!["--json".into(), "--input".into(), input.into(), "--output".into(), output.into()];
    arguments.extend(["--title".into(), title.index.to_string().into(), "--format".into(), "av_mkv".into()]);
    if let Some((preset, folder)) = preset {
        let file = folder.join(&preset.file);
        has_preset(&file, &preset.name)?;
        arguments.extend(["--preset-import-file".into(), file.into(), "--preset".into(), preset.name.clone().into()]);
        return Ok(Order { arguments, tracks: None });
    }
    let audio = chosen(&title.audio_list, languages, true);
    let subtitles = chosen(&title.subtitle_list, languages, false);
    let plain = "--markers --encoder x264 --encoder-preset slow --encoder-profile high --encoder-level 4.0 --encoder-tune film --quality 20 \
        --cfr --maxWidth 1920 --maxHeight 1080 --comb-detect --decomb";
    arguments.extend(plain.split_whitespace().map(OsString::from));
    let mut audio_tracks = 0;
    if audio.is_empty() {
        arguments.extend(["--audio".into(), "none".into()]);
    } else {
        // The first track twice: players with a receiver use AC3, others AAC.
        let tracks: Vec<usize> = audio.first().into_iter().chain(&audio).copied().collect();
        // HandBrake drops a track that should be copied as AC3 and is not AC3, even with `--audio-fallback` (1.6.1).
        let is_ac3 = audio.first().and_then(|number| title.audio_list.get(number - 1)).is_some_and(|track| track.codec_name == "ac3");
        let second = if is_ac3 { "copy:ac3" } else { "ac3" };
        let encoders: Vec<&str> = (0..tracks.len()).map(|place| if place == 1 { second } else { "av_aac" }).collect();
        arguments.extend(["--audio".into(), list(&tracks).into(), "--aencoder".into(), encoders.join(",").into()]);
        audio_tracks = tracks.len();
    }
    let subtitle_list = if subtitles.is_empty() { "none".to_owned() } else { list(&subtitles) };
    arguments.extend(["--subtitle".into(), subtitle_list.into()]);
    Ok(Order { arguments, tracks: Some((audio_tracks, subtitles.len())) })
}

fn list(numbers: &[usize]) -> String {
    numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

/// Numbers of the tracks in the desired languages, those of the preferred language first. If no track matches, `all_otherwise` selects all,
/// so that a film is never silent.
fn chosen(tracks: &[Track], languages: &[String], all_otherwise: bool) -> Vec<usize> {
    let numbered = || tracks.iter().enumerate().map(|(place, track)| (place + 1, track));
    let all = || numbered().map(|(number, _)| number).collect();
    if languages.is_empty() {
        return all();
    }
    let mut chosen: Vec<usize> = Vec::new();
    for language in languages {
        chosen.extend(numbered().filter(|(_, track)| same_language(&track.language_code, language)).map(|(number, _)| number));
    }
    chosen.extend(numbered().filter(|(_, track)| matches!(track.language_code.as_str(), "" | "und")).map(|(number, _)| number));
    if chosen.is_empty() && all_otherwise { all() } else { chosen }
}

/// ISO 639-2 has two codes for some languages: files have one, users write the other.
fn same_language(one: &str, other: &str) -> bool {
    const TWINS: [(&str, &str); 20] = [
        ("sqi", "alb"),
        ("hye", "arm"),
        ("eus", "baq"),
        ("mya", "bur"),
        ("zho", "chi"),
        ("ces", "cze"),
        ("nld", "dut"),
        ("fra", "fre"),
        ("kat", "geo"),
        ("deu", "ger"),
        ("ell", "gre"),
        ("isl", "ice"),
        ("mkd", "mac"),
        ("mri", "mao"),
        ("msa", "may"),
        ("fas", "per"),
        ("ron", "rum"),
        ("slk", "slo"),
        ("bod", "tib"),
        ("cym", "wel"),
    ];
    one == other || TWINS.contains(&(one, other)) || TWINS.contains(&(other, one))
}

/// With a name that is not in the file, HandBrake would end with status 2, as for a damaged film.
fn has_preset(file: &Path, name: &str) -> Result<()> {
    fn names(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                if object.get("Folder").and_then(Value::as_bool) != Some(true) {
                    found.extend(object.get("PresetName").and_then(Value::as_str).map(str::to_owned));
                }
                object.values().for_each(|value| names(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| names(value, found)),
            _ => {}
        }
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("preset {} can't be read", file.display()))?;
    let value = serde_json::from_str(&text).with_context(|| format!("preset {} is not JSON as HandBrake exports it", file.display()))?;
    let mut found = Vec::new();
    names(&value, &mut found);
    anyhow::ensure!(found.iter().any(|known| known == name), "{} has no preset `{name}`; it has {found:?}", file.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCAN: &str = r#"JSON Title Set: {
    "MainFeature": 0,
    "TitleList": [
        {"Index": 1, "Duration": {"Ticks": 900000}, "Name": "a { \" b", "Container": "matroska,webm", "Type": 3,
         "AudioList": [{"LanguageCode": "deu", "CodecName": "dca"}, {"LanguageCode": "eng", "CodecName": "ac3"}, {"LanguageCode": "und"}],
         "SubtitleList": [{"LanguageCode": "fra"}, {"LanguageCode": "eng"}]},
        {"Index": 2, "Duration": {"Ticks": 9000}}
    ]
}"#;

    fn titles() -> Titles {
        let mut reader = Reader::default();
        let answers: Vec<Answer> = SCAN.lines().filter_map(|line| reader.line(line)).collect();
        let [Answer::Titles(titles)] = &answers[..] else { panic!("{answers:?}") };
        titles.clone()
    }

    #[test]
    fn answers_over_several_lines_are_parsed() {
        let text = "Version: {\n \"Name\": \"HandBrake\"\n}\nnoise\nProgress: {\n \"State\": \"WORKING\",\n \"Working\": {\n  \"ETASeconds\": 7,\n\
            \"Pass\": 2, \"PassCount\": 2, \"Progress\": 0.5, \"Rate\": 31.5\n }\n}\nProgress: {\"State\": \"WORKDONE\", \"WorkDone\": {\"Error\": 0}}";
        let mut reader = Reader::default();
        let answers: Vec<Answer> = text.lines().filter_map(|line| reader.line(line)).collect();
        let working = Working { done: 0.75, rate: 31.5, eta_seconds: Some(7) };
        assert_eq!(answers, [Answer::Working(working), Answer::WorkDone(0)]);
    }

    #[test]
    fn a_scan_finds_the_longest_title() {
        let titles = titles();
        let film = titles.film().expect("a title");
        assert_eq!((film.index, film.audio_list.len()), (1, 3));
        assert!((film.seconds() - 10.0).abs() < 1e-9);
        let disc = Titles { main_feature: 2, ..titles.clone() };
        assert_eq!(disc.film().expect("a title").index, 2);
        let disc: Titles = serde_json::from_str(r#"{"MainFeature": -1, "TitleList": []}"#).expect("HandBrake 1.9 says so");
        assert_eq!(Titles { title_list: titles.title_list, ..disc }.film().expect("a title").index, 1);
    }

    #[test]
    fn frames_are_found_in_the_log() {
        assert_eq!(frames("[23:21:12] sync: got 41 frames, 250 expected"), Some((41, 250)));
        assert_eq!(frames("[23:21:12] sync: got"), None);
        let line = "[10:16:47] sync: framerate min 23.810 fps, max 29.970 fps, avg 25.996 fps";
        assert_eq!(pace(line), Some(Pace { slowest: 23.81, average: 25.996 }));
        assert_eq!(pace("[10:16:47] sync: framerate min 23.810 fps"), None);
    }

    #[test]
    fn tracks_are_chosen_by_language() {
        let film = titles().film().expect("a title").clone();
        let tracks = |languages: &[&str]| {
            let languages: Vec<String> = languages.iter().map(|language| (*language).to_owned()).collect();
            (chosen(&film.audio_list, &languages, true), chosen(&film.subtitle_list, &languages, false))
        };
        assert_eq!(tracks(&["eng"]), (vec![2, 3], vec![2]));
        assert_eq!(tracks(&["eng", "ger"]), (vec![2, 1, 3], vec![2]));
        assert_eq!(tracks(&[]), (vec![1, 2, 3], vec![1, 2]));
        let german = [Track { language_code: "deu".to_owned(), codec_name: String::new() }];
        assert_eq!(chosen(&german, &["eng".to_owned()], true), [1], "never silent");
    }

    #[test]
    fn names_are_single_arguments() {
        let order = order(Path::new("-rf $(reboot)\n'.mkv"), Path::new("out.mkv"), &titles().title_list[0], None, &["eng".to_owned()]);
        let order = order.expect("no preset is read");
        assert!(order.arguments.contains(&OsString::from("-rf $(reboot)\n'.mkv")));
        let words: Vec<String> = order.arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        assert!(words.join(" ").contains("--audio 2,2,3 --aencoder av_aac,copy:ac3,av_aac"), "{words:?}");
        assert_eq!(order.tracks, Some((3, 1)));
    }

    #[test]
    fn only_what_is_ac3_is_copied_as_such() {
        let order =
            order(Path::new("in"), Path::new("out"), &titles().title_list[0], None, &["deu".to_owned()]).expect("no preset is read");
        let words: Vec<String> = order.arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        assert!(words.join(" ").contains("--audio 1,1,3 --aencoder av_aac,ac3,av_aac"), "{words:?}");
    }

    #[test]
    fn a_preset_that_is_not_in_its_file_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("cartoons.json");
        std::fs::write(&file, r#"{"PresetList": [{"Folder": true, "PresetName": "Mine", "ChildrenArray": [{"PresetName": "Cartoons"}]}]}"#)
            .expect("written");
        let order = |name: &str| {
            let preset = Preset { file: "cartoons.json".into(), name: name.to_owned() };
            order(Path::new("in"), Path::new("out"), &titles().title_list[0], Some((&preset, folder.path())), &[])
        };
        assert!(order("Cartoons").is_ok());
        assert!(order("Mine").expect_err("a folder").to_string().contains(r#"it has ["Cartoons"]"#));
    }
}
