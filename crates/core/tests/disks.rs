//! Which disk of a machine is written to, for any disks: the wrong one never, and a refusal says which and why. `tests/planted` removes each
//! rule and sees this fail.

use hostler_core::install::content::{Content, HEAD, Partition, TAIL, of_disk};
use hostler_core::install::disk::{Bus, Disk, Refusal, Unfit, Wish, choose};
use hostler_core::install::layout::{self, installed_name};
use hostler_core::install::stick::{self, NoStick};
use hostler_core::inventory::DiskRule;
use proptest::prelude::*;

const GB: u64 = 1_000_000_000;
const SYSTEM: u64 = 64 * GB;

fn bus() -> impl Strategy<Value = Bus> {
    let all = [
        Bus::Nvme,
        Bus::Nvme,
        Bus::Nvme,
        Bus::Sata,
        Bus::Sata,
        Bus::Scsi,
        Bus::Virtio,
        Bus::Emmc,
        Bus::SdCard,
        Bus::Usb,
        Bus::Usb,
        Bus::Virtual,
        Bus::Unknown,
    ];
    prop::sample::select(all.to_vec())
}

fn content() -> impl Strategy<Value = Content> {
    let data = |array| Content::Data { parts: vec!["films".to_owned()], array };
    prop::sample::select(vec![
        Content::Empty,
        Content::Empty,
        Content::Empty,
        Content::Unfinished,
        Content::Installed { order: "0123456789abcdef".to_owned() },
        data(None),
        data(Some("a RAID array")),
        data(Some("a volume group of LVM")),
    ])
}

/// Few values, so that disks often have the same.
fn word(of: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    prop::option::weighted(0.8, prop::sample::select(of).prop_map(str::to_owned))
}

prop_compose! {
    fn disk()(
        bus in bus(),
        size in prop::sample::select(vec![0, GB, SYSTEM - 1, SYSTEM, 500 * GB]),
        // USB disks that say that they are fixed are the rule.
        removable in prop::bool::weighted(0.1),
        read_only in prop::bool::weighted(0.1),
        serial in word(&["S1", "S2", " S1 ", "0"]),
        wwid in word(&["eui.1", "eui.2"]),
        path in word(&["pci-1-nvme-1", "pci-2-ata-1"]),
        is_boot_medium in prop::bool::weighted(0.1),
        users in prop::collection::vec(Just("dm-0".to_owned()), 0..2),
        content in content(),
    ) -> Disk {
        let users = if content == Content::Empty { Vec::new() } else { users };
        Disk { name: String::new(), size, bus, removable, read_only, serial, wwid, path, is_boot_medium, users, content }
    }
}

/// Disks with names of their own.
fn disks() -> impl Strategy<Value = Vec<Disk>> {
    prop::collection::vec(disk(), 0..5).prop_map(|mut disks| {
        for (number, disk) in disks.iter_mut().enumerate() {
            disk.name = format!("disk{number}");
        }
        disks
    })
}

fn wish() -> impl Strategy<Value = Wish> {
    let rule = prop_oneof![
        3 => Just(DiskRule::Only),
        1 => prop::sample::select(vec!["S1", "S2", "S3"]).prop_map(|serial| DiskRule::Serial(serial.to_owned())),
        1 => prop::sample::select(vec!["eui.1", "eui.2"]).prop_map(|wwid| DiskRule::Wwid(wwid.to_owned())),
        1 => prop::sample::select(vec!["pci-1-nvme-1", "pci-2-ata-1"]).prop_map(|path| DiskRule::Path(path.to_owned())),
    ];
    (rule, any::<bool>()).prop_map(|(rule, wipe)| Wish { rule, system_size: SYSTEM, wipe })
}

/// Whether a person would count it among the disks of the machine.
fn is_built_in(disk: &Disk) -> bool {
    let soldered_or_plugged = matches!(disk.bus, Bus::Nvme | Bus::Sata | Bus::Scsi | Bus::Virtio | Bus::Emmc);
    soldered_or_plugged && !disk.removable && !disk.is_boot_medium && disk.size > 0
}

fn has(disk: &Disk, rule: &DiskRule) -> bool {
    let same = |own: &Option<String>, given: &str| own.as_deref().map(str::trim) == Some(given);
    match rule {
        DiskRule::Only => is_built_in(disk),
        DiskRule::Serial(serial) => same(&disk.serial, serial),
        DiskRule::Wwid(wwid) => same(&disk.wwid, wwid),
        DiskRule::Path(path) => same(&disk.path, path),
    }
}

/// Everything that makes it wrong to write to this one.
fn wrong(disk: &Disk, all: &[Disk], wish: &Wish) -> Vec<&'static str> {
    let holds_data = matches!(disk.content, Content::Data { .. } | Content::Installed { .. });
    let in_array = matches!(disk.content, Content::Data { array: Some(_), .. });
    let checks = [
        (disk.bus == Bus::Usb, "it is on USB"),
        (disk.is_boot_medium, "the installer was started from it"),
        (!is_built_in(disk), "it is not built in"),
        (disk.read_only, "it is read-only"),
        (disk.size < wish.system_size, "it is too small"),
        (!disk.users.is_empty(), "it is in use"),
        (holds_data && !wish.wipe, "it holds data"),
        (in_array && wish.rule == DiskRule::Only, "it belongs to an array, and was not named"),
        (!has(disk, &wish.rule), "it does not follow the rule"),
        (all.iter().filter(|other| has(other, &wish.rule)).count() > 1, "another follows the rule, too"),
    ];
    checks.into_iter().filter(|(wrong, _)| *wrong).map(|(_, why)| why).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_wrong_disk_is_ever_chosen_and_the_right_one_always(disks in disks(), wish in wish()) {
        let right: Vec<&str> = disks.iter().filter(|disk| wrong(disk, &disks, &wish).is_empty()).map(|disk| disk.name.as_str()).collect();
        match choose(&disks, &wish) {
            Ok(disk) => prop_assert_eq!(right, vec![disk.name.as_str()], "{:?}", wrong(disk, &disks, &wish)),
            Err(refusal) => prop_assert!(right.is_empty(), "{refusal}"),
        }
    }

    #[test]
    fn the_order_of_disks_does_not_matter(disks in disks(), wish in wish()) {
        let backwards: Vec<Disk> = disks.iter().rev().cloned().collect();
        let name = |disks: &[Disk]| choose(disks, &wish).map(|disk| disk.name.clone()).ok();
        prop_assert_eq!(name(&disks), name(&backwards));
    }

    /// A system is installed anew on the disk that it is on, or nowhere.
    #[test]
    fn a_disks_own_rule_leads_to_no_other_disk(disks in disks()) {
        for disk in &disks {
            let Some(rule) = disk.own_rule() else { continue };
            let chosen = choose(&disks, &Wish { rule, system_size: SYSTEM, wipe: true });
            prop_assert!(chosen.is_err() || chosen == Ok(disk), "{disk:?}: {chosen:?}");
        }
    }
}

fn built_in(name: &str) -> Disk {
    Disk {
        name: name.to_owned(),
        size: 500 * GB,
        bus: Bus::Nvme,
        removable: false,
        read_only: false,
        serial: Some("S1".to_owned()),
        wwid: Some("eui.1".to_owned()),
        path: Some("pci-1-nvme-1".to_owned()),
        is_boot_medium: false,
        users: Vec::new(),
        content: Content::Empty,
    }
}

#[test]
fn each_refusal_names_the_disk_and_what_to_do() {
    let data = |array| Content::Data { parts: vec!["partition `Basic data` (500 GB, NTFS)".to_owned()], array };
    let only = Wish { rule: DiskRule::Only, system_size: SYSTEM, wipe: false };
    let serial = Wish { rule: DiskRule::Serial("S1".to_owned()), ..only.clone() };
    let one = built_in("nvme0n1");
    let usb = Disk { bus: Bus::Usb, ..built_in("sda") };
    for (disks, wish, refusal, says) in [
        (vec![], &only, Refusal::NoDisk, "no built-in disk was found"),
        (vec![usb.clone()], &only, Refusal::NoDisk, "no built-in disk was found"),
        (
            vec![one.clone(), built_in("sda")],
            &only,
            Refusal::Several(vec!["nvme0n1".into(), "sda".into()]),
            "2 built-in disks (nvme0n1, sda)",
        ),
        (vec![], &serial, Refusal::NotFound(serial.rule.clone()), "no disk has serial S1"),
        (
            vec![one.clone(), usb.clone()],
            &serial,
            Refusal::Ambiguous(serial.rule.clone(), vec!["nvme0n1".into(), "sda".into()]),
            "nvme0n1 and sda both have serial S1",
        ),
        (vec![usb], &serial, Refusal::Unfit("sda".into(), Unfit::Usb), "a USB disk is never written to"),
        (vec![Disk { read_only: true, ..one.clone() }], &only, Refusal::ReadOnly("nvme0n1".into()), "nvme0n1 is read-only"),
        (
            vec![Disk { size: 32 * GB, ..one.clone() }],
            &only,
            Refusal::TooSmall("nvme0n1".into(), 32 * GB, SYSTEM),
            "nvme0n1 has only 32 GB",
        ),
        (
            vec![Disk { users: vec!["md0".into()], ..one.clone() }],
            &only,
            Refusal::InUse("nvme0n1".into(), vec!["md0".into()]),
            "nvme0n1 is in use by md0",
        ),
        (
            vec![Disk { content: data(Some("a RAID array")), ..one.clone() }],
            &only,
            Refusal::Member("nvme0n1".into(), "a RAID array".into()),
            "nvme0n1 belongs to a RAID array",
        ),
        (
            vec![Disk { content: data(None), ..one }],
            &only,
            Refusal::Holds("nvme0n1".into(), data(None)),
            "nvme0n1 holds data, partition `Basic data` (500 GB, NTFS)",
        ),
    ] {
        let refused = choose(&disks, wish).unwrap_err();
        assert_eq!(refused, refusal);
        assert!(refused.to_string().contains(says), "{refused}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The disk that was named, or none; and it is on USB, free, large enough, and holds nothing that was not given up.
    #[test]
    fn a_stick_is_written_to_no_other_disk(disks in disks(), number in 0..6_usize, erase in any::<bool>()) {
        let name = format!("disk{number}");
        let named = disks.iter().find(|disk| disk.name == name);
        let holds_data = |disk: &Disk| matches!(disk.content, Content::Data { .. } | Content::Installed { .. });
        let right = named.filter(|disk| {
            disk.bus == Bus::Usb && disk.size >= GB && !disk.read_only && disk.users.is_empty() && (erase || !holds_data(disk))
        });
        match stick::choose(&disks, &name, GB, erase) {
            Ok(disk) => prop_assert_eq!(Some(disk), right),
            Err(why) => prop_assert!(right.is_none(), "{why}"),
        }
    }
}

#[test]
fn what_is_no_stick_is_said_with_the_disks_that_are() {
    let stick = Disk {
        name: "sdb".to_owned(),
        size: 8 * GB,
        bus: Bus::Usb,
        removable: false,
        read_only: false,
        serial: None,
        wwid: None,
        path: None,
        is_boot_medium: false,
        users: Vec::new(),
        content: Content::Data { parts: vec!["films (exFAT)".to_owned()], array: None },
    };
    let built_in = Disk { name: "nvme0n1".to_owned(), bus: Bus::Nvme, ..stick.clone() };
    let said = |disks: &[Disk], name: &str| stick::choose(disks, name, GB, false).unwrap_err().to_string();
    let both = [built_in.clone(), stick.clone()];
    assert_eq!(said(&both, "sdb1"), "sdb1 is not a whole disk: the USB disks are /dev/sdb");
    assert_eq!(said(&[built_in], "sdb"), "sdb is not a whole disk, and this computer has no USB disk");
    assert_eq!(said(&both, "nvme0n1"), "nvme0n1 is not a USB stick (NVMe), so nothing is written to it");
    assert_eq!(said(&both, "sdb"), "sdb is not empty: it has films (exFAT)");
    assert_eq!(
        said(&[Disk { users: vec!["/media/ada".to_owned()], ..stick.clone() }], "sdb"),
        "sdb is in use (/media/ada): unmount it first"
    );
    assert!(matches!(stick::choose(&both, "sdb", 9 * GB, true), Err(NoStick::TooSmall(..))));
    assert_eq!(said(&[Disk { size: 0, ..stick.clone() }], "sdb"), "no medium is inserted in sdb");
    assert!(said(&[Disk { read_only: true, ..stick }], "sdb").starts_with("sdb is read-only"));
}

fn zeros() -> Vec<u8> {
    vec![0; HEAD.max(TAIL)]
}

fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut all = zeros();
    all[at..at + bytes.len()].copy_from_slice(bytes);
    all
}

/// What programs write, and where, as their documents and util-linux's libblkid have it: not taken from the table under test.
const WRITTEN: [(usize, &[u8], &str, Option<&str>); 27] = [
    (0, b"LUKS\xba\xbe\x00\x02", "LUKS", None),
    (0, b"XFSB\x00\x00\x10\x00", "XFS", None),
    (3, b"NTFS    \x00", "NTFS", None),
    (3, b"-FVE-FS-", "BitLocker", None),
    (3, b"EXFAT   \x00", "exFAT", None),
    (54, b"FAT12   ", "FAT", None),
    (54, b"FAT16   ", "FAT", None),
    (82, b"FAT32   ", "FAT", None),
    // `s_magic`, 56 bytes into a superblock that is at 1024.
    (1024 + 56, b"\x53\xef", "ext4", None),
    // The last ten bytes of a page.
    (4096 - 10, b"SWAPSPACE2", "swap", None),
    // The first volume descriptor is the 17th sector of 2048 bytes.
    (16 * 2048 + 1, b"CD001", "ISO 9660", None),
    (65536 + 64, b"_BHRfS_M", "Btrfs", None),
    (1024, b"\x10\x20\xf5\xf2", "F2FS", None),
    (0, b"BCFS", "bcachefs", None),
    (24, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81", "bcache", None),
    (1024, b"\xe2\xe1\xf5\xe0", "EROFS", None),
    // Version 1.1, and 1.2.
    (0, b"\xfc\x4e\x2b\xa9", "Linux RAID", Some("a RAID array")),
    (4096, b"\xfc\x4e\x2b\xa9", "Linux RAID", Some("a RAID array")),
    (0, b"LABELONE", "LVM", Some("an LVM volume group")),
    (512, b"LABELONE", "LVM", Some("an LVM volume group")),
    (1024, b"LABELONE", "LVM", Some("an LVM volume group")),
    (1536, b"LABELONE", "LVM", Some("an LVM volume group")),
    // The first uberblock of a pool, and the last one that its first label has, in either order of bytes.
    (128 << 10, b"\x0c\xb1\xba\x00\x00\x00\x00\x00", "ZFS", Some("a ZFS pool")),
    (255 << 10, b"\x0c\xb1\xba\x00\x00\x00\x00\x00", "ZFS", Some("a ZFS pool")),
    (128 << 10, b"\x00\x00\x00\x00\x00\xba\xb1\x0c", "ZFS", Some("a ZFS pool")),
    (255 << 10, b"\x00\x00\x00\x00\x00\xba\xb1\x0c", "ZFS", Some("a ZFS pool")),
    (131 << 10, b"\x0c\xb1\xba\x00\x00\x00\x00\x00", "ZFS", Some("a ZFS pool")),
];

/// The same at the end, in bytes from there: version 0.90, 1.0, and Intel's.
const WRITTEN_LAST: [(usize, &[u8], &str, &str); 3] = [
    (65536, b"\xfc\x4e\x2b\xa9", "Linux RAID", "a RAID array"),
    (8192, b"\xfc\x4e\x2b\xa9", "Linux RAID", "a RAID array"),
    (1024, b"Intel Raid ISM Cfg Sig. 1.3.00", "Intel RAID", "a firmware RAID array"),
];

#[test]
fn what_programs_write_is_known_on_a_disk_and_in_a_partition() {
    let (zeros, name) = (zeros(), "theirs");
    let heads = WRITTEN.map(|(at, bytes, kind, array)| (with(at, bytes), zeros.clone(), kind, array));
    let tails = WRITTEN_LAST.map(|(before, bytes, kind, array)| (zeros.clone(), with(TAIL - before, bytes), kind, Some(array)));
    for (head, tail, kind, array) in heads.into_iter().chain(tails) {
        let whole = of_disk(&head, &tail, None);
        assert_eq!((whole.to_string().as_str(), whole.array()), (kind, array));
        let partition = Partition { name, size: 500_000_000, head: &head, tail: &tail };
        let within = of_disk(&zeros, &zeros, Some(&[partition]));
        assert_eq!((within.to_string(), within.array()), (format!("partition `theirs` (500 MB, {kind})"), array));
        // Beside what hostler made, too, and below it: a whole disk of an array may look like one with partitions.
        let own = |name| Partition { name, size: GB, head: &zeros, tail: &zeros };
        let installed = installed_name("0123456789abcdef");
        let ours = [own(layout::ESP), own(&installed)];
        assert_eq!(of_disk(&zeros, &zeros, Some(&ours)), Content::Installed { order: "0123456789abcdef".to_owned() });
        let below = of_disk(&head, &tail, Some(&ours));
        assert!(matches!(below, Content::Data { .. }) && below.array() == array, "{kind}: {below:?}");
    }
}

/// Whatever is on a disk that is not known at all: each byte counts where something could begin.
#[test]
fn only_a_disk_of_zeros_is_empty_and_only_hostlers_own_is_its_own() {
    let zeros = zeros();
    assert_eq!(of_disk(&zeros, &zeros, None), Content::Empty);
    assert_eq!(of_disk(&zeros, &zeros, Some(&[])), Content::Empty);
    for at in [0, 511, 40_000, HEAD - 1] {
        assert!(of_disk(&with(at, b"x"), &zeros, None).is_data() && of_disk(&zeros, &with(at, b"x"), None).is_data(), "{at}");
    }
    assert!(of_disk(&with(HEAD / 2, b"x"), &zeros, Some(&[])).is_data(), "outside an empty table");
    assert!(of_disk(&zeros, &with(TAIL / 2, b"x"), Some(&[])).is_data(), "outside an empty table");
    let own = |name| Partition { name, size: GB, head: &zeros, tail: &zeros };
    let unfinished = [own(layout::ESP), own(layout::UNFINISHED), own(layout::DATA)];
    assert_eq!(of_disk(&zeros, &zeros, Some(&unfinished)), Content::Unfinished);
    let more = [unfinished.to_vec(), vec![own("photos")]].concat();
    assert!(of_disk(&zeros, &zeros, Some(&more)).is_data());
    assert!(of_disk(&zeros, &zeros, Some(&[own(layout::DATA)])).is_data());
}

/// The kernel pads serial numbers.
#[test]
fn a_serial_number_is_known_with_the_spaces_around_it() {
    let disk = Disk { serial: Some("  S1 ".to_owned()), ..built_in("sda") };
    let wish = Wish { rule: DiskRule::Serial("S1".to_owned()), system_size: SYSTEM, wipe: false };
    assert_eq!(choose(std::slice::from_ref(&disk), &wish), Ok(&disk));
}
