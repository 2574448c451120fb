//! `hostler init --adopt`: the inventory of a cluster that another computer manages, as the cluster keeps it.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hostler_core::facts::{ClusterFacts, Facts, NodeFact};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::{Inventory, MachineName, Role, parse};
use hostler_core::record::Record;
use hostler_core::trusted::{ApiVia, serves, trusted};
use hostler_core::visible::visible;
use hostler_core::words::{and, shell_word};

use crate::event::Event;
use crate::inventory_file::InventoryFile;
use crate::report::{Reporter, row, table};
use crate::user_file::Destination;

/// The inventory that the cluster of the control plane at `address` keeps.
///
/// # Errors
/// A [`Failure`]: the machine is no control plane, its API server does not answer, or there is no inventory that is valid and of this cluster.
fn kept(address: IpAddr, user: &str, facts: &Facts) -> Result<Inventory> {
    let failed = |message: String, hint: &str| Failure::new(ExitStatus::Failed, message, hint);
    let alone = parse(&format!("machines: {{it: {{address: \"{address}\", role: control-plane}}}}"), "its address")
        .map_err(|problems| failed(problems.to_string().trim_end().to_owned(), "pass the address of a control plane"))?;
    let seen = alone.machines.keys().map(|name| (name, facts)).collect();
    let trusted = trusted(&alone, &seen);
    let Some(ApiVia { cluster, .. }) = trusted.answering().next() else {
        return Err(match (&facts.api_down, &facts.kubernetes.server) {
            (Some(why), _) => {
                let hint = "pass the address of another control plane, or wait until its API server answers";
                failed(format!("the API server of {address} does not answer: {}", visible(why)), hint)
            }
            (None, Some(server)) if facts.kubernetes.joined => {
                let hint = format!("pass the address of a control plane; this node's API server is {}", visible(server));
                failed(format!("{address} is not a control plane"), &hint)
            }
            _ => failed(format!("{address} is not in a cluster"), "pass the address of a control plane, or the machines without `--adopt`"),
        }
        .into());
    };
    let Some(encoded) = cluster.record.get(&Record::Inventory) else {
        let hint = format!(
            "generate one from its nodes with `{}`, and check the output of `hostler plan` before you run `hostler up`",
            anew(user, cluster)
        );
        return Err(failed("the cluster keeps no copy of its inventory".to_owned(), &hint).into());
    };
    let by_hand = "copy the inventory from the computer that has it";
    let text = BASE64_STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.filter(|text| text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t')));
    let text = text.ok_or_else(|| failed("the cluster's copy of the inventory is not text".to_owned(), by_hand))?;
    let inventory =
        parse(&text, "the cluster's inventory").map_err(|problems| failed(problems.to_string().trim_end().to_owned(), by_hand))?;
    if !serves(facts, &inventory.cluster.authority()) {
        return Err(failed(
            format!(
                "the cluster's copy of the inventory belongs to another cluster: the API endpoint is {} in the copy, but {} in this cluster",
                inventory.cluster.authority(),
                visible(&cluster.endpoint)
            ),
            by_hand,
        )
        .into());
    }
    Ok(inventory)
}

/// The command that generates an inventory from the cluster's nodes, control planes first.
fn anew(user: &str, cluster: &ClusterFacts) -> String {
    let is_control_plane = |name: &str| cluster.members.values().any(|member| member.name == name);
    let (control_planes, workers): (Vec<_>, Vec<_>) = cluster.nodes.iter().partition(|(name, _)| is_control_plane(name));
    let machine = |(name, node): (&String, &NodeFact)| {
        let address: IpAddr = node.address.parse().ok()?;
        Some(MachineName::new(name).map_or_else(|| address.to_string(), |name| format!("{name}={address}")))
    };
    let machines: Vec<String> = control_planes.into_iter().chain(workers).filter_map(machine).collect();
    format!("hostler init --user {} {}", shell_word(user), machines.join(" "))
}

/// What the inventory makes hostler run or send on this computer: whoever controls the cluster may have written it.
fn reaches_out(inventory: &Inventory) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for machine in inventory.machines.values() {
        if let Some(command) = &machine.connection.proxy_command {
            found.push(format!("runs `{}`", visible(command)));
        }
        if let Some(jump) = &machine.connection.jump {
            found.push(format!("logs in to {}", visible(jump)));
        }
    }
    if let Some(films) = &inventory.transcode {
        for (token, server) in films.tokens.iter().zip(&films.settings.media_servers) {
            found.push(format!("sends the token in {} to {}", visible(&token.named.display().to_string()), visible(&server.url)));
        }
    }
    found.dedup();
    found
}

/// Shows the machines, asks, and writes the inventory to `place`, which is `file`.
///
/// # Errors
/// As [`kept`]; the user declined, or the file can't be written.
pub async fn adopt(
    (address, user, facts): (IpAddr, &str, &Facts),
    (file, place): (&Path, Destination),
    yes: bool,
    reporter: &Reporter,
) -> Result<()> {
    let inventory = kept(address, user, facts)?;
    let mut rows = vec![row!["MACHINE", "ADDRESS", "ROLE"]];
    for (name, machine) in &inventory.machines {
        rows.push(row![name, machine.address, if machine.role == Role::ControlPlane { "control-plane" } else { "worker" }]);
    }
    let table = table(&rows);
    let reaches_out = reaches_out(&inventory);
    let reaches = format!("with this inventory, hostler {} on this computer", and(&reaches_out));
    if !reaches_out.is_empty() {
        reporter.events().send(Event::Warning { line: reaches.clone() });
    }
    let cannot = || format!("{} can't be written", file.display());
    if let Destination::Stdout | Destination::Stream(_) = place {
        reporter.events().send(Event::Note { line: table });
        return place.write(inventory.text.as_bytes(), 0o644).with_context(cannot);
    }
    reporter.result(&table).await;
    // Nobody runs a command of a machine's on this computer without having seen it.
    if yes && !reaches_out.is_empty() {
        let hint = "run the command without `--yes` on a terminal; `--inventory -` prints the inventory";
        return Err(Failure::new(ExitStatus::Refused, format!("{} was not written: {reaches}", file.display()), hint).into());
    }
    if !yes {
        let otherwise = match reaches_out.is_empty() {
            true => "pass `--yes` to write the inventory without asking",
            false => "run the command on a terminal; `--inventory -` prints the inventory",
        };
        super::agreed(file, inventory.machines.len(), otherwise, reporter).await?;
    }
    place.write(inventory.text.as_bytes(), 0o644).with_context(cannot)?;
    // Files that it names are on the other computer.
    if let Err(error) = InventoryFile::load(file) {
        let line = format!("the inventory names files that are not on this computer:\n{error:#}");
        reporter.events().send(Event::Warning { line });
    }
    let line = format!("wrote {}; `hostler status` shows the cluster, and `hostler kubeconfig` gives you access", file.display());
    reporter.result(&line).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hostler_core::facts::{KubernetesFacts, MemberFact};

    use super::*;

    const TEXT: &str = "machines:\n  twilightsparkle: {address: 192.168.1.11, role: control-plane}\n  rainbowdash: {address: 192.168.1.12, role: worker}\n";

    fn control_plane(text: Option<&str>) -> Facts {
        let node = |address: &str| NodeFact { address: address.to_owned(), ..NodeFact::default() };
        let nodes = [("rainbowdash", "192.168.1.12"), ("twilightsparkle", "192.168.1.11")].map(|(name, at)| (name.to_owned(), node(at)));
        let member = MemberFact { name: "twilightsparkle".to_owned(), ..MemberFact::default() };
        let endpoint = parse(TEXT, "").unwrap().cluster.authority();
        let record = text.map(|text| (Record::Inventory, BASE64_STANDARD.encode(text))).into_iter().collect();
        let members = BTreeMap::from([("1".to_owned(), member)]);
        let cluster = ClusterFacts { endpoint, nodes: nodes.into(), members, record, ..ClusterFacts::default() };
        let kubernetes = KubernetesFacts { joined: true, control_plane: true, ca: Some("ca".to_owned()), ..KubernetesFacts::default() };
        Facts { cluster: Some(cluster), kubernetes, ..Facts::default() }
    }

    fn adopted(facts: &Facts) -> Result<String, String> {
        kept("192.168.1.11".parse().unwrap(), "ada", facts).map(|inventory| inventory.text).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn what_the_cluster_keeps_is_the_inventory_as_it_was() {
        let text = format!("# ours\n{TEXT}");
        assert_eq!(adopted(&control_plane(Some(&text))), Ok(text));
    }

    #[test]
    fn what_is_no_inventory_of_this_cluster_is_refused() {
        for (text, why) in [
            ("\u{1b}[2J".to_owned(), "is not text"),
            ("machines: {}\n".to_owned(), "the cluster's inventory"),
            (format!("cluster: {{endpoint: other.example}}\n{TEXT}"), "belongs to another cluster"),
        ] {
            let said = adopted(&control_plane(Some(&text))).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
        let hint = kept("192.168.1.11".parse().unwrap(), "ada", &control_plane(None)).unwrap_err();
        let hint = hint.downcast_ref::<Failure>().unwrap().hint.clone();
        assert!(hint.contains("hostler init --user ada twilightsparkle=192.168.1.11 rainbowdash=192.168.1.12"), "{hint}");
        let worker = Facts::default();
        assert!(adopted(&worker).unwrap_err().contains("is not in a cluster"));
    }

    #[test]
    fn what_it_would_run_here_is_told() {
        let inventory = parse(&format!("ssh: {{proxyCommand: curl evil}}\n{TEXT}"), "").unwrap();
        assert_eq!(reaches_out(&inventory), ["runs `curl evil`"]);
        assert!(reaches_out(&parse(TEXT, "").unwrap()).is_empty());
    }
}
