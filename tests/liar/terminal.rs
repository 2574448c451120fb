//! What a machine says is shown, and never obeyed by a terminal or taken for a line of hostler's own: with the real program, on both outputs
//! and in the log of the run.

use std::fs;

use hostler_core::visible::is_unseen;

use crate::lab::{Lab, Ran, blank, control_plane};

const HOSTILE: &str = "\u{1b}]0;title\u{7}\u{1b}[1A\u{1b}[2K\u{1b}[8m\u{9b}2J\u{202e}\u{200b}\u{85}OBEYED";

/// Everything that reached a terminal or the disk.
fn assert_harmless(lab: &Lab, ran: &Ran) {
    let mut texts = vec![ran.out.clone(), ran.err.clone()];
    for entry in fs::read_dir(lab.path("home/.local/state/hostler/runs")).into_iter().flatten() {
        texts.push(String::from_utf8_lossy(&fs::read(entry.unwrap().path()).unwrap()).into_owned());
    }
    for text in texts {
        let found: Vec<char> = text.chars().filter(|c| *c != '\n' && is_unseen(*c)).collect();
        assert!(found.is_empty(), "{found:?} in:\n{text}");
        let line = text.lines().find(|line| line.trim_start().trim_start_matches("hint: ").starts_with("OBEYED"));
        assert_eq!(line, None, "{text}");
    }
}

/// Facts in which every text is hostile.
fn spoilt() -> String {
    let text = |key: &str| format!("{key}\t{HOSTILE}\n");
    let keys = ["hostname", "hostname-at-boot", "container", "load", "swap", "swap-at-boot", "mount", "nameserver", "time-zone"];
    let more = ["other-program", "dpkg-half", "read-only", "leftover", "damaged", "missing", "server", "host", "module", "program", "mac"];
    let mut facts: String = keys.iter().chain(&more).map(|key| text(key)).collect();
    facts.push_str(&format!(
        "os\tPRETTY_NAME\t{HOSTILE}\nport\t10250\t{HOSTILE}\napt-lock\t{HOSTILE}\t{HOSTILE}\nsysctl\tnet.ipv4.ip_forward\t{HOSTILE}\n"
    ));
    facts.push_str(&format!("file\t/etc/containerd/conf.d/{HOSTILE}.toml\t644\troot:root\t0\nlock\t{HOSTILE}\t{HOSTILE}\t0"));
    facts
}

#[test]
fn hostile_facts_are_harmless() {
    let lab = Lab::with_worker(&spoilt());
    for words in [&["plan"][..], &["plan", "--verbose"], &["plan", "--output", "json"], &["status"], &["status", "--output", "json"]] {
        let ran = lab.hostler(words);
        assert!(ran.all().contains("U+001B") || ran.out.contains("\\u001b"), "{words:?} shows nothing of it: {}", ran.all());
        assert_harmless(&lab, &ran);
        if words.contains(&"json") {
            serde_json::from_str::<serde_json::Value>(&ran.out).expect("it is JSON");
        }
    }
}

#[test]
fn a_condition_with_an_escape_sequence_is_harmless() {
    let mut lab = Lab::new();
    // With kubelet's credential alone, from any node.
    let message = "\\u001b]52;c;eA==\\u0007\\u001b[2J\\u001b[H healthy \\u001b[8m\\nOBEYED\\u202e";
    let facts = control_plane().replace("container runtime network not ready: cni plugin not initialized", message);
    assert!(facts.contains(message), "the recorded control plane has no such condition");
    fs::write(lab.path("one/facts"), facts).unwrap();
    lab.add("apple", "10.77.0.13", "worker", &blank("apple", ""));
    for words in [&["status"][..], &["plan"], &["status", "--output", "json"]] {
        let ran = lab.hostler(words);
        assert_harmless(&lab, &ran);
    }
    assert!(lab.hostler(&["status"]).out.contains("U+001B]52;c;eA==U+0007"));
}

/// Facts for a question about facts; for each other script hostile lines on both outputs, and a failure.
const FAILS: &str = r#"#!/bin/sh
echo 'hostler begins'
echo 'hostler begins' >&2
read -r _ _ size
text=$(head -c "$size")
case $text in
*'hostler-facts 1'*) exec cat DIR/facts ;;
esac
cat DIR/words
cat DIR/words >&2
exit 1
"#;

#[test]
fn hostile_output_of_a_step_is_harmless() {
    let mut lab = Lab::new();
    lab.answering("apple", "10.77.0.13", "worker", FAILS);
    fs::write(lab.path("apple/facts"), blank("apple", "")).unwrap();
    fs::write(lab.path("apple/words"), format!("@wait {HOSTILE}\n@waiting 5 {HOSTILE}\n{HOSTILE}\r\n\nhint: OBEYED\nOBEYED\n")).unwrap();
    for words in [&["add", "apple", "--yes"][..], &["add", "apple", "--yes", "--output", "json"]] {
        let ran = lab.hostler(words);
        assert_eq!(ran.status, 1, "{}", ran.all());
        assert!(ran.all().contains("U+001B") || ran.out.contains("\\u001b"), "{}", ran.all());
        assert_harmless(&lab, &ran);
    }
}

#[test]
fn a_login_with_hostile_words_is_harmless() {
    let mut lab = Lab::new();
    lab.answering("apple", "10.77.0.13", "worker", &format!("#!/bin/sh\nprintf '%s\\n' '{HOSTILE}' 'hint: OBEYED'\nexit 3\n"));
    for words in [&["plan"][..], &["status"], &["kubeconfig", "--out", "/dev/null"], &["snapshot", "create"]] {
        let ran = lab.hostler(words);
        assert_harmless(&lab, &ran);
    }
    assert!(lab.hostler(&["plan"]).err.contains("U+001B"));
}
