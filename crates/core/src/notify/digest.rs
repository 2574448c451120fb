//! The weekly summary.

use super::Settings;
use crate::facts::{ClusterFacts, Facts};
use crate::trusted::by_itself;
use crate::visible::visible;
use crate::words::{counted, for_seconds, in_days};

const DAY: i64 = 24 * 60 * 60;

/// How many films are in which state, as the status page's metrics say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Films {
    pub done: u64,
    pub failed: u64,
    pub held: u64,
    pub queued: u64,
}

impl Films {
    /// `None`: these are no metrics of films.
    pub fn parse(metrics: &str) -> Option<Films> {
        let count = |state: &str| {
            let name = format!("hostler_transcode_films{{state=\"{state}\"}} ");
            metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok())
        };
        Some(Films { done: count("done")?, failed: count("failed")?, held: count("held")?, queued: count("queued")? })
    }

    /// `before`: how many were done at the last summary.
    fn text(self, before: Option<u64>) -> String {
        let Films { done, failed, held, queued } = self;
        let done = match before.and_then(|before| done.checked_sub(before)) {
            Some(new) => format!("{new} done since the last summary"),
            None => format!("{done} done"),
        };
        format!("films: {done}, {queued} queued, {failed} failed, {held} held")
    }
}

/// Machines, versions, snapshots and certificates, as the control plane with these facts sees them, and films, with how many were done at the last
/// summary. `None`: its API server does not answer.
pub fn digest(settings: &Settings, facts: &Facts, films: Option<(Films, Option<u64>)>) -> Option<String> {
    let cluster = by_itself(facts)?;
    let mut lines = vec![nodes(cluster)];
    let healthy = cluster.members.values().filter(|member| member.healthy).count();
    lines.push(format!("etcd: {healthy} of {} healthy", counted(cluster.members.len(), "member")));
    let name = &settings.machine;
    if settings.snapshots_every().is_some() {
        lines.push(match facts.snapshot {
            Some(taken) => format!("newest snapshot on {name}: {} old", for_seconds(facts.clock.saturating_sub(taken))),
            None => format!("no snapshot on {name}"),
        });
    }
    if let Some((certificate, ends)) = facts.kubernetes.certificates.iter().min_by_key(|(_, ends)| **ends) {
        let days = ends.saturating_sub(facts.clock).div_euclid(DAY);
        lines.push(format!("certificates of {name}: {} expires first, {}", visible(certificate), in_days(days)));
    }
    lines.extend(films.map(|(films, before)| films.text(before)));
    if let Some(due) = &facts.reboot_due {
        lines.push(format!("{name} has needed a reboot for {}", for_seconds(facts.clock.saturating_sub(due.since))));
    }
    Some(lines.join("\n"))
}

fn nodes(cluster: &ClusterFacts) -> String {
    let ready = cluster.nodes.values().filter(|node| node.ready).count();
    let each = cluster.nodes.iter().map(|(name, node)| {
        let state = if node.ready { "" } else { " (not Ready)" };
        format!("{name} {}{state}", visible(&node.version))
    });
    let each: Vec<String> = each.collect();
    format!("{ready} of {} Ready: {}", counted(cluster.nodes.len(), "node"), each.join(", "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::facts::{MemberFact, NodeFact};

    #[test]
    fn a_summary_has_what_there_is() {
        let text = r#"{"cluster": "home", "machine": "rarity", "url": "http://x", "heartbeat": null, "digest": true,
            "snapshots": {"to": "/var/backups/hostler", "every": 86400}}"#;
        let settings = Settings::parse(text.as_bytes()).expect("valid");
        let node = |ready| NodeFact { ready, version: "1.36.3".to_owned(), ..NodeFact::default() };
        let member = MemberFact { healthy: true, ..MemberFact::default() };
        let cluster = ClusterFacts {
            nodes: BTreeMap::from([("applejack".to_owned(), node(false)), ("rarity".to_owned(), node(true))]),
            members: BTreeMap::from([("1".to_owned(), member)]),
            ..ClusterFacts::default()
        };
        let mut facts = Facts { clock: 1_000_000, snapshot: Some(1_000_000 - 7200), cluster: Some(cluster), ..Facts::default() };
        facts.kubernetes.certificates = BTreeMap::from([("apiserver".to_owned(), 1_000_000 + 200 * DAY), ("ca".to_owned(), i64::MAX)]);
        let wanted = "1 of 2 nodes Ready: applejack 1.36.3 (not Ready), rarity 1.36.3\netcd: 1 of 1 member healthy\n\
            newest snapshot on rarity: 2 hours old\ncertificates of rarity: apiserver expires first, in 200 days";
        assert_eq!(digest(&settings, &facts, None).as_deref(), Some(wanted));
        assert_eq!(digest(&settings, &Facts::default(), None), None);
        let films = Films { done: 12, failed: 1, held: 0, queued: 3 };
        let text = digest(&settings, &facts, Some((films, Some(10)))).expect("a summary");
        assert!(text.ends_with("\nfilms: 2 done since the last summary, 3 queued, 1 failed, 0 held"), "{text}");
        assert_eq!(films.text(Some(13)), films.text(None), "films were forgotten");
    }

    #[test]
    fn films_are_counted_by_the_pages_metrics() {
        let states = [("working", 1), ("queued", 2), ("failed", 3), ("held", 4), ("done", 5)];
        let metrics: String =
            states.iter().map(|(state, count)| format!("hostler_transcode_films{{state=\"{state}\"}} {count}\n")).collect();
        assert_eq!(Films::parse(&metrics), Some(Films { done: 5, failed: 3, held: 4, queued: 2 }));
        assert_eq!(Films::parse("# HELP x\n"), None);
    }
}
