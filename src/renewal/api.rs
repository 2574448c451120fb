//! The machine's own API server: what it knows of certificates, and whose turn it is.

use std::time::Duration;

use anyhow::{Context, Result};
use hostler_core::document::Document;
use hostler_core::protocol::{configmap, namespaces, path, port};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{Api as Objects, DeleteParams, ObjectMeta, PostParams, Preconditions};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// The turn to renew: one control plane has it at a time.
const LEASE: &str = "hostler-renewal";
/// Who has not given its turn back by then has died: longer than the service may take.
const TURN: Duration = Duration::from_secs(25 * 60);
/// An API server that takes longer does not answer.
const LIMIT: Duration = Duration::from_secs(10);
/// kubeadm's certificates live a year, unless the cluster says otherwise.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub struct Api {
    client: Client,
}

impl Api {
    /// With the rights of admin.conf.
    ///
    /// # Errors
    /// admin.conf can't be read.
    pub async fn own() -> Result<Api> {
        let kubeconfig = Kubeconfig::read_from(path::ADMIN).with_context(|| format!("{} can't be read", path::ADMIN))?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        config.cluster_url = format!("https://127.0.0.1:{}", port::API).parse()?;
        config.tls_server_name = Some("kubernetes".to_owned());
        (config.connect_timeout, config.read_timeout, config.write_timeout) = (Some(LIMIT), Some(LIMIT), Some(LIMIT));
        Ok(Api { client: Client::try_from(config)? })
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
        let context = "the lease for renewing certificates can't be acquired";
        let now = Timestamp::now();
        let spec = LeaseSpec {
            holder_identity: Some(node.to_owned()),
            acquire_time: Some(MicroTime(now)),
            renew_time: Some(MicroTime(now)),
            lease_duration_seconds: i32::try_from(TURN.as_secs()).ok(),
            ..LeaseSpec::default()
        };
        let leases = self.leases();
        let wanted = match leases.get_opt(LEASE).await.context(context)? {
            Some(lease) if is_taken(&lease, node, now) => return Ok(None),
            // Replaced only as it was seen.
            Some(lease) => leases.replace(LEASE, &PostParams::default(), &Lease { spec: Some(spec), ..lease }).await,
            None => {
                let metadata = ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() };
                leases.create(&PostParams::default(), &Lease { metadata, spec: Some(spec) }).await
            }
        };
        match wanted {
            Ok(lease) => Ok(Some(lease)),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(error).context(context),
        }
    }

    /// # Errors
    /// The API server does not answer.
    pub async fn give_back(&self, turn: Lease) -> Result<()> {
        let own = Preconditions { uid: turn.metadata.uid, resource_version: turn.metadata.resource_version };
        let deleted = self.leases().delete(LEASE, &DeleteParams { preconditions: Some(own), ..DeleteParams::default() }).await;
        match deleted {
            // Another has it already.
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(()),
            deleted => deleted.map(drop).context("the lease for renewing certificates can't be released"),
        }
    }

    fn leases(&self) -> Objects<Lease> {
        Objects::namespaced(self.client.clone(), namespaces::SYSTEM)
    }
}

/// Whether another than `node` has the turn. One of a time that has not come is of a wrong clock, and holds nobody up.
fn is_taken(lease: &Lease, node: &str, now: Timestamp) -> bool {
    let spec = lease.spec.clone().unwrap_or_default();
    let age = spec.renew_time.map(|MicroTime(time)| now.as_second() - time.as_second());
    let turn = i64::try_from(TURN.as_secs()).unwrap_or(i64::MAX);
    spec.holder_identity.is_some_and(|holder| holder != node) && age.is_some_and(|age| (-turn..turn).contains(&age))
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

    #[test]
    fn a_turn_is_anothers_until_it_has_died() {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1000);
        let lease = |holder: &str, seconds: i64| Lease {
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                renew_time: Some(MicroTime(now - SignedDuration::from_secs(seconds))),
                ..LeaseSpec::default()
            }),
            ..Lease::default()
        };
        assert!(is_taken(&lease("rarity", 10), "applejack", now));
        assert!(!is_taken(&lease("applejack", 10), "applejack", now));
        assert!(!is_taken(&lease("rarity", 26 * 60), "applejack", now));
        assert!(!is_taken(&lease("rarity", -24 * 60 * 60), "applejack", now));
        assert!(!is_taken(&Lease::default(), "applejack", now));
    }
}
