//! Colors.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

use console::Style;
use hostler_core::visible::visible_lines;

/// Everything that [`Paint`] writes around text.
const CODES: [&str; 7] = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[36m"];

/// Whether anything was painted. Where nothing was, as in a pipe, no color is this program's.
static PAINTED: AtomicBool = AtomicBool::new(false);

/// `text` as it may go to a terminal: its lines and the colors of [`Paint`] stay, and everything else that a terminal would obey, or that would
/// not be seen, becomes visible. All output passes here last, whatever it is made of.
pub fn guarded(text: &str) -> Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return visible_lines(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        clean.push_str(&visible_lines(&rest[..at]));
        let code = CODES.into_iter().find(|code| PAINTED.load(Ordering::Relaxed) && rest[at..].starts_with(code));
        let length = code.map_or(1, str::len);
        clean.push_str(code.unwrap_or("U+001B"));
        rest = &rest[at + length..];
    }
    clean.push_str(&visible_lines(rest));
    Cow::Owned(clean)
}

/// Colors on or off. If off, every method returns its text unchanged.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    pub on: bool,
}

impl Paint {
    /// On for a terminal, unless NO_COLOR is set or the terminal is dumb.
    pub fn wanted(terminal: bool) -> Paint {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Paint { on: terminal && set("NO_COLOR").is_none() && set("TERM").is_some_and(|term| term != "dumb") }
    }

    pub fn title(self, text: &str) -> String {
        self.with(Style::new().bold(), text)
    }

    pub fn faint(self, text: &str) -> String {
        self.with(Style::new().dim(), text)
    }

    pub fn good(self, text: &str) -> String {
        self.with(Style::new().green(), text)
    }

    pub fn bad(self, text: &str) -> String {
        self.with(Style::new().red().bold(), text)
    }

    pub fn odd(self, text: &str) -> String {
        self.with(Style::new().yellow(), text)
    }

    pub fn hint(self, text: &str) -> String {
        self.with(Style::new().cyan(), text)
    }

    fn with(self, how: Style, text: &str) -> String {
        PAINTED.fetch_or(self.on, Ordering::Relaxed);
        // This type decides about colors, not console by its own stdout.
        if self.on { how.force_styling(true).apply_to(text).to_string() } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_and_lines_pass_and_nothing_else_that_a_terminal_obeys() {
        let paint = Paint { on: true };
        let painted = [paint.title("a"), paint.faint("b"), paint.good("c"), paint.bad("d"), paint.odd("e"), paint.hint("f")].join("\n");
        assert_eq!(guarded(&painted), painted);
        for (text, shown) in [
            ("\u{1b}[2J", "U+001B[2J"),
            ("\u{1b}]52;c;eA==\u{7}", "U+001B]52;c;eA==U+0007"),
            ("\u{1b}[8m", "U+001B[8m"),
            ("\u{9b}2J", "U+009B2J"),
            ("a\rb\tc", "aU+000Db c"),
            ("\u{202e}x\u{200b}", "U+202ExU+200B"),
        ] {
            assert_eq!(guarded(text), shown);
        }
    }
}
