//! What `rebuild --os` sends to a machine: the installer with the image as its medium, which is memory.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result};
use hostler_core::action::reinstall::SentFile;
use hostler_core::digest::hex;
use hostler_core::inventory::Os;
use hostler_core::plan::reinstall::Installation;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::image::{self, SYSTEM};
use super::{initrd, order};
use crate::event::Events;
use crate::workstation::task::task;

/// An installation, and the folder with its files, which goes with it.
pub struct Prepared {
    pub installation: Installation,
    _folder: TempDir,
}

/// Builds the image if there is none, and writes the installer into a folder of its own in the cache. `user`, `host_keys`: as of [`Installation`].
///
/// # Errors
/// The image can't be built, or the cache can't be written to.
pub async fn prepare(os: &Os, user: String, host_keys: BTreeSet<String>, events: &Events) -> Result<Prepared> {
    let image = image::ready(&os.release, events).await?;
    let folder = tempfile::tempdir_in(&image.folder).context("a temporary folder can't be created in the cache")?;
    let file = folder.path().join("initrd");
    let (kernel, installer) = task(events, "os", "prepare the installer", async |_| {
        initrd::write_with(&image.folder, &[SYSTEM], &file)?;
        Ok((sent(&image.folder.join("vmlinuz"))?, sent(&file)?))
    })
    .await?;
    let installation = Installation { id: order::new_id()?, image: (&image).into(), kernel, installer, user, host_keys };
    Ok(Prepared { installation, _folder: folder })
}

fn sent(file: &Path) -> Result<SentFile> {
    let mut from = BufReader::new(File::open(file).with_context(|| format!("{} can't be opened", file.display()))?);
    let (mut hash, mut size, mut piece) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        match from.read(&mut piece).with_context(|| format!("{} can't be read", file.display()))? {
            0 => break,
            read => {
                hash.update(&piece[..read]);
                size += read as u64;
            }
        }
    }
    Ok(SentFile { path: file.to_owned(), size, sha256: hex(&hash.finalize()) })
}
