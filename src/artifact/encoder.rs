//! The image that encodes films: Debian's HandBrakeCLI and ffmpeg with their libraries, built on this computer, once. It is not part of a bundle: only
//! clusters with a `transcode:` section need it, and it does not depend on the version of Kubernetes.

use std::fs;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hostler_core::arch::Arch;
use hostler_core::digest::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::event::Events;
use crate::workstation::packages;
use crate::workstation::program::{program, stream};
use crate::workstation::task::task;
use crate::{atomic, home, user_file};

/// Its reference on machines. The number is increased when its contents change.
pub const ENCODER_IMAGE: &str = "hostler.local/encoder:3";

/// Metadata of the layer, next to it.
const KNOWN: &str = "encoder.json";
const SUITE: &str = "trixie";
const PACKAGES: &str = "base-files,handbrake-cli,ffmpeg";
/// For Quick Sync: what finds the runtime, Intel's runtime for chips from Tiger Lake on, and the driver that it speaks to. trixie has no runtime for
/// older chips.
const QUICK_SYNC: &str = "libvpl2,libmfx-gen1.2,intel-media-va-driver";

/// The programs, and everything that they load.
const KEPT: [&str; 6] = ["usr/bin/HandBrakeCLI", "usr/bin/ffmpeg", "usr/bin/ffprobe", "usr/lib", "usr/lib64", "etc/os-release"];
/// Not needed for encoding.
const LEFT_OUT: [&str; 5] = ["gconv", "engines-3", "gio", "krb5", "gdk-pixbuf-2.0"];
/// Libraries that ffmpeg would load to show films in a window, half of the image.
const NOT_LOADED: [&str; 3] = ["libLLVM", "libgallium", "libz3"];
/// Links that update-alternatives would create, next to the folder of their target.
const ALTERNATIVES: [(&str, &str); 2] = [("libblas.so.3", "blas/libblas.so.3"), ("liblapack.so.3", "lapack/liblapack.so.3")];

/// An image with one layer, on this computer's disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encoder {
    pub layer: PathBuf,
    /// Bytes.
    pub size: u64,
    pub sha256: String,
    pub source: String,
}

/// The encoder for machines of `arch`, from the cache; if there is none, it is built now, in about half a minute.
///
/// # Errors
/// mmdebstrap can't be installed on this computer, or Debian's packages can't be fetched.
pub async fn ready(arch: Arch, events: &Events) -> Result<Encoder> {
    let folder = folder(arch)?;
    let known = folder.join(KNOWN);
    if let Some(encoder) = at_hand(arch) {
        return Ok(encoder);
    }
    packages::install("building the encoder's image", packages::ENCODER, events).await?;
    fs::create_dir_all(&folder).with_context(|| format!("{} can't be created", folder.display()))?;
    // Intel makes no others.
    let packages = if arch == Arch::Amd64 { format!("{PACKAGES},{QUICK_SYNC}") } else { PACKAGES.to_owned() };
    let what = format!("build the encoder's image from Debian {SUITE}: {packages}");
    task(events, "encoder", &what, async |task| {
        let part = tempfile::Builder::new().prefix(".debian").suffix(".tar").tempfile_in(&folder)?;
        let options = ["--variant=extract", "--format=tar"];
        let mut command = program("mmdebstrap", options);
        command.arg(format!("--architectures={arch}")).arg(format!("--include={packages}")).arg(SUITE).arg(part.path());
        stream(command.env("SOURCE_DATE_EPOCH", "0"), |line| task.line(line.trim_start_matches("I: "))).await?;
        task.line("remove files that are not needed");
        let layer = folder.join("layer.tar");
        let (sha256, size) = prune(part.path(), &layer)?;
        let encoder = Encoder { layer, size, sha256, source: format!("debian:{SUITE} handbrake-cli ffmpeg") };
        atomic::write(&known, &serde_json::to_vec(&encoder)?, 0o600)?;
        Ok(encoder)
    })
    .await
}

fn folder(arch: Arch) -> Result<PathBuf> {
    Ok(home::cache()?.join("encoder").join(format!("{}-{arch}", ENCODER_IMAGE.rsplit(':').next().unwrap_or_default())))
}

/// The encoder in the cache, if it is complete.
pub fn at_hand(arch: Arch) -> Option<Encoder> {
    let made: Encoder = serde_json::from_slice(&user_file::read(&folder(arch).ok()?.join(KNOWN), user_file::MOST_BYTES).ok()?).ok()?;
    fs::metadata(&made.layer).is_ok_and(|layer| layer.len() == made.size).then_some(made)
}

/// Whether `path` belongs into the layer.
fn kept(path: &Path) -> bool {
    let library = path.strip_prefix("usr/lib").ok().and_then(|below| below.components().nth(1));
    let left_out = library.is_some_and(|folder| {
        let name = folder.as_os_str();
        LEFT_OUT.iter().any(|left_out| name == *left_out)
            || NOT_LOADED.iter().any(|library| name.as_encoded_bytes().starts_with(library.as_bytes()))
    });
    // With a merged /usr, the top folders are links.
    let link = path.components().count() == 1 && !["usr", "etc"].iter().any(|folder| path == Path::new(folder));
    link || KEPT.iter().any(|kept| path.starts_with(kept) || Path::new(kept).starts_with(path)) && !left_out
}

/// Writes the layer: its sha256 in hex, and its length in bytes. The same packages give the same bytes.
fn prune(tar: &Path, layer: &Path) -> Result<(String, u64)> {
    let mut new = Builder::new(Counting { to: BufWriter::new(atomic::New::beside(layer)?), hash: Sha256::new(), bytes: 0 });
    let mut libraries = None;
    for entry in tar::Archive::new(BufReader::new(user_file::regular(tar)?)).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let path = path.strip_prefix("./").unwrap_or(&path).to_path_buf();
        let kind = entry.header().entry_type();
        let plain = matches!(kind, EntryType::Regular | EntryType::Symlink | EntryType::Link | EntryType::Directory);
        if path.as_os_str().is_empty() || !plain || !kept(&path) || path.components().count() == 1 && kind == EntryType::Directory {
            continue;
        }
        if path.file_name().is_some_and(|name| name == "blas") {
            libraries = path.parent().map(Path::to_path_buf);
        }
        let mut header = entry.header().clone();
        header.set_mtime(0);
        match entry.link_name()? {
            Some(target) => new.append_link(&mut header, &path, target)?,
            None => new.append_data(&mut header, &path, &mut entry)?,
        }
    }
    let libraries = libraries.context("the Debian packages do not contain the folder of libblas")?;
    for (name, target) in ALTERNATIVES {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        header.set_mtime(0);
        new.append_link(&mut header, libraries.join(name), target)?;
    }
    let Counting { to, hash, bytes } = new.into_inner()?;
    let file = to.into_inner().map_err(|error| error.into_error())?;
    file.finish(0o600).with_context(|| format!("{} can't be written", layer.display()))?;
    Ok((hex(&hash.finalize()), bytes))
}

/// Hashes and counts written bytes.
struct Counting<W> {
    to: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_for_encoding_are_kept_and_alternatives_are_linked() {
        let folder = tempfile::tempdir().unwrap();
        let mut tar = Builder::new(Vec::new());
        let triplet = "./usr/lib/x86_64-linux-gnu";
        let mut put = |path: &str, kind: EntryType| {
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(0o755);
            header.set_mtime(77);
            if kind == EntryType::Symlink {
                header.set_size(0);
                return tar.append_link(&mut header, path, "usr/lib").unwrap();
            }
            let content: &[u8] = if kind == EntryType::Directory { b"" } else { b"text" };
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, path, content).unwrap();
        };
        put("./lib", EntryType::Symlink);
        for path in ["usr/bin/HandBrakeCLI", "usr/bin/mawk", "usr/share/doc/x264", "etc/fstab"] {
            put(&format!("./{path}"), EntryType::Regular);
        }
        put(&format!("{triplet}/blas"), EntryType::Directory);
        for path in ["blas/libblas.so.3", "libx264.so.164", "gconv/UTF-16.so", "libLLVM.so.19.1"] {
            put(&format!("{triplet}/{path}"), EntryType::Regular);
        }
        let (from, to) = (folder.path().join("a.tar"), folder.path().join("b.tar"));
        fs::write(&from, tar.into_inner().unwrap()).unwrap();
        let (sha256, size) = prune(&from, &to).unwrap();
        let bytes = fs::read(&to).unwrap();
        assert_eq!((sha256, size), (hostler_core::digest::sha256(&bytes), bytes.len() as u64));
        let mut archive = tar::Archive::new(bytes.as_slice());
        let paths: Vec<String> = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
        let libraries = "usr/lib/x86_64-linux-gnu";
        let wanted =
            ["blas", "blas/libblas.so.3", "libx264.so.164", "libblas.so.3", "liblapack.so.3"].map(|path| format!("{libraries}/{path}"));
        assert_eq!(paths[..2], ["lib", "usr/bin/HandBrakeCLI"]);
        assert_eq!(paths[2..].iter().map(|path| path.trim_end_matches('/')).collect::<Vec<_>>(), wanted);
    }
}
