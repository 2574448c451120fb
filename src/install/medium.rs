//! Where the installer finds the order and the image: on the stick that it was started from, with what is remembered of each machine; or in memory,
//! where a running system put them. That forgets, so its order is followed once.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use hostler_core::install::erasure::Erasure;
use hostler_core::install::mark::Mark;
use hostler_core::install::order::{LONGEST, Order};
use hostler_core::protocol::installer;
use nix::mount::{MsFlags, mount, umount};

use super::{disks, kernel, table};
use crate::os::stick::{FOLDER, MARKS};

const MOUNTED: &str = "/medium";
/// Bytes: a reason with all disks of a machine.
const LONGEST_MARK: u64 = 1 << 16;

pub struct Medium {
    /// What [the names](installer) of its files are below.
    root: PathBuf,
    /// `None`: it is memory.
    stick: Option<Stick>,
}

struct Stick {
    /// The kernel's name of the whole disk.
    disk: String,
    /// The device of its partition.
    device: String,
}

impl Medium {
    /// The medium that the kernel's parameter says, if it is there already: memory, or the partition with a GUID.
    pub fn find(parameter: &str) -> Result<Option<Medium>> {
        if parameter == installer::MEMORY {
            return Ok(Some(Medium { root: PathBuf::from("/"), stick: None }));
        }
        let Some(guid) = parameter.strip_prefix(installer::MEDIUM) else { return Ok(None) };
        for disk in disks::names()? {
            let Some(number) = table::partition_number(&disk, guid) else { continue };
            let device = table::partition_device(&disk, number);
            // The disk appears before its partitions do.
            if Path::new(&device).exists() {
                kernel::mount_new(&device, Path::new(MOUNTED), "vfat")?;
                let medium = Medium { root: PathBuf::from(MOUNTED), stick: Some(Stick { disk, device }) };
                medium.read_only(true)?;
                return Ok(Some(medium));
            }
        }
        Ok(None)
    }

    pub fn is_stick(&self) -> bool {
        self.stick.is_some()
    }

    /// The kernel's name of the whole disk that it is on; empty if it is memory.
    pub fn disk(&self) -> &str {
        self.stick.as_ref().map_or("", |stick| &stick.disk)
    }

    /// What makes another attempt.
    pub fn again(&self) -> &'static str {
        if self.is_stick() { "make the stick again" } else { "run `hostler rebuild` with `--os` again" }
    }

    /// The kernel removes a stick's device when it is pulled.
    pub fn is_plugged_in(&self) -> bool {
        self.stick.as_ref().is_some_and(|stick| Path::new(&stick.device).exists())
    }

    /// The order to erase this machine's disk, if that is what the medium is for. No stick is.
    pub fn erasure(&self) -> Result<Option<Erasure>> {
        if self.is_stick() {
            return Ok(None);
        }
        match bounded(&self.root.join(installer::ERASURE), LONGEST as u64) {
            Ok(bytes) => Erasure::parse(&bytes).map(Some).map_err(|why| anyhow!(why)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("the erasure order can't be read"),
        }
    }

    pub fn order(&self) -> Result<Order> {
        let bytes = bounded(&self.root.join(installer::ORDER), LONGEST as u64).context("the installation order can't be read")?;
        let mut order = Order::parse(&bytes).map_err(|why| anyhow!(why))?;
        if !self.is_stick() {
            let key = bounded(&self.root.join(installer::HOST_KEY), LONGEST as u64).context("the machine's host key can't be read")?;
            order.complete(&String::from_utf8_lossy(&key)).map_err(|why| anyhow!(why))?;
        }
        Ok(order)
    }

    /// A file beside the order.
    pub fn file(&self, name: &str) -> Result<File> {
        File::open(self.root.join(FOLDER).join(name)).with_context(|| format!("{name} next to the order can't be opened"))
    }

    fn mark_file(&self, mac: &str) -> PathBuf {
        self.root.join(FOLDER).join(MARKS).join(mac.replace(':', "-"))
    }

    /// What is remembered of the machine with this MAC address, if anything.
    pub fn mark(&self, mac: &str) -> Result<Option<Vec<u8>>> {
        match bounded(&self.mark_file(mac), LONGEST_MARK) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("the stick's record of this machine can't be read"),
        }
    }

    /// Remembers it. When this returns, it is on the stick; memory remembers nothing beyond this start.
    pub fn set_mark(&self, mac: &str, mark: &Mark) -> Result<()> {
        if !self.is_stick() {
            return Ok(());
        }
        self.read_only(false)?;
        let file = self.mark_file(mac);
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
        if self.is_stick() {
            // It may have been pulled.
            let _ = umount(MOUNTED);
        }
    }
}

fn bounded(file: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(std::io::Error::other("it is larger than expected")) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER_OF_ONE: &str = r#"{"version": 1, "id": "0123456789abcdef0123456789abcdef",
        "image": {"file": "system.img.zst", "size": 1, "sha256": "0000000000000000000000000000000000000000000000000000000000000000"},
        "machines": {"52:54:00:12:34:56": {"name": "twilightsparkle", "user": "ada", "authorizedKeys": ["ssh-ed25519 AAAA ada"], "hostKey": "",
            "disk": {"wwid": "eui.0025"}, "systemSize": 64000000000, "wipe": true, "updates": "security", "network": "dhcp"}}}"#;

    #[test]
    fn an_order_in_memory_is_completed_with_the_key_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let medium = Medium { root: folder.path().to_owned(), stick: None };
        fs::create_dir(folder.path().join(FOLDER)).unwrap();
        fs::write(folder.path().join(installer::ORDER), ORDER_OF_ONE).unwrap();
        assert!(medium.erasure().unwrap().is_none());
        assert!(medium.order().unwrap_err().to_string().contains("host key can't be read"));
        fs::write(folder.path().join(installer::HOST_KEY), "no key").unwrap();
        assert!(medium.order().unwrap_err().to_string().contains("is not a private key"));
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
        fs::write(folder.path().join(installer::HOST_KEY), key).unwrap();
        assert_eq!(medium.order().unwrap().machines["52:54:00:12:34:56"].host_key, key);
        // Nothing of it is remembered, and no disk is taken for a stick.
        medium.set_mark("52:54:00:12:34:56", &Mark::Done).unwrap();
        assert!(medium.mark("52:54:00:12:34:56").unwrap().is_none());
        assert_eq!((medium.disk(), medium.is_plugged_in()), ("", false));
    }
}
