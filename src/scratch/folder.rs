//! A folder of this process alone. What a killed one left behind is deleted by the next.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;
use tempfile::TempDir;

const PREFIX: &str = "hostler-scratch-";

/// Deleted when it is dropped.
pub struct Folder {
    folder: TempDir,
    /// Held as long as the folder is in use.
    _lock: Flock<File>,
}

impl Folder {
    /// A new folder in `parent` that only this user can enter.
    ///
    /// # Errors
    /// `parent` can't be written to.
    pub fn new(parent: &Path) -> Result<Folder> {
        let context = || format!("{} can't be written to", parent.display());
        sweep(parent);
        let own = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix(PREFIX).permissions(own).tempdir_in(parent).with_context(context)?;
        let lock = Flock::lock(File::open(folder.path()).with_context(context)?, FlockArg::LockExclusiveNonblock);
        let lock = lock.map_err(|(_, error)| error).with_context(context)?;
        Ok(Folder { folder, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a new file.
    ///
    /// # Errors
    /// There is no room.
    pub fn write(&self, name: &str, mode: u32, content: &[u8]) -> Result<PathBuf> {
        let path = self.path().join(name);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        std::io::Write::write_all(&mut file, content).with_context(|| format!("there is not enough room in {}", self.path().display()))?;
        Ok(path)
    }
}

/// Deletes what this user's processes left that were killed: nothing holds the lock of it. What can't be deleted stays.
fn sweep(parent: &Path) {
    let own = geteuid().as_raw();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_own = entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == own);
        if !is_own || !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(folder) = File::open(entry.path()) else { continue };
        if let Ok(_lock) = Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_process_and_what_a_killed_one_left_goes_with_the_next() {
        let parent = tempfile::tempdir().expect("a folder");
        let left = parent.path().join(format!("{PREFIX}left"));
        let other = parent.path().join("other");
        fs::create_dir_all(left.join("member")).expect("made");
        fs::create_dir(&other).expect("made");
        let first = Folder::new(parent.path()).expect("made");
        let second = Folder::new(parent.path()).expect("made");
        assert!(!left.exists() && other.exists());
        let written = first.write("keys", 0o600, b"secret").expect("written");
        assert!(written.exists() && second.path().exists(), "it is in use");
        assert_eq!(fs::metadata(first.path()).expect("there").permissions().mode() & 0o777, 0o700);
        drop((first, second));
        assert_eq!(fs::read_dir(parent.path()).expect("there").count(), 1);
    }
}
