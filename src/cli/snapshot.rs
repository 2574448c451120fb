//! `hostler snapshot`: what `hostler rebuild --from` brings the only control plane back from.

use std::path::PathBuf;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::quantity::size;
use hostler_core::template;
use serde_json::json;

use super::arguments::{Connecting, InventoryArgument};
use super::passphrase::PassphraseFile;
use crate::connect::{self, login};
use crate::execute::Link;
use crate::inventory_file::InventoryFile;
use crate::report::Reporter;
use crate::snapshot::{self, age};
use crate::ssh::Exit;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Where to write it [default: ~/.local/share/hostler/snapshots/CLUSTER-TIME.tar.gz, and .age where it is encrypted]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Encrypt it by a passphrase, as `age --passphrase` does
    #[arg(long)]
    encrypt: bool,
    #[command(flatten)]
    passphrase: PassphraseFile,
    #[command(flatten)]
    inventory: InventoryArgument,
    #[command(flatten)]
    connecting: Connecting,
}

/// # Errors
/// No control plane can make one, what arrives is not whole, or the file can't be written.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<()> {
    let InventoryFile { inventory, text, .. } = arguments.inventory.load()?;
    // Asked first: a typo should cost no wait.
    let passphrase = match arguments.encrypt || arguments.passphrase.is_given() {
        true => Some(arguments.passphrase.new_one(reporter).await?),
        false => None,
    };
    let mut links = connect::links(&inventory, arguments.connecting.new_host_keys(), reporter)?;
    links.retain(|name, _| inventory.control_planes().any(|(plane, _)| plane == name));
    login::log_in(&links, reporter).await?;
    let script = template::render("kubernetes/snapshot.sh", json!({}))? + &template::render("kubernetes/send-snapshot.sh", json!({}))?;
    let mut reasons = Vec::new();
    for (machine, _) in inventory.control_planes() {
        let Some(link) = links.get(machine) else { continue };
        match take(link, &script).await {
            Ok(archive) => {
                let archive = snapshot::with(&archive, "inventory.yaml", text.as_bytes()).with_context(|| machine.to_string())?;
                let file = match &arguments.file {
                    Some(file) => file.clone(),
                    None => snapshot::default_folder()?.join(snapshot::file_name(
                        &inventory.cluster.name,
                        jiff::Timestamp::now(),
                        passphrase.is_some(),
                    )),
                };
                let taken = snapshot::parse(&file, &archive).with_context(|| machine.to_string())?;
                let (written, safe) = match &passphrase {
                    Some(passphrase) => (age::encrypt(passphrase, age::WORK, &archive)?, "encrypted: keep the passphrase elsewhere"),
                    None => (archive, "keep it safe"),
                };
                snapshot::write(&file, &written)?;
                let (file, size) = (file.display(), size(taken.size));
                reporter.result(&format!("{file} ({size}) holds {machine} as of {}, its keys too: {safe}", taken.taken)).await;
                return Ok(());
            }
            Err(reason) => reasons.push(format!("{machine}: {reason}")),
        }
    }
    let message = format!("no control plane gives a snapshot:\n{}", reasons.join("\n"));
    Err(Failure::new(ExitStatus::Failed, message, "`hostler plan` tells whether there is a cluster, and what is wrong with it").into())
}

/// The archive as the machine made it.
async fn take(link: &Link, script: &str) -> Result<Vec<u8>, String> {
    let session = link.session().await.map_err(|error| error.to_string())?;
    let (mut text, mut said) = (String::new(), String::new());
    match session.read(script, &mut text, &mut said).await {
        Ok(Exit::Status(0)) => {
            text.retain(|character| !character.is_ascii_whitespace());
            BASE64_STANDARD.decode(text).map_err(|_| "what arrived is garbled".to_owned())
        }
        Ok(_) => Err(said.trim().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
