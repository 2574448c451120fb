//! Which bytes a tag of an image stood for when it was pulled first. Registries publish no checksums, and a tag can be moved: another digest
//! under the same tag is refused until somebody asks for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hostler_core::arch::Arch;
use hostler_core::failure::{ExitStatus, Failure};

use crate::{atomic, home, user_file};

/// The digests of all images that were pulled on this computer. It is data, not cache: without it a moved tag goes unnoticed.
#[derive(Debug)]
pub struct Lock {
    file: PathBuf,
    /// As in the file: `{"registry.k8s.io/pause:3.10.2": {"amd64": "sha256:..."}}`.
    digests: BTreeMap<String, BTreeMap<String, String>>,
}

/// The user's lock file.
///
/// # Errors
/// The user has no home.
pub fn default_file() -> Result<PathBuf> {
    Ok(home::data()?.join("images.lock.json"))
}

impl Lock {
    /// A file that does not exist is a lock without images.
    ///
    /// # Errors
    /// It can't be read, or is not a lock file.
    pub fn open(file: &Path) -> Result<Lock> {
        let digests = match user_file::read(file, user_file::MOST_BYTES) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                let what = format!("{} is not a valid lock file of image digests: {error}", file.display());
                Failure::new(ExitStatus::Usage, what, "move the file away; the next run then records the digests of the images again")
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(|| format!("{} can't be read", file.display())),
        };
        Ok(Lock { file: file.to_owned(), digests })
    }

    /// Records the digest (`sha256:...`) of an image that was pulled now. `moved`: whether a tag may have another one than before.
    ///
    /// # Errors
    /// Refused: the tag had another digest before.
    pub fn record(&mut self, image: &str, arch: Arch, digest: &str, moved: bool) -> Result<()> {
        let known = self.digests.entry(image.to_owned()).or_default();
        match known.get(arch.name()) {
            Some(before) if before != digest && !moved => {
                let what = format!("{image} for {arch} now has the digest {digest}, but had the digest {before} when it was last pulled");
                let hint =
                    "check with the image's publisher whether the tag was moved; if it was, accept the new image with `--allow-unpinned`";
                Err(Failure::new(ExitStatus::Refused, what, hint).into())
            }
            _ => {
                known.insert(arch.name().to_owned(), digest.to_owned());
                Ok(())
            }
        }
    }

    /// # Errors
    /// It can't be written.
    pub fn save(&self) -> Result<()> {
        let context = || format!("{} can't be written", self.file.display());
        fs::create_dir_all(atomic::folder_of(&self.file)).with_context(context)?;
        atomic::write(&self.file, &serde_json::to_vec_pretty(&self.digests)?, 0o644).with_context(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_that_was_moved_is_refused_until_somebody_asks_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hostler/images.lock.json");
        let mut lock = Lock::open(&file).unwrap();
        lock.record("example.org/pause:3", Arch::Amd64, "sha256:a", false).unwrap();
        lock.save().unwrap();
        let mut lock = Lock::open(&file).unwrap();
        lock.record("example.org/pause:3", Arch::Amd64, "sha256:a", false).unwrap();
        lock.record("example.org/pause:3", Arch::Arm64, "sha256:b", false).unwrap();
        let error = lock.record("example.org/pause:3", Arch::Amd64, "sha256:c", false).unwrap_err();
        assert_eq!(ExitStatus::of(&error), ExitStatus::Refused);
        lock.record("example.org/pause:3", Arch::Amd64, "sha256:c", true).unwrap();
        lock.record("example.org/pause:3", Arch::Amd64, "sha256:c", false).unwrap();
        fs::write(&file, "[]").unwrap();
        assert_eq!(ExitStatus::of(&Lock::open(&file).unwrap_err()), ExitStatus::Usage);
    }
}
