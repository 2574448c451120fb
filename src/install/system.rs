//! The new system: its file system from the image, and what makes it this machine's own.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use hostler_core::digest::hex;
use hostler_core::install::order::{Image, Machine, Network};
use hostler_core::protocol::path;
use hostler_core::{quantity, template};
use nix::mount::{MsFlags, mount, umount};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::kernel;
use super::medium::Medium;
use super::screen::Screen;
use super::table::Partitions;

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
    let mut to =
        OpenOptions::new().write(true).open(&partitions.system).with_context(|| format!("{} can't be opened", partitions.system))?;
    let written = |done| screen.line(&format!("written {}", quantity::size_of(done, image.size)));
    copy_image(file, &mut to, image, medium.again(), written)?;
    to.sync_all().with_context(|| format!("{} can't be written", partitions.system))
}

/// `again`: what makes another attempt.
fn copy_image(file: impl Read, to: &mut impl Write, image: &Image, again: &str, written: impl Fn(u64)) -> Result<()> {
    // One byte more than there should be shows that it is too long.
    let mut bytes = zstd::Decoder::new(BufReader::with_capacity(PIECE, file))?.take(image.size + 1);
    let (mut hash, mut done, mut piece) = (Sha256::new(), 0, vec![0; PIECE]);
    loop {
        let read = fill(&mut bytes, &mut piece).with_context(|| format!("the image can't be read, so {again}"))?;
        if read == 0 {
            break;
        }
        hash.update(&piece[..read]);
        to.write_all(&piece[..read]).context("the system's partition can't be written to")?;
        if (done / PIECE as u64).is_multiple_of(16) {
            written(done);
        }
        done += read as u64;
    }
    let sum = hex(&hash.finalize());
    if done != image.size || sum != image.sha256 {
        bail!("the image is damaged: its checksum is {}..., not {}...; {again}", &sum[..12], &image.sha256[..12]);
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

/// The new system, mounted, with what programs in it need.
pub struct System<'a> {
    screen: &'a Screen,
    partitions: &'a Partitions,
}

/// Mounts in the new system, in the order in which they are made: device, folder, type.
const MOUNTS: [(&str, &str, &str); 5] = [
    ("proc", "proc", "proc"),
    ("sysfs", "sys", "sysfs"),
    ("tmpfs", "run", "tmpfs"),
    ("tmpfs", "tmp", "tmpfs"),
    ("devtmpfs", "dev", "devtmpfs"),
];
/// The firmware's variables.
const VARIABLES: &str = "sys/firmware/efi/efivars";

impl<'a> System<'a> {
    pub fn mount(screen: &'a Screen, partitions: &'a Partitions) -> Result<System<'a>> {
        let target = Path::new(TARGET);
        ensure!(
            Path::new("/").join(VARIABLES).is_dir(),
            "this computer was not started in UEFI mode: choose the stick's UEFI entry in the firmware's boot menu"
        );
        kernel::mount_new(&partitions.system, target, "ext4")?;
        for (device, folder, kind) in MOUNTS {
            kernel::mount_new(device, &target.join(folder), kind)?;
        }
        kernel::mount_new("efivarfs", &target.join(VARIABLES), "efivarfs")?;
        Ok(System { screen, partitions })
    }

    /// Grows its file system, and writes name, network, user and keys. `rejoins`: the order's short id, where the machine was in a cluster that it
    /// is to join again.
    pub fn make_own(&self, mac: &str, machine: &Machine, rejoins: Option<&str>) -> Result<()> {
        let target = Path::new(TARGET);
        write_new(&target.join("etc/ssh/ssh_host_ed25519_key"), machine.host_key.as_bytes(), 0o600)?;
        let keys: String = machine.authorized_keys.iter().map(|key| format!("{key}\n")).collect();
        write_new(&target.join(path::NEW_AUTHORIZED_KEYS.trim_start_matches('/')), keys.as_bytes(), 0o600)?;
        let Partitions { system, data, format_data, .. } = self.partitions;
        let network = match &machine.network {
            Network::Dhcp => None,
            Network::Own { address, gateway, nameservers } => {
                Some(json!({ "address": address, "gateway": gateway, "nameservers": nameservers }))
            }
        };
        let values = json!({
            "network": network, "name": machine.name, "user": machine.user, "mac": mac, "updates": machine.updates,
            "system": system, "data": data.as_deref().unwrap_or_default(), "format_data": format_data,
            "rejoins": rejoins,
        });
        run(self.screen, &template::render("os/own.sh", values)?)?;
        nix::unistd::sync();
        Ok(())
    }

    /// Fills the ESP, and makes an entry of the firmware.
    pub fn make_bootable(&self) -> Result<()> {
        let values = json!({ "esp": self.partitions.esp, "system": self.partitions.system, "entry": super::firmware::DEBIAN });
        run(self.screen, &template::render("os/boot.sh", values)?)
    }

    /// When this returns, everything is on the disk.
    pub fn unmount(self) -> Result<()> {
        nix::unistd::sync();
        let folders = MOUNTS.iter().map(|(_, folder, _)| *folder).rev();
        for folder in [VARIABLES].into_iter().chain(folders).chain([""]) {
            umount(&Path::new(TARGET).join(folder)).with_context(|| format!("/{folder} of the new system can't be unmounted"))?;
        }
        Ok(())
    }
}

/// Whether the system in this partition has ever been started: systemd then writes its machine-id.
pub fn was_started(device: &str) -> Result<bool> {
    let target = Path::new(TARGET);
    // Its journal may hold that file, so it is replayed.
    mount(Some(device), target, Some("ext4"), MsFlags::MS_RDONLY, None::<&str>).with_context(|| format!("{device} can't be mounted"))?;
    let id = fs::read(target.join("etc/machine-id"));
    umount(target)?;
    Ok(!id.with_context(|| format!("{device} has no machine-id"))?.is_empty())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is cut, changed or added: such an image is never taken for the one that was ordered.
    #[test]
    fn only_the_whole_image_is_taken() {
        let system: Vec<u8> = (0..3_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let image = Image { file: "system.img.zst".to_owned(), size: system.len() as u64, sha256: hex(&Sha256::digest(&system)) };
        let packed = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
        let copied = |file: &[u8]| {
            let mut to = Vec::new();
            copy_image(file, &mut to, &image, "make the stick again", |_| {}).map(|()| to).map_err(|error| format!("{error:#}"))
        };
        let whole = packed(&system);
        assert_eq!(copied(&whole).unwrap(), system);
        let mut changed = system.clone();
        changed[11_000_000] ^= 1;
        let damaged = [
            whole[..whole.len() / 2].to_vec(),
            whole[..whole.len() - 1].to_vec(),
            whole[..3].to_vec(),
            Vec::new(),
            packed(&changed),
            packed(&system[..system.len() - 1]),
            packed(&[system.as_slice(), &[0]].concat()),
            // What follows the image is not the image.
            [whole.clone(), packed(&[0])].concat(),
            [&whole[..whole.len() / 2], &whole].concat(),
        ];
        for (at, file) in damaged.iter().enumerate() {
            let why = copied(file).unwrap_err();
            assert!(why.contains("make the stick again"), "{at}: {why}");
        }
    }
}
