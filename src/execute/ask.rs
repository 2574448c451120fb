//! Asks the cluster's control planes, one after the other, for what any of them can give.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::{Inventory, MachineName};
use hostler_core::words::of_machine;

use super::Link;

/// What is said where none of them gives it.
pub struct Otherwise<'a> {
    pub message: &'a str,
    pub hint: &'a str,
}

/// What `ask` gets from the first control plane among `links` that gives it.
///
/// # Errors
/// None does: `otherwise`, with each one's reason. The exit status tells whether any was reached.
pub async fn first<T>(
    inventory: &Inventory,
    links: &BTreeMap<MachineName, Arc<Link>>,
    otherwise: Otherwise<'_>,
    ask: impl AsyncFn(&Link) -> Result<T, String>,
) -> Result<(MachineName, T)> {
    let (mut reasons, mut reached) = (Vec::new(), false);
    for (machine, _) in inventory.control_planes() {
        let Some(link) = links.get(machine) else { continue };
        if let Err(error) = link.session().await {
            reasons.push(of_machine(machine.as_str(), &error.to_string()));
            continue;
        }
        reached = true;
        match ask(link).await {
            Ok(answer) => return Ok((machine.clone(), answer)),
            Err(reason) => reasons.push(of_machine(machine.as_str(), &reason)),
        }
    }
    let message = format!("{}:\n{}", otherwise.message, reasons.join("\n"));
    let status = if reached { ExitStatus::Failed } else { ExitStatus::Unreachable };
    Err(Failure::new(status, message, otherwise.hint).into())
}
