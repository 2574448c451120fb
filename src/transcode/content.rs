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
/// Seconds, and part of the length, by which lengths of the same film may differ.
const LENGTH: (f64, f64) = (0.5, 0.01);
/// Grey levels, of 255, by which pictures of the same film differ on average at most.
const GREY: f64 = 12.0;
/// Part by which the pitch of the same sound may differ.
const PITCH: f64 = 0.15;
/// A sound below this has no pitch. Of 32768.
const SILENCE: f64 = 60.0;
/// Places that may differ: a cut is a frame earlier or later.
const MAY_DIFFER: usize = 1;

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

    /// Whether this film may take the place of another: it is the same one, and has all languages of it. What is not known is not the same.
    pub fn replaces(&self, other: &Content) -> bool {
        let slack = LENGTH.0.max(LENGTH.1 * self.seconds);
        let mut here = self.languages.clone();
        let speaks_all = other.languages.iter().all(|language| {
            let found = here.iter().position(|known| known == language);
            found.map(|place| here.swap_remove(place)).is_some()
        });
        let alike = self.samples.iter().zip(&other.samples).filter(|(one, other)| one.is_like(other)).count();
        (self.seconds - other.seconds).abs() <= slack
            && speaks_all
            && self.samples.len() == PLACES.len()
            && other.samples.len() == PLACES.len()
            && alike + MAY_DIFFER >= PLACES.len()
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
        let levels = |sample: &Sample| -> Vec<f64> {
            let digits = sample.picture.as_bytes();
            let byte = |two: &[u8]| std::str::from_utf8(two).ok().and_then(|two| u8::from_str_radix(two, 16).ok()).unwrap_or_default();
            digits.chunks(2).map(|two| f64::from(byte(two))).collect()
        };
        let (one, two) = (levels(self), levels(other));
        if one.len() != two.len() || one.is_empty() {
            return false;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of pixels are small")]
        let grey = one.iter().zip(&two).map(|(a, b)| (a - b).abs()).sum::<f64>() / one.len() as f64;
        let quiet = self.loudness < SILENCE && other.loudness < SILENCE;
        let same_pitch = (self.pitch - other.pitch).abs() <= PITCH * self.pitch.max(other.pitch);
        grey <= GREY && (quiet || same_pitch)
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

    fn content(seconds: f64, languages: &[&str], grey: u8, hertz: f64) -> Content {
        let samples = vec![Sample::of(&[grey; 144], &tone(hertz)); PLACES.len()];
        Content { seconds, languages: languages.iter().map(|language| (*language).to_owned()).collect(), samples }
    }

    #[test]
    fn only_the_same_film_replaces_a_film() {
        let film = content(100.0, &["eng", "deu"], 100, 440.0);
        assert!(content(100.4, &["deu", "eng", "fra"], 104, 441.0).replaces(&film), "a better version of it");
        for (other, why) in [
            (content(103.0, &["eng", "deu"], 100, 440.0), "another length"),
            (content(100.0, &["eng"], 100, 440.0), "a language is missing"),
            (content(100.0, &["eng", "deu"], 140, 440.0), "another picture"),
            (content(100.0, &["eng", "deu"], 100, 880.0), "another sound"),
            (Content { samples: Vec::new(), ..film.clone() }, "it is not known"),
        ] {
            assert!(!other.replaces(&film), "{why}");
        }
        assert!(!film.replaces(&Content { samples: Vec::new(), ..film.clone() }));
    }
}
