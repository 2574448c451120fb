//! The newest regular snapshot comes to this computer with every run: on its machine it would be lost with it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hostler_core::facts::{Facts, Observation};
use hostler_core::inventory::MachineName;
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
    let Some(every) = inventory.snapshots.every else { return };
    // One that claims to have the newest, and does not send it, does not keep the others' from coming.
    for (machine, facts) in newest_first(&trusted) {
        let Some(link) = links.get(machine) else { continue };
        let copied = tokio::time::timeout(LIMIT, copy(file, every, trusted.ca(), facts, link)).await;
        match copied.unwrap_or_else(|_| Err(anyhow::anyhow!("copying took longer than {} min", LIMIT.as_secs() / 60))) {
            Ok(Some(line)) => {
                return events.send(Event::Note { line: format!("copied the newest snapshot from {machine}: {line}") });
            }
            Ok(None) => {}
            Err(error) => {
                let line = format!("{machine}: the newest snapshot was not copied to this computer: {error:#}");
                events.send(Event::Warning { line });
            }
        }
    }
}

/// The control planes with regular snapshots, that with the newest first.
fn newest_first<'a>(trusted: &Trusted<'a>) -> Vec<(&'a MachineName, &'a Facts)> {
    let mut with_one: Vec<_> = trusted.holders().filter(|(_, facts)| facts.snapshot.is_some_and(|taken| taken <= facts.clock)).collect();
    with_one.sort_by_key(|(_, facts)| std::cmp::Reverse(facts.snapshot));
    with_one
}

/// Says what was copied; `None`: this computer has it.
async fn copy(source: &InventoryFile, every: Duration, ca: Option<&str>, facts: &Facts, link: &Link) -> Result<Option<String>> {
    let InventoryFile { inventory, text, .. } = source;
    let cluster = &inventory.cluster.name;
    let folder = like::snapshots(source)?.join(snapshot::REGULAR);
    let known = snapshot::newest_in(&folder, cluster);
    let Some(written) =
        facts.snapshot.and_then(|written| u64::try_from(written).ok()).map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds))
    else {
        return Ok(None);
    };
    // A copy has the time of what it is of; of a time to come nothing can be.
    let written = written.min(SystemTime::now());
    if known.as_deref().is_some_and(|file| std::fs::metadata(file).and_then(|found| found.modified()).is_ok_and(|time| time >= written)) {
        return Ok(None);
    }
    let now = jiff::Timestamp::now().as_second();
    let copies = snapshot::copied(&folder, cluster)?;
    if !snapshot::may_come(&copies, now, every.as_secs().cast_signed()) {
        return Ok(None);
    }
    let known = known.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let words = json!({ "to": inventory.snapshots.folder(), "cluster": cluster, "known": known });
    let said = read(link, &template::render("kubernetes/send-newest-snapshot.sh", words)?).await?;
    let Some((name, content)) = parsed(&said)? else { return Ok(None) };
    let file = folder.join(name);
    let taken = snapshot::taken(Path::new(name), cluster).with_context(|| format!("`{}` is not a valid snapshot name", visible(name)))?;
    ensure!(snapshot::is_new(&copies, taken, now), "`{name}` is older than the copies on this computer, or dated in the future");
    let is_sealed = !inventory.snapshots.recipients.is_empty();
    let (content, how) = verified(content, Expected { file: &file, is_sealed, inventory: text, ca })?;
    Destination::new_file(&file)?.write(&content, 0o600).with_context(|| format!("{} can't be written", file.display()))?;
    File::options().write(true).open(&file).and_then(|copy| copy.set_modified(written)).with_context(|| file.display().to_string())?;
    snapshot::prune(&folder, cluster, inventory.snapshots.keep as usize)?;
    Ok(Some(format!("{} ({}, {how})", file.display(), size(content.len() as u64))))
}

/// What a control plane's snapshot must be.
struct Expected<'a> {
    file: &'a Path,
    /// Whether the inventory has keys to encrypt it to.
    is_sealed: bool,
    /// The text to add to it.
    inventory: &'a str,
    ca: Option<&'a str>,
}

/// What is to be written, and what it is. Nobody can look into an encrypted one, so it comes only where the inventory wants that.
fn verified(content: Vec<u8>, expected: Expected<'_>) -> Result<(Vec<u8>, &'static str)> {
    let Expected { file, is_sealed, inventory, ca } = expected;
    let is_encrypted = age::needs(&content).is_some();
    ensure!(is_encrypted == file.extension().is_some_and(|end| end == "age"), "its name does not match whether it is encrypted");
    match (is_encrypted, is_sealed) {
        (true, true) => Ok((content, "encrypted")),
        (true, false) => bail!("it is encrypted, although the inventory has no `snapshots.recipients`"),
        (false, true) => bail!("it is not encrypted: the next one is encrypted to `snapshots.recipients`"),
        (false, false) => {
            let whole = snapshot::with(&content, "inventory.yaml", inventory.as_bytes())?;
            let found = snapshot::parse(file, &whole).context("it is not valid")?;
            ensure!(ca.is_none_or(|ca| ca == found.ca), "it belongs to a different cluster");
            Ok((whole, "not encrypted: keep it safe"))
        }
    }
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
    use std::path::Path;

    use super::{Expected, parsed, verified};

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
    /// What can't be verified is never kept, unless the inventory says that it is encrypted.
    #[test]
    fn only_what_the_inventory_wants_comes_and_garbage_does_not() {
        let sealed = b"age-encryption.org/v1\n-> X25519 AAAA\n".as_slice();
        let kept = |content: &[u8], name: &str, is_sealed| {
            let expected = Expected { file: Path::new(name), is_sealed, inventory: "", ca: None };
            verified(content.to_vec(), expected).map(|(_, how)| how).map_err(|error| format!("{error:#}"))
        };
        let (plain, age) = ("home-20260301T120000Z.tar.gz", "home-20260301T120000Z.tar.gz.age");
        assert_eq!(kept(sealed, age, true), Ok("encrypted"));
        for (content, name, is_sealed) in [
            (sealed, age, false),
            (sealed, plain, true),
            (sealed, plain, false),
            (b"garbage", age, true),
            (b"garbage", plain, true),
            (b"garbage", plain, false),
            (b"", plain, false),
        ] {
            kept(content, name, is_sealed).expect_err(&format!("{name} {is_sealed}"));
        }
    }
}
