//! How a run ends: exit statuses, and errors as a person reads them.

use std::error::Error;
use std::fmt;

use super::paint::Paint;

/// The exit status of hostler. A run that ended in several ways at once has the [highest](ExitStatus::highest).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitStatus {
    Done = 0,
    Failed = 1,
    /// The command line or the inventory.
    Usage = 2,
    Refused = 3,
    Unreachable = 4,
}

impl ExitStatus {
    /// The highest of `statuses`; done when there are none.
    pub fn highest(statuses: impl IntoIterator<Item = ExitStatus>) -> ExitStatus {
        statuses.into_iter().max().unwrap_or(ExitStatus::Done)
    }

    /// What an error of a command ends it with: the status of the outermost [`Failure`] in its chain, else failed.
    pub fn of(error: &anyhow::Error) -> ExitStatus {
        // anyhow's own downcast looks through contexts; what a Failure wraps is found by the chain.
        error
            .downcast_ref::<Failure>()
            .or_else(|| error.chain().find_map(|cause| cause.downcast_ref::<Failure>()))
            .map_or(ExitStatus::Failed, |failure| failure.status)
    }
}

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> std::process::ExitCode {
        std::process::ExitCode::from(status as u8)
    }
}

/// An error with an exit status and a way out. Context may be put around it; [`error_text`] finds the hint all the same.
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

/// An error and its causes: `error: ...`, a `caused by: ...` line for each cause that says something new, and last the `hint: ...`
/// lines. Any error of the chain gives a hint by a line of its text that begins with `hint: `. Ends with a newline.
pub fn error_text(error: &anyhow::Error, paint: Paint) -> String {
    let mut text = String::new();
    let mut hints: Vec<String> = Vec::new();
    let mut said = String::new();
    for cause in error.chain() {
        let whole = cause.to_string();
        let (hint_lines, lines): (Vec<_>, Vec<_>) = whole.trim().lines().partition(|line| line.starts_with("hint: "));
        for hint in hint_lines {
            if !hints.iter().any(|known| known == hint) {
                hints.push(hint.to_owned());
            }
        }
        // Many libraries print their cause as part of themselves.
        let message = lines.join("\n");
        if message.is_empty() || said.contains(&message) {
            continue;
        }
        let head = if said.is_empty() { paint.bad("error:") } else { "  caused by:".to_owned() };
        text.push_str(&format!("{head} {message}\n"));
        said.push_str(&message);
    }
    for hint in hints {
        let rest = hint.trim_start_matches("hint: ");
        text.push_str(&format!("{} {rest}\n", paint.hint("hint:")));
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

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

    #[test]
    fn causes_follow_and_hints_come_last() {
        let error = Err::<(), _>(Failure::new(ExitStatus::Unreachable, "connection refused", "is sshd running?\nhint: try `ssh`"))
            .context("rainbowdash: can't connect to 192.168.1.12:22")
            .unwrap_err();
        insta::assert_snapshot!(error_text(&error, Paint { on: false }), @r"
        error: rainbowdash: can't connect to 192.168.1.12:22
          caused by: connection refused
        hint: is sshd running?
        hint: try `ssh`
        ");
    }

    #[test]
    fn what_an_error_already_said_is_not_repeated() {
        let error = anyhow!("no such file").context("can't read ponies.yaml: no such file\nhint: `hostler init` writes one");
        insta::assert_snapshot!(error_text(&error, Paint { on: false }), @r"
        error: can't read ponies.yaml: no such file
        hint: `hostler init` writes one
        ");
    }
}
