//! Converts nodes to values, with an error for each one that does not fit its key.

use super::diagnostic::{Diagnostic, Place, shown};
use super::schema::{INVENTORY, Key, Kind, Section};
use super::tree::{Data, Key as TreeKey, Node, Style};
use crate::words::{did_you_mean, or};

/// All errors, in the order in which they were found; and warnings.
#[derive(Debug, Default)]
pub struct Problems {
    pub found: Vec<Diagnostic>,
    pub warnings: Vec<String>,
}

impl Problems {
    /// As [`Problems::add`], without showing the text at `place`.
    pub fn add_secret(&mut self, place: Place, message: impl Into<String>, example: impl Into<String>) {
        self.found.push(Diagnostic { secret: true, ..Diagnostic::new(place, message, example) });
    }

    pub fn add(&mut self, place: Place, message: impl Into<String>, example: impl Into<String>) {
        self.found.push(Diagnostic::new(place, message, example));
    }
}

/// A mapping with known keys only.
pub struct Fields<'a> {
    section: &'static Section,
    entries: Vec<(&'static Key, Field<'a>)>,
}

/// A key's value.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    pub key: &'static Key,
    /// The place of the key itself.
    pub place: Place,
    pub node: &'a Node,
}

/// A text with its place.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    pub text: &'a str,
    pub place: Place,
}

impl<'a> Fields<'a> {
    /// Reports unknown keys and missing required ones; `place` is that of the whole section. `None` if `node` is not a mapping, which is an
    /// error, too.
    pub fn read(node: &'a Node, place: Place, section: &'static Section, problems: &mut Problems) -> Option<Fields<'a>> {
        let example = || section.keys.first().map_or_else(String::new, Key::shown);
        let Data::Mapping(mapping) = &node.data else {
            let message = format!("{} must be a mapping, but this is {}{}", section.what, node.what(), glued(node));
            problems.add(at(node, place), message, example());
            return None;
        };
        let mut entries = Vec::new();
        for (key, node) in mapping {
            match section.key(&key.text) {
                Some(known) => entries.push((known, Field { key: known, place: key.place, node })),
                None => unknown(section, key, mapping, problems),
            }
        }
        for key in section.keys.iter().filter(|key| key.required && !mapping.iter().any(|(known, _)| known.text == key.name)) {
            // A misspelled key was already reported, and is the missing one.
            if mapping.iter().any(|(known, _)| section.key(&known.text).is_none() && nearest_key(section, &known.text) == Some(key.name)) {
                continue;
            }
            problems.add(place, format!("{} needs `{}`", section.what, key.name), key.shown());
        }
        Some(Fields { section, entries })
    }

    /// The field with that name. A key without a value counts as missing, and is an error.
    pub fn get(&self, name: &str, problems: &mut Problems) -> Option<Field<'a>> {
        debug_assert!(self.section.key(name).is_some(), "{name} is not a key of {}", self.section.what);
        let (_, field) = self.entries.iter().find(|(key, _)| key.name == name)?;
        if field.node.is_null() {
            let message = match field.key.required {
                true => format!("`{name}` has no value: write one"),
                false => format!("`{name}` has no value: write one, or omit the key"),
            };
            problems.add(field.place, message, field.key.shown());
            return None;
        }
        Some(*field)
    }

    pub fn text(&self, name: &str, problems: &mut Problems) -> Option<Text<'a>> {
        let field = self.get(name, problems)?;
        field.text(problems)
    }

    pub fn flag(&self, name: &str, problems: &mut Problems) -> Option<bool> {
        let field = self.get(name, problems)?;
        let text = plain(field.node);
        let flag = text.and_then(|text| text.parse().ok());
        if flag.is_none() {
            let what = if let Kind::Either(_) = field.key.kind { "`true`, `false` or a mapping" } else { "`true` or `false`" };
            let message = format!("`{name}` must be {what}, but this is {}", field.node.what());
            problems.add(at(field.node, field.place), message, field.key.shown());
        }
        flag
    }

    /// A number within the limits of the schema.
    pub fn number(&self, name: &str, problems: &mut Problems) -> Option<u64> {
        let field = self.get(name, problems)?;
        let Kind::Number(least, most) = field.key.kind else { return None };
        let digits = plain(field.node).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|text| text.parse().ok()).filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let quoted = matches!(&field.node.data, Data::Scalar(_)) && plain(field.node).is_none();
            let quotes = if quoted { " in quotes: omit them" } else { "" };
            let message = format!("`{name}` must be an integer from {least} to {most}, but this is {}{quotes}", field.node.what());
            problems.add(at(field.node, field.place), message, field.key.shown());
        }
        number
    }

    /// One of the words in the schema.
    pub fn choice(&self, name: &str, problems: &mut Problems) -> Option<&'static str> {
        let field = self.get(name, problems)?;
        let Kind::Choice(words) = field.key.kind else { return None };
        let text = field.text(problems)?;
        let word = words.iter().map(|(word, _)| *word).find(|word| *word == text.text);
        if word.is_none() {
            let list = words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>();
            let list = match list.split_last() {
                Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
                _ => list.concat(),
            };
            let guess = did_you_mean(text.text, words.iter().map(|(word, _)| *word));
            let message = format!("`{name}` must be {list}, but this is `{}`{guess}", shown(text.text));
            problems.add(text.place, message, field.key.shown());
        }
        word
    }

    /// A list of texts.
    pub fn texts(&self, name: &str, problems: &mut Problems) -> Vec<Text<'a>> {
        let Some(field) = self.get(name, problems) else { return Vec::new() };
        let Data::Sequence(items) = &field.node.data else {
            let mut message = format!("`{name}` must be a list, but this is {}", field.node.what());
            if plain(field.node).is_some_and(|text| text.starts_with('-')) {
                message.push_str(": write a space after `-`");
            }
            problems.add(at(field.node, field.place), message, field.key.shown());
            return Vec::new();
        };
        let texts = items.iter().filter_map(|node| Field { node, ..field }.text(problems));
        texts.collect()
    }

    /// Names chosen by the user, with their values.
    pub fn named(&self, name: &str, problems: &mut Problems) -> Vec<(Text<'a>, &'a Node)> {
        let Some(field) = self.get(name, problems) else { return Vec::new() };
        let Data::Mapping(entries) = &field.node.data else {
            let message =
                format!("`{name}` must be a mapping from names to values, but this is {}{}", field.node.what(), glued(field.node));
            problems.add(at(field.node, field.place), message, field.key.shown());
            return Vec::new();
        };
        entries.iter().map(|(key, node)| (Text { text: &key.text, place: key.place }, node)).collect()
    }
}

/// The way out for `a:b`, which YAML takes for one word.
fn glued(node: &Node) -> &'static str {
    let glued = plain(node).is_some_and(|text| text.contains(':') && !text.contains("://"));
    if glued { ": write a space after `:`" } else { "" }
}

impl<'a> Field<'a> {
    pub fn text(&self, problems: &mut Problems) -> Option<Text<'a>> {
        match text(self.node) {
            Some(text) => Some(text),
            None => {
                let message = format!("`{}` must be a string, but this is {}", self.key.name, self.node.what());
                problems.add(at(self.node, self.place), message, self.key.shown());
                None
            }
        }
    }
}

/// The text of a scalar that is not null: as written, so `1.10` stays `1.10`.
pub fn text(node: &Node) -> Option<Text<'_>> {
    match &node.data {
        Data::Scalar(scalar) if !node.is_null() => Some(Text { text: &scalar.text, place: node.place }),
        _ => None,
    }
}

/// The text of a scalar without quotes.
fn plain(node: &Node) -> Option<&str> {
    match &node.data {
        Data::Scalar(scalar) if scalar.style == Style::Plain => Some(&scalar.text),
        _ => None,
    }
}

/// The place to report for `node`: `otherwise` for null and for a block, of which only the first line would be marked.
pub fn at(node: &Node, otherwise: Place) -> Place {
    if node.is_null() { otherwise } else { node.place }
}

fn nearest_key(section: &'static Section, word: &str) -> Option<&'static str> {
    crate::words::nearest(word, section.keys.iter().map(|key| key.name))
}

/// Where in an inventory a key of this name belongs; nowhere, if the section is not of an inventory.
fn places(section: &Section, word: &str) -> Vec<String> {
    if !sections().iter().any(|known| std::ptr::eq(*known, section)) {
        return Vec::new();
    }
    let named = sections().into_iter().filter(|section| section.key(word).is_some());
    let place =
        |section: &Section| if section.path.is_empty() { "at the top level".to_owned() } else { format!("under `{}`", section.path) };
    named.map(place).collect()
}

/// All sections of an inventory, each once, outer ones first.
fn sections() -> Vec<&'static Section> {
    fn below(kind: &'static Kind, found: &mut Vec<&'static Section>) {
        match kind {
            Kind::Object(section) if found.iter().all(|known| !std::ptr::eq(*known, *section)) => {
                found.push(section);
                section.keys.iter().for_each(|key| below(&key.kind, found));
            }
            Kind::Named(_, kind) | Kind::List(kind) | Kind::Set(kind) | Kind::Filled(kind) => below(kind, found),
            Kind::Either(kinds) => kinds.iter().for_each(|kind| below(kind, found)),
            _ => {}
        }
    }
    let mut found = vec![&INVENTORY];
    INVENTORY.keys.iter().for_each(|key| below(&key.kind, &mut found));
    found
}

fn unknown(section: &'static Section, key: &TreeKey, mapping: &[(TreeKey, Node)], problems: &mut Problems) {
    let (word, place) = (key.text.as_str(), key.place);
    // One that is there already is no way out.
    let nearest = nearest_key(section, word).filter(|name| mapping.iter().all(|(other, _)| other.text != *name));
    let guess = match nearest {
        Some(name) => format!(": did you mean `{name}`?"),
        None if !places(section, word).is_empty() => {
            format!(": it belongs {}", or(&places(section, word)))
        }
        None => {
            let names = section.keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ");
            format!(": known keys are {names}")
        }
    };
    let within = if std::ptr::eq(section, &raw const INVENTORY) {
        "at the top level of the inventory".to_owned()
    } else {
        format!("in {}", section.what)
    };
    let elsewhere = || sections().into_iter().find_map(|section| section.key(word));
    let example = nearest.map_or_else(elsewhere, |name| section.key(name)).map_or_else(String::new, Key::shown);
    if ["token", "password", "passphrase", "secret", "key"].iter().any(|secret| word.to_ascii_lowercase().ends_with(secret)) {
        // Its value stands behind it.
        let place = Place { length: usize::MAX, ..place };
        return problems.add_secret(place, format!("unknown key `{}` {within}{guess}", shown(word)), example);
    }
    problems.add(place, format!("unknown key `{}` {within}{guess}", shown(word)), example);
}
