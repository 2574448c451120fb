//! The host keys of machines that hostler installs: made on this computer before the machine starts, so that its first login shows a key that is
//! known. They are kept, so that a machine that is installed again keeps its key.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hostler_core::inventory::MachineName;
use ring::rand::{SecureRandom, SystemRandom};
use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};

use crate::{atomic, home, user_file};

/// The folder with the keys of a cluster's machines.
///
/// # Errors
/// The user's home is unknown.
pub fn folder(cluster: &str) -> Result<PathBuf> {
    Ok(home::data()?.join("host-keys").join(cluster))
}

/// The key of a machine in this folder, which is made if there is none.
///
/// # Errors
/// The folder can't be written to, or the file is not a private key.
pub fn of(folder: &Path, machine: &MachineName) -> Result<PrivateKey> {
    let file = folder.join(format!("{machine}.key"));
    match user_file::read(&file, user_file::MOST_BYTES) {
        Ok(bytes) => PrivateKey::from_openssh(&bytes).with_context(|| {
            format!(
                "{} is not a valid private key: move the file away, and \
            hostler generates a new key",
                file.display()
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut seed = [0; 32];
            SystemRandom::new().fill(&mut seed).ok().context("the kernel provided no random numbers")?;
            let pair = KeypairData::from(Ed25519Keypair::from_seed(&seed));
            let key = PrivateKey::new(pair, machine.as_str()).context("a host key can't be generated")?;
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .with_context(|| format!("{} can't be created", folder.display()))?;
            atomic::create(&file, text(&key)?.as_bytes(), 0o600).with_context(|| format!("{} can't be written", file.display()))?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("{} can't be read", file.display())),
    }
}

/// The private key in OpenSSH's format.
pub fn text(key: &PrivateKey) -> Result<String> {
    Ok(key.to_openssh(LineEnding::LF).context("a host key can't be written")?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_keeps_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("keys");
        let of = |name| super::of(&below, &MachineName::new(name).unwrap()).unwrap();
        let key = of("rainbowdash");
        assert_eq!(text(&key).unwrap(), text(&of("rainbowdash")).unwrap());
        assert_ne!(key.public_key(), of("pinkiepie").public_key());
        fs::write(below.join("applejack.key"), "").unwrap();
        assert!(super::of(&below, &MachineName::new("applejack").unwrap()).is_err());
    }
}
