//! glob(7), as `Include` has it: wildcards in any part of a path, and sets of characters.

use std::path::{Path, PathBuf};

/// The paths that there are, in order. A path without wildcards is itself.
pub fn glob(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_string_lossy();
        if !text.contains(['*', '?', '[']) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let pattern: Vec<char> = text.chars().collect();
        found = found.iter().flat_map(|folder| within(folder, &pattern)).collect();
    }
    if found.len() != 1 || found[0] != pattern {
        found.retain(|path| path.exists());
    }
    found.sort();
    found
}

fn within(folder: &Path, pattern: &[char]) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name());
    let fits = |name: &std::ffi::OsString| {
        let name: Vec<char> = name.to_string_lossy().chars().collect();
        // A hidden file is named as such.
        (name.first() != Some(&'.') || pattern.first() == Some(&'.')) && fits(pattern, &name)
    };
    names.filter(fits).map(|name| folder.join(name)).collect()
}

/// Names have at most 255 bytes: that is soon looked through.
fn fits(pattern: &[char], name: &[char]) -> bool {
    let Some(first) = pattern.first() else { return name.is_empty() };
    match first {
        '*' => {
            let rest = &pattern[pattern.iter().take_while(|c| **c == '*').count()..];
            (0..=name.len()).any(|skipped| fits(rest, &name[skipped..]))
        }
        _ if name.is_empty() => false,
        '?' => fits(&pattern[1..], &name[1..]),
        '[' => match set(&pattern[1..], name[0]) {
            Some((holds, length)) => holds && fits(&pattern[1 + length..], &name[1..]),
            None => name[0] == '[' && fits(&pattern[1..], &name[1..]),
        },
        '\\' if pattern.len() > 1 => pattern[1] == name[0] && fits(&pattern[2..], &name[1..]),
        c => *c == name[0] && fits(&pattern[1..], &name[1..]),
    }
}

/// Whether `of` is in the set after a `[`, and the set's length with its `]`. `None`: it has no end.
fn set(pattern: &[char], of: char) -> Option<(bool, usize)> {
    let negated = matches!(pattern.first(), Some('!' | '^'));
    let start = usize::from(negated);
    // A `]` at the beginning is one of the characters.
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|c| *c == ']')?;
    let mut holds = false;
    let mut rest = &pattern[start..end];
    while let Some(first) = rest.first() {
        match rest {
            [from, '-', to, ..] => {
                holds |= (*from..=*to).contains(&of);
                rest = &rest[3..];
            }
            _ => {
                holds |= *first == of;
                rest = &rest[1..];
            }
        }
    }
    Some((holds != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_and_sets() {
        for (pattern, fit, other) in [
            ("*.conf", "a.conf", "a.con"),
            ("a?c", "abc", "ac"),
            ("[ab].conf", "b.conf", "c.conf"),
            ("[a-c]x", "bx", "dx"),
            ("[!a-c]x", "dx", "bx"),
            ("[]]x", "]x", "[x"),
            ("[a", "[a", "a"),
            ("*a*b*", "xaybz", "xbya"),
            ("\\*", "*", "a"),
        ] {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            assert!(fits(&letters(pattern), &letters(fit)), "{pattern} {fit}");
            assert!(!fits(&letters(pattern), &letters(other)), "{pattern} {other}");
        }
    }

    #[test]
    fn parts_of_a_path_may_have_them() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["a/x", "b/x", "b/y", ".c/x", "d"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = |pattern: &str| {
            let names = glob(&folder.path().join(pattern));
            names.iter().map(|path| path.strip_prefix(folder.path()).unwrap().display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(found("*/x"), ["a/x", "b/x"]);
        assert_eq!(found("[b-z]/*"), ["b/x", "b/y"]);
        assert_eq!(found("none"), ["none"]);
        assert_eq!(found("none/*"), Vec::<String>::new());
    }
}
