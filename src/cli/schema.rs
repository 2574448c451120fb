//! `hostler schema`: the JSON Schema of the inventory, for editors and other programs.

use clap::Args;
use hostler_core::failure::ExitStatus::Done;
use hostler_core::inventory::reference;

use super::help;
use crate::report::Reporter;

/// Print the JSON Schema of the inventory
///
/// An editor with a YAML language server completes and checks an inventory with it. docs/inventory.md describes the same keys.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(&[("Let an editor check the inventory", "hostler schema > inventory.schema.json")], &[Done]))]
pub struct Arguments;

pub async fn run(reporter: &Reporter) {
    reporter.result(&format!("{:#}", reference::json_schema())).await;
}
