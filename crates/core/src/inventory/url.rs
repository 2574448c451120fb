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
        problems.add_secret(text.place, "this is the URL of a single page: omit everything from `?` or `#` on", example);
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
            problems.add_secret(text.place, "omit the user and password: everyone who can read the inventory could see them", example);
            return None;
        }
        Some(url) if loopback(&url) => "is a loopback address: write the address of the server, as pods reach it",
        Some(url) => return Some(url),
        None if !scheme => "is not the URL of a server: it must begin with http:// or https://",
        None if text.text.ends_with("://") => "names no server: write its name or address behind `://`",
        None => "is not a valid URL: check the name of the server, and replace spaces by `%20`",
    };
    problems.add(text.place, format!("`{}` {why}", shown(text.text)), example);
    None
}
