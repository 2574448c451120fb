//! Joins the pieces of a film, and compares the result with what one machine would have made.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::super::ffmpeg::{self, FFMPEG, FFPROBE, Probe};
use super::super::handbrake::{Fraction, Pace, Title};
use super::super::measure::Measured;
use super::super::observe;
use super::super::order::{self, Order};
use super::super::record::Phase;
use super::super::split::{Done, Plan, Work};
use super::super::verify::Flaw;
use super::finish::LONG;
use super::{Encoder, HandBrakeRun, Stopped};

/// Seconds by which a picture or a sound may be shown earlier or later than in a film from one machine: MKV counts in milliseconds.
const APART: f64 = 0.005;

/// When the packets of a file are shown, in seconds, for each kind of stream.
#[derive(Debug, Clone, PartialEq, Default)]
struct Times {
    picture: Vec<f64>,
    /// Of all audio tracks, by their numbers among all streams of the file.
    sound: Vec<Vec<f64>>,
    subtitles: usize,
}

impl Times {
    /// From lines like `packet,0,1.040000`.
    fn parse(text: &str, probe: &Probe) -> Times {
        let mut by_stream: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split(',').skip(1);
            let (Some(Ok(stream)), Some(Ok(time))) = (words.next().map(str::parse), words.next().map(str::parse)) else { continue };
            by_stream.entry(stream).or_default().push(time);
        }
        by_stream.values_mut().for_each(|times| times.sort_by(f64::total_cmp));
        let mut take = |index: usize| by_stream.remove(&index).unwrap_or_default();
        Times {
            picture: probe.picture().map(|stream| take(stream.index)).unwrap_or_default(),
            sound: probe.of_kind("audio").iter().map(|stream| take(stream.index)).collect(),
            subtitles: probe.of_kind("subtitle").iter().map(|stream| take(stream.index).len()).sum(),
        }
    }

    /// Where the film begins: with its sound, or its picture if it has none.
    fn begin(&self) -> f64 {
        self.sound.first().unwrap_or(&self.picture).first().copied().unwrap_or_default()
    }

    /// In what a joined film differs from the run that made its sound; `None`: in nothing.
    fn differ(&self, whole: &Times) -> Option<String> {
        let (joined, expected) = (self.picture.len(), whole.picture.len());
        if joined != expected {
            return Some(format!("{joined} frames were joined, expected {expected}"));
        }
        if self.sound.len() != whole.sound.len() || self.sound.iter().zip(&whole.sound).any(|(one, other)| one.len() != other.len()) {
            return Some("packets of its sound are missing".to_owned());
        }
        if self.subtitles != whole.subtitles {
            return Some(format!("{} subtitles were joined, expected {}", self.subtitles, whole.subtitles));
        }
        let (begin, other) = (self.begin(), whole.begin());
        let streams = std::iter::once((&self.picture, &whole.picture)).chain(self.sound.iter().zip(&whole.sound));
        for (number, (joined, expected)) in streams.enumerate() {
            let apart =
                joined.iter().zip(expected).map(|(one, two)| ((one - begin) - (two - other), one)).find(|(apart, _)| apart.abs() > APART);
            if let Some((apart, at)) = apart {
                let what = if number == 0 { "a frame" } else { "its sound" };
                return Some(format!("{what} is {:.0} ms off at {at:.1} s", apart * 1000.0));
            }
        }
        None
    }
}

/// A film that was put together, as if one run of HandBrake had made it.
pub(super) struct Joined {
    pub(super) order: Order,
    pub(super) run: HandBrakeRun,
    /// How its pieces compare with the original; `None`: of one of them that can't be told.
    pub(super) measured: Option<Vec<Measured>>,
}

impl Encoder<'_> {
    /// Puts the pieces of a film and its sound together.
    pub(super) async fn joined(
        &mut self,
        input: &Path,
        title: &Title,
        probe: Option<&Probe>,
        plan: &Plan,
    ) -> Result<Result<Joined, Flaw>, Stopped> {
        self.show(Phase::Verifying, None);
        let mut done = match observe::done(self.work, plan) {
            Ok(done) => done,
            Err(error) => return Ok(Err(Flaw::passing(format!("the pieces can't be read: {error}")))),
        };
        let sound = done.remove(&Work::Sound);
        let pieces: Vec<Done> = done.into_values().collect();
        let Some(sound) = sound.filter(|_| pieces.len() == plan.pieces.len()) else {
            return Ok(Err(Flaw::passing("a piece is missing")));
        };
        let forms: BTreeSet<&str> = pieces.iter().map(|piece| piece.form.as_str()).collect();
        if forms.len() > 1 {
            let forms = forms.into_iter().collect::<Vec<_>>().join("; ");
            return Ok(Err(Flaw::permanent(format!("the pieces have different formats, so they can't be joined: {forms}"))));
        }
        let decoded: u64 = pieces.iter().map(|piece| piece.frames.0).sum();
        if decoded != sound.frames.0 {
            return Ok(Err(Flaw::permanent(format!("the pieces have {decoded} frames of the original, expected {}", sound.frames.0))));
        }
        if let Err(flaw) = self.concatenated(&pieces, &sound, plan.rate).await? {
            return Ok(Err(self.outside_if_full(flaw)));
        }
        let (joined, whole) = (self.times(self.part).await?, self.times(&self.work.join(&sound.file)).await?);
        let (Some(joined), Some(whole)) = (joined, whole) else { return Ok(Err(Flaw::passing("the joined film can't be read"))) };
        if let Some(wrong) = joined.differ(&whole) {
            return Ok(Err(Flaw::permanent(wrong)));
        }
        let order = match order::order(input, self.part, title, probe, &self.wishes(plan.encoder.clone(), plan.crf)) {
            Ok(order) => order,
            Err(error) => return Ok(Err(Flaw::permanent(format!("{error:#}")))),
        };
        let longest = pieces.iter().map(|piece| piece.took).fold(0.0, f64::max);
        let run = HandBrakeRun {
            status: Some(0),
            work_done: Some(0),
            frames: Some(sound.frames),
            pace: sound.pace.map(|(slowest, average)| Pace { slowest, average }),
            titles: None,
            crop: Some(plan.crop),
            took: Duration::from_secs_f64(longest.clamp(0.0, 1e7)),
        };
        let measured = pieces.into_iter().map(|piece| piece.measured).collect();
        Ok(Ok(Joined { order, run, measured }))
    }

    async fn concatenated(&mut self, pieces: &[Done], sound: &Done, rate: Fraction) -> Result<Result<(), Flaw>, Stopped> {
        let sound_file = self.work.join(&sound.file);
        let Some(probe) = self.probe(&sound_file).await? else { return Ok(Err(Flaw::passing("the sound can't be read"))) };
        let list = self.work.join(format!("{}.pieces", self.task.who));
        if let Err(error) = std::fs::write(&list, listed(pieces, rate)) {
            return Ok(Err(Flaw::outside(format!("the list of pieces can't be written: {error}"))));
        }
        let output =
            self.tool(FFMPEG, arguments(&list, &sound_file, probe.picture_after_start().unwrap_or_default(), self.part), LONG).await;
        let _ = std::fs::remove_file(&list);
        Ok(match output? {
            Some(output) if output.success => Ok(()),
            Some(output) => {
                Err(Flaw::passing(format!("the pieces can't be joined: {}", output.stderr.lines().last().unwrap_or("ffmpeg failed"))))
            }
            None => Err(Flaw::permanent("ffmpeg is not installed")),
        })
    }

    async fn times(&self, file: &Path) -> Result<Option<Times>, Stopped> {
        let Some(probe) = self.probe(file).await? else { return Ok(None) };
        let words = ["-v", "error", "-show_entries", "packet=stream_index,pts_time", "-of", "csv", "-i"];
        let arguments = words.map(OsString::from).into_iter().chain([ffmpeg::protected(file)]).collect();
        let output = self.tool(FFPROBE, arguments, LONG).await?;
        Ok(output.filter(|output| output.success).map(|output| Times::parse(&String::from_utf8_lossy(&output.stdout), &probe)))
    }
}

/// A list for ffmpeg, with the length of each piece: from its last picture's time alone, the next one would begin some milliseconds off.
fn listed(pieces: &[Done], Fraction { num, den }: Fraction) -> String {
    let mut text = "ffconcat version 1.0\n".to_owned();
    for Done { file, pictures, .. } in pieces {
        #[expect(clippy::cast_precision_loss, reason = "counts of pictures are small")]
        let seconds = *pictures as f64 * f64::from(den) / f64::from(num.max(1));
        let _ = writeln!(text, "file '{}'\nduration {seconds:.6}", file.replace('\'', "'\\''"));
    }
    text
}

/// `late`: seconds from where the sound's file begins to its first picture. ffmpeg lets each input begin at 0.
fn arguments(list: &Path, sound: &Path, late: f64, output: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["-v", "error", "-nostdin", "-y", "-itsoffset"].map(OsString::from).into_iter().collect();
    arguments.push(format!("{late:.6}").into());
    // Names of pieces are in the same folder; none is an address.
    arguments.extend(["-protocol_whitelist", "file", "-f", "concat", "-i"].map(OsString::from));
    arguments.push(ffmpeg::protected(list));
    arguments.push("-i".into());
    arguments.push(ffmpeg::protected(sound));
    let words = ["-map", "0:v:0", "-map", "1:a?", "-map", "1:s?", "-map", "1:t?", "-map_chapters", "1", "-map_metadata", "1"];
    arguments.extend(words.map(OsString::from));
    arguments.extend(["-c", "copy", "-default_mode", "passthrough", "-f", "matroska"].map(OsString::from));
    arguments.push(ffmpeg::protected(output));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(pictures: u32, late: f64) -> Times {
        let every = |count: u32, step: f64, from: f64| (0..count).map(|number| from + f64::from(number) * step).collect::<Vec<_>>();
        Times { picture: every(pictures, 0.04, 0.021), sound: vec![every(pictures, 0.032, late); 2], subtitles: 3 }
    }

    #[test]
    fn a_joined_film_has_every_picture_and_its_sound_in_time() {
        let whole = times(100, 0.0);
        let wrong = |joined: &Times| joined.differ(&whole);
        assert_eq!(wrong(&whole), None);
        let mut shifted = times(100, 0.0);
        shifted.picture.iter_mut().chain(shifted.sound.iter_mut().flatten()).for_each(|time| *time += 1.0);
        assert_eq!(wrong(&shifted), None, "all of it is later");
        shifted.picture.iter_mut().for_each(|time| *time -= 0.003);
        assert_eq!(wrong(&shifted), None, "within what MKV rounds");
        assert_eq!(wrong(&times(99, 0.0)).as_deref(), Some("99 frames were joined, expected 100"));
        assert!(wrong(&times(100, 0.2)).is_some_and(|why| why.starts_with("a frame is -200 ms off")), "the sound is 200 ms late");
        let mut jump = times(100, 0.0);
        jump.picture[50..].iter_mut().for_each(|time| *time += 0.04);
        assert_eq!(wrong(&jump).as_deref(), Some("a frame is 40 ms off at 2.1 s"), "as long as a picture is doubled or missing");
        let mut second = times(100, 0.0);
        second.sound[1].iter_mut().for_each(|time| *time += 0.01);
        assert!(wrong(&second).is_some_and(|why| why.starts_with("its sound is 10 ms off")));
        second.sound[1].pop();
        assert_eq!(wrong(&second).as_deref(), Some("packets of its sound are missing"));
        assert_eq!(wrong(&Times { subtitles: 2, ..whole.clone() }).as_deref(), Some("2 subtitles were joined, expected 3"));
    }

    #[test]
    fn times_are_read_by_stream() {
        let probe: Probe = serde_json::from_str(
            r#"{"streams": [{"index": 0, "codec_type": "video"}, {"index": 1, "codec_type": "audio"}, {"index": 2, "codec_type": "subtitle"}]}"#,
        )
        .expect("a probe");
        let text = "packet,0,0.04\npacket,1,0.0\npacket,0,0.12\npacket,0,0.08\npacket,2,1.0\npacket,1,N/A\n";
        assert_eq!(Times::parse(text, &probe), Times { picture: vec![0.04, 0.08, 0.12], sound: vec![vec![0.0]], subtitles: 1 });
    }
}
