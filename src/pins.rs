//! The pins of a run: hostler's own, and what the user's file adds to them.

use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::pins::{PinList, Pins, merge, parse, shipped};
use hostler_core::version::Versions;

use crate::{home, user_file};

/// Names a file that is used in place of hostler's own list and of the user's file.
const VARIABLE: &str = "HOSTLER_PINS";

/// The largest file that is read; a list of a hundred versions has 0.1 MB.
const MOST_BYTES: usize = 1 << 20;

/// Where the user's pins are, and what they add to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    /// Whether hostler's own list counts, too.
    pub adds: bool,
}

impl Place {
    /// # Errors
    /// The user has no home.
    pub fn of_user() -> Result<Place> {
        match std::env::var_os(VARIABLE).filter(|file| !file.is_empty()) {
            Some(file) => Ok(Place { file: file.into(), adds: false }),
            None => Ok(Place { file: home::config()?.join("pins.yaml"), adds: true }),
        }
    }

    /// hostler's own list, where it counts.
    pub fn own(&self) -> PinList {
        if self.adds { shipped().clone() } else { PinList::default() }
    }

    /// What the file says; nothing, if there is none and it may be missing.
    ///
    /// # Errors
    /// A [`Failure`] with [`ExitStatus::Usage`]: it can't be read, or is not valid.
    pub fn users(&self) -> Result<PinList> {
        let name = self.file.display().to_string();
        let bytes = match user_file::read(&self.file, MOST_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if user_file::is_nothing(&error) && self.adds => return Ok(PinList::default()),
            Err(error) => return Err(self.wrong(format!("the pins file {name} can't be read: {error}"))),
        };
        let text = String::from_utf8(bytes).map_err(|_| self.wrong(format!("the pins file {name} is not UTF-8")))?;
        parse(&text, &name).map_err(|problems| self.wrong(problems.to_string().trim_end().to_owned()))
    }

    /// Both lists in one.
    ///
    /// # Errors
    /// As [`users`](Place::users); the file contradicts hostler's own list, or there is no version at all.
    pub fn list(&self) -> Result<PinList> {
        let list = merge(&self.own(), &self.users()?).map_err(|why| {
            let what = format!("the pins file {} can't be used: {why}", self.file.display());
            let hint = format!("remove these entries from the file, or set {VARIABLE} to a file that replaces hostler's own list");
            Failure::new(ExitStatus::Usage, what, hint)
        })?;
        if list.pins.is_empty() {
            return Err(self.wrong(format!("the pins file {} has no version of Kubernetes", self.file.display())));
        }
        Ok(list)
    }

    fn wrong(&self, what: String) -> anyhow::Error {
        let hint = if self.adds {
            "fix the file, or move it out of the way to use only hostler's own list".to_owned()
        } else {
            format!("fix the file, or unset {VARIABLE} to use hostler's own list")
        };
        Failure::new(ExitStatus::Usage, what, hint).into()
    }
}

/// The list of this run. The file is read once: later changes concern the next run.
///
/// # Errors
/// As [`Place::list`].
pub fn list() -> Result<&'static PinList> {
    static LIST: OnceLock<PinList> = OnceLock::new();
    if let Some(list) = LIST.get() {
        return Ok(list);
    }
    let list = Place::of_user()?.list()?;
    Ok(LIST.get_or_init(|| list))
}

/// The pins of a version; by default the newest.
///
/// # Errors
/// As [`list`]; hostler does not know the version.
pub fn pins_of(version: Option<&str>) -> Result<&'static Pins> {
    let list = list()?;
    let Some(version) = version else { return list.pins.first().context("there are no pins") };
    let unknown = || {
        let hint = "use one of these versions, fetch its checksums with `hostler bundle pins --update`, install a newer hostler, or pass your \
            own bundle with `--bundle`";
        let known: Vec<&str> = list.pins.iter().map(|pins| pins.kubernetes.as_str()).collect();
        Failure::new(ExitStatus::Usage, format!("hostler has no bundle of Kubernetes {version}, only of {}", known.join(", ")), hint)
    };
    Ok(list.of(version).ok_or_else(unknown)?)
}

/// The versions of Kubernetes that hostler can install.
///
/// # Errors
/// As [`list`].
pub fn versions() -> Result<Versions> {
    Ok(list()?.versions())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> (tempfile::TempDir, Place) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pins.yaml");
        std::fs::write(&file, text).unwrap();
        (folder, Place { file, adds: true })
    }

    #[test]
    fn a_damaged_file_is_one_error_and_never_ignored() {
        let own = hostler_core::pins::to_yaml(shipped());
        let differs = own.replacen("57205a5d", "00000000", 1);
        for (text, said) in [
            ("kubernetes: [\n", "never closed"),
            ("kubernetes:\n  1.36: {}\n", "`1.36` is not a version of three numbers"),
            (differs.as_str(), "can't be used: the checksums of kubelet 1.36.3 differ"),
        ] {
            let (_folder, place) = place(text);
            let error = place.list().unwrap_err();
            assert_eq!(ExitStatus::of(&error), ExitStatus::Usage);
            assert!(format!("{error:#}").contains(said), "{error:#}");
        }
        let (folder, place) = place("");
        std::fs::remove_file(&place.file).unwrap();
        assert_eq!(place.list().unwrap(), *shipped());
        // One that was named must be there.
        let named = Place { adds: false, ..place };
        assert!(named.list().unwrap_err().to_string().contains("can't be read"));
        std::fs::write(&named.file, "kubernetes: {}\n").unwrap();
        assert!(named.list().unwrap_err().to_string().contains("has no version of Kubernetes"));
        drop(folder);
    }

    #[test]
    fn an_unknown_version_is_refused_with_the_known_ones() {
        assert_eq!(pins_of(None).unwrap().kubernetes, "1.36.3");
        assert!(pins_of(Some("1.2.3")).unwrap_err().to_string().contains("1.36.3, 1.36.1, 1.35.4"));
    }
}
