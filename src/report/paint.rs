//! Colors.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use hostler_core::visible::visible_lines;

/// The end of each color that this process writes until it is printed: parameters that no text from elsewhere can hold, as nobody else knows
/// them. With them a color is still one that widths are measured without: each has at most four digits.
static OWN: LazyLock<String> = LazyLock::new(|| {
    let secret = RandomState::new().hash_one(std::process::id());
    let parameters = (0..4).map(|part| format!(";{}", (secret >> (16 * part)) % 10_000));
    parameters.collect::<String>() + "m"
});

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
        rest = match own_color(&rest[at..]) {
            Some((color, behind)) => {
                clean.push_str(color);
                clean.push('m');
                behind
            }
            None => {
                clean.push_str("U+001B");
                &rest[at + 1..]
            }
        };
    }
    clean.push_str(&visible_lines(rest));
    Cow::Owned(clean)
}

/// The color of [`Paint`] that `text` begins with, without its end, and what is behind it.
fn own_color(text: &str) -> Option<(&str, &str)> {
    let (color, behind) = text.split_once(OWN.as_str())?;
    let parameters = color.strip_prefix("\u{1b}[")?;
    parameters.chars().all(|c| c == ';' || c.is_ascii_digit()).then_some((color, behind))
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
        self.with("1", text)
    }

    pub fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    pub fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    pub fn odd(self, text: &str) -> String {
        self.with("33", text)
    }

    pub fn hint(self, text: &str) -> String {
        self.with("36", text)
    }

    /// `parameters` of "select graphic rendition" (ECMA-48) around `text`, as [`guarded`] lets it pass.
    fn with(self, parameters: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{parameters}{OWN}{text}\u{1b}[0{OWN}", OWN = *OWN) } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_colors_and_lines_pass_and_nothing_else_that_a_terminal_obeys() {
        let paint = Paint { on: true };
        assert_eq!(guarded(&paint.bad("a\nb")), "\u{1b}[1;31ma\nb\u{1b}[0m");
        for own in [paint.title("a"), paint.faint("a"), paint.good("a"), paint.odd("a"), paint.hint("a")] {
            let shown = guarded(&own);
            assert!(shown.starts_with("\u{1b}[") && shown.ends_with("ma\u{1b}[0m"), "{shown:?}");
            assert_eq!(console::measure_text_width(&own), 1);
            // What was printed is no key to the terminal: others may have read it.
            assert_eq!(guarded(&shown), visible_lines(&shown));
        }
        for (text, shown) in [
            ("\u{1b}[2J", "U+001B[2J"),
            ("\u{1b}]52;c;eA==\u{7}", "U+001B]52;c;eA==U+0007"),
            ("\u{1b}[8m", "U+001B[8m"),
            ("\u{1b}[31mx\u{1b}[0m", "U+001B[31mxU+001B[0m"),
            ("\u{9b}2J", "U+009B2J"),
            ("a\rb\tc", "aU+000Db c"),
            ("\u{202e}x\u{200b}", "U+202ExU+200B"),
        ] {
            assert_eq!(guarded(text), shown);
            // Neither beside an own color, nor before one.
            assert_eq!(guarded(&format!("{text}{}", paint.good("x"))), format!("{shown}\u{1b}[32mx\u{1b}[0m"));
        }
    }
}
