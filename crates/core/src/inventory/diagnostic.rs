//! Errors in an inventory: what is wrong, where, and an example of how to write it.

use std::error::Error;
use std::fmt;

use unicode_width::UnicodeWidthChar;

use crate::visible::{is_unseen, shortened};

/// A stretch of one line of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// In characters; longer than the line means up to its end.
    pub length: usize,
}

/// One error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub place: Place,
    /// Lowercase, one line.
    pub message: String,
    /// A correct example; may have several lines. Empty if there is none.
    pub example: String,
    /// The marked text is a secret: its line is not shown.
    pub secret: bool,
}

impl Diagnostic {
    pub fn new(place: Place, message: impl Into<String>, example: impl Into<String>) -> Diagnostic {
        Diagnostic { place, message: message.into(), example: example.into(), secret: false }
    }
}

/// All errors in one file, in the file's order. Printed as
///
/// ```text
/// ponies.yaml:3:5: unknown key `adress` of a machine: did you mean `address`?
///     3 |     adress: 192.168.1.11
///       |     ^^^^^^
///     example: `address: 192.168.1.11`
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    file: String,
    lines: Vec<String>,
    problems: Vec<Diagnostic>,
}

/// More errors at once don't help.
const MOST: usize = 10;

/// Characters of a source line that are shown, around the caret: with its number and the marks at both ends they fit into 80 columns, as a
/// line that a terminal wraps has its caret nowhere.
const WIDTH: usize = 70;

impl Diagnostics {
    /// `problems` must not be empty.
    pub fn new(file: &str, text: &str, mut problems: Vec<Diagnostic>) -> Diagnostics {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        // Something missing at the end of the file is reported after its last line, where there is nothing to show.
        for place in problems.iter_mut().map(|problem| &mut problem.place).filter(|place| place.line > lines.len().max(1)) {
            *place = Place { line: lines.len().max(1), column: 1, length: usize::MAX };
        }
        problems.sort_by_key(|problem| problem.place);
        Diagnostics { file: file.to_owned(), lines, problems }
    }

    pub fn problems(&self) -> &[Diagnostic] {
        &self.problems
    }

    /// Whether a place is in a section for notifications, however it is spelled: all addresses in it may be secrets.
    fn is_in_notify(&self, place: Place) -> bool {
        let before = self.lines.iter().take(place.line).rev();
        // A list may be no deeper than its key.
        let is_top = |line: &&String| line.starts_with(|c: char| !c.is_whitespace() && !"#-]}".contains(c));
        let section = before.clone().position(|line| is_top(&line)).map_or(0, |position| position + 1);
        before.take(section).any(|line| line.to_lowercase().contains("notif"))
    }

    /// The line with its number, and carets under the error. Nothing for a place outside the file.
    fn source(&self, problem: &Diagnostic, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = problem.place;
        let Some(line) = place.line.checked_sub(1).and_then(|index| self.lines.get(index)) else { return Ok(()) };
        let mut characters: Vec<char> = line.chars().collect();
        let column = (place.column.max(1) - 1).min(characters.len());
        // Another problem's secret may be in the same line.
        for secret in self.problems.iter().filter(|other| other.secret && other.place.line == place.line) {
            characters.iter_mut().skip(secret.place.column.max(1) - 1).take(secret.place.length).for_each(|c| *c = '*');
        }
        mask_secrets(&mut characters, self.is_in_notify(place));
        // A long line is truncated on both sides so that the caret stays visible.
        let from = column.saturating_sub(WIDTH / 2).min(characters.len());
        let to = characters.len().min(from + WIDTH);
        // A tab is one column in YAML, and other control characters could move the terminal's cursor.
        let shown: String = characters[from..to].iter().map(|&c| if is_unseen(c) { ' ' } else { c }).collect();
        let [before, after] = [from > 0, to < characters.len()].map(|cut| if cut { "…" } else { "" });
        // Some characters are two columns wide.
        let wide = |from: usize, to: usize| shown.chars().skip(from).take(to - from).filter_map(UnicodeWidthChar::width).sum::<usize>();
        let (begin, end) = (column.saturating_sub(from), column.saturating_add(place.length).min(to).saturating_sub(from));
        let caret = "^".repeat(wide(begin, end.max(begin)).max(1));
        let indent = " ".repeat(wide(0, begin) + begin.saturating_sub(shown.chars().count()) + before.chars().count());
        writeln!(f, "{:>5} | {before}{}{after}", place.line, shown.trim_end())?;
        writeln!(f, "      | {indent}{caret}")
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().take(MOST).enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let Place { line, column, .. } = problem.place;
            let mut message: Vec<char> = problem.message.chars().collect();
            mask_secrets(&mut message, self.is_in_notify(problem.place));
            writeln!(f, "{}:{line}:{column}: {}", self.file, message.into_iter().collect::<String>())?;
            self.source(problem, f)?;
            match problem.example.trim_end() {
                "" => {}
                example if example.contains('\n') => {
                    writeln!(f, "    example:")?;
                    for line in example.lines() {
                        writeln!(f, "{}", format!("      {line}").trim_end())?;
                    }
                }
                example => writeln!(f, "    example: `{example}`")?,
            }
        }
        match self.problems.len().saturating_sub(MOST) {
            0 => Ok(()),
            more => writeln!(f, "\n... and {more} more"),
        }
    }
}

impl Error for Diagnostics {}

/// Hides what may be secret, wherever it stands: where something is wrong, nobody knows of what it is the value. `in_notify`: in a section for
/// notifications, where an address may be without a scheme.
fn mask_secrets(text: &mut [char], in_notify: bool) {
    mask_keys(text);
    mask_urls(text);
    if in_notify {
        mask_bare_addresses(text);
    }
}

fn begins(text: &[char], word: &str) -> bool {
    text.len() > word.len() && text.iter().zip(word.chars()).all(|(one, other)| one.eq_ignore_ascii_case(&other))
}

/// Hides from `at` on as long as `is_part`; returns where that ends.
fn mask(text: &mut [char], mut at: usize, is_part: impl Fn(char) -> bool) -> usize {
    while at < text.len() && is_part(text[at]) {
        text[at] = '*';
        at += 1;
    }
    at
}

/// Secret keys, which are known by how they begin: of age, and of SSH.
fn mask_keys(text: &mut [char]) {
    const AGE: &str = "AGE-SECRET-KEY-";
    const PEM: &str = "-----BEGIN ";
    let mut at = 0;
    while at < text.len() {
        at = match &text[at..] {
            rest if begins(rest, AGE) => mask(text, at + AGE.len(), |c| c.is_ascii_alphanumeric()),
            // It has blanks in it.
            rest if begins(rest, PEM) => mask(text, at + PEM.len(), |_| true),
            _ => at + 1,
        };
    }
}

/// Everything of URLs that is behind the name of the server: an ntfy topic or the address of a check is a secret. Of a share only a name and a
/// password, as its path is none.
fn mask_urls(text: &mut [char]) {
    let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`');
    let mut at = 0;
    while at < text.len() {
        let Some(scheme) = ["http://", "https://", "nfs://"].iter().find(|scheme| begins(&text[at..], scheme)) else {
            at += 1;
            continue;
        };
        at += scheme.len();
        let is_web = *scheme != "nfs://";
        // A name and a password come before the server.
        let mut hidden = text[at..].iter().take_while(|c| !is_end(**c) && **c != '/').any(|c| *c == '@');
        // In YAML, a comma before a blank is of the mapping around it.
        while at < text.len() && !is_end(text[at]) && !(text[at] == ',' && text.get(at + 1).is_none_or(|next| next.is_whitespace())) {
            if hidden {
                text[at] = '*';
            }
            hidden |= is_web && matches!(text[at], '/' | '?' | '#' | '\\');
            at += 1;
        }
    }
}

/// What is behind the name of a server without a scheme: `ntfy.sh/s3cret`.
fn mask_bare_addresses(text: &mut [char]) {
    let is_name = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let mut at = 0;
    while at < text.len() {
        let begins_word = at == 0 || !(text[at - 1].is_alphanumeric() || "-_./:".contains(text[at - 1]));
        let name = text[at..].iter().take_while(|c| is_name(c)).count();
        at = match text.get(at + name) {
            Some('/') if begins_word && text[at..at + name].contains(&'.') => {
                mask(text, at + name + 1, |c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '`' | '}' | ']' | ','))
            }
            _ => at + 1,
        };
    }
}

/// Text of the file for a message: in one line, and truncated.
pub fn shown(text: &str) -> String {
    // A blank of another kind looks like a space, and is none to YAML.
    let blanks: String =
        text.chars().map(|c| if c.is_whitespace() && !c.is_ascii() { format!("U+{:04X}", u32::from(c)) } else { c.to_string() }).collect();
    shortened(&blanks, 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_with_the_next_key_at_its_depth() {
        let text = "notify:\n- ntfy.sh/s3cret\n-\n  - [ntfy.sh/s3cret]\n# cluster\n- {url: ntfy.sh/s3cret}\ntranscode:\n  inbox: a.b/c\n  notify: [\n  ntfy.sh/s3cret\n]\n- a.b/s3cret\ncluster: {name: a.b/c}\n";
        let places = [2, 4, 6, 8, 10, 12, 13].into_iter().map(|line| Place { line, column: 1, length: 1 });
        let problems = places.map(|place| Diagnostic { place, message: "m".to_owned(), example: String::new(), secret: false }).collect();
        let shown = Diagnostics::new("", text, problems).to_string();
        assert!(!shown.contains("s3cret"), "{shown}");
        assert_eq!(shown.matches("a.b/c").count(), 2, "{shown}");
    }

    #[test]
    fn of_an_address_only_its_server_is_shown() {
        for (text, shown) in [
            ("url: https://ntfy.sh/s3cret, digest: daily", "url: https://ntfy.sh/******, digest: daily"),
            ("a `HTTP://10.0.0.1:8080?s3cret` b https://x/y", "a `HTTP://10.0.0.1:8080?******` b https://x/*"),
            ("'https://me:s3cret@ntfy.sh/a'", "'https://*******************'"),
            ("https://ntfy.sh and http:/no", "https://ntfy.sh and http:/no"),
            ("https://", "https://"),
            ("recipients: age-secret-key-1QQ, x", "recipients: age-secret-key-***, x"),
            ("'-----BEGIN OPENSSH PRIVATE KEY-----a'", "'-----BEGIN **************************"),
            ("nfs://u:s3cret@10.9.9.9/x nfs://nas/films", "nfs://******************* nfs://nas/films"),
            ("notify: {ulr: ntfy.sh/s3cret}", "notify: {ulr: ntfy.sh/******}"),
            ("image: registry.k8s.io/pause:3.10", "image: registry.k8s.io/pause:3.10"),
        ] {
            let mut characters: Vec<char> = text.chars().collect();
            mask_secrets(&mut characters, text.starts_with("notify"));
            assert_eq!(characters.into_iter().collect::<String>(), shown);
        }
    }
}
