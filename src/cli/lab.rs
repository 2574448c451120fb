//! `hostler lab`: machines on this computer, for rehearsal and tests.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// Make machines on this computer and bring a cluster up on them
    Up(LabUp),
    /// Take the lab away, with all that belongs to it
    Down,
    /// Show the machines: address, role, power
    List,
    /// Log in to a machine, or run a command there
    Ssh {
        machine: String,
        /// What to run; without it, a shell
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Run a program of this computer in the lab's network, with KUBECONFIG set
    Exec {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Make the lab's API server, and the status page of films where there is one, reachable on 127.0.0.1 until Ctrl-C
    Open {
        /// Port on 127.0.0.1 for the API server; 0: any that is free
        #[arg(long, default_value_t = 6443)]
        port: u16,
        /// Port on 127.0.0.1 for the status page; 0: any that is free
        #[arg(long, default_value_t = 30080)]
        page_port: u16,
    },
    /// Join stdin and stdout to a TCP port in the lab's network (for ssh's ProxyCommand)
    Connect {
        /// Address, or name of a machine
        host: String,
        port: u16,
    },
    /// Cut a machine's power: all ends at once, and what was not on its disk is lost
    Cut { machine: String },
    /// Switch machines on; all, where none is named
    On { machines: Vec<String> },
    /// Switch a machine off in order
    Off { machine: String },
    /// Give a machine a freshly installed disk: same address, new host key
    Blank { machine: String },
    /// Serve the machines' apt repository
    #[command(hide = true)]
    ServeApt { folder: PathBuf },
}

#[derive(Debug, Args)]
pub struct LabUp {
    /// How many machines
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub machines: usize,
    /// How many of them are control planes
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub control_planes: usize,
    /// A folder of this computer that every machine sees under the same path, as if it were on a server; may be repeated
    #[arg(long = "share", value_name = "FOLDER")]
    pub shares: Vec<PathBuf>,
    /// Give this machine a kernel of its own, with clock, swap and modules: it is a virtual machine (QEMU), and slow where KVM does not work
    #[arg(long, value_name = "NAME")]
    pub vm: Option<String>,
    /// What is installed on them; without it the cached bundle, or one made now
    #[arg(long, value_name = "FOLDER")]
    pub bundle: Option<PathBuf>,
    /// Stop when sshd answers on all machines
    #[arg(long, hide = true)]
    pub machines_only: bool,
}
