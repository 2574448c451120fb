//! A server that opens channels itself, as no sshd does unasked.

use std::sync::{Arc, Mutex};

use hostler_core::inventory::Connection;
use russh::keys::load_secret_key;
use russh::server::{Auth, Handler, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId};
use tokio::net::TcpListener;

use crate::sshd::*;

/// Kinds of channels that it tried to open, and whether hostler took them.
type Tried = Arc<Mutex<Vec<(&'static str, bool)>>>;

struct Opens(Tried);

impl Handler for Opens {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<russh::server::Msg>,
        reply: russh::server::ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        let (handle, tried) = (session.handle(), self.0.clone());
        tokio::spawn(async move {
            let note = |kind, taken| tried.lock().unwrap().push((kind, taken));
            note("session", handle.channel_open_session().await.is_ok());
            note("agent", handle.channel_open_agent().await.is_ok());
            note("x11", handle.channel_open_x11("127.0.0.1", 6000).await.is_ok());
            note("direct", handle.channel_open_direct_tcpip("127.0.0.1", 22, "127.0.0.1", 22).await.is_ok());
            note("forwarded", handle.channel_open_forwarded_tcpip("127.0.0.1", 22, "127.0.0.1", 22).await.is_ok());
            note("streamlocal", handle.channel_open_forwarded_streamlocal("/tmp/x").await.is_ok());
        });
        Ok(())
    }

    async fn exec_request(&mut self, _: ChannelId, _: &[u8], _: &mut Session) -> Result<(), Self::Error> {
        // It never ends: the test ends it.
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_opens_no_channels() {
    let sshd = Sshd::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let key = load_secret_key(sshd.path("host_ed25519"), None).unwrap();
    let config = Arc::new(russh::server::Config { keys: vec![key], ..russh::server::Config::default() });
    let tried: Tried = Arc::default();
    let opens = Opens(tried.clone());
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        russh::server::run_stream(config, stream, opens).await.unwrap().await.ok();
    });
    let connection = Connection {
        identity: Some(sshd.path("user_key")),
        host_key: Some(sshd.host_key("ed25519")),
        port: Some(port),
        ..Connection::default()
    };
    let session = connect(&sshd.target_by(connection), &strict()).await;
    let script = session.run("true", Vec::new(), |_| {}, |_| {});
    let all = async {
        while tried.lock().unwrap().len() < 6 {
            tokio::task::yield_now().await;
        }
    };
    limited(async {
        tokio::select! {
            ended = script => panic!("{ended:?}"),
            () = all => {}
        }
    })
    .await;
    let taken: Vec<(&str, bool)> = tried.lock().unwrap().clone();
    assert!(taken.iter().all(|(_, taken)| !taken), "{taken:?}");
}
