//! `notify`: where messages about the machines and the cluster go.

use std::fmt;

use super::load::{ReadFile, parse};
use super::read::{Field, Fields, Problems, Text, at};
use super::schema::{NOTIFY, Section};
use super::tree::Data;
use super::{Inventory, url};

/// Where messages go, and which ones besides those about problems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// An ntfy topic or a webhook.
    pub url: Address,
    /// Pinged while all is well.
    pub heartbeat: Option<Address>,
    /// Whether a summary is sent once a week.
    pub digest: bool,
}

/// An http or https URL that may be a secret: whoever has it can send to it, and often read what was sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(String);

/// What is written in place of an address in the text that the cluster keeps. No server can have this name (RFC 2606).
const LEFT_OUT: &str = "https://not-on-record.invalid/";

impl Address {
    /// The URL: for the request itself, and for files that only root can read.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The server's name: `ntfy.sh`.
    fn host(&self) -> Option<String> {
        ::url::Url::parse(&self.0).ok()?.host_str().map(str::to_owned)
    }

    fn is_left_out(&self) -> bool {
        self.0 == LEFT_OUT
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The path and the query are what is secret.
        let origin = ::url::Url::parse(&self.0).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
        write!(f, "Address({origin}/...)")
    }
}

/// `reader`: as in [`super::parse_with`]; without it, addresses may be missing as in the text that the cluster keeps.
pub fn read(inventory: &Fields, reader: Option<ReadFile>, problems: &mut Problems) -> Option<Notify> {
    let fields = fields(inventory, &NOTIFY, problems)?;
    let url = fields.text("url", problems).and_then(|text| address(text, "url: https://ntfy.sh/ponies-8f2c", reader, problems));
    let heartbeat =
        fields.text("heartbeat", problems).and_then(|text| address(text, "heartbeat: https://hc-ping.com/UUID", reader, problems));
    let digest = fields.choice("digest", problems) == Some("weekly");
    Some(Notify { url: url?, heartbeat, digest })
}

/// What is below `notify`. An address in its place is not shown either.
pub fn fields<'a>(parent: &Fields<'a>, section: &'static Section, problems: &mut Problems) -> Option<Fields<'a>> {
    let Field { node, place, .. } = parent.get("notify", problems)?;
    if matches!(node.data, Data::Scalar(_)) {
        problems.add_secret(
            at(node, place),
            format!("{} must be a mapping", section.what),
            format!("notify: {{{}}}", section.keys[0].shown()),
        );
        return None;
    }
    Fields::read(node, place, section, problems)
}

/// An address, of which nothing is shown.
pub fn address(text: Text, example: &str, reader: Option<ReadFile>, problems: &mut Problems) -> Option<Address> {
    let address = Address(url::secret(text, example, problems)?);
    if address.is_left_out() && reader.is_some() {
        problems.add(text.place, "the cluster's copy of the inventory does not contain this URL, which is secret: write it again", example);
        return None;
    }
    Some(address)
}

impl Inventory {
    /// Where messages of the transcoding workload go.
    pub fn notify_films(&self) -> Option<&Address> {
        let own = self.transcode.as_ref()?.notify.as_ref();
        own.or(self.notify.as_ref().map(|notify| &notify.url))
    }

    fn addresses(&self) -> impl Iterator<Item = &Address> {
        let notify = self.notify.iter().flat_map(|notify| std::iter::once(&notify.url).chain(&notify.heartbeat));
        notify.chain(self.transcode.iter().flat_map(|films| &films.notify))
    }

    /// The inventory's text as everyone may read it who reads the cluster's objects: with another URL in place of each address that may be
    /// secret. `None`: an address is written in a way that can't be replaced.
    pub fn text_without_addresses(&self) -> Option<String> {
        // One may be the beginning of another.
        let mut addresses: Vec<&str> = self.addresses().map(Address::reveal).collect();
        addresses.sort_by_key(|address| std::cmp::Reverse(address.len()));
        let text = addresses.into_iter().fold(self.text.clone(), |text, address| without(&text, address));
        if text == self.text && self.addresses().next().is_none() {
            return Some(text);
        }
        let hosts: Vec<String> = self.addresses().filter_map(Address::host).collect();
        let text = without_comments(&text, &hosts);
        let left = parse(&text, "").ok()?;
        let others = |inventory: &Inventory| inventory.transcode.as_ref().map(|films| films.settings.media_servers.clone());
        (left.addresses().all(Address::is_left_out) && others(&left) == others(self)).then_some(text)
    }
}

/// `text` without `address`, nor what goes on behind it (`/json`, `?auth=...`), which may be as secret. Where it is only the beginning of
/// another name or word, it stays.
fn without(text: &str, address: &str) -> String {
    // With nothing behind the server's name it is no secret, and may be the beginning of any other URL.
    let is_secret = address.splitn(4, '/').nth(3).is_some_and(|path| !path.is_empty());
    let part = |letter: char| letter.is_alphanumeric() || "-_/?=&%@+~#.:;!*$".contains(letter);
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(address) {
        let (before, after) = (&rest[..at], &rest[at + address.len()..]);
        // The end of a sentence is none of it.
        let more = after.find(|letter| !part(letter)).map_or(after, |end| &after[..end]).trim_end_matches(['.', ':', ';', '!']);
        let same = more.is_empty() || is_secret && more.starts_with(['/', '?', '&', '#']);
        kept.push_str(before);
        kept.push_str(if same { LEFT_OUT } else { address });
        rest = if same { &after[more.len()..] } else { after };
    }
    kept + rest
}

/// `text` without the comments that name one of these servers: what is behind the name may be another topic, or an older one. A `#` within a text
/// in quotes may be taken for a comment's; then the text is not read as it was, and is not kept.
fn without_comments(text: &str, hosts: &[String]) -> String {
    let comment =
        |line: &str| line.match_indices('#').map(|(at, _)| at).find(|at| line[..*at].is_empty() || line[..*at].ends_with([' ', '\t']));
    let line = |line: &str| match comment(line) {
        Some(at) if hosts.iter().any(|host| line[at..].contains(&format!("{host}/"))) => format!("{}\n", line[..at].trim_end()),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINES: &str = "machines: {rarity: {address: 192.168.1.11, role: control-plane}}\n";

    #[test]
    fn the_text_that_the_cluster_keeps_has_no_address() {
        let kept = |notify: &str| {
            let inventory = parse(&format!("{MACHINES}{notify}"), "").expect("valid");
            inventory.text_without_addresses().map(|text| text.replace(MACHINES, ""))
        };
        assert_eq!(kept("# none\n").as_deref(), Some("# none\n"));
        let text =
            kept("notify:\n  url: https://ntfy.sh/s3cret   # not https://ntfy.sh/s3cret.\n  heartbeat: \"https://hc-ping.com/s3cret\"\n");
        let text = text.expect("all replaced");
        assert!(!text.contains("s3cret") && text.matches(LEFT_OUT).count() == 3, "{text}");
        let text = kept(
            "notify:\n  # ntfy.sh/0ld, before\n  url: https://ntfy.sh/s3cret # or https://ntfy.sh/0ther\n  digest: weekly # a summary\n",
        );
        assert_eq!(text, Some(format!("notify:\n\n  url: {LEFT_OUT}\n  digest: weekly # a summary\n")), "other topics of the same server");
        // What is behind it in a comment is as secret.
        let text = kept(
            "notify:\n  url: https://ntfy.sh/s3cret # https://ntfy.sh/s3cret/t0ken, https://ntfy.sh/s3cret?auth=t0ken; not https://ntfy.sh/s3crets\n",
        );
        let text = text.expect("replaced");
        assert_eq!(text, format!("notify:\n  url: {LEFT_OUT}\n"));
        // The address of one is the beginning of another.
        let text = kept("notify: {url: 'http://10.0.0.1:80/a', heartbeat: 'http://10.0.0.1:80/a/b'}\n").expect("both replaced");
        assert_eq!(text, format!("notify: {{url: '{LEFT_OUT}', heartbeat: '{LEFT_OUT}'}}\n"));
        assert_eq!(kept("notify:\n  url: \"https://ntfy.sh/s3\\x63ret\"\n"), None, "it can't be found in the text");
    }

    #[test]
    fn an_address_is_shown_without_its_secret() {
        assert_eq!(format!("{:?}", Address("https://ntfy.sh/s3cret?auth=x".to_owned())), "Address(https://ntfy.sh/...)");
    }

    #[test]
    fn what_the_cluster_keeps_is_read_but_not_applied() {
        let text = format!("{MACHINES}notify: {{url: '{LEFT_OUT}'}}\n");
        assert!(parse(&text, "").is_ok());
        let none: ReadFile = &|_, _| Err(super::super::Unread::Missing);
        let error = super::super::parse_with(&text, "", Some(none), None).expect_err("it lacks the address").to_string();
        assert!(error.contains("write it again"), "{error}");
    }
}
