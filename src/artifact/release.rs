//! Creates a bundle from release sites and image registries. Files are accepted only with their published checksum. Images are pulled as
//! their registries serve them now; from then on the digests in the bundle's manifest are authoritative, and a
//! tag that has another digest in a later bundle is refused.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use flate2::read::GzDecoder;
use hostler_core::arch::Arch;
use hostler_core::digest::sha256;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::manifest::{Component, FileKind, Image};
use hostler_core::pins::{Contents, Pins, Release};

use super::download::{Sites, client, download};
use super::lock::{self, Lock};
use super::registry::{Pulled, Registries};
use super::writer::Writer;
use crate::event::Events;
use crate::workstation::task::task;
use crate::{home, pins, user_file};

/// How to fetch a bundle.
#[derive(Debug, Clone, Default)]
pub struct Fetching {
    pub sites: Sites,
    /// Whether files without a published checksum, and images whose tag was moved, are accepted.
    pub unpinned: bool,
}

/// Creates a bundle in `place`. `hostler`: the program for hostler's own image, and its origin.
///
/// # Errors
/// Refused if bytes differ from what was published, or a file has no published checksum; a site can't be reached; no space.
pub async fn make(pins: &Pins, arch: Arch, fetching: &Fetching, hostler: (&[u8], &str), place: &Path, events: &Events) -> Result<()> {
    let kept = Kept { downloads: home::cache()?.join("downloads"), lock: lock::default_file()? };
    fetch_into(pins, &pins::list()?.releases(pins, arch), arch, fetching, hostler, place, &kept, events).await
}

/// What stays on this computer from one bundle to the next.
struct Kept {
    /// A folder of files, each named by its sha256.
    downloads: PathBuf,
    /// See [`Lock`].
    lock: PathBuf,
}

/// As [`make`], with any releases.
#[expect(clippy::too_many_arguments, reason = "called once, and by tests with releases of their own")]
async fn fetch_into(
    pins: &Pins,
    releases: &[Release],
    arch: Arch,
    fetching: &Fetching,
    hostler: (&[u8], &str),
    place: &Path,
    kept: &Kept,
    events: &Events,
) -> Result<()> {
    if let Some(mirror) = fetching.sites.mirror.as_ref().filter(|mirror| !fetching.unpinned && is_open_to_changes(mirror)) {
        let what = format!(
            "images have no published digests to verify, and anyone on the network path can change what {mirror} sends \
            over HTTP"
        );
        let hint = "use an https:// mirror, or pass `--allow-unpinned` to accept the images without verification";
        return Err(Failure::new(ExitStatus::Refused, what, hint).into());
    }
    let downloads = kept.downloads.as_path();
    let mut lock = Lock::open(&kept.lock)?;
    let client = client()?;
    let mut files = Vec::new();
    for release in releases {
        if release.sha256.is_none() && !fetching.unpinned {
            let what = format!("{} has no published checksum", release.address);
            let hint = "verify the file yourself, then pass `--allow-unpinned` to accept it";
            return Err(Failure::new(ExitStatus::Refused, what, hint).into());
        }
        let name = release.address.rsplit('/').next().unwrap_or_default().to_owned();
        let path = task(events, &name, &format!("fetch {}", release.address), async |task| {
            download(&client, &fetching.sites.locate(&release.address), release.sha256.as_deref(), downloads, &task).await
        })
        .await?;
        files.push((release, path));
    }
    let registries = Registries::new(&fetching.sites)?;
    let pull = async |image: &str| {
        let name = image.rsplit('/').next().unwrap_or_default();
        task(events, name, &format!("pull {image}"), async |task| registries.pull(image, arch, downloads, &task).await).await
    };
    let mut pulled = Vec::new();
    for (component, reference) in pins.images() {
        pulled.push((component, pull(&reference).await?, reference));
    }
    let plugin = format!("ghcr.io/flannel-io/flannel-cni-plugin:{}", pins.cni_flannel_image);
    let flannel = pull(&plugin).await?;
    let images = pulled.iter().map(|(_, image, reference)| (reference, image)).chain([(&plugin, &flannel)]);
    for (reference, image) in images {
        lock.record(reference, arch, &format!("sha256:{}", sha256(&image.manifest)), fetching.unpinned)?;
    }

    task(events, "bundle", &format!("assemble in {}", place.display()), async |task| {
        let mut bundle = Writer::begin(place, &pins.kubernetes, arch)?;
        task.line("programs");
        for (release, path) in &files {
            unpack(release, path, &mut bundle)?;
        }
        let source = format!("{plugin}@sha256:{}", sha256(&flannel.manifest));
        bundle.file("flannel", &pins.cni_flannel_image, FileKind::CniPlugin, &source, &from_layers(&flannel, "flannel")?)?;
        task.line("images");
        for (component, image, reference) in &pulled {
            store(*component, reference, image, &mut bundle)?;
        }
        bundle.hostler(hostler.0, hostler.1)?;
        bundle.finish()?;
        lock.save()
    })
    .await
}

/// The largest program that is unpacked, in bytes; the largest of a release has 0.1 GB.
const MOST_PROGRAM: u64 = 1 << 30;

/// Whether somebody on the way to the mirror could change what it serves. The way to this computer itself is short.
pub(super) fn is_open_to_changes(mirror: &str) -> bool {
    let url = reqwest::Url::parse(mirror).ok();
    let host = url.as_ref().and_then(|url| url.host_str()).unwrap_or_default().trim_matches(['[', ']']);
    let near = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    !near && url.is_none_or(|url| url.scheme() != "https")
}

/// Adds the needed contents of a published file to the bundle.
fn unpack(release: &Release, path: &Path, bundle: &mut Writer) -> Result<()> {
    let bytes = user_file::whole(path).with_context(|| format!("{} can't be read", path.display()))?;
    let (names, kind) = match release.contents {
        Contents::Program(name) => return bundle.file(name, &release.version, FileKind::Program, &release.address, &bytes),
        Contents::Programs(names) => (names, FileKind::Program),
        Contents::CniPlugins(names) => (names, FileKind::CniPlugin),
    };
    let mut found = find(GzDecoder::new(bytes.as_slice()), names).with_context(|| format!("{} can't be unpacked", release.address))?;
    for &name in names {
        let program = found.remove(name).with_context(|| format!("{} does not contain {name}", release.address))?;
        bundle.file(name, &release.version, kind, &release.address, &program)?;
    }
    Ok(())
}

/// The regular files of a tar whose file names are among `names`.
fn find(tar: impl Read, names: &[&str]) -> Result<std::collections::BTreeMap<String, Vec<u8>>> {
    let mut found = std::collections::BTreeMap::new();
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if entry.header().entry_type().is_file() && names.contains(&name.as_str()) {
            let mut bytes = Vec::new();
            // A small archive can unpack to any size.
            entry.by_ref().take(MOST_PROGRAM + 1).read_to_end(&mut bytes)?;
            ensure!(bytes.len() as u64 <= MOST_PROGRAM, "{name} is too large for a program: the limit is {MOST_PROGRAM} bytes");
            found.insert(name, bytes);
        }
    }
    Ok(found)
}

/// A file of an image, from the highest layer that has it.
fn from_layers(image: &Pulled, name: &str) -> Result<Vec<u8>> {
    for blob in image.blobs.iter().skip(1).rev() {
        let bytes = user_file::whole(blob)?;
        let tar: Box<dyn Read> = match bytes.as_slice() {
            [0x1f, 0x8b, ..] => Box::new(GzDecoder::new(bytes.as_slice())),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::stream::read::Decoder::new(bytes.as_slice())?),
            _ => Box::new(bytes.as_slice()),
        };
        if let Some(bytes) = find(tar, &[name])?.remove(name) {
            return Ok(bytes);
        }
    }
    bail!("the image does not contain {name}")
}

fn store(component: Component, reference: &str, image: &Pulled, bundle: &mut Writer) -> Result<()> {
    let mut blobs = Vec::new();
    for blob in &image.blobs {
        blobs.push(bundle.blob(&user_file::whole(blob)?)?);
    }
    let manifest = bundle.blob(&image.manifest)?;
    bundle.image(Image {
        component,
        reference: reference.to_owned(),
        source: format!("{reference}@{}", manifest.digest),
        digest: manifest.digest,
        media_type: image.media_type.clone(),
        manifest_size: manifest.size,
        blobs,
    });
    Ok(())
}

#[cfg(test)]
mod tests;
