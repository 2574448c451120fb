//! The inventory's file: read once a run, and written again where a verb changes it.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Result;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::{self, Inventory, NamedFile, Unread};
use nix::fcntl::OFlag;

/// Reads the inventory in `path`.
///
/// # Errors
/// A [`Failure`] with [`ExitStatus::Usage`]: the file can't be read, or something in it is wrong.
pub fn load(path: &Path) -> Result<Inventory> {
    let name = path.display().to_string();
    let bytes = regular_file(path, inventory::MOST_BYTES).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => "`hostler init` writes an inventory; `--inventory FILE` names another",
            std::io::ErrorKind::IsADirectory => "name the file in it: `--inventory FILE`",
            _ => "`--inventory FILE` names another",
        };
        Failure::new(ExitStatus::Usage, format!("can't read the inventory {name}: {error}"), hint)
    })?;
    let beside = path.parent().unwrap_or(Path::new(""));
    let parsed = match String::from_utf8(bytes) {
        Ok(text) => inventory::parse_with(&text, &name, Some(&|file, most| named_file(beside, file, most))),
        Err(error) => Err(inventory::not_utf8(error.as_bytes(), error.utf8_error().valid_up_to(), &name)),
    };
    let hint = "`hostler schema` prints all that an inventory can say";
    Ok(parsed.map_err(|wrong| Failure::new(ExitStatus::Usage, wrong.to_string().trim_end(), hint))?)
}

/// A file that an inventory in the folder `beside` names; a leading `~/` is the user's home.
pub fn named_file(beside: &Path, file: &Path, most: usize) -> Result<NamedFile, Unread> {
    let path = match file.strip_prefix("~") {
        Ok(below) => std::env::home_dir().filter(|home| !home.as_os_str().is_empty()).ok_or(Unread::Missing)?.join(below),
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
