//! ffmpeg and ffprobe, which come with HandBrake's libraries: what HandBrakeCLI can't tell or keep of a film.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use hostler_core::films::language;
use serde::Deserialize;

use super::handbrake::{Flags, Title, Track};
use super::order::Tracks;

pub const FFMPEG: &str = "ffmpeg";
pub const FFPROBE: &str = "ffprobe";

/// What ffprobe says of a file.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Probe {
    #[serde(default)]
    pub streams: Vec<Stream>,
    #[serde(default)]
    pub format: Format,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Format {
    /// Seconds, where the file begins: HandBrake counts from here.
    pub start_time: String,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Stream {
    pub index: usize,
    pub codec_type: String,
    pub codec_name: String,
    pub r_frame_rate: String,
    pub avg_frame_rate: String,
    pub pix_fmt: String,
    pub color_transfer: String,
    pub color_primaries: String,
    pub channels: u32,
    pub width: u32,
    pub height: u32,
    /// Seconds.
    pub start_time: String,
    pub disposition: BTreeMap<String, u8>,
    pub tags: BTreeMap<String, String>,
    pub side_data_list: Vec<SideData>,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct SideData {
    pub side_data_type: String,
    pub dv_profile: Option<u32>,
}

/// Arguments of ffprobe for [`Probe`].
pub fn probe(input: &Path) -> Vec<OsString> {
    let words = ["-v", "error", "-of", "json", "-show_streams", "-show_format", "-i"];
    words.map(OsString::from).into_iter().chain([protected(input)]).collect()
}

/// A path that is never taken for a protocol or an option.
pub fn protected(path: &Path) -> OsString {
    let mut text = OsString::from("file:");
    text.push(path);
    text
}

impl Stream {
    pub fn flags(&self) -> Flags {
        let has = |name: &str| self.disposition.get(name).is_some_and(|value| *value != 0);
        Flags {
            default: has("default"),
            forced: has("forced"),
            commentary: has("comment"),
            alt_commentary: false,
            visually_impaired: has("visual_impaired"),
            hearing_impaired: has("hearing_impaired"),
            original: has("original"),
        }
    }

    /// Seconds, where it begins.
    pub fn begins(&self) -> f64 {
        self.start_time.parse().unwrap_or(0.0)
    }

    fn tag(&self, name: &str) -> &str {
        self.tags.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    pub fn track(&self) -> Track {
        Track {
            language_code: self.tag("language").to_owned(),
            codec_name: self.codec_name.clone(),
            source_name: String::new(),
            name: self.tag("title").to_owned(),
            attributes: self.flags(),
        }
    }

    /// Bits of a sample.
    pub fn depth(&self) -> u32 {
        ["16", "14", "12", "10"]
            .iter()
            .find(|bits| self.pix_fmt.trim_end_matches(['l', 'b', 'e']).ends_with(*bits))
            .map_or(8, |bits| bits.parse().unwrap_or(8))
    }
}

impl Probe {
    pub fn of_kind(&self, kind: &str) -> Vec<&Stream> {
        self.streams
            .iter()
            .filter(|stream| stream.codec_type == kind && stream.disposition.get("attached_pic").is_none_or(|picture| *picture == 0))
            .collect()
    }

    pub fn picture(&self) -> Option<&Stream> {
        self.of_kind("video").first().copied()
    }

    /// The highest and the average rate of the picture, in frames per second.
    pub fn rates(&self) -> Option<(f64, f64)> {
        let picture = self.picture()?;
        let rate = |text: &str| {
            let (over, under) = text.split_once('/')?;
            let (over, under): (f64, f64) = (over.parse().ok()?, under.parse().ok()?);
            (over > 0.0 && under > 0.0).then_some(over / under)
        };
        Some((rate(&picture.r_frame_rate)?, rate(&picture.avg_frame_rate)?))
    }

    /// Seconds, where the file begins by its own times.
    pub fn begins(&self) -> f64 {
        self.format.start_time.parse().unwrap_or(0.0)
    }

    /// Seconds, where its first track begins: what ffmpeg counts positions from.
    pub fn head(&self) -> f64 {
        self.picture().map_or(0.0, |picture| picture.begins() - self.streams.iter().map(Stream::begins).fold(picture.begins(), f64::min))
    }

    /// Seconds from where the file begins to its first picture; `None`: not known.
    pub fn picture_after_start(&self) -> Option<f64> {
        let (picture, file): (f64, f64) = (self.picture()?.start_time.parse().ok()?, self.format.start_time.parse().ok()?);
        Some(picture - file)
    }

    /// Whether its picture has right colors only in Dolby Vision: profile 5 has no other form of them.
    pub fn only_dolby_vision(&self) -> bool {
        self.picture().is_some_and(|picture| picture.side_data_list.iter().any(|data| data.dv_profile == Some(5)))
    }

    /// Adds to HandBrake's tracks what it does not know of them.
    pub fn complete(&self, title: &mut Title) {
        for (kind, tracks) in [("audio", &mut title.audio_list), ("subtitle", &mut title.subtitle_list)] {
            let streams = self.of_kind(kind);
            // HandBrake leaves out what it can't decode: then it is not known which stream a track is.
            if streams.len() != tracks.len() {
                continue;
            }
            for (track, stream) in tracks.iter_mut().zip(streams) {
                let known = track.attributes;
                track.attributes = Flags { alt_commentary: known.alt_commentary, ..stream.flags() };
                if track.name.is_empty() {
                    stream.tag("title").clone_into(&mut track.name);
                }
            }
        }
    }
}

/// Arguments that put names and flags on the tracks of an encoded film, whose streams are copied. `texts`: SRT files in place of subtitles of
/// the film, by their number from 0.
pub fn finish(encoded: &Path, output: &Path, tracks: &Tracks, texts: &BTreeMap<usize, &Path>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["-v", "error", "-nostdin", "-y", "-i"].map(OsString::from).into_iter().collect();
    arguments.push(protected(encoded));
    for text in texts.values() {
        arguments.extend(["-f".into(), "srt".into(), "-i".into(), protected(text)]);
    }
    let mut add = |words: &[String]| arguments.extend(words.iter().map(OsString::from));
    let word = |text: &str| text.to_owned();
    add(&["-map", "0:v", "-map", "0:a?"].map(word));
    let mut input = 0;
    for number in 0..tracks.subtitles.len() {
        if texts.contains_key(&number) {
            input += 1;
            add(&[word("-map"), format!("{input}:0")]);
        } else {
            add(&[word("-map"), format!("0:s:{number}")]);
        }
    }
    add(&["-map", "0:t?", "-map_metadata", "0", "-map_chapters", "0", "-c", "copy", "-default_mode", "passthrough"].map(word));
    for (kind, list) in [("a", &tracks.audio), ("s", &tracks.subtitles)] {
        for (number, track) in list.iter().enumerate() {
            add(&[format!("-metadata:s:{kind}:{number}"), format!("title={}", track.name)]);
            if !track.language_code.is_empty() {
                add(&[format!("-metadata:s:{kind}:{number}"), format!("language={}", track.language_code)]);
            }
            add(&[format!("-disposition:{kind}:{number}"), disposition(track)]);
        }
    }
    add(&["-f", "matroska"].map(word));
    arguments.push(protected(output));
    arguments
}

fn disposition(track: &Track) -> String {
    let flags = track.attributes;
    let words = [
        (flags.default, "default"),
        (flags.forced, "forced"),
        (flags.commentary || flags.alt_commentary, "comment"),
        (flags.visually_impaired, "visual_impaired"),
        (flags.hearing_impaired, "hearing_impaired"),
        (flags.original, "original"),
    ];
    let set: Vec<&str> = words.iter().filter(|(is_set, _)| *is_set).map(|(_, word)| *word).collect();
    if set.is_empty() { "0".to_owned() } else { set.join("+") }
}

/// Arguments that write a subtitle of a film as SRT. `number`: from 0.
pub fn as_text(film: &Path, number: usize, output: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["-v", "error", "-nostdin", "-y", "-i"].map(OsString::from).into_iter().collect();
    arguments.push(protected(film));
    arguments.extend(["-map".into(), format!("0:s:{number}").into(), "-f".into(), "srt".into(), protected(output)]);
    arguments
}

/// SRT without the font that HandBrake gave each line.
pub fn without_font(text: &str) -> String {
    let plain = |cue: &str| -> String {
        let Some(start) = cue.find("<font face=\"") else { return cue.to_owned() };
        let (Some(length), Some(end)) = (cue[start..].find('>'), cue.rfind("</font>")) else { return cue.to_owned() };
        // A color, say, is the author's.
        if cue[start..start + length].contains("color") || end < start + length {
            return cue.to_owned();
        }
        format!("{}{}{}", &cue[..start], &cue[start + length + 1..end], &cue[end + "</font>".len()..])
    };
    text.split("\n\n").map(plain).collect::<Vec<_>>().join("\n\n")
}

/// Sound that ffmpeg writes into MKV. Of RealAudio it only reads most kinds from there.
const HELD: [&str; 32] = [
    "aac",
    "ac3",
    "eac3",
    "mp1",
    "mp2",
    "mp3",
    "dts",
    "truehd",
    "mlp",
    "flac",
    "vorbis",
    "opus",
    "tta",
    "wavpack",
    "alac",
    "pcm_s16le",
    "pcm_s24le",
    "pcm_s32le",
    "pcm_s16be",
    "pcm_s24be",
    "pcm_s32be",
    "pcm_u8",
    "pcm_f32le",
    "pcm_f64le",
    "pcm_alaw",
    "pcm_mulaw",
    "adpcm_ms",
    "adpcm_ima_wav",
    "wmav1",
    "wmav2",
    "wmapro",
    "ra_144",
];
/// Text that MKV has no form for.
const TEXTS: [&str; 10] = ["mov_text", "text", "subviewer", "subviewer1", "microdvd", "sami", "mpl2", "stl", "realtext", "eia_608"];
/// Subtitles that MKV has a form for.
const SHOWN: [&str; 9] =
    ["subrip", "srt", "ass", "ssa", "webvtt", "dvd_subtitle", "dvb_subtitle", "hdmv_pgs_subtitle", "hdmv_text_subtitle"];

/// What becomes of a sound track that MKV has no form for; `None`: it is copied.
fn converted(sound: &Stream) -> Option<&'static str> {
    let codec = sound.codec_name.as_str();
    // FLAC loses nothing.
    let to = if codec.starts_with("pcm_") { "flac" } else { "aac" };
    (!HELD.contains(&codec)).then_some(to)
}

/// What of a film [`remux`] can't copy, for the user.
pub fn not_copied(probe: &Probe) -> Vec<String> {
    let sounds = probe.of_kind("audio");
    let converted = sounds.iter().enumerate().filter_map(|(number, sound)| Some((number + 1, sound, converted(sound)?)));
    let converted = converted.map(|(number, sound, to)| {
        let (from, to) = (sound.codec_name.to_uppercase(), to.to_uppercase());
        format!("audio track {number} was converted to {to}: MKV files can't contain {from}")
    });
    let subtitles = probe.of_kind("subtitle");
    let left_out = subtitles.iter().enumerate().filter(|(_, stream)| !is_shown(stream));
    let left_out = left_out.map(|(number, stream)| {
        format!("subtitle track {} was left out: MKV files can't contain {}", number + 1, stream.codec_name.to_uppercase())
    });
    converted.chain(left_out).collect()
}

/// Whether MKV has a form for a subtitle, or for its text.
fn is_shown(subtitle: &Stream) -> bool {
    [&SHOWN[..], &TEXTS[..]].iter().any(|known| known.contains(&subtitle.codec_name.as_str()))
}

/// Arguments that copy the streams of a film into MKV, with sound and subtitles in another form where MKV has none for theirs.
pub fn remux(film: &Path, output: &Path, probe: &Probe) -> Vec<OsString> {
    // AVI and others have no times of pictures, which MKV needs.
    let mut arguments: Vec<OsString> =
        ["-v", "error", "-nostdin", "-y", "-fflags", "+genpts", "-i"].map(OsString::from).into_iter().collect();
    arguments.push(protected(film));
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(OsString::from));
    add(&["-map", "0:v", "-map", "0:a?"]);
    let subtitles: Vec<(usize, &Stream)> =
        probe.of_kind("subtitle").into_iter().enumerate().filter(|(_, stream)| is_shown(stream)).collect();
    for (number, _) in &subtitles {
        add(&["-map", &format!("0:s:{number}")]);
    }
    add(&["-map", "0:t?", "-c", "copy", "-default_mode", "passthrough"]);
    for (number, to) in probe.of_kind("audio").iter().enumerate().filter_map(|(number, sound)| Some((number, converted(sound)?))) {
        add(&[&format!("-c:a:{number}"), to]);
    }
    // By their numbers in the result.
    for (number, _) in subtitles.iter().enumerate().filter(|(_, (_, stream))| TEXTS.contains(&stream.codec_name.as_str())) {
        add(&[&format!("-c:s:{number}"), "srt"]);
    }
    add(&["-f", "matroska"]);
    arguments.push(protected(output));
    arguments
}

/// In what the tracks of a finished film differ from those it should have.
pub fn differences(found: &Probe, wanted: &Tracks) -> Vec<String> {
    let mut wrong = Vec::new();
    for (kind, list) in [("audio", &wanted.audio), ("subtitle", &wanted.subtitles)] {
        let streams = found.of_kind(kind);
        if streams.len() != list.len() {
            wrong.push(format!("it has {} {kind} tracks, expected {}", streams.len(), list.len()));
            continue;
        }
        for (number, (stream, track)) in streams.into_iter().zip(list).enumerate() {
            let number = number + 1;
            let expected = Flags {
                commentary: track.attributes.commentary || track.attributes.alt_commentary,
                alt_commentary: false,
                ..track.attributes
            };
            if stream.flags() != expected {
                wrong.push(format!("{kind} track {number} has different flags than the original"));
            }
            if stream.tag("title") != track.name {
                wrong.push(format!("{kind} track {number} is called `{}`, expected `{}`", stream.tag("title"), track.name));
            }
            let (is, was) = (stream.tag("language"), track.language_code.as_str());
            let unknown = |language: &str| matches!(language, "" | "und");
            let same = language::same(is, was) || unknown(is) && unknown(was);
            if !same {
                wrong.push(format!("the language of {kind} track {number} is `{is}`, expected `{was}`"));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_of_handbrake_is_removed_and_the_authors_stays() {
        let text = "1\n00:00:01,028 --> 00:00:03,028\n<font face=\"sans-serif\" size=\"15\">Hello\n<i>there</i>.</font>\n\n2\n00:00:05,000 --> \
            00:00:06,000\n<font face=\"sans-serif\" size=\"15\" color=\"#ff0000\">Red</font>\n";
        let wanted = "1\n00:00:01,028 --> 00:00:03,028\nHello\n<i>there</i>.\n\n2\n00:00:05,000 --> 00:00:06,000\n<font face=\"sans-serif\" \
            size=\"15\" color=\"#ff0000\">Red</font>\n";
        assert_eq!(without_font(text), wanted);
    }

    #[test]
    fn what_mkv_has_no_form_for_is_converted_and_all_else_is_copied() {
        let stream = |kind: &str, codec: &str| Stream { codec_type: kind.to_owned(), codec_name: codec.to_owned(), ..Stream::default() };
        let sounds = ["aac", "pcm_bluray", "amr_nb"].map(|codec| stream("audio", codec));
        let streams = [stream("video", "h264")].into_iter().chain(sounds).chain([stream("subtitle", "mov_text")]).collect();
        let probe = Probe { streams, ..Probe::default() };
        let words = remux(Path::new("in"), Path::new("out"), &probe).join(std::ffi::OsStr::new(" ")).into_string().expect("plain text");
        assert!(words.contains("-c copy") && words.contains("-c:a:1 flac -c:a:2 aac -c:s:0 srt") && !words.contains("-c:a:0"), "{words}");
        assert_eq!(not_copied(&probe)[1], "audio track 3 was converted to AAC: MKV files can't contain AMR_NB");
    }

    /// As television has it in Europe. A film is not lost for it.
    #[test]
    fn subtitles_that_mkv_has_no_form_for_are_left_out() {
        let stream = |kind: &str, codec: &str| Stream { codec_type: kind.to_owned(), codec_name: codec.to_owned(), ..Stream::default() };
        let subtitles = ["dvb_teletext", "dvb_subtitle", "mov_text", "xsub"].map(|codec| stream("subtitle", codec));
        let streams = [stream("video", "h264"), stream("audio", "cook")].into_iter().chain(subtitles).collect();
        let probe = Probe { streams, ..Probe::default() };
        let words = remux(Path::new("in"), Path::new("out"), &probe).join(std::ffi::OsStr::new(" ")).into_string().expect("plain text");
        assert!(words.contains("-map 0:a? -map 0:s:1 -map 0:s:2 -map 0:t?") && words.contains("-c:a:0 aac -c:s:1 srt"), "{words}");
        let said = not_copied(&probe);
        assert_eq!(
            said[1..],
            ["1 was left out: MKV files can't contain DVB_TELETEXT", "4 was left out: MKV files can't contain XSUB"]
                .map(|end| format!("subtitle track {end}"))
        );
    }

    #[test]
    fn depths_are_read_from_the_form_of_a_picture() {
        let depth = |form: &str| Stream { pix_fmt: form.to_owned(), ..Stream::default() }.depth();
        assert_eq!(["yuv420p", "yuv420p10le", "yuv422p12be", "p010le", ""].map(depth), [8, 10, 12, 10, 8]);
    }
}
