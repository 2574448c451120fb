//! `hostler up` and `hostler plan`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::rounds::{Common, Order, Scene, carry_out, look};
use crate::plan::{Goal, Plan, plan};
use crate::report::{ExitStatus, Paint, Reporter, plan_text};

#[derive(Debug, Args)]
pub struct Up {
    #[command(flatten)]
    pub common: Common,
    /// Carry the plan out without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Where to write the cluster's kubeconfig [default: ~/.config/hostler/CLUSTER.kubeconfig]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// `hostler up`. `from_source`: a bundle that can't be fetched is built on this computer.
///
/// # Errors
/// As [`carry_out`].
pub async fn up(arguments: &Up, from_source: bool, reporter: &Reporter) -> Result<(ExitStatus, Plan)> {
    let order = Order { kubeconfig: true, kubeconfig_file: arguments.kubeconfig.clone(), ..Order::new(Goal::Up, arguments.yes) };
    carry_out(&order, &arguments.common, from_source, reporter).await
}

/// `hostler plan`: prints the very value that `up` executes.
///
/// # Errors
/// As [`look`].
pub async fn show(common: &Common, json: bool, reporter: &Reporter) -> Result<ExitStatus> {
    let Scene { inventory, seen, bundle, .. } = look(common, &Goal::Up, false, reporter).await?;
    let plan = plan(&inventory, &bundle.manifest, &seen)?;
    reporter.result(&if json { serde_json::to_string_pretty(&plan)? } else { plan_text(&plan, Paint::wanted(false)) }).await;
    Ok(ExitStatus::Done)
}
