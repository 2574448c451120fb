//! What a machine finds wrong with itself, and a control plane with the cluster.

use std::borrow::Cow;

use super::Settings;
use crate::facts::{ClusterFacts, Facts, NodeFact};
use crate::health::{Problem, own_problems};
use crate::inventory::MachineName;
use crate::plan::power::{PowerChange, PowerRecord};
use crate::record::InProgress;
use crate::trusted::by_itself;
use crate::visible::{shortened, visible};
use crate::words::of_machine;

/// Seconds for which a problem must last before it is reported: what passes by itself is not worth a message. A node counts as not Ready when its
/// kubelet has not reported for about 50 seconds.
const LOST: i64 = 3 * 60;
/// An API server or a member of etcd that restarts, on a slow machine.
const DOWN: i64 = 5 * 60;
/// What hostler itself has drained: a reboot or an upgrade that takes longer has failed.
const IN_TURN: i64 = 20 * 60;
/// A server that is restarted: what was not copied is tried again every ten minutes.
const NOT_COPIED: i64 = 30 * 60;
/// The longest text of another program in a message, in characters.
const MOST_TEXT: usize = 300;

/// Of what a look is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The machine that looks.
    Own,
    /// Nodes and etcd.
    Cluster,
}

/// Something that is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The same as long as it lasts, however its text changes: `node/rarity`.
    pub key: String,
    /// Of the message: ASCII.
    pub title: &'static str,
    pub text: String,
    /// The title and the text when it has ended.
    pub over: (&'static str, String),
    /// The text when what it is about is no longer there.
    pub gone: Option<String>,
    /// Seconds that it must last.
    pub lasts: i64,
    /// Whether the cluster is not well with it.
    pub is_problem: bool,
}

/// The result of a look.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    pub findings: Vec<Finding>,
    /// What could not be looked at, by the first parts of keys: of those findings nothing is known.
    pub unknown: Vec<String>,
    /// What there is of nodes and members, by the first parts of keys.
    pub there: Vec<String>,
}

impl Seen {
    /// Whether all was looked at, and nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.unknown.is_empty() && self.findings.iter().all(|finding| !finding.is_problem)
    }
}

/// What `facts` of the machine itself have of this scope.
pub fn look(scope: Scope, settings: &Settings, facts: &Facts) -> Seen {
    match scope {
        Scope::Own => own(settings, facts),
        Scope::Cluster => by_itself(facts).map_or_else(nothing, cluster),
    }
}

/// No API server answers.
fn nothing() -> Seen {
    Seen { unknown: ["node/", "member/"].map(str::to_owned).into(), ..Seen::default() }
}

fn own(settings: &Settings, facts: &Facts) -> Seen {
    let name = &settings.machine;
    let mut seen = Seen::default();
    for problem in own_problems(name, facts, settings.snapshots_every()) {
        seen.findings.extend(about_itself(name, &problem));
    }
    if let Some(due) = &facts.reboot_due {
        let by = match due.by.is_empty() {
            true => String::new(),
            false => format!(" because of new packages ({})", shortened(&visible(&due.by), MOST_TEXT)),
        };
        seen.findings.push(Finding {
            key: format!("reboot/{name}"),
            title: "a reboot is due",
            text: format!("{name} should be rebooted{by}; run `hostler reboot`"),
            over: ("a reboot is no longer due", format!("{name} no longer needs a reboot")),
            gone: None,
            lasts: 0,
            is_problem: false,
        });
    }
    if let Some(reason) = &facts.api_down {
        if is_changing(facts) {
            seen.unknown.push(format!("api/{name}"));
        } else {
            let (title, what) = match facts.api_denied {
                true => ("an API server denies access", "denies admin.conf access"),
                false => ("an API server is down", "does not answer"),
            };
            let (title_over, over) = match facts.api_denied {
                true => ("an API server grants access again", "grants access again"),
                false => ("an API server is back", "answers again"),
            };
            seen.findings.push(Finding {
                key: format!("api/{name}"),
                title,
                text: format!("the API server of {name} {what}: {}", shortened(&visible(reason), MOST_TEXT)),
                over: (title_over, format!("the API server of {name} {over}")),
                gone: None,
                lasts: DOWN,
                is_problem: true,
            });
        }
    }
    seen
}

/// Whether hostler changes the machine in a way that its API server may be down for: a step runs, or was interrupted.
fn is_changing(facts: &Facts) -> bool {
    let half = [InProgress::Wipe, InProgress::Restore, InProgress::Init, InProgress::Join];
    facts.lock.as_ref().is_some_and(|lock| lock.age(facts).is_some()) || half.iter().any(|mark| facts.in_progress.contains(mark))
}

fn about_itself(name: &MachineName, problem: &Problem) -> Option<Finding> {
    let (key, title, over): (String, _, Cow<'_, str>) = match problem {
        Problem::CertificateExpires { days, .. } => {
            let title = if *days < 0 { "a certificate has expired" } else { "a certificate expires soon" };
            ("certificate".to_owned(), title, "the certificates have been renewed".into())
        }
        Problem::RenewalFailed { .. } => {
            ("renewal".to_owned(), "certificates can't be renewed", "certificates are being renewed again".into())
        }
        Problem::DiskLow { .. } => ("disk".to_owned(), "disk space is low", "there is enough disk space again".into()),
        Problem::DiskFails { disk, fault, .. } => {
            // Without its number, which grows.
            let debug = format!("{fault:?}");
            let kind = debug.split('(').next().unwrap_or_default();
            let over = format!("disk {disk} no longer reports {}", fault.kind());
            (format!("disk-fails/{disk}/{kind}"), "a disk is failing", over.into())
        }
        Problem::SnapshotFailed { .. } => ("snapshot".to_owned(), "a snapshot failed", "snapshots are being taken again".into()),
        Problem::SnapshotNotCopied { .. } => {
            ("snapshot-copy".to_owned(), "snapshots are not being copied", "snapshots are being copied to the share again".into())
        }
        Problem::SnapshotOld { .. } | Problem::NoSnapshot => {
            ("snapshot-age".to_owned(), "no recent snapshot", "there is a new snapshot".into())
        }
        _ => return None,
    };
    let text = problem.to_string();
    let names_it = text.contains(name.as_str());
    Some(Finding {
        key: format!("{key}/{name}"),
        title,
        text: if names_it { text } else { of_machine(name.as_str(), &text) },
        over: ("a problem has ended", format!("{name}: {over}")),
        gone: None,
        lasts: if matches!(problem, Problem::SnapshotNotCopied { .. }) { NOT_COPIED } else { 0 },
        is_problem: true,
    })
}

fn cluster(cluster: &ClusterFacts) -> Seen {
    let mut seen = Seen::default();
    for (name, node) in &cluster.nodes {
        seen.there.push(format!("node/{name}"));
        let record = MachineName::new(name).and_then(|name| PowerRecord::of(cluster, &name));
        // Once a machine has started again, what it was shut down for explains no absence.
        let record = record.filter(|record| record.change() == PowerChange::Reboot || record.boot.starts_with(&node.boot));
        match record.map(|record| record.change()) {
            _ if node.ready => {}
            // hostler turned it off.
            Some(PowerChange::Shutdown) => seen.unknown.push(format!("node/{name}")),
            change => {
                seen.findings.push(lost(name, node, change));
                // Its kubelet does not say what it has too little of.
                seen.unknown.push(format!("node/{name}/"));
            }
        }
        for (condition, message) in node.pressures.iter().filter(|_| node.ready) {
            let problem = Problem::Pressure { node: name.clone(), condition: condition.clone(), message: shortened(message, MOST_TEXT) };
            seen.findings.push(Finding {
                key: format!("node/{name}/{condition}"),
                title: "a node reports a problem",
                text: visible(&problem.to_string()).into_owned(),
                over: ("a node no longer reports a problem", format!("node {name} no longer has {condition}")),
                gone: Some(removed(name)),
                lasts: LOST,
                is_problem: true,
            });
        }
    }
    if cluster.members.is_empty() {
        seen.unknown.push("member/".to_owned());
    }
    seen.there.extend(cluster.members.keys().map(|id| format!("member/{id}")));
    for (id, member) in cluster.members.iter().filter(|(_, member)| !member.healthy) {
        let error = shortened(&visible(&member.error), MOST_TEXT);
        let called = visible(member.called()).into_owned();
        seen.findings.push(Finding {
            key: format!("member/{id}"),
            title: "an etcd member is unhealthy",
            text: Problem::MemberUnhealthy { member: called.clone(), error }.to_string(),
            over: ("an etcd member is healthy again", format!("etcd member {called} is healthy again")),
            gone: Some(format!("etcd member {called} was removed")),
            lasts: DOWN,
            is_problem: true,
        });
    }
    seen
}

fn removed(node: &str) -> String {
    format!("node {node} was removed")
}

/// A machine whose kubelet does not report. `change`: what hostler does with it.
fn lost(name: &str, node: &NodeFact, change: Option<PowerChange>) -> Finding {
    let message = visible(&node.message).into_owned();
    let why = if message.is_empty() { String::new() } else { format!(": {}", shortened(&message, MOST_TEXT)) };
    Finding {
        key: format!("node/{name}"),
        title: "a node is not Ready",
        text: format!("node {name} is not Ready{why}"),
        over: ("a node is Ready again", format!("node {name} is Ready again")),
        gone: Some(removed(name)),
        lasts: if node.cordoned_by_hostler || change.is_some() { IN_TURN } else { LOST },
        is_problem: true,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::facts::{LockFact, MemberFact, RebootDue};
    use crate::record::Record;

    fn settings() -> Settings {
        let text = r#"{"cluster": "home", "machine": "rarity", "url": "http://x", "heartbeat": null, "digest": false,
            "snapshots": {"to": "/var/backups/hostler", "every": 86400}}"#;
        Settings::parse(text.as_bytes()).expect("valid")
    }

    fn node(ready: bool) -> NodeFact {
        NodeFact { ready, message: "Kubelet stopped posting node status.".to_owned(), ..NodeFact::default() }
    }

    fn facts(nodes: &[(&str, NodeFact)]) -> Facts {
        let member = MemberFact { name: "rarity".to_owned(), healthy: true, ..MemberFact::default() };
        let cluster = ClusterFacts {
            nodes: nodes.iter().map(|(name, node)| ((*name).to_owned(), node.clone())).collect(),
            members: BTreeMap::from([("1".to_owned(), member)]),
            ..ClusterFacts::default()
        };
        Facts { clock: 10_000_000, cluster: Some(cluster), snapshot: Some(10_000_000 - 3600), ..Facts::default() }
    }

    fn found(scope: Scope, facts: &Facts) -> Vec<(String, i64)> {
        look(scope, &settings(), facts).findings.into_iter().map(|finding| (finding.text, finding.lasts)).collect()
    }

    #[test]
    fn a_machine_that_hostler_turned_off_is_not_lost() {
        let mut facts = facts(&[("rarity", node(true)), ("applejack", node(false))]);
        let text = "node applejack is not Ready: Kubelet stopped posting node status.".to_owned();
        assert_eq!(found(Scope::Cluster, &facts), [(text.clone(), LOST)]);
        facts.change_cluster(|cluster| cluster.nodes.get_mut("applejack").expect("a node").cordoned_by_hostler = true);
        assert_eq!(found(Scope::Cluster, &facts), [(text.clone(), IN_TURN)]);
        for (change, found_then) in [("reboot 5d0c-1", Some(IN_TURN)), ("shutdown 5d0c-1", None)] {
            let name = MachineName::new("applejack").expect("a name");
            facts.change_cluster(|cluster| drop(cluster.record.insert(Record::Power(name), change.to_owned())));
            assert_eq!(found(Scope::Cluster, &facts).first().map(|(_, lasts)| *lasts), found_then, "{change}");
        }
        // It has been started since, and is lost later.
        for (boot, lasts) in [("5d0c", None), ("7e1d", Some(IN_TURN))] {
            facts.change_cluster(|cluster| cluster.nodes.get_mut("applejack").expect("a node").boot = boot.to_owned());
            assert_eq!(found(Scope::Cluster, &facts).first().map(|(_, lasts)| *lasts), lasts, "{boot}");
        }
    }

    #[test]
    fn a_look_that_is_not_complete_is_not_well() {
        let well = facts(&[("rarity", node(true))]);
        assert!(look(Scope::Cluster, &settings(), &well).is_well() && look(Scope::Own, &settings(), &well).is_well());
        let mut facts = well.clone();
        facts.change_cluster(|cluster| cluster.members.clear());
        assert!(!look(Scope::Cluster, &settings(), &facts).is_well());
        facts.forget_cluster();
        assert_eq!(look(Scope::Cluster, &settings(), &facts), nothing());
        let member = MemberFact { name: "applejack".to_owned(), error: "Active Alarm(s): NOSPACE".to_owned(), ..MemberFact::default() };
        let mut facts = well;
        facts.change_cluster(|cluster| drop(cluster.members.insert("2".to_owned(), member)));
        assert_eq!(found(Scope::Cluster, &facts), [("etcd member applejack is unhealthy: Active Alarm(s): NOSPACE".to_owned(), DOWN)]);
    }

    #[test]
    fn a_machine_reports_about_itself() {
        let mut facts = facts(&[("rarity", node(true))]);
        facts.reboot_due = Some(RebootDue { since: 0, by: "linux-image-6.12".to_owned() });
        assert!(look(Scope::Own, &settings(), &facts).is_well(), "it runs well until then");
        (facts.disk_size, facts.disk_free) = (100, 10);
        facts.snapshot_failed = true;
        facts.snapshot = Some(facts.clock - 3 * 86_400);
        facts.kubernetes.control_plane = true;
        facts.kubernetes.certificates.insert("apiserver".to_owned(), facts.clock + 5 * 86_400);
        let texts: Vec<String> = found(Scope::Own, &facts).into_iter().map(|(text, _)| text).collect();
        let wanted = [
            "the apiserver certificate of rarity expires in 5 days",
            "rarity: only 10% of the disk is free; below 15%, kubelet may evict pods",
            "the last snapshot on rarity failed: `journalctl -u hostler-snapshot` on that machine shows why",
            "rarity: the newest snapshot is 3 days old",
            "rarity should be rebooted because of new packages (linux-image-6.12); run `hostler reboot`",
        ];
        assert_eq!(texts, wanted);
    }

    #[test]
    fn a_share_without_the_newest_snapshot_is_reported_if_that_lasts() {
        let mut facts = facts(&[("rarity", node(true))]);
        let newest = facts.clock - 3600;
        let text = |what: &str| format!("{what}: `journalctl -u hostler-snapshot-copy` on that machine shows why");
        facts.snapshot_copied = Some(0);
        assert_eq!(found(Scope::Own, &facts), [(text("no snapshot on rarity has been copied to the share yet"), NOT_COPIED)]);
        facts.snapshot_copied = Some(newest - 86_400);
        let behind = "the newest snapshot on rarity has not been copied to the share, where the newest copy is 1 day old";
        assert_eq!(found(Scope::Own, &facts), [(text(behind), NOT_COPIED)]);
        facts.snapshot_copied = Some(newest);
        facts.snapshot_copy_failed = true;
        assert_eq!(found(Scope::Own, &facts), []);
        // It was just taken.
        (facts.snapshot, facts.snapshot_copy_failed) = (Some(facts.clock - 60), false);
        assert_eq!(found(Scope::Own, &facts), []);
        facts.snapshot_copy_failed = true;
        assert_eq!(found(Scope::Own, &facts).len(), 1);
    }

    #[test]
    fn an_api_server_that_hostler_restarts_is_not_reported() {
        let mut facts = Facts { clock: 1000, api_down: Some("connection refused".to_owned()), ..Facts::default() };
        let text = "the API server of rarity does not answer: connection refused".to_owned();
        let down = |facts: &Facts| found(Scope::Own, facts).contains(&(text.clone(), DOWN));
        assert!(down(&facts));
        facts.lock = Some(LockFact { since: 990, ..LockFact::default() });
        assert!(!down(&facts) && !look(Scope::Own, &settings(), &facts).is_well());
    }
}
