//! The verbs: a file each.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::inventory::{Inventory, MachineName};
use crate::report::{ExitStatus, Failure};

pub mod add;
pub mod bundle;
pub mod connect;
pub mod host_keys;
pub mod init;
pub mod kubeconfig;
pub mod lab;
pub mod login;
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
