//! `hostler snapshot`: backups that `hostler rebuild --from` restores the only control plane from.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use hostler_core::facts::Snapshot;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::quantity::{age as age_of, size};
use hostler_core::visible::visible;
use hostler_core::words::counted;
use serde_json::json;

use super::arguments::{Connecting, InventoryArgument};
use super::opener::Opening;
use super::passphrase::PassphraseFile;
use super::{Output, help};
use crate::apply::backup;
use crate::artifact::Bundle;
use crate::connect::{self, login};
use crate::event::Event;
use crate::interrupt::interrupted;
use crate::inventory_file::InventoryFile;
use crate::lab::like;
use crate::report::{Reporter, json_text, row, table};
use crate::scratch::{self, Objects};
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
/// The snapshot is taken on the first control plane that can be reached. It contains every secret of the cluster, so only its owner can
/// read the file.
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
    /// Encrypt the snapshot with a passphrase, in the format of `age --passphrase` [default: to `snapshots.recipients`, if there are any]
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
#[command(after_long_help = help::end(
    &[
        ("List the snapshots in the default folder", "hostler snapshot list"),
        ("List the snapshots of one cluster", "hostler snapshot list --inventory inventory.yaml"),
    ],
    help::LOCAL,
))]
pub struct List {
    /// Folder to list [default: ~/.local/share/hostler/snapshots]
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// List only the snapshots of this inventory's cluster [default: of all clusters]
    #[arg(long, short, value_name = "FILE")]
    inventory: Option<PathBuf>,
}

/// Check that a snapshot is complete, and that every object in it can be read
///
/// Decrypts the snapshot if it is encrypted, and verifies its checksums, etcd's data, and that no key is missing. Then etcd and an API
/// server from the bundle of the same version read all objects, on this computer and in memory. If that bundle is not in the cache, hostler
/// says so and skips this part.
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
    opening: Opening,
    /// Folder created by `hostler bundle create`, whose etcd and API server read the snapshot [default: in the cache]
    #[arg(long, value_name = "FOLDER")]
    bundle: Option<PathBuf>,
    /// Check only the file, without starting etcd and an API server
    #[arg(long, conflicts_with = "bundle")]
    file_only: bool,
}

/// # Errors
/// No control plane can take a snapshot, or a file can't be read or written or is not a snapshot.
pub async fn run(verb: &Verb, output: Output, reporter: &Reporter) -> Result<ExitStatus> {
    match verb {
        Verb::Create(arguments) => create(arguments, reporter).await.map(|()| ExitStatus::Done),
        Verb::List(arguments) => list(arguments, output, reporter).await.map(|()| ExitStatus::Done),
        Verb::Verify(arguments) => verify(arguments, output, reporter).await,
    }
}

async fn list(arguments: &List, output: Output, reporter: &Reporter) -> Result<()> {
    let inventory = arguments.inventory.clone().map(|file| InventoryArgument::of(file).load()).transpose()?;
    let default = || inventory.as_ref().map_or_else(snapshot::default_folder, like::snapshots);
    let folder = arguments.folder.clone().map_or_else(default, Ok)?;
    // The default one comes with the first snapshot.
    if arguments.folder.is_some() && !folder.is_dir() {
        let message = format!("{} is not a folder", folder.display());
        let hint = "omit the argument to list the default folder; `hostler snapshot verify FILE` checks a single snapshot";
        return Err(Failure::new(ExitStatus::Usage, message, hint).into());
    }
    let cluster = inventory.map(|file| file.inventory.cluster.name);
    let mut snapshots = snapshot::list(&folder)?;
    snapshots.retain(|snapshot| cluster.as_ref().is_none_or(|name| snapshot.cluster == *name));
    let text = match output {
        Output::Json => json_text(&json!({ "schema": SCHEMA, "snapshots": snapshots }))?,
        Output::Text if snapshots.is_empty() => {
            let whose = cluster.map_or_else(String::new, |name| format!(" of the cluster {name}"));
            format!("no snapshots{whose} in {}", visible(&folder.to_string_lossy()))
        }
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

async fn verify(arguments: &Verify, output: Output, reporter: &Reporter) -> Result<ExitStatus> {
    let file = &arguments.file;
    let secret = arguments.opening.of(file, reporter).await?;
    let found = snapshot::open(file, secret.opener())?;
    let read = objects(arguments, &found, reporter).await;
    let is_good = match &read {
        Ok(read) => read.as_ref().map_or(true, Objects::are_readable),
        Err(_) => false,
    };
    let read = read.unwrap_or_else(|error| Err(format!("{error:#}")));
    let text = match output {
        Output::Json => {
            let unread = read.as_ref().err();
            json_text(&json!({ "schema": SCHEMA, "snapshot": found, "objects": read.as_ref().ok(), "notRead": unread }))?
        }
        Output::Text => {
            let taken = found.taken.parse::<jiff::Timestamp>().ok();
            let seconds = taken.and_then(|taken| u64::try_from(jiff::Timestamp::now().as_second() - taken.as_second()).ok());
            let ago = seconds.map_or_else(String::new, |seconds| format!(", {} ago", age_of(seconds)));
            let nodes = counted(found.nodes.len(), "node");
            let valid =
                format!("{} ({}) is valid: taken {}{ago}, {nodes}", visible(&file.to_string_lossy()), size(found.size), found.taken);
            let of_objects = match &read {
                Ok(objects) => said(objects),
                Err(why) => format!("its objects were not read: {}", visible(why)),
            };
            format!("{valid}\n{of_objects}")
        }
    };
    reporter.result(&text).await;
    Ok(if is_good { ExitStatus::Done } else { ExitStatus::Failed })
}

/// The objects of a snapshot, read by etcd and an API server; or why nothing was tried.
///
/// # Errors
/// They could not be read.
async fn objects(arguments: &Verify, found: &Snapshot, reporter: &Reporter) -> Result<Result<Objects, String>> {
    if arguments.file_only {
        return Ok(Err("only the file was checked".to_owned()));
    }
    let archive = snapshot::archive(found)?;
    let version = scratch::version(&archive)?;
    let bundle = match &arguments.bundle {
        Some(folder) => Some(Bundle::open(folder)?),
        None => scratch::bundle_at_hand(&version)?,
    };
    let Some(bundle) = bundle else {
        return Ok(Err(format!(
            "there is no bundle of Kubernetes {version} in the cache; `hostler bundle create --kubernetes {version}` fetches one"
        )));
    };
    let line = format!("etcd and an API server of Kubernetes {} read the objects", bundle.manifest.kubernetes);
    reporter.events().send(Event::Note { line });
    // What it holds is deleted before this process ends.
    let read = tokio::select! {
        read = scratch::read(&archive, &bundle) => Ok(read),
        Ok(interrupt) = interrupted() => Err(interrupt),
    };
    match read {
        Ok(read) => read.map(Ok),
        Err(interrupt) => std::process::exit(interrupt.status()),
    }
}

/// A resource of which one object is unreadable, or keys that belong to no resource, at most in a line.
const MOST_SHOWN: usize = 10;

/// What was read, for a person: the most numerous resources, and all that is wrong.
fn said(objects: &Objects) -> String {
    let mut text = format!(
        "etcd {} and Kubernetes {} read {} of {} in {:.1} s",
        objects.etcd,
        objects.kubernetes,
        counted(objects.total(), "object"),
        counted(objects.counts.values().filter(|count| **count > 0).count(), "resource"),
        objects.took,
    );
    let mut most: Vec<_> = objects.counts.iter().filter(|(_, count)| **count > 0).collect();
    most.sort_by(|(name, count), (other_name, other)| other.cmp(count).then(name.cmp(other_name)));
    let shown: Vec<String> = most.iter().take(MOST_SHOWN).map(|(name, count)| format!("{} {count}", visible(name))).collect();
    text += &format!("\n  {}{}", shown.join(", "), if most.len() > MOST_SHOWN { ", ..." } else { "" });
    for (resource, why) in &objects.unreadable {
        text += &format!("\n! {} can't be read: {}", visible(resource), visible(why));
    }
    for (beginning, count) in objects.unknown.iter().take(MOST_SHOWN) {
        let belong = if *count == 1 { "in etcd belongs to no resource of" } else { "in etcd belong to no resource of" };
        let keys = counted(*count, "key");
        text += &format!("\n! {keys} under {} {belong} Kubernetes {}", visible(beginning), objects.kubernetes);
    }
    text
}

async fn create(arguments: &Create, reporter: &Reporter) -> Result<()> {
    let loaded = arguments.inventory.load()?;
    let InventoryFile { inventory, text, .. } = &loaded;
    let place = arguments.file.as_deref().map(destination).transpose()?;
    // Asked first: a typo should cost no wait.
    let passphrase = match arguments.encrypt || arguments.passphrase.is_given() {
        true => Some(arguments.passphrase.new_one(reporter).await?),
        false => None,
    };
    let mut links = connect::links(inventory, arguments.connecting.new_host_keys(), reporter)?;
    links.retain(|name, _| inventory.control_planes().any(|(plane, _)| plane == name));
    login::log_in(&links, reporter).await?;
    let file = match &arguments.file {
        Some(file) => file.clone(),
        None => backup::default_file(&loaded, passphrase.is_some() || backup::has_recipients(inventory))?,
    };
    let taken = backup::take(inventory, text, &links, &file).await?;
    let (written, safe) = match &passphrase {
        Some(passphrase) => (
            age::encrypt(age::Lock::Passphrase(passphrase, age::WORK), &taken.archive)?,
            "the file is encrypted: keep the passphrase in another \
            place",
        ),
        None => backup::sealed(inventory, &taken)?,
    };
    let backup::Taken { by, snapshot: taken, .. } = taken;
    let place = place.map_or_else(|| Destination::new_file(&file), Ok)?;
    place.write(&written, 0o600).with_context(|| format!("{} can't be written", file.display()))?;
    let (file, size) = (file.display(), size(taken.size));
    let line = format!("wrote {file} ({size}): etcd's data and the keys from {by}, {}; {safe}", taken.taken);
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
