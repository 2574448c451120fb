//! Whose word about the cluster counts. Any machine can say anything; of the cluster, only control planes of the inventory are believed, and of
//! those only the ones that hold its certificate authority. This is the only place that reads what a machine says of the cluster.

use std::collections::BTreeMap;

use crate::facts::{ClusterFacts, Facts, Observation};
use crate::inventory::{Inventory, MachineName};
use crate::record::InProgress;

/// A control plane whose API server hostler uses, and what that says of the cluster. Only [`trusted`] makes one.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ApiVia<'a> {
    pub machine: &'a MachineName,
    pub cluster: &'a ClusterFacts,
}

/// The control planes of the inventory that were reached.
#[derive(Debug, Clone, Default)]
pub struct Trusted<'a> {
    reached: Vec<(&'a MachineName, &'a Facts)>,
    ca: Option<&'a str>,
    answering: Vec<ApiVia<'a>>,
}

/// The control planes among `facts` whose word about the cluster counts.
pub fn trusted<'a>(inventory: &'a Inventory, facts: &BTreeMap<&MachineName, &'a Facts>) -> Trusted<'a> {
    let endpoint = inventory.cluster.authority();
    let reached = inventory.control_planes().filter_map(|(name, _)| Some((name, *facts.get(name)?)));
    // Those first that are of the inventory's cluster, as another cluster's may be among them.
    let (mut reached, others): (Vec<_>, Vec<_>) = reached.partition(|(_, facts)| serves(facts, &endpoint));
    let ours = reached.len();
    reached.extend(others);
    let ca = most_frequent_ca(&reached[..ours]).or_else(|| most_frequent_ca(&reached));
    let mut trusted = Trusted { reached, ca, answering: Vec::new() };
    // Where a restore was interrupted, an API server may answer with half of what is to come back; one that joins again goes first.
    let whole = |facts: &Facts| ![InProgress::Restore, InProgress::Join].iter().any(|mark| facts.in_progress.contains(mark));
    let answers = trusted
        .holders()
        .filter(|(_, facts)| whole(facts))
        .filter_map(|(machine, facts)| Some(ApiVia { machine, cluster: facts.cluster.as_ref()? }));
    trusted.answering = answers.collect();
    trusted
}

/// As [`trusted`], of everything that was seen.
pub fn trusted_of<'a>(inventory: &'a Inventory, seen: &'a BTreeMap<MachineName, Observation>) -> Trusted<'a> {
    let facts = seen.iter().filter_map(|(name, observation)| Some((name, observation.facts()?))).collect();
    trusted(inventory, &facts)
}

/// Whether the machine says that its API server is that of the cluster at `endpoint`, whoever it is. It decides about nothing but whether to
/// stop and ask.
pub fn serves(facts: &Facts, endpoint: &str) -> bool {
    facts.cluster.as_ref().is_some_and(|cluster| cluster.endpoint == endpoint)
}

/// What a control plane says of its cluster, for that machine itself: `facts` must be of the machine that asks.
pub fn by_itself(facts: &Facts) -> Option<&ClusterFacts> {
    facts.cluster.as_ref()
}

/// The certificate authority that most of these control planes hold: one among several does not decide for the others.
fn most_frequent_ca<'a>(control_planes: &[(&MachineName, &'a Facts)]) -> Option<&'a str> {
    let held: Vec<&str> = control_planes.iter().filter_map(|(_, facts)| held_ca(facts)).collect();
    let count = |ca: &str| held.iter().filter(|other| **other == ca).count();
    // Of several, the first in the inventory's order.
    held.iter().rev().copied().max_by_key(|ca| count(ca))
}

fn held_ca(facts: &Facts) -> Option<&str> {
    facts.kubernetes.ca.as_deref().filter(|_| facts.kubernetes.control_plane)
}

impl<'a> Trusted<'a> {
    /// All of them, those first whose API server is that of the inventory's cluster.
    pub fn reached(&self) -> impl Iterator<Item = (&'a MachineName, &'a Facts)> + use<'a> {
        self.reached.clone().into_iter()
    }

    /// Fingerprint of the cluster's certificate authority, as in [`KubernetesFacts::ca`](crate::facts::KubernetesFacts::ca).
    pub fn ca(&self) -> Option<&'a str> {
        self.ca
    }

    /// Those that hold the cluster's certificate authority.
    pub fn holders(&self) -> impl Iterator<Item = (&'a MachineName, &'a Facts)> + use<'a> {
        let ca = self.ca;
        self.reached().filter(move |(_, facts)| ca.is_some() && held_ca(facts) == ca)
    }

    /// Those whose API server answers, and holds the cluster.
    pub fn answering(&self) -> impl Iterator<Item = ApiVia<'a>> + use<'a> {
        self.answering.clone().into_iter()
    }

    /// Whether the machine's API server answers.
    pub fn answers(&self, name: &MachineName) -> bool {
        self.answering.iter().any(|api_via| api_via.machine == name)
    }
}
