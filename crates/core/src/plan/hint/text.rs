//! Hints in words.

use std::fmt;

use super::{Command, Hint};
use crate::arch::Arch;
use crate::protocol::path;
use crate::words::{and, shell_word};

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hint::LetItEnd => f.write_str(
                "wait until that step finishes, then run this command again; if its run was interrupted, the step still finishes by \
                 itself",
            ),
            Hint::WriteRole(machine) => write!(f, "add `role: control-plane` to {machine} in the inventory"),
            Hint::WriteRoles => f.write_str(
                "turn on the unreachable machines, or set `role: control-plane` for the control plane in the inventory",
            ),
            Hint::TurnOn => f.write_str("turn on any machine that is off, or fix its address or SSH, then run this command again"),
            Hint::RightMachine => f.write_str("correct `mac:` or the address in the inventory, or give the machine its address back"),
            Hint::InstallSystemd => f.write_str(
                "run `apt-get install systemd-sysv` on the machine and reboot it; if it is a container, use one whose first process is \
                 systemd",
            ),
            Hint::InstallDebian => f.write_str("install Debian or Ubuntu on the machine"),
            Hint::BundleFor { arch } => write!(f, "pass a bundle for {arch} too, with a second `--bundle`"),
            Hint::KnownArchitecture => write!(f, "hostler has programs only for {}: remove the machine from the inventory", and(&Arch::ALL)),
            Hint::RemovePlatform => f.write_str("uninstall every other container platform first: two on the same machine conflict"),
            Hint::FinishWipe(rebuild) => {
                let also = if let Command::Restore(_) = rebuild { "`hostler reset` also finishes" } else { "`hostler remove` and `hostler reset` also finish" };
                write!(f, "{rebuild} finishes the wipe and joins the machine again; {also} it")
            }
            Hint::FinishRestore(restore) => write!(f, "{restore} starts the restore again"),
            Hint::WipeFirst { command, leave: false } => write!(
                f,
                "check what was left behind and copy what you need; {command} wipes \
                the machine first"
            ),
            Hint::WipeFirst { command, leave: true } => write!(
                f,
                "remove the machine from that cluster if you can; {command} wipes it \
                first"
            ),
            Hint::FindReadOnly => f.write_str(
                "look in `dmesg` for the cause, which is often a failing disk; then remount the file system read-write or reboot the \
                 machine, and run this command again",
            ),
            Hint::MakeRoom => f.write_str(
                "free up space in the file system of /var/lib, then run this command again: `df /var/lib` shows its mount point, and `du \
                 -xh MOUNTPOINT | sort -h | tail` shows what uses the space",
            ),
            Hint::LowerReserves => f.write_str(
                "lower `kubeReserved`, `systemReserved`, `evictionHard` or `reservedSystemCPUs` in `kubeadm: {KubeletConfiguration: ...}` of \
                 the inventory: they apply to every machine",
            ),
            Hint::CreateResolvConf => f.write_str(
                "create the file on the machine, with a line `nameserver ADDRESS` for a nameserver of your network, or remove `resolvConf` \
                 from `kubeadm: {KubeletConfiguration: ...}` in the inventory",
            ),
            Hint::FreePort { port } => {
                write!(
                    f,
                    "`ss -ltnp sport = :{port}` on the machine shows the program: stop it or move it to another port, then run this \
                     command again"
                )
            }
            Hint::Undamage { command, backup: true } => {
                write!(f, "restore the files from a backup, or rebuild the machine from a snapshot with {command}")
            }
            Hint::Undamage { command, backup: false } => write!(f, "{command} rebuilds the machine from scratch"),
            Hint::PutBack => f.write_str(
                "restore the files from a backup, another control plane or a snapshot (`tar -xzf SNAPSHOT pki/FILE`), then run `hostler \
                 up`",
            ),
            Hint::KeepEtcd { machine } => write!(
                f,
                "etcd's data is still on {machine}: restore the missing files, or copy {} to another computer before you change anything \
                 there",
                path::ETCD
            ),
            Hint::ChangeRole(name) => write!(f, "to change a role, run `hostler remove {name}` and then `hostler add {name}`"),
            Hint::Clean(command) => write!(f, "{command} rebuilds the machine from scratch"),
            Hint::OldAddress(command) => write!(f, "give the machine its old address back, or run {command}"),
            Hint::RestoreCluster(restore) => {
                write!(
                    f,
                    "if {} has a disk of its own that is not mounted, mount it and run this command again; otherwise {restore} restores the \
                     cluster; if there is no snapshot, `--new-cluster` instead of `--from` creates a new cluster",
                    path::ETCD
                )
            }
            Hint::TakePlace(command) => write!(f, "{command} removes the old node or etcd member, and joins this machine"),
            Hint::Rename(remove) => write!(f, "rename one of the two machines; if the other machine is gone for good, run {remove}"),
            Hint::SettleMember { node } => write!(
                f,
                "if the inventory's address is wrong, correct it; if the node's address is wrong, turn {node} off and run `kubectl \
                 delete node {node}`; then run this command again"
            ),
            Hint::DropLearner(remove) => write!(f, "if the learner will never finish joining, {remove} removes it"),
            Hint::WriteBack => f.write_str(
                "add the machine with this address to the inventory again, then run `hostler remove NAME --dead` to remove the etcd member",
            ),
            Hint::MendMember { member, command } => write!(
                f,
                "repair {member} or turn it on first; if it is gone for good, run \
                {command}"
            ),
            Hint::GiveAddressBack { was } => write!(
                f,
                "give the machine the address {was} again, in the router or on the machine, and set it in the inventory: etcd and the \
                 certificates use only that address"
            ),
            Hint::LookAtControlPlane(machine) => write!(
                f,
                "`crictl ps -a` and `journalctl -u kubelet` on {machine} show what is not running; {} holds the cluster's data: don't delete it",
                path::ETCD
            ),
            Hint::MoveDataAway => write!(
                f,
                "`hostler up` repairs what can be repaired; if that does not help, move etcd's data aside with `mv {0} {0}.before` on \
                 the machine, and run this command again",
                path::ETCD
            ),
            Hint::SetClock => f.write_str(
                "set the clock (`timedatectl set-ntp true`, or `date -s`): certificates and leases depend on \
                it",
            ),
            Hint::BundleOf { version, known: false } => write!(f, "run `hostler bundle pins --update {version}` to fetch the checksums of {version}"),
            Hint::BundleOf { version, known: true } => write!(f, "omit `--bundle`, or pass a bundle of Kubernetes {version}"),
            Hint::KeepAsIs { key, is } => {
                let key = key.key();
                write!(
                    f,
                    "set `cluster: {{{key}: {is}}}` in the inventory, or create the cluster again: `hostler reset`, then `hostler up`"
                )
            }
            Hint::KeepVersion { is } => {
                write!(f, "set `cluster: {{version: {is}}}` in the inventory")
            }
            Hint::UpgradeFirst { next: Some(next) } => write!(f, "run {} first", Command::Upgrade { to: Some(next.clone()) }),
            Hint::UpgradeFirst { next: None } => f.write_str("hostler knows no version in between: use one of its earlier releases first"),
            Hint::KeptUntilDone => f.write_str("only an unfinished upgrade can be rolled back: once it succeeds, hostler deletes the files \
                that a rollback needs"),
            Hint::Repair => f.write_str("`hostler status` shows why; repair the node with `hostler up`, then upgrade"),
            Hint::NameAsNode { machine, node } => {
                write!(f, "in the inventory, rename {machine} back to {node}: the name of a node can't change while it is in the cluster")
            }
            Hint::WaitForApi { machine, seconds } => {
                write!(
                    f,
                    "kubelet on {machine} was started {seconds} s ago, so the API server may still be starting: run this command again \
                     in a minute"
                )
            }
            Hint::BringControlPlanesBack { look: true } => f.write_str(
                "turn on the control planes that are off, because etcd needs more than half of them; `crictl ps -a` on a control plane \
                 shows what is not running",
            ),
            Hint::BringControlPlanesBack { look: false } => f.write_str(
                "turn on the control planes that are off, because etcd needs more than half of them; `hostler up` repairs those that can \
                 be reached",
            ),
            Hint::BringEndpointBack { machine, vip: false } => write!(f, "turn on or repair {machine}"),
            Hint::BringEndpointBack { machine, vip: true } => {
                write!(
                    f,
                    "turn on or repair {machine}, or give the cluster a virtual IP in the inventory: `cluster: {{endpoint: {{vip: \
                    ADDRESS}}}}`"
                )
            }
            Hint::FinishRestoreFirst(restore) => write!(f, "{restore} finishes the interrupted restore"),
            Hint::MakeCluster => f.write_str("`hostler up` creates the cluster"),
            Hint::TurnOnOnly => f.write_str("turn the machine on; it can't be removed from the cluster while no API server answers"),
            Hint::TurnOnOrReplace => f.write_str("turn the machine on, or replace it with a machine that has the same name and address"),
            Hint::SolveTheRest => f.write_str("resolve the other refusals first"),
            Hint::TurnOnOrRemove(remove) => write!(f, "turn the machine on; if it is gone for good, run {remove}"),
            Hint::LeaveAsItIs => f.write_str("remove the machine from the inventory; hostler does not change the machine"),
            Hint::TakeOutOfInventory => f.write_str("remove the machine from the inventory"),
            Hint::TakeOutOfEither => f.write_str("remove the machine from that cluster or from the inventory"),
            Hint::ForgetOnly(remove) => write!(f, "{remove} deletes its node from this cluster, and does not touch the machine"),
            Hint::LoseOnlyControlPlane { restore } => {
                write!(f, "if the machine is lost, {restore} restores the cluster; `hostler reset` tears the whole cluster down")
            }
            Hint::MendMembers => f.write_str(
                "repair the members that are down with `hostler up`, or remove those that are gone for \
                good with `hostler remove NAME --dead`",
            ),
            Hint::Reinstall { machine, why } => f.write_str(&why.hint(machine)),
            Hint::Erase { machine, why } => f.write_str(&why.hint_to_erase(machine)),
            Hint::MoveKept => f.write_str("move those files elsewhere, and correct `keep:`"),
            Hint::Unmount { path } => {
                let path = shell_word(path);
                write!(
                    f,
                    "copy what you need from that mount elsewhere, then run `umount {path}` on the machine and remove its line from \
                     /etc/fstab"
                )
            }
            Hint::RebuildPlain(rebuild) => write!(
                f,
                "{rebuild}, without `--from`, removes the machine from the cluster and joins it \
                again"
            ),
            Hint::MendOrReset => f.write_str(
                "`hostler up` repairs what can be repaired; to restore the snapshot anyway, run `hostler \
                reset` first",
            ),
            Hint::RightSnapshot => {
                f.write_str("pass a snapshot of this cluster; `--new-cluster` instead of `--from` creates a new cluster on all machines")
            }
            Hint::MakeEncoder => f.write_str(
                "run `hostler bundle encoder` to build one, or set `transcode.image` to an image that the machines can pull",
            ),
            Hint::OtherPreset => f.write_str("in HandBrake, export a preset that uses a different encoder, or set `preset` to the preset \
                file of another folder"),
            Hint::WriteToken => f.write_str("write the token into that file, readable only by you (mode 600)"),
            Hint::MakeShare(share) => {
                write!(f, "mount the share at that path, or create the folder on the machine: `mkdir {}`", share.path)
            }
            Hint::MendServer => f.write_str("check that the file server is on and reachable"),
            Hint::GiveShare { share, films } => write!(
                f,
                "make sure that the folder is mounted read-write, then run `chown {}:{} {}`, or set `transcode.owner` to an owner that can \
                 write to it",
                films.uid, films.gid, share.path
            ),
            Hint::Run(command) => write!(f, "run {command}"),
            Hint::TurnOnOrRebuild(machine) => {
                write!(f, "turn {machine} on; if it stays off, run `hostler rebuild {machine}` or `hostler remove {machine} --dead`")
            }
            Hint::TurnOnOrFix(machine) => write!(f, "turn {machine} on; if it is on, fix its network or SSH"),
            Hint::MakeReachable(machine) => {
                write!(
                    f,
                    "make {machine} reachable again; to remove it anyway, turn it off, wait until its node is NotReady, and run this \
                     command again"
                )
            }
            Hint::FixAccess(machine) => write!(f, "fix SSH, the login or sudo on {machine}: the reason above shows which of them fails"),
            Hint::About(machine, hint) => write!(f, "{machine}: {hint}"),
            Hint::Reinstalled { machine, rebuild } => {
                write!(f, "if {machine} was reinstalled, run {rebuild}; if not, someone may be intercepting the connection")
            }
            Hint::WaitUntilNotReady(machine) => write!(
                f,
                "if {machine} is off, wait up to a minute until its node is NotReady, and run this command again; if it is on, remove \
                 it with `hostler remove {machine}`, without `--dead`"
            ),
            Hint::AskKubelet(machine) => write!(
                f,
                "`journalctl -u kubelet` on {machine} shows why kubelet does not renew the \
                certificate"
            ),
            Hint::RetryUnit { machine, unit } => {
                let unit = unit.trim_end_matches(".service");
                write!(f, "`journalctl -u {unit}` on {machine} shows why; `systemctl start {unit}` tries again")
            }
            Hint::FinishDeletion { namespace } => write!(
                f,
                "wait a minute; if the namespace still exists, start the program whose finalizer blocks the deletion; if that program is \
                 gone for good, delete its finalizer with `kubectl --namespace {namespace} edit RESOURCE NAME`, or its APIService with \
                 `kubectl delete apiservice NAME`; then run `hostler up`"
            ),
            Hint::AllowPods { namespace } => write!(
                f,
                "change or delete what forbids these pods in the namespace {namespace}: a ResourceQuota, a LimitRange, a PodSecurity label \
                 or an admission webhook"
            ),
            // Whoever makes a request chooses its name, which may be any text.
            Hint::DeleteRequest { request } => {
                let request = shell_word(request);
                write!(
                    f,
                    "find out which program on that machine made the request; `kubectl describe csr {request}` shows it, and `kubectl \
                     delete csr {request}` deletes it"
                )
            }
            Hint::LookAtPod { namespace, pod } => {
                let [namespace, pod] = [namespace, pod].map(|name| shell_word(name));
                write!(
                    f,
                    "`kubectl --namespace {namespace} describe pod {pod}` shows why, and `kubectl --namespace {namespace} logs {pod}` \
                     shows its output"
                )
            }
            Hint::Uncordon(node) => write!(f, "run `kubectl uncordon {}`", shell_word(node)),
            Hint::Troubleshoot => f.write_str("see docs/troubleshooting.md"),
        }
    }
}
