//! What a machine finds wrong with itself, and a control plane with the cluster.

use std::borrow::Cow;

use super::Settings;
use super::subject::Subject;
use crate::facts::{ClusterFacts, Facts, NodeFact, OwnService};
use crate::health::{Problem, has_enough_disk, own_problems};
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
/// Images that are pulled, and films that are encoded, fill a disk for minutes.
const FULL: i64 = 10 * 60;
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
    /// What this look can't tell although nothing needs to be wrong, by the first parts of keys: of those findings only what is
    /// [`there`](Seen::there) has ended.
    pub undecided: Vec<String>,
    /// What there is of nodes, members and disks, by the first parts of keys.
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
            key: Subject::Reboot.key(name.as_str(), ""),
            title: "a reboot is due",
            text: format!("{name} should be rebooted{by}; run `hostler reboot`"),
            over: ("a reboot is no longer due", format!("{name} no longer needs a reboot")),
            gone: None,
            lasts: 0,
            is_problem: false,
        });
    }
    match &facts.api_down {
        Some(reason) if !is_changing(facts) => {
            seen.findings.push(no_api(name, reason, facts.api_denied));
            // Whether it accepts writes, nobody could try.
            seen.unknown.push(format!("api/{name}/"));
        }
        None if !facts.kubernetes.control_plane || by_itself(facts).is_some() => {}
        _ => seen.unknown.push(Subject::Api.key(name.as_str(), "")),
    }
    seen.undecided = undecided(settings, facts);
    seen.there.extend(facts.disks.keys().map(|disk| format!("disk-fails/{disk}")));
    seen
}

fn no_api(name: &MachineName, reason: &str, denied: bool) -> Finding {
    let (title, what, title_over, over) = match denied {
        true => ("an API server denies access", "denies admin.conf access", "an API server grants access again", "grants access again"),
        false => ("an API server is down", "does not answer", "an API server is back", "answers again"),
    };
    Finding {
        key: Subject::Api.key(name.as_str(), ""),
        title,
        text: format!("the API server of {name} {what}: {}", shortened(&visible(reason), MOST_TEXT)),
        over: (title_over, format!("the API server of {name} {over}")),
        gone: None,
        lasts: DOWN,
        is_problem: true,
    }
}

/// As [`Seen::undecided`].
fn undecided(settings: &Settings, facts: &Facts) -> Vec<String> {
    let damaged = !facts.kubernetes.damaged.is_empty() || !facts.kubernetes.missing.is_empty();
    let runs = |service: OwnService| facts.undecided.contains(&service);
    let takes_none = settings.snapshots_every().is_none();
    let no_snapshot = facts.snapshot.is_none() || takes_none;
    let subjects = [
        (damaged, Subject::Certificate),
        (runs(OwnService::Renewal), Subject::Renewal),
        (!has_enough_disk(facts.disk_free, facts.disk_size), Subject::Disk),
        (runs(OwnService::Snapshot) || takes_none, Subject::Snapshot),
        (runs(OwnService::SnapshotCopy) || no_snapshot, Subject::SnapshotCopy),
        (no_snapshot, Subject::SnapshotAge),
    ];
    let mut keys: Vec<String> =
        subjects.iter().filter(|(is, _)| *is).map(|(_, subject)| subject.key(settings.machine.as_str(), "")).collect();
    // A disk that sleeps is not woken up, and one that has failed may no longer be there.
    keys.push("disk-fails/".to_owned());
    keys
}

/// The cluster takes no writes, so what was reported about it can't be kept: that is reported by the machine itself.
pub fn not_kept(settings: &Settings, error: &str) -> Finding {
    let name = &settings.machine;
    Finding {
        key: Subject::ApiWrite.key(name.as_str(), ""),
        title: "the cluster accepts no writes",
        text: format!("the API server of {name} does not accept writes: {}", shortened(&visible(error), MOST_TEXT)),
        over: ("the cluster accepts writes again", format!("the API server of {name} accepts writes again")),
        gone: None,
        lasts: DOWN,
        is_problem: true,
    }
}

/// Whether hostler changes the machine in a way that its API server may be down for: a step runs, or was interrupted.
fn is_changing(facts: &Facts) -> bool {
    let half = [InProgress::Wipe, InProgress::Restore, InProgress::Init, InProgress::Join];
    facts.lock.as_ref().is_some_and(|lock| lock.age(facts).is_some()) || half.iter().any(|mark| facts.in_progress.contains(mark))
}

fn about_itself(name: &MachineName, problem: &Problem) -> Option<Finding> {
    let mut part = String::new();
    let (subject, title, over): (Subject, _, Cow<'_, str>) = match problem {
        Problem::CertificateExpires { days, .. } => {
            let title = if *days < 0 { "a certificate has expired" } else { "a certificate expires soon" };
            (Subject::Certificate, title, "the certificates have been renewed".into())
        }
        Problem::RenewalFailed { .. } => (Subject::Renewal, "certificates can't be renewed", "certificates are being renewed again".into()),
        Problem::DiskLow { .. } => (Subject::Disk, "disk space is low", "there is enough disk space again".into()),
        Problem::DiskFails { disk, fault, .. } => {
            part = format!("{disk}/{}", fault.kind());
            let over = format!("disk {disk} no longer reports {}", fault.kind());
            (Subject::DiskFails, "a disk is failing", over.into())
        }
        Problem::SnapshotFailed { .. } => (Subject::Snapshot, "a snapshot failed", "snapshots are being taken again".into()),
        Problem::SnapshotNotCopied { .. } => {
            (Subject::SnapshotCopy, "snapshots are not being copied", "snapshots are being copied to the share again".into())
        }
        Problem::SnapshotOld { .. } | Problem::NoSnapshot => (Subject::SnapshotAge, "no recent snapshot", "there is a new snapshot".into()),
        _ => return None,
    };
    let text = problem.to_string();
    let names_it = text.contains(name.as_str());
    Some(Finding {
        key: subject.key(name.as_str(), &part),
        title,
        text: if names_it { text } else { of_machine(name.as_str(), &text) },
        over: ("a problem has ended", format!("{name}: {over}")),
        gone: None,
        lasts: match problem {
            Problem::SnapshotNotCopied { .. } => NOT_COPIED,
            Problem::DiskLow { .. } => FULL,
            _ => 0,
        },
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
                key: Subject::Pressure.key(name, condition),
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
            key: Subject::Member.key(id, ""),
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
        key: Subject::Node.key(name, ""),
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
    use crate::facts::{DiskFault, LockFact, MemberFact, RebootDue};
    use crate::notify::Ledger;
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

    /// Every kind of problem, and whether it has ended where nobody can know: what could not be read is never called well.
    #[test]
    fn what_can_t_be_read_has_not_ended() {
        let mut well = facts(&[("rarity", node(true)), ("applejack", node(true))]);
        well.kubernetes.control_plane = true;
        (well.disk_size, well.disk_free) = (100, 50);
        well.disks.insert("sda".to_owned(), Vec::new());
        well.disks.insert("sdb".to_owned(), Vec::new());
        well.snapshot_copied = well.snapshot;
        well.snapshots_since = Some(well.clock - 60);
        let now = well.clock;
        type Change = fn(&mut Facts);
        // How it is when it is reported, and in which ways nobody can tell.
        let cases = |subject: Subject| -> (Change, Vec<Change>) {
            match subject {
                Subject::Certificate => (
                    |facts| {
                        facts.kubernetes.certificates.insert("apiserver".to_owned(), facts.clock + 86_400);
                    },
                    vec![|facts| facts.kubernetes.damaged.push("/etc/kubernetes/pki/apiserver.crt".to_owned()), |facts| {
                        facts.kubernetes.missing.push("/etc/kubernetes/pki/apiserver.crt".to_owned())
                    }],
                ),
                Subject::Renewal => (
                    |facts| facts.renewal_failed = true,
                    vec![|facts| {
                        facts.undecided.insert(OwnService::Renewal);
                    }],
                ),
                Subject::Disk => ((|facts| facts.disk_free = 5), vec![|facts| (facts.disk_size, facts.disk_free) = (0, 0)]),
                Subject::DiskFails => (
                    |facts| drop(facts.disks.insert("sda".to_owned(), vec![DiskFault::Failing])),
                    vec![
                        // It sleeps, or is no longer there.
                        |facts| drop(facts.disks.remove("sda")),
                        |facts| facts.disks.clear(),
                    ],
                ),
                Subject::Snapshot => (
                    |facts| facts.snapshot_failed = true,
                    vec![|facts| {
                        facts.undecided.insert(OwnService::Snapshot);
                    }],
                ),
                Subject::SnapshotCopy => (
                    |facts| (facts.snapshot_copied, facts.snapshot_copy_failed) = (Some(0), true),
                    vec![
                        |facts| {
                            facts.snapshot_copied = Some(0);
                            facts.snapshot = Some(facts.clock - 60);
                            facts.undecided.insert(OwnService::SnapshotCopy);
                        },
                        |facts| (facts.snapshot, facts.snapshots_unread) = (None, true),
                    ],
                ),
                Subject::SnapshotAge => (
                    |facts| facts.snapshot = Some(facts.clock - 10 * 86_400),
                    vec![|facts| facts.snapshot = None, |facts| (facts.snapshot, facts.snapshots_unread) = (None, true)],
                ),
                // It is as files of the machine's own are.
                Subject::Reboot => (|facts| facts.reboot_due = Some(RebootDue { since: 0, by: String::new() }), vec![]),
                Subject::Api => (
                    |facts| {
                        facts.api_down = Some("connection refused".to_owned());
                        facts.forget_cluster();
                    },
                    // Its manifest is not there, so nobody asked it.
                    vec![Facts::forget_cluster, |facts| {
                        facts.api_down = Some("connection refused".to_owned());
                        facts.lock = Some(LockFact { since: facts.clock - 5, ..LockFact::default() });
                        facts.forget_cluster();
                    }],
                ),
                Subject::ApiWrite => (
                    |_| {},
                    vec![Facts::forget_cluster, |facts| {
                        facts.api_down = Some("connection refused".to_owned());
                        facts.forget_cluster();
                    }],
                ),
                Subject::Node => (
                    |facts| facts.change_cluster(|cluster| cluster.nodes.get_mut("applejack").expect("a node").ready = false),
                    vec![Facts::forget_cluster],
                ),
                Subject::Pressure => (
                    |facts| {
                        facts.change_cluster(|cluster| {
                            let node = cluster.nodes.get_mut("applejack").expect("a node");
                            node.pressures.insert("DiskPressure".to_owned(), String::new());
                        });
                    },
                    vec![Facts::forget_cluster, |facts| {
                        facts.change_cluster(|cluster| cluster.nodes.get_mut("applejack").expect("a node").ready = false);
                    }],
                ),
                Subject::Member => (
                    |facts| facts.change_cluster(|cluster| cluster.members.get_mut("1").expect("a member").healthy = false),
                    vec![Facts::forget_cluster, |facts| facts.change_cluster(|cluster| cluster.members.clear())],
                ),
            }
        };
        let both = |facts: &Facts| {
            let mut seen = look(Scope::Own, &settings(), facts);
            let cluster = look(Scope::Cluster, &settings(), facts);
            seen.findings.extend(cluster.findings);
            seen.unknown.extend(cluster.unknown);
            seen.undecided.extend(cluster.undecided);
            seen.there.extend(cluster.there);
            seen
        };
        let mut wrong = Vec::new();
        for subject in Subject::ALL {
            let (report, unreadable) = cases(subject);
            for (number, unread) in unreadable.into_iter().map(Some).chain([None]).enumerate() {
                let (mut bad, mut then) = (well.clone(), well.clone());
                report(&mut bad);
                let mut seen = both(&bad);
                if subject == Subject::ApiWrite {
                    seen.findings.push(not_kept(&settings(), "no space"));
                }
                let mut ledger = Ledger::default();
                for look in 0..20 {
                    ledger.note(&seen, now + look * 120);
                }
                let told = std::iter::from_fn(|| ledger.next(now).inspect(|_| ledger.sent())).count();
                assert_eq!(told, 1, "{subject:?} is reported");
                if let Some(unread) = unread {
                    unread(&mut then);
                }
                ledger.note(&both(&then), now + 2520);
                let over = ledger.next(now + 2520).filter(|message| message.text.contains("after"));
                if over.is_some() != unread.is_none() {
                    wrong.push(format!("{subject:?} {number}: {over:?}"));
                }
            }
        }
        assert_eq!(wrong, [""; 0]);
    }

    /// Images come and go, and logs are rotated: free space that hovers around the limit is one message, and one when it has ended.
    #[test]
    fn a_disk_that_hovers_around_the_limit_is_reported_once() {
        let mut ledger = Ledger::default();
        let mut told = Vec::new();
        let hour = [14, 14, 16, 14, 15, 14].repeat(5);
        // Full for some minutes, while images are pulled; then hovering; then little more than that; then not.
        for (minute, free) in [20, 10, 10, 10, 10, 20].iter().chain(&hour).chain(&[17, 14, 17, 17, 18, 19, 30, 20]).enumerate() {
            let mut facts = facts(&[("rarity", node(true))]);
            (facts.disk_size, facts.disk_free) = (100, *free);
            ledger.note(&look(Scope::Own, &settings(), &facts), minute as i64 * 120);
            while let Some(message) = ledger.next(minute as i64 * 120) {
                told.push((minute, message.title));
                ledger.sent();
            }
        }
        assert_eq!(told, [(11, "disk space is low".to_owned()), (41, "a problem has ended".to_owned())]);
    }
}
