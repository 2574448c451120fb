//! What `rebuild --os` and `remove --erase` send to a machine: the installer, whose medium is memory, with or without the image.

use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result};
use hostler_core::action::reinstall::{Loaders, SentFile};
use hostler_core::digest::hex;
use hostler_core::install::order;
use hostler_core::inventory::Release;
use hostler_core::plan::system_disk::Installer;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::image::{self, SYSTEM};
use super::initrd;
use super::order::new_id;
use crate::event::Events;
use crate::user_file;
use crate::workstation::task::task;

/// The installer, and the folder with its files, which goes with it.
pub struct Prepared {
    pub installer: Installer,
    pub image: order::Image,
    /// The day on which the image was built.
    pub built: String,
    _image: image::Image,
    _folder: TempDir,
}

/// Builds the image of the release if there is none, and writes the installer into a folder of its own in the cache. `installs`: with the image.
///
/// # Errors
/// The image can't be built, or the cache can't be written to.
pub async fn prepare(release: Release, installs: bool, events: &Events) -> Result<Prepared> {
    let image = image::ready(release, events).await?;
    if installs {
        image.warn_of_age(release, events);
    }
    let folder = tempfile::tempdir_in(&image.folder).context("a temporary folder can't be created in the cache")?;
    let file = folder.path().join("initrd");
    let files: &[&str] = if installs { &[SYSTEM] } else { &[] };
    let known = order::Image::from(&image);
    let id = new_id(&known)?;
    let installer = task(events, "os", "prepare the installer", async |_| {
        initrd::write_with(&image.folder, files, &file)?;
        let own = |name: &str| sent(&image.folder.join(name));
        let loaders = Loaders { shim: own("shim.efi")?, grub: own("grub-cd.efi")?, mok: own("mm.efi")? };
        Ok(Installer { id, kernel: own("vmlinuz")?, initrd: sent(&file)?, loaders })
    })
    .await?;
    Ok(Prepared { installer, image: known, built: image.date(), _image: image, _folder: folder })
}

fn sent(file: &Path) -> Result<SentFile> {
    let mut from = BufReader::new(user_file::regular(file).with_context(|| format!("{} can't be opened", file.display()))?);
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
