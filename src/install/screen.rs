//! What a person sees: on the screen and on the serial port, lines while it runs, and at the end a word that is readable from two metres.

use std::fs::{File, OpenOptions};
use std::io::Write;

use hostler_core::install::letters::large;
use hostler_core::visible::visible;

use super::font;
use crate::report::wrap::wrapped;

const INDENT: &str = "  ";

/// Whatever of it there is: a machine may have neither.
pub struct Screen {
    /// The virtual terminal that is shown.
    shown: Option<File>,
    /// The first serial port.
    serial: Option<File>,
}

impl Screen {
    pub fn open() -> Screen {
        let open = |path| OpenOptions::new().write(true).open(path).ok();
        Screen { shown: open("/dev/tty0"), serial: open("/dev/ttyS0") }
    }

    fn write(&self, text: &str) {
        for terminal in [&self.shown, &self.serial].into_iter().flatten() {
            put(terminal, text);
        }
    }

    pub fn line(&self, text: &str) {
        self.write(&format!("hostler: {}\r\n", visible(text)));
    }

    /// Clears the screen and shows a word in large letters, with lines below, which are as large as they fit.
    pub fn large(&self, word: &str, lines: &[String]) {
        let lines = lines.iter().map(|line| visible(line).into_owned());
        let all: Vec<String> = [String::new()].into_iter().chain(large(word)).chain([String::new()]).chain(lines).collect();
        let text = |columns| all.iter().map(|line| wrapped(INDENT, INDENT, line, columns)).collect::<Vec<_>>().join("\n") + "\n";
        if let Some(shown) = &self.shown {
            // The cursor stands below.
            font::enlarge(shown, |columns| text(Some(columns)).lines().count() + 1);
            put(shown, &cleared(&text(font::columns(shown))));
        }
        if let Some(serial) = &self.serial {
            put(serial, &cleared(&text(None)));
        }
    }

    pub fn failed(&self, reason: &str) {
        let mut lines: Vec<String> = reason.lines().map(str::to_owned).collect();
        lines.push(String::new());
        lines.push("The installer has stopped. Switch the machine off, or press Ctrl-Alt-Del to restart it.".to_owned());
        self.large("FAILED", &lines);
    }
}

fn put(mut terminal: &File, text: &str) {
    // A serial port that does not exist fails here.
    let _ = terminal.write_all(text.as_bytes());
}

fn cleared(text: &str) -> String {
    format!("\x1b[2J\x1b[H{}", text.replace('\n', "\r\n"))
}
