//! What `benches/hosts/run.sh` measures of hostler: `prepare INVENTORY` and `limit INVENTORY`.
//!
//! `prepare` is `hostler up` as far as the benchmark goes: log in, look at every machine, plan, carry out, look again. The planner makes the
//! whole plan of a cluster; only the steps that the other tools are given, too, are carried out. `limit` is what SSH and one shell script a
//! machine cost on hostler's own connections: nothing that looks at so many things by SSH is much faster.
//!
//! Beside that, `look INVENTORY` tells what is not yet done, whoever did it, and `write INVENTORY FOLDER` what the other tools are to put there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use hostler::artifact::own_arch;
use hostler::connect::{self, login};
use hostler::execute::{Run, execute, gather};
use hostler::inventory_file::InventoryFile;
use hostler::report::{Commands, Paint, Reporter, Style, error_text};
use hostler::ssh::{Exit, NewHostKeys, Part};
use hostler_core::action::File;
use hostler_core::digest::sha256;
use hostler_core::facts::{Facts, Observation};
use hostler_core::inventory::{Cni, Inventory, MachineName};
use hostler_core::manifest::Manifest;
use hostler_core::plan::{Plan, plan, wanted};
use hostler_core::step::StepKind;
use tokio::task::JoinSet;

/// Steps of a plan that the benchmark is about.
const PREPARATION: [StepKind; 7] =
    [StepKind::Packages, StepKind::Swap, StepKind::Modules, StepKind::Sysctls, StepKind::Hostname, StepKind::Hosts, StepKind::Containerd];

/// The unit that is enabled.
const UNIT: &str = "containerd.service";

/// As many rounds as `hostler up` goes.
const ROUNDS: usize = 5;

/// What a careful person would write: looks, and changes what is missing or differs.
const SCRIPT: &str = include_str!("limit.sh");

#[tokio::main]
async fn main() -> ExitCode {
    // cargo bench adds an option of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["prepare", inventory] => prepare(inventory).await,
        ["limit", inventory] => limit(inventory).await,
        ["look", inventory] => look(inventory).await,
        ["write", inventory, folder] => write(inventory, folder.as_ref()).map(|()| 0),
        _ => {
            eprintln!("this is a part of benches/hosts/run.sh: run that, as root");
            return ExitCode::from(2);
        }
    };
    match done {
        // run.sh counts them.
        Ok(failed) => {
            println!("failed {failed}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprint!("{}", error_text(&error, Paint::wanted(false), None, &Commands::default()));
            ExitCode::FAILURE
        }
    }
}

/// How many machines are not as they should be in the end.
async fn prepare(file: &str) -> Result<usize> {
    let inventory = InventoryFile::load(file.as_ref())?.inventory;
    let reporter = Reporter::start(Style::Lines, "bench", Some(format!("{file}.log").into()), Commands::default());
    let links = connect::links(&inventory, NewHostKeys::Ask, &reporter)?;
    let mut seen = login::observe(&links, &wanted::question(None, None, Vec::new())?, &reporter).await?;
    let run = Run::new(format!("bench-{}", std::process::id()), None, links, reporter.events(), reporter.redactor());
    for _ in 0..ROUNDS {
        let plan = preparation(plan(&inventory, &manifest().into(), &seen)?)?;
        if plan.steps.is_empty() {
            let unreachable = seen.values().filter(|seen| matches!(seen, Observation::Unreachable(_))).count();
            reporter.finish(Some(vec![plan])).await;
            return Ok(unreachable);
        }
        reporter.plan(&plan).await;
        let outcome = execute(&run, &plan).await;
        if !outcome.failed.is_empty() {
            reporter.finish(Some(vec![plan])).await;
            let failed: BTreeSet<_> = outcome.failed.keys().map(|step| step.machine.as_str()).collect();
            return Ok(failed.len());
        }
        seen = gather::gather(&run.links, &wanted::question(None, None, Vec::new())?, &reporter.events()).await?;
    }
    bail!("there is still something to do after {ROUNDS} rounds")
}

/// The plan without what needs the programs and images of a bundle.
fn preparation(mut plan: Plan) -> Result<Plan> {
    if let Some(refusal) = plan.refusals.first() {
        bail!("{}: {}", refusal.machine.as_ref().map_or("all", |machine| machine.as_str()), refusal.why);
    }
    plan.steps.retain(|step| PREPARATION.contains(&step.id.kind));
    let kept: Vec<_> = plan.steps.iter().map(|step| step.id.clone()).collect();
    for step in &mut plan.steps {
        step.needs.retain(|need| kept.contains(need));
    }
    plan.warnings.clear();
    Ok(plan)
}

/// How many machines are not as they should be; changes nothing.
async fn look(file: &str) -> Result<usize> {
    let inventory = InventoryFile::load(file.as_ref())?.inventory;
    let reporter = Reporter::start(Style::Lines, "bench", None, Commands::default());
    let links = connect::links(&inventory, NewHostKeys::Ask, &reporter)?;
    let seen = gather::gather(&links, &wanted::question(None, None, Vec::new())?, &reporter.events()).await?;
    let plan = preparation(plan(&inventory, &manifest().into(), &seen)?)?;
    for step in &plan.steps {
        eprintln!("{}: {}", step.id, step.reason);
    }
    reporter.finish(None).await;
    let machines = seen
        .iter()
        .filter(|(name, seen)| matches!(seen, Observation::Unreachable(_)) || plan.steps.iter().any(|step| step.machine == **name));
    Ok(machines.count())
}

/// How many machines a script of their own failed on.
async fn limit(file: &str) -> Result<usize> {
    let inventory = InventoryFile::load(file.as_ref())?.inventory;
    let files = files(&inventory)?;
    let payload: Vec<u8> = files.iter().flat_map(|file| file.content.bytes()).collect();
    let reporter = Reporter::start(Style::Lines, "bench", None, Commands::default());
    let links = connect::links(&inventory, NewHostKeys::Ask, &reporter)?;
    let mut running = JoinSet::new();
    for (name, link) in links {
        let script = script(&inventory, &name, &files);
        let payload = payload.clone();
        running.spawn(async move {
            let ended = match link.session().await {
                Ok(session) => session.run(&script, vec![Part::Bytes(payload)], |_| {}, |line| eprintln!("{name}: {line}")).await,
                Err(error) => Err(error),
            };
            let failed = !matches!(ended, Ok(Exit::Status(0)));
            if failed {
                eprintln!("{name}: {ended:?}");
            }
            failed
        });
    }
    let failed = running.join_all().await.into_iter().filter(|failed| *failed).count();
    reporter.finish(None).await;
    Ok(failed)
}

/// What limit.sh does not know by itself stands above it.
fn script(inventory: &Inventory, name: &MachineName, files: &[File]) -> String {
    let list = |line: fn(&File) -> String| files.iter().map(line).collect::<Vec<_>>().join("\n");
    let sums = list(|file| format!("{}  {}", sha256(file.content.as_bytes()), file.path));
    let sizes = list(|file| format!("{} {}", file.content.len(), file.path));
    let hosts = hosts(inventory, name).join("\n");
    // No word here has a quote in it.
    format!("name='{name}'\nhosts='{hosts}'\nsums='{sums}'\nsizes='{sizes}'\nunit='{UNIT}'\n{SCRIPT}")
}

/// Writes what all tools are to put on machines below `folder`: the files in their places, and the lines of each machine's /etc/hosts as
/// `hosts/NAME`.
fn write(file: &str, folder: &Path) -> Result<()> {
    let inventory = InventoryFile::load(file.as_ref())?.inventory;
    for file in files(&inventory)? {
        let path = folder.join(file.path.trim_start_matches('/'));
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, file.content)?;
    }
    fs::create_dir_all(folder.join("hosts"))?;
    for name in inventory.machines.keys() {
        fs::write(folder.join("hosts").join(name.as_str()), hosts(&inventory, name).join("\n") + "\n")?;
    }
    Ok(())
}

fn files(inventory: &Inventory) -> Result<Vec<File>> {
    let mut files = vec![wanted::modules_file(inventory.cluster.cni == Cni::Flannel), wanted::sysctl_file(&BTreeMap::new())];
    // The same on all machines, as none has a render node.
    let (first, _) = inventory.machines.first().context("the inventory has no machines")?;
    files.extend(wanted::containerd_files(inventory, &manifest(), first, &Facts::default())?);
    Ok(files)
}

/// The first control plane has the endpoint's name.
fn hosts(inventory: &Inventory, name: &MachineName) -> Vec<String> {
    let endpoint = inventory.control_planes().next().map(|(_, machine)| machine.address);
    wanted::hosts(inventory, name, &inventory.machines[name.as_str()], endpoint)
}

/// A bundle with nothing in it: no step of the preparation needs one.
fn manifest() -> Manifest {
    Manifest { schema: 1, kubernetes: "1.36.3".to_owned(), arch: own_arch(), files: Vec::new(), images: Vec::new() }
}
