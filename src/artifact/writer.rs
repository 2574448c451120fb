//! Creates a bundle's folder under a temporary name, and renames it when it is complete.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hostler_core::arch::Arch;
use hostler_core::digest::sha256;
use hostler_core::manifest::{Blob, Component, FileKind, Image, Manifest};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::layer::{self, Entry};
use super::{ARCHIVE, FILES, MANIFEST, archive};

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

    /// Adds hostler's own image.
    ///
    /// # Errors
    /// It can't be written.
    pub fn hostler(&mut self, program: &[u8], source: &str) -> Result<()> {
        let layer = layer::layer(&[Entry::Program("hostler", program)])?;
        self.compose(Component::Hostler, super::HOSTLER_IMAGE, "/hostler", source, &[&layer])
    }

    /// Moves the bundle to its place. An existing one is replaced.
    ///
    /// # Errors
    /// It can't be written or moved.
    pub fn finish(mut self) -> Result<PathBuf> {
        archive::finish(&mut self.archive)?;
        self.archive.flush()?;
        self.archive.get_ref().sync_all()?;
        let manifest = self.folder.path().join(MANIFEST);
        fs::write(&manifest, serde_json::to_vec_pretty(&self.manifest)?)?;
        File::open(&manifest)?.sync_all()?;
        let context = || format!("the bundle can't be moved to {}", self.place.display());
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
