//! THIN THREAD, to be replaced by the bundle branch.
use super::Manifest;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use tokio::io::AsyncRead;

pub struct Bundle {
    pub manifest: Manifest,
    pub folder: PathBuf,
    blobs: BTreeMap<String, (u64, u64)>,
}
pub struct Request {
    pub bundle: Option<PathBuf>,
    pub version: Option<String>,
    pub arch: Option<String>,
    pub from_source: bool,
}
impl Bundle {
    pub fn file_path(&self, sha256: &str) -> PathBuf {
        self.folder.join("files").join(sha256)
    }
    pub fn subset(&self, references: &[String]) -> anyhow::Result<(u64, Box<dyn AsyncRead + Send + Unpin>)> {
        let images: Vec<_> = self.manifest.images.iter().filter(|i| references.contains(&i.reference)).collect();
        let manifests: Vec<_> = images
            .iter()
            .map(|i| {
                serde_json::json!({"mediaType": i.media_type, "digest": i.digest, "size": i.manifest_size,
            "annotations": {"io.containerd.image.name": i.reference}, "platform": {"architecture": self.manifest.arch, "os": "linux"}})
            })
            .collect();
        let index = serde_json::to_vec(&serde_json::json!({"schemaVersion": 2, "manifests": manifests}))?;
        let mut seen = BTreeSet::new();
        let mut pieces: Vec<(String, Piece)> = vec![
            ("oci-layout".into(), Piece::Bytes(br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec())),
            ("index.json".into(), Piece::Bytes(index)),
        ];
        for image in &images {
            for digest in [&image.digest].into_iter().chain(image.blobs.iter().map(|b| &b.digest)) {
                let hex = digest.trim_start_matches("sha256:");
                if seen.insert(hex.to_owned()) {
                    let (offset, size) = self.blobs[hex];
                    pieces.push((format!("blobs/sha256/{hex}"), Piece::Range(offset, size)));
                }
            }
        }
        let mut total = 1024;
        for (_, piece) in &pieces {
            total += 512 + piece.len().div_ceil(512) * 512;
        }
        let path = self.folder.join("images.tar");
        let (mut tx, rx) = tokio::io::duplex(1 << 20);
        tokio::spawn(async move {
            use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
            let mut file = tokio::fs::File::open(path).await?;
            for (name, piece) in pieces {
                let mut header = tar::Header::new_gnu();
                header.set_path(&name)?;
                header.set_size(piece.len());
                header.set_mode(0o644);
                header.set_cksum();
                tx.write_all(header.as_bytes()).await?;
                let len = piece.len();
                match piece {
                    Piece::Bytes(bytes) => tx.write_all(&bytes).await?,
                    Piece::Range(offset, size) => {
                        file.seek(SeekFrom::Start(offset)).await?;
                        let mut part = tokio::io::BufReader::with_capacity(1 << 18, (&mut file).take(size));
                        tokio::io::copy_buf(&mut part, &mut tx).await?;
                    }
                }
                tx.write_all(&vec![0; ((512 - len % 512) % 512) as usize]).await?;
            }
            tx.write_all(&[0; 1024]).await?;
            Ok::<_, std::io::Error>(())
        });
        Ok((total, Box::new(rx)))
    }
}
enum Piece {
    Bytes(Vec<u8>),
    Range(u64, u64),
}
impl Piece {
    fn len(&self) -> u64 {
        match self {
            Piece::Bytes(b) => b.len() as u64,
            Piece::Range(_, s) => *s,
        }
    }
}
pub async fn locate(request: &Request, _: &crate::event::Events) -> anyhow::Result<Bundle> {
    let folder = request.bundle.clone().unwrap_or_else(|| "/work/thin/bundle".into());
    let manifest = serde_json::from_slice(&std::fs::read(folder.join("manifest.json"))?)?;
    let mut blobs = BTreeMap::new();
    let mut file = std::fs::File::open(folder.join("images.tar"))?;
    let mut at = 0;
    loop {
        let mut header = [0; 512];
        file.seek(SeekFrom::Start(at))?;
        if file.read_exact(&mut header).is_err() || header[0] == 0 {
            break;
        }
        let header = tar::Header::from_byte_slice(&header);
        let name = header.path()?.to_string_lossy().into_owned();
        let size = header.size()?;
        blobs.insert(name.trim_start_matches("blobs/sha256/").to_owned(), (at + 512, size));
        at += 512 + size.div_ceil(512) * 512;
    }
    Ok(Bundle { manifest, folder, blobs })
}
