//! `hostler snapshot`: backups that `hostler rebuild --from` restores the only control plane from.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::quantity::size;
use hostler_core::visible::visible;
use hostler_core::words::counted;
use serde_json::json;

use super::arguments::{Connecting, InventoryArgument};
use super::passphrase::PassphraseFile;
use super::{Output, help};
use crate::apply::backup;
use crate::connect::{self, login};
use crate::event::Event;
use crate::inventory_file::InventoryFile;
use crate::report::{Reporter, json_text, row, table};
use crate::snapshot::{self, age};
use crate::user_file::Destination;

/// Version of the JSON that `list` and `verify` print.
const SCHEMA: u32 = 1;

/// Back up etcd, the cluster's keys and kubeadm's configuration
///
/// A snapshot restores a cluster whose only control plane is lost: see docs/snapshots.md.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Create(Create),
    List(List),
    Verify(Verify),
}

/// Take a snapshot of the cluster
///
/// The first control plane that can be reached takes it. It holds every secret of the cluster: only its owner can read the file.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[
        ("Write a snapshot to ~/.local/share/hostler/snapshots", "hostler snapshot create"),
        ("Write an encrypted snapshot to another path", "hostler snapshot create /media/usb/home.tar.gz.age --encrypt"),
    ],
    help::REMOTE,
))]
pub struct Create {
    /// Path of the file to write, `-` for standard output [default: ~/.local/share/hostler/snapshots/CLUSTER-TIME.tar.gz, .tar.gz.age if encrypted]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Encrypt the snapshot with a passphrase, in the format of `age --passphrase`
    #[arg(long)]
    encrypt: bool,
    #[command(flatten)]
    passphrase: PassphraseFile,
    #[command(flatten)]
    inventory: InventoryArgument,
    #[command(flatten)]
    connecting: Connecting,
}

/// List the snapshots on this computer
#[derive(Debug, Args)]
#[command(after_long_help = help::end(&[("List the snapshots in the default folder", "hostler snapshot list")], help::LOCAL))]
pub struct List {
    /// Folder to list [default: ~/.local/share/hostler/snapshots]
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// Check that a snapshot is complete and undamaged
///
/// Decrypts it if it is encrypted, and verifies its checksums, etcd's data and that all keys are in it.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[("Check a snapshot", "hostler snapshot verify ~/.local/share/hostler/snapshots/home-20260301T120000Z.tar.gz")],
    help::LOCAL,
))]
pub struct Verify {
    /// Path of the snapshot
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseFile,
}

/// # Errors
/// No control plane can take a snapshot, or a file can't be read or written or is not a snapshot.
pub async fn run(verb: &Verb, output: Output, reporter: &Reporter) -> Result<()> {
    match verb {
        Verb::Create(arguments) => create(arguments, reporter).await,
        Verb::List(arguments) => list(arguments, output, reporter).await,
        Verb::Verify(arguments) => verify(arguments, output, reporter).await,
    }
}

async fn list(arguments: &List, output: Output, reporter: &Reporter) -> Result<()> {
    let folder = arguments.folder.clone().map_or_else(snapshot::default_folder, Ok)?;
    // The default one comes with the first snapshot.
    if arguments.folder.is_some() && !folder.is_dir() {
        let message = format!("{} is not a folder", folder.display());
        let hint = "omit the argument to list the default folder; `hostler snapshot verify FILE` checks a single snapshot";
        return Err(Failure::new(ExitStatus::Usage, message, hint).into());
    }
    let snapshots = snapshot::list(&folder)?;
    let text = match output {
        Output::Json => json_text(&json!({ "schema": SCHEMA, "snapshots": snapshots }))?,
        Output::Text if snapshots.is_empty() => format!("no snapshots in {}", visible(&folder.to_string_lossy())),
        Output::Text => {
            let mut rows = vec![row!["CLUSTER", "TAKEN", "SIZE", "ENCRYPTED", "FILE"]];
            rows.extend(snapshots.iter().map(|snapshot| {
                let encrypted = if snapshot.encrypted { "yes" } else { "no" };
                row![visible(&snapshot.cluster), snapshot.taken, size(snapshot.size), encrypted, visible(&snapshot.file.to_string_lossy())]
            }));
            table(&rows)
        }
    };
    reporter.result(text.trim_end()).await;
    Ok(())
}

async fn verify(arguments: &Verify, output: Output, reporter: &Reporter) -> Result<()> {
    let file = &arguments.file;
    let passphrase = match snapshot::is_encrypted(file)? {
        true => Some(arguments.passphrase.of(file, reporter).await?),
        false => None,
    };
    let found = snapshot::open(file, passphrase.as_deref())?;
    let text = match output {
        Output::Json => json_text(&json!({ "schema": SCHEMA, "snapshot": found }))?,
        Output::Text => {
            let nodes = counted(found.nodes.len(), "node");
            format!("{} ({}) is valid: taken {}, {nodes}", visible(&file.to_string_lossy()), size(found.size), found.taken)
        }
    };
    reporter.result(&text).await;
    Ok(())
}

async fn create(arguments: &Create, reporter: &Reporter) -> Result<()> {
    let InventoryFile { inventory, text, .. } = arguments.inventory.load()?;
    let place = arguments.file.as_deref().map(destination).transpose()?;
    // Asked first: a typo should cost no wait.
    let passphrase = match arguments.encrypt || arguments.passphrase.is_given() {
        true => Some(arguments.passphrase.new_one(reporter).await?),
        false => None,
    };
    let mut links = connect::links(&inventory, arguments.connecting.new_host_keys(), reporter)?;
    links.retain(|name, _| inventory.control_planes().any(|(plane, _)| plane == name));
    login::log_in(&links, reporter).await?;
    let file = match &arguments.file {
        Some(file) => file.clone(),
        None => backup::default_file(&inventory.cluster.name, passphrase.is_some())?,
    };
    let backup::Taken { by, archive, snapshot: taken } = backup::take(&inventory, &text, &links, &file).await?;
    let (written, safe) = match &passphrase {
        Some(passphrase) => (
            age::encrypt(passphrase, age::WORK, &archive)?,
            "the file is encrypted: keep the passphrase in another \
            place",
        ),
        None => (archive, "the file is not encrypted: keep it safe"),
    };
    let place = place.map_or_else(|| Destination::new_file(&file), Ok)?;
    place.write(&written, 0o600).with_context(|| format!("{} can't be written", file.display()))?;
    let (file, size) = (file.display(), size(taken.size));
    let line = format!("wrote {file} ({size}): etcd and keys from {by}, {}; {safe}", taken.taken);
    match place {
        Destination::New(_) | Destination::File(_) => reporter.result(&line).await,
        Destination::Stdout | Destination::Stream(_) => reporter.events().send(Event::Note { line }),
    }
    Ok(())
}

/// Where a snapshot may be written: no file is replaced, and a terminal can't show one.
fn destination(file: &Path) -> Result<Destination> {
    let place = Destination::new_file(file)?;
    if place == Destination::Stdout && std::io::stdout().is_terminal() {
        let message = "a snapshot is binary data, and can't be written to a terminal";
        return Err(Failure::new(ExitStatus::Usage, message, "redirect the output to a file, or pass the path of a file to write").into());
    }
    Ok(place)
}
