//! `os`.

use super::forms::{BY_PATH, PUBLIC_KEY, SERIAL, SIZE, WWID};
use super::{Key, Kind, Rule, Section};

pub const OS_DISK: Key = Key {
    name: "disk",
    kind: Kind::Either(&[Kind::Word("the only disk", &["only"]), Kind::Object(&DISK)]),
    required: false,
    default: "`only`",
    doc: "Which disk is written to: `only` is the one built-in disk, and a machine with two is refused. A USB disk is never chosen.",
    example: "{ serial: S4EWNX0R123456 }",
};

pub static OS: Section = Section {
    what: "`os`",
    path: "os",
    doc: "Machines that run already do not follow changes of these keys; they apply to the next installation.",
    keys: &[
        Key {
            name: "release",
            kind: Kind::Choice(&[("trixie", "Debian 13")]),
            required: false,
            default: "`trixie`",
            doc: "Debian's release.",
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
            doc: "Public keys of those who may log in, as lines of a file like `~/.ssh/id_ed25519.pub`. There is no password.",
            example: "[ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1lfXZ0ajZUc6sVzpdXDKhNtDzhVFUaYjFk0j2kLhXh ada]",
        },
        Key {
            name: "updates",
            kind: Kind::Choice(&[("security", "Debian's security updates, daily"), ("none", "nothing; you update the machines")]),
            required: false,
            default: "`security`",
            doc: "What the machine installs by itself.",
            example: "security",
        },
    ],
    rules: &[],
};

pub static DISK: Section = Section {
    what: "a rule for the disk",
    path: "os.disk",
    doc: "One of these. The installer shows them for every disk of a machine that it can't decide about.",
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
            doc: "Its worldwide name, as in the file `wwid` of its folder in /sys/block.",
            example: "eui.0025385b01234567",
        },
        Key {
            name: "path",
            kind: Kind::Text(&BY_PATH),
            required: false,
            default: "",
            doc: "Where it is plugged in: NVMe and SATA only.",
            example: "/dev/disk/by-path/pci-0000:01:00.0-nvme-1",
        },
    ],
    rules: &[Rule::One(&["serial", "wwid", "path"])],
};
