//! The id of a film: readable, unique, and a valid name in Kubernetes.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use hostler_core::digest::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Length of the readable part: with hash, prefix and attempt, the name of a Job stays below the 63 characters of a label.
const SLUG: usize = 36;
const HASH: usize = 8;

/// `500-days-of-summer-2009-1f0c9a3e`: a slug of the name and a hash of path, size and time. A DNS label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilmId(String);

impl FilmId {
    /// `path` is relative to `watch/`; `size` in bytes, `modified` in nanoseconds since 1970.
    pub fn new(path: &Path, size: u64, modified: i128) -> FilmId {
        let mut hash = Sha256::new();
        hash.update(path.as_os_str().as_bytes());
        hash.update([0]);
        hash.update(size.to_be_bytes());
        hash.update(modified.to_be_bytes());
        let hash = hex(&hash.finalize()[..HASH / 2]);
        let slug = slug(&path.file_stem().unwrap_or_default().to_string_lossy());
        FilmId(if slug.is_empty() { format!("film-{hash}") } else { format!("{slug}-{hash}") })
    }

    /// `None` unless [`FilmId::new`] could have created `text`: file names and requests are not trusted.
    pub fn parse(text: &str) -> Option<FilmId> {
        let (slug, hash) = text.rsplit_once('-')?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let valid = !slug.is_empty()
            && slug.len() <= SLUG
            && !slug.starts_with('-')
            && slug.bytes().all(plain)
            && hash.len() == HASH
            && hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        valid.then(|| FilmId(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FilmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for FilmId {
    type Error = String;

    fn try_from(text: String) -> Result<FilmId, String> {
        FilmId::parse(&text).ok_or_else(|| format!("`{text}` is not the id of a film"))
    }
}

impl From<FilmId> for String {
    fn from(id: FilmId) -> String {
        id.0
    }
}

/// Lower-case ASCII letters and digits; everything between them becomes one dash. It ends with a whole word if possible.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    for character in name.chars().flat_map(char::to_lowercase) {
        if character.is_ascii_alphanumeric() {
            slug.push(character);
        } else if character != '\'' && character != '\u{2019}' && !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    if slug.len() > SLUG {
        let whole = slug[..=SLUG].rfind('-').filter(|end| *end >= SLUG / 2);
        slug.truncate(whole.unwrap_or(SLUG));
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_readable() {
        let slug_of = |path: &str| {
            let id = FilmId::new(Path::new(path), 1, 1);
            id.as_str().rsplit_once('-').expect("a hash follows").0.to_owned()
        };
        assert_eq!(slug_of("Movies/(500) Days of Summer (2009)/(500) Days of Summer.mkv"), "500-days-of-summer");
        assert_eq!(slug_of("Movies/Ocean's Eleven.iso"), "oceans-eleven");
        assert_eq!(slug_of("Movies/$(reboot).mkv"), "reboot");
        assert_eq!(slug_of("Movies/-rf\n\"x\".mkv"), "rf-x");
        assert_eq!(slug_of("Movies/🎬.mkv"), "film");
        assert_eq!(slug_of("Movies/The Assassination of Jesse James by the Coward Robert Ford.mkv"), "the-assassination-of-jesse-james-by");
    }

    #[test]
    fn the_same_name_in_another_folder_and_another_drop_are_other_films() {
        let one = FilmId::new(Path::new("Movies/a/trailer.mkv"), 10, 5);
        assert_eq!(one, FilmId::new(Path::new("Movies/a/trailer.mkv"), 10, 5));
        assert_ne!(one, FilmId::new(Path::new("Movies/b/trailer.mkv"), 10, 5));
        assert_ne!(one, FilmId::new(Path::new("Movies/a/trailer.mkv"), 11, 5));
        assert_ne!(one, FilmId::new(Path::new("Movies/a/trailer.mkv"), 10, 6));
    }

    #[test]
    fn invalid_ids_are_rejected() {
        for text in ["", "..", "a/b-12345678", "film", "film-1234567", "film-1234567G", "-12345678", "Film-12345678", "film-12345678/.."] {
            assert_eq!(FilmId::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_name_gives_a_label(name in proptest::collection::vec(any::<u8>(), 1..300), size: u64, modified: i64) {
            let id = FilmId::new(Path::new(OsStr::from_bytes(&name)), size, i128::from(modified));
            prop_assert!(id.as_str().len() <= SLUG + 1 + HASH);
            prop_assert_eq!(FilmId::parse(id.as_str()), Some(id));
        }
    }
}
