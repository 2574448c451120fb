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
use crate::visible::visible;

/// A file of this computer that a machine gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SentFile {
    #[serde(skip)]
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    pub sha256: String,
}

/// What the firmware starts: shim, GRUB, and MokManager, which shim starts where it finds no key. Signed for Secure Boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loaders {
    pub shim: SentFile,
    pub grub: SentFile,
    pub mok: SentFile,
}

/// How the installer is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The running kernel does it, from memory.
    Kexec,
    /// The firmware does it at the next start, and only then, from the EFI system partition at this mount point.
    BootNext { esp: String },
}

impl Way {
    fn esp(&self) -> Option<&str> {
        match self {
            Way::Kexec => None,
            Way::BootNext { esp } => Some(esp),
        }
    }
}

/// Bring the installer and its order to the machine, into memory or to the EFI system partition, and test whether it can be started. Nothing else
/// changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageInstaller {
    /// The order's [short id](crate::install::order::short_id).
    pub id: String,
    pub kernel: SentFile,
    /// The initrd, without the order.
    pub installer: SentFile,
    pub loaders: Loaders,
    pub way: Way,
    /// As JSON, without the host key.
    #[serde(skip)]
    pub order: String,
    /// Where the installer looks for the order.
    pub order_file: &'static str,
    /// The machine's public host key, `ssh-ed25519 AAAA...`, where the installer gets the private one: it is added on the machine.
    pub host_key: Option<String>,
}

impl StageInstaller {
    /// What is sent, in the order in which it is read.
    fn files(&self) -> Vec<&SentFile> {
        let loaders = [&self.loaders.shim, &self.loaders.grub, &self.loaders.mok];
        let loaders = loaders.into_iter().filter(|_| self.way != Way::Kexec);
        [&self.kernel, &self.installer].into_iter().chain(loaders).collect()
    }
}

impl Act for StageInstaller {
    fn line(&self) -> String {
        let size = size(self.files().iter().map(|file| file.size).sum());
        match &self.way {
            Way::Kexec => format!("copy the installer ({size}) into memory, and check that it can be started"),
            Way::BootNext { esp } => {
                format!("copy the installer ({size}) to {}, and add a firmware boot entry for it", visible(esp))
            }
        }
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        for file in self.files() {
            payload.push(Part::Local { path: file.path.clone(), size: file.size });
        }
        let order = payload.content(self.order.clone());
        let StageInstaller { id, kernel, installer, loaders, way, order_file, host_key, .. } = self;
        let files = kernel.size + installer.size;
        // The files themselves, and what is made of them when they are loaded.
        let (room, least) = (files / 1024 + 1024, 2 * files / 1024);
        let values = json!({
            "id": id, "kernel": kernel, "initrd": installer, "loaders": loaders, "order": order, "order_file": order_file,
            "host_key": host_key, "room": room, "least": least, "esp": way.esp(),
            "packages": [if *way == Way::Kexec { "kexec-tools" } else { "efibootmgr" }],
        });
        render(if *way == Way::Kexec { "machine/stage-installer.sh" } else { "machine/stage-on-esp.sh" }, values)
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
    pub way: Way,
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
        let kept = if self.keeps_data { "; the data partition (/srv) is kept" } else { "" };
        format!("install {}{erased}{kept}; other disks are left alone", self.what)
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        render("machine/reinstall.sh", json!({ "id": self.id, "partition": installed_name(&self.id), "esp": self.way.esp() }))
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

/// Start the installer, which erases the disk and switches the machine off.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Erase {
    /// The order's short id.
    pub id: String,
    /// The disk: `nvme0n1 (500 GB, serial S4EW)`.
    pub what: String,
    /// What is on it, beside the data partition; may be empty.
    pub erased: Vec<String>,
    /// Whether there is a data partition, which is erased, too.
    pub has_data: bool,
}

impl Act for Erase {
    fn line(&self) -> String {
        let mut erased = self.erased.clone();
        erased.extend(self.has_data.then(|| "the data partition (/srv) with all files on it".to_owned()));
        let erased = if erased.is_empty() { String::new() } else { format!(": {}", crate::words::and(&erased)) };
        format!("erase {}{erased}; other disks are left alone; then power off", self.what)
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        render("machine/erase.sh", json!({ "id": self.id }))
    }

    fn limit(&self) -> Duration {
        minutes(20)
    }

    fn destroys(&self) -> bool {
        true
    }

    fn power(&self) -> PowerState {
        PowerState::GoesOff
    }
}
