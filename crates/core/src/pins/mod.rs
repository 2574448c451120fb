//! The versions of Kubernetes that hostler can install, what belongs to each, and published checksums. They are data: `pins.yaml` here is part
//! of the program, and a user's own file in the same form adds to it or stands in for it.

mod read;
mod release;
mod schema;
mod write;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::civil::Date;

pub use read::{merge, parse};
pub use release::{CNI_PLUGINS, Contents, OF_KUBERNETES, Release, etcd_archive, etcd_sums, of_kubernetes};
pub use schema::json_schema;
pub use write::to_yaml;

use crate::arch::Arch;
use crate::version::Versions;

/// The versions in a bundle of one Kubernetes version, without `v`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    pub kubernetes: String,
    pub etcd: String,
    /// The tag of etcd's image: version and build number.
    pub etcd_image: String,
    pub coredns: String,
    pub pause: String,
    pub crictl: String,
    /// From the release site.
    pub containerd: String,
    /// Built from Go modules.
    pub containerd_module: String,
    pub runc: String,
    pub cni: String,
    /// flannel's CNI plugin was removed from that repository; this is the last version of the Go module with it.
    pub cni_flannel_module: String,
    /// The tag of the image with flannel's CNI plugin.
    pub cni_flannel_image: String,
    pub flannel: String,
}

/// The published checksums of one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// sha256 in lower-case hex.
    pub amd64: String,
    pub arm64: String,
    /// Who says so: a list, or `release site`.
    pub source: String,
    /// When it was taken from there.
    pub as_of: Date,
}

impl Sum {
    pub fn of(&self, arch: Arch) -> &str {
        match arch {
            Arch::Amd64 => &self.amd64,
            Arch::Arm64 => &self.arm64,
        }
    }
}

/// The programs whose releases have checksums, as `sums` of the file names them.
pub const PROGRAMS: [&str; 8] = ["kubelet", "kubeadm", "kubectl", "containerd", "runc", "crictl", "etcd", "cni"];

/// A file of pins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PinList {
    /// When it was complete: what was released later is not in it. `None`: nothing says so.
    pub as_of: Option<Date>,
    /// Newest first.
    pub pins: Vec<Pins>,
    /// By program and its version.
    pub sums: BTreeMap<(String, String), Sum>,
}

impl PinList {
    /// The pins of a version of Kubernetes.
    pub fn of(&self, kubernetes: &str) -> Option<&Pins> {
        self.pins.iter().find(|pins| pins.kubernetes == kubernetes)
    }

    pub fn versions(&self) -> Versions {
        Versions::of(self.pins.iter().map(|pins| &pins.kubernetes))
    }

    pub fn sum(&self, program: &str, version: &str) -> Option<&Sum> {
        self.sums.get(&(program.to_owned(), version.to_owned()))
    }
}

/// What hostler knows without a file of the user's.
///
/// # Panics
/// The file that the program was built with is not valid, which a test checks.
pub fn shipped() -> &'static PinList {
    static SHIPPED: LazyLock<PinList> =
        LazyLock::new(|| parse(include_str!("pins.yaml"), "pins.yaml").unwrap_or_else(|problems| panic!("{problems}")));
    &SHIPPED
}

#[cfg(test)]
mod tests;
