//! Whether this computer's file systems have room for what is about to be made, asked before minutes are spent on it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::quantity::size;
use nix::sys::statvfs::statvfs;

/// Something that is about to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// As in `1.8 GB for WHAT`.
    pub what: String,
    /// Where; it need not exist yet.
    pub folder: PathBuf,
    pub bytes: u64,
}

/// # Errors
/// Refused where a file system has less room than all needs on it together, with the numbers. `hint` says what else can be done.
pub fn check(needs: &[Need], hint: &str) -> Result<()> {
    let mut by_file_system: BTreeMap<u64, (u64, Vec<&Need>)> = BTreeMap::new();
    for need in needs.iter().filter(|need| need.bytes > 0) {
        let folder = existing(&need.folder);
        let attempt = || -> Result<(u64, u64)> {
            let space = statvfs(folder)?;
            Ok((folder.metadata()?.dev(), space.blocks_available() * space.fragment_size()))
        };
        let (device, free) = attempt().with_context(|| format!("{}: the free space can't be determined", folder.display()))?;
        by_file_system.entry(device).or_insert((free, Vec::new())).1.push(need);
    }
    match by_file_system.into_values().find_map(|(free, needs)| lacking(&needs, free)) {
        Some(what) => Err(Failure::new(ExitStatus::Refused, what, hint).into()),
        None => Ok(()),
    }
}

/// The folder, or the nearest one above it that exists.
fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"))
}

/// What to say where all needs of one file system are more than its free space.
fn lacking(needs: &[&Need], free: u64) -> Option<String> {
    let sum: u64 = needs.iter().map(|need| need.bytes).sum();
    if sum <= free {
        return None;
    }
    let each: Vec<String> = needs.iter().map(|need| format!("{} for {}", size(need.bytes), need.what)).collect();
    let folder = needs.first().map_or(Path::new("/"), |need| need.folder.as_path());
    Some(format!("{} has {} of free space, but {} is needed: {}", folder.display(), size(free), size(sum), each.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(what: &str, folder: &str, bytes: u64) -> Need {
        Need { what: what.to_owned(), folder: folder.into(), bytes }
    }

    #[test]
    fn what_is_written_to_one_file_system_is_added_up() {
        let (machines, image) = (need("3 machines", "/var/lib/hostler", 6_000_000_000), need("their image", "/var/cache", 900_000_000));
        assert_eq!(lacking(&[&machines, &image], 6_900_000_000), None);
        assert_eq!(
            lacking(&[&machines, &image], 6_899_999_999).unwrap(),
            "/var/lib/hostler has 6.9 GB of free space, but 6.9 GB is needed: 6 GB for 3 machines, 900 MB for their image"
        );
    }

    #[test]
    fn a_full_disk_refuses_with_numbers_also_for_a_folder_that_does_not_exist_yet() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("not/yet").display().to_string();
        check(&[need("little", &below, 1), need("nothing", "/proc/none", 0)], "free some").unwrap();
        let refused = check(&[need("too much", &below, u64::MAX)], "free some").unwrap_err();
        assert_eq!(ExitStatus::of(&refused), ExitStatus::Refused);
        assert!(refused.to_string().starts_with(&format!("{below} has ")), "{refused}");
        assert!(refused.to_string().ends_with("for too much\nhint: free some"), "{refused}");
    }
}
