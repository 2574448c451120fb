//! Shares with films, and the owner of films.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A folder that every machine can reach. Its path is absolute, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Share {
    Nfs {
        server: String,
        path: String,
    },
    /// The same on every machine.
    Path(String),
}

/// The user and group that films belong to. Not root: the pods are restricted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

/// As in the inventory.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Share::Nfs { server, path } => write!(f, "nfs://{server}{path}"),
            Share::Path(path) => write!(f, "path:{path}"),
        }
    }
}
