//! Exit statuses, and errors with one.

use std::error::Error;
use std::fmt;

/// The exit status of hostler. If several apply, the [highest](ExitStatus::highest) is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitStatus {
    Done = 0,
    Failed = 1,
    /// The command line or the inventory is wrong.
    Usage = 2,
    Refused = 3,
    Unreachable = 4,
}

impl ExitStatus {
    /// The highest of `statuses`; done if there are none.
    pub fn highest(statuses: impl IntoIterator<Item = ExitStatus>) -> ExitStatus {
        statuses.into_iter().max().unwrap_or(ExitStatus::Done)
    }

    /// The exit status for an error: that of the outermost [`Failure`] in its chain, else failed.
    pub fn of(error: &anyhow::Error) -> ExitStatus {
        // anyhow's downcast searches contexts; the chain finds a Failure that is wrapped by another error.
        error
            .downcast_ref::<Failure>()
            .or_else(|| error.chain().find_map(|cause| cause.downcast_ref::<Failure>()))
            .map_or(ExitStatus::Failed, |failure| failure.status)
    }
}

/// An error with an exit status and a hint. The report finds the hint even if context is added.
#[derive(Debug)]
pub struct Failure {
    pub status: ExitStatus,
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl Failure {
    pub fn new(status: ExitStatus, message: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure { status, message: message.into(), hint: hint.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.hint.is_empty() {
            write!(f, "\nhint: {}", self.hint)?;
        }
        Ok(())
    }
}

impl Error for Failure {}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn the_highest_status_wins() {
        use ExitStatus::*;
        assert_eq!(ExitStatus::highest([]), Done);
        assert_eq!(ExitStatus::highest([Failed, Done]), Failed);
        assert_eq!(ExitStatus::highest([Failed, Unreachable, Refused]), Unreachable);
        assert_eq!(ExitStatus::highest([Refused, Failed]), Refused);
    }

    #[test]
    fn the_status_is_found_through_contexts() {
        let refused = || anyhow::Error::new(Failure::new(ExitStatus::Refused, "twilightsparkle holds the only etcd member", ""));
        assert_eq!(ExitStatus::of(&refused()), ExitStatus::Refused);
        assert_eq!(ExitStatus::of(&refused().context("can't remove it").context("remove")), ExitStatus::Refused);
        assert_eq!(ExitStatus::of(&anyhow!("no space left")), ExitStatus::Failed);
    }
}
