//! The user's home and hostler's folders in it, by the XDG Base Directory Specification: variables that are empty or relative are ignored.

use std::path::PathBuf;

use anyhow::{Context, Result};
use etcetera::base_strategy::{BaseStrategy, Xdg};

/// The user's home: `$HOME`, else from the user database.
///
/// # Errors
/// There is none, or it is not an absolute path.
pub fn home() -> Result<PathBuf> {
    std::env::home_dir().filter(|home| home.is_absolute()).context("this user has no home folder\nhint: set HOME")
}

/// Configuration: `$XDG_CONFIG_HOME/hostler`, by default `~/.config/hostler`.
///
/// # Errors
/// The user has no home.
pub fn config() -> Result<PathBuf> {
    Ok(xdg()?.config_dir().join("hostler"))
}

/// Data that can't be recreated: `$XDG_DATA_HOME/hostler`, by default `~/.local/share/hostler`.
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
    Ok(xdg()?.state_dir().context("this system has no folder for logs")?.join("hostler"))
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
    if nix::unistd::geteuid().is_root() {
        return Ok("/var/cache/hostler".into());
    }
    Ok(xdg().context("there is no home folder for the cache\nhint: set HOSTLER_CACHE to a folder")?.cache_dir().join("hostler"))
}

fn xdg() -> Result<Xdg> {
    home()?;
    Xdg::new().context("this user has no home folder\nhint: set HOME")
}
