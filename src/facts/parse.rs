//! The output of `templates/facts.sh` -> [`Facts`].

use super::Facts;

#[derive(Debug, thiserror::Error)]
#[error("line {line} of the facts can't be read: {what}")]
pub struct FactsError {
    pub line: usize,
    pub what: String,
}

/// Reads what `templates/facts.sh` printed.
pub fn parse(_output: &str) -> Result<Facts, FactsError> {
    Ok(Facts::default())
}
