//! Installs the user's key with one password login, so that later logins need no password.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use hostler_core::template;
use hostler_core::visible::last_output;
use russh::keys::PublicKey;
use russh::keys::agent::client::AgentClient;
use serde_json::json;

use super::access::Access;
use super::auth::LISTED;
use super::bounds::Bounds;
use super::run::{Exit, Line, Payload};
use super::session::Session;
use super::sudo::Privilege;
use super::target::Target;
use crate::user_file;

/// Logs in with `password` and appends the user's public key to authorized_keys, if it is not there yet. The key is the first of the
/// target's identities, else the agent's first. That machine's sudo gets the same password before the user is asked for another one.
///
/// # Errors
/// There is no key, a [`ConnectError`](super::ConnectError), or an error of the machine.
pub async fn install_key(target: &Target, access: &Arc<Access>, password: &str) -> Result<()> {
    access.redactor.add(password);
    let key = public_key(target).await?;
    let session = Session::connect_with_password(target, access, password).await?;
    session.authorize(&key).await?;
    if target.sudo {
        // Usually sudo accepts the same password.
        access.sudo_passwords.lock().await.insert(target.name.clone(), password.to_owned());
    }
    Ok(())
}

impl Session {
    /// Adds `key` to the authorized keys of this session's user.
    ///
    /// # Errors
    /// An error of the machine, or a [`RunError`](super::RunError).
    pub async fn authorize(&self, key: &PublicKey) -> Result<()> {
        let script = template::render("ssh/authorize.sh", json!({ "key": key.to_openssh()? }))?;
        let mut said = String::new();
        let listen = |line: Line| {
            let (Line::Out(text) | Line::Err(text)) = line;
            said.push_str(text);
            said.push('\n');
        };
        match self.run_as(&Privilege::Login, Bounds::FILE, &script, Payload::default(), |_| {}, listen).await? {
            Exit::Status(0) => Ok(()),
            exit => bail!("{}: the key could not be added: {exit}: {}", self.target.name, last_output(&said)),
        }
    }
}

async fn public_key(target: &Target) -> Result<PublicKey> {
    for identity in &target.identities {
        let beside = PathBuf::from(format!("{}.pub", identity.display()));
        if let Ok(key) = super::auth::public_key(&beside) {
            return Ok(key);
        }
        // Its public part is readable even if it has a passphrase.
        if let Some(key) =
            user_file::read(identity, user_file::MOST_BYTES).ok().and_then(|text| russh::keys::PrivateKey::from_openssh(text).ok())
        {
            return Ok(key.public_key().clone());
        }
    }
    if let Some(socket) = &target.agent {
        let gone = || {
            let socket = socket.display();
            format!(
                "there is no SSH key file, and the agent at {socket} can't be reached\nhint: create a key with `ssh-keygen -t ed25519`, or correct SSH_AUTH_SOCK"
            )
        };
        let mut agent = AgentClient::connect_uds(socket).await.with_context(gone)?;
        let silent = || format!("the SSH agent at {} does not answer", socket.display());
        let identities = tokio::time::timeout(LISTED, agent.request_identities()).await.with_context(silent)??;
        if let Some(identity) = identities.first() {
            return Ok(identity.public_key().into_owned());
        }
    }
    bail!("there is no SSH key to install\nhint: create one with `ssh-keygen -t ed25519`")
}
