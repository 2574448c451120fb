//! Values of KubeletConfiguration that kubelet reads only once it runs, with its own grammar: `kubelet --config` alone accepts them, and then
//! kubelet starts again and again.

use std::num::ParseFloatError;

use serde_yaml::Value;

use super::Deviation;
use super::settings::KUBELET;

/// A map of KubeletConfiguration with values of one grammar.
struct Map {
    key: &'static str,
    /// Every key of it.
    keys: &'static [&'static str],
    fits: fn(&str) -> bool,
    why: &'static str,
}

/// Signals of evictions: pkg/kubelet/eviction/api of Kubernetes.
const SIGNALS: &[&str] = &[
    "memory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "containerfs.available",
    "containerfs.inodesFree",
    "allocatableMemory.available",
    "pid.available",
];
const RESOURCES: &[&str] = &["cpu", "memory", "ephemeral-storage", "pid"];

const THRESHOLD: &str =
    "kubelet would not start: an eviction threshold must be a signal with a quantity or a percentage, such as `memory.available: 200Mi`";
const OF_WHAT_IS_FREE: &str =
    "pods would be evicted all the time: an eviction threshold is what must stay free, not what may be used; set at most 50%";
const RECLAIMED: &str =
    "kubelet would not start: a minimum reclaim must be a signal with a quantity or a percentage, such as `memory.available: 500Mi`";
const GRACE: &str = "kubelet would not start: a grace period must be a signal with a duration, such as `memory.available: 1m30s`";
const NO_GRACE: &str =
    "kubelet would not start: a soft threshold needs a grace period in `evictionSoftGracePeriod`, such as `memory.available: 1m30s`";
const RESERVED: &str = "kubelet would not start: a reserve must be a resource with a quantity, such as `memory: 500Mi`";

const QOS: &str = "kubelet would not start: a reserve for a QoS class must be a percentage of the memory, such as `memory: 50%`";

const MAPS: &[Map] = &[
    Map { key: "evictionHard", keys: SIGNALS, fits: is_threshold, why: THRESHOLD },
    Map { key: "evictionSoft", keys: SIGNALS, fits: is_threshold, why: THRESHOLD },
    Map { key: "evictionMinimumReclaim", keys: SIGNALS, fits: is_reclaimed, why: RECLAIMED },
    Map { key: "evictionSoftGracePeriod", keys: SIGNALS, fits: is_duration, why: GRACE },
    Map { key: "kubeReserved", keys: RESOURCES, fits: is_quantity, why: RESERVED },
    Map { key: "systemReserved", keys: RESOURCES, fits: is_quantity, why: RESERVED },
    Map { key: "qosReserved", keys: &["memory"], fits: |text| percentage(text) == Some(true), why: QOS },
];

/// Values in the merged document that kubelet would not start with. What is no map of texts, kubelet's own check rejects.
pub fn deviations(document: &Value, found: &mut Vec<Deviation>) {
    without_grace(document, found);
    for map in MAPS {
        for (key, value) in document.get(map.key).and_then(Value::as_mapping).into_iter().flatten() {
            let (Some(key), Some(text)) = (key.as_str(), value.as_str()) else { continue };
            let why = if !map.keys.contains(&key) || !(map.fits)(text) {
                map.why
            } else if ["evictionHard", "evictionSoft"].contains(&map.key) && is_most(text) {
                OF_WHAT_IS_FREE
            } else {
                continue;
            };
            found.push(Deviation::of_value(KUBELET, &[map.key, key], format!("{}.{key}: {text}", map.key), why));
        }
    }
}

/// A soft threshold without its grace period.
fn without_grace(document: &Value, found: &mut Vec<Deviation>) {
    for key in document.get("evictionSoft").and_then(Value::as_mapping).into_iter().flatten().filter_map(|(key, _)| key.as_str()) {
        if document.get("evictionSoftGracePeriod").and_then(|periods| periods.get(key)).is_none() {
            found.push(Deviation::of_value(KUBELET, &["evictionSoft", key], format!("evictionSoft.{key}"), NO_GRACE));
        }
    }
}

/// `0%` and `100%` turn a threshold off.
fn is_threshold(text: &str) -> bool {
    percentage(text).unwrap_or_else(|| is_quantity(text) && text.bytes().any(|byte| matches!(byte, b'1'..=b'9')))
}

/// More than half, but not all, which turns the threshold off.
fn is_most(text: &str) -> bool {
    percents(text).is_some_and(|number| number.is_ok_and(|number| number > 50.0 && number < 100.0))
}

fn is_reclaimed(text: &str) -> bool {
    percentage(text).unwrap_or_else(|| is_quantity(text))
}

/// Whether `text` is within 0 and 100 %; none: it is no percentage.
fn percentage(text: &str) -> Option<bool> {
    percents(text).map(|number| number.is_ok_and(|number| (0.0..=100.0).contains(&number)))
}

/// The number before `%`; none: it is no percentage.
fn percents(text: &str) -> Option<Result<f32, ParseFloatError>> {
    text.strip_suffix('%').map(str::parse)
}

/// A quantity of Kubernetes that is not negative: `1.5Gi`, `200m`, `2e3`.
fn is_quantity(text: &str) -> bool {
    quantity(text).is_some()
}

/// What a quantity amounts to: `1.5Gi` is 1610612736. `None`: it is none, or negative.
pub fn quantity(text: &str) -> Option<f64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let unit = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let is_number = number.bytes().any(|byte| byte.is_ascii_digit()) && number.bytes().filter(|byte| *byte == b'.').count() <= 1;
    let number: f64 = number.parse().ok().filter(|_| is_number)?;
    let decimal = |power| Some(1000_f64.powi(power));
    let binary = |power| Some(1024_f64.powi(power));
    let times = match unit {
        "" => Some(1.0),
        "n" => decimal(-3),
        "u" => decimal(-2),
        "m" => decimal(-1),
        "k" => decimal(1),
        "M" => decimal(2),
        "G" => decimal(3),
        "T" => decimal(4),
        "P" => decimal(5),
        "E" => decimal(6),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent = unit.strip_prefix(['e', 'E'])?;
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            let power = exponent.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
            power.map(|power| 10_f64.powi(power))
        }
    };
    Some(number * times?)
}

/// A duration of Go that is not negative: `90s`, `1m30s`.
fn is_duration(text: &str) -> bool {
    duration(text).is_some()
}

/// A duration as Go's time.ParseDuration reads it, in seconds: `1m30s` is 90. `None`: it is none, or negative.
pub fn duration(text: &str) -> Option<f64> {
    const UNITS: &[(&str, f64)] = &[("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0.0);
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let (digits, after) = rest.split_at(number);
        let end = after.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        seconds += digits.parse::<f64>().ok()? * UNITS.iter().find(|(name, _)| *name == unit)?.1;
        rest = next;
    }
    (!text.is_empty()).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_grammar_is_kubelets() {
        for (fits, right, wrong) in [
            (
                is_quantity as fn(&str) -> bool,
                vec!["0", "1", "500Mi", "1.5Gi", ".5", "5.", "200m", "2e3", "2E-3", "3E", "+1k"],
                vec!["", "5x", "5 Mi", "Mi", "-1", "1.2.3", "5mb", "1e", "10%", "5kb", "1Kib"],
            ),
            (is_threshold, vec!["200Mi", "10%", "0%", "100%", "2.5%"], vec!["5x", "101%", "-1%", "%", "x%", "0", "0Mi", "-5Mi"]),
            (is_reclaimed, vec!["0", "0Mi", "5%"], vec!["5x", "-1"]),
            (is_duration, vec!["90s", "1m30s", "1.5h", "0", "300ms"], vec!["", "90", "1 m", "s", "-1s", "1d", "1m30"]),
        ] {
            right.iter().for_each(|text| assert!(fits(text), "{text}"));
            wrong.iter().for_each(|text| assert!(!fits(text), "{text}"));
        }
    }

    #[test]
    fn a_quantity_has_a_value() {
        for (text, value) in [("1.5Gi", 1_610_612_736.0), ("200m", 0.2), ("2e3", 2000.0), ("5.", 5.0), ("3E", 3e18), ("7Ki", 7168.0)] {
            assert_eq!(quantity(text), Some(value), "{text}");
        }
    }

    #[test]
    fn a_soft_threshold_has_a_grace_period() {
        for (text, count) in [
            ("evictionSoft: {memory.available: 1Gi}", 1),
            ("evictionSoft: {memory.available: 1Gi}\nevictionSoftGracePeriod: {pid.available: 1m}", 1),
            ("evictionSoft: {memory.available: 1Gi}\nevictionSoftGracePeriod: {memory.available: 1m}", 0),
        ] {
            let mut found = Vec::new();
            deviations(&serde_yaml::from_str(text).expect("YAML"), &mut found);
            assert_eq!(found.len(), count, "{text}");
        }
    }

    #[test]
    fn a_threshold_is_not_most_of_what_there_is() {
        for (text, count) in [("10%", 0), ("50%", 0), ("85%", 1), ("99.5%", 1), ("100%", 0), ("85Gi", 0)] {
            for key in ["evictionHard: {nodefs.available", "evictionSoftGracePeriod: {pid.available: 1m}\nevictionSoft: {pid.available"] {
                let mut found = Vec::new();
                deviations(&serde_yaml::from_str(&format!("{key}: {text}}}")).expect("YAML"), &mut found);
                assert_eq!(found.len(), count, "{key} {text}");
            }
        }
    }

    #[test]
    fn each_map_is_looked_at() {
        for map in MAPS {
            let right = match map.key {
                "evictionSoftGracePeriod" => "90s",
                "qosReserved" => "50%",
                _ => "200Mi",
            };
            // With the other half that a soft threshold needs.
            let other = if map.key == "evictionSoft" { "evictionSoftGracePeriod: {memory.available: 90s, no.such: 90s}\n" } else { "" };
            let wrong = |key: &str, value: &str| {
                let mut found = Vec::new();
                let document = serde_yaml::from_str(&format!("{other}{}: {{{key}: {value}}}", map.key)).expect("YAML");
                deviations(&document, &mut found);
                found.retain(|found| found.place.contains(&map.key.to_owned()));
                found.len()
            };
            assert_eq!([wrong(map.keys[0], right), wrong(map.keys[0], "5x"), wrong("no.such", right)], [0, 1, 1], "{}", map.key);
        }
    }
}
