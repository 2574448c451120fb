//! Compares an encoded film with its original: each picture in small and in grey, the loudness of the sound over time, and the picture as it
//! is at samples. HandBrake's own output does not show what these find: pictures that are missing or empty, and sound that is late.

mod pictures;
mod run;
mod sound;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use run::{Crop, Pair, Span, compare, compare_sound, score};
pub use sound::Sound;

/// Width and height of the pictures that are compared, in grey.
pub const SIZE: (usize, usize) = (160, 90);
/// Seconds of empty pictures that the encoded film may have where the original has none: a picture that fades is empty a little earlier.
const EMPTY: f64 = 0.4;
/// Seconds by which the sound may be late or early.
const LATE: f64 = 0.08;
/// Seconds without the original's sound.
const SILENT: f64 = 4.0;
/// Seconds that the original's picture may last longer.
const CUT: f64 = 2.0;
/// Below this, a second shows something else. Of the pictures in small.
const UNLIKE: f64 = 0.4;
/// Seconds that may be unlike the original's.
const UNLIKE_FOR: f64 = 2.0;
/// Part of the pictures that may be missing, as for those that HandBrake decodes.
const MISSING: f64 = 0.01;

/// How an encoded film compares with its original.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Measured {
    /// SSIM of the picture as it is, at samples: 1 is the same. `None`: not known.
    pub score: Option<f64>,
    /// Seconds of it that were compared: from the beginning on, or of each piece's.
    pub compared: f64,
    /// Whether the time for it was over before the end.
    #[serde(default)]
    pub partly: bool,
    /// Seconds it took.
    #[serde(default)]
    pub took: f64,
    /// The second that differs most: where it is, and its SSIM in small.
    pub worst: Option<(f64, f64)>,
    /// Pictures of the original that are missing, and where the first is, in seconds.
    #[serde(default)]
    pub missing: Option<(u64, f64)>,
    /// Seconds of pictures that are empty, and where the first is.
    #[serde(default)]
    pub empty: Option<(f64, f64)>,
    /// Seconds of the original's picture that come after the film's last one, and where that is.
    #[serde(default)]
    pub cut: Option<(f64, f64)>,
    /// Seconds that show something else, and where the first is.
    #[serde(default)]
    pub unlike: Option<(f64, f64)>,
    /// Seconds by which the sound is late (negative: early), and where that was found.
    #[serde(default)]
    pub late: Option<(f64, f64)>,
    /// Seconds without the original's sound, and where the first is.
    #[serde(default)]
    pub silent: Option<(f64, f64)>,
}

impl Measured {
    /// Why it is not the original's film, for the user; `None`: it is. `own`: whether hostler's own preset encoded it, which leaves the picture
    /// as it is.
    pub fn wrong(&self, own: bool) -> Option<String> {
        let mut wrong = Vec::new();
        let seconds = |what: &str, found: Option<(f64, f64)>, most: f64| {
            let (length, at) = found.filter(|(length, _)| *length > most)?;
            Some(format!("{what} for {length:.1} s, starting at {}", clock(at)))
        };
        wrong.extend(seconds("its picture is empty", self.empty, EMPTY));
        wrong.extend(seconds("its picture ends early, and is missing", self.cut, CUT));
        wrong.extend(seconds("its sound is missing", self.silent, SILENT));
        if own {
            wrong.extend(seconds("its picture differs from the original's", self.unlike, UNLIKE_FOR));
        }
        if let Some((late, at)) = self.late.filter(|(late, _)| late.abs() > LATE) {
            let word = if late > 0.0 { "late" } else { "early" };
            wrong.push(format!("its sound is {:.0} ms {word} at {}", late.abs() * 1000.0, clock(at)));
        }
        (!wrong.is_empty()).then(|| wrong.join("; "))
    }

    /// The same, of a piece that begins that many seconds after the film does.
    fn later(mut self, by: f64) -> Measured {
        if let Some((at, _)) = &mut self.worst {
            *at += by;
        }
        let found = [self.empty.as_mut(), self.cut.as_mut(), self.unlike.as_mut(), self.late.as_mut(), self.silent.as_mut()];
        found.into_iter().flatten().for_each(|(_, at)| *at += by);
        if let Some((_, at)) = &mut self.missing {
            *at += by;
        }
        self
    }

    /// Of a film that was joined of these pieces, in their order, and of its sound, which took so many seconds to compare. `None`: there are
    /// none.
    pub fn joined(pieces: &[Measured], sound: Option<Sound>, took: f64) -> Option<Measured> {
        let sum =
            |of: fn(&Measured) -> Option<(f64, f64)>| pieces.iter().filter_map(of).reduce(|(length, at), (other, _)| (length + other, at));
        let missing = pieces.iter().filter_map(|piece| piece.missing);
        let sound = sound.unwrap_or_default();
        Some(Measured {
            score: median(pieces.iter().filter_map(|piece| piece.score).collect()),
            compared: pieces.iter().map(|piece| piece.compared).sum(),
            partly: pieces.iter().any(|piece| piece.partly),
            // They were compared side by side.
            took: pieces.iter().map(|piece| piece.took).fold(0.0, f64::max) + took,
            worst: pieces.iter().filter_map(|piece| piece.worst).min_by(|one, other| one.1.total_cmp(&other.1)),
            missing: missing.reduce(|(count, at), (other, _)| (count + other, at)),
            empty: sum(|piece| piece.empty),
            cut: sum(|piece| piece.cut),
            unlike: sum(|piece| piece.unlike),
            late: sound.late,
            silent: sound.silent,
        })
        .filter(|_| !pieces.is_empty())
    }

    /// What its owner should know, although it is the film.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some((missing, at)) = self.missing {
            let (are, pictures) = if missing == 1 { ("is", "frame") } else { ("are", "frames") };
            remarks.push(format!("{missing} {pictures} of the original {are} missing, the first at {}", clock(at)));
        }
        if self.partly {
            remarks.push(format!(
                "only {} of the film was compared with the original, because more would have taken too long",
                clock(self.compared)
            ));
        }
        remarks
    }

    /// Whether more pictures are missing than HandBrake may skip. `pictures`: how many the original has.
    pub fn has_holes(&self, pictures: u64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "counts of pictures are small")]
        self.missing.is_some_and(|(missing, _)| missing > 24 && missing as f64 > MISSING * pictures as f64)
    }

    /// `score 0.982, lowest 0.913 at 0:12:03`.
    pub fn text(&self) -> Option<String> {
        let (at, worst) = self.worst?;
        let score = self.score.map_or("not scored".to_owned(), |score| format!("score {score:.3}"));
        Some(format!("{score}, lowest {worst:.3} at {}", clock(at)))
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (last, middle) = (values.len().checked_sub(1)?, values.len() / 2);
    Some(f64::midpoint(values[last / 2], values[middle]))
}

/// `0:12:03`. The second begins with its first picture, whose time may be a little earlier.
pub fn clock(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no film is that long")]
    let whole = (seconds.max(0.0) + 0.1) as u64;
    format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
}
