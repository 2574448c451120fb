//! What a step can do. An action is data; beside it stand its line in the plan, its script, how long that may take, and what it needs and
//! hands on. By subject: [`machine`], [`kubeadm`], [`cluster`], [`power`], [`reinstall`], [`rollback`], [`workload`].

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;

use crate::digest::sha256;
use crate::step::{Input, Output, StepId};
use crate::template;

pub mod cluster;
pub mod kubeadm;
pub mod machine;
pub mod output;
mod payload;
pub mod power;
pub mod reinstall;
pub mod rollback;
pub mod workload;

pub use payload::{File, Part, Payload, SecretFile};

/// What every action says of itself.
pub trait Act {
    /// What the plan prints after the reason.
    fn line(&self) -> String;

    /// What its script does after the prelude. What the script reads from standard input goes into `payload`, in the order in which it
    /// reads it; `outputs` knows what earlier steps handed on.
    ///
    /// # Errors
    /// An output that is not there, or a template that does not fit: both are defects, shown rather than hidden.
    fn body(&self, payload: &mut Payload, outputs: Outputs) -> Result<String>;

    /// How long the script may take, waits included.
    fn limit(&self) -> Duration {
        QUICK
    }

    /// Outputs of earlier steps that it needs.
    fn inputs(&self) -> Vec<&Input> {
        Vec::new()
    }

    /// What it hands on when it succeeded.
    fn outputs(&self) -> &'static [Output] {
        &[]
    }

    /// Whether it takes something away that `up` could not bring back by itself: such steps are in the plans of `rebuild`, `remove`,
    /// `reset` and `--take-over` only.
    fn destroys(&self) -> bool {
        false
    }

    /// What becomes of the machine while its script runs.
    fn power(&self) -> PowerState {
        PowerState::StaysOn
    }

    /// How long it may be tried again for, while it waits for something else.
    fn patience(&self) -> Duration {
        minutes(15)
    }

    /// The documents that it gives to kubeadm.
    fn kubeadm_config(&self) -> Option<&str> {
        None
    }

    /// Files and objects that it leaves, whole and without a secret, for somebody who wants to read them.
    ///
    /// # Errors
    /// As of [`body`](Act::body).
    fn leaves(&self) -> Result<Vec<Left>> {
        Ok(Vec::new())
    }
}

/// What becomes of a machine while a script runs on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerState {
    StaysOn,
    /// The script begins again once the machine is back, and sees what was done.
    Restarts,
    /// That nothing answers any more is the end of the step.
    GoesOff,
}

/// Something that an action leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// On the machine, by its path.
    File { path: String, content: String },
    /// In the cluster, by a name for it.
    Objects { name: &'static str, content: String },
}

impl From<&File> for Left {
    fn from(file: &File) -> Left {
        Left::File { path: file.path.clone(), content: file.content.clone() }
    }
}

/// The value of an output, where its step has succeeded.
pub type Outputs<'a> = &'a dyn Fn(&Input) -> Option<String>;

/// The limit of a script that has nothing to wait for. An emulated machine needed more than two minutes to start a time service that was
/// just installed.
const QUICK: Duration = minutes(5);

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// The enum of all actions: each is the struct of the same name, serialized with its kebab-case name as `do`.
macro_rules! actions {
    ($($subject:ident: $($action:ident),+;)+) => {
        /// One change to one machine, or through one control plane to the cluster.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(tag = "do", rename_all = "kebab-case")]
        pub enum Action {
            $($($action($subject::$action),)+)+
        }

        $($(
            impl From<$subject::$action> for Action {
                fn from(action: $subject::$action) -> Action {
                    Action::$action(action)
                }
            }
        )+)+

        impl std::ops::Deref for Action {
            type Target = dyn Act;

            fn deref(&self) -> &Self::Target {
                match self {
                    $($(Action::$action(action) => action,)+)+
                }
            }
        }
    };
}

actions! {
    machine: InstallPackages, SwapOff, LoadModules, SetSysctls, SetHostname, ConfigureCloudInit, WriteHosts, SynchronizeClock, InstallPrograms, StagePrograms, ConfigureUnit, ConfigureNotify,
        StartUnit, DropUnit, ImportImages, Wipe;
    kubeadm: Init, Restore, CreateToken, DeleteToken, CollectPki, Join, UploadConfig, RenewKubelet, RenewControlPlane, RepairControlPlane, BootstrapKubelet, SetKubeletServer, RenewCertificates, UpgradeControlPlane, ReconnectKubelet, UpgradeNode;
    cluster: MakeEtcdSpace, WithdrawVerification, ApplyFlannel, RestoreAdmins, RestoreRoles, RestoreCoreDns, RestartFlannel, CertifyKubelets, ForgetNotify, Label, RecordPower, LetFilmsEnd, Cordon, Drain, Uncordon, RemoveMember, DeleteNode, Probe, RecordVerified;
    power: UpgradePackages, Reboot, PowerOff;
    reinstall: StageInstaller, Reinstall, Erase;
    rollback: RollBackNode, RollBackShared, RollBackControlPlane, EndUpgrade;
    workload: InstallWorkload, KeepSecrets, ProveEncoders, RemoveWorkload;
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())
    }
}

/// A whole script and what it reads after itself.
#[derive(Debug)]
pub struct Script {
    pub text: String,
    pub payload: Vec<Part>,
    /// How long it may take, waits included.
    pub limit: Duration,
}

/// The run that a script is part of.
#[derive(Debug, Clone, Copy)]
pub struct RunOn<'a> {
    /// Names the run on machines.
    pub run: &'a str,
    /// Whether a script of this run has run on the machine before.
    pub begun: bool,
}

impl Action {
    /// The action's script for `step`, behind the prelude that every script has.
    ///
    /// # Errors
    /// As [`Act::body`].
    pub fn script(&self, run: RunOn, step: &StepId, outputs: Outputs) -> Result<Script> {
        let mut payload = Payload::default();
        let body = self.body(&mut payload, outputs).with_context(|| format!("the script of step {step} can't be generated"))?;
        let prelude = template::render("step/prelude.sh", json!({ "run": run.run, "step": step, "begun": run.begun }))?;
        Ok(Script { text: prelude + &body, payload: payload.into_parts(), limit: self.limit() })
    }
}

/// The output that `input` names.
fn output(outputs: Outputs, input: &Input) -> Result<String> {
    outputs(input).with_context(|| format!("it needs the output {} of step {}, which does not exist yet", input.output.name(), input.step))
}
