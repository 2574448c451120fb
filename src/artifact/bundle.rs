//! An existing bundle.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hostler_core::digest::sha256;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::manifest::{Blob, Component, Image, Manifest};
use sha2::{Digest, Sha256};
use tokio::io::AsyncRead;

use super::archive::{self, Place};
use super::encoder::{ENCODER_IMAGE, Encoder};
use super::layer::{self, Entry};
use super::{ARCHIVE, FILES, HOSTLER_IMAGE, MANIFEST};

/// A bundle's folder, its manifest, and the index of its archive.
#[derive(Debug)]
pub struct Bundle {
    pub manifest: Manifest,
    pub folder: PathBuf,
    blobs: BTreeMap<String, Place>,
}

impl Bundle {
    /// Opens the bundle in `folder`, without verifying the contents of its files: machines verify what they receive.
    ///
    /// # Errors
    /// A [`Failure`] with [`ExitStatus::Usage`]: it is not a bundle, is truncated, or has another format.
    pub fn open(folder: &Path) -> Result<Bundle> {
        let wrong = |what: String| {
            let hint = "create one with `hostler bundle create`, or pass one with `--bundle FOLDER`";
            anyhow::Error::from(Failure::new(ExitStatus::Usage, what, hint))
        };
        let path = folder.join(MANIFEST);
        let text =
            fs::read(&path).map_err(|error| wrong(format!("{} is not a bundle: {MANIFEST} can't be read: {error}", folder.display())))?;
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| wrong(format!("{} is not the manifest of a bundle: {error}", path.display())))?;
        if manifest.schema != 1 {
            return Err(wrong(format!("{} has format {}, and this hostler supports format 1", path.display(), manifest.schema)));
        }
        let blobs = archive::index(&folder.join(ARCHIVE)).map_err(|error| wrong(format!("{error:#}")))?;
        let bundle = Bundle { manifest, folder: folder.to_owned(), blobs };
        for image in &bundle.manifest.images {
            for digest in std::iter::once(&image.digest).chain(image.blobs.iter().map(|blob| &blob.digest)) {
                if !bundle.blobs.contains_key(digest.trim_start_matches("sha256:")) {
                    return Err(wrong(format!("{} is incomplete: {digest} of {} is missing", folder.display(), image.reference)));
                }
            }
        }
        Ok(bundle)
    }

    /// The path of the program with this sha256 (hex).
    pub fn file_path(&self, sha256: &str) -> PathBuf {
        self.folder.join(FILES).join(sha256)
    }

    /// An OCI archive of the images with these references only: its length in bytes, and its bytes.
    ///
    /// # Errors
    /// The bundle has no image with that reference.
    pub fn subset(&self, references: &[String]) -> Result<(u64, Box<dyn AsyncRead + Send + Unpin>)> {
        let find = |reference: &String| {
            let found = self.manifest.images.iter().find(|image| image.reference == *reference);
            found.with_context(|| format!("the bundle has no image {reference}"))
        };
        let images = references.iter().map(find).collect::<Result<Vec<&Image>>>()?;
        archive::subset(&self.folder.join(ARCHIVE), &self.blobs, &self.manifest, &images)
    }

    /// Replaces the bundle's hostler with `program`, a static hostler for its machines, so that machines run the same version as this one.
    ///
    /// # Errors
    /// The layer can't be built.
    pub fn with_hostler(&mut self, program: &[u8], source: &str) -> Result<()> {
        let layer = layer::layer(&[Entry::Program("hostler", program)])?;
        let digest = sha256(&layer);
        self.overlay((Component::Hostler, HOSTLER_IMAGE), "/hostler", digest, Place::Memory(layer.into()), source);
        Ok(())
    }

    /// Adds the image that encodes films.
    pub fn with_encoder(&mut self, encoder: &Encoder) {
        let place = Place::File(encoder.layer.clone(), encoder.size);
        let at = (Component::Encoder, ENCODER_IMAGE);
        self.overlay(at, "/usr/bin/HandBrakeCLI", encoder.sha256.clone(), place, &encoder.source);
    }

    /// Replaces or adds an image with one layer, with this sha256.
    fn overlay(&mut self, (component, reference): (Component, &str), entrypoint: &str, digest: String, layer: Place, source: &str) {
        let size = layer.size();
        let composed = layer::compose(self.manifest.arch, entrypoint, &[(digest.clone(), size)]);
        let mut keep = |bytes: Vec<u8>| {
            let (size, digest) = (bytes.len() as u64, sha256(&bytes));
            self.blobs.insert(digest.clone(), Place::Memory(bytes.into()));
            Blob { digest: format!("sha256:{digest}"), size }
        };
        let (config, manifest) = (keep(composed.config), keep(composed.manifest));
        self.blobs.insert(digest.clone(), layer);
        let image = Image {
            component,
            reference: reference.to_owned(),
            digest: manifest.digest,
            media_type: layer::MANIFEST.to_owned(),
            manifest_size: manifest.size,
            blobs: vec![config, Blob { digest: format!("sha256:{digest}"), size }],
            source: source.to_owned(),
        };
        self.manifest.images.retain(|other| other.component != component);
        self.manifest.images.push(image);
    }

    /// Compares all files with the manifest; `progress` gets the number of bytes read.
    ///
    /// # Errors
    /// A file can't be read, or does not match the manifest: the bundle must not be used.
    pub fn verify(&self, mut progress: impl FnMut(u64)) -> Result<()> {
        let mut seen = std::collections::BTreeSet::new();
        for file in &self.manifest.files {
            if seen.insert(&file.sha256) {
                self.checked(file, &mut progress)?;
            }
        }
        for (digest, place) in &self.blobs {
            match place {
                Place::Archive(offset, size) => {
                    let mut archive = File::open(self.folder.join(ARCHIVE))?;
                    std::io::Seek::seek(&mut archive, std::io::SeekFrom::Start(*offset))?;
                    self.check(archive.take(*size), digest, &format!("sha256:{digest} in {ARCHIVE}"), &mut progress)?;
                }
                Place::File(path, _) => self.check(File::open(path)?, digest, &path.display().to_string(), &mut progress)?,
                Place::Memory(_) => {}
            }
        }
        Ok(())
    }

    /// Compares the bytes of `reader` with `digest`, a sha256 in hex.
    fn check(&self, mut reader: impl Read, digest: &str, what: &str, progress: &mut impl FnMut(u64)) -> Result<()> {
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = reader.read(&mut buffer).with_context(|| format!("{what} can't be read"))?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            progress(read as u64);
        }
        let is = hostler_core::digest::hex(&hash.finalize());
        if is != digest {
            let hint = format!("delete {} and create it again", self.folder.display());
            return Err(Failure::new(ExitStatus::Refused, format!("{what} was changed: its sha256 is {is}, not {digest}"), hint).into());
        }
        Ok(())
    }

    /// The verified path of the program with this name, to run it on this computer.
    ///
    /// # Errors
    /// It can't be read, or does not match the manifest.
    pub fn program(&self, name: &str) -> Result<Option<PathBuf>> {
        self.manifest.file(name).map(|file| self.checked(file, &mut |_| ())).transpose()
    }

    /// The path of `file`, after verifying its contents.
    fn checked(&self, file: &hostler_core::manifest::File, progress: &mut impl FnMut(u64)) -> Result<PathBuf> {
        let path = self.file_path(&file.sha256);
        let open = File::open(&path).with_context(|| format!("{} can't be read", path.display()))?;
        self.check(open, &file.sha256, &format!("{} ({})", path.display(), file.name), progress)?;
        Ok(path)
    }

    /// Bytes that [`Bundle::verify`] reads.
    pub fn size(&self) -> u64 {
        let files: BTreeMap<&str, u64> = self.manifest.files.iter().map(|file| (file.sha256.as_str(), file.size)).collect();
        files.values().sum::<u64>() + self.blobs.values().map(Place::size).sum::<u64>()
    }
}
