//! Who may look at the status page, and who may act on it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hostler_core::digest::sha256;
use hostler_core::films::Actions;

use crate::user_file;

/// The header with the token. Not a cookie, which a browser would add to a request that another site makes it send.
pub const TOKEN: &str = "x-hostler-token";
const MOST_BYTES: usize = 4 << 10;

/// Samples within [`SAMPLES_WITHIN`]: each is an encode.
const SAMPLES: usize = 3;
const SAMPLES_WITHIN: Duration = Duration::from_secs(60);

/// The token in a Secret, as the API server sends it.
///
/// # Errors
/// It has none.
pub fn token_of(secret: &str) -> Result<String> {
    let wrong = "the Secret contains no valid token";
    let secret: serde_json::Value = serde_json::from_str(secret).context(wrong)?;
    let token = BASE64.decode(secret["data"]["token"].as_str().context(wrong)?).context(wrong)?;
    let token = String::from_utf8(token).context(wrong)?;
    anyhow::ensure!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), wrong);
    Ok(token)
}

/// The page's address with the token. A browser keeps a fragment to itself: it is in no request, no log and no `Referer`.
pub fn link(page: std::net::SocketAddr, token: &str) -> String {
    format!("http://{page}/#token={token}")
}

#[derive(Debug)]
pub struct Access {
    pub actions: Actions,
    /// A file of a Secret, which may change. `None`: nothing is accepted as the token.
    pub token_file: Option<PathBuf>,
}

impl Access {
    /// `Err`: why this request may not act.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), &'static str> {
        if !is_own(headers) {
            return Err("this request came from another site\n");
        }
        if self.actions == Actions::Open || self.has_token(headers) {
            return Ok(());
        }
        Err(match self.actions {
            Actions::Off => "actions are disabled on this page: use `hostler transcode`\n",
            _ => "this action needs the link with the token, which `hostler transcode link` prints\n",
        })
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let Some(given) = headers.get(TOKEN) else { return false };
        let Some(token) = self.token_file.as_ref().and_then(|file| user_file::read(file, MOST_BYTES).ok()) else { return false };
        let token = token.trim_ascii();
        !token.is_empty() && same(given.as_bytes(), token)
    }
}

/// Compares digests: how long it takes says nothing about where two texts begin to differ.
fn same(given: &[u8], token: &[u8]) -> bool {
    sha256(given).bytes().zip(sha256(token).bytes()).fold(0, |differ, (one, other)| differ | (one ^ other)) == 0
}

/// When samples were dropped.
#[derive(Debug, Default)]
pub struct Samples(Mutex<VecDeque<Instant>>);

impl Samples {
    /// Whether another one may be dropped now; if so, it counts.
    pub fn may_drop(&self, now: Instant) -> bool {
        let mut dropped = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while dropped.front().is_some_and(|first| now.duration_since(*first) >= SAMPLES_WITHIN) {
            dropped.pop_front();
        }
        let may = dropped.len() < SAMPLES;
        if may {
            dropped.push_back(now);
        }
        may
    }
}

/// Ends of names that only networks at home and clusters give.
const AT_HOME: [&str; 7] = [".local", ".lan", ".home.arpa", ".internal", ".localdomain", ".svc", ".cluster.local"];

/// Whether a `Host` is an address, the plain name of a machine, or a name at home. Any other could be a name on the internet that leads here, so
/// that a page of its owner may read and press what is on this one (DNS rebinding).
pub fn is_own_name(host: &str) -> bool {
    if host.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())).map_or(host, |(name, _)| name),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let plain = !name.is_empty() && !name.contains('.') && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    plain || name.parse::<std::net::IpAddr>().is_ok() || AT_HOME.iter().any(|end| name.len() > end.len() && name.ends_with(end))
}

/// Whether a request comes from this page or from a program, and not from another site in a browser. Browsers send one of the first two
/// headers with a POST; programs send the third one, which another site's page can't.
fn is_own(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    if let Some(origin) = text("origin") {
        return text("host").is_some_and(|host| origin.split_once("://").is_some_and(|(_, from)| from == host));
    }
    text("x-hostler").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_at_home_reach_the_page() {
        for host in [
            "192.168.1.11:30080",
            "[fd00::11]:30080",
            "fd00::11",
            "rarity",
            "rarity:30080",
            "nas.local:30080",
            "page.transcode.svc",
            "a.home.arpa.",
        ] {
            assert!(is_own_name(host), "{host}");
        }
        for host in [
            "",
            ":30080",
            "evil.example:30080",
            "evil.example",
            "192.168.1.11.evil.example",
            "local",
            "x.local.evil.example",
            ".local",
            "a b",
            "fritz.box",
        ] {
            assert_eq!(is_own_name(host), host == "local", "{host}");
        }
    }

    #[test]
    fn other_sites_can_change_nothing() {
        let own = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().expect("a value"));
            }
            is_own(&headers)
        };
        assert!(own(&[("sec-fetch-site", "same-origin")]));
        assert!(own(&[("origin", "http://rarity:30880"), ("host", "rarity:30880")]));
        assert!(own(&[("x-hostler", "1")]));
        assert!(!own(&[]));
        assert!(!own(&[("sec-fetch-site", "cross-site"), ("x-hostler", "1")]));
        assert!(!own(&[("sec-fetch-site", "none"), ("host", "rarity:30880")]));
        assert!(!own(&[("origin", "http://evil.example"), ("host", "rarity:30880"), ("x-hostler", "1")]));
        assert!(!own(&[("origin", "null"), ("host", "rarity:30880")]));
    }

    #[test]
    fn only_the_whole_token_is_the_token() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        std::fs::write(&file, "abc-123\n").expect("written");
        let may = |actions, token_file: Option<&PathBuf>, given: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert("x-hostler", "1".parse().expect("a value"));
            if let Some(given) = given {
                headers.insert(TOKEN, given.parse().expect("a value"));
            }
            Access { actions, token_file: token_file.cloned() }.check(&headers).is_ok()
        };
        for actions in [Actions::Token, Actions::Off] {
            assert!(may(actions, Some(&file), Some("abc-123")));
            for wrong in [None, Some(""), Some("abc-12"), Some("abc-1234"), Some("ABC-123")] {
                assert!(!may(actions, Some(&file), wrong), "{wrong:?}");
                assert!(!may(actions, None, wrong), "{wrong:?}");
            }
            assert!(!may(actions, Some(&folder.path().join("missing")), Some("")));
        }
        assert!(may(Actions::Open, None, None));
        std::fs::write(&file, "\n").expect("written");
        assert!(!may(Actions::Token, Some(&file), Some("")), "an empty file is no token");
    }

    #[test]
    fn samples_have_a_rate() {
        let (samples, start) = (Samples::default(), Instant::now());
        assert!((0..SAMPLES).all(|_| samples.may_drop(start)));
        assert!(!samples.may_drop(start + SAMPLES_WITHIN / 2));
        assert!(samples.may_drop(start + SAMPLES_WITHIN));
    }

    #[test]
    fn a_token_is_read_from_its_secret() {
        assert_eq!(token_of(r#"{"data": {"token": "YWJjLTEyMw=="}}"#).expect("a token"), "abc-123");
        for wrong in ["", "{}", r#"{"data": {"token": ""}}"#, r#"{"data": {"token": "GwpdMA=="}}"#] {
            token_of(wrong).expect_err(wrong);
        }
    }
}
