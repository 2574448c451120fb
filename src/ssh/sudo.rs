//! How scripts become root on a machine: determined once per connection; a password is asked for once per run.

use std::fmt;

use hostler_core::visible::shortened;

use super::access::ATTEMPTS;
use super::run::{Exit, Line, RunError, on_a_terminal};
use super::session::Session;

pub(super) enum Privilege {
    /// The login user itself: root, or any user with `become: false` in the inventory.
    Login,
    Sudo {
        /// `None`: it needs none.
        password: Option<String>,
        /// It requires a terminal.
        terminal: bool,
    },
}

/// Why scripts can't become root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SudoError {
    pub machine: String,
    pub user: String,
    pub reason: SudoReason,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SudoReason {
    Missing,
    NotAllowed,
    NeedsTerminal,
    /// It needs a password, and there is no terminal to ask on.
    NobodyToAsk,
    WrongPassword,
    Other(String),
}

impl fmt::Display for SudoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SudoError { machine, user, reason } = self;
        match reason {
            SudoReason::Missing => write!(f, "{machine}: sudo is not installed, and {user} is not root"),
            SudoReason::NotAllowed => write!(f, "{machine}: {user} may not use sudo"),
            SudoReason::NeedsTerminal => write!(f, "{machine}: sudo requires a terminal (requiretty)"),
            SudoReason::NobodyToAsk => write!(f, "{machine}: sudo needs {user}'s password, and there is no terminal to ask on"),
            SudoReason::WrongPassword => write!(f, "{machine}: sudo accepted none of the passwords for {user}"),
            SudoReason::Other(said) => write!(f, "{machine}: sudo failed: {said}"),
        }
    }
}

impl SudoError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        let SudoError { machine, user, reason } = self;
        match reason {
            SudoReason::Missing => format!("connect to {machine} as root, or install sudo there"),
            SudoReason::NotAllowed => format!("run `adduser {user} sudo` as root on {machine}, or log in as another user"),
            SudoReason::NeedsTerminal => format!("as root on {machine}, write `Defaults:{user} !requiretty` to a file in /etc/sudoers.d"),
            SudoReason::NobodyToAsk => {
                format!(
                    "run this in a terminal; or as root on {machine}, write `{user} ALL=(ALL) NOPASSWD: ALL` to a file in /etc/sudoers.d"
                )
            }
            SudoReason::WrongPassword => format!("try `sudo -v` as {user} on {machine}"),
            SudoReason::Other(_) => format!("try `sudo -v` as {user} on {machine}"),
        }
    }
}

impl Session {
    /// Finds out how scripts become root; otherwise the first script does. The user may be asked for sudo's password.
    ///
    /// # Errors
    /// [`RunError::Sudo`], or what ends the connection.
    pub async fn become_root(&self) -> Result<(), RunError> {
        self.privilege().await.map(|_| ())
    }

    pub(super) async fn privilege(&self) -> Result<&Privilege, RunError> {
        self.privilege.get_or_try_init(|| self.find_privilege()).await
    }

    async fn find_privilege(&self) -> Result<Privilege, RunError> {
        if !self.target.sudo {
            return Ok(Privilege::Login);
        }
        let mut terminal = false;
        let refusal = loop {
            match self.sudo("-n true", None, terminal).await? {
                None => return Ok(Privilege::Sudo { password: None, terminal }),
                Some(SudoReason::NeedsTerminal) if !terminal => terminal = true,
                Some(reason @ (SudoReason::Missing | SudoReason::NeedsTerminal | SudoReason::NotAllowed)) => {
                    return Err(self.sudo_error(reason));
                }
                // Whatever the error: a password may help, and the error after that is clear.
                Some(reason) => break reason,
            }
        };
        let mut tried: Option<String> = None;
        loop {
            // Held during the prompt: other machines usually have the same password.
            let mut known = self.access.sudo_passwords.lock().await;
            let own = known.iter().find(|(machine, _)| *machine == self.target.name).or(known.first());
            let likely = own.map(|(_, password)| password.clone()).filter(|password| tried.as_ref() != Some(password));
            let Some(password) = likely else {
                let password = self.ask(tried.is_some(), refusal, terminal).await?;
                known.push((self.target.name.clone(), password.clone()));
                return Ok(Privilege::Sudo { password: Some(password), terminal });
            };
            drop(known);
            if self.opens(&password, terminal).await? {
                return Ok(Privilege::Sudo { password: Some(password), terminal });
            }
            tried = Some(password);
        }
    }

    /// A password that sudo accepts, from the user. `another`: it is not that of the other machines.
    async fn ask(&self, another: bool, refusal: SudoReason, terminal: bool) -> Result<String, RunError> {
        let (user, machine) = (&self.target.user, &self.target.name);
        for attempt in 0..ATTEMPTS {
            let question = match attempt {
                0 if another => format!("sudo password for {user} on {machine} (not that of the other machines)"),
                0 => format!("sudo password for {user}"),
                _ => format!("wrong password; sudo password for {user} on {machine}"),
            };
            let Ok(password) = self.access.asker.password(&question, "run this in a terminal").await else {
                return Err(self.sudo_error(match refusal {
                    SudoReason::Other(said) if !said.contains("password") => SudoReason::Other(said),
                    _ => SudoReason::NobodyToAsk,
                }));
            };
            self.access.redactor.add(&password);
            if self.opens(&password, terminal).await? {
                return Ok(password);
            }
        }
        Err(self.sudo_error(SudoReason::WrongPassword))
    }

    /// Whether sudo accepts `password`.
    async fn opens(&self, password: &str, terminal: bool) -> Result<bool, RunError> {
        match self.sudo("-k -S -p \"\" true", Some(password), terminal).await? {
            None => Ok(true),
            Some(SudoReason::WrongPassword) => Ok(false),
            Some(reason) => Err(self.sudo_error(reason)),
        }
    }

    /// Runs a sudo command that does nothing. `None`: it succeeded.
    async fn sudo(&self, words: &str, password: Option<&str>, terminal: bool) -> Result<Option<SudoReason>, RunError> {
        let command = format!("env LC_ALL=C sudo {words}");
        let command = if terminal { on_a_terminal(&command) } else { format!("exec {command}") };
        let mut said = String::new();
        let input = password.map(|password| format!("{password}\n").into_bytes()).unwrap_or_default();
        let listen = |line: Line| {
            let (Line::Out(text) | Line::Err(text)) = line;
            said.push_str(text);
            said.push('\n');
        };
        let exit = self.exec(&command, input, Vec::new(), |_| {}, listen).await?;
        Ok(match exit {
            Exit::Status(0) => None,
            Exit::Status(127) => Some(SudoReason::Missing),
            exit => Some(reason(&said, &exit)),
        })
    }

    fn sudo_error(&self, reason: SudoReason) -> RunError {
        RunError::Sudo(SudoError { machine: self.target.name.clone(), user: self.target.user.clone(), reason })
    }
}

/// By the messages of sudo 1.8 to 1.9 and sudo-rs in the C locale.
fn reason(said: &str, exit: &Exit) -> SudoReason {
    let any = |phrases: &[&str]| phrases.iter().any(|phrase| said.contains(phrase));
    if any(&["must have a tty"]) {
        SudoReason::NeedsTerminal
    } else if any(&[
        "not in the sudoers",
        "may not run sudo",
        "is not allowed to execute",
        "not allowed to run sudo",
        "I'm afraid I can't do that",
    ]) {
        SudoReason::NotAllowed
    } else if any(&[
        "incorrect password",
        "Sorry, try again",
        "no password was provided",
        "Authentication failed",
        "incorrect authentication",
    ]) {
        SudoReason::WrongPassword
    } else {
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
        SudoReason::Other(last.map_or_else(|| exit.to_string(), |line| shortened(line, 300)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_sudo_are_recognized() {
        for (said, expected) in [
            ("sudo: sorry, you must have a tty to run sudo\n", SudoReason::NeedsTerminal),
            ("ash is not in the sudoers file.\nThis incident has been reported to the administrator.\n", SudoReason::NotAllowed),
            ("Sorry, user ash may not run sudo on pie.\n", SudoReason::NotAllowed),
            ("Sorry, user ash is not allowed to execute '/usr/bin/true' as root on pie.\n", SudoReason::NotAllowed),
            (
                "We trust you have received the usual lecture\n\nSorry, try again.\nsudo: no password was provided\nsudo: 1 incorrect password attempt\n",
                SudoReason::WrongPassword,
            ),
            ("sudo: a password is required\n", SudoReason::Other("sudo: a password is required".to_owned())),
            ("", SudoReason::Other("status 1".to_owned())),
        ] {
            assert_eq!(reason(said, &Exit::Status(1)), expected, "{said}");
        }
    }
}
