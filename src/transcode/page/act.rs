//! What is asked for on the status page: each request is checked against the present state, and left for the watcher.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hostler_core::visible::shortened;
use hostler_core::words::and;
use jiff::Timestamp;

use super::super::again;
use super::super::film::FilmId;
use super::super::layout::{is_name, read_json, require_marker, write_whole};
use super::super::ledger::{Film, Original, Priority, Stage};
use super::super::observe::{in_trash, request_file};
use super::super::reconcile::Request as Asked;
use super::super::rename;
use super::Page;

const LIMIT: Duration = Duration::from_secs(10);

/// 20 s with a moving picture, a tone, subtitles and three chapters, made by `sample.sh`.
const SAMPLE: &[u8] = include_bytes!("../sample.mkv");

pub(super) fn router() -> Router<Page> {
    Router::new()
        .route("/retry/{id}", post(retry))
        .route("/redo/{id}", post(redo))
        .route("/accept/{id}", post(accept))
        .route("/dismiss/{id}", post(dismiss))
        .route("/name/{id}", post(name))
        .route("/now/{id}", post(now))
        .route("/first/{id}", post(async |page, id, headers| order(page, id, headers, Priority::First).await))
        .route("/normal/{id}", post(async |page, id, headers| order(page, id, headers, Priority::Normal).await))
        .route("/later/{id}", post(async |page, id, headers| order(page, id, headers, Priority::Later).await))
        .route("/skip/{id}", post(async |page, id, headers| order(page, id, headers, Priority::Skipped).await))
        .route("/titles/{id}", post(titles))
        .route("/redo/{id}/from-library", post(redo_from_library))
        .route("/test", post(test))
        .route("/test/{folder}", post(test_in))
        .route("/pause", post(pause))
        .route("/resume", post(resume))
}

/// The result of a requested change.
enum Changed {
    Done,
    Refused(Refusal),
}

/// Why something is not possible in the present state. It is the caller's to change that: another attempt would be refused, too.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    why: String,
    /// What to do, if that is not obvious.
    hint: String,
}

impl Refusal {
    fn new(why: impl Into<String>) -> Refusal {
        Refusal { why: why.into(), hint: String::new() }
    }

    fn hint(self, hint: impl Into<String>) -> Refusal {
        Refusal { hint: hint.into(), ..self }
    }
}

impl IntoResponse for Refusal {
    /// A line for the reason, and one for the hint.
    fn into_response(self) -> Response {
        let Refusal { why, hint } = self;
        let hint = if hint.is_empty() { String::new() } else { format!("hint: {hint}\n") };
        (StatusCode::CONFLICT, format!("{why}\n{hint}")).into_response()
    }
}

fn no_such_film() -> Response {
    (StatusCode::NOT_FOUND, "no such film\nhint: `hostler transcode status` lists films\n").into_response()
}

async fn retry(State(page): State<Page>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    ask(page, &headers, &id, Asked::Retry, |film| match film.stage {
        Stage::Failed { .. } | Stage::Held { .. } => Ok(()),
        _ => Err(Refusal::new("the film has not failed")),
    })
    .await
}

/// Takes a failed film as it is.
async fn accept(State(page): State<Page>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    ask(page, &headers, &id, Asked::Accept, |film| match film.stage {
        Stage::Failed { .. } => Ok(()),
        _ => Err(Refusal::new("the film has not failed")),
    })
    .await
}

/// Moves the original of a failed, held or skipped film to the trash.
async fn dismiss(State(page): State<Page>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    ask(page, &headers, &id, Asked::Dismiss, |film| match film.stage {
        Stage::Failed { .. } | Stage::Held { .. } => Ok(()),
        Stage::Claimed if film.priority == Priority::Skipped => Ok(()),
        _ => Err(Refusal::new("the film has not failed, is not waiting for an answer, and is not skipped")),
    })
    .await
}

/// Publishes the original until the film is encoded.
async fn now(State(page): State<Page>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    ask(page, &headers, &id, Asked::Now, |film| match (&film.stage, film.original) {
        _ if film.is_disc() => Err(Refusal::new("a disc must be encoded before it can be published")
            .hint(format!("run `hostler transcode first {}` to have it encoded next", film.id))),
        (_, Original::Published) => Err(Refusal::new("the film's original is in the library already")),
        (Stage::Claimed, _) => Ok(()),
        (Stage::Encoded, _) => Err(Refusal::new("the film is encoded, and about to be published")),
        _ => Err(Refusal::new("the film is not waiting to be encoded")),
    })
    .await
}

async fn order(State(page): State<Page>, Path(id): Path<String>, headers: HeaderMap, priority: Priority) -> Response {
    ask(
        page,
        &headers,
        &id,
        move |id| Asked::Order(id, priority),
        |film| match film.stage {
            Stage::Claimed => Ok(()),
            _ => Err(Refusal::new("the film is not waiting to be encoded")),
        },
    )
    .await
}

async fn name(State(page): State<Page>, Path(id): Path<String>, headers: HeaderMap, body: String) -> Response {
    let name = form_field(&body, "name");
    if !is_name(&name) {
        return Refusal::new("this is not a valid file name: it is empty or too long, contains `/` or a control character, begins with a dot, or begins or ends with a space")
            .into_response();
    }
    let Some(id) = FilmId::parse(&id) else { return no_such_film() };
    let known = page.views.borrow().knows(&id);
    if page.access.check(&headers).is_ok() && !known {
        return no_such_film();
    }
    let (inbox, library) = (page.inbox.clone(), page.library.clone());
    let record = inbox.ledger(&id);
    let film = page.share.run(LIMIT, move || Ok(read_json::<Film>(&record)?)).await;
    // A library that hangs does not matter to a film that is not there.
    let is_there = film.is_ok_and(|film| film.is_some_and(|film| film.renamable().is_some()));
    let share = if is_there { page.library_share.clone() } else { page.share.clone() };
    change(Page { share, ..page }, &headers, move || {
        let film: Option<Film> = read_json(&inbox.ledger(&id))?;
        let Some(film) = film else { return Ok(Changed::Refused(removed())) };
        let is_open = matches!(film.stage, Stage::Claimed | Stage::Encoded | Stage::Held { .. });
        if film.renamable().is_none() && !is_open {
            let why = "the film is not in a state in which it can be renamed: it has failed, or is being published";
            return Ok(Changed::Refused(Refusal::new(why)));
        }
        // A publisher does it, since this page can't write to the library: what it would refuse is refused here.
        if let Some(library) = library.filter(|_| film.renamable().is_some())
            && let Err(why) = rename::may_be(&library, &film, &name)?
        {
            return Ok(Changed::Refused(Refusal::new(why)));
        }
        write_whole(&request_file(&inbox, &Asked::Name(id.clone(), name.clone())), name.as_bytes())?;
        Ok(Changed::Done)
    })
    .await
}

fn removed() -> Refusal {
    Refusal::new("the film was removed in the meantime")
}

fn no_library() -> Response {
    Refusal::new("this page has no access to the library").into_response()
}

async fn titles(State(page): State<Page>, Path(id): Path<String>, headers: HeaderMap, body: String) -> Response {
    let text = form_field(&body, "titles");
    let numbers: Result<Vec<u32>, _> = text.split([',', ' ']).filter(|word| !word.is_empty()).map(str::parse).collect();
    let Some(mut numbers) = numbers.ok().filter(|numbers| !numbers.is_empty() && numbers.len() <= 99) else {
        return Refusal::new("write the numbers of the titles, with commas between them: `1,3`").into_response();
    };
    numbers.sort_unstable();
    numbers.dedup();
    let wanted = numbers.clone();
    ask(page, &headers, &id, |id| Asked::Titles(id, numbers), move |film| may_choose(film, &wanted)).await
}

/// Whether these titles are an answer to the film's question.
fn may_choose(film: &Film, wanted: &[u32]) -> Result<(), Refusal> {
    let Stage::Held { titles, .. } = &film.stage else { return Err(Refusal::new("the film is not waiting for an answer")) };
    if film.unnamed().is_some() {
        let hint = format!("run `hostler transcode name {} NAME`", film.id);
        return Err(Refusal::new("the film is waiting for a name, not for titles").hint(hint));
    }
    let missing: Vec<&u32> = wanted.iter().filter(|number| !titles.contains(number)).collect();
    // What an earlier version asked for has no list: the encoder looks at the disc again.
    if titles.is_empty() || missing.is_empty() {
        return Ok(());
    }
    let word = |numbers: usize| if numbers == 1 { "title" } else { "titles" };
    let why = format!("the disc has no {} {}: it has {} {}", word(missing.len()), and(&missing), word(titles.len()), and(titles));
    Err(Refusal::new(why))
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
    id: &str,
    request: impl FnOnce(FilmId) -> Asked,
    may: impl FnOnce(&Film) -> Result<(), Refusal> + Send + 'static,
) -> Response {
    let Some(id) = FilmId::parse(id) else { return no_such_film() };
    let request = request(id);
    let inbox = page.inbox.clone();
    let known = page.views.borrow().knows(request.id());
    if page.access.check(headers).is_ok() && !known {
        return no_such_film();
    }
    change(page, headers, move || {
        let film: Option<Film> = read_json(&inbox.ledger(request.id()))?;
        let may = film.map_or_else(|| Err(removed()), |film| may(&film));
        if let Err(refusal) = may {
            return Ok(Changed::Refused(refusal));
        }
        let text = match &request {
            Asked::Titles(_, titles) => titles.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
            _ => String::new(),
        };
        write_whole(&request_file(&inbox, &request), text.as_bytes())?;
        Ok(Changed::Done)
    })
    .await
}

async fn redo(State(page): State<Page>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let inbox = page.inbox.clone();
    ask(page, &headers, &id, Asked::Redo, move |film| {
        if !matches!(film.stage, Stage::Done { .. }) {
            return Err(Refusal::new("the film is not done yet"));
        }
        // One that can't be read is the watcher's to report.
        if matches!(in_trash(&inbox, film), Ok(None)) {
            let hint = format!("copy the film into watch/ again, or run `hostler transcode redo {} --from-library`", film.id);
            return Err(Refusal::new("the film's original is no longer in the trash").hint(hint));
        }
        Ok(())
    })
    .await
}

async fn redo_from_library(State(page): State<Page>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Some(id) = FilmId::parse(&id) else { return no_such_film() };
    let Some(library) = page.library.clone() else { return no_library() };
    let inbox = page.inbox.clone();
    let page = Page { share: page.library_share.clone(), ..page };
    change(page, &headers, move || {
        let again = match again::wanted(&inbox, &library, &id)? {
            Ok(again) => again,
            Err(why) => return Ok(Changed::Refused(Refusal::new(why))),
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

async fn pause(State(page): State<Page>, headers: HeaderMap) -> Response {
    let file = page.inbox.paused();
    change(page, &headers, move || {
        write_whole(&file, b"")?;
        Ok(Changed::Done)
    })
    .await
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
        let mut folders = Vec::new();
        for entry in std::fs::read_dir(&watch).context("watch/ can't be read")? {
            let entry = entry?;
            folders.extend(entry.file_name().into_string().ok().filter(|name| entry.path().is_dir() && !name.starts_with('.')));
        }
        folders.sort();
        let chosen = match &folder {
            Some(folder) => folders.iter().find(|known| *known == folder),
            None => folders.first(),
        };
        let Some(chosen) = chosen else { return Ok(Changed::Refused(no_such_folder(folder.as_deref(), &folders))) };
        if !samples.may_drop(Instant::now()) {
            return Ok(Changed::Refused(Refusal::new("too many samples were requested: wait a minute")));
        }
        write_whole(&watch.join(chosen).join(&name), SAMPLE)?;
        let _ = answer.send(format!("{chosen}/{name}\n"));
        Ok(Changed::Done)
    })
    .await;
    match answered.try_recv() {
        Ok(path) => path.into_response(),
        Err(_) => done,
    }
}

fn no_such_folder(folder: Option<&str>, folders: &[String]) -> Refusal {
    const SHOWN: usize = 20;
    let Some(folder) = folder.filter(|_| !folders.is_empty()) else {
        return Refusal::new("watch/ has no folders").hint("add a folder to `transcode.folders` in the inventory, and run `hostler up`");
    };
    let shown: Vec<String> = folders.iter().take(SHOWN).map(|name| shortened(&format!("`{name}`"), 60)).collect();
    let more = if folders.len() > SHOWN { format!(", and {} more", folders.len() - SHOWN) } else { String::new() };
    Refusal::new(format!("watch/ has no folder `{}`", shortened(folder, 60))).hint(format!("pass one of these: {}{more}", shown.join(", ")))
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
        Ok(Changed::Refused(refusal)) => refusal.into_response(),
        Ok(Changed::Done) => (StatusCode::SEE_OTHER, [(header::LOCATION, "/")]).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}\n")).into_response(),
    }
}
