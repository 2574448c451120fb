//! `hostler renew-certificates`: started by a timer of each control plane.

use anyhow::Result;
use clap::Args;

use crate::renewal;
use crate::report::Reporter;

/// Renew certificates that expire soon (runs on control planes, as root)
#[derive(Debug, Args)]
pub struct Arguments {}

/// # Errors
/// As [`renewal::renew`].
pub async fn run(_: &Arguments, reporter: &Reporter) -> Result<()> {
    renewal::renew(&reporter.events()).await
}
