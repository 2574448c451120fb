//! Compares what was encoded with its original, before it may be published.

use std::path::Path;
use std::time::{Duration, Instant};

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
    /// Of a film in pieces: how each compares with its part of the original. `None`: the film's pictures were not compared yet.
    pub pieces: Option<Vec<Measured>>,
}

impl Encoder<'_> {
    /// What a comparison finds, unless a signal ends it.
    async fn unless_stopped<T>(&self, compares: impl Future<Output = Option<T>>) -> Result<Option<T>, Stopped> {
        let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
            return Ok(None);
        };
        tokio::select! {
            found = compares => Ok(found),
            _ = terminate.recv() => Err(Stopped),
            _ = interrupt.recv() => Err(Stopped),
        }
    }

    /// How a piece compares with its part of the original, which `took` that long to encode and is such a `share` of the film; `None`: that can't
    /// be told. All pieces together take no longer than the whole film would.
    pub(super) async fn piece_measured(&self, pair: &Pair<'_>, took: Duration, share: f64) -> Result<Option<Measured>, Stopped> {
        self.unless_stopped(measure::compare(pair, took.mul_f64(PART).max(LEAST.mul_f64(share)))).await
    }

    /// How the encoding compares with its original; `None`: that can't be told.
    pub(super) async fn measured(&self, made: Made<'_>, remarks: &mut Vec<String>) -> Result<Result<Option<Box<Measured>>, Flaw>, Stopped> {
        let Some(film) = self.probe(self.part).await? else { return Ok(Ok(None)) };
        let (path, probe) = made.original;
        let sound = made.sound.or_else(|| only_of_its_language(probe, &film));
        let crop = made.run.crop.unwrap_or_default();
        let pair = Pair { original: (path, probe), film: (self.part, &film), crop, sound, span: None };
        let limit = made.run.took.mul_f64(PART).max(LEAST);
        let (pictures, expected) = made.run.frames.unwrap_or_default();
        let mut measured = None;
        if let Some(pieces) = &made.pieces {
            let begun = Instant::now();
            let sound = self.unless_stopped(measure::compare_sound(&pair, pieces.iter().map(|piece| piece.compared).sum(), limit)).await?;
            measured = Measured::joined(pieces, sound, begun.elapsed().as_secs_f64());
        }
        // Where a piece seems wrong, its place in the original may not have been found.
        if measured.as_ref().is_none_or(|measured| measured.wrong(made.own).is_some() || measured.has_holes(pictures)) {
            measured = self.unless_stopped(measure::compare(&pair, limit)).await?;
        }
        let Some(mut measured) = measured else { return Ok(Ok(None)) };
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
            Some(wrong) => remarks.push(format!("published as it is: {wrong}")),
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
