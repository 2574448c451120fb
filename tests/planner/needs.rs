//! What a step waits for in vain: itself; needs that others imply, and needs across machines for which nobody gave a reason, which make no plan
//! wrong, but may make it slow.

use std::collections::BTreeSet;

use hostler_core::action::Action;
use hostler_core::action::machine::ConfigureUnit;
use hostler_core::plan::lint::reaches;
use hostler_core::plan::{Plan, Step};
use hostler_core::step::StepKind;

/// What a step may wait for on another machine though it uses no output of it: what is waited for, what waits, both as STAGE/NAME, and why.
/// Names may be several; `*` is any.
const ACROSS: &[(&str, &str, &str)] = &[
    ("begin/*", "*/*", "the last verification is withdrawn before anything changes"),
    ("leave/*", "*/*", "what leaves has left, here and in the cluster, before anything begins anew"),
    ("in-turn/films-end", "leave/*", "films end before the pods are evicted"),
    ("control-planes/join", "control-planes/join", "etcd takes one learner at a time"),
    ("control-planes/join", "workers/join", "they join by the cluster's name, which may lead to a control plane that joins"),
    ("control-planes/join", "prepare/hosts", "the cluster's name leads to a control plane once that is in"),
    ("*/swap|programs|containerd|kubelet-unit", "*/join", "the control plane by which they join has to run"),
    ("control-planes/cluster-config|kubelet-config|kube-proxy-config", "*/join", "they take their configuration from the cluster"),
    ("control-planes/cluster-config", "control-planes/control-plane", "static pods are made from what the cluster has"),
    ("control-planes/kubelet-config", "workers/kubelet", "kubelet's configuration is what the cluster has"),
    ("*/join", "labels/labels", "a node is there once its machine has joined"),
    ("*/join|bootstrap|kubelet|init", "workers/kubelet-certificates", "it approves what those kubelets ask for"),
    ("workers/kubelet-certificates", "control-planes/control-plane", "API servers come to verify what kubelets present"),
    ("prepare/hosts", "prepare/vip", "no name leads to the address any more when nobody holds it"),
    ("prepare/notify", "prepare/notify-gone", "a timer that is left would write it again"),
    ("*/join|bootstrap", "workers/token-gone", "the token is of use until the last has joined"),
    ("programs/programs-next", "in-turn/*", "kubeadm of the new version, and what the node switches to"),
    ("in-turn/*", "in-turn/*", "one machine at a time, and no kubelet before the last API server"),
    ("images/*", "in-turn/*", "the pod with which kubeadm begins runs anywhere, and needs its image there"),
    ("in-turn/*", "verify/*", "what changes may harm what runs"),
    ("verify/probe", "verify/upgrade-done", "what a rollback needs goes once all is verified"),
    ("*/*", "workload/*", "any machine may have to run its pods"),
    ("*/join|bootstrap|images-control-plane|images-node|images-pods", "verify/*", "pods run there, those of the probe as well"),
    ("*/clock|containerd|control-plane|hostname|hosts|hosts-own", "verify/*", "what changes may harm what runs"),
    ("*/certificates", "verify/*", "what changes may harm what runs"),
    ("*/kubelet|kubelet-server|kubelet-unit|modules|packages|programs|swap|sysctls|vip", "verify/*", "what changes may harm what runs"),
];

/// All of it.
pub fn needless(plan: &Plan) -> Vec<String> {
    let steps = plan.by_id();
    let circles = plan.steps.iter().filter(|step| reaches(&steps, &step.id, &step.id));
    circles.map(|step| format!("{} waits for itself", step.id)).chain(implied(plan)).chain(unreasoned(plan)).collect()
}

/// Needs that others imply: whatever a step needs, and what that needs, is done before.
fn implied(plan: &Plan) -> Vec<String> {
    let steps = plan.by_id();
    let mut found = Vec::new();
    for step in &plan.steps {
        for need in &step.needs {
            if let Some(other) = step.needs.iter().find(|other| *other != need && reaches(&steps, other, need)) {
                found.push(format!("{} needs {need}, which {other} implies", step.id));
            }
        }
    }
    found
}

/// Whether what the pods of a machine depend on is restarted, which happens on one machine at a time. `joined`: whether it has pods.
pub fn restarts(action: &Action, joined: bool) -> bool {
    match action {
        Action::RenewKubelet(_)
        | Action::RenewControlPlane(_)
        | Action::RenewCertificates(_)
        | Action::RepairControlPlane(_)
        | Action::SetKubeletServer(_) => true,
        // No pod depends on a timer.
        Action::ConfigureUnit(ConfigureUnit { unit, restart, .. }) => *restart && joined && unit.ends_with(".service"),
        _ => false,
    }
}

/// Needs across machines that no reason is known for.
fn unreasoned(plan: &Plan) -> Vec<String> {
    let steps = plan.by_id();
    let joins: BTreeSet<&str> = plan
        .steps
        .iter()
        .filter(|step| [StepKind::Init, StepKind::Join].contains(&step.id.kind))
        .map(|step| step.machine.as_str())
        .collect();
    let restarts = |step: &Step| restarts(&step.action, !joins.contains(step.machine.as_str()));
    let mut found = Vec::new();
    for step in &plan.steps {
        for need in step.needs.iter().filter_map(|need| steps.get(need)).filter(|need| need.machine != step.machine) {
            let used = step.action.inputs().iter().any(|input| input.step == need.id);
            let listed = ACROSS.iter().any(|(waited, waits, _)| is(need, waited) && is(step, waits));
            if !(used || listed || restarts(need) && restarts(step)) {
                found.push(format!("{} needs {}: two machines, and no reason is known", step.id, need.id));
            }
        }
    }
    found
}

/// Whether `step` is one of `pattern`: STAGE/NAME.
fn is(step: &Step, pattern: &str) -> bool {
    let stage = serde_json::to_value(step.stage).expect("plain data");
    let (stages, names) = pattern.split_once('/').expect("STAGE/NAME");
    let fits = |pattern: &str, is: &str| pattern.split('|').any(|one| one == "*" || one == is);
    fits(stages, stage.as_str().unwrap_or_default()) && fits(names, step.id.kind.name())
}

/// A reason for what no step is called would be a reason for nothing.
#[test]
fn every_reason_is_for_steps_that_there_are() {
    let known = |name: &&str| *name != "*" && StepKind::parse(name).is_none();
    let names = ACROSS.iter().flat_map(|(waited, waits, _)| [waited, waits]).map(|pattern| pattern.split_once('/').expect("STAGE/NAME").1);
    assert_eq!(names.flat_map(|names| names.split('|')).find(known), None);
}
