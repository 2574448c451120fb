//! `os`.

use super::forms::{BY_PATH, PUBLIC_KEY, SERIAL, SIZE, WWID};
use super::{Key, Kind, Rule, Section};

pub const OS_DISK: Key = Key {
    name: "disk",
    kind: Kind::Either(&[Kind::Word("the only disk", &["only"]), Kind::Object(&DISK)]),
    required: false,
    default: "`only`",
    doc: "The disk to install on. `only` is the one built-in disk; a machine with several built-in disks is refused. A USB disk is \
        never chosen.",
    example: "{ serial: S4EWNX0R123456 }",
};

pub static OS: Section = Section {
    what: "`os`",
    path: "os",
    doc: "Changes to these keys do not affect machines that are already installed. They apply to the next installation.",
    keys: &[
        Key {
            name: "release",
            kind: Kind::Choice(&[("trixie", "Debian 13")]),
            required: false,
            default: "`trixie`",
            doc: "The release of Debian.",
            example: "trixie",
        },
        OS_DISK,
        Key {
            name: "systemSize",
            kind: Kind::Text(&SIZE),
            required: false,
            default: "`64GB`",
            doc: "The part of the disk for the system, at least 16 GB. The rest becomes a data partition, mounted at /srv, which later installations keep.",
            example: "64GB",
        },
        Key {
            name: "authorizedKeys",
            kind: Kind::Filled(&Kind::List(&Kind::Text(&PUBLIC_KEY))),
            required: true,
            default: "",
            doc: "Public keys of the users who may log in, each as the line in a file like `~/.ssh/id_ed25519.pub`. Password login is \
                not possible.",
            example: "[ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1lfXZ0ajZUc6sVzpdXDKhNtDzhVFUaYjFk0j2kLhXh ada]",
        },
        Key {
            name: "updates",
            kind: Kind::Choice(&[("security", "Debian's security updates, daily"), ("none", "nothing; you update the machines")]),
            required: false,
            default: "`security`",
            doc: "Which updates the machine installs by itself.",
            example: "security",
        },
    ],
    rules: &[],
};

pub static DISK: Section = Section {
    what: "a rule for the disk",
    path: "os.disk",
    doc: "Exactly one of these keys. If the installer can't choose a disk, it shows their values for every disk of the machine.",
    keys: &[
        Key {
            name: "serial",
            kind: Kind::Scalar(&SERIAL),
            required: false,
            default: "",
            doc: "Its serial number.",
            example: "S4EWNX0R123456",
        },
        Key {
            name: "wwid",
            kind: Kind::Scalar(&WWID),
            required: false,
            default: "",
            doc: "Its worldwide name, as the disk's `wwid` file below /sys/block contains it.",
            example: "eui.0025385b01234567",
        },
        Key {
            name: "path",
            kind: Kind::Text(&BY_PATH),
            required: false,
            default: "",
            doc: "Where the disk is plugged in. hostler supports this only for NVMe and SATA disks.",
            example: "/dev/disk/by-path/pci-0000:01:00.0-nvme-1",
        },
    ],
    rules: &[Rule::One(&["serial", "wwid", "path"])],
};
