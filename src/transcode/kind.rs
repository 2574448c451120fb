//! What lies in `watch/`, by its name: films, what belongs to a film, and what is left alone.

use std::ffi::OsStr;
use std::path::Path;

/// Extensions of films.
const FILMS: [&str; 42] = [
    "mkv", "mk3d", "mp4", "m4v", "mov", "qt", "avi", "wmv", "asf", "flv", "f4v", "webm", "ogm", "ogv", "mpg", "mpeg", "mpe", "m2p", "mpv",
    "m1v", "m2v", "vob", "evo", "ts", "tp", "trp", "m2t", "m2ts", "mts", "mod", "tod", "vro", "wtv", "divx", "3gp", "3g2", "rm", "rmvb",
    "dv", "mxf", "iso", "img",
];
/// Extensions of moving pictures that are not taken: HandBrake does not read them, or they are parts of something.
const NOT_TAKEN: [&str; 23] = [
    "h264", "264", "h265", "265", "hevc", "av1", "ivf", "y4m", "yuv", "swf", "dvr-ms", "ismv", "gxf", "nut", "amv", "bin", "nrg", "mdf",
    "ssif", "rec", "vdr", "mjpg", "mjpeg",
];
/// Extensions of copies and downloads that are not complete.
const PARTS: [&str; 9] = ["part", "!qb", "!ut", "crdownload", "partial", "download", "aria2", "filepart", "tmp"];
/// What belongs to a film if it has its name.
const BESIDE: [&str; 12] = ["srt", "ass", "ssa", "vtt", "sub", "idx", "sup", "smi", "nfo", "jpg", "jpeg", "png"];
/// What belongs to the only film of a folder.
const OF_FOLDER: [&str; 11] =
    ["poster", "folder", "cover", "fanart", "backdrop", "banner", "logo", "clearlogo", "landscape", "thumb", "movie"];
/// Folders of systems and downloaders, in lower case. What is deleted must not come back.
const SERVICE: [&str; 12] = [
    "#recycle",
    "#snapshot",
    "@",
    "$recycle",
    "$extend",
    "_unpack_",
    "_failed_",
    "lost+found",
    "system volume information",
    "plex versions",
    "recycler",
    "network trash folder",
];
/// Hidden files and folders of systems and copying programs, in lower case.
const HIDDEN: [&str; 20] = [
    "._",
    ".ds_store",
    ".trash",
    ".sync",
    ".st",
    ".apple",
    ".recycle",
    ".snapshot",
    ".@",
    ".temporaryitems",
    ".spotlight",
    ".fsevents",
    ".documentrevisions",
    ".nfs",
    ".fuse_hidden",
    ".smbdelete",
    ".hostler",
    ".zfs",
    ".~",
    ".unionfs",
];

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

pub fn is_film(path: &Path) -> bool {
    FILMS.contains(&extension(path).as_str())
}

/// Whether a folder belongs to a system or a downloader, and is left alone.
pub fn is_service(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_lowercase();
    SERVICE.iter().any(|start| name.starts_with(start))
}

/// Whether a name that begins with a dot is that of a system or a copying program.
pub fn is_hidden_service(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_lowercase();
    HIDDEN.iter().any(|start| name.starts_with(start))
}

/// Why a file is not taken although it looks like a film; `None`: it does not, or it is taken.
pub fn why_not(path: &Path) -> Option<String> {
    let extension = extension(path);
    let stem = path.file_stem().map(Path::new).unwrap_or(path);
    if PARTS.contains(&extension.as_str()) && is_film(stem) {
        return Some(format!("ignored: `.{extension}` is the extension of an incomplete copy or download"));
    }
    NOT_TAKEN.contains(&extension.as_str()).then(|| format!("ignored: HandBrake does not read `.{extension}` files"))
}

/// Whether a file belongs to a film: it has its name, or the film has the folder for itself.
pub fn belongs(name: &OsStr, film: &OsStr, alone: bool) -> bool {
    let path = Path::new(name);
    if !BESIDE.contains(&extension(path).as_str()) || name.as_encoded_bytes().starts_with(b".") {
        return false;
    }
    let (name, stem) = (name.to_string_lossy(), Path::new(film).file_stem().unwrap_or(film).to_string_lossy());
    let own = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    rest(&name, &stem).is_some() || alone && OF_FOLDER.contains(&own.as_str())
}

/// What follows the film's name in that of a file beside it: `.en.srt`.
pub fn rest<'a>(name: &'a str, stem: &str) -> Option<&'a str> {
    name.strip_prefix(stem).filter(|rest| rest.starts_with(['.', '-', '_']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_film_is_taken_or_has_a_reason() {
        for name in ["Up.MKV", "a.3gp", "b.rm", "c.ogv", "d.dv", "e.rmvb", "f.wtv", "g.m2v"] {
            assert!(is_film(Path::new(name)) && why_not(Path::new(name)).is_none(), "{name}");
        }
        for name in ["Up.mkv.part", "Up.mp4.!qB", "a.h264", "b.mkv.crdownload"] {
            assert!(!is_film(Path::new(name)) && why_not(Path::new(name)).is_some(), "{name}");
        }
        for name in ["Up.nfo", "a.part", "poster.jpg", "mkv"] {
            assert!(!is_film(Path::new(name)) && why_not(Path::new(name)).is_none(), "{name}");
        }
    }

    #[test]
    fn service_folders_are_known() {
        for name in ["#recycle", "@Recycle", "@eaDir", "$RECYCLE.BIN", "_UNPACK_Film", "lost+found", "Plex Versions"] {
            assert!(is_service(OsStr::new(name)), "{name}");
        }
        assert!(!is_service(OsStr::new("Recycled Films")) && !is_service(OsStr::new("Movies")));
        for name in ["._Up.mkv", ".DS_Store", ".Trash-1000", ".sync", ".stfolder"] {
            assert!(is_hidden_service(OsStr::new(name)), "{name}");
        }
        assert!(!is_hidden_service(OsStr::new("...And Justice for All (1979).mkv")) && !is_hidden_service(OsStr::new(".45 (2006)")));
    }

    #[test]
    fn what_belongs_to_a_film_has_its_name_or_its_folder() {
        let belongs = |name: &str, alone| belongs(OsStr::new(name), OsStr::new("Up (2009).mkv"), alone);
        for name in ["Up (2009).en.srt", "Up (2009).nfo", "Up (2009)-poster.jpg"] {
            assert!(belongs(name, false), "{name}");
        }
        assert!(belongs("poster.jpg", true) && belongs("movie.nfo", true) && !belongs("poster.jpg", false));
        assert!(!belongs("Up (2009) 2.srt", true) && !belongs("notes.txt", true) && !belongs("._Up (2009).en.srt", true));
    }
}
