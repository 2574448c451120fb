//! Arguments and help texts.

use clap::{Parser, Subcommand};

pub mod lab;

/// From one inventory of bare machines to a working Kubernetes cluster, over SSH
#[derive(Debug, Parser)]
#[command(name = "hostler", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Machines on this computer, for rehearsal and tests
    #[command(subcommand)]
    Lab(lab::LabCommand),
}
