//! URLs of servers that pods and machines use.

use std::net::IpAddr;

use url::{Host, ParseError, Url};

use super::diagnostic::shown;
use super::read::{Problems, Text};

/// An http or https URL, as written, which may be a secret: no message shows it. Reports an error otherwise.
pub fn secret(text: Text, example: &str, problems: &mut Problems) -> Option<String> {
    match parsed(text.text) {
        Ok(_) => return Some(text.text.to_owned()),
        Err(why) => problems.add_secret(text.place, format!("this {why}"), example),
    }
    None
}

/// A base URL: without a trailing slash, query or fragment.
pub fn base(text: Text, example: &str, problems: &mut Problems) -> Option<String> {
    match parsed(text.text) {
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            // It may contain a token.
            problems.add_secret(text.place, "this URL has a query or a fragment: omit `?` or `#` and everything after it", example);
        }
        Ok(_) => return Some(text.text.trim_end_matches('/').to_owned()),
        Err(PASSWORD) => problems.add_secret(text.place, format!("this {PASSWORD}"), example),
        Err(why) => problems.add(text.place, format!("`{}` {why}", shown(text.text)), example),
    }
    None
}

const PASSWORD: &str = "URL has a user name or password: omit it, because everyone who can read the inventory could see it";

/// The URL, or what is wrong with it, without any of it.
fn parsed(text: &str) -> Result<Url, &'static str> {
    let scheme = text.split_once("://").is_some_and(|(scheme, _)| ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)));
    let parsed = Url::parse(text);
    let url = parsed
        .as_ref()
        .ok()
        .filter(|_| scheme && !text.contains(|c: char| c.is_whitespace() || c.is_control()) && text.is_ascii())
        .cloned();
    match url {
        // Text before an `@` of the host, even if the rest is not valid.
        _ if text.split("://").nth(1).and_then(|rest| rest.split('/').next()).is_some_and(|host| host.contains('@')) => Err(PASSWORD),
        Some(url) if url.port() == Some(0) => Err("has port 0, which no server has"),
        Some(url) if is_loopback(&url) => Err("is a loopback address, which means each machine itself: write the server's own address"),
        Some(url) => Ok(url),
        None if !scheme => Err("is not the URL of a server: begin it with http:// or https://"),
        None if text.ends_with("://") => Err("has no server: write the server's name or address after `://`"),
        None if matches!(parsed, Err(ParseError::InvalidPort)) => Err("has an invalid port: write a number from 1 to 65535, or omit it"),
        None if matches!(parsed, Err(ParseError::InvalidIpv6Address)) => {
            Err("has an invalid IPv6 address: write it in brackets, like `[fd00::1]`")
        }
        None if !text.is_ascii() || text.contains(char::is_control) => Err("has characters that a URL can't have: write them as `%` codes"),
        None => Err("is not a valid URL: check the name of the server, and replace spaces with `%20`"),
    }
}

/// Whether the server is the machine itself, whichever asks.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_own_name(name),
        Some(Host::Ipv4(address)) => is_own(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_own(IpAddr::V6(address)),
        None => false,
    }
}

/// Whether every machine has this name (RFC 6761, 6.3; the other names are in Debian's /etc/hosts).
pub fn is_own_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    ["localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"].contains(&&*name) || name.ends_with(".localhost")
}

/// Whether every machine has this address.
pub fn is_own(address: IpAddr) -> bool {
    let address = match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    };
    address.is_loopback() || address.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::parsed;

    #[test]
    fn a_server_has_a_name_of_its_own() {
        for right in ["http://nas", "HTTPS://Plex.example", "https://10.0.0.1:8096/x", "http://[fd00::1]/", "http://localhosts.example"] {
            assert!(parsed(right).is_ok(), "{right}");
        }
        for (wrong, why) in [
            ("http://localhost", "loopback"),
            ("http://LOCALHOST.:80/x", "loopback"),
            ("http://a.localhost", "loopback"),
            ("http://localhost.localdomain", "loopback"),
            ("http://127.1", "loopback"),
            ("http://0x7f000001/", "loopback"),
            ("http://0.0.0.0", "loopback"),
            ("http://[::1]", "loopback"),
            ("http://[::]", "loopback"),
            ("http://[::ffff:127.0.0.1]", "loopback"),
            ("ftp://nas", "begin it with"),
            ("nas:8096", "begin it with"),
            ("http://", "no server"),
            ("http://a b", "not a valid URL"),
            ("http://nas:99999/x", "invalid port"),
            ("http://nas:0/x", "port 0"),
            ("http://[::1/x", "invalid IPv6"),
            ("http://nas/\u{202e}", "`%` codes"),
            ("https://user:word@nas", "password"),
        ] {
            assert!(parsed(wrong).expect_err(wrong).contains(why), "{wrong}");
        }
    }
}
