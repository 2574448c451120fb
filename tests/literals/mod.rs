//! The string literals of the program's sources: what it can say.

use std::fs;
use std::path::Path;

/// A string literal: the line it begins on, and its text without escapes.
#[derive(Debug, PartialEq)]
pub struct Literal {
    pub line: usize,
    pub text: String,
}

/// The string literals of a Rust source outside of comments, attributes and test modules. What a module of tests says is said to no user.
pub fn literals(source: &str) -> Vec<Literal> {
    let bytes = source.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let rest = &source[at..];
        let previous = source[..at].chars().next_back();
        let in_word = previous.is_some_and(|character| character.is_alphanumeric() || character == '_');
        at += if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(attribute) = rest.strip_prefix("#[").or_else(|| rest.strip_prefix("#![")) {
            let begin = rest.len() - attribute.len();
            let end = begin + matching(attribute, ['[', ']']);
            if rest[..end].contains("cfg(test)") { end + test_module(&rest[end..]) } else { end }
        } else if let Some(length) = raw_literal(rest).filter(|_| !in_word) {
            let text = rest[..length].trim_start_matches(['b', 'r', '#', '"']).trim_end_matches(['#', '"']);
            found.push(Literal { line: source[..at].matches('\n').count() + 1, text: text.to_owned() });
            length
        } else if rest.starts_with('"') {
            let length = quoted(rest);
            found.push(Literal { line: source[..at].matches('\n').count() + 1, text: unescaped(&rest[1..length - 1]) });
            length
        } else if rest.starts_with('\'') {
            character(rest)
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
    }
    found
}

/// The length up to and with the bracket that closes what is open before `text`. Brackets in its literals don't count.
fn matching(text: &str, [open, close]: [char; 2]) -> usize {
    let (mut depth, mut at) = (1, 0);
    while depth > 0 && at < text.len() {
        let rest = &text[at..];
        at += match rest.chars().next() {
            Some('"') => quoted(rest),
            Some('\'') => character(rest),
            Some('/') if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            Some(_) if raw_literal(rest).is_some() => raw_literal(rest).unwrap_or(1),
            Some(character) => {
                depth += i32::from(character == open) - i32::from(character == close);
                character.len_utf8()
            }
            None => 1,
        };
    }
    at
}

/// The length of the item after `#[cfg(test)]`: to its semicolon, or to the end of its block.
fn test_module(text: &str) -> usize {
    match text.find([';', '{']) {
        Some(end) if text[end..].starts_with('{') => end + 1 + matching(&text[end + 1..], ['{', '}']),
        Some(end) => end + 1,
        None => text.len(),
    }
}

/// The length of a raw string literal at the beginning of `text`, if there is one.
fn raw_literal(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(text.len() - body.len() + body.find(&end)? + end.len())
}

/// The length of the string literal at the beginning of `text`.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        match character {
            '"' if !escaped => return index + 1,
            _ => escaped = character == '\\' && !escaped,
        }
    }
    text.len()
}

/// The length of the character literal at the beginning of `text`; 1 for the quote of a lifetime.
fn character(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => text[2..].find('\'').map_or(1, |end| 2 + end.max(1) + 1),
        Some(_) => match characters.next() {
            Some((index, '\'')) => index + 1,
            _ => 1,
        },
        None => 1,
    }
}

/// The text of a string literal: continued lines are joined, and escapes stand for what they mean, so far as words are concerned.
fn unescaped(literal: &str) -> String {
    let mut text = String::new();
    let mut rest = literal;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let mut escape = rest[at + 1..].chars();
        match escape.next() {
            Some('\n') => rest = escape.as_str().trim_start(),
            Some(letter) => {
                text.push(if letter == 'n' {
                    '\n'
                } else if letter == 't' {
                    ' '
                } else {
                    letter
                });
                rest = escape.as_str();
            }
            None => rest = "",
        }
    }
    text + rest
}

/// The string literals of the program and its core, by path and line. Modules of tests in files of their own are left out.
pub fn literals_of_sources() -> Vec<(String, Vec<Literal>)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), Path::new(env!("CARGO_MANIFEST_DIR")).join("crates")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("an entry can be read").path();
            let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let place =
                    path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("it is below the root").to_string_lossy().into_owned();
                let literals = literals(&fs::read_to_string(&path).expect("a source can be read"));
                found.push((place, literals));
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}
