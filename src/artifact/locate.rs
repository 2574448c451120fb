//! Finds the bundle for a run: the one that was given, else the one in the cache, else a new one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hostler_core::arch::Arch;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::manifest::Component;
use hostler_core::pins::Pins;

use super::{Bundle, Bundles, Fetching, Parts, encoder, release, source, writer};
use crate::event::{Event, Events};
use crate::pins::pins_of;
use crate::workstation::room::Need;
use crate::{home, user_file};

/// What a run needs.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The folders that the user gave, one an architecture.
    pub bundles: Vec<PathBuf>,
    /// The version of Kubernetes; by default the newest.
    pub version: Option<String>,
    /// The machines' architectures; empty: this computer's.
    pub archs: BTreeSet<Arch>,
    pub missing: Missing,
    /// Whether the bundles need the image that encodes films.
    pub encoder: bool,
}

/// What to do if no bundle was given and none is in the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Missing {
    /// Fetch it.
    #[default]
    Fetch,
    /// Fetch it; if that fails, build it on this computer, which takes minutes.
    FetchOrBuild,
    /// Nothing: only what is at hand is used.
    Leave,
}

/// How to create a bundle.
#[derive(Debug, Clone)]
pub enum Origin {
    Releases(Fetching),
    Source(Parts),
}

/// The largest `--pod-binary` that is read; hostler has 40 MB.
const MOST_PROGRAM: usize = 1 << 30;

/// Marks hostler's image as made from the program that made the bundle, and not from `--pod-binary`.
const THIS_PROGRAM: &str = "this program";

/// One bundle for each architecture. If only some can be had, a warning says so, and the others are used: their machines have to do with no
/// other machine's architecture.
///
/// # Errors
/// A given bundle is not valid, or does not go with the others; or none can be created.
pub async fn locate(request: &Request, events: &Events) -> Result<Bundles> {
    if !request.bundles.is_empty() {
        let mut bundles: Option<Bundles> = None;
        for folder in &request.bundles {
            let bundle = completed(Bundle::open(folder)?, request, events).await?;
            let hint = "pass one bundle for each architecture, all with the same version of Kubernetes";
            let message = format!("{} is for {} and Kubernetes {}", folder.display(), bundle.manifest.arch, bundle.manifest.kubernetes);
            bundles = Some(match bundles {
                None => Bundles::from(bundle),
                Some(bundles) => bundles
                    .with(bundle)
                    .ok_or_else(|| Failure::new(ExitStatus::Usage, format!("{message}, which does not match the other bundles"), hint))?,
            });
        }
        return bundles.context("no bundle was given");
    }
    let pins = pins_of(request.version.as_deref())?;
    let archs = if request.archs.is_empty() { BTreeSet::from([own_arch()]) } else { request.archs.clone() };
    let mut bundles: Option<Bundles> = None;
    let mut failed = Vec::new();
    for arch in archs {
        match made(pins, arch, request, events).await {
            Ok(bundle) => {
                bundles = match bundles {
                    None => Some(Bundles::from(bundle)),
                    Some(bundles) => bundles.with(bundle),
                }
            }
            Err(why) => failed.push((arch, why)),
        }
    }
    let Some(bundles) = bundles else {
        let first = failed.into_iter().next().map(|(_, why)| why);
        return Err(first.unwrap_or_else(|| anyhow::anyhow!(
                "the bundles in the cache have different versions of Kubernetes, although their folders are named for one\nhint: delete them with \
                 `rm -r` and run this command again, or pass bundles with `--bundle`"
            )));
    };
    for (arch, why) in failed {
        events.send(Event::Warning {
            line: format!("there is no bundle for {arch}, so machines of that architecture are not changed: {why:#}"),
        });
    }
    Ok(bundles)
}

/// The bundle in the cache, made if there is none.
async fn made(pins: &Pins, arch: Arch, request: &Request, events: &Events) -> Result<Bundle> {
    let folder = cached(pins, arch)?;
    if !folder.exists() {
        make(pins, arch, request.missing, &folder, events).await?;
    }
    completed(Bundle::open(&folder)?, request, events).await
}

/// The bundle with this program, and with the encoder where that is needed.
async fn completed(mut bundle: Bundle, request: &Request, events: &Events) -> Result<Bundle> {
    let of_this_program = bundle.manifest.image(Component::Hostler).is_none_or(|image| image.source == THIS_PROGRAM);
    if of_this_program && bundle.manifest.arch == own_arch() {
        bundle.with_hostler(&own_program()?, THIS_PROGRAM)?;
    }
    if request.encoder && bundle.manifest.image(Component::Encoder).is_none() && request.missing == Missing::Leave {
        encoder::at_hand(bundle.manifest.arch).into_iter().for_each(|encoder| bundle.with_encoder(&encoder));
    } else if request.encoder && bundle.manifest.image(Component::Encoder).is_none() {
        // Without it the cluster comes up anyway, and the plan says what films need.
        match encoder::ready(bundle.manifest.arch, events).await {
            Ok(encoder) => bundle.with_encoder(&encoder),
            Err(why) => events.send(Event::Warning { line: format!("the encoder's image can't be built: {why:#}") }),
        }
    }
    Ok(bundle)
}

async fn make(pins: &Pins, arch: Arch, missing: Missing, folder: &Path, events: &Events) -> Result<()> {
    let line = format!("the cache has no bundle of Kubernetes {} for {arch}: fetching one, which later runs will reuse", pins.kubernetes);
    events.send(Event::Note { line });
    let fetched = create(pins, arch, &Origin::Releases(Fetching::default()), None, folder, events).await;
    let Err(why) = fetched else { return Ok(()) };
    if missing != Missing::FetchOrBuild || ExitStatus::of(&why) == ExitStatus::Refused {
        let hint = "build one with `hostler bundle create --from-source`, or pass one with `--bundle FOLDER`";
        return Err(Failure::new(ExitStatus::of(&why), format!("the bundle can't be fetched: {why:#}"), hint).into());
    }
    events.send(Event::Warning { line: format!("the bundle can't be fetched: {why:#}") });
    let line = "building the bundle from source: this takes about 20 minutes on two cores, less with a warm Go cache, and is needed \
        only once"
        .to_owned();
    events.send(Event::Note { line });
    create(pins, arch, &Origin::Source(None), None, folder, events).await
}

/// Creates a bundle in `folder`, which is looked at before anything is fetched: see [`writer::place`]. `pod_binary`: a static hostler for machines of another architecture than this computer's.
///
/// # Errors
/// A part can't be fetched or built; a program is not static; something else is in the folder.
pub async fn create(pins: &Pins, arch: Arch, origin: &Origin, pod_binary: Option<&Path>, folder: &Path, events: &Events) -> Result<()> {
    let folder = &writer::place(folder)?;
    let (program, source) = match pod_binary {
        Some(path) => {
            let program = user_file::read(path, MOST_PROGRAM).map_err(|error| user_file::unreadable(path, &error))?;
            (program, format!("file:{}", hostler_core::digest::sha256(path.as_os_str().as_encoded_bytes())))
        }
        None if arch == own_arch() => (own_program()?, THIS_PROGRAM.to_owned()),
        None => {
            let hint = "build hostler for that architecture, and pass it with `--pod-binary`";
            return Err(Failure::new(
                ExitStatus::Usage,
                format!("hostler itself runs on the machines, but this program is not for {arch}"),
                hint,
            )
            .into());
        }
    };
    require_static(&program, arch)?;
    match origin {
        Origin::Releases(fetching) => release::make(pins, arch, fetching, (&program, &source), folder, events).await,
        Origin::Source(_) if arch != own_arch() => {
            let hint = "build the bundle on a computer of that architecture, or omit `--from-source` to fetch it";
            Err(Failure::new(ExitStatus::Usage, format!("a bundle for {arch} can't be built on {}", own_arch()), hint).into())
        }
        Origin::Source(parts) => source::make(pins, arch, parts, (&program, &source), folder, events).await,
    }
}

/// The path of the bundle of a version and architecture in the cache, whether it exists or not. The version is that of pins, which is three
/// numbers: no other text becomes a part of the path.
///
/// # Errors
/// The user has no home.
pub fn cached(pins: &Pins, arch: Arch) -> Result<PathBuf> {
    Ok(home::cache()?.join("bundles").join(format!("{}-{arch}", pins.kubernetes)))
}

/// Bytes of a bundle in the cache, and of the programs for one from source. Measured: 710 and 470 MB.
const BUNDLE: u64 = 1_200_000_000;

/// What a run with the newest version will write to the cache.
///
/// # Errors
/// The user has no home.
pub fn room_needed() -> Result<Vec<Need>> {
    let folder = cached(pins_of(None)?, own_arch())?;
    let bytes = if folder.exists() { 0 } else { BUNDLE };
    Ok(vec![Need { what: "the bundle".to_owned(), folder, bytes }])
}

/// This computer's architecture.
pub const fn own_arch() -> Arch {
    if cfg!(target_arch = "aarch64") { Arch::Arm64 } else { Arch::Amd64 }
}

/// This program, even if its file was deleted.
fn own_program() -> Result<Vec<u8>> {
    fs::read("/proc/self/exe").context("hostler can't read its own executable")
}

const BUILD: &str = "build hostler in a clone of its repository: `cargo build --release`";

/// In an image without libraries, a program must be static: an ELF file (System V ABI, chapter 5) without an interpreter.
fn require_static(program: &[u8], arch: Arch) -> Result<()> {
    let number = |at: usize, length: usize| {
        let bytes = program.get(at..at + length)?;
        Some(bytes.iter().rev().fold(0u64, |number, &byte| number << 8 | u64::from(byte)) as usize)
    };
    let interpreted = || {
        let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        (0..count).map(|index| number(table + index * size, 4)).collect::<Option<Vec<_>>>().map(|kinds| kinds.contains(&3))
    };
    let machine = match number(18, 2) {
        Some(62) => "amd64",
        Some(183) => "arm64",
        _ => "another architecture",
    };
    let (what, hint) = match (program.starts_with(b"\x7fELF\x02\x01"), interpreted()) {
        (true, Some(false)) if machine == arch.name() => return Ok(()),
        (true, Some(false)) => (
            format!("the hostler binary is for {machine}, but the machines have the architecture {arch}"),
            "on a computer of that architecture, build hostler in a clone of its repository: `cargo build --release`",
        ),
        (true, Some(true)) => (
            "the hostler binary is not statically linked, so it can't run in its container image, which has no \
            libraries"
                .to_owned(),
            BUILD,
        ),
        _ => ("the hostler binary is not a 64-bit Linux program".to_owned(), BUILD),
    };
    Err(Failure::new(ExitStatus::Usage, what, hint).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_static_program_is_accepted() {
        let this = own_program().unwrap();
        require_static(&this, own_arch()).unwrap();
        assert!(require_static(&this, Arch::ALL.into_iter().find(|arch| *arch != own_arch()).unwrap()).is_err());
        assert!(require_static(b"#!/bin/sh\n", own_arch()).is_err());
        assert!(require_static(b"\x7fELF\x02\x01", own_arch()).is_err());
        let shell = fs::read("/bin/sh").unwrap();
        assert!(require_static(&shell, own_arch()).unwrap_err().to_string().contains("is not static"));
    }
}
