//! `hostler notify`: started by a timer of each machine.

use anyhow::Result;
use clap::Args;

use crate::notify;
use crate::report::Reporter;

/// Report what is wrong with this machine and its cluster (runs on machines, as root)
#[derive(Debug, Args)]
pub struct Arguments {}

/// # Errors
/// As [`notify::run`].
pub async fn run(_: &Arguments, reporter: &Reporter) -> Result<()> {
    notify::run(&reporter.events()).await
}
