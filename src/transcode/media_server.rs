//! Asks Plex or Jellyfin to scan a changed folder. A failure here never fails a film.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hostler_core::films::settings::{MediaServer, MediaServerKind};
use hostler_core::visible::shortened;
use hostler_core::words::counted;
use reqwest::Url;
use serde_json::{Value, json};

use super::layout::shown;
use crate::user_file;
use crate::web::{answer, client};

/// Checks after a refresh, and the time between them: Plex only queues it.
const LOOKS: u32 = 6;
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Requests a scan of a folder for `films`, which are in it (relative to the library). Returns what the server did, for the user.
///
/// # Errors
/// It was not notified, or does not show the films yet: also for the user.
pub async fn refresh(server: &MediaServer, folder: &Path, films: &[PathBuf]) -> Result<String> {
    match server.kind {
        MediaServerKind::Plex => plex(server, folder, films).await,
        MediaServerKind::Jellyfin => jellyfin(server, folder, films).await.with_context(|| format!("{} was not notified", server.kind)),
    }
}

/// The section of Plex that each of `folders` belongs to, a line each; for Jellyfin, which needs none, whether it answers.
///
/// # Errors
/// The server does not answer, or rejects the token.
pub async fn found(server: &MediaServer, folders: impl Iterator<Item = &String>) -> Result<Vec<String>> {
    let client = client()?;
    if server.kind == MediaServerKind::Jellyfin {
        let authorization = format!("MediaBrowser Token=\"{}\"", token(server)?);
        answer(client.get(url(server, "/System/Info")?).header("Authorization", &authorization), "token").await?;
        return Ok(vec![format!("Jellyfin answers at {}", server.url)]);
    }
    let ask = client.get(url(server, "/library/sections")?).header("X-Plex-Token", token(server)?).header("Accept", "application/json");
    let sections =
        sections(&serde_json::from_str(&answer(ask, "token").await?).context("the list of libraries that Plex sent is not valid JSON")?);
    Ok(folders
        .map(|folder| match place(&sections, server.library_as_seen.as_deref(), &Path::new(folder).join("a film")) {
            Ok((_, seen)) => format!("Plex sees {folder} as {}", shortened(&seen, 300)),
            Err(error) => format!("{error:#}"),
        })
        .collect())
}

/// A section of a Plex library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    pub key: String,
    /// Folders, as Plex sees them.
    pub locations: Vec<String>,
}

async fn plex(server: &MediaServer, folder: &Path, films: &[PathBuf]) -> Result<String> {
    let client = client()?;
    let not_notified = || "Plex was not notified";
    let token = token(server).with_context(not_notified)?;
    let ask = |url: Url| client.get(url).header("X-Plex-Token", &token).header("Accept", "application/json");
    let listed = answer(ask(url(server, "/library/sections")?), "token").await.with_context(not_notified)?;
    let listed = serde_json::from_str(&listed).context("the list of libraries is not valid JSON").with_context(not_notified)?;
    let (key, seen) = place(&sections(&listed), server.library_as_seen.as_deref(), &folder.join("film")).with_context(not_notified)?;
    let mut refresh = url(server, &format!("/library/sections/{key}/refresh"))?;
    refresh.query_pairs_mut().append_pair("path", &seen);
    // Not every server decodes `+` as a space; a literal plus is already %2B here.
    let query = refresh.query().unwrap_or_default().replace('+', "%20");
    refresh.set_query(Some(&query));
    answer(ask(refresh), "token").await.with_context(not_notified)?;
    let mut all = url(server, &format!("/library/sections/{key}/all"))?;
    all.query_pairs_mut()
        .append_pair("sort", "addedAt:desc")
        .append_pair("X-Plex-Container-Start", "0")
        .append_pair("X-Plex-Container-Size", "200");
    let names = films.iter().filter_map(|film| film.file_name());
    let mut missing: Vec<String> = names.map(|name| format!("{seen}/{}", name.to_string_lossy())).collect();
    for _ in 0..LOOKS {
        tokio::time::sleep(LOOK_EVERY).await;
        let listed: Value = serde_json::from_str(&answer(ask(all.clone()), "token").await?).unwrap_or_default();
        missing.retain(|file| !holds(&listed, file));
        if missing.is_empty() {
            return Ok(if films.len() == 1 { "Plex shows the film".to_owned() } else { format!("Plex shows {} films", films.len()) });
        }
    }
    bail!("Plex was asked to scan {}, but does not show {} yet", shortened(&seen, 300), counted(missing.len(), "film"))
}

async fn jellyfin(server: &MediaServer, folder: &Path, films: &[PathBuf]) -> Result<String> {
    let client = client()?;
    let authorization = format!("MediaBrowser Token=\"{}\"", token(server)?);
    let post = |url: Url| client.post(url).header("Authorization", &authorization);
    if let Some(root) = &server.library_as_seen {
        let seen = |film: &PathBuf| format!("{}/{}", root.trim_end_matches('/'), film.to_string_lossy());
        let updates: Vec<Value> = films.iter().map(|film| json!({"Path": seen(film), "UpdateType": "Created"})).collect();
        let body = json!({ "Updates": updates }).to_string();
        let request = post(url(server, "/Library/Media/Updated")?).header("Content-Type", "application/json").body(body);
        if answer(request, "token").await.is_ok() {
            return Ok(format!("Jellyfin was notified of {}", shown(folder)));
        }
    }
    answer(post(url(server, "/Library/Refresh")?), "token").await?;
    Ok("Jellyfin was asked to scan its library".to_owned())
}

/// Whether somebody plays one of these files, which are known by their names alone: the server may see them under other paths.
///
/// # Errors
/// The server does not answer.
pub async fn plays(server: &MediaServer, names: &[String]) -> Result<bool> {
    let client = client()?;
    let token = token(server)?;
    let request = match server.kind {
        MediaServerKind::Plex => {
            client.get(url(server, "/status/sessions")?).header("X-Plex-Token", &token).header("Accept", "application/json")
        }
        MediaServerKind::Jellyfin => {
            client.get(url(server, "/Sessions")?).header("Authorization", format!("MediaBrowser Token=\"{token}\""))
        }
    };
    let sessions: Value = serde_json::from_str(&answer(request, "token").await?).context("its list of sessions is not valid JSON")?;
    Ok(names.iter().any(|name| is_open(&sessions, name)))
}

/// Whether a list of sessions has a file of this name: Plex calls it `file`, Jellyfin `Path`.
fn is_open(value: &Value, name: &str) -> bool {
    let is_it = |path: &Value| path.as_str().is_some_and(|path| path.rsplit(['/', '\\']).next() == Some(name));
    match value {
        Value::Object(object) => {
            object.iter().any(|(key, value)| (matches!(key.as_str(), "file" | "Path") && is_it(value)) || is_open(value, name))
        }
        Value::Array(list) => list.iter().any(|value| is_open(value, name)),
        _ => false,
    }
}

/// The section of a film, and its folder as Plex sees it: below `root` if given, else in the section that has a folder with the name of the
/// film's folder.
///
/// # Errors
/// There is none, or more than one.
pub fn place(sections: &[Section], root: Option<&str>, film: &Path) -> Result<(String, String)> {
    let parent = film.parent().unwrap_or(film);
    let parent = parent.to_str().context("the name of its folder is not UTF-8, which Plex does not support")?;
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
            // Plex on Windows uses backslashes.
            let last = location.rsplit(['/', '\\']).next().unwrap_or_default();
            if last.eq_ignore_ascii_case(first) {
                found.push((section.key.clone(), if rest.is_empty() { location.to_owned() } else { format!("{location}/{rest}") }));
            }
        }
    }
    match &found[..] {
        [one] => Ok(one.clone()),
        [] => bail!("no library in Plex contains the folder {parent}"),
        _ => bail!("several libraries in Plex contain a folder {parent}\nhint: set `libraryAsSeen`"),
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

/// Whether a listing contains this file.
fn holds(value: &Value, file: &str) -> bool {
    match value {
        Value::Object(object) => object.iter().any(|(key, value)| (key == "file" && value == file) || holds(value, file)),
        Value::Array(list) => list.iter().any(|value| holds(value, file)),
        _ => false,
    }
}

fn url(server: &MediaServer, path: &str) -> Result<Url> {
    // Not joined like a link, to keep the path of a server behind a proxy.
    Url::parse(&format!("{}{path}", server.url.trim_end_matches('/'))).with_context(|| format!("`{}` is not a valid URL", server.url))
}

fn token(server: &MediaServer) -> Result<String> {
    let text = user_file::text(&server.token_file).with_context(|| format!("{} can't be read", server.token_file.display()))?;
    Ok(text.trim().to_owned())
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
    fn an_ambiguous_section_is_an_error() {
        let sections = [section("1", &["/a/Movies"]), section("2", &["/b/Movies"])];
        let film = Path::new("Movies/Up.mkv");
        assert!(place(&sections, None, film).expect_err("two").to_string().contains("several libraries"));
        assert_eq!(place(&sections, Some("/b/"), film).expect("said"), ("2".to_owned(), "/b/Movies".to_owned()));
        assert!(place(&sections, Some("/c"), film).expect_err("none").to_string().contains("no library"));
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

    #[test]
    fn a_film_that_is_played_is_found_by_its_name() {
        let plex = json!({"MediaContainer": {"size": 1, "Metadata": [{"Media": [{"Part": [{"file": "D:\\films\\Movies\\Up.mkv"}]}]}]}});
        let jellyfin = json!([{"UserName": "ada"}, {"NowPlayingItem": {"Name": "Up", "Path": "/media/Movies/Up.mkv"}}]);
        for sessions in [plex, jellyfin] {
            assert!(is_open(&sessions, "Up.mkv") && !is_open(&sessions, "p.mkv") && !is_open(&sessions, "Down.mkv"));
        }
    }

    /// A server that answers every request like this, and how many it had.
    async fn server(response: String) -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(response.as_bytes()).await;
                let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
                while response.contains("chunked") && stream.write_all(chunk.as_bytes()).await.is_ok() {}
            }
        });
        (address, asked)
    }

    #[tokio::test]
    async fn a_server_gets_the_token_alone_and_says_only_so_much() {
        let token = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(token.path(), "a-token").expect("written");
        let (other, asked) = server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}".to_owned()).await;
        let redirect = format!("HTTP/1.1 302 Found\r\nLocation: {other}/x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let endless = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
        for kind in [MediaServerKind::Plex, MediaServerKind::Jellyfin] {
            for (response, why) in [(&redirect, "redirects to another address"), (&endless, "its answer is too large")] {
                let (url, _) = server(response.clone()).await;
                let server = MediaServer { kind, url, token_file: token.path().to_owned(), library_as_seen: None };
                let error = found(&server, ["Movies".to_owned()].iter()).await.expect_err("no answer of use");
                assert!(format!("{error:#}").contains(why), "{error:#}");
                assert!(format!("{error:#}").len() < 1000);
            }
        }
        assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 0, "the token went elsewhere");
    }
}
