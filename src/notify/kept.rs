//! Where a ledger is kept: a machine's own on its disk, that of the cluster in a ConfigMap. What can't be read begins again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hostler_core::notify::{Ledger, Seen};
use hostler_core::protocol::{configmap, namespaces};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use crate::{atomic, user_file};

/// Of the ConfigMap, and of the Lease of the control plane that writes to it.
pub const NAME: &str = configmap::NOTIFY;
const KEY: &str = "ledger";
/// A ledger with as much as it takes has some 60 kB.
const MOST_BYTES: usize = 1 << 20;

/// A ledger and its place.
pub struct Kept {
    pub ledger: Ledger,
    place: Place,
}

enum Place {
    File(PathBuf),
    Cluster(Box<InCluster>),
}

/// The ConfigMap as it was read or written last, so that it is replaced only as it was then.
struct InCluster {
    maps: Api<ConfigMap>,
    map: ConfigMap,
}

impl Kept {
    /// That of the machine.
    pub fn own(file: &Path) -> Kept {
        let bytes = user_file::read(file, MOST_BYTES).unwrap_or_default();
        Kept { ledger: serde_json::from_slice(&bytes).unwrap_or_default(), place: Place::File(file.to_owned()) }
    }

    /// That of the cluster.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn in_cluster(client: &Client) -> Result<Kept> {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespaces::SYSTEM);
        let map = maps.get_opt(NAME).await.context("the record of the cluster's reported problems can't be read")?;
        let map = map.unwrap_or_else(|| {
            let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
            ConfigMap { metadata, ..ConfigMap::default() }
        });
        let text = map.data.as_ref().and_then(|data| data.get(KEY)).filter(|text| text.len() <= MOST_BYTES);
        let ledger = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Ok(Kept { ledger, place: Place::Cluster(Box::new(InCluster { maps, map })) })
    }

    /// With what was seen, and written down.
    ///
    /// # Errors
    /// It can't be written.
    pub async fn noted(mut self, seen: &Seen, now: i64) -> Result<Kept> {
        self.ledger.note(seen, now);
        self.save().await?;
        Ok(self)
    }

    /// Writes the ledger, if it has changed.
    ///
    /// # Errors
    /// It can't be written, or another control plane has written the cluster's meanwhile.
    pub async fn save(&mut self) -> Result<()> {
        let text = serde_json::to_string(&self.ledger).context("the ledger can't be serialized")?;
        match &mut self.place {
            Place::File(file) => {
                if user_file::read(file, MOST_BYTES).is_ok_and(|bytes| bytes == text.as_bytes()) {
                    return Ok(());
                }
                let context = || format!("{} can't be written", file.display());
                std::fs::create_dir_all(atomic::folder_of(file)).with_context(context)?;
                atomic::write(file, text.as_bytes(), 0o600).with_context(context)
            }
            Place::Cluster(place) => {
                let InCluster { maps, map } = &mut **place;
                let data = map.data.get_or_insert_default();
                if data.get(KEY) == Some(&text) {
                    return Ok(());
                }
                data.insert(KEY.to_owned(), text);
                let written = match map.metadata.resource_version {
                    Some(_) => maps.replace(NAME, &PostParams::default(), map).await,
                    None => maps.create(&PostParams::default(), map).await,
                };
                *map = written.context("the record of the cluster's reported problems can't be written")?;
                Ok(())
            }
        }
    }
}
