//! kubelets' serving certificates: approves what the rule of [`KubeletRequest::refused`] allows, and leaves everything else to a person.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hostler_core::facts::{KubeletRequest, kubelet_addresses};
use hostler_core::inventory::MachineName;
use hostler_core::protocol::{configmap, namespaces, signer};
use hostler_core::record::Record;
use hostler_core::words::counted;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::event::{Event, Events};
use crate::own_api;

/// Requests that are listed at once.
const PAGE: u32 = 500;
/// A machine that makes more requests than these pages hold keeps others from theirs until kube-controller-manager has deleted them, after a day.
const PAGES: usize = 40;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// What became of the requests that were open.
#[derive(Debug, Default)]
pub struct Decided {
    /// Whose requests were approved.
    pub approved: BTreeSet<MachineName>,
    /// Users whose requests were left alone, and why.
    pub left: BTreeMap<String, String>,
}

/// The cluster's requests, and the addresses for which they may be.
pub struct Kubelets {
    client: Client,
}

impl Kubelets {
    pub fn of(client: Client) -> Kubelets {
        Kubelets { client }
    }

    /// Approves every open request that the rule allows.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn approve(&self) -> Result<Decided> {
        self.approve_for(&self.addresses().await?).await
    }

    async fn approve_for(&self, addresses: &BTreeMap<MachineName, IpAddr>) -> Result<Decided> {
        let requests: Api<CertificateSigningRequest> = Api::all(self.client.clone());
        let mut decided = Decided::default();
        let mut page = ListParams::default().fields(&format!("spec.signerName={}", signer::KUBELET_SERVING)).limit(PAGE);
        for _ in 0..PAGES {
            let listed = requests.list(&page).await.context("the requests of kubelets can't be listed")?;
            for object in listed.items {
                let Some(request) = KubeletRequest::parse(&serde_json::to_value(&object)?) else { continue };
                match (request.refused(addresses), request.node()) {
                    (None, Some(node)) => {
                        if approve(&requests, &object).await? {
                            decided.approved.insert(node);
                        }
                    }
                    (Some(why), _) => drop(decided.left.insert(request.user, why)),
                    (None, None) => {}
                }
            }
            match listed.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => break,
            }
        }
        Ok(decided)
    }

    /// By the cluster's record.
    async fn addresses(&self) -> Result<BTreeMap<MachineName, IpAddr>> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespaces::SYSTEM);
        let map = maps.get_opt(configmap::RECORD).await.context("this machine's API server does not answer")?;
        let data = map.and_then(|map| map.data).unwrap_or_default();
        let record: Vec<(Record, String)> = data.into_iter().filter_map(|(name, value)| Some((Record::parse(&name)?, value))).collect();
        Ok(kubelet_addresses(record.iter().map(|(name, value)| (name, value))))
    }

    /// Approves until the kubelets of all these nodes present certificates that the cluster signed for their addresses, at most so long.
    ///
    /// # Errors
    /// One does not: each is named, with what became of its request.
    pub async fn wait_for(&self, nodes: &BTreeSet<MachineName>, within: Duration, events: &Events) -> Result<()> {
        let start = Instant::now();
        let mut open = nodes.clone();
        let mut whole = Decided::default();
        loop {
            // The API server may be away for a moment: another control plane has just joined.
            let addresses = self.addresses().await;
            let decided = match &addresses {
                Ok(addresses) => self.approve_for(addresses).await.map_err(|error| format!("{error:#}")),
                Err(error) => Err(format!("{error:#}")),
            };
            let told = match decided {
                Ok(decided) => {
                    for node in decided.approved.difference(&whole.approved) {
                        events.send(Event::Note { line: format!("approved the serving certificate of {node}'s kubelet") });
                    }
                    whole.approved.extend(decided.approved);
                    whole.left = decided.left;
                    None
                }
                Err(error) => Some(error),
            };
            let addresses = addresses.unwrap_or_default();
            let mut why = BTreeMap::new();
            for node in &open {
                match addresses.get(node) {
                    None => drop(why.insert(node.clone(), "its address is not in the cluster's record".to_owned())),
                    Some(address) => {
                        if let Err(error) = own_api::kubelet_answers(*address).await {
                            why.insert(node.clone(), format!("{error:#}"));
                        }
                    }
                }
            }
            open.retain(|node| why.contains_key(node));
            if open.is_empty() {
                return Ok(());
            }
            if start.elapsed() > within {
                let of = |(node, error): (&MachineName, &String)| match whole.left.get(&KubeletRequest::user_of(node)) {
                    Some(left) => format!("hostler did not approve the serving certificate that kubelet of {node} requested: {left}"),
                    None if whole.approved.contains(node) => format!("kubelet of {node} does not present its certificate: {error}"),
                    None => format!("kubelet of {node} has not requested a serving certificate: {error}"),
                };
                let told: Vec<String> = told.into_iter().chain(why.iter().map(of)).collect();
                bail!("waited {}; {}", counted(usize::try_from(within.as_secs()).unwrap_or_default(), "second"), told.join("; "));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Approves the request as it was read. False: it has changed meanwhile, or is gone.
async fn approve(requests: &Api<CertificateSigningRequest>, object: &CertificateSigningRequest) -> Result<bool> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let patch = json!({
        "metadata": { "uid": object.metadata.uid, "resourceVersion": object.metadata.resource_version },
        "status": { "conditions": [{
            "type": "Approved", "status": "True", "reason": "HostlerApproved",
            "message": "the name and the address are those of the machine in hostler's record",
        }] },
    });
    match requests.patch_approval(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(false),
        Err(error) => Err(error).with_context(|| format!("the request {name} can't be approved")),
    }
}
