//! What a wipe takes, what keeps it from doing so, and what the facts are afterwards.

use super::hint::Hint;
use super::planner::{Planner, interrupted};
use super::refusal::Why;
use super::wanted;
use crate::action::machine::Wipe;
use crate::facts::{Facts, KubernetesFacts};
use crate::inventory::MachineName;
use crate::protocol::{self, wipe};
use crate::step::{Need, StepId, StepKind};

/// Whether a wipe takes the file away.
pub fn is_wiped(path: &str) -> bool {
    wipes(path, None).is_some()
}

/// What a wipe takes away that holds the path, or is below it: as they are spelled, or as what they lead to on the machine with these facts.
fn wipes(path: &str, facts: Option<&Facts>) -> Option<&'static str> {
    protocol::wiped().find(|wiped| overlap(path, wiped) || overlap(real(path, facts), real(wiped, facts)))
}

/// What the path leads to on the machine.
fn real<'a>(path: &'a str, facts: Option<&'a Facts>) -> &'a str {
    facts.and_then(|facts| facts.resolved.get(path)).map_or(path, String::as_str)
}

/// The wipe of a machine: `keep` stays.
pub(super) fn wipe(planner: &Planner, name: &MachineName, keep: Vec<String>) -> Wipe {
    let facts = planner.facts.get(name).copied();
    let links = protocol::wiped().map(|path| (path, real(path, facts))).filter(|(path, real)| path != real);
    Wipe { keep, links: links.map(|(path, real)| (path.to_owned(), real.to_owned())).collect() }
}

fn overlap(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim_end_matches('/'), b.trim_end_matches('/'));
    a == b || a.starts_with(&format!("{b}/")) || b.starts_with(&format!("{a}/"))
}

/// Whether the machine has something of this cluster, or of one that hostler began on it.
pub(super) fn to_wipe(facts: &Facts) -> bool {
    facts.kubernetes.joined || interrupted(facts)
}

/// Whatever there is of a cluster on `name` is wiped, unless the user keeps some of it.
pub(super) fn wipe_if_needed<'a>(planner: &mut Planner<'a>, name: &'a MachineName) {
    if planner.facts.get(name).is_some_and(|facts| to_wipe(facts)) {
        wipe_step(planner, name, "cluster state is left on the machine", []);
    }
}

/// The wipe of a machine of the inventory. Nothing below what the user keeps, or what is mounted there, may go: refused, and `None`.
pub(super) fn wipe_step<'a>(
    planner: &mut Planner<'a>,
    name: &'a MachineName,
    reason: impl Into<String>,
    needs: impl IntoIterator<Item = Need>,
) -> Option<StepId> {
    let keep = planner.inventory.machines.get(name).map(|machine| machine.keep.clone()).unwrap_or_default();
    if wipe_blocked(planner, name, &keep) {
        return None;
    }
    let action = wipe(planner, name, keep);
    Some(planner.step(StepKind::Wipe.of(name), name, reason, action, needs))
}

/// Whether something is in the way of a wipe, which is refused then.
pub(super) fn wipe_blocked<'a>(planner: &mut Planner<'a>, name: &'a MachineName, keep: &[String]) -> bool {
    let facts = planner.facts.get(name).copied();
    if let Some((kept, wiped)) = keep.iter().find_map(|kept| wipes(kept, facts).map(|wiped| (kept, wiped))) {
        let real = [kept, wiped].map(|path| real(path, facts));
        let leads = (!overlap(kept, wiped)).then(|| if real[1] == wiped { real[0] } else { real[1] }.to_owned());
        planner.refuse(Some(name), Why::Keep { kept: kept.clone(), wiped, leads }, Hint::MoveKept { kept: kept.clone() });
        return true;
    }
    let mounts: &[String] = facts.map_or(&[], |facts| &facts.mounts);
    if let Some((mounted, wiped)) = mounts.iter().find_map(|path| wipes(path, facts).map(|wiped| (path, wiped))) {
        planner.refuse(Some(name), Why::Mounted { mounted: mounted.clone(), wiped }, Hint::Unmount { path: mounted.clone() });
        return true;
    }
    false
}

/// The facts as they will be after a wipe.
pub(super) fn clear_wiped(facts: &mut Facts) {
    facts.kubernetes = KubernetesFacts::default();
    facts.forget_cluster();
    facts.api_down = None;
    facts.applied.clear();
    facts.in_progress.clear();
    facts.before_upgrade = None;
    facts.files.retain(|path, _| !is_wiped(path));
    facts.units.retain(|unit, _| !wipe::UNITS.contains(&unit.as_str()));
    wanted::leave_ports(facts);
}
