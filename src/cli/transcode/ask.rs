//! Requests of a user to the workload.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::visible::visible;
use hostler_core::words::and;
use serde_json::{Value, json};

use super::remote::{Page, UNEXPECTED};
use super::{Cluster, overview};
use crate::cli::Output;
use crate::event::Event;
use crate::report::Reporter;
use crate::transcode::ledger::Priority;
use crate::transcode::view::View;

/// A sample takes a minute on a small computer, plus the queue before it.
const TEST_LIMIT: Duration = Duration::from_secs(1800);
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Version of the JSON that `status` prints.
pub const SCHEMA: u32 = 1;

pub async fn status(cluster: &Cluster, output: Output, reporter: &Reporter) -> Result<()> {
    let page = Page::of(cluster).await?;
    if output == Output::Json {
        let view: Value = serde_json::from_str(&page.ask("GET", "/api/status").await?).context(UNEXPECTED)?;
        let mut status = json!({ "schema": SCHEMA });
        if let (Some(status), Value::Object(view)) = (status.as_object_mut(), view) {
            status.extend(view);
        }
        reporter.value(&status).await?;
    } else {
        reporter.result(&overview::text(&page.view().await?)).await;
    }
    Ok(())
}

/// A list of films on the status page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Working,
    Queue,
    Failed,
    Held,
    Done,
}

impl List {
    /// What a film in it is.
    fn state(self) -> &'static str {
        match self {
            List::Working => "encoded",
            List::Queue => "waiting",
            List::Failed => "failed",
            List::Held => "held",
            List::Done => "finished",
        }
    }

    /// Ids and names.
    fn films(self, view: &View) -> Vec<(&str, &str)> {
        match self {
            List::Working => view.working.iter().map(|film| (film.id.as_str(), film.name.as_str())).collect(),
            List::Queue => view.queue.iter().map(|film| (film.id.as_str(), film.name.as_str())).collect(),
            List::Failed => view.failed.iter().map(|film| (film.id.as_str(), film.name.as_str())).collect(),
            List::Held => view.held.iter().map(|film| (film.id.as_str(), film.name.as_str())).collect(),
            List::Done => view.done.iter().map(|film| (film.id.as_str(), film.name.as_str())).collect(),
        }
    }
}

/// Asks the page to do something with one film of these lists, and returns its id. `path`: of the request, with `ID` in it.
async fn act(film: &str, of: &[List], path: &str, form: String, cluster: &Cluster) -> Result<String> {
    let page = Page::of(cluster).await?;
    let view = page.view().await?;
    let films: Vec<_> = of.iter().flat_map(|list| list.films(&view)).collect();
    let states: Vec<&str> = of.iter().map(|list| list.state()).collect();
    let id = find(film, &films, &or(&states))?;
    page.send("POST", &path.replace("ID", id), form).await?;
    Ok(id.to_owned())
}

/// `a, b or c`.
fn or(words: &[&str]) -> String {
    and(words).replace(" and ", " or ")
}

/// The film with this id, or with this unique part of a name. `state`: `failed`, `done`.
fn find<'a>(given: &str, films: &[(&'a str, &'a str)], state: &str) -> Result<&'a str> {
    let lower = given.to_lowercase();
    let exact = films.iter().filter(|(id, _)| *id == given);
    let alike = films.iter().filter(|(_, name)| name.to_lowercase().contains(&lower));
    let found: Vec<_> = if exact.clone().next().is_some() { exact.collect() } else { alike.collect() };
    let usage = |message: String, hint: String| Err(Failure::new(ExitStatus::Usage, message, hint).into());
    match &found[..] {
        [(id, _)] => Ok(id),
        [] => usage(format!("no {state} film matches `{given}`"), "run `hostler transcode status` to list the films".to_owned()),
        several => {
            let names: Vec<String> = several.iter().take(5).map(|(id, name)| format!("{name} ({id})")).collect();
            usage(format!("several {state} films match `{given}`"), format!("pass the id of one of these films: {}", names.join(", ")))
        }
    }
}

pub async fn retry(film: &str, cluster: &Cluster, reporter: &Reporter) -> Result<()> {
    let id = act(film, &[List::Failed], "/retry/ID", String::new(), cluster).await?;
    reporter.result(&format!("{id} will be retried")).await;
    Ok(())
}

pub async fn accept(film: &str, cluster: &Cluster, reporter: &Reporter) -> Result<()> {
    let id = act(film, &[List::Failed], "/accept/ID", String::new(), cluster).await?;
    reporter.result(&format!("{id} will be encoded again, and published even if it fails the verification")).await;
    Ok(())
}

pub async fn dismiss(film: &str, cluster: &Cluster, reporter: &Reporter) -> Result<()> {
    let id = act(film, &[List::Failed, List::Held], "/dismiss/ID", String::new(), cluster).await?;
    reporter.result(&format!("the original of {id} will be moved to the trash")).await;
    Ok(())
}

pub async fn now(film: &str, cluster: &Cluster, reporter: &Reporter) -> Result<()> {
    let id = act(film, &[List::Working, List::Queue], "/now/ID", String::new(), cluster).await?;
    reporter.result(&format!("the original of {id} will be published now, and encoded later")).await;
    Ok(())
}

pub async fn order(film: &str, priority: Priority, cluster: &Cluster, reporter: &Reporter) -> Result<()> {
    let (path, result) = match priority {
        Priority::First => ("/first/ID", "will be encoded before all others"),
        Priority::Normal => ("/normal/ID", "will be encoded in the usual order, that in which films arrived in watch/"),
        Priority::Later => ("/later/ID", "will be encoded after all others"),
        Priority::Skipped => (
            "/skip/ID",
            "will not be encoded until you run `hostler transcode first`, `normal` or `later`; its original stays in the inbox",
        ),
    };
    let id = act(film, &[List::Working, List::Queue], path, String::new(), cluster).await?;
    reporter.result(&format!("{id} {result}")).await;
    Ok(())
}

pub async fn name(film: &str, name: &str, cluster: &Cluster, reporter: &Reporter) -> Result<()> {
    let lists = [List::Held, List::Working, List::Queue, List::Done];
    let id = act(film, &lists, "/name/ID", form("name", name), cluster).await?;
    reporter.result(&format!("{id} will be named `{}` in the library", visible(name))).await;
    Ok(())
}

pub async fn titles(film: &str, titles: &[u32], cluster: &Cluster, reporter: &Reporter) -> Result<()> {
    let numbers = titles.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let id = act(film, &[List::Held], "/titles/ID", form("titles", &numbers), cluster).await?;
    reporter.result(&format!("titles {numbers} of {id} will be encoded")).await;
    Ok(())
}

/// The number of a title on the command line.
///
/// # Errors
/// It is not a number from 1.
pub fn title(text: &str) -> Result<u32, String> {
    text.trim().parse().ok().filter(|number| *number > 0).ok_or_else(|| "separate the numbers with commas: 1,3".to_owned())
}

pub async fn redo(film: &str, from_library: bool, cluster: &Cluster, reporter: &Reporter) -> Result<()> {
    if from_library {
        let id = act(film, &[List::Done], "/redo/ID/from-library", String::new(), cluster).await?;
        reporter.result(&format!("{id} will be copied back from the library and encoded again")).await;
    } else {
        let id = act(film, &[List::Done], "/redo/ID", String::new(), cluster).await?;
        reporter.result(&format!("{id} will be encoded again")).await;
    }
    Ok(())
}

/// One field of a form, encoded.
fn form(field: &str, value: &str) -> String {
    let mut url = reqwest::Url::parse("form:").unwrap_or_else(|_| unreachable!("it is a URL"));
    url.query_pairs_mut().append_pair(field, value);
    url.query().unwrap_or_default().to_owned()
}

pub async fn pause(cluster: &Cluster, reporter: &Reporter) -> Result<()> {
    Page::of(cluster).await?.ask("POST", "/pause").await?;
    reporter.result("paused: films in progress continue, but no new ones start; run `hostler transcode resume` to continue").await;
    Ok(())
}

pub async fn resume(cluster: &Cluster, reporter: &Reporter) -> Result<()> {
    Page::of(cluster).await?.ask("POST", "/resume").await?;
    reporter.result("resumed").await;
    Ok(())
}

/// # Errors
/// The sample failed, or is not in the library within half an hour.
pub async fn test(folder: Option<&str>, cluster: &Cluster, reporter: &Reporter) -> Result<()> {
    let page = Page::of(cluster).await?;
    let path = match folder {
        Some(folder) => {
            let mut url = reqwest::Url::parse("http://page/test")?;
            url.path_segments_mut().map_err(|()| anyhow::anyhow!("an address without a path"))?.push(folder);
            url.path().to_owned()
        }
        None => "/test".to_owned(),
    };
    let name = page.ask("POST", &path).await?.trim_end().to_owned();
    reporter.events().send(Event::Note { line: format!("copied a 20 s sample to watch/{}", visible(&name)) });
    let end = Instant::now() + TEST_LIMIT;
    let mut last = String::new();
    while Instant::now() < end {
        let view = page.view().await?;
        if let Some(film) = view.done.iter().find(|film| film.name == name) {
            let (place, machine) = (visible(&film.place), visible(&film.machine));
            reporter.result(&format!("the sample is in the library as {place}, encoded on {machine} in {}", film.took)).await;
            return Ok(());
        }
        if let Some(film) = view.failed.iter().find(|film| film.name == name) {
            let hint = format!("failed/{}.txt has the end of HandBrake's log", film.id);
            return Err(Failure::new(ExitStatus::Failed, format!("the sample failed: {}", film.reason), hint).into());
        }
        let now = where_is(&view, &name);
        if now != last {
            reporter.events().send(Event::Note { line: visible(&now).into_owned() });
            last = now;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(Failure::new(
        ExitStatus::Failed,
        "the sample did not finish within 30 min",
        "`hostler transcode status` shows what it is waiting for",
    )
    .into())
}

fn where_is(view: &View, name: &str) -> String {
    if let Some(film) = view.working.iter().find(|film| film.name == name) {
        return format!("{} on {}", film.doing, film.machine);
    }
    let queued = view.queue.iter().find(|film| film.name == name).map(|film| &film.why);
    let why = queued.or_else(|| view.arriving.iter().find(|film| film.name == name).map(|film| &film.why));
    // The age changes with every request; it is not worth a line each time.
    match why.map(String::as_str).or(view.trouble.as_deref()) {
        Some(why) if why.starts_with("unchanged") => "waiting until the file has stopped changing".to_owned(),
        Some(why) => why.to_owned(),
        None => "waiting for the watcher".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_film_is_found_by_a_part_of_its_name() {
        let films = [("up-2009-12345678", "Movies/Up (2009).mkv"), ("cup-12345678", "Movies/Cup.mkv")];
        assert_eq!(find("2009", &films, "failed").expect("one"), "up-2009-12345678");
        assert_eq!(find("cup-12345678", &films, "failed").expect("one"), "cup-12345678");
        assert!(find("UP", &films, "failed").expect_err("two").to_string().contains("Movies/Cup.mkv (cup-12345678)"));
        assert!(find("Down", &films, "failed").expect_err("none").to_string().contains("no failed film matches"));
    }
}
