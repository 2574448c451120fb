//! What every verb that changes machines does: observe, plan, show, ask, apply, and observe again until nothing is left to do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use hostler_core::arch::Arch;
use hostler_core::facts::{ClusterFacts, Contact, Observation, Question};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::{Inventory, MachineName};
use hostler_core::manifest::Manifests;
use hostler_core::plan::goal::Questions;
use hostler_core::plan::{Goal, Plan, plan_for, reinstall, rollback, silence, upgrade, version, wanted};
use hostler_core::quantity;
use hostler_core::step::{Stage, StepId, StepKind};
use hostler_core::trusted::trusted_of;
use hostler_core::words::{and, counted};

use crate::artifact::{self, Bundles, Known, Missing};
use crate::connect::{self, login};
use crate::event::{Event, Events};
use crate::execute::{Link, Outcome, Run, execute, gather, identity};
use crate::inventory_file::InventoryFile;
use crate::kubeconfig::fetch::{self, Wanted};
use crate::kubeconfig::person::Person;
use crate::kubeconfig::{self, Access, renewal};
use crate::report::{Reporter, row, table};
use crate::ssh::NewHostKeys;

mod accepted;
pub mod backup;
mod closing;
pub mod fragments;
mod newest;
pub mod settings;
mod validator;

/// Each round makes a plan from fresh facts. A goal that is not reached after this many rounds never will be.
const ROUNDS: usize = 5;

/// Each machine that gets a new system needs one for that, one to join, and one that finds nothing left to do.
fn rounds(goal: &Goal, inventory: &Inventory) -> usize {
    match goal {
        Goal::ReinstallAll { .. } => ROUNDS + 3 * inventory.machines.len(),
        _ => ROUNDS,
    }
}

/// What a run uses in addition to the inventory.
#[derive(Debug, Clone, Default)]
pub struct Means {
    /// Folders made by `hostler bundle create`, one an architecture; by default those in the cache.
    pub bundles: Vec<PathBuf>,
    pub missing: Missing,
    pub new_host_keys: NewHostKeys,
}

/// What a verb asks for.
#[derive(Debug, Clone)]
pub struct ApplyRequest {
    pub goal: Goal,
    pub consent: Consent,
    pub kubeconfig: KeepKubeconfig,
    /// How long to wait for machines that can't be reached yet.
    pub patience: Duration,
    /// How long to wait for machines that a stick is to install.
    pub installation: Duration,
}

impl ApplyRequest {
    /// Without writing a kubeconfig at the end.
    pub fn new(goal: Goal, consent: Consent) -> ApplyRequest {
        ApplyRequest { goal, consent, kubeconfig: KeepKubeconfig::No, patience: Duration::ZERO, installation: Duration::ZERO }
    }
}

/// The consent that is needed before a plan is applied.
#[derive(Debug, Clone)]
pub enum Consent {
    /// Already given: `--yes`.
    Given,
    /// A yes.
    Asked,
    /// For the first plan this; for a later plan that differs, a yes.
    Typed(Typed),
}

impl Consent {
    /// Given if the user passed `--yes`.
    pub fn yes_if(yes: bool) -> Consent {
        if yes { Consent::Given } else { Consent::Asked }
    }
}

/// Whether and where the kubeconfig is written once the cluster is up.
#[derive(Debug, Clone)]
pub enum KeepKubeconfig {
    No,
    /// Below the user's configuration folder.
    Default,
    At(PathBuf),
}

/// A question that takes more than a yes.
#[derive(Debug, Clone)]
pub struct Typed {
    /// What cannot be undone.
    pub what: &'static str,
    /// The answer.
    pub name: String,
    /// What to do if there is no terminal.
    pub hint: &'static str,
}

/// The machines that a goal concerns, as observed.
pub struct Observed {
    pub links: BTreeMap<MachineName, Arc<Link>>,
    pub seen: BTreeMap<MachineName, Observation>,
    /// `None`: the goal installs nothing, and none is at hand.
    pub bundles: Option<Arc<Bundles>>,
    pub manifests: Manifests,
}

/// Observes the machines that `goal` concerns, and finds the bundle that fits the running version. A goal that installs nothing waits for
/// no bundle: a shelf must go off, and a cluster be left, without one.
///
/// # Errors
/// A connection is configured wrongly, or there is no bundle.
pub async fn observe(goal: &Goal, inventory: &Inventory, means: &Means, reporter: &Reporter) -> Result<Observed> {
    let (links, seen) = contact(goal, inventory, means, reporter).await?;
    let request = bundles_for(goal, inventory, &seen, means);
    if !goal.installs() {
        let Known { bundles, manifests, .. } = artifact::known(&request, &reporter.events()).await?;
        return Ok(Observed { links, seen, bundles: bundles.map(Arc::new), manifests });
    }
    let bundles = Arc::new(artifact::locate(&request, &reporter.events()).await?);
    Ok(Observed { links, seen, manifests: bundles.manifests().clone(), bundles: Some(bundles) })
}

type Links = BTreeMap<MachineName, Arc<Link>>;
type Seen = BTreeMap<MachineName, Observation>;

/// What a verb that only looks has seen.
pub struct Looked {
    pub seen: BTreeMap<MachineName, Observation>,
    pub known: Known,
}

/// As [`observe`], but nothing is made for it: what is not known of a bundle that is not at hand is left out.
///
/// # Errors
/// As [`observe`].
pub async fn look(goal: &Goal, inventory: &Inventory, means: &Means, reporter: &Reporter) -> Result<Looked> {
    let (_, seen) = contact(goal, inventory, means, reporter).await?;
    let known = artifact::known(&bundles_for(goal, inventory, &seen, means), &reporter.events()).await?;
    Ok(Looked { seen, known })
}

/// The versions that an upgrade to `to` goes through: see [`upgrade::stages`].
///
/// # Errors
/// As [`observe`].
pub async fn stages(to: &str, goal: &Goal, inventory: &Inventory, means: &Means, reporter: &Reporter) -> Result<Vec<String>> {
    let (_, seen) = contact(goal, inventory, means, reporter).await?;
    Ok(upgrade::stages(inventory, &seen, to))
}

/// What comes to this computer whenever a verb has looked at the cluster, whatever it is about: the newest snapshot, and another certificate
/// for the user where theirs ends soon.
pub async fn bring_home(
    file: &InventoryFile,
    seen: &BTreeMap<MachineName, Observation>,
    links: &BTreeMap<MachineName, Arc<Link>>,
    events: &Events,
) {
    newest::fetch(file, seen, links, events).await;
    renewal::renew(file, seen, links, events).await;
}

/// Connects to the machines that `goal` concerns, and gathers their facts.
async fn contact(goal: &Goal, inventory: &Inventory, means: &Means, reporter: &Reporter) -> Result<(Links, Seen)> {
    let mut links = connect::links(inventory, means.new_host_keys, reporter)?;
    let asked = goal.asks(inventory);
    links.retain(|name, _| asked.contains(name));
    let seen = login::observe(&links, &question(goal, inventory)?, reporter).await?;
    Ok((links, seen))
}

/// The bundles that a run needs. The running version decides: the planner judges whether the inventory may ask for another one.
pub fn bundles_for(goal: &Goal, inventory: &Inventory, seen: &BTreeMap<MachineName, Observation>, means: &Means) -> artifact::Request {
    artifact::Request {
        bundles: means.bundles.clone(),
        version: goal
            .version()
            .map(str::to_owned)
            .or_else(|| version_before(goal, inventory, seen))
            .or_else(|| running_version(inventory, seen)),
        archs: architectures(seen),
        missing: means.missing,
        encoder: inventory.transcode.as_ref().is_some_and(|films| films.image.is_none()),
    }
}

/// The version that a rollback goes back to.
fn version_before(goal: &Goal, inventory: &Inventory, seen: &BTreeMap<MachineName, Observation>) -> Option<String> {
    let before = || rollback::version_before(&trusted_of(inventory, seen), inventory).map(str::to_owned);
    matches!(goal, Goal::RollBack { .. }).then(before).flatten()
}

/// What to ask machines for, for this goal.
///
/// # Errors
/// Only a bug: a template that can't be rendered.
pub fn question(goal: &Goal, inventory: &Inventory) -> Result<Question> {
    let Questions { system, requests } = goal.questions();
    let mut keep: Vec<String> = inventory.machines.values().flat_map(|machine| machine.keep.clone()).collect();
    if system {
        keep.extend(reinstall::named_paths(inventory));
    }
    keep.sort();
    keep.dedup();
    let asked = wanted::question(inventory.transcode.as_ref(), Some(inventory.snapshots.folder()), keep)?;
    let fsync = inventory.control_planes().map(|(name, _)| name.clone()).collect();
    let vip = inventory.machines.keys().filter_map(|name| Some((name.clone(), inventory.cluster.endpoint.vip()?))).collect();
    let resolv_conf = wanted::own_resolv_conf(inventory).unwrap_or_default().to_owned();
    let endpoint = inventory.cluster.endpoint.host().to_lowercase();
    Ok(Question { system, requests, fsync, vip, resolv_conf, endpoint, ..asked })
}

/// The Kubernetes version of the cluster that the machines are in, else the one that the inventory asks for, if any.
pub fn running_version(inventory: &Inventory, seen: &BTreeMap<MachineName, Observation>) -> Option<String> {
    let running = version::running(&trusted_of(inventory, seen), inventory).map(str::to_owned);
    running.or_else(|| inventory.cluster.version.clone())
}

/// The architectures that the machines have, as far as hostler has programs for them.
pub fn architectures(seen: &BTreeMap<MachineName, Observation>) -> BTreeSet<Arch> {
    seen.values().filter_map(|observation| observation.facts()?.arch).collect()
}

/// Between two checks for scripts of an interrupted run.
const PAUSE: Duration = Duration::from_secs(3);
/// The longest limit of a step is 30 min; no script that continues without its hostler takes half of that.
const LEFTOVER_LIMIT: Duration = Duration::from_secs(15 * 60);
/// The same for workers: the plan for all others does not depend on what runs on them, and their own steps wait there.
const WORKER_LIMIT: Duration = Duration::from_secs(2 * 60);

/// Waits until the scripts of an interrupted run have ended: while they work, facts are incomplete.
async fn wait_for_leftovers(
    goal: &Goal,
    inventory: &Inventory,
    links: &BTreeMap<MachineName, Arc<Link>>,
    seen: &mut BTreeMap<MachineName, Observation>,
    reporter: &Reporter,
) -> Result<()> {
    let start = Instant::now();
    let is_control_plane = |name: &MachineName| inventory.control_planes().any(|(other, _)| other == name);
    loop {
        let running: Vec<(MachineName, String)> = seen
            .iter()
            .filter_map(|(name, observation)| {
                let facts = observation.facts()?;
                let lock = facts.lock.as_ref().filter(|lock| lock.left_behind && lock.age(facts).is_some())?;
                Some((name.clone(), lock.step.clone()))
            })
            .collect();
        let Some((machine, step)) = running.first() else { return Ok(()) };
        let limit = if running.iter().any(|(name, _)| is_control_plane(name)) { LEFTOVER_LIMIT } else { WORKER_LIMIT };
        let left = limit.saturating_sub(start.elapsed());
        if left.is_zero() {
            // The plan mentions it, and each step waits for it in turn.
            return Ok(());
        }
        let line = format!("{machine}: waiting for {step} of an interrupted run, at most {} min", left.as_secs().div_ceil(60));
        reporter.events().send(Event::Note { line });
        look_again(goal, |name| running.iter().any(|(machine, _)| machine == name), inventory, links, seen, &reporter.events()).await?;
    }
}

/// Gathers the facts of these machines after a pause.
async fn look_again(
    goal: &Goal,
    these: impl Fn(&MachineName) -> bool,
    inventory: &Inventory,
    links: &BTreeMap<MachineName, Arc<Link>>,
    seen: &mut BTreeMap<MachineName, Observation>,
    events: &Events,
) -> Result<()> {
    tokio::time::sleep(PAUSE).await;
    let links = links.iter().filter(|(name, _)| these(name)).map(|(name, link)| (name.clone(), link.clone())).collect();
    seen.extend(gather::gather(&links, &question(goal, inventory)?, events).await?);
    Ok(())
}

/// Waits until `these` machines can be reached. Somebody has to see to it: `to_do` says what.
async fn wait_for_machines(
    these: impl Fn(&MachineName) -> bool,
    to_do: &str,
    patience: Duration,
    (goal, inventory): (&Goal, &Inventory),
    links: &BTreeMap<MachineName, Arc<Link>>,
    seen: &mut BTreeMap<MachineName, Observation>,
    reporter: &Reporter,
) -> Result<()> {
    let start = Instant::now();
    let events = reporter.events();
    let mut last = Vec::new();
    loop {
        let silent = |(name, observation): &(&MachineName, &Observation)| {
            these(name) && matches!(observation, Observation::Unreachable(why) if why.contact != Contact::OtherHostKey)
        };
        let missing: Vec<MachineName> = seen.iter().filter(silent).map(|(name, _)| name.clone()).collect();
        let left = patience.saturating_sub(start.elapsed());
        if missing.is_empty() || left.is_zero() {
            return Ok(());
        }
        if missing != last {
            let line = format!("waiting for {} to be {to_do}, at most {}", and(&missing), quantity::whole(left));
            events.send(Event::Note { line });
            last.clone_from(&missing);
        }
        let unseen = Events::none();
        let look = look_again(goal, |name| missing.contains(name), inventory, links, seen, &unseen);
        // A machine that answers too late is one that did not answer.
        if let Ok(looked) = tokio::time::timeout(left, look).await {
            looked?;
        }
    }
}

/// The longest time to wait for an API server that is starting.
const API_LIMIT: Duration = Duration::from_secs(3 * 60);

/// Waits for an API server whose control plane was started a moment ago, where the goal would be refused without it.
async fn wait_for_api(
    goal: &Goal,
    inventory: &Inventory,
    manifests: &Manifests,
    links: &BTreeMap<MachineName, Arc<Link>>,
    seen: &mut BTreeMap<MachineName, Observation>,
    reporter: &Reporter,
) -> Result<()> {
    let start = Instant::now();
    let events = reporter.events();
    let mut task: Option<String> = None;
    while plan_for(goal, inventory, manifests, seen)?.refusals.iter().any(|refusal| refusal.why.is_no_api()) && start.elapsed() < API_LIMIT
    {
        let starting: BTreeSet<MachineName> = silence::starting(inventory, seen).into_keys().cloned().collect();
        let Some(first) = starting.first() else { break };
        if task.is_none() {
            let what = format!("kubelet has just started: waiting for the API server, at most {} min", API_LIMIT.as_secs() / 60);
            events.send(Event::TaskStarted { task: first.to_string(), what });
            task = Some(first.to_string());
        }
        // Each look is the same: nothing of it is worth a line.
        look_again(goal, |name| starting.contains(name), inventory, links, seen, &Events::none()).await?;
    }
    if let Some(task) = task {
        events.send(Event::TaskFinished { task, took: start.elapsed() });
    }
    Ok(())
}

/// Applies a request. Returns the exit status, and the plans that were applied, one after the other, for the closing table.
///
/// # Errors
/// As [`observe`]; a plan that was not approved, or a kubeconfig that can't be written. A failed step is not an error here: it is in the
/// status.
pub async fn apply(request: &ApplyRequest, file: &InventoryFile, means: &Means, reporter: &Reporter) -> Result<(ExitStatus, Vec<Plan>)> {
    let inventory = &file.inventory;
    let Observed { links, mut seen, bundles, manifests } = observe(&request.goal, inventory, means, reporter).await?;
    let file = &with_version_before(&request.goal, file, &manifests)?;
    let inventory = &file.inventory;
    let asked = (&request.goal, inventory);
    wait_for_machines(|_| true, "turned on", request.patience, asked, &links, &mut seen, reporter).await?;
    let awaited = |name: &MachineName| links.get(name).is_some_and(|link| link.awaited().is_some());
    wait_for_machines(awaited, "installed from the stick", request.installation, asked, &links, &mut seen, reporter).await?;
    wait_for_leftovers(&request.goal, inventory, &links, &mut seen, reporter).await?;
    wait_for_api(&request.goal, inventory, &manifests, &links, &mut seen, reporter).await?;
    bring_home(file, &seen, &links, &reporter.events()).await;
    let run = Run::new(identity::run_id(), bundles.clone(), links, reporter.events(), reporter.redactor());
    let kubeconfig = match &request.kubeconfig {
        KeepKubeconfig::No => None,
        KeepKubeconfig::Default => Some(kubeconfig::default_file(file, &inventory.cluster.name)?),
        KeepKubeconfig::At(file) => Some(file.clone()),
    };
    let mut access = None;
    let mut goal = request.goal.clone();
    let mut done: Vec<Plan> = Vec::new();
    let mut last = Plan::default();
    let mut saved = false;
    let mut outcome = Outcome::default();
    let mut approved: BTreeSet<StepId> = BTreeSet::new();
    for round in 0..rounds(&request.goal, inventory) {
        let plan = plan_for(&goal, inventory, &manifests, &seen)?;
        let unapproved = plan.steps.iter().any(|step| !approved.contains(&step.id));
        if unapproved {
            fragments::check(&plan, file, bundles.as_deref(), &reporter.events())?;
        }
        if round == 0 || !plan.steps.is_empty() || !plan.refusals.is_empty() {
            if round > 0 {
                let line = "hostler gathered the facts again and made a new plan:".to_owned();
                reporter.events().send(Event::Note { line });
            }
            reporter.plan(&plan).await;
        }
        last.clone_from(&plan);
        if plan.steps.is_empty() {
            // The deferred steps are no longer needed, or refused.
            outcome.deferred.clear();
            break;
        }
        if unapproved {
            approve(&request.consent, &plan, round, reporter).await?;
            if round == 0 {
                if plan.steps.iter().any(|step| step.id.kind == StepKind::UpgradeControlPlane) {
                    backup::before_upgrade(file, &run.links, reporter).await?;
                }
                saved = save(file, reporter)?;
            }
            approved.extend(plan.steps.iter().map(|step| step.id.clone()));
        }
        let this = execute(&run, &plan).await;
        let ended = !this.failed.is_empty() || this.done.is_empty() && this.deferred.is_empty();
        // A machine that has not left yet still has to.
        let leaves = plan.steps.iter().any(|step| step.stage == Stage::Leave && this.deferred.contains(&step.id));
        done.push(plan);
        outcome.done.extend(this.done);
        outcome.failed.extend(this.failed);
        outcome.blocked.extend(this.blocked);
        outcome.deferred = this.deferred;
        if !leaves {
            goal = goal.next_goal();
        }
        // Nobody is left to be asked.
        if ended || goal.ends_off() && outcome.is_whole() {
            break;
        }
        let asked = question(&goal, inventory)?;
        let events = reporter.events();
        let look = gather::gather(&run.links, &asked, &events);
        // The user's access is fetched meanwhile, where this was most likely the last round.
        (seen, access) = match kubeconfig.as_ref().filter(|_| outcome.is_whole()) {
            Some(place) => {
                let (seen, access) = tokio::join!(look, own_access(&run, inventory, place));
                (seen?, Some(access))
            }
            None => (look.await?, None),
        };
    }
    if let Some(place) = kubeconfig
        && outcome.is_whole()
        && last.refusals.is_empty()
    {
        if let Some(api_via) = trusted_of(inventory, &seen).answering().next() {
            reporter.result(&nodes(inventory, api_via.cluster)).await;
        }
        let access = match access {
            Some(access) => access,
            None => own_access(&run, inventory, &place).await,
        };
        keep_kubeconfig(access, &inventory.cluster.name, &place, reporter).await;
        match closing::films(inventory, &run.links).await {
            Some(films) if films.token.is_empty() => reporter.result(&films.text).await,
            Some(films) => reporter.secret_result(&films.text, &films.token).await,
            None => {}
        }
    }
    let status = status(&outcome, &last, &request.goal, &seen);
    if status == ExitStatus::Done && done.is_empty() {
        saved = save(file, reporter)?;
    }
    if file.is_changed() && !saved {
        reporter.events().send(Event::Note { line: format!("{} was left unchanged", file.path.display()) });
    }
    // Who could not be reached, or is refused, is known from a plan without steps, too.
    if done.is_empty() {
        done.push(last);
    }
    Ok((status, done))
}

/// The inventory with the version that a rollback goes back to, where it names one.
fn with_version_before(goal: &Goal, file: &InventoryFile, manifests: &Manifests) -> Result<InventoryFile> {
    match &file.inventory.cluster.version {
        Some(version) if matches!(goal, Goal::RollBack { .. }) && version != manifests.kubernetes() => {
            file.clone().with_version(manifests.kubernetes())
        }
        _ => Ok(file.clone()),
    }
}

/// Writes a change of the inventory that belongs to this run: not before the plan was approved, as nothing is to be left of a run that was not.
/// Returns whether there was one.
fn save(file: &InventoryFile, reporter: &Reporter) -> Result<bool> {
    if file.is_changed() {
        file.save()?;
        reporter.events().send(Event::Note { line: format!("changed {}", file.path.display()) });
    }
    Ok(file.is_changed())
}

/// The user's own access to the cluster, which the kubeconfig in `place` may have already.
async fn own_access(run: &Run, inventory: &Inventory, place: &Path) -> Result<Access> {
    let wanted = Wanted { name: &inventory.cluster.name, person: Person::own()?, server: None, existing: kubeconfig::text_of(place) };
    fetch::access(inventory, &run.links, &wanted).await
}

/// Writes the kubeconfig to `place`. If there is none, only a warning says so: the run itself succeeded.
async fn keep_kubeconfig(access: Result<Access>, name: &str, place: &Path, reporter: &Reporter) {
    let kept = match access {
        Ok(access) => fetch::keep(&access, name, place, reporter).await,
        Err(error) => Err(error),
    };
    if let Err(error) = kept {
        let line = format!("no kubeconfig was written: {}", format!("{error:#}").lines().collect::<Vec<_>>().join("; "));
        reporter.events().send(Event::Warning { line });
    }
}

/// The exit status of what a plan says: whether something is refused, or can't be reached. A plan with steps alone is no failure.
pub fn status_of(plan: &Plan, seen: &BTreeMap<MachineName, Observation>) -> ExitStatus {
    let unreachable = seen.values().any(|observation| matches!(observation, Observation::Unreachable(_)));
    ExitStatus::highest([
        if plan.refusals.is_empty() { ExitStatus::Done } else { ExitStatus::Refused },
        if unreachable { ExitStatus::Unreachable } else { ExitStatus::Done },
    ])
}

/// The highest exit status that applies.
fn status(outcome: &Outcome, last: &Plan, goal: &Goal, seen: &BTreeMap<MachineName, Observation>) -> ExitStatus {
    // A machine that is removed with `--dead` may be unreachable.
    let dead = |name: &MachineName| matches!(goal, Goal::Remove { machine, dead: true, .. } if machine == name);
    let unreachable = seen.iter().any(|(name, observation)| matches!(observation, Observation::Unreachable(_)) && !dead(name));
    ExitStatus::highest([
        if outcome.is_whole() { ExitStatus::Done } else { ExitStatus::Failed },
        if last.refusals.is_empty() { ExitStatus::Done } else { ExitStatus::Refused },
        if unreachable { ExitStatus::Unreachable } else { ExitStatus::Done },
    ])
}

/// The nodes of a cluster as a table.
fn nodes(inventory: &Inventory, cluster: &ClusterFacts) -> String {
    let mut rows = vec![row!["NODE", "STATUS", "ROLE", "VERSION", "ADDRESS"]];
    for (name, node) in &cluster.nodes {
        let role = match inventory.machines.get(name.as_str()) {
            Some(machine) if machine.role == hostler_core::inventory::Role::ControlPlane => "control-plane",
            Some(_) => "worker",
            None => "not in the inventory",
        };
        let status = if node.ready { "Ready" } else { "NotReady" };
        rows.push(row![name, status, role, node.version, node.address]);
    }
    table(&rows)
}

async fn approve(consent: &Consent, plan: &Plan, round: usize, reporter: &Reporter) -> Result<()> {
    let asker = reporter.asker();
    let approved = match consent {
        Consent::Given => true,
        Consent::Typed(typed) if round == 0 => {
            let text = typed.what;
            asker.typed(text, &typed.name, typed.hint).await?
        }
        Consent::Asked | Consent::Typed(_) => {
            let question = if round == 0 { "apply this plan?" } else { "these steps were not in the plan that you approved; apply them?" };
            asker.yes_no(question, "pass `--yes` to apply without asking").await?
        }
    };
    if approved {
        return Ok(());
    }
    let steps = counted(plan.steps.len(), "step");
    let what = if round == 0 {
        format!("nothing was changed: the plan of {steps} was not approved")
    } else {
        format!(
            "the new plan of {steps} \
            was not approved"
        )
    };
    Err(Failure::new(ExitStatus::Failed, what, "").into())
}
