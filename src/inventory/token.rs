//! Files with a media server's token in them, on the user's computer.

use std::path::{Path, PathBuf};

use super::load::regular_file;
use super::transcode::TokenFile;
use crate::action::script::sha256;

/// A token has 20 to 40 bytes.
const MOST_BYTES: usize = 4 << 10;

/// What is at `file`, seen from the inventory's folder `beside`; `None` where it can't be read, is empty or far too long for a token.
pub fn look(file: &Path, beside: &Path) -> Option<TokenFile> {
    let path = match file.strip_prefix("~") {
        Ok(below) => std::env::home_dir().filter(|home| !home.as_os_str().is_empty())?.join(below),
        Err(_) => beside.join(file),
    };
    let bytes = regular_file(&path, MOST_BYTES).ok().filter(|bytes| !bytes.trim_ascii().is_empty() && bytes.len() <= MOST_BYTES)?;
    Some(TokenFile { path: PathBuf::from(&path), size: bytes.len() as u64, sha256: sha256(&bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_no_token_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, content: &[u8]| {
            std::fs::write(folder.path().join(name), content).unwrap();
            look(Path::new(name), folder.path())
        };
        let found = at("token", b"abc\n").expect("a token");
        assert_eq!((found.size, found.path), (4, folder.path().join("token")));
        assert_eq!(at("empty", b" \n"), None);
        assert_eq!(at("long", &[b'x'; MOST_BYTES + 1]), None);
        assert_eq!(look(Path::new("none"), folder.path()), None);
    }
}
