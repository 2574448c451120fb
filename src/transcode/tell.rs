//! Tells media servers what is new in the library: one refresh for a folder, tried again for an hour.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hostler_core::films::settings::{MediaServer, MediaServerKind};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::film::FilmId;
use super::ledger::Film;
use super::media_server;

/// Time without another film in a folder before media servers are told of it: the episodes of a season come one after the other.
const SETTLED: SignedDuration = SignedDuration::from_secs(10);
/// The longest that the first film of a folder waits for others.
const AT_MOST: SignedDuration = SignedDuration::from_secs(60);
const TRIED_FOR: SignedDuration = SignedDuration::from_hours(1);
/// Time until the next attempt, doubled each time, and its limit.
const PAUSE: (i64, i64) = (60, 900);

/// What a media server answered last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Plex or Jellyfin.
    pub server: String,
    /// For the user.
    pub text: String,
    /// Whether it did what it was asked for.
    pub fine: bool,
    pub at: Timestamp,
}

/// A folder of the library in which something is new.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct News {
    films: BTreeSet<FilmId>,
    /// Relative to the library.
    files: Vec<PathBuf>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

/// An attempt for a folder.
#[derive(Debug)]
struct Attempt {
    folder: PathBuf,
    films: BTreeSet<FilmId>,
    answers: Vec<(MediaServerKind, Result<String, String>)>,
}

/// Attempts so far for a folder.
#[derive(Debug, Default)]
struct Tried {
    times: u32,
    running: bool,
    next: Option<Timestamp>,
    /// The films that servers were asked for.
    films: BTreeSet<FilmId>,
    /// What servers said that need not be asked again for these.
    said: BTreeMap<&'static str, String>,
}

/// What all media servers said of a film.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub text: String,
    /// Whether one of them did not do what it was asked for.
    pub failed: bool,
}

#[derive(Debug)]
pub struct Telling {
    folders: BTreeMap<PathBuf, Tried>,
    answers: BTreeMap<&'static str, Answer>,
    sender: UnboundedSender<Attempt>,
    receiver: UnboundedReceiver<Attempt>,
}

impl Default for Telling {
    fn default() -> Telling {
        let (sender, receiver) = unbounded_channel();
        Telling { folders: BTreeMap::new(), answers: BTreeMap::new(), sender, receiver }
    }
}

impl Telling {
    /// The last answer of each server.
    pub fn answers(&self) -> Vec<Answer> {
        self.answers.values().cloned().collect()
    }

    /// Starts what is due, in the background, and returns the films that were told of, with the result for each.
    pub fn round(&mut self, servers: &[MediaServer], films: &BTreeMap<FilmId, Film>, now: Timestamp) -> BTreeMap<FilmId, Told> {
        let mut told = BTreeMap::new();
        while let Ok(attempt) = self.receiver.try_recv() {
            told.extend(self.ended(attempt, films, now));
        }
        if servers.is_empty() {
            return told;
        }
        let news = news(films.values().filter(|film| !told.contains_key(&film.id)));
        self.folders.retain(|folder, tried| tried.running || news.contains_key(folder));
        for (folder, news) in news {
            let settled = news.last.is_some_and(|last| last + SETTLED <= now) || news.first.is_some_and(|first| first + AT_MOST <= now);
            let tried = self.folders.entry(folder.clone()).or_default();
            if !settled || tried.running || tried.next.is_some_and(|next| next > now) {
                continue;
            }
            if !news.films.is_subset(&tried.films) {
                tried.said.clear();
            }
            tried.films.clone_from(&news.films);
            tried.running = true;
            let servers: Vec<MediaServer> = servers.iter().filter(|server| !tried.said.contains_key(server.kind.key())).cloned().collect();
            tokio::spawn(attempt(servers, folder, news, self.sender.clone()));
        }
        told
    }

    fn ended(&mut self, attempt: Attempt, films: &BTreeMap<FilmId, Film>, now: Timestamp) -> BTreeMap<FilmId, Told> {
        let Attempt { folder, films: asked, answers } = attempt;
        let tried = self.folders.entry(folder).or_default();
        tried.running = false;
        let mut wrong = Vec::new();
        for (kind, answer) in answers {
            let (text, fine) = match answer {
                Ok(text) => {
                    tried.said.insert(kind.key(), text.clone());
                    (text, true)
                }
                Err(text) => {
                    wrong.push(text.clone());
                    (text, false)
                }
            };
            self.answers.insert(kind.key(), Answer { server: kind.to_string(), text, fine, at: now });
        }
        let over = |film: &Film| film.published().is_none_or(|published| published.named() + TRIED_FOR <= now);
        // A film that came while this was tried has not been told of yet.
        let (ended, again): (Vec<_>, Vec<_>) = asked.into_iter().partition(|id| wrong.is_empty() || films.get(id).is_none_or(over));
        let failed = !wrong.is_empty();
        let text = tried.said.values().cloned().chain(wrong).collect::<Vec<_>>().join("; ");
        let told = Told { text, failed };
        if again.is_empty() {
            *tried = Tried::default();
        } else {
            tried.next = Some(now + SignedDuration::from_secs((PAUSE.0 << tried.times.min(4)).min(PAUSE.1)));
            tried.times += 1;
        }
        ended.into_iter().map(|id| (id, told.clone())).collect()
    }
}

async fn attempt(servers: Vec<MediaServer>, folder: PathBuf, news: News, sender: UnboundedSender<Attempt>) {
    let mut answers = Vec::new();
    for server in servers {
        let answer = media_server::refresh(&server, &folder, &news.files).await.map_err(|error| format!("{error:#}"));
        match &answer {
            Ok(text) => tracing::info!("{}: {text}", super::layout::shown(&folder)),
            Err(text) => tracing::warn!("{}: {text}", super::layout::shown(&folder)),
        }
        answers.push((server.kind, answer));
    }
    // Nobody hears it when the watcher ends: the next one asks again.
    let _ = sender.send(Attempt { folder, films: news.films, answers });
}

/// Folders with films of which no media server was told yet.
fn news<'a>(films: impl Iterator<Item = &'a Film>) -> BTreeMap<PathBuf, News> {
    let mut folders: BTreeMap<PathBuf, News> = BTreeMap::new();
    for film in films {
        let Some(published) = film.published().filter(|published| published.media_server.is_none()) else { continue };
        for file in published.files() {
            let news = folders.entry(file.path.parent().unwrap_or(Path::new("")).to_owned()).or_default();
            news.films.insert(film.id.clone());
            news.files.push(file.path.clone());
            news.first = news.first.into_iter().chain([published.named()]).min();
            news.last = news.last.into_iter().chain([published.named()]).max();
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::ledger::Stage;
    use super::super::record::{InLibrary, Published, Stamp};
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
    }

    fn done(path: &str, when: i64) -> Film {
        let film =
            InLibrary { path: path.into(), size: 1, sha256: String::new(), replaced: false, label: None, content: None, measured: None };
        let published = Published {
            film,
            more: Vec::new(),
            remarks: Vec::new(),
            media_server: None,
            media_server_failed: false,
            renamed: None,
            original: false,
            speed: None,
            space: None,
            at: at(when),
        };
        let stamp = Stamp { size: 1, modified: 1 };
        let stage = Stage::Done { published, machine: String::new(), took: 1.0 };
        Film { stage, ..Film::dropped(path.into(), "Series".into(), stamp, at(when)) }
    }

    /// A server that answers every request with a status, and how many it had.
    async fn server(kind: MediaServerKind, token: &Path) -> (MediaServer, Arc<AtomicU16>, Arc<AtomicUsize>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let (status, asked) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicUsize::new(0)));
        let (answers, count) = (status.clone(), asked.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                count.fetch_add(1, Ordering::SeqCst);
                let status = answers.load(Ordering::SeqCst);
                let _ = stream.write_all(format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes()).await;
            }
        });
        (MediaServer { kind, url, token_file: token.to_owned(), library_as_seen: None }, status, asked)
    }

    #[tokio::test]
    async fn a_folder_is_told_of_once_and_a_server_that_is_off_is_asked_again_for_an_hour() {
        let token = tempfile::NamedTempFile::new().expect("a file");
        let (plex, plex_says, plex_asked) = server(MediaServerKind::Plex, token.path()).await;
        let (jellyfin, jellyfin_says, jellyfin_asked) = server(MediaServerKind::Jellyfin, token.path()).await;
        plex_says.store(401, Ordering::SeqCst);
        let servers = [plex, jellyfin];
        let mut films: BTreeMap<FilmId, Film> = BTreeMap::new();
        for number in 0..5 {
            let film = done(&format!("Series/Season 1/{number}.mkv"), number);
            films.insert(film.id.clone(), film);
        }
        let mut telling = Telling::default();
        assert!(telling.round(&servers, &films, at(5)).is_empty() && !telling.folders.values().any(|tried| tried.running));
        let attempt = async |telling: &mut Telling, films: &BTreeMap<FilmId, Film>, now: i64| {
            let mut told = telling.round(&servers, films, at(now));
            for _ in 0..500 {
                if !telling.folders.values().any(|tried| tried.running) {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                told.extend(telling.round(&servers, films, at(now)));
            }
            told
        };
        assert!(attempt(&mut telling, &films, 20).await.is_empty(), "Plex refused");
        assert_eq!((plex_asked.load(Ordering::SeqCst), jellyfin_asked.load(Ordering::SeqCst)), (1, 1), "one refresh for five films");
        let answers: Vec<_> = telling.answers().into_iter().map(|answer| (answer.server, answer.text, answer.fine)).collect();
        let wrong = "Plex was not notified: it rejects the token".to_owned();
        let right = "Jellyfin was asked to scan its library".to_owned();
        assert_eq!(answers, [("Jellyfin".to_owned(), right.clone(), true), ("Plex".to_owned(), wrong.clone(), false)]);
        // Not before its time, and only the one that refused.
        attempt(&mut telling, &films, 50).await;
        attempt(&mut telling, &films, 81).await;
        assert_eq!((plex_asked.load(Ordering::SeqCst), jellyfin_asked.load(Ordering::SeqCst)), (2, 1));
        // Another film: both.
        let new = done("Series/Season 1/5.mkv", 3500);
        films.insert(new.id.clone(), new.clone());
        jellyfin_says.store(500, Ordering::SeqCst);
        attempt(&mut telling, &films, 3520).await;
        assert_eq!((plex_asked.load(Ordering::SeqCst), jellyfin_asked.load(Ordering::SeqCst)), (3, 2));
        // An hour is over for the first ones, and not for the last.
        jellyfin_says.store(200, Ordering::SeqCst);
        let told = attempt(&mut telling, &films, 3800).await;
        assert_eq!((told.len(), told.contains_key(&new.id)), (5, false));
        assert!(told.values().all(|told| told.failed && told.text == format!("{right}; {wrong}")), "{told:?}");
    }
}
