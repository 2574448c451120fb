//! Parses the output of `templates/facts.sh` to [`Facts`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

use super::certificate::{self, Certificate, Validity};
use super::cluster::Answers;
use super::{
    AtVip, BeforeUpgrade, EspFact, Facts, FileFact, ImageFact, LockFact, OwnService, RebootDue, RenderNode, RequestedApi, ShareFact,
    ShareState, SystemDisk, SystemFacts, SystemPartition, UnitFact, is_boot, last_words,
};
use crate::arch::Arch;
use crate::kubeadm_files::is_written;
use crate::protocol::{path, say, systemd};
use crate::record::{Applied, InProgress};
use crate::visible::shortened;

const START: &str = say::FACTS_BEGIN;
const END: &str = say::FACTS_END;

/// The end of the year 9999: what a clock says beyond that can't be, and must not overflow.
const LAST_SECOND: i64 = 253_402_300_799;

#[derive(Debug, thiserror::Error)]
#[error("line {line} of the facts is not valid: {what}")]
pub struct FactsError {
    /// Counted from 1 in the whole output, including noise.
    pub line: usize,
    pub what: String,
}

/// Parses the output of `templates/facts.sh`. Lines before its first mark are noise; unknown keys are skipped.
///
/// # Errors
/// The output is truncated, of another version, or has an invalid value: the line and the error.
pub fn parse(output: &str) -> Result<Facts, FactsError> {
    let mut lines = output.lines().enumerate().map(|(index, line)| (index + 1, line.trim_end_matches('\r')));
    match lines.find(|(_, line)| line.starts_with("hostler-facts ")) {
        Some((_, START)) => {}
        Some((line, mark)) => {
            return Err(FactsError {
                line,
                what: format!("`{}` is not `{START}`: the facts come from a different version of hostler", shortened(mark, 60)),
            });
        }
        None => return Err(FactsError { line: output.lines().count(), what: format!("`{START}` is missing") }),
    }
    let mut reader = Reader::default();
    let mut last = 0;
    for (number, line) in lines {
        if line == END {
            return Ok(reader.finish());
        }
        reader.line(line).map_err(|what| FactsError { line: number, what })?;
        last = number;
    }
    Err(FactsError { line: last.max(1), what: "the output is truncated after this line".to_owned() })
}

/// The facts so far, and values that must be combined at the end.
#[derive(Default)]
struct Reader<'a> {
    facts: Facts,
    answers: Answers<'a>,
    control_plane: bool,
    /// All units by Id: properties as `systemctl show` names them.
    units: BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>,
    /// CA of /etc/kubernetes/pki/ca.crt, and of kubelet.conf.
    ca: [Option<String>; 2],
    /// Names of the keys of those CAs.
    authorities: BTreeSet<String>,
    /// kubelet's serving certificate, and the name of the key that signed it.
    serving: Option<(Validity, String)>,
    /// Node by kubelet's client certificate, and by the user in kubelet.conf.
    node: [Option<String>; 2],
}

/// The certificate that the API server presents.
const API_SERVER: &str = "apiserver";

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str) -> Result<(), String> {
        let mut words = line.split('\t');
        let key = words.next().unwrap_or_default();
        let mut fields = Fields { key, words };
        let facts = &mut self.facts;
        match key {
            "clock" => facts.clock = fields.number::<i64>()?.clamp(0, LAST_SECOND),
            "machine" => {
                facts.machine = fields.text()?;
                facts.arch = Arch::of_kernel(&facts.machine);
            }
            "hostname" => facts.hostname = fields.text()?,
            "hostname-at-boot" => facts.hostname_at_boot = fields.text()?,
            "container" => facts.container = Some(fields.text()?),
            "systemd" => facts.systemd = true,
            "cgroup-v1" => facts.cgroup_v1 = true,
            // Millidegrees; a sensor that is not connected reports nonsense.
            "temperature" => {
                let degrees = fields.number::<i32>()? / 1000;
                if (1..150).contains(&degrees) {
                    facts.temperature = facts.temperature.max(Some(degrees));
                }
            }
            "mac" => drop(facts.macs.insert(fields.word()?.to_lowercase())),
            "vip-answers" => facts.vip_answers = Some(AtVip::parse(fields.rest(line))),
            "vtep-mac" => facts.vtep_mac = Some(fields.word()?.to_lowercase()),
            "disk" => {
                let [block, all, free]: [u64; 3] = [fields.number()?, fields.number()?, fields.number()?];
                facts.disk_size = all.saturating_mul(block) / 1024;
                facts.disk_free = free.saturating_mul(block) / 1024;
            }
            "os" => match fields.word()? {
                "ID" => facts.os = fields.text()?,
                "PRETTY_NAME" => facts.os_name = fields.text()?,
                _ => {}
            },
            "host" => facts.hosts.push(fields.text()?),
            "other-host" => {
                let known = facts.endpoint_elsewhere.len() < MOST_HOSTS;
                facts.endpoint_elsewhere.extend(fields.word()?.parse::<IpAddr>().ok().filter(|_| known));
            }
            "other-command" => {
                let command = fields.word()?;
                let known = facts.other_commands.len() < MOST_COMMANDS && command.starts_with("/usr/local/bin/");
                facts.other_commands.extend(known.then(|| command.to_owned()));
            }
            "nameserver" => facts.nameservers.push(fields.text()?),
            "own-resolv-conf" => drop(facts.own_nameservers.get_or_insert_default()),
            "own-nameserver" => facts.own_nameservers.get_or_insert_default().push(fields.text()?),
            "resolved-nameserver" => facts.resolved_nameservers.push(fields.text()?),
            "cloud-user-data" => facts.cloud_user_data = true,
            "cni" => facts.kubernetes.cni = Some(fields.text()?),
            "silent" => facts.kubernetes.silent.extend(fields.word()?.parse::<IpAddr>().ok()),
            "delays-shutdown" => facts.delays_shutdown = true,
            "swap" => facts.swap.push(fields.text()?),
            "mount" => facts.mounts.push(fields.text()?),
            "resolved" => drop(facts.resolved.insert(fields.text()?, fields.text()?)),
            "containerd-pieces" => facts.containerd_pieces = Some(fields.word()?.split_whitespace().map(str::to_owned).collect()),
            "swap-at-boot" => facts.swap_at_boot.push(fields.text()?),
            "memory" => facts.memory = fields.number()?,
            "memory-available" => facts.memory_available = fields.number()?,
            "uptime" => facts.uptime = fields.number()?,
            "boot" => facts.boot = fields.word().map(|boot| if is_boot(boot) { boot.to_owned() } else { String::new() })?,
            "reboot-due" => {
                let since = fields.number::<i64>()?.clamp(0, LAST_SECOND);
                // The first one that is said has been due the longest, or is the system's own word.
                facts.reboot_due.get_or_insert(RebootDue { since, by: fields.word()?.trim().to_owned() });
            }
            "load" => facts.load = fields.text()?,
            "cpus" => facts.cpus = fields.number()?,
            "address" => drop(facts.addresses.insert(fields.text()?)),
            "address-hex" => drop(facts.addresses.insert(Ipv6Addr::from(fields.hexadecimal::<u128>(u128::from_str_radix)?).to_string())),
            "network-hex" => drop(facts.networks.insert(fields.network()?)),
            "port" => {
                let port = fields.number()?;
                let name = fields.text()?;
                let known = facts.ports.entry(port).or_default();
                if known.is_empty() {
                    *known = name;
                }
            }
            "port-hex" => drop(facts.ports.entry(fields.hexadecimal(u16::from_str_radix)?).or_default()),
            "module" => drop(facts.modules.insert(fields.text()?)),
            "program" => drop(facts.programs.insert(fields.text()?)),
            "sysctl" => drop(facts.sysctls.insert(fields.text()?, fields.text()?)),
            "set" => drop(facts.sets.insert(fields.text()?)),
            "before-upgrade" => {
                let (set, since) = (fields.text()?, fields.number()?);
                let kept: Vec<&str> = fields.word()?.split(',').collect();
                facts.before_upgrade = Some(BeforeUpgrade { set, since, etcd: kept.contains(&"etcd"), back: kept.contains(&"back") });
            }
            "link" => drop(facts.links.insert(fields.text()?, fields.text()?)),
            "file" => {
                let path = fields.text()?;
                let (mode, owner, sha256) = (fields.text()?, fields.text()?, fields.text()?);
                facts.files.insert(path, FileFact { sha256, mode, owner });
            }
            "sha256" => {
                let (path, sha256) = (fields.word()?, fields.word()?);
                if let Some(file) = facts.files.get_mut(path) {
                    file.sha256 = sha256.to_owned();
                }
            }
            "smart" => {
                let (disk, report) = (fields.word()?, fields.text()?);
                facts.disks.extend(super::disk::faults(&report).filter(|_| is_disk_name(disk)).map(|faults| (disk.to_owned(), faults)));
            }
            "fsync" => facts.fsync = Some(fields.number()?),
            "share" => {
                let path = fields.text()?;
                let state = match fields.word()? {
                    "writable" => ShareState::Writable,
                    "read-only" => ShareState::ReadOnly,
                    "hangs" => ShareState::Hangs,
                    _ => ShareState::Missing,
                };
                let mut share = ShareFact { state, ..ShareFact::default() };
                if matches!(state, ShareState::Writable | ShareState::ReadOnly) {
                    (share.owner, share.mode) = (fields.text()?, fields.text()?);
                    let (block, free) = (fields.number::<u64>()?, fields.number::<u64>()?);
                    share.free = block.saturating_mul(free) / 1024;
                }
                facts.shares.insert(path, share);
            }
            "render-node" => {
                let words: Vec<&str> = fields.words.by_ref().take(5).collect();
                let known = facts.render_nodes.len() < RenderNode::MOST;
                facts.render_nodes.extend(RenderNode::parse(&words).filter(|_| known));
            }
            "system" | "system-disk" | "system-esp" | "system-part" | "system-keep" | "system-keep-data" | "system-keep-unknown" => {
                system(facts.system.get_or_insert_default(), fields)?
            }
            "snapshot" => facts.snapshot = Some(fields.number()?),
            "snapshots-unread" => facts.snapshots_unread = true,
            "snapshots-since" => facts.snapshots_since = Some(fields.number()?),
            "snapshot-failed" => facts.snapshot_failed = true,
            "snapshot-copied" => facts.snapshot_copied = Some(fields.number()?),
            "snapshot-copy-failed" => facts.snapshot_copy_failed = true,
            "renewal-failed" => facts.renewal_failed = true,
            "undecided" => facts.undecided.extend(OwnService::parse(fields.word()?)),
            "notify-failed" => facts.notify_failed = true,
            "notify-unsent" => facts.notify_unsent = Some(fields.number()?),
            "apt-lock" => facts.apt_lock = Some(format!("{}, process {}", fields.word()?, fields.word()?)),
            "dpkg-half" => facts.dpkg_half.push(fields.text()?),
            "read-only" => drop(facts.read_only.insert(fields.text()?)),
            "time-zone" => facts.time_zone = fields.word().map(|zone| if is_time_zone(zone) { zone.to_owned() } else { String::new() })?,
            "unit" | "other-unit" => self.unit(key == "unit", fields)?,
            "clock-synchronized" => facts.clock_synchronized = true,
            "other-program" => facts.foreign.push(fields.text()?),
            "etcd-address" => facts.kubernetes.etcd_address = Some(fields.text()?),
            "words" => drop(facts.kubernetes.last_words.insert(fields.text()?, last_words::sentence(&fields.text()?))),
            "joined" => facts.kubernetes.joined = true,
            "joined-at" => facts.kubernetes.joined_at = Some(fields.number()?),
            "control-plane" => self.control_plane = true,
            "damaged" | "missing" => self.file(fields)?,
            "etcd-data" => facts.kubernetes.etcd_data = true,
            "leftover" => facts.kubernetes.leftovers.push(fields.text()?),
            "certificate" | "client-certificate" | "authority" | "server" | "context" => self.kubernetes(fields)?,
            "applied" => {
                let (name, value) = (fields.text()?, fields.text()?);
                facts.in_progress.extend(InProgress::parse(&name));
                facts.applied.extend(Applied::parse(&name).map(|name| (name, value)));
            }
            "lock" => {
                let (run, step, since) = (fields.text()?, fields.text()?, fields.number()?);
                facts.lock.get_or_insert(LockFact { run, step, since, left_behind: false });
            }
            "image" => {
                let (reference, digest, pinned) = (fields.text()?, fields.text()?, fields.word()? == "pinned");
                facts.images.insert(reference, ImageFact { digest, pinned });
            }
            "api-version" => self.answers.version = fields.rest(line),
            "api-nodes" => self.answers.nodes = fields.rest(line),
            "api-system" => self.answers.system = fields.rest(line),
            "api-films" => self.answers.films = fields.rest(line),
            "api-flannel" => self.answers.flannel = Some(fields.rest(line)),
            "api-cluster" => self.answers.cluster = fields.rest(line),
            "api-events" => self.answers.events = fields.rest(line),
            "requested" => self.answers.requested.extend(RequestedApi::parse(fields.word()?, fields.word()?, fields.word()?)),
            "requests-unread" => self.answers.requests_unread = true,
            "api-kubelet-requests" => self.answers.kubelet_requests = fields.rest(line),
            "etcd-list" => self.answers.members = fields.rest(line),
            "etcd-health" => self.answers.health = fields.rest(line),
            _ => {}
        }
        Ok(())
    }

    /// `Id=containerd.service`, `ActiveState=active`, ...
    fn unit(&mut self, asked: bool, fields: Fields<'a>) -> Result<(), String> {
        let properties: BTreeMap<&str, &str> = fields.words.filter_map(|property| property.split_once('=')).collect();
        let id = *properties.get("Id").ok_or("a unit has no `Id`")?;
        let is = |name: &str, value: &str| properties.get(name) == Some(&value);
        if asked {
            let enabled = is("UnitFileState", "enabled");
            let (active, needs_reload) = (is("ActiveState", "active"), is("NeedDaemonReload", "yes"));
            let entered = properties.get("ActiveEnterTimestampMonotonic").and_then(|microseconds| microseconds.parse::<u64>().ok());
            let entered = entered.filter(|microseconds| *microseconds > 0).map(|microseconds| microseconds / 1_000_000);
            // Those for all units of a type are the system's.
            let own = format!("/{id}.d/");
            let drop_ins = properties.get("DropInPaths").into_iter().flat_map(|paths| paths.split_whitespace());
            self.facts.drop_ins.extend(drop_ins.filter(|path| path.contains(&own)).map(str::to_owned));
            let unit = UnitFact { active, enabled, needs_reload, entered };
            self.facts.units.insert(id.to_owned(), unit);
        }
        self.units.insert(id, properties);
        Ok(())
    }

    /// A file that is damaged or missing, if it is one that kubeadm or kubelet writes: another one is its owner's, whatever the machine says.
    fn file(&mut self, mut fields: Fields<'a>) -> Result<(), String> {
        let file = fields.word()?;
        let kubernetes = &mut self.facts.kubernetes;
        if fields.key == "damaged" && is_written(file, self.control_plane) {
            kubernetes.damaged.push(file.to_owned());
        }
        // etcd writes its data itself.
        let data = || self.control_plane && file.strip_prefix(path::ETCD) == Some("/member");
        if fields.key == "missing" && (is_written(file, self.control_plane) || data()) {
            kubernetes.missing.push(file.to_owned());
        }
        Ok(())
    }

    fn kubernetes(&mut self, mut fields: Fields<'a>) -> Result<(), String> {
        let kubernetes = &mut self.facts.kubernetes;
        match fields.key {
            "server" => kubernetes.server = Some(fields.text()?),
            // system:node:NAME@CLUSTER; a node that joined with a token has `default-context`, and its name only in the certificate.
            "context" => {
                let user = fields.word()?.split('@').next().unwrap_or_default();
                self.node[1] = user.strip_prefix("system:node:").map(str::to_owned);
            }
            "authority" => {
                let authority = Certificate::from_base64_pem(fields.word()?);
                self.authorities.extend(authority.iter().map(|certificate| certificate.key.clone()));
                self.ca[1] = authority.map(|certificate| certificate.public_key_sha256);
            }
            key => {
                let path = fields.word()?;
                let text = fields.word()?;
                if !is_written(path, self.control_plane) {
                    return Ok(());
                }
                let certificate =
                    if key == "certificate" { Certificate::from_base64_der(text) } else { Certificate::from_base64_pem(text) };
                let Some(certificate) = certificate else {
                    // Damaged files must not make all facts fail: the planner decides what to do about them.
                    if !kubernetes.damaged.iter().any(|known| known == path) {
                        kubernetes.damaged.push(path.to_owned());
                    }
                    return Ok(());
                };
                let name = certificate::name(path);
                if name == super::KUBELET_CLIENT {
                    self.node[0] = certificate.common_name.strip_prefix("system:node:").map(str::to_owned);
                }
                if name == API_SERVER {
                    kubernetes.api_names = certificate.names;
                }
                if name == "ca" {
                    // The first one in the file, as in kubeadm.
                    self.ca[0].get_or_insert(certificate.public_key_sha256);
                    self.authorities.insert(certificate.key);
                }
                if name == super::KUBELET_SERVER {
                    let validity = Validity { begins: certificate.begins, ends: certificate.ends };
                    self.serving.get_or_insert((validity, certificate.signed_by));
                }
                // Of several in a file the one that ends first.
                if kubernetes.certificates.get(&name).is_none_or(|ends| certificate.ends < *ends) {
                    kubernetes.lives.insert(name.clone(), certificate.ends.saturating_sub(certificate.begins));
                    kubernetes.certificates.insert(name, certificate.ends);
                }
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Facts {
        let mut facts = self.facts;
        let swap_units = ["zramswap.service", "zram-config.service", "dphys-swapfile.service"];
        let state = |unit: &str, property: &str| self.units.get(unit).and_then(|unit| unit.get(property)).copied().unwrap_or_default();
        let active = |unit: &str| matches!(state(unit, "ActiveState"), "active" | "activating" | "reloading");
        facts.swap_at_boot.extend(swap_units.into_iter().filter(|unit| state(unit, "UnitFileState") == "enabled").map(str::to_owned));
        let others = self.units.keys().filter(|unit| {
            ["k3s", "rke2-", "k0s", "snap.microk8s"].iter().any(|start| unit.starts_with(start)) && state(unit, "LoadState") == "loaded"
        });
        facts.foreign.extend(others.map(|unit| (*unit).to_owned()));
        let containerd = systemd::CONTAINERD;
        if active(containerd) && !state(containerd, "ExecStart").contains(path::ROOT) {
            facts.foreign.push(match active("docker.service") {
                true => "docker's containerd".to_owned(),
                false => format!("containerd from {}", state(containerd, "FragmentPath")),
            });
        }
        let [by_file, by_kubeconfig] = self.ca;
        facts.kubernetes.ca = by_file.or(by_kubeconfig);
        let [by_certificate, by_context] = self.node;
        facts.kubernetes.node = by_certificate.or(by_context);
        facts.kubernetes.control_plane = self.control_plane;
        let authorities = self.authorities;
        facts.kubernetes.serving = self.serving.filter(|(_, by)| authorities.contains(by)).map(|(validity, _)| validity);
        if self.control_plane {
            facts.api_denied = self.answers.denied();
            match self.answers.facts(facts.clock) {
                Ok(cluster) => facts.cluster = Some(cluster),
                Err(reason) => facts.api_down = Some(reason),
            }
        }
        self.units.clear();
        facts
    }
}

/// `aa:bb:cc:dd:ee:ff`
pub(super) fn is_mac(text: &str) -> bool {
    text.split(':').count() == 6 && text.split(':').all(|byte| byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

fn is_disk_name(name: &str) -> bool {
    (1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Addresses that are read of those that /etc/hosts gives the endpoint.
const MOST_HOSTS: usize = 8;
/// Files that are read of those that are called as hostler's programs: more than there are programs.
const MOST_COMMANDS: usize = 64;

/// A machine with more disks below its system, or more partitions on one of them, is not believed.
const MOST_PARTS: usize = 128;

fn system(system: &mut SystemFacts, mut fields: Fields) -> Result<(), String> {
    let some = |text: String| (!text.is_empty()).then_some(text);
    match fields.key {
        "system" => {
            system.uefi = fields.word()? == "uefi";
            system.partition = fields.text()?;
            system.layered = fields.word()? != "part";
            // Without the comment.
            system.host_key = fields.word()?.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        }
        "system-disk" if system.disks.len() < MOST_PARTS => {
            let (name, sectors): (_, u64) = (fields.text()?, fields.number()?);
            let (removable, read_only) = (fields.word()? != "0", fields.word()? != "0");
            let (devices, serial, wwid, card) = (fields.text()?, fields.text()?, fields.text()?, fields.text()?);
            let port = fields.text()?.parse().ok();
            let (size, partitions) = (sectors.saturating_mul(512), Vec::new());
            let (serial, wwid) = (some(serial), some(wwid));
            if !is_disk_name(&name) {
                return Ok(());
            }
            system.disks.push(SystemDisk { name, size, devices, removable, read_only, serial, wwid, card, port, partitions });
        }
        "system-esp" => {
            let (mounted, free, mode) = (fields.text()?, fields.number()?, fields.word()?);
            system.esp = Some(EspFact { mounted, free, private: mode == "700" });
        }
        "system-part" => {
            let disk = fields.word()?;
            let (name, size, kind, mounted) = (fields.text()?, fields.number()?, fields.text()?, fields.text()?);
            let start = fields.number::<u64>()?.saturating_mul(512);
            let disk = system.disks.iter_mut().find(|other| other.name == disk && other.partitions.len() < MOST_PARTS);
            disk.into_iter().for_each(|disk| {
                disk.partitions.push(SystemPartition { name: name.clone(), start, size, kind: kind.clone(), mounted: mounted.clone() });
            });
        }
        "system-keep" => drop(system.erased.insert(fields.text()?)),
        "system-keep-data" => drop(system.on_data.insert(fields.text()?)),
        "system-keep-unknown" => drop(system.unknown.insert(fields.text()?)),
        _ => {}
    }
    Ok(())
}

/// A name of the tz database, as the cluster gets it: `America/Argentina/Buenos_Aires`.
fn is_time_zone(zone: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte);
    zone.len() <= 64 && zone.split('/').all(|part| !part.is_empty() && part.bytes().all(plain))
}

/// The values of a line, in order.
struct Fields<'a> {
    key: &'a str,
    words: std::str::Split<'a, char>,
}

impl<'a> Fields<'a> {
    fn word(&mut self) -> Result<&'a str, String> {
        self.words.next().ok_or_else(|| format!("`{}` has no value", shortened(self.key, 60)))
    }

    fn text(&mut self) -> Result<String, String> {
        self.word().map(str::to_owned)
    }

    fn number<T: FromStr>(&mut self) -> Result<T, String> {
        let word = self.word()?;
        word.parse().map_err(|_| format!("`{}` is not a valid number for `{}`", shortened(word, 60), self.key))
    }

    fn hexadecimal<T>(&mut self, parse: fn(&str, u32) -> Result<T, std::num::ParseIntError>) -> Result<T, String> {
        let word = self.word()?;
        parse(word, 16).map_err(|_| format!("`{}` is not a valid hexadecimal number for `{}`", shortened(word, 60), self.key))
    }

    /// A network, as /proc/net/route has it (address and mask, each in the order of bytes of this kernel) or /proc/net/ipv6_route (address
    /// and prefix length).
    fn network(&mut self) -> Result<IpNet, String> {
        let (address, length) = (self.word()?, self.word()?);
        let number = |word| u32::from_str_radix(word, 16).ok();
        let network = if address.len() == 8 {
            let v4 = |word| number(word).map(|number| Ipv4Addr::from(number.swap_bytes()));
            v4(address).zip(v4(length)).and_then(|(address, mask)| IpNet::with_netmask(IpAddr::V4(address), IpAddr::V4(mask)).ok())
        } else {
            let v6 = u128::from_str_radix(address, 16).ok().map(Ipv6Addr::from);
            let length = number(length).and_then(|length| u8::try_from(length).ok());
            v6.zip(length).and_then(|(address, length)| IpNet::new(IpAddr::V6(address), length).ok())
        };
        network.ok_or_else(|| format!("`{}` is not a valid network for `{}`", shortened(address, 60), self.key))
    }

    /// Everything after the key.
    fn rest(&self, line: &'a str) -> &'a str {
        line.get(self.key.len() + 1..).unwrap_or_default()
    }
}
