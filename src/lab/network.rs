//! Bridge, veth pairs and namespaces. The computer's own interfaces and routes are never touched.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::namespace::{LAB, NAMED, file, of_machine};
use super::program::run;
use super::roster::{HOST, LabMachine, PREFIX};

/// Makes the lab's namespace and bridge, if they are not there.
pub async fn make_bridge() -> Result<()> {
    if !file(LAB).exists() {
        run("ip", ["netns", "add", LAB]).await?;
    }
    if run("ip", ["-n", LAB, "link", "show", "br0"]).await.is_err() {
        run("ip", ["-n", LAB, "link", "set", "lo", "up"]).await?;
        run("ip", ["-n", LAB, "link", "add", "br0", "type", "bridge"]).await?;
    }
    run("ip", ["-n", LAB, "addr", "replace", &format!("{HOST}/{PREFIX}"), "dev", "br0"]).await?;
    run("ip", ["-n", LAB, "link", "set", "br0", "up"]).await?;
    Ok(())
}

/// Makes a machine's namespace, with `eth0` in it on the bridge, if it is not there. The machine keeps it while it is off, as a
/// switch keeps its cable.
pub async fn plug_in(machine: &LabMachine) -> Result<()> {
    let namespace = of_machine(&machine.name);
    let port = format!("v{}", machine.number());
    if !file(&namespace).exists() {
        run("ip", ["netns", "add", &namespace]).await?;
    }
    if run("ip", ["-n", &namespace, "link", "show", "eth0"]).await.is_err() {
        // Its own for good, as a network card's: another one would stay unreachable until everybody's ARP entry is stale.
        let mac = format!("02:68:6f:73:74:{:02x}", machine.number());
        let peer = ["peer", "name", "eth0", "address", &mac, "netns", &namespace];
        run("ip", ["-n", LAB, "link", "add", &port, "type", "veth"].into_iter().chain(peer)).await?;
    }
    run("ip", ["-n", LAB, "link", "set", &port, "master", "br0", "up"]).await?;
    run("ip", ["-n", &namespace, "link", "set", "lo", "up"]).await?;
    run("ip", ["-n", &namespace, "addr", "replace", &format!("{}/{PREFIX}", machine.address), "dev", "eth0"]).await?;
    run("ip", ["-n", &namespace, "link", "set", "eth0", "up"]).await?;
    run("ip", ["-n", &namespace, "route", "replace", "default", "via", &HOST.to_string()]).await?;
    Ok(())
}

/// Takes a machine's namespace away, and with it what the machine left in its network: addresses, routes, rules, interfaces.
pub async fn unplug(machine: &str) -> Result<()> {
    let namespace = of_machine(machine);
    if file(&namespace).exists() {
        run("ip", ["netns", "delete", &namespace]).await?;
    }
    Ok(())
}

/// The lab's namespaces that are there, the bridge's last.
pub fn namespaces() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(NAMED)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name == LAB || name.strip_prefix(LAB).is_some_and(|rest| rest.starts_with('-')))
        .collect();
    names.sort_by_key(|name| name == LAB);
    names
}

/// Deletes the lab's namespaces; what is in them goes with them.
pub async fn take_down(namespaces_were_mounted: bool) -> Result<()> {
    for namespace in namespaces() {
        run("ip", ["netns", "delete", &namespace]).await?;
    }
    let none_left = fs::read_dir(NAMED).is_ok_and(|mut entries| entries.next().is_none());
    if none_left && !namespaces_were_mounted && super::mounts::is_mounted(Path::new(NAMED))? {
        run("umount", [NAMED]).await?;
    }
    Ok(())
}
