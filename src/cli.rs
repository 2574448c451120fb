//! Command line: types and help texts only.

use clap::{Parser, Subcommand};

pub mod lab;
pub mod transcode;

/// Tends hosts: from one YAML inventory of bare machines to a working Kubernetes cluster, over SSH.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// How results and progress are printed
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    Text,
    /// Results as JSON, progress as one JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the machines what the inventory says
    Up(crate::command::up::Up),
    /// Show what `up` would do, and why
    Plan(crate::command::up::Show),
    /// Tell how machines and cluster are, what is wrong, and what to type next
    Status(crate::command::status::Arguments),
    /// Look at machines, and write the inventory that names them
    Init(crate::command::init::Arguments),
    /// Bring one machine of the inventory into the cluster
    Add(crate::command::add::Arguments),
    /// Take a machine out, wipe it where that is needed, and bring it in anew: after a new disk, a new system, or trouble
    Rebuild(crate::command::rebuild::Arguments),
    /// Take a machine out of the cluster
    Remove(crate::command::remove::Arguments),
    /// Take the whole cluster down to bare machines
    Reset(crate::command::reset::Arguments),
    /// Write every file and script that would reach the machines, without any machine
    Render(crate::command::render::Arguments),
    /// Print what an inventory can say, as JSON schema
    Schema,
    /// Write the cluster's kubeconfig for this computer, or put it into ~/.kube/config
    Kubeconfig(crate::command::kubeconfig::Arguments),
    /// Keep what a lost control plane is brought back from: etcd, the cluster's keys, kubeadm's documents
    Snapshot(crate::command::snapshot::Arguments),
    /// What is installed on machines: make it, look at it, verify it
    #[command(subcommand)]
    Bundle(crate::command::bundle::Verb),
    /// What runs in the pods that verify a cluster
    #[command(hide = true)]
    Probe(crate::command::probe::Arguments),
    /// Films: what is encoded, what waits, what failed
    #[command(subcommand)]
    Transcode(transcode::TranscodeCommand),
    /// Machines on this computer, for rehearsal and tests
    #[command(subcommand)]
    Lab(lab::LabCommand),
}

impl Command {
    /// The verb's name, and whether a run of it leaves a log.
    pub fn name(&self) -> (&'static str, bool) {
        match self {
            Command::Up(_) => ("up", true),
            Command::Add(_) => ("add", true),
            Command::Rebuild(_) => ("rebuild", true),
            Command::Remove(_) => ("remove", true),
            Command::Reset(_) => ("reset", true),
            Command::Plan(_) => ("plan", false),
            Command::Status(_) => ("status", false),
            Command::Init(_) => ("init", false),
            Command::Render(_) => ("render", false),
            Command::Schema => ("schema", false),
            Command::Kubeconfig(_) => ("kubeconfig", false),
            Command::Snapshot(_) => ("snapshot", false),
            Command::Bundle(crate::command::bundle::Verb::Create(_)) => ("bundle-create", true),
            Command::Bundle(_) => ("bundle", false),
            Command::Probe(_) => ("probe", false),
            Command::Transcode(_) => ("transcode", false),
            Command::Lab(lab::LabCommand::Up(_)) => ("lab-up", true),
            Command::Lab(_) => ("lab", false),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn no_two_arguments_are_in_each_others_way() {
        super::Cli::command().debug_assert();
    }
}
