//! Bridge, veth pairs, the tap of a virtual machine, and namespaces. The computer's own interfaces and routes are never changed.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;

use anyhow::Result;

use super::namespace::{NAMED, file, of_lab, of_machine};
use super::roster::{HOST, LabMachine, PREFIX};
use crate::workstation::program::run;

/// Creates the lab's namespace and bridge, if missing. `gateway`: the computer's address in the machines' network.
pub async fn make_bridge(gateway: Ipv4Addr) -> Result<()> {
    let lab = of_lab();
    if !file(&lab).exists() {
        run("ip", ["netns", "add", &lab]).await?;
    }
    if run("ip", ["-n", &lab, "link", "show", "br0"]).await.is_err() {
        run("ip", ["-n", &lab, "link", "set", "lo", "up"]).await?;
        run("ip", ["-n", &lab, "link", "add", "br0", "type", "bridge"]).await?;
    }
    // Machines know their repository by the first one.
    for address in BTreeSet::from([HOST, gateway]) {
        run("ip", ["-n", &lab, "addr", "replace", &format!("{address}/{PREFIX}"), "dev", "br0"]).await?;
    }
    run("ip", ["-n", &lab, "link", "set", "br0", "up"]).await?;
    Ok(())
}

/// A machine's port on the bridge; a machine's name is too long for an interface.
pub fn port(machine: &LabMachine) -> String {
    format!("v{}", machine.number())
}

/// The MAC address of a machine. It never changes: with a new one the machine would be unreachable until all ARP entries expire.
pub fn mac(machine: &LabMachine) -> String {
    format!("02:68:6f:73:74:{:02x}", machine.number())
}

/// Creates a virtual machine's port on the bridge; QEMU uses it as the machine's network card.
pub async fn plug_in_vm(machine: &LabMachine) -> Result<()> {
    let (lab, port) = (of_lab(), port(machine));
    run("ip", ["-n", &lab, "tuntap", "add", "dev", &port, "mode", "tap"]).await?;
    run("ip", ["-n", &lab, "link", "set", &port, "master", "br0", "up"]).await?;
    Ok(())
}

/// Creates a machine's namespace with `eth0` on the bridge, if missing. `eth0` gets its address here, unless the machine sees to that itself.
/// It stays while the machine is off, like a network cable.
pub async fn plug_in(machine: &LabMachine, gateway: Ipv4Addr) -> Result<()> {
    let namespace = of_machine(&machine.name);
    let lab = of_lab();
    let port = port(machine);
    if !file(&namespace).exists() {
        run("ip", ["netns", "add", &namespace]).await?;
    }
    if run("ip", ["-n", &namespace, "link", "show", "eth0"]).await.is_err() {
        // After a power cut the interface may still be in a network namespace that is being removed.
        let _ = run("ip", ["-n", &lab, "link", "delete", &port]).await;
        let mac = mac(machine);
        let peer = ["peer", "name", "eth0", "address", &mac, "netns", &namespace];
        run("ip", ["-n", &lab, "link", "add", &port, "type", "veth"].into_iter().chain(peer)).await?;
    }
    run("ip", ["-n", &lab, "link", "set", &port, "master", "br0", "up"]).await?;
    run("ip", ["-n", &namespace, "link", "set", "lo", "up"]).await?;
    if machine.system.configures_network() {
        return Ok(());
    }
    run("ip", ["-n", &namespace, "addr", "replace", &format!("{}/{PREFIX}", machine.address), "dev", "eth0"]).await?;
    run("ip", ["-n", &namespace, "link", "set", "eth0", "up"]).await?;
    run("ip", ["-n", &namespace, "route", "replace", "default", "via", &gateway.to_string()]).await?;
    Ok(())
}

/// Deletes a machine's namespace, with everything the machine left in it: addresses, routes, rules, interfaces.
pub async fn unplug(machine: &LabMachine) -> Result<()> {
    let namespace = of_machine(&machine.name);
    let (lab, port) = (of_lab(), port(machine));
    // The kernel removes a namespace's interfaces some time after its name is gone; until then the port's name would be in use.
    if run("ip", ["-n", &lab, "link", "show", &port]).await.is_ok() {
        run("ip", ["-n", &lab, "link", "delete", &port]).await?;
    }
    if file(&namespace).exists() {
        run("ip", ["netns", "delete", &namespace]).await?;
    }
    Ok(())
}

/// The lab's existing namespaces, the bridge's last.
pub fn namespaces() -> Vec<String> {
    let lab = of_lab();
    let mut names: Vec<String> = fs::read_dir(NAMED)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| *name == lab || name.strip_prefix(&lab).is_some_and(|rest| rest.starts_with('-')))
        .collect();
    names.sort_by_key(|name| *name == lab);
    names
}

/// Deletes the lab's namespaces with everything in them.
pub async fn take_down() -> Result<()> {
    for namespace in namespaces() {
        run("ip", ["netns", "delete", &namespace]).await?;
    }
    Ok(())
}
