//! What a person sees of a plan, at 80 and 120 columns: `tests/screens/NAME-COLUMNS.txt`. `UPDATE=1 cargo test --test planner` rewrites
//! them; look at each before it is committed.

use std::fs;

use hostler::report::{Commands, Detail, Layout, Paint, plan_text};
use hostler_core::plan::plan_for;

use crate::case::{cases_of, folder, inventory};

/// Cases of tests/plan that are worth a look, and how much of each is shown.
const SCREENS: [(&str, Detail); 6] = [
    ("screen-five-fresh", Detail::Grouped),
    ("screen-five-fresh", Detail::Whole),
    ("found-dirty", Detail::Grouped),
    ("found-half-done", Detail::Grouped),
    ("change-everything", Detail::Grouped),
    ("refused-new-cluster-not-blank", Detail::Grouped),
];

#[test]
fn screens_are_as_they_were_looked_at() {
    let update = std::env::var_os("UPDATE").is_some();
    let cases = cases_of("tests/plan");
    let mut wrong = Vec::new();
    for (name, detail) in SCREENS {
        let (_, case) = cases.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("there is no case {name}"));
        let goal = case.goal();
        let seen = case.seen(&case.world(), &goal);
        let plan = plan_for(&goal, &inventory(&case.inventory), &case.manifests(), &seen).expect("templates fit");
        for width in [80, 120] {
            let text = plan_text(&plan, Layout { width, detail }, Paint::wanted(false), &Commands::default());
            let whole = if detail == Detail::Whole { "-verbose" } else { "" };
            let file = folder("tests/screens").join(format!("{name}{whole}-{width}.txt"));
            let wide = text.lines().filter(|line| line.chars().count() > width && line.contains(' ')).count();
            if wide > 0 {
                wrong.push(format!("{}: {wide} lines are wider than {width} columns", file.display()));
            }
            if update {
                fs::write(&file, &text).expect("it can be written");
            } else if fs::read_to_string(&file).unwrap_or_default() != text {
                wrong.push(format!("{} differs:\n{text}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn five_fresh_machines_fit_in_a_screen() {
    let text = fs::read_to_string(folder("tests/screens").join("screen-five-fresh-80.txt")).expect("it is there");
    assert!(text.lines().count() <= 40, "{} lines", text.lines().count());
}
