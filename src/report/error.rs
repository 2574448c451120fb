//! Errors as text.

use hostler_core::visible::visible_lines;

use super::paint::Paint;

/// An error and its causes: `error: ...`, a `caused by: ...` line for each cause that adds something, and last the `hint: ...` lines. A line
/// of any error of the chain that starts with `hint: ` is a hint. Ends with a newline.
pub fn error_text(error: &anyhow::Error, paint: Paint) -> String {
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

    use hostler_core::failure::{ExitStatus, Failure};

    use super::*;

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
    fn a_cause_that_adds_nothing_is_left_out() {
        let error = anyhow!("no such file").context("can't read ponies.yaml: no such file\nhint: `hostler init` writes one");
        insta::assert_snapshot!(error_text(&error, Paint { on: false }), @r"
        error: can't read ponies.yaml: no such file
        hint: `hostler init` writes one
        ");
    }
}
