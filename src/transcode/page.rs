//! The status page: the last observed state as HTML, JSON and metrics. It never waits for a share.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use hostler_core::films::Actions;
use hostler_core::template;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use super::access::{Access, Samples, is_own_name};
use super::again;
use super::film::FilmId;
use super::layout::{Inbox, Library, is_name, read_json, require_marker, write_whole};
use super::ledger::{Film, Stage};
use super::observe::{in_trash, request_file};
use super::reconcile::Request as Asked;
use super::record::{PROGRESS, Progress};
use super::rename;
use super::share::Share;
use super::view::{self, Read, View, view};
use super::watch::{STATUS, Status};

/// Interval for reading the shares.
const EVERY: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(10);

const STYLE: &str = include_str!("../../templates/transcode/page.css");
const SCRIPT: &str = include_str!("../../templates/transcode/page.js");

/// 20 s with a moving picture, a tone, subtitles and three chapters, made by `sample.sh`.
const SAMPLE: &[u8] = include_bytes!("sample.mkv");

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
                _ => read_json(&file).with_context(|| format!("{} can't be read", file.display()))?,
            };
            films.extend(film.map(|film| (file, (time, film))));
        }
        self.films = films;
        let films: Vec<Film> = self.films.values().map(|(_, film)| film.clone()).collect();
        let mut progress = BTreeMap::new();
        for film in films.iter().filter(|film| !film.ended()) {
            let read: Option<Progress> = read_json(&inbox.work(&film.id).join(PROGRESS)).unwrap_or_default();
            progress.extend(read.map(|progress| (film.id.clone(), progress)));
        }
        let status: Option<Status> = read_json(&inbox.root.join(STATUS)).context("the watcher's report can't be read")?;
        Ok(Read { films, progress, status })
    }
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
        .route("/retry/{id}", post(retry))
        .route("/redo/{id}", post(redo))
        .route("/accept/{id}", post(accept))
        .route("/dismiss/{id}", post(dismiss))
        .route("/name/{id}", post(name))
        .route("/titles/{id}", post(titles))
        .route("/redo/{id}/from-library", post(redo_from_library))
        .route("/test", post(test))
        .route("/test/{folder}", post(test_in))
        .route("/pause", post(pause))
        .route("/resume", post(resume))
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
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open: close some\n").into_response();
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

async fn retry(State(page): State<Page>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Some(id) = FilmId::parse(&id) else { return no_such_film() };
    ask(page, &headers, Asked::Retry(id), "the film has not failed\n", |stage| matches!(stage, Stage::Failed { .. } | Stage::Held { .. }))
        .await
}

/// Takes a failed film as it is.
async fn accept(State(page): State<Page>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Some(id) = FilmId::parse(&id) else { return no_such_film() };
    ask(page, &headers, Asked::Accept(id), "the film has not failed\n", |stage| matches!(stage, Stage::Failed { .. })).await
}

/// Moves the original of a failed or held film to the trash.
async fn dismiss(State(page): State<Page>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Some(id) = FilmId::parse(&id) else { return no_such_film() };
    let may = |stage: &Stage| matches!(stage, Stage::Failed { .. } | Stage::Held { .. });
    ask(page, &headers, Asked::Dismiss(id), "the film has not failed, and is not waiting for an answer\n", may).await
}

async fn name(State(page): State<Page>, Path(id): Path<String>, headers: HeaderMap, body: String) -> Response {
    let Some(id) = FilmId::parse(&id) else { return no_such_film() };
    let name = form_field(&body, "name");
    if !is_name(&name) {
        return (StatusCode::CONFLICT, "this is not a valid file name: it contains a `/`, begins with a dot or a space, or is too long\n")
            .into_response();
    }
    let done = page.views.borrow().done.iter().any(|film| film.id == id);
    if done {
        return rename_in_library(page, &headers, id, name).await;
    }
    let may = |stage: &Stage| matches!(stage, Stage::Claimed | Stage::Encoded | Stage::Held { .. });
    ask(page, &headers, Asked::Name(id, name), "the film has failed\n", may).await
}

async fn rename_in_library(page: Page, headers: &HeaderMap, id: FilmId, name: String) -> Response {
    let Some(library) = page.library.clone() else {
        return (StatusCode::CONFLICT, "this page has no access to the library\n").into_response();
    };
    let inbox = page.inbox.clone();
    let page = Page { share: page.library_share.clone(), ..page };
    change(page, headers, move || {
        let film: Option<Film> = read_json(&inbox.ledger(&id))?;
        let Some(Film { stage: Stage::Done { published, .. }, .. }) = film else {
            return Ok(Changed::Refused("the film is not done yet\n"));
        };
        rename::rename(&library, &published, &name)?;
        write_whole(&request_file(&inbox, &Asked::Called(id.clone(), name.clone())), name.as_bytes())?;
        Ok(Changed::Done)
    })
    .await
}

async fn titles(State(page): State<Page>, Path(id): Path<String>, headers: HeaderMap, body: String) -> Response {
    let Some(id) = FilmId::parse(&id) else { return no_such_film() };
    let text = form_field(&body, "titles");
    let numbers: Result<Vec<u32>, _> = text.split([',', ' ']).filter(|word| !word.is_empty()).map(str::parse).collect();
    let Some(numbers) = numbers.ok().filter(|numbers| !numbers.is_empty() && numbers.len() <= 99) else {
        return (StatusCode::CONFLICT, "write the numbers of the titles, for example: 1, 3\n").into_response();
    };
    ask(page, &headers, Asked::Titles(id, numbers), "the film is not waiting for an answer\n", |stage| matches!(stage, Stage::Held { .. }))
        .await
}

/// A field of a form, or the whole body of a program's request.
fn form_field(body: &str, name: &str) -> String {
    let fields = reqwest::Url::parse(&format!("form:?{body}"));
    let field = fields.ok().and_then(|form| form.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()));
    field.unwrap_or_default()
}

/// Leaves a request for the watcher, if the film is at a stage where it can be done.
async fn ask(
    page: Page,
    headers: &HeaderMap,
    request: Asked,
    not_now: &'static str,
    may: impl Fn(&Stage) -> bool + Send + 'static,
) -> Response {
    let inbox = page.inbox.clone();
    let known = page.views.borrow().knows(request.id());
    if page.access.check(headers).is_ok() && !known {
        return no_such_film();
    }
    change(page, headers, move || {
        let film: Option<Film> = read_json(&inbox.ledger(request.id()))?;
        if !film.is_some_and(|film| may(&film.stage)) {
            return Ok(Changed::Refused(not_now));
        }
        let text = match &request {
            Asked::Name(_, name) | Asked::Called(_, name) => name.clone(),
            Asked::Titles(_, titles) => titles.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
            _ => String::new(),
        };
        write_whole(&request_file(&inbox, &request), text.as_bytes())?;
        Ok(Changed::Done)
    })
    .await
}

async fn redo(State(page): State<Page>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Some(id) = FilmId::parse(&id) else { return no_such_film() };
    let (inbox, file) = (page.inbox.clone(), request_file(&page.inbox, &Asked::Redo(id.clone())));
    change(page, &headers, move || {
        let film: Option<Film> = read_json(&inbox.ledger(&id))?;
        if film.map(|film| in_trash(&inbox, &film)).transpose()?.flatten().is_none() {
            return Ok(Changed::Refused(
                "the film's original is no longer in the trash: drop the film again, or encode it from the library (`--from-library`)\n",
            ));
        }
        asked(&file)
    })
    .await
}

async fn redo_from_library(State(page): State<Page>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Some(id) = FilmId::parse(&id) else { return no_such_film() };
    let Some(library) = page.library.clone() else {
        return (StatusCode::CONFLICT, "this page has no access to the library\n").into_response();
    };
    let inbox = page.inbox.clone();
    let page = Page { share: page.library_share.clone(), ..page };
    change(page, &headers, move || {
        let again = match again::wanted(&inbox, &library, &id)? {
            Ok(again) => again,
            Err(why) => return Ok(Changed::Refused(why)),
        };
        // The request does not wait for the copy.
        std::thread::spawn(move || {
            if let Err(error) = again.copy() {
                tracing::warn!("{id} can't be copied back from the library: {error:#}");
            }
        });
        Ok(Changed::Done)
    })
    .await
}

fn no_such_film() -> Response {
    (StatusCode::NOT_FOUND, "no such film\n").into_response()
}

fn asked(file: &std::path::Path) -> Result<Changed> {
    write_whole(file, b"")?;
    Ok(Changed::Done)
}

/// The result of a requested change.
enum Changed {
    Done,
    /// It is not possible in the present state.
    Refused(&'static str),
}

async fn pause(State(page): State<Page>, headers: HeaderMap) -> Response {
    let file = page.inbox.paused();
    change(page, &headers, move || asked(&file)).await
}

async fn resume(State(page): State<Page>, headers: HeaderMap) -> Response {
    let file = page.inbox.paused();
    change(page, &headers, move || match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(Changed::Done),
    })
    .await
}

async fn test(State(page): State<Page>, headers: HeaderMap) -> Response {
    drop_sample(page, None, &headers).await
}

async fn test_in(State(page): State<Page>, Path(folder): Path<String>, headers: HeaderMap) -> Response {
    drop_sample(page, Some(folder), &headers).await
}

/// Drops the sample into a folder of `watch/`, and answers with its path.
async fn drop_sample(page: Page, folder: Option<String>, headers: &HeaderMap) -> Response {
    let watch = page.inbox.watch();
    let name = format!("hostler test {}.mkv", Timestamp::now().strftime("%Y-%m-%d %H%M%S"));
    let (answer, answered) = std::sync::mpsc::channel();
    let samples = Arc::clone(&page.samples);
    let done = change(page, headers, move || {
        // Not status 429: the client of the program's verbs would try again for longer than a user waits.
        if !samples.may_drop(Instant::now()) {
            return Ok(Changed::Refused("too many samples at once: wait a minute\n"));
        }
        let mut folders = Vec::new();
        for entry in std::fs::read_dir(&watch).context("watch/ can't be read")? {
            let entry = entry?;
            folders.extend(entry.file_name().into_string().ok().filter(|name| entry.path().is_dir() && !name.starts_with('.')));
        }
        folders.sort();
        let folder = match folder {
            Some(folder) => {
                folders.into_iter().find(|known| *known == folder).with_context(|| format!("watch/ has no folder `{folder}`"))?
            }
            None => folders.into_iter().next().context("watch/ has no folders")?,
        };
        write_whole(&watch.join(&folder).join(&name), SAMPLE)?;
        let _ = answer.send(format!("{folder}/{name}\n"));
        Ok(Changed::Done)
    })
    .await;
    match answered.try_recv() {
        Ok(path) => path.into_response(),
        Err(_) => done,
    }
}

async fn change(page: Page, headers: &HeaderMap, operation: impl FnOnce() -> Result<Changed> + Send + 'static) -> Response {
    if let Err(why) = page.access.check(headers) {
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    let inbox = page.inbox.clone();
    let done = page
        .share
        .run(LIMIT, move || {
            require_marker(&inbox.root)?;
            operation()
        })
        .await;
    match done {
        Ok(Changed::Refused(why)) => (StatusCode::CONFLICT, why).into_response(),
        Ok(Changed::Done) => (StatusCode::SEE_OTHER, [(header::LOCATION, "/")]).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
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
