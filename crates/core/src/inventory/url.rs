//! Addresses of servers that pods talk to.

use url::Url;

use super::diagnostic::shown;
use super::read::{Problems, Text};

/// An http or https address as it is written; complains otherwise.
pub fn read(text: Text, example: &str, problems: &mut Problems) -> Option<String> {
    parsed(text, example, problems).map(|_| text.text.to_owned())
}

/// One that paths are put behind: without a slash at its end, a query or a fragment.
pub fn base(text: Text, example: &str, problems: &mut Problems) -> Option<String> {
    let url = parsed(text, example, problems)?;
    if url.query().is_some() || url.fragment().is_some() {
        // A token may stand there.
        problems.add_secret(text.place, "this address is of one page: name the server alone, without what begins with `?` or `#`", example);
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
        // Whatever stands before an `@` of the host, also where the rest can't be read.
        _ if text.text.split("://").nth(1).and_then(|rest| rest.split('/').next()).is_some_and(|host| host.contains('@')) => {
            problems.add_secret(
                text.place,
                "a user or password in an address would be read by whoever reads the inventory: leave it out",
                example,
            );
            return None;
        }
        Some(url) if loopback(&url) => "is each computer's own address, and a pod would ask itself: name the server's",
        Some(url) => return Some(url),
        None => "is no address of a server: it begins with http:// or https://",
    };
    problems.add(text.place, format!("`{}` {why}", shown(text.text)), example);
    None
}
