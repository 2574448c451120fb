//! Every key of an inventory: its name, what it takes, its default, what it is for, and an example. The readers refuse what isn't
//! here, `hostler schema` prints it, and docs/inventory.md is made from it.

mod transcode;

pub use transcode::{FOLDER, MEDIA_SERVER, NOTIFY, ORIGINALS, OWNER, PAGE, TRANSCODE};

/// A mapping with known keys.
#[derive(Debug)]
pub struct Section {
    /// As it is called in messages: `a machine`.
    pub what: &'static str,
    /// Where it stands, for the heading in docs/inventory.md.
    pub path: &'static str,
    pub doc: &'static str,
    pub keys: &'static [Key],
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
    Object(&'static Section),
    /// Names chosen by the user, each with a value.
    Named(&'static Form, &'static Kind),
    List(&'static Kind),
    Either(&'static [Kind]),
    /// Keys that another program knows.
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

const LABEL: Form = Form { what: "a name", pattern: "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" };
const HOST: Form = Form { what: "a DNS name", pattern: "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$" };
const HOST_PORT: Form = Form { what: "HOST:PORT", pattern: "^.+:[0-9]+$" };
const ADDRESS: Form = Form { what: "an address", pattern: "^[0-9a-fA-F.:]+$" };
const SUBNET: Form = Form { what: "a subnet", pattern: "^[0-9a-fA-F.:]+/[0-9]+$" };
const VERSION: Form = Form { what: "a version", pattern: "^1\\.[0-9]+\\.[0-9]+$" };
const USER: Form = Form { what: "a user", pattern: "^[^\\s@:]+$" };
const FILE: Form = Form { what: "a file", pattern: "" };
const PATH: Form = Form { what: "a path", pattern: "^/.+" };
const JUMP: Form = Form { what: "[USER@]HOST[:PORT]", pattern: "^\\S+$" };
const COMMAND: Form = Form { what: "a command", pattern: "" };
const HOST_KEY: Form = Form { what: "a host key", pattern: "^(SHA256:|ssh-|ecdsa-|sk-)" };
const MAC: Form = Form { what: "a hardware address", pattern: "^([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}$" };
const LABEL_KEY: Form = Form { what: "a label", pattern: "" };
const LABEL_VALUE: Form = Form { what: "a value", pattern: "^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$" };
const TAINT: Form = Form { what: "KEY[=VALUE]:EFFECT", pattern: "^[^=:]+(=[^=:]*)?:(NoSchedule|PreferNoSchedule|NoExecute)$" };
const TOML_NAME: Form = Form { what: "a file name", pattern: "^[A-Za-z0-9][-A-Za-z0-9_.]*$" };
const TOML: Form = Form { what: "TOML", pattern: "" };
const CHECK: Form = Form { what: "a check", pattern: "^[A-Za-z0-9-]+$" };
const INTERVAL: Form = Form { what: "a time", pattern: "^[0-9]+[mhd]$" };

pub static INVENTORY: Section = Section {
    what: "an inventory",
    path: "",
    doc: "The whole file. Only `machines` is needed.",
    keys: &[
        Key {
            name: "machines",
            kind: Kind::Named(&LABEL, &Kind::Either(&[Kind::Text(&ADDRESS), Kind::Object(&MACHINE)])),
            required: true,
            default: "",
            doc: "Every machine by name: its address, or more about it. The name becomes its host name and its node's. Where no machine has \
                  a role, the first is the control plane and the others are workers.",
            example: "\n  twilightsparkle: 192.168.1.11\n  rainbowdash: 192.168.1.12",
        },
        Key {
            name: "cluster",
            kind: Kind::Object(&CLUSTER),
            required: false,
            default: "",
            doc: "What the machines become together.",
            example: "\n  name: ponies",
        },
        Key {
            name: "ssh",
            kind: Kind::Object(&SSH),
            required: false,
            default: "",
            doc: "How machines are reached; what a machine says itself goes first.",
            example: "\n  user: ada",
        },
        Key {
            name: "snapshots",
            kind: Kind::Object(&SNAPSHOTS),
            required: false,
            default: "none are taken by themselves",
            doc: "Regular snapshots of the cluster's state, taken by the control planes themselves.",
            example: "\n  to: /srv/share/snapshots",
        },
        Key {
            name: "transcode",
            kind: Kind::Object(&TRANSCODE),
            required: false,
            default: "no workload",
            doc: "The workload: a film dropped into a folder comes out, smaller and verified, in the library.",
            example: "\n  inbox: nfs://192.168.1.11/srv/films\n  library: nfs://192.168.1.3/Plex\n  owner: { uid: 1000, gid: 100 }\n  folders: { Movies: {} }",
        },
        Key {
            name: "kubeadm",
            kind: Kind::Object(&KUBEADM),
            required: false,
            default: "",
            doc: "Advanced. Pieces merged over the documents that hostler gives to kubeadm: mappings are merged, and so are \
                  `extraArgs` and `kubeletExtraArgs`, by name; other lists are replaced, `null` takes a key out. What hostler depends on is \
                  refused, with the key to use instead; and so is, before anything is touched, what kubeadm does not know, where the bundle's \
                  runs on this computer.",
            example: "\n  KubeletConfiguration:\n    maxPods: 200",
        },
        Key {
            name: "containerd",
            kind: Kind::Named(&TOML_NAME, &Kind::Text(&TOML)),
            required: false,
            default: "",
            doc: "Advanced. Pieces of containerd's configuration: NAME lands in `/etc/containerd/conf.d/NAME.toml` of every machine.",
            example: "\n  oom-score: |\n    version = 3\n    [plugins.'io.containerd.cri.v1.runtime']\n      restrict_oom_score_adj = true",
        },
        Key {
            name: "ignorePreflightErrors",
            kind: Kind::List(&Kind::Text(&CHECK)),
            required: false,
            default: "`[]`",
            doc: "Advanced. Checks of kubeadm that may fail, by the name in its message.",
            example: "[Swap]",
        },
    ],
};

pub static CLUSTER: Section = Section {
    what: "`cluster`",
    path: "cluster",
    doc: "What can't be changed once the cluster is there. For `version`, `hostler upgrade` is still to come.",
    keys: &[
        Key {
            name: "name",
            kind: Kind::Text(&LABEL),
            required: false,
            default: "`home`",
            doc: "The cluster's name in kubeconfigs and in its endpoint's name.",
            example: "ponies",
        },
        Key {
            name: "version",
            kind: Kind::Text(&VERSION),
            required: false,
            default: "what runs now; the newest hostler knows for a new cluster",
            doc: "The version of Kubernetes.",
            example: "1.36.3",
        },
        Key {
            name: "endpoint",
            kind: Kind::Either(&[Kind::Text(&HOST), Kind::Object(&ENDPOINT)]),
            required: false,
            default: "`api.NAME.internal`, with the cluster's name",
            doc: "Where every machine finds the API server: a name, which `/etc/hosts` of every machine leads to the first control plane, or \
                  one of the two below.",
            example: "api.ponies.internal",
        },
        Key {
            name: "podSubnet",
            kind: Kind::Text(&SUBNET),
            required: false,
            default: "`10.244.0.0/16`",
            doc: "Addresses of pods, 256 for each machine. Must not overlap with any network that the machines know.",
            example: "10.244.0.0/16",
        },
        Key {
            name: "serviceSubnet",
            kind: Kind::Text(&SUBNET),
            required: false,
            default: "`10.96.0.0/12`",
            doc: "Addresses of services. Must not overlap with any network that the machines know.",
            example: "10.96.0.0/12",
        },
        Key {
            name: "cni",
            kind: Kind::Choice(&[
                ("flannel", "over vxlan: works on any network"),
                ("flannel-host-gw", "with plain routes: faster, needs all machines on one link"),
                ("none", "you install one"),
            ]),
            required: false,
            default: "`flannel`",
            doc: "The network between pods.",
            example: "flannel",
        },
    ],
};

pub static ENDPOINT: Section = Section {
    what: "`endpoint`",
    path: "cluster.endpoint",
    doc: "One of the two.",
    keys: &[
        Key {
            name: "vip",
            kind: Kind::Text(&ADDRESS),
            required: false,
            default: "",
            doc: "A free address of the machines' network that keepalived moves between the control planes.",
            example: "192.168.1.10",
        },
        Key {
            name: "external",
            kind: Kind::Text(&HOST_PORT),
            required: false,
            default: "",
            doc: "A load balancer that you run, in front of port 6443 of the control planes.",
            example: "api.example.org:6443",
        },
    ],
};

const SSH_USER: Key = Key {
    name: "user",
    kind: Kind::Text(&USER),
    required: false,
    default: "as `~/.ssh/config` says, else your own name",
    doc: "Who logs in: root, or someone who may use sudo.",
    example: "ada",
};
const SSH_PORT: Key = Key {
    name: "port",
    kind: Kind::Number(1, 65535),
    required: false,
    default: "as `~/.ssh/config` says, else `22`",
    doc: "The port of sshd.",
    example: "22",
};
const SSH_IDENTITY: Key = Key {
    name: "identity",
    kind: Kind::Text(&FILE),
    required: false,
    default: "as `~/.ssh/config` says, and what the agent has",
    doc: "The private key's file; `~/` is your home.",
    example: "~/.ssh/id_ed25519",
};
const SSH_JUMP: Key = Key {
    name: "jump",
    kind: Kind::Text(&JUMP),
    required: false,
    default: "as `~/.ssh/config` says",
    doc: "A host to go through, or several with commas between, as `ssh -J` takes it.",
    example: "ada@gate.example.org:22",
};
const SSH_PROXY_COMMAND: Key = Key {
    name: "proxyCommand",
    kind: Kind::Text(&COMMAND),
    required: false,
    default: "as `~/.ssh/config` says",
    doc: "A command whose input and output lead to sshd, as ssh's ProxyCommand takes it: with `%h`, `%p`, `%r` and `%%`.",
    example: "nc -X 5 -x proxy:1080 %h %p",
};
const SSH_BECOME: Key = Key {
    name: "become",
    kind: Kind::Flag,
    required: false,
    default: "`true` unless the user is root",
    doc: "Whether commands run through sudo.",
    example: "true",
};

pub static SSH: Section = Section {
    what: "`ssh`",
    path: "ssh",
    doc: "For all machines.",
    keys: &[SSH_USER, SSH_PORT, SSH_IDENTITY, SSH_JUMP, SSH_PROXY_COMMAND, SSH_BECOME],
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
            doc: "The address that machines know each other by; SSH goes there too. It has to stay: give it to the machine in your router or \
                  on the machine itself.",
            example: "192.168.1.11",
        },
        Key {
            name: "role",
            kind: Kind::Choice(&[("control-plane", "runs the API server and etcd, and other work too"), ("worker", "runs work alone")]),
            required: false,
            default: "`worker`; where no machine is a control plane, `control-plane` for the first",
            doc: "What it is in the cluster. Control planes are one, three or five.",
            example: "control-plane",
        },
        Key {
            name: "dedicated",
            kind: Kind::Flag,
            required: false,
            default: "`false`",
            doc: "For a control plane: no ordinary work runs there.",
            example: "true",
        },
        Key {
            name: "keep",
            kind: Kind::List(&Kind::Text(&PATH)),
            required: false,
            default: "`[]`",
            doc: "Paths that no verb ever wipes, with all below them.",
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
            kind: Kind::List(&Kind::Text(&TAINT)),
            required: false,
            default: "`[]`",
            doc: "Taints of its node: work that doesn't tolerate them stays away. The effect is `NoSchedule`, `PreferNoSchedule` or `NoExecute`.",
            example: "[films=only:NoSchedule]",
        },
        Key {
            name: "mac",
            kind: Kind::Text(&MAC),
            required: false,
            default: "",
            doc: "The hardware address of its network card. A machine with another one at the same address is refused.",
            example: "\"52:54:00:12:34:56\"",
        },
        Key {
            name: "hostKey",
            kind: Kind::Text(&HOST_KEY),
            required: false,
            default: "what `~/.ssh/known_hosts` says",
            doc: "The only host key accepted: a public key as in `/etc/ssh/ssh_host_ed25519_key.pub`, or a fingerprint.",
            example: "SHA256:jCYBa1FmZOYUBN9vZ/XHBcCHLzWQd0UZFmeJyoOi1aY",
        },
        SSH_USER,
        SSH_PORT,
        SSH_IDENTITY,
        SSH_JUMP,
        SSH_PROXY_COMMAND,
        SSH_BECOME,
    ],
};

pub static SNAPSHOTS: Section = Section {
    what: "`snapshots`",
    path: "snapshots",
    doc: "A snapshot holds etcd's data, the certificates and the inventory: with it a lost cluster comes back.",
    keys: &[
        Key {
            name: "to",
            kind: Kind::Text(&PATH),
            required: true,
            default: "",
            doc: "A folder on the control planes, best on another disk or a mounted share.",
            example: "/srv/share/snapshots",
        },
        Key {
            name: "every",
            kind: Kind::Text(&INTERVAL),
            required: false,
            default: "`24h`",
            doc: "The time between two: minutes, hours or days, as `30m`, `24h`, `7d`.",
            example: "24h",
        },
        Key {
            name: "keep",
            kind: Kind::Number(1, 10_000),
            required: false,
            default: "`7`",
            doc: "How many stay; older ones are deleted.",
            example: "7",
        },
    ],
};

pub static KUBEADM: Section = Section {
    what: "`kubeadm`",
    path: "kubeadm",
    doc: "One piece for each document. A fragment of ClusterConfiguration, KubeletConfiguration or KubeProxyConfiguration reaches a running \
          cluster with the next `hostler up`; the other two are for a machine that joins.",
    keys: &[
        Key {
            name: "ClusterConfiguration",
            kind: Kind::Foreign,
            required: false,
            default: "",
            doc: "What all control planes share (kubeadm.k8s.io/v1beta4).",
            example: "\n  apiServer:\n    extraArgs:\n      - name: audit-log-maxage\n        value: \"7\"",
        },
        Key {
            name: "InitConfiguration",
            kind: Kind::Foreign,
            required: false,
            default: "",
            doc: "How the first control plane begins (kubeadm.k8s.io/v1beta4).",
            example: "\n  skipPhases: [addon/kube-proxy]",
        },
        Key {
            name: "JoinConfiguration",
            kind: Kind::Foreign,
            required: false,
            default: "",
            doc: "How a machine joins (kubeadm.k8s.io/v1beta4).",
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
