//! kubectl's lock on a kubeconfig: `FILE.lock`, which exists while somebody changes FILE (client-go, tools/clientcmd, `lockFile`).

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hostler_core::failure::{ExitStatus, Failure};

/// kubectl holds it for one write.
const LOCKED: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(20);

/// Held until it is dropped.
pub struct Lock {
    file: PathBuf,
}

impl Lock {
    /// Waits for the lock on `kubeconfig`, a few seconds.
    ///
    /// # Errors
    /// Another program keeps it, or left it behind; its folder can't be written to.
    pub fn take(kubeconfig: &Path) -> Result<Lock> {
        let mut file = kubeconfig.as_os_str().to_owned();
        file.push(".lock");
        let file = PathBuf::from(file);
        let last = Instant::now() + LOCKED;
        loop {
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file) {
                Ok(_) => return Ok(Lock { file }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && Instant::now() < last => thread::sleep(AGAIN),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let message = format!("{} is locked: the lock file {} exists", kubeconfig.display(), file.display());
                    let hint = format!("if neither kubectl nor hostler is running, delete the stale lock file {}", file.display());
                    return Err(Failure::new(ExitStatus::Failed, message, hint).into());
                }
                Err(error) => return Err(error).with_context(|| format!("{} can't be created", file.display())),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A lock that stays is reported to the next who wants it, with what to do.
        let _ = fs::remove_file(&self.file);
    }
}
