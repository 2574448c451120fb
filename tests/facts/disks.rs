//! What machines tell of their disks.

use hostler_core::facts::DiskFault;

use crate::Machine;

/// Only real disks are asked; one that says nothing of its health, or no JSON, is not among them.
#[test]
fn disks_are_asked_for_their_health() {
    let machine = Machine::new();
    for disk in ["nvme0n1", "sda", "sdb", "loop0", "dm-0", "zram0"] {
        machine.folder(&format!("/sys/block/{disk}"));
    }
    assert!(machine.facts().disks.is_empty(), "without smartctl nothing is known");
    machine.program(
        "/opt/hostler/current/bin/smartctl",
        r#"case $* in
        '--json=c -n standby -H -A /dev/nvme0n1') echo '{"nvme_smart_health_information_log":
            {"critical_warning":0,"percentage_used":91}}' ;;
        *sda) echo '{"smart_status":{"passed":true}}' ;;
        *sdb) echo '{"smartctl":{"exit_status":2}}'; exit 2 ;;
        *) echo '{"smart_status":{"passed":false}}' ;;
        esac"#,
    );
    let disks = machine.facts().disks;
    assert_eq!(disks.into_iter().collect::<Vec<_>>(), [("nvme0n1".to_owned(), vec![DiskFault::Worn(91)]), ("sda".to_owned(), vec![])]);
}
