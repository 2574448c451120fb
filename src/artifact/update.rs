//! Asks the release sites for a version of Kubernetes that the pins do not have: its checksums, and what its own kubeadm says belongs to it.
//! Nothing is made up: what no site says is that of the nearest version in the pins.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use hostler_core::arch::Arch;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::shown;
use hostler_core::manifest::is_sha256;
use hostler_core::pins::{OF_KUBERNETES, PinList, Pins, Sum, etcd_archive, etcd_sums, merge, of_kubernetes, to_yaml};
use hostler_core::version::{numbers, three_numbers};
use jiff::civil::Date;
use reqwest::StatusCode;
use tokio::time::timeout;

use super::download::{Sites, client, download};
use super::release::is_open_to_changes;
use super::{own_arch, source};
use crate::atomic;
use crate::event::Events;
use crate::pins::Place;
use crate::user_file::{self, Destination};
use crate::workstation::program::program;
use crate::workstation::task::task;

/// What the checksums are recorded with.
const SOURCE: &str = "release site";
/// The largest answer that is read of a site; a list of checksums has 2 kB.
const MOST_BYTES: usize = 64 << 10;
/// Limit for one answer, and for kubeadm.
const LIMIT: Duration = Duration::from_secs(60);

/// What came of an update.
#[derive(Debug, PartialEq, Eq)]
pub struct Updated {
    pub version: String,
    /// Whether the pins had it before.
    pub known: bool,
}

/// Adds a version to the file at `place`. `asked`: the version, or a minor version (`1.36`), whose newest patch is meant; `None`: the newest
/// minor version that the pins have. `downloads`: the folder of fetched files.
///
/// # Errors
/// Refused: a site says another checksum of a version that the pins have, or could be changed on the way. A site can't be reached; kubeadm does
/// not run on this computer; the file can't be written.
pub async fn update(
    place: &Place,
    asked: Option<&str>,
    sites: &Sites,
    downloads: &std::path::Path,
    today: Date,
    events: &Events,
) -> Result<Updated> {
    if let Some(mirror) = sites.mirror.as_ref().filter(|mirror| is_open_to_changes(mirror)) {
        let what = format!("anyone on the network path can change the checksums that {mirror} sends over HTTP");
        return Err(Failure::new(ExitStatus::Refused, what, "use an https:// mirror").into());
    }
    let (users, known) = (place.users()?, place.list()?);
    let site = Site { client: client()?, sites };
    let version = site.version(asked, &known, events).await?;
    let sums = site.sums(&version, events).await?;
    let mut added = users.clone();
    if asked.is_none() {
        added.as_of = Some(today);
    }
    for (name, [amd64, arm64]) in &sums {
        let sum = Sum { amd64: amd64.clone(), arm64: arm64.clone(), source: SOURCE.to_owned(), as_of: today };
        match known.sum(name, &version) {
            Some(before) if (&before.amd64, &before.arm64) == (amd64, arm64) => {}
            Some(before) => return Err(replaced(name, &version, before, &sum).into()),
            None => drop(added.sums.insert(((*name).to_owned(), version.clone()), sum)),
        }
    }
    let had = known.of(&version).is_some();
    if !had {
        let images = site.images(&version, &sums, downloads, events).await?;
        let near = nearest(&known, &version)?;
        let pins = Pins { kubernetes: version.clone(), ..images.with(near)? };
        if known.sum("etcd", &pins.etcd).is_none() {
            let [amd64, arm64] = site.etcd(&pins.etcd, events).await?;
            let sum = Sum { amd64, arm64, source: SOURCE.to_owned(), as_of: today };
            added.sums.insert(("etcd".to_owned(), pins.etcd.clone()), sum);
        }
        added.pins.push(pins);
        added.pins.sort_by_key(|pins| std::cmp::Reverse(numbers(&pins.kubernetes)));
    }
    // What is written is read by every verb.
    merge(&place.own(), &added).map_err(|why| anyhow!(why))?;
    if added != users {
        let text = to_yaml(&added);
        let folder = atomic::folder_of(&place.file);
        std::fs::create_dir_all(folder).with_context(|| format!("{} can't be created", folder.display()))?;
        let written = Destination::of(&place.file)?.write(text.as_bytes(), 0o644);
        written.with_context(|| format!("{} can't be written", place.file.display()))?;
    }
    Ok(Updated { version, known: had })
}

/// The pins that a new version takes what no site says from: of the same minor version, else the newest.
fn nearest<'a>(known: &'a PinList, version: &str) -> Result<&'a Pins> {
    let minor = |version: &str| numbers(version).map(|[major, minor, _]| [major, minor]);
    let same = known.pins.iter().find(|pins| minor(&pins.kubernetes) == minor(version));
    same.or(known.pins.first()).context("there are no pins")
}

fn replaced(name: &str, version: &str, before: &Sum, now: &Sum) -> Failure {
    let differs =
        if before.amd64 == now.amd64 { (&before.arm64, &now.arm64, Arch::Arm64) } else { (&before.amd64, &now.amd64, Arch::Amd64) };
    let what = format!(
        "the release site now has the checksum {} for {name} {version} ({}), but the known checksum is {} ({}, {})",
        differs.1, differs.2, differs.0, before.source, before.as_of
    );
    let hint = "a published version never changes: do not install it, and compare both checksums with the project's release page";
    Failure::new(ExitStatus::Refused, what, hint)
}

/// The versions that kubeadm names.
#[derive(Debug, Default, PartialEq, Eq)]
struct Images {
    etcd: Option<String>,
    coredns: Option<String>,
    pause: Option<String>,
}

impl Images {
    /// Of the lines of `kubeadm config images list`.
    fn of(text: &str) -> Images {
        let tag = |name: &str| {
            let mut tags = text.lines().filter_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
            tags.next().map(str::to_owned)
        };
        Images { etcd: tag("registry.k8s.io/etcd"), coredns: tag("registry.k8s.io/coredns/coredns"), pause: tag("registry.k8s.io/pause") }
    }

    /// `near` with these versions.
    fn with(&self, near: &Pins) -> Result<Pins> {
        let said =
            |image: &Option<String>, what| image.clone().with_context(|| format!("the kubeadm of this version does not name its {what}"));
        let (etcd_image, coredns, pause) = (said(&self.etcd, "etcd")?, said(&self.coredns, "CoreDNS")?, said(&self.pause, "pause image")?);
        let plain = |tag: &str| three_numbers(tag.split('-').next().unwrap_or_default()).map(str::to_owned);
        let etcd = plain(&etcd_image)
            .with_context(|| format!("kubeadm names an etcd version that hostler can't parse: `{}`", shown(&etcd_image)))?;
        let coredns =
            plain(&coredns).with_context(|| format!("kubeadm names a CoreDNS version that hostler can't parse: `{}`", shown(&coredns)))?;
        Ok(Pins { etcd, etcd_image, coredns, pause, ..near.clone() })
    }
}

struct Site<'a> {
    client: reqwest::Client,
    sites: &'a Sites,
}

impl Site<'_> {
    /// A short text.
    async fn text(&self, address: &str) -> Result<String> {
        let read = async {
            let mut response = self.client.get(self.sites.locate(address)).send().await.map_err(|error| {
                // Only the root cause is of use: the errors between name layers of libraries.
                let what = format!("{address} can't be reached: {}", anyhow!(error).root_cause());
                Failure::new(ExitStatus::Failed, what, "check this computer's connection, or pass a mirror with `--mirror URL`")
            })?;
            if response.status() == StatusCode::NOT_FOUND {
                let hint = "check the version, e.g. with `hostler bundle pins --update 1.36` for the newest patch; a release may not be complete yet";
                return Err(Failure::new(ExitStatus::Failed, format!("there is no {address}"), hint).into());
            }
            if !response.status().is_success() {
                bail!("{address}: {}", response.status());
            }
            let mut bytes = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                bytes.extend_from_slice(&chunk);
                if bytes.len() > MOST_BYTES {
                    bail!("{address} has more than {MOST_BYTES} bytes");
                }
            }
            Ok(String::from_utf8(bytes).with_context(|| format!("{address} is not text"))?.trim().to_owned())
        };
        timeout(LIMIT, read).await.map_err(|_| anyhow!("{address} did not answer completely within {} s", LIMIT.as_secs()))?
    }

    /// The version that is meant.
    async fn version(&self, asked: Option<&str>, known: &PinList, events: &Events) -> Result<String> {
        if let Some(version) = asked.and_then(three_numbers) {
            return Ok(version.to_owned());
        }
        let minor = match asked {
            Some(asked) => asked.trim_start_matches('v').to_owned(),
            None => {
                let [major, minor, _] = known.versions().newest().and_then(numbers).context("there are no pins")?;
                format!("{major}.{minor}")
            }
        };
        if three_numbers(&format!("{minor}.0")).is_none() {
            let what = format!("`{}` is not a version of Kubernetes", shown(&minor));
            return Err(Failure::new(ExitStatus::Usage, what, "write three numbers, such as 1.36.3, or two for the newest patch").into());
        }
        let address = format!("https://dl.k8s.io/release/stable-{minor}.txt");
        let said = task(events, "pins", &format!("fetch {address}"), async |_| self.text(&address).await).await?;
        let version = three_numbers(&said).filter(|version| version.starts_with(&format!("{minor}.")));
        version.map(str::to_owned).with_context(|| format!("{address} has no version of {minor}"))
    }

    /// The checksums of Kubernetes' own programs, for amd64 and arm64.
    async fn sums(&self, version: &str, events: &Events) -> Result<BTreeMap<&'static str, [String; 2]>> {
        task(events, "pins", &format!("fetch the checksums of Kubernetes {version}"), async |task| {
            let mut sums = BTreeMap::new();
            for name in OF_KUBERNETES {
                let mut of = Vec::new();
                for arch in Arch::ALL {
                    let address = format!("{}.sha256", of_kubernetes(name, version, arch));
                    task.line(&address);
                    let text = self.text(&address).await?;
                    // Some have the name of the file behind the sum.
                    let sum = text.split_whitespace().next().filter(|sum| is_sha256(sum));
                    of.push(sum.with_context(|| format!("{address} has no sha256"))?.to_owned());
                }
                sums.insert(name, <[String; 2]>::try_from(of).map_err(|_| anyhow!("not two architectures"))?);
            }
            Ok(sums)
        })
        .await
    }

    /// What belongs to a version, by its own kubeadm, which is checked and then run on this computer.
    async fn images(
        &self,
        version: &str,
        sums: &BTreeMap<&'static str, [String; 2]>,
        downloads: &std::path::Path,
        events: &Events,
    ) -> Result<Images> {
        let arch = own_arch();
        let address = of_kubernetes("kubeadm", version, arch);
        let place = Arch::ALL.iter().position(|known| *known == arch).unwrap_or_default();
        let sum = sums.get("kubeadm").map(|of| of[place].as_str()).context("there is no checksum for kubeadm")?;
        let kubeadm = task(events, "kubeadm", &format!("fetch {address}"), async |task| {
            download(&self.client, &self.sites.locate(&address), Some(sum), downloads, &task).await
        })
        .await?;
        task(events, "kubeadm", "list the images that kubeadm needs", async |_| {
            // Beside the download: programs in /tmp may not be allowed to run.
            let folder = tempfile::tempdir_in(downloads)?;
            let runs = folder.path().join("kubeadm");
            source::put(&runs, &user_file::whole(&kubeadm)?)?;
            let arguments = ["config", "images", "list", "--kubernetes-version", &format!("v{version}")].map(str::to_owned);
            let mut command = program(&runs.to_string_lossy(), arguments);
            let output = timeout(LIMIT, command.output()).await;
            let output = output.map_err(|_| anyhow!("kubeadm did not exit within {} s", LIMIT.as_secs()))?;
            let output = output.context("kubeadm does not run on this computer")?;
            if !output.status.success() {
                bail!("kubeadm of {version} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
            }
            Ok(Images::of(&String::from_utf8_lossy(&output.stdout)))
        })
        .await
    }

    /// The checksums of etcd's archives.
    async fn etcd(&self, version: &str, events: &Events) -> Result<[String; 2]> {
        let address = etcd_sums(version);
        let text = task(events, "etcd", &format!("fetch {address}"), async |_| self.text(&address).await).await?;
        let of = |arch| {
            let name = etcd_archive(version, arch);
            let mut lines = text.lines().filter_map(|line| line.split_once(' '));
            let sum = lines.find(|(_, file)| file.trim_start_matches([' ', '*']).trim_start_matches("./") == name).map(|(sum, _)| sum);
            sum.filter(|sum| is_sha256(sum)).map(str::to_owned).with_context(|| format!("{address} has no sha256 of {name}"))
        };
        Ok([of(Arch::Amd64)?, of(Arch::Arm64)?])
    }
}

#[cfg(test)]
mod tests;
