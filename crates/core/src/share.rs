//! Shares: folders that several machines can reach, with films or snapshots.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Its path is absolute, without a trailing slash.
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

impl Share {
    /// Whether it has to be mounted from a server.
    pub fn is_on_a_server(&self) -> bool {
        matches!(self, Share::Nfs { .. })
    }
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
