//! Every script that hostler may run, filled in, and one on a machine that is a folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hostler::cli::render::rendered;
use hostler::inventory_file::InventoryFile;
use hostler_core::action::cluster::{
    ApplyFlannel, Cordon, DeleteNode, Drain, ForgetNotify, Label, LetFilmsEnd, MakeEtcdSpace, RecordPower, RemoveMember, RestartFlannel,
    RestoreAdmins, RestoreCoreDns, RestoreRoles, Uncordon, WithdrawVerification,
};
use hostler_core::action::kubeadm::{
    BootstrapKubelet, CreateToken, Init, Join, ReconnectKubelet, RenewCertificates, RenewControlPlane, RenewKubelet, RepairControlPlane,
    Restore, SetKubeletServer, UpgradeControlPlane, UpgradeNode, UploadConfig, of_machine,
};
use hostler_core::action::machine::{ConfigureCloudInit, ConfigureUnit, DropUnit, Program, StagePrograms, StartUnit, Wipe};
use hostler_core::action::power::{OsPackages, PowerOff, Reboot, UpgradePackages};
use hostler_core::action::reinstall::{Erase, Loaders, Reinstall, SentFile, StageInstaller, Way};
use hostler_core::action::rollback::{EndUpgrade, RollBackControlPlane, RollBackNode, RollBackShared};
use hostler_core::action::workload::{InstallWorkload, KeepSecrets, MediaServerToken, ProveEncoders, RemoveWorkload};
use hostler_core::action::{Action, RunOn};
use hostler_core::arch::Arch;
use hostler_core::document::Document;
use hostler_core::facts::{Question, Snapshot};
use hostler_core::films::settings::MediaServerKind;
use hostler_core::inventory::{MachineName, Taint};
use hostler_core::manifest::Manifest;
use hostler_core::plan::wanted;
use hostler_core::protocol::installer;
use hostler_core::record::Record;
use hostler_core::step::{Input, Output, StepKind};
use hostler_core::template::render;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn manifest() -> Manifest {
    serde_json::from_str(include_str!("../render/manifest.json")).expect("it is a manifest")
}

fn sent() -> SentFile {
    SentFile { path: PathBuf::from("/cache/it's a file"), size: 1_000_000, sha256: "0".repeat(64) }
}

fn loaders() -> Loaders {
    Loaders { shim: sent(), grub: sent(), mok: sent() }
}

/// The scripts under templates/, by their path there.
pub fn templates() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder("templates")];
    while let Some(folder_path) = folders.pop() {
        for entry in fs::read_dir(folder_path).expect("the folder can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "sh") {
                let name = path.strip_prefix(folder("templates")).expect("it is below templates").display().to_string();
                found.insert(name, fs::read_to_string(&path).expect("the template can be read"));
            }
        }
    }
    found
}

pub fn has_jinja(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

fn tokens(file: &str) -> Vec<MediaServerToken> {
    MediaServerKind::ALL.map(|of| MediaServerToken { of, file: file.into(), size: 20 }).into()
}

/// What no plan for blank machines holds: scripts for machines that drifted, changed or leave.
fn others() -> Vec<(&'static str, Action)> {
    // A user's word may look like what templates are made of.
    let word = "it's {{ a }} {% word %}".to_owned();
    let taint = |key: &str| Taint { key: key.to_owned(), value: String::new(), effect: "NoSchedule".to_owned() };
    let labels = BTreeMap::from([("a".to_owned(), Some("b".to_owned())), ("c".to_owned(), None)]);
    let sum = "0".repeat(64);
    let record = BTreeMap::from([(Record::Document(Document::Cluster), sum.clone())]);
    let name = || MachineName::new("rarity").expect("a name");
    let of = |output| Input { step: StepKind::Init.of(&name()), output };
    let program = || Program { path: "bin/kubelet".to_owned(), sha256: "0".repeat(64), size: 1 };
    let upgrade = |first, sha256| UpgradeControlPlane {
        version: "1.36.3".to_owned(),
        first,
        set: "1.36.3-00000000".to_owned(),
        config: "x".to_owned(),
        sha256,
        yields_vip: !first,
        alone: first,
    };
    let upload = |document| Action::from(UploadConfig { document, config: "x".to_owned(), sha256: sum.clone(), replace: true });
    let roll_back = |etcd: Option<String>| RollBackControlPlane {
        version: "1.36.1".to_owned(),
        set: "1.36.1-00000000".to_owned(),
        node: word.clone(),
        yields_vip: etcd.is_none(),
        etcd,
    };
    vec![
        (
            "restore",
            Restore {
                snapshot: Snapshot {
                    file: PathBuf::from("a.tar.gz"),
                    archive: PathBuf::from("a.tar.gz"),
                    sha256: sum.clone(),
                    size: 1,
                    taken: "2026-03-01T12:00:00Z".to_owned(),
                    nodes: ["rainbowdash".to_owned()].into(),
                    ca: sum.clone(),
                },
                node: word.clone(),
                address: "192.168.1.10".to_owned(),
                config: "x".to_owned(),
                record: record.clone(),
            }
            .into(),
        ),
        ("init-again", Init { config: "x".to_owned(), again: true, record: record.clone() }.into()),
        (
            "join-again",
            Join {
                config: "x".to_owned(),
                again: true,
                token: of(Output::Token),
                ca: of(Output::Ca),
                pki: Some(of(Output::Pki)),
                record: of_machine(&record),
            }
            .into(),
        ),
        ("withdraw", WithdrawVerification { later: false }.into()),
        ("withdraw-later", WithdrawVerification { later: true }.into()),
        ("token", CreateToken {}.into()),
        (
            "label",
            Label {
                node: name(),
                labels,
                taints: vec![taint("d")],
                remove_taints: vec![taint("e")],
                record: r#"{"labels":["a"]}"#.to_owned(),
            }
            .into(),
        ),
        (
            "label-nothing",
            Label { node: name(), labels: BTreeMap::new(), taints: vec![], remove_taints: vec![], record: "{}".to_owned() }.into(),
        ),
        ("upload-cluster", upload(Document::Cluster)),
        ("upload-kubelet", upload(Document::Kubelet)),
        ("upload-kube-proxy", upload(Document::KubeProxy)),
        ("renew-kubelet", RenewKubelet { sha256: sum.clone() }.into()),
        (
            "renew-control-plane",
            RenewControlPlane { config: "x".to_owned(), names: vec!["*.example.org".to_owned()], etcd: true, sha256: sum.clone() }.into(),
        ),
        ("cloud-init", ConfigureCloudInit { file: wanted::cloud_init_file().expect("templates fit") }.into()),
        ("etcd-space", MakeEtcdSpace {}.into()),
        ("flannel-replaced", ApplyFlannel { manifest: "x".to_owned(), sha256: sum.clone(), replace: true }.into()),
        ("coredns", RestoreCoreDns { config: "x".to_owned(), address: [10, 96, 0, 10].into() }.into()),
        ("admins", RestoreAdmins { config: "x".to_owned(), manifest: "x".to_owned() }.into()),
        ("roles", RestoreRoles { manifest: "x".to_owned() }.into()),
        ("flannel-restart", RestartFlannel { node: name() }.into()),
        (
            "repair",
            RepairControlPlane {
                config: "x".to_owned(),
                missing: vec!["/etc/kubernetes/manifests/etcd.yaml".to_owned()],
                damaged: vec!["/etc/kubernetes/admin.conf".to_owned()],
                expired: vec!["kubelet-client".to_owned()],
            }
            .into(),
        ),
        (
            "bootstrap",
            BootstrapKubelet {
                node: word.clone(),
                server: "https://api.home.internal:6443".to_owned(),
                token: of(Output::Token),
                ca: of(Output::Ca),
                serving: true,
            }
            .into(),
        ),
        ("certificates", RenewCertificates { config: "x".to_owned() }.into()),
        ("start", StartUnit { unit: "kubelet.service".to_owned() }.into()),
        (
            "stale",
            ConfigureUnit {
                unit: "kubelet.service".to_owned(),
                files: vec![],
                stale: vec![word.clone()],
                others: vec![word.clone()],
                restart: true,
            }
            .into(),
        ),
        (
            "programs-next",
            StagePrograms { arch: Arch::Amd64, set: "1.36.3-00000000".to_owned(), programs: vec![program()], missing: vec![program()] }
                .into(),
        ),
        ("upgrade-first", upgrade(true, Some(sum.clone())).into()),
        ("upgrade-further", upgrade(false, None).into()),
        (
            "upgrade-node",
            UpgradeNode {
                arch: Arch::Amd64,
                set: "1.36.3-00000000".to_owned(),
                programs: vec![program()],
                containerd: vec![wanted::cloud_init_file().expect("templates fit")],
                sha256: sum.clone(),
                yields_vip: true,
            }
            .into(),
        ),
        (
            "roll-back-node",
            RollBackNode {
                arch: Arch::Amd64,
                set: "1.36.3-00000000".to_owned(),
                programs: vec![program()],
                containerd: vec![wanted::cloud_init_file().expect("templates fit")],
                yields_vip: true,
                alone: false,
            }
            .into(),
        ),
        ("roll-back", roll_back(None).into()),
        ("roll-back-alone", roll_back(Some("192.168.1.11".to_owned())).into()),
        (
            "roll-back-shared",
            RollBackShared {
                version: "1.36.3".to_owned(),
                config: "x".to_owned(),
                sha256: sum.clone(),
                coredns: Some("registry.k8s.io/coredns/coredns:v1.13.1".to_owned()),
            }
            .into(),
        ),
        ("kubelet-server", SetKubeletServer { server: "https://home.lan:6443".to_owned() }.into()),
        ("kubelet-reconnected", ReconnectKubelet {}.into()),
        ("upgrade-done", EndUpgrade {}.into()),
        ("uncordon", Uncordon { node: word.clone(), version: "1.36.3".to_owned() }.into()),
        ("record-power", RecordPower { machines: [(name(), Some("reboot 5d0c-1".to_owned()))].into() }.into()),
        ("films-end", LetFilmsEnd { node: word.clone() }.into()),
        ("cordon", Cordon { node: word.clone() }.into()),
        (
            "reboot",
            Reboot { boot: "5d0c-1".to_owned(), node: Some(word.clone()), quorum: true, yields_vip: true, if_upgraded: true }.into(),
        ),
        ("reboot-no-node", Reboot { boot: "5d0c-1".to_owned(), node: None, quorum: false, yields_vip: false, if_upgraded: false }.into()),
        ("upgrade-packages", UpgradePackages { packages: Some(OsPackages::All) }.into()),
        ("upgrade-packages-security", UpgradePackages { packages: Some(OsPackages::Security) }.into()),
        ("upgrade-packages-left", UpgradePackages { packages: None }.into()),
        ("power-off", PowerOff {}.into()),
        (
            "installer",
            StageInstaller {
                id: "0123456789abcdef".to_owned(),
                kernel: sent(),
                installer: sent(),
                loaders: loaders(),
                way: Way::Kexec,
                order: "{}".to_owned(),
                order_file: installer::ORDER,
                host_key: Some(word.clone()),
            }
            .into(),
        ),
        (
            "installer-on-esp",
            StageInstaller {
                id: "0123456789abcdef".to_owned(),
                kernel: sent(),
                installer: sent(),
                loaders: loaders(),
                way: Way::BootNext { esp: word.clone() },
                order: "{}".to_owned(),
                order_file: installer::ORDER,
                host_key: Some(word.clone()),
            }
            .into(),
        ),
        (
            "installer-to-erase",
            StageInstaller {
                id: "0123456789abcdef".to_owned(),
                kernel: sent(),
                installer: sent(),
                loaders: loaders(),
                way: Way::Kexec,
                order: "{}".to_owned(),
                order_file: installer::ERASURE,
                host_key: None,
            }
            .into(),
        ),
        ("erase", Erase { id: "0123456789abcdef".to_owned(), what: word.clone(), erased: vec![word.clone()], has_data: true }.into()),
        (
            "reinstall",
            Reinstall {
                id: "0123456789abcdef".to_owned(),
                way: Way::Kexec,
                what: word.clone(),
                erased: vec![word.clone()],
                keeps_data: true,
            }
            .into(),
        ),
        (
            "reinstall-by-firmware",
            Reinstall {
                id: "0123456789abcdef".to_owned(),
                way: Way::BootNext { esp: word.clone() },
                what: word.clone(),
                erased: vec![word.clone()],
                keeps_data: true,
            }
            .into(),
        ),
        ("drop", DropUnit { unit: "a.timer".to_owned(), files: vec![word.clone()] }.into()),
        ("media-server-token", KeepSecrets { tokens: tokens(&word), notify: None, sha256: "0".repeat(64) }.into()),
        ("no-media-server-token", KeepSecrets { tokens: vec![], notify: None, sha256: String::new() }.into()),
        ("forget-notify", ForgetNotify {}.into()),
        ("remove-workload", RemoveWorkload {}.into()),
        (
            "workload",
            InstallWorkload {
                manifest: String::new(),
                record: [(Record::WorkloadShares, word.clone())].into(),
                quick_sync: false,
                notifies: true,
            }
            .into(),
        ),
        (
            "workload-quick-sync",
            InstallWorkload { manifest: String::new(), record: BTreeMap::new(), quick_sync: true, notifies: false }.into(),
        ),
        (
            "encoders",
            ProveEncoders { node: name(), manifest: "x".to_owned(), tried_with: "0123456789ab".to_owned(), hardware: true }.into(),
        ),
        ("drain", Drain { node: word.clone(), force_after: None, returns: true }.into()),
        ("drain-by-force", Drain { node: word.clone(), force_after: Some(60), returns: false }.into()),
        (
            "remove-member",
            RemoveMember { node: "rarity".to_owned(), member: "rarity".to_owned(), peer: "https://192.168.1.12:2380".to_owned() }.into(),
        ),
        ("delete-node", DeleteNode { node: name() }.into()),
        ("wipe", Wipe { keep: vec![], links: BTreeMap::new() }.into()),
        (
            "wipe-keep",
            Wipe { keep: vec!["/srv/films".to_owned(), word.clone()], links: [("/var/lib/etcd".to_owned(), word)].into() }.into(),
        ),
    ]
}

/// Every script there is, by a name that says where it is from. Scripts of the same text are in it once.
pub fn scripts() -> BTreeMap<String, String> {
    let mut scripts = BTreeMap::new();
    for (name, text) in templates() {
        if !has_jinja(&text) {
            scripts.insert(format!("templates-{}", name.replace('/', "-")), text);
        }
    }
    for name in ["minimal", "ponies", "three-control-planes"] {
        let inventory = InventoryFile::load(&folder(&format!("inventory/{name}.yaml"))).expect("the example can be read").inventory;
        for (place, text) in rendered(&inventory, &manifest()).expect("templates fit") {
            if let Some(step) = place.strip_prefix("steps/") {
                scripts.insert(format!("{name}-{step}"), text);
            }
        }
    }
    let question = Question {
        requests: true,
        kubelet_requests: true,
        workload: true,
        system: true,
        ..wanted::question(None, None, Vec::new()).expect("templates fit")
    };
    scripts.insert("facts.sh".to_owned(), render("facts.sh", question).expect("the template fits"));
    // As notifications ask.
    scripts.insert("facts-short.sh".to_owned(), render("facts.sh", Question::default()).expect("the template fits"));
    let key = serde_json::json!({ "key": "ssh-ed25519 AAAA it's mine" });
    scripts.insert("authorize.sh".to_owned(), render("ssh/authorize.sh", key).expect("the template fits"));
    let address = serde_json::json!({ "address": "192.168.1.11" });
    scripts.insert("vip.sh".to_owned(), render("keepalived/vip.sh", address).expect("the template fits"));
    let alone = [
        ("vip-check.sh", "keepalived/vip-check.sh"),
        ("flannel.sh", "network/flannel.sh"),
        ("page-token.sh", "kubernetes/page-token.sh"),
        ("snapshot-now.sh", "kubernetes/snapshot.sh"),
    ];
    for (name, template) in alone {
        scripts.insert(name.to_owned(), render(template, serde_json::json!({})).expect("the template fits"));
    }
    let newest = serde_json::json!({ "to": "/srv/it's", "cluster": "home", "known": "" });
    scripts.insert("send-newest-snapshot.sh".to_owned(), render("kubernetes/send-newest-snapshot.sh", newest).expect("the template fits"));
    let person = serde_json::json!({ "user": "hostler:ada", "request": "hostler-ada-0", "objects": "kind: x\n" });
    for name in ["user", "sign-user", "revoke-user"] {
        let script = render(&format!("kubernetes/{name}.sh"), person.clone()).expect("the template fits");
        scripts.insert(format!("{name}.sh"), script);
    }
    for format_data in [true, false] {
        let system = serde_json::json!({
            "entry": "debian", "name": "rarity", "user": "it's ada", "mac": "52:54:00:12:34:56", "updates": "security", "system": "/dev/nvme0n1p2", "esp": "/dev/nvme0n1p1",
            "data": "/dev/nvme0n1p3", "format_data": format_data, "rejoins": format_data.then_some("0123456789abcdef"),
            "network": format_data.then(|| serde_json::json!({
                "address": "192.168.1.12/24", "gateway": "192.168.1.1", "nameservers": ["192.168.1.1", "1.1.1.1"],
            })),
        });
        for name in ["own", "boot"] {
            let script = render(&format!("os/{name}.sh"), system.clone()).expect("the template fits");
            scripts.insert(format!("os-{name}-{format_data}.sh"), script);
        }
    }
    let inventory = InventoryFile::load(&folder("tests/inventory/every-key.yaml")).expect("it can be read").inventory;
    let every = inventory.snapshots.every.expect("it has snapshots");
    let machine = MachineName::new("rarity").expect("a name");
    let files = wanted::snapshot_files(&inventory, &machine, every).expect("templates fit");
    let shell = files.into_iter().filter(|file| file.path.ends_with(".sh"));
    scripts.extend(shell.map(|file| (file.path.trim_start_matches("/etc/hostler/").to_owned(), file.content)));
    for (name, action) in others() {
        let outputs = |input: &Input| {
            Some(match input.output {
                Output::Ca => BASE64_STANDARD.encode(include_bytes!("../../src/cli/render/ca.pem")),
                Output::Pki => "cGtp".to_owned(),
                Output::Token => "t".to_owned(),
            })
        };
        let script = action.script(RunOn { run: "RUN", begun: true }, &StepKind::Swap.of(&machine), &outputs).expect("templates fit");
        scripts.insert(format!("action-{name}.sh"), script.text);
    }
    let mut known = Vec::new();
    scripts.retain(|_, text| {
        let new = !known.contains(&shape(text));
        known.push(shape(text));
        new
    });
    scripts
}

/// A script without what differs from machine to machine: who it is, sums and sizes.
fn shape(text: &str) -> String {
    let names = ["twilightsparkle", "rainbowdash", "fluttershy", "applejack", "pinkiepie"];
    let text = names.iter().fold(text.to_owned(), |text, name| text.replace(name, "MACHINE"));
    let words = text.split_inclusive(|letter: char| !letter.is_ascii_alphanumeric());
    words.map(|word| if word.starts_with(|letter: char| letter.is_ascii_hexdigit()) && word.len() > 60 { "SUM" } else { word }).collect()
}

/// The script of a step whose machine is the folder `root`: the prelude, and `body`.
pub fn on_a_folder(root: &str, step: &str, begun: bool, body: &str) -> String {
    let step = StepKind::parse(step).expect("a kind of step").of(&MachineName::new("rainbowdash").expect("a name"));
    let prelude = render("step/prelude.sh", serde_json::json!({ "run": "r1", "step": step, "begun": begun }));
    let script = prelude.expect("the template fits") + body;
    let places = ["/etc/", "/run/", "/var/lib/", "/opt/hostler", "/usr/local/bin/", "/usr/local/lib/"];
    places.iter().fold(script, |text, place| text.replace(place, &format!("{root}{place}")))
}
