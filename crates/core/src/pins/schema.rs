//! The keys of a file of pins: the reader refuses what isn't here, and `hostler schema pins` prints it.

use serde_json::Value;

use crate::inventory::reference;
use crate::inventory::schema::{Form, Key, Kind, Section, VERSION};

const DATE: Form = Form { what: "a date", pattern: "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" };
/// As in a reference of an image.
const TAG: Form = Form { what: "the tag of an image", pattern: "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$" };
const SHA256: Form = Form { what: "a sha256, 64 hex digits in lower case", pattern: "^[0-9a-f]{64}$" };
const SOURCE: Form = Form { what: "one line of text", pattern: "^[^\\x00-\\x1f]{1,80}$" };

pub static FILE: Section = Section {
    what: "the pins file",
    path: "",
    doc: "The versions of Kubernetes that hostler can install, their components, and published checksums.",
    keys: &[
        key(
            "kubernetes",
            Kind::Named(&VERSION, &Kind::Object(&PINS)),
            "\n  1.36.3:\n    etcd: 3.6.8\n    ...",
            "The components of each version.",
        ),
        Key {
            required: false,
            ..key("asOf", Kind::Text(&DATE), "2026-08-21", "The day on which the list was complete: later releases are not in it.")
        },
        Key {
            required: false,
            ..key("sums", Kind::Object(&SUMS), "\n  kubelet:\n    1.36.3:\n      amd64: 46707a53...", "Checksums of release files.")
        },
    ],
    rules: &[],
};

pub static PINS: Section = Section {
    what: "a version of Kubernetes",
    path: "kubernetes.VERSION",
    doc: "The components that are installed with this version.",
    keys: &[
        key("etcd", Kind::Text(&VERSION), "3.6.8", "The etcd release from which etcdctl and etcdutl are taken."),
        key("etcdImage", Kind::Text(&TAG), "3.6.8-0", "The tag of etcd's image."),
        key("coredns", Kind::Text(&VERSION), "1.14.2", "CoreDNS."),
        key("pause", Kind::Text(&TAG), "3.10.2", "The tag of the pause image."),
        key("crictl", Kind::Text(&VERSION), "1.36.0", "crictl."),
        key("containerd", Kind::Text(&VERSION), "2.3.4", "containerd, from its release site."),
        key("containerdModule", Kind::Text(&VERSION), "2.3.7", "containerd, built from its Go module."),
        key("runc", Kind::Text(&VERSION), "1.4.3", "runc."),
        key("cni", Kind::Text(&VERSION), "1.9.1", "The CNI plugins."),
        key(
            "cniFlannelModule",
            Kind::Text(&VERSION),
            "0.9.1",
            "The last version of the CNI plugins' Go module that contains flannel's \
            plugin.",
        ),
        key("cniFlannelImage", Kind::Text(&TAG), "v1.9.1-flannel3", "The tag of the image with flannel's CNI plugin."),
        key("flannel", Kind::Text(&VERSION), "0.28.4", "flannel."),
    ],
    rules: &[],
};

const OF_PROGRAM: Kind = Kind::Named(&VERSION, &Kind::Object(&SUM));

pub static SUMS: Section = Section {
    what: "`sums`",
    path: "sums",
    doc: "The versions of each program, and their checksums.",
    keys: &[
        of_program("kubelet"),
        of_program("kubeadm"),
        of_program("kubectl"),
        of_program("containerd"),
        of_program("runc"),
        of_program("crictl"),
        of_program("etcd"),
        of_program("cni"),
    ],
    rules: &[],
};

pub static SUM: Section = Section {
    what: "a checksum",
    path: "sums.PROGRAM.VERSION",
    doc: "The checksum of the published file, for each architecture.",
    keys: &[
        key("amd64", Kind::Text(&SHA256), "46707a53209f826ad0f0d62371ac69cd00e78fd9a8176cf5f6f87f18f7f8b718", "For amd64."),
        key("arm64", Kind::Text(&SHA256), "57205a5daf5883873d87b4914e1e00bdd7707acd075714788cfb0fc1f60bc414", "For arm64."),
        key("source", Kind::Text(&SOURCE), "release site", "Where the checksums are from."),
        key("asOf", Kind::Text(&DATE), "2026-08-21", "When the checksums were fetched."),
    ],
    rules: &[],
};

const fn key(name: &'static str, kind: Kind, example: &'static str, doc: &'static str) -> Key {
    Key { name, kind, required: true, default: "", doc, example }
}

const fn of_program(name: &'static str) -> Key {
    Key {
        name,
        kind: OF_PROGRAM,
        required: false,
        default: "",
        doc: "By version.",
        example: "\n  1.36.3:\n    amd64: 46707a53...\n    arm64: 57205a5d...\n    source: release site\n    asOf: 2026-08-21",
    }
}

/// The JSON Schema (draft 2020-12) of a file of pins.
pub fn json_schema() -> Value {
    reference::json_schema_of(&FILE, "urn:hostler:pins", "hostler's pins")
}
