//! What is done to one machine by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::{Act, File, Left, Outputs, Part, Payload, SecretFile, minutes};
use crate::arch::Arch;
use crate::protocol::{hosts, path, systemd};
use crate::quantity;
use crate::template::render;
use crate::words::{and, counted};

/// Install operating system packages with apt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstallPackages {
    pub packages: Vec<String>,
}

impl Act for InstallPackages {
    fn line(&self) -> String {
        format!("install {}", and(&self.packages))
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        render("machine/packages.sh", json!({ "packages": self.packages }))
    }

    fn limit(&self) -> Duration {
        minutes(15)
    }
}

/// Turn swap off, now and at every start: all that the machine has when the script runs, which may have come since the plan was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SwapOff {}

impl Act for SwapOff {
    fn line(&self) -> String {
        "turn swap off, now and after a reboot".to_owned()
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        render("machine/swap.sh", json!({}))
    }
}

/// Load kernel modules, now and at every start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadModules {
    pub modules: Vec<String>,
    pub file: File,
}

impl Act for LoadModules {
    fn line(&self) -> String {
        format!("load {}, now and after a reboot", and(&self.modules))
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        render("machine/modules.sh", json!({ "modules": self.modules, "file": payload.file(&self.file) }))
    }

    fn leaves(&self) -> Result<Vec<Left>> {
        Ok(vec![(&self.file).into()])
    }
}

/// Set kernel parameters, now and at every start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SetSysctls {
    pub file: File,
}

impl Act for SetSysctls {
    fn line(&self) -> String {
        format!("write {} and apply it", self.file.path)
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        render("machine/sysctls.sh", json!({ "file": payload.file(&self.file) }))
    }

    fn leaves(&self) -> Result<Vec<Left>> {
        Ok(vec![(&self.file).into()])
    }
}

/// Set the host name, now and at every start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SetHostname {
    pub name: String,
}

impl Act for SetHostname {
    fn line(&self) -> String {
        format!("set the host name to {}", self.name)
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        render("machine/hostname.sh", json!({ "name": self.name }))
    }

    fn leaves(&self) -> Result<Vec<Left>> {
        Ok(vec![Left::File { path: "/etc/hostname".to_owned(), content: format!("{}\n", self.name) }])
    }
}

/// cloud-init leaves the host name and /etc/hosts as they are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigureCloudInit {
    pub file: File,
}

impl Act for ConfigureCloudInit {
    fn line(&self) -> String {
        format!("write {}, so that cloud-init changes neither the host name nor {}", self.file.path, path::HOSTS)
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        let file = payload.file(&self.file);
        render("machine/cloud-init.sh", json!({ "file": file }))
    }

    fn leaves(&self) -> Result<Vec<Left>> {
        Ok(vec![Left::from(&self.file)])
    }
}

/// hostler's block in /etc/hosts: `ADDRESS NAME` lines.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WriteHosts {
    pub lines: Vec<String>,
}

impl Act for WriteHosts {
    fn line(&self) -> String {
        format!("write {} to {}", counted(self.lines.len(), "line"), path::HOSTS)
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        let block: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        render("machine/hosts.sh", json!({ "block": payload.content(block) }))
    }

    fn leaves(&self) -> Result<Vec<Left>> {
        let content = format!("{}\n{}\n{}\n", hosts::BEGIN, self.lines.join("\n"), hosts::END);
        Ok(vec![Left::File { path: path::HOSTS.to_owned(), content }])
    }
}

/// Have a time service keep the clock right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SynchronizeClock {}

impl Act for SynchronizeClock {
    fn line(&self) -> String {
        "install and start a time service".to_owned()
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        render("machine/clock.sh", json!({}))
    }
}

/// Send the programs the machine lacks, make a versioned set of all, and switch to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstallPrograms {
    /// Which bundle they are from.
    pub arch: Arch,
    /// The set's name: the Kubernetes version and a hash of what is in it.
    pub set: String,
    pub programs: Vec<Program>,
    pub missing: Vec<Program>,
}

/// A program of the bundle, and its place in a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Program {
    /// Below the set: `bin/kubelet`, `cni/bridge`.
    pub path: String,
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// What travels: programs of the same content once.
fn sent(missing: &[Program]) -> Vec<&Program> {
    let mut seen = BTreeSet::new();
    missing.iter().filter(|program| seen.insert(&program.sha256)).collect()
}

/// `4 programs (120 MB)`
fn sent_line(missing: &[Program]) -> String {
    let bytes = sent(missing).iter().map(|program| program.size).sum();
    format!("{} ({})", counted(missing.len(), "program"), quantity::size(bytes))
}

/// The set of `programs`, of which `missing` travel. `used`: it is also switched to.
fn set_of_programs(payload: &mut Payload, arch: Arch, set: &str, [programs, missing]: [&[Program]; 2], used: bool) -> Result<String> {
    let sent = sent(missing);
    for program in &sent {
        payload.push(Part::Stored { arch, sha256: program.sha256.clone(), size: program.size });
    }
    render("machine/programs.sh", json!({ "set": set, "programs": programs, "payload": sent, "use": used }))
}

/// Make a set of programs beside the one in use.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StagePrograms {
    pub arch: Arch,
    /// As of [`InstallPrograms`].
    pub set: String,
    pub programs: Vec<Program>,
    pub missing: Vec<Program>,
}

impl Act for StagePrograms {
    fn line(&self) -> String {
        format!("send {} for program set {}", sent_line(&self.missing), self.set)
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        set_of_programs(payload, self.arch, &self.set, [&self.programs, &self.missing], false)
    }

    fn limit(&self) -> Duration {
        minutes(30)
    }
}

impl Act for InstallPrograms {
    fn line(&self) -> String {
        if self.programs.is_empty() {
            return "send the bundle's programs and switch to them".to_owned();
        }
        if self.missing.is_empty() {
            return format!("switch to program set {}", self.set);
        }
        format!("send {} and switch to program set {}", sent_line(&self.missing), self.set)
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        set_of_programs(payload, self.arch, &self.set, [&self.programs, &self.missing], true)
    }

    fn limit(&self) -> Duration {
        minutes(30)
    }
}

/// Write configuration and units of `unit`, drop `stale` files, and (re)start it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigureUnit {
    pub unit: String,
    pub files: Vec<File>,
    pub stale: Vec<String>,
    /// Files that are not hostler's and are replaced: they are kept under another name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    pub restart: bool,
}

impl Act for ConfigureUnit {
    fn line(&self) -> String {
        if self.restart {
            format!("write the configuration of {}, and restart it", self.unit)
        } else {
            format!("write the unit {} and enable it", self.unit)
        }
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        let files: Vec<_> = self.files.iter().map(|file| payload.file(file)).collect();
        let (stale, others) = (&self.stale, &self.others);
        let context = json!({ "unit": self.unit, "files": files, "stale": stale, "others": others, "restart": self.restart });
        // containerd gets its old configuration back where it does not work with the new one.
        let template = if self.restart && self.unit == systemd::CONTAINERD { "machine/containerd.sh" } else { "machine/unit.sh" };
        render(template, context)
    }

    fn leaves(&self) -> Result<Vec<Left>> {
        Ok(self.files.iter().map(Left::from).collect())
    }
}

/// The timer of notifications, and where these go.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigureNotify {
    pub unit: String,
    pub files: Vec<File>,
    pub settings: SecretFile,
}

impl Act for ConfigureNotify {
    fn line(&self) -> String {
        format!("write the configuration of {}, and start it", self.unit)
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        // Before the units: what they start reads it.
        let files: Vec<_> = std::iter::once(self.settings.file()).chain(&self.files).map(|file| payload.file(file)).collect();
        let none: [&str; 0] = [];
        render("machine/unit.sh", json!({ "unit": self.unit, "files": files, "stale": none, "others": none, "restart": true }))
    }

    fn leaves(&self) -> Result<Vec<Left>> {
        Ok(self.files.iter().map(Left::from).collect())
    }
}

/// Start a unit that should run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StartUnit {
    pub unit: String,
}

impl Act for StartUnit {
    fn line(&self) -> String {
        format!("enable and start {}", self.unit)
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        render("machine/start.sh", json!({ "unit": self.unit }))
    }
}

/// Stop a unit for good, and take its files away.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DropUnit {
    pub unit: String,
    pub files: Vec<String>,
}

impl Act for DropUnit {
    fn line(&self) -> String {
        format!("stop {} and remove it", self.unit)
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        render("machine/drop-unit.sh", json!({ "unit": self.unit, "files": self.files }))
    }
}

/// Send images, import and pin them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportImages {
    /// Which bundle they are from.
    pub arch: Arch,
    pub images: Vec<ImageName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageName {
    pub reference: String,
    /// `sha256:...` of the image's manifest.
    pub digest: String,
}

impl Act for ImportImages {
    fn line(&self) -> String {
        format!("send, import and pin {}", counted(self.images.len(), "image"))
    }

    fn body(&self, payload: &mut Payload, _: Outputs) -> Result<String> {
        let references = self.images.iter().map(|image| image.reference.clone()).collect();
        payload.push(Part::Images { arch: self.arch, references });
        render("machine/images.sh", json!({ "images": self.images }))
    }

    fn limit(&self) -> Duration {
        minutes(30)
    }
}

/// `kubeadm reset`, and what that leaves. Nothing at or below a path of `keep`, and nothing on another file system.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wipe {
    pub keep: Vec<String>,
    /// Of what is wiped: paths that lead elsewhere, and where. Links stay, what they lead to is emptied.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, String>,
}

impl Act for Wipe {
    fn line(&self) -> String {
        let kept = if self.keep.is_empty() { String::new() } else { format!("; keep {}", and(&self.keep)) };
        let links: String =
            self.links.iter().map(|(path, real)| format!("; {path} is a symbolic link: the contents of {real} are deleted")).collect();
        format!("run kubeadm reset, then delete what it leaves behind{kept}{links}")
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        let links: Vec<_> = self.links.iter().map(|(path, real)| json!({ "path": path, "real": real })).collect();
        render("machine/wipe.sh", json!({ "keep": self.keep, "links": links }))
    }

    fn limit(&self) -> Duration {
        minutes(10)
    }

    fn destroys(&self) -> bool {
        true
    }
}
