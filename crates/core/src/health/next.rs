//! What to do next about what is wrong.

use super::{CertificateKind, CertificateStatus, Problem, Status};
use crate::facts::Contact;
use crate::inventory::{Inventory, MachineName};
use crate::plan::Plan;
use crate::plan::hint::{Command, Hint};
use crate::plan::power::PowerChange;
use crate::protocol::systemd;

/// What to do next: what hostler can repair first, then what only a person can.
pub(super) fn next(inventory: &Inventory, status: &Status, plan: Option<&Plan>, contact: impl Fn(&MachineName) -> Contact) -> Option<Hint> {
    if status.healthy {
        return None;
    }
    if status.drift.as_ref().is_some_and(|drift| drift.differs) {
        return Some(Hint::Run(Command::Up));
    }
    if let Some(machine) = status.machines.iter().find(|machine| machine.unreachable.is_some()) {
        let name = machine.name.clone();
        let node = status.nodes.iter().find(|node| node.name == name.as_str());
        let contact = contact(&name);
        return Some(if contact == Contact::OtherHostKey {
            Hint::Reinstalled { rebuild: rebuild(inventory, &name), machine: name }
        } else if contact == Contact::Answer {
            Hint::FixAccess(name)
        } else if node.is_some_and(|node| node.ready) {
            Hint::TurnOnOrFix(name)
        } else if node.is_some() && inventory.control_planes().any(|(other, _)| *other != name) {
            Hint::TurnOnOrRebuild(name)
        } else {
            // It is in no cluster, or nobody speaks for that without it.
            Hint::TurnOn(vec![name])
        });
    }
    let failing = status
        .problems
        .iter()
        .any(|problem| matches!(problem, Problem::AddOnDown { .. } | Problem::PodFails { .. } | Problem::PodsForbidden { .. }));
    if !failing && status.drift.as_ref().is_some_and(|drift| drift.verified == Some(false) && drift.refusals == 0) {
        return Some(Hint::Run(Command::Up));
    }
    if let Some(refusal) = plan.and_then(|plan| plan.refusals.first()) {
        let hint = refusal.hint.clone();
        return Some(match &refusal.machine {
            Some(machine) if !hint.to_string().contains(machine.as_str()) => Hint::About(machine.clone(), Box::new(hint)),
            _ => hint,
        });
    }
    // Nothing renews an authority.
    let renewable = |certificate: &&CertificateStatus| certificate.soon && certificate.kind != CertificateKind::Authority;
    if let Some(certificate) = status.certificates.iter().find(renewable) {
        return Some(match certificate.kind {
            CertificateKind::KubeletClient => Hint::AskKubelet(certificate.machine.clone()),
            _ => Hint::Run(Command::Up),
        });
    }
    let look = status.problems.iter().find_map(|problem| match problem {
        Problem::RenewalFailed { machine } => Some(Hint::RetryUnit { machine: machine.clone(), unit: systemd::RENEWAL }),
        Problem::SnapshotNotCopied { machine, .. } => Some(Hint::RetryUnit { machine: machine.clone(), unit: systemd::SNAPSHOT_COPY }),
        Problem::NotNotified { machine, .. } => Some(Hint::RetryUnit { machine: machine.clone(), unit: systemd::NOTIFY }),
        Problem::NoServingCertificate { .. } => Some(Hint::Run(Command::Up)),
        Problem::RequestLeft { request, .. } => Some(Hint::DeleteRequest { request: request.clone() }),
        Problem::PodsForbidden { namespace, .. } => Some(Hint::AllowPods { namespace }),
        Problem::PodFails { namespace, pod, .. } => Some(Hint::LookAtPod { namespace: namespace.clone(), pod: pod.clone() }),
        _ => None,
    });
    if look.is_some() {
        return look;
    }
    if let Some(node) = status.nodes.iter().find(|node| node.cordoned && node.ready && node.in_inventory) {
        return Some(match (node.cordoned_for, MachineName::new(&node.name)) {
            (Some(PowerChange::Shutdown), _) => Hint::Run(Command::Start),
            (Some(PowerChange::Reboot), Some(machine)) => Hint::Run(Command::Reboot(machine)),
            _ => Hint::Uncordon(node.name.clone()),
        });
    }
    // What should be installed is unknown: a plan says why.
    let by_hand = plan.and_then(|_| status.problems.iter().find_map(|problem| by_hand(inventory, problem)));
    Some(by_hand.unwrap_or(Hint::Run(Command::Plan)))
}

/// What a person can do about what hostler does not repair; `None` where a plan says more.
fn by_hand(inventory: &Inventory, problem: &Problem) -> Option<Hint> {
    Some(match problem {
        Problem::AddOnDown { namespace, .. } => Hint::LookAtPods { namespace },
        // `remove` takes names that a machine can have.
        Problem::NodeLeft { node } if MachineName::new(node).is_some() => Hint::Run(Command::Remove { node: node.clone(), dead: true }),
        Problem::MembersUnknown => look_at_etcd(inventory.only_control_plane()),
        Problem::MemberUnhealthy { member, .. } | Problem::Learner { member } => {
            look_at_etcd(inventory.control_planes().map(|(name, _)| name).find(|name| name.as_str() == member))
        }
        // Only that of an authority, which nothing renews, is not renewed.
        Problem::CertificateExpires { .. } => Hint::CreateAgain,
        Problem::Pressure { node, condition, .. } => Hint::Relieve { node: node.clone(), condition: condition.clone() },
        Problem::PodNetwork { machine, fault } => Hint::FixPodNetwork { machine: machine.clone(), fault: fault.clone() },
        Problem::Vip { machine, taken } => Hint::About(machine.clone(), Box::new(taken.hint(true))),
        Problem::DiskLow { machine, .. } => Hint::About(machine.clone(), Box::new(Hint::MakeRoom)),
        Problem::DiskFails { machine, disk, .. } => {
            Hint::ReplaceDisk { machine: machine.clone(), disk: disk.clone(), rebuild: rebuild(inventory, machine) }
        }
        Problem::SnapshotFailed { .. } | Problem::SnapshotInFuture { .. } | Problem::SnapshotOld { .. } | Problem::NoSnapshot => {
            Hint::Run(Command::Snapshot)
        }
        _ => return None,
    })
}

/// `machine`: the one whose member of etcd it is about.
fn look_at_etcd(machine: Option<&MachineName>) -> Hint {
    machine.map_or(Hint::BringControlPlanesBack { look: true }, |machine| Hint::LookAtControlPlane(machine.clone()))
}

/// What joins a machine again that was reinstalled.
fn rebuild(inventory: &Inventory, machine: &MachineName) -> Command {
    match inventory.only_control_plane() == Some(machine) {
        true => Command::Restore(machine.clone()),
        false => Command::Rebuild { machine: machine.clone(), take_over: false },
    }
}
