//! SSH to the machines: one connection each for a whole run, host keys always strict, scripts through standard input.
//!
//! [`Target`] says how a machine is reached, [`Access`] what all connections of a run share, [`Session`] is a connection.

mod access;
mod auth;
mod config;
mod error;
mod host_key;
mod known_hosts;
mod pattern;
mod remember;
mod run;
mod session;
mod stream;
mod sudo;
mod target;

<<<<<<< HEAD
use crate::inventory::Connection;

#[derive(Debug, Clone)]
pub struct Target {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub user: String,
    pub identity: PathBuf,
    pub proxy_command: Option<String>,
    pub host_key: Option<String>,
}

impl Target {
    pub fn new(name: &str, address: &str, connection: &Connection) -> anyhow::Result<Target> {
        Ok(Target {
            name: name.to_owned(),
            host: address.to_owned(),
            port: connection.port.unwrap_or(22),
            user: connection.user.clone().unwrap_or_else(|| "root".to_owned()),
            identity: connection.identity.clone().unwrap_or_default(),
            proxy_command: connection.proxy_command.clone(),
            host_key: connection.host_key.clone(),
        })
    }
}

pub struct Access {}
impl Access {
    pub fn new(_: bool, _: crate::report::Asker, _: Arc<crate::report::Redactor>) -> anyhow::Result<Access> {
        Ok(Access {})
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConnectError(String);
impl ConnectError {
    pub fn is_retryable(&self) -> bool {
        true
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("lost the connection: {0}")]
    Lost(String),
    #[error("{0}")]
    Connect(ConnectError),
    #[error("{0}")]
    Payload(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    Status(u32),
    Signal(String),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Exit::Status(status) => write!(f, "status {status}"),
            Exit::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

pub enum Part {
    Bytes(Vec<u8>),
    File { path: PathBuf, len: u64 },
    Stream { stream: Box<dyn AsyncRead + Send + Unpin>, len: u64 },
}

impl Part {
    pub fn len(&self) -> u64 {
        match self {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::File { len, .. } | Part::Stream { len, .. } => *len,
        }
    }
}

struct Handler {
    pinned: Option<String>,
}
impl client::Handler for Handler {
    type Error = russh::Error;
    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else { return Ok(false) };
        let shown = key.to_openssh().unwrap_or_default();
        let shown: Vec<&str> = shown.split(' ').take(2).collect();
        Ok(self.pinned.as_ref().is_some_and(|pinned| pinned.split(' ').take(2).collect::<Vec<_>>() == shown))
    }
}

pub struct Session {
    handle: client::Handle<Handler>,
    _child: Option<tokio::process::Child>,
}

impl Session {
    pub async fn connect(target: &Target, _: &Access) -> Result<Session, ConnectError> {
        let error = |text: String| ConnectError(format!("{}: {text}", target.name));
        let config = Arc::new(client::Config {
            keepalive_interval: Some(Duration::from_secs(15)),
            nodelay: true,
            preferred: russh::Preferred { key: std::borrow::Cow::Owned(vec![russh::keys::Algorithm::Ed25519]), ..Default::default() },
            ..Default::default()
        });
        let handler = Handler { pinned: target.host_key.clone() };
        let mut child = None;
        let mut handle = if let Some(command) = &target.proxy_command {
            let command = command.replace("%h", &target.host).replace("%p", &target.port.to_string());
            let mut started = tokio::process::Command::new("sh")
                .args(["-c", &format!("exec {command}")])
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .map_err(|e| error(e.to_string()))?;
            let stream = tokio::io::join(started.stdout.take().unwrap(), started.stdin.take().unwrap());
            child = Some(started);
            client::connect_stream(config, stream, handler).await
        } else {
            client::connect(config, (target.host.clone(), target.port), handler).await
        }
        .map_err(|e| error(e.to_string()))?;
        let key = load_secret_key(&target.identity, None).map_err(|e| error(e.to_string()))?;
        let result = handle
            .authenticate_publickey(&target.user, PrivateKeyWithHashAlg::new(Arc::new(key), None))
            .await
            .map_err(|e| error(e.to_string()))?;
        if !result.success() {
            return Err(error("authentication failed".to_owned()));
        }
        Ok(Session { handle, _child: child })
    }

    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    pub async fn read(&self, script: &str, out: &mut String, err: &mut String) -> Result<Exit, RunError> {
        self.exec(
            script,
            Vec::new(),
            |_| {},
            |line, is_err| {
                let to: &mut String = if is_err { err } else { out };
                to.push_str(line);
                to.push('\n');
            },
        )
        .await
    }

    pub async fn run(
        &self,
        script: &str,
        payload: Vec<Part>,
        progress: impl Fn(u64),
        mut line: impl FnMut(&str),
    ) -> Result<Exit, RunError> {
        self.exec(script, payload, progress, |text, _| line(text)).await
    }

    async fn exec(
        &self,
        script: &str,
        payload: Vec<Part>,
        progress: impl Fn(u64),
        mut line: impl FnMut(&str, bool),
    ) -> Result<Exit, RunError> {
        let lost = |e: russh::Error| RunError::Lost(e.to_string());
        let channel = self.handle.channel_open_session().await.map_err(lost)?;
        let loader = format!(
            "exec /bin/sh -c 'umask 022; PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH; LC_ALL=C; export LC_ALL; eval \"$(head -c {})\"'",
            script.len()
        );
        channel.exec(true, loader).await.map_err(lost)?;
        let (mut rx, tx) = channel.split();
        let write = async {
            let mut writer = tx.make_writer();
            writer.write_all(script.as_bytes()).await?;
            let mut done = 0;
            for part in payload {
                let (mut reader, _): (Box<dyn AsyncRead + Send + Unpin>, u64) = match part {
                    Part::Bytes(bytes) => (Box::new(std::io::Cursor::new(bytes)), 0),
                    Part::File { path, len } => (Box::new(tokio::fs::File::open(path).await?), len),
                    Part::Stream { stream, len } => (stream, len),
                };
                let mut buffer = vec![0; 256 * 1024];
                loop {
                    let n = reader.read(&mut buffer).await?;
                    if n == 0 {
                        break;
                    }
                    writer.write_all(&buffer[..n]).await?;
                    done += n as u64;
                    progress(done);
                }
            }
            writer.shutdown().await?;
            tx.eof().await.map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(())
        };
        let mut exit = None;
        let mut buffers = [Vec::new(), Vec::new()];
        let read = async {
            while let Some(message) = rx.wait().await {
                match message {
                    ChannelMsg::Data { data } => feed(&mut buffers[0], &data, |text| line(text, false)),
                    ChannelMsg::ExtendedData { data, .. } => feed(&mut buffers[1], &data, |text| line(text, true)),
                    ChannelMsg::ExitStatus { exit_status } => exit = Some(Exit::Status(exit_status)),
                    ChannelMsg::ExitSignal { signal_name, .. } => exit = Some(Exit::Signal(format!("{signal_name:?}"))),
                    _ => {}
                }
            }
        };
        {
            tokio::pin!(write, read);
            let mut wrote = false;
            loop {
                tokio::select! {
                    () = &mut read => break,
                    result = &mut write, if !wrote => { wrote = true; let _ = result; }
                }
            }
        }
        exit.ok_or_else(|| RunError::Lost("the connection ended".to_owned()))
    }
}

fn feed(buffer: &mut Vec<u8>, data: &[u8], mut line: impl FnMut(&str)) {
    buffer.extend_from_slice(data);
    while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
        let text: Vec<u8> = buffer.drain(..=end).collect();
        line(&String::from_utf8_lossy(&text[..end]));
    }
}
=======
pub use access::{Access, Limits};
pub use error::{ConnectError, Reason};
pub use host_key::{Pin, fingerprint};
pub use remember::{forget, remember, replace};
pub use run::{Exit, Line, Part, RunError};
pub use session::{Session, fetch_host_key};
pub use sudo::{SudoError, SudoReason};
pub use target::{Account, Target};
>>>>>>> 159451e (ssh: connect, host keys, keys, run: one connection a machine, scripts through standard input)
