//! `images.tar`: the position of each blob in it, and a stream of the ones that a machine lacks, as an OCI archive.
//!
//! Layout and media types: OCI image layout, <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md>.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::user_file;
use anyhow::{Context, Result, anyhow, bail};
use hostler_core::manifest::{Image, Manifest, is_sha256};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, DuplexStream};

/// The block size of tar.
const RECORD: u64 = 512;
const BLOBS: &str = "blobs/sha256/";
/// Bytes buffered between the file and the reader of the stream.
const UNDER_WAY: usize = 1 << 20;

/// Where the bytes of a blob are.
#[derive(Debug, Clone)]
pub enum Place {
    /// In the archive: offset and length in bytes.
    Archive(u64, u64),
    Memory(Arc<[u8]>),
    /// A file of this size.
    File(PathBuf, u64),
}

impl Place {
    /// Bytes.
    pub fn size(&self) -> u64 {
        match self {
            Place::Archive(_, size) | Place::File(_, size) => *size,
            Place::Memory(bytes) => bytes.len() as u64,
        }
    }
}

/// The blobs of the archive, by their sha256 in hex. Reads only headers.
///
/// # Errors
/// It can't be read, or is not a tar of blobs, each in it once and whole.
pub fn index(archive: &Path) -> Result<BTreeMap<String, Place>> {
    let context = || format!("{} can't be read", archive.display());
    let mut file = user_file::regular(archive).with_context(context)?;
    let length = file.metadata().with_context(context)?.len();
    let mut blobs = BTreeMap::new();
    let mut at = 0;
    let mut header = tar::Header::new_old();
    loop {
        file.seek(SeekFrom::Start(at)).with_context(context)?;
        if file.read_exact(header.as_mut_bytes()).is_err() {
            bail!("{} is truncated: its end is missing", archive.display());
        }
        if header.as_bytes()[0] == 0 {
            return Ok(blobs);
        }
        let (path, size) = (header.path().with_context(context)?, header.size().with_context(context)?);
        let digest = path.to_str().and_then(|path| path.strip_prefix(BLOBS)).filter(|digest| is_sha256(digest)).with_context(context)?;
        let begins = at + RECORD;
        // What a header says may be any number.
        let Some(ends) = begins.checked_add(size).filter(|ends| *ends <= length) else {
            bail!("{} is truncated in blob {digest}", archive.display());
        };
        if blobs.insert(digest.to_owned(), Place::Archive(begins, size)).is_some() {
            bail!("{} contains blob {digest} twice", archive.display());
        }
        at = begins + padded(ends - begins);
    }
}

/// Appends a blob.
///
/// # Errors
/// The archive can't be written.
pub fn append(archive: &mut impl Write, digest: &str, bytes: &[u8]) -> Result<()> {
    archive.write_all(header(&format!("{BLOBS}{digest}"), bytes.len() as u64)?.as_bytes())?;
    archive.write_all(bytes)?;
    archive.write_all(&padding(bytes.len() as u64))?;
    Ok(())
}

/// Appends the end marker of a tar.
///
/// # Errors
/// The archive can't be written.
pub fn finish(archive: &mut impl Write) -> Result<()> {
    Ok(archive.write_all(&[0; 2 * RECORD as usize])?)
}

/// An OCI archive of `images` only: its length in bytes, and its bytes. Each blob is in it once.
///
/// # Errors
/// A blob is not in the bundle. If the archive can't be read, the stream ends early.
pub fn subset(
    archive: &Path,
    blobs: &BTreeMap<String, Place>,
    manifest: &Manifest,
    images: &[&Image],
) -> Result<(u64, Box<dyn AsyncRead + Send + Unpin>)> {
    let descriptors: Vec<_> = images.iter().map(|image| descriptor(image, manifest.arch.name())).collect();
    let index = serde_json::to_vec(&json!({ "schemaVersion": 2, "manifests": descriptors }))?;
    let mut pieces = vec![
        ("oci-layout".to_owned(), Place::Memory(br#"{"imageLayoutVersion":"1.0.0"}"#.as_slice().into())),
        ("index.json".to_owned(), Place::Memory(index.into())),
    ];
    let mut seen = BTreeSet::new();
    for image in images {
        for digest in std::iter::once(&image.digest).chain(image.blobs.iter().map(|blob| &blob.digest)) {
            if seen.insert(digest) {
                let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
                let place = blobs.get(hex).ok_or_else(|| anyhow!("blob {} of {} is not in the bundle", digest, image.reference))?;
                pieces.push((format!("{BLOBS}{hex}"), place.clone()));
            }
        }
    }
    let total = pieces.iter().map(|(_, place)| RECORD + padded(place.size())).sum::<u64>() + 2 * RECORD;
    let (sink, stream) = tokio::io::duplex(UNDER_WAY);
    // If the reader is gone or the archive fails, the stream ends early: readers count bytes.
    tokio::spawn(copy(archive.to_owned(), pieces, sink));
    Ok((total, Box::new(stream)))
}

/// As containerd expects it: with the reference in an annotation.
fn descriptor(image: &Image, arch: &str) -> serde_json::Value {
    json!({
        "mediaType": image.media_type,
        "digest": image.digest,
        "size": image.manifest_size,
        "annotations": { "io.containerd.image.name": image.reference },
        "platform": { "architecture": arch, "os": "linux" },
    })
}

async fn copy(archive: PathBuf, pieces: Vec<(String, Place)>, mut sink: DuplexStream) -> Result<()> {
    let mut file = tokio::fs::File::from_std(user_file::regular(&archive)?);
    file.set_max_buf_size(UNDER_WAY);
    for (name, place) in pieces {
        let size = place.size();
        sink.write_all(header(&name, size)?.as_bytes()).await?;
        match place {
            Place::Memory(bytes) => sink.write_all(&bytes).await?,
            Place::File(path, size) => {
                let mut part =
                    tokio::io::BufReader::with_capacity(UNDER_WAY / 4, tokio::fs::File::from_std(user_file::regular(&path)?).take(size));
                tokio::io::copy_buf(&mut part, &mut sink).await?;
            }
            Place::Archive(offset, size) => {
                file.seek(SeekFrom::Start(offset)).await?;
                let mut part = tokio::io::BufReader::with_capacity(UNDER_WAY / 4, (&mut file).take(size));
                tokio::io::copy_buf(&mut part, &mut sink).await?;
            }
        }
        sink.write_all(&padding(size)).await?;
    }
    Ok(sink.write_all(&[0; 2 * RECORD as usize]).await?)
}

fn header(name: &str, size: u64) -> Result<tar::Header> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_cksum();
    Ok(header)
}

fn padded(size: u64) -> u64 {
    size.div_ceil(RECORD) * RECORD
}

fn padding(size: u64) -> Vec<u8> {
    vec![0; (padded(size) - size) as usize]
}
