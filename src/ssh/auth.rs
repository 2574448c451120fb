//! User authentication: keys from files and from the agent, certificates, and a password if the caller has one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::signature;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey, decode_secret_key, parse_public_key_base64};
use russh::{MethodSet, SendError, Signer};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::access::Access;
use super::error::{ConnectError, Reason};
use super::host_key::fingerprint;
use super::session::Handler;
use super::target::Target;
use crate::user_file;

/// Limit for one key, including the server's DNS lookups.
const LIMIT: Duration = Duration::from_secs(60);

/// Limit for the agent's list of its keys, for which it asks nobody: one whose other end is gone never answers.
pub(super) const LISTED: Duration = Duration::from_secs(10);

/// Questions of keyboard-interactive for one login.
const ROUNDS: usize = 10;

/// A private key file.
struct KeyFile {
    path: PathBuf,
    text: String,
    /// Unknown for an encrypted key in an old format without a .pub file.
    public: Option<PublicKey>,
    /// `None`: it is encrypted.
    private: Option<Arc<PrivateKey>>,
    certificate: Option<Certificate>,
}

/// Tries keys until the machine accepts one.
pub(super) struct Authenticator<'a> {
    pub handle: &'a mut Handle<Handler>,
    pub target: &'a Target,
    pub access: &'a Access,
    tried: Vec<String>,
    offered: Vec<String>,
    /// What was tried last, if it was a key.
    last: Option<PublicKey>,
}

impl<'a> Authenticator<'a> {
    pub fn new(handle: &'a mut Handle<Handler>, target: &'a Target, access: &'a Access) -> Authenticator<'a> {
        Authenticator { handle, target, access, tried: Vec::new(), offered: Vec::new(), last: None }
    }

    /// Keys: configured ones, then the agent's others, then default files. Returns the one that was accepted; `None`: a certificate was.
    pub async fn with_keys(mut self) -> Result<Option<PublicKey>, ConnectError> {
        if self.any_key().await? { Ok(self.last) } else { Err(self.failed()) }
    }

    async fn any_key(&mut self) -> Result<bool, ConnectError> {
        if !self.target.methods.keys {
            self.tried.push(
                "no key was offered: the SSH configuration disables public key authentication (PubkeyAuthentication, \
                 PreferredAuthentications)"
                    .to_owned(),
            );
            return Ok(false);
        }
        let files = self.key_files();
        let (mut agent, mut identities) = self.agent().await;
        let mut rest = Vec::new();
        for file in files {
            if !self.target.identities_chosen {
                rest.push(file);
                continue;
            }
            // The agent's copy of a configured key needs no passphrase.
            let held = identities.iter().position(|identity| file.public.as_ref().is_some_and(|public| is_same(identity, public)));
            if let (Some(position), Some(agent)) = (held, agent.as_mut()) {
                let identity = identities.remove(position);
                if self.certificate_of_agent(&file, agent).await? || self.identity_of_agent(&identity, agent).await? {
                    return Ok(true);
                }
            } else if self.file(&file).await? {
                return Ok(true);
            }
        }
        if let Some(agent) = agent.as_mut().filter(|_| !self.target.identities_only) {
            for identity in &identities {
                if self.identity_of_agent(identity, agent).await? {
                    return Ok(true);
                }
            }
        }
        for file in rest {
            let held = identities.iter().any(|identity| file.public.as_ref().is_some_and(|public| is_same(identity, public)));
            if (!held || self.target.identities_only) && self.file(&file).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The password, by the method that the machine supports.
    pub async fn with_password(mut self, password: &str) -> Result<(), ConnectError> {
        let user = self.target.user.clone();
        let methods = self.target.methods;
        if methods.passwords {
            let result = limited(self.target, self.handle.authenticate_password(user.clone(), password)).await?;
            if self.accepted(result, "the password".to_owned())? {
                return Ok(());
            }
        }
        let offered = !methods.passwords || self.offered.iter().any(|method| method == "keyboard-interactive");
        if methods.questions && offered {
            let mut response = limited(self.target, self.handle.authenticate_keyboard_interactive_start(user, None)).await?;
            // PAM asks once or twice; a server that asks on and on ends here.
            for _ in 0..ROUNDS {
                response = match response {
                    KeyboardInteractiveAuthResponse::Success => return Ok(()),
                    KeyboardInteractiveAuthResponse::Failure { .. } => break,
                    KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                        // An echoed prompt is not for a password but e.g. for a one-time code, which is not available here.
                        let answers = prompts.iter().map(|prompt| if prompt.echo { String::new() } else { password.to_owned() }).collect();
                        limited(self.target, self.handle.authenticate_keyboard_interactive_respond(answers)).await?
                    }
                };
            }
        }
        Err(self.failed())
    }

    fn failed(self) -> ConnectError {
        ConnectError::new(self.target, Reason::AuthFailed { tried: self.tried, offered: self.offered })
    }

    /// The target's key files. Only a missing file that was configured is reported.
    fn key_files(&mut self) -> Vec<KeyFile> {
        let mut files = Vec::new();
        for path in &self.target.identities {
            match key_file(path, &self.target.certificates) {
                Ok(file) => files.push(file),
                Err(why) if self.target.identities_chosen || path.exists() => self.tried.push(format!("{}: {why}", path.display())),
                Err(_) => {}
            }
        }
        files
    }

    async fn agent(&mut self) -> (Option<AgentClient<UnixStream>>, Vec<AgentIdentity>) {
        let Some(socket) = &self.target.agent else { return (None, Vec::new()) };
        let asked = async {
            let mut agent = AgentClient::connect_uds(socket).await?;
            if let Some(binding) = self.handle.agent_session_binding() {
                // Agents before OpenSSH 8.9 don't support this; keys restricted to destinations are then refused later.
                let _ = agent.bind_session(binding, false).await;
            }
            let identities = agent.request_identities().await?;
            Ok::<_, russh::keys::Error>((agent, identities))
        };
        match timeout(LISTED, asked).await {
            Ok(Ok((agent, identities))) => (Some(agent), identities),
            Ok(Err(why)) => {
                self.tried.push(format!("the agent at {}: {}", socket.display(), super::stream::lower(&why.to_string())));
                (None, Vec::new())
            }
            Err(_) => {
                self.tried.push(format!("the agent at {}: no answer", socket.display()));
                (None, Vec::new())
            }
        }
    }

    async fn identity_of_agent(&mut self, identity: &AgentIdentity, agent: &mut AgentClient<UnixStream>) -> Result<bool, ConnectError> {
        let user = self.target.user.clone();
        match identity {
            AgentIdentity::PublicKey { key, comment } => {
                let what = format!("the agent's {} {comment}", fingerprint(key));
                let hash = self.hash_for(key).await?;
                self.last = Some(key.clone());
                let result = limited_agent(self.handle.authenticate_publickey_with(user, key.clone(), hash, agent)).await;
                self.judged(result, what)
            }
            AgentIdentity::Certificate { certificate, comment } => {
                let what = format!("the agent's certificate {comment}");
                self.last = None;
                let hash = self.hash_for(&PublicKey::from(certificate.public_key().clone())).await?;
                let result = limited_agent(self.handle.authenticate_certificate_with(user, certificate.clone(), hash, agent)).await;
                self.judged(result, what)
            }
        }
    }

    /// The file's certificate, with the agent's signature.
    async fn certificate_of_agent(&mut self, file: &KeyFile, agent: &mut AgentClient<UnixStream>) -> Result<bool, ConnectError> {
        let (Some(certificate), Some(public)) = (&file.certificate, &file.public) else { return Ok(false) };
        let hash = self.hash_for(public).await?;
        self.last = None;
        let signer = &mut CertifiedByAgent { agent, key: public.clone() };
        let user = self.target.user.clone();
        let result = limited_agent(self.handle.authenticate_certificate_with(user, certificate.clone(), hash, signer)).await;
        self.judged(result, format!("the certificate of {}", file.path.display()))
    }

    async fn file(&mut self, file: &KeyFile) -> Result<bool, ConnectError> {
        let user = self.target.user.clone();
        let private = match &file.private {
            Some(private) => private.clone(),
            None => {
                if let Some(public) = &file.public
                    && !self.would_accept(public, file.certificate.as_ref()).await?
                {
                    self.tried.push(format!("{} {}", file.path.display(), fingerprint(public)));
                    return Ok(false);
                }
                match self.access.unlock(&file.path, &file.text).await {
                    Ok(private) => private,
                    Err(why) => {
                        self.tried.push(format!("{}: {why}", file.path.display()));
                        return Ok(false);
                    }
                }
            }
        };
        if let Some(certificate) = &file.certificate {
            let hash = self.hash_for(private.public_key()).await?;
            self.last = None;
            let signer = &mut CertifiedByFile(private.clone());
            let result = limited_agent(self.handle.authenticate_certificate_with(user.clone(), certificate.clone(), hash, signer)).await;
            if self.judged(result, format!("the certificate of {}", file.path.display()))? {
                return Ok(true);
            }
        }
        let what = format!("{} {}", file.path.display(), fingerprint(private.public_key()));
        let hash = self.hash_for(private.public_key()).await?;
        self.last = Some(private.public_key().clone());
        let key = PrivateKeyWithHashAlg::new(private, hash);
        let result = limited(self.target, self.handle.authenticate_publickey(user, key)).await?;
        self.accepted(result, what)
    }

    /// Asks the machine before the user is asked for a passphrase: a key that it would not accept needs none.
    async fn would_accept(&mut self, public: &PublicKey, certificate: Option<&Certificate>) -> Result<bool, ConnectError> {
        let hash = self.hash_for(public).await?;
        let user = self.target.user.clone();
        if let Some(certificate) = certificate {
            let asked = self.handle.authenticate_certificate_with(user.clone(), certificate.clone(), hash, &mut Probe).await;
            if matches!(asked, Err(Probed::Acceptable)) {
                return Ok(true);
            }
        }
        match timeout(LIMIT, self.handle.authenticate_publickey_with(user, public.clone(), hash, &mut Probe)).await {
            Ok(Err(Probed::Acceptable)) => Ok(true),
            Ok(Err(Probed::Gone)) => Err(self.hung_up()),
            Ok(Ok(AuthResult::Failure { remaining_methods, .. })) => {
                self.note(&remaining_methods);
                Ok(false)
            }
            Ok(Ok(AuthResult::Success)) => Ok(true),
            Err(_) => Err(ConnectError::new(self.target, Reason::NoAnswer { seconds: LIMIT.as_secs() })),
        }
    }

    /// The hash for an RSA signature; other key types have only one.
    async fn hash_for(&self, key: &PublicKey) -> Result<Option<HashAlg>, ConnectError> {
        if !key.algorithm().is_rsa() {
            return Ok(None);
        }
        let best = limited(self.target, self.handle.best_supported_rsa_hash()).await?;
        // A server that does not tell is expected to support SHA-2: SHA-1 is obsolete.
        Ok(best.flatten().or(Some(HashAlg::Sha512)))
    }

    fn judged<E>(&mut self, result: Result<AuthResult, Option<E>>, what: String) -> Result<bool, ConnectError>
    where
        E: std::fmt::Display,
    {
        match result {
            Ok(result) => self.accepted(result, what),
            Err(Some(why)) => {
                self.tried.push(format!("{what}: {}", super::stream::lower(&why.to_string())));
                if self.handle.is_closed() { Err(self.hung_up()) } else { Ok(false) }
            }
            Err(None) => Err(ConnectError::new(self.target, Reason::NoAnswer { seconds: LIMIT.as_secs() })),
        }
    }

    fn accepted(&mut self, result: AuthResult, what: String) -> Result<bool, ConnectError> {
        match result {
            AuthResult::Success => Ok(true),
            AuthResult::Failure { remaining_methods, partial_success } => {
                let partly = if partial_success { " (accepted, but the server requires another method)" } else { "" };
                self.tried.push(format!("{what}{partly}"));
                if remaining_methods.is_empty() {
                    return Err(self.hung_up());
                }
                self.note(&remaining_methods);
                Ok(false)
            }
        }
    }

    fn note(&mut self, methods: &MethodSet) {
        self.offered = methods.iter().map(|method| <&str>::from(method).to_owned()).collect();
    }

    /// The machine closed the connection while keys were offered: usually there were too many.
    fn hung_up(&mut self) -> ConnectError {
        self.tried.push("then the machine closed the connection".to_owned());
        ConnectError::new(
            self.target,
            Reason::AuthFailed { tried: std::mem::take(&mut self.tried), offered: std::mem::take(&mut self.offered) },
        )
    }
}

/// The public keys that this computer would offer to `target`: of its key files, and of the agent. A key whose public half can't be known
/// without a passphrase is not among them.
pub async fn own_keys(target: &Target) -> Vec<PublicKey> {
    let mut keys: Vec<PublicKey> = target.identities.iter().filter_map(|path| key_file(path, &[]).ok()?.public).collect();
    if let Some(socket) = target.agent.as_ref().filter(|_| !target.identities_only) {
        let asked = async { AgentClient::connect_uds(socket).await?.request_identities().await };
        let held = timeout(LISTED, asked).await.ok().and_then(Result::ok).unwrap_or_default();
        keys.extend(held.into_iter().filter_map(|identity| match identity {
            AgentIdentity::PublicKey { key, .. } => Some(key),
            AgentIdentity::Certificate { .. } => None,
        }));
    }
    keys
}

fn is_same(identity: &AgentIdentity, public: &PublicKey) -> bool {
    matches!(identity, AgentIdentity::PublicKey { key, .. } if key.key_data() == public.key_data())
}

/// The public key in a file as `ssh-keygen` writes it, with its comment; other comments may stand before it.
pub(super) fn public_key(path: &Path) -> Result<PublicKey, russh::keys::Error> {
    let text = user_file::text(path)?;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
    PublicKey::from_openssh(line).map_err(Into::into).or_else(|_: russh::keys::Error| parse_public_key_base64(line))
}

/// The certificate in a file as `ssh-keygen -s` writes it.
fn certificate(path: &Path) -> Result<Certificate, russh::keys::Error> {
    Ok(Certificate::from_openssh(&user_file::text(path)?)?)
}

/// Reads a private key and the files next to it. `Err`: why it can't be used.
fn key_file(path: &Path, certificates: &[PathBuf]) -> Result<KeyFile, String> {
    let bytes = user_file::read(path, user_file::MOST_BYTES).map_err(|why| super::stream::lower(&why.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| "the file is not text".to_owned())?;
    let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
    let (public, private) = match decode_secret_key(&text, None) {
        Ok(private) => (Some(private.public_key().clone()), Some(Arc::new(private))),
        Err(russh::keys::Error::KeyIsEncrypted) => {
            // OpenSSH's own format contains the public key in the clear; others need the file next to it.
            let shown = PrivateKey::from_openssh(&text).ok().map(|key| key.public_key().clone());
            (shown.or_else(|| public_key(&beside(".pub")).ok()), None)
        }
        // `IdentityFile id.pub` names a key that only the agent has.
        Err(why) => match public_key(path) {
            Ok(public) => (Some(public), None),
            Err(_) => return Err(super::stream::lower(&why.to_string())),
        },
    };
    let is_of = |certificate: &Certificate| public.as_ref().is_some_and(|public| public.key_data() == certificate.public_key());
    let certificate = std::iter::once(&beside("-cert.pub")).chain(certificates).filter_map(|file| certificate(file).ok()).find(is_of);
    Ok(KeyFile { path: path.to_owned(), text, public, private, certificate })
}

async fn limited<T>(target: &Target, asked: impl Future<Output = Result<T, russh::Error>>) -> Result<T, ConnectError> {
    match timeout(LIMIT, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(why)) => Err(ConnectError::new(target, Reason::Protocol(super::stream::lower(&why.to_string())))),
        Err(_) => Err(ConnectError::new(target, Reason::NoAnswer { seconds: LIMIT.as_secs() })),
    }
}

/// `Err(None)`: no answer. The agent may ask the user, who has a minute.
async fn limited_agent<E>(asked: impl Future<Output = Result<AuthResult, E>>) -> Result<AuthResult, Option<E>> {
    match timeout(LIMIT, asked).await {
        Ok(answer) => answer.map_err(Some),
        Err(_) => Err(None),
    }
}

/// Signs nothing: a request to sign means that the key would be accepted.
struct Probe;

enum Probed {
    Acceptable,
    Gone,
}

impl From<SendError> for Probed {
    fn from(_: SendError) -> Probed {
        Probed::Gone
    }
}

impl Signer for Probe {
    type Error = Probed;

    async fn auth_sign(&mut self, _: &AgentIdentity, _: Option<HashAlg>, _: Vec<u8>) -> Result<Vec<u8>, Probed> {
        Err(Probed::Acceptable)
    }
}

/// A key in the agent with its certificate in a file.
struct CertifiedByAgent<'a> {
    agent: &'a mut AgentClient<UnixStream>,
    key: PublicKey,
}

impl Signer for CertifiedByAgent<'_> {
    type Error = russh::AgentAuthError;

    async fn auth_sign(&mut self, _: &AgentIdentity, hash: Option<HashAlg>, text: Vec<u8>) -> Result<Vec<u8>, Self::Error> {
        let identity = AgentIdentity::PublicKey { key: self.key.clone(), comment: String::new() };
        Ok(self.agent.sign_request(&identity, hash, text).await?)
    }
}

/// A key and its certificate in files. russh's own code would sign with SHA-1 for an RSA key.
struct CertifiedByFile(Arc<PrivateKey>);

impl Signer for CertifiedByFile {
    type Error = russh::AgentAuthError;

    async fn auth_sign(&mut self, _: &AgentIdentity, hash: Option<HashAlg>, mut text: Vec<u8>) -> Result<Vec<u8>, Self::Error> {
        let signature = match self.0.key_data() {
            KeypairData::Rsa(pair) => signature::Signer::try_sign(&(pair, hash), &text),
            pair => signature::Signer::try_sign(pair, &text),
        };
        let signature = signature.map_err(|why| russh::keys::Error::SshKey(why.into()))?;
        let encoded = signature.encode_vec().map_err(russh::keys::Error::SshEncoding)?;
        encoded.encode(&mut text).map_err(russh::keys::Error::SshEncoding)?;
        Ok(text)
    }
}
