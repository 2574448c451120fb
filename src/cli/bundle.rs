//! `hostler bundle`: a folder with everything that is installed on machines. It can be created once and copied anywhere.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use hostler_core::arch::Arch;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::pins::PinList;
use hostler_core::quantity;
use hostler_core::words::and;

use super::upgrade::{ago, today};
use super::{Output, help};
use crate::artifact::{self, Bundle, Fetching, Origin, Sites, own_arch};
use crate::event::Unit;
use crate::home;
use crate::pins::{self, Place, pins_of};
use crate::report::{Reporter, json_text, row, table};
use crate::workstation::task::task;

/// Create, inspect and verify the bundle of binaries and images
///
/// `hostler up` fetches a bundle if there is none in the cache. Create one to install from a computer without internet access, or to build
/// from source.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Create(Create),
    /// List the contents of a bundle and where they came from
    #[command(after_long_help = help::end(&[("List the contents of the bundle in the cache", "hostler bundle show")], help::LOCAL))]
    Show(Named),
    /// Compare all files of a bundle with the checksums in its manifest
    #[command(after_long_help = help::end(
        &[("Verify a bundle that was copied here", "hostler bundle verify /media/usb/bundle")],
        help::CAREFUL,
    ))]
    Verify(Named),
    /// Build the image that encodes films, from Debian packages
    ///
    /// `hostler up` builds it itself if the inventory has a `transcode:` section.
    #[command(after_long_help = help::end(&[("Build the encoder's image in advance and keep it in the cache", "hostler bundle encoder")], help::CAREFUL))]
    Encoder {
        /// Architecture of the machines, amd64 or arm64 [default: this computer's]
        #[arg(long, value_parser = arch)]
        arch: Option<Arch>,
    },
    Pins(ListPins),
}

/// List the versions of Kubernetes that hostler can install, and where their checksums are from
///
/// hostler knows some versions itself. `--update` adds another one to ~/.config/hostler/pins.yaml, with the checksums that the release site
/// publishes and the components that the kubeadm of that version names: see docs/years.md.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[
        ("See which versions there are", "hostler bundle pins"),
        ("Add the newest patch of the newest minor version", "hostler bundle pins --update"),
        ("Add one version", "hostler bundle pins --update 1.36.9"),
    ],
    help::CAREFUL,
))]
pub struct ListPins {
    /// Add this version; 1.36 means its newest patch [default: the newest patch of the newest minor version]
    #[arg(long, value_name = "VERSION", num_args = 0..=1)]
    update: Option<Option<String>>,
    /// Mirror: fetch https://HOST/PATH from URL/HOST/PATH
    #[arg(long, value_name = "URL", requires = "update")]
    mirror: Option<String>,
}

/// Fetch or build a bundle
///
/// Binaries are accepted only with their published checksums.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[
        ("Fetch the newest version into the cache", "hostler bundle create"),
        ("Fetch another version, for machines of another architecture", "hostler bundle create --kubernetes 1.35.4 --arch arm64 --pod-binary hostler-arm64 bundle"),
    ],
    help::CAREFUL,
))]
pub struct Create {
    /// Version of Kubernetes [default: the newest that hostler knows]
    #[arg(long, value_name = "VERSION")]
    kubernetes: Option<String>,
    /// Architecture of the machines, amd64 or arm64 [default: this computer's]
    #[arg(long, value_parser = arch)]
    arch: Option<Arch>,
    /// Build from Go modules and Debian packages instead of fetching
    #[arg(long)]
    from_source: bool,
    /// Folder with binaries from an earlier build from source
    #[arg(long, requires = "from_source")]
    parts: Option<PathBuf>,
    /// Mirror: fetch https://HOST/PATH from URL/HOST/PATH, and images likewise
    #[arg(long, value_name = "URL", conflicts_with = "from_source")]
    mirror: Option<String>,
    /// Accept files without a known published checksum, and images whose tag has moved since they were last pulled
    #[arg(long, conflicts_with = "from_source")]
    allow_unpinned: bool,
    /// Static hostler binary for the machines, if their architecture differs from this computer's
    #[arg(long)]
    pod_binary: Option<PathBuf>,
    /// Folder to create [default: in the cache, where every verb finds it]
    folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Named {
    /// Folder of the bundle [default: the newest version in the cache]
    folder: Option<PathBuf>,
}

impl Named {
    fn open(&self) -> Result<Bundle> {
        match &self.folder {
            Some(folder) => Bundle::open(folder),
            None => Bundle::open(&artifact::cached(pins_of(None)?, own_arch())?),
        }
    }
}

/// # Errors
/// A bundle can't be created, is not valid, or was changed.
pub async fn run(verb: &Verb, output: Output, reporter: &Reporter) -> Result<()> {
    match verb {
        Verb::Create(create) => {
            let pins = pins_of(create.kubernetes.as_deref())?;
            let arch = create.arch.unwrap_or(own_arch());
            let folder = match &create.folder {
                Some(folder) => folder.clone(),
                None => artifact::cached(pins, arch)?,
            };
            let origin = if create.from_source {
                Origin::Source(create.parts.clone())
            } else {
                let mirror = create.mirror.as_deref().map(mirror).transpose()?;
                Origin::Releases(Fetching { sites: Sites { mirror }, unpinned: create.allow_unpinned })
            };
            let created = artifact::create(pins, arch, &origin, create.pod_binary.as_deref(), &folder, &reporter.events()).await;
            created.map_err(|why| match (&origin, ExitStatus::of(&why)) {
                (Origin::Releases(_), ExitStatus::Failed) => {
                    let hint = "if this computer can't reach the download sites, pass `--mirror URL`, or build the bundle with \
                        `--from-source`";
                    Failure::new(ExitStatus::Failed, format!("the bundle can't be fetched: {why:#}"), hint).into()
                }
                _ => why,
            })?;
            let size = quantity::size(Bundle::open(&folder)?.size());
            reporter.result(&format!("Kubernetes {} for {arch}, {size}: {}", pins.kubernetes, folder.display())).await;
        }
        Verb::Show(named) => {
            let bundle = named.open()?;
            let text = if output == Output::Json { json_text(&bundle.manifest)? } else { list(&bundle) };
            reporter.result(text.trim_end()).await;
        }
        Verb::Encoder { arch } => {
            let encoder = artifact::encoder::ready(arch.unwrap_or(own_arch()), &reporter.events()).await?;
            let size = quantity::size(encoder.size);
            reporter.result(&format!("{}, {size}: {}", artifact::encoder::ENCODER_IMAGE, encoder.layer.display())).await;
        }
        Verb::Pins(ListPins { update: None, .. }) => reporter.result(listed(pins::list()?).trim_end()).await,
        Verb::Pins(ListPins { update: Some(asked), mirror: url }) => {
            let place = Place::of_user()?;
            let sites = Sites { mirror: url.as_deref().map(mirror).transpose()? };
            let downloads = home::cache()?.join("downloads");
            let updated = artifact::update(&place, asked.as_deref(), &sites, &downloads, today(), &reporter.events()).await?;
            let file = place.file.display();
            let line = match updated.known {
                true => format!("Kubernetes {} is known, and the release site has the same checksums", updated.version),
                false => format!("added Kubernetes {} to {file}, with the checksums of the release site", updated.version),
            };
            reporter.result(&line).await;
        }
        Verb::Verify(named) => {
            let bundle = named.open()?;
            let total = bundle.size();
            task(&reporter.events(), "verify", &format!("read {}", bundle.folder.display()), async |task| {
                let mut done = 0;
                bundle.verify(|bytes| {
                    done += bytes;
                    task.progress(done, total, Unit::Bytes);
                })
            })
            .await?;
            reporter.result(&format!("{} matches its manifest", bundle.folder.display())).await;
        }
    }
    Ok(())
}

fn arch(name: &str) -> Result<Arch, String> {
    Arch::parse(name).ok_or_else(|| format!("hostler has programs only for {}", and(&Arch::ALL)))
}

/// The URL of a mirror, without a slash at its end.
///
/// # Errors
/// It is not `http://HOST` or `https://HOST`, with a path if need be.
fn mirror(given: &str) -> Result<String> {
    let plain = reqwest::Url::parse(given).is_ok_and(|url| {
        ["http", "https"].contains(&url.scheme())
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    if plain {
        return Ok(given.trim_end_matches('/').to_owned());
    }
    // What precedes an `@`, and a query, may be a secret.
    let message = match given.contains(['@', '?']) {
        true => "the mirror's URL is not valid".to_owned(),
        false => format!("`{}` is not a valid mirror URL", given.escape_debug()),
    };
    Err(Failure::new(ExitStatus::Usage, message, "write a URL like https://mirror.example.org, without a user name, query or fragment")
        .into())
}

/// The versions, newest first, and the age of the list.
fn listed(list: &PinList) -> String {
    let today = today();
    let mut rows = vec![row!["Kubernetes", "etcd", "CoreDNS", "containerd", "checksums of Kubernetes"]];
    for pins in &list.pins {
        let from = list
            .sum("kubelet", &pins.kubernetes)
            .map_or_else(|| "none".to_owned(), |sum| format!("{}, {}{}", sum.source, sum.as_of, ago(sum.as_of, today)));
        rows.push(row![pins.kubernetes, pins.etcd, pins.coredns, pins.containerd, from]);
    }
    let age = match list.as_of {
        Some(day) => format!("the list is from {day}{}; newer versions are not in it", ago(day, today)),
        None => "the age of this list is unknown".to_owned(),
    };
    format!("{}{age}: `hostler bundle pins --update` adds a version\n", table(&rows))
}

fn list(bundle: &Bundle) -> String {
    let manifest = &bundle.manifest;
    let mut text = format!("Kubernetes {} for {}, {}\n", manifest.kubernetes, manifest.arch, bundle.folder.display());
    for file in &manifest.files {
        text += &format!("{:24} {:>9}  {}  {}\n", file.name, quantity::size(file.size), &file.sha256[..12], file.source);
    }
    for image in &manifest.images {
        let size = image.blobs.iter().map(|blob| blob.size).sum();
        text += &format!("{}\n{:24} {:>9}  {}  {}\n", image.reference, "", quantity::size(size), &image.digest[7..19], image.source);
    }
    text
}
