//! One film on several machines: whether it is encoded in pieces, where it is cut, and what is known of its pieces.
//!
//! Every piece is made from the whole original: HandBrake starts half a frame before the first picture of a piece and ends half a frame before
//! the first one of the next, so rounding never takes or loses a picture. One more run makes sound, subtitles and chapters.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ffmpeg::Probe;
use super::handbrake::{Fraction, Title};
use super::measure::{Crop, Measured, Span};
use super::record::Stamp;

pub mod form;
mod shown;

pub use shown::shown;

/// The plan of a film that is encoded in pieces, in its work folder. The encoder that scanned the film writes it, and encodes nothing then.
pub const PLAN: &str = "split.json";
/// More pieces than any home has machines: a plan with more is none.
const MOST: usize = 64;
/// HandBrake counts in 1/90000 s.
const TICKS: u128 = 90_000;
/// What sound costs, as a part of the whole film's work: HandBrake decodes all pictures for it. Measured: a tenth. It is made on the machine of
/// the first piece, which is smaller for it, but not smaller than pieces may be.
const SOUND: f64 = 0.1;
/// Part by which the average frame rate may differ from the nominal one: ffmpeg estimates the first from a file's beginning and length.
const STEADY: f64 = 0.002;

/// A part of the work on a film that is encoded in pieces. Each has its own Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// From 1.
    Piece(u16),
    /// Sound, subtitles and chapters of the whole film.
    Sound,
    /// Joins all of that, and verifies the film.
    Join,
}

impl Work {
    /// The record of its result.
    pub fn result(self) -> String {
        format!("{self}.json")
    }

    /// As [`FAILURE`](super::record::FAILURE) of a whole film.
    pub fn failure(self) -> String {
        format!("{self}{FAILURE}")
    }

    /// As [`PROGRESS`](super::record::PROGRESS) of a whole film.
    pub fn progress(self) -> String {
        format!("{self}.progress.json")
    }

    /// As [`LOG`](super::record::LOG) of a whole film.
    pub fn log(self) -> String {
        format!("{self}.log")
    }
}

/// The end of the name of a failure's file.
pub const FAILURE: &str = ".failure.json";

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Work::Piece(number) => write!(f, "piece{number}"),
            Work::Sound => f.write_str("sound"),
            Work::Join => f.write_str("join"),
        }
    }
}

impl FromStr for Work {
    type Err = String;

    fn from_str(text: &str) -> Result<Work, String> {
        match text {
            "sound" => Ok(Work::Sound),
            "join" => Ok(Work::Join),
            _ => {
                let number = text.strip_prefix("piece").and_then(|number| number.parse().ok()).filter(|number| *number > 0);
                number.map(Work::Piece).ok_or_else(|| format!("`{text}` is neither `pieceN`, `sound` nor `join`"))
            }
        }
    }
}

/// How a film is encoded in pieces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The attempt that made it: results for another plan are useless.
    pub who: String,
    /// The original that it is for, and its round.
    pub source: Stamp,
    pub round: u32,
    /// HandBrake's name of the encoder: all pieces have the same one.
    pub encoder: String,
    /// `None`: the preset's.
    pub crf: Option<u32>,
    /// Of the original, by one scan.
    pub crop: Crop,
    /// Pictures per second.
    pub rate: Fraction,
    pub pieces: Vec<Piece>,
    /// Arguments of HandBrakeCLI, without input, output and place: for each piece, and for the sound.
    pub picture: Vec<String>,
    pub sound: Vec<String>,
    /// What its owner should know.
    pub remarks: Vec<String>,
    pub at: Timestamp,
}

/// Where a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// For HandBrake's `--start-at`, in 1/90000 s; `None`: the beginning.
    pub start: Option<u64>,
    /// For its `--stop-at`, counted from the start; `None`: the end.
    pub length: Option<u64>,
    /// How many pictures it has; of the last piece, as many as the film's length suggests.
    pub pictures: u64,
}

impl Plan {
    /// All parts of the work but the last, which joins them.
    pub fn works(&self) -> impl Iterator<Item = Work> + use<> {
        let pieces = u16::try_from(self.pieces.len()).unwrap_or_default();
        // Sound takes the whole film, if little of the processor.
        std::iter::once(Work::Sound).chain((1..=pieces).map(Work::Piece))
    }

    pub fn piece(&self, number: u16) -> Option<&Piece> {
        usize::from(number).checked_sub(1).and_then(|place| self.pieces.get(place))
    }

    /// How much of the film a piece is, from 0 to 1.
    pub fn share(&self, number: u16) -> f64 {
        let all: u64 = self.pieces.iter().map(|piece| piece.pictures).sum();
        self.piece(number).map_or(0.0, |piece| piece.pictures as f64 / all.max(1) as f64)
    }

    /// The pictures of a piece.
    pub fn span(&self, number: u16) -> Span {
        let before = self.pieces.iter().take(usize::from(number).saturating_sub(1));
        let pictures = self.piece(number).filter(|piece| piece.length.is_some()).map(|piece| piece.pictures);
        Span { first: before.map(|piece| piece.pictures).sum(), pictures }
    }

    /// Whether it is a plan for that original. An encoder wrote it, which parses what may come from anywhere.
    pub fn is_for(&self, source: Stamp, round: u32) -> bool {
        (2..=MOST).contains(&self.pieces.len()) && (self.source, self.round) == (source, round)
    }
}

/// The result of one part of the work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// [`Plan::who`].
    pub plan: String,
    /// A plain file name in the work folder.
    pub file: String,
    /// Bytes.
    pub size: u64,
    /// Pictures that were decoded, and those that HandBrake expected.
    pub frames: (u64, u64),
    /// Pictures per second, at the longest pause and on average; `None`: HandBrake did not print it.
    pub pace: Option<(f64, f64)>,
    /// Pictures that were written.
    pub pictures: u64,
    /// What a player must know to decode it: pieces that differ in this can't be joined.
    pub form: String,
    pub machine: String,
    /// Seconds.
    pub took: f64,
    /// How the piece compares with its part of the original; `None`: that can't be told.
    #[serde(default)]
    pub measured: Option<Measured>,
    pub at: Timestamp,
}

/// What decides whether a film is encoded in pieces.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts<'a> {
    /// Machines that would be idle otherwise, with the one that scanned the film.
    pub machines: usize,
    /// Seconds that a piece has at least; `None`: films are not split.
    pub least: Option<u64>,
    /// Whether hostler's own preset encodes it.
    pub own_preset: bool,
    /// Whether an encoder in hardware does.
    pub hardware: bool,
    /// Whether its owner took it as it is, although it failed the verification.
    pub accepted: bool,
    pub title: &'a Title,
    pub probe: Option<&'a Probe>,
}

/// Where a film is cut, and its frame rate.
///
/// # Errors
/// Why it is encoded in one piece, for the user.
pub fn cuts(facts: &Facts) -> Result<(Vec<Piece>, Fraction), String> {
    let no = |why: &str| Err(why.to_owned());
    let Facts { title, .. } = facts;
    let Some(least) = facts.least else { return no("`split` is off") };
    if !facts.own_preset {
        return no("a custom preset may have filters or a bitrate that need the whole film");
    }
    if facts.hardware {
        return no("it is encoded with Quick Sync");
    }
    if title.on_disc() {
        return no("it is a disc");
    }
    if facts.accepted {
        return no("it was accepted although it failed the verification");
    }
    #[expect(clippy::cast_precision_loss, reason = "lengths of films are small")]
    let enough = (title.seconds() / least.max(1) as f64).clamp(0.0, MOST as f64);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let most = enough as usize;
    if most < 2 {
        return Err(format!("it is shorter than two pieces of {}", length(least)));
    }
    if facts.machines < 2 {
        return no("no other machine is idle");
    }
    if title.interlace_detected {
        return no("it is interlaced, and the filter needs the frames around each frame");
    }
    let Some(probe) = facts.probe else { return no("the encoder's image has no ffprobe") };
    let (Some((highest, average)), Some(rate)) = (probe.rates(), probe.picture().and_then(|picture| fraction(&picture.r_frame_rate)))
    else {
        return no("its frame rate is not known");
    };
    let same = |one: f64, other: f64| (one - other).abs() <= STEADY * other;
    if !same(average, highest) || !same(title.rate(), highest) {
        return no("its frame rate varies");
    }
    let Some(head) = probe.picture_after_start() else { return no("it is not known where its picture begins") };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no film is that long")]
    let pictures = (title.seconds() * highest).round() as u64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no film is that long")]
    let least = (least as f64 * highest).ceil() as u64;
    Ok((pieces(pictures, least, rate, head, most.min(facts.machines)), rate))
}

/// In what a piece differs from its plan; `None`: in nothing. A film with missing pictures, or with several of one time, has none where they
/// are expected.
pub fn miscounted(piece: &Piece, done: &Done) -> Option<String> {
    let (decoded, written) = (done.frames.0, done.pictures);
    // The last piece has what there is; the film's whole count is compared when it is joined.
    let expected = if piece.length.is_some() { piece.pictures } else { decoded };
    (decoded != expected || written != expected || expected == 0)
        .then(|| format!("{decoded} frames were decoded and {written} encoded, expected {}", piece.pictures))
}

/// Pieces of `pictures` with that rate, of at least `least`. `head`: seconds from the file's start to its first picture.
fn pieces(pictures: u64, least: u64, rate: Fraction, head: f64, count: usize) -> Vec<Piece> {
    let count = count as u64;
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "no film is that long")]
    let less = (SOUND * (1.0 - 1.0 / count as f64) * pictures as f64) as u64;
    let equal = pictures / count;
    let smaller = equal.saturating_sub(less).max(least.clamp(1, equal.max(1)));
    let (rest, others) = (pictures - smaller, count - 1);
    // Of piece `number`.
    let first = |number: u64| match number.checked_sub(1) {
        None => 0,
        Some(number) => smaller + rest / others * number + (rest % others).min(number),
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no file begins that late")]
    let head = (head.max(0.0) * 90_000.0).round() as u64;
    let piece = |number: u64| {
        let (from, to) = (first(number), first(number + 1));
        Piece {
            start: (number > 0).then(|| head + half_before(from, rate)),
            length: (number + 1 < count).then(|| half_before(to - from, rate)),
            pictures: to - from,
        }
    };
    (0..count).map(piece).collect()
}

/// Half a frame before picture `number`, counted from 0, in 1/90000 s from picture 0.
fn half_before(number: u64, Fraction { num, den }: Fraction) -> u64 {
    let halves = u128::from(number).saturating_mul(2).saturating_sub(1);
    let (over, under) = (halves * u128::from(den) * TICKS, 2 * u128::from(num.max(1)));
    u64::try_from((over + under / 2) / under).unwrap_or(u64::MAX)
}

fn fraction(text: &str) -> Option<Fraction> {
    let (num, den) = text.split_once('/')?;
    let fraction = Fraction { num: num.parse().ok()?, den: den.parse().ok()? };
    (fraction.num > 0 && fraction.den > 0).then_some(fraction)
}

fn length(seconds: u64) -> String {
    if seconds.is_multiple_of(60) { format!("{} min", seconds / 60) } else { format!("{seconds} s") }
}

#[cfg(test)]
mod tests;
