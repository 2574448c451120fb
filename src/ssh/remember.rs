//! Changes to the user's known_hosts: adds, replaces or removes the keys of one host, and nothing else.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ring::rand::{SecureRandom, SystemRandom};
use russh::keys::{PublicKey, PublicKeyBase64};

use super::known_hosts::{Line, Marker, hash_of, is_hash_of, writable};
use super::target::Target;
use crate::{atomic, user_file};

/// Appends `key` to the first known_hosts file of the target, in one write under a lock. Does nothing if it is there already.
///
/// # Errors
/// The file can't be written, there is none, or another program keeps it locked.
pub fn remember(target: &Target, key: &PublicKey) -> Result<()> {
    let file = writable(target).context("no known_hosts file is configured")?;
    let _lock = lock(file)?;
    append(file, target, key).with_context(|| format!("{} can't be written", file.display()))
}

/// Removes all keys of the target and adds `key`.
///
/// # Errors
/// As [`remember`].
pub fn replace(target: &Target, key: &PublicKey) -> Result<()> {
    let file = writable(target).context("no known_hosts file is configured")?;
    let _lock = lock(file)?;
    forget_in_all(target)?;
    append(file, target, key).with_context(|| format!("{} can't be written", file.display()))
}

/// Removes the target's keys from the user's known_hosts. Lines with wildcards, `@revoked` and `@cert-authority` lines stay; of a line for
/// several hosts only this one is removed.
///
/// # Errors
/// A file can't be read or written.
pub fn forget(target: &Target) -> Result<()> {
    let Some(file) = writable(target) else { return Ok(()) };
    let _lock = lock(file)?;
    forget_in_all(target)
}

/// Another run of hostler holds the lock for one write.
const LOCKED: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(20);

/// A lock, held until it is dropped. It locks the folder and not a file: files here are replaced, and a lock file would stay behind.
fn lock(file: &Path) -> Result<File> {
    let folder = atomic::folder_of(file);
    if !folder.exists() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("{} can't be created", folder.display()))?;
    }
    let lock = File::open(folder).with_context(|| format!("{} can't be opened", folder.display()))?;
    let last = Instant::now() + LOCKED;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if Instant::now() < last => thread::sleep(AGAIN),
            Err(TryLockError::WouldBlock) => bail!("another program has held the lock on {} for {} s", folder.display(), LOCKED.as_secs()),
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("{} can't be locked", folder.display())),
        }
    }
}

fn append(file: &Path, target: &Target, key: &PublicKey) -> io::Result<()> {
    let name = target.known_as();
    // Reading a pipe or a device might never end.
    if fs::metadata(file).is_ok_and(|there| !there.is_file()) {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut opened = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file)?;
    let mut bytes = Vec::new();
    opened.read_to_end(&mut bytes)?;
    let text = text_of(&bytes);
    let encoded = key.public_key_base64();
    let known = |line: Line| line.marker == Marker::None && line.key == encoded && line.is_for(&name);
    if text.lines().filter_map(Line::parse).any(known) {
        return Ok(());
    }
    let host = if target.hash_known_hosts {
        let mut salt = [0; 20];
        SystemRandom::new().fill(&mut salt).map_err(|_| io::Error::other("the kernel provided no random numbers"))?;
        hash_of(&name, &salt)
    } else {
        name
    };
    let separator = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let line = format!("{separator}{host} {} {encoded}\n", key.algorithm());
    opened.seek(SeekFrom::End(0))?;
    opened.write_all(line.as_bytes())?;
    opened.sync_data()
}

fn forget_in_all(target: &Target) -> Result<()> {
    let name = target.known_as();
    for file in &target.known_hosts {
        let text = match user_file::read(file, user_file::MOST_BYTES) {
            // It is written again as a whole.
            Ok(bytes) if bytes.len() > user_file::MOST_BYTES => bail!("{} is too large for known_hosts", file.display()),
            Ok(bytes) => text_of(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("{} can't be read", file.display())),
        };
        let kept: String = text.split_inclusive('\n').filter_map(|line| without(line, &name)).collect();
        if kept != text {
            atomic::rewrite(file, &bytes_of(&kept)).with_context(|| format!("{} can't be written", file.display()))?;
        }
    }
    Ok(())
}

/// A file as text in which each byte is one character (Latin-1): comments may be in any encoding, and all that has a meaning is ASCII.
fn text_of(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// The bytes of [`text_of`].
fn bytes_of(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect()
}

/// `line` without `name`: unchanged, with one host fewer, or `None`.
fn without(line: &str, name: &str) -> Option<String> {
    let as_it_is = Some(line.to_owned());
    let Some(parsed) = Line::parse(line) else { return as_it_is };
    if parsed.marker != Marker::None {
        return as_it_is;
    }
    if parsed.hosts.starts_with('|') {
        return if is_hash_of(parsed.hosts, name) { None } else { as_it_is };
    }
    let kept: Vec<&str> = parsed.hosts.split(',').filter(|host| host.to_lowercase() != name).collect();
    if kept.len() == parsed.hosts.split(',').count() {
        as_it_is
    } else if kept.iter().all(|host| host.starts_with('!')) {
        None
    } else {
        Some(line.replacen(parsed.hosts, &kept.join(","), 1))
    }
}

#[cfg(test)]
mod tests {
    use hostler_core::inventory::Connection;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use russh::keys::parse_public_key_base64;

    use super::{Target, append, bytes_of, forget_in_all, text_of, without};

    /// A pipe that nobody writes to, and a device without an end: neither is waited for, and neither is written to.
    #[test]
    fn what_is_not_a_file_is_not_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("known_hosts");
        mkfifo(&pipe, Mode::from_bits_truncate(0o600)).unwrap();
        let key = parse_public_key_base64("AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ").unwrap();
        let mut target = Target::new("one", "192.168.1.12", &Connection::default()).unwrap();
        for file in [pipe, "/dev/zero".into()] {
            let error = append(&file, &target, &key).unwrap_err().to_string();
            assert_eq!(error, "it is not a regular file", "{}", file.display());
            target.known_hosts = vec![file];
            forget_in_all(&target).unwrap_err();
        }
    }

    #[test]
    fn every_byte_stays() {
        let bytes: Vec<u8> = (0..=u8::MAX).collect();
        assert_eq!(bytes_of(&text_of(&bytes)), bytes);
    }

    #[test]
    fn only_this_host_is_removed() {
        const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
        for (hosts, left) in [
            ("192.168.1.12", None),
            ("192.168.1.12,pie", Some("pie")),
            ("pie,192.168.1.12,!dash", Some("pie,!dash")),
            ("192.168.1.*", Some("192.168.1.*")),
            ("[192.168.1.12]:2222", Some("[192.168.1.12]:2222")),
            ("@revoked 192.168.1.12", Some("@revoked 192.168.1.12")),
            ("@cert-authority 192.168.1.12", Some("@cert-authority 192.168.1.12")),
            ("# 192.168.1.12", Some("# 192.168.1.12")),
        ] {
            let expected = left.map(|left| format!("{left} {KEY} a comment\n"));
            assert_eq!(without(&format!("{hosts} {KEY} a comment\n"), "192.168.1.12"), expected, "{hosts}");
        }
        assert_eq!(without("nonsense\n", "nonsense").as_deref(), Some("nonsense\n"));
    }
}
