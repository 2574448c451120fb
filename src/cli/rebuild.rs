//! `hostler rebuild`: a machine leaves and joins again, after a new disk, a reinstallation or a defect.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use hostler_core::facts::Snapshot;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::MachineName;
use hostler_core::plan::refusal::Why;
use hostler_core::plan::reinstall::{Installation, Leaving};
use hostler_core::plan::{Goal, Plan};

use super::arguments::{OTHER_CLUSTER, Planning, machine_named};
use super::help;
use super::length::length;
use super::opener::Opening;
use super::provision;
use super::take_over::TakingOver;
use crate::apply::{ApplyRequest, Consent, KeepKubeconfig, Typed, apply};
use crate::connect;
use crate::event::Event;
use crate::inventory_file::InventoryFile;
use crate::lab::like;
use crate::os::reinstall::{Prepared, prepare};
use crate::report::Reporter;
use crate::snapshot;
use crate::ssh::{self, Pin, Reason, Session, fingerprint};

/// Between two attempts to reach a machine.
const PAUSE: Duration = Duration::from_secs(4);

/// Remove a machine, wipe it if needed, and rejoin it to the cluster
///
/// For a machine with a new disk, a reinstalled system or a broken node. Its pods are evicted, its node leaves the cluster, and the machine
/// joins again with the same name. If its host key has changed, you confirm the new one, here or with --host-key, and hostler updates the
/// inventory or known_hosts. If the machine was the only control plane, --from restores the cluster from a snapshot.
#[derive(Debug, Args)]
#[command(after_long_help = help::end(
    &[
        ("Join a reinstalled worker again", "hostler rebuild rainbowdash"),
        ("Reinstall a worker's system, and join it again", "hostler rebuild rainbowdash --os"),
        ("Reinstall the systems of all machines, one after the other", "hostler rebuild --os --all"),
        ("Restore the only control plane from the newest snapshot", "hostler rebuild twilightsparkle --from"),
    ],
    help::ALL,
))]
pub struct Arguments {
    /// Name of the machine in the inventory
    #[arg(required_unless_present = "all")]
    machine: Option<String>,
    #[command(flatten)]
    taking_over: TakingOver,
    #[command(flatten)]
    planning: Planning,
    /// Reinstall its system first, over SSH: erases the disk that the system is on, except for hostler's data partition (/srv)
    #[arg(long, conflicts_with_all = ["from", "new_cluster", "take_over", "wait", "host_key"])]
    os: bool,
    /// With --os: reinstall all machines that do not have this system yet, one at a time, except for the only control plane
    #[arg(long, requires = "os", conflicts_with = "machine")]
    all: bool,
    /// With --os: do not wait for films that are being encoded: they start over afterwards
    #[arg(long, requires = "os")]
    now: bool,
    /// Restore the only control plane from this snapshot [default: the newest in ~/.local/share/hostler/snapshots]
    #[arg(long, value_name = "SNAPSHOT", num_args = 0..=1)]
    from: Option<Option<PathBuf>>,
    #[command(flatten)]
    opening: Opening,
    /// Wipe all machines and create a new cluster, when the only control plane is lost and no snapshot exists
    #[arg(long, conflicts_with = "from")]
    new_cluster: bool,
    /// Create the new cluster without asking; NAME is the cluster's name
    #[arg(long, value_name = "NAME", requires = "new_cluster", conflicts_with = "os")]
    yes_new_cluster: Option<String>,
    /// Time after which pods are deleted regardless of PodDisruptionBudgets, e.g. 90s or 10m
    #[arg(long, value_name = "TIME", value_parser = length, allow_hyphen_values = true, conflicts_with_all = ["from", "new_cluster"])]
    force_after: Option<Duration>,
    /// If the machine can't be reached, wait for it; without TIME, for 1h
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1h", value_parser = length)]
    wait: Option<Duration>,
    /// Fingerprint of the machine's new host key, SHA256:..., to accept it without asking
    #[arg(long, value_name = "FINGERPRINT", value_parser = new_fingerprint)]
    host_key: Option<Pin>,
    /// Apply the plan without asking; a changed host key is accepted only with --host-key
    #[arg(long, short)]
    yes: bool,
}

fn new_fingerprint(text: &str) -> Result<Pin, String> {
    match Pin::parse(text) {
        Ok(pin @ Pin::Fingerprint(_)) => Ok(pin),
        _ => Err("pass the fingerprint as `ssh-keygen -l` prints it: SHA256:...".to_owned()),
    }
}

/// # Errors
/// As [`apply`]; a host key that was not accepted.
pub async fn run(arguments: &Arguments, reporter: &Reporter) -> Result<(ExitStatus, Vec<Plan>)> {
    arguments.opening.only_with_from(arguments.from.is_some())?;
    let file = arguments.planning.inventory.load()?;
    let name = arguments.machine.as_ref().map(|machine| machine_named(&file.inventory, machine)).transpose()?;
    let Some(name) = name.filter(|_| !arguments.os) else { return reinstall(&file, arguments, reporter).await };
    let request = request(&file, name.clone(), arguments, reporter).await?;
    let means = arguments.planning.means();
    let file = with_host_key(file, &name, arguments, reporter).await?;
    let (status, mut plans) = apply(&request, &file, &means, reporter).await?;
    let Some(wait) = arguments.wait.filter(|_| status == ExitStatus::Unreachable) else { return Ok((status, plans)) };
    // What else is refused does not go away by waiting.
    if plans.iter().flat_map(|plan| &plan.refusals).any(|refusal| refusal.why != Why::Unreachable) {
        return Ok((status, plans));
    }
    // The cluster's part is done; the rest needs the machine.
    if !reached(&file, &name, arguments, wait, reporter).await? {
        return Ok((status, plans));
    }
    let file = with_host_key(file, &name, arguments, reporter).await?;
    let (status, then) = apply(&request, &file, &means, reporter).await?;
    // Where nothing was applied, there is no time of it.
    plans.retain(|plan| !plan.steps.is_empty());
    plans.extend(then);
    Ok((status, plans))
}

/// `--os`: of one machine, or of all.
async fn reinstall(file: &InventoryFile, arguments: &Arguments, reporter: &Reporter) -> Result<(ExitStatus, Vec<Plan>)> {
    let inventory = &file.inventory;
    let os = provision::section(inventory)?;
    let machine = arguments.machine.as_ref().map(|machine| machine_named(inventory, machine)).transpose()?;
    // Before an image is built, which takes minutes.
    for (name, own) in inventory.machines.iter().filter(|(name, _)| machine.as_ref().is_none_or(|machine| machine == *name)) {
        provision::installed_user(name, &connect::target(name, own)?)?;
    }
    // Its files are sent while the plan is carried out.
    let prepared = prepare(os.release, true, &reporter.events()).await?;
    let leaving = Leaving { now: arguments.now, force_after: arguments.force_after.map(|time| time.as_secs()) };
    let goal = match machine {
        Some(machine) => {
            let installation = Box::new(installation(file, &machine, &prepared, arguments, reporter).await?);
            Goal::Reinstall { machine, installation, leaving }
        }
        None => {
            let mut installations = BTreeMap::new();
            for name in inventory.machines.keys() {
                installations.insert(name.clone(), installation(file, name, &prepared, arguments, reporter).await?);
            }
            Goal::ReinstallAll { installations, leaving }
        }
    };
    apply(&ApplyRequest::new(goal, Consent::yes_if(arguments.yes)), file, &arguments.planning.means(), reporter).await
}

/// What is installed on this machine, and how it is known and reached now.
async fn installation(
    file: &InventoryFile,
    name: &MachineName,
    prepared: &Prepared,
    arguments: &Arguments,
    reporter: &Reporter,
) -> Result<Installation> {
    let target = connect::target(name, &file.inventory.machines[name.as_str()])?;
    let access = connect::access(ssh::Limits::default(), &file.inventory, arguments.planning.connecting.new_host_keys(), reporter)?;
    // Of a machine that can't be reached the plan says so.
    let session = Session::connect(&target, &access).await.ok();
    let login_key = session.as_ref().and_then(|session| session.login_key()).and_then(|key| key.to_openssh().ok());
    Ok(Installation {
        installer: prepared.installer.clone(),
        image: prepared.image.clone(),
        built: prepared.built.clone(),
        host_keys: ssh::known_ed25519(&target).into_iter().collect(),
        // Without the comment.
        login_key: login_key.map(|key| key.split_whitespace().take(2).collect::<Vec<_>>().join(" ")),
        user: target.user,
    })
}

/// Waits until something answers at the machine's address, with whatever host key.
async fn reached(file: &InventoryFile, name: &MachineName, arguments: &Arguments, limit: Duration, reporter: &Reporter) -> Result<bool> {
    let target = connect::target(name, &file.inventory.machines[name.as_str()])?;
    let (start, events, task) = (Instant::now(), reporter.events(), name.to_string());
    let what = format!("waiting for {name}, at most {} min", limit.as_secs().div_ceil(60));
    events.send(Event::TaskStarted { task: task.clone(), what });
    let reached = loop {
        let access = connect::access(ssh::Limits::default(), &file.inventory, arguments.planning.connecting.new_host_keys(), reporter)?;
        match Session::connect(&target, &access).await {
            Err(error) if error.is_retryable() => {}
            _ => break true,
        }
        let left = limit.saturating_sub(start.elapsed());
        if left.is_zero() {
            break false;
        }
        tokio::time::sleep(PAUSE.min(left)).await;
    };
    events.send(match reached {
        true => Event::TaskFinished { task, took: start.elapsed() },
        false => Event::TaskFailed { task, reason: format!("{name} can't be reached yet") },
    });
    Ok(reached)
}

async fn request(file: &InventoryFile, machine: MachineName, arguments: &Arguments, reporter: &Reporter) -> Result<ApplyRequest> {
    let inventory = &file.inventory;
    let cluster = &inventory.cluster.name;
    let goal = |goal: Goal| {
        // A new cluster concerns all machines.
        let only = if arguments.new_cluster { None } else { Some(&machine) };
        arguments.taking_over.goal(goal, only, inventory)
    };
    if arguments.new_cluster {
        if let Some(given) = arguments.yes_new_cluster.as_ref().filter(|given| *given != cluster) {
            let message = format!("the cluster of this inventory is `{cluster}`, not `{given}`");
            return Err(Failure::new(ExitStatus::Usage, message, OTHER_CLUSTER).into());
        }
        let typed = Typed {
            what: "all objects and data of the old cluster will be lost; this can't be undone",
            name: cluster.clone(),
            hint: "pass `--yes-new-cluster NAME` to do this without asking",
        };
        let consent = if arguments.yes_new_cluster.is_some() { Consent::Given } else { Consent::Typed(typed) };
        let kubeconfig = KeepKubeconfig::Default;
        return Ok(ApplyRequest { kubeconfig, ..ApplyRequest::new(goal(Goal::NewCluster(machine.clone()))?, consent) });
    }
    let Some(from) = &arguments.from else {
        let goal = goal(Goal::Rebuild { machine: machine.clone(), force_after: arguments.force_after.map(|time| time.as_secs()) })?;
        return Ok(ApplyRequest::new(goal, Consent::yes_if(arguments.yes)));
    };
    let snapshot = chosen(file, from.as_deref(), &arguments.opening, reporter).await?;
    Ok(ApplyRequest::new(goal(Goal::Restore { machine: machine.clone(), snapshot })?, Consent::yes_if(arguments.yes)))
}

/// The snapshot to restore an inventory's cluster from. `from`: `None`: the newest on this computer.
///
/// # Errors
/// There is none, or it can't be opened.
pub async fn chosen(file: &InventoryFile, from: Option<&Path>, opening: &Opening, reporter: &Reporter) -> Result<Snapshot> {
    let cluster = &file.inventory.cluster.name;
    let file = match from {
        Some(file) => file.to_owned(),
        None => {
            let folder = like::snapshots(file)?;
            snapshot::newest(&folder, cluster).ok_or_else(|| {
                let message = format!("there is no snapshot of {cluster} in {}", folder.display());
                Failure::new(ExitStatus::Usage, message, "pass `--from FILE`; without a snapshot, `--new-cluster` creates a new cluster")
            })?
        }
    };
    let secret = opening.of(&file, reporter).await?;
    let snapshot = snapshot::open(&file, secret.opener())?;
    Ok(snapshot)
}

/// A reinstalled machine has a new host key. Only here, and only for the machine that is rebuilt, may it replace the old one in known_hosts
/// or in the inventory.
async fn with_host_key(file: InventoryFile, name: &MachineName, arguments: &Arguments, reporter: &Reporter) -> Result<InventoryFile> {
    let target = connect::target(name, &file.inventory.machines[name.as_str()])?;
    let access = connect::access(ssh::Limits::default(), &file.inventory, arguments.planning.connecting.new_host_keys(), reporter)?;
    let Err(error) = Session::connect(&target, &access).await else { return Ok(file) };
    if let Reason::NeighboursHostKey { .. } = *error.reason {
        return Err(Failure::new(ExitStatus::Refused, error.to_string(), error.hint()).into());
    }
    let Reason::HostKeyChanged { expected, got, place } = *error.reason else { return Ok(file) };
    reporter.result(&format!("the host key of {name} has changed\n  old: {expected}\n  new: {}", fingerprint(&got))).await;
    const LOOK: &str = "on the machine, `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` shows the fingerprint of its host key";
    match &arguments.host_key {
        Some(pin) if pin.is(&got) => {}
        Some(pin) => {
            let message = format!("the host key of {name} is not the one given with `--host-key` ({})", pin.fingerprint());
            return Err(Failure::new(ExitStatus::Refused, message, LOOK).into());
        }
        None if arguments.yes => {
            let message = format!("the host key of {name} has changed, and `--yes` does not accept a changed host key");
            let hint = format!("{LOOK}; pass that fingerprint with `--host-key`, or omit `--yes` to be asked");
            return Err(Failure::new(ExitStatus::Refused, message, hint).into());
        }
        None => {
            if !reporter
                .asker()
                .yes_no(
                    "accept the new host key?",
                    "pass the fingerprint of the new host key with `--host-key \
                SHA256:...`",
                )
                .await?
            {
                return Err(Failure::new(ExitStatus::Failed, "the new host key was not accepted", LOOK).into());
            }
        }
    }
    match place {
        Some(_) => {
            ssh::replace(&target, &got).context("known_hosts can't be changed")?;
            for old in ssh::other_entries(&target, &got) {
                let line = format!(
                    "{}:{} still trusts another host key for {name}: delete that line if the key is the old one",
                    old.file.display(),
                    old.line
                );
                reporter.events().send(Event::Warning { line });
            }
            Ok(file)
        }
        None => file.with_host_key(name, &got.to_openssh()?),
    }
}
