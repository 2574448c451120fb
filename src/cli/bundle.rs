//! `hostler bundle`: what is installed on machines, as a folder that can be made once and carried anywhere.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use hostler_core::quantity;

use super::Output;
use crate::artifact::{self, Bundle, Fetching, Origin, Sites, own_arch, pins_of};
use crate::event::Unit;
use crate::report::Reporter;
use crate::workstation::task::task;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a bundle
    Create(Create),
    /// List what is in a bundle, and where it came from
    Show(Named),
    /// Read a bundle's every byte and compare it with its manifest
    Verify(Named),
    /// Make the image that films are encoded by, from Debian's packages; `up` does so by itself where it is needed
    Encoder {
        /// The machines' architecture: amd64 or arm64; without it this computer's
        #[arg(long)]
        arch: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct Create {
    /// Kubernetes' version; without it the newest that hostler knows
    #[arg(long, value_name = "VERSION")]
    kubernetes: Option<String>,
    /// The machines' architecture: amd64 or arm64; without it this computer's
    #[arg(long)]
    arch: Option<String>,
    /// Build it from Go modules and Debian packages
    #[arg(long)]
    from_source: bool,
    /// A folder with programs that were built from source before
    #[arg(long, requires = "from_source")]
    parts: Option<PathBuf>,
    /// Ask MIRROR/HOST/PATH for what https://HOST/PATH has, and the same for images
    #[arg(long, value_name = "URL", conflicts_with = "from_source")]
    mirror: Option<String>,
    /// Take files for which no published sum is known
    #[arg(long, conflicts_with = "from_source")]
    allow_unpinned: bool,
    /// hostler's static program for machines of another architecture than this computer's
    #[arg(long)]
    pod_binary: Option<PathBuf>,
    /// Where to; without it the cache, where every verb finds it
    folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Named {
    /// The bundle's folder; without it the newest version's in the cache
    folder: Option<PathBuf>,
}

impl Named {
    fn open(&self) -> Result<Bundle> {
        match &self.folder {
            Some(folder) => Bundle::open(folder),
            None => Bundle::open(&artifact::cached(pins_of(None)?.kubernetes, own_arch())?),
        }
    }
}

/// # Errors
/// A bundle that can't be made, is none, or was changed.
pub async fn run(verb: &Verb, output: Output, reporter: &Reporter) -> Result<()> {
    match verb {
        Verb::Create(create) => {
            let pins = pins_of(create.kubernetes.as_deref())?;
            let arch = create.arch.as_deref().unwrap_or(own_arch());
            let folder = match &create.folder {
                Some(folder) => folder.clone(),
                None => artifact::cached(pins.kubernetes, arch)?,
            };
            let origin = if create.from_source {
                Origin::Source(create.parts.clone())
            } else {
                let mirror = create.mirror.as_ref().map(|mirror| mirror.trim_end_matches('/').to_owned());
                Origin::Releases(Fetching { sites: Sites { mirror }, unpinned: create.allow_unpinned })
            };
            artifact::create(pins, arch, &origin, create.pod_binary.as_deref(), &folder, &reporter.events()).await?;
            let size = quantity::size(Bundle::open(&folder)?.size());
            reporter.result(&format!("Kubernetes {} for {arch}, {size}: {}", pins.kubernetes, folder.display())).await;
        }
        Verb::Show(named) => {
            let bundle = named.open()?;
            let text = if output == Output::Json { serde_json::to_string_pretty(&bundle.manifest)? } else { list(&bundle) };
            reporter.result(text.trim_end()).await;
        }
        Verb::Encoder { arch } => {
            let encoder = artifact::encoder::ready(arch.as_deref().unwrap_or(own_arch()), &reporter.events()).await?;
            let size = quantity::size(encoder.size);
            reporter.result(&format!("{}, {size}: {}", artifact::encoder::ENCODER_IMAGE, encoder.layer.display())).await;
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
            reporter.result(&format!("{} is as its manifest says", bundle.folder.display())).await;
        }
    }
    Ok(())
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
