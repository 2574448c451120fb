//! The status page, reached through the API server, which authenticates the user.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::http::{HeaderValue, Method, Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::StreamExt;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::protocol::{films, namespaces};
use hostler_core::quantity::size;
use hostler_core::visible::{shortened, visible};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig, NamedCluster};
use kube::{Client, Config};
use serde_json::{Value, json};

use super::Cluster;
use crate::cli::arguments::INVENTORY;
use crate::inventory_file::InventoryFile;
use crate::transcode::access::{self, TOKEN};
use crate::transcode::view::View;
use crate::{atomic, home, kubeconfig, own_api, user_file};

/// The client sends requests that get a 503 again for longer than a user waits.
const LIMIT: Duration = Duration::from_secs(20);
/// The longest answer that is read: 10,000 films with long names and several remarks each take 13 MB.
const MOST_BYTES: usize = 32 << 20;
/// Characters of a message from elsewhere.
const MOST_SHOWN: usize = 500;

/// An id that no film has, in the form of one: to the page it is a film that has left.
const NO_FILM: &str = "no-such-film-00000000";

pub const UNEXPECTED: &str = "the status page sent an unexpected answer; the cluster may run another version of hostler";

pub struct Page {
    /// It sends a request again if the server is busy.
    reading: Client,
    /// It sends each request once.
    changing: Client,
    /// URL of the API server, as the kubeconfig has it.
    server: String,
}

impl Page {
    pub async fn of(cluster: &Cluster) -> Result<Page> {
        let file = kubeconfig_of(cluster)?;
        let context = || format!("{} can't be read", file.display());
        let bytes = user_file::read(&file, kubeconfig::MOST_BYTES).with_context(context)?;
        let mut kubeconfig = own_api::parsed(&String::from_utf8(bytes).with_context(context)?).with_context(context)?;
        beside(&mut kubeconfig, atomic::folder_of(&file));
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.with_context(context)?;
        let server = config.cluster_url.to_string();
        let client = |config: Config| Client::try_from(config).context("the kubeconfig can't be used");
        let mut once = config.clone();
        once.default_retry = false;
        Ok(Page { reading: client(config)?, changing: client(once)?, server })
    }

    pub async fn ask(&self, method: &str, path: &str) -> Result<String> {
        self.send(method, path, String::new()).await
    }

    /// `form`: the fields of a form, encoded.
    pub async fn send(&self, method: &str, path: &str, form: String) -> Result<String> {
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
    pub async fn token(&self) -> Result<String> {
        let uri = format!("/api/v1/namespaces/{}/secrets/{}", namespaces::FILMS, films::PAGE_TOKEN);
        access::token_of(&self.answer(Request::get(uri).body(Vec::new())?).await?)
    }

    /// Replaces the token in the Secret. It is in the request's body only.
    pub async fn set_token(&self, token: &str) -> Result<()> {
        let uri = format!("/api/v1/namespaces/{}/secrets/{}", namespaces::FILMS, films::PAGE_TOKEN);
        let body = json!({ "data": { "token": BASE64.encode(token) } }).to_string();
        let request = Request::patch(uri).header("content-type", "application/merge-patch+json").body(body.into_bytes())?;
        self.answer(request).await.map(drop)
    }

    /// Deletes the page's pods at once; its Deployment creates another one.
    pub async fn delete_pods(&self) -> Result<()> {
        let uri = format!("/api/v1/namespaces/{}/pods?labelSelector=app%3Dpage&gracePeriodSeconds=0", namespaces::FILMS);
        self.answer(Request::delete(uri).body(Vec::new())?).await.map(drop)
    }

    /// Whether the page would act for someone who has this token: it is asked to retry a film that is not there.
    ///
    /// # Errors
    /// The page does not answer.
    pub async fn accepts(&self, token: &str) -> Result<bool> {
        let mut value = HeaderValue::from_str(token)?;
        value.set_sensitive(true);
        let uri = format!("{}/retry/{NO_FILM}", films::PAGE);
        let request = Request::post(uri).header("x-hostler", "1").header(TOKEN, value).body(Vec::new())?;
        let (status, text) = tokio::time::timeout(LIMIT, self.whole(request)).await??;
        match status.as_u16() {
            // The API server's own answer is an object.
            403 if !text.starts_with('{') => Ok(false),
            404 | 409 if !text.starts_with('{') => Ok(true),
            _ => Err(refused(status, &text).into()),
        }
    }

    /// The page's address on a control plane.
    pub async fn address(&self) -> Result<SocketAddr> {
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
        let (status, text) = tokio::time::timeout(LIMIT, self.whole(request)).await.map_err(|_| {
            let hint = "run `kubectl -n transcode get pods` to see whether the page's pod is running";
            Failure::new(ExitStatus::Unreachable, format!("the status page did not answer within {} s", LIMIT.as_secs()), hint)
        })??;
        // A change that was accepted leads back to the page.
        if status.is_success() || status.is_redirection() {
            return Ok(text);
        }
        Err(refused(status, &text).into())
    }

    /// An answer, whatever it says.
    async fn whole(&self, request: Request<Vec<u8>>) -> Result<(StatusCode, String)> {
        let unreachable = |error: &dyn Display| {
            let hint = "check that a control plane is turned on, and that the kubeconfig is for this cluster";
            Failure::new(ExitStatus::Unreachable, format!("the API server {} does not answer: {error}", self.server), hint)
        };
        // What changes something may have been done although no answer came: it is not sent twice.
        let client = if request.method() == Method::GET { &self.reading } else { &self.changing };
        let response = client.send(request.map(Body::from)).await.map_err(|error| match error {
            kube::Error::Service(_) | kube::Error::HyperError(_) => unreachable(&error).into(),
            _ => anyhow::Error::new(error).context("the request to the status page failed"),
        })?;
        let status = response.status();
        let mut body = axum::body::Body::new(response.into_body()).into_data_stream();
        let mut bytes = Vec::new();
        while let Some(piece) = body.next().await {
            bytes.extend_from_slice(&piece.map_err(|error| unreachable(&error))?);
            if bytes.len() > MOST_BYTES {
                let message = format!("the answer from the status page is too large: the limit is {}", size(MOST_BYTES as u64));
                return Err(Failure::new(ExitStatus::Failed, message, "remove records of old films from `ledger/` in the inbox").into());
            }
        }
        Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
    }

    pub async fn view(&self) -> Result<View> {
        viewed(&self.ask("GET", "/api/status").await?)
    }
}

/// The view that a pod has sent, whose texts are one line each, whatever it says.
fn viewed(text: &str) -> Result<View> {
    let mut view: Value = serde_json::from_str(text).context(UNEXPECTED)?;
    show(&mut view);
    serde_json::from_value(view).context(UNEXPECTED)
}

fn show(value: &mut Value) {
    match value {
        Value::String(text) => *text = visible(text).into_owned(),
        Value::Array(values) => values.iter_mut().for_each(show),
        Value::Object(fields) => fields.values_mut().for_each(show),
        _ => {}
    }
}

/// Why a request was not done: the API server says it as an object of Kubernetes, the page as a line, and maybe another one with a hint.
fn refused(status: StatusCode, text: &str) -> Failure {
    let object: Option<Value> = serde_json::from_str(text).ok().filter(|object: &Value| object["kind"] == "Status");
    let pods = "run `kubectl -n transcode get pods` to see whether the page's pod is running";
    if let Some(object) = object {
        let message = shortened(object["message"].as_str().unwrap_or_default(), MOST_SHOWN);
        return match status.as_u16() {
            401 => {
                let message =
                    "the API server does not accept the kubeconfig's credentials: they have expired, or belong to another cluster";
                Failure::new(ExitStatus::Refused, message, "run `hostler kubeconfig` to get new credentials")
            }
            403 => {
                let message = format!("the kubeconfig's user may not do this: {message}");
                Failure::new(ExitStatus::Refused, message, "run `hostler kubeconfig` to get access again, if it was not revoked on purpose")
            }
            404 => {
                let hint = "if the workload is not installed, add a `transcode:` section to the inventory and run `hostler up`";
                Failure::new(ExitStatus::Failed, format!("the cluster has no status page: {message}"), hint)
            }
            503 => Failure::new(ExitStatus::Unreachable, format!("the status page does not answer: {message}"), pods),
            _ => Failure::new(ExitStatus::Failed, format!("the API server refused the request ({status}): {message}"), ""),
        };
    }
    let (message, hint) = text.trim_end().split_once("\nhint: ").unwrap_or((text.trim_end(), ""));
    let (message, hint) = (shortened(message, MOST_SHOWN), shortened(hint, MOST_SHOWN));
    match status.as_u16() {
        403 | 409 => Failure::new(ExitStatus::Refused, message, hint),
        404 => Failure::new(ExitStatus::Usage, message, hint),
        503 => Failure::new(ExitStatus::Unreachable, format!("the status page does not answer: {message}"), pods),
        _ => Failure::new(ExitStatus::Failed, format!("the status page answered {status}: {message}"), hint),
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
    if let Some(loaded @ InventoryFile { inventory, path, .. }) = &inventory {
        if inventory.transcode.is_none() {
            let message = format!(
                "the inventory {} has no `transcode:` section, so its cluster does not run the transcoding workload",
                path.display()
            );
            return Err(
                Failure::new(ExitStatus::Usage, message, "add the section (docs/films.md describes it), then run `hostler up`").into()
            );
        }
        let file = kubeconfig::default_file(loaded, &inventory.cluster.name)?;
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
            let hint = "run `hostler kubeconfig -i INVENTORY`, or pass `--kubeconfig FILE`";
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

#[cfg(test)]
mod tests {
    use super::super::overview;
    use super::*;

    /// Every text that a view can have, from a page that says anything.
    #[test]
    fn no_text_of_the_page_begins_a_line() {
        let bad = "x\nOBEYED\u{1b}[2J";
        let mut view = serde_json::to_value(View::default()).expect("JSON");
        // What any of the lists has.
        let texts = ["name", "why", "reason", "question", "machine", "doing", "about", "was", "is", "when", "place", "took", "score"];
        let more = ["left", "silent", "since", "size", "text", "server", "share", "free", "total"];
        let mut film = json!({
            "id": "up-12345678", "remarks": [bad], "percent": 1.0, "rate": 1.0, "asks_name": true, "replaced": true, "lost": false,
            "fine": false, "used_percent": 1, "free_bytes": 1,
        });
        texts.iter().chain(&more).for_each(|name| film[name] = bad.into());
        let mut lists = 0;
        for (name, value) in view.as_object_mut().expect("an object") {
            if value.is_array() && name != "days" {
                *value = json!([film]);
                lists += 1;
            } else if value.is_null() {
                *value = bad.into();
            }
        }
        assert!(lists > 6, "{view}");
        let text = overview::text(&viewed(&view.to_string()).expect("a view"));
        assert!(text.contains("U+000AOBEYED") && !text.lines().any(|line| line.starts_with("OBEYED")), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
