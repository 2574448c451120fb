//! Runs HandBrakeCLI: passes signals on to it, shows its progress, and keeps its log.

use std::ffi::OsString;
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until, timeout};

use super::super::handbrake::{self, Answer, Pace, Reader, Titles};
use super::super::measure::Crop;
use super::super::record::Phase;
use super::super::verify::Flaw;
use super::lines::Lines;
use super::{Encoder, NICE, Stopped};

/// Interval for writing the progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(3);
/// HandBrake without output for this long hangs: usually the share is gone.
const SILENT_FOR: Duration = Duration::from_secs(600);
/// Time from SIGINT to SIGKILL.
const ENDS_WITHIN: Duration = Duration::from_secs(15);
/// For ioprio_set(2), like ionice(1): class 2, lowest level.
const IOPRIO_WHO_PROCESS: nix::libc::c_int = 1;
const LAST_OF_BEST_EFFORT: nix::libc::c_int = (2 << 13) | 7;
/// Lines of HandBrake's log in a failure.
const TAIL: usize = 40;

/// The result of a run of HandBrakeCLI.
#[derive(Debug, Default)]
pub(super) struct HandBrakeRun {
    pub(super) status: Option<i32>,
    pub(super) work_done: Option<i64>,
    pub(super) frames: Option<(u64, u64)>,
    pub(super) pace: Option<Pace>,
    pub(super) titles: Option<Titles>,
    pub(super) crop: Option<Crop>,
    /// How long it took.
    pub(super) took: Duration,
}

impl Encoder<'_> {
    /// Runs HandBrakeCLI to its end, and passes signals on to it.
    pub(super) async fn handbrake(&mut self, arguments: Vec<OsString>, phase: Phase) -> Result<Result<HandBrakeRun, Flaw>, Stopped> {
        self.show(phase, None);
        let mut command = Command::new(handbrake::PROGRAM);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // Its messages are parsed, so they must not be translated.
        command.env("LC_ALL", "C");
        // It has the lowest priority for processor and disk: etcd and kubelet must not wait for it.
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
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.work.join(self.task.log()));
        self.listen(&mut child, phase, log.ok()).await
    }

    async fn listen(
        &mut self,
        child: &mut Child,
        phase: Phase,
        mut log: Option<std::fs::File>,
    ) -> Result<Result<HandBrakeRun, Flaw>, Stopped> {
        let (mut run, start) = (HandBrakeRun::default(), Instant::now());
        let mut reader = Reader::default();
        let (mut answers, mut messages) = (Lines::of(child.stdout.take()), Lines::of(child.stderr.take()));
        // A signal before this ends a process that has done nothing yet, which does no harm.
        let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
            return Ok(Err(Flaw::passing("signal handlers can't be installed")));
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
                        Some(Answer::WorkDone(error)) => run.work_done = Some(error),
                        Some(Answer::Titles(titles)) => run.titles = Some(titles),
                        _ => {}
                    }
                }
                line = messages.next(), if messages.open() => {
                    let Some(line) = line else { continue };
                    heard = Instant::now();
                    run.frames = handbrake::frames(&line).or(run.frames);
                    run.pace = handbrake::pace(&line).or(run.pace);
                    run.crop = Crop::parse(&line).or(run.crop);
                    if let Some(log) = &mut log {
                        // Errors are ignored: on a full disk the log is lost, not the film.
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
                    return Ok(Err(Flaw::passing(format!("HandBrake printed nothing for {} min", SILENT_FOR.as_secs() / 60))));
                }
            }
        }
        match child.wait().await {
            Ok(status) => (run.status, run.took) = (status.code(), start.elapsed()),
            Err(error) => return Ok(Err(Flaw::passing(format!("the exit status of HandBrake is unknown: {error}")))),
        }
        Ok(Ok(run))
    }
}

/// Sends SIGINT, which HandBrake handles, then SIGKILL if it does not end.
async fn end(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
    }
    if timeout(ENDS_WITHIN, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}
