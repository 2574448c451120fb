//! The inventory's file: read once a run, and written again where a verb changes it.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::{self, Inventory, MachineName, NamedFile, Unread, edit};
use nix::fcntl::OFlag;

use crate::{atomic, home};

/// An inventory with the text that it was read from. A verb loads it once and passes it on: what is in the file later is of the next run.
#[derive(Debug, Clone)]
pub struct InventoryFile {
    pub path: PathBuf,
    pub text: String,
    pub inventory: Inventory,
}

impl InventoryFile {
    /// Reads the inventory in `path`, and the files that it names.
    ///
    /// # Errors
    /// A [`Failure`] with [`ExitStatus::Usage`]: the file can't be read, or something in it is wrong.
    pub fn load(path: &Path) -> Result<InventoryFile> {
        let name = path.display().to_string();
        let bytes = regular_file(path, inventory::MOST_BYTES).map_err(|error| {
            let hint = match error.kind() {
                std::io::ErrorKind::NotFound => "`hostler init` writes an inventory; `--inventory FILE` names another",
                std::io::ErrorKind::IsADirectory => "name the file in it: `--inventory FILE`",
                _ => "`--inventory FILE` names another",
            };
            Failure::new(ExitStatus::Usage, format!("can't read the inventory {name}: {error}"), hint)
        })?;
        match String::from_utf8(bytes) {
            Ok(text) => InventoryFile::of(path, text),
            Err(error) => Err(wrong(&inventory::not_utf8(error.as_bytes(), error.utf8_error().valid_up_to(), &name))),
        }
    }

    fn of(path: &Path, text: String) -> Result<InventoryFile> {
        let beside = path.parent().unwrap_or(Path::new(""));
        let read = |file: &Path, most| named_file(beside, file, most);
        let inventory = inventory::parse_with(&text, &path.display().to_string(), Some(&read)).map_err(|problems| wrong(&problems))?;
        Ok(InventoryFile { path: path.to_owned(), text, inventory })
    }

    /// With one more machine, its last; the file is written.
    ///
    /// # Errors
    /// As [`edit::add_machine`]; a file that can't be written.
    pub fn with_machine(&self, name: &str, address: &str) -> Result<InventoryFile> {
        InventoryFile::of(&self.path, edit::add_machine(&self.text, name, address)?)?.written()
    }

    /// Without one of its machines; the file is written.
    ///
    /// # Errors
    /// As [`edit::remove_machine`]; a file that can't be written.
    pub fn without_machine(&self, name: &MachineName) -> Result<InventoryFile> {
        InventoryFile::of(&self.path, edit::remove_machine(&self.text, name.as_str())?)?.written()
    }

    /// With `key`, an OpenSSH public key, in place of the host key that is pinned for `machine`; the file is written. The pinned key stands
    /// once in the file: its text is replaced, all else stays.
    ///
    /// # Errors
    /// No key is pinned, or it is written in a way that can't be replaced; a file that can't be written.
    pub fn with_host_key(&self, machine: &MachineName, key: &str) -> Result<InventoryFile> {
        // Type and key, without the comment.
        let key = key.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        let pinned = |inventory: &Inventory| inventory.machines.get(machine.as_str())?.connection.host_key.clone();
        let old = pinned(&self.inventory).with_context(|| format!("the inventory pins no host key of {machine}"))?;
        let after = InventoryFile::of(&self.path, self.text.replacen(&old, &key, 1))?;
        if pinned(&after.inventory).as_deref() != Some(key.as_str()) {
            bail!("the host key of {machine} can't be replaced in {}\nhint: write this one there: {key}", self.path.display());
        }
        after.written()
    }

    /// Puts the text in the file's place, whole or not at all.
    fn written(self) -> Result<InventoryFile> {
        atomic::rewrite(&self.path, self.text.as_bytes()).with_context(|| format!("{} can't be written", self.path.display()))?;
        Ok(self)
    }
}

fn wrong(problems: &impl std::fmt::Display) -> anyhow::Error {
    let hint = "`hostler schema` prints all that an inventory can say";
    Failure::new(ExitStatus::Usage, problems.to_string().trim_end(), hint).into()
}

/// A file that an inventory in the folder `beside` names; a leading `~/` is the user's home.
pub fn named_file(beside: &Path, file: &Path, most: usize) -> Result<NamedFile, Unread> {
    let path = match file.strip_prefix("~") {
        Ok(below) => home::home().map_err(|_| Unread::Missing)?.join(below),
        Err(_) => beside.join(file),
    };
    match regular_file(&path, most) {
        Ok(bytes) => Ok(NamedFile { path, bytes }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Unread::Missing),
        Err(error) => Err(Unread::Other(error.to_string())),
    }
}

/// At most `most` bytes of a file, and one more where it has more. What isn't a regular file may never end, or never begin.
///
/// # Errors
/// It can't be read, or is no regular file.
pub fn regular_file(path: &Path, most: usize) -> std::io::Result<Vec<u8>> {
    // Opening a pipe would wait for whoever writes into it.
    let file = std::fs::File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
