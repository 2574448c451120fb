//! Creates a bundle's folder under a temporary name, and renames it when it is complete.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hostler_core::arch::Arch;
use hostler_core::digest::sha256;
use hostler_core::manifest::{Blob, Component, FileKind, Image, Manifest, OWN_PROGRAM};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::layer::{self, Entry};
use super::{ARCHIVE, FILES, MANIFEST, MOST_BYTES, archive};
use crate::user_file;

/// Where a bundle may be created: nothing is there, an empty folder, or a bundle and nothing else, which is replaced. Links are resolved.
///
/// # Errors
/// As [`user_file::new_folder`]: something else is there, which would be lost; or a folder that can't be replaced.
pub fn place(folder: &Path) -> Result<PathBuf> {
    user_file::new_folder(folder, is_only_a_bundle)
}

/// Whether the folder is a bundle, and no file in it is anything else.
fn is_only_a_bundle(folder: &Path) -> bool {
    let names = |folder: &Path| -> Option<BTreeSet<String>> {
        let names = fs::read_dir(folder).ok()?.map(|entry| entry.ok()?.file_name().into_string().ok());
        names.collect()
    };
    let manifest = user_file::read(&folder.join(MANIFEST), MOST_BYTES).ok();
    let Some(manifest) = manifest.and_then(|text| serde_json::from_slice::<Manifest>(&text).ok()) else { return false };
    let sums: BTreeSet<String> = manifest.files.into_iter().map(|file| file.sha256).collect();
    names(folder).is_some_and(|names| names.iter().all(|name| [MANIFEST, FILES, ARCHIVE].contains(&name.as_str())))
        && names(&folder.join(FILES)).is_none_or(|files| files.is_subset(&sums))
}

/// A bundle that is being created.
pub struct Writer {
    /// The temporary folder; removed with the writer unless it was finished.
    folder: tempfile::TempDir,
    place: PathBuf,
    manifest: Manifest,
    archive: BufWriter<File>,
    blobs: BTreeSet<String>,
}

impl Writer {
    /// Starts a bundle for `place`.
    ///
    /// # Errors
    /// Its parent can't be created or written to.
    pub fn begin(place: &Path, kubernetes: &str, arch: Arch) -> Result<Writer> {
        let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let context = || format!("a bundle can't be created in {}", parent.display());
        fs::create_dir_all(parent).with_context(context)?;
        let folder = tempfile::Builder::new().prefix(".bundle-").tempdir_in(parent).with_context(context)?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        fs::create_dir(folder.path().join(FILES))?;
        let archive = BufWriter::new(File::create(folder.path().join(ARCHIVE))?);
        let manifest = Manifest { schema: 1, kubernetes: kubernetes.to_owned(), arch, files: vec![], images: vec![] };
        Ok(Writer { folder, place: place.to_owned(), manifest, archive, blobs: BTreeSet::new() })
    }

    /// # Errors
    /// It can't be written.
    pub fn file(&mut self, name: &str, version: &str, kind: FileKind, source: &str, bytes: &[u8]) -> Result<()> {
        let digest = sha256(bytes);
        let path = self.folder.path().join(FILES).join(&digest);
        if !path.exists() {
            fs::write(&path, bytes).with_context(|| format!("{} can't be written", path.display()))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            File::open(&path)?.sync_all()?;
        }
        self.manifest.files.push(hostler_core::manifest::File {
            name: name.to_owned(),
            version: version.to_owned(),
            kind,
            size: bytes.len() as u64,
            sha256: digest,
            source: source.to_owned(),
        });
        Ok(())
    }

    /// Adds the bytes of a blob, once.
    ///
    /// # Errors
    /// It can't be written.
    pub fn blob(&mut self, bytes: &[u8]) -> Result<Blob> {
        let digest = sha256(bytes);
        if self.blobs.insert(digest.clone()) {
            archive::append(&mut self.archive, &digest, bytes)?;
        }
        Ok(Blob { digest: format!("sha256:{digest}"), size: bytes.len() as u64 })
    }

    /// Adds an image whose blobs were added before.
    pub fn image(&mut self, image: Image) {
        self.manifest.images.push(image);
    }

    /// Adds an image composed of `layers`.
    ///
    /// # Errors
    /// It can't be written.
    pub fn compose(&mut self, component: Component, reference: &str, entrypoint: &str, source: &str, layers: &[&[u8]]) -> Result<()> {
        let mut blobs = Vec::new();
        for layer in layers {
            blobs.push(self.blob(layer)?);
        }
        let known: Vec<(String, u64)> = blobs.iter().map(|blob| (blob.digest.replace("sha256:", ""), blob.size)).collect();
        let composed = layer::compose(self.manifest.arch, entrypoint, &known);
        blobs.insert(0, self.blob(&composed.config)?);
        let Blob { digest, size } = self.blob(&composed.manifest)?;
        let media_type = layer::MANIFEST.to_owned();
        let (reference, source) = (reference.to_owned(), source.to_owned());
        self.manifest.images.push(Image { component, reference, digest, media_type, manifest_size: size, blobs, source });
        Ok(())
    }

    /// Adds hostler's own image, and its program.
    ///
    /// # Errors
    /// It can't be written.
    pub fn hostler(&mut self, program: &[u8], source: &str) -> Result<()> {
        let layer = layer::layer(&[Entry::Program("hostler", program)])?;
        self.file(OWN_PROGRAM, env!("CARGO_PKG_VERSION"), FileKind::Program, source, program)?;
        self.compose(Component::Hostler, super::HOSTLER_IMAGE, "/hostler", source, &[&layer])
    }

    /// Moves the bundle to its [`place`]. An existing one is replaced.
    ///
    /// # Errors
    /// It can't be written or moved; something else has come there meanwhile.
    pub fn finish(mut self) -> Result<PathBuf> {
        archive::finish(&mut self.archive)?;
        self.archive.flush()?;
        self.archive.get_ref().sync_all()?;
        let manifest = self.folder.path().join(MANIFEST);
        fs::write(&manifest, serde_json::to_vec_pretty(&self.manifest)?)?;
        File::open(&manifest)?.sync_all()?;
        let context = || format!("the bundle can't be moved to {}", self.place.display());
        place(&self.place)?;
        if self.place.exists() {
            // An atomic exchange, so that there always is one; the old one is then removed under the temporary name.
            renameat2(AT_FDCWD, self.folder.path(), AT_FDCWD, &self.place, RenameFlags::RENAME_EXCHANGE).with_context(context)?;
        } else {
            let made = self.folder.keep();
            fs::rename(made, &self.place).with_context(context)?;
        }
        Ok(self.place)
    }
}

#[cfg(test)]
mod tests {
    use hostler_core::failure::ExitStatus;

    use super::*;

    fn made(at: &Path) -> Result<PathBuf> {
        let mut writer = Writer::begin(at, "1.36.3", hostler_core::arch::Arch::Amd64)?;
        writer.file("kubelet", "1.36.3", FileKind::Program, "here", b"a program")?;
        writer.finish()
    }

    #[test]
    fn a_bundle_replaces_a_bundle_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().canonicalize().unwrap().join("bundle");
        for _ in 0..2 {
            made(&place(&at).unwrap()).unwrap();
            assert_eq!(place(&at).unwrap(), at);
        }
        let program = at.join(FILES).join(sha256(b"a program"));
        for added in ["thesis.txt", "files/a.mkv", ".hidden", "images.tar/x"] {
            let file = at.join(added);
            if fs::write(&file, "precious").is_err() {
                continue;
            }
            assert!(place(&at).unwrap_err().to_string().contains("is not empty"), "{added}");
            // It has come there while the bundle was fetched.
            made(&at).expect_err(added);
            assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
            fs::remove_file(file).unwrap();
        }
        fs::write(at.join(MANIFEST), "{}").unwrap();
        made(&at).expect_err("it is no bundle");
        assert!(program.is_file());
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["bundle"]);
    }

    #[test]
    fn a_mount_point_is_not_replaced() {
        let error = place(Path::new("/proc")).unwrap_err();
        assert_eq!(ExitStatus::of(&error), ExitStatus::Usage);
        let message = place(Path::new("/dev/shm")).map_or_else(|error| error.to_string(), |_| "taken".to_owned());
        assert!(message.contains("mount point") || message.contains("not empty") || message.contains("can't be"), "{message}");
    }
}
