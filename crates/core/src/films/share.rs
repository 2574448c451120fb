//! Where films are, and whose they are.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A folder that every machine reaches. Its path is absolute, without a slash at its end.
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

/// As the inventory has it.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Share::Nfs { server, path } => write!(f, "nfs://{server}{path}"),
            Share::Path(path) => write!(f, "path:{path}"),
        }
    }
}
