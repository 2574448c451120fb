//! What the installer asks of the kernel.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};

use super::screen::Screen;

/// The initrd's folder of modules, and their names in the order in which they are loaded.
const MODULES: &str = "/modules";
const MODULES_ORDER: &str = "/modules.order";

/// Mounts what the kernel shows of itself.
pub fn mount_own() -> Result<()> {
    for (kind, path) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        mount_new(kind, Path::new(path), kind)?;
    }
    Ok(())
}

/// Mounts the file system `kind` of `device` at a folder.
pub fn mount_new(device: &str, folder: &Path, kind: &str) -> Result<()> {
    mount(Some(device), folder, Some(kind), MsFlags::empty(), None::<&str>)
        .with_context(|| format!("{device} ({kind}) can't be mounted at {}", folder.display()))
}

/// Loads the modules of the initrd. One without its device, or without the processor's features, does not load.
pub fn load_modules(screen: &Screen) -> Result<()> {
    let order = fs::read_to_string(MODULES_ORDER).context("the list of modules can't be read")?;
    for name in order.lines() {
        let file = File::open(Path::new(MODULES).join(name)).with_context(|| format!("the module {name} can't be opened"))?;
        if let Err(error) = finit_module(&file, c"", ModuleInitFlags::empty()) {
            screen.line(&format!("module {name}: {error}"));
        }
    }
    Ok(())
}

/// The parameter on the kernel's command line that begins so.
pub fn parameter(begins: &str) -> Result<Option<String>> {
    let line = fs::read_to_string("/proc/cmdline").context("the kernel's command line can't be read")?;
    Ok(line.split_whitespace().find(|word| word.starts_with(begins)).map(str::to_owned))
}

/// The MAC addresses of all network cards, in lower case.
pub fn network_cards() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/sys/class/net").context("network cards can't be listed")? {
        let folder = entry?.path();
        // Without it, it is made by the kernel: lo.
        if folder.join("device").exists() {
            found.extend(fs::read_to_string(folder.join("address")).ok().map(|mac| mac.trim().to_ascii_lowercase()));
        }
    }
    found.sort();
    Ok(found)
}

/// How the installer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Restart,
    SwitchOff,
}

/// Restarts the computer, or switches it off.
pub fn end(end: End) -> ! {
    nix::unistd::sync();
    // It does not return, or can't be done.
    let _ = reboot(match end {
        End::Restart => RebootMode::RB_AUTOBOOT,
        End::SwitchOff => RebootMode::RB_POWER_OFF,
    });
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}
