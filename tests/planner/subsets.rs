//! Files of a control plane that are gone, all ways: what the real facts.sh says of what is left, and what the planner makes of that. While
//! etcd's data is there nothing takes it away, and nothing that would is named as the way out.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use hostler_core::facts::{self, KubernetesFacts, Observation};
use hostler_core::health::status;
use hostler_core::inventory::{Inventory, MachineName, parse};
use hostler_core::plan::wanted::question;
use hostler_core::plan::{Goal, Plan, plan_for};
use hostler_core::step::StepKind;
use hostler_core::template;

use crate::case::{snapshot, world_of};
use crate::simulation::manifests;
use crate::world::World;

/// Groups of a control plane's files, below its root.
const GROUPS: [(&str, &[&str]); 10] = [
    ("API server", &["etc/kubernetes/manifests/kube-apiserver.yaml"]),
    ("etcd", &["etc/kubernetes/manifests/etcd.yaml"]),
    ("others", &["etc/kubernetes/manifests/kube-controller-manager.yaml", "etc/kubernetes/manifests/kube-scheduler.yaml"]),
    ("kubeconfigs", &["etc/kubernetes/admin.conf", "etc/kubernetes/controller-manager.conf", "etc/kubernetes/scheduler.conf"]),
    ("kubelet.conf", &["etc/kubernetes/kubelet.conf"]),
    ("kubelet", &["var/lib/kubelet/config.yaml", "var/lib/kubelet/kubeadm-flags.env", "var/lib/kubelet/pki/kubelet-client-current.pem"]),
    ("CA", &["etc/kubernetes/pki/ca.crt", "etc/kubernetes/pki/ca.key"]),
    (
        "other CAs",
        &[
            "etc/kubernetes/pki/sa.key",
            "etc/kubernetes/pki/sa.pub",
            "etc/kubernetes/pki/front-proxy-ca.crt",
            "etc/kubernetes/pki/front-proxy-ca.key",
            "etc/kubernetes/pki/etcd/ca.crt",
            "etc/kubernetes/pki/etcd/ca.key",
        ],
    ),
    (
        "leaves",
        &[
            "etc/kubernetes/pki/apiserver.crt",
            "etc/kubernetes/pki/apiserver.key",
            "etc/kubernetes/pki/etcd/server.crt",
            "etc/kubernetes/pki/etcd/server.key",
            "etc/kubernetes/pki/etcd/peer.crt",
            "etc/kubernetes/pki/etcd/peer.key",
        ],
    ),
    ("etcd's data", &["var/lib/etcd/member/wal/0.wal"]),
];

/// A whole file of its kind, as far as facts.sh looks at it. Certificates are those of a real control plane.
fn content(path: &str, recorded: &str) -> String {
    let der = recorded.lines().find_map(|line| line.strip_prefix(&format!("certificate\t/{path}\t")));
    match (der, path.rsplit('.').next()) {
        (Some(der), _) if path.ends_with(".pem") => {
            format!(
                "-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\nx\n-----END EC PRIVATE KEY-----\n"
            )
        }
        (Some(der), _) => format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n"),
        (_, Some("key")) => "-----BEGIN EC PRIVATE KEY-----\nx\n-----END EC PRIVATE KEY-----\n".to_owned(),
        (_, Some("pub")) => "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----\n".to_owned(),
        (_, Some("env")) => "KUBELET_KUBEADM_ARGS=\"\"\n".to_owned(),
        (_, Some("conf")) => {
            let of = |key: &str| recorded.lines().find_map(|line| line.strip_prefix(&format!("{key}\t"))).unwrap_or_default();
            let pem = if path.ends_with("kubelet.conf") { "/var/lib/kubelet/pki/kubelet-client-current.pem" } else { "x" };
            format!("server: {}\ncertificate-authority-data: {}\nclient-key: {pem}\n", of("server"), of("authority"))
        }
        _ => "status: {}\n".to_owned(),
    }
}

/// Every file, in the order of the groups.
fn files() -> Vec<&'static str> {
    GROUPS.iter().flat_map(|(_, files)| *files).copied().collect()
}

/// What is lost: files, by their places in [`files`], one bit each.
type Loss = u32;

/// A loss of whole groups, one bit each.
fn of_groups(groups: usize) -> Loss {
    let lost = |group: usize| groups & (1 << group) != 0;
    let each = GROUPS.iter().enumerate().flat_map(|(group, (_, files))| files.iter().map(move |_| group));
    each.enumerate().filter(|(_, group)| lost(*group)).fold(0, |loss, (file, _)| loss | 1 << file)
}

/// Programs of this computer that have nothing to say here, as none of the cluster's runs. Found first, they say so at once; the real ones took two
/// thirds of the time.
fn silent_programs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for program in ["journalctl", "kubectl", "ss", "systemctl", "timedatectl"] {
        let file = folder.path().join(program);
        fs::write(&file, "#!/bin/sh\nexit 1\n").expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    folder
}

/// The files of a control plane, below a folder, and the real facts.sh, which looks at them there.
struct Root {
    folder: tempfile::TempDir,
    script: String,
    /// Where the script finds programs.
    path: String,
}

impl Root {
    fn new(recorded: &str, path: &str) -> Root {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().to_str().expect("a plain path");
        let write = |path: &str, text: &str| {
            let file = folder.path().join(path);
            fs::create_dir_all(file.parent().expect("it is below the root")).expect("a folder");
            fs::write(file, text).expect("a file");
        };
        write("etc/os-release", "ID=debian\nPRETTY_NAME=Debian\n");
        files().into_iter().for_each(|path| write(path, &content(path, recorded)));
        fs::create_dir(folder.path().join("lost")).expect("a folder");
        let mut script = template::render("facts.sh", question(None, None, Vec::new()).expect("templates fit")).expect("templates fit");
        for below in ["/etc/", "/opt/hostler/", "/run/", "/var/l", "/proc/swaps", "/proc/mounts"] {
            script = script.replace(below, &format!("{root}{below}"));
        }
        Root { folder, script, path: path.to_owned() }
    }

    /// What the script says of Kubernetes while this is lost. The files are moved away and back: to make them anew each time takes a file system
    /// longer than the script takes.
    fn told(&self, loss: Loss) -> KubernetesFacts {
        let root = self.folder.path();
        let all = files();
        let lost: Vec<(usize, &str)> = all.into_iter().enumerate().filter(|(number, _)| loss & (1 << number) != 0).collect();
        let away = |number: usize| root.join("lost").join(number.to_string());
        for (number, path) in &lost {
            fs::rename(root.join(path), away(*number)).expect("it is there");
            // Folders go with their last file.
            let below = |folder: &&Path| folder.components().count() > 2;
            Path::new(path).ancestors().skip(1).take_while(below).for_each(|folder| drop(fs::remove_dir(root.join(folder))));
        }
        let mut command = Command::new("dash");
        command.arg("-s").env("PATH", &self.path).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("apt-get install dash");
        child.stdin.take().expect("piped").write_all(self.script.as_bytes()).expect("it reads all");
        let output = child.wait_with_output().expect("it ends");
        for (number, path) in lost {
            let file = root.join(path);
            fs::create_dir_all(file.parent().expect("it is below the root")).expect("a folder");
            fs::rename(away(number), file).expect("it is there");
        }
        let said = String::from_utf8_lossy(&output.stdout).replace(&root.display().to_string(), "");
        facts::parse(&said).unwrap_or_else(|error| panic!("{error}\n{said}")).kubernetes
    }
}

/// The way out that a text names, where it would take etcd's data away.
fn destructive(text: &str) -> Option<&'static str> {
    ["--from", "--new-cluster", "--take-over", "hostler reset", "rebuild twilightsparkle"].into_iter().find(|word| text.contains(word))
}

/// What is wrong with what the planner makes of a control plane of which this is left.
fn wrong(kubernetes: &KubernetesFacts, well: &World, inventory: &Inventory) -> Vec<String> {
    let name = MachineName::new("twilightsparkle").expect("a name");
    let mut world = well.clone();
    for facts in world.machines.values_mut() {
        facts.kubernetes.ca = Some(CA.to_owned());
    }
    let machine = world.machines.get_mut(&name).expect("it is a machine");
    machine.clock = 1_795_000_000;
    machine.kubernetes = kubernetes.clone();
    let mut seen = world.seen();
    if let Some(Observation::Facts(facts)) = seen.get_mut(&name) {
        facts.cluster = None;
        facts.api_down = Some("connection refused".to_owned());
    }
    let plan = |goal: &Goal| -> Plan { plan_for(goal, inventory, &manifests(), &seen).expect("templates fit") };
    let takes = |plan: &Plan| plan.steps.iter().any(|step| step.machine == name && matches!(step.id.kind, StepKind::Wipe | StepKind::Init));
    let mut wrong = Vec::new();
    let up = plan(&Goal::Up);
    if !kubernetes.etcd_data {
        return wrong;
    }
    if takes(&up) {
        wrong.push("up takes the data away".to_owned());
    }
    let status = status(inventory, &seen, Some(&up), None);
    let hints = up.refusals.iter().map(|refusal| &refusal.hint).chain(&status.next);
    wrong.extend(hints.filter_map(|hint| destructive(&hint.to_string()).map(|word| format!("{word} is named: {hint}"))));
    for goal in [Goal::Restore { machine: name.clone(), snapshot: snapshot("twilightsparkle") }, Goal::NewCluster(name.clone())] {
        if takes(&plan(&goal)) {
            wrong.push(format!("{goal:?} takes the data away"));
        }
    }
    wrong
}

/// Of the control plane that was recorded.
const CA: &str = "cc5c9ed540a8e6042dc3114dab08c1b4f706ced52e557ae4bdb9162dda37b1a7";

/// Whether any of these losses costs the data, or is told with a way out that would.
fn none_costs_the_data(losses: &[Loss]) {
    let recorded = include_str!("../facts/control-plane.txt");
    let text =
        "machines:\n  twilightsparkle: {address: 10.77.0.11, role: control-plane}\n  rainbowdash: {address: 10.77.0.12, role: worker}\n";
    let inventory = parse(text, "inventory.yaml").unwrap_or_else(|problems| panic!("{problems}"));
    let well = world_of(&inventory);
    let files = files();
    let data = files.iter().position(|file| file.starts_with("var/lib/etcd")).expect("it is among them");
    let silent = silent_programs();
    let path = format!("{}:{}", silent.path().display(), std::env::var("PATH").unwrap_or_default());
    let next = AtomicUsize::new(0);
    let found: Vec<String> = std::thread::scope(|scope| {
        let look = || {
            let (mut found, root) = (Vec::new(), Root::new(recorded, &path));
            while let Some(loss) = losses.get(next.fetch_add(1, Ordering::Relaxed)) {
                let kubernetes = root.told(*loss);
                assert_eq!(kubernetes.etcd_data, loss & (1 << data) == 0, "{loss:b}: {kubernetes:?}");
                let lost: Vec<&str> = (0..files.len()).filter(|file| loss & (1 << file) != 0).map(|file| files[file]).collect();
                found.extend(wrong(&kubernetes, &well, &inventory).into_iter().map(|what| format!("without {}: {what}", lost.join(", "))));
            }
            found
        };
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(look)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(found.is_empty(), "{} in all:\n{}", found.len(), found.iter().take(30).cloned().collect::<Vec<_>>().join("\n"));
}

#[test]
fn no_loss_of_groups_of_files_costs_the_data() {
    none_costs_the_data(&(0..1 << GROUPS.len()).map(of_groups).collect::<Vec<_>>());
}

#[test]
fn no_loss_of_a_file_or_two_costs_the_data() {
    let count = files().len();
    let pairs = (0..count).flat_map(|one| (one..count).map(move |other| 1 << one | 1 << other));
    none_costs_the_data(&pairs.collect::<Vec<Loss>>());
}

#[test]
fn no_loss_of_files_at_random_costs_the_data() {
    use proptest::prelude::Rng as _;
    // The same ones each time: a run that fails is told by its files.
    let mut random = proptest::test_runner::TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &[7; 32]);
    let all = (1 << files().len()) - 1;
    none_costs_the_data(&(0..2_000).map(|_| random.next_u32() & all).collect::<Vec<Loss>>());
}
