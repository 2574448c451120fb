//! The command line: the verbs, a file each with its arguments and help texts beside what it does.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;

use anyhow::Result;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::plan::Plan;
use hostler_core::visible::visible;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::install;
use crate::interrupt::interrupted;
use crate::report::output::{Lost, say};
use crate::report::redact::without_passwords;
use crate::report::{Commands, Detail, Paint, Reporter, Style, error_text, log, wrap};
use crate::transcode::pod::PodStatus;

mod add;
mod approve_kubelets;
mod arguments;
mod bundle;
mod help;
mod init;
mod kubeconfig;
mod lab;
mod length;
mod notify;
mod opener;
mod os;
mod passphrase;
mod probe;
mod provision;
mod reboot;
mod rebuild;
mod remove;
pub mod render;
mod renew_certificates;
mod reset;
mod schema;
mod seal_snapshot;
mod shutdown;
mod snapshot;
mod status;
mod take_over;
mod transcode;
mod up;
mod upgrade;

/// Turn bare machines into a Kubernetes cluster with kubeadm over SSH, and keep it in the state that a YAML inventory describes
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
#[command(after_long_help = "`hostler VERB --help` shows examples and exit statuses. docs/json.md lists environment variables.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Output format; docs/json.md lists the verbs that support JSON
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Show every step of a plan and its reason
    #[arg(long, short, global = true)]
    verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// Text for people
    Text,
    /// Results as JSON; progress as one JSON object per line
    Json,
}

/// The verbs. The help text of each stands beside its arguments.
#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Arguments),
    Plan(up::Show),
    Status(status::Arguments),
    Init(init::Arguments),
    Add(add::Arguments),
    Rebuild(rebuild::Arguments),
    Upgrade(upgrade::Arguments),
    Reboot(reboot::Arguments),
    Shutdown(shutdown::Shutdown),
    Start(shutdown::Start),
    Remove(remove::Arguments),
    Reset(reset::Arguments),
    Render(render::Arguments),
    Schema(schema::Arguments),
    Kubeconfig(kubeconfig::Arguments),
    #[command(subcommand)]
    Snapshot(snapshot::Verb),
    #[command(subcommand)]
    Bundle(bundle::Verb),
    #[command(subcommand)]
    Os(os::Verb),
    Provision(provision::Arguments),
    #[command(hide = true)]
    Probe(probe::Arguments),
    #[command(hide = true)]
    Notify(notify::Arguments),
    #[command(hide = true)]
    ApproveKubelets(approve_kubelets::Arguments),
    #[command(hide = true)]
    RenewCertificates(renew_certificates::Arguments),
    #[command(hide = true)]
    SealSnapshot(seal_snapshot::Arguments),
    #[command(subcommand)]
    Transcode(transcode::Verb),
    #[command(subcommand)]
    Lab(lab::Verb),
}

impl Command {
    /// Whether the verb can print JSON. docs/json.md names these.
    fn has_json(&self) -> bool {
        match self {
            Command::Up(_) | Command::Plan(_) | Command::Status(_) | Command::Add(_) | Command::Rebuild(_) | Command::Remove(_) => true,
            Command::Upgrade(_)
            | Command::Reboot(_)
            | Command::Shutdown(_)
            | Command::Start(_)
            | Command::Reset(_)
            | Command::Schema(_)
            | Command::Lab(lab::Verb::Up(_)) => true,
            Command::Snapshot(verb) => !matches!(verb, snapshot::Verb::Create(_)),
            Command::Bundle(verb) => matches!(verb, bundle::Verb::Create(_) | bundle::Verb::Show(_)),
            Command::Transcode(verb) => matches!(verb, transcode::Verb::Status { .. }),
            Command::Init(_)
            | Command::Render(_)
            | Command::Kubeconfig(_)
            | Command::Probe(_)
            | Command::Notify(_)
            | Command::ApproveKubelets(_)
            | Command::RenewCertificates(_)
            | Command::SealSnapshot(_)
            | Command::Lab(_) => false,
            Command::Os(_) | Command::Provision(_) => false,
        }
    }

    /// The verb's name, and whether its run is logged.
    fn name(&self) -> (&'static str, Trace) {
        use Trace::{Logged, Unlogged};
        match self {
            Command::Up(_) => ("up", Logged),
            Command::Add(_) => ("add", Logged),
            Command::Rebuild(_) => ("rebuild", Logged),
            Command::Upgrade(_) => ("upgrade", Logged),
            Command::Reboot(_) => ("reboot", Logged),
            Command::Shutdown(_) => ("shutdown", Logged),
            Command::Start(_) => ("start", Logged),
            Command::Remove(_) => ("remove", Logged),
            Command::Reset(_) => ("reset", Logged),
            Command::Plan(_) => ("plan", Unlogged),
            Command::Status(_) => ("status", Unlogged),
            Command::Init(_) => ("init", Unlogged),
            Command::Render(_) => ("render", Unlogged),
            Command::Schema(_) => ("schema", Unlogged),
            Command::Kubeconfig(_) => ("kubeconfig", Unlogged),
            Command::Snapshot(_) => ("snapshot", Unlogged),
            Command::Bundle(bundle::Verb::Create(_)) => ("bundle-create", Logged),
            Command::Bundle(bundle::Verb::Pins(_)) => ("bundle-pins", Unlogged),
            Command::Bundle(_) => ("bundle", Unlogged),
            Command::Os(_) => ("os-create", Logged),
            Command::Provision(_) => ("provision", Logged),
            Command::Probe(_) => ("probe", Unlogged),
            Command::Notify(_) => ("notify", Unlogged),
            Command::ApproveKubelets(_) => ("approve-kubelets", Unlogged),
            Command::RenewCertificates(_) => ("renew-certificates", Unlogged),
            Command::SealSnapshot(_) => ("seal-snapshot", Unlogged),
            Command::Transcode(_) => ("transcode", Unlogged),
            Command::Lab(lab::Verb::Up(_)) => ("lab-up", Logged),
            Command::Lab(_) => ("lab", Unlogged),
        }
    }
}

/// Whether a run is written to a log, and streams its events if JSON was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trace {
    /// It changes something and may be interrupted.
    Logged,
    /// It only reads and prints one value as JSON, or it handles its end itself.
    Unlogged,
}

/// How a verb ended.
struct Ended {
    status: Status,
    /// The plans that were applied, for the closing table.
    plans: Option<Vec<Plan>>,
}

/// Where the exit status of a verb comes from.
enum Status {
    Own(ExitStatus),
    /// What a pod of the workload reports to its Job.
    Pod(PodStatus),
    /// The status of a program that was run for the user.
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
        Ended { status, plans: None }
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

impl From<(ExitStatus, Vec<Plan>)> for Ended {
    fn from((status, plans): (ExitStatus, Vec<Plan>)) -> Ended {
        Ended { status: Status::Own(status), plans: Some(plans) }
    }
}

/// Arguments -> verb -> exit status.
pub fn run() -> ExitCode {
    if install::is_init() {
        install::run();
    }
    limit();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run_arguments()),
        Err(error) => {
            let hint = "raise this shell's limits on open files, processes and memory (`ulimit -a` shows them)";
            let error = Failure::new(ExitStatus::Failed, format!("hostler can't start: {error}"), hint).into();
            tell(&error, &Commands::default());
            ExitCode::from(ExitStatus::Failed as u8)
        }
    }
}

/// Boxed so that the verbs are compiled once, with the library, and not again with each program that runs them.
fn run_arguments() -> Pin<Box<dyn Future<Output = ExitCode>>> {
    Box::pin(async {
        let parsed = Cli::command().try_get_matches().and_then(|given| Ok((Cli::from_arg_matches(&given)?, given)));
        let (Cli { command, output, verbose }, given) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return said(&error),
        };
        let commands = commands(&command, &given);
        let (verb, trace) = command.name();
        if output == Output::Json && !command.has_json() {
            let message = "this verb has no JSON output";
            let error = Failure::new(
                ExitStatus::Usage,
                message,
                "omit `--output json`; docs/json.md lists the verbs that have JSON \
                output",
            )
            .into();
            tell(&error, &commands);
            return ExitCode::from(ExitStatus::Usage as u8);
        }
        let logged = trace == Trace::Logged;
        let style = Style::detect(logged && output == Output::Json);
        let reporter = Reporter::start(style, verb, if logged { log::default_folder() } else { None }, commands.clone());
        let reporter = reporter.with_detail(if verbose { Detail::Whole } else { Detail::Grouped });
        let work = run_verb(command, output, &reporter);
        // The other verbs leave nothing half done, or handle their end themselves.
        let ended = if logged {
            tokio::select! {
                ended = work => ended,
                Ok(interrupt) = interrupted() => {
                    reporter.interrupt(interrupt.by).await;
                    // At once: nothing is left to receive what this process still waits for.
                    std::process::exit(interrupt.status());
                }
            }
        } else {
            work.await
        };
        match ended {
            Ok(Ended { status, plans }) => {
                let lost = reporter.lost();
                reporter.finish(plans).await;
                ExitCode::from(heard(&lost, status.code()))
            }
            Err(error) => {
                let lost = reporter.lost();
                reporter.finish(None).await;
                tell(&error, &commands);
                ExitCode::from(heard(&lost, Status::Own(ExitStatus::of(&error)).code()))
            }
        }
    })
}

/// Enough for a thousand machines. More could be slow: programs that hostler starts may close each one that there could be.
const FILES: u64 = 1 << 16;

/// As many open files as machines may need, and no image of the memory, which may hold passwords, if the program crashes.
fn limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Without them, what needs them says so.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(FILES)), hard);
    }
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
}

/// What clap says: help, the version, or a mistake on the command line.
fn said(error: &clap::Error) -> ExitCode {
    let code = u8::try_from(error.exit_code()).unwrap_or(ExitStatus::Usage as u8);
    let lost = Lost::default();
    if error.use_stderr() {
        // It quotes the command line: the same words with what is unseen in them shown make the same mistake.
        let shown = std::env::args_os().map(|word| visible(&word.to_string_lossy()).into_owned());
        let again = Cli::command().try_get_matches_from(shown).and_then(|given| Cli::from_arg_matches(&given)).err();
        say(&without_passwords(&again.as_ref().unwrap_or(error).render().to_string()));
    } else if let Err(why) = error.print().and_then(|()| std::io::stdout().flush()) {
        lost.set(why);
    }
    ExitCode::from(heard(&lost, code))
}

/// The exit status of a run that would end with `code`: failed, and a message, if its results could not be written. A reader that needs no
/// more of them, as `head`, is no failure.
fn heard(lost: &Lost, code: u8) -> u8 {
    let Some(message) = lost.message() else { return code };
    tell(&anyhow::anyhow!(message), &Commands::default());
    if code == 0 { ExitStatus::Failed as u8 } else { code }
}

/// Prints an error on standard error.
fn tell(error: &anyhow::Error, commands: &Commands) {
    let (terminal, width) = (std::io::stderr().is_terminal(), wrap::width(&console::Term::stderr()));
    say(&error_text(error, Paint::wanted(terminal), width, commands));
}

/// What the commands that this run names need, so that they act on the same inventory and lab.
fn commands(command: &Command, given: &ArgMatches) -> Commands {
    let mut deepest = given;
    while let Some((_, below)) = deepest.subcommand() {
        deepest = below;
    }
    let inventory = match command {
        // Before there is one, what is wrong is about the inventory that the lab is to be like.
        Command::Lab(lab::Verb::Up(up)) => {
            up.like.clone().filter(|_| !crate::lab::inventory_file().exists()).or(Some(crate::lab::inventory_file()))
        }
        _ => deepest.try_get_one::<PathBuf>("inventory").ok().flatten().cloned(),
    };
    let mut verbs = Vec::new();
    with_inventory(&Cli::command(), "", &mut verbs);
    Commands {
        verbs,
        inventory: inventory.filter(|file| !arguments::is_found_by_itself(file)).map(|file| file.display().to_string()),
        lab: crate::lab::choice(),
    }
}

/// Finds the verbs that take an inventory.
fn with_inventory(command: &clap::Command, words: &str, found: &mut Vec<String>) {
    for below in command.get_subcommands() {
        let words = format!("{words} {}", below.get_name()).trim().to_owned();
        with_inventory(below, &words, found);
        if below.get_arguments().any(|argument| argument.get_id() == "inventory") {
            found.push(words);
        }
    }
}

async fn run_verb(command: Command, output: Output, reporter: &Reporter) -> Result<Ended> {
    Ok(match command {
        Command::Up(arguments) => up::run(&arguments, reporter).await?.into(),
        Command::Add(arguments) => add::run(&arguments, reporter).await?.into(),
        Command::Rebuild(arguments) => rebuild::run(&arguments, reporter).await?.into(),
        Command::Upgrade(arguments) => upgrade::run(&arguments, reporter).await?.into(),
        Command::Reboot(arguments) => reboot::run(&arguments, reporter).await?.into(),
        Command::Shutdown(arguments) => shutdown::shutdown(&arguments, reporter).await?.into(),
        Command::Start(arguments) => shutdown::start(&arguments, reporter).await?.into(),
        Command::Remove(arguments) => remove::run(&arguments, reporter).await?.into(),
        Command::Reset(arguments) => reset::run(&arguments, reporter).await?.into(),
        Command::Plan(arguments) => up::show(&arguments, output, reporter).await?.into(),
        Command::Status(arguments) => status::run(&arguments, output, reporter).await?.into(),
        Command::Init(arguments) => init::run(&arguments, reporter).await?.into(),
        Command::Render(arguments) => render::run(&arguments, reporter).await?.into(),
        Command::Schema(arguments) => {
            schema::run(&arguments, reporter).await;
            ExitStatus::Done.into()
        }
        Command::Kubeconfig(arguments) => kubeconfig::run(&arguments, reporter).await?.into(),
        Command::Snapshot(arguments) => snapshot::run(&arguments, output, reporter).await?.into(),
        Command::Bundle(verb) => bundle::run(&verb, output, reporter).await?.into(),
        Command::Notify(arguments) => notify::run(&arguments, reporter).await?.into(),
        Command::ApproveKubelets(arguments) => approve_kubelets::run(&arguments, reporter).await?.into(),
        Command::RenewCertificates(arguments) => renew_certificates::run(&arguments, reporter).await?.into(),
        Command::SealSnapshot(arguments) => seal_snapshot::run(&arguments)?.into(),
        Command::Os(verb) => os::run(&verb, reporter).await?.into(),
        Command::Provision(arguments) => provision::run(&arguments, reporter).await?.into(),
        Command::Probe(arguments) => match probe::run(arguments).await? {},
        Command::Transcode(verb) => transcode::run(verb, output, reporter).await?,
        Command::Lab(verb) => lab::run(verb, reporter).await?,
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn no_two_arguments_conflict() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn verbs_with_an_inventory_are_found() {
        let mut verbs = Vec::new();
        super::with_inventory(&super::Cli::command(), "", &mut verbs);
        for verb in ["up", "plan", "status", "kubeconfig", "snapshot create", "snapshot list", "transcode status"] {
            assert!(verbs.iter().any(|found| found == verb), "{verb} is missing: {verbs:?}");
        }
        assert!(!verbs.iter().any(|verb| verb.starts_with("lab") || verb == "snapshot verify"), "{verbs:?}");
    }
}
