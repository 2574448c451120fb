//! Arguments -> command -> exit status.

use std::process::ExitCode;

use clap::Parser;
use hostler::cli::{Cli, Command, Output};
use hostler::command;
use hostler::report::{ExitStatus, Paint, Reporter, Style, error_text, log};

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command, output } = Cli::parse();
    let json = output == Output::Json;
    let (verb, logged) = command.name();
    let folder = if logged { log::default_folder() } else { None };
    let reporter = Reporter::start(Style::detect(json), verb, folder);
    let result = match command {
        Command::Up(arguments) => command::up::up(&arguments, false, &reporter).await.map(|(status, plan)| (status as u8, Some(plan))),
        Command::Plan(common) => command::up::show(&common, json, &reporter).await.map(|status| (status as u8, None)),
        Command::Lab(arguments) => command::lab::run(arguments, &reporter).await,
    };
    match result {
        Ok((status, plan)) => {
            reporter.finish(plan.as_ref()).await;
            ExitCode::from(status)
        }
        Err(error) => {
            reporter.finish(None).await;
            eprint!("{}", error_text(&error, Paint::wanted(true)));
            ExitStatus::of(&error).into()
        }
    }
}
