//! A verification vouches for what was there. Before the first change, and before the next verification, it is taken off the cluster's record,
//! so that a run that fails or is interrupted leaves a cluster that is known not to be verified.

use super::planner::{Planner, interrupted};
use super::{Plan, Step, graph};
use crate::action::cluster::WithdrawVerification;
use crate::facts::Facts;
use crate::inventory::{Cni, MachineName};
use crate::record::{InProgress, Record};
use crate::step::{Stage, StepId, StepKind};
use crate::trusted::ApiVia;

/// The plan, which withdraws the verification first if it changes anything or verifies it again.
pub fn withdraw(planner: &Planner, mut plan: Plan) -> Plan {
    let changes = plan.steps.iter().any(|step| step.id.kind.is_verified());
    let verifies = plan.steps.iter().any(|step| step.id.kind == StepKind::RecordVerified);
    let marked = unvouched(planner);
    let (on, later) = match planner.api_via {
        _ if plan.steps.is_empty() => return plan,
        Some(_) if !marked.is_empty() => (marked, false),
        Some(ApiVia { machine: api_via, cluster, .. }) if (changes || verifies) && cluster.record.contains_key(&Record::Verified) => {
            (vec![api_via], false)
        }
        None if changes => (silent(planner, &plan).into_iter().collect(), true),
        _ => return plan,
    };
    let ids: Vec<StepId> = on.into_iter().map(|name| StepKind::WithdrawVerification.of(name)).collect();
    for step in plan.steps.iter_mut().filter(|step| step.id.kind.is_verified() || step.stage == Stage::Verify) {
        step.needs.extend(ids.iter().cloned());
    }
    // While etcd is full nothing can be withdrawn either.
    let at = plan.steps.iter().filter(|step| step.id.kind == StepKind::EtcdSpace).count();
    let reason = if changes { "the cluster is about to change" } else { "a verification is about to start" };
    plan.steps.splice(at..at, ids.into_iter().map(|id| first(id, later, reason)));
    graph::reduce(&mut plan.steps);
    plan
}

/// Whether a run took the verification off the record, and none was completed since. A cluster whose network hostler does not know is never
/// verified.
pub fn is_withdrawn(planner: &Planner) -> bool {
    let recorded = planner.api_via.is_none_or(|api_via| api_via.cluster.record.contains_key(&Record::Verified));
    planner.inventory.cluster.cni != Cni::None && (!recorded || !unvouched(planner).is_empty())
}

/// Control planes that keep in mind that the cluster's record vouches for what is no longer so, and whose API server can be told now.
pub fn unvouched<'a>(planner: &Planner<'a>) -> Vec<&'a MachineName> {
    // Also where the plan concerns another machine only.
    let asked = |name: &MachineName| planner.facts.get(name).filter(|_| !planner.refused.contains(name));
    let marked = |name: &MachineName| asked(name).is_some_and(|facts| facts.in_progress.contains(&InProgress::Unverified));
    planner.trusted.answering().map(|api_via| api_via.machine).filter(|name| marked(name)).collect()
}

/// The control plane that has to keep it in mind where no API server answers. `None`: there is no cluster, or one keeps it in mind already.
fn silent<'a>(planner: &Planner<'a>, plan: &Plan) -> Option<&'a MachineName> {
    let wiped = |name: &MachineName| plan.steps.iter().any(|step| step.id == StepKind::Wipe.of(name));
    let kept = |facts: &Facts| facts.kubernetes.joined && facts.kubernetes.control_plane && !interrupted(facts);
    let usable = |name: &MachineName, facts: &Facts| planner.usable(name).is_some() && kept(facts) && !wiped(name);
    let found: Vec<_> = planner.trusted.reached().filter(|(name, facts)| usable(name, facts)).collect();
    let marked = found.iter().any(|(_, facts)| facts.in_progress.contains(&InProgress::Unverified));
    found.first().filter(|_| !marked).map(|(name, _)| *name)
}

fn first(id: StepId, later: bool, reason: &str) -> Step {
    Step {
        stage: Stage::Begin,
        machine: id.machine.clone(),
        id,
        reason: reason.to_owned(),
        action: WithdrawVerification { later }.into(),
        needs: Default::default(),
        after: Default::default(),
    }
}
