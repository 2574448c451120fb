//! The command line: the verbs, a file each with its arguments and help texts beside what it does.

use std::io::IsTerminal;
use std::pin::Pin;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use hostler_core::failure::ExitStatus;
use hostler_core::plan::Plan;

use crate::interrupt::told_to_end;
use crate::report::{Detail, Paint, Reporter, Style, error_text, log};
use crate::transcode::pod::PodStatus;

mod add;
mod arguments;
mod bundle;
mod init;
mod kubeconfig;
mod lab;
mod length;
mod passphrase;
mod probe;
mod rebuild;
mod remove;
pub mod render;
mod reset;
mod schema;
mod snapshot;
mod status;
mod take_over;
mod transcode;
mod up;

/// Tends hosts: from one YAML inventory of bare machines to a working Kubernetes cluster, over SSH.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How results and progress are printed
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Show every step of a plan and its reason
    #[arg(long, short, global = true)]
    verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Text,
    /// Results as JSON, progress as one JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the machines what the inventory says
    Up(up::Arguments),
    /// Show what `up` would do, and why
    Plan(up::Show),
    /// Tell how machines and cluster are, what is wrong, and what to type next
    Status(status::Arguments),
    /// Look at machines, and write the inventory that names them
    Init(init::Arguments),
    /// Bring one machine of the inventory into the cluster
    Add(add::Arguments),
    /// Take a machine out, wipe it where that is needed, and bring it in anew: after a new disk, a new system, or trouble
    Rebuild(rebuild::Arguments),
    /// Take a machine out of the cluster
    Remove(remove::Arguments),
    /// Take the whole cluster down to bare machines
    Reset(reset::Arguments),
    /// Write every file and script that would reach the machines, without any machine
    Render(render::Arguments),
    /// Print what an inventory can say, as JSON schema
    Schema,
    /// Write the cluster's kubeconfig for this computer, or put it into ~/.kube/config
    Kubeconfig(kubeconfig::Arguments),
    /// Keep what a lost control plane is brought back from: etcd, the cluster's keys, kubeadm's documents
    Snapshot(snapshot::Arguments),
    /// What is installed on machines: make it, look at it, verify it
    #[command(subcommand)]
    Bundle(bundle::Verb),
    /// What runs in the pods that verify a cluster
    #[command(hide = true)]
    Probe(probe::Arguments),
    /// Films: what is encoded, what waits, what failed
    #[command(subcommand)]
    Transcode(transcode::Verb),
    /// Machines on this computer, for rehearsal and tests
    #[command(subcommand)]
    Lab(lab::Verb),
}

impl Command {
    /// The verb's name, and what a run of it leaves.
    fn name(&self) -> (&'static str, Trace) {
        use Trace::{Logged, Unlogged};
        match self {
            Command::Up(_) => ("up", Logged),
            Command::Add(_) => ("add", Logged),
            Command::Rebuild(_) => ("rebuild", Logged),
            Command::Remove(_) => ("remove", Logged),
            Command::Reset(_) => ("reset", Logged),
            Command::Plan(_) => ("plan", Unlogged),
            Command::Status(_) => ("status", Unlogged),
            Command::Init(_) => ("init", Unlogged),
            Command::Render(_) => ("render", Unlogged),
            Command::Schema => ("schema", Unlogged),
            Command::Kubeconfig(_) => ("kubeconfig", Unlogged),
            Command::Snapshot(_) => ("snapshot", Unlogged),
            Command::Bundle(bundle::Verb::Create(_)) => ("bundle-create", Logged),
            Command::Bundle(_) => ("bundle", Unlogged),
            Command::Probe(_) => ("probe", Unlogged),
            Command::Transcode(_) => ("transcode", Unlogged),
            Command::Lab(lab::Verb::Up(_)) => ("lab-up", Logged),
            Command::Lab(_) => ("lab", Unlogged),
        }
    }
}

/// Whether a run is written to a log, and streams its events where JSON is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trace {
    /// It changes something, and may be broken off.
    Logged,
    /// It only looks, and prints one value as JSON; or it ends in a way of its own.
    Unlogged,
}

/// How a verb ended.
struct Ended {
    status: Status,
    /// What was carried out, where the closing table is to tell of it.
    plan: Option<Plan>,
}

/// Whose exit status a verb ends with.
enum Status {
    Own(ExitStatus),
    /// What a pod of the workload tells its Job.
    Pod(PodStatus),
    /// That of a program that was run for the user.
    Program(u8),
}

impl Status {
    fn code(&self) -> u8 {
        match self {
            Status::Own(status) => *status as u8,
            Status::Pod(status) => status.code(),
            Status::Program(code) => *code,
        }
    }
}

impl From<Status> for Ended {
    fn from(status: Status) -> Ended {
        Ended { status, plan: None }
    }
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Ended {
        Status::Own(status).into()
    }
}

impl From<()> for Ended {
    fn from((): ()) -> Ended {
        ExitStatus::Done.into()
    }
}

impl From<(ExitStatus, Plan)> for Ended {
    fn from((status, plan): (ExitStatus, Plan)) -> Ended {
        Ended { status: Status::Own(status), plan: Some(plan) }
    }
}

/// Arguments -> verb -> exit status.
///
/// Boxed here, so that the verbs are compiled once, with the library, and not again with each program that runs them.
pub fn run() -> Pin<Box<dyn Future<Output = ExitCode>>> {
    Box::pin(async {
        let Cli { command, output, verbose } = Cli::parse();
        let (verb, trace) = command.name();
        let logged = trace == Trace::Logged;
        let style = Style::detect(logged && output == Output::Json);
        let reporter = Reporter::start(style, verb, if logged { log::default_folder() } else { None });
        let reporter = reporter.with_detail(if verbose { Detail::Whole } else { Detail::Grouped });
        let work = carry_out(command, output, &reporter);
        // The other verbs have nothing half done, or end in a way of their own.
        let ended = if logged {
            tokio::select! {
                ended = work => ended,
                Ok(interrupt) = told_to_end() => {
                    reporter.break_off(interrupt.by).await;
                    // At once: nobody is left to receive what this process still waits for.
                    std::process::exit(interrupt.status());
                }
            }
        } else {
            work.await
        };
        match ended {
            Ok(Ended { status, plan }) => {
                reporter.finish(plan.as_ref()).await;
                ExitCode::from(status.code())
            }
            Err(error) => {
                reporter.finish(None).await;
                eprint!("{}", error_text(&error, Paint::wanted(std::io::stderr().is_terminal())));
                ExitCode::from(Status::Own(ExitStatus::of(&error)).code())
            }
        }
    })
}

async fn carry_out(command: Command, output: Output, reporter: &Reporter) -> Result<Ended> {
    Ok(match command {
        Command::Up(arguments) => up::run(&arguments, reporter).await?.into(),
        Command::Add(arguments) => add::run(&arguments, reporter).await?.into(),
        Command::Rebuild(arguments) => rebuild::run(&arguments, reporter).await?.into(),
        Command::Remove(arguments) => remove::run(&arguments, reporter).await?.into(),
        Command::Reset(arguments) => reset::run(&arguments, reporter).await?.into(),
        Command::Plan(arguments) => up::show(&arguments, output, reporter).await?.into(),
        Command::Status(arguments) => status::run(&arguments, output, reporter).await?.into(),
        Command::Init(arguments) => init::run(&arguments, reporter).await?.into(),
        Command::Render(arguments) => render::run(&arguments, reporter).await?.into(),
        Command::Schema => {
            schema::run(reporter).await;
            ExitStatus::Done.into()
        }
        Command::Kubeconfig(arguments) => kubeconfig::run(&arguments, reporter).await?.into(),
        Command::Snapshot(arguments) => snapshot::run(&arguments, reporter).await?.into(),
        Command::Bundle(verb) => bundle::run(&verb, output, reporter).await?.into(),
        Command::Probe(arguments) => match probe::run(arguments).await? {},
        Command::Transcode(verb) => transcode::run(verb, output).await?,
        Command::Lab(verb) => lab::run(verb, reporter).await?,
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn no_two_arguments_are_in_each_others_way() {
        super::Cli::command().debug_assert();
    }
}
