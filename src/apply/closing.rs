//! The end of `up` with a `transcode:` section: where to drop films, the status page, and what the media server answers.

use std::net::SocketAddr;
use std::time::Duration;

use hostler_core::films::Share;
use hostler_core::films::settings::MediaServer;
use hostler_core::inventory::{Inventory, Transcode};
use tokio::time::timeout;

use crate::transcode::media_server;

/// Limit for the media server, which may be off.
const LIMIT: Duration = Duration::from_secs(4);

/// The lines; empty without a `transcode:` section.
pub async fn films(inventory: &Inventory) -> String {
    let Some(films) = &inventory.transcode else { return String::new() };
    let folders: Vec<&str> = films.settings.folders.keys().map(String::as_str).collect();
    let folders = match folders.as_slice() {
        [one] => (*one).to_owned(),
        several => format!("{{{}}}", several.join(",")),
    };
    let mut lines = vec![format!("drop films into {}/watch/{folders}; they are published to {}", seen(&films.inbox), seen(&films.library))];
    if let Some((_, machine)) = inventory.control_planes().next() {
        lines.push(format!("status page: http://{}", SocketAddr::new(machine.address, films.page_port)));
    }
    if let Some(server) = &films.settings.media_server {
        lines.extend(asked(films, server).await);
    }
    lines.join("\n")
}

/// The path as the user sees it: a folder, or that of a server.
fn seen(share: &Share) -> String {
    match share {
        Share::Path(path) => path.clone(),
        Share::Nfs { server, path } => format!("{server}:{path}"),
    }
}

async fn asked(films: &Transcode, server: &MediaServer) -> Vec<String> {
    let Some(token) = films.token.as_ref().and_then(|token| token.file.as_ref()) else { return Vec::new() };
    // On this computer the token is in the user's file, not in the pods' Secret.
    let known = MediaServer { token_file: token.path.clone(), ..server.clone() };
    match timeout(LIMIT, media_server::found(&known, films.settings.folders.keys())).await {
        Ok(Ok(lines)) => lines,
        Ok(Err(error)) => vec![format!("the media server at {} can't be used: {error:#}", server.url)],
        Err(_) => vec![format!("the media server at {} does not answer this computer; the cluster may reach it anyway", server.url)],
    }
}
