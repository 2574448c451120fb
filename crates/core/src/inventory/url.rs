//! URLs of servers that pods and machines use.

use url::Url;

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
    let scheme = text.starts_with("http://") || text.starts_with("https://");
    let url = Url::parse(text).ok().filter(|_| scheme && !text.contains(char::is_whitespace));
    let loopback = |url: &Url| {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback() || address.is_unspecified())
    };
    match url {
        // Text before an `@` of the host, even if the rest is not valid.
        _ if text.split("://").nth(1).and_then(|rest| rest.split('/').next()).is_some_and(|host| host.contains('@')) => Err(PASSWORD),
        Some(url) if loopback(&url) => Err("is a loopback address: write the address at which pods reach the server"),
        Some(url) => Ok(url),
        None if !scheme => Err("is not the URL of a server: begin it with http:// or https://"),
        None if text.ends_with("://") => Err("has no server: write the server's name or address after `://`"),
        None => Err("is not a valid URL: check the name of the server, and replace spaces with `%20`"),
    }
}
