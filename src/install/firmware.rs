//! The firmware's boot entries, as efivarfs shows them: variables `Boot####` (UEFI 2.10, 3.1.3).

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::kernel;

const VARIABLES: &str = "/sys/firmware/efi/efivars";
/// Behind the names of variables that the specification defines.
const GLOBAL: &str = "-8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// What Debian's GRUB calls its entry, and looks for its configuration in a folder of that name.
pub const DEBIAN: &str = "debian";
/// Kept without power, for the firmware's own services and the system's.
const ATTRIBUTES: u32 = 7;
/// Of efivarfs: a file can't be deleted by mistake (`FS_IMMUTABLE_FL` of the kernel's include/uapi/linux/fs.h).
const IMMUTABLE: nix::libc::c_long = 0x10;

nix::ioctl_read!(flags, b'f', 1, nix::libc::c_long);
nix::ioctl_write_ptr!(set_flags, b'f', 2, nix::libc::c_long);

/// Has the firmware start the entry of this name next, once, whatever comes first otherwise. Returns whether there is one.
///
/// # Errors
/// The firmware's variables can't be read or written.
pub fn start_next(name: &str) -> Result<bool> {
    let folder = mounted()?;
    let Some((_, number)) = entries(folder, name)?.into_iter().next() else { return Ok(false) };
    let file = folder.join(format!("BootNext{GLOBAL}"));
    if file.exists() {
        changeable(&file)?;
    }
    let mut value = ATTRIBUTES.to_le_bytes().to_vec();
    value.extend(number.to_le_bytes());
    // The firmware takes a variable in one write.
    let written = OpenOptions::new().write(true).create(true).truncate(false).open(&file).and_then(|mut file| file.write_all(&value));
    written.context("the firmware does not accept the choice of the system to start next (BootNext)").map(|()| true)
}

/// Deletes the entries of this name.
///
/// # Errors
/// The firmware's variables can't be read, or one can't be deleted.
pub fn forget(name: &str) -> Result<()> {
    for (file, _) in entries(mounted()?, name)? {
        changeable(&file)?;
        fs::remove_file(&file).with_context(|| format!("the firmware boot entry `{name}` can't be deleted"))?;
    }
    Ok(())
}

fn mounted() -> Result<&'static Path> {
    let folder = Path::new(VARIABLES);
    // Nothing is in it until it is mounted.
    if fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none()) {
        kernel::mount_new("efivarfs", folder, "efivarfs")?;
    }
    Ok(folder)
}

/// The variables of entries with this name, and their numbers.
fn entries(folder: &Path, name: &str) -> Result<Vec<(PathBuf, u16)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).context("the firmware's variables can't be listed")? {
        let file = entry?.path();
        let number = file.file_name().and_then(|name| number(name.to_str()?));
        // One that can't be read is another's.
        let content = number.and_then(|_| fs::read(&file).ok());
        if let (Some(number), Some(content)) = (number, content)
            && description(&content).as_deref() == Some(name)
        {
            found.push((file, number));
        }
    }
    found.sort();
    Ok(found)
}

/// Of `Boot0001-8be4df61-...`: 1.
fn number(variable: &str) -> Option<u16> {
    let digits = variable.strip_suffix(GLOBAL)?.strip_prefix("Boot")?;
    u16::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 4)
}

/// The name of an entry: after the variable's attributes, the option's, and the length of its path, in UTF-16.
fn description(content: &[u8]) -> Option<String> {
    let units = content.get(10..)?.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    String::from_utf16(&units.take_while(|unit| *unit != 0).collect::<Vec<_>>()).ok()
}

fn changeable(file: &Path) -> Result<()> {
    let what = || format!("the immutable flag of {} can't be cleared", file.display());
    let open = File::open(file).with_context(what)?;
    let mut now = 0;
    // SAFETY: the kernel reads and writes one number, which lives until both calls have returned.
    unsafe {
        flags(open.as_raw_fd(), &raw mut now).with_context(what)?;
        now &= !IMMUTABLE;
        set_flags(open.as_raw_fd(), &raw const now).with_context(what)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Vec<u8> {
        let mut content = [7_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat();
        content.extend(4_u16.to_le_bytes());
        content.extend(name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
        content.extend([0x7f, 0xff, 4, 0]);
        content
    }

    #[test]
    fn an_entry_is_found_by_its_whole_name() {
        let folder = tempfile::tempdir().unwrap();
        for (variable, content) in [
            ("Boot0001", entry("UEFI QEMU USB HARDDRIVE")),
            ("Boot000A", entry("debian")),
            ("Boot0003", entry("debian 12")),
            ("Boot0004", vec![7, 0, 0]),
            ("BootOrder", entry("debian")),
            ("BootNext", entry("debian")),
            ("Boot00010", entry("debian")),
        ] {
            fs::write(folder.path().join(format!("{variable}{GLOBAL}")), content).unwrap();
        }
        fs::write(folder.path().join("Boot0007-00000000-93ca-11d2-aa0d-00e098032b8c"), entry("debian")).unwrap();
        let numbers = |name: &str| entries(folder.path(), name).unwrap().into_iter().map(|(_, number)| number).collect::<Vec<_>>();
        assert_eq!(numbers("debian"), [10]);
        assert_eq!(numbers("hostler-install"), Vec::<u16>::new());
    }
}
