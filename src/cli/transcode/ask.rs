//! Requests of a user to the workload: through the API server, which authenticates them, to the status page.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::http::{HeaderValue, Request};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::protocol::{films, namespaces};
use hostler_core::visible::visible;
use kube::config::{KubeConfigOptions, Kubeconfig, NamedCluster};
use kube::{Client, Config};

use serde_json::{Value, json};

use super::Cluster;
use crate::cli::Output;
use crate::cli::arguments::INVENTORY;
use crate::event::Event;
use crate::inventory_file::InventoryFile;
use crate::report::{Reporter, wrap};
use crate::transcode::access::{self, TOKEN};
use crate::transcode::view::View;
use crate::{atomic, home, kubeconfig, user_file};

/// The client retries requests that get a 503 for longer than a user waits.
const LIMIT: Duration = Duration::from_secs(20);
/// A sample takes a minute on a small computer, plus the queue before it.
const TEST_LIMIT: Duration = Duration::from_secs(1800);
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Version of the JSON that `status` prints.
pub const SCHEMA: u32 = 1;

const UNEXPECTED: &str = "the status page sent an unexpected answer; it may belong to another version of hostler";

struct Page {
    client: Client,
    /// URL of the API server, as the kubeconfig has it.
    server: String,
}

impl Page {
    async fn of(cluster: &Cluster) -> Result<Page> {
        let file = kubeconfig_of(cluster)?;
        let context = || format!("{} can't be read", file.display());
        let bytes = user_file::read(&file, kubeconfig::MOST_BYTES).with_context(context)?;
        let mut kubeconfig = Kubeconfig::from_yaml(&String::from_utf8(bytes).with_context(context)?).with_context(context)?;
        beside(&mut kubeconfig, atomic::folder_of(&file));
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.with_context(context)?;
        let server = config.cluster_url.to_string();
        Ok(Page { client: Client::try_from(config).context("the kubeconfig can't be used")?, server })
    }

    async fn ask(&self, method: &str, path: &str) -> Result<String> {
        self.send(method, path, String::new()).await
    }

    /// `form`: the fields of a form, encoded.
    async fn send(&self, method: &str, path: &str, form: String) -> Result<String> {
        // The header proves that the request does not come from another site in a browser.
        let mut request =
            Request::builder().method(method).uri(format!("{}{path}", films::PAGE)).header("x-hostler", "1").body(form.into_bytes())?;
        if method == "POST" {
            let mut token = HeaderValue::from_str(&self.token().await?)?;
            token.set_sensitive(true);
            request.headers_mut().insert(TOKEN, token);
        }
        self.answer(request).await
    }

    /// The token that the page asks of those who act: whoever may read the Secret may.
    async fn token(&self) -> Result<String> {
        let uri = format!("/api/v1/namespaces/{}/secrets/{}", namespaces::FILMS, films::PAGE_TOKEN);
        access::token_of(&self.answer(Request::get(uri).body(Vec::new())?).await?)
    }

    /// The page's address on a control plane.
    async fn address(&self) -> Result<SocketAddr> {
        let uri = format!("/api/v1/namespaces/{}/services/page", namespaces::FILMS);
        let service: Value = serde_json::from_str(&self.answer(Request::get(uri).body(Vec::new())?).await?)?;
        let port = service["spec"]["ports"][0]["nodePort"].as_u64().and_then(|port| u16::try_from(port).ok());
        let uri = "/api/v1/nodes?labelSelector=node-role.kubernetes.io/control-plane";
        let nodes: Value = serde_json::from_str(&self.answer(Request::get(uri).body(Vec::new())?).await?)?;
        let addresses = nodes["items"][0]["status"]["addresses"].as_array().cloned().unwrap_or_default();
        let internal = addresses.iter().find(|address| address["type"] == "InternalIP");
        let address: Option<IpAddr> = internal.and_then(|address| address["address"].as_str()?.parse().ok());
        Ok(SocketAddr::new(address.context("no control plane has an address")?, port.context("the Service `page` has no nodePort")?))
    }

    async fn answer(&self, request: Request<Vec<u8>>) -> Result<String> {
        let answered = tokio::time::timeout(LIMIT, self.client.request_text(request)).await.map_err(|_| {
            let hint = "`kubectl -n transcode get pods` shows why";
            Failure::new(ExitStatus::Unreachable, format!("the status page did not answer within {} s", LIMIT.as_secs()), hint)
        })?;
        answered.map_err(|error| match &error {
            // The page's own answers are no objects of Kubernetes.
            kube::Error::Api(status) if status.code == 404 && status.reason != "NotFound" => {
                Failure::new(ExitStatus::Usage, status.message.trim_end().to_owned(), "`hostler transcode status` lists films").into()
            }
            kube::Error::Api(status) if [401, 403].contains(&status.code) => {
                let message = "the API server does not allow the user of this kubeconfig to do that: their access has expired or was \
                    revoked";
                Failure::new(ExitStatus::Refused, message, "`hostler kubeconfig` restores access").into()
            }
            kube::Error::Api(status) if status.code == 404 => Failure::new(
                ExitStatus::Failed,
                "the workload is not installed in this cluster",
                "add a `transcode:` section to the inventory and run `hostler up`",
            )
            .into(),
            kube::Error::Api(status) if status.code == 409 => {
                Failure::new(ExitStatus::Refused, status.message.trim_end().to_owned(), "`hostler transcode status` lists films").into()
            }
            kube::Error::Api(status) if status.code == 503 => {
                let hint = "`kubectl -n transcode get pods` shows why";
                Failure::new(ExitStatus::Unreachable, format!("the status page does not answer: {}", status.message), hint).into()
            }
            kube::Error::Service(_) | kube::Error::HyperError(_) => {
                let hint = "check that a control plane is on, and that the kubeconfig is for this cluster";
                Failure::new(ExitStatus::Unreachable, format!("the API server {} does not answer: {error}", self.server), hint).into()
            }
            _ => anyhow::Error::new(error).context("the request to the status page failed"),
        })
    }

    async fn view(&self) -> Result<View> {
        serde_json::from_str(&self.ask("GET", "/api/status").await?).context(UNEXPECTED)
    }
}

/// The kubeconfig of the cluster that is meant: the one that was named, the one of the inventory's cluster that `up` wrote, the one that
/// kubectl uses, or the only one that `up` has written. This program reads no other: a kubeconfig is not looked up by a library.
fn kubeconfig_of(cluster: &Cluster) -> Result<PathBuf> {
    if let Some(file) = &cluster.kubeconfig {
        return Ok(file.clone());
    }
    let inventory = match &cluster.inventory {
        Some(file) => Some(InventoryFile::load(file)?),
        None => Path::new(INVENTORY).is_file().then(|| InventoryFile::load(Path::new(INVENTORY))).transpose()?,
    };
    if let Some(InventoryFile { inventory, path, .. }) = &inventory {
        if inventory.transcode.is_none() {
            let message = format!("the inventory {} has no `transcode:` section, so its cluster has no films", path.display());
            return Err(Failure::new(ExitStatus::Usage, message, "add the section and run `hostler up`: docs/films.md describes it").into());
        }
        let file = kubeconfig::default_file(&inventory.cluster.name)?;
        if file.is_file() {
            return Ok(file);
        }
    }
    let variable = std::env::var("KUBECONFIG").ok();
    let kubectls = kubeconfig::users_file(variable.as_deref(), &home::home()?);
    if kubectls.is_file() {
        return Ok(kubectls);
    }
    let written = kubeconfig::written(&home::config()?);
    match (&inventory, written.as_slice()) {
        (None, [only]) => Ok(only.clone()),
        (None, [_, ..]) => {
            let names: Vec<String> = written.iter().map(|file| file.display().to_string()).collect();
            let hint = format!("pass `--inventory FILE`, or pass one of these with `--kubeconfig FILE`: {}", names.join(", "));
            Err(Failure::new(ExitStatus::Usage, "it is not clear which cluster you mean: there are several kubeconfigs", hint).into())
        }
        _ => {
            let hint = "run `hostler kubeconfig` with the inventory, or pass `--kubeconfig FILE`";
            Err(Failure::new(ExitStatus::Usage, "there is no kubeconfig for this cluster on this computer", hint).into())
        }
    }
}

/// Files that a kubeconfig names are relative to its folder.
fn beside(kubeconfig: &mut Kubeconfig, folder: &Path) {
    let full = |file: &mut Option<String>| {
        if let Some(file) = file {
            *file = folder.join(&file).to_string_lossy().into_owned();
        }
    };
    for NamedCluster { cluster, .. } in &mut kubeconfig.clusters {
        cluster.iter_mut().for_each(|cluster| full(&mut cluster.certificate_authority));
    }
    for user in kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        full(&mut user.client_certificate);
        full(&mut user.client_key);
        full(&mut user.token_file);
    }
}

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
        reporter.result(&text(&page.view().await?)).await;
    }
    Ok(())
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
        [] => usage(format!("no {state} film matches `{given}`"), "`hostler transcode status` lists films".to_owned()),
        several => {
            let names: Vec<String> = several.iter().take(5).map(|(id, name)| format!("{name} ({id})")).collect();
            usage(format!("several {state} films match `{given}`"), format!("pass an id: {}", names.join(", ")))
        }
    }
}

pub async fn link(cluster: &Cluster, reporter: &Reporter) -> Result<()> {
    let page = Page::of(cluster).await?;
    let token = page.token().await?;
    reporter.secret_result(&access::link(page.address().await?, &token), &token).await;
    Ok(())
}

pub async fn retry(film: &str, cluster: &Cluster, reporter: &Reporter) -> Result<()> {
    let page = Page::of(cluster).await?;
    let view = page.view().await?;
    let films: Vec<_> = view.failed.iter().map(|film| (film.id.as_str(), film.name.as_str())).collect();
    let id = find(film, &films, "failed")?;
    page.ask("POST", &format!("/retry/{id}")).await?;
    reporter.result(&format!("{id} will be retried")).await;
    Ok(())
}

pub async fn accept(film: &str, cluster: &Cluster, reporter: &Reporter) -> Result<()> {
    let page = Page::of(cluster).await?;
    let view = page.view().await?;
    let films: Vec<_> = view.failed.iter().map(|film| (film.id.as_str(), film.name.as_str())).collect();
    let id = find(film, &films, "failed")?;
    page.ask("POST", &format!("/accept/{id}")).await?;
    reporter.result(&format!("{id} will be encoded again and published even if it fails verification")).await;
    Ok(())
}

pub async fn dismiss(film: &str, cluster: &Cluster, reporter: &Reporter) -> Result<()> {
    let page = Page::of(cluster).await?;
    let view = page.view().await?;
    let failed = view.failed.iter().map(|film| (film.id.as_str(), film.name.as_str()));
    let films: Vec<_> = failed.chain(view.held.iter().map(|film| (film.id.as_str(), film.name.as_str()))).collect();
    let id = find(film, &films, "failed or held")?;
    page.ask("POST", &format!("/dismiss/{id}")).await?;
    reporter.result(&format!("the original of {id} will be moved to the trash")).await;
    Ok(())
}

pub async fn name(film: &str, name: &str, cluster: &Cluster, reporter: &Reporter) -> Result<()> {
    let page = Page::of(cluster).await?;
    let view = page.view().await?;
    let held = view.held.iter().map(|film| (film.id.as_str(), film.name.as_str()));
    let begun = view.working.iter().map(|film| (film.id.as_str(), film.name.as_str()));
    let rest = view.queue.iter().map(|film| (film.id.as_str(), film.name.as_str()));
    let done = view.done.iter().map(|film| (film.id.as_str(), film.name.as_str()));
    let films: Vec<_> = held.chain(begun).chain(rest).chain(done).collect();
    let id = find(film, &films, "held, waiting or finished")?;
    page.send("POST", &format!("/name/{id}"), form("name", name)).await?;
    reporter.result(&format!("{id} will be named `{}` in the library", visible(name))).await;
    Ok(())
}

pub async fn titles(film: &str, titles: &[u32], cluster: &Cluster, reporter: &Reporter) -> Result<()> {
    let page = Page::of(cluster).await?;
    let view = page.view().await?;
    let films: Vec<_> = view.held.iter().map(|film| (film.id.as_str(), film.name.as_str())).collect();
    let id = find(film, &films, "held")?;
    let numbers = titles.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    page.send("POST", &format!("/titles/{id}"), form("titles", &numbers)).await?;
    reporter.result(&format!("titles {numbers} of {id} will be encoded")).await;
    Ok(())
}

/// One field of a form, encoded.
fn form(field: &str, value: &str) -> String {
    let mut url = reqwest::Url::parse("form:").unwrap_or_else(|_| unreachable!("it is a URL"));
    url.query_pairs_mut().append_pair(field, value);
    url.query().unwrap_or_default().to_owned()
}

pub async fn redo(film: &str, from_library: bool, cluster: &Cluster, reporter: &Reporter) -> Result<()> {
    let page = Page::of(cluster).await?;
    let view = page.view().await?;
    let films: Vec<_> = view.done.iter().map(|film| (film.id.as_str(), film.name.as_str())).collect();
    let id = find(film, &films, "finished")?;
    if from_library {
        page.ask("POST", &format!("/redo/{id}/from-library")).await?;
        reporter.result(&format!("{id} will be copied back from the library and encoded again")).await;
    } else {
        page.ask("POST", &format!("/redo/{id}")).await?;
        reporter.result(&format!("{id} will be encoded again")).await;
    }
    Ok(())
}

pub async fn pause(cluster: &Cluster, reporter: &Reporter) -> Result<()> {
    Page::of(cluster).await?.ask("POST", "/pause").await?;
    reporter.result("paused: films that are being encoded will still be finished; run `hostler transcode resume` to continue").await;
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
    reporter.events().send(Event::Note { line: format!("dropped a 20 s sample as watch/{}", visible(&name)) });
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
        Some(why) if why.starts_with("unchanged") => "waiting until the file no longer changes".to_owned(),
        Some(why) => why.to_owned(),
        None => "waiting for the watcher".to_owned(),
    }
}

/// The view for a terminal.
fn text(view: &View) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    for notice in view.trouble.iter().chain(&view.hold) {
        line(wrap::lines(&format!("! {notice}"), wrap::width(&console::Term::stdout())).into_owned());
    }
    for film in &view.working {
        let left = film.left.as_ref().map(|left| format!(", {left} left")).unwrap_or_default();
        let silent = film.silent.as_ref().map(|silent| format!(", no progress for {silent}")).unwrap_or_default();
        line(format!("{:<12} {:>5.1} %  {} ({}, {} fps{left}{silent})", film.machine, film.percent, film.name, film.doing, film.rate));
    }
    for film in &view.arriving {
        line(format!("arriving     {}: {}", film.name, film.why));
    }
    for film in &view.queue {
        line(format!("waiting      {}: {}", film.name, film.why));
    }
    for film in &view.held {
        let verb = if film.asks_name { "name" } else { "titles" };
        let (place, id) = (if film.asks_name { "NAME" } else { "NUMBERS" }, &film.id);
        line(format!("held         {}: {}\n             answer: `hostler transcode {verb} {id} {place}`", film.name, film.question));
    }
    for film in &view.failed {
        line(format!("failed       {}: {}\n             retry: `hostler transcode retry {}`", film.name, film.reason, film.id));
    }
    for film in view.done.iter().take(10) {
        let remarks = film.remarks.iter().map(|remark| format!("\n             {remark}")).collect::<String>();
        line(format!("done         {} ({} -> {}, {}, {}){remarks}", film.name, film.was, film.is, film.machine, film.when));
    }
    let counts = view.counts;
    let held = if counts.held > 0 { format!(" {} held,", counts.held) } else { String::new() };
    let spaces = view.spaces.iter().map(|space| format!("; {}: {} free of {}", space.share, space.free, space.total)).collect::<String>();
    line(format!("{} in progress, {} waiting,{held} {} done, {} failed{spaces}", counts.working, counts.queue, counts.done, counts.failed));
    text
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
