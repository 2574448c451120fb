//! What `hostler render` makes of the example inventories, file by file: `tests/goldens/NAME` has it. A file that is the same elsewhere
//! stands once, and `same.txt` says where; the scripts are in `steps.txt`, without the prelude that begins them all.
//! `UPDATE=1 cargo test --test render` rewrites the folder; read what changed before it is committed.
//!
//! And what the real kubeadm says to every document that hostler makes for it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use hostler::apply::fragments::objections;
use hostler::apply::settings::objection;
use hostler::artifact::{Bundle, own_arch};
use hostler::cli::render::rendered;
use hostler::home;
use hostler::inventory_file::InventoryFile;
use hostler_core::action::kubeadm::coredns;
use hostler_core::document::Document;
use hostler_core::inventory::{Inventory, Role, parse};
use hostler_core::manifest::Manifest;
use hostler_core::plan::{documents, relied};
use hostler_core::protocol::placeholder;
use hostler_core::template;
use serde_json::json;

const EXAMPLES: [&str; 3] = ["minimal", "ponies", "three-control-planes"];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn example(name: &str) -> Inventory {
    InventoryFile::load(&folder(&format!("inventory/{name}.yaml"))).expect("the example can be read").inventory
}

fn manifest() -> Manifest {
    serde_json::from_str(include_str!("render/manifest.json")).expect("it is a manifest")
}

/// The golden files, by their path below tests/goldens.
fn goldens() -> BTreeMap<String, String> {
    let mut goldens = BTreeMap::new();
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    for name in EXAMPLES {
        let mut steps = String::new();
        let mut same = String::new();
        let mut bodies: BTreeMap<String, String> = BTreeMap::new();
        for (place, text) in rendered(&example(name), &manifest()).expect("templates fit") {
            if let Some(step) = place.strip_prefix("steps/") {
                let body = body(step, &text);
                let before = bodies.entry(body.clone()).or_insert_with(|| step.to_owned());
                let told = if *before == step { body } else { format!("as {before}\n") };
                steps.push_str(&format!("===== {step}\n{told}"));
                continue;
            }
            let place = format!("{name}/{place}");
            match places.get(&text) {
                Some(first) => same.push_str(&format!("{} is {first}\n", &place[name.len() + 1..])),
                None => {
                    places.insert(text.clone(), place.clone());
                    goldens.insert(place, text);
                }
            }
        }
        goldens.insert(format!("{name}/steps.txt"), steps);
        goldens.insert(format!("{name}/same.txt"), same);
    }
    goldens
}

/// The script of `NNN-MACHINE-WHAT.sh` without its prelude.
fn body(step: &str, text: &str) -> String {
    let line = text.lines().find(|line| line.starts_with("step=")).unwrap_or_else(|| panic!("{step} does not say which step it is"));
    let id = line.trim_start_matches("step=").trim_matches('\'');
    let prelude = template::render("step/prelude.sh", json!({ "run": "RUN", "step": id, "begun": false })).expect("the template fits");
    text.strip_prefix(&prelude).unwrap_or_else(|| panic!("{step} does not begin with the prelude")).to_owned()
}

/// All files below `path`, by their path from there.
fn files(path: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![path.to_owned()];
    while let Some(below) = folders.pop() {
        let Ok(entries) = fs::read_dir(&below) else { continue };
        for entry in entries {
            let entry = entry.expect("an entry can be read").path();
            if entry.is_dir() {
                folders.push(entry);
            } else {
                let name = entry.strip_prefix(path).expect("it is below").display().to_string();
                found.insert(name, fs::read_to_string(&entry).expect("it is text"));
            }
        }
    }
    found
}

#[test]
fn what_is_rendered_is_as_it_was() {
    let place = folder("tests/goldens");
    let now = goldens();
    if std::env::var_os("UPDATE").is_some() {
        drop(fs::remove_dir_all(&place));
        for (name, text) in &now {
            let path = place.join(name);
            let parent = path.parent().expect("it is below a folder");
            fs::create_dir_all(parent).and_then(|()| fs::write(&path, text)).expect("it can be written");
        }
    }
    let before = files(&place);
    let names: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let wrong: Vec<String> = names
        .into_iter()
        .filter_map(|name| match (before.get(name), now.get(name)) {
            (Some(before), Some(now)) if before == now => None,
            (Some(before), Some(now)) => Some(format!("{name}: {}", difference(before, now))),
            (Some(_), None) => Some(format!("{name} is rendered no more")),
            (None, _) => Some(format!("{name} is rendered, and new")),
        })
        .collect();
    assert!(wrong.is_empty(), "{}\nhint: UPDATE=1 cargo test --test render, then read what changed", wrong.join("\n"));
}

/// The first line in which two texts differ.
fn difference(before: &str, now: &str) -> String {
    let pairs = before.lines().map(Some).chain(std::iter::repeat(None)).zip(now.lines().map(Some).chain(std::iter::repeat(None)));
    let longest = before.lines().count().max(now.lines().count());
    let found = pairs.take(longest).enumerate().find(|(_, (before, now))| before != now);
    found.map_or_else(
        || "the end of the last line".to_owned(),
        |(number, (before, now))| format!("line {}\n  was {}\n  is  {}", number + 1, before.unwrap_or("no line"), now.unwrap_or("no line")),
    )
}

/// Every bundle at hand for this computer: the one that HOSTLER_BUNDLE names, else all in hostler's cache.
fn bundles() -> Vec<Bundle> {
    let folders: Vec<PathBuf> = match std::env::var_os("HOSTLER_BUNDLE").filter(|folder| !folder.is_empty()) {
        Some(folder) => vec![folder.into()],
        None => {
            let cache = home::cache().expect("there is a cache").join("bundles");
            let entries = fs::read_dir(&cache).map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect());
            entries.unwrap_or_default()
        }
    };
    let opened = folders.iter().filter_map(|folder| Bundle::open(folder).ok());
    let found: Vec<Bundle> = opened.filter(|bundle| bundle.manifest.arch == own_arch()).collect();
    assert!(
        !found.is_empty(),
        "there is no bundle, so there is no kubeadm (looked for {folders:?})\nhint: `hostler bundle create --from-source` makes one in \
         the cache; HOSTLER_BUNDLE=FOLDER names another"
    );
    found
}

/// kubeadm, as every bundle at hand has it.
fn kubeadms() -> Vec<(Manifest, PathBuf)> {
    let kubeadm = |bundle: Bundle| {
        let path = bundle.file_path(&bundle.manifest.file("kubeadm").expect("it has kubeadm").sha256);
        (bundle.manifest, path)
    };
    bundles().into_iter().map(kubeadm).collect()
}

/// Every document for kubeadm that any plan for this inventory can hold, by a name that says which.
fn configs(inventory: &Inventory, version: &str) -> Vec<(String, String)> {
    let mut configs = Vec::new();
    for (name, machine) in &inventory.machines {
        configs.push((format!("join of {name}"), documents::join(inventory, name, machine).expect("templates fit")));
        if machine.role == Role::ControlPlane {
            configs.push((format!("init of {name}"), documents::init(inventory, version, name, machine).expect("templates fit")));
            let renew = documents::control_plane(inventory, documents::ApiServers::of_new(version), name, machine).expect("templates fit");
            configs.push((format!("renewal of {name}"), renew));
        }
    }
    let cluster = documents::cluster(inventory, documents::ApiServers::of_new(version)).expect("templates fit");
    for document in [Document::Kubelet, Document::KubeProxy] {
        let stored = documents::stored(inventory, documents::ApiServers::of_new(version), document).expect("templates fit");
        configs.push((document.kind().to_owned(), format!("{cluster}---\n{stored}")));
    }
    configs.push((Document::Cluster.kind().to_owned(), cluster));
    configs
}

#[test]
fn kubeadm_takes_every_document() {
    let mut inventories: Vec<(String, Inventory)> = EXAMPLES.iter().map(|name| ((*name).to_owned(), example(name))).collect();
    inventories
        .push(("fragments".to_owned(), InventoryFile::load(&folder("tests/render/fragments.yaml")).expect("it can be read").inventory));
    let mut wrong = String::new();
    for (manifest, kubeadm) in kubeadms() {
        for (name, inventory) in &inventories {
            for (what, config) in configs(inventory, &manifest.kubernetes) {
                let said = objections(&kubeadm, &config).expect("it can be run");
                if !said.is_empty() {
                    wrong.push_str(&format!("{name}, {what}, kubeadm {}: {said}\n{config}\n", manifest.kubernetes));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The documents above are those of the plans: what stands in `init` and `join` of a new cluster is among them.
#[test]
fn what_kubeadm_took_is_what_is_planned() {
    for name in EXAMPLES {
        let inventory = example(name);
        let known: Vec<String> = configs(&inventory, "1.36.3").into_iter().map(|(_, config)| config).collect();
        for (place, text) in rendered(&inventory, &manifest()).expect("templates fit") {
            if place.ends_with("/init.yaml") || place.ends_with("/join.yaml") {
                assert!(known.contains(&text), "{name}/{place} was shown to no kubeadm\n{text}");
            }
        }
    }
}

/// The Deployment of CoreDNS that kubeadm makes for a new cluster, with what is laid over it.
#[test]
fn kubeadm_has_coredns_looked_at_every_second() {
    let inventory = example("minimal");
    let (name, machine) = inventory.machines.first().expect("there are machines");
    let folder = tempfile::tempdir().expect("a folder");
    let patches = folder.path().join("patches");
    let file = patches.join("corednsdeployment.yaml");
    fs::create_dir(&patches).and_then(|()| fs::write(file, coredns().expect("templates fit"))).expect("it can be written");
    for (manifest, kubeadm) in kubeadms() {
        let config = documents::init(&inventory, &manifest.kubernetes, name, machine).expect("templates fit");
        let config = config.replace(placeholder::TOKEN, "abcdef.0123456789abcdef");
        let here = config.replace("/run/hostler/patches", &patches.display().to_string());
        assert_ne!(here, config, "it names the folder of patches");
        let path = folder.path().join("init.yaml");
        fs::write(&path, here).expect("it can be written");
        let mut command = Command::new(&kubeadm);
        command.arg0("kubeadm").args(["init", "phase", "addon", "coredns", "--print-manifest", "--config"]).arg(&path);
        let output = command.output().unwrap_or_else(|error| panic!("{} can't be run: {error}", kubeadm.display()));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("periodSeconds: 1\n") && said.contains("path: /ready"), "kubeadm {}: {output:?}", manifest.kubernetes);
    }
}

/// An inventory with this below `kubeadm:`.
fn with_kubeadm(text: &str) -> Inventory {
    let text = format!("machines: {{one: 10.0.0.1}}\nkubeadm: {text}\n");
    parse(&text, "inventory.yaml").unwrap_or_else(|problems| panic!("{problems}"))
}

/// What kubeadm passes on without a look is shown to the programs that would get it, and each is blamed for itself alone.
#[test]
fn kubeadm_fragments_are_shown_to_the_programs_that_get_them() {
    let of = with_kubeadm;
    let cluster = |part: &str, name: &str, value: &str| {
        let below = format!("{{extraArgs: [{{name: {name}, value: \"{value}\"}}]}}");
        let below = if part == "etcd" { format!("{{local: {below}}}") } else { below };
        of(&format!("{{ClusterConfiguration: {{{part}: {below}}}}}"))
    };
    let server = |name: &str, value: &str| cluster("apiServer", name, value);
    let node = |document: &str, name: &str, value: &str| {
        of(&format!("{{{document}: {{nodeRegistration: {{kubeletExtraArgs: [{{name: {name}, value: \"{value}\"}}]}}}}}}"))
    };
    for bundle in bundles() {
        let version = bundle.manifest.kubernetes.clone();
        let said = |inventory: &Inventory| {
            let found = objection(&bundle, inventory).unwrap_or_else(|error| panic!("{version}: {error:#}"));
            found.map(|found| (found.program, found.place.join("."), found.said))
        };
        let all = "[{name: audit-log-maxage, value: \"7\"}, {name: audit-policy-file, value: /etc/kubernetes/audit.yaml}, \
                   {name: feature-gates, value: APIResponseCompression=false}, {name: oidc-issuer-url, value: \"https://login.example.org\"}, \
                   {name: oidc-client-id, value: kubernetes}, {name: service-account-jwks-uri, value: \"https://example.org/keys\"}, \
                   {name: tls-min-version, value: VersionTLS13}, {name: event-ttl, value: 2h0m0s}, \
                   {name: encryption-provider-config, value: /etc/kubernetes/enc.yaml}, {name: service-node-port-range, value: 30000-31000}, \
                   {name: admission-control-config-file, value: /etc/kubernetes/admission.yaml}]";
        for right in [
            of(&format!("{{ClusterConfiguration: {{apiServer: {{extraArgs: {all}}}}}}}")),
            cluster("controllerManager", "bind-address", "0.0.0.0"),
            cluster("scheduler", "config", "/etc/kubernetes/scheduler.yaml"),
            cluster("etcd", "quota-backend-bytes", "8589934592"),
            of(
                "{ClusterConfiguration: {etcd: {local: {extraEnvs: [{name: ETCD_QUOTA_BACKEND_BYTES, value: '8589934592'}, {name: GOGC, value: '50'}]}}}}",
            ),
            node("InitConfiguration", "v", "2 --max-pods=200"),
            of("{KubeletConfiguration: {featureGates: {NodeSwap: true}, maxPods: 200, serverTLSBootstrap: true}}"),
            of("{KubeletConfiguration: {tlsMinVersion: VersionTLS13}}"),
            of("{KubeletConfiguration: {shutdownGracePeriodByPodPriority: [{priority: 0, shutdownGracePeriodSeconds: 30}]}}"),
            of("{KubeProxyConfiguration: {mode: iptables}}"),
            // As the lab has it: without the first, kubelet has an objection to a computer with cgroup v1, and ends with that.
            of("{KubeletConfiguration: {failCgroupV1: false, failSwapOn: false, imageGCHighThresholdPercent: 100}}"),
            of("{KubeProxyConfiguration: {conntrack: {maxPerCore: 0, min: 0}}}"),
        ] {
            assert_eq!(said(&right), None, "{version}");
        }
        for (wrong, program, place, what) in [
            (server("no-such-flag", "1"), "kube-apiserver", "ClusterConfiguration.apiServer.extraArgs", "unknown flag: --no-such-flag"),
            (server("feature-gates", "NoSuch=true"), "kube-apiserver", "ClusterConfiguration.apiServer.extraArgs", "feature gate: NoSuch"),
            (server("max-requests-inflight", "-5"), "kube-apiserver", "ClusterConfiguration.apiServer.extraArgs", "can not be negative"),
            (server("audit-log-maxage", "x"), "kube-apiserver", "ClusterConfiguration.apiServer.extraArgs", "invalid argument \"x\""),
            (
                cluster("controllerManager", "secure-port", "99999"),
                "kube-controller-manager",
                "ClusterConfiguration.controllerManager.extraArgs",
                "must be between 1 and 65535",
            ),
            (cluster("scheduler", "no-such-flag", "x"), "kube-scheduler", "ClusterConfiguration.scheduler.extraArgs", "unknown flag"),
            (cluster("etcd", "no-such-flag", "x"), "etcd", "ClusterConfiguration.etcd.local.extraArgs", "not defined: -no-such-flag"),
            (cluster("etcd", "heartbeat-interval", "0"), "etcd", "ClusterConfiguration.etcd.local.extraArgs", "must be >0"),
            (cluster("etcd", "discovery-srv", "example.org"), "etcd", "ClusterConfiguration.etcd.local.extraArgs", "discovery"),
            (
                of("{ClusterConfiguration: {etcd: {local: {extraEnvs: [{name: ETCD_HEARTBEAT_INTERVAL, value: '5000'}]}}}}"),
                "etcd",
                "ClusterConfiguration.etcd.local.extraEnvs",
                "heartbeat-interval",
            ),
            (
                node("JoinConfiguration", "no-such-flag", "x"),
                "kubelet",
                "JoinConfiguration.nodeRegistration.kubeletExtraArgs",
                "unknown flag: --no-such-flag",
            ),
            // They end well, without having begun.
            (server("help", "true"), "kube-apiserver", "ClusterConfiguration.apiServer.extraArgs", "print its help or version and exit"),
            (cluster("etcd", "version", "true"), "etcd", "ClusterConfiguration.etcd.local.extraArgs", "print its help or version and exit"),
            (
                node("InitConfiguration", "v", "4 --help"),
                "kubelet",
                "InitConfiguration.nodeRegistration.kubeletExtraArgs",
                "print its help or version and exit",
            ),
            (of("{KubeletConfiguration: {maxPods: -5}}"), "kubelet", "KubeletConfiguration.maxPods", "must not be a negative number"),
            (of("{KubeletConfiguration: {featureGates: {NoSuch: true}}}"), "kubelet", "KubeletConfiguration.featureGates.NoSuch", "NoSuch"),
            (
                of("{KubeletConfiguration: {imageGCHighThresholdPercent: 400}}"),
                "kubelet",
                "KubeletConfiguration.imageGCHighThresholdPercent",
                "400",
            ),
            (of("{KubeletConfiguration: {tlsMinVersion: VersionTLS9}}"), "kubelet", "KubeletConfiguration.tlsMinVersion", "VersionTLS9"),
            (
                of("{KubeletConfiguration: {tlsCipherSuites: [TLS_NONE]}}"),
                "kubelet",
                "KubeletConfiguration.tlsCipherSuites",
                "TLS_NONE not supported",
            ),
            (of("{KubeProxyConfiguration: {mode: nftabless}}"), "kube-proxy", "KubeProxyConfiguration.mode", "nftabless"),
            (of("{KubeProxyConfiguration: {oomScoreAdj: -5000}}"), "kube-proxy", "KubeProxyConfiguration.oomScoreAdj", "[-1000, 1000]"),
            (
                of("{KubeProxyConfiguration: {featureGates: {NoSuch: true}}}"),
                "kube-proxy",
                "KubeProxyConfiguration.featureGates.NoSuch",
                "NoSuch",
            ),
        ] {
            let (by, at, error) = said(&wrong).unwrap_or_else(|| panic!("{program} {version} took {:?}", wrong.kubeadm));
            assert_eq!((by, at.as_str()), (program, place), "{version}: {error}");
            assert!(error.contains(what) && !error.contains("etcd-servers") && !error.contains("hostname"), "{version}: {error}");
        }
    }
}

/// What kubeadm gives its programs to read, and for whom they let in, is not the inventory's to change: of each flag with a file or about
/// authentication or authorization, a fragment is refused.
#[test]
fn files_and_access_that_kubeadm_sets_are_relied_on() {
    let free = ["service-account-issuer", "kubelet-preferred-address-types"];
    let about_access = ["auth", "requestheader", "client-ca", "admission", "service-account", "use-service-account"];
    let folder = tempfile::tempdir().expect("a folder");
    let inventory = example("minimal");
    let (name, machine) = inventory.machines.first().expect("there are machines");
    for (manifest, kubeadm) in kubeadms() {
        let config = folder.path().join("config.yaml");
        let documents = documents::control_plane(&inventory, documents::ApiServers::of_new(&manifest.kubernetes), name, machine)
            .expect("templates fit");
        fs::write(&config, documents).expect("it can be written");
        for phase in [["control-plane", "all"], ["etcd", "local"]] {
            let mut command = Command::new(&kubeadm);
            command.arg0("kubeadm").env("KUBEADM_INIT_DRYRUN_DIR", folder.path()).args(["init", "phase"]).args(phase);
            let output = command.args(["--dry-run", "--config"]).arg(&config).output().expect("it can be run");
            assert!(output.status.success(), "{output:?}");
        }
        let mut seen = 0;
        for (program, part) in [
            ("kube-apiserver", "apiServer"),
            ("kube-controller-manager", "controllerManager"),
            ("kube-scheduler", "scheduler"),
            ("etcd", "etcd"),
        ] {
            let pod = fs::read_to_string(folder.path().join(format!("{program}.yaml"))).expect("kubeadm wrote it");
            let flags = pod.lines().filter_map(|line| line.trim().strip_prefix("- --")?.split_once('='));
            for (flag, value) in flags.filter(|(flag, _)| !free.contains(flag)) {
                if !value.starts_with('/') && !about_access.iter().any(|part| flag.contains(part)) {
                    continue;
                }
                seen += 1;
                let list = format!("{{extraArgs: [{{name: {flag}, value: /other}}]}}");
                let list = if part == "etcd" { format!("{{local: {list}}}") } else { list };
                let fragment = with_kubeadm(&format!("{{ClusterConfiguration: {{{part}: {list}}}}}"));
                let found = relied::deviations(&fragment).expect("templates fit");
                assert!(found.iter().any(|found| found.setting == *flag), "{program} may get another --{flag} than {value}");
            }
        }
        assert!(seen > 30, "kubeadm {} sets {seen} such flags", manifest.kubernetes);
    }
}

/// Each flag of the kubelets that bundles have is either the inventory's to set, or refused; a new one has to be looked at.
#[test]
fn kubeadm_every_flag_of_kubelet_is_known() {
    // Of its logs, of cAdvisor, which counts what pods use, and what changes nothing that hostler relies on. The last two print something and end.
    const FREE: &str = "v vmodule log-flush-frequency application-metrics-count-limit boot-id-file container-hints containerd \
        containerd-namespace enable-load-reader event-storage-age-limit event-storage-event-limit global-housekeeping-interval \
        housekeeping-interval log-cadvisor-usage machine-id-file storage-driver-buffer-duration storage-driver-db storage-driver-host \
        storage-driver-password storage-driver-secure storage-driver-table storage-driver-user \
        experimental-allocatable-ignore-eviction fail-cgroupv1 maximum-dead-containers maximum-dead-containers-per-container \
        minimum-container-ttl-duration node-labels provider-id runtime-cgroups seccomp-default help version";
    for bundle in bundles() {
        let version = &bundle.manifest.kubernetes;
        let kubelet = bundle.program("kubelet").expect("a bundle").expect("it has kubelet");
        let output = Command::new(kubelet).arg0("kubelet").arg("--help").output().expect("it can be run");
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        let flags: Vec<&str> = help
            .lines()
            .filter_map(|line| line.trim_start().trim_start_matches("-v, ").trim_start_matches("-h, ").strip_prefix("--"))
            .map(|line| line.split([' ', '[', '=']).next().unwrap_or_default())
            .collect();
        assert!(flags.len() > 100, "{version}: {help}");
        for flag in flags {
            let arguments = format!("[{{name: {flag}, value: other}}]");
            let inventory = with_kubeadm(&format!("{{InitConfiguration: {{nodeRegistration: {{kubeletExtraArgs: {arguments}}}}}}}"));
            let is_refused = relied::deviations(&inventory).expect("templates fit").iter().any(|found| found.setting == flag);
            assert_ne!(is_refused, FREE.split_whitespace().any(|free| free == flag), "kubelet {version} has --{flag}");
        }
    }
}

/// Were kubeadm to take anything, the test above would say nothing.
#[test]
fn kubeadm_refuses_what_is_wrong() {
    let inventory = example("ponies");
    for (manifest, kubeadm) in kubeadms() {
        let (name, machine) = inventory.machines.first().expect("there are machines");
        let config = documents::init(&inventory, &manifest.kubernetes, name, machine).expect("templates fit");
        assert_eq!(objections(&kubeadm, &config).expect("it can be run"), "");
        for (right, wrong) in [
            ("podSubnet: 10.244.0.0/16", "podSubnet: 10.244.0.0/99"),
            ("clusterName: ponies", "clusterNames: ponies"),
            ("mode: nftables", "modes: nftables"),
            ("cgroupDriver: systemd", "cgroupDrivers: systemd"),
        ] {
            assert!(config.contains(right), "{config}");
            let said = objections(&kubeadm, &config.replace(right, wrong)).expect("it can be run");
            assert_ne!(said, "", "kubeadm {} takes `{wrong}`", manifest.kubernetes);
        }
    }
}

/// What encoders' containers are made from is what containerd makes them from, and the render nodes.
#[test]
fn kubeadm_bundles_have_the_containerd_whose_default_encoders_extend() {
    let context = json!({ "nodes": [{ "name": "renderD128", "major": 226, "minor": 128 }, { "name": "renderD129", "major": 226, "minor": 129 }], "gid": 100 });
    let mut spec: serde_json::Value =
        serde_json::from_str(&template::render("containerd/films.json", context).expect("templates fit")).expect("JSON");
    let linux = spec["linux"].as_object_mut().expect("an object");
    let devices = linux.remove("devices").expect("devices");
    let node = |minor: u32| json!({ "path": format!("/dev/dri/renderD{minor}"), "type": "c", "major": 226, "minor": minor, "fileMode": 0o660, "uid": 0, "gid": 100 });
    assert_eq!(devices, json!([node(128), node(129)]));
    let rules = linux["resources"]["devices"].as_array_mut().expect("rules").split_off(1);
    let rule = |minor: u32| json!({ "allow": true, "type": "c", "major": 226, "minor": minor, "access": "rw" });
    assert_eq!(rules, [rule(128), rule(129)]);
    for bundle in bundles() {
        let ctr = bundle.file_path(&bundle.manifest.file("ctr").expect("it has ctr").sha256);
        let said = Command::new(ctr).args(["oci", "spec"]).output().expect("it can be run");
        let default: serde_json::Value = serde_json::from_slice(&said.stdout).expect("JSON");
        assert_eq!(spec, default, "containerd of the bundle with {}", bundle.manifest.kubernetes);
    }
}
