//! Pulls images from registries: the manifest for one architecture, and its blobs as they are stored there. Of each answer no more is read than
//! it may have: of oci-client only the types are used, as its client reads manifests and tokens of any length.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use hostler_core::arch::Arch;
use hostler_core::digest::sha256;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::manifest::is_sha256;
use oci_client::Reference;
use oci_client::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE,
    OciImageManifest, OciManifest,
};
use reqwest::header::{ACCEPT, RANGE, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::time::sleep;

use super::download::{self, Sites};
use crate::event::Unit;
use crate::report::redact::without_queries;
use crate::user_file;
use crate::workstation::task::Task;

const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);
/// The largest blob that is pulled, in bytes; the largest of these images has 0.1 GB.
const MOST_BLOB: u64 = 2 << 30;
/// The longest manifest, in bytes: registries take no longer ones.
const MOST_MANIFEST: usize = 4 << 20;
/// The longest answer with a token, in bytes.
const MOST_TOKEN: usize = 1 << 20;
/// Limit for a manifest or a token.
const LIMIT: Duration = Duration::from_secs(60);

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
    scheme: &'static str,
    /// HOST:PORT of a mirror, where registries' names are the first part of the path.
    mirror: Option<String>,
    /// What registries have given for anyone, by repository.
    tokens: Mutex<BTreeMap<String, String>>,
}

/// The answer with a token; registries use either name.
#[derive(Deserialize)]
struct Answer {
    #[serde(alias = "access_token")]
    token: String,
}

impl Registries {
    /// # Errors
    /// The mirror is not `http://HOST` or `https://HOST`.
    pub fn new(sites: &Sites) -> Result<Registries> {
        let (mirror, scheme) = match &sites.mirror {
            None => (None, "https"),
            Some(mirror) => match mirror.split_once("://") {
                Some(("http", host)) => (Some(host.to_owned()), "http"),
                Some(("https", host)) => (Some(host.to_owned()), "https"),
                _ => bail!("the mirror {mirror} does not start with http:// or https://"),
            },
        };
        // What a tag stands for is known from the answer alone, so nothing may lead to where anyone could change it.
        let client = download::builder().https_only(scheme == "https").build()?;
        Ok(Registries { client, scheme, mirror, tokens: Mutex::default() })
    }

    /// Pulls `image` (`registry.k8s.io/pause:3.10.2`) for `arch` into `folder`. Blobs that are there already are not pulled again.
    ///
    /// # Errors
    /// Refused if bytes don't match their digest; an error of the registry; a missing architecture.
    pub async fn pull(&self, image: &str, arch: Arch, folder: &Path, task: &Task) -> Result<Pulled> {
        let asked = self.mirror.as_ref().map_or_else(|| image.to_owned(), |mirror| format!("{mirror}/{image}"));
        let reference: Reference = asked.parse().with_context(|| format!("`{asked}` is not a valid image reference"))?;
        let mut manifest = self.manifest(image, &reference).await?;
        if let OciManifest::ImageIndex(index) = serde_json::from_slice(&manifest).with_context(|| {
            format!(
                "the registry sent no valid \
            manifest for {image}"
            )
        })? {
            let fits = |entry: &&ImageIndexEntry| {
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
            if user_file::whole(&file).is_ok_and(|bytes| sha256(&bytes) == hex) {
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
        let version = reference.digest().or(reference.tag()).unwrap_or("latest");
        let pulled = tokio::time::timeout(LIMIT, async {
            let response = self.get(reference, &format!("manifests/{version}"), (ACCEPT, types.join(", "))).await?;
            body(response, MOST_MANIFEST).await
        });
        let pulled = pulled.await.unwrap_or_else(|_| Err(anyhow!("the registry did not send the manifest within {} s", LIMIT.as_secs())));
        pulled.map_err(unsigned).with_context(|| format!("{image} can't be pulled"))
    }

    /// What the registry has at a path below the repository. It is asked for a token where it wants one.
    async fn get(&self, reference: &Reference, path: &str, (header, value): (reqwest::header::HeaderName, String)) -> Result<Response> {
        let (registry, repository) = (reference.resolve_registry(), reference.repository());
        let url = Url::parse(&format!("{}://{registry}/v2/{repository}/{path}", self.scheme))?;
        let key = format!("{registry}/{repository}");
        let mut is_signed_in = false;
        loop {
            let mut request = self.client.get(url.clone()).header(&header, &value);
            if let Some(token) = self.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
                request = request.bearer_auth(token);
            }
            let response = request.send().await?;
            match response.status() {
                StatusCode::UNAUTHORIZED if !is_signed_in => {
                    let token = tokio::time::timeout(LIMIT, self.token(&response, repository)).await;
                    let token = token.map_err(|_| anyhow!("the registry did not send a token within {} s", LIMIT.as_secs()))??;
                    self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), token);
                    is_signed_in = true;
                }
                status if status.is_success() => return Ok(response),
                status => bail!("{url}: {status}"),
            }
        }
    }

    /// A token for anyone, from where this refusal says.
    async fn token(&self, refusal: &Response, repository: &str) -> Result<String> {
        let challenge = refusal.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let realm = parameter(challenge, "realm").context("the registry needs a login")?;
        let scope = format!("repository:{repository}:pull");
        let service = parameter(challenge, "service").map(|service| ("service", service));
        let url = Url::parse_with_params(realm, [("scope", scope.as_str())].into_iter().chain(service))?;
        let response = self.client.get(url).send().await?;
        ensure!(response.status().is_success(), "the registry sent no token: {}", response.status());
        let answer = body(response, MOST_TOKEN).await?;
        Ok(serde_json::from_slice::<Answer>(&answer).context("the registry sent no valid token")?.token)
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
        let header = if bytes.is_empty() { (ACCEPT, "*/*".to_owned()) } else { (RANGE, format!("bytes={}-", bytes.len())) };
        let mut response = self.get(reference, &format!("blobs/{digest}"), header).await.map_err(unsigned)?;
        if response.status() != StatusCode::PARTIAL_CONTENT {
            bytes.clear();
        }
        let expected = response.content_length().map(|length| length + bytes.len() as u64);
        while let Some(chunk) = response.chunk().await.map_err(unsigned)? {
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

/// At most `most` bytes of an answer.
async fn body(mut response: Response, most: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await? {
        ensure!(bytes.len() + piece.len() <= most, "the registry's answer is too large: the limit is {most} bytes");
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// A parameter of a challenge: `Bearer realm="https://auth.example.org/token",service="registry"` (RFC 9110, 11.6.1).
fn parameter<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let (scheme, mut rest) = challenge.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    loop {
        let (key, value) = rest.trim_start_matches([' ', ',']).split_once('=')?;
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_at(value.find(',').unwrap_or(value.len())),
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = after;
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

#[cfg(test)]
mod tests {
    use super::parameter;

    #[test]
    fn a_challenge_names_where_tokens_are() {
        let challenge = r#"Bearer realm="https://auth.example.org/token?a=b,c",service=registry, scope="repository:x:pull""#;
        assert_eq!(parameter(challenge, "realm"), Some("https://auth.example.org/token?a=b,c"));
        assert_eq!(parameter(challenge, "Service"), Some("registry"));
        assert_eq!(parameter(challenge, "scope"), Some("repository:x:pull"));
        for wrong in ["", "Bearer", "Basic realm=\"x\"", "Bearer realm=\"x", "Bearer a", "Bearer ,,,", "Bearer service=\"a\""] {
            assert_eq!(parameter(wrong, "realm"), None, "{wrong}");
        }
    }
}
