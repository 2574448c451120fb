//! What a machine should have: the files, programs and images that follow from the inventory and the bundle alone.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;
use jiff::SignedDuration;
use serde_json::json;
use serde_yaml::Value;

use super::relied::choices::RESOLV_CONF_KEY;
use super::{add_ons, encoders, workload};
use crate::action::machine::{ImageName, Program};
use crate::action::{File, SecretFile};
use crate::digest::sha256;
use crate::facts::{Facts, Question, RenderNode};
use crate::inventory::{Address, Cni, Inventory, Machine, MachineName, Notify, Role, Transcode};
use crate::manifest::{Component, FileKind, Manifest};
use crate::protocol::{path, port, systemd};
use crate::share::Share;
use crate::static_pod::StaticPod;
use crate::step::ImageGroup;
use crate::template;
use crate::version::three_numbers;

/// Kernel modules: containerd's snapshotter, and the bridge that pods hang on.
const MODULES: [&str; 2] = ["overlay", "br_netfilter"];

/// The module that flannel's packets travel with. Some kernels for clouds and small boards have it in a package of its own, and flannel says only
/// that it can't add an interface.
const VXLAN: &str = "vxlan";

/// kubeadm checks the first; a bridge without the others hides pod traffic from kube-proxy's rules.
pub const SYSCTLS: &[(&str, &str)] =
    &[("net.ipv4.ip_forward", "1"), ("net.bridge.bridge-nf-call-iptables", "1"), ("net.bridge.bridge-nf-call-ip6tables", "1")];

/// Limits that must be no smaller. Each container's shim holds an inotify instance: with the kernel's 128, kubelet and `kubectl logs -f` fail on a
/// machine with some thirty pods.
pub const SYSCTLS_AT_LEAST: &[(&str, u64)] = &[("fs.inotify.max_user_instances", 8192)];

/// Small programs of the operating system, and the Debian package of each. The path of one decides whether apt is called at all.
pub const PACKAGES: &[(&str, &str)] = &[
    ("conntrack", "conntrack"),
    ("socat", "socat"),
    ("ethtool", "ethtool"),
    ("ip", "iproute2"),
    ("ping", "iputils-ping"),
    ("iptables", "iptables"),
    ("nft", "nftables"),
    ("mount", "mount"),
    ("modprobe", "kmod"),
];

/// What a control plane with a moving address needs besides.
pub const VIP_PACKAGES: &[(&str, &str)] = &[("keepalived", "keepalived"), ("curl", "curl")];

/// Sets host names and /etc/hosts at every start, where it is installed.
pub const CLOUD_INIT: &str = "cloud-init";

/// What a machine needs besides to mount a share from a server.
pub const NFS_PACKAGES: &[(&str, &str)] = &[("mount.nfs", "nfs-common")];

/// Every package that a machine of any inventory may need, without duplicates.
pub fn all_packages() -> Vec<&'static str> {
    let mut all: Vec<&str> = Vec::new();
    for (_, package) in PACKAGES.iter().chain(VIP_PACKAGES).chain(NFS_PACKAGES) {
        if !all.contains(package) {
            all.push(package);
        }
    }
    all
}

/// The packages of a machine.
pub fn packages(inventory: &Inventory, machine: &Machine) -> Vec<(&'static str, &'static str)> {
    let vip = if moving_address(inventory, machine).is_some() { VIP_PACKAGES } else { &[] };
    let films = inventory.transcode.as_ref().is_some_and(workload::on_a_server);
    let snapshots = inventory.snapshots.every.is_some() && inventory.snapshots.server().is_some();
    let nfs = if films || snapshots && machine.role == Role::ControlPlane { NFS_PACKAGES } else { &[] };
    PACKAGES.iter().chain(vip).chain(nfs).copied().collect()
}

/// Programs that only control planes use.
const CONTROL_PLANE_ONLY: &[&str] = &["etcdctl", "etcdutl"];

/// Units that hostler sets up: containerd and kubelet run on every machine.
pub const UNITS: &[&str] = &[systemd::CONTAINERD, systemd::KUBELET, SNAPSHOT_TIMER, RENEWAL_TIMER, NOTIFY_TIMER];

/// The unit that holds the endpoint's moving address.
pub const VIP_UNIT: &str = systemd::VIP;

/// Where kubeadm puts KubeletConfiguration.
pub const KUBELET_CONFIG: &str = path::KUBELET_CONFIG;

/// The group that an image is in on a machine of `role`, if it is there at all. kube-proxy shares its largest layer with the control plane's images, so there it travels with them.
fn group_of(component: Component, role: Role) -> Option<ImageGroup> {
    use Component::*;
    match (component, role) {
        (KubeApiserver | KubeControllerManager | KubeScheduler | Etcd, Role::ControlPlane) => Some(ImageGroup::ControlPlane),
        (KubeApiserver | KubeControllerManager | KubeScheduler | Etcd, Role::Worker) => None,
        (KubeProxy | Pause, Role::ControlPlane) => Some(ImageGroup::ControlPlane),
        (KubeProxy | Pause | Flannel, _) => Some(ImageGroup::Node),
        (Coredns | Hostler, _) => Some(ImageGroup::Pods),
        (Encoder, _) => Some(ImageGroup::Films),
    }
}

/// Images of one group for a machine, in the manifest's order.
pub fn images(inventory: &Inventory, manifest: &Manifest, name: &MachineName, role: Role, group: ImageGroup) -> Vec<ImageName> {
    manifest
        .images
        .iter()
        .filter(|image| group_of(image.component, role) == Some(group))
        .filter(|image| image.component != Component::Flannel || inventory.cluster.cni != Cni::None)
        .filter(|image| image.component != Component::Encoder || workload::encodes(inventory, name))
        .map(|image| ImageName { reference: image.reference.clone(), digest: image.digest.clone() })
        .collect()
}

/// What the programs of a bundle are called that get a link in /usr/local/bin.
pub const COMMANDS: [&str; 11] =
    ["containerd", "containerd-shim-runc-v2", "crictl", "ctr", "etcdctl", "etcdutl", "hostler", "kubeadm", "kubectl", "kubelet", "runc"];

/// Programs for a machine of `role`, and the name of the set they make: the Kubernetes version and a hash of what is in it.
pub fn programs(manifest: &Manifest, role: Role) -> (String, Vec<Program>) {
    let mut programs: Vec<Program> = manifest
        .files
        .iter()
        .filter(|file| role == Role::ControlPlane || !CONTROL_PLANE_ONLY.contains(&file.name.as_str()))
        .map(|file| Program { path: format!("{}/{}", folder(file.kind), file.name), sha256: file.sha256.clone(), size: file.size })
        .collect();
    programs.sort_by(|a, b| a.path.cmp(&b.path));
    let contents: String = programs.iter().map(|program| format!("{} {}\n", program.sha256, program.path)).collect();
    (format!("{}-{}", manifest.kubernetes, &sha256(contents.as_bytes())[..8]), programs)
}

/// Where Kubernetes listens, and which process does, by the name that the kernel knows it by: kubelet's, then those of a control plane.
const PORTS: [(u16, &str); 6] = [
    (port::KUBELET, "kubelet"),
    (port::API, "kube-apiserver"),
    (port::ETCD, "etcd"),
    (port::ETCD_PEERS, "etcd"),
    (10257, "kube-controller"),
    (10259, "kube-scheduler"),
];

/// The ports of a machine at which Kubernetes listens, and which process does.
pub fn ports(control_plane: bool) -> &'static [(u16, &'static str)] {
    if control_plane { &PORTS } else { &PORTS[..1] }
}

/// Kubernetes listens no more; whoever else does, does still.
pub fn leave_ports(facts: &mut Facts) {
    let kubernetes = |at: &u16, who: &String| PORTS.iter().any(|(port, name)| port == at && (who == name || who.is_empty()));
    facts.ports.retain(|port, who| !kubernetes(port, who));
}

/// Whether the set of this name is in use.
pub fn uses(facts: &Facts, set: &str) -> bool {
    facts.links.get(CURRENT).is_some_and(|link| link.strip_prefix(path::CURRENT_BEGINS) == Some(set))
}

/// The Kubernetes version of the set of programs in use.
pub fn version_in_use(facts: &Facts) -> Option<&str> {
    let (version, _) = facts.links.get(CURRENT)?.strip_prefix(path::CURRENT_BEGINS)?.rsplit_once('-')?;
    three_numbers(version)
}

fn folder(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Program => "bin",
        FileKind::CniPlugin => "cni",
    }
}

/// The kernel modules that a machine needs; with flannel's packets in VXLAN or without.
pub fn modules(vxlan: bool) -> Vec<&'static str> {
    MODULES.into_iter().chain(vxlan.then_some(VXLAN)).collect()
}

pub fn modules_file(vxlan: bool) -> File {
    file(path::MODULES, modules(vxlan).iter().map(|module| format!("{module}\n")).collect())
}

/// Of a machine whose kernel parameters are `now`: a limit that is larger than needed stays, after a reboot too.
pub fn sysctl_file(now: &BTreeMap<String, String>) -> File {
    let larger = |key: &str, least: u64| now.get(key).and_then(|now| now.parse::<u64>().ok()).is_some_and(|now| now > least);
    let limits = SYSCTLS_AT_LEAST.iter().filter(|(key, least)| !larger(key, *least)).map(|(key, least)| format!("{key} = {least}\n"));
    file(path::SYSCTLS, SYSCTLS.iter().map(|(key, value)| format!("{key} = {value}\n")).chain(limits).collect())
}

/// containerd's configuration and unit, crictl's, what pods get where films are encoded with Quick Sync, and the user's fragments.
///
/// # Errors
/// A template that can't be filled in, which is a defect.
pub fn containerd_files(inventory: &Inventory, manifest: &Manifest, name: &MachineName, facts: &Facts) -> Result<Vec<File>> {
    let pieces: Vec<String> = inventory.containerd.keys().map(|name| format!("{name}.toml")).collect();
    let nodes = encoders::render_nodes(inventory, name, facts);
    let pause = manifest.image(Component::Pause).map_or("", |image| &image.reference);
    let mut files = containerd_own_files(pause, &pieces, !nodes.is_empty())?;
    if let Some(films) = inventory.transcode.as_ref().filter(|_| !nodes.is_empty()) {
        files.push(films_spec(&nodes, films.owner.gid)?);
    }
    for (name, text) in &inventory.containerd {
        files.push(file(&format!("{CONTAINERD_FRAGMENTS}/{name}.toml"), text.clone()));
    }
    Ok(files)
}

/// What containers of encoders are made from: containerd's own, with the machine's render nodes, which belong to the group `gid` there.
fn films_spec(nodes: &[&RenderNode], gid: u32) -> Result<File> {
    Ok(file(path::FILMS_SPEC, template::render("containerd/films.json", json!({ "nodes": nodes, "gid": gid }))?))
}

/// `films`: whether there is a [`films_spec`].
fn containerd_own_files(pause: &str, pieces: &[String], films: bool) -> Result<Vec<File>> {
    let config = template::render("containerd/config.toml", json!({ "pause": pause, "pieces": pieces, "quick_sync": films }))?;
    Ok(vec![
        file(path::CONTAINERD_CONFIG, config),
        file(systemd::CONTAINERD_FILE, template::render("containerd/containerd.service", json!({}))?),
        file(path::CRICTL_CONFIG, template::render("containerd/crictl.yaml", json!({}))?),
        file(path::CNI_TMPFILES, template::render("containerd/cni.conf", json!({}))?),
    ])
}

/// Where the user's containerd fragments land.
pub const CONTAINERD_FRAGMENTS: &str = path::CONTAINERD_FRAGMENTS;

/// kubelet's unit, what it reads that is this machine's alone, and the time that logind gives its pods at a shutdown.
///
/// # Errors
/// A template that can't be filled in, which is a defect.
pub fn kubelet_files(inventory: &Inventory, name: &MachineName, facts: &Facts) -> Result<Vec<File>> {
    let configuration = &inventory.kubeadm.kubelet;
    let resolv_conf = (!configuration.contains_key(RESOLV_CONF_KEY)).then(|| resolv_conf(facts));
    let seconds = shutdown_grace_period(inventory).max(LOGIND_DELAY);
    kubelet_own_files(json!({ "name": name, "resolv_conf": resolv_conf, "seconds": seconds }))
}

fn kubelet_own_files(context: serde_json::Value) -> Result<Vec<File>> {
    Ok(vec![
        file(systemd::KUBELET_FILE, template::render("kubelet/kubelet.service", &context)?),
        file(systemd::KUBELET_DROP_IN, template::render("kubelet/10-kubeadm.conf", &context)?),
        file(path::KUBELET_MACHINE_CONFIG, template::render("kubelet/10-machine.conf", &context)?),
        file(path::LOGIND, template::render("kubelet/logind.conf", &context)?),
    ])
}

/// How long kubelet delays a shutdown of its machine, in seconds; 0: not at all.
pub fn shutdown_grace_period(inventory: &Inventory) -> u64 {
    if let Some(periods) = inventory.kubeadm.kubelet.get(BY_PRIORITY).and_then(Value::as_sequence) {
        // One after the other.
        return periods.iter().filter_map(|period| period.get("shutdownGracePeriodSeconds")?.as_u64()).sum();
    }
    let asked = inventory.kubeadm.kubelet.get("shutdownGracePeriod").and_then(|value| value.as_str()?.parse::<SignedDuration>().ok());
    asked.map_or(SHUTDOWN_GRACE_PERIOD, |period| period.as_secs().unsigned_abs())
}

/// kubelet's other way to say how long pods have to end when their machine shuts down.
pub const BY_PRIORITY: &str = "shutdownGracePeriodByPodPriority";
/// `shutdownGracePeriod` of templates/kubeadm/kubelet.yaml, in seconds.
const SHUTDOWN_GRACE_PERIOD: u64 = 60;
/// logind's own `InhibitDelayMaxSec`, in seconds.
const LOGIND_DELAY: u64 = 5;

/// The file with nameservers for pods that the inventory names, if it does.
pub fn own_resolv_conf(inventory: &Inventory) -> Option<&str> {
    inventory.kubeadm.kubelet.get(RESOLV_CONF_KEY)?.as_str()
}

/// The file with the nameservers that pods of the machine ask. kubeadm decides this once for all machines, by that of `init`; but where
/// systemd-resolved runs, /etc/resolv.conf leads to the machine itself, which a pod does not reach: CoreDNS would ask itself.
pub fn resolv_conf(facts: &Facts) -> &'static str {
    let by_resolved = facts.nameservers.iter().any(|server| is_loopback(server))
        && !facts.resolved_nameservers.is_empty()
        && !facts.resolved_nameservers.iter().any(|server| is_loopback(server));
    if by_resolved { path::RESOLVED_CONFIG } else { path::RESOLV_CONF }
}

/// Whether pods ask themselves by this nameserver.
pub fn is_loopback(server: &str) -> bool {
    server.split('%').next().and_then(|server| server.parse::<IpAddr>().ok()).is_some_and(|address| address.is_loopback())
}

/// Keeps cloud-init from what hostler set.
///
/// # Errors
/// A template that can't be filled in, which is a defect.
pub fn cloud_init_file() -> Result<File> {
    Ok(file(path::CLOUD_INIT, template::render("machine/cloud-init.cfg", json!({}))?))
}

/// hostler's lines in a machine's /etc/hosts: its own name, and the endpoint's. Nodes find each other by address, so that a machine that
/// comes or goes changes nothing on the others.
pub fn hosts(inventory: &Inventory, name: &MachineName, machine: &Machine, endpoint: Option<IpAddr>) -> Vec<String> {
    let own = format!("{} {name}", machine.address);
    let endpoint = endpoint.map(|address| format!("{address} {}", inventory.cluster.endpoint.host()));
    std::iter::once(own).chain(endpoint).collect()
}

/// The endpoint's moving address, where the machine takes turns in holding it.
pub fn moving_address(inventory: &Inventory, machine: &Machine) -> Option<IpAddr> {
    inventory.cluster.endpoint.vip().filter(|_| machine.role == Role::ControlPlane)
}

/// What a control plane loses of its priority while its API server does not answer: more than all others are apart.
const PENALTY: u8 = 60;

/// keepalived's configuration, scripts and unit, for a control plane of a cluster whose endpoint is a moving address; else none. The first
/// control plane goes first: it has the address before the first `kubeadm init`, which needs it.
///
/// # Errors
/// A template that can't be filled in, which is a defect.
pub fn vip_files(inventory: &Inventory, name: &MachineName, machine: &Machine) -> Result<Vec<File>> {
    let Some(vip) = moving_address(inventory, machine) else { return Ok(Vec::new()) };
    let place = inventory.control_planes().position(|(other, _)| other == name).unwrap_or_default() as u8;
    let peers: Vec<IpAddr> = inventory.control_planes().filter(|(other, _)| *other != name).map(|(_, other)| other.address).collect();
    // Distinct clusters on one network mostly have distinct last bytes; 0 is not allowed (RFC 5798, 5.2.3).
    let router = match vip {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    };
    vip_own_files(json!({
        "name": name, "address": machine.address, "vip": vip, "peers": peers, "router": router.max(1),
        "priority": 200 - 10 * place.min(5), "penalty": PENALTY,
    }))
}

/// Where [`vip_files`] are; the unit is the last.
///
/// # Errors
/// As [`vip_files`].
pub fn vip_paths() -> Result<Vec<String>> {
    let nothing = json!({ "name": "", "address": "", "vip": "", "peers": [], "router": 0, "priority": 0, "penalty": 0 });
    Ok(vip_own_files(nothing)?.into_iter().map(|file| file.path).collect())
}

fn vip_own_files(context: serde_json::Value) -> Result<Vec<File>> {
    let script = |path: &str, name: &str| -> Result<File> {
        Ok(File { path: path.to_owned(), mode: "755".to_owned(), content: template::render(name, context.clone())? })
    };
    Ok(vec![
        file(path::KEEPALIVED_CONFIG, template::render("keepalived/keepalived.conf", context.clone())?),
        script(path::VIP_SCRIPT, "keepalived/vip.sh")?,
        script(path::VIP_CHECK, "keepalived/vip-check.sh")?,
        file(systemd::VIP_FILE, template::render("keepalived/hostler-vip.service", json!({}))?),
    ])
}

/// Everything `plan` may want to know of any machine, whichever bundle it will use; of `films`, where there are any, what is to be said of
/// the folders that they go through; of the folder where `snapshots` are; and of what machines are to `keep`. Programs of the set in use and containerd's
/// fragments are found by facts.sh itself: they may be others than this hostler would install.
///
/// # Errors
/// A template that can't be filled in, which is a defect.
pub fn question(films: Option<&Transcode>, snapshots: Option<&str>, keep: Vec<String>) -> Result<Question> {
    let mut files: Vec<String> =
        vec![path::MODULES.to_owned(), path::SYSCTLS.to_owned(), KUBELET_CONFIG.to_owned(), path::KUBELET_FLAGS.to_owned()];
    files.extend(containerd_own_files("", &[], false)?.into_iter().map(|file| file.path));
    files.extend(kubelet_own_files(json!({ "name": "", "seconds": 0, "resolv_conf": null }))?.into_iter().map(|file| file.path));
    files.push(films_spec(&[], 0)?.path);
    files.push(cloud_init_file()?.path);
    files.extend(StaticPod::ALL.map(StaticPod::manifest));
    files.extend(vip_paths()?);
    files.extend(SNAPSHOT_FILES.iter().chain(SNAPSHOT_COPY_FILES).map(|path| (*path).to_owned()));
    files.extend(renewal_files()?.into_iter().map(|file| file.path));
    files.extend(NOTIFY_FILES.iter().map(|path| (*path).to_owned()));
    Ok(Question {
        files,
        add_ons: true,
        images: true,
        tunnel: true,
        requests: false,
        kubelet_requests: false,
        system: false,
        fsync: Default::default(),
        vip: Default::default(),
        workload: films.is_some(),
        links: vec![CURRENT.to_owned()],
        units: UNITS.iter().chain(&[VIP_UNIT]).map(|unit| (*unit).to_owned()).collect(),
        programs: PACKAGES
            .iter()
            .chain(VIP_PACKAGES)
            .chain(NFS_PACKAGES)
            .map(|(program, _)| (*program).to_owned())
            .chain([CLOUD_INIT.to_owned()])
            .collect(),
        modules: MODULES.into_iter().chain([VXLAN]).map(str::to_owned).collect(),
        resolv_conf: String::new(),
        endpoint: String::new(),
        commands: COMMANDS.iter().map(|command| (*command).to_owned()).collect(),
        sysctls: SYSCTLS.iter().map(|(key, _)| *key).chain(SYSCTLS_AT_LEAST.iter().map(|(key, _)| *key)).map(str::to_owned).collect(),
        cluster_objects: add_ons::outside_of_namespaces()?,
        snapshots: snapshots.unwrap_or_default().to_owned(),
        keep,
        shares: films.into_iter().flat_map(workload::folders).map(|(_, path)| path.to_owned()).collect(),
        uid: films.map_or(0, |films| films.owner.uid),
        gid: films.map_or(0, |films| films.owner.gid),
        ..Question::about_kubeadm()
    })
}

/// The set of programs in use.
pub const CURRENT: &str = path::CURRENT;

/// Taints the node should carry: the inventory's, and kubeadm's own for a control plane that is to do nothing else.
pub fn taints(machine: &Machine) -> Vec<crate::inventory::Taint> {
    let mut taints = machine.taints.clone();
    if machine.dedicated && machine.role == Role::ControlPlane {
        taints.push(crate::inventory::Taint {
            key: "node-role.kubernetes.io/control-plane".to_owned(),
            value: String::new(),
            effect: "NoSchedule".to_owned(),
        });
    }
    taints
}

/// Starts the service that takes a snapshot.
pub const SNAPSHOT_TIMER: &str = systemd::SNAPSHOT_TIMER;

/// Everything that regular snapshots need on a control plane.
pub const SNAPSHOT_FILES: &[&str] = &[systemd::SNAPSHOT_FILE, systemd::SNAPSHOT_TIMER_FILE, path::SNAPSHOT_SCRIPT];

/// And to copy them to a server.
pub const SNAPSHOT_COPY_FILES: &[&str] = &[systemd::SNAPSHOT_COPY_FILE, path::SNAPSHOT_COPY_SCRIPT];

/// The units and scripts of regular snapshots on the control plane `name`.
///
/// # Errors
/// A template that can't be filled in, which is a defect.
pub fn snapshot_files(inventory: &Inventory, name: &MachineName, every: Duration) -> Result<Vec<File>> {
    let snapshots = &inventory.snapshots;
    let context = json!({
        "to": snapshots.folder(), "cluster": inventory.cluster.name, "machine": name, "every": every.as_secs() / 60, "keep": snapshots.keep,
        "recipients": snapshots.recipients, "is_copied": snapshots.server().is_some(),
    });
    let parts = ["machine/hostler-snapshot.sh", "kubernetes/snapshot.sh", "machine/keep-snapshot.sh"];
    let script: Result<String> = parts.iter().map(|part| template::render(part, &context)).collect();
    let contents = [
        template::render("machine/hostler-snapshot.service", &context)?,
        template::render("machine/hostler-snapshot.timer", &context)?,
        script?,
    ];
    let mut files: Vec<File> = SNAPSHOT_FILES.iter().zip(contents).map(|(path, content)| file(path, content)).collect();
    if let Share::Nfs { server, path } = &snapshots.to {
        let context = json!({
            "to": snapshots.folder(), "cluster": inventory.cluster.name, "machine": name, "keep": snapshots.keep,
            "is_encrypted": !snapshots.recipients.is_empty(), "share": snapshots.to.to_string(), "source": format!("{server}:{path}"),
        });
        let contents = [
            template::render("machine/hostler-snapshot-copy.service", &context)?,
            template::render("machine/hostler-snapshot-copy.sh", &context)?,
        ];
        files.extend(SNAPSHOT_COPY_FILES.iter().zip(contents).map(|(path, content)| file(path, content)));
    }
    Ok(files)
}

/// Starts the service that renews certificates.
pub const RENEWAL_TIMER: &str = systemd::RENEWAL_TIMER;

/// What a control plane needs to renew its certificates by itself.
///
/// # Errors
/// A template that can't be filled in, which is a defect.
pub fn renewal_files() -> Result<Vec<File>> {
    Ok(vec![
        file(systemd::RENEWAL_FILE, template::render("machine/hostler-renewal.service", json!({}))?),
        file(systemd::RENEWAL_TIMER_FILE, template::render("machine/hostler-renewal.timer", json!({}))?),
    ])
}

/// Starts the service that sends notifications.
pub const NOTIFY_TIMER: &str = systemd::NOTIFY_TIMER;

/// Everything that notifications need on a machine.
pub const NOTIFY_FILES: &[&str] = &[systemd::NOTIFY_FILE, systemd::NOTIFY_TIMER_FILE, path::NOTIFY_SETTINGS];

/// The units, and the settings, which hold the addresses.
///
/// # Errors
/// A template that can't be filled in, which is a defect.
pub fn notify_files(inventory: &Inventory, notify: &Notify, name: &MachineName) -> Result<(Vec<File>, SecretFile)> {
    let units = vec![
        file(systemd::NOTIFY_FILE, template::render("machine/hostler-notify.service", json!({}))?),
        file(systemd::NOTIFY_TIMER_FILE, template::render("machine/hostler-notify.timer", json!({}))?),
    ];
    let snapshots = &inventory.snapshots;
    let context = json!({
        "cluster": inventory.cluster.name, "machine": name, "url": notify.url.reveal(),
        "heartbeat": notify.heartbeat.as_ref().map(Address::reveal), "digest": notify.digest,
        "snapshots": { "to": snapshots.folder(), "every": snapshots.every.map(|every| every.as_secs()) },
    });
    Ok((units, SecretFile::new(path::NOTIFY_SETTINGS, template::render("machine/notify.json", context)?)))
}

fn file(path: &str, content: String) -> File {
    File { path: path.to_owned(), mode: "644".to_owned(), content }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::pins::{Contents, shipped};

    /// What replaces a program of the user's in /usr/local/bin is named by the plan.
    #[test]
    fn every_program_of_a_bundle_is_looked_for_on_machines() {
        let list = shipped();
        let mut programs = vec!["hostler"];
        for release in list.releases(&list.pins[0], Arch::Amd64) {
            match release.contents {
                Contents::Program(name) => programs.push(name),
                Contents::Programs(names) => programs.extend(names),
                Contents::CniPlugins(_) => {}
            }
        }
        programs.sort_unstable();
        assert_eq!(programs, COMMANDS);
    }
}
