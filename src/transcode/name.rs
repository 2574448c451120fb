//! Names that the library's file system takes: NTFS, exFAT and SMB take fewer than those of Linux.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::layout::shown;

/// Bytes that a mended name has at most: file systems that encrypt names take about 140.
const MOST: usize = 120;
/// Names of devices in Windows.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];

/// No name for the film could be found that the library takes: another attempt would fail, too.
#[derive(Debug, thiserror::Error)]
#[error("the library does not accept the name `{0}`: {1}; give the film another name with `hostler transcode name`")]
pub struct Unfit(String, io::Error);

/// The place, with names that the library takes. Whatever comes to it is tried before a film is copied. `hidden`: the name of a folder that
/// this attempt alone uses, in that of the film.
///
/// # Errors
/// [`Unfit`], or the library can't be written to.
pub fn fitting(root: &Path, relative: &Path, hidden: &str) -> Result<PathBuf> {
    let first = match tried(root, relative, hidden) {
        Ok(()) => return Ok(relative.to_owned()),
        Err(error) if is_about_names(&error) => error,
        Err(error) => return Err(error).with_context(|| format!("{} can't be created in the library", shown(relative))),
    };
    let mended: PathBuf = relative.iter().map(mended).collect();
    match tried(root, &mended, hidden) {
        Ok(()) => Ok(mended),
        Err(error) if is_about_names(&error) => Err(Unfit(shown(relative), first).into()),
        Err(error) => Err(error).with_context(|| format!("{} can't be created in the library", shown(&mended))),
    }
}

/// Creates the folders, and for a moment a file of that name in a hidden folder. At its place it would be taken for the film: by media servers,
/// by an attempt that runs beside this one, and by everybody if this one is killed.
fn tried(root: &Path, relative: &Path, hidden: &str) -> io::Result<()> {
    let (Some(folder), Some(name)) = (relative.parent(), relative.file_name()) else { return Err(io::ErrorKind::InvalidInput.into()) };
    let hidden = root.join(folder).join(hidden);
    fs::create_dir_all(&hidden)?;
    let created = fs::File::create(hidden.join(name)).map(drop);
    match fs::remove_dir_all(&hidden) {
        // Only another attempt that cleans up takes it away, and says nothing about the name.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(io::Error::other("another attempt is publishing the film")),
        Err(error) => Err(error),
        Ok(()) => created,
    }
}

/// Whether the file system does not take a name: EINVAL, ENAMETOOLONG, EILSEQ; and ENOENT, as SMB answers for names of devices.
pub fn is_about_names(error: &io::Error) -> bool {
    use nix::libc::{EILSEQ, EINVAL, ENAMETOOLONG, ENOENT};
    error.raw_os_error().is_some_and(|code| [EINVAL, ENAMETOOLONG, EILSEQ, ENOENT].contains(&code))
}

/// A name without what Windows does not take, as media servers expect it: `Alien: Covenant` becomes `Alien - Covenant`.
fn mended(name: &OsStr) -> OsString {
    let text = name.to_string_lossy().replace(": ", " - ");
    let mut text: String = text
        .chars()
        .filter_map(|letter| match letter {
            ':' => Some('-'),
            '?' | '*' | '"' | '<' | '>' | '|' | '\\' | '\u{fffd}' => None,
            letter if letter.is_control() => None,
            letter => Some(letter),
        })
        .collect();
    let (stem, extension) = match text.rsplit_once('.') {
        Some((stem, "mkv")) => (stem.to_owned(), ".mkv"),
        _ => (text.clone(), ""),
    };
    let mut stem = stem.trim_end_matches(['.', ' ']).trim_start().to_owned();
    let mut end = MOST.min(stem.len());
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    stem.truncate(end);
    let device = stem.to_ascii_lowercase();
    let device = device.trim_end_matches(|letter: char| letter.is_ascii_digit());
    if stem.is_empty() || DEVICES.contains(&device) {
        stem.push('_');
    }
    text = format!("{stem}{extension}");
    OsString::from_vec(OsStr::new(&text).as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_mended_as_windows_takes_them() {
        for (name, wanted) in [
            ("Alien: Covenant (2017).mkv", "Alien - Covenant (2017).mkv"),
            ("Who is it?.mkv", "Who is it.mkv"),
            ("con.mkv", "con_.mkv"),
            ("Folder dot.", "Folder dot"),
            ("???.mkv", "_.mkv"),
            ("a\nb.mkv", "ab.mkv"),
            ("Up.mkv", "Up.mkv"),
        ] {
            assert_eq!(mended(OsStr::new(name)), OsStr::new(wanted));
        }
        assert!(mended(OsStr::new(&"ä".repeat(120))).len() <= MOST);
    }

    #[test]
    fn a_place_is_tried_and_nothing_stays() {
        let root = tempfile::tempdir().unwrap();
        let place = Path::new("Movies/Up: 2.mkv");
        assert_eq!(fitting(root.path(), place, ".try").unwrap(), place);
        assert_eq!(fs::read_dir(root.path().join("Movies")).unwrap().count(), 0);
        // Longer than any file system takes.
        let long = format!("Movies/{}.mkv", "x".repeat(300));
        let mended = fitting(root.path(), Path::new(&long), ".try").unwrap();
        assert_eq!(mended.file_name().unwrap().len(), MOST + 4);
        fs::write(root.path().join("file"), "").unwrap();
        assert!(fitting(root.path(), Path::new("file/Up.mkv"), ".try").is_err());
    }
}
