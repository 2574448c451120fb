//! The manifest of a bundle: programs and container images, each identified by its digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::arch::Arch;

/// `manifest.json` of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format; 1.
    pub schema: u32,
    /// Kubernetes version without the `v`: `1.36.3`.
    pub kubernetes: String,
    /// Of the machines that it is for.
    pub arch: Arch,
    pub files: Vec<File>,
    pub images: Vec<Image>,
}

/// A program that is copied to machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    /// Its name: `kubelet`, `runc`, `bridge`.
    pub name: String,
    pub version: String,
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
    /// Lower-case hex. Files with the same content (a program that acts by argv[0]) are stored and sent once.
    pub sha256: String,
    /// Its origin: the URL of a release, or `source:` and a Go module with its version.
    pub source: String,
}

/// Which folder of a versioned set a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FileKind {
    /// `bin/`: with a symlink in /usr/local/bin.
    Program,
    /// `cni/`: containerd calls it by name.
    CniPlugin,
}

/// A container image inside `images.tar`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Image {
    /// Its purpose, independent of its reference.
    pub component: Component,
    /// The full name with tag that manifests and kubeadm use: `registry.k8s.io/kube-proxy:v1.36.3`.
    pub reference: String,
    /// Digest of the image's manifest for this architecture, `sha256:...`: what `ctr images ls` shows after an import.
    pub digest: String,
    /// Media type of that manifest.
    pub media_type: String,
    /// Size in bytes of that manifest.
    pub manifest_size: u64,
    /// Config and layers, in the manifest's order; all are in `images.tar` under `blobs/sha256/`.
    pub blobs: Vec<Blob>,
    /// Its origin.
    pub source: String,
}

/// A content-addressed part of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Blob {
    /// `sha256:...`
    pub digest: String,
    /// Bytes, as stored (compressed layers stay compressed).
    pub size: u64,
}

/// The images of a cluster, by purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    KubeApiserver,
    KubeControllerManager,
    KubeScheduler,
    KubeProxy,
    Etcd,
    Coredns,
    Pause,
    Flannel,
    /// hostler's own static program, alone in an image.
    Hostler,
    /// HandBrakeCLI and ffprobe.
    Encoder,
}

impl Manifest {
    /// The file with this name, if the bundle has it.
    pub fn file(&self, name: &str) -> Option<&File> {
        self.files.iter().find(|file| file.name == name)
    }

    /// The image for `component`, if the bundle has it.
    pub fn image(&self, component: Component) -> Option<&Image> {
        self.images.iter().find(|image| image.component == component)
    }
}

/// The manifests of all bundles that a run uses, one for each architecture of its machines. All are of one version of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifests {
    /// Never empty.
    by_arch: BTreeMap<Arch, Manifest>,
}

impl Manifests {
    /// `None` for a manifest of another version than the others, or of the same architecture.
    #[must_use]
    pub fn with(mut self, manifest: Manifest) -> Option<Manifests> {
        if manifest.kubernetes != self.kubernetes() || self.by_arch.contains_key(&manifest.arch) {
            return None;
        }
        self.by_arch.insert(manifest.arch, manifest);
        Some(self)
    }

    /// The version of Kubernetes, without the `v`.
    pub fn kubernetes(&self) -> &str {
        self.any().map_or("", |manifest| &manifest.kubernetes)
    }

    /// What machines of this architecture get; `None`: there is nothing for them.
    pub fn of(&self, arch: Arch) -> Option<&Manifest> {
        self.by_arch.get(&arch)
    }

    /// The image for `component`, if there is one, as objects of the cluster name it: its reference is the same for every architecture.
    pub fn image(&self, component: Component) -> Option<&Image> {
        self.by_arch.values().find_map(|manifest| manifest.image(component))
    }

    pub fn archs(&self) -> impl Iterator<Item = Arch> {
        self.by_arch.keys().copied()
    }

    fn any(&self) -> Option<&Manifest> {
        self.by_arch.values().next()
    }
}

impl From<Manifest> for Manifests {
    fn from(manifest: Manifest) -> Manifests {
        Manifests { by_arch: BTreeMap::from([(manifest.arch, manifest)]) }
    }
}
