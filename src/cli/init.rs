//! `hostler init`: inspects machines and generates their inventory.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use hostler_core::facts::{Facts, Observation};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::{Connection, MachineName, is_user, parse, shown};
use hostler_core::plan::wanted;
use hostler_core::quantity;
use hostler_core::visible::visible;
use hostler_core::words::counted;

mod adopt;

use super::arguments::Connecting;
use super::help;
use crate::connect::{host_keys, login};
use crate::event::Event;
use crate::execute::Link;
use crate::report::{Reporter, row, table};
use crate::ssh::{self, NewHostKeys};
use crate::user_file::Destination;

/// Inspect machines and generate an inventory
///
/// Logs in to each machine, shows what it found, and writes the inventory. Nothing is changed on the machines.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[
        ("Three machines; the first becomes the control plane", "hostler init --user ada 192.168.1.11 192.168.1.12 192.168.1.13"),
        ("With names", "hostler init twilightsparkle=192.168.1.11 rainbowdash=192.168.1.12"),
        ("On a new computer, for an existing cluster", "hostler init --user ada --adopt 192.168.1.11"),
    ],
    help::REMOTE,
))]
pub struct Arguments {
    /// Addresses of the machines, or NAME=ADDRESS; the first becomes the control plane [default: ask]
    #[arg(value_name = "[NAME=]ADDRESS")]
    machines: Vec<String>,
    /// Fetch an existing cluster's copy of its inventory, from the control plane at this address
    #[arg(long, value_name = "ADDRESS", conflicts_with = "machines", value_parser = address)]
    adopt: Option<IpAddr>,
    /// User to log in to the machines as: root, or a user who may use sudo [default: ask]
    #[arg(long, short, value_parser = user)]
    user: Option<String>,
    /// Path of the inventory to write, `-` for standard output
    #[arg(long, short, value_name = "FILE", default_value = "inventory.yaml")]
    inventory: PathBuf,
    /// Write the inventory without asking
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    connecting: Connecting,
}

/// A machine as given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Given {
    name: Option<MachineName>,
    address: IpAddr,
}

/// A machine that was inspected.
struct Found {
    name: MachineName,
    address: IpAddr,
    facts: Facts,
}

/// # Errors
/// The file exists already, a machine can't be reached, or the user declined.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<()> {
    let file = &arguments.inventory;
    let place = Destination::new_file(file)?;
    let asker = reporter.asker();
    let given = match (arguments.adopt, arguments.machines.as_slice()) {
        (Some(address), _) => vec![Given { name: None, address }],
        (None, []) => loop {
            let otherwise = "pass the machines: `hostler init --user USER ADDRESS...`";
            let line = asker.text("addresses of the machines, control plane first", None, otherwise).await?;
            let words: Vec<String> = line.split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_owned).collect();
            match given(&words) {
                Ok(given) => break given,
                Err(error) => reporter.events().send(Event::Warning { line: error.to_string() }),
            }
        },
        (None, words) => given(words)?,
    };
    let login = match &arguments.user {
        Some(user) => user.clone(),
        None => loop {
            let question = "user name on the machines (root, or a user with sudo rights)";
            match user(&asker.text(question, Some("root"), "pass `--user USER`").await?) {
                Ok(user) => break user,
                Err(line) => reporter.events().send(Event::Warning { line }),
            }
        },
    };
    let found = observe(&given, &login, arguments.connecting.new_host_keys(), reporter).await?;
    if let (Some(address), [one]) = (arguments.adopt, found.as_slice()) {
        return adopt::adopt((address, &login, &one.facts), (file, place), arguments.yes, reporter).await;
    }
    let table = table(&rows(&found, &login, jiff::Timestamp::now().as_second()));
    one_each(&found)?;
    let text = inventory(&found, &login)?;
    if let Destination::Stdout | Destination::Stream(_) = place {
        reporter.events().send(Event::Note { line: table });
        return place.write(text.as_bytes(), 0o644).with_context(|| format!("{} can't be written", file.display()));
    }
    reporter.result(&table).await;
    if !arguments.yes {
        agreed(file, found.len(), "pass `--yes` to write the inventory without asking", reporter).await?;
    }
    place.write(text.as_bytes(), 0o644).with_context(|| format!("{} can't be written", file.display()))?;
    let wrote = format!(
        "wrote {}; `hostler plan` shows what `hostler up` would do\nreserve each address for its MAC address in the router: a cluster's machines must keep \
         their addresses",
        file.display()
    );
    reporter.result(&wrote).await;
    Ok(())
}

/// Asks whether to write `file` with so many machines. `otherwise`: what to do where there is no terminal.
///
/// # Errors
/// The user declined, or can't be asked.
async fn agreed(file: &Path, machines: usize, otherwise: &str, reporter: &Reporter) -> Result<()> {
    let question = format!("write {} with {}?", file.display(), counted(machines, "machine"));
    if reporter.asker().yes_no(&question, otherwise).await? {
        return Ok(());
    }
    Err(Failure::new(ExitStatus::Failed, format!("{} was not written", file.display()), "").into())
}

fn user(text: &str) -> Result<String, String> {
    if is_user(text) { Ok(text.to_owned()) } else { Err(format!("`{}` is not a valid user name", shown(text))) }
}

const AN_ADDRESS: &str = "pass an IPv4 address like 192.168.1.11, or an IPv6 address";

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("it is not an IP address: {AN_ADDRESS}"))
}

/// Reads `ADDRESS` and `NAME=ADDRESS` words.
fn given(words: &[String]) -> Result<Vec<Given>> {
    let usage = |message: String, hint: &str| Failure::new(ExitStatus::Usage, message, hint);
    let mut machines: Vec<Given> = Vec::new();
    for word in words {
        let (name, address) = word.split_once('=').map_or((None, word.as_str()), |(name, address)| (Some(name), address));
        let address: IpAddr = address.parse().map_err(|_| usage(format!("`{address}` is not an IP address"), AN_ADDRESS))?;
        let name = name
            .map(|name| {
                let hint = "use at most 63 characters from a-z, 0-9 and `-`, with a letter or digit at both ends";
                MachineName::new(name).ok_or_else(|| usage(format!("`{name}` is not a valid machine name"), hint))
            })
            .transpose()?;
        if let Some(twice) = machines.iter().find(|other| other.address == address) {
            return Err(usage(format!("the address {} is given twice", twice.address), "pass each machine once").into());
        }
        if let Some(twice) = machines.iter().find(|other| name.is_some() && other.name == name) {
            let name = name.map(|name| name.to_string()).unwrap_or_default();
            let what = format!("the name `{name}` is given to both {} and {address}", twice.address);
            return Err(usage(what, "give each machine its own name").into());
        }
        machines.push(Given { name, address });
    }
    if machines.is_empty() {
        return Err(usage("no machine was given".to_owned(), "run `hostler init --user USER ADDRESS...`").into());
    }
    // What is to be written of them is read before anything is asked of them.
    let named =
        machines.iter().enumerate().map(|(index, given)| Ok((given.name.clone().map_or_else(|| numbered(index), Ok)?, given.address)));
    subnets(&named.collect::<Result<Vec<_>>>()?)?;
    Ok(machines)
}

/// Subnets to choose from where the default ones don't fit: none is written if they do.
const SUBNETS: [&str; 5] = [
    "",
    "cluster:\n  podSubnet: 172.20.0.0/16\n  serviceSubnet: 172.21.0.0/16\n",
    "cluster:\n  podSubnet: 192.168.0.0/17\n  serviceSubnet: 192.168.192.0/18\n",
    "cluster:\n  podSubnet: 10.200.0.0/16\n  serviceSubnet: 10.201.0.0/16\n",
    "cluster:\n  podSubnet: fd00:244::/56\n  serviceSubnet: fd00:96::/112\n",
];

/// The section `cluster` of an inventory with these machines, empty if it needs none: the first with which hostler reads it.
///
/// # Errors
/// A [`Failure`] with [`ExitStatus::Usage`]: hostler would not read an inventory with them, whatever the subnets.
fn subnets(machines: &[(MachineName, IpAddr)]) -> Result<&'static str> {
    let lines: String =
        machines.iter().map(|(name, address)| format!("  {}: {}\n", scalar(name.as_str()), scalar(&address.to_string()))).collect();
    let mut first = None;
    for section in SUBNETS {
        match parse(&format!("{section}machines:\n{lines}"), "these machines") {
            Ok(_) => return Ok(section),
            Err(problems) => drop(first.get_or_insert(problems)),
        }
    }
    let what = first.and_then(|problems| problems.problems().first().map(|problem| problem.message.clone())).unwrap_or_default();
    let hint = "pass the machines' addresses in your network, all IPv4 or all IPv6, and do not name a machine `localhost`";
    Err(Failure::new(ExitStatus::Usage, format!("hostler can't use these machines: {what}"), hint).into())
}

/// Whether each is a machine of its own: one computer may have several addresses.
///
/// # Errors
/// A [`Failure`] with [`ExitStatus::Usage`]: two have the same network card.
fn one_each(found: &[Found]) -> Result<()> {
    for (index, one) in found.iter().enumerate() {
        for other in &found[index + 1..] {
            if let Some(mac) = one.facts.macs.intersection(&other.facts.macs).next() {
                let message = format!("{} and {} are the same machine: both have the MAC address {mac}", one.name, other.name);
                return Err(Failure::new(ExitStatus::Usage, message, "pass each machine once, with one of its addresses").into());
            }
        }
    }
    Ok(())
}

/// Gathers the facts of every machine.
async fn observe(given: &[Given], user: &str, new_host_keys: NewHostKeys, reporter: &Reporter) -> Result<Vec<Found>> {
    let access = Arc::new(ssh::Access::new(new_host_keys, reporter.asker(), reporter.redactor()));
    let connection = Connection { user: Some(user.to_owned()), ..Connection::default() };
    let mut links = BTreeMap::new();
    let (mut places, mut targets) = (Vec::new(), Vec::new());
    for (index, machine) in given.iter().enumerate() {
        let name = match &machine.name {
            Some(name) => name.clone(),
            None => numbered(index)?,
        };
        let of_no_inventory = |target| ssh::Target { in_inventory: false, ..target };
        let target = of_no_inventory(ssh::Target::new(name.as_str(), &machine.address.to_string(), &connection)?);
        targets.push(target.clone());
        links.insert(name.clone(), Arc::new(Link::new(target, access.clone(), None)));
        places.push(name);
    }
    if new_host_keys == NewHostKeys::Ask {
        host_keys::settle(targets, reporter).await?;
    }
    let mut seen = login::observe(&links, &wanted::question(None, None, Vec::new())?, reporter).await?;
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
        return Err(Failure::new(
            ExitStatus::Unreachable,
            message,
            match given {
                [_] => "fix the problem reported above",
                _ => "fix the problems reported above, or omit the machines that can't be reached",
            },
        )
        .into());
    }
    named(all)
}

fn numbered(index: usize) -> Result<MachineName> {
    MachineName::new(&format!("machine-{}", index + 1)).context("the name is valid")
}

/// Host names that installers give to every machine.
const COMMON: &[&str] = &["localhost", "debian", "ubuntu", "raspberrypi", "server", "host"];

/// Names for machines: as given, else the first label of a machine's own host name if it is unique, else a number.
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

/// A row per machine. `now`: seconds since the epoch by this computer's clock.
fn rows(found: &[Found], user: &str, now: i64) -> Vec<Vec<String>> {
    let mut rows = vec![row!["MACHINE", "ADDRESS", "SYSTEM", "CPUS", "MEMORY", "DISK FREE", "MAC", "CLOCK", "SUDO", "FOUND"]];
    for Found { name, address, facts } in found {
        rows.push(row![
            name,
            address,
            format!("{} {}", facts.os_name, facts.arch.map_or(facts.machine.as_str(), |arch| arch.name())),
            facts.cpus,
            size(facts.memory),
            format!("{} of {}", size(facts.disk_free), size(facts.disk_size)),
            facts.macs.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
            clock(facts, now),
            // The facts were gathered through it.
            if user == "root" { "not needed" } else { "works" },
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
    let kept = if facts.clock_synchronized { "" } else { ", not synchronized" };
    match off {
        // Gathering facts takes a moment.
        -5..=5 => format!("ok{kept}"),
        _ => format!("{} s {}{kept}", off.abs(), if off > 0 { "ahead" } else { "behind" }),
    }
}

/// What is on the machine already that matters to hostler.
fn on_it(facts: &Facts) -> String {
    let mut there = facts.foreign.clone();
    let kubernetes = &facts.kubernetes;
    if kubernetes.joined {
        let role = if kubernetes.control_plane { "control plane" } else { "worker" };
        there.push(match &kubernetes.server {
            Some(server) => format!("{role} of {server}"),
            None => format!("{role} of a cluster"),
        });
    } else if !kubernetes.leftovers.is_empty() {
        there.push("state of an earlier cluster".to_owned());
    }
    if !facts.swap.is_empty() {
        there.push("swap".to_owned());
    }
    if there.is_empty() { "nothing".to_owned() } else { there.join(", ") }
}

/// The inventory's text, with comments for a first-time reader.
///
/// # Errors
/// A [`Failure`] with [`ExitStatus::Usage`]: hostler itself would not read it.
fn inventory(found: &[Found], user: &str) -> Result<String> {
    let machines: Vec<(MachineName, IpAddr)> = found.iter().map(|found| (found.name.clone(), found.address)).collect();
    let cluster = subnets(&machines)?;
    let mut text = String::from(
        "# The machines of the cluster. `hostler plan` shows the changes, `hostler up` applies them. An editor that knows YAML checks this file\n\
         # after `hostler schema > schema.json`, with a line `# yaml-language-server: $schema=schema.json`.\n\n\
         # The user who logs in. Other SSH settings come from ~/.ssh/config.\nssh:\n",
    );
    text += &format!("  user: {}\n\n", scalar(user));
    if !cluster.is_empty() {
        text += &format!("# The default subnets overlap with the addresses of these machines.\n{cluster}\n");
    }
    text += "# Pods run on all machines.\nmachines:\n";
    // Of machines that have a cluster, theirs are the control planes; of new ones it is the first.
    let exists = found.iter().any(|one| one.facts.kubernetes.control_plane);
    for (number, Found { name, address, facts }) in found.iter().enumerate() {
        let control_plane = if exists { facts.kubernetes.control_plane } else { number == 0 };
        let role = if control_plane { "control-plane" } else { "worker" };
        let [memory, disk] = [facts.memory, facts.disk_size].map(size);
        text += &format!("  # {}, {}, {memory} of memory, {disk} of disk\n", visible(&facts.os_name), counted_cpus(facts.cpus));
        let name = scalar(name.as_str());
        let mut macs = facts.macs.iter();
        text += &format!("  {name}:\n    address: {}\n    role: {role}\n", scalar(&address.to_string()));
        // Of several, it is unknown which one belongs to the address.
        if let (Some(mac), None) = (macs.next(), macs.next()) {
            text += &format!("    mac: {}\n", scalar(mac));
        }
    }
    parse(&text, "the generated inventory").map_err(|problems| {
        Failure::new(
            ExitStatus::Usage,
            problems.to_string().trim_end(),
            "write the inventory by hand: docs/inventory.md describes all \
            keys",
        )
    })?;
    Ok(text)
}

fn counted_cpus(count: u32) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), "CPU")
}

/// `text` as a YAML scalar: plain if every parser reads it as this text.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        && !["yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str())
        && matches!(serde_yaml::from_str(text), Ok(serde_yaml::Value::String(read)) if read == text);
    // A JSON string is a YAML one.
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests;
