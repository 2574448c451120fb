//! The inventory's file: read once per run, and written by the verbs that change it.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::{self, Inventory, MachineName, NamedFile, Unread, edit};
use nix::fcntl::OFlag;

use crate::{atomic, home};

/// An inventory with its text. A verb loads it once and passes it on: later changes of the file concern the next run.
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
    /// A [`Failure`] with [`ExitStatus::Usage`]: the file can't be read or is not valid.
    pub fn load(path: &Path) -> Result<InventoryFile> {
        let name = path.display().to_string();
        let bytes = regular_file(path, inventory::MOST_BYTES).map_err(|error| {
            let hint = match error.kind() {
                std::io::ErrorKind::NotFound => "run `hostler init` to generate one, or pass another path with `--inventory FILE`",
                std::io::ErrorKind::IsADirectory => "it is a folder: pass the path of the file with `--inventory FILE`",
                _ => "pass another path with `--inventory FILE`",
            };
            Failure::new(ExitStatus::Usage, format!("the inventory {name} can't be read: {error}"), hint)
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

    /// Appends a machine and writes the file.
    ///
    /// # Errors
    /// As [`edit::add_machine`]; a file that can't be written.
    pub fn with_machine(&self, name: &str, address: &str) -> Result<InventoryFile> {
        InventoryFile::of(&self.path, edit::add_machine(&self.text, name, address)?)?.written()
    }

    /// Deletes a machine and writes the file.
    ///
    /// # Errors
    /// As [`edit::remove_machine`]; a file that can't be written.
    pub fn without_machine(&self, name: &MachineName) -> Result<InventoryFile> {
        InventoryFile::of(&self.path, edit::remove_machine(&self.text, name.as_str())?)?.written()
    }

    /// Replaces the host key that is pinned for `machine` with `key`, an OpenSSH public key, and writes the file.
    ///
    /// # Errors
    /// As [`edit::set_host_key`]; a file that can't be written.
    pub fn with_host_key(&self, machine: &MachineName, key: &str) -> Result<InventoryFile> {
        // Type and key without the comment.
        let key = key.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        let text = edit::set_host_key(&self.text, machine.as_str(), &key).with_context(|| self.path.display().to_string())?;
        InventoryFile::of(&self.path, text)?.written()
    }

    /// Writes the text to the file, atomically.
    fn written(self) -> Result<InventoryFile> {
        atomic::rewrite(&self.path, self.text.as_bytes()).with_context(|| format!("{} can't be written", self.path.display()))?;
        Ok(self)
    }
}

fn wrong(problems: &impl std::fmt::Display) -> anyhow::Error {
    let hint = "docs/inventory.md describes all keys";
    Failure::new(ExitStatus::Usage, problems.to_string().trim_end(), hint).into()
}

/// A file that is named in an inventory in the folder `beside`; a leading `~/` means the user's home.
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

/// At most `most` bytes of a file, plus one if it is longer. Only regular files: reading others may block or never end.
///
/// # Errors
/// It can't be read, or is not a regular file.
pub fn regular_file(path: &Path, most: usize) -> std::io::Result<Vec<u8>> {
    // Opening a pipe would block until it has a writer.
    let file = std::fs::File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
