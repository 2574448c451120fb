//! Each refusal once, with its hint and what causes it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use hostler_core::arch::Arch;
use hostler_core::films::Owner;
use hostler_core::install::disk::Refusal as DiskRefusal;
use hostler_core::inventory::{MachineName, NoToken, Role};
use hostler_core::plan::hint::{Command, Hint, Unless};
use hostler_core::plan::refusal::{Share, Unchangeable, Why};
use hostler_core::plan::system_disk::NoInstaller;
use hostler_core::plan::vip::Taken;

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 10));

/// One row of the table: what is refused, what to do, and what causes it.
pub struct Example {
    pub variant: usize,
    pub why: Why,
    pub hint: Hint,
    pub cause: &'static str,
}

/// Examples of every variant of `Why`. A variant without one does not compile.
macro_rules! examples {
    ($($variant:pat => [$(($why:expr, $hint:expr, $cause:expr)),+ $(,)?]),+ $(,)?) => {
        /// The place of the variant in the list.
        fn variant_of(why: &Why) -> usize {
            let mut place = 0;
            $(
                if matches!(why, $variant) {
                    return place;
                }
                place += 1;
            )+
            // Exhaustive, so that the list is.
            match why {
                $($variant => place,)+
            }
        }

        pub fn examples() -> Vec<Example> {
            vec![$($(Example { variant: variant_of(&$why), why: $why, hint: $hint, cause: $cause }),+),+]
        }
    };
}

fn named(name: &str) -> MachineName {
    MachineName::new(name).expect("a machine's name")
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn rebuild(name: &str) -> Command {
    Command::Rebuild { machine: named(name), take_over: false }
}

fn dead(node: &str) -> Command {
    Command::Remove { node: node.to_owned(), dead: true }
}

fn restore(name: &str) -> Command {
    Command::Restore(named(name))
}

fn unchangeable(key: Unchangeable, is: &str, asked: &str) -> (Why, Hint) {
    (Why::Unchangeable { key, is: is.to_owned(), asked: asked.to_owned() }, Hint::KeepAsIs { key, is: is.to_owned() })
}

fn share(what: &'static str, path: &str) -> Share {
    Share { what, path: path.to_owned() }
}

const FILMS: Owner = Owner { uid: 1000, gid: 100 };

examples! {
    Why::AtWork { .. } => [(
        Why::AtWork { step: "rainbowdash/images-node".to_owned(), run: "20260102T030405Z-77 of pinkiepie@bakery".to_owned(), seconds: 42 },
        Hint::LetItEnd,
        "another hostler is running a step there, or one whose connection was lost"
    )],
    Why::ControlPlaneElsewhere { .. } => [(
        Why::ControlPlaneElsewhere { is: named("twilightsparkle"), named: named("fluttershy"), written: false },
        Hint::WriteRole(named("twilightsparkle")),
        "without roles, the first machine of the inventory is the control plane of a new cluster, and the cluster has another one"
    )],
    Why::RolesUnknown { .. } => [(
        Why::RolesUnknown { unreachable: vec![named("rainbowdash"), named("twilightsparkle")] },
        Hint::WriteRoles { unreachable: vec![named("rainbowdash"), named("twilightsparkle")] },
        "the inventory sets no role, and any of these machines may be the control plane"
    )],
    Why::ControlPlaneUnknown { .. } => [
        (
            Why::ControlPlaneUnknown { lost: vec![named("twilightsparkle")], cluster: true },
            Hint::TurnOn(vec![named("twilightsparkle")]),
            "machines are in a cluster, but no control plane could be reached to read the cluster's state"
        ),
        (
            Why::ControlPlaneUnknown { lost: vec![named("twilightsparkle")], cluster: false },
            Hint::TurnOn(vec![named("twilightsparkle")]),
            "a new cluster could destroy the one that this control plane holds"
        ),
    ],
    Why::OtherMachine { .. } => [(
        Why::OtherMachine { found: strings(&["52:54:00:aa:bb:cc"]), expected: "52:54:00:12:34:56".to_owned() },
        Hint::RightMachine(named("rainbowdash")),
        "the router gave the address to another machine, or the network card was replaced"
    )],
    Why::NoSystemd => [(Why::NoSystemd, Hint::InstallSystemd, "hostler's services are systemd units")],
    Why::UnknownArchitecture { .. } => [(
        Why::UnknownArchitecture { machine: "amd64/../../../tmp/evil".to_owned() },
        Hint::KnownArchitecture,
        "there are programs for amd64 and arm64 only; any other value that a machine reports is shown, but not used"
    )],
    Why::Architecture { .. } => [(
        Why::Architecture { is: Arch::Arm64, bundles: vec![Arch::Amd64] },
        Hint::BundleFor { arch: Arch::Arm64 },
        "programs are built for one architecture"
    )],
    Why::Foreign { .. } => [(
        Why::Foreign { platforms: strings(&["k3s"]) },
        Hint::RemovePlatform(strings(&["k3s"])),
        "k3s, Docker or another product's containerd is installed on the machine"
    )],
    Why::WipeInterrupted => [(
        Why::WipeInterrupted,
        Hint::FinishWipe(rebuild("rainbowdash")),
        "only parts of the old cluster have been deleted"
    )],
    Why::RestoreInterrupted => [(
        Why::RestoreInterrupted,
        Hint::FinishRestore(restore("twilightsparkle")),
        "etcd's data may be incomplete"
    )],
    Why::NotBlank { .. } => [(
        Why::NotBlank { leftovers: strings(&["/etc/kubernetes/pki", "/var/lib/etcd/member"]) },
        Hint::WipeFirst { command: Command::TakeOver(named("fluttershy")), leave: false },
        "this blocks kubeadm, and may hold data; the plan with `--take-over` lists what will be deleted"
    )],
    Why::ReadOnly { .. } => [(
        Why::ReadOnly { paths: strings(&["/"]) },
        Hint::FindReadOnly,
        "the kernel remounts the file system of a failing disk"
    )],
    Why::Disk { .. } => [(
        Why::Disk { free: 900, needed: 1500 },
        Hint::MakeRoom,
        "programs, images and pods need space"
    )],
    Why::Port { .. } => [
        (
            Why::Port { port: 10250, by: "squatter".to_owned() },
            Hint::FreePort { port: 10250 },
            "kubelet, etcd or the API server needs that port"
        ),
        (
            Why::Port { port: 6443, by: String::new() },
            Hint::FreePort { port: 6443 },
            "the same, by a program whose name can't be read"
        ),
    ],
    Why::VipTaken(_) => [
        (
            Why::VipTaken(Taken::Device { vip: VIP, mac: "52:54:00:aa:bb:cc".to_owned() }),
            Hint::FreeVip,
            "the control plane asked the network for the address, as keepalived would announce it on a second device"
        ),
        (
            Why::VipTaken(Taken::Device { vip: VIP, mac: String::new() }),
            Hint::FreeVip,
            "the same, behind a router"
        ),
        (
            Why::VipTaken(Taken::Itself { vip: VIP }),
            Hint::GiveVipBack { itself: true },
            "the address is configured on a machine, and would stay there when the VIP moves to another one"
        ),
    ],
    Why::CgroupV1 { .. } => [(
        Why::CgroupV1 { version: "1.36.3".to_owned() },
        Hint::UseCgroupV2,
        "an old system, or a kernel command line that asks for cgroup v1"
    )],
    Why::Reserves { .. } => [
        (
            Why::Reserves { reserved: "1.7 GB of memory".to_owned(), has: "1.5 GB of memory".to_owned(), needed: String::new() },
            Hint::LowerReserves,
            "the inventory's KubeletConfiguration reserves more than this machine has"
        ),
        (
            Why::Reserves { reserved: "1.5 CPUs".to_owned(), has: "2 CPUs".to_owned(), needed: "0.75 CPUs".to_owned() },
            Hint::LowerReserves,
            "the inventory leaves too little for the cluster's own pods"
        ),
    ],
    Why::HostsLine { .. } => [(
        Why::HostsLine {
            endpoint: "api.home.internal".to_owned(),
            found: [192, 168, 1, 99].into(),
            address: [192, 168, 1, 11].into(),
        },
        Hint::RemoveHostsLine {
            machine: named("rainbowdash"),
            endpoint: "api.home.internal".to_owned(),
            found: [192, 168, 1, 99].into(),
        },
        "the name was entered by hand, for another cluster or an earlier control plane: some programs use the first line that has a name"
    )],
    Why::NoResolvConf { .. } => [(
        Why::NoResolvConf { path: "/etc/resolv.pods".to_owned() },
        Hint::CreateResolvConf { path: "/etc/resolv.pods".to_owned() },
        "the inventory names a file with nameservers for pods that this machine does not have"
    )],
    Why::Damaged { .. } => [
        (
            Why::Damaged { paths: strings(&["/var/lib/kubelet/config.yaml"]) },
            Hint::Undamage { command: rebuild("rainbowdash"), backup: false },
            "a power failure truncated the file that kubeadm wrote"
        ),
        (
            Why::Damaged { paths: strings(&["/etc/kubernetes/pki/ca.key"]) },
            Hint::PutBack { files: strings(&["/etc/kubernetes/pki/ca.key"]), others: false },
            "the same, on the only control plane, for a file that can't be recreated"
        ),
    ],
    Why::Missing { .. } => [
        (
            Why::Missing { paths: strings(&["/var/lib/kubelet/config.yaml"]) },
            Hint::Clean(rebuild("rainbowdash")),
            "someone deleted it"
        ),
        (
            Why::Missing { paths: strings(&["/etc/kubernetes/pki/ca.key"]) },
            Hint::PutBack { files: strings(&["/etc/kubernetes/pki/ca.key"]), others: false },
            "the same, on a control plane, for a key that the whole cluster trusts and that can't be recreated"
        ),
        (
            Why::Missing { paths: strings(&["/var/lib/etcd/member"]) },
            Hint::RestoreCluster { restore: restore("twilightsparkle"), unless: Unless::Unmounted },
            "the disk with etcd's data is not mounted, or the data is gone"
        ),
    ],
    Why::OtherCluster { .. } => [
        (
            Why::OtherCluster { server: Some("https://10.0.0.1:6443".to_owned()) },
            Hint::WipeFirst { command: Command::TakeOver(named("twilightsparkle")), leave: true },
            "its certificates are from another certificate authority"
        ),
        (
            Why::OtherCluster { server: Some("https://10.0.0.1:6443".to_owned()) },
            Hint::TakeOutOfInventory,
            "`remove` only removes machines from the cluster of the inventory"
        ),
    ],
    Why::RoleChanged { .. } => [
        (
            Why::RoleChanged { is: Role::Worker },
            Hint::ChangeRole(named("rainbowdash")),
            "a role can't be changed in place"
        ),
        (Why::RoleChanged { is: Role::ControlPlane }, Hint::ChangeRole(named("applejack")), "the same"),
    ],
    Why::NamespaceEnding { .. } => [(
        Why::NamespaceEnding {
            namespace: "kube-flannel",
            remains: "Some content in the namespace has finalizers remaining: example.org/hold in 1 resource instances".to_owned(),
        },
        Hint::FinishDeletion { namespace: "kube-flannel" },
        "someone deleted the namespace, and an object in it is waiting for a program that no longer runs"
    )],
    Why::PodNetwork { .. } => [(Why::PodNetwork { node: "10.244.5.0/24".to_owned(), has: "10.244.2.0".to_owned() }, Hint::Clean(rebuild("rainbowdash")), "the cluster was restored from a snapshot that is older than the machine's last join")],
    Why::Lives { .. } => [(Why::Lives { reason: "sudo failed: tim is not in the sudoers file".to_owned() }, Hint::MakeReachable(named("rainbowdash")), "its \
        login, sudo or host key changed, but the machine is still running")],
    Why::Denied { .. } => [(
        Why::Denied { machine: named("twilightsparkle"), changed: false },
        Hint::Run(Command::Up),
        "someone deleted or changed the ClusterRoleBinding `kubeadm:cluster-admins`; `up` restores it with the cluster's CA"
    )],
    Why::EtcdBroken { .. } => [(
        Why::EtcdBroken {
            machine: named("twilightsparkle"),
            words: r#"{"level":"fatal","msg":"discovery failed","error":"walpb: crc mismatch"}"#.to_owned(),
        },
        Hint::RestoreCluster { restore: restore("twilightsparkle"), unless: Unless::Broken },
        "the disk is failing, or the power failed during a write"
    )],
    Why::DataThere => [(
        Why::DataThere,
        Hint::MoveDataAway,
        "the API server is down for a reason other than lost data"
    )],
    Why::AddressLost { .. } => [(
        Why::AddressLost { was: "192.168.1.11".to_owned() },
        Hint::GiveAddressBack { was: "192.168.1.11".to_owned() },
        "a new router, or a DHCP lease that went to another machine"
    )],
    Why::NodeGone => [(Why::NodeGone, Hint::Clean(rebuild("rainbowdash")), "someone ran `kubectl delete node`")],
    Why::Address { .. } => [(
        Why::Address { node: "192.168.1.13".to_owned(), machine: "192.168.1.99".to_owned() },
        Hint::OldAddress { address: "192.168.1.13".to_owned(), command: rebuild("fluttershy") },
        "the address is in certificates and in etcd"
    )],
    Why::ControlPlaneLost { .. } => [(
        Why::ControlPlaneLost { orphans: vec![named("rainbowdash"), named("fluttershy")] },
        Hint::RestoreCluster { restore: restore("twilightsparkle"), unless: Unless::NotListed },
        "the control plane was reinstalled, or it is not in the inventory"
    )],
    Why::NodeExists { .. } => [
        (
            Why::NodeExists { node: named("fluttershy"), address: "192.168.1.77".to_owned() },
            Hint::Rename(dead("fluttershy")),
            "two machines have the same name"
        ),
        (
            Why::NodeExists { node: named("rarity"), address: "192.168.1.12".to_owned() },
            Hint::TakePlace(rebuild("rarity")),
            "the machine was reinstalled, and the cluster still has the old node"
        ),
    ],
    Why::MemberExists => [(
        Why::MemberExists,
        Hint::TakePlace(rebuild("rarity")),
        "a control plane was reinstalled, and etcd still lists the old one"
    )],
    Why::MemberNotCertain { .. } => [(
        Why::MemberNotCertain {
            member: "rarity".to_owned(),
            peer: "https://192.168.1.12:2380".to_owned(),
            expected: "192.168.1.12".parse().ok(),
            reported: "192.168.1.13".parse().ok(),
        },
        Hint::SettleMember { node: named("rarity") },
        "a kubelet can report any address, and removing the wrong member could cost etcd its quorum"
    )],
    Why::Learner { .. } => [(
        Why::Learner { member: "derpy".to_owned() },
        Hint::DropLearner(dead("derpy")),
        "another control plane is joining, or its join was interrupted"
    )],
    Why::MemberUnhealthy { .. } => [(
        Why::MemberUnhealthy { member: "rarity".to_owned(), joins: true },
        Hint::MendMembers(strings(&["rarity"])),
        "another member raises the number of healthy members that etcd needs"
    ),
    (
        Why::MemberUnhealthy { member: "rarity".to_owned(), joins: false },
        Hint::MendMembers(strings(&["rarity"])),
        "during an upgrade one member at a time restarts"
    )],
    Why::Clock { .. } => [(
        Why::Clock { off: "5 minutes ahead of the others".to_owned() },
        Hint::SetClock { machine: named("rainbowdash"), compared: false },
        "the time service is not running, or has no NTP server"
    )],
    Why::BundleVersion { .. } => [(
        Why::BundleVersion { bundle: "1.36.3".to_owned(), cluster: "1.35.4".to_owned(), by: Some(named("twilightsparkle")) },
        Hint::BundleOf { version: "1.35.4".to_owned(), known: true },
        "machines join with the version that the cluster runs"
    )],
    Why::NoClusterToUpgrade => [(Why::NoClusterToUpgrade, Hint::MakeCluster, "no machine of the inventory is in a cluster")],
    Why::Downgrade { .. } => [(
        Why::Downgrade { is: "1.37.0".to_owned(), asked: "1.36.3".to_owned() },
        Hint::NotOlder { is: "1.37.0".to_owned() },
        "etcd's data and the objects in it have the newer version's format"
    )],
    Why::SkipsMinor { .. } => [(
        Why::SkipsMinor { is: "1.34.1".to_owned(), asked: "1.36.3".to_owned() },
        Hint::UpgradeFirst { next: "1.35.4".to_owned() },
        "kubeadm can't skip a minor version"
    )],
    Why::KubeletTooOld { .. } => [(
        Why::KubeletTooOld { is: "1.32.2".to_owned(), asked: "1.36.3".to_owned() },
        Hint::Clean(rebuild("rainbowdash")),
        "a kubelet may be at most three minor versions older than its API server"
    )],
    Why::UpgradeInterrupted => [(
        Why::UpgradeInterrupted,
        Hint::Run(Command::Upgrade { to: None }),
        "the machine or this computer was switched off in the middle"
    )],
    Why::NothingToRollBack { .. } => [(
        Why::NothingToRollBack { is: Some("1.36.3".to_owned()) },
        Hint::KeptUntilDone,
        "no upgrade was started, or the upgrade was completed"
    )],
    Why::WorkerUpgraded { .. } => [(
        Why::WorkerUpgraded { is: "1.37.0".to_owned(), to: "1.36.3".to_owned() },
        Hint::Run(Command::Upgrade { to: Some("1.37.0".to_owned()) }),
        "the upgrade has gone too far to be rolled back"
    )],
    Why::VersionUnknown => [(
        Why::VersionUnknown,
        Hint::TurnOnOnly,
        "a rollback is refused once a worker has been upgraded, and this can't be ruled out here"
    )],
    Why::OlderVersion { .. } => [(
        Why::OlderVersion { is: "1.35.4".to_owned(), cluster: "1.36.3".to_owned() },
        Hint::Run(Command::Upgrade { to: Some("1.36.3".to_owned()) }),
        "the upgrade ended before it reached this machine"
    )],
    Why::NodeNotReady { .. } => [(
        Why::NodeNotReady { message: "container runtime is down".to_owned() },
        Hint::Repair,
        "containerd, the pod network or the machine itself is down"
    )],
    Why::Unchangeable { .. } => [
        (
            unchangeable(Unchangeable::PodSubnet, "10.244.0.0/16", "10.200.0.0/16").0,
            unchangeable(Unchangeable::PodSubnet, "10.244.0.0/16", "10.200.0.0/16").1,
            "this can't be changed once the cluster exists"
        ),
        (
            unchangeable(Unchangeable::ServiceSubnet, "10.96.0.0/12", "10.112.0.0/12").0,
            unchangeable(Unchangeable::ServiceSubnet, "10.96.0.0/12", "10.112.0.0/12").1,
            "the same"
        ),
        (
            unchangeable(Unchangeable::Endpoint, "api.home.internal:6443", "api.example.org:443").0,
            unchangeable(Unchangeable::Endpoint, "api.home.internal:6443", "api.example.org:443").1,
            "the same"
        ),
        (
            unchangeable(Unchangeable::ClusterName, "home", "ponies").0,
            unchangeable(Unchangeable::ClusterName, "home", "ponies").1,
            "the same"
        ),
        (
            unchangeable(Unchangeable::Cni, "flannel", "none").0,
            unchangeable(Unchangeable::Cni, "flannel", "none").1,
            "the same"
        ),
    ],
    Why::Version { .. } => [(
        Why::Version { cluster: "home".to_owned(), is: "1.36.3".to_owned(), asked: "1.35.4".to_owned() },
        Hint::KeepVersion { is: "1.36.3".to_owned() },
        "`up` never changes the version"
    )],
    Why::NodeName { .. } => [(
        Why::NodeName { node: "derpy".to_owned() },
        Hint::NameAsNode { machine: named("fluttershy"), node: "derpy".to_owned() },
        "a node can't be renamed"
    )],
    Why::NoApi { .. } => [(
        Why::NoApi { answers: vec![(named("twilightsparkle"), "connection refused, and kube-apiserver: Error: unknown flag: --nonsense".to_owned())] },
        Hint::LookAtControlPlane(named("twilightsparkle")),
        "etcd or the API server is not running on any control plane"
    ),
    (
        Why::NoApi { answers: vec![(named("twilightsparkle"), "connection refused".to_owned())] },
        Hint::WaitForApi { machine: named("twilightsparkle"), seconds: 9 },
        "the control plane was switched on a moment ago"
    )],
    Why::NoApiToLeave => [(
        Why::NoApiToLeave,
        Hint::SolveTheRest,
        "a machine leaves through the API: its pods are evicted, and its node is deleted"
    )],
    Why::EndpointAway { .. } => [(
        Why::EndpointAway { endpoint: "api.home.internal".to_owned(), leads_to: named("twilightsparkle") },
        Hint::BringEndpointBack { machine: named("twilightsparkle"), vip: true },
        "machines reach the API by this name, which resolves to a single control plane"
    )],
    Why::NoCluster { .. } => [
        (Why::NoCluster { joins: named("fluttershy") }, Hint::MakeCluster, "no control plane has been set up"),
        (
            Why::NoCluster { joins: named("fluttershy") },
            Hint::FinishRestoreFirst(restore("twilightsparkle")),
            "a restore of the control plane was interrupted"
        ),
    ],
    Why::Unreachable => [
        (
            Why::Unreachable,
            Hint::TurnOnOrRemove(dead("rainbowdash")),
            "it is off, or at another address; a machine must be reached to be wiped when it is removed"
        ),
        (Why::Unreachable, Hint::TurnOnOrReplace, "a snapshot can be restored only to a machine that can be reached"),
    ],
    Why::LastControlPlane => [(
        Why::LastControlPlane,
        Hint::LoseOnlyControlPlane { restore: restore("twilightsparkle") },
        "`remove` and `rebuild` would destroy the cluster"
    )],
    Why::Quorum { .. } => [(
        Why::Quorum { healthy: 1, members: 2, down: strings(&["applejack"]) },
        Hint::MendMembers(strings(&["applejack"])),
        "more than half of etcd's members must be healthy"
    )],
    Why::Keep { .. } => [(
        Why::Keep { kept: "/data".to_owned(), wiped: "/var/lib/kubelet", leads: Some("/data/kubelet".to_owned()) },
        Hint::MoveKept { kept: "/data".to_owned() },
        "a path under `keep:` is never deleted, even through a link"
    )],
    Why::Mounted { .. } => [(
        Why::Mounted { mounted: "/var/lib/kubelet".to_owned(), wiped: "/var/lib/kubelet" },
        Hint::Unmount { path: "/var/lib/kubelet".to_owned() },
        "hostler never wipes a file system that it did not mount"
    )],
    Why::NoReinstall(_) => [
        (Why::NoReinstall(NoInstaller::HostKey), Hint::Reinstall { machine: named("rainbowdash"), why: NoInstaller::HostKey }, "the new system keeps the host key: otherwise the first login could be to an impostor"),
        (Why::NoReinstall(NoInstaller::Kept("/data".to_owned())), Hint::Reinstall { machine: named("rainbowdash"), why: NoInstaller::Kept("/data".to_owned()) }, "a path under `keep:` is never erased"),
        (Why::NoReinstall(NoInstaller::Layered), Hint::Reinstall { machine: named("rainbowdash"), why: NoInstaller::Layered }, "`rebuild --os` erases one disk, and no other"),
        (Why::NoReinstall(NoInstaller::SystemDisk), Hint::Reinstall { machine: named("rainbowdash"), why: NoInstaller::SystemDisk }, "`rebuild --os` never guesses a disk"),
        (Why::NoReinstall(NoInstaller::Disk(DiskRefusal::TooSmall("nvme0n1".to_owned(), 32_000_000_000, 64_000_000_000))), Hint::Reinstall { machine: named("rainbowdash"), why: NoInstaller::Disk(DiskRefusal::TooSmall("nvme0n1".to_owned(), 32_000_000_000, 64_000_000_000)) }, "the disk must fit the inventory"),
        (Why::NoReinstall(NoInstaller::Legacy), Hint::Reinstall { machine: named("rainbowdash"), why: NoInstaller::Legacy }, "the image needs UEFI to start"),
        (Why::NoReinstall(NoInstaller::NetworkCard), Hint::Reinstall { machine: named("rainbowdash"), why: NoInstaller::NetworkCard }, "the new system identifies its network \
            card by the MAC address"),
        (Why::NoReinstall(NoInstaller::Memory { has: 1000, least: 1010 }), Hint::Reinstall { machine: named("rainbowdash"), why: NoInstaller::Memory { has: 1000, least: 1010 } }, "the installer runs in memory"),
        (Why::NoReinstall(NoInstaller::LoginKey), Hint::Reinstall { machine: named("rainbowdash"), why: NoInstaller::LoginKey }, "the new system accepts only the keys in the \
            inventory"),
        (Why::NoReinstall(NoInstaller::Room(3_461_349_376)), Hint::Reinstall { machine: named("rainbowdash"), why: NoInstaller::Room(3_461_349_376) }, "the data partition is kept where it is"),
        (Why::NoReinstall(NoInstaller::SeveralData), Hint::Reinstall { machine: named("rainbowdash"), why: NoInstaller::SeveralData }, "only one can be kept"),
    ],
    Why::NoErasure(_) => [
        (Why::NoErasure(NoInstaller::Kept("/srv/films".to_owned())), Hint::Erase { machine: named("rainbowdash"), why: NoInstaller::Kept("/srv/films".to_owned()) }, "a path under `keep:` is never erased"),
        (Why::NoErasure(NoInstaller::SystemDisk), Hint::Erase { machine: named("rainbowdash"), why: NoInstaller::SystemDisk }, "`remove --erase` never guesses a disk"),
    ],
    Why::RestoreOfWorker => [(
        Why::RestoreOfWorker,
        Hint::RebuildPlain(rebuild("rainbowdash")),
        "a snapshot contains etcd's data and the certificates"
    )],
    Why::SeveralControlPlanes => [(
        Why::SeveralControlPlanes,
        Hint::RebuildPlain(rebuild("rarity")),
        "a snapshot is for the loss of the only control plane"
    )],
    Why::ClusterLives => [(
        Why::ClusterLives,
        Hint::MendOrReset,
        "`rebuild --from` and `--new-cluster` are for a cluster that is lost"
    )],
    Why::OtherSnapshot { .. } => [(
        Why::OtherSnapshot { file: PathBuf::from("home-20260301T120000Z.tar.gz") },
        Hint::RightSnapshot,
        "the remaining machines would not trust it"
    )],
    Why::NoEncoder => [(
        Why::NoEncoder,
        Hint::MakeEncoder,
        "HandBrake is not part of a bundle; `hostler bundle encoder` adds it"
    )],
    Why::NoMachineEncodes { .. } => [(
        Why::NoMachineEncodes { folder: "Cartoons".to_owned(), encoder: "qsv_h265".to_owned() },
        Hint::OtherPreset,
        "each machine has tested its encoders; for Quick Sync, a machine needs an Intel chip of NUC 11 or newer, or the driver's firmware \
         is missing"
    )],
    Why::NoToken { .. } => [(
        Why::NoToken { file: PathBuf::from("~/.config/hostler/plex-token"), why: NoToken::Missing },
        Hint::WriteToken,
        "the file that the inventory names is missing, empty, or contains more than one token"
    )],
    Why::ShareMissing { .. } => [(
        Why::ShareMissing { share: share("inbox", "/srv/films") },
        Hint::MakeShare(share("inbox", "/srv/films")),
        "the folder named in the inventory is not on that machine"
    )],
    Why::ShareHangs { .. } => [(
        Why::ShareHangs { share: share("library", "/srv/library") },
        Hint::MendServer,
        "the NFS server of this folder does not respond"
    )],
    Why::ShareReadOnly { .. } => [(
        Why::ShareReadOnly { share: share("library", "/srv/library"), films: FILMS, owner: "0:0".to_owned(), mode: "755".to_owned() },
        Hint::GiveShare { share: share("library", "/srv/library"), films: FILMS },
        "films are not written by root"
    )],
}
