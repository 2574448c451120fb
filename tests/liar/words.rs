//! What a machine says of itself.

use std::fs;

use crate::lab::{Lab, bundle, now};

/// The set of programs that a plan sends with the bundle of this computer, by its text.
fn sets(text: &str) -> Vec<&str> {
    text.split_whitespace().filter(|word| word.starts_with("1.36.3-") || word.starts_with("1.35.4-")).collect()
}

#[test]
fn an_honest_worker_joins() {
    let lab = Lab::with_worker("");
    let ran = lab.hostler(&["plan"]);
    assert_eq!(ran.status, 0, "{}", ran.all());
    assert!(ran.out.contains("apple: not in the cluster yet: run kubeadm join as a worker"), "{}", ran.all());
    assert_eq!(sets(&ran.out).len(), 2, "{}", ran.all());
}

#[test]
fn an_architecture_is_no_path() {
    for word in ["amd64/../../../evil", "../../evil", "riscv64", "x86_64 ", "", "x86_64/../../../evil", "\u{1b}[2J"] {
        let lab = Lab::with_worker(&format!("machine\t{word}"));
        bundle(&lab.path("evil"), 1);
        let honest = { Lab::with_worker("").hostler(&["plan"]) };
        let ran = lab.hostler(&["plan"]);
        assert!(matches!(ran.status, 0 | 3), "{word:?}: {}", ran.all());
        let own = sets(&honest.out);
        assert!(!sets(&ran.out).is_empty() && sets(&ran.out).iter().all(|set| own.contains(set)), "{word:?}: {}", ran.all());
        assert!(ran.out.contains("refused: apple: hostler has no programs for the architecture `"), "{word:?}: {}", ran.all());
        let status = lab.hostler(&["status"]);
        assert!(!status.out.contains("not compared"), "{word:?}: {}", status.all());
    }
}

#[test]
fn machines_of_two_architectures_get_their_own_bundles() {
    let lab = Lab::with_worker("machine\taarch64");
    for verb in ["plan", "up"] {
        // `up` asks before it does anything, and nobody is there.
        let ran = lab.hostler(&[verb]);
        assert!(ran.out.contains("refused: apple: the machine's architecture is arm64, but the bundle is for amd64"), "{}", ran.all());
        assert!(
            ran.err.contains("warning: there is no bundle for arm64, so machines of that architecture are not changed"),
            "{}",
            ran.all()
        );
        assert!(ran.out.contains("one: kubelet is not running with"), "{}", ran.all());
    }
    bundle(&lab.path("cache/bundles/1.36.3-arm64"), 2);
    let manifest = lab.path("cache/bundles/1.36.3-arm64/manifest.json");
    fs::write(&manifest, fs::read_to_string(&manifest).unwrap().replace("amd64", "arm64")).unwrap();
    let ran = lab.hostler(&["plan"]);
    assert!(ran.status == 0 && ran.out.contains("apple: not in the cluster yet: run kubeadm join as a worker"), "{}", ran.all());
    let status = lab.hostler(&["status"]);
    assert!(!status.out.contains("not compared"), "{}", status.all());
}

#[test]
fn a_version_is_a_control_planes_word() {
    for version in ["v1.35.4", "v1.2.3", "v1.36.3/../../../evil", "\u{1b}[2J"] {
        // A worker that says it is a control plane, and whose cluster answers.
        let cluster = format!(
            "control-plane\njoined\napi-version\t{{\"gitVersion\": \"{version}\"}}\napi-nodes\t{{\"items\": []}}\napi-configmaps\t{{\"items\": []}}\n\
             link\t/opt/hostler/current\tsets/{}-x",
            version.trim_start_matches('v')
        );
        let lab = Lab::with_worker(&cluster);
        let ran = lab.hostler(&["plan"]);
        assert!(matches!(ran.status, 0 | 3), "{version:?}: {}", ran.all());
        assert!(!ran.all().contains("no bundle of Kubernetes"), "{version:?}: {}", ran.all());
        assert!(sets(&ran.out).iter().all(|set| set.starts_with("1.36.3")), "{version:?}: {}", ran.all());
        assert!(ran.out.contains("one: "), "{version:?}: {}", ran.all());
    }
}

#[test]
fn a_worker_can_not_make_a_status_healthier() {
    let lab = Lab::new();
    let truth = lab.hostler(&["status"]);
    let healthy = "control-plane\njoined\napi-version\t{\"gitVersion\": \"v1.36.3\"}\n\
        api-nodes\t{\"items\": [{\"metadata\": {\"name\": \"one\"}, \"status\": {\"conditions\": [{\"type\": \"Ready\", \"status\": \"True\"}]}}]}\n\
        api-configmaps\t{\"items\": []}\nsnapshot\t9999999999\n\
        etcd-list\t{\"members\": [{\"ID\": 1, \"name\": \"one\", \"peerURLs\": [\"https://10.77.0.11:2380\"], \"clientURLs\": [\"x\"]}]}\n\
        etcd-health\t[{\"endpoint\": \"x\", \"health\": true}]";
    let lab = Lab::with_worker(healthy);
    let ran = lab.hostler(&["status"]);
    let problems =
        |text: &str| text.lines().filter(|line| line.starts_with("! ") && !line.contains("apple")).map(str::to_owned).collect::<Vec<_>>();
    assert!(!problems(&truth.out).is_empty(), "{}", truth.all());
    for problem in problems(&truth.out).iter().filter(|problem| !problem.contains("would change: ")) {
        assert!(ran.out.contains(problem.as_str()), "{problem}\n{}", ran.all());
    }
    assert!(ran.out.contains("snapshot      none"), "{}", ran.all());
}

#[test]
fn a_lock_that_can_not_be_blocks_nothing() {
    let base = Lab::with_worker("");
    for since in [0, now() - 86_400, now() + 86_400, i64::MAX, i64::MIN] {
        fs::write(base.path("apple/facts"), crate::lab::blank("apple", &format!("lock\t20260102T030405Z-1 of x@y\tone/probe\t{since}")))
            .unwrap();
        let ran = base.hostler(&["plan"]);
        assert!(matches!(ran.status, 0 | 3), "{since}: {}", ran.all());
        assert!(ran.out.contains("apple: not in the cluster yet: run kubeadm join as a worker"), "{since}: {}", ran.all());
        assert!(ran.out.contains("warning: apple: "), "{since}: {}", ran.all());
    }
}

/// `plan` changes nothing on this computer either: it fetches no bundle and builds no image. What it does not know is no difference.
#[test]
fn a_plan_needs_no_bundle_and_makes_none() {
    let films = "transcode:\n  inbox: path:/srv/in\n  library: path:/srv/out\n  owner: {uid: 1000, gid: 100}\n  folders: {Movies: {}}\n";
    for (more, has_bundle) in [("", false), (films, false), (films, true)] {
        let lab = Lab::with_worker(
            "share\t/srv/in\twritable\t1000:100\t755\t4096\t99999999\nshare\t/srv/out\twritable\t1000:100\t755\t4096\t99999999",
        );
        fs::write(lab.path("inventory.yaml"), lab.inventory(more)).unwrap();
        if !has_bundle {
            fs::remove_dir_all(lab.path("cache")).unwrap();
        }
        let before = fs::read_dir(lab.path("")).unwrap().count();
        let ran = lab.hostler(&["plan"]);
        assert!(matches!(ran.status, 0 | 3), "{}", ran.all());
        assert!(ran.out.contains("apple: not in the cluster yet: run kubeadm join as a worker"), "{}", ran.all());
        assert!(!ran.out.contains("no encoder"), "{}", ran.all());
        assert!(!ran.err.contains("fetch it") && !ran.err.contains("encoder"), "{}", ran.all());
        assert_eq!(ran.err.contains("the cache has no bundle of Kubernetes 1.36.3 for amd64"), !has_bundle, "{}", ran.all());
        assert_eq!(ran.out.contains("send the bundle's programs"), !has_bundle, "{}", ran.all());
        assert_eq!(lab.path("cache").exists(), has_bundle, "{}", ran.all());
        assert!(!lab.path("cache/encoder").exists() && fs::read_dir(lab.path("")).unwrap().count() <= before + 1, "{}", ran.all());
    }
}

/// Without a bundle, what can be compared is, and nothing is called healthy that was not.
#[test]
fn a_status_compares_without_a_bundle() {
    let lab = Lab::with_worker("");
    fs::remove_dir_all(lab.path("cache")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&lab.hostler(&["status", "--output", "json"]).out).unwrap();
    assert!(json["drift"]["steps"].as_u64().is_some_and(|steps| steps > 0), "{json}");
    let ran = lab.hostler(&["status"]);
    assert!(ran.out.contains(" would change: "), "{}", ran.all());
    assert!(ran.err.contains("programs and images on the machines are not checked"), "{}", ran.all());
    // The version of another hostler.
    fs::write(lab.path("one/facts"), crate::lab::control_plane().replace("1.36.3", "1.99.9")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&lab.hostler(&["status", "--output", "json"]).out).unwrap();
    assert!(json["healthy"] == false && json["drift"]["refusals"].as_u64().is_some_and(|refusals| refusals > 0), "{json}");
    let ran = lab.hostler(&["plan"]);
    assert!(ran.out.contains("hint: run `hostler bundle pins --update 1.99.9`"), "{}", ran.all());
}

/// Gives the bundle of `lab` another kubeadm.
fn with_kubeadm(lab: &Lab, kubeadm: &str) {
    let folder = lab.path("cache/bundles/1.36.3-amd64");
    let mut manifest: serde_json::Value = serde_json::from_str(&fs::read_to_string(folder.join("manifest.json")).unwrap()).unwrap();
    let file = manifest["files"].as_array_mut().unwrap().iter_mut().find(|file| file["name"] == "kubeadm").unwrap();
    let sum = hostler_core::digest::sha256(kubeadm.as_bytes());
    (file["sha256"], file["size"]) = (sum.clone().into(), kubeadm.len().into());
    fs::write(folder.join("files").join(&sum), kubeadm).unwrap();
    fs::set_permissions(folder.join("files").join(&sum), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
}

/// A second or two of an old laptop: settings that were accepted are asked about again when they, or the programs, are others.
#[test]
fn settings_are_shown_to_a_program_once() {
    let lab = Lab::new();
    let asked = lab.path("asked");
    let kubeadm = |say: &str| format!("#!/bin/sh\necho asked >> {}\n{say}\n", asked.display());
    // How often a run asks: it has a document for each of its steps.
    let plan = |status: &[i32]| {
        fs::write(&asked, "").unwrap();
        let ran = lab.hostler(&["plan"]);
        assert!(status.contains(&ran.status), "{}", ran.all());
        fs::read_to_string(&asked).unwrap().lines().count()
    };
    let usual = [0, 3];
    let within = |count: u8| {
        fs::write(
            lab.path("inventory.yaml"),
            lab.inventory(&format!("kubeadm: {{InitConfiguration: {{timeouts: {{discovery: {count}m}}}}}}\n")),
        )
    };
    with_kubeadm(&lab, &kubeadm("exit 0"));
    within(5).unwrap();
    let first = plan(&usual);
    assert!(first > 0);
    assert_eq!(plan(&usual), 0);
    within(6).unwrap();
    assert_eq!(plan(&usual), first);
    within(5).unwrap();
    assert_eq!(plan(&usual), 0);
    // Another program; and what was rejected is not remembered.
    with_kubeadm(&lab, &kubeadm("echo 'error: no' >&2; exit 1"));
    assert_eq!([plan(&[2]), plan(&[2])], [1, 1]);
    fs::write(lab.path("home/.local/state/hostler/accepted"), vec![0xff; 1 << 20]).unwrap();
    with_kubeadm(&lab, &kubeadm("exit 0"));
    assert_eq!([plan(&usual), plan(&usual)], [first, 0]);
}

/// A value that kubeadm rejects, of a key that it knows: `plan` and `status` say it alike, and neither names `up` as the way out.
#[test]
fn a_plan_and_a_status_reject_what_kubeadm_rejects() {
    let lab = Lab::new();
    let said = "error: error unmarshaling configuration schema.GroupVersionKind{Group:\"g\", Version:\"v\", Kind:\"KubeletConfiguration\"}: \
                json: cannot unmarshal string into Go struct field KubeletConfiguration.maxPods of type int32";
    let kubeadm = format!("#!/bin/sh\ngrep -q many \"$4\" || exit 0\necho '{said}' >&2\nexit 1\n");
    with_kubeadm(&lab, &kubeadm);
    fs::write(lab.path("inventory.yaml"), lab.inventory("kubeadm: {KubeletConfiguration: {maxPods: many}}\n")).unwrap();
    for verb in ["plan", "status"] {
        let ran = lab.hostler(&[verb]);
        assert_eq!(ran.status, 2, "{verb}: {}", ran.all());
        assert!(ran.err.contains("kubeadm 1.36.3 rejects this: KubeletConfiguration: "), "{verb}: {}", ran.all());
        assert!(!ran.out.contains("next:") && ran.out.contains("one") == (verb == "status"), "{verb}: {}", ran.all());
    }
}
