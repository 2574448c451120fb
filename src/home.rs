//! The user, their home, and hostler's folders in it, by the XDG Base Directory Specification: variables that are empty or relative are
//! ignored.
//!
//! The user database is /etc/passwd alone. libc's own functions (`getpwuid`) load what /etc/nsswitch.conf names, which crashes a static
//! program: nothing here, and no library that is used, may call them. tests/calls.rs looks for them.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use hostler_core::visible::visible;
use nix::unistd::{Uid, geteuid};

const USERS: &str = "/etc/passwd";
/// hostler's folder in those of XDG.
const OWN: &str = "hostler";
/// Where XDG has data by default, below a home.
const DATA: &str = ".local/share";

/// The user's home: `$HOME`, else from /etc/passwd.
///
/// # Errors
/// There is none, or it is not an absolute path.
pub fn home() -> Result<PathBuf> {
    let named = std::env::var_os("HOME").map(PathBuf::from).filter(|home| !home.as_os_str().is_empty());
    let home = named.or_else(|| entry(geteuid()).map(|entry| entry.home));
    let home = home.context("the home folder of this user is unknown\nhint: set HOME")?;
    ensure!(
        home.is_absolute(),
        "HOME is `{}`, which is not an absolute path\nhint: set HOME to a folder that begins with /",
        visible(&home.to_string_lossy())
    );
    Ok(home)
}

/// The user's name: from /etc/passwd, as ssh has it, else `$USER` or `$LOGNAME`, which `su` may have left from another user.
///
/// # Errors
/// There is none.
pub fn user() -> Result<String> {
    let named = |variable| std::env::var(variable).ok().filter(|user| !user.is_empty());
    let name = entry(geteuid()).map(|entry| entry.name).or_else(|| named("USER")).or_else(|| named("LOGNAME"));
    name.context("the name of this user is unknown\nhint: set USER")
}

/// The home of another user, for `~NAME/`.
pub fn home_of(user: &str) -> Option<PathBuf> {
    entries(&users()).into_iter().find(|entry| entry.name == user).map(|entry| entry.home)
}

/// A line of /etc/passwd.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: String,
    uid: u32,
    home: PathBuf,
}

fn users() -> String {
    std::fs::read(USERS).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
}

fn entry(uid: Uid) -> Option<Entry> {
    entries(&users()).into_iter().find(|entry| entry.uid == uid.as_raw())
}

/// `name:password:uid:gid:comment:home:shell` (passwd(5)); other lines are ignored.
fn entries(text: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let (name, uid, home) = (fields.next()?, fields.nth(1)?, fields.nth(2)?);
        let plain = !name.is_empty() && !name.starts_with(['+', '-', '#']);
        plain.then(|| Some(Entry { name: name.to_owned(), uid: uid.parse().ok()?, home: PathBuf::from(home) }))?
    };
    text.lines().filter_map(entry).collect()
}

/// Configuration: `$XDG_CONFIG_HOME/hostler`, by default `~/.config/hostler`.
///
/// # Errors
/// The user has no home.
pub fn config() -> Result<PathBuf> {
    folder("XDG_CONFIG_HOME", ".config")
}

/// Data that can't be recreated: `$XDG_DATA_HOME/hostler`, by default `~/.local/share/hostler`.
///
/// # Errors
/// The user has no home.
pub fn data() -> Result<PathBuf> {
    folder("XDG_DATA_HOME", DATA)
}

/// The same of another user, by default.
pub fn data_of(user: &str) -> Option<PathBuf> {
    Some(home_of(user)?.join(DATA).join(OWN))
}

/// Logs: `$XDG_STATE_HOME/hostler`, by default `~/.local/state/hostler`.
///
/// # Errors
/// The user has no home.
pub fn state() -> Result<PathBuf> {
    folder("XDG_STATE_HOME", ".local/state")
}

/// Data that can be fetched again: `$HOSTLER_CACHE`, else for root /var/cache/hostler, else `$XDG_CACHE_HOME/hostler`, by default
/// `~/.cache/hostler`.
///
/// # Errors
/// The user has no home.
pub fn cache() -> Result<PathBuf> {
    if let Some(cache) = std::env::var_os("HOSTLER_CACHE").filter(|value| !value.is_empty()) {
        return Ok(cache.into());
    }
    if geteuid().is_root() {
        return Ok("/var/cache/hostler".into());
    }
    folder("XDG_CACHE_HOME", ".cache")
        .context("the home folder of this user is unknown, so hostler can't place its cache there\nhint: set HOSTLER_CACHE to a folder")
}

/// hostler's folder in the one that `variable` names; by default in `below` the user's home.
fn folder(variable: &str, below: &str) -> Result<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let base = named.map_or_else(|| Ok::<_, anyhow::Error>(home()?.join(below)), Ok)?;
    Ok(base.join(OWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_users_are_read_and_others_are_ignored() {
        let text =
            "root:x:0:0:root:/root:/bin/bash\n# ada\n\nada:x:1000:1000:Ada,,,:/home/ada:/bin/sh\n+nis::::::\nbad:x:many:1::/:\nshort:x:5\n";
        let entry = |name: &str, uid, home: &str| Entry { name: name.to_owned(), uid, home: PathBuf::from(home) };
        assert_eq!(entries(text), [entry("root", 0, "/root"), entry("ada", 1000, "/home/ada")]);
    }
}
