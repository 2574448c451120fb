//! What the planner will not do: each with a reason and a way out. Looked at first, so that nothing is planned for what is refused.

use std::collections::BTreeMap;

use super::Refusal;
use super::cluster::renamed;
use super::documents;
use super::planner::{Planner, RESTORE_BEGUN, WIPE_BEGUN, begun};
use super::wanted::{self, peer};
use crate::facts::{ClusterFacts, Facts, LockFact, Observation};
use crate::inventory::{Cni, Inventory, Machine, MachineName, Role};

/// Seconds that clocks may differ before certificates and leases suffer.
pub const CLOCK_TOLERANCE: i64 = 60;
/// KiB of memory that kubeadm asks for on a control plane.
pub const LITTLE_MEMORY: u64 = 1700 * 1024;
/// MiB of disk below which nothing can be sent, or written reliably.
const NO_DISK: u64 = 20;
/// MiB that programs, images and what is unpacked of them take on a machine that has none of them yet.
const NEW_DISK: u64 = 1500;

pub fn look(planner: &mut Planner) {
    unreachable(planner);
    for (name, _) in planner.machines() {
        if let Some(facts) = planner.facts.get(name).copied() {
            machine(planner, name, facts);
        }
    }
    membership(planner);
    newcomers(planner);
    clocks(planner);
    bundle(planner);
    if let Some((_, cluster)) = planner.speaker {
        unchangeable(planner, cluster);
    }
}

fn unreachable(planner: &mut Planner) {
    let unreachable: Vec<_> = planner.unreachable.iter().map(|(name, why)| (*name, (*why).to_owned())).collect();
    for (name, why) in &unreachable {
        planner.warn(Some(name), format!("not reached, left as it is: {why}"));
    }
    let lost: Vec<String> = planner
        .inventory
        .control_planes()
        .filter(|(name, _)| planner.unreachable.contains_key(name))
        .map(|(name, _)| name.to_string())
        .collect();
    if !lost.is_empty() && !planner.cluster_exists() {
        let consequence = if planner.facts.values().any(|facts| facts.kubernetes.joined) {
            "so nobody can speak for the cluster"
        } else {
            "so nobody knows whether there is a cluster already"
        };
        planner.refuse(
            None,
            "control-plane-unknown",
            format!("{} can't be reached, {consequence}", lost.join(", ")),
            "turn it on, or mend its address or SSH, and run again",
        );
    }
}

fn machine<'a>(planner: &mut Planner<'a>, name: &'a MachineName, facts: &'a Facts) {
    if !facts.systemd {
        planner.refuse(Some(name), "no-systemd", "its init is not systemd", "install Debian or Ubuntu on it");
    } else if facts.arch != planner.manifest.arch {
        let reason = format!("it is {}, the bundle is for {}", facts.arch, planner.manifest.arch);
        planner.refuse(Some(name), "architecture", reason, format!("give a bundle for {} with --bundle", facts.arch));
    } else if !facts.foreign.is_empty() {
        let reason = format!("{} is on it", facts.foreign.join(", "));
        planner.refuse(Some(name), "foreign", reason, "remove it first: two container platforms on one machine break each other");
    } else if facts.applied.contains_key(WIPE_BEGUN) {
        let way_out = format!("`hostler rebuild {name}` ends it and brings the machine back; `hostler remove` and `reset` end it, too");
        planner.refuse(Some(name), WIPE_BEGUN, "it was being wiped, and that was cut before its end", way_out);
    } else if facts.applied.contains_key(RESTORE_BEGUN) {
        let way_out = format!("`hostler rebuild {name} --from SNAPSHOT` begins it anew");
        planner.refuse(Some(name), RESTORE_BEGUN, "it was being restored from a snapshot, and that was cut before its end", way_out);
    } else if !facts.kubernetes.joined && !facts.kubernetes.leftovers.is_empty() && !begun(facts) {
        let reason = format!("an earlier cluster left {} there", facts.kubernetes.leftovers.join(", "));
        let way_out = format!("look what it is; {} wipes it first", taken_over_by(planner, name));
        planner.refuse(Some(name), "not-blank", reason, way_out);
    } else if !facts.read_only.is_empty() {
        let paths: Vec<&str> = facts.read_only.iter().map(String::as_str).collect();
        let reason = format!("{} is mounted read-only, and nothing can be written there", paths.join(", "));
        let way_out =
            "look why (`dmesg`): a disk that fails is mounted so; then remount it writable, or restart the machine, and run again";
        planner.refuse(Some(name), "read-only", reason, way_out);
    } else if let Some(least) = no_room(facts) {
        let reason = format!("{} MB of its disk are free, and {least} MB are needed", facts.disk_free / 1024);
        planner.refuse(
            Some(name),
            "disk",
            reason,
            "make room in the file system of /var/lib, and run again: `du -xh / | sort -h | tail` tells what is big",
        );
    } else if !facts.kubernetes.damaged.is_empty() && facts.kubernetes.joined && !begun(facts) {
        damaged(planner, name, facts);
    } else if let Some((port, who)) = planner.inventory.machines.get(name).and_then(|machine| ports_taken(machine, facts).first().copied())
    {
        let who = if who.is_empty() { "another program" } else { who };
        let way_out = format!("stop it for good, or move it to another port, and run again: `ss -ltnp sport = :{port}` shows it");
        planner.refuse(Some(name), "port", format!("{who} listens at port {port}, which Kubernetes needs"), way_out);
    }
    if planner.usable(name).is_some()
        && planner.inventory.machines.get(name).is_some_and(|machine| machine.role == Role::ControlPlane)
        && (1..LITTLE_MEMORY).contains(&facts.memory)
    {
        let least = LITTLE_MEMORY / 1024;
        planner.warn(Some(name), format!("{} MB of memory is little: {least} MB is what kubeadm asks for", facts.memory / 1024));
    }
    if let Some(lock) = &facts.lock {
        let text = format!("{} though its run was cut: what is to be done here waits for it", working(facts, lock));
        planner.warn(Some(name), text);
    }
    if facts.nameservers.is_empty() && planner.usable(name).is_some() {
        planner.warn(Some(name), "/etc/resolv.conf names no server: CoreDNS will not start here without one");
    }
}

/// The machines on which another hostler is at work: nobody else plans for what it is just changing.
pub fn at_work(inventory: &Inventory, seen: &BTreeMap<MachineName, Observation>) -> Vec<Refusal> {
    let refuse = |name: &MachineName| {
        let Observation::Facts(facts) = seen.get(name)? else { return None };
        let lock = facts.lock.as_ref().filter(|lock| !lock.left_behind)?;
        Some(Refusal {
            machine: Some(name.clone()),
            code: "at-work",
            reason: working(facts, lock),
            way_out: "let it end, and run again; a script whose hostler is gone ends by itself".to_owned(),
        })
    };
    inventory.machines.keys().filter_map(refuse).collect()
}

/// Whose step works on the machine, and since when.
fn working(facts: &Facts, lock: &LockFact) -> String {
    format!("step {} of run {} has been at work here for {} s", lock.step, lock.run, (facts.clock - lock.since).max(0))
}

/// How many MiB of disk the machine needs, where it has less.
fn no_room(facts: &Facts) -> Option<u64> {
    let least = if wanted::version_in_use(facts).is_some() || facts.kubernetes.joined { NO_DISK } else { NEW_DISK };
    (facts.disk_size > 0 && facts.disk_free / 1024 < least).then_some(least)
}

/// Ports that Kubernetes will listen at on the machine, and who does now. Of a machine that is in a cluster, or half in one, nobody can say.
pub fn ports_taken<'a>(machine: &Machine, facts: &'a Facts) -> Vec<(u16, &'a str)> {
    if facts.kubernetes.joined || begun(facts) || !facts.kubernetes.leftovers.is_empty() {
        return Vec::new();
    }
    let needed = wanted::ports(machine.role == Role::ControlPlane);
    needed.iter().filter_map(|(port, _)| facts.ports.get_key_value(port)).map(|(port, who)| (*port, who.as_str())).collect()
}

/// A machine that is in the cluster, and whose kubelet or control plane can't read what kubeadm wrote for it.
fn damaged<'a>(planner: &mut Planner<'a>, name: &'a MachineName, facts: &Facts) {
    // What was cut there is not this cluster's to bring back.
    if other_cluster(planner, name, facts, take_over(planner, name)) {
        return;
    }
    let reason = format!("{} can't be read: it was cut, or changed", facts.kubernetes.damaged.join(", "));
    let only = planner.inventory.control_planes().map(|(other, _)| other).eq([name]);
    let way_out = if only {
        format!("put it back from a backup; or `hostler rebuild {name} --from SNAPSHOT` makes the machine anew")
    } else {
        format!("`hostler rebuild {name}` brings it back clean")
    };
    planner.refuse(Some(name), "damaged", reason, way_out);
}

/// The certificate authority of the inventory's cluster, as its control planes have it.
pub fn authority(planner: &Planner) -> Option<String> {
    planner.control_planes().find(|(_, facts)| facts.kubernetes.control_plane).and_then(|(_, facts)| facts.kubernetes.ca.clone())
}

/// Whether the machine is in a cluster that is not the inventory's. Where no control plane tells its certificate authority, the server's
/// name decides.
pub fn is_of_another(planner: &Planner, facts: &Facts) -> bool {
    let ours = format!("https://{}", documents::endpoint(planner.inventory));
    let other = match authority(planner) {
        // What would tell was damaged.
        Some(_) if facts.kubernetes.ca.is_none() && !facts.kubernetes.damaged.is_empty() => false,
        Some(authority) => facts.kubernetes.ca.as_ref() != Some(&authority),
        None => facts.kubernetes.server.as_ref().is_some_and(|server| *server != ours),
    };
    other && facts.kubernetes.joined && !begun(facts)
}

/// The other cluster that the machine is in, as a person would ask for it.
pub fn its_cluster(facts: &Facts) -> &str {
    facts.kubernetes.server.as_deref().unwrap_or("its server is unknown")
}

/// Refuses the machine if it is in a cluster that is not the inventory's. `way_out`: what to do instead.
pub fn other_cluster<'a>(planner: &mut Planner<'a>, name: &'a MachineName, facts: &Facts, way_out: impl Into<String>) -> bool {
    let other = is_of_another(planner, facts);
    if other {
        planner.refuse(Some(name), "other-cluster", format!("it belongs to another cluster ({})", its_cluster(facts)), way_out);
    }
    other
}

/// The way out where a machine of another cluster is to come in.
pub fn take_over(planner: &Planner, name: &MachineName) -> String {
    format!("take it out of that cluster if you can; {} wipes it first", taken_over_by(planner, name))
}

/// The command that wipes the machine and brings it in. Where the cluster still has what the machine was before, that has to go, too.
fn taken_over_by(planner: &Planner, name: &MachineName) -> String {
    let address = planner.inventory.machines.get(name).map(|machine| machine.address.to_string());
    let before = planner
        .speaker
        .and_then(|(_, cluster)| cluster.nodes.get(name.as_str()))
        .is_some_and(|node| Some(&node.address) == address.as_ref());
    if before { format!("`hostler rebuild {name} --take-over {name}`") } else { format!("`--take-over {name}` with up, add or rebuild") }
}

/// Who belongs to which cluster, told by the certificate authority.
fn membership(planner: &mut Planner) {
    let known = authority(planner).is_some();
    let lost = planner.unreachable.keys().any(|lost| planner.inventory.machines[lost.as_str()].role == Role::ControlPlane);
    let mut orphans = Vec::new();
    for (name, machine) in planner.machines() {
        let Some(facts) = planner.usable(name) else {
            continue;
        };
        if !facts.kubernetes.joined || begun(facts) {
            continue;
        }
        if !known {
            orphans.push(name.as_str());
            continue;
        }
        if other_cluster(planner, name, facts, take_over(planner, name)) {
            continue;
        }
        if facts.kubernetes.control_plane != (machine.role == Role::ControlPlane) {
            planner.refuse(
                Some(name),
                "role-changed",
                format!("it is a {} now", if facts.kubernetes.control_plane { "control plane" } else { "worker" }),
                format!("a role is changed by `hostler remove {name}` and then `hostler add {name}`"),
            );
            continue;
        }
        let Some((_, cluster)) = planner.speaker else {
            continue;
        };
        match cluster.nodes.get(name.as_str()) {
            None => planner.refuse(
                Some(name),
                "node-gone",
                "its node was deleted from the cluster, though it still takes itself for a member",
                format!("`hostler rebuild {name}` brings it back clean"),
            ),
            Some(node) if !node.address.is_empty() && node.address != machine.address.to_string() => planner.refuse(
                Some(name),
                "address",
                format!("its node has the address {}, and can't get {}", node.address, machine.address),
                format!("give it its old address back, or `hostler rebuild {name}`"),
            ),
            Some(_) => {}
        }
    }
    if !orphans.is_empty() && !lost {
        planner.refuse(
            None,
            "control-plane-lost",
            format!("in a cluster, though no control plane of the inventory is: {}", orphans.join(", ")),
            "`hostler rebuild NAME --from SNAPSHOT` brings the only control plane back; without any snapshot, `--new-cluster` makes a new cluster",
        );
    }
}

/// What keeps a machine that is in no cluster from joining this one.
fn newcomers(planner: &mut Planner) {
    let Some((_, cluster)) = planner.speaker else {
        return;
    };
    for (name, machine) in planner.machines() {
        let Some(facts) = planner.usable(name) else {
            continue;
        };
        if planner.joined(name) {
            continue;
        }
        let own = peer(&machine.address.to_string());
        let rebuild = format!("`hostler rebuild {name}` takes the old one out and brings this machine in");
        if !begun(facts) {
            if let Some(node) = cluster.nodes.get(name.as_str()) {
                let reason = format!("the cluster has a node {name} already, at {}, and this machine knows nothing of it", node.address);
                let way_out = if node.address == machine.address.to_string() {
                    rebuild
                } else {
                    format!("give one of the two another name; if the other is gone for good, `hostler remove {name} --dead`")
                };
                planner.refuse(Some(name), "node-exists", reason, way_out);
                continue;
            }
            if cluster.members.values().any(|member| member.peer == own) {
                planner.refuse(Some(name), "member-exists", "etcd has a member at its address already", rebuild);
                continue;
            }
        }
        if machine.role == Role::Worker {
            continue;
        }
        let others = || cluster.members.values().filter(|member| member.peer != own);
        if let Some(learner) = others().find(|member| member.learner) {
            let who = if learner.name.is_empty() { &learner.peer } else { &learner.name };
            planner.refuse(
                Some(name),
                "learner",
                format!("it can't join as a control plane while etcd has a learner ({who}): it takes one at a time"),
                format!("`hostler remove {who} --dead` takes the learner out, if it never finished joining"),
            );
        } else if let Some(sick) = others().find(|member| !member.healthy) {
            planner.refuse(
                Some(name),
                "member-unhealthy",
                format!("it can't join as a control plane while etcd's member {} is not well: that could stop etcd", sick.name),
                format!("bring {0} back first, or `hostler remove {0} --dead`", sick.name),
            );
        }
    }
}

/// Said when nothing is to be mended on a control plane: otherwise its API server may come back by that.
pub fn silence(planner: &mut Planner) {
    let control_planes = || planner.inventory.control_planes();
    if planner.speaker.is_some() || !planner.cluster_exists() || control_planes().any(|(name, _)| planner.works_on(name)) {
        return;
    }
    let mute: Vec<String> = control_planes()
        .filter_map(|(name, _)| Some(format!("{name} says {}", planner.facts.get(name)?.api_down.as_deref().unwrap_or("nothing"))))
        .collect();
    planner.refuse(
        None,
        "no-api",
        format!("no API server answers: {}", mute.join("; ")),
        "bring control planes that are off back: etcd needs more than half of them; `crictl ps -a` on one shows what does not run",
    );
}

fn clocks(planner: &mut Planner) {
    for (name, off) in wrong_clocks(planner) {
        planner.refuse(
            Some(name),
            "clock",
            format!("its clock is {off}"),
            "set it (`timedatectl set-ntp true`, or `date -s`): certificates and leases depend on it",
        );
    }
}

/// Machines with a wrong clock, and how wrong it is: `10 minutes ahead of the others`.
pub fn wrong_clocks<'a>(planner: &Planner<'a>) -> BTreeMap<&'a MachineName, String> {
    let known: Vec<(&MachineName, i64)> = planner.facts.iter().filter_map(|(name, facts)| Some((*name, facts.clock_ahead?))).collect();
    // Of many clocks the middle one is right. Of two nobody could say, so this computer's counts too, and against a single one it is right.
    let (mut ahead, others) = match known.as_slice() {
        [_] => (vec![0], "this computer's"),
        [(_, one), (_, other)] => (vec![*one, *other, 0], "the other machine's and this computer's"),
        many => (many.iter().map(|(_, ahead)| *ahead).collect(), "the others"),
    };
    ahead.sort_unstable();
    let Some(&middle) = ahead.get(ahead.len() / 2) else { return BTreeMap::new() };
    let off = known.into_iter().map(|(name, ahead)| (name, ahead - middle)).filter(|(_, off)| off.abs() > CLOCK_TOLERANCE);
    off.map(|(name, off)| (name, format!("{} {} {others}", span(off.unsigned_abs()), if off > 0 { "ahead of" } else { "behind" })))
        .collect()
}

/// Seconds in the largest unit of which there are two or more, rounded.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} minutes", (seconds + 30) / 60),
        7200..172_800 => format!("{} hours", (seconds + 1800) / 3600),
        _ => format!("{} days", (seconds + 43_200) / 86_400),
    }
}

/// Programs and images of another version than the cluster's, or the one asked for: kubelet would be newer than its API server, or older than
/// kubeadm allows.
fn bundle(planner: &mut Planner) {
    let told = planner.speaker.map(|(_, cluster)| cluster.version.clone()).filter(|version| !version.is_empty());
    // Without an API server, what is installed on its machines tells.
    let joined = || planner.facts.values().filter(|facts| facts.kubernetes.joined);
    let running = told.or_else(|| joined().find_map(|facts| wanted::version_in_use(facts)).map(str::to_owned));
    let Some(version) = running.or_else(|| planner.inventory.cluster.version.clone()) else {
        return;
    };
    if version != planner.manifest.kubernetes {
        let reason = format!("the bundle holds Kubernetes {}, and the cluster's is {version}", planner.manifest.kubernetes);
        planner.refuse(None, "bundle-version", reason, format!("leave --bundle out, or give it a bundle of {version}"));
    }
}

/// What a cluster keeps for its whole life.
fn unchangeable(planner: &mut Planner, cluster: &ClusterFacts) {
    let wanted = &planner.inventory.cluster;
    let asked = [
        ("pod-subnet", "podSubnet", &cluster.pod_subnet, wanted.pod_subnet.to_string()),
        ("service-subnet", "serviceSubnet", &cluster.service_subnet, wanted.service_subnet.to_string()),
        ("endpoint", "endpoint", &cluster.endpoint, documents::endpoint(planner.inventory)),
        ("cluster-name", "name", &cluster.cluster_name, wanted.name.clone()),
    ];
    let name = wanted.name.clone();
    let cni = cni_name(wanted.cni);
    for (code, key, is, should) in asked {
        if !is.is_empty() && *is != should {
            planner.refuse(
                None,
                code,
                format!("`{key}` of the running cluster is {is}, and can't become {should}"),
                format!("write {is} into the inventory, or make the cluster anew: `hostler reset`, then `hostler up`"),
            );
        }
    }
    if let Some(is) = cluster.record.get("cni")
        && is != cni
    {
        planner.refuse(
            None,
            "cni",
            format!("the pod network of the running cluster is {is}, and can't become {cni}"),
            format!("write `cni: {is}` into the inventory, or make the cluster anew: `hostler reset`, then `hostler up`"),
        );
    }
    if let Some(version) = wanted.version.as_ref().filter(|version| !cluster.version.is_empty() && cluster.version != **version) {
        planner.refuse(
            None,
            "version",
            format!("the cluster `{name}` runs Kubernetes {}, and `up` does not change that to {version}", cluster.version),
            format!(
                "`hostler upgrade` is to do that, and is still to come; until then write `version: {}` into the inventory",
                cluster.version
            ),
        );
    }
    let renamed: Vec<(MachineName, String)> =
        renamed(planner.inventory, cluster).into_iter().map(|(name, node)| (name.clone(), node.to_owned())).collect();
    for (name, node) in renamed {
        let machine = planner.inventory.machines.get_key_value(name.as_str()).map(|(name, _)| name);
        planner.refuse(
            machine,
            "node-name",
            format!("the machine at its address is node {node}"),
            format!("call it {node} in the inventory, or take it out first: `hostler remove {node} --dead`"),
        );
    }
}

/// As the inventory and the cluster's record spell it.
pub fn cni_name(cni: Cni) -> &'static str {
    match cni {
        Cni::Flannel => "flannel",
        Cni::FlannelHostGw => "flannel-host-gw",
        Cni::None => "none",
    }
}
