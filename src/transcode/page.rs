//! The status page: the last observed state as HTML, JSON and metrics. It never waits for a share.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use hostler_core::films::Actions;
use hostler_core::template;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use super::access::{Access, Samples, is_own_name};
use super::again;
use super::from_encoder;
use super::layout::{Inbox, Library, read_json, require_marker};
use super::ledger::{Film, Stage};
use super::observe;
use super::record::{PROGRESS, Progress};
use super::share::Share;
use super::split::{self, Work};
use super::view::{self, Read, View, view};
use super::watch::{STATUS, Status};

mod act;

/// Interval for reading the shares.
const EVERY: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(10);

const STYLE: &str = include_str!("../../templates/transcode/page.css");
const SCRIPT: &str = include_str!("../../templates/transcode/page.js");

#[derive(Clone)]
struct Page {
    inbox: Inbox,
    /// `None`: films can't be encoded again from the library.
    library: Option<Library>,
    share: Share,
    /// Separate from the inbox: a library that hangs must not block the inbox.
    library_share: Share,
    views: watch::Receiver<Arc<View>>,
    access: Arc<Access>,
    samples: Arc<Samples>,
    /// One for each page that is open somewhere.
    streams: Arc<Semaphore>,
}

/// Pages that are open at once, at most.
const STREAMS: usize = 64;

/// Serves until the process ends.
///
/// # Errors
/// The address can't be listened at.
pub async fn run(inbox: Inbox, library: Option<Library>, access: Access, listen: SocketAddr) -> Result<()> {
    let share = Share::new("inbox");
    let zone = TimeZone::system();
    let (sender, views) = watch::channel(Arc::new(View { trouble: Some("the inbox has not been read yet".to_owned()), ..View::default() }));
    tokio::spawn(observe(inbox.clone(), share.clone(), zone, sender));
    let library_share = Share::new("library");
    tokio::spawn(clear(inbox.clone(), library_share.clone()));
    let listener = tokio::net::TcpListener::bind(listen).await.with_context(|| format!("can't listen on {listen}"))?;
    tracing::info!("serving the status page at http://{}", listener.local_addr()?);
    let (access, samples) = (Arc::new(access), Arc::default());
    let streams = Arc::new(Semaphore::new(STREAMS));
    let page = Page { inbox, library, share, library_share, views, access, samples, streams };
    Ok(axum::serve(listener, router(page)).await?)
}

async fn clear(inbox: Inbox, share: Share) {
    if let Err(error) = share.run(LIMIT, move || again::clear(&inbox)).await {
        tracing::warn!("unfinished copies of an earlier process may remain in requests/: {error:#}");
    }
}

async fn observe(inbox: Inbox, share: Share, zone: TimeZone, sender: watch::Sender<Arc<View>>) {
    let mut known = Known::default();
    let mut last = Read::default();
    let mut since = None;
    loop {
        let inbox = inbox.clone();
        let mut taken = std::mem::take(&mut known);
        let read = share.run(LIMIT, move || Ok((taken.read(&inbox)?, taken))).await;
        let trouble = match read {
            Ok((read, kept)) => {
                (last, known) = (read, kept);
                since = None;
                None
            }
            Err(error) => Some((format!("{error:#}"), *since.get_or_insert_with(Timestamp::now))),
        };
        let now = view(&last, trouble, Timestamp::now(), &zone);
        sender.send_if_modified(|before| {
            let changed = **before != now;
            if changed {
                *before = Arc::new(now);
            }
            changed
        });
        tokio::time::sleep(EVERY).await;
    }
}

/// Records that need not be read again while their file is unchanged.
#[derive(Default)]
struct Known {
    films: HashMap<PathBuf, (SystemTime, Film)>,
}

impl Known {
    fn read(&mut self, inbox: &Inbox) -> Result<Read> {
        require_marker(&inbox.root)?;
        let mut films = HashMap::new();
        for entry in std::fs::read_dir(inbox.root.join("ledger")).context("the ledger can't be read")? {
            let entry = entry?;
            let file = entry.path();
            if file.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            // Replaced while it is read: the next round finds it.
            let Ok(time) = entry.metadata().and_then(|metadata| metadata.modified()) else { continue };
            let film = match self.films.remove(&file) {
                Some((known, film)) if known == time => Some(film),
                // The watcher says which one can't be read.
                _ => read_json(&file).unwrap_or_default(),
            };
            films.extend(film.map(|film| (file, (time, film))));
        }
        self.films = films;
        let films: Vec<Film> = self.films.values().map(|(_, film)| film.clone()).collect();
        let mut progress = BTreeMap::new();
        for film in films.iter().filter(|film| !film.ended()) {
            let work = inbox.work(&film.id);
            let read = if film.stage == Stage::Claimed { in_pieces(&work, film) } else { progress_in(&inbox.publish(&film.id), PROGRESS) };
            let read = read.or_else(|| progress_in(&work, PROGRESS));
            progress.extend(read.map(|progress| (film.id.clone(), progress)));
        }
        let status: Option<Status> = read_json(&inbox.root.join(STATUS)).context("the watcher's report can't be read")?;
        Ok(Read { films, progress, status })
    }
}

/// What an encoder or a publisher says of its progress, as far as it can be shown.
fn progress_in(folder: &Path, name: &str) -> Option<Progress> {
    from_encoder::read(folder, name).ok()?.ok()?
}

/// The progress of a film that is encoded in pieces; `None`: it is not.
fn in_pieces(work: &Path, film: &Film) -> Option<Progress> {
    let plan = observe::plan(work, film)?;
    let works = || plan.works().chain([Work::Join]);
    let done = observe::done(work, &plan).unwrap_or_default();
    let progress = works().filter_map(|part| Some((part, progress_in(work, &part.progress())?)));
    split::shown(&plan, &done, &progress.collect())
}

fn router(page: Page) -> Router {
    Router::new()
        .route("/", get(whole))
        .route("/events", get(events))
        .route("/page.css", get(async || ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)))
        .route("/page.js", get(async || ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT)))
        .route("/api/status", get(status))
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .merge(act::router())
        .layer(middleware::from_fn(guard))
        .with_state(page)
}

/// For every request: who asks must know the page by a name that nobody on the internet can give it, and every answer says what a browser may
/// do with it.
async fn guard(request: Request, next: Next) -> Response {
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let mut response = match named {
        Some(host) if is_own_name(host) => next.run(request).await,
        _ => (StatusCode::FORBIDDEN, "the status page is not served under this name: use the address or the name of a machine\n")
            .into_response(),
    };
    let policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; \
        base-uri 'none'";
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: with it, browsers hide the origin of the page's own forms, too.
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What the templates show.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    view: &'a View,
    actions: Actions,
}

fn rendered(name: &str, view: &View, actions: Actions) -> Result<String, StatusCode> {
    template::render(&format!("transcode/{name}"), Shown { view, actions }).map_err(|error| {
        tracing::error!("{error:#}");
        StatusCode::INTERNAL_SERVER_ERROR
    })
}

async fn whole(State(page): State<Page>) -> Response {
    let view = page.views.borrow().clone();
    rendered("page.html", &view, page.access.actions).map(Html).into_response()
}

/// The changing part of the page, whenever it changes.
async fn events(State(page): State<Page>) -> Response {
    let Ok(permit) = page.streams.try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many status pages are open: close some of them\n").into_response();
    };
    let stream =
        futures_util::stream::unfold((page.views, page.access.actions, true, permit), async |(mut views, actions, first, permit)| {
            if !first {
                views.changed().await.ok()?;
            }
            let view = views.borrow_and_update().clone();
            let html = rendered("main.html", &view, actions).ok()?;
            Some((Ok::<_, Infallible>(Event::default().data(html)), (views, actions, false, permit)))
        });
    Sse::new(stream).keep_alive(KeepAlive::default()).into_response()
}

async fn status(State(page): State<Page>) -> Response {
    match serde_json::to_string(&**page.views.borrow()) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn metrics(State(page): State<Page>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], view::metrics(&page.views.borrow())).into_response()
}

#[cfg(test)]
mod tests {
    use super::super::film::FilmId;
    use super::*;

    #[test]
    fn names_are_escaped_on_the_page() {
        let bad = "<script>alert(1)</script>\" onload=\"x";
        let failed = view::Failed {
            id: FilmId::parse("film-12345678").expect("an id"),
            name: bad.to_owned(),
            reason: bad.to_owned(),
            when: String::new(),
        };
        let html = rendered("page.html", &View { failed: vec![failed], ..View::default() }, Actions::Token).expect("rendered");
        assert!(!html.contains("<script>alert") && !html.contains("\" onload"), "{html}");
        assert!(html.contains("action=\"/retry/film-12345678\""));
    }
}
