//! What a program prints, line by line.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Lines of arbitrary bytes, until the end.
pub(super) struct Lines<R> {
    from: Option<BufReader<R>>,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn of(from: Option<R>) -> Lines<R> {
        Lines { from: from.map(BufReader::new), line: Vec::new() }
    }

    pub(super) fn open(&self) -> bool {
        self.from.is_some()
    }

    /// `None`: the end. Cancel-safe: a partly read line is not lost when this is dropped.
    pub(super) async fn next(&mut self) -> Option<String> {
        let from = self.from.as_mut()?;
        let read = from.read_until(b'\n', &mut self.line).await;
        if read.is_err() || self.line.is_empty() {
            self.from = None;
            return None;
        }
        let line = String::from_utf8_lossy(&self.line).trim_end_matches(['\n', '\r']).to_owned();
        self.line.clear();
        Some(line)
    }
}
