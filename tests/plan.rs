//! Plans as data: `tests/plan/NAME.yaml` says what is wanted and what is there, and `NAME.txt` has what comes of it. What is there is told
//! as what deviates from a cluster that hostler made. `UPDATE=1 cargo test --test plan` rewrites the plans; read each before it is committed.

mod needs;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use hostler::action::effect::World;
use hostler::action::script::sha256;
use hostler::artifact::{Component, Manifest};
use hostler::facts::{ClusterFacts, Facts, LockFact, MemberFact, NodeFact, Observation, ShareFact, ShareState};
use hostler::inventory::{Inventory, MachineName, Taint, parse};
use hostler::plan::{Goal, Plan, StepId, plan_for};
use hostler::report::{Paint, plan_text, status_text};
use hostler::snapshot::Snapshot;
use hostler::status::status;
use serde::Deserialize;
use serde_yaml::Value;

/// The certificate authority of another cluster.
const ANOTHER: &str = "another";

/// One case, as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    /// A verb and its words; `up` if nothing is said.
    #[serde(default)]
    goal: Option<String>,
    /// An inventory, or the name of one in tests/plan/inventories.
    inventory: Value,
    /// The inventory that the cluster was made by, where it is another.
    #[serde(default)]
    was: Option<Value>,
    /// Machines that are freshly installed and never were in the cluster; `all`: there is no cluster.
    #[serde(default)]
    new: Names,
    /// Machines that can't be reached, and why.
    #[serde(default)]
    off: BTreeMap<MachineName, String>,
    /// The bundle has no image that encodes.
    #[serde(default)]
    no_encoder: bool,
    #[serde(default)]
    machines: BTreeMap<MachineName, MachineDeviation>,
    #[serde(default)]
    cluster: ClusterDeviation,
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

/// How a machine differs from what hostler made of it, or from a fresh one.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct MachineDeviation {
    /// The disk was replaced, or the system installed anew.
    reinstalled: bool,
    arch: Option<String>,
    systemd: Option<bool>,
    hostname: Option<String>,
    /// MB.
    memory: Option<u64>,
    nameservers: Option<Vec<String>>,
    swap: Vec<String>,
    swap_at_boot: Vec<String>,
    unloaded: Vec<String>,
    sysctls: BTreeMap<String, String>,
    hosts: Option<Vec<String>>,
    /// Seconds that its clock is ahead.
    clock: i64,
    clock_synchronized: Option<bool>,
    /// Programs of the system that are not there.
    without: Vec<String>,
    /// Files whose content is another now.
    changed: Vec<String>,
    /// Files and links that are gone.
    deleted: Vec<String>,
    /// Files that nobody asked for.
    added: Vec<String>,
    modes: BTreeMap<String, String>,
    links: BTreeMap<String, String>,
    stopped: Vec<String>,
    disabled: Vec<String>,
    /// Images that are gone, by a part of their reference.
    images_deleted: Vec<String>,
    images_unpinned: Vec<String>,
    images_changed: Vec<String>,
    applied: BTreeMap<String, Option<String>>,
    foreign: Vec<String>,
    leftovers: Vec<String>,
    /// Where somebody mounted something in the folders of a cluster.
    mounts: Vec<String>,
    /// It is in this other cluster, whose API server that is.
    other_cluster: Option<String>,
    /// As a control plane, whose API server answers.
    other_control_plane: Option<String>,
    api_down: bool,
    /// Days that certificates are still good for.
    certificates: BTreeMap<String, i64>,
    /// Hours since the newest regular snapshot.
    snapshot: Option<i64>,
    snapshot_failed: bool,
    /// Free hundredths of its disk.
    disk_free: Option<u64>,
    /// Free MB of its disk.
    room: Option<u64>,
    /// Ports that other programs listen at, and their names.
    ports: BTreeMap<u16, String>,
    apt_lock: Option<String>,
    dpkg_half: Vec<String>,
    read_only: Vec<String>,
    /// Files of kubeadm that can't be read any more.
    damaged: Vec<String>,
    /// Folders that films go through, where they are more than just there for their owner.
    shares: BTreeMap<String, String>,
    /// The step that works on it, for so many seconds.
    lock: BTreeMap<String, i64>,
    /// As `lock`, of a hostler that was cut.
    lock_left_behind: BTreeMap<String, i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct ClusterDeviation {
    version: Option<String>,
    /// Node -> label -> value, or nothing for a label that was taken off.
    labels: BTreeMap<String, BTreeMap<String, Option<String>>>,
    taints: BTreeMap<String, Vec<Taint>>,
    /// Nodes of no machine, and their addresses.
    nodes: BTreeMap<String, String>,
    nodes_deleted: Vec<String>,
    /// Nodes that their kubelets register once the facts are known.
    registered_late: Vec<String>,
    not_ready: Vec<String>,
    cordoned: Vec<String>,
    unhealthy: Vec<String>,
    learners: Vec<String>,
    /// Members that no machine is, and their addresses.
    members: BTreeMap<String, String>,
    members_deleted: Vec<String>,
    record: BTreeMap<String, Option<String>>,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn manifest() -> Manifest {
    serde_json::from_str(include_str!("render/manifest.json")).expect("it is a manifest")
}

fn cases() -> Vec<(String, Case)> {
    cases_of("tests/plan")
}

fn cases_of(place: &str) -> Vec<(String, Case)> {
    let entries = fs::read_dir(folder(place)).expect("the folder is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry can be read").path()).collect();
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

fn inventory(value: &Value) -> Inventory {
    let (text, name) = match value {
        Value::String(name) => {
            let path = folder(&format!("tests/plan/inventories/{name}.yaml"));
            (fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())), name.clone())
        }
        value => (serde_yaml::to_string(value).expect("it was YAML"), "inventory.yaml".to_owned()),
    };
    parse(&text, &name).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A snapshot of the cluster that the machine `of` began, as [`World`] names its certificate authority.
fn snapshot(of: &str) -> Snapshot {
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
        ["rebuild", name, "--force-after", seconds] => Goal::Rebuild { machine: machine(name), force_after: seconds.parse().ok() },
        ["remove", name] => Goal::Remove { machine: machine(name), dead: false, force_after: None },
        ["remove", name, "--dead"] => Goal::Remove { machine: machine(name), dead: true, force_after: None },
        ["rebuild", name, "--new-cluster"] => Goal::NewCluster(machine(name)),
        ["rebuild", name, "--from", of] => Goal::Restore { machine: machine(name), snapshot: snapshot(of) },
        ["reset"] => Goal::Reset,
        _ => panic!("no goal: {words}"),
    }
}

/// A machine as Debian's installer leaves it.
fn blank() -> Facts {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Facts {
        os: "debian".to_owned(),
        os_version: "13".to_owned(),
        arch: "amd64".to_owned(),
        hostname: "debian".to_owned(),
        cpus: 2,
        memory: 4 << 20,
        systemd: true,
        clock: 1_700_000_000,
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

/// The cluster that `up` makes of fresh machines.
fn made(inventory: &Inventory, without: &BTreeSet<MachineName>) -> World {
    let mut inventory = inventory.clone();
    inventory.machines.retain(|name, _| !without.contains(name));
    let mut world = World { machines: inventory.machines.keys().map(|name| (name.clone(), blank())).collect(), ..World::default() };
    for _ in 0..3 {
        let plan = plan_for(&Goal::Up, &inventory, &manifest(), &world.seen()).expect("templates fit");
        assert_eq!(plan.refusals, [], "nothing is refused on fresh machines");
        for step in &plan.steps {
            world.apply(step).unwrap_or_else(|what| panic!("{what}"));
        }
    }
    world
}

impl Case {
    /// What there is, before what no machine can be asked for.
    fn world(&self) -> World {
        let inventory_now = inventory(&self.inventory);
        let was = self.was.as_ref().map_or_else(|| inventory_now.clone(), inventory);
        let new = match &self.new {
            Names::List(names) => names.clone(),
            Names::Word(word) if word == "all" => inventory_now.machines.keys().cloned().collect(),
            Names::Word(word) => panic!("new: {word}"),
        };
        let mut world = if matches!(self.new, Names::Word(_)) { World::default() } else { made(&was, &new) };
        for name in &new {
            world.machines.insert(name.clone(), blank());
        }
        world.off.clone_from(&self.off);
        for (name, deviation) in &self.machines {
            deviation.apply(world.machines.get_mut(name).unwrap_or_else(|| panic!("there is no machine {name}")));
        }
        self.cluster.apply(&mut world);
        world
    }

    fn manifest(&self) -> Manifest {
        let mut manifest = manifest();
        manifest.images.retain(|image| !self.no_encoder || image.component != Component::Encoder);
        manifest
    }

    fn goal(&self) -> Goal {
        goal(self.goal.as_deref().unwrap_or("up"))
    }

    /// What is seen by those who want `goal`: the world, and what can be wrong in a cluster though its machines are well.
    fn seen(&self, world: &World, goal: &Goal) -> BTreeMap<MachineName, Observation> {
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
                let node = cluster.nodes.get_mut(name).expect("the node is there");
                node.ready = false;
                node.message = "container runtime is down".to_owned();
            }
            for member in cluster.members.values_mut().filter(|member| self.cluster.unhealthy.contains(&member.name)) {
                member.healthy = false;
            }
        }
        seen
    }

    /// What happens between a look and the first step.
    fn meanwhile(&self, world: &mut World) {
        let Some(cluster) = &mut world.cluster else { return };
        for name in &self.cluster.registered_late {
            cluster.nodes.insert(name.clone(), NodeFact { version: cluster.version.clone(), ..NodeFact::default() });
        }
    }

    /// Whether carrying the plan out can be followed through without machines.
    fn can_be_followed(&self) -> bool {
        let ClusterDeviation { not_ready, unhealthy, .. } = &self.cluster;
        not_ready.is_empty() && unhealthy.is_empty() && !self.machines.values().any(|deviation| deviation.api_down)
    }
}

impl MachineDeviation {
    fn apply(&self, facts: &mut Facts) {
        if self.reinstalled {
            *facts = blank();
        }
        let set = |place: &mut String, value: &Option<String>| {
            if let Some(value) = value {
                place.clone_from(value);
            }
        };
        set(&mut facts.arch, &self.arch);
        set(&mut facts.hostname, &self.hostname);
        facts.systemd = self.systemd.unwrap_or(facts.systemd);
        facts.memory = self.memory.map_or(facts.memory, |mb| mb * 1024);
        facts.nameservers = self.nameservers.clone().unwrap_or_else(|| facts.nameservers.clone());
        facts.swap.extend(self.swap.iter().cloned());
        facts.swap_at_boot.extend(self.swap_at_boot.iter().cloned());
        facts.modules.retain(|module| !self.unloaded.contains(module));
        facts.sysctls.extend(self.sysctls.clone());
        facts.hosts = self.hosts.clone().unwrap_or_else(|| facts.hosts.clone());
        facts.clock += self.clock;
        facts.clock_ahead = Some(self.clock);
        facts.clock_synchronized = self.clock_synchronized.unwrap_or(facts.clock_synchronized);
        facts.programs.retain(|program| !self.without.contains(program));
        for path in self.changed.iter().chain(&self.added) {
            assert_eq!(facts.files.contains_key(path), self.changed.contains(path), "whether there is {path}");
            let fact = facts.files.entry(path.clone()).or_default();
            fact.sha256 = "0".repeat(64);
        }
        for (path, mode) in &self.modes {
            facts.files.get_mut(path).unwrap_or_else(|| panic!("there is no {path}")).mode.clone_from(mode);
        }
        for path in &self.deleted {
            assert!(facts.files.remove(path).is_some() | facts.links.remove(path).is_some(), "there is no {path}");
        }
        facts.links.extend(self.links.clone());
        for (name, days) in &self.certificates {
            facts.kubernetes.certificates.insert(name.clone(), facts.clock + days * 24 * 60 * 60);
        }
        facts.snapshot = self.snapshot.map(|hours| facts.clock - hours * 60 * 60).or(facts.snapshot);
        facts.snapshot_failed |= self.snapshot_failed;
        if let Some(percent) = self.disk_free {
            (facts.disk_size, facts.disk_free) = (100 << 20, percent << 20);
        }
        if let Some(room) = self.room {
            (facts.disk_size, facts.disk_free) = (100 << 20, room << 10);
        }
        facts.ports.extend(self.ports.clone());
        facts.apt_lock.clone_from(&self.apt_lock);
        facts.dpkg_half.clone_from(&self.dpkg_half);
        facts.read_only.extend(self.read_only.iter().cloned());
        facts.kubernetes.damaged.clone_from(&self.damaged);
        for (path, state) in &self.shares {
            let state = match state.as_str() {
                "missing" => ShareState::Missing,
                "hangs" => ShareState::Hangs,
                "read-only" => ShareState::ReadOnly,
                "full" => ShareState::Writable,
                state => panic!("no state of a share: {state}"),
            };
            let share = ShareFact { state, owner: "0:0".to_owned(), mode: "755".to_owned(), free: 1 << 20 };
            facts.shares.insert(path.clone(), share);
        }
        for unit in &self.stopped {
            facts.units.get_mut(unit).unwrap_or_else(|| panic!("there is no {unit}")).active = false;
        }
        for unit in &self.disabled {
            facts.units.get_mut(unit).unwrap_or_else(|| panic!("there is no {unit}")).enabled = false;
        }
        let of = |parts: &[String], reference: &str| parts.iter().any(|part| reference.contains(part));
        facts.images.retain(|reference, _| !of(&self.images_deleted, reference));
        for (reference, image) in &mut facts.images {
            image.pinned &= !of(&self.images_unpinned, reference);
            if of(&self.images_changed, reference) {
                image.digest = "sha256:another".to_owned();
            }
        }
        for (name, value) in &self.applied {
            match value {
                Some(value) => drop(facts.applied.insert(name.clone(), value.clone())),
                None => drop(facts.applied.remove(name)),
            }
        }
        facts.foreign.extend(self.foreign.iter().cloned());
        facts.kubernetes.leftovers.extend(self.leftovers.iter().cloned());
        for (locks, left_behind) in [(&self.lock, false), (&self.lock_left_behind, true)] {
            for (step, seconds) in locks {
                let run = "20260102T030405Z-77 of pinkiepie@bakery".to_owned();
                facts.lock = Some(LockFact { run, step: step.clone(), since: facts.clock - seconds, left_behind });
            }
        }
        facts.mounts.extend(self.mounts.iter().cloned());
        if let Some(server) = self.other_cluster.as_ref().or(self.other_control_plane.as_ref()) {
            facts.kubernetes.control_plane = self.other_control_plane.is_some();
            facts.kubernetes.node = Some("cherry".to_owned());
            facts.kubernetes.joined = true;
            facts.kubernetes.ca = Some(ANOTHER.to_owned());
            facts.kubernetes.server = Some(server.clone());
        }
    }
}

impl ClusterDeviation {
    fn apply(&self, world: &mut World) {
        let mut empty = Default::default();
        let cluster = world.cluster.as_mut().unwrap_or(&mut empty);
        cluster.version = self.version.clone().unwrap_or_else(|| cluster.version.clone());
        for (node, labels) in &self.labels {
            let node = cluster.nodes.get_mut(node).expect("the node is there");
            for (key, value) in labels {
                match value {
                    Some(value) => drop(node.labels.insert(key.clone(), value.clone())),
                    None => drop(node.labels.remove(key).expect("the label was there")),
                }
            }
        }
        for (node, taints) in &self.taints {
            cluster.nodes.get_mut(node).expect("the node is there").taints.clone_from(taints);
        }
        for (name, address) in &self.nodes {
            let node = NodeFact { ready: true, version: cluster.version.clone(), address: address.clone(), ..NodeFact::default() };
            cluster.nodes.insert(name.clone(), node);
        }
        for name in &self.cordoned {
            cluster.nodes.get_mut(name).expect("the node is there").unschedulable = true;
        }
        cluster.nodes.retain(|name, _| !self.nodes_deleted.contains(name));
        for (name, address) in &self.members {
            let peer = format!("https://{address}:2380");
            let member = MemberFact { name: name.clone(), learner: false, peer, healthy: false };
            cluster.members.insert(format!("id-of-{name}"), member);
        }
        for member in cluster.members.values_mut() {
            member.learner |= self.learners.contains(&member.name);
        }
        cluster.members.retain(|_, member| !self.members_deleted.contains(&member.name));
        for (name, value) in &self.record {
            match value {
                Some(value) => drop(cluster.record.insert(name.clone(), value.clone())),
                None => drop(cluster.record.remove(name)),
            }
        }
    }
}

/// What a person reads, the codes of the refusals, and of a short plan what each step waits for.
fn told(plan: &Plan) -> String {
    let mut text = plan_text(plan, Paint::wanted(false));
    for refusal in &plan.refusals {
        text.push_str(&format!("code: {}\n", refusal.code));
    }
    if (1..=16).contains(&plan.steps.len()) {
        text.push('\n');
        for step in &plan.steps {
            let needs: Vec<&str> = step.needs.iter().map(StepId::as_str).collect();
            text.push_str(&format!("{} <- {}\n", step.id, if needs.is_empty() { "nothing".to_owned() } else { needs.join(", ") }));
        }
    }
    text
}

#[test]
fn every_case_comes_to_its_plan() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    let cases = cases();
    for (name, case) in &cases {
        let goal = case.goal();
        let plan = plan_for(&goal, &inventory(&case.inventory), &case.manifest(), &case.seen(&case.world(), &goal)).expect("templates fit");
        wrong.extend(needs::needless(&plan).into_iter().map(|what| format!("{name}: {what}")));
        let text = told(&plan);
        let path = folder(&format!("tests/plan/{name}.txt"));
        if update {
            fs::write(&path, &text).expect("it can be written");
        }
        let known = fs::read_to_string(&path).unwrap_or_default();
        if known != text {
            wrong.push(format!("{name}.txt has\n{known}\nand this is\n{text}"));
        }
    }
    assert!(cases.len() >= 60, "there are {} cases", cases.len());
    assert!(wrong.is_empty(), "{}\nhint: UPDATE=1 cargo test --test plan, then read what changed", wrong.join("\n"));
}

/// `tests/status/NAME.yaml` is a case as those of plans, and `NAME.txt` what `status` says of it, as text and as JSON.
#[test]
fn every_status_is_as_it_was() {
    let mut wrong = Vec::new();
    let cases = cases_of("tests/status");
    for (name, case) in &cases {
        let (inventory, seen) = (inventory(&case.inventory), case.seen(&case.world(), &Goal::Up));
        let plan = plan_for(&Goal::Up, &inventory, &case.manifest(), &seen).expect("templates fit");
        let status = status(&inventory, &seen, Some(&plan), None);
        let json = serde_json::to_string_pretty(&status).expect("plain data");
        let text = format!("{}\n{json}\n", status_text(&status, Paint::wanted(false)));
        let file = folder(&format!("tests/status/{name}.txt"));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&file, &text).expect("it can be written");
        }
        if fs::read_to_string(&file).unwrap_or_default() != text {
            wrong.push(format!("tests/status/{name}.txt is not\n{text}"));
        }
    }
    assert!(cases.len() >= 8, "there are {} cases", cases.len());
    assert!(wrong.is_empty(), "{}\nhint: UPDATE=1 cargo test --test plan, then read what changed", wrong.join("\n"));
}

/// A plan that was carried out leaves nothing to do; what was refused is refused still.
#[test]
fn every_case_comes_to_an_end() {
    let mut wrong = Vec::new();
    for (name, case) in cases().iter().filter(|(_, case)| case.can_be_followed()) {
        let inventory = inventory(&case.inventory);
        let mut goal = case.goal();
        let mut world = case.world();
        let mut refusals = Vec::new();
        for round in 0..4 {
            let plan = plan_for(&goal, &inventory, &case.manifest(), &case.seen(&world, &goal)).expect("templates fit");
            if round == 0 {
                case.meanwhile(&mut world);
            }
            let failed: Vec<String> = plan.steps.iter().filter_map(|step| world.apply(step).err()).collect();
            if !failed.is_empty() {
                wrong.push(format!("{name}, round {round}: {}", failed.join("; ")));
                break;
            }
            if plan.steps.is_empty() {
                refusals = plan.refusals;
                break;
            }
            if round == 3 {
                wrong.push(format!("{name} still has {}", plan.steps.iter().map(|step| step.line()).collect::<Vec<_>>().join("; ")));
            }
            goal = goal.then();
        }
        let first =
            plan_for(&case.goal(), &inventory, &case.manifest(), &case.seen(&case.world(), &case.goal())).expect("templates fit").refusals;
        if refusals.len() > first.len() {
            wrong.push(format!("{name}: in the end {refusals:?} is refused"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// docs/changes.md names a case in each row, and leaves none out of what drifts, changes, is out of reach, is cut or refused.
#[test]
fn the_table_of_changes_is_of_cases() {
    let text = fs::read_to_string(folder("docs/changes.md")).expect("it can be read");
    let named: BTreeSet<&str> =
        text.split("../tests/plan/").skip(1).filter_map(|rest| rest.split_once(".yaml)")).map(|(name, _)| name).collect();
    let known: Vec<String> = cases().into_iter().map(|(name, _)| name).collect();
    let unknown: Vec<&&str> = named.iter().filter(|name| !known.iter().any(|known| known == *name)).collect();
    assert!(unknown.is_empty(), "no cases: {unknown:?}");
    let subjects = ["drift-", "change-", "unreachable-", "half-", "refused-"];
    let left_out: Vec<&String> =
        known.iter().filter(|name| subjects.iter().any(|subject| name.starts_with(subject)) && !named.contains(name.as_str())).collect();
    assert!(left_out.is_empty(), "not in docs/changes.md: {left_out:?}");
    for row in text.lines().filter(|line| line.starts_with("| ") && !line.ends_with("| case |")) {
        assert!(row.contains("](../tests/plan/"), "this row names no case:\n{row}");
    }
}
