//! Arguments that several verbs share.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::{Inventory, MachineName};
use hostler_core::visible::visible;
use hostler_core::words;

use crate::apply::Means;
use crate::artifact::{Bundle, Missing};
use crate::inventory_file::InventoryFile;
use crate::lab;
use crate::ssh::NewHostKeys;

/// Hint for a `--yes-...` flag that names another cluster.
pub const OTHER_CLUSTER: &str = "pass the name of the cluster you mean, or its inventory with `-i`";

/// The inventory, where none is named.
pub const INVENTORY: &str = "inventory.yaml";

/// Whether a verb to which no inventory is named finds this one.
pub fn is_found_by_itself(file: &Path) -> bool {
    let real = |file: &Path| file.canonicalize().ok();
    file == Path::new(INVENTORY) || real(file).is_some_and(|file| real(Path::new(INVENTORY)) == Some(file))
}

#[derive(Debug, Clone, Args)]
pub struct InventoryArgument {
    /// Path of the inventory file
    #[arg(long, short, value_name = "FILE", default_value = INVENTORY)]
    inventory: PathBuf,
}

impl InventoryArgument {
    pub fn of(inventory: PathBuf) -> InventoryArgument {
        InventoryArgument { inventory }
    }

    /// # Errors
    /// As [`InventoryFile::load`].
    pub fn load(&self) -> Result<InventoryFile> {
        if lab::is_inventory(&self.inventory) && !self.inventory.exists() {
            let message = format!("the inventory {} belongs to a lab that is not up", self.inventory.display());
            return Err(Failure::new(ExitStatus::Usage, message, "run `hostler lab up`, or pass another inventory with `-i FILE`").into());
        }
        InventoryFile::load(&self.inventory)
    }
}

#[derive(Debug, Clone, Default, Args)]
pub struct Connecting {
    /// Accept host keys that are not in known_hosts yet, and add them
    #[arg(long)]
    accept_new_host_keys: bool,
}

impl Connecting {
    pub fn new_host_keys(&self) -> NewHostKeys {
        if self.accept_new_host_keys { NewHostKeys::Accept } else { NewHostKeys::Ask }
    }
}

/// Arguments of every verb that makes a plan.
#[derive(Debug, Clone, Args)]
pub struct Planning {
    #[command(flatten)]
    pub inventory: InventoryArgument,
    /// Folder created by `hostler bundle create`; repeat for each architecture [default: the one in the cache; `up` and other commands that install programs fetch a missing one]
    #[arg(long = "bundle", value_name = "FOLDER", value_parser = bundle)]
    pub bundles: Vec<PathBuf>,
    #[command(flatten)]
    pub connecting: Connecting,
}

/// A folder that has a bundle's manifest: looked at before any machine is.
fn bundle(text: &str) -> Result<PathBuf, String> {
    let folder = PathBuf::from(text);
    match Bundle::open(&folder) {
        Ok(_) => Ok(folder),
        Err(error) => Err(visible(error.to_string().lines().next().unwrap_or_default()).into_owned()),
    }
}

impl Planning {
    pub fn means(&self) -> Means {
        Means { bundles: self.bundles.clone(), missing: Missing::Fetch, new_host_keys: self.connecting.new_host_keys() }
    }
}

/// The machine of this name.
///
/// # Errors
/// The inventory has no machine of that name.
pub fn machine_named(inventory: &Inventory, given: &str) -> Result<MachineName> {
    if let Some((name, _)) = inventory.machines.get_key_value(given) {
        return Ok(name.clone());
    }
    let known: Vec<&str> = inventory.machines.keys().map(MachineName::as_str).collect();
    let hint = match words::nearest(given, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("the inventory has the machines {}", known.join(", ")),
    };
    Err(Failure::new(ExitStatus::Usage, format!("the inventory has no machine `{given}`"), hint).into())
}

#[cfg(test)]
mod tests {
    use hostler_core::inventory::parse;

    use super::machine_named;

    #[test]
    fn only_a_similar_name_is_suggested() {
        let inventory = parse("machines:\n  one: 10.0.0.1\n  two: 10.0.0.2\n  rainbowdash: 10.0.0.3\n", "inventory.yaml").unwrap();
        let error = |given: &str| format!("{:#}", machine_named(&inventory, given).unwrap_err());
        assert_eq!(machine_named(&inventory, "two").unwrap().as_str(), "two");
        assert!(error("rainbow-dash").contains("did you mean `rainbowdash`?"));
        let three = error("three");
        assert!(!three.contains("did you mean") && three.contains("one, two, rainbowdash"), "{three}");
    }
}
