//! The one connection to a machine: opened when first needed, opened again after a loss.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::Run;
use crate::action::script::Part;
use crate::ssh::{self, RunError, Session, Target};

pub struct Link {
    target: Target,
    access: Arc<ssh::Access>,
    session: Mutex<Option<Arc<Session>>>,
}

impl Link {
    /// `session`: the connection, where there is one already.
    pub fn new(target: Target, access: Arc<ssh::Access>, session: Option<Arc<Session>>) -> Link {
        Link { target, access, session: Mutex::new(session) }
    }

    /// The open connection, or a new one. Callers that come at the same time share it.
    pub async fn session(&self) -> Result<Arc<Session>, RunError> {
        let mut session = self.session.lock().await;
        if let Some(open) = session.as_ref().filter(|session| !session.is_closed()) {
            return Ok(open.clone());
        }
        let opened = tokio::time::timeout(Duration::from_secs(60), Session::connect(&self.target, &self.access))
            .await
            .map_err(|_| RunError::Lost(format!("no connection to {} within a minute", self.target.name)))?
            .map_err(|error| if error.is_retryable() { RunError::Lost(error.to_string()) } else { RunError::Connect(error) })?;
        let opened = Arc::new(opened);
        *session = Some(opened.clone());
        Ok(opened)
    }

    /// Gives the connection up: the next user opens a new one.
    pub async fn forget(&self) {
        self.session.lock().await.take();
    }
}

/// A step's payload as SSH sends it: from memory, and from the bundle's files.
pub fn payload(run: &Run, parts: Vec<Part>) -> Result<Vec<ssh::Part>, RunError> {
    let bundle = || run.bundle.as_ref().ok_or_else(|| RunError::Payload("this step needs a bundle, and none is open".to_owned()));
    parts
        .into_iter()
        .map(|part| match part {
            Part::Bytes(bytes) => Ok(ssh::Part::Bytes(bytes)),
            Part::Stored { sha256, size } => Ok(ssh::Part::File { path: bundle()?.file_path(&sha256), len: size }),
            Part::Images(references) => {
                let (len, stream) = bundle()?.subset(&references).map_err(|error| RunError::Payload(format!("{error:#}")))?;
                Ok(ssh::Part::Stream { stream, len })
            }
        })
        .collect()
}
