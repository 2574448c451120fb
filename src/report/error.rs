//! Errors as text.

use hostler_core::visible::{visible, visible_lines};

use super::commands::Commands;
use super::paint::Paint;
use super::wrap;

const ERROR: &str = "error:";
const CAUSED_BY: &str = "caused by:";
const HINT: &str = "hint:";

/// An error and its causes: `error: ...`, a `caused by: ...` line for each cause that adds something, and last the `hint: ...` lines. A line
/// of any error of the chain that starts with `hint: ` is a hint. Lines are wrapped at `width` columns, if it is known. Ends with a newline.
pub fn error_text(error: &anyhow::Error, paint: Paint, width: Option<usize>, commands: &Commands) -> String {
    let mut text = String::new();
    let mut hints: Vec<String> = Vec::new();
    let mut said = String::new();
    for cause in error.chain() {
        let whole = visible_lines(&cause.to_string()).into_owned();
        let (hint_lines, lines): (Vec<_>, Vec<_>) = whole.trim().lines().partition(|line| line.starts_with("hint: "));
        for hint in hint_lines {
            if !hints.iter().any(|known| known == hint) {
                hints.push(hint.to_owned());
            }
        }
        // Many libraries include their cause in their own message.
        let message = lines.join("\n");
        if message.is_empty() || said.contains(&message) {
            continue;
        }
        let head = if said.is_empty() { paint.bad(ERROR) } else { format!("  {CAUSED_BY}") };
        text.push_str(&format!("{head} {message}\n"));
        said.push_str(&message);
    }
    for hint in hints {
        let rest = hint.trim_start_matches("hint: ");
        text.push_str(&format!("{} {rest}\n", paint.hint(HINT)));
    }
    wrap::lines(&commands.complete(&text), width).into_owned()
}

/// An error as another hostler printed it: see [`error_text`].
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// With its causes, in one line.
    pub why: String,
    /// Empty if there was none.
    pub hint: String,
}

impl Told {
    /// `None`: it is not an error of hostler's.
    pub fn parse(text: &str) -> Option<Told> {
        let of = |mark: &str| text.lines().filter_map(|line| Some(visible(line.trim().strip_prefix(mark)?.trim()).into_owned())).collect();
        let mut why: Vec<String> = of(ERROR);
        if why.is_empty() {
            return None;
        }
        why.extend::<Vec<_>>(of(CAUSED_BY));
        let hints: Vec<String> = of(HINT);
        Some(Told { why: why.join(": "), hint: hints.join("; ") })
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use hostler_core::failure::{ExitStatus, Failure};

    use super::*;

    #[test]
    fn causes_follow_and_hints_come_last() {
        let error = Err::<(), _>(Failure::new(ExitStatus::Unreachable, "connection refused", "is sshd running?\nhint: try `ssh`"))
            .context("rainbowdash: can't connect to 192.168.1.12:22")
            .unwrap_err();
        insta::assert_snapshot!(error_text(&error, Paint { on: false }, None, &Commands::default()), @r"
        error: rainbowdash: can't connect to 192.168.1.12:22
          caused by: connection refused
        hint: is sshd running?
        hint: try `ssh`
        ");
    }

    #[test]
    fn what_another_hostler_printed_is_read_back() {
        let error = anyhow!("connection refused")
            .context("10.77.0.12 port 22 can't be reached in the lab\nhint: `hostler lab list` shows which are on");
        let told = Told::parse(&error_text(&error, Paint { on: false }, None, &Commands::default())).unwrap();
        assert_eq!(told.why, "10.77.0.12 port 22 can't be reached in the lab: connection refused");
        assert_eq!(told.hint, "`hostler lab list` shows which are on");
        assert_eq!(Told::parse("ssh: connect to host a port 22: No route to host\n"), None);
    }

    #[test]
    fn a_cause_that_adds_nothing_is_left_out() {
        let error = anyhow!("no such file").context("can't read ponies.yaml: no such file\nhint: `hostler init` writes one");
        insta::assert_snapshot!(error_text(&error, Paint { on: false }, None, &Commands::default()), @r"
        error: can't read ponies.yaml: no such file
        hint: `hostler init` writes one
        ");
    }
}
