//! The newest regular snapshot comes to this computer with every run: on its machine it would be lost with it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hostler_core::facts::{Facts, Observation};
use hostler_core::inventory::{Inventory, MachineName};
use hostler_core::quantity::size;
use hostler_core::template;
use hostler_core::trusted::{Trusted, trusted_of};
use hostler_core::visible::{last_output, visible};
use serde_json::json;

use crate::event::{Event, Events};
use crate::execute::Link;
use crate::inventory_file::InventoryFile;
use crate::lab::like;
use crate::snapshot::{self, age};
use crate::ssh::{Bounds, Exit};
use crate::user_file::Destination;

/// A run does not wait longer for it.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// Copies the newest regular snapshot to this computer, if a control plane has a newer one. What fails is a warning: the run is about
/// something else.
pub async fn fetch(
    file: &InventoryFile,
    seen: &BTreeMap<MachineName, Observation>,
    links: &BTreeMap<MachineName, Arc<Link>>,
    events: &Events,
) {
    let inventory = &file.inventory;
    let trusted = trusted_of(inventory, seen);
    let Some((machine, facts)) = newest(inventory, &trusted) else { return };
    let Some(link) = links.get(machine) else { return };
    let copied = tokio::time::timeout(LIMIT, copy(file, trusted.ca(), facts, link)).await;
    let result = copied.unwrap_or_else(|_| Err(anyhow::anyhow!("copying took longer than {} min", LIMIT.as_secs() / 60)));
    match result {
        Ok(Some(line)) => events.send(Event::Note { line: format!("copied the newest snapshot from {machine}: {line}") }),
        Ok(None) => {}
        Err(error) => {
            let line = format!("{machine}: the newest snapshot was not copied to this computer: {error:#}");
            events.send(Event::Warning { line });
        }
    }
}

/// The control plane with the newest regular snapshot.
fn newest<'a>(inventory: &Inventory, trusted: &Trusted<'a>) -> Option<(&'a MachineName, &'a Facts)> {
    inventory.snapshots.every?;
    let with_one = trusted.holders().filter(|(_, facts)| facts.snapshot.is_some_and(|taken| taken <= facts.clock));
    with_one.max_by_key(|(_, facts)| facts.snapshot)
}

/// Says what was copied; `None`: this computer has it.
async fn copy(source: &InventoryFile, ca: Option<&str>, facts: &Facts, link: &Link) -> Result<Option<String>> {
    let InventoryFile { inventory, text, .. } = source;
    let cluster = &inventory.cluster.name;
    let folder = like::snapshots(source)?.join(snapshot::REGULAR);
    let known = snapshot::newest_in(&folder, cluster);
    let Some(written) =
        facts.snapshot.and_then(|written| u64::try_from(written).ok()).map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds))
    else {
        return Ok(None);
    };
    // A copy has the time of what it is of.
    if known.as_deref().is_some_and(|file| std::fs::metadata(file).and_then(|found| found.modified()).is_ok_and(|time| time == written)) {
        return Ok(None);
    }
    let known = known.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let words = json!({ "to": inventory.snapshots.folder(), "cluster": cluster, "known": known });
    let said = read(link, &template::render("kubernetes/send-newest-snapshot.sh", words)?).await?;
    let Some((name, content)) = parsed(&said)? else { return Ok(None) };
    let file = folder.join(name);
    let taken = snapshot::taken(Path::new(name), cluster).with_context(|| format!("`{}` is not a valid snapshot name", visible(name)))?;
    ensure!(taken <= jiff::Timestamp::now().as_second() + 3600, "`{name}` is dated in the future");
    let (content, how) = match age::needs(&content) {
        Some(_) => (content, "encrypted"),
        None => {
            ensure!(!name.ends_with(".age"), "{name} is not encrypted");
            let whole = snapshot::with(&content, "inventory.yaml", text.as_bytes())?;
            let found = snapshot::parse(&file, &whole).context("it is not valid")?;
            ensure!(ca.is_none_or(|ca| ca == found.ca), "it belongs to a different cluster");
            (whole, "not encrypted: keep it safe")
        }
    };
    Destination::new_file(&file)?.write(&content, 0o600).with_context(|| format!("{} can't be written", file.display()))?;
    File::options().write(true).open(&file).and_then(|copy| copy.set_modified(written)).with_context(|| file.display().to_string())?;
    snapshot::prune(&folder, cluster, inventory.snapshots.keep as usize)?;
    Ok(Some(format!("{} ({}, {how})", file.display(), size(content.len() as u64))))
}

/// The name, and what is in it.
fn parsed(said: &str) -> Result<Option<(&str, Vec<u8>)>> {
    let Some((name, text)) = said.split_once('\n') else { return Ok(None) };
    // It becomes a name in a folder of this computer.
    ensure!(Path::new(name).file_name().is_some_and(|file| file == name), "`{}` is not a valid file name", visible(name));
    let text: String = text.chars().filter(|character| !character.is_ascii_whitespace()).collect();
    let content = BASE64_STANDARD.decode(text).ok().context("it was corrupted in transit")?;
    Ok(Some((name, content)))
}

async fn read(link: &Link, script: &str) -> Result<String> {
    let session = link.session().await?;
    let (mut text, mut errors) = (String::new(), String::new());
    match session.read(Bounds::SNAPSHOT, script, &mut text, &mut errors).await? {
        Exit::Status(0) => Ok(text),
        _ => bail!("{}", last_output(&errors)),
    }
}

#[cfg(test)]
mod tests {
    use super::parsed;

    #[test]
    fn a_machine_without_a_newer_one_says_nothing_and_half_a_one_is_rejected() {
        assert_eq!(parsed("").unwrap(), None);
        assert_eq!(parsed("home-20260301T120000Z.tar.gz\naGFs\nZg==\n").unwrap(), Some(("home-20260301T120000Z.tar.gz", b"half".to_vec())));
        parsed("home-20260301T120000Z.tar.gz\naGFsZ").unwrap_err();
    }

    /// A control plane names the snapshot, and must not choose the folder with it.
    #[test]
    fn a_snapshot_s_name_is_no_path() {
        for name in
            ["/etc/home-20260301T120000Z.tar.gz", "../home-20260301T120000Z.tar.gz", "a/home-20260301T120000Z.tar.gz", "..", ".", ""]
        {
            parsed(&format!("{name}\naGFsZg==\n")).expect_err(name);
        }
    }
}
