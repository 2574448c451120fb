//! Removal of a lab. Everything is found by name or by what it uses, so it does not matter how far a killed hostler had come.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::cgroup::Hierarchy;
use super::power;
use super::roster::{MOST, roster};
use super::state::{self, LabState};
use super::{computer, mounts, name, network, process, wait};
use crate::workstation::program::run;
use crate::workstation::task::Task;

/// Removes the lab's processes, mounts, loop devices, cgroups, namespaces, settings, and last its folder. Safe to repeat.
pub async fn take_down(task: &Task) -> Result<()> {
    state::begin_removal()?;
    // If the state is damaged, use all names that a lab can have, and those that have a folder.
    let machines = LabState::load().ok().flatten().map_or_else(|| roster(MOST, 1), |state| state.machines);
    let folders = fs::read_dir(state::path("machines")).into_iter().flatten().flatten();
    let names = machines.into_iter().map(|machine| machine.name).chain(folders.filter_map(|folder| folder.file_name().into_string().ok()));
    let names: BTreeSet<String> = names.collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let hierarchy = Hierarchy::detect()?;

    let folder = state::folder();
    task.line("end processes");
    end_processes(&names, &hierarchy).await?;
    task.line("release disks");
    unmount_all()?;
    for machine in &names {
        // systemd-nspawn leaves them behind if /run is not a tmpfs.
        for left in ["propagate", "unix-export"] {
            let _ = fs::remove_dir(Path::new("/run/systemd/nspawn").join(left).join(name::of_machine(machine)));
        }
    }
    for device in mounts::loop_devices_below(&folder) {
        // Errors are ignored: it may be released at this moment, and the check follows below.
        let _ = run("losetup", ["--detach", &device.display().to_string()]).await;
    }
    let what = "the loop devices to be released";
    wait::until(Duration::from_secs(20), what, || Ok(mounts::loop_devices_below(&folder).is_empty().then_some(()))).await?;
    task.line("remove cgroups and networks");
    hierarchy.remove(&names).await?;
    network::take_down().await?;
    // Another lab still needs the raised limits; it restores them when it is removed.
    if state::others().is_empty() {
        for line in computer::restore()? {
            task.line(&line);
        }
    }
    state::remove()
}

async fn end_processes(machines: &[&str], hierarchy: &Hierarchy) -> Result<()> {
    let mut ended: BTreeSet<Pid> = machines.iter().filter_map(|machine| process::supervisor_of(machine)).collect();
    for machine in machines {
        if *hierarchy == Hierarchy::Systemd {
            // Errors are ignored: the unit is not loaded if this machine was never on.
            let _ = run("systemctl", ["kill", "--signal=KILL", &power::unit(machine)]).await;
        }
    }
    // systemd-nspawn cleans up after its machine has ended, and then ends too. It may still be doing so, and would leave its lock behind if it
    // was killed now.
    let all_ended = || {
        hierarchy.thaw(machines);
        let mut on = false;
        for machine in machines {
            let init = process::init_of(machine);
            if let Some(init) = init {
                process::signal(init, Signal::SIGKILL)?;
            }
            on |= init.is_some() || process::supervisor_of(machine).is_some();
        }
        Ok((!on).then_some(()))
    };
    let orderly = wait::until(Duration::from_secs(10), "the machines to stop", all_ended).await;
    for machine in machines {
        if let Some(supervisor) = process::supervisor_of(machine) {
            process::signal(supervisor, Signal::SIGKILL)?;
        }
    }
    drop(orderly);
    let namespaces = network::namespaces();
    wait::until(Duration::from_secs(20), "the lab's processes to end", || {
        hierarchy.thaw(machines);
        let mut left = process::in_lab(&namespaces);
        left.extend(machines.iter().filter_map(|machine| process::supervisor_of(machine)));
        left.extend(hierarchy.processes(machines).into_iter().map(Pid::from_raw));
        for pid in &left {
            process::signal(*pid, Signal::SIGKILL)?;
        }
        ended.extend(&left);
        Ok(left.is_empty().then_some(()))
    })
    .await?;
    // Zombies hold no resources, so it is not a failure if their parent does not reap them.
    let collected = || Ok((!ended.iter().any(|pid| process::is_listed(*pid))).then_some(()));
    let _ = wait::until(Duration::from_secs(5), "zombie processes to be reaped", collected).await;
    Ok(())
}

/// Unmounts everything below the lab's folder, and leftovers of a killed systemd-nspawn, latest mounts first.
fn unmount_all() -> Result<()> {
    let of_nspawn = |point: &Path| {
        point.starts_with("/run/systemd/nspawn")
            && point.file_name().is_some_and(|name| roster(MOST, 1).iter().any(|machine| *name::of_machine(&machine.name) == *name))
    };
    let folder = state::folder();
    for mount in mounts::all()?.iter().rev() {
        if mount.point.starts_with(&folder) || of_nspawn(&mount.point) {
            // A program of the computer may have its working folder there; the mount disappears with it.
            let flags = nix::mount::MntFlags::empty();
            nix::mount::umount2(&mount.point, flags)
                .or_else(|_| nix::mount::umount2(&mount.point, nix::mount::MntFlags::MNT_DETACH))
                .with_context(|| format!("{} can't be unmounted", mount.point.display()))?;
        }
    }
    Ok(())
}
