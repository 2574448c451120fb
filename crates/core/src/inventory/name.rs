//! Names: of machines, clusters and hosts.

use super::MachineName;
use super::diagnostic::{Place, shown};
use super::read::{Problems, Text};

/// The DNS label that `text` is; complains otherwise, pointing at the character that is wrong. `whose`: `a machine`.
pub fn label(text: Text, whose: &str, problems: &mut Problems) -> Option<MachineName> {
    if let Some(name) = MachineName::new(text.text) {
        return Some(name);
    }
    let characters: Vec<char> = text.text.chars().collect();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let wrong = characters.iter().position(|&c| !fits(c) && c != '-');
    // In a plain or quoted text the characters stand side by side; nothing else tells how long the quote before them is.
    let quote = text.place.length.saturating_sub(characters.len()) / 2;
    // In one that goes on in another line, nothing tells where its characters are.
    let one = |index: usize| match text.place.length {
        usize::MAX => text.place,
        _ => Place { column: text.place.column + quote + index, length: 1, ..text.place },
    };
    let (place, why) = match wrong {
        _ if characters.is_empty() => (text.place, "is empty".to_owned()),
        Some(index) => (one(index), format!("has `{}`", shown(&characters[index].to_string()))),
        None if characters.len() > 63 => (text.place, format!("has {} characters", characters.len())),
        None if characters[0] == '-' => (one(0), "begins with `-`".to_owned()),
        None => (one(characters.len() - 1), "ends with `-`".to_owned()),
    };
    let message =
        format!("the name of {whose} {why}: it is a DNS label, of a-z, 0-9 and `-`, at most 63, with a letter or digit at both ends");
    problems.add(place, message, suggestion(text.text));
    None
}

/// A DNS label near to `text`; empty when nothing of it is left.
fn suggestion(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()).take(63) {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            _ if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    name.trim_end_matches('-').to_owned()
}

/// Whether `text` is a DNS name in lowercase: labels with dots between, at most 253 characters, and no address.
pub fn is_host(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| MachineName::new(label).is_some())
        && text.rsplit('.').next().is_some_and(|last| !last.bytes().all(|byte| byte.is_ascii_digit()))
}
