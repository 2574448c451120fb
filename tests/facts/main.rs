//! facts.sh as machines run it, and what its answers are read as.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use hostler_core::arch::Arch;
use hostler_core::document::Document;
use hostler_core::facts::{self, Facts, Question};
use hostler_core::inventory::MachineName;
use hostler_core::kubeadm_files;
use hostler_core::record::{Applied, Record};
use hostler_core::template;
use proptest::prelude::*;

mod boot;
mod control_plane;
mod devices;
mod hosts;
mod snapshots;
mod vip;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn question() -> Question {
    Question {
        files: words(&["/opt/hostler/current/bin/kubelet", "/etc/crictl.yaml", "/etc/it's here", "/etc/folder", "/etc/missing"]),
        node_files: kubeadm_files::of_node(),
        control_plane_files: kubeadm_files::of_control_plane(),
        links: words(&["/opt/hostler/current", "/etc/crictl.yaml"]),
        units: words(&["containerd.service", "kubelet.service"]),
        programs: words(&["sh", "no-such-program", "kubectl"]),
        modules: words(&["no_such_module"]),
        sysctls: words(&["kernel.pid_max", "net.ipv4.ip_local_port_range", "no.such.key"]),
        keep: words(&["/var/lib/films", "/var/lib/it's here"]),
        resolv_conf: "/etc/it's resolv.conf".to_owned(),
        endpoint: "api.home.internal".to_owned(),
        commands: words(&["kubectl", "crictl", "runc", "ctr"]),
        shares: words(&["/tmp/no such folder"]),
        snapshots: String::new(),
        add_ons: true,
        images: true,
        tunnel: true,
        requests: true,
        kubelet_requests: true,
        fsync: [MachineName::new("rarity").expect("a name")].into(),
        system: true,
        workload: true,
        cluster_objects: Vec::new(),
        vip: BTreeMap::new(),
        uid: 1000,
        gid: 100,
    }
}

fn script() -> String {
    script_of(question())
}

fn script_of(question: Question) -> String {
    template::render("facts.sh", question).expect("the template can be filled in")
}

/// What `program` (where it is missing: the Debian package that brings it) says of the script.
fn run(program: &str, package: &str, args: &[&str], script: &str) -> String {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}; apt-get install {package}"));
    let mut stdin = child.stdin.take().expect("piped");
    let text = script.to_owned();
    let writing = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writing.join().expect("no panic").expect("it reads all");
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {args:?}: {}\n{said}{complained}", output.status);
    assert_eq!(complained, "", "{program} complained");
    said.into_owned()
}

/// A machine made of files: the script with every path that counts moved below a folder.
struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    fn new() -> Machine {
        let machine = Machine { root: tempfile::tempdir().expect("a folder") };
        machine.file("/etc/os-release", "ID=debian\nVERSION_ID=\"13\"\nPRETTY_NAME='Debian GNU/Linux 13 (trixie)'\nANSI_COLOR=1\n");
        machine.folder("/var/lib");
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    fn folder(&self, path: &str) {
        fs::create_dir_all(self.path(path)).expect("a folder");
    }

    fn file(&self, path: &str, content: &str) {
        self.folder(Path::new(path).parent().and_then(Path::to_str).expect("a parent"));
        fs::write(self.path(path), content).expect("a file");
    }

    fn link(&self, path: &str, target: impl AsRef<Path>) {
        self.folder(Path::new(path).parent().and_then(Path::to_str).expect("a parent"));
        symlink(target, self.path(path)).expect("a link");
    }

    fn pipe(&self, path: &str) {
        self.folder(Path::new(path).parent().and_then(Path::to_str).expect("a parent"));
        assert!(Command::new("mkfifo").arg(self.path(path)).status().expect("coreutils").success());
    }

    fn program(&self, path: &str, script: &str) {
        self.file(path, &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o755)).expect("our own file");
    }

    fn output(&self) -> String {
        self.output_of(script())
    }

    fn output_of(&self, mut script: String) -> String {
        let root = self.root.path().to_str().expect("a plain path");
        for folder in [
            "/etc/",
            "/opt/hostler/",
            "/usr/local/bin/",
            "/run/",
            "/boot/",
            "/dev/dri/",
            "/sys/class/drm/",
            "/var/lib",
            "/var/log/pods",
            "/sys/block",
            "/proc/swaps",
            "/proc/mounts",
            "/proc/net/fib_trie",
            "/proc/net/if_inet6",
            "/proc/net/route",
            "/proc/net/ipv6_route",
        ] {
            script = script.replace(folder, &format!("{root}{folder}"));
        }
        // A script that waits for another program would wait forever.
        run("timeout", "coreutils", &["60", "dash", "-s"], &script).replace(root, "")
    }

    /// What it tells as a control plane that is to have the VIP 192.0.2.10.
    fn facts_with_vip(&self) -> Facts {
        let vip = [(MachineName::new("rarity").expect("a name"), "192.0.2.10".parse().expect("an address"))].into();
        let output = self.output_of(script_of(Question { vip, ..question() }));
        facts::parse(&output).unwrap_or_else(|error| panic!("{error}\n{output}"))
    }

    fn facts(&self) -> Facts {
        let output = self.output();
        facts::parse(&output).unwrap_or_else(|error| panic!("{error}\n{output}"))
    }
}

#[test]
fn the_script_is_posix() {
    run("dash", "dash", &["-n"], &script());
    // A quote inside a path is meant as it stands.
    run("shellcheck", "shellcheck", &["--shell=sh", "--exclude=SC2089,SC2090", "-"], &script());
}

#[test]
fn this_computer_tells_its_facts() {
    let output = run("dash", "dash", &["-s"], &script());
    let facts = facts::parse(&output).unwrap_or_else(|error| panic!("{error}\n{output}"));
    let file = |path: &str| fs::read_to_string(path).expect("every Linux has it").trim().to_owned();
    assert_eq!(facts.hostname, file("/proc/sys/kernel/hostname"));
    assert_eq!(facts.hostname_at_boot, file("/etc/hostname"));
    assert_eq!(facts.cpus as usize, file("/proc/cpuinfo").lines().filter(|line| line.starts_with("processor")).count());
    assert_eq!(facts.sysctls["kernel.pid_max"], file("/proc/sys/kernel/pid_max"));
    assert_eq!(facts.sysctls["net.ipv4.ip_local_port_range"], file("/proc/sys/net/ipv4/ip_local_port_range").replace('\t', " "));
    assert_eq!(facts.sysctls.len(), 2);
    assert!(facts.memory > facts.memory_available && facts.memory_available > 0, "{facts:?}");
    let uptime = || file("/proc/uptime").split('.').next().and_then(|seconds| seconds.parse::<u64>().ok()).expect("seconds");
    assert!(facts.uptime > 0 && facts.uptime <= uptime(), "{}", facts.uptime);
    assert!(facts.disk_size > facts.disk_free, "{facts:?}");
    assert!(facts.programs.contains("sh") && !facts.programs.contains("no-such-program"));
    assert!(facts.modules.is_empty());
    assert!(file("/etc/os-release").contains(&facts.os_name));
    assert!(facts.arch.is_some(), "{}", facts.machine);
}

#[test]
fn a_listening_port_is_seen_without_ss_too() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    for script in [script(), script().replace("command -v ss", "command -v no-such-ss")] {
        let facts = facts::parse(&run("dash", "dash", &["-s"], &script)).expect("facts");
        assert!(facts.ports.contains_key(&port), "{port} is not in {:?}", facts.ports);
    }
}

#[test]
fn files_and_links() {
    let machine = Machine::new();
    machine.file("/etc/crictl.yaml", "runtime-endpoint: unix:///run/containerd/containerd.sock\n");
    machine.file("/etc/it's here", "");
    machine.folder("/etc/folder");
    machine.file("/etc/containerd/conf.d/stale.toml", "version = 3\n");
    machine.file("/opt/hostler/sets/1/bin/kubelet", "one");
    machine.link("/opt/hostler/current", "sets/1");
    fs::set_permissions(machine.path("/etc/crictl.yaml"), fs::Permissions::from_mode(0o640)).expect("our own file");
    let facts = machine.facts();
    assert_eq!(
        facts.files.keys().collect::<Vec<_>>(),
        ["/etc/containerd/conf.d/stale.toml", "/etc/crictl.yaml", "/etc/it's here", "/opt/hostler/current/bin/kubelet"]
    );
    assert_eq!(facts.files["/etc/it's here"].sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(facts.files["/opt/hostler/current/bin/kubelet"].sha256, "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed");
    assert_eq!(facts.files["/etc/crictl.yaml"].mode, "640");
    assert_eq!(facts.links.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect::<Vec<_>>(), [("/opt/hostler/current", "sets/1")]);
}

#[test]
fn what_was_verified_is_hashed_again_only_after_a_change() {
    const KUBELET: &str = "/opt/hostler/current/bin/kubelet";
    let machine = Machine::new();
    machine.file("/opt/hostler/store/recorded", "one");
    machine.folder("/opt/hostler/sets/1/bin");
    fs::hard_link(machine.path("/opt/hostler/store/recorded"), machine.path("/opt/hostler/sets/1/bin/kubelet")).expect("a link");
    machine.link("/opt/hostler/current", "sets/1");
    // As templates/machine/programs.sh records it, with a sum that hashing could not give.
    let record = Command::new("stat")
        .args(["-L", "-c", "recorded %i %s %.9Y %.9Z %n"])
        .arg(machine.path("/opt/hostler/store/recorded"))
        .output()
        .expect("coreutils");
    machine.file("/opt/hostler/verified", &String::from_utf8(record.stdout).expect("text"));
    assert_eq!(machine.facts().files[KUBELET].sha256, "recorded");
    let times = fs::metadata(machine.path(KUBELET)).and_then(|file| file.modified()).expect("a time");
    fs::write(machine.path(KUBELET), "two").expect("our own file");
    // Size and time can be put back as they were; the time of that change can't.
    fs::File::options().write(true).open(machine.path(KUBELET)).and_then(|file| file.set_modified(times)).expect("our own file");
    assert_eq!(machine.facts().files[KUBELET].sha256, "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3");
}

#[test]
fn swap_hosts_nameservers_and_records() {
    let machine = Machine::new();
    machine.file("/etc/hosts", "127.0.0.1 localhost\n# hostler begin\n10.0.0.1 one\n10.0.0.2\ttwo\n# hostler end\n10.0.0.9 mine\n");
    machine.file("/etc/resolv.conf", "# none\nsearch lan\nnameserver 10.0.0.53\nnameserver fd00::53\n");
    machine.file(
        "/etc/fstab",
        "UUID=1 / ext4 defaults 0 1\n#/dev/old none swap sw 0 0\n/dev/sda3\tnone\tswap\tsw\t0\t0\n/dev/b none swap sw,noauto 0 0\n",
    );
    machine.file("/proc/swaps", "Filename\t\t\tType\t\tSize\n/dev/sda3                               partition\t1\t0\t-2\n");
    machine.file("/etc/systemd/system/disk.swap", "");
    machine.link("/etc/systemd/system/masked.swap", "/dev/null");
    for unit in ["disk.swap", "masked.swap"] {
        machine.link(&format!("/etc/systemd/system/swap.target.wants/{unit}"), format!("../{unit}"));
    }
    machine.file("/etc/hostler/applied/kubelet", "abc\n");
    machine.file("/etc/hostler/applied/.kubelet.hostler-new", "def\n");
    let facts = machine.facts();
    assert_eq!(facts.hosts, ["10.0.0.1 one", "10.0.0.2 two"]);
    assert_eq!(facts.nameservers, ["10.0.0.53", "fd00::53"]);
    assert_eq!(facts.swap, ["/dev/sda3"]);
    assert_eq!(facts.swap_at_boot, ["/etc/fstab: /dev/sda3", "disk.swap"]);
    assert_eq!(facts.applied.iter().collect::<Vec<_>>(), [(&Applied::Document(Document::Kubelet), &"abc".to_owned())]);
    assert_eq!(facts.os, "debian");
    assert_eq!(facts.os_name, "Debian GNU/Linux 13 (trixie)");
}

#[test]
fn what_its_owner_told_cloud_init_counts_while_cloud_init_runs() {
    let machine = Machine::new();
    let user_data = |text: &str| machine.file("/var/lib/cloud/instance/cloud-config.txt", &format!("#cloud-config\n{text}\n"));
    user_data("disable_root: false");
    assert!(!machine.facts().cloud_user_data);
    user_data("manage_etc_hosts: true");
    assert!(machine.facts().cloud_user_data);
    machine.file("/etc/cloud/cloud-init.disabled", "");
    assert!(!machine.facts().cloud_user_data);
}

/// logind keeps a named pipe beside each inhibitor: reading it lasts as long as its holder lives, which is forever where unattended-upgrades runs.
#[test]
fn an_inhibitor_of_another_program_is_no_kubelet_and_holds_nothing_up() {
    let machine = Machine::new();
    let inhibitor = |number: u32, who: &str| {
        machine.file(&format!("/run/systemd/inhibit/{number}"), &format!("# private\nWHAT=shutdown\nMODE=delay\nWHO={who}\n"));
        machine.pipe(&format!("/run/systemd/inhibit/{number}.ref"));
    };
    inhibitor(1, "Unattended Upgrades Shutdown");
    assert!(!machine.facts().delays_shutdown);
    inhibitor(2, "kubelet");
    assert!(machine.facts().delays_shutdown);
}

/// Whatever lies in a folder that the script lists: only files are opened.
#[test]
fn a_named_pipe_holds_nothing_up() {
    let machine = Machine::new();
    machine.file("/etc/kubernetes/kubelet.conf", "");
    for path in [
        "/etc/kubernetes/manifests/kube-other.yaml",
        "/etc/kubernetes/other.conf",
        "/etc/kubernetes/pki/other.crt",
        "/etc/kubernetes/pki/other.key",
        "/etc/kubernetes/pki/etcd/other.crt",
        "/etc/containerd/conf.d/other.toml",
        "/etc/hostler/applied/other",
        "/run/hostler/steps/other",
    ] {
        machine.pipe(path);
        machine.output();
    }
}

/// However the kernel spells it that a file system takes no more writes.
#[test]
fn a_file_system_that_can_not_be_written_is_told() {
    let machine = Machine::new();
    let told = |options: &str| {
        machine.file("/proc/mounts", &format!("/dev/sda1 / ext4 {options} 0 0\n/dev/sda2 /srv ext4 ro 0 0\n"));
        machine.facts().read_only.into_iter().collect::<Vec<_>>()
    };
    for options in ["ro", "ro,relatime", "rw,relatime,emergency_ro", "rw,shutdown,relatime"] {
        assert_eq!(told(options), ["/"], "{options}");
    }
    for options in ["rw,relatime,errors=remount-ro", "rw", "rw,data=ordered,nobarrier"] {
        assert_eq!(told(options), Vec::<String>::new(), "{options}");
    }
}

/// systemd starts one that ends at once again and again: that is no unit that runs.
#[test]
fn a_unit_that_is_about_to_be_restarted_does_not_run() {
    for (state, runs) in [("active", true), ("activating", false), ("failed", false), ("inactive", false), ("deactivating", false)] {
        let output = format!("hostler-facts 1\nunit\tId=kubelet.service\tActiveState={state}\tUnitFileState=enabled\nhostler-facts end\n");
        let facts = facts::parse(&output).expect("facts");
        assert_eq!(facts.units["kubelet.service"].active, runs, "{state}");
    }
}

#[test]
fn addresses_come_from_the_kernel() {
    let machine = Machine::new();
    let lines = [
        "Main:",
        "     |-- 0.0.0.0",
        "        /0 universe UNICAST",
        "           |-- 127.0.0.1",
        "              /32 host LOCAL",
        "           |-- 10.77.0.11",
        "              /32 host LOCAL",
        "           |-- 10.77.0.255",
        "              /32 link BROADCAST",
    ];
    machine.file("/proc/net/fib_trie", &lines.join("\n"));
    let lines = [
        "fe8000000000000000fc00fffe000001 04 40 20 80     eth0",
        "fd000000000000000000000000000002 04 40 00 82     eth0",
        "00000000000000000000000000000001 01 80 10 80       lo",
    ];
    machine.file("/proc/net/if_inet6", &lines.join("\n"));
    assert_eq!(machine.facts().addresses.into_iter().collect::<Vec<_>>(), ["10.77.0.11", "fd00::2"]);
}

#[test]
fn networks_come_from_the_routes_without_a_router() {
    let machine = Machine::new();
    let lines = [
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT",
        "eth0\t00000000\t01004D0A\t0003\t0\t0\t0\t00000000\t0\t0\t0",
        "eth0\t00004D0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0",
        "flannel.1\t0001F40A\t0001F40A\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0",
    ];
    machine.file("/proc/net/route", &lines.join("\n"));
    let none = "0".repeat(32);
    let route = |network: &str, length: &str, gateway: &str| {
        format!("{network} {length} {none} 00 {gateway} 00000100 00000001 00000000 00000001     eth0")
    };
    let lines = [
        route("fd000000000000000000000000000000", "40", &none),
        route("fd000000000000000000000000000002", "80", &none),
        route("fe800000000000000000000000000000", "40", &none),
        route("ff000000000000000000000000000000", "08", &none),
        route(&none, "00", "fe800000000000000000000000000001"),
    ];
    machine.file("/proc/net/ipv6_route", &lines.join("\n"));
    let networks: Vec<String> = machine.facts().networks.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.77.0.0/24", "fd00::/64"]);
}

#[test]
fn a_lock_is_told_while_its_holder_lives() {
    const TEXT: &str = "run=r1\nstep=one/swap\nsince=1700000000\n";
    let machine = Machine::new();
    machine.file("/run/hostler/steps/one.swap", TEXT);
    assert_eq!(machine.facts().lock, None);
    let path = machine.path("/run/hostler/steps/one.swap");
    let mut holder = Command::new("flock")
        .arg(&path)
        .args(["sh", "-c", "echo held; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("util-linux");
    let mut line = String::new();
    BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut line).expect("it says so");
    let lock = machine.facts().lock.expect("held");
    assert_eq!((lock.run.as_str(), lock.step.as_str(), lock.since), ("r1", "one/swap", 1_700_000_000));
    drop(holder.stdin.take());
    holder.wait().expect("it ends");
    assert_eq!(machine.facts().lock, None);
    assert_eq!(fs::read_to_string(path).expect("still there"), TEXT);
}

#[test]
fn what_an_earlier_cluster_left() {
    let machine = Machine::new();
    for path in ["kubernetes/manifests/etcd.yaml", "cni/net.d/10-flannel.conflist", "cni/net.d/87-podman.conflist"] {
        machine.file(&format!("/etc/{path}"), "");
    }
    machine.folder("/var/lib/etcd/member");
    let kubernetes = machine.facts().kubernetes;
    assert_eq!(kubernetes.leftovers, ["/etc/kubernetes/manifests/etcd.yaml", "/var/lib/etcd/member", "/etc/cni/net.d/10-flannel.conflist"]);
    assert!(!kubernetes.joined && !kubernetes.control_plane);
    machine.file("/etc/kubernetes/kubelet.conf", "");
    let kubernetes = machine.facts().kubernetes;
    assert!(kubernetes.joined && kubernetes.leftovers.is_empty());
}

#[test]
fn noise_is_passed_over_and_a_cut_is_noticed() {
    let output = Machine::new().output();
    let whole = facts::parse(&output).expect("facts");
    let noisy = format!("Welcome!\n\n{}bye\n", output.replace("hostler-facts end", "new-key\t1\thello\nhostler-facts end"));
    assert_eq!(facts::parse(&noisy).expect("facts"), whole);
    assert_eq!(facts::parse(&output.replace('\n', "\r\n")).expect("facts"), whole);
    let end = output.rfind("hostler-facts end").expect("it is whole") + "hostler-facts end".len();
    for cut in (0..end).filter(|cut| output.is_char_boundary(*cut)) {
        let error = facts::parse(&output[..cut]).expect_err("cut");
        assert!(error.to_string().starts_with("line "), "{error}");
    }
    let error = facts::parse("motd\nhostler-facts 2\nhostler-facts end\n").expect_err("another version");
    assert_eq!(error.line, 2);
    let error = facts::parse("hostler-facts 1\nclock\tnow\nhostler-facts end\n").expect_err("no number");
    assert_eq!(error.to_string(), "line 2 of the facts is not valid: `now` is not a valid number for `clock`");
}

proptest! {
    #[test]
    fn garbled_output_never_panics(text in "\\PC*", at in 0usize..4000, length in 0usize..200) {
        static OUTPUT: LazyLock<String> = LazyLock::new(|| Machine::new().output());
        let mut bytes = OUTPUT.clone().into_bytes();
        let at = at.min(bytes.len());
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, text.bytes());
        facts::parse(&String::from_utf8_lossy(&bytes)).ok();
        facts::parse(&text).ok();
    }
}

#[test]
fn a_recorded_control_plane() {
    // Recorded from a real API server, etcd with a learner without a name, and containerd. Sums from openssl and sha256sum.
    let facts = facts::parse(include_str!("control-plane.txt")).expect("facts");
    let kubernetes = &facts.kubernetes;
    assert!(kubernetes.joined && kubernetes.control_plane);
    assert_eq!(kubernetes.ca.as_deref(), Some("cc5c9ed540a8e6042dc3114dab08c1b4f706ced52e557ae4bdb9162dda37b1a7"));
    assert_eq!(kubernetes.node.as_deref(), Some("one"));
    assert_eq!(facts.render_nodes[0].pci_text(), "8086:9a49");
    assert_eq!(kubernetes.server.as_deref(), Some("https://10.77.0.11:6443"));
    // Nov 23 22:18:09 2027 GMT
    assert_eq!(kubernetes.certificates["apiserver"], 1_827_008_289);
    let names: Vec<&str> = kubernetes.certificates.keys().map(String::as_str).collect();
    let mut expected = ["admin.conf", "controller-manager.conf", "scheduler.conf", "kubelet-client", "ca", "apiserver"].to_vec();
    expected.extend(["apiserver-etcd-client", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client"]);
    expected.extend(["etcd-ca", "etcd-server", "etcd-peer", "etcd-healthcheck-client"]);
    expected.sort_unstable();
    assert_eq!(names, expected);
    let names: Vec<&str> = facts.kubernetes.api_names.iter().map(String::as_str).collect();
    let kubernetes = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];
    assert_eq!(names, [&["10.77.0.11", "10.96.0.1", "home.lan"], &kubernetes[..], &["one"]].concat());

    let cluster = facts.cluster.as_ref().expect("it answered");
    assert_eq!((facts.api_down.as_deref(), cluster.version.as_str()), (None, "1.36.3"));
    assert_eq!((cluster.pod_subnet.as_str(), cluster.service_subnet.as_str()), ("10.244.0.0/16", "10.96.0.0/12"));
    assert_eq!((cluster.endpoint.as_str(), cluster.cluster_name.as_str()), ("home.lan:6443", "home"));
    assert_eq!(cluster.record[&Record::Document(Document::Kubelet)], "abc");
    let node = &cluster.nodes["one"];
    assert!(!node.ready && node.unschedulable);
    assert_eq!(node.message, "container runtime network not ready: cni plugin not initialized");
    assert_eq!((node.version.as_str(), node.address.as_str(), node.labels["disk"].as_str()), ("1.36.3", "10.77.0.11", "fast"));
    let taints: Vec<String> = node.taints.iter().map(ToString::to_string).collect();
    assert_eq!(
        taints,
        ["node-role.kubernetes.io/control-plane:NoSchedule", "a=b:PreferNoSchedule", "node.kubernetes.io/not-ready:NoSchedule"]
    );
    let members: Vec<_> =
        cluster.members.iter().map(|(id, member)| (id.as_str(), member.name.as_str(), member.learner, member.healthy)).collect();
    assert_eq!(members, [("252902638f78db76", "one", false, true), ("6e0a60c09ba74848", "", true, false)]);

    let pause = &facts.images["registry.k8s.io/pause:3.10.2"];
    assert!(pause.pinned);
    assert_eq!(pause.digest, "sha256:44f638a82af4640177083b82989bcdfdc822c719eb2c98f803aa3e74d5d0c360");
    assert_eq!(facts.ports[&6443], "kube-apiserver");
    assert_eq!(facts.foreign, Vec::<String>::new());
    assert_eq!(facts.container.as_deref(), Some("systemd-nspawn"));
    assert!(facts.systemd && facts.clock_synchronized);
    assert_eq!((facts.arch, facts.disk_size), (Some(Arch::Amd64), 66_053_021 * 4));
}

#[test]
fn units_and_another_containerd() {
    // Recorded from systemd 257.
    let machine = Machine::new();
    machine.file("/etc/recorded", include_str!("systemctl-show.txt"));
    let recorded = machine.path("/etc/recorded");
    machine.program("/opt/hostler/current/bin/systemctl", &format!("cat {}", recorded.display()));
    let facts = machine.facts();
    let units: Vec<_> = facts.units.iter().map(|(name, unit)| (name.as_str(), unit.active, unit.enabled, unit.needs_reload)).collect();
    assert_eq!(units, [("containerd.service", true, true, false), ("kubelet.service", true, false, true)]);
    assert_eq!(facts.foreign, ["containerd from /etc/systemd/system/containerd.service"]);
    assert!(!facts.clock_synchronized);
    let text = include_str!("systemctl-show.txt").replace("/usr/local/bin/containerd", "/opt/hostler/current/bin/containerd");
    let text = text.replace(
        "Id=systemd-timesyncd.service\nLoadState=not-found\nActiveState=inactive",
        "Id=systemd-timesyncd.service\nLoadState=loaded\nActiveState=active",
    );
    let text = text.replace("Id=docker.service\nLoadState=not-found\n", "Id=k3s.service\nLoadState=loaded\n");
    fs::write(recorded, text).expect("our own file");
    let facts = machine.facts();
    assert_eq!(facts.foreign, ["k3s.service"]);
    assert!(facts.clock_synchronized);
}

#[test]
fn what_somebody_mounted_in_a_clusters_folders() {
    let machine = Machine::new();
    let places = [
        "/",
        "/var/lib",
        "/etc/kubernetes-old",
        "/var/lib/etcd",
        "/var/lib/kubelet/pods",
        "/var/lib/kubelet/pods/6f1c/volumes/kubernetes.io~projected/token",
        "/var/lib/kubelet/plugins/kubernetes.io/csi/pv",
        "/etc/kubernetes/pki/etcd",
    ];
    let mounts: Vec<String> =
        places.iter().map(|place| format!("/dev/sdb1 {} ext4 rw,relatime 0 0\n", machine.path(place).display())).collect();
    machine.file("/proc/mounts", &mounts.concat());
    assert_eq!(machine.facts().mounts, ["/var/lib/etcd", "/var/lib/kubelet/pods", "/etc/kubernetes/pki/etcd"]);
}

#[test]
fn links_of_folders_that_would_be_wiped_are_told_with_what_is_mounted_behind_them() {
    let machine = Machine::new();
    assert!(machine.facts().resolved.is_empty());
    machine.folder("/var/lib/disk/kubelet");
    machine.link("/var/lib/kubelet", machine.path("/var/lib/disk/kubelet").to_str().expect("a path"));
    machine.link("/var/lib/films", machine.path("/var/lib/disk").to_str().expect("a path"));
    machine.link("/var/lib/it's here", machine.path("/var/lib/none").to_str().expect("a path"));
    let places = ["/var/lib/disk", "/var/lib/disk/kubelet/pods/6f1c/token", "/var/lib/disk/kubelet/mine", "/var/lib/disk/kubelet-other"];
    let mounts: Vec<String> =
        places.iter().map(|place| format!("/dev/sdb1 {} ext4 rw,relatime 0 0\n", machine.path(place).display())).collect();
    machine.file("/proc/mounts", &mounts.concat());
    let facts = machine.facts();
    let pairs: Vec<(&str, &str)> = facts.resolved.iter().map(|(path, real)| (path.as_str(), real.as_str())).collect();
    let expected =
        [("/var/lib/films", "/var/lib/disk"), ("/var/lib/it's here", "/var/lib/none"), ("/var/lib/kubelet", "/var/lib/disk/kubelet")];
    assert_eq!(pairs, expected);
    assert_eq!(facts.mounts, ["/var/lib/disk/kubelet/mine"]);
}

#[test]
fn containerd_s_configuration_says_which_pieces_are_hostler_s() {
    let machine = Machine::new();
    assert_eq!(machine.facts().containerd_pieces, None);
    machine.file("/etc/containerd/config.toml", "version = 2\n# of the user\n");
    assert_eq!(machine.facts().containerd_pieces, None);
    for (pieces, read) in [("", vec![]), (" a.toml b.toml", vec!["a.toml", "b.toml"])] {
        machine.file("/etc/containerd/config.toml", &format!("version = 3\n# Pieces of the inventory:{pieces}\n"));
        assert_eq!(machine.facts().containerd_pieces, Some(read.into_iter().map(str::to_owned).collect()));
    }
}
