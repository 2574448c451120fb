//! The byte stream between this computer and a machine: TCP, a ProxyCommand, or a channel of a jump host.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hostler_core::visible::last_output;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Sleep, sleep, timeout};

use super::error::{ConnectError, Reason};
use super::target::Target;
use crate::report::Told;

/// Bytes of a proxy's stderr that are kept for the message.
const STDERR_LIMIT: usize = 2000;

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens a TCP connection to the first address of `target` that answers.
pub async fn tcp(target: &Target, limit: Duration) -> Result<TcpStream, ConnectError> {
    let error = |reason| ConnectError::new(target, reason);
    let resolve = tokio::net::lookup_host((target.host.as_str(), target.port));
    let addresses = match timeout(limit, resolve).await {
        Ok(Ok(addresses)) => addresses.collect::<Vec<_>>(),
        Ok(Err(why)) => return Err(error(Reason::Unresolvable(lower(&why.to_string())))),
        Err(_) => return Err(error(Reason::Unresolvable(format!("the resolver did not answer within {} s", limit.as_secs())))),
    };
    match timeout(limit, TcpStream::connect(addresses.as_slice())).await {
        Ok(Ok(stream)) => {
            // Small packets (the start of a script, keepalives) must not wait for each other.
            stream.set_nodelay(true).map_err(|why| error(Reason::NoWay(lower(&why.to_string()))))?;
            Ok(stream)
        }
        Ok(Err(why)) => Err(error(match why.kind() {
            io::ErrorKind::ConnectionRefused => Reason::Refused,
            io::ErrorKind::TimedOut => Reason::NoAnswer { seconds: limit.as_secs() },
            _ => Reason::NoWay(lower(&why.to_string())),
        })),
        Err(_) => Err(error(Reason::NoAnswer { seconds: limit.as_secs() })),
    }
}

/// A running ProxyCommand: its standard input and output are the connection. It ends with the connection.
pub struct Proxy {
    /// Killed when the stream is dropped.
    _child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
}

/// Output and exit status of a ProxyCommand, for the error message if the connection fails.
#[derive(Debug, Clone, Default)]
pub struct ProxyReport(Arc<Mutex<String>>);

impl ProxyReport {
    /// Why `command` ended: by its last output on standard error. Another hostler's error becomes one of this one.
    pub fn reason(&self, command: String) -> Reason {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match Told::parse(&said) {
            Some(Told { why, hint }) => Reason::ProxySays { why, hint },
            None => Reason::ProxyFailed { command, status: None, stderr: last_output(&said) },
        }
    }
}

/// Starts `command` as ssh does: `exec` in a shell, so that the child is the command itself.
pub fn proxy(target: &Target, command: &str) -> Result<(Proxy, ProxyReport), ConnectError> {
    let error = |why: String| ConnectError::new(target, Reason::ProxyFailed { command: command.to_owned(), status: None, stderr: why });
    let mut child = Command::new("/bin/sh")
        .args(["-c", &format!("exec {command}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|why| error(why.to_string()))?;
    let (Some(stdin), Some(stdout), Some(mut stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
        return Err(error("the command has no standard input or output".to_owned()));
    };
    let report = ProxyReport::default();
    let said = report.clone();
    // Read to the end: the command would block on a full pipe.
    tokio::spawn(async move {
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
            let mut text = said.0.lock().unwrap_or_else(PoisonError::into_inner);
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
            while text.len() > STDERR_LIMIT {
                text.remove(0);
            }
        }
    });
    Ok((Proxy { _child: child, stdin, stdout }, report))
}

impl AsyncRead for Proxy {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Proxy {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}

/// A stream whose writes fail if nothing is sent for too long. Without it, an upload to a frozen machine would hang forever: russh sends
/// keepalives in the same task that waits for the socket.
pub struct Watched {
    stream: Box<dyn Stream>,
    stalled: Option<Pin<Box<Sleep>>>,
    limit: Duration,
}

impl Watched {
    pub fn new(stream: impl Stream + 'static, limit: Duration) -> Watched {
        Watched { stream: Box::new(stream), stalled: None, limit }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, bytes) {
            self.stalled = None;
            return Poll::Ready(written);
        }
        let limit = self.limit;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, format!("no data could be sent for {} s", limit.as_secs()))))
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// An error of the operating system as a part of a message: in lower case, without its number.
pub fn lower(text: &str) -> String {
    let text = text.split(" (os error").next().unwrap_or(text);
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
