//! `hostler transcode`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::films::Actions;
use hostler_core::films::manifests::Installation;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::arguments::INVENTORY;
use super::length::length;
use super::{Ended, Output, Status, help};
use crate::report::Reporter;
use crate::transcode::access::Access;
use crate::transcode::cluster;
use crate::transcode::encode::Task;
use crate::transcode::film::FilmId;
use crate::transcode::jobs::{Here, Jobs};
use crate::transcode::layout::{self, MARKER, write_whole};
use crate::transcode::ledger::Priority;
use crate::transcode::page;
use crate::transcode::pod::{self, Publication};
use crate::transcode::prove;
use crate::transcode::split::Work;
use crate::transcode::watch::Watcher;
use crate::user_file;

mod ask;
mod link;
mod overview;
mod remote;
mod try_out;

/// Manage the transcoding workload
///
/// `hostler up` installs the workload if the inventory has a `transcode:` section: see docs/films.md. These commands reach it through the API
/// server, with your kubeconfig.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show films that are being encoded, waiting, failed and done
    #[command(after_long_help = help::end(&[("Show all films", "hostler transcode status")], help::REMOTE))]
    Status {
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Print the link to the status page with the token that its buttons need
    #[command(after_long_help = help::end(
        &[
            ("Print the link with which the page's buttons work", "hostler transcode link"),
            ("Disable the buttons for everyone who has the old link", "hostler transcode link --new"),
        ],
        help::REMOTE,
    ))]
    Link {
        /// Replace the token first: earlier links stop working immediately
        #[arg(long)]
        new: bool,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Retry a failed film
    #[command(after_long_help = help::end(&[("Retry the failed film whose name contains `casablanca`", "hostler transcode retry casablanca")], help::ALL))]
    Retry {
        /// Id of the film, or a part of its name
        film: String,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Encode a film again and replace it in the library
    ///
    /// The film is encoded with the current preset from its original in the trash, or, with `--from-library`, from the film in the library.
    #[command(after_long_help = help::end(&[("Encode a film again after a change to the preset", "hostler transcode redo casablanca")], help::ALL))]
    Redo {
        /// Id of the film, or a part of its name
        film: String,
        /// Encode from the film in the library if the original is no longer in the trash; this costs some quality each time
        #[arg(long)]
        from_library: bool,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Publish a film that failed verification
    ///
    /// The film is encoded again and published as it is: a recording with gaps, for example.
    #[command(after_long_help = help::end(&[("Publish a damaged recording", "hostler transcode accept casablanca")], help::ALL))]
    Accept {
        /// Id of the film, or a part of its name
        film: String,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Move the original of a failed or held film to the trash
    #[command(after_long_help = help::end(&[("Remove a failed film from the page", "hostler transcode dismiss casablanca")], help::ALL))]
    Dismiss {
        /// Id of the film, or a part of its name
        film: String,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Publish a film's original immediately, and encode it later
    ///
    /// The original's streams are copied unchanged into an MKV file. The encoded film replaces that file when the media server reports
    /// that no one plays it. If the film is already being encoded, it starts over afterwards.
    #[command(after_long_help = help::end(&[("Publish a film's original within minutes", "hostler transcode now casablanca")], help::ALL))]
    Now {
        /// Id of the film, or a part of its name
        film: String,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Encode a film before all others
    #[command(after_long_help = help::end(&[("Encode a film next", "hostler transcode first casablanca")], help::ALL))]
    First {
        /// Id of the film, or a part of its name
        film: String,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Encode a film after all others
    #[command(after_long_help = help::end(&[("Encode all other films before this one", "hostler transcode later casablanca")], help::ALL))]
    Later {
        /// Id of the film, or a part of its name
        film: String,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Undo `first`, `later` or `skip`: encode a film in the usual order, that in which films arrived in `watch/`
    #[command(after_long_help = help::end(&[("Encode a skipped film in its turn", "hostler transcode normal casablanca")], help::ALL))]
    Normal {
        /// Id of the film, or a part of its name
        film: String,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Do not encode a film until `first`, `normal` or `later`; its original stays in the inbox
    #[command(after_long_help = help::end(&[("Do not encode a film for now", "hostler transcode skip casablanca")], help::ALL))]
    Skip {
        /// Id of the film, or a part of its name
        film: String,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Set the name of a film in the library
    #[command(after_long_help = help::end(&[("Name a disc that is held", "hostler transcode name video-ts 'Casablanca (1942)'")], help::ALL))]
    Name {
        /// Id of the film, or a part of its name
        film: String,
        /// Name in the library, without an extension
        name: String,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Choose the titles of a held disc
    #[command(after_long_help = help::end(&[("Encode two titles of a disc", "hostler transcode titles casablanca 1,3")], help::ALL))]
    Titles {
        /// Id of the film, or a part of its name
        film: String,
        /// Numbers of the titles, as the question lists them
        #[arg(value_delimiter = ',', required = true, value_parser = ask::title)]
        titles: Vec<u32>,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Stop starting new films; those in progress continue
    #[command(after_long_help = help::end(&[("Keep the machines free for a while", "hostler transcode pause")], help::REMOTE))]
    Pause {
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Resume after a pause
    #[command(after_long_help = help::end(&[("Start encoding again", "hostler transcode resume")], help::REMOTE))]
    Resume {
        #[command(flatten)]
        cluster: Cluster,
    },
    Try(Try),
    /// Encode and publish a 20 s sample, to test the whole workload
    #[command(after_long_help = help::end(&[("Test the folder Movies", "hostler transcode test --folder Movies")], help::REMOTE))]
    Test {
        /// Folder in watch/ to drop the sample into [default: the first one]
        #[arg(long)]
        folder: Option<String>,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Watch the inbox and process films (runs in the watcher's pod)
    #[command(hide = true)]
    Watch {
        #[command(flatten)]
        inbox: Inbox,
        #[command(flatten)]
        settings: SettingsFile,
        /// Run encoders and publishers as programs on this computer instead of Jobs of a cluster
        #[arg(long, value_name = "LIBRARY")]
        here: Option<PathBuf>,
        /// Identity of this watcher: the pod's uid
        #[arg(long, env = "HOSTLER_WHO", default_value = "watcher")]
        who: String,
    },
    /// Encode and verify one film (runs in an encoder's pod)
    #[command(hide = true)]
    Encode {
        #[command(flatten)]
        inbox: Inbox,
        #[command(flatten)]
        settings: SettingsFile,
        #[command(flatten)]
        film: Film,
        /// Part of the work on a film that is encoded in pieces
        #[arg(long, value_name = "PART")]
        part: Option<Work>,
    },
    /// Copy one verified film into the library (runs in a publisher's pod)
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
        /// Copy nothing: give the film in the library the name that is recorded for it
        #[arg(long)]
        rename: bool,
    },
    /// Serve the status page (runs in the page's pod)
    #[command(hide = true)]
    Page {
        #[command(flatten)]
        inbox: Inbox,
        /// Library that `redo --from-library` copies films from
        #[arg(long, value_name = "FOLDER")]
        library: Option<PathBuf>,
        #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// Who may use the page's buttons: token, open or off
        #[arg(long, value_name = "WHO", default_value_t = Actions::Open)]
        actions: Actions,
        /// Path of the file with the token for actions
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
    },
    /// Print the workload's Kubernetes objects, for `kubectl apply --server-side`
    #[command(hide = true)]
    Manifests {
        /// Path of the installation's values, as JSON
        installation: PathBuf,
    },
    /// Write the marker file into shares (runs once, when the workload is installed)
    #[command(hide = true)]
    Mark {
        #[arg(required = true, value_name = "FOLDER")]
        shares: Vec<PathBuf>,
    },
    /// Test which encoders work on this machine (runs in a pod)
    #[command(hide = true)]
    Prove {
        /// Folder for temporary files
        #[arg(long = "in", value_name = "FOLDER")]
        folder: PathBuf,
        /// Encoders to test, by HandBrake's names
        #[arg(long, value_delimiter = ',', required = true)]
        encoders: Vec<String>,
    },
    /// Copy this program to where the encoder's container finds it
    #[command(hide = true)]
    CopyProgram {
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
}

/// Encode a part of a film on this computer, to check a preset
///
/// Runs this computer's HandBrakeCLI; no cluster is needed.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[
        ("Encode the 30 s after the first hour", "hostler transcode try casablanca.mkv --from 1h --for 30s"),
        ("Use the preset of a folder in inventory.yaml", "hostler transcode try up.mkv --folder Cartoons"),
    ],
    help::CAREFUL,
))]
pub struct Try {
    /// Path of the film
    pub film: PathBuf,
    /// Position in the film to start at, e.g. 90s, 10m or 1h2m
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = length, allow_hyphen_values = true)]
    pub from: Duration,
    /// Length of the part to encode
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = length, allow_hyphen_values = true)]
    pub length: Duration,
    /// Folder of the inventory's `transcode.folders` whose preset to use [default: hostler's own preset]
    #[arg(long)]
    pub folder: Option<String>,
    /// Path of the inventory file, for `--folder`
    #[arg(long, short, value_name = "FILE", default_value = INVENTORY, conflicts_with = "settings")]
    pub inventory: PathBuf,
    /// Path of a settings.json to use instead of an inventory, with presets next to it
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// Path of the file to write [default: FILM.try.mkv in the current folder]
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Cluster {
    /// Path of the cluster's inventory file [default: inventory.yaml, if there is one]
    #[arg(long, short, value_name = "FILE")]
    pub inventory: Option<PathBuf>,
    /// Path of the cluster's kubeconfig [default: the one that `hostler up` wrote, otherwise $KUBECONFIG or ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Inbox {
    /// Share that films are dropped into
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
    /// Share that media servers read
    #[arg(long, value_name = "FOLDER")]
    pub library: PathBuf,
}

#[derive(Debug, Args)]
pub struct SettingsFile {
    /// Path of settings.json, with presets next to it
    #[arg(long, value_name = "FILE")]
    pub settings: PathBuf,
}

#[derive(Debug, Args)]
pub struct Film {
    /// Id of the film
    #[arg(long)]
    pub id: String,
    /// Identity of this attempt: the pod's uid
    #[arg(long, env = "HOSTLER_WHO")]
    pub who: String,
    /// Name of the machine, for the status page
    #[arg(long, env = "HOSTLER_MACHINE", default_value = "this computer")]
    pub machine: String,
}

/// # Errors
/// A failure that is not recorded with a film.
pub async fn run(verb: Verb, output: Output, reporter: &Reporter) -> Result<Ended> {
    match verb {
        Verb::Status { cluster } => ask::status(&cluster, output, reporter).await?,
        Verb::Link { new, cluster } => link::link(new, &cluster, reporter).await?,
        Verb::Retry { film, cluster } => ask::retry(&film, &cluster, reporter).await?,
        Verb::Redo { film, from_library, cluster } => ask::redo(&film, from_library, &cluster, reporter).await?,
        Verb::Accept { film, cluster } => ask::accept(&film, &cluster, reporter).await?,
        Verb::Dismiss { film, cluster } => ask::dismiss(&film, &cluster, reporter).await?,
        Verb::Now { film, cluster } => ask::now(&film, &cluster, reporter).await?,
        Verb::First { film, cluster } => ask::order(&film, Priority::First, &cluster, reporter).await?,
        Verb::Later { film, cluster } => ask::order(&film, Priority::Later, &cluster, reporter).await?,
        Verb::Normal { film, cluster } => ask::order(&film, Priority::Normal, &cluster, reporter).await?,
        Verb::Skip { film, cluster } => ask::order(&film, Priority::Skipped, &cluster, reporter).await?,
        Verb::Name { film, name, cluster } => ask::name(&film, &name, &cluster, reporter).await?,
        Verb::Titles { film, titles, cluster } => ask::titles(&film, &titles, &cluster, reporter).await?,
        Verb::Pause { cluster } => ask::pause(&cluster, reporter).await?,
        Verb::Resume { cluster } => ask::resume(&cluster, reporter).await?,
        Verb::Try(arguments) => try_out::run(&arguments, reporter).await?,
        Verb::Test { folder, cluster } => ask::test(folder.as_deref(), &cluster, reporter).await?,
        Verb::Watch { inbox, settings, here, who } => {
            lines_to_stderr();
            watch(inbox.share(), settings.settings, here, who).await?;
        }
        Verb::Encode { inbox, settings, film, part } => {
            lines_to_stderr();
            let settings_folder = settings.settings.parent().unwrap_or(Path::new(".")).to_owned();
            let (id, settings) = (film_id(&film)?, layout::settings(&settings.settings)?);
            let hardware = prove::has_render_node();
            let task = Task { inbox: inbox.share(), settings, settings_folder, id, who: film.who, machine: film.machine, hardware, part };
            return Ok(Status::Pod(pod::encode(&task).await?).into());
        }
        Verb::Publish { inbox, library, settings, film, rename } => {
            lines_to_stderr();
            let id = film_id(&film)?;
            let reserve = layout::settings(&settings.settings)?.reserve();
            let library = layout::Library { root: library.library };
            let publication = Publication { inbox: inbox.share(), library, id, who: film.who, machine: film.machine, reserve };
            let status = if rename { publication.rename().await? } else { publication.run().await? };
            return Ok(Status::Pod(status).into());
        }
        Verb::Page { inbox, library, listen, actions, token_file } => {
            lines_to_stderr();
            page(inbox.share(), library.map(|root| layout::Library { root }), Access { actions, token_file }, listen).await?;
        }
        Verb::Manifests { installation } => {
            let text = user_file::text(&installation).with_context(|| format!("{} can't be read", installation.display()))?;
            let installation: Installation = serde_json::from_str(&text)
                .with_context(|| format!("{} does not contain valid installation values", installation.display()))?;
            reporter.result(&installation.manifests()?).await;
        }
        Verb::Mark { shares } => {
            for share in shares {
                let marker = share.join(MARKER);
                if !marker.try_exists().with_context(|| format!("{} can't be read", share.display()))? {
                    let text = "hostler checks for this file to know that the share is mounted. Do not delete it.\n";
                    write_whole(&marker, text.as_bytes()).with_context(|| format!("{} can't be written to", share.display()))?;
                }
            }
        }
        Verb::Prove { folder, encoders } => {
            lines_to_stderr();
            let working = prove::working(&folder, &encoders).await?;
            reporter.result(&prove::last_line(&working)).await;
        }
        Verb::CopyProgram { to } => {
            let program = std::env::current_exe().context("hostler can't determine the path of its own program")?;
            std::fs::copy(&program, &to).with_context(|| format!("{} can't be copied to {}", program.display(), to.display()))?;
        }
    }
    Ok(().into())
}

/// Logs lines for a pod: without colors, and without times, which the cluster adds.
fn lines_to_stderr() {
    // Callers of the API client log its errors themselves.
    let filter = EnvFilter::new("info,kube_client=off");
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        // It would print them on standard error, and panic where that is what failed.
        .log_internal_errors(false)
        .try_init();
}

async fn watch(inbox: layout::Inbox, settings: PathBuf, here: Option<PathBuf>, who: String) -> Result<()> {
    // PID 1 of a container has no default signal handlers.
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
    // Not by returning: that would wait for an operation that hangs on a share.
    std::process::exit(0)
}

async fn page(inbox: layout::Inbox, library: Option<layout::Library>, access: Access, listen: SocketAddr) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        result = page::run(inbox, library, access, listen) => result?,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    std::process::exit(0)
}

fn film_id(film: &Film) -> Result<FilmId> {
    FilmId::parse(&film.id).ok_or_else(|| {
        Failure::new(ExitStatus::Usage, format!("`{}` is not the id of a film", film.id), "`hostler transcode status` shows ids").into()
    })
}
