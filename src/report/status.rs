//! The status as text.

use std::collections::BTreeSet;

use hostler_core::health::{MachineFacts, MachineStatus, MemberStatus, NodeStatus, Problem, Status};
use hostler_core::quantity::{age, size_of};
use hostler_core::visible::visible;
use hostler_core::words::in_days;

use super::Paint;
use super::commands::Commands;
use super::table::{row, table};
use super::wrap;

/// Machines, nodes, members, certificates and drift, then problems, and last the next command. Sentences are wrapped at `width` columns, if it
/// is known. Ends with a newline.
pub fn status_text(status: &Status, paint: Paint, width: Option<usize>, commands: &Commands) -> String {
    let mut text = machines(&status.machines, paint);
    text.push('\n');
    if !status.nodes.is_empty() {
        text.push_str(&nodes(&status.nodes, paint));
        text.push('\n');
    }
    let mut facts = vec![];
    if status.no_cluster {
        facts.push(row!["API server", paint.bad("none: there is no cluster yet")]);
    } else if status.api_down.is_some() {
        let read = status.machines.iter().any(|machine| machine.facts.is_some());
        let rest = if read { "; the rest of this output was read from the machines directly" } else { "" };
        facts
            .push(row!["API server", paint.bad(&format!("{}{rest}", if status.api_denied { "denies admin.conf access" } else { "down" }))]);
    }
    if !status.members.is_empty() {
        facts.push(row!["etcd", members(&status.members, paint)]);
    }
    let mut kinds = BTreeSet::new();
    for first in status.certificates.iter().filter(|certificate| kinds.insert(certificate.kind)) {
        let when = if first.days < 0 { "has expired".to_owned() } else { format!("expires {}", in_days(first.days)) };
        let head = if facts.iter().any(|row: &Vec<String>| row[0] == "certificates") { "" } else { "certificates" };
        facts.push(row![head, format!("{} of {} {when}", visible(&first.name), first.machine)]);
    }
    let reached = status.machines.iter().any(|machine| machine.role == "control-plane" && machine.facts.is_some());
    let none = if reached { "none" } else { "unknown: no control plane was reached" };
    facts.push(row!["snapshot", status.snapshot_age.map_or(none.to_owned(), |seconds| format!("{} old", age(seconds.unsigned_abs())))]);
    facts.push(row!["drift", drift(status)]);
    let due = status.machines.iter().filter_map(reboot_due).collect::<Vec<_>>();
    if !due.is_empty() {
        facts.push(row!["reboot due", format!("{}; `hostler reboot` reboots one machine at a time", due.join(", "))]);
    }
    text.push_str(&wrap::lines(&table(&facts), width));
    text.push('\n');
    if status.healthy {
        text.push_str(&paint.good("healthy"));
        text.push('\n');
        return text;
    }
    let mut sentence =
        |mark: &str, sentence: &str| text.push_str(&wrap::lines(&format!("{mark} {}\n", commands.complete(&visible(sentence))), width));
    for problem in &status.problems {
        sentence(&paint.bad("!"), &problem.to_string());
        // What the connection itself knows is closer to the cause than what to do next.
        if let Problem::Unreachable { machine, .. } = problem
            && let Some(hint) = status.machines.iter().find(|status| status.name == *machine).and_then(|status| status.hint.as_ref())
        {
            sentence(&format!("  {}", paint.hint("hint:")), hint);
        }
    }
    if let Some(next) = &status.next {
        sentence(&paint.hint("next:"), &next.to_string());
    }
    text
}

/// `rainbowdash for 3d (linux-image-amd64)`.
fn reboot_due(machine: &MachineStatus) -> Option<String> {
    let facts = machine.facts.as_ref()?;
    let (due, seconds) = (facts.reboot_due.as_ref()?, facts.reboot_due_for?);
    let by = if due.by.is_empty() { String::new() } else { format!(" ({})", visible(&due.by)) };
    Some(format!("{} for {}{by}", machine.name, age(seconds.unsigned_abs())))
}

fn machines(machines: &[MachineStatus], paint: Paint) -> String {
    let warm = machines.iter().any(|machine| machine.facts.as_ref().is_some_and(|facts| facts.temperature.is_some()));
    let mut header = row!["MACHINE", "ROLE", "VERSION", "DISK FREE", "MEM FREE", "LOAD", "UP"];
    if warm {
        header.push("TEMP".to_owned());
    }
    let mut rows = vec![header];
    for machine in machines {
        let Some(facts) = &machine.facts else {
            rows.push(row![machine.name, machine.role, paint.bad("unreachable")]);
            continue;
        };
        let MachineFacts { version, disk_free, disk_size, memory_available, memory, load, cpus, temperature, uptime, .. } = facts;
        let version = if version.is_empty() { "-".into() } else { visible(version) };
        let load = visible(load);
        let disk = free(*disk_free, *disk_size);
        let ram = free(*memory_available, *memory);
        let mut row = row![machine.name, machine.role, version, disk, ram, format!("{load}/{cpus}"), age(*uptime)];
        if warm {
            row.push(temperature.map(|degrees| format!("{degrees}°C")).unwrap_or_default());
        }
        rows.push(row);
    }
    table(&rows)
}

fn nodes(nodes: &[NodeStatus], paint: Paint) -> String {
    let mut rows = vec![row!["NODE", "STATUS", "VERSION", ""]];
    for node in nodes {
        let ready = if node.ready { paint.good("Ready") } else { paint.bad("NotReady") };
        let cordoned = if node.cordoned { ", cordoned" } else { "" };
        let unlisted = if node.in_inventory { "" } else { "not in the inventory" };
        rows.push(row![visible(&node.name), format!("{ready}{cordoned}"), visible(&node.version), unlisted]);
    }
    table(&rows)
}

fn members(members: &[MemberStatus], paint: Paint) -> String {
    let healthy = members.iter().filter(|member| member.healthy && !member.learner).count();
    let text = format!("{healthy} of {} members healthy", members.len());
    if healthy == members.len() { text } else { paint.bad(&text) }
}

fn drift(status: &Status) -> String {
    let Some(drift) = &status.drift else {
        return "unknown".to_owned();
    };
    let first = visible(drift.first.as_deref().unwrap_or_default());
    if !(drift.differs || drift.steps == 0) {
        return "none, but the cluster is yet to be verified".to_owned();
    }
    match (drift.steps, drift.refusals) {
        (0, 0) if status.machines.iter().any(|machine| machine.unreachable.is_some()) => "none on the reachable machines".to_owned(),
        (0, 0) => "none".to_owned(),
        (0, 1) => format!("1 refusal: {first}"),
        (0, refusals) => format!("{refusals} refusals, the first: {first}"),
        (1, _) => format!("1 step: {first}"),
        (steps, _) => format!("{steps} steps, the first: {first}"),
    }
}

/// `15/17 GB` of KiB: the table fits into 80 columns with it.
fn free(kib: u64, all: u64) -> String {
    size_of(kib.saturating_mul(1024), all.saturating_mul(1024)).replace(" of ", "/")
}
