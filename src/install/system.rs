//! The new system: its file system from the image, and what makes it this machine's own.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use hostler_core::digest::hex;
use hostler_core::install::order::{Image, Machine};
use hostler_core::{quantity, template};
use nix::mount::{MsFlags, mount, umount};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::medium::Medium;
use super::screen::Screen;
use super::table::Partitions;
use super::{disks, kernel};

const TARGET: &str = "/target";
/// Bytes in one write.
const PIECE: usize = 4 << 20;

/// Writes the image to the system's partition.
///
/// # Errors
/// What was written is not the image that the order names: it can't be started, as the ESP is empty.
pub fn write_image(screen: &Screen, medium: &Medium, image: &Image, partitions: &Partitions) -> Result<()> {
    ensure!(image.size <= partitions.system_size, "the image ({}) is larger than the system's partition", quantity::size(image.size));
    let file = medium.file(&image.file)?;
    // One byte more than there should be shows that it is too long.
    let mut image_bytes = zstd::Decoder::new(BufReader::with_capacity(PIECE, file))?.take(image.size + 1);
    let mut to =
        OpenOptions::new().write(true).open(&partitions.system).with_context(|| format!("{} can't be opened", partitions.system))?;
    let (mut hash, mut done, mut piece) = (Sha256::new(), 0, vec![0; PIECE]);
    loop {
        let read = fill(&mut image_bytes, &mut piece).context("the image on the stick can't be read")?;
        if read == 0 {
            break;
        }
        hash.update(&piece[..read]);
        to.write_all(&piece[..read]).with_context(|| format!("{} can't be written", partitions.system))?;
        if (done / (PIECE as u64)) % 16 == 0 {
            screen.line(&format!("written {}", quantity::size_of(done, image.size)));
        }
        done += read as u64;
    }
    to.sync_all().with_context(|| format!("{} can't be written", partitions.system))?;
    let sum = hex(&hash.finalize());
    if done != image.size || sum != image.sha256 {
        bail!("the image on the stick is damaged: its checksum is {}..., not {}...; make the stick again", &sum[..12], &image.sha256[..12]);
    }
    Ok(())
}

/// Reads until the piece is full or the input ends.
fn fill(from: &mut impl Read, piece: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < piece.len() {
        match from.read(&mut piece[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// Grows the new file system, and writes name, network, user, keys and what starts it.
pub fn make_own(screen: &Screen, mac: &str, machine: &Machine, partitions: &Partitions) -> Result<()> {
    let target = Path::new(TARGET);
    kernel::mount_new(&partitions.system, target, "ext4")?;
    for (device, folder, kind) in
        [("proc", "proc", "proc"), ("sysfs", "sys", "sysfs"), ("tmpfs", "run", "tmpfs"), ("tmpfs", "tmp", "tmpfs")]
    {
        kernel::mount_new(device, &target.join(folder), kind)?;
    }
    mount(Some("/dev"), &target.join("dev"), None::<&str>, MsFlags::MS_BIND, None::<&str>).context("/dev can't be mounted")?;
    let variables = target.join("sys/firmware/efi/efivars");
    ensure!(variables.is_dir(), "this computer was not started by UEFI: choose the stick's UEFI entry in the firmware's boot menu");
    kernel::mount_new("efivarfs", &variables, "efivarfs")?;
    write_new(&target.join("etc/ssh/ssh_host_ed25519_key"), machine.host_key.as_bytes(), 0o600)?;
    let keys: String = machine.authorized_keys.iter().map(|key| format!("{key}\n")).collect();
    write_new(&target.join("etc/hostler-authorized-keys"), keys.as_bytes(), 0o600)?;
    // A data partition of an earlier installation stays as it is.
    let format_data = partitions.data.as_deref().map(disks::is_empty).transpose()?.unwrap_or(false);
    let values = json!({
        "name": machine.name, "user": machine.user, "mac": mac, "updates": machine.updates,
        "esp": partitions.esp, "system": partitions.system, "data": partitions.data.as_deref().unwrap_or_default(), "format_data": format_data,
    });
    run(screen, &template::render("os/finish.sh", values)?)?;
    nix::unistd::sync();
    for folder in ["sys/firmware/efi/efivars", "dev", "tmp", "run", "sys", "proc", ""] {
        umount(&target.join(folder)).with_context(|| format!("/{folder} of the new system can't be unmounted"))?;
    }
    Ok(())
}

fn write_new(file: &Path, content: &[u8], mode: u32) -> Result<()> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    let _ = fs::remove_file(file);
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(file).and_then(|mut new| new.write_all(content));
    written.with_context(|| format!("{} can't be written", file.display()))
}

/// Runs a script in the new system and shows its output; its last lines are in the error.
fn run(screen: &Screen, script: &str) -> Result<()> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // SAFETY: two system calls; nothing is allocated between fork and exec.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::chroot(c"/target")?;
            nix::unistd::chdir(c"/")?;
            Ok(())
        });
    }
    let mut child = command.spawn().context("the new system's shell can't be started")?;
    let mut last = Vec::new();
    if let Some(output) = child.stdout.take() {
        for line in std::io::BufRead::lines(BufReader::new(output)) {
            let line = String::from_utf8_lossy(line.unwrap_or_default().as_bytes()).into_owned();
            screen.line(&line);
            last.push(line);
            if last.len() > 4 {
                last.remove(0);
            }
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "the new system can't be set up ({status}): {}", last.join("; "));
    Ok(())
}
