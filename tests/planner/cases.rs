//! Plans as data: `tests/plan/NAME.yaml` says what is wanted and what is there, and `NAME.txt` has what comes of it. What is there is told
//! as what deviates from a cluster that hostler made. `UPDATE=1 cargo test --test planner` rewrites the plans; read each before it is committed.

use std::collections::BTreeSet;
use std::fs;

use hostler::report::{Commands, Layout, Paint, plan_text, status_text};
use hostler_core::health::status;
use hostler_core::plan::{Goal, Plan, plan_for};
use hostler_core::step::StepId;

use crate::case::{Case, cases_of, folder, inventory};

fn cases() -> Vec<(String, Case)> {
    cases_of("tests/plan")
}

/// What a person reads, the codes of the refusals, and of a short plan what each step waits for.
fn told(plan: &Plan) -> String {
    let mut text = plan_text(plan, Layout::LOG, Paint::wanted(false), &Commands::default());
    for refusal in &plan.refusals {
        text.push_str(&format!("code: {}\n", refusal.why.code()));
    }
    if (1..=17).contains(&plan.steps.len()) {
        text.push('\n');
        for step in &plan.steps {
            let needs: Vec<String> = step.needs.iter().map(StepId::to_string).collect();
            text.push_str(&format!("{} <- {}\n", step.id, if needs.is_empty() { "nothing".to_owned() } else { needs.join(", ") }));
        }
    }
    text
}

#[test]
fn every_case_comes_to_its_plan() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    let cases = cases();
    for (name, case) in &cases {
        let goal = case.goal();
        let plan =
            plan_for(&goal, &inventory(&case.inventory), &case.manifests(), &case.seen(&case.world(), &goal)).expect("templates fit");
        wrong.extend(crate::needs::needless(&plan).into_iter().map(|what| format!("{name}: {what}")));
        let text = told(&plan);
        let path = folder(&format!("tests/plan/{name}.txt"));
        if update {
            fs::write(&path, &text).expect("it can be written");
        }
        let known = fs::read_to_string(&path).unwrap_or_default();
        if known != text {
            wrong.push(format!("{name}.txt has\n{known}\nand this is\n{text}"));
        }
    }
    assert!(cases.len() >= 60, "there are {} cases", cases.len());
    assert!(wrong.is_empty(), "{}\nhint: UPDATE=1 cargo test --test planner, then read what changed", wrong.join("\n"));
}

/// `tests/status/NAME.yaml` is a case as those of plans, and `NAME.txt` what `status` says of it, as text and as JSON.
#[test]
fn every_status_is_as_it_was() {
    let mut wrong = Vec::new();
    let cases = cases_of("tests/status");
    for (name, case) in &cases {
        let (inventory, seen) = (inventory(&case.inventory), case.seen(&case.world(), &Goal::Up));
        let plan = plan_for(&Goal::Up, &inventory, &case.manifests(), &seen).expect("templates fit");
        let status = status(&inventory, &seen, Some(&plan), None);
        let json = serde_json::to_string_pretty(&status).expect("plain data");
        let text = format!("{}\n{json}\n", status_text(&status, Paint::wanted(false), None, &Commands::default()));
        let file = folder(&format!("tests/status/{name}.txt"));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&file, &text).expect("it can be written");
        }
        if fs::read_to_string(&file).unwrap_or_default() != text {
            wrong.push(format!("tests/status/{name}.txt is not\n{text}"));
        }
    }
    assert!(cases.len() >= 8, "there are {} cases", cases.len());
    assert!(wrong.is_empty(), "{}\nhint: UPDATE=1 cargo test --test planner, then read what changed", wrong.join("\n"));
}

/// A plan that was carried out leaves nothing to do; what was refused is refused still.
#[test]
fn every_case_comes_to_an_end() {
    let mut wrong = Vec::new();
    for (name, case) in cases().iter().filter(|(_, case)| case.can_be_followed()) {
        let inventory = inventory(&case.inventory);
        let mut goal = case.goal();
        let mut world = case.world();
        let mut refusals = Vec::new();
        for round in 0..4 {
            let plan = plan_for(&goal, &inventory, &case.manifests(), &case.seen(&world, &goal)).expect("templates fit");
            if round == 0 {
                case.meanwhile(&mut world);
            }
            let failed: Vec<String> = plan.steps.iter().filter_map(|step| world.apply(step).err()).collect();
            if !failed.is_empty() {
                wrong.push(format!("{name}, round {round}: {}", failed.join("; ")));
                break;
            }
            if plan.steps.is_empty() || goal.ends_off() {
                refusals = plan.refusals;
                break;
            }
            if round == 3 {
                wrong.push(format!("{name} still has {}", plan.steps.iter().map(|step| step.line()).collect::<Vec<_>>().join("; ")));
            }
            goal = goal.next_goal();
        }
        let first =
            plan_for(&case.goal(), &inventory, &case.manifests(), &case.seen(&case.world(), &case.goal())).expect("templates fit").refusals;
        if refusals.len() > first.len() {
            wrong.push(format!("{name}: in the end {refusals:?} is refused"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// docs/changes.md names a case in each row, and leaves none out of what drifts, changes, is out of reach, is cut or refused.
#[test]
fn the_table_of_changes_is_of_cases() {
    let text = fs::read_to_string(folder("docs/changes.md")).expect("it can be read");
    let named: BTreeSet<&str> =
        text.split("../tests/plan/").skip(1).filter_map(|rest| rest.split_once(".yaml)")).map(|(name, _)| name).collect();
    let known: Vec<String> = cases().into_iter().map(|(name, _)| name).collect();
    let unknown: Vec<&&str> = named.iter().filter(|name| !known.iter().any(|known| known == *name)).collect();
    assert!(unknown.is_empty(), "no cases: {unknown:?}");
    let subjects = ["drift-", "change-", "unreachable-", "half-", "refused-"];
    let left_out: Vec<&String> =
        known.iter().filter(|name| subjects.iter().any(|subject| name.starts_with(subject)) && !named.contains(name.as_str())).collect();
    assert!(left_out.is_empty(), "not in docs/changes.md: {left_out:?}");
    for row in text.lines().filter(|line| line.starts_with("| ") && !line.ends_with("| case |")) {
        assert!(row.contains("](../tests/plan/"), "this row names no case:\n{row}");
    }
}
