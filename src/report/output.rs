//! The two streams of this process. Everything that is printed goes through here: an error of one is neither ignored nor a panic.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use super::guarded;

/// Prints on standard error. If that can't be written, nobody can be told.
pub fn say(text: &str) {
    let mut stderr = io::stderr();
    let _ = stderr.write_all(guarded(text).as_bytes()).and_then(|()| stderr.flush());
}

/// Where results go: standard output.
pub struct Results {
    output: Box<dyn Write + Send>,
    lost: Lost,
}

/// Why results could no longer be written, shared by all who print.
#[derive(Debug, Clone, Default)]
pub struct Lost(Arc<OnceLock<io::Error>>);

impl Lost {
    /// The first error.
    pub fn error(&self) -> Option<&io::Error> {
        self.0.get()
    }

    pub fn set(&self, error: io::Error) {
        let _ = self.0.set(error);
    }

    /// The message for the user; `None` if nothing was lost, or if the reader has just gone away, as `head` does.
    pub fn message(&self) -> Option<String> {
        let error = self.error().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)?;
        Some(format!("can't write to standard output: {error}"))
    }
}

impl Results {
    pub fn new(output: Box<dyn Write + Send>, lost: Lost) -> Results {
        Results { output, lost }
    }

    /// Writes `clear`, which empties the screen of a terminal.
    pub fn clear(&mut self, clear: &str) {
        self.write(clear);
    }

    /// Prints `text`. After an error nothing more is printed: work that is under way goes on, and the run fails at its end.
    pub fn print(&mut self, text: &str) {
        self.write(&guarded(text));
    }

    fn write(&mut self, text: &str) {
        if self.lost.error().is_some() {
            return;
        }
        if let Err(error) = self.output.write_all(text.as_bytes()).and_then(|()| self.output.flush()) {
            self.lost.set(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_first_error_is_kept_and_a_reader_that_is_gone_is_none() {
        let lost = Lost::default();
        let mut results = Results::new(Box::new(Full), lost.clone());
        assert_eq!(lost.message(), None);
        results.print("one");
        results.print("two");
        assert!(lost.message().unwrap().starts_with("can't write to standard output"));
        let gone = Lost::default();
        gone.set(io::ErrorKind::BrokenPipe.into());
        assert!(gone.error().is_some() && gone.message().is_none());
    }
}
