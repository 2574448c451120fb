//! The connection to a machine: opened when first needed, and again after it was lost.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use hostler_core::action::Part;
use tokio::sync::Mutex;

use super::Run;
use crate::artifact::Content;
use crate::os::awaited::Awaited;
use crate::ssh::{self, Root, RunError, Session, Target};

pub struct Link {
    target: Target,
    /// If a stick is to install the machine.
    awaited: Option<Awaited>,
    access: Arc<ssh::Access>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    /// Why [`Link::open`] failed, until it is reported.
    failed: Option<RunError>,
}

/// The result of opening a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    Open,
    /// The machine accepts none of the user's keys, but would accept a password.
    TakesPassword,
    /// It is open, and sudo needs a password.
    NeedsSudoPassword,
    Failed,
}

impl Link {
    /// `session`: an open connection, if there is one.
    pub fn new(target: Target, access: Arc<ssh::Access>, session: Option<Arc<Session>>) -> Link {
        Link { target, awaited: None, access, state: Mutex::new(State { session, failed: None }) }
    }

    /// To a machine that a stick is to install.
    pub fn awaiting(self, awaited: Option<Awaited>) -> Link {
        Link { awaited, ..self }
    }

    pub fn awaited(&self) -> Option<&Awaited> {
        self.awaited.as_ref()
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Opens the connection and finds out how scripts become root there. The user may be asked about keys, without a time limit. The next
    /// [`session`](Link::session) reports a failure without another attempt, so that an absent machine is waited for only once.
    pub async fn open(&self) -> Opened {
        let mut state = self.state.lock().await;
        *state = State::default();
        let opened = match Session::connect(&self.target, &self.access).await {
            Ok(session) => session.become_root().await.map(|root| (session, root)),
            Err(error) => Err(RunError::Connect(error)),
        };
        match opened {
            Ok((session, root)) => {
                state.session = Some(Arc::new(session));
                match root {
                    Root::Found => Opened::Open,
                    Root::NeedsPassword => Opened::NeedsSudoPassword,
                }
            }
            Err(error) => {
                let takes_password = matches!(&error, RunError::Connect(error) if error.takes_password());
                state.failed = Some(error);
                if takes_password { Opened::TakesPassword } else { Opened::Failed }
            }
        }
    }

    /// Whether the machine's sudo accepts `password`, which the user gave for it. A failure is reported by the next
    /// [`session`](Link::session).
    pub async fn offer_password(&self, password: &str) -> bool {
        let session = self.state.lock().await.session.clone();
        let Some(session) = session else { return false };
        match session.offer_password(password).await {
            Ok(accepted) => accepted,
            Err(error) => {
                self.state.lock().await.failed = Some(error);
                // There is nothing more to try.
                true
            }
        }
    }

    /// Asks for the password of the machine's sudo, if it still needs one. A failure is reported by the next [`session`](Link::session).
    pub async fn ask_for_password(&self) {
        let session = self.state.lock().await.session.clone();
        let Some(session) = session else { return };
        if let Err(error) = session.become_root_by_asking().await {
            self.state.lock().await.failed.get_or_insert(error);
        }
    }

    /// Whether the machine's host key was accepted in this run.
    pub async fn is_new(&self) -> bool {
        self.access.is_new(&self.target).await
    }

    /// Logs in with `password` and installs the user's key, so that [`open`](Link::open) needs no password.
    ///
    /// # Errors
    /// As [`ssh::install_key`].
    pub async fn install_key(&self, password: &str) -> Result<()> {
        ssh::install_key(&self.target, &self.access, password).await
    }

    /// The open connection, or a new one. Concurrent callers share it.
    pub async fn session(&self) -> Result<Arc<Session>, RunError> {
        let mut state = self.state.lock().await;
        if let Some(failed) = state.failed.take() {
            return Err(failed);
        }
        if let Some(open) = state.session.as_ref().filter(|session| !session.is_closed()) {
            return Ok(open.clone());
        }
        let opened = tokio::time::timeout(Duration::from_secs(60), Session::connect(&self.target, &self.access))
            .await
            .map_err(|_| RunError::Lost(format!("no connection to {} within 60 s", self.target.name)))?
            .map_err(RunError::Connect)?;
        let opened = Arc::new(opened);
        state.session = Some(opened.clone());
        Ok(opened)
    }

    /// Drops the connection: the next caller opens a new one.
    pub async fn forget(&self) {
        self.state.lock().await.session.take();
    }
}

/// A step's payload: from memory and from the bundle's files.
pub fn payload(run: &Run, parts: Vec<Part>) -> Result<Vec<ssh::Part>, RunError> {
    let bundle = |arch| {
        let bundle = run.bundles.as_ref().and_then(|bundles| bundles.of(arch));
        bundle.ok_or_else(|| RunError::Payload(format!("this step needs a bundle for {arch}, but no such bundle was found")))
    };
    parts
        .into_iter()
        .map(|part| match part {
            Part::Bytes(bytes) => Ok(ssh::Part::Bytes(bytes)),
            Part::Stored { arch, sha256, size } => Ok(match bundle(arch)?.file(&sha256) {
                Content::File(path) => ssh::Part::File { path, len: size },
                Content::Memory(bytes) => ssh::Part::Stream { stream: Box::new(Cursor::new(bytes)), len: size },
            }),
            Part::Local { path, size } => Ok(ssh::Part::File { path, len: size }),
            Part::Images { arch, references } => {
                let (len, stream) = bundle(arch)?.subset(&references).map_err(|error| RunError::Payload(format!("{error:#}")))?;
                Ok(ssh::Part::Stream { stream, len })
            }
        })
        .collect()
}
