//! Runs a script on a machine: script and payload are sent on standard input, and its output comes back line by line.
//!
//! The command is constant (`templates/ssh/loader.sh`), so that every login shell understands it. Standard input is
//! `[sudo password\n] hostler script SIZE\n`, then SIZE bytes of script, then the payload, which the script reads with `head -c`.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hostler_core::protocol::say;
use hostler_core::quantity::size;
use hostler_core::visible::last_output;
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, sleep, timeout};

use super::bounds::Bounds;
use super::error::ConnectError;
use super::session::Session;
use super::stream::lower;
use super::sudo::{Privilege, SudoError};
use super::turn::Turn;
use crate::user_file;

/// Its last line is the command; the lines above explain it.
const LOADER: &str = include_str!("../../templates/ssh/loader.sh");
/// As [`LOADER`].
const TERMINAL: &str = include_str!("../../templates/ssh/terminal.sh");
/// The loader prints this on both outputs before the script starts: earlier output is that of the login shell or sudo.
const BEGIN: &str = say::BEGINS;
/// Bytes of a payload that are in memory at once.
const CHUNK: usize = 512 * 1024;
/// A line longer than this is delivered in pieces.
const LONGEST_LINE: usize = 1 << 20;
/// Limit for waiting until the machine has a free channel.
const NO_CHANNEL_LIMIT: Duration = Duration::from_secs(10);

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    Status(u32),
    /// `KILL`, without SIG.
    Signal(String),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Status(status) => write!(f, "status {status}"),
            Exit::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// What a script gets on its standard input, after itself.
#[derive(Default)]
pub struct Payload {
    pub parts: Vec<Part>,
    /// Its place among the payloads of other sessions, if it has to share this computer's network with them.
    pub turn: Option<Turn>,
}

impl From<Vec<Part>> for Payload {
    /// One that waits for no other.
    fn from(parts: Vec<Part>) -> Payload {
        Payload { parts, turn: None }
    }
}

/// A piece of a payload.
pub enum Part {
    /// May be secret: it is never logged.
    Bytes(Vec<u8>),
    File {
        path: PathBuf,
        /// In bytes; the file must have at least as many.
        len: u64,
    },
    Stream {
        stream: Box<dyn AsyncRead + Send + Unpin>,
        /// In bytes; the stream must have at least as many.
        len: u64,
    },
}

impl Part {
    /// In bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        match self {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::File { len, .. } | Part::Stream { len, .. } => *len,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// More output than it may have: see [`Bounds`].
    #[error("{machine}: the output was larger than {}", size(*.most))]
    TooMuch { machine: String, most: u64 },
    /// It did not end in time: see [`Bounds`].
    #[error("{machine}: {what} within {seconds} s")]
    Slow { machine: String, what: &'static str, seconds: u64 },
    /// The connection ended before the script, which may still be running.
    #[error("lost the connection: {0}")]
    Lost(String),
    #[error("{0}")]
    Connect(ConnectError),
    /// A file on this computer can't be read.
    #[error("{0}")]
    Payload(String),
    #[error("{0}")]
    Sudo(SudoError),
    /// The login shell or sudo ended before the script started.
    #[error("{machine}: can't run scripts: the login shell ended with {exit}{}", last_lines(.output))]
    NotStarted { machine: String, exit: Exit, output: String },
    /// The machine refused the channel or the command.
    #[error("{machine}: {what}")]
    Refused { machine: String, what: String },
}

impl RunError {
    /// Whether waiting may help: the machine may be restarting.
    pub fn may_pass(&self) -> bool {
        match self {
            RunError::Lost(_) => true,
            RunError::Connect(error) => error.is_retryable(),
            _ => false,
        }
    }

    /// Whether it may pass on a machine that is starting: until all services run, pam_nologin lets root alone log in.
    pub fn may_pass_at_boot(&self) -> bool {
        matches!(self, RunError::Connect(error) if error.is_login_refused())
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            RunError::TooMuch { .. } => {
                "check which program prints that much output at login, and that the address is that of the right machine".to_owned()
            }
            RunError::Slow { machine, .. } => {
                format!("log in to {machine} with `ssh` to see where it hangs: PAM, LDAP or a network home folder may not respond")
            }
            RunError::Lost(_) => "run the same command again when the machine can be reached; finished steps are not repeated".to_owned(),
            RunError::Connect(error) => error.hint(),
            RunError::Payload(_) => "check whether that file was changed or truncated on this computer".to_owned(),
            RunError::Sudo(error) => error.hint(),
            RunError::NotStarted { .. } => "check with `ssh MACHINE /bin/sh` that the login shell can run commands".to_owned(),
            RunError::Refused { .. } => "check MaxSessions and ForceCommand in the machine's sshd_config".to_owned(),
        }
    }
}

fn last_lines(output: &str) -> String {
    let last = last_output(output);
    if last.is_empty() { String::new() } else { format!(": {last}") }
}

/// A line of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    Out(&'a str),
    Err(&'a str),
}

impl Session {
    /// Runs `script` as root with `payload` on its standard input, which takes its turn among those of other sessions. `progress` gets
    /// the number of payload bytes sent, `line` every line of both outputs as it arrives.
    ///
    /// # Errors
    /// See [`RunError`]. A script that fails is not an error but an [`Exit`].
    pub async fn run(
        &self,
        script: &str,
        payload: impl Into<Payload>,
        progress: impl FnMut(u64),
        mut line: impl FnMut(&str),
    ) -> Result<Exit, RunError> {
        let out = |text: Line| match text {
            Line::Out(text) | Line::Err(text) => line(text),
        };
        self.run_as(self.privilege().await?, Bounds::STEP, script, payload.into(), progress, out).await
    }

    /// Runs `script` as root within `bounds`; its outputs are appended to `out` and `err`.
    ///
    /// # Errors
    /// As [`run`](Session::run).
    pub async fn read(&self, bounds: Bounds, script: &str, out: &mut String, err: &mut String) -> Result<Exit, RunError> {
        let line = |text: Line| {
            let (to, text) = match text {
                Line::Out(text) => (&mut *out, text),
                Line::Err(text) => (&mut *err, text),
            };
            to.push_str(text);
            to.push('\n');
        };
        self.run_as(self.privilege().await?, bounds, script, Payload::default(), |_| {}, line).await
    }

    pub(super) async fn run_as(
        &self,
        privilege: &Privilege,
        bounds: Bounds,
        script: &str,
        payload: Payload,
        progress: impl FnMut(u64),
        mut line: impl FnMut(Line<'_>),
    ) -> Result<Exit, RunError> {
        let loader = LOADER.lines().last().unwrap_or_default();
        let command = match privilege {
            Privilege::Login => format!("exec /bin/sh -c '{loader}'"),
            Privilege::Sudo { password, terminal: false } => {
                self.sudo_command(&format!("{} -- /bin/sh -c '{loader}'", options(password.as_ref())))
            }
            Privilege::Sudo { password, terminal: true } => {
                let sudo = &self.target.sudo_program;
                on_a_terminal(&format!("{sudo} {} -- /bin/sh -c \"$LOADER\"", options(password.as_ref())))
            }
        };
        let mut head = match privilege {
            Privilege::Sudo { password: Some(password), .. } => format!("{password}\n"),
            _ => String::new(),
        };
        head.push_str(&format!("{} {}\n{script}", say::SCRIPT, script.len()));
        let mut begun = [false, false];
        let mut before = String::new();
        let exit = self
            .exec(bounds, &command, head.into_bytes(), payload, progress, |text| {
                let (stream, words) = match text {
                    Line::Out(words) => (0, words),
                    Line::Err(words) => (1, words),
                };
                if begun[stream] {
                    line(text);
                } else if words.ends_with(BEGIN) {
                    begun[stream] = true;
                } else if before.len() < LONGEST_LINE {
                    before.push_str(words);
                    before.push('\n');
                }
            })
            .await?;
        if begun == [false, false] {
            return Err(RunError::NotStarted { machine: self.target.name.clone(), exit, output: before });
        }
        Ok(exit)
    }

    /// Runs `command` in the login shell. Returns when both sides have closed the channel, even with unsent input.
    pub(super) async fn exec(
        &self,
        bounds: Bounds,
        command: &str,
        head: Vec<u8>,
        payload: Payload,
        progress: impl FnMut(u64),
        line: impl FnMut(Line<'_>),
    ) -> Result<Exit, RunError> {
        let exec = self.exec_without_limit(bounds.bytes, command, head, payload, progress, line);
        match timeout(bounds.time, exec).await {
            Ok(ended) => ended,
            Err(_) => {
                let what = "a command did not finish";
                Err(RunError::Slow { machine: self.target.name.clone(), what, seconds: bounds.time.as_secs() })
            }
        }
    }

    async fn exec_without_limit(
        &self,
        most: u64,
        command: &str,
        head: Vec<u8>,
        payload: Payload,
        mut progress: impl FnMut(u64),
        mut line: impl FnMut(Line<'_>),
    ) -> Result<Exit, RunError> {
        let channel = self.open_channel().await?;
        let (mut output, input) = channel.split();
        let open = OpenChannel { session: self, input: Some(input) };
        let input = open.input();
        if input.exec(true, command).await.is_err() {
            return Err(self.lost());
        }
        let write = send(input, head, payload, &mut progress);
        let read = drain(&mut output, most, &mut line);
        tokio::pin!(write, read);
        let mut sending = true;
        let ended = loop {
            // The end of the output ends the channel: a script that exits early leaves input unread.
            tokio::select! {
                biased;
                ended = &mut read => break ended,
                sent = &mut write, if sending => {
                    sending = false;
                    if let Err(Some(why)) = sent {
                        return Err(RunError::Payload(why));
                    }
                }
            }
        };
        match ended {
            Ended::Exit(exit) => Ok(exit),
            Ended::Refused => {
                Err(RunError::Refused { machine: self.target.name.clone(), what: "sshd refused to run a command".to_owned() })
            }
            Ended::TooMuch => Err(RunError::TooMuch { machine: self.target.name.clone(), most }),
            Ended::Nothing => Err(self.lost()),
        }
    }

    fn lost(&self) -> RunError {
        RunError::Lost(self.shared.end().unwrap_or_else(|| "the command ended without an exit status".to_owned()))
    }

    /// A channel for a command. If the machine has no free one (MaxSessions), it has one when another command ends.
    async fn open_channel(&self) -> Result<Channel<Msg>, RunError> {
        let mut patience = Instant::now() + NO_CHANNEL_LIMIT;
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            match self.handle.channel_open_session().await {
                Ok(channel) => {
                    self.open.fetch_add(1, Ordering::SeqCst);
                    return Ok(channel);
                }
                Err(russh::Error::ChannelOpenFailure(why)) => {
                    if self.open.load(Ordering::SeqCst) > 0 {
                        // While our own commands run, one of them will free a channel.
                        patience = Instant::now() + NO_CHANNEL_LIMIT;
                    } else if Instant::now() > patience {
                        let what = format!("sshd refused to open a session ({why:?})");
                        return Err(RunError::Refused { machine: self.target.name.clone(), what });
                    }
                    tokio::select! {
                        () = ended => {}
                        () = sleep(Duration::from_millis(200)) => {}
                    }
                }
                Err(_) => return Err(self.lost()),
            }
        }
    }
}

/// Options of sudo: never prompt, or read the password from standard input without a prompt.
fn options(password: Option<&String>) -> &'static str {
    if password.is_some() { "-S -p \"\"" } else { "-n" }
}

/// `command` with a controlling terminal that it does not read or write. It finds the loader in LOADER.
pub(super) fn on_a_terminal(command: &str) -> String {
    let [terminal, loader] = [TERMINAL, LOADER].map(|file| file.lines().last().unwrap_or_default());
    format!("exec /bin/sh -c '{terminal}' '{loader}' 'exec {command} <&3 >&4 2>&5 3<&- 4>&- 5>&-'")
}

/// Closes the channel when its command has ended or was abandoned, and frees it for the next one.
struct OpenChannel<'a> {
    session: &'a Session,
    input: Option<ChannelWriteHalf<Msg>>,
}

impl OpenChannel<'_> {
    fn input(&self) -> &ChannelWriteHalf<Msg> {
        // Only `drop` takes it.
        self.input.as_ref().unwrap_or_else(|| unreachable!())
    }
}

impl Drop for OpenChannel<'_> {
    fn drop(&mut self) {
        self.session.open.fetch_sub(1, Ordering::SeqCst);
        self.session.ended.notify_waiters();
        if let (Some(input), Ok(runtime)) = (self.input.take(), tokio::runtime::Handle::try_current()) {
            // Closing twice is harmless; an abandoned command must not keep its channel.
            runtime.spawn(async move { input.close().await });
        }
    }
}

/// `Err(None)`: the connection failed, which its other half reports better. `Err(Some)`: an error on this computer.
async fn send(
    input: &ChannelWriteHalf<Msg>,
    head: Vec<u8>,
    payload: Payload,
    progress: &mut impl FnMut(u64),
) -> Result<(), Option<String>> {
    input.data_bytes(head).await.map_err(|_| None)?;
    let mut sent = 0;
    for part in payload.parts {
        let (mut reader, len, what): (Box<dyn AsyncRead + Send + Unpin>, u64, String) = match part {
            Part::Bytes(bytes) => {
                sent += bytes.len() as u64;
                input.data_bytes(bytes).await.map_err(|_| None)?;
                progress(sent);
                continue;
            }
            Part::File { path, len } => {
                let what = path.display().to_string();
                let mut file = tokio::fs::File::from_std(
                    user_file::regular(&path).map_err(|why| Some(format!("{what}: {}", lower(&why.to_string()))))?,
                );
                file.set_max_buf_size(CHUNK);
                (Box::new(file), len, what)
            }
            Part::Stream { stream, len } => (stream, len, "the payload".to_owned()),
        };
        let mut left = len;
        while left > 0 {
            if let Some(turn) = &payload.turn {
                turn.take().await;
            }
            let mut chunk = Vec::with_capacity(CHUNK);
            let mut limited = (&mut reader).take(left.min(CHUNK as u64));
            while chunk.len() < CHUNK {
                let read = limited.read_buf(&mut chunk).await.map_err(|why| Some(format!("{what}: {}", lower(&why.to_string()))))?;
                if read == 0 {
                    break;
                }
            }
            if chunk.is_empty() {
                return Err(Some(format!("{what} is {left} bytes too short")));
            }
            let read = chunk.len() as u64;
            input.data_bytes(chunk).await.map_err(|_| None)?;
            left -= read;
            sent += read;
            progress(sent);
        }
    }
    input.eof().await.map_err(|_| None)
}

enum Ended {
    Exit(Exit),
    /// The command was not started.
    Refused,
    /// It printed more than it may.
    TooMuch,
    Nothing,
}

/// Reads until the channel is closed: status, end of file and data arrive in any order.
async fn drain(output: &mut ChannelReadHalf, most: u64, line: &mut impl FnMut(Line<'_>)) -> Ended {
    let mut ended = Ended::Nothing;
    let mut left = most;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some(message) = output.wait().await {
        if let ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. } = &message {
            let Some(rest) = left.checked_sub(data.len() as u64) else { return Ended::TooMuch };
            left = rest;
        }
        match message {
            ChannelMsg::Data { data } => feed(&mut out, &data, |text| line(Line::Out(text))),
            ChannelMsg::ExtendedData { data, .. } => feed(&mut err, &data, |text| line(Line::Err(text))),
            ChannelMsg::ExitStatus { exit_status } => ended = Ended::Exit(Exit::Status(exit_status)),
            ChannelMsg::ExitSignal { signal_name, .. } => ended = Ended::Exit(Exit::Signal(name(signal_name))),
            ChannelMsg::Failure => return Ended::Refused,
            _ => {}
        }
    }
    if !out.is_empty() {
        line(Line::Out(&String::from_utf8_lossy(&out)));
    }
    if !err.is_empty() {
        line(Line::Err(&String::from_utf8_lossy(&err)));
    }
    ended
}

fn feed(buffer: &mut Vec<u8>, data: &[u8], mut line: impl FnMut(&str)) {
    let mut pieces = data.split_inclusive(|byte| *byte == b'\n');
    for piece in &mut pieces {
        match piece.split_last() {
            Some((b'\n', text)) if buffer.is_empty() => line(&String::from_utf8_lossy(text)),
            Some((b'\n', text)) => {
                buffer.extend_from_slice(text);
                line(&String::from_utf8_lossy(buffer));
                buffer.clear();
            }
            _ => {
                buffer.extend_from_slice(piece);
                if buffer.len() >= LONGEST_LINE {
                    line(&String::from_utf8_lossy(buffer));
                    buffer.clear();
                }
            }
        }
    }
}

fn name(signal: Sig) -> String {
    match signal {
        Sig::Custom(name) => name,
        known => format!("{known:?}"),
    }
}
