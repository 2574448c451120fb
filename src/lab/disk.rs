//! A machine's disk: a sparse image of limited size on a loop device, so that a full or damaged file system affects only that machine.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hostler_core::template;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::json;

use super::roster::{LabMachine, PREFIX};
use super::state::LabState;
use super::system::System;
use super::{access, image, mounts, network, state, wait};
use crate::workstation::program::{run, run_here};

/// The swap file in /etc/fstab of a virtual machine.
const SWAP: &str = "swapfile";
const SWAP_SIZE: &str = "256MiB";

/// The mount point of a machine's disk in its namespace; on the computer the folder stays empty.
pub fn root(machine: &str) -> PathBuf {
    state::machine_folder(machine).join("root")
}

/// The disk's image.
pub fn file(machine: &str) -> PathBuf {
    state::machine_folder(machine).join("disk.img")
}

/// Whether a machine has a complete disk and its host key is known.
pub fn is_installed(machine: &str) -> bool {
    file(machine).exists()
}

/// Installs a fresh disk in a machine that is off, and replaces an existing one. If it is interrupted, the machine has no disk.
pub async fn install(machine: &LabMachine, lab: &LabState) -> Result<()> {
    released(&machine.name).await?;
    let _ = fs::remove_file(file(&machine.name));
    let root = root(&machine.name);
    fs::create_dir_all(&root).with_context(|| format!("{} can't be created", root.display()))?;
    // Only a finished disk gets the name that a machine is started with.
    let unfinished = state::machine_folder(&machine.name).join("disk.new");
    let vm = lab.virtual_machine(&machine.name);
    let system = lab.image(machine.system)?;
    let from_to = [image::disk(vm.map_or(system, |vm| &vm.image)), unfinished.clone()];
    run("cp", ["--sparse=auto", "--reflink=auto"].iter().map(Path::new).chain(from_to.iter().map(PathBuf::as_path))).await?;
    let key = {
        let (machine, unfinished, is_vm, gateway) = (machine.clone(), unfinished.clone(), vm.is_some(), lab.gateway());
        let (mount_point, apt_key) = (root.clone(), image::repository_key(system));
        let personalize = move || {
            let key = personalize(&machine, gateway, &root, &apt_key)?;
            if is_vm {
                own_kernel(&machine, gateway, &root)?;
            }
            Ok(key)
        };
        tokio::task::spawn_blocking(move || with_mounted(&unfinished, &mount_point, personalize)).await??
    };
    access::remember(machine, &key)?;
    fs::rename(&unfinished, file(&machine.name)).context("the disk can't be moved into place")
}

fn personalize(machine: &LabMachine, gateway: Ipv4Addr, root: &Path, apt_key: &Path) -> Result<String> {
    match machine.system {
        System::Trixie => {
            let hosts = template::render("lab/hosts", json!({ "machine": machine.name }))?;
            state::write(&root.join("etc/hosts"), hosts.as_bytes(), 0o644)?;
            state::write(&root.join("etc/hostname"), format!("{}\n", machine.name).as_bytes(), 0o644)?;
        }
        System::Noble => seed_cloud_init(machine, gateway, root)?,
    }
    let apt_key = fs::read(apt_key).with_context(|| format!("{} can't be read", apt_key.display()))?;
    state::write(&root.join("etc/apt/keyrings/hostler-lab.asc"), &apt_key, 0o644)?;
    access::install(root)?;
    access::host_key(root)
}

/// What cloud-init reads at the machine's first start, as from a file on an installation medium (NoCloud): name, network, users.
fn seed_cloud_init(machine: &LabMachine, gateway: Ipv4Addr, root: &Path) -> Result<()> {
    let values = network_values(machine, gateway);
    for file in ["meta-data", "user-data", "network-config"] {
        let text = template::render(&format!("lab/noble/{file}"), &values)?;
        state::write(&root.join("var/lib/cloud/seed/nocloud").join(file), text.as_bytes(), 0o600)?;
    }
    Ok(())
}

fn network_values(machine: &LabMachine, gateway: Ipv4Addr) -> serde_json::Value {
    let (mac, address) = (network::mac(machine), machine.address);
    json!({ "machine": machine.name, "mac": mac, "address": address, "prefix": PREFIX, "gateway": gateway })
}

/// Network and swap, which a machine with its own kernel sets up itself.
fn own_kernel(machine: &LabMachine, gateway: Ipv4Addr, root: &Path) -> Result<()> {
    let network = template::render("lab/vm.network", network_values(machine, gateway))?;
    state::write(&root.join("etc/systemd/network/10-lab.network"), network.as_bytes(), 0o644)?;
    let swap = root.join(SWAP);
    // Swap files must not have holes.
    run_here("fallocate", ["--length".as_ref(), SWAP_SIZE.as_ref(), swap.as_path()])?;
    fs::set_permissions(&swap, fs::Permissions::from_mode(0o600))?;
    run_here("mkswap", [&swap])?;
    Ok(())
}

/// Does `work` with an image mounted only for it and the programs it runs: in a thread with its own mount namespace, so that no other
/// program can inherit the mount and keep the disk busy.
fn with_mounted<T: Send>(image: &Path, root: &Path, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let inside = || {
        unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).context("a mount namespace can't be created")?;
        let nothing: Option<&str> = None;
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_SLAVE, nothing).context("mounts can't be isolated")?;
        run_here("mount", ["-t", "ext4", "-o", "loop"].iter().map(Path::new).chain([image, root]))?;
        let result = work();
        run_here("umount", [root])?;
        result
    };
    thread::scope(|scope| scope.spawn(inside).join().unwrap_or_else(|_| bail!("work on the disk ended unexpectedly")))
}

/// Waits until no loop device uses a machine's disk: the kernel releases it when the machine's last process has ended.
pub async fn released(machine: &str) -> Result<()> {
    let folder = state::machine_folder(machine);
    let what = format!("the loop device of {machine}'s disk to be released");
    wait::until(Duration::from_secs(20), &what, || Ok(mounts::loop_devices_below(&folder).is_empty().then_some(()))).await
}

/// Simulates a power failure of a file system, given any file of it: unwritten data and the unflushed journal are lost (EXT4_IOC_SHUTDOWN
/// in the kernel's fs/ext4/ext4.h, as used by xfstests).
pub fn lose_power(file: &File) -> Result<()> {
    /// `_IOR('X', 125, __u32)`.
    const EXT4_IOC_SHUTDOWN: nix::libc::c_ulong = 0x8004_587d;
    const WITHOUT_FLUSHING_THE_JOURNAL: u32 = 2;
    // SAFETY: the kernel reads one u32 at the pointer, which outlives the call.
    let result = unsafe { nix::libc::ioctl(file.as_raw_fd(), EXT4_IOC_SHUTDOWN as _, &WITHOUT_FLUSHING_THE_JOURNAL) };
    nix::errno::Errno::result(result).map(drop).context("a power failure can't be simulated on the disk")
}

/// Bytes that a machine's disk occupies on the computer.
pub fn used(machine: &str) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(file(machine)).map_or(0, |metadata| metadata.blocks() * 512)
}
