//! Folders that several machines reach: `nfs://HOST/PATH`, or `path:/PATH`.

use std::net::IpAddr;

use ipnet::IpNet;

use super::connection::host_and_port;
use super::diagnostic::shown;
use super::path;
use super::read::{Problems, Text};
use super::url;
use crate::share::Share;
use crate::words::nearest;

/// Reports an error if `text` is not a share, or its server has an address of pods, which no file server has for long. `example` is that of its
/// key; `pods`: the pod subnet, as far as it is known.
pub fn read(text: Text, example: &str, pods: Option<IpNet>, problems: &mut Problems) -> Option<Share> {
    let share = form(text, example, problems)?;
    if let (Share::Nfs { server, .. }, Some(pods)) = (&share, pods)
        && server.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|server| pods.contains(&server))
    {
        let message = format!("the server {server} is in `podSubnet` {pods}: write its address in your network, or choose another subnet");
        problems.add(text.place, message, example);
    }
    Some(share)
}

fn form(text: Text, example: &str, problems: &mut Problems) -> Option<Share> {
    let word = shown(text.text);
    if let Some(rest) = text.text.strip_prefix("path:") {
        return Some(Share::Path(path::shared(Text { text: rest, ..text }, example, problems)?));
    }
    let Some(rest) = text.text.strip_prefix("nfs://") else {
        let why = match text.text.split_once(':') {
            _ if text.text.starts_with('/') => format!("is a path: write `path:{word}` for a folder that is the same on every machine"),
            Some((scheme @ ("smb" | "cifs" | "http" | "https" | "ftp" | "sftp" | "ssh"), _)) => {
                format!(
                    "is a share of {}, but hostler mounts only NFS: mount the share on every machine, and write `path:/MOUNTPOINT`",
                    scheme.to_uppercase()
                )
            }
            Some(("nfs", path)) if path.starts_with('/') && !path.starts_with("//") => {
                format!("is missing a slash: write `nfs://{}`", shown(path.trim_start_matches('/')))
            }
            Some((word, path)) if path.starts_with('/') && nearest(word, ["path", "nfs"]) == Some("path") => {
                format!("is not a share: did you mean `path:{}`?", shown(path))
            }
            Some((host, path)) if host_and_port(host).is_some() && path.starts_with('/') && !path.starts_with("//") => {
                format!("uses the syntax of `mount`: write `nfs://{}{}`", shown(host), shown(path))
            }
            _ => "is not a share: write nfs://HOST/PATH, or path:/PATH for a folder that is the same on every machine".to_owned(),
        };
        problems.add(text.place, format!("`{word}` {why}"), example);
        return None;
    };
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let why = match host_and_port(host) {
        Some((_, Some(_))) => "has a port: omit it",
        None if host.contains('@') => "has a user name or password, which NFS does not use: omit it",
        None if host.ends_with(':') => "has a colon after its host: omit it",
        None => "has no host: write a DNS name or an IP address after `nfs://`",
        Some((server, None)) if is_own(server) => {
            "is a loopback address, which means another computer on each machine: use the server's own address"
        }
        Some((_, None)) if path.trim_end_matches('/').is_empty() => "has no folder: write nfs://HOST/PATH",
        Some((server, None)) => {
            let path = path::shared(Text { text: path, ..text }, example, problems)?;
            return Some(Share::Nfs { server: server.to_ascii_lowercase(), path });
        }
    };
    match host.contains('@') {
        true => problems.add_secret(text.place, format!("this share {why}"), example),
        false => problems.add(text.place, format!("`{word}` {why}"), example),
    }
    None
}

/// Whether the server is each machine itself.
fn is_own(server: &str) -> bool {
    url::is_own_name(server) || server.trim_matches(['[', ']']).parse().is_ok_and(url::is_own)
}
