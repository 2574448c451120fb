//! `hostler transcode`: films.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::SignedDuration;

#[derive(Debug, Subcommand)]
pub enum TranscodeCommand {
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
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = crate::command::transcode::length)]
    pub from: SignedDuration,
    /// How much of it
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = crate::command::transcode::length)]
    pub length: SignedDuration,
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
