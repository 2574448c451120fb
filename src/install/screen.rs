//! What a person sees: on the screen and on the serial port, lines while it runs, and at the end a word that is readable from two metres.

use std::fs::{File, OpenOptions};
use std::io::Write;

use hostler_core::install::letters::large;
use hostler_core::visible::visible;

/// The virtual terminal that is shown, and the first serial port.
const TERMINALS: [&str; 2] = ["/dev/tty0", "/dev/ttyS0"];

pub struct Screen {
    terminals: Vec<File>,
}

impl Screen {
    /// Whatever of it there is: a machine may have neither.
    pub fn open() -> Screen {
        let open = |path: &&str| OpenOptions::new().write(true).open(path).ok();
        Screen { terminals: TERMINALS.iter().filter_map(open).collect() }
    }

    fn write(&self, text: &str) {
        for mut terminal in &self.terminals {
            // A serial port that does not exist fails here.
            let _ = terminal.write_all(text.as_bytes());
        }
    }

    pub fn line(&self, text: &str) {
        self.write(&format!("hostler: {}\r\n", visible(text)));
    }

    /// Clears the screen and shows a word in large letters, with lines below.
    pub fn large(&self, word: &str, lines: &[String]) {
        let mut text = "\x1b[2J\x1b[H\r\n".to_owned();
        for row in large(word) {
            text.push_str(&format!("  {row}\r\n"));
        }
        text.push_str("\r\n");
        for line in lines {
            text.push_str(&format!("  {}\r\n", visible(line)));
        }
        self.write(&text);
    }

    pub fn failed(&self, reason: &str) {
        let mut lines: Vec<String> = reason.lines().map(str::to_owned).collect();
        lines.push(String::new());
        lines.push("The installer has stopped. Switch the machine off, or press Ctrl-Alt-Del to restart it.".to_owned());
        self.large("FAILED", &lines);
    }
}
