//! Files with the token of a media server, on the user's computer.

use std::fmt;
use std::path::Path;

use super::load::{ReadFile, Unread};
use super::transcode::TokenFile;
use crate::digest::sha256;
use crate::visible::visible;

/// A token has 20 to 40 bytes.
const MOST_BYTES: usize = 4 << 10;

/// Why a file gives no token. Nothing of its content is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoToken {
    /// Or the inventory was parsed without its files.
    Missing,
    /// The error message.
    Unreadable(String),
    Empty,
    /// More than one line, or a sentence.
    SeveralWords,
    TooLong,
}

impl fmt::Display for NoToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoToken::Missing => f.write_str("does not exist"),
            NoToken::Unreadable(error) => write!(f, "can't be read: {}", visible(error)),
            NoToken::Empty => f.write_str("is empty"),
            NoToken::SeveralWords => f.write_str("contains more than one token"),
            NoToken::TooLong => write!(f, "is too long for a token: it has more than {MOST_BYTES} bytes"),
        }
    }
}

/// The token in `file`.
///
/// # Errors
/// The file can't be read, or contains anything but one word.
pub fn find(file: &Path, read: ReadFile) -> Result<TokenFile, NoToken> {
    let found = read(file, MOST_BYTES).map_err(|unread| match unread {
        Unread::Missing => NoToken::Missing,
        Unread::Other(error) => NoToken::Unreadable(error),
    })?;
    let text = found.bytes.trim_ascii();
    if found.bytes.len() > MOST_BYTES {
        Err(NoToken::TooLong)
    } else if text.is_empty() {
        Err(NoToken::Empty)
    } else if text.iter().any(u8::is_ascii_whitespace) {
        Err(NoToken::SeveralWords)
    } else {
        Ok(TokenFile { path: found.path, size: found.bytes.len() as u64, sha256: sha256(&found.bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::NamedFile;

    #[test]
    fn a_file_without_a_token_says_why() {
        let find_in = |content: Option<&[u8]>| {
            find(Path::new("token"), &|file, _| match content {
                Some(bytes) => Ok(NamedFile { path: Path::new("/home").join(file), bytes: bytes.to_vec() }),
                None => Err(Unread::Missing),
            })
        };
        let found = find_in(Some(b"abc\n")).expect("a token");
        assert_eq!((found.size, found.path.to_str()), (4, Some("/home/token")));
        for other in [&b"abc\ndef\n"[..], b"abc def", b"abc\r\ndef"] {
            assert_eq!(find_in(Some(other)), Err(NoToken::SeveralWords));
        }
        assert_eq!(find_in(Some(b" \n")), Err(NoToken::Empty));
        assert_eq!(find_in(Some(&[b'x'; MOST_BYTES + 1])), Err(NoToken::TooLong));
        assert_eq!(find_in(None), Err(NoToken::Missing));
    }
}
