//! What a control plane tells of its snapshots' copies on a share.

use hostler_core::facts::OwnService;

use crate::Machine;

#[test]
fn a_machine_tells_which_snapshot_is_on_the_share() {
    let machine = Machine::new();
    machine.file("/etc/hostler/snapshot.sh", "");
    let told = |fails: bool| {
        services(&machine, &[("hostler-snapshot-copy", if fails { "failed" } else { "inactive" }, 1)]);
        let facts = machine.facts();
        (facts.snapshot_copied, facts.snapshot_copy_failed)
    };
    assert_eq!(told(true), (None, false), "there is no share");
    machine.file("/etc/hostler/snapshot-copy.sh", "");
    assert_eq!(told(true), (Some(0), true));
    machine.file("/var/lib/hostler/snapshot-copied", "home-20260301T120000Z.tar.gz nfs://nas/snapshots\n");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_772_366_400);
    let file = std::fs::File::options().write(true).open(machine.path("/var/lib/hostler/snapshot-copied")).expect("our own file");
    file.set_modified(time).expect("our own file");
    assert_eq!(told(false), (Some(1_772_366_400), false));
}

/// systemctl, which knows these services, their state, and since when they have ended.
fn services(machine: &Machine, known: &[(&str, &str, u32)]) {
    let known = known.iter().map(|(name, state, ended)| {
        format!("*{name}.service*) echo ActiveState={state}; echo InactiveEnterTimestampMonotonic={ended} ;;\n")
    });
    let known: String = known.collect();
    machine.program("/opt/hostler/current/bin/systemctl", &format!("case \"$*\" in\n{known}*) exit 1 ;;\nesac"));
}

/// What a service did last is known only after it has ended: while it is tried again, it has not failed, and is no success either.
#[test]
fn what_runs_has_neither_failed_nor_succeeded() {
    let machine = Machine::new();
    for file in ["/etc/hostler/snapshot.sh", "/etc/hostler/snapshot-copy.sh", "/etc/systemd/system/hostler-renewal.service"] {
        machine.file(file, "");
    }
    let names = ["hostler-renewal", "hostler-snapshot", "hostler-snapshot-copy"];
    let all: std::collections::BTreeSet<_> = [OwnService::Renewal, OwnService::Snapshot, OwnService::SnapshotCopy].into();
    for (state, ended, failed, undecided) in [
        ("failed", 5, true, false),
        ("inactive", 5, false, false),
        ("inactive", 0, false, true),
        ("activating", 5, false, true),
        ("activating", 0, false, true),
        ("deactivating", 5, false, true),
    ] {
        services(&machine, &names.map(|name| (name, state, ended)));
        let facts = machine.facts();
        let told = [facts.renewal_failed, facts.snapshot_failed, facts.snapshot_copy_failed];
        assert_eq!((told, facts.undecided == all, facts.undecided.is_empty()), ([failed; 3], undecided, !undecided), "{state} {ended}");
    }
    services(&machine, &[]);
    assert_eq!(machine.facts().undecided, all, "systemd does not answer");
}
