//! Bridge, veth pairs, a virtual machine's tap, and namespaces. The computer's own interfaces and routes are never touched.

use std::fs;

use anyhow::Result;

use super::namespace::{NAMED, file, of_lab, of_machine};
use super::roster::{HOST, LabMachine, PREFIX};
use crate::workstation::program::run;

/// Makes the lab's namespace and bridge, if they are not there.
pub async fn make_bridge() -> Result<()> {
    let lab = of_lab();
    if !file(&lab).exists() {
        run("ip", ["netns", "add", &lab]).await?;
    }
    if run("ip", ["-n", &lab, "link", "show", "br0"]).await.is_err() {
        run("ip", ["-n", &lab, "link", "set", "lo", "up"]).await?;
        run("ip", ["-n", &lab, "link", "add", "br0", "type", "bridge"]).await?;
    }
    run("ip", ["-n", &lab, "addr", "replace", &format!("{HOST}/{PREFIX}"), "dev", "br0"]).await?;
    run("ip", ["-n", &lab, "link", "set", "br0", "up"]).await?;
    Ok(())
}

/// A machine's end of the cable in the bridge; a machine's name is too long for an interface.
pub fn port(machine: &LabMachine) -> String {
    format!("v{}", machine.number())
}

/// The address of a machine's network card. Its own for good: another one would stay unreachable until everybody's ARP entry is stale.
pub fn mac(machine: &LabMachine) -> String {
    format!("02:68:6f:73:74:{:02x}", machine.number())
}

/// Makes a virtual machine's end of the cable in the bridge; QEMU takes it as the machine's network card.
pub async fn plug_in_vm(machine: &LabMachine) -> Result<()> {
    let (lab, port) = (of_lab(), port(machine));
    run("ip", ["-n", &lab, "tuntap", "add", "dev", &port, "mode", "tap"]).await?;
    run("ip", ["-n", &lab, "link", "set", &port, "master", "br0", "up"]).await?;
    Ok(())
}

/// Makes a machine's namespace, with `eth0` in it on the bridge, if it is not there. The machine keeps it while it is off, as a
/// switch keeps its cable.
pub async fn plug_in(machine: &LabMachine) -> Result<()> {
    let namespace = of_machine(&machine.name);
    let lab = of_lab();
    let port = port(machine);
    if !file(&namespace).exists() {
        run("ip", ["netns", "add", &namespace]).await?;
    }
    if run("ip", ["-n", &namespace, "link", "show", "eth0"]).await.is_err() {
        // After a power cut the cable may still hang in a network namespace that is on its way out.
        let _ = run("ip", ["-n", &lab, "link", "delete", &port]).await;
        let mac = mac(machine);
        let peer = ["peer", "name", "eth0", "address", &mac, "netns", &namespace];
        run("ip", ["-n", &lab, "link", "add", &port, "type", "veth"].into_iter().chain(peer)).await?;
    }
    run("ip", ["-n", &lab, "link", "set", &port, "master", "br0", "up"]).await?;
    run("ip", ["-n", &namespace, "link", "set", "lo", "up"]).await?;
    run("ip", ["-n", &namespace, "addr", "replace", &format!("{}/{PREFIX}", machine.address), "dev", "eth0"]).await?;
    run("ip", ["-n", &namespace, "link", "set", "eth0", "up"]).await?;
    run("ip", ["-n", &namespace, "route", "replace", "default", "via", &HOST.to_string()]).await?;
    Ok(())
}

/// Takes a machine's namespace away, and with it what the machine left in its network: addresses, routes, rules, interfaces.
pub async fn unplug(machine: &LabMachine) -> Result<()> {
    let namespace = of_machine(&machine.name);
    let (lab, port) = (of_lab(), port(machine));
    // The kernel takes a namespace's interfaces away some time after its name is gone, and then the port's name would still be taken.
    if run("ip", ["-n", &lab, "link", "show", &port]).await.is_ok() {
        run("ip", ["-n", &lab, "link", "delete", &port]).await?;
    }
    if file(&namespace).exists() {
        run("ip", ["netns", "delete", &namespace]).await?;
    }
    Ok(())
}

/// The lab's namespaces that are there, the bridge's last.
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

/// Deletes the lab's namespaces; what is in them goes with them.
pub async fn take_down() -> Result<()> {
    for namespace in namespaces() {
        run("ip", ["netns", "delete", &namespace]).await?;
    }
    Ok(())
}
