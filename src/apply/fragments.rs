//! Checks the inventory's `kubeadm:` fragments with kubeadm itself, before anything is changed. When kubeadm runs, it ignores unknown keys
//! with a warning in its output: a misspelled key would have no effect.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::{KubeadmFragments, key_place};
use hostler_core::plan::{Plan, documents};
use hostler_core::protocol::placeholder;
use hostler_core::step::StepKind;

use super::accepted::Question;
use super::settings;
use crate::artifact::{Bundle, Bundles};
use crate::event::{Event, Events};
use crate::inventory_file::InventoryFile;

/// Validates the documents of `plan` with the bundle's kubeadm, one of each kind. Documents without fragments are checked by hostler's tests.
/// If the program can't run on this computer, e.g. because it is for another architecture, a warning says so. What was accepted once is not
/// asked about again.
///
/// # Errors
/// A [`Failure`] with [`ExitStatus::Usage`] and, if known, the position in the inventory; or the bundle's kubeadm was changed.
pub fn check(plan: &Plan, file: &InventoryFile, bundles: Option<&Bundles>, events: &Events) -> Result<()> {
    if file.inventory.kubeadm == KubeadmFragments::default() {
        return Ok(());
    }
    let mut configs: BTreeMap<StepKind, String> =
        plan.steps.iter().filter_map(|step| Some((step.id.kind, step.action.kubeadm_config()?.to_owned()))).collect();
    if configs.is_empty() {
        return Ok(());
    }
    let Some(bundle) = bundles.and_then(Bundles::own) else {
        let line = "`kubeadm:` in the inventory was not checked: there is no bundle for this computer's architecture".to_owned();
        events.send(Event::Warning { line });
        return Ok(());
    };
    // An upgrade reads them from the cluster, and its version has to know them.
    let upgraded = plan.steps.iter().find(|step| step.id.kind == StepKind::UpgradeControlPlane).map(|step| &step.machine);
    if let Some((name, machine)) = upgraded.and_then(|name| file.inventory.machines.get_key_value(name.as_str())) {
        let documents =
            documents::control_plane(&file.inventory, documents::ApiServers::of_new(&bundle.manifest.kubernetes), name, machine)?;
        configs.insert(StepKind::UpgradeControlPlane, documents);
    }
    let inventory = &file.inventory;
    let shown = [
        serde_json::to_string(&bundle.manifest)?,
        documents::kubelet(inventory)?,
        documents::kube_proxy(inventory)?,
        format!("{:?}", inventory.kubeadm),
    ];
    let question = Question::new(shown.iter().chain(configs.values()).map(String::as_str));
    if question.is_accepted() {
        return Ok(());
    }
    // Side by side: each runs programs of 150 MB.
    let (accepted, objection) = std::thread::scope(|scope| {
        let asked = scope.spawn(|| settings::objection(bundle, inventory));
        let accepted = documents_accepted(bundle, configs.values(), file, events);
        (accepted, asked.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    if !accepted? {
        return Ok(());
    }
    match objection {
        Ok(None) => {
            question.remember();
            Ok(())
        }
        Ok(Some(settings::Objection { place, program, said })) => {
            let path: Vec<&str> = ["kubeadm"].into_iter().chain(place.iter().map(String::as_str)).collect();
            let at = key_place(&file.text, &path).map_or_else(String::new, |place| format!(":{}:{}", place.line, place.column));
            let message = format!("{}{at}: {program} {} rejects this: {said}", file.path.display(), bundle.manifest.kubernetes);
            let hint = format!("{program} would not start: correct the setting, or remove it");
            Err(Failure::new(ExitStatus::Usage, message, hint).into())
        }
        Err(error) => {
            let line = format!("settings in `kubeadm:` were not checked: the programs do not run on this computer ({error:#})");
            events.send(Event::Warning { line });
            Ok(())
        }
    }
}

/// Whether kubeadm was asked about the documents: it may not run on this computer, which a warning says.
///
/// # Errors
/// A [`Failure`] with [`ExitStatus::Usage`]: it rejects one. The bundle's kubeadm was changed.
fn documents_accepted<'a>(
    bundle: &Bundle,
    configs: impl Iterator<Item = &'a String>,
    file: &InventoryFile,
    events: &Events,
) -> Result<bool> {
    let Some(kubeadm) = bundle.program("kubeadm")? else { return Ok(false) };
    for config in configs {
        let said = match objections(&kubeadm, config) {
            Ok(said) => said,
            Err(error) => {
                let line =
                    format!("`kubeadm:` in the inventory was not checked: the bundle's kubeadm does not run on this computer ({error})");
                events.send(Event::Warning { line });
                return Ok(false);
            }
        };
        if !said.is_empty() {
            let (place, what) = in_short(&said, file);
            let message = format!("{place}: kubeadm {} rejects this: {what}", bundle.manifest.kubernetes);
            return Err(Failure::new(ExitStatus::Usage, message, "`hostler render --out FOLDER` shows the whole document").into());
        }
    }
    Ok(true)
}

/// What `kubeadm config validate` reports about documents with placeholders for token and hash; empty if they are valid.
///
/// # Errors
/// The program can't be run.
pub fn objections(kubeadm: &Path, config: &str) -> std::io::Result<String> {
    let config =
        config.replace(placeholder::TOKEN, "abcdef.0123456789abcdef").replace(placeholder::CA_HASH, &format!("sha256:{}", "0".repeat(64)));
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(config.as_bytes())?;
    let mut command = Command::new(kubeadm);
    // One binary may be kubeadm, kubelet and kubectl: it acts according to argv[0].
    command.arg0("kubeadm").args(["config", "validate", "--config"]).arg(file.path()).stdin(Stdio::null());
    let output = command.output()?;
    Ok(if output.status.success() { String::new() } else { String::from_utf8_lossy(&output.stderr).into_owned() })
}

/// The position of the key that kubeadm's error is about, `inventory.yaml:12:5` or only the file, and the error without its Go internals.
fn in_short(output: &str, file: &InventoryFile) -> (String, String) {
    let error = output.lines().find_map(|line| line.strip_prefix("error: ")).unwrap_or(output.trim());
    let about = error.split_once("Kind:\"").and_then(|(_, rest)| rest.split_once("\"}: "));
    let what = about.map_or(error, |(_, what)| what).trim_start_matches("strict decoding error: ");
    let field = what.split_once("unknown field \"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(field, _)| field);
    let kind = about.map_or("", |(kind, _)| kind);
    let path: Vec<&str> = ["kubeadm", kind].into_iter().chain(field.split('.')).filter(|key| !key.is_empty()).collect();
    let place = key_place(&file.text, &path).map_or_else(String::new, |place| format!(":{}:{}", place.line, place.column));
    let what = if kind.is_empty() { what.to_owned() } else { format!("{kind}: {what}") };
    (format!("{}{place}", file.path.display()), what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_field_is_reported_with_its_position() {
        let text = "kubeadm:\n  ClusterConfiguration:\n    apiServer:\n      extraArgz: []\nmachines:\n  one: 10.0.0.1\n".to_owned();
        let inventory = hostler_core::inventory::parse(&text, "inventory.yaml").unwrap();
        let file = InventoryFile { path: "inventory.yaml".into(), on_disk: text.clone(), text, inventory };
        let said = |field: &str, kind: &str| {
            format!(
                "W1127 16:22:10.8 configset.go:176] of another\nerror: error unmarshaling configuration schema.GroupVersionKind{{Group:\"g\", \
                 Version:\"v\", Kind:\"{kind}\"}}: strict decoding error: unknown field \"{field}\"\nTo see the stack trace of this error"
            )
        };
        let at = |place: &str| format!("inventory.yaml{place}");
        let unknown = |field: &str, kind: &str| format!("{kind}: unknown field \"{field}\"");
        let cases = [
            (said("apiServer.extraArgz", "ClusterConfiguration"), at(":4:7"), unknown("apiServer.extraArgz", "ClusterConfiguration")),
            // The innermost key that is in the file.
            (said("apiServer.a[0].b", "ClusterConfiguration"), at(":3:5"), unknown("apiServer.a[0].b", "ClusterConfiguration")),
            (said("maxPodz", "KubeletConfiguration"), at(":1:1"), unknown("maxPodz", "KubeletConfiguration")),
            ("error: no such port\n".to_owned(), at(":1:1"), "no such port".to_owned()),
            ("killed".to_owned(), at(":1:1"), "killed".to_owned()),
        ];
        for (said, place, what) in cases {
            assert_eq!(in_short(&said, &file), (place, what));
        }
    }
}
