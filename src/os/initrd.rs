//! The installer's initrd: this program as its first one, the modules of its kernel, and its medium where that is memory.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use cpio::newc::{Builder, trailer};

use super::stick::FOLDER;
use crate::user_file;

/// Empty folders: mount points.
const FOLDERS: [&str; 6] = ["dev", "medium", "modules", "proc", "sys", "target"];

/// Of newc: what entries and archives begin at multiples of, in bytes.
const UNIT: u64 = 4;

/// Writes the initrd, compressed with zstd, from an image's folder.
///
/// # Errors
/// A file can't be read, or `to` can't be written.
pub fn write(image: &Path, to: &Path) -> Result<()> {
    let mut new = zstd::Encoder::new(File::create(to)?, 3)?;
    for folder in FOLDERS {
        Builder::new(folder).mode(0o040_755).nlink(2).write(&mut new, 0).finish()?;
    }
    add(&mut new, "init", 0o100_755, Path::new("/proc/self/exe"))?;
    add(&mut new, "modules.order", 0o100_644, &image.join("modules.order"))?;
    for name in String::from_utf8(user_file::read(&image.join("modules.order"), user_file::MOST_BYTES)?)?.lines() {
        add(&mut new, &format!("modules/{name}"), 0o100_644, &image.join("modules").join(name))?;
    }
    trailer(&mut new)?;
    new.finish()?.sync_all()?;
    Ok(())
}

/// The same, and behind it, not compressed, files of the image's folder for a [medium](FOLDER) in memory. An order can be appended.
///
/// # Errors
/// As [`write`].
pub fn write_with(image: &Path, files: &[&str], to: &Path) -> Result<()> {
    write(image, to)?;
    let mut new = File::options().append(true).open(to)?;
    // An archive that is not compressed begins at a multiple of its unit.
    let length = new.metadata()?.len();
    new.write_all(&[0; UNIT as usize][..usize::try_from(length.next_multiple_of(UNIT) - length)?])?;
    Builder::new(FOLDER).mode(0o040_700).nlink(2).write(&mut new, 0).finish()?;
    for name in files {
        add(&mut new, &format!("{FOLDER}/{name}"), 0o100_600, &image.join(name))?;
    }
    trailer(&mut new)?;
    new.sync_all()?;
    Ok(())
}

fn add(archive: &mut impl Write, name: &str, mode: u32, from: &Path) -> Result<()> {
    let mut file = user_file::regular(from).with_context(|| format!("{} can't be opened", from.display()))?;
    let size = u32::try_from(file.metadata()?.len()).with_context(|| format!("{} is too large for an initrd", from.display()))?;
    let mut entry = Builder::new(name).mode(mode).write(archive, size);
    io::copy(&mut file, &mut entry).with_context(|| format!("{} can't be read", from.display()))?;
    entry.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use cpio::newc::Reader;

    use super::*;

    #[test]
    fn an_initrd_starts_this_program_and_has_the_modules_in_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path();
        fs::create_dir(image.join("modules")).unwrap();
        fs::write(image.join("modules.order"), "b.ko\na.ko\n").unwrap();
        fs::write(image.join("modules/a.ko"), "first").unwrap();
        fs::write(image.join("modules/b.ko"), "second, with a length that is padded").unwrap();
        let file = image.join("initrd");
        write(image, &file).unwrap();
        let bytes = zstd::decode_all(File::open(&file).unwrap()).unwrap();
        let mut found = Vec::new();
        let mut rest = bytes.as_slice();
        loop {
            let entry = Reader::new(rest).unwrap();
            if entry.entry().is_trailer() {
                break;
            }
            found.push((entry.entry().name().to_owned(), entry.entry().mode(), u64::from(entry.entry().file_size())));
            rest = entry.finish().unwrap();
        }
        let size = |name: &str| found.iter().find(|(found, _, _)| found == name).map(|(_, mode, size)| (*mode, *size));
        assert_eq!(size("init"), Some((0o100_755, fs::metadata("/proc/self/exe").unwrap().len())));
        assert_eq!((size("modules/a.ko"), size("modules/b.ko")), (Some((0o100_644, 5)), Some((0o100_644, 36))));
        assert!(FOLDERS.iter().all(|folder| size(folder) == Some((0o040_755, 0))));
    }

    #[test]
    fn a_medium_follows_where_the_kernel_looks_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path();
        fs::create_dir(image.join("modules")).unwrap();
        fs::write(image.join("modules.order"), "").unwrap();
        for length in 0..5 {
            fs::write(image.join("system.img.zst"), vec![7; length]).unwrap();
            let (plain, file) = (image.join("plain"), image.join("initrd"));
            write(image, &plain).unwrap();
            write_with(image, &["system.img.zst"], &file).unwrap();
            let start = usize::try_from(fs::metadata(&plain).unwrap().len().next_multiple_of(UNIT)).unwrap();
            let bytes = fs::read(&file).unwrap();
            let entry = Reader::new(&bytes[start..]).unwrap();
            assert_eq!((entry.entry().name(), entry.entry().mode()), (FOLDER, 0o040_700));
            let entry = Reader::new(entry.finish().unwrap()).unwrap();
            assert_eq!((entry.entry().name(), entry.entry().file_size() as usize), ("hostler/system.img.zst", length));
            assert!(Reader::new(entry.finish().unwrap()).unwrap().entry().is_trailer());
            assert_eq!(bytes.len() as u64 % UNIT, 0);
        }
    }
}
