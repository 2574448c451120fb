//! The transcoding workload: what would fail at night is told now, and what runs of it is made what the inventory says.

use std::collections::BTreeMap;

use anyhow::Result;

use super::planner::Planner;
use super::wanted::ImageGroup;
use crate::action::Action;
use crate::digest::sha256;
use crate::facts::{ShareFact, ShareState};
use crate::films::manifests::{Installation, Owner, Place};
use crate::films::settings;
use crate::inventory::{Inventory, MachineName, Role, Share, Transcode};
use crate::manifest::{Component, Manifest};
use crate::step::{Stage, StepId};

/// Names in the record of the cluster: of the objects, of where the shares are, and of the media server's token.
const OBJECTS: &str = "transcode";
const SHARES: &str = crate::protocol::recorded::WORKLOAD_SHARES;
const TOKEN: &str = crate::protocol::recorded::WORKLOAD_TOKEN;

/// Bytes: less than that for a film and what is made of it is little.
const LITTLE: u64 = 60 << 30;

pub fn plan(planner: &mut Planner) -> Result<()> {
    if planner.cluster_refused {
        return Ok(());
    }
    let begins = planner.inventory.control_planes().map(|(name, _)| name).find(|name| planner.has_step(&StepId::new(name, "init")));
    let Some(speaker) = planner.speaker.map(|(name, _)| name).or(begins) else { return Ok(()) };
    let record = planner.speaker.map(|(_, cluster)| cluster.record.clone()).unwrap_or_default();
    let at = |what: &str| (Stage::Workload, StepId::new(speaker, what));
    let Some(wanted) = &planner.inventory.transcode else {
        if record.contains_key(OBJECTS) {
            let reason = "the inventory has no `transcode` any more";
            planner.step(at("workload-gone"), speaker, reason, Action::RemoveWorkload, []);
        }
        return Ok(());
    };
    if !possible(planner, wanted) {
        return Ok(());
    }
    let installation = installation(planner, wanted);
    let manifest = installation.manifests()?;
    let shares = shares(wanted);
    let sum = sha256(manifest.as_bytes());
    let mut needs: Vec<StepId> = Vec::new();
    let moved = record.get(SHARES).is_some_and(|known| *known != shares);
    if moved {
        // Where a volume is can't be changed.
        let reason = "films are somewhere else now";
        needs.push(planner.step(at("workload-gone"), speaker, reason, Action::RemoveWorkload, []));
    }
    if moved || record.get(OBJECTS) != Some(&sum) {
        let reason =
            if record.contains_key(OBJECTS) { "the workload is not what the inventory says" } else { "nothing takes up films yet" };
        let record = BTreeMap::from([(OBJECTS.to_owned(), sum), (SHARES.to_owned(), shares)]);
        // Any machine may have to run its pods.
        let pods = [ImageGroup::Pods, ImageGroup::Films].map(ImageGroup::step);
        let whats = ["join", "labels", "packages", "containerd", "kubelet-unit"];
        let machines: Vec<&MachineName> = planner.machines().map(|(name, _)| name).collect();
        needs.extend(machines.iter().flat_map(|name| pods.into_iter().chain(whats).map(|what| StepId::new(name, what))));
        needs.extend(["init", "flannel"].map(|what| StepId::new(speaker, what)));
        needs = vec![planner.step(at("workload"), speaker, reason, Action::InstallWorkload { manifest, record }, needs)];
    }
    if let Some(token) = wanted.media_server.as_ref().and_then(|server| server.token.as_ref())
        && (moved || record.get(TOKEN) != Some(&token.sha256))
    {
        let action = Action::KeepMediaServerToken { file: token.path.clone(), size: token.size, sha256: token.sha256.clone() };
        planner.step(at("media-server-token"), speaker, "films are told of with its token", action, needs);
    }
    Ok(())
}

/// Whether nothing is known that would keep films from being encoded; what is known is refused.
fn possible(planner: &mut Planner, wanted: &Transcode) -> bool {
    let mut fine = true;
    if wanted.image.is_none() && planner.manifest.image(Component::Encoder).is_none() {
        let way_out = "`hostler bundle encoder` makes it, or says why not; `transcode.image` names an image that machines can fetch";
        planner.refuse_workload(None, "no-encoder", "no film can be encoded: there is no encoder in the bundle", way_out);
        fine = false;
    }
    if let Some(server) = wanted.media_server.as_ref().filter(|server| server.token.is_none()) {
        let reason = format!("the media server can't be told of films: its token is not in {}", server.token_file.display());
        planner.refuse_workload(None, "no-token", reason, "put it there, for your eyes only (mode 600)");
        fine = false;
    }
    let machines: Vec<&MachineName> = planner.machines().map(|(name, _)| name).collect();
    for name in machines {
        let Some(facts) = planner.usable(name) else { continue };
        for (what, path) in folders(wanted) {
            let Some(share) = facts.shares.get(path) else { continue };
            if let Some((reason, way_out)) = unusable(what, path, share, wanted) {
                planner.refuse_workload(Some(name), "share", reason, way_out);
                fine = false;
            } else if share.free * 1024 < LITTLE {
                let free = share.free * 1024 / 1_000_000_000;
                planner.warn(Some(name), format!("the {what} {path} has {free} GB left: films wait while there is no room for them"));
            }
        }
    }
    fine
}

fn unusable(what: &str, path: &str, share: &ShareFact, wanted: &Transcode) -> Option<(String, String)> {
    let (uid, gid) = (wanted.owner.uid, wanted.owner.gid);
    match share.state {
        ShareState::Writable => None,
        ShareState::Missing => {
            Some((format!("there is no folder {path} for the {what}"), format!("mount it there, or make it: `mkdir {path}`")))
        }
        ShareState::Hangs => Some((format!("{path}, the {what}, does not answer"), "is its server on?".to_owned())),
        ShareState::ReadOnly => Some((
            format!("{uid}:{gid}, whom films belong to, can't write to the {what} {path}: it is {}'s, mode {}", share.owner, share.mode),
            format!("`chown {uid}:{gid} {path}` gives it to them, if it is mounted for writing; `transcode.owner` names others"),
        )),
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
    [&wanted.inbox, &wanted.library].iter().any(|share| matches!(share, Share::Nfs { .. }))
}

/// Whether a machine is one of those that encode with the bundle's encoder.
pub fn encodes(inventory: &Inventory, name: &MachineName) -> bool {
    inventory.transcode.as_ref().is_some_and(|wanted| wanted.image.is_none() && encoders(inventory, wanted).contains(&name))
}

fn encoders<'a>(inventory: &'a Inventory, wanted: &'a Transcode) -> Vec<&'a MachineName> {
    if !wanted.machines.is_empty() {
        return wanted.machines.iter().collect();
    }
    let works = inventory.machines.iter().filter(|(_, machine)| !(machine.dedicated && machine.role == Role::ControlPlane));
    works.map(|(name, _)| name).collect()
}

/// Where the shares are, in words.
fn shares(wanted: &Transcode) -> String {
    format!("{} {}", wanted.inbox, wanted.library)
}

fn installation(planner: &Planner, wanted: &Transcode) -> Installation {
    let of = |manifest: &Manifest, component| {
        manifest.image(component).map(|image| (image.reference.clone(), image.digest.clone())).unwrap_or_default()
    };
    let (image, digest) = of(planner.manifest, Component::Hostler);
    let encoder_image = wanted.image.clone().unwrap_or_else(|| of(planner.manifest, Component::Encoder).0);
    let mut presets = BTreeMap::new();
    let folders = wanted.folders.iter().enumerate().map(|(number, (name, folder))| {
        let preset = folder.preset.as_ref().map(|preset| {
            // Two files of the same name may be in different folders.
            let file = format!("preset-{number}.json");
            presets.insert(file.clone(), preset.json.clone());
            settings::Preset { file: file.into(), name: preset.name.clone() }
        });
        (name.clone(), settings::Folder { preset })
    });
    let settings = settings::Settings {
        folders: folders.collect(),
        languages: wanted.languages.clone(),
        originals: settings::Originals { keep_days: wanted.originals.keep_days, at_most: wanted.originals.at_most },
        hours: wanted.hours.map(|hours| settings::Hours { from: hours.from, to: hours.to }),
        at_once: encoders(planner.inventory, wanted).len() + 1,
        media_server: wanted.media_server.as_ref().map(|server| settings::MediaServer {
            kind: server.kind.into(),
            url: server.url.clone(),
            token_file: "/media-server/token".into(),
            library_as_seen: server.library_as_seen.clone(),
        }),
        notify: wanted.notify.clone(),
        ..settings::Settings::default()
    };
    let place = |share: &Share| match share.clone() {
        Share::Nfs { server, path } => Place::Nfs { server, path },
        Share::Path(path) => Place::Path(path),
    };
    let zone = planner.inventory.control_planes().find_map(|(name, _)| planner.facts.get(name)).map(|facts| facts.time_zone.clone());
    Installation {
        image,
        digest,
        encoder_image,
        inbox: place(&wanted.inbox),
        library: place(&wanted.library),
        owner: Owner { uid: wanted.owner.uid, gid: wanted.owner.gid },
        settings,
        presets,
        machines: wanted.machines.iter().map(ToString::to_string).collect(),
        encoder_memory: "1Gi".to_owned(),
        page_port: wanted.page_port,
        time_zone: zone.filter(|zone| !zone.is_empty()),
    }
}
