//! What is wrong with a machine by its own word: what `status` shows, and what the machine reports by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{CertificateKind, CertificateStatus, DAY, Problem, certificates};
use crate::facts::{Facts, early};
use crate::inventory::MachineName;

/// A certificate that ends sooner is a problem, in days. Kubelet renews its own before: at the latest when a tenth of a year is left.
const SOON: i64 = 30;
/// Free space of /var/lib below which kubelet begins to evict pods, in percent.
pub(super) const LITTLE_DISK: u64 = 15;
/// Above it, a disk that was low no longer is, in percent.
const ENOUGH_DISK: u64 = 18;

/// The longest that it takes until a new snapshot is on the server, in seconds: the limit of the service, and a look of the timer.
const COPYING: i64 = 15 * 60;

/// All of it, for a machine that takes snapshots `every` so often, if it does.
pub fn own_problems(name: &MachineName, facts: &Facts, every: Option<Duration>) -> Vec<Problem> {
    let mut problems: Vec<Problem> = expiring(&certificates(&BTreeMap::from([(name, facts)]))).collect();
    problems.extend(renewal_failed(name, facts));
    problems.extend(disk_low(name, facts.disk_free, facts.disk_size));
    problems.extend(failing_disks(name, facts));
    let Some(every) = every else { return problems };
    problems.extend(snapshot_failed(name, facts));
    problems.extend(snapshot_not_copied(name, facts));
    match facts.snapshot {
        Some(taken) => problems.extend(snapshot_old(facts.clock.saturating_sub(taken), every)),
        None if is_overdue(facts) => problems.push(Problem::NoSnapshot),
        None => {}
    }
    problems
}

/// Whether a certificate with so many seconds left should have been renewed. `life`: for how many it is valid in all, if that is known: one of a
/// month is not renewed as long before its end as one of a year.
pub(super) fn is_soon(kind: CertificateKind, left: i64, life: Option<i64>) -> bool {
    let renewed = match (kind, life) {
        (CertificateKind::Authority, _) | (_, None) => i64::MAX,
        (CertificateKind::ControlPlane, Some(life)) => early(life),
        // As `Validity::is_overdue` has it.
        (CertificateKind::KubeletClient | CertificateKind::KubeletServer, Some(life)) => life / 12,
    };
    left < renewed.min(SOON * DAY)
}

/// Certificates that end soon; of a machine the first one says enough.
pub(super) fn expiring(certificates: &[CertificateStatus]) -> impl Iterator<Item = Problem> {
    let soon = |certificate: &&CertificateStatus| certificate.soon;
    certificates
        .iter()
        .enumerate()
        .filter(move |(at, certificate)| {
            soon(certificate) && certificates[..*at].iter().filter(soon).all(|other| other.machine != certificate.machine)
        })
        .map(|(_, CertificateStatus { name, machine, days, .. })| Problem::CertificateExpires {
            certificate: name.clone(),
            machine: machine.clone(),
            days: *days,
        })
}

pub(super) fn renewal_failed(name: &MachineName, facts: &Facts) -> Option<Problem> {
    facts.renewal_failed.then(|| Problem::RenewalFailed { machine: name.clone() })
}

pub(super) fn not_notified(name: &MachineName, facts: &Facts) -> Option<Problem> {
    let since = facts.notify_unsent.map(|since| facts.clock.saturating_sub(since).max(0));
    (facts.notify_failed || since.is_some()).then(|| Problem::NotNotified { machine: name.clone(), since })
}

/// `free` of `size`, in KiB. A file system of unknown size is not full.
pub(super) fn disk_low(name: &MachineName, free: u64, size: u64) -> Option<Problem> {
    let low = size > 0 && free.saturating_mul(100) < size.saturating_mul(LITTLE_DISK);
    low.then(|| Problem::DiskLow { machine: name.clone(), free: free.saturating_mul(100) / size })
}

/// Whether what was low is no longer: not as soon as it is above the limit, around which it may hover.
pub fn has_enough_disk(free: u64, size: u64) -> bool {
    size > 0 && free.saturating_mul(100) > size.saturating_mul(ENOUGH_DISK)
}

pub(super) fn failing_disks(name: &MachineName, facts: &Facts) -> impl Iterator<Item = Problem> {
    let disks = facts.disks.iter().flat_map(|(disk, faults)| faults.iter().map(move |fault| (disk.clone(), *fault)));
    disks.map(|(disk, fault)| Problem::DiskFails { machine: name.clone(), disk, fault })
}

pub(super) fn snapshot_failed(name: &MachineName, facts: &Facts) -> Option<Problem> {
    facts.snapshot_failed.then(|| Problem::SnapshotFailed { machine: name.clone() })
}

/// A snapshot may be on its way, and after a failure it is copied with the next look of the timer.
pub(super) fn snapshot_not_copied(name: &MachineName, facts: &Facts) -> Option<Problem> {
    let (copied, newest) = (facts.snapshot_copied?, facts.snapshot?);
    let waits = facts.clock.saturating_sub(newest);
    let since = (copied > 0).then(|| facts.clock.saturating_sub(copied).max(0));
    let fails = facts.snapshot_copy_failed || waits > COPYING;
    (fails && copied < newest).then(|| Problem::SnapshotNotCopied { machine: name.clone(), since })
}

/// `age`: of the newest one, in seconds. One may have been missed: a machine was off.
pub(super) fn snapshot_old(age: i64, every: Duration) -> Option<Problem> {
    let most = i64::try_from(every.as_secs()).unwrap_or(i64::MAX).saturating_mul(2);
    (age > most).then_some(Problem::SnapshotOld { age })
}

/// Whether the machine should have taken its first snapshot: it looks every ten minutes.
pub(super) fn is_overdue(facts: &Facts) -> bool {
    !facts.snapshots_unread && facts.snapshots_since.is_some_and(|since| facts.clock.saturating_sub(since) > 60 * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However long a certificate lives, it is no problem before it is to be renewed, and one before it has ended.
    #[test]
    fn a_certificate_is_a_problem_only_after_it_should_have_been_renewed() {
        for days in [1, 7, 30, 90, 365, 3650] {
            let life = days * DAY;
            for (kind, renewed) in [(CertificateKind::ControlPlane, early(life)), (CertificateKind::KubeletClient, life / 10)] {
                assert!(!is_soon(kind, life, Some(life)), "{kind:?} of {days} days is new");
                assert!(!is_soon(kind, renewed, Some(life)), "{kind:?} of {days} days is about to be renewed");
                assert!(is_soon(kind, 0, Some(life)) && is_soon(kind, -1, Some(life)), "{kind:?} of {days} days has ended");
                assert!(days < 365 || is_soon(kind, 29 * DAY, Some(life)), "{kind:?} of {days} days has 29 left");
            }
        }
        assert!(is_soon(CertificateKind::Authority, 29 * DAY, None) && !is_soon(CertificateKind::ControlPlane, 30 * DAY, None));
    }
}
