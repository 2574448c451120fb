//! What hostler and its scripts must both know, once: Rust takes it as a const, `mark::INIT`; templates get it by the same name, `{{ mark.init }}`.
//!
//! A template or a Rust source that spells one of these out is found by `tests/protocol.rs`. The keys of the facts are not here: a key stands
//! once in `templates/facts.sh` and once in its reader, and `tests/facts` has the one read by the other.
//!
//! Nothing here is built of pieces, so that a path can be searched for; the tests below hold together what must agree.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Groups of consts, each of which is also known by its name as text: [`names`].
macro_rules! names {
    ($($(#[$about:meta])* $group:ident { $($(#[$doc:meta])* $name:ident: $kind:ty = $value:expr;)* })*) => {
        $($(#[$about])* pub mod $group {
            $($(#[$doc])* pub const $name: $kind = $value;)*
        })*

        fn groups() -> BTreeMap<&'static str, BTreeMap<String, Value>> {
            BTreeMap::from([$((stringify!($group), BTreeMap::from([$((stringify!($name).to_lowercase(), json!($group::$name)),)*])),)*])
        }
    };
}

names! {
    /// Paths on machines.
    path {
        /// What hostler installs.
        ROOT: &str = "/opt/hostler";
        /// Files by their sha256. The sets hold hard links to them.
        STORE: &str = "/opt/hostler/store";
        /// Folders of programs that belong together, each with `bin` and `cni`.
        SETS: &str = "/opt/hostler/sets";
        /// A link to the set in use,
        CURRENT: &str = "/opt/hostler/current";
        /// which begins so.
        CURRENT_BEGINS: &str = "sets/";
        BIN: &str = "/opt/hostler/current/bin";
        CNI_BIN: &str = "/opt/hostler/current/cni";
        /// Which files of the store were hashed, and what they looked like then.
        VERIFIED: &str = "/opt/hostler/verified";

        /// What hostler remembers of the machine, and files that it made for services of its own.
        STATE: &str = "/etc/hostler";
        /// The machine's record: a file a name, see [`crate::record`].
        APPLIED: &str = "/etc/hostler/applied";
        KEEPALIVED_CONFIG: &str = "/etc/hostler/keepalived.conf";
        SNAPSHOT_SCRIPT: &str = "/etc/hostler/snapshot.sh";
        /// Copies the machine's snapshots to a server.
        SNAPSHOT_COPY_SCRIPT: &str = "/etc/hostler/snapshot-copy.sh";
        /// Where the machine's notifications go: only root can read it.
        NOTIFY_SETTINGS: &str = "/etc/hostler/notify.json";
        /// Scripts that run by themselves.
        LIB: &str = "/usr/local/lib/hostler";
        VIP_SCRIPT: &str = "/usr/local/lib/hostler/vip";
        VIP_CHECK: &str = "/usr/local/lib/hostler/vip-check";
        /// Where a snapshot is made and unpacked. On the disk: etcd's data may be larger than the memory.
        WORK: &str = "/var/lib/hostler";
        /// With which the disk of a machine is tried that may become a control plane: on the disk that etcd will be on.
        FSYNC_PROBE: &str = "/var/lib/.hostler-fsync";
        /// What an upgrade keeps of a control plane until it has succeeded: manifests, kubelet's files, the record, and of the only control
        /// plane etcd's data.
        BEFORE_UPGRADE: &str = "/var/lib/hostler/before-upgrade";
        /// What the machine has reported of itself, and what is left to send,
        NOTIFY_LEDGER: &str = "/var/lib/hostler/notify.json";
        /// and since when that can't be sent, in seconds since the epoch.
        NOTIFY_UNSENT: &str = "/var/lib/hostler/notify-unsent";
        /// Which snapshot was copied to which server last; its time is that of the snapshot.
        SNAPSHOT_COPIED: &str = "/var/lib/hostler/snapshot-copied";
        /// Regular snapshots, unless the inventory has another folder for them. No wipe takes it: a lost cluster is restored from there.
        SNAPSHOTS: &str = "/var/backups/hostler";

        /// The keys of who may log in to a system that is being installed, until its user is made.
        NEW_AUTHORIZED_KEYS: &str = "/etc/hostler-authorized-keys";

        /// In memory: a restart takes it away.
        RUN: &str = "/run/hostler";
        /// A lock for each step at work.
        STEPS: &str = "/run/hostler/steps";
        /// Packages of the operating system were upgraded since the machine was started.
        PACKAGES_UPGRADED: &str = "/run/hostler/packages-upgraded";
        /// A file for each run that has worked on the machine since it was started.
        RUNS: &str = "/run/hostler/runs";
        /// The lock that a step holds while it looks at the others.
        GATE: &str = "/run/hostler/gate";
        KUBECTL_CACHE: &str = "/run/hostler/kubectl";
        /// Where the server's folder for snapshots is mounted, for the service that copies them alone.
        SNAPSHOT_SERVER: &str = "/run/hostler/snapshots";
        /// The installer of a new system, from when it is sent until it starts: in memory of its own.
        INSTALLER: &str = "/run/hostler/installer";
        /// What kubeadm reads, as long as it runs: for init,
        INIT_CONFIG: &str = "/run/hostler/init.yaml";
        /// for join,
        JOIN_CONFIG: &str = "/run/hostler/join.yaml";
        /// for a phase of its,
        PHASE_CONFIG: &str = "/run/hostler/config.yaml";
        /// what init lays over its own objects,
        PATCHES: &str = "/run/hostler/patches";
        /// of which this one is CoreDNS's: the name is `TARGET.yaml`, with the targets of kubeadm's `--patches`.
        COREDNS_PATCH: &str = "/run/hostler/patches/corednsdeployment.yaml";
        /// admin.conf that leads to the machine's own API server; a random end is added.
        OWN_ADMIN: &str = "/run/hostler/admin";
        /// keepalived's, made by systemd: [`crate::protocol::systemd::VIP_RUNTIME`].
        VIP_RUN: &str = "/run/hostler-vip";

        /// kubeadm's: `KubernetesDir` of cmd/kubeadm/app/constants, where the files below have their names, too.
        KUBERNETES: &str = "/etc/kubernetes";
        ADMIN: &str = "/etc/kubernetes/admin.conf";
        CONTROLLER_MANAGER: &str = "/etc/kubernetes/controller-manager.conf";
        SCHEDULER: &str = "/etc/kubernetes/scheduler.conf";
        KUBELET_KUBECONFIG: &str = "/etc/kubernetes/kubelet.conf";
        BOOTSTRAP_KUBECONFIG: &str = "/etc/kubernetes/bootstrap-kubelet.conf";
        MANIFESTS: &str = "/etc/kubernetes/manifests";
        PKI: &str = "/etc/kubernetes/pki";
        /// kubelet's `RootDirectory`.
        KUBELET: &str = "/var/lib/kubelet";
        /// Where kubeadm puts KubeletConfiguration.
        KUBELET_CONFIG: &str = "/var/lib/kubelet/config.yaml";
        /// What kubelet reads over that: files `*.conf`,
        KUBELET_CONFIG_DIR: &str = "/opt/hostler/kubelet.conf.d";
        /// of which this one is what differs from machine to machine.
        KUBELET_MACHINE_CONFIG: &str = "/opt/hostler/kubelet.conf.d/10-machine.conf";
        KUBELET_FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";
        KUBELET_PKI: &str = "/var/lib/kubelet/pki";
        /// `dataDir` of kubeadm's local etcd, where nothing else is said.
        ETCD: &str = "/var/lib/etcd";
        /// Where containerd looks for the network, by its default.
        CNI_CONFIG: &str = "/etc/cni/net.d";
        /// flannel's file there: what comes first by name is the network.
        FLANNEL_CNI: &str = "/etc/cni/net.d/10-flannel.conflist";
        /// What plugins keep of pods.
        CNI_STATE: &str = "/var/lib/cni";
        FLANNEL_RUN: &str = "/run/flannel";
        /// In its container, where flanneld looks for its configuration.
        FLANNEL_CONFIG: &str = "/etc/kube-flannel";
        CONTAINERD_CONFIG: &str = "/etc/containerd/config.toml";
        /// Where the user's pieces of containerd's configuration land.
        CONTAINERD_FRAGMENTS: &str = "/etc/containerd/conf.d";
        /// What pods of [`films::RUNTIME`] are made from.
        FILMS_SPEC: &str = "/etc/containerd/hostler-films.json";
        CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
        CRICTL_CONFIG: &str = "/etc/crictl.yaml";
        /// What systemd-tmpfiles takes away at every start.
        CNI_TMPFILES: &str = "/etc/tmpfiles.d/hostler-cni.conf";
        MODULES: &str = "/etc/modules-load.d/hostler.conf";
        /// Its name sorts last: what comes later wins at every start, and /etc/sysctl.conf comes as 99-sysctl.conf.
        SYSCTLS: &str = "/etc/sysctl.d/zz-hostler.conf";
        /// Sorts after unattended-upgrades-logind-maxdelay.conf.
        LOGIND: &str = "/etc/systemd/logind.conf.d/zz-hostler.conf";
        /// Sorts after what installers write.
        CLOUD_INIT: &str = "/etc/cloud/cloud.cfg.d/zz-hostler.cfg";
        HOSTS: &str = "/etc/hosts";
        RESOLV_CONF: &str = "/etc/resolv.conf";
        /// The nameservers that systemd-resolved asks.
        RESOLVED_CONFIG: &str = "/run/systemd/resolve/resolv.conf";
    }

    /// Units, and the files of those that hostler writes.
    systemd {
        CONTAINERD: &str = "containerd.service";
        CONTAINERD_FILE: &str = "/etc/systemd/system/containerd.service";
        KUBELET: &str = "kubelet.service";
        KUBELET_FILE: &str = "/etc/systemd/system/kubelet.service";
        KUBELET_DROP_IN: &str = "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf";
        /// Holds the endpoint's moving address.
        VIP: &str = "hostler-vip.service";
        VIP_FILE: &str = "/etc/systemd/system/hostler-vip.service";
        /// Its `RuntimeDirectory`, below /run.
        VIP_RUNTIME: &str = "hostler-vip";
        /// Takes a snapshot,
        SNAPSHOT: &str = "hostler-snapshot.service";
        SNAPSHOT_FILE: &str = "/etc/systemd/system/hostler-snapshot.service";
        /// when this starts it.
        SNAPSHOT_TIMER: &str = "hostler-snapshot.timer";
        SNAPSHOT_TIMER_FILE: &str = "/etc/systemd/system/hostler-snapshot.timer";
        /// Copies snapshots to a server, whenever the service that takes them was started.
        SNAPSHOT_COPY: &str = "hostler-snapshot-copy.service";
        SNAPSHOT_COPY_FILE: &str = "/etc/systemd/system/hostler-snapshot-copy.service";
        /// Renews the certificates of a control plane,
        RENEWAL: &str = "hostler-renewal.service";
        RENEWAL_FILE: &str = "/etc/systemd/system/hostler-renewal.service";
        /// when this starts it.
        RENEWAL_TIMER: &str = "hostler-renewal.timer";
        RENEWAL_TIMER_FILE: &str = "/etc/systemd/system/hostler-renewal.timer";
        /// Sends notifications,
        NOTIFY: &str = "hostler-notify.service";
        NOTIFY_FILE: &str = "/etc/systemd/system/hostler-notify.service";
        /// when this starts it.
        NOTIFY_TIMER: &str = "hostler-notify.timer";
        NOTIFY_TIMER_FILE: &str = "/etc/systemd/system/hostler-notify.timer";
    }

    /// Files of [`path::APPLIED`] that are there while a step changes something: [`crate::record::InProgress`].
    mark {
        WIPE: &str = "wipe-begun";
        RESTORE: &str = "restore-begun";
        INIT: &str = "init-begun";
        JOIN: &str = "join-begun";
        PROGRAMS: &str = "programs-begun";
        CONTAINERD: &str = "containerd-begun";
        KUBELET: &str = "kubelet-begun";
        VIP: &str = "hostler-vip-begun";
        SNAPSHOTS: &str = "hostler-snapshot.timer-begun";
        RENEWAL: &str = "hostler-renewal.timer-begun";
        NOTIFY: &str = "hostler-notify.timer-begun";
        UNVERIFIED: &str = "verification-due";
        UPGRADE: &str = "upgrade-begun";
        PACKAGES: &str = "packages-begun";
        REINSTALL: &str = "reinstall-begun";
    }

    /// Names in the records of the cluster and of a machine: [`crate::record::Record`] and [`crate::record::Applied`].
    recorded {
        CLUSTER: &str = "cluster";
        KUBELET: &str = "kubelet";
        KUBE_PROXY: &str = "kube-proxy";
        KUBELET_FILE: &str = "kubelet-file";
        KUBELET_FLAGS: &str = "kubelet-flags";
        /// A static pod's name follows.
        MANIFEST: &str = "static-pod.";
        CNI: &str = "cni";
        FLANNEL: &str = "flannel";
        VERIFIED: &str = "verified";
        INVENTORY: &str = "kept-inventory";
        /// A node's name follows.
        NODE: &str = "node.";
        /// As well: the address for which its kubelet gets certificates.
        KUBELET_ADDRESS: &str = "kubelet-address.";
        /// As well.
        POWER: &str = "power.";
        WORKLOAD: &str = "transcode";
        WORKLOAD_SHARES: &str = "transcode-shares";
        WORKLOAD_TOKEN: &str = "transcode-token";
    }

    /// How scripts end, besides 0 and what a command in them ended with.
    exit {
        /// It can't be done.
        FAILED: u32 = 1;
        /// Less than the whole script arrived (EX_DATAERR of sysexits.h).
        CUT: u32 = 65;
        /// Not now: what it waits for was on its last line of [`super::say::WAIT`] (EX_TEMPFAIL of sysexits.h).
        TRY_AGAIN: u32 = 75;
        /// The machine has been restarted since this run began there.
        RESTARTED: u32 = 76;
    }

    /// How lines begin that scripts and hostler say to each other.
    say {
        /// `NAME VALUE`, for a later step.
        OUTPUT: &str = "@output";
        /// `WHAT` a script that ends with [`super::exit::TRY_AGAIN`] waits for.
        WAIT: &str = "@wait";
        /// `SECONDS WHAT`: the script waits itself, at most so long.
        WAITING: &str = "@waiting";
        /// `SIZE`, to the loader: so many bytes are the script.
        SCRIPT: &str = "hostler script";
        /// From the loader, on both streams: what follows is the script's.
        BEGINS: &str = "hostler begins";
        /// Facts follow. A changed meaning of one needs another number.
        FACTS_BEGIN: &str = "hostler-facts 1";
        FACTS_END: &str = "hostler-facts end";
    }

    /// What hostler makes of a disk, as far as scripts must know it: see [`crate::install::layout`].
    layout {
        /// The partition that no installation erases, by its name and by the label of a new file system in it.
        DATA: &str = "hostler-data";
    }

    /// What the installer finds on its medium, and how it finds that.
    installer {
        /// The kernel's parameter that says which medium: the GUID of a stick's partition follows.
        MEDIUM: &str = "hostler.medium=";
        /// The same where the medium is memory.
        MEMORY: &str = "hostler.medium=memory";
        /// Other parameters: where the kernel and the installer show what they do.
        CONSOLE: &str = "console=ttyS0,115200 console=tty0 quiet";
        /// What is done to which machine.
        ORDER: &str = "hostler/order.json";
        /// The order to erase the machine's disk instead.
        ERASURE: &str = "hostler/erase.json";
        /// On an EFI system partition: all that the firmware starts once. And the name of its entry in the firmware.
        ESP_FOLDER: &str = "EFI/hostler-install";
        /// Where the GRUB of that folder looks for its configuration, on the same file system.
        ESP_CONFIG: &str = "boot/grub/grub.cfg";
        ENTRY: &str = "hostler-install";
        /// The machine's private host key, where it is not in the order.
        HOST_KEY: &str = "hostler/host_key";
    }

    /// Lines of [`path::CONTAINERD_CONFIG`].
    containerd {
        /// Before the names of the files in [`path::CONTAINERD_FRAGMENTS`] that are the inventory's: others there are other people's.
        PIECES: &str = "# Pieces of the inventory:";
        /// What a file of others is called once hostler has replaced it: the end of its name.
        BEFORE: &str = ".before-hostler";
    }

    /// Around hostler's lines of [`path::HOSTS`].
    hosts {
        BEGIN: &str = "# hostler begin";
        END: &str = "# hostler end";
    }

    /// What stands in kubeadm's documents where only a run knows what goes there.
    placeholder {
        /// A bootstrap token.
        TOKEN: &str = "TOKEN-MADE-HERE";
        /// The hash of the CA's public key.
        CA_HASH: &str = "CA-HASH-FOUND-HERE";
    }

    /// Where Kubernetes listens, as far as scripts speak to it.
    port {
        API: u16 = 6443;
        ETCD: u16 = 2379;
        /// Other members of etcd.
        ETCD_PEERS: u16 = 2380;
        /// What control planes ask kubelet.
        KUBELET: u16 = 10250;
        /// kubelet's own word of how it is, on the loopback only.
        KUBELET_HEALTH: u16 = 10248;
    }

    /// Arguments of kubectl.
    kubectl {
        /// To the control plane's own API server, whose certificate names it `kubernetes` among others. The endpoint's name may lead to another
        /// machine, or to none.
        OWN: &str = "--kubeconfig /etc/kubernetes/admin.conf --server https://127.0.0.1:6443 --tls-server-name kubernetes";
        /// Of namespaces in which a verification ran. It has nothing of their name, which every run makes another.
        PROBE_LABEL: &str = "app.kubernetes.io/component=verification";
        /// What hostler makes: fields that it no longer asks for go, those of others stay.
        APPLY: &str = "apply --server-side --force-conflicts --field-manager hostler --filename -";
    }

    /// Arguments of etcdctl.
    etcdctl {
        /// The control plane's own member.
        OWN: &str = "https://127.0.0.1:2379";
        /// kubeadm makes this certificate for its own look at etcd.
        TLS: &str = "--cacert /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/etcd/healthcheck-client.crt --key /etc/kubernetes/pki/etcd/healthcheck-client.key";
    }

    /// Namespaces of the cluster.
    namespaces {
        SYSTEM: &str = "kube-system";
        FLANNEL: &str = "kube-flannel";
        /// Of the pods that look whether they reach each other.
        PROBE: &str = "hostler-probe";
        FILMS: &str = "transcode";
    }

    /// Annotations of nodes.
    annotation {
        /// When hostler cordoned the node, to uncordon it later: what somebody else cordoned stays so.
        CORDONED: &str = "hostler/cordoned";
    }

    /// Labels of nodes.
    label {
        /// Pods of [`super::films::RUNTIME`] can run there.
        RENDER_NODE: &str = "hostler/render-node";
        /// The encoders that work there, as far as they were tried,
        ENCODERS: &str = "hostler/encoders";
        /// and a sum of what they were tried with: image, devices, encoders.
        TRIED_WITH: &str = "hostler/encoders-tried-with";
    }

    /// Who signs certificates in the cluster.
    signer {
        /// Of kubelets' serving certificates.
        KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
    }

    /// ConfigMaps of [`namespaces::SYSTEM`].
    configmap {
        /// The cluster's record.
        RECORD: &str = "hostler";
        /// kubeadm's: ClusterConfiguration,
        KUBEADM: &str = "kubeadm-config";
        /// and KubeletConfiguration.
        KUBELET: &str = "kubelet-config";
        /// What was reported of the cluster, and what is left to send. The Lease of the control plane that does it has the same name.
        NOTIFY: &str = "hostler-notify";
    }

    /// Objects of the transcoding workload that scripts ask for or take away.
    films {
        /// The Job that marks both shares.
        MARK: &str = "mark-shares";
        /// The Secret with the media server's token.
        MEDIA_SERVER: &str = "media-server-";
        /// The Secret with the URL to which notifications go.
        NOTIFY: &str = "notify-address";
        /// The Secret with the token for actions on the status page.
        PAGE_TOKEN: &str = "page-token";
        /// The status page, through the API server.
        PAGE: &str = "/api/v1/namespaces/transcode/services/page:http/proxy";
        /// Persistent volumes: `inbox` or `library` follows.
        VOLUME: &str = "hostler-transcode-";
        /// containerd's handler, and the RuntimeClass, of pods that get a machine's render nodes.
        RUNTIME: &str = "hostler-films";
        /// The pod that tries encoders: a node's name follows.
        PROVE: &str = "prove-";
        /// What it prints before the encoders that work.
        WORKING: &str = "encoders that work:";
        /// The watcher's rights to the whole cluster.
        CLUSTER_ROLE: &str = "hostler-transcode-watcher";
    }

    /// What a wipe takes: [`wiped`] is all of it. Nothing else of a machine goes, save what `kubeadm reset`, and pods' mounts and rules, are.
    wipe {
        /// Of a cluster.
        FOLDERS: [&str; 5] =
            [crate::protocol::path::KUBERNETES, crate::protocol::path::KUBELET, crate::protocol::path::ETCD, crate::protocol::path::CNI_CONFIG, crate::protocol::path::CNI_STATE];
        /// Of those, what stays as an empty folder: containerd ends when it goes.
        EMPTIED: [&str; 1] = [crate::protocol::path::CNI_CONFIG];
        /// What is made anew by itself.
        TRACES: [&str; 14] = [
            crate::protocol::path::FLANNEL_RUN,
            crate::protocol::path::BEFORE_UPGRADE,
            crate::protocol::path::LIB,
            crate::protocol::systemd::VIP_FILE,
            crate::protocol::systemd::SNAPSHOT_FILE,
            crate::protocol::systemd::SNAPSHOT_TIMER_FILE,
            crate::protocol::systemd::SNAPSHOT_COPY_FILE,
            crate::protocol::path::SNAPSHOT_COPIED,
            crate::protocol::systemd::RENEWAL_FILE,
            crate::protocol::systemd::RENEWAL_TIMER_FILE,
            crate::protocol::path::NOTIFY_LEDGER,
            crate::protocol::path::NOTIFY_UNSENT,
            crate::protocol::systemd::NOTIFY_FILE,
            crate::protocol::systemd::NOTIFY_TIMER_FILE,
        ];
        /// At the end, as it holds the mark that the wipe was begun.
        LAST: &str = crate::protocol::path::STATE;
        /// Stopped before that, and not started any more. A timer goes before what it starts.
        UNITS: [&str; 8] = [
            crate::protocol::systemd::VIP,
            crate::protocol::systemd::SNAPSHOT_TIMER,
            crate::protocol::systemd::SNAPSHOT,
            crate::protocol::systemd::SNAPSHOT_COPY,
            crate::protocol::systemd::RENEWAL_TIMER,
            crate::protocol::systemd::RENEWAL,
            crate::protocol::systemd::NOTIFY_TIMER,
            crate::protocol::systemd::NOTIFY,
        ];
    }

    /// What a snapshot holds, a compressed tar.
    archive {
        /// etcd's data, which ends with its own sum.
        ETCD: &str = "etcd.db";
        /// What etcdutl says of that.
        ETCD_STATUS: &str = "etcd.json";
        /// What the cluster trusts, below [`crate::protocol::path::PKI`] and, in the snapshot, below `pki`: what kubeadm makes once for a cluster, and
        /// copies to each control plane (`kubeadm init phase upload-certs`).
        PKI: [&str; 8] =
            ["ca.crt", "ca.key", "sa.key", "sa.pub", "front-proxy-ca.crt", "front-proxy-ca.key", "etcd/ca.crt", "etcd/ca.key"];
        /// ConfigMaps of [`super::namespaces::SYSTEM`], each as `NAME.yaml`.
        DOCUMENTS: [&str; 2] = [crate::protocol::configmap::KUBEADM, crate::protocol::configmap::KUBELET];
        /// Names of the nodes.
        NODES: &str = "nodes";
        /// When.
        TAKEN: &str = "taken";
    }

    /// How long things live, as kubeadm reads it.
    lives {
        /// A bootstrap token.
        TOKEN: &str = "1h0m0s";
        /// A person's certificate, in seconds: a year, which is also the most that kube-controller-manager signs unless it is told otherwise.
        PERSON: &str = "31536000";
    }
}

/// The mark of each unit that hostler configures: `{{ mark_of[unit] }}`.
pub const MARKS: [(&str, &str); 6] = [
    (systemd::CONTAINERD, mark::CONTAINERD),
    (systemd::KUBELET, mark::KUBELET),
    (systemd::VIP, mark::VIP),
    (systemd::SNAPSHOT_TIMER, mark::SNAPSHOTS),
    (systemd::RENEWAL_TIMER, mark::RENEWAL),
    (systemd::NOTIFY_TIMER, mark::NOTIFY),
];

/// All of the above, by group and name, as templates get it.
pub fn names() -> BTreeMap<&'static str, BTreeMap<String, Value>> {
    let marks = MARKS.into_iter().map(|(unit, mark)| (unit.to_owned(), json!(mark))).collect();
    let wiped: Vec<&str> = wiped().collect();
    let mut names = groups();
    names.insert("mark_of", marks);
    names.entry("wipe").or_default().insert("all".to_owned(), json!(wiped));
    names
}

/// Every word and number of [`names`], and one name of it: `("/opt/hostler/current", "path.current")`.
pub fn literals() -> BTreeMap<String, String> {
    let mut literals = BTreeMap::new();
    for (group, names) in names() {
        for (name, value) in names {
            let values = match value {
                Value::Array(values) => values,
                value => vec![value],
            };
            for value in values {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                literals.entry(text).or_insert_with(|| format!("{group}.{name}"));
            }
        }
    }
    literals
}

/// Every path that a wipe takes, in the order in which it does.
pub fn wiped() -> impl Iterator<Item = &'static str> {
    wipe::FOLDERS.into_iter().chain(wipe::TRACES).chain([wipe::LAST])
}

/// The files without which a control plane can't be brought back from a snapshot; and [`archive::TAKEN`] says how old it is.
pub fn needed() -> impl Iterator<Item = String> {
    let pki = archive::PKI.into_iter().map(|name| format!("pki/{name}"));
    [archive::ETCD, archive::NODES].map(str::to_owned).into_iter().chain(pki)
}

/// What follows `word` on a line that begins with it.
pub fn said<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    line.strip_prefix(word)?.strip_prefix(' ')
}

#[cfg(test)]
mod tests;
