//! The inventory's file: read once per run, and written by the verbs that change it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::{self, Diagnostic, Diagnostics, Inventory, MachineName, NamedFile, Place, Unread, edit, key_place};
use hostler_core::plan::relied;
use hostler_core::words::shell_word;

use crate::{home, pins, user_file};

/// An inventory with its text. A verb loads it once and passes it on: later changes of the file concern the next run.
#[derive(Debug, Clone)]
pub struct InventoryFile {
    /// `-`: standard input.
    pub path: PathBuf,
    pub text: String,
    /// What the file holds. It differs from [`text`](InventoryFile::text) until the change is [saved](InventoryFile::saved).
    pub on_disk: String,
    pub inventory: Inventory,
}

impl InventoryFile {
    /// Reads the inventory in `path`, and the files that it names. A pipe is read, too; `-` is standard input.
    ///
    /// # Errors
    /// A [`Failure`] with [`ExitStatus::Usage`]: the file can't be read or is not valid.
    pub fn load(path: &Path) -> Result<InventoryFile> {
        let name = path.display().to_string();
        let bytes = user_file::read_or_listen(path, inventory::MOST_BYTES).map_err(|error| {
            let hint = match error.kind() {
                std::io::ErrorKind::NotFound => "run `hostler init` to generate one, or pass another path with `--inventory FILE`",
                std::io::ErrorKind::IsADirectory => "pass the path of an inventory file, not of a folder, with `--inventory FILE`",
                _ => "pass another path with `--inventory FILE`",
            };
            Failure::new(ExitStatus::Usage, format!("the inventory {name} can't be read: {error}"), hint)
        })?;
        match String::from_utf8(bytes) {
            Ok(text) => InventoryFile::of(path, text.clone(), text),
            Err(error) => Err(wrong(&inventory::not_utf8(error.as_bytes(), error.utf8_error().valid_up_to(), &name))),
        }
    }

    fn of(path: &Path, on_disk: String, text: String) -> Result<InventoryFile> {
        let beside = beside(path);
        let read = |file: &Path, most| named_file(beside, file, most);
        let (name, versions) = (path.display().to_string(), pins::versions()?);
        let mut inventory = inventory::parse_with(&text, &name, Some(&read), Some(&versions)).map_err(|problems| wrong(&problems))?;
        relied_on(&inventory, &text, path)?;
        for machine in inventory.machines.values_mut() {
            if let Some(identity) = &mut machine.connection.identity
                && identity.is_relative()
                && !identity.as_os_str().as_encoded_bytes().starts_with(b"~")
            {
                *identity = beside.join(&*identity);
            }
        }
        let tokens = inventory.transcode.iter().flat_map(|films| &films.tokens).filter_map(|token| token.file.as_ref().ok());
        let open: Vec<PathBuf> = tokens.map(|token| token.path.clone()).filter(|token| others_may_read(token)).collect();
        for token in open {
            let token = token.display().to_string();
            inventory.warnings.push(format!("other users can read the media server's token: run `chmod 600 {}`", shell_word(&token)));
        }
        Ok(InventoryFile { path: path.to_owned(), text, on_disk, inventory })
    }

    /// With a machine appended; the file is not written yet.
    ///
    /// # Errors
    /// As [`edit::add_machine`]; a file that can't be written.
    pub fn with_machine(&self, name: &str, address: &str) -> Result<InventoryFile> {
        self.edited(edit::add_machine(&self.text, name, address)?)
    }

    /// Without a machine; the file is not written yet.
    ///
    /// # Errors
    /// As [`edit::remove_machine`]; a file that can't be written.
    pub fn without_machine(&self, name: &MachineName) -> Result<InventoryFile> {
        self.edited(edit::remove_machine(&self.text, name.as_str())?)
    }

    /// With `key`, an OpenSSH public key, as the host key that is pinned for `machine`; the file is not written yet. Only the text of the key
    /// changes.
    ///
    /// # Errors
    /// As [`edit::set_host_key`]; a file that can't be written.
    pub fn with_host_key(&self, machine: &MachineName, key: &str) -> Result<InventoryFile> {
        // Type and key without the comment.
        let key = key.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        let text = edit::set_host_key(&self.text, machine.as_str(), &key).with_context(|| self.path.display().to_string())?;
        self.edited(text)
    }

    /// With another version of Kubernetes in place of the one that is written; the file is not written yet.
    ///
    /// # Errors
    /// As [`edit::set_version`]; a file that can't be written.
    pub fn with_version(&self, version: &str) -> Result<InventoryFile> {
        self.edited(edit::set_version(&self.text, version).with_context(|| self.path.display().to_string())?)
    }

    fn edited(&self, text: String) -> Result<InventoryFile> {
        let file = InventoryFile::of(&self.path, self.on_disk.clone(), text)?;
        if file.is_changed() {
            user_file::may_edit(&self.path)?;
        }
        Ok(file)
    }

    /// Whether the file does not hold the text yet.
    pub fn is_changed(&self) -> bool {
        self.text != self.on_disk
    }

    /// Writes the text to the file, atomically.
    ///
    /// # Errors
    /// As [`user_file::edit`].
    pub fn save(&self) -> Result<()> {
        if self.is_changed() { user_file::edit(&self.path, self.on_disk.as_bytes(), self.text.as_bytes()) } else { Ok(()) }
    }
}

fn others_may_read(file: &Path) -> bool {
    file.metadata().is_ok_and(|file| file.permissions().mode() & 0o044 != 0)
}

/// Whether the inventory's fragments leave what hostler relies on in other programs' documents: see [`relied`].
fn relied_on(inventory: &Inventory, text: &str, path: &Path) -> Result<()> {
    let problem = |found: &relied::Deviation| {
        let keys: Vec<&str> = found.place.iter().map(String::as_str).collect();
        let place = key_place(text, &keys).unwrap_or(Place { line: 1, column: 1, length: 1 });
        let instead = if found.instead.is_empty() { String::new() } else { format!("; set `{}`", found.instead) };
        let problem = if found.value_only { "is not valid" } else { "can't be set here" };
        Diagnostic::new(place, format!("`{}` {problem}: {}{instead}", found.setting, found.why), "")
    };
    let problems: Vec<Diagnostic> = relied::deviations(inventory)?.iter().map(problem).collect();
    if problems.is_empty() {
        return Ok(());
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Err(wrong(&Diagnostics::new(&path.display().to_string(), text, problems)))
}

/// The folder that files named in an inventory are relative to: its own; the current one if it came through a pipe.
fn beside(path: &Path) -> &Path {
    let none = Path::new("");
    if path.is_file() { path.parent().unwrap_or(none) } else { none }
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
    match user_file::read(&path, most) {
        Ok(bytes) => Ok(NamedFile { path, bytes }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Unread::Missing),
        Err(error) => Err(Unread::Other(error.to_string())),
    }
}
