//! What lies in `watch/`: films to take, what belongs to films, and what stays where it is, with the reason.

use std::fs::DirEntry;
use std::io;
use std::path::{Path, PathBuf};

use hostler_core::films::settings::Settings;

use super::disc::{self, is_disc};
use super::kind::{self, is_film};
use super::layout::shown;
use super::reconcile::Dropped;
use super::record::Stamp;

/// Depth of nested folders.
const DEPTH: usize = 12;

/// The result.
#[derive(Debug, Default)]
pub struct Watched {
    pub dropped: Vec<Dropped>,
    /// Files and folders that are not taken where they are, and why.
    pub misplaced: Vec<(PathBuf, String)>,
    /// What may belong to a film: subtitles, descriptions, pictures.
    pub beside: Vec<PathBuf>,
}

/// # Errors
/// `watch/` itself can't be read. A folder in it that can't be is listed, and others are not concerned.
pub fn walk(watch: &Path, settings: &Settings) -> io::Result<Watched> {
    let mut walk = Walk { watch, found: Watched::default() };
    for entry in std::fs::read_dir(watch)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        if name.as_encoded_bytes().starts_with(b".") || kind::is_service(&name) {
            continue;
        }
        let folder = name.to_str().filter(|name| settings.folders.contains_key(*name));
        let kind = entry.file_type()?;
        match folder {
            _ if kind.is_symlink() && (folder.is_some() || path.is_dir()) => walk.misplaced(&path, LINK),
            Some(folder) if kind.is_dir() => walk.folder(&path, folder, DEPTH, false),
            _ if kind.is_dir() => walk.misplaced(&path, "`transcode.folders` has no folder with this name"),
            _ if is_film(&path) => walk.misplaced(&path, "the film is not in a folder: move it into one of the folders in watch/"),
            _ => {}
        }
    }
    Ok(walk.found)
}

/// A rename could not carry a film from behind a link, and what it leads to may be anything.
const LINK: &str = "ignored: symbolic links are not followed; put a folder in its place";

struct Walk<'a> {
    watch: &'a Path,
    found: Watched,
}

impl Walk<'_> {
    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.watch).unwrap_or(path).to_owned()
    }

    fn misplaced(&mut self, path: &Path, why: impl Into<String>) {
        self.found.misplaced.push((self.relative(path), why.into()));
    }

    /// Lists what can't be read. What was renamed or removed meanwhile is no longer there.
    fn unread(&mut self, path: &Path, what: &str, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::NotFound => {}
            io::ErrorKind::PermissionDenied => self.misplaced(path, format!("permission denied: hostler can't read {what}")),
            _ => self.misplaced(path, format!("hostler can't read {what}: {error}")),
        }
    }

    /// `of_disc`: the files of a disc in it are left, as the folder has other films.
    fn folder(&mut self, path: &Path, folder: &str, depth: usize, of_disc: bool) {
        let listed = std::fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<DirEntry>>>);
        match listed {
            Ok(listed) => listed.iter().for_each(|entry| self.entry(entry, folder, depth, of_disc)),
            Err(error) => self.unread(path, "this folder", &error),
        }
    }

    fn entry(&mut self, entry: &DirEntry, folder: &str, depth: usize, of_disc: bool) {
        let (name, path) = (entry.file_name(), entry.path());
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) => return self.unread(&path, "this file", &error),
        };
        let is_folder = kind.is_dir();
        if name.as_encoded_bytes().starts_with(b".") {
            if !kind::is_hidden_service(&name) && looks_like_film(&path, is_folder) {
                self.misplaced(&path, "ignored: its name begins with a dot");
            }
            return;
        }
        if is_folder && kind::is_service(&name) || of_disc && !is_folder && disc::is_part(&name) {
            return;
        }
        if is_folder && !is_disc(&name) {
            match disc::is_flat(&path).and_then(|flat| Ok((flat, if flat { disc::other_film(&path)? } else { None }))) {
                Ok((true, None)) => self.film(&path, folder, true, true),
                Ok((flat, other)) => {
                    if let Some(other) = other {
                        let other = shown(other.strip_prefix(&path).unwrap_or(&other));
                        self.misplaced(&path, format!("the disc in this folder is not taken while `{other}` is there, too"));
                    }
                    if depth > 0 {
                        self.folder(&path, folder, depth - 1, flat);
                    }
                }
                Err(error) => self.unread(&path, "this folder", &error),
            }
        } else if is_folder || is_film(&path) {
            self.film(&path, folder, is_folder, false);
        } else if let Some(why) = kind::why_not(&path) {
            self.misplaced(&path, why);
        } else if kind.is_symlink() && path.is_dir() {
            self.misplaced(&path, LINK);
        } else if kind.is_file() && kind::is_beside(&path) {
            self.found.beside.push(self.relative(&path));
        }
    }

    fn film(&mut self, path: &Path, folder: &str, is_disc: bool, flat: bool) {
        match Stamp::of(path).and_then(|stamp| Ok((stamp, if is_disc { disc::lacks(path)? } else { None }))) {
            Ok((stamp, lacks)) => {
                let path = self.relative(path);
                self.found.dropped.push(Dropped { path, folder: folder.to_owned(), stamp, flat, lacks });
            }
            Err(error) => self.unread(path, if is_disc { "all files of this disc" } else { "this film" }, &error),
        }
    }
}

/// Whether something hidden is a film, or a folder that has one.
fn looks_like_film(path: &Path, is_folder: bool) -> bool {
    if !is_folder {
        return is_film(path);
    }
    std::fs::read_dir(path).into_iter().flatten().flatten().any(|entry| is_film(&entry.path()) || is_disc(&entry.file_name()))
}
