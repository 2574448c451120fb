//! `hostler transcode`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::films::manifests::Installation;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::length::length;
use super::{Ended, Output, Status};
use crate::transcode::cluster;
use crate::transcode::encode::Task;
use crate::transcode::film::FilmId;
use crate::transcode::jobs::{Here, Jobs};
use crate::transcode::layout::{self, MARKER, write_whole};
use crate::transcode::page;
use crate::transcode::pod::{self, Publication};
use crate::transcode::watch::Watcher;

mod ask;
mod try_out;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show what is encoded, what waits, what failed
    Status {
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Try a film again that failed
    Retry {
        /// Its id, or a part of its name
        film: String,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Encode a film again from its original in the trash, with the preset as it is now; the film in the library is replaced
    Redo {
        /// Its id, or a part of its name
        film: String,
        /// Take what is in the library for the original, where that has left the trash; each time costs some quality
        #[arg(long)]
        from_library: bool,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Begin no more films; those in work are finished
    Pause {
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Go on after a pause
    Resume {
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Encode a part of a film on this computer, to look at what a preset makes of it
    Try(Try),
    /// Send a sample of 20 seconds through everything, and tell where it landed
    Test {
        /// The folder of watch/ it is dropped into; the first one, if not said
        #[arg(long)]
        folder: Option<String>,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Take up films, and see each to its end (what the watcher's pod runs)
    #[command(hide = true)]
    Watch {
        #[command(flatten)]
        inbox: Inbox,
        #[command(flatten)]
        settings: SettingsFile,
        /// Run encoders and publishers as programs on this computer rather than as Jobs of a cluster
        #[arg(long, value_name = "LIBRARY")]
        here: Option<PathBuf>,
        /// What tells this watcher from others: the pod's uid
        #[arg(long, env = "HOSTLER_WHO", default_value = "watcher")]
        who: String,
    },
    /// Encode and verify one film (what an encoder's pod runs)
    #[command(hide = true)]
    Encode {
        #[command(flatten)]
        inbox: Inbox,
        #[command(flatten)]
        settings: SettingsFile,
        #[command(flatten)]
        film: Film,
    },
    /// Put one verified film into the library (what a publisher's pod runs)
    #[command(hide = true)]
    Publish {
        #[command(flatten)]
        inbox: Inbox,
        #[command(flatten)]
        library: Library,
        #[command(flatten)]
        settings: SettingsFile,
        #[command(flatten)]
        film: Film,
    },
    /// Serve the status page (what the page's pod runs)
    #[command(hide = true)]
    Page {
        #[command(flatten)]
        inbox: Inbox,
        /// Where `redo --from-library` takes films from
        #[arg(long, value_name = "FOLDER")]
        library: Option<PathBuf>,
        #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
    },
    /// Write the objects of the cluster that make up the workload, for `kubectl apply --server-side`
    #[command(hide = true)]
    Manifests {
        /// What they are made of, as JSON
        installation: PathBuf,
    },
    /// Mark shares as what they are (what runs once, when the workload is installed)
    #[command(hide = true)]
    Mark {
        #[arg(required = true, value_name = "FOLDER")]
        shares: Vec<PathBuf>,
    },
    /// Put this program where the encoder's container finds it
    #[command(hide = true)]
    CopyProgram {
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
}

#[derive(Debug, Args)]
pub struct Try {
    pub film: PathBuf,
    /// Where in the film to begin: 90s, 10m, 1h2m
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = length)]
    pub from: Duration,
    /// How much of it
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = length)]
    pub length: Duration,
    /// settings.json; presets lie beside it. Without it: hostler's own preset
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// Whose preset: a folder of the settings
    #[arg(long, requires = "settings")]
    pub folder: Option<String>,
    /// Where it is written [default: FILM.try.mkv in this folder]
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Cluster {
    /// The cluster's kubeconfig [default: $KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Inbox {
    /// The share that films are dropped into
    #[arg(long, value_name = "FOLDER")]
    pub inbox: PathBuf,
}

impl Inbox {
    fn share(self) -> layout::Inbox {
        layout::Inbox { root: self.inbox }
    }
}

#[derive(Debug, Args)]
pub struct Library {
    /// The share that media servers read
    #[arg(long, value_name = "FOLDER")]
    pub library: PathBuf,
}

#[derive(Debug, Args)]
pub struct SettingsFile {
    /// settings.json; presets lie beside it
    #[arg(long, value_name = "FILE")]
    pub settings: PathBuf,
}

#[derive(Debug, Args)]
pub struct Film {
    /// The film's id
    #[arg(long)]
    pub id: String,
    /// What tells this attempt from others: the pod's uid
    #[arg(long, env = "HOSTLER_WHO")]
    pub who: String,
    /// The machine's name, for the status page
    #[arg(long, env = "HOSTLER_MACHINE", default_value = "this computer")]
    pub machine: String,
}

/// # Errors
/// What could not be done, and is on no film's record.
pub async fn run(verb: Verb, output: Output) -> Result<Ended> {
    match verb {
        Verb::Status { cluster } => ask::status(&cluster, output).await?,
        Verb::Retry { film, cluster } => ask::retry(&film, &cluster).await?,
        Verb::Redo { film, from_library, cluster } => ask::redo(&film, from_library, &cluster).await?,
        Verb::Pause { cluster } => ask::pause(&cluster).await?,
        Verb::Resume { cluster } => ask::resume(&cluster).await?,
        Verb::Try(arguments) => try_out::run(&arguments)?,
        Verb::Test { folder, cluster } => ask::test(folder.as_deref(), &cluster).await?,
        Verb::Watch { inbox, settings, here, who } => {
            lines_to_stderr();
            watch(inbox.share(), settings.settings, here, who).await?;
        }
        Verb::Encode { inbox, settings, film } => {
            lines_to_stderr();
            let settings_folder = settings.settings.parent().unwrap_or(Path::new(".")).to_owned();
            let (id, settings) = (film_id(&film)?, layout::settings(&settings.settings)?);
            let task = Task { inbox: inbox.share(), settings, settings_folder, id, who: film.who, machine: film.machine };
            return Ok(Status::Pod(pod::encode(&task).await?).into());
        }
        Verb::Publish { inbox, library, settings, film } => {
            lines_to_stderr();
            let (id, media_server) = (film_id(&film)?, layout::settings(&settings.settings)?.media_server);
            let library = layout::Library { root: library.library };
            let publication = Publication { inbox: inbox.share(), library, media_server, id, who: film.who, machine: film.machine };
            return Ok(Status::Pod(publication.run().await?).into());
        }
        Verb::Page { inbox, library, listen } => {
            lines_to_stderr();
            page(inbox.share(), library.map(|root| layout::Library { root }), listen).await?;
        }
        Verb::Manifests { installation } => {
            let text = std::fs::read_to_string(&installation).with_context(|| format!("{} can't be read", installation.display()))?;
            let installation: Installation =
                serde_json::from_str(&text).with_context(|| format!("{} is no installation", installation.display()))?;
            print!("{}", installation.manifests()?);
        }
        Verb::Mark { shares } => {
            for share in shares {
                let marker = share.join(MARKER);
                if !marker.try_exists().with_context(|| format!("{} can't be looked at", share.display()))? {
                    let text = "hostler knows by this file that the share is mounted.\n";
                    write_whole(&marker, text.as_bytes()).with_context(|| format!("{} can't be written to", share.display()))?;
                }
            }
        }
        Verb::CopyProgram { to } => {
            let program = std::env::current_exe().context("this program is not known by a path")?;
            std::fs::copy(&program, &to).with_context(|| format!("{} can't be copied to {}", program.display(), to.display()))?;
        }
    }
    Ok(().into())
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

async fn watch(inbox: layout::Inbox, settings: PathBuf, here: Option<PathBuf>, who: String) -> Result<()> {
    // As the first process of a container it has no default for signals.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let jobs = match here {
        Some(library) => Jobs::Here(Here::new(inbox.root.clone(), library, settings.clone())),
        None => {
            let templates = settings.parent().unwrap_or(Path::new(".")).to_owned();
            Jobs::Cluster(Box::new(cluster::Cluster::connect(templates, who).await?))
        }
    };
    let mut watcher = Watcher::new(inbox, settings, jobs);
    tokio::select! {
        _ = watcher.run() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    watcher.stop().await;
    // Not by returning: an operation that hangs on a share would be waited for.
    std::process::exit(0)
}

async fn page(inbox: layout::Inbox, library: Option<layout::Library>, listen: SocketAddr) -> Result<()> {
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
