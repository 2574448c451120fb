//! The lab's inventory: an ordinary one. The special needs of machines on one computer are expressed with normal keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hostler_core::template;
use serde_json::json;

use super::roster::LabMachine;
use super::state::LabState;
use super::{access, like, name, state};

/// The endpoint's address with several control planes: one that no machine has.
const VIP: &str = "10.77.0.200";

/// The path of the lab's inventory.
pub fn file() -> PathBuf {
    state::path("inventory.yaml")
}

/// Whether this is the path of a lab's inventory, of any name.
pub fn is_inventory(path: &Path) -> bool {
    path.file_name() == file().file_name() && path.parent().is_some_and(state::is_folder)
}

/// The file in a lab's folder that is its kubeconfig.
pub const KUBECONFIG: &str = "kubeconfig";

/// The path of the lab's kubeconfig: `up` writes it, `lab exec` uses it.
pub fn kubeconfig() -> PathBuf {
    state::path(KUBECONFIG)
}

/// Its text. `hostler`: the shell command for this program. `host_keys`: address -> `ssh-ed25519 AAAA...`, one for each machine.
pub fn text(
    machines: &[LabMachine],
    host_keys: &BTreeMap<String, String>,
    identity: &Path,
    hostler: &str,
    cgroup_v1: bool,
) -> Result<String> {
    let vip = (machines.iter().filter(|machine| machine.control_plane).count() > 1).then_some(VIP);
    let machines: Vec<serde_json::Value> = machines
        .iter()
        .map(|machine| {
            let address = machine.address.to_string();
            let host_key = host_keys.get(&address).with_context(|| format!("{} has no host key", machine.name))?;
            Ok(json!({ "name": machine.name, "address": address, "control_plane": machine.control_plane, "host_key": host_key }))
        })
        .collect::<Result<_>>()?;
    let values = json!({
        "machines": machines,
        "vip": vip,
        "identity": identity,
        "hostler": hostler,
        "cgroup_v1": cgroup_v1,
    });
    template::render("lab/inventory.yaml", values)
}

/// Writes the inventory of a lab whose machines all have host keys.
pub fn write(lab: &LabState, cgroup_v1: bool) -> Result<()> {
    let executable = std::env::current_exe().context("hostler can't determine the path of its own program")?;
    let command = format!("{}{}", name::command_prefix(), executable.display());
    let mut text = text(&lab.machines, &access::host_keys(), &access::key(), &command, cgroup_v1)?;
    if let Some(like) = &lab.like {
        text = like::inventory(like, &text)?;
    }
    state::write(&file(), text.as_bytes(), 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::roster::roster;

    fn rendered(cgroup_v1: bool) -> serde_json::Value {
        let machines = roster(3, 1);
        let keys = machines.iter().map(|m| (m.address.to_string(), format!("ssh-ed25519 KEY{}", m.number()))).collect();
        let text = text(&machines, &keys, Path::new("/state/key"), "/bin/hostler", cgroup_v1).unwrap();
        serde_yaml::from_str(&text).unwrap()
    }

    #[test]
    fn every_machine_has_its_own_pinned_key_and_only_control_planes_a_role() {
        let inventory = rendered(true);
        assert_eq!(inventory["machines"]["twilightsparkle"]["role"], "control-plane");
        assert!(inventory["machines"]["fluttershy"].get("role").is_none());
        assert_eq!(inventory["machines"]["fluttershy"]["hostKey"], "ssh-ed25519 KEY13");
        assert_eq!(inventory["ssh"]["proxyCommand"], "/bin/hostler lab connect %h %p");
    }

    #[test]
    fn settings_for_cgroup_v1_are_only_written_for_cgroup_v1() {
        let (v1, v2) = (rendered(true), rendered(false));
        assert_eq!(v1["kubeadm"]["KubeletConfiguration"]["failCgroupV1"], false);
        assert_eq!(v1["ignorePreflightErrors"].as_array().unwrap().len(), 2);
        assert!(v2["kubeadm"]["KubeletConfiguration"].get("failCgroupV1").is_none());
        assert_eq!(v2["ignorePreflightErrors"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_machine_without_a_host_key_is_an_error() {
        let machines = roster(1, 1);
        let error = text(&machines, &BTreeMap::new(), Path::new("/k"), "/h", true).unwrap_err();
        assert_eq!(error.to_string(), "twilightsparkle has no host key");
    }
}
