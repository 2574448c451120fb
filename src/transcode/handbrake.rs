//! HandBrakeCLI: its arguments, and parsing of its output.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::user_file;

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
    #[serde(default)]
    pub frame_rate: Fraction,
    #[serde(default)]
    pub color: Color,
    #[serde(default)]
    pub geometry: Geometry,
    /// Rows and columns to cut off: top, bottom, left, right.
    #[serde(default)]
    pub crop: [u32; 4],
    /// Of a disc: its volume label.
    #[serde(default)]
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Fraction {
    pub num: u32,
    pub den: u32,
}

/// Of the picture as it is stored, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Geometry {
    pub width: u32,
    pub height: u32,
}

/// Numbers of ITU-T H.273.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Color {
    pub transfer: i64,
    pub primary: i64,
}

impl Color {
    /// PQ, as HDR10 has it, or HLG.
    pub fn is_hdr(self) -> bool {
        matches!(self.transfer, 16 | 18)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Duration {
    /// 1/90000 of a second.
    pub ticks: u64,
}

impl Duration {
    pub fn of(seconds: f64) -> Duration {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no film is that long")]
        let ticks = (seconds.max(0.0) * 90_000.0) as u64;
        Duration { ticks }
    }
}

/// An audio or subtitle track; its number is its position in the list, from 1.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Track {
    /// ISO 639-2; `und` if unknown.
    pub language_code: String,
    /// Of an audio track: `ac3`, `dca`, `aac`.
    pub codec_name: String,
    /// Of a subtitle track: `UTF-8`, `SSA`, `TX3G`, `PGS`, `VOBSUB`.
    pub source_name: String,
    /// As its author called it.
    pub name: String,
    pub attributes: Flags,
}

/// What a track is for. HandBrake does not know all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Flags {
    pub default: bool,
    pub forced: bool,
    pub commentary: bool,
    /// A DVD's second commentary.
    pub alt_commentary: bool,
    /// Describes the picture.
    pub visually_impaired: bool,
    /// Describes the sound.
    pub hearing_impaired: bool,
    /// In the language that the film was made in.
    pub original: bool,
}

impl Title {
    pub fn seconds(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "2^53 ticks are three thousand years")]
        let ticks = self.duration.ticks as f64;
        ticks / 90_000.0
    }

    /// Frames per second; 0 if unknown.
    pub fn rate(&self) -> f64 {
        if self.frame_rate.den == 0 { 0.0 } else { f64::from(self.frame_rate.num) / f64::from(self.frame_rate.den) }
    }

    /// Whether it is one of a disc's titles.
    pub fn on_disc(&self) -> bool {
        self.kind < 2
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

/// A preset of a file that HandBrake exported. With a name that is not in the file, HandBrake would end with status 2, as for a damaged
/// film.
///
/// # Errors
/// The file can't be read, or has no preset of that name.
pub fn preset(file: &Path, name: &str) -> Result<Value> {
    fn collect<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
        match value {
            Value::Object(object) => {
                if object.get("Folder").and_then(Value::as_bool) != Some(true) && object.get("PresetName").is_some() {
                    found.push(value);
                }
                object.values().for_each(|value| collect(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let text = user_file::text(file).with_context(|| format!("preset {} can't be read", file.display()))?;
    let value: Value = serde_json::from_str(&text)
        .with_context(|| format!("preset {} is not a valid JSON file as exported by HandBrake", file.display()))?;
    let mut found = Vec::new();
    collect(&value, &mut found);
    let named = found.iter().find(|preset| preset["PresetName"] == name);
    let known = || found.iter().filter_map(|preset| preset["PresetName"].as_str()).collect::<Vec<_>>();
    named.copied().cloned().with_context(|| format!("{} has no preset `{name}`; it has {:?}", file.display(), known()))
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
    fn a_preset_that_is_not_in_its_file_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("cartoons.json");
        std::fs::write(&file, r#"{"PresetList": [{"Folder": true, "PresetName": "Mine", "ChildrenArray": [{"PresetName": "Cartoons"}]}]}"#)
            .expect("written");
        let order = |name: &str| preset(&file, name);
        assert!(order("Cartoons").is_ok());
        assert!(order("Mine").expect_err("a folder").to_string().contains(r#"it has ["Cartoons"]"#));
    }
}
