//! The verbs: a file each.

use std::io::Write;
use std::path::Path;
use std::pin::Pin;

use anyhow::{Context, Result};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::{Inventory, MachineName};
use hostler_core::plan::Plan;

use crate::cli::Command;
use crate::report::Reporter;

pub mod add;
pub mod bundle;
pub mod connect;
pub mod fragments;
pub mod host_keys;
pub mod init;
pub mod kubeconfig;
pub mod lab;
pub mod login;
mod passphrase;
pub mod probe;
pub mod rebuild;
pub mod remove;
pub mod render;
pub mod reset;
pub mod rounds;
pub mod schema;
pub mod snapshot;
pub mod status;
mod take_over;
pub mod transcode;
pub mod up;
mod workload;

/// How a command ended: the exit status, and what was carried out where the closing table is to tell of it.
pub type Ended = Result<(u8, Option<Plan>)>;

/// Carries a command out.
///
/// Boxed here, so that the verbs are compiled once, with the library, and not again with each program that runs them.
///
/// # Errors
/// Those of the verb.
pub fn run(command: Command, json: bool, reporter: &Reporter) -> Pin<Box<dyn Future<Output = Ended> + '_>> {
    let carried_out = |(status, plan): (ExitStatus, Plan)| (status as u8, Some(plan));
    let shown = |()| (0, None);
    Box::pin(async move {
        match command {
            Command::Up(arguments) => up::up(&arguments, false, reporter).await.map(carried_out),
            Command::Add(arguments) => add::run(&arguments, reporter).await.map(carried_out),
            Command::Rebuild(arguments) => rebuild::run(&arguments, reporter).await.map(carried_out),
            Command::Remove(arguments) => remove::run(&arguments, reporter).await.map(carried_out),
            Command::Reset(arguments) => reset::run(&arguments, reporter).await.map(carried_out),
            Command::Plan(arguments) => up::show(&arguments, json, reporter).await.map(|status| (status as u8, None)),
            Command::Status(arguments) => status::run(&arguments, json, reporter).await.map(|status| (status as u8, None)),
            Command::Init(arguments) => init::run(&arguments, reporter).await.map(shown),
            Command::Render(arguments) => render::run(&arguments, reporter).await.map(shown),
            Command::Schema => schema::run(reporter).await.map(shown),
            Command::Kubeconfig(arguments) => kubeconfig::run(&arguments, reporter).await.map(shown),
            Command::Snapshot(arguments) => snapshot::run(&arguments, reporter).await.map(shown),
            Command::Bundle(verb) => bundle::run(&verb, json, reporter).await.map(shown),
            Command::Probe(arguments) => match probe::run(arguments).await? {},
            Command::Transcode(arguments) => transcode::run(arguments, json).await.map(|status| (status, None)),
            Command::Lab(arguments) => lab::run(arguments, reporter).await,
        }
    })
}

/// The machine of the inventory that was meant.
fn known(inventory: &Inventory, said: &str) -> Result<MachineName> {
    if let Some((name, _)) = inventory.machines.get_key_value(said) {
        return Ok(name.clone());
    }
    let nearest = inventory.machines.keys().max_by(|a, b| strsim::jaro(a.as_str(), said).total_cmp(&strsim::jaro(b.as_str(), said)));
    let hint = nearest.map(|name| format!("did you mean `{name}`?")).unwrap_or_default();
    Err(Failure::new(ExitStatus::Usage, format!("the inventory has no machine `{said}`"), hint).into())
}

/// Puts a changed inventory in the old one's place, whole or not at all.
fn write_inventory(file: &Path, text: &str) -> Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder).with_context(|| format!("{} can't be written to", folder.display()))?;
    new.write_all(text.as_bytes())?;
    new.as_file().sync_all()?;
    if let Ok(old) = std::fs::metadata(file) {
        new.as_file().set_permissions(old.permissions())?;
    }
    new.persist(file).with_context(|| format!("{} can't be replaced", file.display()))?;
    Ok(())
}
