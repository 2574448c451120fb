//! What an action takes for granted, and what it changes in the facts: enough of machines and a cluster to see, without any, where plans lead.

use std::collections::{BTreeMap, BTreeSet};

use hostler_core::action::cluster::{CertifyKubelets, RestartFlannel, RestoreAdmins, WithdrawVerification};
use hostler_core::action::kubeadm::{
    Init, Join, RenewCertificates, RenewControlPlane, RenewKubelet, RepairControlPlane, Restore, SetKubeletServer, UpgradeNode, of_machine,
};
use hostler_core::action::machine::{
    ConfigureCloudInit, ConfigureNotify, ConfigureUnit, DropUnit, ImportImages, InstallPackages, InstallPrograms, LoadModules, SetHostname,
    SetSysctls, StagePrograms, StartUnit, WriteHosts,
};
use hostler_core::action::power::{Reboot, UpgradePackages};
use hostler_core::action::reinstall::Reinstall;
use hostler_core::action::rollback::{RollBackControlPlane, RollBackNode};
use hostler_core::action::{Action, File};
use hostler_core::digest::sha256;
use hostler_core::document::Document;
use hostler_core::facts::{ClusterFacts, Contact, Facts, ImageFact, NodeFact, Observation, SystemFacts, UnitFact, Unreachable, Validity};
use hostler_core::install::layout::installed_name;
use hostler_core::inventory::MachineName;
use hostler_core::plan::Step;
use hostler_core::plan::reinstall;
use hostler_core::plan::wanted;
use hostler_core::plan::wipe::is_wiped;
use hostler_core::record::{Applied, InProgress, Record};
use hostler_core::static_pod::StaticPod;

use crate::cluster_effects;
use crate::documents::{Documents, text};
use crate::files::{kubelet_config, manifests, switch, write};
use crate::rollback::Kept;
use crate::system;

const CONTAINERD: &str = "containerd.service";
const KUBELET: &str = "kubelet.service";
/// Units that wait for nothing: what they start has conditions.
const TIMERS: [&str; 4] = [wanted::VIP_UNIT, wanted::SNAPSHOT_TIMER, wanted::RENEWAL_TIMER, wanted::NOTIFY_TIMER];

/// The sum of documents of a hostler that had kubelets sign their serving certificates themselves.
pub const OLD: &str = "old";

/// Machines, and the cluster that some of them make.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct World {
    /// `cluster` in these facts is not looked at: see [`World::seen`].
    pub machines: BTreeMap<MachineName, Facts>,
    /// What etcd holds. Whether a node is Ready and a member healthy follows from its machine.
    pub cluster: Option<ClusterFacts>,
    /// Whether something was changed since the cluster was verified last.
    pub unverified: bool,
    /// Versions of API servers that are not the cluster's, in the middle of an upgrade.
    pub api_versions: BTreeMap<MachineName, String>,
    /// What an upgrade keeps of control planes.
    pub kept: BTreeMap<MachineName, Kept>,
    /// Machines with packages to upgrade.
    pub old_packages: BTreeSet<MachineName>,
    /// Machines whose packages were upgraded since they were started.
    pub upgraded_packages: BTreeSet<MachineName>,
    /// Machines that can't be reached, and why. They do no work for the cluster.
    pub off: BTreeMap<MachineName, String>,
}

impl World {
    /// What a look at every machine would tell.
    pub fn seen(&self) -> BTreeMap<MachineName, Observation> {
        self.machines
            .iter()
            .map(|(name, facts)| {
                if let Some(why) = self.off.get(name) {
                    return (
                        name.clone(),
                        Observation::Unreachable(Unreachable { reason: why.clone(), contact: contact(why), hint: String::new() }),
                    );
                }
                let mut facts = facts.clone();
                if !runs(&facts, CONTAINERD) {
                    facts.images.clear();
                }
                facts.api_denied &= self.serves(name);
                facts.cluster = if self.serves(name) && !facts.api_denied { self.cluster() } else { None };
                if let (Some(cluster), Some(version)) = (&mut facts.cluster, self.api_versions.get(name)) {
                    cluster.version.clone_from(version);
                }
                facts.api_down = (facts.kubernetes.control_plane && facts.cluster.is_none()).then(|| match facts.api_denied {
                    true => "Error from server (Forbidden): nodes is forbidden".to_owned(),
                    false => "connection refused on 127.0.0.1:6443".to_owned(),
                });
                (name.clone(), Observation::Facts(Box::new(facts)))
            })
            .collect()
    }

    /// The cluster as its API server would tell it now.
    fn cluster(&self) -> Option<ClusterFacts> {
        let mut cluster = self.cluster.clone()?;
        let network = system::has_flannel(&cluster.add_ons) || cluster.record.get(&Record::Cni).is_some_and(|cni| cni == "none");
        for (name, node) in &mut cluster.nodes {
            node.ready = network && self.works(name);
            node.message = if node.ready { String::new() } else { "kubelet gives no reason".to_owned() };
        }
        system::schedule(&mut cluster.add_ons, cluster.nodes.len());
        for member in cluster.members.values_mut() {
            member.healthy = self.works(&member.name) && member.error.is_empty();
        }
        Some(cluster)
    }

    /// Whether the machine's kubelet and containerd do their part in the cluster.
    fn works(&self, name: &str) -> bool {
        // The inventory may have another name for it.
        let node = self.machines.iter().find(|(_, facts)| facts.kubernetes.node.as_deref() == Some(name));
        let known = node.or_else(|| self.machines.get_key_value(name));
        // Where only the login is lost, all else goes on.
        let known = known.filter(|(name, _)| self.off.get(*name).is_none_or(|why| why.starts_with("sudo")));
        known.is_some_and(|(_, facts)| facts.kubernetes.joined && runs(facts, CONTAINERD) && runs(facts, KUBELET))
    }

    /// Whether the node's kubelet presents a certificate that the cluster signed, or can't be reached at all.
    fn is_certified(&self, node: &str) -> bool {
        let machine = self.machines.iter().find(|(name, _)| name.as_str() == node);
        machine.is_none_or(|(name, facts)| facts.kubernetes.serving.is_some() || self.off.contains_key(name))
    }

    /// Whether the machine's API server answers: etcd needs more than half of its voters.
    fn serves(&self, name: &MachineName) -> bool {
        let Some(cluster) = &self.cluster else { return false };
        let voters: Vec<_> = cluster.members.values().filter(|member| !member.learner).collect();
        let healthy = voters.iter().filter(|member| self.works(&member.name)).count();
        let control_plane = self.machines.get(name).is_some_and(|facts| {
            facts.kubernetes.control_plane && facts.kubernetes.missing.is_empty() && hostler_core::plan::repair::expired(facts).is_empty()
        });
        control_plane
            && self.works(self.machines.get(name).and_then(|facts| facts.kubernetes.node.as_deref()).unwrap_or(name.as_str()))
            && healthy > voters.len() / 2
    }

    /// Whether an API server answers where `hosts`, lines of /etc/hosts, leads to. A name that they don't have is resolved elsewhere, and
    /// an address that is no machine's is a VIP.
    fn answers(&self, hosts: &[String], documents: &Documents) -> bool {
        let endpoint = documents.endpoint();
        let host = endpoint.rsplit_once(':').map_or("", |(host, _)| host);
        let address =
            |name: &str| hosts.iter().filter_map(|line| line.split_once(' ')).find(|(_, known)| *known == name).map(|(address, _)| address);
        let Some(address_of_host) = address(host) else { return true };
        if address(&documents.node()) == Some(address_of_host) {
            return false;
        }
        let nodes = self.cluster.iter().flat_map(|cluster| &cluster.nodes);
        let mut there = nodes.filter(|(_, node)| node.address == address_of_host).filter_map(|(name, _)| MachineName::new(name));
        there.next().is_none_or(|name| self.serves(&name))
    }

    /// Carries out a step, whole.
    ///
    /// # Errors
    /// What would make its script fail: something it takes for granted is not there.
    pub fn apply(&mut self, step: &Step) -> Result<(), String> {
        let name = &step.machine;
        let check = |fine: bool, what: &str| if fine { Ok(()) } else { Err(format!("{}: {what}", step.id)) };
        check(!self.off.contains_key(name), "the machine can't be reached")?;
        self.unverified |= step.id.kind.is_verified();
        let serves = self.serves(name);
        let before = self.machines.get(name).cloned().unwrap_or_default();
        let certified = self.cluster.iter().flat_map(|cluster| cluster.nodes.keys()).all(|node| self.is_certified(node));
        let facts = self.machines.entry(name.clone()).or_default();
        match &step.action {
            Action::InstallPackages(InstallPackages { packages }) => {
                let brought = wanted::PACKAGES
                    .iter()
                    .chain(wanted::VIP_PACKAGES)
                    .chain(wanted::NFS_PACKAGES)
                    .filter(|(_, package)| packages.iter().any(|wanted| wanted == package));
                facts.programs.extend(brought.map(|(program, _)| (*program).to_owned()));
            }
            Action::SwapOff(_) => {
                facts.swap.clear();
                facts.swap_at_boot.clear();
            }
            Action::LoadModules(LoadModules { modules, file }) => {
                facts.modules.extend(modules.iter().cloned());
                // The kernel's default, once there are the keys.
                for (key, _) in wanted::SYSCTLS.iter().filter(|(key, _)| key.contains(".bridge.")) {
                    facts.sysctls.entry((*key).to_owned()).or_insert_with(|| "1".to_owned());
                }
                write(facts, file);
            }
            Action::SetSysctls(SetSysctls { file }) => {
                write(facts, file);
                for (key, value) in file.content.lines().filter_map(|line| line.split_once(" = ")) {
                    facts.sysctls.entry(key.to_owned()).and_modify(|now| *now = value.to_owned());
                }
            }
            Action::SetHostname(SetHostname { name }) => {
                facts.hostname.clone_from(name);
                facts.hostname_at_boot.clone_from(name);
            }
            Action::ConfigureCloudInit(ConfigureCloudInit { file }) => write(facts, file),
            Action::WriteHosts(WriteHosts { lines }) => facts.hosts.clone_from(lines),
            Action::SynchronizeClock(_) => facts.clock_synchronized = true,
            Action::InstallPrograms(InstallPrograms { set, programs, .. }) => switch(facts, set, programs),
            Action::StagePrograms(StagePrograms { set, .. }) => drop(facts.sets.insert(set.clone())),
            Action::UpgradeControlPlane(action) => {
                check(serves, "the API folder server does not respond")?;
                self.upgrade_control_plane(name, action).map_err(|what| format!("{}: {what}", step.id))?;
            }
            Action::ReconnectKubelet(_) => {}
            Action::SetKubeletServer(SetKubeletServer { server }) => facts.kubernetes.server = Some(server.clone()),
            Action::RollBackNode(action) => self.roll_back_node(name, action).map_err(|what| format!("{}: {what}", step.id))?,
            Action::RollBackShared(action) => {
                check(serves, "the API server does not respond")?;
                self.roll_back_shared(action);
            }
            Action::RollBackControlPlane(action) => {
                self.roll_back_control_plane(name, action).map_err(|what| format!("{}: {what}", step.id))?;
            }
            Action::EndUpgrade(_) => facts.before_upgrade = None,
            Action::UpgradeNode(action) => self.upgrade_node(name, action).map_err(|what| format!("{}: {what}", step.id))?,
            Action::ConfigureUnit(ConfigureUnit { unit, files, stale, restart, .. }) => {
                check(TIMERS.contains(&unit.as_str()) || facts.links.contains_key(wanted::CURRENT), "there are no programs yet")?;
                check(unit != KUBELET || !restart || facts.swap.is_empty(), "kubelet ends while swap is on")?;
                check(unit != CONTAINERD || facts.modules.contains("overlay"), "there is no overlay file system yet")?;
                files.iter().for_each(|file| write(facts, file));
                facts.files.retain(|path, _| !stale.contains(path));
                facts.in_progress.remove(&mark(unit));
                if unit == CONTAINERD {
                    let piece = |file: &File| file.path.strip_prefix("/etc/containerd/conf.d/").map(str::to_owned);
                    facts.containerd_pieces = Some(files.iter().filter_map(piece).collect());
                }
                let unit = facts.units.entry(unit.clone()).or_default();
                *unit = UnitFact { active: unit.active || *restart, enabled: true, needs_reload: false, entered: unit.entered };
            }
            Action::ConfigureNotify(ConfigureNotify { unit, files, settings }) => {
                files.iter().chain([settings.file()]).for_each(|file| write(facts, file));
                facts.in_progress.remove(&mark(unit));
                facts.units.insert(unit.clone(), UnitFact { active: true, enabled: true, needs_reload: false, entered: None });
            }
            Action::StartUnit(StartUnit { unit }) => {
                check(TIMERS.contains(&unit.as_str()) || facts.links.contains_key(wanted::CURRENT), "there are no programs yet")?;
                check(unit != KUBELET || !facts.kubernetes.joined || facts.swap.is_empty(), "kubelet ends while swap is on")?;
                // Before kubeadm's turn kubelet ends at once; it has nothing to do.
                let active = unit != KUBELET || facts.kubernetes.joined;
                facts.units.insert(unit.clone(), UnitFact { active, enabled: true, needs_reload: false, entered: None });
            }
            Action::DropUnit(DropUnit { unit, files }) => {
                facts.units.remove(unit);
                facts.files.retain(|path, _| !files.contains(path));
            }
            Action::ImportImages(ImportImages { images, .. }) => {
                check(runs(facts, CONTAINERD), "containerd does not run")?;
                let found = images.iter().map(|image| (image.reference.clone(), ImageFact { digest: image.digest.clone(), pinned: true }));
                facts.images.extend(found);
            }
            Action::Init(Init { config, again, record, .. }) => {
                check(!before.kubernetes.joined || *again, "it is in a cluster already")?;
                let documents = Documents::read(config);
                self.enter(name, &documents, *again, &of_machine(record)).map_err(|what| format!("{}: {what}", step.id))?;
                let configuration = documents.of("ClusterConfiguration");
                let mut cluster = ClusterFacts {
                    version: text(configuration, &["kubernetesVersion"]).trim_start_matches('v').to_owned(),
                    stored_version: text(configuration, &["kubernetesVersion"]).trim_start_matches('v').to_owned(),
                    record: record.clone(),
                    pod_subnet: text(configuration, &["networking", "podSubnet"]),
                    service_subnet: text(configuration, &["networking", "serviceSubnet"]),
                    endpoint: text(configuration, &["controlPlaneEndpoint"]),
                    cluster_name: text(configuration, &["clusterName"]),
                    verifies_kubelets: documents.verifies_kubelets(),
                    ..ClusterFacts::default()
                };
                system::init(&mut cluster.add_ons, &cluster.version, &documents);
                documents.register(&mut cluster, "InitConfiguration", true);
                self.cluster = Some(cluster);
            }
            Action::Restore(Restore { snapshot, config, record, .. }) => {
                check(!before.kubernetes.joined, "it is in a cluster already")?;
                let documents = Documents::read(config);
                self.enter(name, &documents, false, &of_machine(record)).map_err(|what| format!("{}: {what}", step.id))?;
                self.machines.entry(name.clone()).or_default().kubernetes.ca = Some(snapshot.ca.clone());
                // What is still known of the cluster is what the snapshot holds.
                let cluster = self.cluster.get_or_insert_default();
                cluster.members.clear();
                cluster.record.extend(record.clone());
                documents.register(cluster, "InitConfiguration", true);
                let version = cluster.version.clone();
                let known = |node: &String| (node.clone(), NodeFact { version: version.clone(), ..NodeFact::default() });
                for (node, fact) in snapshot.nodes.iter().map(known) {
                    cluster.nodes.entry(node).or_insert(fact);
                }
            }
            Action::Join(Join { config, again, record, pki, .. }) => {
                check(!before.kubernetes.joined || *again, "it is in a cluster already")?;
                check(self.machines.keys().any(|other| self.serves(other)), "no API server answers")?;
                let documents = Documents::read(config);
                let known = self.cluster.as_ref().is_some_and(|cluster| cluster.nodes.contains_key(&documents.node()));
                check(!known || *again, "the cluster has a node of its name already")?;
                check(self.answers(&before.hosts, &documents), "the cluster's name leads to no API server that answers")?;
                self.enter(name, &documents, *again, record).map_err(|what| format!("{}: {what}", step.id))?;
                if let Some(cluster) = &mut self.cluster {
                    documents.register(cluster, "JoinConfiguration", pki.is_some());
                }
            }
            Action::RenewKubelet(RenewKubelet { sha256: sum }) => {
                check(self.machines.keys().any(|other| self.serves(other)), "no API server answers")?;
                let facts = self.machines.entry(name.clone()).or_default();
                check(facts.swap.is_empty() && runs(facts, CONTAINERD), "kubelet ends while swap is on or containerd does not run")?;
                facts.applied.insert(Applied::Document(Document::Kubelet), sum.clone());
                kubelet_config(facts, sum);
                facts.units.entry(KUBELET.to_owned()).or_default().active = true;
            }
            Action::RenewCertificates(RenewCertificates { .. }) => {
                let clock = facts.clock;
                let certificates = &mut facts.kubernetes.certificates;
                certificates
                    .iter_mut()
                    .filter(|(name, _)| hostler_core::plan::repair::is_renewable(name))
                    .for_each(|(_, ends)| *ends = clock + 365 * 24 * 60 * 60);
            }
            Action::BootstrapKubelet(action) => {
                check(self.cluster.as_ref().is_some_and(|cluster| cluster.nodes.contains_key(&action.node)), "it is no node")?;
                facts.kubernetes.missing.clear();
                facts.kubernetes.damaged.clear();
                let clock = facts.clock;
                facts.kubernetes.certificates.values_mut().for_each(|ends| *ends = (*ends).max(clock + 365 * 24 * 60 * 60));
            }
            Action::RestoreAdmins(RestoreAdmins { manifest, .. }) => {
                self.machines.values_mut().for_each(|facts| facts.api_denied = false);
                self.cluster.as_mut().into_iter().for_each(|cluster| system::apply(&mut cluster.add_ons, manifest));
            }
            Action::RepairControlPlane(RepairControlPlane { damaged, .. }) => {
                for pod in StaticPod::ALL.into_iter().filter(|pod| damaged.contains(&pod.manifest())) {
                    let sha256 = facts.applied.get(&Applied::Manifest(pod)).cloned().unwrap_or_default();
                    facts.files.entry(pod.manifest()).or_default().sha256 = sha256;
                }
                if damaged.iter().any(|file| file.starts_with("/var/lib/kubelet/")) {
                    let sum = facts.applied.get(&Applied::Document(Document::Kubelet)).cloned().unwrap_or_default();
                    kubelet_config(facts, &sum);
                }
                facts.kubernetes.missing.clear();
                facts.kubernetes.damaged.clear();
                let clock = facts.clock;
                facts.kubernetes.certificates.values_mut().for_each(|ends| *ends = (*ends).max(clock + 365 * 24 * 60 * 60));
                if let Some(cluster) = &mut self.cluster {
                    cluster.record.remove(&Record::Verified);
                }
            }
            Action::Wipe(_) => {
                facts.kubernetes = Default::default();
                facts.applied.clear();
                facts.in_progress.clear();
                facts.before_upgrade = None;
                facts.files.retain(|path, _| !is_wiped(path));
                facts.units.retain(|unit, _| !hostler_core::protocol::wipe::UNITS.contains(&unit.as_str()));
                facts.units.entry(KUBELET.to_owned()).or_default().active = false;
                wanted::leave_ports(facts);
                if !self.machines.values().any(|facts| facts.kubernetes.control_plane) {
                    self.cluster = None;
                }
            }
            Action::WithdrawVerification(WithdrawVerification { later: true }) => drop(facts.in_progress.insert(InProgress::Unverified)),
            Action::UpgradePackages(UpgradePackages { packages }) => {
                let half = facts.in_progress.remove(&InProgress::Packages);
                if half || packages.is_some() && self.old_packages.contains(name) {
                    self.upgraded_packages.insert(name.clone());
                }
                if packages.is_some() {
                    self.old_packages.remove(name);
                }
            }
            Action::Reboot(Reboot { if_upgraded: true, .. }) if !self.upgraded_packages.contains(name) => {}
            Action::Reboot(Reboot { boot, node, quorum, .. }) => {
                check(!quorum || self.cluster().is_some_and(|cluster| cluster.members.values().all(|member| member.healthy)), "no quorum")?;
                let facts = self.machines.entry(name.clone()).or_default();
                if facts.boot == *boot {
                    restart(facts);
                    self.upgraded_packages.remove(name);
                }
                check(node.is_none() || self.works(name.as_str()), "its node does not become Ready")?;
            }
            Action::StageInstaller(_) => {}
            Action::Reinstall(Reinstall { id, .. }) => {
                check(!facts.kubernetes.joined, "it is still in the cluster")?;
                *facts = installed(facts, name, id);
            }
            Action::Erase(_) => {
                check(!facts.kubernetes.joined, "it is still in the cluster")?;
                self.off.insert(name.clone(), "no answer".to_owned());
            }
            Action::PowerOff(_) => {
                self.off.insert(name.clone(), "no answer".to_owned());
            }
            Action::CertifyKubelets(CertifyKubelets { addresses, nodes }) => {
                check(serves, "the API server does not respond")?;
                let record = addresses.iter().map(|(name, address)| (Record::Kubelet(name.clone()), address.to_string()));
                self.cluster.as_mut().into_iter().for_each(|cluster| cluster.record.extend(record.clone()));
                for node in nodes {
                    let known = self.cluster.as_ref().is_some_and(|cluster| cluster.record.contains_key(&Record::Kubelet(node.clone())));
                    check(known, "the cluster has no record of a kubelet's address")?;
                    check(self.works(node.as_str()), "a kubelet does not ask for its certificate")?;
                    let facts = self.machines.entry(node.clone()).or_default();
                    let asks = facts.applied.get(&Applied::Document(Document::Kubelet)).is_some_and(|sum| sum != OLD);
                    check(asks, "a kubelet signs its certificate itself")?;
                    let validity = Validity { begins: facts.clock, ends: facts.clock + 365 * 24 * 60 * 60 };
                    facts.kubernetes.serving = Some(validity);
                    facts.kubernetes.certificates.entry("kubelet-server".to_owned()).and_modify(|ends| *ends = validity.ends);
                }
            }
            action => {
                check(serves, "the API folder server does not respond")?;
                let full = self.cluster.iter().flat_map(|cluster| cluster.members.values()).any(|member| !member.error.is_empty());
                check(!full || matches!(action, Action::MakeEtcdSpace(_)), "etcd refuses writes")?;
                let renewed = match action {
                    Action::RenewControlPlane(RenewControlPlane { sha256, names, config, .. }) => {
                        let verifies = Documents::read(config).verifies_kubelets();
                        check(!verifies || certified, "API servers would not reach every kubelet")?;
                        manifests(facts, sha256);
                        if !facts.kubernetes.api_names.is_empty() {
                            facts.kubernetes.api_names.extend(names.iter().cloned());
                        }
                        Some(sha256)
                    }
                    _ => None,
                };
                facts.applied.extend(renewed.map(|sum| (Applied::Document(Document::Cluster), sum.clone())));
                if matches!(action, Action::WithdrawVerification(_)) {
                    facts.in_progress.remove(&InProgress::Unverified);
                }
                let told = self.cluster().unwrap_or_default();
                if let (Action::RestartFlannel(RestartFlannel { node }), Some(cluster)) = (action, &mut self.cluster) {
                    let mac = self.machines.get(node).and_then(|facts| facts.vtep_mac.clone());
                    cluster.nodes.get_mut(node.as_str()).into_iter().for_each(|node| node.vtep_mac = mac.clone().unwrap_or_default());
                }
                if let Some(cluster) = &mut self.cluster {
                    cluster_effects::apply(action, cluster, &told).map_err(|what| format!("{}: {what}", step.id))?;
                    // The record is what vouches: a probe of which nothing is recorded is forgotten.
                    self.unverified &= !matches!(action, Action::RecordVerified(_));
                }
            }
        }
        Ok(())
    }

    /// Carries out a step that is cut before its end: what it leaves where that is not nothing.
    pub fn cut(&mut self, step: &Step) {
        self.unverified |= step.id.kind.is_verified();
        let Some(facts) = self.machines.get_mut(&step.machine) else { return };
        match &step.action {
            Action::Init(_) | Action::Restore(_) | Action::Join(_) => {
                let mark = match step.action {
                    Action::Init(_) => InProgress::Init,
                    Action::Restore(_) => InProgress::Restore,
                    _ => InProgress::Join,
                };
                facts.in_progress.insert(mark);
                facts.kubernetes.leftovers = vec!["/etc/kubernetes/pki".to_owned()];
            }
            Action::ImportImages(ImportImages { images, .. }) => {
                facts.images.extend(images.iter().take(1).map(|image| {
                    let fact = ImageFact { digest: image.digest.clone(), pinned: false };
                    (image.reference.clone(), fact)
                }));
            }
            Action::LoadModules(LoadModules { file, .. }) | Action::SetSysctls(SetSysctls { file }) => write(facts, file),
            Action::ConfigureUnit(ConfigureUnit { unit, files, .. }) => {
                files.iter().for_each(|file| write(facts, file));
                facts.in_progress.insert(mark(unit));
            }
            Action::ConfigureNotify(ConfigureNotify { unit, settings, .. }) => {
                write(facts, settings.file());
                facts.in_progress.insert(mark(unit));
            }
            Action::InstallPrograms(InstallPrograms { set, .. })
            | Action::UpgradeNode(UpgradeNode { set, .. })
            | Action::RollBackNode(RollBackNode { set, .. }) => {
                facts.links.insert(wanted::CURRENT.to_owned(), format!("sets/{set}"));
                facts.in_progress.insert(InProgress::Programs);
            }
            Action::SetKubeletServer(SetKubeletServer { server }) => {
                facts.kubernetes.server = Some(server.clone());
                facts.in_progress.insert(InProgress::Kubelet);
            }
            // It may be cut before or after the machine has gone down.
            Action::Reboot(Reboot { if_upgraded: true, .. }) if !self.upgraded_packages.contains(&step.machine) => {}
            Action::Reboot(_) => {
                restart(facts);
                self.upgraded_packages.remove(&step.machine);
            }
            // The machine goes down in the middle of it.
            Action::UpgradePackages(_) => {
                facts.in_progress.insert(InProgress::Packages);
                restart(facts);
            }
            // The old system is there until nothing of it is.
            Action::Reinstall(_) => restart(facts),
            Action::PowerOff(_) | Action::Erase(_) => drop(self.off.insert(step.machine.clone(), "no answer".to_owned())),
            Action::UpgradeControlPlane(action) => {
                self.keep_before_upgrade(&step.machine, action.alone, &action.set);
                self.machines.entry(step.machine.clone()).or_default().in_progress.insert(InProgress::Upgrade);
            }
            Action::RollBackControlPlane(RollBackControlPlane { etcd, .. }) => {
                facts.in_progress.insert(InProgress::Upgrade);
                // Between what is moved away and what is put in its place.
                if etcd.is_some() {
                    facts.kubernetes.missing = vec!["/var/lib/etcd/member".to_owned()];
                    facts.kubernetes.etcd_data = false;
                    facts.units.entry(KUBELET.to_owned()).or_default().active = false;
                }
            }
            Action::Wipe(_) => {
                facts.kubernetes = Default::default();
                facts.kubernetes.leftovers = vec!["/var/lib/kubelet/pki".to_owned()];
                facts.in_progress.insert(InProgress::Wipe);
                facts.units.entry(KUBELET.to_owned()).or_default().active = false;
            }
            _ => {}
        }
    }

    /// What `kubeadm init` and `join` ask of their machine, and what they make of it.
    fn enter(&mut self, name: &MachineName, documents: &Documents, again: bool, record: &BTreeMap<Applied, String>) -> Result<(), String> {
        let ca = self.machines.values().find(|facts| facts.kubernetes.control_plane).and_then(|facts| facts.kubernetes.ca.clone());
        let facts = self.machines.entry(name.clone()).or_default();
        let missing = [
            (facts.swap.is_empty() || documents.tolerate_swap(), "swap is on"),
            (facts.hostname == name.as_str(), "its host name is another"),
            (!facts.hosts.is_empty(), "it does not know the cluster's name"),
            (facts.sysctls.get("net.ipv4.ip_forward").is_some_and(|value| value == "1"), "it does not forward packets"),
            (runs(facts, CONTAINERD), "containerd does not run"),
            (facts.units.get(KUBELET).is_some_and(|unit| unit.enabled), "there is no unit for kubelet"),
            (facts.kubernetes.leftovers.is_empty() || again, "something of an earlier cluster is there"),
        ];
        if let Some((_, what)) = missing.iter().find(|(fine, _)| !fine) {
            return Err((*what).to_owned());
        }
        let control_plane = documents.control_plane();
        facts.kubernetes.joined = true;
        facts.kubernetes.control_plane = control_plane;
        facts.kubernetes.leftovers.clear();
        facts.kubernetes.serving = None;
        facts.kubernetes.node = Some(name.to_string());
        facts.kubernetes.server = Some(format!("https://{}", documents.endpoint()));
        facts.kubernetes.ca = ca.or_else(|| Some(sha256(name.as_str().as_bytes())));
        facts.in_progress.remove(&InProgress::Init);
        facts.in_progress.remove(&InProgress::Join);
        facts.in_progress.remove(&InProgress::Reinstall);
        facts.applied.extend(record.clone());
        kubelet_config(facts, record.get(&Applied::Document(Document::Kubelet)).map_or("", String::as_str));
        if control_plane {
            manifests(facts, record.get(&Applied::Document(Document::Cluster)).map_or("", String::as_str));
        }
        facts.units.entry(KUBELET.to_owned()).or_default().active = true;
        facts.ports.extend(wanted::ports(control_plane).iter().map(|(port, who)| (*port, (*who).to_owned())));
        Ok(())
    }
}

fn runs(facts: &Facts, unit: &str) -> bool {
    facts.units.get(unit).is_some_and(|unit| unit.active)
}

/// What stands on record while the unit's configuration is changed.
fn mark(unit: &str) -> InProgress {
    match unit {
        CONTAINERD => InProgress::Containerd,
        KUBELET => InProgress::Kubelet,
        wanted::VIP_UNIT => InProgress::Vip,
        wanted::RENEWAL_TIMER => InProgress::Renewal,
        wanted::NOTIFY_TIMER => InProgress::Notify,
        _ => InProgress::Snapshots,
    }
}

/// The machine with the system that this order installs.
fn installed(facts: &Facts, name: &MachineName, id: &str) -> Facts {
    let system = facts.system.clone().map(|system| SystemFacts { partition: installed_name(id), ..system });
    let in_progress = BTreeSet::from([InProgress::Reinstall]);
    Facts { in_progress, system, boot: another_boot(&facts.boot), ..reinstall::fresh(facts, name, 64_000_000_000, Default::default()) }
}

/// A machine is restarted: what is in memory alone is gone, and what was due is done.
pub fn restart(facts: &mut Facts) {
    facts.boot = another_boot(&facts.boot);
    facts.reboot_due = None;
    facts.lock = None;
    facts.units.values_mut().for_each(|unit| unit.active = unit.enabled);
}

/// The boot after that one.
pub fn another_boot(boot: &str) -> String {
    let (host, ticks) = boot.rsplit_once('-').expect("an id and a number");
    format!("{host}-{}", ticks.parse::<u64>().expect("a number") + 1000)
}

/// What stands behind such a reason.
fn contact(why: &str) -> Contact {
    match why {
        _ if why.contains("host key") => Contact::OtherHostKey,
        _ if why.starts_with("sudo") => Contact::Answer,
        _ => Contact::Silence,
    }
}
