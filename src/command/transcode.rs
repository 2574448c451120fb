//! `hostler transcode`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::films::manifests::Installation;
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tracing_subscriber::EnvFilter;

use crate::cli::transcode::{Film, TranscodeCommand};
use crate::transcode::cluster::Cluster;
use crate::transcode::encode::{self, Ended, Task};
use crate::transcode::film::FilmId;
use crate::transcode::jobs::{Here, Jobs};
use crate::transcode::layout::{self, Inbox, Library, MARKER, write_json, write_whole};
use crate::transcode::media_server;
use crate::transcode::page;
use crate::transcode::publish;
use crate::transcode::record::{self, FAILURE, PROGRESS, Phase, Progress};
use crate::transcode::watch::Watcher;

mod ask;
mod try_out;

pub use try_out::length;

/// A copy that moves no byte for so long hangs.
const STANDS_STILL_FOR: Duration = Duration::from_secs(180);
/// Between two writes of a copy's progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(3);
/// As a shell gives it for SIGTERM.
const STOPPED: u8 = 143;

/// # Errors
/// What could not be done, and is on no film's record.
pub async fn run(command: TranscodeCommand, json: bool) -> Result<u8> {
    match command {
        TranscodeCommand::Status { cluster } => ask::status(&cluster, json).await,
        TranscodeCommand::Retry { film, cluster } => ask::retry(&film, &cluster).await,
        TranscodeCommand::Redo { film, from_library, cluster } => ask::redo(&film, from_library, &cluster).await,
        TranscodeCommand::Pause { cluster } => ask::pause(&cluster).await,
        TranscodeCommand::Resume { cluster } => ask::resume(&cluster).await,
        TranscodeCommand::Try(arguments) => try_out::run(&arguments),
        TranscodeCommand::Test { folder, cluster } => ask::test(folder.as_deref(), &cluster).await,
        TranscodeCommand::Watch { inbox, settings, here, who } => {
            lines_to_stderr();
            watch(inbox.inbox, settings.settings, here, who).await
        }
        TranscodeCommand::Encode { inbox, settings, film } => {
            lines_to_stderr();
            encode(inbox.inbox, &settings.settings, film).await
        }
        TranscodeCommand::Publish { inbox, library, settings, film } => {
            lines_to_stderr();
            publish(Inbox { root: inbox.inbox }, Library { root: library.library }, &settings.settings, film).await
        }
        TranscodeCommand::Page { inbox, library, listen } => {
            lines_to_stderr();
            page(Inbox { root: inbox.inbox }, library.map(|root| Library { root }), listen).await
        }
        TranscodeCommand::Manifests { installation } => {
            let text = std::fs::read_to_string(&installation).with_context(|| format!("{} can't be read", installation.display()))?;
            let installation: Installation =
                serde_json::from_str(&text).with_context(|| format!("{} is no installation", installation.display()))?;
            print!("{}", installation.manifests()?);
            Ok(0)
        }
        TranscodeCommand::Mark { shares } => {
            for share in shares {
                let marker = share.join(MARKER);
                if !marker.try_exists().with_context(|| format!("{} can't be looked at", share.display()))? {
                    let text = "hostler knows by this file that the share is mounted.\n";
                    write_whole(&marker, text.as_bytes()).with_context(|| format!("{} can't be written to", share.display()))?;
                }
            }
            Ok(0)
        }
        TranscodeCommand::CopyProgram { to } => {
            let program = std::env::current_exe().context("this program is not known by a path")?;
            std::fs::copy(&program, &to).with_context(|| format!("{} can't be copied to {}", program.display(), to.display()))?;
            Ok(0)
        }
    }
}

/// What a pod's log shows: lines, without colours or times, which the cluster adds.
fn lines_to_stderr() {
    // What the client of the API server would say by itself is said by whoever called it.
    let filter = EnvFilter::new("info,kube_client=off");
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .try_init();
}

async fn watch(inbox: PathBuf, settings: PathBuf, here: Option<PathBuf>, who: String) -> Result<u8> {
    // As the first process of a container it has no default for signals.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let jobs = match here {
        Some(library) => Jobs::Here(Here::new(inbox.clone(), library, settings.clone())),
        None => {
            let templates = settings.parent().unwrap_or(Path::new(".")).to_owned();
            Jobs::Cluster(Box::new(Cluster::connect(templates, who).await?))
        }
    };
    let mut watcher = Watcher::new(Inbox { root: inbox }, settings, jobs);
    tokio::select! {
        _ = watcher.run() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    watcher.stop().await;
    // Not by returning: an operation that hangs on a share would be waited for.
    std::process::exit(0)
}

async fn page(inbox: Inbox, library: Option<Library>, listen: SocketAddr) -> Result<u8> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        result = page::run(inbox, library, listen) => result?,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    std::process::exit(0)
}

fn film_id(film: &Film) -> Result<FilmId> {
    FilmId::parse(&film.id).ok_or_else(|| {
        Failure::new(ExitStatus::Usage, format!("`{}` is no film's id", film.id), "`hostler transcode status` shows ids").into()
    })
}

/// 0: encoded; 1: another attempt may do better; 2: it will not; 143: stopped.
async fn encode(inbox: PathBuf, settings_file: &Path, film: Film) -> Result<u8> {
    let id = film_id(&film)?;
    let settings_folder = settings_file.parent().unwrap_or(Path::new(".")).to_owned();
    let settings = layout::settings(settings_file)?;
    let task = Task { inbox: Inbox { root: inbox }, settings, settings_folder, id, who: film.who, machine: film.machine };
    Ok(match encode::run(&task).await? {
        Ended::Encoded(encoded) => {
            tracing::info!(
                "{}: encoded and verified: {} frames, {:.0} s, {} MB",
                task.id,
                encoded.frames,
                encoded.duration,
                encoded.size >> 20
            );
            0
        }
        Ended::Failed(failure) => {
            tracing::error!("{}: {}", task.id, failure.reason);
            if failure.permanent { 2 } else { 1 }
        }
        Ended::Stopped => {
            tracing::info!("{}: stopped", task.id);
            STOPPED
        }
    })
}

/// 0: published; 1: another attempt may do better; 143: stopped.
async fn publish(inbox: Inbox, library: Library, settings: &Path, film: Film) -> Result<u8> {
    let id = film_id(&film)?;
    let media_server = layout::settings(settings)?.media_server;
    let mut terminate = signal(SignalKind::terminate())?;
    let moved = Arc::new(AtomicU64::new(0));
    let (shares, counted, whose, who) = ((inbox.clone(), library), Arc::clone(&moved), id.clone(), film.who.clone());
    let mut copying = tokio::task::spawn_blocking(move || publish::run(&shares.0, &shares.1, &whose, &who, &counted));
    let began = Timestamp::now();
    let (mut last, mut since) = (0, Instant::now());
    let result = loop {
        tokio::select! {
            result = &mut copying => break result.context("publishing ended early")?,
            _ = terminate.recv() => std::process::exit(i32::from(STOPPED)),
            () = tokio::time::sleep(PROGRESS_EVERY) => {}
        }
        let now = moved.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
            show(&inbox, &id, &film, now, began);
        } else if since.elapsed() > STANDS_STILL_FOR {
            tracing::error!("{id}: nothing has been copied for {} s: a share hangs", STANDS_STILL_FOR.as_secs());
            // Not by returning: the thread that hangs would be waited for.
            std::process::exit(1);
        }
    };
    match result {
        Ok(mut published) => {
            if let (None, Some(server)) = (&published.media_server, &media_server) {
                published.media_server = Some(media_server::refresh(server, &published.path).await);
                tracing::info!("{id}: {}", published.media_server.as_deref().unwrap_or_default());
            }
            publish::record(&inbox, &id, &published)?;
            tracing::info!("{id}: in the library, {} MB, sha256 {}", published.size >> 20, published.sha256);
            Ok(0)
        }
        Err(error) => {
            let reason = format!("{error:#}");
            tracing::error!("{id}: {reason}");
            let failure =
                record::Failure { who: film.who, permanent: false, outside: true, reason, tail: Vec::new(), at: Timestamp::now() };
            write_json(&inbox.work(&id).join(FAILURE), &failure)?;
            Ok(1)
        }
    }
}

fn show(inbox: &Inbox, id: &FilmId, film: &Film, moved: u64, began: Timestamp) {
    let Ok(Some(encoded)) = record::Encoded::of(&inbox.work(id)) else { return };
    // Each byte is written once and read back once.
    #[expect(clippy::cast_precision_loss, reason = "a part to be shown")]
    let done = (moved as f64 / (2 * encoded.size).max(1) as f64).min(1.0);
    let (who, machine) = (film.who.clone(), film.machine.clone());
    let progress = Progress { who, machine, phase: Phase::Publishing, done, rate: 0.0, eta_seconds: None, began, at: Timestamp::now() };
    let _ = write_json(&inbox.work(id).join(PROGRESS), &progress);
}
