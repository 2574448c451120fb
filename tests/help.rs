//! `--help` of every visible verb, as a terminal of 100 columns shows it: `tests/help/*.txt`. `UPDATE=1 cargo test --test help` rewrites
//! them; read the diff before you commit it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `hostler WORDS --help` prints.
fn help(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_hostler")).args(words).arg("--help").env("COLUMNS", "100").output().expect("it runs");
    assert!(output.status.success(), "hostler {} --help ended with {}", words.join(" "), output.status);
    String::from_utf8(output.stdout).expect("it is UTF-8")
}

/// The verbs that a help text lists, with their first lines.
fn listed(help: &str) -> Vec<(&str, &str)> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let verbs = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    verbs.map(|line| line.trim().split_once(' ').map_or((line.trim(), ""), |(verb, about)| (verb, about.trim()))).collect()
}

/// The help of all visible verbs by their words: `bundle create`.
fn all() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut todo: Vec<Vec<String>> = vec![Vec::new()];
    while let Some(words) = todo.pop() {
        let text = help(&words.iter().map(String::as_str).collect::<Vec<_>>());
        for (verb, about) in listed(&text) {
            if verb != "help" {
                assert!(!about.is_empty() && !about.ends_with('.'), "{verb}: {about}");
                todo.push(words.iter().cloned().chain([verb.to_owned()]).collect());
            }
        }
        found.insert(words.join(" "), text);
    }
    found
}

fn golden(words: &str) -> PathBuf {
    let name = if words.is_empty() { "hostler".to_owned() } else { format!("hostler {words}") };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help").join(format!("{}.txt", name.replace(' ', "-")))
}

#[test]
fn every_help_text_is_as_recorded() {
    let all = all();
    assert!(all.len() > 30, "only {} help texts were found", all.len());
    let mut wrong = Vec::new();
    for (words, text) in &all {
        let file = golden(words);
        if std::env::var_os("UPDATE").is_some() {
            fs::create_dir_all(file.parent().expect("it is in a folder")).expect("it can be created");
            fs::write(&file, text).expect("it can be written");
        }
        if fs::read_to_string(&file).unwrap_or_default() != *text {
            wrong.push(format!("{} differs from\n{text}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}\nhint: UPDATE=1 cargo test --test help, then read the diff", wrong.join("\n"));
    let known: Vec<PathBuf> = all.keys().map(|words| golden(words)).collect();
    for entry in fs::read_dir(golden("").parent().expect("a folder")).expect("it can be read") {
        let file = entry.expect("an entry can be read").path();
        assert!(known.contains(&file), "there is no verb for {}", file.display());
    }
}

#[test]
fn every_verb_shows_an_example_and_its_exit_statuses() {
    // These end with the status of another program.
    let other = ["lab exec", "lab ssh"];
    for (words, text) in all().iter().filter(|(_, text)| listed(text).is_empty()) {
        assert!(text.contains("\nExample:\n") || text.contains("\nExamples:\n"), "hostler {words} --help has no example:\n{text}");
        assert_eq!(text.contains("\nExit status:\n  0  "), !other.contains(&words.as_str()), "hostler {words} --help:\n{text}");
    }
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for (words, text) in all() {
        let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(wide.is_empty(), "hostler {words} --help: {wide:#?}");
    }
}

#[test]
fn a_noun_without_a_verb_shows_its_verbs() {
    for noun in ["bundle", "lab", "snapshot", "transcode"] {
        let output = Command::new(env!("CARGO_BIN_EXE_hostler")).arg(noun).output().expect("it runs");
        let text = String::from_utf8(output.stderr).expect("it is UTF-8");
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("Commands:"), "hostler {noun}: {text}");
    }
}

/// The inventory's reference says that every verb accepts one that has a use for it. These have none.
#[test]
fn verbs_without_an_inventory_are_about_no_cluster() {
    let all = all();
    let without: Vec<&str> =
        all.iter().filter(|(_, text)| listed(text).is_empty() && !text.contains("--inventory")).map(|(words, _)| words.as_str()).collect();
    let expected = [
        "bundle create",
        "bundle encoder",
        "bundle pins",
        "bundle show",
        "bundle verify",
        "lab blank",
        "lab connect",
        "lab cut",
        "lab down",
        "lab exec",
        "lab list",
        "lab off",
        "lab on",
        "lab open",
        "lab ssh",
        "lab up",
        "os create",
        "schema",
        "snapshot verify",
    ];
    assert_eq!(without, expected);
    let reference = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/inventory.md")).expect("it can be read");
    assert!(reference.contains("Each verb that is about a cluster accepts `--inventory FILE`"), "{reference}");
}
