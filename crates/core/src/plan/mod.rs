//! What to do about the difference between the inventory and the facts: a pure function, and its result as a value.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::Serialize;

use crate::action::Action;
use crate::facts::Observation;
use crate::inventory::{Inventory, MachineName};
use crate::manifest::Manifests;
use crate::step::{Need, Stage, StepId};

pub mod add_ons;
pub mod admins;
mod api_host;
mod certificates;
pub mod check;
pub mod cluster;
pub mod documents;
mod encoders;
mod erase;
mod finding;
pub mod goal;
mod graph;
pub mod hint;
pub mod join;
pub mod kubelets;
mod leave;
pub mod lint;
pub mod machine;
pub mod planner;
pub mod pod_network;
pub mod power;
pub mod refusal;
pub mod reinstall;
pub mod relied;
pub mod repair;
mod restore;
pub mod roles;
pub mod rollback;
pub mod silence;
pub mod system_disk;
mod take_over;
mod turn;
pub mod upgrade;
pub mod verify;
pub mod version;
pub mod vip;
pub mod wanted;
pub mod wipe;
mod withdraw;
pub mod workload;

pub use finding::Finding;
pub use goal::{Goal, plan_for};
pub use hint::Hint;
pub use lint::lint;
use planner::Planner;
pub use refusal::Refusal;

/// What it takes to make `seen` what `inventory` says, with the programs and images of `manifests`.
///
/// Pure. The manifests are a parameter beside the inventory because what is installed is compared by digest, and digests belong to the
/// bundle in use. A machine of the inventory that `seen` does not hold counts as unreachable.
///
/// # Errors
/// Only a defect: a template that can't be filled in.
pub fn plan(inventory: &Inventory, manifests: &Manifests, seen: &BTreeMap<MachineName, Observation>) -> Result<Plan> {
    everything(Planner::new(inventory, manifests, seen))
}

/// The plan for all machines that `planner` is to change.
fn everything(mut planner: Planner) -> Result<Plan> {
    check::look(&mut planner);
    planner.verifies_kubelets = kubelets::are_verified(&planner)?;
    if admins::plan(&mut planner)? {
        return Ok(planner.finish());
    }
    for (name, machine) in planner.machines() {
        machine::plan(&mut planner, name, machine)?;
        repair::plan(&mut planner, name, machine)?;
        certificates::plan(&mut planner, name, machine)?;
    }
    machine::warn_of_plain_copies(&mut planner);
    join::plan(&mut planner)?;
    kubelets::plan(&mut planner);
    cluster::plan(&mut planner)?;
    repair::kubelet_servers(&mut planner);
    verify::plan(&mut planner)?;
    power::remind(&mut planner);
    upgrade::end_left(&mut planner);
    pod_network::plan(&mut planner);
    vip::warn(&mut planner);
    workload::plan(&mut planner)?;
    silence::explain(&mut planner);
    Ok(planner.finish())
}

/// Everything a run will do, and everything it will not.
///
/// `steps` is one order that respects every `needs`; the graph is what runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Version of this value's JSON form; 1.
    pub schema: u32,
    pub steps: Vec<Step>,
    pub refusals: Vec<Refusal>,
    /// Worth knowing, but nothing stands still for it.
    pub warnings: Vec<Warning>,
    /// What is odd about the machines that it is about.
    pub findings: Vec<Finding>,
    /// Machines of which nothing is known, because they could not be reached: they are left as they are.
    pub unreachable: Vec<NotReached>,
    /// How many of the machines that it is about were reached.
    #[serde(skip)]
    pub reached: usize,
    /// The cluster was changed, or its verification begun, and no verification was completed since.
    #[serde(skip)]
    pub withdrawn: bool,
}

/// A machine that was to be observed, and could not be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotReached {
    pub machine: MachineName,
    pub reason: String,
}

impl Plan {
    /// Its steps by their ids.
    pub fn by_id(&self) -> BTreeMap<&StepId, &Step> {
        self.steps.iter().map(|step| (&step.id, step)).collect()
    }
}

/// One script on one machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    pub id: StepId,
    pub stage: Stage,
    pub machine: MachineName,
    /// What was found that makes this step necessary: `swap is on (/dev/sda3)`.
    pub reason: String,
    pub action: Action,
    /// Steps that must have succeeded before this one may begin, without those that are needed by others of them. Every step whose output the
    /// action refers to is among them, or before one of them.
    pub needs: BTreeSet<StepId>,
    /// What it waits for only if it is planned. Empty in a finished plan: then it is among `needs`, or not in the plan.
    #[serde(skip)]
    pub after: BTreeSet<StepId>,
}

impl Step {
    pub(crate) fn wait_for(&mut self, needs: impl IntoIterator<Item = Need>) {
        for need in needs {
            match need {
                Need::Step(id) => self.needs.insert(id),
                Need::IfPlanned(id) => self.after.insert(id),
            };
        }
    }

    /// What the plan prints after the machine's name: `swap is on (/dev/sda3): turn swap off, now and after a reboot`.
    pub fn line(&self) -> String {
        format!("{}: {}", self.reason, self.action)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Warning {
    pub machine: Option<MachineName>,
    pub text: String,
}
