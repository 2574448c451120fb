//! What of the cluster's own does not run.

use super::Problem;
use crate::facts::{AddOns, NOT_READY};
use crate::inventory::{Cni, Inventory};
use crate::plan::add_ons::{FLANNEL, WITH_PODS};
use crate::protocol::namespaces;

/// Seconds after which a pod that is not ready is a problem.
const SETTLED: i64 = 60;

/// What the workload runs, as [`WITH_PODS`].
const FILMS: [(&str, &str, &str, &str); 2] =
    [("the film watcher", "Deployment", namespaces::FILMS, "watcher"), ("the status page", "Deployment", namespaces::FILMS, "page")];

/// Add-ons without a ready pod, or whose pods are forbidden, and pods that fail. Those of a node that is not `ready` fail with it, and that is
/// said already. `now`: in seconds since the epoch.
pub(super) fn problems(inventory: &Inventory, add_ons: &AddOns, ready: impl Fn(&str) -> bool, now: i64) -> Vec<Problem> {
    let mut problems = Vec::new();
    let has_flannel = inventory.cluster.cni != Cni::None;
    let own = WITH_PODS.into_iter().filter(|(name, ..)| has_flannel || *name != FLANNEL);
    for (name, kind, namespace, object) in own.chain(FILMS.into_iter().filter(|_| inventory.transcode.is_some())) {
        // One that is not there is drift, or was not asked for.
        let Some(live) = add_ons.get(kind, namespace, object) else { continue };
        if live.ready == 0 {
            problems.push(Problem::AddOnDown { name, namespace, ready: live.ready, wanted: live.desired });
        }
        if !live.forbidden.is_empty() {
            problems.push(Problem::PodsForbidden { name, namespace, why: live.forbidden.clone() });
        }
    }
    for pod in add_ons.failing.iter().filter(|pod| ready(&pod.node)) {
        // One that is only not ready yet may have begun a moment ago.
        if pod.reason == NOT_READY && pod.since.is_none_or(|since| now.saturating_sub(since) < SETTLED) {
            continue;
        }
        problems.push(Problem::PodFails {
            namespace: pod.namespace.clone(),
            pod: pod.name.clone(),
            node: pod.node.clone(),
            reason: pod.reason.clone(),
            message: pod.message.clone(),
        });
    }
    problems
}
