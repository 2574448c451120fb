//! The manifest of a bundle: programs and container images, each identified by its digest.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::arch::Arch;

/// Programs that every bundle has: machines run them, or steps call them.
pub const PROGRAMS: [&str; 10] =
    ["containerd", "containerd-shim-runc-v2", "crictl", "ctr", "etcdctl", "etcdutl", "kubeadm", "kubectl", "kubelet", "runc"];

/// hostler itself, which timers and steps of a machine start. A bundle that was made for another architecture may lack it.
pub const OWN_PROGRAM: &str = "hostler";

/// CNI plugins that every bundle has: flannel's configuration names them, or calls those that do.
pub const PLUGINS: [&str; 5] = ["bridge", "flannel", "host-local", "loopback", "portmap"];

/// Images that every bundle has.
pub const IMAGES: [Component; 9] = [
    Component::KubeApiserver,
    Component::KubeControllerManager,
    Component::KubeScheduler,
    Component::KubeProxy,
    Component::Etcd,
    Component::Coredns,
    Component::Pause,
    Component::Flannel,
    Component::Hostler,
];

/// The largest program or blob, in bytes: far more than any of them has, and far less than sums of them could overflow.
const LARGEST: u64 = 64 << 30;

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
    /// Whether it describes a bundle that machines can be set up with. Its names become paths and words of scripts, its sums become file
    /// names, and its sizes are trusted by uploads: so everything in it is checked, once, when a bundle is opened.
    ///
    /// # Errors
    /// What is wrong, without anything that a terminal would obey.
    pub fn check(&self) -> Result<(), String> {
        if self.schema != 1 {
            return Err(format!("its format is {}, but this version of hostler supports only format 1", self.schema));
        }
        let numbers = self.kubernetes.split('.').filter(|part| is_number(part)).count();
        if numbers != 3 || self.kubernetes.split('.').count() != 3 {
            return Err(format!("{} is not a valid version of Kubernetes", self.kubernetes.escape_debug()));
        }
        let mut seen = BTreeSet::new();
        for file in &self.files {
            let name = file.name.escape_debug();
            if !is_file_name(&file.name) {
                return Err(format!("{name} is not a valid program name"));
            }
            if !seen.insert((file.kind == FileKind::Program, &file.name)) {
                return Err(format!("it lists {name} twice"));
            }
            if !is_sha256(&file.sha256) {
                return Err(format!("the SHA-256 checksum of {name} is not valid: {}", file.sha256.escape_debug()));
            }
            plain(&name.to_string(), [&file.version, &file.source])?;
            sized(&name.to_string(), file.size)?;
        }
        for image in &self.images {
            let name = image.reference.escape_debug().to_string();
            if !is_reference(&image.reference) {
                return Err(format!("{name} is not a valid image name"));
            }
            if self.images.iter().filter(|other| other.component == image.component || other.reference == image.reference).count() > 1 {
                return Err(format!("it lists {name} twice"));
            }
            plain(&name, [&image.media_type, &image.source])?;
            let blobs = image.blobs.iter().map(|blob| (&blob.digest, blob.size));
            for (digest, size) in blobs.chain([(&image.digest, image.manifest_size)]) {
                if !digest.strip_prefix("sha256:").is_some_and(is_sha256) {
                    return Err(format!("a digest of {name} is not valid: {}", digest.escape_debug()));
                }
                sized(&name, size)?;
            }
        }
        let has = |kind, name: &str| self.files.iter().any(|file| file.kind == kind && file.name == name);
        let programs = PROGRAMS.iter().filter(|name| !has(FileKind::Program, name)).map(|name| (*name).to_owned());
        let plugins = PLUGINS.iter().filter(|name| !has(FileKind::CniPlugin, name)).map(|name| format!("the CNI plugin {name}"));
        let images =
            IMAGES.iter().filter(|component| self.image(**component).is_none()).map(|component| format!("the image of {component:?}"));
        match programs.chain(plugins).chain(images).next() {
            Some(missing) => Err(format!("{missing} is missing")),
            None => Ok(()),
        }
    }

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

    pub fn iter(&self) -> impl Iterator<Item = &Manifest> {
        self.by_arch.values()
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

fn is_number(text: &str) -> bool {
    (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Lower-case letters, digits, `.`, `_` and `-`, with a letter or digit first: a plain file name, and a word of any shell.
fn is_file_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let first = text.as_bytes().first();
    first.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) && text.len() <= 64 && text.bytes().all(inner)
}

/// 64 digits of lower-case hex.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn is_reference(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"./:_@-".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.len() <= 512 && text.bytes().all(inner)
}

/// Texts that are shown: nothing that moves a cursor.
fn plain<const N: usize>(of: &str, texts: [&String; N]) -> Result<(), String> {
    let visible = |c: char| !c.is_control() && !c.is_whitespace() || c == ' ';
    match texts.into_iter().find(|text| text.len() > 1024 || !text.chars().all(visible)) {
        Some(text) => Err(format!(
            "a string of {of} is too long or has characters that are not allowed: {}",
            text.escape_debug().to_string().chars().take(80).collect::<String>()
        )),
        None => Ok(()),
    }
}

fn sized(of: &str, size: u64) -> Result<(), String> {
    if (1..=LARGEST).contains(&size) { Ok(()) } else { Err(format!("{size} is not a valid size for a part of {of}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Manifest {
        let sum = "0123456789abcdef".repeat(4);
        let file = |kind, name: &str| File {
            name: name.to_owned(),
            version: "1".to_owned(),
            kind,
            size: 1,
            sha256: sum.clone(),
            source: "https://example.org/a".to_owned(),
        };
        let image = |component: Component| Image {
            component,
            reference: format!("example.org/{component:?}:v1"),
            digest: format!("sha256:{sum}"),
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            manifest_size: 1,
            blobs: vec![Blob { digest: format!("sha256:{sum}"), size: 1 }],
            source: String::new(),
        };
        let programs = PROGRAMS.iter().map(|name| file(FileKind::Program, name));
        let plugins = PLUGINS.iter().map(|name| file(FileKind::CniPlugin, name));
        Manifest {
            schema: 1,
            kubernetes: "1.36.3".to_owned(),
            arch: Arch::Amd64,
            files: programs.chain(plugins).collect(),
            images: IMAGES.into_iter().map(image).collect(),
        }
    }

    #[test]
    fn a_whole_one_is_good() {
        whole().check().unwrap();
    }

    /// Names, sums, sizes and texts that would be a path, a word of a script, an overflow or a sequence of a terminal elsewhere.
    #[test]
    fn nothing_in_it_is_believed() {
        let hostile = ["", "..", "../x", "/etc/passwd", "a/b", "$(id)", "a'b", "a b", "a\nb", "\u{1b}[2J", "-rf", "A", ".hidden", "a\0"];
        let refused = |change: &dyn Fn(&mut Manifest), what: &str| {
            let mut manifest = whole();
            change(&mut manifest);
            let error = manifest.check().expect_err(what);
            assert!(!error.chars().any(char::is_control), "{error:?}");
        };
        for text in hostile {
            refused(&|manifest| manifest.files[0].name = text.to_owned(), text);
            refused(&|manifest| manifest.files[0].sha256 = text.to_owned(), text);
            refused(&|manifest| manifest.images[0].digest = format!("sha256:{text}"), text);
            refused(&|manifest| manifest.images[0].blobs[0].digest = text.to_owned(), text);
            refused(&|manifest| manifest.kubernetes = text.to_owned(), text);
            refused(&|manifest| manifest.kubernetes = format!("1.{text}.3"), text);
            if text.chars().any(|c| c.is_control() || "$' ".contains(c)) {
                refused(&|manifest| manifest.images[0].reference = text.to_owned(), text);
            }
            if text.chars().any(char::is_control) {
                refused(&|manifest| manifest.files[0].source = text.to_owned(), text);
                refused(&|manifest| manifest.files[0].version = text.to_owned(), text);
                refused(&|manifest| manifest.images[0].source = text.to_owned(), text);
                refused(&|manifest| manifest.images[0].media_type = text.to_owned(), text);
            }
        }
        for sum in ["abc", &"0".repeat(63), &"0".repeat(65), &"A".repeat(64), &"g".repeat(64)] {
            refused(&|manifest| manifest.files[0].sha256 = sum.to_owned(), sum);
        }
        for size in [0, u64::MAX, LARGEST + 1] {
            refused(&|manifest| manifest.files[0].size = size, "a size");
            refused(&|manifest| manifest.images[0].manifest_size = size, "a size");
            refused(&|manifest| manifest.images[0].blobs[0].size = size, "a size");
        }
        refused(&|manifest| manifest.schema = 2, "a format");
        refused(&|manifest| manifest.files.push(manifest.files[0].clone()), "twice");
        refused(&|manifest| manifest.images.push(manifest.images[0].clone()), "twice");
    }

    #[test]
    fn whatever_is_missing_is_named() {
        for index in 0..whole().files.len() {
            let mut manifest = whole();
            let file = manifest.files.remove(index);
            assert!(manifest.check().unwrap_err().contains(&file.name), "{}", file.name);
        }
        for index in 0..whole().images.len() {
            let mut manifest = whole();
            let image = manifest.images.remove(index);
            assert!(manifest.check().unwrap_err().contains(&format!("{:?}", image.component)));
        }
    }
}
