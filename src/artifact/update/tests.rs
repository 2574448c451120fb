//! The release sites as a server on loopback has them, with a kubeadm that is a shell script.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use hostler_core::digest::sha256;
use hostler_core::pins::{parse, shipped};
use jiff::civil::date;

use super::*;

type Served = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

async fn answer(State(served): State<Served>, uri: Uri) -> Result<Vec<u8>, StatusCode> {
    served.lock().unwrap().get(uri.path()).cloned().ok_or(StatusCode::NOT_FOUND)
}

struct Run {
    served: Served,
    folder: tempfile::TempDir,
    sites: Sites,
}

const KUBEADM: &str = "#!/bin/sh
[ \"$*\" = 'config images list --kubernetes-version v1.36.9' ] || exit 1
for image in kube-apiserver:v1.36.9 coredns/coredns:v1.14.4 pause:3.10.3 etcd:3.6.9-0; do echo registry.k8s.io/$image; done
";

impl Run {
    async fn new() -> Run {
        let served = Served::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(served.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let sites = Sites { mirror: Some(format!("http://{address}")) };
        let run = Run { served, folder: tempfile::tempdir().unwrap(), sites };
        run.publish("/dl.k8s.io/release/stable-1.36.txt", "v1.36.9");
        for name in OF_KUBERNETES {
            for arch in Arch::ALL {
                let text = if name == "kubeadm" { KUBEADM.to_owned() } else { format!("{name} {arch}") };
                let path = format!("/dl.k8s.io/release/v1.36.9/bin/linux/{arch}/{name}");
                run.publish(&format!("{path}.sha256"), &sha256(text.as_bytes()));
                run.publish(&path, &text);
            }
        }
        let sums: Vec<String> = Arch::ALL.map(|arch| format!("{}  {}", digit(arch), etcd_archive("3.6.9", arch))).into();
        run.publish("/github.com/etcd-io/etcd/releases/download/v3.6.9/SHA256SUMS", &sums.join("\n"));
        run
    }

    fn publish(&self, path: &str, text: &str) {
        self.served.lock().unwrap().insert(path.to_owned(), text.as_bytes().to_vec());
    }

    fn withdraw(&self, path: &str) {
        self.served.lock().unwrap().remove(path).unwrap();
    }

    fn place(&self) -> Place {
        Place { file: self.file(), adds: true }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("hostler/pins.yaml")
    }

    async fn update(&self, asked: Option<&str>) -> Result<Updated> {
        let (sender, _receiver) = tokio::sync::mpsc::unbounded_channel();
        let downloads = self.folder.path().join("downloads");
        update(&self.place(), asked, &self.sites, &downloads, date(2026, 11, 29), &Events::new(sender)).await
    }

    async fn fails(&self, asked: Option<&str>) -> (ExitStatus, String) {
        let error = self.update(asked).await.unwrap_err();
        (ExitStatus::of(&error), format!("{error:#}"))
    }
}

/// A sum that is of nothing.
fn digit(arch: Arch) -> String {
    if arch == Arch::Amd64 { "a".repeat(64) } else { "b".repeat(64) }
}

#[tokio::test]
async fn a_version_is_added_with_what_its_sites_and_its_kubeadm_say() {
    let run = Run::new().await;
    assert_eq!(run.update(None).await.unwrap(), Updated { version: "1.36.9".to_owned(), known: false });
    let list = run.place().list().unwrap();
    assert_eq!((list.pins[0].kubernetes.as_str(), list.as_of), ("1.36.9", Some(date(2026, 11, 29))));
    let expected = Pins {
        kubernetes: "1.36.9".to_owned(),
        etcd: "3.6.9".to_owned(),
        etcd_image: "3.6.9-0".to_owned(),
        coredns: "1.14.4".to_owned(),
        pause: "3.10.3".to_owned(),
        ..shipped().pins[0].clone()
    };
    assert_eq!(list.pins[0], expected);
    let sum = list.sum("kubeadm", "1.36.9").unwrap();
    assert_eq!((sum.source.as_str(), sum.as_of, sum.of(Arch::Amd64)), ("release site", date(2026, 11, 29), &*sha256(KUBEADM.as_bytes())));
    assert_eq!(list.sum("etcd", "3.6.9").unwrap().of(Arch::Arm64), digit(Arch::Arm64));
    assert_eq!(list.sum("kubelet", "1.36.3").unwrap().source, "kubespray");
    for arch in Arch::ALL {
        assert!(list.releases(&list.pins[0], arch).iter().all(|release| release.sha256.is_some()));
    }
    // The file has what is new, and nothing of hostler's own.
    let text = std::fs::read_to_string(run.file()).unwrap();
    assert_eq!(parse(&text, "it").unwrap().pins, [expected]);
    // The same once more changes nothing.
    assert_eq!(run.update(Some("1.36")).await.unwrap(), Updated { version: "1.36.9".to_owned(), known: true });
    assert_eq!(std::fs::read_to_string(run.file()).unwrap(), text);
}

#[tokio::test]
async fn another_checksum_of_a_known_version_is_refused_and_nothing_is_written() {
    let run = Run::new().await;
    for name in OF_KUBERNETES {
        for arch in Arch::ALL {
            let known = shipped().sum(name, "1.36.3").unwrap().of(arch).to_owned();
            run.publish(&format!("/dl.k8s.io/release/v1.36.3/bin/linux/{arch}/{name}.sha256"), &known);
        }
    }
    assert!(run.update(Some("v1.36.3")).await.unwrap().known);
    assert!(!run.file().exists());
    run.publish("/dl.k8s.io/release/v1.36.3/bin/linux/arm64/kubelet.sha256", &digit(Arch::Arm64));
    let (status, error) = run.fails(Some("1.36.3")).await;
    assert_eq!(status, ExitStatus::Refused);
    assert!(
        error.contains("for kubelet 1.36.3 (arm64), but the known checksum is 57205a5d") && error.contains("(kubespray, 2026-08-21)"),
        "{error}"
    );
    assert!(!run.file().exists());
    // So is one of a version that was added before.
    run.update(None).await.unwrap();
    let before = std::fs::read(run.file()).unwrap();
    run.publish("/dl.k8s.io/release/v1.36.9/bin/linux/amd64/kubectl.sha256", &digit(Arch::Amd64));
    assert_eq!(run.fails(None).await.0, ExitStatus::Refused);
    assert_eq!(std::fs::read(run.file()).unwrap(), before);
}

#[tokio::test]
async fn what_a_site_does_not_say_is_an_error_and_nothing_is_written() {
    let arm64 = "/dl.k8s.io/release/v1.36.9/bin/linux/arm64/kubectl.sha256";
    let kubeadm = format!("/dl.k8s.io/release/v1.36.9/bin/linux/{}/kubeadm", own_arch());
    let etcd = "/github.com/etcd-io/etcd/releases/download/v3.6.9/SHA256SUMS";
    let stable = "/dl.k8s.io/release/stable-1.36.txt";
    for (path, text, said) in [
        (arm64, Some("<html>"), "has no sha256"),
        (arm64, None, "there is no https://dl.k8s.io"),
        (etcd, Some("0  etcd"), "has no sha256 of etcd-v3.6.9-linux-amd64.tar.gz"),
        (etcd, None, "there is no https://github.com"),
        (stable, Some("v1.37.0"), "has no version of 1.36"),
        (stable, Some("../../etc/passwd"), "has no version of 1.36"),
        (kubeadm.as_str(), Some("#!/bin/sh\nexit 0\n"), "does not match its published checksum"),
    ] {
        let run = Run::new().await;
        match text {
            Some(text) => run.publish(path, text),
            None => run.withdraw(path),
        }
        let (_, error) = run.fails(None).await;
        assert!(error.contains(said), "{path}: {error}");
        assert!(!run.file().exists());
    }
    let run = Run::new().await;
    run.publish(stable, &"1".repeat(MOST_BYTES + 1));
    assert!(run.fails(None).await.1.contains("has more than"));
    let silent = "#!/bin/sh\necho registry.k8s.io/etcd:3.6.9-0\n";
    run.publish(&kubeadm, silent);
    run.publish(&format!("{kubeadm}.sha256"), &sha256(silent.as_bytes()));
    assert!(run.fails(Some("1.36.9")).await.1.contains("does not name its CoreDNS"));
    assert_eq!(run.fails(Some("latest")).await.0, ExitStatus::Usage);
    // A damaged file is reported before anything is fetched.
    std::fs::create_dir_all(run.file().parent().unwrap()).unwrap();
    std::fs::write(run.file(), "kubernetes: [").unwrap();
    assert_eq!(run.fails(None).await.0, ExitStatus::Usage);
    assert_eq!(std::fs::read_to_string(run.file()).unwrap(), "kubernetes: [");
}

#[tokio::test]
async fn checksums_are_taken_over_tls_alone() {
    let run = Run { sites: Sites { mirror: Some("http://mirror.example.org".to_owned()) }, ..Run::new().await };
    let (status, error) = run.fails(None).await;
    assert_eq!(status, ExitStatus::Refused);
    assert!(error.contains("anyone on the network path can change the checksums"), "{error}");
}
