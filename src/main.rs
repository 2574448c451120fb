//! Arguments -> command -> exit status.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use hostler::cli::{Cli, Output};
use hostler::command;
use hostler::report::{ExitStatus, Paint, Reporter, Style, error_text, log};

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command, output } = Cli::parse();
    let json = output == Output::Json;
    let (verb, logged) = command.name();
    // A verb that only looks prints one value as JSON, not a line an event.
    let streams = logged;
    let reporter = Reporter::start(Style::detect(json && streams), verb, if logged { log::default_folder() } else { None });
    match command::run(command, json, &reporter).await {
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
