//! The lab's apt repositories: the packages of each system's image, served on port 80 of the computer's address in the lab by a process that
//! runs as long as the lab exists.

use std::fmt;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::Command;

use super::roster::HOST;
use super::system::System;
use super::{namespace, state, wait};

const ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(HOST, 80));

/// Whether the server answers.
fn answers() -> bool {
    namespace::connect(ADDRESS, Duration::from_secs(1)).is_ok()
}

/// A folder that is served as that of a system, as `serve-apt` gets it: `noble=/var/cache/...`.
#[derive(Debug, Clone)]
pub struct Served {
    pub system: System,
    pub folder: PathBuf,
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.system, self.folder.display())
    }
}

impl FromStr for Served {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (system, folder) = text.split_once('=').ok_or("write SYSTEM=FOLDER")?;
        Ok(Served { system: system.parse()?, folder: folder.into() })
    }
}

/// Starts the server, unless it is running.
pub async fn start(all: &[Served]) -> Result<()> {
    if answers() {
        return Ok(());
    }
    let log = std::fs::File::create(state::path("apt.log")).context("the repository's log can't be written")?;
    let mut command = Command::new(std::env::current_exe().context("hostler can't determine the path of its own program")?);
    command.args(["lab", "serve-apt"]).args(all.iter().map(Served::to_string)).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let lab = namespace::of_lab();
    // SAFETY: open, setns and setsid are system calls; the only allocation is the path that `enter` builds, and with glibc the child of a
    // fork may allocate.
    unsafe {
        command.pre_exec(move || {
            nix::unistd::setsid()?;
            namespace::enter(&lab)
        });
    }
    let mut child = command.spawn().context("the apt repository's server can't be started")?;
    wait::until(Duration::from_secs(10), &format!("the apt repository to answer at {ADDRESS}"), || {
        if answers() {
            return Ok(Some(()));
        }
        if let Some(status) = child.try_wait()? {
            let log = std::fs::read_to_string(state::path("apt.log")).unwrap_or_default();
            anyhow::bail!("the server of the apt repository ended unexpectedly ({status}): {}", log.trim());
        }
        Ok(None)
    })
    .await
}

/// Serves each folder over HTTP, below the name of its system, until the lab ends it: GET and HEAD, whole files and ranges.
pub async fn serve(all: &[Served]) -> Result<()> {
    let listener = tokio::net::TcpListener::bind(ADDRESS).await.with_context(|| format!("can't listen on {ADDRESS}"))?;
    let files = all.iter().fold(axum::Router::new(), |router, served| {
        router.nest_service(&format!("/{}", served.system), tower_http::services::ServeDir::new(&served.folder))
    });
    Ok(axum::serve(listener, files).await?)
}
