//! What a film is, whatever it is called: its length, the languages it has, and a few pictures and sounds from it.

use std::ffi::OsString;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ffmpeg::protected;

/// Where in the film samples are taken, of its length.
pub const PLACES: [f64; 6] = [0.08, 0.25, 0.42, 0.58, 0.75, 0.92];
/// Width and height of a picture, in grey.
const PICTURE: (usize, usize) = (16, 9);
/// Samples of sound a second.
const RATE: u32 = 8000;
/// Seconds of sound.
const SOUND: f64 = 0.5;
/// Seconds, and part of the length, by which lengths of the same film may differ; of a short film, it is never more than that part.
const LENGTH: (f64, f64) = (0.5, 0.01);
const OF_SHORT: f64 = 0.2;
/// Grey levels, of 255, by which pictures of the same film differ on average at most.
const GREY: f64 = 12.0;
/// Part by which the pitch of the same sound may differ.
const PITCH: f64 = 0.15;
/// A sound below this has no pitch. Of 32768.
const SILENCE: f64 = 60.0;
/// Places that may differ: a cut is a frame earlier or later.
const MAY_DIFFER: usize = 1;
/// Places that must be recognized, which dark, silent or still ones can't be: two films of those look the same.
const RECOGNIZED: usize = 4;
/// A place is recognized if it differs from the same place of the other film by less than this part of what it differs from any other place.
const NEARER: f64 = 0.5;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// Length.
    pub seconds: f64,
    /// Of each audio track.
    pub languages: Vec<String>,
    /// Empty: not known.
    pub samples: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Grey levels, as hex.
    pub picture: String,
    /// Changes of sign a second, of the sound.
    pub pitch: f64,
    /// Mean of the sound's amount.
    pub loudness: f64,
}

impl Content {
    /// Whether it is as large as that of a film.
    pub fn is_moderate(&self) -> bool {
        let languages = self.languages.len() <= 200 && self.languages.iter().all(|language| language.len() <= 20);
        let picture = |sample: &Sample| sample.picture.len() <= 2 * PICTURE.0 * PICTURE.1;
        languages && self.samples.len() <= PLACES.len() && self.samples.iter().all(picture)
    }

    /// Whether this film may take the place of another: it is the same one, and has all languages of it. What is not known is not the same, and
    /// neither is what can't be told apart: both films stay then.
    pub fn replaces(&self, other: &Content) -> bool {
        let slack = LENGTH.0.min(OF_SHORT * self.seconds).max(LENGTH.1 * self.seconds);
        let mut here = self.languages.clone();
        let speaks_all = other.languages.iter().all(|language| {
            let found = here.iter().position(|known| known == language);
            found.map(|place| here.swap_remove(place)).is_some()
        });
        let alike: Vec<usize> = (0..PLACES.len()).filter(|place| self.is_like(other, *place)).collect();
        let recognized = alike.iter().filter(|place| self.samples[**place].is_at(**place, &other.samples)).count();
        (self.seconds - other.seconds).abs() <= slack && speaks_all && alike.len() + MAY_DIFFER >= PLACES.len() && recognized >= RECOGNIZED
    }

    fn is_like(&self, other: &Content, place: usize) -> bool {
        self.samples.get(place).zip(other.samples.get(place)).is_some_and(|(one, other)| one.is_like(other))
    }
}

impl Sample {
    /// From raw grey levels and raw sound, 16 bits a sample, little-endian.
    pub fn of(picture: &[u8], sound: &[u8]) -> Sample {
        let heights: Vec<f64> = sound.chunks_exact(2).map(|two| f64::from(i16::from_le_bytes([two[0], two[1]]))).collect();
        #[expect(clippy::cast_precision_loss, reason = "counts of samples are small")]
        let count = heights.len().max(1) as f64;
        let loudness = heights.iter().map(|height| height.abs()).sum::<f64>() / count;
        let changes = heights.windows(2).filter(|two| (two[0] < 0.0) != (two[1] < 0.0)).count();
        #[expect(clippy::cast_precision_loss, reason = "counts of samples are small")]
        let pitch = changes as f64 * f64::from(RATE) / count;
        let rounded = |value: f64| (value * 10.0).round() / 10.0;
        Sample { picture: hostler_core::digest::hex(picture), pitch: rounded(pitch), loudness: rounded(loudness) }
    }

    fn is_like(&self, other: &Sample) -> bool {
        let quiet = self.loudness < SILENCE && other.loudness < SILENCE;
        let same_pitch = (self.pitch - other.pitch).abs() <= PITCH * self.pitch.max(other.pitch);
        self.grey_from(other).is_some_and(|grey| grey <= GREY) && (quiet || same_pitch)
    }

    /// Whether picture or sound is that of this place of a film, and of no other of its places.
    fn is_at(&self, place: usize, film: &[Sample]) -> bool {
        let nearest_here = |from: &dyn Fn(&Sample) -> Option<f64>| {
            let Some(here) = film.get(place).and_then(from) else { return false };
            let elsewhere = film.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, sample)| from(sample));
            elsewhere.map(|there| there.unwrap_or(f64::MAX)).all(|there| here < NEARER * there)
        };
        nearest_here(&|other: &Sample| self.grey_from(other)) || nearest_here(&|other: &Sample| self.pitch_from(other))
    }

    /// Grey levels by which the pictures differ on average; `None`: they can't be compared.
    fn grey_from(&self, other: &Sample) -> Option<f64> {
        let levels = |sample: &Sample| -> Vec<f64> {
            let digits = sample.picture.as_bytes();
            let byte = |two: &[u8]| std::str::from_utf8(two).ok().and_then(|two| u8::from_str_radix(two, 16).ok()).unwrap_or_default();
            digits.chunks(2).map(|two| f64::from(byte(two))).collect()
        };
        let (one, two) = (levels(self), levels(other));
        if one.len() != two.len() || one.is_empty() {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of pixels are small")]
        let count = one.len() as f64;
        Some(one.iter().zip(&two).map(|(a, b)| (a - b).abs()).sum::<f64>() / count)
    }

    /// Part by which the pitches differ; `None`: one of them is silent.
    fn pitch_from(&self, other: &Sample) -> Option<f64> {
        let heard = self.loudness >= SILENCE && other.loudness >= SILENCE && self.pitch > 0.0 && other.pitch > 0.0;
        heard.then(|| (self.pitch - other.pitch).abs() / self.pitch.max(other.pitch))
    }
}

/// Arguments of ffmpeg that print the picture at `seconds`.
pub fn picture(film: &Path, seconds: f64) -> Vec<OsString> {
    let scale = format!("scale={}:{}:flags=area,format=gray", PICTURE.0, PICTURE.1);
    let mut arguments = at(film, seconds);
    let rest = ["-map", "0:v:0", "-frames:v", "1", "-vf", &scale, "-f", "rawvideo", "pipe:1"];
    arguments.extend(rest.iter().map(OsString::from));
    arguments
}

/// Arguments of ffmpeg that print the sound from `seconds` on.
pub fn sound(film: &Path, seconds: f64) -> Vec<OsString> {
    let mut arguments = at(film, seconds);
    let (rate, length) = (RATE.to_string(), SOUND.to_string());
    let rest = ["-map", "0:a:0?", "-t", &length, "-ac", "1", "-ar", &rate, "-f", "s16le", "pipe:1"];
    arguments.extend(rest.iter().map(OsString::from));
    arguments
}

fn at(film: &Path, seconds: f64) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["-v", "error", "-nostdin", "-ss"].map(OsString::from).into_iter().collect();
    arguments.extend([format!("{seconds:.3}").into(), "-i".into(), protected(film)]);
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hertz: f64) -> Vec<u8> {
        (0..4000)
            .flat_map(|n| {
                #[expect(clippy::cast_possible_truncation, reason = "a sample has 16 bits")]
                let height = (8000.0 * (f64::from(n) * hertz * std::f64::consts::TAU / 8000.0).sin()) as i16;
                height.to_le_bytes()
            })
            .collect()
    }

    /// A film with another picture and another sound at each place, all of them so much brighter and higher.
    fn content(seconds: f64, languages: &[&str], brighter: u8, higher: f64) -> Content {
        let sample = |place: u8| Sample::of(&picture(40 + 20 * place + brighter), &tone((300.0 + 100.0 * f64::from(place)) * higher));
        Content {
            seconds,
            languages: languages.iter().map(|language| (*language).to_owned()).collect(),
            samples: (0..6).map(sample).collect(),
        }
    }

    /// Half of it as bright as this.
    fn picture(level: u8) -> [u8; 144] {
        let mut picture = [16; 144];
        picture[..72].fill(level);
        picture
    }

    #[test]
    fn only_the_same_film_replaces_a_film() {
        let film = content(100.0, &["eng", "deu"], 0, 1.0);
        assert!(content(100.4, &["deu", "eng", "fra"], 4, 1.01).replaces(&film), "a better version of it");
        for (other, why) in [
            (content(103.0, &["eng", "deu"], 0, 1.0), "another length"),
            (content(100.0, &["eng"], 0, 1.0), "a language is missing"),
            (content(100.0, &["eng", "deu"], 40, 1.0), "another picture"),
            (content(100.0, &["eng", "deu"], 0, 2.0), "another sound"),
            (Content { samples: Vec::new(), ..film.clone() }, "it is not known"),
        ] {
            assert!(!other.replaces(&film), "{why}");
        }
        assert!(!film.replaces(&Content { samples: Vec::new(), ..film.clone() }));
    }

    /// Nothing is heard, and at night or in front of the same wall all pictures are alike.
    #[test]
    fn what_can_not_be_told_apart_replaces_nothing() {
        let silent = |seconds: f64, levels: [u8; 6]| {
            let samples = levels.map(|level| Sample::of(&picture(level), &[0; 800])).to_vec();
            Content { seconds, languages: Vec::new(), samples }
        };
        let film = silent(100.0, [30, 80, 120, 60, 100, 45]);
        assert!(silent(100.0, [31, 79, 121, 60, 101, 44]).replaces(&film), "a silent film is recognized by its pictures");
        for (one, other, why) in [
            ([20, 22, 20, 21, 20, 23], [21, 20, 23, 20, 22, 20], "two films of a night"),
            ([16; 6], [16; 6], "two black films"),
            ([90; 6], [91; 6], "two films of one wall"),
            ([30, 80, 120, 60, 100, 45], [50, 60, 100, 80, 120, 60], "two films that are alike at each place, and are not the same"),
        ] {
            assert!(!silent(100.0, one).replaces(&silent(100.0, other)), "{why}");
        }
        let short = |seconds| silent(seconds, [30, 80, 120, 60, 100, 45]);
        assert!(short(1.0).replaces(&short(1.1)) && !short(1.0).replaces(&short(1.4)), "half a second of one second is another film");
        // What is heard tells as much.
        let talk = |higher: f64| {
            let sample = |place: u8| Sample::of(&picture(90), &tone((300.0 + 100.0 * f64::from(place)) * higher));
            Content { samples: (0..6).map(sample).collect(), ..silent(100.0, [90; 6]) }
        };
        assert!(talk(1.01).replaces(&talk(1.0)), "a still picture with the same talk");
        assert!(!talk(1.1).replaces(&talk(1.0)), "with another");
    }
}
