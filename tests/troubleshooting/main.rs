//! docs/troubleshooting.md quotes what hostler says. Its table of refusals is made from the refusals' type and from the plans of tests/plan:
//! `UPDATE=1` writes it. Its other quotes are found in the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::examples::{Example, examples};
use crate::literals::literals_of_sources;

mod examples;
#[path = "../literals/mod.rs"]
mod literals;

const DOCUMENT: &str = "docs/troubleshooting.md";
const BEGIN: &str = "<!-- written by tests/troubleshooting -->\n";
const END: &str = "\n## A step fails or waits";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document() -> String {
    fs::read_to_string(root().join(DOCUMENT)).expect("the document can be read")
}

/// As a code span in a table.
fn code_span(text: &str) -> String {
    let text = text.replace('|', "\\|");
    if text.starts_with('`') || text.ends_with('`') {
        format!("`` {text} ``")
    } else if text.contains('`') {
        format!("``{text}``")
    } else {
        format!("`{text}`")
    }
}

fn table() -> String {
    let mut rows = "\n| code | message | cause | what to do |\n|---|---|---|---|\n".to_owned();
    for Example { why, hint, cause, .. } in examples() {
        let hint = hint.to_string().replace('|', "\\|");
        rows.push_str(&format!("| `{}` | {} | {cause} | {hint} |\n", why.code(), code_span(&why.to_string())));
    }
    rows
}

/// What the plans of tests/plan refuse: code, message and hint, without the machine.
fn planned() -> BTreeSet<(String, String, String)> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root().join("tests/plan")).expect("tests/plan can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a plan can be read");
        let codes = text.lines().filter_map(|line| line.strip_prefix("code: "));
        let refused = text.lines().zip(text.lines().skip(1)).filter_map(|(refused, hint)| {
            let (_, why) = refused.strip_prefix("refused: ")?.split_once(": ")?;
            Some((why, hint.strip_prefix("  hint: ")?))
        });
        for (code, (why, hint)) in codes.zip(refused) {
            found.insert((code.to_owned(), why.to_owned(), hint.to_owned()));
        }
    }
    found
}

#[test]
fn the_table_of_refusals_is_what_hostler_says() {
    let document = document();
    let begin = document.find(BEGIN).expect("the table's mark is there") + BEGIN.len();
    let end = begin + document[begin..].find(END).expect("the next section is there");
    let expected = format!("{}{}{}", &document[..begin], table(), &document[end..]);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(root().join(DOCUMENT), expected).expect("the document can be written");
    } else {
        assert!(document == expected, "the table of {DOCUMENT} differs: UPDATE=1 writes it\n{}", table());
    }
}

#[test]
fn every_refusal_has_an_example() {
    let variants: BTreeSet<usize> = examples().iter().map(|example| example.variant).collect();
    assert_eq!(variants.len(), variants.last().map_or(0, |last| last + 1), "each pattern has an example of its own variant");
}

/// A hint of the table is one that the planner gives with this refusal.
#[test]
fn every_example_is_from_a_plan() {
    let planned = planned();
    let mut missing = Vec::new();
    for Example { why, hint, .. } in examples() {
        if !planned.contains(&(why.code().to_owned(), why.to_string(), hint.to_string())) {
            missing.push(format!("{}: {why}\n  hint: {hint}", why.code()));
        }
    }
    assert!(missing.is_empty(), "no plan of tests/plan has these:\n{}", missing.join("\n"));
}

/// Some variants have several codes.
#[test]
fn every_code_of_a_plan_is_in_the_table() {
    let listed: BTreeSet<&str> = examples().iter().map(|example| example.why.code()).collect();
    let missing: BTreeSet<String> = planned().into_iter().map(|(code, ..)| code).filter(|code| !listed.contains(code.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The code spans of the first column of all other tables.
fn quotes(document: &str) -> Vec<String> {
    let table = document.find(BEGIN).expect("the table's mark is there");
    let after = table + document[table..].find(END).expect("the next section is there");
    let rows = document[..table].lines().chain(document[after..].lines()).filter_map(|line| line.strip_prefix("| "));
    let mut quotes = Vec::new();
    for row in rows {
        let first = row.split(" | ").next().unwrap_or_default();
        // What another program says.
        if first.starts_with("kubectl:") {
            continue;
        }
        let fence = if first.contains("``") { "``" } else { "`" };
        quotes.extend(first.split(fence).skip(1).step_by(2).map(|quote| quote.trim().to_owned()));
    }
    quotes
}

/// Everything that can be said: the string literals of the sources, and the lines of the scripts.
fn sayings() -> Vec<String> {
    let mut sayings: Vec<String> = literals_of_sources().into_iter().flat_map(|(_, found)| found).map(|literal| literal.text).collect();
    let mut folders = vec![root().join("templates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                sayings.extend(fs::read_to_string(path).expect("a template can be read").lines().map(str::to_owned));
            }
        }
    }
    sayings
}

/// Whether a saying has the parts of a quote between its `...`, in their order.
fn says(saying: &str, quote: &str) -> bool {
    let mut rest = saying;
    quote.split("...").map(str::trim).all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

#[test]
fn every_other_quote_is_in_the_sources() {
    let (quotes, sayings) = (quotes(&document()), sayings());
    assert!(quotes.len() > 30, "only {} quotes were found", quotes.len());
    let missing: Vec<&String> = quotes.iter().filter(|quote| !sayings.iter().any(|saying| says(saying, quote))).collect();
    assert!(missing.is_empty(), "nothing says this: {missing:#?}");
}

#[test]
fn a_quote_is_found_by_its_parts() {
    assert!(says("no answer from {address} within {seconds} s", "no answer from ... within ... s"));
    assert!(!says("no answer from {address}", "no answer from ... within ... s"));
    assert!(!says("within {seconds} s: no answer", "no answer from ... within ... s"));
}

/// Scripts read the reason and the hint alone, without the machine's name before them.
#[test]
fn no_refusal_begins_with_a_pronoun() {
    let begins = |text: &str| {
        ["it ", "its ", "they ", "their "].into_iter().any(|word| text.starts_with(word)) && !text.starts_with("it is unclear")
    };
    let found: Vec<String> =
        examples().iter().flat_map(|example| [example.why.to_string(), example.hint.to_string()]).filter(|text| begins(text)).collect();
    assert!(found.is_empty(), "these do not say what they are about:\n{}", found.join("\n"));
}
