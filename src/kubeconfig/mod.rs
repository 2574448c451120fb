//! The kubeconfig for the user's computer: a person's own certificate for the cluster, written to a file of its own or merged into the user's.
//! It holds a private key: nothing here prints any of it, and only the owner can read the files.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use hostler_core::facts::Certificate;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::{Endpoint, Inventory, MachineName};
use serde_yaml::{Mapping, Value};

use crate::inventory_file::InventoryFile;
use crate::lab::{self, like};
use crate::user_file::{self, Destination};
use crate::{atomic, home};

use person::{Identity, Person};
use renewal::Due;

pub mod fetch;
mod lock;
pub mod person;
pub mod renewal;

/// How to reach the API server from the user's computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// `https://HOST:PORT`
    pub server: String,
    /// The name to expect in the server's certificate, if it does not contain the one in `server`.
    pub tls_server_name: Option<String>,
}

impl Reach {
    /// By the endpoint, if the user's computer can resolve it; else by the address of the control plane `through`, which is in that server's
    /// certificate. An endpoint that is only a name is in the machines' /etc/hosts, and nowhere else.
    pub fn through(inventory: &Inventory, through: &MachineName) -> Reach {
        let endpoint = &inventory.cluster.endpoint;
        let port = endpoint.port();
        let at = |address| SocketAddr::new(address, port).to_string();
        let authority = match endpoint {
            Endpoint::Name(name) => inventory.machines.get(through).map_or_else(|| format!("{name}:{port}"), |machine| at(machine.address)),
            Endpoint::Vip { address, .. } => at(*address),
            Endpoint::External { host, .. } => format!("{host}:{port}"),
        };
        Reach { server: format!("https://{authority}"), tls_server_name: None }
    }

    /// By an address that the cluster does not know, e.g. a tunnel: `HOST[:PORT]` or `https://HOST[:PORT]`. The certificate must then
    /// contain the endpoint's name, or `kubernetes` if the endpoint is an IP address.
    pub fn by(inventory: &Inventory, server: &str) -> Reach {
        let authority = server.strip_prefix("https://").unwrap_or(server).trim_end_matches('/');
        let has_port = authority.rsplit_once(':').is_some_and(|(host, port)| port.parse::<u16>().is_ok() && !host.ends_with(':'));
        let server = if has_port && authority.parse::<IpAddr>().is_err() {
            format!("https://{authority}")
        } else if let Ok(address) = authority.parse::<IpAddr>() {
            format!("https://{}", SocketAddr::new(address, 6443))
        } else {
            format!("https://{authority}:6443")
        };
        let name = inventory.cluster.endpoint.host();
        let tls_server_name = if name.parse::<IpAddr>().is_ok() { "kubernetes" } else { name };
        Reach { server, tls_server_name: Some(tls_server_name.to_owned()) }
    }
}

/// The entries of one cluster in a kubeconfig, all with the same name. It holds a private key, so it does not implement `Debug`.
pub struct Access {
    name: String,
    /// PEM in base64.
    ca: String,
    identity: Identity,
    reach: Reach,
}

impl Access {
    /// Cluster, user and context are named `name`. `ca`: the cluster's, PEM in base64.
    pub fn new(name: &str, ca: &str, identity: Identity, reach: Reach) -> Access {
        Access { name: name.to_owned(), ca: ca.to_owned(), identity, reach }
    }

    /// The identity in the kubeconfig `text` for the cluster of this name and CA.
    pub fn identity_in(text: &str, name: &str, ca: &str) -> Option<Identity> {
        let root = parse(text).ok()?;
        let field = |list: &str, kind: &str, field: &str| find(&root, list, name)?.get(kind)?.get(field)?.as_str().map(str::to_owned);
        let same = field("clusters", "cluster", "certificate-authority-data").as_deref() == Some(ca);
        let identity =
            Identity { certificate: field("users", "user", "client-certificate-data")?, key: field("users", "user", "client-key-data")? };
        same.then_some(identity)
    }

    /// The certificate in the kubeconfig `text` for the cluster of this name, if it is a person's and to be renewed at `now`, in seconds since the
    /// epoch.
    pub fn due(text: &str, name: &str, now: i64) -> Option<Due> {
        let root = parse(text).ok()?;
        let field = |list: &str, kind: &str, field: &str| find(&root, list, name)?.get(kind)?.get(field)?.as_str().map(str::to_owned);
        let certificate = Certificate::from_base64_pem(&field("users", "user", "client-certificate-data")?)?;
        let person = Person::of_user(&certificate.common_name)?;
        let ca = field("clusters", "cluster", "certificate-authority-data")?;
        certificate.is_due(now).then_some(Due { person, ca })
    }

    /// A kubeconfig with this cluster only.
    ///
    /// # Errors
    /// Only a bug: nothing conflicts in an empty file.
    pub fn text(&self) -> Result<String> {
        self.merged("")
    }

    /// `existing`, the text of a kubeconfig, with this cluster merged in. Entries of the same cluster are updated; all others, and unknown
    /// fields, stay as they are and in their order. YAML comments are lost, as with kubectl. The current context stays, if there is one.
    ///
    /// # Errors
    /// `existing` is not a kubeconfig, or has an entry of this name that belongs to another cluster.
    pub fn merged(&self, existing: &str) -> Result<String> {
        let mut root = parse(existing)?;
        self.refuse_others(&root)?;
        for (field, value) in [("apiVersion", "v1"), ("kind", "Config")] {
            root.entry(field.into()).or_insert_with(|| value.into());
        }
        let cluster = entry(&mut root, "clusters", "cluster", &self.name)?;
        cluster.insert("certificate-authority-data".into(), self.ca.as_str().into());
        cluster.insert("server".into(), self.reach.server.as_str().into());
        // kubectl refuses an entry that has a CA and this.
        cluster.remove("insecure-skip-tls-verify");
        match &self.reach.tls_server_name {
            Some(name) => drop(cluster.insert("tls-server-name".into(), name.as_str().into())),
            None => drop(cluster.remove("tls-server-name")),
        }
        self.identity.put_into(&mut root, &self.name)?;
        let context = entry(&mut root, "contexts", "context", &self.name)?;
        context.insert("cluster".into(), self.name.as_str().into());
        context.insert("user".into(), self.name.as_str().into());
        if root.get("current-context").and_then(Value::as_str).is_none_or(str::is_empty) {
            root.insert("current-context".into(), self.name.as_str().into());
        }
        Ok(serde_yaml::to_string(&root)?)
    }

    /// Entries with this cluster's name must be this cluster's: its CA, which no other cluster has, decides.
    fn refuse_others(&self, root: &Mapping) -> Result<()> {
        let name = self.name.as_str();
        let ours = |cluster: &str| {
            let ca = find(root, "clusters", cluster).and_then(|entry| entry.get("cluster")?.get("certificate-authority-data")?.as_str());
            ca == Some(&self.ca)
        };
        let refused = |what: &str| {
            let message = format!("the kubeconfig has a {what} `{name}` that belongs to another cluster");
            Err(Failure::new(ExitStatus::Refused, message, "pass another name with `--name`, or rename the existing entry").into())
        };
        if find(root, "clusters", name).is_some() && !ours(name) {
            return refused("cluster");
        }
        let field = |context: &Value, field: &str| context.get("context")?.get(field)?.as_str().map(str::to_owned);
        if let Some(context) = find(root, "contexts", name)
            && !field(context, "cluster").is_some_and(|cluster| ours(&cluster))
        {
            return refused("context");
        }
        if find(root, "users", name).is_some() {
            let users: Vec<&Value> =
                list(root, "contexts").iter().filter(|context| field(context, "user").as_deref() == Some(name)).collect();
            if users.is_empty() || !users.iter().all(|context| field(context, "cluster").is_some_and(|cluster| ours(&cluster))) {
                return refused("user");
            }
        }
        Ok(())
    }
}

impl Identity {
    /// The kubeconfig `text` with this identity for the user `name`, and all else as it was.
    ///
    /// # Errors
    /// It is not a kubeconfig.
    pub fn replaced_in(&self, text: &str, name: &str) -> Result<String> {
        let mut root = parse(text)?;
        self.put_into(&mut root, name)?;
        Ok(serde_yaml::to_string(&root)?)
    }

    fn put_into(&self, root: &mut Mapping, name: &str) -> Result<()> {
        let user = entry(root, "users", "user", name)?;
        user.insert("client-certificate-data".into(), self.certificate.as_str().into());
        user.insert("client-key-data".into(), self.key.as_str().into());
        Ok(())
    }
}

fn parse(text: &str) -> Result<Mapping> {
    let hint = "correct the file, move it out of the way, or set KUBECONFIG to another file";
    let wrong = |what: String| Failure::new(ExitStatus::Failed, what, hint);
    let root = match serde_yaml::from_str(text) {
        Ok(Value::Null) => Mapping::new(),
        Ok(Value::Mapping(root)) => root,
        Ok(_) => return Err(wrong("the kubeconfig is not a YAML mapping".to_owned()).into()),
        Err(error) => {
            let place = error.location().map(|at| format!(" (line {}, column {})", at.line(), at.column())).unwrap_or_default();
            return Err(wrong(format!("the kubeconfig is not valid YAML{place}")).into());
        }
    };
    match root.get("kind") {
        None => Ok(root),
        Some(kind) if kind == "Config" => Ok(root),
        Some(_) => Err(wrong("the kubeconfig is not of kind Config".to_owned()).into()),
    }
}

fn list<'a>(root: &'a Mapping, field: &str) -> &'a [Value] {
    root.get(field).and_then(Value::as_sequence).map_or(&[], Vec::as_slice)
}

fn named(entry: &Value, name: &str) -> bool {
    entry.get("name").and_then(Value::as_str) == Some(name)
}

fn find<'a>(root: &'a Mapping, field: &str, name: &str) -> Option<&'a Value> {
    list(root, field).iter().find(|entry| named(entry, name))
}

/// The mapping under `kind` in the entry `name` of the list `field`; created if missing.
fn entry<'a>(root: &'a mut Mapping, field: &str, kind: &str, name: &str) -> Result<&'a mut Mapping> {
    let entries = root.entry(field.into()).or_insert(Value::Null);
    if entries.is_null() {
        *entries = Value::Sequence(Vec::new());
    }
    let entries = entries.as_sequence_mut().with_context(|| format!("`{field}` in the kubeconfig is not a list"))?;
    let index = entries.iter().position(|entry| named(entry, name)).unwrap_or_else(|| {
        entries.push(Value::Mapping(Mapping::from_iter([("name".into(), name.into())])));
        entries.len() - 1
    });
    let inner = entries[index].as_mapping_mut().and_then(|entry| {
        let inner = entry.entry(kind.into()).or_insert(Value::Null);
        if inner.is_null() {
            *inner = Value::Mapping(Mapping::new());
        }
        inner.as_mapping_mut()
    });
    inner.with_context(|| format!("`{name}` in `{field}` of the kubeconfig is not a {kind}"))
}

/// The file kubectl reads and writes: of `kubeconfig` (the variable KUBECONFIG's value) the first that exists, else the last; without any,
/// ~/.kube/config.
pub fn users_file(kubeconfig: Option<&str>, home: &Path) -> PathBuf {
    let listed = || kubeconfig.into_iter().flat_map(std::env::split_paths).filter(|path| !path.as_os_str().is_empty());
    listed().find(|path| path.exists()).or_else(|| listed().last()).unwrap_or_else(|| home.join(".kube/config"))
}

/// Where the kubeconfig of an inventory's cluster is kept by default, as that of `name`: of a lab that is like another cluster in the lab's
/// folder, as the other's has the same name.
///
/// # Errors
/// This user has no home folder.
pub fn default_file(file: &InventoryFile, name: &str) -> Result<PathBuf> {
    if let Some(folder) = like::folder_of(file) {
        return Ok(if name == file.inventory.cluster.name {
            folder.join(lab::KUBECONFIG)
        } else {
            folder.join(format!("{name}.kubeconfig"))
        });
    }
    Ok(home::config()?.join(format!("{name}.kubeconfig")))
}

/// The kubeconfigs in `folder` that were written for clusters, by name.
pub fn written(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|file| file.extension().is_some_and(|end| end == "kubeconfig")).collect();
    files.sort();
    files
}

/// What [`merge_into`] did to the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// There was no file.
    Created,
    /// The previous version is in this backup next to it.
    Changed(PathBuf),
    /// It was up to date.
    Unchanged,
}

/// The largest kubeconfig that is read; one cluster has 6 kB.
pub const MOST_BYTES: usize = 4 << 20;

/// The text of the kubeconfig at `path`; empty if there is none that can be read.
pub fn text_of(path: &Path) -> String {
    existing(path).unwrap_or_default()
}

/// A kubeconfig that is there already.
fn existing(path: &Path) -> Result<String> {
    let bytes = user_file::read(path, MOST_BYTES).with_context(|| format!("{} can't be read", path.display()))?;
    if bytes.len() > MOST_BYTES {
        bail!("{} is too large for a kubeconfig: more than {MOST_BYTES} bytes", path.display());
    }
    String::from_utf8(bytes).ok().with_context(|| format!("{} is not UTF-8", path.display()))
}

/// Where a kubeconfig with only the cluster `name` may be written: `file`, unless it is there and holds anything else.
///
/// # Errors
/// A [`Failure`] with [`ExitStatus::Usage`]: as [`Destination::of`], or another file is there.
pub fn destination(file: &Path, name: &str) -> Result<Destination> {
    let place = Destination::of(file)?;
    place
        .may_hold_a_secret()
        .map_err(|error| Failure::new(ExitStatus::Usage, format!("{} can't be written: {error}", file.display()), "pass another path"))?;
    if let Destination::File(there) = &place {
        let root = existing(there).ok().and_then(|text| parse(&text).ok());
        let only =
            |root: &Mapping| ["clusters", "users", "contexts"].iter().all(|field| list(root, field).iter().all(|entry| named(entry, name)));
        if !root.is_some_and(|root| only(&root)) {
            let message = format!("{} already exists, and is not a kubeconfig that contains only {name}", file.display());
            let hint = "pass another path, or run `hostler kubeconfig --merge` to merge into the file that kubectl uses";
            return Err(Failure::new(ExitStatus::Usage, message, hint).into());
        }
    }
    Ok(place)
}

/// Writes a kubeconfig with only this cluster to a [`destination`]. If one of another cluster is there, it is kept beside it. `stamp`: a date
/// for the name of that backup, which is returned.
///
/// # Errors
/// A file can't be read or written.
pub fn put(place: &Destination, access: &Access, stamp: &str) -> Result<Option<PathBuf>> {
    let context = || match place {
        Destination::Stdout => "can't write to standard output".to_owned(),
        Destination::Stream(path) | Destination::New(path) | Destination::File(path) => format!("{} can't be written", path.display()),
    };
    let mut backup = None;
    if let Destination::File(file) = place {
        let old = existing(file)?;
        if access.merged(&old).is_err() {
            backup = Some(keep_beside(file, &old, stamp)?);
        }
    }
    place.write(access.text()?.as_bytes(), 0o600).with_context(context)?;
    Ok(backup)
}

/// Keeps `text`, the content of `file`, as `FILE.hostler-STAMP`.
fn keep_beside(file: &Path, text: &str, stamp: &str) -> Result<PathBuf> {
    let mut backup = file.as_os_str().to_owned();
    backup.push(format!(".hostler-{stamp}"));
    let backup = PathBuf::from(backup);
    atomic::create(&backup, text.as_bytes(), 0o600).with_context(|| format!("{} can't be written", backup.display()))?;
    Ok(backup)
}

/// Merges `access` into the kubeconfig at `path`. `stamp`: a date for the name of its backup.
///
/// # Errors
/// As [`Access::merged`], as [`lock::Lock::take`], and files that can't be read or written.
pub fn merge_into(path: &Path, access: &Access, stamp: &str) -> Result<Merged> {
    let place = Destination::of(path)?;
    // The folder of a new file may have to be made first, and nobody else changes a file that is not there.
    let _lock = if matches!(place, Destination::File(_)) { Some(lock::Lock::take(path)?) } else { None };
    let existing = match &place {
        Destination::File(file) => Some(existing(file)?),
        Destination::New(_) => None,
        Destination::Stdout | Destination::Stream(_) => bail!("{} is not a regular file", path.display()),
    };
    let text = access.merged(existing.as_deref().unwrap_or_default()).with_context(|| format!("{} was not changed", path.display()))?;
    let write = || place.write(text.as_bytes(), 0o600).with_context(|| format!("{} can't be written", path.display()));
    let (Some(existing), Destination::File(file)) = (existing, &place) else {
        write()?;
        return Ok(Merged::Created);
    };
    // Differences in comments and layout alone are no reason to rewrite a file.
    if serde_yaml::from_str::<Value>(&existing).ok() == serde_yaml::from_str::<Value>(&text).ok() {
        return Ok(Merged::Unchanged);
    }
    let backup = keep_beside(file, &existing, stamp)?;
    write()?;
    Ok(Merged::Changed(backup))
}

#[cfg(test)]
mod tests;
