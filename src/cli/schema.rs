//! `hostler schema`: what an inventory can say, as JSON schema, for editors and other programs.

use anyhow::Result;
use hostler_core::inventory::reference;

use crate::report::Reporter;

/// # Errors
/// None that is known.
pub async fn run(reporter: &Reporter) -> Result<()> {
    reporter.result(&serde_json::to_string_pretty(&reference::json_schema())?).await;
    Ok(())
}
