//! `hostler kubeconfig`, and the kubeconfig that `up` leaves behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::{Inventory, MachineName};
use hostler_core::protocol::path;
use hostler_core::template;
use serde_json::json;

use super::connect::{self, Connecting};
use super::login;
use crate::event::Event;
use crate::execute::{Link, Run};
use crate::inventory_file;
use crate::kubeconfig::{self, Access, Merged, Reach};
use crate::report::Reporter;
use crate::ssh::Exit;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The inventory
    #[arg(long, short, value_name = "FILE", default_value = "inventory.yaml")]
    inventory: PathBuf,
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
    let inventory = inventory_file::load(&arguments.inventory)?;
    let mut links = connect::links(&inventory, &arguments.connecting, reporter)?;
    links.retain(|name, _| inventory.control_planes().any(|(plane, _)| plane == name));
    login::log_in(&links, reporter).await?;
    let name = arguments.name.as_deref().unwrap_or(&inventory.cluster.name);
    let access = access(&inventory, &links, name, arguments.server.as_deref()).await?;
    if !arguments.merge {
        return write(&access, name, arguments.out.as_deref(), reporter).await;
    }
    let variable = std::env::var("KUBECONFIG").ok();
    let file = kubeconfig::users_file(variable.as_deref(), &home()?);
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

/// Fetches the kubeconfig and keeps it at `out`, or where the user's configuration lives. Only a warning says that it can't be had: the
/// run that ends with this has its own result.
///
/// # Errors
/// The file can't be written.
pub async fn keep(run: &Run, inventory: &Inventory, out: Option<&Path>, reporter: &Reporter) -> Result<()> {
    let name = &inventory.cluster.name;
    match access(inventory, &run.links, name, None).await {
        Ok(access) => write(&access, name, out, reporter).await,
        Err(error) => {
            let line = format!("no kubeconfig was written: {}", error.to_string().lines().collect::<Vec<_>>().join("; "));
            reporter.events().send(Event::Warning { line });
            Ok(())
        }
    }
}

async fn write(access: &Access, name: &str, out: Option<&Path>, reporter: &Reporter) -> Result<()> {
    let file = match out {
        Some(file) => file.to_owned(),
        None => default_file(name)?,
    };
    kubeconfig::write(&file, &access.text()?)?;
    reporter.result(&format!("kubectl --kubeconfig {} get nodes", file.display())).await;
    Ok(())
}

/// Where the kubeconfig of the cluster `name` is kept unless something else is asked for.
///
/// # Errors
/// This user has no home.
pub fn default_file(name: &str) -> Result<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let config = match config {
        Some(folder) => folder,
        None => home()?.join(".config"),
    };
    Ok(config.join("hostler").join(format!("{name}.kubeconfig")))
}

fn home() -> Result<PathBuf> {
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty()).context("this user has no home\nhint: set HOME")
}

/// What the first control plane that answers gives.
async fn access(inventory: &Inventory, links: &BTreeMap<MachineName, Arc<Link>>, name: &str, server: Option<&str>) -> Result<Access> {
    let script = template::render("kubernetes/admin.sh", json!({}))?;
    let mut reasons = Vec::new();
    for (machine, _) in inventory.control_planes() {
        let Some(link) = links.get(machine) else { continue };
        match admin(link, &script).await {
            Ok(text) => {
                let reach = server.map_or_else(|| Reach::through(inventory, machine), |server| Reach::by(inventory, server));
                return Access::new(&text, name, reach).with_context(|| machine.to_string());
            }
            Err(reason) => reasons.push(format!("{machine}: {reason}")),
        }
    }
    let message = format!("no control plane gives its {}:\n{}", path::ADMIN, reasons.join("\n"));
    Err(Failure::new(ExitStatus::Failed, message, "`hostler plan` tells whether there is a cluster yet").into())
}

async fn admin(link: &Link, script: &str) -> Result<String, String> {
    let session = link.session().await.map_err(|error| error.to_string())?;
    let (mut text, mut said) = (String::new(), String::new());
    match session.read(script, &mut text, &mut said).await {
        Ok(Exit::Status(0)) => Ok(text),
        Ok(_) => Err(said.trim().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
