//! A plan as a person reads it.

use std::collections::BTreeSet;

use console::measure_text_width;
use hostler_core::inventory::MachineName;
use hostler_core::plan::{Finding, Plan, Step};
use hostler_core::step::Stage;
use hostler_core::visible::visible;
use hostler_core::words::{and, counted};

use super::commands::Commands;
use super::paint::Paint;
use super::wrap;

/// How much of a plan is shown, and how wide.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Columns.
    pub width: usize,
    pub detail: Detail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// A long plan is grouped: what machines do together shares a line, without the reasons.
    Grouped,
    /// Every step with its reason.
    Whole,
}

/// What several machines share.
struct Line<'a> {
    machines: Vec<&'a MachineName>,
    text: String,
}

/// A plan of at most so many lines is never grouped: it is read for its reasons.
const SHORT: usize = 12;

impl Layout {
    /// For a log, which has no width and leaves nothing out.
    pub const LOG: Layout = Layout { width: usize::MAX, detail: Detail::Whole };

    /// As wide as the terminal that standard output is. What goes elsewhere is searched rather than looked at: a line an entry, all of it.
    pub fn of_terminal(detail: Detail) -> Layout {
        wrap::width(&console::Term::stdout()).map_or(Layout::LOG, |width| Layout { width, detail })
    }
}

/// The plan by stage; what was found, what is refused and what to know, each with its hint; and a summary. Ends with a newline.
pub fn plan_text(plan: &Plan, layout: Layout, paint: Paint, commands: &Commands) -> String {
    let stages: Vec<(&str, Vec<Line>)> = Stage::ALL
        .iter()
        .map(|(stage, title)| (*title, lines(plan.steps.iter().filter(|step| step.stage == *stage))))
        .filter(|(_, lines)| !lines.is_empty())
        .collect();
    let grouped = layout.detail == Detail::Grouped && stages.iter().map(|(_, lines)| lines.len()).sum::<usize>() > SHORT;
    let mut text = if grouped { groups(plan, layout, paint) } else { whole(&stages, layout, paint) };
    text.push_str(&findings(plan, layout, paint));
    for refusal in &plan.refusals {
        text.push_str(&marked(layout, &paint.bad("refused:"), &format!("{}: {}", subject(&refusal.machine), refusal.why)));
        text.push_str(&marked(layout, &format!("  {}", paint.hint("hint:")), &commands.complete(&refusal.hint.to_string())));
    }
    for warning in &plan.warnings {
        text.push_str(&marked(
            layout,
            &paint.odd("warning:"),
            &format!("{}: {}", subject(&warning.machine), commands.complete(&warning.text)),
        ));
    }
    if !(plan.refusals.is_empty() && plan.warnings.is_empty() && plan.findings.is_empty()) {
        text.push('\n');
    }
    let more = if grouped { "; `--verbose` shows every step and its reason" } else { "" };
    text.push_str(&wrapped(layout, "", "", &format!("{}{more}", summary(plan))));
    text
}

/// Every step with its reason. Machines for which one stage holds the same reason and action share a line.
fn whole(stages: &[(&str, Vec<Line>)], layout: Layout, paint: Paint) -> String {
    let mut text = String::new();
    for (title, lines) in stages {
        text.push_str(&format!("{}\n", paint.title(title)));
        for Line { machines, text: line } in lines {
            text.push_str(&wrapped(layout, "  ", "      ", &format!("{}: {line}", and(machines))));
        }
        text.push('\n');
    }
    text
}

/// A line for the machines that do the same in a stage: what they do, in short.
fn groups(plan: &Plan, layout: Layout, paint: Paint) -> String {
    let all: BTreeSet<&MachineName> = plan.steps.iter().map(|step| &step.id.machine).collect();
    let who = |machines: &[&MachineName]| match machines.len() {
        count if count > 2 && count == all.len() => format!("all {count} machines"),
        _ => and(machines),
    };
    let titles = Stage::ALL.iter().map(|(_, title)| measure_text_width(title)).max().unwrap_or(0);
    let mut text = String::new();
    for (stage, title) in Stage::ALL {
        let steps: Vec<&Step> = plan.steps.iter().filter(|step| step.stage == *stage).collect();
        for (number, (machines, what)) in grouped(&steps).into_iter().enumerate() {
            let head = if number == 0 { *title } else { "" };
            // The title is painted once its width no longer counts.
            let first = format!("{head:<titles$}  ");
            let line = wrapped(layout, &first, &" ".repeat(titles + 4), &format!("{}: {}", who(&machines), what.join(", ")));
            text.push_str(&line.replacen(head, &paint.title(head), 1));
        }
    }
    text.push('\n');
    text
}

/// The machines that are for the same kinds of steps, and what those do.
fn grouped<'a>(steps: &[&'a Step]) -> Vec<(Vec<&'a MachineName>, Vec<&'static str>)> {
    let mut each: Vec<(&MachineName, Vec<&'static str>)> = Vec::new();
    for step in steps {
        let title = step.id.kind.title();
        match each.iter_mut().find(|(machine, _)| **machine == step.id.machine) {
            Some((_, titles)) => titles.push(title),
            None => each.push((&step.id.machine, vec![title])),
        }
    }
    let mut groups: Vec<(Vec<&MachineName>, Vec<&'static str>)> = Vec::new();
    for (machine, titles) in each {
        match groups.iter_mut().find(|(_, known)| *known == titles) {
            Some((machines, _)) => machines.push(machine),
            None => groups.push((vec![machine], titles)),
        }
    }
    groups
}

/// What no step, refusal or warning tells; machines on which the same was found share a line.
fn findings(plan: &Plan, layout: Layout, paint: Paint) -> String {
    let mut found = Vec::new();
    for Finding { machine, what, place, matters, then } in &plan.findings {
        share(&mut found, machine, format!("{what} ({place}): {matters}; {then}"));
    }
    found.iter().map(|Line { machines, text }| marked(layout, &paint.odd("found:"), &format!("{}: {text}", and(machines)))).collect()
}

/// `57 steps on 3 machines, 1 refusal`, or that there is nothing to do; and which machines were not reached.
pub fn summary(plan: &Plan) -> String {
    let lost: Vec<&MachineName> = plan.unreachable.iter().map(|lost| &lost.machine).collect();
    let none_reached = plan.reached == 0 && !lost.is_empty() && plan.steps.is_empty() && plan.refusals.is_empty();
    let machines: BTreeSet<_> = plan.steps.iter().map(|step| &step.machine).collect();
    let refusals = counted(plan.refusals.len(), "refusal");
    let mut parts = match (plan.steps.len(), plan.refusals.is_empty()) {
        (0, true) if plan.unreachable.is_empty() => vec!["up to date, nothing to do".to_owned()],
        (0, true) if none_reached => vec![format!("no plan: {} can't be reached", and(&lost))],
        (0, true) => vec!["nothing to do on the reachable machines".to_owned()],
        (0, false) => vec![format!("no steps: blocked by {refusals}")],
        (steps, true) => vec![format!("{} on {}", counted(steps, "step"), counted(machines.len(), "machine"))],
        (steps, false) => vec![format!("{} on {}", counted(steps, "step"), counted(machines.len(), "machine")), refusals],
    };
    parts.extend((!plan.warnings.is_empty()).then(|| counted(plan.warnings.len(), "warning")));
    let lost = if lost.is_empty() || none_reached { String::new() } else { format!("; unreachable: {}", and(&lost)) };
    format!("{}{lost}", parts.join(if none_reached { "; " } else { ", " }))
}

/// The lines of steps and the machines that share them, both in the order of the plan.
fn lines<'a>(steps: impl Iterator<Item = &'a Step>) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    for step in steps {
        share(&mut lines, &step.machine, step.line());
    }
    lines
}

/// Adds the machine to those of the line, unless it has the line already: a machine that does the same twice has two.
fn share<'a>(lines: &mut Vec<Line<'a>>, machine: &'a MachineName, text: String) {
    let text = visible(&text).into_owned();
    match lines.iter_mut().find(|line| line.text == text && !line.machines.contains(&machine)) {
        Some(line) => line.machines.push(machine),
        None => lines.push(Line { machines: vec![machine], text }),
    }
}

/// A line that begins with a word of its own, `refused:`.
fn marked(layout: Layout, mark: &str, text: &str) -> String {
    wrapped(layout, &format!("{mark} "), "    ", &visible(text))
}

/// `text` behind `first`; what does not fit the width goes on behind `rest`. Ends with a newline.
fn wrapped(layout: Layout, first: &str, rest: &str, text: &str) -> String {
    wrap::wrapped(first, rest, text, (layout.width != usize::MAX).then_some(layout.width)) + "\n"
}

fn subject(machine: &Option<MachineName>) -> &str {
    machine.as_ref().map_or("cluster", |machine| machine.as_str())
}
