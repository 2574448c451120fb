//! Where encoders and publishers run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result};
use hostler_core::films::encoder::is_hardware;
use hostler_core::films::settings::Encoding;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

use super::cluster::Cluster;
use super::machines::Place;
use super::reconcile::{Job, JobState, Task};

/// What there is of Jobs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listed {
    pub states: BTreeMap<Job, JobState>,
    /// Where Jobs must never run, of those that may not run everywhere.
    pub nevers: BTreeMap<Job, BTreeSet<String>>,
    /// The machines that Jobs ran on, as far as that is one: of several pods, that of the one that succeeded.
    pub hosts: BTreeMap<Job, String>,
}

#[derive(Debug)]
pub enum Jobs {
    Here(Here),
    Cluster(Box<Cluster>),
}

impl Jobs {
    /// Whether this watcher is the leader and may act.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn lead(&mut self) -> Result<bool> {
        match self {
            Jobs::Here(_) => Ok(true),
            Jobs::Cluster(cluster) => cluster.lead().await,
        }
    }

    /// All Jobs, with what the cluster says of them.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn list(&mut self) -> Result<Listed> {
        match self {
            Jobs::Here(here) => {
                let states = here.list()?;
                let hosts = states.keys().map(|job| (job.clone(), THIS.to_owned())).collect();
                Ok(Listed { states, hosts, ..Listed::default() })
            }
            Jobs::Cluster(cluster) => cluster.list().await,
        }
    }

    /// The machines that encode, whether they are busy or not.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn machines(&self) -> Result<Vec<Machine>> {
        match self {
            Jobs::Here(_) => Ok(vec![Machine::new(THIS, MachineState::Ready)]),
            Jobs::Cluster(cluster) => cluster.machines().await,
        }
    }

    /// # Errors
    /// It can't be created.
    pub async fn begin(&mut self, job: &Job, place: &Place) -> Result<()> {
        match self {
            Jobs::Here(here) => here.begin(job),
            Jobs::Cluster(cluster) => cluster.begin(job, place).await,
        }
    }

    /// Ends and removes the Job.
    ///
    /// # Errors
    /// It can't be removed.
    pub async fn forget(&mut self, job: &Job) -> Result<()> {
        match self {
            Jobs::Here(here) => here.forget(job).await,
            Jobs::Cluster(cluster) => cluster.forget(job).await,
        }
    }
}

/// The name of the only machine, without a cluster.
const THIS: &str = "this computer";

/// A machine that encodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub name: String,
    pub state: MachineState,
    /// When and what it encodes.
    #[serde(default)]
    pub encoding: Encoding,
    /// Whether it is outside its hours.
    #[serde(default)]
    pub closed: bool,
    /// Whether it is much slower than the others.
    #[serde(default)]
    pub slow: bool,
    /// Pixels per second of its last films; `None`: not known.
    #[serde(default)]
    pub speed: Option<f64>,
    /// Families of encoders that work there; empty: it tried none.
    #[serde(default)]
    pub working: Vec<String>,
}

impl Machine {
    /// One that encodes everything, at any time.
    pub fn new(name: &str, state: MachineState) -> Machine {
        Machine {
            name: name.to_owned(),
            state,
            encoding: Encoding::default(),
            closed: false,
            slow: false,
            speed: None,
            working: Vec::new(),
        }
    }

    /// Whether an encoder in hardware works there.
    pub fn has_hardware(&self) -> bool {
        self.working.iter().any(|family| is_hardware(family))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MachineState {
    Ready,
    /// It takes no new films.
    Cordoned,
    /// Its kubelet has not reported for a minute.
    Lost,
}

/// Runs programs on this machine, without a cluster.
#[derive(Debug)]
pub struct Here {
    inbox: PathBuf,
    library: PathBuf,
    settings: PathBuf,
    children: BTreeMap<Job, Child>,
    /// Makes the names of attempts differ from those of an earlier watcher.
    pid: u32,
}

impl Here {
    pub fn new(inbox: PathBuf, library: PathBuf, settings: PathBuf) -> Here {
        Here { inbox, library, settings, children: BTreeMap::new(), pid: std::process::id() }
    }

    /// # Errors
    /// The exit status of a program is unknown.
    pub fn list(&mut self) -> Result<BTreeMap<Job, JobState>> {
        let mut jobs = BTreeMap::new();
        for (job, child) in &mut self.children {
            let state = match child.try_wait().context("the exit status of a program is unknown")? {
                None => JobState::Active,
                Some(status) if status.success() => JobState::Succeeded,
                Some(_) => JobState::Failed,
            };
            jobs.insert(job.clone(), state);
        }
        Ok(jobs)
    }

    /// # Errors
    /// hostler can't be started.
    pub fn begin(&mut self, job: &Job) -> Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("transcode");
        match job.task {
            Task::Encode | Task::Original => command.arg("encode"),
            Task::Part(work) => command.arg("encode").arg("--part").arg(work.to_string()),
            Task::Publish => command.arg("publish").arg("--library").arg(&self.library),
            Task::Rename => command.args(["publish", "--rename", "--library"]).arg(&self.library),
        };
        command.arg("--inbox").arg(&self.inbox).arg("--settings").arg(&self.settings).args(["--id", job.id.as_str()]).stdin(Stdio::null());
        command.arg("--who").arg(format!("{}-{}-{}", self.pid, job.round, job.attempt));
        // SAFETY: prctl is a single system call; nothing is allocated between fork and exec.
        unsafe {
            command.pre_exec(|| set_pdeathsig(Signal::SIGTERM).map_err(std::io::Error::from));
        }
        self.children.insert(job.clone(), command.spawn().context("hostler can't be started")?);
        Ok(())
    }

    /// Ends the program. Its work will start over.
    ///
    /// # Errors
    /// Its end can't be waited for.
    pub async fn forget(&mut self, job: &Job) -> Result<()> {
        let Some(mut child) = self.children.remove(job) else { return Ok(()) };
        if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        child.wait().await?;
        Ok(())
    }
}
