//! URLs of servers that pods and machines use.

use std::net::{IpAddr, Ipv6Addr};

use url::{Host, Url};

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
    let url = Url::parse(text).ok().filter(|_| scheme && !text.contains(char::is_whitespace));
    match url {
        // Text before an `@` of the host, even if the rest is not valid.
        _ if text.split("://").nth(1).and_then(|rest| rest.split('/').next()).is_some_and(|host| host.contains('@')) => Err(PASSWORD),
        Some(url) if is_loopback(&url) => Err("is a loopback address, which means each machine itself: write the server's own address"),
        Some(url) => Ok(url),
        None if !scheme => Err("is not the URL of a server: begin it with http:// or https://"),
        None if text.ends_with("://") => Err("has no server: write the server's name or address after `://`"),
        None => Err("is not a valid URL: check the name of the server, and replace spaces with `%20`"),
    }
}

/// Whether the server is the machine itself, whichever asks (RFC 6761, 6.3; the other names are in Debian's /etc/hosts).
fn is_loopback(url: &Url) -> bool {
    let is_own = |address: IpAddr| address.is_loopback() || address.is_unspecified();
    let mapped = |address: Ipv6Addr| address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4);
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            ["localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"].contains(&&*name) || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => is_own(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_own(mapped(address)),
        None => false,
    }
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
            ("https://user:word@nas", "password"),
        ] {
            assert!(parsed(wrong).expect_err(wrong).contains(why), "{wrong}");
        }
    }
}
