//! Pulls images from registries: the manifest for one architecture, and its blobs as they are stored there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::StreamExt;
use hostler_core::arch::Arch;
use hostler_core::digest::sha256;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::manifest::is_sha256;
use oci_client::client::{BlobResponse, ClientConfig, ClientProtocol};
use oci_client::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciImageManifest,
    OciManifest,
};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use tokio::time::sleep;

use super::download::Sites;
use crate::event::Unit;
use crate::report::redact::without_queries;
use crate::workstation::task::Task;

const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);
/// The largest blob that is pulled, in bytes; the largest of these images has 0.1 GB.
const MOST_BLOB: u64 = 2 << 30;

/// The manifest of an image and its blobs, in the manifest's order: config, layers.
pub struct Pulled {
    pub manifest: Vec<u8>,
    pub media_type: String,
    /// Files, named by their sha256.
    pub blobs: Vec<PathBuf>,
}

/// Where to pull images from.
pub struct Registries {
    client: Client,
    /// HOST:PORT of a mirror, where registries' names are the first part of the path.
    mirror: Option<String>,
}

impl Registries {
    /// # Errors
    /// The mirror is not `http://HOST` or `https://HOST`.
    pub fn new(sites: &Sites) -> Result<Registries> {
        let (mirror, protocol) = match &sites.mirror {
            None => (None, ClientProtocol::Https),
            Some(mirror) => match mirror.split_once("://") {
                Some(("http", host)) => (Some(host.to_owned()), ClientProtocol::Http),
                Some(("https", host)) => (Some(host.to_owned()), ClientProtocol::Https),
                _ => bail!("the mirror {mirror} does not start with http:// or https://"),
            },
        };
        let (connect_timeout, read_timeout) = (Some(Duration::from_secs(10)), Some(Duration::from_secs(20)));
        Ok(Registries { client: Client::new(ClientConfig { protocol, connect_timeout, read_timeout, ..ClientConfig::default() }), mirror })
    }

    /// Pulls `image` (`registry.k8s.io/pause:3.10.2`) for `arch` into `folder`. Blobs that are there already are not pulled again.
    ///
    /// # Errors
    /// Refused if bytes don't match their digest; an error of the registry; a missing architecture.
    pub async fn pull(&self, image: &str, arch: Arch, folder: &Path, task: &Task) -> Result<Pulled> {
        let asked = self.mirror.as_ref().map_or_else(|| image.to_owned(), |mirror| format!("{mirror}/{image}"));
        let reference: Reference = asked.parse().with_context(|| format!("`{asked}` is not a valid image reference"))?;
        let anonymous = RegistryAuth::Anonymous;
        let allowed = self.client.auth(&reference, &anonymous, RegistryOperation::Pull).await.map_err(unsigned);
        allowed.with_context(|| format!("{image} can't be pulled"))?;
        let mut manifest = self.manifest(image, &reference).await?;
        if let OciManifest::ImageIndex(index) = serde_json::from_slice(&manifest).with_context(|| {
            format!(
                "the registry sent no valid \
            manifest for {image}"
            )
        })? {
            let fits = |entry: &&oci_client::manifest::ImageIndexEntry| {
                entry.platform.as_ref().is_some_and(|of| of.os.to_string() == "linux" && of.architecture.to_string() == arch.name())
            };
            let entry = index.manifests.iter().find(fits).with_context(|| format!("{image} is not available for linux/{arch}"))?;
            manifest = self.manifest(image, &reference.clone_with_digest(entry.digest.clone())).await?;
            require(image, &entry.digest, &manifest)?;
        }
        let read: OciImageManifest = serde_json::from_slice(&manifest).with_context(|| format!("{image}'s manifest can't be read"))?;
        let total = read.layers.iter().map(|layer| layer.size.max(0) as u64).sum();
        let (mut blobs, mut done) = (Vec::new(), 0);
        for descriptor in std::iter::once(&read.config).chain(&read.layers) {
            let hex = descriptor
                .digest
                .strip_prefix("sha256:")
                .filter(|hex| is_sha256(hex))
                .with_context(|| format!("{image}: {} is not a sha256 digest", descriptor.digest))?;
            let file = folder.join(hex);
            if std::fs::read(&file).is_ok_and(|bytes| sha256(&bytes) == hex) {
                done += descriptor.size.max(0) as u64;
            } else {
                let size = sized(image, descriptor.size)?;
                let bytes = self.blob(image, &reference, (&descriptor.digest, size), |more| {
                    done += more;
                    task.progress(done, total, Unit::Bytes);
                });
                super::source::put(&file, &bytes.await?)?;
            }
            blobs.push(file);
        }
        let media_type = read.media_type.unwrap_or_else(|| OCI_IMAGE_MEDIA_TYPE.to_owned());
        Ok(Pulled { manifest, media_type, blobs })
    }

    async fn manifest(&self, image: &str, reference: &Reference) -> Result<Vec<u8>> {
        let types = [OCI_IMAGE_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, IMAGE_MANIFEST_LIST_MEDIA_TYPE];
        let pulled = self.client.pull_manifest_raw(reference, &RegistryAuth::Anonymous, &types).await;
        Ok(pulled.map_err(unsigned).with_context(|| format!("{image} can't be pulled"))?.0.to_vec())
    }

    /// The bytes of a blob. An interrupted pull is resumed.
    async fn blob(&self, image: &str, reference: &Reference, (digest, size): (&str, u64), mut more: impl FnMut(u64)) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let why = match self.rest(reference, (digest, size), &mut bytes, &mut more).await {
                Ok(()) => match require(image, digest, &bytes) {
                    Ok(()) => return Ok(bytes),
                    Err(why) => {
                        bytes.clear();
                        why
                    }
                },
                Err(why) => why,
            };
            if attempt == ATTEMPTS {
                return Err(why.context(format!("{image} can't be pulled")));
            }
            sleep(PAUSE).await;
        }
    }

    async fn rest(
        &self,
        reference: &Reference,
        (digest, size): (&str, u64),
        bytes: &mut Vec<u8>,
        more: &mut impl FnMut(u64),
    ) -> Result<()> {
        let mut stream = if bytes.is_empty() {
            self.client.pull_blob_stream(reference, digest).await.map_err(unsigned)?
        } else {
            match self.client.pull_blob_stream_partial(reference, digest, bytes.len() as u64, None).await.map_err(unsigned)? {
                BlobResponse::Partial(stream) => stream,
                BlobResponse::Full(stream) => {
                    bytes.clear();
                    stream
                }
            }
        };
        let expected = stream.content_length.map(|length| length + bytes.len() as u64);
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(unsigned)?;
            if bytes.len() as u64 + chunk.len() as u64 > size {
                bytes.clear();
                return Err(anyhow!("blob {digest} is larger than the {size} bytes in its manifest"));
            }
            bytes.extend_from_slice(&chunk);
            more(chunk.len() as u64);
        }
        match expected {
            Some(expected) if expected > bytes.len() as u64 => {
                Err(anyhow!("the pull of {digest} was interrupted: {} of {expected} bytes received", bytes.len()))
            }
            _ => Ok(()),
        }
    }
}

/// An error of a registry, which may have led to a storage by a signed URL: the signature is left out.
fn unsigned(error: impl Into<anyhow::Error>) -> anyhow::Error {
    anyhow!("{}", without_queries(&format!("{:#}", error.into())))
}

/// The size that a manifest gives a blob: all of it is kept in memory.
fn sized(image: &str, size: i64) -> Result<u64> {
    let size = u64::try_from(size).ok().filter(|size| *size <= MOST_BLOB);
    size.with_context(|| format!("a layer of {image} is too large: the limit is {MOST_BLOB} bytes"))
}

fn require(image: &str, digest: &str, bytes: &[u8]) -> Result<()> {
    let is = format!("sha256:{}", sha256(bytes));
    if is == digest {
        return Ok(());
    }
    let what = format!("a blob of {image} does not match its manifest: its digest is {is}, expected {digest}");
    Err(Failure::new(ExitStatus::Refused, what, "a proxy may have changed the data: try another network").into())
}
