//! From the inventory's connections to links, the same for every verb that reaches machines; login ([`login`]) and unknown host keys
//! ([`host_keys`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use hostler_core::inventory::{Inventory, Machine, MachineName};

use crate::execute::Link;
use crate::os::{awaited, host_key};
use crate::report::Reporter;
use crate::ssh::{self, NewHostKeys};

pub mod host_keys;
pub mod login;

/// What all connections of a run share. It knows all machines of the inventory, to notice a host key that is another machine's.
///
/// # Errors
/// A machine's connection is configured wrongly.
pub fn access(limits: ssh::Limits, inventory: &Inventory, new_host_keys: NewHostKeys, reporter: &Reporter) -> Result<Arc<ssh::Access>> {
    let neighbours = inventory.machines.iter().map(|(name, machine)| target(name, machine)).collect::<Result<_>>()?;
    let mut access = ssh::Access::new(new_host_keys, reporter.asker(), reporter.redactor());
    access.limits = limits;
    access.events = Some(reporter.events());
    access.neighbours = neighbours;
    Ok(Arc::new(access))
}

/// A link to every machine of the inventory, not opened yet.
pub fn links(inventory: &Inventory, new_host_keys: NewHostKeys, reporter: &Reporter) -> Result<BTreeMap<MachineName, Arc<Link>>> {
    links_within(ssh::Limits::default(), inventory, new_host_keys, reporter)
}

/// As [`links`], with other limits.
pub fn links_within(
    limits: ssh::Limits,
    inventory: &Inventory,
    new_host_keys: NewHostKeys,
    reporter: &Reporter,
) -> Result<BTreeMap<MachineName, Arc<Link>>> {
    let access = access(limits, inventory, new_host_keys, reporter)?;
    let installed = inventory.os.is_some().then(|| host_key::folder(&inventory.cluster.name)).transpose()?;
    inventory
        .machines
        .iter()
        .map(|(name, machine)| {
            let awaited = installed.as_ref().and_then(|folder| awaited::of(folder, name));
            Ok((name.clone(), Arc::new(Link::new(target(name, machine)?, access.clone(), None).awaiting(awaited))))
        })
        .collect()
}

/// Everything needed to reach `machine`: the inventory, then ~/.ssh/config, then OpenSSH's defaults.
pub fn target(name: &MachineName, machine: &Machine) -> Result<ssh::Target> {
    let connection = &machine.connection;
    ssh::Target::new(name.as_str(), &machine.address.to_string(), connection)
}
