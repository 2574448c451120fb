//! The patterns of ssh_config(5) and known_hosts: `*`, `?`, and lists in which `!` excludes.

/// Whether the whole `text` matches `pattern`: `*` is any number of characters, `?` is any one.
pub fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // The position of the last `*`, and how much of the text it has matched so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Whether `text` matches one of `patterns`, and none of those that start with `!`.
pub fn fits_list<'a>(patterns: impl IntoIterator<Item = &'a str>, text: &str) -> bool {
    let mut fit = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(excluded) if fits(excluded, text) => return false,
            Some(_) => {}
            None => fit |= fits(pattern, text),
        }
    }
    fit
}

#[cfg(test)]
mod tests {
    use super::{fits, fits_list};

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "rainbowdash", true),
            ("rain*", "rainbowdash", true),
            ("*dash", "rainbowdash", true),
            ("*bow*s?", "rainbowdash", true),
            ("192.168.1.?", "192.168.1.7", true),
            ("192.168.1.?", "192.168.1.17", false),
            ("rain", "rainbowdash", false),
            ("", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn an_exclusion_wins_wherever_it_stands() {
        assert!(fits_list(["*.home", "!nas.home"], "pie.home"));
        assert!(!fits_list(["*.home", "!nas.home"], "nas.home"));
        assert!(!fits_list(["!nas.home", "*.home"], "nas.home"));
        assert!(!fits_list(["!nas.home"], "pie.home"));
    }
}
