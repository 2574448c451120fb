//! Prompts. The reporter shows them, so that prompts and progress don't overwrite each other.

use std::fs::OpenOptions;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::Arc;

use anyhow::Result;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::visible::visible_lines;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::termios::{self, LocalFlags, SetArg};
use tokio::sync::{mpsc, oneshot};

use super::Request;
use super::redact::Redactor;

/// Asks the user. Clones ask the same one, one question at a time.
#[derive(Debug, Clone)]
pub struct Asker {
    /// `None`: there is no terminal.
    pub(super) requests: Option<mpsc::UnboundedSender<Request>>,
    pub(super) redactor: Arc<Redactor>,
}

/// A prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Yes or no; anything except a yes is a no.
    YesNo { text: String },
    /// The answer is `expected`, typed in full.
    Typed { text: String, expected: String },
    /// A line of text; an empty one means `default`, or repeats the prompt if there is none.
    Text { text: String, default: Option<String> },
    /// Read without echo.
    Password { text: String },
}

/// Whether standard input and standard error are a terminal.
pub fn has_terminal() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

impl Asker {
    /// Without a terminal: every question is an error.
    pub fn absent() -> Asker {
        Asker { requests: None, redactor: Arc::default() }
    }

    /// Answers come from `answer` instead of a terminal, one question at a time, on a thread of its own.
    pub fn answered_by(mut answer: impl FnMut(&Question) -> io::Result<String> + Send + 'static) -> Asker {
        let (requests, mut asked) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            while let Some(request) = asked.blocking_recv() {
                if let Request::Ask(question, reply) = request {
                    // The receiver may be gone.
                    let _ = reply.send(answer(&question));
                }
            }
        });
        Asker { requests: Some(requests), redactor: Arc::default() }
    }

    /// Yes or no; no is the default. `otherwise` is the hint if there is no terminal: ``pass `--yes` ``.
    ///
    /// # Errors
    /// Usage (2) with `otherwise` as hint if there is no terminal.
    pub async fn yes_no(&self, text: &str, otherwise: &str) -> Result<bool> {
        Ok(self.ask(Question::YesNo { text: text.to_owned() }, otherwise).await? == "yes")
    }

    /// Whether `expected` (the cluster's name) was typed in full.
    ///
    /// # Errors
    /// As [`yes_no`](Asker::yes_no).
    pub async fn typed(&self, text: &str, expected: &str, otherwise: &str) -> Result<bool> {
        let question = Question::Typed { text: text.to_owned(), expected: expected.to_owned() };
        Ok(self.ask(question, otherwise).await? == expected)
    }

    /// A trimmed line of text; an empty one is `default`. Never empty if there is no default.
    ///
    /// # Errors
    /// As [`yes_no`](Asker::yes_no), or the input ends.
    pub async fn text(&self, text: &str, default: Option<&str>, otherwise: &str) -> Result<String> {
        self.ask(Question::Text { text: text.to_owned(), default: default.map(str::to_owned) }, otherwise).await
    }

    /// A password, read without echo, and known to the redactor from then on.
    ///
    /// # Errors
    /// As [`yes_no`](Asker::yes_no).
    pub async fn password(&self, text: &str, otherwise: &str) -> Result<String> {
        let password = self.ask(Question::Password { text: text.to_owned() }, otherwise).await?;
        self.redactor.add(&password);
        Ok(password)
    }

    async fn ask(&self, mut question: Question, otherwise: &str) -> Result<String> {
        let text = match &mut question {
            Question::YesNo { text } | Question::Typed { text, .. } | Question::Text { text, .. } | Question::Password { text } => {
                *text = visible_lines(text).into_owned();
                text.clone()
            }
        };
        let nobody =
            || Failure::new(ExitStatus::Usage, format!("a question must be answered, but there is no terminal: {text}"), otherwise);
        let (answer, answered) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(nobody)?;
        requests.send(Request::Ask(question, answer)).map_err(|_| nobody())?;
        // The reporter drops a question without an answer only when it ends.
        let answer = answered.await.map_err(|_| nobody())?;
        answer.map_err(|error| Failure::new(ExitStatus::Usage, format!("no answer to the question: {text}: {error}"), otherwise).into())
    }
}

/// Asks on the terminal. Blocks until there is an answer.
pub(super) fn on_terminal(question: &Question) -> io::Result<String> {
    match question {
        Question::Password { text } => without_echo(|| rpassword::prompt_password(format!("{text}: "))),
        _ => answer(question, &mut io::stdin().lock(), &mut io::stderr()),
    }
}

/// Turns the terminal's echo off before the prompt appears. rpassword does it a moment later: a password that is typed at once, e.g. by a
/// password manager, would be visible.
fn without_echo(ask: impl FnOnce() -> io::Result<String>) -> io::Result<String> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let before = termios::tcgetattr(&terminal)?;
    let mut silent = before.clone();
    // Ctrl-C arrives as a character, which rpassword understands.
    silent.local_flags.remove(LocalFlags::ECHO | LocalFlags::ISIG);
    // rpassword answers it with SIGINT to this thread: only after the terminal is restored.
    let interrupt = SigSet::from(Signal::SIGINT);
    interrupt.thread_block()?;
    let answer = termios::tcsetattr(&terminal, SetArg::TCSANOW, &silent).map_err(io::Error::from).and_then(|()| ask());
    let restored = termios::tcsetattr(&terminal, SetArg::TCSANOW, &before);
    interrupt.thread_unblock()?;
    restored?;
    answer
}

/// Asks on `output` and reads lines of `input` until one is an answer. Not for passwords.
fn answer(question: &Question, input: &mut impl BufRead, output: &mut impl Write) -> io::Result<String> {
    loop {
        match question {
            Question::YesNo { text } => write!(output, "{text} [y/N] ")?,
            Question::Typed { text, expected } => write!(output, "{text}\ntype {expected} to continue: ")?,
            Question::Text { text, default: Some(default) } => write!(output, "{text} [{default}]: ")?,
            Question::Text { text, default: None } | Question::Password { text } => write!(output, "{text}: ")?,
        }
        output.flush()?;
        let mut line = String::new();
        let ended = input.read_line(&mut line)? == 0;
        if ended {
            // No answer has ended the line of the prompt.
            writeln!(output)?;
        }
        let line = line.trim();
        match question {
            Question::YesNo { .. } => {
                let yes = ["y", "yes"].contains(&line.to_lowercase().as_str());
                return Ok(if yes { "yes" } else { "no" }.to_owned());
            }
            Question::Text { default: Some(default), .. } if line.is_empty() => return Ok(default.clone()),
            Question::Text { default: None, .. } if line.is_empty() => {
                if ended {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
            }
            _ => return Ok(line.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(question: Question, typed: &str) -> (io::Result<String>, String) {
        let mut output = Vec::new();
        let answer = answer(&question, &mut typed.as_bytes(), &mut output);
        (answer, String::from_utf8(output).unwrap())
    }

    #[test]
    fn only_a_yes_is_a_yes() {
        let question = || Question::YesNo { text: "apply this plan?".to_owned() };
        for (typed, expected) in
            [("y\n", "yes"), ("Yes\n", "yes"), (" yes \n", "yes"), ("\n", "no"), ("", "no"), ("yep\n", "no"), ("n\n", "no")]
        {
            assert_eq!(asked(question(), typed).0.unwrap(), expected, "{typed:?}");
        }
        assert_eq!(asked(question(), "y\n").1, "apply this plan? [y/N] ");
    }

    #[test]
    fn a_name_must_be_typed_in_full() {
        let question = Question::Typed { text: "this wipes 3 machines of ponies".to_owned(), expected: "ponies".to_owned() };
        assert_eq!(asked(question.clone(), "pony\n").0.unwrap(), "pony");
        let (answer, shown) = asked(question, "ponies\n");
        assert_eq!(answer.unwrap(), "ponies");
        assert_eq!(shown, "this wipes 3 machines of ponies\ntype ponies to continue: ");
    }

    #[test]
    fn an_empty_answer_is_the_default_or_repeats_the_prompt() {
        let user = Question::Text { text: "user".to_owned(), default: Some("root".to_owned()) };
        assert_eq!(asked(user.clone(), "\n").0.unwrap(), "root");
        assert_eq!(asked(user, " ash\n").0.unwrap(), "ash");
        let address = Question::Text { text: "address".to_owned(), default: None };
        let (answer, shown) = asked(address.clone(), "\n192.168.1.11\n");
        assert_eq!((answer.unwrap().as_str(), shown.as_str()), ("192.168.1.11", "address: address: "));
        assert_eq!(asked(address, "\n").0.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn without_a_terminal_the_error_names_the_flag() {
        let error = Asker::absent().yes_no("apply this plan?", "pass `--yes`").await.unwrap_err();
        assert_eq!(ExitStatus::of(&error), ExitStatus::Usage);
        assert_eq!(error.to_string(), "a question must be answered, but there is no terminal: apply this plan?\nhint: pass `--yes`");
    }
}
