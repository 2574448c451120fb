//! What the parts of the planner share: what is asked for, what is known, and the plan as it grows.

use std::collections::{BTreeMap, BTreeSet};

use super::documents::ApiServers;
use super::hint::Hint;
use super::refusal::{Refusal, Unchangeable, Why};
use super::withdraw::is_withdrawn;
use super::{NotReached, Plan, Step, Warning, graph};
use crate::action::Action;
use crate::facts::{Facts, Observation, Snapshot, Unreachable};
use crate::inventory::{Inventory, Machine, MachineName, Role};
use crate::manifest::{Manifest, Manifests};
use crate::record::InProgress;
use crate::step::{Need, StepId, StepKind};
use crate::trusted::{ApiVia, Trusted, trusted};

pub struct Planner<'a> {
    pub inventory: &'a Inventory,
    pub manifests: &'a Manifests,
    pub facts: BTreeMap<&'a MachineName, &'a Facts>,
    pub unreachable: BTreeMap<&'a MachineName, &'a Unreachable>,
    /// Whose word about the cluster counts.
    pub trusted: Trusted<'a>,
    /// The control plane whose API server hostler uses: the first in the inventory's order that answers and is of the bundle's version, or else
    /// the first that answers.
    pub api_via: Option<ApiVia<'a>>,
    /// The only machine to change; `None`: all of them.
    pub only: Option<&'a MachineName>,
    /// What a cluster that is lost begins anew from.
    pub restore: Option<&'a Snapshot>,
    /// The only control plane, which answers again once this plan is carried out.
    pub comes_back: Option<&'a MachineName>,
    /// A new cluster was asked for by name, with its control plane.
    pub begins_anew: bool,
    /// Seconds after which a drain no longer minds PodDisruptionBudgets.
    pub force_after: Option<u64>,
    /// Films that are being encoded are let go, and begin anew elsewhere.
    pub now: bool,
    /// How many workers may be upgraded at once.
    pub parallel: usize,
    /// The cluster is to become the version of the bundles.
    pub upgrades: bool,
    /// API servers verify the certificates that kubelets present, or come to in this plan.
    pub verifies_kubelets: bool,
    /// Machines that a refusal keeps as they are.
    pub refused: BTreeSet<&'a MachineName>,
    /// No cluster may be made or joined in this run.
    pub cluster_refused: bool,
    /// The last step that restarts something all pods of a machine depend on: such steps go one machine at a time.
    pub last_restart: Option<StepId>,
    steps: Vec<Step>,
    pub refusals: Vec<Refusal>,
    warnings: Vec<Warning>,
}

impl<'a> Planner<'a> {
    pub fn new(inventory: &'a Inventory, manifests: &'a Manifests, seen: &'a BTreeMap<MachineName, Observation>) -> Self {
        let mut facts = BTreeMap::new();
        let mut unreachable = BTreeMap::new();
        for name in inventory.machines.keys() {
            match seen.get(name) {
                Some(Observation::Facts(found)) => drop(facts.insert(name, &**found)),
                Some(Observation::Unreachable(why)) => drop(unreachable.insert(name, why)),
                // A verb for one machine leaves the others alone.
                None => {}
            }
        }
        let trusted = trusted(inventory, &facts);
        let fits = |api_via: &ApiVia| api_via.cluster.version == manifests.kubernetes();
        let api_via = trusted.answering().find(fits).or_else(|| trusted.answering().next());
        Planner {
            inventory,
            manifests,
            facts,
            unreachable,
            trusted,
            api_via,
            only: None,
            restore: None,
            comes_back: None,
            begins_anew: false,
            force_after: None,
            now: false,
            parallel: 1,
            upgrades: false,
            verifies_kubelets: api_via.is_none_or(|api_via| api_via.cluster.verifies_kubelets),
            refused: BTreeSet::new(),
            cluster_refused: false,
            last_restart: None,
            steps: Vec::new(),
            refusals: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The API servers of this version, as they are or become in this plan.
    pub fn api_servers<'b>(&self, version: &'b str) -> ApiServers<'b> {
        ApiServers { version, verify_kubelets: self.verifies_kubelets }
    }

    /// The facts of a machine that may be changed: asked for, reached, and not refused.
    pub fn usable(&self, name: &MachineName) -> Option<&'a Facts> {
        if self.concerns(name) && !self.refused.contains(name) { self.facts.get(name).copied() } else { None }
    }

    /// What the machine gets: the manifest for its own architecture. `None`: there is nothing for it, or it could not be reached.
    pub fn manifest_of(&self, name: &MachineName) -> Option<&'a Manifest> {
        self.manifests.of(self.facts.get(name)?.arch?)
    }

    /// Whether the machine is one of those that this plan may change.
    pub fn concerns(&self, name: &MachineName) -> bool {
        self.only.is_none_or(|only| only == name)
    }

    /// Whether the whole cluster is refused because the bundle is of another version.
    pub fn bundle_refused(&self) -> bool {
        self.refuses_cluster(|why| matches!(why, Why::BundleVersion { .. }))
    }

    /// Whether the whole cluster is refused because its endpoint can't change.
    pub fn endpoint_refused(&self) -> bool {
        // An endpoint that has the cluster's name in it is refused with the name.
        self.refuses_cluster(|why| matches!(why, Why::Unchangeable { key: Unchangeable::Endpoint | Unchangeable::ClusterName, .. }))
    }

    fn refuses_cluster(&self, so: impl Fn(&Why) -> bool) -> bool {
        self.refusals.iter().any(|refusal| refusal.machine.is_none() && so(&refusal.why))
    }

    /// Whether a control plane of the inventory is one already, so that nothing must begin a new cluster.
    pub fn cluster_exists(&self) -> bool {
        self.inventory.control_planes().any(|(name, _)| {
            self.facts.get(name).is_some_and(|facts| {
                facts.kubernetes.control_plane
                    && ![InProgress::Init, InProgress::Restore].iter().any(|mark| facts.in_progress.contains(mark))
            })
        })
    }

    /// Whether `name` is a finished member of the cluster.
    pub fn joined(&self, name: &MachineName) -> bool {
        self.facts.get(name).is_some_and(|facts| facts.kubernetes.joined && !interrupted(facts))
    }

    /// Adds a step that runs on `machine`. A [need](Need) that is no step of this plan is a defect, unless it is waited for only if planned.
    pub fn step(
        &mut self,
        id: StepId,
        machine: &MachineName,
        reason: impl Into<String>,
        action: impl Into<Action>,
        needs: impl IntoIterator<Item = Need>,
    ) -> StepId {
        let role = self.inventory.machines.get(&id.machine).map_or(Role::Worker, |machine| machine.role);
        let mut step = Step {
            id: id.clone(),
            stage: id.kind.stage(role),
            machine: machine.clone(),
            reason: reason.into(),
            action: action.into(),
            needs: BTreeSet::new(),
            after: BTreeSet::new(),
        };
        step.wait_for(needs);
        self.steps.push(step);
        id
    }

    /// A step that restarts something every pod of its machine depends on: it waits for the one before it on another machine.
    pub fn restart(
        &mut self,
        id: StepId,
        machine: &MachineName,
        reason: impl Into<String>,
        action: impl Into<Action>,
        needs: impl IntoIterator<Item = Need>,
    ) {
        let needs: Vec<Need> = needs.into_iter().chain(self.last_restart.take().map(Need::Step)).collect();
        self.last_restart = Some(self.step(id, machine, reason, action, needs));
    }

    pub fn refuse(&mut self, machine: Option<&'a MachineName>, why: Why, hint: Hint) {
        match machine {
            Some(name) => drop(self.refused.insert(name)),
            None => self.cluster_refused = true,
        }
        self.refusals.push(Refusal { machine: machine.cloned(), why, hint });
    }

    /// Forgets the refusals of what does not matter to a goal.
    pub fn keep_refusals(&mut self, matters: impl Fn(&Why) -> bool) {
        self.refusals.retain(|refusal| matters(&refusal.why));
        let refused = |name: &MachineName| self.refusals.iter().any(|refusal| refusal.machine.as_ref() == Some(name));
        self.refused.retain(|name| refused(name));
        self.cluster_refused = self.refusals.iter().any(|refusal| refusal.machine.is_none());
    }

    /// Whether what stops pods waits for films that are being encoded.
    pub fn films_are_waited_for(&self) -> bool {
        self.inventory.transcode.is_some() && !self.now
    }

    /// A refusal that keeps nothing but a part of the cluster, as the transcoding workload, from what it should be.
    pub fn refuse_part(&mut self, machine: Option<&MachineName>, why: Why, hint: Hint) {
        self.refusals.push(Refusal { machine: machine.cloned(), why, hint });
    }

    pub fn warn(&mut self, machine: Option<&MachineName>, text: impl Into<String>) {
        self.warnings.push(Warning { machine: machine.cloned(), text: text.into() });
    }

    /// Whether a step of this plan runs on the machine.
    pub fn works_on(&self, name: &MachineName) -> bool {
        self.steps.iter().any(|step| step.machine == *name)
    }

    pub fn has_step(&self, id: &StepId) -> bool {
        self.steps.iter().any(|step| step.id == *id)
    }

    /// The first step of the kind, of any machine.
    pub fn step_of(&self, kind: StepKind) -> Option<StepId> {
        self.steps.iter().find(|step| step.id.kind == kind).map(|step| step.id.clone())
    }

    /// Every step so far, as something to wait for.
    pub fn all(&self) -> Vec<StepId> {
        self.steps.iter().map(|step| step.id.clone()).collect()
    }

    /// The machines of the inventory with what is known of them, in its order.
    pub fn machines(&self) -> impl Iterator<Item = (&'a MachineName, &'a Machine)> + use<'a> {
        self.inventory.machines.iter()
    }

    /// The machines that were asked in vain.
    pub fn not_reached(&self) -> Vec<NotReached> {
        let lost = self.unreachable.iter();
        lost.map(|(machine, why)| NotReached { machine: (*machine).clone(), reason: why.reason.clone() }).collect()
    }

    /// Puts the steps in the order of the stages, and drops needs that are met already or implied.
    pub fn finish(mut self) -> Plan {
        graph::reduce(&mut self.steps);
        graph::order(&mut self.steps);
        let unreachable = self.not_reached();
        let withdrawn = is_withdrawn(&self);
        Plan {
            schema: 1,
            steps: self.steps,
            refusals: self.refusals,
            warnings: self.warnings,
            findings: Vec::new(),
            unreachable,
            reached: self.facts.len(),
            withdrawn,
        }
    }
}

/// Whether an earlier init, restore, join or wipe of the machine was interrupted.
pub fn interrupted(facts: &Facts) -> bool {
    [InProgress::Wipe, InProgress::Restore, InProgress::Init, InProgress::Join].iter().any(|mark| facts.in_progress.contains(mark))
}
