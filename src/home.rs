//! The user's home, and hostler's folders in it, as the XDG Base Directory Specification has them: a variable that is empty or holds a
//! relative path is ignored.

use std::path::PathBuf;

use anyhow::{Context, Result};
use etcetera::base_strategy::{BaseStrategy, Xdg};

/// The user's home: `$HOME`, else what the system knows.
///
/// # Errors
/// There is none, or it is no absolute path.
pub fn home() -> Result<PathBuf> {
    std::env::home_dir().filter(|home| home.is_absolute()).context("this user has no home\nhint: set HOME")
}

/// What the user may want to read or change: `$XDG_CONFIG_HOME/hostler`, by default `~/.config/hostler`.
///
/// # Errors
/// The user has no home.
pub fn config() -> Result<PathBuf> {
    Ok(xdg()?.config_dir().join("hostler"))
}

/// What can't be made again: `$XDG_DATA_HOME/hostler`, by default `~/.local/share/hostler`.
///
/// # Errors
/// The user has no home.
pub fn data() -> Result<PathBuf> {
    Ok(xdg()?.data_dir().join("hostler"))
}

/// Logs: `$XDG_STATE_HOME/hostler`, by default `~/.local/state/hostler`.
///
/// # Errors
/// The user has no home.
pub fn state() -> Result<PathBuf> {
    Ok(xdg()?.state_dir().context("there is no folder for logs")?.join("hostler"))
}

/// What hostler can get again: `$HOSTLER_CACHE`, or root's /var/cache/hostler, or a user's `$XDG_CACHE_HOME/hostler`, by default
/// `~/.cache/hostler`.
///
/// # Errors
/// The user has no home.
pub fn cache() -> Result<PathBuf> {
    if let Some(cache) = std::env::var_os("HOSTLER_CACHE").filter(|value| !value.is_empty()) {
        return Ok(cache.into());
    }
    if nix::unistd::geteuid().is_root() {
        return Ok("/var/cache/hostler".into());
    }
    Ok(xdg().context("there is no home to keep a cache in\nhint: name a folder in HOSTLER_CACHE")?.cache_dir().join("hostler"))
}

fn xdg() -> Result<Xdg> {
    home()?;
    Xdg::new().context("this user has no home\nhint: set HOME")
}
