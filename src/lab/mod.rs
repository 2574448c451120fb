//! Test machines on this computer: real Debian or Ubuntu, systemd and sshd in systemd-nspawn, each with its own disk, network and cgroups,
//! and without access to other networks.
//!
//! Rule: the parts of a lab are recorded ([`state`]) before they are created, and everything has the lab's name, so that [`down`] finds all
//! of it even if hostler was killed.

pub mod access;
mod cgroup;
mod computer;
mod disk;
mod image;
mod inventory;
pub mod like;
mod mounts;
mod name;
pub mod namespace;
mod network;
mod power;
mod process;
pub mod repository;
pub mod roster;
pub mod state;
pub mod system;
mod teardown;
mod vm;
mod wait;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use cgroup::Hierarchy;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::words::{counted, shell_word};
use tokio::task::JoinSet;

use crate::event::{Event, Events};
use crate::workstation::packages;
use crate::workstation::room::{self, Need};
use crate::workstation::task::task;
pub use inventory::{KUBECONFIG, file as inventory_file, is_inventory, kubeconfig};
use like::Like;
pub use name::choice;
use repository::Served;
use roster::LabMachine;
use state::{LabState, Lock, VirtualMachine};
use system::System;
use vm::Accelerator;

/// The desired lab.
#[derive(Debug, Clone)]
pub struct Options {
    /// At least 1, at most [`roster::MOST`].
    pub machines: usize,
    /// At least 1, at most `machines`.
    pub control_planes: usize,
    /// Folders of this computer that every machine sees under the same path.
    pub shares: Vec<PathBuf>,
    /// The machine that is a virtual machine.
    pub vm: Option<String>,
    /// Machines with another system than the default one, by their names.
    pub systems: BTreeMap<String, System>,
    /// An inventory that the lab is like, and its machines.
    pub like: Option<(Like, Vec<LabMachine>)>,
}

impl Options {
    /// The machines that they ask for.
    fn roster(&self) -> Vec<LabMachine> {
        let like = self.like.as_ref().map(|(_, machines)| machines.clone());
        let mut machines = like.unwrap_or_else(|| roster::roster(self.machines, self.control_planes));
        for machine in &mut machines {
            machine.system = self.systems.get(&machine.name).copied().unwrap_or_default();
        }
        machines
    }
}

/// A refusal. Nothing was changed.
fn refused(what: &str, hint: &str) -> anyhow::Error {
    Failure::new(ExitStatus::Refused, what, hint).into()
}

/// A usage error. Nothing was changed.
fn usage(what: &str, hint: &str) -> anyhow::Error {
    Failure::new(ExitStatus::Usage, what, hint).into()
}

/// # Errors
/// Refused without root, which is needed for namespaces, mounts and cgroups, or if `HOSTLER_LAB` is not a valid name.
pub fn require_root(verb: &str) -> Result<()> {
    name::check()?;
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    Err(refused(
        &format!("`lab {verb}` needs root: the lab uses this computer's namespaces, mounts and cgroups"),
        &format!(
            "run `sudo hostler {}`",
            std::env::args().skip(1).map(|word| shell_word(&word).into_owned()).collect::<Vec<_>>().join(" ")
        ),
    ))
}

/// Starts machines until sshd answers, and writes their inventory ([`inventory_file`]). Installs missing packages with apt. After an
/// interrupted call this one continues: machines that have their disk keep it, and those that are on stay on. `besides`: what else will be
/// written to this computer's disks.
///
/// # Errors
/// Refused if there is a lab with other options, the options are impossible, or there is too little space. After other failures everything
/// stays as it is, for inspection and for the next call; [`down`] removes it.
pub async fn up(options: Options, besides: Vec<Need>, events: &Events) -> Result<LabState> {
    require_root("up")?;
    check(&options)?;
    let _lock = Lock::take("up")?;
    if state::is_removal_unfinished() {
        let what = "remove what an interrupted `hostler lab down` left";
        task(events, "down", what, async |task| teardown::take_down(&task).await).await?;
    }
    let before = LabState::load()?;
    if let Some(before) = &before {
        require_same(before, &options)?;
        let installed = before.machines.iter().filter(|machine| disk::is_installed(&machine.name));
        let on = before.machines.iter().filter(|machine| power::is_on(&machine.name)).count();
        let line = format!("continuing with the existing lab ({}): {} installed, {on} on", names(&before.machines), installed.count());
        events.send(Event::Note { line });
    }
    let machines = options.roster();
    let like = options.like.as_ref().map(|(like, _)| like.clone());
    let mut state = before.unwrap_or_else(|| LabState { machines, images: BTreeMap::new(), shares: options.shares, vm: None, like });
    let mut needs = room_needed(&state, options.vm.as_deref());
    needs.extend(besides);
    room::check(&needs, "free up disk space, pass a smaller number with `--machines`, or set HOSTLER_CACHE to a folder on another disk")?;
    packages::install("the lab", packages::LAB, events).await?;
    if options.vm.is_some() {
        packages::install("a virtual machine", packages::VIRTUAL_MACHINE, events).await?;
    }
    for system in state.systems() {
        if !state.images.get(&system).is_some_and(|image| image.is_dir()) {
            state.images.insert(system, image::ready(system, events).await?);
        }
    }
    if let Some(name) = options.vm
        && !state.vm.as_ref().is_some_and(|vm| vm.image.is_dir())
    {
        state.vm = Some(virtual_machine(name, events).await?);
    }
    state.save()?;
    if state.like.is_some() {
        like::make_folders()?;
    }
    install(&state, events).await?;
    switch_on(&state, &state.machines, events).await?;
    Ok(state)
}

/// Gives each machine that has none its disk, and writes the inventory, unless it is there.
async fn install(state: &LabState, events: &Events) -> Result<()> {
    let machines: Vec<LabMachine> = state.machines.iter().filter(|machine| !disk::is_installed(&machine.name)).cloned().collect();
    if machines.is_empty() && inventory_file().exists() {
        return Ok(());
    }
    task(events, "disks", &format!("install {}", names(&state.machines)), async |task| {
        access::make_key().await?;
        side_by_side(&machines, |machine| {
            let (task, state) = (task.clone(), state.clone());
            async move {
                disk::install(&machine, &state).await?;
                task.line(&format!("the disk of {} is ready", machine.name));
                Ok(())
            }
        })
        .await?;
        // One that is there may have been changed since, and keeps the old host key of a machine that was blanked.
        if !inventory_file().exists() {
            inventory::write(state, Hierarchy::detect()?.is_v1())?;
        }
        Ok(())
    })
    .await
}

/// # Errors
/// Refused where the lab that is there is not the one that `options` ask for.
fn require_same(before: &LabState, options: &Options) -> Result<()> {
    let vm = before.vm.as_ref().map(|vm| &vm.machine);
    let like = options.like.as_ref().map(|(like, _)| like);
    if before.machines == options.roster() && before.shares == options.shares && vm == options.vm.as_ref() && like == before.like.as_ref() {
        return Ok(());
    }
    if let (Some(like), Some(before)) = (like, &before.like)
        && like.file == before.file
    {
        let what = format!("{} has changed since the lab was created from it", like.file.display());
        return Err(refused(&what, "run `hostler lab down`, which removes the lab, then this command again"));
    }
    let control_planes = before.machines.iter().filter(|machine| machine.control_plane).count();
    let mut command = match &before.like {
        Some(like) => format!("hostler lab up --like {}", shell_word(&like.file.display().to_string())),
        None => format!("hostler lab up --machines {}", before.machines.len()),
    };
    if control_planes > 1 && before.like.is_none() {
        command += &format!(" --control-planes {control_planes}");
    }
    for share in &before.shares {
        command += &format!(" --share {}", share.display());
    }
    if let Some(vm) = vm {
        command += &format!(" --vm {vm}");
    }
    for machine in before.machines.iter().filter(|machine| machine.system != System::default()) {
        command += &format!(" --system {}={}", machine.name, machine.system);
    }
    Err(refused(
        "a lab with different options already exists",
        &format!(
            "run `{command}` to continue with that lab, or `hostler lab \
        down` to remove it"
        ),
    ))
}

/// Bytes of a machine's disk once a cluster is on it. Measured: 1.6 GB on a control plane, 1.3 GB on a worker.
const MACHINE: u64 = 1_700_000_000;
/// Bytes of an image, and of the root file system it is made from. Measured: 240 MB for the image; the rest is an estimate.
const IMAGE: u64 = 1_000_000_000;

/// What the lab is still going to write.
fn room_needed(state: &LabState, vm: Option<&str>) -> Vec<Need> {
    let missing = |machine: &LabMachine| MACHINE.saturating_sub(disk::used(&machine.name));
    let need = |what: String, folder: PathBuf, bytes| Need { what, folder, bytes };
    let mut needs = vec![need(counted(state.machines.len(), "machine"), state::folder(), state.machines.iter().map(missing).sum())];
    for system in state.systems() {
        if !state.images.get(&system).is_some_and(|image| image.is_dir()) && !image::is_ready(system) {
            needs.push(need(format!("the image for {}", system.title()), state::cache(), IMAGE));
        }
    }
    if let Some(vm) = vm
        && !image::is_ready_with_kernel()
    {
        needs.push(need(format!("the image for {vm}"), state::cache(), IMAGE));
    }
    needs
}

async fn virtual_machine(machine: String, events: &Events) -> Result<VirtualMachine> {
    let image = image::ready_with_kernel(events).await?;
    let what = format!("check whether hardware virtualization works for {machine}");
    let accelerator = task(events, "kvm", &what, async |task| Accelerator::detect(&image, &task).await).await?;
    Ok(VirtualMachine { machine, image, accelerator })
}

fn check(options: &Options) -> Result<()> {
    if options.like.is_none() && (options.machines == 0 || options.machines > roster::MOST) {
        let what = format!("a lab can't have {}", counted(options.machines, "machine"));
        return Err(usage(&what, &format!("pass a number from 1 to {} with `--machines`", roster::MOST)));
    }
    if options.like.is_none() && (options.control_planes == 0 || options.control_planes > options.machines) {
        let [planes, machines] =
            [(options.control_planes, "control plane"), (options.machines, "machine")].map(|(count, noun)| counted(count, noun));
        let what = format!("a lab of {machines} can't have {planes}");
        return Err(usage(&what, &format!("pass a number from 1 to {} with `--control-planes`", options.machines)));
    }
    for name in options.systems.keys() {
        state::named(&options.roster(), name)?;
    }
    if let Some(vm) = &options.vm {
        if let Some(system) = options.systems.get(vm).filter(|system| **system != System::default()) {
            let (has, title) = (System::default().title(), system.title());
            return Err(usage(
                &format!("{vm} can't run {title}: a virtual machine always runs {has}"),
                "omit `--vm`, or omit `--system` for this machine",
            ));
        }
        state::named(&options.roster(), vm)?;
        if !cfg!(target_arch = "x86_64") {
            return Err(usage("a virtual machine needs an amd64 computer", "omit `--vm`"));
        }
        if !options.shares.is_empty() {
            let hint = "omit `--share` or `--vm`";
            return Err(usage(&format!("{vm} can't use shared folders: it is a virtual machine"), hint));
        }
    }
    if let Some(share) =
        options.shares.iter().find(|share| !share.is_absolute() || !share.is_dir() || share.to_string_lossy().contains(':'))
    {
        return Err(usage(
            &format!("{} can't be shared", share.display()),
            "pass the absolute path of a folder on this computer; the path must not contain a colon",
        ));
    }
    Ok(())
}

/// Removes the lab; does nothing if there is none.
///
/// # Errors
/// Refused while another hostler changes the lab; a part can't be removed. It may be called again.
pub async fn down(events: &Events) -> Result<()> {
    require_root("down")?;
    let _lock = Lock::take("down")?;
    image::remove_unfinished().await?;
    if !state::folder().exists() {
        events.send(Event::Note { line: state::not_up().to_string() });
        return Ok(());
    }
    task(events, "down", "remove the lab", async |task| teardown::take_down(&task).await).await
}

/// Switches machines on (all, if none is named) and waits for their sshd. This also restores a lab after a reboot of the computer.
pub async fn on(names: &[String], events: &Events) -> Result<()> {
    require_root("on")?;
    let _lock = Lock::take("on")?;
    let state = LabState::existing()?;
    let machines = if names.is_empty() {
        state.machines.clone()
    } else {
        names.iter().map(|name| state.machine(name).cloned()).collect::<Result<Vec<_>>>()?
    };
    switch_on(&state, &machines, events).await
}

async fn switch_on(state: &LabState, machines: &[LabMachine], events: &Events) -> Result<()> {
    task(events, "power", &format!("switch on {}, and wait for sshd", names(machines)), async |task| {
        computer::remember()?;
        computer::raise()?;
        network::make_bridge(state.gateway()).await?;
        let served = state.images.iter().map(|(system, image)| Served { system: *system, folder: image::repository(image) });
        repository::start(&served.collect::<Vec<_>>()).await?;
        side_by_side(machines, |machine| {
            let (task, state) = (task.clone(), state.clone());
            async move {
                power::on(&machine, &state).await?;
                task.line(&format!("{} is on: sshd answers at {}", machine.name, machine.address));
                Ok(())
            }
        })
        .await
    })
    .await
}

fn names(machines: &[LabMachine]) -> String {
    machines.iter().map(|machine| machine.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Does the same for all machines in parallel. When all have ended, it fails with the first error.
async fn side_by_side<F>(machines: &[LabMachine], work: impl Fn(LabMachine) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut running = JoinSet::new();
    for machine in machines {
        running.spawn(work(machine.clone()));
    }
    let results = running.join_all().await;
    results.into_iter().collect()
}

/// Shuts a machine down.
pub async fn off(name: &str, events: &Events) -> Result<()> {
    require_root("off")?;
    let _lock = Lock::take("off")?;
    let state = LabState::existing()?;
    let machine = state.machine(name)?;
    task(events, "power", &format!("shut {name} down"), async |_| power::off(&machine.name).await).await
}

/// Cuts a machine's power.
pub async fn cut(name: &str, events: &Events) -> Result<()> {
    require_root("cut")?;
    let _lock = Lock::take("cut")?;
    let state = LabState::existing()?;
    let machine = state.machine(name)?;
    task(events, "power", &format!("cut the power of {name}"), async |_| power::cut(&machine.name).await).await
}

/// Replaces a machine's disk with a freshly installed one, and switches it on: same address, new host key. The lab's inventory keeps the old
/// key, as a real one would.
pub async fn blank(name: &str, events: &Events) -> Result<()> {
    require_root("blank")?;
    let _lock = Lock::take("blank")?;
    let state = LabState::existing()?;
    let machine = state.machine(name)?;
    task(events, "disks", &format!("replace the disk of {name}"), async |_| {
        power::cut(name).await?;
        disk::install(machine, &state).await
    })
    .await?;
    switch_on(&state, std::slice::from_ref(machine), events).await
}

/// A machine in `lab list`.
#[derive(Debug)]
pub struct Listed {
    pub machine: LabMachine,
    /// Whether it is a virtual machine.
    pub vm: bool,
    pub on: bool,
    /// Bytes that its disk occupies on this computer.
    pub disk: u64,
}

/// The lab's machines; `None` if there is no lab.
pub fn list() -> Result<Option<Vec<Listed>>> {
    require_root("list")?;
    let Some(state) = LabState::load()? else { return Ok(None) };
    let machines = state.machines.iter().map(|machine| Listed {
        machine: machine.clone(),
        vm: state.virtual_machine(&machine.name).is_some(),
        on: power::is_on(&machine.name),
        disk: disk::used(&machine.name),
    });
    Ok(Some(machines.collect()))
}

/// The path of this program, as the lab's own commands call it.
pub fn executable() -> Result<PathBuf> {
    std::env::current_exe().context("hostler can't determine the path of its own program")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lab_of_the_same_options_is_continued() {
        let state = |machines, control_planes, shares: &[&str], vm: Option<&str>| LabState {
            machines: roster::roster(machines, control_planes),
            images: BTreeMap::new(),
            shares: shares.iter().map(PathBuf::from).collect(),
            vm: vm.map(|machine| VirtualMachine { machine: machine.to_owned(), image: PathBuf::new(), accelerator: Accelerator::Tcg }),
            like: None,
        };
        let options = |machines, control_planes, shares: &[&str], vm: Option<&str>| Options {
            machines,
            control_planes,
            shares: shares.iter().map(PathBuf::from).collect(),
            vm: vm.map(str::to_owned),
            systems: BTreeMap::new(),
            like: None,
        };
        require_same(&state(3, 1, &[], None), &options(3, 1, &[], None)).unwrap();
        require_same(&state(3, 3, &["/a", "/b"], None), &options(3, 3, &["/a", "/b"], None)).unwrap();
        require_same(&state(2, 1, &[], Some("rainbowdash")), &options(2, 1, &[], Some("rainbowdash"))).unwrap();
        for (before, asked, command) in [
            (state(5, 1, &[], None), options(3, 1, &[], None), "hostler lab up --machines 5"),
            (state(3, 3, &[], None), options(3, 1, &[], None), "hostler lab up --machines 3 --control-planes 3"),
            (state(3, 1, &["/a", "/b"], None), options(3, 1, &["/a"], None), "hostler lab up --machines 3 --share /a --share /b"),
            (state(2, 1, &[], Some("rainbowdash")), options(2, 1, &[], None), "hostler lab up --machines 2 --vm rainbowdash"),
            (state(2, 1, &[], None), options(2, 1, &[], Some("rainbowdash")), "hostler lab up --machines 2"),
        ] {
            let refused = require_same(&before, &asked).unwrap_err();
            assert_eq!(ExitStatus::of(&refused), ExitStatus::Refused);
            let expected = format!(
                "a lab with different options already exists\nhint: run `{command}` to continue with that lab, or `hostler lab down` to remove it"
            );
            assert_eq!(refused.to_string(), expected);
        }
    }

    #[test]
    fn the_system_of_each_machine_is_kept() {
        let systems = BTreeMap::from([("rainbowdash".to_owned(), System::Noble)]);
        let options = Options { machines: 2, control_planes: 1, shares: Vec::new(), vm: None, systems, like: None };
        let state = LabState { machines: options.roster(), images: BTreeMap::new(), shares: Vec::new(), vm: None, like: None };
        assert_eq!(state.machines.iter().map(|machine| machine.system).collect::<Vec<_>>(), System::ALL);
        require_same(&state, &options).unwrap();
        let debian = Options { systems: BTreeMap::new(), ..options };
        let refused = require_same(&state, &debian).unwrap_err().to_string();
        assert!(refused.contains("run `hostler lab up --machines 2 --system rainbowdash=noble` to continue"), "{refused}");
        // The state of a lab that an earlier hostler made names no system.
        let before = r#"{"machines": [{"name": "one", "address": "10.77.0.11", "control_plane": true}], "image": "/a"}"#;
        assert_eq!(serde_json::from_str::<LabState>(before).unwrap().machines[0].system, System::Trixie);
    }

    #[test]
    fn impossible_labs_are_refused_with_the_possible_range() {
        let message = |machines, control_planes| {
            let refused = check(&Options { machines, control_planes, shares: Vec::new(), vm: None, systems: BTreeMap::new(), like: None })
                .unwrap_err();
            assert_eq!(ExitStatus::of(&refused), ExitStatus::Usage);
            refused.to_string()
        };
        assert_eq!(message(0, 1), "a lab can't have 0 machines\nhint: pass a number from 1 to 13 with `--machines`");
        assert_eq!(message(14, 1), "a lab can't have 14 machines\nhint: pass a number from 1 to 13 with `--machines`");
        assert_eq!(
            message(3, 0),
            "a lab of 3 machines can't have 0 control planes\nhint: pass a number from 1 to 3 with `--control-planes`"
        );
        assert_eq!(
            message(3, 4),
            "a lab of 3 machines can't have 4 control planes\nhint: pass a number from 1 to 3 with `--control-planes`"
        );
        let share = |path: &str| {
            check(&Options { machines: 1, control_planes: 1, shares: vec![path.into()], vm: None, systems: BTreeMap::new(), like: None })
        };
        assert!(share("/tmp").is_ok());
        for path in ["tmp", "/no/such/folder", "/dev/null"] {
            assert_eq!(ExitStatus::of(&share(path).unwrap_err()), ExitStatus::Usage, "{path}");
        }
        let vm = |name: &str, shares: Vec<PathBuf>| {
            let refused =
                check(&Options { machines: 2, control_planes: 1, shares, vm: Some(name.to_owned()), systems: BTreeMap::new(), like: None });
            refused.map_err(|error| error.to_string())
        };
        assert_eq!(vm("rainbowdash", Vec::new()), Ok(()));
        assert_eq!(
            vm("fluttershy", Vec::new()).unwrap_err(),
            "the lab has no machine `fluttershy`\nhint: the lab has twilightsparkle, rainbowdash"
        );
        assert!(vm("rainbow-dash", Vec::new()).unwrap_err().contains("did you mean `rainbowdash`?"));
        assert!(vm("rainbowdash", vec!["/tmp".into()]).unwrap_err().starts_with("rainbowdash can't use shared folders"));
        let system = |name: &str, vm: Option<&str>| {
            let (vm, systems) = (vm.map(str::to_owned), BTreeMap::from([(name.to_owned(), System::Noble)]));
            let options = Options { machines: 2, control_planes: 1, shares: Vec::new(), vm, systems, like: None };
            check(&options).map_err(|error| error.to_string())
        };
        assert_eq!(system("rainbowdash", None), Ok(()));
        assert_eq!(system("rainbowdash", Some("twilightsparkle")), Ok(()));
        assert!(system("rainbowdahs", None).unwrap_err().contains("did you mean `rainbowdash`?"));
        assert_eq!(
            system("rainbowdash", Some("rainbowdash")).unwrap_err(),
            "rainbowdash can't run Ubuntu 24.04: a virtual machine always runs Debian 13\nhint: omit `--vm`, or omit `--system` for this machine"
        );
        for (machines, control_planes) in [(1, 1), (13, 13), (3, 1)] {
            assert!(
                check(&Options { machines, control_planes, shares: Vec::new(), vm: None, systems: BTreeMap::new(), like: None }).is_ok(),
                "{machines} {control_planes}"
            );
        }
    }
}
