//! What a script of the lab waits for is said somewhere: each three to five words in a row that it looks for in the program's output are in a string
//! literal of the program or in a template. So a message that is reworded is found here, in seconds, and not by the lab, in an hour.

use std::fs;
use std::path::{Path, PathBuf};

use crate::literals::literals_of_sources;

mod literals;

/// How a script says that the program's output has the words that follow.
const LOOKS_FOR: [&str; 10] =
    ["says", "says_not", "mends", "comes_to_say", "heard", "waits_for", "shown", "shows", "shows_not", "contains"];
/// Files of a script that hold what the program printed, wrote or sent: grep looks for its words there.
const OF_THE_PROGRAM: [&str; 7] =
    ["\"$work/out\"", "\"$work/first\"", "\"$work/news\"", "\"$work/status\"", "\"$work/state\"", "/failed/", "/ledger"];

/// Names and values stand in the program's place holders.
const VALUES: [(&str, &str); 5] =
    [("twilightsparkle", "{}"), ("rainbowdash", "{}"), ("fluttershy", "{}"), ("ponies", "{}"), ("(kubeadm)", "({})")];
/// Words in a row that are looked for at once. More would meet place holders and line ends.
const MOST: usize = 5;

/// Of these nothing is known: a template or the shell makes words of them.
const UNKNOWN: [&str; 7] = ["lab", "coredns-", "inbox", "ash", "MB", "GB", "podSubnet"];

/// Phrases that are of another program, or of two literals.
const ELSEWHERE: [&str; 25] = [
    "No bootable option or device was found",
    "Installing for",
    "gets no answer from {} through flannel.1: {} has sent",
    "{} can't reach kubelet at",
    "({}) is corrupted or was changed",
    "refused: cluster: no API server answers",
    "ask on: passphrase of",
    "the kernel modules overlay, br_netfilter and vxlan are not loaded",
    "minutes ahead of the other machine's and this",
    "remove label shelf",
    "waiting for a PodDisruptionBudget to allow the",
    "a pass phrase of {}",
    "# changed by hand",
    "space is low the library has",
    "for the image for Debian",
    "kubelet-client of {} has expired",
    "the node is Ready done",
    "ClusterConfiguration is missing from the cluster",
    "KubeletConfiguration is missing from the cluster",
    "pods are ready",
    "-n extraArgz",
    "expires in",
    "days ahead",
    "key under",
    "exceeded quota",
];

#[test]
fn every_phrase_that_the_lab_waits_for_is_one_that_the_program_has() {
    let said = said();
    let mut checked = 0;
    let mut unknown = Vec::new();
    for (place, phrase) in phrases() {
        // A command that is named gets the run's inventory.
        if phrase.split('`').skip(1).step_by(2).any(|quoted| quoted.starts_with("hostler ")) && phrase.matches('`').count() > 1 {
            unknown.push(format!("{place}: \"{phrase}\" has a whole command, which is printed with `-i FILE`"));
        }
        let words: Vec<&str> = phrase.split_whitespace().map(with_holes).collect();
        for run in words.split(|word| !is_word(word)).filter(|run| run.len() >= 2) {
            for some in run.windows(run.len().min(MOST)) {
                let some = some.join(" ");
                checked += 1;
                if !said.contains(&some) && !ELSEWHERE.iter().any(|known| known.contains(&some)) {
                    unknown.push(format!("{place}: `{some}` of \"{phrase}\""));
                }
            }
        }
    }
    assert!(checked >= 200, "only {checked} phrases were checked");
    assert!(unknown.is_empty(), "no message has these words:\n{}", unknown.join("\n"));
}

/// A word of a sentence, and no name, number, path or variable.
fn is_word(word: &str) -> bool {
    let bare = word.trim_matches(['`', '\'', ',', ';', ':', '.', '(', ')']);
    let plain = |c: char| c.is_ascii_alphabetic() || "-'".contains(c);
    // `rainbowdash:` is put before many messages, and `rainbowdash,` is of a list.
    let name = VALUES.iter().any(|(value, _)| *value == bare);
    bare == "{}" || !bare.is_empty() && bare.chars().all(plain) && !UNKNOWN.contains(&bare) && !name
}

/// The word as the literal of the message has it.
fn with_holes(word: &str) -> &str {
    VALUES.iter().find(|(value, _)| *value == word).map_or(word, |(_, hole)| hole)
}

/// All literals and templates, with `{}` for each place holder and one blank where several are.
fn said() -> String {
    let mut text: String = literals_of_sources().into_iter().flat_map(|(_, found)| found).map(|literal| literal.text + "\n").collect();
    for path in files(&root().join("templates"), "") {
        text.push_str(&fs::read_to_string(&path).unwrap_or_default());
    }
    let mut plain = String::with_capacity(text.len());
    for (number, part) in text.split('{').enumerate() {
        match part.split_once('}') {
            Some((name, rest)) if number > 0 && name.len() < 40 => plain.extend(["{}", rest]),
            _ => plain.push_str(part),
        }
    }
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `SCRIPT:LINE` and what is looked for there.
fn phrases() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in files(&root().join("tests/lab"), ".sh") {
        let text = fs::read_to_string(&path).expect("it can be read");
        for (number, line) in text.lines().enumerate() {
            let place = format!("{}:{}", path.file_name().unwrap_or_default().display(), number + 1);
            found.extend(phrases_of(line).into_iter().map(|phrase| (place.clone(), phrase)));
        }
    }
    found
}

/// The words that each command on this line looks for: the first word in quotes after it, and after the seconds that `shows` waits; of `contains
/// NAME WORDS TEXT` the second. Of grep those that it looks for in a file of the program.
fn phrases_of(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for command in LOOKS_FOR {
        for rest in after(line, command) {
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
            let skipped = if command == "contains" { quoted(rest).map_or(rest, |(_, rest)| rest.trim_start()) } else { rest };
            found.extend(quoted(skipped).map(|(phrase, _)| phrase));
        }
    }
    for rest in after(line, "grep") {
        let mut words = rest;
        while let Some((_, after_option)) = words.strip_prefix('-').and_then(|option| option.split_once(' ')) {
            words = after_option;
        }
        let Some((phrase, rest)) = quoted(words) else { continue };
        let command = rest.split(['|', ';', '&']).next().unwrap_or_default();
        if OF_THE_PROGRAM.iter().any(|file| command.contains(file)) {
            found.push(phrase);
        }
    }
    found
}

/// What follows each call of a command on this line.
fn after<'a>(line: &'a str, command: &str) -> Vec<&'a str> {
    let begins = |at: &usize| line[..*at].chars().next_back().is_none_or(|before| " \t;&(!{".contains(before));
    let calls = line.match_indices(command).map(|(at, _)| at).filter(begins);
    calls.filter_map(|at| line[at + command.len()..].strip_prefix(' ')).collect()
}

/// The word in quotes at the beginning, as the shell reads it, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|first| "\"'".contains(*first))?;
    let mut phrase = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            _ if character == quote => return Some((phrase, &text[at + 1..])),
            '\\' if quote == '"' => phrase.extend(characters.next().map(|(_, character)| character)),
            _ => phrase.push(character),
        }
    }
    None
}

#[test]
fn what_is_looked_for_is_read_as_the_shell_reads_it() {
    assert_eq!(phrases_of(r#"up && says "a \`b\` \"c\"" && says_not 'd "e'"#), [r#"a `b` "c""#, r#"d "e"#]);
    assert_eq!(phrases_of(r#"shows 600 "the words""#), ["the words"]);
    assert_eq!(phrases_of("it says nothing"), [""; 0]);
    assert_eq!(phrases_of(r#"run && grep -qF -- "a \"b\" c" "$work/out" | grep 'not this'"#), [r#"a "b" c"#]);
    assert_eq!(phrases_of(r#"on it grep -q 'of the machine' /etc/passwd"#), [""; 0]);
    assert_eq!(phrases_of(r#"contains "its name" "the words" "$(cat "$work/output")""#), ["the words"]);
}

fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display())) {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
