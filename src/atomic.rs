//! Atomic writes: files are written under another name in the same folder, then renamed. When a call returns, both the file and its name are
//! on disk.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// Replaces the file with `content` and this mode. The folder must exist. A symbolic link is replaced.
///
/// # Errors
/// The folder can't be written to.
pub fn write(file: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut new = New::beside(file)?;
    new.write_all(content)?;
    new.finish(mode)
}

/// Creates the file with `content` and this mode. The folder must exist.
///
/// # Errors
/// The folder can't be written to, or something is there already.
pub fn create(file: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut new = New::beside(file)?;
    new.write_all(content)?;
    new.part.as_file().set_permissions(Permissions::from_mode(mode))?;
    new.part.as_file().sync_all()?;
    new.part.persist_noclobber(file)?;
    sync_folder(folder_of(file))
}

/// Replaces an existing file with `content`: owner, mode and hard links stay, and so does a symbolic link, whose target is replaced.
///
/// A file that has another name, too, or whose owner this user can't set, is overwritten. Until that is done, the new content is also in a
/// file beside it.
///
/// # Errors
/// There is no such file, or its folder can't be written to.
pub fn rewrite(file: &Path, content: &[u8]) -> io::Result<()> {
    let file = fs::canonicalize(file)?;
    let old = fs::metadata(&file)?;
    let mut new = New::beside(&file)?;
    new.write_all(content)?;
    // Before the mode: a change of owner can clear bits of it.
    let owned = fchown(new.part.as_file(), Some(old.uid()), Some(old.gid())).is_ok();
    if owned && old.nlink() == 1 {
        return new.finish(old.permissions().mode() & 0o7777);
    }
    new.part.as_file().sync_all()?;
    let mut same = File::options().write(true).open(&file)?;
    same.write_all(content)?;
    same.set_len(content.len() as u64)?;
    same.sync_all()
}

/// A file that is being written. Dropped before [`finish`](New::finish), it leaves nothing behind.
#[derive(Debug)]
pub struct New {
    /// Mode 0600 from its first byte.
    part: tempfile::NamedTempFile,
    file: PathBuf,
}

impl New {
    /// Starts the new content of `file`.
    ///
    /// # Errors
    /// The folder can't be written to.
    pub fn beside(file: &Path) -> io::Result<New> {
        let part = tempfile::Builder::new().prefix(".new-").tempfile_in(folder_of(file))?;
        Ok(New { part, file: file.to_owned() })
    }

    /// Where it is until it is finished, for other programs that write to it.
    pub fn path(&self) -> &Path {
        self.part.path()
    }

    pub fn as_file(&self) -> &File {
        self.part.as_file()
    }

    /// Sets its mode and renames it.
    ///
    /// # Errors
    /// The disk is full or broken, or the name belongs to a folder.
    pub fn finish(self, mode: u32) -> io::Result<()> {
        self.part.as_file().set_permissions(Permissions::from_mode(mode))?;
        self.part.as_file().sync_all()?;
        self.part.persist(&self.file)?;
        sync_folder(folder_of(&self.file))
    }
}

impl New {
    /// As [`finish`](New::finish), with the owner of the file that it replaces, where this user can set that.
    ///
    /// # Errors
    /// As [`finish`](New::finish).
    pub fn finish_owned(self, mode: u32) -> io::Result<()> {
        if let Ok(old) = fs::metadata(&self.file) {
            let _ = fchown(self.part.as_file(), Some(old.uid()), Some(old.gid()));
        }
        self.finish(mode)
    }
}

impl Write for New {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.part.flush()
    }
}

/// The folder that a file is in; `.` for a bare name.
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A rename is on disk once its folder is synced.
///
/// # Errors
/// The folder can't be opened or synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_has_its_mode_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        for (content, mode) in [("one", 0o600), ("two", 0o755)] {
            write(&file, content.as_bytes(), mode).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
            assert_eq!(file.metadata().unwrap().mode() & 0o7777, mode);
        }
        let mut unfinished = New::beside(&file).unwrap();
        unfinished.write_all(b"three").unwrap();
        assert_eq!(unfinished.part.as_file().metadata().unwrap().mode() & 0o7777, 0o600);
        drop(unfinished);
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        assert_eq!(names(folder.path()), ["file"]);
        assert!(write(folder.path(), b"", 0o600).is_err());
    }

    #[test]
    fn a_rewritten_file_keeps_mode_owner_and_links() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "one").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let root = nix::unistd::geteuid().is_root();
        if root {
            std::os::unix::fs::chown(&file, Some(12), Some(34)).unwrap();
        }
        std::os::unix::fs::symlink("file", &link).unwrap();
        rewrite(&link, b"two").unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!((fs::read_to_string(&file).unwrap().as_str(), metadata.mode() & 0o7777), ("two", 0o640));
        assert!(!root || (metadata.uid(), metadata.gid()) == (12, 34));
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(names(folder.path()), ["file", "link"]);
        assert!(rewrite(&folder.path().join("none"), b"").is_err());
        let mut again = New::beside(&file).unwrap();
        again.write_all(b"three").unwrap();
        again.finish_owned(0o600).unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!((fs::read_to_string(&file).unwrap().as_str(), metadata.mode() & 0o7777), ("three", 0o600));
        assert!(!root || (metadata.uid(), metadata.gid()) == (12, 34));
    }
}
