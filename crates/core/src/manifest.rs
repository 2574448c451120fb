//! The manifest of a bundle: programs and container images, each identified by its digest.

use serde::{Deserialize, Serialize};

/// `manifest.json` of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format; 1.
    pub schema: u32,
    /// Kubernetes version without the `v`: `1.36.3`.
    pub kubernetes: String,
    /// `amd64` or `arm64`, as in Go and container images.
    pub arch: String,
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
