//! The end of `up` with a `transcode:` section: where to drop films, the status page, and what the media server answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hostler_core::films::Actions;
use hostler_core::films::settings::MediaServer;
use hostler_core::inventory::{Inventory, MachineName, Token, Transcode};
use hostler_core::share::Share;
use hostler_core::template;
use serde_json::json;
use tokio::time::timeout;

use crate::execute::Link;
use crate::ssh::{Bounds, Exit};
use crate::transcode::{access, media_server};

/// Limit for the media server, which may be off.
const LIMIT: Duration = Duration::from_secs(4);

/// What is printed.
pub struct Closing {
    pub text: String,
    /// What in it is to be in no log; empty if there is no such thing.
    pub token: String,
}

/// `None` without a `transcode:` section.
pub async fn films(inventory: &Inventory, links: &BTreeMap<MachineName, Arc<Link>>) -> Option<Closing> {
    let films = inventory.transcode.as_ref()?;
    let folders: Vec<&str> = films.settings.folders.keys().map(String::as_str).collect();
    let folders = match folders.as_slice() {
        [one] => (*one).to_owned(),
        several => format!("{{{}}}", several.join(",")),
    };
    let mut lines = vec![format!(
        "drop films into {}/watch/{folders}; the encoded films are published to {}",
        seen(&films.inbox),
        seen(&films.library)
    )];
    let mut token = String::new();
    if let Some((_, machine)) = inventory.control_planes().next() {
        let page = SocketAddr::new(machine.address, films.page_port);
        lines.push(match films.page_actions {
            Actions::Token => match fetched(inventory, links).await {
                Some(fetched) => {
                    token = fetched;
                    format!("status page, with the token for its buttons: {}", access::link(page, &token))
                }
                None => format!("status page: http://{page}; `hostler transcode link` prints the link with the token for its buttons"),
            },
            Actions::Open | Actions::Off => format!("status page: http://{page}"),
        });
    }
    for (server, token) in films.settings.media_servers.iter().zip(&films.tokens) {
        lines.extend(asked(films, server, token).await);
    }
    Some(Closing { text: lines.join("\n"), token })
}

/// The page's token, from the first control plane that has it. It is in no log: only the link on the terminal has it.
async fn fetched(inventory: &Inventory, links: &BTreeMap<MachineName, Arc<Link>>) -> Option<String> {
    let script = template::render("kubernetes/page-token.sh", json!({})).ok()?;
    for link in inventory.control_planes().filter_map(|(name, _)| links.get(name)) {
        let (mut text, mut said) = (String::new(), String::new());
        let asked = async { link.session().await.ok()?.read(Bounds::FILE, &script, &mut text, &mut said).await.ok() };
        if let Ok(Some(Exit::Status(0))) = timeout(LIMIT, asked).await
            && let Ok(token) = access::token_of(&text)
        {
            return Some(token);
        }
    }
    None
}

/// The path as the user sees it: a folder, or that of a server.
fn seen(share: &Share) -> String {
    match share {
        Share::Path(path) => path.clone(),
        Share::Nfs { server, path } => format!("{server}:{path}"),
    }
}

async fn asked(films: &Transcode, server: &MediaServer, token: &Token) -> Vec<String> {
    let Ok(token) = &token.file else { return Vec::new() };
    // On this computer the token is in the user's file, not in the pods' Secret.
    let known = MediaServer { token_file: token.path.clone(), ..server.clone() };
    match timeout(LIMIT, media_server::found(&known, films.settings.folders.keys())).await {
        Ok(Ok(lines)) => lines,
        Ok(Err(error)) => vec![format!("the media server at {} can't be used: {error:#}", server.url)],
        Err(_) => {
            vec![format!(
                "the media server at {} does not answer requests from this computer; the cluster may still be able to reach it",
                server.url
            )]
        }
    }
}
