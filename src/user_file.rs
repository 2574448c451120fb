//! Files that the user names: what a path leads to is looked at before anything is read from it or written to it. Every verb goes through
//! here, so that a path means the same to all of them.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use hostler_core::failure::{ExitStatus, Failure};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::statfs::{self, FsType};
use nix::unistd::{AccessFlags, access, geteuid};

use crate::{atomic, home};

/// What is read of a file that somebody wrote by hand, or that grew line by line: a key, ssh's configuration, known_hosts.
pub const MOST_BYTES: usize = 16 << 20;

/// What is read of a program or an image: all of it is kept in memory.
const MOST_ARTIFACT: u64 = 4 << 30;

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;
/// Limit for a program that writes to a pipe, from one piece to the next: it may ask its user for a passphrase.
const SILENCE: Duration = Duration::from_secs(60);
/// Limit for a program that opens a pipe to write to it.
const WRITER: Duration = Duration::from_secs(3);

/// What a path leads to that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// `-`, or a name of standard output.
    Stdout,
    /// A device or a pipe: it is written to, not replaced.
    Stream(PathBuf),
    /// Nothing is there.
    New(PathBuf),
    /// A regular file is there. Links are resolved.
    File(PathBuf),
}

impl Destination {
    /// # Errors
    /// A [`Failure`] with [`ExitStatus::Usage`]: a folder is there, or nothing can be written there.
    pub fn of(path: &Path) -> Result<Destination> {
        let wrong = |what: String| {
            let hint = "pass the path of a file that hostler can write";
            anyhow::Error::from(Failure::new(ExitStatus::Usage, what, hint))
        };
        if ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| path == Path::new(name)) {
            return Ok(Destination::Stdout);
        }
        let denied = |error: &io::Error| wrong(format!("{} can't be written: {error}", path.display()));
        let place = match fs::metadata(path) {
            Ok(there) if there.is_dir() => return Err(wrong(format!("{} is a folder", path.display()))),
            Ok(there) if !there.is_file() || path.starts_with("/dev") || path.starts_with("/proc") => {
                return Ok(Destination::Stream(path.to_owned()));
            }
            Ok(_) => Destination::File(fs::canonicalize(path).map_err(|error| denied(&error))?),
            Err(error) if is_nothing(&error) => Destination::New(behind_links(path).map_err(|error| denied(&error))?),
            Err(error) => return Err(denied(&error)),
        };
        match &place {
            Destination::New(new) => may_create(new).and_then(|()| has_folder(new)).map_err(|error| denied(&error))?,
            Destination::File(file) => may_write(file).map_err(|error| denied(&error))?,
            Destination::Stdout | Destination::Stream(_) => {}
        }
        Ok(place)
    }

    /// As [`of`](Destination::of), where no existing file may be replaced.
    ///
    /// # Errors
    /// As [`of`](Destination::of); there is a file.
    pub fn new_file(path: &Path) -> Result<Destination> {
        match Destination::of(path)? {
            Destination::File(_) => {
                let message = format!("{} already exists", path.display());
                Err(Failure::new(ExitStatus::Usage, message, "pass another path, or move the file away").into())
            }
            other => Ok(other),
        }
    }

    /// Whether what is written there is for this user alone. Someone else's file or pipe in a folder that others may write was put there by them.
    /// root may write to files of others where only their owners put them.
    ///
    /// # Errors
    /// It is not, or nobody can tell.
    pub fn may_hold_a_secret(&self) -> io::Result<()> {
        let path = match self {
            Destination::Stream(path) | Destination::File(path) => path,
            Destination::Stdout | Destination::New(_) => return Ok(()),
        };
        let (there, folder) = (fs::metadata(path)?, fs::metadata(atomic::folder_of(path))?);
        let is_device = there.file_type().is_char_device() || there.file_type().is_block_device();
        let own = there.uid() == geteuid().as_raw();
        if own || is_device || geteuid().is_root() && folder.mode() & 0o022 == 0 {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user, who could read what is secret in it"))
    }

    /// Writes `content`, and nothing else. A new file has this mode; a missing folder is created with mode 0700. A regular file is replaced
    /// atomically, with its owner; where that is impossible it is overwritten.
    ///
    /// # Errors
    /// It can't be written; a file has come there meanwhile.
    pub fn write(&self, content: &[u8], mode: u32) -> io::Result<()> {
        match self {
            Destination::Stdout => {
                let mut stdout = io::stdout();
                stdout.write_all(content).and_then(|()| stdout.flush())
            }
            Destination::Stream(path) => {
                if is_secret(mode) {
                    self.may_hold_a_secret()?;
                }
                stream(path)?.write_all(content)
            }
            Destination::New(path) => {
                let folder = atomic::folder_of(path);
                if !folder.exists() {
                    use std::os::unix::fs::DirBuilderExt;
                    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
                }
                atomic::create(path, content, mode)
            }
            Destination::File(path) => {
                if is_secret(mode) {
                    self.may_hold_a_secret()?;
                    // Before anything is in it that others must not read.
                    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
                }
                atomic::rewrite(path, content)?;
                fs::set_permissions(path, fs::Permissions::from_mode(mode))
            }
        }
    }
}

/// Whether a file with this mode is for its owner alone.
fn is_secret(mode: u32) -> bool {
    mode & 0o077 == 0
}

/// Whether nothing is at a path; why nothing can be there is another matter.
pub fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The path that a link to nothing leads to; any other path itself.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = atomic::folder_of(&path).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Whether the folder of a new file is there, or may be created: below the user's home and hostler's folders alone. Elsewhere a path that leads to nothing is a typo,
/// or something that is not mounted.
fn has_folder(path: &Path) -> io::Result<()> {
    let folder = atomic::folder_of(path);
    // hostler's own folders may be elsewhere, by XDG's variables.
    let own = [home::home(), home::config(), home::data()];
    let is_own = |folder: &Path| own.iter().flatten().any(|own| folder.starts_with(own));
    if folder.exists() || std::path::absolute(folder).is_ok_and(|folder| is_own(&folder)) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("the folder {} does not exist", folder.display())))
}

/// Whether a file can be created there, with the folders that are missing.
fn may_create(path: &Path) -> io::Result<()> {
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let folder = atomic::folder_of(path).ancestors().find(|folder| folder.as_os_str().is_empty() || folder.symlink_metadata().is_ok());
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !fs::metadata(folder)?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{} is not a folder", folder.display())));
    }
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK)?;
    is_for_files(folder)
}

/// File systems of the kernel's own, where the mode of a folder says nothing: a file can't be created, or is a command to the kernel.
const OF_THE_KERNEL: [FsType; 9] = [
    statfs::PROC_SUPER_MAGIC,
    statfs::SYSFS_MAGIC,
    statfs::CGROUP_SUPER_MAGIC,
    statfs::CGROUP2_SUPER_MAGIC,
    statfs::DEBUGFS_MAGIC,
    statfs::TRACEFS_MAGIC,
    statfs::SECURITYFS_MAGIC,
    statfs::BPF_FS_MAGIC,
    statfs::DEVPTS_SUPER_MAGIC,
];

fn is_for_files(folder: &Path) -> io::Result<()> {
    if OF_THE_KERNEL.contains(&statfs::statfs(folder)?.filesystem_type()) {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "it is a kernel file system, which stores no files"));
    }
    Ok(())
}

/// Whether the file may be written: root may write any, and still a file that nobody may write is not meant to be.
fn may_write(file: &Path) -> io::Result<()> {
    access(file, AccessFlags::W_OK)?;
    if fs::metadata(file)?.mode() & 0o222 == 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is read-only"));
    }
    Ok(())
}

/// A device or pipe, to write to. A pipe that nobody reads is an error at once.
fn stream(path: &Path) -> io::Result<File> {
    let file = File::options().append(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let flags = OFlag::from_bits_truncate(fcntl(&file, FcntlArg::F_GETFL)?);
    fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(file)
}

/// Changes a regular file in place, whose content must still be `before`: links are followed, owner and mode stay.
///
/// # Errors
/// A [`Failure`] with [`ExitStatus::Usage`]: it is read-only, not a regular file, or was changed meanwhile; it can't be written.
pub fn edit(path: &Path, before: &[u8], after: &[u8]) -> Result<()> {
    may_edit(path)?;
    let now = read(path, before.len()).with_context(|| format!("{} can't be read", path.display()))?;
    if now != before {
        let message = format!("{} was changed in the meantime, so hostler did not change it", path.display());
        return Err(Failure::new(ExitStatus::Usage, message, "edit the file yourself, or run the command again").into());
    }
    atomic::rewrite(path, after).with_context(|| format!("{} can't be written", path.display()))
}

/// Whether [`edit`] can change the file.
///
/// # Errors
/// As [`edit`].
pub fn may_edit(path: &Path) -> Result<()> {
    let place = Destination::of(path)?;
    if let Destination::File(_) = place {
        return Ok(());
    }
    let message = format!("{} can't be changed: it is not a regular file", path.display());
    Err(Failure::new(ExitStatus::Usage, message, "pass the path of a file").into())
}

/// At most `most` bytes of a file, plus one if it is longer. Only regular files: reading others may block or never end.
///
/// # Errors
/// It can't be read, or is not a regular file.
pub fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    read_from(regular(path)?, most)
}

/// As [`read`], of a file that is open.
///
/// # Errors
/// It can't be read.
pub fn read_from(file: File, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// As [`read`], a text of a moderate size.
///
/// # Errors
/// As [`read`]; it is too large, or not UTF-8.
pub fn text(path: &Path) -> io::Result<String> {
    String::from_utf8(at_most(path, MOST_BYTES)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// As [`read`], a program, an image or an archive of them.
///
/// # Errors
/// As [`read`]; it is too large.
pub fn whole(path: &Path) -> io::Result<Vec<u8>> {
    at_most(path, usize::try_from(MOST_ARTIFACT).unwrap_or(usize::MAX))
}

fn at_most(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let bytes = read(path, most)?;
    if bytes.len() > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is too large: the limit is {most} bytes")));
    }
    Ok(bytes)
}

/// A regular file or a disk, to read from any place in it.
///
/// # Errors
/// It can't be read, or is something else.
pub fn seekable(path: &Path) -> io::Result<File> {
    let file = open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() || kind.is_block_device() { Ok(file) } else { Err(not_regular()) }
}

/// A regular file, to read from it in pieces.
///
/// # Errors
/// As [`read`].
pub fn regular(path: &Path) -> io::Result<File> {
    let file = open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

/// As [`regular`], and never behind a link: for what another program may have put there.
///
/// # Errors
/// As [`regular`]; it is a symbolic link.
pub fn no_link(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

/// The error for a file of the command line that can't be read: whoever named it can name another.
pub fn unreadable(path: &Path, error: &io::Error) -> anyhow::Error {
    let message = format!("{} can't be read: {error}", path.display());
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::PermissionDenied => "run the command as a user who may read it",
        _ => "pass the path of a file",
    };
    Failure::new(ExitStatus::Usage, message, hint).into()
}

/// As [`unreadable`], for a file with a secret, which `option` names. Without a folder or an ending the path may be the secret itself, which
/// someone wrote there.
pub fn unreadable_secret(option: &str, path: &Path, error: &io::Error) -> anyhow::Error {
    if path.to_string_lossy().contains(['/', '.']) {
        return unreadable(path, error);
    }
    let message = format!("the file that `{option}` names can't be read: {error}");
    Failure::new(ExitStatus::Usage, message, format!("pass the path of a file to `{option}`, not what is in it")).into()
}

/// As [`read`], and also what a program writes to a pipe, or to standard input for the path `-`: it has a minute for each piece of it.
///
/// # Errors
/// It can't be read, is a device, or nobody writes to it.
pub fn read_or_listen(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let file = if path == Path::new("-") {
        let stdin = File::from(std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned()?);
        let kind = stdin.metadata()?.file_type();
        if kind.is_char_device() && !io::IsTerminal::is_terminal(&stdin) {
            return Err(not_regular());
        }
        stdin
    } else {
        open(path)?
    };
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if kind.is_file() || path == Path::new("-") && kind.is_char_device() {
        let mut bytes = Vec::new();
        file.take(most as u64 + 1).read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    if kind.is_fifo() || kind.is_socket() {
        return listen(file, most, WRITER, SILENCE);
    }
    Err(not_regular())
}

fn open(path: &Path) -> io::Result<File> {
    // Opening a pipe would block until it has a writer.
    let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
}

/// What is written to a pipe until its writer closes it. Until the first writer opens it, a pipe with a name looks closed.
fn listen(mut pipe: File, most: usize, writer: Duration, silence: Duration) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = vec![0; 1 << 16];
    let mut has_writer = false;
    while bytes.len() <= most {
        let timeout = PollTimeout::try_from(if has_writer { silence } else { writer }).unwrap_or(PollTimeout::MAX);
        let mut waiting = [PollFd::new(std::os::fd::AsFd::as_fd(&pipe), PollFlags::POLLIN)];
        match poll(&mut waiting, timeout) {
            Ok(0) if !has_writer && pipe.read(&mut piece).is_ok_and(|read| read == 0) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the file is a pipe, and no program writes to it"));
            }
            // It has a writer, which takes its time.
            Ok(0) if !has_writer => has_writer = true,
            Ok(0) => {
                let what = format!("nothing was written to it for {} s", silence.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, what));
            }
            Ok(_) => match pipe.read(&mut piece) {
                Ok(0) => return Ok(bytes),
                Ok(read) => {
                    has_writer = true;
                    bytes.extend_from_slice(&piece[..read]);
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            },
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(most + 1);
    Ok(bytes)
}

/// A path that is to become a folder: nothing, or an empty folder that can be replaced, is there. `other` tells whether a folder with something
/// in it may be used, too.
///
/// # Errors
/// A [`Failure`] with [`ExitStatus::Usage`]: something else is there, or nothing can be written there.
pub fn new_folder(path: &Path, other: impl Fn(&Path) -> bool) -> Result<PathBuf> {
    let wrong = |what: String| {
        let hint = "pass the path of a folder that is empty or does not exist";
        anyhow::Error::from(Failure::new(ExitStatus::Usage, what, hint))
    };
    let denied = |error: &io::Error| {
        let message = format!("{} can't be written: {error}", path.display());
        anyhow::Error::from(Failure::new(ExitStatus::Usage, message, "pass a path below a folder that you can write to"))
    };
    let place = match fs::canonicalize(path) {
        Ok(place) => place,
        Err(error) if is_nothing(&error) => {
            let plain: PathBuf = path.components().collect();
            let place = behind_links(&plain).map_err(|error| denied(&error))?;
            may_create(&place).map_err(|error| denied(&error))?;
            return Ok(place);
        }
        Err(error) => return Err(denied(&error)),
    };
    if !place.is_dir() {
        return Err(wrong(format!("{} is not a folder", path.display())));
    }
    let empty = fs::read_dir(&place).map_err(|error| denied(&error))?.next().is_none();
    if !empty && !other(&place) {
        return Err(wrong(format!("{} is not empty", path.display())));
    }
    access(&place, AccessFlags::W_OK | AccessFlags::X_OK)
        .map_err(io::Error::from)
        .and_then(|()| is_for_files(&place))
        .map_err(|error| denied(&error))?;
    // It is replaced as a whole, by a folder that is made beside it.
    let around = atomic::folder_of(&place);
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    if place.parent().is_none() || device(&place) != device(around) {
        let message = format!("{} is a mount point, which can't be replaced", path.display());
        return Err(Failure::new(ExitStatus::Usage, message, "pass the path of a folder below the mount point").into());
    }
    access(around, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|error| denied(&error.into()))?;
    Ok(place)
}

#[cfg(test)]
mod tests;
