//! `hostler render`: all files and scripts that would reach the machines, without a machine.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use hostler_core::action::{Left, RunOn};
use hostler_core::arch::Arch;
use hostler_core::facts::{Facts, Observation, ShareFact, ShareState};
use hostler_core::failure::ExitStatus;
use hostler_core::inventory::{Inventory, KubeadmFragments, MachineName};
use hostler_core::manifest::Manifest;
use hostler_core::plan::{Goal, Plan, Step, Warning, plan_for};
use hostler_core::protocol::placeholder;
use hostler_core::step::{Input, Output};
use hostler_core::visible::visible;

use crate::apply::{fragments, question, status_of};
use crate::artifact::{Bundle, Bundles, Missing, Request, locate, manifest_of, outline};
use crate::atomic::folder_of;
use crate::cli::arguments::InventoryArgument;
use crate::cli::help;
use crate::event::Event;
use crate::pins::pins_of;
use crate::report::Reporter;
use crate::user_file;

/// Write all files and scripts that `up` would send, without reaching a machine
///
/// Files are written as FOLDER/MACHINE/etc/..., objects of the cluster as FOLDER/cluster/NAME.yaml, and the scripts, in the order of the
/// plan for blank machines, as FOLDER/steps/NNN-MACHINE-STEP.sh. Secrets are replaced by placeholders. For what `up` would
/// refuse, nothing is written; the reason is printed. The bundle's programs check the settings in `kubeadm:`; without --bundle, those of
/// the bundle in the cache do.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[
        ("List the files", "hostler render"),
        ("Compare two versions of an inventory", "hostler render -i new.yaml --out new && diff -r old new"),
    ],
    help::CAREFUL,
))]
pub struct Arguments {
    #[command(flatten)]
    inventory: InventoryArgument,
    /// Folder created by `hostler bundle create`; without it, the checksums of binaries are omitted
    #[arg(long, value_name = "FOLDER")]
    bundle: Option<PathBuf>,
    /// Write the files below this folder, which must be empty or not exist [default: only list them]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// # Errors
/// The inventory or the bundle's manifest can't be read, or the folder can't be written or is not empty.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<ExitStatus> {
    let file = arguments.inventory.load()?;
    let inventory = &file.inventory;
    let folder = arguments.out.as_deref().map(|out| user_file::new_folder(out, |_| false)).transpose()?;
    let manifest = match &arguments.bundle {
        Some(folder) => manifest_of(folder)?,
        None => outline(pins_of(inventory.cluster.version.as_deref())?, Arch::Amd64),
    };
    let (plan, seen) = planned(inventory, &manifest)?;
    if inventory.kubeadm != KubeadmFragments::default() {
        let bundles = match &arguments.bundle {
            // A manifest alone is enough for the files.
            Some(folder) => Bundle::open(folder).ok().map(Bundles::from),
            None => {
                let request = Request { version: inventory.cluster.version.clone(), missing: Missing::Leave, ..Request::default() };
                locate(&request, &reporter.events()).await.ok()
            }
        };
        fragments::check(&plan, &file, bundles.as_ref(), &reporter.events())?;
    }
    for Warning { machine, text } in &plan.warnings {
        let line = machine.as_ref().map_or_else(|| text.clone(), |machine| format!("{machine}: {text}"));
        reporter.events().send(Event::Warning { line });
    }
    for refusal in &plan.refusals {
        let subject = refusal.machine.as_ref().map_or("cluster", |machine| machine.as_str());
        let line = format!("refused: {subject}: {}\n  hint: {}", refusal.why, refusal.hint);
        reporter.events().send(Event::Note { line });
    }
    let rendered = files(&plan)?;
    let (Some(folder), Some(out)) = (folder, &arguments.out) else {
        let names: Vec<&str> = rendered.keys().map(String::as_str).collect();
        reporter.result(&names.join("\n")).await;
        return Ok(status_of(&plan, &seen));
    };
    write(&folder, &rendered)?;
    reporter.result(&format!("wrote {} files to {}", rendered.len(), visible(&out.to_string_lossy()))).await;
    Ok(status_of(&plan, &seen))
}

/// The files by path: `MACHINE/etc/...` is a file of that machine, `cluster/NAME.yaml` is applied to the cluster, and
/// `steps/NNN-MACHINE-STEP.sh` are the scripts in the plan's order, for blank machines.
///
/// # Errors
/// Only a bug: a template that can't be rendered.
pub fn rendered(inventory: &Inventory, manifest: &Manifest) -> Result<BTreeMap<String, String>> {
    files(&planned(inventory, manifest)?.0)
}

/// The plan for blank machines, whose shares are mounted, and what was seen of them.
fn planned(inventory: &Inventory, manifest: &Manifest) -> Result<(Plan, BTreeMap<MachineName, Observation>)> {
    let mounted = ShareFact { state: ShareState::Writable, free: u64::MAX, ..ShareFact::default() };
    let shares: BTreeMap<String, ShareFact> =
        question(&Goal::Up, inventory)?.shares.into_iter().map(|share| (share, mounted.clone())).collect();
    let facts = Facts { shares, ..blank(manifest) };
    let seen = inventory.machines.keys().map(|name| (name.clone(), Observation::Facts(Box::new(facts.clone())))).collect();
    Ok((plan_for(&Goal::Up, inventory, &manifest.clone().into(), &seen)?, seen))
}

fn files(plan: &Plan) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for (number, step) in plan.steps.iter().enumerate() {
        let what = step.id.to_string().replace('/', "-");
        files.insert(
            format!("steps/{:03}-{what}.sh", number + 1),
            step.action.script(RunOn { run: "RUN", begun: false }, &step.id, &placeholder)?.text,
        );
        for (place, content) in landing(step)? {
            files.insert(place, content);
        }
    }
    Ok(files)
}

/// A machine on which everything is still to do.
fn blank(manifest: &Manifest) -> Facts {
    Facts {
        os: "debian".to_owned(),
        arch: Some(manifest.arch),
        systemd: true,
        nameservers: vec!["192.0.2.1".to_owned()],
        own_nameservers: Some(vec!["192.0.2.1".to_owned()]),
        swap: vec!["/dev/sda2".to_owned()],
        ..Facts::default()
    }
}

/// Placeholders for values that exist only during a run. No script holds any of them: they are all in payloads.
fn placeholder(input: &Input) -> Option<String> {
    Some(match input.output {
        // A join's script contains the size and checksum of its configuration, which come from this certificate and from no token.
        Output::Ca => BASE64_STANDARD.encode(include_bytes!("render/ca.pem")),
        Output::Pki => String::new(),
        Output::Token => placeholder::TOKEN.to_owned(),
    })
}

/// What a step leaves behind: paths below the folder, and contents.
fn landing(step: &Step) -> Result<Vec<(String, String)>> {
    let place = |left| match left {
        Left::File { path, content } => (format!("{}{path}", step.machine), content),
        Left::Objects { name, content } => (format!("cluster/{name}.yaml"), content),
    };
    Ok(step.action.leaves()?.into_iter().map(place).collect())
}

/// Writes all files, or none: `folder` is empty or does not exist.
fn write(folder: &Path, rendered: &BTreeMap<String, String>) -> Result<()> {
    let context = || format!("{} can't be written", folder.display());
    let beside = folder_of(folder);
    fs::create_dir_all(beside).with_context(context)?;
    let mode = Permissions::from_mode(0o777);
    let new = tempfile::Builder::new().prefix(".new-").permissions(mode).tempdir_in(beside).with_context(context)?;
    for (place, content) in rendered {
        let path = new.path().join(place);
        path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, content)).with_context(context)?;
    }
    fs::rename(new.path(), folder).with_context(context)?;
    // It has another name now.
    let _ = new.keep();
    Ok(())
}

#[cfg(test)]
mod tests;
