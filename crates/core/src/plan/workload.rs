//! The transcoding workload: what would fail at night is told now, and what runs of it is made what the inventory says.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use indexmap::IndexMap;
use serde_json::Value;

use super::hint::Hint;
use super::planner::Planner;
use super::refusal::{self, Why};
use super::{add_ons, encoders};
use crate::action::workload::{InstallWorkload, KeepSecrets, MediaServerToken, RemoveWorkload};
use crate::digest::sha256;
use crate::facts::{ShareFact, ShareState};
use crate::films::manifests::Installation;
use crate::films::settings::{Encoding, Settings};
use crate::inventory::{Address, Inventory, MachineName, Role, Transcode};
use crate::manifest::Component;
use crate::protocol::namespaces;
use crate::record::Record;
use crate::share::Share;
use crate::step::{ImageGroup, Need, StepKind};

/// The file with the URL for notifications in pods, mounted from a Secret.
const NOTIFY_IN_POD: &str = "/notify/url";
/// Bytes: less than that for a film and what is made of it is little.
const LITTLE: u64 = 60 << 30;

/// Enough for a film in HD.
const ENCODER_MEMORY: &str = "1Gi";
/// Enough for a film in 4K, whose pictures are many times as large.
const ENCODER_MEMORY_LIMIT: &str = "6Gi";

pub fn plan(planner: &mut Planner) -> Result<()> {
    if planner.cluster_refused {
        return Ok(());
    }
    let begins = planner.inventory.control_planes().map(|(name, _)| name).find(|name| planner.has_step(&StepKind::Init.of(name)));
    let Some(api_via) = planner.api_via.map(|api_via| api_via.machine).or(begins) else { return Ok(()) };
    let record = planner.api_via.map(|api_via| api_via.cluster.record.clone()).unwrap_or_default();
    let Some(wanted) = &planner.inventory.transcode else {
        if record.contains_key(&Record::Workload) {
            let reason = "the inventory no longer has `transcode`";
            planner.step(StepKind::RemoveWorkload.of(api_via), api_via, reason, RemoveWorkload {}, []);
        }
        return Ok(());
    };
    let image = encoder_image(planner, wanted);
    let ending = planner.api_via.is_some_and(|via| add_ons::refuse_ending(planner, &via.cluster.add_ons, namespaces::FILMS));
    if ending || !possible(planner, wanted, &image) {
        return Ok(());
    }
    let installation = installation(planner, wanted);
    let manifest = installation.manifests()?;
    let shares = shares(wanted);
    let sum = sha256(manifest.as_bytes());
    let mut needs: Vec<Need> = Vec::new();
    let moved = record.get(&Record::WorkloadShares).is_some_and(|known| *known != shares);
    if moved {
        // Where a volume is can't be changed.
        let reason = "the inventory names different shares";
        needs.push(Need::Step(planner.step(StepKind::RemoveWorkload.of(api_via), api_via, reason, RemoveWorkload {}, [])));
    }
    // Of a bundle that is not at hand the image's digest is not known, and so no sum.
    let known = !installation.digest.is_empty() || !record.contains_key(&Record::Workload);
    let live = planner.api_via.map(|api_via| &api_via.cluster.add_ons).filter(|add_ons| known && add_ons.has_films);
    let changed = live.map(|add_ons| add_ons::films_lack(add_ons, &manifest)).transpose()?.unwrap_or_default();
    let same = record.get(&Record::Workload) == Some(&sum);
    if moved || known && (!same || changed) {
        let reason = if !record.contains_key(&Record::Workload) {
            "the workload is not installed"
        } else if same && !moved {
            "the workload was changed in the cluster"
        } else {
            "the workload differs from the inventory"
        };
        let quick_sync = !wanted.settings.encoder.is_software();
        let record = BTreeMap::from([(Record::Workload, sum), (Record::WorkloadShares, shares)]);
        // Any machine may have to run its pods.
        let kinds = [
            StepKind::Packages,
            StepKind::Containerd,
            StepKind::KubeletUnit,
            StepKind::Images(ImageGroup::Pods),
            StepKind::Images(ImageGroup::Films),
            StepKind::Join,
            StepKind::Labels,
        ];
        let machines: Vec<&MachineName> = planner.machines().map(|(name, _)| name).collect();
        needs.extend(machines.iter().flat_map(|name| kinds.map(|kind| kind.of(name).if_planned())));
        // The script reads logs.
        needs.extend([StepKind::Init, StepKind::Flannel, StepKind::KubeletCertificates].map(|kind| kind.of(api_via).if_planned()));
        needs = vec![Need::Step(planner.step(
            StepKind::Workload.of(api_via),
            api_via,
            reason,
            InstallWorkload { manifest, record, quick_sync, notifies: installation.settings.notify.is_some() },
            needs,
        ))];
    }
    encoders::plan(planner, api_via, wanted, &installation, &image)?;
    let action = secrets(wanted, planner.inventory.notify_films());
    let stored = record.get(&Record::WorkloadToken);
    if (moved && !action.is_empty()) || stored.map(String::as_str).unwrap_or_default() != action.sha256 {
        let reason = match (action.tokens.is_empty(), &action.notify) {
            (true, None) => "the inventory no longer has a media server's token or a URL for notifications about films".to_owned(),
            (true, Some(_)) => missing("the URL for notifications"),
            (false, None) => missing("a media server's token"),
            (false, Some(_)) => missing("a media server's token or the URL for notifications"),
        };
        planner.step(StepKind::MediaServerToken.of(api_via), api_via, reason, action, needs);
    }
    Ok(())
}

fn missing(what: &str) -> String {
    format!("{what} is missing from the cluster or has changed")
}

/// The tokens of all media servers, and the address to `notify`. Without any, its sum is empty.
fn secrets(wanted: &Transcode, notify: Option<&Address>) -> KeepSecrets {
    let files: Vec<_> = wanted.tokens.iter().filter_map(|token| Some((token.of, token.file.as_ref().ok()?))).collect();
    let tokens = files.iter().map(|(of, file)| format!("{} {}", of.key(), file.sha256));
    let sums: Vec<String> = tokens.chain(notify.map(|address| format!("notify {}", sha256(address.reveal().as_bytes())))).collect();
    let tokens: Vec<_> = files.into_iter().map(|(of, file)| MediaServerToken { of, file: file.path.clone(), size: file.size }).collect();
    let sha256 = if sums.is_empty() { String::new() } else { sha256(sums.join("\n").as_bytes()) };
    KeepSecrets { tokens, notify: notify.cloned(), sha256 }
}

/// Whether nothing is known that would keep films from being encoded; what is known is refused.
fn possible(planner: &mut Planner, wanted: &Transcode, image: &str) -> bool {
    let mut fine = true;
    if wanted.image.is_none() && planner.manifests.image(Component::Encoder).is_none() {
        planner.refuse_part(None, Why::NoEncoder, Hint::MakeEncoder);
        fine = false;
    }
    for (folder, encoder) in encoders::lacking(planner, wanted, image) {
        planner.refuse_part(None, Why::NoMachineEncodes { folder, encoder }, Hint::OtherPreset);
        fine = false;
    }
    for token in &wanted.tokens {
        let Err(why) = &token.file else { continue };
        planner.refuse_part(None, Why::NoToken { file: token.named.clone(), why: why.clone() }, Hint::WriteToken);
        fine = false;
    }
    let machines: Vec<&MachineName> = planner.machines().map(|(name, _)| name).collect();
    for name in machines {
        let Some(facts) = planner.usable(name) else { continue };
        for (what, path) in folders(wanted) {
            let Some(share) = facts.shares.get(path) else { continue };
            if let Some((why, hint)) = unusable(what, path, share, wanted) {
                planner.refuse_part(Some(name), why, hint);
                fine = false;
            } else if share.free.saturating_mul(1024) < LITTLE {
                let free = share.free.saturating_mul(1024) / 1_000_000_000;
                planner.warn(
                    Some(name),
                    format!("only {free} GB is free in the {what} {path}: a film that does not fit waits until there is space"),
                );
            }
        }
    }
    fine
}

fn unusable(what: &'static str, path: &str, found: &ShareFact, wanted: &Transcode) -> Option<(Why, Hint)> {
    let share = refusal::Share { what, path: path.to_owned() };
    match found.state {
        ShareState::Writable => None,
        ShareState::Missing => Some((Why::ShareMissing { share: share.clone() }, Hint::MakeShare(share))),
        ShareState::Hangs => Some((Why::ShareHangs { share }, Hint::MendServer)),
        ShareState::ReadOnly => {
            let (owner, mode) = (found.owner.clone(), found.mode.clone());
            let why = Why::ShareReadOnly { share: share.clone(), films: wanted.owner, owner, mode };
            Some((why, Hint::GiveShare { share, films: wanted.owner }))
        }
    }
}

/// The shares that are folders of the machines, with what they are for.
pub fn folders(wanted: &Transcode) -> impl Iterator<Item = (&'static str, &str)> {
    [("inbox", &wanted.inbox), ("library", &wanted.library)].into_iter().filter_map(|(what, share)| match share {
        Share::Path(path) => Some((what, path.as_str())),
        Share::Nfs { .. } => None,
    })
}

/// Whether a share is mounted from a server.
pub fn on_a_server(wanted: &Transcode) -> bool {
    [&wanted.inbox, &wanted.library].into_iter().any(Share::is_on_a_server)
}

/// Whether a machine is one of those that encode with the bundle's encoder.
pub fn encodes(inventory: &Inventory, name: &MachineName) -> bool {
    inventory.transcode.as_ref().is_some_and(|wanted| wanted.image.is_none() && encoders(inventory, wanted).contains(&name))
}

/// The machines that encode.
pub fn encoders<'a>(inventory: &'a Inventory, wanted: &'a Transcode) -> Vec<&'a MachineName> {
    if !wanted.machines.is_empty() {
        return wanted.machines.iter().collect();
    }
    let works = inventory.machines.iter().filter(|(_, machine)| !(machine.dedicated && machine.role == Role::ControlPlane));
    works.filter(|(_, machine)| machine.encode.is_some()).map(|(name, _)| name).collect()
}

/// When and what each machine encodes; empty: all alike.
fn encodings(inventory: &Inventory, wanted: &Transcode, encoders: &[&MachineName]) -> IndexMap<String, Encoding> {
    let of = |name: &MachineName| inventory.machines.get(name).and_then(|machine| machine.encode.clone()).unwrap_or_default();
    let each: Vec<(String, Encoding)> = encoders.iter().map(|name| (name.to_string(), of(name))).collect();
    if each.iter().all(|(_, encoding)| *encoding == Encoding::default()) {
        return IndexMap::new();
    }
    let timed = |encoding: Encoding| Encoding { hours: encoding.hours.or(wanted.settings.hours), ..encoding };
    each.into_iter().map(|(name, encoding)| (name, timed(encoding))).collect()
}

/// The encoder's image, by its digest where that is known; empty: the bundle is not at hand.
fn encoder_image(planner: &Planner, wanted: &Transcode) -> String {
    let bundles = || planner.manifests.image(Component::Encoder).map(|image| image.digest.clone());
    wanted.image.clone().or_else(bundles).unwrap_or_default()
}

/// Where the shares are, in words.
fn shares(wanted: &Transcode) -> String {
    format!("{} {}", wanted.inbox, wanted.library)
}

/// The time zone of the first control plane. While that can't be reached, what the cluster has of it stays.
fn time_zone(planner: &Planner) -> Option<String> {
    let mut reached = planner.inventory.control_planes().map(|(name, _)| planner.facts.get(name).map(|facts| facts.time_zone.clone()));
    let live = || {
        let watcher = planner.api_via?.cluster.add_ons.get("Deployment", namespaces::FILMS, "watcher")?;
        let variables = watcher.content.pointer("/template/spec/containers/0/env").and_then(Value::as_array);
        let zone = variables.into_iter().flatten().find(|variable| variable.get("name").is_some_and(|name| name == "TZ"));
        Some(zone.and_then(|zone| zone.get("value")?.as_str()).unwrap_or_default().to_owned())
    };
    reached.next().flatten().or_else(live).or_else(|| reached.flatten().next())
}

fn installation(planner: &Planner, wanted: &Transcode) -> Installation {
    let of =
        |component| planner.manifests.image(component).map(|image| (image.reference.clone(), image.digest.clone())).unwrap_or_default();
    let (image, digest) = of(Component::Hostler);
    let encoder_image = wanted.image.clone().unwrap_or_else(|| of(Component::Encoder).0);
    let encoders = encoders(planner.inventory, wanted);
    // A machine that joins later need not be named, if none is left out.
    let named = !wanted.machines.is_empty() || planner.inventory.machines.values().any(|machine| machine.encode.is_none());
    let machines = encodings(planner.inventory, wanted, &encoders);
    let notify = planner.inventory.notify_films().map(|_| PathBuf::from(NOTIFY_IN_POD));
    let others_report_machines = planner.inventory.notify.is_some();
    let at_once = encoders.len() + 1;
    let settings = Settings { at_once, machines, notify, others_report_machines, ..wanted.settings.clone() };
    let zone = time_zone(planner);
    Installation {
        image,
        digest,
        encoder_image,
        inbox: wanted.inbox.clone(),
        library: wanted.library.clone(),
        owner: wanted.owner,
        settings,
        presets: wanted.presets.clone(),
        machines: encoders.into_iter().filter(|_| named).map(ToString::to_string).collect(),
        encoder_memory: ENCODER_MEMORY.to_owned(),
        encoder_memory_limit: ENCODER_MEMORY_LIMIT.to_owned(),
        page_port: wanted.page_port,
        page_actions: wanted.page_actions,
        time_zone: zone.filter(|zone| !zone.is_empty()),
    }
}
