//! The inventory's `transcode:` section as settings of the pods: one JSON file, mounted from a ConfigMap.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use indexmap::IndexMap;
use jiff::civil::Time;
use serde::{Deserialize, Serialize};

use super::encoder::{self, EncoderChoice};

/// `settings.json`, with presets next to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Films in `watch/NAME` are published to `NAME` in the library.
    pub folders: IndexMap<String, Folder>,
    /// ISO 639-2 codes, the preferred one first. Audio and subtitles in other languages are dropped; empty: keep all.
    #[serde(default)]
    pub languages: Vec<String>,
    #[serde(default)]
    pub originals: Originals,
    /// When films may be started; `None`: always.
    #[serde(default)]
    pub hours: Option<Hours>,
    /// The machines that encode, by name, each with its own hours and encoders; empty: all encode alike, during [`Settings::hours`].
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub machines: IndexMap<String, Encoding>,
    /// Whether machines encode with Quick Sync where that works.
    #[serde(default, skip_serializing_if = "EncoderChoice::is_software")]
    pub encoder: EncoderChoice,
    /// Seconds without a change of size and time after which a film counts as complete.
    #[serde(default = "default_stable")]
    pub stable_seconds: u64,
    /// Number of Jobs at once: one for each encoder, plus one waiting, so that none is idle.
    #[serde(default = "default_at_once")]
    pub at_once: usize,
    /// Bytes to keep free on the inbox; `None`: what [`Settings::reserve`] and [`Settings::short`] say.
    #[serde(default)]
    pub reserve: Option<u64>,
    /// Percent that an encoding must save, or the original's streams are published instead; `None`: the encoding is published, whatever its
    /// size.
    #[serde(default = "default_min_saving")]
    pub min_saving: Option<u32>,
    /// Seconds that a piece of a film has at least, when several machines encode one film; `None`: each film is encoded by one machine.
    #[serde(default = "default_split", skip_serializing_if = "is_default_split")]
    pub split: Option<u64>,
    /// Number of attempts before a film counts as failed.
    #[serde(default = "default_attempts")]
    pub attempts: u32,
    #[serde(default)]
    pub media_servers: Vec<MediaServer>,
    /// The file with the URL where to send notifications (ntfy or a webhook): it may be a secret.
    #[serde(default)]
    pub notify: Option<PathBuf>,
    /// Whether lost machines are reported by others: a message about each is enough.
    #[serde(default)]
    pub others_report_machines: bool,
}

/// When and what a machine encodes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Encoding {
    /// When it may start a film; `None`: always.
    #[serde(default)]
    pub hours: Option<Hours>,
    /// Families of encoders, as [`family`] returns them; empty: all.
    #[serde(default)]
    pub encoders: Vec<String>,
}

impl Encoding {
    /// Whether the machine encodes with that family of encoders.
    pub fn can(&self, family: &str) -> bool {
        self.encoders.is_empty() || self.encoders.iter().any(|known| known == family)
    }

    /// Whether it may encode with Quick Sync.
    pub fn can_hardware(&self) -> bool {
        encoder::TRIED.iter().any(|family| encoder::is_hardware(family) && self.can(family))
    }
}

/// The family of one of HandBrake's encoders: `x265` for `x265_10bit`.
pub fn family(encoder: &str) -> &str {
    encoder.rsplit_once('_').filter(|(_, depth)| depth.ends_with("bit")).map_or(encoder, |(family, _)| family)
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Folder {
    /// `None`: hostler's own, for TV boxes.
    #[serde(default)]
    pub preset: Option<Preset>,
    /// What hostler's own preset aims at; `None`: its CRF.
    #[serde(default)]
    pub quality: Option<Quality>,
    /// Which titles of a disc are films.
    #[serde(default)]
    pub titles: Titles,
    /// What becomes of the sound.
    #[serde(default)]
    pub audio: Audio,
    /// What is published first.
    #[serde(default)]
    pub publish: Publish,
}

/// A score that a film is to have, whatever CRF that takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Quality {
    Best,
    Good,
    Small,
}

impl Quality {
    /// The least mean SSIM of the luma of samples, in the size of the encoded film.
    pub fn score(self) -> f64 {
        match self {
            Quality::Best => 0.985,
            Quality::Good => 0.97,
            Quality::Small => 0.95,
        }
    }

    /// The CRF of a film whose samples can't be scored.
    pub fn usual(self) -> u32 {
        match self {
            Quality::Best => 18,
            Quality::Good => 20,
            Quality::Small => 24,
        }
    }
}

/// What of a film is published first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Publish {
    #[default]
    Encoded,
    /// The original's streams, which the encoded film replaces later.
    Original,
}

/// Which titles of a disc are films.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Titles {
    /// Each title of a film's length, except one that plays the others in a row.
    #[default]
    All,
    /// The longest one.
    Longest,
}

/// What becomes of the sound, with hostler's own preset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Audio {
    /// AAC, and the first track also as AC3.
    #[default]
    Encoded,
    /// The original's tracks, unchanged.
    Original,
}

/// A preset exported from HandBrake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preset {
    /// Relative to the folder of the settings.
    pub file: PathBuf,
    /// Its `PresetName`.
    pub name: String,
    /// Whether it encodes with Quick Sync.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hardware: bool,
}

/// How long originals are kept in the trash. The oldest one is deleted first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Originals {
    /// `None`: forever.
    #[serde(default = "default_keep")]
    pub keep_days: Option<u32>,
    /// Bytes.
    #[serde(default)]
    pub at_most: Option<u64>,
}

impl Default for Originals {
    fn default() -> Originals {
        Originals { keep_days: default_keep(), at_most: None }
    }
}

/// `22:00-07:00`, in the time zone of the watcher's `TZ`, without the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    pub from: Time,
    pub to: Time,
}

/// The media server to notify of changed folders in the library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MediaServer {
    pub kind: MediaServerKind,
    /// `http://192.168.1.3:32400`
    pub url: String,
    /// A file that holds the token, mounted from a Secret.
    pub token_file: PathBuf,
    /// The path of the library's root on the server. For Plex it is queried if this is missing.
    #[serde(default)]
    pub library_as_seen: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MediaServerKind {
    Plex,
    Jellyfin,
}

impl MediaServerKind {
    pub const ALL: [MediaServerKind; 2] = [MediaServerKind::Plex, MediaServerKind::Jellyfin];

    /// Its key in the inventory, the file with its token in pods, and the end of the name of the Secret with it.
    pub fn key(self) -> &'static str {
        match self {
            MediaServerKind::Plex => "plex",
            MediaServerKind::Jellyfin => "jellyfin",
        }
    }
}

impl fmt::Display for MediaServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MediaServerKind::Plex => "Plex",
            MediaServerKind::Jellyfin => "Jellyfin",
        })
    }
}

fn default_stable() -> u64 {
    30
}

fn default_at_once() -> usize {
    4
}

#[expect(clippy::unnecessary_wraps, reason = "a default of serde has the field's type")]
fn default_min_saving() -> Option<u32> {
    Some(10)
}

#[expect(clippy::unnecessary_wraps, reason = "a default of serde has the field's type")]
fn default_split() -> Option<u64> {
    Some(600)
}

fn is_default_split(split: &Option<u64>) -> bool {
    *split == default_split()
}

fn default_attempts() -> u32 {
    4
}

#[expect(clippy::unnecessary_wraps, reason = "a default of serde has the field's type")]
fn default_keep() -> Option<u32> {
    Some(60)
}

/// Bytes.
const LEAST_RESERVE: u64 = 5 << 30;
const MOST_SHORT: u64 = 100_000_000_000;

impl Default for Settings {
    /// All except the folders.
    fn default() -> Settings {
        Settings {
            folders: IndexMap::new(),
            languages: Vec::new(),
            originals: Originals::default(),
            hours: None,
            machines: IndexMap::new(),
            encoder: EncoderChoice::default(),
            stable_seconds: default_stable(),
            at_once: default_at_once(),
            reserve: None,
            min_saving: default_min_saving(),
            split: default_split(),
            attempts: default_attempts(),
            media_servers: Vec::new(),
            notify: None,
            others_report_machines: false,
        }
    }
}

impl Settings {
    /// Parses the text of a settings file.
    ///
    /// # Errors
    /// It is not valid; the message has the position.
    pub fn parse(text: &str) -> Result<Settings> {
        let settings: Settings = serde_json::from_str(text).context("the settings are not valid")?;
        settings.check()?;
        Ok(settings)
    }

    /// Whether films of that folder are encoded with Quick Sync where it works. A CRF that samples have found is one of the processor's encoders.
    pub fn takes_hardware(&self, folder: &str) -> bool {
        let Some(Folder { preset, quality, .. }) = self.folders.get(folder) else { return false };
        self.encoder == EncoderChoice::Auto && preset.as_ref().map_or(quality.is_none(), |preset| preset.hardware)
    }

    /// Bytes of the inbox that no film may take.
    pub fn reserve(&self) -> u64 {
        self.reserve.unwrap_or(LEAST_RESERVE)
    }

    /// Bytes: with less, room is short, and its owner is told. `largest`: the size of the largest film that is known.
    pub fn short(&self, largest: u64) -> u64 {
        self.reserve.unwrap_or(largest.saturating_mul(2).clamp(2 * LEAST_RESERVE, MOST_SHORT))
    }

    fn check(&self) -> Result<()> {
        ensure!(!self.folders.is_empty(), "`folders` is empty\nhint: write `folders: {{Movies: {{}}}}` to process films in watch/Movies");
        for name in self.folders.keys() {
            let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
            ensure!(plain, "`{name}` is not a valid folder name");
        }
        Ok(())
    }
}

impl Hours {
    pub fn contain(&self, time: Time) -> bool {
        if self.from <= self.to { self.from <= time && time < self.to } else { self.from <= time || time < self.to }
    }
}

impl TryFrom<String> for Hours {
    type Error = String;

    fn try_from(text: String) -> Result<Hours, String> {
        let wrong = || format!("`{text}` is not a valid time range\nhint: write a start and a different end, like \"22:00-07:00\"");
        let (from, to) = text.split_once('-').ok_or_else(wrong)?;
        let time = |text: &str| Time::strptime("%H:%M", text.trim()).map_err(|_| wrong());
        let (from, to) = (time(from)?, time(to)?);
        if from == to { Err(wrong()) } else { Ok(Hours { from, to }) }
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> String {
        format!("{}-{}", hours.from.strftime("%H:%M"), hours.to.strftime("%H:%M"))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::time;

    use super::*;

    #[test]
    fn missing_settings_have_defaults() {
        let settings: Settings = serde_json::from_str(r#"{"folders": {"Movies": {}}}"#).expect("valid");
        assert_eq!(settings.stable_seconds, 30);
        assert_eq!((settings.reserve(), settings.short(0)), (5 << 30, 10 << 30));
        // Two of the largest films, and 100 GB at most.
        assert_eq!([8, 25, 45, 90].map(|size| settings.short(size * 1_000_000_000) / 1_000_000_000), [16, 50, 90, 100]);
        assert_eq!(settings.originals, Originals { keep_days: Some(60), at_most: None });
        let forever: Settings = serde_json::from_str(r#"{"folders": {"Movies": {}}, "originals": {"keepDays": null}}"#).expect("valid");
        assert_eq!(forever.originals.keep_days, None);
    }

    #[test]
    fn settings_survive_a_round_trip() {
        let text = r#"{"folders":{"Cartoons":{"preset":{"file":"cartoons.json","name":"Cartoons"}}},"languages":["eng"],"hours":"22:00-07:00",
            "mediaServers":[{"kind":"plex","url":"http://192.168.1.3:32400","tokenFile":"/secret/token"}]}"#;
        let settings: Settings = serde_json::from_str(text).expect("valid");
        let again = serde_json::from_str(&serde_json::to_string(&settings).expect("plain data")).expect("valid");
        assert_eq!(settings, again);
    }

    #[test]
    fn invalid_settings_are_refused() {
        let refused = |text: &str| match serde_json::from_str::<Settings>(text) {
            Ok(settings) => settings.check().expect_err("wrong").to_string(),
            Err(error) => error.to_string(),
        };
        assert!(refused(r#"{"folders": {}}"#).contains("is empty"));
        assert!(refused(r#"{"folders": {"../etc": {}}}"#).contains("is not a valid folder name"));
        assert!(refused(r#"{"folders": {"Movies": {}}, "hours": "22-7"}"#).contains("not a valid time range"));
        assert!(refused(r#"{"folders": {"Movies": {}}, "langauges": []}"#).contains("langauges"));
    }

    #[test]
    fn hours_may_pass_midnight() {
        let night = Hours::try_from("22:00-07:00".to_owned()).expect("valid");
        let inside = |hour, minute| night.contain(time(hour, minute, 0, 0));
        assert_eq!([inside(21, 59), inside(22, 0), inside(3, 0), inside(6, 59), inside(7, 0)], [false, true, true, true, false]);
        let day = Hours::try_from("09:00-17:30".to_owned()).expect("valid");
        assert!(day.contain(time(17, 29, 0, 0)) && !day.contain(time(17, 30, 0, 0)) && !day.contain(time(3, 0, 0, 0)));
    }
}
