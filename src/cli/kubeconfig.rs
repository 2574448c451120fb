//! `hostler kubeconfig`.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use hostler_core::inventory::host_and_port;

use super::arguments::{Connecting, InventoryArgument};
use super::help;
use crate::connect::{self, login};
use crate::home;
use crate::kubeconfig::{self, Merged, fetch};
use crate::report::Reporter;

/// Write the cluster's kubeconfig, or merge it into ~/.kube/config
///
/// It is fetched from the first control plane that can be reached. It gives full access to the cluster: only its owner can read
/// the file.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[
        ("Add the cluster to the file that kubectl uses", "hostler kubeconfig --merge"),
        ("Reach the API server through a tunnel", "hostler kubeconfig --server 127.0.0.1:6443"),
    ],
    help::ALL,
))]
pub struct Arguments {
    #[command(flatten)]
    inventory: InventoryArgument,
    /// Path of the kubeconfig to write, `-` for standard output [default: ~/.config/hostler/CLUSTER.kubeconfig]
    #[arg(long, value_name = "FILE", conflicts_with = "merge")]
    out: Option<PathBuf>,
    /// Merge into the file that kubectl uses: the first of $KUBECONFIG, or ~/.kube/config
    #[arg(long)]
    merge: bool,
    /// Name for cluster, user and context [default: the cluster's name]
    #[arg(long, value_parser = name)]
    name: Option<String>,
    /// API server address to use from this computer, e.g. a tunnel [default: from the inventory]
    #[arg(long, value_name = "HOST[:PORT]", value_parser = server)]
    server: Option<String>,
    #[command(flatten)]
    connecting: Connecting,
}

/// The name becomes a part of the default file's.
fn name(text: &str) -> Result<String, String> {
    let wrong = text.is_empty() || text.starts_with('.') || text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '/');
    if wrong { Err("write a name without spaces and `/`, which does not begin with a dot".to_owned()) } else { Ok(text.to_owned()) }
}

fn server(text: &str) -> Result<String, String> {
    let authority = text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/');
    let right = authority.parse::<IpAddr>().is_ok() || host_and_port(authority).is_some_and(|(_, port)| port != Some(0));
    if right { Ok(text.to_owned()) } else { Err("write it like localhost:6443 or 192.168.1.11".to_owned()) }
}

/// # Errors
/// No control plane can be read from, or the file can't be written, or has an entry of this name for another cluster.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<()> {
    let inventory = arguments.inventory.load()?.inventory;
    let name = arguments.name.as_deref().unwrap_or(&inventory.cluster.name);
    let out = arguments.out.clone().map_or_else(|| kubeconfig::default_file(name), Ok)?;
    if !arguments.merge {
        kubeconfig::destination(&out, name)?;
    }
    let mut links = connect::links(&inventory, arguments.connecting.new_host_keys(), reporter)?;
    links.retain(|name, _| inventory.control_planes().any(|(plane, _)| plane == name));
    login::log_in(&links, reporter).await?;
    let access = fetch::access(&inventory, &links, name, arguments.server.as_deref()).await?;
    if !arguments.merge {
        return fetch::keep(&access, name, &out, reporter).await;
    }
    let variable = std::env::var("KUBECONFIG").ok();
    let file = kubeconfig::users_file(variable.as_deref(), &home::home()?);
    let merged = kubeconfig::merge_into(&file, &access, &fetch::stamp())?;
    let file = file.display();
    let done = match merged {
        Merged::Created => format!("created {file} with {name}"),
        Merged::Changed(backup) => format!("merged {name} into {file}; the previous version is {}", backup.display()),
        Merged::Unchanged => format!("{file} already has {name}"),
    };
    reporter.result(&format!("{done}\nkubectl --context {name} get nodes")).await;
    Ok(())
}
