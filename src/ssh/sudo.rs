//! How scripts become root on a machine: determined once per connection. A password goes to no machine that the question for it did not name.

use std::fmt;

use hostler_core::visible::shortened;

use super::access::ATTEMPTS;
use super::bounds::Bounds;
use super::run::{Exit, Line, Payload, RunError, on_a_terminal};
use super::session::Session;

/// One line for every login shell.
const SUDO: &str = include_str!("../../templates/ssh/sudo.sh");

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
                    "run this command in a terminal; or as root on {machine}, write `{user} ALL=(ALL) NOPASSWD: ALL` to a file in \
                     /etc/sudoers.d"
                )
            }
            SudoReason::WrongPassword => format!("try `sudo -v` as {user} on {machine}"),
            SudoReason::Other(_) => format!("try `sudo -v` as {user} on {machine}"),
        }
    }
}

/// How scripts become root, as far as is known without asking anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    Found,
    /// sudo needs a password, and none that was given for this machine is right.
    NeedsPassword,
}

/// What was found out without asking the user.
enum Found {
    Privilege(Privilege),
    NeedsPassword {
        /// sudo requires a terminal.
        terminal: bool,
        refusal: SudoReason,
    },
}

impl Session {
    /// Finds out how scripts become root, without asking the user.
    ///
    /// # Errors
    /// [`RunError::Sudo`], sudo that does not answer, or what ends the connection.
    pub async fn become_root(&self) -> Result<Root, RunError> {
        if self.privilege.initialized() {
            return Ok(Root::Found);
        }
        match self.find_privilege().await? {
            Found::Privilege(privilege) => {
                // Another script may have found it meanwhile.
                let _ = self.privilege.set(privilege);
                Ok(Root::Found)
            }
            Found::NeedsPassword { .. } => Ok(Root::NeedsPassword),
        }
    }

    /// Whether sudo accepts `password`, which the user gave for this machine. If so, scripts become root by it.
    ///
    /// # Errors
    /// As [`become_root`](Session::become_root).
    pub async fn offer_password(&self, password: &str) -> Result<bool, RunError> {
        self.access.redactor.add(password);
        for terminal in [false, true] {
            match self.opens(password, terminal).await {
                Ok(true) => {
                    self.access.sudo_passwords.lock().await.insert(self.target.name.clone(), password.to_owned());
                    let _ = self.privilege.set(Privilege::Sudo { password: Some(password.to_owned()), terminal });
                    return Ok(true);
                }
                Err(RunError::Sudo(SudoError { reason: SudoReason::NeedsTerminal, .. })) if !terminal => {}
                refused => return refused,
            }
        }
        Ok(false)
    }

    /// Finds out how scripts become root. The user may be asked for the password of this machine, without a time limit; otherwise the first
    /// script asks.
    ///
    /// # Errors
    /// As [`become_root`](Session::become_root).
    pub async fn become_root_by_asking(&self) -> Result<(), RunError> {
        self.privilege().await.map(|_| ())
    }

    /// How scripts become root. The user may be asked for the password of this machine, by its name.
    pub(super) async fn privilege(&self) -> Result<&Privilege, RunError> {
        self.privilege.get_or_try_init(|| self.find_or_ask()).await
    }

    async fn find_or_ask(&self) -> Result<Privilege, RunError> {
        match self.find_privilege().await? {
            Found::Privilege(privilege) => Ok(privilege),
            Found::NeedsPassword { terminal, refusal } => self.ask(refusal, terminal).await,
        }
    }

    async fn find_privilege(&self) -> Result<Found, RunError> {
        if !self.target.sudo {
            return Ok(Found::Privilege(Privilege::Login));
        }
        let mut terminal = false;
        let refusal = loop {
            match self.sudo("-n true", None, terminal).await? {
                None => return Ok(Found::Privilege(Privilege::Sudo { password: None, terminal })),
                Some(SudoReason::NeedsTerminal) if !terminal => terminal = true,
                Some(reason @ (SudoReason::Missing | SudoReason::NeedsTerminal | SudoReason::NotAllowed)) => {
                    return Err(self.sudo_error(reason));
                }
                // Whatever the error: a password may help, and the error after that is clear.
                Some(reason) => break reason,
            }
        };
        let given = self.access.sudo_passwords.lock().await.get(&self.target.name).cloned();
        if let Some(password) = given
            && self.opens(&password, terminal).await?
        {
            return Ok(Found::Privilege(Privilege::Sudo { password: Some(password), terminal }));
        }
        Ok(Found::NeedsPassword { terminal, refusal })
    }

    /// A password that sudo accepts, from the user. Nothing is locked meanwhile: other machines go on.
    async fn ask(&self, refusal: SudoReason, terminal: bool) -> Result<Privilege, RunError> {
        let (user, machine) = (&self.target.user, &self.target.name);
        let new = if self.access.is_new(&self.target).await { ", whose host key is new" } else { "" };
        for attempt in 0..ATTEMPTS {
            let wrong = if attempt == 0 { "" } else { "wrong password; " };
            let question = format!("{wrong}sudo password for {user} on {machine}{new}");
            let Ok(password) = self.access.asker.password(&question, "run this command in a terminal").await else {
                return Err(self.sudo_error(match refusal {
                    SudoReason::Other(said) if !said.contains("password") => SudoReason::Other(said),
                    _ => SudoReason::NobodyToAsk,
                }));
            };
            self.access.redactor.add(&password);
            if self.opens(&password, terminal).await? {
                self.access.sudo_passwords.lock().await.insert(machine.clone(), password.clone());
                return Ok(Privilege::Sudo { password: Some(password), terminal });
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

    /// sudo with `words`, for the login shell.
    pub(super) fn sudo_command(&self, words: &str) -> String {
        let line = SUDO.lines().last().unwrap_or_default();
        format!("exec /bin/sh -c '{line}' hostler {} {words}", self.target.sudo_program)
    }

    /// Runs a sudo command that does nothing. `None`: it succeeded. What the login shell prints on standard output is not sudo's.
    async fn sudo(&self, words: &str, password: Option<&str>, terminal: bool) -> Result<Option<SudoReason>, RunError> {
        let command = if terminal { on_a_terminal(&format!("{} {words}", self.target.sudo_program)) } else { self.sudo_command(words) };
        let mut said = String::new();
        let input = password.map(|password| format!("{password}\n").into_bytes()).unwrap_or_default();
        let listen = |line: Line| {
            if let Line::Err(text) = line {
                said.push_str(text);
                said.push('\n');
            }
        };
        let limit = self.access.limits.sudo;
        let bounds = Bounds { bytes: Bounds::SUDO_BYTES, time: limit };
        let exit = match self.exec(bounds, &command, input, Payload::default(), |_| {}, listen).await {
            Err(RunError::Slow { machine, seconds, .. }) => return Err(RunError::Slow { machine, what: "sudo did not answer", seconds }),
            ended => ended?,
        };
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
        // Start-up files of the login shell may print on standard error, too.
        let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
        let last = lines().rfind(|line| line.starts_with("sudo:") || line.starts_with("Sorry")).or_else(|| lines().next_back());
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
