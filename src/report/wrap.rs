//! Lines that fit the terminal.

use std::borrow::Cow;

use console::Term;
use textwrap::{Options, WordSeparator, WordSplitter, fill};

/// Less can't be read anyway.
const NARROWEST: usize = 40;

/// Where the rest of a line goes on, below it.
const INDENT: &str = "    ";

/// Columns of `terminal`; `None` if it is not a terminal: what is searched rather than looked at keeps its lines.
pub fn width(terminal: &Term) -> Option<usize> {
    terminal.size_checked().map(|(_, columns)| usize::from(columns).max(NARROWEST))
}

/// `text` behind `first`, and behind `rest` what does not fit into `width` columns. It breaks at blanks alone: a path or an option is copied
/// whole.
pub fn wrapped(first: &str, rest: &str, text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return format!("{first}{text}") };
    let options = Options::new(width).initial_indent(first).subsequent_indent(rest).break_words(false);
    fill(text, options.word_separator(WordSeparator::AsciiSpace).word_splitter(WordSplitter::NoHyphenation))
}

/// Each line of `text` so; those of an inventory, with a caret below them, stay as they are.
pub fn lines(text: &str, width: Option<usize>) -> Cow<'_, str> {
    if width.is_none() {
        return Cow::Borrowed(text);
    }
    let one = |line: &str| if is_source(line) { line.to_owned() } else { wrapped("", INDENT, line, width) };
    Cow::Owned(text.split('\n').map(one).collect::<Vec<_>>().join("\n"))
}

/// `    3 |     adress: 192.168.1.11`, or the carets below it.
fn is_source(line: &str) -> bool {
    line.split_once('|').is_some_and(|(number, _)| number.ends_with(' ') && number.chars().all(|c| c == ' ' || c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_goes_on_below_indented_and_no_word_is_broken() {
        let line = "rainbowdash      /etc/modules-load.d/hostler.conf is missing: load it  \u{1b}[32mdone in 0.3s\u{1b}[0m";
        let expected = "rainbowdash      /etc/modules-load.d/hostler.conf\n    is missing: load it  \u{1b}[32mdone in 0.3s\u{1b}[0m";
        assert_eq!(lines(line, Some(50)), expected);
        assert_eq!(lines(line, None), line);
    }

    #[test]
    fn a_command_breaks_only_at_blanks() {
        let line = "hint: `hostler rebuild twilightsparkle --take-over twilightsparkle` brings it back clean";
        let expected = "hint: `hostler rebuild twilightsparkle\n    --take-over twilightsparkle` brings it\n    back clean";
        assert_eq!(lines(line, Some(42)), expected);
    }

    #[test]
    fn the_caret_stays_below_its_line() {
        let text = "error: inventory.yaml:3:5: unknown key `adress` in a machine: did you mean `address`?\n    3 |     adress: 192.168.1.11, and more on the same line\n      |     ^^^^^^\n";
        let expected = "error: inventory.yaml:3:5: unknown key `adress` in\n    a machine: did you mean `address`?\n    3 |     adress: 192.168.1.11, and more on the same line\n      |     ^^^^^^\n";
        assert_eq!(lines(text, Some(50)), expected);
    }
}
