//! A snapshot of the cluster: taken by the first control plane that can, checked here, and kept in one piece.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hostler_core::bech32;
use hostler_core::facts::Snapshot;
use hostler_core::inventory::{Inventory, MachineName};
use hostler_core::quantity::size;
use hostler_core::template;
use hostler_core::visible::last_output;
use serde_json::json;

use crate::event::Event;
use crate::execute::Link;
use crate::execute::ask::{Otherwise, first};
use crate::inventory_file::InventoryFile;
use crate::lab::like;
use crate::report::Reporter;
use crate::snapshot::{self, age};
use crate::ssh::{Bounds, Exit};
use crate::user_file::Destination;

/// What a control plane sent.
pub struct Taken {
    pub by: MachineName,
    /// With the inventory in it.
    pub archive: Vec<u8>,
    /// What is in it; `archive` of this is `file`.
    pub snapshot: Snapshot,
}

/// Takes a snapshot that is to be `file`, which is not written.
///
/// # Errors
/// No control plane among `links` can take one, or what it sent is none.
pub async fn take(inventory: &Inventory, text: &str, links: &BTreeMap<MachineName, Arc<Link>>, file: &std::path::Path) -> Result<Taken> {
    let script = template::render("kubernetes/snapshot.sh", json!({}))? + &template::render("kubernetes/send-snapshot.sh", json!({}))?;
    let otherwise = Otherwise {
        message: "no control plane could take a snapshot",
        hint: "run `hostler status` to see whether there is a cluster and what is wrong with it",
    };
    let (by, archive) = first(inventory, links, otherwise, async |link| from(link, &script).await).await?;
    let archive = snapshot::with(&archive, "inventory.yaml", text.as_bytes()).with_context(|| by.to_string())?;
    let snapshot = snapshot::parse(file, &archive).with_context(|| by.to_string())?;
    Ok(Taken { by, archive, snapshot })
}

/// Whether snapshots are encrypted to the public keys of the inventory.
pub fn has_recipients(inventory: &Inventory) -> bool {
    !inventory.snapshots.recipients.is_empty()
}

/// What to write of a snapshot: encrypted, if the inventory has recipients; and how safe that is.
///
/// # Errors
/// No random numbers, or a public key that is not valid.
pub fn sealed(inventory: &Inventory, taken: &Taken) -> Result<(Vec<u8>, &'static str)> {
    if !has_recipients(inventory) {
        return Ok((taken.archive.clone(), "the file is not encrypted: keep it safe"));
    }
    let recipients = inventory.snapshots.recipients.iter();
    let keys: Vec<age::Key> =
        recipients.map(|text| bech32::key(bech32::RECIPIENT, text).context("a recipient is not valid")).collect::<Result<_>>()?;
    let sealed = age::encrypt(age::Lock::Recipients(&keys), &taken.archive)?;
    Ok((sealed, "the file is encrypted to the recipients in the inventory: without one of their secret keys, no one can open it"))
}

/// The archive, as the machine made it.
async fn from(link: &Link, script: &str) -> Result<Vec<u8>, String> {
    let session = link.session().await.map_err(|error| error.to_string())?;
    let (mut text, mut errors) = (String::new(), String::new());
    match session.read(Bounds::SNAPSHOT, script, &mut text, &mut errors).await {
        Ok(Exit::Status(0)) => {
            text.retain(|character| !character.is_ascii_whitespace());
            BASE64_STANDARD.decode(text).map_err(|_| "the snapshot was corrupted in transit".to_owned())
        }
        Ok(_) => Err(last_output(&errors)),
        Err(error) => Err(error.to_string()),
    }
}

/// The default file of a snapshot that is taken now.
///
/// # Errors
/// The user has no home.
pub fn default_file(file: &InventoryFile, encrypted: bool) -> Result<PathBuf> {
    Ok(like::snapshots(file)?.join(snapshot::file_name(&file.inventory.cluster.name, jiff::Timestamp::now(), encrypted)))
}

/// Takes one before an upgrade, into the default folder.
///
/// # Errors
/// As [`take`]; a file that can't be written.
pub(super) async fn before_upgrade(file: &InventoryFile, links: &BTreeMap<MachineName, Arc<Link>>, reporter: &Reporter) -> Result<()> {
    let place = default_file(file, has_recipients(&file.inventory))?;
    reporter.events().send(Event::Note { line: "taking a snapshot before the upgrade".to_owned() });
    let taken = take(&file.inventory, &file.text, links, &place).await?;
    let (written, safe) = sealed(&file.inventory, &taken)?;
    Destination::new_file(&place)?.write(&written, 0o600).with_context(|| format!("{} can't be written", place.display()))?;
    let line = format!("wrote {} ({}): etcd's data and the keys from {}; {safe}", place.display(), size(taken.snapshot.size), taken.by);
    reporter.events().send(Event::Note { line });
    Ok(())
}
