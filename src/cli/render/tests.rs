use hostler_core::inventory::{Cluster, Cni, Connection, Endpoint, Machine, MachineName, Role};

use super::*;

fn inventory() -> Inventory {
    let machine = |name: &str, last: u8, role| {
        let machine = Machine {
            address: std::net::IpAddr::from([192, 168, 1, last]),
            role,
            connection: Connection::default(),
            mac: None,
            labels: Default::default(),
            taints: Vec::new(),
            keep: Vec::new(),
            dedicated: false,
            encode: None,
            disk: None,
        };
        (MachineName::new(name).expect("a name"), machine)
    };
    Inventory {
        text: String::new(),
        roles_written: true,
        cluster: Cluster {
            name: "home".to_owned(),
            version: None,
            endpoint: Endpoint::Name("kubernetes.home".to_owned()),
            pod_subnet: "10.244.0.0/16".parse().expect("a subnet"),
            service_subnet: "10.96.0.0/16".parse().expect("a subnet"),
            cni: Cni::Flannel,
        },
        machines: [
            machine("twilightsparkle", 11, Role::ControlPlane),
            machine("rarity", 12, Role::ControlPlane),
            machine("rainbowdash", 13, Role::Worker),
        ]
        .into_iter()
        .collect(),
        kubeadm: Default::default(),
        containerd: [("films".to_owned(), "version = 3\n".to_owned())].into_iter().collect(),
        ignore_preflight_errors: Vec::new(),
        snapshots: hostler_core::inventory::Snapshots::regular(),
        os: None,
        versions: Default::default(),
        notify: None,
        transcode: None,
        warnings: Vec::new(),
    }
}

#[test]
fn every_file_has_its_place() {
    let rendered = rendered(&inventory(), &outline(pins_of(None).expect("there are pins"), Arch::Amd64)).expect("templates fit");
    let (steps, files): (Vec<&str>, Vec<&str>) = rendered.keys().map(String::as_str).partition(|place| place.starts_with("steps/"));
    assert_eq!(steps.first(), Some(&"steps/001-twilightsparkle-packages.sh"));
    insta::assert_snapshot!(files.join("\n"));
}

#[test]
fn rendered_files_follow_the_inventory() {
    let rendered = rendered(&inventory(), &outline(pins_of(None).expect("there are pins"), Arch::Amd64)).expect("templates fit");
    let has = |place: &str, text: &str| assert!(rendered[place].contains(text), "{place}:\n{}", rendered[place]);
    has("rainbowdash/etc/hosts", "192.168.1.11 kubernetes.home");
    has("rainbowdash/etc/hostname", "rainbowdash\n");
    has("rainbowdash/etc/containerd/conf.d/films.toml", "version = 3\n");
    has("rainbowdash/etc/containerd/config.toml", "registry.k8s.io/pause:3.10.2");
    has("twilightsparkle/run/hostler/init.yaml", "kubernetesVersion: v1.36.3");
    has("twilightsparkle/run/hostler/init.yaml", "token: TOKEN-MADE-HERE");
    has("rarity/run/hostler/join.yaml", "controlPlane:");
    has("rainbowdash/run/hostler/join.yaml", "CA-HASH-FOUND-HERE");
    has("cluster/flannel.yaml", "10.244.0.0/16");
}

#[test]
fn without_flannel_no_objects_are_rendered() {
    let mut inventory = inventory();
    inventory.cluster.cni = Cni::None;
    let rendered = rendered(&inventory, &outline(pins_of(None).expect("there are pins"), Arch::Amd64)).expect("templates fit");
    assert!(!rendered.keys().any(|place| place.starts_with("cluster/")), "{:?}", rendered.keys());
}

#[test]
fn files_are_below_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = BTreeMap::from([("a/etc/x".to_owned(), "x\n".to_owned())]);
    let out = folder.path().join("out");
    write(&out, &files).expect("it is not there yet");
    assert_eq!(fs::read_to_string(out.join("a/etc/x")).expect("it was written"), "x\n");
}
