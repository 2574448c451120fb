//! Words in messages: suggestions, counts and quotes.

use std::borrow::Cow;

/// The word of `known` that is most similar to `word`; `None` if none is similar.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], "");
    let given = plain(word);
    let likeness = |known: &str| strsim::jaro_winkler(&given, &plain(known));
    let (likeness, known) =
        known.into_iter().map(|known| (likeness(known), known)).max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))?;
    (likeness > 0.8).then_some(known)
}

/// `1 machine`, `3 machines`: for nouns whose plural ends in an s.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// When something is that lies `days` ahead: `in 3 days`, `in 1 day`, `within a day`.
pub fn in_days(days: i64) -> String {
    match usize::try_from(days) {
        Ok(0) | Err(_) => "within a day".to_owned(),
        Ok(days) => format!("in {}", counted(days, "day")),
    }
}

/// How long something took, in its largest unit: `3 days`, `1 hour`, `12 minutes`, `40 seconds`.
pub fn for_seconds(seconds: i64) -> String {
    let seconds = usize::try_from(seconds).unwrap_or_default();
    let (unit, noun) =
        [(86_400, "day"), (3_600, "hour"), (60, "minute")].into_iter().find(|(unit, _)| seconds >= *unit).unwrap_or((1, "second"));
    counted(seconds / unit, noun)
}

/// A `: did you mean ...?` for the end of a message; empty if nothing is similar.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |known| format!(": did you mean `{known}`?"))
}

/// `MACHINE: REASON`, where the reason does not begin so itself.
pub fn of_machine(machine: &str, reason: &str) -> String {
    if reason.starts_with(&format!("{machine}: ")) { reason.to_owned() } else { format!("{machine}: {reason}") }
}

/// `one`, `one and two`, `one, two and three`.
pub fn and<T: std::fmt::Display>(words: &[T]) -> String {
    listed(words, "and")
}

/// `one, two or three`.
pub fn or<T: std::fmt::Display>(words: &[T]) -> String {
    listed(words, "or")
}

fn listed<T: std::fmt::Display>(words: &[T], last_but: &str) -> String {
    match words {
        [] => String::new(),
        [one] => one.to_string(),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(ToString::to_string).collect();
            format!("{} {last_but} {last}", first.join(", "))
        }
    }
}

/// `text` as one word of a command that the user may copy to a shell: quoted, unless it is plain.
pub fn shell_word(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@,".contains(&byte);
    match !text.is_empty() && text.bytes().all(plain) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(format!("'{}'", text.replace('\'', "'\\''"))),
    }
}

/// `is` or `are`, by a count.
pub fn are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_similar_words_are_suggested() {
        assert_eq!(nearest("three", ["one", "two"]), None);
        assert_eq!(nearest("Rainbow_Dash", ["pinkiepie", "rainbowdash"]), Some("rainbowdash"));
        assert_eq!(nearest("one", []), None);
        assert_eq!(did_you_mean("adress", ["address", "mac"]), ": did you mean `address`?");
    }

    #[test]
    fn what_is_copied_to_a_shell_is_one_word() {
        for (text, word) in
            [("/var/lib/etcd", "/var/lib/etcd"), ("", "''"), ("a b", "'a b'"), ("$(reboot)", "'$(reboot)'"), ("it's;x", "'it'\\''s;x'")]
        {
            assert_eq!(shell_word(text), word);
        }
    }

    #[test]
    fn a_duration_is_told_in_its_largest_unit() {
        let told = [-5, 40, 60, 3_599, 7_200, 90_000].map(for_seconds);
        assert_eq!(told, ["0 seconds", "40 seconds", "1 minute", "59 minutes", "2 hours", "1 day"]);
    }

    #[test]
    fn one_is_singular() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "step")), ["0 steps", "1 step", "2 steps"]);
    }
}
