//! A scratch etcd and API server on this computer, which read what is in a snapshot: programs of the bundle, data in memory, nothing of it
//! reachable by other users. They end with this process, and what they hold goes with them.

mod folder;
mod objects;
mod server;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hostler_core::manifest::Component;
use hostler_core::protocol::{archive, configmap};
use serde::Serialize;

pub use self::folder::Folder;
use crate::artifact::{Bundle, cached, own_arch};
use crate::pins::{pins_of, versions};
use crate::snapshot;

/// For all of it; five seconds on an idle computer.
const LIMIT: Duration = Duration::from_secs(120);
/// A file system in memory: what is in a snapshot must not reach a disk.
const MEMORY: &str = "/dev/shm";

/// What was read.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Objects {
    /// Of the API server.
    pub kubernetes: String,
    pub etcd: String,
    /// How many there are of each resource: `deployments.apps`.
    pub counts: BTreeMap<String, usize>,
    /// Objects that can't be read, each with the API server's message: `configmaps default/broken`.
    pub unreadable: BTreeMap<String, String>,
    /// Keys in etcd that are of no resource of this API server, by their beginning.
    pub unknown: BTreeMap<String, usize>,
    /// Seconds.
    pub took: f64,
}

impl Objects {
    pub fn total(&self) -> usize {
        self.counts.values().sum()
    }

    pub fn are_readable(&self) -> bool {
        self.unreadable.is_empty() && self.unknown.is_empty()
    }
}

/// The version of Kubernetes that a snapshot is of.
///
/// # Errors
/// The archive does not say.
pub fn version(archive: &[u8]) -> Result<String> {
    let name = format!("{}.yaml", configmap::KUBEADM);
    let text = snapshot::entries(archive, &[&name])?.remove(&name).with_context(|| format!("{name} is missing"))?;
    let value = |text: &str| serde_yaml::from_str::<serde_json::Value>(text).ok();
    let map = value(&String::from_utf8_lossy(&text)).unwrap_or_default();
    let document = map["data"]["ClusterConfiguration"].as_str().and_then(value).unwrap_or_default();
    let version = document["kubernetesVersion"].as_str().and_then(|version| version.strip_prefix('v'));
    Ok(version.with_context(|| format!("{name} has no version of Kubernetes"))?.to_owned())
}

/// The bundle of this version for this computer, if it is in the cache.
///
/// # Errors
/// The pins, or the bundle that is there, can't be read.
pub fn bundle_at_hand(version: &str) -> Result<Option<Bundle>> {
    if versions()?.known(version).is_none() {
        return Ok(None);
    }
    let folder = cached(pins_of(Some(version))?, own_arch())?;
    folder.exists().then(|| Bundle::open(&folder)).transpose()
}

/// Reads all objects of the snapshot `archive` with the programs of `bundle`.
///
/// # Errors
/// There is no room in memory, or a program can't be run or does not answer.
pub async fn read(archive: &[u8], bundle: &Bundle) -> Result<Objects> {
    tokio::time::timeout(LIMIT, started(archive, bundle)).await.with_context(|| format!("it took longer than {} s", LIMIT.as_secs()))?
}

async fn started(archive: &[u8], bundle: &Bundle) -> Result<Objects> {
    let start = Instant::now();
    let secret = in_memory()?;
    let etcd_data = archive::ETCD;
    let keys = ["pki/sa.key", "pki/sa.pub"];
    for (name, content) in snapshot::entries(archive, &[etcd_data, keys[0], keys[1]])? {
        secret.write(name.rsplit('/').next().unwrap_or(&name), 0o600, &content)?;
    }
    let programs = programs(bundle)?;
    let at = |name: &str| programs.path().join(name);
    let etcdutl = bundle.program("etcdutl")?.context("the bundle has no etcdutl")?;
    let etcd = server::Etcd::start(&at("etcd"), &etcdutl, &secret.path().join(etcd_data), secret.path()).await?;
    let etcdctl = bundle.program("etcdctl")?.context("the bundle has no etcdctl")?;
    // Before the API server adds its own.
    let keys = etcd.keys(&etcdctl).await?;
    let api = server::Api::start(&at("kube-apiserver"), &etcd, secret.path()).await?;
    let objects::Listed { counts, unreadable } = objects::list(api.client(), &keys).await?;
    let unknown = objects::unknown(&keys, &counts);
    let image = bundle.manifest.image(Component::Etcd).map(|image| image.reference.clone()).unwrap_or_default();
    Ok(Objects {
        kubernetes: bundle.manifest.kubernetes.clone(),
        etcd: image.rsplit(':').next().unwrap_or_default().to_owned(),
        counts,
        unreadable,
        unknown,
        took: start.elapsed().as_secs_f64(),
    })
}

/// A folder in memory.
fn in_memory() -> Result<Folder> {
    let memory = Path::new(MEMORY);
    let is_memory = nix::sys::statfs::statfs(memory).is_ok_and(|found| found.filesystem_type() == nix::sys::statfs::TMPFS_MAGIC);
    ensure!(is_memory, "{MEMORY} is not a tmpfs");
    Folder::new(memory)
}

/// Those that the bundle has only in images, in a folder of the cache: they may be run there.
fn programs(bundle: &Bundle) -> Result<Folder> {
    let cache = crate::home::cache()?;
    fs::create_dir_all(&cache).with_context(|| format!("{} can't be written to", cache.display()))?;
    let folder = Folder::new(&cache)?;
    for (component, name) in [(Component::Etcd, "etcd"), (Component::KubeApiserver, "kube-apiserver")] {
        folder.program(name, &bundle.program_in_image(component, &format!("usr/local/bin/{name}"))?)?;
    }
    Ok(folder)
}
