//! `hostler approve-kubelets`: run by steps, and in [`renew-certificates`](super::renew_certificates) by a timer of each control plane.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use hostler_core::inventory::MachineName;

use crate::own_api;
use crate::renewal::Kubelets;
use crate::report::Reporter;

/// Approve kubelets' requests for serving certificates (runs on control planes, as root)
#[derive(Debug, Args)]
pub struct Arguments {
    /// Nodes whose kubelets must present such a certificate
    #[arg(value_name = "NODE", value_parser = node, required = true)]
    nodes: Vec<MachineName>,
    /// How long to wait for them, in seconds
    #[arg(long, value_name = "SECONDS")]
    within: u64,
}

fn node(text: &str) -> Result<MachineName, String> {
    MachineName::new(text).ok_or_else(|| "it is not the name of a node".to_owned())
}

/// # Errors
/// As [`Kubelets::wait_for`].
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<()> {
    let nodes: BTreeSet<MachineName> = arguments.nodes.iter().cloned().collect();
    let kubelets = Kubelets::of(own_api::client().await?);
    kubelets.wait_for(&nodes, Duration::from_secs(arguments.within), &reporter.events()).await
}
