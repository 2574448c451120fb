//! YAML as a tree with positions. It is stricter than YAML: one document, unique keys that are plain texts, no anchors, aliases or tags. So
//! the tree is never larger than the file, and every value is where it is written.

use std::borrow::Cow;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::diagnostic::{Diagnostic, Place, shown};

#[derive(Debug, Clone)]
pub struct Node {
    pub place: Place,
    /// The last line that belongs to it, counted from 1.
    pub last_line: usize,
    pub data: Data,
}

#[derive(Debug, Clone)]
pub enum Data {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    /// In the file's order; no key twice.
    Mapping(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub struct Scalar {
    pub text: String,
    pub style: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes: may be a number, a boolean or null.
    Plain,
    Quoted,
    /// `|`: the node's place is the first line of the text.
    Literal,
    Folded,
}

#[derive(Debug, Clone)]
pub struct Key {
    pub text: String,
    pub place: Place,
}

/// An inventory of a thousand machines with all keys is far smaller.
pub const MOST_BYTES: usize = 1 << 20;
/// kubeadm's documents are six levels deep.
const MOST_LEVELS: usize = 32;

const MACHINES: &str = "machines:\n  twilightsparkle: 192.168.1.11\n  rainbowdash: 192.168.1.12";

const ANCHORS: &str = "anchors, aliases and merge keys (`&name`, `*name`, `<<`) are not allowed: write the value in each place";

/// # Errors
/// The first place where `text` is not one YAML document of the strict form above.
pub fn parse(text: &str) -> Result<Node, Diagnostic> {
    let top = Place { line: 1, column: 1, length: 1 };
    if text.len() > MOST_BYTES {
        return Err(Diagnostic::new(top, format!("the file is too large: the maximum is {MOST_BYTES} bytes"), MACHINES));
    }
    if let Some(place) = bare_carriage_return(text) {
        return Err(Diagnostic::new(place, "there is a carriage return without a line feed: remove it", ""));
    }
    document(text)
}

fn bare_carriage_return(text: &str) -> Option<Place> {
    text.split('\n').enumerate().find_map(|(line, text)| {
        let at = text.trim_end_matches('\r').find('\r').or_else(|| text.ends_with("\r\r").then(|| text.len() - 1))?;
        Some(Place { line: line + 1, column: text[..at].chars().count() + 1, length: 1 })
    })
}

fn document(text: &str) -> Result<Node, Diagnostic> {
    let top = Place { line: 1, column: 1, length: 1 };
    let mut builder = Builder { parser: Parser::new_from_str(text), text, open: Vec::new() };
    let mut document = None;
    loop {
        let (event, span) = builder.next()?;
        match event {
            Event::StreamEnd => break,
            Event::DocumentStart(_) if document.is_some() => {
                let message = "a second YAML document begins here: write everything into one document, and remove `---`";
                return Err(Diagnostic::new(place(span), message, ""));
            }
            Event::DocumentStart(_) => {
                let (event, span) = builder.next()?;
                document = Some(builder.node(event, span, 0)?);
            }
            _ => {}
        }
    }
    match document {
        Some(node) if !node.is_null() => Ok(node),
        _ => Err(Diagnostic::new(top, "the file is empty: an inventory needs at least one machine", MACHINES)),
    }
}

impl Node {
    /// Nothing was written, or `null` or `~`.
    pub fn is_null(&self) -> bool {
        matches!(&self.data, Data::Scalar(Scalar { text, style: Style::Plain }) if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Its type for messages: `a list`.
    pub fn what(&self) -> String {
        match &self.data {
            Data::Scalar(_) if self.is_null() => "empty".to_owned(),
            Data::Scalar(scalar) => format!("`{}`", shown(&scalar.text)),
            Data::Sequence(_) => "a list".to_owned(),
            Data::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

/// Builds nodes from events.
struct Builder<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    text: &'a str,
    /// Open brackets and braces.
    open: Vec<Place>,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Diagnostic> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                let mark = error.marker();
                let place = Place { line: mark.line(), column: mark.col() + 1, length: 1 };
                // With a missing bracket the parser reads to the end of the file, where there is nothing to show.
                if let Some(&open) = self.open.last().filter(|_| place.line > self.text.lines().count()) {
                    return Err(Diagnostic::new(open, "this is never closed", ""));
                }
                Err(self.mistake(place.line).unwrap_or_else(|| {
                    if error.info().contains("unknown anchor") {
                        return Diagnostic::new(place, ANCHORS, "");
                    }
                    Diagnostic::new(place, format!("this is not valid YAML: {}", error.info()), "")
                }))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// The tab or missing space that causes the error at line `until`, in that line, the next one or a few lines above: with it fixed, the
    /// parser gets further.
    fn mistake(&self, until: usize) -> Option<Diagnostic> {
        let error = first_error(self.text)?;
        let mut start = 0;
        let lines: Vec<(usize, &str)> = self
            .text
            .split_inclusive('\n')
            // A plain text may continue in the next line, and its error is at its start.
            .take(until + 1)
            .map(|line| {
                start += line.len();
                (start - line.len(), line)
            })
            .collect();
        let near = lines.iter().enumerate().rev().take(LOOK_BACK);
        near.flat_map(|(line, &(start, text))| suspects(text).into_iter().map(move |suspect| (line, start, text, suspect))).find_map(
            |(line, start, text, suspect)| {
                let at = start + suspect.at;
                let fixed = format!("{}{}{}", &self.text[..at], suspect.instead, &self.text[at + suspect.taken..]);
                let further = first_error(&fixed).is_none_or(|(place, info)| place > error.0 || (place == error.0 && info != error.1));
                let place = Place { line: line + 1, column: text[..suspect.at].chars().count() + 1, length: 1 };
                further.then(|| Diagnostic::new(place, suspect.why, MACHINES))
            },
        )
    }

    fn node(&mut self, event: Event<'a>, span: Span, level: usize) -> Result<Node, Diagnostic> {
        let start = place(span);
        if level > MOST_LEVELS {
            return Err(Diagnostic::new(start, format!("this is nested too deeply: the maximum is {MOST_LEVELS} levels"), ""));
        }
        let (anchor, tag) = match &event {
            Event::Scalar(_, _, anchor, tag) | Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
                (*anchor, tag.is_some())
            }
            Event::Alias(anchor) => (*anchor, false),
            _ => (0, false),
        };
        if anchor != 0 {
            return Err(Diagnostic::new(start, ANCHORS, ""));
        }
        if tag {
            return Err(Diagnostic::new(start, "tags (`!name`) are not allowed: write only the value", ""));
        }
        let mut last_line = last_line(span);
        let bracket = matches!(event, Event::SequenceStart(..) | Event::MappingStart(..)) && !span.is_empty();
        if bracket {
            self.open.push(start);
        }
        let data = match event {
            Event::Scalar(text, style, ..) => Data::Scalar(scalar(text, style)),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::SequenceEnd) {
                        last_line = last_line.max(flow_end(span));
                        break;
                    }
                    let item = self.node(event, span, level + 1)?;
                    last_line = last_line.max(item.last_line);
                    items.push(item);
                }
                Data::Sequence(items)
            }
            Event::MappingStart(..) => {
                let mut entries: Vec<(Key, Node)> = Vec::new();
                let mut keys = std::collections::HashMap::new();
                loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::MappingEnd) {
                        last_line = last_line.max(flow_end(span));
                        break;
                    }
                    let key = self.node(event, span, level + 1)?;
                    let (event, span) = self.next()?;
                    let value = self.node(event, span, level + 1)?;
                    let Data::Scalar(Scalar { text, .. }) = key.data else {
                        return Err(Diagnostic::new(key.place, format!("a key must be a string, but this is {}", key.what()), ""));
                    };
                    if text == "<<" {
                        return Err(Diagnostic::new(key.place, ANCHORS, ""));
                    }
                    if text.is_empty() {
                        return Err(Diagnostic::new(key.place, "a key is missing before `:`", ""));
                    }
                    if let Some(first) = keys.insert(text.clone(), key.place.line) {
                        let message = format!("duplicate key `{}`: the first one is on line {first}", shown(&text));
                        return Err(Diagnostic::new(key.place, message, ""));
                    }
                    last_line = last_line.max(key.last_line).max(value.last_line);
                    entries.push((Key { text, place: key.place }, value));
                }
                Data::Mapping(entries)
            }
            _ => return Err(Diagnostic::new(start, "this is not valid YAML: a value is missing", "")),
        };
        if bracket {
            self.open.pop();
        }
        Ok(Node { place: start, last_line, data })
    }
}

/// Number of lines above an error that are searched for its cause.
const LOOK_BACK: usize = 3;

/// A possible typo in a line, with its fix.
struct Suspect {
    /// Byte in the line.
    at: usize,
    /// Number of bytes that `instead` replaces.
    taken: usize,
    instead: String,
    why: &'static str,
}

fn suspects(line: &str) -> Vec<Suspect> {
    let mut found = Vec::new();
    let space = |at, taken, why| Suspect { at, taken, instead: " ".to_owned(), why };
    let blank = line.len() - line.trim_start_matches([' ', '\t']).len();
    if let Some(at) = line[..blank].find('\t') {
        // The same number of columns, so that places stay comparable.
        let instead = " ".repeat(blank - at);
        found.push(Suspect { at, taken: blank - at, instead, why: "this line is indented with a tab: YAML needs spaces" });
    }
    for (at, _) in line.match_indices('\t').filter(|&(at, _)| at > blank && matches!(line.as_bytes()[at - 1], b':' | b'-')) {
        found.push(space(at, 1, "there is a tab before this value: replace it with a space"));
    }
    let colon = line[blank..].find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).map(|at| blank + at);
    if let Some(at) = colon.filter(|&at| line[at..].starts_with(':') && line[at + 1..].starts_with(|c: char| !c.is_whitespace())) {
        found.push(space(at + 1, 0, "write a space between `:` and this"));
    }
    found
}

/// The first syntax error in `text`: line, column and message.
fn first_error(text: &str) -> Option<((usize, usize), String)> {
    let mut parser = Parser::new_from_str(text);
    loop {
        match parser.next_event()? {
            Ok((Event::StreamEnd, _)) => return None,
            Ok(_) => {}
            Err(error) => return Some(((error.marker().line(), error.marker().col()), error.info().to_owned())),
        }
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle) -> Scalar {
    let style = match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    };
    Scalar { text: text.into_owned(), style }
}

fn place(span: Span) -> Place {
    let (start, end) = (span.start, span.end);
    // A text over several lines is marked to the end of its first line.
    let length = if start.line() == end.line() { end.col().saturating_sub(start.col()) } else { usize::MAX };
    Place { line: start.line(), column: start.col() + 1, length }
}

fn last_line(span: Span) -> usize {
    // A block scalar ends where the next line begins.
    let beyond = span.end.col() == 0 && span.end.line() > span.start.line();
    span.end.line() - usize::from(beyond)
}

/// The line of a closing bracket; the end of a block mapping or sequence has no length, and has the place of the next token.
fn flow_end(span: Span) -> usize {
    if span.is_empty() { 0 } else { span.end.line() }
}
