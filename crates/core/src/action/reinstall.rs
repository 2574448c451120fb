//! A machine's system is installed anew, by an installer that the running system starts.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::{Act, Outputs, Part, Payload, PowerState, minutes};
use crate::install::layout::installed_name;
use crate::quantity::size;
use crate::template::render;

/// A file of this computer that a machine gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SentFile {
    #[serde(skip)]
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    pub sha256: String,
}

/// Bring the installer and its order into the machine's memory, add the machine's host key there, and try whether the running system can start it.
/// Nothing else changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageInstaller {
    /// The order's [short id](crate::install::order::Order::short_id).
    pub id: String,
    pub kernel: SentFile,
    /// The initrd, without the order.
    pub installer: SentFile,
    /// As JSON, without the host key.
    #[serde(skip)]
    pub order: String,
    /// The machine's public host key: `ssh-ed25519 AAAA...`.
    pub host_key: String,
}

impl Act for StageInstaller {
    fn line(&self) -> String {
        format!("copy the installer ({}) into memory, and test whether it can be started", size(self.kernel.size + self.installer.size))
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        for file in [&self.kernel, &self.installer] {
            payload.push(Part::Local { path: file.path.clone(), size: file.size });
        }
        let order = payload.content(self.order.clone());
        let StageInstaller { id, kernel, installer, host_key, .. } = self;
        let files = kernel.size + installer.size;
        // The files themselves, and what is made of them when they are loaded.
        let (room, least) = (files / 1024 + 1024, 2 * files / 1024);
        let values = json!({
            "id": id, "kernel": kernel, "installer": installer, "order": order, "host_key": host_key, "room": room, "least": least,
            "packages": ["kexec-tools"],
        });
        render("machine/stage-installer.sh", values)
    }

    fn limit(&self) -> Duration {
        minutes(60)
    }
}

/// Start the installer, which erases the system, and wait until the new one answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reinstall {
    /// The order's short id.
    pub id: String,
    /// What is installed, and on what: `Debian trixie on nvme0n1 (500 GB, serial S4EW)`.
    pub what: String,
    /// What is erased; may be empty.
    pub erased: Vec<String>,
    /// Whether there is a data partition, which stays.
    pub keeps_data: bool,
}

impl Act for Reinstall {
    fn line(&self) -> String {
        let erased = if self.erased.is_empty() { String::new() } else { format!(", which erases {}", crate::words::and(&self.erased)) };
        let kept = if self.keeps_data { "; the data partition (/srv) stays" } else { "" };
        format!("install {}{erased}{kept}; other disks are left alone", self.what)
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        render("machine/reinstall.sh", json!({ "id": self.id, "partition": installed_name(&self.id) }))
    }

    fn limit(&self) -> Duration {
        minutes(20)
    }

    fn destroys(&self) -> bool {
        true
    }

    fn power(&self) -> PowerState {
        PowerState::Restarts
    }
}
