//! The bundles of a run.

use std::collections::BTreeMap;

use hostler_core::arch::Arch;
use hostler_core::manifest::Manifests;

use super::{Bundle, own_arch};

/// One bundle for each architecture of the machines, all of one version of Kubernetes.
#[derive(Debug)]
pub struct Bundles {
    by_arch: BTreeMap<Arch, Bundle>,
    manifests: Manifests,
}

impl Bundles {
    /// `None` for a bundle of another version than the others, or of the same architecture.
    #[must_use]
    pub fn with(mut self, bundle: Bundle) -> Option<Bundles> {
        self.manifests = self.manifests.with(bundle.manifest.clone())?;
        self.by_arch.insert(bundle.manifest.arch, bundle);
        Some(self)
    }

    pub fn manifests(&self) -> &Manifests {
        &self.manifests
    }

    pub fn of(&self, arch: Arch) -> Option<&Bundle> {
        self.by_arch.get(&arch)
    }

    /// The one whose programs run on this computer.
    pub fn own(&self) -> Option<&Bundle> {
        self.of(own_arch())
    }
}

impl From<Bundle> for Bundles {
    fn from(bundle: Bundle) -> Bundles {
        let manifests = bundle.manifest.clone().into();
        Bundles { by_arch: BTreeMap::from([(bundle.manifest.arch, bundle)]), manifests }
    }
}
