//! Masks known secrets in everything that is shown or written.

use std::fmt;
use std::sync::{PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use crate::event::Event;

/// Replaces a secret.
const MASK: &str = "[secret]";

/// Shorter pieces of a secret are not masked: they would match ordinary text.
const LEAST_PIECE: usize = 8;

/// Shorter secrets are not masked: the places of the mask would reveal more than it hides.
const LEAST_SECRET: usize = 4;

/// Replaces known secrets with `[secret]`. It is shared: a secret that one part adds is masked for all from then on.
///
/// It finds the value itself, its lines, its JSON-escaped form, its base64 (both alphabets, also inside a longer encoded text), and any of
/// these split over lines, except for pieces of fewer than 8 bytes.
#[derive(Default)]
pub struct Redactor {
    /// Longest first, so that a secret inside another one does not hide it.
    forms: RwLock<Vec<String>>,
}

impl Redactor {
    pub fn new() -> Redactor {
        Redactor::default()
    }

    /// Masks `secret` from now on. Values shorter than 4 bytes are ignored.
    pub fn add(&self, secret: &str) {
        let mut forms = self.forms.write().unwrap_or_else(PoisonError::into_inner);
        for form in forms_of(secret) {
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    }

    /// `text` without the secrets known so far.
    pub fn redact(&self, text: &str) -> String {
        let forms = self.forms.read().unwrap_or_else(PoisonError::into_inner);
        if forms.is_empty() {
            return text.to_owned();
        }
        let mut text = text.to_owned();
        for form in forms.iter() {
            if text.contains(form.as_str()) {
                text = text.replace(form.as_str(), MASK);
            }
        }
        text.split_inclusive('\n').map(|line| without_pieces(line, &forms)).collect()
    }

    /// `event` with every text in it redacted.
    pub fn redact_event(&self, mut event: Event) -> Event {
        for text in event.texts_mut() {
            *text = self.redact(text);
        }
        event
    }
}

impl fmt::Debug for Redactor {
    /// Shows no secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

/// `text` without the user names and passwords of URLs in it: what stands between `//` and an `@` before the next `/`, quote or space.
pub fn without_passwords(text: &str) -> String {
    let ends = |c: char| c.is_whitespace() || "/'\"`".contains(c);
    after_each(text, "//", ends, |host| host.rfind('@').map_or_else(|| host.to_owned(), |end| format!("{MASK}{}", &host[end..])))
}

/// `text` without the queries of URLs in it, which may be signatures: what follows a `?` after `://`, to the next quote, bracket or space.
pub fn without_queries(text: &str) -> String {
    let ends = |c: char| c.is_whitespace() || "'\"`)>]".contains(c);
    after_each(text, "://", ends, |url| url.split_once('?').map_or(url, |(address, _)| address).to_owned())
}

/// `text`, with `shown` of what stands between each `mark` and the next character that `ends` it.
fn after_each(text: &str, mark: &str, ends: impl Fn(char) -> bool, shown: impl Fn(&str) -> String) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(mark) {
        let (part, left) = after.split_at(after.find(&ends).unwrap_or(after.len()));
        result.extend([before, mark, &shown(part)]);
        rest = left;
    }
    result + rest
}

/// All forms in which `secret` may appear.
fn forms_of(secret: &str) -> Vec<String> {
    let whole = secret.trim();
    if whole.len() < LEAST_SECRET {
        return Vec::new();
    }
    let mut forms = vec![whole.to_owned()];
    let json = serde_json::Value::from(whole).to_string();
    forms.push(json[1..json.len() - 1].to_owned());
    // A key is printed line by line, one event each. The armor around it is not secret.
    forms.extend(whole.lines().map(str::trim).filter(|line| line.len() >= LEAST_PIECE && !is_armor(line)).map(str::to_owned));
    for value in [secret, whole] {
        forms.extend([STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].iter().map(|engine| engine.encode(value)));
    }
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        forms.extend((0..3).map(|offset| inside(whole, offset, |bytes| engine.encode(bytes))));
    }
    forms.retain(|form| form.len() >= LEAST_PIECE || form == whole);
    forms
}

/// The characters of a longer text's base64 that `secret` alone determines, if `offset` (mod 3) bytes precede it.
fn inside(secret: &str, offset: usize, encode: impl Fn(&[u8]) -> String) -> String {
    let mut bytes = vec![0; offset];
    bytes.extend(secret.as_bytes());
    let encoded = encode(&bytes);
    // The bytes before share a character with the secret, and the last character may depend on what follows.
    let first = [0, 2, 3][offset];
    let last = encoded.len() - usize::from(!bytes.len().is_multiple_of(3));
    encoded.get(first..last).unwrap_or_default().to_owned()
}

/// `line` without pieces of a secret that was split at the start of the line, at its end, or both.
fn without_pieces(line: &str, forms: &[String]) -> String {
    let text = line.trim();
    if text.len() < LEAST_PIECE || is_armor(text) {
        return line.to_owned();
    }
    let mut kept = text.to_owned();
    for form in forms.iter().filter(|form| form.len() > LEAST_PIECE) {
        if form.contains(&kept) {
            kept = MASK.to_owned();
            break;
        }
        if let Some(piece) = longest(kept.len().min(form.len()), |length| {
            kept.is_char_boundary(kept.len() - length) && form.starts_with(&kept[kept.len() - length..])
        }) {
            kept.replace_range(kept.len() - piece.., MASK);
        }
        if let Some(piece) = longest(kept.len().min(form.len()), |length| kept.is_char_boundary(length) && form.ends_with(&kept[..length]))
        {
            kept.replace_range(..piece, MASK);
        }
    }
    line.replacen(text, &kept, 1)
}

/// The greatest length that `fits`, from `most` down to the shortest piece.
fn longest(most: usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
    (LEAST_PIECE..=most).rev().find(|&length| fits(length))
}

/// `-----BEGIN CERTIFICATE-----`
fn is_armor(line: &str) -> bool {
    line.starts_with("-----")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "abcdef.0123456789abcdef";

    fn knowing(secrets: &[&str]) -> Redactor {
        let redactor = Redactor::new();
        for secret in secrets {
            redactor.add(secret);
        }
        redactor
    }

    #[test]
    fn secrets_of_urls_are_left_out_and_the_rest_stays() {
        for (text, shown) in [
            ("invalid value 'https://ada:word@host/x' for", "invalid value 'https://[secret]@host/x' for"),
            ("https://a@b@host and http://host/a@b", "https://[secret]@host and http://host/a@b"),
            ("// a comment, and mail to ada@host", "// a comment, and mail to ada@host"),
        ] {
            assert_eq!(without_passwords(text), shown);
        }
        for (text, shown) in [
            ("error for url (https://host/a?X-Sig=s%3D&b#c): cut", "error for url (https://host/a): cut"),
            ("is it? see http://host/ and 'http://host?a'", "is it? see http://host/ and 'http://host'"),
        ] {
            assert_eq!(without_queries(text), shown);
        }
    }

    #[test]
    fn a_known_value_is_masked_wherever_it_stands() {
        let redactor = knowing(&[TOKEN]);
        assert_eq!(redactor.redact(&format!("join --token={TOKEN} --token {TOKEN}")), "join --token=[secret] --token [secret]");
        assert_eq!(redactor.redact("nothing in it\n  at all"), "nothing in it\n  at all");
    }

    #[test]
    fn short_values_are_never_added() {
        let redactor = knowing(&["", "  \n", "abc"]);
        assert_eq!(redactor.redact("abc of the alphabet"), "abc of the alphabet");
    }

    #[test]
    fn a_secret_inside_a_longer_one_does_not_hide_it() {
        let redactor = knowing(&["0123456789abcdef", TOKEN]);
        assert_eq!(redactor.redact(&format!("{TOKEN} 0123456789abcdef")), "[secret] [secret]");
    }

    #[test]
    fn base64_alone_is_masked_whole() {
        let redactor = knowing(&[TOKEN, "password?>~"]);
        for encoded in [STANDARD.encode(TOKEN), URL_SAFE_NO_PAD.encode(TOKEN), URL_SAFE.encode("password?>~")] {
            assert_eq!(redactor.redact(&format!("data: {encoded}")), "data: [secret]");
        }
    }

    #[test]
    fn a_key_printed_line_by_line_is_masked_but_its_armor_is_not() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEG\nCCqGSM49AwEHBG0wawIBAQQg\nAAAAshort\n-----END PRIVATE KEY-----\n";
        let redactor = knowing(&[key]);
        let printed: Vec<_> = key.lines().map(|line| redactor.redact(&format!("    {line}"))).collect();
        assert_eq!(
            printed,
            ["    -----BEGIN PRIVATE KEY-----", "    [secret]", "    [secret]", "    [secret]", "    -----END PRIVATE KEY-----"]
        );
        assert_eq!(redactor.redact("-----BEGIN CERTIFICATE-----"), "-----BEGIN CERTIFICATE-----");
        assert!(!redactor.redact(&serde_json::json!({ "key": key }).to_string()).contains("MIGH"));
    }

    #[test]
    fn a_secret_broken_over_lines_is_masked_on_both() {
        let redactor = knowing(&[TOKEN]);
        assert_eq!(redactor.redact("token: abcdef.01234\n56789abcdef # an hour\n"), "token: [secret]\n[secret] # an hour\n");
        // As two events.
        assert_eq!(redactor.redact("token: abcdef.01234"), "token: [secret]");
        assert_eq!(redactor.redact("  56789abcdef"), "  [secret]");
        // In three: the middle one has neither its start nor its end.
        assert_eq!(redactor.redact("01234567"), "[secret]");
    }

    #[test]
    fn events_are_redacted_in_every_text() {
        let redactor = knowing(&[TOKEN]);
        let text = || format!("in {TOKEN}");
        let step = || hostler_core::step::StepKind::Join.of(&hostler_core::inventory::MachineName::new("rainbowdash").unwrap());
        for event in [
            Event::StepScript { step: step(), text: text() },
            Event::StepOutput { step: step(), line: text() },
            Event::StepFailed { step: step(), reason: text(), hint: text() },
            Event::TaskLine { task: text(), line: text() },
            Event::Note { line: text() },
        ] {
            let shown = serde_json::to_string(&redactor.redact_event(event)).unwrap();
            assert!(!shown.contains("abcdef") && shown.contains("in [secret]"), "{shown}");
        }
    }

    #[test]
    fn the_debug_form_shows_no_secrets() {
        assert_eq!(format!("{:?}", knowing(&[TOKEN])), "Redactor");
    }

    proptest! {
        /// Wherever it is in an encoded text, and however that is wrapped: no remaining piece decodes to eight bytes of it.
        #[test]
        fn base64_of_a_text_around_it_is_masked(before in "[ -~]{0,80}", after in "[ -~]{0,80}", width in 16usize..80) {
            let secret = "Xq7#vT2!mZ9$kL4%pW8&rB3*";
            let redactor = knowing(&[secret]);
            let encoded = STANDARD.encode(format!("{before}{secret}{after}"));
            let wrapped: Vec<&str> = encoded.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
            let shown: Vec<String> = wrapped.iter().map(|line| redactor.redact(line)).collect();
            let core = inside(secret, before.len() % 3, |bytes| STANDARD_NO_PAD.encode(bytes));
            let all = shown.concat();
            for piece in core.as_bytes().windows(2 * LEAST_PIECE) {
                let piece = std::str::from_utf8(piece).unwrap();
                prop_assert!(!all.contains(piece), "{piece} is left in {all}");
            }
        }

        #[test]
        fn any_secret_in_any_text_is_masked(before in "\\PC{0,40}", secret in "\\PC{0,40}", after in "\\PC{0,40}") {
            let shown = knowing(&[&secret]).redact(&format!("{before}{secret}{after}"));
            let secret = secret.trim();
            if secret.len() >= LEAST_SECRET && !MASK.contains(secret) {
                prop_assert!(!shown.contains(secret), "{:?} is left in {:?}", secret, shown);
            }
        }
    }
}
