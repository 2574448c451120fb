//! Images from programs. The bytes of a layer depend only on its contents, so that the same programs always have the same digests.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use hostler_core::arch::Arch;
use hostler_core::digest::sha256;
use serde_json::json;
use tar::{Builder, EntryType, Header};

/// An entry of a layer, by its path without a leading `/`.
pub enum Entry<'a> {
    /// A program with these bytes.
    Program(&'a str, &'a [u8]),
    /// A link to another path.
    Link(&'a str, &'a str),
}

/// An uncompressed layer.
///
/// # Errors
/// A path that a tar can't hold.
pub fn layer(entries: &[Entry<'_>]) -> Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for entry in entries {
        match entry {
            Entry::Program(path, bytes) => tar.append_data(&mut header(EntryType::Regular, 0o755, bytes.len() as u64), path, *bytes)?,
            Entry::Link(path, target) => tar.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, target)?,
        }
    }
    Ok(tar.into_inner()?)
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header
}

/// A file of a layer.
#[derive(Debug)]
pub enum InLayer {
    Program(Vec<u8>),
    Link(String),
}

/// Bytes of one program, at most: Kubernetes' own has 150 MB.
const MOST_PROGRAM: u64 = 1 << 30;

/// Adds the files in `folder` of a layer, plain or gzipped, by their names. What is not a layer has none.
///
/// # Errors
/// It can't be read, or a file is too large for a program.
pub fn read(mut blob: impl Read, folder: &str, found: &mut BTreeMap<String, InLayer>) -> Result<()> {
    let mut beginning = Vec::new();
    blob.by_ref().take(2).read_to_end(&mut beginning)?;
    let is_gzipped = beginning == [0x1f, 0x8b];
    // A configuration is JSON.
    if beginning.starts_with(b"{") {
        return Ok(());
    }
    let whole = Cursor::new(beginning).chain(blob);
    let plain: Box<dyn Read + '_> = if is_gzipped { Box::new(flate2::read::GzDecoder::new(whole)) } else { Box::new(whole) };
    let mut tar = tar::Archive::new(plain);
    for entry in tar.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().trim_start_matches("./").trim_start_matches('/').to_owned();
        let Some((_, name)) = path.rsplit_once('/').filter(|(in_folder, _)| *in_folder == folder) else { continue };
        let file = match (entry.header().entry_type(), entry.link_name()?) {
            (EntryType::Symlink | EntryType::Link, Some(target)) => InLayer::Link(target.to_string_lossy().into_owned()),
            (EntryType::Regular, _) => {
                ensure!(entry.size() <= MOST_PROGRAM, "{path} is too large for a program");
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes)?;
                InLayer::Program(bytes)
            }
            _ => continue,
        };
        found.insert(name.to_owned(), file);
    }
    Ok(())
}

/// Folders of a root file system that no container needs; `dev` is each container's own.
const LEFT_OUT: [&str; 8] =
    ["dev", "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/bash-completion", "var/cache", "var/lib", "var/log"];
/// Links to xtables-nft-multi that update-alternatives would create.
const IPTABLES: [&str; 6] = ["iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"];
/// Used by flannel's pod to install the network configuration; `ls` and `mount` are for debugging.
const BUSYBOX: [&str; 7] = ["cmp", "cp", "ls", "mount", "mv", "sh", "sleep"];
const RUNC: &str = "usr/sbin/runc";

/// The lowest layer of kube-proxy's and flannel's images, and runc: both from `tar`, a root file system of unpacked Debian packages.
///
/// # Errors
/// It is not a tar, or has no runc.
pub fn network_base(tar: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let mut runc = None;
    let mut layer = Builder::new(Vec::new());
    for entry in tar::Archive::new(Cursor::new(tar)).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let path = path.strip_prefix("./").unwrap_or(&path).to_path_buf();
        if path == Path::new(RUNC) {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            runc = Some(bytes);
        } else if !path.as_os_str().is_empty() && !LEFT_OUT.iter().any(|folder| path.starts_with(folder)) {
            let mut header = entry.header().clone();
            header.set_mtime(0);
            match entry.link_name()? {
                Some(target) => layer.append_link(&mut header, &path, target)?,
                None => layer.append_data(&mut header, &path, &mut entry)?,
            }
        }
    }
    for name in IPTABLES {
        layer.append_link(&mut header(EntryType::Symlink, 0o777, 0), format!("usr/sbin/{name}"), "xtables-nft-multi")?;
    }
    for name in BUSYBOX {
        layer.append_link(&mut header(EntryType::Symlink, 0o777, 0), format!("usr/bin/{name}"), "busybox")?;
    }
    Ok((layer.into_inner()?, runc.context("the Debian packages do not contain runc")?))
}

/// Manifest and config of an image that is composed here.
pub struct Composed {
    pub manifest: Vec<u8>,
    pub config: Vec<u8>,
}

/// The media type of [`Composed::manifest`].
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The documents of an image with these uncompressed `layers` (sha256 in hex, and length in bytes), by the OCI image specification.
pub fn compose(arch: Arch, entrypoint: &str, layers: &[(String, u64)]) -> Composed {
    let diffs: Vec<String> = layers.iter().map(|(digest, _)| format!("sha256:{digest}")).collect();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin";
    let config = json!({
        "architecture": arch,
        "os": "linux",
        "config": { "Env": [path], "Entrypoint": [entrypoint] },
        "rootfs": { "type": "layers", "diff_ids": diffs },
    });
    let config = config.to_string().into_bytes();
    let layers: Vec<_> = layers
        .iter()
        .map(|(digest, size)| {
            json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": format!("sha256:{digest}"), "size": size })
        })
        .collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": format!("sha256:{}", sha256(&config)),
            "size": config.len(),
        },
        "layers": layers,
    });
    Composed { manifest: manifest.to_string().into_bytes(), config }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_one_folder_are_read_from_plain_and_gzipped_layers() {
        let tar = layer(&[
            Entry::Program("usr/local/bin/kubernetes", b"program"),
            Entry::Link("usr/local/bin/kube-apiserver", "kubernetes"),
            Entry::Program("usr/bin/etcd", b"elsewhere"),
        ])
        .unwrap();
        let mut gzipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzipped, &tar).unwrap();
        for blob in [tar.clone(), gzipped.finish().unwrap()] {
            let mut found = BTreeMap::new();
            read(blob.as_slice(), "usr/local/bin", &mut found).unwrap();
            assert_eq!(found.keys().collect::<Vec<_>>(), ["kube-apiserver", "kubernetes"]);
            assert!(matches!(&found["kubernetes"], InLayer::Program(bytes) if bytes == b"program"));
            assert!(matches!(&found["kube-apiserver"], InLayer::Link(target) if target == "kubernetes"));
        }
        let mut found = BTreeMap::new();
        read(&b"{\"architecture\":\"amd64\"}"[..], "usr/local/bin", &mut found).unwrap();
        assert!(found.is_empty());
        read(&tar[..700], "usr/local/bin", &mut found).expect_err("it is truncated");
    }

    #[test]
    fn the_same_contents_have_the_same_bytes() {
        let make = || layer(&[Entry::Program("usr/bin/a", b"a"), Entry::Link("usr/bin/b", "a")]).unwrap();
        assert_eq!(sha256(&make()), sha256(&make()));
        let tar = make();
        let mut archive = tar::Archive::new(tar.as_slice());
        let paths: Vec<_> = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
        assert_eq!(paths, [Path::new("usr/bin/a"), Path::new("usr/bin/b")]);
    }

    #[test]
    fn the_base_has_no_runc_and_no_unneeded_files() {
        let mut tar = Builder::new(Vec::new());
        for path in ["./usr/sbin/runc", "./usr/sbin/nft", "./dev/null", "./usr/share/doc/nft/copyright"] {
            tar.append_data(&mut header(EntryType::Regular, 0o755, 4), path, b"text".as_slice()).unwrap();
        }
        let (base, runc) = network_base(&tar.into_inner().unwrap()).unwrap();
        assert_eq!(runc, b"text");
        let mut archive = tar::Archive::new(base.as_slice());
        let paths: Vec<String> = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
        assert_eq!(paths[0], "usr/sbin/nft");
        assert_eq!(paths.len(), 1 + IPTABLES.len() + BUSYBOX.len());
        assert!(network_base(&[0; 1024]).is_err());
    }
}
