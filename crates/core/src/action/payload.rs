//! What a script reads from standard input after itself: files, programs, images, secrets. So nothing of it is in an argument, an
//! environment or the script's text.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::sha256;
use crate::arch::Arch;

/// A file that hostler writes whole. Never a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    pub path: String,
    /// Octal: `644`.
    pub mode: String,
    #[serde(skip)]
    pub content: String,
}

/// A file that only root can read, and that hostler writes whole. Its content is shown nowhere.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SecretFile(File);

impl SecretFile {
    pub fn new(path: &str, content: String) -> SecretFile {
        SecretFile(File { path: path.to_owned(), mode: "600".to_owned(), content })
    }

    /// For comparisons, and for what is sent.
    pub fn file(&self) -> &File {
        &self.0
    }
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretFile({})", self.0.path)
    }
}

/// A piece of a payload, in the order in which the script reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// May be secret: never logged.
    Bytes(Vec<u8>),
    /// A file of the bundle for `arch`, by sha256.
    Stored { arch: Arch, sha256: String, size: u64 },
    /// A file of this computer.
    Local { path: PathBuf, size: u64 },
    /// An OCI archive with just these images of the bundle for `arch`, by reference.
    Images { arch: Arch, references: Vec<String> },
}

/// A payload as it grows, with how a template sees each piece.
#[derive(Debug, Default)]
pub struct Payload(Vec<Part>);

/// A file of the payload in a template: `receive` makes it a file of the machine.
#[derive(Debug, Serialize)]
pub(super) struct Incoming<'a> {
    path: &'a str,
    mode: &'a str,
    /// Bytes.
    size: usize,
    sha256: String,
}

impl Incoming<'_> {
    /// Bytes.
    pub(super) fn size(&self) -> usize {
        self.size
    }
}

impl Payload {
    /// A file that has its place on the machine.
    pub(super) fn file<'a>(&mut self, file: &'a File) -> Incoming<'a> {
        let incoming = Incoming { path: &file.path, mode: &file.mode, size: file.content.len(), sha256: sha256(file.content.as_bytes()) };
        self.0.push(Part::Bytes(file.content.clone().into_bytes()));
        incoming
    }

    /// Content that the script puts somewhere itself, for root's eyes only.
    pub(super) fn content(&mut self, content: impl Into<Vec<u8>>) -> Incoming<'static> {
        let content = content.into();
        let incoming = Incoming { path: "", mode: "600", size: content.len(), sha256: sha256(&content) };
        self.0.push(Part::Bytes(content));
        incoming
    }

    pub(super) fn push(&mut self, part: Part) {
        self.0.push(part);
    }

    pub(super) fn into_parts(self) -> Vec<Part> {
        self.0
    }
}
