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

/// Whether a word of a file's name names a language, as players read it: two or three letters, or an English name, of a language that is widely
/// known. Every other word of three letters is the code of some language, and a capitalized one is part of a title: `Rocky.II`, `The.War`.
pub fn is_word(word: &str) -> bool {
    let known = |language: Option<Language>| language.is_some_and(|language| language.to_639_1().is_some());
    let lower = word.to_lowercase();
    let is_one_case = word == lower || word == word.to_uppercase();
    let is_number = word.chars().all(|letter| "IVXLCDM".contains(letter));
    let twin = || TWINS.iter().find(|(_, twin)| *twin == lower).and_then(|(code, _)| Language::from_639_3(code));
    match word.len() {
        2 | 3 if !is_one_case || is_number => false,
        2 => known(Language::from_639_1(&lower)),
        3 => known(Language::from_639_3(&lower)) || known(twin()) || names_none(&lower),
        _ => known(Language::from_name_lowercase(&lower)),
    }
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

    #[test]
    fn words_of_names_that_are_languages() {
        for word in ["en", "EN", "eng", "ger", "ENG", "English", "german", "und", "vi"] {
            assert!(is_word(word), "{word}");
        }
        for word in ["", "II", "IV", "VI", "War", "Two", "cut", "Cut", "2", "1080p", "Extended", "tlh"] {
            assert!(!is_word(word), "{word}");
        }
    }
}
