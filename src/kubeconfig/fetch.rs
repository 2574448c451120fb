//! Fetches the cluster's kubeconfig from one of its control planes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::{Inventory, MachineName};
use hostler_core::protocol::path;
use hostler_core::template;
use hostler_core::visible::last_output;
use hostler_core::words::of_machine;
use serde_json::json;

use super::{Access, Reach, put};
use crate::event::Event;
use crate::execute::Link;
use crate::lab;
use crate::report::Reporter;
use crate::ssh::{Bounds, Exit};
use crate::user_file::Destination;

/// From the first control plane that answers, with `name` for cluster, user and context. `server`: the address of the API server, if it is
/// not the inventory's.
///
/// # Errors
/// No control plane's admin.conf can be read.
pub async fn access(inventory: &Inventory, links: &BTreeMap<MachineName, Arc<Link>>, name: &str, server: Option<&str>) -> Result<Access> {
    let script = template::render("kubernetes/admin.sh", json!({}))?;
    let mut reasons = Vec::new();
    for (machine, _) in inventory.control_planes() {
        let Some(link) = links.get(machine) else { continue };
        match admin(link, &script).await {
            Ok(text) => {
                let reach = server.map_or_else(|| Reach::through(inventory, machine), |server| Reach::by(inventory, server));
                return Access::new(&text, name, reach).with_context(|| machine.to_string());
            }
            Err(reason) => reasons.push(of_machine(machine.as_str(), &reason)),
        }
    }
    let message = format!("{} can't be read on any control plane:\n{}", path::ADMIN, reasons.join("\n"));
    Err(Failure::new(ExitStatus::Failed, message, "`hostler status` shows whether there is a cluster").into())
}

/// Writes it to `file`, see [`put`], and prints how to use it.
///
/// # Errors
/// As [`put`].
pub async fn keep(access: &Access, name: &str, file: &Path, reporter: &Reporter) -> Result<()> {
    let place = super::destination(file, name)?;
    let backup = put(&place, access, &stamp())?;
    if let Some(backup) = backup {
        let line = format!("{} belonged to another cluster: it was saved as {}", file.display(), backup.display());
        reporter.events().send(Event::Note { line });
    }
    if matches!(place, Destination::New(_) | Destination::File(_)) {
        // The lab's network is its own: only what runs in it reaches its API server.
        let line = match file == lab::kubeconfig() {
            true => "hostler lab exec -- kubectl get nodes".to_owned(),
            false => format!("kubectl --kubeconfig {} get nodes", file.display()),
        };
        reporter.result(&line).await;
    }
    Ok(())
}

/// The present time, for the name of a backup.
pub fn stamp() -> String {
    jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string()
}

async fn admin(link: &Link, script: &str) -> Result<String, String> {
    let session = link.session().await.map_err(|error| error.to_string())?;
    let (mut text, mut said) = (String::new(), String::new());
    match session.read(Bounds::FILE, script, &mut text, &mut said).await {
        Ok(Exit::Status(0)) => Ok(text),
        Ok(_) => Err(last_output(&said)),
        Err(error) => Err(error.to_string()),
    }
}
