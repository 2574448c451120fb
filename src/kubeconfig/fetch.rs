//! Gets a person's access to the cluster from one of its control planes, and takes it away.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use hostler_core::facts::Certificate;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::{Inventory, MachineName};
use hostler_core::template;
use hostler_core::visible::last_output;
use hostler_core::words;
use serde_json::json;

use super::person::{Identity, Person, Request};
use super::renewal::Due;
use super::{Access, Reach, put};
use crate::event::Event;
use crate::execute::Link;
use crate::execute::ask::{Otherwise, first};
use crate::lab;
use crate::report::Reporter;
use crate::ssh::{Bounds, Exit};
use crate::user_file::Destination;

/// Whose access to which server, and what they have already.
pub struct Wanted<'a> {
    /// For cluster, user and context.
    pub name: &'a str,
    pub person: Person,
    /// The address of the API server, if it is not the inventory's.
    pub server: Option<&'a str>,
    /// A kubeconfig, whose certificate is kept as long as it serves.
    pub existing: String,
}

/// From the first control plane that answers. A certificate is signed where the person has none that serves.
///
/// # Errors
/// No control plane can be read from, or signs.
pub async fn access(inventory: &Inventory, links: &BTreeMap<MachineName, Arc<Link>>, wanted: &Wanted<'_>) -> Result<Access> {
    let (machine, (ca, identity)) = first(inventory, links, NOBODY, async |link| identity(link, wanted).await).await?;
    let reach = wanted.server.map_or_else(|| Reach::through(inventory, &machine), |server| Reach::by(inventory, server));
    Ok(Access::new(wanted.name, &ca, identity, reach))
}

/// Takes the person's access to the cluster away.
///
/// # Errors
/// No control plane answers, or nobody of this name has access.
pub async fn revoke(inventory: &Inventory, links: &BTreeMap<MachineName, Arc<Link>>, person: &Person) -> Result<()> {
    let script = template::render("kubernetes/revoke-user.sh", json!({ "user": person.user() }))?;
    let (_, said) = first(inventory, links, NOBODY, async |link| output(link, &script).await).await?;
    if said.trim() == "revoked" {
        return Ok(());
    }
    let known: Vec<&str> = said.lines().filter(|name| Person::new(name).is_some()).collect();
    let hint = match (words::nearest(person.as_str(), known.iter().copied()), known.is_empty()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, false) => format!("these users have access: {}", known.join(", ")),
        (None, true) => "no user has access through `hostler kubeconfig`, so there is nothing to revoke".to_owned(),
    };
    Err(Failure::new(ExitStatus::Usage, format!("`{}` has no access to this cluster", person.as_str()), hint).into())
}

const NOBODY: Otherwise =
    Otherwise { message: "no control plane answered the request for access", hint: "`hostler status` shows whether there is a cluster" };

/// What a control plane says of a person.
struct Known {
    /// The cluster's CA, PEM in base64.
    ca: String,
    /// Whether they have access.
    is_allowed: bool,
}

/// The cluster's CA, PEM in base64, and the person's identity there.
async fn identity(link: &Link, wanted: &Wanted<'_>) -> Result<(String, Identity), String> {
    let Known { ca, is_allowed } = known(link, &wanted.person).await?;
    let kept = Access::identity_in(&wanted.existing, wanted.name, &ca);
    let now = jiff::Timestamp::now().as_second();
    if let Some(kept) = kept.filter(|kept| is_allowed && kept.serves(&wanted.person, now)) {
        return Ok((ca, kept));
    }
    let identity = signed(link, &wanted.person, true).await?;
    Ok((ca, identity))
}

/// Another identity for someone whose certificate is due. `None`: it is of another cluster, or they have no access any more.
///
/// # Errors
/// As [`access`].
pub async fn renewed(inventory: &Inventory, links: &BTreeMap<MachineName, Arc<Link>>, due: &Due) -> Result<Option<Identity>> {
    let (_, identity) = first(inventory, links, NOBODY, async |link| again(link, due).await).await?;
    Ok(identity)
}

async fn again(link: &Link, due: &Due) -> Result<Option<Identity>, String> {
    let Known { ca, is_allowed } = known(link, &due.person).await?;
    if ca != due.ca || !is_allowed {
        return Ok(None);
    }
    signed(link, &due.person, false).await.map(Some)
}

async fn known(link: &Link, person: &Person) -> Result<Known, String> {
    let script = template::render("kubernetes/user.sh", json!({ "user": person.user() })).map_err(bug)?;
    let said = output(link, &script).await?;
    let ca = said.lines().find_map(|line| line.strip_prefix("ca ")).unwrap_or_default().to_owned();
    if Certificate::from_base64_pem(&ca).is_none() {
        return Err("the cluster's CA certificate is not valid".to_owned());
    }
    let is_allowed = said.lines().any(|line| line.ends_with(&format!("/{}", person.user())));
    Ok(Known { ca, is_allowed })
}

/// A new key, with the certificate that the cluster signs for it. `grants`: whether the person gets access by it, or only keeps what they have.
async fn signed(link: &Link, person: &Person, grants: bool) -> Result<Identity, String> {
    let request = Request::new(person).map_err(bug)?;
    let certificate = output(link, &request.script(grants).map_err(bug)?).await?;
    request.signed(certificate.trim()).map_err(bug)
}

fn bug(error: anyhow::Error) -> String {
    format!("{error:#}")
}

/// Writes it to `file`, see [`put`], and prints how to use it.
///
/// # Errors
/// As [`put`].
pub async fn keep(access: &Access, name: &str, file: &Path, reporter: &Reporter) -> Result<()> {
    let place = super::destination(file, name)?;
    let backup = put(&place, access, &stamp())?;
    if let Some(backup) = backup {
        let line =
            format!("{} was the kubeconfig of another cluster: the previous version was saved as {}", file.display(), backup.display());
        reporter.events().send(Event::Note { line });
    }
    if matches!(place, Destination::New(_) | Destination::File(_)) {
        // The lab's network is its own: only what runs in it reaches its API server.
        let line = match file == lab::kubeconfig() {
            true => "hostler lab exec -- kubectl get nodes".to_owned(),
            false => format!("kubectl --kubeconfig {} get nodes", words::shell_word(&file.to_string_lossy())),
        };
        reporter.result(&line).await;
    }
    Ok(())
}

/// The present time, for the name of a backup.
pub fn stamp() -> String {
    jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// What the script prints.
async fn output(link: &Link, script: &str) -> Result<String, String> {
    let session = link.session().await.map_err(|error| error.to_string())?;
    let (mut text, mut said) = (String::new(), String::new());
    match session.read(Bounds::FILE, script, &mut text, &mut said).await {
        Ok(Exit::Status(0)) => Ok(text),
        Ok(_) => Err(last_output(&said)),
        Err(error) => Err(error.to_string()),
    }
}
