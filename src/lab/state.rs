//! The lab's state on disk: its paths, its lock, and its machines. It is written before anything is created, so that `lab down` finds
//! everything by name even if hostler was killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::words;
use serde::{Deserialize, Serialize};

use super::like::Like;
use super::roster::{HOST, LabMachine};
use super::system::System;
use super::vm::Accelerator;
use super::{name, refused, usage};
use crate::{atomic, home};

/// The parent of each lab's folder.
const LABS: &str = "/var/lib/hostler";
const LAB: &str = "lab";
/// The file that says what a lab is made of.
pub const STATE: &str = "lab.json";

/// The contents of `lab.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabState {
    pub machines: Vec<LabMachine>,
    /// For each system of a machine, the finished image that disks are copied from, with the apt repository next to it.
    #[serde(default)]
    pub images: BTreeMap<System, PathBuf>,
    /// Folders of this computer that every machine sees under the same path, as if from a file server.
    #[serde(default)]
    pub shares: Vec<PathBuf>,
    /// The virtual machine, if there is one.
    #[serde(default)]
    pub vm: Option<VirtualMachine>,
    /// The inventory that the machines are like, if any.
    #[serde(default)]
    pub like: Option<Like>,
}

/// Additional state of a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualMachine {
    /// Its name.
    pub machine: String,
    /// The finished image that its disk is copied from, with its kernel.
    pub image: PathBuf,
    pub accelerator: Accelerator,
}

/// The folder of the lab: /var/lib/hostler/lab, or /var/lib/hostler/lab.NAME.
pub fn folder() -> PathBuf {
    Path::new(LABS).join(name::named(LAB))
}

/// Whether this is the path of a lab's folder, of any name.
pub fn is_folder(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    path.parent() == Some(Path::new(LABS)) && (name == LAB || name.strip_prefix(LAB).is_some_and(|rest| rest.starts_with('.')))
}

/// A path below the lab's folder.
pub fn path(below: &str) -> PathBuf {
    folder().join(below)
}

/// Exists from the start of `lab down` to its end: such a lab can't be continued.
const REMOVAL: &str = "removal";

/// Records that the lab is being removed.
pub fn begin_removal() -> Result<()> {
    write(&path(REMOVAL), b"", 0o600)
}

/// Whether a `lab down` was interrupted.
pub fn is_removal_unfinished() -> bool {
    path(REMOVAL).exists()
}

/// Removes the lab's folder, its state last of all.
pub fn remove() -> Result<()> {
    let folder = folder();
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        if [STATE, REMOVAL].iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let file = entry.path();
        let removed = if file.is_dir() { fs::remove_dir_all(&file) } else { fs::remove_file(&file) };
        removed.with_context(|| format!("{} can't be removed", file.display()))?;
    }
    let _ = fs::remove_file(path(STATE));
    let _ = fs::remove_file(path(REMOVAL));
    match fs::remove_dir(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} can't be removed", folder.display()))
        }
        _ => Ok(()),
    }
}

/// The names of other labs, complete or not.
pub fn others() -> Vec<String> {
    let ours = name::named(LAB);
    let folders = fs::read_dir(LABS).into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let folders = folders.filter(|folder| *folder != ours);
    let name = |folder: String| {
        if folder == LAB { Some(name::DEFAULT.to_owned()) } else { Some(folder.strip_prefix(LAB)?.strip_prefix('.')?.to_owned()) }
    };
    let mut names: Vec<String> = folders.filter_map(name).collect();
    names.sort();
    names
}

/// That this lab is not up, and what to do: of several labs, another one may be meant.
pub fn not_up() -> Failure {
    not_up_besides(name::choice().is_some().then(name::chosen), &others())
}

fn not_up_besides(chosen: Option<String>, others: &[String]) -> Failure {
    let up = "or run `hostler lab up` to start a new lab";
    let which = match chosen {
        Some(name) => format!("the lab `{name}` is not up on this computer"),
        None if others.is_empty() => "no lab is up on this computer".to_owned(),
        None => "the default lab is not up on this computer".to_owned(),
    };
    let (what, hint) = match others {
        [] => (which, "run `hostler lab up`".to_owned()),
        [one] => (format!("{which}, but the lab `{one}` is"), format!("choose that lab with `{}`, {up}", name::choice_of(one))),
        several => {
            let names: Vec<String> = several.iter().map(|name| format!("`{name}`")).collect();
            let hint = format!("choose one of them with `{}=NAME`, {up}", name::VARIABLE);
            (format!("{which}, but the labs {} are", words::and(&names)), hint)
        }
    };
    Failure::new(ExitStatus::Refused, what, hint)
}

/// A machine's folder: `disk.img`, `root` (its mount point), `console.log`.
pub fn machine_folder(name: &str) -> PathBuf {
    path("machines").join(name)
}

/// The console output of a machine.
pub fn console(machine: &str) -> PathBuf {
    machine_folder(machine).join("console.log")
}

/// Where finished images are kept between labs: `$HOSTLER_CACHE/lab`, or /var/cache/hostler/lab.
pub fn cache() -> PathBuf {
    // Only root has labs, and root's cache does not depend on a home.
    home::cache().unwrap_or_else(|_| "/var/cache/hostler".into()).join("lab")
}

impl LabState {
    /// The existing lab; `None` if there is none.
    pub fn load() -> Result<Option<LabState>> {
        let file = path(STATE);
        match fs::read(&file) {
            Ok(bytes) => {
                let state = serde_json::from_slice(&bytes)
                    .with_context(|| format!("{} is corrupted\nhint: remove the lab with `hostler lab down`", file.display()))?;
                Ok(Some(state))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{} can't be read", file.display())),
        }
    }

    /// The existing lab.
    ///
    /// # Errors
    /// Refused if there is none, or its removal was interrupted.
    pub fn existing() -> Result<LabState> {
        if is_removal_unfinished() {
            return Err(refused("an earlier `hostler lab down` was interrupted", "run `hostler lab down` again"));
        }
        LabState::load()?.ok_or_else(|| not_up().into())
    }

    pub fn save(&self) -> Result<()> {
        close()?;
        write(&path(STATE), &serde_json::to_vec_pretty(self)?, 0o600)
    }

    /// The computer's address in the machines' network.
    pub fn gateway(&self) -> Ipv4Addr {
        self.like.as_ref().map_or(HOST, |like| like.gateway)
    }

    /// The systems that its machines have.
    pub fn systems(&self) -> BTreeSet<System> {
        self.machines.iter().map(|machine| machine.system).collect()
    }

    /// The finished image of a system.
    pub fn image(&self, system: System) -> Result<&Path> {
        let image = self.images.get(&system).with_context(|| format!("the lab has no image for {}", system.title()))?;
        Ok(image)
    }

    /// Additional state of the machine with this name, if it is the virtual machine.
    pub fn virtual_machine(&self, name: &str) -> Option<&VirtualMachine> {
        self.vm.as_ref().filter(|vm| vm.machine == name)
    }

    /// The machine with that name.
    ///
    /// # Errors
    /// Refused, naming the machines.
    pub fn machine(&self, name: &str) -> Result<&LabMachine> {
        named(&self.machines, name)
    }
}

/// The one of `machines` with that name.
///
/// # Errors
/// Refused, naming the machines.
pub fn named<'a>(machines: &'a [LabMachine], name: &str) -> Result<&'a LabMachine> {
    machines.iter().find(|machine| machine.name == name).ok_or_else(|| {
        let names: Vec<&str> = machines.iter().map(|machine| machine.name.as_str()).collect();
        let has = format!("the lab has {}", names.join(", "));
        let hint = words::nearest(name, names).map_or_else(|| has.clone(), |near| format!("did you mean `{near}`? {has}"));
        usage(&format!("the lab has no machine `{name}`"), &hint)
    })
}

/// Creates the lab's folder, which only root can read: the machines' disks hold the keys of their cluster.
fn close() -> Result<()> {
    let folder = folder();
    let attempt = || -> std::io::Result<()> {
        fs::create_dir_all(LABS)?;
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))
            }
            made => made,
        }
    };
    attempt().with_context(|| format!("{} can't be created", folder.display()))
}

/// As [`atomic::write`]; missing folders are created.
///
/// # Errors
/// The folder can't be written to.
pub fn write(file: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let written = fs::create_dir_all(atomic::folder_of(file)).and_then(|()| atomic::write(file, bytes, mode));
    written.with_context(|| format!("{} can't be written", file.display()))
}

/// How long a lock may be held after its hostler has ended.
const LINGERING: Duration = Duration::from_secs(5);

/// Whether the hostler named in a lock is alive.
fn holder_lives(path: &Path) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    let process = text.rsplit_once("(process ").and_then(|(_, rest)| rest.strip_suffix(')'));
    // Between taking the lock and writing its name there is no name: then it is alive.
    process.is_none_or(|process| Path::new("/proc").join(process).exists())
}

/// Held while the lab is changed. The kernel releases it when hostler dies, and programs that hostler starts don't inherit it.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, never read")] File);

impl Lock {
    /// # Errors
    /// Refused while another hostler changes the lab; the message names it.
    pub fn take(verb: &str) -> Result<Lock> {
        Lock::at(Path::new(&format!("/run/{}.lock", name::named("hostler-lab"))), verb)
    }

    fn at(path: &Path, verb: &str) -> Result<Lock> {
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .with_context(|| format!("{} can't be opened\nhint: run the command with `sudo`", path.display()))?;
        let begun = Instant::now();
        let mut taken = file.try_lock();
        // A program that was being started when its hostler died holds a copy of the lock until its exec.
        while matches!(taken, Err(TryLockError::WouldBlock)) && begun.elapsed() < LINGERING && !holder_lives(path) {
            std::thread::sleep(Duration::from_millis(25));
            taken = file.try_lock();
        }
        match taken {
            Ok(()) => {
                file.set_len(0)?;
                file.rewind()?;
                write!(file, "hostler lab {verb} (process {})", std::process::id())?;
                Ok(Lock(file))
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder)?;
                Err(refused(&format!("another command is changing the lab: `{holder}`"), "wait until that command has ended, or stop it"))
            }
            Err(TryLockError::Error(error)) => Err(anyhow!(error).context(format!("{} can't be locked", path.display()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::roster::roster;

    #[test]
    fn other_labs_are_named_and_how_to_choose_one() {
        let said = |chosen: Option<&str>, others: &[&str]| {
            let others: Vec<String> = others.iter().map(|name| (*name).to_owned()).collect();
            not_up_besides(chosen.map(str::to_owned), &others).to_string()
        };
        assert_eq!(said(None, &[]), "no lab is up on this computer\nhint: run `hostler lab up`");
        assert_eq!(
            said(None, &["two"]),
            "the default lab is not up on this computer, but the lab `two` is\nhint: choose that lab with `HOSTLER_LAB=two`, or run `hostler lab up` to start a new lab"
        );
        assert_eq!(
            said(Some("three"), &["lab", "two"]),
            "the lab `three` is not up on this computer, but the labs `lab` and `two` are\n\
             hint: choose one of them with `HOSTLER_LAB=NAME`, or run `hostler lab up` to start a new lab"
        );
    }

    #[test]
    fn only_one_hostler_at_a_time_changes_the_lab_and_is_named_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lock");
        let held = Lock::at(&file, "up").unwrap();
        let refused = Lock::at(&file, "down").unwrap_err();
        assert_eq!(ExitStatus::of(&refused), ExitStatus::Refused, "{refused:#}");
        let process = std::process::id();
        assert!(
            refused.to_string().starts_with(&format!("another command is changing the lab: `hostler lab up (process {process})`\nhint:")),
            "{refused}"
        );
        drop(held);
        // The longer name of the previous holder is gone.
        let held = Lock::at(&file, "on").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("hostler lab on (process {process})"));
        drop(held);
    }

    #[test]
    fn an_unknown_machine_is_refused_with_a_similar_name() {
        let state = LabState { machines: roster(3, 1), images: BTreeMap::new(), shares: Vec::new(), vm: None, like: None };
        assert_eq!(state.machine("rainbowdash").unwrap().address.to_string(), "10.77.0.12");
        let refused = state.machine("rainbwdash").unwrap_err();
        assert_eq!(ExitStatus::of(&refused), ExitStatus::Usage);
        assert_eq!(
            refused.to_string(),
            "the lab has no machine `rainbwdash`\n\
             hint: did you mean `rainbowdash`? the lab has twilightsparkle, rainbowdash, fluttershy"
        );
    }
}
