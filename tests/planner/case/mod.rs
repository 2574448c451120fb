//! Cases as data: what a file `tests/plan/NAME.yaml` says, and the world that it means.

mod cluster;
mod deviation;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cluster::{ClusterDeviation, uncertify};
use deviation::{ANOTHER, MachineDeviation};
use hostler_core::action::power::OsPackages;
use hostler_core::action::reinstall::{Loaders, SentFile};
use hostler_core::arch::Arch;
use hostler_core::digest::sha256;
use hostler_core::facts::Snapshot;
use hostler_core::facts::{ClusterFacts, Facts, NodeFact, Observation, RenderNode, SystemFacts};
use hostler_core::install::order;
use hostler_core::inventory::{Inventory, MachineName, NamedFile, Unread, parse_with};
use hostler_core::manifest::{Component, Manifest, Manifests};
use hostler_core::plan::reinstall::{Installation, Leaving};
use hostler_core::plan::system_disk::Installer;
use hostler_core::plan::{Goal, plan_for};
use serde::Deserialize;
use serde_yaml::Value;

use crate::world::World;

/// One case, as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Case {
    /// A verb and its words; `up` if nothing is said.
    #[serde(default)]
    goal: Option<String>,
    /// An inventory, or the name of one in tests/plan/inventories.
    pub inventory: Value,
    /// The version of Kubernetes that the cluster was made with, where it is not that of the bundle.
    #[serde(default)]
    from: Option<String>,
    /// An upgrade that was interrupted.
    #[serde(default)]
    upgrading: Option<Upgrading>,
    /// The inventory that the cluster was made by, where it is another.
    #[serde(default)]
    was: Option<Value>,
    /// Machines that are freshly installed and never were in the cluster; `all`: there is no cluster.
    #[serde(default)]
    new: Names,
    /// Machines of the cluster that the inventory has under another name now.
    #[serde(default)]
    renamed: BTreeMap<MachineName, MachineName>,
    /// Machines that can't be reached, and why.
    #[serde(default)]
    off: BTreeMap<MachineName, String>,
    /// There is a bundle for these architectures, too.
    #[serde(default)]
    bundles: Vec<Arch>,
    /// The bundle has no image that encodes.
    #[serde(default)]
    no_encoder: bool,
    /// Graphics chips of machines, as lspci prints them; empty: it is not known which one it is.
    #[serde(default)]
    chips: BTreeMap<MachineName, String>,
    #[serde(default)]
    machines: BTreeMap<MachineName, MachineDeviation>,
    #[serde(default)]
    cluster: ClusterDeviation,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Upgrading {
    to: String,
    /// The step in which it was interrupted.
    cut: String,
}

impl Upgrading {
    fn apply(&self, inventory: &Inventory, world: &mut World) {
        let goal = Goal::Upgrade { to: self.to.clone(), parallel: 1, now: true, force_after: None };
        let bundle = if self.to == manifest().kubernetes { manifest() } else { of_version(&self.to) };
        let plan = plan_for(&goal, inventory, &bundle.into(), &world.seen()).expect("templates fit");
        let at = plan.steps.iter().position(|step| step.id.to_string() == self.cut).unwrap_or_else(|| panic!("no step {}", self.cut));
        plan.steps[..at].iter().for_each(|step| world.apply(step).unwrap_or_else(|what| panic!("{what}")));
        world.cut(&plan.steps[at]);
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Names {
    Word(String),
    List(BTreeSet<MachineName>),
}

impl Default for Names {
    fn default() -> Names {
        Names::List(BTreeSet::new())
    }
}

pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub fn manifest() -> Manifest {
    serde_json::from_str(include_str!("../../render/manifest.json")).expect("it is a manifest")
}

pub fn cases_of(place: &str) -> Vec<(String, Case)> {
    let entries = fs::read_dir(folder(place)).expect("the folder is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry can be read").path()).collect();
    for path in paths.iter().filter(|path| path.is_file()) {
        assert!(path.with_extension("yaml").exists(), "{} is of no case any more", path.display());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    let case = |path: &PathBuf| {
        let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(path).expect("the case can be read");
        assert!(text.starts_with("# "), "{name}.yaml does not begin with a line that says what it is about");
        let case = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}.yaml: {error}"));
        (name, case)
    };
    paths.iter().map(case).collect()
}

pub fn inventory(value: &Value) -> Inventory {
    let (text, name) = match value {
        Value::String(name) => {
            let path = folder(&format!("tests/plan/inventories/{name}.yaml"));
            (fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())), name.clone())
        }
        value => (serde_yaml::to_string(value).expect("it was YAML"), "inventory.yaml".to_owned()),
    };
    let versions = hostler_core::pins::shipped().versions();
    parse_with(&text, &name, Some(&|file, _| preset(file)), Some(&versions)).unwrap_or_else(|problems| panic!("{problems}"))
}

/// `x265.json` is a preset with that encoder. There are no other files.
fn preset(file: &Path) -> Result<NamedFile, Unread> {
    let encoder = file.to_str().and_then(|file| file.strip_suffix(".json")).ok_or(Unread::Missing)?.trim_start_matches("./");
    let json = format!(r#"{{"PresetList": [{{"PresetName": "Own", "VideoEncoder": "{encoder}"}}]}}"#);
    Ok(NamedFile { path: file.to_owned(), bytes: json.into_bytes() })
}

/// A snapshot of the cluster that the machine `of` began, as [`World`] names its certificate authority.
pub fn snapshot(of: &str) -> Snapshot {
    Snapshot {
        file: PathBuf::from("home-20260301T120000Z.tar.gz"),
        archive: PathBuf::from("home-20260301T120000Z.tar.gz"),
        sha256: "5a".repeat(32),
        size: 1_234_567,
        taken: "2026-03-01T12:00:00Z".to_owned(),
        nodes: ["twilightsparkle", "rainbowdash", "fluttershy"].map(str::to_owned).into(),
        ca: sha256(of.as_bytes()),
    }
}

/// The order of an installation begins with `0123456789abcdef`, and any order of its image with `01234567`.
pub fn installation() -> Installation {
    Installation {
        installer: installer(308_000_000),
        image: order::Image { file: "system.img.zst".to_owned(), size: 860_000_000, sha256: format!("01234567{}", "5a".repeat(28)) },
        built: "2026-03-01".to_owned(),
        user: "ada".to_owned(),
        host_keys: [deviation::FINGERPRINT.to_owned()].into(),
        login_key: Some("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1lfXZ0ajZUc6sVzpdXDKhNtDzhVFUaYjFk0j2kLhXh".to_owned()),
    }
}

/// Of a machine whose system another order installed.
pub fn system_facts() -> SystemFacts {
    deviation::SystemDeviation::default().facts()
}

/// `size`: bytes of its initrd.
fn installer(size: u64) -> Installer {
    let sent = |path: &str, size| SentFile { path: PathBuf::from(path), size, sha256: "6b".repeat(32) };
    Installer {
        id: "0123456789abcdef0123456789abcdef".to_owned(),
        kernel: sent("vmlinuz", 12_000_000),
        initrd: sent("initrd", size),
        loaders: Loaders { shim: sent("shim.efi", 1_000_000), grub: sent("grub-cd.efi", 2_300_000), mok: sent("mm.efi", 900_000) },
    }
}

fn goal(words: &str) -> Goal {
    let machine = |name: &str| MachineName::new(name).expect("a machine's name");
    if let Some((words, names)) = words.split_once(" --take-over ") {
        let machines = names.split(" --take-over ").map(machine).collect();
        return Goal::TakeOver { machines, goal: Box::new(goal(words)) };
    }
    match words.split(' ').collect::<Vec<_>>().as_slice() {
        ["up"] => Goal::Up,
        ["add", name] => Goal::Add(machine(name)),
        ["rebuild", name] => Goal::Rebuild { machine: machine(name), force_after: None },
        ["rebuild", name, "--os", words @ ..] => {
            let mut installation = installation();
            if words.contains(&"--other-login") {
                installation.login_key =
                    Some("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1lfXZ0ajZUc6sVzpdXDKhNtDzhVFUaYjFk0j2kLhXi".to_owned());
            }
            let leaving = Leaving { now: words.contains(&"--now"), force_after: None };
            Goal::Reinstall { machine: machine(name), installation: Box::new(installation), leaving }
        }
        ["remove", name, "--erase", words @ ..] => {
            let leaving = Leaving { now: words.contains(&"--now"), force_after: None };
            Goal::Erase { machine: machine(name), installer: Box::new(installer(48_000_000)), leaving }
        }
        ["rebuild", name, "--force-after", seconds] => Goal::Rebuild { machine: machine(name), force_after: seconds.parse().ok() },
        ["remove", name] => Goal::Remove { machine: machine(name), dead: false, force_after: None },
        ["remove", name, "--dead"] => Goal::Remove { machine: machine(name), dead: true, force_after: None },
        ["rebuild", name, "--new-cluster"] => Goal::NewCluster(machine(name)),
        ["rebuild", name, "--from", of] => Goal::Restore { machine: machine(name), snapshot: snapshot(of) },
        ["upgrade", "--rollback"] => Goal::RollBack { now: false, force_after: None, continues: false },
        ["upgrade", words @ ..] => {
            let parallel = words.iter().position(|word| *word == "--parallel").and_then(|at| words[at + 1].parse().ok()).unwrap_or(1);
            Goal::Upgrade { to: manifest().kubernetes, parallel, now: words.contains(&"--now"), force_after: None }
        }
        ["reboot", words @ ..] => {
            let packages = words.iter().find_map(|word| match *word {
                "--os=security" => Some(OsPackages::Security),
                "--os=all" => Some(OsPackages::All),
                _ => None,
            });
            let named = words.iter().filter(|word| !word.starts_with("--")).map(|name| machine(name)).collect();
            Goal::Reboot { machines: named, packages, now: words.contains(&"--now"), force_after: None, continues: false }
        }
        ["shutdown"] => Goal::Shutdown { now: false },
        ["shutdown", "--now"] => Goal::Shutdown { now: true },
        ["start"] => Goal::Start,
        ["reset"] => Goal::Reset,
        _ => panic!("no goal: {words}"),
    }
}

/// That every machine of a case is in.
pub const BOOT: &str = "5d0c8b6e-2f4a-4c1d-9e37-aa10b2c3d4e5-100";

/// A machine as Debian's installer leaves it.
fn blank() -> Facts {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Facts {
        os: "debian".to_owned(),
        arch: Some(Arch::Amd64),
        hostname: "debian".to_owned(),
        hostname_at_boot: "debian".to_owned(),
        cpus: 2,
        own_nameservers: Some(vec!["192.168.1.1".to_owned()]),
        memory: 4 << 20,
        systemd: true,
        clock: 1_700_000_000,
        boot: BOOT.to_owned(),
        clock_ahead: Some(0),
        clock_synchronized: true,
        nameservers: vec!["192.168.1.1".to_owned()],
        programs: ["ip", "iptables", "nft", "mount", "modprobe"].iter().map(|word| (*word).to_owned()).collect(),
        sysctls: BTreeMap::from([("net.ipv4.ip_forward".to_owned(), "0".to_owned())]),
        swap: words(&["/dev/sda2"]),
        swap_at_boot: words(&["/etc/fstab: /dev/sda2"]),
        ..Facts::default()
    }
}

/// The same with a graphics chip.
pub fn blank_with(chip: Option<&String>) -> Facts {
    let id = |text: &str| u16::from_str_radix(text, 16).expect("four digits");
    let node = |chip: &String| RenderNode {
        name: "renderD128".to_owned(),
        major: 226,
        minor: 128,
        pci: chip.split_once(':').map(|(vendor, device)| (id(vendor), id(device))),
    };
    Facts { render_nodes: chip.into_iter().map(node).collect(), ..blank() }
}

/// The cluster that `up` makes of fresh machines, all of them.
pub fn world_of(inventory: &Inventory) -> World {
    made(inventory, &BTreeSet::new(), &manifest(), &BTreeMap::new())
}

/// The same with the bundle of another version.
pub fn world_from(inventory: &Inventory, version: &str) -> World {
    made(inventory, &BTreeSet::new(), &of_version(version), &BTreeMap::new())
}

/// The bundle of another version of Kubernetes: its programs and images are others.
pub fn of_version(version: &str) -> Manifest {
    let mut manifest = manifest();
    let was = std::mem::replace(&mut manifest.kubernetes, version.to_owned());
    for file in manifest.files.iter_mut().filter(|file| file.name.starts_with("kube")) {
        file.sha256 = sha256(format!("{version} {}", file.sha256).as_bytes());
    }
    for image in manifest.images.iter_mut().filter(|image| image.reference.ends_with(&was)) {
        image.reference = image.reference.replace(&was, version);
        image.digest = format!("sha256:{}", sha256(format!("{version} {}", image.digest).as_bytes()));
    }
    manifest
}

/// The cluster that `up` makes of fresh machines.
fn made(inventory: &Inventory, without: &BTreeSet<MachineName>, manifest: &Manifest, chips: &BTreeMap<MachineName, String>) -> World {
    let mut inventory = inventory.clone();
    inventory.machines.retain(|name, _| !without.contains(name));
    let mut world =
        World { machines: inventory.machines.keys().map(|name| (name.clone(), blank_with(chips.get(name)))).collect(), ..World::default() };
    for _ in 0..3 {
        let plan = plan_for(&Goal::Up, &inventory, &manifest.clone().into(), &world.seen()).expect("templates fit");
        assert_eq!(plan.refusals, [], "nothing is refused on fresh machines");
        for step in &plan.steps {
            world.apply(step).unwrap_or_else(|what| panic!("{what}"));
        }
    }
    world
}

impl Case {
    /// What there is, before what no machine can be asked for.
    pub fn world(&self) -> World {
        let inventory_now = inventory(&self.inventory);
        let was = self.was.as_ref().map_or_else(|| inventory_now.clone(), inventory);
        let new = match &self.new {
            Names::List(names) => names.clone(),
            Names::Word(word) if word == "all" => inventory_now.machines.keys().cloned().collect(),
            Names::Word(word) => panic!("new: {word}"),
        };
        let bundle = self.from.as_deref().map_or_else(manifest, of_version);
        let mut world = if matches!(self.new, Names::Word(_)) { World::default() } else { made(&was, &new, &bundle, &self.chips) };
        for name in &new {
            world.machines.insert(name.clone(), blank_with(self.chips.get(name)));
        }
        for (old, new) in &self.renamed {
            let machine = world.machines.remove(old).unwrap_or_else(|| panic!("there is no machine {old}"));
            world.machines.insert(new.clone(), machine);
        }
        if let Some(upgrading) = &self.upgrading {
            upgrading.apply(&inventory_now, &mut world);
        }
        if self.cluster.uncertified {
            uncertify(&mut world, &was);
        }
        world.off.clone_from(&self.off);
        for (name, deviation) in &self.machines {
            deviation.apply(world.machines.get_mut(name).unwrap_or_else(|| panic!("there is no machine {name}")));
        }
        self.cluster.apply(&mut world);
        world
    }

    pub fn manifests(&self) -> Manifests {
        let mut manifest = manifest();
        manifest.images.retain(|image| !self.no_encoder || image.component != Component::Encoder);
        let others = self.bundles.iter().map(|arch| {
            let mut other = Manifest { arch: *arch, ..manifest.clone() };
            other.files.iter_mut().for_each(|file| file.sha256 = sha256(format!("{arch} {}", file.sha256).as_bytes()));
            other
        });
        let others: Vec<Manifest> = others.collect();
        others.into_iter().fold(manifest.into(), |all: Manifests, other| all.with(other).expect("it is of the same version"))
    }

    pub fn goal(&self) -> Goal {
        let words = self.goal.as_deref().unwrap_or("up");
        if words == "rebuild --os --all" {
            let names = inventory(&self.inventory).machines.into_keys();
            let installations = names.map(|name| (name, installation())).collect();
            return Goal::ReinstallAll { installations, leaving: Leaving { now: false, force_after: None } };
        }
        goal(words)
    }

    /// What is seen by those who want `goal`: the world, and what can be wrong in a cluster though its machines are well.
    pub fn seen(&self, world: &World, goal: &Goal) -> BTreeMap<MachineName, Observation> {
        let mut seen = world.seen();
        let asked = goal.asks(&inventory(&self.inventory));
        seen.retain(|name, _| asked.contains(name));
        for (name, observation) in &mut seen {
            let Observation::Facts(facts) = observation else { continue };
            if self.machines.get(name).is_some_and(|deviation| deviation.api_down) {
                facts.cluster = None;
                facts.api_down = Some("connection refused".to_owned());
            }
            if let Some(server) = self.machines.get(name).and_then(|deviation| deviation.other_control_plane.as_ref())
                && facts.kubernetes.ca.as_deref() == Some(ANOTHER)
            {
                let endpoint = server.trim_start_matches("https://").to_owned();
                facts.cluster = Some(ClusterFacts { endpoint, version: "1.30.0".to_owned(), ..ClusterFacts::default() });
                facts.api_down = None;
                continue;
            }
            let Some(cluster) = &mut facts.cluster else { continue };
            for name in &self.cluster.not_ready {
                let Some(node) = cluster.nodes.get_mut(name) else { continue };
                node.ready = false;
                node.message = "container runtime is down".to_owned();
            }
            for name in &self.cluster.ready {
                cluster.nodes.get_mut(name).into_iter().for_each(|node| node.ready = true);
            }
            for member in cluster.members.values_mut().filter(|member| self.cluster.unhealthy.contains(&member.name)) {
                member.healthy = false;
            }
        }
        seen
    }

    /// What happens between a look and the first step.
    pub fn meanwhile(&self, world: &mut World) {
        let Some(cluster) = &mut world.cluster else { return };
        for name in &self.cluster.registered_late {
            cluster.nodes.insert(name.clone(), NodeFact { version: cluster.version.clone(), ..NodeFact::default() });
        }
    }

    /// Whether carrying the plan out can be followed through without machines.
    pub fn can_be_followed(&self) -> bool {
        let ClusterDeviation { not_ready, unhealthy, .. } = &self.cluster;
        not_ready.is_empty() && unhealthy.is_empty() && !self.machines.values().any(|deviation| deviation.api_down)
    }
}
