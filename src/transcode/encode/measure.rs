//! Compares what was encoded with its original, before it may be published.

use std::path::Path;
use std::time::Duration;

use hostler_core::films::language;
use tokio::signal::unix::{SignalKind, signal};

use super::super::ffmpeg::Probe;
use super::super::measure::{self, Measured, Pair};

use super::super::verify::Flaw;
use super::{Encoder, HandBrakeRun, Stopped};

/// Part of the time that encoding took, and the least time: after it the comparison ends where it is.
const PART: f64 = 0.1;
const LEAST: Duration = Duration::from_secs(60);

/// How a film was made.
pub(super) struct Made<'a> {
    pub original: (&'a Path, &'a Probe),
    /// By hostler's own preset.
    pub own: bool,
    /// As of [`super::super::order::Order`].
    pub sound: Option<usize>,
    pub run: &'a HandBrakeRun,
}

impl Encoder<'_> {
    /// How the encoding compares with its original; `None`: that can't be told.
    pub(super) async fn measured(&self, made: Made<'_>, remarks: &mut Vec<String>) -> Result<Result<Option<Box<Measured>>, Flaw>, Stopped> {
        let Some(film) = self.probe(self.part).await? else { return Ok(Ok(None)) };
        let (path, probe) = made.original;
        let sound = made.sound.or_else(|| only_of_its_language(probe, &film));
        let crop = made.run.crop.unwrap_or_default();
        let pair = Pair { original: (path, probe), film: (self.part, &film), crop, sound };
        let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
            return Ok(Ok(None));
        };
        let measured = tokio::select! {
            measured = measure::compare(&pair, made.run.took.mul_f64(PART).max(LEAST)) => measured,
            _ = terminate.recv() => return Err(Stopped),
            _ = interrupt.recv() => return Err(Stopped),
        };
        let Some(mut measured) = measured else { return Ok(Ok(None)) };
        let (pictures, expected) = made.run.frames.unwrap_or_default();
        // The head may promise a steady rate where the pictures come as they like: then none of them is missing.
        if pictures.saturating_mul(100) < expected.saturating_mul(99) {
            measured.missing = None;
        }
        let mut wrong = measured.wrong(made.own);
        if measured.has_holes(pictures) {
            wrong = Some(measured.remarks().swap_remove(0));
        }
        match wrong {
            Some(wrong) if !self.film.accepted => {
                return Ok(Err(Flaw::permanent(format!("the encoded film differs from the original: {wrong}"))));
            }
            Some(wrong) => remarks.push(format!("taken as it is: {wrong}")),
            None => remarks.extend(measured.remarks()),
        }
        Ok(Ok(Some(Box::new(measured))))
    }
}

/// The original's audio track that the film's first one can only be, from 0.
fn only_of_its_language(original: &Probe, film: &Probe) -> Option<usize> {
    let first = film.of_kind("audio").first()?.track().language_code;
    let tracks = original.of_kind("audio");
    let mut alike = tracks.iter().enumerate().filter(|(_, stream)| {
        let language = stream.track().language_code;
        tracks.len() == 1 || language::same(&language, &first)
    });
    alike.next().filter(|_| alike.next().is_none()).map(|(number, _)| number)
}
