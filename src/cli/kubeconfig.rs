//! `hostler kubeconfig`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::arguments::{Connecting, InventoryArgument};
use crate::connect::{self, login};
use crate::home;
use crate::kubeconfig::{self, Merged, fetch};
use crate::report::Reporter;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    inventory: InventoryArgument,
    /// Where to write it [default: ~/.config/hostler/CLUSTER.kubeconfig]
    #[arg(long, value_name = "FILE", conflicts_with = "merge")]
    out: Option<PathBuf>,
    /// Put it into the file that kubectl uses: the first of KUBECONFIG, or ~/.kube/config
    #[arg(long)]
    merge: bool,
    /// What to call cluster, user and context [default: the cluster's name]
    #[arg(long)]
    name: Option<String>,
    /// The way to the API server from this computer, where it is not the one the inventory tells: through a tunnel, say
    #[arg(long, value_name = "HOST[:PORT]")]
    server: Option<String>,
    #[command(flatten)]
    connecting: Connecting,
}

/// # Errors
/// No control plane has an admin.conf to give, or the file can't be written or belongs to another cluster.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<()> {
    let inventory = arguments.inventory.load()?.inventory;
    let mut links = connect::links(&inventory, arguments.connecting.new_host_keys(), reporter)?;
    links.retain(|name, _| inventory.control_planes().any(|(plane, _)| plane == name));
    login::log_in(&links, reporter).await?;
    let name = arguments.name.as_deref().unwrap_or(&inventory.cluster.name);
    let access = fetch::access(&inventory, &links, name, arguments.server.as_deref()).await?;
    if !arguments.merge {
        return fetch::keep(&access, name, arguments.out.as_deref(), reporter).await;
    }
    let variable = std::env::var("KUBECONFIG").ok();
    let file = kubeconfig::users_file(variable.as_deref(), &home::home()?);
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let merged = kubeconfig::merge_into(&file, &access, &stamp)?;
    let file = file.display();
    let done = match merged {
        Merged::Created => format!("{file} is new, and has {name}"),
        Merged::Changed(backup) => format!("{file} has {name} now; what it was before is {}", backup.display()),
        Merged::Unchanged => format!("{file} had {name} already"),
    };
    reporter.result(&format!("{done}\nkubectl --context {name} get nodes")).await;
    Ok(())
}
