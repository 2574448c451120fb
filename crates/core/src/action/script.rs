//! From an action to the script that runs on its machine: a template of `templates/`, filled in, and the payload it reads.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::digest::sha256;
use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Action, Document, File, Input, Program};
use crate::facts::ca_public_key_sha256;
use crate::inventory::Role;
use crate::plan::documents;
use crate::plan::wanted::peer;
use crate::protocol::placeholder;
use crate::step::StepId;
use crate::template;

/// What stands in a kubeadm document where the run's token goes.
pub const TOKEN_PLACE: &str = placeholder::TOKEN;
/// What stands in a JoinConfiguration where the hash of the CA's public key goes.
pub const CA_HASH_PLACE: &str = placeholder::CA_HASH;

/// The least time that a script gets, in minutes. An emulated machine needed more than two to start a time service that was just installed.
const LEAST: u64 = 5;

/// A whole script and what it reads after itself.
#[derive(Debug)]
pub struct Script {
    pub text: String,
    pub payload: Vec<Part>,
    /// How long it may take, waits included.
    pub limit: Duration,
}

/// A piece of a payload, in the order in which the script reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// May be secret: never logged.
    Bytes(Vec<u8>),
    /// A file of the bundle, by sha256.
    Stored { sha256: String, size: u64 },
    /// A file of this computer.
    Local { path: PathBuf, size: u64 },
    /// An OCI archive with just these images of the bundle, by reference.
    Images(Vec<String>),
}

/// How a template sees a file of the payload.
#[derive(Serialize)]
struct Incoming<'a> {
    path: &'a str,
    mode: &'a str,
    size: usize,
    sha256: String,
}

impl Action {
    /// Fills in the action's template. `run` names this run, which has `begun` on the machine if a script of it ran there before; `resolve`
    /// knows the outputs of finished steps.
    ///
    /// # Errors
    /// An output that is not there, or a template that does not fit its action: both are defects, shown rather than hidden.
    pub fn script(&self, run: &str, begun: bool, step: &StepId, resolve: &dyn Fn(&Input) -> Option<String>) -> Result<Script> {
        let resolved = |input: &Input| match input {
            Input::Literal(value) => Ok(value.clone()),
            output => resolve(output).with_context(|| format!("step {step} needs {output:?}, which no step has given")),
        };
        let mut payload = Vec::new();
        let (body, minutes) = match self {
            Action::InstallPackages { packages } => (vec![part("machine/packages.sh", json!({ "packages": packages }))?], 15),
            Action::SwapOff { .. } => (vec![part("machine/swap.sh", json!({}))?], 2),
            Action::LoadModules { modules, file } => {
                let file = incoming(file, &mut payload);
                (vec![part("machine/modules.sh", json!({ "modules": modules, "file": file }))?], 1)
            }
            Action::SetSysctls { file } => (vec![part("machine/sysctls.sh", json!({ "file": incoming(file, &mut payload) }))?], 1),
            Action::SetHostname { name } => (vec![part("machine/hostname.sh", json!({ "name": name }))?], 1),
            Action::WriteHosts { lines } => {
                let block = whole("", lines.iter().map(|line| format!("{line}\n")).collect::<String>(), &mut payload);
                (vec![part("machine/hosts.sh", json!({ "block": block }))?], 1)
            }
            Action::SynchronizeClock => (vec![part("machine/clock.sh", json!({}))?], 2),
            Action::InstallPrograms { set, programs, missing } => {
                let sent = distinct(missing);
                payload.extend(sent.iter().map(|program| Part::Stored { sha256: program.sha256.clone(), size: program.size }));
                (vec![part("machine/programs.sh", json!({ "set": set, "programs": programs, "payload": sent }))?], 30)
            }
            Action::ConfigureUnit { unit, files, stale, restart } => {
                let files: Vec<_> = files.iter().map(|file| incoming(file, &mut payload)).collect();
                let context = json!({ "unit": unit, "files": files, "stale": stale, "restart": restart });
                (vec![part("machine/unit.sh", context)?], 3)
            }
            Action::ImportImages { images } => {
                payload.push(Part::Images(images.iter().map(|image| image.reference.clone()).collect()));
                (vec![part("machine/images.sh", json!({ "images": images }))?], 30)
            }
            Action::Init { config, again, record } => {
                let context = json!({
                    "config": whole("", config.clone(), &mut payload), "coredns": whole("", documents::coredns()?, &mut payload),
                    "again": again, "record": pairs(of_machine(record)), "cluster_record": pairs(record.iter()),
                });
                (vec![part("kubernetes/init.sh", context)?], 10)
            }
            Action::Restore { snapshot, node, address, config, record } => {
                payload.push(Part::Local { path: snapshot.archive.clone(), size: snapshot.size });
                let context = json!({
                    "snapshot": snapshot, "node": node, "peer": peer(address), "config": whole("", config.clone(), &mut payload),
                    "coredns": whole("", documents::coredns()?, &mut payload), "record": pairs(of_machine(record)),
                    "cluster_record": pairs(record.iter()),
                });
                (vec![part("kubernetes/restore.sh", context)?], 15)
            }
            Action::CreateToken => (local_admin("kubernetes/token.sh")?, 2),
            Action::DeleteToken { token } => {
                payload.push(Part::Bytes(format!("{}\n", resolved(token)?).into_bytes()));
                (local_admin("kubernetes/delete-token.sh")?, 2)
            }
            Action::CollectPki => (vec![part("kubernetes/pki.sh", json!({}))?], 1),
            Action::Join { config, again, token, ca, pki, record } => {
                let ca = BASE64_STANDARD.decode(resolved(ca)?).context("the cluster's CA arrived garbled")?;
                let hash = ca_public_key_sha256(&ca).context("the cluster's CA is no certificate")?;
                let config = config.replace(TOKEN_PLACE, &resolved(token)?).replace(CA_HASH_PLACE, &format!("sha256:{hash}"));
                let config = whole("", config, &mut payload);
                let ca = whole("", ca, &mut payload);
                let pki = match pki {
                    None => Value::Null,
                    Some(pki) => {
                        let archive = BASE64_STANDARD.decode(resolved(pki)?).context("the cluster's keys arrived garbled")?;
                        let size = archive.len();
                        payload.push(Part::Bytes(archive));
                        json!({ "size": size })
                    }
                };
                let context = json!({ "config": config, "ca": ca, "again": again, "pki": pki, "record": pairs(record.iter()) });
                (vec![part("kubernetes/join.sh", context)?], 10)
            }
            Action::Apply { name, manifest, sha256 } => {
                let manifest = whole("", manifest.clone(), &mut payload);
                (cluster("kubernetes/apply.sh", json!({ "name": name, "manifest": manifest, "sha256": sha256 }))?, 3)
            }
            Action::InstallWorkload { manifest, record } => {
                let manifest = whole("", manifest.clone(), &mut payload);
                (cluster("kubernetes/workload.sh", json!({ "manifest": manifest, "record": pairs(record.iter()) }))?, 8)
            }
            Action::KeepMediaServerToken { file, size, sha256 } => {
                payload.push(Part::Local { path: file.clone(), size: *size });
                (cluster("kubernetes/media-server-token.sh", json!({ "size": size, "sha256": sha256 }))?, 2)
            }
            Action::RemoveWorkload => (cluster("kubernetes/remove-workload.sh", json!({}))?, 8),
            Action::Label { node, labels, taints, remove_taints, record } => {
                let labels: Vec<String> = labels
                    .iter()
                    .map(|(key, value)| value.as_ref().map_or_else(|| format!("{key}-"), |value| format!("{key}={value}")))
                    .collect();
                let words = |taints: &[crate::inventory::Taint]| taints.iter().map(ToString::to_string).collect::<Vec<_>>();
                let context = json!({
                    "node": node, "labels": labels, "taints": words(taints), "remove_taints": words(remove_taints), "record": record,
                });
                (cluster("kubernetes/label.sh", context)?, 3)
            }
            Action::UploadConfig { document, config, sha256 } => {
                let config = whole("", config.clone(), &mut payload);
                let context = json!({ "document": document, "config": config, "sha256": sha256 });
                (cluster("kubernetes/upload-config.sh", context)?, 3)
            }
            Action::RenewKubelet { sha256 } => (vec![part("kubernetes/renew-kubelet.sh", json!({ "sha256": sha256 }))?], 5),
            Action::RenewControlPlane { node, config, sha256 } => {
                let config = whole("", config.clone(), &mut payload);
                let context = json!({ "node": node, "config": config, "sha256": sha256 });
                (cluster("kubernetes/renew-control-plane.sh", context)?, 15)
            }
            Action::StartUnit { unit } => (vec![part("machine/start.sh", json!({ "unit": unit }))?], 2),
            Action::DropUnit { unit, files } => (vec![part("machine/drop-unit.sh", json!({ "unit": unit, "files": files }))?], 2),
            Action::Uncordon { node } => (cluster("kubernetes/uncordon.sh", json!({ "node": node }))?, 2),
            Action::Drain { node, force_after } => {
                let context = json!({ "node": node, "force_after": force_after });
                (cluster("kubernetes/drain.sh", context)?, 15 + force_after.unwrap_or_default().div_ceil(60))
            }
            Action::RemoveMember { node, address } => {
                (vec![part("kubernetes/remove-member.sh", json!({ "node": node, "peer": peer(address) }))?], 3)
            }
            Action::DeleteNode { node } => (cluster("kubernetes/delete-node.sh", json!({ "node": node }))?, 3),
            Action::Wipe { keep } => (vec![part("machine/wipe.sh", json!({ "keep": keep }))?], 10),
            Action::Probe { nodes, manifest, spread_dns } => {
                let manifest = whole("", manifest.clone(), &mut payload);
                (cluster("kubernetes/probe.sh", json!({ "nodes": nodes, "manifest": manifest, "spread_dns": spread_dns }))?, 14)
            }
            Action::RecordVerified { sha256 } => (cluster("kubernetes/record-verified.sh", json!({ "sha256": sha256 }))?, 2),
        };
        if body.iter().any(|text| text.contains("{%") || text.contains("{{")) {
            bail!("the script of step {step} is not filled in");
        }
        let prelude = part("step/prelude.sh", json!({ "run": run, "step": step, "begun": begun }))?;
        Ok(Script { text: prelude + &body.concat(), payload, limit: Duration::from_secs(60 * minutes.max(LEAST)) })
    }
}

fn part(name: &str, context: Value) -> Result<String> {
    template::render(name, context)
}

/// A script that speaks to the cluster begins with how to reach it.
fn cluster(name: &str, context: Value) -> Result<Vec<String>> {
    Ok(vec![part("kubernetes/cluster.sh", json!({}))?, part(name, context)?])
}

/// A script that has kubeadm speak to this machine's own API server.
fn local_admin(name: &str) -> Result<Vec<String>> {
    Ok(vec![part("kubernetes/local-admin.sh", json!({}))?, part(name, json!({}))?])
}

fn incoming<'a>(file: &'a File, payload: &mut Vec<Part>) -> Incoming<'a> {
    payload.push(Part::Bytes(file.content.clone().into_bytes()));
    Incoming { path: &file.path, mode: &file.mode, size: file.content.len(), sha256: sha256(file.content.as_bytes()) }
}

/// Content that the script puts somewhere itself.
fn whole(path: &'static str, content: impl Into<Vec<u8>>, payload: &mut Vec<Part>) -> Incoming<'static> {
    let content = content.into();
    let (size, sha256) = (content.len(), sha256(&content));
    payload.push(Part::Bytes(content));
    Incoming { path, mode: "600", size, sha256 }
}

/// Of what the cluster remembers from its first moment: what its first control plane has to remember, too.
pub fn of_machine(record: &BTreeMap<String, String>) -> impl Iterator<Item = (&String, &String)> {
    record.iter().filter(|(name, _)| Document::of(Role::ControlPlane).iter().any(|document| document.record() == *name))
}

fn pairs<'a>(record: impl Iterator<Item = (&'a String, &'a String)>) -> Vec<Value> {
    record.map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

/// Programs of the same content travel once.
fn distinct(programs: &[Program]) -> Vec<&Program> {
    let mut seen = std::collections::BTreeSet::new();
    programs.iter().filter(|program| seen.insert(&program.sha256)).collect()
}

impl Document {
    /// The documents that the files of a machine follow from.
    pub fn of(role: Role) -> &'static [Document] {
        match role {
            Role::ControlPlane => &[Document::Cluster, Document::Kubelet],
            Role::Worker => &[Document::Kubelet],
        }
    }

    /// Name of the document's record in the cluster and on machines.
    pub fn record(self) -> &'static str {
        match self {
            Document::Cluster => "cluster",
            Document::Kubelet => "kubelet",
            Document::KubeProxy => "kube-proxy",
        }
    }
}
