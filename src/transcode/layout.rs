//! Paths on the two shares.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};
use hostler_core::films::settings::Settings;
use hostler_core::visible::visible;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::statvfs::statvfs;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::disc::is_disc;
use super::film::FilmId;
use crate::atomic;
use crate::user_file;

/// A file in the root of both shares. A folder without it is a mount point without a mounted share, never an empty share.
pub const MARKER: &str = ".hostler-share";

/// Longest file name of common file systems, in bytes.
pub const NAME_MAX: usize = 255;

/// The share that films are dropped into. It is one file system, so that a rename moves a film.
#[derive(Debug, Clone)]
pub struct Inbox {
    pub root: PathBuf,
}

impl Inbox {
    pub fn watch(&self) -> PathBuf {
        self.root.join("watch")
    }

    /// The film while it is processed.
    pub fn claim(&self, id: &FilmId) -> PathBuf {
        self.root.join("claim").join(id.as_str())
    }

    /// What lay beside the film, and goes with it.
    pub fn beside(&self, id: &FilmId) -> PathBuf {
        self.claim(id).join("beside")
    }

    /// Intermediate files of its encoder, which may write to nothing else: parts, progress, the log, its result.
    pub fn work(&self, id: &FilmId) -> PathBuf {
        self.root.join("work").join(id.as_str())
    }

    /// Progress and results of its publisher. No encoder's pod mounts it: what is here decides whether an original is needed any longer.
    pub fn publish(&self, id: &FilmId) -> PathBuf {
        self.root.join("publish").join(id.as_str())
    }

    /// The watcher's record of a film.
    pub fn ledger(&self, id: &FilmId) -> PathBuf {
        self.root.join("ledger").join(format!("{id}.json"))
    }

    /// Originals and replaced films, in a folder each.
    pub fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// A failed film; the reason is next to the folder.
    pub fn failed(&self, id: &FilmId) -> PathBuf {
        self.root.join("failed").join(id.as_str())
    }

    pub fn failed_reason(&self, id: &FilmId) -> PathBuf {
        self.root.join("failed").join(format!("{id}.txt"))
    }

    /// HandBrake's whole log of a failed film.
    pub fn failed_log(&self, id: &FilmId) -> PathBuf {
        self.root.join("failed").join(format!("{id}.log"))
    }

    /// Requests of users, a file each, until the watcher has processed them.
    pub fn requests(&self) -> PathBuf {
        self.root.join("requests")
    }

    /// While this file exists, no film is started.
    pub fn paused(&self) -> PathBuf {
        self.root.join("paused")
    }

    /// Creates missing folders.
    ///
    /// # Errors
    /// The share is not mounted (the marker is missing), or can't be written to.
    pub fn prepare<'a>(&self, folders: impl IntoIterator<Item = &'a String>) -> Result<()> {
        require_marker(&self.root)?;
        let parts = ["claim", "work", "publish", "ledger", "trash", "failed", "requests"].map(|part| self.root.join(part));
        let dropped_into = folders.into_iter().map(|name| self.watch().join(name));
        // A link in the place of one is listed as what is not taken.
        for folder in parts.into_iter().chain(dropped_into.filter(|folder| !folder.is_symlink())) {
            std::fs::create_dir_all(&folder).with_context(|| format!("{} can't be created", folder.display()))?;
        }
        Ok(())
    }
}

/// The share that media servers read. It may be on the same file system as the inbox, but often is not.
#[derive(Debug, Clone)]
pub struct Library {
    pub root: PathBuf,
}

/// The place in the library for a film of `watch/`, relative to both: the same folders, and the name with `.mkv`. `flat`: it is a folder with
/// the files of a disc.
///
/// # Errors
/// `path` is not of the form folders/name.
pub fn place_of(path: &Path, flat: bool) -> Result<PathBuf> {
    ensure!(is_below(path) && path.components().count() >= 2, "the film {} is not in a folder", shown(path));
    let (folder, name) = (path.parent().unwrap_or(path), path.file_name().unwrap_or_default());
    // A disc is a folder with a generic name; the film has the name of its parent folder.
    if is_disc(name) && folder.components().count() >= 2 {
        return Ok(folder.join(with_mkv(folder.file_name().unwrap_or_default(), false)));
    }
    Ok(folder.join(with_mkv(name, !is_disc(name) && !flat)))
}

/// Whether a relative path leads to nothing outside of the folder that it is joined to.
fn is_below(path: &Path) -> bool {
    path.components().next().is_some() && path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// A file name with `.mkv`, as long as file systems take. `has_extension`: the name has one that goes.
pub fn with_mkv(name: &OsStr, has_extension: bool) -> OsString {
    let stem = if has_extension { Path::new(name).file_stem().unwrap_or(name) } else { name };
    let mut bytes = stem.as_bytes().to_vec();
    shorten(&mut bytes, NAME_MAX - 4);
    bytes.extend_from_slice(b".mkv");
    OsString::from_vec(bytes)
}

fn shorten(bytes: &mut Vec<u8>, most: usize) {
    if bytes.len() <= most {
        return;
    }
    bytes.truncate(most);
    // Not inside a UTF-8 character.
    while bytes.len() + 4 > most && std::str::from_utf8(bytes).is_err() {
        bytes.pop();
    }
}

/// # Errors
/// The marker is missing.
pub fn require_marker(root: &Path) -> Result<()> {
    let marker = root.join(MARKER);
    match marker.try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => {
            anyhow::bail!(
                "{} is not mounted: it has no {MARKER}\nhint: mount the share; `hostler up` writes this file when it installs the workload",
                root.display()
            )
        }
        Err(error) => Err(anyhow::Error::new(error).context(format!("{} can't be read", root.display()))),
    }
}

/// Free and total bytes of the file system with `root`.
///
/// # Errors
/// As statvfs(3).
pub fn space(root: &Path) -> io::Result<(u64, u64)> {
    let space = statvfs(root)?;
    Ok((space.blocks_available() * space.fragment_size(), space.blocks() * space.fragment_size()))
}

/// A path for a message: always one line.
pub fn shown(path: &Path) -> String {
    visible(&path.to_string_lossy()).into_owned()
}

/// Writes `value` to the file, atomically and synced to disk.
///
/// # Errors
/// The folder can't be written to.
pub fn write_json(file: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    // Once written, it would have to be read.
    if text.len() > MOST_BYTES {
        return Err(too_large());
    }
    write_whole(file, &text)
}

/// As [`write_json`], for arbitrary bytes.
///
/// # Errors
/// The folder can't be written to.
pub fn write_whole(file: &Path, content: &[u8]) -> io::Result<()> {
    // Users may read it, too.
    atomic::write(file, content, 0o644)
}

/// The longest record that is read.
const MOST_BYTES: usize = 16 << 20;

/// A record that no encoder may write. What encoders write is read by [`from_encoder`](super::from_encoder) alone.
pub trait Trusted: DeserializeOwned {}

/// `None`: the file does not exist.
///
/// # Errors
/// It can't be read or parsed.
pub fn read_json<T: Trusted>(file: &Path) -> io::Result<Option<T>> {
    // Anyone who can write to the share may have written it.
    match user_file::read(file, MOST_BYTES) {
        Ok(text) if text.len() > MOST_BYTES => Err(too_large()),
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("it is too large for a film's record: the limit is {MOST_BYTES} bytes"))
}

/// Renames within a file system, synced to disk. A missing target folder is created.
///
/// # Errors
/// As rename(2).
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::rename(from, to)?;
    for folder in [from.parent(), to.parent()].into_iter().flatten() {
        atomic::sync_folder(folder)?;
    }
    Ok(())
}

/// As [`rename`], and never in the place of what is there.
///
/// # Errors
/// As renameat2(2): something is there, or is put there at this moment.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        // Not every file system knows this flag: NFS does not.
        Err(nix::Error::EINVAL | nix::Error::ENOSYS) => link_new(from, to)?,
        result => result?,
    }
    atomic::sync_folder(to.parent().unwrap_or(Path::new("/")))
}

/// As [`rename_new`], by a hard link: a file system that has neither is asked first what is there.
fn link_new(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::hard_link(from, to) {
        Ok(()) => return std::fs::remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        Err(_) => {}
    }
    match to.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::fs::rename(from, to),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
    }
}

/// A path in JSON: text if it is UTF-8, else its bytes, so that every name survives.
pub mod path_json {
    use super::{Deserialize, OsStrExt, OsString, OsStringExt, Path, PathBuf, Serialize};
    use serde::{Deserializer, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        Bytes(Vec<u8>),
    }

    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        match path.to_str() {
            Some(text) => serializer.serialize_str(text),
            None => Form::Bytes(path.as_os_str().as_bytes().to_vec()).serialize(serializer),
        }
    }

    /// # Errors
    /// The deserializer's.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        Ok(match Form::deserialize(deserializer)? {
            Form::Text(text) => PathBuf::from(text),
            Form::Bytes(bytes) => PathBuf::from(OsString::from_vec(bytes)),
        })
    }
}

/// As [`path_json`], for a path in the library: one that leads elsewhere is refused.
pub mod place_json {
    use super::{Path, PathBuf, is_below, path_json};
    use serde::de::Error as _;
    use serde::{Deserializer, Serializer};

    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        path_json::serialize(path, serializer)
    }

    /// # Errors
    /// The deserializer's; the path is not one below a folder.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        let path = path_json::deserialize(deserializer)?;
        if is_below(&path) { Ok(path) } else { Err(D::Error::custom("the path of the film is not one in the library")) }
    }
}

/// The settings of the workload's pods, mounted from a ConfigMap.
///
/// # Errors
/// The file can't be read, or is not valid [`Settings`]; the message has the position.
pub fn settings(file: &Path) -> Result<Settings> {
    let text = user_file::text(file).with_context(|| format!("{} can't be read", file.display()))?;
    Settings::parse(&text).with_context(|| format!("{} is not a valid settings file", file.display()))
}

/// Whether a user may give a film this name: a file name without its extension.
pub fn is_name(name: &str) -> bool {
    let plain = !name.contains(['/', '\0']) && !name.chars().any(char::is_control);
    plain && !name.trim().is_empty() && !name.starts_with('.') && name.trim() == name && name.len() <= NAME_MAX - 40
}

/// `NAME - LABEL.mkv`, and `NAME (2).mkv` for the second one of that name.
pub fn variant(place: &Path, label: Option<&str>, number: u64) -> PathBuf {
    let label = label.map(|label| format!(" - {label}")).unwrap_or_default();
    let number = if number > 1 { format!(" ({number})") } else { String::new() };
    let suffix = format!("{label}{number}");
    let mut name = place.file_stem().unwrap_or_default().as_bytes().to_vec();
    shorten(&mut name, (NAME_MAX - 4).saturating_sub(suffix.len()));
    name.extend_from_slice(suffix.as_bytes());
    name.extend_from_slice(b".mkv");
    place.with_file_name(OsString::from_vec(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(path: &str) -> String {
        place_of(Path::new(path), false).expect("a film").to_string_lossy().into_owned()
    }

    #[test]
    fn folders_are_kept_and_the_name_ends_in_mkv() {
        assert_eq!(placed("Movies/Up.iso"), "Movies/Up.mkv");
        assert_eq!(placed("Movies/(500) Days of Summer (2009)/-rf.m2ts"), "Movies/(500) Days of Summer (2009)/-rf.mkv");
        assert_eq!(placed("Movies/Dr. No.mkv"), "Movies/Dr. No.mkv");
        assert_eq!(placed("Movies/Mr. Bean/VIDEO_TS"), "Movies/Mr. Bean/Mr. Bean.mkv");
    }

    #[test]
    fn a_long_name_is_truncated_between_characters() {
        let name = format!("Movies/{}.ts", "é".repeat(126));
        let place = placed(&name);
        let file = place.strip_prefix("Movies/").expect("the folder stays");
        assert!(file.len() <= NAME_MAX && file.ends_with("é.mkv"), "{file}");
        assert_eq!(placed(&format!("Movies/{}.mkv", "x".repeat(246))).len(), 7 + 250);
    }

    #[test]
    fn no_place_is_outside_the_library() {
        for path in ["../etc/x.mkv", "/etc/x.mkv", "Movies/../../x.mkv", "x.mkv", ""] {
            assert!(place_of(Path::new(path), false).is_err(), "{path}");
        }
    }

    #[test]
    fn a_share_without_its_marker_is_not_mounted() {
        let folder = tempfile::tempdir().expect("a folder");
        let inbox = Inbox { root: folder.path().to_owned() };
        assert!(inbox.prepare([&"Movies".to_owned()]).expect_err("no marker").to_string().contains("is not mounted"));
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
        std::fs::write(folder.path().join(MARKER), "").expect("written");
        inbox.prepare([&"Movies".to_owned()]).expect("mounted");
        assert!(inbox.watch().join("Movies").is_dir());
    }

    #[test]
    fn what_is_new_takes_no_others_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, to) = (folder.path().join("new"), folder.path().join("there"));
        std::fs::write(&from, "new").expect("written");
        std::fs::write(&to, "there").expect("written");
        assert_eq!(rename_new(&from, &to).expect_err("something is there").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&to).expect("read"), b"there");
        std::fs::remove_file(&to).expect("removed");
        rename_new(&from, &to).expect("the place is free");
        // As on NFS.
        std::fs::write(&from, "new").expect("written");
        assert_eq!(link_new(&from, &to).expect_err("something is there").kind(), io::ErrorKind::AlreadyExists);
        assert!(from.exists());
        std::fs::remove_file(&to).expect("removed");
        link_new(&from, &to).expect("the place is free");
        assert!(to.exists() && !from.exists());
    }

    #[test]
    fn paths_of_any_bytes_survive_json() {
        #[derive(Serialize, Deserialize)]
        struct Holder(#[serde(with = "path_json")] PathBuf);
        for bytes in [&b"Movies/a\nb.mkv"[..], b"Movies/\xff\xfe.mkv"] {
            let path = PathBuf::from(OsString::from_vec(bytes.to_vec()));
            let text = serde_json::to_string(&Holder(path.clone())).expect("plain data");
            assert_eq!(serde_json::from_str::<Holder>(&text).expect("the same").0, path);
        }
    }
}
