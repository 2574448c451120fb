//! Quick Sync: what machines need for it, and which encoders work there.

use std::collections::BTreeMap;

use anyhow::Result;

use super::planner::Planner;
use super::workload;
use crate::action::workload::ProveEncoders;
use crate::digest::sha256;
use crate::facts::{Chip, Facts, NodeFact, RenderNode};
use crate::films::encoder::{from_label, is_hardware, tried};
use crate::films::manifests::Installation;
use crate::inventory::{Inventory, Machine, MachineName, Transcode, encoder_of_preset};
use crate::protocol::label;
use crate::step::{ImageGroup, Need, StepKind};

/// Hexadecimal digits of a sum in a label.
const SUM: usize = 12;

/// The render nodes that encoders' pods get on the machine. Those of other vendors are left out: HandBrake does not encode with them.
pub fn render_nodes<'a>(inventory: &Inventory, name: &MachineName, facts: &'a Facts) -> Vec<&'a RenderNode> {
    if !takes_hardware(inventory, name) {
        return Vec::new();
    }
    facts.render_nodes.iter().filter(|node| node.chip() != Chip::Other).collect()
}

/// Whether the machine encodes, with Quick Sync where it has it.
fn takes_hardware(inventory: &Inventory, name: &MachineName) -> bool {
    let asked = inventory.transcode.as_ref().filter(|wanted| !wanted.settings.encoder.is_software());
    asked.is_some_and(|wanted| workload::encoders(inventory, wanted).contains(&name))
        && inventory.machines.get(name).and_then(|machine| machine.encode.as_ref()).is_some_and(|encoding| encoding.can_hardware())
}

/// Labels that the machine's node is to have: the inventory's, and that pods can get its render nodes. While nothing is known of the machine, what
/// the node has of the latter stays.
pub fn labels(planner: &Planner, name: &MachineName, machine: &Machine, node: &NodeFact) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> = machine.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let has = match planner.usable(name) {
        Some(facts) => !render_nodes(planner.inventory, name, facts).is_empty(),
        None => takes_hardware(planner.inventory, name) && node.labels.contains_key(label::RENDER_NODE),
    };
    if has {
        labels.insert(label::RENDER_NODE.to_owned(), "true".to_owned());
    }
    labels
}

/// Labels that tell of encoders on a machine that tries none.
pub fn stale_labels<'a>(inventory: &Inventory, name: &MachineName, node: &'a NodeFact) -> impl Iterator<Item = &'a String> {
    let tries = tries(inventory, name);
    let told = [label::ENCODERS, label::TRIED_WITH];
    node.labels.keys().filter(move |key| !tries && told.contains(&key.as_str()))
}

/// Whether the machine tries which encoders work there.
fn tries(inventory: &Inventory, name: &MachineName) -> bool {
    let asked = inventory.transcode.as_ref().filter(|wanted| !wanted.settings.encoder.is_software());
    asked.is_some_and(|wanted| workload::encoders(inventory, wanted).contains(&name))
}

/// The encoders of presets, with their folders.
fn of_presets(wanted: &Transcode) -> Vec<(&str, String)> {
    let encoder = |file: &str| encoder_of_preset(wanted.presets.get(file)?);
    let folders = wanted.settings.folders.iter();
    folders.filter_map(|(name, folder)| Some((name.as_str(), encoder(&folder.preset.as_ref()?.file.to_string_lossy())?))).collect()
}

/// Lets each machine try its encoders whose image, devices or presets are others than when it did so last.
///
/// # Errors
/// A template that can't be filled in, which is a defect.
pub fn plan(planner: &mut Planner, api_via: &MachineName, wanted: &Transcode, installation: &Installation, image: &str) -> Result<()> {
    if wanted.settings.encoder.is_software() || image.is_empty() {
        return Ok(());
    }
    let families = families(wanted);
    let names: Vec<&MachineName> = workload::encoders(planner.inventory, wanted);
    let mut has_chip = names.iter().any(|name| !planner.facts.contains_key(*name));
    for name in names {
        let Some(facts) = planner.usable(name) else { continue };
        let nodes = render_nodes(planner.inventory, name, facts);
        has_chip |= !nodes.is_empty();
        let node = planner.api_via.and_then(|api_via| api_via.cluster.nodes.get(name.as_str()));
        let sum = tried_with(image, &nodes, &families);
        let labels = node.map(|node| &node.labels);
        if labels.and_then(|labels| labels.get(label::TRIED_WITH)) == Some(&sum) {
            let works = labels.and_then(|labels| labels.get(label::ENCODERS)).map(|value| from_label(value)).unwrap_or_default();
            if !nodes.is_empty() && !works.iter().any(|family| is_hardware(family)) {
                planner.warn(Some(name), format!("films are encoded on the CPU: {}", without_hardware(&nodes)));
            }
            continue;
        }
        if let Some(border) = border(&nodes).filter(|_| !nodes.is_empty() && wanted.image.is_none()) {
            planner.warn(Some(name), format!("Quick Sync is not expected to work: {border}"));
        }
        // Nothing runs there.
        if node.is_some_and(|node| !node.ready) {
            continue;
        }
        let reason = match labels.is_some_and(|labels| labels.contains_key(label::TRIED_WITH)) {
            true => format!("the encoders on {name} were last tested with a different image, device or preset"),
            false => format!("the encoders on {name} have not been tested"),
        };
        let kinds = [StepKind::Join, StepKind::Labels, StepKind::Containerd, StepKind::KubeletUnit, StepKind::Images(ImageGroup::Films)];
        let mut needs: Vec<Need> = kinds.map(|kind| kind.of(name).if_planned()).into();
        needs.extend([StepKind::Workload, StepKind::KubeletCertificates].map(|kind| kind.of(api_via).if_planned()));
        let manifest = installation.prove(name.as_str(), &families, !nodes.is_empty())?;
        let action = ProveEncoders { node: name.clone(), manifest, tried_with: sum, hardware: !nodes.is_empty() };
        planner.step(StepKind::Encoders.of(name), api_via, reason, action, needs);
    }
    if !has_chip {
        let text = "`encoder: auto` has no effect: no machine that encodes has a render node of an Intel chip (/dev/dri/renderD128)";
        planner.warn(None, text);
    }
    Ok(())
}

fn families(wanted: &Transcode) -> Vec<String> {
    let presets = of_presets(wanted);
    tried(presets.iter().map(|(_, family)| family.as_str()))
}

/// Why Quick Sync does not work there, although the machine has render nodes.
fn without_hardware(nodes: &[&RenderNode]) -> String {
    border(nodes).unwrap_or_else(|| "the chip supports Quick Sync, but no encoder works: the driver's firmware may be missing".to_owned())
}

/// What keeps the bundle's encoder from using these nodes; `None`: it serves one of them.
fn border(nodes: &[&RenderNode]) -> Option<String> {
    let serves = "the bundle's encoder needs Intel graphics of Tiger Lake (11th generation Core) or newer";
    if nodes.iter().any(|node| node.chip() == Chip::Served) {
        return None;
    }
    let older = nodes.iter().find(|node| node.chip() == Chip::Older);
    Some(match older {
        Some(node) => format!("the chip ({}) is too old: {serves}", node.pci_text()),
        None => format!("the chip is unknown: {serves}"),
    })
}

/// A sum of what encoders are tried with, as a label takes it.
fn tried_with(image: &str, nodes: &[&RenderNode], families: &[String]) -> String {
    let nodes: Vec<String> = nodes.iter().map(|node| format!("{} {}:{} {}", node.name, node.major, node.minor, node.pci_text())).collect();
    sha256(format!("{image}\n{}\n{}", nodes.join("\n"), families.join(" ")).as_bytes())[..SUM].to_owned()
}

/// Folders, with the encoders of their presets, that no machine has, by what all of them tried with this image.
pub fn lacking(planner: &Planner, wanted: &Transcode, image: &str) -> Vec<(String, String)> {
    let (Some(api_via), false) = (planner.api_via, wanted.settings.encoder.is_software() || image.is_empty()) else { return Vec::new() };
    let families = families(wanted);
    let mut works: Vec<String> = Vec::new();
    for name in workload::encoders(planner.inventory, wanted) {
        let labels = api_via.cluster.nodes.get(name.as_str()).map(|node| &node.labels);
        let Some((value, sum)) = labels.and_then(|labels| Some((labels.get(label::ENCODERS)?, labels.get(label::TRIED_WITH)?))) else {
            return Vec::new();
        };
        // Of a machine that can't be reached, what it said last counts.
        let nodes = planner.usable(name).map(|facts| render_nodes(planner.inventory, name, facts));
        if nodes.is_some_and(|nodes| tried_with(image, &nodes, &families) != *sum) {
            return Vec::new();
        }
        works.extend(from_label(value));
    }
    let lacks = of_presets(wanted).into_iter().filter(|(_, family)| families.contains(family) && !works.contains(family));
    lacks.map(|(folder, family)| (folder.to_owned(), family)).collect()
}
