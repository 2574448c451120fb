//! Names: of machines, clusters and hosts.

use super::MachineName;
use super::diagnostic::{Place, shown};
use super::read::{Problems, Text};

/// Parses `text` as a DNS label; an error points at the wrong character. `whose`: `a machine`.
pub fn label(text: Text, whose: &str, problems: &mut Problems) -> Option<MachineName> {
    if let Some(name) = MachineName::new(text.text) {
        return Some(name);
    }
    let characters: Vec<char> = text.text.chars().collect();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let wrong = characters.iter().position(|&c| !fits(c) && c != '-');
    // Only in a plain or quoted text on one line are the positions of characters known.
    let quote = text.place.length.saturating_sub(characters.len()) / 2;
    // In a text over several lines they are not.
    let one = |index: usize| match text.place.length {
        usize::MAX => text.place,
        _ => Place { column: text.place.column + quote + index, length: 1, ..text.place },
    };
    let (place, why) = match wrong {
        _ if characters.is_empty() => (text.place, "is empty".to_owned()),
        Some(index) if characters[index] == ' ' => (one(index), "contains a space".to_owned()),
        Some(index) => (one(index), format!("contains `{}`", shown(&characters[index].to_string()))),
        None if characters.len() > 63 => (text.place, format!("has {} characters", characters.len())),
        None if characters[0] == '-' => (one(0), "begins with `-`".to_owned()),
        None => (one(characters.len() - 1), "ends with `-`".to_owned()),
    };
    let message = format!("the name of {whose} {why}: use a-z, 0-9 and `-`, at most 63 characters, with a letter or digit at both ends");
    problems.add(place, message, suggestion(text.text));
    None
}

/// A DNS label similar to `text`; empty if nothing is left of it.
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

/// Whether `text` is a DNS name in lower case: labels separated by dots, at most 253 characters, and not an IP address.
pub fn is_host(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| MachineName::new(label).is_some())
        && text.rsplit('.').next().is_some_and(|last| !last.bytes().all(|byte| byte.is_ascii_digit()))
}
