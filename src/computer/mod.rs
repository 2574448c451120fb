//! The computer that hostler was called on: its programs and packages, hostler's cache, and work that takes a while.

pub mod apt;
pub mod packages;
pub mod program;
pub mod task;

use std::path::PathBuf;

use anyhow::{Context, Result};

/// Where hostler keeps what it can get again: `$HOSTLER_CACHE`, or root's /var/cache/hostler, or a user's `$XDG_CACHE_HOME/hostler`
/// (XDG Base Directory Specification; ~/.cache by default).
///
/// # Errors
/// A user without a home.
pub fn cache() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(cache) = set("HOSTLER_CACHE") {
        return Ok(cache);
    }
    if nix::unistd::geteuid().is_root() {
        return Ok("/var/cache/hostler".into());
    }
    let folder = set("XDG_CACHE_HOME").filter(|folder| folder.is_absolute()).or_else(|| Some(set("HOME")?.join(".cache")));
    Ok(folder.context("there is no HOME to keep a cache in\nhint: name a folder in HOSTLER_CACHE")?.join("hostler"))
}
