//! An existing bundle.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use hostler_core::digest::sha256;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::manifest::{Blob, Component, FileKind, Image, Manifest, OWN_PROGRAM};
use sha2::{Digest, Sha256};
use tokio::io::AsyncRead;

use super::archive::{self, Place};
use super::encoder::{ENCODER_IMAGE, Encoder};
use super::layer::{self, Entry, InLayer};
use super::{ARCHIVE, FILES, HOSTLER_IMAGE, MANIFEST, MOST_BYTES};
use crate::user_file;

fn wrong(what: String) -> anyhow::Error {
    let hint = "create a bundle with `hostler bundle create`, or pass the path of an existing bundle";
    Failure::new(ExitStatus::Usage, what, hint).into()
}

/// The manifest of the bundle in `folder`, checked: [`Manifest::check`].
///
/// # Errors
/// A [`Failure`] with [`ExitStatus::Usage`]: it can't be read, or is not valid.
pub fn manifest_of(folder: &Path) -> Result<Manifest> {
    let path = folder.join(MANIFEST);
    let text = user_file::read(&path, MOST_BYTES)
        .map_err(|error| wrong(format!("{} is not a bundle: {MANIFEST} can't be read: {error}", folder.display())))?;
    if text.len() > MOST_BYTES {
        return Err(wrong(format!("{} is too large for a bundle manifest: the limit is {MOST_BYTES} bytes", path.display())));
    }
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| wrong(format!("{} is not a valid bundle manifest: {error}", path.display())))?;
    manifest.check().map_err(|why| wrong(format!("{} is not a valid bundle manifest: {why}", path.display())))?;
    Ok(manifest)
}

/// Where the contents of a program are.
pub enum Content {
    File(PathBuf),
    Memory(Arc<[u8]>),
}

/// A bundle's folder, its manifest, and the index of its archive.
#[derive(Debug)]
pub struct Bundle {
    pub manifest: Manifest,
    pub folder: PathBuf,
    blobs: BTreeMap<String, Place>,
}

impl Bundle {
    /// Opens the bundle in `folder`: it is complete, and its sizes are as its manifest says. The contents of its files are not verified:
    /// machines verify what they receive.
    ///
    /// # Errors
    /// A [`Failure`] with [`ExitStatus::Usage`]: it is not a bundle, is truncated or incomplete, or has another format.
    pub fn open(folder: &Path) -> Result<Bundle> {
        let manifest = manifest_of(folder)?;
        let blobs = archive::index(&folder.join(ARCHIVE)).map_err(|error| wrong(format!("{error:#}")))?;
        let bundle = Bundle { manifest, folder: folder.to_owned(), blobs };
        let incomplete = |what: String| wrong(format!("{} is incomplete: {what}", folder.display()));
        for file in &bundle.manifest.files {
            let path = bundle.file_path(&file.sha256);
            let there = user_file::regular(&path).and_then(|file| file.metadata()).map(|metadata| metadata.len());
            let size = there.map_err(|error| incomplete(format!("{} ({}) can't be read: {error}", path.display(), file.name)))?;
            if size != file.size {
                return Err(incomplete(format!("{} ({}) has {size} bytes, expected {}", path.display(), file.name, file.size)));
            }
        }
        for image in &bundle.manifest.images {
            let blobs = image.blobs.iter().map(|blob| (&blob.digest, blob.size));
            for (digest, size) in blobs.chain([(&image.digest, image.manifest_size)]) {
                match bundle.blobs.get(digest.trim_start_matches("sha256:")).map(Place::size) {
                    Some(there) if there == size => {}
                    Some(there) => {
                        return Err(incomplete(format!("blob {digest} of {} has {there} bytes, expected {size}", image.reference)));
                    }
                    None => return Err(incomplete(format!("blob {digest} of {} is missing", image.reference))),
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

    /// The contents of the program with this sha256 (hex).
    pub fn file(&self, sha256: &str) -> Content {
        match self.blobs.get(sha256) {
            Some(Place::Memory(bytes)) => Content::Memory(bytes.clone()),
            _ => Content::File(self.file_path(sha256)),
        }
    }

    /// Replaces the bundle's hostler, the image and the program, with `program`, a static hostler for its machines, so that machines run the
    /// same version as this one.
    ///
    /// # Errors
    /// The layer can't be built.
    pub fn with_hostler(&mut self, program: &[u8], source: &str) -> Result<()> {
        let layer = layer::layer(&[Entry::Program("hostler", program)])?;
        let digest = sha256(&layer);
        let own = hostler_core::manifest::File {
            name: OWN_PROGRAM.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kind: FileKind::Program,
            size: program.len() as u64,
            sha256: sha256(program),
            source: source.to_owned(),
        };
        self.blobs.insert(own.sha256.clone(), Place::Memory(program.into()));
        self.manifest.files.retain(|file| file.name != own.name);
        self.manifest.files.push(own);
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
                    let mut archive = user_file::regular(&self.folder.join(ARCHIVE))?;
                    std::io::Seek::seek(&mut archive, std::io::SeekFrom::Start(*offset))?;
                    self.check(archive.take(*size), digest, &format!("sha256:{digest} in {ARCHIVE}"), &mut progress)?;
                }
                Place::File(path, _) => self.check(user_file::regular(path)?, digest, &path.display().to_string(), &mut progress)?,
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
            let hint = format!("delete {} and create the bundle again", self.folder.display());
            return Err(Failure::new(
                ExitStatus::Refused,
                format!(
                    "{what} is corrupted or was changed: its sha256 is {is}, expected \
                {digest}"
                ),
                hint,
            )
            .into());
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

    /// The program at `path`, without a leading `/`, in the image of a component; a link in the same folder is followed.
    ///
    /// # Errors
    /// The bundle has no such image, or that no such program; the archive can't be read.
    pub fn program_in_image(&self, component: Component, path: &str) -> Result<Vec<u8>> {
        let image = self.manifest.image(component).with_context(|| format!("the bundle has no image of {component:?}"))?;
        let (folder, mut name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut found: BTreeMap<String, InLayer> = BTreeMap::new();
        for blob in &image.blobs {
            let digest = blob.digest.trim_start_matches("sha256:");
            let Some(Place::Archive(offset, size)) = self.blobs.get(digest) else { continue };
            let mut archive = user_file::regular(&self.folder.join(ARCHIVE))?;
            archive.seek(SeekFrom::Start(*offset))?;
            layer::read(archive.take(*size), folder, &mut found)
                .with_context(|| format!("{digest} of {} can't be read", image.reference))?;
        }
        // As many links as images have: from the name of a component to the program that has several.
        for _ in 0..2 {
            match found.get(name) {
                Some(InLayer::Program(bytes)) => return Ok(bytes.clone()),
                Some(InLayer::Link(target)) => name = target.rsplit('/').next().unwrap_or(target),
                None => break,
            }
        }
        anyhow::bail!("{} has no /{path}", image.reference)
    }

    /// The path of `file`, after verifying its contents.
    fn checked(&self, file: &hostler_core::manifest::File, progress: &mut impl FnMut(u64)) -> Result<PathBuf> {
        let path = self.file_path(&file.sha256);
        let open = user_file::regular(&path).with_context(|| format!("{} can't be read", path.display()))?;
        self.check(open, &file.sha256, &format!("{} ({})", path.display(), file.name), progress)?;
        Ok(path)
    }

    /// Bytes that [`Bundle::verify`] reads.
    pub fn size(&self) -> u64 {
        let files: BTreeMap<&str, u64> = self.manifest.files.iter().map(|file| (file.sha256.as_str(), file.size)).collect();
        let sizes = files.into_values().chain(self.blobs.values().map(Place::size));
        sizes.fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use hostler_core::manifest::{FileKind, IMAGES, PLUGINS, PROGRAMS};
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::super::writer::Writer;
    use super::*;

    /// A small bundle with everything in it.
    fn made(at: &Path) {
        let mut writer = Writer::begin(at, "1.36.3", hostler_core::arch::Arch::Amd64).unwrap();
        let kinds = PROGRAMS.iter().map(|name| (FileKind::Program, name)).chain(PLUGINS.iter().map(|name| (FileKind::CniPlugin, name)));
        for (kind, name) in kinds {
            writer.file(name, "1", kind, "test", name.as_bytes()).unwrap();
        }
        for component in IMAGES {
            writer
                .compose(component, &format!("example.org/{component:?}:1"), "/a", "test", &[format!("{component:?}").as_bytes()])
                .unwrap();
        }
        writer.finish().unwrap();
    }

    /// A change of a bundle's files, by the folder.
    type Change = fn(&Path);

    /// Whatever is wrong with a bundle is found when it is opened, with status 2, and without waiting or reading without an end.
    #[test]
    fn only_a_whole_bundle_is_opened() {
        let rewritten = |folder: &Path, from: &str, to: &str| {
            let file = folder.join(MANIFEST);
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.contains(from), "{from}");
            fs::write(file, text.replacen(from, to, 1)).unwrap();
        };
        fn pipe(file: &Path) {
            fs::remove_file(file).unwrap();
            mkfifo(file, Mode::from_bits_truncate(0o600)).unwrap();
        }
        fn first(folder: &Path) -> PathBuf {
            fs::read_dir(folder.join(FILES)).unwrap().next().unwrap().unwrap().path()
        }
        /// The size in the first header of the archive, which ends with a checksum.
        fn sized(folder: &Path, size: [u8; 12]) {
            let file = folder.join(ARCHIVE);
            let mut bytes = fs::read(&file).unwrap();
            bytes[124..136].copy_from_slice(&size);
            fs::write(file, bytes).unwrap();
        }
        let changes: [(&str, Change); 14] = [
            ("no manifest", |folder| fs::remove_file(folder.join(MANIFEST)).unwrap()),
            ("an empty manifest", |folder| fs::write(folder.join(MANIFEST), "").unwrap()),
            ("a manifest without an end", |folder| fs::File::create(folder.join(MANIFEST)).unwrap().set_len(1 << 40).unwrap()),
            ("a pipe as manifest", |folder| pipe(&folder.join(MANIFEST))),
            ("no archive", |folder| fs::remove_file(folder.join(ARCHIVE)).unwrap()),
            ("a pipe as archive", |folder| pipe(&folder.join(ARCHIVE))),
            ("an empty archive", |folder| fs::write(folder.join(ARCHIVE), "").unwrap()),
            ("half an archive", |folder| {
                let bytes = fs::read(folder.join(ARCHIVE)).unwrap();
                fs::write(folder.join(ARCHIVE), &bytes[..bytes.len() / 2]).unwrap();
            }),
            ("an archive with two ends", |folder| fs::write(folder.join(ARCHIVE), [0; 1024]).unwrap()),
            // 2^64 - 512, in base 256 as GNU tar writes it: with the header it wraps to 0.
            ("a blob that wraps around", |folder| sized(folder, [0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0])),
            ("a program that is away", |folder| fs::remove_file(first(folder)).unwrap()),
            ("a program that is cut", |folder| fs::write(first(folder), "").unwrap()),
            ("a program that is a pipe", |folder| pipe(&first(folder))),
            ("a program that is a folder", |folder| {
                let file = first(folder);
                fs::remove_file(&file).unwrap();
                fs::create_dir(file).unwrap();
            }),
        ];
        let texts = [
            ("\"schema\": 1", "\"schema\": 2"),
            ("\"name\": \"kubeadm\"", "\"name\": \"$(touch /tmp/pwn)'; id; '\""),
            ("\"name\": \"kubeadm\"", "\"name\": \"../../etc/x\""),
            ("\"name\": \"kubeadm\"", "\"name\": \"kubeadn\""),
            ("\"sha256\": \"", "\"sha256\": \"abc"),
            ("\"size\": ", "\"size\": 1844674407370955161"),
            ("\"size\": ", "\"size\": 1"),
            ("\"digest\": \"sha256:", "\"digest\": \"sha256:../"),
            ("\"source\": \"test\"", "\"source\": \"\\u001b[2J\""),
        ];
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("bundle");
        let refused = |what: &str| {
            let error = Bundle::open(&at).expect_err(what);
            assert_eq!(ExitStatus::of(&error), ExitStatus::Usage, "{what}: {error:#}");
            assert!(!error.to_string().contains('\u{1b}'), "{what}");
            fs::remove_dir_all(&at).unwrap();
        };
        for (what, change) in changes {
            made(&at);
            Bundle::open(&at).unwrap().verify(|_| {}).unwrap();
            change(&at);
            refused(what);
        }
        for (from, to) in texts {
            made(&at);
            rewritten(&at, from, to);
            refused(to);
        }
    }
}
