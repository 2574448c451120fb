//! Gives a film that is in the library another name, together with what lies beside it.
//!
//! Only a publisher may write to the library. The page asks for a name once it has looked whether it is possible, the watcher records that, and
//! a publisher's Job does it.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::kind::{self, Beside};
use super::layout::{self, Library, require_marker, shown};
use super::ledger::Film;
use super::name::is_about_names;
use super::record::Published;

/// Where the files of a film are after it was given this name.
pub fn places(published: &Published, name: &str) -> Vec<PathBuf> {
    published
        .files()
        .map(|file| {
            let place = file.path.with_file_name(layout::with_mkv(name.as_ref(), false));
            layout::variant(&place, file.label.as_deref(), 1)
        })
        .collect()
}

/// What was published, under its new name.
pub fn renamed(published: &Published, name: &str) -> Published {
    let mut places = places(published, name).into_iter();
    let mut new = published.clone();
    for file in std::iter::once(&mut new.film).chain(&mut new.more) {
        if let Some(place) = places.next() {
            file.path = place;
        }
    }
    new
}

/// Whether the film's files in the library may get this name; the inner error says why not, for the user.
///
/// # Errors
/// The library is not there.
pub fn may_be(library: &Library, film: &Film, name: &str) -> Result<Result<(), String>> {
    require_marker(&library.root)?;
    let Some(published) = film.renamable() else { return Ok(Err("the film is not in the library".to_owned())) };
    let places = places(published, name);
    for (file, place) in published.files().zip(&places) {
        let size = |path: &Path| library.root.join(path).symlink_metadata().map(|metadata| metadata.len());
        match (size(&file.path), size(place)) {
            (Ok(_), Ok(_)) if *place != file.path => return Ok(Err(format!("the library already has `{}`", shown(place)))),
            // An earlier attempt was interrupted after this.
            (Err(_), Ok(size)) if size == file.size => {}
            // One that is being encoded gets the name then.
            (Err(error), _) if error.kind() == io::ErrorKind::NotFound && !film.ended() => {}
            (Err(error), _) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Err(format!("the library no longer has `{}`", shown(&file.path))));
            }
            _ => {}
        }
        if *place != file.path {
            let mut others = beside(&library.root.join(&file.path), &library.root.join(place)).into_iter();
            if let Some((_, taken)) = others.find(|(_, to)| to.symlink_metadata().is_ok()) {
                return Ok(Err(format!("the library already has `{}`", shown(taken.strip_prefix(&library.root).unwrap_or(&taken)))));
            }
        }
    }
    Ok(Ok(()))
}

/// Renames the files. Nothing is ever replaced. The inner error says why this name is not possible, for the user.
///
/// # Errors
/// The library is not there, or can't be written to.
pub fn rename(library: &Library, film: &Film, name: &str) -> Result<Result<(), String>> {
    if let Err(why) = may_be(library, film, name)? {
        return Ok(Err(why));
    }
    let Some(published) = film.renamable() else { return Ok(Ok(())) };
    let places = places(published, name);
    let is_there = |path: &Path| library.root.join(path).symlink_metadata().is_ok();
    for (file, place) in published.files().zip(&places).filter(|(file, _)| is_there(&file.path)) {
        let (from, to) = (library.root.join(&file.path), library.root.join(place));
        for (from, to) in beside(&from, &to).into_iter().chain([(from.clone(), to.clone())]) {
            match without_replacing(&from, &to) {
                // Put there since this was checked.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Ok(Err(format!("the library already has `{}`", shown(to.strip_prefix(&library.root).unwrap_or(&to)))));
                }
                Err(error) if is_about_names(&error) && from.symlink_metadata().is_ok() => {
                    return Ok(Err(format!("the library does not accept the name `{}`: {error}", shown(place))));
                }
                result => result.with_context(|| format!("{} can't be renamed", shown(&from)))?,
            }
        }
    }
    Ok(Ok(()))
}

/// Files with the film's name, and their new names.
fn beside(from: &Path, to: &Path) -> Vec<(PathBuf, PathBuf)> {
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let (old, new) = (stem(from), stem(to));
    let listed = || from.parent().map(std::fs::read_dir).into_iter().flatten().flatten().flatten().map(|entry| entry.path());
    let others: Vec<String> = listed().filter(|path| kind::is_film(path) && path != from).map(|path| stem(&path)).collect();
    let beside = Beside { film: &old, others: &others, alone: others.is_empty() };
    let own = listed().filter(|path| path.file_name().is_some_and(|name| beside.has(name)));
    let renamed = |path: PathBuf| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let place = to.with_file_name(format!("{new}{}", kind::rest(&name, &old)?));
        Some((path, place))
    };
    own.filter_map(renamed).collect()
}

fn without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    if from == to { Ok(()) } else { layout::rename_new(from, to) }
}
