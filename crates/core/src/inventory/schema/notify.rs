//! `notify`.

use super::forms::URL;
use super::{Key, Kind, Section};

pub static NOTIFY: Section = Section {
    what: "`notify`",
    path: "notify",
    doc: "Each machine reports about itself: disks, certificates, snapshots, a due reboot. One control plane at a time reports about the \
        nodes and etcd. Problems are reported when they begin and when they end. The URLs are secrets: on the machines, only root can read \
        them, and the cluster's copy of the inventory does not contain them.",
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
            doc: "A URL that a control plane requests every two minutes as long as it sees no problem, such as a check of healthchecks.io. \
                When the requests stop, the check reports what no machine can: that all machines are off.",
            example: "https://hc-ping.com/6a1c8f2e",
        },
        Key {
            name: "digest",
            kind: Kind::Choice(&[("weekly", "once a week"), ("never", "only problems are reported")]),
            required: false,
            default: "`never`",
            doc: "A summary of machines, versions, snapshots, certificates and films. The first one is sent immediately.",
            example: "weekly",
        },
    ],
    rules: &[],
};
