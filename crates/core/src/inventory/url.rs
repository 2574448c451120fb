//! URLs of servers that pods use.

use url::Url;

use super::diagnostic::shown;
use super::read::{Problems, Text};

/// An http or https URL, as written; reports an error otherwise.
pub fn read(text: Text, example: &str, problems: &mut Problems) -> Option<String> {
    parsed(text, example, problems).map(|_| text.text.to_owned())
}

/// A base URL: without a trailing slash, query or fragment.
pub fn base(text: Text, example: &str, problems: &mut Problems) -> Option<String> {
    let url = parsed(text, example, problems)?;
    if url.query().is_some() || url.fragment().is_some() {
        // It may contain a token.
        problems.add_secret(text.place, "this URL has a query or a fragment: omit `?` or `#` and everything after it", example);
        return None;
    }
    Some(text.text.trim_end_matches('/').to_owned())
}

fn parsed(text: Text, example: &str, problems: &mut Problems) -> Option<Url> {
    let scheme = text.text.starts_with("http://") || text.text.starts_with("https://");
    let url = Url::parse(text.text).ok().filter(|_| scheme && !text.text.contains(char::is_whitespace));
    let loopback = |url: &Url| {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback() || address.is_unspecified())
    };
    let why = match url {
        // Text before an `@` of the host, even if the rest is not valid.
        _ if text.text.split("://").nth(1).and_then(|rest| rest.split('/').next()).is_some_and(|host| host.contains('@')) => {
            problems.add_secret(
                text.place,
                "this URL has a user name or password: omit it, because everyone who can read the inventory \
                could see it",
                example,
            );
            return None;
        }
        Some(url) if loopback(&url) => "is a loopback address: write the address at which pods reach the server",
        Some(url) => return Some(url),
        None if !scheme => "is not the URL of a server: begin it with http:// or https://",
        None if text.text.ends_with("://") => "has no server: write the server's name or address after `://`",
        None => "is not a valid URL: check the name of the server, and replace spaces with `%20`",
    };
    problems.add(text.place, format!("`{}` {why}", shown(text.text)), example);
    None
}
