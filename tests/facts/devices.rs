//! What machines tell of their disks and graphics chips.

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

/// The kernel's files of a chip, and a device file, which only root could make: any character device stands in for it.
#[test]
fn a_render_node_is_told_with_its_numbers_and_its_chip() {
    let machine = Machine::new();
    machine.link("/dev/dri/renderD128", "/dev/null");
    machine.link("/dev/dri/renderD129", "/dev/zero");
    machine.file("/dev/dri/renderD130", "");
    machine.file("/sys/class/drm/renderD128/device/vendor", "0x8086\n");
    machine.file("/sys/class/drm/renderD128/device/device", "0x9a49\n");
    let nodes = machine.facts().render_nodes;
    let found: Vec<_> = nodes.iter().map(|node| (node.name.as_str(), node.major, node.minor, node.pci_text())).collect();
    assert_eq!(found, [("renderD128", 1, 3, "8086:9a49".to_owned()), ("renderD129", 1, 5, String::new())]);
}

/// The disk of a machine that may become a control plane is tried, and nothing is left of that.
#[test]
fn a_disk_is_tried_as_etcd_would_write_to_it() {
    let machine = Machine::new();
    let took = machine.facts().fsync.expect("this computer's dd says how long it took");
    assert!((1..3_000_000).contains(&took), "{took} us");
    assert_eq!(std::fs::read_dir(machine.root.path().join("var/lib")).expect("a folder").count(), 0);
    // The write at N takes N ms: of 0 to 99, 98 is the 99th.
    machine.program(
        "/opt/hostler/current/bin/dd",
        r#"for word; do case $word in seek=*) echo "2300 bytes (2.3 kB, 2.2 KiB) copied, ${word#seek=}e-03 s, 1 MB/s" >&2 ;; esac; done"#,
    );
    assert_eq!(machine.facts().fsync, Some(98_000));
    machine.program("/opt/hostler/current/bin/dd", "echo 'dd: invalid output flag: dsync' >&2; exit 1");
    assert_eq!(machine.facts().fsync, None);
    machine.file("/etc/kubernetes/kubelet.conf", "");
    machine.program("/opt/hostler/current/bin/dd", "exit 0");
    assert_eq!(machine.facts().fsync, None, "etcd may be at work there");
}

/// What is kept may be on several disks: on which is not found out, so it is not taken for being elsewhere.
#[test]
fn what_is_kept_on_a_pool_of_disks_is_told() {
    use std::os::unix::fs::FileTypeExt;
    let is_block = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_block_device());
    let Some(block) = std::fs::read_dir("/dev").expect("a folder").flatten().find(is_block) else {
        eprintln!("NOT RUN: there is no block device in /dev");
        return;
    };
    for (kind, is_told) in [
        ("zfs", true),
        ("bcachefs", true),
        ("fuse.mergerfs", true),
        ("overlay", true),
        ("fuse.sshfs", false),
        ("nfs4", false),
        ("tmpfs", false),
    ] {
        let machine = Machine::new();
        machine.file("/sys/block/sda/size", "1000\n");
        let findmnt = format!(
            "case $* in *'SOURCE --target /') echo {} ;; *FSTYPE*films) echo {kind} ;; *FSTYPE*) echo tmpfs ;; *) echo pool ;; esac",
            block.path().display()
        );
        machine.program("/opt/hostler/current/bin/findmnt", &findmnt);
        machine.program(
            "/opt/hostler/current/bin/lsblk",
            "case $* in *'--inverse --output TYPE,KNAME'*) echo 'disk sda' ;; *'--nodeps --output TYPE'*) echo part ;; esac",
        );
        let system = machine.facts().system.expect("it is on a disk");
        assert_eq!(system.unknown.contains("/var/lib/films"), is_told, "{kind}: {system:?}");
        assert!(system.erased.is_empty(), "{system:?}");
    }
}
