//! Plex or Jellyfin is asked to look at a folder that has changed. A film is never failed for that.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hostler_core::films::settings::{MediaServer, MediaServerKind};
use reqwest::{Certificate, Client, RequestBuilder, Url};
use serde_json::{Value, json};

use super::layout::shown;

const LIMIT: Duration = Duration::from_secs(10);
/// Looks after a refresh, and the time between them: Plex only queues it.
const LOOKS: u32 = 6;
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Asks for the folder of `film` (relative to the library), and says in a person's words what came of it.
pub async fn refresh(server: &MediaServer, film: &Path) -> String {
    let done = match server.kind {
        MediaServerKind::Plex => plex(server, film).await,
        MediaServerKind::Jellyfin => jellyfin(server, film).await,
    };
    done.unwrap_or_else(|error| format!("the media server was not told: {error:#}"))
}

/// Which section of Plex each of `folders` belongs to, in a person's words, a line each; for Jellyfin, which needs none, that it answers.
///
/// # Errors
/// The server does not answer, or does not take the token.
pub async fn found(server: &MediaServer, folders: impl Iterator<Item = &String>) -> Result<Vec<String>> {
    let client = client()?;
    if server.kind == MediaServerKind::Jellyfin {
        let authorization = format!("MediaBrowser Token=\"{}\"", token(server)?);
        answer(client.get(url(server, "/System/Info")?).header("Authorization", &authorization)).await?;
        return Ok(vec![format!("Jellyfin answers at {}", server.url)]);
    }
    let ask = client.get(url(server, "/library/sections")?).header("X-Plex-Token", token(server)?).header("Accept", "application/json");
    let sections = sections(&serde_json::from_str(&answer(ask).await?).context("Plex's sections are no JSON")?);
    Ok(folders
        .map(|folder| match place(&sections, server.library_as_seen.as_deref(), &Path::new(folder).join("a film")) {
            Ok((_, seen)) => format!("Plex has {folder} as {seen}"),
            Err(error) => format!("{error:#}"),
        })
        .collect())
}

/// A section of a Plex library, as far as a film's place is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    pub key: String,
    /// Folders, as Plex sees them.
    pub locations: Vec<String>,
}

async fn plex(server: &MediaServer, film: &Path) -> Result<String> {
    let client = client()?;
    let token = token(server)?;
    let ask = |url: Url| client.get(url).header("X-Plex-Token", &token).header("Accept", "application/json");
    let listed = answer(ask(url(server, "/library/sections")?)).await?;
    let sections = sections(&serde_json::from_str(&listed).context("Plex's sections are no JSON")?);
    let (key, folder) = place(&sections, server.library_as_seen.as_deref(), film)?;
    let mut refresh = url(server, &format!("/library/sections/{key}/refresh"))?;
    refresh.query_pairs_mut().append_pair("path", &folder);
    // A form's `+` for a space is not read so by everyone; a plus of the name is %2B by now.
    let query = refresh.query().unwrap_or_default().replace('+', "%20");
    refresh.set_query(Some(&query));
    answer(ask(refresh)).await?;
    let file = format!("{folder}/{}", film.file_name().unwrap_or_default().to_string_lossy());
    let mut all = url(server, &format!("/library/sections/{key}/all"))?;
    all.query_pairs_mut()
        .append_pair("sort", "addedAt:desc")
        .append_pair("X-Plex-Container-Start", "0")
        .append_pair("X-Plex-Container-Size", "50");
    for _ in 0..LOOKS {
        tokio::time::sleep(LOOK_EVERY).await;
        let listed: Value = serde_json::from_str(&answer(ask(all.clone())).await?).unwrap_or_default();
        if holds(&listed, &file) {
            return Ok("Plex shows it".to_owned());
        }
    }
    Ok(format!("Plex was asked to look at {folder}, and does not show it yet"))
}

async fn jellyfin(server: &MediaServer, film: &Path) -> Result<String> {
    let client = client()?;
    let authorization = format!("MediaBrowser Token=\"{}\"", token(server)?);
    let post = |url: Url| client.post(url).header("Authorization", &authorization);
    if let Some(root) = &server.library_as_seen {
        let path = format!("{}/{}", root.trim_end_matches('/'), film.to_string_lossy());
        let updates = json!({"Updates": [{"Path": path, "UpdateType": "Created"}]});
        let told = post(url(server, "/Library/Media/Updated")?).header("Content-Type", "application/json").body(updates.to_string());
        if answer(told).await.is_ok() {
            return Ok(format!("Jellyfin was told of {}", shown(film)));
        }
    }
    answer(post(url(server, "/Library/Refresh")?)).await?;
    Ok("Jellyfin was asked to look at its library".to_owned())
}

/// The section a film belongs to, and its folder as Plex sees it: below `root` where that is said, else in the section that has a folder
/// of the film's folder's name.
///
/// # Errors
/// There is none, or more than one.
pub fn place(sections: &[Section], root: Option<&str>, film: &Path) -> Result<(String, String)> {
    let parent = film.parent().unwrap_or(film);
    let parent = parent.to_str().context("its name is no UTF-8, and Plex can't be asked for it")?;
    let mut found: Vec<(String, String)> = Vec::new();
    for section in sections {
        for location in &section.locations {
            let location = location.trim_end_matches('/');
            if let Some(root) = root {
                let folder = format!("{}/{parent}", root.trim_end_matches('/'));
                if folder == location || folder.starts_with(&format!("{location}/")) {
                    found.push((section.key.clone(), folder));
                }
                continue;
            }
            let (first, rest) = parent.split_once('/').map_or((parent, ""), |(first, rest)| (first, rest));
            // Plex on Windows shows its own separators.
            let last = location.rsplit(['/', '\\']).next().unwrap_or_default();
            if last.eq_ignore_ascii_case(first) {
                found.push((section.key.clone(), if rest.is_empty() { location.to_owned() } else { format!("{location}/{rest}") }));
            }
        }
    }
    match &found[..] {
        [one] => Ok(one.clone()),
        [] => bail!("no section of Plex has a folder for {parent}"),
        _ => bail!("several sections of Plex have a folder for {parent}\nhint: `libraryAsSeen` says which is meant"),
    }
}

fn sections(listed: &Value) -> Vec<Section> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let section = |directory: &Value| {
        let locations = list(&directory["Location"]).iter().filter_map(|location| Some(location["path"].as_str()?.to_owned())).collect();
        Some(Section { key: directory["key"].as_str()?.to_owned(), locations })
    };
    list(&listed["MediaContainer"]["Directory"]).iter().filter_map(section).collect()
}

/// Whether a part of a film in a listing is this file.
fn holds(value: &Value, file: &str) -> bool {
    match value {
        Value::Object(object) => object.iter().any(|(key, value)| (key == "file" && value == file) || holds(value, file)),
        Value::Array(list) => list.iter().any(|value| holds(value, file)),
        _ => false,
    }
}

/// For servers that pods talk to.
///
/// # Errors
/// TLS can't be set up.
pub fn client() -> Result<Client> {
    // Another client of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A pod's image has no certificates of its own.
    let roots: Result<Vec<Certificate>, _> =
        webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|root| Certificate::from_der(root)).collect();
    Ok(Client::builder().tls_certs_only(roots?).connect_timeout(LIMIT).timeout(LIMIT).build()?)
}

fn url(server: &MediaServer, path: &str) -> Result<Url> {
    // Not joined as a link is: a server behind a path of a proxy keeps that.
    Url::parse(&format!("{}{path}", server.url.trim_end_matches('/'))).with_context(|| format!("`{}` is no address", server.url))
}

fn token(server: &MediaServer) -> Result<String> {
    let text = std::fs::read_to_string(&server.token_file).with_context(|| format!("{} can't be read", server.token_file.display()))?;
    Ok(text.trim().to_owned())
}

/// The body of an answer that says yes. No error tells the request's headers: the token is one.
///
/// # Errors
/// There is no answer, or it says no.
pub async fn answer(request: RequestBuilder) -> Result<String> {
    let response = request.send().await.map_err(reqwest::Error::without_url).context("it does not answer")?;
    let status = response.status();
    match status.as_u16() {
        200..300 => Ok(response.text().await.map_err(reqwest::Error::without_url)?),
        401 | 403 => bail!("it refuses the token"),
        _ => bail!("it answers {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(key: &str, locations: &[&str]) -> Section {
        Section { key: key.to_owned(), locations: locations.iter().map(|location| (*location).to_owned()).collect() }
    }

    #[test]
    fn a_films_section_is_found_by_the_folders_name() {
        let sections = [section("1", &["/volume1/Plex/Movies"]), section("2", &["/volume1/Plex/Cartoons/", "/volume1/old"])];
        let place = |film: &str| place(&sections, None, Path::new(film)).expect("one section");
        assert_eq!(place("Movies/Up.mkv"), ("1".to_owned(), "/volume1/Plex/Movies".to_owned()));
        assert_eq!(place("Cartoons/a b/Up.mkv"), ("2".to_owned(), "/volume1/Plex/Cartoons/a b".to_owned()));
    }

    #[test]
    fn what_is_ambiguous_is_not_guessed() {
        let sections = [section("1", &["/a/Movies"]), section("2", &["/b/Movies"])];
        let film = Path::new("Movies/Up.mkv");
        assert!(place(&sections, None, film).expect_err("two").to_string().contains("several sections"));
        assert_eq!(place(&sections, Some("/b/"), film).expect("said"), ("2".to_owned(), "/b/Movies".to_owned()));
        assert!(place(&sections, Some("/c"), film).expect_err("none").to_string().contains("no section"));
        assert!(place(&[], None, film).is_err());
    }

    #[test]
    fn a_server_behind_a_path_is_asked_there() {
        let of = |address: &str| {
            let server =
                MediaServer { kind: MediaServerKind::Jellyfin, url: address.to_owned(), token_file: "token".into(), library_as_seen: None };
            url(&server, "/Library/Refresh").expect("an address").to_string()
        };
        assert_eq!(of("https://example.org/jellyfin"), "https://example.org/jellyfin/Library/Refresh");
        assert_eq!(of("http://192.168.1.3:8096/"), "http://192.168.1.3:8096/Library/Refresh");
    }

    #[test]
    fn plex_answers_are_read() {
        let listed =
            json!({"MediaContainer": {"Directory": [{"key": "3", "Location": [{"id": 1, "path": "/Movies"}]}, {"title": "no key"}]}});
        assert_eq!(sections(&listed), [section("3", &["/Movies"])]);
        let all = json!({"MediaContainer": {"Metadata": [{"Media": [{"Part": [{"file": "/Movies/Up.mkv"}]}]}]}});
        assert!(holds(&all, "/Movies/Up.mkv") && !holds(&all, "/Movies/Down.mkv"));
    }
}
