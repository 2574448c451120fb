//! One film through HandBrakeCLI: scanned, encoded, verified, and only then given its name.
//!
//! It is PID 1 of its container. HandBrakeCLI there would ignore SIGTERM, and needs a closed stdin, or it polls for keys.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use hostler_core::films::settings::Settings;
use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until, timeout};

use super::film::FilmId;
use super::handbrake::{self, Answer, Order, Pace, Reader, Title, Titles, Working};
use super::layout::{Inbox, read_json, require_marker, write_json};
use super::ledger::Film;
use super::record::{ENCODED, Encoded, FAILURE, Failure, LOG, PROGRESS, Phase, Progress, Stamp};
use super::verify::{self, Attempt, Flaw};

/// Between two writes of the progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(3);
/// HandBrake that says nothing for so long hangs: a share that is gone, most of the time.
const SILENT_FOR: Duration = Duration::from_secs(600);
/// From SIGINT to SIGKILL.
const ENDS_WITHIN: Duration = Duration::from_secs(15);
/// 19 is the least that there is.
const NICE: i32 = 15;
/// For ioprio_set(2), as ionice(1) does it: class 2, of its levels the last.
const IOPRIO_WHO_PROCESS: nix::libc::c_int = 1;
const LAST_OF_BEST_EFFORT: nix::libc::c_int = (2 << 13) | 7;
/// Lines of HandBrake's log that a failure carries.
const TAIL: usize = 40;

/// What an encoder is told.
#[derive(Debug, Clone)]
pub struct Task {
    pub inbox: Inbox,
    pub settings: Settings,
    /// Where presets are.
    pub settings_folder: PathBuf,
    pub id: FilmId,
    /// What tells this attempt from another that may still run on a machine that is cut off: the pod's uid.
    pub who: String,
    /// The machine it runs on, for the page.
    pub machine: String,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    Encoded(Encoded),
    /// The reason is on record.
    Failed(Failure),
    /// By SIGTERM or SIGINT; another attempt begins anew.
    Stopped,
}

/// Encodes the film; `encoded.json` or `failure.json` in its work folder tells of it.
///
/// # Errors
/// The share can't be used, so that not even a failure could be put on record.
pub async fn run(task: &Task) -> Result<Ended> {
    require_marker(&task.inbox.root)?;
    let work = task.inbox.work(&task.id);
    std::fs::create_dir_all(&work).with_context(|| format!("{} can't be made", work.display()))?;
    // A Job's second pod after the work was done: there is nothing left to do.
    if let Some(encoded) = read_json::<Encoded>(&work.join(ENCODED))? {
        return Ok(Ended::Encoded(encoded));
    }
    if let Some(failure) = read_json::<Failure>(&work.join(FAILURE))?.filter(|failure| failure.permanent) {
        return Ok(Ended::Failed(failure));
    }
    let mut tail = VecDeque::new();
    let part = work.join(format!("{}.part.mkv", task.who));
    let outcome = Encoder { task, work: &work, part: &part, began: Timestamp::now(), tail: &mut tail }.film().await;
    if !matches!(outcome, Ok(Ok(_))) {
        // What is not verified is of no use to anybody.
        let _ = std::fs::remove_file(&part);
    }
    match outcome {
        Ok(Ok(encoded)) => {
            write_json(&work.join(ENCODED), &encoded).context("the film is encoded, but that can't be put on record")?;
            Ok(Ended::Encoded(encoded))
        }
        Ok(Err(flaw)) => {
            let Flaw { permanent, outside, reason } = flaw;
            let failure = Failure { who: task.who.clone(), permanent, outside, reason, tail: tail.into(), at: Timestamp::now() };
            write_json(&work.join(FAILURE), &failure).with_context(|| format!("{}; that can't be put on record", failure.reason))?;
            Ok(Ended::Failed(failure))
        }
        Err(Stopped) => Ok(Ended::Stopped),
    }
}

struct Encoder<'a> {
    task: &'a Task,
    work: &'a Path,
    part: &'a Path,
    began: Timestamp,
    tail: &'a mut VecDeque<String>,
}

/// SIGTERM or SIGINT came.
#[derive(Debug)]
struct Stopped;

/// What a run of HandBrakeCLI said.
#[derive(Debug, Default)]
struct Said {
    status: Option<i32>,
    work_done: Option<i64>,
    frames: Option<(u64, u64)>,
    pace: Option<Pace>,
    titles: Option<Titles>,
}

impl Encoder<'_> {
    async fn film(&mut self) -> Result<Result<Encoded, Flaw>, Stopped> {
        let (input, stamp, film) = match self.source() {
            Ok(source) => source,
            Err(flaw) => return Ok(Err(flaw)),
        };
        let begun = Instant::now();
        let source = match self.scan(&input).await? {
            Ok(Some(title)) => title,
            Ok(None) => return Ok(Err(self.nothing_in_it(&input))),
            Err(flaw) => return Ok(Err(flaw)),
        };
        let preset = self.task.settings.folders.get(&film.folder).and_then(|folder| folder.preset.as_ref());
        let preset = preset.map(|preset| (preset, self.task.settings_folder.as_path()));
        let order = match handbrake::order(&input, self.part, &source, preset, &self.task.settings.languages) {
            Ok(order) => order,
            Err(error) => return Ok(Err(Flaw::permanent(format!("{error:#}")))),
        };
        let Order { arguments, tracks } = order;
        let said = match self.handbrake(arguments, Phase::Encoding).await? {
            Ok(said) => said,
            Err(flaw) => return Ok(Err(flaw)),
        };
        let size = self.part.metadata().map_or(0, |metadata| metadata.len());
        let attempt = Attempt { status: said.status, work_done: said.work_done, frames: said.frames, pace: said.pace, size };
        // A copy that had stalled and went on changes the film under HandBrake's eyes: whatever came of it, it is not that film.
        if Stamp::of(&self.claimed(&film)).ok() != Some(stamp) {
            return Ok(Err(Flaw::passing("the film was still written to while it was encoded")));
        }
        if let Err(flaw) = verify::ended(&attempt, &source) {
            return Ok(Err(flaw));
        }
        self.show(Phase::Verifying, None);
        let output = match self.scan(self.part).await? {
            Ok(output) => output,
            Err(flaw) => return Ok(Err(flaw)),
        };
        if let Err(flaw) = verify::matches(&attempt, &source, output.as_ref(), tracks) {
            return Ok(Err(flaw));
        }
        let file = format!("{}.mkv", self.task.who);
        if let Err(error) = self.keep(&file) {
            return Ok(Err(Flaw::outside(format!("the encoded film can't be kept: {error:#}"))));
        }
        Ok(Ok(Encoded {
            file,
            size,
            duration: output.map_or(0.0, |title| title.seconds()),
            frames: said.frames.map_or(0, |(got, _)| got),
            source: stamp,
            machine: self.task.machine.clone(),
            took: begun.elapsed().as_secs_f64(),
            at: Timestamp::now(),
        }))
    }

    fn claimed(&self, film: &Film) -> PathBuf {
        self.task.inbox.claim(&self.task.id).join(film.source_name())
    }

    /// What HandBrake is given, and what it looked like before.
    fn source(&self) -> Result<(PathBuf, Stamp, Film), Flaw> {
        let unreadable = |error: std::io::Error| Flaw::passing(format!("the ledger can't be read: {error}"));
        let film: Option<Film> = read_json(&self.task.inbox.ledger(&self.task.id)).map_err(unreadable)?;
        let film = film.ok_or_else(|| Flaw::passing("the ledger does not know this film"))?;
        let claimed = self.claimed(&film);
        let stamp = Stamp::of(&claimed).map_err(|error| Flaw::passing(format!("the film can't be looked at: {error}")))?;
        if stamp != film.stamp {
            return Err(Flaw::passing("the film was still written to after it was claimed"));
        }
        if stamp.size == 0 {
            return Err(Flaw::permanent("the file is empty"));
        }
        let metadata = claimed.symlink_metadata().map_err(|error| Flaw::passing(format!("the film can't be looked at: {error}")))?;
        if metadata.is_symlink() {
            return Err(Flaw::permanent("it is a symbolic link, and those are not followed: what it points to may be outside the share"));
        }
        if metadata.is_dir() {
            return Ok((self.task.inbox.claim(&self.task.id), stamp, film));
        }
        match std::fs::File::open(&claimed) {
            Ok(_) => Ok((claimed, stamp, film)),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                let uid = nix::unistd::geteuid();
                Err(Flaw::permanent(format!("permission denied: user {uid} may not read it; `owner:` in the inventory must be able to")))
            }
            Err(error) => Err(Flaw::passing(format!("the film can't be opened: {error}"))),
        }
    }

    /// The film's title; `None`: there is none.
    async fn scan(&mut self, input: &Path) -> Result<Result<Option<Title>, Flaw>, Stopped> {
        let arguments = ["--json", "--scan", "--title", "0", "--input"].map(OsString::from).into_iter().chain([input.into()]).collect();
        Ok(self.handbrake(arguments, Phase::Scanning).await?.and_then(|said| match (said.status, &said.titles) {
            (Some(0 | 2), titles) => Ok(titles.as_ref().and_then(Titles::film).cloned()),
            (None, _) => Err(Flaw::passing("HandBrake's look at the film was ended by a signal")),
            (Some(status), _) => Err(Flaw::passing(format!("HandBrake can't look at the film (exit status {status})"))),
        }))
    }

    fn nothing_in_it(&self, input: &Path) -> Flaw {
        let text = self.tail.iter().any(|line| line.contains("unrecognized file type") || line.contains("Invalid data found"));
        let sound = self.tail.iter().any(|line| line.contains(": Audio: "));
        let video = self.tail.iter().any(|line| line.contains(": Video: "));
        Flaw::permanent(match (sound && !video, input.is_dir()) {
            (true, _) => "there is sound in it, and no picture",
            (_, true) => "HandBrake finds no film on this disc; copy-protected discs must be decrypted before",
            _ if text => "it is no film, or its beginning is damaged: HandBrake does not know the format",
            _ => "HandBrake finds no film in it",
        })
    }

    fn keep(&self, file: &str) -> Result<()> {
        std::fs::File::open(self.part)?.sync_all()?;
        super::layout::rename(self.part, &self.work.join(file))?;
        Ok(())
    }

    /// Writes the progress. That it can't be written is no reason to stop.
    fn show(&self, phase: Phase, working: Option<Working>) {
        let progress = Progress {
            who: self.task.who.clone(),
            machine: self.task.machine.clone(),
            phase,
            done: working.map_or(0.0, |working| working.done),
            rate: working.map_or(0.0, |working| working.rate),
            eta_seconds: working.and_then(|working| working.eta_seconds),
            began: self.began,
            at: Timestamp::now(),
        };
        if let Err(error) = write_json(&self.work.join(PROGRESS), &progress) {
            tracing::warn!("{}: its progress can't be written: {error}", self.task.id);
        }
    }

    /// Runs HandBrakeCLI to its end, and passes a signal on to it.
    async fn handbrake(&mut self, arguments: Vec<OsString>, phase: Phase) -> Result<Result<Said, Flaw>, Stopped> {
        self.show(phase, None);
        let mut command = Command::new(handbrake::PROGRAM);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // Its plain messages are read, in whatever language the image is set to.
        command.env("LC_ALL", "C");
        // Among programs that want the processor or the disk, it comes last: etcd and kubelet must not wait for it.
        // SAFETY: both are single system calls; nothing is allocated between fork and exec.
        unsafe {
            command.pre_exec(|| {
                nix::libc::setpriority(nix::libc::PRIO_PROCESS, 0, NICE);
                nix::libc::syscall(nix::libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, LAST_OF_BEST_EFFORT);
                Ok(())
            });
        }
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return Ok(Err(Flaw::passing(format!("{} can't be started: {error}", handbrake::PROGRAM)))),
        };
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.work.join(LOG));
        self.listen(&mut child, phase, log.ok()).await
    }

    async fn listen(&mut self, child: &mut Child, phase: Phase, mut log: Option<std::fs::File>) -> Result<Result<Said, Flaw>, Stopped> {
        let mut said = Said::default();
        let mut reader = Reader::default();
        let (mut answers, mut messages) = (Lines::of(child.stdout.take()), Lines::of(child.stderr.take()));
        // Registered late is no harm: a signal before it ends a process that has done nothing yet.
        let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
            return Ok(Err(Flaw::passing("signals can't be received")));
        };
        let mut shown = Instant::now();
        let mut heard = Instant::now();
        while answers.open() || messages.open() {
            tokio::select! {
                line = answers.next(), if answers.open() => {
                    let Some(line) = line else { continue };
                    heard = Instant::now();
                    match reader.line(&line) {
                        Some(Answer::Working(working)) if shown.elapsed() > PROGRESS_EVERY => {
                            shown = Instant::now();
                            self.show(phase, Some(working));
                        }
                        Some(Answer::WorkDone(error)) => said.work_done = Some(error),
                        Some(Answer::Titles(titles)) => said.titles = Some(titles),
                        _ => {}
                    }
                }
                line = messages.next(), if messages.open() => {
                    let Some(line) = line else { continue };
                    heard = Instant::now();
                    said.frames = handbrake::frames(&line).or(said.frames);
                    said.pace = handbrake::pace(&line).or(said.pace);
                    if let Some(log) = &mut log {
                        // A full disk loses the log, not the film.
                        let _ = writeln!(log, "{line}");
                    }
                    if self.tail.len() == TAIL {
                        self.tail.pop_front();
                    }
                    self.tail.push_back(line);
                }
                _ = terminate.recv() => { end(child).await; return Err(Stopped) }
                _ = interrupt.recv() => { end(child).await; return Err(Stopped) }
                () = sleep_until(heard + SILENT_FOR) => {
                    end(child).await;
                    return Ok(Err(Flaw::passing(format!("HandBrake said nothing for {} minutes", SILENT_FOR.as_secs() / 60))));
                }
            }
        }
        match child.wait().await {
            Ok(status) => said.status = status.code(),
            Err(error) => return Ok(Err(Flaw::passing(format!("HandBrake's end can't be learnt: {error}")))),
        }
        Ok(Ok(said))
    }
}

/// SIGINT, which HandBrake handles, and what no program can refuse if that does not help.
async fn end(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
    }
    if timeout(ENDS_WITHIN, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// Lines of any bytes, until the end.
struct Lines<R> {
    from: Option<BufReader<R>>,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn of(from: Option<R>) -> Lines<R> {
        Lines { from: from.map(BufReader::new), line: Vec::new() }
    }

    fn open(&self) -> bool {
        self.from.is_some()
    }

    /// `None`: that was the end. What was read of a line when this is dropped is not lost.
    async fn next(&mut self) -> Option<String> {
        let from = self.from.as_mut()?;
        let read = from.read_until(b'\n', &mut self.line).await;
        if read.is_err() || self.line.is_empty() {
            self.from = None;
            return None;
        }
        let line = String::from_utf8_lossy(&self.line).trim_end_matches(['\n', '\r']).to_owned();
        self.line.clear();
        Some(line)
    }
}
