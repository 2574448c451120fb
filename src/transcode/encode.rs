//! Encodes one film with HandBrakeCLI: scans, encodes and verifies it, and only then renames the result.
//!
//! It is PID 1 of its container. HandBrakeCLI itself would ignore SIGTERM there, and needs a closed stdin, or it polls for keys.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hostler_core::films::settings::{Folder, Settings};
use jiff::Timestamp;
use tokio::time::Instant;

use super::ffmpeg;
use super::film::FilmId;
use super::from_encoder;
use super::handbrake::{Title, Titles, Working};
use super::layout::{Inbox, read_json, write_json};
use super::ledger::{Film, Original};
use super::observe;
use super::order::{self, Order, Tracks};
use super::record::{self, ENCODED, Encoded, FAILURE, Failure, LOG, PROGRESS, Part, Phase, Progress, Stamp, TASK};
use super::split::{Done, PLAN, Plan, Work};
use super::titles::{self, Picked, Question};
use super::verify::{self, Attempt, Flaw};
use join::Joined;
use measure::Made;
use ready::Ready;
use run::HandBrakeRun;

use crate::user_file;

mod finish;
mod hardware;
mod join;
mod lines;
mod measure;
mod quality;
mod ready;
mod run;
mod split;

/// The lowest priority.
pub const NICE: i32 = 15;
/// An encoding that takes less time does not tell how fast a machine is.
const LONG_ENOUGH: Duration = Duration::from_secs(20);

/// The task of an encoder.
#[derive(Debug, Clone)]
pub struct Task {
    pub inbox: Inbox,
    pub settings: Settings,
    /// Where presets are.
    pub settings_folder: PathBuf,
    pub id: FilmId,
    /// Identity of this attempt, as another one may still be running on a disconnected machine: the pod's uid.
    pub who: String,
    /// The machine it runs on, for the status page.
    pub machine: String,
    /// Whether it has a render node, so that encoders in hardware may work.
    pub hardware: bool,
    /// What it does of a film in pieces; `None`: the whole film, or a plan for its pieces.
    pub part: Option<Work>,
}

impl Task {
    fn progress(&self) -> String {
        self.part.map_or_else(|| PROGRESS.to_owned(), Work::progress)
    }

    fn failure(&self) -> String {
        self.part.map_or_else(|| FAILURE.to_owned(), Work::failure)
    }

    fn log(&self) -> String {
        self.part.map_or_else(|| LOG.to_owned(), Work::log)
    }
}

/// The result of an encoder.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    Encoded(Encoded),
    /// Nothing was encoded: the film will be encoded in pieces.
    Planned(Plan),
    /// A part of a film in pieces.
    Made(Done),
    /// The reason was recorded.
    Failed(Failure),
    /// Ended by SIGTERM or SIGINT; another attempt starts over.
    Stopped,
}

/// Encodes the film, and writes `encoded.json` or `failure.json` to its work folder.
///
/// # Errors
/// The share can't be used, so not even a failure could be recorded.
pub async fn run(task: &Task) -> Result<Ended> {
    let work = task.inbox.work(&task.id);
    // The rest of the share is not to be seen, nor its marker: a film may come from anywhere, and HandBrake parses it.
    let film: Film = read_json(&work.join(TASK))
        .with_context(|| format!("{} can't be read", work.join(TASK).display()))?
        .with_context(|| format!("{} has no {TASK}: the inbox is not mounted, or the folder was emptied", work.display()))?;
    // The Job's second pod, after the work was done. What can't be used is replaced.
    if let Some(encoded) = from_encoder::read::<Encoded>(&work, ENCODED)?.unwrap_or_default() {
        return Ok(Ended::Encoded(encoded));
    }
    let failed = from_encoder::read::<Failure>(&work, &task.failure())?.unwrap_or_default();
    if let Some(failure) = failed.filter(|failure| failure.permanent) {
        return Ok(Ended::Failed(failure));
    }
    let plan = observe::plan(&work, &film);
    match (task.part, &plan) {
        (None, Some(plan)) if film.whole.is_none() && film.original != Original::Wanted => return Ok(Ended::Planned(plan.clone())),
        (Some(_), None) => bail!("{} has no {PLAN} for this film: the folder was emptied", work.display()),
        (Some(part), Some(plan)) => {
            if let Some(done) = observe::done(&work, plan)?.remove(&part) {
                return Ok(Ended::Made(done));
            }
        }
        _ => {}
    }
    let mut tail = VecDeque::new();
    let part = work.join(format!("{}.part.mkv", task.who));
    let mut encoder = Encoder {
        task,
        film: &film,
        work: &work,
        part: &part,
        plan: plan.as_ref().filter(|_| task.part.is_some()),
        note: None,
        began: Timestamp::now(),
        tail: &mut tail,
        number: 0,
        of: 1,
        pixels: 0.0,
        encoding: Duration::ZERO,
    };
    let outcome = match (task.part, &plan) {
        (Some(Work::Piece(number)), Some(plan)) => encoder.piece(plan, number).await.map(|done| done.map(Ended::Made)),
        (Some(Work::Sound), Some(plan)) => encoder.sound(plan).await.map(|done| done.map(Ended::Made)),
        _ => encoder.film().await,
    };
    if !matches!(outcome, Ok(Ok(_))) {
        // Unverified results are useless.
        let _ = std::fs::remove_file(&part);
    }
    match outcome {
        Ok(Ok(ended)) => {
            match (&ended, task.part) {
                (Ended::Encoded(encoded), _) => write_json(&work.join(ENCODED), encoded),
                (Ended::Planned(plan), _) => write_json(&work.join(PLAN), plan),
                (Ended::Made(done), Some(part)) => write_json(&work.join(part.result()), done),
                _ => Ok(()),
            }
            .context("the film is encoded, but the result can't be recorded")?;
            if let (Ended::Encoded(_), Some(plan)) = (&ended, &plan) {
                // The room that they take is wanted for the next film.
                split::remove_pieces(&work, plan);
            }
            Ok(ended)
        }
        Ok(Err(flaw)) => {
            let Flaw { permanent, outside, question, titles, lacks, reason } = flaw;
            let (who, tail, at) = (task.who.clone(), tail.into(), Timestamp::now());
            let failure = Failure { who, permanent, outside, question, titles, lacks, reason, tail, at };
            write_json(&work.join(task.failure()), &failure)
                .with_context(|| format!("{}; in addition, this failure can't be recorded", failure.reason))?;
            Ok(Ended::Failed(failure))
        }
        Err(Stopped) => Ok(Ended::Stopped),
    }
}

struct Encoder<'a> {
    task: &'a Task,
    film: &'a Film,
    work: &'a Path,
    part: &'a Path,
    /// Of a film whose pieces exist.
    plan: Option<&'a Plan>,
    /// How it is encoded, for the page.
    note: Option<String>,
    began: Timestamp,
    tail: &'a mut VecDeque<String>,
    /// The title that is encoded, of how many: for the progress.
    number: usize,
    of: usize,
    /// Those that were encoded so far.
    pixels: f64,
    /// How long HandBrake took for them.
    encoding: Duration,
}

/// SIGTERM or SIGINT came.
#[derive(Debug)]
struct Stopped;

impl<'a> Encoder<'a> {
    async fn film(&mut self) -> Result<Result<Ended, Flaw>, Stopped> {
        let (input, stamp) = match self.source() {
            Ok(source) => source,
            Err(flaw) => return Ok(Err(flaw)),
        };
        let start = Instant::now();
        let titles = match self.scan(&input).await? {
            Ok(Some(titles)) => titles,
            Ok(None) => return Ok(Err(self.nothing_in_it(&input))),
            Err(flaw) => return Ok(Err(flaw)),
        };
        if let Some(title) = titles.film().filter(|title| !title.on_disc()) {
            let wanted = self.film.original == Original::Wanted;
            // Whoever accepts it has no better copy, and an encoder would spoil this one.
            let as_it_is = self.film.accepted && self.probe(&input).await?.is_some_and(|probe| probe.only_dolby_vision());
            if wanted || as_it_is {
                let (part, mut remarks) = match self.original(&input, stamp, title.clone()).await? {
                    Ok(original) => original,
                    Err(flaw) => return Ok(Err(flaw)),
                };
                remarks.extend((!wanted).then(|| "the original streams were kept: encoding would lose the Dolby Vision data".to_owned()));
                return Ok(Ok(Ended::Encoded(self.encoded(part, Vec::new(), remarks, wanted, stamp, start))));
            }
        }
        let picked = match self.pick(&titles) {
            Ok(picked) => picked,
            Err(question) => return Ok(Err(Flaw::question(question))),
        };
        let mut remarks: Vec<String> = picked.remark.clone().into_iter().collect();
        let mut parts = Vec::new();
        self.of = picked.titles.len();
        for (number, title) in picked.titles.iter().enumerate() {
            self.number = number;
            let label = (self.of > 1).then(|| record::label(title.index));
            let ready = match self.ready(&input, title.clone(), &mut remarks).await? {
                Ok(ready) => ready,
                Err(flaw) => return Ok(Err(flaw)),
            };
            if self.of == 1
                && let Some(plan) = self.planned(&ready, stamp, &remarks)
            {
                return Ok(Ok(Ended::Planned(plan)));
            }
            match self.title(&input, stamp, ready, label, &mut remarks).await? {
                Ok(part) => parts.push(part),
                Err(flaw) => return Ok(Err(flaw)),
            }
        }
        let mut parts = parts.into_iter();
        let Some(film) = parts.next() else { return Ok(Err(self.nothing_in_it(&input))) };
        remarks.extend(self.film.whole.iter().map(|why| format!("encoded in one piece: {why}")));
        remarks.dedup();
        Ok(Ok(Ended::Encoded(self.encoded(film, parts.collect(), remarks, false, stamp, start))))
    }

    fn encoded(&self, film: Part, more: Vec<Part>, remarks: Vec<String>, original: bool, source: Stamp, start: Instant) -> Encoded {
        let (machine, took) = match self.plan {
            Some(plan) => (split::machines(self.work, plan), Timestamp::now().duration_since(plan.at).as_secs_f64()),
            None => (self.task.machine.clone(), start.elapsed().as_secs_f64()),
        };
        let speed = (self.encoding > LONG_ENOUGH && self.pixels > 0.0).then(|| self.pixels / self.encoding.as_secs_f64());
        Encoded { film, more, remarks, original, source, machine, took, speed, at: Timestamp::now() }
    }

    /// The titles to encode; or the question for the film's owner.
    fn pick(&self, titles: &Titles) -> Result<Picked, Question> {
        if !titles.film().is_some_and(Title::on_disc) {
            return Ok(Picked { titles: titles.film().cloned().into_iter().collect(), of: 1, remark: None });
        }
        let which = self.folder().map(|folder| folder.titles).unwrap_or_default();
        titles::pick(titles, which, self.film.titles.as_deref())
    }

    fn folder(&self) -> Option<&'a Folder> {
        self.task.settings.folders.get(&self.film.folder)
    }

    /// Whether the settings let this machine encode with that family of encoders.
    fn encodes_with(&self, family: &str) -> bool {
        self.task.settings.machines.get(&self.task.machine).is_none_or(|encoding| encoding.can(family))
    }

    /// Encodes and verifies one title.
    async fn title(
        &mut self,
        input: &Path,
        stamp: Stamp,
        ready: Ready,
        label: Option<String>,
        remarks: &mut Vec<String>,
    ) -> Result<Result<Part, Flaw>, Stopped> {
        let Ready { source, probe, packets, encoder, crf } = ready;
        let made = match self.plan {
            Some(plan) => self.joined(input, &source, probe.as_ref(), plan).await?,
            None => {
                let made = self.encode(input, &source, probe.as_ref(), self.wishes(encoder, crf), remarks).await?;
                made.map(|(order, run)| Joined { order, run, measured: None })
            }
        };
        let Joined { order: Order { tracks, hdr, converted, sound, remarks: said, .. }, run, measured: pieces } = match made {
            Ok(made) => made,
            Err(flaw) => return Ok(Err(flaw)),
        };
        remarks.extend(said);
        let encoders_tail = self.tail.clone();
        let size = self.part.metadata().map_or(0, |metadata| metadata.len());
        let mut attempt = Attempt { status: run.status, work_done: run.work_done, frames: run.frames, pace: run.pace, size, picture: None };
        // A stalled copy continued and changed the file while HandBrake read it: the result is not the film.
        if Stamp::of(&self.claimed()).ok() != Some(stamp) {
            return Ok(Err(Flaw::passing("the file changed while it was being encoded")));
        }
        let mut verdict = verify::ended(&attempt, &source);
        // The picture may be shorter than the film, or stand still: its packets tell whether something is missing.
        if verdict.is_err() && attempt.work_done == Some(0) && attempt.status == Some(0) && !source.on_disc() {
            let packets = if packets.is_some() { packets } else { self.packets(input).await? };
            if let Some(packets) = packets.filter(|packets| packets.are_whole(&attempt, &source)) {
                attempt.picture = Some(packets.picture_end);
                verdict = Ok(());
            }
        }
        if let Err(flaw) = verdict
            && !(self.film.accepted && flaw.permanent && size > 0)
        {
            return Ok(Err(self.outside_if_full(flaw)));
        }
        self.show(Phase::Verifying, None);
        let left_out = tracks.is_none();
        let tracks = match self.finish(&source, tracks, remarks).await? {
            Ok(tracks) => tracks,
            Err(flaw) => return Ok(Err(self.outside_if_full(flaw))),
        };
        let mut output = match self.verified(&mut attempt, &source, &tracks, hdr, remarks).await? {
            Ok(output) => output,
            Err(flaw) => {
                // The log of the verification would hide that of the encoding.
                *self.tail = encoders_tail;
                return Ok(Err(self.outside_if_full(flaw)));
            }
        };
        if left_out {
            remarks.extend(verify::left_out(&source, &output));
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of frames are small")]
        let frames = run.frames.map_or(0.0, |(got, _)| got as f64);
        if self.plan.is_none() {
            // What several machines did tells of none how fast it is.
            self.pixels += frames * f64::from(output.geometry.width) * f64::from(output.geometry.height);
            self.encoding += run.took;
        }
        let mut measured = None;
        if !source.on_disc() {
            let remuxed = match self.keep_smaller(input, stamp, &mut attempt, &source, &mut output, remarks).await? {
                Ok(remuxed) => remuxed,
                Err(flaw) => return Ok(Err(self.outside_if_full(flaw))),
            };
            if let Some(probe) = probe.as_ref().filter(|_| !remuxed && !converted) {
                let made = Made { original: (input, probe), own: !left_out, sound, run: &run, pieces };
                measured = match self.measured(made, remarks).await? {
                    Ok(measured) => measured,
                    Err(flaw) => {
                        *self.tail = encoders_tail;
                        return Ok(Err(flaw));
                    }
                };
            }
        }
        let content = self.content(&output).await?;
        let file = match &label {
            Some(_) => format!("{}.{}.mkv", self.task.who, source.index),
            None => format!("{}.mkv", self.task.who),
        };
        let sha256 = match self.keep(&file) {
            Ok(sha256) => Some(sha256),
            Err(error) => return Ok(Err(Flaw::outside(format!("the encoded film can't be saved: {error:#}")))),
        };
        let frames = run.frames.map_or(0, |(got, _)| got);
        Ok(Ok(Part { file, size: attempt.size, sha256, duration: output.seconds(), frames, label, content, measured }))
    }

    /// A scan of the output, if it is the film.
    async fn verified(
        &mut self,
        attempt: &mut Attempt,
        source: &Title,
        tracks: &Option<Tracks>,
        hdr: bool,
        remarks: &mut Vec<String>,
    ) -> Result<Result<Title, Flaw>, Stopped> {
        attempt.size = self.part.metadata().map_or(0, |metadata| metadata.len());
        let part = self.part.to_owned();
        let output = match self.scan(&part).await? {
            Ok(output) => output.and_then(|titles| titles.film().cloned()),
            Err(flaw) => return Ok(Err(flaw)),
        };
        let counted = tracks.as_ref().map(|tracks| (tracks.audio.len(), tracks.subtitles.len()));
        if let Err(flaw) = verify::matches(attempt, source, output.as_ref(), counted)
            && !(self.film.accepted && output.is_some())
        {
            return Ok(Err(flaw));
        }
        if let Some(found) = self.probe(&part).await? {
            let mut wrong = tracks.as_ref().map(|tracks| ffmpeg::differences(&found, tracks)).unwrap_or_default();
            let picture = found.picture();
            if hdr
                && picture
                    .is_none_or(|picture| picture.depth() < 10 || !matches!(picture.color_transfer.as_str(), "smpte2084" | "arib-std-b67"))
            {
                wrong.push("its picture is no longer 10-bit HDR".to_owned());
            }
            if self.film.accepted {
                remarks.extend(wrong.drain(..).map(|wrong| format!("published as it is: {wrong}")));
            }
            if !wrong.is_empty() {
                return Ok(Err(Flaw::permanent(format!("the encoded film differs from the original: {}", wrong.join("; ")))));
            }
        }
        Ok(output.ok_or_else(|| Flaw::passing("the encoded film can't be opened")))
    }

    fn claimed(&self) -> PathBuf {
        self.task.inbox.claim(&self.task.id).join(self.film.source_name())
    }

    /// The input for HandBrake, and its stamp before encoding.
    fn source(&self) -> Result<(PathBuf, Stamp), Flaw> {
        let claimed = self.claimed();
        let stamp = Stamp::of(&claimed).map_err(|error| Flaw::passing(format!("the film can't be read: {error}")))?;
        if stamp != self.film.stamp {
            return Err(Flaw::passing("the file changed after it was claimed"));
        }
        if stamp.size == 0 {
            return Err(Flaw::permanent("the file is empty"));
        }
        let metadata = claimed.symlink_metadata().map_err(|error| Flaw::passing(format!("the film can't be read: {error}")))?;
        if metadata.is_symlink() {
            return Err(Flaw::permanent(
                "the file is a symbolic link: symbolic links are not followed, because their target may be \
                outside the share",
            ));
        }
        if metadata.is_dir() {
            return Ok((self.task.inbox.claim(&self.task.id), stamp));
        }
        match user_file::regular(&claimed) {
            Ok(_) => Ok((claimed, stamp)),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                let uid = nix::unistd::geteuid();
                Err(Flaw::permanent(format!("permission denied: user {uid}, set by `owner:` in the inventory, can't read the file")))
            }
            Err(error) => Err(Flaw::passing(format!("the film can't be opened: {error}"))),
        }
    }

    /// The titles in it; `None`: there are none.
    async fn scan(&mut self, input: &Path) -> Result<Result<Option<Titles>, Flaw>, Stopped> {
        let words = ["--json", "--scan", "--title", "0"].into_iter().chain(order::SHORTEST_TITLE.split(' ')).chain(["--input"]);
        let arguments = words.map(OsString::from).chain([input.into()]).collect();
        let phase = if input == self.part { Phase::Verifying } else { Phase::Scanning };
        Ok(self.handbrake(arguments, phase).await?.and_then(|run| match (run.status, run.titles) {
            (Some(0 | 2), titles) => Ok(titles.filter(|titles| titles.film().is_some())),
            (None, _) => Err(Flaw::passing("HandBrake was killed by a signal while it scanned the film")),
            (Some(status), _) => Err(Flaw::passing(format!("HandBrake can't scan the film (exit status {status})"))),
        }))
    }

    fn nothing_in_it(&self, input: &Path) -> Flaw {
        let text = self.tail.iter().any(|line| line.contains("unrecognized file type") || line.contains("Invalid data found"));
        let sound = self.tail.iter().any(|line| line.contains(": Audio: "));
        let video = self.tail.iter().any(|line| line.contains(": Video: "));
        Flaw::permanent(match (sound && !video, input.is_dir()) {
            (true, _) => "the file has sound, but no picture",
            (_, true) => "HandBrake finds no film on this disc; if the disc is copy-protected, decrypt it first",
            _ if text => "the file is not a film, or its beginning is damaged: HandBrake does not recognize the format",
            _ => "HandBrake finds no film in the file",
        })
    }

    /// Gives the verified film its name; returns its sha256: the publisher, on another machine and at another time, publishes nothing else.
    fn keep(&self, file: &str) -> Result<String> {
        user_file::regular(self.part)?.sync_all()?;
        let kept = self.work.join(file);
        super::layout::rename(self.part, &kept)?;
        super::publish::hash(&kept, &Arc::default())
    }

    /// Writes the progress. A failure to do so does not stop the work.
    fn show(&self, phase: Phase, working: Option<Working>) {
        #[expect(clippy::cast_precision_loss, reason = "a disc has few titles")]
        let (part, of) = (self.number as f64, self.of as f64);
        let progress = Progress {
            who: self.task.who.clone(),
            machine: self.task.machine.clone(),
            phase,
            done: (part + working.map_or(0.0, |working| working.done)) / of,
            rate: working.map_or(0.0, |working| working.rate),
            eta_seconds: working.and_then(|working| working.eta_seconds),
            note: self.note.clone(),
            began: self.began,
            at: Timestamp::now(),
        };
        if let Err(error) = write_json(&self.work.join(self.task.progress()), &progress) {
            tracing::warn!("{}: its progress can't be written: {error}", self.task.id);
        }
    }
}
