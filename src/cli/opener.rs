//! What opens an encrypted snapshot: its passphrase, or secret keys of age in files.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use hostler_core::bech32;
use hostler_core::failure::{ExitStatus, Failure};

use super::passphrase::PassphraseFile;
use crate::report::Reporter;
use crate::snapshot::{self, age};
use crate::user_file;

/// Of a file with secret keys: more is read of none.
const MOST_BYTES: usize = 64 << 10;

#[derive(Debug, Clone, Default, Args)]
pub struct Opening {
    #[command(flatten)]
    passphrase: PassphraseFile,
    /// File with an age secret key, for a snapshot that is encrypted to public keys; may be repeated
    #[arg(long = "identity", value_name = "FILE")]
    identities: Vec<PathBuf>,
}

/// What opens one file.
pub enum Secret {
    /// It is not encrypted.
    None,
    Passphrase(String),
    Identities(Vec<age::Key>),
}

impl Secret {
    pub fn opener(&self) -> Option<age::Opener<'_>> {
        match self {
            Secret::None => None,
            Secret::Passphrase(passphrase) => Some(age::Opener::Passphrase(passphrase)),
            Secret::Identities(keys) => Some(age::Opener::Identities(keys)),
        }
    }
}

impl Opening {
    /// For a verb that reads a snapshot only with `--from`.
    ///
    /// # Errors
    /// A [`Failure`] with [`ExitStatus::Usage`]: something opens a snapshot, and there is none.
    pub fn only_with_from(&self, from: bool) -> Result<()> {
        if from || !self.passphrase.is_given() && self.identities.is_empty() {
            return Ok(());
        }
        let given = if self.passphrase.is_given() { "--passphrase-file" } else { "--identity" };
        let message = format!("`{given}` is for opening a snapshot, but no snapshot is restored");
        Err(Failure::new(ExitStatus::Usage, message, format!("add `--from`, or omit `{given}`")).into())
    }

    /// What opens `file`; asks for a passphrase if it needs one.
    ///
    /// # Errors
    /// A file can't be read, a secret key is needed and none was given, or there is no terminal to ask on.
    pub async fn of(&self, file: &Path, reporter: &Reporter) -> Result<Secret> {
        match snapshot::needs(file)? {
            None => Ok(Secret::None),
            Some(age::Needs::Passphrase) => Ok(Secret::Passphrase(self.passphrase.of(file, reporter).await?)),
            Some(age::Needs::Identity) if self.identities.is_empty() => {
                let message = format!("{} is encrypted to public keys", file.display());
                Err(Failure::new(ExitStatus::Usage, message, "pass `--identity FILE`, with the secret key of one of them").into())
            }
            Some(age::Needs::Identity) => {
                let keys: Vec<Vec<age::Key>> = self.identities.iter().map(|file| read(file, reporter)).collect::<Result<_>>()?;
                Ok(Secret::Identities(keys.concat()))
            }
        }
    }
}

/// The secret keys in a file of `age-keygen`.
fn read(file: &Path, reporter: &Reporter) -> Result<Vec<age::Key>> {
    let bytes = user_file::read_or_listen(file, MOST_BYTES).map_err(|error| user_file::unreadable_secret("--identity", file, &error))?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut keys = Vec::new();
    for line in lines {
        reporter.redactor().add(line);
        keys.push(bech32::key(bech32::IDENTITY, line).ok_or_else(|| unusable(file))?);
    }
    if keys.is_empty() { Err(unusable(file)) } else { Ok(keys) }
}

fn unusable(file: &Path) -> anyhow::Error {
    let message = format!("{} contains something other than age secret keys", file.display());
    let hint = "pass a file that `age-keygen` wrote; for other kinds of keys, decrypt the snapshot with `age --decrypt` first";
    Failure::new(ExitStatus::Usage, message, hint).into()
}
