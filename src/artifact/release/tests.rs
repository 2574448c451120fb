//! A server on loopback that behaves like release sites and registries: redirects to another host's path, bearer tokens, multi-arch
//! indexes, gzip and zstd layers, Range, truncated bodies and wrong bodies.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use hostler_core::pins::shipped;
use serde_json::json;

use super::*;
use crate::artifact::layer::{Entry, layer};
use crate::artifact::{ARCHIVE, Bundle};

/// What is served, and the faults.
#[derive(Default)]
struct Served {
    files: BTreeMap<String, Vec<u8>>,
    /// Path -> number of answers that will be truncated.
    cut: BTreeMap<String, u32>,
    /// The end of paths whose answers never end.
    endless: Option<&'static str>,
    /// Paths whose bytes are changed in transit.
    wrong: Vec<String>,
    /// `PATH START` of every answer with bytes of a file.
    log: Vec<String>,
}

type Shared = Arc<Mutex<Served>>;

async fn answer(State(served): State<Shared>, uri: Uri, headers: HeaderMap) -> Response<Body> {
    let plain = |status: StatusCode| Response::builder().status(status);
    let path = uri.path().to_owned();
    if served.lock().unwrap().endless.is_some_and(|end| path.ends_with(end)) {
        let spaces = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 1 << 16])));
        return plain(StatusCode::OK).body(Body::from_stream(spaces)).unwrap();
    }
    if path == "/token" {
        return plain(StatusCode::OK).body(Body::from(r#"{"token":"let-me-in"}"#)).unwrap();
    }
    if path.starts_with("/v2/") && headers.get("authorization").is_none_or(|value| value != "Bearer let-me-in") {
        let realm = format!(r#"Bearer realm="http://{}/token",service="mirror""#, headers["host"].to_str().unwrap());
        return plain(StatusCode::UNAUTHORIZED).header("www-authenticate", realm).body(Body::empty()).unwrap();
    }
    // Like GitHub: a release is at another place.
    if let Some(rest) = path.strip_prefix("/github.com/") {
        return plain(StatusCode::FOUND).header("location", format!("/objects/{rest}")).body(Body::empty()).unwrap();
    }
    let key = path.strip_prefix("/objects/").map_or(path.clone(), |rest| format!("/github.com/{rest}"));
    let mut served = served.lock().unwrap();
    let Some(mut bytes) = served.files.get(&key).cloned() else { return plain(StatusCode::NOT_FOUND).body(Body::empty()).unwrap() };
    let start = headers
        .get("range")
        .and_then(|range| range.to_str().ok()?.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok())
        .unwrap_or(0);
    served.log.push(format!("{key} {start}"));
    if served.wrong.contains(&key) {
        bytes[0] ^= 1;
    }
    let cut = served.cut.get_mut(&key).filter(|left| **left > 0).map(|left| *left -= 1).is_some();
    let total = bytes.len();
    let rest = Bytes::from(bytes.split_off(start.min(total)));
    let builder = match start {
        0 => plain(StatusCode::OK),
        _ => plain(StatusCode::PARTIAL_CONTENT).header("content-range", format!("bytes {start}-{}/{total}", total - 1)),
    };
    let builder = match key.contains("/manifests/") {
        true if rest.starts_with(br#"{"index"#) || key.ends_with("flannel-cni-plugin/manifests/v1.9.1-flannel3") => {
            builder.header("content-type", "application/vnd.oci.image.index.v1+json")
        }
        true => builder.header("content-type", "application/vnd.oci.image.manifest.v1+json"),
        false => builder,
    };
    let builder = builder.header("content-length", rest.len());
    if cut {
        // The full length is announced, half is sent, and the connection ends.
        let half = rest.slice(..rest.len() / 2);
        let stream = futures_util::stream::unfold(Some(half), |half| async {
            match half {
                Some(half) => Some((Ok(half), None)),
                None => {
                    // Give the bytes time to be sent before the error.
                    tokio::task::yield_now().await;
                    Some((Err(std::io::Error::other("cut")), None))
                }
            }
        });
        return builder.body(Body::from_stream(stream)).unwrap();
    }
    builder.body(Body::from(rest)).unwrap()
}

async fn serve(served: Shared) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer).with_state(served)).await });
    format!("http://{address}")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

/// An image as a registry has it: an index of two architectures, manifests, a config, one layer.
fn publish(files: &mut BTreeMap<String, Vec<u8>>, image: &str, layer: Vec<u8>, media_type: &str) {
    let (name, tag) = image.rsplit_once(':').unwrap();
    let config = br#"{"os":"linux"}"#.to_vec();
    let digest = |bytes: &[u8]| format!("sha256:{}", sha256(bytes));
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(&config), "size": config.len() },
        "layers": [{ "mediaType": media_type, "digest": digest(&layer), "size": layer.len() }],
    }))
    .unwrap();
    let entry = |arch: &str, digest: String| {
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest,
            "size": manifest.len(),
            "platform": { "architecture": arch, "os": "linux" },
        })
    };
    let other = format!("sha256:{}", "0".repeat(64));
    let index = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry("arm64", other), entry("amd64", digest(&manifest))],
    }))
    .unwrap();
    for blob in [config, layer] {
        files.insert(format!("/v2/{name}/blobs/{}", digest(&blob)), blob);
    }
    files.insert(format!("/v2/{name}/manifests/{}", digest(&manifest)), manifest);
    files.insert(format!("/v2/{name}/manifests/{tag}"), index);
}

/// Small versions of everything in a bundle, with their checksums.
fn everything() -> (BTreeMap<String, Vec<u8>>, Vec<Release>) {
    let pins = &shipped().pins[0];
    let mut files = BTreeMap::new();
    let mut releases = shipped().releases(pins, Arch::Amd64);
    for release in &mut releases {
        let program = |name: &str| format!("{name} of {}", release.address).repeat(50).into_bytes();
        let bytes = match release.contents {
            Contents::Program(name) => program(name),
            Contents::Programs(names) | Contents::CniPlugins(names) => {
                let programs: Vec<_> = names.iter().map(|name| (format!("folder/{name}"), program(name))).collect();
                let entries: Vec<_> = programs.iter().map(|(path, bytes)| Entry::Program(path, bytes)).collect();
                gzip(&layer(&entries).unwrap())
            }
        };
        release.sha256 = Some(sha256(&bytes));
        files.insert(release.address.replace("https:/", ""), bytes);
    }
    for (component, image) in pins.images() {
        let tar = layer(&[Entry::Program("program", format!("{component:?}").repeat(100).as_bytes())]).unwrap();
        publish(&mut files, &image, gzip(&tar), "application/vnd.oci.image.layer.v1.tar+gzip");
    }
    let tar = layer(&[Entry::Program("flannel", b"the plugin")]).unwrap();
    let packed = zstd::encode_all(tar.as_slice(), 3).unwrap();
    let plugin = format!("ghcr.io/flannel-io/flannel-cni-plugin:{}", pins.cni_flannel_image);
    publish(&mut files, &plugin, packed, "application/vnd.oci.image.layer.v1.tar+zstd");
    (files, releases)
}

struct Run {
    served: Shared,
    releases: Vec<Release>,
    folder: tempfile::TempDir,
    mirror: String,
}

impl Run {
    async fn new() -> Run {
        let (files, releases) = everything();
        let served = Arc::new(Mutex::new(Served { files, ..Served::default() }));
        let mirror = serve(served.clone()).await;
        Run { served, releases, folder: tempfile::tempdir().unwrap(), mirror }
    }

    async fn make(&self) -> Result<Bundle> {
        let place = self.folder.path().join("bundle");
        let fetching = Fetching { sites: Sites { mirror: Some(self.mirror.clone()) }, unpinned: false };
        let (sender, _receiver) = tokio::sync::mpsc::unbounded_channel();
        let kept = Kept { downloads: self.folder.path().join("downloads"), lock: self.folder.path().join("images.lock.json") };
        let hostler: (&[u8], &str) = (b"\x7fELF", "test");
        fetch_into(&shipped().pins[0], &self.releases, Arch::Amd64, &fetching, hostler, &place, &kept, &Events::new(sender)).await?;
        let bundle = Bundle::open(&place)?;
        bundle.verify(|_| {})?;
        Ok(bundle)
    }

    fn answers(&self, part: &str) -> Vec<String> {
        self.served.lock().unwrap().log.iter().filter(|line| line.contains(part)).cloned().collect()
    }
}

#[tokio::test]
async fn a_bundle_is_fetched_completely_and_every_byte_once() {
    let run = Run::new().await;
    let bundle = run.make().await.unwrap();
    let manifest = &bundle.manifest;
    for name in ["kubelet", "kubeadm", "kubectl", "containerd", "ctr", "runc", "crictl", "etcdutl", "bridge", "flannel"] {
        assert!(manifest.file(name).is_some(), "{name}");
    }
    assert_eq!(fs::read(bundle.file_path(&manifest.file("flannel").unwrap().sha256)).unwrap(), b"the plugin");
    assert_eq!(manifest.images.len(), 9);
    let pause = manifest.image(Component::Pause).unwrap();
    assert_eq!(pause.reference, "registry.k8s.io/pause:3.10.2");
    assert_eq!(pause.source, format!("{}@{}", pause.reference, pause.digest));
    let before = run.answers("").len();
    // Now everything is in the cache: only manifests are requested.
    run.make().await.unwrap();
    let again = run.answers("")[before..].to_vec();
    assert!(again.iter().all(|line| line.contains("/manifests/")), "{again:?}");
}

#[tokio::test]
async fn a_tag_that_was_moved_is_refused_and_leaves_no_bundle() {
    let run = Run::new().await;
    run.make().await.unwrap();
    fs::remove_dir_all(run.folder.path().join("bundle")).unwrap();
    let pause = shipped().pins[0].images().into_iter().find(|(component, _)| *component == Component::Pause).unwrap().1;
    let tar = layer(&[Entry::Program("pause", b"another one")]).unwrap();
    publish(&mut run.served.lock().unwrap().files, &pause, gzip(&tar), "application/vnd.oci.image.layer.v1.tar+gzip");
    let error = run.make().await.unwrap_err();
    assert_eq!(ExitStatus::of(&error), ExitStatus::Refused, "{error:#}");
    assert!(error.to_string().contains(&pause), "{error:#}");
    assert!(!run.folder.path().join("bundle").exists());
}

/// Manifests and tokens are read into memory, and nobody knows their sizes before.
#[tokio::test]
async fn an_answer_without_an_end_is_an_error_within_seconds() {
    let pause = shipped().pins[0].images().into_iter().find(|(component, _)| *component == Component::Pause).unwrap().1;
    for endless in ["/token", "/manifests/3.10.2"] {
        let run = Run::new().await;
        run.served.lock().unwrap().endless = Some(endless);
        let sites = Sites { mirror: Some(run.mirror.clone()) };
        let registries = Registries::new(&sites).unwrap();
        let (sender, _receiver) = tokio::sync::mpsc::unbounded_channel();
        let events = Events::new(sender);
        let pulled = task(&events, "pause", "pull", async |task| registries.pull(&pause, Arch::Amd64, run.folder.path(), &task).await);
        let pulled = tokio::time::timeout(std::time::Duration::from_secs(30), pulled).await.expect("it ends");
        let error = format!("{:#}", pulled.err().expect("an error"));
        assert!(error.contains("too large"), "{endless}: {error}");
    }
}

#[tokio::test]
async fn an_interrupted_download_is_resumed() {
    let run = Run::new().await;
    let kubelet = "/dl.k8s.io/release/v1.36.3/bin/linux/amd64/kubelet".to_owned();
    let length = run.served.lock().unwrap().files[&kubelet].len();
    let layer = {
        let served = run.served.lock().unwrap();
        let blobs = served.files.iter().filter(|(path, bytes)| path.contains("/coredns/blobs/") && bytes.len() > 20);
        blobs.map(|(path, _)| path.clone()).next().unwrap()
    };
    run.served.lock().unwrap().cut.extend([(kubelet.clone(), 2), (layer.clone(), 1)]);
    run.make().await.unwrap();
    let half = length / 2;
    let starts = [0, half, half + (length - half) / 2];
    assert_eq!(run.answers(&kubelet), starts.map(|start| format!("{kubelet} {start}")));
    assert_eq!(run.answers(&layer).len(), 2);
}

#[tokio::test]
async fn wrong_bytes_are_refused_and_leave_no_bundle() {
    for what in
        ["/dl.k8s.io/release/v1.36.3/bin/linux/amd64/kubeadm", "/github.com/opencontainers/runc/releases/download/v1.4.3/runc.amd64"]
    {
        let run = Run::new().await;
        run.served.lock().unwrap().wrong.push(what.to_owned());
        let error = run.make().await.unwrap_err();
        assert_eq!(ExitStatus::of(&error), ExitStatus::Refused, "{error:#}");
        assert!(format!("{error:#}").contains("does not match its published checksum"), "{error:#}");
        assert!(!run.folder.path().join("bundle").exists());
    }
    let run = Run::new().await;
    let layer = {
        let served = run.served.lock().unwrap();
        served.files.iter().find(|(path, bytes)| path.contains("/pause/blobs/") && bytes.len() > 20).unwrap().0.clone()
    };
    run.served.lock().unwrap().wrong.push(layer);
    assert!(run.make().await.is_err());
    assert!(!run.folder.path().join("bundle").exists());
}

#[tokio::test]
async fn a_changed_byte_in_a_program_or_layer_is_reported() {
    let run = Run::new().await;
    let bundle = run.make().await.unwrap();
    let layer = {
        let served = run.served.lock().unwrap();
        served.files.iter().find(|(path, bytes)| path.contains("/pause/blobs/") && bytes.starts_with(&[0x1f, 0x8b])).unwrap().1.clone()
    };
    let archive = run.folder.path().join("bundle").join(ARCHIVE);
    let begins = fs::read(&archive).unwrap().windows(layer.len()).position(|bytes| bytes == layer).unwrap();
    for (file, place) in [(bundle.file_path(&bundle.manifest.files[0].sha256), 0), (archive, begins + layer.len() / 2)] {
        let whole = fs::read(&file).unwrap();
        let mut changed = whole.clone();
        changed[place] ^= 1;
        fs::write(&file, changed).unwrap();
        let error = bundle.verify(|_| {}).unwrap_err();
        assert_eq!(ExitStatus::of(&error), ExitStatus::Refused, "{error:#}");
        assert!(error.to_string().contains("was changed: its sha256 is"), "{error:#}");
        fs::write(&file, whole).unwrap();
        bundle.verify(|_| {}).unwrap();
    }
}

#[tokio::test]
async fn a_file_without_a_published_checksum_is_refused_unless_allowed() {
    let mut run = Run::new().await;
    run.releases[0].sha256 = None;
    let error = run.make().await.unwrap_err();
    assert!(error.to_string().contains("has no published checksum"), "{error:#}");
    assert!(run.answers("").is_empty());
}

#[tokio::test]
async fn a_missing_file_is_reported_without_retries() {
    let run = Run::new().await;
    let kubelet = "/dl.k8s.io/release/v1.36.3/bin/linux/amd64/kubelet";
    run.served.lock().unwrap().files.remove(kubelet);
    let error = run.make().await.unwrap_err();
    assert!(error.to_string().contains("404"), "{error:#}");
}

#[test]
fn only_https_and_this_computer_are_believed_about_images() {
    for mirror in ["https://mirror.example.org", "http://127.0.0.1:5000", "http://localhost/x", "http://[::1]:5000", "https://192.0.2.1"] {
        assert!(!is_open_to_changes(mirror), "{mirror}");
    }
    for mirror in
        ["http://mirror.example.org", "http://192.0.2.1:5000", "http://localhost.example.org", "http://127.0.0.1.example.org", "ftp://a"]
    {
        assert!(is_open_to_changes(mirror), "{mirror}");
    }
}
