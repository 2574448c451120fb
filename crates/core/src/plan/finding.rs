//! What is unusual about a machine and told by no step, refusal or warning of the plan: why it matters, and what happens to it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::planner::{Planner, interrupted};
use super::refusal::Why;
use super::{Goal, Plan, check, wanted};
use crate::facts::Facts;
use crate::inventory::{Machine, MachineName};
use crate::protocol::{path, systemd};
use crate::record::InProgress;
use crate::step::StepKind;

/// Free space of /var/lib that programs, images and pods of a machine soon take, in MiB.
const LITTLE_DISK: u64 = 3 * 1024;

/// Something on a machine that a fresh one does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub machine: MachineName,
    pub what: &'static str,
    /// On the machine: a path, a device, a port.
    pub place: String,
    pub matters: &'static str,
    /// What happens to it.
    pub then: &'static str,
}

/// What is found on the machines that `goal` changes, and that `plan` does not tell.
pub fn findings(goal: &Goal, planner: &Planner, plan: &Plan) -> Vec<Finding> {
    let mut found = Vec::new();
    // Whose machines these are is known again once the inventory names the control plane.
    if plan.refusals.iter().any(|refusal| matches!(refusal.why, Why::ControlPlaneElsewhere { .. })) {
        return found;
    }
    let wrong_clocks = check::wrong_clocks(planner);
    for (name, machine) in planner.machines().filter(|(name, _)| goal.changes(name)) {
        let Some(facts) = planner.facts.get(name).copied() else { continue };
        let mut inspection = Inspection { planner, name, machine, facts, plan, found: &mut found };
        inspection.foreign();
        inspection.interrupted();
        // Nothing is done to a machine that is refused: what is unusual about it otherwise comes up once it is not.
        if !plan.refusals.iter().any(|refusal| refusal.machine.as_ref() == Some(name)) {
            inspection.system(wrong_clocks.get(name).map(String::as_str));
            inspection.packages();
            inspection.disk();
            inspection.containerd();
            inspection.commands();
            inspection.kubelet();
        }
    }
    found
}

/// One machine that is inspected.
struct Inspection<'a> {
    planner: &'a Planner<'a>,
    name: &'a MachineName,
    machine: &'a Machine,
    facts: &'a Facts,
    plan: &'a Plan,
    found: &'a mut Vec<Finding>,
}

const LEFT: &str = "left as it is";

impl Inspection<'_> {
    fn find(&mut self, what: &'static str, place: impl Into<String>, matters: &'static str, then: &'static str) {
        self.found.push(Finding { machine: self.name.clone(), what, place: place.into(), matters, then });
    }

    /// Found, unless a step of this kind or a refusal of this code is about it.
    fn unless(&mut self, step: Option<StepKind>, code: &str, what: &'static str, place: impl Into<String>, matters: &'static str) {
        let refused = self.plan.refusals.iter().any(|refusal| refusal.machine.as_ref() == Some(self.name) && refusal.why.code() == code);
        if !(step.is_some_and(|kind| self.planned(kind)) || refused) {
            self.find(what, place, matters, LEFT);
        }
    }

    fn planned(&self, kind: StepKind) -> bool {
        let id = kind.of(self.name);
        self.plan.steps.iter().any(|step| step.id == id)
    }

    /// What other clusters and platforms are, or left.
    fn foreign(&mut self) {
        let (facts, kubernetes) = (self.facts, &self.facts.kubernetes);
        if !facts.foreign.is_empty() {
            self.unless(
                None,
                "foreign",
                "another container platform",
                facts.foreign.join(", "),
                "two container platforms on one machine conflict",
            );
        }
        if check::is_of_another(self.planner, facts) {
            let place = check::its_cluster(facts);
            self.unless(
                Some(StepKind::Wipe),
                "other-cluster",
                "a node of another cluster",
                place,
                "taking the machine over would remove it from that cluster",
            );
        } else if !kubernetes.joined && !kubernetes.leftovers.is_empty() && !interrupted(facts) {
            let place = kubernetes.leftovers.join(", ");
            self.unless(Some(StepKind::Wipe), "not-blank", "leftovers of a cluster", place, "they block kubeadm, and may hold data");
        }
        for path in &kubernetes.damaged {
            if self.planned(StepKind::RepairControlPlane) || self.planned(StepKind::BootstrapKubelet) {
                continue;
            }
            self.unless(
                Some(StepKind::Wipe),
                "damaged",
                "a damaged file",
                path,
                "kubeadm wrote it, but its content was truncated or changed",
            );
        }
    }

    /// What an earlier run began and did not finish.
    fn interrupted(&mut self) {
        for (mark, what, step, code) in [
            (InProgress::Init, "an interrupted init", StepKind::Init, ""),
            (InProgress::Join, "an interrupted join", StepKind::Join, ""),
            (InProgress::Wipe, "an interrupted wipe", StepKind::Wipe, "wipe-interrupted"),
            (InProgress::Restore, "an interrupted restore", StepKind::Init, "restore-interrupted"),
        ] {
            if self.facts.in_progress.contains(&mark) {
                self.unless(
                    Some(step),
                    code,
                    what,
                    format!("{}/{}", path::APPLIED, mark.name()),
                    "the machine may be in an inconsistent state",
                );
            }
        }
    }

    fn system(&mut self, clock_off: Option<&str>) {
        let facts = self.facts;
        if !self.planner.inventory.kubeadm.tolerates_swap() {
            let matters = "kubelet does not start while swap is on";
            if !facts.swap.is_empty() {
                self.unless(Some(StepKind::Swap), "", "swap", facts.swap.join(", "), matters);
            } else if !facts.swap_at_boot.is_empty() {
                self.unless(Some(StepKind::Swap), "", "swap after a reboot", facts.swap_at_boot.join(", "), matters);
            }
        }
        let matters = "certificates and leases depend on it";
        if let Some(off) = clock_off {
            self.unless(Some(StepKind::Clock), "clock", "a wrong clock", off, matters);
        } else if !facts.clock_synchronized {
            self.unless(Some(StepKind::Clock), "", "a clock that is not synchronized", "no time service is running", matters);
        }
        for (port, by) in check::ports_taken(self.machine, facts) {
            let place = if by.is_empty() { format!("port {port}") } else { format!("port {port}: {by}") };
            self.unless(None, "port", "a port in use", place, "Kubernetes needs this port");
        }
        if !facts.read_only.is_empty() {
            let paths: Vec<&str> = facts.read_only.iter().map(String::as_str).collect();
            self.unless(None, "read-only", "a read-only file system", paths.join(", "), "nothing can be installed on it");
        }
    }

    fn packages(&mut self) {
        let (facts, installs) = (self.facts, self.planned(StepKind::Packages));
        if let Some(held) = facts.apt_lock.as_ref().filter(|_| installs) {
            self.find(
                "apt is locked",
                held,
                "only one program at a time can install packages",
                "hostler waits up to 15 minutes for the lock",
            );
        }
        if !facts.dpkg_half.is_empty() {
            let then = if installs { "hostler runs `dpkg --configure -a` first" } else { LEFT };
            self.find("half-installed packages", facts.dpkg_half.join(", "), "apt installs nothing until they are configured", then);
        }
    }

    /// What other programs, or the user, wrote for containerd.
    fn containerd(&mut self) {
        let Some(manifest) = self.planner.manifest_of(self.name) else { return };
        let Ok(files) = wanted::containerd_files(self.planner.inventory, manifest, self.name, self.facts) else { return };
        let theirs = |path: &&String| {
            path.starts_with(path::CONTAINERD_FRAGMENTS)
                && !super::machine::is_piece(self.facts, path)
                && !files.iter().any(|file| file.path == **path)
        };
        let pieces: Vec<&str> = self.facts.files.keys().filter(theirs).map(String::as_str).collect();
        if !pieces.is_empty() {
            let matters = "containerd reads it after hostler's own configuration";
            self.find("another program's containerd configuration", pieces.join(", "), matters, LEFT);
        }
        if self.planned(StepKind::Containerd) {
            let replaced = super::machine::others_of_containerd(self.facts, &files);
            if !replaced.is_empty() {
                let (matters, then) = ("hostler replaces this file", "the old one is renamed and kept next to it");
                self.find("another program's containerd configuration", replaced.join(", "), matters, then);
            }
        }
    }

    /// Programs of others that are in the place of hostler's.
    fn commands(&mut self) {
        if self.planned(StepKind::Programs) && !self.facts.other_commands.is_empty() {
            let place: Vec<&str> = self.facts.other_commands.iter().map(String::as_str).collect();
            let (matters, then) = ("hostler replaces this file", "the old one is renamed and kept next to it");
            self.find("another program of the same name", place.join(", "), matters, then);
        }
    }

    /// What others changed of how kubelet and containerd run.
    fn kubelet(&mut self) {
        let facts = self.facts;
        let own = [systemd::KUBELET_DROP_IN, path::KUBELET_MACHINE_CONFIG];
        // systemd tells only of those that it has read, and reads the others when the machine starts next.
        let folders =
            [path::KUBELET_CONFIG_DIR.to_owned(), format!("{}.d", systemd::KUBELET_FILE), format!("{}.d", systemd::CONTAINERD_FILE)];
        let in_folder =
            |path: &&String| folders.iter().any(|folder| path.strip_prefix(folder.as_str()).is_some_and(|name| name.starts_with('/')));
        let theirs: BTreeSet<&str> = facts.drop_ins.iter().chain(facts.files.keys().filter(in_folder)).map(String::as_str).collect();
        let theirs: Vec<&str> = theirs.into_iter().filter(|path| !own.contains(path)).collect();
        if !theirs.is_empty() {
            let matters = "kubelet and containerd read it in addition to hostler's own configuration";
            self.find("another program's configuration of kubelet or containerd", theirs.join(", "), matters, LEFT);
        }
    }

    fn disk(&mut self) {
        let free = self.facts.disk_free / 1024;
        let comes = self.planned(StepKind::Programs) || wanted::version_in_use(self.facts).is_none();
        if self.facts.disk_size > 0 && comes && free < LITTLE_DISK {
            let place = format!("{free} MB is free for /var/lib");
            self.find(
                "little disk space",
                place,
                "programs and images take 1500 MB, and pods need space, too",
                "hostler continues; free up space until 3072 MB is free",
            );
        }
    }
}
