//! A verification vouches for what was there. Before the first change it is taken off the cluster's record, so that a run that fails or is
//! interrupted leaves a cluster that is known not to be verified.

use super::planner::Planner;
use super::{Plan, Step, graph};
use crate::action::cluster::WithdrawVerification;
use crate::record::Record;
use crate::step::{Stage, StepId, StepKind};

/// The plan, which withdraws the verification first if it changes anything.
pub fn withdraw(planner: &Planner, mut plan: Plan) -> Plan {
    let verified = planner.api_via.filter(|(_, cluster)| cluster.record.contains_key(&Record::Verified));
    let changes = plan.steps.iter().any(|step| step.id.kind.is_verified());
    let Some((api_via, _)) = verified.filter(|_| changes) else { return plan };
    let id = StepKind::WithdrawVerification.of(api_via);
    for step in plan.steps.iter_mut().filter(|step| step.id.kind.is_verified()) {
        step.needs.insert(id.clone());
    }
    plan.steps.insert(0, first(id));
    graph::reduce(&mut plan.steps);
    plan
}

fn first(id: StepId) -> Step {
    Step {
        stage: Stage::Begin,
        machine: id.machine.clone(),
        id,
        reason: "the cluster changes".to_owned(),
        action: WithdrawVerification {}.into(),
        needs: Default::default(),
        after: Default::default(),
    }
}
