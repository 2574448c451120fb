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
use crate::kubeconfig::fetch::{self, Wanted};
use crate::kubeconfig::person::Person;
use crate::kubeconfig::{self, Merged};
use crate::report::Reporter;

/// Write the cluster's kubeconfig, or merge it into ~/.kube/config
///
/// The kubeconfig has a personal certificate: its key is generated on this computer, the cluster signs it for a year, and hostler renews it
/// when less than 90 days are left. It grants full access to the cluster, so only its owner can read the file. `--revoke` removes a
/// person's access.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[
        ("Add the cluster to the file that kubectl uses", "hostler kubeconfig --merge"),
        ("Reach the API server through a tunnel", "hostler kubeconfig --server 127.0.0.1:6443"),
        ("Give another person access, and revoke it", "hostler kubeconfig --user ada --out ada.kubeconfig; hostler kubeconfig --revoke ada"),
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
    /// Name of the person who gets access [default: your user name on this computer]
    #[arg(long, value_name = "NAME", value_parser = person)]
    user: Option<Person>,
    /// Revoke this person's access
    #[arg(long, value_name = "NAME", value_parser = person, conflicts_with_all = ["out", "merge", "name", "server", "user"])]
    revoke: Option<Person>,
    #[command(flatten)]
    connecting: Connecting,
}

fn person(text: &str) -> Result<Person, String> {
    Person::new(text).ok_or_else(|| "use at most 40 characters from a-z, 0-9, `-` and `.`, with a letter or digit at both ends".to_owned())
}

/// The name becomes a part of the default file's.
fn name(text: &str) -> Result<String, String> {
    let wrong = text.is_empty() || text.starts_with('.') || text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '/');
    if wrong { Err("pass a name that has no spaces or `/` and does not begin with a dot".to_owned()) } else { Ok(text.to_owned()) }
}

fn server(text: &str) -> Result<String, String> {
    let authority = text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/');
    let right = authority.parse::<IpAddr>().is_ok() || host_and_port(authority).is_some_and(|(_, port)| port != Some(0));
    if right { Ok(text.to_owned()) } else { Err("pass an address like localhost:6443 or 192.168.1.11".to_owned()) }
}

/// # Errors
/// No control plane can be asked, or the file can't be written, or has an entry of this name for another cluster.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<()> {
    let loaded = arguments.inventory.load()?;
    let inventory = &loaded.inventory;
    let name = arguments.name.as_deref().unwrap_or(&inventory.cluster.name);
    let own = Person::own();
    let another = arguments.user.as_ref().filter(|user| own.as_ref().ok() != Some(*user));
    let default = match another {
        Some(person) => format!("{name}.{}", person.as_str()),
        None => name.to_owned(),
    };
    let out = arguments.out.clone().map_or_else(|| kubeconfig::default_file(&loaded, &default), Ok)?;
    let writes = arguments.revoke.is_none() && !arguments.merge;
    if writes {
        kubeconfig::destination(&out, name)?;
    }
    let mut links = connect::links(inventory, arguments.connecting.new_host_keys(), reporter)?;
    links.retain(|name, _| inventory.control_planes().any(|(plane, _)| plane == name));
    login::log_in(&links, reporter).await?;
    if let Some(person) = &arguments.revoke {
        fetch::revoke(inventory, &links, person).await?;
        reporter.result(&format!("`{}` no longer has access", person.as_str())).await;
        return Ok(());
    }
    let variable = std::env::var("KUBECONFIG").ok();
    let file = if writes { out.clone() } else { kubeconfig::users_file(variable.as_deref(), &home::home()?) };
    let person = arguments.user.clone().map_or(own, Ok)?;
    let wanted = Wanted { name, person, server: arguments.server.as_deref(), existing: kubeconfig::text_of(&file) };
    let access = fetch::access(inventory, &links, &wanted).await?;
    if writes {
        return fetch::keep(&access, name, &out, reporter).await;
    }
    let merged = kubeconfig::merge_into(&file, &access, &fetch::stamp())?;
    let file = file.display();
    let done = match merged {
        Merged::Created => format!("created {file} with context {name}"),
        Merged::Changed(backup) => format!("merged {name} into {file}; the previous version is saved as {}", backup.display()),
        Merged::Unchanged => format!("{file} already has {name}"),
    };
    reporter.result(&format!("{done}\nkubectl --context {name} get nodes")).await;
    Ok(())
}
