//! Settings that the programs have accepted, by the digest of all that they were shown and of their bundle. To ask them costs a second or
//! two of an old laptop, in every run, and the same programs say the same of the same settings.

use std::path::PathBuf;

use hostler_core::digest::sha256;

use crate::{atomic, home, user_file};

/// So many are remembered: of a few inventories, with each of their changes of late.
const MOST: usize = 100;
/// Bytes of the file, more than it ever has.
const MOST_BYTES: usize = 64 << 10;

/// What the programs are asked about, as a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question(String);

impl Question {
    /// `parts`: everything that an answer depends on. hostler's own rules are among it.
    pub fn new<'a>(parts: impl IntoIterator<Item = &'a str>) -> Question {
        let all: Vec<&str> = [env!("CARGO_PKG_VERSION")].into_iter().chain(parts).collect();
        Question(sha256(all.join("\0").as_bytes()))
    }

    /// Whether it was accepted before.
    pub fn is_accepted(&self) -> bool {
        remembered().contains(&self.0)
    }

    /// That it can't be remembered costs another question the next time.
    pub fn remember(&self) {
        let mut all = remembered();
        all.push(self.0.clone());
        let newest = &all[all.len().saturating_sub(MOST)..];
        if let Some(path) = path() {
            let _ = std::fs::create_dir_all(atomic::folder_of(&path));
            let _ = atomic::write(&path, format!("{}\n", newest.join("\n")).as_bytes(), 0o600);
        }
    }
}

fn path() -> Option<PathBuf> {
    home::state().ok().map(|folder| folder.join("accepted"))
}

fn remembered() -> Vec<String> {
    let bytes = path().and_then(|path| user_file::read(&path, MOST_BYTES).ok()).filter(|bytes| bytes.len() <= MOST_BYTES);
    bytes.map(|bytes| String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()).unwrap_or_default()
}
