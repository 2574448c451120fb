//! A plan as a person reads it.

use std::collections::BTreeSet;

use hostler_core::inventory::MachineName;
use hostler_core::plan::{Finding, Plan, Step};
use hostler_core::step::Stage;
use hostler_core::words::counted;

use super::paint::Paint;
use super::table::{row, table};

/// The plan by stage, a line for what is to be done and why; what is refused and what to know, each with its way out; and a summary.
///
/// Machines for which one stage holds the same reason and action share a line. Ends with a newline.
pub fn plan_text(plan: &Plan, paint: Paint) -> String {
    let mut text = findings(plan, paint);
    for (stage, title) in Stage::ALL {
        let lines = folded(plan.steps.iter().filter(|step| step.stage == *stage));
        if lines.is_empty() {
            continue;
        }
        text.push_str(&format!("{}\n", paint.title(title)));
        for (machines, line) in lines {
            text.push_str(&format!("  {}: {line}\n", names(&machines)));
        }
        text.push('\n');
    }
    for refusal in &plan.refusals {
        text.push_str(&format!("{} {}: {}\n", paint.bad("refused:"), subject(&refusal.machine), refusal.why));
        text.push_str(&format!("  {} {}\n", paint.hint("hint:"), refusal.hint));
    }
    for warning in &plan.warnings {
        text.push_str(&format!("{} {}: {}\n", paint.odd("warning:"), subject(&warning.machine), warning.text));
    }
    if !(plan.refusals.is_empty() && plan.warnings.is_empty()) {
        text.push('\n');
    }
    text.push_str(&summary(plan));
    text.push('\n');
    text
}

/// What is odd about machines, as a table; machines about which the same is odd share a row. Nothing where all are as they should be.
fn findings(plan: &Plan, paint: Paint) -> String {
    let mut found: Vec<(Vec<&str>, [&str; 4])> = Vec::new();
    for Finding { machine, what, place, matters, then } in &plan.findings {
        let row = [what.as_str(), place, matters, then];
        match found.iter_mut().find(|(machines, known)| *known == row && !machines.contains(&machine.as_str())) {
            Some((machines, _)) => machines.push(machine.as_str()),
            None => found.push((vec![machine.as_str()], row)),
        }
    }
    if found.is_empty() {
        return String::new();
    }
    let mut rows = vec![row!["  MACHINE", "FOUND", "WHERE", "WHY IT MATTERS", "WHAT BECOMES OF IT"]];
    rows.extend(
        found.iter().map(|(machines, [what, place, matters, then])| row![format!("  {}", machines.join(", ")), what, place, matters, then]),
    );
    format!("{}\n{}\n", paint.title("found on the machines"), table(&rows))
}

/// `57 steps on 3 machines, 1 refusal`, or that there is nothing to do.
pub fn summary(plan: &Plan) -> String {
    let machines: BTreeSet<_> = plan.steps.iter().map(|step| &step.machine).collect();
    let mut parts = match (plan.steps.len(), plan.refusals.is_empty()) {
        (0, true) => vec!["nothing to do: all is as the inventory says".to_owned()],
        (0, false) => vec!["nothing that can be done".to_owned()],
        (steps, _) => vec![format!("{} on {}", counted(steps, "step"), counted(machines.len(), "machine"))],
    };
    parts.extend((!plan.refusals.is_empty()).then(|| counted(plan.refusals.len(), "refusal")));
    parts.extend((!plan.warnings.is_empty()).then(|| counted(plan.warnings.len(), "warning")));
    parts.join(", ")
}

/// The lines of steps and the machines that share them, both in the order of the plan.
fn folded<'a>(steps: impl Iterator<Item = &'a Step>) -> Vec<(Vec<&'a MachineName>, String)> {
    let mut lines: Vec<(Vec<&MachineName>, String)> = Vec::new();
    for step in steps {
        let line = step.line();
        // A machine that does the same twice has two lines.
        match lines.iter_mut().find(|(machines, known)| *known == line && !machines.contains(&&step.machine)) {
            Some((machines, _)) => machines.push(&step.machine),
            None => lines.push((vec![&step.machine], line)),
        }
    }
    lines
}

fn names(machines: &[&MachineName]) -> String {
    machines.iter().map(|machine| machine.as_str()).collect::<Vec<_>>().join(", ")
}

fn subject(machine: &Option<MachineName>) -> &str {
    machine.as_ref().map_or("cluster", |machine| machine.as_str())
}
