//! Power of a machine: a systemd-nspawn with its own systemd, network, cgroups and disk, or a QEMU ([`vm`]).

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use tokio::process::{Child, Command};

use super::cgroup::Hierarchy;
use super::roster::LabMachine;
use super::state::LabState;
use super::{disk, name, namespace, network, process, refused, state, vm, wait};
use crate::workstation::program::run;

/// Limit from power on to sshd's banner. Measured: 2 s.
const STARTS_WITHIN: Duration = Duration::from_secs(90);
/// Limit for stopping services.
const STOPS_WITHIN: Duration = Duration::from_secs(120);
/// The same on an emulated machine.
const VM_STOPS_WITHIN: Duration = Duration::from_secs(600);
/// Interval for pressing the power button: it has no effect before the machine listens for it.
const PRESSED_EVERY: Duration = Duration::from_secs(10);

/// Devices of the computer that programs on a machine need; missing ones are left out.
const DEVICES: [&str; 2] = ["/dev/kmsg", "/dev/fuse"];

const MACHINE: &str = include_str!("../../templates/lab/machine.sh");

/// Whether a machine is on.
pub fn is_on(machine: &str) -> bool {
    process::supervisor_of(machine).is_some() || process::init_of(machine).is_some() || vm::process_of(machine).is_some()
}

/// Switches a machine on and waits for its sshd. Does nothing if it is on.
pub async fn on(machine: &LabMachine, state: &LabState) -> Result<()> {
    let vm = state.virtual_machine(&machine.name);
    let limit = vm.map_or(STARTS_WITHIN, |vm| vm.accelerator.starts_within());
    if is_on(&machine.name) {
        return greeted(machine, None, limit).await;
    }
    if !disk::is_installed(&machine.name) {
        let what = format!("{} has no disk: an earlier `hostler lab up` or `lab blank` was interrupted", machine.name);
        return Err(refused(&what, "run `hostler lab up` again to continue"));
    }
    network::unplug(machine).await?;
    disk::released(&machine.name).await?;
    let child = match vm {
        Some(vm) => {
            network::plug_in_vm(machine).await?;
            Some(vm::start(machine, vm)?)
        }
        None => {
            network::plug_in(machine, state.gateway()).await?;
            start(machine, &state.shares).await?
        }
    };
    greeted(machine, child, limit).await
}

/// The arguments of systemd-nspawn, from the machine's root to its kernel command line.
fn arguments(machine: &LabMachine, shares: &[PathBuf], hierarchy: &Hierarchy) -> Vec<String> {
    let mut arguments = vec![
        "--quiet".to_owned(),
        process::directory_argument(&machine.name),
        format!("--machine={}", name::of_machine(&machine.name)),
        format!("--hostname={}", machine.name),
        format!("--network-namespace-path={}", namespace::file(&namespace::of_machine(&machine.name)).display()),
    ];
    let fixed = [
        "--boot",
        "--register=no",
        "--keep-unit",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--console=read-only",
        // Containers need nearly all capabilities. The clock is the computer's.
        "--capability=all",
        "--drop-capability=CAP_SYS_TIME",
        "--system-call-filter=add_key keyctl bpf perf_event_open",
    ];
    arguments.extend(fixed.map(str::to_owned));
    arguments.extend(DEVICES.iter().filter(|device| Path::new(device).exists()).map(|device| format!("--bind={device}")));
    arguments.extend(shares.iter().map(|share| format!("--bind={}", share.display())));
    if hierarchy.is_v1() {
        arguments.push("SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1".to_owned());
        arguments.push("systemd.unified_cgroup_hierarchy=0".to_owned());
    }
    arguments
}

/// The program that becomes a machine, in a mount namespace with its disk.
fn program(machine: &LabMachine, shares: &[PathBuf], hierarchy: &Hierarchy) -> Vec<String> {
    let words = ["unshare", "--mount", "--propagation=slave", "--", "sh", "-c", MACHINE, "machine.sh"];
    let mut program: Vec<String> = words.map(str::to_owned).into();
    program.push(disk::file(&machine.name).display().to_string());
    program.push(disk::root(&machine.name).display().to_string());
    program.push("systemd-nspawn".to_owned());
    program.extend(arguments(machine, shares, hierarchy));
    program
}

/// Environment of systemd-nspawn: makes /proc/sys and /sys writable for sysctl and kubelet, and selects cgroup v1 if needed.
fn environment(hierarchy: &Hierarchy) -> Vec<(&'static str, &'static str)> {
    let mut environment = vec![("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "1")];
    if hierarchy.is_v1() {
        environment.push(("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "0"));
    }
    environment
}

/// The unit of a machine, if systemd manages the computer's cgroups.
pub fn unit(machine: &str) -> String {
    format!("hostler-lab-{}.service", name::of_machine(machine))
}

async fn start(machine: &LabMachine, shares: &[PathBuf]) -> Result<Option<Child>> {
    let hierarchy = Hierarchy::detect()?;
    let groups = hierarchy.make(&machine.name).await?;
    let program = program(machine, shares, &hierarchy);
    let console = state::console(&machine.name);
    if hierarchy == Hierarchy::Systemd {
        let mut all = vec!["--quiet".to_owned(), "--collect".to_owned(), format!("--unit={}", unit(&machine.name))];
        all.extend(["--property=Delegate=yes".to_owned(), "--property=KillMode=mixed".to_owned()]);
        all.push(format!("--property=StandardOutput=append:{}", console.display()));
        all.extend(environment(&hierarchy).iter().map(|(name, value)| format!("--setenv={name}={value}")));
        all.extend(program);
        run("systemd-run", all).await?;
        return Ok(None);
    }
    let log = OpenOptions::new().create(true).append(true).open(&console).context("the console's log can't be opened")?;
    let groups = groups
        .iter()
        .map(|group| OpenOptions::new().write(true).open(group.join("cgroup.procs")).map_err(anyhow::Error::from))
        .collect::<Result<Vec<_>>>()
        .with_context(|| format!("{} can't be put into its cgroups", machine.name))?;
    let mut command = Command::new(&program[0]);
    command.args(&program[1..]).envs(environment(&hierarchy)).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // SAFETY: write and setsid are single system calls on descriptors opened before the fork; nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            for mut group in &groups {
                // 0 means the writing process (cgroups(7)).
                group.write_all(b"0")?;
            }
            nix::unistd::setsid()?;
            Ok(())
        });
    }
    Ok(Some(command.spawn().with_context(|| format!("{} can't be started", program[0]))?))
}

/// Waits for the banner of sshd.
async fn greeted(machine: &LabMachine, mut child: Option<Child>, limit: Duration) -> Result<()> {
    let address = SocketAddr::V4(SocketAddrV4::new(machine.address, 22));
    let what = format!("sshd of {} to answer at {address}", machine.name);
    let name = machine.name.clone();
    wait::until(limit, &what, || {
        if let Some(status) = child.as_mut().map(Child::try_wait).transpose()?.flatten() {
            bail!("{name} shut down while starting ({status}); the end of its console output:\n{}", console_end(&name));
        }
        Ok(greets(address).then_some(()))
    })
    .await
    .with_context(|| format!("{} did not start\nhint: its console output is in {}", machine.name, state::console(&machine.name).display()))
}

fn greets(address: SocketAddr) -> bool {
    let hear = || -> std::io::Result<bool> {
        let mut stream = namespace::connect(address, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let mut greeting = [0; 4];
        stream.read_exact(&mut greeting)?;
        Ok(&greeting == b"SSH-")
    };
    hear().unwrap_or(false)
}

fn console_end(machine: &str) -> String {
    let text = fs::read(state::console(machine)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(10).collect();
    lines.into_iter().rev().map(|line| format!("  {line}\n")).collect()
}

/// Shuts a machine down, like its power button.
pub async fn off(machine: &str) -> Result<()> {
    let begun = Instant::now();
    while vm::process_of(machine).is_some() && begun.elapsed() < VM_STOPS_WITHIN {
        // Errors are ignored: the machine may be going off, and a failure shows below.
        let pressed = vm::press_power_button(machine).await;
        if gone(machine, PRESSED_EVERY).await.is_err() {
            pressed?;
        }
    }
    if let Some(init) = process::init_of(machine) {
        process::ask_to_power_off(init)?;
    }
    gone(machine, STOPS_WITHIN).await?;
    disk::released(machine).await
}

/// Cuts a machine's power: all its processes end at once, and unwritten data is lost.
pub async fn cut(machine: &str) -> Result<()> {
    // Killing systemd-nspawn would leave the machine running; if its init is killed, the kernel ends the whole machine.
    if let Some(init) = process::init_of(machine) {
        let root = File::open(format!("/proc/{init}/root")).with_context(|| format!("{machine}'s disk can't be opened"))?;
        process::signal(init, Signal::SIGKILL)?;
        disk::lose_power(&root)?;
    } else if let Some(supervisor) = process::supervisor_of(machine).or_else(|| vm::process_of(machine)) {
        process::signal(supervisor, Signal::SIGKILL)?;
    }
    gone(machine, Duration::from_secs(20)).await?;
    disk::released(machine).await
}

/// Waits until a machine is off and systemd-nspawn has cleaned up after it.
async fn gone(machine: &str, limit: Duration) -> Result<()> {
    let hierarchy = Hierarchy::detect()?;
    wait::until(limit, &format!("{machine} to be off"), || {
        hierarchy.thaw(&[machine]);
        Ok((!is_on(machine)).then_some(()))
    })
    .await
}
