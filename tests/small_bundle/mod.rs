//! A bundle with everything that a bundle must have, each a few bytes.

use std::fs;
use std::path::{Path, PathBuf};

use hostler_core::digest::sha256;
use hostler_core::manifest::{Blob, File, FileKind, IMAGES, Image, Manifest, PLUGINS, PROGRAMS};

/// Writes it to `folder/bundle`.
pub fn small_bundle(folder: &Path) -> PathBuf {
    let bundle = folder.join("bundle");
    fs::create_dir_all(bundle.join("files")).expect("a folder");
    let file = |kind, name: &str| {
        let sum = sha256(name.as_bytes());
        fs::write(bundle.join("files").join(&sum), name).expect("a file");
        let (name, version, source) = (name.to_owned(), "1".to_owned(), "test".to_owned());
        File { size: name.len() as u64, name, version, kind, sha256: sum, source }
    };
    let programs = PROGRAMS.iter().map(|name| file(FileKind::Program, name));
    let files = programs.chain(PLUGINS.iter().map(|name| file(FileKind::CniPlugin, name))).collect();
    let mut archive = tar::Builder::new(Vec::new());
    let images = IMAGES.map(|component| {
        let reference = format!("example.org/{component:?}:1");
        let sum = sha256(reference.as_bytes());
        let mut header = tar::Header::new_gnu();
        header.set_size(reference.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("blobs/sha256/{sum}"), reference.as_bytes()).expect("a tar");
        let (digest, size) = (format!("sha256:{sum}"), reference.len() as u64);
        let blobs = vec![Blob { digest: digest.clone(), size }];
        let (media_type, source) = ("application/vnd.oci.image.manifest.v1+json".to_owned(), "test".to_owned());
        Image { component, reference, digest, media_type, manifest_size: size, blobs, source }
    });
    let manifest = Manifest {
        schema: 1,
        kubernetes: "1.36.3".to_owned(),
        arch: hostler_core::arch::Arch::Amd64,
        files,
        images: images.into_iter().collect(),
    };
    manifest.check().expect("it is whole");
    fs::write(bundle.join("manifest.json"), serde_json::to_vec(&manifest).expect("JSON")).expect("a file");
    fs::write(bundle.join("images.tar"), archive.into_inner().expect("a tar")).expect("a file");
    bundle
}
