//! `hostler schema`: the JSON Schema of the files that a user writes, for editors and other programs.

use clap::Args;
use hostler_core::failure::ExitStatus::Done;
use hostler_core::inventory::reference;
use hostler_core::pins;

use super::help;
use crate::report::Reporter;

/// Print the JSON Schema of the inventory
///
/// An editor with a YAML language server completes and checks an inventory with it. docs/inventory.md describes the same keys. `hostler
/// schema pins` prints the schema of a pins file: see docs/years.md.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(&[("Let an editor check the inventory", "hostler schema > inventory.schema.json")], &[Done]))]
pub struct Arguments {
    /// File to describe
    #[arg(value_enum, default_value_t = Of::Inventory)]
    of: Of,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Of {
    Inventory,
    Pins,
}

pub async fn run(arguments: &Arguments, reporter: &Reporter) {
    let schema = match arguments.of {
        Of::Inventory => reference::json_schema(),
        Of::Pins => pins::json_schema(),
    };
    reporter.result(&format!("{schema:#}")).await;
}
