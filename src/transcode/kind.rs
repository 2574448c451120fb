//! What lies in `watch/`, by its name: films, what belongs to a film, and what is left alone.

use std::ffi::OsStr;
use std::path::Path;

use hostler_core::films::language;

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
/// Subtitles.
const TEXTS: [&str; 9] = ["srt", "ass", "ssa", "vtt", "sub", "idx", "sup", "smi", "ttml"];
/// Descriptions and pictures.
const PICTURES: [&str; 6] = ["nfo", "jpg", "jpeg", "png", "webp", "tbn"];
/// Names of a description and of pictures: behind that of the film, or alone beside the only film of a folder.
const OF_FOLDER: [&str; 17] = [
    "poster",
    "folder",
    "cover",
    "fanart",
    "backdrop",
    "background",
    "banner",
    "logo",
    "clearlogo",
    "clearart",
    "characterart",
    "keyart",
    "disc",
    "discart",
    "landscape",
    "thumb",
    "movie",
];
/// What is said of subtitles behind the film's name, besides the language.
const SAID: [&str; 15] = [
    "forced",
    "foreign",
    "sdh",
    "cc",
    "hi",
    "default",
    "full",
    "signs",
    "songs",
    "commentary",
    "comment",
    "original",
    "dub",
    "hans",
    "hant",
];
/// Folders with the subtitles of the films beside them.
const OF_TEXTS: [&str; 5] = ["subs", "sub", "subtitles", "subtitle", "vobsubs"];
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

/// What file servers and desktops write into any folder they show, in lower case.
const INDEX: [&str; 6] = ["@eadir", ".@__thumb", ".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini"];

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

/// Whether a file server or a desktop wrote it while it showed the folder: nobody misses it.
pub fn is_index(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_lowercase();
    INDEX.contains(&name.as_str()) || name.starts_with("._")
}

/// Whether something in a folder is not its owner's, and comes and goes as others like.
pub fn is_foreign(name: &OsStr) -> bool {
    is_index(name) || is_service(name) || is_hidden_service(name)
}

/// Whether it will be a film once its copy or download is complete.
pub fn is_coming(path: &Path) -> bool {
    PARTS.contains(&extension(path).as_str()) && path.file_stem().is_some_and(|stem| is_film(Path::new(stem)))
}

/// Why a file is not taken although it looks like a film; `None`: it does not, or it is taken.
pub fn why_not(path: &Path) -> Option<String> {
    let extension = extension(path);
    if is_coming(path) {
        return Some(format!("ignored: `.{extension}` is the extension of an incomplete copy or download"));
    }
    NOT_TAKEN.contains(&extension.as_str()).then(|| format!("ignored: HandBrake does not read `.{extension}` files"))
}

/// Whether a file may belong to a film, by its extension.
pub fn is_beside(path: &Path) -> bool {
    let extension = extension(path);
    let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b".") || is_index(name));
    !hidden && (TEXTS.contains(&extension.as_str()) || PICTURES.contains(&extension.as_str()))
}

/// Whether a file is a subtitle.
pub fn is_text(path: &Path) -> bool {
    TEXTS.contains(&extension(path).as_str())
}

/// Whether a folder has the subtitles of the films beside it, by its name.
pub fn is_of_texts(name: &OsStr) -> bool {
    OF_TEXTS.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The films of a folder, by their names without extension, to tell what belongs to one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside<'a> {
    pub film: &'a str,
    /// Known besides it: what has the longer name of one of these is not this one's.
    pub others: &'a [String],
    /// Whether the folder is the film's own: whatever it is called there belongs to it.
    pub alone: bool,
}

impl Beside<'_> {
    /// Whether a file belongs to the film: it has its name and nothing behind that but what is said of subtitles and pictures, or the film has
    /// the folder for itself.
    pub fn has(&self, name: &OsStr) -> bool {
        let path = Path::new(name);
        if !is_beside(path) {
            return false;
        }
        let own = path.file_stem().unwrap_or_default().to_string_lossy();
        let Some(behind) = behind(&own, self.film) else {
            let picture = || PICTURES.contains(&extension(path).as_str()) && is_of_folder(&own.to_lowercase());
            return self.alone && (picture() || is_text(path) && is_said(&own));
        };
        let is_others = self.others.iter().any(|other| other.len() > self.film.len() && self::behind(&own, other).is_some());
        !is_others && (self.alone || is_said(behind))
    }

    /// Whether a subtitle in a folder of subtitles belongs to the film.
    pub fn has_text(&self, name: &OsStr) -> bool {
        let path = Path::new(name);
        is_text(path) && is_beside(path) && (self.alone && self.others.is_empty() || self.has(name))
    }
}

/// `poster`, `fanart2`
fn is_of_folder(word: &str) -> bool {
    OF_FOLDER.contains(&word.trim_end_matches(|letter: char| letter.is_ascii_digit()))
}

/// Whether all words behind a film's name say something of its subtitles or pictures, and none is a part of another film's name.
fn is_said(behind: &str) -> bool {
    let mut known = false;
    let mut words = behind.split(['.', '-', '_', ' ', '(', ')', '[', ']']).filter(|word| !word.is_empty());
    words.all(|word| {
        let lower = word.to_lowercase();
        // A region, or the number of one of several: only behind a language. A film may be called `Rocky.2`.
        let further = known && word.len() <= 3 && word.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit());
        let is = further || SAID.contains(&lower.as_str()) || is_of_folder(&lower) || language::is_word(word);
        known |= is;
        is
    })
}

/// What follows the film's name in that of a file beside it, or nothing where it is that name; whatever the case, as file servers have it.
fn behind<'a>(own: &'a str, stem: &str) -> Option<&'a str> {
    let (start, behind) = own.split_at_checked(stem.len())?;
    (start.eq_ignore_ascii_case(stem) && (behind.is_empty() || behind.starts_with(['.', '-', '_']))).then_some(behind)
}

/// What follows the film's name in that of a file beside it: `.en.srt`.
pub fn rest<'a>(name: &'a str, stem: &str) -> Option<&'a str> {
    behind(name, stem).filter(|rest| !rest.is_empty())
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
        for name in ["@eaDir", ".DS_Store", "Thumbs.db", "._Up.mkv", ".@__thumb"] {
            assert!(is_index(OsStr::new(name)) && is_foreign(OsStr::new(name)), "{name}");
        }
        assert!(!is_index(OsStr::new("#recycle")) && !is_index(OsStr::new(".stfolder")), "what is in these is its owner's");
        assert!(!is_hidden_service(OsStr::new("...And Justice for All (1979).mkv")) && !is_hidden_service(OsStr::new(".45 (2006)")));
    }

    #[test]
    fn what_belongs_to_a_film_has_its_name_or_its_folder() {
        let belongs = |name: &str, alone| Beside { film: "Up (2009)", others: &[], alone }.has(OsStr::new(name));
        for name in [
            "Up (2009).srt",
            "Up (2009).en.srt",
            "Up (2009).pt-BR.forced.srt",
            "up (2009).English.SDH.ass",
            "Up (2009).ger.2.srt",
            "Up (2009).nfo",
            "Up (2009)-poster.jpg",
            "Up (2009)-fanart2.jpg",
        ] {
            assert!(belongs(name, false), "{name}");
        }
        for name in
            ["poster.jpg", "folder.jpg", "Fanart.PNG", "backdrop3.webp", "movie.nfo", "English.srt", "Up (2009).Directors cut.en.srt"]
        {
            assert!(belongs(name, true) && !belongs(name, false), "{name}");
        }
        for name in ["Up (2009) 2.srt", "notes.txt", "._Up (2009).en.srt", "Down.srt", "holiday.jpg"] {
            assert!(!belongs(name, true), "{name}");
        }
    }

    /// The name of one begins with that of the other.
    #[test]
    fn what_belongs_to_one_film_goes_with_no_other() {
        let others = ["Rocky.II".to_owned(), "Rocky.Balboa".to_owned()];
        let of_rocky = |name: &str, others: &[String], alone| Beside { film: "Rocky", others, alone }.has(OsStr::new(name));
        for name in ["Rocky.II.en.srt", "Rocky.II.srt", "Rocky.II-poster.jpg", "rocky.balboa.nfo"] {
            assert!(!of_rocky(name, &others, false) && !of_rocky(name, &others, true), "{name}");
            assert!(!of_rocky(name, &[], false), "{name}: its film may come yet");
        }
        assert!(!of_rocky("Rocky.2.srt", &[], false) && !of_rocky("Rocky.VI.en.srt", &[], false));
        assert!(of_rocky("Rocky.vi.srt", &others, false), "Vietnamese");
        assert!(of_rocky("Rocky.en.2.srt", &others, false));
        assert!(Beside { film: "Rocky.II", others: &["Rocky".to_owned()], alone: false }.has(OsStr::new("Rocky.II.en.srt")));
    }

    #[test]
    fn a_folder_of_subtitles_belongs_to_the_films_beside_it() {
        assert!(is_of_texts(OsStr::new("Subs")) && is_of_texts(OsStr::new("SUBTITLES")) && !is_of_texts(OsStr::new("Extras")));
        let of = |name: &str, others: &[String]| Beside { film: "One", others, alone: others.is_empty() }.has_text(OsStr::new(name));
        let two = ["Two".to_owned()];
        assert!(of("2_English.srt", &[]) && of("One.en.srt", &two));
        assert!(!of("2_English.srt", &two) && !of("Two.en.srt", &two) && !of("cover.jpg", &[]) && !of(".DS_Store", &[]));
    }
}
