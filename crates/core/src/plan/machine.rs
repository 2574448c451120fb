//! From a bare machine to one that kubeadm can work on, and back to that wherever it drifted.

use anyhow::Result;

use super::api_host;
use super::check::cni_name;
use super::planner::Planner;
use super::{repair, vip, wanted};
use crate::action::File;
use crate::action::machine::{
    ConfigureCloudInit, ConfigureNotify, ConfigureUnit, DropUnit, ImportImages, InstallPackages, InstallPrograms, LoadModules, Program,
    SetHostname, SetSysctls, StartUnit, SwapOff, SynchronizeClock, WriteHosts,
};
use crate::digest::sha256;
use crate::facts::{Facts, UnitFact};
use crate::inventory::{Cni, Machine, MachineName, Role};
use crate::manifest::Manifest;
use crate::protocol::path;
use crate::record::{InProgress, Record};
use crate::step::{ImageGroup, Need, StepId, StepKind};
use crate::words::{and, are};

/// What `kubeadm init` and `join` wait for on their machine, besides images and packages.
const PREPARED: [StepKind; 10] = [
    StepKind::Swap,
    StepKind::Modules,
    StepKind::Sysctls,
    StepKind::Hostname,
    StepKind::Hosts,
    StepKind::Clock,
    StepKind::Vip,
    StepKind::Programs,
    StepKind::Containerd,
    StepKind::KubeletUnit,
];

/// The steps that `kubeadm init` and `join` wait for on their machine, besides images.
pub fn prepared(planner: &Planner, name: &MachineName) -> Vec<Need> {
    // kubelet looks for iptables when it starts, and not again: where that comes later, the chain KUBE-IPTABLES-HINT is never made
    // (kubelet_network_linux.go). Other packages may come while the machine joins.
    let packages = planner.facts.get(name).filter(|facts| !facts.programs.contains("iptables")).map(|_| StepKind::Packages);
    PREPARED.into_iter().chain(packages).map(|kind| kind.of(name).if_planned()).collect()
}

pub fn plan<'a>(planner: &mut Planner<'a>, name: &'a MachineName, machine: &'a Machine) -> Result<()> {
    let Some(facts) = planner.usable(name) else {
        return Ok(());
    };
    system(planner, name, machine, facts);
    cloud_init(planner, name, facts)?;
    if planner.bundle_refused() {
        return Ok(());
    }
    // A machine without one is refused.
    let Some(manifest) = planner.manifest_of(name) else { return Ok(()) };
    programs(planner, name, machine, facts, manifest);
    containerd(planner, name, facts, manifest)?;
    vip::plan(planner, name, machine, facts)?;
    kubelet_unit(planner, name, facts)?;
    images(planner, name, machine, facts, manifest);
    snapshots(planner, name, machine, facts)?;
    renewal(planner, name, machine, facts)?;
    notify(planner, name, facts)
}

fn system(planner: &mut Planner, name: &MachineName, machine: &Machine, facts: &Facts) {
    let mut missing = wanted::packages(planner.inventory, machine);
    missing.retain(|(program, _)| !facts.programs.contains(*program));
    if !missing.is_empty() {
        let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
        let reason = format!("{} {} not installed", and(&programs), are(programs.len()));
        let packages = missing.iter().map(|(_, package)| (*package).to_owned()).collect();
        planner.step(StepKind::Packages.of(name), name, reason, InstallPackages { packages }, []);
    }
    if !(planner.inventory.kubeadm.tolerates_swap() || facts.swap.is_empty() && facts.swap_at_boot.is_empty()) {
        let reason = if facts.swap.is_empty() {
            format!("swap would be on again after a reboot ({})", facts.swap_at_boot.join(", "))
        } else {
            format!("swap is on ({})", facts.swap.join(", "))
        };
        let action = SwapOff {};
        planner.step(StepKind::Swap.of(name), name, reason, action, []);
    }
    let vxlan = uses_vxlan(planner);
    let file = wanted::modules_file(vxlan);
    let modules = wanted::modules(vxlan);
    let unloaded: Vec<&str> = modules.iter().copied().filter(|module| !facts.modules.contains(*module)).collect();
    if !unloaded.is_empty() || differs(facts, &file) {
        let reason = if unloaded.is_empty() {
            format!("{} is missing or differs", file.path)
        } else {
            match unloaded.as_slice() {
                [one] => format!("the kernel module {one} is not loaded"),
                several => format!("the kernel modules {} are not loaded", and(several)),
            }
        };
        let modules = modules.into_iter().map(str::to_owned).collect();
        planner.step(StepKind::Modules.of(name), name, reason, LoadModules { modules, file }, []);
    }
    sysctls(planner, name, facts);
    if facts.hostname != name.as_str() || facts.hostname_at_boot != name.as_str() {
        let reason = match facts.hostname_at_boot.as_str() {
            _ if facts.hostname != name.as_str() => format!("the host name is `{}`", facts.hostname),
            "" => "there will be no host name after a reboot".to_owned(),
            other => format!("the host name will be `{other}` after a reboot"),
        };
        planner.step(StepKind::Hostname.of(name), name, reason, SetHostname { name: name.to_string() }, []);
    }
    hosts(planner, name, machine, facts);
    if !facts.clock_synchronized {
        planner.step(StepKind::Clock.of(name), name, "no time service is running", SynchronizeClock {}, []);
    }
}

/// A cluster keeps its pod network, whatever the inventory says: a change of it is refused.
fn uses_vxlan(planner: &Planner) -> bool {
    let known = planner.api_via.as_ref().and_then(|via| via.cluster.record.get(&Record::Cni));
    known.map_or(cni_name(planner.inventory.cluster.cni), String::as_str) == cni_name(Cni::Flannel)
}

/// What would undo the host name and the hosts at the next start.
fn cloud_init(planner: &mut Planner, name: &MachineName, facts: &Facts) -> Result<()> {
    if !facts.programs.contains(wanted::CLOUD_INIT) {
        return Ok(());
    }
    let file = wanted::cloud_init_file()?;
    if differs(facts, &file) {
        let reason = format!("cloud-init sets the host name and {} at every boot", path::HOSTS);
        planner.step(StepKind::CloudInit.of(name), name, reason, ConfigureCloudInit { file }, []);
    }
    Ok(())
}

fn hosts(planner: &mut Planner, name: &MachineName, machine: &Machine, facts: &Facts) {
    let other = api_host::hosts_to_join(planner, name, machine);
    let reason = if facts.hosts.is_empty() {
        format!("{} has no entries for this machine and the API endpoint", path::HOSTS)
    } else if other.is_some() {
        "the API endpoint resolves to this machine, but must resolve to another control plane while this machine joins".to_owned()
    } else {
        format!("hostler's entries in {} are out of date", path::HOSTS)
    };
    let lines = other.unwrap_or_else(|| api_host::hosts(planner, name, machine));
    // Where a cluster's kubelet finds its API server is changed only by who knows better: not while nobody speaks for the cluster, nor by an
    // endpoint that is refused.
    let kept = planner.endpoint_refused() || facts.kubernetes.joined && planner.api_via.is_none() && !facts.hosts.is_empty();
    if facts.hosts != lines && !kept {
        let needs = api_host::join_of(planner, name).filter(|_| planner.joined(name)).map(StepId::if_planned);
        planner.step(StepKind::Hosts.of(name), name, reason, WriteHosts { lines }, needs);
    }
}

fn sysctls(planner: &mut Planner, name: &MachineName, facts: &Facts) {
    let file = wanted::sysctl_file(&facts.sysctls);
    // A key that the kernel does not show (in a container, or before its module is loaded) can't be wrong.
    let other = wanted::SYSCTLS.iter().find_map(|(key, value)| facts.sysctls.get(*key).filter(|now| now != value).map(|now| (key, now)));
    let small = wanted::SYSCTLS_AT_LEAST.iter().find_map(|(key, least)| {
        facts.sysctls.get(*key).filter(|now| now.parse::<u64>().is_ok_and(|now| now < *least)).map(|now| (key, now))
    });
    let wrong = other.or(small);
    if let Some((key, now)) = wrong {
        let needs = [StepKind::Modules.of(name).if_planned()];
        planner.step(StepKind::Sysctls.of(name), name, format!("{key} is {now}"), SetSysctls { file }, needs);
    } else if differs(facts, &file) {
        let reason = format!("{} is missing or differs", file.path);
        let needs = [StepKind::Modules.of(name).if_planned()];
        planner.step(StepKind::Sysctls.of(name), name, reason, SetSysctls { file }, needs);
    }
}

fn programs(planner: &mut Planner, name: &MachineName, machine: &Machine, facts: &Facts, manifest: &Manifest) {
    let (set, programs) = wanted::programs(manifest, machine.role);
    let missing = missing_programs(facts, &programs);
    let switched = wanted::uses(facts, &set);
    let cut = facts.in_progress.contains(&InProgress::Programs);
    // Of a bundle that is not at hand only the version is known.
    let same = if manifest.files.is_empty() {
        wanted::version_in_use(facts) == Some(manifest.kubernetes.as_str())
    } else {
        missing.is_empty() && switched
    };
    if same && !cut {
        return;
    }
    let reason = match facts.links.get(wanted::CURRENT) {
        Some(_) if missing.is_empty() && switched => "an update of the programs was interrupted".to_owned(),
        None => "no Kubernetes binaries are installed".to_owned(),
        Some(_) if !switched => "a different set of programs is in use".to_owned(),
        Some(_) => {
            let names: Vec<&str> = missing.iter().map(|program| program.path.as_str()).collect();
            match names.as_slice() {
                [one] => format!("{one} differs from the bundle"),
                [first, rest @ ..] if rest.len() > 2 => format!("{first} and {} other programs differ from the bundle", rest.len()),
                _ => format!("{} differ from the bundle", and(&names)),
            }
        }
    };
    planner.step(StepKind::Programs.of(name), name, reason, InstallPrograms { arch: manifest.arch, set, programs, missing }, []);
}

/// Those of `programs` that the set in use does not have.
pub(super) fn missing_programs(facts: &Facts, programs: &[Program]) -> Vec<Program> {
    let found = |program: &Program| facts.files.get(&format!("{}/{}", wanted::CURRENT, program.path)).map(|file| &file.sha256);
    programs.iter().filter(|program| found(program) != Some(&program.sha256)).cloned().collect()
}

/// Whether the file is a piece of containerd's configuration that hostler wrote for an inventory.
pub fn is_piece(facts: &Facts, path: &str) -> bool {
    let name = path.strip_prefix(wanted::CONTAINERD_FRAGMENTS).and_then(|name| name.strip_prefix('/'));
    name.is_some_and(|name| facts.containerd_pieces.as_ref().is_some_and(|pieces| pieces.contains(name)))
}

/// Those of `files` that others wrote: all that are there before hostler has configured containerd.
pub fn others_of_containerd(facts: &Facts, files: &[File]) -> Vec<String> {
    if facts.containerd_pieces.is_some() {
        return Vec::new();
    }
    files.iter().filter(|file| facts.files.contains_key(&file.path) && differs(facts, file)).map(|file| file.path.clone()).collect()
}

fn containerd(planner: &mut Planner, name: &MachineName, facts: &Facts, manifest: &Manifest) -> Result<()> {
    const UNIT: &str = crate::protocol::systemd::CONTAINERD;
    let files = wanted::containerd_files(planner.inventory, manifest, name, facts)?;
    let at = StepKind::Containerd.of(name);
    let needs = [StepKind::Programs, StepKind::Modules].map(|kind| kind.of(name).if_planned());
    let ours = |path: &str| is_piece(facts, path) || path == path::FILMS_SPEC;
    let stale: Vec<String> =
        facts.files.keys().filter(|path| ours(path) && !files.iter().any(|file| file.path == **path)).cloned().collect();
    let others = others_of_containerd(facts, &files);
    let unit = facts.units.get(UNIT).cloned().unwrap_or_default();
    let changed: Vec<&str> = files.iter().filter(|file| differs(facts, file)).map(|file| file.path.as_str()).collect();
    let cut = facts.in_progress.contains(&InProgress::Containerd);
    if !changed.is_empty() || !stale.is_empty() || cut {
        let first = changed.first().copied().or_else(|| stale.first().map(String::as_str));
        let reason = if let (Some(first), true) = (first, facts.files.contains_key(path::CONTAINERD_CONFIG)) {
            format!("{first} is missing or differs")
        } else if cut {
            "an update of containerd's configuration was interrupted".to_owned()
        } else {
            "containerd is not configured".to_owned()
        };
        let action = ConfigureUnit { unit: UNIT.to_owned(), files, stale, others, restart: true };
        if facts.kubernetes.joined {
            planner.restart(at, name, reason, action, needs);
        } else {
            planner.step(at, name, reason, action, needs);
        }
    } else if !unit.active || !unit.enabled {
        let reason = if unit.active { "containerd is not enabled" } else { "containerd is not running" };
        planner.step(at, name, reason, StartUnit { unit: UNIT.to_owned() }, needs);
    }
    Ok(())
}

fn kubelet_unit(planner: &mut Planner, name: &MachineName, facts: &Facts) -> Result<()> {
    const UNIT: &str = crate::protocol::systemd::KUBELET;
    let files = wanted::kubelet_files(planner.inventory, name, facts)?;
    let at = StepKind::KubeletUnit.of(name);
    let needs = [StepKind::Swap, StepKind::Programs, StepKind::Containerd].map(|kind| kind.of(name).if_planned());
    let unit = facts.units.get(UNIT).cloned().unwrap_or_default();
    let joined = planner.joined(name);
    let changed = files.iter().find(|file| differs(facts, file));
    if changed.is_some() || facts.in_progress.contains(&InProgress::Kubelet) {
        let known = files.iter().any(|file| facts.files.contains_key(&file.path));
        let reason = match changed {
            Some(file) if known => format!("{} is missing or differs", file.path),
            Some(_) => "kubelet has no systemd unit".to_owned(),
            None => "an update of kubelet's unit was interrupted".to_owned(),
        };
        let action = ConfigureUnit { unit: UNIT.to_owned(), files, stale: Vec::new(), others: Vec::new(), restart: joined };
        if joined {
            planner.restart(at, name, reason, action, needs);
        } else {
            // Before containerd runs, too: kubelet itself waits for kubeadm.
            planner.step(at, name, reason, action, [StepKind::Programs.of(name).if_planned()]);
        }
    } else if !unit.enabled || (joined && !unit.active && !repair::rewrites_kubelet(planner, facts)) {
        let reason = if unit.enabled { "kubelet is not running" } else { "kubelet is not enabled" };
        planner.step(at, name, reason, StartUnit { unit: UNIT.to_owned() }, needs);
    }
    Ok(())
}

pub(super) fn images(planner: &mut Planner, name: &MachineName, machine: &Machine, facts: &Facts, manifest: &Manifest) {
    // With containerd down nothing is known of its images. A node had them once; a later look will tell.
    if planner.joined(name) && !facts.units.get(crate::protocol::systemd::CONTAINERD).is_some_and(|unit| unit.active) {
        return;
    }
    let mut before = vec![StepKind::Containerd.of(name).if_planned()];
    for group in ImageGroup::ALL {
        let all = wanted::images(planner.inventory, manifest, name, machine.role, group);
        let count = all.len();
        let missing: Vec<_> = all
            .into_iter()
            .filter(|image| {
                let same = |digest: &String| image.digest.is_empty() || *digest == image.digest;
                !facts.images.get(&image.reference).is_some_and(|found| found.pinned && same(&found.digest))
            })
            .collect();
        if missing.is_empty() {
            continue;
        }
        let reason = match missing.as_slice() {
            all if all.len() == count && !all.iter().any(|image| facts.images.contains_key(&image.reference)) => {
                format!("the images for {} are missing", group.purpose())
            }
            [one] => format!("the image {} is missing, differs, or is not pinned", one.reference),
            several => format!("{} images are missing, differ, or are not pinned", several.len()),
        };
        let id = StepKind::Images(group).of(name);
        let step = planner.step(id, name, reason, ImportImages { arch: manifest.arch, images: missing }, before.clone());
        // One import after the other: what is needed first has the link and the disk to itself.
        before.push(step.into());
    }
}

/// Regular snapshots, which each control plane takes by itself, and copies to a server.
fn snapshots(planner: &mut Planner, name: &MachineName, machine: &Machine, facts: &Facts) -> Result<()> {
    const UNIT: &str = wanted::SNAPSHOT_TIMER;
    let at = StepKind::Snapshots.of(name);
    let unit = facts.units.get(UNIT);
    let of_copies = || wanted::SNAPSHOT_COPY_FILES.iter().copied().chain([path::SNAPSHOT_COPIED]).map(str::to_owned);
    let Some(every) = planner.inventory.snapshots.every.filter(|_| machine.role == Role::ControlPlane) else {
        if unit.is_some() {
            let files = wanted::SNAPSHOT_FILES.iter().map(|path| (*path).to_owned()).chain(of_copies()).collect();
            let action = DropUnit { unit: UNIT.to_owned(), files };
            let worker = machine.role != Role::ControlPlane;
            let reason = if worker {
                "the timer that takes snapshots is on a worker"
            } else {
                "regular snapshots are enabled, but the \
                inventory says `snapshots: {every: never}`"
            };
            planner.step(at, name, reason, action, []);
        }
        return Ok(());
    };
    let files = wanted::snapshot_files(planner.inventory, name, every)?;
    let server = planner.inventory.snapshots.server();
    let stale: Vec<String> = match server {
        None if of_copies().any(|path| facts.files.contains_key(&path)) => of_copies().collect(),
        _ => Vec::new(),
    };
    // What mounts the share comes with a package.
    let needs = server.map(|_| StepKind::Packages.of(name).if_planned());
    if files.iter().any(|file| differs(facts, file)) || !stale.is_empty() || facts.in_progress.contains(&InProgress::Snapshots) {
        let reason = if unit.is_some() { "the snapshot settings differ from the inventory" } else { "regular snapshots are not set up" };
        let action = ConfigureUnit { unit: UNIT.to_owned(), files, stale, others: Vec::new(), restart: true };
        planner.step(at, name, reason, action, needs);
    } else if !unit.is_some_and(|unit| unit.active && unit.enabled) {
        planner.step(at, name, not_running(UNIT, unit), StartUnit { unit: UNIT.to_owned() }, needs);
    }
    Ok(())
}

/// A snapshot holds every secret of the cluster, and who can read a share is up to its server.
pub fn warn_of_plain_copies(planner: &mut Planner) {
    let snapshots = &planner.inventory.snapshots;
    if let Some(share) = snapshots.server().filter(|_| snapshots.every.is_some() && snapshots.recipients.is_empty()) {
        let text = format!("snapshots are copied to {share} unencrypted, and hold every secret of the cluster: set `snapshots.recipients`");
        planner.warn(None, text);
    }
}

/// The timer by which each control plane renews its certificates, whoever looks after it.
fn renewal(planner: &mut Planner, name: &MachineName, machine: &Machine, facts: &Facts) -> Result<()> {
    const UNIT: &str = wanted::RENEWAL_TIMER;
    let at = StepKind::Renewal.of(name);
    let unit = facts.units.get(UNIT);
    let files = wanted::renewal_files()?;
    if machine.role != Role::ControlPlane {
        if unit.is_some() {
            let action = DropUnit { unit: UNIT.to_owned(), files: files.into_iter().map(|file| file.path).collect() };
            planner.step(at, name, "the timer that renews a control plane's certificates is on a worker", action, []);
        }
    } else if files.iter().any(|file| differs(facts, file)) || facts.in_progress.contains(&InProgress::Renewal) {
        let action = ConfigureUnit { unit: UNIT.to_owned(), files, stale: Vec::new(), others: Vec::new(), restart: true };
        let reason = match unit {
            Some(_) => "the timer that renews certificates differs from hostler's",
            None => "certificates are not renewed regularly",
        };
        planner.step(at, name, reason, action, []);
    } else if !unit.is_some_and(|unit| unit.active && unit.enabled) {
        planner.step(at, name, not_running(UNIT, unit), StartUnit { unit: UNIT.to_owned() }, []);
    }
    Ok(())
}

/// The timer by which each machine reports what is wrong.
fn notify(planner: &mut Planner, name: &MachineName, facts: &Facts) -> Result<()> {
    const UNIT: &str = wanted::NOTIFY_TIMER;
    let at = StepKind::Notify.of(name);
    let unit = facts.units.get(UNIT);
    let inventory = planner.inventory;
    let Some(notify) = &inventory.notify else {
        if unit.is_some() || facts.files.contains_key(path::NOTIFY_SETTINGS) {
            let left = [path::NOTIFY_LEDGER, path::NOTIFY_UNSENT];
            let files = wanted::NOTIFY_FILES.iter().copied().chain(left).map(str::to_owned).collect();
            let action = DropUnit { unit: UNIT.to_owned(), files };
            planner.step(at, name, "notifications are sent, but the inventory has no `notify`", action, []);
        }
        return Ok(());
    };
    let (files, settings) = wanted::notify_files(inventory, notify, name)?;
    let changed = files.iter().any(|file| differs(facts, file)) || differs(facts, settings.file());
    if changed || facts.in_progress.contains(&InProgress::Notify) {
        let reason =
            if unit.is_some() { "the settings for notifications differ from the inventory" } else { "notifications are not set up" };
        planner.step(at, name, reason, ConfigureNotify { unit: UNIT.to_owned(), files, settings }, []);
    } else if !unit.is_some_and(|unit| unit.active && unit.enabled) {
        planner.step(at, name, not_running(UNIT, unit), StartUnit { unit: UNIT.to_owned() }, []);
    }
    Ok(())
}

/// Why a unit whose files are as desired is started.
fn not_running(name: &str, unit: Option<&UnitFact>) -> String {
    let is = if unit.is_some_and(|unit| unit.active) { "enabled" } else { "running" };
    format!("{name} is not {is}")
}

/// Whether `file` is missing on the machine, or is not what it should be.
pub(super) fn differs(facts: &Facts, file: &File) -> bool {
    facts
        .files
        .get(&file.path)
        .is_none_or(|found| found.sha256 != sha256(file.content.as_bytes()) || found.mode != file.mode || found.owner != "root:root")
}

impl ImageGroup {
    fn purpose(self) -> &'static str {
        match self {
            ImageGroup::ControlPlane => "control planes",
            ImageGroup::Node => "nodes",
            ImageGroup::Pods => "CoreDNS and hostler",
            ImageGroup::Films => "encoding films",
        }
    }
}
