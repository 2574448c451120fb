//! What is odd about a machine, before anything is touched: one line each, with why it matters and what would be done.

use serde::Serialize;

use super::planner::{INIT_BEGUN, JOIN_BEGUN, Planner, RESTORE_BEGUN, WIPE_BEGUN, begun};
use super::{Goal, Plan, refusal, wanted};
use crate::facts::Facts;
use crate::inventory::{Machine, MachineName, Role};
use crate::protocol::path;
use crate::step::StepId;

/// Free space of /var/lib that programs, images and pods of a machine soon take, in MiB.
const LITTLE_DISK: u64 = 3 * 1024;

/// Something on a machine that a fresh one has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub machine: MachineName,
    pub what: String,
    /// On the machine: a path, a device, a port.
    pub place: String,
    pub matters: &'static str,
    /// What the plan does about it, or would have somebody do.
    pub then: String,
}

/// What there is to find on the machines that `goal` changes. `plan`: what becomes of them.
pub fn findings(goal: &Goal, planner: &Planner, plan: &Plan) -> Vec<Finding> {
    let mut found = Vec::new();
    let wrong_clocks = refusal::wrong_clocks(planner);
    for (name, machine) in planner.machines().filter(|(name, _)| goal.changes(name)) {
        let Some(facts) = planner.facts.get(name).copied() else { continue };
        let mut look = Look { planner, name, machine, facts, plan, found: &mut found };
        look.others();
        look.earlier();
        look.system(wrong_clocks.get(name).map(String::as_str));
        look.room();
    }
    found
}

/// One machine that is looked at.
struct Look<'a> {
    planner: &'a Planner<'a>,
    name: &'a MachineName,
    machine: &'a Machine,
    facts: &'a Facts,
    plan: &'a Plan,
    found: &'a mut Vec<Finding>,
}

impl Look<'_> {
    fn find(&mut self, what: impl Into<String>, place: impl Into<String>, matters: &'static str, then: impl Into<String>) {
        let machine = self.name.clone();
        self.found.push(Finding { machine, what: what.into(), place: place.into(), matters, then: then.into() });
    }

    /// The plan's step, as the plan says it.
    fn step(&self, what: &str) -> Option<String> {
        let id = StepId::new(self.name, what);
        self.plan.steps.iter().find(|step| step.id == id).map(|step| step.action.to_string())
    }

    /// The way out of the machine's refusal.
    fn refused(&self, code: &str) -> Option<String> {
        let refusal = self.plan.refusals.iter().find(|refusal| refusal.machine.as_ref() == Some(self.name) && refusal.code == code)?;
        Some(format!("refused: {}", refusal.way_out))
    }

    /// What the plan makes of it: a step, a refusal, or else.
    fn then(&self, step: &str, code: &str, otherwise: &str) -> String {
        self.step(step).or_else(|| self.refused(code)).unwrap_or_else(|| otherwise.to_owned())
    }

    /// What other people's clusters and platforms are, or left.
    fn others(&mut self) {
        if !self.facts.foreign.is_empty() {
            let then = self.then("", "foreign", "left as it is");
            self.find("another container platform", self.facts.foreign.join(", "), "two of them break each other", then);
        }
        let kubernetes = &self.facts.kubernetes;
        if refusal::is_of_another(self.planner, self.facts) {
            let then = self.then("wipe", "other-cluster", "left as it is");
            self.find("a node of another cluster", refusal::its_cluster(self.facts), "that cluster would lose it", then);
        } else if !kubernetes.joined && !kubernetes.leftovers.is_empty() && !begun(self.facts) {
            let then = self.then("wipe", "not-blank", "left as it is");
            self.find(
                "leftovers of a cluster",
                kubernetes.leftovers.join(", "),
                "kubeadm stumbles over them, and they may be precious",
                then,
            );
        }
        for path in kubernetes.damaged.clone() {
            let then = self.then("wipe", "damaged", "left as it is");
            self.find("a damaged file", path, "what kubeadm wrote there can't be read", then);
        }
    }

    /// What an earlier run began and did not end.
    fn earlier(&mut self) {
        for (mark, what, step) in [
            (INIT_BEGUN, "half an init", "init"),
            (JOIN_BEGUN, "half a join", "join"),
            (WIPE_BEGUN, "half a wipe", "wipe"),
            (RESTORE_BEGUN, "half a restore", "init"),
        ] {
            if self.facts.applied.contains_key(mark) {
                let code = if mark == RESTORE_BEGUN { RESTORE_BEGUN } else { WIPE_BEGUN };
                let then = self.then(step, code, "left as it is");
                self.find(what, format!("{}/{mark}", path::APPLIED), "it was cut before its end", then);
            }
        }
        if let Some(lock) = self.facts.lock.as_ref().filter(|lock| lock.left_behind) {
            let matters = "what it changes is seen only when it has ended";
            self.find("a script of a run that was cut", lock.step.clone(), matters, "waits until it has ended");
        }
    }

    fn system(&mut self, clock_off: Option<&str>) {
        let facts = self.facts;
        let tolerated = self.planner.inventory.kubeadm.tolerates_swap();
        if !facts.swap.is_empty() && !tolerated {
            let then = self.then("swap", "", "left as it is");
            self.find("swap", facts.swap.join(", "), "kubelet does not run with it", then);
        } else if !facts.swap_at_boot.is_empty() && !tolerated {
            let then = self.then("swap", "", "left as it is");
            self.find("swap at the next start", facts.swap_at_boot.join(", "), "kubelet does not run with it", then);
        }
        if let Some(off) = clock_off {
            let then = self.then("clock", "clock", "left as it is");
            self.find("a wrong clock", off, "certificates and leases depend on it", then);
        } else if !facts.clock_synchronized {
            let then = self.then("clock", "", "left as it is");
            self.find("a clock that nobody sets", "no time service runs", "certificates and leases depend on it", then);
        }
        let installs = self.step("packages");
        if let Some(held) = &facts.apt_lock {
            let then = if installs.is_some() { "waits for it, at most 15 minutes" } else { "nothing: no package is missing" };
            self.find("apt's lock held", held.clone(), "one program at a time installs packages", then);
        }
        if !facts.dpkg_half.is_empty() {
            let then = if installs.is_some() {
                "dpkg --configure -a, before anything is installed"
            } else {
                "left as it is: no package is missing"
            };
            self.find("packages half installed", facts.dpkg_half.join(", "), "apt refuses everything until that is mended", then);
        }
        for (port, who) in refusal::ports_taken(self.machine, facts) {
            let place = if who.is_empty() { format!("port {port}") } else { format!("port {port}: {who}") };
            let then = self.then("", "port", "left as it is");
            self.find("a port in use", place, "Kubernetes listens there", then);
        }
        if !facts.read_only.is_empty() {
            let then = self.then("", "read-only", "left as it is");
            let paths: Vec<&str> = facts.read_only.iter().map(String::as_str).collect();
            self.find("a read-only file system", paths.join(", "), "nothing can be installed", then);
        }
        if facts.nameservers.is_empty() {
            self.find("no nameserver", "/etc/resolv.conf", "CoreDNS does not start here without one", "left as it is: name one there");
        }
    }

    /// Disk and memory.
    fn room(&mut self) {
        let facts = self.facts;
        let free = facts.disk_free / 1024;
        let comes = self.step("programs").is_some() || wanted::version_in_use(facts).is_none();
        if facts.disk_size > 0 && comes && free < LITTLE_DISK {
            let then = self.then("", "disk", "goes on: make room soon");
            self.find("little disk", format!("{free} MB free for /var/lib"), "programs and images take 1500 MB", then);
        }
        if self.machine.role == Role::ControlPlane && facts.memory > 0 && facts.memory < refusal::LITTLE_MEMORY {
            let place = format!("{} MB", facts.memory / 1024);
            self.find("little memory", place, "kubeadm asks for 1700 MB on a control plane", "goes on");
        }
    }
}
