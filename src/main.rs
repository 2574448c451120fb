//! Arguments -> command -> exit status.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use hostler::cli::{Cli, Command, Output};
use hostler::command;
use hostler::plan::Plan;
use hostler::report::{ExitStatus, Paint, Reporter, Style, error_text, log};

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command, output } = Cli::parse();
    let json = output == Output::Json;
    let (verb, logged) = command.name();
    // A verb that only looks prints one value as JSON, not a line an event.
    let streams = logged;
    let reporter = Reporter::start(Style::detect(json && streams), verb, if logged { log::default_folder() } else { None });
    match run(command, json, &reporter).await {
        Ok((status, plan)) => {
            reporter.finish(plan.as_ref()).await;
            ExitCode::from(status)
        }
        Err(error) => {
            reporter.finish(None).await;
            eprint!("{}", error_text(&error, Paint::wanted(std::io::stderr().is_terminal())));
            ExitStatus::of(&error).into()
        }
    }
}

/// The exit status, and what was carried out where the closing table is to tell of it.
async fn run(command: Command, json: bool, reporter: &Reporter) -> Result<(u8, Option<Plan>)> {
    let carried_out = |(status, plan): (ExitStatus, Plan)| (status as u8, Some(plan));
    let shown = |()| (0, None);
    match command {
        Command::Up(arguments) => command::up::up(&arguments, false, reporter).await.map(carried_out),
        Command::Add(arguments) => command::add::run(&arguments, reporter).await.map(carried_out),
        Command::Rebuild(arguments) => command::rebuild::run(&arguments, reporter).await.map(carried_out),
        Command::Remove(arguments) => command::remove::run(&arguments, reporter).await.map(carried_out),
        Command::Reset(arguments) => command::reset::run(&arguments, reporter).await.map(carried_out),
        Command::Plan(arguments) => command::up::show(&arguments, json, reporter).await.map(|status| (status as u8, None)),
        Command::Status(arguments) => command::status::run(&arguments, json, reporter).await.map(|status| (status as u8, None)),
        Command::Init(arguments) => command::init::run(&arguments, reporter).await.map(shown),
        Command::Render(arguments) => command::render::run(&arguments, reporter).await.map(shown),
        Command::Schema => command::schema::run(reporter).await.map(shown),
        Command::Kubeconfig(arguments) => command::kubeconfig::run(&arguments, reporter).await.map(shown),
        Command::Snapshot(arguments) => command::snapshot::run(&arguments, reporter).await.map(shown),
        Command::Bundle(verb) => command::bundle::run(&verb, json, reporter).await.map(shown),
        Command::Probe(arguments) => match command::probe::run(arguments).await? {},
        Command::Transcode(arguments) => command::transcode::run(arguments, json).await.map(|status| (status, None)),
        Command::Lab(arguments) => command::lab::run(arguments, reporter).await,
    }
}
