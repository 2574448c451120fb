//! What a step is called, and where in a bring-up it belongs.

use std::fmt;

use serde::Serialize;

use crate::inventory::MachineName;

/// `MACHINE/WHAT`: the same for the same work in every run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct StepId(String);

impl StepId {
    pub fn new(machine: &MachineName, what: &str) -> StepId {
        StepId(format!("{machine}/{what}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The stages of a bring-up in the runbook's order. For the reader: a step waits for its `needs` only, not for a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Only of `rebuild`, `remove` and `reset`.
    Leave,
    Prepare,
    Programs,
    Containerd,
    Images,
    FirstControlPlane,
    Network,
    ControlPlanes,
    Workers,
    Labels,
    Workload,
    Verify,
}

impl Stage {
    /// The runbook: all stages, in order.
    pub const ALL: &'static [(Stage, &'static str)] = &[
        (Stage::Leave, "leave the cluster"),
        (Stage::Prepare, "prepare machines"),
        (Stage::Programs, "install programs"),
        (Stage::Containerd, "start containerd"),
        (Stage::Images, "import images"),
        (Stage::FirstControlPlane, "first control plane"),
        (Stage::Network, "pod network"),
        (Stage::ControlPlanes, "further control planes"),
        (Stage::Workers, "workers"),
        (Stage::Labels, "labels and taints"),
        (Stage::Workload, "workload"),
        (Stage::Verify, "verify"),
    ];

    pub fn title(self) -> &'static str {
        Stage::ALL.iter().find(|(stage, _)| *stage == self).map_or("", |(_, title)| title)
    }
}
