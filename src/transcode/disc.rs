//! Discs as folders: which folders are one, and whether one is complete by what is written in its own files.
//!
//! A file's writer keeps its handle when the file is renamed; whoever copies a folder does not. So a disc is moved only when no part of it is
//! missing.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::kind;
use crate::user_file;

/// Bytes of a sector of a DVD.
const SECTOR: u64 = 2048;
/// Bytes of a packet of a Blu-ray's stream.
const PACKET: u64 = 192;
/// The longest playlist that is read.
const MOST_BYTES: u64 = 1 << 20;

/// Whether a folder with this name makes its parent folder a disc.
pub fn is_disc(name: &OsStr) -> bool {
    ["VIDEO_TS", "BDMV"].iter().any(|disc| name.eq_ignore_ascii_case(disc))
}

/// Whether the files of a DVD are in this folder itself, as some programs copy them.
///
/// # Errors
/// It can't be read.
pub fn is_flat(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy().to_ascii_uppercase();
        if name == "VIDEO_TS.IFO" || is_title_set(&name) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `VTS_01_0.IFO`
fn is_title_set(name: &str) -> bool {
    name.strip_prefix("VTS_").and_then(|rest| rest.strip_suffix("_0.IFO")).is_some_and(|number| number.parse::<u8>().is_ok())
}

/// Whether a file is a part of a DVD, by its name.
pub fn is_part(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_uppercase();
    let (stem, extension) = name.rsplit_once('.').unwrap_or((&name, ""));
    (stem == "VIDEO_TS" || stem.starts_with("VTS_")) && matches!(extension, "IFO" | "BUP" | "VOB")
}

/// A film that lies among the files of a disc, or below them, and is not a part of it.
///
/// # Errors
/// The folder can't be read.
pub fn other_film(folder: &Path) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        if kind::is_foreign(&name) || is_part(&name) {
            continue;
        }
        let is_folder = entry.file_type()?.is_dir();
        if is_folder && is_disc(&name) || !is_folder && (kind::is_film(&path) || kind::is_coming(&path)) {
            return Ok(Some(path));
        }
        if is_folder && let Some(found) = other_film(&path)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// What a disc lacks by its own tables of contents; `None`: nothing. `folder` is its `VIDEO_TS` or `BDMV`.
///
/// # Errors
/// It can't be read.
pub fn lacks(folder: &Path) -> io::Result<Option<String>> {
    let lacks = if folder.file_name().is_some_and(|name| name.eq_ignore_ascii_case("BDMV")) { blu_ray(folder) } else { dvd(folder) };
    // Something has gone or is not there yet, or is a folder or a pipe.
    let none = [io::ErrorKind::NotFound, io::ErrorKind::IsADirectory, io::ErrorKind::NotADirectory, io::ErrorKind::InvalidInput];
    match lacks {
        Err(error) if none.contains(&error.kind()) => Ok(Some("at least one of its files".to_owned())),
        lacks => lacks,
    }
}

/// Sizes in bytes by upper-case names.
fn sizes(folder: &Path) -> io::Result<Vec<(String, u64)>> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut sizes = Vec::new();
    for entry in listed {
        let entry = entry?;
        if kind::is_foreign(&entry.file_name()) {
            continue;
        }
        sizes.push((entry.file_name().to_string_lossy().to_ascii_uppercase(), entry.metadata()?.len()));
    }
    sizes.sort();
    Ok(sizes)
}

/// The real name of an entry, whatever its case.
fn named(folder: &Path, name: &str) -> io::Result<PathBuf> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().eq_ignore_ascii_case(name) {
            return Ok(entry.path());
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// By the offsets that are common to all IFO files: big-endian, of the last sector of the whole at 0x0c, of the IFO itself at 0x1c; in
/// `VIDEO_TS.IFO` the number of title sets at 0x3e.
fn dvd(folder: &Path) -> io::Result<Option<String>> {
    let sizes = sizes(folder)?;
    let size = |name: &str| sizes.iter().find(|(known, _)| known == name).map(|(_, size)| *size);
    if size("VIDEO_TS.IFO").is_none() && size("VIDEO_TS.BUP").is_none() {
        return Ok(Some("VIDEO_TS.IFO".to_owned()));
    }
    let main = if size("VIDEO_TS.IFO").is_some() { "VIDEO_TS.IFO" } else { "VIDEO_TS.BUP" };
    let head = head(&named(folder, main)?)?;
    if head.len() < 0x40 || size(main).unwrap_or_default() < sectors(&head, 0x1c) {
        return Ok(Some(format!("the end of {main}")));
    }
    let sets = u16::from_be_bytes([head[0x3e], head[0x3f]]);
    for set in 1..=sets {
        let (ifo, bup) = (format!("VTS_{set:02}_0.IFO"), format!("VTS_{set:02}_0.BUP"));
        let Some(has) = size(&ifo) else { return Ok(Some(ifo)) };
        let head = self::head(&named(folder, &ifo)?)?;
        if head.len() < 0x20 || has < sectors(&head, 0x1c) {
            return Ok(Some(format!("the end of {ifo}")));
        }
        if size(&bup).is_none() {
            return Ok(Some(bup));
        }
        let prefix = format!("VTS_{set:02}_");
        let there: u64 = sizes.iter().filter(|(name, _)| name.starts_with(&prefix)).map(|(_, size)| size).sum();
        let whole = sectors(&head, 0x0c);
        if there < whole {
            return Ok(Some(format!("a part of title set {set} (only {there} of {whole} bytes are present)")));
        }
    }
    Ok(None)
}

/// Bytes up to the end of the sector whose number is at `offset`.
fn sectors(head: &[u8], offset: usize) -> u64 {
    head.get(offset..offset + 4).map_or(0, |bytes| (u64::from(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])) + 1) * SECTOR)
}

fn head(file: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    user_file::regular(file)?.take(256).read_to_end(&mut head)?;
    Ok(head)
}

/// Each stream has its clip information, and as many packets as that says; each clip of a playlist is there.
fn blu_ray(folder: &Path) -> io::Result<Option<String>> {
    let below = |name: &str| named(folder, name);
    for file in ["index.bdmv", "STREAM", "CLIPINF", "PLAYLIST"] {
        if below(file).is_err() {
            return Ok(Some(file.to_owned()));
        }
    }
    let (streams, clips, lists) = (below("STREAM")?, below("CLIPINF")?, below("PLAYLIST")?);
    let there = sizes(&streams)?;
    let informed = sizes(&clips)?;
    if informed.is_empty() || sizes(&lists)?.is_empty() {
        return Ok(Some("a playlist or its clip information".to_owned()));
    }
    for (name, _) in there.iter().filter(|(name, _)| name.ends_with(".M2TS")) {
        let clip = name.replace(".M2TS", ".CLPI");
        if !informed.iter().any(|(known, _)| *known == clip) {
            return Ok(Some(clip));
        }
    }
    for (clip, _) in informed.iter().filter(|(name, _)| name.ends_with(".CLPI")) {
        let mut file = user_file::regular(&named(&clips, clip)?)?;
        let mut number = [0; 4];
        file.seek(SeekFrom::Start(56))?;
        if file.read_exact(&mut number).is_err() {
            return Ok(Some(format!("the end of {clip}")));
        }
        let stream = clip.replace(".CLPI", ".M2TS");
        let has = there.iter().find(|(name, _)| *name == stream).map_or(0, |(_, size)| *size);
        let whole = u64::from(u32::from_be_bytes(number)) * PACKET;
        if has < whole {
            return Ok(Some(format!("a part of {stream} (only {has} of {whole} bytes are present)")));
        }
    }
    for (list, _) in sizes(&lists)?.iter().filter(|(name, _)| name.ends_with(".MPLS")) {
        let mut text = Vec::new();
        user_file::regular(&named(&lists, list)?)?.take(MOST_BYTES).read_to_end(&mut text)?;
        // `00001M2TS`: the name of a clip, and its kind.
        for place in text.windows(4).enumerate().filter(|(_, word)| *word == b"M2TS").map(|(place, _)| place) {
            let Some(name) = place.checked_sub(5).and_then(|start| std::str::from_utf8(&text[start..place]).ok()) else { continue };
            if name.bytes().all(|byte| byte.is_ascii_digit()) && !there.iter().any(|(known, _)| *known == format!("{name}.M2TS")) {
                return Ok(Some(format!("{name}.M2TS")));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::record::Stamp;
    use super::*;

    fn ifo(sectors: u32, whole: u32, sets: u16) -> Vec<u8> {
        let mut ifo = vec![0; sectors as usize * 2048];
        ifo[0x0c..0x10].copy_from_slice(&(whole - 1).to_be_bytes());
        ifo[0x1c..0x20].copy_from_slice(&(sectors - 1).to_be_bytes());
        ifo[0x3e..0x40].copy_from_slice(&sets.to_be_bytes());
        ifo
    }

    /// Each file is copied in this order, in two halves: the disc is complete after the last byte, and not before.
    fn copied(name: &str, files: &[(&str, Vec<u8>)]) {
        let place = tempfile::tempdir().unwrap();
        let disc = place.path().join(name);
        fs::create_dir(&disc).unwrap();
        for (number, (name, bytes)) in files.iter().enumerate() {
            let file = disc.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            for end in [bytes.len() / 2, bytes.len()] {
                fs::write(&file, &bytes[..end]).unwrap();
                let whole = number + 1 == files.len() && end == bytes.len();
                assert_eq!(lacks(&disc).unwrap().is_none(), whole, "{name} {end}: {:?}", lacks(&disc));
            }
        }
    }

    #[test]
    fn a_dvd_is_complete_with_its_last_byte() {
        let sets = |last: &'static str| {
            let mut files = vec![
                ("VIDEO_TS.IFO", ifo(2, 40, 2)),
                ("VTS_01_0.IFO", ifo(3, 3 + 10 + 4 + 3, 0)),
                ("VTS_01_0.BUP", vec![0; 3 * 2048]),
                ("VTS_01_1.VOB", vec![0; 10 * 2048]),
                ("VTS_01_2.VOB", vec![0; 4 * 2048]),
                ("VTS_02_0.IFO", ifo(1, 1 + 5 + 1, 0)),
                ("VTS_02_1.VOB", vec![0; 5 * 2048]),
                ("VTS_02_0.BUP", vec![0; 2048]),
            ];
            files.sort_by_key(|(name, _)| *name == last);
            files
        };
        for last in ["VTS_02_0.BUP", "VTS_01_2.VOB", "VTS_01_0.IFO", "VIDEO_TS.IFO"] {
            copied("VIDEO_TS", &sets(last));
        }
    }

    #[test]
    fn a_blu_ray_is_complete_with_its_last_byte() {
        let mut clip = vec![0; 100];
        clip[56..60].copy_from_slice(&20_u32.to_be_bytes());
        let list = b"MPLS0200..........00001M2TS........00002M2TS".to_vec();
        let files = |last: &'static str| {
            let mut files = vec![
                ("index.bdmv", vec![0; 10]),
                ("PLAYLIST/00000.mpls", list.clone()),
                ("CLIPINF/00001.clpi", clip.clone()),
                ("CLIPINF/00002.clpi", clip.clone()),
                ("STREAM/00001.m2ts", vec![0; 20 * 192]),
                ("STREAM/00002.m2ts", vec![0; 20 * 192]),
            ];
            files.sort_by_key(|(name, _)| *name == last);
            files
        };
        for last in ["STREAM/00002.m2ts", "STREAM/00001.m2ts", "CLIPINF/00002.clpi"] {
            copied("BDMV", &files(last));
        }
    }

    /// Neither holds up those who look, nor is it an error for all other films.
    #[test]
    fn a_pipe_or_a_folder_is_no_file_of_a_disc() {
        let place = tempfile::tempdir().unwrap();
        let (dvd, blu_ray) = (place.path().join("VIDEO_TS"), place.path().join("BDMV"));
        let pipe = |path: &Path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::create_dir(&dvd).unwrap();
        fs::create_dir(dvd.join("VIDEO_TS.IFO")).unwrap();
        assert!(lacks(&dvd).unwrap().is_some());
        fs::remove_dir(dvd.join("VIDEO_TS.IFO")).unwrap();
        pipe(&dvd.join("VIDEO_TS.IFO"));
        assert!(lacks(&dvd).unwrap().is_some());
        for folder in ["STREAM", "CLIPINF", "PLAYLIST"] {
            fs::create_dir_all(blu_ray.join(folder)).unwrap();
        }
        fs::write(blu_ray.join("index.bdmv"), "").unwrap();
        pipe(&blu_ray.join("CLIPINF/00001.clpi"));
        pipe(&blu_ray.join("PLAYLIST/00001.mpls"));
        assert!(lacks(&blu_ray).unwrap().is_some());
    }

    #[test]
    fn a_folder_with_the_files_of_a_dvd_is_one() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("poster.jpg"), "").unwrap();
        assert!(!is_flat(place.path()).unwrap());
        fs::write(place.path().join("vts_01_0.ifo"), "").unwrap();
        assert!(is_flat(place.path()).unwrap());
        fs::create_dir_all(place.path().join("@eaDir")).unwrap();
        for own in ["VTS_01_1.VOB", "video_ts.bup", "@eaDir/preview.mkv", "notes.txt", "._Up.mkv"] {
            fs::write(place.path().join(own), "").unwrap();
        }
        assert_eq!(other_film(place.path()).unwrap(), None);
        for other in ["Bonus.mkv", "Download.mkv.part", "Extras/Making of.mp4", "Extras/Disc 2/BDMV/index.bdmv"] {
            let other = place.path().join(other);
            fs::create_dir_all(other.parent().unwrap()).unwrap();
            fs::write(&other, "").unwrap();
            assert!(other.starts_with(other_film(place.path()).unwrap().unwrap()), "{other:?}");
            fs::remove_file(&other).unwrap();
            let _ = fs::remove_dir_all(place.path().join("Extras"));
        }
    }

    /// Macs and file servers write a file beside each one, at any time.
    #[test]
    fn what_indexers_write_changes_no_disc() {
        let mut clip = vec![0; 100];
        clip[56..60].copy_from_slice(&1_u32.to_be_bytes());
        let place = tempfile::tempdir().unwrap();
        let disc = place.path().join("BDMV");
        let write = |name: &str, bytes: &[u8]| {
            let file = disc.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        };
        write("index.bdmv", b"index");
        write("PLAYLIST/00000.mpls", b"MPLS0200..........00001M2TS");
        write("CLIPINF/00001.clpi", &clip);
        write("STREAM/00001.m2ts", &[0; 192]);
        let before = (Stamp::of(&disc).unwrap(), lacks(&disc).unwrap());
        assert_eq!(before.1, None);
        for name in ["STREAM/._00001.m2ts", "STREAM/@eaDir/00001.m2ts@SynoEAStream", ".DS_Store", "CLIPINF/._00001.clpi", "Thumbs.db"] {
            write(name, b"an index");
            assert_eq!((Stamp::of(&disc).unwrap(), lacks(&disc).unwrap()), before, "{name}");
        }
        write("STREAM/00001.m2ts", &[0; 193]);
        assert_ne!(Stamp::of(&disc).unwrap(), before.0);
    }
}
