//! `hostler lab`: test machines on this computer.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use hostler_core::facts::Snapshot;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::plan::{Goal, Plan};
use hostler_core::quantity::size;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::net::TcpListener;

use super::arguments::{Connecting, InventoryArgument, Planning};
use super::opener::Opening;
use super::take_over::TakingOver;
use super::up;
use super::{Ended, Status, help};
use crate::apply::{ApplyRequest, Consent, KeepKubeconfig, Means, apply};
use crate::artifact::{self, Missing};
use crate::event::Event;
use crate::inventory_file::InventoryFile;
use crate::lab::like::{self, Like};
use crate::lab::repository::Served;
use crate::lab::roster::LabMachine;
use crate::lab::state::LabState;
use crate::lab::system::System;
use crate::lab::{self, Options, access, namespace};
use crate::report::Reporter;
use crate::{home, snapshot};

/// Manage local test machines (systemd-nspawn, QEMU)
///
/// A lab is a set of machines on this computer, with real Debian or Ubuntu, systemd and sshd, to try hostler out. It needs root. To use
/// several labs, set HOSTLER_LAB to the name of one.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Up(Up),
    /// Remove the lab and everything that belongs to it
    #[command(after_long_help = help::end(&[("Remove the lab, its machines and their disks", "hostler lab down")], help::CAREFUL))]
    Down,
    /// Show the machines: address, role, power
    #[command(after_long_help = help::end(&[("Show the machines", "hostler lab list")], help::CAREFUL))]
    List,
    /// Log in to a machine, or run a command there
    ///
    /// The exit status is that of ssh.
    #[command(after_long_help = help::end(&[("Run a command", "hostler lab ssh rainbowdash journalctl -u kubelet")], PROGRAM))]
    Ssh {
        /// Name of the machine
        machine: String,
        /// Command to run [default: a shell]
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Run a local program in the lab's network, with KUBECONFIG set
    ///
    /// The exit status is that of the program.
    #[command(after_long_help = help::end(&[("Use kubectl", "hostler lab exec kubectl get nodes")], PROGRAM))]
    Exec {
        /// Program and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Forward ports of 127.0.0.1 to the lab's API server and status page, until Ctrl-C
    #[command(after_long_help = help::end(&[("Reach the API server at 127.0.0.1:7443", "hostler lab open --port 7443")], help::CAREFUL))]
    Open {
        /// Port on 127.0.0.1 for the API server; 0 chooses a free one
        #[arg(long, default_value_t = 6443, allow_negative_numbers = true)]
        port: u16,
        /// Port on 127.0.0.1 for the status page; 0 chooses a free one
        #[arg(long, default_value_t = 30080, allow_negative_numbers = true)]
        page_port: u16,
    },
    /// Connect stdin and stdout to a TCP port in the lab's network (for ssh's ProxyCommand)
    #[command(after_long_help = help::end(
        &[("Check whether sshd on a machine answers", "sudo hostler lab connect 10.77.0.11 22")],
        help::CAREFUL,
    ))]
    Connect {
        /// Address or name of a machine
        host: String,
        /// TCP port
        port: u16,
    },
    /// Cut a machine's power: unwritten data is lost
    #[command(after_long_help = help::end(&[("Cut the power to a machine", "hostler lab cut rainbowdash")], help::CAREFUL))]
    Cut {
        /// Name of the machine
        machine: String,
    },
    /// Switch machines on
    #[command(after_long_help = help::end(&[("Switch all machines on, e.g. after a reboot of this computer", "hostler lab on")], help::CAREFUL))]
    On {
        /// Names of the machines [default: all]
        machines: Vec<String>,
    },
    /// Shut a machine down
    #[command(after_long_help = help::end(&[("Shut a machine down", "hostler lab off rainbowdash")], help::CAREFUL))]
    Off {
        /// Name of the machine
        machine: String,
    },
    /// Replace a machine's disk with a freshly installed one: same address, new host key
    #[command(after_long_help = help::end(
        &[("Reinstall a machine and rejoin it to the cluster", "hostler lab blank rainbowdash && hostler rebuild rainbowdash -i INVENTORY")],
        help::CAREFUL,
    ))]
    Blank {
        /// Name of the machine
        machine: String,
    },
    /// Serve the machines' apt repository
    #[command(hide = true)]
    ServeApt {
        folders: Vec<Served>,
    },
}

/// `ssh` and `exec` end with the status of another program.
const PROGRAM: &[ExitStatus] = &[];

/// Start test machines on this computer and create a cluster on them
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[
        ("One control plane and two workers", "hostler lab up"),
        ("Three control planes and one worker", "hostler lab up --machines 4 --control-planes 3"),
        ("Rehearse with the newest snapshot of your own cluster", "hostler lab up --like inventory.yaml --from"),
    ],
    help::ALL,
))]
pub struct Up {
    /// Give the machines the names, roles, addresses and settings of this inventory; the lab can't reach other networks
    #[arg(long, value_name = "INVENTORY", conflicts_with_all = ["machines", "control_planes"])]
    pub like: Option<PathBuf>,
    /// Restore this snapshot of the inventory's cluster in the lab [default: the newest on this computer]
    #[arg(long, value_name = "SNAPSHOT", num_args = 0..=1, requires = "like")]
    pub from: Option<Option<PathBuf>>,
    #[command(flatten)]
    pub opening: Opening,
    /// Number of machines
    #[arg(long, value_name = "N", default_value_t = 3, allow_negative_numbers = true)]
    pub machines: usize,
    /// Number of control planes among them
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    pub control_planes: usize,
    /// Folder of this computer to share with every machine under the same path, as a file server would; may be repeated
    #[arg(long = "share", value_name = "FOLDER")]
    pub shares: Vec<PathBuf>,
    /// Run this machine as a virtual machine (QEMU) with its own kernel, clock and swap; it is slow if KVM does not work
    #[arg(long, value_name = "NAME")]
    pub vm: Option<String>,
    /// Operating system of the named machine: trixie (Debian 13, the default) or noble (Ubuntu 24.04); may be repeated
    #[arg(long = "system", value_name = "NAME=SYSTEM", value_parser = system)]
    pub systems: Vec<(String, System)>,
    /// Folder created by `hostler bundle create` [default: the one in the cache; fetched or built if there is none]
    #[arg(long, value_name = "FOLDER")]
    pub bundle: Option<PathBuf>,
    /// Stop once sshd answers on all machines
    #[arg(long, hide = true)]
    pub machines_only: bool,
}

/// `rainbowdash=noble`.
fn system(text: &str) -> Result<(String, System), String> {
    let (machine, system) = text.split_once('=').ok_or("pass NAME=SYSTEM, e.g. `rainbowdash=noble`")?;
    Ok((machine.to_owned(), system.parse()?))
}

/// Limit for opening a connection in the lab's network.
const CONNECTS_WITHIN: Duration = Duration::from_secs(10);

/// # Errors
/// As the functions of [`lab`]; for `up`, as [`up::up`].
pub async fn run(verb: Verb, reporter: &Reporter) -> Result<Ended> {
    let events = &reporter.events();
    match verb {
        Verb::Up(arguments) => {
            let rehearsal = rehearsal(&arguments, reporter).await?;
            let (machines_only, bundle) = (arguments.machines_only, arguments.bundle.clone());
            let Up { machines, control_planes, shares, vm, systems, .. } = arguments;
            let systems = systems.into_iter().collect();
            let Rehearsal { like, snapshot } = rehearsal;
            let options = Options { machines, control_planes, shares, vm, systems, like };
            let bundle_needed = if machines_only || bundle.is_some() { Vec::new() } else { artifact::room_needed()? };
            lab::up(options, bundle_needed, events).await?;
            reporter.result(&format!("all machines are on; their inventory is {}", lab::inventory_file().display())).await;
            if let (false, Some(snapshot)) = (machines_only, snapshot) {
                return Ok(restored(snapshot, bundle, reporter).await?.into());
            }
            if !machines_only {
                return Ok(cluster(bundle, reporter).await?.into());
            }
        }
        Verb::Down => lab::down(events).await?,
        Verb::List => list(reporter).await?,
        Verb::Ssh { machine, command } => return Ok(Status::Program(ssh(&machine, &command)?).into()),
        Verb::Exec { command } => return Ok(Status::Program(exec(&command)?).into()),
        Verb::Open { port, page_port } => open(port, page_port, reporter).await?,
        Verb::Connect { host, port } => connect(&host, port)?,
        Verb::Cut { machine } => lab::cut(&machine, events).await?,
        Verb::On { machines } => lab::on(&machines, events).await?,
        Verb::Off { machine } => lab::off(&machine, events).await?,
        Verb::Blank { machine } => lab::blank(&machine, events).await?,
        Verb::ServeApt { folders } => lab::repository::serve(&folders).await?,
    }
    Ok(ExitStatus::Done.into())
}

/// What a lab is made from, besides numbers.
#[derive(Default)]
struct Rehearsal {
    like: Option<(Like, Vec<LabMachine>)>,
    snapshot: Option<Snapshot>,
}

/// Looked at before anything is started.
async fn rehearsal(arguments: &Up, reporter: &Reporter) -> Result<Rehearsal> {
    arguments.opening.only_with_from(arguments.from.is_some())?;
    let Some(path) = &arguments.like else { return Ok(Rehearsal::default()) };
    lab::require_root("up")?;
    if !path.exists() {
        let what = format!("there is no inventory {}", path.display());
        return Err(Failure::new(ExitStatus::Usage, what, "pass the path of your own with `--like`").into());
    }
    let file = InventoryFile::load(path)?;
    let like = like::like(path, &file)?;
    let Some(from) = &arguments.from else { return Ok(Rehearsal { like: Some(like), snapshot: None }) };
    if file.inventory.control_planes().count() > 1 {
        let what = "a snapshot can be restored only where there is one control plane, and this inventory has several";
        return Err(Failure::new(ExitStatus::Usage, what, "omit `--from` to start the lab with a new cluster").into());
    }
    let from = from.clone().or_else(|| newest(&file.inventory.cluster.name)).ok_or_else(|| {
        let what = format!("there is no snapshot of {} on this computer", file.inventory.cluster.name);
        Failure::new(ExitStatus::Usage, what, "pass its file with `--from FILE`, or omit `--from` to start the lab with a new cluster")
    })?;
    let snapshot = super::rebuild::chosen(&file, Some(&from), &arguments.opening, reporter).await?;
    Ok(Rehearsal { like: Some(like), snapshot: Some(snapshot) })
}

/// The newest snapshot of a cluster on this computer: of root, or of the user who called sudo.
fn newest(cluster: &str) -> Option<PathBuf> {
    let own = snapshot::default_folder().ok();
    let sudo = std::env::var("SUDO_USER").ok().and_then(|user| home::data_of(&user)).map(|data| snapshot::folder_in(&data));
    own.into_iter().chain(sudo).find_map(|folder| snapshot::newest(&folder, cluster))
}

/// The snapshot's cluster on the lab's machines: the control plane is restored, and every worker, which the cluster knows, is new.
async fn restored(snapshot: Snapshot, bundle: Option<PathBuf>, reporter: &Reporter) -> Result<(ExitStatus, Vec<Plan>)> {
    let file = InventoryFile::load(&lab::inventory_file())?;
    let means = Means { bundles: bundle.into_iter().collect(), missing: Missing::FetchOrBuild, ..Means::default() };
    let control_plane = file.inventory.control_planes().map(|(name, _)| name.clone()).next().context("the lab has no control plane")?;
    let workers = file.inventory.workers().map(|(name, _)| Goal::Rebuild { machine: name.clone(), force_after: None });
    let goals = std::iter::once(Goal::Restore { machine: control_plane, snapshot }).chain(workers).chain([Goal::Up]);
    let mut all = Vec::new();
    for goal in goals {
        let kubeconfig = KeepKubeconfig::At(lab::kubeconfig());
        let (status, plans) =
            apply(&ApplyRequest { kubeconfig, ..ApplyRequest::new(goal, Consent::Given) }, &file, &means, reporter).await?;
        all.extend(plans);
        if status != ExitStatus::Done {
            return Ok((status, all));
        }
    }
    Ok((ExitStatus::Done, all))
}

/// The same code as `hostler up`, with the lab's inventory.
async fn cluster(bundle: Option<PathBuf>, reporter: &Reporter) -> Result<(ExitStatus, Vec<Plan>)> {
    let bundles = bundle.into_iter().collect();
    let planning = Planning { inventory: InventoryArgument::of(lab::inventory_file()), bundles, connecting: Connecting::default() };
    let arguments = up::Arguments {
        planning,
        taking_over: TakingOver::default(),
        yes: true,
        within: Duration::ZERO,
        kubeconfig: Some(lab::kubeconfig()),
    };
    up::up(&arguments, Missing::FetchOrBuild, reporter).await
}

async fn list(reporter: &Reporter) -> Result<()> {
    let Some(machines) = lab::list()? else {
        reporter.events().send(Event::Note { line: lab::state::not_up().to_string() });
        return Ok(());
    };
    let mut text = format!("{:<16} {:<12} {:<14} {:<6} {:<13} DISK\n", "MACHINE", "ADDRESS", "ROLE", "POWER", "SYSTEM");
    for listed in machines {
        let machine = listed.machine;
        let role = if machine.control_plane { "control-plane" } else { "worker" };
        let power = if listed.on { "on" } else { "off" };
        let kind = if listed.vm { " (virtual machine)" } else { "" };
        let (name, address, disk) = (&machine.name, machine.address.to_string(), size(listed.disk));
        text.push_str(&format!("{name:<16} {address:<12} {role:<14} {power:<6} {:<13} {disk}{kind}\n", machine.system.title()));
    }
    reporter.result(&text).await;
    Ok(())
}

fn ssh(machine: &str, command: &[String]) -> Result<u8> {
    lab::require_root("ssh")?;
    let state = LabState::existing()?;
    let status = access::ssh(state.machine(machine)?, &lab::executable()?)
        .args((!command.is_empty()).then_some("--"))
        .args(command)
        .status()
        .context("ssh can't be started")?;
    Ok(exit_status(status))
}

fn exec(command: &[String]) -> Result<u8> {
    lab::require_root("exec")?;
    LabState::existing()?;
    let Some((program, arguments)) = command.split_first() else { return Ok(0) };
    let mut command = Command::new(program);
    command.args(arguments).env("KUBECONFIG", lab::kubeconfig());
    let lab = namespace::of_lab();
    // SAFETY: see `namespace::enter`; under glibc the child of a fork may allocate.
    unsafe {
        command.pre_exec(move || namespace::enter(&lab));
    }
    let status = command.status().with_context(|| format!("`{program}` can't be started in the lab's network"))?;
    Ok(exit_status(status))
}

/// As shells report it: 128 plus the signal's number for a program that was ended by a signal.
fn exit_status(status: std::process::ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// Forwards ports of 127.0.0.1 to the first control plane until it is stopped: to the API server and, if the inventory has a `transcode:`
/// section, to the status page.
async fn open(port: u16, page: u16, reporter: &Reporter) -> Result<()> {
    lab::require_root("open")?;
    let state = LabState::existing()?;
    let machine = state.machines.iter().find(|machine| machine.control_plane).context("the lab has no control plane")?;
    let (api, listener) = listen(machine.address, 6443, port, "--port").await?;
    let at = listener.local_addr()?;
    let (kubeconfig, address) = (lab::kubeconfig(), machine.address);
    let kubectl = format!("kubectl --kubeconfig {} --server https://{at} --tls-server-name {address} get nodes", kubeconfig.display());
    reporter.result(&format!("https://{at} forwards to {} ({api}), until Ctrl-C\n{kubectl}", machine.name)).await;
    // `up` reports errors of the inventory.
    let films = InventoryFile::load(&lab::inventory_file()).ok().and_then(|file| file.inventory.transcode);
    let Some(films) = films else { return forward(listener, api).await };
    let (target, page) = listen(machine.address, films.page_port, page, "--page-port").await?;
    reporter.result(&format!("http://{} is the status page ({target})", page.local_addr()?)).await;
    tokio::try_join!(forward(listener, api), forward(page, target))?;
    Ok(())
}

/// A port of a machine, and a listener on 127.0.0.1 for it; `option` chooses another one.
async fn listen(address: Ipv4Addr, target: u16, port: u16, option: &str) -> Result<(SocketAddr, TcpListener)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("can't listen on 127.0.0.1:{port}\nhint: choose another port with `{option}`"))?;
    Ok((SocketAddr::new(IpAddr::V4(address), target), listener))
}

async fn forward(listener: TcpListener, target: SocketAddr) -> Result<()> {
    loop {
        let (mut near, _) = listener.accept().await?;
        tokio::spawn(async move {
            let far = tokio::task::spawn_blocking(move || namespace::connect(target, CONNECTS_WITHIN)).await;
            // A failed connection affects no other: the user sees the error in the program that opened it.
            if let Ok(Ok(far)) = far
                && far.set_nonblocking(true).is_ok()
                && let Ok(mut far) = tokio::net::TcpStream::from_std(far)
            {
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}

/// Connects stdin and stdout to a port in the lab's network. Ends when the far side closes, or when the reader of stdout is gone.
fn connect(host: &str, port: u16) -> Result<()> {
    lab::require_root("connect")?;
    let state = LabState::existing()?;
    let address = match host.parse::<IpAddr>() {
        Ok(address) => address,
        Err(_) => IpAddr::V4(state.machine(host)?.address),
    };
    let stream = namespace::connect(SocketAddr::new(address, port), CONNECTS_WITHIN)
        .with_context(|| format!("{host} port {port} can't be reached in the lab\nhint: `hostler lab list` shows which machines are on"))?;
    stream.set_nodelay(true)?;
    std::thread::spawn(end_with_reader);
    let upward = stream.try_clone()?;
    std::thread::spawn(move || send(upward));
    let mut stdout = io::stdout().lock();
    copy(stream, &mut stdout).context("the connection to the machine was lost")
}

/// Sends stdin, then closes only this direction: the far side's remaining output is still passed on.
fn send(mut stream: TcpStream) {
    let _ = copy(io::stdin().lock(), &mut stream);
    let _ = stream.shutdown(Shutdown::Write);
}

/// Ends the program when the reader of stdout is gone: with a silent far side it would otherwise run forever.
fn end_with_reader() {
    let stdout = io::stdout();
    let mut reader_gone = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    // Without requested events, only an error or a hang-up wakes it.
    if poll(&mut reader_gone, PollTimeout::NONE).is_ok() {
        std::process::exit(0);
    }
}

/// Passes bytes on as they arrive, without waiting for a full buffer.
fn copy(mut from: impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                to.write_all(&buffer[..length])?;
                to.flush()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
