//! Paths on machines.

use super::diagnostic::shown;
use super::read::{Problems, Text};
use crate::protocol::{path, wipe};

/// What programs own on a machine, in a cluster or not.
const MACHINE: [&str; 6] = ["/etc/cni", "/etc/containerd", "/opt/cni", path::ROOT, "/run", "/var/lib/containerd"];

/// What hostler and Kubernetes own on a machine: that, and what verbs that take it out of a cluster wipe. Of the traces there only what is
/// known by its folder: to keep what is around a unit's file is refused when a wipe is planned.
fn owned() -> impl Iterator<Item = &'static str> {
    MACHINE.into_iter().chain(wipe::FOLDERS).chain([wipe::LAST])
}

/// A path that no verb wipes: the user's own, neither within nor around what is wiped.
pub fn kept(text: Text, problems: &mut Problems) -> Option<String> {
    let path = absolute(text, "keep: [/srv/films]", problems)?;
    if let Some(owned) = owned().find(|owned| within(&path, owned)) {
        let message = format!("`{path}` is in {owned}, which is Kubernetes' own and goes with it: keep what is yours elsewhere");
        problems.add(text.place, message, "keep: [/srv/films]");
        return None;
    }
    if let Some(owned) = owned().find(|owned| within(owned, &path)) {
        let message = format!("`{path}` has {owned} in it, which is Kubernetes' own and goes with it: name what is yours below {path}");
        problems.add(text.place, message, "keep: [/srv/films]");
        return None;
    }
    Some(path)
}

/// A folder for snapshots, which outlives the cluster.
pub fn snapshots(text: Text, problems: &mut Problems) -> Option<String> {
    let path = absolute(text, "to: /srv/share/snapshots", problems)?;
    if let Some(owned) = owned().find(|owned| within(&path, owned)) {
        let message = format!("`{path}` is in {owned}, which goes with the cluster that the snapshots are to bring back");
        problems.add(text.place, message, "to: /srv/share/snapshots");
        return None;
    }
    Some(path)
}

/// A folder that pods mount.
pub fn shared(text: Text, example: &str, problems: &mut Problems) -> Option<String> {
    let path = absolute(text, example, problems)?;
    if let Some(owned) = owned().find(|owned| within(&path, owned)) {
        let message = format!("`{path}` is in {owned}, which goes with the cluster, and films are to stay");
        problems.add(text.place, message, example);
        return None;
    }
    Some(path)
}

/// Without a slash at its end.
fn absolute(text: Text, example: &str, problems: &mut Problems) -> Option<String> {
    let path = text.text.trim_end_matches('/');
    let word = shown(text.text);
    let why = if path.is_empty() && !text.text.is_empty() {
        "is the whole machine: name a folder".to_owned()
    } else if !path.starts_with('/') {
        "isn't absolute: a path on a machine begins with `/`".to_owned()
    } else if path.split('/').skip(1).any(|part| matches!(part, "" | "." | "..")) {
        "has `//`, `/./` or `/../` in it: write it straight".to_owned()
    } else if path.chars().any(char::is_control) || path.len() > 1000 {
        "can't be a path".to_owned()
    } else if path.contains(['*', '?']) {
        "has a wildcard: name the folder itself".to_owned()
    } else {
        return Some(path.to_owned());
    };
    problems.add(text.place, format!("`{word}` {why}"), example);
    None
}

/// Whether `path` is `folder` or below it.
pub fn within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
