//! `hostler probe`: runs in the pods that verify a cluster.

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::probe::{Place, Probe};

/// Find the other probes by name, and serve /who and /ready (runs in the pods that verify a cluster)
#[derive(Debug, Args)]
pub struct Arguments {
    /// Number of probes, including this one
    #[arg(long, value_name = "N")]
    expect: usize,
    /// Name that resolves to the address of every probe
    #[arg(long, value_name = "NAME")]
    each: String,
    /// Name of the Service that routes to one of the probes, on port 80
    #[arg(long, value_name = "NAME")]
    any: String,
    /// Address to listen on; the other probes are queried on the same port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
}

/// Answers until SIGTERM or SIGINT, which end the process at once with status 0.
///
/// # Errors
/// It can't listen on the address.
pub async fn run(arguments: Arguments) -> Result<Infallible> {
    // PID 1 of a container has no default signal handlers: without one SIGTERM would do nothing.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(arguments.listen).await.with_context(|| format!("can't listen on {}", arguments.listen))?;
    let probe = Probe {
        name: nix::unistd::gethostname()?.to_string_lossy().into_owned(),
        expect: arguments.expect,
        each: Place { host: arguments.each, port: arguments.listen.port() },
        any: Place { host: arguments.any, port: 80 },
    };
    tokio::select! {
        () = probe.run(listener, |line| {
            // A log that nobody takes must not end the probe.
            let _ = writeln!(std::io::stdout(), "{line}");
        }) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // Not by returning: that would wait for a DNS lookup in progress.
    std::process::exit(0)
}
