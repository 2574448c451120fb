//! Publishes a verified film to the library, atomically.
//!
//! The library may be another file system, so a rename can't move the film there. It is copied under a hidden name, read back and compared,
//! and renamed. An earlier version is moved to the trash, but only when the new one is next to it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail, ensure};
use hostler_core::digest::hex;
use jiff::Timestamp;
use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};
use sha2::{Digest, Sha256};

use super::film::FilmId;
use super::layout::{self, Inbox, Library, place_of, read_json, require_marker, shown, write_json};
use super::ledger::{Film, Stage};
use super::record::{ENCODED, Encoded, PUBLISHED, Published};
use super::trash;
use crate::atomic;

const BLOCK: usize = 1 << 20;
const PART: &str = ".part";

/// Copies the film into the library. Until [`record`] is called, another attempt repeats this, and finds the film there.
///
/// `who` identifies this attempt, as another one may still be running on a disconnected machine; `moved` counts the bytes that were copied
/// and compared.
///
/// # Errors
/// A share is missing or full, or the copy differs from the encoded film. The library is then unchanged.
pub fn run(inbox: &Inbox, library: &Library, id: &FilmId, who: &str, moved: &Arc<AtomicU64>) -> Result<Published> {
    require_marker(&inbox.root)?;
    require_marker(&library.root)?;
    let work = inbox.work(id);
    if let Some(published) = read_json::<Published>(&work.join(PUBLISHED))? {
        return Ok(published);
    }
    let film: Film = read_json(&inbox.ledger(id))?.with_context(|| format!("{id} is not in the ledger"))?;
    let encoded: Encoded = read_json(&work.join(ENCODED))?.with_context(|| format!("{id} is not encoded yet"))?;
    let relative = place_of(&film.path)?;
    let place = library.root.join(&relative);
    let folder = place.parent().unwrap_or(&library.root).to_owned();
    make_folders(&library.root, &folder)?;

    let source = encoded.path(&work)?;
    // Another attempt that still uses the removed files fails, and does no harm.
    remove_parts(&folder, id).with_context(|| format!("{} can't be cleared of an earlier copy", shown(&folder)))?;
    let hidden = folder.join(format!("{}{who}{PART}", part_of(id)));
    let copied = encoded_film(&source)
        .and_then(|film| copied(film, &hidden, moved))
        .with_context(|| format!("{} can't be copied to the library", film.path.display()));
    let sha256 = copied.and_then(|(size, sha256)| {
        ensure!(size == encoded.size, "{size} bytes were copied of {}", encoded.size);
        ensure!(hash(&hidden, moved)? == sha256, "the copy in the library differs from what was written; its disk may be failing");
        Ok(sha256)
    });
    let sha256 = sha256.inspect_err(|_| {
        let _ = std::fs::remove_file(&hidden);
    })?;

    // A disconnected attempt may come back after the film was encoded again.
    let now: Option<Film> = read_json(&inbox.ledger(id))?;
    if now.is_none_or(|now| (now.round, &now.stage) != (film.round, &Stage::Encoded)) {
        std::fs::remove_file(&hidden)?;
        anyhow::bail!("another attempt has processed the film meanwhile");
    }
    let replaced = replace(inbox, &film, &hidden, &place, &sha256)?;
    Ok(Published {
        path: relative,
        size: encoded.size,
        sha256,
        replaced,
        media_server: None,
        space: layout::space(&library.root).ok(),
        at: Timestamp::now(),
    })
}

/// Prefix of the name of an unfinished copy of the film.
fn part_of(id: &FilmId) -> String {
    format!(".hostler-{id}.")
}

fn remove_parts(folder: &Path, id: &FilmId) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with(&part_of(id)) && name.ends_with(PART));
        if ours {
            std::fs::remove_file(folder.join(name))?;
        }
    }
    Ok(())
}

/// Writes `published.json`: the film is in the library, and the media server was notified.
///
/// # Errors
/// The inbox can't be written to.
pub fn record(inbox: &Inbox, id: &FilmId, published: &Published) -> Result<()> {
    write_json(&inbox.work(id).join(PUBLISHED), published).context("the film is in the library, but that can't be recorded")
}

/// Renames the copy to its final name. An existing file is moved to the trash before.
fn replace(inbox: &Inbox, film: &Film, hidden: &Path, place: &Path, sha256: &str) -> Result<bool> {
    let mut replaced = false;
    match place.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => anyhow::bail!("{} is a folder in the library", shown(place)),
        Ok(metadata) => {
            // An attempt was killed after the rename, before it was recorded: the film is there already.
            let unread = Arc::new(AtomicU64::new(0));
            let same = metadata.len() == hidden.metadata()?.len() && hash(place, &unread).is_ok_and(|there| there == sha256);
            if !same {
                let entry = trash::folder(inbox, &film.id, film.round, trash::Kind::Replaced);
                let name = place.file_name().unwrap_or_default();
                keep_copy(place, &entry.join(name)).with_context(|| format!("{} can't be moved to the trash", shown(place)))?;
                replaced = true;
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("{} can't be read", shown(place))),
    }
    layout::rename(hidden, place).with_context(|| format!("{} can't be renamed to its final name", shown(place)))?;
    Ok(replaced)
}

/// A hard link to the old version if the trash is on the same file system, else a copy: the library is never without the film.
fn keep_copy(old: &Path, kept: &Path) -> Result<()> {
    if kept.try_exists()? {
        // An earlier attempt came this far. Only a complete copy is renamed.
        return Ok(());
    }
    let folder = kept.parent().context("a trash entry is in a folder")?;
    std::fs::create_dir_all(folder)?;
    if std::fs::hard_link(old, kept).is_ok() {
        return Ok(atomic::sync_folder(folder)?);
    }
    let part = folder.join(".part");
    let counted = Arc::new(AtomicU64::new(0));
    let (_, sha256) = copy(old, &part, &counted)?;
    ensure!(hash(&part, &counted)? == sha256, "the copy differs from what was written");
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
    copied(File::open(from)?, to, moved)
}

/// The film that an encoder left, opened where it should be: the encoder may have put a link in its place, or in that of its folder.
fn encoded_film(path: &Path) -> Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let film = File::options().read(true).custom_flags(flags.bits()).open(path)?;
    let opened = std::fs::read_link(format!("/proc/self/fd/{}", film.as_raw_fd()))?;
    // The root of the share may itself be behind a link; what is below it may not.
    let (Some(work), Some(name)) = (path.parent(), path.file_name()) else { bail!("it is not in a folder") };
    let (Some(share), Some(id)) = (work.parent().and_then(Path::parent), work.file_name()) else {
        bail!("it is not in a share's folder of films")
    };
    let kind = work.parent().and_then(Path::file_name).unwrap_or_default();
    ensure!(opened == share.canonicalize()?.join(kind).join(id).join(name), "a symbolic link is in its place");
    ensure!(film.metadata()?.is_file(), "it is not a regular file");
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

fn hash(file: &Path, moved: &Arc<AtomicU64>) -> Result<String> {
    let mut file = File::open(file)?;
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
mod tests {
    use super::super::layout::MARKER;
    use super::super::record::Stamp;
    use super::*;

    struct Shares {
        _folder: tempfile::TempDir,
        inbox: Inbox,
        library: Library,
    }

    impl Shares {
        fn new() -> Shares {
            let folder = tempfile::tempdir().expect("a folder");
            let (inbox, library) = (Inbox { root: folder.path().join("inbox") }, Library { root: folder.path().join("library") });
            for root in [&inbox.root, &library.root] {
                std::fs::create_dir(root).expect("made");
                std::fs::write(root.join(MARKER), "").expect("written");
            }
            inbox.prepare([&"Movies".to_owned()]).expect("made");
            Shares { _folder: folder, inbox, library }
        }

        /// A film that is encoded, its bytes being `content`.
        fn encoded(&self, path: &str, content: &str) -> FilmId {
            let stamp = Stamp { size: content.len() as u64, modified: 1 };
            let id = FilmId::new(Path::new(path), stamp.size, content.bytes().map(i128::from).sum());
            let film = Film {
                id: id.clone(),
                path: path.into(),
                folder: "Movies".to_owned(),
                stamp,
                round: 1,
                claimed: Timestamp::UNIX_EPOCH,
                stage: Stage::Encoded,
                attempts: 0,
                counted: 0,
                last_reason: None,
                not_before: None,
            };
            write_json(&self.inbox.ledger(&id), &film).expect("written");
            let work = self.inbox.work(&id);
            std::fs::create_dir_all(&work).expect("made");
            std::fs::write(work.join("a.mkv"), content).expect("written");
            let encoded = Encoded {
                file: "a.mkv".to_owned(),
                size: stamp.size,
                duration: 1.0,
                frames: 25,
                source: stamp,
                machine: "rarity".to_owned(),
                took: 1.0,
                at: Timestamp::UNIX_EPOCH,
            };
            write_json(&work.join(ENCODED), &encoded).expect("written");
            id
        }

        fn publish(&self, id: &FilmId) -> Result<Published> {
            let published = run(&self.inbox, &self.library, id, "one", &Arc::default())?;
            record(&self.inbox, id, &published)?;
            Ok(published)
        }

        fn in_library(&self, path: &str) -> String {
            std::fs::read_to_string(self.library.root.join(path)).expect("a film")
        }

        /// Contents of all films in the trash.
        fn in_trash(&self) -> Vec<String> {
            let entries = std::fs::read_dir(self.inbox.trash()).expect("a folder");
            let films = entries.flat_map(|entry| std::fs::read_dir(entry.expect("listed").path()).expect("a folder"));
            let mut contents: Vec<String> =
                films.map(|film| std::fs::read_to_string(film.expect("listed").path()).expect("a film")).collect();
            contents.sort();
            contents
        }
    }

    /// Whatever an encoder says its film is, and whatever it puts in its place: nothing but a file of its own work folder is published.
    #[test]
    fn no_other_file_of_the_publisher_is_published() {
        let published = |file: &str, place: fn(&Path, &Path)| {
            let shares = Shares::new();
            let secret = shares.library.root.parent().expect("a folder").join("token");
            std::fs::write(&secret, "a secret").expect("written");
            let id = shares.encoded("Movies/Up.mkv", "a film as");
            let work = shares.inbox.work(&id);
            let mut encoded = Encoded::of(&work).expect("read").expect("encoded");
            encoded.file = file.replace("SECRET", &secret.display().to_string());
            write_json(&work.join(ENCODED), &encoded).expect("written");
            place(&work, &secret);
            let error = shares.publish(&id).expect_err(file);
            assert!(!shares.library.root.join("Movies/Up.mkv").exists(), "{file}: {error:#}");
        };
        for file in ["SECRET", "../../token", "../a.mkv", "./a.mkv", "a.mkv/", "", ".", "..", "x/a.mkv"] {
            published(file, |_, _| {});
        }
        published("b.mkv", |work, secret| std::os::unix::fs::symlink(secret, work.join("b.mkv")).expect("a link"));
        published("b.mkv", |work, _| std::fs::create_dir(work.join("b.mkv")).expect("a folder"));
        published("b.mkv", |work, _| {
            nix::unistd::mkfifo(&work.join("b.mkv"), nix::sys::stat::Mode::from_bits_truncate(0o600)).expect("a pipe");
        });
        // The folder itself is a link to where a file of that name is.
        published("token", |work, secret| {
            let elsewhere = secret.parent().expect("a folder");
            std::fs::copy(work.join(ENCODED), elsewhere.join(ENCODED)).expect("copied");
            std::fs::remove_dir_all(work).expect("removed");
            std::os::unix::fs::symlink(elsewhere, work).expect("a link");
        });
    }

    #[test]
    fn only_the_film_is_published() {
        let shares = Shares::new();
        let id = shares.encoded("Movies/Up (2009)/Up.iso", "film");
        let published = shares.publish(&id).expect("published");
        assert!(!published.replaced);
        assert_eq!(shares.in_library("Movies/Up (2009)/Up.mkv"), "film");
        assert_eq!(std::fs::read_dir(shares.library.root.join("Movies/Up (2009)")).expect("a folder").count(), 1);
        assert_eq!(shares.publish(&id).expect("again"), published, "a second pod changes nothing");
    }

    #[test]
    fn an_earlier_version_is_replaced_and_kept_in_the_trash() {
        let shares = Shares::new();
        shares.publish(&shares.encoded("Movies/Up.mkv", "old")).expect("published");
        let newer = shares.encoded("Movies/Up.mkv", "newer");
        assert!(shares.publish(&newer).expect("published").replaced);
        assert_eq!(shares.in_library("Movies/Up.mkv"), "newer");
        assert_eq!(shares.in_trash(), ["old"]);
        // Killed after the rename: the next pod finds its own film in place, and does not trash it.
        std::fs::remove_file(shares.inbox.work(&newer).join(PUBLISHED)).expect("removed");
        assert!(!shares.publish(&newer).expect("published").replaced);
        assert_eq!(shares.in_trash(), ["old"]);
    }

    #[test]
    fn the_same_name_in_two_folders_stays_two_films() {
        let shares = Shares::new();
        for (path, content) in [("Movies/a/trailer.mkv", "one"), ("Movies/b/trailer.mkv", "two")] {
            shares.publish(&shares.encoded(path, content)).expect("published");
        }
        assert_eq!((shares.in_library("Movies/a/trailer.mkv"), shares.in_library("Movies/b/trailer.mkv")), ("one".into(), "two".into()));
        assert_eq!(shares.in_trash(), [""; 0]);
    }

    #[test]
    fn a_disconnected_attempt_disturbs_no_other() {
        let shares = Shares::new();
        let id = shares.encoded("Movies/Up.mkv", "film");
        let folder = shares.library.root.join("Movies");
        std::fs::create_dir(&folder).expect("made");
        // Killed or disconnected in the middle of its copy.
        let part = folder.join(format!(".hostler-{id}.other.part"));
        std::fs::write(&part, "fi").expect("written");
        let mut disconnected = File::options().append(true).open(&part).expect("there");
        shares.publish(&id).expect("published");
        disconnected.write_all(b"xx").expect("it does not know");
        assert_eq!(shares.in_library("Movies/Up.mkv"), "film");
        assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 1);
        // It comes back, and the film is done.
        std::fs::remove_file(shares.inbox.work(&id).join(PUBLISHED)).expect("removed");
        let ledger = shares.inbox.ledger(&id);
        let film: Film = read_json(&ledger).expect("readable").expect("there");
        write_json(&ledger, &Film { stage: Stage::Claimed, round: 2, ..film }).expect("written");
        assert!(shares.publish(&id).expect_err("too late").to_string().contains("another attempt"));
        assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 1);
    }

    #[test]
    fn a_library_that_is_not_mounted_gets_nothing() {
        let shares = Shares::new();
        let id = shares.encoded("Movies/Up.mkv", "film");
        std::fs::remove_file(shares.library.root.join(MARKER)).expect("removed");
        assert!(shares.publish(&id).expect_err("no marker").to_string().contains("is not mounted"));
        assert!(!shares.library.root.join("Movies").exists());
    }

    #[test]
    fn a_short_file_is_not_published() {
        let shares = Shares::new();
        let id = shares.encoded("Movies/Up.mkv", "film");
        std::fs::write(shares.inbox.work(&id).join("a.mkv"), "fi").expect("written");
        assert!(format!("{:#}", shares.publish(&id).expect_err("short")).contains("2 bytes were copied of 4"));
        assert_eq!(std::fs::read_dir(shares.library.root.join("Movies")).expect("a folder").count(), 0);
    }
}
