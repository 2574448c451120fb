//! Whether a machine has what the inventory reserves of it, and then as much as the cluster's own pods request: kubelet does not start where it
//! has less, or rejects those pods.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde_yaml::Value;

use super::quantities::quantity;
use crate::facts::Facts;
use crate::inventory::Role;
use crate::quantity::size;

/// What is reserved of a machine, and what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// `2 GB of memory`.
    pub reserved: String,
    /// `1.9 GB`.
    pub has: String,
    /// What the cluster's own pods need of it: `0.75 CPUs`; empty if that makes no difference.
    pub needed: String,
}

/// What the pods of flannel, and on a control plane kubeadm's static pods, request of a machine, in processors and bytes: templates/network/flannel.yaml,
/// and the manifests that kubeadm writes.
const fn requested(role: Role) -> (f64, f64) {
    const MIB: f64 = 1024.0 * 1024.0;
    match role {
        Role::ControlPlane => (0.75, 150.0 * MIB),
        Role::Worker => (0.1, 50.0 * MIB),
    }
}

/// What kubelet reserves by itself where no threshold is written: its own default of `evictionHard`.
const DEFAULT_MEMORY: f64 = 100.0 * 1024.0 * 1024.0;
/// `ephemeral-storage`: a tenth of the file system.
const DEFAULT_DISK: f64 = 0.1;

/// The first thing of which `document`, a KubeletConfiguration, reserves more than a machine of this role has to spare.
pub fn shortage(document: &Value, role: Role, facts: &Facts) -> Option<Shortage> {
    let (processors, bytes) = requested(role);
    cpu(document, processors, facts).or_else(|| memory(document, bytes, facts)).or_else(|| disk(document, facts))
}

fn cpu(document: &Value, needed: f64, facts: &Facts) -> Option<Shortage> {
    let has = facts.cpus;
    if has == 0 {
        return None;
    }
    let listed = document.get("reservedSystemCPUs").and_then(Value::as_str).map(numbers).filter(|listed| !listed.is_empty());
    if let Some(last) = listed.as_ref().and_then(|listed| listed.last()).filter(|last| **last >= has) {
        return Some(Shortage { reserved: format!("CPU {last}"), has: format!("CPUs 0 to {}", has - 1), needed: String::new() });
    }
    // The list replaces both reserves.
    let reserved = listed.map_or_else(|| reserved(document, "cpu"), |listed| listed.len() as f64);
    let processors = |count: f64| format!("{} {}", (count * 1000.0).round() / 1000.0, if count == 1.0 { "CPU" } else { "CPUs" });
    short(reserved, f64::from(has), needed, processors)
}

fn memory(document: &Value, needed: f64, facts: &Facts) -> Option<Shortage> {
    let has = facts.memory as f64 * 1024.0;
    let reserved = reserved(document, "memory") + threshold(document, "memory.available", has, DEFAULT_MEMORY);
    short(reserved, has, needed, |bytes| format!("{} of memory", size(bytes as u64)))
}

fn disk(document: &Value, facts: &Facts) -> Option<Shortage> {
    let has = facts.disk_size as f64 * 1024.0;
    let reserved = reserved(document, "ephemeral-storage") + threshold(document, "nodefs.available", has, has * DEFAULT_DISK);
    short(reserved, has, 0.0, |bytes| format!("{} of disk space", size(bytes as u64)))
}

/// A shortage if what is reserved and what is needed are more than there is. Nothing is said where nothing is known, nor of the pods' needs where
/// nothing is reserved.
fn short(reserved: f64, has: f64, needed: f64, in_words: impl Fn(f64) -> String) -> Option<Shortage> {
    let enough = reserved + needed <= has || has <= 0.0 || reserved <= 0.0;
    let needed = if reserved <= has { in_words(needed) } else { String::new() };
    (!enough).then(|| Shortage { reserved: in_words(reserved), has: in_words(has), needed })
}

/// What is kept of a resource for the machine itself and for kubelet.
fn reserved(document: &Value, resource: &str) -> f64 {
    let amount = |key: &str| document.get(key)?.get(resource)?.as_str().and_then(quantity);
    ["kubeReserved", "systemReserved"].into_iter().filter_map(amount).sum()
}

/// The threshold of an eviction: pods never get what is below it.
fn threshold(document: &Value, signal: &str, has: f64, default: f64) -> f64 {
    let Some(thresholds) = document.get("evictionHard").and_then(Value::as_mapping).filter(|thresholds| !thresholds.is_empty()) else {
        return default;
    };
    let Some(text) = thresholds.get(signal).and_then(Value::as_str) else { return 0.0 };
    match text.strip_suffix('%') {
        // This turns it off.
        Some("100") => 0.0,
        Some(percent) => percent.parse::<f64>().map_or(0.0, |percent| has * percent / 100.0),
        None => quantity(text).unwrap_or(0.0),
    }
}

/// A list of processors, `0-1,4`, in order. What is none, kubelet's own check rejects.
fn numbers(list: &str) -> BTreeSet<u32> {
    let range = |part: &str| -> Option<RangeInclusive<u32>> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        // No machine has more; a longer list would only take memory.
        (last < 4096).then_some(first..=last)
    };
    list.split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_compared_with_what_the_machine_has() {
        // 4 processors, 4 GiB of memory, 100 GiB of disk.
        let facts = Facts { cpus: 4, memory: 4 << 20, disk_size: 100 << 20, ..Facts::default() };
        for (text, role, said) in [
            ("{}", Role::ControlPlane, None),
            ("kubeReserved: {cpu: '2', memory: 1Gi}\nsystemReserved: {cpu: '1', memory: 1Gi}", Role::ControlPlane, None),
            ("kubeReserved: {cpu: 2500m}\nsystemReserved: {cpu: '2'}", Role::Worker, Some("4.5 CPUs of 4 CPUs")),
            // What is left is enough for a worker only.
            ("kubeReserved: {cpu: 3500m}", Role::Worker, None),
            ("kubeReserved: {cpu: 3500m}", Role::ControlPlane, Some("3.5 CPUs of 4 CPUs, 0.75 CPUs")),
            ("reservedSystemCPUs: 0-2", Role::ControlPlane, None),
            ("reservedSystemCPUs: 0-3", Role::Worker, Some("4 CPUs of 4 CPUs, 0.1 CPUs")),
            ("reservedSystemCPUs: 0,4", Role::Worker, Some("CPU 4 of CPUs 0 to 3")),
            ("reservedSystemCPUs: 0-4000000000", Role::Worker, None),
            // With kubelet's own threshold.
            ("kubeReserved: {memory: 4Gi}", Role::Worker, Some("4.4 GB of memory of 4.3 GB of memory")),
            ("kubeReserved: {memory: 3Gi}\nevictionHard: {nodefs.available: 1%}", Role::Worker, None),
            (
                "kubeReserved: {memory: 2Gi}\nevictionHard: {memory.available: 60%}",
                Role::Worker,
                Some("4.7 GB of memory of 4.3 GB of memory"),
            ),
            ("kubeReserved: {memory: 3Gi}\nevictionHard: {memory.available: 100%}", Role::Worker, None),
            ("kubeReserved: {memory: 3950Mi}\nevictionHard: {nodefs.available: 1%}", Role::Worker, None),
            (
                "kubeReserved: {memory: 3950Mi}\nevictionHard: {nodefs.available: 1%}",
                Role::ControlPlane,
                Some("4.1 GB of memory of 4.3 GB of memory, 157 MB of memory"),
            ),
            ("kubeReserved: {ephemeral-storage: 95Gi}", Role::Worker, Some("113 GB of disk space of 107 GB of disk space")),
        ] {
            let document = serde_yaml::from_str(text).expect("YAML");
            let found = shortage(&document, role, &facts).map(|short| {
                let needed = if short.needed.is_empty() { String::new() } else { format!(", {}", short.needed) };
                format!("{} of {}{needed}", short.reserved, short.has)
            });
            assert_eq!(found.as_deref(), said, "{text}");
        }
        let document = serde_yaml::from_str("reservedSystemCPUs: '9'\nkubeReserved: {memory: 900Gi}").expect("YAML");
        assert_eq!(shortage(&document, Role::Worker, &Facts::default()), None, "nothing is known about the machine");
    }
}
