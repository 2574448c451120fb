//! Colours, for those who want them.

use console::Style;

/// Colours on or off. Off, every method returns its text as it is.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    pub on: bool,
}

impl Paint {
    /// On when `terminal`, unless NO_COLOR is set to something or the terminal is dumb.
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
        // Whether there are colours is known here, whatever console finds out about its own stdout.
        if self.on { how.force_styling(true).apply_to(text).to_string() } else { text.to_owned() }
    }
}
