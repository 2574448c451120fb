//! `hostler init`: looks at machines and writes the inventory that names them.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use hostler_core::facts::{Facts, Observation};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::{Connection, MachineName};
use hostler_core::plan::wanted;
use hostler_core::quantity;
use hostler_core::words::counted;

use super::arguments::Connecting;
use crate::connect::{host_keys, login};
use crate::execute::Link;
use crate::report::{Reporter, row, table};
use crate::ssh::{self, NewHostKeys};

#[derive(Debug, Args)]
pub struct Arguments {
    /// The machines: addresses, or NAME=ADDRESS; the first becomes the control plane [default: asks]
    #[arg(value_name = "[NAME=]ADDRESS")]
    machines: Vec<String>,
    /// Who logs in on the machines: root, or someone who may use sudo [default: asks]
    #[arg(long, short)]
    user: Option<String>,
    /// Where to write the inventory
    #[arg(long, short, value_name = "FILE", default_value = "inventory.yaml")]
    inventory: PathBuf,
    /// Write the inventory without asking
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    connecting: Connecting,
}

/// A machine as the user gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Given {
    name: Option<MachineName>,
    address: IpAddr,
}

/// A machine that was looked at.
struct Found {
    name: MachineName,
    address: IpAddr,
    facts: Facts,
}

/// # Errors
/// The file is there already, a machine can't be reached, or nobody said yes.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<()> {
    let file = &arguments.inventory;
    if file.exists() {
        let message = format!("{} is there already", file.display());
        return Err(Failure::new(ExitStatus::Usage, message, "name another with --inventory, or edit this one").into());
    }
    let asker = reporter.asker();
    let words = match arguments.machines.as_slice() {
        [] => {
            let otherwise = "name the machines: hostler init --user USER ADDRESS...";
            let line = asker.text("addresses of the machines, the control plane's first", None, otherwise).await?;
            line.split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        }
        words => words.to_vec(),
    };
    let given = given(&words)?;
    let user = match &arguments.user {
        Some(user) => user.clone(),
        None => asker.text("who logs in there (root, or someone who may use sudo)", Some("root"), "say who logs in with --user").await?,
    };
    let found = look(&given, &user, arguments.connecting.new_host_keys(), reporter).await?;
    reporter.result(&table(&rows(&found, &user, jiff::Timestamp::now().as_second()))).await;
    let text = inventory(&found, &user);
    if !arguments.yes {
        let question = format!("write {} with {}?", file.display(), counted(found.len(), "machine"));
        if !asker.yes_no(&question, "pass --yes to write the inventory without asking").await? {
            return Err(Failure::new(ExitStatus::Failed, format!("{} was not written", file.display()), "").into());
        }
    }
    create(file, &text)?;
    reporter.result(&format!("{} is written; `hostler plan` shows what `hostler up` would do", file.display())).await;
    Ok(())
}

/// Reads `ADDRESS` and `NAME=ADDRESS` words.
fn given(words: &[String]) -> Result<Vec<Given>> {
    let usage = |message: String, hint: &str| Failure::new(ExitStatus::Usage, message, hint);
    let mut machines: Vec<Given> = Vec::new();
    for word in words {
        let (name, address) = word.split_once('=').map_or((None, word.as_str()), |(name, address)| (Some(name), address));
        let address: IpAddr = address
            .parse()
            .map_err(|_| usage(format!("`{address}` is no address"), "an address is four numbers as in 192.168.1.11, or IPv6"))?;
        let name = name
            .map(|name| {
                let hint = "a name has a-z, 0-9 and -, begins and ends with a letter or digit, and has at most 63 of them";
                MachineName::new(name).ok_or_else(|| usage(format!("`{name}` can't be a machine's name"), hint))
            })
            .transpose()?;
        if let Some(twice) = machines.iter().find(|other| other.address == address || (name.is_some() && other.name == name)) {
            return Err(usage(format!("{word} and {} are one machine", twice.address), "name every machine once").into());
        }
        machines.push(Given { name, address });
    }
    if machines.is_empty() {
        return Err(usage("no machine was named".to_owned(), "hostler init --user USER ADDRESS...").into());
    }
    Ok(machines)
}

/// Asks every machine for its facts.
async fn look(given: &[Given], user: &str, new_host_keys: NewHostKeys, reporter: &Reporter) -> Result<Vec<Found>> {
    let access = Arc::new(ssh::Access::new(new_host_keys, reporter.asker(), reporter.redactor()));
    let connection = Connection { user: Some(user.to_owned()), ..Connection::default() };
    let mut links = BTreeMap::new();
    let (mut places, mut targets) = (Vec::new(), Vec::new());
    for (index, machine) in given.iter().enumerate() {
        let name = match &machine.name {
            Some(name) => name.clone(),
            None => numbered(index)?,
        };
        let target = ssh::Target::new(name.as_str(), &machine.address.to_string(), &connection)?;
        targets.push(target.clone());
        links.insert(name.clone(), Arc::new(Link::new(target, access.clone(), None)));
        places.push(name);
    }
    if new_host_keys == NewHostKeys::Ask {
        host_keys::settle(targets, reporter).await?;
    }
    let mut seen = login::look(&links, &wanted::question(None, None)?, reporter).await?;
    let mut all = Vec::new();
    let mut lost = Vec::new();
    for (machine, place) in given.iter().zip(places) {
        match seen.remove(&place) {
            Some(Observation::Facts(facts)) => all.push((machine.clone(), *facts)),
            _ => lost.push(machine.address.to_string()),
        }
    }
    if !lost.is_empty() {
        let message = format!("no inventory was written: {} can't be reached", lost.join(", "));
        return Err(Failure::new(ExitStatus::Unreachable, message, "mend what is named above, or leave the machine out").into());
    }
    named(all)
}

fn numbered(index: usize) -> Result<MachineName> {
    MachineName::new(&format!("machine-{}", index + 1)).context("a number makes a name")
}

/// Host names that an installer gives to every machine.
const COMMON: &[&str] = &["localhost", "debian", "ubuntu", "raspberrypi", "server", "host"];

/// Names for machines: what the user said, else the first label of a machine's own host name where that tells it from the others, else
/// a number.
fn named(machines: Vec<(Given, Facts)>) -> Result<Vec<Found>> {
    let own = |facts: &Facts| facts.hostname.split('.').next().map(str::to_ascii_lowercase).and_then(|label| MachineName::new(&label));
    let mut taken: BTreeMap<MachineName, usize> = BTreeMap::new();
    for (given, facts) in &machines {
        if let Some(name) = given.name.clone().or_else(|| own(facts)) {
            *taken.entry(name).or_default() += 1;
        }
    }
    let free = |name: &MachineName| taken.get(name) == Some(&1) && !COMMON.contains(&name.as_str());
    let name = |(index, (given, facts)): (usize, (Given, Facts))| {
        let name = match given.name {
            Some(name) => name,
            None => own(&facts).filter(free).map_or_else(|| numbered(index), Ok)?,
        };
        Ok(Found { name, address: given.address, facts })
    };
    machines.into_iter().enumerate().map(name).collect()
}

/// What was found, a row a machine. `now`: seconds since the epoch by this computer's clock.
fn rows(found: &[Found], user: &str, now: i64) -> Vec<Vec<String>> {
    let mut rows = vec![row!["MACHINE", "ADDRESS", "SYSTEM", "CPUS", "MEMORY", "DISK FREE", "MAC", "CLOCK", "SUDO", "ON IT"]];
    for Found { name, address, facts } in found {
        rows.push(row![
            name,
            address,
            format!("{} {}", facts.os_name, facts.arch),
            facts.cpus,
            size(facts.memory),
            format!("{} of {}", size(facts.disk_free), size(facts.disk_size)),
            facts.macs.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
            clock(facts, now),
            // The facts came through it.
            if user == "root" { "is root" } else { "works" },
            on_it(facts),
        ]);
    }
    rows
}

fn size(kib: u64) -> String {
    quantity::size(kib.saturating_mul(1024))
}

fn clock(facts: &Facts, now: i64) -> String {
    let off = facts.clock - now;
    let kept = if facts.clock_synchronized { "" } else { ", not kept" };
    match off {
        // The look itself takes a moment.
        -5..=5 => format!("right{kept}"),
        _ => format!("{} s {}{kept}", off.abs(), if off > 0 { "ahead" } else { "behind" }),
    }
}

/// What is on the machine that hostler would meet.
fn on_it(facts: &Facts) -> String {
    let mut there = facts.foreign.clone();
    let kubernetes = &facts.kubernetes;
    if kubernetes.joined {
        let role = if kubernetes.control_plane { "control plane" } else { "worker" };
        there.push(match &kubernetes.server {
            Some(server) => format!("a {role} of {server}"),
            None => format!("a {role} of some cluster"),
        });
    } else if !kubernetes.leftovers.is_empty() {
        there.push("an earlier cluster's leftovers".to_owned());
    }
    if !facts.swap.is_empty() {
        there.push("swap".to_owned());
    }
    if there.is_empty() { "nothing".to_owned() } else { there.join(", ") }
}

/// The inventory's text, for a reader who never saw one.
fn inventory(found: &[Found], user: &str) -> String {
    let mut text = String::from(
        "# The machines that hostler tends. `hostler plan` shows what it would do to them, `hostler up` does it.\n\n\
         # Who logs in. What else SSH needs is taken from ~/.ssh/config.\nssh:\n",
    );
    text += &format!("  user: {}\n\n", scalar(user));
    text += "# The first is the control plane. Every machine carries work.\nmachines:\n";
    for Found { name, address, facts } in found {
        let [memory, disk] = [facts.memory, facts.disk_size].map(size);
        text += &format!("  # {}, {}, {memory} of memory, {disk} of disk\n", one_line(&facts.os_name), counted_cpus(facts.cpus));
        let name = scalar(name.as_str());
        let mut macs = facts.macs.iter();
        text += &match (macs.next(), macs.next()) {
            (Some(mac), None) => {
                format!("  {name}:\n    address: {}\n    mac: {}\n", scalar(&address.to_string()), scalar(mac))
            }
            // Of several nobody can say which one wakes the machine.
            _ => format!("  {name}: {}\n", scalar(&address.to_string())),
        };
    }
    text
}

/// A comment must not end before its line does.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn counted_cpus(count: u32) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), "CPU")
}

/// `text` as a YAML scalar: plain where nobody could read it as anything but this text.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        && !["yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str())
        && matches!(serde_yaml::from_str(text), Ok(serde_yaml::Value::String(read)) if read == text);
    // A JSON string is a YAML one.
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

fn create(file: &Path, text: &str) -> Result<()> {
    let written = std::fs::File::create_new(file).and_then(|mut open| open.write_all(text.as_bytes()));
    written.with_context(|| format!("{} can't be written", file.display()))
}

#[cfg(test)]
mod tests;
