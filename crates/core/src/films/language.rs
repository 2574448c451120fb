//! Languages by their codes: which there are, and which are the same.

use isolang::Language;

/// ISO 639-2 has two codes for some languages: files have one, users write the other. The first is that of ISO 639-3, too.
const TWINS: [(&str, &str); 20] = [
    ("sqi", "alb"),
    ("hye", "arm"),
    ("eus", "baq"),
    ("mya", "bur"),
    ("zho", "chi"),
    ("ces", "cze"),
    ("nld", "dut"),
    ("fra", "fre"),
    ("kat", "geo"),
    ("deu", "ger"),
    ("ell", "gre"),
    ("isl", "ice"),
    ("mkd", "mac"),
    ("mri", "mao"),
    ("msa", "may"),
    ("fas", "per"),
    ("ron", "rum"),
    ("slk", "slo"),
    ("bod", "tib"),
    ("cym", "wel"),
];

/// Whether two codes mean the same language.
pub fn same(one: &str, other: &str) -> bool {
    one == other || TWINS.contains(&(one, other)) || TWINS.contains(&(other, one))
}

/// Whether ISO 639-2 has the code for what is not one language: undetermined, several, none, or one without a code.
pub fn names_none(code: &str) -> bool {
    matches!(code, "mis" | "mul" | "und" | "zxx")
}

/// Whether `code` is that of a language: three letters of ISO 639-2 or 639-3, in lower case.
pub fn is_code(code: &str) -> bool {
    !names_none(code) && (TWINS.iter().any(|(_, twin)| *twin == code) || Language::from_639_3(code).is_some())
}

/// The code of a language that is written another way: with two letters, in capitals, by its English name, with a region behind it (`en-US`).
pub fn suggest(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    let short = word.split(['-', '_']).next().unwrap_or_default();
    let twin = TWINS.iter().find(|(_, twin)| *twin == short).map(|(code, _)| *code);
    let code = || Language::from_639_1(short).or_else(|| Language::from_639_3(short)).or_else(|| Language::from_name_lowercase(&word));
    twin.or_else(|| code().map(|language| language.to_639_3())).filter(|code| is_code(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_that_of_a_language() {
        for code in ["eng", "deu", "ger", "fre", "fra", "jpn", "zho", "chi", "haw", "cmn"] {
            assert!(is_code(code), "{code}");
        }
        for code in ["", "en", "ENG", "xyz", "qqq", "und", "mul", "engl", "\u{e9}ng"] {
            assert!(!is_code(code), "{code}");
        }
        assert!(TWINS.iter().all(|(code, twin)| Language::from_639_3(code).is_some() && code != twin));
    }

    #[test]
    fn other_spellings_lead_to_the_code() {
        let expected = [
            ("en", "eng"),
            ("de-AT", "deu"),
            ("GER", "deu"),
            ("German", "deu"),
            ("ENG", "eng"),
            ("eng_US", "eng"),
            ("klingon", "tlh"),
            ("xyz", ""),
        ];
        for (word, code) in expected {
            assert_eq!(suggest(word).unwrap_or_default(), code, "{word}");
        }
    }
}
