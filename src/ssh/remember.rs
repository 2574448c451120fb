//! Changes to the user's known_hosts: a key added, replaced or taken out, for one host and nothing else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use ring::rand::{SecureRandom, SystemRandom};
use russh::keys::{PublicKey, PublicKeyBase64};

use super::known_hosts::{Line, Marker, hash_of, is_hash_of, writable};
use super::target::Target;
use crate::atomic;

/// Appends `key` to the first of the target's known_hosts, one write under a lock. Twice is once.
///
/// # Errors
/// The file can't be written, or the target has none.
pub fn remember(target: &Target, key: &PublicKey) -> Result<()> {
    let file = writable(target).context("there is no known_hosts to write to")?;
    let _lock = lock(file)?;
    append(file, target, key).with_context(|| format!("{} can't be written", file.display()))
}

/// Takes out every key known for the target and adds `key` as its only one.
///
/// # Errors
/// As [`remember`].
pub fn replace(target: &Target, key: &PublicKey) -> Result<()> {
    let file = writable(target).context("there is no known_hosts to write to")?;
    let _lock = lock(file)?;
    forget_in_all(target)?;
    append(file, target, key).with_context(|| format!("{} can't be written", file.display()))
}

/// Takes the target's keys out of the user's known_hosts. Lines with wildcards, `@revoked` and `@cert-authority` lines stay; a line
/// for several hosts loses this one only.
///
/// # Errors
/// A file can't be read or written.
pub fn forget(target: &Target) -> Result<()> {
    let Some(file) = writable(target) else { return Ok(()) };
    let _lock = lock(file)?;
    forget_in_all(target)
}

/// Held while it lives. The folder is locked rather than a file: files here are replaced, and nothing is left behind.
fn lock(file: &Path) -> Result<File> {
    let folder = atomic::folder_of(file);
    if !folder.exists() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(|| format!("{} can't be made", folder.display()))?;
    }
    let lock = File::open(folder).with_context(|| format!("{} can't be opened", folder.display()))?;
    lock.lock().with_context(|| format!("{} can't be locked", folder.display()))?;
    Ok(lock)
}

fn append(file: &Path, target: &Target, key: &PublicKey) -> io::Result<()> {
    let name = target.known_as();
    let mut opened = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file)?;
    let mut text = String::new();
    opened.read_to_string(&mut text)?;
    let encoded = key.public_key_base64();
    let known = |line: Line| line.marker == Marker::None && line.key == encoded && line.is_for(&name);
    if text.lines().filter_map(Line::parse).any(known) {
        return Ok(());
    }
    let host = if target.hash_known_hosts {
        let mut salt = [0; 20];
        SystemRandom::new().fill(&mut salt).map_err(|_| io::Error::other("no randomness"))?;
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
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("{} can't be read", file.display())),
        };
        let kept: String = text.split_inclusive('\n').filter_map(|line| without(line, &name)).collect();
        if kept != text {
            atomic::rewrite(file, kept.as_bytes()).with_context(|| format!("{} can't be written", file.display()))?;
        }
    }
    Ok(())
}

/// `line` without `name`: as it is, with one host fewer, or not at all.
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
    use super::without;

    #[test]
    fn only_this_host_goes() {
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
