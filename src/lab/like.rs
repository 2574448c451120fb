//! A lab with the machines of an inventory: their names, roles and addresses, in the lab's own network. So a snapshot of the real cluster,
//! whose certificates and nodes have those addresses, can be restored in it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hostler_core::inventory::{Endpoint, Inventory, Role};
use hostler_core::visible::visible;
use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};

use super::roster::{HOST, LabMachine, MOST, PREFIX};
use super::state::{self, LabState, STATE};
use super::system::System;
use super::usage;
use crate::inventory_file::InventoryFile;
use crate::snapshot;

/// Sections of an inventory that mean nothing in a lab, which reaches neither file servers nor anybody else.
const LEFT_OUT: [&str; 4] = ["ssh", "notify", "os", "transcode"];
/// Keys of a machine that the lab's machine has, too.
const KEPT: [&str; 5] = ["address", "dedicated", "keep", "labels", "taints"];

/// The inventory that a lab is like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Like {
    pub file: PathBuf,
    /// The computer's address in its network, which no machine has.
    pub gateway: Ipv4Addr,
    /// What the lab's inventory has of it, as YAML.
    pub text: String,
}

/// The machines of an inventory, and what of it the lab's has.
///
/// # Errors
/// A usage error: there can't be such a lab.
pub fn like(path: &Path, file: &InventoryFile) -> Result<(Like, Vec<LabMachine>)> {
    let inventory = &file.inventory;
    let machines = machines(inventory)?;
    if let Endpoint::External { host, port } = &inventory.cluster.endpoint {
        let what = format!("the lab can't reproduce this inventory: its endpoint {host}:{port} is a load balancer, and the lab has none");
        return Err(usage(&what, "pass a copy of the inventory with a different `endpoint`; no snapshot can be restored with it"));
    }
    let gateway = gateway(inventory, &machines)?;
    let text = kept(inventory, &file.on_disk)?;
    Ok((Like { file: std::path::absolute(path)?, gateway, text }, machines))
}

fn machines(inventory: &Inventory) -> Result<Vec<LabMachine>> {
    if inventory.machines.len() > MOST {
        return Err(usage(
            &format!("a lab has at most {MOST} machines, and this inventory has more"),
            "pass a copy of the inventory with fewer machines",
        ));
    }
    let mut all: Vec<LabMachine> = Vec::new();
    for (name, machine) in &inventory.machines {
        let IpAddr::V4(address) = machine.address else {
            return Err(usage(
                &format!("{name} has an IPv6 address, but a lab supports only IPv4"),
                "pass an inventory with IPv4 addresses",
            ));
        };
        if [0, 255].contains(&address.octets()[3]) {
            let what = format!("{name} can't have the address {address} in the lab: it is the network or broadcast address of a /{PREFIX}");
            return Err(usage(&what, "pass a copy of the inventory with a different address for it"));
        }
        if let Some(first) = all.first().filter(|first| network(first.address) != network(address)) {
            let what = format!("a lab has a single /{PREFIX} network, but {name} ({address}) is in a different one than {}", first.name);
            return Err(usage(&what, &format!("pass a copy of the inventory with the machines of one /{PREFIX} network")));
        }
        all.push(LabMachine {
            name: name.to_string(),
            address,
            control_plane: machine.role == Role::ControlPlane,
            system: System::default(),
        });
    }
    Ok(all)
}

fn network(address: Ipv4Addr) -> [u8; 3] {
    let [a, b, c, _] = address.octets();
    [a, b, c]
}

/// An address for the computer: that of most routers, if it is free.
fn gateway(inventory: &Inventory, machines: &[LabMachine]) -> Result<Ipv4Addr> {
    let Some([a, b, c]) = machines.first().map(|machine| network(machine.address)) else { return Ok(HOST) };
    let is_vip = |address: Ipv4Addr| matches!(inventory.cluster.endpoint, Endpoint::Vip { address: vip, .. } if vip == IpAddr::V4(address));
    let taken = |address: Ipv4Addr| is_vip(address) || machines.iter().any(|machine| machine.address == address);
    if inventory.cluster.pod_subnet.contains(&IpAddr::V4(HOST)) || inventory.cluster.service_subnet.contains(&IpAddr::V4(HOST)) {
        let what = format!("the lab can't reproduce this inventory: its pod or Service subnet contains {HOST}, the lab's own address");
        return Err(usage(&what, "pass a copy of the inventory with different subnets; no snapshot can be restored with them"));
    }
    if let Endpoint::Vip { address: IpAddr::V4(vip), .. } = inventory.cluster.endpoint
        && network(vip) != [a, b, c]
    {
        let what = format!("a lab has a single /{PREFIX} network, but the VIP {vip} is in a different one than the machines");
        return Err(usage(&what, "pass a copy of the inventory with a different `endpoint`"));
    }
    if taken(HOST) {
        return Err(usage(
            &format!("the lab can't reproduce this inventory: {HOST} is the lab's own address"),
            &format!("pass a copy of the inventory in which {HOST} is neither the VIP nor the address of a machine"),
        ));
    }
    let mut free = std::iter::once(1).chain((2..=254).rev()).map(|last| Ipv4Addr::new(a, b, c, last));
    free.find(|address| !taken(*address)).context("no address is free for this computer")
}

/// The inventory without what means nothing in a lab, with a role for each control plane.
fn kept(inventory: &Inventory, text: &str) -> Result<String> {
    let mut all: Mapping = serde_yaml::from_str(text).context("the inventory can't be read again")?;
    for section in LEFT_OUT {
        all.remove(section);
    }
    if let Some(snapshots) = all.get_mut("snapshots").and_then(Value::as_mapping_mut) {
        // It may be on a file server.
        snapshots.remove("to");
    }
    let written = all.remove("machines").unwrap_or_default();
    let machine = |name: &str, machine: &hostler_core::inventory::Machine| {
        let mut kept = Mapping::new();
        let keys = written.get(name).and_then(Value::as_mapping);
        for key in KEPT {
            kept.extend(keys.and_then(|keys| keys.get(key)).map(|value| (key.into(), value.clone())));
        }
        kept.insert("address".into(), machine.address.to_string().into());
        if machine.role == Role::ControlPlane {
            kept.insert("role".into(), "control-plane".into());
        }
        Value::Mapping(kept)
    };
    let machines = inventory.machines.iter().map(|(name, of)| (name.as_str().into(), machine(name.as_str(), of)));
    all.insert("machines".into(), Value::Mapping(machines.collect()));
    Ok(serde_yaml::to_string(&all)?)
}

/// The inventory of a lab that is like another: `lab` is that of an ordinary lab with these machines, whose settings for machines on one
/// computer, and whose ways to reach them, count.
pub fn inventory(like: &Like, lab: &str) -> Result<String> {
    let (mut own, lab): (Mapping, Mapping) = (serde_yaml::from_str(&like.text)?, serde_yaml::from_str(lab)?);
    for (key, value) in lab {
        match key.as_str() {
            Some("cluster") => {}
            _ => merge(own.entry(key).or_insert(Value::Null), value),
        }
    }
    // A line break in it would end the comment.
    let path = like.file.to_string_lossy();
    let file = visible(&path);
    Ok(format!(
        "# The machines of this computer's lab, written by `hostler lab up --like {file}`. Every verb of hostler takes this file:\n\
         # `hostler status -i THIS_FILE`.\n{}",
        serde_yaml::to_string(&own)?
    ))
}

/// The folder of the lab whose inventory this is, if that lab is like another cluster.
pub fn folder_of(file: &InventoryFile) -> Option<PathBuf> {
    let path = file.path.canonicalize().ok().filter(|path| super::is_inventory(path))?;
    let folder = path.parent()?.to_owned();
    let state: LabState = serde_json::from_slice(&fs::read(folder.join(STATE)).ok()?).ok()?;
    state.like.is_some().then_some(folder)
}

/// Where this computer keeps the snapshots of an inventory's cluster: those of a lab that is like another cluster, which has the same name, are
/// in the lab's folder, so that nobody takes them for the other's.
///
/// # Errors
/// The user has no home.
pub fn snapshots(file: &InventoryFile) -> Result<PathBuf> {
    folder_of(file).map_or_else(snapshot::default_folder, |folder| Ok(snapshot::folder_in(&folder)))
}

/// Creates the folders in which the lab keeps its snapshots: files are written only to folders that are there.
///
/// # Errors
/// They can't be created.
pub fn make_folders() -> Result<()> {
    let folder = snapshot::folder_in(&state::folder()).join(snapshot::REGULAR);
    fs::create_dir_all(&folder).with_context(|| format!("{} can't be created", folder.display()))
}

/// Puts `more` into `value`: mappings are merged, lists are joined, and of two other values the new one counts.
fn merge(value: &mut Value, more: Value) {
    match (value, more) {
        (Value::Mapping(own), Value::Mapping(more)) => {
            for (key, value) in more {
                merge(own.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Sequence(own), Value::Sequence(more)) => {
            let new: Vec<Value> = more.into_iter().filter(|entry| !own.contains(entry)).collect();
            own.extend(new);
        }
        (value, more) => *value = more,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> InventoryFile {
        let inventory = hostler_core::inventory::parse(text, "").unwrap_or_else(|problems| panic!("{problems}"));
        InventoryFile { path: PathBuf::from("home.yaml"), text: text.to_owned(), on_disk: text.to_owned(), inventory }
    }
    fn refused(text: &str) -> String {
        like(Path::new("home.yaml"), &file(text)).expect_err(text).to_string()
    }

    #[test]
    fn a_lab_has_the_names_roles_and_addresses_of_an_inventory() {
        let text = "machines:\n  bakery: {address: 192.168.1.1, mac: '52:54:00:12:34:56', labels: {a: b}}\n  library: 192.168.1.254\n\
                    ssh: {user: ada}\nnotify: {url: 'https://ntfy.sh/s3cret'}\nsnapshots: {every: 12h, to: /srv/nas}\n";
        let (like, machines) = like(Path::new("home.yaml"), &file(text)).expect("there can be such a lab");
        let shown: Vec<String> = machines.iter().map(|one| format!("{} {} {}", one.name, one.address, one.control_plane)).collect();
        assert_eq!(shown, ["bakery 192.168.1.1 true", "library 192.168.1.254 false"], "nobody wrote a role");
        assert_eq!(like.gateway.to_string(), "192.168.1.253", "which no machine has");
        for gone in ["ssh", "notify", "s3cret", "52:54", "/srv/nas"] {
            assert!(!like.text.contains(gone), "{gone}: {}", like.text);
        }
        let lab = "cluster: {name: lab}\nssh: {user: root}\nmachines: {bakery: {address: 192.168.1.1, hostKey: ssh-ed25519 A}}\n\
                   ignorePreflightErrors: [Swap]\n";
        let own: Value = serde_yaml::from_str(&inventory(&like, lab).expect("YAML")).expect("YAML");
        let bakery = &own["machines"]["bakery"];
        assert_eq!((&bakery["role"], &bakery["hostKey"]), (&"control-plane".into(), &"ssh-ed25519 A".into()));
        assert_eq!(bakery["labels"]["a"], "b");
        assert_eq!((&own["ssh"]["user"], &own["snapshots"]["every"]), (&"root".into(), &"12h".into()));
        assert!(own.get("cluster").is_none(), "the lab's name is none of its");
        let broken = Like { file: PathBuf::from("a\nssh: {proxyCommand: evil}\n#"), ..like };
        assert!(inventory(&broken, lab).expect("YAML").lines().all(|line| !line.starts_with("ssh: {")));
    }

    #[test]
    fn what_a_lab_can_not_be_like_is_told() {
        for (text, why) in [
            ("machines: {a: 10.0.0.1, b: 10.0.1.1}", "b (10.0.1.1) is in a different one than a"),
            ("machines: {a: fd00::1}\ncluster: {podSubnet: fd00:244::/56, serviceSubnet: fd00:96::/112}", "a has an IPv6 address"),
            ("machines: {a: {address: 10.77.0.1, role: control-plane}}", "10.77.0.1 is the lab's own address"),
            (
                "machines: {a: {address: 10.0.0.1, role: control-plane}}\ncluster: {endpoint: {external: 'lb.example.org:6443'}}",
                "load balancer",
            ),
        ] {
            assert!(refused(text).contains(why), "{}", refused(text));
        }
    }

    #[test]
    fn lists_are_joined_and_mappings_merged() {
        let yaml = |text| -> Value { serde_yaml::from_str(text).expect("YAML") };
        let mut own = yaml("{a: {b: 1, c: [1, 2]}, d: 1}");
        merge(&mut own, yaml("{a: {b: 2, c: [2, 3]}, e: 1}"));
        assert_eq!(own, yaml("{a: {b: 2, c: [1, 2, 3]}, d: 1, e: 1}"));
    }
}
