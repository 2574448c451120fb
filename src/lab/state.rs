//! What the lab remembers on disk: its paths, the one lock, and which machines it has. Written before anything is made, so that
//! `lab down` finds everything by name, whenever hostler was killed.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use super::Refused;
use super::roster::LabMachine;

/// Everything of a lab that is up. One lab a computer: its network is one, and so are its names.
pub const STATE: &str = "/var/lib/hostler/lab";
const LOCK: &str = "/run/hostler-lab.lock";

/// What a lab is made of, as `lab.json` holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabState {
    pub machines: Vec<LabMachine>,
    /// The finished image that machines' disks are copied from, and the apt repository beside it.
    pub image: PathBuf,
    /// The computer's boot: what it changed before a restart is gone by itself.
    pub boot: String,
    /// iproute2 makes one mount for all named namespaces, and `lab down` takes away what was not there before.
    pub namespaces_were_mounted: bool,
}

/// A path below the lab's folder.
pub fn path(below: &str) -> PathBuf {
    Path::new(STATE).join(below)
}

/// A machine's own folder: `disk.img`, `root` (where it is mounted while the machine is on), `console.log`.
pub fn machine_folder(name: &str) -> PathBuf {
    path("machines").join(name)
}

/// Where the lab's finished images are kept between labs: `$HOSTLER_CACHE/lab`, or /var/cache/hostler/lab.
pub fn cache() -> PathBuf {
    std::env::var_os("HOSTLER_CACHE").map_or_else(|| PathBuf::from("/var/cache/hostler"), PathBuf::from).join("lab")
}

/// This boot of the computer, a UUID.
pub fn boot() -> Result<String> {
    let file = "/proc/sys/kernel/random/boot_id";
    Ok(fs::read_to_string(file).with_context(|| format!("{file} can't be read"))?.trim().to_owned())
}

impl LabState {
    /// The lab that is there; `None` where there is none.
    pub fn load() -> Result<Option<LabState>> {
        let file = path("lab.json");
        match fs::read(&file) {
            Ok(bytes) => {
                let state = serde_json::from_slice(&bytes)
                    .with_context(|| format!("{} is damaged\nhint: `hostler lab down` takes the lab away", file.display()))?;
                Ok(Some(state))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{} can't be read", file.display())),
        }
    }

    /// The lab that is there.
    ///
    /// # Errors
    /// [`Refused`] where there is none.
    pub fn existing() -> Result<LabState> {
        LabState::load()?.ok_or_else(|| Refused::error("no lab is up on this computer", "`hostler lab up` makes one"))
    }

    pub fn save(&self) -> Result<()> {
        write(&path("lab.json"), &serde_json::to_vec_pretty(self)?, 0o600)
    }

    /// The machine of that name.
    ///
    /// # Errors
    /// [`Refused`], naming the nearest machine.
    pub fn machine(&self, name: &str) -> Result<&LabMachine> {
        self.machines.iter().find(|machine| machine.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.machines.iter().map(|machine| machine.name.as_str()).collect();
            let nearest = names.iter().max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
            let hint = format!("did you mean {}? the lab has {}", nearest.unwrap_or(&"-"), names.join(", "));
            Refused::error(&format!("`{name}` is no machine of the lab"), &hint)
        })
    }
}

/// Writes a file whole or not at all.
pub fn write(file: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let attempt = || -> std::io::Result<()> {
        let folder = file.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)?;
        let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
        temporary.write_all(bytes)?;
        temporary.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        temporary.as_file().sync_all()?;
        temporary.persist(file)?;
        Ok(())
    };
    attempt().with_context(|| format!("{} can't be written", file.display()))
}

/// Held while the lab is changed. The kernel lets go of it when hostler dies, and no program that hostler starts inherits it.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, never read")] File);

impl Lock {
    /// # Errors
    /// [`Refused`] while another hostler changes the lab, naming it.
    pub fn take(verb: &str) -> Result<Lock> {
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(LOCK)
            .with_context(|| format!("{LOCK} can't be opened\nhint: the lab needs root"))?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                file.rewind()?;
                write!(file, "hostler lab {verb} (process {})", std::process::id())?;
                Ok(Lock(file))
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder)?;
                Err(Refused::error(&format!("`{holder}` is changing the lab"), "wait until it is done, or stop it"))
            }
            Err(TryLockError::Error(error)) => Err(anyhow!(error).context(format!("{LOCK} can't be locked"))),
        }
    }
}
