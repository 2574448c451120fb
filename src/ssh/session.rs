//! One connection to a machine, from the first byte until the user is authenticated.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hostler_core::visible::last_output;
use russh::client::{self, ChannelOpenHandle, DisconnectReason, Handle, Msg};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelOpenFailure, Preferred};
use tokio::sync::{Notify, OnceCell};
use tokio::time::{Instant, sleep, timeout};

use super::access::{Access, NewHostKeys};
use super::auth::Authenticator;
use super::cipher;
use super::error::{ConnectError, Reason};
use super::host_key::{HostKeyPolicy, Verdict, fingerprint, kinds};
use super::remember::remember;
use super::stream::{self, ProxyReport, Watched, lower};
use super::sudo::Privilege;
use super::target::Target;

/// The number of keepalives that may stay unanswered.
const KEEPALIVES: usize = 3;

pub struct Session {
    pub(super) handle: Handle<Handler>,
    pub(super) shared: Arc<Shared>,
    pub(super) target: Target,
    pub(super) access: Arc<Access>,
    /// How scripts become root; determined when the first one runs.
    pub(super) privilege: OnceCell<Privilege>,
    /// The number of open channels, and a notification when one closes.
    pub(super) open: AtomicUsize,
    pub(super) ended: Notify,
    /// The user's key that the machine accepted, if it was one.
    login_key: Option<PublicKey>,
    /// The jump host's connection must live as long as this one.
    _hop: Option<Arc<Session>>,
}

/// What the connection's task shares with the rest.
#[derive(Default)]
pub(super) struct Shared {
    verdict: Mutex<Option<Verdict>>,
    /// Why the connection ended.
    end: Mutex<Option<String>>,
}

impl Shared {
    pub fn end(&self) -> Option<String> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn verdict(&self) -> Option<Verdict> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(super) struct Handler {
    policy: Arc<HostKeyPolicy>,
    shared: Arc<Shared>,
    /// Continue with an unknown host key.
    new_host_keys: NewHostKeys,
    keepalive: Duration,
}

impl client::Handler for Handler {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let verdict = self.policy.check(shown);
        let go_on = match &verdict {
            Verdict::Trusted(_) => true,
            Verdict::Unknown(_) => self.new_host_keys == NewHostKeys::Accept,
            Verdict::Changed { .. } | Verdict::Revoked { .. } => false,
        };
        *self.shared.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
        Ok(go_on)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        let why = match &reason {
            DisconnectReason::ReceivedDisconnect(info) => format!("the machine closed the connection: {}", last_output(&info.message)),
            DisconnectReason::Error(russh::Error::KeepaliveTimeout) => {
                format!("no answer for {} s", self.keepalive.as_secs() * (KEEPALIVES as u64 + 1))
            }
            DisconnectReason::Error(russh::Error::Disconnect | russh::Error::HUP) => "the machine closed the connection".to_owned(),
            DisconnectReason::Error(error) => lower(&error.to_string()),
        };
        *self.shared.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        Ok(())
    }

    // hostler asks for no forwarding, so a server has no reason to open a channel. A reply that is dropped refuses it; russh's own functions
    // accept all of these.

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// A connection whose host key is verified, before authentication.
struct Greeted {
    handle: Handle<Handler>,
    shared: Arc<Shared>,
    hop: Option<Arc<Session>>,
}

impl Session {
    /// Connects and logs in with a key.
    ///
    /// # Errors
    /// See [`Reason`].
    pub async fn connect(target: &Target, access: &Arc<Access>) -> Result<Session, ConnectError> {
        let mut greeted = greet(target, access).await?;
        let login_key = Authenticator::new(&mut greeted.handle, target, access).with_keys().await?;
        Ok(Session { login_key, ..Session::begin(greeted, target, access) })
    }

    /// Connects and logs in with a password.
    ///
    /// # Errors
    /// See [`Reason`].
    pub async fn connect_with_password(target: &Target, access: &Arc<Access>, password: &str) -> Result<Session, ConnectError> {
        let mut greeted = greet(target, access).await?;
        Authenticator::new(&mut greeted.handle, target, access).with_password(password).await?;
        Ok(Session::begin(greeted, target, access))
    }

    fn begin(greeted: Greeted, target: &Target, access: &Arc<Access>) -> Session {
        Session {
            handle: greeted.handle,
            shared: greeted.shared,
            target: target.clone(),
            access: access.clone(),
            privilege: OnceCell::new(),
            open: AtomicUsize::new(0),
            ended: Notify::new(),
            login_key: None,
            _hop: greeted.hop,
        }
    }

    /// The user's key that the machine accepted; `None`: a certificate or a password was.
    pub fn login_key(&self) -> Option<&PublicKey> {
        self.login_key.as_ref()
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }
}

/// The host key that `target` presents, trusted or not. Jump hosts before it must be trusted.
///
/// # Errors
/// See [`Reason`]; never one about this host key.
pub async fn fetch_host_key(target: &Target, access: &Arc<Access>) -> Result<PublicKey, ConnectError> {
    let policy = Arc::new(HostKeyPolicy::new(&Target { host_key: None, ..target.clone() }, None));
    let preferred = Preferred { host_key_certificates: (&[]).into(), ..policy.preferred() };
    let handshake = Handshake { preferred, new_host_keys: NewHostKeys::Accept, ..Handshake::new(target, access, policy) };
    match handshake.complete().await {
        Ok(_) => {}
        Err(error) if matches!(*error.reason, Reason::HostKeyChanged { .. } | Reason::Revoked { .. }) => {}
        Err(error) => return Err(error),
    }
    match handshake.shared.verdict() {
        Some(Verdict::Trusted(key) | Verdict::Unknown(key) | Verdict::Changed { got: key, .. } | Verdict::Revoked { got: key, .. }) => {
            Ok(key)
        }
        None => Err(ConnectError::new(target, Reason::Protocol("the server presented no host key".to_owned()))),
    }
}

/// Connects up to a trusted host key.
async fn greet(target: &Target, access: &Arc<Access>) -> Result<Greeted, ConnectError> {
    if let Some(why) = &target.misconfigured {
        return Err(ConnectError::new(target, Reason::Misconfigured(why.clone())));
    }
    let accepted = access.accepted.lock().await.get(&target.known_as()).cloned();
    let policy = Arc::new(HostKeyPolicy::new(target, accepted));
    if policy.is_pinned_by_fingerprint() {
        return match greet_by_fingerprint(target, access, policy).await {
            Err(error) => Err(whose(target, access, error).await),
            greeted => greeted,
        };
    }
    let handshake = Handshake { new_host_keys: access.new_host_keys, ..Handshake::new(target, access, policy) };
    let error = match handshake.complete().await {
        Ok(greeted) => {
            if let Some(Verdict::Unknown(key)) = greeted.shared.verdict() {
                if let Some(neighbour) = access.neighbour(target, &key).await {
                    return Err(ConnectError::new(
                        target,
                        Reason::NeighboursHostKey { neighbour, got: key, pinned: target.host_key.is_some() },
                    ));
                }
                accept(target, access, &key).await?;
            }
            return Ok(greeted);
        }
        Err(error) => whose(target, access, error).await,
    };
    let Reason::UnknownHostKey { key } = &*error.reason else { return Err(error) };
    {
        // One prompt per host: another connection may have asked meanwhile.
        let _asking = access.asking.lock().await;
        let settled = access.accepted.lock().await.get(&target.known_as()).cloned();
        match settled {
            Some(settled) if settled.key_data() == key.key_data() => {}
            Some(_) => return Err(error),
            None => {
                let question = format!("{error}. Accept it for {}?", target.name);
                match access.asker.yes_no(&question, "pass `--accept-new-host-keys`").await {
                    Ok(true) => accept(target, access, key).await?,
                    _ => return Err(error),
                }
            }
        }
    }
    let policy = Arc::new(HostKeyPolicy::new(target, Some(key.clone())));
    Handshake::new(target, access, policy).complete().await
}

/// A fingerprint does not contain the type of its key: types are tried one by one.
async fn greet_by_fingerprint(target: &Target, access: &Arc<Access>, policy: Arc<HostKeyPolicy>) -> Result<Greeted, ConnectError> {
    let mut wrong = None;
    for kind in kinds() {
        let preferred = Preferred { key: kind.into(), ..policy.preferred() };
        let handshake = Handshake { preferred, ..Handshake::new(target, access, policy.clone()) };
        match handshake.complete().await {
            Ok(greeted) => return Ok(greeted),
            Err(error) => match *error.reason {
                Reason::HostKeyChanged { .. } => {
                    wrong.get_or_insert(error);
                }
                // It has no key of this type.
                Reason::Protocol(_) => wrong = wrong.or(Some(error)),
                _ => return Err(error),
            },
        }
    }
    Err(wrong.unwrap_or_else(|| ConnectError::new(target, Reason::Protocol("the server has no host key".to_owned()))))
}

/// Replaces an error about an unexpected key with a better one if the key belongs to another machine of the inventory.
async fn whose(target: &Target, access: &Access, error: ConnectError) -> ConnectError {
    let (Reason::HostKeyChanged { got, .. } | Reason::UnknownHostKey { key: got }) = &*error.reason else { return error };
    // An error of a jump host is not about this machine.
    if error.machine != target.name {
        return error;
    }
    match access.neighbour(target, got).await {
        Some(neighbour) => {
            ConnectError::new(target, Reason::NeighboursHostKey { neighbour, got: got.clone(), pinned: target.host_key.is_some() })
        }
        None => error,
    }
}

/// Accepts a new host key, for this run and in known_hosts.
///
/// # Errors
/// It can't be saved, and nobody has looked at it: each later run would accept another one.
async fn accept(target: &Target, access: &Access, key: &PublicKey) -> Result<(), ConnectError> {
    let (owner, saved) = (target.clone(), key.clone());
    // Another program may hold the lock on the file.
    let saved = tokio::task::spawn_blocking(move || remember(&owner, &saved)).await;
    let saved = saved.unwrap_or_else(|panic| Err(anyhow::anyhow!("{panic}")));
    if let Err(why) = saved {
        let why = format!("{why:#}");
        if access.new_host_keys == NewHostKeys::Accept {
            return Err(ConnectError::new(target, Reason::NotSaved { key: key.clone(), why }));
        }
        // The user has seen it: it counts for this run, and the next one asks again.
        access.warn(format!("{}: its host key {} can't be saved, so the next run asks again: {why}", target.name, fingerprint(key)));
    }
    access.accepted.lock().await.insert(target.known_as(), key.clone());
    Ok(())
}

/// One connection, up to the end of its key exchange.
struct Handshake<'a> {
    target: &'a Target,
    access: &'a Arc<Access>,
    policy: Arc<HostKeyPolicy>,
    preferred: Preferred,
    shared: Arc<Shared>,
    /// Continue with an unknown host key.
    new_host_keys: NewHostKeys,
}

impl<'a> Handshake<'a> {
    /// With the key types of `policy`, and without unknown keys.
    fn new(target: &'a Target, access: &'a Arc<Access>, policy: Arc<HostKeyPolicy>) -> Handshake<'a> {
        Handshake { target, access, preferred: policy.preferred(), policy, shared: Arc::default(), new_host_keys: NewHostKeys::Ask }
    }

    /// Retries while the machine closes connections at once.
    async fn complete(&self) -> Result<Greeted, ConnectError> {
        let deadline = Instant::now() + self.access.limits.hang_up;
        let mut pause = Duration::from_millis(100);
        loop {
            match self.once().await {
                Err(error) if *error.reason == Reason::HungUp && Instant::now() + pause < deadline => {
                    // Connections that were dropped together must not retry together.
                    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                    let jitter = u64::from(now.map_or(0, |now| now.subsec_nanos()) % 100);
                    sleep(pause + Duration::from_millis(jitter)).await;
                    pause = (pause * 2).min(Duration::from_secs(2));
                }
                settled => return settled,
            }
        }
    }

    async fn once(&self) -> Result<Greeted, ConnectError> {
        let Handshake { target, access, shared, .. } = self;
        let mut report: Option<(String, ProxyReport)> = None;
        let mut hop = None;
        let stream = if let Some(command) = &target.proxy_command {
            let (proxy, said) = stream::proxy(target, command)?;
            report = Some((command.clone(), said));
            Watched::new(proxy, access.limits.stall)
        } else if let Some(jump) = &target.jump {
            let session = Box::pin(hop_session(jump, access)).await?;
            let way = through(&session, target, access).await?;
            hop = Some(session);
            way
        } else {
            Watched::new(stream::tcp(target, access.limits.connect).await?, access.limits.stall)
        };
        let keepalive = access.limits.keepalive;
        let handler = Handler { policy: self.policy.clone(), shared: shared.clone(), new_host_keys: self.new_host_keys, keepalive };
        let connecting = client::connect_stream(Arc::new(config(self.preferred.clone(), keepalive)), stream, handler);
        let failed = match timeout(access.limits.handshake, connecting).await {
            Ok(Ok(handle)) => return Ok(Greeted { handle, shared: shared.clone(), hop }),
            Ok(Err(error)) => classify(error, shared.verdict()),
            Err(_) => Reason::NoAnswer { seconds: access.limits.handshake.as_secs() },
        };
        let reason = match (failed, report) {
            (Reason::HungUp, Some((command, said))) => {
                // Its last output may still be on its way.
                sleep(Duration::from_millis(50)).await;
                said.reason(command)
            }
            (reason, _) => reason,
        };
        Err(ConnectError::new(target, reason))
    }
}

fn classify(error: russh::Error, verdict: Option<Verdict>) -> Reason {
    match (error, verdict) {
        (russh::Error::UnknownKey, Some(Verdict::Unknown(key))) => Reason::UnknownHostKey { key },
        (russh::Error::UnknownKey, Some(Verdict::Changed { expected, entry, got })) => {
            Reason::HostKeyChanged { expected, got, place: entry.map(|entry| (entry.file, entry.line)) }
        }
        (russh::Error::UnknownKey, Some(Verdict::Revoked { entry, got })) => Reason::Revoked { got, place: (entry.file, entry.line) },
        (russh::Error::HUP | russh::Error::Disconnect, _) => Reason::HungUp,
        (russh::Error::IO(why), _) => match why.kind() {
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe => Reason::HungUp,
            _ => Reason::NoWay(lower(&why.to_string())),
        },
        (russh::Error::Version, _) => Reason::Protocol("the server does not speak SSH".to_owned()),
        (error, _) => Reason::Protocol(lower(&error.to_string())),
    }
}

fn config(preferred: Preferred, keepalive: Duration) -> client::Config {
    client::Config {
        preferred: Preferred { cipher: cipher::order().into(), ..preferred },
        keepalive_interval: Some(keepalive),
        keepalive_max: KEEPALIVES,
        inactivity_timeout: None,
        ..client::Config::default()
    }
}

/// The connection to a jump host, opened by the first that needs it.
async fn hop_session(jump: &Target, access: &Arc<Access>) -> Result<Arc<Session>, ConnectError> {
    let place = access.hop(jump).await;
    let mut place = place.lock().await;
    if let Some(session) = place.upgrade().filter(|session| !session.is_closed()) {
        return Ok(session);
    }
    let session = Arc::new(Session::connect(jump, access).await?);
    *place = Arc::downgrade(&session);
    Ok(session)
}

/// A channel of the jump host to `target`.
async fn through(hop: &Session, target: &Target, access: &Access) -> Result<Watched, ConnectError> {
    let error = |reason| ConnectError::new(target, reason);
    let opening = hop.handle.channel_open_direct_tcpip(target.host.clone(), target.port.into(), "127.0.0.1", 0);
    let why = match timeout(access.limits.connect, opening).await {
        Ok(Ok(channel)) => return Ok(Watched::new(channel.into_stream(), access.limits.stall)),
        Ok(Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited))) => "forwarding is not allowed".to_owned(),
        Ok(Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed))) => {
            "connection refused, timed out or no route (the jump host does not say which)".to_owned()
        }
        Ok(Err(why)) => hop.shared.end().unwrap_or_else(|| lower(&why.to_string())),
        Err(_) => return Err(error(Reason::NoAnswer { seconds: access.limits.connect.as_secs() })),
    };
    Err(error(Reason::JumpRefused { by: hop.target.name.clone(), why }))
}
