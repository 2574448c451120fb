//! Files with the token of a media server, on the user's computer.

use std::path::Path;

use super::load::ReadFile;
use super::transcode::TokenFile;
use crate::digest::sha256;

/// A token has 20 to 40 bytes.
const MOST_BYTES: usize = 4 << 10;

/// The token in `file`; `None` if it can't be read, or what is in it is not one word or too long for a token.
pub fn find(file: &Path, read: ReadFile) -> Option<TokenFile> {
    let found = read(file, MOST_BYTES).ok()?;
    let text = found.bytes.trim_ascii();
    // More than one line, or a sentence, is something else.
    let token = !text.is_empty() && !text.iter().any(u8::is_ascii_whitespace) && found.bytes.len() <= MOST_BYTES;
    token.then(|| TokenFile { path: found.path, size: found.bytes.len() as u64, sha256: sha256(&found.bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{NamedFile, Unread};

    #[test]
    fn a_file_without_a_token_is_none() {
        let find_in = |content: Option<&[u8]>| {
            find(Path::new("token"), &|file, _| match content {
                Some(bytes) => Ok(NamedFile { path: Path::new("/home").join(file), bytes: bytes.to_vec() }),
                None => Err(Unread::Missing),
            })
        };
        let found = find_in(Some(b"abc\n")).expect("a token");
        assert_eq!((found.size, found.path.to_str()), (4, Some("/home/token")));
        for other in [&b" \n"[..], b"abc\ndef\n", b"abc def", b"abc\r\ndef"] {
            assert_eq!(find_in(Some(other)), None);
        }
        assert_eq!(find_in(Some(&[b'x'; MOST_BYTES + 1])), None);
        assert_eq!(find_in(None), None);
    }
}
