//! Every key of an inventory: its name, what it takes, its default, what it is for, and an example. The readers refuse what isn't
//! here, `hostler schema` prints it, and docs/inventory.md is made from it.

mod forms;
mod notify;
mod os;
mod transcode;

pub use forms::VERSION;
use forms::*;
pub use notify::NOTIFY;
use os::OS_DISK;
pub use os::{DISK, NETWORK, OS};
pub use transcode::{ENCODE, FOLDER, MEDIA_SERVER, NOTIFY_FILMS, ORIGINALS, OWNER, PAGE, TRANSCODE};

/// A mapping with known keys.
#[derive(Debug)]
pub struct Section {
    /// As it is called in messages: `a machine`.
    pub what: &'static str,
    /// Where it stands, for the heading in docs/inventory.md.
    pub path: &'static str,
    pub doc: &'static str,
    pub keys: &'static [Key],
    /// What its keys have to do with each other, as far as a schema can say it.
    pub rules: &'static [Rule],
}

/// A rule about the keys of a section.
#[derive(Debug)]
pub enum Rule {
    /// Exactly one of them.
    One(&'static [&'static str]),
    /// Not both.
    NotBoth(&'static str, &'static str),
    /// Not both of these values.
    NotTogether((&'static str, Value), (&'static str, Value)),
}

/// A value in a [`Rule`].
#[derive(Debug)]
pub enum Value {
    Word(&'static str),
    Flag(bool),
}

#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
    /// For a reader; empty when there is none to speak of.
    pub default: &'static str,
    /// Whole sentences.
    pub doc: &'static str,
    /// A right value, as YAML behind `NAME: `; a text with several lines begins with a line break and is indented by two.
    pub example: &'static str,
}

#[derive(Debug)]
pub enum Kind {
    Text(&'static Form),
    /// A text that may be written without quotes where it looks like a number or a truth value.
    Scalar(&'static Form),
    /// A whole number within both ends.
    Number(u64, u64),
    Flag,
    /// One of the words, each with what it means.
    Choice(&'static [(&'static str, &'static str)]),
    /// One of the words, which say all.
    Word(&'static str, &'static [&'static str]),
    Object(&'static Section),
    /// Names chosen by the user, each with a value.
    Named(&'static Form, &'static Kind),
    List(&'static Kind),
    /// A [`List`](Kind::List) without duplicates.
    Set(&'static Kind),
    /// A mapping or list with something in it.
    Filled(&'static Kind),
    Either(&'static [Kind]),
    /// Keys that another program knows; the key's name is that of its document.
    Foreign,
}

/// What a text has to look like. The readers say more than a pattern can.
#[derive(Debug)]
pub struct Form {
    /// For docs and messages: `an address`.
    pub what: &'static str,
    /// A regular expression of JSON schema (ECMA 262); empty for any text.
    pub pattern: &'static str,
}

pub static INVENTORY: Section = Section {
    what: "an inventory",
    path: "",
    doc: "The whole file. Only `machines` is required.",
    keys: &[
        Key {
            name: "machines",
            kind: Kind::Filled(&Kind::Named(&MACHINE_NAME, &Kind::Either(&[Kind::Text(&ADDRESS), Kind::Object(&MACHINE)]))),
            required: true,
            default: "",
            doc: "All machines, by name. The value is an address, or a mapping with more keys. The name becomes the host name of the \
                machine and the name of its node. If no machine has a role, the first one is the control plane and the others are \
                workers.",
            example: "\n  twilightsparkle: 192.168.1.11\n  rainbowdash: 192.168.1.12",
        },
        Key {
            name: "cluster",
            kind: Kind::Object(&CLUSTER),
            required: false,
            default: "",
            doc: "The cluster.",
            example: "\n  name: ponies",
        },
        Key {
            name: "ssh",
            kind: Kind::Object(&SSH),
            required: false,
            default: "",
            doc: "How to reach the machines. Settings of a single machine override these.",
            example: "\n  user: ada",
        },
        Key {
            name: "snapshots",
            kind: Kind::Object(&SNAPSHOTS),
            required: false,
            default: "daily, kept on the control planes",
            doc: "Regular snapshots of the cluster's state, taken by the control planes. `hostler up`, `hostler status` and other verbs copy the newest one to this computer.",
            example: "\n  to: nfs://192.168.1.3/snapshots",
        },
        Key {
            name: "notify",
            kind: Kind::Object(&NOTIFY),
            required: false,
            default: "no notifications",
            doc: "Where to send notifications about lost machines, etcd members and API servers that do not answer, failed and old \
                snapshots, certificates that expire, disks that fail or fill up, due reboots, and failed films.",
            example: "\n  url: https://ntfy.sh/ponies-8f2c",
        },
        Key {
            name: "transcode",
            kind: Kind::Object(&TRANSCODE),
            required: false,
            default: "no workload",
            doc: "The transcoding workload: films dropped into a folder are encoded, verified and published to the library.",
            example: "\n  inbox: nfs://192.168.1.11/srv/films\n  library: nfs://192.168.1.3/Plex\n  owner: { uid: 1000, gid: 100 }\n  folders: { Movies: {} }",
        },
        Key {
            name: "os",
            kind: Kind::Object(&OS),
            required: false,
            default: "the machines already have an operating system",
            doc: "The operating system that `hostler provision` installs on machines that have a `mac`.",
            example: "\n  authorizedKeys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1lfXZ0ajZUc6sVzpdXDKhNtDzhVFUaYjFk0j2kLhXh ada]",
        },
        Key {
            name: "kubeadm",
            kind: Kind::Object(&KUBEADM),
            required: false,
            default: "",
            doc: "Advanced. Fragments that are merged into the documents that hostler passes to kubeadm. Mappings are merged. \
                `extraArgs` and `kubeletExtraArgs` are merged by name, and `certSANs` are combined. Other lists are replaced; `null` \
                removes a key. Settings that hostler depends on are refused, with the key to use instead. Keys that kubeadm does not \
                know are refused before anything is changed, if the bundle's kubeadm runs on this computer.",
            example: "\n  KubeletConfiguration:\n    maxPods: 200",
        },
        Key {
            name: "containerd",
            kind: Kind::Named(&TOML_NAME, &Kind::Text(&TOML)),
            required: false,
            default: "",
            doc: "Advanced. Fragments of containerd's configuration: NAME is written to `/etc/containerd/conf.d/NAME.toml` on every machine.",
            example: "\n  oom-score: |\n    version = 3\n    [plugins.'io.containerd.cri.v1.runtime']\n      restrict_oom_score_adj = true",
        },
        Key {
            name: "ignorePreflightErrors",
            kind: Kind::List(&Kind::Scalar(&CHECK)),
            required: false,
            default: "`[]`",
            doc: "Advanced. Preflight checks of kubeadm whose errors are ignored, by their names in kubeadm's messages.",
            example: "[Swap]",
        },
    ],
    rules: &[],
};

pub static CLUSTER: Section = Section {
    what: "`cluster`",
    path: "cluster",
    doc: "None of these keys can be changed once the cluster exists, except for the version: see `hostler upgrade`.",
    keys: &[
        Key {
            name: "name",
            kind: Kind::Scalar(&LABEL),
            required: false,
            default: "`home`",
            doc: "The name of the cluster in kubeconfigs and in the name of its endpoint.",
            example: "ponies",
        },
        Key {
            name: "version",
            kind: Kind::Text(&VERSION),
            required: false,
            default: "the running version; for a new cluster the newest that hostler knows",
            doc: "The version of Kubernetes, one of those that `hostler bundle pins` lists. `hostler upgrade` upgrades the cluster to a \
                newer one, and updates this key.",
            example: VERSION_EXAMPLE,
        },
        Key {
            name: "endpoint",
            kind: Kind::Either(&[Kind::Scalar(&HOST), Kind::Object(&ENDPOINT)]),
            required: false,
            default: "`api.NAME.internal`, with the cluster's name",
            doc: "Where machines reach the API server: a name, which `/etc/hosts` on every machine resolves to the first control plane, or \
                  one of the two keys below.",
            example: "api.ponies.internal",
        },
        Key {
            name: "podSubnet",
            kind: Kind::Text(&POD_SUBNET),
            required: false,
            default: "`10.244.0.0/16`",
            doc: "The subnet of pods, with 256 addresses for each machine. It must not overlap with any network that the machines use.",
            example: "10.244.0.0/16",
        },
        Key {
            name: "serviceSubnet",
            kind: Kind::Text(&SERVICE_SUBNET),
            required: false,
            default: "`10.96.0.0/12`",
            doc: "The subnet of Services. It must not overlap with any network that the machines use.",
            example: "10.96.0.0/12",
        },
        Key {
            name: "cni",
            kind: Kind::Choice(&[
                ("flannel", "VXLAN: works on any network"),
                ("flannel-host-gw", "plain routes: faster, but all machines must be in one layer 2 network"),
                ("none", "none: you install a pod network yourself"),
            ]),
            required: false,
            default: "`flannel`",
            doc: "The pod network.",
            example: "flannel",
        },
    ],
    rules: &[],
};

pub static ENDPOINT: Section = Section {
    what: "`endpoint`",
    path: "cluster.endpoint",
    doc: "Set exactly one of these two keys.",
    keys: &[
        Key {
            name: "vip",
            kind: Kind::Text(&ADDRESS),
            required: false,
            default: "",
            doc: "A virtual IP: a free address in the machines' network that keepalived moves between the control planes.",
            example: "192.168.1.10",
        },
        Key {
            name: "external",
            kind: Kind::Text(&HOST_PORT),
            required: false,
            default: "",
            doc: "A load balancer that you run in front of port 6443 of the control planes.",
            example: "api.example.org:6443",
        },
    ],
    rules: &[Rule::One(&["vip", "external"])],
};

const SSH_USER: Key = Key {
    name: "user",
    kind: Kind::Scalar(&USER),
    required: false,
    default: "from `~/.ssh/config`, else your own user name",
    doc: "The user to log in as: root, or a user who may use sudo.",
    example: "ada",
};
const SSH_PORT: Key = Key {
    name: "port",
    kind: Kind::Number(1, 65535),
    required: false,
    default: "from `~/.ssh/config`, else `22`",
    doc: "The port of sshd.",
    example: "22",
};
const SSH_IDENTITY: Key = Key {
    name: "identity",
    kind: Kind::Scalar(&FILE),
    required: false,
    default: "from `~/.ssh/config`, and the keys in the agent",
    doc: "Path of the private key, relative to the inventory; `~/` is your home directory.",
    example: "~/.ssh/id_ed25519",
};
const SSH_JUMP: Key = Key {
    name: "jump",
    kind: Kind::Scalar(&JUMP),
    required: false,
    default: "from `~/.ssh/config`",
    doc: "A jump host, or several separated by commas, as for `ssh -J`.",
    example: "ada@bastion.example.org:22",
};
const SSH_PROXY_COMMAND: Key = Key {
    name: "proxyCommand",
    kind: Kind::Scalar(&COMMAND),
    required: false,
    default: "from `~/.ssh/config`",
    doc: "A command whose standard input and output are the connection to sshd, like ssh's ProxyCommand, with `%h`, `%p`, `%r` and `%%`.",
    example: "nc -X 5 -x proxy:1080 %h %p",
};
const SSH_BECOME: Key = Key {
    name: "become",
    kind: Kind::Flag,
    required: false,
    default: "`true`, or `false` if the user is root",
    doc: "Whether hostler runs commands with sudo.",
    example: "true",
};

pub static SSH: Section = Section {
    what: "`ssh`",
    path: "ssh",
    doc: "SSH settings for all machines.",
    keys: &[SSH_USER, SSH_PORT, SSH_IDENTITY, SSH_JUMP, SSH_PROXY_COMMAND, SSH_BECOME],
    rules: &[Rule::NotBoth("jump", "proxyCommand")],
};

pub static MACHINE: Section = Section {
    what: "a machine",
    path: "machines.NAME",
    doc: "One computer.",
    keys: &[
        Key {
            name: "address",
            kind: Kind::Text(&ADDRESS),
            required: true,
            default: "",
            doc: "The IP address at which SSH and the other machines reach this machine. The address must not change: assign it in your \
                router or on the machine itself.",
            example: "192.168.1.11",
        },
        Key {
            name: "role",
            kind: Kind::Choice(&[
                ("control-plane", "runs the API server and etcd, and also ordinary pods"),
                ("worker", "runs only ordinary pods"),
            ]),
            required: false,
            default: "`worker`; if no machine is a control plane, `control-plane` for the first one",
            doc: "Its role in the cluster. Use one, three or five control planes.",
            example: "control-plane",
        },
        Key {
            name: "dedicated",
            kind: Kind::Flag,
            required: false,
            default: "`false`",
            doc: "For a control plane: `true` keeps ordinary pods off this machine.",
            example: "true",
        },
        Key {
            name: "keep",
            kind: Kind::List(&Kind::Text(&PATH)),
            required: false,
            default: "`[]`",
            doc: "Paths that no command ever wipes, with everything below them.",
            example: "[/srv/films]",
        },
        Key {
            name: "labels",
            kind: Kind::Named(&LABEL_KEY, &Kind::Scalar(&LABEL_VALUE)),
            required: false,
            default: "`{}`",
            doc: "Labels of its node.",
            example: "{ gpu: intel }",
        },
        Key {
            name: "taints",
            kind: Kind::Set(&Kind::Text(&TAINT)),
            required: false,
            default: "`[]`",
            doc: "Taints of its node. The effect is `NoSchedule`, `PreferNoSchedule` or `NoExecute`.",
            example: "[films=only:NoSchedule]",
        },
        Key {
            name: "mac",
            kind: Kind::Text(&MAC),
            required: false,
            default: "",
            doc: "The MAC address of its network card. hostler refuses a machine that has a different MAC address at the same IP \
                address.",
            example: "\"52:54:00:12:34:56\"",
        },
        Key {
            name: "hostKey",
            kind: Kind::Text(&HOST_KEY),
            required: false,
            default: "from `~/.ssh/known_hosts`",
            doc: "The only accepted host key: a public key as in `/etc/ssh/ssh_host_ed25519_key.pub`, or a fingerprint.",
            example: "SHA256:jCYBa1FmZOYUBN9vZ/XHBcCHLzWQd0UZFmeJyoOi1aY",
        },
        Key {
            name: "encode",
            kind: Kind::Either(&[Kind::Flag, Kind::Object(&ENCODE)]),
            required: false,
            default: "`true`",
            doc: "Whether this machine encodes films of `transcode`, or when and with which encoders.",
            example: "{ hours: \"22:00-07:00\" }",
        },
        Key { default: "as in `os`", doc: "The disk to install on when this machine is installed.", ..OS_DISK },
        SSH_USER,
        SSH_PORT,
        SSH_IDENTITY,
        SSH_JUMP,
        SSH_PROXY_COMMAND,
        SSH_BECOME,
    ],
    rules: &[Rule::NotBoth("jump", "proxyCommand"), Rule::NotTogether(("role", Value::Word("worker")), ("dedicated", Value::Flag(true)))],
};

pub const VERSION_EXAMPLE: &str = "1.36.3";
/// A public key, and a list of it.
pub const RECIPIENT_EXAMPLE: &str = "age1x9xwjgggq9ld2ym0s5y50t44f29xuu87wrvs2zekf8es8edh3yasttztqw";
const RECIPIENTS_EXAMPLE: &str = "[age1x9xwjgggq9ld2ym0s5y50t44f29xuu87wrvs2zekf8es8edh3yasttztqw]";

pub static SNAPSHOTS: Section = Section {
    what: "`snapshots`",
    path: "snapshots",
    doc: "A snapshot holds etcd's data, the certificates and the inventory. A lost cluster can be restored from it.",
    keys: &[
        Key {
            name: "to",
            kind: Kind::Text(&DESTINATION),
            required: false,
            default: "`/var/backups/hostler`",
            doc: "`nfs://HOST/PATH`: each control plane copies its snapshots to a folder with its name on this share, and also keeps them \
                in `/var/backups/hostler`. A path, with or without `path:`: the folder on the control planes in which to keep snapshots \
                instead.",
            example: "nfs://192.168.1.3/snapshots",
        },
        Key {
            name: "every",
            kind: Kind::Text(&INTERVAL),
            required: false,
            default: "`24h`",
            doc: "The time between two snapshots in minutes, hours or days: `30m`, `24h`, `7d`. `never`: no regular snapshots.",
            example: "24h",
        },
        Key {
            name: "keep",
            kind: Kind::Number(1, 10_000),
            required: false,
            default: "`7`",
            doc: "How many snapshots to keep. Older snapshots are deleted.",
            example: "7",
        },
        Key {
            name: "recipients",
            kind: Kind::Filled(&Kind::List(&Kind::Text(&RECIPIENT))),
            required: false,
            default: "not encrypted",
            doc: "Public keys that snapshots are encrypted to, as `age-keygen` prints them. Only the owner of one of the secret keys can \
                open a snapshot.",
            example: RECIPIENTS_EXAMPLE,
        },
    ],
    rules: &[],
};

pub static KUBEADM: Section = Section {
    what: "`kubeadm`",
    path: "kubeadm",
    doc: "A fragment for each document. `hostler up` applies fragments of ClusterConfiguration, KubeletConfiguration and \
        KubeProxyConfiguration to a running cluster; the other two take effect only when the cluster is created or a machine joins.",
    keys: &[
        Key {
            name: "ClusterConfiguration",
            kind: Kind::Foreign,
            required: false,
            default: "",
            doc: "Settings of all control planes (kubeadm.k8s.io/v1beta4).",
            example: "\n  apiServer:\n    extraArgs:\n      - name: audit-log-maxage\n        value: \"7\"",
        },
        Key {
            name: "InitConfiguration",
            kind: Kind::Foreign,
            required: false,
            default: "",
            doc: "Initialization of the first control plane (kubeadm.k8s.io/v1beta4).",
            example: "\n  skipPhases: [addon/kube-proxy]",
        },
        Key {
            name: "JoinConfiguration",
            kind: Kind::Foreign,
            required: false,
            default: "",
            doc: "How machines join (kubeadm.k8s.io/v1beta4).",
            example: "\n  timeouts:\n    tlsBootstrap: 10m0s",
        },
        Key {
            name: "KubeletConfiguration",
            kind: Kind::Foreign,
            required: false,
            default: "",
            doc: "kubelet on every machine (kubelet.config.k8s.io/v1beta1).",
            example: "\n  maxPods: 200",
        },
        Key {
            name: "KubeProxyConfiguration",
            kind: Kind::Foreign,
            required: false,
            default: "",
            doc: "kube-proxy on every machine (kubeproxy.config.k8s.io/v1alpha1).",
            example: "\n  conntrack:\n    maxPerCore: 0",
        },
    ],
    rules: &[],
};

impl Section {
    /// The key of that name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Key {
    /// `NAME: EXAMPLE`, to be printed.
    pub fn shown(&self) -> String {
        let space = if self.example.starts_with('\n') { "" } else { " " };
        format!("{}:{space}{}", self.name, self.example)
    }
}
