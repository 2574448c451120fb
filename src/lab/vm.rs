//! A machine with a kernel, clock, swap and cgroups of its own: QEMU on the lab's bridge. What machines that share the computer's kernel
//! can't show is seen here. Where KVM does not work it is emulated, and slow.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::roster::LabMachine;
use super::state::{self, VirtualMachine};
use super::{disk, image, namespace, network, process};
use crate::workstation::program::program;
use crate::workstation::task::Task;

const QEMU: &str = "qemu-system-x86_64";
/// Linux's. That it can be opened is no proof that a kernel starts with it.
const KVM: &str = "/dev/kvm";

/// Enough for a worker with its pods, and for kubeadm, which wants two processors and 1700 MB of a control plane.
const PROCESSORS: &str = "2";
const MEMORY: &str = "2560";

/// How long a kernel may take to find that it has no disk. It took 40 s emulated.
const KVM_WITHIN: Duration = Duration::from_secs(20);
/// How long QEMU may take to do what it is told.
const OBEYS_WITHIN: Duration = Duration::from_secs(10);

/// Who runs the machine's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// The processor itself.
    Kvm,
    /// QEMU's emulation: slower by far.
    Tcg,
}

impl Accelerator {
    /// The best one that works here: a kernel is started with KVM, as the device may be there and not work.
    pub async fn detect(image: &Path, task: &Task) -> Result<Accelerator> {
        if let Err(error) = OpenOptions::new().read(true).write(true).open(KVM) {
            task.line(&format!("the processor is emulated, which is slow: {KVM} can't be used ({error})"));
            return Ok(Accelerator::Tcg);
        }
        // Without a disk the kernel gives up, restarts at once, and QEMU ends instead.
        let kernel = image::kernel(image).display().to_string();
        let fixed = ["-accel", "kvm", "-cpu", "host", "-m", "256", "-nodefaults", "-display", "none", "-no-reboot"];
        let mut command = program(QEMU, fixed);
        command.args(["-append", "panic=-1", "-kernel", &kernel]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().with_context(|| format!("`{QEMU}` can't be started"))?;
        if let Ok(status) = timeout(KVM_WITHIN, child.wait()).await
            && status?.success()
        {
            return Ok(Accelerator::Kvm);
        }
        // It may have ended meanwhile.
        let _ = child.kill().await;
        task.line(&format!("the processor is emulated, which is slow: no kernel starts with {KVM}"));
        Ok(Accelerator::Tcg)
    }

    /// How long such a machine may take from power to sshd's greeting. Measured: five minutes emulated, on a computer that was busy.
    pub fn starts_within(self) -> Duration {
        match self {
            Accelerator::Kvm => Duration::from_secs(120),
            Accelerator::Tcg => Duration::from_secs(900),
        }
    }
}

/// QEMU's arguments.
fn arguments(machine: &LabMachine, vm: &VirtualMachine) -> Vec<String> {
    let (accelerator, processor) = match vm.accelerator {
        Accelerator::Kvm => ("kvm", "host"),
        Accelerator::Tcg => ("tcg,thread=multi", "max"),
    };
    let pairs = [
        ("-name", machine.name.clone()),
        ("-accel", accelerator.to_owned()),
        ("-cpu", processor.to_owned()),
        ("-smp", PROCESSORS.to_owned()),
        ("-m", MEMORY.to_owned()),
        ("-display", "none".to_owned()),
        ("-chardev", format!("file,id=console,append=on,path={}", state::console(&machine.name).display())),
        ("-serial", "chardev:console".to_owned()),
        ("-qmp", format!("unix:{},server=on,wait=off", monitor(&machine.name).display())),
        ("-kernel", image::kernel(&vm.image).display().to_string()),
        // Of all disks only this kind needs no module, and so no initrd.
        ("-append", "root=/dev/nvme0n1 rootwait rw console=ttyS0 quiet".to_owned()),
        ("-drive", drive(&machine.name)),
        ("-device", "nvme,drive=disk,serial=lab".to_owned()),
        ("-netdev", format!("tap,id=cable,ifname={},script=no,downscript=no", network::port(machine))),
        // It never starts from the network, and without a ROM for that needs no further package.
        ("-device", format!("virtio-net-pci,netdev=cable,mac={},romfile=", network::mac(machine))),
    ];
    let mut arguments = vec!["-nodefaults".to_owned()];
    arguments.extend(pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]));
    arguments
}

/// The argument that tells a machine's QEMU from all others.
fn drive(machine: &str) -> String {
    // A comma in a value is written twice (qemu(1)).
    let file = disk::file(machine).display().to_string().replace(',', ",,");
    format!("if=none,id=disk,format=raw,discard=unmap,file={file}")
}

/// The machine's QEMU, while it is on.
pub fn process_of(machine: &str) -> Option<Pid> {
    process::with_argument(Path::new(&drive(machine))).into_iter().next()
}

/// Where QEMU takes commands (QMP).
fn monitor(machine: &str) -> PathBuf {
    state::machine_folder(machine).join("qmp")
}

/// Starts a machine that is off, with its cable plugged in. It lives on without hostler.
pub fn start(machine: &LabMachine, vm: &VirtualMachine) -> Result<Child> {
    let console = state::console(&machine.name);
    let log = OpenOptions::new().create(true).append(true).open(&console).context("the console's log can't be opened")?;
    // Emulation takes all the time that processors have. The other machines go first: the cluster's control plane is one of them.
    let mut command = Command::new("nice");
    command.args(["-n", "5", QEMU]).args(arguments(machine, vm)).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let lab = namespace::of_lab();
    // SAFETY: see `repository::start`.
    unsafe {
        command.pre_exec(move || {
            nix::unistd::setsid()?;
            namespace::enter(&lab)
        });
    }
    command.spawn().with_context(|| format!("{} can't be started", machine.name))
}

/// Presses the machine's power button. It does nothing before the machine's systemd listens for it.
pub async fn press_power_button(machine: &str) -> Result<()> {
    let socket = monitor(machine);
    let press = async {
        let (answers, mut commands) = UnixStream::connect(&socket).await?.into_split();
        let mut answers = BufReader::new(answers);
        // QEMU greets, and takes nothing else before this one (QEMU's docs/interop/qmp-spec).
        for command in ["qmp_capabilities", "system_powerdown"] {
            commands.write_all(format!("{}\n", json!({ "execute": command })).as_bytes()).await?;
            obeyed(&mut answers).await.with_context(|| format!("QEMU does not take `{command}`"))?;
        }
        Ok(())
    };
    timeout(OBEYS_WITHIN, press)
        .await
        .unwrap_or_else(|_| bail!("QEMU does not answer within {} s", OBEYS_WITHIN.as_secs()))
        .with_context(|| format!("the power button of {machine} can't be pressed"))
}

/// Reads QEMU's answer to the last command, past its greeting and events.
async fn obeyed(answers: &mut (impl AsyncBufRead + Unpin)) -> Result<()> {
    loop {
        let mut line = String::new();
        if answers.read_line(&mut line).await? == 0 {
            bail!("it hung up");
        }
        let answer: Value = serde_json::from_str(&line).context("its answer is no JSON")?;
        if let Some(error) = answer.get("error") {
            bail!("it says {error}");
        }
        if answer.get("return").is_some() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::roster::roster;

    #[test]
    fn kvm_takes_the_processor_as_it_is_and_emulation_all_that_it_can() {
        let machine = &roster(2, 1)[1];
        let text = |accelerator| {
            let vm = VirtualMachine { machine: machine.name.clone(), image: "/cache/image".into(), accelerator };
            arguments(machine, &vm).join(" ")
        };
        let (kvm, tcg) = (text(Accelerator::Kvm), text(Accelerator::Tcg));
        assert!(kvm.contains("-accel kvm -cpu host "), "{kvm}");
        assert!(tcg.contains("-accel tcg,thread=multi -cpu max "), "{tcg}");
        for part in [
            "-kernel /cache/image/vmlinuz ",
            "file=/var/lib/hostler/lab/machines/rainbowdash/disk.img ",
            "ifname=v12,",
            "mac=02:68:6f:73:74:0c,",
        ] {
            assert!(tcg.contains(part), "{part} in {tcg}");
        }
    }

    #[tokio::test]
    async fn qemus_greeting_and_events_are_no_answers() {
        let said = |text: &'static str| async move { obeyed(&mut text.as_bytes()).await.map_err(|error| format!("{error:#}")) };
        assert_eq!(said("{\"QMP\": {}}\n{\"event\": \"RESUME\"}\n{\"return\": {}}\n").await, Ok(()));
        let refused = said("{\"QMP\": {}}\n{\"error\": {\"class\": \"CommandNotFound\"}}\n").await;
        assert_eq!(refused, Err("it says {\"class\":\"CommandNotFound\"}".to_owned()));
        assert_eq!(said("{\"QMP\": {}}\n").await, Err("it hung up".to_owned()));
    }
}
