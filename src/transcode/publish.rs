//! Publishes a verified film to the library, atomically.
//!
//! The library may be another file system, so a rename can't move the film there. It is copied under a hidden name, read back and compared,
//! and renamed. An earlier version of the same film is moved to the trash, but only when the new one is next to it. Another film of that name
//! stays where it is.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hostler_core::digest::hex;
use hostler_core::quantity::size;
use jiff::Timestamp;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::film::FilmId;
use super::from_encoder;
use super::layout::{self, Inbox, Library, read_json, require_marker, shown, write_json};
use super::ledger::{Film, Original, Stage};
use super::name;
use super::record::{ENCODED, Encoded, GO, InLibrary, PUBLISHED, Part, Published, READY, Said};
use super::trash;
use crate::{atomic, user_file};

mod beside;

use beside::beside;

const BLOCK: usize = 1 << 20;
/// How long the watcher may take to find out whether anyone plays what is to be replaced: it asks again once the film is copied.
const ASKS_FOR: Duration = Duration::from_secs(120);
/// Part of the library's disk that stays free, if the inventory's `reserve` is not less.
const STAYS_FREE: u64 = 100;
const PART: &str = ".part";

/// Copies the film into the library. Until [`record`] is called, another attempt repeats this, and finds the film there.
///
/// `who` identifies this attempt, as another one may still be running on a disconnected machine; `reserve` bytes of the library stay free, or a
/// hundredth of it; `moved` counts the bytes that were copied and compared.
///
/// # Errors
/// A share is missing or full, or the copy differs from the encoded film. The library is then unchanged.
pub fn run(inbox: &Inbox, library: &Library, id: &FilmId, who: &str, reserve: u64, moved: &Arc<AtomicU64>) -> Result<Published> {
    require_marker(&inbox.root)?;
    require_marker(&library.root)?;
    let work = inbox.work(id);
    let film: Film = read_json(&inbox.ledger(id))?.with_context(|| format!("{id} is not in the ledger"))?;
    if let Some(published) = said(inbox, &film, PUBLISHED)? {
        return Ok(published);
    }
    let encoded: Option<Encoded> = from_encoder::read(&work, ENCODED)?.map_err(anyhow::Error::msg)?;
    let encoded = encoded.with_context(|| format!("{id} is not encoded yet"))?;
    let wanted = film.place()?;
    let base = name::fitting(&library.root, &wanted, &part_name(id, who))?;
    let others = films(inbox)?;
    let mut files: Vec<InLibrary> = Vec::new();
    let mut remarks = encoded.remarks.clone();
    if base != wanted {
        remarks.push(format!("the library does not accept the name `{}`", shown(&wanted)));
    }
    for part in encoded.parts() {
        let one = One { inbox, library, film: &film, part, others: &others, taken: &files, reserve };
        let (published, remark) = one.run(&work, &base, who, moved)?;
        remarks.extend(remark);
        files.push(published);
    }
    let mut files = files.into_iter();
    let first = files.next().context("the encoded film has no parts")?;
    remarks.extend(beside(inbox, library, &film, &first, who)?);
    Ok(Published {
        film: first,
        more: files.collect(),
        remarks,
        media_server: None,
        media_server_failed: false,
        renamed: None,
        original: encoded.original,
        speed: encoded.speed,
        space: layout::space(&library.root).ok(),
        at: Timestamp::now(),
    })
}

/// The films that are known, to tell what is in the library.
fn films(inbox: &Inbox) -> Result<Vec<Film>> {
    let mut films = Vec::new();
    for entry in std::fs::read_dir(inbox.root.join("ledger")).context("the ledger can't be read")? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "json") {
            // One that can't be read says nothing about the library, so its film is not replaced.
            films.extend(read_json::<Film>(&file).ok().flatten());
        }
    }
    Ok(films)
}

/// One file on its way to the library.
struct One<'a> {
    inbox: &'a Inbox,
    library: &'a Library,
    film: &'a Film,
    part: &'a Part,
    others: &'a [Film],
    /// What was published before of the same original.
    taken: &'a [InLibrary],
    /// Bytes.
    reserve: u64,
}

/// What is at a place in the library.
enum There {
    Nothing,
    /// This file itself: an earlier attempt came this far.
    Itself,
    /// An earlier version of the same film.
    Earlier,
    /// Another film, or it is not known.
    Other,
}

impl One<'_> {
    /// The file in the library, and a remark for the film's owner.
    fn run(&self, work: &Path, base: &Path, who: &str, moved: &Arc<AtomicU64>) -> Result<(InLibrary, Option<String>)> {
        let (film, id) = (self.film, &self.film.id);
        let folder = self.library.root.join(base).parent().unwrap_or(&self.library.root).to_owned();
        make_folders(&self.library.root, &folder)?;
        let source = self.part.path(work)?;
        // Another attempt that still uses the removed files fails, and does no harm.
        remove_parts(&folder, id).with_context(|| format!("an earlier copy in {} can't be removed", shown(&folder)))?;
        self.has_room(&folder)?;
        let hidden = folder.join(part_name(id, who));
        let copied = encoded_film(&source)
            .and_then(|film| copied(film, &hidden, moved))
            .with_context(|| format!("{} can't be copied to the library", film.path.display()));
        let sha256 = copied.and_then(|(size, sha256)| {
            ensure!(size == self.part.size, "only {size} of {} bytes were copied", self.part.size);
            ensure!(
                self.part.sha256.as_ref().is_none_or(|verified| *verified == sha256),
                "the encoded film has changed since it was verified; the disk of the inbox may be failing"
            );
            ensure!(
                hash(&hidden, moved)? == sha256,
                "the copy in the library differs from the data that was written; the disk of the \
                library may be failing"
            );
            Ok(sha256)
        });
        let sha256 = sha256.inspect_err(|_| {
            let _ = std::fs::remove_file(&hidden);
        })?;
        self.may_replace(who).inspect_err(|_| {
            let _ = std::fs::remove_file(&hidden);
        })?;
        // A disconnected attempt may come back after the film was encoded again, or was given another name.
        let now: Option<Film> = read_json(&self.inbox.ledger(id))?;
        if now.is_none_or(|now| (now.round, &now.stage, &now.name) != (film.round, &Stage::Encoded, &film.name)) {
            std::fs::remove_file(&hidden)?;
            bail!("another attempt has processed the film in the meantime");
        }
        for number in 1.. {
            let relative = layout::variant(base, self.part.label.as_deref(), number);
            if self.taken.iter().any(|file| file.path == relative) {
                continue;
            }
            let place = self.library.root.join(&relative);
            let there = self.there(&relative, &place, &sha256)?;
            if matches!(there, There::Other) {
                continue;
            }
            let replaced = matches!(there, There::Earlier);
            if replaced {
                let entry = trash::folder(self.inbox, id, film.round, trash::Kind::Replaced);
                let name = place.file_name().unwrap_or_default();
                keep_copy(&place, &entry.join(name)).with_context(|| format!("{} can't be moved to the trash", shown(&place)))?;
            }
            // Another film, whose name the library takes for the same one, may have come there since.
            let named = if matches!(there, There::Nothing) { layout::rename_new } else { layout::rename };
            named(&hidden, &place).with_context(|| format!("{} can't be renamed to its final name", shown(&place)))?;
            let remark = (number > 1).then(|| {
                format!(
                    "the existing `{}` is a different film, so this one is named `{}`",
                    shown(&layout::variant(base, self.part.label.as_deref(), 1)),
                    shown(&relative)
                )
            });
            let Part { size, label, content, measured, .. } = self.part.clone();
            return Ok((InLibrary { path: relative, size, sha256, replaced, label, content, measured }, remark));
        }
        bail!("all names for {} are taken", shown(base))
    }

    /// A disk that is full to its last byte troubles whatever else is on it.
    fn has_room(&self, folder: &Path) -> Result<()> {
        let (free, all) = layout::space(folder)?;
        let needed = self.part.size.saturating_add(self.reserve.min(all / STAYS_FREE));
        ensure!(free >= needed, "the library has too little space: {} free, {} needed", size(free), size(needed));
        Ok(())
    }

    /// Waits for the watcher's word that nobody plays the original which this film replaces. It had asked before this attempt began; a copy may
    /// take long, and someone may have begun to play it.
    fn may_replace(&self, who: &str) -> Result<()> {
        if self.film.original != Original::Published {
            return Ok(());
        }
        record(self.inbox, &self.film.id, &Said::of(self.film, who), READY)?;
        let asked = Instant::now();
        loop {
            if awaited::<String>(self.inbox, self.film, GO)?.as_deref() == Some(who) {
                return Ok(());
            }
            ensure!(asked.elapsed() < ASKS_FOR, "encoded; waiting until it is known that no one plays the original");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn there(&self, relative: &Path, place: &Path, sha256: &str) -> Result<There> {
        let metadata = match place.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => return Ok(There::Other),
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(There::Nothing),
            Err(error) => return Err(error).with_context(|| format!("{} can't be read", shown(place))),
        };
        let unread = Arc::new(AtomicU64::new(0));
        if metadata.len() == self.part.size && hash(place, &unread).is_ok_and(|there| there == sha256) {
            return Ok(There::Itself);
        }
        // What has another size was put there by somebody else.
        let is_it = |file: &InLibrary| file.path == relative && file.size == metadata.len();
        if self.film.earlier.as_ref().is_some_and(|earlier| earlier.files().any(is_it)) {
            return Ok(There::Earlier);
        }
        let published = self.others.iter().filter_map(Film::published).flat_map(Published::files).filter(|file| is_it(file));
        let content = self.part.content.as_ref();
        let same = published.filter_map(|file| file.content.as_ref()).any(|there| content.is_some_and(|content| content.replaces(there)));
        Ok(if same { There::Earlier } else { There::Other })
    }
}

/// Prefix of the name of an unfinished copy of the film.
fn part_of(id: &FilmId) -> String {
    format!(".hostler-{id}.")
}

/// What this attempt works on, beside the film's place.
fn part_name(id: &FilmId, who: &str) -> String {
    format!("{}{who}{PART}", part_of(id))
}

fn remove_parts(folder: &Path, id: &FilmId) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with(&part_of(id)) && name.ends_with(PART));
        if ours && entry.file_type()?.is_dir() {
            // In it the name was tried.
            std::fs::remove_dir_all(entry.path())?;
        } else if ours {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// What a publisher said of a film as it is now; `None`: nothing.
///
/// # Errors
/// The inbox can't be read.
pub fn said<T: DeserializeOwned>(inbox: &Inbox, film: &Film, name: &str) -> io::Result<Option<T>> {
    let said: Option<Said<T>> = read_json(&inbox.publish(&film.id).join(name))?;
    Ok(said.and_then(|said| said.about(film)))
}

/// As [`said`], of a word that one waits for. On NFS a file that was not there stays so for a minute, unless its folder is read.
///
/// # Errors
/// The inbox can't be read.
pub fn awaited<T: DeserializeOwned>(inbox: &Inbox, film: &Film, name: &str) -> io::Result<Option<T>> {
    let _ = std::fs::read_dir(inbox.publish(&film.id));
    said(inbox, film, name)
}

/// Writes what a publisher says: never to the folder of an encoder, which could write that, too.
///
/// # Errors
/// The inbox is not mounted, or can't be written to.
pub fn record(inbox: &Inbox, id: &FilmId, said: &impl Serialize, name: &str) -> Result<()> {
    require_marker(&inbox.root)?;
    let folder = inbox.publish(id);
    std::fs::create_dir_all(&folder)?;
    Ok(write_json(&folder.join(name), said)?)
}

/// A hard link to the old version if the trash is on the same file system, else a copy: the library is never without the film.
fn keep_copy(old: &Path, kept: &Path) -> Result<()> {
    if kept.try_exists()? {
        // An earlier attempt came this far. Only a complete copy is renamed.
        return Ok(());
    }
    let folder = kept.parent().context("the trash entry is not in a folder")?;
    std::fs::create_dir_all(folder)?;
    if std::fs::hard_link(old, kept).is_ok() {
        return Ok(atomic::sync_folder(folder)?);
    }
    let part = folder.join(".part");
    let counted = Arc::new(AtomicU64::new(0));
    let (_, sha256) = copy(old, &part, &counted)?;
    ensure!(hash(&part, &counted)? == sha256, "the copy in the trash differs from the data that was written");
    Ok(layout::rename(&part, kept)?)
}

/// Creates the folders of a film, synced to disk.
fn make_folders(root: &Path, folder: &Path) -> Result<()> {
    let missing: Vec<PathBuf> = folder.ancestors().take_while(|path| *path != root && !path.is_dir()).map(Path::to_owned).collect();
    for path in missing.iter().rev() {
        match std::fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("{} can't be created in the library", shown(path)));
            }
            _ => atomic::sync_folder(path.parent().unwrap_or(root))?,
        }
    }
    Ok(())
}

/// Copies a file and syncs it to disk; returns its size and sha256. `moved` counts bytes.
///
/// # Errors
/// One of the two can't be read or written.
pub fn copy(from: &Path, to: &Path, moved: &Arc<AtomicU64>) -> Result<(u64, String)> {
    copied(user_file::regular(from)?, to, moved)
}

/// The film that an encoder left, opened where it should be: the encoder may have put a link in its place, or in that of its folder.
fn encoded_film(path: &Path) -> Result<File> {
    let film = user_file::no_link(path)?;
    let opened = std::fs::read_link(format!("/proc/self/fd/{}", film.as_raw_fd()))?;
    // The root of the share may itself be behind a link; what is below it may not.
    let (Some(work), Some(name)) = (path.parent(), path.file_name()) else { bail!("it is not in a folder") };
    let (Some(share), Some(id)) = (work.parent().and_then(Path::parent), work.file_name()) else {
        bail!("it is not in a work folder of a share")
    };
    let kind = work.parent().and_then(Path::file_name).unwrap_or_default();
    ensure!(opened == share.canonicalize()?.join(kind).join(id).join(name), "it is a symbolic link, or in a folder that is one");
    Ok(film)
}

fn copied(mut from: File, to: &Path, moved: &Arc<AtomicU64>) -> Result<(u64, String)> {
    let mut to = File::create(to)?;
    let mut hash = Sha256::new();
    let mut block = vec![0; BLOCK];
    let mut size = 0;
    loop {
        let read = from.read(&mut block)?;
        if read == 0 {
            break;
        }
        hash.update(&block[..read]);
        to.write_all(&block[..read])?;
        size += read as u64;
        moved.fetch_add(read as u64, Ordering::Relaxed);
    }
    to.sync_all()?;
    // The comparison should read from disk, not from the page cache, if the file system honors this.
    let _ = posix_fadvise(&to, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    Ok((size, hex(&hash.finalize())))
}

/// The sha256 of a file. `moved` counts bytes.
///
/// # Errors
/// It can't be read.
pub fn hash(file: &Path, moved: &Arc<AtomicU64>) -> Result<String> {
    let mut file = user_file::regular(file)?;
    let mut hash = Sha256::new();
    let mut block = vec![0; BLOCK];
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&block[..read]);
        moved.fetch_add(read as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
