//! From a bare machine to one that kubeadm can work on, and back to that wherever it drifted.

use anyhow::Result;

use super::gate;
use super::planner::{CONTAINERD_BEGUN, KUBELET_BEGUN, PROGRAMS_BEGUN, Planner, SNAPSHOT_BEGUN, VIP_BEGUN};
use super::wanted::{self, ImageGroup};
use crate::action::{Action, File, Program};
use crate::digest::sha256;
use crate::facts::Facts;
use crate::inventory::{Machine, MachineName, Role};
use crate::protocol::path;
use crate::step::{Stage, StepId};

/// What `kubeadm init` and `join` wait for on their machine, besides images and packages.
const PREPARED: &[&str] = &["swap", "modules", "sysctls", "hostname", "hosts", "clock", "programs", "containerd", "kubelet-unit", "vip"];

/// The steps that `kubeadm init` and `join` wait for on their machine, besides images.
pub fn prepared(planner: &Planner, name: &MachineName) -> Vec<StepId> {
    // kubelet looks for iptables when it starts, and not again: where that comes later, the chain KUBE-IPTABLES-HINT is never made
    // (kubelet_network_linux.go). Other packages may come while the machine joins.
    let packages = planner.facts.get(name).filter(|facts| !facts.programs.contains("iptables")).map(|_| &"packages");
    PREPARED.iter().chain(packages).map(|what| StepId::new(name, what)).collect()
}

pub fn plan<'a>(planner: &mut Planner<'a>, name: &'a MachineName, machine: &'a Machine) -> Result<()> {
    let Some(facts) = planner.usable(name) else {
        return Ok(());
    };
    system(planner, name, machine, facts);
    if planner.is_refused("bundle-version") {
        return Ok(());
    }
    programs(planner, name, machine, facts);
    containerd(planner, name, facts)?;
    vip(planner, name, machine, facts)?;
    kubelet_unit(planner, name, facts)?;
    images(planner, name, machine, facts);
    snapshots(planner, name, machine, facts)
}

fn system(planner: &mut Planner, name: &MachineName, machine: &Machine, facts: &Facts) {
    let at = |what: &str| (Stage::Prepare, StepId::new(name, what));
    let mut missing = wanted::packages(planner.inventory, machine);
    missing.retain(|(program, _)| !facts.programs.contains(*program));
    if !missing.is_empty() {
        let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
        let packages = missing.iter().map(|(_, package)| (*package).to_owned()).collect();
        planner.step(at("packages"), name, format!("there is no {}", programs.join(", ")), Action::InstallPackages { packages }, []);
    }
    if !(planner.inventory.kubeadm.tolerates_swap() || facts.swap.is_empty() && facts.swap_at_boot.is_empty()) {
        let reason = if facts.swap.is_empty() {
            format!("swap would be on after the next start ({})", facts.swap_at_boot.join(", "))
        } else {
            format!("swap is on ({})", facts.swap.join(", "))
        };
        let action = Action::SwapOff { active: facts.swap.clone(), at_boot: facts.swap_at_boot.clone() };
        planner.step(at("swap"), name, reason, action, []);
    }
    let file = wanted::modules_file();
    let unloaded: Vec<&str> = wanted::MODULES.iter().copied().filter(|module| !facts.modules.contains(*module)).collect();
    if !unloaded.is_empty() || differs(facts, &file) {
        let reason = if unloaded.is_empty() {
            format!("{} is not as it should be", file.path)
        } else {
            match unloaded.as_slice() {
                [one] => format!("the kernel module {one} is not loaded"),
                several => format!("the kernel modules {} are not loaded", several.join(", ")),
            }
        };
        let modules = wanted::MODULES.iter().map(|module| (*module).to_owned()).collect();
        planner.step(at("modules"), name, reason, Action::LoadModules { modules, file }, []);
    }
    sysctls(planner, name, facts);
    if facts.hostname != name.as_str() || facts.hostname_at_boot != name.as_str() {
        let reason = match facts.hostname_at_boot.as_str() {
            _ if facts.hostname != name.as_str() => format!("its host name is `{}`", facts.hostname),
            "" => "it has no host name from its next boot on".to_owned(),
            other => format!("its host name is `{other}` from its next boot on"),
        };
        planner.step(at("hostname"), name, reason, Action::SetHostname { name: name.to_string() }, []);
    }
    hosts(planner, name, machine, facts);
    if !facts.clock_synchronized {
        planner.step(at("clock"), name, "nothing keeps its clock right", Action::SynchronizeClock, []);
    }
}

fn hosts(planner: &mut Planner, name: &MachineName, machine: &Machine, facts: &Facts) {
    let other = gate::hosts_to_join(planner, name, machine);
    let reason = if facts.hosts.is_empty() {
        "it does not know its own name and the cluster's"
    } else if other.is_some() {
        "the cluster's name leads to itself, and has to lead to another control plane while it joins"
    } else {
        "what it knows of its own name and the cluster's is out of date"
    };
    let lines = other.unwrap_or_else(|| gate::hosts(planner, name, machine));
    // Where a cluster's kubelet finds its API server is changed only by who knows better: not while nobody speaks for the cluster, nor by an
    // endpoint that is refused.
    let kept = planner.is_refused("endpoint") || facts.kubernetes.joined && planner.speaker.is_none() && !facts.hosts.is_empty();
    if facts.hosts != lines && !kept {
        let needs = gate::opens(planner, name).filter(|_| planner.joined(name));
        planner.step((Stage::Prepare, StepId::new(name, "hosts")), name, reason, Action::WriteHosts { lines }, needs);
    }
}

fn sysctls(planner: &mut Planner, name: &MachineName, facts: &Facts) {
    let file = wanted::sysctl_file();
    // A key that the kernel does not show (in a container, or before its module is loaded) can't be wrong.
    let wrong = wanted::SYSCTLS.iter().find_map(|(key, value)| facts.sysctls.get(*key).filter(|now| now != value).map(|now| (key, now)));
    if let Some((key, now)) = wrong {
        let needs = [StepId::new(name, "modules")];
        planner.step((Stage::Prepare, StepId::new(name, "sysctls")), name, format!("{key} is {now}"), Action::SetSysctls { file }, needs);
    } else if differs(facts, &file) {
        let reason = format!("{} is not as it should be", file.path);
        let needs = [StepId::new(name, "modules")];
        planner.step((Stage::Prepare, StepId::new(name, "sysctls")), name, reason, Action::SetSysctls { file }, needs);
    }
}

fn programs(planner: &mut Planner, name: &MachineName, machine: &Machine, facts: &Facts) {
    let (set, programs) = wanted::programs(planner.manifest, machine.role);
    let found = |program: &Program| facts.files.get(&format!("{}/{}", wanted::CURRENT, program.path)).map(|file| &file.sha256);
    let missing: Vec<Program> = programs.iter().filter(|program| found(program) != Some(&program.sha256)).cloned().collect();
    let switched = facts.links.get(wanted::CURRENT).is_some_and(|link| *link == format!("{}{set}", path::CURRENT_BEGINS));
    let cut = facts.applied.contains_key(PROGRAMS_BEGUN);
    if missing.is_empty() && switched && !cut {
        return;
    }
    let reason = match facts.links.get(wanted::CURRENT) {
        Some(_) if missing.is_empty() && switched => "a change of its programs was cut before its end".to_owned(),
        None => "nothing of hostler's is installed".to_owned(),
        Some(_) if !switched => "another set of programs is in use".to_owned(),
        Some(_) => {
            let names: Vec<&str> = missing.iter().map(|program| program.path.as_str()).collect();
            match names.as_slice() {
                [one] => format!("{one} is not what the bundle holds"),
                [first, rest @ ..] if rest.len() > 2 => format!("{first} and {} other programs are not what the bundle holds", rest.len()),
                _ => format!("{} are not what the bundle holds", names.join(", ")),
            }
        }
    };
    planner.step((Stage::Programs, StepId::new(name, "programs")), name, reason, Action::InstallPrograms { set, programs, missing }, []);
}

fn containerd(planner: &mut Planner, name: &MachineName, facts: &Facts) -> Result<()> {
    const UNIT: &str = crate::protocol::systemd::CONTAINERD;
    let files = wanted::containerd_files(planner.inventory, planner.manifest)?;
    let at = (Stage::Containerd, StepId::new(name, "containerd"));
    let needs = ["programs", "modules"].map(|what| StepId::new(name, what));
    let stale: Vec<String> = facts
        .files
        .keys()
        .filter(|path| path.starts_with(wanted::CONTAINERD_FRAGMENTS) && !files.iter().any(|file| file.path == **path))
        .cloned()
        .collect();
    let unit = facts.units.get(UNIT).cloned().unwrap_or_default();
    let changed: Vec<&str> = files.iter().filter(|file| differs(facts, file)).map(|file| file.path.as_str()).collect();
    let cut = facts.applied.contains_key(CONTAINERD_BEGUN);
    if !changed.is_empty() || !stale.is_empty() || cut {
        let first = changed.first().copied().or_else(|| stale.first().map(String::as_str));
        let reason = if let (Some(first), true) = (first, facts.files.contains_key(path::CONTAINERD_CONFIG)) {
            format!("{first} is not as it should be")
        } else if cut {
            "a change of its configuration was cut before its end".to_owned()
        } else {
            "containerd is not set up".to_owned()
        };
        let action = Action::ConfigureUnit { unit: UNIT.to_owned(), files, stale, restart: true };
        if facts.kubernetes.joined {
            planner.restart(at, name, reason, action, needs);
        } else {
            planner.step(at, name, reason, action, needs);
        }
    } else if !unit.active || !unit.enabled {
        let reason = if unit.active { "containerd would not start by itself" } else { "containerd does not run" };
        planner.step(at, name, reason, Action::StartUnit { unit: UNIT.to_owned() }, needs);
    }
    Ok(())
}

/// The endpoint's moving address. One control plane after the other, so that somebody always holds it.
fn vip<'a>(planner: &mut Planner<'a>, name: &'a MachineName, machine: &Machine, facts: &Facts) -> Result<()> {
    let files = wanted::vip_files(planner.inventory, name, machine)?;
    if files.is_empty() || planner.is_refused("endpoint") {
        return Ok(());
    }
    let at = (Stage::Prepare, StepId::new(name, "vip"));
    let needs = [StepId::new(name, "packages")];
    let unit = facts.units.get(wanted::VIP_UNIT).cloned().unwrap_or_default();
    let changed = files.iter().find(|file| differs(facts, file));
    if changed.is_some() || facts.applied.contains_key(VIP_BEGUN) {
        let known = files.iter().any(|file| facts.files.contains_key(&file.path));
        let reason = match changed {
            Some(file) if known => format!("{} is not as it should be", file.path),
            Some(_) => "it takes no turn in holding the endpoint's address".to_owned(),
            None => "a change of the endpoint's address was cut before its end".to_owned(),
        };
        let action = Action::ConfigureUnit { unit: wanted::VIP_UNIT.to_owned(), files, stale: Vec::new(), restart: true };
        if planner.joined(name) {
            planner.restart(at, name, reason, action, needs);
        } else {
            planner.step(at, name, reason, action, needs);
        }
    } else if !unit.active || !unit.enabled {
        let reason = if unit.active { "the endpoint's address would not be held after the next start" } else { "hostler-vip does not run" };
        planner.step(at, name, reason, Action::StartUnit { unit: wanted::VIP_UNIT.to_owned() }, needs);
    }
    Ok(())
}

fn kubelet_unit(planner: &mut Planner, name: &MachineName, facts: &Facts) -> Result<()> {
    const UNIT: &str = crate::protocol::systemd::KUBELET;
    let files = wanted::kubelet_files()?;
    let at = (Stage::Containerd, StepId::new(name, "kubelet-unit"));
    let needs = ["swap", "programs", "containerd"].map(|what| StepId::new(name, what));
    let unit = facts.units.get(UNIT).cloned().unwrap_or_default();
    let joined = planner.joined(name);
    let changed = files.iter().find(|file| differs(facts, file));
    if changed.is_some() || facts.applied.contains_key(KUBELET_BEGUN) {
        let known = files.iter().any(|file| facts.files.contains_key(&file.path));
        let reason = match changed {
            Some(file) if known => format!("{} is not as it should be", file.path),
            Some(_) => "there is no unit for kubelet".to_owned(),
            None => "a change of kubelet's unit was cut before its end".to_owned(),
        };
        let action = Action::ConfigureUnit { unit: UNIT.to_owned(), files, stale: Vec::new(), restart: joined };
        if joined {
            planner.restart(at, name, reason, action, needs);
        } else {
            // Before containerd runs, too: kubelet itself waits for kubeadm.
            planner.step(at, name, reason, action, [StepId::new(name, "programs")]);
        }
    } else if !unit.enabled || (joined && !unit.active) {
        let reason = if unit.enabled { "kubelet does not run" } else { "kubelet would not start by itself" };
        planner.step(at, name, reason, Action::StartUnit { unit: UNIT.to_owned() }, needs);
    }
    Ok(())
}

fn images(planner: &mut Planner, name: &MachineName, machine: &Machine, facts: &Facts) {
    // With containerd down nothing is known of its images. A node had them once; a later look will tell.
    if planner.joined(name) && !facts.units.get(crate::protocol::systemd::CONTAINERD).is_some_and(|unit| unit.active) {
        return;
    }
    let mut before = vec![StepId::new(name, "containerd")];
    for group in ImageGroup::ALL {
        let all = wanted::images(planner.inventory, planner.manifest, name, machine.role, *group);
        let count = all.len();
        let missing: Vec<_> = all
            .into_iter()
            .filter(|image| !facts.images.get(&image.reference).is_some_and(|found| found.pinned && found.digest == image.digest))
            .collect();
        if missing.is_empty() {
            continue;
        }
        let reason = match missing.as_slice() {
            all if all.len() == count => format!("it has no images for {}", group.purpose()),
            [one] => format!("the image {} is missing, another, or not pinned", one.reference),
            several => format!("{} images are missing, others, or not pinned", several.len()),
        };
        let id = StepId::new(name, group.step());
        let step = planner.step((Stage::Images, id), name, reason, Action::ImportImages { images: missing }, before.clone());
        // One import after the other: what is needed first has the link and the disk to itself.
        before.push(step);
    }
}

/// Regular snapshots, which each control plane takes by itself.
fn snapshots(planner: &mut Planner, name: &MachineName, machine: &Machine, facts: &Facts) -> Result<()> {
    const UNIT: &str = wanted::SNAPSHOT_TIMER;
    let at = (Stage::Prepare, StepId::new(name, "snapshots"));
    let unit = facts.units.get(UNIT);
    let Some(wanted) = planner.inventory.snapshots.as_ref().filter(|_| machine.role == Role::ControlPlane) else {
        if unit.is_some() {
            let files = wanted::SNAPSHOT_FILES.iter().map(|path| (*path).to_owned()).collect();
            let action = Action::DropUnit { unit: UNIT.to_owned(), files };
            planner.step(at, name, "it takes snapshots that the inventory does not ask for", action, []);
        }
        return Ok(());
    };
    let files = wanted::snapshot_files(planner.inventory, wanted)?;
    if files.iter().any(|file| differs(facts, file)) || facts.applied.contains_key(SNAPSHOT_BEGUN) {
        let reason = if unit.is_some() { "its snapshots are not as the inventory says" } else { "it takes no snapshots" };
        let action = Action::ConfigureUnit { unit: UNIT.to_owned(), files, stale: Vec::new(), restart: true };
        planner.step(at, name, reason, action, []);
    } else if !unit.is_some_and(|unit| unit.active && unit.enabled) {
        planner.step(at, name, "it takes no snapshots", Action::StartUnit { unit: UNIT.to_owned() }, []);
    }
    Ok(())
}

/// Whether `file` is missing on the machine, or is not what it should be.
fn differs(facts: &Facts, file: &File) -> bool {
    facts
        .files
        .get(&file.path)
        .is_none_or(|found| found.sha256 != sha256(file.content.as_bytes()) || found.mode != file.mode || found.owner != "root:root")
}

impl ImageGroup {
    fn purpose(self) -> &'static str {
        match self {
            ImageGroup::ControlPlane => "a control plane",
            ImageGroup::Node => "a node",
            ImageGroup::Pods => "the cluster's own pods",
            ImageGroup::Films => "encoding films",
        }
    }
}
