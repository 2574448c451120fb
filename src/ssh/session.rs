//! One connection to a machine, from the first byte until somebody is let in.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, DisconnectReason, Handle};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use russh::{ChannelOpenFailure, Preferred};
use tokio::sync::{Notify, OnceCell};
use tokio::time::{Instant, sleep, timeout};

use super::access::{Access, NewHostKeys};
use super::auth::Authenticator;
use super::cipher;
use super::error::{ConnectError, Reason};
use super::host_key::{Judge, Judgement, fingerprint, kinds};
use super::remember::remember;
use super::stream::{self, ProxyReport, Watched, lower};
use super::sudo::Privilege;
use super::target::Target;

/// How many keepalives may stay without an answer.
const KEEPALIVES: usize = 3;

pub struct Session {
    pub(super) handle: Handle<Handler>,
    pub(super) shared: Arc<Shared>,
    pub(super) target: Target,
    pub(super) access: Arc<Access>,
    /// How scripts become root; found out when the first one runs.
    pub(super) privilege: OnceCell<Privilege>,
    /// Channels open now, and a word when one ends.
    pub(super) open: AtomicUsize,
    pub(super) ended: Notify,
    /// The way through the jump host lives as long as what goes through it.
    _hop: Option<Arc<Session>>,
}

/// What the connection's task tells the rest.
#[derive(Default)]
pub(super) struct Shared {
    judgement: Mutex<Option<Judgement>>,
    /// Why the connection ended.
    end: Mutex<Option<String>>,
}

impl Shared {
    pub fn end(&self) -> Option<String> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn judgement(&self) -> Option<Judgement> {
        self.judgement.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(super) struct Handler {
    judge: Arc<Judge>,
    shared: Arc<Shared>,
    /// A stranger's key is no reason to stop.
    new_host_keys: NewHostKeys,
    keepalive: Duration,
}

impl client::Handler for Handler {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let judgement = self.judge.judge(shown);
        let go_on = match &judgement {
            Judgement::Trusted(_) => true,
            Judgement::Unknown(_) => self.new_host_keys == NewHostKeys::Accept,
            Judgement::Changed { .. } | Judgement::Revoked { .. } => false,
        };
        *self.shared.judgement.lock().unwrap_or_else(PoisonError::into_inner) = Some(judgement);
        Ok(go_on)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        let why = match &reason {
            DisconnectReason::ReceivedDisconnect(info) => format!("it said: {}", info.message),
            DisconnectReason::Error(russh::Error::KeepaliveTimeout) => {
                format!("no sign of life for {} s", self.keepalive.as_secs() * (KEEPALIVES as u64 + 1))
            }
            DisconnectReason::Error(russh::Error::Disconnect | russh::Error::HUP) => "the other side closed it".to_owned(),
            DisconnectReason::Error(error) => lower(&error.to_string()),
        };
        *self.shared.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        Ok(())
    }
}

/// A connection whose host key is settled, and nobody let in yet.
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
        Authenticator::new(&mut greeted.handle, target, access).with_keys().await?;
        Ok(Session::begin(greeted, target, access))
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
            _hop: greeted.hop,
        }
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }
}

/// The host key that `target` shows now, whether it is trusted or not. Jump hosts before it must be.
///
/// # Errors
/// See [`Reason`]; never one about this host's key.
pub async fn fetch_host_key(target: &Target, access: &Arc<Access>) -> Result<PublicKey, ConnectError> {
    let judge = Arc::new(Judge::new(&Target { host_key: None, ..target.clone() }, None));
    let preferred = Preferred { host_key_certificates: (&[]).into(), ..judge.preferred() };
    let handshake = Handshake { preferred, new_host_keys: NewHostKeys::Accept, ..Handshake::new(target, access, judge) };
    match handshake.complete().await {
        Ok(_) => {}
        Err(error) if matches!(*error.reason, Reason::HostKeyChanged { .. } | Reason::Revoked { .. }) => {}
        Err(error) => return Err(error),
    }
    match handshake.shared.judgement() {
        Some(
            Judgement::Trusted(key) | Judgement::Unknown(key) | Judgement::Changed { got: key, .. } | Judgement::Revoked { got: key, .. },
        ) => Ok(key),
        None => Err(ConnectError::new(target, Reason::Protocol("it showed no host key".to_owned()))),
    }
}

/// Up to a host key that is trusted.
async fn greet(target: &Target, access: &Arc<Access>) -> Result<Greeted, ConnectError> {
    let accepted = access.accepted.lock().await.get(&target.known_as()).cloned();
    let judge = Arc::new(Judge::new(target, accepted));
    if judge.is_pinned_by_fingerprint() {
        return match greet_by_fingerprint(target, access, judge).await {
            Err(error) => Err(whose(target, access, error).await),
            greeted => greeted,
        };
    }
    let handshake = Handshake { new_host_keys: access.new_host_keys, ..Handshake::new(target, access, judge) };
    let error = match handshake.complete().await {
        Ok(greeted) => {
            if let Some(Judgement::Unknown(key)) = greeted.shared.judgement() {
                if let Some(neighbour) = access.neighbour(target, &key).await {
                    return Err(ConnectError::new(target, Reason::NeighboursHostKey { neighbour, got: key }));
                }
                accept(target, access, &key).await;
            }
            return Ok(greeted);
        }
        Err(error) => whose(target, access, error).await,
    };
    let Reason::UnknownHostKey { key } = &*error.reason else { return Err(error) };
    {
        // One question a host: another connection may have asked about it meanwhile.
        let _asking = access.asking.lock().await;
        let settled = access.accepted.lock().await.get(&target.known_as()).cloned();
        match settled {
            Some(settled) if settled.key_data() == key.key_data() => {}
            Some(_) => return Err(error),
            None => {
                let question = format!("{error}. Is that {}?", target.name);
                match access.asker.yes_no(&question, "pass `--accept-new-host-keys`").await {
                    Ok(true) => accept(target, access, key).await,
                    _ => return Err(error),
                }
            }
        }
    }
    let judge = Arc::new(Judge::new(target, Some(key.clone())));
    Handshake::new(target, access, judge).complete().await
}

/// A fingerprint does not tell the kind of its key: kinds are asked for one by one.
async fn greet_by_fingerprint(target: &Target, access: &Arc<Access>, judge: Arc<Judge>) -> Result<Greeted, ConnectError> {
    let mut wrong = None;
    for kind in kinds() {
        let preferred = Preferred { key: kind.into(), ..judge.preferred() };
        let handshake = Handshake { preferred, ..Handshake::new(target, access, judge.clone()) };
        match handshake.complete().await {
            Ok(greeted) => return Ok(greeted),
            Err(error) => match *error.reason {
                Reason::HostKeyChanged { .. } => {
                    wrong.get_or_insert(error);
                }
                // It has no key of this kind.
                Reason::Protocol(_) => wrong = wrong.or(Some(error)),
                _ => return Err(error),
            },
        }
    }
    Err(wrong.unwrap_or_else(|| ConnectError::new(target, Reason::Protocol("it has no host key".to_owned()))))
}

/// A key that was not expected, and is another machine's of the inventory: that explains more.
async fn whose(target: &Target, access: &Access, error: ConnectError) -> ConnectError {
    let (Reason::HostKeyChanged { got, .. } | Reason::UnknownHostKey { key: got }) = &*error.reason else { return error };
    // An error of the jump host before it is not about this machine.
    if error.machine != target.name {
        return error;
    }
    match access.neighbour(target, got).await {
        Some(neighbour) => ConnectError::new(target, Reason::NeighboursHostKey { neighbour, got: got.clone() }),
        None => error,
    }
}

async fn accept(target: &Target, access: &Access, key: &PublicKey) {
    access.accepted.lock().await.insert(target.known_as(), key.clone());
    if let Err(why) = remember(target, key) {
        // It holds for this run; the next one meets a stranger again.
        tracing::warn!("{}: its host key {} is not remembered: {why:#}", target.name, fingerprint(key));
    }
}

/// One connection up to the end of its key exchange.
struct Handshake<'a> {
    target: &'a Target,
    access: &'a Arc<Access>,
    judge: Arc<Judge>,
    preferred: Preferred,
    shared: Arc<Shared>,
    /// A stranger's key is no reason to stop.
    new_host_keys: NewHostKeys,
}

impl<'a> Handshake<'a> {
    /// With the kinds of keys that `judge` knows of, and with no stranger.
    fn new(target: &'a Target, access: &'a Arc<Access>, judge: Arc<Judge>) -> Handshake<'a> {
        Handshake { target, access, preferred: judge.preferred(), judge, shared: Arc::default(), new_host_keys: NewHostKeys::Ask }
    }

    /// Tried again while the machine hangs up at once.
    async fn complete(&self) -> Result<Greeted, ConnectError> {
        let deadline = Instant::now() + self.access.limits.hang_up;
        let mut pause = Duration::from_millis(100);
        loop {
            match self.once().await {
                Err(error) if *error.reason == Reason::HungUp && Instant::now() + pause < deadline => {
                    // Machines that were dropped together must not come back together.
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
        let handler = Handler { judge: self.judge.clone(), shared: shared.clone(), new_host_keys: self.new_host_keys, keepalive };
        let connecting = client::connect_stream(Arc::new(config(self.preferred.clone(), keepalive)), stream, handler);
        let failed = match timeout(access.limits.handshake, connecting).await {
            Ok(Ok(handle)) => return Ok(Greeted { handle, shared: shared.clone(), hop }),
            Ok(Err(error)) => classify(error, shared.judgement()),
            Err(_) => Reason::NoAnswer { seconds: access.limits.handshake.as_secs() },
        };
        let reason = match (failed, report) {
            (Reason::HungUp, Some((command, said))) => {
                // Its last words may still be on their way.
                sleep(Duration::from_millis(50)).await;
                Reason::ProxyFailed { command, status: None, stderr: said.stderr() }
            }
            (reason, _) => reason,
        };
        Err(ConnectError::new(target, reason))
    }
}

fn classify(error: russh::Error, judgement: Option<Judgement>) -> Reason {
    match (error, judgement) {
        (russh::Error::UnknownKey, Some(Judgement::Unknown(key))) => Reason::UnknownHostKey { key },
        (russh::Error::UnknownKey, Some(Judgement::Changed { expected, entry, got })) => {
            Reason::HostKeyChanged { expected, got, place: entry.map(|entry| (entry.file, entry.line)) }
        }
        (russh::Error::UnknownKey, Some(Judgement::Revoked { entry, got })) => Reason::Revoked { got, place: (entry.file, entry.line) },
        (russh::Error::HUP | russh::Error::Disconnect, _) => Reason::HungUp,
        (russh::Error::IO(why), _) => match why.kind() {
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe => Reason::HungUp,
            _ => Reason::NoWay(lower(&why.to_string())),
        },
        (russh::Error::Version, _) => Reason::Protocol("what answers there is no sshd".to_owned()),
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

/// The one connection to a jump host, opened by whoever needs it first.
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

/// A channel of the jump host that leads to `target`.
async fn through(hop: &Session, target: &Target, access: &Access) -> Result<Watched, ConnectError> {
    let error = |reason| ConnectError::new(target, reason);
    let opening = hop.handle.channel_open_direct_tcpip(target.host.clone(), target.port.into(), "127.0.0.1", 0);
    let why = match timeout(access.limits.connect, opening).await {
        Ok(Ok(channel)) => return Ok(Watched::new(channel.into_stream(), access.limits.stall)),
        Ok(Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited))) => "it forbids that".to_owned(),
        Ok(Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed))) => "it can't connect there".to_owned(),
        Ok(Err(why)) => hop.shared.end().unwrap_or_else(|| lower(&why.to_string())),
        Err(_) => return Err(error(Reason::NoAnswer { seconds: access.limits.connect.as_secs() })),
    };
    Err(error(Reason::JumpRefused { by: hop.target.name.clone(), why }))
}
