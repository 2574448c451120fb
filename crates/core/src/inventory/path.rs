//! Paths on machines.

use super::diagnostic::shown;
use super::read::{Problems, Text};
use crate::protocol::{path, wipe};

/// Folders on a machine that belong to hostler and Kubernetes, in a cluster or not.
const MACHINE: [&str; 8] = ["/etc/cni", "/etc/containerd", "/opt/cni", path::ROOT, path::WORK, path::LIB, "/run", "/var/lib/containerd"];

/// Folders of every Debian and Ubuntu that are links, and where they lead (Filesystem Hierarchy Standard 3.0, 5.13.1 and 6.1.6).
const LINKS: [(&str, &str); 2] = [("/var/run", "/run"), ("/var/lock", "/run/lock")];

/// File systems of the kernel's own.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];
/// Folders of the distribution's own.
const SYSTEM: [&str; 8] = ["/etc", "/boot", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/root"];
/// Folders that are emptied when the machine starts, or every few days (systemd's tmp.conf).
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// These, and what removing a machine from a cluster wipes. Of the traces there only those with a folder of their own: keeping a path around
/// the file of a unit is refused when a wipe is planned.
fn owned() -> impl Iterator<Item = &'static str> {
    MACHINE.into_iter().chain(wipe::FOLDERS).chain([wipe::LAST])
}

fn used(path: &str, owned: &str) -> String {
    if path == owned {
        return format!("hostler and Kubernetes use `{path}` and may wipe it");
    }
    format!("`{path}` is in {owned}, which hostler and Kubernetes use and may wipe")
}

/// A path that no verb wipes: neither inside nor around a folder that is wiped.
pub fn kept(text: Text, problems: &mut Problems) -> Option<String> {
    let path = absolute(text, "keep: [/srv/films]", problems)?;
    if let Some(owned) = owned().find(|owned| within(&path, owned)) {
        let message = format!("{}: keep your files elsewhere", used(&path, owned));
        problems.add(text.place, message, "keep: [/srv/films]");
        return None;
    }
    if let Some(owned) = owned().find(|owned| within(owned, &path)) {
        let message =
            format!("`{path}` contains {owned}, which hostler and Kubernetes use and may wipe: list only your own folders below {path}");
        problems.add(text.place, message, "keep: [/srv/films]");
        return None;
    }
    Some(path)
}

/// A folder for films or snapshots, which must survive the cluster.
pub fn shared(text: Text, example: &str, problems: &mut Problems) -> Option<String> {
    let path = absolute(text, example, problems)?;
    if let Some(owned) = owned().find(|owned| within(&path, owned)) {
        let message = format!("{}: choose another folder", used(&path, owned));
        problems.add(text.place, message, example);
        return None;
    }
    lasting(path, text, example, problems)
}

/// `path`, if files stay in it.
fn lasting(path: String, text: Text, example: &str, problems: &mut Problems) -> Option<String> {
    if let Some(folder) = SYSTEM.iter().find(|folder| within(&path, folder)) {
        problems.add(text.place, format!("`{path}` is in {folder}, which belongs to the system: choose another folder"), example);
        return None;
    }
    let Some(folder) = TEMPORARY.iter().find(|folder| within(&path, folder)) else { return Some(path) };
    problems.add(text.place, format!("`{path}` is in {folder}, where systemd deletes old files: choose another folder"), example);
    None
}

/// Without a trailing slash.
fn absolute(text: Text, example: &str, problems: &mut Problems) -> Option<String> {
    let path = text.text.trim_end_matches('/');
    let word = shown(text.text);
    let why = if path.is_empty() && !text.text.is_empty() {
        "is the root of the file system: write a folder below it".to_owned()
    } else if !path.starts_with('/') {
        "is not absolute: a path on a machine begins with `/`".to_owned()
    } else if path.split('/').skip(1).any(|part| matches!(part, "" | "." | "..")) {
        "contains `//`, `/./` or `/../`: write it without them".to_owned()
    } else if path.chars().any(char::is_control) || path.len() > 1000 {
        "is not a valid path".to_owned()
    } else if path.split_once('?').is_some_and(|(_, rest)| rest.contains('=')) {
        "has mount options: omit `?` and everything after it".to_owned()
    } else if path.contains(['*', '?']) {
        "has a wildcard: write the folder itself".to_owned()
    } else if let Some(kernel) = KERNEL.iter().find(|kernel| within(path, kernel)) {
        format!("is in {kernel}, a file system of the kernel that is not on a disk: choose another folder")
    } else {
        let link = LINKS.iter().find(|(link, _)| within(path, link));
        return Some(link.map_or_else(|| path.to_owned(), |(link, real)| format!("{real}{}", &path[link.len()..])));
    };
    problems.add(text.place, format!("`{word}` {why}"), example);
    None
}

/// Whether `path` is `folder` or below it.
pub fn within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
