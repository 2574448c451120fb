//! Waiting for a thing itself, with a limit and a name.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a thing is looked at that nothing announces.
const INTERVAL: Duration = Duration::from_millis(25);

/// Looks until there is something.
///
/// # Errors
/// `limit` has passed (the message names `what`), or looking itself failed.
pub async fn until<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if begun.elapsed() > limit {
            bail!("waited {} s for {what}", limit.as_secs());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
