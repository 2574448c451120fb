//! What the planner will not do: each with a reason and a way out. Looked at first, so that nothing is planned for what is refused.

use super::cluster::renamed;
use super::documents;
use super::planner::{Planner, begun};
use crate::facts::{ClusterFacts, Facts};
use crate::inventory::{Cni, MachineName, Role};

/// Seconds that clocks may differ before certificates and leases suffer.
const CLOCK_TOLERANCE: i64 = 60;

pub fn look(planner: &mut Planner) {
    unreachable(planner);
    for (name, _) in planner.machines() {
        if let Some(facts) = planner.facts.get(name).copied() {
            machine(planner, name, facts);
        }
    }
    membership(planner);
    clocks(planner);
    if let Some((_, cluster)) = planner.speaker {
        unchangeable(planner, cluster);
    }
}

fn unreachable(planner: &mut Planner) {
    let unreachable: Vec<_> = planner.unreachable.iter().map(|(name, why)| (*name, (*why).to_owned())).collect();
    for (name, why) in &unreachable {
        planner.warn(Some(name), format!("not reached, left as it is: {why}"));
    }
    let lost: Vec<String> = planner
        .inventory
        .control_planes()
        .filter(|(name, _)| planner.unreachable.contains_key(name))
        .map(|(name, _)| name.to_string())
        .collect();
    if !lost.is_empty() && !planner.cluster_exists() {
        planner.refuse(
            None,
            "control-plane-unknown",
            format!("{} can't be reached, so nobody knows whether there is a cluster already", lost.join(", ")),
            "turn it on, or mend its address or SSH, and run again",
        );
    }
}

fn machine<'a>(planner: &mut Planner<'a>, name: &'a MachineName, facts: &'a Facts) {
    if !facts.systemd {
        planner.refuse(Some(name), "no-systemd", "its init is not systemd", "install Debian or Ubuntu on it");
    } else if facts.arch != planner.manifest.arch {
        let reason = format!("it is {}, the bundle is for {}", facts.arch, planner.manifest.arch);
        planner.refuse(Some(name), "architecture", reason, format!("give a bundle for {} with --bundle", facts.arch));
    } else if !facts.foreign.is_empty() {
        let reason = format!("{} is on it", facts.foreign.join(", "));
        planner.refuse(Some(name), "foreign", reason, "remove it first: two container platforms on one machine break each other");
    } else if !facts.kubernetes.joined && !facts.kubernetes.leftovers.is_empty() && !begun(facts) {
        let reason = format!("an earlier cluster left {} there", facts.kubernetes.leftovers.join(", "));
        planner.refuse(Some(name), "not-blank", reason, "look what it is; `kubeadm reset` on the machine removes it");
    } else if let Some(lowest) = low_memory(planner, name, facts) {
        planner.warn(Some(name), format!("{} MB of memory is little: {lowest} MB is what kubeadm asks for", facts.memory / 1024));
    }
    if facts.nameservers.is_empty() && planner.usable(name).is_some() {
        planner.warn(Some(name), "/etc/resolv.conf names no server: CoreDNS will not start here without one");
    }
}

fn low_memory(planner: &Planner, name: &MachineName, facts: &Facts) -> Option<u64> {
    let control_plane = planner.inventory.machines.get(name).is_some_and(|machine| machine.role == Role::ControlPlane);
    (control_plane && facts.memory > 0 && facts.memory < 1700 * 1024).then_some(1700)
}

/// Who belongs to which cluster, told by the certificate authority.
fn membership(planner: &mut Planner) {
    let ca = planner.inventory.control_planes().find_map(|(name, _)| {
        planner.facts.get(name).filter(|facts| facts.kubernetes.control_plane).map(|facts| (name, facts.kubernetes.ca.clone()))
    });
    for (name, machine) in planner.machines() {
        let Some(facts) = planner.usable(name) else {
            continue;
        };
        if !facts.kubernetes.joined || begun(facts) {
            continue;
        }
        match &ca {
            Some((_, ca)) if facts.kubernetes.ca != *ca => planner.refuse(
                Some(name),
                "other-cluster",
                format!("it belongs to another cluster ({})", facts.kubernetes.server.as_deref().unwrap_or("its server is unknown")),
                "take it out of that cluster first: `kubeadm reset` on the machine, after draining it there",
            ),
            Some(_) if facts.kubernetes.control_plane != (machine.role == Role::ControlPlane) => planner.refuse(
                Some(name),
                "role-changed",
                format!("it is a {} now", if facts.kubernetes.control_plane { "control plane" } else { "worker" }),
                format!("a role is changed by `hostler remove {name}` and then `hostler add {name}`"),
            ),
            Some(_) => {
                if let Some((_, cluster)) = planner.speaker
                    && !cluster.nodes.contains_key(name.as_str())
                {
                    planner.refuse(
                        Some(name),
                        "node-gone",
                        "its node was deleted from the cluster, though it still takes itself for a member",
                        format!("`hostler rebuild {name}` brings it back clean"),
                    );
                }
            }
            None if !planner.unreachable.keys().any(|lost| planner.inventory.machines[lost.as_str()].role == Role::ControlPlane) => planner
                .refuse(
                    None,
                    "control-plane-lost",
                    format!("{name} belongs to a cluster, but no control plane of the inventory does"),
                    "the only control plane is brought back by `hostler rebuild NAME --from SNAPSHOT`; a new cluster needs blank machines",
                ),
            None => {}
        }
    }
}

fn clocks(planner: &mut Planner) {
    let known: Vec<(&MachineName, i64)> =
        planner.facts.iter().filter(|(_, facts)| facts.clock > 0).map(|(name, facts)| (*name, facts.clock)).collect();
    let mut times: Vec<i64> = known.iter().map(|(_, clock)| *clock).collect();
    times.sort_unstable();
    // Of many clocks the middle one is right; of two, nobody can say.
    let Some(&middle) = times.get(times.len() / 2) else {
        return;
    };
    for (name, clock) in known {
        let off = clock - middle;
        if off.abs() > CLOCK_TOLERANCE {
            planner.refuse(
                Some(name),
                "clock",
                format!("its clock is {} s {} the others", off.abs(), if off > 0 { "ahead of" } else { "behind" }),
                "set it (`timedatectl set-ntp true`, or `date -s`): certificates and leases depend on it",
            );
        }
    }
}

/// What a cluster keeps for its whole life.
fn unchangeable(planner: &mut Planner, cluster: &ClusterFacts) {
    let wanted = &planner.inventory.cluster;
    let version = wanted.version.clone().unwrap_or_else(|| planner.manifest.kubernetes.clone());
    let asked = [
        ("pod-subnet", "podSubnet", &cluster.pod_subnet, wanted.pod_subnet.to_string()),
        ("service-subnet", "serviceSubnet", &cluster.service_subnet, wanted.service_subnet.to_string()),
        ("endpoint", "endpoint", &cluster.endpoint, documents::endpoint(planner.inventory)),
    ];
    let name = wanted.name.clone();
    let cni = cni_name(wanted.cni);
    for (code, key, is, should) in asked {
        if !is.is_empty() && *is != should {
            planner.refuse(
                None,
                code,
                format!("`{key}` of the running cluster is {is}, and can't become {should}"),
                format!("write {is} into the inventory, or make the cluster anew: `hostler reset`, then `hostler up`"),
            );
        }
    }
    if let Some(is) = cluster.record.get("cni")
        && is != cni
    {
        planner.refuse(
            None,
            "cni",
            format!("the pod network of the running cluster is {is}, and can't become {cni}"),
            format!("write `cni: {is}` into the inventory, or make the cluster anew: `hostler reset`, then `hostler up`"),
        );
    }
    if !cluster.version.is_empty() && cluster.version != version {
        planner.refuse(
            None,
            "version",
            format!("the cluster `{name}` runs Kubernetes {}, and `up` does not change that to {version}", cluster.version),
            format!("`hostler upgrade` does; or write `version: {}` into the inventory", cluster.version),
        );
    }
    let renamed: Vec<(MachineName, String)> =
        renamed(planner.inventory, cluster).into_iter().map(|(name, node)| (name.clone(), node.to_owned())).collect();
    for (name, node) in renamed {
        let machine = planner.inventory.machines.get_key_value(name.as_str()).map(|(name, _)| name);
        planner.refuse(
            machine,
            "node-name",
            format!("the machine at its address is node {node}"),
            format!("call it {node} in the inventory, or take it out first: `hostler remove {node}`"),
        );
    }
}

/// As the inventory and the cluster's record spell it.
pub fn cni_name(cni: Cni) -> &'static str {
    match cni {
        Cni::Flannel => "flannel",
        Cni::FlannelHostGw => "flannel-host-gw",
        Cni::None => "none",
    }
}
