//! The machine's own API server: what it knows of certificates, and whose turn it is.

use std::time::Duration;

use anyhow::{Context, Result};
use hostler_core::document::Document;
use hostler_core::protocol::{configmap, namespaces};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::jiff::SignedDuration;
use kube::Client;
use kube::api::Api as Objects;

use super::Kubelets;
use crate::own_api;

/// The turn to renew: one control plane has it at a time.
const LEASE: &str = "hostler-renewal";
/// Who has not given its turn back by then has died: longer than the service may take.
const TURN: Duration = Duration::from_secs(25 * 60);
/// kubeadm's certificates live a year, unless the cluster says otherwise.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub struct Api {
    client: Client,
}

impl Api {
    /// # Errors
    /// As [`own_api::client`].
    pub async fn own() -> Result<Api> {
        Ok(Api { client: own_api::client().await? })
    }

    pub fn kubelets(&self) -> Kubelets {
        Kubelets::of(self.client.clone())
    }

    /// How long kubeadm's certificates of this cluster live.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn certificates_live(&self) -> Result<Duration> {
        let maps: Objects<ConfigMap> = Objects::namespaced(self.client.clone(), namespaces::SYSTEM);
        let map = maps.get(configmap::KUBEADM).await.context("this machine's API server does not answer")?;
        let text = map.data.unwrap_or_default().remove(Document::Cluster.kind()).unwrap_or_default();
        Ok(life(&text))
    }

    pub async fn is_ready(&self) -> bool {
        let Ok(request) = axum::http::Request::get("/readyz").body(Vec::new()) else { return false };
        self.client.request_text(request).await.is_ok()
    }

    /// Takes the turn for `node`. `None`: another control plane has it.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn turn(&self, node: &str) -> Result<Option<Lease>> {
        own_api::acquire(&self.client, LEASE, node, TURN).await.context("the lease for renewing certificates can't be acquired")
    }

    /// # Errors
    /// The API server does not answer.
    pub async fn give_back(&self, turn: Lease) -> Result<()> {
        own_api::release(&self.client, turn).await.context("the lease for renewing certificates can't be released")
    }
}

/// `certificateValidityPeriod` of a ClusterConfiguration.
fn life(document: &str) -> Duration {
    let value: serde_json::Value = serde_yaml::from_str(document).unwrap_or_default();
    let asked = value["certificateValidityPeriod"].as_str().and_then(|period| period.parse::<SignedDuration>().ok());
    asked.and_then(|period| Duration::try_from(period).ok()).unwrap_or(YEAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_live_a_year_unless_the_cluster_says_otherwise() {
        assert_eq!(life("kind: ClusterConfiguration\n"), YEAR);
        assert_eq!(life("certificateValidityPeriod: 20m0s\n"), Duration::from_secs(1200));
        assert_eq!(life("certificateValidityPeriod: soon\n"), YEAR);
        assert_eq!(life("\t"), YEAR);
    }
}
