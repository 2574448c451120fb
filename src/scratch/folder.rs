//! A folder of this process alone. What a killed one left behind is deleted by the next.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};
use nix::libc;
use nix::unistd::geteuid;
use tempfile::TempDir;

const PREFIX: &str = "hostler-scratch-";
/// How long a program may be held open by a process that is just beginning.
const CLOSED: Duration = Duration::from_secs(5);
/// How long others may take to make a folder.
const TURN: Duration = Duration::from_secs(10);

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
        let _turn = turn(parent).with_context(context)?;
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

    /// Writes a program that can be started at once. A process that another thread has just begun holds the file open for writing until it
    /// runs its own program, and the kernel starts no file that somebody writes to.
    ///
    /// # Errors
    /// There is no room.
    pub fn program(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let path = self.write(name, 0o700, content)?;
        let file = File::open(&path)?;
        let until = Instant::now() + CLOSED;
        while Instant::now() < until && !is_closed_for_writing(&file) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(path)
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

/// Until a folder is locked it looks as if a killed process had left it: one at a time makes one, and looks for such. Nobody needs long; who
/// holds a lock for longer is not hostler, and holds nobody up.
fn turn(parent: &Path) -> io::Result<Option<Flock<File>>> {
    let until = Instant::now() + TURN;
    let mut file = File::open(parent)?;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(turn) => return Ok(Some(turn)),
            Err((_, _)) if Instant::now() > until => return Ok(None),
            Err((again, _)) => file = again,
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether nobody has the file open for writing: only then does the kernel give a lease for reading.
fn is_closed_for_writing(file: &File) -> bool {
    // SAFETY: a system call on a file that is open; the lease is given back at once.
    unsafe {
        let leased = libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) == 0;
        // A file system without leases says another thing than that somebody writes.
        let busy = !leased && std::io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN);
        libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK);
        !busy
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

    /// Programs are asked side by side, and each gets a folder: none may be taken for what a killed process left.
    #[test]
    fn folders_that_are_made_side_by_side_all_stay() {
        let parent = tempfile::tempdir().expect("a folder");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let folder = Folder::new(parent.path()).expect("made");
                        folder.write("keys", 0o600, b"secret").expect("it is still there");
                    }
                });
            }
        });
    }

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
        let writer = fs::OpenOptions::new().append(true).open(&written).expect("opened");
        let reader = File::open(&written).expect("opened");
        assert!(!is_closed_for_writing(&reader));
        drop(writer);
        assert!(is_closed_for_writing(&reader));
        drop((first, second));
        assert_eq!(fs::read_dir(parent.path()).expect("there").count(), 1);
    }
}
