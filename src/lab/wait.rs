//! Waits for a condition, with a limit and a name.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Polling interval.
const INTERVAL: Duration = Duration::from_millis(25);

/// Polls until `look` returns something.
///
/// # Errors
/// `limit` has passed (the message names `what`), or `look` failed.
pub async fn until<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if begun.elapsed() > limit {
            bail!("timed out after {} s waiting for {what}", limit.as_secs());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
