//! A control plane renews its certificates by itself, and approves those that kubelets ask for: a timer starts this on each, as root. One machine
//! at a time renews, and none while a run of hostler works on it.

mod api;
mod certificates;
mod kubelets;
mod lock;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hostler_core::facts::early;
use hostler_core::protocol::path;
use hostler_core::record::InProgress;
use hostler_core::visible::last_output;
use hostler_core::words::{counted, in_days};
use tokio::process::Command;

use crate::event::{Event, Events};
use api::Api;
use certificates::Certificates;
pub use kubelets::Kubelets;

/// The two that hold their certificates in memory, inside their kubeconfig: kubelet starts them anew. The API is not away for it.
const RESTARTED: [(&str, &str); 2] = [("kube-controller-manager", path::CONTROLLER_MANAGER), ("kube-scheduler", path::SCHEDULER)];
/// For kubeadm, crictl and systemctl, each time.
const COMMAND: Duration = Duration::from_secs(180);
/// For what was restarted to be there again.
const WAIT: Duration = Duration::from_secs(240);
const PAUSE: Duration = Duration::from_secs(1);
const DAY: i64 = 24 * 60 * 60;

/// Renews what expires soon, and says what it did.
///
/// # Errors
/// A certificate can't be read, the machine's own API server does not answer, or a certificate is as old as before. `hostler status` shows that
/// it failed.
pub async fn renew(events: &Events) -> Result<()> {
    let say = |line: String| events.send(Event::Note { line });
    if let Some(mark) =
        InProgress::ALL.into_iter().find(|mark| is_whole_again_first(*mark) && Path::new(path::APPLIED).join(mark.name()).exists())
    {
        say(format!(
            "no certificate was renewed, because a change to this machine was interrupted ({}); run `hostler up` to finish that \
            change",
            mark.name()
        ));
        return Ok(());
    }
    let api = Api::own().await?;
    both(approve(&api, &say), renew_own(&api, &say)).await
}

/// Approves the certificates that kubelets ask for.
async fn approve(api: &Api, say: &impl Fn(String)) -> Result<()> {
    let decided = api.kubelets().approve().await?;
    for node in &decided.approved {
        say(format!("approved the serving certificate of {node}'s kubelet"));
    }
    for (user, why) in &decided.left {
        say(format!("did not approve a request by {user} for a serving certificate: {why}"));
    }
    Ok(())
}

/// Does `work` and then `next`, however the first ends.
///
/// # Errors
/// Those of both.
async fn both<T>(work: impl Future<Output = Result<T>>, next: impl Future<Output = Result<()>>) -> Result<T> {
    match (work.await, next.await) {
        (Err(first), Err(second)) => bail!("{first:#}; and {second:#}"),
        (done, next) => next.and(done),
    }
}

/// Renews the machine's own certificates that expire soon.
async fn renew_own(api: &Api, say: &impl Fn(String)) -> Result<()> {
    let early = early(i64::try_from(api.certificates_live().await?.as_secs())?);
    let before = Certificates::read(Path::new("/"))?;
    let due = before.ending(jiff::Timestamp::now().as_second(), early);
    // Both are restarted anyway after a renewal, which does not wait for the answer.
    let restarts = if due.is_empty() { started_before_their_certificates().await? } else { Vec::new() };
    if due.is_empty() && restarts.is_empty() {
        let first = before.first().context("this control plane has no certificates")?;
        say(format!("nothing to renew: {} expires first, {}", first.0, in_days((first.1 - jiff::Timestamp::now().as_second()) / DAY)));
        return Ok(());
    }
    let node = nix::unistd::gethostname()?.to_string_lossy().into_owned();
    let Some(turn) = api.turn(&node).await? else {
        say("another control plane is renewing its certificates, so this one waits for the next run of the timer".to_owned());
        return Ok(());
    };
    let work = async {
        match lock::take(&node).await? {
            Some(_lock) => change(api, &due, &restarts).await.map(|()| true),
            None => Ok(false),
        }
    };
    if !both(work, api.give_back(turn)).await? {
        say("hostler is changing this machine, so its certificates are renewed at the next run of the timer".to_owned());
        return Ok(());
    }
    let left = Certificates::read(Path::new("/"))?.ending(jiff::Timestamp::now().as_second(), early);
    ensure!(left.is_empty(), "these certificates still expire soon, although they were renewed: {}", left.join(", "));
    say(format!(
        "renewed {}",
        if due.is_empty() { "no certificates, but restarted programs that still used old ones".to_owned() } else { due.join(", ") }
    ));
    Ok(())
}

/// Whether the change that this marks leaves a control plane that is no whole one.
fn is_whole_again_first(mark: InProgress) -> bool {
    use InProgress::*;
    match mark {
        Wipe | Restore | Init | Join | Programs | Containerd | Kubelet | Upgrade => true,
        Vip | Snapshots | Renewal | Notify | Unverified | Packages | Reinstall => false,
    }
}

/// Renews `due`, and starts anew what holds old ones in memory.
async fn change(api: &Api, due: &[String], restarts: &[&'static str]) -> Result<()> {
    let mut restarts = restarts.to_vec();
    if !due.is_empty() {
        // Its settings are those of the cluster, which it reads by admin.conf.
        run("kubeadm", &["certs", "renew", "all"]).await?;
        restarts = RESTARTED.map(|(name, _)| name).to_vec();
    }
    for name in restarts {
        let old: Vec<String> = running(name).await?.into_iter().map(|(id, _)| id).collect();
        for id in &old {
            run("crictl", &["stop", id]).await?;
        }
        until(&format!("{name} to start"), async || Ok(running(name).await?.iter().any(|(id, _)| !old.contains(id)))).await?;
    }
    until("the API server to answer", async || Ok(api.is_ready().await)).await
}

/// The components whose container was started before their kubeconfig was renewed: a renewal was interrupted between the two.
async fn started_before_their_certificates() -> Result<Vec<&'static str>> {
    let mut found = Vec::new();
    for (name, kubeconfig) in RESTARTED {
        let changed = std::fs::metadata(kubeconfig).with_context(|| format!("{kubeconfig} can't be read"))?.modified()?;
        let changed = changed.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        if running(name).await?.iter().any(|(_, created)| *created < changed) {
            found.push(name);
        }
    }
    Ok(found)
}

/// The running containers of this name, each with the time since the epoch when it was created.
async fn running(name: &str) -> Result<Vec<(String, Duration)>> {
    #[derive(serde::Deserialize)]
    struct Listed {
        #[serde(default)]
        containers: Vec<Container>,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Container {
        id: String,
        /// Nanoseconds since the epoch.
        created_at: String,
    }
    let text = run("crictl", &["ps", "--state", "Running", "--name", &format!("^{name}$"), "--output", "json"]).await?;
    let listed: Listed = serde_json::from_str(&text).context("crictl's output is not a list of containers")?;
    let created = |container: &Container| container.created_at.parse().map(Duration::from_nanos);
    listed.containers.iter().map(|container| Ok((container.id.clone(), created(container)?))).collect()
}

/// Runs a program of the set in use, or of the system, and returns its output.
async fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let own = Path::new(path::BIN).join(program);
    let program = if own.exists() { own.as_os_str() } else { program.as_ref() };
    let shown = || format!("{} {}", program.to_string_lossy(), arguments.join(" "));
    let child = Command::new(program).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    let output =
        tokio::time::timeout(COMMAND, child).await.with_context(|| format!("{} took longer than {} s", shown(), COMMAND.as_secs()))?;
    let output = output.with_context(|| format!("{} can't be run", shown()))?;
    if !output.status.success() {
        bail!("{} ended with {}: {}", shown(), output.status, last_output(&String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Waits until `there` says so. An error of it counts as no: what was restarted answers nothing for a while.
async fn until(what: &str, there: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    loop {
        let answer = there().await;
        if matches!(answer, Ok(true)) {
            return Ok(());
        }
        if start.elapsed() > WAIT {
            let why = answer.err().map(|error| format!(": {error:#}")).unwrap_or_default();
            bail!("waited {} for {what}{why}", counted(usize::try_from(WAIT.as_secs()).unwrap_or_default(), "second"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A request of a kubelet that can't be approved must not let the control plane's certificates expire, and a turn must be given back.
    #[tokio::test]
    async fn what_comes_next_is_done_however_the_work_ends() {
        for (works, returns, wanted) in [
            (true, true, Ok(1)),
            (false, true, Err("the lock is broken".to_owned())),
            (true, false, Err("no answer".to_owned())),
            (false, false, Err("the lock is broken; and no answer".to_owned())),
        ] {
            let given = Mutex::new(false);
            let work = async {
                ensure!(works, "the lock is broken");
                Ok(1)
            };
            let give_back = async {
                *given.lock().expect("unpoisoned") = true;
                ensure!(returns, "no answer");
                Ok(())
            };
            let done = both(work, give_back).await.map_err(|error| format!("{error:#}"));
            assert_eq!((done, *given.lock().expect("unpoisoned")), (wanted, true), "{works} {returns}");
        }
    }
}
