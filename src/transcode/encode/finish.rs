//! After HandBrake: names and flags of tracks, subtitles as text, the smaller one of film and original, and what the film is, with ffmpeg.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hostler_core::films::language;
use hostler_core::quantity::size;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{ChildStdout, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use super::super::content::{self, Content, PLACES, Sample};
use super::super::ffmpeg::{self, FFMPEG, FFPROBE, Probe};
use super::super::handbrake::{self, Flags, Title};
use super::super::layout::space;
use super::super::order::Tracks;
use super::super::record::{Part, Phase, Stamp};
use super::super::verify::{self, Attempt, Flaw};
use super::{Encoder, Stopped};
use crate::user_file;

/// The longest output of a program that is read as a whole.
const MOST_BYTES: u64 = 256 << 20;
/// Bytes of a line about a packet.
const LINE: u64 = 4 << 10;
/// Seconds by which a packet may be later than its predecessor ends, and follow it.
const FOLLOWS: f64 = 0.001;
/// Longest that copying a film's streams or reading its packets takes.
pub(super) const LONG: Duration = Duration::from_secs(6 * 3600);
pub(super) const SHORT: Duration = Duration::from_secs(120);
/// Below this the disk is full.
const FULL: u64 = 16 << 20;
/// Seconds without a packet of any track.
const GAP: f64 = 1.0;
/// Part of a picture's packets that must have been decoded.
const DECODED: f64 = 0.99;
/// Seconds, and part of the length, that the last packet may end before the film.
const END: (f64, f64) = (1.0, 0.005);

/// The output of a program that ended.
pub(super) struct Output {
    pub(super) success: bool,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

/// The packets of a file's tracks.
#[derive(Debug, Clone, PartialEq)]
pub struct Packets {
    /// Of the first picture.
    pub pictures: u64,
    /// Seconds, where the first picture's last packet ends.
    pub picture_end: f64,
    /// Seconds, where the last packet of all ends.
    pub end: f64,
    /// Seconds that the file's own times are later: those of `end` begin with its first picture or sound.
    pub begin: f64,
    /// Seconds: the longest time without a packet of picture or sound, which follow each other all the time.
    pub gap: f64,
    /// Whether ffprobe met what it could not read.
    pub errors: bool,
}

/// What was read of a file's packets: a long film has millions.
#[derive(Debug)]
struct Reading<'a> {
    picture: usize,
    /// Numbers of tracks.
    sounds: &'a [usize],
    /// Times of picture and sound.
    spans: Vec<(f64, f64)>,
    /// The last one of each track.
    latest: BTreeMap<usize, usize>,
    pictures: u64,
    picture_end: f64,
    last: f64,
}

impl Reading<'_> {
    fn new(picture: usize, sounds: &[usize]) -> Reading<'_> {
        Reading { picture, sounds, spans: Vec::new(), latest: BTreeMap::new(), pictures: 0, picture_end: 0.0, last: f64::MIN }
    }

    /// A line like `packet,0,1.040000,0.040000`: the track, when it is shown, and for how long.
    fn line(&mut self, line: &str) {
        let mut words = line.trim_end().split(',').skip(1);
        let (Some(Ok(track)), Some(time)) = (words.next().map(str::parse::<usize>), words.next()) else { return };
        self.pictures += u64::from(track == self.picture);
        let Ok(time) = time.parse::<f64>() else { return };
        let end = time + words.next().and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0);
        if track == self.picture {
            self.picture_end = self.picture_end.max(end);
        }
        self.last = self.last.max(end);
        if track != self.picture && !self.sounds.contains(&track) {
            return;
        }
        match self.latest.get(&track).and_then(|latest| self.spans.get_mut(*latest)) {
            Some(latest) if (latest.0..=latest.1 + FOLLOWS).contains(&time) => latest.1 = latest.1.max(end),
            _ => {
                self.latest.insert(track, self.spans.len());
                self.spans.push((time, end));
            }
        }
    }

    fn end(mut self, errors: bool) -> Option<Packets> {
        self.spans.sort_by(|one, other| one.0.total_cmp(&other.0));
        let first = self.spans.first()?.0;
        let (mut end, mut gap) = (first, 0.0_f64);
        for (from, to) in self.spans {
            gap = gap.max(from - end);
            end = end.max(to);
        }
        Some(Packets { pictures: self.pictures, picture_end: self.picture_end - first, end: self.last - first, begin: first, gap, errors })
    }
}

impl Packets {
    /// Sets the length of a film whose head has none, or where it ends by times that begin late: then nothing is missing before they begin.
    pub fn correct(&self, source: &mut Title) {
        let (until, slack) = (self.begin + self.end, END.0.max(END.1 * source.seconds()));
        // Others write the length itself. A film that ends early fits neither.
        let is_end = self.begin > 0.0 && !self.errors && (until - source.seconds()).abs() <= slack;
        if source.seconds() < 0.1 || is_end {
            source.duration = handbrake::Duration::of(self.end);
        }
    }

    /// Whether nothing is missing, although there are fewer pictures than the film's length suggests.
    pub fn are_whole(&self, attempt: &Attempt, source: &Title) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "counts of frames are small")]
        let decoded = attempt.frames.is_some_and(|(got, _)| got as f64 >= DECODED * self.pictures as f64);
        let silent = source.audio_list.is_empty();
        let slack = END.0.max(END.1 * source.seconds());
        decoded && self.pictures > 0 && !self.errors && (silent || self.gap <= GAP) && self.end >= source.seconds() - slack
    }
}

impl Encoder<'_> {
    /// Runs a program to its end. `None`: it is not there.
    pub(super) async fn tool(&self, program: &str, arguments: Vec<OsString>, limit: Duration) -> Result<Option<Output>, Stopped> {
        unless_stopped(output_of(program, arguments, limit, MOST_BYTES)).await
    }

    /// What ffprobe says of a file; `None`: nothing.
    pub(super) async fn probe(&self, file: &Path) -> Result<Option<Probe>, Stopped> {
        let output = self.tool(FFPROBE, ffmpeg::probe(file), SHORT).await?;
        Ok(output.filter(|output| output.success).and_then(|output| serde_json::from_slice(&output.stdout).ok()))
    }

    pub(super) async fn packets(&self, file: &Path) -> Result<Option<Packets>, Stopped> {
        let Some(probe) = self.probe(file).await? else { return Ok(None) };
        let Some(picture) = probe.picture().map(|stream| stream.index) else { return Ok(None) };
        let sounds: Vec<usize> = probe.of_kind("audio").iter().map(|stream| stream.index).collect();
        let words = ["-v", "error", "-show_entries", "packet=stream_index,pts_time,duration_time", "-of", "csv", "-i"];
        let arguments = words.map(OsString::from).into_iter().chain([ffmpeg::protected(file)]).collect();
        let mut reading = Reading::new(picture, &sounds);
        let each = async |stdout: ChildStdout| {
            let mut stdout = BufReader::with_capacity(1 << 20, stdout);
            let mut line = Vec::new();
            while (&mut stdout).take(LINE).read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
                reading.line(&String::from_utf8_lossy(&line));
                line.clear();
            }
            Some(())
        };
        let said = unless_stopped(said_by(FFPROBE, arguments, LONG, each)).await?;
        Ok(said.and_then(|said| reading.end(!said.success || said.stdout.is_none() || !said.stderr.trim().is_empty())))
    }

    /// Puts names and flags on the tracks, and makes text of subtitles that were text. `tracks`: those that the film should have; `None`: a
    /// preset decided. Without ffmpeg the tracks stay as they are.
    pub(super) async fn finish(
        &mut self,
        source: &Title,
        tracks: Option<Tracks>,
        remarks: &mut Vec<String>,
    ) -> Result<Result<Option<Tracks>, Flaw>, Stopped> {
        let part = self.part.to_owned();
        let Some(probe) = self.probe(&part).await? else {
            remarks.push("names and flags of tracks were not kept: the encoder's image has neither ffprobe nor ffmpeg".to_owned());
            return Ok(Ok(None));
        };
        let own = tracks.is_some();
        let mut tracks = tracks.unwrap_or_else(|| of(&probe));
        if !own {
            flags_of_original(&mut tracks, source);
        }
        let subtitles = probe.of_kind("subtitle");
        if subtitles.len() != tracks.subtitles.len() || probe.of_kind("audio").len() != tracks.audio.len() {
            // The verification says what is missing.
            return Ok(Ok(Some(tracks)));
        }
        let styled = source.subtitle_list.iter().filter(|track| track.source_name == "SSA").count();
        let mut files: Vec<(usize, PathBuf)> = Vec::new();
        for (number, track) in tracks.subtitles.iter().enumerate() {
            let was_text = if own { !matches!(track.source_name.as_str(), "SSA" | "ASS") } else { styled == 0 };
            if subtitles[number].codec_name == "ass" && was_text {
                let file = self.work.join(format!("{}.{number}.srt", self.task.who));
                let output = self.tool(FFMPEG, ffmpeg::as_text(&part, number, &file), LONG).await?;
                let text = output.filter(|output| output.success).and_then(|_| user_file::text(&file).ok());
                if let Some(text) = text
                    && std::fs::write(&file, ffmpeg::without_font(&text)).is_ok()
                {
                    files.push((number, file));
                } else {
                    let _ = std::fs::remove_file(&file);
                }
            }
        }
        let finished = self.work.join(format!("{}.finished.part.mkv", self.task.who));
        let texts: BTreeMap<usize, &Path> = files.iter().map(|(number, file)| (*number, file.as_path())).collect();
        let output = self.tool(FFMPEG, ffmpeg::finish(&part, &finished, &tracks, &texts), LONG).await;
        for (_, file) in &files {
            let _ = std::fs::remove_file(file);
        }
        let replaced = match output? {
            Some(Output { success: true, .. }) => std::fs::rename(&finished, &part).map_err(|error| error.to_string()),
            Some(output) => Err(output.stderr.lines().last().unwrap_or("ffmpeg failed").to_owned()),
            None => Err("ffmpeg is not installed".to_owned()),
        };
        if let Err(why) = replaced {
            let _ = std::fs::remove_file(&finished);
            return Ok(Err(Flaw::passing(format!("names and flags of tracks can't be written: {why}"))));
        }
        Ok(Ok(Some(tracks)))
    }

    /// Replaces the encoding by the original's streams, if it is not smaller by as much as it should be. Whether it did.
    pub(super) async fn keep_smaller(
        &mut self,
        input: &Path,
        stamp: Stamp,
        attempt: &mut Attempt,
        source: &Title,
        output: &mut Title,
        remarks: &mut Vec<String>,
    ) -> Result<Result<bool, Flaw>, Stopped> {
        let Some(percent) = self.task.settings.min_saving else { return Ok(Ok(false)) };
        if attempt.size <= stamp.size / 100 * u64::from(100 - percent.min(100)) + stamp.size % 100 * u64::from(100 - percent.min(100)) / 100
        {
            return Ok(Ok(false));
        }
        let sizes = format!("{} instead of {}", size(attempt.size), size(stamp.size));
        let remuxed = self.work.join(format!("{}.remuxed.part.mkv", self.task.who));
        let most = attempt.size.max(stamp.size / 100 * 102);
        let Some((film, not_copied)) = self.remuxed(input, &remuxed, attempt, source, most).await? else {
            remarks.push(format!("the encoded film is {sizes}, but the original streams can't be kept in an MKV file"));
            return Ok(Ok(false));
        };
        if let Err(error) = std::fs::rename(&remuxed, self.part) {
            return Ok(Err(Flaw::outside(format!("the film can't be renamed: {error}"))));
        }
        attempt.size = self.part.metadata().map_or(0, |metadata| metadata.len());
        *output = film;
        remarks.retain(|remark| {
            !remark.contains("`languages`") && !remark.starts_with("the preset") && !remark.starts_with("HDR") && !remark.starts_with("CRF")
        });
        remarks.push(format!("the original streams were kept, because the encoded film would be {sizes}"));
        remarks.extend(not_copied);
        Ok(Ok(true))
    }

    /// Copies the streams of the original to a new file, and scans that; with what could not be copied as it is, for the user. `None`: it is not
    /// the film, or has more than `most` bytes; it is removed then.
    async fn remuxed(
        &mut self,
        input: &Path,
        output: &Path,
        attempt: &Attempt,
        source: &Title,
        most: u64,
    ) -> Result<Option<(Title, Vec<String>)>, Stopped> {
        let probe = self.probe(input).await?;
        let not_copied = probe.as_ref().map(ffmpeg::not_copied).unwrap_or_default();
        let done = match probe {
            Some(probe) => self.tool(FFMPEG, ffmpeg::remux(input, output, &probe), LONG).await,
            None => Ok(None),
        };
        let done = done.inspect_err(|_| {
            let _ = std::fs::remove_file(output);
        })?;
        let mut film = None;
        if done.is_some_and(|output| output.success) {
            film = self.scan(output).await?.ok().flatten().and_then(|titles| titles.film().cloned()).filter(|film| {
                let tracks = (source.audio_list.len(), source.subtitle_list.len());
                let copy = Attempt { size: output.metadata().map_or(0, |metadata| metadata.len()), ..attempt.clone() };
                verify::matches(&copy, source, Some(film), Some(tracks)).is_ok() && copy.size < most
            });
        }
        if film.is_none() {
            let _ = std::fs::remove_file(output);
        }
        Ok(film.map(|film| (film, not_copied)))
    }

    /// The original's streams, if all of them are there: what is published until the film is encoded; and what its owner should know.
    pub(super) async fn original(
        &mut self,
        input: &Path,
        stamp: Stamp,
        mut source: Title,
    ) -> Result<Result<(Part, Vec<String>), Flaw>, Stopped> {
        self.show(Phase::Verifying, None);
        let Some(packets) = self.packets(input).await? else {
            return Ok(Err(Flaw::permanent("ffprobe can't read the film, or is missing from the encoder's image")));
        };
        if let Some(probe) = self.probe(input).await? {
            probe.complete(&mut source);
        }
        packets.correct(&mut source);
        // Nothing was decoded: what counts is that no packet is missing.
        let attempt = Attempt {
            status: Some(0),
            work_done: Some(0),
            frames: Some((packets.pictures, packets.pictures)),
            pace: None,
            size: 0,
            picture: Some(packets.picture_end),
        };
        if !packets.are_whole(&attempt, &source) && !self.film.accepted {
            return Ok(Err(Flaw::permanent("parts of the film are missing or can't be read")));
        }
        let part = self.part.to_owned();
        let Some((output, not_copied)) = self.remuxed(input, &part, &attempt, &source, u64::MAX).await? else {
            return Ok(Err(self.outside_if_full(Flaw::permanent("the film's streams can't be copied into an MKV file"))));
        };
        if Stamp::of(&self.claimed()).ok() != Some(stamp) {
            return Ok(Err(Flaw::passing("the file changed while it was being copied")));
        }
        let size = part.metadata().map_or(0, |metadata| metadata.len());
        let content = self.content(&output).await?;
        let file = format!("{}.original.mkv", self.task.who);
        let sha256 = match self.keep(&file) {
            Ok(sha256) => Some(sha256),
            Err(error) => return Ok(Err(Flaw::outside(format!("the film can't be saved: {error:#}")))),
        };
        let (duration, frames) = (output.seconds(), packets.pictures);
        Ok(Ok((Part { file, size, sha256, duration, frames, label: None, content, measured: None }, not_copied)))
    }

    /// What the finished film is; `None`: that can't be told.
    pub(super) async fn content(&self, output: &Title) -> Result<Option<Content>, Stopped> {
        let seconds = output.seconds();
        let mut samples = Vec::new();
        for place in PLACES {
            let picture = self.tool(FFMPEG, content::picture(self.part, seconds * place), SHORT).await?;
            let sound = self.tool(FFMPEG, content::sound(self.part, seconds * place), SHORT).await?;
            let (Some(picture), Some(sound)) = (picture, sound) else { return Ok(None) };
            samples.push(Sample::of(&picture.stdout, &sound.stdout));
        }
        let languages: BTreeSet<String> = output.audio_list.iter().map(|track| track.language_code.clone()).collect();
        Ok(Some(Content { seconds, languages: languages.into_iter().collect(), samples }))
    }

    /// The same flaw, unless a full disk is its cause.
    pub(super) fn outside_if_full(&self, flaw: Flaw) -> Flaw {
        let written = self.tail.iter().any(|line| line.contains("No space left on device") || line.contains("Disk quota exceeded"));
        if written || space(self.work).is_ok_and(|(free, _)| free < FULL) {
            return Flaw::outside("the inbox is full");
        }
        flaw
    }
}

/// What comes of it, unless a signal ends it. `None`: nothing.
async fn unless_stopped<T>(runs: impl Future<Output = Option<T>>) -> Result<Option<T>, Stopped> {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return Ok(None);
    };
    tokio::select! {
        done = runs => Ok(done),
        _ = terminate.recv() => Err(Stopped),
        _ = interrupt.recv() => Err(Stopped),
    }
}

/// What a program said, and what was made of its output.
struct SaidBy<T> {
    success: bool,
    /// `None`: it was not read to its end.
    stdout: Option<T>,
    stderr: String,
}

/// Runs a program until it ends, or `limit` is over. `reads` its output; if that returns `None`, it is ended at once. `None`: it is not there.
async fn said_by<T>(
    program: &str,
    arguments: Vec<OsString>,
    limit: Duration,
    reads: impl AsyncFnOnce(ChildStdout) -> Option<T>,
) -> Option<SaidBy<T>> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).env("LC_ALL", "C");
    let mut child = command.spawn().ok()?;
    let (stdout, mut stderr) = (child.stdout.take()?, child.stderr.take()?);
    let run = async {
        let output = async {
            let read = reads(stdout).await;
            if read.is_none() {
                let _ = child.start_kill();
            }
            read
        };
        let errors = async {
            let mut errors = Vec::new();
            let _ = (&mut stderr).take(MOST_BYTES).read_to_end(&mut errors).await;
            // Nobody waits for a reader.
            let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
            String::from_utf8_lossy(&errors).into_owned()
        };
        let (stdout, stderr) = tokio::join!(output, errors);
        let success = child.wait().await.is_ok_and(|status| status.success());
        SaidBy { success, stdout, stderr }
    };
    let late = || SaidBy { success: false, stdout: None, stderr: format!("{program} took too long") };
    Some(timeout(limit, run).await.unwrap_or_else(|_| late()))
}

/// As [`said_by`], of a program that prints at most so many bytes.
async fn output_of(program: &str, arguments: Vec<OsString>, limit: Duration, most: u64) -> Option<Output> {
    let mut too_much = false;
    let whole = async |stdout: ChildStdout| {
        let mut said = Vec::new();
        let _ = stdout.take(most + 1).read_to_end(&mut said).await;
        too_much = said.len() as u64 > most;
        (!too_much).then_some(said)
    };
    let SaidBy { success, stdout, mut stderr } = said_by(program, arguments, limit, whole).await?;
    if too_much {
        stderr = format!("{program} printed more than {}", size(most));
    }
    Some(Output { success: success && stdout.is_some(), stdout: stdout.unwrap_or_default(), stderr })
}

/// The tracks that a file has.
fn of(probe: &Probe) -> Tracks {
    let tracks = |kind: &str| probe.of_kind(kind).into_iter().map(ffmpeg::Stream::track).collect();
    Tracks { audio: tracks("audio"), subtitles: tracks("subtitle") }
}

/// HandBrake does not know who needs a track, and calls one without a name `Stereo`: where it is certain which one of the original it is, that
/// one says it.
fn flags_of_original(tracks: &mut Tracks, source: &Title) {
    for track in &mut tracks.audio {
        let mut alike = source.audio_list.iter().filter(|was| language::same(&was.language_code, &track.language_code));
        if let (Some(was), None) = (alike.next(), alike.next()) {
            track.attributes = Flags { default: track.attributes.default, ..was.attributes };
            track.name.clone_from(&was.name);
        }
    }
    if tracks.subtitles.len() == source.subtitle_list.len() {
        for (track, was) in tracks.subtitles.iter_mut().zip(&source.subtitle_list) {
            track.attributes = was.attributes;
            track.name.clone_from(&was.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_by_packets() {
        let parse = |text: &str| {
            let mut reading = Reading::new(0, &[1]);
            text.lines().for_each(|line| reading.line(line));
            reading.end(false).expect("packets")
        };
        let still = parse("packet,0,0.0,0.04\npacket,1,0.0,1.0\npacket,1,1.0,1.0\npacket,1,2.0,1.0\npacket,0,2.9,0.04\n");
        assert_eq!((still.pictures, still.end, still.gap), (2, 3.0, 0.0));
        assert!((still.picture_end - 2.94).abs() < 1e-9 && still.begin == 0.0);
        let hole = parse("packet,0,5.0,0.04\npacket,1,5.0,1.0\npacket,1,9.0,1.0\npacket,0,9.0,N/A\n");
        assert_eq!((hole.end, hole.gap), (5.0, 3.0));
        let late = parse("packet,0,0.0,3.0\npacket,1,0.0,3.0\npacket,2,20.0,2.0\n");
        assert_eq!((late.end, late.gap, late.picture_end), (22.0, 0.0, 3.0));
        let mut many = Reading::new(0, &[1]);
        (0..10_000_u32).for_each(|number| many.line(&format!("packet,1,{:.6},0.000833", f64::from(number) / 1200.0)));
        assert_eq!(many.spans.len(), 1, "packets that follow each other take no memory");
        assert!(many.end(false).is_some_and(|packets| packets.gap < 0.001 && (packets.end - 8.333).abs() < 0.01));
    }

    /// Some write into a head how long the film is, others when it ends.
    #[test]
    fn a_film_whose_times_begin_late_has_the_length_that_it_has() {
        let title = |seconds: f64| {
            let mut title: Title =
                serde_json::from_str(r#"{"Index": 1, "Duration": {"Ticks": 0}, "Container": "matroska", "Type": 3}"#).expect("a title");
            title.duration = handbrake::Duration::of(seconds);
            title
        };
        let packets = |begin: f64, end: f64, errors: bool| Packets { pictures: 1, picture_end: end, end, begin, gap: 0.0, errors };
        let corrected = |seconds: f64, packets: Packets| {
            let mut title = title(seconds);
            packets.correct(&mut title);
            title.seconds().round()
        };
        assert_eq!(corrected(110.0, packets(50.0, 60.0, false)), 60.0, "its end");
        assert_eq!(corrected(60.0, packets(50.0, 60.0, false)), 60.0, "its length");
        assert_eq!(corrected(0.0, packets(50.0, 60.0, false)), 60.0, "nothing");
        assert_eq!(corrected(110.0, packets(50.0, 30.0, false)), 110.0, "half of it is missing");
        assert_eq!(corrected(110.0, packets(50.0, 60.0, true)), 110.0, "not all can be read");
        assert_eq!(corrected(110.0, packets(0.0, 60.0, false)), 110.0, "it begins as it should");
    }

    #[tokio::test]
    async fn a_program_that_says_too_much_is_ended_at_once() {
        let words = ["-c", "yes"].map(OsString::from).to_vec();
        let output = output_of("sh", words, Duration::from_secs(20), 100_000).await.expect("there");
        assert!(!output.success && output.stderr.contains("printed more than"), "{}", output.stderr);
    }
}
