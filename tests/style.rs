//! The glossary of docs/style.md is kept: no document, no string literal of the program, no script's message and no help text has a phrase of
//! its left column, except where its exceptions say so.
//!
//! [`offences`] takes any text. To check more of them, feed it with more `(place, text)` pairs: see [`documents`], [`literals_of_sources`],
//! [`templates`] and [`help_texts`].

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use crate::literals::{Literal, literals, literals_of_sources};

mod literals;

/// A phrase to avoid, and what to write instead.
struct Entry {
    phrase: String,
    better: String,
}

/// A place where a phrase is right.
struct Exception {
    /// A file, a folder that ends in `/`, or `*`.
    place: String,
    /// A phrase of the glossary, a longer text that contains one, or `*`.
    phrase: String,
}

impl Exception {
    fn applies(&self, place: &str) -> bool {
        self.place == "*" || self.place == place || self.place.ends_with('/') && place.starts_with(&self.place)
    }
}

struct Style {
    glossary: Vec<Entry>,
    exceptions: Vec<Exception>,
}

static STYLE: LazyLock<Style> = LazyLock::new(|| style(&read("docs/style.md")));

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

/// Parses the glossary and the exceptions of docs/style.md.
fn style(text: &str) -> Style {
    let glossary = rows(text, "## Glossary", "| instead of | write | note |")
        .iter()
        .flat_map(|cells| {
            let phrases = code_spans(&cells[0]);
            assert!(!phrases.is_empty(), "this row of the glossary has no code span in its first column: {}", cells[0]);
            phrases.into_iter().map(|phrase| Entry { phrase, better: cells[1].clone() })
        })
        .collect();
    let exceptions = rows(text, "## Exceptions", "| where | phrase | reason |")
        .iter()
        .map(|cells| {
            assert!(!cells[2].is_empty(), "this exception has no reason: {cells:?}");
            let [place, phrase] = [0, 1].map(|index| code_spans(&cells[index]).pop().expect("the cell has a code span"));
            Exception { place, phrase }
        })
        .collect();
    Style { glossary, exceptions }
}

/// The cells of the table with this header below this heading.
fn rows(text: &str, heading: &str, header: &str) -> Vec<Vec<String>> {
    let rows: Vec<Vec<String>> = text
        .lines()
        .skip_while(|line| *line != heading)
        .skip_while(|line| *line != header)
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect();
    assert!(!rows.is_empty(), "docs/style.md has no table `{header}` below `{heading}`");
    for cells in &rows {
        assert_eq!(cells.len(), 3, "this row does not have three cells: {cells:?}");
    }
    rows
}

fn code_spans(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Each phrase of the glossary that `text` has: `PLACE:LINE: PHRASE -> BETTER`. `place` is a path, or a name such as `hostler up --help`.
fn offences(place: &str, text: &str) -> Vec<String> {
    let exceptions: Vec<&Exception> = STYLE.exceptions.iter().filter(|exception| exception.applies(place)).collect();
    if exceptions.iter().any(|exception| exception.phrase == "*") {
        return Vec::new();
    }
    let allowed: Vec<(usize, usize)> = exceptions.iter().flat_map(|exception| matches(text, &exception.phrase)).collect();
    let mut found = Vec::new();
    for entry in &STYLE.glossary {
        for (start, end) in matches(text, &entry.phrase) {
            if !allowed.iter().any(|(from, to)| *from <= start && end <= *to) {
                found.push((start, end, entry));
            }
        }
    }
    // Of two phrases where one contains the other, only the longer one is reported.
    let spans: Vec<(usize, usize)> = found.iter().map(|(start, end, _)| (*start, *end)).collect();
    found.retain(|(start, end, _)| !spans.iter().any(|(from, to)| (from, to) != (start, end) && from <= start && end <= to));
    found.sort_by_key(|(start, ..)| *start);
    found
        .iter()
        .map(|(start, _, entry)| {
            let line = text[..*start].matches('\n').count() + 1;
            format!("{place}:{line}: {} -> {}", entry.phrase, entry.better)
        })
        .collect()
}

/// Where `text` has `phrase`, as byte ranges: in any case, as whole words, with any white space between them.
fn matches(text: &str, phrase: &str) -> Vec<(usize, usize)> {
    if let Some(whole) = phrase.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')) {
        return if text.trim().eq_ignore_ascii_case(whole) { vec![(0, text.len())] } else { Vec::new() };
    }
    let words: Vec<&str> = phrase.split_whitespace().collect();
    let mut found = Vec::new();
    for (start, _) in text.char_indices() {
        if joined(text[..start].chars().next_back(), text[start..].chars().next()) {
            continue;
        }
        if let Some(length) = length_of_match(&text[start..], &words) {
            let end = start + length;
            if !joined(text[..end].chars().next_back(), text[end..].chars().next()) {
                found.push((start, end));
            }
        }
    }
    found
}

/// The length of `words` at the beginning of `text`.
fn length_of_match(text: &str, words: &[&str]) -> Option<usize> {
    let mut rest = text;
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            let trimmed = rest.trim_start();
            if trimmed.len() == rest.len() {
                return None;
            }
            rest = trimmed;
        }
        rest = if *word == "*" {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            &rest[end..]
        } else {
            let head = rest.get(..word.len())?;
            if !head.eq_ignore_ascii_case(word) {
                return None;
            }
            &rest[word.len()..]
        };
    }
    Some(text.len() - rest.len())
}

/// Whether two neighbors belong to one word. A placeholder of a message, `{name}`, is one as well.
fn joined(left: Option<char>, right: Option<char>) -> bool {
    let in_word = |character: char| character.is_alphanumeric() || "_-".contains(character);
    left.is_some_and(|left| in_word(left) || left == '{') && right.is_some_and(|right| in_word(right) || right == '}')
}

/// A Markdown text without what it quotes: code spans, code blocks and the targets of links are blanked out with back quotes, which no
/// phrase contains, so that all lines stay where they are.
fn prose(markdown: &str) -> String {
    let mut lines = Vec::new();
    let mut fenced = false;
    let mut before = "";
    for line in markdown.lines() {
        let indented = line.starts_with("    ") && (before.trim().is_empty() || before.starts_with("    "));
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            lines.push("`".to_owned());
        } else if fenced || indented {
            lines.push("`".to_owned());
        } else {
            lines.push(line.to_owned());
        }
        before = line;
    }
    without_links(&without_spans(&lines.join("\n")))
}

/// A code span ends with as many back quotes as it begins with; without an end within the paragraph it is none.
fn without_spans(text: &str) -> String {
    let mut blanked = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('`') {
        blanked.push_str(&rest[..start]);
        rest = &rest[start..];
        let ticks = rest.len() - rest.trim_start_matches('`').len();
        let within = &rest[ticks..rest.find("\n\n").unwrap_or(rest.len()).max(ticks)];
        let end = within.match_indices(&rest[..ticks]).map(|(end, _)| end).find(|end| {
            let after = &within[end + ticks..];
            !after.starts_with('`') && !within[..*end].ends_with('`')
        });
        let length = end.map_or(ticks, |end| ticks + end + ticks);
        blanked.extend(rest[..length].chars().map(|character| if character == '\n' { '\n' } else { '`' }));
        rest = &rest[length..];
    }
    blanked + rest
}

fn without_links(text: &str) -> String {
    let mut blanked = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("](") {
        let length = rest[start..].find(')').unwrap_or(0);
        blanked.push_str(&rest[..start]);
        blanked.push('`');
        rest = &rest[start + length.max(2)..];
    }
    blanked + rest
}

/// The documents by their paths, as prose. docs/style.md itself is not among them: it names the phrases.
fn documents() -> Vec<(String, String)> {
    let mut paths: Vec<String> =
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"].iter().map(|path| (*path).to_owned()).collect();
    for entry in fs::read_dir(root().join("docs")).expect("docs can be read") {
        let name = entry.expect("an entry can be read").file_name().into_string().expect("its name is UTF-8");
        if name.ends_with(".md") && name != "style.md" {
            paths.push(format!("docs/{name}"));
        }
    }
    paths.sort();
    paths.into_iter().filter(|path| root().join(path).exists()).map(|path| (path.clone(), prose(&read(&path)))).collect()
}

/// Help texts, as tests/help.rs compares them with the program, by what shows them.
fn help_texts() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join("tests/help")).expect("tests/help can be read") {
        let name = entry.expect("an entry can be read").file_name().into_string().expect("its name is UTF-8");
        found.push((format!("tests/help/{name}"), read(&format!("tests/help/{name}"))));
    }
    found.sort();
    found
}

/// What scripts print and the page shows: each line of the templates but for comments, and without what is filled in.
fn templates() -> Vec<(String, String)> {
    let mut folders = vec![root().join("templates")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("an entry can be read").path();
            let place = path.strip_prefix(root()).expect("it is below the root").to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if [".sh", ".html", ".js"].iter().any(|end| place.ends_with(end)) {
                found.push((place.clone(), messages(&read(&place))));
            }
        }
    }
    found.sort();
    found
}

/// The lines of a template, those of comments blank, without `{{ ... }}` and `{% ... %}`.
fn messages(template: &str) -> String {
    let is_comment = |line: &&str| ["#", "//"].iter().any(|begin| line.trim_start().starts_with(begin));
    let lines: Vec<&str> = template.lines().map(|line| if is_comment(&line) { "" } else { line }).collect();
    let text = lines.join("\n");
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some((before, filled)) = rest.split_once('{') {
        plain.push_str(before);
        let end = [("{", "}}"), ("%", "%}")].into_iter().find(|(begin, _)| filled.starts_with(begin)).map(|(_, end)| end);
        rest = match end.and_then(|end| filled.split_once(end)) {
            Some((filled, after)) => {
                plain.extend(filled.matches('\n'));
                plain.push('`');
                after
            }
            None => filled,
        };
    }
    plain + rest
}

/// The phrases of the glossary in the literals of a source. A literal of several lines is reported at its first.
fn offences_of(place: &str, literals: &[Literal]) -> Vec<String> {
    let mut found = Vec::new();
    for literal in literals {
        for offence in offences(place, &literal.text) {
            let what = offence[place.len() + 1..].split_once(':').map_or("", |(_, what)| what);
            found.push(format!("{place}:{}:{what} in `{}`", literal.line, literal.text));
        }
    }
    found
}

#[test]
fn no_string_literal_has_a_phrase_of_the_glossary() {
    let sources = literals_of_sources();
    assert!(sources.iter().any(|(place, literals)| place == "src/ssh/error.rs" && literals.len() > 20), "sources are read");
    let found: Vec<String> = sources.iter().flat_map(|(place, literals)| offences_of(place, literals)).collect();
    assert!(found.is_empty(), "docs/style.md has better words:\n{}", found.join("\n"));
}

#[test]
fn no_script_and_no_page_says_a_phrase_of_the_glossary() {
    let templates = templates();
    assert!(
        templates.iter().any(|(place, text)| place == "templates/kubernetes/drain.sh" && text.contains("announce")),
        "scripts are read"
    );
    let found: Vec<String> = templates.iter().flat_map(|(place, text)| offences(place, text)).collect();
    assert!(found.is_empty(), "docs/style.md has better words:\n{}", found.join("\n"));
}

#[test]
fn no_help_text_has_a_phrase_of_the_glossary() {
    let help = help_texts();
    assert!(help.len() > 30, "only {} help texts are recorded", help.len());
    let whole = help.iter().flat_map(|(place, text)| offences(place, text));
    // Phrases with anchors are those of a whole line.
    let lines = help.iter().flat_map(|(place, text)| text.lines().map(move |line| (place, line)));
    let found: Vec<String> = whole.chain(lines.flat_map(|(place, line)| offences(place, line))).collect();
    assert!(found.is_empty(), "docs/style.md has better words:\n{}", found.join("\n"));
}

#[test]
fn literals_of_rust_are_found() {
    let source = concat!(
        "#[doc = \"an attribute\"]\nfn f<'a>(x: &'a str) -> char {\n    // \"a comment\"\n    say(\"one \\\"two\\\" \\\n        three\");\n",
        "    let raw = r#\"a \"raw\" one\"#;\n    for c in ['\"', '\\'', '\\\\'] {}\n    b\"bytes\"; 'x'\n}\n#[cfg(test)]\nmod tests { \"}\"; \"in a test\" }\n",
        "const END: &str = \"end\";"
    );
    let found: Vec<(usize, String)> = literals(source).into_iter().map(|literal| (literal.line, literal.text)).collect();
    let expected = [(4, "one \"two\" three"), (6, "a \"raw\" one"), (8, "bytes"), (12, "end")];
    assert_eq!(found, expected.map(|(line, text)| (line, text.to_owned())));
}

#[test]
fn no_document_has_a_phrase_of_the_glossary() {
    let documents = documents();
    assert!(documents.iter().any(|(path, _)| path == "README.md"), "the README is among the documents");
    let found: Vec<String> = documents.iter().flat_map(|(path, text)| offences(path, text)).collect();
    assert!(found.is_empty(), "docs/style.md has better words:\n{}", found.join("\n"));
}

#[test]
fn every_exception_for_a_file_is_needed() {
    let sources = literals_of_sources().into_iter().map(|(place, literals)| {
        let texts: Vec<String> = literals.into_iter().map(|literal| literal.text).collect();
        (place, texts.join("\n`\n"))
    });
    let texts: Vec<(String, String)> = documents().into_iter().chain(help_texts()).chain(templates()).chain(sources).collect();
    let paths: BTreeSet<&str> = texts.iter().map(|(path, _)| path.as_str()).collect();
    let unneeded: Vec<String> = STYLE
        .exceptions
        .iter()
        .filter(|exception| exception.place != "*" && !exception.place.ends_with('/'))
        .filter(|exception| {
            let text = texts.iter().find(|(path, _)| *path == exception.place).map_or("", |(_, text)| text.as_str());
            let phrases = STYLE.glossary.iter().map(|entry| entry.phrase.as_str());
            let used = if exception.phrase == "*" {
                phrases.into_iter().any(|phrase| !matches(text, phrase).is_empty())
            } else {
                !matches(text, &exception.phrase).is_empty()
            };
            !used || !paths.contains(exception.place.as_str())
        })
        .map(|exception| format!("{}: {}", exception.place, exception.phrase))
        .collect();
    assert!(unneeded.is_empty(), "nothing needs these exceptions of docs/style.md any more:\n{}", unneeded.join("\n"));
}

#[test]
fn every_exception_contains_a_phrase_of_the_glossary() {
    for exception in STYLE.exceptions.iter().filter(|exception| exception.phrase != "*") {
        let contains = STYLE.glossary.iter().any(|entry| !matches(&exception.phrase, &entry.phrase).is_empty());
        assert!(contains, "`{}` contains no phrase of the glossary", exception.phrase);
    }
}

#[test]
fn no_phrase_is_in_the_glossary_twice() {
    let mut seen = BTreeSet::new();
    for entry in &STYLE.glossary {
        assert!(seen.insert(entry.phrase.to_lowercase()), "`{}` is in the glossary twice", entry.phrase);
        assert!(!entry.better.is_empty(), "nothing is said to write instead of `{}`", entry.phrase);
    }
}

#[test]
fn no_better_wording_has_a_phrase_of_the_glossary() {
    let found: Vec<String> =
        STYLE.glossary.iter().flat_map(|entry| offences("docs/style.md, what to write", &prose(&entry.better))).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_planted_phrase_is_found_with_its_line() {
    let text = "fine\nthe disk was installed Anew, and it was\ncut\nby whoever.";
    let found = offences("planted.md", text);
    let places: Vec<&str> = found.iter().map(|offence| offence.split(" -> ").next().expect("it has a part before the arrow")).collect();
    assert_eq!(places, ["planted.md:2: anew", "planted.md:2: was cut", "planted.md:4: whoever"]);
}

#[test]
fn only_whole_words_count() {
    assert_eq!(
        offences("planted.md", "an anewish name, `wipe-begun`, the_gate, a power-up; there is no door-to-door"),
        Vec::<String>::new()
    );
}

#[test]
fn a_placeholder_is_not_a_word() {
    assert_eq!(offences("planted.md", "bring {gate} back, or {begun:?}"), Vec::<String>::new());
    assert_eq!(offences("planted.md", "{name} was cut").len(), 1);
}

#[test]
fn comments_and_what_is_filled_in_are_no_messages() {
    let text = messages("# it was cut\n  fail \"{{ anew }} is {% if begun %}\nmended\"\n");
    assert_eq!(offences("planted.sh", &text), ["planted.sh:3: mended -> fix (a cause); repair (drift)"]);
}

#[test]
fn an_exception_allows_only_its_own_text() {
    assert_eq!(offences("planted.md", "there is no certificate"), Vec::<String>::new());
    assert_eq!(offences("planted.md", "this is no certificate").len(), 1);
}

#[test]
fn a_star_stands_for_one_word() {
    assert_eq!(offences("planted.md", "the way to {address} failed: `ssh`").len(), 1);
    assert_eq!(offences("planted.md", "the way to do it when it failed"), Vec::<String>::new());
}

#[test]
fn an_anchored_phrase_is_the_whole_text() {
    assert_eq!(offences("hostler add --help", " The machine ").len(), 1);
    assert_eq!(offences("hostler add --help", "The machine's name"), Vec::<String>::new());
}

#[test]
fn code_and_links_in_a_document_are_skipped() {
    let text = "say `it was cut` or ``the `gate` ``\n\n    anew\n\n```\nwhoever\n```\n[this](docs/anew.md) and is `x` no more, begun";
    let found = offences("planted.md", &prose(text));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("planted.md:8: begun"), "{found:?}");
}

/// A reason or a warning of the planner also stands alone, in JSON and in notifications: without the machine's name before it, a pronoun there
/// has nothing that it could be about.
#[test]
fn no_message_of_the_planner_begins_with_a_pronoun() {
    // Where nothing is meant by it, a sentence may begin with it.
    let begins = |text: &str| ["it ", "its "].into_iter().any(|word| text.starts_with(word)) && !text.starts_with("it is unclear");
    let found: Vec<String> = literals_of_sources()
        .into_iter()
        // Those of `relied` follow the name of a key.
        .filter(|(place, _)| place.starts_with("crates/core/src/plan/") && !place.starts_with("crates/core/src/plan/relied/"))
        .flat_map(|(place, literals)| literals.into_iter().map(move |literal| (place.clone(), literal)))
        .filter(|(_, literal)| begins(&literal.text))
        .map(|(place, Literal { line, text })| format!("{place}:{line}: {text}"))
        .collect();
    assert!(found.is_empty(), "name what this is about:\n{}", found.join("\n"));
}
