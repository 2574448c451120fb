//! Machines that a stick is to install and that have not answered since it was made: for all that is known, they have no system yet.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use hostler_core::facts::{Contact, Unreachable};
use hostler_core::inventory::MachineName;
use hostler_core::quantity::age;
use hostler_core::visible::visible;

use crate::{atomic, user_file};

/// A machine that has not answered since its stick was made.
#[derive(Debug, Clone)]
pub struct Awaited {
    /// Deleted when the machine answers.
    file: PathBuf,
    /// What the stick installs, and where.
    what: String,
    made: SystemTime,
}

/// Records that a stick installs this machine. `folder`: where the cluster's host keys are. `what`: as in "Debian trixie on its only disk".
///
/// # Errors
/// The folder can't be written to.
pub fn expect(folder: &Path, machine: &MachineName, what: &str) -> Result<()> {
    let file = place(folder, machine);
    atomic::write(&file, what.as_bytes(), 0o600).with_context(|| format!("{} can't be written", file.display()))
}

/// `None`: no stick was made for the machine, or it has answered since.
pub fn of(folder: &Path, machine: &MachineName) -> Option<Awaited> {
    let file = place(folder, machine);
    let what = String::from_utf8(user_file::read(&file, user_file::MOST_BYTES).ok()?).ok()?;
    let made = file.metadata().and_then(|metadata| metadata.modified()).ok()?;
    Some(Awaited { file, what, made })
}

impl Awaited {
    /// The machine answered: it has a system.
    pub fn arrived(&self) {
        // If the file stays, the machine is only described differently when it is off.
        let _ = fs::remove_file(&self.file);
    }

    /// What is known of a machine that could not be reached.
    pub fn describe(&self, why: Unreachable) -> Unreachable {
        if !self.file.exists() {
            return why;
        }
        if why.contact != Contact::Silence {
            // Something answers there, which may be another machine, or its old system.
            let hint = format!(
                "if the machine has no system yet, start it from the stick, which installs {}; otherwise {}",
                visible(&self.what),
                why.hint
            );
            return Unreachable { hint, ..why };
        }
        let ago = SystemTime::now().duration_since(self.made).as_ref().map_or(0, Duration::as_secs);
        Unreachable {
            reason: format!("no answer since the stick was made {} ago", age(ago)),
            hint: format!("start the machine from the stick, which installs {}", visible(&self.what)),
            contact: Contact::Silence,
        }
    }
}

fn place(folder: &Path, machine: &MachineName) -> PathBuf {
    folder.join(format!("{machine}.awaited"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_awaited_until_it_answers() {
        let folder = tempfile::tempdir().unwrap();
        let machine = MachineName::new("rainbowdash").unwrap();
        assert!(of(folder.path(), &machine).is_none());
        expect(folder.path(), &machine, "Debian trixie on its only disk").unwrap();
        let awaited = of(folder.path(), &machine).unwrap();
        let silent = || Unreachable::silent("no answer within 10 s");
        let described = awaited.describe(silent());
        assert_eq!(described.reason, "no answer since the stick was made 0s ago");
        assert_eq!(described.hint, "start the machine from the stick, which installs Debian trixie on its only disk");
        // A machine that answers in any way is on, and has something that answers.
        let refused = Unreachable { contact: Contact::Answer, ..silent() };
        let described = awaited.describe(refused);
        assert_eq!(described.reason, "no answer within 10 s");
        assert!(described.hint.starts_with("if the machine has no system yet, start it from the stick, "), "{}", described.hint);
        awaited.arrived();
        assert!(of(folder.path(), &machine).is_none());
        // A run that is still waiting for it knows that, too.
        assert_eq!(awaited.describe(silent()).reason, "no answer within 10 s");
    }
}
