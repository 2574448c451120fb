//! `remove --erase`: a machine leaves the cluster, and the disk that its system is on is erased.

use std::collections::BTreeMap;

use anyhow::Result;

use super::Plan;
use super::hint::Hint;
use super::planner::Planner;
use super::refusal::Why;
use super::reinstall::{Leaving, after_staging, leave, needs_machine, warn_of_snapshots};
use super::system_disk::{Installer, NoInstaller, contents, described, has_memory, keeps, system, target};
use crate::action::reinstall::{Erase, Way};
use crate::facts::{Facts, Observation};
use crate::install::erasure::Erasure;
use crate::install::order;
use crate::inventory::{Inventory, MachineName};
use crate::manifest::Manifests;
use crate::protocol;
use crate::step::StepKind;

/// The plan: out of the cluster, and only then erased.
pub(super) fn plan(
    inventory: &Inventory,
    manifests: &Manifests,
    seen: &BTreeMap<MachineName, Observation>,
    name: &MachineName,
    installer: &Installer,
    leaving: Leaving,
) -> Result<Plan> {
    let mut planner = Planner::new(inventory, manifests, seen);
    (planner.force_after, planner.now) = (leaving.force_after, leaving.now);
    let Some(facts) = planner.facts.get(name).copied() else {
        return Ok(needs_machine(planner, name));
    };
    warn_of_snapshots(&mut planner, name, facts, true);
    let erase = match order_for(inventory, name, facts, installer) {
        Ok((erasure, erase)) => {
            let action = installer.stage(Way::Kexec, erasure.to_json(), protocol::installer::ERASURE, None);
            planner.step(StepKind::StageInstaller.of(name), name, "the installer will run on the machine itself", action, []);
            Some(erase)
        }
        Err(why) => {
            planner.refuse(Some(name), Why::NoErasure(why.clone()), Hint::Erase { machine: name.clone(), why });
            None
        }
    };
    leave(&mut planner, seen, name);
    let Some(erase) = erase.filter(|_| planner.refusals.is_empty()) else {
        return Ok(Plan { steps: Vec::new(), ..planner.finish() });
    };
    let before = planner.all();
    planner.step(StepKind::Erase.of(name), name, format!("you asked to erase {name}"), erase, before.into_iter().map(Into::into));
    planner.warn(
        Some(name),
        "the machine's screen will show how the disk was erased; then the machine powers off, or stays on if the erasure failed",
    );
    Ok(after_staging(planner, name))
}

fn order_for(inventory: &Inventory, name: &MachineName, facts: &Facts, installer: &Installer) -> Result<(Erasure, Erase), NoInstaller> {
    let target = target(inventory, name, facts, 0)?;
    let (system, disk) = system(facts)?;
    keeps(inventory, name, system, system.erased.iter().chain(&system.on_data))?;
    has_memory(facts, installer)?;
    let (erased, has_data) = contents(disk);
    let erase = Erase { id: order::short_id(&installer.id).to_owned(), what: described(disk), erased, has_data };
    Ok((Erasure::new(installer.id.clone(), name.clone(), target.mac, target.rule), erase))
}
