//! A machine with its own kernel, clock, swap and cgroups: QEMU on the lab's bridge. It shows what machines that share the computer's kernel
//! can't. Without KVM it is emulated, and slow.

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
/// Even if it can be opened, a kernel may not start with it.
const KVM: &str = "/dev/kvm";

/// Enough for a worker with its pods, and for a control plane: kubeadm requires two processors and 1700 MB.
const PROCESSORS: &str = "2";
const MEMORY: &str = "2560";

/// Limit for a kernel to find out that it has no disk. Emulated, it took 40 s.
const KVM_WITHIN: Duration = Duration::from_secs(20);
/// Limit for a command to QEMU.
const OBEYS_WITHIN: Duration = Duration::from_secs(10);

/// What executes the machine's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// The processor itself.
    Kvm,
    /// QEMU's emulation: slower by far.
    Tcg,
}

impl Accelerator {
    /// The best one that works here. It starts a kernel with KVM, as the device may exist and not work.
    pub async fn detect(image: &Path, task: &Task) -> Result<Accelerator> {
        if let Err(error) = OpenOptions::new().read(true).write(true).open(KVM) {
            task.line(&format!("using emulation, which is slow: {KVM} can't be opened ({error})"));
            return Ok(Accelerator::Tcg);
        }
        // Without a disk the kernel panics and reboots at once, which ends QEMU.
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
        // It may have ended already.
        let _ = child.kill().await;
        task.line(&format!("using emulation, which is slow: a test kernel does not boot with {KVM}"));
        Ok(Accelerator::Tcg)
    }

    /// Limit from power on to sshd's banner. Measured: five minutes, emulated on a busy computer.
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
        // Only this type of disk needs no module, and so no initrd.
        ("-append", "root=/dev/nvme0n1 rootwait rw console=ttyS0 quiet".to_owned()),
        ("-drive", drive(&machine.name)),
        ("-device", "nvme,drive=disk,serial=lab".to_owned()),
        ("-netdev", format!("tap,id=cable,ifname={},script=no,downscript=no", network::port(machine))),
        // Without a boot ROM for the network card, no other package is needed.
        ("-device", format!("virtio-net-pci,netdev=cable,mac={},romfile=", network::mac(machine))),
    ];
    let mut arguments = vec!["-nodefaults".to_owned()];
    arguments.extend(pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]));
    arguments
}

/// The argument that identifies a machine's QEMU.
fn drive(machine: &str) -> String {
    // A comma in a value is written twice (qemu(1)).
    let file = disk::file(machine).display().to_string().replace(',', ",,");
    format!("if=none,id=disk,format=raw,discard=unmap,file={file}")
}

/// The machine's QEMU, while it is on.
pub fn process_of(machine: &str) -> Option<Pid> {
    process::with_argument(Path::new(&drive(machine))).into_iter().next()
}

/// The socket for commands to QEMU (QMP).
fn monitor(machine: &str) -> PathBuf {
    state::machine_folder(machine).join("qmp")
}

/// Starts a machine that is off and has its network port. It continues to run without hostler.
pub fn start(machine: &LabMachine, vm: &VirtualMachine) -> Result<Child> {
    let console = state::console(&machine.name);
    let log = OpenOptions::new().create(true).append(true).open(&console).context("the console's log can't be opened")?;
    // Emulation uses all processor time. Other machines have priority: the control plane is one of them.
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

/// Presses the machine's power button. It has no effect before the machine's systemd listens for it.
pub async fn press_power_button(machine: &str) -> Result<()> {
    let socket = monitor(machine);
    let press = async {
        let (answers, mut commands) = UnixStream::connect(&socket).await?.into_split();
        let mut answers = BufReader::new(answers);
        // QEMU sends a greeting, and accepts only this command first (QEMU's docs/interop/qmp-spec).
        for command in ["qmp_capabilities", "system_powerdown"] {
            commands.write_all(format!("{}\n", json!({ "execute": command })).as_bytes()).await?;
            obeyed(&mut answers).await.with_context(|| format!("QEMU did not accept `{command}`"))?;
        }
        Ok(())
    };
    timeout(OBEYS_WITHIN, press)
        .await
        .unwrap_or_else(|_| bail!("QEMU did not answer within {} s", OBEYS_WITHIN.as_secs()))
        .with_context(|| format!("could not press the virtual power button of {machine}"))
}

/// Reads QEMU's answer to the last command, past its greeting and events.
async fn obeyed(answers: &mut (impl AsyncBufRead + Unpin)) -> Result<()> {
    loop {
        let mut line = String::new();
        if answers.read_line(&mut line).await? == 0 {
            bail!("QEMU closed the connection");
        }
        let answer: Value = serde_json::from_str(&line).context("QEMU's answer is not valid JSON")?;
        if let Some(error) = answer.get("error") {
            bail!("QEMU answered {error}");
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
    fn kvm_uses_the_host_processor_and_emulation_the_maximum() {
        let machine = &roster(2, 1)[1];
        let text = |accelerator| {
            let vm = VirtualMachine { machine: machine.name.clone(), image: "/cache/image".into(), accelerator };
            arguments(machine, &vm).join(" ")
        };
        let (kvm, tcg) = (text(Accelerator::Kvm), text(Accelerator::Tcg));
        assert!(kvm.contains("-accel kvm -cpu host "), "{kvm}");
        assert!(tcg.contains("-accel tcg,thread=multi -cpu max "), "{tcg}");
        for part in ["-kernel /cache/image/vmlinuz ", "/machines/rainbowdash/disk.img ", "ifname=v12,", "mac=02:68:6f:73:74:0c,"] {
            assert!(tcg.contains(part), "{part} in {tcg}");
        }
    }

    #[tokio::test]
    async fn greeting_and_events_of_qemu_are_not_answers() {
        let result = |text: &'static str| async move { obeyed(&mut text.as_bytes()).await.map_err(|error| format!("{error:#}")) };
        assert_eq!(result("{\"QMP\": {}}\n{\"event\": \"RESUME\"}\n{\"return\": {}}\n").await, Ok(()));
        let refused = result("{\"QMP\": {}}\n{\"error\": {\"class\": \"CommandNotFound\"}}\n").await;
        assert_eq!(refused, Err("QEMU answered {\"class\":\"CommandNotFound\"}".to_owned()));
        assert_eq!(result("{\"QMP\": {}}\n").await, Err("QEMU closed the connection".to_owned()));
    }
}
