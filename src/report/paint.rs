//! Colors.

use console::Style;

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
        // This type decides about colors, not console by its own stdout.
        if self.on { how.force_styling(true).apply_to(text).to_string() } else { text.to_owned() }
    }
}
