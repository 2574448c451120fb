//! `quality:` of a folder: the CRF that a film needs for a score, found by encoding samples of it.

use std::path::Path;

use hostler_core::films::settings::Folder;

use super::super::ffmpeg::Probe;
use super::super::handbrake::Title;
use super::super::measure::{self, Pair};
use super::super::order::{self, Wishes};
use super::super::record::Phase;
use super::super::verify::Flaw;
use super::{Encoder, Stopped};

/// The best CRF that is tried, and the first that is not: [`ENCODES`] halve this.
const RANGE: (u32, u32) = (15, 31);
const ENCODES: u32 = 4;
/// Seconds of a sample, and where it begins, of the film's length.
const SAMPLE: f64 = 10.0;
const PLACES: [f64; 3] = [0.2, 0.5, 0.8];
/// A film of fewer seconds is one sample.
const SHORT: f64 = 60.0;

/// The highest CRF that still reaches a score, by bisection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Search {
    reaches: u32,
    fails: u32,
}

impl Search {
    fn new() -> Search {
        Search { reaches: RANGE.0, fails: RANGE.1 }
    }

    /// The next one to try; `None`: it is found.
    fn next(self) -> Option<u32> {
        (self.fails - self.reaches > 1).then_some(u32::midpoint(self.reaches, self.fails))
    }

    fn tried(&mut self, crf: u32, reaches: bool) {
        *(if reaches { &mut self.reaches } else { &mut self.fails }) = crf;
    }
}

impl Encoder<'_> {
    /// The CRF for the `quality:` of the film's folder, and what to tell its owner; `None`: it has none, or a preset of one's own.
    pub(super) async fn crf(
        &mut self,
        input: &Path,
        source: &Title,
        probe: Option<&Probe>,
    ) -> Result<Result<Option<(u32, String)>, Flaw>, Stopped> {
        let Some(quality) = self.folder().and_then(|Folder { quality, preset, .. }| quality.filter(|_| preset.is_none())) else {
            return Ok(Ok(None));
        };
        let unknown = || Ok(Ok(Some((quality.usual(), format!("CRF {}: samples can't be scored", quality.usual())))));
        let Some(probe) = probe.filter(|_| !source.on_disc()) else { return unknown() };
        let mut search = Search::new();
        let mut reached = None;
        for _ in 0..ENCODES {
            let Some(crf) = search.next() else { break };
            let score = match self.sampled(input, source, probe, crf).await? {
                Ok(Some(score)) => score,
                Ok(None) => return unknown(),
                Err(flaw) => return Ok(Err(flaw)),
            };
            let reaches = score >= quality.score();
            search.tried(crf, reaches);
            if reaches {
                reached = Some(score);
            }
        }
        let score = reached.map_or_else(|| "no higher CRF reaches the score".to_owned(), |score| format!("samples score {score:.3}"));
        Ok(Ok(Some((search.reaches, format!("CRF {}: {score}", search.reaches)))))
    }

    /// The mean score of samples that are encoded with `crf`; `None`: that can't be told.
    async fn sampled(&mut self, input: &Path, source: &Title, probe: &Probe, crf: u32) -> Result<Result<Option<f64>, Flaw>, Stopped> {
        let seconds = source.seconds();
        let places: Vec<f64> = if seconds < SHORT { vec![0.0] } else { PLACES.map(|place| place * seconds).to_vec() };
        let rate = probe.rates().map_or(25.0, |(rate, _)| rate);
        // The picture alone.
        let silent = Title { audio_list: Vec::new(), subtitle_list: Vec::new(), ..source.clone() };
        let Ok(encoder) = order::encoder(&silent, None) else { return Ok(Ok(None)) };
        let wishes = Wishes { preset: None, languages: &[], audio: Default::default(), crf: Some(crf), encoder };
        let sample = self.work.join(format!("{}.sample.part.mkv", self.task.who));
        let mut scores = Vec::new();
        for place in places {
            let Ok(order) = order::order(input, &sample, &silent, Some(probe), &wishes) else { return Ok(Ok(None)) };
            let mut arguments = order.arguments;
            // Half a picture before it: which one is taken is no matter of rounding.
            let from = if place > 0.0 { (((place * rate).floor() - 0.5) / rate).max(0.0) } else { 0.0 };
            if from > 0.0 {
                arguments.extend(["--start-at".into(), format!("pts:{:.0}", from * 90_000.0).into()]);
            }
            arguments.extend(["--stop-at".into(), format!("pts:{:.0}", SAMPLE * 90_000.0).into()]);
            let run = self.handbrake(arguments, Phase::Scanning).await;
            let score = match &run {
                Ok(Ok(run)) if run.status == Some(0) => {
                    let found = self.probe(&sample).await;
                    if let Ok(Some(film)) = &found {
                        let crop = run.crop.unwrap_or_default();
                        let pair = Pair { original: (input, probe), film: (&sample, film), crop, sound: None, span: None };
                        let place = (from > 0.0).then_some(from + probe.head());
                        measure::score(&pair, (place, None), SAMPLE - 1.0).await
                    } else {
                        None
                    }
                }
                _ => None,
            };
            let _ = std::fs::remove_file(&sample);
            match run? {
                Ok(_) => {}
                Err(flaw) => return Ok(Err(flaw)),
            }
            let Some(score) = score else { return Ok(Ok(None)) };
            scores.push(score);
        }
        #[expect(clippy::cast_precision_loss, reason = "at most three")]
        let count = scores.len() as f64;
        Ok(Ok(Some(scores.iter().sum::<f64>() / count)))
    }
}

#[cfg(test)]
mod tests {
    use hostler_core::films::settings::Quality;

    use super::*;

    #[test]
    fn each_crf_is_found_with_four_encodes() {
        for highest in RANGE.0..RANGE.1 {
            let mut search = Search::new();
            let mut encodes = 0;
            while let Some(crf) = search.next() {
                encodes += 1;
                search.tried(crf, crf <= highest);
            }
            assert_eq!((search.reaches, encodes), (highest, ENCODES));
        }
        assert!([Quality::Best, Quality::Good, Quality::Small].windows(2).all(|two| two[0].score() > two[1].score()));
    }
}
