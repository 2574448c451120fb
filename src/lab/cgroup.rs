//! Separate cgroups for each machine, on computers with cgroup v1, v2, or both. Otherwise all machines would share one tree, and their
//! kubelets would see each other's pods.
//!
//! Only groups named `lab` and groups below them are created or removed; limits of other groups are never changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::mounts::{self, Mount};
use super::{name, wait};

const ROOT: &str = "/sys/fs/cgroup";
const GROUP: &str = "lab";
/// Controllers that kubelet needs in a machine's group (v2).
const CONTROLLERS: [&str; 5] = ["+cpu", "+cpuset", "+io", "+memory", "+pids"];

/// The cgroup setup of this computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hierarchy {
    /// cgroup v1, or v1 with a v2 tree without controllers: the mount points of all trees. A machine needs its own group in each.
    Separate(Vec<PathBuf>),
    /// cgroup v2 only, managed by systemd: a machine is a service with a delegated group.
    Systemd,
    /// cgroup v2 only, without systemd.
    Unified,
}

impl Hierarchy {
    /// That of this computer.
    pub fn detect() -> Result<Hierarchy> {
        // sd_booted(3): this folder means that systemd is the computer's init.
        Ok(Hierarchy::from_mounts(&mounts::all()?, Path::new("/run/systemd/system").is_dir()))
    }

    fn from_mounts(mounts: &[Mount], systemd: bool) -> Hierarchy {
        let root = Path::new(ROOT);
        // The last mount on a mount point is the visible one.
        if mounts.iter().rev().find(|mount| mount.point == root).is_some_and(|mount| mount.kind == "cgroup2") {
            return if systemd { Hierarchy::Systemd } else { Hierarchy::Unified };
        }
        let trees = mounts.iter().filter(|mount| mount.kind.starts_with("cgroup") && mount.point.starts_with(root));
        Hierarchy::Separate(trees.map(|mount| mount.point.clone()).collect())
    }

    /// Whether machines see cgroup v1, which kubelet and kubeadm accept only with special settings.
    pub fn is_v1(&self) -> bool {
        matches!(self, Hierarchy::Separate(_))
    }

    /// The groups named `lab`; none if systemd manages the machine's group.
    fn lab_groups(&self) -> Vec<PathBuf> {
        match self {
            Hierarchy::Separate(trees) => trees.iter().map(|tree| tree.join(GROUP)).collect(),
            Hierarchy::Unified => vec![Path::new(ROOT).join(GROUP)],
            Hierarchy::Systemd => Vec::new(),
        }
    }

    /// Creates a machine's groups and returns them. Leftovers of an earlier run of the machine are removed first.
    pub async fn make(&self, machine: &str) -> Result<Vec<PathBuf>> {
        let mut groups = Vec::new();
        for lab in self.lab_groups() {
            let group = lab.join(name::of_machine(machine));
            remove_tree(&group).await?;
            create(&lab)?;
            if *self == Hierarchy::Unified {
                delegate(Path::new(ROOT))?;
                delegate(&lab)?;
            }
            inherit_cpuset(&lab)?;
            create(&group)?;
            groups.push(group);
        }
        Ok(groups)
    }

    /// Processes in these machines' groups.
    pub fn processes(&self, machines: &[&str]) -> Vec<i32> {
        let mut found = Vec::new();
        for lab in self.lab_groups() {
            for machine in machines {
                collect_processes(&lab.join(name::of_machine(machine)), &mut found);
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Lets frozen processes of these machines run, so that they can end: on cgroup v1 a frozen process does not even obey SIGKILL. runc freezes
    /// a container for a moment; if runc is killed in that moment, the container stays frozen. Errors are ignored: groups come and go meanwhile.
    pub fn thaw(&self, machines: &[&str]) {
        for lab in self.lab_groups() {
            for machine in machines {
                thaw(&lab.join(name::of_machine(machine)));
            }
        }
    }

    /// Removes the groups of these machines, then `lab` if it is empty.
    pub async fn remove(&self, machines: &[&str]) -> Result<()> {
        for lab in self.lab_groups() {
            for machine in machines {
                remove_tree(&lab.join(name::of_machine(machine))).await?;
            }
            // Not empty: another lab uses it.
            if let Err(error) = fs::remove_dir(&lab)
                && error.kind() != io::ErrorKind::NotFound
                && error.kind() != io::ErrorKind::ResourceBusy
            {
                return Err(error).with_context(|| format!("{} can't be removed", lab.display()));
            }
        }
        Ok(())
    }
}

fn create(group: &Path) -> Result<()> {
    fs::create_dir_all(group).with_context(|| format!("{} can't be created", group.display()))
}

/// A new v1 cpuset has no processors, and accepts processes only once it has some.
fn inherit_cpuset(lab: &Path) -> Result<()> {
    let Some(tree) = lab.parent() else { return Ok(()) };
    if !lab.join("cgroup.clone_children").exists() || !lab.join("cpuset.cpus").exists() {
        return Ok(());
    }
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let copied = fs::read_to_string(tree.join(file)).and_then(|value| fs::write(lab.join(file), value));
        copied.with_context(|| format!("{} can't be set", lab.join(file).display()))?;
    }
    fs::write(lab.join("cgroup.clone_children"), "1")
        .with_context(|| format!("inheritance of cpusets can't be enabled in {}", lab.display()))
}

fn delegate(group: &Path) -> Result<()> {
    let file = group.join("cgroup.subtree_control");
    for controller in CONTROLLERS {
        fs::write(&file, controller).with_context(|| {
            format!("the cgroup controller `{controller}`, which machines need, can't be enabled in {}", file.display())
        })?;
    }
    Ok(())
}

fn collect_processes(group: &Path, found: &mut Vec<i32>) {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect_processes(&entry.path(), found);
        }
    }
}

/// A group below a frozen one can't be thawed, so from the top.
fn thaw(group: &Path) {
    // Only v1 has this file. A frozen group of v2 ends at SIGKILL.
    let state = group.join("freezer.state");
    if fs::read_to_string(&state).is_ok_and(|text| text.trim() != "THAWED") {
        let _ = fs::write(&state, "THAWED");
    }
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            thaw(&entry.path());
        }
    }
}

/// Removes a group and all below it, deepest first. The kernel refuses while a killed process is still ending.
async fn remove_tree(group: &Path) -> Result<()> {
    wait::until(Duration::from_secs(20), &format!("{} to be empty", group.display()), || match remove_now(group) {
        Ok(()) => Ok(Some(())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(())),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(None),
        Err(error) => bail!("{} can't be removed: {error}", group.display()),
    })
    .await
}

fn remove_now(group: &Path) -> io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_now(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(point: &str, kind: &str) -> Mount {
        Mount { point: point.into(), kind: kind.to_owned() }
    }

    #[test]
    fn the_three_setups_are_distinguished() {
        let v2 = [mount("/", "ext4"), mount("/sys/fs/cgroup", "cgroup2")];
        assert_eq!(Hierarchy::from_mounts(&v2, true), Hierarchy::Systemd);
        assert_eq!(Hierarchy::from_mounts(&v2, false), Hierarchy::Unified);
        let hybrid = [
            mount("/sys/fs/cgroup", "tmpfs"),
            mount("/sys/fs/cgroup/cpu,cpuacct", "cgroup"),
            mount("/sys/fs/cgroup/unified", "cgroup2"),
            mount("/somewhere/else", "cgroup2"),
        ];
        assert_eq!(
            Hierarchy::from_mounts(&hybrid, true),
            Hierarchy::Separate(vec!["/sys/fs/cgroup/cpu,cpuacct".into(), "/sys/fs/cgroup/unified".into()])
        );
    }
}
