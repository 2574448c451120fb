//! `hostler add`: one machine of the inventory joins; the others stay as they are.

use std::net::IpAddr;

use anyhow::Result;
use clap::Args;
use hostler_core::failure::ExitStatus;
use hostler_core::inventory::edit;
use hostler_core::plan::{Goal, Plan};

use super::rounds::{Common, Order, carry_out};
use super::take_over::TakingOver;
use super::{known, write_inventory};
use crate::inventory_file;
use crate::report::Reporter;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The machine
    machine: String,
    /// Write it into the inventory first, with this address
    #[arg(long)]
    address: Option<IpAddr>,
    #[command(flatten)]
    taking_over: TakingOver,
    #[command(flatten)]
    common: Common,
    /// Carry the plan out without asking
    #[arg(long, short)]
    yes: bool,
}

/// # Errors
/// As [`carry_out`]; an inventory that can't be changed.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<(ExitStatus, Plan)> {
    if let Some(address) = arguments.address {
        let text = std::fs::read_to_string(&arguments.common.inventory)?;
        write_inventory(&arguments.common.inventory, &edit::add_machine(&text, &arguments.machine, &address.to_string())?)?;
    }
    let inventory = inventory_file::load(&arguments.common.inventory)?;
    let name = known(&inventory, &arguments.machine)?;
    let goal = arguments.taking_over.goal(Goal::Add(name.clone()), Some(&name), &inventory)?;
    carry_out(&Order::new(goal, arguments.yes), &arguments.common, false, reporter).await
}
