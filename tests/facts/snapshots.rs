//! What a control plane tells of its snapshots' copies on a share.

use crate::Machine;

#[test]
fn a_machine_tells_which_snapshot_is_on_the_share() {
    let machine = Machine::new();
    machine.file("/etc/hostler/snapshot.sh", "");
    let told = |fails: bool| {
        let failed = if fails { "*hostler-snapshot-copy*" } else { "none" };
        machine.program("/opt/hostler/current/bin/systemctl", &format!("case \"$*\" in is-failed*{failed}) exit 0 ;; *) exit 1 ;; esac"));
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
