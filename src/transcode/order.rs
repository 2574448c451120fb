//! What HandBrakeCLI is told: the picture by the original's, and the tracks that stay, in which order.

use std::ffi::OsString;
use std::path::Path;

use anyhow::Result;
use hostler_core::films::encoder::is_hardware;
use hostler_core::films::language;
use hostler_core::films::settings::{Audio, Preset};
use serde_json::Value;

use super::ffmpeg::Probe;
use super::handbrake::{self, Flags, Title, Track};
use super::measure::Crop;

/// How to encode one title.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub arguments: Vec<OsString>,
    /// The tracks of the result; `None` if a preset file decides.
    pub tracks: Option<Tracks>,
    /// Whether the result is HDR.
    pub hdr: bool,
    /// Whether the colors are others than the original's.
    pub converted: bool,
    /// The original's audio track that is the first of the result, from 0; `None`: there is none, or a preset file decides.
    pub sound: Option<usize>,
    /// For the user.
    pub remarks: Vec<String>,
}

/// Tracks in the order of the result.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tracks {
    pub audio: Vec<Track>,
    pub subtitles: Vec<Track>,
}

/// What a user's settings say.
#[derive(Debug, Clone)]
pub struct Wishes<'a> {
    /// A preset, and the folder that it is in.
    pub preset: Option<(&'a Preset, &'a Path)>,
    pub languages: &'a [String],
    pub audio: Audio,
    /// `None`: the preset's.
    pub crf: Option<u32>,
    /// As HandBrake calls it: [`encoder`], or what stands in for that.
    pub encoder: String,
}

/// Frames per second up to which H.264 in 1080p is of level 4.0; HandBrake 1.6 says so.
const FASTEST_OF_LEVEL_4: f64 = 30.2;
/// Rates that HandBrake knows.
const RATES: [(&str, f64); 12] = [
    ("10", 10.0),
    ("12", 12.0),
    ("15", 15.0),
    ("20", 20.0),
    ("23.976", 24000.0 / 1001.0),
    ("24", 24.0),
    ("25", 25.0),
    ("29.97", 30000.0 / 1001.0),
    ("30", 30.0),
    ("50", 50.0),
    ("59.94", 60000.0 / 1001.0),
    ("60", 60.0),
];
/// Part by which the highest and the average rate differ if it varies.
const VARIES: f64 = 0.02;
/// What HandBrake copies into MKV, by the names of its scan.
const COPIED: [&str; 10] = ["aac", "ac3", "eac3", "truehd", "dts", "dca", "dtshd", "mp2", "mp3", "flac"];

/// Arguments that encode a title of `input` to `output`. `probe`: what ffprobe says of the input, if anything.
///
/// Without a preset file: x264, CRF 20, at most 1080p, square pixels, constant frame rate (TV boxes stumble on a variable one), decomb,
/// chapters; HDR with x265 in 10 bits. The first audio track as AAC and as AC3 (copied if it is AC3), the others as AAC.
///
/// # Errors
/// The preset's file can't be read, or has no preset of that name.
pub fn order(input: &Path, output: &Path, title: &Title, probe: Option<&Probe>, wishes: &Wishes) -> Result<Order> {
    let mut arguments = arguments(input, output, &[]);
    let mut add = |text: &str| arguments.extend(text.split_whitespace().map(OsString::from));
    add(&format!("--title {} --format av_mkv", title.index));
    if title.on_disc() {
        add(SHORTEST_TITLE);
    }
    let hdr = title.color.is_hdr();
    if let Some((preset, folder)) = wishes.preset {
        let file = folder.join(&preset.file);
        let values = handbrake::preset(&file, &preset.name)?;
        let deep = wishes.encoder.ends_with("10bit") || wishes.encoder.ends_with("12bit");
        if hdr && !deep {
            add("--colorspace bt709");
        }
        let lists = [("AudioLanguageList", "--audio-lang-list"), ("SubtitleLanguageList", "--subtitle-lang-list")];
        for (key, argument) in lists {
            if !wishes.languages.is_empty() && names_no_language(&values[key]) {
                add(&format!("{argument} {}", wishes.languages.join(",")));
            }
        }
        let remarks = (hdr && !deep).then(|| "HDR was converted to the color space of the preset".to_owned()).into_iter().collect();
        arguments.extend(["--preset-import-file".into(), file.into(), "--preset".into(), preset.name.clone().into()]);
        if values["VideoEncoder"].as_str() != Some(&wishes.encoder) {
            // What else the preset says of its encoder means nothing to another one. Their qualities are on similar scales.
            let others = "--encoder-preset medium --encoder-profile auto --encoder-level auto --encopts";
            arguments.extend(["--encoder", &wishes.encoder].into_iter().chain(others.split(' ')).chain([""]).map(OsString::from));
        }
        return Ok(Order { arguments, tracks: None, hdr: hdr && deep, converted: hdr && !deep, sound: None, remarks });
    }
    let rate = steady(title, probe);
    let highest = rate.map_or(title.rate(), |(_, rate)| rate);
    add(&format!("--encoder {}", wishes.encoder));
    let hardware = is_hardware(&wishes.encoder);
    if hdr {
        add(&format!("--encoder-preset {} --encoder-profile main10", if hardware { "quality" } else { "medium" }));
    } else {
        let level = if highest > FASTEST_OF_LEVEL_4 { "4.2" } else { "4.0" };
        let speed = if hardware { "quality" } else { "slow" };
        add(&format!("--encoder-preset {speed} --encoder-profile high --encoder-level {level}"));
        if !hardware {
            add("--encoder-tune film");
        }
    }
    add(&format!("--quality {}", wishes.crf.unwrap_or(if hdr { 22 } else { 20 })));
    add("--markers --cfr --maxWidth 1920 --maxHeight 1080 --loose-anamorphic --comb-detect --decomb");
    if let Some((rate, _)) = rate {
        add(&format!("--rate {rate}"));
    }
    let chosen = chosen_audio(&title.audio_list, wishes.languages);
    let subtitles = chosen_subtitles(&title.subtitle_list, wishes.languages);
    let (numbers, encoders): (Vec<usize>, Vec<&str>) = match wishes.audio {
        Audio::Original => chosen.iter().map(|number| (*number, unchanged(&title.audio_list[number - 1]))).unzip(),
        Audio::Encoded => {
            // The first track twice: players with a receiver use AC3, others AAC.
            // HandBrake drops a track that should be copied as AC3 and is not AC3, even with `--audio-fallback` (1.6.1).
            let second = |number: usize| if title.audio_list[number - 1].codec_name == "ac3" { "copy:ac3" } else { "ac3" };
            let twice = chosen.first().map(|first| (*first, second(*first)));
            let first = chosen.first().map(|first| (*first, "av_aac"));
            first.into_iter().chain(twice).chain(chosen.iter().skip(1).map(|number| (*number, "av_aac"))).unzip()
        }
    };
    if numbers.is_empty() {
        add("--audio none");
    } else {
        add(&format!("--audio {} --aencoder {}", list(&numbers), encoders.join(",")));
    }
    add(&format!("--subtitle {}", if subtitles.is_empty() { "none".to_owned() } else { list(&subtitles) }));
    let of = |list: &[Track], numbers: &[usize]| numbers.iter().map(|number| list[number - 1].clone()).collect::<Vec<_>>();
    let mut audio = of(&title.audio_list, &numbers);
    // One alone is the default: what a player starts with is the first.
    audio.iter_mut().enumerate().for_each(|(place, track)| track.attributes.default = place == 0);
    let tracks = Tracks { audio, subtitles: of(&title.subtitle_list, &subtitles) };
    let left_out = |what: &str, kept: usize, of: usize| (kept < of).then(|| format!("{kept} of {of} {what} kept, as set by `languages`"));
    let remarks = left_out("audio tracks", chosen.len(), title.audio_list.len())
        .into_iter()
        .chain(left_out("subtitles", subtitles.len(), title.subtitle_list.len()))
        .collect();
    let sound = numbers.first().map(|number| number - 1);
    Ok(Order { arguments, tracks: Some(tracks), hdr, converted: false, sound, remarks })
}

/// Arguments that encode `input` to `output`, with `words` for all else.
pub fn arguments(input: &Path, output: &Path, words: &[String]) -> Vec<OsString> {
    let head: [OsString; 5] = ["--json".into(), "--input".into(), input.into(), "--output".into(), output.into()];
    head.into_iter().chain(words.iter().map(OsString::from)).collect()
}

/// As [`order`], without input and output, for a film in pieces: what encodes its pictures alone, and what makes all else of it.
///
/// # Errors
/// A word is not plain text, or as [`order`]; for the user.
pub fn in_pieces(title: &Title, probe: Option<&Probe>, wishes: &Wishes, crop: Crop) -> Result<(Vec<String>, Vec<String>), String> {
    let words = |title: &Title| {
        let order = order(Path::new(""), Path::new(""), title, probe, wishes).map_err(|error| format!("{error:#}"))?;
        let head = arguments(Path::new(""), Path::new(""), &[]).len();
        let words = order.arguments.into_iter().skip(head).map(OsString::into_string).collect::<Result<Vec<_>, _>>();
        words.map_err(|_| "its arguments are not plain text".to_owned())
    };
    let silent = Title { audio_list: Vec::new(), subtitle_list: Vec::new(), ..title.clone() };
    let mut picture = words(&silent)?;
    let Crop { top, bottom, left, right } = crop;
    picture.extend(["--crop".to_owned(), format!("{top}:{bottom}:{left}:{right}")]);
    let small =
        "--format av_mkv --encoder x264 --encoder-preset ultrafast --quality 51 --width 64 --height 32 --crop 0:0:0:0 --markers --cfr";
    let tracks = words(title)?.into_iter().skip_while(|word| word != "--audio");
    let sound =
        ["--title".to_owned(), title.index.to_string()].into_iter().chain(small.split(' ').map(str::to_owned)).chain(tracks).collect();
    Ok((picture, sound))
}

/// The encoder that a preset, or hostler's own, names for a title, as HandBrake calls it.
///
/// # Errors
/// As [`order`].
pub fn encoder(title: &Title, preset: Option<(&Preset, &Path)>) -> Result<String> {
    Ok(match preset {
        None => own_encoder(title.color.is_hdr()).to_owned(),
        Some((preset, folder)) => {
            handbrake::preset(&folder.join(&preset.file), &preset.name)?["VideoEncoder"].as_str().unwrap_or_default().to_owned()
        }
    })
}

fn own_encoder(hdr: bool) -> &'static str {
    if hdr { "x265_10bit" } else { "x264" }
}

/// HandBrake leaves out titles of less than ten seconds by itself.
pub const SHORTEST_TITLE: &str = "--min-duration 1";

fn names_no_language(list: &Value) -> bool {
    list.as_array().is_none_or(|list| list.iter().all(|language| matches!(language.as_str(), None | Some("any" | "und" | ""))))
}

/// How HandBrake keeps a track as it is.
fn unchanged(track: &Track) -> &'static str {
    match track.codec_name.as_str() {
        known if COPIED.contains(&known) => "copy",
        // There is no copy of these in MKV by HandBrake; FLAC loses nothing.
        pcm if pcm.starts_with("pcm") || pcm == "alac" => "flac24",
        _ => "av_aac",
    }
}

/// The highest rate of a film whose rate varies, as HandBrake knows it: at its average, pictures would be dropped.
fn steady(title: &Title, probe: Option<&Probe>) -> Option<(&'static str, f64)> {
    let (highest, average) = probe?.rates()?;
    if title.on_disc() || average > highest * (1.0 - VARIES) {
        return None;
    }
    let nearest = RATES.into_iter().min_by(|(_, one), (_, other)| (one - highest).abs().total_cmp(&(other - highest).abs()));
    nearest.filter(|(_, rate)| (rate - highest).abs() < 0.002 * highest)
}

fn list(numbers: &[usize]) -> String {
    numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

/// Numbers of the audio tracks to keep, from 1, in their order: preferred languages, then untagged ones, then the default; of each, the
/// default first; comments last. Without a language's own sound, all are kept.
fn chosen_audio(tracks: &[Track], languages: &[String]) -> Vec<usize> {
    let speaks = |track: &Track| languages.iter().position(|language| language::same(&track.language_code, language));
    let real = tracks.iter().any(|track| speaks(track).is_some() && !is_aside(track));
    let default = tracks.iter().position(|track| track.attributes.default).or(Some(0));
    let mut chosen: Vec<(usize, &Track)> = tracks
        .iter()
        .enumerate()
        .filter(|(place, track)| !real || speaks(track).is_some() || untagged(track) || Some(*place) == default)
        .collect();
    let rank = |(place, track): &(usize, &Track)| {
        let language = if real { speaks(track).unwrap_or(languages.len() + usize::from(!untagged(track))) } else { 0 };
        (is_aside(track), language, !track.attributes.default, *place)
    };
    chosen.sort_by_key(rank);
    chosen.into_iter().map(|(place, _)| place + 1).collect()
}

/// Numbers of the subtitles to keep, from 1: those of the languages, and untagged ones; comments last.
fn chosen_subtitles(tracks: &[Track], languages: &[String]) -> Vec<usize> {
    let speaks = |track: &Track| languages.iter().position(|language| language::same(&track.language_code, language));
    let kept = |track: &Track| languages.is_empty() || speaks(track).is_some() || untagged(track);
    let mut chosen: Vec<(usize, &Track)> = tracks.iter().enumerate().filter(|(_, track)| kept(track)).collect();
    chosen.sort_by_key(|(place, track)| (is_aside(track), speaks(track).unwrap_or(languages.len()), *place));
    chosen.into_iter().map(|(place, _)| place + 1).collect()
}

fn untagged(track: &Track) -> bool {
    track.language_code.is_empty() || language::names_none(&track.language_code)
}

/// Whether a track is not the film's own sound: somebody talks about the film, or describes its picture.
fn is_aside(track: &Track) -> bool {
    const WORDS: [&str; 9] = [
        "comment",
        "kommentar",
        "comentario",
        "comentário",
        "commento",
        "komentar",
        "audiodescription",
        "audio description",
        "descriptive",
    ];
    let Flags { commentary, alt_commentary, visually_impaired, .. } = track.attributes;
    let name = track.name.to_lowercase();
    commentary || alt_commentary || visually_impaired || WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::super::handbrake::Fraction;
    use super::*;

    fn track(language: &str, codec: &str) -> Track {
        Track { language_code: language.to_owned(), codec_name: codec.to_owned(), ..Track::default() }
    }

    fn title() -> Title {
        let text = r#"{"Index": 1, "Duration": {"Ticks": 900000}, "Type": 3, "FrameRate": {"Num": 27000000, "Den": 1080000},
            "AudioList": [{"LanguageCode": "deu", "CodecName": "dca"}, {"LanguageCode": "eng", "CodecName": "ac3"}, {"LanguageCode": "und"}],
            "SubtitleList": [{"LanguageCode": "fra"}, {"LanguageCode": "eng"}]}"#;
        serde_json::from_str(text).expect("a title")
    }

    fn words(title: &Title, languages: &[&str]) -> String {
        let languages: Vec<String> = languages.iter().map(|language| (*language).to_owned()).collect();
        let encoder = encoder(title, None).expect("no preset is read");
        let wishes = Wishes { preset: None, languages: &languages, audio: Audio::Encoded, crf: None, encoder };
        let order = order(Path::new("-rf $(reboot)\n'.mkv"), Path::new("out.mkv"), title, None, &wishes).expect("no preset is read");
        assert!(order.arguments.contains(&OsString::from("-rf $(reboot)\n'.mkv")), "a name is a single argument");
        order.arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_own_sound_of_a_film_is_never_left_out() {
        let named = |language: &str, name: &str, default: bool| Track {
            name: name.to_owned(),
            attributes: Flags { default, ..Flags::default() },
            ..track(language, "ac3")
        };
        let chosen = |tracks: &[Track], languages: &[&str]| {
            chosen_audio(tracks, &languages.iter().map(|language| (*language).to_owned()).collect::<Vec<_>>())
        };
        let french = [named("fre", "Français", true), named("und", "Commentaire", false)];
        assert_eq!(chosen(&french, &["eng"]), [1, 2], "an untagged track is no match");
        assert_eq!(chosen(&[named("fre", "", true), named("eng", "Director's commentary", false)], &["eng"]), [1, 2]);
        assert_eq!(chosen(&[named("eng", "Commentary", false), named("eng", "Main", true)], &[]), [2, 1]);
        let many = [named("deu", "", false), named("eng", "", false), named("und", "", false), named("fra", "", true)];
        assert_eq!(chosen(&many, &["eng"]), [2, 3, 4], "the default stays");
        assert_eq!(chosen(&many, &["ger", "eng"]), [1, 2, 3, 4]);
        assert_eq!(chosen(&many, &[]), [4, 1, 2, 3], "the default is first");
        assert_eq!(chosen(&[track("mis", "mp2"), track("deu", "mp2")], &["eng"]), [1, 2], "never silent");
    }

    #[test]
    fn tracks_are_chosen_by_language() {
        assert!(words(&title(), &["eng"]).contains("--audio 2,2,3,1 --aencoder av_aac,copy:ac3,av_aac,av_aac --subtitle 2"));
        assert!(words(&title(), &["deu"]).contains("--audio 1,1,3 --aencoder av_aac,ac3,av_aac"), "only what is AC3 is copied as such");
        assert!(words(&title(), &[]).contains("--subtitle 1,2"));
    }

    #[test]
    fn the_picture_is_encoded_by_what_it_is() {
        let plain = words(&title(), &[]);
        assert!(plain.contains("--encoder-level 4.0") && plain.contains("--loose-anamorphic"), "{plain}");
        let fast = Title { frame_rate: Fraction { num: 60, den: 1 }, ..title() };
        assert!(words(&fast, &[]).contains("--encoder-level 4.2"));
        let hdr = Title { color: handbrake::Color { transfer: 16, primary: 9 }, ..title() };
        assert!(words(&hdr, &[]).contains("--encoder x265_10bit"));
        let varies: Probe = serde_json::from_str(
            r#"{"streams": [{"index": 0, "codec_type": "video", "r_frame_rate": "30/1", "avg_frame_rate": "12150/500"}]}"#,
        )
        .expect("a probe");
        let wishes = Wishes { preset: None, languages: &[], audio: Audio::Original, crf: None, encoder: "x264".to_owned() };
        let order = order(Path::new("in"), Path::new("out"), &title(), Some(&varies), &wishes).expect("no preset is read");
        let words = order.arguments.join(std::ffi::OsStr::new(" ")).to_string_lossy().into_owned();
        assert!(words.contains("--rate 30") && words.contains("--aencoder copy,copy,av_aac"), "{words}");
    }

    #[test]
    fn another_encoder_than_the_presets_gets_none_of_its_settings() {
        let folder = tempfile::tempdir().expect("a folder");
        let preset = Preset { file: "fast.json".into(), name: "Fast".to_owned(), hardware: true };
        let text = r#"{"PresetList": [{"PresetName": "Fast", "VideoEncoder": "qsv_h265_10bit", "VideoPreset": "speed"}]}"#;
        std::fs::write(folder.path().join(&preset.file), text).expect("written");
        let hdr = Title { color: handbrake::Color { transfer: 16, primary: 9 }, ..title() };
        let words = |encoder: &str| {
            let preset = Some((&preset, folder.path()));
            let wishes = Wishes { preset, languages: &[], audio: Audio::Encoded, crf: None, encoder: encoder.to_owned() };
            let order = order(Path::new("in"), Path::new("out"), &hdr, None, &wishes).expect("the preset is there");
            (order.hdr, order.arguments.join(std::ffi::OsStr::new(" ")).to_string_lossy().into_owned())
        };
        let (hdr, as_it_is) = words("qsv_h265_10bit");
        assert!(hdr && !as_it_is.contains("--encoder"), "{as_it_is}");
        let (hdr, software) = words("x265_10bit");
        assert!(
            hdr && software
                .ends_with("--encoder x265_10bit --encoder-preset medium --encoder-profile auto --encoder-level auto --encopts ")
        );
    }

    #[test]
    fn hardware_gets_its_own_settings() {
        let words = |encoder: &str| {
            let wishes = Wishes { preset: None, languages: &[], audio: Audio::Encoded, crf: None, encoder: encoder.to_owned() };
            let order = order(Path::new("in"), Path::new("out"), &title(), None, &wishes).expect("no preset is read");
            order.arguments.join(std::ffi::OsStr::new(" ")).to_string_lossy().into_owned()
        };
        assert!(
            words("qsv_h264")
                .contains("--encoder qsv_h264 --encoder-preset quality --encoder-profile high --encoder-level 4.0 --quality 20")
        );
        assert!(words("x264").contains("--encoder-preset slow --encoder-profile high --encoder-level 4.0 --encoder-tune film"));
    }
}
