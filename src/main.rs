//! Arguments -> command -> exit status.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use hostler::cli::{Cli, Output};
use hostler::command;
use hostler::interrupt::told_to_end;
use hostler::report::{Paint, Reporter, Style, error_text, log};
use hostler_core::failure::ExitStatus;

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command, output } = Cli::parse();
    let json = output == Output::Json;
    let (verb, logged) = command.name();
    // A verb that only looks prints one value as JSON, not a line an event.
    let streams = logged;
    let reporter = Reporter::start(Style::detect(json && streams), verb, if logged { log::default_folder() } else { None });
    let work = command::run(command, json, &reporter);
    // The other verbs have nothing half done, or end in a way of their own.
    let ended = if logged {
        tokio::select! {
            ended = work => ended,
            Ok(interrupt) = told_to_end() => {
                reporter.break_off(interrupt.by).await;
                // At once: what this process still waits for is nobody's any more.
                std::process::exit(interrupt.status());
            }
        }
    } else {
        work.await
    };
    match ended {
        Ok((status, plan)) => {
            reporter.finish(plan.as_ref()).await;
            ExitCode::from(status)
        }
        Err(error) => {
            reporter.finish(None).await;
            eprint!("{}", error_text(&error, Paint::wanted(std::io::stderr().is_terminal())));
            ExitCode::from(ExitStatus::of(&error) as u8)
        }
    }
}
