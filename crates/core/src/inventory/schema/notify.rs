//! `notify`.

use super::forms::URL;
use super::{Key, Kind, Section};

pub static NOTIFY: Section = Section {
    what: "`notify`",
    path: "notify",
    doc: "Each machine reports about itself: disks, certificates, snapshots, a due reboot. One control plane at a time reports about the \
        nodes and etcd. Problems are reported when they begin and when they end. Addresses are secrets: on machines only root can read \
        them, and the inventory that the cluster keeps is without them.",
    keys: &[
        Key {
            name: "url",
            kind: Kind::Text(&URL),
            required: true,
            default: "",
            doc: "The URL of an ntfy topic or a webhook. It gets a POST with the text as its body, and a header `Title`.",
            example: "https://ntfy.sh/ponies-8f2c",
        },
        Key {
            name: "heartbeat",
            kind: Kind::Text(&URL),
            required: false,
            default: "none",
            doc: "A URL that a control plane requests every two minutes while all that it can see is well, such as a check of \
                healthchecks.io. Its silence reports what no machine can: that all of them are off.",
            example: "https://hc-ping.com/6a1c8f2e",
        },
        Key {
            name: "digest",
            kind: Kind::Choice(&[("weekly", "once a week"), ("never", "only problems are reported")]),
            required: false,
            default: "`never`",
            doc: "A summary of machines, versions, snapshots, certificates and films. The first is sent at once.",
            example: "weekly",
        },
    ],
    rules: &[],
};
