//! Whether somebody plays a film that is to be replaced in the library, as media servers say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use hostler_core::films::settings::MediaServer;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::film::FilmId;
use super::ledger::{Film, Original, Stage};
use super::media_server;

/// Age at which an answer is asked for anew.
const EVERY: Duration = Duration::from_secs(10);

/// `None`: nobody plays it.
type Why = Option<String>;

#[derive(Debug)]
pub struct Playing {
    /// With the times of the question and of the answer.
    known: BTreeMap<FilmId, (Instant, Instant, Why)>,
    running: BTreeSet<FilmId>,
    /// Attempts of publishers that have copied the film, and since when.
    ready: BTreeMap<FilmId, (String, Instant)>,
    sender: UnboundedSender<(FilmId, Instant, Why)>,
    receiver: UnboundedReceiver<(FilmId, Instant, Why)>,
}

impl Default for Playing {
    fn default() -> Playing {
        let (sender, receiver) = unbounded_channel();
        Playing { known: BTreeMap::new(), running: BTreeSet::new(), ready: BTreeMap::new(), sender, receiver }
    }
}

impl Playing {
    /// Why films must not be replaced now. Asks in the background where that is not known. `copied`: attempts of publishers that wait for the
    /// word; for them counts what servers say after that.
    pub fn round(
        &mut self,
        servers: &[MediaServer],
        films: &BTreeMap<FilmId, Film>,
        copied: &BTreeMap<FilmId, String>,
    ) -> BTreeMap<FilmId, String> {
        while let Ok((id, asked, why)) = self.receiver.try_recv() {
            self.running.remove(&id);
            self.known.insert(id, (asked, Instant::now(), why));
        }
        self.ready.retain(|id, (who, _)| copied.get(id) == Some(who));
        for (id, who) in copied {
            self.ready.entry(id.clone()).or_insert_with(|| (who.clone(), Instant::now()));
        }
        let mut played = BTreeMap::new();
        if servers.is_empty() {
            return played;
        }
        let ready = |film: &&Film| film.original == Original::Published && film.stage == Stage::Encoded;
        self.known.retain(|id, _| films.get(id).is_some_and(|film| ready(&film)));
        for film in films.values().filter(ready) {
            let since = self.ready.get(&film.id).map(|(_, since)| *since);
            let known = self.known.get(&film.id).filter(|(asked, answered, _)| {
                // Servers may take longer to answer than answers are good for.
                answered.elapsed() < EVERY && since.is_none_or(|since| *asked >= since)
            });
            match known {
                Some((_, _, None)) => continue,
                Some((_, _, Some(why))) => drop(played.insert(film.id.clone(), why.clone())),
                None => {
                    let last = self.known.get(&film.id).and_then(|(_, _, why)| why.clone());
                    played.insert(
                        film.id.clone(),
                        last.unwrap_or_else(|| {
                            "encoded; asking the media server whether anyone is playing the \
                        original"
                                .to_owned()
                        }),
                    );
                    if self.running.insert(film.id.clone()) {
                        let names = film.earlier.iter().flat_map(|published| published.files()).filter_map(|file| file.path.file_name());
                        let names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
                        tokio::spawn(ask(servers.to_vec(), film.id.clone(), names, self.sender.clone()));
                    }
                }
            }
        }
        played
    }
}

async fn ask(servers: Vec<MediaServer>, id: FilmId, names: Vec<String>, sender: UnboundedSender<(FilmId, Instant, Why)>) {
    let (asked, mut why) = (Instant::now(), None);
    for server in servers {
        match media_server::plays(&server, &names).await {
            Ok(false) => {}
            Ok(true) => why = Some(format!("encoded; waiting until no one plays the original: {} is playing it", server.kind)),
            Err(error) => {
                why = Some(format!(
                    "encoded; waiting, because {} did not report whether anyone is playing the original: {error:#}",
                    server.kind
                ))
            }
        }
    }
    let _ = sender.send((id, asked, why));
}
