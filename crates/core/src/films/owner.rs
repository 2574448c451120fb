//! The owner of films.

use serde::{Deserialize, Serialize};

/// The user and group that films belong to. Not root: the pods are restricted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}
