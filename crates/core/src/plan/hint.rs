//! What to do instead of what was refused, or about what is wrong: as values, so that what they name can be tried.

use std::fmt;
use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::pod_network::Fault;
use super::refusal::{Share, Unchangeable};
use super::system_disk::NoInstaller;
use crate::arch::Arch;
use crate::films::Owner;
use crate::inventory::MachineName;
use crate::words::shell_word;

/// A command of hostler's that a hint names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Up,
    Add(MachineName),
    Rebuild {
        machine: MachineName,
        take_over: bool,
    },
    /// `rebuild --from SNAPSHOT`.
    Restore(MachineName),
    Remove {
        node: String,
        dead: bool,
    },
    Reset,
    /// `--take-over`, of several verbs.
    TakeOver(MachineName),
    Snapshot,
    Plan,
    BundleEncoder,
    /// `None`: to the version that it was begun for.
    Upgrade {
        to: Option<String>,
    },
    Reboot(MachineName),
    Start,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// Another run is at work.
    LetItEnd,
    /// `role: control-plane` at this machine.
    WriteRole(MachineName),
    /// The same, where the inventory gives the role to another one.
    MoveRole {
        to: MachineName,
        from: MachineName,
    },
    /// `unreachable`: one of them may be the control plane.
    WriteRoles {
        unreachable: Vec<MachineName>,
    },
    /// What can't be reached.
    TurnOn(Vec<MachineName>),
    RightMachine(MachineName),
    InstallDebian,
    /// Of a Debian or Ubuntu with another init.
    InstallSystemd,
    BundleFor {
        arch: Arch,
    },
    /// Of the architectures that hostler has programs for.
    KnownArchitecture,
    RemovePlatform(Vec<String>),
    FinishWipe(Command),
    FinishRestore(Command),
    /// `leave`: it should leave its cluster first.
    WipeFirst {
        command: Command,
        leave: bool,
    },
    FindReadOnly,
    MakeRoom,
    FreePort {
        port: u16,
    },
    /// Nothing else may have it.
    FreeVip,
    /// The VIP of a cluster that lives. `itself`: the machine has it, though hostler did not put it there.
    GiveVipBack {
        itself: bool,
    },
    /// In KubeletConfiguration.
    LowerReserves,
    UseCgroupV2,
    RemoveHostsLine {
        machine: MachineName,
        endpoint: String,
        found: IpAddr,
    },
    CreateResolvConf {
        path: String,
    },
    /// `restore`: of the only control plane, whose files no other has.
    Undamage {
        command: Command,
        backup: bool,
    },
    /// What can't be made again. What the whole cluster trusts is in snapshots, too, and on `others`, if there are more control planes.
    PutBack {
        files: Vec<String>,
        others: bool,
    },
    /// etcd's data is there, and must not go with the rest.
    KeepEtcd {
        machine: MachineName,
    },
    ChangeRole(MachineName),
    /// Rebuilding brings it back clean.
    Clean(Command),
    OldAddress {
        address: String,
        command: Command,
    },
    RestoreCluster {
        restore: Command,
        unless: Unless,
    },
    /// The machine takes the place of the one that the cluster knows.
    TakePlace(Command),
    Rename(Command),
    /// Name and address of an etcd member do not fit the machine's.
    SettleMember {
        node: MachineName,
    },
    DropLearner(Command),
    /// `remove` finds a member without a name by the address of its machine.
    WriteBack,
    MendMember {
        member: String,
        command: Command,
    },
    /// Which was reached.
    LookAtControlPlane(MachineName),
    MoveDataAway,
    /// `compared`: with this computer's, which may be the wrong one.
    SetClock {
        machine: MachineName,
        compared: bool,
    },
    GiveAddressBack {
        was: String,
    },
    /// `known`: whether hostler can make one.
    BundleOf {
        version: String,
        known: bool,
    },
    KeepAsIs {
        key: Unchangeable,
        is: String,
    },
    KeepVersion {
        is: String,
    },
    /// An upgrade to what is older than the cluster.
    NotOlder {
        is: String,
    },
    UpgradeFirst {
        next: String,
    },
    /// The newest of this minor version, of which hostler knows none.
    AddVersion {
        minor: String,
    },
    /// Before an upgrade.
    Repair,
    /// What a rollback needs is there only until the upgrade has succeeded.
    KeptUntilDone,
    NameAsNode {
        machine: MachineName,
        node: String,
    },
    /// Its kubelet was started a moment ago.
    WaitForApi {
        machine: MachineName,
        seconds: u64,
    },
    BringControlPlanesBack {
        look: bool,
    },
    /// `vip`: a VIP keeps the endpoint's name.
    BringEndpointBack {
        machine: MachineName,
        vip: bool,
    },
    FinishRestoreFirst(Command),
    MakeCluster,
    TurnOnOrReplace,
    /// Nobody can remove it while no API server answers.
    TurnOnOnly,
    /// What else is refused stands in the way of it, and has its own way out.
    SolveTheRest,
    TurnOnOrRemove(Command),
    LeaveAsItIs,
    TakeOutOfInventory,
    /// Out of that cluster, or out of the inventory.
    TakeOutOfEither,
    ForgetOnly(Command),
    LoseOnlyControlPlane {
        restore: Command,
    },
    /// By their names.
    MendMembers(Vec<String>),
    MoveKept {
        kept: String,
    },
    Reinstall {
        machine: MachineName,
        why: NoInstaller,
    },
    Erase {
        machine: MachineName,
        why: NoInstaller,
    },
    Unmount {
        path: String,
    },
    RebuildPlain(Command),
    MendOrReset,
    RightSnapshot,
    MakeEncoder,
    OtherPreset,
    WriteToken,
    MakeShare(Share),
    MendServer,
    GiveShare {
        share: Share,
        films: Owner,
    },
    Run(Command),
    TurnOnOrRebuild(MachineName),
    /// Its node is Ready, whoever says that it is dead.
    WaitUntilNotReady(MachineName),
    /// It is on; what keeps hostler out is said with it.
    MakeReachable(MachineName),
    /// The same, of one that is to stay.
    FixAccess(MachineName),
    /// What to do about this machine, where that is not said beside it.
    About(MachineName, Box<Hint>),
    /// Nothing answers at its address, while its node is still Ready.
    TurnOnOrFix(MachineName),
    /// Its host key has changed.
    Reinstalled {
        machine: MachineName,
        rebuild: Command,
    },
    AskKubelet(MachineName),
    /// Of a service that a timer of the machine starts.
    RetryUnit {
        machine: MachineName,
        unit: &'static str,
    },
    Uncordon(String),
    /// Of a namespace that is being deleted: nothing but its owner may take a finalizer away.
    FinishDeletion {
        namespace: &'static str,
    },
    /// Of the pods in it that something forbids.
    AllowPods {
        namespace: &'static str,
    },
    LookAtPod {
        namespace: String,
        pod: String,
    },
    /// A request for a certificate that is not approved.
    DeleteRequest {
        request: String,
    },
    /// Of a part of the cluster that runs nowhere.
    LookAtPods {
        namespace: &'static str,
    },
    /// A node that is Ready, and lacks something by this condition.
    Relieve {
        node: String,
        condition: String,
    },
    FixPodNetwork {
        machine: MachineName,
        fault: Fault,
    },
    /// `rebuild`: for the one with the system.
    ReplaceDisk {
        machine: MachineName,
        disk: String,
        rebuild: Command,
    },
    /// The cluster, whose authorities nothing renews.
    CreateAgain,
}

/// What else may be the reason why a cluster's state is not found, and is to be ruled out before the cluster is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unless {
    /// The disk with etcd's data is not mounted.
    Unmounted,
    /// The control plane is not in the inventory.
    NotListed,
    /// Nothing: etcd says itself that it can't read its data.
    Broken,
}

impl Hint {
    /// The commands of hostler's in it.
    pub fn commands(&self) -> Vec<Command> {
        match self {
            Hint::FinishWipe(command)
            | Hint::FinishRestore(command)
            | Hint::RestoreCluster { restore: command, .. }
            | Hint::WipeFirst { command, .. }
            | Hint::Undamage { command, .. }
            | Hint::Clean(command)
            | Hint::OldAddress { command, .. }
            | Hint::TakePlace(command)
            | Hint::Rename(command)
            | Hint::DropLearner(command)
            | Hint::MendMember { command, .. }
            | Hint::FinishRestoreFirst(command)
            | Hint::TurnOnOrRemove(command)
            | Hint::ForgetOnly(command)
            | Hint::Run(command)
            | Hint::RebuildPlain(command) => vec![command.clone()],
            Hint::TurnOnOrRebuild(machine) => vec![
                Command::Rebuild { machine: machine.clone(), take_over: false },
                Command::Remove { node: machine.to_string(), dead: true },
            ],
            Hint::ChangeRole(name) => vec![Command::Remove { node: name.to_string(), dead: false }, Command::Add(name.clone())],
            Hint::KeepAsIs { .. } => vec![Command::Reset, Command::Up],
            Hint::MakeCluster | Hint::MendMembers(_) | Hint::BringControlPlanesBack { look: false } => vec![Command::Up],
            Hint::LoseOnlyControlPlane { restore } => vec![restore.clone(), Command::Reset],
            Hint::Reinstalled { rebuild, .. } => vec![rebuild.clone()],
            Hint::UpgradeFirst { next } => vec![Command::Upgrade { to: Some(next.clone()) }],
            Hint::Repair => vec![Command::Up],
            Hint::About(_, hint) => hint.commands(),
            Hint::MendOrReset => vec![Command::Up, Command::Reset],
            Hint::MakeEncoder => vec![Command::BundleEncoder],
            _ => Vec::new(),
        }
    }

    /// The same, where the machine may be taken over with it: `rebuild` alone would be refused.
    #[must_use]
    pub fn taking_over(mut self, machine: &MachineName) -> Hint {
        let command = match &mut self {
            Hint::FinishWipe(command)
            | Hint::WipeFirst { command, .. }
            | Hint::Undamage { command, .. }
            | Hint::Clean(command)
            | Hint::OldAddress { command, .. }
            | Hint::TakePlace(command) => command,
            _ => return self,
        };
        if let Command::Rebuild { machine: rebuilt, take_over } = command
            && rebuilt == machine
        {
            *take_over = true;
        }
        self
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Up => f.write_str("`hostler up`"),
            Command::Add(machine) => write!(f, "`hostler add {machine}`"),
            Command::Rebuild { machine, take_over: false } => write!(f, "`hostler rebuild {machine}`"),
            Command::Rebuild { machine, take_over: true } => write!(f, "`hostler rebuild {machine} --take-over {machine}`"),
            Command::Restore(machine) => write!(f, "`hostler rebuild {machine} --from SNAPSHOT`"),
            Command::Remove { node, dead: false } => write!(f, "`hostler remove {}`", shell_word(node)),
            Command::Remove { node, dead: true } => write!(f, "`hostler remove {} --dead`", shell_word(node)),
            Command::Reset => f.write_str("`hostler reset`"),
            Command::TakeOver(machine) => write!(f, "`--take-over {machine}` (for `up`, `add` and `rebuild`)"),
            Command::Snapshot => f.write_str("`hostler snapshot create`"),
            Command::Plan => f.write_str("`hostler plan`"),
            Command::BundleEncoder => f.write_str("`hostler bundle encoder`"),
            Command::Reboot(machine) => write!(f, "`hostler reboot {machine}`"),
            Command::Start => f.write_str("`hostler start`"),
            Command::Upgrade { to: None } => f.write_str("`hostler upgrade`"),
            Command::Upgrade { to: Some(to) } => write!(f, "`hostler upgrade --to {to}`"),
        }
    }
}

impl Serialize for Hint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

mod text;

#[cfg(test)]
mod tests;
