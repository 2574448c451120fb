//! The transcoding workload's objects. Films are none of them: those stay where they are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::cluster::script;
use super::kubeadm::recorded;
use super::{Act, Left, Outputs, Part, Payload, minutes};
use crate::films::settings::MediaServerKind;
use crate::inventory::{Address, MachineName};
use crate::protocol::films;
use crate::record::Record;
use crate::words::and;

/// The workload, applied, and waited for until both shares are marked and its pods run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstallWorkload {
    pub manifest: String,
    /// What is put on record in the cluster.
    pub record: BTreeMap<Record, String>,
    /// Whether encoders may use Quick Sync.
    pub quick_sync: bool,
    /// Whether it sends notifications.
    pub notifies: bool,
}

impl Act for InstallWorkload {
    fn line(&self) -> String {
        "apply the workload and wait until it runs".to_owned()
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        let manifest = payload.content(self.manifest.clone());
        let record = recorded(&self.record);
        let context = json!({ "manifest": manifest, "record": record, "quick_sync": self.quick_sync, "notifies": self.notifies });
        script("kubernetes/workload.sh", context)
    }

    fn leaves(&self) -> Result<Vec<Left>> {
        Ok(vec![Left::Objects { name: "transcode", content: self.manifest.clone() }])
    }

    fn limit(&self) -> Duration {
        minutes(8)
    }
}

/// The media servers' tokens, from this computer's files, and the address for notifications into Secrets of the workload.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeepSecrets {
    pub tokens: Vec<MediaServerToken>,
    #[serde(skip)]
    pub notify: Option<Address>,
    /// Of all of them; empty: there are none, and what is left goes.
    pub sha256: String,
}

impl KeepSecrets {
    pub fn is_empty(&self) -> bool {
        self.sha256.is_empty()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MediaServerToken {
    pub of: MediaServerKind,
    pub file: PathBuf,
    /// Bytes.
    pub size: u64,
}

impl Act for KeepSecrets {
    fn line(&self) -> String {
        let files = self.tokens.iter().map(|token| token.file.display().to_string());
        let all: Vec<_> = files.chain(self.notify.as_ref().map(|_| "the URL of `notify`".to_owned())).collect();
        if self.is_empty() {
            return "delete the Secrets of the workload".to_owned();
        }
        format!("store {} in the cluster as {}", and(&all), if all.len() == 1 { "a Secret" } else { "Secrets" })
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        let mut secrets = Vec::new();
        for token in &self.tokens {
            payload.push(Part::Local { path: token.file.clone(), size: token.size });
            secrets.push(json!({ "name": format!("{}{}", films::MEDIA_SERVER, token.of.key()), "key": "token", "size": token.size }));
        }
        if let Some(address) = &self.notify {
            let size = payload.content(address.reveal()).size();
            secrets.push(json!({ "name": films::NOTIFY, "key": "url", "size": size }));
        }
        let media_servers = MediaServerKind::ALL.map(|of| format!("{}{}", films::MEDIA_SERVER, of.key()));
        let mut gone: Vec<String> = media_servers.into_iter().chain([films::NOTIFY.to_owned()]).collect();
        gone.retain(|name| secrets.iter().all(|secret| secret["name"] != json!(name)));
        script("kubernetes/keep-secrets.sh", json!({ "secrets": secrets, "gone": gone, "sha256": self.sha256 }))
    }
}

/// A pod on the machine tries encoders, each with two seconds of a film, and its node's labels say which ones work.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProveEncoders {
    pub node: MachineName,
    pub manifest: String,
    /// A sum of what they are tried with.
    pub tried_with: String,
    /// Whether the pod gets the machine's render nodes.
    pub hardware: bool,
}

impl Act for ProveEncoders {
    fn line(&self) -> String {
        let with = if self.hardware { "with" } else { "without" };
        format!("test each encoder {with} a render node, and label node {} with the encoders that work", self.node)
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        let manifest = payload.content(self.manifest.clone());
        let context = json!({ "node": self.node, "manifest": manifest, "tried_with": self.tried_with });
        script("kubernetes/prove-encoders.sh", context)
    }

    fn leaves(&self) -> Result<Vec<Left>> {
        Ok(vec![Left::Objects { name: "encoders", content: self.manifest.clone() }])
    }

    fn limit(&self) -> Duration {
        minutes(12)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RemoveWorkload {}

impl Act for RemoveWorkload {
    fn line(&self) -> String {
        "remove the workload's pods and objects; films stay where they are".to_owned()
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        script("kubernetes/remove-workload.sh", json!({}))
    }

    fn limit(&self) -> Duration {
        minutes(8)
    }
}
