//! Whether a machine has what the inventory reserves of it: kubelet does not start where it has less.

use serde_yaml::Value;

use super::quantities::quantity;
use crate::facts::Facts;
use crate::quantity::size;

/// What is reserved of a machine, and what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// `2 GB of memory`.
    pub reserved: String,
    /// `1.9 GB`.
    pub has: String,
}

/// What kubelet reserves by itself where no threshold is written: its own default of `evictionHard`.
const DEFAULT_MEMORY: f64 = 100.0 * 1024.0 * 1024.0;
/// `ephemeral-storage`: a tenth of the file system.
const DEFAULT_DISK: f64 = 0.1;

/// The first thing of which `document`, a KubeletConfiguration, reserves more than the machine has.
pub fn shortage(document: &Value, facts: &Facts) -> Option<Shortage> {
    cpu(document, facts).or_else(|| memory(document, facts)).or_else(|| disk(document, facts))
}

fn cpu(document: &Value, facts: &Facts) -> Option<Shortage> {
    let has = facts.cpus;
    if has == 0 {
        return None;
    }
    let processors = |count: f64| format!("{} {}", (count * 1000.0).round() / 1000.0, if count == 1.0 { "CPU" } else { "CPUs" });
    let last = document.get("reservedSystemCPUs").and_then(Value::as_str).and_then(last_of);
    if let Some(last) = last.filter(|last| *last >= has) {
        return Some(Shortage { reserved: format!("CPU {last}"), has: format!("CPUs 0 to {}", has - 1) });
    }
    let reserved = reserved(document, "cpu");
    (reserved > f64::from(has)).then(|| Shortage { reserved: processors(reserved), has: processors(f64::from(has)) })
}

fn memory(document: &Value, facts: &Facts) -> Option<Shortage> {
    let has = facts.memory as f64 * 1024.0;
    let reserved = reserved(document, "memory") + threshold(document, "memory.available", has, DEFAULT_MEMORY);
    (has > 0.0 && reserved > has).then(|| in_words(reserved, has, "memory"))
}

fn disk(document: &Value, facts: &Facts) -> Option<Shortage> {
    let has = facts.disk_size as f64 * 1024.0;
    let reserved = reserved(document, "ephemeral-storage") + threshold(document, "nodefs.available", has, has * DEFAULT_DISK);
    (has > 0.0 && reserved > has).then(|| in_words(reserved, has, "disk space"))
}

fn in_words(reserved: f64, has: f64, of: &str) -> Shortage {
    Shortage { reserved: format!("{} of {of}", size(reserved as u64)), has: size(has as u64) }
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

/// The last of a list of processors: `0-1,4`.
fn last_of(list: &str) -> Option<u32> {
    list.split([',', '-']).filter_map(|number| number.trim().parse().ok()).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_compared_with_what_the_machine_has() {
        // 4 processors, 4 GiB of memory, 100 GiB of disk.
        let facts = Facts { cpus: 4, memory: 4 << 20, disk_size: 100 << 20, ..Facts::default() };
        for (text, said) in [
            ("{}", None),
            ("kubeReserved: {cpu: '2', memory: 1Gi}\nsystemReserved: {cpu: '2', memory: 1Gi}", None),
            ("kubeReserved: {cpu: 2500m}\nsystemReserved: {cpu: '2'}", Some("4.5 CPUs")),
            ("reservedSystemCPUs: 0-3", None),
            ("reservedSystemCPUs: 0,4", Some("CPU 4")),
            // With kubelet's own threshold.
            ("kubeReserved: {memory: 4Gi}", Some("4.4 GB of memory")),
            ("kubeReserved: {memory: 4Gi}\nevictionHard: {nodefs.available: 1%}", None),
            ("kubeReserved: {memory: 2Gi}\nevictionHard: {memory.available: 60%}", Some("4.7 GB of memory")),
            ("kubeReserved: {memory: 4Gi}\nevictionHard: {memory.available: 100%}", None),
            ("kubeReserved: {ephemeral-storage: 95Gi}", Some("113 GB of disk space")),
        ] {
            let document = serde_yaml::from_str(text).expect("YAML");
            assert_eq!(shortage(&document, &facts).map(|shortage| shortage.reserved).as_deref(), said, "{text}");
        }
        let document = serde_yaml::from_str("reservedSystemCPUs: '9'\nkubeReserved: {memory: 900Gi}").expect("YAML");
        assert_eq!(shortage(&document, &Facts::default()), None, "nothing is known about the machine");
    }
}
