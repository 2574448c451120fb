//! The stick that the installer was started from: the order, the image, and what is remembered of each machine.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use hostler_core::install::mark::Mark;
use hostler_core::install::order::{LONGEST, Order};
use nix::mount::{MsFlags, mount, umount};

use super::{disks, kernel, table};
use crate::os::stick::{FOLDER, MARKS, ORDER};

const MOUNTED: &str = "/medium";
/// Bytes: a reason with all disks of a machine.
const LONGEST_MARK: u64 = 1 << 16;

pub struct Medium {
    /// The kernel's name of the whole disk.
    pub disk: String,
    /// The device of its partition.
    device: String,
}

impl Medium {
    /// The partition with this GUID, if it is there already.
    pub fn find(guid: &str) -> Result<Option<Medium>> {
        for disk in disks::names()? {
            let Some(number) = table::partition_number(&disk, guid) else { continue };
            let device = table::partition_device(&disk, number);
            // The disk appears before its partitions do.
            if Path::new(&device).exists() {
                kernel::mount_new(&device, Path::new(MOUNTED), "vfat")?;
                let medium = Medium { disk, device };
                medium.read_only(true)?;
                return Ok(Some(medium));
            }
        }
        Ok(None)
    }

    /// The kernel removes its device when it is pulled.
    pub fn is_there(&self) -> bool {
        Path::new(&self.device).exists()
    }

    pub fn order(&self) -> Result<Order> {
        let file = Path::new(MOUNTED).join(FOLDER).join(ORDER);
        let bytes = bounded(&file, LONGEST as u64).context("the stick's order can't be read")?;
        Order::parse(&bytes).map_err(|why| anyhow!(why))
    }

    /// A file beside the order.
    pub fn file(&self, name: &str) -> Result<File> {
        let file = Path::new(MOUNTED).join(FOLDER).join(name);
        File::open(&file).with_context(|| format!("{name} on the stick can't be opened"))
    }

    fn mark_file(mac: &str) -> PathBuf {
        Path::new(MOUNTED).join(FOLDER).join(MARKS).join(mac.replace(':', "-"))
    }

    /// What is remembered of the machine with this MAC address, if anything.
    pub fn mark(&self, mac: &str) -> Result<Option<Vec<u8>>> {
        match bounded(&Medium::mark_file(mac), LONGEST_MARK) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("the stick's record of this machine can't be read"),
        }
    }

    /// Remembers it. When this returns, it is on the stick.
    pub fn set_mark(&self, mac: &str, mark: &Mark) -> Result<()> {
        self.read_only(false)?;
        let file = Medium::mark_file(mac);
        let part = file.with_extension("new");
        let written = (|| {
            fs::create_dir_all(file.parent().unwrap_or(Path::new(MOUNTED)))?;
            let mut new = File::create(&part)?;
            new.write_all(mark.to_json().as_bytes())?;
            new.sync_all()?;
            fs::rename(&part, &file)
        })();
        nix::unistd::sync();
        self.read_only(true)?;
        Ok(written?)
    }

    fn read_only(&self, read_only: bool) -> Result<()> {
        let flags = MsFlags::MS_REMOUNT | if read_only { MsFlags::MS_RDONLY } else { MsFlags::empty() };
        mount(None::<&str>, MOUNTED, None::<&str>, flags, None::<&str>).context("the stick can't be remounted")
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        // It may have been pulled.
        let _ = umount(MOUNTED);
    }
}

fn bounded(file: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(std::io::Error::other("it is larger than expected")) } else { Ok(bytes) }
}
