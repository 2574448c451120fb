//! Words in messages: what was meant, and how many.

/// The word of `known` that `word` was most likely meant to be; `None` when none is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], "");
    let wanted = plain(word);
    let likeness = |known: &str| strsim::jaro_winkler(&wanted, &plain(known));
    let (likeness, known) =
        known.into_iter().map(|known| (likeness(known), known)).max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))?;
    (likeness > 0.8).then_some(known)
}

/// A `: did you mean ...?` for the end of a message; empty when nothing is near.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |known| format!(": did you mean `{known}`?"))
}

/// `1 image`, `2 images`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
