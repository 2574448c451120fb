//! File operations on a share that may hang: if its server is off, operations on it block indefinitely.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// One operation at a time. One that hangs can't be ended; it keeps its slot, so that no others pile up.
#[derive(Debug, Clone)]
pub struct Share {
    name: &'static str,
    turn: Arc<Semaphore>,
}

impl Share {
    pub fn new(name: &'static str) -> Share {
        Share { name, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Runs `operation` on a thread of its own.
    ///
    /// # Errors
    /// It failed or was not done within `limit`, or an earlier one still hangs.
    pub async fn run<T: Send + 'static>(&self, limit: Duration, operation: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let hangs = || anyhow!("the {} does not respond\nhint: check that its file server is running", self.name);
        let turn = timeout(limit, Arc::clone(&self.turn).acquire_owned()).await.map_err(|_| hangs())?.context("the share is closed")?;
        let work = tokio::task::spawn_blocking(move || {
            let result = operation();
            drop(turn);
            result
        });
        timeout(limit, work).await.map_err(|_| hangs())?.with_context(|| format!("an operation on the {} ended unexpectedly", self.name))?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_hanging_share_is_left_alone_until_it_answers() {
        let share = Share::new("inbox");
        let (answers, hung) = mpsc::channel::<()>();
        let limit = Duration::from_millis(20);
        let first = share.run(limit, move || hung.recv().map_err(anyhow::Error::from)).await;
        assert!(first.expect_err("hangs").to_string().contains("the inbox does not respond"));
        let second = share.run(limit, || -> Result<()> { unreachable!("the first one still hangs") }).await;
        assert!(second.is_err());
        answers.send(()).expect("it is still there");
        assert_eq!(share.run(Duration::from_secs(10), || Ok(5)).await.expect("it answers"), 5);
    }
}
