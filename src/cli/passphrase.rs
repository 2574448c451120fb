//! The passphrase of an encrypted snapshot: from a file, or from a prompt.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use hostler_core::failure::{ExitStatus, Failure};

use crate::report::Reporter;
use crate::user_file;

/// Of a file with a passphrase: more is read of none.
const MOST_BYTES: usize = 64 << 10;

#[derive(Debug, Clone, Default, Args)]
pub struct PassphraseFile {
    /// File whose first line is the snapshot's passphrase [default: ask]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseFile {
    pub fn is_given(&self) -> bool {
        self.passphrase_file.is_some()
    }

    /// The passphrase of an existing snapshot.
    ///
    /// # Errors
    /// The file can't be read, or there is no terminal to ask on.
    pub async fn of(&self, snapshot: &Path, reporter: &Reporter) -> Result<String> {
        match self.read(reporter)? {
            Some(passphrase) => Ok(passphrase),
            None => reporter.asker().password(&format!("passphrase of {}", snapshot.display()), "pass `--passphrase-file FILE`").await,
        }
    }

    /// A passphrase for a new snapshot. At a prompt it must be typed twice.
    ///
    /// # Errors
    /// As [`of`](PassphraseFile::of); an empty passphrase, or two that differ.
    pub async fn new_one(&self, reporter: &Reporter) -> Result<String> {
        if let Some(passphrase) = self.read(reporter)? {
            return Ok(passphrase);
        }
        let hint = "pass `--passphrase-file FILE`";
        let asker = reporter.asker();
        let passphrase = asker.password("passphrase for the snapshot", hint).await?;
        if passphrase.is_empty() {
            return Err(Failure::new(ExitStatus::Usage, "the passphrase is empty", "type a passphrase, or omit `--encrypt`").into());
        }
        if asker.password("repeat the passphrase", hint).await? != passphrase {
            return Err(Failure::new(
                ExitStatus::Usage,
                "the two passphrases differ",
                "run the command again, and type the same \
                passphrase twice",
            )
            .into());
        }
        Ok(passphrase)
    }

    fn read(&self, reporter: &Reporter) -> Result<Option<String>> {
        let Some(file) = &self.passphrase_file else { return Ok(None) };
        let bytes =
            user_file::read_or_listen(file, MOST_BYTES).map_err(|error| user_file::unreadable_secret("--passphrase-file", file, &error))?;
        let Ok(text) = String::from_utf8(bytes) else {
            let message = format!("{} is not UTF-8", file.display());
            return Err(Failure::new(ExitStatus::Usage, message, "write the passphrase in the first line of a text file").into());
        };
        let passphrase = text.lines().next().unwrap_or_default();
        if passphrase.is_empty() {
            let message = format!("the first line of {} is empty, so there is no passphrase", file.display());
            return Err(Failure::new(ExitStatus::Usage, message, "write the passphrase in the first line of the file").into());
        }
        reporter.redactor().add(passphrase);
        Ok(Some(passphrase.to_owned()))
    }
}
