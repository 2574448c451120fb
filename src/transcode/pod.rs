//! Runs in the encoder's and the publisher's pod: processes one film, records the result, logs it, and returns the exit status.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use hostler_core::quantity;
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::encode::{self, Ended, Task};
use super::film::FilmId;
use super::from_encoder::{self, FromEncoder};
use super::layout::{Inbox, Library, read_json};
use super::ledger::Film;
use super::name::Unfit;
use super::publish;
use super::record::{ENCODED, Encoded, FAILURE, Failure, PROGRESS, PUBLISHED, Part, Phase, Progress, RENAMED, Renamed, Said};
use super::rename;

/// A copy without progress for this long hangs.
const STANDS_STILL_FOR: Duration = Duration::from_secs(180);
/// Interval for writing a copy's progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(3);

/// The exit status of a pod, for its Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodStatus {
    /// The film is encoded, or published.
    Done,
    /// Another attempt may succeed.
    Failed,
    /// Another attempt would fail, too.
    FailedForGood,
    /// Ended by SIGTERM.
    Stopped,
}

impl PodStatus {
    pub fn code(self) -> u8 {
        match self {
            PodStatus::Done => 0,
            PodStatus::Failed => 1,
            PodStatus::FailedForGood => 2,
            // As shells report it: 128 plus the signal's number.
            PodStatus::Stopped => 143,
        }
    }

    /// Ends the process at once, without waiting for a thread that hangs on a share.
    fn exit(self) -> ! {
        std::process::exit(i32::from(self.code()))
    }
}

/// Encodes and verifies the film.
///
/// # Errors
/// As [`encode::run`].
pub async fn encode(task: &Task) -> Result<PodStatus> {
    Ok(match encode::run(task).await? {
        Ended::Encoded(encoded) => {
            for Part { frames, duration, size, .. } in encoded.parts() {
                tracing::info!("{}: encoded and verified: {frames} frames, {duration:.0} s, {}", task.id, quantity::size(*size));
            }
            PodStatus::Done
        }
        Ended::Planned(plan) => {
            tracing::info!("{}: to be encoded in {} pieces", task.id, plan.pieces.len());
            PodStatus::Done
        }
        Ended::Made(done) => {
            tracing::info!(
                "{}: {} encoded: {} frames, {}",
                task.id,
                task.part.map(|part| part.to_string()).unwrap_or_default(),
                done.frames.0,
                quantity::size(done.size)
            );
            PodStatus::Done
        }
        Ended::Failed(failure) => {
            tracing::error!("{}: {}", task.id, failure.reason);
            if failure.permanent { PodStatus::FailedForGood } else { PodStatus::Failed }
        }
        Ended::Stopped => {
            tracing::info!("{}: stopped", task.id);
            PodStatus::Stopped
        }
    })
}

/// A verified film on its way into the library.
#[derive(Debug, Clone)]
pub struct Publication {
    pub inbox: Inbox,
    pub library: Library,
    pub id: FilmId,
    /// Identity of this attempt, as another one may still be running on a disconnected machine: the pod's uid.
    pub who: String,
    /// The machine it runs on, for the status page.
    pub machine: String,
    /// Bytes that stay free in the library, as the settings say.
    pub reserve: u64,
}

impl Publication {
    /// Copies the film into the library, and writes `published.json` or `failure.json` to the publisher's folder. A copy that hangs, or SIGTERM,
    /// ends the process.
    ///
    /// # Errors
    /// The inbox can't be read or written to, so nothing could be recorded.
    pub async fn run(self) -> Result<PodStatus> {
        // As it is now: what is said later is of this original and round.
        let film: Film = read_json(&self.inbox.ledger(&self.id))?.with_context(|| format!("{} is not in the ledger", self.id))?;
        match self.copied().await? {
            Ok(published) => {
                publish::record(&self.inbox, &self.id, &Said::of(&film, &published), PUBLISHED)
                    .context("the film is in the library, but the result can't be recorded")?;
                tracing::info!("{}: in the library, {}, sha256 {}", self.id, quantity::size(published.size()), published.film.sha256);
                Ok(PodStatus::Done)
            }
            Err(error) => {
                let permanent = error.downcast_ref::<Unfit>().is_some();
                let reason = format!("{error:#}");
                tracing::error!("{}: {reason}", self.id);
                let at = Timestamp::now();
                let failure = Failure {
                    who: self.who,
                    permanent,
                    outside: !permanent,
                    question: false,
                    titles: Vec::new(),
                    lacks: None,
                    reason,
                    tail: Vec::new(),
                    at,
                };
                let failure = failure.bounded().map_err(anyhow::Error::msg)?;
                publish::record(&self.inbox, &self.id, &Said::of(&film, &failure), FAILURE)?;
                Ok(PodStatus::Failed)
            }
        }
    }

    /// Gives the film's files in the library the name that is recorded for it, and writes `renamed.json` to the publisher's folder. A library
    /// that hangs, or SIGTERM, ends the process.
    ///
    /// # Errors
    /// A share can't be read or written to, so nothing could be recorded.
    pub async fn rename(self) -> Result<PodStatus> {
        let mut terminate = signal(SignalKind::terminate())?;
        let this = self.clone();
        let mut renaming = tokio::task::spawn_blocking(move || this.renamed());
        let (film, renamed) = tokio::select! {
            result = &mut renaming => result.context("renaming ended unexpectedly")??,
            _ = terminate.recv() => PodStatus::Stopped.exit(),
            () = tokio::time::sleep(STANDS_STILL_FOR) => {
                tracing::error!("{}: a share does not respond", self.id);
                PodStatus::Failed.exit();
            }
        };
        match &renamed.refused {
            None => tracing::info!("{}: renamed in the library", self.id),
            Some(why) => tracing::warn!("{}: not renamed: {why}", self.id),
        }
        publish::record(&self.inbox, &self.id, &Said::of(&film, &renamed), RENAMED)?;
        Ok(PodStatus::Done)
    }

    fn renamed(&self) -> Result<(Film, Renamed)> {
        let film: Film = read_json(&self.inbox.ledger(&self.id))?.with_context(|| format!("{} is not in the ledger", self.id))?;
        let wanted = film.rename.as_ref().context("the film is not to be renamed")?;
        let (asked, result) = (wanted.asked, rename::rename(&self.library, &film, &wanted.name)?);
        Ok((film, Renamed { asked, refused: result.err() }))
    }

    /// The inner result is that of [`publish::run`].
    async fn copied(&self) -> Result<Result<super::record::Published>> {
        let mut terminate = signal(SignalKind::terminate())?;
        let moved = Arc::new(AtomicU64::new(0));
        let (this, counted) = (self.clone(), Arc::clone(&moved));
        let mut copying =
            tokio::task::spawn_blocking(move || publish::run(&this.inbox, &this.library, &this.id, &this.who, this.reserve, &counted));
        let began = Timestamp::now();
        let (mut last, mut since) = (0, Instant::now());
        loop {
            tokio::select! {
                result = &mut copying => return result.context("publishing ended unexpectedly"),
                _ = terminate.recv() => PodStatus::Stopped.exit(),
                () = tokio::time::sleep(PROGRESS_EVERY) => {}
            }
            let now = moved.load(Ordering::Relaxed);
            if now != last {
                (last, since) = (now, Instant::now());
                self.show(now, began);
            } else if since.elapsed() > STANDS_STILL_FOR {
                tracing::error!("{}: no progress for {} s: a share does not respond", self.id, STANDS_STILL_FOR.as_secs());
                PodStatus::Failed.exit();
            }
        }
    }

    /// Records the progress: `moved` bytes were copied or compared.
    fn show(&self, moved: u64, began: Timestamp) {
        let Ok(Ok(Some(encoded))) = from_encoder::read::<Encoded>(&self.inbox.work(&self.id), ENCODED) else { return };
        // Each byte is written once and read back once.
        #[expect(clippy::cast_precision_loss, reason = "only shown")]
        let done = (moved as f64 / (2 * encoded.size()).max(1) as f64).min(1.0);
        let (who, machine) = (self.who.clone(), self.machine.clone());
        let progress = Progress {
            who,
            machine,
            phase: Phase::Publishing,
            done,
            rate: 0.0,
            eta_seconds: None,
            note: None,
            began,
            at: Timestamp::now(),
        };
        let _ = publish::record(&self.inbox, &self.id, &progress, PROGRESS);
    }
}
