//! What steps write on the machines of the simulation.

use hostler_core::action::File;
use hostler_core::action::machine::Program;
use hostler_core::digest::sha256;
use hostler_core::facts::{Facts, FileFact};
use hostler_core::plan::wanted;
use hostler_core::protocol::path;
use hostler_core::record::{Applied, InProgress};
use hostler_core::static_pod::StaticPod;

/// Programs of another set are in use.
pub fn switch(facts: &mut Facts, set: &str, programs: &[Program]) {
    facts.files.retain(|path, _| !path.starts_with(wanted::CURRENT));
    for program in programs {
        let fact = FileFact { sha256: program.sha256.clone(), mode: "755".to_owned(), owner: "root:root".to_owned() };
        facts.files.insert(format!("{}/{}", wanted::CURRENT, program.path), fact);
    }
    facts.sets.insert(set.to_owned());
    facts.links.insert(wanted::CURRENT.to_owned(), format!("sets/{set}"));
    facts.in_progress.remove(&InProgress::Programs);
}

/// A file with its mode, of root.
pub fn write(facts: &mut Facts, file: &File) {
    let fact = FileFact { sha256: sha256(file.content.as_bytes()), mode: file.mode.clone(), owner: "root:root".to_owned() };
    facts.files.insert(file.path.clone(), fact);
}

/// kubeadm writes KubeletConfiguration with its defaults, a sum of its own, and flags for kubelet: both are put on record.
pub fn kubelet_config(facts: &mut Facts, sum: &str) {
    let sum = sha256(sum.as_bytes());
    let line = "KUBELET_KUBEADM_ARGS=\"--node-ip=10.0.0.1\"";
    facts.applied.extend([(Applied::KubeletFile, sum.clone()), (Applied::KubeletFlags, line.to_owned())]);
    for (path, sha256) in [(wanted::KUBELET_CONFIG, sum), (path::KUBELET_FLAGS, sha256(format!("{line}\n").as_bytes()))] {
        let fact = FileFact { sha256, mode: "644".to_owned(), owner: "root:root".to_owned() };
        facts.files.insert(path.to_owned(), fact);
    }
}

/// kubeadm writes the manifests of the static pods, put on record.
pub fn manifests(facts: &mut Facts, sum: &str) {
    for pod in StaticPod::ALL {
        let fact =
            FileFact { sha256: sha256(format!("{sum} {}", pod.name()).as_bytes()), mode: "600".to_owned(), owner: "root:root".to_owned() };
        facts.applied.insert(Applied::Manifest(pod), fact.sha256.clone());
        facts.files.insert(pod.manifest(), fact);
    }
}
