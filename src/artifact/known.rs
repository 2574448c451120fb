//! What is known of the bundles without making any: for verbs that only look.

use anyhow::Result;
use hostler_core::arch::Arch;
use hostler_core::manifest::{Component, Image, Manifest, Manifests};
use hostler_core::pins::Pins;

use super::encoder::ENCODER_IMAGE;
use super::{Bundles, HOSTLER_IMAGE, Missing, Request, cached, locate, own_arch};
use crate::event::{Event, Events};
use crate::pins::pins_of;

/// The bundles at hand, and what is known of the others.
#[derive(Debug)]
pub struct Known {
    /// `None`: none is at hand.
    pub bundles: Option<Bundles>,
    /// Of the bundles; [outlines](outline) of those that would have to be made first.
    pub manifests: Manifests,
    /// The architectures without a bundle.
    pub outlined: Vec<Arch>,
}

impl Known {
    /// Says of which machines programs and images are not compared.
    pub fn say_what_is_not_checked(&self, events: &Events) {
        let version = self.manifests.kubernetes();
        for arch in &self.outlined {
            let line = format!(
                "the cache has no bundle of Kubernetes {version} for {arch}, so programs and images on the machines are not checked; \
                 `hostler up` fetches the bundle"
            );
            events.send(Event::Note { line });
        }
    }
}

/// As [`locate`], but nothing is fetched or built.
///
/// # Errors
/// A bundle that was given, or one in the cache, is not valid; hostler does not know the version.
pub async fn known(request: &Request, events: &Events) -> Result<Known> {
    let request = Request { missing: Missing::Leave, ..request.clone() };
    let (bundles, outlined, pins) = if request.bundles.is_empty() {
        let pins = pins_of(request.version.as_deref())?;
        let archs = if request.archs.is_empty() { vec![own_arch()] } else { request.archs.iter().copied().collect() };
        let is_cached = |arch: &Arch| cached(pins, *arch).is_ok_and(|folder| folder.exists());
        let (there, missing): (Vec<Arch>, Vec<Arch>) = archs.into_iter().partition(is_cached);
        // One for another architecture is not made without the user's help.
        let (outlined, others): (Vec<Arch>, Vec<Arch>) = missing.into_iter().partition(|arch| *arch == own_arch());
        for arch in others {
            events
                .send(Event::Warning { line: format!("there is no bundle for {arch}, so machines of that architecture are not changed") });
        }
        let bundles = match there.is_empty() {
            true => None,
            false => Some(locate(&Request { archs: there.into_iter().collect(), ..request.clone() }, events).await?),
        };
        (bundles, outlined, Some(pins))
    } else {
        (Some(locate(&request, events).await?), Vec::new(), None)
    };
    let mut all: Vec<Manifest> = bundles.iter().flat_map(|bundles| bundles.manifests().iter().cloned()).collect();
    all.extend(pins.iter().flat_map(|pins| outlined.iter().map(|arch| outline(pins, *arch))));
    for manifest in all.iter_mut().filter(|manifest| request.encoder && manifest.image(Component::Encoder).is_none()) {
        manifest.images.push(unknown(Component::Encoder, ENCODER_IMAGE.to_owned()));
    }
    let mut all = all.into_iter();
    let of_no_machine = || pins.map_or_else(|| pins_of(None), Ok).map(|pins| outline(pins, own_arch()));
    let first = all.next().map_or_else(of_no_machine, Ok)?;
    let mut manifests = Manifests::from(first);
    for manifest in all {
        // One version and one of each architecture.
        manifests = manifests.clone().with(manifest).unwrap_or(manifests);
    }
    Ok(Known { bundles, manifests, outlined })
}

/// Stands in for the manifest of a bundle that is not at hand: versions and references are known, programs and digests are not.
pub fn outline(pins: &Pins, arch: Arch) -> Manifest {
    let own = [(Component::Hostler, HOSTLER_IMAGE.to_owned()), (Component::Encoder, ENCODER_IMAGE.to_owned())];
    let images = pins.images().into_iter().chain(own).map(|(component, reference)| unknown(component, reference)).collect();
    Manifest { schema: 1, kubernetes: pins.kubernetes.to_owned(), arch, files: Vec::new(), images }
}

fn unknown(component: Component, reference: String) -> Image {
    Image {
        component,
        reference,
        digest: String::new(),
        media_type: String::new(),
        manifest_size: 0,
        blobs: Vec::new(),
        source: String::new(),
    }
}
