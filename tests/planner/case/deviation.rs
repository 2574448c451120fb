//! What a machine may have that `up` did not leave so: how it is written in a case, and what it makes of the facts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hostler_core::arch::Arch;
use hostler_core::facts::{
    AtVip, EspFact, Facts, LockFact, RebootDue, ShareFact, ShareState, SystemDisk, SystemFacts, SystemPartition, Validity, disk,
};
use hostler_core::install::layout::installed_name;
use hostler_core::record::{Applied, InProgress};
use serde::Deserialize;

use super::blank;
use crate::world::restart;

/// The certificate authority of another cluster.
pub(super) const ANOTHER: &str = "another";

/// How a machine differs from what hostler made of it, or from a fresh one.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct MachineDeviation {
    /// The disk was replaced, or the system installed anew.
    reinstalled: bool,
    arch: Option<String>,
    /// Hardware addresses of its network cards.
    macs: Vec<String>,
    vtep_mac: Option<String>,
    /// Who has the VIP: `itself`, or the hardware address of what answers, and what other addresses have it.
    vip_answers: Option<String>,
    /// Addresses beside its own.
    addresses: Vec<String>,
    /// That it reaches without a router.
    networks: Vec<String>,
    systemd: Option<bool>,
    hostname: Option<String>,
    hostname_at_boot: Option<String>,
    /// MB.
    memory: Option<u64>,
    /// Milliseconds that its disk takes for a write of etcd's.
    fsync: Option<u64>,
    nameservers: Option<Vec<String>>,
    swap: Vec<String>,
    swap_at_boot: Vec<String>,
    unloaded: Vec<String>,
    sysctls: BTreeMap<String, String>,
    hosts: Option<Vec<String>>,
    /// Addresses that the user's lines of /etc/hosts give the cluster's endpoint.
    endpoint_elsewhere: BTreeSet<IpAddr>,
    other_commands: Vec<String>,
    /// Seconds that its clock is ahead.
    clock: i64,
    clock_synchronized: Option<bool>,
    /// Programs of the system that are not there.
    without: Vec<String>,
    /// Programs of the system that nobody asked for.
    programs: Vec<String>,
    resolved_nameservers: Vec<String>,
    /// Of the file that the inventory names.
    own_nameservers: Option<Vec<String>>,
    /// That file is not there.
    no_own_resolv_conf: bool,
    cloud_user_data: bool,
    /// Seconds.
    uptime: u64,
    /// It was restarted since the cluster was made.
    rebooted: bool,
    /// What needs a restart, and for how many hours.
    reboot_due: BTreeMap<String, i64>,
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
    /// Folders of a cluster, or what is kept, that lead elsewhere.
    resolved: BTreeMap<String, String>,
    /// Others configured containerd before.
    others_containerd: bool,
    /// It is in this other cluster, whose API server that is.
    other_cluster: Option<String>,
    /// As a control plane, whose API server answers.
    pub(super) other_control_plane: Option<String>,
    pub(super) api_down: bool,
    /// The API server that its kubelet asks.
    kubelet_server: Option<String>,
    /// The first configuration of pod networks.
    cni: Option<String>,
    /// Ends of flannel's tunnel that answer it nothing.
    silent: BTreeSet<IpAddr>,
    /// Files with which others change units.
    drop_ins: Vec<String>,
    /// Its API server denies admin.conf what it asks for.
    api_denied: bool,
    /// Seconds since kubelet was started.
    kubelet_started: Option<u64>,
    /// Days that certificates are still good for.
    certificates: BTreeMap<String, i64>,
    /// kubelet has no serving certificate that the cluster signed.
    uncertified: bool,
    /// Hours since the newest regular snapshot.
    snapshot: Option<i64>,
    /// Hours since it takes them.
    snapshots_since: Option<i64>,
    snapshot_failed: bool,
    /// Hours since the newest snapshot on the server; negative: there is none.
    snapshot_copied: Option<i64>,
    snapshot_copy_failed: bool,
    renewal_failed: bool,
    notify_failed: bool,
    /// Hours since which notifications can't be sent.
    notify_unsent: Option<i64>,
    /// Its cgroups are of version 1.
    cgroup_v1: bool,
    /// Free hundredths of its disk.
    disk_free: Option<u64>,
    /// Free MB of its disk.
    room: Option<u64>,
    /// Ports that other programs listen at, and their names.
    ports: BTreeMap<u16, String>,
    apt_lock: Option<String>,
    dpkg_half: Vec<String>,
    read_only: Vec<String>,
    /// What smartctl says of its disks, by their names.
    smart: BTreeMap<String, String>,
    /// Files of kubeadm that can't be read any more.
    damaged: Vec<String>,
    /// That etcd was made with.
    etcd_address: Option<String>,
    /// By program.
    last_words: BTreeMap<String, String>,
    /// Seconds since the epoch.
    joined_at: Option<i64>,
    missing: Vec<String>,
    /// In the certificate of its API server.
    api_names: Vec<String>,
    etcd_data: bool,
    /// Folders that films go through, where they are more than just there for their owner.
    shares: BTreeMap<String, String>,
    /// The step that works on it, for so many seconds.
    lock: BTreeMap<String, i64>,
    /// The disk that its system is on.
    system: Option<SystemDeviation>,
    /// As `lock`, of a hostler that was cut.
    lock_left_behind: BTreeMap<String, i64>,
}

/// A system on a disk of 500 GB, beside an ESP and a data partition.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct SystemDeviation {
    /// By the order of the case's goal.
    installed: bool,
    /// By another order of the same image.
    of_image: bool,
    /// On SATA, at this port.
    port: Option<u32>,
    /// GB at which the data partition begins.
    data_at: Option<u64>,
    several_data: bool,
    /// MB that are free on its EFI system partition, which is mounted.
    esp: Option<u64>,
    /// Others than root can read that.
    esp_open: bool,
    /// What is kept, and is on the data partition.
    on_data: BTreeSet<String>,
    /// Not by UEFI.
    bios: bool,
    other_host_key: bool,
    layered: bool,
    /// GB.
    size: Option<u64>,
    /// It has another disk in it.
    second_disk: bool,
    without_data: bool,
    /// What is kept, and is on a partition that is erased.
    erased: BTreeSet<String>,
    /// What is kept, and is on disks that are not known.
    unknown: BTreeSet<String>,
}

const HOST_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1lfXZ0ajZUc6sVzpdXDKhNtDzhVFUaYjFk0j2kLhXh";
/// Of that key.
pub(super) const FINGERPRINT: &str = "SHA256:Kt/7O/ezjZ2GST0DhGk2KXf/QxK7TmFgB94hNmB2TcA";

impl SystemDeviation {
    pub(super) fn facts(&self) -> SystemFacts {
        let part = |name: &str, start, size, kind: &str, mounted: &str| SystemPartition {
            name: name.to_owned(),
            start,
            size,
            kind: kind.to_owned(),
            mounted: mounted.to_owned(),
        };
        let partition = installed_name(match (self.installed, self.of_image) {
            (true, _) => "0123456789abcdef",
            (_, true) => "0123456776543210",
            _ => "fedcba9876543210",
        });
        let data_at = self.data_at.unwrap_or(64) * 1_000_000_000;
        let mut partitions = vec![
            part("hostler-esp", 1 << 20, 536_870_912, "vfat", "/boot/efi"),
            part(&partition, 537_919_488, 63_463_129_088, "ext4", "/"),
        ];
        for _ in 0..if self.several_data { 2 } else { usize::from(!self.without_data) } {
            partitions.push(part("hostler-data", data_at, 436_000_000_000, "ext4", "/srv"));
        }
        let disk = SystemDisk {
            name: "nvme0n1".to_owned(),
            size: self.size.unwrap_or(500) * 1_000_000_000,
            devices: "/sys/devices/pci0000:00/0000:00:1d.0/0000:01:00.0/nvme/nvme0/nvme0n1".to_owned(),
            serial: Some("S4EWNX0R123456".to_owned()),
            wwid: Some("eui.0025385b01234567".to_owned()),
            partitions,
            ..SystemDisk::default()
        };
        let disk = match self.port {
            Some(port) => SystemDisk {
                name: "sda".to_owned(),
                devices: "/sys/devices/pci0000:00/0000:00:17.0/ata3/host2/target2:0:0/2:0:0:0/block/sda".to_owned(),
                port: Some(port),
                ..disk
            },
            None => disk,
        };
        SystemFacts {
            uefi: !self.bios,
            host_key: if self.other_host_key { HOST_KEY.replace("LhXh", "LhXi") } else { HOST_KEY.to_owned() },
            partition,
            layered: self.layered,
            disks: std::iter::repeat_n(disk, if self.second_disk { 2 } else { 1 }).collect(),
            esp: self.esp.map(|free| EspFact { mounted: "/boot/efi".to_owned(), free: free * 1_000_000, private: !self.esp_open }),
            erased: self.erased.clone(),
            on_data: self.on_data.clone(),
            unknown: self.unknown.clone(),
        }
    }
}

impl MachineDeviation {
    pub(super) fn apply(&self, facts: &mut Facts) {
        if self.reinstalled {
            *facts = blank();
        }
        facts.system = self.system.as_ref().map(SystemDeviation::facts).or_else(|| facts.system.take());
        let set = |place: &mut String, value: &Option<String>| {
            if let Some(value) = value {
                place.clone_from(value);
            }
        };
        if let Some(arch) = &self.arch {
            (facts.arch, facts.machine) = (Arch::parse(arch), arch.clone());
        }
        set(&mut facts.hostname, &self.hostname);
        set(&mut facts.hostname_at_boot, &self.hostname_at_boot);
        facts.systemd = self.systemd.unwrap_or(facts.systemd);
        facts.memory = self.memory.map_or(facts.memory, |mb| mb * 1024);
        facts.fsync = self.fsync.map(|ms| ms * 1000).or(facts.fsync);
        facts.nameservers = self.nameservers.clone().unwrap_or_else(|| facts.nameservers.clone());
        facts.swap.extend(self.swap.iter().cloned());
        facts.swap_at_boot.extend(self.swap_at_boot.iter().cloned());
        facts.modules.retain(|module| !self.unloaded.contains(module));
        facts.sysctls.extend(self.sysctls.clone());
        facts.hosts = self.hosts.clone().unwrap_or_else(|| facts.hosts.clone());
        facts.endpoint_elsewhere.extend(self.endpoint_elsewhere.iter().copied());
        facts.other_commands.extend(self.other_commands.iter().cloned());
        facts.clock += self.clock;
        facts.clock_ahead = Some(self.clock);
        facts.clock_synchronized = self.clock_synchronized.unwrap_or(facts.clock_synchronized);
        facts.programs.extend(self.programs.iter().cloned());
        facts.resolved_nameservers.extend(self.resolved_nameservers.iter().cloned());
        facts.own_nameservers = self.own_nameservers.clone().or(facts.own_nameservers.take()).filter(|_| !self.no_own_resolv_conf);
        facts.cloud_user_data |= self.cloud_user_data;
        facts.uptime = facts.uptime.max(self.uptime);
        if self.rebooted {
            restart(facts);
        }
        for (by, hours) in &self.reboot_due {
            facts.reboot_due = Some(RebootDue { since: facts.clock - hours * 60 * 60, by: by.clone() });
        }
        if let Some(seconds) = self.kubelet_started {
            facts.uptime = facts.uptime.max(seconds);
            let entered = Some(facts.uptime - seconds);
            facts.units.entry(hostler_core::protocol::systemd::KUBELET.to_owned()).and_modify(|unit| unit.entered = entered);
        }
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
        if let Some(days) = self.certificates.get("kubelet-server") {
            let year = 365 * 24 * 60 * 60;
            let ends = facts.clock + days * 24 * 60 * 60;
            facts.kubernetes.serving = facts.kubernetes.serving.map(|_| Validity { begins: ends - year, ends });
        }
        if self.uncertified {
            facts.kubernetes.serving = None;
            facts.kubernetes.certificates.remove("kubelet-server");
        }
        facts.snapshot = self.snapshot.map(|hours| facts.clock - hours * 60 * 60).or(facts.snapshot);
        facts.snapshots_since = self.snapshots_since.map(|hours| facts.clock - hours * 60 * 60).or(facts.snapshots_since);
        facts.snapshot_failed |= self.snapshot_failed;
        let copied = |hours: i64| if hours < 0 { 0 } else { facts.clock - hours * 60 * 60 };
        facts.snapshot_copied = self.snapshot_copied.map(copied).or(facts.snapshot_copied);
        facts.snapshot_copy_failed |= self.snapshot_copy_failed;
        facts.renewal_failed |= self.renewal_failed;
        facts.notify_failed |= self.notify_failed;
        facts.notify_unsent = self.notify_unsent.map(|hours| facts.clock - hours * 60 * 60).or(facts.notify_unsent);
        facts.cgroup_v1 |= self.cgroup_v1;
        if let Some(percent) = self.disk_free {
            (facts.disk_size, facts.disk_free) = (100 << 20, percent << 20);
        }
        if let Some(room) = self.room {
            (facts.disk_size, facts.disk_free) = (100 << 20, room << 10);
        }
        facts.macs.extend(self.macs.iter().cloned());
        facts.vip_answers = self.vip_answers.as_deref().map(AtVip::parse);
        facts.vtep_mac = self.vtep_mac.clone().or(facts.vtep_mac.take());
        facts.addresses.extend(self.addresses.iter().cloned());
        for network in &self.networks {
            facts.networks.insert(network.parse().expect("a network"));
        }
        facts.ports.extend(self.ports.clone());
        facts.apt_lock.clone_from(&self.apt_lock);
        facts.dpkg_half.clone_from(&self.dpkg_half);
        facts.read_only.extend(self.read_only.iter().cloned());
        facts.disks.extend(self.smart.iter().filter_map(|(disk, said)| Some((disk.clone(), disk::faults(said)?))));
        facts.kubernetes.server = self.kubelet_server.clone().or(facts.kubernetes.server.take());
        facts.kubernetes.joined_at = self.joined_at;
        facts.kubernetes.etcd_address.clone_from(&self.etcd_address);
        facts.kubernetes.last_words.extend(self.last_words.clone());
        facts.kubernetes.damaged.clone_from(&self.damaged);
        facts.kubernetes.missing.clone_from(&self.missing);
        facts.kubernetes.api_names.extend(self.api_names.iter().cloned());
        facts.kubernetes.etcd_data |= self.etcd_data;
        facts.api_denied |= self.api_denied;
        facts.kubernetes.silent.extend(self.silent.iter().copied());
        facts.drop_ins.extend(self.drop_ins.iter().cloned());
        facts.kubernetes.cni = self.cni.clone().or(facts.kubernetes.cni.take());
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
            match (InProgress::parse(name), Applied::parse(name), value) {
                (Some(mark), _, Some(_)) => drop(facts.in_progress.insert(mark)),
                (Some(mark), _, None) => drop(facts.in_progress.remove(&mark)),
                (_, Some(applied), Some(value)) => drop(facts.applied.insert(applied, value.clone())),
                (_, Some(applied), None) => drop(facts.applied.remove(&applied)),
                (None, None, _) => panic!("nothing is recorded as {name}"),
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
        facts.resolved.extend(self.resolved.clone());
        if self.others_containerd {
            facts.containerd_pieces = None;
        }
        if let Some(server) = self.other_cluster.as_ref().or(self.other_control_plane.as_ref()) {
            facts.kubernetes.control_plane = self.other_control_plane.is_some();
            facts.kubernetes.node = Some("cherry".to_owned());
            facts.kubernetes.joined = true;
            facts.kubernetes.ca = Some(ANOTHER.to_owned());
            facts.kubernetes.server = Some(server.clone());
        }
    }
}
