//! `os`.

use super::forms::{ADDRESS, BY_PATH, LAN_SUBNET, PUBLIC_KEY, SERIAL, SIZE, WWID};
use super::{Key, Kind, Rule, Section};
use crate::inventory::Release;

pub const OS_DISK: Key = Key {
    name: "disk",
    kind: Kind::Either(&[Kind::Word("the only disk", &["only"]), Kind::Object(&DISK)]),
    required: false,
    default: "`only`",
    doc: "The disk to install on. `only` is the one built-in disk; a machine with several built-in disks is refused. A USB disk is \
        never chosen.",
    example: "{ serial: S4EWNX0R123456 }",
};

/// Each release with what it is.
static RELEASES: [(&str, &str); Release::ALL.len()] = {
    let mut all = [("", ""); Release::ALL.len()];
    let mut at = 0;
    // `const` has no iterators.
    while at < all.len() {
        all[at] = (Release::ALL[at].codename(), Release::ALL[at].title());
        at += 1;
    }
    all
};

pub static OS: Section = Section {
    what: "`os`",
    path: "os",
    doc: "Changes to these keys do not affect machines that are already installed. They apply to the next installation; \
        `systemSize` only where no data partition is kept.",
    keys: &[
        Key {
            name: "release",
            kind: Kind::Choice(&RELEASES),
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
        Key {
            name: "network",
            kind: Kind::Either(&[Kind::Word("the router assigns addresses", &["dhcp"]), Kind::Object(&NETWORK)]),
            required: false,
            default: "`dhcp`",
            doc: "How a machine gets its address. With `dhcp`, reserve each machine's `address` for its MAC address in the router. With a \
                mapping, the installed system sets the `address` of its machine itself.",
            example: "{ subnet: 192.168.1.0/24, gateway: 192.168.1.1 }",
        },
    ],
    rules: &[],
};

pub static NETWORK: Section = Section {
    what: "`network`",
    path: "os.network",
    doc: "The network of the machines, for systems that set their own address.",
    keys: &[
        Key {
            name: "subnet",
            kind: Kind::Text(&LAN_SUBNET),
            required: true,
            default: "",
            doc: "The subnet, which must contain the address of every machine in the inventory.",
            example: "192.168.1.0/24",
        },
        Key {
            name: "gateway",
            kind: Kind::Text(&ADDRESS),
            required: true,
            default: "",
            doc: "The router's address in this subnet.",
            example: "192.168.1.1",
        },
        Key {
            name: "nameservers",
            kind: Kind::Filled(&Kind::List(&Kind::Text(&ADDRESS))),
            required: false,
            default: "the gateway",
            doc: "The addresses of DNS servers.",
            example: "[192.168.1.1]",
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
