//! `hostler probe`: what runs in the pods that verify a cluster.

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::probe::{Place, Probe};

#[derive(Debug, Args)]
pub struct Arguments {
    /// How many probes there should be, this one among them
    #[arg(long, value_name = "N")]
    expect: usize,
    /// The name that has the address of every probe
    #[arg(long, value_name = "NAME")]
    each: String,
    /// The name that leads to any one of them, at port 80
    #[arg(long, value_name = "NAME")]
    any: String,
    /// Where to answer; the others are asked at the same port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
}

/// Answers until SIGTERM or SIGINT, which end the process with 0 at once.
///
/// # Errors
/// The address can't be listened at.
pub async fn run(arguments: Arguments) -> Result<Infallible> {
    // As the first process of a container it has no default for signals: without a handler SIGTERM would do nothing.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(arguments.listen).await.with_context(|| format!("{} can't be listened at", arguments.listen))?;
    let probe = Probe {
        name: nix::unistd::gethostname()?.to_string_lossy().into_owned(),
        expect: arguments.expect,
        each: Place { host: arguments.each, port: arguments.listen.port() },
        any: Place { host: arguments.any, port: 80 },
    };
    tokio::select! {
        () = probe.run(listener, |line| println!("{line}")) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // Not by returning: a look-up in progress would be waited for.
    std::process::exit(0)
}
