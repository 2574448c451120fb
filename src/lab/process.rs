//! Identifies the lab's processes: they are in one of its network namespaces (also a virtual machine's QEMU), or are the systemd-nspawn of a
//! machine's disk. No other process is ever signaled.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{namespace, state};

/// The programs that one process executes in turn when a machine starts.
const BECOMES_MACHINE: [&[u8]; 3] = [b"systemd-nspawn", b"unshare", b"sh"];

/// All process ids on the computer.
fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The ids of a process in each PID namespace, outermost first (`NSpid` in proc_pid_status(5)); empty once it has ended.
fn ids_in_namespaces(pid: i32) -> Vec<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    line.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

fn is_in(pid: i32, namespace: (u64, u64)) -> bool {
    namespace::identity(Path::new(&format!("/proc/{pid}/ns/net"))) == Some(namespace)
}

/// The machine's init: in the machine's network namespace, and PID 1 of a PID namespace one level below ours. (A pod in the host's network
/// has a PID 1, too, but two levels below.)
pub fn init_of(machine: &str) -> Option<Pid> {
    let network = namespace::identity(&namespace::file(&namespace::of_machine(machine)))?;
    let depth = ids_in_namespaces(i32::try_from(std::process::id()).ok()?).len();
    let is_init = |pid: &i32| {
        let ids = ids_in_namespaces(*pid);
        ids.len() == depth + 1 && ids.last() == Some(&1) && is_in(*pid, network)
    };
    all().into_iter().find(is_init).map(Pid::from_raw)
}

/// The systemd-nspawn of a machine, or the process that will become it. It stays until the machine is off and cleaned up.
pub fn supervisor_of(machine: &str) -> Option<Pid> {
    let directory = directory_argument(machine);
    let is_supervisor = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut arguments = line.split(|byte| *byte == 0);
        let name = arguments.next().unwrap_or_default();
        BECOMES_MACHINE.iter().any(|program| name.ends_with(program)) && arguments.any(|a| a == directory.as_bytes())
    };
    all().into_iter().find(is_supervisor).map(Pid::from_raw)
}

/// Processes that were started with that argument.
pub fn with_argument(argument: &Path) -> Vec<Pid> {
    use std::os::unix::ffi::OsStrExt;
    let argument = argument.as_os_str().as_bytes();
    let has = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|other| other == argument)
    };
    all().into_iter().filter(has).map(Pid::from_raw).collect()
}

/// Whether the process exists, even as a zombie.
pub fn is_listed(pid: Pid) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// The argument that identifies a machine's systemd-nspawn.
pub fn directory_argument(machine: &str) -> String {
    format!("--directory={}", state::machine_folder(machine).join("root").display())
}

/// Processes in the lab's namespaces, without this one and its parents.
pub fn in_lab(namespaces: &[String]) -> Vec<Pid> {
    let identities: Vec<_> = namespaces.iter().filter_map(|name| namespace::identity(&namespace::file(name))).collect();
    let ours = ancestry();
    all()
        .into_iter()
        .filter(|pid| !ours.contains(pid))
        .filter(|pid| identities.iter().any(|identity| is_in(*pid, *identity)))
        .map(Pid::from_raw)
        .collect()
}

/// This process and its parents: `lab down` in a `lab exec` shell must not end itself.
fn ancestry() -> Vec<i32> {
    let mut line = vec![i32::try_from(std::process::id()).unwrap_or_default()];
    while let Some(pid) = line.last().copied().filter(|pid| *pid > 1) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).and_then(|id| id.trim().parse().ok());
        line.push(parent.unwrap_or(0));
    }
    line
}

/// Sends a signal; it is not an error if the process has ended.
pub fn signal(pid: Pid, signal: Signal) -> Result<()> {
    match kill(pid, signal) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("process {pid} can't be signaled")),
    }
}

/// Makes a machine's init power off (systemd(1): SIGRTMIN+4 starts poweroff.target).
pub fn ask_to_power_off(init: Pid) -> Result<()> {
    let number = nix::libc::SIGRTMIN() + 4;
    // SAFETY: kill(2) takes two integers. nix's `Signal` has no real-time signals.
    let result = unsafe { nix::libc::kill(init.as_raw(), number) };
    nix::errno::Errno::result(result).map(drop).with_context(|| format!("process {init} can't be signaled"))
}
