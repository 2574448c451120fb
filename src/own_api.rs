//! The API server of the control plane that hostler runs on: what timers start there speaks to it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use hostler_core::protocol::{namespaces, path, port};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams, Preconditions};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// An API server that takes longer does not answer.
const LIMIT: Duration = Duration::from_secs(10);

/// With the rights of admin.conf.
///
/// # Errors
/// admin.conf can't be read.
pub async fn client() -> Result<Client> {
    let context = || format!("{} can't be read", path::ADMIN);
    let kubeconfig = parsed(&tokio::fs::read_to_string(path::ADMIN).await.with_context(context)?).with_context(context)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.cluster_url = format!("https://127.0.0.1:{}", port::API).parse()?;
    config.tls_server_name = Some("kubernetes".to_owned());
    (config.connect_timeout, config.read_timeout, config.write_timeout) = (Some(LIMIT), Some(LIMIT), Some(LIMIT));
    Ok(Client::try_from(config)?)
}

/// A kubeconfig. It has keys and tokens, so an error says where it is wrong, and nothing of what is there.
///
/// # Errors
/// It is not a valid one.
pub fn parsed(text: &str) -> Result<Kubeconfig> {
    Kubeconfig::from_yaml(text).map_err(|_| {
        let broken = serde_yaml::from_str::<serde_yaml::Value>(text).err();
        let place = broken.and_then(|error| error.location()).map(|at| format!(" (line {}, column {})", at.line(), at.column()));
        anyhow!("it is not a valid kubeconfig{}", place.unwrap_or_default())
    })
}

/// Whether the kubelet at this address presents a certificate for it that the cluster signed, and is well. It is asked as API servers ask it.
///
/// # Errors
/// It does not, or it does not answer.
pub async fn kubelet_answers(address: IpAddr) -> Result<()> {
    let file = |name: &str| format!("{}/{name}", path::PKI);
    let authority = tokio::fs::read(file("ca.crt")).await.with_context(|| format!("{} can't be read", file("ca.crt")))?;
    let mut config = Config::new(format!("https://{}", SocketAddr::new(address, port::KUBELET)).parse()?);
    let authority: Result<Vec<CertificateDer>, _> = CertificateDer::pem_slice_iter(&authority).collect();
    let authority = authority.with_context(|| format!("{} does not contain a certificate", file("ca.crt")))?;
    config.root_cert = Some(authority.into_iter().map(|certificate| certificate.to_vec()).collect());
    config.auth_info.client_certificate = Some(file("apiserver-kubelet-client.crt"));
    config.auth_info.client_key = Some(file("apiserver-kubelet-client.key"));
    (config.connect_timeout, config.read_timeout, config.write_timeout) = (Some(LIMIT), Some(LIMIT), Some(LIMIT));
    let request = axum::http::Request::get("/healthz").body(Vec::new())?;
    Client::try_from(config)?.request_text(request).await?;
    Ok(())
}

/// Acquires or renews the lease `name` for the control plane `node`. `None`: another one holds it, and has renewed it within `lives`.
///
/// # Errors
/// The API server does not answer, or does not allow it.
pub async fn acquire(client: &Client, name: &str, node: &str, lives: Duration) -> kube::Result<Option<Lease>> {
    let now = Timestamp::now();
    let spec = LeaseSpec {
        holder_identity: Some(node.to_owned()),
        acquire_time: Some(MicroTime(now)),
        renew_time: Some(MicroTime(now)),
        lease_duration_seconds: i32::try_from(lives.as_secs()).ok(),
        ..LeaseSpec::default()
    };
    let leases = leases(client);
    let acquired = match leases.get_opt(name).await? {
        Some(lease) if is_held(&lease, node, now, lives) => return Ok(None),
        // Replaced only as it was seen.
        Some(lease) => leases.replace(name, &PostParams::default(), &Lease { spec: Some(spec), ..lease }).await,
        None => {
            let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
            leases.create(&PostParams::default(), &Lease { metadata, spec: Some(spec) }).await
        }
    };
    match acquired {
        Ok(lease) => Ok(Some(lease)),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
        Err(error) => Err(error),
    }
}

/// Deletes the lease, unless another control plane has acquired it meanwhile.
///
/// # Errors
/// The API server does not answer.
pub async fn release(client: &Client, lease: Lease) -> kube::Result<()> {
    let own = Preconditions { uid: lease.metadata.uid, resource_version: lease.metadata.resource_version };
    let name = lease.metadata.name.unwrap_or_default();
    let deleted = leases(client).delete(&name, &DeleteParams { preconditions: Some(own), ..DeleteParams::default() }).await;
    match deleted {
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(()),
        deleted => deleted.map(drop),
    }
}

fn leases(client: &Client) -> Api<Lease> {
    Api::namespaced(client.clone(), namespaces::SYSTEM)
}

/// Whether another than `node` holds it. One of a time that has not come is of a wrong clock, and holds nobody up.
fn is_held(lease: &Lease, node: &str, now: Timestamp, lives: Duration) -> bool {
    let spec = lease.spec.clone().unwrap_or_default();
    let age = spec.renew_time.map(|MicroTime(time)| now.as_second() - time.as_second());
    let lives = i64::try_from(lives.as_secs()).unwrap_or(i64::MAX);
    spec.holder_identity.is_some_and(|holder| holder != node) && age.is_some_and(|age| (-lives..lives).contains(&age))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_damaged_kubeconfig_is_not_quoted() {
        for user in ["{client-key-data: S3CRET: x}", "{token: [S3CRET]}", "{token: \"S3CRET}", "[S3CRET]"] {
            let error = parsed(&format!("apiVersion: v1\nkind: Config\nusers:\n- name: ada\n  user: {user}\n")).unwrap_err();
            let said = format!("{error:#} {error:?}");
            assert!(said.contains("is not a valid kubeconfig") && !said.contains("S3CRET"), "{said}");
        }
    }

    #[test]
    fn a_lease_is_anothers_until_it_has_died() {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1000);
        let lease = |holder: &str, seconds: i64| Lease {
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                renew_time: Some(MicroTime(now - SignedDuration::from_secs(seconds))),
                ..LeaseSpec::default()
            }),
            ..Lease::default()
        };
        let is_held = |lease: Lease| is_held(&lease, "applejack", now, Duration::from_secs(25 * 60));
        assert!(is_held(lease("rarity", 10)));
        assert!(!is_held(lease("applejack", 10)));
        assert!(!is_held(lease("rarity", 26 * 60)));
        assert!(!is_held(lease("rarity", -24 * 60 * 60)));
        assert!(!is_held(Lease::default()));
    }
}
