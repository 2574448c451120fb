//! Renews a person's certificate in the kubeconfigs of this computer, whatever the verb, as long as the cluster can be asked: who looks at it twice
//! a year would else be locked out. Nothing but the certificate and its key changes, and who has no access any more is not given it again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use hostler_core::facts::Observation;
use hostler_core::inventory::MachineName;
use hostler_core::trusted::trusted_of;

use super::person::Person;
use super::{Access, default_file, fetch, lock, text_of, users_file};
use crate::event::{Event, Events};
use crate::execute::Link;
use crate::home;
use crate::inventory_file::InventoryFile;
use crate::lab::like;
use crate::user_file::Destination;

/// A run does not wait longer for it.
const LIMIT: Duration = Duration::from_secs(60);

/// Renews what is due, if an API server answers. What fails is a warning: the run is about something else.
pub async fn renew(
    file: &InventoryFile,
    seen: &BTreeMap<MachineName, Observation>,
    links: &BTreeMap<MachineName, Arc<Link>>,
    events: &Events,
) {
    if trusted_of(&file.inventory, seen).answering().next().is_none() {
        return;
    }
    for place in places(file) {
        let renewed = tokio::time::timeout(LIMIT, renew_in(file, &place, links)).await;
        match renewed.unwrap_or_else(|_| Err(anyhow!("this took longer than {} s", LIMIT.as_secs()))) {
            Ok(true) => events.send(Event::Note { line: format!("renewed your certificate in {}", place.display()) }),
            Ok(false) => {}
            Err(error) => {
                let why = format!("{error:#}").lines().collect::<Vec<_>>().join("; ");
                events.send(Event::Warning { line: format!("your certificate in {} was not renewed: {why}", place.display()) });
            }
        }
    }
}

/// The kubeconfig that `up` writes, and the one that kubectl uses, which may have the cluster merged in. The lab that is like another cluster
/// has that one's name and authority, and is not to write to kubectl's.
fn places(file: &InventoryFile) -> Vec<PathBuf> {
    let own = default_file(file, &file.inventory.cluster.name).ok();
    let variable = std::env::var("KUBECONFIG").ok();
    let kubectls = home::home().ok().filter(|_| like::folder_of(file).is_none()).map(|home| users_file(variable.as_deref(), &home));
    let mut places: Vec<PathBuf> = own.into_iter().chain(kubectls).filter(|place| place.is_file()).collect();
    places.dedup();
    places
}

/// Whether something was renewed.
async fn renew_in(file: &InventoryFile, place: &Path, links: &BTreeMap<MachineName, Arc<Link>>) -> Result<bool> {
    let name = file.inventory.cluster.name.as_str();
    let now = jiff::Timestamp::now().as_second();
    let Some(due) = Access::due(&text_of(place), name, now) else { return Ok(false) };
    let Some(identity) = fetch::renewed(&file.inventory, links, &due).await? else { return Ok(false) };
    let _lock = lock::Lock::take(place)?;
    let text = text_of(place);
    // Someone else may have renewed it meanwhile.
    if Access::due(&text, name, now).as_ref() != Some(&due) {
        return Ok(false);
    }
    let place = Destination::of(place)?;
    place.may_hold_a_secret()?;
    place.write(identity.replaced_in(&text, name)?.as_bytes(), 0o600)?;
    Ok(true)
}

/// A certificate in a kubeconfig that ends soon, or has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub person: Person,
    /// The cluster's authority, PEM in base64.
    pub ca: String,
}
