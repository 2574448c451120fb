//! Hints in words.

use std::fmt;
use std::net::Ipv4Addr;

use super::{Command, Fault, Hint, Unchangeable, Unless};
use crate::arch::Arch;
use crate::plan::pod_network::TUNNEL_PORT;
use crate::protocol::{archive, path, port};
use crate::words::{and, or, shell_word};

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hint::LetItEnd => f.write_str(
                "wait until that step finishes, then run this command again; it finishes even if the run that started it was interrupted",
            ),
            Hint::WriteRole(machine) => write!(f, "add `role: control-plane` to {machine} in the inventory"),
            Hint::MoveRole { to, from } => {
                write!(f, "in the inventory, set `role: control-plane` for {to}, and `role: worker` for {from}")
            }
            Hint::WriteRoles { unreachable } => write!(
                f,
                "turn on {}, or set `role: control-plane` for the control plane in the inventory",
                and(unreachable)
            ),
            Hint::TurnOn(machines) => match machines.as_slice() {
                [machine] => write!(f, "turn {machine} on, or fix its address or SSH, then run this command again"),
                several => write!(f, "turn {} on, or fix their addresses or SSH, then run this command again", and(several)),
            },
            Hint::RightMachine(machine) => write!(
                f,
                "if {machine} has a new network card, correct `mac:` in the inventory; if another machine has this address now, correct \
                 the address of {machine}, or have the router assign the old one again"
            ),
            Hint::InstallSystemd => f.write_str(
                "run `apt-get install systemd-sysv` on the machine and reboot it; if it is a container, use one whose first process is \
                 systemd",
            ),
            Hint::InstallDebian => f.write_str("install Debian or Ubuntu on the machine"),
            Hint::BundleFor { arch } => write!(
                f,
                "pass one bundle for each architecture with `--bundle`; `hostler bundle create --arch {arch}` creates the one for {arch}"
            ),
            Hint::KnownArchitecture => write!(f, "remove the machine from the inventory: hostler supports only {}", and(&Arch::ALL)),
            Hint::RemovePlatform(platforms) => {
                write!(f, "uninstall {} first: two container platforms on the same machine conflict", and(platforms))
            }
            Hint::FinishWipe(Command::Rebuild { machine, .. }) => write!(
                f,
                "run `hostler rebuild {machine}` to finish the wipe and join the machine again, or `hostler remove {machine}` to finish \
                 the wipe without joining it again"
            ),
            Hint::FinishWipe(restore) => {
                write!(f, "run {restore} to finish the wipe and restore the cluster, or `hostler reset` to wipe all machines")
            }
            Hint::FinishRestore(restore) => write!(f, "run {restore} to start the restore again"),
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
            Hint::FreeVip => f.write_str(
                "set `vip` in the inventory to an address that no device has and that your router does not assign, or give that device \
                 another address; then run this command again",
            ),
            Hint::GiveVipBack { itself: true } => f.write_str("remove the address from the machine, and from the configuration that sets it"),
            Hint::GiveVipBack { itself: false } => {
                f.write_str("give that device another address: your router's list of devices shows which one has this MAC address")
            }
            Hint::UseCgroupV2 => f.write_str(
                "add `systemd.unified_cgroup_hierarchy=1` to the kernel's command line (GRUB_CMDLINE_LINUX in /etc/default/grub, then \
                 `update-grub`) and reboot; or, until Kubernetes drops cgroup v1, set `failCgroupV1: false` in the inventory's \
                 KubeletConfiguration",
            ),
            Hint::LowerReserves => f.write_str(
                "lower `kubeReserved`, `systemReserved`, `evictionHard` or `reservedSystemCPUs` in `kubeadm: {KubeletConfiguration: ...}` of \
                 the inventory: they apply to every machine",
            ),
            Hint::RemoveHostsLine { machine, endpoint, found } => write!(
                f,
                "remove {endpoint} from the line of {found} in {} on {machine}, then run this command again: hostler writes its own line",
                path::HOSTS
            ),
            Hint::CreateResolvConf { path } => write!(
                f,
                "create {path} on the machine, with a line `nameserver ADDRESS` for a nameserver of your network, or remove `resolvConf` \
                 from `kubeadm: {{KubeletConfiguration: ...}}` in the inventory"
            ),
            Hint::FreePort { port } => {
                write!(
                    f,
                    "`ss -ltnp sport = :{port}` on the machine shows the program: stop it or move it to another port, then run this \
                     command again"
                )
            }
            Hint::Undamage { command, backup: true } => {
                write!(f, "restore the files from a backup, or run {command} to restore the cluster from a snapshot")
            }
            Hint::Undamage { command, backup: false } | Hint::Clean(command) => {
                write!(f, "run {command} to wipe the machine and join it again")
            }
            Hint::PutBack { files, others } => {
                let shared = |file: &String| archive::PKI.into_iter().find(|name| *file == format!("{}/{name}", path::PKI));
                let shared: Vec<String> = files.iter().filter_map(shared).map(|name| format!("pki/{name}")).collect();
                let mut from = vec!["a backup".to_owned()];
                if shared.len() == files.len() {
                    from.extend(others.then(|| "another control plane".to_owned()));
                    from.push(format!("a snapshot (`tar -xzf SNAPSHOT {}`)", shared.join(" ")));
                }
                write!(f, "restore {} from {}, then run `hostler up`", and(files), or(&from))
            }
            Hint::KeepEtcd { machine } => write!(
                f,
                "copy {} from {machine} to another computer before you change anything there; to get that cluster back, restore its \
                 missing files in {}",
                path::ETCD,
                path::KUBERNETES
            ),
            Hint::ChangeRole(name) => write!(f, "to change a role, run `hostler remove {name}` and then `hostler add {name}`"),
            Hint::OldAddress { address, command } => {
                write!(f, "give the machine the address {address} again and correct the inventory, or run {command} to join it again")
            }
            Hint::RestoreCluster { restore, unless } => {
                match unless {
                    Unless::Unmounted => write!(
                        f,
                        "if {} has a disk of its own that is not mounted, mount it and run this command again; otherwise run {restore} to \
                         restore the cluster",
                        path::ETCD
                    ),
                    Unless::NotListed => write!(
                        f,
                        "if the cluster's control plane is missing from the inventory, add it; if it was reinstalled, run {restore} to \
                         restore the cluster"
                    ),
                    Unless::Broken => write!(f, "run {restore} to restore the cluster"),
                }?;
                f.write_str("; if there is no snapshot, `--new-cluster` instead of `--from` creates a new cluster")
            }
            Hint::TakePlace(command) => write!(f, "run {command} to remove what the cluster still has of the old machine, and join this one"),
            Hint::Rename(remove) => {
                write!(f, "rename one of the two machines in the inventory; if the other machine is gone for good, run {remove}")
            }
            Hint::SettleMember { node } => write!(
                f,
                "if the inventory's address is wrong, correct it; if the node's address is wrong, turn {node} off and run `kubectl \
                 delete node {node}`; then run this command again"
            ),
            Hint::DropLearner(remove) => write!(f, "wait until it has joined; if its join will never finish, run {remove}"),
            Hint::WriteBack => f.write_str(
                "add the machine with this address to the inventory again, then run `hostler remove NAME --dead` to remove the etcd member",
            ),
            Hint::MendMember { member, command } => write!(f, "turn {member} on or repair it first; if it is gone for good, run {command}"),
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
            Hint::SetClock { machine, compared: true } => write!(
                f,
                "find out which clock is wrong; if it is that of {machine}, set it with `timedatectl set-ntp true` or `date -s`: certificates \
                 and leases depend on it"
            ),
            Hint::SetClock { machine, compared: false } => write!(
                f,
                "set the clock of {machine} with `timedatectl set-ntp true` or `date -s`: certificates and leases depend on it"
            ),
            Hint::BundleOf { version, known: false } => write!(
                f,
                "run `hostler bundle pins --update {version}` to fetch the checksums of {version}, then run this command again without \
                 `--bundle`"
            ),
            Hint::BundleOf { version, known: true } => write!(f, "omit `--bundle`, or pass a bundle of Kubernetes {version}"),
            Hint::KeepAsIs { key: Unchangeable::Endpoint, is } if could_be_either(is) => write!(
                f,
                "set `cluster: {{endpoint: {{external: \"{is}\"}}}}` in the inventory if a load balancer or your DNS has that name, or \
                 `cluster: {{endpoint: {}}}` if it was a name that only hostler's machines know; or create the cluster again: `hostler reset`, \
                 then `hostler up`",
                as_inventory(Unchangeable::Endpoint, is)
            ),
            Hint::KeepAsIs { key, is } => {
                let (key, is) = (key.key(), as_inventory(*key, is));
                write!(
                    f,
                    "set `cluster: {{{key}: {is}}}` in the inventory, or create the cluster again: `hostler reset`, then `hostler up`"
                )
            }
            Hint::NotOlder { is } => write!(
                f,
                "upgrade to {is} or later: correct `--to`, or `cluster: {{version: ...}}` in the inventory"
            ),
            Hint::KeepVersion { is } => {
                write!(f, "set `cluster: {{version: {is}}}` in the inventory")
            }
            Hint::UpgradeFirst { next } => write!(f, "run {} first", Command::Upgrade { to: Some(next.clone()) }),
            Hint::AddVersion { minor } => write!(f, "run `hostler bundle pins --update {minor}`, then run this command again"),
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
            Hint::FinishRestoreFirst(restore) => write!(f, "run {restore} to finish the interrupted restore"),
            Hint::MakeCluster => f.write_str("run `hostler up` to create the cluster"),
            Hint::TurnOnOnly => {
                f.write_str("turn the machine on: it can't be removed from the cluster instead, because no API server answers")
            }
            Hint::TurnOnOrReplace => f.write_str("turn the machine on, or replace it with a machine that has the same name and address"),
            Hint::SolveTheRest => f.write_str("resolve the other refusals first"),
            Hint::TurnOnOrRemove(remove) => write!(f, "turn the machine on; if it is gone for good, run {remove}"),
            Hint::LeaveAsItIs => f.write_str("remove the machine from the inventory; hostler does not change the machine"),
            Hint::TakeOutOfInventory => f.write_str("remove the machine from the inventory"),
            Hint::TakeOutOfEither => f.write_str("remove the machine from that cluster or from the inventory"),
            Hint::ForgetOnly(remove) => write!(f, "run {remove} to delete the node from this cluster without touching the machine"),
            Hint::LoseOnlyControlPlane { restore } => {
                write!(f, "if the machine is lost, run {restore} to restore the cluster; to tear the whole cluster down, run `hostler reset`")
            }
            Hint::MendMembers(members) => {
                let them = if members.is_empty() { "the members that are down".to_owned() } else { and(members) };
                write!(f, "repair {them} with `hostler up`; if a machine is gone for good, run `hostler remove NAME --dead`")
            }
            Hint::Reinstall { machine, why } => f.write_str(&why.hint(machine)),
            Hint::Erase { machine, why } => f.write_str(&why.hint_to_erase(machine)),
            Hint::MoveKept { kept } => write!(f, "move the files in {kept} to a folder that is not wiped, and correct `keep:`"),
            Hint::Unmount { path } => {
                let path = shell_word(path);
                write!(
                    f,
                    "copy what you need from that mount elsewhere, then run `umount {path}` on the machine and remove its line from \
                     /etc/fstab"
                )
            }
            Hint::RebuildPlain(rebuild) => {
                write!(f, "run {rebuild}, without `--from`, to remove the machine from the cluster and join it again")
            }
            Hint::MendOrReset => f.write_str(
                "run `hostler up` to repair the cluster; to discard its current state anyway, run `hostler \
                reset` first",
            ),
            Hint::RightSnapshot => {
                f.write_str(
                    "pass a snapshot of this cluster, or `--new-cluster` instead of `--from` to create a new cluster on all machines",
                )
            }
            Hint::MakeEncoder => f.write_str(
                "run `hostler bundle encoder` to build one, or set `transcode.image` to an image that the machines can pull",
            ),
            Hint::OtherPreset => f.write_str("in HandBrake, export a preset that uses a different encoder, or set `preset` to the preset \
                file of another folder"),
            Hint::WriteToken => f.write_str(
                "write the token, and nothing else, into the file that `tokenFile` names, and make the file readable only by you (mode 600)",
            ),
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
                write!(
                    f,
                    "turn {machine} on; if it needs a new system or disk, run `hostler rebuild {machine}` afterwards; if it is gone for \
                     good, run `hostler remove {machine} --dead`"
                )
            }
            Hint::TurnOnOrFix(machine) => write!(f, "turn {machine} on; if it is on, fix its network or SSH"),
            Hint::MakeReachable(machine) => {
                write!(
                    f,
                    "make {machine} reachable again; if it is to be removed, turn it off, wait until its node is NotReady, and run \
                     `hostler remove {machine} --dead`"
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
                "run `journalctl -u kubelet` on {machine} to see why kubelet does not renew the \
                certificate"
            ),
            Hint::RetryUnit { machine, unit } => {
                let unit = unit.trim_end_matches(".service");
                write!(f, "once the cause is fixed, run `systemctl start {unit}` on {machine} to try again")
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
                    "run `kubectl describe csr {request}` to see the request, find out which program made it, then run `kubectl delete \
                     csr {request}`"
                )
            }
            Hint::LookAtPod { namespace, pod } => {
                let [namespace, pod] = [namespace, pod].map(|name| shell_word(name));
                write!(
                    f,
                    "run `kubectl --namespace {namespace} describe pod {pod}` to see why, and `kubectl --namespace {namespace} logs \
                     {pod}` for its output"
                )
            }
            Hint::Uncordon(node) => write!(f, "run `kubectl uncordon {}`", shell_word(node)),
            Hint::LookAtPods { namespace } => {
                write!(f, "run `kubectl --namespace {namespace} get pods` to see which pods are not ready")
            }
            Hint::Relieve { node, condition } => match condition.as_str() {
                "DiskPressure" => write!(f, "{node}: {}", Hint::MakeRoom),
                "MemoryPressure" => write!(
                    f,
                    "`ps -eo pid,rss,comm --sort=-rss | head` on {node} shows which processes use the most memory: stop what you don't need"
                ),
                "PIDPressure" => write!(
                    f,
                    "`ps -eo pid,nlwp,comm --sort=-nlwp | head` on {node} shows which processes have the most threads: stop what you \
                     don't need"
                ),
                _ => write!(
                    f,
                    "run `kubectl describe node {}` to see which program reports this condition, and since when",
                    shell_word(node)
                ),
            },
            Hint::FixPodNetwork { machine, fault: Fault::Other { file } } => {
                let file = shell_word(file);
                write!(
                    f,
                    "run `mv {file} {file}.disabled` on {machine}, then delete the pods that were started in the meantime"
                )
            }
            Hint::FixPodNetwork { machine, fault: Fault::Silent { nodes } } => write!(
                f,
                "allow ping and UDP port {TUNNEL_PORT} between {machine} and {}, if a firewall blocks them: `nft list ruleset` shows its rules",
                and(nodes)
            ),
            Hint::ReplaceDisk { machine, disk, rebuild: rebuild @ Command::Restore(_) } => write!(
                f,
                "run `hostler snapshot create`, then replace disk {disk} of {machine}; if the system is on it, reinstall the machine and \
                 run {rebuild}"
            ),
            Hint::ReplaceDisk { machine, disk, rebuild } => {
                write!(f, "replace disk {disk} of {machine}; if the system is on it, reinstall the machine and run {rebuild}")
            }
            Hint::CreateAgain => f.write_str(
                "hostler can't renew a CA: create the cluster again with `hostler reset` and `hostler up`",
            ),
        }
    }
}

/// Whether an endpoint of a running cluster may be a name or a load balancer: as a name, hostler would point every machine at one control plane.
fn could_be_either(is: &str) -> bool {
    plain_name(is).is_some_and(|name| !name.ends_with(".internal"))
}

/// The name of an endpoint with the port of the API server.
fn plain_name(is: &str) -> Option<&str> {
    is.strip_suffix(&format!(":{}", port::API)).filter(|name| name.parse::<Ipv4Addr>().is_err() && !name.starts_with('['))
}

/// The value of the running cluster, as the inventory has to spell it: an endpoint with a port is a load balancer there, and names, unlike
/// load balancers, have the port of the API server.
fn as_inventory(key: Unchangeable, is: &str) -> String {
    match (key, plain_name(is)) {
        (Unchangeable::Endpoint, Some(name)) => name.to_owned(),
        (Unchangeable::Endpoint, None) => format!("{{external: \"{is}\"}}"),
        _ => is.to_owned(),
    }
}
