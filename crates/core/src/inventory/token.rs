//! Files with a media server's token in them, on the user's computer.

use std::path::Path;

use super::load::ReadFile;
use super::transcode::TokenFile;
use crate::digest::sha256;

/// A token has 20 to 40 bytes.
const MOST_BYTES: usize = 4 << 10;

/// What is at `file`; `None` where it can't be read, is empty or far too long for a token.
pub fn look(file: &Path, read: ReadFile) -> Option<TokenFile> {
    let found = read(file, MOST_BYTES).ok()?;
    let token = !found.bytes.trim_ascii().is_empty() && found.bytes.len() <= MOST_BYTES;
    token.then(|| TokenFile { path: found.path, size: found.bytes.len() as u64, sha256: sha256(&found.bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{NamedFile, Unread};

    #[test]
    fn what_holds_no_token_is_none() {
        let look_at = |content: Option<&[u8]>| {
            look(Path::new("token"), &|file, _| match content {
                Some(bytes) => Ok(NamedFile { path: Path::new("/home").join(file), bytes: bytes.to_vec() }),
                None => Err(Unread::Missing),
            })
        };
        let found = look_at(Some(b"abc\n")).expect("a token");
        assert_eq!((found.size, found.path.to_str()), (4, Some("/home/token")));
        assert_eq!(look_at(Some(b" \n")), None);
        assert_eq!(look_at(Some(&[b'x'; MOST_BYTES + 1])), None);
        assert_eq!(look_at(None), None);
    }
}
